/* SPDX-License-Identifier: Apache-2.0
 * The shared directory: programs of all clients meet on the same names. Single answers are open, but together they must fit: a name is
 * made once before it is removed once, one of many wins, what was published is what others read.
 *
 * It counts what succeeded, what is under way and what a crash left open, and never asks a file system in between: every check is a
 * condition that holds for any order in which the operations may have happened. */
#ifndef STRIA_SIM_SHARED_H
#define STRIA_SIM_SHARED_H

#include "common/base/list.h"
#include "common/base/rng.h"
#include "tests/sim/kernel.h"

enum { SHARED_NAMES = 5, SHARED_PATH_BYTES = 48, SHARED_PUBLISHED_MAX = 24, SHARED_BYTES_MAX = 200000, SHARED_MODES = 64 };
enum shared_kind {
	SHARED_CREATE, SHARED_UNLINK, SHARED_MKDIR, SHARED_RMDIR, SHARED_RENAME, SHARED_UNRENAME, SHARED_LINK, SHARED_PUBLISH, SHARED_READ,
	SHARED_LIST, SHARED_WATCH, SHARED_MODE, SHARED_COPY, SHARED_KINDS,
};
struct published {
	struct list_node link;
	char path[SHARED_PATH_BYTES];
	uint64_t seed, len, version;
	bool busy; /* being written */
};
struct shared_op {
	enum shared_kind kind;
	unsigned name;
	bool in_flight;
	struct published *publishing;
	bool at_modes, at_copies, sets_mode, sets_turn;
};
/* What happened to one contested name; `open`: may have happened, its client crashed. */
struct shared_name {
	unsigned created, removed, creating, removing, created_open, removed_open;
};
struct shared {
	struct world *world;
	struct shared_name files[SHARED_NAMES], dirs[SHARED_NAMES], targets[SHARED_NAMES];
	unsigned links, links_open, unique, published_count;
	struct list published;
	/* of a file with two names: the modes that it was given, one after the other */
	uint32_t modes[SHARED_MODES];
	uint64_t modes_begun, modes_done;
	/* of two files whose names are exchanged, one time after the other */
	struct ino turn_files[2];
	uint64_t turns_begun, turns_done;
	bool turn_busy, turn_lost;
	unsigned at_modes; /* so many are at it just now: others join them */
	bool mode_busy, mode_lost; /* lost: a client crashed while it set one, which may still happen */
	/* of two files that are copied to each other */
	bool copies_ready; /* all of both was written */
	unsigned at_copies; /* so many are at it just now: others join them */
	uint64_t copies_read;
	uint64_t ops, wins, losses, reads, outlived, modes_seen, turns_seen; /* outlived: what was open had lost its name */
};

void shared_init(struct shared *shared, struct world *world);
void shared_fini(struct shared *shared);
/* In a task; parks: makes the directory and what is in it from the start, whoever comes first. 0, or a negative errno. */
int shared_prepare(struct kernel *kernel);
/* In a task; parks: one operation. */
void shared_step(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op);
/* The task's client crashed. */
void shared_crashed(struct shared *shared, struct shared_op *op);
/* In a task of a fresh client, when nobody works any more. */
void shared_verify(struct shared *shared, struct kernel *kernel);

/* shared_copy.c. In tasks; park. */
int shared_copy_prepare(struct kernel *kernel);
void shared_copy_steps(struct shared *shared, struct kernel *kernel, struct rng *rng);
void shared_copy_verify(struct shared *shared, struct kernel *kernel);

#endif
