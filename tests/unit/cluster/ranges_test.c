/* SPDX-License-Identifier: Apache-2.0
 * Locked ranges against a byte-by-byte model. */
#include "common/base/rng.h"
#include "common/cluster/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { BYTES = 24 };

struct model {
	uint8_t type[BYTES];
	uint64_t change[BYTES];
};

static void assert_as_model(const struct ranges *ranges, const struct model *model)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->at[i];
		assert_true(range->start <= range->end);
		if (i + 1 < ranges->count) {
			assert_true(range->end < range[1].start);
			assert_false(range->end + 1 == range[1].start && range->type == range[1].type && range->change == range[1].change);
		}
	}
	for (uint64_t pos = 0; pos < BYTES; pos++) {
		struct range run = ranges_run(ranges, pos, BYTES - 1);
		assert_int_equal(run.start, pos);
		assert_int_equal(run.type, model->type[pos]);
		assert_int_equal(run.change, model->change[pos]);
		for (uint64_t at = pos; at <= run.end; at++)
			assert_true(model->type[at] == run.type && model->change[at] == run.change);
	}
}

static void any_changes_leave_what_the_bytes_have(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 11);
	for (int round = 0; round < 300; round++) {
		struct ranges ranges = {0};
		struct model model = {0};
		for (uint64_t step = 1; step < 60; step++) {
			uint64_t a = rng_below(&rng, BYTES), b = rng_below(&rng, BYTES), start = min_u64(a, b), end = max_u64(a, b);
			uint8_t type = (uint8_t)rng_below(&rng, 3);
			uint64_t draw = rng_below(&rng, 10), change = rng_below(&rng, 2) == 0 ? 0 : step;
			if (draw == 0)
				ranges_forget_changes(&ranges);
			else if (draw == 1)
				ranges_weaken(&ranges, start, end, type);
			else if (draw == 2)
				ranges_strengthen(&ranges, start, end, type, change);
			else if (draw < 5)
				ranges_set_older(&ranges, start, end, type, change = 1 + rng_below(&rng, 60));
			else
				ranges_set(&ranges, start, end, type, change);
			for (uint64_t at = 0; at < BYTES; at++) {
				bool inside = at >= start && at <= end;
				if (draw == 0) {
					model.change[at] = 0;
				} else if (draw == 1) {
					model.type[at] = inside ? (uint8_t)min_u64(model.type[at], type) : model.type[at];
				} else if (inside && draw == 2) {
					bool sets = model.type[at] < type && (change == 0 || model.change[at] < change);
					model.type[at] = sets ? type : model.type[at];
					model.change[at] = sets ? change : model.change[at];
				} else if (inside && (draw >= 5 || model.change[at] < change)) {
					model.type[at] = type;
					model.change[at] = change;
				}
			}
			assert_as_model(&ranges, &model);
			bool free = true, meets = false, has = false;
			for (uint64_t at = 0; at < BYTES; at++) {
				has = has || (at >= start && at <= end && model.type[at] == type);
				free = free && model.type[at] == LOCK_TYPE_NONE;
				meets = meets || (at >= start && at <= end && (model.type[at] == LOCK_TYPE_WRITE ||
									       (model.type[at] == LOCK_TYPE_READ && type == LOCK_TYPE_WRITE)));
			}
			assert_int_equal(ranges_are_free(&ranges), free);
			assert_int_equal(ranges_have(&ranges, start, end, type), has);
			if (type != LOCK_TYPE_NONE)
				assert_int_equal(ranges_conflict(&ranges, start, end, type, NULL), meets);
		}
		ranges_fini(&ranges);
	}
}

static void a_range_reaches_to_the_end_of_all_numbers(void **state)
{
	(void)state;
	struct ranges ranges = {0};
	struct range met;
	ranges_set(&ranges, 0, UINT64_MAX, LOCK_TYPE_WRITE, 0);
	ranges_set(&ranges, 10, UINT64_MAX, LOCK_TYPE_READ, 0);
	assert_int_equal(ranges.count, 2);
	assert_true(ranges_conflict(&ranges, UINT64_MAX, UINT64_MAX, LOCK_TYPE_WRITE, &met));
	assert_true(met.start == 10 && met.end == UINT64_MAX && met.type == LOCK_TYPE_READ);
	assert_false(ranges_conflict(&ranges, 10, UINT64_MAX, LOCK_TYPE_READ, &met));
	ranges_set(&ranges, 0, UINT64_MAX, LOCK_TYPE_NONE, 0);
	assert_int_equal(ranges.count, 0);
	ranges_fini(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_changes_leave_what_the_bytes_have),
		cmocka_unit_test(a_range_reaches_to_the_end_of_all_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
