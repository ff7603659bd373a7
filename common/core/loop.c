/* SPDX-License-Identifier: Apache-2.0
 * Timers, sources, and the round of a loop. */
#include "common/core/loop_impl.h"
#include "common/base/check.h"

enum {
	RUN_PER_STEP_MAX = 1024, /* tasks run in one step, so that sources are polled in between */
	TASKS_MAX_DEFAULT = 65536,
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_BYTES_DEFAULT = 256 * 1024 };
#else
enum { STACK_BYTES_DEFAULT = 128 * 1024 };
#endif

struct loop *loop_new(const struct loop_opts *opts)
{
	struct loop *loop = mem_alloc(sizeof(*loop));
	loop->name = opts->name;
	loop->clock = opts->clock;
	loop->tasks_max = opts->tasks_max != 0 ? opts->tasks_max : TASKS_MAX_DEFAULT;
	list_init(&loop->ready);
	list_init(&loop->tasks);
	list_init(&loop->sources);
	stack_pool_init(&loop->stacks, opts->stack_bytes != 0 ? opts->stack_bytes : STACK_BYTES_DEFAULT);
	fiber_init_thread(&loop->fiber);
	return loop;
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	CHECK(loop->current == NULL);
	struct list_node *node;
	while ((node = list_pop_front(&loop->tasks)) != NULL) {
		struct task *task = CONTAINER_OF(node, struct task, all_link);
		fiber_fini(&task->fiber);
		mem_free(task);
	}
	stack_pool_fini(&loop->stacks);
	mem_free(loop->timers);
	mem_free(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->clock->ops->now_ns(loop->clock);
}

const char *loop_name(const struct loop *loop)
{
	return loop->name;
}

bool loop_is_running(const struct loop *loop)
{
	return loop->running;
}

size_t loop_task_count(const struct loop *loop)
{
	return loop->task_count;
}

uint64_t loop_work_count(const struct loop *loop)
{
	return loop->work_count;
}

void loop_each_task(struct loop *loop, void (*visit)(void *ctx, struct task *task), void *ctx)
{
	list_for_each(node, &loop->tasks)
		visit(ctx, CONTAINER_OF(node, struct task, all_link));
}

void loop_source_add(struct loop *loop, struct loop_source *source)
{
	list_push_back(&loop->sources, &source->link);
}

void loop_source_remove(struct loop_source *source)
{
	list_remove(&source->link);
}

struct list *loop_sources(struct loop *loop)
{
	return &loop->sources;
}

/* ---- timers: a binary heap ------------------------------------------------------------------------------------ */

static void heap_place(struct loop *loop, size_t index, struct loop_timer *timer)
{
	loop->timers[index] = timer;
	timer->heap_index = index;
}

static void heap_up(struct loop *loop, size_t index)
{
	struct loop_timer *timer = loop->timers[index];
	while (index > 0 && timer->deadline_ns < loop->timers[(index - 1) / 2]->deadline_ns) {
		heap_place(loop, index, loop->timers[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	heap_place(loop, index, timer);
}

static void heap_down(struct loop *loop, size_t index)
{
	struct loop_timer *timer = loop->timers[index];
	for (;;) {
		size_t child = index * 2 + 1;
		if (child >= loop->timer_count)
			break;
		if (child + 1 < loop->timer_count &&
		    loop->timers[child + 1]->deadline_ns < loop->timers[child]->deadline_ns)
			child++;
		if (loop->timers[child]->deadline_ns >= timer->deadline_ns)
			break;
		heap_place(loop, index, loop->timers[child]);
		index = child;
	}
	heap_place(loop, index, timer);
}

void loop_timer_init(struct loop_timer *timer, void (*fire)(struct loop_timer *timer))
{
	*timer = (struct loop_timer){.heap_index = SIZE_MAX, .fire = fire};
}

void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns)
{
	loop_timer_disarm(loop, timer);
	if (loop->timer_count == loop->timer_capacity) {
		loop->timer_capacity = loop->timer_capacity == 0 ? 64 : loop->timer_capacity * 2;
		loop->timers = mem_realloc(loop->timers, loop->timer_capacity * sizeof(loop->timers[0]));
	}
	timer->deadline_ns = deadline_ns;
	heap_place(loop, loop->timer_count, timer);
	heap_up(loop, loop->timer_count++);
}

void loop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
	size_t index = timer->heap_index;
	if (index == SIZE_MAX)
		return;
	timer->heap_index = SIZE_MAX;
	struct loop_timer *last = loop->timers[--loop->timer_count];
	if (last == timer)
		return;
	heap_place(loop, index, last);
	heap_up(loop, index);
	heap_down(loop, last->heap_index);
}

static void fire_timers(struct loop *loop)
{
	uint64_t now_ns = loop_now_ns(loop);
	while (loop->timer_count > 0 && loop->timers[0]->deadline_ns <= now_ns) {
		struct loop_timer *timer = loop->timers[0];
		loop_timer_disarm(loop, timer);
		timer->fire(timer);
		loop->work_count++;
	}
}

uint64_t loop_step(struct loop *loop)
{
	CHECK(!loop->running);
	loop->running = true;
	list_for_each_safe(node, tmp, &loop->sources) {
		struct loop_source *source = CONTAINER_OF(node, struct loop_source, link);
		if (source->poll(source))
			loop->work_count++;
	}
	fire_timers(loop);
	for (int i = 0; i < RUN_PER_STEP_MAX; i++) {
		struct list_node *node = list_pop_front(&loop->ready);
		if (node == NULL)
			break;
		loop_run_task(loop, CONTAINER_OF(node, struct task, ready_link));
		loop->work_count++;
	}
	loop->running = false;
	if (!list_is_empty(&loop->ready))
		return 0;
	return loop->timer_count > 0 ? loop->timers[0]->deadline_ns : UINT64_MAX;
}
