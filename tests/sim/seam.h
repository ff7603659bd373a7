/* SPDX-License-Identifier: Apache-2.0
 * What world.c and the simulated seams share. Private to tests/sim.
 *
 * Memory: what the world owns (events, messages in flight, stores) is on no heap; what a node's code allocates is on the node's.
 * A seam's function that allocates or frees for the world opens WORLD_MEMORY in a scope that does not park. */
#ifndef STRIA_SIM_SEAM_H
#define STRIA_SIM_SEAM_H

#include "common/base/check.h"
#include "tests/sim/world.h"

struct mem_scope {
	struct mem_heap *before;
};
static inline struct mem_scope mem_scope_enter(void)
{
	return (struct mem_scope){mem_heap_set(NULL)};
}
static inline void mem_scope_leave(struct mem_scope *scope)
{
	(void)mem_heap_set(scope->before);
}
#define WORLD_MEMORY() struct mem_scope mem_scope_ __attribute__((cleanup(mem_scope_leave), unused)) = mem_scope_enter()

struct sim_clock {
	struct clock clock;
	struct sim_node *node;
	uint64_t base_ns; /* what CLOCK_BOOTTIME showed at the world's beginning */
	int rate_ppm;
	int64_t real_offset_ns;
};
struct sim_rng {
	struct rng_source source;
	struct rng rng;
};
struct sim_kcache {
	struct kcache kcache;
	struct sim_node *node;
};

struct sim_node {
	struct list_node link; /* world->nodes */
	struct world *world;
	const char *name;
	unsigned has, index;
	void (*main)(struct sim_node *node, void *ctx);
	void *ctx;
	bool up;
	uint64_t incarnation;
	uint64_t frozen_until_ns;
	uint64_t deadline_ns; /* when its loop wants to run; node's clock turned into world time */
	struct mem_heap *heap;
	struct loop *loop;
	struct loop_source source;
	struct list inbox; /* struct sim_event, due */
	struct env env;
	struct sim_clock clock;
	struct sim_rng rng;
	struct net *net;
	struct disk *disk;
	struct kv *kv;
	struct sim_kcache kcache;
	struct sim_kernel_hooks hooks;
	struct sim_fs *fs;       /* survives */
	struct sim_store *store; /* survives */
	struct rng fault_rng;
};

/* A parked call into a seam, on the caller's stack: never touched after a crash, because node events are forgotten then. */
struct sim_op {
	struct sim_node *node;
	struct task *task;
	void (*apply)(struct sim_op *op); /* when it completes; may be NULL */
	bool done;
	int rc;
};
/* Parks the running task for delay_ns, then runs op->apply and returns op->rc. */
int sim_op_wait(struct sim_op *op, struct sim_node *node, uint64_t delay_ns);

/* Like world_after and sim_node_post, for an arg that must be freed even if fn never runs: then drop(arg) is called. */
void world_after_owned(struct world *world, uint64_t delay_ns, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);
void sim_node_post_owned(struct sim_node *node, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);

bool sim_chance(struct sim_node *node, unsigned per_million);

void sim_clock_init(struct sim_clock *clock, struct sim_node *node, struct rng *rng);
void sim_rng_init(struct sim_rng *source, uint64_t seed);
void sim_kcache_init(struct sim_kcache *kcache, struct sim_node *node);
/* World time at which the node's boot clock shows `node_ns` at the earliest. */
uint64_t sim_clock_to_world(const struct sim_clock *clock, uint64_t node_ns);

struct net *sim_net_new(struct sim_node *node);
void sim_net_crash(struct net *net, bool machine); /* machine: peers hear nothing for a while */

struct sim_fs *sim_fs_new(struct world *world);
void sim_fs_free(struct sim_fs *fs);
struct disk *sim_disk_new(struct sim_node *node, struct sim_fs *fs);
void sim_disk_crash(struct disk *disk, bool machine);

struct sim_store *sim_store_new(struct world *world);
void sim_store_free(struct sim_store *store);
struct kv *sim_kv_new(struct sim_node *node, struct sim_store *store);
void sim_kv_crash(struct kv *kv, bool machine);

struct net_world;
struct net_world *net_world_new(struct world *world);
void net_world_free(struct net_world *net_world);
struct net_world *world_net(struct world *world);
/* 0: open; else until when messages from -> to do not pass. */
uint64_t world_cut_until(struct world *world, const struct sim_node *from, const struct sim_node *to);
/* And whether some of them are lost, instead of coming later. */
bool world_cut_loses(struct world *world, const struct sim_node *from, const struct sim_node *to);

#endif
