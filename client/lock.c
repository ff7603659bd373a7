/* SPDX-License-Identifier: Apache-2.0
 * File locks: what this mount's owners (processes, open file descriptions) hold, and what they have asked the MDT for.
 *
 * The MDT decides; here is remembered what it granted, for a restarted MDT is told. An owner's requests for one inode go out one at a time, but
 * those that wait are queued at the MDT meanwhile and come back as lock_granted, at any time: changes are numbered, so that news that come out
 * of order leave things as the MDT has them. A request has a task of its own that ends only when it is known what became of it; whoever asked
 * may leave earlier, interrupted: then the request is withdrawn, and a grant that has crossed this is given back. */
#include "client/client_impl.h"
#include "common/cluster/ranges.h"
#include "proto/rows.h"

#define ASK_AGAIN_NS (5 * NS_PER_MS)

struct lock_owner {
	struct list_node link;      /* client.lock_owners */
	struct list_node node_link; /* node.lock_owners */
	struct client *client;
	struct node *node;          /* one user of it is ours */
	uint64_t owner;
	uint8_t kind;               /* enum lock_kind, of the last request */
	uint32_t pid;
	const struct client_file *file; /* through which the last request came; NULL: it is closed. Compared, never followed */
	struct ranges held;
	struct list requests;       /* lock_request.link, in order of arrival */
	uint64_t tickets, turn;     /* given out; whose turn it is */
	struct waitq turns;
	bool is_uncertain;          /* the MDT may have locks of it that we do not know */
};
struct lock_request {
	struct list_node link;
	struct lock_owner *owner;
	struct task *asker;    /* waits for it; NULL: nobody, or not any more */
	struct waitq changed;  /* its task sleeps here while it is queued */
	uint8_t kind, type;
	bool waits;
	bool drops;            /* all that the owner has, because a file was closed: happens whether or not anybody waits */
	uint64_t start, end;
	uint64_t waiter;       /* names it at the MDT */
	uint64_t queued_boot;  /* of the MDT where it is queued; 0: nowhere */
	uint64_t change;       /* of its grant; 0: not granted */
	bool sent;             /* the MDT may have it */
	bool weakens;          /* under way to it: the range becomes no more than `type`, which can not fail */
	bool lost;             /* we were evicted since */
	bool over;
	int rc;
};

/* ---- owners ---------------------------------------------------------------------------------------------------- */

static bool is_flock(uint8_t kind)
{
	return kind == LOCK_KIND_FLOCK;
}

static struct lock_owner *owner_find(const struct node *node, uint64_t number, bool flock)
{
	list_for_each(link, &node->lock_owners) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, node_link);
		if (owner->owner == number && is_flock(owner->kind) == flock)
			return owner;
	}
	return NULL;
}

static struct lock_owner *owner_need(struct client *client, struct node *node, uint64_t number, uint8_t kind)
{
	struct lock_owner *owner = owner_find(node, number, is_flock(kind));
	if (owner != NULL)
		return owner;
	owner = mem_alloc(sizeof(*owner));
	owner->client = client;
	owner->node = node;
	owner->owner = number;
	owner->kind = kind;
	list_init(&owner->requests);
	waitq_init(&owner->turns);
	node->users++;
	list_push_back(&client->lock_owners, &owner->link);
	list_push_back(&node->lock_owners, &owner->node_link);
	return owner;
}

static void owner_free(struct lock_owner *owner)
{
	list_remove(&owner->link);
	list_remove(&owner->node_link);
	ranges_fini(&owner->held);
	node_put(owner->client, owner->node);
	mem_free(owner);
}

static void owner_settle(struct lock_owner *owner)
{
	if (!list_is_empty(&owner->requests))
		return;
	ranges_forget_changes(&owner->held);
	if (owner->held.count == 0 && !owner->is_uncertain)
		owner_free(owner);
}

/* Strictly in order of arrival. Parks. */
static void turn_take(struct lock_owner *owner)
{
	uint64_t ticket = owner->tickets++;
	while (owner->turn != ticket)
		(void)waitq_wait(&owner->turns, client_loop(owner->client), UINT64_MAX); /* whoever has the turn gives it */
}

static void turn_give(struct lock_owner *owner)
{
	owner->turn++;
	waitq_wake_all(&owner->turns);
}

static uint64_t boot_of(const struct lock_owner *owner)
{
	return session_target_boot(owner->client, TARGET_MDT, cmap_mdt_of(owner->client->map, owner->node->ino));
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct lock_request *request)
{
	return (request->asker != NULL || request->drops) && !request->lost && !request->owner->client->ended &&
	       (request->drops || !request->owner->client->stopping);
}

/* Converting a lock of flock gives up the old one, whatever comes of it. */
static void flock_converts(struct lock_request *request)
{
	struct lock_owner *owner = request->owner;
	if (is_flock(request->kind) && ranges_run(&owner->held, 0, 0).type != request->type)
		ranges_set(&owner->held, 0, UINT64_MAX, LOCK_TYPE_NONE, 0);
}

/* The MDT has done it, as this change. One that nobody waits for any more is not ours: it is given back. */
static void take_grant(struct lock_request *request, uint64_t change)
{
	if (request->change != 0 || request->lost)
		return;
	request->change = change;
	request->owner->client->counters.locks_granted_late += request->asker == NULL && request->waits;
	flock_converts(request);
	if (request->asker != NULL || !request->waits)
		ranges_strengthen(&request->owner->held, request->start, request->end, request->type, change);
}

static int send_lock(struct lock_request *request, uint8_t flags, uint8_t type, uint64_t start, uint64_t end, struct lock_rep *ret_rep)
{
	struct lock_owner *owner = request->owner;
	struct lock_req req = {
		.ino = owner->node->ino,
		.owner = owner->owner,
		.kind = request->kind,
		.type = type,
		.flags = flags,
		.start = start,
		.end = end,
		.pid = owner->pid,
		.waiter = flags != 0 ? request->waiter : 0,
	};
	return session_mdt_call(owner->client, owner->node->ino, &(struct call){.op = OP_lock, .req = &req, .rep = ret_rep});
}

/* Unlocking, and what is left of locking for reading where it is locked for writing: it can only fail for want of room at the MDT. Parks; it is
 * the owner's turn. */
static int weaken(struct lock_request *request)
{
	struct lock_owner *owner = request->owner;
	struct lock_rep rep = {0};
	request->weakens = true;
	int rc = send_lock(request, 0, request->type, request->start, request->end, &rep);
	request->weakens = false;
	if (request->lost)
		return fail(ERR_evicted);
	if (rc == 0)
		ranges_set_older(&owner->held, request->start, request->end, request->type, rep.change);
	owner->is_uncertain |= rc < 0;
	return rc < 0 ? rc : LOCK_GRANTED;
}

static bool has_to_weaken(const struct lock_request *request)
{
	return request->type == LOCK_TYPE_READ && !is_flock(request->kind) &&
	       ranges_have(&request->owner->held, request->start, request->end, LOCK_TYPE_WRITE);
}

/* enum lock_result, or the error that the caller gets. What the owner has is only made stronger by it, so that a call that fails has changed
 * nothing, whatever a restart of the MDT hides; weaken may follow. Parks; it is the owner's turn. */
static int ask(struct lock_request *request)
{
	struct lock_rep rep = {0};
	if (request->type == LOCK_TYPE_NONE)
		return weaken(request);
	if (has_to_weaken(request) && !ranges_have(&request->owner->held, request->start, request->end, LOCK_TYPE_NONE))
		return LOCK_GRANTED; /* nothing is missing */
	uint8_t flags = request->type == LOCK_TYPE_READ && !is_flock(request->kind) ? LOCK_KEEP : 0;
	request->sent = true;
	int rc = send_lock(request, request->waits ? flags | LOCK_WAIT : flags, request->type, request->start, request->end, &rep);
	if (request->lost)
		return fail(ERR_evicted);
	/* It was granted by an MDT that has crashed since, when nobody wanted it any more, so that the next one was not told; and there it is in line again. */
	bool anew = rc == 0 && rep.result == LOCK_QUEUED && rep.change >> 32 > request->change >> 32;
	if (request->change != 0 && anew && request->asker == NULL)
		request->change = 0;
	if (request->change != 0)
		return LOCK_GRANTED; /* it was told so in another way, before the answer came */
	if (rc == 0 && rep.result == LOCK_GRANTED) {
		take_grant(request, rep.change);
		return LOCK_GRANTED;
	}
	flock_converts(request);
	request->queued_boot = rep.change >> 32;
	return rc < 0 ? rc : LOCK_QUEUED;
}

static int drop(struct lock_request *request)
{
	struct lock_owner *owner = request->owner;
	struct lock_drop_req req = {.ino = owner->node->ino, .owner = owner->owner, .kind = owner->kind};
	struct lock_drop_rep rep;
	request->weakens = true;
	int rc = session_mdt_call(owner->client, owner->node->ino, &(struct call){.op = OP_lock_drop, .req = &req, .rep = &rep});
	if (rc == 0 && !request->lost)
		ranges_set_older(&owner->held, 0, UINT64_MAX, LOCK_TYPE_NONE, rep.change);
	owner->is_uncertain = false; /* if it failed, the mount's end or its eviction did it */
	return rc;
}

/* LOCK_GRANTED: too late, it is ours. Parks; it is the owner's turn. */
static int withdraw(struct lock_request *request)
{
	struct lock_rep rep = {0};
	if (request->change != 0)
		return LOCK_GRANTED;
	if (request->lost || request->owner->client->stopping)
		return fail(ERR_interrupted); /* the MDT forgets us as a whole */
	int rc = send_lock(request, LOCK_WITHDRAW, LOCK_TYPE_NONE, 0, 0, &rep);
	if (rc == 0 && rep.result == LOCK_GRANTED)
		take_grant(request, rep.change);
	return request->change != 0 ? LOCK_GRANTED : fail(ERR_interrupted);
}

/* A grant that came when nobody wanted it any more: each range becomes what it was before, which is never more. Parks. */
static void give_back(struct lock_request *request)
{
	struct lock_owner *owner = request->owner;
	for (uint64_t pos = request->start;;) {
		struct range run = ranges_run(&owner->held, pos, request->end);
		if (run.change < request->change && run.type < request->type) {
			struct lock_rep rep;
			int rc = send_lock(request, 0, run.type, run.start, run.end, &rep);
			owner->is_uncertain |= rc < 0 && !request->lost;
		}
		if (run.end == request->end || request->lost)
			return;
		pos = run.end + 1;
	}
}

static void request_over(struct lock_request *request, int rc)
{
	struct lock_owner *owner = request->owner;
	struct client *client = owner->client;
	list_remove(&request->link);
	request->over = true;
	request->rc = rc;
	if (request->asker != NULL)
		task_wake(request->asker); /* it frees the request */
	else
		mem_free(request);
	owner_settle(owner);
	session_task_done(client);
}

/* A process that was interrupted goes on before its request is withdrawn: for the MDT it still waits for the file, or has it for a moment. */
static bool has_left_another(const struct lock_request *request)
{
	const struct lock_owner *owner = request->owner;
	list_for_each(link, &owner->client->lock_owners) {
		const struct lock_owner *same = CONTAINER_OF(link, struct lock_owner, link);
		if (same->owner != owner->owner || is_flock(same->kind) != is_flock(owner->kind))
			continue;
		list_for_each(at, &same->requests) {
			const struct lock_request *other = CONTAINER_OF(at, struct lock_request, link);
			if (other != request && other->asker == NULL && !other->over)
				return true;
		}
	}
	return false;
}

/* The ring that the MDT has found may be one of requests that are being withdrawn. Parks; it is the owner's turn, before and after. */
static int ask_again(struct lock_request *request)
{
	int rc = -EDEADLK;
	while (rc == -EDEADLK && is_wanted(request) && has_left_another(request)) {
		turn_give(request->owner);
		session_nap(request->owner->client, ASK_AGAIN_NS);
		turn_take(request->owner);
		if (is_wanted(request))
			rc = ask(request);
	}
	return rc;
}

/* Until it is granted, not wanted any more, or the MDT that it is queued at is no more. Parks. */
static void wait_in_queue(struct lock_request *request)
{
	while (request->change == 0 && is_wanted(request) && boot_of(request->owner) == request->queued_boot)
		(void)waitq_wait(&request->changed, client_loop(request->owner->client), UINT64_MAX); /* each of these wakes it */
}

static void lock_task(void *arg)
{
	struct lock_request *request = arg;
	struct lock_owner *owner = request->owner;
	int rc = -ERR_interrupted;
	turn_take(owner);
	if (is_wanted(request))
		rc = request->drops ? drop(request) : ask(request);
	if (rc == -EDEADLK)
		rc = ask_again(request);
	while (rc == LOCK_QUEUED && is_wanted(request)) {
		turn_give(owner);
		wait_in_queue(request);
		turn_take(owner);
		if (request->change != 0)
			rc = LOCK_GRANTED;
		else if (is_wanted(request))
			rc = ask(request); /* the queue is gone with the MDT's memory */
	}
	if (rc == LOCK_QUEUED)
		rc = withdraw(request);
	if (rc == LOCK_GRANTED && request->waits && request->asker == NULL && !request->lost)
		give_back(request);
	else if (rc == LOCK_GRANTED && has_to_weaken(request) && !request->lost)
		rc = weaken(request);
	if (request->lost)
		rc = -ERR_evicted;
	turn_give(owner);
	request_over(request, rc < 0 ? rc : 0);
}

static struct lock_request *request_start(struct lock_owner *owner, const struct lock_request *model)
{
	struct lock_request *request = mem_dup(model, sizeof(*model));
	struct client *client = owner->client;
	request->owner = owner;
	request->waiter = client->next_waiter++;
	waitq_init(&request->changed);
	list_push_back(&owner->requests, &request->link);
	session_spawn(client, "lock", lock_task, request);
	return request;
}

/* Parks until it is over, or the caller is interrupted; interruptible: by any signal, else by his death only. */
static int request_wait(struct lock_request *request, struct client_op *op, bool interruptible)
{
	struct client *client = request->owner->client;
	request->asker = task_current(client_loop(client));
	op->changes += !interruptible;
	/* Once it is granted, or makes a lock weaker, it goes to its end; who dies need not see it. */
	while (!request->over && !op->killed && (request->change != 0 || request->weakens || !client_op_is_called_off(op)))
		session_park(client, op);
	request->asker = NULL;
	if (!request->over) {
		client->counters.interrupted++;
		waitq_wake_all(&request->changed);
		return op->expired ? fail(ERR_gave_up) : fail(ERR_interrupted);
	}
	int rc = request->rc;
	mem_free(request);
	return rc;
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

int client_lock(struct client *client, struct client_op *op, struct client_file *file, const struct client_lock *lock)
{
	struct node *node = file->node;
	if (file->lost)
		return fail(EIO);
	if (lock->type == LOCK_TYPE_NONE && owner_find(node, lock->owner, is_flock(lock->kind)) == NULL)
		return 0; /* it has none and has asked for none */
	struct lock_owner *owner = owner_need(client, node, lock->owner, lock->kind);
	owner->file = file;
	if (lock->type != LOCK_TYPE_NONE) {
		owner->kind = lock->kind;
		owner->pid = lock->pid;
	}
	struct lock_request model = {
		.kind = lock->kind,
		.type = lock->type,
		.waits = lock->waits && lock->type != LOCK_TYPE_NONE,
		.start = lock->start,
		.end = lock->end,
	};
	return request_wait(request_start(owner, &model), op, model.waits);
}

int client_lock_test(struct client *client, struct client_op *op, struct client_file *file, struct client_lock *lock)
{
	if (file->lost)
		return fail(EIO);
	struct lock_test_req req = {
		.ino = file->node->ino,
		.owner = lock->owner,
		.kind = lock->kind,
		.type = lock->type,
		.start = lock->start,
		.end = lock->end,
	};
	struct lock_test_rep rep;
	int rc = session_mdt_call(client, req.ino, &(struct call){.op = OP_lock_test, .req = &req, .rep = &rep, .who = op});
	if (rc < 0)
		return rc;
	lock->type = rep.type;
	if (rep.type == LOCK_TYPE_NONE)
		return 0;
	lock->kind = rep.kind;
	lock->start = rep.start;
	lock->end = rep.end;
	lock->pid = rep.client == client->identity.client ? rep.pid : 0; /* another machine's numbers mean nothing here */
	return 0;
}

static struct lock_request *drop_start(struct lock_owner *owner)
{
	struct lock_request model = {.kind = owner->kind, .type = LOCK_TYPE_NONE, .drops = true, .end = UINT64_MAX};
	return request_start(owner, &model);
}

void lock_close(struct client *client, struct client_op *op, struct client_file *file, uint64_t number)
{
	struct lock_owner *owner = file->lost || client->ended ? NULL : owner_find(file->node, number, false);
	if (owner != NULL)
		(void)request_wait(drop_start(owner), op, false); /* who dies need not see the end of it: it happens */
}

void lock_release(struct client *client, struct client_file *file)
{
	list_for_each(link, &file->node->lock_owners) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, node_link);
		if (owner->file != file)
			continue;
		owner->file = NULL;
		if (!client->ended)
			(void)drop_start(owner); /* frees itself */
	}
}

/* ---- the MDT's side of it -------------------------------------------------------------------------------------- */

int lock_serve_granted(struct client *client, const struct lock_granted_req *req)
{
	struct node *node = node_find(client, req->ino);
	if (node == NULL)
		return 0;
	list_for_each(owner, &node->lock_owners) {
		list_for_each(link, &CONTAINER_OF(owner, struct lock_owner, node_link)->requests) {
			struct lock_request *request = CONTAINER_OF(link, struct lock_request, link);
			if (request->waiter != req->waiter || !request->waits)
				continue;
			take_grant(request, req->change);
			waitq_wake_all(&request->changed);
		}
	}
	return 0; /* one that is not here was told before, or withdrawn */
}

static void wake_requests(struct lock_owner *owner, bool lost)
{
	list_for_each(link, &owner->requests) {
		struct lock_request *request = CONTAINER_OF(link, struct lock_request, link);
		request->lost |= lost;
		waitq_wake_all(&request->changed);
	}
}

void lock_wake_all(struct client *client)
{
	list_for_each(link, &client->lock_owners)
		wake_requests(CONTAINER_OF(link, struct lock_owner, link), false);
}

void lock_lose_all(struct client *client)
{
	list_for_each_safe(link, tmp, &client->lock_owners) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, link);
		client->counters.locks_lost += !ranges_are_free(&owner->held);
		ranges_fini(&owner->held);
		owner->is_uncertain = false;
		wake_requests(owner, true);
		owner_settle(owner);
	}
}

void lock_free_all(struct client *client)
{
	struct list_node *link;
	while ((link = list_first(&client->lock_owners)) != NULL) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, link);
		while ((link = list_pop_front(&owner->requests)) != NULL)
			mem_free(CONTAINER_OF(link, struct lock_request, link));
		owner_free(owner);
	}
}

/* ---- a restarted MDT ------------------------------------------------------------------------------------------- */

/* What the old boot may have done without our knowing it yet made an owner's locks weaker at most: others may have got what it gave up. */
static void weaken_by_requests(struct lock_owner *owner)
{
	list_for_each(link, &owner->requests) {
		struct lock_request *request = CONTAINER_OF(link, struct lock_request, link);
		if (request->weakens)
			ranges_weaken(&owner->held, request->start, request->end, request->type);
		else if (request->sent && request->change == 0)
			flock_converts(request);
	}
}

static void add_rows(struct lock_owner *owner, struct lock_row **rows, size_t *count, size_t *room)
{
	for (size_t i = 0; i < owner->held.count; i++) {
		const struct range *range = &owner->held.at[i];
		if (range->type == LOCK_TYPE_NONE)
			continue;
		if (*count == *room) {
			*room = *room * 2 + 64;
			*rows = mem_realloc(*rows, *room * sizeof(**rows));
		}
		(*rows)[(*count)++] = (struct lock_row){
			.ino = owner->node->ino,
			.owner = owner->owner,
			.start = range->start,
			.end = range->end,
			.pid = owner->pid,
			.kind = owner->kind,
			.type = range->type,
		};
	}
}

int lock_reclaim(struct target *target, uint64_t boot)
{
	enum { BYTES = 1024 * LOCK_ROW_BYTES };
	struct client *client = target->client;
	size_t count = 0, room = 0;
	CLEANUP(free_p) struct lock_row *rows = NULL;
	list_for_each(link, &client->lock_owners) {
		struct lock_owner *owner = CONTAINER_OF(link, struct lock_owner, link);
		if (cmap_mdt_of(client->map, owner->node->ino) != target->index)
			continue;
		weaken_by_requests(owner);
		add_rows(owner, &rows, &count, &room);
	}
	CLEANUP(free_p) uint8_t *bytes = mem_alloc(BYTES);
	int rc = 0;
	for (size_t at = 0; at < count && rc == 0;) {
		struct wire_out out = wire_out(bytes, BYTES);
		for (size_t n = 0; n < BYTES / LOCK_ROW_BYTES && at < count; n++)
			lock_row_put(&out, &rows[at++]);
		struct reclaim_req req = {.rows = blob_of(bytes, wire_len(&out)), .kind = RECLAIM_LOCKS, .boot = boot};
		struct reclaim_rep rep;
		rc = rpc_reclaim(target->peer, &req, &rep, &(struct rpc_args){0});
		client->counters.locks_reclaimed += rc == 0 ? wire_len(&out) / LOCK_ROW_BYTES : 0;
	}
	return rc;
}
