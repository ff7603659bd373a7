/* SPDX-License-Identifier: Apache-2.0
 * What operations on the model must answer: in the order in which Linux looks, checks and refuses. */
#include "tests/sim/oracle.h"

static int64_t predict_open(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	int rc = model_lookup(model, op->path, &inode);
	if (rc == -ENOENT && (op->flags & MO_CREATE)) {
		struct model_inode *dir;
		const char *last;
		return model_walk(model, op->path, &dir, &last);
	}
	if (rc < 0)
		return rc;
	if ((op->flags & MO_CREATE) && (op->flags & MO_EXCL))
		return -EEXIST;
	if (inode->kind == MODEL_SYMLINK)
		return -ELOOP; /* O_NOFOLLOW */
	if (inode->kind == MODEL_DIR)
		return (op->flags & (MO_WRITE | MO_CREATE | MO_TRUNC)) ? -EISDIR : 0;
	return inode->kind == MODEL_WHITEOUT ? -ENXIO : 0; /* nobody drives device 0:0 */
}

/* A new name at path: 0, or why not. */
static int64_t predict_new(struct model *model, const char *path)
{
	struct model_inode *dir;
	const char *last;
	if (path[0] == '\0')
		return -EEXIST;
	int rc = model_walk(model, path, &dir, &last);
	if (rc < 0)
		return rc;
	return model_entry_find(dir, last) != NULL ? -EEXIST : 0;
}

static int64_t predict_remove(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	int rc = model_lookup(model, op->path, &inode);
	if (rc < 0)
		return rc;
	if (op->kind == MOP_UNLINK)
		return inode->kind == MODEL_DIR ? -EISDIR : 0;
	if (inode->kind != MODEL_DIR)
		return -ENOTDIR;
	return list_is_empty(&inode->entries) ? 0 : -ENOTEMPTY;
}

static bool is_above(const struct model_inode *upper, const struct model_inode *lower)
{
	for (; lower != NULL; lower = lower->parent)
		if (lower == upper)
			return true;
	return false;
}

/* In the order of Linux: look both up, then flags, then what VFS checks, then what the file system does. */
static int64_t predict_rename(struct model *model, const struct model_op *op)
{
	struct model_inode *from_dir, *to_dir, *from = NULL, *to = NULL;
	const char *from_last, *to_last;
	int rc = model_walk(model, op->path, &from_dir, &from_last);
	if (rc == 0)
		rc = model_walk(model, op->to, &to_dir, &to_last);
	if (rc < 0)
		return rc;
	struct model_entry *from_entry = model_entry_find(from_dir, from_last);
	struct model_entry *to_entry = model_entry_find(to_dir, to_last);
	from = from_entry != NULL ? from_entry->inode : NULL;
	to = to_entry != NULL ? to_entry->inode : NULL;
	if (from == NULL)
		return -ENOENT;
	if ((op->flags & MR_NOREPLACE) && to != NULL)
		return -EEXIST;
	if ((op->flags & MR_EXCHANGE) && to == NULL)
		return -ENOENT;
	if (is_above(from, to_dir)) /* the ancestor that is moved below itself */
		return -EINVAL;
	if (to != NULL && is_above(to, from_dir))
		return (op->flags & MR_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
	if (from == to)
		return 0;
	if (to == NULL || (op->flags & MR_EXCHANGE))
		return 0;
	if (from->kind == MODEL_DIR && to->kind != MODEL_DIR)
		return -ENOTDIR;
	if (from->kind != MODEL_DIR && to->kind == MODEL_DIR)
		return -EISDIR;
	return to->kind == MODEL_DIR && !list_is_empty(&to->entries) ? -ENOTEMPTY : 0;
}

static int64_t predict_link(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	int rc = model_lookup(model, op->path, &inode);
	if (rc < 0)
		return rc;
	int64_t new_rc = predict_new(model, op->to);
	if (new_rc < 0)
		return new_rc;
	return inode->kind == MODEL_DIR ? -EPERM : 0;
}

static int64_t predict_tmpfile(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	int rc = model_lookup(model, op->path, &inode);
	if (rc < 0)
		return rc;
	return inode->kind == MODEL_DIR ? 0 : inode->kind == MODEL_SYMLINK ? -ELOOP : -ENOTDIR;
}

static int64_t predict_link_handle(struct model *model, const struct model_op *op)
{
	const struct model_inode *inode = model->handles[op->handle].inode;
	if (inode == NULL)
		return -EBADF;
	int64_t rc = predict_new(model, op->to);
	if (rc < 0)
		return rc;
	if (inode->kind == MODEL_DIR)
		return -EPERM;
	return inode->nlink == 0 && !inode->linkable ? -ENOENT : 0;
}

static int64_t predict_xattr(const struct model_inode *inode, const struct model_op *op)
{
	const struct model_xattr *xattr = &inode->xattrs[op->xattr];
	if (inode->kind != MODEL_FILE && inode->kind != MODEL_DIR) /* user.* is for files and directories */
		return op->kind == MOP_LISTXATTR ? 0 : op->kind == MOP_SETXATTR || op->kind == MOP_REMOVEXATTR ? -EPERM : -ENODATA;
	if (op->kind == MOP_SETXATTR)
		return 0;
	if (xattr->len == 0)
		return -ENODATA;
	return op->kind == MOP_GETXATTR || op->kind == MOP_FGETXATTR ? (int64_t)xattr->len : 0;
}

static int64_t predict_handle(struct model *model, const struct model_op *op)
{
	struct model_handle *handle = &model->handles[op->handle];
	if (handle->inode == NULL)
		return -EBADF;
	if (op->kind == MOP_READ) {
		if (!handle->read)
			return -EBADF;
		uint64_t size = handle->inode->data.size;
		return (int64_t)(op->offset >= size ? 0 : min_u64(op->len, size - op->offset));
	}
	if (op->kind == MOP_WRITE)
		return handle->write ? (int64_t)op->len : -EBADF;
	if (op->kind == MOP_FTRUNCATE)
		return handle->write ? 0 : -EINVAL;
	if (op->kind == MOP_COPY)
		return model_copy_predict(model, op);
	if (op->kind == MOP_FALLOCATE)
		return op->len == 0 ? -EINVAL : handle->write ? 0 : -EBADF;
	return op->kind == MOP_FGETXATTR ? predict_xattr(handle->inode, op) : 0;
}

static int64_t predict_acl(const struct model_inode *inode, const struct model_op *op)
{
	if (op->kind == MOP_GETACL)
		return (op->is_default ? inode->default_acl : inode->acl).there ? MODEL_ACL_BYTES : -ENODATA;
	if (inode->kind == MODEL_SYMLINK)
		return -EOPNOTSUPP;
	return op->is_default && inode->kind != MODEL_DIR ? -EACCES : 0;
}

static int64_t predict_inode(const struct model_inode *inode, const struct model_op *op)
{
	switch (op->kind) {
	case MOP_TRUNCATE:
		return inode->kind == MODEL_DIR ? -EISDIR : inode->kind != MODEL_FILE ? -EINVAL : 0;
	case MOP_READLINK:
		return inode->kind == MODEL_SYMLINK ? (int64_t)strlen(inode->target) : -EINVAL;
	case MOP_CHMOD:
		return inode->kind == MODEL_SYMLINK ? -EOPNOTSUPP : 0;
	case MOP_READDIR:
		return inode->kind == MODEL_DIR ? 0 : -ENOTDIR;
	case MOP_SETXATTR:
	case MOP_GETXATTR:
	case MOP_REMOVEXATTR:
		return predict_xattr(inode, op);
	case MOP_SETACL:
	case MOP_GETACL:
		return predict_acl(inode, op);
	default:
		return 0;
	}
}

int64_t model_predict(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	int rc;
	switch (op->kind) {
	case MOP_OPEN:
		return predict_open(model, op);
	case MOP_CLOSE:
	case MOP_WRITE:
	case MOP_READ:
	case MOP_FSYNC:
	case MOP_FTRUNCATE:
	case MOP_FSTAT:
	case MOP_FCHMOD:
	case MOP_FGETXATTR:
	case MOP_FALLOCATE:
	case MOP_SEEK:
	case MOP_COPY:
		return predict_handle(model, op);
	case MOP_MKDIR:
	case MOP_MKNOD:
	case MOP_SYMLINK:
		return predict_new(model, op->path);
	case MOP_RMDIR:
	case MOP_UNLINK:
		return predict_remove(model, op);
	case MOP_RENAME:
		return predict_rename(model, op);
	case MOP_LINK:
		return predict_link(model, op);
	case MOP_TMPFILE:
		return predict_tmpfile(model, op);
	case MOP_LINK_HANDLE:
		return predict_link_handle(model, op);
	case MOP_STATFS:
		return 0;
	case MOP_SETSTRIPE:
	default:
		rc = model_lookup(model, op->path, &inode);
		return rc < 0 ? rc : predict_inode(inode, op);
	}
}
