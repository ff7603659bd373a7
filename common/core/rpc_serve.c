/* SPDX-License-Identifier: Apache-2.0
 * Serving: one task a request. hello and ping are answered here; the rest is the node's. */
#include "common/base/check.h"
#include "common/core/rpc_impl.h"
#include "common/core/trace.h"

#define REPLY_SEND_TIMEOUT_NS (10 * NS_PER_S)

/* Has this id been served on this connection? Marks it. A fabric may repeat a message; serving a read twice would write into memory that its
 * caller has reused. */
static bool seen_before(struct rpc_conn *conn, uint64_t id)
{
	if (id > conn->seen_max) {
		if (id - conn->seen_max >= SEEN_WINDOW)
			memset(conn->seen, 0, sizeof(conn->seen));
		else
			for (uint64_t i = conn->seen_max + 1; i < id; i++)
				conn->seen[i % SEEN_WINDOW / 64] &= ~(UINT64_C(1) << i % 64);
		conn->seen_max = id;
	} else if (conn->seen_max - id >= SEEN_WINDOW) {
		return true; /* older than any call that can still be waiting */
	} else if (conn->seen[id % SEEN_WINDOW / 64] >> id % 64 & 1) {
		return true;
	}
	conn->seen[id % SEEN_WINDOW / 64] |= UINT64_C(1) << id % 64;
	return false;
}

static int serve_hello(struct rpc_call *call, const struct hello_req *req, struct hello_rep *rep)
{
	struct rpc *rpc = call->rpc;
	struct rpc_conn *conn = call->owner;
	const struct rpc_identity *me = rpc->identity;
	if (req->version_min > PROTO_VERSION_MAX || req->version_max < PROTO_VERSION_MIN ||
	    req->version_min > req->version_max)
		return fail(ERR_version);
	bool both_know = (req->cluster_hi | req->cluster_lo) != 0 && (me->cluster_hi | me->cluster_lo) != 0;
	if (both_know && (req->cluster_hi != me->cluster_hi || req->cluster_lo != me->cluster_lo))
		return fail(ERR_wrong_cluster);
	call->role = req->role;
	call->peer_boot = req->boot;
	if (rpc->ops != NULL && rpc->ops->hello != NULL) {
		int rc = rpc->ops->hello(rpc->ctx, call, req);
		if (rc < 0)
			return rc;
	}
	conn->greeted = true;
	conn->role = req->role;
	conn->client = call->frame.client;
	waitq_wake_all(&rpc->greeted);
	conn->peer_boot = req->boot;
	conn->version = (uint16_t)min_u64(req->version_max, PROTO_VERSION_MAX);
	*rep = (struct hello_rep){
		.version = conn->version,
		.kind = me->kind,
		.index = me->index,
		.cluster_hi = me->cluster_hi,
		.cluster_lo = me->cluster_lo,
		.boot = me->boot,
		.state = me->state,
		.time_ns = env_real_ns(rpc->env),
	};
	return 0;
}

static int serve(struct rpc_call *call, const void *req, void *rep)
{
	struct rpc *rpc = call->rpc;
	if (call->op->number == OP_hello)
		return serve_hello(call, req, rep);
	if (!call->owner->greeted && call->owner->peer == NULL)
		return fail(ERR_no_session);
	if (call->op->number == OP_ping) {
		struct ping_rep *ping = rep;
		ping->state = rpc->identity->state;
		ping->time_ns = env_real_ns(rpc->env);
		return 0;
	}
	if (rpc->ops == NULL || rpc->ops->serve == NULL)
		return fail(EOPNOTSUPP);
	return rpc->ops->serve(rpc->ctx, call, req, rep);
}

static void reply(struct rpc_call *call, int rc, const void *rep)
{
	struct frame frame = {
		.version = call->frame.version,
		.op = call->frame.op,
		.flags = FRAME_REPLY,
		.status = err_to_wire(rc),
		.request = call->frame.request,
		.client = call->frame.client,
		.opno = call->frame.opno,
	};
	if (call->conn == NULL)
		return; /* nobody waits: a repeat will ask again */
	uint64_t deadline_ns = env_now_ns(call->rpc->env) + REPLY_SEND_TIMEOUT_NS;
	const struct proto_msg *msg = call->op != NULL ? &call->op->rep : NULL;
	int sent = rpc_conn_send(call->owner, &frame, msg, rc < 0 ? NULL : rep, deadline_ns);
	if (sent == -ERR_too_long) {
		frame.status = err_to_wire(sent);
		sent = rpc_conn_send(call->owner, &frame, NULL, NULL, deadline_ns);
	}
	if (sent == -ERR_timeout)
		rpc_conn_doom(call->owner); /* it has not taken a reply for ten seconds */
}

static void call_free(struct rpc_call *call)
{
	struct rpc_conn *conn = call->owner;
	list_remove(&call->link);
	call->rpc->serving--;
	arena_fini(&call->arena);
	mem_free(call->message);
	mem_free(call);
	rpc_conn_maybe_free(conn);
}

static void serve_task(void *arg)
{
	struct rpc_call *call = arg;
	struct rpc *rpc = call->rpc;
	uint64_t begin_ns = env_now_ns(rpc->env);
	int rc = 0;
	void *rep = NULL;
	trace(TRACE_rpc_serve, call->frame.op, call->frame.client, call->frame.opno, NULL);
	if (call->op == NULL) {
		rc = fail(ERR_unknown_op);
	} else {
		struct blob body = {call->message + FRAME_BYTES, call->frame.body_len};
		void *req = arena_alloc(&call->arena, call->op->req.struct_bytes);
		rep = arena_alloc(&call->arena, call->op->rep.struct_bytes);
		rc = proto_decode(&call->op->req, call->frame.version, body, req);
		if (rc < 0)
			rpc->dropped++;
		else
			rc = serve(call, req, rep);
		struct rpc_op_count *count = rpc_count_row(rpc, call->op);
		count->served++;
		count->served_failed += rc < 0;
		count->served_ns += env_now_ns(rpc->env) - begin_ns;
	}
	trace(TRACE_rpc_served, call->frame.op, call->frame.client, (uint64_t)(int64_t)rc, NULL);
	reply(call, rc, rep);
	call_free(call);
}

/* An answer for a request that gets no task of its own. Dropped when there is no send buffer: the caller repeats. */
static void refuse(struct rpc_conn *conn, const struct frame *request, int rc)
{
	struct frame frame = {
		.version = request->version,
		.op = request->op,
		.flags = FRAME_REPLY,
		.status = err_to_wire(rc),
		.epoch = (uint32_t)conn->rpc->identity->epoch,
		.request = request->request,
		.client = request->client,
		.opno = request->opno,
	};
	uint8_t head[FRAME_BYTES];
	frame_encode(&frame, (struct blob){0}, head);
	(void)conn->net_conn->net->ops->send(conn->net_conn, blob_of(head, FRAME_BYTES), (struct blob){0});
}

void rpc_serve_request(struct rpc_conn *conn, const struct frame *frame, struct blob message)
{
	struct rpc *rpc = conn->rpc;
	if (seen_before(conn, frame->request))
		return;
	if (rpc->serving >= rpc->opts.serving_max) {
		refuse(conn, frame, -ERR_busy);
		return;
	}
	struct rpc_call *call = mem_alloc(sizeof(*call));
	call->rpc = rpc;
	call->op = proto_op(frame->op);
	call->frame = *frame;
	call->role = conn->role;
	call->peer_boot = conn->peer_boot;
	call->conn = conn->net_conn;
	call->owner = conn;
	call->message = mem_dup(message.ptr, message.len);
	arena_init(&call->arena);
	list_push_back(&conn->calls, &call->link);
	rpc->serving++;
	task_spawn(rpc->env->loop, call->op != NULL ? call->op->name : "unknown", serve_task, call);
}

/* ---- bulk ----------------------------------------------------------------------------------------------------- */

struct bulk_watch { /* on the stack of the task that serves */
	struct loop_timer timer;
	struct rpc_conn *conn;
};

static void bulk_late(struct loop_timer *timer)
{
	rpc_conn_doom(CONTAINER_OF(timer, struct bulk_watch, timer)->conn);
}

static int bulk(struct rpc_call *call, bool is_pull, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	struct loop *loop = call->rpc->env->loop;
	struct bulk_watch watch = {.conn = call->owner};
	if (call->conn == NULL)
		return fail(ERR_conn_lost); /* nobody waits for it any more */
	const struct net_ops *ops = call->conn->net->ops;
	loop_timer_init(&watch.timer, bulk_late);
	loop_timer_arm(loop, &watch.timer, env_now_ns(call->rpc->env) + RPC_BULK_TIMEOUT_NS);
	int rc = is_pull ? ops->rma_read(call->conn, mr, offset, remote, len) : ops->rma_write(call->conn, mr, offset, remote, len);
	loop_timer_disarm(loop, &watch.timer);
	return rc;
}

int rpc_call_pull(struct rpc_call *call, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return bulk(call, true, mr, offset, remote, len);
}

int rpc_call_push(struct rpc_call *call, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return bulk(call, false, mr, offset, remote, len);
}
