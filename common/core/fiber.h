/* SPDX-License-Identifier: Apache-2.0
 * Stacks and the switch between them: Boost.Context's two C routines, with what the sanitizers and valgrind must be told.
 * Private to core: tasks (task.h) are what others use. */
#ifndef STRIA_CORE_FIBER_H
#define STRIA_CORE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pool of equally large stacks, allocated 16 at a time with one guard page below each slab and a canary at each stack's end. */
struct stack_slab;
struct stack_pool {
	struct stack_slab *slabs;
	void *free_stacks; /* singly linked through their first words */
	size_t stack_bytes;
};
void stack_pool_init(struct stack_pool *pool, size_t stack_bytes);
void stack_pool_fini(struct stack_pool *pool); /* unmaps all, used ones too */
void *stack_get(struct stack_pool *pool);      /* lowest address; CHECKs on lack of memory */
void stack_put(struct stack_pool *pool, void *stack);
void stack_check(const struct stack_pool *pool, const void *stack); /* CHECKs the canary */

/* One side of a switch. The loop has one for itself, each task one. */
struct fiber {
	void *context;            /* where it goes on; NULL while it runs */
	const void *stack_bottom; /* lowest address, for ASan */
	size_t stack_bytes;
	void *asan_fake_stack;
	void *tsan_fiber;
	bool is_thread; /* not ours: the stack of whatever thread runs the loop */
};
/* The thread's own stack as a fiber: filled in by the first switch away from it. */
void fiber_init_thread(struct fiber *fiber);
/* A fiber that will run entry(arg) on `stack`; entry never returns: it ends with fiber_switch_last. */
void fiber_init(struct fiber *fiber, void *stack, size_t stack_bytes, void (*entry)(void *arg), void *arg);
void fiber_fini(struct fiber *fiber); /* not while it runs */
/* Save the running one into `from` and go on with `to`; returns when somebody switches to `from`. */
void fiber_switch(struct fiber *from, struct fiber *to);
/* The same for a fiber that never runs again. */
_Noreturn void fiber_switch_last(struct fiber *from, struct fiber *to);

#endif
