/* SPDX-License-Identifier: Apache-2.0
 * The ring: `head` is written by the consumer alone, `tail` by the producer alone, each on a cache line of its own. The flag
 * `sleeping` needs sequential consistency: either the producer sees it after its push, or the consumer sees the push after setting it. */
#include "common/core/mbox.h"
#include "common/base/check.h"
#include "common/base/mem.h"

#include <stdatomic.h>

enum { CACHE_LINE_BYTES = 64, CAPACITY_MAX = 1 << 20, ITEM_BYTES_MAX = 4096 };

struct mbox {
	size_t mask, item_bytes;
	void (*notify)(void *ctx);
	void *notify_ctx;
	uint8_t *items;
	_Alignas(CACHE_LINE_BYTES) atomic_size_t head; /* items taken so far */
	_Alignas(CACHE_LINE_BYTES) atomic_size_t tail; /* items put so far */
	_Alignas(CACHE_LINE_BYTES) atomic_bool sleeping;
};

struct mbox *mbox_new(size_t capacity, size_t item_bytes, void (*notify)(void *ctx), void *notify_ctx)
{
	CHECK(capacity >= 1 && capacity <= CAPACITY_MAX && item_bytes >= 1 && item_bytes <= ITEM_BYTES_MAX);
	size_t slots = 1;
	while (slots < capacity)
		slots *= 2;
	struct mbox *mbox = mem_alloc_aligned(CACHE_LINE_BYTES, sizeof(*mbox));
	mbox->mask = slots - 1;
	mbox->item_bytes = item_bytes;
	mbox->notify = notify;
	mbox->notify_ctx = notify_ctx;
	mbox->items = mem_alloc(slots * item_bytes);
	atomic_init(&mbox->head, 0);
	atomic_init(&mbox->tail, 0);
	atomic_init(&mbox->sleeping, false);
	return mbox;
}

void mbox_free(struct mbox *mbox)
{
	if (mbox == NULL)
		return;
	mem_free(mbox->items);
	mem_free(mbox);
}

bool mbox_push(struct mbox *mbox, const void *item)
{
	size_t tail = atomic_load_explicit(&mbox->tail, memory_order_relaxed);
	size_t head = atomic_load_explicit(&mbox->head, memory_order_acquire);
	if (tail - head > mbox->mask)
		return false;
	memcpy(mbox->items + (tail & mbox->mask) * mbox->item_bytes, item, mbox->item_bytes);
	atomic_store(&mbox->tail, tail + 1);
	if (atomic_load(&mbox->sleeping) && atomic_exchange(&mbox->sleeping, false) && mbox->notify != NULL)
		mbox->notify(mbox->notify_ctx);
	return true;
}

bool mbox_pop(struct mbox *mbox, void *ret_item)
{
	size_t head = atomic_load_explicit(&mbox->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&mbox->tail, memory_order_acquire);
	if (head == tail)
		return false;
	memcpy(ret_item, mbox->items + (head & mbox->mask) * mbox->item_bytes, mbox->item_bytes);
	atomic_store_explicit(&mbox->head, head + 1, memory_order_release);
	return true;
}

bool mbox_prepare_sleep(struct mbox *mbox)
{
	atomic_store(&mbox->sleeping, true);
	if (atomic_load(&mbox->tail) == atomic_load_explicit(&mbox->head, memory_order_relaxed))
		return true;
	atomic_store(&mbox->sleeping, false);
	return false;
}
