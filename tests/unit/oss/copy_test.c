/* SPDX-License-Identifier: Apache-2.0
 * obj_copy between two OSTs, as one client of a cluster of a page sees it. */
#include "common/base/check.h"
#include "common/base/crc.h"
#include "common/cluster/cmap.h"
#include "common/core/rpc.h"
#include "oss/oss.h"
#include "proto/rows.h"
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { OSTS = 2, OST_REGISTERED = 2, OST_UNKNOWN = 9, STEP_BYTES = 32768, FILE_BYTES = 3 * 1024 * 1024, CLIENT = 7, CROSSING = 12 };
#define UNTIL_NS (300 * NS_PER_S)

struct test {
	struct world *world;
	struct sim_node *mgs, *caller, *nodes[OSTS];
	struct ost *osts[OSTS];
	struct rpc_identity mgs_identity, identity;
	uint64_t epoch;
	bool evicting;
	struct rpc *rpc;
	struct rpc_peer *peers[OSTS];
	uint64_t next_opno;
	uint8_t *bytes, *other; /* FILE_BYTES each */
	void (*body)(struct test *test);
	unsigned running;
	bool done;
};

/* ---- the cluster ------------------------------------------------------------------------------------------------ */

static struct blob map_of(struct test *test, struct arena *arena)
{
	struct cmap *map = cmap_new();
	map->epoch = test->epoch;
	map->cluster_hi = map->cluster_lo = 5;
	memcpy(map->fsname, "sim", 4);
	map->shard_count = 1;
	for (uint32_t i = 0; i <= OST_REGISTERED; i++) {
		struct cmap_target *target = cmap_add_target(map, TARGET_OST, i);
		if (i < OSTS)
			(void)snprintf(target->address, sizeof(target->address), "tcp://ost%u:7400", i);
	}
	if (test->evicting)
		cmap_evict(map, CLIENT);
	uint8_t *bytes = arena_alloc(arena, WIRE_BLOB_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BLOB_BYTES_MAX);
	cmap_encode(map, &out);
	cmap_free(map);
	return blob_of(bytes, wire_len(&out));
}

static int mgs_serve(void *ctx, struct rpc_call *call, const void *any_req, void *any_rep)
{
	struct test *test = ctx;
	(void)any_req;
	switch (call->op->number) {
	case OP_target_register:
		*(struct target_register_rep *)any_rep = (struct target_register_rep){5, 5, test->epoch, map_of(test, &call->arena)};
		return 0;
	case OP_target_beat:
		*(struct target_beat_rep *)any_rep = (struct target_beat_rep){test->epoch};
		return 0;
	case OP_map_get:
		*(struct map_get_rep *)any_rep = (struct map_get_rep){test->epoch, map_of(test, &call->arena)};
		return 0;
	case OP_client_list: {
		uint8_t *bytes = arena_alloc(&call->arena, 256);
		struct wire_out out = wire_out(bytes, 256);
		client_row_put(&out, &(struct client_row){.client = CLIENT, .host = STR("h"), .mountpoint = STR("/m")});
		*(struct client_list_rep *)any_rep = (struct client_list_rep){blob_of(bytes, wire_len(&out)), 1};
		return 0;
	}
	default:
		return -EOPNOTSUPP;
	}
}

static void mgs_main(struct sim_node *node, void *ctx)
{
	static const struct rpc_server_ops ops = {.serve = mgs_serve};
	struct test *test = ctx;
	char real[NET_ADDR_BYTES_MAX];
	test->mgs_identity = (struct rpc_identity){.role = ROLE_MDT, .kind = TARGET_MDT, .state = TARGET_UP, .boot = 1};
	test->mgs_identity.cluster_hi = test->mgs_identity.cluster_lo = 5;
	CHECK(rpc_listen(rpc_new(sim_node_env(node), &test->mgs_identity, &ops, test, NULL), "tcp://mgs:1", real) == 0);
}

static void ost_main(struct sim_node *node, void *ctx)
{
	struct test *test = ctx;
	uint32_t index = node == test->nodes[0] ? 0 : 1;
	char error[OST_ERROR_BYTES], listen[32], real[NET_ADDR_BYTES_MAX];
	(void)snprintf(listen, sizeof(listen), "tcp://ost%u:7400", index);
	struct env *env = sim_node_env(node);
	if (sim_node_incarnation(node) == 1)
		assert_int_equal(ost_format(env, &(struct ost_format_opts){.fsname = "sim", .index = index}, error), 0);
	test->osts[index] = ost_new(env, &(struct ost_conf){.listen = listen, .mgs = "tcp://mgs:1", .buffers = 4});
	assert_int_equal(ost_start(test->osts[index], real), 0);
}

static void caller_main(struct sim_node *node, void *ctx)
{
	struct test *test = ctx;
	struct env *env = sim_node_env(node);
	test->identity = (struct rpc_identity){.role = ROLE_CLIENT, .boot = 1, .client = CLIENT, .lowest = 1, .epoch = 1};
	test->identity.cluster_hi = test->identity.cluster_lo = 5;
	test->rpc = rpc_new(env, &test->identity, NULL, NULL, NULL);
	test->peers[0] = rpc_peer_new(test->rpc, "tcp://ost0:7400");
	test->peers[1] = rpc_peer_new(test->rpc, "tcp://ost1:7400");
	test->bytes = mem_alloc(FILE_BYTES);
	test->other = mem_alloc(FILE_BYTES);
	struct rng rng;
	rng_init(&rng, 3);
	for (size_t i = 0; i < FILE_BYTES; i++)
		test->bytes[i] = (uint8_t)rng_u64(&rng);
	test->body(test);
	mem_free(test->bytes);
	mem_free(test->other);
	rpc_free(test->rpc);
	test->done = true;
}

static bool is_done(void *ctx)
{
	return ((struct test *)ctx)->done;
}

static void run(void (*body)(struct test *test))
{
	static struct test test;
	static const char *const names[OSTS] = {"ost0", "ost1"};
	test = (struct test){.world = world_new(1), .epoch = 1, .next_opno = 1, .body = body};
	test.mgs = sim_node_new(test.world, "mgs", SIM_DISK, mgs_main, &test);
	sim_node_boot(test.mgs);
	for (size_t i = 0; i < OSTS; i++)
		test.nodes[i] = sim_node_new(test.world, names[i], SIM_DISK | SIM_KV, ost_main, &test);
	for (size_t i = 0; i < OSTS; i++)
		sim_node_boot(test.nodes[i]);
	test.caller = sim_node_new(test.world, "caller", SIM_DISK | SIM_NO_HEAP, caller_main, &test);
	sim_node_boot(test.caller);
	assert_true(world_run(test.world, UNTIL_NS, is_done, &test));
	world_free(test.world);
}

/* ---- what a client asks ------------------------------------------------------------------------------------------ */

/* As a client repeats it, under one number. */
static int call_as(struct test *test, uint32_t ost, enum op op, const void *req, void *rep, uint64_t opno, struct arena *arena)
{
	int rc;
	do {
		rc = rpc_call(test->peers[ost], op, req, rep, &(struct rpc_args){.opno = opno, .arena = arena});
		if (err_is(rc, ERR_retry))
			task_sleep(sim_node_loop(test->caller), 10 * NS_PER_MS);
	} while (err_is(rc, ERR_retry));
	return rc;
}

static int call(struct test *test, uint32_t ost, enum op op, const void *req, void *rep)
{
	return call_as(test, ost, op, req, rep, test->next_opno++, NULL);
}

static struct write_order put(struct test *test, uint32_t ost, uint64_t ino, uint64_t offset, const uint8_t *data, size_t len)
{
	struct obj_write_rep rep = {0};
	for (size_t at = 0; at < len; at += STEP_BYTES) {
		uint32_t part = (uint32_t)min_u64(len - at, STEP_BYTES);
		struct obj_write_req req = {.ino = {ino}, .offset = offset + at, .len = part, .crc = crc32c(0, data + at, part), .mtime_ns = 1,
					    .data = blob_of(data + at, part)};
		assert_int_equal(call(test, ost, OP_obj_write, &req, &rep), 0);
	}
	return rep.order;
}

/* Returns how long the object was, up to len; the rest of ret_data is zeros. */
static size_t get(struct test *test, uint32_t ost, uint64_t ino, uint64_t offset, uint8_t *ret_data, size_t len)
{
	size_t size = 0;
	memset(ret_data, 0, len);
	for (size_t at = 0; at < len; at += STEP_BYTES) {
		struct arena arena;
		struct obj_read_req req = {.ino = {ino}, .offset = offset + at, .len = (uint32_t)min_u64(len - at, STEP_BYTES)};
		struct obj_read_rep rep;
		arena_init(&arena);
		assert_int_equal(call_as(test, ost, OP_obj_read, &req, &rep, 0, &arena), 0);
		if (rep.len > 0)
			memcpy(ret_data + at, rep.data.ptr, rep.len);
		size = rep.len > 0 ? at + rep.len : size;
		arena_fini(&arena);
	}
	return size;
}

static uint64_t seek(struct test *test, uint32_t ost, uint64_t ino, uint64_t offset, bool hole)
{
	struct obj_seek_req req = {.ino = {ino}, .offset = offset, .hole = hole};
	struct obj_seek_rep rep;
	assert_int_equal(call(test, ost, OP_obj_seek, &req, &rep), 0);
	return rep.offset;
}

/* From inode 2 to inode 3. */
static struct obj_copy_req copy_req(uint32_t from_ost, uint64_t from_offset, uint64_t offset, uint32_t len)
{
	return (struct obj_copy_req){
		.ino = {3},
		.offset = offset,
		.len = len,
		.mtime_ns = 5,
		.from_ost = from_ost,
		.from_ino = {2},
		.from_offset = from_offset,
	};
}

static int copy(struct test *test, uint32_t ost, struct obj_copy_req req)
{
	struct obj_copy_rep rep;
	return call(test, ost, OP_obj_copy, &req, &rep);
}

static bool is_zeros(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void copies_body(struct test *test)
{
	static const struct {
		uint64_t from, to;
		uint32_t len;
	} rows[] = {{0, 0, FILE_BYTES}, {4096, 1 << 20, 1 << 20}, {5, 1000003, 1500000}, {70000, 1, 1}};
	put(test, 0, 2, 0, test->bytes, FILE_BYTES);
	for (uint32_t ost = 0; ost < OSTS; ost++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			assert_int_equal(copy(test, ost, copy_req(0, rows[i].from, rows[i].to, rows[i].len)), 0);
			assert_int_equal(get(test, ost, 3, rows[i].to, test->other, rows[i].len), rows[i].len);
			assert_memory_equal(test->other, test->bytes + rows[i].from, rows[i].len);
		}
		struct ost_counters counters = ost_counters(test->osts[ost]);
		assert_int_equal(counters.copies, 4);
		assert_int_equal(counters.copied_far_bytes, ost == 0 ? 0 : counters.copied_bytes);
	}
}
static void ranges_are_copied_from_this_and_other_osts(void **state)
{
	(void)state;
	run(copies_body);
}

static void holes_body(struct test *test)
{
	enum { HOLE_END = 1 << 20 };
	put(test, 0, 2, 0, test->bytes, 4096);
	put(test, 0, 2, HOLE_END, test->bytes, 4096);
	for (uint32_t ost = 0; ost < OSTS; ost++) {
		put(test, ost, 3, 0, test->bytes, HOLE_END + 8192);
		assert_int_equal(copy(test, ost, copy_req(0, 0, 0, HOLE_END + 4096)), 0);
		assert_int_equal(get(test, ost, 3, 0, test->other, HOLE_END + 8192), HOLE_END + 8192);
		assert_memory_equal(test->other, test->bytes, 4096);
		assert_true(is_zeros(test->other + 4096, HOLE_END - 4096));
		assert_memory_equal(test->other + HOLE_END, test->bytes, 4096);
		assert_memory_equal(test->other + HOLE_END + 4096, test->bytes + HOLE_END + 4096, 4096);
		assert_int_equal(seek(test, ost, 3, 0, true), 4096);
		assert_int_equal(seek(test, ost, 3, 4096, false), HOLE_END);
	}
}
static void holes_stay_holes(void **state)
{
	(void)state;
	run(holes_body);
}

static void ends_body(struct test *test)
{
	put(test, 0, 2, 0, test->bytes, 10000);
	for (uint32_t ost = 0; ost < OSTS; ost++) {
		put(test, ost, 3, 0, test->bytes, 200000);
		assert_int_equal(copy(test, ost, copy_req(0, 0, 0, 100000)), 0);
		assert_int_equal(get(test, ost, 3, 0, test->other, 200000), 200000);
		assert_memory_equal(test->other, test->bytes, 10000);
		assert_true(is_zeros(test->other + 10000, 90000));
		assert_memory_equal(test->other + 100000, test->bytes + 100000, 100000);
		/* Into what does not exist, from what does not. */
		struct obj_copy_req req = copy_req(0, 0, 0, 50000);
		req.ino = (struct ino){4};
		req.from_ino = (struct ino){5};
		assert_int_equal(copy(test, ost, req), 0);
		assert_int_equal(get(test, ost, 4, 0, test->other, 60000), 0);
		req.flags = COPY_EXTEND;
		assert_int_equal(copy(test, ost, req), 0);
		assert_int_equal(get(test, ost, 4, 0, test->other, 60000), 50000);
		assert_true(is_zeros(test->other, 50000));
	}
}
static void what_the_source_does_not_have_is_zeros(void **state)
{
	(void)state;
	run(ends_body);
}

static void repeat_body(struct test *test)
{
	struct obj_copy_req req = copy_req(0, 0, 0, 8192);
	struct obj_copy_rep rep;
	put(test, 0, 2, 0, test->bytes, 8192);
	uint64_t opno = test->next_opno++;
	assert_int_equal(call_as(test, 1, OP_obj_copy, &req, &rep, opno, NULL), 0);
	put(test, 0, 2, 0, test->bytes + 100, 8192);
	assert_int_equal(call_as(test, 1, OP_obj_copy, &req, &rep, opno, NULL), 0);
	assert_int_equal(rep.size_bytes, 8192);
	assert_int_equal(get(test, 1, 3, 0, test->other, 8192), 8192);
	assert_memory_equal(test->other, test->bytes, 8192);
	assert_int_equal(ost_counters(test->osts[1]).repeats_answered, 1);
}
static void a_repeated_copy_is_answered_and_not_done(void **state)
{
	(void)state;
	run(repeat_body);
}

static void hostile_body(struct test *test)
{
	put(test, 0, 2, 0, test->bytes, 8192);
	assert_int_equal(copy(test, 0, copy_req(0, 0, 0, 0)), -EINVAL);
	assert_int_equal(copy(test, 0, copy_req(0, 0, 0, COPY_BYTES_MAX + 1)), -EINVAL);
	assert_int_equal(copy(test, 0, copy_req(0, 0, UINT64_MAX, 2)), -EFBIG);
	assert_int_equal(copy(test, 0, copy_req(0, 0, UINT64_C(1) << 62, 2)), -EFBIG);
	assert_int_equal(copy(test, 0, copy_req(0, UINT64_MAX - 1, 0, 4096)), -EFBIG);
	assert_int_equal(copy(test, 0, copy_req(OST_UNKNOWN, 0, 0, 4096)), -EINVAL);
	assert_int_equal(copy(test, 0, copy_req(OST_REGISTERED, 0, 0, 4096)), -EHOSTUNREACH);
	struct obj_copy_req same = copy_req(0, 0, 4095, 4096);
	same.ino = same.from_ino;
	assert_int_equal(copy(test, 0, same), -EINVAL);
	same.offset = 4096;
	assert_int_equal(copy(test, 0, same), 0);
	assert_int_equal(get(test, 0, 2, 0, test->other, 8192), 8192);
	assert_memory_equal(test->other + 4096, test->bytes, 4096);
	/* The same numbers on another OST are another object. */
	same.offset = 4095;
	assert_int_equal(copy(test, 1, same), 0);
	assert_int_equal(get(test, 1, 3, 0, test->other, 8192), 0);
}
static void what_cannot_be_copied_is_refused(void **state)
{
	(void)state;
	run(hostile_body);
}

static void away_body(struct test *test)
{
	put(test, 0, 3, 0, test->bytes, 8192);
	sim_node_crash(test->nodes[1]);
	assert_int_equal(copy(test, 0, copy_req(1, 0, 0, 8192)), -EHOSTUNREACH);
	assert_int_equal(get(test, 0, 3, 0, test->other, 8192), 8192);
	assert_memory_equal(test->other, test->bytes, 8192);
	sim_node_boot(test->nodes[1]);
	put(test, 1, 2, 0, test->bytes + 1, 8192);
	assert_int_equal(copy(test, 0, copy_req(1, 0, 0, 8192)), 0);
	assert_int_equal(get(test, 0, 3, 0, test->other, 8192), 8192);
	assert_memory_equal(test->other, test->bytes + 1, 8192);
}
static void a_source_that_does_not_answer_ends_the_copy(void **state)
{
	(void)state;
	run(away_body);
}

static void evicted_body(struct test *test)
{
	put(test, 0, 2, 0, test->bytes, 8192);
	test->evicting = true;
	test->identity.epoch = test->epoch = 2;
	assert_int_equal(copy(test, 0, copy_req(0, 0, 0, 8192)), -ERR_evicted);
	test->identity.client = CLIENT + 1;
	assert_int_equal(get(test, 0, 3, 0, test->other, 8192), 0);
	assert_int_equal(copy(test, 0, copy_req(0, 0, 0, 8192)), 0);
}
static void who_was_evicted_copies_nothing(void **state)
{
	(void)state;
	run(evicted_body);
}

/* What was written before the copy and is replayed after a crash stands below it. */
static void stable_body(struct test *test)
{
	enum { LEN = 3 * STEP_BYTES };
	put(test, 1, 2, 0, test->bytes, LEN);
	struct write_order order = put(test, 0, 3, 0, test->bytes + LEN, STEP_BYTES);
	uint64_t boot = rpc_peer_boot(test->peers[0]);
	assert_int_equal(copy(test, 0, copy_req(1, 0, 0, LEN)), 0);
	sim_node_crash(test->nodes[0]);
	sim_node_boot(test->nodes[0]);
	struct obj_write_req req = {.ino = {3}, .len = STEP_BYTES, .crc = crc32c(0, test->bytes + LEN, STEP_BYTES), .mtime_ns = 1,
				    .replay = order, .data = blob_of(test->bytes + LEN, STEP_BYTES)};
	struct obj_write_rep write_rep;
	struct replay_done_rep done_rep;
	assert_int_equal(call(test, 0, OP_obj_write, &req, &write_rep), 0);
	assert_int_equal(call(test, 0, OP_replay_done, &(struct replay_done_req){rpc_peer_boot(test->peers[0])}, &done_rep), 0);
	assert_int_equal(rpc_peer_boot(test->peers[0]), boot + 1);
	assert_int_equal(get(test, 0, 3, 0, test->other, LEN), LEN);
	assert_memory_equal(test->other, test->bytes, LEN);
	assert_int_equal(ost_counters(test->osts[0]).replays_superseded, 1);
}
static void a_copy_is_stable_and_no_earlier_write_is_replayed_over_it(void **state)
{
	(void)state;
	run(stable_body);
}

struct crossing {
	struct test *test;
	uint32_t ost, number;
};

static void crossing_task(void *arg)
{
	struct crossing *crossing = arg;
	struct test *test = crossing->test;
	struct obj_copy_req req = copy_req(1 - crossing->ost, 0, 0, FILE_BYTES);
	req.ino = (struct ino){100 + crossing->number};
	assert_int_equal(copy(test, crossing->ost, req), 0);
	test->running--;
}

/* More of them than either has buffers, of any kind. */
static void crossing_body(struct test *test)
{
	struct crossing crossings[2 * CROSSING];
	for (uint32_t i = 0; i < OSTS; i++)
		put(test, i, 2, 0, test->bytes, FILE_BYTES);
	for (uint32_t i = 0; i < 2 * CROSSING; i++) {
		crossings[i] = (struct crossing){test, i % 2, i};
		test->running++;
		task_spawn(sim_node_loop(test->caller), "crossing", crossing_task, &crossings[i]);
	}
	while (test->running > 0)
		task_sleep(sim_node_loop(test->caller), 10 * NS_PER_MS);
	for (uint32_t i = 0; i < 2 * CROSSING; i++) {
		assert_int_equal(get(test, i % 2, 100 + i, 0, test->other, FILE_BYTES), FILE_BYTES);
		assert_memory_equal(test->other, test->bytes, FILE_BYTES);
	}
}
static void two_osts_copy_from_each_other_at_the_same_time(void **state)
{
	(void)state;
	run(crossing_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_copied_from_this_and_other_osts),
		cmocka_unit_test(holes_stay_holes),
		cmocka_unit_test(what_the_source_does_not_have_is_zeros),
		cmocka_unit_test(a_repeated_copy_is_answered_and_not_done),
		cmocka_unit_test(what_cannot_be_copied_is_refused),
		cmocka_unit_test(a_source_that_does_not_answer_ends_the_copy),
		cmocka_unit_test(who_was_evicted_copies_nothing),
		cmocka_unit_test(a_copy_is_stable_and_no_earlier_write_is_replayed_over_it),
		cmocka_unit_test(two_osts_copy_from_each_other_at_the_same_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
