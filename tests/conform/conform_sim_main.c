/* SPDX-License-Identifier: Apache-2.0
 * The seams' contract tests (tests/conform) on the simulated seams: conform_sim net|disk|kv [seeds]. A kind world at first, then, for what
 * the contract promises in any weather, other seeds: other latencies. */
#include "tests/conform/conform.h"
#include "tests/sim/world.h"

#include <stdio.h>

enum { STORES = 16, NODES_MAX = 64 };

struct node_slot {
	struct conform_node node;
	struct sim_node *sim;
	bool is_used;
};
struct sim_conform {
	struct conform_world world;
	struct world *sim;
	struct sim_node *stores[STORES];
	struct node_slot nodes[NODES_MAX];
};

static struct sim_conform *conform_of(struct conform_world *world)
{
	return CONTAINER_OF(world, struct sim_conform, world);
}

static struct node_slot *slot_of(struct conform_node *node)
{
	return CONTAINER_OF(node, struct node_slot, node);
}

static void no_main(struct sim_node *node, void *ctx)
{
	(void)node; /* the test spawns what runs */
	(void)ctx;
}

static struct conform_node *node_new(struct conform_world *world, unsigned seams, unsigned store)
{
	struct sim_conform *conform = conform_of(world);
	struct node_slot *slot = conform->nodes;
	while (slot->is_used)
		slot++;
	CHECK(slot < conform->nodes + NODES_MAX);
	bool durable = seams & (CONFORM_DISK | CONFORM_KV);
	struct sim_node *sim = durable ? conform->stores[store] : NULL;
	if (sim == NULL)
		sim = sim_node_new(conform->sim, "node", SIM_DISK | SIM_KV | SIM_NO_HEAP, no_main, NULL);
	if (durable)
		conform->stores[store] = sim;
	sim_node_boot(sim);
	*slot = (struct node_slot){.sim = sim, .is_used = true};
	slot->node.env = *sim_node_env(sim);
	slot->node.loop = slot->node.env.loop;
	return &slot->node;
}

static void node_stop(struct conform_world *world, struct conform_node *node)
{
	(void)world;
	sim_node_stop(slot_of(node)->sim);
	slot_of(node)->is_used = false;
}

static void node_crash(struct conform_world *world, struct conform_node *node)
{
	(void)world;
	sim_node_crash(slot_of(node)->sim);
	slot_of(node)->is_used = false;
}

static void node_freeze(struct conform_world *world, struct conform_node *node, bool is_frozen)
{
	(void)world;
	sim_node_freeze(slot_of(node)->sim, is_frozen ? UINT64_MAX : 0);
}

static bool run_until(struct conform_world *world, bool (*done)(void *ctx), void *ctx, uint64_t timeout_ns)
{
	struct sim_conform *conform = conform_of(world);
	for (size_t i = 0; i < NODES_MAX; i++)
		if (conform->nodes[i].is_used)
			sim_node_kick(conform->nodes[i].sim);
	return world_run(conform->sim, world_now_ns(conform->sim) + timeout_ns, done, ctx);
}

static const struct conform_ops ops = {
	.node_new = node_new,
	.node_stop = node_stop,
	.node_crash = node_crash,
	.node_freeze = node_freeze,
	.run_until = run_until,
};

int main(int argc, char **argv)
{
	const char *seam = argc > 1 ? argv[1] : "";
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct sim_conform conform = {.world = {.ops = &ops, .listen_address = "tcp://127.0.0.1:0",
							.dead_address = "tcp://127.0.0.1:9"}};
		conform.sim = world_new(seed);
		if (strcmp(seam, "net") == 0)
			conform_net(&conform.world);
		else if (strcmp(seam, "disk") == 0)
			conform_disk(&conform.world);
		else if (strcmp(seam, "kv") == 0)
			conform_kv(&conform.world);
		else
			return fprintf(stderr, "usage: conform_sim net|disk|kv\n"), 2;
		world_free(conform.sim);
	}
	return 0;
}
