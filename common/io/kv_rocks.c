/* SPDX-License-Identifier: Apache-2.0
 * The kv seam over RocksDB's C API. Owns the database and its threads.
 *
 * A get first asks memtables and block cache on the loop's own stack (3 to 5 us) and goes to a reading thread only when that would need the
 * disk. The one write in flight runs on a thread of its own; until it has ended, reads find its records in `pending`, so that they see
 * every write submitted before them. */
#include "common/base/check.h"
#include "common/base/map.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <rocksdb/c.h>

enum {
	READ_TIER_BLOCK_CACHE = 1,   /* rocksdb::ReadTier::kBlockCacheTier */
	CHECKSUM_XXH3 = 4,
	INDEX_BINARY_AND_HASH = 1,   /* rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash */
	INFO_LOG_WARN = 2,
	SCAN_ON_LOOP_MAX = 256,      /* pairs; more would hold up the loop */
	READ_THREADS_DEFAULT = 2,
	SCAN_GROW_BYTES = 16 * 1024,
};

struct pending_op {
	struct map_node node;
	const struct kv_op *op;
};

struct kv_rocks {
	struct kv kv;
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *read_cached, *read_any;
	rocksdb_writeoptions_t *write_synced, *write_unsynced;
	struct threads *readers, *writer;
	bool is_writing;
	struct waitq written; /* scans that wait for the write in flight */
	struct map pending;   /* the records of the write in flight, by hash of the key */
	struct pending_op *pending_ops;
	size_t pending_capacity;
};

static struct kv_rocks *rocks_of(struct kv *kv)
{
	return CONTAINER_OF(kv, struct kv_rocks, kv);
}

static const char *chars(struct blob blob)
{
	return (const char *)blob.ptr;
}

/* RocksDB's error text as an errno (negative); frees it. */
static int take_error(char *error)
{
	int rc = -EIO;
	if (strstr(error, "No space left") != NULL)
		rc = -ENOSPC;
	else if (strncmp(error, "Result incomplete", 17) == 0)
		rc = -EAGAIN;
	rocksdb_free(error);
	return rc;
}

/* ---- get ------------------------------------------------------------------------------------------------------ */

struct get_job {
	struct kv_rocks *rocks;
	const rocksdb_readoptions_t *options;
	struct blob key;
	rocksdb_pinnableslice_t *slice; /* the value; NULL: absent, or rc says why */
	int rc;
};

static void run_get(void *arg)
{
	struct get_job *job = arg;
	char *error = NULL;
	job->slice = rocksdb_get_pinned(job->rocks->db, job->options, chars(job->key), job->key.len, &error);
	job->rc = error != NULL ? take_error(error) : 0;
}

/* The newest record of `key` in the write in flight; NULL: none. */
static const struct kv_op *find_pending(const struct kv_rocks *rocks, struct blob key)
{
	if (!rocks->is_writing)
		return NULL;
	uint64_t hash = map_hash_bytes(key);
	const struct kv_op *found = NULL;
	for (struct map_node *node = map_first(&rocks->pending, hash); node != NULL; node = map_next(node)) {
		const struct kv_op *op = CONTAINER_OF(node, struct pending_op, node)->op;
		bool is_equal = op->key.len == key.len && memcmp(op->key.ptr, key.ptr, key.len) == 0;
		if (is_equal && (found == NULL || op > found))
			found = op;
	}
	return found;
}

static struct blob arena_blob(struct arena *arena, const void *ptr, size_t len)
{
	/* never NULL: an empty value is not an absent one */
	return blob_of(len > 0 ? arena_dup(arena, ptr, len) : arena_alloc(arena, 1), len);
}

static int rocks_get(struct kv *kv, struct blob key, struct arena *arena, struct blob *ret_value)
{
	struct kv_rocks *rocks = rocks_of(kv);
	const struct kv_op *pending = find_pending(rocks, key);
	if (pending != NULL) {
		if (pending->value.ptr == NULL)
			return -ENOENT; /* an answer, not a failure: not worth a trace record */
		*ret_value = arena_blob(arena, pending->value.ptr, pending->value.len);
		return 0;
	}
	struct get_job job = {.rocks = rocks, .options = rocks->read_cached, .key = key};
	task_call_on_loop(kv->loop, run_get, &job);
	if (job.rc == -EAGAIN) {
		job.options = rocks->read_any;
		threads_call(rocks->readers, run_get, &job);
	}
	if (job.rc < 0)
		return fail(-job.rc);
	if (job.slice == NULL)
		return -ENOENT;
	size_t len = 0;
	const char *value = rocksdb_pinnableslice_value(job.slice, &len);
	*ret_value = arena_blob(arena, value, len);
	rocksdb_pinnableslice_destroy(job.slice);
	return 0;
}

static int rocks_get_many(struct kv *kv, const struct blob *keys, size_t count, struct arena *arena, struct blob *ret_values)
{
	for (size_t i = 0; i < count; i++) {
		struct blob value = {0};
		int rc = rocks_get(kv, keys[i], arena, &value);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		ret_values[i] = value;
	}
	return 0;
}

/* ---- scan ----------------------------------------------------------------------------------------------------- */

struct scan_item {
	size_t key_offset, key_len, value_len; /* the value follows the key */
};

struct scan_job {
	struct kv_rocks *rocks;
	bool cached_only;
	struct blob start, end;
	size_t limit, bytes_max;
	uint8_t *bytes; /* malloc'ed: a thread has no arena */
	size_t len, capacity;
	struct scan_item *items;
	size_t count, item_capacity;
	bool more;
	int rc;
};

static void *grown(void *ptr, size_t len)
{
	void *bigger = realloc(ptr, len);
	CHECK(bigger != NULL); /* as mem_realloc */
	return bigger;
}

static void scan_add(struct scan_job *job, const char *key, size_t key_len, const char *value, size_t value_len)
{
	if (job->count == job->item_capacity) {
		job->item_capacity = job->item_capacity * 2 + 32;
		job->items = grown(job->items, job->item_capacity * sizeof(job->items[0]));
	}
	if (job->len + key_len + value_len > job->capacity) {
		job->capacity = job->capacity * 2 + key_len + value_len + SCAN_GROW_BYTES;
		job->bytes = grown(job->bytes, job->capacity);
	}
	job->items[job->count++] = (struct scan_item){.key_offset = job->len, .key_len = key_len, .value_len = value_len};
	memcpy(job->bytes + job->len, key, key_len);
	if (value_len > 0)
		memcpy(job->bytes + job->len + key_len, value, value_len);
	job->len += key_len + value_len;
}

static void run_scan(void *arg)
{
	struct scan_job *job = arg;
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_iterate_upper_bound(options, chars(job->end), job->end.len);
	if (job->cached_only)
		rocksdb_readoptions_set_read_tier(options, READ_TIER_BLOCK_CACHE);
	rocksdb_iterator_t *iter = rocksdb_create_iterator(job->rocks->db, options);
	for (rocksdb_iter_seek(iter, chars(job->start), job->start.len); rocksdb_iter_valid(iter); rocksdb_iter_next(iter)) {
		if (job->count == job->limit || (job->count > 0 && job->len >= job->bytes_max)) {
			job->more = true;
			break;
		}
		size_t key_len, value_len;
		const char *key = rocksdb_iter_key(iter, &key_len);
		const char *value = rocksdb_iter_value(iter, &value_len);
		scan_add(job, key, key_len, value, value_len);
	}
	char *error = NULL;
	rocksdb_iter_get_error(iter, &error);
	job->rc = error != NULL ? take_error(error) : 0;
	rocksdb_iter_destroy(iter);
	rocksdb_readoptions_destroy(options);
}

static void scan_to_arena(const struct scan_job *job, struct arena *arena, struct kv_pair **ret_pairs)
{
	struct kv_pair *pairs = arena_alloc(arena, (job->count + 1) * sizeof(pairs[0]));
	const uint8_t *bytes = job->len > 0 ? arena_dup(arena, job->bytes, job->len) : arena_alloc(arena, 1);
	for (size_t i = 0; i < job->count; i++) {
		const struct scan_item *item = &job->items[i];
		pairs[i].key = blob_of(bytes + item->key_offset, item->key_len);
		pairs[i].value = blob_of(bytes + item->key_offset + item->key_len, item->value_len);
	}
	*ret_pairs = pairs;
}

static int rocks_scan(struct kv *kv, struct blob start, struct blob end, size_t limit, size_t bytes_max, struct arena *arena,
		      struct kv_pair **ret_pairs, bool *ret_more)
{
	struct kv_rocks *rocks = rocks_of(kv);
	while (rocks->is_writing)
		(void)waitq_wait(&rocks->written, kv->loop, UINT64_MAX); /* no deadline: cannot time out */
	struct scan_job job = {.rocks = rocks, .start = start, .end = end, .limit = limit, .bytes_max = bytes_max};
	job.cached_only = limit <= SCAN_ON_LOOP_MAX;
	if (job.cached_only)
		task_call_on_loop(kv->loop, run_scan, &job);
	if (!job.cached_only || job.rc == -EAGAIN) {
		job.cached_only = false;
		job.len = job.count = 0;
		job.more = false;
		threads_call(rocks->readers, run_scan, &job);
	}
	if (job.rc == 0) {
		scan_to_arena(&job, arena, ret_pairs);
		*ret_more = job.more;
	}
	free(job.bytes);
	free(job.items);
	return job.rc < 0 ? fail(-job.rc) : (int)job.count;
}

/* ---- write ---------------------------------------------------------------------------------------------------- */

struct write_job {
	struct kv_rocks *rocks;
	const struct kv_op *ops;
	size_t count;
	bool sync;
	int rc;
};

static void run_write(void *arg)
{
	struct write_job *job = arg;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	for (size_t i = 0; i < job->count; i++) {
		const struct kv_op *op = &job->ops[i];
		if (op->value.ptr == NULL)
			rocksdb_writebatch_delete(batch, chars(op->key), op->key.len);
		else
			rocksdb_writebatch_put(batch, chars(op->key), op->key.len, chars(op->value), op->value.len);
	}
	char *error = NULL;
	rocksdb_write(job->rocks->db, job->sync ? job->rocks->write_synced : job->rocks->write_unsynced, batch, &error);
	rocksdb_writebatch_destroy(batch);
	job->rc = error != NULL ? take_error(error) : 0;
}

static void pending_set(struct kv_rocks *rocks, const struct kv_op *ops, size_t count)
{
	if (count > rocks->pending_capacity) {
		rocks->pending_capacity = count * 2;
		mem_free(rocks->pending_ops);
		rocks->pending_ops = mem_alloc(rocks->pending_capacity * sizeof(rocks->pending_ops[0]));
	}
	for (size_t i = 0; i < count; i++) {
		rocks->pending_ops[i].op = &ops[i];
		map_insert(&rocks->pending, &rocks->pending_ops[i].node, map_hash_bytes(ops[i].key));
	}
}

static int rocks_write(struct kv *kv, const struct kv_op *ops, size_t count, bool sync)
{
	struct kv_rocks *rocks = rocks_of(kv);
	CHECK_MSG(!rocks->is_writing, "one write at a time");
	for (size_t i = 0; i < count; i++)
		CHECK(ops[i].key.len <= KV_KEY_BYTES_MAX && ops[i].value.len <= KV_VALUE_BYTES_MAX);
	rocks->is_writing = true;
	pending_set(rocks, ops, count);
	struct write_job job = {.rocks = rocks, .ops = ops, .count = count, .sync = sync};
	threads_call(rocks->writer, run_write, &job);
	for (size_t i = 0; i < count; i++)
		map_remove(&rocks->pending, &rocks->pending_ops[i].node);
	rocks->is_writing = false;
	waitq_wake_all(&rocks->written);
	return job.rc < 0 ? fail(-job.rc) : 0;
}

/* ---- start and end -------------------------------------------------------------------------------------------- */

static void rocks_release(struct kv_rocks *rocks)
{
	threads_free(rocks->readers);
	threads_free(rocks->writer);
	if (rocks->db != NULL)
		rocksdb_close(rocks->db);
	rocksdb_readoptions_destroy(rocks->read_cached);
	rocksdb_readoptions_destroy(rocks->read_any);
	rocksdb_writeoptions_destroy(rocks->write_synced);
	rocksdb_writeoptions_destroy(rocks->write_unsynced);
	rocksdb_options_destroy(rocks->options);
	rocksdb_block_based_options_destroy(rocks->table);
	rocksdb_cache_destroy(rocks->cache);
	map_fini(&rocks->pending);
	mem_free(rocks->pending_ops);
	mem_free(rocks);
}

static void rocks_fini(struct kv *kv)
{
	rocks_release(rocks_of(kv));
}

static void set_options(struct kv_rocks *rocks, const struct kv_rocks_opts *opts)
{
	uint64_t cache_bytes = opts->block_cache_bytes != 0 ? opts->block_cache_bytes : 64 * MIB;
	uint64_t memtable_bytes = opts->memtable_bytes != 0 ? opts->memtable_bytes : 32 * MIB;
	rocks->cache = rocksdb_cache_create_lru((size_t)cache_bytes);
	rocks->table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(rocks->table, rocks->cache);
	rocksdb_block_based_options_set_filter_policy(rocks->table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_format_version(rocks->table, 5);
	rocksdb_block_based_options_set_checksum(rocks->table, CHECKSUM_XXH3);
	rocksdb_block_based_options_set_data_block_index_type(rocks->table, INDEX_BINARY_AND_HASH);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(rocks->table, 1); /* or they grow past every limit */
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(rocks->table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(rocks->table, 1);

	rocksdb_options_t *options = rocks->options = rocksdb_options_create();
	rocksdb_options_set_block_based_table_factory(options, rocks->table);
	rocksdb_options_set_create_if_missing(options, !opts->must_exist);
	rocksdb_options_set_paranoid_checks(options, 1);
	rocksdb_options_set_write_buffer_size(options, (size_t)memtable_bytes);
	rocksdb_options_set_max_write_buffer_number(options, 4);
	rocksdb_options_set_max_total_wal_size(options, memtable_bytes * 8);
	rocksdb_options_set_compression(options, rocksdb_no_compression); /* records are small and hot; the disk is not the limit */
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_bytes_per_sync(options, MIB); /* background writes must not pile up in front of a synced commit */
	rocksdb_options_set_max_open_files(options, 512);
	rocksdb_options_set_keep_log_file_num(options, 4);
	rocksdb_options_set_max_log_file_size(options, 4 * MIB);
	rocksdb_options_set_info_log_level(options, INFO_LOG_WARN);
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	rocksdb_options_set_stats_persist_period_sec(options, 0);
	rocksdb_options_set_avoid_unnecessary_blocking_io(options, 1);
	rocksdb_options_set_memtable_whole_key_filtering(options, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.02);

	rocks->read_cached = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(rocks->read_cached, READ_TIER_BLOCK_CACHE);
	rocks->read_any = rocksdb_readoptions_create();
	rocks->write_synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(rocks->write_synced, 1);
	rocks->write_unsynced = rocksdb_writeoptions_create();
}

/* What the operator reads, and the errno (positive). Frees `error`. */
static int explain(const char *path, char *error, char error_text[IO_ERROR_TEXT_BYTES])
{
	int code = EIO;
	if (strstr(error, "LOCK") != NULL && (strstr(error, "lock file") != NULL || strstr(error, "lock hold") != NULL)) {
		code = EBUSY;
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "store %s: another daemon has this store open", path);
	} else if (strstr(error, "does not exist (create_if_missing is false)") != NULL) {
		code = ENOENT;
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "store %s: there is none here: format it first", path);
	} else {
		if (strstr(error, "No space left") != NULL)
			code = ENOSPC;
		else if (strncmp(error, "Corruption", 10) == 0)
			code = ERR_corrupt;
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "store %s: %s", path, error);
	}
	rocksdb_free(error);
	return code;
}

int kv_rocks_new(struct loop *loop, const struct kv_rocks_opts *opts, struct kv **ret_kv, char error_text[IO_ERROR_TEXT_BYTES])
{
	static const struct kv_ops ops = {.get = rocks_get,
					  .get_many = rocks_get_many,
					  .scan = rocks_scan,
					  .write = rocks_write,
					  .fini = rocks_fini};
	struct kv_rocks *rocks = mem_alloc(sizeof(*rocks));
	rocks->kv = (struct kv){.ops = &ops, .loop = loop};
	map_init(&rocks->pending);
	waitq_init(&rocks->written);
	set_options(rocks, opts);
	char *error = NULL;
	rocks->db = rocksdb_open(rocks->options, opts->path, &error);
	if (error != NULL) {
		int code = explain(opts->path, error, error_text);
		rocks_release(rocks);
		return fail(code);
	}
	rocks->readers = threads_new(loop, "kv-read", opts->read_threads != 0 ? opts->read_threads : READ_THREADS_DEFAULT);
	rocks->writer = threads_new(loop, "kv-write", 1);
	*ret_kv = &rocks->kv;
	return 0;
}
