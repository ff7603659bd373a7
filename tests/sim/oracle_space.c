/* SPDX-License-Identifier: Apache-2.0
 * The model's space: what allocating, punching and zeroing do to a file, and what may be answered when data or a hole is looked for. What is a
 * hole is the file system's business, but no byte that was written lies in one. */
#include "tests/sim/oracle.h"

static void zero_unsynced(struct model_inode *inode, uint64_t offset, uint64_t end)
{
	list_for_each(at, &inode->unsynced) {
		struct model_write *write = CONTAINER_OF(at, struct model_write, link);
		uint64_t from = max_u64(offset, write->offset), to = min_u64(end, write->offset + write->len);
		if (from < to)
			memset(write->data + (from - write->offset), 0, (size_t)(to - from));
	}
}

/* It is stable when answered: zeros are all that may stand there, also after a crash. */
static void zero(struct model_inode *inode, uint64_t offset, uint64_t len)
{
	image_punch(&inode->data, offset, len);
	image_punch(&inode->synced, offset, len);
	zero_unsynced(inode, offset, offset + len);
}

/* A crash came in between: zeros, or not, byte by byte. */
static void zero_perhaps(struct model_inode *inode, uint64_t offset, uint64_t end)
{
	uint64_t len = end > offset ? end - offset : 0;
	struct model_write *write = mem_alloc(sizeof(*write) + (size_t)len);
	write->offset = offset;
	write->len = len;
	list_push_back(&inode->unsynced, &write->link);
}

void model_space_apply(struct model_inode *inode, const struct model_op *op, bool doubtful)
{
	uint64_t end = op->offset + op->len, size = inode->data.size;
	bool zeroes = (op->flags & (MA_PUNCH | MA_ZERO)) != 0, extends = (op->flags & MA_KEEP_SIZE) == 0 && end > size;
	inode->mtime_known = false;
	if (doubtful && zeroes)
		zero_perhaps(inode, op->offset, min_u64(end, size));
	else if (zeroes)
		zero(inode, op->offset, op->len);
	if (extends && !doubtful)
		image_truncate(&inode->data, end);
	if (extends) {
		inode->size_max = max_u64(inode->size_max, end);
		inode->size_min = doubtful ? inode->size_min : end;
	}
}

/* ---- copying -------------------------------------------------------------------------------------------------- */

int64_t model_copy_predict(const struct model *model, const struct model_op *op)
{
	const struct model_handle *from = &model->handles[op->from_handle], *to = &model->handles[op->handle];
	if (from->inode == NULL || !from->read || !to->write || to->append)
		return -EBADF;
	uint64_t size = from->inode->data.size, len = op->from_offset >= size ? 0 : min_u64(op->len, size - op->from_offset);
	if (from->inode == to->inode && op->offset + len > op->from_offset && op->offset < op->from_offset + len)
		return -EINVAL;
	return (int64_t)len;
}

void model_copy_apply(struct model *model, const struct model_op *op, bool doubtful)
{
	const struct model_inode *from = model->handles[op->from_handle].inode;
	struct model_inode *to = model->handles[op->handle].inode;
	int64_t len = model_copy_predict(model, op);
	if (len <= 0)
		return;
	struct model_write *write = mem_alloc(sizeof(*write) + (size_t)len);
	write->offset = op->offset;
	write->len = (uint64_t)len;
	image_read(&from->data, write->data, (size_t)len, op->from_offset);
	model_file_put(to, write, doubtful);
	to->unknown = to->unknown || from->unknown;
}

/* ---- finding -------------------------------------------------------------------------------------------------- */

static bool is_zero(const struct image *image, uint64_t from, uint64_t to)
{
	uint8_t bytes[IMAGE_PAGE_BYTES];
	for (uint64_t at = image_seek(image, from, false); at < to; at = image_seek(image, at, false)) {
		size_t len = (size_t)min_u64(to - at, IMAGE_PAGE_BYTES - at % IMAGE_PAGE_BYTES);
		image_read(image, bytes, len, at);
		for (size_t i = 0; i < len; i++)
			if (bytes[i] != 0)
				return false;
		at += len;
	}
	return true;
}

bool model_seek_fits(const struct model_inode *inode, const struct model_op *op, int64_t got)
{
	const struct image *image = &inode->data;
	uint64_t at = (uint64_t)got;
	bool hole = (op->flags & MS_HOLE) != 0;
	if (inode->unknown)
		return got >= 0 || got == -ENXIO;
	if (op->offset >= image->size)
		return got == -ENXIO;
	if (got < 0)
		return got == -ENXIO && !hole && is_zero(image, op->offset, image->size);
	if (at < op->offset || at > image->size || (!hole && at == image->size))
		return false;
	return hole ? at == image->size || is_zero(image, at, at + 1) : is_zero(image, op->offset, at);
}
