/* SPDX-License-Identifier: Apache-2.0
 * The contract of the kv seam. */
#include "tests/conform/conform.h"

#include <stdio.h>

struct kv_case {
	struct conform_world *world;
	struct conform_node *node;
	struct kv *kv;
	struct arena arena;
	bool is_written;
	unsigned tasks_done;
};

static struct blob text(const char *chars)
{
	return blob_of(chars, strlen(chars));
}

static void put(struct kv_case *c, struct blob key, struct blob value, bool sync)
{
	struct kv_op op = {.key = key, .value = value};
	CHECK(c->kv->ops->write(c->kv, &op, 1, sync) == 0);
}

static int get(struct kv_case *c, struct blob key, struct blob *ret_value)
{
	return c->kv->ops->get(c->kv, key, &c->arena, ret_value);
}

static bool blob_eq(struct blob a, struct blob b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool has(struct kv_case *c, const char *key, const char *value)
{
	struct blob found;
	return get(c, text(key), &found) == 0 && blob_eq(found, text(value));
}

static bool lacks(struct kv_case *c, const char *key)
{
	struct blob found = {0};
	return get(c, text(key), &found) == -ENOENT && found.ptr == NULL;
}

static void case_start(struct kv_case *c, struct conform_world *world, unsigned store)
{
	*c = (struct kv_case){.world = world, .node = world->ops->node_new(world, CONFORM_KV, store)};
	c->kv = c->node->env.kv;
	arena_init(&c->arena);
}

static void case_stop(struct kv_case *c)
{
	c->world->ops->node_stop(c->world, c->node);
	arena_fini(&c->arena);
}

static void run(struct conform_world *world, unsigned store, void (*fn)(void *arg))
{
	struct kv_case c;
	case_start(&c, world, store);
	conform_task(world, c.node, fn, &c);
	case_stop(&c);
}

static void get_what_was_put(void *arg)
{
	struct kv_case *c = arg;
	CHECK(lacks(c, "a"));
	put(c, text("a"), text("1"), true);
	CHECK(has(c, "a", "1"));
	put(c, text("a"), text("2"), false);
	CHECK(has(c, "a", "2"));
	put(c, text("a"), blob_of(NULL, 0), true);
	CHECK(lacks(c, "a"));
	put(c, text("a"), blob_of(NULL, 0), true); /* deleting what is not there is fine */
	put(c, text("empty"), blob_of("", 0), true);
	struct blob value = {0};
	CHECK(get(c, text("empty"), &value) == 0 && value.len == 0 && value.ptr != NULL);
}

static void batches(void *arg)
{
	struct kv_case *c = arg;
	struct kv_op ops[] = {
		{text("b1"), text("x")},  {text("b2"), text("y")}, {text("b1"), text("z")}, {text("b3"), text("w")},
		{text("b3"), blob_of(NULL, 0)},
	};
	CHECK(c->kv->ops->write(c->kv, ops, ARRAY_COUNT(ops), true) == 0);
	CHECK(has(c, "b1", "z") && has(c, "b2", "y") && lacks(c, "b3")); /* the last of one key counts */
	CHECK(c->kv->ops->write(c->kv, NULL, 0, true) == 0);
	struct blob keys[] = {text("b2"), text("b3"), text("b1"), text("b2")}, values[4];
	CHECK(c->kv->ops->get_many(c->kv, keys, 4, &c->arena, values) == 0);
	CHECK(blob_eq(values[0], text("y")) && values[1].ptr == NULL && blob_eq(values[2], text("z")));
	CHECK(blob_eq(values[3], text("y")));
	CHECK(c->kv->ops->get_many(c->kv, keys, 0, &c->arena, values) == 0);
}

static void big_keys_and_values(void *arg)
{
	struct kv_case *c = arg;
	uint8_t key[KV_KEY_BYTES_MAX];
	uint8_t *value = mem_alloc(KV_VALUE_BYTES_MAX);
	conform_fill(key, sizeof(key), 1);
	conform_fill(value, KV_VALUE_BYTES_MAX, 2);
	put(c, blob_of(key, sizeof(key)), blob_of(value, KV_VALUE_BYTES_MAX), true);
	struct blob found;
	CHECK(get(c, blob_of(key, sizeof(key)), &found) == 0);
	CHECK(found.len == KV_VALUE_BYTES_MAX && conform_is_filled(found.ptr, found.len, 2));
	put(c, blob_of("\0\0", 2), text("zeros"), true);
	CHECK(get(c, blob_of("\0", 1), &found) == -ENOENT);
	CHECK(get(c, blob_of("\0\0", 2), &found) == 0 && blob_eq(found, text("zeros")));
	mem_free(value);
}

static void put_numbers(struct kv_case *c, uint32_t first, uint32_t count)
{
	struct kv_op *ops = mem_alloc(count * sizeof(ops[0]));
	uint8_t *keys = mem_alloc(count * 5);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *key = keys + (size_t)i * 5;
		key[0] = 'n';
		store_be32(key + 1, (first + i) * 2); /* even numbers */
		ops[i] = (struct kv_op){.key = blob_of(key, 5), .value = blob_of(key + 1, 4)};
	}
	CHECK(c->kv->ops->write(c->kv, ops, count, true) == 0);
	mem_free(keys);
	mem_free(ops);
}

static struct blob number(struct kv_case *c, uint32_t n)
{
	uint8_t *key = arena_alloc(&c->arena, 5);
	key[0] = 'n';
	store_be32(key + 1, n);
	return blob_of(key, 5);
}

static size_t scan(struct kv_case *c, uint32_t from, uint32_t to, size_t limit, size_t bytes_max, bool *ret_more,
		   struct kv_pair **ret_pairs)
{
	int n = c->kv->ops->scan(c->kv, number(c, from), number(c, to), limit, bytes_max, &c->arena, ret_pairs, ret_more);
	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		CHECK((*ret_pairs)[i].key.len == 5 && (*ret_pairs)[i].value.len == 4);
		CHECK(memcmp((*ret_pairs)[i].key.ptr + 1, (*ret_pairs)[i].value.ptr, 4) == 0);
	}
	return (size_t)n;
}

static void scans(void *arg)
{
	struct kv_case *c = arg;
	struct kv_pair *pairs = NULL;
	bool more = true;
	put_numbers(c, 0, 5000);
	CHECK(scan(c, 0, 100, 1000, SIZE_MAX, &more, &pairs) == 50 && !more);
	for (uint32_t i = 0; i < 50; i++)
		CHECK(load_be32(pairs[i].value.ptr) == i * 2);
	CHECK(scan(c, 1, 101, 1000, SIZE_MAX, &more, &pairs) == 50 && !more && load_be32(pairs[0].value.ptr) == 2);
	CHECK(scan(c, 100, 200, 10, SIZE_MAX, &more, &pairs) == 10 && more);
	CHECK(scan(c, 100, 120, 10, SIZE_MAX, &more, &pairs) == 10 && !more);
	CHECK(scan(c, 0, 20000, 100000, SIZE_MAX, &more, &pairs) == 5000 && !more);
	size_t few = scan(c, 0, 20000, 100000, 900, &more, &pairs);
	CHECK(few > 0 && few < 500 && more);
	CHECK(scan(c, 0, 20000, 100000, 0, &more, &pairs) >= 1 && more); /* goes on in any case */
	CHECK(scan(c, 20000, 30000, 10, SIZE_MAX, &more, &pairs) == 0 && !more);
	CHECK(scan(c, 100, 100, 10, SIZE_MAX, &more, &pairs) == 0 && !more);
	CHECK(scan(c, 100, 50, 10, SIZE_MAX, &more, &pairs) == 0 && !more);
}

/* ---- reads beside a write ------------------------------------------------------------------------------------- */

static void write_task(void *arg)
{
	struct kv_case *c = arg;
	put(c, text("same"), text("new"), true);
	c->is_written = true;
	c->tasks_done++;
}

static void read_task(void *arg)
{
	struct kv_case *c = arg;
	CHECK(has(c, "same", "new")); /* it was submitted before this began */
	struct kv_pair *pairs;
	bool more;
	int n = c->kv->ops->scan(c->kv, text("same"), text("samf"), 10, SIZE_MAX, &c->arena, &pairs, &more);
	CHECK(n == 1 && blob_eq(pairs[0].value, text("new")));
	c->tasks_done++;
}

static bool both_done(void *ctx)
{
	return ((struct kv_case *)ctx)->tasks_done == 2;
}

static void put_old_task(void *arg)
{
	put(arg, text("same"), text("old"), true);
}

static void reads_see_submitted_writes(struct conform_world *world)
{
	struct kv_case c;
	case_start(&c, world, 5);
	for (int i = 0; i < 20; i++) {
		c.tasks_done = 0;
		conform_task(world, c.node, put_old_task, &c);
		task_spawn(c.node->loop, "write", write_task, &c);
		task_spawn(c.node->loop, "read", read_task, &c);
		conform_until(world, both_done, &c);
	}
	case_stop(&c);
}

/* ---- what lasts ----------------------------------------------------------------------------------------------- */

static void write_lasting_task(void *arg)
{
	struct kv_case *c = arg;
	put_numbers(c, 0, 1000);
	put(c, text("early"), text("unsynced, before a synced one"), false);
	put(c, text("kept"), text("synced"), true);
}

static void check_lasting_task(void *arg)
{
	struct kv_case *c = arg;
	struct kv_pair *pairs;
	bool more;
	CHECK(has(c, "kept", "synced") && has(c, "early", "unsynced, before a synced one"));
	CHECK(scan(c, 0, 4000, 10000, SIZE_MAX, &more, &pairs) == 1000);
}

static void synced_writes_last(struct conform_world *world, bool crashes)
{
	unsigned store = crashes ? 7 : 6;
	struct kv_case c;
	case_start(&c, world, store);
	conform_task(world, c.node, write_lasting_task, &c);
	if (crashes)
		world->ops->node_crash(world, c.node);
	else
		world->ops->node_stop(world, c.node);
	arena_fini(&c.arena);
	run(world, store, check_lasting_task);
}

static void churn_task(void *arg)
{
	struct kv_case *c = arg;
	/* enough to leave the memtable and to meet values that are not in any cache */
	uint8_t *value = mem_alloc(64 * 1024);
	uint32_t count = c->world->is_real ? 2000 : 50;
	for (uint32_t i = 0; i < count; i++) {
		conform_fill(value, 64 * 1024, i);
		put(c, number(c, i), blob_of(value, 64 * 1024), false);
	}
	mem_free(value);
	for (uint32_t i = 0; i < count; i += 7) {
		struct blob found;
		CHECK(get(c, number(c, i), &found) == 0);
		CHECK(found.len == 64 * 1024 && conform_is_filled(found.ptr, found.len, i));
		arena_clear(&c->arena);
	}
	struct kv_pair *pairs;
	bool more;
	size_t seen = 0;
	uint32_t from = 0;
	do {
		int n = c->kv->ops->scan(c->kv, number(c, from), number(c, count), 100, MIB, &c->arena, &pairs, &more);
		CHECK(n > 0);
		from = load_be32(pairs[n - 1].key.ptr + 1) + 1;
		seen += (size_t)n;
		arena_clear(&c->arena);
	} while (more);
	CHECK(seen == count);
}

void conform_kv(struct conform_world *world)
{
	conform_case("kv", "get_what_was_put");
	run(world, 0, get_what_was_put);
	conform_case("kv", "batches");
	run(world, 1, batches);
	conform_case("kv", "big_keys_and_values");
	run(world, 2, big_keys_and_values);
	conform_case("kv", "scans");
	run(world, 3, scans);
	conform_case("kv", "reads_see_submitted_writes");
	reads_see_submitted_writes(world);
	conform_case("kv", "synced_writes_last_over_a_restart");
	synced_writes_last(world, false);
	conform_case("kv", "synced_writes_last_over_a_crash");
	synced_writes_last(world, true);
	conform_case("kv", "more_than_fits_in_memory");
	run(world, 8, churn_task);
}
