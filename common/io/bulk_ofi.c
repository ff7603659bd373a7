/* SPDX-License-Identifier: Apache-2.0
 * The net seam's memory regions and RMA over libfabric. Owns regions and the operations in flight on them.
 *
 * A provider that wants no virtual addresses counts from the region's start; one that lets us choose keys gets random ones, which
 * a peer that was not told cannot guess. Both are in what mr_describe returns, so the peer need not know. */
#include "common/base/check.h"
#include "common/io/ofi.h"

enum { RMA_BLOCK_COUNT = 64, KEY_ATTEMPTS = 8 };

struct rma_block {
	struct list_node link;
	struct ofi_xfer xfers[RMA_BLOCK_COUNT];
};

static uint64_t access_flags(unsigned access)
{
	uint64_t flags = 0;
	if (access & NET_ACCESS_LOCAL)
		flags |= FI_READ | FI_WRITE;
	if (access & NET_ACCESS_REMOTE_READ)
		flags |= FI_REMOTE_READ;
	if (access & NET_ACCESS_REMOTE_WRITE)
		flags |= FI_REMOTE_WRITE;
	return flags;
}

static int reg(struct ofi_net *net, void *base, size_t len, uint64_t flags, struct fid_mr **ret_mr)
{
	int rc = -FI_ENOKEY;
	for (int i = 0; i < KEY_ATTEMPTS && rc == -FI_ENOKEY; i++) {
		uint64_t key = net->uses_prov_key ? 0 : net->rng->ops->u64(net->rng) >> 1;
		rc = fi_mr_reg(net->domain, base, len, flags, 0, key, 0, ret_mr, NULL);
	}
	return rc;
}

int ofi_register_local(struct ofi_net *net, void *base, size_t len, struct fid_mr **ret_mr, void **ret_desc)
{
	if (!net->wants_local_mr)
		return 0;
	int rc = reg(net, base, len, FI_SEND | FI_RECV, ret_mr);
	if (rc < 0)
		return fail(-ofi_error(rc));
	*ret_desc = fi_mr_desc(*ret_mr);
	return 0;
}

struct mr_call {
	struct ofi_net *net;
	struct ofi_mr *mr;
	unsigned access;
	int rc;
};

static void mr_open_on_loop(void *arg)
{
	struct mr_call *call = arg;
	struct ofi_mr *mr = call->mr;
	if (!(call->access & (NET_ACCESS_REMOTE_READ | NET_ACCESS_REMOTE_WRITE)) && !call->net->wants_local_mr)
		return;
	call->rc = reg(call->net, mr->mr.base, mr->mr.len, access_flags(call->access), &mr->fid);
	if (call->rc < 0)
		return;
	mr->desc = fi_mr_desc(mr->fid);
	mr->key = fi_mr_key(mr->fid);
}

int ofi_mr_open(struct net *net_, void *base, size_t len, unsigned access, struct net_mr **ret_mr)
{
	struct ofi_net *net = CONTAINER_OF(net_, struct ofi_net, net);
	if (base == NULL || len == 0)
		return fail(EINVAL);
	if (net->mr_count >= net->opts.mrs_max)
		return fail(ERR_busy);
	struct ofi_mr *mr = mem_alloc(sizeof(*mr));
	mr->mr = (struct net_mr){.net = net_, .base = base, .len = len};
	struct mr_call call = {.net = net, .mr = mr, .access = access};
	task_call_on_loop(net_->loop, mr_open_on_loop, &call);
	if (call.rc < 0) {
		mem_free(mr);
		return fail(call.rc == -FI_ENOMEM ? ENOMEM : ERR_busy);
	}
	list_push_back(&net->mrs, &mr->link);
	net->mr_count++;
	*ret_mr = &mr->mr;
	return 0;
}

/* Is the peer in the middle of an RMA with this key, as far as it told us? */
static bool is_inside(const struct ofi_conn *conn, uint64_t key)
{
	if (conn->is_write_open && conn->write_key == key)
		return true;
	for (uint32_t i = conn->reads_done; i != conn->reads_begun; i++)
		if (conn->read_keys[i % OFI_READS_OPEN_MAX] == key)
			return true;
	return false;
}

static void mr_close_on_loop(void *arg)
{
	struct ofi_mr *mr = arg;
	struct ofi_net *net = CONTAINER_OF(mr->mr.net, struct ofi_net, net);
	CHECK(fi_close(&mr->fid->fid) == 0); /* else the peer could still reach memory that is about to be reused */
	if (!net->announces)
		return;
	while (ofi_cq_pull(net)) /* until every announcement that libfabric has read is known to us */
		;
	list_for_each_safe(node, tmp, &net->conns) {
		struct ofi_conn *conn = CONTAINER_OF(node, struct ofi_conn, link);
		if (is_inside(conn, mr->key))
			ofi_conn_kill(conn, -ERR_conn_lost);
	}
}

void ofi_mr_close(struct net_mr *mr_)
{
	struct ofi_mr *mr = CONTAINER_OF(mr_, struct ofi_mr, mr);
	struct ofi_net *net = CONTAINER_OF(mr_->net, struct ofi_net, net);
	if (mr->fid != NULL)
		task_call_on_loop(net->net.loop, mr_close_on_loop, mr);
	list_remove(&mr->link);
	net->mr_count--;
	mem_free(mr);
}

struct rma ofi_mr_describe(struct net_mr *mr_, size_t offset, uint32_t len)
{
	struct ofi_mr *mr = CONTAINER_OF(mr_, struct ofi_mr, mr);
	struct ofi_net *net = CONTAINER_OF(mr_->net, struct ofi_net, net);
	CHECK(offset <= mr_->len && len <= mr_->len - offset);
	uint64_t base = net->uses_virt_addr ? (uint64_t)(uintptr_t)mr_->base : 0;
	return (struct rma){.addr = base + offset, .key = mr->key, .len = len};
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

static struct ofi_xfer *rma_get(struct ofi_net *net)
{
	if (list_is_empty(&net->free_rmas)) {
		struct rma_block *block = mem_alloc(sizeof(*block));
		list_push_back(&net->rma_blocks, &block->link);
		for (size_t i = 0; i < RMA_BLOCK_COUNT; i++) {
			block->xfers[i].kind = XFER_RMA;
			list_push_back(&net->free_rmas, &block->xfers[i].link);
		}
	}
	return CONTAINER_OF(list_pop_front(&net->free_rmas), struct ofi_xfer, link);
}

void ofi_bulk_fini(struct ofi_net *net)
{
	struct list_node *node;
	while ((node = list_first(&net->mrs)) != NULL)
		ofi_mr_close(&CONTAINER_OF(node, struct ofi_mr, link)->mr);
	while ((node = list_pop_front(&net->rma_blocks)) != NULL)
		mem_free(CONTAINER_OF(node, struct rma_block, link));
}

static void tell(struct ofi_xfer *xfer, int rc)
{
	struct ofi_rma_wait *wait = xfer->wait;
	if (wait == NULL)
		return;
	xfer->wait = NULL;
	wait->done = true;
	wait->rc = rc;
	task_wake(wait->task);
}

void ofi_rma_completed(struct ofi_xfer *xfer)
{
	struct ofi_conn *conn = xfer->conn;
	struct ofi_net *net = conn->net;
	int rc = xfer->rc;
	tell(xfer, rc == 0 || rc == -ERR_bad_key ? rc : -ERR_conn_lost);
	xfer->conn = NULL;
	list_push_front(&net->free_rmas, &xfer->link);
	waitq_wake_one(&conn->tx_waitq);
	if (rc < 0)
		ofi_conn_kill(conn, -ERR_conn_lost);
}

void ofi_rma_abandon(struct ofi_conn *conn, int rc)
{
	list_for_each(node, &conn->rmas)
		tell(CONTAINER_OF(node, struct ofi_xfer, link), rc);
}

struct rma_call {
	struct ofi_conn *conn;
	struct ofi_mr *mr;
	struct ofi_rma_wait *wait;
	uint8_t *local;
	size_t len;
	uint64_t addr, key;
	bool is_write;
	ssize_t rc;
};

static void rma_post_on_loop(void *arg)
{
	struct rma_call *call = arg;
	struct ofi_conn *conn = call->conn;
	struct ofi_net *net = conn->net;
	if (conn->rma_count >= OFI_RMAS_PER_CONN_MAX) {
		call->rc = -FI_EAGAIN;
		return;
	}
	if (net->announces) {
		uint8_t announce[OFI_ANNOUNCE_BYTES];
		ofi_put_prefix(conn, call->is_write ? OFI_WRITE_BEGINS : OFI_READ_BEGINS, announce);
		store_le64(announce + OFI_PREFIX_BYTES, call->key);
		call->rc = fi_inject(conn->ep, announce, sizeof(announce), 0);
		if (call->rc < 0)
			return;
	}
	struct ofi_xfer *xfer = rma_get(net);
	xfer->is_read = !call->is_write;
	xfer->read_index = conn->reads_announced;
	conn->reads_announced += xfer->is_read; /* also of one that is not posted after all: it counts as done */
	xfer->conn = conn;
	xfer->wait = call->wait;
	xfer->rc = 0;
	call->rc = call->is_write ? fi_write(conn->ep, call->local, call->len, call->mr->desc, 0, call->addr, call->key,
					     &xfer->context) :
				    fi_read(conn->ep, call->local, call->len, call->mr->desc, 0, call->addr, call->key,
					    &xfer->context);
	if (call->rc < 0) {
		xfer->conn = NULL;
		xfer->wait = NULL;
		list_push_front(&net->free_rmas, &xfer->link);
		return;
	}
	list_push_back(&conn->rmas, &xfer->link);
	conn->rma_count++;
	net->rma_count++;
	ofi_update_in_flight(net);
}

/* One operation, at most NET_RMA_BYTES_MAX and what the provider takes at once. `conn` is pinned. */
static int rma_one(struct rma_call *call)
{
	struct ofi_conn *conn = call->conn;
	struct loop *loop = conn->net->net.loop;
	struct ofi_rma_wait wait = {.task = task_current(loop)};
	call->wait = &wait;
	for (;;) {
		if (conn->state != CONN_OPEN)
			return fail(ERR_conn_lost);
		task_call_on_loop(loop, rma_post_on_loop, call);
		if (call->rc != -FI_EAGAIN)
			break;
		/* the queue drains without telling us when only messages are in it: look again soon */
		(void)waitq_wait(&conn->tx_waitq, loop, loop_now_ns(loop) + NS_PER_MS);
	}
	if (call->rc < 0)
		return fail(ERR_conn_lost);
	while (!wait.done)
		task_park(loop);
	return wait.rc;
}

static int rma_run(struct net_conn *conn_, struct net_mr *mr, size_t offset, struct rma remote, size_t len, bool is_write)
{
	struct ofi_conn *conn = CONTAINER_OF(conn_, struct ofi_conn, conn);
	struct ofi_net *net = conn->net;
	CHECK_MSG(task_current(net->net.loop) != NULL, "only a task may do RMA");
	CHECK(offset <= mr->len && len <= mr->len - offset);
	if (len > remote.len || remote.addr + len < remote.addr)
		return fail(ERR_bad_key);
	if (len > NET_RMA_BYTES_MAX)
		return fail(ERR_too_long);
	size_t piece_max = (size_t)min_u64(NET_RMA_BYTES_MAX, net->info->ep_attr->max_msg_size);
	int rc = 0;
	conn->pins++;
	for (size_t done = 0; done < len && rc == 0; done += piece_max) {
		struct rma_call call = {
			.conn = conn,
			.mr = CONTAINER_OF(mr, struct ofi_mr, mr),
			.local = mr->base + offset + done,
			.len = (size_t)min_u64(len - done, piece_max),
			.addr = remote.addr + done,
			.key = remote.key,
			.is_write = is_write,
		};
		rc = rma_one(&call);
	}
	ofi_conn_unpin(conn);
	return rc;
}

int ofi_rma_read(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return rma_run(conn, mr, offset, remote, len, false);
}

int ofi_rma_write(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return rma_run(conn, mr, offset, remote, len, true);
}
