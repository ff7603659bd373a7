/* SPDX-License-Identifier: Apache-2.0
 * Tasks on a loop whose clock is a number. */
#include "common/core/loop.h"
#include "common/core/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fake_clock {
	struct clock clock;
	uint64_t now_ns;
};

static uint64_t fake_now(struct clock *clock)
{
	return CONTAINER_OF(clock, struct fake_clock, clock)->now_ns;
}

static const struct clock_ops fake_ops = {.now_ns = fake_now};

struct world {
	struct fake_clock clock;
	struct loop *loop;
	struct waitq waitq;
	char log[256];
	struct task *parked;
	int rc;
};

static int setup(void **state)
{
	struct world *world = mem_alloc(sizeof(*world));
	world->clock.clock.ops = &fake_ops;
	world->loop = loop_new(&(struct loop_opts){.name = "test", .clock = &world->clock.clock});
	waitq_init(&world->waitq);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	loop_free(world->loop);
	mem_free(world);
	return 0;
}

static void note(struct world *world, char c)
{
	size_t len = strlen(world->log);
	world->log[len] = c;
}

static void sleeper(void *arg)
{
	struct world *world = arg;
	note(world, 'a');
	task_sleep(world->loop, 100);
	note(world, 'b');
}

static void waiter(void *arg)
{
	struct world *world = arg;
	world->rc = waitq_wait(&world->waitq, world->loop, 50);
	note(world, 'w');
}

static void parker(void *arg)
{
	struct world *world = arg;
	world->parked = task_current(world->loop);
	task_wake(world->parked); /* a wake while running is kept */
	task_park(world->loop);
	note(world, '1');
	task_park(world->loop);
	note(world, '2');
}

static void add_to_log(void *arg)
{
	note(arg, 'L');
}

static void caller(void *arg)
{
	struct world *world = arg;
	note(world, '(');
	task_call_on_loop(world->loop, add_to_log, world);
	note(world, ')');
}

static void sleep_ends_at_its_deadline(void **state)
{
	struct world *world = *state;
	task_spawn(world->loop, "sleeper", sleeper, world);
	assert_int_equal(loop_step(world->loop), 100);
	assert_string_equal(world->log, "a");
	world->clock.now_ns = 99;
	assert_int_equal(loop_step(world->loop), 100);
	assert_string_equal(world->log, "a");
	world->clock.now_ns = 100;
	assert_int_equal(loop_step(world->loop), UINT64_MAX);
	assert_string_equal(world->log, "ab");
	assert_int_equal(loop_task_count(world->loop), 0);
}

static void wait_times_out_or_is_woken(void **state)
{
	struct world *world = *state;
	task_spawn(world->loop, "waiter", waiter, world);
	loop_step(world->loop);
	world->clock.now_ns = 50;
	loop_step(world->loop);
	assert_int_equal(world->rc, -ERR_timeout);
	assert_true(waitq_is_empty(&world->waitq));
	world->clock.now_ns = 0;
	task_spawn(world->loop, "waiter", waiter, world);
	loop_step(world->loop);
	waitq_wake_one(&world->waitq);
	loop_step(world->loop);
	assert_int_equal(world->rc, 0);
	assert_string_equal(world->log, "ww");
}

static void wake_while_running_is_not_lost(void **state)
{
	struct world *world = *state;
	task_spawn(world->loop, "parker", parker, world);
	loop_step(world->loop);
	assert_string_equal(world->log, "1");
	task_wake(world->parked);
	loop_step(world->loop);
	assert_string_equal(world->log, "12");
}

static void call_on_loop_runs_in_between(void **state)
{
	struct world *world = *state;
	task_spawn(world->loop, "caller", caller, world);
	loop_step(world->loop);
	assert_string_equal(world->log, "(L)");
}

static void parked_tasks_die_with_their_loop(void **state)
{
	struct world *world = *state;
	for (int i = 0; i < 100; i++)
		task_spawn(world->loop, "sleeper", sleeper, world);
	loop_step(world->loop);
	assert_int_equal(loop_task_count(world->loop), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sleep_ends_at_its_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(wait_times_out_or_is_woken, setup, teardown),
		cmocka_unit_test_setup_teardown(wake_while_running_is_not_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(call_on_loop_runs_in_between, setup, teardown),
		cmocka_unit_test_setup_teardown(parked_tasks_die_with_their_loop, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
