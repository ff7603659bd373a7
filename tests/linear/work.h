/* SPDX-License-Identifier: Apache-2.0
 * One process that does operations on the objects of a run, below a directory of a real mount, and logs them. When its mount dies it waits for the
 * next one. All processes of a run change to the next round's objects at the same moments. */
#ifndef STRIA_LINEAR_WORK_H
#define STRIA_LINEAR_WORK_H

#include "common/base/bytes.h"

struct work_opts {
	const char *dir, *log;
	uint64_t worker, workers, seed, start_ns, round_ms, rounds; /* start_ns: of CLOCK_MONOTONIC */
	bool locks; /* fcntl locks too */
};
uint64_t work_now_ns(void);
/* Until the last round is over. 0, or -errno. */
int work_run(const struct work_opts *opts);
/* Reads every object of all rounds once, when nobody works any more. */
int work_look(const struct work_opts *opts);

#endif
