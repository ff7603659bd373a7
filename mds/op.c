/* SPDX-License-Identifier: Apache-2.0
 * The frame of every operation: gates, pins, batches, and exactly-once. */
#include "mds/acl.h"
#include "mds/mds_impl.h"
#include "common/base/check.h"

struct loaded {
	struct loaded *next;
	struct inode inode;
};

void op_init(struct operation *op, struct mds *mds, struct arena *arena, const char *name)
{
	*op = (struct operation){
		.mds = mds,
		.arena = arena,
		.task = task_current(mds->env->loop),
		.name = name,
		.deadline_ns = UINT64_MAX,
	};
}

void op_step(struct operation *op, const char *step)
{
	task_set_step(op->task, op->name, step);
}

void op_gates_drop(struct operation *op)
{
	while (op->gate_count > 0) {
		op->gate_count--;
		gate_drop(&op->mds->gates, op->gates[op->gate_count].ino, op->gates[op->gate_count].mode);
	}
	op->inodes = NULL;
}

void op_fini(struct operation *op)
{
	op_gates_drop(op);
	for (uint32_t i = 0; i < op->pin_count; i++)
		txn_unpin(&op->mds->txn, op->pins[i]);
	mem_free(op->pins);
	op->pins = NULL;
	op->pin_count = op->pin_capacity = 0;
}

int op_gates(struct operation *op, const struct gate_want *wants, uint32_t count)
{
	struct gate_want sorted[OP_GATES_MAX];
	uint32_t n = 0;
	CHECK(count <= OP_GATES_MAX);
	op_gates_drop(op);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = 0;
		while (at < n && sorted[at].ino.v < wants[i].ino.v)
			at++;
		if (at < n && ino_eq(sorted[at].ino, wants[i].ino)) {
			if (wants[i].mode == GATE_EXCLUSIVE)
				sorted[at].mode = GATE_EXCLUSIVE;
			continue;
		}
		memmove(&sorted[at + 1], &sorted[at], (n - at) * sizeof(sorted[0]));
		sorted[at] = wants[i];
		n++;
	}
	op_step(op, "gate");
	for (uint32_t i = 0; i < n; i++) {
		int rc = gate_take(&op->mds->gates, sorted[i].ino, sorted[i].mode, op->deadline_ns);
		if (rc < 0) {
			op->mds->counters.gate_timeouts++;
			op_gates_drop(op);
			return rc;
		}
		op->gates[op->gate_count++] = sorted[i];
	}
	op_step(op, "load");
	return 0;
}

static void op_pin(struct operation *op, struct rec *rec)
{
	if (op->pin_count == op->pin_capacity) {
		op->pin_capacity = op->pin_capacity == 0 ? 16 : op->pin_capacity * 2;
		op->pins = mem_realloc(op->pins, op->pin_capacity * sizeof(struct rec *));
	}
	op->pins[op->pin_count++] = rec;
}

int op_load(struct operation *op, struct key key, struct rec **ret_rec)
{
	struct rec *rec = NULL;
	int rc = txn_load(&op->mds->txn, &key, &rec);
	if (rc < 0)
		return rc;
	op_pin(op, rec);
	op->seen = max_u64(op->seen, rec->batch);
	*ret_rec = rec;
	return 0;
}

enum { LIST_ACCESS, LIST_DEFAULT, LISTS };

/* Decode an inode from its record, with its access lists. The record may change while one of them is loaded, for who has no gate: then once more. */
static int decode(struct operation *op, struct rec *rec, struct inode *inode)
{
	static const uint32_t flags[LISTS] = {INODE_HAS_ACL, INODE_HAS_DEFAULT_ACL};
	struct blob *const lists[LISTS] = {&inode->acl, &inode->default_acl};
	struct rec *found[LISTS] = {NULL};
	for (bool again = true; again;) {
		if (!rec->present)
			return fail(ESTALE);
		/* What is decoded borrows from the record, which may change under a reader that parks: a copy stays. */
		int rc = inode_decode(inode->ino, blob_of(arena_dup(op->arena, rec->value.ptr, rec->value.len), rec->value.len), inode);
		if (rc < 0)
			return mds_corrupt(op->mds, blob_of(rec->key, rec->key_len), rc);
		again = false;
		for (int i = 0; i < LISTS && !again; i++) {
			if ((inode->flags & flags[i]) == 0 || found[i] != NULL)
				continue;
			rc = op_load(op, key_xattr(inode->ino, i == LIST_ACCESS ? ACL_ACCESS : ACL_DEFAULT), &found[i]);
			if (rc < 0)
				return rc;
			again = true;
		}
	}
	for (int i = 0; i < LISTS; i++) {
		if ((inode->flags & flags[i]) == 0)
			continue;
		int rc = found[i]->present ? text_decode(found[i]->value, lists[i]) : fail(ERR_corrupt);
		if (rc == 0 && acl_check(*lists[i]) < 0)
			rc = fail(ERR_corrupt);
		if (rc < 0)
			return mds_corrupt(op->mds, blob_of(found[i]->key, found[i]->key_len), rc);
		*lists[i] = blob_of(arena_dup(op->arena, lists[i]->ptr, lists[i]->len), lists[i]->len);
	}
	return 0;
}

int op_inode(struct operation *op, struct ino ino, struct inode **ret_inode)
{
	for (struct loaded *loaded = op->inodes; loaded != NULL; loaded = loaded->next) {
		if (ino_eq(loaded->inode.ino, ino)) {
			*ret_inode = &loaded->inode;
			return 0;
		}
	}
	if (ino.v == 0 || ino_shard(ino) >= op->mds->sb.shard_count)
		return fail(ESTALE);
	if (cmap_mdt_of(op->mds->map, ino) != op->mds->sb.index)
		return fail(ERR_not_owner);
	struct rec *rec = NULL;
	int rc = op_load(op, key_inode(ino), &rec);
	if (rc < 0)
		return rc;
	struct loaded *loaded = arena_alloc(op->arena, sizeof(*loaded));
	loaded->inode.ino = ino;
	rc = decode(op, rec, &loaded->inode);
	if (rc < 0)
		return rc;
	op->seen = max_u64(op->seen, rec->batch); /* it may have changed while its lists were loaded */
	loaded->inode.rec = rec;
	loaded->next = op->inodes;
	op->inodes = loaded;
	*ret_inode = &loaded->inode;
	return 0;
}

int op_mutate(struct operation *op)
{
	if (op->session != NULL && op->session->dead)
		return fail(ERR_evicted);
	if (op->mds->txn.failed < 0 || op->mds->txn.stopping)
		return fail(ERR_not_ready);
	op_step(op, "mutate");
	op->now_ns = mds_time(op->mds);
	return 0;
}

struct wire_out op_buffer(struct operation *op, size_t bytes)
{
	return wire_out(arena_alloc(op->arena, bytes), bytes);
}

static void op_changed(struct operation *op)
{
	op->seen = op->mds->txn.collecting;
	op->changed = true;
}

void op_put_rec(struct operation *op, struct rec *rec, struct blob value)
{
	if (value.len > 0)
		txn_put(&op->mds->txn, rec, value);
	else
		txn_delete(&op->mds->txn, rec);
	op_changed(op);
}

void op_put(struct operation *op, struct key key, struct blob value)
{
	txn_write(&op->mds->txn, &key, value);
	op_changed(op);
}

void op_erase(struct operation *op, struct key key)
{
	txn_erase(&op->mds->txn, &key);
	op_changed(op);
}

void op_save(struct operation *op, struct inode *inode)
{
	inode->change++;
	struct wire_out out = wire_out(op->mds->scratch, NET_MSG_BYTES_MAX);
	inode_encode(inode, &out);
	CHECK(out.err == 0);
	struct blob value = blob_of(op->mds->scratch, wire_len(&out));
	if (inode->rec != NULL)
		op_put_rec(op, inode->rec, value);
	else
		op_put(op, key_inode(inode->ino), value);
}

struct inode *op_inode_new(struct operation *op, struct ino ino)
{
	struct loaded *loaded = arena_alloc(op->arena, sizeof(*loaded));
	loaded->inode.ino = ino;
	loaded->next = op->inodes;
	op->inodes = loaded;
	op->mds->inodes++;
	op->mds->inodes_changed = true;
	return &loaded->inode;
}

void op_inode_delete(struct operation *op, struct inode *inode)
{
	op_put_rec(op, inode->rec, (struct blob){0});
	op->mds->inodes -= op->mds->inodes > 0;
	op->mds->inodes_changed = true;
}

int op_wait(struct operation *op)
{
	op_step(op, "commit");
	int rc = txn_wait(&op->mds->txn, op->seen);
	op_step(op, "reply");
	return rc;
}

int op_scan(struct operation *op, const struct inode *inode, struct key start, struct key end, size_t limit, size_t bytes_max,
	    struct kv_pair **ret_pairs, bool *ret_more)
{
	/* Whoever changes a record of an inode changes the inode too: with its newest batch durable, the store knows all of them. */
	int rc = inode->rec != NULL ? txn_wait(&op->mds->txn, inode->rec->batch) : 0;
	if (rc < 0)
		return rc;
	return op->mds->env->kv->ops->scan(op->mds->env->kv, key_blob(&start), key_blob(&end), limit, bytes_max, op->arena,
					   ret_pairs, ret_more);
}

/* ---- exactly once --------------------------------------------------------------------------------------------- */

static int handle(struct operation *op, const void *req, void *rep)
{
	switch (op->call->op->number) {
#define OP(name, number, flags, since, text) \
	case OP_##name:                      \
		return mds_op_##name(op, req, rep);
	PROTO_MDS_OPS(OP)
#undef OP
	default:
		return fail(ERR_unknown_op);
	}
}

/* Where the reply's grant stands; NULL: it has none. */
static struct lease *rep_lease(uint16_t number, void *rep)
{
	switch (number) {
#define LEASE(name)       \
	case OP_##name:   \
		return &((struct name##_rep *)rep)->lease
		LEASE(setattr);
		LEASE(create);
		LEASE(tmpfile);
		LEASE(open);
		LEASE(mkdir);
		LEASE(mknod);
		LEASE(symlink);
		LEASE(link);
		LEASE(set_size);
#undef LEASE
	default:
		return NULL;
	}
}

/* Where the reply's data stands, which comes with a grant only; NULL: it has none. */
static struct blob *rep_data(uint16_t number, void *rep)
{
	switch (number) {
	case OP_create:
		return &((struct create_rep *)rep)->data;
	case OP_open:
		return &((struct open_rep *)rep)->data;
	default:
		return NULL;
	}
}

/* Keep the answer, in the batch of the mutation. What changed nothing (a failure, an open to read) is kept in memory only: a copy that is
 * under way dies with this boot's connections, and whoever never got the answer may as well get another one. */
static void record(struct operation *op, struct reply *reply, int rc, void *rep)
{
	struct mds *mds = op->mds;
	/* Records hold results, never grants: a repeat may come when the lease has been recalled. */
	struct lease *granted = rc == 0 ? rep_lease(op->call->op->number, rep) : NULL, none = {0};
	struct lease grant = granted != NULL ? *granted : none;
	if (granted != NULL)
		*granted = none;
	struct blob *data = rc == 0 ? rep_data(op->call->op->number, rep) : NULL, data_here = data != NULL ? *data : (struct blob){0};
	if (data != NULL)
		*data = (struct blob){0};
	struct wire_out body = wire_out(mds->scratch, NET_MSG_BYTES_MAX);
	if (rc == 0)
		proto_encode(&op->call->op->rep, op->call->frame.version, rep, &body);
	CHECK(body.err == 0);
	if (granted != NULL)
		*granted = grant;
	if (data != NULL)
		*data = data_here;
	struct reply_record value = {
		.op = op->call->op->number,
		.status = err_to_wire(rc),
		.version = op->call->frame.version,
		.handle = op->handle,
		.ino = op->record_ino,
		.open_flags = op->open_flags,
		.body = blob_of(mds->scratch, wire_len(&body)),
	};
	struct wire_out out = op_buffer(op, value.body.len + 64);
	reply_encode(&value, &out);
	CHECK(out.err == 0);
	struct blob bytes = blob_of(out.base, wire_len(&out));
	reply->in_store = op->changed;
	if (op->changed)
		op_put(op, key_reply(reply->shard, op->session->client, reply->opno), bytes);
	reply_set(reply, bytes, op->seen);
}

/* Answer a repeat from its record. Parks. */
static int answer_again(struct operation *op, struct reply *reply, void *rep)
{
	struct mds *mds = op->mds;
	struct reply_record value;
	int rc = reply_decode(blob_of(arena_dup(op->arena, reply->value, reply->value_len), reply->value_len), &value);
	if (rc < 0)
		return rc;
	if (value.op != op->call->op->number)
		return fail(ERR_malformed); /* one number, two operations */
	mds->counters.replies_from_records++;
	mds->counters.replies_recovered += reply->recovered;
	uint64_t batch = reply->batch;
	if (reply->recovered && value.ino.v != 0 && value.handle == 0) {
		/* A truncation of an earlier boot is answered when its objects are cut: whoever holds the intent holds the gate. */
		rc = op_gates(op, &(struct gate_want){value.ino, GATE_SHARED}, 1);
		op_gates_drop(op);
		if (rc < 0)
			return rc;
	}
	op_step(op, "commit");
	rc = txn_wait(&mds->txn, batch);
	op_step(op, "reply");
	if (rc < 0)
		return rc;
	if (value.status != 0)
		return err_from_wire(value.status);
	return proto_decode(&op->call->op->rep, value.version, value.body, rep);
}

/* A repeat of an operation that runs waits for it. Parks. */
static int join(struct operation *op, struct reply *reply, void *rep)
{
	op->mds->counters.duplicates_joined++;
	op_step(op, "join");
	reply->waiters++;
	int rc = 0;
	while (reply->running && rc == 0)
		rc = waitq_wait(&reply->done, op->mds->env->loop, op->deadline_ns);
	reply->waiters--;
	if (reply->running)
		rc = fail(ERR_in_progress);
	else if (reply->value != NULL)
		rc = answer_again(op, reply, rep);
	else
		rc = reply->rc;
	if (reply->unlinked && reply->waiters == 0 && !reply->running)
		reply_remove(op->session, reply);
	return rc;
}

/* Answers that say "as if it had never come": a repeat runs anew. */
static bool leaves_no_record(int rc)
{
	return err_is(rc, ERR_retry) || rc == -ERR_need_groups || rc == -ERR_stale_layout || rc == -ERR_evicted || rc == -ERR_corrupt;
}

static int run_once(struct operation *op, struct reply *reply, const void *req, void *rep)
{
	session_trim(op->session, &op->mds->txn);
	int rc = handle(op, req, rep);
	bool keep = !leaves_no_record(rc) && !op->session->dead && op->mds->txn.failed == 0 && !op->mds->txn.stopping;
	if (keep)
		record(op, reply, rc, rep);
	if (rc == 0 && op->after != NULL) {
		rc = op->after(op);
		op->seen = max_u64(op->seen, reply->batch);
	}
	op_gates_drop(op);
	int waited = op_wait(op);
	if (waited < 0)
		rc = waited;
	reply->rc = rc;
	return rc;
}

static int serve_mutation(struct operation *op, const void *req, void *rep)
{
	struct mds *mds = op->mds;
	struct session *session = op->session;
	uint64_t opno = op->call->frame.opno;
	if (opno == 0)
		return fail(ERR_malformed);
	session->watermark = max_u64(session->watermark, op->call->frame.lowest);
	struct reply *reply = reply_find(session, opno);
	if (opno < session->watermark && (reply == NULL || !reply->running)) {
		mds->counters.late_copies++;
		return fail(ERR_late_copy);
	}
	if (reply != NULL)
		return reply->running ? join(op, reply, rep) : answer_again(op, reply, rep);
	if (mds->identity.state != TARGET_UP) {
		mds->counters.grace_refusals++;
		return fail(ERR_grace);
	}
	reply = reply_add(session, opno, 0);
	reply->running = true;
	int rc = run_once(op, reply, req, rep);
	reply->running = false;
	waitq_wake_all(&reply->done);
	if (reply->value == NULL || session->dead || reply->batch > mds->txn.durable)
		reply_remove(session, reply); /* no record: a repeat runs anew */
	return rc;
}

int mds_serve(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	struct mds *mds = ctx;
	uint16_t number = call->op->number;
	if (mds->identity.state == TARGET_DOWN || mds->identity.state == TARGET_STARTING || mds->stopping)
		return fail(ERR_not_ready);
	if (number == OP_status) {
		((struct status_rep *)rep)->json = mds_status_json(mds, &call->arena);
		return 0;
	}
	if (number >> 8 == 3)
		return mgs_serve(mds, call, req, rep);
	if (number >> 8 != 1)
		return fail(ERR_unknown_op);
	struct operation op;
	op_init(&op, mds, &call->arena, call->op->name);
	op.call = call;
	op.client = call->frame.client;
	op.deadline_ns = add_sat_u64(env_now_ns(mds->env), GATE_TIMEOUT_NS);
	if (number != OP_statfs || op.client != 0) {
		int rc = client_session(mds, op.client, &op.session);
		if (rc < 0)
			return rc;
		session_get(op.session);
	}
	int rc;
	if (call->op->flags & OPF_MUTATES) {
		rc = serve_mutation(&op, req, rep);
	} else {
		rc = handle(&op, req, rep);
		op_gates_drop(&op);
		int waited = op_wait(&op);
		if (waited < 0)
			rc = waited;
	}
	op_fini(&op);
	if (op.session != NULL)
		session_put(op.session);
	return rc;
}
