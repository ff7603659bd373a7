/* SPDX-License-Identifier: Apache-2.0
 * Stack switching by jump_fcontext (12 ns a round trip). Why not ucontext: two system calls a switch. Why not our own assembly:
 * Boost's is packaged and tested on every architecture that we care for. */
#include "common/core/fiber.h"
#include "common/base/check.h"
#include "common/base/mem.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) ((void)(start), (void)(end), 0)
#endif

/* The C interface of Boost.Context; its headers are C++. */
struct transfer {
	void *context;
	void *data;
};
extern struct transfer jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *stack_top, size_t size, void (*entry)(struct transfer));

enum { STACKS_PER_SLAB = 16, PAGE_BYTES = 4096 };
#define STACK_CANARY UINT64_C(0x5374726961537461)

struct stack_slab {
	struct stack_slab *next;
	void *base; /* the guard page */
	size_t len;
};

void stack_pool_init(struct stack_pool *pool, size_t stack_bytes)
{
	*pool = (struct stack_pool){.stack_bytes = round_up(stack_bytes, PAGE_BYTES)};
}

void stack_pool_fini(struct stack_pool *pool)
{
	while (pool->slabs != NULL) {
		struct stack_slab *slab = pool->slabs;
		pool->slabs = slab->next;
#ifdef WITH_ASAN
		__asan_unpoison_memory_region(slab->base, slab->len);
#endif
		CHECK(munmap(slab->base, slab->len) == 0);
		mem_free(slab);
	}
	pool->free_stacks = NULL;
}

static void slab_add(struct stack_pool *pool)
{
	struct stack_slab *slab = mem_alloc(sizeof(*slab));
	slab->len = PAGE_BYTES + STACKS_PER_SLAB * pool->stack_bytes;
	slab->base = mmap(NULL, slab->len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	CHECK_MSG(slab->base != MAP_FAILED, "out of memory for task stacks");
#ifdef WITH_ASAN
	__asan_unpoison_memory_region(slab->base, slab->len);
#endif
	CHECK(mprotect(slab->base, PAGE_BYTES, PROT_NONE) == 0);
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (size_t i = STACKS_PER_SLAB; i-- > 0;) {
		char *stack = (char *)slab->base + PAGE_BYTES + i * pool->stack_bytes;
		(void)VALGRIND_STACK_REGISTER(stack, stack + pool->stack_bytes); /* ids are not needed: slabs live as long as the loop */
		stack_put(pool, stack);
	}
}

void *stack_get(struct stack_pool *pool)
{
	if (pool->free_stacks == NULL)
		slab_add(pool);
	void *stack = pool->free_stacks;
	memcpy(&pool->free_stacks, stack, sizeof(void *));
	uint64_t canary = STACK_CANARY;
	memcpy(stack, &canary, sizeof(canary));
	return stack;
}

void stack_put(struct stack_pool *pool, void *stack)
{
#ifdef WITH_ASAN
	__asan_unpoison_memory_region(stack, pool->stack_bytes);
#endif
	memcpy(stack, &pool->free_stacks, sizeof(void *));
	pool->free_stacks = stack;
}

void stack_check(const struct stack_pool *pool, const void *stack)
{
	(void)pool;
	uint64_t canary;
	memcpy(&canary, stack, sizeof(canary));
	CHECK_MSG(canary == STACK_CANARY, "a task ran over the end of its stack");
}

/* What the side that starts to run is told. */
struct handover {
	struct fiber *from, *to;
	void (*entry)(void *arg); /* first switch to a new fiber only */
	void *arg;
};

static void arrived(struct fiber *self, struct transfer transfer, void *fake_stack)
{
	struct handover *handover = transfer.data;
#ifdef WITH_ASAN
	const void *bottom = NULL;
	size_t size = 0;
	__sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
	if (handover->from->stack_bottom == NULL) { /* the thread's own stack: now we know it */
		handover->from->stack_bottom = bottom;
		handover->from->stack_bytes = size;
	}
#else
	(void)fake_stack;
#endif
	handover->from->context = transfer.context;
	self->context = NULL;
}

struct fiber_start {
	void (*entry)(void *arg);
	void *arg;
};

static void trampoline(struct transfer transfer)
{
	struct handover *handover = transfer.data;
	struct fiber *self = handover->to;
	struct fiber_start start;
	memcpy(&start, (const char *)self->stack_bottom + 16, sizeof(start));
	arrived(self, transfer, NULL);
	start.entry(start.arg);
	UNREACHABLE();
}

void fiber_init_thread(struct fiber *fiber)
{
	*fiber = (struct fiber){.is_thread = true};
}

void fiber_init(struct fiber *fiber, void *stack, size_t stack_bytes, void (*entry)(void *arg), void *arg)
{
	struct fiber_start start = {entry, arg};
	*fiber = (struct fiber){.stack_bottom = stack, .stack_bytes = stack_bytes};
	memcpy((char *)stack + 16, &start, sizeof(start)); /* above the canary, read once */
	fiber->context = make_fcontext((char *)stack + stack_bytes, stack_bytes - 64, trampoline);
#ifdef WITH_TSAN
	fiber->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void fiber_fini(struct fiber *fiber)
{
#ifdef WITH_TSAN
	if (fiber->tsan_fiber != NULL)
		__tsan_destroy_fiber(fiber->tsan_fiber);
#endif
	*fiber = (struct fiber){0};
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
	struct handover handover = {.from = from, .to = to};
	void *fake_stack = NULL;
	if (from->is_thread) { /* perhaps another thread than last time: learn anew what it is */
		from->stack_bottom = NULL;
		from->tsan_fiber = NULL;
	}
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(&fake_stack, to->stack_bottom, to->stack_bytes);
#endif
#ifdef WITH_TSAN
	if (from->tsan_fiber == NULL)
		from->tsan_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	struct transfer transfer = jump_fcontext(to->context, &handover);
	arrived(from, transfer, fake_stack);
}

_Noreturn void fiber_switch_last(struct fiber *from, struct fiber *to)
{
	struct handover handover = {.from = from, .to = to};
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(NULL, to->stack_bottom, to->stack_bytes);
#endif
#ifdef WITH_TSAN
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)jump_fcontext(to->context, &handover);
	UNREACHABLE();
}
