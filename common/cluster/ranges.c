/* SPDX-License-Identifier: Apache-2.0
 * Locked ranges: a sorted array. */
#include "common/cluster/ranges.h"
#include "common/base/check.h"
#include "common/base/mem.h"

void ranges_fini(struct ranges *ranges)
{
	mem_free(ranges->at);
	*ranges = (struct ranges){0};
}

/* Index of the first range that does not end before `pos`. */
static size_t first_not_before(const struct ranges *ranges, uint64_t pos)
{
	size_t low = 0, high = ranges->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (ranges->at[mid].end < pos)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Put `count` ranges in the place of [from, to). */
static void splice(struct ranges *ranges, size_t from, size_t to, const struct range *with, size_t count)
{
	size_t total = ranges->count - (to - from) + count;
	if (total > ranges->room) {
		ranges->room = max_u64(total, 2 * ranges->room);
		ranges->at = mem_realloc(ranges->at, ranges->room * sizeof(ranges->at[0]));
	}
	if (ranges->count > to)
		memmove(&ranges->at[from + count], &ranges->at[to], (ranges->count - to) * sizeof(ranges->at[0]));
	if (count > 0)
		memcpy(&ranges->at[from], with, count * sizeof(with[0]));
	ranges->count = total;
}

static bool joins(const struct range *a, const struct range *b)
{
	return a->end != UINT64_MAX && a->end + 1 == b->start && a->type == b->type && a->change == b->change;
}

/* Make one of [at, at + 1] if they are alike. */
static void join(struct ranges *ranges, size_t at)
{
	if (at + 1 >= ranges->count || !joins(&ranges->at[at], &ranges->at[at + 1]))
		return;
	ranges->at[at].end = ranges->at[at + 1].end;
	splice(ranges, at + 1, at + 2, NULL, 0);
}

void ranges_set(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change)
{
	struct range with[3] = {0};
	size_t count = 0, from = first_not_before(ranges, start), to = from;
	CHECK(start <= end);
	while (to < ranges->count && ranges->at[to].start <= end)
		to++;
	if (from < to && ranges->at[from].start < start) {
		with[count] = ranges->at[from];
		with[count++].end = start - 1;
	}
	if (type != LOCK_TYPE_NONE || change != 0)
		with[count++] = (struct range){.start = start, .end = end, .change = change, .type = type};
	if (from < to && ranges->at[to - 1].end > end) {
		with[count] = ranges->at[to - 1];
		with[count++].start = end + 1;
	}
	splice(ranges, from, to, with, count);
	for (size_t at = from + count; at > from; at--) /* from behind: joining moves what follows */
		join(ranges, at - 1);
	if (from > 0)
		join(ranges, from - 1);
}

void ranges_set_older(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change)
{
	for (uint64_t pos = start;;) {
		struct range run = ranges_run(ranges, pos, end);
		if (run.change < change)
			ranges_set(ranges, run.start, run.end, type, change);
		if (run.end == end)
			return;
		pos = run.end + 1;
	}
}

void ranges_strengthen(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, uint64_t change)
{
	for (uint64_t pos = start;;) {
		struct range run = ranges_run(ranges, pos, end);
		if (run.type < type && (change == 0 || run.change < change))
			ranges_set(ranges, run.start, run.end, type, change);
		if (run.end == end)
			return;
		pos = run.end + 1;
	}
}

bool ranges_have(const struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type)
{
	for (uint64_t pos = start;;) {
		struct range run = ranges_run(ranges, pos, end);
		if (run.type == type)
			return true;
		if (run.end == end)
			return false;
		pos = run.end + 1;
	}
}

void ranges_weaken(struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type)
{
	for (uint64_t pos = start;;) {
		struct range run = ranges_run(ranges, pos, end);
		if (run.type > type)
			ranges_set(ranges, run.start, run.end, type, run.change);
		if (run.end == end)
			return;
		pos = run.end + 1;
	}
}

void ranges_forget_changes(struct ranges *ranges)
{
	size_t kept = 0;
	for (size_t i = 0; i < ranges->count; i++) {
		struct range range = ranges->at[i];
		range.change = 0;
		if (range.type == LOCK_TYPE_NONE)
			continue;
		if (kept > 0 && joins(&ranges->at[kept - 1], &range))
			ranges->at[kept - 1].end = range.end;
		else
			ranges->at[kept++] = range;
	}
	ranges->count = kept;
}

struct range ranges_run(const struct ranges *ranges, uint64_t start, uint64_t end)
{
	size_t at = first_not_before(ranges, start);
	struct range run = {.start = start, .end = end};
	if (at == ranges->count || ranges->at[at].start > end)
		return run;
	if (ranges->at[at].start > start) {
		run.end = ranges->at[at].start - 1;
		return run;
	}
	run.end = min_u64(end, ranges->at[at].end);
	run.type = ranges->at[at].type;
	run.change = ranges->at[at].change;
	return run;
}

bool ranges_conflict(const struct ranges *ranges, uint64_t start, uint64_t end, uint8_t type, struct range *ret_range)
{
	for (size_t at = first_not_before(ranges, start); at < ranges->count && ranges->at[at].start <= end; at++) {
		uint8_t held = ranges->at[at].type;
		if (held == LOCK_TYPE_NONE || (held == LOCK_TYPE_READ && type == LOCK_TYPE_READ))
			continue;
		if (ret_range != NULL)
			*ret_range = ranges->at[at];
		return true;
	}
	return false;
}

bool ranges_are_free(const struct ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (ranges->at[i].type != LOCK_TYPE_NONE)
			return false;
	return true;
}
