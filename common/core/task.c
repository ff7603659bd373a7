/* SPDX-License-Identifier: Apache-2.0
 * Tasks over fibers, and queues of waiting tasks. */
#include "common/core/task.h"
#include "common/base/check.h"
#include "common/core/loop_impl.h"

static void back_to_loop(struct task *task)
{
	fiber_switch(&task->fiber, &task->loop->fiber);
}

static void task_entry(void *arg)
{
	struct task *task = arg;
	task->fn(task->arg);
	task->state = TASK_DONE;
	fiber_switch_last(&task->fiber, &task->loop->fiber);
}

static void timer_fired(struct loop_timer *timer)
{
	struct task *task = CONTAINER_OF(timer, struct task, timer);
	task->timed_out = true;
	task_wake(task);
}

struct task *task_spawn(struct loop *loop, const char *name, void (*fn)(void *arg), void *arg)
{
	CHECK_MSG(loop->task_count < loop->tasks_max, "more tasks than any limit admits");
	struct task *task = mem_alloc(sizeof(*task));
	task->loop = loop;
	task->fn = fn;
	task->arg = arg;
	task->name = name;
	task->op = task->step = "";
	task->stack = stack_get(&loop->stacks);
	loop_timer_init(&task->timer, timer_fired);
	fiber_init(&task->fiber, task->stack, loop->stacks.stack_bytes, task_entry, task);
	list_node_init(&task->ready_link);
	list_push_back(&loop->tasks, &task->all_link);
	loop->task_count++;
	task->state = TASK_READY;
	list_push_back(&loop->ready, &task->ready_link);
	return task;
}

void loop_run_task(struct loop *loop, struct task *task)
{
	CHECK(task->state == TASK_READY);
	task->state = TASK_RUNNING;
	loop->current = task;
	for (;;) {
		fiber_switch(&loop->fiber, &task->fiber);
		if (loop->call_fn == NULL)
			break;
		void (*fn)(void *arg) = loop->call_fn;
		loop->call_fn = NULL;
		fn(loop->call_arg);
	}
	loop->current = NULL;
	stack_check(&loop->stacks, task->stack);
	if (task->state != TASK_DONE)
		return;
	loop_timer_disarm(loop, &task->timer);
	fiber_fini(&task->fiber);
	stack_put(&loop->stacks, task->stack);
	list_remove(&task->all_link);
	loop->task_count--;
	mem_free(task);
}

struct task *task_current(struct loop *loop)
{
	return loop->current;
}

int task_park_until(struct loop *loop, uint64_t deadline_ns)
{
	struct task *task = loop->current;
	CHECK_MSG(task != NULL, "only a task may park");
	CHECK_MSG(loop->no_park_depth == 0, "parked inside ASSERT_NO_PARK");
	if (task->wake_pending) {
		task->wake_pending = false;
		return 0;
	}
	task->timed_out = false;
	if (deadline_ns != UINT64_MAX)
		loop_timer_arm(loop, &task->timer, deadline_ns);
	task->state = TASK_PARKED;
	back_to_loop(task);
	task->wake_pending = false;
	loop_timer_disarm(loop, &task->timer);
	return task->timed_out ? -ERR_timeout : 0;
}

void task_park(struct loop *loop)
{
	(void)task_park_until(loop, UINT64_MAX); /* without a deadline it cannot time out */
}

void task_sleep(struct loop *loop, uint64_t duration_ns)
{
	uint64_t deadline_ns = add_sat_u64(loop_now_ns(loop), duration_ns);
	while (loop_now_ns(loop) < deadline_ns)
		(void)task_park_until(loop, deadline_ns); /* a wake in between is not ours */
}

void task_wake(struct task *task)
{
	if (task->state == TASK_RUNNING) {
		task->wake_pending = true;
	} else if (task->state == TASK_PARKED) {
		task->state = TASK_READY;
		list_push_back(&task->loop->ready, &task->ready_link);
	}
}

void task_yield(struct loop *loop)
{
	struct task *task = loop->current;
	CHECK_MSG(task != NULL && loop->no_park_depth == 0, "only a task may yield, outside ASSERT_NO_PARK");
	task->state = TASK_READY;
	list_push_back(&loop->ready, &task->ready_link);
	back_to_loop(task);
}

void task_call_on_loop(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct task *task = loop->current;
	if (task == NULL) { /* already there */
		fn(arg);
		return;
	}
	loop->call_fn = fn;
	loop->call_arg = arg;
	back_to_loop(task);
}

void task_set_step(struct task *task, const char *op, const char *step)
{
	if (task == NULL)
		return;
	task->op = op;
	task->step = step;
}

const char *task_name(const struct task *task)
{
	return task->name;
}

const char *task_op(const struct task *task)
{
	return task->op;
}

const char *task_step(const struct task *task)
{
	return task->step;
}

struct waiter {
	struct list_node link;
	struct task *task;
	bool woken;
};

void waitq_init(struct waitq *waitq)
{
	list_init(&waitq->waiters);
}

int waitq_wait(struct waitq *waitq, struct loop *loop, uint64_t deadline_ns)
{
	struct waiter waiter = {.task = task_current(loop)};
	list_push_back(&waitq->waiters, &waiter.link);
	int rc = 0;
	while (!waiter.woken && rc == 0)
		rc = task_park_until(loop, deadline_ns);
	list_remove(&waiter.link);
	return waiter.woken ? 0 : rc;
}

int waitq_wait_once(struct waitq *waitq, struct loop *loop, uint64_t deadline_ns)
{
	struct waiter waiter = {.task = task_current(loop)};
	list_push_back(&waitq->waiters, &waiter.link);
	int rc = task_park_until(loop, deadline_ns);
	list_remove(&waiter.link);
	return waiter.woken ? 0 : rc;
}

void waitq_wake_one(struct waitq *waitq)
{
	struct list_node *node = list_pop_front(&waitq->waiters);
	if (node == NULL)
		return;
	struct waiter *waiter = CONTAINER_OF(node, struct waiter, link);
	waiter->woken = true;
	task_wake(waiter->task);
}

void waitq_wake_all(struct waitq *waitq)
{
	while (!list_is_empty(&waitq->waiters))
		waitq_wake_one(waitq);
}

bool waitq_is_empty(const struct waitq *waitq)
{
	return list_first((struct list *)(uintptr_t)&waitq->waiters) == NULL;
}

struct no_park no_park_enter(struct loop *loop)
{
	loop->no_park_depth++;
	return (struct no_park){loop};
}

void no_park_leave(struct no_park *scope)
{
	scope->loop->no_park_depth--;
}
