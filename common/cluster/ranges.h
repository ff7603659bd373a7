/* SPDX-License-Identifier: Apache-2.0
 * The byte ranges that one owner has locked in one file: MDT and client keep them by the same rules. Pure.
 *
 * Ranges are closed, [start, end] with end up to UINT64_MAX, ascending and disjoint; neighbours of one kind are one range. */
#ifndef STRIA_CLUSTER_RANGES_H
#define STRIA_CLUSTER_RANGES_H

#include "proto/proto.h"

struct range {
	uint64_t start, end; /* both inside */
	uint64_t change;     /* number of the change that made it so; 0: does not matter any more */
	uint8_t type;        /* enum lock_type; LOCK_TYPE_NONE: unlocked, kept for the sake of `change` */
};
struct ranges {
	struct range *at; /* owned */
	size_t count, room;
};

void ranges_fini(struct ranges *ranges); /* empty and reusable */
/* Make [start, end] of `type`. Unlocked ranges are kept as such only when `change` is not 0. Adds at most two ranges. */
void ranges_set(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change);
/* The same where nothing newer than `change` (not 0) has been set: news that come out of order. */
void ranges_set_older(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change);
/* The same only where what is held is weaker than `type`; change 0: whatever has been set. */
void ranges_strengthen(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change);
/* All types that are above `type` become `type` in [start, end]. */
void ranges_weaken(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type);
/* No more news are under way: numbers of changes do not matter. */
void ranges_forget_changes(struct ranges *ranges);
/* Is anything in [start, end] of `type`? */
bool ranges_have(const struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type);
/* What begins at `start`: as far as it is alike, at most to `end`. Type LOCK_TYPE_NONE: not locked. */
struct range ranges_run(const struct ranges *ranges, uint64_t start, uint64_t end);
/* Does a lock of another owner on [start, end] conflict with these? Then *ret_range (may be NULL) is the first that it meets. */
bool ranges_conflict(const struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, struct range *ret_range);
/* Nothing is locked. */
bool ranges_are_free(const struct ranges *ranges);

#endif
