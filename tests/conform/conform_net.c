/* SPDX-License-Identifier: Apache-2.0
 * The contract of the net seam. Each case has a server node and a client node, each with a record of what it was told. */
#include "tests/conform/conform.h"

enum { CONNS_MAX = 512, SEEN_MAX = 20000 };

struct side {
	struct conform_world *world;
	struct conform_node *node;
	struct net *net;
	char address[NET_ADDR_BYTES_MAX];
	/* told by events */
	struct net_conn *conns[CONNS_MAX]; /* accepted */
	size_t accepted_count, closed_count, message_count;
	struct net_conn *last_closed;
	int last_rc;
	uint8_t *last; /* newest message */
	size_t last_len;
	uint8_t seen[SEEN_MAX]; /* how often the message with this number came */
	/* what to do */
	bool echo, counts, closes_on_message;
	bool greets; /* sends a message as soon as it accepts */
};

struct pair {
	struct conform_world *world;
	struct side server, client;
	struct net_conn *conn; /* the client's */
	int rc;
};

static void on_accepted(void *ctx, struct net_conn *conn)
{
	struct side *side = ctx;
	CHECK(conn->user == NULL && side->accepted_count < CONNS_MAX);
	side->conns[side->accepted_count++] = conn;
	if (side->greets)
		CHECK(side->net->ops->send(conn, blob_of("hello", 5), blob_of(NULL, 0)) == 0);
}

static void on_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct side *side = ctx;
	side->message_count++;
	mem_free(side->last);
	side->last = mem_dup(msg, len > 0 ? len : 1);
	side->last_len = len;
	if (side->counts) {
		CHECK(len >= 4 && load_le32(msg) < SEEN_MAX);
		side->seen[load_le32(msg)]++;
	}
	if (side->echo)
		CHECK(side->net->ops->send(conn, blob_of(msg, len), blob_of(NULL, 0)) == 0);
	if (side->closes_on_message)
		side->net->ops->close(conn);
}

static void on_closed(void *ctx, struct net_conn *conn, int rc)
{
	struct side *side = ctx;
	CHECK(rc < 0);
	side->closed_count++;
	side->last_closed = conn;
	side->last_rc = rc;
}

static const struct net_events events = {.accepted = on_accepted, .message = on_message, .closed = on_closed};

static void side_start(struct side *side, struct conform_world *world)
{
	*side = (struct side){.world = world, .node = world->ops->node_new(world, CONFORM_NET, 0)};
	side->net = side->node->env.net;
	side->net->events = &events;
	side->net->events_ctx = side;
}

static void listen_task(void *arg)
{
	struct side *side = arg;
	CHECK(side->net->ops->listen(side->net, side->world->listen_address, side->address) == 0);
}

static struct pair *pair_new(struct conform_world *world)
{
	struct pair *pair = mem_alloc(sizeof(*pair));
	pair->world = world;
	side_start(&pair->server, world);
	side_start(&pair->client, world);
	conform_task(world, pair->server.node, listen_task, &pair->server);
	return pair;
}

static void side_stop(struct side *side)
{
	if (side->node != NULL)
		side->world->ops->node_stop(side->world, side->node);
	side->node = NULL;
	mem_free(side->last);
	side->last = NULL;
}

static void pair_free(struct pair *pair)
{
	side_stop(&pair->client);
	side_stop(&pair->server);
	mem_free(pair);
}

static void connect_task(void *arg)
{
	struct pair *pair = arg;
	struct net *net = pair->client.net;
	pair->rc = net->ops->connect(net, pair->server.address, loop_now_ns(net->loop) + 10 * NS_PER_S, &pair->conn);
}

static bool server_accepted(void *ctx)
{
	return ((struct pair *)ctx)->server.accepted_count > 0;
}

static struct pair *pair_connected(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	conform_task(world, pair->client.node, connect_task, pair);
	CHECK(pair->rc == 0 && pair->conn->user == NULL);
	conform_until(world, server_accepted, pair);
	return pair;
}

static bool client_was_closed(void *ctx)
{
	return ((struct pair *)ctx)->client.closed_count > 0;
}

static bool server_was_closed(void *ctx)
{
	return ((struct pair *)ctx)->server.closed_count > 0;
}

static bool client_has_message(void *ctx)
{
	return ((struct pair *)ctx)->client.message_count > 0;
}

static bool server_has_message(void *ctx)
{
	return ((struct pair *)ctx)->server.message_count > 0;
}

/* ---- connecting ----------------------------------------------------------------------------------------------- */

struct try_connect {
	struct side *side;
	const char *address;
	uint64_t timeout_ns;
	int rc;
	struct net_conn *conn;
};

static void try_connect_task(void *arg)
{
	struct try_connect *try = arg;
	struct net *net = try->side->net;
	try->rc = net->ops->connect(net, try->address, loop_now_ns(net->loop) + try->timeout_ns, &try->conn);
}

static int try_connect(struct side *side, const char *address, uint64_t timeout_ns)
{
	struct try_connect try = {.side = side, .address = address, .timeout_ns = timeout_ns};
	conform_task(side->world, side->node, try_connect_task, &try);
	return try.rc;
}

static void nobody_listens(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	CHECK(try_connect(&pair->client, world->dead_address, 5 * NS_PER_S) == -ERR_refused);
	CHECK(try_connect(&pair->client, "nonsense", NS_PER_S) == -EINVAL);
	CHECK(try_connect(&pair->client, "", NS_PER_S) == -EINVAL);
	CHECK(pair->client.closed_count == 0 && pair->client.accepted_count == 0);
	pair_free(pair);
}

static void listen_again_task(void *arg)
{
	struct pair *pair = arg;
	char address[NET_ADDR_BYTES_MAX];
	pair->rc = pair->client.net->ops->listen(pair->client.net, pair->server.address, address);
}

static void address_is_taken(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	conform_task(world, pair->client.node, listen_again_task, pair);
	CHECK(pair->rc == -EADDRINUSE);
	pair_free(pair);
}

static void stopped_server_times_out(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	world->ops->node_freeze(world, pair->server.node, true);
	CHECK(try_connect(&pair->client, pair->server.address, 100 * NS_PER_MS) == -ERR_timeout);
	world->ops->node_freeze(world, pair->server.node, false);
	conform_for(world, 100 * NS_PER_MS);
	CHECK(pair->client.closed_count == 0);
	CHECK(try_connect(&pair->client, pair->server.address, 5 * NS_PER_S) == 0);
	pair_free(pair);
}

static void greeting_waits_for_connect(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	pair->server.greets = true;
	conform_task(world, pair->client.node, connect_task, pair);
	CHECK(pair->rc == 0);
	conform_until(world, client_has_message, pair);
	CHECK(pair->client.last_len == 5 && memcmp(pair->client.last, "hello", 5) == 0);
	CHECK(strlen(pair->client.net->ops->peer_name(pair->conn)) > 0);
	CHECK(strlen(pair->server.net->ops->peer_name(pair->server.conns[0])) > 0);
	pair_free(pair);
}

static void many_task(void *arg)
{
	struct pair *pair = arg;
	struct net *net = pair->client.net;
	size_t count = pair->world->is_real ? 200 : 40;
	for (size_t i = 0; i < count; i++) {
		struct net_conn *conn;
		CHECK(net->ops->connect(net, pair->server.address, loop_now_ns(net->loop) + 10 * NS_PER_S, &conn) == 0);
		pair->client.conns[i] = conn;
		uint8_t number[4];
		store_le32(number, (uint32_t)i);
		CHECK(net->ops->send(conn, blob_of(number, 4), blob_of(NULL, 0)) == 0);
	}
	while (pair->client.message_count < count)
		task_sleep(net->loop, NS_PER_MS);
	for (size_t i = 0; i < count; i++)
		CHECK(pair->client.seen[i] == 1 && pair->server.seen[i] == 1);
	for (size_t i = 0; i < count; i += 2)
		net->ops->close(pair->client.conns[i]);
	while (pair->server.closed_count < count / 2)
		task_sleep(net->loop, NS_PER_MS);
}

static void many_connections(struct conform_world *world)
{
	struct pair *pair = pair_new(world);
	pair->server.echo = pair->server.counts = pair->client.counts = true;
	conform_task(world, pair->client.node, many_task, pair);
	CHECK(pair->client.closed_count == 0);
	pair_free(pair);
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static void sizes_task(void *arg)
{
	struct pair *pair = arg;
	struct net *net = pair->client.net;
	static const size_t sizes[] = {0,    1,    63,   64,    65,    127,   128,   129,          1000,
				       4095, 4096, 4097, 10000, 65536, 65537, 73000, NET_MSG_BYTES_MAX};
	uint8_t *buf = mem_alloc(NET_MSG_BYTES_MAX + 1);
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		size_t len = sizes[i], head = len < 64 ? len / 2 : 64, before = pair->client.message_count;
		conform_fill(buf, len, i);
		CHECK(net->ops->send(pair->conn, blob_of(buf, head), blob_of(buf + head, len - head)) == 0);
		memset(buf, 0, len); /* send has copied it */
		while (pair->client.message_count == before)
			task_sleep(net->loop, NS_PER_MS / 10);
		CHECK(pair->client.last_len == len && conform_is_filled(pair->client.last, len, i));
	}
	CHECK(net->ops->send(pair->conn, blob_of(buf, 64), blob_of(buf, NET_MSG_BYTES_MAX - 63)) == -ERR_too_long);
	CHECK(net->ops->send(pair->conn, blob_of(buf, NET_MSG_BYTES_MAX + 1), blob_of(NULL, 0)) == -ERR_too_long);
	mem_free(buf);
}

static void messages_of_all_sizes(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	pair->server.echo = true;
	conform_task(world, pair->client.node, sizes_task, pair);
	pair_free(pair);
}

struct flood {
	struct side *side;
	struct net_conn *conn;
	uint32_t count;
	bool is_done;
};

static void flood_task(void *arg)
{
	struct flood *flood = arg;
	struct net *net = flood->side->net;
	uint8_t *buf = mem_alloc(8192);
	for (uint32_t i = 0; i < flood->count;) {
		store_le32(buf, i);
		int rc = net->ops->send(flood->conn, blob_of(buf, 64), blob_of(buf, i % 5 == 0 ? 8000 : 10));
		CHECK(rc == 0 || rc == -ERR_busy);
		if (rc == 0)
			i++;
		else
			task_sleep(net->loop, NS_PER_MS / 10);
	}
	mem_free(buf);
	flood->is_done = true;
}

static bool flood_arrived(void *ctx)
{
	struct pair *pair = ctx;
	size_t count = pair->world->is_real ? SEEN_MAX : SEEN_MAX / 20;
	return pair->server.message_count >= count && pair->client.message_count >= count;
}

static void thousands_both_ways(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	pair->server.counts = pair->client.counts = true;
	uint32_t count = world->is_real ? SEEN_MAX : SEEN_MAX / 20;
	struct flood floods[2] = {{.side = &pair->client, .conn = pair->conn, .count = count},
				  {.side = &pair->server, .conn = pair->server.conns[0], .count = count}};
	task_spawn(pair->client.node->loop, "flood", flood_task, &floods[0]);
	task_spawn(pair->server.node->loop, "flood", flood_task, &floods[1]);
	conform_until(world, flood_arrived, pair);
	CHECK(floods[0].is_done && floods[1].is_done);
	for (uint32_t i = 0; i < count; i++)
		CHECK(pair->server.seen[i] == 1 && pair->client.seen[i] == 1);
	pair_free(pair);
}

/* ---- endings -------------------------------------------------------------------------------------------------- */

static void close_task(void *arg)
{
	struct pair *pair = arg;
	pair->client.net->ops->close(pair->conn);
}

static void close_tells_the_other(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	conform_task(world, pair->client.node, close_task, pair);
	conform_until(world, server_was_closed, pair);
	CHECK(pair->server.last_closed == pair->server.conns[0]);
	conform_for(world, 20 * NS_PER_MS);
	CHECK(pair->client.closed_count == 0 && pair->server.closed_count == 1);
	pair_free(pair);
}

static void send_byte_task(void *arg)
{
	struct pair *pair = arg;
	CHECK(pair->client.net->ops->send(pair->conn, blob_of("x", 1), blob_of(NULL, 0)) == 0);
}

static void close_inside_message(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	pair->server.closes_on_message = true;
	conform_task(world, pair->client.node, send_byte_task, pair);
	conform_until(world, client_was_closed, pair);
	CHECK(pair->client.last_closed == pair->conn && pair->server.closed_count == 0);
	pair_free(pair);
}

static void crash_is_noticed(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	conform_task(world, pair->client.node, send_byte_task, pair);
	conform_until(world, server_has_message, pair);
	world->ops->node_crash(world, pair->server.node);
	pair->server.node = NULL;
	conform_until(world, client_was_closed, pair);
	CHECK(pair->client.last_closed == pair->conn && err_is(pair->client.last_rc, ERR_conn_lost));
	mem_free(TAKE(pair->server.last));
	pair_free(pair);
}

static void relisten_task(void *arg)
{
	struct side *side = arg;
	char address[NET_ADDR_BYTES_MAX];
	int rc = -EADDRINUSE;
	for (int i = 0; i < 200 && rc == -EADDRINUSE; i++) {
		rc = side->net->ops->listen(side->net, side->address, address);
		if (rc < 0)
			task_sleep(side->net->loop, 10 * NS_PER_MS);
	}
	CHECK(rc == 0 && strcmp(address, side->address) == 0);
}

static void restart_on_the_same_address(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	char address[NET_ADDR_BYTES_MAX];
	memcpy(address, pair->server.address, sizeof(address));
	world->ops->node_crash(world, pair->server.node);
	conform_until(world, client_was_closed, pair);
	CHECK(try_connect(&pair->client, address, 5 * NS_PER_S) == -ERR_refused);
	side_start(&pair->server, world);
	memcpy(pair->server.address, address, sizeof(address));
	conform_task(world, pair->server.node, relisten_task, &pair->server);
	pair->server.echo = true;
	conform_task(world, pair->client.node, connect_task, pair);
	CHECK(pair->rc == 0);
	conform_task(world, pair->client.node, send_byte_task, pair);
	conform_until(world, client_has_message, pair);
	pair_free(pair);
}

static void fill_task(void *arg)
{
	struct pair *pair = arg;
	uint8_t *buf = mem_alloc(NET_MSG_BYTES_MAX);
	int sent = 0, busy = 0, rc = 0;
	/* a stopped peer takes what buffers hold, then every send says busy and returns at once */
	for (int i = 0; i < 100000 && busy < 100; i++) {
		rc = pair->client.net->ops->send(pair->conn, blob_of(buf, NET_MSG_BYTES_MAX), blob_of(NULL, 0));
		CHECK(rc == 0 || rc == -ERR_busy);
		sent += rc == 0;
		busy += rc == -ERR_busy;
		if (rc == -ERR_busy)
			task_sleep(pair->client.net->loop, NS_PER_MS);
	}
	CHECK(sent > 0 && busy == 100);
	pair->client.net->ops->close(pair->conn);
	mem_free(buf);
}

static void stopped_peer_is_given_up(struct conform_world *world)
{
	struct pair *pair = pair_connected(world);
	world->ops->node_freeze(world, pair->server.node, true);
	conform_task(world, pair->client.node, fill_task, pair);
	world->ops->node_freeze(world, pair->server.node, false);
	conform_until(world, server_was_closed, pair);
	CHECK(pair->client.closed_count == 0);
	pair_free(pair);
}

static const struct {
	const char *name;
	void (*run)(struct conform_world *world);
} cases[] = {
	{"nobody_listens", nobody_listens},
	{"address_is_taken", address_is_taken},
	{"stopped_server_times_out", stopped_server_times_out},
	{"greeting_waits_for_connect", greeting_waits_for_connect},
	{"messages_of_all_sizes", messages_of_all_sizes},
	{"thousands_both_ways", thousands_both_ways},
	{"many_connections", many_connections},
	{"close_tells_the_other", close_tells_the_other},
	{"close_inside_message", close_inside_message},
	{"crash_is_noticed", crash_is_noticed},
	{"restart_on_the_same_address", restart_on_the_same_address},
	{"stopped_peer_is_given_up", stopped_peer_is_given_up},
};

void conform_net(struct conform_world *world)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		conform_case("net", cases[i].name);
		cases[i].run(world);
	}
	conform_net_rma(world);
}
