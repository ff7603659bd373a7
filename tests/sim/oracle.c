/* SPDX-License-Identifier: Apache-2.0
 * The model's tree and its changes. What operations must answer is in oracle_predict.c, how they are drawn in oracle_draw.c. */
#include "tests/sim/oracle.h"
#include "common/base/check.h"

#include <stdio.h>

static const char *const op_names[MOP_COUNT] = {
	"open", "close", "write", "read", "fsync", "ftruncate", "fstat", "truncate", "stat", "mkdir", "rmdir", "unlink", "rename", "link",
	"symlink", "readlink", "mknod", "chmod", "chown", "utimens", "setxattr", "getxattr", "removexattr", "listxattr", "readdir",
	"statfs", "setstripe", "tmpfile", "link_handle", "fchmod", "fgetxattr", "fallocate", "seek", "setacl", "getacl", "copy",
};

const char *model_op_name(enum model_op_kind kind)
{
	return op_names[kind];
}

void model_op_text(const struct model_op *op, char *ret_text, size_t size)
{
	(void)snprintf(ret_text, size, "%s \"%s\" \"%s\" h%u f%x off %llu len %llu", op_names[op->kind], op->path, op->to, op->handle,
		       op->flags, (unsigned long long)op->offset, (unsigned long long)op->len);
}

/* ---- the tree ------------------------------------------------------------------------------------------------- */

static struct model_inode *inode_new(struct model *model, enum model_kind kind, uint32_t mode)
{
	struct model_inode *inode = mem_alloc(sizeof(*inode));
	inode->kind = kind;
	inode->mode = mode;
	inode->nlink = kind == MODEL_DIR ? 2 : 1;
	list_init(&inode->entries);
	list_init(&inode->unsynced);
	image_init(&inode->data);
	image_init(&inode->synced);
	list_push_back(&model->inodes, &inode->link);
	return inode;
}

static void unsynced_drop(struct model_inode *inode)
{
	struct list_node *link;
	while ((link = list_pop_front(&inode->unsynced)) != NULL)
		mem_free(CONTAINER_OF(link, struct model_write, link));
}

static void inode_free(struct model_inode *inode)
{
	struct list_node *link;
	while ((link = list_pop_front(&inode->entries)) != NULL)
		mem_free(CONTAINER_OF(link, struct model_entry, link));
	unsynced_drop(inode);
	image_fini(&inode->data);
	image_fini(&inode->synced);
	list_remove(&inode->link);
	mem_free(inode);
}

static void inode_put(struct model_inode *inode)
{
	if (inode->nlink == 0 && inode->opens == 0)
		inode_free(inode);
}

struct model *model_new(void)
{
	struct model *model = mem_alloc(sizeof(*model));
	list_init(&model->inodes);
	model->root = inode_new(model, MODEL_DIR, 0755);
	return model;
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	while (list_first(&model->inodes) != NULL)
		inode_free(CONTAINER_OF(list_first(&model->inodes), struct model_inode, link));
	mem_free(model);
}

struct model_entry *model_entry_find(struct model_inode *dir, const char *name)
{
	list_for_each(at, &dir->entries) {
		struct model_entry *entry = CONTAINER_OF(at, struct model_entry, link);
		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

static void entry_add(struct model_inode *dir, const char *name, struct model_inode *inode)
{
	struct model_entry *entry = mem_alloc(sizeof(*entry));
	(void)snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->inode = inode;
	list_push_back(&dir->entries, &entry->link);
	if (inode->kind == MODEL_DIR) {
		inode->parent = dir;
		dir->nlink++;
	}
}

static void entry_remove(struct model_inode *dir, struct model_entry *entry)
{
	if (entry->inode->kind == MODEL_DIR)
		dir->nlink--;
	list_remove(&entry->link);
	mem_free(entry);
}

static void clone_writes(struct model_inode *to, const struct model_inode *from)
{
	list_for_each(at, &from->unsynced) {
		struct model_write *write = CONTAINER_OF(at, struct model_write, link);
		struct model_write *copy = mem_dup(write, sizeof(*write) + (size_t)write->len);
		list_push_back(&to->unsynced, &copy->link);
	}
}

struct model *model_clone(const struct model *model)
{
	struct model *clone = mem_alloc(sizeof(*clone));
	list_init(&clone->inodes);
	list_for_each(at, &model->inodes) {
		struct model_inode *from = CONTAINER_OF(at, struct model_inode, link);
		struct model_inode *to = inode_new(clone, from->kind, from->mode);
		struct model_inode blank = *to;
		*to = *from;
		to->link = blank.link;
		to->link.next->prev = to->link.prev->next = &to->link;
		list_init(&to->entries);
		list_init(&to->unsynced);
		image_init(&to->data);
		image_init(&to->synced);
		image_copy(&to->data, &from->data);
		image_copy(&to->synced, &from->synced);
		clone_writes(to, from);
		from->copy = to;
	}
	list_for_each(at, &model->inodes) {
		struct model_inode *from = CONTAINER_OF(at, struct model_inode, link);
		from->copy->parent = from->parent != NULL ? from->parent->copy : NULL;
		list_for_each(link, &from->entries) {
			struct model_entry *entry = CONTAINER_OF(link, struct model_entry, link);
			struct model_entry *copy = mem_dup(entry, sizeof(*entry));
			copy->inode = entry->inode->copy;
			list_push_back(&from->copy->entries, &copy->link);
		}
	}
	clone->root = model->root->copy;
	for (size_t i = 0; i < MODEL_HANDLES; i++) {
		clone->handles[i] = model->handles[i];
		if (clone->handles[i].inode != NULL)
			clone->handles[i].inode = clone->handles[i].inode->copy;
	}
	return clone;
}

int model_walk(struct model *model, const char *path, struct model_inode **ret_dir, const char **ret_last)
{
	struct model_inode *dir = model->root;
	for (;;) {
		const char *slash = strchr(path, '/');
		if (slash == NULL)
			break;
		char name[MODEL_NAME_BYTES];
		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		struct model_entry *entry = model_entry_find(dir, name);
		if (entry == NULL)
			return -ENOENT;
		if (entry->inode->kind == MODEL_SYMLINK)
			return -ELOOP; /* the model of the kernel does not follow any */
		if (entry->inode->kind != MODEL_DIR)
			return -ENOTDIR;
		dir = entry->inode;
		path = slash + 1;
	}
	*ret_dir = dir;
	*ret_last = path;
	return 0;
}

int model_lookup(struct model *model, const char *path, struct model_inode **ret_inode)
{
	struct model_inode *dir;
	const char *last;
	if (path[0] == '\0') {
		*ret_inode = model->root;
		return 0;
	}
	int rc = model_walk(model, path, &dir, &last);
	if (rc < 0)
		return rc;
	struct model_entry *entry = model_entry_find(dir, last);
	if (entry == NULL)
		return -ENOENT;
	*ret_inode = entry->inode;
	return 0;
}

struct model_inode *model_find(struct model *model, const char *path)
{
	struct model_inode *inode = NULL;
	return model_lookup(model, path, &inode) == 0 ? inode : NULL;
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

void model_data_fill(uint64_t seed, uint8_t *buf, size_t len)
{
	uint64_t v = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			v = (v ^ (v >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
		buf[i] = (uint8_t)(v >> (i % 8 * 8));
	}
}

static void file_synced(struct model_inode *inode)
{
	unsynced_drop(inode);
	image_copy(&inode->synced, &inode->data);
	inode->size_min = inode->size_max = inode->data.size;
}

static void size_seen(struct model_inode *inode, uint64_t size)
{
	inode->size_min = min_u64(inode->size_min, size);
	inode->size_max = max_u64(inode->size_max, size);
}

void model_file_put(struct model_inode *inode, struct model_write *write, bool doubtful)
{
	if (!doubtful)
		image_write(&inode->data, write->data, (size_t)write->len, write->offset);
	size_seen(inode, max_u64(inode->data.size, write->offset + write->len));
	list_push_back(&inode->unsynced, &write->link);
	inode->mtime_known = false;
}

static void file_write(struct model_inode *inode, uint64_t offset, uint64_t len, uint64_t seed, bool doubtful)
{
	struct model_write *write = mem_alloc(sizeof(*write) + (size_t)len);
	write->offset = offset;
	write->len = len;
	model_data_fill(seed, write->data, (size_t)len);
	model_file_put(inode, write, doubtful);
}

/* Whatever a truncation cut off may, if the client crashed in it, still be there: it is in `synced` or `unsynced`. */
static void file_truncate(struct model_inode *inode, uint64_t size, bool doubtful)
{
	inode->mtime_known = false;
	if (doubtful) {
		size_seen(inode, size);
		return;
	}
	image_truncate(&inode->data, size);
	file_synced(inode);
}

/* lost_before: what was not saved may be gone by then. */
static void file_truncate_by_name(struct model_inode *inode, uint64_t size, bool lost_before)
{
	if (!lost_before) {
		file_truncate(inode, size, false);
		return;
	}
	image_truncate(&inode->data, size);
	inode->size_min = inode->size_max = size;
	inode->mtime_known = false;
}

void model_acl_fill(const struct model_acl *acl, uint32_t mode, uint8_t ret_value[MODEL_ACL_BYTES])
{
	const uint32_t entries[5][3] = {{0x01, mode >> 6 & 7, UINT32_MAX}, {0x02, acl->user, MODEL_ACL_USER}, {0x04, acl->group, UINT32_MAX},
					{0x10, mode >> 3 & 7, UINT32_MAX}, {0x20, mode & 7, UINT32_MAX}};
	store_le32(ret_value, 2);
	for (size_t i = 0; i < 5; i++) {
		store_le16(ret_value + 4 + i * 8, (uint16_t)entries[i][0]);
		store_le16(ret_value + 4 + i * 8 + 2, (uint16_t)entries[i][1]);
		store_le32(ret_value + 4 + i * 8 + 4, entries[i][2]);
	}
}

bool model_acl_value(const struct model_inode *inode, bool is_default, uint8_t ret_value[MODEL_ACL_BYTES])
{
	const struct model_acl *acl = is_default ? &inode->default_acl : &inode->acl;
	if (acl->there)
		model_acl_fill(acl, is_default ? acl->mode : inode->mode, ret_value);
	return acl->there;
}

/* Something new in a directory with a default list. */
static void inherit(struct model_inode *inode, const struct model_inode *dir)
{
	if (!dir->default_acl.there || inode->kind == MODEL_SYMLINK)
		return;
	inode->acl = dir->default_acl;
	inode->mode &= dir->default_acl.mode;
	if (inode->kind == MODEL_DIR)
		inode->default_acl = dir->default_acl;
}

static void handle_open(struct model *model, const struct model_op *op, struct model_inode *inode)
{
	model->handles[op->handle] = (struct model_handle){.inode = inode, .read = op->flags & MO_READ, .write = op->flags & MO_WRITE,
							   .append = op->flags & MO_APPEND};
	inode->opens++;
}

static void apply_open(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = model_find(model, op->path);
	if (inode == NULL) {
		struct model_inode *dir;
		const char *last;
		CHECK(model_walk(model, op->path, &dir, &last) == 0);
		inode = inode_new(model, MODEL_FILE, op->mode);
		inherit(inode, dir);
		entry_add(dir, last, inode);
	} else if ((op->flags & MO_TRUNC) && inode->kind == MODEL_FILE) {
		file_truncate(inode, 0, false);
	}
	handle_open(model, op, inode);
}

static void apply_tmpfile(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = inode_new(model, MODEL_FILE, op->mode);
	inode->nlink = 0;
	inode->linkable = (op->flags & MO_EXCL) == 0;
	inherit(inode, model_find(model, op->path));
	handle_open(model, op, inode);
}

static void apply_link(struct model *model, const struct model_op *op, struct model_inode *inode)
{
	struct model_inode *dir;
	const char *last;
	CHECK(model_walk(model, op->to, &dir, &last) == 0);
	entry_add(dir, last, inode);
	inode->nlink++;
	inode->linkable = false;
}

static void apply_new(struct model *model, const struct model_op *op)
{
	struct model_inode *dir;
	const char *last;
	CHECK(model_walk(model, op->path, &dir, &last) == 0);
	enum model_kind kind = op->kind == MOP_MKDIR ? MODEL_DIR : op->kind == MOP_SYMLINK ? MODEL_SYMLINK : MODEL_FIFO;
	struct model_inode *inode = inode_new(model, kind, kind == MODEL_SYMLINK ? 0777 : op->mode);
	if (kind == MODEL_SYMLINK)
		(void)snprintf(inode->target, sizeof(inode->target), "%s", op->to);
	inherit(inode, dir);
	entry_add(dir, last, inode);
}

static void inode_lose_name(struct model_inode *inode)
{
	inode->nlink = inode->kind == MODEL_DIR ? 0 : inode->nlink - 1;
	inode_put(inode);
}

static void apply_remove(struct model *model, const struct model_op *op)
{
	struct model_inode *dir;
	const char *last;
	CHECK(model_walk(model, op->path, &dir, &last) == 0);
	struct model_entry *entry = model_entry_find(dir, last);
	struct model_inode *inode = entry->inode;
	entry_remove(dir, entry);
	inode_lose_name(inode);
}

static void apply_rename(struct model *model, const struct model_op *op)
{
	struct model_inode *from_dir, *to_dir;
	const char *from_last, *to_last;
	CHECK(model_walk(model, op->path, &from_dir, &from_last) == 0 && model_walk(model, op->to, &to_dir, &to_last) == 0);
	struct model_entry *from = model_entry_find(from_dir, from_last), *to = model_entry_find(to_dir, to_last);
	struct model_inode *inode = from->inode, *replaced = to != NULL ? to->inode : NULL;
	if (inode == replaced)
		return;
	entry_remove(from_dir, from);
	if (to != NULL)
		entry_remove(to_dir, to);
	entry_add(to_dir, to_last, inode);
	if (op->flags & MR_WHITEOUT) {
		struct model_inode *whiteout = inode_new(model, MODEL_WHITEOUT, 0);
		inherit(whiteout, from_dir);
		entry_add(from_dir, from_last, whiteout);
	}
	if (op->flags & MR_EXCHANGE)
		entry_add(from_dir, from_last, replaced);
	else if (replaced != NULL)
		inode_lose_name(replaced);
}

static void apply_handle(struct model *model, const struct model_op *op)
{
	struct model_handle *handle = &model->handles[op->handle];
	struct model_inode *inode = handle->inode;
	if (op->kind == MOP_WRITE && op->len > 0) {
		file_write(inode, handle->append ? inode->data.size : op->offset, op->len, op->seed, false);
	} else if (op->kind == MOP_FTRUNCATE) {
		file_truncate(inode, op->len, false);
	} else if (op->kind == MOP_FCHMOD) {
		inode->mode = op->mode;
	} else if (op->kind == MOP_FALLOCATE) {
		model_space_apply(inode, op, false);
	} else if (op->kind == MOP_COPY) {
		model_copy_apply(model, op, false);
	} else if (op->kind == MOP_FSYNC && inode->kind == MODEL_FILE) {
		file_synced(inode);
	} else if (op->kind == MOP_CLOSE) {
		handle->inode = NULL;
		inode->opens--;
		inode_put(inode);
	}
}

static void apply_inode(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = model_find(model, op->path);
	struct model_xattr *xattr = &inode->xattrs[op->xattr];
	switch (op->kind) {
	case MOP_TRUNCATE:
		file_truncate_by_name(inode, op->len, model->lost_before);
		break;
	case MOP_CHMOD:
		inode->mode = op->mode;
		break;
	case MOP_CHOWN:
		inode->uid = op->uid;
		inode->gid = op->gid;
		if (inode->kind != MODEL_DIR) /* Linux clears set-id bits on any chown of a file */
			inode->mode &= inode->kind == MODEL_SYMLINK ? 0777u : (inode->mode & 010) ? ~06000u : ~04000u;
		break;
	case MOP_UTIMENS:
		inode->mtime_known = true;
		inode->mtime_ns = op->time_ns;
		inode->atime_exact = true;
		inode->atime_ns = op->time_ns;
		break;
	case MOP_SETXATTR:
		xattr->len = (size_t)op->len;
		model_data_fill(op->seed, xattr->value, xattr->len);
		break;
	case MOP_REMOVEXATTR:
		xattr->len = 0;
		break;
	case MOP_SETACL:
		*(op->is_default ? &inode->default_acl : &inode->acl) = op->acl;
		if (op->acl.there && !op->is_default)
			inode->mode = op->acl.mode;
		break;
	case MOP_SETSTRIPE:
		inode->stripe_count = (uint32_t)op->len;
		break;
	default:
		break;
	}
}

void model_begin(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	if (op->kind == MOP_READ || op->kind == MOP_COPY)
		inode = model->handles[op->kind == MOP_COPY ? op->from_handle : op->handle].inode;
	else if (op->kind == MOP_READDIR || op->kind == MOP_READLINK)
		inode = model_find(model, op->path);
	if (inode != NULL)
		inode->atime_exact = false;
}

/* Changes of ctime that leave the kernel's pages alone, and those of which the mount does not see who has it open. */
static void note_hidden(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = NULL;
	switch (op->kind) {
	case MOP_SETXATTR:
	case MOP_REMOVEXATTR:
	case MOP_SETACL:
	case MOP_SETSTRIPE:
	case MOP_LINK:
		inode = model_find(model, op->path);
		break;
	case MOP_LINK_HANDLE:
		inode = model->handles[op->handle].inode;
		break;
	case MOP_OPEN:
		inode = model->handles[op->handle].inode;
		if (inode != NULL && (op->flags & MO_WRITE) == 0)
			inode->pages_may_hide = false;
		return;
	case MOP_RENAME: /* the one that is replaced, too */
	case MOP_UNLINK:
		list_for_each(at, &model->inodes)
			CONTAINER_OF(at, struct model_inode, link)->pages_may_hide = true;
		return;
	default:
		return;
	}
	if (inode != NULL)
		inode->pages_may_hide = true;
}

static void apply(struct model *model, const struct model_op *op);

void model_apply(struct model *model, const struct model_op *op)
{
	apply(model, op);
	note_hidden(model, op);
}

static void apply(struct model *model, const struct model_op *op)
{
	switch (op->kind) {
	case MOP_OPEN:
		apply_open(model, op);
		break;
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
		apply_handle(model, op);
		break;
	case MOP_MKDIR:
	case MOP_MKNOD:
	case MOP_SYMLINK:
		apply_new(model, op);
		break;
	case MOP_RMDIR:
	case MOP_UNLINK:
		apply_remove(model, op);
		break;
	case MOP_RENAME:
		apply_rename(model, op);
		break;
	case MOP_LINK:
		apply_link(model, op, model_find(model, op->path));
		break;
	case MOP_LINK_HANDLE:
		apply_link(model, op, model->handles[op->handle].inode);
		break;
	case MOP_TMPFILE:
		apply_tmpfile(model, op);
		break;
	case MOP_STATFS:
		break;
	default:
		apply_inode(model, op);
		break;
	}
}

void model_doubt(struct model *model, const struct model_op *op)
{
	if (op->kind == MOP_WRITE || op->kind == MOP_FTRUNCATE || op->kind == MOP_FALLOCATE || op->kind == MOP_COPY) {
		struct model_handle *handle = &model->handles[op->handle];
		if (handle->inode == NULL)
			return;
		if (op->kind == MOP_WRITE)
			file_write(handle->inode, handle->append ? handle->inode->data.size : op->offset, op->len, op->seed, true);
		else if (op->kind == MOP_FALLOCATE)
			model_space_apply(handle->inode, op, true);
		else if (op->kind == MOP_COPY)
			model_copy_apply(model, op, true);
		else
			file_truncate(handle->inode, op->len, true);
	}
}

void model_refused(struct model *model, const struct model_op *op)
{
	struct model_inode *inode = model->handles[op->handle].inode;
	if (inode == NULL || (op->kind == MOP_FALLOCATE && (op->flags & MA_ZERO) == 0)) /* one that found no space changed nothing */
		return;
	inode->unknown = true;
	inode->mtime_known = false;
}

bool model_is_unknown(const struct model *model, const struct model_op *op)
{
	const struct model_inode *inode = model->handles[op->kind == MOP_COPY ? op->from_handle : op->handle].inode;
	return inode != NULL && inode->unknown;
}

/* ---- checks --------------------------------------------------------------------------------------------------- */

static uint8_t image_byte(const struct image *image, uint64_t offset)
{
	uint8_t byte = 0;
	if (offset < image->size)
		image_read(image, &byte, 1, offset);
	return byte;
}

/* Zeros may stand where a file grew over bytes whose write was lost. */
static bool byte_may_be(const struct model_inode *inode, uint64_t offset, uint8_t byte)
{
	if (image_byte(&inode->synced, offset) == byte || image_byte(&inode->data, offset) == byte)
		return true;
	list_for_each(at, &inode->unsynced) {
		struct model_write *write = CONTAINER_OF(at, struct model_write, link);
		if (offset >= write->offset && offset - write->offset < write->len && write->data[offset - write->offset] == byte)
			return true;
	}
	return false;
}

int64_t model_check_data(const struct model_inode *inode, bool crashed, const uint8_t *buf, size_t len, uint64_t offset)
{
	if (inode->unknown)
		return -1;
	uint8_t *want = mem_alloc(len + 1);
	image_read(&inode->data, want, len, offset);
	int64_t wrong = -1;
	for (size_t i = 0; i < len && wrong < 0; i++)
		if (buf[i] != want[i] && !(crashed && byte_may_be(inode, offset + i, buf[i])))
			wrong = (int64_t)i;
	mem_free(want);
	return wrong;
}

bool model_check_size(const struct model_inode *inode, bool crashed, uint64_t size)
{
	if (size == inode->data.size || inode->unknown)
		return true;
	return crashed && size >= inode->size_min && size <= inode->size_max;
}
