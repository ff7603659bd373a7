/* SPDX-License-Identifier: Apache-2.0
 * lock, lock_test, lock_list, lock_drop, and telling a client that what it waited for is its own.
 *
 * Nobody waits inside a call: a request that has to wait is queued, and the call answered. No gate is held while a lock is: gates are for
 * changes of inodes, and locks are none. */
#include "mds/mds_impl.h"
#include "proto/rows.h"

#define GRANT_ATTEMPT_NS (2 * NS_PER_S)
#define GRANT_RETRY_NS   (20 * NS_PER_MS)

/* ---- grants ---------------------------------------------------------------------------------------------------- */

struct grant {
	struct mds *mds;
	struct lock_wait *wait;
};

/* Until the client has answered or is gone. What it was granted keeps others out, so one that is silent for a lease is evicted. */
static void grant_task(void *arg)
{
	struct grant *grant = arg;
	struct mds *mds = grant->mds;
	struct lock_wait *wait = grant->wait;
	struct lock_granted_req req = {.ino = wait->want.ino, .waiter = wait->want.waiter, .change = wait->change};
	uint64_t client = wait->want.client, begun_ns = env_now_ns(mds->env);
	while (wait->client != NULL && !mds->stopping && mds->txn.failed == 0) {
		struct lock_granted_rep rep;
		int rc = rpc_call_back(mds->rpc, client, OP_lock_granted, &req, &rep, &(struct rpc_args){.timeout_ns = GRANT_ATTEMPT_NS});
		uint64_t now_ns = env_now_ns(mds->env);
		if (rc == 0)
			break;
		if (now_ns - begun_ns > mds->conf.lease_ns && mds->mgs != NULL)
			(void)mgs_evict(mds, client, "a client is evicted: it does not take a lock that it waited for"); /* looks again */
		/* Never at once: if somebody else is about to evict it, he would not get on. */
		if (rc == -ERR_conn_lost && wait->client != NULL)
			(void)rpc_wait_for_client(mds->rpc, client, now_ns + 5 * GRANT_RETRY_NS); /* either way */
		else
			task_sleep(mds->env->loop, GRANT_RETRY_NS);
	}
	locks_told(&mds->locks, wait);
	mem_free(grant);
}

void lock_granted(void *ctx, struct lock_wait *wait)
{
	struct mds *mds = ctx;
	struct grant *grant = mem_alloc(sizeof(*grant));
	*grant = (struct grant){mds, wait};
	mds->counters.locks_after_wait++;
	task_spawn(mds->env->loop, "lock_grant", grant_task, grant);
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

static bool kind_is_valid(uint8_t kind)
{
	return kind >= LOCK_KIND_FLOCK && kind <= LOCK_KIND_OFD;
}

static bool range_is_valid(uint8_t kind, uint64_t start, uint64_t end)
{
	return start <= end && (kind != LOCK_KIND_FLOCK || (start == 0 && end == UINT64_MAX));
}

/* There is such an inode. Its gate is given back: nothing is changed in it. Parks. */
static int look_at_inode(struct operation *op, struct ino ino)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, ino, &inode);
	op_gates_drop(op);
	return rc;
}

int mds_op_lock(struct operation *op, const struct lock_req *req, struct lock_rep *rep)
{
	struct locks *locks = &op->mds->locks;
	bool withdraws = (req->flags & LOCK_WITHDRAW) != 0, waits = (req->flags & LOCK_WAIT) != 0;
	if ((withdraws || waits) && req->waiter == 0)
		return fail(EINVAL);
	if (!withdraws && (!kind_is_valid(req->kind) || req->type > LOCK_TYPE_WRITE || !range_is_valid(req->kind, req->start, req->end)))
		return fail(EINVAL);
	int rc = withdraws || req->type == LOCK_TYPE_NONE ? 0 : look_at_inode(op, req->ino);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (withdraws) {
		rc = locks_withdraw(locks, op->client, req->waiter, &rep->change);
	} else {
		struct lock_want want = {
			.ino = req->ino,
			.client = op->client,
			.owner = req->owner,
			.kind = req->kind,
			.type = req->type,
			.start = req->start,
			.end = req->end,
			.pid = req->pid,
			.waiter = waits ? req->waiter : 0,
			.keeps = (req->flags & LOCK_KEEP) != 0 && req->type == LOCK_TYPE_READ,
		};
		rc = locks_set(locks, &want, &rep->change);
		op->mds->counters.locks_queued += rc == LOCK_QUEUED;
		op->mds->counters.lock_deadlocks += rc == -EDEADLK;
	}
	if (rc < 0)
		return rc;
	rep->result = (uint8_t)rc;
	return 0;
}

int mds_op_lock_drop(struct operation *op, const struct lock_drop_req *req, struct lock_drop_rep *rep)
{
	if (!kind_is_valid(req->kind))
		return fail(EINVAL);
	int rc = op_mutate(op);
	if (rc < 0)
		return rc;
	struct lock_want none = {.ino = req->ino, .client = op->client, .owner = req->owner, .kind = req->kind, .end = UINT64_MAX};
	rc = locks_set(&op->mds->locks, &none, &rep->change);
	return rc < 0 ? rc : 0;
}

int mds_op_lock_test(struct operation *op, const struct lock_test_req *req, struct lock_test_rep *rep)
{
	struct lock_want holder, want = {
		.ino = req->ino,
		.client = op->client,
		.owner = req->owner,
		.kind = req->kind,
		.type = req->type,
		.start = req->start,
		.end = req->end,
	};
	if (!kind_is_valid(req->kind) || req->type == LOCK_TYPE_NONE || req->type > LOCK_TYPE_WRITE ||
	    !range_is_valid(req->kind, req->start, req->end))
		return fail(EINVAL);
	if (op->mds->identity.state != TARGET_UP)
		return fail(ERR_grace);
	if (locks_test(&op->mds->locks, &want, &holder))
		*rep = (struct lock_test_rep){holder.type, holder.kind, holder.client, holder.pid, holder.start, holder.end};
	return 0;
}

static bool list_one(void *ctx, const struct lock_want *lock, bool waits)
{
	struct wire_out *out = ctx;
	if (wire_len(out) + LOCK_ROW_BYTES > WIRE_BLOB_BYTES_MAX)
		return false;
	struct lock_row row = {
		.ino = lock->ino,
		.client = lock->client,
		.owner = lock->owner,
		.start = lock->start,
		.end = lock->end,
		.pid = lock->pid,
		.kind = lock->kind,
		.type = lock->type,
		.waits = waits,
	};
	lock_row_put(out, &row);
	return true;
}

int mds_op_lock_list(struct operation *op, const struct lock_list_req *req, struct lock_list_rep *rep)
{
	if (op->mds->identity.state != TARGET_UP)
		return fail(ERR_grace);
	struct wire_out out = op_buffer(op, WIRE_BLOB_BYTES_MAX);
	rep->more = !locks_each(&op->mds->locks, req->ino, list_one, &out);
	rep->locks = blob_of(out.base, wire_len(&out));
	return 0;
}
