/* SPDX-License-Identifier: Apache-2.0
 * The cluster map's bytes and look-ups. */
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/cluster/cmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct cmap *example(void)
{
	struct cmap *map = cmap_new();
	map->epoch = 7;
	map->cluster_hi = 1;
	map->cluster_lo = 2;
	memcpy(map->fsname, "stria", 6);
	map->shard_count = 256;
	for (int i = 128; i < 256; i++)
		map->shard_owner[i] = 1;
	for (uint32_t i = 4; i-- > 0;) {
		struct cmap_target *ost = cmap_add_target(map, TARGET_OST, i);
		ost->state = TARGET_UP;
		memcpy(ost->address, "tcp://127.0.0.1:1", 18);
	}
	cmap_add_target(map, TARGET_MDT, 0);
	cmap_evict(map, 99);
	return map;
}

static void map_round_trips(void **state)
{
	(void)state;
	struct cmap *map = example(), *again = NULL;
	uint8_t buf[65536];
	struct wire_out out = wire_out(buf, sizeof(buf));
	cmap_encode(map, &out);
	assert_int_equal(out.err, 0);
	assert_int_equal(cmap_decode(blob_of(buf, wire_len(&out)), &again), 0);
	assert_int_equal(again->epoch, 7);
	assert_int_equal(cmap_count(again, TARGET_OST), 4);
	assert_int_equal(again->targets[0].kind, TARGET_MDT);
	assert_string_equal(cmap_find(again, TARGET_OST, 3)->address, "tcp://127.0.0.1:1");
	assert_int_equal(cmap_mdt_of(again, ino_make(127, 1)), 0);
	assert_int_equal(cmap_mdt_of(again, ino_make(128, 1)), 1);
	assert_int_equal(cmap_mdt_of(again, ino_make(256, 1)), UINT32_MAX);
	assert_true(cmap_is_evicted(again, 99));
	assert_false(cmap_is_evicted(again, 98));
	cmap_free(again);
	for (size_t cut = 0; cut < wire_len(&out); cut++)
		assert_int_equal(cmap_decode(blob_of(buf, cut), &again), -ERR_malformed);
	cmap_free(map);
}

static void the_largest_map_fits_a_message(void **state)
{
	(void)state;
	struct cmap *map = example();
	for (uint32_t i = 0; map->target_count < CMAP_TARGETS_MAX; i++) {
		struct cmap_target *ost = cmap_add_target(map, TARGET_OST, i);
		memcpy(ost->address, "tcp://255.255.255.255:65535", 28);
	}
	for (uint64_t i = 0; i < CMAP_EVICTED_MAX + 5; i++)
		cmap_evict(map, 1000 + i);
	uint8_t buf[65536];
	struct wire_out out = wire_out(buf, sizeof(buf));
	cmap_encode(map, &out);
	assert_int_equal(out.err, 0);
	assert_false(cmap_is_evicted(map, 99)); /* the oldest made room */
	cmap_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_round_trips),
		cmocka_unit_test(the_largest_map_fits_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
