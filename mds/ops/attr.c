/* SPDX-License-Identifier: Apache-2.0
 * lookup, getattr, setattr, readlink, set_size, touch, statfs. */
#include "mds/acl.h"
#include "mds/mds_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

/* Parks, for data. */
static int grant_found(struct operation *op, struct inode *inode, bool reads, struct lookup_rep *rep)
{
	const struct hold *own = hold_find(file_find(&op->mds->sessions, inode->ino), op->client);
	struct blob data = {0};
	reads = reads && S_ISREG(inode->mode) && (own == NULL || own->data == LEASE_NONE);
	int rc = reads ? inline_load(op, inode, &data) : 0;
	if (rc < 0)
		return rc;
	bool granted = reads && op->mds->identity.state == TARGET_UP && lease_is_free(op, inode->ino, LEASE_PR);
	rep->lease = lease_grant(op, inode, false, granted ? LEASE_PR : LEASE_NONE);
	if (!granted)
		return 0;
	rep->layout = inode->layout;
	rep->has_data = inline_answer(inode, &rep->lease, false, data, &rep->data);
	return 0;
}

int mds_op_lookup(struct operation *op, const struct lookup_req *req, struct lookup_rep *rep)
{
	struct inode *inode = NULL;
	struct entry entry;
	int rc;
	if (str_eq(req->name, STR("..")) || str_eq(req->name, STR("."))) {
		rc = op_gates(op, &(struct gate_want){req->parent, GATE_SHARED}, 1);
		if (rc == 0)
			rc = op_inode(op, req->parent, &inode);
		if (rc == 0 && !S_ISDIR(inode->mode))
			return fail(ENOTDIR);
		if (rc == 0 && req->name.len == 2) {
			struct ino parent = inode->parent;
			rc = op_gates(op, &(struct gate_want){parent, GATE_SHARED}, 1);
			if (rc == 0)
				rc = op_inode(op, parent, &inode);
		}
		if (rc < 0)
			return rc;
		rc = lease_attr(op, inode, &rep->attr);
		if (rc == 0)
			rep->lease = lease_grant(op, inode, false, LEASE_NONE);
		return rc;
	}
	rc = name_check(req->name);
	if (rc == 0)
		rc = entry_enter(op, req->parent, req->name, GATE_SHARED, GATE_SHARED, &entry);
	if (rc == 0)
		rc = perm_check(&req->cred, entry.dir, MAY_EXEC);
	if (rc < 0)
		return rc;
	if (entry.child == NULL && (req->flags & LOOKUP_ABSENT_OK) == 0)
		return fail(ENOENT);
	rc = entry.child != NULL ? lease_attr(op, entry.child, &rep->attr) : 0;
	if (rc == 0 && entry.child != NULL)
		rc = grant_found(op, entry.child, (req->flags & LOOKUP_READS) != 0, rep);
	if (rc < 0)
		return rc;
	rep->dir_lease = lease_grant(op, entry.dir, true, LEASE_NONE);
	return 0;
}

int mds_op_getattr(struct operation *op, const struct getattr_req *req, struct getattr_rep *rep)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0)
		rc = lease_attr(op, inode, &rep->attr);
	if (rc == 0)
		rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return rc;
}

static int check_size_change(const struct inode *inode, uint64_t size_bytes)
{
	if (S_ISDIR(inode->mode))
		return fail(EISDIR);
	if (!S_ISREG(inode->mode))
		return fail(EINVAL);
	return size_bytes > INT64_MAX ? fail(EFBIG) : 0;
}

static void set_times(struct operation *op, struct inode *inode, const struct setattr_req *req)
{
	if (req->valid & SET_ATIME)
		inode->atime_ns = req->atime_ns;
	if (req->valid & SET_MTIME)
		inode->mtime_ns = req->mtime_ns;
	if (req->valid & SET_ATIME_NOW)
		inode->atime_ns = op->now_ns;
	if (req->valid & (SET_ATIME | SET_ATIME_NOW))
		inode->atime_gen++;
	if (req->valid & SET_MTIME_NOW)
		inode->mtime_ns = op->now_ns;
	if (req->valid & (SET_MTIME | SET_MTIME_NOW))
		inode->modified_ns = op->now_ns > inode->modified_ns ? op->now_ns : inode->modified_ns; /* writers' clocks may be ahead */
	inode->ctime_ns = op->now_ns;
}

/* A truncation is like a write; whoever sets mtime must not be overtaken by the time of a write that came before. */
static uint8_t recall_keep(uint32_t valid)
{
	if (valid & SET_SIZE)
		return LEASE_NONE;
	return (valid & (SET_MTIME | SET_MTIME_NOW)) != 0 ? LEASE_PR : LEASE_PW;
}

/* The access list follows the mode. */
static void change_list(struct operation *op, struct inode *inode)
{
	uint8_t *acl = arena_dup(op->arena, inode->acl.ptr, inode->acl.len);
	acl_set_mode(acl, inode->acl.len, inode->mode);
	inode_set_acl(op, inode, false, blob_of(acl, inode->acl.len));
}

int mds_op_setattr(struct operation *op, const struct setattr_req *req, struct setattr_rep *rep)
{
	struct inode *inode = NULL;
	struct blob data = {0};
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0 && (req->valid & SET_SIZE) != 0)
		rc = check_size_change(inode, req->size_bytes);
	if (rc < 0)
		return rc;
	struct open_file *open = req->handle != 0 ? open_find(op->session, req->handle) : NULL;
	struct perm_change change = {
		.valid = req->valid,
		.mode = req->mode,
		.uid = req->uid,
		.gid = req->gid,
		.owns_handle = open != NULL && ino_eq(open->file->ino, req->ino) && (open->flags & OPEN_WRITE) != 0,
	};
	rc = perm_setattr(&req->cred, inode, &change);
	if (rc == 0)
		rc = lease_recall(op, inode, (struct lease_change){.attr = true, .data_keep = recall_keep(req->valid)});
	if (rc == 0 && (req->valid & SET_SIZE) != 0)
		rc = inline_load(op, inode, &data);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (req->valid & SET_SIZE)
		inode_truncate(op, inode, req->size_bytes, data);
	if ((req->valid & SET_MODE) != 0 && inode->acl.len > 0)
		change_list(op, inode);
	set_times(op, inode, req);
	op_save(op, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return 0;
}

int mds_op_readlink(struct operation *op, const struct readlink_req *req, struct readlink_rep *rep)
{
	struct inode *inode = NULL;
	struct rec *rec = NULL;
	struct blob target;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0 && !S_ISLNK(inode->mode))
		return fail(EINVAL);
	if (rc == 0)
		rc = op_load(op, key_of(TABLE_symlink, req->ino), &rec);
	if (rc < 0)
		return rc;
	rc = rec->present ? text_decode(rec->value, &target) : fail(ERR_corrupt);
	if (rc < 0)
		return mds_corrupt(op->mds, blob_of(rec->key, rec->key_len), rc);
	rep->target = arena_str(op->arena, (struct str){(const char *)target.ptr, target.len});
	return 0;
}

int mds_op_set_size(struct operation *op, const struct set_size_req *req, struct set_size_rep *rep)
{
	struct inode *inode = NULL;
	bool changed = false;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0 && !S_ISREG(inode->mode))
		return fail(EINVAL);
	if (rc == 0 && mark_find(&op->mds->sessions, req->ino, op->client) == NULL)
		return fail(EPERM); /* it has never opened it to write */
	if (rc == 0 && (req->flags & (SIZE_INLINE | SIZE_OUTLINE)) != 0 && !lease_may_place(op, req->ino, req->lease_number))
		return fail(EPERM); /* sent before its right to write was recalled: the answer to the recall had what counts */
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0 && (req->flags & SIZE_VALID) != 0)
		rc = inode_publish(op, inode, req->flags, req->size_gen, req->size_bytes, req->mtime_ns, req->blocks, &changed);
	if (rc < 0)
		return rc;
	changed = inline_take(op, inode, req->flags, req->data) || changed;
	if (req->flags & SIZE_ATIME)
		changed = inode_raise_atime(inode, req->atime_ns, req->atime_gen) || changed;
	if ((req->flags & SIZE_LAST_WRITER) != 0 && lease_end_write(op, req->ino, req->lease_number)) {
		op_erase(op, key_writer(req->ino, op->client));
		mark_end(op->mds, req->ino, op->client);
	}
	if (changed)
		op_save(op, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, LEASE_NONE);
	return 0;
}

int mds_op_touch(struct operation *op, const struct touch_req *req, struct touch_rep *rep)
{
	struct wire_in in = wire_in(req->rows);
	if (op->mds->identity.state != TARGET_UP)
		return fail(ERR_grace);
	if (req->rows.len > (size_t)ATIME_ROWS_MAX * ATIME_ROW_BYTES)
		return fail(ERR_malformed);
	while (wire_left(&in) > 0) {
		struct inode *inode = NULL;
		struct atime_row row = atime_row_get(&in);
		if (in.err < 0)
			return fail(ERR_malformed);
		int rc = op_gates(op, &(struct gate_want){row.ino, GATE_EXCLUSIVE}, 1);
		if (rc == 0)
			rc = op_inode(op, row.ino, &inode);
		if (rc == 0)
			rc = op_mutate(op);
		if (rc == -ERR_evicted || err_is(rc, ERR_retry))
			return rc; /* those before stay: a repeat changes nothing of them */
		if (rc < 0)
			continue; /* it is gone, or cannot be read: nobody minds when it was */
		if (!inode_raise_atime(inode, row.atime_ns, row.atime_gen))
			continue;
		op_save(op, inode);
		rep->raised++;
	}
	return 0;
}

int mds_op_statfs(struct operation *op, const struct statfs_req *req, struct statfs_rep *rep)
{
	enum { INODE_COST_BYTES = 1024 }; /* of the store, with its entry and back pointer: an estimate */
	struct mds *mds = op->mds;
	struct disk_space space = {0};
	(void)req;
	rep->inodes_used = mds->inodes;
	if (mds->env->disk == NULL)
		return 0;
	int rc = mds->env->disk->ops->space(mds->env->disk, &space);
	if (rc < 0)
		return rc;
	rep->total_bytes = space.total_bytes;
	rep->free_bytes = space.free_bytes;
	rep->available_bytes = space.available_bytes;
	rep->inodes_free = space.available_bytes / INODE_COST_BYTES;
	return 0;
}
