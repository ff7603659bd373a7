/* SPDX-License-Identifier: Apache-2.0
 * Work whose every call and return is recorded, and judged at the end: small files written whole, files of appended records, names in two
 * directories, locks, used by tasks of all mounts at once, must look as if one operation happened after the other (tests/linear).
 *
 * Slots differ in what a write is. In most it is one with its fsync, and judged to the end: of a mount that dies or is evicted, what was under way
 * happened or did not, and not any more once somebody who had heard of the eviction before he called has had an answer (strict
 * linearizability: Aguilera and Frolund, 2003); what it had not made stable an OST's crash may take back. In the others a write is over when
 * write(2) returns: others must see it at once, though nothing is stable. When such a mount dies, only the time before its first unsaved
 * write is judged, and so it is when a disk is full. Everything is in the world's memory. */
#ifndef STRIA_SIM_HISTORY_H
#define STRIA_SIM_HISTORY_H

#include "common/base/list.h"
#include "common/base/rng.h"
#include "tests/linear/linear.h"
#include "tests/sim/kernel.h"

enum {
	HISTORY_REGISTERS = 5,
	HISTORY_APPENDS = 2,
	HISTORY_SETS = 2,
	HISTORY_LOCKS = 1,
	HISTORY_SLOTS = HISTORY_REGISTERS + HISTORY_APPENDS + HISTORY_SETS + HISTORY_LOCKS,
	HISTORY_CLIENTS_MAX = 8,
	HISTORY_OPEN_MAX = 48, /* writes of one object that have not returned, and what may become of them */
};

/* What the recorder asks of the cluster. NULL: nothing can be known. */
struct history_hooks {
	/* What the servers call this life of a mount; 0: not known. */
	uint64_t (*identity)(void *ctx, unsigned client);
	/* The epoch of the map that the mount's next request carries. */
	uint64_t (*epoch)(void *ctx, unsigned client);
	/* The epoch from which on that one is evicted, as far as the mount `client` knows; 0: it is not. */
	uint64_t (*evicted_at)(void *ctx, unsigned client, uint64_t identity);
	/* Whether the OST has made stable what that one, evicted, had written. */
	bool (*fenced)(void *ctx, unsigned ost, uint64_t identity);
	void *ctx;
};
/* A write that has not returned. */
struct history_open {
	size_t index;
	uint64_t identity; /* of its mount */
	bool is_echo;      /* not a write of a task's: what may become of one */
};
/* One object in one generation: a file, a set of names of its own, a lock. */
struct history_object {
	struct list_node link; /* history->objects */
	const struct linear_model *model;
	unsigned slot, generation;
	uint32_t id;           /* of all objects of the run */
	uint32_t numbers;      /* given out: values, records, files or owners */
	uint64_t offset_bytes, len_bytes; /* of a register's value in its file */
	struct linear_op *ops; /* owned */
	size_t count, room;
	struct history_open open[HISTORY_OPEN_MAX];
	unsigned open_count;
	struct history_unsaved {
		uint64_t since;   /* when the first was called; LINEAR_NEVER: there is none */
		uint64_t last;    /* when the last returned */
		unsigned running; /* under way */
	} unsaved[HISTORY_CLIENTS_MAX]; /* writes that nobody has made stable */
	struct history_cuts {
		unsigned running;
		uint64_t begun;
	} cuts[HISTORY_CLIENTS_MAX]; /* truncations, by mount */
	uint64_t until_ns; /* of the world's time: then the next generation begins */
	uint64_t cut_at;   /* what was called from then on is not judged; LINEAR_NEVER: all is */
	bool closed;     /* nobody begins anything on it */
};
/* What one task has under way, and what it keeps open. */
struct history_task {
	unsigned client;
	uint64_t process; /* its number, as an owner of locks */
	struct history_object *object; /* of the operation; NULL: nothing */
	size_t index;
	uint64_t epoch; /* its mount's, when it called */
	bool is_data;   /* a crash may leave a part of it */
	struct history_held {
		struct history_object *object; /* NULL: nothing */
		int fd;
	} held[HISTORY_SLOTS], held_put[HISTORY_SLOTS]; /* files open for long, to read and to write */
	struct {
		struct history_object *object; /* NULL: none is open */
		int fd;
		uint32_t owner;
		bool locked, exclusive;
		uint64_t since; /* when the last operation on it returned */
	} lock;
};
struct history_counts {
	uint64_t checked, ops, lost, cut, steps_max; /* steps_max: of the longest search */
	uint64_t mapped, unsaved, ended, undone; /* reads of mappings; writes without fsync; lost writes whose end is known; crashes that may undo some */
};
struct history {
	struct world *world;
	struct history_hooks hooks;
	struct list objects;
	bool names_only; /* no files: what must be right even if kernels cache nothing, but for what they make up themselves */
	bool writes_now[HISTORY_CLIENTS_MAX]; /* that mount's tasks write to objects, and nothing else: somebody waits for it */
	struct { /* what was being written when a mount was isolated: others work on it until then, and leave it to whatever arrives */
		struct history_object *object;
		uint64_t until_ns;
	} wanted;
	struct history_object *now[HISTORY_SLOTS];
	uint32_t ids;
	uint64_t processes;
	uint64_t clock; /* counts calls and returns: all in one thread, so that their order is known */
	struct history_counts counts;
};

void history_counts_add(struct history_counts *sum, const struct history_counts *more);
void history_init(struct history *history, struct world *world);
void history_fini(struct history *history);
void history_join(struct history *history, struct history_task *task, unsigned client);
/* In a task; parks: makes the directories. 0, or a negative errno. */
int history_prepare(struct kernel *kernel);
/* In a task; parks: a few operations on one object. */
void history_step(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task);
/* In a task; parks: gives back what it holds. */
void history_leave(struct history *history, struct kernel *kernel, struct history_task *task);
/* The task's client crashed or was evicted; then, once, what its mount had not saved is gone. */
void history_crashed(struct history *history, struct history_task *task);
void history_client_crashed(struct history *history, unsigned client);
/* An OST's machine crashes, and is asked for the last time: what nobody had made stable may be gone; and it serves again. */
void history_server_crashes(struct history *history, unsigned ost);
void history_server_serves(struct history *history);
/* The MDT's process ends: its memory with it. */
void history_mdt_crashes(struct history *history);
/* What it is writing to objects, and is judged to the end; NULL: nothing. */
struct history_object *history_writing(const struct history_task *task);
/* From now on, for so long, others work on it more than on anything else. */
void history_want(struct history *history, struct history_object *object, uint64_t duration_ns);
/* In a task of a fresh client, when nobody works any more; parks: looks at every object once more. */
void history_verify(struct history *history, struct kernel *kernel);
/* Outside of tasks: judges all. Fails the world at the first that is not linearizable, or that takes too long to judge. */
void history_judge(struct history *history);

/* ---- for history_*.c ------------------------------------------------------------------------------------------- */
enum { HISTORY_PATH_BYTES = 48, HISTORY_NAMES = 4, HISTORY_OPS_MAX = 400 };
/* What a slot is; see the table. */
struct history_slot {
	const struct linear_model *model;
	uint64_t offset_bytes, len_bytes;
	bool saves; /* each write is one with its fsync */
	bool quiet; /* and sets the time of change back */
};
extern const struct history_slot history_slots[HISTORY_SLOTS];

struct history_object *history_object_now(struct history *history, unsigned slot);
void history_path(const struct history_object *object, unsigned name, char ret_path[HISTORY_PATH_BYTES]);
void history_wrong(struct history *history, const struct history_object *object, const char *what, int64_t rc);
struct linear_op *history_called(struct history *history, struct history_task *task, struct history_object *object, enum linear_kind kind);
/* The operation has ended as `op` says; borrowed until the next call. */
struct linear_op *history_returned(struct history *history, struct history_task *task);
void history_noted(struct history *history, struct history_task *task);
/* It will not return, and what it did is not known; `partly`: nor whether all of it. */
void history_lost(struct history *history, struct history_task *task, bool partly);
/* fsync(2) of a file that writes may have gone to: called at `clock`, returned rc. */
void history_saved(struct history *history, struct history_object *object, unsigned client, uint64_t called_at, int64_t rc);
int history_file_open(struct history *history, struct kernel *kernel, struct history_object *object, int flags);
/* One look, for the last one of all, too. */
void history_look_content(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd);
void history_look_by_name(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object);
void history_look_name(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, uint32_t name);

#endif
