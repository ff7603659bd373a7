/* SPDX-License-Identifier: Apache-2.0
 * Histories on disk: each process writes one file, a line before every call and one after every return, so that a process that is killed leaves
 * what it had under way. Judging reads all files of a run.
 *
 *	C id round slot kind a b ns        called
 *	R id rc ns w0 … w7                 returned, with what was seen
 *	E id errno                         (id 0: an open) failed with an error that no model has and no dead mount explains
 *
 * Of an object that a lost write left in doubt only the time before is judged (tests/sim/history.h says why). */
#ifndef STRIA_LINEAR_LOG_H
#define STRIA_LINEAR_LOG_H

#include "tests/linear/linear.h"

/* The objects of one round. */
enum {
	LOG_REGISTERS = 3,
	LOG_APPENDS = 2,
	LOG_SETS = 2,
	LOG_LOCKS = 2,
	LOG_SLOTS = LOG_REGISTERS + LOG_APPENDS + LOG_SETS + LOG_LOCKS,
	LOG_NAMES = 4,
	LOG_FILES_MAX = 511, /* a file's number is its permissions: made with it in one step */
};
const struct linear_model *log_slot_model(unsigned slot);

struct log {
	int fd;
	uint64_t ids;
};
/* 0, or -errno. */
int log_open(struct log *log, const char *path);
/* Returns the operation's id. Stops the process when it cannot be written. */
uint64_t log_call(struct log *log, unsigned round, unsigned slot, const struct linear_op *op);
void log_return(struct log *log, uint64_t id, const struct linear_op *op);
void log_error(struct log *log, uint64_t id, int error);

/* Reads the files, one per client, and judges every object; prints what it found. 0 all are linearizable, 1 not, 2 a file is not a log. */
int log_judge(char *const *paths, unsigned count);

#endif
