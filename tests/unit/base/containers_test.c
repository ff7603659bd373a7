/* SPDX-License-Identifier: Apache-2.0
 * list, map, mem, rng, bytes, err: their promises. */
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct element {
	struct list_node link;
	struct map_node node;
	uint64_t key;
};

static void list_keeps_order_and_survives_removal(void **state)
{
	(void)state;
	struct list list, other;
	struct element e[4] = {{.key = 0}, {.key = 1}, {.key = 2}, {.key = 3}};
	list_init(&list);
	list_init(&other);
	assert_true(list_is_empty(&list));
	assert_null(list_pop_front(&list));
	for (int i = 1; i < 4; i++)
		list_push_back(&list, &e[i].link);
	list_push_front(&list, &e[0].link);
	list_remove(&e[2].link);
	list_remove(&e[2].link); /* safe on one that is in no list */
	assert_false(list_node_is_linked(&e[2].link));
	uint64_t seen = 0;
	list_for_each(node, &list)
		seen = seen * 10 + CONTAINER_OF(node, struct element, link)->key;
	assert_int_equal(seen, 13);
	list_push_back(&other, &e[2].link);
	list_splice_back(&other, &list);
	assert_true(list_is_empty(&list));
	seen = 0;
	list_for_each_safe(node, tmp, &other) {
		seen = seen * 10 + CONTAINER_OF(node, struct element, link)->key;
		list_remove(node);
	}
	assert_int_equal(seen, 2013);
	assert_true(list_is_empty(&other));
}

enum { MAP_ELEMENTS = 5000 };

static void map_finds_what_was_put_in_and_nothing_else(void **state)
{
	(void)state;
	struct map map;
	map_init(&map);
	assert_null(map_first(&map, 1));
	struct element *e = mem_alloc(MAP_ELEMENTS * sizeof(*e));
	for (uint64_t i = 0; i < MAP_ELEMENTS; i++) {
		e[i].key = i;
		map_insert(&map, &e[i].node, map_hash_u64(i / 2)); /* each hash twice */
	}
	for (uint64_t i = 0; i < MAP_ELEMENTS; i += 3)
		map_remove(&map, &e[i].node);
	for (uint64_t i = 0; i < MAP_ELEMENTS; i++) {
		bool found = false;
		for (struct map_node *node = map_first(&map, map_hash_u64(i / 2)); node != NULL; node = map_next(node))
			found |= CONTAINER_OF(node, struct element, node)->key == i;
		assert_int_equal(found, i % 3 != 0);
	}
	size_t visited = 0;
	struct map_iter iter = map_iter_begin(&map);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL; visited++)
		map_remove(&map, node); /* of the one returned last: allowed */
	assert_int_equal(visited, MAP_ELEMENTS - (MAP_ELEMENTS + 2) / 3);
	assert_int_equal(map.count, 0);
	map_fini(&map);
	mem_free(e);
}

static void hashes_of_bytes_depend_on_every_byte_and_the_length(void **state)
{
	(void)state;
	uint8_t bytes[40] = {0};
	for (size_t len = 0; len < sizeof(bytes); len++) {
		uint64_t hash = map_hash_bytes(blob_of(bytes, len));
		assert_int_not_equal(hash, map_hash_bytes(blob_of(bytes, len + 1)));
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= 1;
			assert_int_not_equal(hash, map_hash_bytes(blob_of(bytes, len)));
			bytes[i] ^= 1;
		}
	}
}

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	for (size_t len = 0; len < 20000; len = len * 2 + 1) {
		uint8_t *p = arena_alloc(&arena, len);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, len);
	}
	assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
	struct str copy = arena_str(&arena, STR("abc"));
	assert_true(str_eq(copy, STR("abc")));
	arena_clear(&arena);
	assert_int_equal(*(uint8_t *)arena_alloc(&arena, 1), 0);
	arena_fini(&arena);
	arena_fini(&arena);
}

static void a_heap_gives_everything_back_at_once(void **state)
{
	(void)state;
	struct mem_heap *heap = mem_heap_new();
	struct mem_heap *before = mem_heap_set(heap);
	void *kept = mem_alloc(100);
	mem_free(mem_alloc(50));
	void *grown = mem_realloc(mem_alloc(10), 1000);
	void *aligned = mem_alloc_aligned(4096, 8192);
	assert_int_equal((uintptr_t)aligned % 4096, 0);
	assert_int_equal(mem_heap_bytes(heap), 100 + 1000 + 8192);
	mem_heap_set(before);
	mem_free(grown); /* whoever runs: it goes back to its own heap */
	assert_int_equal(mem_heap_bytes(heap), 100 + 8192);
	(void)kept;
	mem_heap_free(heap);
}

static void cleanup_frees_unless_taken(void **state)
{
	(void)state;
	struct mem_heap *heap = mem_heap_new();
	struct mem_heap *before = mem_heap_set(heap);
	char *moved;
	{
		CLEANUP(free_p) char *freed = mem_strdup("a");
		CLEANUP(free_p) char *taken = mem_strdup("bb");
		(void)freed;
		moved = TAKE(taken);
		assert_null(taken);
	}
	assert_int_equal(mem_heap_bytes(heap), 3);
	mem_free(moved);
	mem_heap_set(before);
	mem_heap_free(heap);
}

static void one_seed_gives_one_stream_and_forks_are_independent(void **state)
{
	(void)state;
	struct rng a, b;
	rng_init(&a, 42);
	rng_init(&b, 42);
	struct rng fork_a = rng_fork(&a), fork_b = rng_fork(&b);
	for (int i = 0; i < 100; i++)
		(void)rng_u64(&a); /* must not change its fork */
	for (int i = 0; i < 100; i++)
		assert_int_equal(rng_u64(&fork_a), rng_u64(&fork_b));
	bool low = false, high = false;
	for (int i = 0; i < 1000; i++) {
		uint64_t v = rng_range(&b, 3, 5);
		assert_in_range(v, 3, 5);
		low |= v == 3;
		high |= v == 5;
		assert_true(rng_below(&b, 7) < 7);
	}
	assert_true(low && high);
	assert_int_equal(rng_below(&b, 0), 0);
	assert_false(rng_chance(&b, 0));
	assert_true(rng_chance(&b, 1000000));
}

static void loads_undo_stores_in_both_orders(void **state)
{
	(void)state;
	uint8_t buf[8];
	store_le64(buf, UINT64_C(0x0102030405060708));
	assert_int_equal(buf[0], 8);
	assert_int_equal(load_le64(buf), UINT64_C(0x0102030405060708));
	store_be64(buf, UINT64_C(0xf102030405060708));
	assert_int_equal(buf[0], 0xf1);
	assert_int_equal(load_be64(buf), UINT64_C(0xf102030405060708));
	store_le32(buf, 0xfedcba98);
	assert_int_equal(load_le32(buf), 0xfedcba98);
	store_be32(buf, 0xfedcba98);
	assert_int_equal(load_be32(buf), 0xfedcba98);
	store_le16(buf, 0xfedc);
	assert_int_equal(load_le16(buf), 0xfedc);
	store_be16(buf, 0xfedc);
	assert_int_equal(load_be16(buf), 0xfedc);
	assert_int_equal(round_up(1, 4096), 4096);
	assert_int_equal(round_up(4096, 4096), 4096);
	assert_int_equal(round_down(8191, 4096), 4096);
	assert_int_equal(add_sat_u64(UINT64_MAX - 1, 5), UINT64_MAX);
}

static void every_error_row_reaches_an_errno_and_survives_the_wire(void **state)
{
	(void)state;
	const struct err_row *rows = NULL;
	size_t count = err_rows(&rows);
	assert_true(count > 20);
	for (size_t i = 0; i < count; i++) {
		assert_in_range(rows[i].number, ERR_PRIVATE_FIRST, ERR_PRIVATE_LAST);
		assert_in_range(err_to_errno(-rows[i].number), 1, 4095);
		assert_int_equal(err_from_wire(err_to_wire(-rows[i].number)), -rows[i].number);
		assert_true(err_is(-rows[i].number, rows[i].class));
		assert_string_equal(err_name(-rows[i].number), rows[i].name);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(rows[i].number, rows[j].number);
	}
	assert_true(err_is(-ERR_stale_epoch, ERR_retry));
	assert_false(err_is(-ERR_evicted, ERR_retry));
	assert_false(err_is(0, ERR_retry));
	assert_int_equal(err_from_wire(0), 0);
	assert_int_equal(err_from_wire(ENOENT), -ENOENT);
	assert_int_equal(err_from_wire(9999), -EPROTO);
	assert_int_equal(err_to_errno(-10999), EIO);
	assert_string_equal(err_name(-ENOENT), "ENOENT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_order_and_survives_removal),
		cmocka_unit_test(map_finds_what_was_put_in_and_nothing_else),
		cmocka_unit_test(hashes_of_bytes_depend_on_every_byte_and_the_length),
		cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(a_heap_gives_everything_back_at_once),
		cmocka_unit_test(cleanup_frees_unless_taken),
		cmocka_unit_test(one_seed_gives_one_stream_and_forks_are_independent),
		cmocka_unit_test(loads_undo_stores_in_both_orders),
		cmocka_unit_test(every_error_row_reaches_an_errno_and_survives_the_wire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
