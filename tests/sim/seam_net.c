/* SPDX-License-Identifier: Apache-2.0
 * The simulated net: connections, messages and RMA between nodes, through whatever the faults make of them.
 *
 * Faults that must be survived: any message may be late, doubled, overtaken or lost for ever, with its connection or without; a
 * connection may break, heard of by each side at its own time or, through a cut, much later; RMA may land seconds late, after its initiator
 * gave up, wherever the region and the target's end of the connection are still open. Never: bytes garbled, or a message delivered
 * on another connection than its own. */
#include "tests/sim/seam.h"

#include "proto/frame.h"
#include "proto/proto.h"

#include <stdio.h>

#define LATENCY_MIN_NS (10 * NS_PER_US)
#define LATENCY_MAX_NS (120 * NS_PER_US)
#define KEEPALIVE_MIN_NS (2 * NS_PER_S)  /* after which a dead peer is noticed */
#define KEEPALIVE_MAX_NS (15 * NS_PER_S)

enum { UNREAD_MAX = 1024 }; /* then send says ERR_busy */

struct pair;
/* One side of a connection. The owner's net_conn lives in it. */
struct end {
	struct net_conn conn;
	struct pair *pair;
	struct sim_net *net; /* NULL once this side is closed */
	struct end *other;
	struct list_node link; /* net->ends */
	struct list flights;   /* struct flight, RMA started here */
	uint64_t last_arrival_ns; /* of messages to this end: they stay in order */
	bool open, close_posted;
	unsigned unread; /* messages sent here that the other side has not taken */
	char peer[NET_ADDR_BYTES_MAX];
};
struct pair {
	struct end end[2];
	unsigned refs; /* events and open ends */
	uint64_t id;
};

struct region {
	struct net_mr mr;
	struct list_node link; /* net->regions */
	uint64_t key;
	unsigned access;
};

struct listener {
	struct list_node link; /* net_world->listeners */
	struct sim_net *net;
	char addr[NET_ADDR_BYTES_MAX];
};

struct sim_net {
	struct net net;
	struct sim_node *node;
	struct list ends, regions;
};

struct net_world {
	struct world *world;
	struct list listeners;
	uint64_t next_key, next_pair;
	unsigned next_port;
};

/* RMA under way. `op` is the caller's stack; NULL once it gave up. */
struct flight {
	struct list_node link; /* end->flights while op lives */
	struct pair *pair;
	struct end *from;
	struct rma_op *op;
	struct rma remote;
	bool write, lost;
	uint64_t len;
	uint8_t *data; /* of a read, on its way back; of a write whose initiator is gone */
};
struct rma_op {
	struct sim_op op;
	uint8_t *local;
};

struct message {
	struct pair *pair;
	struct end *to;
	size_t len;
	uint8_t bytes[];
};

static struct sim_net *net_of(struct net *net)
{
	return CONTAINER_OF(net, struct sim_net, net);
}

static struct end *end_of(struct net_conn *conn)
{
	return CONTAINER_OF(conn, struct end, conn);
}

static struct rng *rng_of(struct sim_node *node)
{
	return &node->fault_rng;
}

static void pair_put(struct pair *pair)
{
	if (--pair->refs == 0)
		mem_free(pair);
}

/* An event about an end will not happen any more. */
static void end_event_drop(void *arg)
{
	pair_put(((struct end *)arg)->pair);
}

static void flight_free(struct flight *flight)
{
	pair_put(flight->pair);
	mem_free(flight->data);
	mem_free(flight);
}

static void flight_drop(void *arg)
{
	flight_free(arg);
}

struct net_world *net_world_new(struct world *world)
{
	struct net_world *net_world = mem_alloc(sizeof(*net_world));
	net_world->world = world;
	net_world->next_port = 40000;
	list_init(&net_world->listeners);
	return net_world;
}

void net_world_free(struct net_world *net_world)
{
	mem_free(net_world);
}

/* How long a packet takes now; a cut holds it back until its end. */
static uint64_t delay_draw(struct sim_node *from, struct sim_node *to, unsigned slow_per_million)
{
	struct world *world = from->world;
	uint64_t delay_ns = rng_range(rng_of(from), LATENCY_MIN_NS, LATENCY_MAX_NS);
	if (sim_chance(from, slow_per_million)) {
		delay_ns += rng_below(rng_of(from), world_faults(world)->slow_ns_max);
		world_counts(world)->messages_late++;
	}
	uint64_t until_ns = world_cut_until(world, from, to);
	if (until_ns > world_now_ns(world))
		delay_ns += until_ns - world_now_ns(world);
	return delay_ns;
}

/* ---- the end of a connection ---------------------------------------------------------------------------------- */

/* The initiator gives up. A write whose bytes have left already may still land at the other side. */
static void flight_abandon(struct flight *flight, int rc)
{
	struct rma_op *op = flight->op;
	struct sim_node *node = flight->from->net->node;
	world_counts(node->world)->regions_closed_in_flight++;
	if (flight->write && rng_chance(rng_of(node), 500000)) {
		flight->data = mem_alloc((size_t)flight->len);
		memcpy(flight->data, op->local, (size_t)flight->len);
	}
	list_remove(&flight->link);
	flight->op = NULL;
	op->op.rc = rc;
	op->op.done = true;
	if (flight->lost) /* no event will come for it */
		flight_free(flight);
}

/* This side hears no more and is heard no more. */
static void end_shut(struct end *end, bool wake)
{
	struct list_node *link;
	while ((link = list_first(&end->flights)) != NULL) {
		struct flight *flight = CONTAINER_OF(link, struct flight, link);
		struct task *task = flight->op->op.task;
		flight_abandon(flight, -ERR_conn_lost);
		if (wake)
			task_wake(task);
	}
	end->open = false;
	list_remove(&end->link);
	end->net = NULL;
}

/* On the owner's loop. */
static void end_closed(void *arg)
{
	struct end *end = arg;
	struct pair *pair = end->pair;
	struct sim_net *net;
	{
		WORLD_MEMORY();
		net = end->net;
		if (net == NULL) {
			pair_put(pair);
			return;
		}
		end_shut(end, true);
		world_note(net->node->world, net->node, "conn %llu closed", (unsigned long long)pair->id);
	}
	if (net->net.events != NULL)
		net->net.events->closed(net->net.events_ctx, &end->conn, -ERR_conn_lost);
	WORLD_MEMORY();
	pair_put(pair); /* the event's */
	pair_put(pair); /* the end's */
}

struct closing {
	struct end *end;
};

static void closing_arrives(void *arg)
{
	struct closing *closing = arg;
	struct end *end = closing->end;
	mem_free(closing);
	if (end->net != NULL)
		sim_node_post_owned(end->net->node, end_closed, end_event_drop, end);
	else
		pair_put(end->pair);
}

static void closing_drop(void *arg)
{
	struct closing *closing = arg;
	pair_put(closing->end->pair);
	mem_free(closing);
}

/* Tell one end after a while that the connection is gone. */
static void end_close_later(struct end *end, uint64_t delay_ns)
{
	if (end->net == NULL || end->close_posted)
		return;
	end->close_posted = true;
	struct closing *closing = mem_alloc(sizeof(*closing));
	closing->end = end;
	end->pair->refs++;
	world_after_owned(end->net->node->world, delay_ns, closing_arrives, closing_drop, closing);
}

static uint64_t keepalive_draw(struct sim_node *node)
{
	return rng_range(rng_of(node), KEEPALIVE_MIN_NS, KEEPALIVE_MAX_NS);
}

static void conn_break(struct end *end)
{
	struct sim_node *node = end->net->node;
	world_counts(node->world)->conns_broken++;
	world_note(node->world, node, "conn %llu breaks", (unsigned long long)end->pair->id);
	for (int i = 0; i < 2; i++) {
		bool quick = rng_chance(rng_of(node), 700000);
		end_close_later(&end->pair->end[i], quick ? rng_below(rng_of(node), 5 * NS_PER_MS) : keepalive_draw(node));
	}
}

/* The owner closes `end`, or its process died: the other side hears of it. */
static void end_leave(struct end *end, bool silently)
{
	struct sim_node *node = end->net->node;
	struct end *other = end->other;
	if (other->net != NULL) {
		if (silently || world_cut_loses(node->world, node, other->net->node))
			end_close_later(other, keepalive_draw(node));
		else
			end_close_later(other, max_u64(delay_draw(node, other->net->node, 0),
						       other->last_arrival_ns - min_u64(other->last_arrival_ns,
											world_now_ns(node->world))));
	}
}

static void net_close(struct net_conn *conn)
{
	WORLD_MEMORY();
	struct end *end = end_of(conn);
	CHECK_MSG(end->net != NULL, "a connection closed twice");
	world_note(end->net->node->world, end->net->node, "closes conn %llu", (unsigned long long)end->pair->id);
	end_leave(end, false);
	end_shut(end, true);
	pair_put(end->pair);
}

/* ---- connecting ----------------------------------------------------------------------------------------------- */

static struct listener *listener_find(struct net_world *net_world, const char *addr)
{
	list_for_each(at, &net_world->listeners) {
		struct listener *listener = CONTAINER_OF(at, struct listener, link);
		if (strcmp(listener->addr, addr) == 0)
			return listener;
	}
	return NULL;
}

/* "tcp://host:port" with room; the host's length in *ret_host. */
static bool addr_is_valid(const char *addr, size_t *ret_host)
{
	const char *colon = strrchr(addr, ':');
	if (strncmp(addr, "tcp://", 6) != 0 || colon == NULL || colon < addr + 7 || strlen(addr) >= NET_ADDR_BYTES_MAX - 8)
		return false;
	if (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5)
		return false;
	*ret_host = (size_t)(colon - addr);
	return true;
}

static int net_listen(struct net *seam, const char *addr, char ret_addr[NET_ADDR_BYTES_MAX])
{
	WORLD_MEMORY();
	struct sim_net *net = net_of(seam);
	struct net_world *net_world = world_net(net->node->world);
	size_t host;
	if (!addr_is_valid(addr, &host))
		return -EINVAL;
	struct listener *listener = mem_alloc(sizeof(*listener));
	listener->net = net;
	if (strcmp(addr + host, ":0") == 0)
		(void)snprintf(listener->addr, sizeof(listener->addr), "%.*s:%u", (int)host, addr, net_world->next_port++);
	else
		(void)snprintf(listener->addr, sizeof(listener->addr), "%s", addr); /* fits: addr_is_valid */
	if (listener_find(net_world, listener->addr) != NULL) {
		mem_free(listener);
		return -EADDRINUSE;
	}
	list_push_back(&net_world->listeners, &listener->link);
	memcpy(ret_addr, listener->addr, sizeof(listener->addr));
	return 0;
}

struct connect_op {
	struct sim_op op;
	char addr[NET_ADDR_BYTES_MAX];
	struct sim_net *net;
	struct pair *pair;
};

static void end_open(struct end *end, struct sim_net *net)
{
	end->net = net;
	end->open = true;
	end->conn.net = &net->net;
	list_push_back(&net->ends, &end->link);
	end->pair->refs++;
}

static void accept_arrives(void *arg)
{
	struct end *end = arg;
	struct sim_net *net = end->net;
	if (net != NULL && net->net.events != NULL && net->net.events->accepted != NULL)
		net->net.events->accepted(net->net.events_ctx, &end->conn);
	WORLD_MEMORY();
	pair_put(end->pair);
}

/* The connection request reaches the listener's machine. */
static void connect_apply(struct sim_op *op)
{
	WORLD_MEMORY();
	struct connect_op *connect = CONTAINER_OF(op, struct connect_op, op);
	struct sim_net *net = connect->net;
	struct net_world *net_world = world_net(net->node->world);
	struct listener *listener = listener_find(net_world, connect->addr);
	if (listener == NULL) {
		world_counts(net->node->world)->conns_refused++;
		op->rc = -ERR_refused;
		return;
	}
	struct pair *pair = mem_alloc(sizeof(*pair));
	pair->id = ++net_world->next_pair;
	for (int i = 0; i < 2; i++) {
		struct end *end = &pair->end[i];
		end->pair = pair;
		end->other = &pair->end[1 - i];
		list_init(&end->flights);
		list_node_init(&end->link);
	}
	(void)snprintf(pair->end[0].peer, sizeof(pair->end[0].peer), "%s", connect->addr);
	(void)snprintf(pair->end[1].peer, sizeof(pair->end[1].peer), "tcp://%s:%llu", net->node->name,
		       (unsigned long long)(50000 + pair->id % 10000));
	end_open(&pair->end[0], net);
	end_open(&pair->end[1], listener->net);
	pair->refs += 2; /* the event's, and connect's until it has looked */
	sim_node_post_owned(listener->net->node, accept_arrives, end_event_drop, &pair->end[1]);
	world_counts(net->node->world)->conns++;
	world_note(net->node->world, net->node, "conn %llu to %s", (unsigned long long)pair->id, listener->net->node->name);
	connect->pair = pair;
}

/* Parks until the deadline: nobody answers. */
static int connect_in_vain(struct sim_net *net, uint64_t deadline_ns)
{
	while (task_park_until(net->node->loop, deadline_ns) == 0)
		; /* woken for something else */
	return -ERR_timeout;
}

static int net_connect(struct net *seam, const char *addr, uint64_t deadline_ns, struct net_conn **ret_conn)
{
	struct sim_net *net = net_of(seam);
	struct sim_node *node = net->node;
	struct sim_faults *faults = world_faults(node->world);
	struct connect_op connect = {.op = {.apply = connect_apply}, .net = net};
	size_t host;
	if (!addr_is_valid(addr, &host))
		return -EINVAL;
	(void)snprintf(connect.addr, sizeof(connect.addr), "%s", addr); /* fits: addr_is_valid */
	struct listener *listener = listener_find(world_net(node->world), addr);
	struct sim_node *peer = listener != NULL ? listener->net->node : NULL;
	uint64_t now_ns = world_now_ns(node->world);
	bool cut = peer != NULL && (world_cut_until(node->world, node, peer) > now_ns ||
				    world_cut_until(node->world, peer, node) > now_ns);
	bool frozen = peer != NULL && peer->frozen_until_ns > now_ns;
	if (cut || frozen || sim_chance(node, faults->connect_lost))
		return connect_in_vain(net, deadline_ns);
	uint64_t delay_ns = 2 * rng_range(rng_of(node), LATENCY_MIN_NS, LATENCY_MAX_NS);
	if (sim_chance(node, faults->connect_refused)) {
		struct sim_op op = {0};
		(void)sim_op_wait(&op, node, delay_ns);
		return -ERR_refused;
	}
	int rc = sim_op_wait(&connect.op, node, delay_ns);
	if (rc < 0)
		return rc;
	bool broken = connect.pair->end[0].net == NULL; /* before its caller ran */
	{
		WORLD_MEMORY();
		pair_put(connect.pair);
	}
	if (broken)
		return -ERR_refused;
	*ret_conn = &connect.pair->end[0].conn;
	return 0;
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static void message_drop(void *arg)
{
	struct message *message = arg;
	message->to->other->unread--;
	pair_put(message->pair);
	mem_free(message);
}

/* On the receiver's loop. */
static void message_deliver(void *arg)
{
	struct message *message = arg;
	struct end *end = message->to;
	struct sim_net *net = end->net;
	if (net != NULL && end->open && net->net.events != NULL)
		net->net.events->message(net->net.events_ctx, &end->conn, message->bytes, message->len);
	WORLD_MEMORY();
	message_drop(message);
}

static void message_arrives(void *arg)
{
	struct message *message = arg;
	struct end *end = message->to;
	if (end->net != NULL) {
		world_note(end->net->node->world, end->net->node, "<- %s%s #%llu", proto_op_name(load_le16(message->bytes + 6)),
			   load_le16(message->bytes + 8) & FRAME_REPLY ? " reply" : "",
			   (unsigned long long)load_le64(message->bytes + 16));
		sim_node_post_owned(end->net->node, message_deliver, message_drop, message);
		return;
	}
	message_drop(message);
}

static void message_post(struct end *end, struct blob head, struct blob body, bool overtakes)
{
	struct sim_node *from = end->net->node, *to = end->other->net->node;
	struct message *message = mem_alloc(max_u64(sizeof(*message) + head.len + body.len, sizeof(*message) + FRAME_BYTES));
	message->pair = end->pair;
	message->to = end->other;
	message->len = head.len + body.len;
	if (head.len > 0)
		memcpy(message->bytes, head.ptr, head.len);
	if (body.len > 0)
		memcpy(message->bytes + head.len, body.ptr, body.len);
	end->pair->refs++;
	end->unread++;
	uint64_t delay_ns = delay_draw(from, to, world_faults(from->world)->msg_slow);
	uint64_t arrival_ns = world_now_ns(from->world) + delay_ns;
	if (!overtakes) {
		arrival_ns = max_u64(arrival_ns, end->other->last_arrival_ns);
		end->other->last_arrival_ns = arrival_ns;
	}
	world_after_owned(from->world, arrival_ns - world_now_ns(from->world), message_arrives, message_drop, message);
}

static int net_send(struct net_conn *conn, struct blob head, struct blob body)
{
	WORLD_MEMORY();
	struct end *end = end_of(conn);
	if (head.len + body.len > NET_MSG_BYTES_MAX)
		return -ERR_too_long;
	if (end->net == NULL || !end->open)
		return -ERR_conn_lost;
	struct sim_node *node = end->net->node;
	struct world *world = node->world;
	struct sim_faults *faults = world_faults(world);
	struct world_counts *counts = world_counts(world);
	if (end->unread >= UNREAD_MAX || sim_chance(node, faults->send_busy))
		return -ERR_busy;
	counts->messages++;
	if (end->other->net == NULL || end->close_posted)
		return 0; /* nobody is there; this side does not know yet */
	if (sim_chance(node, faults->conn_break)) {
		conn_break(end);
		return 0;
	}
	bool cut = world_cut_loses(world, node, end->other->net->node);
	if (sim_chance(node, faults->msg_lost) || (cut && rng_chance(rng_of(node), 500000))) {
		*(cut ? &counts->messages_cut : &counts->messages_lost) += 1;
		world_note(world, node, "loses %s #%llu", head.len >= FRAME_BYTES ? proto_op_name(load_le16(head.ptr + 6)) : "?",
			   (unsigned long long)(head.len >= FRAME_BYTES ? load_le64(head.ptr + 16) : 0));
		return 0;
	}
	bool overtakes = sim_chance(node, faults->msg_reordered);
	counts->messages_reordered += overtakes ? 1 : 0;
	message_post(end, head, body, overtakes);
	if (sim_chance(node, faults->msg_dup)) {
		counts->messages_dup++;
		message_post(end, head, body, true);
	}
	return 0;
}

/* ---- regions and RMA ------------------------------------------------------------------------------------------ */

static int net_mr_open(struct net *seam, void *base, size_t len, unsigned access, struct net_mr **ret_mr)
{
	WORLD_MEMORY();
	struct sim_net *net = net_of(seam);
	struct region *region = mem_alloc(sizeof(*region));
	region->mr = (struct net_mr){.net = seam, .base = base, .len = len};
	region->access = access;
	region->key = ++world_net(net->node->world)->next_key;
	list_push_back(&net->regions, &region->link);
	*ret_mr = &region->mr;
	return 0;
}

static void net_mr_close(struct net_mr *mr)
{
	WORLD_MEMORY();
	struct region *region = CONTAINER_OF(mr, struct region, mr);
	list_remove(&region->link);
	mem_free(region);
}

/* Addresses on the wire are offsets: the same in every run. */
static struct rma net_mr_describe(struct net_mr *mr, size_t offset, uint32_t len)
{
	struct region *region = CONTAINER_OF(mr, struct region, mr);
	CHECK(offset + len <= mr->len);
	return (struct rma){.addr = offset, .key = region->key, .len = len};
}

static uint8_t *remote_memory(struct sim_net *net, const struct rma *rma, uint64_t len, unsigned access)
{
	list_for_each(at, &net->regions) {
		struct region *region = CONTAINER_OF(at, struct region, link);
		if (region->key != rma->key)
			continue;
		bool fits = len <= rma->len && rma->addr <= region->mr.len && len <= region->mr.len - rma->addr;
		return fits && (region->access & access) ? region->mr.base + rma->addr : NULL;
	}
	return NULL;
}

/* On the initiator's loop. */
static void flight_returns(void *arg)
{
	struct flight *flight = arg;
	struct rma_op *op = flight->op;
	if (op != NULL) {
		list_remove(&flight->link);
		if (flight->data != NULL)
			memcpy(op->local, flight->data, (size_t)flight->len);
		op->op.done = true;
		task_wake(op->op.task);
	}
	WORLD_MEMORY();
	flight_free(flight);
}

static void flight_back(void *arg)
{
	struct flight *flight = arg;
	if (flight->op != NULL)
		sim_node_post_owned(flight->from->net->node, flight_returns, flight_drop, flight);
	else
		flight_free(flight);
}

/* At the target's machine, between its steps: no task of the target runs. Over tcp its process must, though: a stopped one keeps it. */
static void flight_lands(void *arg)
{
	struct flight *flight = arg;
	struct end *from = flight->from, *to = from->other;
	struct world_counts *counts;
	if (flight->op == NULL && flight->data == NULL) {
		flight_free(flight);
		return;
	}
	if (to->net == NULL || !to->open) { /* the initiator hears it from its connection */
		if (from->net != NULL) {
			world_counts(from->net->node->world)->rma_conn_closed++;
			end_close_later(from, keepalive_draw(from->net->node));
		}
		flight->lost = true;
		if (flight->op == NULL)
			flight_free(flight);
		return;
	}
	struct sim_node *target = to->net->node;
	if (target->frozen_until_ns > world_now_ns(target->world)) {
		world_after_owned(target->world, 5 * NS_PER_MS, flight_lands, flight_drop, flight);
		return;
	}
	counts = world_counts(target->world);
	uint8_t *memory = remote_memory(to->net, &flight->remote, flight->len,
					flight->write ? NET_ACCESS_REMOTE_WRITE : NET_ACCESS_REMOTE_READ);
	if (memory == NULL) {
		counts->rma_region_closed++;
		world_note(to->net->node->world, to->net->node, "RMA into a closed region on conn %llu",
			   (unsigned long long)flight->pair->id);
		if (flight->op != NULL)
			flight->op->op.rc = -ERR_bad_key;
		if (from->net != NULL)
			conn_break(from);
	} else if (flight->write) {
		memcpy(memory, flight->data != NULL ? flight->data : flight->op->local,
		       (size_t)flight->len);
		mem_free(flight->data);
		flight->data = NULL;
	} else {
		flight->data = mem_dup(memory, (size_t)flight->len);
	}
	if (flight->op == NULL) {
		flight_free(flight);
		return;
	}
	world_after_owned(from->net->node->world, delay_draw(to->net->node, from->net->node, 0), flight_back, flight_drop,
			  flight);
}

static int rma_start(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len, bool write)
{
	struct end *end = end_of(conn);
	if (end->net == NULL || !end->open)
		return -ERR_conn_lost;
	if (len > NET_RMA_BYTES_MAX || offset + len > mr->len)
		return -EINVAL;
	struct sim_node *node = end->net->node;
	struct sim_faults *faults = world_faults(node->world);
	struct world_counts *counts = world_counts(node->world);
	struct rma_op op = {.local = mr->base + offset};
	op.op.task = task_current(node->loop);
	{
		WORLD_MEMORY();
		*(write ? &counts->rma_writes : &counts->rma_reads) += 1;
		struct flight *flight = mem_alloc(sizeof(*flight));
		*flight = (struct flight){.pair = end->pair, .from = end, .op = &op, .remote = remote, .write = write, .len = len};
		end->pair->refs++;
		list_push_back(&end->flights, &flight->link);
		if (end->other->net == NULL || end->close_posted || sim_chance(node, faults->rma_lost)) {
			counts->rma_lost++;
			end_close_later(end, keepalive_draw(node));
			flight->lost = true;
		} else {
			uint64_t delay_ns = delay_draw(node, end->other->net->node, 0) + len / 4;
			if (sim_chance(node, faults->rma_slow)) {
				delay_ns += rng_below(rng_of(node), 4 * NS_PER_S);
				counts->rma_late++;
			}
			world_after_owned(node->world, delay_ns, flight_lands, flight_drop, flight);
		}
	}
	struct loop *loop = node->loop;
	while (!op.op.done)
		task_park(loop);
	return op.op.rc;
}

static int net_rma_read(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return rma_start(conn, mr, offset, remote, len, false);
}

static int net_rma_write(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len)
{
	return rma_start(conn, mr, offset, remote, len, true);
}

static const char *net_peer_name(struct net_conn *conn)
{
	return end_of(conn)->peer;
}

static void net_fini(struct net *seam)
{
	(void)seam; /* given back with its process */
}

static const struct net_ops net_ops = {
	.listen = net_listen,
	.connect = net_connect,
	.send = net_send,
	.close = net_close,
	.mr_open = net_mr_open,
	.mr_close = net_mr_close,
	.mr_describe = net_mr_describe,
	.rma_read = net_rma_read,
	.rma_write = net_rma_write,
	.peer_name = net_peer_name,
	.fini = net_fini,
};

struct net *sim_net_new(struct sim_node *node)
{
	struct sim_net *net = mem_alloc(sizeof(*net));
	net->net.ops = &net_ops;
	net->node = node;
	list_init(&net->ends);
	list_init(&net->regions);
	return &net->net;
}

void sim_net_crash(struct net *seam, bool machine)
{
	struct sim_net *net = net_of(seam);
	struct net_world *net_world = world_net(net->node->world);
	struct list_node *link;
	/* A killed process: its kernel resets the connections. A machine that lost power says nothing. */
	bool silently = machine && rng_chance(rng_of(net->node), 300000);
	while ((link = list_first(&net->ends)) != NULL) {
		struct end *end = CONTAINER_OF(link, struct end, link);
		end_leave(end, silently);
		end_shut(end, false);
		pair_put(end->pair);
	}
	while ((link = list_pop_front(&net->regions)) != NULL)
		mem_free(CONTAINER_OF(link, struct region, link));
	list_for_each_safe(at, tmp, &net_world->listeners) {
		struct listener *listener = CONTAINER_OF(at, struct listener, link);
		if (listener->net != net)
			continue;
		list_remove(at);
		mem_free(listener);
	}
	mem_free(net);
}
