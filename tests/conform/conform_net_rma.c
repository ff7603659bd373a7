/* SPDX-License-Identifier: Apache-2.0
 * The contract of the net seam: memory regions and RMA. The client exposes memory, the server reads and writes it, as in Stria. */
#include "tests/conform/conform.h"

enum { AREA_BYTES = 8 * 1024 * 1024 };

struct rma_side {
	struct conform_node *node;
	struct net *net;
	uint8_t *area;
	struct net_mr *mr;
	struct net_conn *conn;
	size_t closed_count, message_count;
	uint8_t *watched; /* checked when a message arrives: must be filled with seed 77 */
	size_t watched_len;
	bool watched_ok;
};

struct rma_pair {
	struct conform_world *world;
	struct rma_side server, client;
	char address[NET_ADDR_BYTES_MAX];
	struct rma remote; /* what the server was told */
	size_t tasks_done;
	int rc;
	bool is_done;
};

static void on_accepted(void *ctx, struct net_conn *conn)
{
	((struct rma_side *)ctx)->conn = conn;
}

static void on_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct rma_side *side = ctx;
	(void)conn;
	(void)msg;
	(void)len;
	side->message_count++;
	if (side->watched != NULL)
		side->watched_ok = conform_is_filled(side->watched, side->watched_len, 77);
}

static void on_closed(void *ctx, struct net_conn *conn, int rc)
{
	struct rma_side *side = ctx;
	CHECK(side->conn == conn && rc < 0);
	side->conn = NULL;
	side->closed_count++;
}

static const struct net_events events = {.accepted = on_accepted, .message = on_message, .closed = on_closed};

static void side_start(struct rma_side *side, struct conform_world *world)
{
	*side = (struct rma_side){.node = world->ops->node_new(world, CONFORM_NET, 0)};
	side->net = side->node->env.net;
	side->net->events = &events;
	side->net->events_ctx = side;
	side->area = mem_alloc_aligned(4096, AREA_BYTES);
	memset(side->area, 0, AREA_BYTES);
}

static void listen_task(void *arg)
{
	struct rma_pair *pair = arg;
	struct net *net = pair->server.net;
	CHECK(net->ops->listen(net, pair->world->listen_address, pair->address) == 0);
	CHECK(net->ops->mr_open(net, pair->server.area, AREA_BYTES, NET_ACCESS_LOCAL, &pair->server.mr) == 0);
}

static void connect_task(void *arg)
{
	struct rma_pair *pair = arg;
	struct net *net = pair->client.net;
	CHECK(net->ops->connect(net, pair->address, loop_now_ns(net->loop) + 10 * NS_PER_S, &pair->client.conn) == 0);
}

static void expose_task(void *arg)
{
	struct rma_pair *pair = arg;
	struct net *net = pair->client.net;
	unsigned access = NET_ACCESS_REMOTE_READ | NET_ACCESS_REMOTE_WRITE;
	CHECK(net->ops->mr_open(net, pair->client.area, AREA_BYTES, access, &pair->client.mr) == 0);
	pair->remote = net->ops->mr_describe(pair->client.mr, 0, AREA_BYTES);
}

static bool server_has_conn(void *ctx)
{
	return ((struct rma_pair *)ctx)->server.conn != NULL;
}

static void reconnect(struct rma_pair *pair)
{
	conform_task(pair->world, pair->client.node, connect_task, pair);
	conform_until(pair->world, server_has_conn, pair);
}

static struct rma_pair *pair_new(struct conform_world *world)
{
	struct rma_pair *pair = mem_alloc(sizeof(*pair));
	pair->world = world;
	side_start(&pair->server, world);
	side_start(&pair->client, world);
	conform_task(world, pair->server.node, listen_task, pair);
	conform_task(world, pair->client.node, expose_task, pair);
	reconnect(pair);
	return pair;
}

static void stop_task(void *arg)
{
	struct rma_side *side = arg;
	if (side->conn != NULL)
		side->net->ops->close(side->conn);
	side->conn = NULL;
	if (side->mr != NULL)
		side->net->ops->mr_close(side->mr);
}

static void side_stop(struct rma_side *side, struct conform_world *world)
{
	if (side->node != NULL) {
		conform_task(world, side->node, stop_task, side);
		world->ops->node_stop(world, side->node);
	}
	mem_free(side->area);
}

static void pair_free(struct rma_pair *pair)
{
	side_stop(&pair->client, pair->world);
	side_stop(&pair->server, pair->world);
	mem_free(pair);
}

static struct rma part(struct rma whole, size_t offset, size_t len)
{
	return (struct rma){.addr = whole.addr + offset, .key = whole.key, .len = (uint32_t)len};
}

/* ---- it works ------------------------------------------------------------------------------------------------- */

static void sizes_task(void *arg)
{
	struct rma_pair *pair = arg;
	struct rma_side *server = &pair->server, *client = &pair->client;
	const struct net_ops *ops = server->net->ops;
	static const size_t sizes[] = {1, 7, 512, 4096, 4097, 65536, 100000, 1 << 20, (1 << 20) + 3, NET_RMA_BYTES_MAX};
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		size_t len = sizes[i], at = 4096 * i + i;
		conform_fill(client->area + at, len, i);
		CHECK(ops->rma_read(server->conn, server->mr, 10 * i, part(pair->remote, at, len), len) == 0);
		CHECK(conform_is_filled(server->area + 10 * i, len, i));
		conform_fill(server->area, len, 100 + i);
		memset(client->area, 0xee, AREA_BYTES);
		CHECK(ops->rma_write(server->conn, server->mr, 0, part(pair->remote, at, len), len) == 0);
		/* it has arrived before a message sent later: */
		size_t before = client->message_count;
		CHECK(ops->send(server->conn, blob_of("done", 4), blob_of(NULL, 0)) == 0);
		while (client->message_count == before)
			task_sleep(server->net->loop, NS_PER_MS / 10);
		CHECK(conform_is_filled(client->area + at, len, 100 + i));
		CHECK(at == 0 || client->area[at - 1] == 0xee);
		CHECK(client->area[at + len] == 0xee);
	}
}

static void reads_and_writes_of_all_sizes(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	conform_task(world, pair->server.node, sizes_task, pair);
	pair_free(pair);
}

static void write_then_send_task(void *arg)
{
	struct rma_pair *pair = arg;
	struct rma_side *server = &pair->server;
	const struct net_ops *ops = server->net->ops;
	for (int i = 0; i < 50; i++) {
		size_t before = pair->client.message_count;
		conform_fill(server->area, MIB, 77);
		memset(pair->client.area, 0, MIB);
		pair->client.watched_ok = false;
		CHECK(ops->rma_write(server->conn, server->mr, 0, part(pair->remote, 0, MIB), MIB) == 0);
		memset(server->area, 0, MIB); /* the local buffer is free to reuse */
		CHECK(ops->send(server->conn, blob_of("done", 4), blob_of(NULL, 0)) == 0);
		while (pair->client.message_count == before)
			task_sleep(server->net->loop, NS_PER_MS / 10);
		CHECK(pair->client.watched_ok);
	}
}

static void write_is_there_before_the_message(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	pair->client.watched = pair->client.area;
	pair->client.watched_len = MIB;
	conform_task(world, pair->server.node, write_then_send_task, pair);
	pair_free(pair);
}

struct worker {
	struct rma_pair *pair;
	size_t number;
};

enum { WORKERS = 200, WORKER_BYTES = AREA_BYTES / WORKERS };

static void worker_task(void *arg)
{
	struct worker *worker = arg;
	struct rma_pair *pair = worker->pair;
	struct rma_side *server = &pair->server;
	const struct net_ops *ops = server->net->ops;
	size_t at = worker->number * WORKER_BYTES;
	struct rma remote = part(pair->remote, at, WORKER_BYTES);
	for (uint64_t round = 0; round < 5; round++) {
		conform_fill(server->area + at, WORKER_BYTES, worker->number + round);
		CHECK(ops->rma_write(server->conn, server->mr, at, remote, WORKER_BYTES) == 0);
		memset(server->area + at, 0, WORKER_BYTES);
		CHECK(ops->rma_read(server->conn, server->mr, at, remote, WORKER_BYTES) == 0);
		CHECK(conform_is_filled(server->area + at, WORKER_BYTES, worker->number + round));
	}
	pair->tasks_done++;
}

static bool workers_are_done(void *ctx)
{
	return ((struct rma_pair *)ctx)->tasks_done == WORKERS;
}

static void many_at_once(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct worker workers[WORKERS];
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.pair = pair, .number = i};
		task_spawn(pair->server.node->loop, "worker", worker_task, &workers[i]);
	}
	conform_until(world, workers_are_done, pair);
	pair_free(pair);
}

/* ---- it is refused -------------------------------------------------------------------------------------------- */

struct attempt {
	struct rma_pair *pair;
	struct rma remote;
	size_t len;
	bool is_read;
	int rc;
};

static void attempt_task(void *arg)
{
	struct attempt *attempt = arg;
	struct rma_side *server = &attempt->pair->server;
	const struct net_ops *ops = server->net->ops;
	attempt->rc = attempt->is_read ? ops->rma_read(server->conn, server->mr, 0, attempt->remote, attempt->len) :
					 ops->rma_write(server->conn, server->mr, 0, attempt->remote, attempt->len);
}

static bool is_gone_or_refused(int rc)
{
	return rc == 0 || rc == -ERR_bad_key || rc == -ERR_conn_lost;
}

static bool is_settled(void *ctx)
{
	struct rma_pair *pair = ctx;
	return (pair->client.conn == NULL) == (pair->server.conn == NULL);
}

/* The server tries what it may not: nothing arrives, an error or the end of the connection does, and a new connection works. A write may
 * count as sent before it is refused. */
static void must_fail(struct rma_pair *pair, struct rma remote, size_t len, bool is_read)
{
	struct attempt attempt = {.pair = pair, .remote = remote, .len = len, .is_read = is_read};
	conform_fill(pair->server.area, len, 5);
	conform_fill(pair->client.area, AREA_BYTES, 6);
	conform_task(pair->world, pair->server.node, attempt_task, &attempt);
	CHECK(is_gone_or_refused(attempt.rc) && (attempt.rc < 0 || !is_read));
	conform_for(pair->world, 50 * NS_PER_MS);
	conform_until(pair->world, is_settled, pair);
	CHECK(conform_is_filled(pair->client.area, AREA_BYTES, 6));
	if (is_read)
		CHECK(conform_is_filled(pair->server.area, len, 5));
	if (pair->client.conn == NULL)
		reconnect(pair);
	attempt = (struct attempt){.pair = pair, .len = 0};
}

static void bad_keys(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct rma bad = part(pair->remote, 0, 65536);
	bad.key ^= UINT64_C(0x5a5a5a5a);
	must_fail(pair, bad, 65536, true);
	must_fail(pair, bad, 65536, false);
	must_fail(pair, part(pair->remote, AREA_BYTES - 1000, 4096), 4096, true);
	must_fail(pair, part(pair->remote, AREA_BYTES - 1000, 4096), 4096, false);
	must_fail(pair, part(pair->remote, AREA_BYTES * 16, 4096), 4096, true);
	must_fail(pair, part(pair->remote, 0, 100), 101, true); /* more than was offered */
	struct rma wraps = {.addr = UINT64_MAX - 10, .key = pair->remote.key, .len = 4096};
	must_fail(pair, wraps, 4096, true);
	pair_free(pair);
}

struct reopen {
	struct rma_pair *pair;
	unsigned access;
};

static void reopen_task(void *arg)
{
	struct reopen *reopen = arg;
	struct rma_pair *pair = reopen->pair;
	struct net *net = pair->client.net;
	net->ops->mr_close(pair->client.mr);
	pair->client.mr = NULL;
	if (reopen->access == 0)
		return;
	CHECK(net->ops->mr_open(net, pair->client.area, AREA_BYTES, reopen->access, &pair->client.mr) == 0);
	pair->remote = net->ops->mr_describe(pair->client.mr, 0, AREA_BYTES);
}

static void access_is_checked(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct reopen reopen = {.pair = pair, .access = NET_ACCESS_REMOTE_READ};
	conform_task(world, pair->client.node, reopen_task, &reopen);
	must_fail(pair, part(pair->remote, 0, 65536), 65536, false);
	reopen.access = NET_ACCESS_REMOTE_WRITE;
	conform_task(world, pair->client.node, reopen_task, &reopen);
	must_fail(pair, part(pair->remote, 0, 65536), 65536, true);
	pair_free(pair);
}

static void late_rma_never_lands(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct rma old = part(pair->remote, 0, MIB);
	struct reopen reopen = {.pair = pair};
	conform_task(world, pair->client.node, reopen_task, &reopen);
	must_fail(pair, old, MIB, false);
	must_fail(pair, old, MIB, true);
	conform_task(world, pair->client.node, expose_task, pair); /* the same memory, another region: the old key stays dead */
	must_fail(pair, old, MIB, false);
	pair_free(pair);
}

/* ---- it ends -------------------------------------------------------------------------------------------------- */

static void parked_task(void *arg)
{
	struct attempt *attempt = arg;
	attempt_task(attempt);
	attempt->pair->tasks_done++;
}

static void close_task(void *arg)
{
	struct rma_side *side = arg;
	side->net->ops->close(side->conn);
	side->conn = NULL;
}

static bool parked_are_done(void *ctx)
{
	return ((struct rma_pair *)ctx)->tasks_done == 8;
}

static void close_ends_parked_rma(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct attempt attempts[8];
	world->ops->node_freeze(world, pair->client.node, true);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
		attempts[i] = (struct attempt){.pair = pair, .remote = part(pair->remote, 0, MIB), .len = MIB, .is_read = true};
		task_spawn(pair->server.node->loop, "parked", parked_task, &attempts[i]);
	}
	conform_for(world, 50 * NS_PER_MS);
	CHECK(pair->tasks_done == 0);
	conform_fill(pair->server.area, AREA_BYTES, 9);
	conform_task(world, pair->server.node, close_task, &pair->server);
	conform_until(world, parked_are_done, pair);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++)
		CHECK(attempts[i].rc == -ERR_conn_lost);
	world->ops->node_freeze(world, pair->client.node, false);
	conform_until(world, is_settled, pair);
	CHECK(conform_is_filled(pair->server.area, AREA_BYTES, 9)); /* nothing came late */
	CHECK(pair->server.closed_count == 0 && pair->client.closed_count == 1);
	pair_free(pair);
}

static void crash_ends_parked_rma(struct conform_world *world)
{
	struct rma_pair *pair = pair_new(world);
	struct attempt attempts[8];
	world->ops->node_freeze(world, pair->client.node, true);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
		attempts[i] = (struct attempt){.pair = pair, .remote = part(pair->remote, 0, MIB), .len = MIB, .is_read = i % 2 == 0};
		task_spawn(pair->server.node->loop, "parked", parked_task, &attempts[i]);
	}
	conform_for(world, 20 * NS_PER_MS);
	world->ops->node_crash(world, pair->client.node);
	pair->client.node = NULL;
	conform_until(world, parked_are_done, pair);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++)
		CHECK(attempts[i].rc == -ERR_conn_lost || (attempts[i].rc == 0 && !attempts[i].is_read));
	pair_free(pair);
}

/* The region is closed while a write into it may be half done: from then on its memory is ours alone. */
static void region_closes_under_a_write(struct conform_world *world)
{
	for (uint64_t delay_us = 0; delay_us < 1000; delay_us += world->is_real ? 50 : 200) {
		struct rma_pair *pair = pair_new(world);
		struct attempt attempts[8];
		for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
			attempts[i] = (struct attempt){
				.pair = pair, .remote = part(pair->remote, 0, NET_RMA_BYTES_MAX), .len = NET_RMA_BYTES_MAX};
			task_spawn(pair->server.node->loop, "parked", parked_task, &attempts[i]);
		}
		conform_for(world, delay_us * NS_PER_US);
		struct reopen reopen = {.pair = pair};
		conform_task(world, pair->client.node, reopen_task, &reopen);
		conform_fill(pair->client.area, AREA_BYTES, 11);
		conform_until(world, parked_are_done, pair);
		conform_for(world, 20 * NS_PER_MS);
		CHECK(conform_is_filled(pair->client.area, AREA_BYTES, 11));
		conform_until(world, is_settled, pair);
		pair_free(pair);
	}
}

static const struct {
	const char *name;
	void (*run)(struct conform_world *world);
} cases[] = {
	{"reads_and_writes_of_all_sizes", reads_and_writes_of_all_sizes},
	{"write_is_there_before_the_message", write_is_there_before_the_message},
	{"many_at_once", many_at_once},
	{"bad_keys", bad_keys},
	{"access_is_checked", access_is_checked},
	{"late_rma_never_lands", late_rma_never_lands},
	{"close_ends_parked_rma", close_ends_parked_rma},
	{"crash_ends_parked_rma", crash_ends_parked_rma},
	{"region_closes_under_a_write", region_closes_under_a_write},
};

void conform_net_rma(struct conform_world *world)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		conform_case("net", cases[i].name);
		cases[i].run(world);
	}
}
