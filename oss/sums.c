/* SPDX-License-Identifier: Apache-2.0
 * Checksums at rest: CRC32C of each 4 KiB block, 256 of them a record. In memory while their object is; dirty ones go to the store with
 * the commit of the data. Between the first overwrite and the commit the store says "in flux": after a crash such a chunk is summed again, not
 * judged, because nobody can know which of the overwrites the disk kept. */
#include "oss/oss_impl.h"
#include "common/base/check.h"
#include "common/base/crc.h"

enum { SUMS_BYTES = CHUNK_BLOCKS * 4, CHUNKS_IN_MEMORY = 4096 /* of one object */, SCAN_CHUNKS = 16 /* from here on the store is asked which there are */ };

uint32_t sum_of(const uint8_t *block)
{
	uint32_t sum = crc32c(0, block, BLOCK_BYTES);
	return sum != 0 ? sum : 1; /* 0 says that there is none */
}

static struct chunk *find(const struct object *object, uint64_t index)
{
	struct map_node *node = map_first(&object->chunks, map_hash_u64(index));
	return node != NULL ? CONTAINER_OF(node, struct chunk, node) : NULL;
}

/* Sum what is on disk. Parks. */
static int sum_again(struct ost *ost, struct object *object, struct chunk *chunk)
{
	struct disk_file *file = NULL;
	int rc = object_open(ost, object, false, false, &file);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	uint8_t *data = mem_alloc(CHUNK_BYTES); /* not a buffer: the caller may hold the last one */
	int64_t len = ost->env->disk->ops->read(file, data, CHUNK_BYTES, chunk->index * CHUNK_BYTES);
	memset(chunk->sums, 0, sizeof(chunk->sums));
	for (int64_t at = 0; at < len; at += BLOCK_BYTES) /* the tail of the last block is zeros, as it reads */
		chunk->sums[at / BLOCK_BYTES] = sum_of(data + at);
	mem_free(data);
	chunk->dirty = true;
	ost->counters.flux_recomputed++;
	return len < 0 ? (int)len : 0;
}

static int load(struct ost *ost, struct object *object, struct chunk *chunk)
{
	struct ost_key keys[2] = {key_chunk('S', object->name, chunk->index), key_chunk('F', object->name, chunk->index)};
	struct blob wanted[2] = {ost_key_blob(&keys[0]), ost_key_blob(&keys[1])}, values[2];
	struct arena arena;
	arena_init(&arena);
	int rc = ost->env->kv->ops->get_many(ost->env->kv, wanted, 2, &arena, values);
	if (rc == 0 && values[0].ptr != NULL && values[0].len != SUMS_BYTES)
		rc = fail(ERR_corrupt);
	if (rc == 0 && values[0].ptr != NULL) {
		chunk->durable = true;
		for (size_t i = 0; i < CHUNK_BLOCKS; i++)
			chunk->sums[i] = load_le32(values[0].ptr + i * 4);
	}
	chunk->in_flux = rc == 0 && values[1].ptr != NULL;
	arena_fini(&arena);
	return rc == 0 && chunk->in_flux ? sum_again(ost, object, chunk) : rc;
}

static void drop_clean(struct object *object)
{
	struct map_iter iter = map_iter_begin(&object->chunks);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
		if (chunk->pins > 0 || chunk->dirty)
			continue;
		map_remove(&object->chunks, &chunk->node);
		mem_free(chunk);
	}
}

int chunk_get(struct ost *ost, struct object *object, uint64_t index, struct chunk **ret_chunk)
{
	struct chunk *chunk = find(object, index);
	if (chunk == NULL) {
		if (object->chunks.count >= CHUNKS_IN_MEMORY && object->batch <= ost->kvq.durable)
			drop_clean(object);
		chunk = mem_alloc(sizeof(*chunk));
		chunk->index = index;
		waitq_init(&chunk->loaded);
		map_insert(&object->chunks, &chunk->node, map_hash_u64(index));
		chunk->pins++;
		/* An object without a file has no records either, or ones that are about to go. */
		chunk->loading = object->exists;
		if (chunk->loading) {
			chunk->rc = load(ost, object, chunk);
			chunk->loading = false;
			waitq_wake_all(&chunk->loaded);
		}
	} else {
		chunk->pins++;
		while (chunk->loading)
			(void)waitq_wait(&chunk->loaded, ost->env->loop, UINT64_MAX); /* no deadline */
	}
	if (chunk->rc < 0) {
		int rc = chunk->rc;
		if (--chunk->pins == 0) {
			map_remove(&object->chunks, &chunk->node);
			mem_free(chunk);
		}
		return rc;
	}
	*ret_chunk = chunk;
	return 0;
}

void chunk_put(struct chunk *chunk)
{
	CHECK(chunk->pins > 0);
	chunk->pins--;
}

/* The first chunk of [index, last] that may have sums: of a huge range, in which most are holes, the first one in memory or in the store. last + 1: none. What the
 * store does not know yet is in memory. Parks. */
static int next_chunk(struct ost *ost, struct object *object, uint64_t index, uint64_t last, uint64_t *ret_index)
{
	*ret_index = index;
	if (index > last || last - index < SCAN_CHUNKS)
		return 0;
	struct ost_key start = key_chunk('S', object->name, index), end = key_chunk('S', object->name, last + 1);
	struct kv_pair *pairs = NULL;
	struct arena arena;
	bool more = false;
	arena_init(&arena);
	int count = ost->env->kv->ops->scan(ost->env->kv, ost_key_blob(&start), ost_key_blob(&end), 1, SUMS_BYTES, &arena, &pairs, &more);
	uint64_t next = last + 1;
	if (count > 0 && pairs[0].key.len == start.len)
		next = load_be64(pairs[0].key.ptr + start.len - 8);
	arena_fini(&arena);
	struct map_iter iter = map_iter_begin(&object->chunks);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		const struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
		if (chunk->index >= index)
			next = min_u64(next, chunk->index);
	}
	*ret_index = next;
	return count < 0 ? count : 0;
}

int sums_mark(struct ost *ost, struct object *object, uint64_t offset, uint64_t len)
{
	uint64_t batch = 0, index = offset / CHUNK_BYTES, last = (offset + len - 1) / CHUNK_BYTES;
	int rc = next_chunk(ost, object, index, last, &index);
	for (; rc == 0 && index <= last; rc = next_chunk(ost, object, index + 1, last, &index)) {
		struct chunk *chunk = NULL;
		rc = chunk_get(ost, object, index, &chunk);
		if (rc < 0)
			break;
		if (chunk->durable && !chunk->in_flux) {
			struct ost_key key = key_chunk('F', object->name, index);
			chunk->in_flux = true;
			batch = kvq_put(&ost->kvq, ost_key_blob(&key), blob_of("\1", 1));
			object->batch = batch;
			ost->counters.flux_marks++;
		}
		chunk_put(chunk);
	}
	/* Also when somebody else put the mark and it is still on its way. */
	return rc == 0 ? kvq_wait(&ost->kvq, object->batch) : rc;
}

int sums_set(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += BLOCK_BYTES) {
		struct chunk *chunk = NULL;
		int rc = chunk_get(ost, object, (offset + at) / CHUNK_BYTES, &chunk);
		if (rc < 0)
			return rc;
		chunk->sums[(offset + at) % CHUNK_BYTES / BLOCK_BYTES] = sum_of(data + at);
		chunk->dirty = true;
		chunk_put(chunk);
	}
	return 0;
}

/* Of the blocks [first, end). */
static int forget_blocks(struct ost *ost, struct object *object, uint64_t first, uint64_t end)
{
	if (first >= end)
		return 0;
	uint64_t index = first / CHUNK_BLOCKS, last = (end - 1) / CHUNK_BLOCKS;
	int rc = next_chunk(ost, object, index, last, &index);
	for (; rc == 0 && index <= last; rc = next_chunk(ost, object, index + 1, last, &index)) {
		struct chunk *chunk = NULL;
		uint64_t base = index * CHUNK_BLOCKS, from = max_u64(first, base), to = min_u64(end, base + CHUNK_BLOCKS);
		rc = chunk_get(ost, object, index, &chunk);
		if (rc < 0)
			break;
		memset(&chunk->sums[from - base], 0, (to - from) * sizeof(chunk->sums[0]));
		chunk->dirty = true;
		chunk_put(chunk);
	}
	return rc;
}

int sums_forget(struct ost *ost, struct object *object, uint64_t offset, uint64_t len)
{
	return forget_blocks(ost, object, offset / BLOCK_BYTES, (offset + len - 1) / BLOCK_BYTES + 1);
}

int sums_check(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += BLOCK_BYTES) {
		struct chunk *chunk = NULL;
		int rc = chunk_get(ost, object, (offset + at) / CHUNK_BYTES, &chunk);
		if (rc < 0)
			return rc;
		uint32_t sum = chunk->sums[(offset + at) % CHUNK_BYTES / BLOCK_BYTES];
		chunk_put(chunk);
		if (sum == 0 || sum == sum_of(data + at))
			continue;
		char path[OBJECT_PATH_BYTES];
		ost_object_path(object->name.ino, object->name.component, object->name.stripe, path);
		ost->counters.sum_errors++;
		log_line(ost->conf.log, LOG_LEVEL_ERROR, "sums", "object=%s offset=%llu did=\"the data does not match its checksum: the read fails\"",
			 path, (unsigned long long)(offset + at));
		return fail(ERR_corrupt);
	}
	return 0;
}

/* Everything behind `size_bytes` goes; the block that it cuts is the caller's to sum. Only sums in memory or in the store of this object. */
int sums_cut(struct ost *ost, struct object *object, uint64_t size_bytes)
{
	uint64_t old_chunks = (object->size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
	return forget_blocks(ost, object, (size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES, old_chunks * CHUNK_BLOCKS);
}

/* ---- commit --------------------------------------------------------------------------------------------------- */

struct sums_copy {
	struct sums_copy *next;
	uint64_t index;
	uint8_t bytes[SUMS_BYTES];
};
struct sums_snapshot {
	struct sums_copy *first;
};

struct sums_snapshot *sums_snapshot(struct object *object, struct arena *arena)
{
	struct sums_snapshot *snapshot = arena_alloc(arena, sizeof(*snapshot));
	struct map_iter iter = map_iter_begin(&object->chunks);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
		if (!chunk->dirty)
			continue;
		struct sums_copy *copy = arena_alloc(arena, sizeof(*copy));
		copy->index = chunk->index;
		for (size_t i = 0; i < CHUNK_BLOCKS; i++)
			store_le32(copy->bytes + i * 4, chunk->sums[i]);
		copy->next = snapshot->first;
		snapshot->first = copy;
		chunk->dirty = false;
		chunk->pins++; /* until the store has it */
	}
	return snapshot;
}

void sums_commit(struct ost *ost, struct object *object, const struct sums_snapshot *snapshot)
{
	for (const struct sums_copy *copy = snapshot->first; copy != NULL; copy = copy->next) {
		struct chunk *chunk = find(object, copy->index);
		if (chunk == NULL)
			continue; /* destroyed meanwhile */
		struct ost_key sums = key_chunk('S', object->name, copy->index), flux = key_chunk('F', object->name, copy->index);
		(void)kvq_put(&ost->kvq, ost_key_blob(&sums), blob_of(copy->bytes, SUMS_BYTES));
		/* Overwritten since the snapshot, or just being so: these sums are older than the data may be. */
		bool in_flux = chunk->dirty || object->exclusive;
		if (in_flux && !chunk->in_flux)
			(void)kvq_put(&ost->kvq, ost_key_blob(&flux), blob_of("\1", 1));
		else if (!in_flux && chunk->in_flux)
			(void)kvq_delete(&ost->kvq, ost_key_blob(&flux));
		chunk->in_flux = in_flux;
		chunk->durable = true;
		chunk_put(chunk);
	}
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void delete_records(struct ost *ost, struct object *object, uint64_t index)
{
	struct ost_key sums = key_chunk('S', object->name, index), flux = key_chunk('F', object->name, index);
	(void)kvq_delete(&ost->kvq, ost_key_blob(&sums));
	object->batch = kvq_delete(&ost->kvq, ost_key_blob(&flux));
}

static int delete_scanned(struct ost *ost, struct object *object, char letter)
{
	struct ost_key start = key_object(letter, object->name), end = key_chunk(letter, object->name, UINT64_MAX);
	int rc = kvq_wait(&ost->kvq, object->batch); /* the store knows of all of them */
	for (bool more = rc == 0; more;) {
		struct arena arena;
		struct kv_pair *pairs = NULL;
		arena_init(&arena);
		int count = ost->env->kv->ops->scan(ost->env->kv, ost_key_blob(&start),
						    ost_key_blob(&end), 256, 512 * KIB, &arena,
						    &pairs, &more);
		for (int i = 0; i < count; i++) {
			if (pairs[i].key.len != start.len && pairs[i].key.len != end.len)
				continue;
			object->batch = kvq_delete(&ost->kvq, pairs[i].key);
			start = key_chunk(letter, object->name, load_be64(pairs[i].key.ptr + pairs[i].key.len - 8) + 1);
		}
		rc = count < 0 ? count : 0;
		more = more && count > 0;
		arena_fini(&arena);
	}
	return rc;
}

int sums_destroy(struct ost *ost, struct object *object)
{
	uint64_t chunks = (object->size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
	int rc = 0;
	if (chunks <= SCAN_CHUNKS && object->chunks.count <= SCAN_CHUNKS) {
		struct map_iter iter = map_iter_begin(&object->chunks);
		for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
			delete_records(ost, object, CONTAINER_OF(node, struct chunk, node)->index);
		for (uint64_t index = 0; index < chunks; index++)
			if (find(object, index) == NULL)
				delete_records(ost, object, index);
	} else {
		rc = delete_scanned(ost, object, 'S');
		if (rc == 0)
			rc = delete_scanned(ost, object, 'F');
	}
	sums_drop(object);
	return rc;
}

void sums_drop(struct object *object)
{
	struct map_iter iter = map_iter_begin(&object->chunks);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
		map_remove(&object->chunks, &chunk->node);
		mem_free(chunk);
	}
}

bool sums_are_clean(const struct object *object)
{
	struct map_iter iter = map_iter_begin(&object->chunks);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		const struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
		if (chunk->dirty || chunk->pins > 0)
			return false;
	}
	return true;
}
