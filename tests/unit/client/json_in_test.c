/* SPDX-License-Identifier: Apache-2.0
 * The strict reader of what the command line sends. */
#include "client/json_in.h"
#include "common/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int parse(const char *text, struct arena *arena, struct json_in *ret_object)
{
	return json_in_parse(blob_of(text, strlen(text)), arena, ret_object);
}

static void reads_numbers_strings_and_lists(void **state)
{
	(void)state;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct json_in object;
	assert_int_equal(parse(" {\"stripe_count\": -1,\"osts\":[1, 3 ], \"name\":\"a\\\"b\\u00e4\\ud83d\\ude00\", \"none\": [] } ", &arena, &object), 0);
	assert_int_equal(object.count, 4);
	int64_t number = 0;
	assert_int_equal(json_in_number(&object, "stripe_count", 0, -1, 100, &number), 0);
	assert_int_equal(number, -1);
	const struct json_in_member *osts = json_in_find(&object, "osts");
	assert_int_equal(osts->kind, JSON_IN_NUMBERS);
	assert_int_equal(osts->number_count, 2);
	assert_int_equal(osts->numbers[1], 3);
	assert_true(str_eq(json_in_find(&object, "name")->text, STR("a\"b\xc3\xa4\xf0\x9f\x98\x80")));
	assert_int_equal(json_in_find(&object, "none")->number_count, 0);
	assert_null(json_in_find(&object, "stripe"));
}

static void a_missing_number_takes_its_default_and_a_wrong_one_is_refused(void **state)
{
	(void)state;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct json_in object;
	assert_int_equal(parse("{\"a\": 7, \"b\": \"7\"}", &arena, &object), 0);
	int64_t number = 0;
	assert_int_equal(json_in_number(&object, "c", 42, 0, 1, &number), 0);
	assert_int_equal(number, 42);
	assert_int_equal(json_in_number(&object, "a", 0, 0, 6, &number), -EINVAL);
	assert_int_equal(json_in_number(&object, "b", 0, 0, 10, &number), -EINVAL);
	assert_int_equal(number, 42);
}

static void what_is_not_a_flat_object_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "{", "}", "[]", "7", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":1 \"b\":2}", "{a:1}", "{\"a\":01}", "{\"a\":-}",
		"{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":true}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[1,]}", "{\"a\":[\"x\"]}", "{\"a\":[[1]]}",
		"{\"a\":\"x}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "{\"a\":1,\"a\":2}",
		"{\"a\":9223372036854775808}", "{\"a\":[1",
	};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		CLEANUP(arena_fini) struct arena arena;
		arena_init(&arena);
		struct json_in object = {.count = 99};
		if (parse(bad[i], &arena, &object) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(object.count, 99);
	}
}

static void every_cut_of_a_good_text_is_refused(void **state)
{
	(void)state;
	static const char good[] = "{\"stripe_count\": 4, \"osts\": [1, 2], \"name\": \"d\\u00e4\"}";
	for (size_t len = 0; len < sizeof(good) - 1; len++) {
		CLEANUP(arena_fini) struct arena arena;
		arena_init(&arena);
		struct json_in object;
		CLEANUP(free_p) void *exact = mem_dup(good, len > 0 ? len : 1); /* so that a read past the end is seen */
		assert_int_equal(json_in_parse(blob_of(exact, len), &arena, &object), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_numbers_strings_and_lists),
		cmocka_unit_test(a_missing_number_takes_its_default_and_a_wrong_one_is_refused),
		cmocka_unit_test(what_is_not_a_flat_object_is_refused),
		cmocka_unit_test(every_cut_of_a_good_text_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
