/* SPDX-License-Identifier: Apache-2.0
 * Programs of all mounts that lock ranges of the same few files: what is granted excludes what must not be held beside it.
 *
 * Judged is what programs may rely on: from the return of a call that granted a lock to the beginning of the call that gives it up, nobody has
 * one in its way. What a mount does not know yet (that it was evicted) is found out later: two mounts that hold the same are noted, and one of
 * the two must have ended without order. A wait must end: programs wait only where the cluster owes them an end, or with an alarm. */
#ifndef STRIA_SIM_LOCKWORK_H
#define STRIA_SIM_LOCKWORK_H

#include "common/base/list.h"
#include "common/base/rng.h"
#include "proto/proto.h"
#include "tests/sim/kernel.h"

enum { LOCKWORK_FILES = 2, LOCKWORK_BYTES = 12, LOCKWORK_KINDS = 3 };

/* One program. It has each file open once at most; its POSIX locks are its own, flock and OFD locks its open files'. */
struct lockwork_task {
	struct list_node link;  /* lockwork.tasks, while it lives */
	struct lockwork *work;
	unsigned client, life;
	uint64_t process;       /* a number of its own */
	int fds[LOCKWORK_FILES]; /* -1: not open */
	uint8_t held[LOCKWORK_KINDS][LOCKWORK_FILES][LOCKWORK_BYTES]; /* enum lock_type, by enum lock_kind - 1 */
	struct kernel_signal signal;
	uint64_t alarm;         /* of the last call that had one */
	bool alarmed;
};
/* Two mounts that held the same: one of these lives must not end in order. */
struct lockwork_clash {
	struct list_node link;
	unsigned clients[2], lives[2];
	char text[160];
};
struct lockwork_counts {
	uint64_t granted, refused, waits, interrupted, deadlocks, clashes;
};
struct lockwork {
	struct world *world;
	struct list tasks, clashes;
	uint64_t processes;
	struct lockwork_counts counts;
};

void lockwork_counts_add(struct lockwork_counts *sum, const struct lockwork_counts *more);
void lockwork_init(struct lockwork *work, struct world *world);
void lockwork_fini(struct lockwork *work);
/* In a task; parks: makes the directory. 0, or a negative errno. */
int lockwork_prepare(struct kernel *kernel);
void lockwork_join(struct lockwork *work, struct lockwork_task *task, unsigned client, unsigned life);
/* In a task; parks: one operation. */
void lockwork_step(struct lockwork_task *task, struct kernel *kernel, struct rng *rng);
/* In a task; parks: closes all, then waits until it has each file for itself once: nothing is left locked. */
void lockwork_end(struct lockwork_task *task, struct kernel *kernel, struct rng *rng);
/* Its client crashed, or it has ended. */
void lockwork_leave(struct lockwork_task *task);
/* When all programs have ended in order; lives: the present one of each client. Fails the world over clashes that nothing explains. */
void lockwork_judge(struct lockwork *work, const unsigned *lives);

#endif
