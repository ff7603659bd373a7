/* SPDX-License-Identifier: Apache-2.0
 * sim_plainfs: kernel, programs and oracle over a file system that is right, and over one that loses writes. If this fails, the
 * simulator is wrong, and not Stria. */
#include "tests/sim/plainfs.h"
#include "tests/sim/workload.h"

#include <stdio.h>
#include <string.h>

enum { CLIENTS = 3, SEEDS = 10 };

struct plain_client {
	struct plain_world *all;
	struct sim_node *node;
	struct plainfs_mount mount;
	unsigned index;
};
struct plain_world {
	struct world *world;
	struct workload *workload;
	struct plainfs fs;
	struct plain_client clients[CLIENTS];
	bool verifying, verified;
};

static void client_main(struct sim_node *node, void *ctx)
{
	struct plain_client *client = ctx;
	struct plain_world *all = client->all;
	client->mount.fs = &all->fs;
	client->mount.loop = sim_node_loop(node);
	rng_init(&client->mount.rng, client->index + 1);
	struct kernel *kernel = kernel_new(sim_node_loop(node), client->index, &plainfs_ops, &client->mount);
	if (all->verifying) {
		workload_verify(all->workload, kernel);
		all->verified = true;
		return;
	}
	workload_start(all->workload, client->index, sim_node_loop(node), kernel);
}

static bool is_idle(void *ctx)
{
	return workload_is_idle(((struct plain_world *)ctx)->workload);
}

static bool is_verified(void *ctx)
{
	return ((struct plain_world *)ctx)->verified;
}

/* One client crashes half way and comes back. */
static void run(struct plain_world *all)
{
	struct world *world = all->world;
	(void)world_run(world, NS_PER_S, NULL, NULL);
	sim_node_crash(all->clients[0].node);
	workload_crashed(all->workload, 0);
	sim_node_boot(all->clients[0].node);
	(void)world_run(world, 2 * NS_PER_S, NULL, NULL);
	all->workload->stop = true;
	(void)world_run(world, 20 * NS_PER_S, is_idle, all);
	if (!workload_is_idle(all->workload))
		world_fail(world, "programs that do not end");
	workload_finish(all->workload);
	all->verifying = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		sim_node_stop(all->clients[i].node);
	sim_node_boot(all->clients[1].node);
	(void)world_run(world, 60 * NS_PER_S, is_verified, all);
}

/* Returns what went wrong, or NULL; static. */
static const char *run_seed(uint64_t seed, unsigned break_per_million, uint64_t *ret_ops)
{
	static const char *names[CLIENTS] = {"client0", "client1", "client2"};
	static char failure[400];
	struct plain_world all = {.world = world_new(seed)};
	plainfs_init(&all.fs);
	all.fs.break_per_million = break_per_million;
	all.workload = workload_new(all.world, seed,
				    &(struct workload_opts){.clients = CLIENTS, .tasks = 2, .shared_tasks = 2, .think_ns_max = 20 * NS_PER_MS});
	for (unsigned i = 0; i < CLIENTS; i++) {
		all.clients[i] = (struct plain_client){.all = &all, .index = i};
		all.clients[i].node = sim_node_new(all.world, names[i], 0, client_main, &all.clients[i]);
		sim_node_boot(all.clients[i].node);
	}
	run(&all);
	const char *what = world_failure(all.world);
	(void)snprintf(failure, sizeof(failure), "%s", what != NULL ? what : !all.verified ? "never verified" : "");
	*ret_ops += all.workload->ops + all.workload->shared.ops;
	if (what != NULL && break_per_million == 0)
		world_trace_print(all.world, 40);
	world_free(all.world);
	workload_free(all.workload);
	plainfs_fini(&all.fs);
	return failure[0] != '\0' ? failure : NULL;
}

int main(void)
{
	uint64_t ops = 0;
	unsigned found = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const char *failure = run_seed(seed, 0, &ops);
		if (failure != NULL) {
			printf("seed %llu over a right file system: %s\n", (unsigned long long)seed, failure);
			return 1;
		}
		found += run_seed(seed, 50000, &ops) != NULL;
	}
	printf("%u seeds, %llu operations; lost writes found in %u\n", (unsigned)SEEDS, (unsigned long long)ops, found);
	return found < SEEDS / 2;
}
