/* SPDX-License-Identifier: Apache-2.0
 * link, unlink, rmdir, close: what changes how many hold an inode. */
#include "mds/mds_impl.h"

#include <sys/stat.h>

int mds_op_link(struct operation *op, const struct link_req *req, struct link_rep *rep)
{
	struct entry entry;
	struct inode *inode = NULL;
	struct ino guess = INO_NONE;
	int rc = name_check(req->name);
	if (rc == 0 && name_is_dots(req->name))
		return fail(EEXIST);
	if (rc == 0)
		rc = entry_guess(op, req->parent, req->name, &guess);
	if (rc < 0)
		return rc;
	if (guess.v != 0) /* gates would have to cover it; a free name is all that we want */
		return fail(EEXIST);
	rc = op_gates(op, (struct gate_want[]){{req->parent, GATE_EXCLUSIVE}, {req->ino, GATE_EXCLUSIVE}}, 2);
	if (rc == 0)
		rc = entry_load(op, req->parent, req->name, &entry);
	if (rc == 0 && entry.child != NULL)
		return fail(EEXIST);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0)
		rc = perm_add(&req->cred, entry.dir);
	if (rc < 0)
		return rc;
	if (S_ISDIR(inode->mode))
		return fail(EPERM);
	if (inode->nlink == 0 && (inode->flags & INODE_LINKABLE) == 0)
		return fail(ENOENT);
	if (inode->nlink >= NLINK_FILE_MAX)
		return fail(EMLINK);
	if (!entry_has_room(&entry))
		return fail(ENOSPC);
	rc = lease_recall(op, entry.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0)
		rc = lease_recall(op, inode, LEASE_CHANGE_ATTR);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (inode->nlink == 0) { /* no orphan any more: from here on it lives as all do */
		op_erase(op, key_of(TABLE_orphan, inode->ino));
		inode->flags &= ~(uint32_t)INODE_LINKABLE;
		op->mds->counters.orphans_named++;
	}
	inode->nlink++;
	inode->ctime_ns = op->now_ns;
	op_save(op, inode);
	entry_add(op, &entry, inode);
	dir_touch(op, entry.dir, 1);
	op_save(op, entry.dir);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return 0;
}

/* A name goes: nobody may go on believing in it. Parks. */
static int recall_for_removal(struct operation *op, struct entry *entry)
{
	int rc = lease_recall(op, entry->dir, LEASE_CHANGE_ENTRIES);
	return rc < 0 ? rc : lease_recall(op, entry->child, lease_change_removal(entry->child));
}

int mds_op_unlink(struct operation *op, const struct unlink_req *req, struct unlink_rep *rep)
{
	struct entry entry;
	int rc = name_check(req->name);
	if (rc == 0 && name_is_dots(req->name))
		return fail(EISDIR);
	if (rc == 0)
		rc = entry_enter(op, req->parent, req->name, GATE_EXCLUSIVE, GATE_EXCLUSIVE, &entry);
	if (rc < 0)
		return rc;
	if (entry.child == NULL)
		return fail(ENOENT);
	rc = perm_delete(&req->cred, entry.dir, entry.child);
	if (rc == 0 && S_ISDIR(entry.child->mode))
		rc = fail(EISDIR);
	if (rc == 0)
		rc = recall_for_removal(op, &entry);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	rep->ino = entry.child->ino;
	rep->nlink = entry.child->nlink - 1;
	entry_remove(op, &entry);
	dir_touch(op, entry.dir, -1);
	op_save(op, entry.dir);
	inode_drop_link(op, entry.child, 1);
	return 0;
}

int mds_op_rmdir(struct operation *op, const struct rmdir_req *req, struct rmdir_rep *rep)
{
	struct entry entry;
	int rc = name_check(req->name);
	if (rc == 0 && name_is_dots(req->name))
		return fail(req->name.len == 1 ? EINVAL : ENOTEMPTY);
	if (rc == 0)
		rc = entry_enter(op, req->parent, req->name, GATE_EXCLUSIVE, GATE_EXCLUSIVE, &entry);
	if (rc < 0)
		return rc;
	if (entry.child == NULL)
		return fail(ENOENT);
	rc = perm_delete(&req->cred, entry.dir, entry.child);
	if (rc == 0 && !S_ISDIR(entry.child->mode))
		rc = fail(ENOTDIR);
	if (rc == 0 && entry.child->entries > 0)
		rc = fail(ENOTEMPTY);
	if (rc == 0)
		rc = recall_for_removal(op, &entry);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	rep->ino = entry.child->ino;
	entry_remove(op, &entry);
	entry.dir->nlink--;
	dir_touch(op, entry.dir, -1);
	op_save(op, entry.dir);
	inode_drop_link(op, entry.child, entry.child->nlink);
	return 0;
}

int mds_op_close(struct operation *op, const struct close_req *req, struct close_rep *rep)
{
	struct sessions *sessions = &op->mds->sessions;
	struct inode *inode = NULL;
	(void)rep;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0 || rc == -ESTALE)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	bool changed = false;
	struct mark *mark = inode != NULL ? mark_find(sessions, req->ino, op->client) : NULL;
	/* A size of before a truncation: nothing is given back yet, the client learns the new size and closes again. Were it ignored, what was
	 * written since the truncation would lie behind the end of the file. */
	if (mark != NULL && (req->flags & SIZE_VALID) != 0)
		rc = inode_publish(op, inode, req->flags, req->size_gen, req->size_bytes, req->mtime_ns, req->blocks, &changed);
	if (rc == -ERR_stale_layout)
		return rc;
	struct open_file *open = open_find(op->session, req->handle);
	if (open != NULL && ino_eq(open->file->ino, req->ino))
		open_remove(sessions, open);
	if (inode == NULL)
		return 0; /* its inode is gone: nothing else to give back */
	if (mark != NULL && (req->flags & SIZE_LAST_WRITER) != 0 && lease_end_write(op, req->ino, req->lease_number)) {
		op_erase(op, key_writer(req->ino, op->client));
		mark_remove(sessions, req->ino, op->client);
	}
	if (inode->nlink == 0 && !inode_is_used(op->mds, inode)) {
		op_erase(op, key_of(TABLE_orphan, req->ino));
		inode_destroy(op, inode);
		op->mds->counters.orphans_purged++;
		return 0;
	}
	if (inode->nlink == 0 && !file_is_open(sessions, req->ino))
		orphan_look(op->mds, req->ino);
	if (changed)
		op_save(op, inode);
	return 0;
}
