/* SPDX-License-Identifier: Apache-2.0
 * Work whose every call and return is recorded, and judged at the end: small files written whole, files of appended records, names in one
 * directory, used by tasks of all mounts at once, must look as if one operation happened after the other (tests/linear).
 *
 * Every write and append is one with its fsync: what POSIX lets a crash take back is not yet an operation that returned. Of an object that a
 * dying client (or a full disk) left half written, only the time before is judged, and its file is left: a part of it may be there, and
 * may have been seen, and be taken back by the crash of an OST. Everything is in the world's memory. */
#ifndef STRIA_SIM_HISTORY_H
#define STRIA_SIM_HISTORY_H

#include "common/base/list.h"
#include "common/base/rng.h"
#include "tests/linear/linear.h"
#include "tests/sim/kernel.h"

enum { HISTORY_REGISTERS = 3, HISTORY_APPENDS = 2, HISTORY_SETS = 2, HISTORY_SLOTS = HISTORY_REGISTERS + HISTORY_APPENDS + HISTORY_SETS };

/* One object in one generation: a file or a set of names of its own. */
struct history_object {
	struct list_node link; /* history->objects */
	const struct linear_model *model;
	unsigned slot, generation;
	uint32_t id;           /* of all objects of the run */
	uint32_t numbers;      /* given out: values, records or files */
	uint64_t offset_bytes, len_bytes; /* of a register's value in its file */
	struct linear_op *ops; /* owned */
	size_t count, room;
	uint64_t cut_at; /* what was called from then on is not judged; LINEAR_NEVER: all is */
	bool closed;     /* nobody begins anything on it */
};
/* What one task has under way. */
struct history_task {
	unsigned client;
	struct history_object *object; /* NULL: nothing */
	size_t index;
	bool is_data; /* a crash may leave a part of it */
};
struct history_counts {
	uint64_t checked, ops, lost, cut, steps_max; /* steps_max: of the longest search */
};
struct history {
	struct world *world;
	struct list objects;
	bool names_only; /* no files: what must be right even if kernels cache nothing, but for what they make up themselves */
	struct history_object *now[HISTORY_SLOTS];
	uint32_t ids;
	uint64_t clock; /* counts calls and returns: all in one thread, so that their order is known */
	struct history_counts counts;
};

void history_counts_add(struct history_counts *sum, const struct history_counts *more);
void history_init(struct history *history, struct world *world);
void history_fini(struct history *history);
/* In a task; parks: makes the directory. 0, or a negative errno. */
int history_prepare(struct kernel *kernel);
/* In a task; parks: a few operations on one object. */
void history_step(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task);
/* The task's client crashed or was evicted. */
void history_crashed(struct history *history, struct history_task *task);
/* In a task of a fresh client, when nobody works any more; parks: looks at every object once more. */
void history_verify(struct history *history, struct kernel *kernel);
/* Outside of tasks: judges all. Fails the world at the first that is not linearizable, or that takes too long to judge. */
void history_judge(struct history *history);

#endif
