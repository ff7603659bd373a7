/* SPDX-License-Identifier: Apache-2.0
 * What rpc.c, rpc_serve.c and rpc_peer.c share. Private to core. */
#ifndef STRIA_CORE_RPC_IMPL_H
#define STRIA_CORE_RPC_IMPL_H

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/core/loop.h"
#include "common/core/rpc.h"

enum {
	SEEN_WINDOW = 1024, /* request ids remembered per inbound connection; more than any window of calls */
};

struct rpc {
	struct env *env;
	struct rpc_identity *identity;
	const struct rpc_server_ops *ops;
	void *ctx;
	struct rpc_opts opts;
	struct list conns;   /* rpc_conn.link */
	struct list peers;   /* rpc_peer.link */
	struct waitq greeted; /* somebody has said hello */
	uint32_t serving;
	uint64_t dropped;
	struct rpc_op_count *counts; /* by row of the protocol table */
	uint8_t *scratch;    /* NET_MSG_BYTES_MAX: encode and send without a park in between */
};

/* A connection, in either direction. Lives until its net_conn is closed and no served call refers to it. */
struct rpc_conn {
	struct list_node link;
	struct rpc *rpc;
	struct net_conn *net_conn; /* NULL: closed */
	struct rpc_peer *peer;     /* outbound: whose it is */
	uint16_t version;          /* agreed in hello; PROTO_VERSION_MIN before */
	uint8_t role;              /* inbound: enum peer_role, ROLE_NONE before hello */
	bool greeted;              /* inbound: hello was answered */
	bool doomed;               /* a task is on its way to close it */
	uint64_t peer_boot;
	uint64_t client;           /* inbound: who said hello; 0: nobody that can be called back */
	uint64_t received_ns;      /* when the last message came */
	/* our calls on it */
	struct map pending;        /* pending.node, by request id */
	uint64_t next_request;
	struct waitq window;
	uint32_t window_waiters;   /* tasks that hold on to conn in there */
	/* the other side's */
	struct list calls;         /* rpc_call.link */
	uint64_t seen_max;         /* highest request id */
	uint64_t seen[SEEN_WINDOW / 64]; /* bit (id mod SEEN_WINDOW): seen, for ids in (seen_max - SEEN_WINDOW, seen_max] */
};

/* A call that waits for its reply; on the stack of its task. */
struct pending {
	struct map_node node;
	struct task *task;
	struct arena *arena; /* where the message is copied to; NULL: to the heap */
	uint8_t *message;
	size_t message_len;
	int rc;
	bool done;
};

struct rpc_peer {
	struct list_node link;
	struct rpc *rpc;
	char address[NET_ADDR_BYTES_MAX * 2];
	struct rpc_conn *conn;  /* greeted, or NULL */
	struct rpc_conn *half;  /* while connecting: not greeted yet */
	bool connecting;
	uint64_t attempts;      /* finished ones */
	int attempt_rc;         /* of the last one */
	struct waitq connected;
	uint64_t boot;
	uint8_t state;
	void (*on_hello)(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep);
	void *on_hello_ctx;
	void (*on_closed)(void *ctx, struct rpc_peer *peer);
	void *on_closed_ctx;
};

struct rpc_conn *rpc_conn_new(struct rpc *rpc, struct net_conn *net_conn);
/* Everything that waits on it is woken with `rc`; the structure goes when the last served call does. The net_conn is gone or is closed by the caller. */
void rpc_conn_detach(struct rpc_conn *conn, int rc);
/* Close from our side. Not inside a net event. */
void rpc_conn_close(struct rpc_conn *conn, int rc);
/* The same from inside a net event: soon, by a task. */
void rpc_conn_doom(struct rpc_conn *conn);
void rpc_conn_maybe_free(struct rpc_conn *conn);

/* Encode and send one message; waits while there is no send buffer, until the deadline. Parks only then. `fields` may be NULL: empty body. */
int rpc_conn_send(struct rpc_conn *conn, struct frame *frame, const struct proto_msg *msg, const void *fields, uint64_t deadline_ns);

void rpc_serve_request(struct rpc_conn *conn, const struct frame *frame, struct blob message);
void rpc_peer_reply(struct rpc_conn *conn, const struct frame *frame, struct blob message);
struct rpc_op_count *rpc_count_row(const struct rpc *rpc, const struct proto_op *op);

#endif
