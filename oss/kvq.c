/* SPDX-License-Identifier: Apache-2.0
 * Group commit of the OST's records. */
#include "oss/kvq.h"

void kvq_init(struct kvq *kvq, struct env *env, void (*on_failure)(void *ctx, int rc), void *ctx)
{
	*kvq = (struct kvq){.env = env, .collecting = 1, .on_failure = on_failure, .ctx = ctx};
	arena_init(&kvq->arena);
	waitq_init(&kvq->work);
	waitq_init(&kvq->waiting[0]);
	waitq_init(&kvq->waiting[1]);
}

void kvq_fini(struct kvq *kvq)
{
	arena_fini(&kvq->arena);
}

static uint64_t add(struct kvq *kvq, struct blob key, struct blob value)
{
	if (kvq->count == kvq->capacity) {
		size_t capacity = kvq->capacity * 2 + 32;
		struct kv_op *ops = arena_alloc(&kvq->arena, capacity * sizeof(*ops));
		if (kvq->count > 0)
			memcpy(ops, kvq->ops, kvq->count * sizeof(*ops));
		kvq->ops = ops;
		kvq->capacity = capacity;
	}
	kvq->ops[kvq->count++] = (struct kv_op){
		.key = blob_of(arena_dup(&kvq->arena, key.ptr, key.len), key.len),
		.value = value.ptr != NULL ? blob_of(arena_dup(&kvq->arena, value.ptr, value.len), value.len) : (struct blob){0},
	};
	if (kvq->count == 1)
		waitq_wake_one(&kvq->work);
	return kvq->collecting;
}

uint64_t kvq_put(struct kvq *kvq, struct blob key, struct blob value)
{
	return add(kvq, key, value);
}

uint64_t kvq_delete(struct kvq *kvq, struct blob key)
{
	return add(kvq, key, (struct blob){0});
}

int kvq_wait(struct kvq *kvq, uint64_t batch)
{
	while (kvq->durable < batch && kvq->failed == 0 && !kvq->stopped)
		(void)waitq_wait(&kvq->waiting[batch & 1], kvq->env->loop, UINT64_MAX); /* no deadline */
	return kvq->durable >= batch ? 0 : fail(ERR_disk);
}

static void write_batch(struct kvq *kvq)
{
	struct arena arena = kvq->arena;
	struct kv_op *ops = kvq->ops;
	size_t count = kvq->count;
	uint64_t number = kvq->collecting++;
	arena_init(&kvq->arena);
	kvq->ops = NULL;
	kvq->count = kvq->capacity = 0;
	int rc = kvq->env->kv->ops->write(kvq->env->kv, ops, count, true);
	arena_fini(&arena);
	if (rc < 0) {
		kvq->failed = rc;
		waitq_wake_all(&kvq->waiting[(number + 1) & 1]);
		kvq->on_failure(kvq->ctx, rc);
	} else {
		kvq->durable = number;
	}
	waitq_wake_all(&kvq->waiting[number & 1]);
}

static void write_task(void *arg)
{
	struct kvq *kvq = arg;
	while (kvq->failed == 0) {
		while (kvq->count == 0 && !kvq->stopping)
			(void)waitq_wait(&kvq->work, kvq->env->loop, UINT64_MAX); /* no deadline */
		if (kvq->count == 0)
			break;
		task_yield(kvq->env->loop); /* whoever is ready now joins this batch */
		write_batch(kvq);
	}
	kvq->stopped = true;
	waitq_wake_all(&kvq->waiting[0]);
	waitq_wake_all(&kvq->waiting[1]);
}

void kvq_start(struct kvq *kvq)
{
	task_spawn(kvq->env->loop, "kv_commit", write_task, kvq);
}

void kvq_stop(struct kvq *kvq)
{
	kvq->stopping = true;
	waitq_wake_all(&kvq->work);
	while (!kvq->stopped)
		(void)waitq_wait(&kvq->waiting[kvq->collecting & 1], kvq->env->loop, UINT64_MAX); /* no deadline */
}
