/* SPDX-License-Identifier: Apache-2.0
 * Locks by inode and owner, queues of waiters, the search for deadlocks. */
#include "mds/lock.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"

struct lock_inode {
	struct map_node node;
	struct ino ino;
	struct list owners; /* struct lock_owner: those that hold something */
	struct list queue;  /* lock_wait.queue_link, in order of arrival */
	struct list_node lost_link; /* while a client's locks are dropped: it has lost one */
	uint32_t users;     /* functions that work on it */
};
struct lock_client {
	struct map_node node;
	uint64_t client;
	struct list owners; /* lock_owner.client_link */
	struct list waits;
	uint64_t count;     /* ranges and waits */
};
/* One (client, owner) on one inode. */
struct lock_owner {
	struct list_node inode_link, client_link;
	struct lock_inode *inode;
	struct lock_client *client;
	uint64_t owner;
	uint8_t kind;   /* of what it asked last */
	uint32_t pid;
	struct ranges held;
};

void locks_init(struct locks *locks, uint64_t first_change, void (*granted)(void *ctx, struct lock_wait *wait), void *ctx)
{
	*locks = (struct locks){.changes = first_change, .per_client_max = LOCKS_PER_CLIENT_MAX, .granted = granted, .ctx = ctx};
	map_init(&locks->inodes);
	map_init(&locks->clients);
	map_init(&locks->waits);
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

static bool is_flock(uint8_t kind)
{
	return kind == LOCK_KIND_FLOCK;
}

static struct lock_inode *inode_find(const struct locks *locks, struct ino ino)
{
	struct map_node *node = map_first(&locks->inodes, map_hash_u64(ino.v));
	return node != NULL ? CONTAINER_OF(node, struct lock_inode, node) : NULL;
}

static struct lock_inode *inode_need(struct locks *locks, struct ino ino)
{
	struct lock_inode *inode = inode_find(locks, ino);
	if (inode != NULL)
		return inode;
	inode = mem_alloc(sizeof(*inode));
	inode->ino = ino;
	list_init(&inode->owners);
	list_init(&inode->queue);
	list_node_init(&inode->lost_link);
	map_insert(&locks->inodes, &inode->node, map_hash_u64(ino.v));
	return inode;
}

static void inode_settle(struct locks *locks, struct lock_inode *inode)
{
	if (inode->users > 0 || !list_is_empty(&inode->owners) || !list_is_empty(&inode->queue))
		return;
	map_remove(&locks->inodes, &inode->node);
	mem_free(inode);
}

static struct lock_client *client_find(const struct locks *locks, uint64_t client)
{
	struct map_node *node = map_first(&locks->clients, map_hash_u64(client));
	return node != NULL ? CONTAINER_OF(node, struct lock_client, node) : NULL;
}

static struct lock_client *client_need(struct locks *locks, uint64_t number)
{
	struct lock_client *client = client_find(locks, number);
	if (client != NULL)
		return client;
	client = mem_alloc(sizeof(*client));
	client->client = number;
	list_init(&client->owners);
	list_init(&client->waits);
	map_insert(&locks->clients, &client->node, map_hash_u64(number));
	return client;
}

static void client_settle(struct locks *locks, struct lock_client *client)
{
	if (!list_is_empty(&client->owners) || !list_is_empty(&client->waits))
		return;
	map_remove(&locks->clients, &client->node);
	mem_free(client);
}

static bool is_owner(const struct lock_owner *owner, const struct lock_want *want)
{
	return owner->client->client == want->client && owner->owner == want->owner && is_flock(owner->kind) == is_flock(want->kind);
}

static struct lock_owner *owner_find(const struct lock_inode *inode, const struct lock_want *want)
{
	list_for_each(link, &inode->owners) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, inode_link);
		if (is_owner(owner, want))
			return owner;
	}
	return NULL;
}

static uint64_t wait_hash(uint64_t client, uint64_t waiter)
{
	return map_hash_u64(map_hash_u64(client) ^ waiter);
}

static struct lock_wait *wait_find(const struct locks *locks, uint64_t client, uint64_t waiter)
{
	for (struct map_node *node = map_first(&locks->waits, wait_hash(client, waiter)); node != NULL; node = map_next(node)) {
		struct lock_wait *wait = CONTAINER_OF(node, struct lock_wait, node);
		if (wait->want.client == client && wait->want.waiter == waiter)
			return wait;
	}
	return NULL;
}

/* The next owner after `after` (NULL: the first) whose locks are in the way. */
static struct lock_owner *next_in_the_way(const struct lock_inode *inode, const struct lock_want *want, struct lock_owner *after,
					  struct range *ret_range)
{
	struct list_node *link = after != NULL ? after->inode_link.next : inode->owners.head.next;
	for (; link != &inode->owners.head; link = link->next) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, inode_link);
		if (is_flock(owner->kind) == is_flock(want->kind) && !is_owner(owner, want) &&
		    ranges_conflict(&owner->held, want->start, want->end, want->type, ret_range))
			return owner;
	}
	return NULL;
}

/* ---- holding --------------------------------------------------------------------------------------------------- */

/* Make the range of the owner's what it wants. Never fails: whoever calls has looked. */
static uint64_t hold(struct locks *locks, struct lock_inode *inode, const struct lock_want *want)
{
	struct lock_owner *owner = owner_find(inode, want);
	if (owner == NULL && want->type == LOCK_TYPE_NONE)
		return ++locks->changes;
	if (owner == NULL) {
		owner = mem_alloc(sizeof(*owner));
		owner->inode = inode;
		owner->client = client_need(locks, want->client);
		owner->owner = want->owner;
		list_push_back(&inode->owners, &owner->inode_link);
		list_push_back(&owner->client->owners, &owner->client_link);
	}
	if (want->type != LOCK_TYPE_NONE) {
		owner->kind = want->kind;
		owner->pid = want->pid;
	}
	size_t before = owner->held.count;
	if (want->keeps)
		ranges_strengthen(&owner->held, want->start, want->end, want->type, 0);
	else
		ranges_set(&owner->held, want->start, want->end, want->type, 0);
	owner->client->count += owner->held.count - before;
	locks->held_count += owner->held.count - before;
	if (owner->held.count == 0) {
		struct lock_client *client = owner->client;
		list_remove(&owner->inode_link);
		list_remove(&owner->client_link);
		ranges_fini(&owner->held);
		mem_free(owner);
		client_settle(locks, client);
	}
	return ++locks->changes;
}

static void wait_free(struct locks *locks, struct lock_wait *wait)
{
	struct lock_client *client = wait->client;
	map_remove(&locks->waits, &wait->node);
	list_remove(&wait->client_link);
	list_remove(&wait->queue_link);
	client->count--;
	locks->wait_count--;
	mem_free(wait);
	client_settle(locks, client);
}

/* Something was given up: whoever can go on does, in order of arrival. A grant may weaken what its owner held, so it begins anew after each. */
static void serve_queue(struct locks *locks, struct lock_inode *inode)
{
	for (struct list_node *link = inode->queue.head.next; link != &inode->queue.head;) {
		struct lock_wait *wait = CONTAINER_OF(link, struct lock_wait, queue_link);
		link = link->next;
		if (next_in_the_way(inode, &wait->want, NULL, NULL) != NULL)
			continue;
		list_remove(&wait->queue_link);
		wait->inode = NULL;
		wait->change = hold(locks, inode, &wait->want);
		locks->granted(locks->ctx, wait);
		link = inode->queue.head.next;
	}
}

/* ---- deadlocks ------------------------------------------------------------------------------------------------- */

/* The waits of an owner that is in the way, and that nobody has looked at yet. */
static void visit_waits(struct locks *locks, const struct lock_owner *owner, struct list *to_visit)
{
	list_for_each(link, &owner->client->waits) {
		struct lock_wait *wait = CONTAINER_OF(link, struct lock_wait, client_link);
		if (wait->change != 0 || wait->want.kind != LOCK_KIND_POSIX || wait->want.owner != owner->owner || wait->visit == locks->visits)
			continue;
		wait->visit = locks->visits;
		list_push_back(to_visit, &wait->visit_link);
	}
}

/* Does somebody for whom `want` would wait wait for its owner, however indirectly? */
static bool would_deadlock(struct locks *locks, const struct lock_inode *inode, const struct lock_want *want)
{
	struct list to_visit;
	list_init(&to_visit);
	locks->visits++;
	const struct lock_want *at = want;
	bool found = false;
	for (;;) {
		struct lock_owner *owner = NULL;
		while (!found && (owner = next_in_the_way(inode, at, owner, NULL)) != NULL) {
			if (owner->kind != LOCK_KIND_POSIX)
				continue;
			found = owner->client->client == want->client && owner->owner == want->owner;
			visit_waits(locks, owner, &to_visit);
		}
		struct list_node *link = list_pop_front(&to_visit);
		if (link == NULL)
			return found;
		const struct lock_wait *wait = CONTAINER_OF(link, struct lock_wait, visit_link);
		inode = wait->inode;
		at = &wait->want;
	}
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

uint64_t locks_count_of(const struct locks *locks, uint64_t number)
{
	const struct lock_client *client = client_find(locks, number);
	return client != NULL ? client->count : 0;
}

static int queue(struct locks *locks, struct lock_inode *inode, const struct lock_want *want, uint64_t *ret_change)
{
	struct lock_wait *wait = mem_alloc(sizeof(*wait));
	wait->want = *want;
	wait->inode = inode;
	wait->client = client_need(locks, want->client);
	wait->client->count++;
	locks->wait_count++;
	map_insert(&locks->waits, &wait->node, wait_hash(want->client, want->waiter));
	list_push_back(&wait->client->waits, &wait->client_link);
	list_push_back(&inode->queue, &wait->queue_link);
	list_node_init(&wait->visit_link);
	*ret_change = locks->changes;
	return LOCK_QUEUED;
}

/* Converting a lock of flock: the old one goes first, and those who wait for it have their turn. */
static void give_up_to_convert(struct locks *locks, struct lock_inode *inode, const struct lock_want *want)
{
	const struct lock_owner *owner = owner_find(inode, want);
	if (!is_flock(want->kind) || owner == NULL || ranges_run(&owner->held, 0, 0).type == want->type)
		return;
	struct lock_want none = *want;
	none.type = LOCK_TYPE_NONE;
	(void)hold(locks, inode, &none);
	serve_queue(locks, inode);
}

static int set_in(struct locks *locks, struct lock_inode *inode, const struct lock_want *want, uint64_t *ret_change)
{
	/* Unlocking the middle of a range makes two: the limit for that is further away, so that who is at the limit can give up. */
	uint64_t limit = (uint64_t)locks->per_client_max * (want->type == LOCK_TYPE_NONE ? 2 : 1);
	if (locks_count_of(locks, want->client) >= limit && !(want->type == LOCK_TYPE_NONE && want->start == 0 && want->end == UINT64_MAX))
		return fail(ENOLCK);
	give_up_to_convert(locks, inode, want);
	if (want->type != LOCK_TYPE_NONE && next_in_the_way(inode, want, NULL, NULL) != NULL) {
		if (want->waiter == 0)
			return fail(EAGAIN);
		if (want->kind == LOCK_KIND_POSIX && would_deadlock(locks, inode, want))
			return fail(EDEADLK);
		return queue(locks, inode, want, ret_change);
	}
	*ret_change = hold(locks, inode, want);
	serve_queue(locks, inode);
	return LOCK_GRANTED;
}

int locks_set(struct locks *locks, const struct lock_want *want, uint64_t *ret_change)
{
	const struct lock_wait *wait = want->waiter != 0 ? wait_find(locks, want->client, want->waiter) : NULL;
	if (wait != NULL) {
		*ret_change = wait->change != 0 ? wait->change : locks->changes;
		return wait->change != 0 ? LOCK_GRANTED : LOCK_QUEUED;
	}
	struct lock_inode *inode = inode_need(locks, want->ino);
	inode->users++;
	int rc = set_in(locks, inode, want, ret_change);
	inode->users--;
	inode_settle(locks, inode);
	return rc;
}

int locks_withdraw(struct locks *locks, uint64_t client, uint64_t waiter, uint64_t *ret_change)
{
	struct lock_wait *wait = wait_find(locks, client, waiter);
	if (wait == NULL)
		return LOCK_WITHDRAWN;
	if (wait->change != 0) {
		*ret_change = wait->change;
		return LOCK_GRANTED;
	}
	struct lock_inode *inode = wait->inode;
	wait_free(locks, wait);
	inode_settle(locks, inode);
	return LOCK_WITHDRAWN;
}

void locks_told(struct locks *locks, struct lock_wait *wait)
{
	if (wait->client != NULL)
		wait_free(locks, wait);
	else
		mem_free(wait);
}

bool locks_test(const struct locks *locks, const struct lock_want *want, struct lock_want *ret_holder)
{
	const struct lock_inode *inode = inode_find(locks, want->ino);
	struct range range;
	const struct lock_owner *owner = inode != NULL ? next_in_the_way(inode, want, NULL, &range) : NULL;
	if (owner == NULL)
		return false;
	*ret_holder = (struct lock_want){
		.ino = want->ino,
		.client = owner->client->client,
		.owner = owner->owner,
		.kind = owner->kind,
		.type = range.type,
		.start = range.start,
		.end = range.end,
		.pid = owner->pid,
	};
	return true;
}

bool locks_restore(struct locks *locks, const struct lock_want *want)
{
	struct lock_inode *inode = inode_need(locks, want->ino);
	bool is_free = next_in_the_way(inode, want, NULL, NULL) == NULL;
	if (is_free)
		(void)hold(locks, inode, want);
	inode_settle(locks, inode);
	return is_free;
}

/* ---- the end of a client --------------------------------------------------------------------------------------- */

static void drop_waits(struct locks *locks, struct lock_client *client)
{
	list_for_each_safe(link, tmp, &client->waits) {
		struct lock_wait *wait = CONTAINER_OF(link, struct lock_wait, client_link);
		if (wait->change == 0) {
			struct lock_inode *inode = wait->inode;
			list_remove(&wait->queue_link);
			inode_settle(locks, inode);
		}
		map_remove(&locks->waits, &wait->node);
		list_remove(&wait->client_link);
		client->count--;
		locks->wait_count--;
		wait->client = NULL;
		if (wait->change == 0)
			mem_free(wait);
	}
}

void locks_drop_client(struct locks *locks, uint64_t number)
{
	struct lock_client *client = client_find(locks, number);
	struct list lost;
	struct list_node *link;
	list_init(&lost);
	if (client == NULL)
		return;
	drop_waits(locks, client);
	if (list_is_empty(&client->owners))
		client_settle(locks, client);
	while ((client = client_find(locks, number)) != NULL) {
		const struct lock_owner *owner = CONTAINER_OF(list_first(&client->owners), struct lock_owner, client_link);
		struct lock_inode *inode = owner->inode;
		struct lock_want none = {.ino = inode->ino, .client = number, .owner = owner->owner, .kind = owner->kind, .end = UINT64_MAX};
		if (!list_node_is_linked(&inode->lost_link))
			list_push_back(&lost, &inode->lost_link);
		(void)hold(locks, inode, &none); /* the client goes with its last owner */
	}
	/* All at once, so that who came first is served first. */
	while ((link = list_pop_front(&lost)) != NULL) {
		struct lock_inode *inode = CONTAINER_OF(link, struct lock_inode, lost_link);
		serve_queue(locks, inode);
		inode_settle(locks, inode);
	}
}

static void inode_free(struct locks *locks, struct lock_inode *inode)
{
	struct list_node *link;
	while ((link = list_first(&inode->owners)) != NULL) {
		const struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, inode_link);
		(void)hold(locks, inode, &(struct lock_want){.ino = inode->ino, .client = owner->client->client, .owner = owner->owner,
							      .kind = owner->kind, .end = UINT64_MAX});
	}
	while ((link = list_first(&inode->queue)) != NULL)
		wait_free(locks, CONTAINER_OF(link, struct lock_wait, queue_link));
	inode_settle(locks, inode);
}

void locks_fini(struct locks *locks)
{
	struct map_iter iter = map_iter_begin(&locks->inodes);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		inode_free(locks, CONTAINER_OF(node, struct lock_inode, node));
	iter = map_iter_begin(&locks->waits);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		wait_free(locks, CONTAINER_OF(node, struct lock_wait, node)); /* granted, and nobody will be told any more */
	map_fini(&locks->inodes);
	map_fini(&locks->clients);
	map_fini(&locks->waits);
}

/* ---- telling --------------------------------------------------------------------------------------------------- */

static bool each_held(const struct lock_owner *owner, bool (*visit)(void *ctx, const struct lock_want *lock, bool waits), void *ctx)
{
	for (size_t i = 0; i < owner->held.count; i++) {
		const struct range *range = &owner->held.at[i];
		struct lock_want lock = {
			.ino = owner->inode->ino,
			.client = owner->client->client,
			.owner = owner->owner,
			.kind = owner->kind,
			.type = range->type,
			.start = range->start,
			.end = range->end,
			.pid = owner->pid,
		};
		if (!visit(ctx, &lock, false))
			return false;
	}
	return true;
}

bool locks_each(const struct locks *locks, struct ino ino, bool (*visit)(void *ctx, const struct lock_want *lock, bool waits), void *ctx)
{
	const struct lock_inode *inode = inode_find(locks, ino);
	if (inode == NULL)
		return true;
	list_for_each(link, &inode->owners)
		if (!each_held(CONTAINER_OF(link, struct lock_owner, inode_link), visit, ctx))
			return false;
	list_for_each(link, &inode->queue)
		if (!visit(ctx, &CONTAINER_OF(link, struct lock_wait, queue_link)->want, true))
			return false;
	return true;
}
