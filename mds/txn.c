/* SPDX-License-Identifier: Apache-2.0
 * Overlay and group commit. */
#include "mds/txn.h"
#include "common/base/check.h"
#include "common/core/loop.h"

enum { REC_OVERHEAD_BYTES = 192 }; /* what a record costs beside key and value */

void txn_init(struct txn *txn, struct env *env, size_t bytes_max)
{
	*txn = (struct txn){.env = env, .bytes_max = bytes_max, .collecting = 1};
	map_init(&txn->recs);
	list_init(&txn->lru);
	list_init(&txn->dirty);
	waitq_init(&txn->work);
	waitq_init(&txn->waiting[0]);
	waitq_init(&txn->waiting[1]);
}

static size_t rec_cost(const struct rec *rec)
{
	return REC_OVERHEAD_BYTES + rec->key_len + rec->value.len;
}

static void rec_free(struct rec *rec)
{
	mem_free((void *)(uintptr_t)rec->value.ptr);
	mem_free(rec);
}

void txn_fini(struct txn *txn)
{
	struct map_iter iter = map_iter_begin(&txn->recs);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		rec_free(CONTAINER_OF(node, struct rec, node));
	map_fini(&txn->recs);
}

static struct rec *rec_find(struct txn *txn, const struct key *key)
{
	for (struct map_node *node = map_first(&txn->recs, map_hash_bytes(key_blob(key))); node != NULL; node = map_next(node)) {
		struct rec *rec = CONTAINER_OF(node, struct rec, node);
		if (rec->key_len == key->len && memcmp(rec->key, key->bytes, key->len) == 0)
			return rec;
	}
	return NULL;
}

static struct rec *rec_new(struct txn *txn, const struct key *key)
{
	struct rec *rec = mem_alloc(sizeof(*rec) + key->len);
	rec->key_len = key->len;
	memcpy(rec->key, key->bytes, key->len);
	list_node_init(&rec->link);
	waitq_init(&rec->loaded);
	map_insert(&txn->recs, &rec->node, map_hash_bytes(key_blob(key)));
	txn->bytes += rec_cost(rec);
	return rec;
}

static void rec_forget(struct txn *txn, struct rec *rec)
{
	txn->bytes -= rec_cost(rec);
	list_remove(&rec->link);
	map_remove(&txn->recs, &rec->node);
	rec_free(rec);
}

static bool is_idle(const struct txn *txn, const struct rec *rec)
{
	return rec->pins == 0 && !rec->dirty && rec->batch <= txn->durable;
}

/* It may have become idle: into the LRU, or away. */
static void rec_settle(struct txn *txn, struct rec *rec)
{
	if (!is_idle(txn, rec))
		return;
	if (rec->transient || rec->rc < 0) {
		rec_forget(txn, rec);
		return;
	}
	list_remove(&rec->link);
	list_push_back(&txn->lru, &rec->link);
}

static void trim(struct txn *txn)
{
	struct list_node *node;
	while (txn->bytes > txn->bytes_max && (node = list_first(&txn->lru)) != NULL)
		rec_forget(txn, CONTAINER_OF(node, struct rec, link));
}

static void rec_pin(struct rec *rec)
{
	if (rec->pins++ == 0 && !rec->dirty)
		list_remove(&rec->link);
}

void txn_unpin(struct txn *txn, struct rec *rec)
{
	CHECK(rec->pins > 0);
	if (--rec->pins > 0)
		return;
	rec_settle(txn, rec);
	trim(txn);
}

static void rec_set(struct txn *txn, struct rec *rec, struct blob value)
{
	const uint8_t *old = rec->value.ptr;
	txn->bytes -= rec_cost(rec);
	rec->present = value.ptr != NULL;
	rec->value = rec->present ? blob_of(mem_dup(value.ptr, value.len), value.len) : (struct blob){0};
	txn->bytes += rec_cost(rec);
	mem_free((void *)(uintptr_t)old); /* last: the new value may borrow from it */
}

/* A read has come back; a blind write in the meantime wins. */
static void rec_loaded(struct txn *txn, struct rec *rec, int rc, struct blob value)
{
	if (rec->loading) {
		rec->loading = false;
		if (rc == 0)
			rec_set(txn, rec, value);
		else if (rc != -ENOENT)
			rec->rc = rc;
	}
	waitq_wake_all(&rec->loaded);
}

int txn_load(struct txn *txn, const struct key *key, struct rec **ret_rec)
{
	struct rec *rec = rec_find(txn, key);
	if (rec != NULL) {
		txn->stats.hits += !rec->loading;
		rec_pin(rec);
		rec->transient = false;
		while (rec->loading)
			(void)waitq_wait(&rec->loaded, txn->env->loop, UINT64_MAX); /* no deadline: cannot time out */
	} else {
		txn->stats.misses++;
		struct arena arena;
		arena_init(&arena);
		struct blob value = {0};
		rec = rec_new(txn, key);
		rec->loading = true;
		rec_pin(rec);
		int rc = txn->env->kv->ops->get(txn->env->kv, key_blob(key), &arena, &value);
		rec_loaded(txn, rec, rc, value);
		arena_fini(&arena);
	}
	if (rec->rc < 0) {
		int rc = rec->rc;
		txn_unpin(txn, rec);
		return rc;
	}
	*ret_rec = rec;
	return 0;
}

void txn_prefetch(struct txn *txn, const struct key *keys, size_t count, struct arena *arena)
{
	struct rec **recs = arena_alloc(arena, count * sizeof(struct rec *));
	struct blob *wanted = arena_alloc(arena, count * sizeof(struct blob));
	struct blob *values = arena_alloc(arena, count * sizeof(struct blob));
	size_t missing = 0;
	for (size_t i = 0; i < count; i++) {
		if (rec_find(txn, &keys[i]) != NULL)
			continue;
		struct rec *rec = rec_new(txn, &keys[i]);
		rec->loading = true;
		rec_pin(rec);
		recs[missing] = rec;
		wanted[missing++] = blob_of(rec->key, rec->key_len);
	}
	if (missing == 0)
		return;
	txn->stats.misses += missing;
	int rc = txn->env->kv->ops->get_many(txn->env->kv, wanted, missing, arena, values);
	for (size_t i = 0; i < missing; i++) {
		rec_loaded(txn, recs[i], rc < 0 ? rc : values[i].ptr == NULL ? -ENOENT : 0, values[i]);
		txn_unpin(txn, recs[i]);
	}
}

/* Into the batch that collects. */
static void rec_dirty(struct txn *txn, struct rec *rec)
{
	rec->loading = false;
	rec->rc = 0;
	rec->batch = txn->collecting;
	if (rec->dirty)
		return;
	rec->dirty = true;
	list_remove(&rec->link);
	list_push_back(&txn->dirty, &rec->link);
	if (txn->dirty_count++ == 0)
		waitq_wake_one(&txn->work);
}

void txn_put(struct txn *txn, struct rec *rec, struct blob value)
{
	rec_dirty(txn, rec);
	rec_set(txn, rec, value);
}

void txn_delete(struct txn *txn, struct rec *rec)
{
	rec_dirty(txn, rec);
	rec_set(txn, rec, (struct blob){0});
}

static struct rec *blind(struct txn *txn, const struct key *key)
{
	struct rec *rec = rec_find(txn, key);
	if (rec == NULL) {
		rec = rec_new(txn, key);
		rec->transient = true;
	}
	return rec;
}

void txn_write(struct txn *txn, const struct key *key, struct blob value)
{
	txn_put(txn, blind(txn, key), value);
}

void txn_erase(struct txn *txn, const struct key *key)
{
	txn_delete(txn, blind(txn, key));
}

int txn_wait(struct txn *txn, uint64_t batch)
{
	while (txn->durable < batch && txn->failed == 0 && !txn->stopped)
		(void)waitq_wait(&txn->waiting[batch & 1], txn->env->loop, UINT64_MAX); /* no deadline */
	return txn->durable >= batch ? 0 : fail(ERR_not_ready);
}

/* ---- the group commit ----------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	struct rec *x, *y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	int order = memcmp(x->key, y->key, min_u64(x->key_len, y->key_len));
	return order != 0 ? order : (int)x->key_len - (int)y->key_len;
}

static void committed(struct txn *txn, struct rec **recs, size_t count, uint64_t number)
{
	txn->durable = number;
	for (size_t i = 0; i < count; i++)
		rec_settle(txn, recs[i]);
	trim(txn);
}

static void commit_once(struct txn *txn)
{
	if (txn->before_commit != NULL)
		txn->before_commit(txn->ctx);
	size_t count = txn->dirty_count, bytes = 0;
	struct arena arena;
	arena_init(&arena);
	struct rec **recs = arena_alloc(&arena, count * sizeof(struct rec *));
	struct kv_op *ops = arena_alloc(&arena, count * sizeof(struct kv_op));
	for (size_t i = 0; i < count; i++) {
		recs[i] = CONTAINER_OF(list_pop_front(&txn->dirty), struct rec, link);
		recs[i]->dirty = false;
	}
	qsort(recs, count, sizeof(struct rec *), by_key);
	for (size_t i = 0; i < count; i++) {
		struct rec *rec = recs[i];
		/* copied: the record may change again while this batch is in flight */
		ops[i].key = blob_of(rec->key, rec->key_len);
		ops[i].value = rec->present ? blob_of(arena_dup(&arena, rec->value.ptr, rec->value.len), rec->value.len)
					    : (struct blob){0};
		bytes += rec->key_len + rec->value.len;
	}
	txn->dirty_count = 0;
	uint64_t number = txn->collecting++;
	uint64_t begin_ns = env_now_ns(txn->env);
	int rc = txn->env->kv->ops->write(txn->env->kv, ops, count, true);
	uint64_t took_ns = env_now_ns(txn->env) - begin_ns;
	txn->stats.batches++;
	txn->stats.records += count;
	txn->stats.bytes += bytes;
	txn->stats.records_max = max_u64(txn->stats.records_max, count);
	txn->stats.commit_ns += took_ns;
	txn->stats.commit_ns_max = max_u64(txn->stats.commit_ns_max, took_ns);
	if (rc < 0) {
		txn->failed = rc;
		waitq_wake_all(&txn->waiting[(number + 1) & 1]);
		if (txn->on_failure != NULL)
			txn->on_failure(txn->ctx, rc);
	} else {
		committed(txn, recs, count, number);
	}
	waitq_wake_all(&txn->waiting[number & 1]);
	arena_fini(&arena);
}

static void commit_task(void *arg)
{
	struct txn *txn = arg;
	while (txn->failed == 0) {
		while (txn->dirty_count == 0 && !txn->stopping)
			(void)waitq_wait(&txn->work, txn->env->loop, UINT64_MAX); /* no deadline */
		if (txn->dirty_count == 0)
			break;
		task_yield(txn->env->loop); /* whoever is ready now joins this batch */
		commit_once(txn);
	}
	txn->stopped = true;
	waitq_wake_all(&txn->waiting[0]);
	waitq_wake_all(&txn->waiting[1]);
}

void txn_start(struct txn *txn)
{
	task_spawn(txn->env->loop, "commit", commit_task, txn);
}

void txn_stop(struct txn *txn)
{
	txn->stopping = true;
	waitq_wake_all(&txn->work);
	while (!txn->stopped)
		(void)waitq_wait(&txn->waiting[txn->collecting & 1], txn->env->loop, UINT64_MAX); /* no deadline */
}
