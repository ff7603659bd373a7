/* SPDX-License-Identifier: Apache-2.0
 * A loop: one owner of state, its tasks, its timers and its sources of events. It never starts a thread and never sleeps:
 * somebody calls loop_step. The real driver (common/io/driver.c) polls, then sleeps in epoll; the simulator moves virtual time. */
#ifndef STRIA_CORE_LOOP_H
#define STRIA_CORE_LOOP_H

#include "common/base/bytes.h"
#include "common/base/list.h"
#include "common/core/env.h"

struct loop;

struct loop_opts {
	const char *name;      /* for logs; static */
	struct clock *clock;   /* borrowed for the loop's life */
	size_t stack_bytes;    /* of a task; 0: the default, 64 KiB (256 KiB under sanitizers) */
	size_t tasks_max;      /* more than this is a bug in somebody's limit: CHECK; 0: 65536 */
};
struct loop *loop_new(const struct loop_opts *opts);
/* Frees the loop and the stacks of all its tasks, parked ones too, which never run again (what they own on the heap is not freed: a
 * process that ends, or a simulated crash). */
void loop_free(struct loop *loop);

/* One round of bounded work: poll sources, fire timers, run what is runnable. Returns when it wants to be called again at the latest:
 * a time on its clock, 0 for "at once", UINT64_MAX for "only when a source has something". */
uint64_t loop_step(struct loop *loop);

uint64_t loop_now_ns(const struct loop *loop); /* the clock's */
const char *loop_name(const struct loop *loop);
bool loop_is_running(const struct loop *loop); /* between loop_step's begin and end */
size_t loop_task_count(const struct loop *loop);
/* Grows whenever a step found something to do: a source that had something, a timer, a task that ran. Tells a driver whether polling pays. */
uint64_t loop_work_count(const struct loop *loop);

/* Every live task, for dumps and coverage. */
struct task;
void loop_each_task(struct loop *loop, void (*visit)(void *ctx, struct task *task), void *ctx);

/* A source of events: completions, sockets, mailboxes. Registered by the seams' implementations. */
struct loop_source {
	struct list_node link;
	/* Take what is there, wake tasks, call handlers; never blocks. Returns true if there was anything. */
	bool (*poll)(struct loop_source *source);
	/* The driver is about to sleep: arm the wait (fi_trywait, eventfd). False: something came in meanwhile, do not sleep. May be NULL. */
	bool (*prepare_sleep)(struct loop_source *source);
	int fd;         /* readable when there is something; -1: none */
	bool in_flight; /* the source expects an event soon: worth polling briefly instead of sleeping */
};
void loop_source_add(struct loop *loop, struct loop_source *source);
void loop_source_remove(struct loop_source *source);
/* For the driver: all sources in order. */
struct list *loop_sources(struct loop *loop);

/* A timer that calls back on the loop, outside any task. For the runtime and seams; operations use task_sleep and deadlines. */
struct loop_timer {
	uint64_t deadline_ns;
	size_t heap_index; /* SIZE_MAX: not armed */
	void (*fire)(struct loop_timer *timer);
};
void loop_timer_init(struct loop_timer *timer, void (*fire)(struct loop_timer *timer));
void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns); /* re-arms */
void loop_timer_disarm(struct loop *loop, struct loop_timer *timer);                    /* safe when not armed */

/* "Only the owner touches this": true in builds without checks or when `loop` runs now. */
#define ASSERT_OWNER(loop) CHECK(loop_is_running(loop))

#endif
