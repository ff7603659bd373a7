/* SPDX-License-Identifier: Apache-2.0
 * Data of objects with its checksums, bulk buffers, and commit. Whole blocks carry sums, so what begins or ends inside a block is composed
 * with, or checked together with, the rest of it. */
#include "oss/oss_impl.h"
#include "common/base/check.h"

/* ---- buffers -------------------------------------------------------------------------------------------------- */

int buffers_init(struct ost *ost, uint32_t count)
{
	ost->slab = mem_alloc_aligned(BLOCK_BYTES, (size_t)count * BUFFER_BYTES);
	memset(ost->slab, 0, (size_t)count * BUFFER_BYTES); /* its pages exist before RMA wants them */
	ost->free_buffers = mem_alloc(count * sizeof(uint8_t *));
	for (uint32_t i = 0; i < count; i++)
		ost->free_buffers[ost->free_count++] = ost->slab + (size_t)(count - 1 - i) * BUFFER_BYTES;
	ost->env->disk->ops->buffer_hint(ost->env->disk, ost->slab, (size_t)count * BUFFER_BYTES);
	return ost->env->net->ops->mr_open(ost->env->net, ost->slab, (size_t)count * BUFFER_BYTES, NET_ACCESS_LOCAL, &ost->slab_mr);
}

void buffers_fini(struct ost *ost)
{
	if (ost->slab_mr != NULL)
		ost->env->net->ops->mr_close(ost->slab_mr);
	mem_free(ost->slab);
	mem_free(ost->free_buffers);
}

uint8_t *buffer_get(struct ost *ost)
{
	while (ost->free_count == 0)
		(void)waitq_wait(&ost->buffer_q, ost->env->loop, UINT64_MAX); /* no deadline: holders have their own */
	return ost->free_buffers[--ost->free_count];
}

void buffer_put(struct ost *ost, uint8_t *buffer)
{
	ost->free_buffers[ost->free_count++] = buffer;
	waitq_wake_one(&ost->buffer_q);
}

size_t buffer_offset(const struct ost *ost, const uint8_t *ptr)
{
	return (size_t)(ptr - ost->slab);
}

/* ---- blocks --------------------------------------------------------------------------------------------------- */

/* One block as it is, checked; zeros where nothing is. Parks. */
static int read_block(struct ost *ost, struct object *object, uint64_t offset, uint8_t *block)
{
	struct disk_file *file = NULL;
	memset(block, 0, BLOCK_BYTES);
	if (!object->exists || offset >= object->size_bytes)
		return 0;
	int rc = object_open(ost, object, false, false, &file);
	if (rc < 0)
		return rc;
	int64_t len = ost->env->disk->ops->read(file, block, BLOCK_BYTES, offset);
	if (len < 0)
		return (int)len;
	return sums_check(ost, object, offset, block, BLOCK_BYTES);
}

/* The blocks at both ends of a write that it covers in part, as they will be. */
struct ends {
	uint8_t *blocks[2]; /* owned; NULL: that end is whole */
	uint64_t at[2];
};

static void ends_free(struct ends *ends)
{
	mem_free(ends->blocks[0]);
	mem_free(ends->blocks[1]);
}

static int compose(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len, struct ends *ends)
{
	uint64_t end = offset + len, first = round_down(offset, BLOCK_BYTES), last = round_down(end - 1, BLOCK_BYTES);
	bool head = offset != first, tail = end != last + BLOCK_BYTES && (last != first || !head);
	int rc = 0;
	for (int i = 0; i < 2 && rc == 0; i++) {
		if (!(i == 0 ? head : tail))
			continue;
		uint64_t at = i == 0 ? first : last;
		uint64_t from = max_u64(at, offset), to = min_u64(at + BLOCK_BYTES, end);
		ends->blocks[i] = mem_alloc(BLOCK_BYTES);
		ends->at[i] = at;
		rc = read_block(ost, object, at, ends->blocks[i]);
		memcpy(ends->blocks[i] + (from - at), data + (from - offset), to - from);
	}
	return rc;
}

static int set_sums(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len, const struct ends *ends)
{
	uint64_t first = round_up(offset, BLOCK_BYTES), last = round_down(offset + len, BLOCK_BYTES);
	int rc = 0;
	for (int i = 0; i < 2 && rc == 0; i++)
		if (ends->blocks[i] != NULL)
			rc = sums_set(ost, object, ends->at[i], ends->blocks[i], BLOCK_BYTES);
	if (rc == 0 && last > first)
		rc = sums_set(ost, object, first, data + (first - offset), last - first);
	return rc;
}

static bool fits_direct(uint64_t offset, const void *data, size_t len)
{
	return len >= DIRECT_BYTES_MIN && offset % BLOCK_BYTES == 0 && len % BLOCK_BYTES == 0 && (uintptr_t)data % BLOCK_BYTES == 0;
}

int object_write(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len)
{
	struct disk_file *file = NULL;
	struct ends ends = {{NULL, NULL}, {0, 0}};
	int rc = object_open(ost, object, true, fits_direct(offset, data, len), &file);
	if (rc == 0)
		rc = sums_mark(ost, object, offset, len);
	if (rc == 0)
		rc = compose(ost, object, offset, data, len, &ends);
	if (rc == 0) {
		rc = ost->env->disk->ops->write(file, data, len, offset);
		if (rc == 0) {
			object->size_bytes = max_u64(object->size_bytes, offset + len);
			rc = set_sums(ost, object, offset, data, len, &ends);
		} else {
			struct disk_stat stat;
			(void)sums_forget(ost, object, offset, len); /* fails only if the store does, which stops the target */
			if (ost->env->disk->ops->file_stat(file, &stat) == 0)
				object->size_bytes = stat.size_bytes;
		}
	}
	ends_free(&ends);
	return rc;
}

int64_t object_read(struct ost *ost, struct object *object, uint64_t offset, uint8_t *buffer, size_t len, uint8_t **ret_data)
{
	struct disk_file *file = NULL;
	if (!object->exists || offset >= object->size_bytes)
		return 0;
	len = min_u64(len, object->size_bytes - offset);
	uint64_t start = round_down(offset, BLOCK_BYTES), end = round_up(offset + len, BLOCK_BYTES);
	int rc = object_open(ost, object, false, end - start >= DIRECT_BYTES_MIN, &file);
	if (rc < 0)
		return rc;
	int64_t got = ost->env->disk->ops->read(file, buffer, end - start, start);
	if (got < 0)
		return got;
	if ((uint64_t)got < offset + len - start)
		return fail(ERR_corrupt); /* the file is shorter than it was */
	memset(buffer + got, 0, end - start - (uint64_t)got);
	rc = sums_check(ost, object, start, buffer, end - start);
	if (rc < 0)
		return rc;
	*ret_data = buffer + (offset - start);
	return (int64_t)len;
}

/* A block of which only [0, keep) stays: its new sum. Parks. */
static int sum_cut_block(struct ost *ost, struct object *object, uint64_t at, uint8_t *block, uint64_t keep)
{
	memset(block + keep, 0, BLOCK_BYTES - keep);
	return sums_set(ost, object, at, block, BLOCK_BYTES);
}

int object_cut(struct ost *ost, struct object *object, uint64_t size_bytes)
{
	struct disk_file *file = NULL;
	if (!object->exists || size_bytes >= object->size_bytes)
		return 0;
	uint64_t at = round_down(size_bytes, BLOCK_BYTES), keep = size_bytes - at;
	uint8_t *block = mem_alloc(BLOCK_BYTES);
	int rc = object_open(ost, object, false, false, &file);
	if (rc == 0)
		rc = sums_mark(ost, object, at, object->size_bytes - at);
	if (rc == 0 && keep > 0)
		rc = read_block(ost, object, at, block);
	if (rc == 0)
		rc = ost->env->disk->ops->truncate(file, size_bytes);
	if (rc == 0)
		rc = sums_cut(ost, object, size_bytes);
	if (rc == 0)
		object->size_bytes = size_bytes;
	if (rc == 0 && keep > 0)
		rc = sum_cut_block(ost, object, at, block, keep);
	mem_free(block);
	return rc;
}

/* The blocks at both ends of a range that is zeroed, as they will be; judged before anything changes: afterwards nobody could tell damage. */
static int compose_zeros(struct ost *ost, struct object *object, uint64_t offset, uint64_t len, struct ends *ends)
{
	uint64_t end = offset + len, first = round_down(offset, BLOCK_BYTES), last = round_down(end - 1, BLOCK_BYTES);
	int rc = 0;
	for (int i = 0; i < 2 && rc == 0; i++) {
		uint64_t at = i == 0 ? first : last, from = max_u64(at, offset), to = min_u64(at + BLOCK_BYTES, end);
		if (to - from == BLOCK_BYTES || (i == 1 && last == first))
			continue;
		ends->blocks[i] = mem_alloc(BLOCK_BYTES);
		ends->at[i] = at;
		rc = read_block(ost, object, at, ends->blocks[i]);
		memset(ends->blocks[i] + (from - at), 0, to - from);
	}
	return rc;
}

/* The disk was told to zero it, and answered disk_rc: whole blocks have no sums, those at the ends have new ones. If it failed, a part may be zeros: none
 * has a sum. */
static int sums_zeroed(struct ost *ost, struct object *object, uint64_t offset, uint64_t len, const struct ends *ends, int disk_rc)
{
	int rc = sums_forget(ost, object, offset, len);
	if (disk_rc < 0)
		return disk_rc; /* the other one stops the target anyway */
	for (int i = 0; i < 2 && rc == 0; i++)
		if (ends->blocks[i] != NULL)
			rc = sums_set(ost, object, ends->at[i], ends->blocks[i], BLOCK_BYTES);
	return rc;
}

int object_zero(struct ost *ost, struct object *object, uint64_t offset, uint64_t len)
{
	struct disk_file *file = NULL;
	struct ends ends = {{NULL, NULL}, {0, 0}};
	if (!object->exists || offset >= object->size_bytes || len == 0)
		return 0;
	len = min_u64(len, object->size_bytes - offset);
	int rc = object_open(ost, object, false, false, &file);
	if (rc == 0)
		rc = sums_mark(ost, object, offset, len);
	if (rc == 0)
		rc = compose_zeros(ost, object, offset, len, &ends);
	if (rc == 0) {
		rc = ost->env->disk->ops->punch(file, offset, len);
		rc = sums_zeroed(ost, object, offset, len, &ends, rc);
	}
	ends_free(&ends);
	return rc;
}

/* What was there, and is zeros afterwards. 0: none of it. */
static uint64_t zeroed_len(const struct object *object, uint64_t offset, uint64_t len, unsigned flags)
{
	if ((flags & ALLOC_ZERO) == 0 || offset >= object->size_bytes)
		return 0;
	return min_u64(len, object->size_bytes - offset);
}

int object_alloc(struct ost *ost, struct object *object, uint64_t offset, uint64_t len, unsigned flags)
{
	struct disk_file *file = NULL;
	struct ends ends = {{NULL, NULL}, {0, 0}};
	unsigned how = ((flags & ALLOC_ZERO) != 0 ? (unsigned)DISK_ALLOC_ZERO : 0u) |
		       ((flags & ALLOC_EXTEND) != 0 ? (unsigned)DISK_ALLOC_EXTEND : 0u);
	int rc = object_open(ost, object, true, false, &file);
	uint64_t zeroed = zeroed_len(object, offset, len, flags);
	if (rc == 0 && zeroed > 0)
		rc = sums_mark(ost, object, offset, zeroed);
	if (rc == 0 && zeroed > 0)
		rc = compose_zeros(ost, object, offset, zeroed, &ends);
	if (rc == 0) {
		rc = ost->env->disk->ops->alloc(file, offset, len, how);
		if (rc == 0 && (flags & ALLOC_EXTEND) != 0)
			object->size_bytes = max_u64(object->size_bytes, offset + len);
		if (zeroed > 0)
			rc = sums_zeroed(ost, object, offset, zeroed, &ends, rc);
	}
	ends_free(&ends);
	return rc;
}

int object_seek(struct ost *ost, struct object *object, uint64_t offset, bool hole, uint64_t *ret_offset)
{
	struct disk_file *file = NULL;
	uint64_t none = hole ? offset : UINT64_MAX;
	*ret_offset = none;
	if (!object->exists || offset >= object->size_bytes)
		return 0;
	int rc = object_open(ost, object, false, false, &file);
	if (rc < 0)
		return rc;
	int64_t at = ost->env->disk->ops->seek(file, offset, hole);
	if (at >= 0)
		*ret_offset = (uint64_t)at;
	return at == -ENXIO || at >= 0 ? 0 : (int)at;
}

/* ---- commit --------------------------------------------------------------------------------------------------- */

static int sync_data(struct ost *ost, struct object *object)
{
	struct disk_file *file = object->file != NULL ? object->file : object->direct;
	int rc = file != NULL ? 0 : object_open(ost, object, false, false, &file);
	if (rc == -ENOENT)
		return 0; /* nothing was ever written */
	if (rc == 0)
		rc = ost->env->disk->ops->file_sync(file);
	if (rc == 0 && object->name_unsynced) {
		char dir[OBJECT_PATH_BYTES];
		object_dir(object->name, dir);
		rc = ost->env->disk->ops->dir_sync(ost->env->disk, dir);
		object->name_unsynced = object->name_unsynced && rc < 0;
	}
	return rc;
}

static int commit_once(struct ost *ost, struct object *object)
{
	struct arena arena;
	uint64_t upto = object->applied;
	arena_init(&arena);
	struct sums_snapshot *snapshot = sums_snapshot(object, &arena);
	int rc = sync_data(ost, object);
	if (rc == 0) {
		sums_commit(ost, object, snapshot);
		/* While others may still have older writes to replay, theirs come before ours: only the end of recovery closes that past. */
		if (ost->identity.state == TARGET_UP)
			object->stable = (struct write_order){ost->identity.boot, upto};
		object_save(ost, object);
		rc = kvq_wait(&ost->kvq, object->batch);
	}
	arena_fini(&arena);
	if (rc < 0) {
		/* The kernel may have thrown the dirty pages away: another sync would lie. */
		ost_fail(ost, "data could not be made stable", rc);
		return fail(ERR_disk);
	}
	object->committed = upto;
	ost->counters.commits++;
	return 0;
}

void object_changed(struct ost *ost, struct object *object, int64_t mtime_ns)
{
	object->mtime_ns = mtime_ns > object->mtime_ns ? mtime_ns : object->mtime_ns;
	object->applied = ++ost->next_order;
}

uint64_t object_wrote(struct ost *ost, struct object *object, const struct client *client)
{
	bool alone = object->committed >= object->applied || object->writer == client->id;
	object->writer = alone ? client->id : WRITER_SEVERAL;
	object->applied = ++ost->next_order;
	return object->applied;
}

int object_commit(struct ost *ost, struct object *object)
{
	uint64_t want = object->applied;
	int rc = 0;
	while (object->committed < want && rc == 0) {
		if (object->committing) {
			(void)waitq_wait(&object->committed_q, ost->env->loop, UINT64_MAX); /* no deadline */
			continue;
		}
		object->committing = true;
		rc = ost->failed < 0 ? fail(ERR_disk) : commit_once(ost, object);
		object->committing = false;
		waitq_wake_all(&object->committed_q);
	}
	return rc;
}
