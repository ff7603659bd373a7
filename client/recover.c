/* SPDX-License-Identifier: Apache-2.0
 * What a target is told when it has restarted: an MDT our leases, locks and opens, an OST the writes that it may have lost. Then that this was all. */
#include "client/client_impl.h"
#include "proto/rows.h"

#define RECOVER_RETRY_NS (20 * NS_PER_MS)
#define RECONNECT_MAX_NS (500 * NS_PER_MS)

/* Rows of one message: well below the blob's limit. */
enum { RECLAIM_ROWS_MAX = 1024 };

struct reclaim {
	uint8_t bytes[RECLAIM_ROWS_MAX * RECLAIM_ROW_BYTES];
	struct wire_out out;
	uint32_t rows;
};

static int send_reclaim(struct target *target, uint64_t boot, struct reclaim *reclaim, bool done)
{
	struct reclaim_req req = {.rows = blob_of(reclaim->bytes, wire_len(&reclaim->out)), .done = done, .boot = boot};
	struct reclaim_rep rep;
	int rc = rpc_reclaim(target->peer, &req, &rep, &(struct rpc_args){0});
	if (rc == 0)
		target->client->counters.reclaims += reclaim->rows;
	reclaim->out = wire_out(reclaim->bytes, sizeof(reclaim->bytes));
	reclaim->rows = 0;
	return rc;
}

static bool is_on(struct client *client, const struct target *target, struct ino ino)
{
	return client->map != NULL && cmap_mdt_of(client->map, ino) == target->index;
}

static struct reclaim_row *add_row(struct reclaim_row *rows, size_t *count, size_t *capacity, struct ino ino, uint64_t handle, uint32_t flags)
{
	if (*count == *capacity) {
		*capacity = *capacity == 0 ? 64 : *capacity * 2;
		rows = mem_realloc(rows, *capacity * sizeof(rows[0]));
	}
	rows[(*count)++] = (struct reclaim_row){ino, handle, flags & (OPEN_READ | OPEN_WRITE)};
	return rows;
}

/* Tell all opens. The set may change while a message is under way: an open that comes later knows by itself (recover_reclaim_file). */
static int reclaim_all(struct target *target, uint64_t boot)
{
	struct client *client = target->client;
	size_t count = 0, capacity = 0;
	struct reclaim_row *rows = NULL;
	struct map_iter iter = map_iter_begin(&client->nodes);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		list_for_each(link, &node->files) {
			struct client_file *file = CONTAINER_OF(link, struct client_file, node_link);
			if (!file->lost && !file->local && is_on(client, target, node->ino))
				rows = add_row(rows, &count, &capacity, node->ino, file->handle, file->flags);
		}
		/* Of leases that were refused nobody would ask back before the file goes. */
		if (node->local_opens > 0 && node->told_handle == 0 && node->lease.attr_mode == LEASE_NONE && node->giving_attr == 0)
			node->told_handle = client->next_handle++;
		if (node->told_handle != 0 && is_on(client, target, node->ino))
			rows = add_row(rows, &count, &capacity, node->ino, node->told_handle, OPEN_READ);
	}
	struct reclaim *reclaim = mem_alloc(sizeof(*reclaim));
	reclaim->out = wire_out(reclaim->bytes, sizeof(reclaim->bytes));
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		reclaim_row_put(&reclaim->out, &rows[i]);
		if (++reclaim->rows == RECLAIM_ROWS_MAX)
			rc = send_reclaim(target, boot, reclaim, false);
	}
	if (rc == 0)
		rc = send_reclaim(target, boot, reclaim, true);
	mem_free(reclaim);
	mem_free(rows);
	return rc;
}

void recover_reclaim_file(struct client *client, struct client_file *file)
{
	struct ino ino = file->node->ino;
	uint8_t bytes[RECLAIM_ROW_BYTES];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	reclaim_row_put(&out, &(struct reclaim_row){ino, file->handle, file->flags & (OPEN_READ | OPEN_WRITE)});
	struct reclaim_req req = {.rows = blob_of(bytes, wire_len(&out))};
	struct reclaim_rep rep;
	(void)session_mdt_call(client, ino, &(struct call){.op = OP_reclaim, .req = &req, .rep = &rep}); /* refused: the file is gone, I/O will tell */
	client->counters.reclaims++;
}

static int replay_all(struct target *target)
{
	uint64_t boot = target->boot;
	int rc = unstable_replay(target->client, target);
	if (rc < 0)
		return rc;
	struct replay_done_req req = {.verifier = boot};
	struct replay_done_rep rep;
	return rpc_replay_done(target->peer, &req, &rep, &(struct rpc_args){0});
}

/* Leases and locks once only: the MDT may be up since, by a message whose answer was lost, and then it refuses what it does not know just so. */
static int reclaim_held(struct target *target, uint64_t boot)
{
	if (target->held_boot == boot)
		return 0;
	int rc = lease_reclaim(target, boot);
	if (rc == 0)
		rc = lock_reclaim(target, boot);
	if (rc == 0)
		target->held_boot = boot;
	return rc;
}

static void recover_task(void *arg)
{
	struct target *target = arg;
	struct client *client = target->client;
	while (target->recovered_boot != target->boot && !client->ended) {
		uint64_t boot = target->boot;
		int rc = target->kind == TARGET_MDT ? reclaim_held(target, boot) : replay_all(target);
		if (rc == 0 && target->kind == TARGET_MDT)
			rc = reclaim_all(target, boot);
		if (rc == 0) {
			target->recovered_boot = boot;
			lock_wake_all(client); /* those that waited at the boot before */
		} else if (rc == -ERR_evicted) {
			session_evicted(client);
			break;
		} else {
			task_sleep(client_loop(client), RECOVER_RETRY_NS);
		}
		if (!client->joined)
			break; /* what there was to tell is gone; the next hello starts anew */
	}
	target->recovering = false;
	session_task_done(client);
}

void recover_on_hello(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep)
{
	struct target *target = ctx;
	struct client *client = target->client;
	(void)peer;
	if (target->kind == TARGET_MDT)
		client->mdt_offset_ns = rep->time_ns - (int64_t)env_now_ns(client->env); /* late by the way here: never ahead of it */
	if (target->boot != 0 && target->boot != rep->boot && target->kind == TARGET_OST)
		client->counters.verifiers_changed++;
	target->boot = rep->boot;
	if (target->recovered_boot == target->boot || target->recovering || client->ended)
		return;
	target->recovering = true;
	session_spawn(client, "recover", recover_task, target);
}

/* Others wait for the target until we have said that we have nothing to replay or reclaim: so go there, whether or not anybody here needs it. */
static void reconnect_task(void *arg)
{
	struct target *target = arg;
	struct client *client = target->client;
	uint64_t backoff_ns = RECOVER_RETRY_NS;
	while (!client->ended && client->joined && !rpc_peer_is_connected(target->peer)) {
		struct ping_rep rep;
		(void)rpc_ping(target->peer, &(struct ping_req){0}, &rep, &(struct rpc_args){0}); /* hello comes with it, which is the point */
		if (rpc_peer_is_connected(target->peer))
			break;
		session_nap(client, backoff_ns);
		backoff_ns = min_u64(backoff_ns * 2, RECONNECT_MAX_NS);
	}
	target->reconnecting = false;
	session_task_done(client);
}

void recover_on_closed(void *ctx, struct rpc_peer *peer)
{
	struct target *target = ctx;
	struct client *client = target->client;
	(void)peer;
	if (target->boot == 0 || target->reconnecting || client->ended || !client->joined)
		return;
	target->reconnecting = true;
	session_spawn(client, "reconnect", reconnect_task, target);
}
