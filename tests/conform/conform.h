/* SPDX-License-Identifier: Apache-2.0
 * Contract tests of the seams (common/core/env.h), one per seam, which run on the real seams (conform_real_main.c) and on the simulated
 * ones (tests/sim): the same files, so that the simulator cannot lie to us.
 *
 * A test sees a `world` that makes nodes - a loop with seams, as one process would have - and runs them. The tests find faults by
 * CHECK: they abort. They assume nothing about time but that run_until's limit is counted on the world's clock. */
#ifndef STRIA_TESTS_CONFORM_H
#define STRIA_TESTS_CONFORM_H

#include "common/base/check.h"
#include "common/core/env.h"
#include "common/core/loop.h"
#include "common/core/task.h"

enum conform_seams { CONFORM_NET = 1, CONFORM_DISK = 2, CONFORM_KV = 4 };

struct conform_node {
	struct loop *loop;
	struct env env; /* loop, clock, rng, and the seams that were asked for; others NULL */
};

struct conform_world;
struct conform_ops {
	/* A node with these seams. Disk and kv are those of store `store` (0..15): what an earlier node with the same number left there (or
	 * empty, in a new world). One node at a time uses a store. */
	struct conform_node *(*node_new)(struct conform_world *world, unsigned seams, unsigned store);
	/* Ends it in order: every seam's fini, then the loop. The test has no task parked in a seam then. */
	void (*node_stop)(struct conform_world *world, struct conform_node *node);
	/* Its process dies: tasks never run again, peers of its connections notice, what was not synced may be lost. */
	void (*node_crash)(struct conform_world *world, struct conform_node *node);
	/* Its process is stopped (SIGSTOP) and goes on: nobody notices, it just does nothing. */
	void (*node_freeze)(struct conform_world *world, struct conform_node *node, bool is_frozen);
	/* Run all nodes that are not frozen until done(ctx) or timeout_ns have passed: true when done. */
	bool (*run_until)(struct conform_world *world, bool (*done)(void *ctx), void *ctx, uint64_t timeout_ns);
};
struct conform_world {
	const struct conform_ops *ops;
	const char *listen_address; /* with port 0: "tcp://127.0.0.1:0" */
	const char *dead_address;   /* nobody listens there, and it is refused */
	bool is_real;               /* more of everything, for time costs nothing in the simulator but here */
};

/* Every case of the seam's contract; CHECKs. Prints the name of each case before it. */
void conform_net(struct conform_world *world);
void conform_net_rma(struct conform_world *world); /* part of conform_net */
void conform_disk(struct conform_world *world);
void conform_kv(struct conform_world *world);

/* ---- for the tests themselves (conform_util.c) ---------------------------------------------------------------- */

enum { CONFORM_PATIENCE_S = 60 };

/* Run fn(arg) as a task of `node` and the world until it returns: CHECKs that it does in CONFORM_PATIENCE_S. */
void conform_task(struct conform_world *world, struct conform_node *node, void (*fn)(void *arg), void *arg);
/* Run the world until done(ctx): CHECKs that it comes. */
void conform_until(struct conform_world *world, bool (*done)(void *ctx), void *ctx);
/* Run the world for this long. */
void conform_for(struct conform_world *world, uint64_t duration_ns);
void conform_case(const char *seam, const char *name);
/* Bytes that depend on seed and position. */
void conform_fill(void *ptr, size_t len, uint64_t seed);
bool conform_is_filled(const void *ptr, size_t len, uint64_t seed);

#endif
