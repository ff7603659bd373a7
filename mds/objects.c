/* SPDX-License-Identifier: Apache-2.0
 * What an MDT asks of OSTs: cutting objects off, destroying those of files that are gone, and their sizes when a writer is gone. All of it is
 * repeated until it is done: an OST that is away delays, and nothing is forgotten, because a record stands for each piece of work. */
#include "mds/mds_impl.h"
#include "common/base/check.h"
#include "proto/rows.h"

#define BACKOFF_MIN_NS (2 * NS_PER_MS)
#define BACKOFF_MAX_NS (500 * NS_PER_MS)
#define OST_PAUSE_NS   NS_PER_S /* background work leaves an OST that did not answer alone for so long */
enum { PURGE_BATCH = 256 };

struct own_opno {
	struct list_node link; /* mds->opnos, ascending */
	uint64_t number;
};

static void opno_begin(struct mds *mds, struct own_opno *opno)
{
	opno->number = mds->next_opno++;
	list_push_back(&mds->opnos, &opno->link);
	mds->identity.lowest = CONTAINER_OF(list_first(&mds->opnos), struct own_opno, link)->number;
}

static void opno_end(struct mds *mds, struct own_opno *opno)
{
	list_remove(&opno->link);
	struct list_node *first = list_first(&mds->opnos);
	mds->identity.lowest = first != NULL ? CONTAINER_OF(first, struct own_opno, link)->number : mds->next_opno;
}

struct rpc_peer *ost_peer(struct mds *mds, uint32_t index)
{
	return index < mds->ost_count ? mds->osts[index].peer : NULL;
}

/* Until there is a final answer, or this target stops. Parks. */
static int ost_call(struct mds *mds, uint32_t index, enum op number, const void *req, void *rep, struct arena *arena)
{
	struct own_opno opno;
	opno_begin(mds, &opno);
	uint64_t backoff_ns = BACKOFF_MIN_NS;
	int rc = fail(ERR_not_ready);
	for (bool sent = false; !mds->stopping && mds->txn.failed == 0; sent = true) {
		struct rpc_peer *peer = ost_peer(mds, index);
		struct rpc_args args = {.arena = arena, .opno = opno.number, .resent = sent};
		rc = peer != NULL ? rpc_call(peer, number, req, rep, &args) : fail(ERR_not_ready);
		if (!err_is(rc, ERR_retry))
			break;
		task_sleep(mds->env->loop, backoff_ns);
		backoff_ns = min_u64(backoff_ns * 2, BACKOFF_MAX_NS);
	}
	opno_end(mds, &opno);
	return rc;
}

/* ---- several at once ------------------------------------------------------------------------------------------ */

struct fan {
	struct mds *mds;
	struct task *parent;
	uint32_t running;
	int rc; /* the first error */
};

static void fan_done(struct fan *fan, int rc)
{
	if (rc < 0 && fan->rc == 0)
		fan->rc = rc;
	if (--fan->running == 0)
		task_wake(fan->parent);
}

static int fan_wait(struct fan *fan)
{
	while (fan->running > 0)
		task_park(fan->mds->env->loop);
	return fan->rc;
}

/* ---- truncation ----------------------------------------------------------------------------------------------- */

struct cut {
	struct fan *fan;
	struct obj_punch_req req;
	uint16_t ost;
};

static void cut_task(void *arg)
{
	struct cut *cut = arg;
	struct obj_punch_rep rep;
	int rc = ost_call(cut->fan->mds, cut->ost, OP_obj_punch, &cut->req, &rep, NULL);
	fan_done(cut->fan, rc == -ENOENT ? 0 : rc);
}

/* Parks, until all are cut. */
static int cut_objects(struct operation *op, const struct inode *inode, uint64_t size_bytes)
{
	struct mds *mds = op->mds;
	struct layout *layout = arena_alloc(op->arena, sizeof(*layout));
	int rc = layout_decode(inode->layout, layout);
	if (rc < 0)
		return rc;
	struct fan fan = {.mds = mds, .parent = op->task};
	struct layout_piece object;
	for (uint32_t cursor = 0; layout_next_object(layout, &cursor, &object);) {
		struct cut *cut = arena_alloc(op->arena, sizeof(*cut));
		cut->fan = &fan;
		cut->ost = object.ost;
		cut->req = (struct obj_punch_req){
			.ino = inode->ino,
			.component = object.component,
			.stripe = object.stripe,
			.layout_gen = inode->layout_gen,
			.offset = layout_object_size(layout, object.component, object.stripe, size_bytes),
			.len = UINT64_MAX,
			.mtime_ns = inode->mtime_ns,
		};
		fan.running++;
		task_spawn(mds->env->loop, "cut", cut_task, cut);
	}
	return fan_wait(&fan);
}

int objects_truncate(struct operation *op)
{
	struct mds *mds = op->mds;
	const struct inode *inode = op->after_inode;
	op_step(op, "objects");
	int rc = txn_wait(&mds->txn, op->seen); /* the intent first */
	if (rc == 0)
		rc = cut_objects(op, inode, inode->size_bytes);
	if (rc < 0)
		return rc; /* the intent stays: the next start, or a truncation to come, does it */
	mds->counters.truncates_cut++;
	op_erase(op, key_of(TABLE_truncate, inode->ino));
	return 0;
}

struct ino_job {
	struct mds *mds;
	struct ino ino;
	uint64_t client;
	struct arena arena;
};

static void job_spawn(struct mds *mds, const char *name, struct ino ino, uint64_t client, void (*fn)(void *arg))
{
	struct ino_job *job = mem_alloc(sizeof(*job));
	job->mds = mds;
	job->ino = ino;
	job->client = client;
	arena_init(&job->arena);
	task_spawn(mds->env->loop, name, fn, job);
}

static void job_free(struct ino_job *job)
{
	arena_fini(&job->arena);
	mem_free(job);
}

static int replay_truncate_once(struct operation *op, struct ino ino)
{
	int rc = op_gates(op, &(struct gate_want){ino, GATE_EXCLUSIVE}, 1);
	struct rec *rec = NULL;
	if (rc == 0)
		rc = op_inode(op, ino, &op->after_inode);
	if (rc == 0)
		rc = op_load(op, key_of(TABLE_truncate, ino), &rec);
	if (rc < 0 || !rec->present)
		return rc;
	op->mds->counters.truncate_intents_replayed++;
	return objects_truncate(op);
}

static void replay_truncate_task(void *arg)
{
	struct ino_job *job = arg;
	struct operation op;
	op_init(&op, job->mds, &job->arena, "truncate");
	int rc = replay_truncate_once(&op, job->ino);
	if (rc == -ESTALE) /* the inode is gone, so are its objects soon */
		op_erase(&op, key_of(TABLE_truncate, job->ino));
	else if (rc < 0 && rc != -ERR_not_ready)
		mds_log(job->mds, LOG_LEVEL_ERROR, "objects", "a truncation could not be finished", "", rc);
	/* Still under the gate: its caller is answered from a record when the gate is free, and an intent that came back after that would cut off
	 * what he has written since. */
	(void)op_wait(&op); /* fails only when the target stops, and nobody is answered any more */
	op_fini(&op);
	job_free(job);
}

void replay_truncate(struct mds *mds, struct ino ino)
{
	job_spawn(mds, "replay_truncate", ino, 0, replay_truncate_task);
}

/* ---- writers that are gone ------------------------------------------------------------------------------------ */

struct ask {
	struct fan *fan;
	struct object_row row;
	struct object_stat_row stat;
	uint16_t ost;
};

static void ask_task(void *arg)
{
	struct ask *ask = arg;
	struct arena arena;
	uint8_t bytes[OBJECT_ROW_BYTES];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	object_row_put(&out, &ask->row);
	struct obj_stat_req req = {.objects = blob_of(bytes, sizeof(bytes))};
	struct obj_stat_rep rep;
	arena_init(&arena);
	int rc = ost_call(ask->fan->mds, ask->ost, OP_obj_stat, &req, &rep, &arena);
	if (rc == 0) {
		struct wire_in in = wire_in(rep.stats);
		ask->stat = object_stat_row_get(&in);
		rc = wire_done(&in);
	}
	arena_fini(&arena);
	fan_done(ask->fan, rc);
}

/* What the objects say of the file. Parks. */
static int ask_objects(struct operation *op, const struct inode *inode, struct object_stat_row *ret_sum)
{
	struct layout *layout = arena_alloc(op->arena, sizeof(*layout));
	int rc = layout_decode(inode->layout, layout);
	if (rc < 0)
		return rc;
	struct fan fan = {.mds = op->mds, .parent = op->task};
	struct ask *asks = arena_alloc(op->arena, LAYOUT_STRIPES_MAX * sizeof(*asks));
	uint32_t count = 0;
	struct layout_piece object;
	for (uint32_t cursor = 0; layout_next_object(layout, &cursor, &object); count++) {
		asks[count] = (struct ask){.fan = &fan, .row = {inode->ino, object.component, object.stripe}, .ost = object.ost};
		fan.running++;
		task_spawn(op->mds->env->loop, "ask", ask_task, &asks[count]);
	}
	rc = fan_wait(&fan);
	struct object_stat_row sum = {0};
	for (uint32_t i = 0; i < count; i++) {
		uint64_t size = layout_file_size(layout, asks[i].row.component, asks[i].row.stripe, asks[i].stat.size_bytes);
		sum.size_bytes = max_u64(sum.size_bytes, size);
		sum.allocated_bytes += asks[i].stat.allocated_bytes;
		if (asks[i].stat.mtime_ns > sum.mtime_ns)
			sum.mtime_ns = asks[i].stat.mtime_ns;
	}
	*ret_sum = sum;
	return rc;
}

static int resolve_once(struct operation *op, struct ino ino, uint64_t client)
{
	struct mds *mds = op->mds;
	struct inode *inode = NULL;
	struct object_stat_row sum = {0};
	int rc = op_gates(op, &(struct gate_want){ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, ino, &inode);
	/* What lives with the inode is whole there. The writer that is gone may have begun to move it to the objects: then they hold what nobody has seen. */
	if (rc == 0 && (inode->flags & INODE_INLINE) != 0)
		rc = cut_objects(op, inode, 0);
	else if (rc == 0 && inode->layout.len > 0)
		rc = ask_objects(op, inode, &sum);
	if (rc < 0 && rc != -ESTALE)
		return rc;
	int mutate = op_mutate(op);
	if (mutate < 0)
		return mutate;
	op_erase(op, key_writer(ino, client));
	mark_end(mds, ino, client);
	bool changed = false;
	if (rc == 0 && (inode->flags & INODE_INLINE) == 0)
		rc = inode_publish(op, inode, 0, inode->size_gen, sum.size_bytes, sum.mtime_ns, sum.allocated_bytes / BLOCK_BYTES, &changed);
	if (changed)
		op_save(op, inode);
	mds->counters.lost_writers_resolved++;
	return 0;
}

static void resolve_task(void *arg)
{
	struct ino_job *job = arg;
	struct operation op;
	op_init(&op, job->mds, &job->arena, "resolve");
	int rc = resolve_once(&op, job->ino, job->client);
	if (rc < 0 && rc != -ERR_not_ready)
		mds_log(job->mds, LOG_LEVEL_ERROR, "objects", "the size of a lost writer's file could not be found out", "", rc);
	op_fini(&op);
	job_free(job);
}

void resolve_writer(struct mds *mds, struct ino ino, uint64_t client)
{
	job_spawn(mds, "resolve_writer", ino, client, resolve_task);
}

/* ---- purge ---------------------------------------------------------------------------------------------------- */

struct purge_item {
	struct list_node link; /* mds->purge_queue */
	struct ino ino;
};

void purge_add(struct mds *mds, struct ino ino)
{
	struct purge_item *item = mem_alloc(sizeof(*item));
	item->ino = ino;
	list_push_back(&mds->purge_queue, &item->link);
	mds->counters.purges_queued++;
	waitq_wake_one(&mds->purge_work);
}

/* One round: the objects of many files, one message to each OST. */
struct destroy {
	struct fan *fan;
	uint16_t ost;
	uint8_t *bytes; /* owned */
	struct wire_out out;
	int rc;
};
struct purge {
	struct mds *mds;
	struct operation op;
	struct purge_item *items[PURGE_BATCH];
	struct purge_record records[PURGE_BATCH];
	uint32_t count;
	struct destroy *destroys; /* in the arena; by OST */
};
enum { DESTROY_BYTES_MAX = WIRE_BLOB_BYTES_MAX - LAYOUT_STRIPES_MAX * OBJECT_ROW_BYTES }; /* one file's rows always fit behind it */

static int load_record(struct purge *purge, struct ino ino, struct purge_record *ret_record)
{
	struct rec *rec = NULL;
	int rc = op_load(&purge->op, key_of(TABLE_purge, ino), &rec);
	if (rc < 0)
		return rc;
	if (!rec->present)
		return fail(ENOENT);
	struct blob copy = blob_of(arena_dup(purge->op.arena, rec->value.ptr, rec->value.len), rec->value.len);
	rc = purge_decode(copy, ret_record);
	return rc < 0 ? mds_corrupt(purge->mds, blob_of(rec->key, rec->key_len), rc) : 0;
}

/* Adds the file's objects to the messages. False: a message is full. */
static bool add_objects(struct purge *purge, struct ino ino, struct blob encoded)
{
	struct layout *layout = arena_alloc(purge->op.arena, sizeof(*layout));
	if (layout_decode(encoded, layout) < 0)
		return true; /* checked when it was stored; nothing can be done without it */
	bool full = false;
	struct layout_piece object;
	for (uint32_t cursor = 0; layout_next_object(layout, &cursor, &object);) {
		if (object.ost >= purge->mds->ost_count)
			continue; /* cannot be: only OSTs of the map are ever chosen */
		struct destroy *destroy = &purge->destroys[object.ost];
		if (destroy->bytes == NULL) {
			destroy->bytes = mem_alloc(WIRE_BLOB_BYTES_MAX);
			destroy->out = wire_out(destroy->bytes, WIRE_BLOB_BYTES_MAX);
		}
		object_row_put(&destroy->out, &(struct object_row){ino, object.component, object.stripe});
		full = full || wire_len(&destroy->out) >= DESTROY_BYTES_MAX;
	}
	return !full;
}

static void destroy_task(void *arg)
{
	struct destroy *destroy = arg;
	struct mds *mds = destroy->fan->mds;
	struct rpc_peer *peer = ost_peer(mds, destroy->ost);
	struct obj_destroy_req req = {.objects = blob_of(destroy->bytes, wire_len(&destroy->out))};
	struct obj_destroy_rep rep;
	uint64_t now_ns = env_now_ns(mds->env);
	if (now_ns < mds->osts[destroy->ost].refused_until_ns || peer == NULL)
		destroy->rc = fail(ERR_not_ready);
	else
		destroy->rc = rpc_obj_destroy(peer, &req, &rep, &(struct rpc_args){0});
	if (destroy->rc < 0)
		mds->osts[destroy->ost].refused_until_ns = env_now_ns(mds->env) + OST_PAUSE_NS;
	fan_done(destroy->fan, 0);
}

static bool is_destroyed(const struct purge *purge, struct blob encoded)
{
	struct layout *layout = arena_alloc(purge->op.arena, sizeof(*layout));
	if (encoded.len == 0 || layout_decode(encoded, layout) < 0)
		return true;
	struct layout_piece object;
	for (uint32_t cursor = 0; layout_next_object(layout, &cursor, &object);)
		if (object.ost < purge->mds->ost_count && purge->destroys[object.ost].rc < 0)
			return false;
	return true;
}

static int erase_xattrs(struct operation *op, struct ino ino)
{
	struct key prefix = key_xattr(ino, (struct str){0}), end = key_end(prefix);
	for (bool more = true; more;) {
		struct kv_pair *pairs = NULL;
		int count = op->mds->env->kv->ops->scan(op->mds->env->kv, key_blob(&prefix), key_blob(&end), 256, 256 * KIB, op->arena,
							&pairs, &more);
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			struct key key = {.len = (uint16_t)pairs[i].key.len};
			memcpy(key.bytes, pairs[i].key.ptr, pairs[i].key.len);
			op_erase(op, key);
			prefix = key; /* goes on behind it */
			prefix.bytes[min_u64(prefix.len, KEY_BYTES_MAX - 1)] = 0;
			prefix.len = (uint16_t)min_u64(prefix.len + 1, KEY_BYTES_MAX);
		}
		more = more && count > 0;
	}
	return 0;
}

static void purge_round(struct purge *purge)
{
	struct mds *mds = purge->mds;
	purge->destroys = arena_alloc(purge->op.arena, (mds->ost_count + 1) * sizeof(struct destroy));
	bool room = true;
	while (room && purge->count < PURGE_BATCH && !list_is_empty(&mds->purge_queue)) {
		struct purge_item *item = CONTAINER_OF(list_pop_front(&mds->purge_queue), struct purge_item, link);
		if (load_record(purge, item->ino, &purge->records[purge->count]) < 0) {
			mem_free(item); /* done in an earlier life, or damaged and logged */
			continue;
		}
		purge->items[purge->count] = item;
		room = add_objects(purge, item->ino, purge->records[purge->count].layout);
		purge->count++;
	}
	op_step(&purge->op, "commit");
	int rc = txn_wait(&mds->txn, purge->op.seen); /* a file is gone for good before its objects are */
	op_step(&purge->op, "objects");
	struct fan fan = {.mds = mds, .parent = purge->op.task};
	for (uint32_t i = 0; rc == 0 && i < mds->ost_count; i++) {
		struct destroy *destroy = &purge->destroys[i];
		destroy->fan = &fan;
		destroy->ost = (uint16_t)i;
		if (destroy->bytes == NULL)
			continue;
		fan.running++;
		task_spawn(mds->env->loop, "destroy", destroy_task, destroy);
	}
	(void)fan_wait(&fan); /* each has its own result */
	for (uint32_t i = 0; i < purge->count; i++) {
		struct purge_item *item = purge->items[i];
		bool done = rc == 0 && is_destroyed(purge, purge->records[i].layout);
		if (done && purge->records[i].has_xattrs)
			done = erase_xattrs(&purge->op, item->ino) == 0;
		if (!done) {
			list_push_back(&mds->purge_queue, &item->link);
			continue;
		}
		op_erase(&purge->op, key_of(TABLE_purge, item->ino));
		mds->counters.purges_done++;
		mem_free(item);
	}
	for (uint32_t i = 0; i < mds->ost_count; i++)
		mem_free(purge->destroys[i].bytes);
}

static void purge_task(void *arg)
{
	struct mds *mds = arg;
	while (!mds->stopping && mds->txn.failed == 0) {
		if (list_is_empty(&mds->purge_queue)) {
			(void)waitq_wait(&mds->purge_work, mds->env->loop, UINT64_MAX); /* work, or the end */
			continue;
		}
		struct arena arena;
		arena_init(&arena);
		struct purge *purge = arena_alloc(&arena, sizeof(*purge));
		purge->mds = mds;
		op_init(&purge->op, mds, &arena, "purge");
		uint64_t done_before = mds->counters.purges_done;
		purge_round(purge);
		op_fini(&purge->op);
		arena_fini(&arena);
		if (mds->counters.purges_done == done_before)
			task_sleep(mds->env->loop, OST_PAUSE_NS);
	}
}

void purge_start(struct mds *mds)
{
	task_spawn(mds->env->loop, "purge", purge_task, mds);
}
