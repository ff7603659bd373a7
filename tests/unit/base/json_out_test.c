/* SPDX-License-Identifier: Apache-2.0
 * What is written parses, whatever the strings hold. */
#include "common/base/json_out.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void objects_and_arrays_nest_with_commas_between(void **state)
{
	struct arena arena;
	(void)state;
	arena_init(&arena);
	struct json_out json = json_out(&arena);
	json_object_begin(&json, NULL);
	json_u64(&json, "a", UINT64_MAX);
	json_array_begin(&json, "b");
	json_i64(&json, NULL, -1);
	json_bool(&json, NULL, true);
	json_none(&json, NULL);
	json_object_begin(&json, NULL);
	json_end(&json);
	json_end(&json);
	json_str(&json, "c", STR("x"));
	json_end(&json);
	struct blob text = json_blob(&json);
	assert_true(str_eq((struct str){(const char *)text.ptr, text.len},
			   STR("{\"a\": 18446744073709551615, \"b\": [-1, true, null, {}], \"c\": \"x\"}")));
	arena_fini(&arena);
}

static void strings_are_escaped_and_made_utf8(void **state)
{
	static const char bad[] = "\"\\\n\x7f \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xff \xc0\x80 \xed\xa0\x80 \xe2\x82";
	struct arena arena;
	(void)state;
	arena_init(&arena);
	struct json_out json = json_out(&arena);
	json_str(&json, NULL, (struct str){bad, sizeof(bad) - 1});
	struct blob text = json_blob(&json);
	assert_true(str_eq((struct str){(const char *)text.ptr, text.len},
			   STR("\"\\\"\\\\\\u000a\\u007f \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd "
			       "\\ufffd\\ufffd\"")));
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_and_arrays_nest_with_commas_between),
		cmocka_unit_test(strings_are_escaped_and_made_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
