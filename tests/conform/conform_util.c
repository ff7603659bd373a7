/* SPDX-License-Identifier: Apache-2.0
 * What the contract tests share. */
#include "tests/conform/conform.h"

#include <stdio.h>

struct run {
	void (*fn)(void *arg);
	void *arg;
	bool is_done;
};

static void run_main(void *arg)
{
	struct run *run = arg;
	run->fn(run->arg);
	run->is_done = true;
}

static bool run_is_done(void *ctx)
{
	return ((struct run *)ctx)->is_done;
}

void conform_until(struct conform_world *world, bool (*done)(void *ctx), void *ctx)
{
	CHECK_MSG(world->ops->run_until(world, done, ctx, CONFORM_PATIENCE_S * NS_PER_S), "a contract test hangs");
}

void conform_task(struct conform_world *world, struct conform_node *node, void (*fn)(void *arg), void *arg)
{
	struct run run = {.fn = fn, .arg = arg};
	task_spawn(node->loop, "conform", run_main, &run);
	conform_until(world, run_is_done, &run);
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

void conform_for(struct conform_world *world, uint64_t duration_ns)
{
	(void)world->ops->run_until(world, never, NULL, duration_ns); /* never done */
}

void conform_case(const char *seam, const char *name)
{
	(void)fprintf(stderr, "%s: %s\n", seam, name);
}

static uint8_t pattern(uint64_t seed, size_t i)
{
	uint64_t x = (i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed * UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 29;
	return (uint8_t)(x >> (i % 8 * 8));
}

void conform_fill(void *ptr, size_t len, uint64_t seed)
{
	uint8_t *bytes = ptr;
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(seed, i);
}

bool conform_is_filled(const void *ptr, size_t len, uint64_t seed)
{
	const uint8_t *bytes = ptr;
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(seed, i))
			return false;
	return true;
}
