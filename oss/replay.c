/* SPDX-License-Identifier: Apache-2.0
 * Spans of replayed writes. */
#include "oss/replay.h"
#include "common/base/mem.h"

int write_order_cmp(struct write_order a, struct write_order b)
{
	if (a.verifier != b.verifier)
		return a.verifier < b.verifier ? -1 : 1;
	return a.order == b.order ? 0 : a.order < b.order ? -1 : 1;
}

static void push(struct spans *spans, uint64_t start, uint64_t end, struct write_order order)
{
	if (start >= end)
		return;
	struct span *last = spans->count > 0 ? &spans->items[spans->count - 1] : NULL;
	if (last != NULL && last->end == start && write_order_cmp(last->order, order) == 0) {
		last->end = end;
		return;
	}
	if (spans->count == spans->capacity) {
		spans->capacity = spans->capacity * 2 + 8;
		spans->items = mem_realloc(spans->items, spans->capacity * sizeof(struct span));
	}
	spans->items[spans->count++] = (struct span){start, end, order};
}

size_t spans_add(struct spans *spans, uint64_t start, uint64_t end, struct write_order order, struct spans *ret_parts)
{
	struct spans merged = {0};
	uint64_t at = start; /* what of the new one lies behind the spans seen so far */
	ret_parts->count = 0;
	for (size_t i = 0; i < spans->count; i++) {
		const struct span *old = &spans->items[i];
		if (old->end <= start || old->start >= end) {
			if (old->start >= end && at < end) {
				push(&merged, at, end, order);
				push(ret_parts, at, end, order);
				at = end;
			}
			push(&merged, old->start, old->end, old->order);
			continue;
		}
		if (old->start > at) {
			push(&merged, at, old->start, order);
			push(ret_parts, at, old->start, order);
		} else {
			push(&merged, old->start, start, old->order); /* its part before the new one, if there is one */
		}
		uint64_t from = old->start > start ? old->start : start, to = old->end < end ? old->end : end;
		bool newer = write_order_cmp(order, old->order) >= 0;
		push(&merged, from, to, newer ? order : old->order);
		if (newer)
			push(ret_parts, from, to, order);
		push(&merged, to, old->end, old->order);
		at = to;
	}
	push(&merged, at, end, order);
	push(ret_parts, at, end, order);
	spans_free(spans);
	*spans = merged;
	return ret_parts->count;
}

void spans_free(struct spans *spans)
{
	mem_free(spans->items);
	*spans = (struct spans){0};
}
