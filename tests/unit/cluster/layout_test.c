/* SPDX-License-Identifier: Apache-2.0
 * Layout arithmetic against a byte-by-byte model. */
#include "common/base/err.h"
#include "common/base/rng.h"
#include "common/cluster/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct layout placed(uint16_t stripes, uint32_t stripe_bytes)
{
	static const uint16_t osts[] = {0, 1, 2, 3, 7};
	struct layout wanted, layout;
	layout_init_wanted(&wanted, stripes, stripe_bytes, STRIPE_INDEX_ANY);
	assert_int_equal(layout_place(&wanted, osts, ARRAY_COUNT(osts), 3, &layout), 0);
	return layout;
}

static void pieces_cover_a_range_once_and_in_order(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 1);
	for (int round = 0; round < 2000; round++) {
		struct layout layout = placed((uint16_t)rng_range(&rng, 1, 5), (uint32_t)rng_range(&rng, 1, 4) * 65536);
		uint64_t offset = rng_below(&rng, 10 * MIB), end = offset + rng_range(&rng, 1, 3 * MIB);
		while (offset < end) {
			struct layout_piece piece;
			assert_true(layout_map(&layout, offset, end - offset, &piece));
			assert_int_equal(piece.file_offset, offset);
			assert_true(piece.len > 0);
			/* the piece's last byte, seen from the object, is the file's */
			uint64_t size = layout_file_size(&layout, piece.component, piece.stripe,
							 piece.object_offset + piece.len);
			assert_int_equal(size, offset + piece.len);
			offset += piece.len;
		}
		assert_int_equal(offset, end);
	}
}

static void object_sizes_add_up_to_the_file_size(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 2);
	for (int round = 0; round < 2000; round++) {
		struct layout layout = placed((uint16_t)rng_range(&rng, 1, 5), (uint32_t)rng_range(&rng, 1, 4) * 65536);
		uint64_t file_size = rng_below(&rng, 8 * MIB), sum = 0, reconstructed = 0;
		uint32_t cursor = 0;
		struct layout_piece object;
		while (layout_next_object(&layout, &cursor, &object)) {
			uint64_t size = layout_object_size(&layout, object.component, object.stripe, file_size);
			sum += size;
			reconstructed = max_u64(reconstructed, layout_file_size(&layout, object.component,
										object.stripe, size));
		}
		assert_int_equal(sum, file_size);
		assert_int_equal(reconstructed, file_size);
	}
}

static void encoding_round_trips(void **state)
{
	(void)state;
	struct layout layout = placed(5, 1 << 20), again;
	uint8_t buf[6144];
	struct wire_out out = wire_out(buf, sizeof(buf));
	layout.gen = 9;
	memcpy(layout.components[0].pool, "flash", 6);
	layout_encode(&layout, &out);
	assert_int_equal(out.err, 0);
	assert_int_equal(layout_decode(blob_of(buf, wire_len(&out)), &again), 0);
	assert_int_equal(again.gen, 9);
	assert_string_equal(again.components[0].pool, "flash");
	assert_memory_equal(again.osts, layout.osts, 5 * sizeof(uint16_t));
	for (size_t cut = 1; cut < wire_len(&out); cut++)
		assert_int_equal(layout_decode(blob_of(buf, cut), &again), -ERR_malformed);
}

static void placement_keeps_to_what_is_wanted(void **state)
{
	(void)state;
	static const uint16_t osts[] = {4, 5, 6};
	struct layout wanted, layout;
	layout_init_wanted(&wanted, STRIPE_COUNT_ALL, 0, 5);
	assert_int_equal(layout_place(&wanted, osts, 3, 0, &layout), 0);
	assert_int_equal(layout.components[0].stripe_count, 3);
	assert_int_equal(layout.osts[0], 5);
	assert_int_equal(layout.osts[2], 4);
	assert_int_equal(layout.components[0].stripe_bytes, STRIPE_BYTES_DEFAULT);
	layout_init_wanted(&wanted, 1, 0, 9);
	assert_int_equal(layout_place(&wanted, osts, 3, 0, &layout), -EINVAL);
	assert_int_equal(layout_place(&wanted, osts, 0, 0, &layout), -ENOSPC);
	layout_init_wanted(&wanted, 1, 4096, STRIPE_INDEX_ANY);
	assert_int_equal(layout_place(&wanted, osts, 3, 0, &layout), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_cover_a_range_once_and_in_order),
		cmocka_unit_test(object_sizes_add_up_to_the_file_size),
		cmocka_unit_test(encoding_round_trips),
		cmocka_unit_test(placement_keeps_to_what_is_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
