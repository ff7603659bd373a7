/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes. */
#include "mds/acl.h"
#include "mds/mds_impl.h"

#include <sys/stat.h>

enum { FLAG_CREATE = 1, FLAG_REPLACE = 2 };

static int check_name(struct str name)
{
	if (name.len == 0 || name.len > XATTR_NAME_BYTES_MAX)
		return fail(ERANGE);
	return memchr(name.ptr, 0, name.len) != NULL ? fail(EINVAL) : 0;
}

/* The inode under its gate, and the attribute's record. Parks. */
static int enter(struct operation *op, const struct cred *cred, struct ino ino, struct str name, bool write, struct inode **ret_inode,
		 struct rec **ret_rec)
{
	int rc = check_name(name);
	if (rc == 0)
		rc = op_gates(op, &(struct gate_want){ino, write ? GATE_EXCLUSIVE : GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, ino, ret_inode);
	if (rc == 0)
		rc = perm_xattr(cred, *ret_inode, name, write);
	if (rc == 0)
		rc = op_load(op, key_xattr(ino, name), ret_rec);
	return rc;
}

int mds_op_getxattr(struct operation *op, const struct getxattr_req *req, struct getxattr_rep *rep)
{
	struct inode *inode = NULL;
	struct rec *rec = NULL;
	struct blob value;
	int rc = enter(op, &req->cred, req->ino, req->name, false, &inode, &rec);
	if (rc < 0)
		return rc;
	if (!rec->present)
		return fail(ENODATA);
	rc = text_decode(rec->value, &value);
	if (rc < 0)
		return mds_corrupt(op->mds, blob_of(rec->key, rec->key_len), rc);
	rep->value = blob_of(arena_dup(op->arena, value.ptr, value.len), value.len);
	return 0;
}

/* The mode follows the list; set-group-id stays for a member of the group only, as with chmod. */
static int set_list(struct operation *op, const struct cred *cred, struct inode *inode, bool is_default, struct blob acl)
{
	int member = is_default || cred->uid == 0 || (inode->mode & S_ISGID) == 0 ? 1 : perm_in_group(cred, inode->gid);
	if (member < 0)
		return member;
	int rc = lease_recall(op, inode, LEASE_CHANGE_ATTR);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (!member && acl_count(acl) > 0)
		inode->mode &= ~(uint32_t)S_ISGID;
	inode_set_acl(op, inode, is_default, acl);
	inode->ctime_ns = op->now_ns;
	op_save(op, inode);
	return 0;
}

int mds_op_setxattr(struct operation *op, const struct setxattr_req *req, struct setxattr_rep *rep)
{
	struct inode *inode = NULL;
	struct rec *rec = NULL;
	if (req->value.len > XATTR_VALUE_BYTES_MAX - 1)
		return fail(E2BIG);
	if ((req->flags & ~(uint32_t)(FLAG_CREATE | FLAG_REPLACE)) != 0)
		return fail(EINVAL);
	int rc = enter(op, &req->cred, req->ino, req->name, true, &inode, &rec);
	if (rc < 0)
		return rc;
	bool is_list = acl_is_name(req->name);
	rc = is_list ? acl_check(req->value) : 0;
	if (rc < 0)
		return rc;
	if (rec->present && (req->flags & FLAG_CREATE) != 0)
		return fail(EEXIST);
	if (!rec->present && (req->flags & FLAG_REPLACE) != 0)
		return fail(ENODATA);
	uint64_t old = rec->present ? rec->value.len - 1 + req->name.len : 0; /* without the version byte */
	uint64_t bytes = inode->xattr_bytes - min_u64(old, inode->xattr_bytes) + req->value.len + req->name.len;
	if (bytes > XATTR_INODE_BYTES_MAX)
		return fail(ENOSPC);
	if (is_list) {
		rc = set_list(op, &req->cred, inode, str_eq(req->name, ACL_DEFAULT), req->value);
		rep->change = inode->change;
		return rc;
	}
	rc = lease_recall(op, inode, LEASE_CHANGE_ATTR);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	inode->xattr_bytes = (uint32_t)bytes;
	inode->xattr_count += !rec->present;
	inode->ctime_ns = op->now_ns;
	struct wire_out out = op_buffer(op, req->value.len + 8);
	text_encode(req->value, &out);
	op_put_rec(op, rec, blob_of(out.base, wire_len(&out)));
	op_save(op, inode);
	rep->change = inode->change;
	return 0;
}

int mds_op_removexattr(struct operation *op, const struct removexattr_req *req, struct removexattr_rep *rep)
{
	struct inode *inode = NULL;
	struct rec *rec = NULL;
	int rc = enter(op, &req->cred, req->ino, req->name, true, &inode, &rec);
	if (rc < 0)
		return rc;
	if (!rec->present)
		return acl_is_name(req->name) ? 0 : fail(ENODATA); /* a mode is a list, too: there is nothing to be done */
	if (acl_is_name(req->name)) {
		rc = set_list(op, &req->cred, inode, str_eq(req->name, ACL_DEFAULT), (struct blob){0});
		rep->change = inode->change;
		return rc;
	}
	rc = lease_recall(op, inode, LEASE_CHANGE_ATTR);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	uint64_t bytes = rec->value.len - 1 + req->name.len;
	inode->xattr_bytes -= (uint32_t)min_u64(bytes, inode->xattr_bytes);
	inode->xattr_count -= inode->xattr_count > 0;
	inode->ctime_ns = op->now_ns;
	op_put_rec(op, rec, (struct blob){0});
	op_save(op, inode);
	rep->change = inode->change;
	return 0;
}

int mds_op_listxattr(struct operation *op, const struct listxattr_req *req, struct listxattr_rep *rep)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc < 0)
		return rc;
	if (inode->xattr_count == 0)
		return 0;
	struct wire_out out = op_buffer(op, XATTR_VALUE_BYTES_MAX);
	struct key start = key_xattr(req->ino, (struct str){0}), end = key_end(start);
	for (bool more = true; more;) {
		struct kv_pair *pairs = NULL;
		int count = op_scan(op, inode, start, end, 256, 2 * XATTR_VALUE_BYTES_MAX, &pairs, &more);
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			struct key_parts parts;
			rc = key_parse(pairs[i].key, &parts);
			if (rc < 0)
				return mds_corrupt(op->mds, pairs[i].key, rc);
			start = key_after(pairs[i].key);
			if (perm_xattr(&req->cred, inode, parts.name, false) == -ENODATA)
				continue; /* not for this caller's eyes */
			wire_put_bytes(&out, parts.name.ptr, parts.name.len);
			wire_put_u8(&out, 0);
		}
		more = more && count > 0;
	}
	rep->names = blob_of(out.base, wire_len(&out));
	return out.err < 0 ? fail(E2BIG) : 0;
}
