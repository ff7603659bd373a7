/* SPDX-License-Identifier: Apache-2.0
 * What loop.c and task.c share. Private to core. */
#ifndef STRIA_CORE_LOOP_IMPL_H
#define STRIA_CORE_LOOP_IMPL_H

#include "common/core/fiber.h"
#include "common/core/loop.h"
#include "common/core/task.h"

enum task_state { TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_DONE };

struct task {
	struct list_node ready_link; /* in loop->ready when TASK_READY */
	struct list_node all_link;   /* in loop->tasks */
	struct loop *loop;
	struct fiber fiber;
	void *stack;
	void (*fn)(void *arg);
	void *arg;
	const char *name, *op, *step;
	struct loop_timer timer; /* of task_park_until */
	enum task_state state;
	bool wake_pending; /* woken while it ran: the next park returns at once */
	bool timed_out;
};

struct loop {
	struct fiber fiber; /* the thread's own stack, while a task runs */
	struct stack_pool stacks;
	struct list ready;
	struct list tasks;
	struct list sources;
	struct clock *clock;
	const char *name;
	struct task *current;
	void (*call_fn)(void *arg); /* task_call_on_loop's request */
	void *call_arg;
	struct loop_timer **timers; /* binary heap by deadline, then by order of arming */
	size_t timer_count, timer_capacity;
	size_t task_count, tasks_max;
	uint64_t work_count;
	unsigned no_park_depth;
	bool running;
};

/* Runs one ready task until it parks or ends. */
void loop_run_task(struct loop *loop, struct task *task);

#endif
