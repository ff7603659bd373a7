/* SPDX-License-Identifier: Apache-2.0
 * How a task's next operation is drawn. Few names, so that operations meet; sizes and offsets that hit the edges of blocks and stripes. */
#include "tests/sim/oracle.h"

#include <stdio.h>

static const struct {
	enum model_op_kind kind;
	unsigned weight;
} weights[] = {
	{MOP_OPEN, 14}, {MOP_CLOSE, 7}, {MOP_WRITE, 22}, {MOP_READ, 14}, {MOP_FSYNC, 6}, {MOP_FTRUNCATE, 3}, {MOP_FSTAT, 3},
	{MOP_TRUNCATE, 3}, {MOP_STAT, 8}, {MOP_MKDIR, 4}, {MOP_RMDIR, 2}, {MOP_UNLINK, 4}, {MOP_RENAME, 6}, {MOP_LINK, 2},
	{MOP_SYMLINK, 1}, {MOP_READLINK, 1}, {MOP_MKNOD, 1}, {MOP_CHMOD, 2}, {MOP_CHOWN, 1}, {MOP_UTIMENS, 1}, {MOP_SETXATTR, 2},
	{MOP_GETXATTR, 2}, {MOP_REMOVEXATTR, 1}, {MOP_LISTXATTR, 1}, {MOP_READDIR, 4}, {MOP_STATFS, 1}, {MOP_SETSTRIPE, 1},
	{MOP_TMPFILE, 3}, {MOP_LINK_HANDLE, 3}, {MOP_FCHMOD, 2}, {MOP_FGETXATTR, 2},
	{MOP_FALLOCATE, 5}, {MOP_SEEK, 3}, {MOP_COPY, 5},
	{MOP_SETACL, 3}, {MOP_GETACL, 3},
};

static enum model_op_kind kind_draw(struct rng *rng)
{
	unsigned total = 0;
	for (size_t i = 0; i < ARRAY_COUNT(weights); i++)
		total += weights[i].weight;
	uint64_t at = rng_below(rng, total);
	for (size_t i = 0;; i++) {
		if (at < weights[i].weight)
			return weights[i].kind;
		at -= weights[i].weight;
	}
}

static size_t list_count(struct list *list)
{
	size_t count = 0;
	list_for_each(at, list)
		count++;
	return count;
}

static struct model_entry *entry_at(struct model_inode *dir, size_t index)
{
	list_for_each(at, &dir->entries)
		if (index-- == 0)
			return CONTAINER_OF(at, struct model_entry, link);
	return NULL;
}

static void path_add(char path[MODEL_PATH_BYTES], const char *name)
{
	size_t len = strlen(path);
	(void)snprintf(path + len, MODEL_PATH_BYTES - len, "%s%s", len > 0 ? "/" : "", name);
}

/* A path whose last component exists (mostly, if `want_old`) or does not. */
static void path_draw(struct model *model, struct rng *rng, bool want_old, char path[MODEL_PATH_BYTES])
{
	struct model_inode *dir = model->root;
	path[0] = '\0';
	for (unsigned depth = 1; depth < MODEL_DEPTH_MAX && rng_chance(rng, 500000); depth++) {
		struct model_entry *entry = entry_at(dir, rng_below(rng, list_count(&dir->entries) + 1));
		if (entry == NULL || (entry->inode->kind != MODEL_DIR && !rng_chance(rng, 30000)))
			break;
		path_add(path, entry->name);
		dir = entry->inode;
		if (dir->kind != MODEL_DIR)
			break;
	}
	struct model_entry *old = entry_at(dir, rng_below(rng, list_count(&dir->entries) + 1));
	char name[MODEL_NAME_BYTES];
	(void)snprintf(name, sizeof(name), "n%u", (unsigned)rng_below(rng, 7));
	path_add(path, want_old && old != NULL && rng_chance(rng, 950000) ? old->name : name);
}

static uint64_t size_draw(struct rng *rng)
{
	static const uint64_t edges[] = {0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 262144, 300000};
	switch (rng_below(rng, 4)) {
	case 0:
		return edges[rng_below(rng, ARRAY_COUNT(edges))];
	case 1:
		return rng_below(rng, 400000);
	default:
		return rng_below(rng, 20000);
	}
}

static uint64_t offset_draw(struct rng *rng, uint64_t size)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return size;
	case 1:
		return round_down(rng_below(rng, size + 1), 4096);
	case 2:
		return max_u64(round_down(rng_below(rng, size + 200000), 65536) + rng_below(rng, 3), 1) - 1;
	case 3:
		return rng_below(rng, 600000);
	default:
		return rng_below(rng, size + 1000);
	}
}

static unsigned handle_draw(struct model *model, struct rng *rng, bool open)
{
	unsigned handle = 0;
	for (int tries = 0; tries < 8; tries++) {
		handle = (unsigned)rng_below(rng, MODEL_HANDLES);
		if ((model->handles[handle].inode != NULL) == open)
			break;
	}
	return handle;
}

static void open_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	static const unsigned modes[] = {MO_READ, MO_WRITE, MO_READ | MO_WRITE, MO_READ | MO_WRITE};
	op->handle = handle_draw(model, rng, false);
	if (model->handles[op->handle].inode != NULL) {
		op->kind = MOP_CLOSE;
		return;
	}
	bool create = rng_chance(rng, 550000);
	path_draw(model, rng, !create || rng_chance(rng, 400000), op->path);
	op->flags = modes[rng_below(rng, ARRAY_COUNT(modes))];
	if (create) {
		op->flags |= MO_CREATE | (rng_chance(rng, 300000) ? MO_EXCL : 0);
		if (!(op->flags & MO_WRITE) && rng_chance(rng, 800000))
			op->flags |= MO_WRITE;
	}
	if ((op->flags & MO_WRITE) && rng_chance(rng, 150000))
		op->flags |= MO_TRUNC;
	if ((op->flags & MO_WRITE) && rng_chance(rng, 150000))
		op->flags |= MO_APPEND;
	op->mode = 0600 | (uint32_t)rng_below(rng, 0100);
	const struct model_inode *inode = model_find(model, op->path);
	/* What is no file is none of the file system's business once it is open, but for its attributes. */
	if (inode != NULL && inode->kind == MODEL_FIFO)
		op->flags = MO_READ;
	if (inode != NULL && inode->kind == MODEL_DIR && !(op->flags & (MO_WRITE | MO_CREATE)) && rng_chance(rng, 500000))
		op->kind = MOP_READDIR;
}

static void tmpfile_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	op->handle = handle_draw(model, rng, false);
	if (model->handles[op->handle].inode != NULL) {
		op->kind = MOP_CLOSE;
		return;
	}
	path_draw(model, rng, true, op->path);
	const struct model_inode *inode = model_find(model, op->path);
	if ((inode == NULL || inode->kind != MODEL_DIR) && rng_chance(rng, 900000))
		op->path[0] = '\0';
	op->flags = MO_WRITE | (rng_chance(rng, 700000) ? MO_READ : 0) | (rng_chance(rng, 200000) ? MO_EXCL : 0);
	op->mode = 0600 | (uint32_t)rng_below(rng, 0100);
}

/* Of the open files, preferably one that waits for its first name. */
static void link_handle_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	op->handle = handle_draw(model, rng, true);
	for (unsigned i = 0; i < MODEL_HANDLES && rng_chance(rng, 900000); i++)
		if (model->handles[i].inode != NULL && model->handles[i].inode->nlink == 0)
			op->handle = i;
	path_draw(model, rng, rng_chance(rng, 50000), op->to);
}

static unsigned alloc_flags_draw(struct rng *rng)
{
	static const unsigned flags[] = {0, MA_KEEP_SIZE, MA_PUNCH | MA_KEEP_SIZE, MA_PUNCH | MA_KEEP_SIZE, MA_ZERO, MA_ZERO | MA_KEEP_SIZE};
	return flags[rng_below(rng, ARRAY_COUNT(flags))];
}

/* Most reads are one of many: in order, or records at equal distances. */
static void read_draw(struct model_handle *handle, struct rng *rng, uint64_t size, struct model_op *op)
{
	if (handle->read_len == 0 || handle->read_at + handle->read_step >= size || rng_chance(rng, 150000)) {
		handle->read_at = rng_below(rng, size / 4 + 1);
		handle->read_len = 1 + rng_below(rng, 30000);
		handle->read_step = handle->read_len * (1 + rng_below(rng, 3)) + (rng_chance(rng, 200000) ? rng_below(rng, 5000) : 0);
	} else {
		handle->read_at += handle->read_step;
	}
	op->offset = handle->read_at;
	op->len = handle->read_len;
}

static void handle_op_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	op->handle = handle_draw(model, rng, true);
	const struct model_inode *inode = model->handles[op->handle].inode;
	if (inode != NULL && inode->kind != MODEL_FILE && op->kind != MOP_CLOSE && op->kind != MOP_FCHMOD && op->kind != MOP_FGETXATTR)
		op->kind = MOP_FSTAT;
	op->mode = (uint32_t)rng_below(rng, 01000);
	op->xattr = (unsigned)rng_below(rng, MODEL_XATTRS);
	uint64_t size = inode != NULL ? inode->data.size : 0;
	op->seed = rng_u64(rng);
	op->offset = offset_draw(rng, size);
	op->len = op->kind == MOP_FTRUNCATE ? offset_draw(rng, size) : size_draw(rng);
	if (op->kind == MOP_READ && rng_chance(rng, 600000))
		read_draw(&model->handles[op->handle], rng, size, op);
	if (op->kind == MOP_FALLOCATE)
		op->flags = alloc_flags_draw(rng);
	if (op->kind == MOP_COPY) {
		op->from_handle = handle_draw(model, rng, true);
		const struct model_inode *from = model->handles[op->from_handle].inode;
		if (from != NULL && from->kind != MODEL_FILE) /* what is no file is refused by the kernel */
			op->from_handle = op->handle, from = inode;
		op->from_offset = offset_draw(rng, from != NULL ? from->data.size : 0);
		if (rng_chance(rng, 500000)) { /* as whole files are copied: at the same place within a stripe, and much */
			op->from_offset = round_down(op->from_offset, 65536) + op->offset % 65536;
			op->len = rng_range(rng, 1, 800000);
		}
	}
	if (op->kind == MOP_SEEK)
		op->flags = rng_chance(rng, 500000) ? MS_HOLE : 0;
	if (op->kind == MOP_WRITE && rng_chance(rng, 4000)) /* sparse, far beyond what 32 bits count */
		op->offset += UINT64_C(5) << 30;
}

static void rename_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	path_draw(model, rng, true, op->path);
	path_draw(model, rng, rng_chance(rng, 500000), op->to);
	if (rng_chance(rng, 200000))
		op->flags = MR_NOREPLACE;
	else if (rng_chance(rng, 100000))
		op->flags = MR_EXCHANGE;
	if ((op->flags & MR_EXCHANGE) == 0 && rng_chance(rng, 100000))
		op->flags |= MR_WHITEOUT;
}

static void path_op_draw(struct model *model, struct rng *rng, struct model_op *op)
{
	bool makes = op->kind == MOP_MKDIR || op->kind == MOP_MKNOD || op->kind == MOP_SYMLINK;
	path_draw(model, rng, !makes || rng_chance(rng, 100000), op->path);
	if (!makes && op->kind != MOP_UNLINK && op->kind != MOP_RMDIR && rng_chance(rng, 60000))
		op->path[0] = '\0';
	op->mode = 0700 | (uint32_t)rng_below(rng, 0100);
	if (op->kind == MOP_CHMOD)
		op->mode = (uint32_t)rng_below(rng, 01000);
	op->uid = (uint32_t)rng_below(rng, 4);
	op->gid = (uint32_t)rng_below(rng, 4);
	op->time_ns = (int64_t)rng_below(rng, UINT64_C(2000000000) * NS_PER_S);
	op->xattr = (unsigned)rng_below(rng, MODEL_XATTRS);
	op->seed = rng_u64(rng);
	op->len = op->kind == MOP_SETXATTR ? rng_range(rng, 1, MODEL_XATTR_BYTES) : size_draw(rng);
	op->is_default = rng_chance(rng, 500000);
	op->acl = (struct model_acl){.there = rng_chance(rng, 750000), .mode = (uint32_t)rng_below(rng, 01000),
				     .user = (unsigned)rng_below(rng, 8), .group = (unsigned)rng_below(rng, 8)};
	if (op->kind == MOP_SETSTRIPE)
		op->len = rng_range(rng, 1, 4);
	if (op->kind == MOP_SYMLINK)
		(void)snprintf(op->to, sizeof(op->to), "t%u", (unsigned)rng_below(rng, 1000));
}

void model_op_draw(struct model *model, struct rng *rng, struct model_op *ret_op)
{
	struct model_op op = {.kind = kind_draw(rng)};
	switch (op.kind) {
	case MOP_OPEN:
		open_draw(model, rng, &op);
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
		handle_op_draw(model, rng, &op);
		break;
	case MOP_RENAME:
		rename_draw(model, rng, &op);
		break;
	case MOP_LINK:
		path_draw(model, rng, true, op.path);
		path_draw(model, rng, false, op.to);
		break;
	case MOP_TMPFILE:
		tmpfile_draw(model, rng, &op);
		break;
	case MOP_LINK_HANDLE:
		link_handle_draw(model, rng, &op);
		break;
	case MOP_STATFS:
		break;
	default:
		path_op_draw(model, rng, &op);
		break;
	}
	*ret_op = op;
}
