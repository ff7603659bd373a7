/* SPDX-License-Identifier: Apache-2.0
 * The queue of changes to the kv store: many tasks put, one writes, a batch at a time, each with one sync. Batches are numbered from 1. A
 * change is in the store once its batch is durable; until then whoever put it knows it from memory. */
#ifndef STRIA_OSS_KVQ_H
#define STRIA_OSS_KVQ_H

#include "common/core/env.h"
#include "common/core/task.h"

struct kvq {
	struct env *env;
	struct arena arena;  /* of the batch that collects */
	struct kv_op *ops;   /* in it */
	size_t count, capacity;
	uint64_t collecting; /* its number */
	uint64_t durable;
	int failed;
	bool stopping, stopped;
	struct waitq work;
	struct waitq waiting[2]; /* by the number's lowest bit */
	void (*on_failure)(void *ctx, int rc);
	void *ctx;
};
void kvq_init(struct kvq *kvq, struct env *env, void (*on_failure)(void *ctx, int rc), void *ctx);
void kvq_fini(struct kvq *kvq);
void kvq_start(struct kvq *kvq);
void kvq_stop(struct kvq *kvq); /* parks: what was put becomes durable */
/* Both copy; answer the number of the batch. Later changes of one key win. */
uint64_t kvq_put(struct kvq *kvq, struct blob key, struct blob value);
uint64_t kvq_delete(struct kvq *kvq, struct blob key);
/* Parks until `batch` is durable. Errors: ERR_disk: it never will be. */
int kvq_wait(struct kvq *kvq, uint64_t batch);

#endif
