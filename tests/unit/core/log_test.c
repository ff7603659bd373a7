/* SPDX-License-Identifier: Apache-2.0
 * Operator lines: form, limits, no control characters. */
#include "common/core/log.h"
#include "common/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fake {
	struct clock clock;
	struct log_sink sink;
	uint64_t now_ns;
	int lines;
	char last[LOG_LINE_BYTES_MAX + 1];
};

static uint64_t fake_now(struct clock *clock)
{
	return CONTAINER_OF(clock, struct fake, clock)->now_ns;
}

static int64_t fake_real(struct clock *clock)
{
	(void)clock;
	return INT64_C(1795487760123456789);
}

static void take(struct log_sink *sink, enum log_level level, struct str line)
{
	(void)level;
	struct fake *fake = CONTAINER_OF(sink, struct fake, sink);
	fake->lines++;
	memcpy(fake->last, line.ptr, line.len);
	fake->last[line.len] = '\0';
}

static const struct clock_ops ops = {.now_ns = fake_now, .real_ns = fake_real};
static struct fake fake;
static struct log log_;

static int setup(void **state)
{
	(void)state;
	fake = (struct fake){.clock = {&ops}, .sink = {take}};
	log_init(&log_, &fake.sink, &fake.clock, LOG_LEVEL_INFO, "mds0");
	return 0;
}

static void a_line_has_time_level_node_module(void **state)
{
	(void)state;
	log_line(&log_, LOG_LEVEL_WARN, "txn", "op=%s err=%s", "create", err_name(-ERR_busy));
	assert_string_equal(fake.last, "2026-11-24T02:36:00.123456Z warn mds0 txn: op=create err=ERR_busy\n");
}

static void lower_levels_and_absent_logs_are_silent(void **state)
{
	(void)state;
	log_line(&log_, LOG_LEVEL_DEBUG, "txn", "x=1");
	log_line(NULL, LOG_LEVEL_ERROR, "txn", "x=1");
	assert_int_equal(fake.lines, 0);
}

static void repetition_is_limited_and_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		log_line(&log_, LOG_LEVEL_ERROR, "net", "peer=%d", i);
	assert_int_equal(fake.lines, LOG_BURST);
	fake.now_ns += LOG_WINDOW_S * NS_PER_S;
	log_line(&log_, LOG_LEVEL_ERROR, "net", "peer=%d", 100);
	assert_non_null(strstr(fake.last, "peer=100 suppressed_before=80\n"));
}

static void a_hostile_value_cannot_start_a_line_of_its_own(void **state)
{
	(void)state;
	log_line(&log_, LOG_LEVEL_INFO, "fuse", "name=%s", "a\nb\x1b[2J");
	assert_non_null(strstr(fake.last, "name=a?b?[2J\n"));
}

static void a_long_line_is_cut(void **state)
{
	(void)state;
	char text[4 * LOG_LINE_BYTES_MAX];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_line(&log_, LOG_LEVEL_INFO, "fuse", "name=%s", text);
	assert_true(strlen(fake.last) <= LOG_LINE_BYTES_MAX);
	assert_int_equal(fake.last[strlen(fake.last) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_time_level_node_module, setup),
		cmocka_unit_test_setup(lower_levels_and_absent_logs_are_silent, setup),
		cmocka_unit_test_setup(repetition_is_limited_and_counted, setup),
		cmocka_unit_test_setup(a_hostile_value_cannot_start_a_line_of_its_own, setup),
		cmocka_unit_test_setup(a_long_line_is_cut, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
