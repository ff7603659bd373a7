/* SPDX-License-Identifier: Apache-2.0
 * The cluster map as an OST has it: registration, beats, and when it is in force: a request that carries a newer epoch is served only when that
 * map is here and the fence (fence.c) has been passed, so that a late write of an evicted client never lands behind it. */
#include "oss/oss_impl.h"
#include "proto/rows.h"

#include <inttypes.h>
#include <stdio.h>

#define BEAT_NS       (2 * NS_PER_S)
#define RETRY_MIN_NS  (2 * NS_PER_MS)
#define RETRY_MAX_NS  (500 * NS_PER_MS)
#define SAY_AGAIN_NS  (60 * NS_PER_S) /* of what goes on for long */
#define CATCH_UP_NS   (4 * NS_PER_S) /* below the callers' 5 s: then they hear ERR_not_ready and repeat */

static int say(struct ost *ost, int rc, const char *text)
{
	(void)snprintf(ost->error, sizeof(ost->error), "%s", text);
	return rc;
}

/* Parks, in one task at a time. */
static int take_map(struct ost *ost, struct blob encoded)
{
	struct cmap *map = NULL;
	if (encoded.len == 0)
		return 0;
	int rc = cmap_decode(encoded, &map);
	if (rc < 0)
		return rc;
	if (ost->map != NULL && map->epoch <= ost->map->epoch) {
		cmap_free(map);
		return 0;
	}
	fence(ost, map);
	if (ost->map != NULL && map->epoch <= ost->map->epoch) { /* another task was faster */
		cmap_free(map);
		return 0;
	}
	cmap_free(ost->map);
	ost->map = map;
	ost->identity.epoch = map->epoch;
	waitq_wake_all(&ost->map_changed);
	waitq_wake_all(&ost->recover_q); /* somebody that we wait for may be gone */
	return 0;
}

int mapping_refresh(struct ost *ost)
{
	struct arena arena;
	struct map_get_rep rep;
	arena_init(&arena);
	ost->counters.epoch_fetches++;
	int rc = rpc_map_get(ost->mgs, &(struct map_get_req){.epoch = ost->map->epoch}, &rep, &(struct rpc_args){.arena = &arena});
	if (rc == 0)
		rc = take_map(ost, rep.map);
	arena_fini(&arena);
	return rc;
}

static void fetch_task(void *arg)
{
	struct ost *ost = arg;
	uint64_t backoff_ns = RETRY_MIN_NS;
	while (ost->wanted_epoch > ost->map->epoch && !ost->stopping) {
		uint64_t before = ost->map->epoch;
		(void)mapping_refresh(ost); /* whatever went wrong, it is asked again */
		if (ost->map->epoch > before)
			continue;
		if (backoff_ns > CATCH_UP_NS / 2)
			ost->wanted_epoch = ost->map->epoch; /* somebody spoke of an epoch that does not exist */
		task_sleep(ost->env->loop, backoff_ns);
		backoff_ns *= 2;
	}
	ost->fetching = false;
	waitq_wake_all(&ost->map_changed);
}

int mapping_catch_up(struct ost *ost, uint64_t epoch)
{
	uint64_t deadline_ns = env_now_ns(ost->env) + CATCH_UP_NS;
	while (ost->map->epoch < epoch) {
		ost->wanted_epoch = max_u64(ost->wanted_epoch, epoch); /* again: the fetching task may have given it up */
		if (!ost->fetching) {
			ost->fetching = true;
			task_spawn(ost->env->loop, "fetch_map", fetch_task, ost);
		}
		if (ost->stopping || waitq_wait(&ost->map_changed, ost->env->loop, deadline_ns) < 0)
			return fail(ERR_not_ready);
	}
	return 0;
}

/* ---- registration --------------------------------------------------------------------------------------------- */

static int register_once(struct ost *ost, struct arena *arena)
{
	struct target_register_req req = {
		.kind = TARGET_OST,
		.index = ost->identity.index,
		.fsname = str_of(ost->fsname),
		.cluster_hi = ost->identity.cluster_hi,
		.cluster_lo = ost->identity.cluster_lo,
		.store_hi = ost->store_hi,
		.store_lo = ost->store_lo,
		.boot = ost->identity.boot,
		.address = str_of(ost->address),
	};
	struct target_register_rep rep;
	int rc = rpc_target_register(ost->mgs, &req, &rep, &(struct rpc_args){.arena = arena});
	if (rc < 0)
		return rc;
	if (ost->identity.cluster_hi == 0 && ost->identity.cluster_lo == 0) {
		ost->identity.cluster_hi = rep.cluster_hi;
		ost->identity.cluster_lo = rep.cluster_lo;
		rc = ost_write_superblock(ost); /* from here on it belongs to that cluster */
	}
	return rc < 0 ? rc : take_map(ost, rep.map);
}

int mapping_register(struct ost *ost)
{
	uint64_t backoff_ns = RETRY_MIN_NS, say_ns = 0;
	for (;;) {
		struct arena arena;
		arena_init(&arena);
		int rc = register_once(ost, &arena);
		arena_fini(&arena);
		if (rc == -ERR_wrong_cluster)
			return say(ost, rc, "this store belongs to another cluster than the management service: check --mgs and --ost");
		if (rc == -ERR_wrong_target)
			return say(ost, rc, "another store is registered with this OST's index: format it with an index of its own");
		if (rc == -EPERM)
			return say(ost, rc, "that address is an MDT without the management service: --mgs is the address of MDT 0");
		if (rc < 0 && !err_is(rc, ERR_retry))
			return say(ost, rc, "the management service refuses this OST");
		if (rc == 0)
			return 0;
		if (ost->stopping)
			return fail(ERR_aborted);
		if (backoff_ns >= RETRY_MAX_NS && env_now_ns(ost->env) >= say_ns) {
			say_ns = env_now_ns(ost->env) + SAY_AGAIN_NS;
			log_line(ost->conf.log, LOG_LEVEL_WARN, "mapping", "mgs=%s err=%s did=\"the management service does not answer: trying again\"",
				 ost->conf.mgs, err_name(rc));
		}
		task_sleep(ost->env->loop, backoff_ns);
		backoff_ns = min_u64(backoff_ns * 2, RETRY_MAX_NS);
	}
}

static void beat_task(void *arg)
{
	struct ost *ost = arg;
	while (!ost->stopping && ost->failed == 0) {
		struct disk_space space = {0};
		(void)ost->env->disk->ops->space(ost->env->disk, &space); /* unknown space is 0 */
		struct target_beat_req req = {
			.kind = TARGET_OST,
			.index = ost->identity.index,
			.boot = ost->identity.boot,
			.state = ost->identity.state,
			.epoch = ost->map->epoch,
			.total_bytes = space.total_bytes,
			.free_bytes = space.free_bytes,
			.available_bytes = space.available_bytes,
		};
		struct target_beat_rep rep;
		int rc = rpc_target_beat(ost->mgs, &req, &rep, &(struct rpc_args){0});
		if (rc == 0 && rep.epoch > ost->map->epoch)
			(void)mapping_catch_up(ost, rep.epoch); /* the next beat tries again */
		else if (rc == -ERR_wrong_target)
			(void)mapping_register(ost); /* final errors were told at the start */
		if (rc == 0 && req.state != ost->identity.state)
			continue; /* it has changed meanwhile */
		(void)waitq_wait(&ost->beat_q, ost->env->loop, env_now_ns(ost->env) + BEAT_NS); /* or a change of state */
	}
}

void mapping_start(struct ost *ost)
{
	task_spawn(ost->env->loop, "beat", beat_task, ost);
}

int mapping_list_clients(struct ost *ost)
{
	struct map_iter iter = map_iter_begin(&ost->clients);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		CONTAINER_OF(node, struct client, node)->alive = false;
	uint64_t after = 0;
	for (bool end = false; !end;) {
		struct arena arena;
		struct client_list_rep rep;
		arena_init(&arena);
		int rc = rpc_client_list(ost->mgs, &(struct client_list_req){.after = after}, &rep, &(struct rpc_args){.arena = &arena});
		struct wire_in in = wire_in(rc == 0 ? rep.clients : (struct blob){0});
		while (rc == 0 && wire_left(&in) > 0) {
			struct client_row row = client_row_get(&in);
			rc = in.err;
			struct client *client = rc == 0 ? client_find(ost, row.client) : NULL;
			if (client != NULL)
				client->alive = true;
			after = max_u64(after, row.client);
		}
		end = rc == 0 && (rep.end != 0 || rep.clients.len == 0);
		arena_fini(&arena);
		if (rc < 0)
			return rc;
	}
	return 0;
}
