/* SPDX-License-Identifier: Apache-2.0
 * The net seam over libfabric's connected endpoints (FI_EP_MSG): connections and messages. ofi.h has the life of a connection.
 *
 * FI_EP_MSG, because only it reports a dead peer and lets a hung one be cut off. Progress is manual: everything happens inside poll, on
 * the loop. Whatever a peer sends us ends at worst its own connection; but libfabric's tcp provider (1.17) believes the headers of
 * its own protocol once a connection is made, so a peer that forges those can crash us: keep the port from strangers. What libfabric may
 * still complete after an endpoint was closed stays allocated in the graveyard until it has. */
#include "common/base/check.h"
#include "common/io/ofi.h"
#include "common/io/ofi_open.h"

enum {
	CQ_BATCH = 32,
	CQ_PULL_MAX = 256,      /* completions of one poll, so that tasks get their turn */
	EQ_POLL_INTERVAL = 16,  /* the event queue is polled once in this many polls while nothing connects */
	CM_DATA_BYTES_MAX = 256,
	UNANSWERED_MAX = 64,
	SMALL_PER_SLAB = 64,
	LARGE_PER_SLAB = 16,
};

/* Told when connecting: whoever does not say it speaks something else. */
static const char cm_greeting[8] = "stria/1";

void ofi_update_in_flight(struct ofi_net *net)
{
	net->cq_source.in_flight = net->rma_count > 0 || net->connecting_count > 0 || net->unanswered > 0;
}

/* ---- connections ---------------------------------------------------------------------------------------------- */

static bool is_connecting(const struct ofi_conn *conn)
{
	return conn->state == CONN_CONNECTING || conn->state == CONN_ACCEPTING;
}

static void set_state(struct ofi_conn *conn, enum ofi_conn_state state)
{
	struct ofi_net *net = conn->net;
	net->connecting_count -= is_connecting(conn);
	conn->state = state;
	net->connecting_count += is_connecting(conn);
	ofi_update_in_flight(net);
}

static void set_unanswered(struct ofi_conn *conn, unsigned unanswered)
{
	struct ofi_net *net = conn->net;
	net->unanswered = net->unanswered - conn->unanswered + unanswered;
	conn->unanswered = unanswered;
	ofi_update_in_flight(net);
}

static int post_recv(struct ofi_conn *conn, struct ofi_xfer *xfer)
{
	ssize_t rc = fi_recv(conn->ep, xfer->buf, OFI_RECV_BYTES, xfer->desc, 0, &xfer->context);
	if (rc < 0)
		return fail(-ofi_error(rc));
	list_push_back(&conn->recvs, &xfer->link);
	return 0;
}

static void conn_free(struct ofi_conn *conn)
{
	list_remove(&conn->link);
	if (conn->recv_mr != NULL)
		(void)fi_close(&conn->recv_mr->fid); /* a leaked registration of ours is all that could remain */
	mem_free(conn->recv_mem);
	mem_free(conn);
}

/* An endpoint made from `info`, with its receives posted. */
static int conn_new(struct ofi_net *net, struct fi_info *info, enum ofi_conn_state state, struct ofi_conn **ret_conn)
{
	if (net->conn_count >= net->opts.conns_max)
		return fail(ERR_busy);
	struct ofi_conn *conn = mem_alloc(sizeof(*conn));
	conn->conn.net = &net->net;
	conn->net = net;
	list_init(&conn->recvs);
	list_init(&conn->sends);
	list_init(&conn->rmas);
	list_init(&conn->held);
	waitq_init(&conn->tx_waitq);
	list_node_init(&conn->link);
	conn->recv_mem = mem_alloc_aligned(4096, (size_t)OFI_RECV_COUNT * OFI_RECV_BYTES);
	void *desc = NULL;
	int rc = ofi_register_local(net, conn->recv_mem, (size_t)OFI_RECV_COUNT * OFI_RECV_BYTES, &conn->recv_mr, &desc);
	if (rc < 0)
		goto no_endpoint;
	rc = fi_endpoint(net->domain, info, &conn->ep, conn);
	if (rc < 0)
		goto no_endpoint;
	rc = fi_ep_bind(conn->ep, &net->eq->fid, 0);
	if (rc == 0)
		rc = fi_ep_bind(conn->ep, &net->cq->fid, FI_TRANSMIT | FI_RECV);
	if (rc == 0)
		rc = fi_enable(conn->ep);
	for (size_t i = 0; i < OFI_RECV_COUNT && rc == 0; i++) {
		struct ofi_xfer *xfer = &conn->recv_xfers[i];
		*xfer = (struct ofi_xfer){.kind = XFER_RECV, .conn = conn, .buf = conn->recv_mem + i * OFI_RECV_BYTES,
					  .desc = desc};
		rc = post_recv(conn, xfer);
	}
	list_push_back(&net->conns, &conn->link);
	net->conn_count++;
	conn->state = CONN_OPEN;
	set_state(conn, state);
	if (rc < 0) {
		ofi_conn_kill(conn, -ERR_conn_lost);
		return fail(-ofi_error(rc));
	}
	*ret_conn = conn;
	return 0;
no_endpoint:
	conn_free(conn);
	return fail(-ofi_error(rc));
}

/* Ends it at once: no buffer of ours is touched after this. The owner, if it knows the connection, is told by the next poll. */
void ofi_conn_kill(struct ofi_conn *conn, int rc)
{
	struct ofi_net *net = conn->net;
	if (conn->state == CONN_DEAD)
		return;
	conn->is_closed_due = conn->state == CONN_OPEN && conn->is_shown;
	conn->rc = rc;
	set_unanswered(conn, 0);
	set_state(conn, CONN_DEAD);
	list_remove(&conn->link);
	list_push_back(&net->graveyard, &conn->link);
	net->conn_count--;
	conn->dead_since_ns = loop_now_ns(net->net.loop);
	CHECK(fi_close(&conn->ep->fid) == 0); /* else memory that is about to be reused could still be written */
	conn->ep = NULL;
	ofi_rma_abandon(conn, -ERR_conn_lost);
	waitq_wake_all(&conn->tx_waitq);
	if (conn->connector != NULL)
		task_wake(conn->connector);
}

void ofi_conn_unpin(struct ofi_conn *conn)
{
	CHECK(conn->pins > 0);
	conn->pins--;
}

static void send_completed(struct ofi_xfer *xfer);

/* Give back what a provider did not complete in time after its endpoint was closed. Whatever completes in the meantime comes
 * through ofi_cq_pull. tcp completes everything inside fi_close. */
static void forget_outstanding(struct ofi_conn *conn)
{
	struct list_node *node;
	while ((node = list_pop_front(&conn->sends)) != NULL) {
		conn->send_count--;
		send_completed(CONTAINER_OF(node, struct ofi_xfer, link));
	}
	while ((node = list_pop_front(&conn->rmas)) != NULL) {
		conn->rma_count--;
		conn->net->rma_count--;
		ofi_rma_completed(CONTAINER_OF(node, struct ofi_xfer, link));
	}
	while (list_pop_front(&conn->recvs) != NULL)
		;
}

/* Tell owners, and free what nothing points to any more. Runs when nothing is left in net->completed. */
static bool graveyard_sweep(struct ofi_net *net)
{
	bool any = false;
	list_for_each_safe(node, tmp, &net->graveyard) {
		struct ofi_conn *conn = CONTAINER_OF(node, struct ofi_conn, link);
		if (conn->is_closed_due) {
			conn->is_closed_due = false;
			any = true;
			net->net.events->closed(net->net.events_ctx, &conn->conn, conn->rc);
		}
		bool is_quiet = list_is_empty(&conn->recvs) && list_is_empty(&conn->sends) && list_is_empty(&conn->rmas);
		if (!is_quiet && loop_now_ns(net->net.loop) - conn->dead_since_ns > OFI_FLUSH_NS_MAX) {
			forget_outstanding(conn);
			is_quiet = true;
		}
		if (is_quiet && conn->pins == 0)
			conn_free(conn);
	}
	return any;
}

/* ---- prefixes: see enum ofi_kind ------------------------------------------------------------------------------- */

void ofi_put_prefix(const struct ofi_conn *conn, enum ofi_kind kind, uint8_t prefix[OFI_PREFIX_BYTES])
{
	uint32_t reads_done = conn->reads_announced;
	list_for_each(node, &conn->rmas) { /* oldest first */
		const struct ofi_xfer *xfer = CONTAINER_OF(node, struct ofi_xfer, link);
		if (xfer->is_read) {
			reads_done = xfer->read_index;
			break;
		}
	}
	store_le32(prefix, kind);
	store_le32(prefix + 4, reads_done);
}

/* Looks at a message as soon as it is pulled, long before its turn comes. False: rubbish. */
static bool take_prefix(struct ofi_conn *conn, const uint8_t *msg, size_t len)
{
	if (len < OFI_PREFIX_BYTES)
		return false;
	uint32_t kind = load_le32(msg), reads_done = load_le32(msg + 4);
	if (reads_done - conn->reads_done > conn->reads_begun - conn->reads_done)
		return false;
	conn->reads_done = reads_done;
	conn->is_write_open = false;
	if (kind == OFI_DATA)
		return true;
	if (len != OFI_ANNOUNCE_BYTES)
		return false;
	if (kind == OFI_WRITE_BEGINS) {
		conn->is_write_open = true;
		conn->write_key = load_le64(msg + OFI_PREFIX_BYTES);
		return true;
	}
	if (kind != OFI_READ_BEGINS || conn->reads_begun - conn->reads_done == OFI_READS_OPEN_MAX)
		return false;
	conn->read_keys[conn->reads_begun++ % OFI_READS_OPEN_MAX] = load_le64(msg + OFI_PREFIX_BYTES);
	return true;
}

/* ---- completions ---------------------------------------------------------------------------------------------- */

static void send_completed(struct ofi_xfer *xfer)
{
	struct ofi_conn *conn = xfer->conn;
	int rc = xfer->rc;
	xfer->conn = NULL;
	list_push_front(&xfer->pool->free, &xfer->link);
	waitq_wake_one(&conn->tx_waitq);
	if (rc < 0)
		ofi_conn_kill(conn, -ERR_conn_lost);
}

static void show(struct ofi_conn *conn)
{
	set_state(conn, CONN_OPEN);
	conn->is_shown = true;
	conn->net->net.events->accepted(conn->net->net.events_ctx, &conn->conn);
}

static void recv_completed(struct ofi_xfer *xfer)
{
	struct ofi_conn *conn = xfer->conn;
	struct ofi_net *net = conn->net;
	if (conn->state == CONN_DEAD)
		return;
	if (xfer->rc < 0) {
		ofi_conn_kill(conn, conn->state == CONN_CONNECTING ? -ERR_refused : -ERR_conn_lost);
		return;
	}
	if (conn->state == CONN_CONNECTING || conn->state == CONN_HELD) {
		list_push_back(&conn->held, &xfer->link);
		return;
	}
	if (conn->state == CONN_ACCEPTING)
		show(conn);
	if (conn->state == CONN_OPEN && load_le32(xfer->buf) == OFI_DATA) {
		if (conn->unanswered > 0)
			set_unanswered(conn, conn->unanswered - 1);
		net->net.events->message(net->net.events_ctx, &conn->conn, xfer->buf + OFI_PREFIX_BYTES,
					 xfer->len - OFI_PREFIX_BYTES);
	}
	if (conn->state == CONN_OPEN && post_recv(conn, xfer) < 0)
		ofi_conn_kill(conn, -ERR_conn_lost);
}

static void completed(struct ofi_net *net, struct ofi_xfer *xfer, size_t len, int rc)
{
	list_remove(&xfer->link);
	switch (xfer->kind) {
	case XFER_RECV:
		if (rc == 0 && !take_prefix(xfer->conn, xfer->buf, len))
			rc = fail(ERR_malformed);
		break;
	case XFER_SEND:
		xfer->conn->send_count--;
		break;
	case XFER_RMA:
		xfer->conn->rma_count--;
		net->rma_count--;
		break;
	}
	xfer->len = len;
	xfer->rc = rc;
	list_push_back(&net->completed, &xfer->link);
}

static void pull_error(struct ofi_net *net)
{
	struct fi_cq_err_entry err = {0};
	if (fi_cq_readerr(net->cq, &err, 0) < 1 || err.op_context == NULL)
		return;
	struct ofi_xfer *xfer = CONTAINER_OF(err.op_context, struct ofi_xfer, context);
	int rc = err.err != 0 ? ofi_error(-err.err) : -EIO;
	completed(net, xfer, 0, rc < 0 ? rc : -EIO);
}

/* libfabric's tcp provider takes the errno of some earlier call for the reason why a read of 0 bytes (the other side has closed) was short. An old
 * EAGAIN then means "later", and a port scan leaves a socket that is readable for ever: the loop would never sleep again. */
static void forget_errno(void)
{
	errno = ECONNRESET;
}

bool ofi_cq_pull(struct ofi_net *net)
{
	struct fi_cq_msg_entry entries[CQ_BATCH];
	size_t pulled = 0;
	while (pulled < CQ_PULL_MAX) {
		forget_errno();
		ssize_t n = fi_cq_read(net->cq, entries, CQ_BATCH);
		if (n == -FI_EAVAIL) {
			pull_error(net);
			pulled++;
			continue;
		}
		if (n <= 0)
			break;
		pulled += (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			if (entries[i].op_context != NULL)
				completed(net, CONTAINER_OF(entries[i].op_context, struct ofi_xfer, context),
					  entries[i].len, 0);
	}
	return pulled > 0;
}

static void dispatch(struct ofi_net *net)
{
	struct list_node *node;
	while ((node = list_pop_front(&net->completed)) != NULL) {
		struct ofi_xfer *xfer = CONTAINER_OF(node, struct ofi_xfer, link);
		switch (xfer->kind) {
		case XFER_RECV:
			recv_completed(xfer);
			break;
		case XFER_SEND:
			send_completed(xfer);
			break;
		case XFER_RMA:
			ofi_rma_completed(xfer);
			break;
		}
	}
}

static bool cq_poll(struct loop_source *source)
{
	struct ofi_net *net = CONTAINER_OF(source, struct ofi_net, cq_source);
	bool any = ofi_cq_pull(net) || !list_is_empty(&net->completed);
	dispatch(net);
	ofi_update_in_flight(net);
	if (!list_is_empty(&net->graveyard))
		any |= graveyard_sweep(net);
	return any;
}

static bool cq_prepare_sleep(struct loop_source *source)
{
	struct ofi_net *net = CONTAINER_OF(source, struct ofi_net, cq_source);
	net->polls_until_eq = 0;
	if (!list_is_empty(&net->completed))
		return false;
	list_for_each(node, &net->graveyard)
		if (CONTAINER_OF(node, struct ofi_conn, link)->is_closed_due)
			return false;
	struct fid *fids[] = {&net->cq->fid, &net->eq->fid};
	forget_errno();
	return fi_trywait(net->fabric, fids, (int)ARRAY_COUNT(fids)) == 0;
}

/* ---- events: connections come and go -------------------------------------------------------------------------- */

/* By comparison, never by what fid points to: an event may outlive its endpoint. */
static struct ofi_conn *find_conn(struct ofi_net *net, const struct fid *fid)
{
	list_for_each(node, &net->conns) {
		struct ofi_conn *conn = CONTAINER_OF(node, struct ofi_conn, link);
		if (&conn->ep->fid == fid)
			return conn;
	}
	return NULL;
}

static void connection_requested(struct ofi_net *net, struct fi_eq_cm_entry *entry, size_t data_len)
{
	struct ofi_conn *conn = NULL;
	bool is_ours = data_len >= sizeof(cm_greeting) && memcmp(entry->data, cm_greeting, sizeof(cm_greeting)) == 0;
	struct fid_pep *pep = CONTAINER_OF(entry->fid, struct fid_pep, fid);
	if (!is_ours || net->net.events == NULL || conn_new(net, entry->info, CONN_ACCEPTING, &conn) < 0) {
		(void)fi_reject(pep, entry->info->handle, NULL, 0); /* a peer that does not hear it times out */
		fi_freeinfo(entry->info);
		return;
	}
	ofi_address_print(net, entry->info->dest_addr, entry->info->dest_addrlen, conn->peer_name);
	int rc = fi_accept(conn->ep, NULL, 0);
	fi_freeinfo(entry->info);
	if (rc < 0)
		ofi_conn_kill(conn, -ERR_conn_lost);
}

static void connection_established(struct ofi_conn *conn)
{
	if (conn->state == CONN_CONNECTING) {
		set_state(conn, CONN_HELD);
		task_wake(conn->connector);
	} else if (conn->state == CONN_ACCEPTING) {
		show(conn);
	}
}

static void event_error(struct ofi_net *net)
{
	struct fi_eq_err_entry err = {0};
	if (fi_eq_readerr(net->eq, &err, 0) < 1)
		return;
	struct ofi_conn *conn = find_conn(net, err.fid);
	if (conn != NULL)
		ofi_conn_kill(conn, conn->state == CONN_CONNECTING ? -ERR_refused : -ERR_conn_lost);
}

static bool eq_poll(struct loop_source *source)
{
	struct ofi_net *net = CONTAINER_OF(source, struct ofi_net, eq_source);
	if (net->polls_until_eq > 0 && net->connecting_count == 0) {
		net->polls_until_eq--;
		return false;
	}
	net->polls_until_eq = EQ_POLL_INTERVAL;
	union {
		struct fi_eq_cm_entry entry;
		uint8_t bytes[sizeof(struct fi_eq_cm_entry) + CM_DATA_BYTES_MAX];
	} buf;
	bool any = false;
	for (int i = 0; i < CQ_PULL_MAX; i++) {
		uint32_t event = 0;
		forget_errno();
		ssize_t n = fi_eq_read(net->eq, &event, &buf, sizeof(buf), 0);
		if (n == -FI_EAVAIL) {
			event_error(net);
			any = true;
			continue;
		}
		if (n < (ssize_t)sizeof(struct fi_eq_cm_entry))
			break;
		any = true;
		struct ofi_conn *conn = event == FI_CONNREQ ? NULL : find_conn(net, buf.entry.fid);
		if (event == FI_CONNREQ) {
			connection_requested(net, &buf.entry, (size_t)n - sizeof(struct fi_eq_cm_entry));
		} else if (event == FI_CONNECTED && conn != NULL) {
			connection_established(conn);
		} else if (event == FI_SHUTDOWN && conn != NULL) {
			while (ofi_cq_pull(net)) /* what it sent before it went away comes first */
				dispatch(net);
			if (find_conn(net, buf.entry.fid) == conn)
				ofi_conn_kill(conn, -ERR_conn_lost);
		}
	}
	return any;
}

/* ---- the seam ------------------------------------------------------------------------------------------------- */

struct listen_call {
	struct ofi_net *net;
	struct ofi_address address;
	char *ret_addr;
	int rc;
};

static void listen_on_loop(void *arg)
{
	struct listen_call *call = arg;
	struct ofi_net *net = call->net;
	struct ofi_pep *pep = mem_alloc(sizeof(*pep));
	struct fi_info *info = ofi_info_for(net, &call->address, true);
	struct sockaddr_storage bound;
	size_t bound_len = sizeof(bound);
	int rc = fi_passive_ep(net->fabric, info, &pep->pep, NULL);
	if (rc == 0)
		rc = fi_pep_bind(pep->pep, &net->eq->fid, 0);
	if (rc == 0)
		rc = fi_listen(pep->pep);
	if (rc == 0)
		rc = fi_getname(&pep->pep->fid, &bound, &bound_len);
	fi_freeinfo(info);
	if (rc < 0) {
		if (pep->pep != NULL)
			(void)fi_close(&pep->pep->fid); /* it never listened */
		mem_free(pep);
		call->rc = ofi_error(rc);
		return;
	}
	list_push_back(&net->peps, &pep->link);
	ofi_address_print(net, &bound, bound_len, call->ret_addr);
}

static int ofi_listen(struct net *net_, const char *addr, char ret_addr[NET_ADDR_BYTES_MAX])
{
	struct listen_call call = {.net = CONTAINER_OF(net_, struct ofi_net, net), .ret_addr = ret_addr};
	int rc = ofi_address_parse(call.net, addr, &call.address);
	if (rc < 0)
		return rc;
	task_call_on_loop(net_->loop, listen_on_loop, &call);
	return call.rc < 0 ? fail(-call.rc) : 0;
}

struct connect_call {
	struct ofi_net *net;
	struct ofi_address address;
	struct ofi_conn *conn;
	int rc;
};

static void connect_on_loop(void *arg)
{
	struct connect_call *call = arg;
	struct fi_info *info = ofi_info_for(call->net, &call->address, false);
	call->rc = conn_new(call->net, info, CONN_CONNECTING, &call->conn);
	if (call->rc == 0) {
		struct ofi_conn *conn = call->conn;
		ofi_address_print(call->net, info->dest_addr, info->dest_addrlen, conn->peer_name);
		call->rc = fi_connect(conn->ep, info->dest_addr, cm_greeting, sizeof(cm_greeting));
		if (call->rc < 0) {
			ofi_conn_kill(conn, -ERR_refused);
			call->conn = NULL;
			call->rc = -ERR_refused;
		}
	}
	fi_freeinfo(info);
}

static void kill_timed_out(void *arg)
{
	ofi_conn_kill(arg, -ERR_timeout);
}

static int ofi_connect(struct net *net_, const char *addr, uint64_t deadline_ns, struct net_conn **ret_conn)
{
	struct ofi_net *net = CONTAINER_OF(net_, struct ofi_net, net);
	struct connect_call call = {.net = net};
	int rc = ofi_address_parse(net, addr, &call.address);
	if (rc < 0)
		return rc;
	task_call_on_loop(net_->loop, connect_on_loop, &call);
	if (call.rc < 0)
		return fail(-call.rc);
	struct ofi_conn *conn = call.conn;
	conn->connector = task_current(net_->loop);
	conn->pins++;
	while (conn->state == CONN_CONNECTING && rc == 0)
		rc = task_park_until(net_->loop, deadline_ns);
	conn->connector = NULL;
	if (conn->state == CONN_CONNECTING)
		task_call_on_loop(net_->loop, kill_timed_out, conn);
	ofi_conn_unpin(conn);
	if (conn->state == CONN_DEAD)
		return fail(-conn->rc);
	set_state(conn, CONN_OPEN);
	conn->is_shown = true;
	list_splice_back(&conn->held, &net->completed); /* what came early is delivered first, by the next poll */
	list_splice_back(&net->completed, &conn->held);
	*ret_conn = &conn->conn;
	return 0;
}

struct send_call {
	struct ofi_conn *conn;
	struct blob head, body;
	int rc;
};

static void copy_parts(uint8_t *to, const struct send_call *call)
{
	ofi_put_prefix(call->conn, OFI_DATA, to);
	to += OFI_PREFIX_BYTES;
	if (call->head.len > 0)
		memcpy(to, call->head.ptr, call->head.len);
	if (call->body.len > 0)
		memcpy(to + call->head.len, call->body.ptr, call->body.len);
}

static void send_on_loop(void *arg)
{
	struct send_call *call = arg;
	struct ofi_conn *conn = call->conn;
	struct ofi_net *net = conn->net;
	size_t len = OFI_PREFIX_BYTES + call->head.len + call->body.len;
	ssize_t rc;
	uint8_t small[256];
	if (len <= sizeof(small) && len <= net->info->tx_attr->inject_size) {
		copy_parts(small, call);
		rc = fi_inject(conn->ep, small, len, 0);
	} else {
		struct ofi_xfer *xfer;
		call->rc = ofi_pool_get(net, len <= OFI_SMALL_BYTES ? &net->small : &net->large, &xfer);
		if (call->rc < 0)
			return;
		copy_parts(xfer->buf, call);
		xfer->conn = conn;
		rc = fi_send(conn->ep, xfer->buf, len, xfer->desc, 0, &xfer->context);
		if (rc == 0) {
			list_push_back(&conn->sends, &xfer->link);
			conn->send_count++;
		} else {
			xfer->conn = NULL;
			list_push_front(&xfer->pool->free, &xfer->link);
		}
	}
	if (rc == -FI_EAGAIN)
		call->rc = -ERR_busy;
	else if (rc < 0)
		call->rc = fail(ERR_conn_lost); /* the event queue will say why */
	else if (conn->unanswered < UNANSWERED_MAX)
		set_unanswered(conn, conn->unanswered + 1);
}

static int ofi_send(struct net_conn *conn_, struct blob head, struct blob body)
{
	struct send_call call = {.conn = CONTAINER_OF(conn_, struct ofi_conn, conn), .head = head, .body = body};
	if (head.len > NET_MSG_BYTES_MAX || body.len > NET_MSG_BYTES_MAX - head.len)
		return fail(ERR_too_long);
	if (call.conn->state != CONN_OPEN)
		return fail(ERR_conn_lost);
	if (call.conn->send_count >= OFI_SENDS_PER_CONN_MAX)
		return -ERR_busy; /* an ordinary state, not worth a trace record each time */
	task_call_on_loop(conn_->net->loop, send_on_loop, &call);
	return call.rc;
}

static void close_on_loop(void *arg)
{
	struct ofi_conn *conn = arg;
	ofi_conn_kill(conn, -ERR_conn_lost);
	conn->is_closed_due = false; /* also of one that died and whose owner was not told yet */
}

static void ofi_close(struct net_conn *conn)
{
	task_call_on_loop(conn->net->loop, close_on_loop, CONTAINER_OF(conn, struct ofi_conn, conn));
}

static const char *ofi_peer_name(struct net_conn *conn)
{
	return CONTAINER_OF(conn, struct ofi_conn, conn)->peer_name;
}

static void ofi_fini(struct net *net_)
{
	struct ofi_net *net = CONTAINER_OF(net_, struct ofi_net, net);
	struct list_node *node;
	while ((node = list_pop_front(&net->peps)) != NULL) {
		struct ofi_pep *pep = CONTAINER_OF(node, struct ofi_pep, link);
		(void)fi_close(&pep->pep->fid); /* the socket goes with the process at the latest */
		mem_free(pep);
	}
	while ((node = list_first(&net->conns)) != NULL)
		close_on_loop(CONTAINER_OF(node, struct ofi_conn, link));
	while (ofi_cq_pull(net))
		;
	while (list_pop_front(&net->completed) != NULL) /* buffers go with their pools */
		;
	while ((node = list_first(&net->graveyard)) != NULL)
		conn_free(CONTAINER_OF(node, struct ofi_conn, link));
	ofi_bulk_fini(net);
	ofi_pool_fini(&net->small);
	ofi_pool_fini(&net->large);
	loop_source_remove(&net->cq_source);
	loop_source_remove(&net->eq_source);
	ofi_shut(net);
	threads_free(net->resolver);
	rng_os_free(net->rng);
	mem_free(net);
}

static const struct net_ops ofi_ops = {
	.listen = ofi_listen,
	.connect = ofi_connect,
	.send = ofi_send,
	.close = ofi_close,
	.mr_open = ofi_mr_open,
	.mr_close = ofi_mr_close,
	.mr_describe = ofi_mr_describe,
	.rma_read = ofi_rma_read,
	.rma_write = ofi_rma_write,
	.peer_name = ofi_peer_name,
	.fini = ofi_fini,
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value != 0 ? value : fallback;
}

int net_ofi_new(struct loop *loop, const struct net_ofi_opts *opts, struct net **ret_net,
		char error_text[IO_ERROR_TEXT_BYTES])
{
	struct ofi_net *net = mem_alloc(sizeof(*net));
	net->net = (struct net){.ops = &ofi_ops, .loop = loop};
	net->opts = *opts;
	net->opts.conns_max = or_default(opts->conns_max, 4096);
	net->opts.mrs_max = or_default(opts->mrs_max, 65536);
	(void)snprintf(net->provider, sizeof(net->provider), "%s", opts->provider != NULL ? opts->provider : "tcp");
	list_init(&net->conns);
	list_init(&net->graveyard);
	list_init(&net->peps);
	list_init(&net->mrs);
	list_init(&net->completed);
	list_init(&net->free_rmas);
	list_init(&net->rma_blocks);
	ofi_pool_init(&net->small, OFI_SMALL_BYTES, SMALL_PER_SLAB, or_default(opts->send_small_max, 4096));
	ofi_pool_init(&net->large, NET_MSG_BYTES_MAX + OFI_PREFIX_BYTES, LARGE_PER_SLAB, or_default(opts->send_large_max, 512));
	int rc = ofi_open(net, error_text);
	if (rc < 0) {
		ofi_shut(net);
		mem_free(net);
		return rc;
	}
	net->rng = rng_os_new();
	net->cq_source.poll = cq_poll;
	net->cq_source.prepare_sleep = cq_prepare_sleep;
	net->eq_source.poll = eq_poll;
	loop_source_add(loop, &net->cq_source);
	loop_source_add(loop, &net->eq_source);
	*ret_net = &net->net;
	return 0;
}
