/* SPDX-License-Identifier: Apache-2.0
 * What net_ofi.c (connections, messages) and bulk_ofi.c (regions, RMA) share. Private to common/io.
 *
 * Life of a connection:
 *
 *   net->connect ─▶ CONNECTING ─ FI_CONNECTED ─▶ HELD ─ connect returns ─▶ OPEN
 *   FI_CONNREQ ───▶ ACCEPTING ── FI_CONNECTED, `accepted` ───────────────▶ OPEN
 *   any ── error, shutdown, close ──▶ DEAD: endpoint closed, owner told; memory stays until the last completion has come */
#ifndef STRIA_IO_OFI_H
#define STRIA_IO_OFI_H

#include "common/core/loop.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

enum {
	OFI_RECV_COUNT = 8,            /* posted receive buffers of a connection */
	OFI_PREFIX_BYTES = 8,          /* before each message: enum ofi_kind, 3 zeros, number of reads done (u32) */
	OFI_ANNOUNCE_BYTES = 16,       /* the prefix and a key */
	OFI_RECV_BYTES = NET_MSG_BYTES_MAX + OFI_PREFIX_BYTES,
	OFI_SMALL_BYTES = 4096,
	OFI_SENDS_PER_CONN_MAX = 64,   /* so that one stuck peer cannot take the whole pool */
	OFI_RMAS_PER_CONN_MAX = 64,    /* further ones wait in their tasks */
	OFI_READS_OPEN_MAX = 256,      /* announced by the peer and not yet told to be done; more is rubbish */
	OFI_FLUSH_NS_MAX = 1000 * 1000 * 1000, /* see graveyard_sweep */
};

enum ofi_conn_state { CONN_CONNECTING, CONN_HELD, CONN_ACCEPTING, CONN_OPEN, CONN_DEAD };

/* What a message is. Over tcp a region that is closed may still be written or read by an RMA whose header libfabric has taken in already, and
 * nothing tells us so. Hence each RMA is announced by a small message just before it: the stream is ordered, so a write is over when the next
 * message arrives, and a read when the peer says how many are done. mr_close cuts the connections that are inside the region. */
enum ofi_kind { OFI_DATA = 1, OFI_WRITE_BEGINS, OFI_READ_BEGINS };

enum ofi_xfer_kind { XFER_RECV, XFER_SEND, XFER_RMA };

/* An operation given to the provider. Its memory outlives the operation whatever happens. */
struct ofi_xfer {
	struct fi_context2 context; /* the provider's; first */
	enum ofi_xfer_kind kind;
	struct list_node link; /* conn->recvs, ->sends, ->rmas; when completed: net->completed; when free: its pool */
	struct ofi_conn *conn;
	uint8_t *buf;               /* of a receive or send */
	void *desc;
	struct ofi_pool *pool;      /* of a send */
	struct ofi_rma_wait *wait;  /* of an RMA: on its task's stack; NULL once that was told */
	bool is_read;               /* of an RMA */
	uint32_t read_index;        /* of an announced read */
	size_t len;                 /* completed receive: bytes */
	int rc;                     /* completed: 0 or negative */
};

struct ofi_rma_wait {
	struct task *task;
	bool done;
	int rc;
};

/* Send buffers of one size, allocated and registered a slab at a time. */
struct ofi_slab;
struct ofi_pool {
	struct list free; /* of ofi_xfer */
	size_t buf_bytes, count, count_max, per_slab;
	struct ofi_slab *slabs;
};

struct ofi_conn {
	struct net_conn conn; /* what the owner sees */
	struct list_node link; /* net->conns or net->graveyard */
	struct ofi_net *net;
	struct fid_ep *ep;
	enum ofi_conn_state state;
	int rc;                     /* why it died */
	bool is_shown;              /* the owner knows it */
	bool is_closed_due;         /* the owner is to be told that it died */
	struct task *connector;     /* parked in connect */
	struct list recvs, sends, rmas; /* outstanding */
	size_t send_count, rma_count;
	struct list held;           /* received before connect returned */
	struct waitq tx_waitq;      /* tasks that wait for room in the send queue */
	unsigned pins;              /* tasks that look at it between parks */
	unsigned unanswered;        /* sends since the last receive */
	uint64_t dead_since_ns;
	uint32_t reads_announced;   /* by us */
	bool is_write_open;         /* the peer is inside the region with this key */
	uint64_t write_key;
	uint32_t reads_begun, reads_done; /* by the peer; keys of those in between: */
	uint64_t read_keys[OFI_READS_OPEN_MAX];
	uint8_t *recv_mem;
	struct fid_mr *recv_mr;
	struct ofi_xfer recv_xfers[OFI_RECV_COUNT];
	char peer_name[NET_ADDR_BYTES_MAX];
};

struct ofi_mr {
	struct net_mr mr;
	struct list_node link; /* net->mrs */
	struct fid_mr *fid;    /* NULL: local only, and the provider does not want it registered */
	void *desc;
	uint64_t key;
};

struct ofi_pep {
	struct list_node link;
	struct fid_pep *pep;
};

struct ofi_net {
	struct net net;
	struct net_ofi_opts opts;
	char provider[16];
	struct rng_source *rng;
	struct threads *resolver; /* started when the first name must be looked up */
	struct fi_info *info;     /* the template of endpoints */
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_cq *cq;
	struct loop_source cq_source, eq_source;
	unsigned polls_until_eq;
	struct list conns, graveyard, peps, mrs;
	struct list completed;    /* ofi_xfer, read from the completion queue and not yet dispatched */
	struct ofi_pool small, large;
	struct list free_rmas;    /* ofi_xfer */
	struct list rma_blocks;
	size_t conn_count, mr_count, rma_count;
	size_t connecting_count;
	size_t unanswered;        /* sum over connections: answers that may come soon */
	bool wants_local_mr, uses_virt_addr, uses_prov_key;
	bool announces;           /* see enum ofi_kind: not where closing a region stops what is inside it (verbs) */
};

#define OFI_API_VERSION FI_VERSION(1, 15)

/* net_ofi.c */
void ofi_conn_kill(struct ofi_conn *conn, int rc);
void ofi_conn_unpin(struct ofi_conn *conn);
/* Errors of libfabric (negative FI_E*) as ours (negative). */
int ofi_error(ssize_t rc);
/* Read what the completion queue has into net->completed. Never calls the owner. */
bool ofi_cq_pull(struct ofi_net *net);
void ofi_update_in_flight(struct ofi_net *net);

/* The prefix of a message that goes out now. */
void ofi_put_prefix(const struct ofi_conn *conn, enum ofi_kind kind, uint8_t prefix[OFI_PREFIX_BYTES]);

/* bulk_ofi.c */
int ofi_mr_open(struct net *net, void *base, size_t len, unsigned access, struct net_mr **ret_mr);
void ofi_mr_close(struct net_mr *mr);
struct rma ofi_mr_describe(struct net_mr *mr, size_t offset, uint32_t len);
int ofi_rma_read(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len);
int ofi_rma_write(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len);
void ofi_rma_completed(struct ofi_xfer *xfer);
/* Tell the tasks of all outstanding RMA that it has ended with `rc`. */
void ofi_rma_abandon(struct ofi_conn *conn, int rc);
/* Register memory of our own for sends and receives. */
int ofi_register_local(struct ofi_net *net, void *base, size_t len, struct fid_mr **ret_mr, void **ret_desc);
void ofi_bulk_fini(struct ofi_net *net);
int ofi_pool_get(struct ofi_net *net, struct ofi_pool *pool, struct ofi_xfer **ret_xfer);
void ofi_pool_init(struct ofi_pool *pool, size_t buf_bytes, size_t per_slab, size_t count_max);
void ofi_pool_fini(struct ofi_pool *pool);

#endif
