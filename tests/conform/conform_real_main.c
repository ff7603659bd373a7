/* SPDX-License-Identifier: Apache-2.0
 * The contract tests on the real seams: conform_real net|disk|kv|hostile|driver. All nodes of a test are in this process, each with
 * a loop of its own, stepped in turn. */
#include "common/io/io.h"
#include "tests/conform/conform.h"
#include "tests/conform/conform_real.h"

#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

enum { NODES_MAX = 32 };

struct real_node {
	struct conform_node node;
	bool is_used, is_frozen;
};

struct real_world {
	struct conform_world world;
	char root[64];
	struct real_node nodes[NODES_MAX];
};

static struct real_world *real_of(struct conform_world *world)
{
	return CONTAINER_OF(world, struct real_world, world);
}

static struct conform_node *real_node_new(struct conform_world *world, unsigned seams, unsigned store)
{
	struct real_world *real = real_of(world);
	struct real_node *node = NULL;
	for (size_t i = 0; i < NODES_MAX && node == NULL; i++)
		if (!real->nodes[i].is_used)
			node = &real->nodes[i];
	CHECK(node != NULL);
	*node = (struct real_node){.is_used = true};
	struct env *env = &node->node.env;
	env->clock = clock_os();
	env->rng = rng_os_new();
	env->loop = node->node.loop = loop_new(&(struct loop_opts){.name = "conform", .clock = env->clock});
	char error_text[IO_ERROR_TEXT_BYTES] = "", path[128];
	int rc = 0;
	if (seams & CONFORM_NET)
		rc = net_ofi_new(env->loop, &(struct net_ofi_opts){.provider = NULL}, &env->net, error_text);
	if (rc == 0 && (seams & CONFORM_DISK)) {
		(void)snprintf(path, sizeof(path), "%s/disk%u", real->root, store);
		(void)mkdir(path, 0700); /* it may be there from the node before */
		rc = disk_uring_new(env->loop, &(struct disk_uring_opts){.root = path}, &env->disk, error_text);
	}
	if (rc == 0 && (seams & CONFORM_KV)) {
		(void)snprintf(path, sizeof(path), "%s/kv%u", real->root, store);
		rc = kv_rocks_new(env->loop, &(struct kv_rocks_opts){.path = path}, &env->kv, error_text);
	}
	if (rc < 0)
		(void)fprintf(stderr, "node: %s\n", error_text);
	CHECK(rc == 0);
	return &node->node;
}

static void real_node_stop(struct conform_world *world, struct conform_node *node)
{
	(void)world;
	if (node->env.net != NULL)
		node->env.net->ops->fini(node->env.net);
	if (node->env.disk != NULL)
		node->env.disk->ops->fini(node->env.disk);
	if (node->env.kv != NULL)
		node->env.kv->ops->fini(node->env.kv);
	loop_free(node->loop);
	rng_os_free(node->env.rng);
	CONTAINER_OF(node, struct real_node, node)->is_used = false;
}

static void real_node_freeze(struct conform_world *world, struct conform_node *node, bool is_frozen)
{
	(void)world;
	CONTAINER_OF(node, struct real_node, node)->is_frozen = is_frozen;
}

static bool real_run_until(struct conform_world *world, bool (*done)(void *ctx), void *ctx, uint64_t timeout_ns)
{
	struct real_world *real = real_of(world);
	uint64_t deadline_ns = clock_os()->ops->now_ns(clock_os()) + timeout_ns;
	uint64_t work_seen = 0;
	for (unsigned idle = 0;; idle++) {
		uint64_t work = 0;
		for (size_t i = 0; i < NODES_MAX; i++) {
			struct real_node *node = &real->nodes[i];
			if (!node->is_used || node->is_frozen)
				continue;
			(void)loop_step(node->node.loop); /* stepped again whatever it returns */
			work += loop_work_count(node->node.loop);
			if (done(ctx))
				return true;
		}
		if (work != work_seen)
			idle = 0;
		work_seen = work;
		if (clock_os()->ops->now_ns(clock_os()) >= deadline_ns)
			return false;
		if (idle > 1000)
			(void)poll(NULL, 0, 1);
		else
			(void)sched_yield();
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(int argc, char **argv)
{
	static const struct conform_ops ops = {
		.node_new = real_node_new,
		.node_stop = real_node_stop,
		.node_crash = real_node_stop, /* the kernel closes what a process had open; unsynced data is in its caches */
		.node_freeze = real_node_freeze,
		.run_until = real_run_until,
	};
	static struct real_world real;
	real.world = (struct conform_world){
		.ops = &ops,
		.listen_address = "tcp://127.0.0.1:0",
		.dead_address = "tcp://127.0.0.1:9",
		.is_real = true,
	};
	const char *what = argc > 1 ? argv[1] : "";
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(real.root, sizeof(real.root), "%s/stria-conform-XXXXXX", tmp != NULL ? tmp : "/tmp");
	CHECK(mkdtemp(real.root) != NULL);
	io_signals_block();
	if (strcmp(what, "net") == 0)
		conform_net(&real.world);
	else if (strcmp(what, "disk") == 0)
		conform_disk(&real.world);
	else if (strcmp(what, "kv") == 0)
		conform_kv(&real.world);
	else if (strcmp(what, "hostile") == 0)
		conform_hostile(&real.world);
	else if (strcmp(what, "driver") == 0)
		conform_driver();
	else
		(void)fprintf(stderr, "usage: conform_real net|disk|kv|hostile|driver\n");
	(void)nftw(real.root, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what stays is in TMPDIR */
	return 0;
}
