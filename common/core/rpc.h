/* SPDX-License-Identifier: Apache-2.0
 * Calls over the net seam: one `struct rpc` per node (a target or a mount), which both calls and serves.
 *
 * It owns connections, request ids, deadlines, hello and version agreement. It does not know operation numbers' meaning, retries or
 * recovery: those belong to its user. Rubbish from a peer is counted and ends that connection, never more. */
#ifndef STRIA_CORE_RPC_H
#define STRIA_CORE_RPC_H

#include "common/core/env.h"
#include "common/core/task.h"
#include "proto/frame.h"
#include "proto/proto.h"

struct json_out;
struct rpc;
struct rpc_peer;
struct rpc_call;

/* What the node is, told in hello and checked in others' hellos. Kept up to date by its owner. */
struct rpc_identity {
	uint8_t role;               /* enum peer_role, as a caller */
	uint8_t kind;               /* enum target_kind, as a server; TARGET_NONE for a mount */
	uint8_t state;              /* enum target_state */
	uint32_t index;
	uint64_t cluster_hi, cluster_lo; /* 0,0: not known yet */
	uint64_t boot;
	uint64_t client;            /* in every frame; for an MDT or OST rpc_target_client() */
	uint64_t lowest;            /* lowest operation number without an answer */
	uint64_t epoch;             /* of the map it has */
	uint64_t heard_epoch;       /* of the newest that it has heard of and will fetch; its frames carry this one if it is higher */
};
/* The `client` of a target that calls: a range that the MGS never gives to mounts. */
static inline uint64_t rpc_target_client(uint8_t kind, uint32_t index)
{
	return UINT64_C(1) << 63 | (uint64_t)kind << 32 | index;
}

struct rpc_server_ops {
	/* Serve one decoded request in a task of its own; parks as it likes. `rep` is zeroed and sent when it returns 0; what rep's strings point to lives
	 * until then (call's arena). A negative result is sent as the status. May be NULL: every request is then answered EOPNOTSUPP.
	 * Requests come over connections that we opened, too: a target calls its client back. */
	int (*serve)(void *ctx, struct rpc_call *call, const void *req, void *rep);
	/* A peer carries a newer map epoch than identity.epoch. On the loop, must not park; repeated. May be NULL. */
	void (*newer_epoch)(void *ctx, uint64_t epoch);
	/* hello from a caller, before its first request; a negative result refuses it. Must not park. May be NULL. */
	int (*hello)(void *ctx, const struct rpc_call *call, const struct hello_req *req);
};

/* One request that is being served. */
struct rpc_call {
	struct rpc *rpc;
	const struct proto_op *op;
	struct frame frame;
	struct arena arena;       /* dies with the call */
	uint8_t role;             /* of the caller, from its hello */
	uint64_t peer_boot;       /* of the caller, from its hello */
	struct net_conn *conn;    /* NULL once it is gone: nobody waits for the reply */
	void *user;               /* serve's own */
	struct list_node link;
	struct rpc_conn *owner;
	uint8_t *message;
};

/* Move `len` bytes between [offset, …) of our own region `mr` and the caller's memory, for a request that is being served. Parks. Like the net seam's
 * RMA, but a caller that does not take part for RPC_BULK_TIMEOUT_NS loses its connection instead of holding our buffer for ever.
 * Errors: ERR_conn_lost, ERR_bad_key. */
#define RPC_BULK_TIMEOUT_NS (4 * NS_PER_S)
int rpc_call_pull(struct rpc_call *call, struct net_mr *mr, size_t offset, struct rma remote, size_t len);
int rpc_call_push(struct rpc_call *call, struct net_mr *mr, size_t offset, struct rma remote, size_t len);

struct rpc_opts {
	uint32_t serving_max;     /* requests served at once; more get ERR_busy. 0: 1024 */
	uint32_t window;          /* requests in flight to one peer; more wait. 0: 128 */
};
/* `env` and `identity` are borrowed for its life. */
struct rpc *rpc_new(struct env *env, struct rpc_identity *identity, const struct rpc_server_ops *ops, void *ctx, const struct rpc_opts *opts);
/* Closes every connection; calls in flight return -ERR_aborted first if their tasks still run: free only when the loop has ended. */
void rpc_free(struct rpc *rpc);
/* Accept connections. Errors of net listen. */
int rpc_listen(struct rpc *rpc, const char *address, char ret_address[NET_ADDR_BYTES_MAX]);
struct env *rpc_env(struct rpc *rpc);

/* ---- calling -------------------------------------------------------------------------------------------------- */
/* A target to call, by address; connected on demand, one connection. `address` is copied and may name alternatives ("a,b"). */
struct rpc_peer *rpc_peer_new(struct rpc *rpc, const char *address);
void rpc_peer_free(struct rpc_peer *peer);
void rpc_peer_set_address(struct rpc_peer *peer, const char *address);
const char *rpc_peer_address(const struct rpc_peer *peer);
/* Cut the connection, if there is one: every call on it returns -ERR_conn_lost, no RMA touches our memory from here on. */
void rpc_peer_disconnect(struct rpc_peer *peer);
bool rpc_peer_is_connected(const struct rpc_peer *peer);
/* From its last hello; 0 before the first. */
uint64_t rpc_peer_boot(const struct rpc_peer *peer);
uint8_t rpc_peer_state(const struct rpc_peer *peer);
/* Called on each completed hello, inside the task that connects, before any other call goes out; must not park. */
void rpc_peer_on_hello(struct rpc_peer *peer, void (*fn)(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep), void *ctx);
/* Called when a connection that had said hello is gone, whoever ended it; must not park or call the peer: it may be inside a net event. */
void rpc_peer_on_closed(struct rpc_peer *peer, void (*fn)(void *ctx, struct rpc_peer *peer), void *ctx);

struct rpc_args {
	struct arena *arena;   /* the reply's strings live here; NULL: the reply has none, or they are not wanted */
	uint64_t timeout_ns;   /* for everything, connecting too; 0: 5 s */
	uint64_t opno;         /* of a mutation; 0: none */
	bool resent;           /* not the first copy of this opno */
	uint32_t bulk_len;     /* > 0: the peer may reach our memory for this call: giving up cuts the connection */
	bool *ret_sent;        /* set when the message has gone out, whatever becomes of it; NULL: not wanted */
};
/* One attempt: connect if need be, send, wait. Parks. 0 and *ret_rep filled, or the peer's negative status, or ERR_refused, ERR_timeout,
 * ERR_conn_lost, ERR_version, ERR_wrong_cluster. When it returns, no RMA of this call touches our memory any more. */
int rpc_call(struct rpc_peer *peer, enum op op, const void *req, void *ret_rep, const struct rpc_args *args);

/* Typed: rpc_lookup(peer, &req, &rep, &args), … */
#define OP(name, number, flags, since, text)                                                                             \
	static inline int rpc_##name(struct rpc_peer *peer, const struct name##_req *req, struct name##_rep *ret_rep,    \
				     const struct rpc_args *args)                                                        \
	{                                                                                                                \
		return rpc_call(peer, OP_##name, req, ret_rep, args);                                                    \
	}
PROTO_COMMON_OPS(OP) PROTO_MDS_OPS(OP) PROTO_OSS_OPS(OP) PROTO_MGS_OPS(OP)
#undef OP

/* One attempt to call the client back, over the newest connection that it opened to us. Parks. As rpc_call; ERR_conn_lost: it has none. Silence
 * until the deadline does not cut the connection: what the client is asked to do may take long, and its own calls share the connection. */
int rpc_call_back(struct rpc *rpc, uint64_t client, enum op op, const void *req, void *ret_rep, const struct rpc_args *args);
/* Parks until the client has such a connection, or the deadline: ERR_timeout. */
int rpc_wait_for_client(struct rpc *rpc, uint64_t client, uint64_t deadline_ns);

/* ---- counters ------------------------------------------------------------------------------------------------- */
struct rpc_op_count {
	uint64_t calls_made, calls_failed, served, served_failed;
	uint64_t made_ns, served_ns; /* sums of durations */
};
/* Of one operation; zero row for an unknown one. */
struct rpc_op_count rpc_count(const struct rpc *rpc, enum op op);
/* As members of the object that is open, {"OPERATION": {"served", "failed", "mean_us"}}: "ops" are those served, "calls" those made. */
void rpc_counts_json(const struct rpc *rpc, struct json_out *json);
uint64_t rpc_dropped_messages(const struct rpc *rpc); /* malformed, corrupt, of unknown versions */

#endif
