/* SPDX-License-Identifier: Apache-2.0
 * A mailbox: a bounded ring of fixed-size items from one producer thread to one consumer thread, without locks.
 * It owns the ring; it must never block, and it knows nothing of files or threads: how a sleeping consumer is woken is the
 * creator's business (`notify`; common/io uses an eventfd). */
#ifndef STRIA_CORE_MBOX_H
#define STRIA_CORE_MBOX_H

#include "common/base/bytes.h"

struct mbox;

/* A mailbox for `capacity` (1 to 2^20, rounded up to a power of two) items of `item_bytes` (1 to 4096) each. Owned by the caller.
 *   notify    called on the producer's thread when the consumer said that it sleeps; NULL: nobody is woken
 * Does not park. */
struct mbox *mbox_new(size_t capacity, size_t item_bytes, void (*notify)(void *ctx), void *notify_ctx);
void mbox_free(struct mbox *mbox); /* both sides have stopped using it; NULL is fine */

/* Producer: copy one item in. False: full, nothing changed. Does not park. */
bool mbox_push(struct mbox *mbox, const void *item);
/* Consumer: copy the oldest item out. False: empty, *ret_item untouched. Does not park. */
bool mbox_pop(struct mbox *mbox, void *ret_item);
/* Consumer: about to sleep; from now on the next push notifies, once. False: something is there, do not sleep. */
bool mbox_prepare_sleep(struct mbox *mbox);

#endif
