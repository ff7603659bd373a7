/* SPDX-License-Identifier: Apache-2.0
 * The overlay of records over the kv store, and the group commit.
 *
 * Every record that an operation reads or changes stands in memory. Changes go to the batch that collects; one batch is in flight, written
 * with one sync, keys in order. Batches are numbered from 1; a record remembers the newest batch that changed it, so that whoever
 * has seen it knows what must be durable before it may answer. Clean records live in an LRU bounded by bytes; records that are dirty,
 * in flight or pinned stay. It knows nothing of what the records mean. */
#ifndef STRIA_MDS_TXN_H
#define STRIA_MDS_TXN_H

#include "common/base/map.h"
#include "common/core/env.h"
#include "common/core/task.h"
#include "mds/record.h"

/* One record in memory. Its value changes only by txn_put and txn_delete. */
struct rec {
	struct map_node node;
	struct list_node link;  /* in txn->lru, in txn->dirty, or in none */
	uint32_t pins;
	int rc;                 /* of a load that failed */
	bool loading, present;
	bool transient;         /* not worth keeping once it is durable */
	bool dirty;             /* in the batch that collects */
	uint64_t batch;         /* that changed it last; 0: none since it was read */
	struct waitq loaded;
	struct blob value;      /* owned bytes; ptr NULL when !present */
	uint16_t key_len;
	uint8_t key[];
};
struct txn_stats {
	uint64_t batches, records, bytes, records_max;
	uint64_t hits, misses;
	uint64_t commit_ns, commit_ns_max;
};
struct txn {
	struct env *env;
	struct map recs;
	struct list lru;   /* clean and unpinned, least recently used first */
	struct list dirty; /* of the batch that collects */
	size_t dirty_count, bytes, bytes_max;
	uint64_t collecting; /* number of that batch */
	uint64_t durable;    /* every batch up to this one is */
	int failed;          /* the error that stopped it */
	bool stopping, stopped;
	struct waitq work;
	struct waitq waiting[2]; /* for the batch in flight and the one that collects, by the number's lowest bit */
	void (*before_commit)(void *ctx);         /* may add records; must not park */
	void (*on_failure)(void *ctx, int rc);    /* a commit failed: nothing will be durable any more */
	void *ctx;
	struct txn_stats stats;
};

void txn_init(struct txn *txn, struct env *env, size_t bytes_max);
void txn_fini(struct txn *txn);
/* Start the task that commits. */
void txn_start(struct txn *txn);
/* Parks: what was collected becomes durable, then the committing task ends. */
void txn_stop(struct txn *txn);

/* The record of `key`, pinned until txn_unpin; !rec->present: there is none. Parks on a miss. Errors: those of kv get. */
int txn_load(struct txn *txn, const struct key *key, struct rec **ret_rec);
/* Bring many into memory with one read; errors come again from txn_load. Parks. */
void txn_prefetch(struct txn *txn, const struct key *keys, size_t count, struct arena *arena);
void txn_unpin(struct txn *txn, struct rec *rec);

/* Change a record in the batch that collects. The value is copied. Do not park. */
void txn_put(struct txn *txn, struct rec *rec, struct blob value);
void txn_delete(struct txn *txn, struct rec *rec);
/* The same for records that nobody loads under a gate while this runs: no read is needed. */
void txn_write(struct txn *txn, const struct key *key, struct blob value);
void txn_erase(struct txn *txn, const struct key *key);

/* Parks until `batch` is durable. Errors: ERR_not_ready: the target has stopped, it will never be. */
int txn_wait(struct txn *txn, uint64_t batch);

#endif
