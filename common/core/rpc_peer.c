/* SPDX-License-Identifier: Apache-2.0
 * Calling: peers, their connections on demand, and the wait for a reply. */
#include "common/base/check.h"
#include "common/core/rpc_impl.h"
#include "common/core/trace.h"

#include <stdio.h>

#define TIMEOUT_DEFAULT_NS (5 * NS_PER_S)

struct rpc_peer *rpc_peer_new(struct rpc *rpc, const char *address)
{
	struct rpc_peer *peer = mem_alloc(sizeof(*peer));
	peer->rpc = rpc;
	waitq_init(&peer->connected);
	list_push_back(&rpc->peers, &peer->link);
	rpc_peer_set_address(peer, address);
	return peer;
}

void rpc_peer_free(struct rpc_peer *peer)
{
	if (peer == NULL)
		return;
	CHECK_MSG(!peer->connecting, "a peer was freed while a task connects to it");
	rpc_peer_disconnect(peer);
	list_remove(&peer->link);
	mem_free(peer);
}

void rpc_peer_set_address(struct rpc_peer *peer, const char *address)
{
	if (strncmp(peer->address, address, sizeof(peer->address)) == 0)
		return;
	(void)snprintf(peer->address, sizeof(peer->address), "%s", address);
	rpc_peer_disconnect(peer); /* whoever answers at the old place is not this peer any more */
}

const char *rpc_peer_address(const struct rpc_peer *peer)
{
	return peer->address;
}

void rpc_peer_disconnect(struct rpc_peer *peer)
{
	if (peer->conn != NULL)
		rpc_conn_close(peer->conn, -ERR_conn_lost);
	if (peer->half != NULL)
		rpc_conn_close(peer->half, -ERR_conn_lost);
}

bool rpc_peer_is_connected(const struct rpc_peer *peer)
{
	return peer->conn != NULL;
}

uint64_t rpc_peer_boot(const struct rpc_peer *peer)
{
	return peer->boot;
}

uint8_t rpc_peer_state(const struct rpc_peer *peer)
{
	return peer->state;
}

void rpc_peer_on_hello(struct rpc_peer *peer, void (*fn)(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep),
		       void *ctx)
{
	peer->on_hello = fn;
	peer->on_hello_ctx = ctx;
}

void rpc_peer_on_closed(struct rpc_peer *peer, void (*fn)(void *ctx, struct rpc_peer *peer), void *ctx)
{
	peer->on_closed = fn;
	peer->on_closed_ctx = ctx;
}

void rpc_peer_reply(struct rpc_conn *conn, const struct frame *frame, struct blob message)
{
	struct map_node *node = map_first(&conn->pending, map_hash_u64(frame->request));
	if (node == NULL)
		return; /* given up, or a copy: the hash of distinct u64 is distinct */
	struct pending *pending = CONTAINER_OF(node, struct pending, node);
	if (pending->done)
		return;
	pending->message = pending->arena != NULL ? arena_dup(pending->arena, message.ptr, message.len)
						  : mem_dup(message.ptr, message.len);
	pending->message_len = message.len;
	pending->done = true;
	task_wake(pending->task);
}

static int reply_decode(const struct pending *pending, const struct proto_op *op, void *ret_rep)
{
	struct frame frame;
	struct blob body;
	int rc = frame_decode(blob_of(pending->message, pending->message_len), &frame, &body);
	if (rc < 0)
		return rc;
	if (frame.op != op->number)
		return fail(ERR_malformed);
	if (frame.status != 0)
		return err_from_wire(frame.status);
	return proto_decode(&op->rep, frame.version, body, ret_rep);
}

/* One request and its reply on a connection that exists. */
static int exchange(struct rpc_conn *conn, const struct proto_op *op, const void *req, void *ret_rep,
		    const struct rpc_args *args, uint64_t deadline_ns)
{
	bool calls_back = conn->client != 0;
	struct rpc *rpc = conn->rpc;
	const struct rpc_identity *me = rpc->identity;
	struct frame frame = {
		.version = conn->version,
		.op = op->number,
		.flags = args->resent ? FRAME_RESENT : 0,
		.request = ++conn->next_request,
		.client = me->client,
		.opno = args->opno,
		.lowest = me->lowest,
		.bulk_len = args->bulk_len,
	};
	struct pending pending = {.task = task_current(rpc->env->loop), .arena = args->arena};
	uint64_t sent_ns = env_now_ns(rpc->env);
	trace(TRACE_rpc_call, op->number, frame.request, args->opno, NULL);
	map_insert(&conn->pending, &pending.node, map_hash_u64(frame.request));
	int rc = rpc_conn_send(conn, &frame, &op->req, req, deadline_ns);
	if (rc == 0 && args->ret_sent != NULL)
		*args->ret_sent = true;
	while (rc == 0 && !pending.done)
		rc = task_park_until(rpc->env->loop, deadline_ns);
	if (pending.done) {
		rc = pending.rc < 0 ? pending.rc : reply_decode(&pending, op, ret_rep);
	} else if (conn->net_conn != NULL && rc != -ERR_too_long && !calls_back &&
		   (args->bulk_len > 0 || conn->received_ns <= sent_ns)) {
		/* Either the peer may still reach our memory, or it has said nothing at all since: cut it off. */
		rpc_conn_close(conn, -ERR_conn_lost);
	}
	map_remove(&conn->pending, &pending.node); /* until here it keeps conn alive */
	trace(TRACE_rpc_called, op->number, frame.request, (uint64_t)(int64_t)rc, NULL);
	if (args->arena == NULL)
		mem_free(pending.message);
	waitq_wake_one(&conn->window);
	rpc_conn_maybe_free(conn);
	return rc;
}

static int greet(struct rpc_peer *peer, struct rpc_conn *conn, uint64_t deadline_ns)
{
	const struct rpc_identity *me = peer->rpc->identity;
	struct hello_req req = {
		.version_min = PROTO_VERSION_MIN,
		.version_max = PROTO_VERSION_MAX,
		.role = me->role,
		.cluster_hi = me->cluster_hi,
		.cluster_lo = me->cluster_lo,
		.boot = me->boot,
	};
	struct hello_rep rep;
	int rc = exchange(conn, proto_op(OP_hello), &req, &rep, &(struct rpc_args){0}, deadline_ns);
	if (peer->half == NULL) /* closed meanwhile: conn may be gone */
		return rc < 0 ? rc : fail(ERR_conn_lost);
	if (rc == 0 && (rep.version < PROTO_VERSION_MIN || rep.version > PROTO_VERSION_MAX))
		rc = fail(ERR_version);
	if (rc < 0)
		return rc;
	conn->version = rep.version;
	peer->boot = rep.boot;
	peer->state = rep.state;
	peer->half = NULL;
	peer->conn = conn;
	if (peer->on_hello != NULL)
		peer->on_hello(peer->on_hello_ctx, peer, &rep);
	return 0;
}

/* Try each alternative address once. */
static int connect_once(struct rpc_peer *peer, uint64_t deadline_ns)
{
	struct net *net = peer->rpc->env->net;
	const char *rest = peer->address;
	int rc = fail(ERR_refused);
	while (*rest != '\0') {
		char address[NET_ADDR_BYTES_MAX];
		size_t len = strcspn(rest, ",");
		if (len >= sizeof(address))
			return fail(EINVAL);
		memcpy(address, rest, len);
		address[len] = '\0';
		rest += len + (rest[len] == ',');
		struct net_conn *net_conn = NULL;
		rc = net->ops->connect(net, address, deadline_ns, &net_conn);
		if (rc < 0)
			continue;
		struct rpc_conn *conn = rpc_conn_new(peer->rpc, net_conn);
		conn->peer = peer;
		peer->half = conn;
		rc = greet(peer, conn, deadline_ns);
		if (rc == 0)
			return 0;
		if (peer->half == conn)
			rpc_conn_close(conn, rc);
		peer->half = NULL;
	}
	return rc;
}

/* The peer's greeted connection; one task connects, others wait for it. */
static int connection(struct rpc_peer *peer, uint64_t deadline_ns, struct rpc_conn **ret_conn)
{
	uint64_t attempts = peer->attempts;
	while (peer->conn == NULL) {
		if (peer->connecting) {
			int rc = waitq_wait(&peer->connected, peer->rpc->env->loop, deadline_ns);
			if (rc < 0)
				return rc;
			if (peer->conn == NULL && peer->attempts != attempts)
				return peer->attempt_rc < 0 ? peer->attempt_rc : fail(ERR_conn_lost);
			continue;
		}
		peer->connecting = true;
		int rc = connect_once(peer, deadline_ns);
		peer->connecting = false;
		peer->attempts++;
		peer->attempt_rc = rc;
		waitq_wake_all(&peer->connected);
		if (rc < 0)
			return rc;
	}
	*ret_conn = peer->conn;
	return 0;
}

/* A place in the connection's window of calls. Parks. */
static int enter_window(struct rpc_conn *conn, uint64_t deadline_ns)
{
	struct rpc *rpc = conn->rpc;
	int rc = 0;
	while (rc == 0 && conn->pending.count >= rpc->opts.window) {
		conn->window_waiters++;
		rc = waitq_wait(&conn->window, rpc->env->loop, deadline_ns);
		conn->window_waiters--;
		if (conn->net_conn == NULL) {
			rpc_conn_maybe_free(conn);
			return rc < 0 ? rc : fail(ERR_conn_lost);
		}
	}
	return rc;
}

static int counted(struct rpc *rpc, const struct proto_op *op, uint64_t begin_ns, int rc)
{
	struct rpc_op_count *count = rpc_count_row(rpc, op);
	count->calls_made++;
	count->calls_failed += rc < 0;
	count->made_ns += env_now_ns(rpc->env) - begin_ns;
	return rc;
}

int rpc_call(struct rpc_peer *peer, enum op number, const void *req, void *ret_rep, const struct rpc_args *args)
{
	struct rpc *rpc = peer->rpc;
	const struct proto_op *op = proto_op((uint16_t)number);
	CHECK(op != NULL);
	uint64_t begin_ns = env_now_ns(rpc->env);
	uint64_t deadline_ns = add_sat_u64(begin_ns, args->timeout_ns != 0 ? args->timeout_ns : TIMEOUT_DEFAULT_NS);
	struct rpc_conn *conn = NULL;
	int rc = connection(peer, deadline_ns, &conn);
	if (rc == 0)
		rc = enter_window(conn, deadline_ns);
	if (rc == 0)
		rc = exchange(conn, op, req, ret_rep, args, deadline_ns);
	return counted(rpc, op, begin_ns, rc);
}

/* ---- calling back ---------------------------------------------------------------------------------------------- */

static struct rpc_conn *conn_of_client(struct rpc *rpc, uint64_t client)
{
	struct rpc_conn *newest = NULL;
	list_for_each(node, &rpc->conns) {
		struct rpc_conn *conn = CONTAINER_OF(node, struct rpc_conn, link);
		if (conn->greeted && conn->client == client && conn->net_conn != NULL && !conn->doomed)
			newest = conn;
	}
	return client != 0 ? newest : NULL;
}

int rpc_wait_for_client(struct rpc *rpc, uint64_t client, uint64_t deadline_ns)
{
	int rc = 0;
	while (rc == 0 && conn_of_client(rpc, client) == NULL)
		rc = waitq_wait(&rpc->greeted, rpc->env->loop, deadline_ns);
	return rc;
}

int rpc_call_back(struct rpc *rpc, uint64_t client, enum op number, const void *req, void *ret_rep, const struct rpc_args *args)
{
	const struct proto_op *op = proto_op((uint16_t)number);
	CHECK(op != NULL);
	uint64_t begin_ns = env_now_ns(rpc->env);
	uint64_t deadline_ns = add_sat_u64(begin_ns, args->timeout_ns != 0 ? args->timeout_ns : TIMEOUT_DEFAULT_NS);
	struct rpc_conn *conn = conn_of_client(rpc, client);
	int rc = conn != NULL ? enter_window(conn, deadline_ns) : fail(ERR_conn_lost);
	if (rc == 0)
		rc = exchange(conn, op, req, ret_rep, args, deadline_ns);
	return counted(rpc, op, begin_ns, rc);
}
