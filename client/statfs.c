/* SPDX-License-Identifier: Apache-2.0
 * Space: what all targets say, asked at once. A dead target costs 2 s once, not an answer. */
#include "client/client_impl.h"

#define SPACE_ATTEMPT_NS (2 * NS_PER_S)

struct space_job {
	struct fanout *fanout;
	struct target_space *row;
};

static int ask_mdt(struct target_space *row, const struct rpc_args *args)
{
	struct statfs_req req = {0};
	struct statfs_rep rep;
	int rc = rpc_statfs(row->target->peer, &req, &rep, args);
	if (rc < 0)
		return rc;
	row->total_bytes = rep.total_bytes;
	row->free_bytes = rep.free_bytes;
	row->available_bytes = rep.available_bytes;
	row->inodes_used = rep.inodes_used;
	row->inodes_free = rep.inodes_free;
	return 0;
}

static int ask_ost(struct target_space *row, const struct rpc_args *args)
{
	struct ost_statfs_req req = {0};
	struct ost_statfs_rep rep;
	int rc = rpc_ost_statfs(row->target->peer, &req, &rep, args);
	if (rc < 0)
		return rc;
	row->total_bytes = rep.total_bytes;
	row->free_bytes = rep.free_bytes;
	row->available_bytes = rep.available_bytes;
	row->inodes_used = rep.objects;
	row->inodes_free = rep.objects_free;
	return 0;
}

static void space_child(void *arg)
{
	struct space_job *job = arg;
	struct rpc_args args = {.timeout_ns = SPACE_ATTEMPT_NS};
	int rc = job->row->target->kind == TARGET_MDT ? ask_mdt(job->row, &args) : ask_ost(job->row, &args);
	job->row->active = rc == 0;
	fanout_child_done(job->fanout, 0);
}

/* Rows of one kind in the order of the map. */
static size_t collect(struct client *client, uint8_t kind, struct target_space *rows, size_t capacity)
{
	size_t count = 0;
	for (uint32_t i = 0; client->map != NULL && i < client->map->target_count; i++) {
		const struct cmap_target *row = &client->map->targets[i];
		struct target *target = session_target(client, row->kind, row->index);
		if (row->kind == kind && target != NULL && count < capacity)
			rows[count++].target = target;
	}
	return count;
}

size_t space_gather(struct client *client, struct arena *arena, struct target_space **ret_rows)
{
	size_t capacity = 1 + (client->map != NULL ? client->map->target_count : 0);
	struct target_space *rows = arena_alloc(arena, capacity * sizeof(rows[0]));
	struct space_job *jobs = arena_alloc(arena, capacity * sizeof(jobs[0]));
	size_t count = collect(client, TARGET_MDT, rows, capacity);
	count += collect(client, TARGET_OST, rows + count, capacity - count);
	struct fanout fanout;
	fanout_begin(&fanout, client);
	for (size_t i = 0; i < count; i++) {
		jobs[i] = (struct space_job){&fanout, &rows[i]};
		fanout_spawn(&fanout, "statfs", space_child, &jobs[i]);
	}
	(void)fanout_wait(&fanout); /* each row says whether it is there */
	*ret_rows = rows;
	return count;
}

int client_statfs(struct client *client, struct client_op *op, struct client_statfs *ret_statfs)
{
	CLEANUP(arena_fini) struct arena arena;
	struct client_statfs sum = {0};
	bool has_mdt = false;
	arena_init(&arena);
	struct target_space *rows;
	size_t count = space_gather(client, &arena, &rows);
	for (size_t i = 0; i < count; i++) {
		const struct target_space *row = &rows[i];
		if (row->active && row->target->kind == TARGET_MDT) {
			has_mdt = true;
			sum.inodes_used += row->inodes_used;
			sum.inodes_free += row->inodes_free;
		} else if (row->active) {
			sum.total_bytes += row->total_bytes;
			sum.free_bytes += row->free_bytes;
			sum.available_bytes += row->available_bytes;
		}
	}
	if (!has_mdt) {
		/* A mount without its MDT waits, as for everything else. */
		struct statfs_req req = {0};
		struct statfs_rep rep;
		int rc = session_mdt_call(client, INO_ROOT, &(struct call){.op = OP_statfs, .req = &req, .rep = &rep, .who = op});
		if (rc < 0)
			return rc;
		sum.inodes_used = rep.inodes_used;
		sum.inodes_free = rep.inodes_free;
	}
	*ret_statfs = sum;
	return 0;
}
