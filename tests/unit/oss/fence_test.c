/* SPDX-License-Identifier: Apache-2.0
 * An OST, a management service of a page, and clients that write without commit: what an evicted one has written outlives a crash, and the living
 * are left to themselves. */
#include "common/base/crc.h"
#include "common/base/err.h"
#include "common/cluster/cmap.h"
#include "common/core/rpc.h"
#include "oss/oss.h"
#include "proto/rows.h"
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { FIRST = 7, CLIENTS = 3, LEN = 5000, ROWS_BYTES = 4096 };
#define MGS_ADDRESS "tcp://mgs:1"
#define OST_ADDRESS "tcp://ost:1"

struct test {
	struct world *world;
	struct sim_node *mgs, *ost_node, *callers;
	struct rpc_identity mgs_identity, identities[CLIENTS];
	struct rpc_peer *peers[CLIENTS]; /* the OST, as client FIRST + i calls it */
	uint64_t opnos;
	struct ost *ost; /* its present life */
	bool evicted;    /* FIRST is */
	bool done;
};

/* ---- the management service ----------------------------------------------------------------------------------- */

static struct blob map_now(const struct test *test, struct arena *arena)
{
	struct cmap *map = cmap_new();
	map->epoch = test->mgs_identity.epoch;
	map->cluster_hi = map->cluster_lo = 5;
	memcpy(map->fsname, "stria", 6);
	map->shard_count = 1;
	if (test->evicted)
		cmap_evict(map, FIRST);
	uint8_t *bytes = arena_alloc(arena, WIRE_BLOB_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BLOB_BYTES_MAX);
	cmap_encode(map, &out);
	cmap_free(map);
	return blob_of(bytes, wire_len(&out));
}

static struct blob living(const struct test *test, struct arena *arena)
{
	uint8_t *bytes = arena_alloc(arena, ROWS_BYTES);
	struct wire_out out = wire_out(bytes, ROWS_BYTES);
	for (uint64_t i = test->evicted ? 1 : 0; i < CLIENTS; i++)
		client_row_put(&out, &(struct client_row){.client = FIRST + i});
	return blob_of(bytes, wire_len(&out));
}

static int mgs_serve(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	const struct test *test = ctx;
	uint64_t epoch = test->mgs_identity.epoch;
	(void)req;
	switch (call->op->number) {
	case OP_target_register:
		*(struct target_register_rep *)rep = (struct target_register_rep){5, 5, epoch, map_now(test, &call->arena)};
		return 0;
	case OP_target_beat:
		*(struct target_beat_rep *)rep = (struct target_beat_rep){1}; /* the OST learns of evictions from requests only */
		return 0;
	case OP_map_get:
		*(struct map_get_rep *)rep = (struct map_get_rep){epoch, map_now(test, &call->arena)};
		return 0;
	case OP_client_list:
		*(struct client_list_rep *)rep = (struct client_list_rep){living(test, &call->arena), 1};
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void mgs_main(struct sim_node *node, void *ctx)
{
	static const struct rpc_server_ops ops = {.serve = mgs_serve};
	struct test *test = ctx;
	char address[NET_ADDR_BYTES_MAX];
	test->mgs_identity = (struct rpc_identity){.role = ROLE_MDT, .kind = TARGET_MDT, .state = TARGET_UP, .cluster_hi = 5, .cluster_lo = 5,
						   .boot = 1, .epoch = 1};
	struct rpc *rpc = rpc_new(sim_node_env(node), &test->mgs_identity, &ops, test, NULL);
	assert_int_equal(rpc_listen(rpc, MGS_ADDRESS, address), 0);
}

static void ost_main(struct sim_node *node, void *ctx)
{
	struct test *test = ctx;
	char error[OST_ERROR_BYTES], address[NET_ADDR_BYTES_MAX];
	if (sim_node_incarnation(node) == 1)
		assert_int_equal(ost_format(sim_node_env(node), &(struct ost_format_opts){.fsname = "stria"}, error), 0);
	test->ost = ost_new(sim_node_env(node), &(struct ost_conf){.listen = OST_ADDRESS, .mgs = MGS_ADDRESS, .buffers = 4});
	assert_int_equal(ost_start(test->ost, address), 0);
}

/* ---- clients -------------------------------------------------------------------------------------------------- */

static int again(struct test *test, int rc)
{
	if (rc < 0 && err_is(rc, ERR_retry))
		task_sleep(sim_node_loop(test->callers), 100 * NS_PER_MS);
	return rc;
}

static void fill(uint8_t bytes[LEN], unsigned client, uint64_t ino)
{
	for (size_t i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)(i * 3 + client * 17 + ino);
}

/* Unstable. */
static void put(struct test *test, unsigned client, uint64_t ino)
{
	uint8_t bytes[LEN];
	struct obj_write_rep rep;
	int rc;
	fill(bytes, client, ino);
	struct obj_write_req req = {.ino = {ino}, .len = LEN, .crc = crc32c(0, bytes, LEN), .data = blob_of(bytes, LEN)};
	struct rpc_args args = {.opno = ++test->opnos};
	while ((rc = again(test, rpc_obj_write(test->peers[client], &req, &rep, &args))) < 0)
		assert_true(err_is(rc, ERR_retry));
	assert_int_equal(rep.stable, 0);
}

static void expect(struct test *test, unsigned reader, uint64_t ino, unsigned writer)
{
	uint8_t bytes[LEN];
	struct arena arena;
	struct obj_read_rep rep;
	struct obj_read_req req = {.ino = {ino}, .len = LEN};
	int rc;
	arena_init(&arena);
	while ((rc = again(test, rpc_obj_read(test->peers[reader], &req, &rep, &(struct rpc_args){.arena = &arena}))) < 0)
		assert_true(err_is(rc, ERR_retry));
	fill(bytes, writer, ino);
	assert_int_equal(rep.len, LEN);
	assert_memory_equal(rep.data.ptr, bytes, LEN);
	arena_fini(&arena);
}

static void ost_restarts(struct test *test)
{
	sim_node_crash(test->ost_node);
	sim_node_boot(test->ost_node);
}

static void say_replayed(struct test *test, unsigned client)
{
	int rc;
	struct replay_done_rep rep;
	do {
		struct replay_done_req req = {.verifier = rpc_peer_boot(test->peers[client])};
		rc = again(test, rpc_replay_done(test->peers[client], &req, &rep, &(struct rpc_args){0}));
		assert_true(rc == 0 || err_is(rc, ERR_retry));
	} while (rc < 0);
}

static void evict_first(struct test *test)
{
	test->evicted = true;
	test->mgs_identity.epoch++;
	for (unsigned i = 1; i < CLIENTS; i++)
		test->identities[i].epoch = test->mgs_identity.epoch; /* they know */
}

/* ---- tests ---------------------------------------------------------------------------------------------------- */

/* Files 1, 2: of one that is evicted, of one that lives; 3: of both; 4: of two that live. */
static void callers_main(struct sim_node *node, void *ctx)
{
	struct test *test = ctx;
	for (unsigned i = 0; i < CLIENTS; i++) {
		test->identities[i] = (struct rpc_identity){.role = ROLE_CLIENT, .cluster_hi = 5, .cluster_lo = 5, .client = FIRST + i,
							    .epoch = 1};
		struct rpc *rpc = rpc_new(sim_node_env(node), &test->identities[i], NULL, NULL, NULL);
		test->peers[i] = rpc_peer_new(rpc, OST_ADDRESS);
	}
	put(test, 0, 1);
	put(test, 1, 2);
	put(test, 1, 3);
	put(test, 0, 3);
	expect(test, 2, 1, 0);
	assert_int_equal(ost_counters(test->ost).commits, 0);
	evict_first(test);
	expect(test, 2, 1, 0); /* served with the new map: what others see from here on stays */
	assert_int_equal(ost_counters(test->ost).commits, 2);
	assert_int_equal(ost_counters(test->ost).evicted_commits, 2);
	put(test, 1, 4);
	put(test, 2, 4);
	test->mgs_identity.epoch = test->identities[2].epoch = 3;
	expect(test, 2, 4, 2); /* with a map that evicts nobody else */
	assert_int_equal(ost_counters(test->ost).commits, 2);
	ost_restarts(test);
	say_replayed(test, 1);
	say_replayed(test, 2);
	expect(test, 2, 1, 0);
	expect(test, 2, 3, 0);
	test->done = true;
}

static bool is_done(void *ctx)
{
	return ((struct test *)ctx)->done;
}

static void what_an_evicted_client_has_written_survives_a_crash(void **state)
{
	static struct test test;
	(void)state;
	test = (struct test){.world = world_new(1)};
	test.mgs = sim_node_new(test.world, "mgs", 0, mgs_main, &test);
	test.ost_node = sim_node_new(test.world, "ost", SIM_DISK | SIM_KV, ost_main, &test);
	test.callers = sim_node_new(test.world, "callers", 0, callers_main, &test);
	sim_node_boot(test.mgs);
	sim_node_boot(test.ost_node);
	sim_node_boot(test.callers);
	assert_true(world_run(test.world, 60 * NS_PER_S, is_done, &test));
	world_free(test.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_an_evicted_client_has_written_survives_a_crash)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
