/* SPDX-License-Identifier: Apache-2.0
 * The object storage server: the public header of oss/. One `struct ost` is one OST on one loop, real or simulated: objects on the disk
 * seam, checksums and what must survive a restart in the kv seam. */
#ifndef STRIA_OSS_OSS_H
#define STRIA_OSS_OSS_H

#include "common/core/env.h"
#include "common/core/log.h"
#include "proto/proto.h"

struct ost;
enum { OST_ERROR_BYTES = 256 };

struct ost_conf {
	const char *listen;     /* "tcp://127.0.0.1:0" */
	const char *mgs;        /* address(es) of the management service, separated by commas */
	uint32_t buffers;       /* of 1 MiB, for bulk; 0: 64 */
	uint32_t open_files_max; /* objects kept open; 0: 1024 */
	struct log *log;        /* may be NULL */
	/* The target has stopped for good (its disk or store failed): end the process. May be NULL; must not park. */
	void (*stopped)(void *ctx, int rc);
	void *stopped_ctx;
};

struct ost_format_opts {
	const char *fsname; /* 1..8 letters and digits */
	uint32_t index;     /* of the OST */
	bool force;         /* forget what the store says; objects that are there stay as garbage */
};
/* Make an empty store in env->kv and env->disk. Parks. Errors, with one line in ret_error: EEXIST (already formatted), EINVAL, those of the seams. */
int ost_format(struct env *env, const struct ost_format_opts *opts, char ret_error[OST_ERROR_BYTES]);

/* `env` (loop, clock, rng, net, disk, kv) and what conf points to are borrowed for its life. */
struct ost *ost_new(struct env *env, const struct ost_conf *conf);
/* Open the store, listen, register at the management service (repeated until it answers), begin to recover. Parks. Writes the address that it
 * listens at. Errors, with one line from ost_error: ERR_no_format, ERR_corrupt, ERR_version, ERR_wrong_cluster, ERR_wrong_target, those of the seams. */
int ost_start(struct ost *ost, char ret_address[NET_ADDR_BYTES_MAX]);
const char *ost_error(const struct ost *ost); /* why the start failed; borrowed */
/* Refuse new requests and make stable what was written. Parks. */
void ost_stop(struct ost *ost);
/* When its loop runs no more. NULL is fine. */
void ost_free(struct ost *ost);

uint8_t ost_state(const struct ost *ost); /* enum target_state */
uint32_t ost_index(const struct ost *ost);
const char *ost_fsname(const struct ost *ost);
/* That client is evicted, and nothing of it is under way here, or unstable, any more. */
bool ost_has_fenced(const struct ost *ost, uint64_t client);

/* What happened since the start; for status and the simulator's coverage. */
struct ost_counters {
	uint64_t reads, writes, commits, punches, allocations, destroyed;
	uint64_t read_bytes, written_bytes;
	uint64_t copies, copied_bytes; /* from object to object; bytes: holes do not count */
	uint64_t copied_far_bytes;    /* of those, from other OSTs */
	uint64_t sources_away;        /* copies that ended because another OST did not answer, or not now */
	uint64_t repeats_answered;    /* of an answered write, punch, allocation or copy */
	uint64_t in_progress;         /* copies of a running one */
	uint64_t late_copies;         /* dropped: their answer was known to have arrived */
	uint64_t late_at_submission;  /* of those, found out only after the data had come */
	uint64_t evicted_refused, drained; /* requests of evicted clients; running ones that a new map waited for */
	uint64_t evicted_commits;     /* objects made stable because a client that had written to them was evicted */
	uint64_t grace_refusals;
	uint64_t replays_applied, replays_superseded; /* superseded: newer or stable bytes stand there */
	uint64_t replays_refused;     /* came when recovery did not wait for them (any more) */
	uint64_t recoveries;          /* ended after clients replayed or were gone */
	uint64_t tombstone_refusals;  /* writes to destroyed files */
	uint64_t sum_errors, flux_marks, flux_recomputed;
	uint64_t rma_lost;            /* bulk that ended with its connection */
	uint64_t crc_errors;          /* data that did not arrive as it was sent */
	uint64_t epoch_fetches;
};
struct ost_counters ost_counters(const struct ost *ost);

/* Objects' paths below the disk's root, for checkers: "o/<xx>/<ino>.<component>.<stripe>". */
enum { OBJECT_PATH_BYTES = 64 };
void ost_object_path(struct ino ino, uint32_t component, uint32_t stripe, char ret_path[OBJECT_PATH_BYTES]);

#endif
