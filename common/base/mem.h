/* SPDX-License-Identifier: Apache-2.0
 * Memory: the process's allocator, arenas, and scope-bound cleanup.
 *
 * Everything that mds, oss, client and the runtime allocate comes from here, never from malloc directly: the simulator
 * charges it to the simulated process that runs, and a simulated crash gives all of it back at once. In real daemons no heap is set and
 * this is plain malloc. Running out of memory stops the process (CHECK): what must not grow without bound has a limit of its own. */
#ifndef STRIA_BASE_MEM_H
#define STRIA_BASE_MEM_H

#include "common/base/bytes.h"

/* All allocations of one simulated process. Only the simulator uses it, and only on one thread. */
struct mem_heap;
struct mem_heap *mem_heap_new(void);
void mem_heap_free(struct mem_heap *heap);          /* frees what is still allocated from it */
struct mem_heap *mem_heap_set(struct mem_heap *heap); /* NULL: plain malloc; returns the one before */
size_t mem_heap_bytes(const struct mem_heap *heap);

/* Zeroed; owned by the caller; never NULL (CHECK). */
void *mem_alloc(size_t len);
void *mem_realloc(void *ptr, size_t len); /* a grown tail is not zeroed */
void mem_free(void *ptr);                 /* NULL is fine */
void *mem_dup(const void *ptr, size_t len);
char *mem_strdup(const char *text);
/* Aligned to `align` (a power of two, 8 at least), not zeroed; freed with mem_free. */
void *mem_alloc_aligned(size_t align, size_t len);

/* An arena: many small allocations that die together. Grows by blocks, no limit of its own: its user has one. */
struct arena_block;
struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used, size;          /* bytes in the newest block */
};
void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);  /* safe on a zeroed one */
void arena_clear(struct arena *arena); /* empty and reusable */
/* Zeroed, 16-byte aligned, borrowed until the arena is cleared; never NULL. */
void *arena_alloc(struct arena *arena, size_t len);
void *arena_dup(struct arena *arena, const void *ptr, size_t len);
struct str arena_str(struct arena *arena, struct str text);
/* printf into the arena; NUL-terminated. */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* CLEANUP(free_p) char *s = …: freed at the end of the scope, unless TAKE(s) moved it out. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
static inline void free_p(void *pp)
{
	void *ptr;
	memcpy(&ptr, pp, sizeof(ptr));
	mem_free(ptr);
}
#define TAKE(var)                          \
	({                                 \
		__auto_type taken_ = (var); \
		(var) = NULL;              \
		taken_;                    \
	})

#endif
