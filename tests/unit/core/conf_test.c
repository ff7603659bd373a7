/* SPDX-License-Identifier: Apache-2.0
 * Options: values, limits, and messages that say what was expected. */
#include "common/core/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct conf conf;
static char error[CONF_ERROR_BYTES_MAX];

static int set(const char *pair)
{
	error[0] = '\0';
	return conf_set_pair(&conf, CONF_ALL, str_of(pair), error);
}

static void defaults_are_what_the_table_says(void **state)
{
	(void)state;
	conf_init(&conf);
	assert_int_equal(conf.lease, 30 * NS_PER_S);
	assert_int_equal(conf.unstable_max, 256 * MIB);
	assert_int_equal(conf.log_level, LOG_LEVEL_INFO);
	assert_string_equal(conf.listen.text, "tcp://127.0.0.1:0");
	assert_true(conf.allow_other);
	assert_int_equal(conf.ost.count, 0);
}

static void values_are_parsed_by_kind(void **state)
{
	(void)state;
	conf_init(&conf);
	assert_int_equal(set("lease=5s"), 0);
	assert_int_equal(conf.lease, 5 * NS_PER_S);
	assert_int_equal(set("lease=1500"), 0);
	assert_int_equal(conf.lease, 1500 * NS_PER_MS);
	assert_int_equal(set("unstable-max=1G"), 0);
	assert_int_equal(conf.unstable_max, GIB);
	assert_int_equal(set("ro"), 0);
	assert_true(conf.ro);
	assert_int_equal(set("log_level=debug"), 0);
	assert_int_equal(conf.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(set("ost=/a@tcp://127.0.0.1:1"), 0);
	assert_int_equal(set("ost=/b@tcp://127.0.0.1:2"), 0);
	assert_int_equal(conf.ost.count, 2);
	assert_string_equal(conf.ost.items[1], "/b@tcp://127.0.0.1:2");
}

static void a_mistake_changes_nothing_and_says_what_was_expected(void **state)
{
	(void)state;
	conf_init(&conf);
	struct conf before = conf;
	assert_true(err_is(set("leese=5s"), ERR_conf));
	assert_string_equal(error, "unknown option 'leese': did you mean 'lease'?");
	assert_true(err_is(set("zzzzzzzz=1"), ERR_conf));
	assert_non_null(strstr(error, "see --help"));
	assert_true(err_is(set("lease=3 parsecs"), ERR_conf));
	assert_string_equal(error, "lease: '3 parsecs' is not a time (like 500ms, 30s, 5m)");
	assert_true(err_is(set("lease=99999999999999999999"), ERR_conf));
	assert_true(err_is(set("lease=1ms"), ERR_conf));
	assert_string_equal(error, "lease: '1ms' is out of range: 1s to 10m was expected");
	assert_true(err_is(set("lea\x1b[2J\nse=1ms"), ERR_conf));
	assert_null(strchr(error, '\x1b')); /* a hostile file does not reach the terminal */
	assert_true(err_is(set("lease"), ERR_conf));
	assert_non_null(strstr(error, "a value was expected"));
	assert_true(err_is(set("lease="), ERR_conf));
	assert_true(err_is(set(""), ERR_conf));
	assert_true(err_is(set("unstable_max=-1"), ERR_conf));
	assert_true(err_is(set("unstable_max=18446744073709551615T"), ERR_conf));
	assert_true(err_is(set("ro=maybe"), ERR_conf));
	char *huge = malloc(5000);
	memset(huge, 'x', 4999);
	huge[4999] = '\0';
	assert_true(err_is(set(huge), ERR_conf));
	memcpy(huge, "log=", 4);
	assert_true(err_is(set(huge), ERR_conf));
	assert_non_null(strstr(error, "at most 1023 bytes"));
	free(huge);
	assert_memory_equal(&conf, &before, sizeof(conf));
}

static void an_option_of_another_program_is_unknown(void **state)
{
	(void)state;
	conf_init(&conf);
	assert_int_equal(conf_set(&conf, CONF_OSS, STR("lease"), STR("5s"), error), -ERR_conf);
	assert_int_equal(conf_set(&conf, CONF_MDS, STR("lease"), STR("5s"), error), 0);
}

static void distance_counts_edits(void **state)
{
	(void)state;
	assert_int_equal(conf_distance(STR("lease"), STR("lease")), 0);
	assert_int_equal(conf_distance(STR("lesae"), STR("lease")), 1);
	assert_int_equal(conf_distance(STR("leas"), STR("lease")), 1);
	assert_int_equal(conf_distance(STR(""), STR("abc")), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_what_the_table_says),
		cmocka_unit_test(values_are_parsed_by_kind),
		cmocka_unit_test(a_mistake_changes_nothing_and_says_what_was_expected),
		cmocka_unit_test(an_option_of_another_program_is_unknown),
		cmocka_unit_test(distance_counts_edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
