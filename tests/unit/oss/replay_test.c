/* SPDX-License-Identifier: Apache-2.0
 * Spans of replays: at each byte the newest write wins, whatever the order in which they come. */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "oss/replay.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BYTES = 64, WRITES = 24, ROUNDS = 300 };

static void orders_compare_as_pairs(void **state)
{
	(void)state;
	assert_true(write_order_cmp((struct write_order){2, 1}, (struct write_order){1, 9}) > 0);
	assert_true(write_order_cmp((struct write_order){1, 8}, (struct write_order){1, 9}) < 0);
	assert_int_equal(write_order_cmp((struct write_order){1, 9}, (struct write_order){1, 9}), 0);
}

static void apply(struct spans *spans, uint64_t start, uint64_t end, struct write_order order, uint64_t disk[BYTES])
{
	struct spans parts = {0};
	size_t count = spans_add(spans, start, end, order, &parts);
	for (size_t i = 0; i < count; i++) {
		assert_true(parts.items[i].start >= start && parts.items[i].end <= end && parts.items[i].start < parts.items[i].end);
		for (uint64_t at = parts.items[i].start; at < parts.items[i].end; at++)
			disk[at] = order.verifier * 100 + order.order;
	}
	spans_free(&parts);
	for (size_t i = 1; i < spans->count; i++)
		assert_true(spans->items[i - 1].end <= spans->items[i].start);
}

static void the_newest_wins_in_any_order(void **state)
{
	struct rng rng;
	(void)state;
	rng_init(&rng, 7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct spans spans = {0};
		uint64_t model[BYTES] = {0}, disk[BYTES] = {0};
		for (unsigned i = 0; i < WRITES; i++) {
			uint64_t start = rng_below(&rng, BYTES), end = start + 1 + rng_below(&rng, BYTES - start);
			struct write_order order = {1 + rng_below(&rng, 2), 1 + rng_below(&rng, 50)};
			for (uint64_t at = start; at < end; at++)
				model[at] = max_u64(model[at], order.verifier * 100 + order.order);
			apply(&spans, start, end, order, disk);
		}
		assert_memory_equal(model, disk, sizeof(model));
		spans_free(&spans);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_compare_as_pairs),
		cmocka_unit_test(the_newest_wins_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
