/* SPDX-License-Identifier: Apache-2.0
 * File locks of all clients: who holds which ranges of which inode, who waits, and who waits for whom.
 *
 * Pure: it never parks, knows no session and sends nothing. Locks of flock are a world of their own; those of fcntl, POSIX and OFD, exclude
 * each other. Locks are in memory only; after a restart clients say what they held. A lock is its (client, owner)'s: that owner's own locks are
 * never in its way, and what it locks anew replaces what it had there.
 *
 * Waiters of an inode are served in order of arrival. A request that nothing held is in the way of is granted at once, though others wait:
 * as in Linux; to hold it back could make processes that depend on each other wait for ever. */
#ifndef STRIA_MDS_LOCK_H
#define STRIA_MDS_LOCK_H

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/cluster/ranges.h"

enum { LOCKS_PER_CLIENT_MAX = 65536 }; /* ranges held and requests that wait */

/* What somebody wants, or has. */
struct lock_want {
	struct ino ino;
	uint64_t client, owner;
	uint8_t kind, type; /* enum lock_kind, lock_type */
	uint64_t start, end;
	uint32_t pid;
	uint64_t waiter;    /* 0: it does not wait; else the client's name for the request */
	bool keeps;         /* for reading: what its owner has locked for writing stays so */
};
/* A request that waits, or has been granted and whose client has not said that it knows. */
struct lock_wait {
	struct map_node node;         /* locks.waits */
	struct list_node queue_link;  /* lock_inode.queue; not linked: granted */
	struct list_node client_link; /* lock_client.waits */
	struct list_node visit_link;  /* while deadlocks are looked for */
	struct lock_inode *inode;     /* while it is queued */
	struct lock_client *client;   /* NULL: it is gone; whoever was told of the grant frees it */
	struct lock_want want;
	uint64_t change;              /* of its grant; 0: it waits */
	uint64_t visit;               /* locks.visits of the last search that came by */
};
struct locks {
	struct map inodes;   /* struct lock_inode: those with locks or waiters */
	struct map clients;  /* struct lock_client: likewise */
	struct map waits;
	uint64_t changes;    /* numbers them; set to begin above those of an earlier boot */
	uint64_t visits;
	uint32_t per_client_max;
	/* A request that waited is granted. Its client has to be told: from here on `wait` is the callee's, until locks_told. Must not call back. */
	void (*granted)(void *ctx, struct lock_wait *wait);
	void *ctx;
	uint64_t held_count, wait_count;
};

void locks_init(struct locks *locks, uint64_t first_change, void (*granted)(void *ctx, struct lock_wait *wait), void *ctx);
void locks_fini(struct locks *locks);

/* Lock or unlock. enum lock_result: LOCK_GRANTED with the number of the change, LOCK_QUEUED with that of the last one. The same waiter again: as
 * it stands.
 * Errors: EAGAIN (somebody is in the way and it does not wait), EDEADLK (who is in the way waits for this owner; POSIX only), ENOLCK (limit).
 * flock as Linux has it: what is converted is given up first, whatever comes of the rest. */
int locks_set(struct locks *locks, const struct lock_want *want, uint64_t *ret_change);
/* The client's request waits no longer: LOCK_WITHDRAWN, also if there is none; LOCK_GRANTED with its change: it is too late, the lock is held. */
int locks_withdraw(struct locks *locks, uint64_t client, uint64_t waiter, uint64_t *ret_change);
/* The client knows of the grant, or is gone. Frees it. */
void locks_told(struct locks *locks, struct lock_wait *wait);
/* The lock that is in the way of one (want's pid and waiter do not count). False: none. */
bool locks_test(const struct locks *locks, const struct lock_want *want, struct lock_want *ret_holder);
/* Locks of before a restart. False: another client's is in the way. */
bool locks_restore(struct locks *locks, const struct lock_want *want);
/* All that a client holds and waits for. */
void locks_drop_client(struct locks *locks, uint64_t client);
/* Ranges that a client holds, and requests that wait. */
uint64_t locks_count_of(const struct locks *locks, uint64_t client);
/* What is held, then who waits, in order of arrival; until visit returns false. False: it did. */
bool locks_each(const struct locks *locks, struct ino ino, bool (*visit)(void *ctx, const struct lock_want *lock, bool waits), void *ctx);

#endif
