/* SPDX-License-Identifier: Apache-2.0
 * Connections of a node, and what comes in on them. Serving is in rpc_serve.c, calling in rpc_peer.c. */
#include "common/core/rpc.h"
#include "common/base/check.h"
#include "common/base/json_out.h"
#include "common/core/rpc_impl.h"
#include "common/core/trace.h"

enum { SERVING_MAX_DEFAULT = 1024, WINDOW_DEFAULT = 128 };
#define SEND_RETRY_NS (50 * NS_PER_US)

static void event_accepted(void *ctx, struct net_conn *net_conn)
{
	trace(TRACE_conn_new, 1, 0, 0, NULL);
	rpc_conn_new(ctx, net_conn);
}

static void event_closed(void *ctx, struct net_conn *net_conn, int rc)
{
	(void)ctx;
	(void)rc; /* whatever ended it: to a caller it is lost */
	struct rpc_conn *conn = net_conn->user;
	if (conn == NULL)
		return;
	conn->net_conn = NULL; /* freed by the net when we return */
	rpc_conn_detach(conn, -ERR_conn_lost);
}

static void event_message(void *ctx, struct net_conn *net_conn, const uint8_t *msg, size_t len)
{
	struct rpc *rpc = ctx;
	struct rpc_conn *conn = net_conn->user;
	struct frame frame;
	struct blob body;
	if (conn == NULL || conn->doomed)
		return;
	int rc = frame_decode(blob_of(msg, len), &frame, &body);
	if (rc < 0) {
		rpc->dropped++;
		rpc_conn_doom(conn);
		return;
	}
	conn->received_ns = env_now_ns(rpc->env);
	if (frame.epoch > rpc->identity->epoch && rpc->ops != NULL && rpc->ops->newer_epoch != NULL)
		rpc->ops->newer_epoch(rpc->ctx, frame.epoch);
	if (frame.flags & FRAME_REPLY)
		rpc_peer_reply(conn, &frame, blob_of(msg, len));
	else
		rpc_serve_request(conn, &frame, blob_of(msg, len));
}

static const struct net_events events = {
	.accepted = event_accepted,
	.message = event_message,
	.closed = event_closed,
};

struct rpc *rpc_new(struct env *env, struct rpc_identity *identity, const struct rpc_server_ops *ops, void *ctx,
		    const struct rpc_opts *opts)
{
	struct rpc *rpc = mem_alloc(sizeof(*rpc));
	const struct proto_op *rows;
	rpc->env = env;
	rpc->identity = identity;
	rpc->ops = ops;
	rpc->ctx = ctx;
	if (opts != NULL)
		rpc->opts = *opts;
	if (rpc->opts.serving_max == 0)
		rpc->opts.serving_max = SERVING_MAX_DEFAULT;
	if (rpc->opts.window == 0)
		rpc->opts.window = WINDOW_DEFAULT;
	CHECK(rpc->opts.window <= SEEN_WINDOW / 2);
	list_init(&rpc->conns);
	list_init(&rpc->peers);
	waitq_init(&rpc->greeted);
	rpc->counts = mem_alloc(proto_ops(&rows) * sizeof(rpc->counts[0]));
	rpc->scratch = mem_alloc(NET_MSG_BYTES_MAX);
	env->net->events = &events;
	env->net->events_ctx = rpc;
	return rpc;
}

void rpc_free(struct rpc *rpc)
{
	if (rpc == NULL)
		return;
	list_for_each_safe(node, tmp, &rpc->conns)
		rpc_conn_close(CONTAINER_OF(node, struct rpc_conn, link), -ERR_aborted);
	list_for_each_safe(node, tmp, &rpc->peers) {
		list_remove(node);
		mem_free(CONTAINER_OF(node, struct rpc_peer, link));
	}
	rpc->env->net->events = NULL;
	mem_free(rpc->counts);
	mem_free(rpc->scratch);
	mem_free(rpc);
}

int rpc_listen(struct rpc *rpc, const char *address, char ret_address[NET_ADDR_BYTES_MAX])
{
	return rpc->env->net->ops->listen(rpc->env->net, address, ret_address);
}

struct env *rpc_env(struct rpc *rpc)
{
	return rpc->env;
}

struct rpc_conn *rpc_conn_new(struct rpc *rpc, struct net_conn *net_conn)
{
	struct rpc_conn *conn = mem_alloc(sizeof(*conn));
	conn->rpc = rpc;
	conn->net_conn = net_conn;
	conn->version = PROTO_VERSION_MIN;
	conn->received_ns = env_now_ns(rpc->env);
	map_init(&conn->pending);
	waitq_init(&conn->window);
	list_init(&conn->calls);
	list_push_back(&rpc->conns, &conn->link);
	net_conn->user = conn;
	return conn;
}

void rpc_conn_maybe_free(struct rpc_conn *conn)
{
	if (conn->net_conn != NULL || conn->doomed || !list_is_empty(&conn->calls) || conn->pending.count != 0 ||
	    conn->window_waiters != 0 || list_node_is_linked(&conn->link))
		return;
	map_fini(&conn->pending);
	mem_free(conn);
}

void rpc_conn_detach(struct rpc_conn *conn, int rc)
{
	trace(TRACE_conn_gone, 0, (uint64_t)(int64_t)rc, 0, NULL);
	list_for_each(node, &conn->calls)
		CONTAINER_OF(node, struct rpc_call, link)->conn = NULL;
	struct rpc_peer *closed = NULL;
	if (conn->peer != NULL) {
		if (conn->peer->conn == conn) {
			conn->peer->conn = NULL;
			closed = conn->peer;
		}
		if (conn->peer->half == conn)
			conn->peer->half = NULL;
		conn->peer = NULL;
	}
	struct map_iter iter = map_iter_begin(&conn->pending);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct pending *pending = CONTAINER_OF(node, struct pending, node);
		if (!pending->done) {
			pending->done = true;
			pending->rc = rc;
			task_wake(pending->task);
		}
	}
	waitq_wake_all(&conn->window);
	list_remove(&conn->link);
	rpc_conn_maybe_free(conn);
	if (closed != NULL && closed->on_closed != NULL)
		closed->on_closed(closed->on_closed_ctx, closed);
}

void rpc_conn_close(struct rpc_conn *conn, int rc)
{
	struct net_conn *net_conn = conn->net_conn;
	if (net_conn == NULL)
		return;
	conn->net_conn = NULL;
	net_conn->user = NULL;
	net_conn->net->ops->close(net_conn);
	rpc_conn_detach(conn, rc);
}

static void doom_task(void *arg)
{
	struct rpc_conn *conn = arg;
	conn->doomed = false;
	if (conn->net_conn != NULL)
		rpc_conn_close(conn, -ERR_malformed);
	else
		rpc_conn_maybe_free(conn);
}

void rpc_conn_doom(struct rpc_conn *conn)
{
	if (conn->doomed)
		return;
	conn->doomed = true;
	task_spawn(conn->rpc->env->loop, "rpc_doom", doom_task, conn);
}

int rpc_conn_send(struct rpc_conn *conn, struct frame *frame, const struct proto_msg *msg, const void *fields,
		  uint64_t deadline_ns)
{
	struct rpc *rpc = conn->rpc;
	for (;;) {
		if (conn->net_conn == NULL)
			return fail(ERR_conn_lost);
		/* The scratch is shared by all tasks: nothing parks between here and send. */
		struct wire_out out = wire_out(rpc->scratch, NET_MSG_BYTES_MAX - FRAME_BYTES);
		if (fields != NULL)
			proto_encode(msg, frame->version, fields, &out);
		if (out.err != 0)
			return out.err;
		struct blob body = blob_of(rpc->scratch, wire_len(&out));
		uint8_t head[FRAME_BYTES];
		frame->epoch = (uint32_t)max_u64(rpc->identity->epoch, rpc->identity->heard_epoch);
		frame->body_len = (uint32_t)body.len;
		frame_encode(frame, body, head);
		int rc = conn->net_conn->net->ops->send(conn->net_conn, blob_of(head, FRAME_BYTES), body);
		if (rc != -ERR_busy)
			return rc;
		if (env_now_ns(rpc->env) >= deadline_ns)
			return fail(ERR_timeout);
		task_sleep(rpc->env->loop, SEND_RETRY_NS);
	}
}

struct rpc_op_count *rpc_count_row(const struct rpc *rpc, const struct proto_op *op)
{
	const struct proto_op *rows;
	(void)proto_ops(&rows); /* only where the table begins */
	return &rpc->counts[op - rows];
}

struct rpc_op_count rpc_count(const struct rpc *rpc, enum op number)
{
	const struct proto_op *op = proto_op((uint16_t)number);
	return op != NULL ? *rpc_count_row(rpc, op) : (struct rpc_op_count){0};
}

static void count_json(struct json_out *json, const char *op, const char *what, uint64_t count, uint64_t failed, uint64_t ns)
{
	if (count == 0)
		return;
	json_object_begin(json, op);
	json_u64(json, what, count);
	json_u64(json, "failed", failed);
	json_u64(json, "mean_us", ns / count / NS_PER_US);
	json_end(json);
}

void rpc_counts_json(const struct rpc *rpc, struct json_out *json)
{
	const struct proto_op *rows = NULL;
	size_t rows_count = proto_ops(&rows);
	json_object_begin(json, "ops");
	for (size_t i = 0; i < rows_count; i++)
		count_json(json, rows[i].name, "served", rpc->counts[i].served, rpc->counts[i].served_failed, rpc->counts[i].served_ns);
	json_end(json);
	json_object_begin(json, "calls");
	for (size_t i = 0; i < rows_count; i++)
		count_json(json, rows[i].name, "made", rpc->counts[i].calls_made, rpc->counts[i].calls_failed, rpc->counts[i].made_ns);
	json_end(json);
}

uint64_t rpc_dropped_messages(const struct rpc *rpc)
{
	return rpc->dropped;
}
