/* SPDX-License-Identifier: Apache-2.0
 * Decides whether a history of concurrent operations on one object is linearizable: whether they could have happened one at a time, each
 * at a moment between its call and its return, with the results that they had.
 *
 *   source    J. Wing, C. Gong, "Testing and verifying concurrent objects", 1993: the search. G. Lowe, "Testing for linearizability", 2017:
 *             just-in-time linearization (an operation is placed only when some return demands it) and memoised configurations, here in
 *             the breadth-first form, which knows the longest prefix that fits when there is no answer.
 *
 * Pure: no clock, no I/O. A history is of one object (a file, a set of names, a lock): linearizability is local (Herlihy and Wing, 1990), so
 * that objects are judged one by one. It owns nothing of its caller's and never changes a history. */
#ifndef STRIA_LINEAR_LINEAR_H
#define STRIA_LINEAR_LINEAR_H

#include "common/base/bytes.h"

enum {
	LINEAR_OPS_MAX = 4096,    /* of one history */
	LINEAR_OPEN_MAX = 64,     /* called and not returned, at one moment */
	LINEAR_RECORDS_MAX = 28,  /* of an appended file */
	LINEAR_NAMES_MAX = 8,     /* of a set */
	LINEAR_TEXT_BYTES = 4096, /* of an explanation */
	LINEAR_OP_TEXT_BYTES = 320,
};
#define LINEAR_NEVER UINT64_MAX
/* What was read is nothing that was ever written: fits nowhere. */
#define LINEAR_TORN UINT64_MAX
/* The same, and zeros where something should be. */
#define LINEAR_ZEROS (UINT64_MAX - 1)

/* What an object is, as its model has it. Compared as bytes: what is unused is zero. */
struct linear_state {
	uint64_t words[8];
};

enum linear_kind {
	/* register: one file that is only ever written whole. a: the value, from 1, each used once; 0 is the empty file */
	LINEAR_WRITE,    /* a; b 1: when it has returned, it is stable */
	LINEAR_TRUNCATE, /* to nothing, stable */
	LINEAR_READ,     /* seen.words[0]: the value, 0 or LINEAR_TORN */
	LINEAR_SIZE,     /* seen.words[0]: 0 empty, 1 whole, LINEAR_TORN another size */
	LINEAR_REVERT,   /* a crash: back to what was last stable */
	LINEAR_TEAR,     /* a crash: to what was never written */
	/* append: records behind each other. a: the record's number, 1..65535 */
	LINEAR_APPEND, /* a */
	LINEAR_LIST,   /* seen: linear_records_* */
	LINEAR_LENGTH, /* seen.words[0]: how many records the size says, or LINEAR_TORN */
	/* names: a, b are indexes of names; the file that a name names is known by a number of its creator's choice, 1.. */
	LINEAR_CREATE,   /* name a, file b; rc 0, -EEXIST */
	LINEAR_UNLINK,   /* name a; rc 0, -ENOENT */
	LINEAR_RENAME,   /* a to b, which is replaced; rc 0, -ENOENT */
	LINEAR_MOVE,     /* RENAME_NOREPLACE: rc 0, -ENOENT, -EEXIST */
	LINEAR_EXCHANGE, /* RENAME_EXCHANGE: rc 0, -ENOENT */
	LINEAR_STAT,     /* name a; rc 0 and seen.words[0] the file, or -ENOENT */
	/* lock: a is the owner, 0..63 */
	LINEAR_LOCK,    /* exclusive, without waiting; rc 0, -EAGAIN */
	LINEAR_SHARE,   /* shared, without waiting; rc 0, -EAGAIN */
	LINEAR_UNLOCK,  /* rc 0 */
	LINEAR_RELEASE, /* the system gives back what a dead owner holds: called when it dies, returned when all know */
};

/* One operation. `call_at` and `return_at` are of one clock that all clients share (ns, or a count of events); operations of one client
 * may overlap, too. Not `returned`: its client died or was cut off; it happened at some moment up to return_at (LINEAR_NEVER: no end) or
 * never, and its result is unknown. */
struct linear_op {
	uint64_t call_at, return_at;
	uint64_t ended_by; /* not returned: call_at of an operation that it did not come after; 0: of none */
	uint32_t client;
	enum linear_kind kind;
	uint32_t a, b;
	int32_t rc; /* 0 or -errno */
	bool returned;
	struct linear_state seen;
};

/* What may happen to an object. The first state is all zero. */
struct linear_model {
	const char *name;
	/* Whether `op`, with the result that it had, can happen in `before`; then `ret_after` is what it leaves. An op that has not returned has
	 * any result. */
	bool (*step)(const struct linear_state *before, const struct linear_op *op, struct linear_state *ret_after);
	/* Whether the operation, as it ended, left the object alone whatever the state was: its absence never makes a history worse. */
	bool (*is_observer)(const struct linear_op *op);
	void (*op_text)(const struct linear_op *op, char *text, size_t size);
	void (*state_text)(const struct linear_state *state, char *text, size_t size);
};
extern const struct linear_model linear_register, linear_append, linear_names, linear_lock;

unsigned linear_records_count(const struct linear_state *state);
/* False when it is full. */
bool linear_records_add(struct linear_state *state, uint32_t record);
uint32_t linear_records_get(const struct linear_state *state, unsigned index);

enum linear_verdict { LINEAR_GOOD, LINEAR_BAD, LINEAR_UNKNOWN };
struct linear_result {
	enum linear_verdict verdict;
	const char *unknown; /* static; why LINEAR_UNKNOWN */
	uint64_t steps;      /* of the model that were tried */
	uint64_t configs_max; /* the most configurations that were held at one moment */
	size_t prefix;       /* BAD: operations that had returned, and fit, before the one that does not */
	size_t misfit;       /* BAD: its index */
};

/* Judges `count` operations of one object, in any order. Gives up (LINEAR_UNKNOWN) after steps_max steps of the model, or with more than
 * LINEAR_OPS_MAX operations or LINEAR_OPEN_MAX open ones. */
void linear_check(const struct linear_model *model, const struct linear_op *ops, size_t count, uint64_t steps_max,
		  struct linear_result *ret_result);

/* For a history that linear_check calls bad: leaves out every observation without which it is still bad, and writes what remains around the
 * operation that does not fit: the order found up to there, the operation, what the object could have been, who else was under way. */
void linear_explain(const struct linear_model *model, const struct linear_op *ops, size_t count, uint64_t steps_max,
		    char ret_text[LINEAR_TEXT_BYTES]);

#endif
