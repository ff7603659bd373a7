/* SPDX-License-Identifier: Apache-2.0
 * The allocator behind everything. The heap list costs 32 bytes an allocation, in the simulator only. */
#define STRIA_ALLOW_MALLOC
#include "common/base/mem.h"
#include "common/base/check.h"
#include "common/base/list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Before each allocation: which heap it belongs to (NULL: none), so that mem_free works whoever runs. */
struct mem_header {
	struct list_node link;
	struct mem_heap *heap;
	void *raw; /* what free() wants */
	size_t len;
	uint64_t pad;
};
_Static_assert(sizeof(struct mem_header) % 16 == 0, "keeps malloc's alignment");

struct mem_heap {
	struct list allocations;
	size_t bytes;
};

static struct mem_heap *current_heap; /* set by the simulator only, which has one thread */

struct mem_heap *mem_heap_new(void)
{
	struct mem_heap *heap = calloc(1, sizeof(*heap));
	CHECK(heap != NULL);
	list_init(&heap->allocations);
	return heap;
}

void mem_heap_free(struct mem_heap *heap)
{
	if (heap == NULL)
		return;
	struct list_node *node;
	while ((node = list_pop_front(&heap->allocations)) != NULL)
		free(CONTAINER_OF(node, struct mem_header, link)->raw);
	if (current_heap == heap)
		current_heap = NULL;
	free(heap);
}

struct mem_heap *mem_heap_set(struct mem_heap *heap)
{
	struct mem_heap *before = current_heap;
	current_heap = heap;
	return before;
}

size_t mem_heap_bytes(const struct mem_heap *heap)
{
	return heap->bytes;
}

static void *header_install(void *raw, size_t lead, size_t len)
{
	struct mem_header *header = (struct mem_header *)(void *)((char *)raw + lead - sizeof(*header));
	header->heap = current_heap;
	header->raw = raw;
	header->len = len;
	list_node_init(&header->link);
	if (current_heap != NULL) {
		list_push_back(&current_heap->allocations, &header->link);
		current_heap->bytes += len;
	}
	return header + 1;
}

void *mem_alloc(size_t len)
{
	void *raw = calloc(1, sizeof(struct mem_header) + len);
	CHECK_MSG(raw != NULL, "out of memory");
	return header_install(raw, sizeof(struct mem_header), len);
}

/* Not zeroed: for what is overwritten at once. */
static void *alloc_raw(size_t len)
{
	void *raw = malloc(sizeof(struct mem_header) + len);
	CHECK_MSG(raw != NULL, "out of memory");
	return header_install(raw, sizeof(struct mem_header), len);
}

void *mem_alloc_aligned(size_t align, size_t len)
{
	size_t lead = round_up(sizeof(struct mem_header), align);
	void *raw = NULL;
	CHECK_MSG(posix_memalign(&raw, align < 16 ? 16 : align, lead + len) == 0, "out of memory");
	return header_install(raw, lead, len);
}

void mem_free(void *ptr)
{
	if (ptr == NULL)
		return;
	struct mem_header *header = (struct mem_header *)ptr - 1;
	if (header->heap != NULL) {
		list_remove(&header->link);
		header->heap->bytes -= header->len;
	}
	free(header->raw);
}

void *mem_realloc(void *ptr, size_t len)
{
	void *grown = alloc_raw(len);
	if (ptr != NULL) {
		size_t old = ((struct mem_header *)ptr - 1)->len;
		memcpy(grown, ptr, old < len ? old : len);
		mem_free(ptr);
	}
	return grown;
}

void *mem_dup(const void *ptr, size_t len)
{
	void *copy = alloc_raw(len);
	if (len > 0)
		memcpy(copy, ptr, len);
	return copy;
}

char *mem_strdup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

struct arena_block {
	struct arena_block *older;
	size_t size;
	_Alignas(16) uint8_t bytes[];
};

enum { ARENA_BLOCK_BYTES = 4096 - 64 };

void arena_init(struct arena *arena)
{
	*arena = (struct arena){0};
}

void arena_fini(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *older = arena->blocks->older;
		mem_free(arena->blocks);
		arena->blocks = older;
	}
	arena->used = arena->size = 0;
}

void arena_clear(struct arena *arena)
{
	arena_fini(arena);
}

static void *arena_take(struct arena *arena, size_t len)
{
	len = round_up(len == 0 ? 1 : len, 16);
	if (arena->size - arena->used < len) {
		size_t size = max_u64(len, ARENA_BLOCK_BYTES);
		struct arena_block *block = alloc_raw(sizeof(*block) + size);
		block->older = arena->blocks;
		block->size = size;
		arena->blocks = block;
		arena->used = 0;
		arena->size = size;
	}
	void *ptr = arena->blocks->bytes + arena->used;
	arena->used += len;
	return ptr;
}

void *arena_alloc(struct arena *arena, size_t len)
{
	return memset(arena_take(arena, len), 0, len);
}

void *arena_dup(struct arena *arena, const void *ptr, size_t len)
{
	void *copy = arena_take(arena, len);
	if (len > 0)
		memcpy(copy, ptr, len);
	return copy;
}

struct str arena_str(struct arena *arena, struct str text)
{
	return (struct str){arena_dup(arena, text.ptr, text.len), text.len};
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	CHECK(len >= 0);
	char *text = arena_alloc(arena, (size_t)len + 1);
	(void)vsnprintf(text, (size_t)len + 1, format, again); /* sized by the call above */
	va_end(again);
	return text;
}
