/* SPDX-License-Identifier: Apache-2.0
 * Calls between two nodes on one loop, over a net of a page: the test decides what happens to each message. */
#include "common/core/loop.h"
#include "common/core/rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { QUEUE_MAX = 64 };

struct fake_net;
struct fake_conn {
	struct net_conn conn;
	struct fake_conn *other; /* NULL: the other side is gone */
};
struct fake_message {
	struct fake_conn *to;
	uint8_t *bytes;
	size_t len;
};
struct fake_net {
	struct net net;
	struct world *world;
	bool listening;
};
struct world {
	struct clock clock;
	uint64_t now_ns;
	struct loop *loop;
	struct fake_net nets[2]; /* caller, server */
	struct env envs[2];
	struct rpc_identity ids[2];
	struct rpc *rpcs[2];
	struct rpc_peer *peer;
	struct fake_message queue[QUEUE_MAX];
	size_t queued;
	int drop_next, copies;
	/* what the caller saw */
	int rc;
	bool done;
	uint64_t epoch;
	/* what the server did */
	int served, serve_rc, served_back;
	uint64_t size_back;
	uint64_t seen_epoch;
	struct waitq hold;
	bool holding;
};

static uint64_t now(struct clock *clock)
{
	return CONTAINER_OF(clock, struct world, clock)->now_ns;
}
static int64_t real(struct clock *clock)
{
	return (int64_t)now(clock) + 1000;
}
static const struct clock_ops clock_ops = {.now_ns = now, .real_ns = real};

static int fake_connect(struct net *net, const char *addr, uint64_t deadline_ns, struct net_conn **ret_conn)
{
	struct world *world = CONTAINER_OF(net, struct fake_net, net)->world;
	(void)deadline_ns;
	struct fake_net *target = &world->nets[1];
	if (!target->listening || strcmp(addr, "server") != 0)
		return -ERR_refused;
	struct fake_conn *near = mem_alloc(sizeof(*near)), *far = mem_alloc(sizeof(*far));
	near->conn.net = net;
	far->conn.net = &target->net;
	near->other = far;
	far->other = near;
	target->net.events->accepted(target->net.events_ctx, &far->conn);
	*ret_conn = &near->conn;
	return 0;
}

static int fake_listen(struct net *net, const char *addr, char ret_addr[NET_ADDR_BYTES_MAX])
{
	CONTAINER_OF(net, struct fake_net, net)->listening = true;
	memcpy(ret_addr, addr, strlen(addr) + 1);
	return 0;
}

static int fake_send(struct net_conn *conn, struct blob head, struct blob body)
{
	struct fake_conn *fake = CONTAINER_OF(conn, struct fake_conn, conn);
	struct world *world = CONTAINER_OF(conn->net, struct fake_net, net)->world;
	if (world->drop_next > 0) {
		world->drop_next--;
		return 0;
	}
	for (int i = 0; i < world->copies && fake->other != NULL; i++) {
		assert_true(world->queued < QUEUE_MAX);
		struct fake_message *message = &world->queue[world->queued++];
		message->to = fake->other;
		message->len = head.len + body.len;
		message->bytes = mem_alloc(message->len);
		memcpy(message->bytes, head.ptr, head.len);
		if (body.len > 0)
			memcpy(message->bytes + head.len, body.ptr, body.len);
	}
	return 0;
}

static void unqueue(struct world *world, const struct fake_conn *to)
{
	for (size_t i = 0; i < world->queued; i++)
		if (world->queue[i].to == to)
			world->queue[i].to = NULL;
}

static void fake_close(struct net_conn *conn)
{
	struct fake_conn *fake = CONTAINER_OF(conn, struct fake_conn, conn);
	struct world *world = CONTAINER_OF(conn->net, struct fake_net, net)->world;
	struct fake_conn *other = fake->other;
	unqueue(world, fake);
	mem_free(fake);
	if (other == NULL)
		return;
	other->other = NULL;
	unqueue(world, other);
	other->conn.net->events->closed(other->conn.net->events_ctx, &other->conn, -ERR_conn_lost);
	mem_free(other);
}

static const struct net_ops net_ops = {
	.listen = fake_listen, .connect = fake_connect, .send = fake_send, .close = fake_close};

static void settle(struct world *world)
{
	for (int i = 0; i < 100; i++) {
		(void)loop_step(world->loop);
		struct fake_message batch[QUEUE_MAX];
		size_t count = world->queued;
		memcpy(batch, world->queue, count * sizeof(batch[0]));
		world->queued = 0;
		for (size_t k = 0; k < count; k++) {
			struct fake_conn *to = batch[k].to;
			if (to != NULL)
				to->conn.net->events->message(to->conn.net->events_ctx, &to->conn, batch[k].bytes,
							      batch[k].len);
			mem_free(batch[k].bytes);
		}
	}
}

static void later(struct world *world, uint64_t ns)
{
	world->now_ns += ns;
	settle(world);
}

static int serve(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	struct world *world = ctx;
	assert_int_equal(call->op->number, OP_map_get);
	world->served++;
	if (world->holding)
		(void)waitq_wait(&world->hold, world->loop, UINT64_MAX);
	if (world->serve_rc < 0)
		return world->serve_rc;
	struct map_get_rep *map = rep;
	map->epoch = ((const struct map_get_req *)req)->epoch + 1;
	map->map = blob_of(arena_dup(&call->arena, "abc", 3), 3);
	return 0;
}

static void newer_epoch(void *ctx, uint64_t epoch)
{
	((struct world *)ctx)->seen_epoch = epoch;
}

/* What the server asks of its caller. */
static int serve_back(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	struct world *world = ctx;
	assert_int_equal(call->op->number, OP_glimpse);
	world->served_back++;
	((struct glimpse_rep *)rep)->size_bytes = ((const struct glimpse_req *)req)->ino.v + 1;
	return 0;
}

static const struct rpc_server_ops caller_ops = {.serve = serve_back};
static const struct rpc_server_ops server_ops = {.serve = serve, .newer_epoch = newer_epoch};

static int setup(void **state)
{
	struct world *world = mem_alloc(sizeof(*world));
	char address[NET_ADDR_BYTES_MAX];
	world->clock.ops = &clock_ops;
	world->copies = 1;
	waitq_init(&world->hold);
	world->loop = loop_new(&(struct loop_opts){.name = "test", .clock = &world->clock});
	for (int i = 0; i < 2; i++) {
		world->nets[i] = (struct fake_net){.net = {.ops = &net_ops, .loop = world->loop}, .world = world};
		world->envs[i] = (struct env){.loop = world->loop, .clock = &world->clock, .net = &world->nets[i].net};
		world->rpcs[i] = rpc_new(&world->envs[i], &world->ids[i], i == 1 ? &server_ops : &caller_ops, world, NULL);
	}
	world->ids[1] = (struct rpc_identity){.kind = TARGET_MDT, .boot = 5, .cluster_hi = 1, .cluster_lo = 1};
	world->ids[0] = (struct rpc_identity){.role = ROLE_CLIENT, .client = 77, .epoch = 3};
	assert_int_equal(rpc_listen(world->rpcs[1], "server", address), 0);
	world->peer = rpc_peer_new(world->rpcs[0], "server");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	settle(world);
	rpc_free(world->rpcs[0]);
	rpc_free(world->rpcs[1]);
	loop_free(world->loop);
	for (size_t i = 0; i < world->queued; i++)
		mem_free(world->queue[i].bytes);
	mem_free(world);
	return 0;
}

static void call_task(void *arg)
{
	struct world *world = arg;
	struct arena arena;
	struct map_get_rep rep;
	arena_init(&arena);
	world->rc = rpc_map_get(world->peer, &(struct map_get_req){.epoch = 41}, &rep,
				&(struct rpc_args){.arena = &arena, .timeout_ns = NS_PER_S});
	if (world->rc == 0) {
		assert_memory_equal(rep.map.ptr, "abc", 3);
		world->epoch = rep.epoch;
	}
	arena_fini(&arena);
	world->done = true;
}

static void call(struct world *world)
{
	world->done = false;
	task_spawn(world->loop, "call", call_task, world);
	settle(world);
}

static void a_call_connects_greets_and_answers(void **state)
{
	struct world *world = *state;
	call(world);
	assert_true(world->done);
	assert_int_equal(world->rc, 0);
	assert_int_equal(world->epoch, 42);
	assert_int_equal(rpc_peer_boot(world->peer), 5);
	assert_int_equal(world->seen_epoch, 3);
	assert_int_equal(rpc_count(world->rpcs[1], OP_map_get).served, 1);
}

static void call_back_task(void *arg)
{
	struct world *world = arg;
	struct glimpse_rep rep = {0};
	world->rc = rpc_call_back(world->rpcs[1], 77, OP_glimpse, &(struct glimpse_req){.ino = {6}}, &rep,
				  &(struct rpc_args){.timeout_ns = NS_PER_S});
	world->size_back = rep.size_bytes;
	world->done = true;
}

static void call_back(struct world *world)
{
	world->done = false;
	task_spawn(world->loop, "call_back", call_back_task, world);
	settle(world);
}

static void a_client_is_called_back_over_its_own_connection(void **state)
{
	struct world *world = *state;
	call_back(world);
	assert_int_equal(world->rc, -ERR_conn_lost); /* it has never come */
	call(world);
	call_back(world);
	assert_true(world->done);
	assert_int_equal(world->rc, 0);
	assert_int_equal(world->size_back, 7);
	assert_int_equal(world->served_back, 1);
	world->drop_next = 1;
	call_back(world);
	assert_false(world->done);
	later(world, 2 * NS_PER_S);
	assert_int_equal(world->rc, -ERR_timeout);
	call(world); /* the connection was not cut for it */
	assert_int_equal(world->rc, 0);
	assert_int_equal(rpc_count(world->rpcs[0], OP_hello).calls_made, 0);
	assert_int_equal(rpc_count(world->rpcs[1], OP_hello).served, 1);
	rpc_peer_disconnect(world->peer);
	settle(world);
	call_back(world);
	assert_int_equal(world->rc, -ERR_conn_lost);
}

static void a_status_travels_back(void **state)
{
	struct world *world = *state;
	world->serve_rc = -ERR_grace;
	call(world);
	assert_int_equal(world->rc, -ERR_grace);
	world->serve_rc = -ENOSPC;
	call(world);
	assert_int_equal(world->rc, -ENOSPC);
}

static void copies_are_served_once(void **state)
{
	struct world *world = *state;
	world->copies = 3;
	call(world);
	call(world);
	assert_int_equal(world->rc, 0);
	assert_int_equal(world->served, 2);
}

static void a_lost_request_times_out_and_the_silent_connection_is_cut(void **state)
{
	struct world *world = *state;
	call(world);
	world->drop_next = 1;
	call(world);
	assert_false(world->done);
	later(world, NS_PER_S);
	assert_true(world->done);
	assert_int_equal(world->rc, -ERR_timeout);
	assert_false(rpc_peer_is_connected(world->peer));
	call(world);
	assert_int_equal(world->rc, 0);
}

static void closing_wakes_callers_and_spares_the_server(void **state)
{
	struct world *world = *state;
	world->holding = true;
	call(world);
	assert_int_equal(world->served, 1);
	rpc_peer_disconnect(world->peer);
	settle(world);
	assert_true(world->done);
	assert_int_equal(world->rc, -ERR_conn_lost);
	waitq_wake_all(&world->hold); /* the server's task ends with nobody to tell */
	settle(world);
}

static void nobody_listening_is_refused(void **state)
{
	struct world *world = *state;
	rpc_peer_set_address(world->peer, "elsewhere,nowhere");
	call(world);
	assert_int_equal(world->rc, -ERR_refused);
	rpc_peer_set_address(world->peer, "elsewhere,server");
	call(world);
	assert_int_equal(world->rc, 0);
}

static void another_cluster_is_refused(void **state)
{
	struct world *world = *state;
	world->ids[0].cluster_hi = 9;
	call(world);
	assert_int_equal(world->rc, -ERR_wrong_cluster);
}

static void rubbish_ends_the_connection_and_is_counted(void **state)
{
	struct world *world = *state;
	struct net_conn *conn = NULL;
	call(world);
	assert_int_equal(fake_connect(&world->nets[0].net, "server", 0, &conn), 0);
	conn->user = NULL;
	uint8_t rubbish[100] = {1, 2, 3};
	assert_int_equal(fake_send(conn, blob_of(rubbish, 100), (struct blob){0}), 0);
	settle(world);
	assert_int_equal(rpc_dropped_messages(world->rpcs[1]), 1);
	call(world); /* others are not touched */
	assert_int_equal(world->rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_call_connects_greets_and_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_is_called_back_over_its_own_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_status_travels_back, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_are_served_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_request_times_out_and_the_silent_connection_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_wakes_callers_and_spares_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_listening_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(another_cluster_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(rubbish_ends_the_connection_and_is_counted, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
