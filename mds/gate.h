/* SPDX-License-Identifier: Apache-2.0
 * Gates: who may work on an inode now. Shared or exclusive, strictly in order of arrival. An operation takes all its gates in ascending
 * order of inode numbers, so that no two wait for each other; gate 0 stands for "moves between directories". */
#ifndef STRIA_MDS_GATE_H
#define STRIA_MDS_GATE_H

#include "common/base/map.h"
#include "common/core/task.h"
#include "proto/types.h"

enum gate_mode { GATE_SHARED, GATE_EXCLUSIVE };
struct gates {
	struct loop *loop;
	struct map map; /* struct gate, by inode; only those that are taken or waited for */
};
void gates_init(struct gates *gates, struct loop *loop);
void gates_fini(struct gates *gates);
/* Parks until the gate is ours: 0, or -ERR_busy when the deadline came first (UINT64_MAX: none). */
int gate_take(struct gates *gates, struct ino ino, enum gate_mode mode, uint64_t deadline_ns);
/* Whether somebody has it for himself now. Does not park. */
bool gate_is_exclusive(const struct gates *gates, struct ino ino);
void gate_drop(struct gates *gates, struct ino ino, enum gate_mode mode);

#endif
