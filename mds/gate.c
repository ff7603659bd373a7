/* SPDX-License-Identifier: Apache-2.0
 * Gates of inodes. */
#include "mds/gate.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"

struct gate {
	struct map_node node;
	struct ino ino;
	uint32_t shared; /* holders */
	bool exclusive;
	struct list waiters; /* struct gate_waiter, in order of arrival */
};
struct gate_waiter { /* on the stack of its task */
	struct list_node link;
	struct task *task;
	enum gate_mode mode;
	bool granted;
};

void gates_init(struct gates *gates, struct loop *loop)
{
	gates->loop = loop;
	map_init(&gates->map);
}

void gates_fini(struct gates *gates)
{
	struct map_iter iter = map_iter_begin(&gates->map);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		mem_free(CONTAINER_OF(node, struct gate, node));
	map_fini(&gates->map);
}

static struct gate *find(const struct gates *gates, struct ino ino)
{
	struct map_node *node = map_first(&gates->map, map_hash_u64(ino.v));
	return node != NULL ? CONTAINER_OF(node, struct gate, node) : NULL; /* the hash of distinct u64 is distinct */
}

static bool admits(const struct gate *gate, enum gate_mode mode)
{
	return !gate->exclusive && (mode == GATE_SHARED || gate->shared == 0);
}

static void hold(struct gate *gate, enum gate_mode mode)
{
	if (mode == GATE_EXCLUSIVE)
		gate->exclusive = true;
	else
		gate->shared++;
}

/* Let in from the front of the queue whoever may; forget a gate that nobody needs. */
static void settle(struct gates *gates, struct gate *gate)
{
	struct list_node *node;
	while ((node = list_first(&gate->waiters)) != NULL) {
		struct gate_waiter *waiter = CONTAINER_OF(node, struct gate_waiter, link);
		if (!admits(gate, waiter->mode))
			return;
		list_remove(node);
		hold(gate, waiter->mode);
		waiter->granted = true;
		task_wake(waiter->task);
	}
	if (gate->shared == 0 && !gate->exclusive) {
		map_remove(&gates->map, &gate->node);
		mem_free(gate);
	}
}

int gate_take(struct gates *gates, struct ino ino, enum gate_mode mode, uint64_t deadline_ns)
{
	struct gate *gate = find(gates, ino);
	if (gate == NULL) {
		gate = mem_alloc(sizeof(*gate));
		gate->ino = ino;
		list_init(&gate->waiters);
		map_insert(&gates->map, &gate->node, map_hash_u64(ino.v));
	}
	if (list_is_empty(&gate->waiters) && admits(gate, mode)) {
		hold(gate, mode);
		return 0;
	}
	struct gate_waiter waiter = {.task = task_current(gates->loop), .mode = mode};
	list_push_back(&gate->waiters, &waiter.link);
	int rc = 0;
	while (!waiter.granted && rc == 0)
		rc = task_park_until(gates->loop, deadline_ns);
	if (waiter.granted)
		return 0;
	list_remove(&waiter.link);
	settle(gates, gate); /* those behind us may have waited for us only */
	return fail(ERR_busy);
}

bool gate_is_exclusive(const struct gates *gates, struct ino ino)
{
	const struct gate *gate = find(gates, ino);
	return gate != NULL && gate->exclusive;
}

void gate_drop(struct gates *gates, struct ino ino, enum gate_mode mode)
{
	struct gate *gate = find(gates, ino);
	CHECK(gate != NULL);
	if (mode == GATE_EXCLUSIVE) {
		CHECK(gate->exclusive);
		gate->exclusive = false;
	} else {
		CHECK(gate->shared > 0);
		gate->shared--;
	}
	settle(gates, gate);
}
