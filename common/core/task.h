/* SPDX-License-Identifier: Apache-2.0
 * Tasks: stackful coroutines on one loop. One request is one task; it has the loop to itself between two parks.
 *
 *            spawn            runs             park                wake
 *   (none) ────────▶ READY ────────▶ RUNNING ────────▶ PARKED ────────────▶ READY
 *                                       │ fn returns
 *                                       ▼
 *                                     DONE (stack back to the pool) */
#ifndef STRIA_CORE_TASK_H
#define STRIA_CORE_TASK_H

#include "common/base/bytes.h"
#include "common/base/list.h"

struct loop;
struct task;
struct arena;

/* Run fn(arg) as a task of `loop`, soon (never before this returns). `name` is static. Never fails: callers bound their number. */
struct task *task_spawn(struct loop *loop, const char *name, void (*fn)(void *arg), void *arg);

/* The task that runs now on `loop`; NULL when the loop itself does. */
struct task *task_current(struct loop *loop);

/* Parks the running task until somebody calls task_wake on it. A wake that came while it ran is not lost: park returns at once.
 * Wakes may be spurious to the caller's purpose: check the condition in a loop. */
void task_park(struct loop *loop);
/* The same with a deadline on the loop's clock (UINT64_MAX: none): 0 when woken, -ERR_timeout when the deadline came. */
int task_park_until(struct loop *loop, uint64_t deadline_ns);
/* Parks for that long; wakes do not shorten it. */
void task_sleep(struct loop *loop, uint64_t duration_ns);
/* Make a parked task runnable (from its own loop only). Idempotent. */
void task_wake(struct task *task);
/* Let others run: parks and is runnable again at once. */
void task_yield(struct loop *loop);

/* Run fn(arg) on the loop's own big stack and return when it has returned. For foreign libraries that need deep stacks. fn must not park. */
void task_call_on_loop(struct loop *loop, void (*fn)(void *arg), void *arg);

/* What a task is doing, for traces, dumps and the simulator's coverage: static strings. */
void task_set_step(struct task *task, const char *op, const char *step);
const char *task_name(const struct task *task);
const char *task_op(const struct task *task);
const char *task_step(const struct task *task);

/* Tasks that wait for the same thing, in order of arrival. */
struct waitq {
	struct list waiters;
};
void waitq_init(struct waitq *waitq);
/* Parks until woken: 0, or -ERR_timeout at the deadline (UINT64_MAX: none). */
int waitq_wait(struct waitq *waitq, struct loop *loop, uint64_t deadline_ns);
/* Parks once: 0 when woken, by the queue or by a task_wake that means something else, or -ERR_timeout. */
int waitq_wait_once(struct waitq *waitq, struct loop *loop, uint64_t deadline_ns);
void waitq_wake_one(struct waitq *waitq);
void waitq_wake_all(struct waitq *waitq);
bool waitq_is_empty(const struct waitq *waitq);

/* A promise that this scope does not park: debug builds CHECK it. */
struct no_park {
	struct loop *loop;
};
struct no_park no_park_enter(struct loop *loop);
void no_park_leave(struct no_park *scope);
#define ASSERT_NO_PARK(loop) \
	struct no_park no_park_scope_ __attribute__((cleanup(no_park_leave), unused)) = no_park_enter(loop)

#endif
