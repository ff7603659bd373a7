/* SPDX-License-Identifier: Apache-2.0
 * The small seams: clocks that differ a little from machine to machine, random numbers from the seed, and the call into the model
 * of the kernel. */
#include "tests/sim/seam.h"

/* 2026-01-01, so that timestamps look like some */
#define REAL_START_NS (INT64_C(1767225600) * (int64_t)NS_PER_S)

static uint64_t clock_at(const struct sim_clock *clock, uint64_t world_ns)
{
	__int128 drift = (__int128)world_ns * clock->rate_ppm / 1000000;
	return (uint64_t)((__int128)(clock->base_ns + world_ns) + drift);
}

static uint64_t clock_now(struct clock *seam)
{
	struct sim_clock *clock = CONTAINER_OF(seam, struct sim_clock, clock);
	return clock_at(clock, world_now_ns(clock->node->world));
}

static int64_t clock_real(struct clock *seam)
{
	struct sim_clock *clock = CONTAINER_OF(seam, struct sim_clock, clock);
	if (sim_chance(clock->node, world_faults(clock->node->world)->clock_jump)) {
		int64_t range_ns = 2 * (int64_t)NS_PER_S;
		clock->real_offset_ns += (int64_t)rng_below(&clock->node->fault_rng, (uint64_t)range_ns) - range_ns / 2;
	}
	return REAL_START_NS + (int64_t)world_now_ns(clock->node->world) + clock->real_offset_ns;
}

static const struct clock_ops clock_ops = {.now_ns = clock_now, .real_ns = clock_real};

void sim_clock_init(struct sim_clock *clock, struct sim_node *node, struct rng *rng)
{
	*clock = (struct sim_clock){.clock = {&clock_ops}, .node = node};
	clock->base_ns = NS_PER_S * 1000 + rng_below(rng, 1000 * NS_PER_S);
}

uint64_t sim_clock_to_world(const struct sim_clock *clock, uint64_t node_ns)
{
	if (node_ns <= clock->base_ns)
		return 0;
	uint64_t world_ns = (uint64_t)((__int128)(node_ns - clock->base_ns) * 1000000 / (1000000 + clock->rate_ppm));
	if (world_ns > 0)
		world_ns--;
	while (clock_at(clock, world_ns) < node_ns)
		world_ns++;
	return world_ns;
}

static uint64_t source_u64(struct rng_source *source)
{
	return rng_u64(&CONTAINER_OF(source, struct sim_rng, source)->rng);
}

static const struct rng_source_ops source_ops = {.u64 = source_u64};

void sim_rng_init(struct sim_rng *source, uint64_t seed)
{
	source->source.ops = &source_ops;
	rng_init(&source->rng, seed);
}

/* ---- kcache --------------------------------------------------------------------------------------------------- */

static void kcache_pause(struct sim_node *node)
{
	struct sim_op op = {0};
	world_counts(node->world)->kcache_calls++;
	(void)sim_op_wait(&op, node, rng_range(&node->fault_rng, 1 * NS_PER_US, 50 * NS_PER_US));
}

/* The hook answers -EAGAIN while the kernel holds a lock that the call needs. */
static int kcache_inval_inode(struct kcache *seam, uint64_t ino, uint64_t offset, uint64_t len)
{
	struct sim_node *node = CONTAINER_OF(seam, struct sim_kcache, kcache)->node;
	int rc = -EAGAIN;
	for (bool again = false; rc == -EAGAIN; again = true) {
		kcache_pause(node);
		rc = node->hooks.inval_inode != NULL ? node->hooks.inval_inode(node->hooks.ctx, ino, offset, len, again) : -ENOENT;
	}
	return rc;
}

static int kcache_inval_attr(struct kcache *seam, uint64_t ino)
{
	struct sim_node *node = CONTAINER_OF(seam, struct sim_kcache, kcache)->node;
	kcache_pause(node);
	return node->hooks.inval_attr != NULL ? node->hooks.inval_attr(node->hooks.ctx, ino) : -ENOENT;
}

static int kcache_inval_epoch(struct kcache *seam)
{
	struct sim_node *node = CONTAINER_OF(seam, struct sim_kcache, kcache)->node;
	kcache_pause(node);
	return node->hooks.inval_epoch != NULL ? node->hooks.inval_epoch(node->hooks.ctx) : -ENOSYS;
}

static int kcache_inval_entry(struct kcache *seam, uint64_t parent, struct str name)
{
	struct sim_node *node = CONTAINER_OF(seam, struct sim_kcache, kcache)->node;
	int rc;
	do {
		kcache_pause(node);
		rc = node->hooks.inval_entry != NULL ? node->hooks.inval_entry(node->hooks.ctx, parent, name) : -ENOENT;
	} while (rc == -EAGAIN);
	return rc;
}

/* Size and answer of an inode: what the kernel has, now. */
struct kcache_view {
	struct sim_node *node;
	uint64_t ino;
	bool asking, closed;
};

static int kcache_view_open(struct kcache *seam, uint64_t ino, struct kcache_view **ret_view)
{
	struct sim_node *node = CONTAINER_OF(seam, struct sim_kcache, kcache)->node;
	uint64_t size_bytes = 0;
	kcache_pause(node);
	if (node->hooks.size == NULL)
		return -EPERM;
	int rc = node->hooks.size(node->hooks.ctx, ino, &size_bytes);
	if (rc < 0)
		return rc;
	struct kcache_view *view = mem_alloc(sizeof(*view));
	*view = (struct kcache_view){.node = node, .ino = ino};
	*ret_view = view;
	return 0;
}

static uint64_t kcache_view_size(struct kcache_view *view)
{
	uint64_t size_bytes = UINT64_MAX;
	(void)view->node->hooks.size(view->node->hooks.ctx, view->ino, &size_bytes); /* ENOENT: forgotten */
	return size_bytes;
}

static void kcache_ask_task(void *arg)
{
	struct kcache_view *view = arg;
	kcache_pause(view->node);
	view->node->hooks.ask(view->node->hooks.ctx, view->ino);
	view->asking = false;
	if (view->closed)
		mem_free(view);
}

static void kcache_view_ask(struct kcache_view *view)
{
	if (view->asking)
		return;
	view->asking = true;
	task_spawn(view->node->loop, "ask", kcache_ask_task, view);
}

static void kcache_view_close(struct kcache_view *view)
{
	view->closed = true;
	if (!view->asking)
		mem_free(view);
}

static bool kcache_view_asks(const struct kcache *seam, uint32_t thread)
{
	(void)seam, (void)thread; /* the model of the kernel calls what such a question calls */
	return false;
}

static void kcache_fini(struct kcache *seam)
{
	(void)seam; /* part of the node */
}

static const struct kcache_ops kcache_ops = {
	.inval_inode = kcache_inval_inode,
	.inval_attr = kcache_inval_attr,
	.inval_entry = kcache_inval_entry,
	.inval_epoch = kcache_inval_epoch,
	.view_open = kcache_view_open,
	.view_size = kcache_view_size,
	.view_ask = kcache_view_ask,
	.view_close = kcache_view_close,
	.view_asks = kcache_view_asks,
	.fini = kcache_fini,
};

void sim_kcache_init(struct sim_kcache *kcache, struct sim_node *node)
{
	*kcache = (struct sim_kcache){.kcache = {.ops = &kcache_ops, .loop = node->loop}, .node = node};
}
