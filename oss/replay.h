/* SPDX-License-Identifier: Apache-2.0
 * Which replayed write owns which bytes of an object: the one with the highest (verifier, order), whoever comes first. Pure. */
#ifndef STRIA_OSS_REPLAY_H
#define STRIA_OSS_REPLAY_H

#include "proto/types.h"

struct span {
	uint64_t start, end;
	struct write_order order;
};
/* Ascending, without overlaps. All zero: empty. */
struct spans {
	struct span *items; /* owned */
	size_t count, capacity;
};
/* -1, 0, 1 as a happened before, is, happened after b. */
int write_order_cmp(struct write_order a, struct write_order b);
/* Enter a write. Visits, ascending, the parts of [start, end) where nothing newer stands: those are to be written. Returns how many. */
size_t spans_add(struct spans *spans, uint64_t start, uint64_t end, struct write_order order, struct spans *ret_parts);
void spans_free(struct spans *spans);

#endif
