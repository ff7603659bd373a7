/* SPDX-License-Identifier: Apache-2.0
 * create, tmpfile, mkdir, mknod, symlink, open: what makes an inode, or opens one. */
#include "mds/acl.h"
#include "mds/mds_impl.h"

#include <sys/stat.h>

/* Step by step the same for all: a free name in a directory that the caller may write. */
static int enter_free(struct operation *op, const struct cred *cred, struct ino parent, struct str name, struct entry *ret_entry)
{
	int rc = name_check(name);
	if (rc == 0 && name_is_dots(name))
		return fail(EEXIST);
	if (rc == 0)
		rc = entry_enter(op, parent, name, GATE_EXCLUSIVE, GATE_SHARED, ret_entry);
	if (rc < 0)
		return rc;
	if (ret_entry->child != NULL)
		return fail(EEXIST);
	rc = perm_add(cred, ret_entry->dir);
	if (rc < 0)
		return rc;
	return entry_has_room(ret_entry) ? 0 : fail(ENOSPC);
}

/* A directory's default list is the access list of what is made in it, as far as the mode that was asked for allows; a directory gets it as its own
 * default, too. */
static void inherit_list(struct operation *op, const struct inode *dir, struct inode *inode)
{
	struct blob list = dir->default_acl;
	uint8_t *acl = arena_dup(op->arena, list.ptr, list.len);
	inode->mode = acl_inherit(acl, list.len, inode->mode);
	inode_set_acl(op, inode, false, blob_of(acl, list.len));
	if (S_ISDIR(inode->mode))
		inode_set_acl(op, inode, true, blob_of(arena_dup(op->arena, list.ptr, list.len), list.len));
}

int inode_make(struct operation *op, const struct cred *cred, const struct inode *dir, uint32_t mode, uint32_t umask, uint16_t shard,
	       struct inode **ret_inode)
{
	uint32_t gid = 0;
	struct ino ino;
	bool inherits = dir->default_acl.len > 0 && !S_ISLNK(mode);
	int rc = perm_inherit(cred, dir, mode, &mode, &gid);
	if (rc == 0)
		rc = ino_alloc(op, shard, &ino);
	if (rc < 0)
		return rc;
	struct inode *inode = op_inode_new(op, ino);
	inode->mode = inherits ? mode : mode & ~(umask & 0777);
	inode->uid = cred->uid;
	inode->gid = gid;
	inode->nlink = 1;
	inode->atime_ns = inode->mtime_ns = inode->ctime_ns = inode->btime_ns = inode->modified_ns = op->now_ns;
	if (inherits)
		inherit_list(op, dir, inode);
	*ret_inode = inode;
	return 0;
}

static void link_into(struct operation *op, struct entry *entry, struct inode *inode)
{
	op_save(op, inode);
	entry_add(op, entry, inode);
	dir_touch(op, entry->dir, 1);
	op_save(op, entry->dir);
}

static unsigned may_of(uint32_t open_flags)
{
	if ((open_flags & OPEN_EXEC) != 0)
		return MAY_EXEC; /* to run it, not to read it */
	return ((open_flags & OPEN_READ) != 0 ? (unsigned)MAY_READ : 0u) |
	       ((open_flags & (OPEN_WRITE | OPEN_TRUNC)) != 0 ? (unsigned)MAY_WRITE : 0u);
}

/* A fresh handle; or one of that inode (NULL: a new one) that was reclaimed while the call that opens it waited for our restart. */
static int check_handle(const struct operation *op, uint64_t handle, const struct inode *inode)
{
	const struct open_file *open = handle != 0 ? open_find(op->session, handle) : NULL;
	bool known = open != NULL && inode != NULL && ino_eq(open->file->ino, inode->ino);
	return handle != 0 && (open == NULL || known) ? 0 : fail(EINVAL);
}

/* What comes with an open for nothing: the right to read or write the data, if nobody has to be asked. In the mutate step. */
static uint8_t free_data_lease(struct operation *op, struct inode *inode, uint32_t flags)
{
	uint8_t wanted = (flags & OPEN_WRITE) != 0 ? LEASE_PW : LEASE_PR;
	const struct hold *own = hold_find(file_find(&op->mds->sessions, inode->ino), op->client);
	if (own != NULL && (lease_writes(own->data) || own->data == wanted))
		return LEASE_NONE; /* it stays as it is */
	if (op->mds->identity.state != TARGET_UP || !lease_is_free(op, inode->ino, wanted))
		return LEASE_NONE;
	if (wanted == LEASE_PW)
		inode_mark_writer(op, inode);
	return wanted;
}

/* What an open brings. */
struct opened {
	struct lease lease;
	struct blob data;
	uint8_t has_data; /* enum data_place */
};

static void grant_open(struct operation *op, struct inode *inode, uint32_t flags, struct blob data, struct opened *ret_opened)
{
	uint8_t granted = free_data_lease(op, inode, flags);
	ret_opened->lease = lease_grant(op, inode, false, granted);
	/* One that had a right to the data knows it better than we do. */
	if (granted != LEASE_NONE)
		ret_opened->has_data = inline_answer(inode, &ret_opened->lease, true, data, &ret_opened->data);
}

/* Open what is there. Under exclusive gates if it changes anything. */
static int open_existing(struct operation *op, const struct cred *cred, struct inode *inode, uint64_t handle, uint32_t flags,
			 struct opened *ret_opened)
{
	struct blob data;
	if (S_ISDIR(inode->mode))
		return fail(EISDIR);
	if (S_ISLNK(inode->mode))
		return fail(ELOOP);
	if (!S_ISREG(inode->mode))
		return fail(ENXIO);
	int rc = check_handle(op, handle, inode);
	if (rc == 0)
		rc = perm_check(cred, inode, may_of(flags));
	if (rc == 0 && (flags & OPEN_TRUNC) != 0)
		rc = lease_recall(op, inode, (struct lease_change){.attr = true, .data_keep = LEASE_NONE});
	if (rc == 0)
		rc = inline_load(op, inode, &data);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	inode_open(op, inode, handle, flags);
	if (flags & OPEN_TRUNC) {
		inode_truncate(op, inode, 0, data);
		data.len = 0;
		op_save(op, inode);
	}
	grant_open(op, inode, flags, data, ret_opened);
	return 0;
}

int mds_op_create(struct operation *op, const struct create_req *req, struct create_rep *rep)
{
	struct entry entry;
	int rc = name_check(req->name);
	if (rc == 0 && name_is_dots(req->name))
		return fail(EISDIR);
	if (rc == 0)
		rc = check_handle(op, req->handle, NULL);
	if (rc == 0)
		rc = entry_enter(op, req->parent, req->name, GATE_EXCLUSIVE, GATE_EXCLUSIVE, &entry);
	if (rc < 0)
		return rc;
	struct inode *inode = entry.child;
	struct opened opened = {0};
	if (inode != NULL) {
		rc = (req->flags & OPEN_EXCL) != 0 ? fail(EEXIST)
						   : open_existing(op, &req->cred, inode, req->handle, req->flags, &opened);
	} else {
		struct blob layout;
		rc = perm_add(&req->cred, entry.dir);
		if (rc == 0 && !entry_has_room(&entry))
			rc = fail(ENOSPC);
		if (rc == 0)
			rc = place_layout(op, entry.dir, req->layout, 1, &layout);
		if (rc == 0)
			rc = lease_recall(op, entry.dir, LEASE_CHANGE_ENTRIES);
		if (rc == 0)
			rc = op_mutate(op);
		if (rc == 0)
			rc = inode_make(op, &req->cred, entry.dir, S_IFREG | (req->mode & 07777), req->umask, ino_shard(req->parent), &inode);
		if (rc < 0)
			return rc;
		inode->layout = layout;
		inode->layout_gen = 1;
		if (req->flags & OPEN_WRITE)
			inode->flags |= INODE_HAS_DATA;
		link_into(op, &entry, inode);
		inode_open(op, inode, req->handle, req->flags);
		grant_open(op, inode, req->flags, (struct blob){0}, &opened);
		rep->created = 1;
	}
	if (rc < 0)
		return rc;
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->layout = inode->layout;
	rep->lease = opened.lease;
	rep->data = opened.data;
	rep->has_data = opened.has_data;
	return 0;
}

int mds_op_tmpfile(struct operation *op, const struct tmpfile_req *req, struct tmpfile_rep *rep)
{
	struct inode *dir = NULL, *inode = NULL;
	struct blob layout;
	int rc = check_handle(op, req->handle, NULL);
	if (rc == 0)
		rc = op_gates(op, &(struct gate_want){req->parent, GATE_SHARED}, 1); /* no entry changes */
	if (rc == 0)
		rc = op_inode(op, req->parent, &dir);
	if (rc == 0 && !S_ISDIR(dir->mode))
		rc = fail(ENOTDIR);
	if (rc == 0)
		rc = perm_add(&req->cred, dir);
	if (rc == 0)
		rc = place_layout(op, dir, req->layout, 1, &layout);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0)
		rc = inode_make(op, &req->cred, dir, S_IFREG | (req->mode & 07777), req->umask, ino_shard(req->parent), &inode);
	if (rc < 0)
		return rc;
	inode->nlink = 0;
	inode->layout = layout;
	inode->layout_gen = 1;
	inode->flags |= ((req->flags & OPEN_WRITE) != 0 ? INODE_HAS_DATA : 0u) | ((req->flags & OPEN_EXCL) == 0 ? INODE_LINKABLE : 0u);
	inode_orphan(op, inode);
	op_save(op, inode);
	inode_open(op, inode, req->handle, req->flags);
	struct opened opened = {0};
	grant_open(op, inode, req->flags, (struct blob){0}, &opened);
	rep->lease = opened.lease;
	rep->has_data = opened.has_data;
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->layout = inode->layout;
	return 0;
}

int mds_op_open(struct operation *op, const struct open_req *req, struct open_rep *rep)
{
	struct inode *inode = NULL;
	struct opened opened = {0};
	bool changes = (req->flags & (OPEN_WRITE | OPEN_TRUNC)) != 0;
	int rc = op_gates(op, &(struct gate_want){req->ino, changes ? GATE_EXCLUSIVE : GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0)
		rc = open_existing(op, &req->cred, inode, req->handle, req->flags, &opened);
	if (rc < 0)
		return rc;
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->layout = inode->layout;
	rep->lease = opened.lease;
	rep->data = opened.data;
	rep->has_data = opened.has_data;
	return 0;
}

/* Near the root directories spread over the shards; below they stay with their parent, so that a tree of files is one MDT's. */
static uint16_t shard_for_dir(const struct operation *op, const struct inode *parent, struct str name)
{
	const struct superblock *sb = &op->mds->sb;
	bool near_root = ino_eq(parent->ino, INO_ROOT) || ino_eq(parent->parent, INO_ROOT);
	if (!near_root)
		return ino_shard(parent->ino);
	uint16_t shard = (uint16_t)((name_hash(sb, name) ^ ino_seq(parent->ino)) % sb->shard_count);
	return op->mds->map->shard_owner[shard] == sb->index ? shard : ino_shard(parent->ino);
}

int mds_op_mkdir(struct operation *op, const struct mkdir_req *req, struct mkdir_rep *rep)
{
	struct entry entry;
	struct inode *inode = NULL;
	if (req->stripe_count > 1)
		return fail(EOPNOTSUPP);
	if (req->mdt_index < 0 || (req->mdt_index > 0 && cmap_find(op->mds->map, TARGET_MDT, (uint32_t)req->mdt_index - 1) == NULL))
		return fail(EINVAL);
	if (req->mdt_index > 0 && (uint32_t)req->mdt_index - 1 != op->mds->sb.index)
		return fail(EOPNOTSUPP); /* it owns no shard */
	int rc = enter_free(op, &req->cred, req->parent, req->name, &entry);
	if (rc == 0 && entry.dir->nlink >= NLINK_DIR_MAX)
		rc = fail(EMLINK);
	if (rc == 0)
		rc = lease_recall(op, entry.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0)
		rc = inode_make(op, &req->cred, entry.dir, S_IFDIR | (req->mode & 07777), req->umask,
				shard_for_dir(op, entry.dir, req->name), &inode);
	if (rc < 0)
		return rc;
	inode->nlink = 2;
	inode->parent = req->parent;
	inode->default_layout = entry.dir->default_layout;
	entry.dir->nlink++;
	link_into(op, &entry, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, true, LEASE_NONE); /* it is empty, and nobody else knows it */
	return 0;
}

static bool type_allowed(uint32_t mode)
{
	return S_ISREG(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

int mds_op_mknod(struct operation *op, const struct mknod_req *req, struct mknod_rep *rep)
{
	struct entry entry;
	struct inode *inode = NULL;
	struct blob layout = {0};
	if (!type_allowed(req->mode))
		return fail(EINVAL);
	bool whiteout = S_ISCHR(req->mode) && req->rdev == 0; /* anybody may hide a name, as Linux has it since 5.8 */
	if ((S_ISCHR(req->mode) || S_ISBLK(req->mode)) && !whiteout && req->cred.uid != 0)
		return fail(EPERM);
	int rc = enter_free(op, &req->cred, req->parent, req->name, &entry);
	if (rc == 0 && S_ISREG(req->mode))
		rc = place_layout(op, entry.dir, (struct blob){0}, 1, &layout);
	if (rc == 0)
		rc = lease_recall(op, entry.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0)
		rc = inode_make(op, &req->cred, entry.dir, req->mode & (S_IFMT | 07777), req->umask, ino_shard(req->parent), &inode);
	if (rc < 0)
		return rc;
	inode->rdev = S_ISCHR(req->mode) || S_ISBLK(req->mode) ? req->rdev : 0;
	inode->layout = layout;
	inode->layout_gen = S_ISREG(req->mode);
	link_into(op, &entry, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return 0;
}

int mds_op_symlink(struct operation *op, const struct symlink_req *req, struct symlink_rep *rep)
{
	struct entry entry;
	struct inode *inode = NULL;
	if (req->target.len == 0)
		return fail(ENOENT);
	if (req->target.len > SYMLINK_BYTES_MAX)
		return fail(ENAMETOOLONG);
	int rc = enter_free(op, &req->cred, req->parent, req->name, &entry);
	if (rc == 0)
		rc = lease_recall(op, entry.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0)
		rc = inode_make(op, &req->cred, entry.dir, S_IFLNK | 0777, 0, ino_shard(req->parent), &inode);
	if (rc < 0)
		return rc;
	inode->size_bytes = req->target.len;
	struct wire_out out = op_buffer(op, req->target.len + 8);
	text_encode(blob_of(req->target.ptr, req->target.len), &out);
	op_put(op, key_of(TABLE_symlink, inode->ino), blob_of(out.base, wire_len(&out)));
	link_into(op, &entry, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return 0;
}
