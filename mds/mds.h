/* SPDX-License-Identifier: Apache-2.0
 * The metadata server: the public header of mds/. One `struct mds` is one MDT on one loop, real or simulated; index 0 without an address of
 * a management service embeds that service (MGS). Record formats, for checkers, are in mds/record.h. */
#ifndef STRIA_MDS_MDS_H
#define STRIA_MDS_MDS_H

#include "common/core/env.h"
#include "common/core/log.h"
#include "proto/proto.h"

struct mds;
enum { MDS_ERROR_BYTES = 256 };

struct mds_conf {
	const char *listen;    /* "tcp://127.0.0.1:0" */
	const char *mgs;       /* address of the MGS; NULL or empty: this MDT embeds it */
	uint64_t lease_ns;     /* of clients; 0: 30 s */
	size_t cache_bytes;    /* of records in memory; 0: 256 MiB */
	struct log *log;       /* may be NULL */
	/* The target has stopped for good (its store failed): end the process. May be NULL; must not park. */
	void (*stopped)(void *ctx, int rc);
	void *stopped_ctx;
};

struct mds_format_opts {
	const char *fsname;              /* 1..8 letters and digits */
	uint64_t cluster_hi, cluster_lo; /* both 0: a new random uuid */
	uint32_t index;                  /* of the MDT */
	uint32_t shard_count;            /* 0: 256 */
	uint64_t hash_key[2];            /* of name hashes; both 0: random */
	uint32_t hash_bits;              /* 0: 56; fewer make collisions likely, for tests */
	bool force;                      /* erase what is there */
};
/* Make an empty store in env->kv (env needs loop, clock, rng, kv). Parks. Errors, with one line in ret_error: EEXIST (already formatted),
 * EINVAL (an option), those of kv. */
int mds_format(struct env *env, const struct mds_format_opts *opts, char ret_error[MDS_ERROR_BYTES]);

/* `env` (loop, clock, rng, net, kv; disk if it is to tell the space) and what conf points to are borrowed for its life. */
struct mds *mds_new(struct env *env, const struct mds_conf *conf);
/* Open the store, recover, serve. Parks. Writes the address that it listens at. Errors, with one line from mds_error: ERR_no_format,
 * ERR_corrupt, ERR_version, ERR_wrong_cluster, ERR_wrong_target, those of kv and net. */
int mds_start(struct mds *mds, char ret_address[NET_ADDR_BYTES_MAX]);
const char *mds_error(const struct mds *mds); /* why the start failed; borrowed */
/* Refuse new requests and make durable what was collected. Parks. */
void mds_stop(struct mds *mds);
/* When its loop runs no more. NULL is fine. */
void mds_free(struct mds *mds);

uint8_t mds_state(const struct mds *mds); /* enum target_state */
uint32_t mds_index(const struct mds *mds);
const char *mds_fsname(const struct mds *mds);
/* The answer to OP_status: one JSON object in `arena`. Does not park. */
struct blob mds_status_json(struct mds *mds, struct arena *arena);

/* What happened since the start; for status and the simulator's coverage. */
struct mds_counters {
	uint64_t replies_from_records;     /* repeats answered from a reply record */
	uint64_t replies_recovered;        /* of those, from a record of an earlier boot */
	uint64_t duplicates_joined;        /* repeats that waited for the running operation */
	uint64_t late_copies;              /* dropped: their answer was known to have arrived */
	uint64_t evictions, leaves, joins;
	uint64_t orphans_made, orphans_purged, orphans_named; /* named: a file made without a name got one */
	uint64_t purges_queued, purges_done;
	uint64_t truncates_cut, truncate_intents_replayed;
	uint64_t lost_writers_resolved;
	uint64_t hash_collisions;          /* a name inserted beside another one of the same hash */
	uint64_t reclaims, reclaims_refused;
	uint64_t grace_refusals;
	uint64_t grants, recalls, glimpses; /* of leases */
	uint64_t locks_queued, locks_after_wait, lock_deadlocks, locks_reclaimed;
	uint64_t recall_evictions;         /* clients that did not give one back */
	uint64_t gate_timeouts;
	uint64_t renames_replacing, renames_exchanging, rename_loops_refused;
	uint64_t stale_sizes;              /* sizes of before a truncation, ignored */
};
struct mds_counters mds_counters(const struct mds *mds);

#endif
