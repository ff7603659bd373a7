/* SPDX-License-Identifier: Apache-2.0
 * The management service, embedded in MDT 0: it owns the cluster map and the lives of clients. Whatever it answers is durable. The map changes
 * under one gate, a copy at a time; whoever calls sees the old one until the new one is on disk. */
#include "mds/mds_impl.h"
#include "common/base/check.h"
#include "proto/rows.h"

#include <inttypes.h>
#include <stdio.h>

#define BEAT_LOST_NS (10 * NS_PER_S) /* a target silent for so long is called down in the map; it says itself when it is back */
enum { CLIENTS_MAX = 65536, CLIENT_TEXT_BYTES_MAX = 1024 };

struct mgs_client {
	struct map_node node;   /* mgs->clients */
	struct list_node order; /* mgs->by_id, ascending */
	uint64_t client, uuid_hi, uuid_lo;
	uint64_t seen_ns;       /* last renewal */
	uint32_t pid;
	bool evicting;
	bool has_told;          /* what follows is from its last renewal; else it has not renewed since our start */
	uint64_t dirty_bytes;   /* not stable: an eviction loses them */
	uint32_t dirty_files;
	char *host, *mountpoint;
};
struct beat {
	uint64_t seen_ns; /* 0: not since the start */
};
struct mgs {
	struct mds *mds;
	struct map clients;
	struct list by_id;
	uint64_t next_client;
	uint64_t started_ns;
	struct beat beats[2][CMAP_TARGETS_MAX]; /* MDTs, OSTs; by index, those beyond share none */
};

static struct mgs_client *find(const struct mgs *mgs, uint64_t client)
{
	struct map_node *node = map_first(&mgs->clients, map_hash_u64(client));
	return node != NULL ? CONTAINER_OF(node, struct mgs_client, node) : NULL;
}

bool mgs_client_lives(const struct mgs *mgs, uint64_t client)
{
	const struct mgs_client *found = find(mgs, client);
	return found != NULL && !found->evicting;
}

uint32_t mgs_client_count(const struct mgs *mgs)
{
	return (uint32_t)mgs->clients.count;
}

void mgs_each_client(const struct mgs *mgs, void (*visit)(void *ctx, uint64_t client), void *ctx)
{
	list_for_each(node, &mgs->by_id)
		visit(ctx, CONTAINER_OF(node, struct mgs_client, order)->client);
}

static struct mgs_client *add(struct mgs *mgs, const struct client_record *record)
{
	struct mgs_client *client = mem_alloc(sizeof(*client));
	client->client = record->client;
	client->uuid_hi = record->uuid_hi;
	client->uuid_lo = record->uuid_lo;
	client->pid = record->pid;
	client->host = mem_alloc(record->host.len + 1);
	client->mountpoint = mem_alloc(record->mountpoint.len + 1);
	if (record->host.len > 0)
		memcpy(client->host, record->host.ptr, record->host.len);
	if (record->mountpoint.len > 0)
		memcpy(client->mountpoint, record->mountpoint.ptr, record->mountpoint.len);
	client->seen_ns = env_now_ns(mgs->mds->env);
	map_insert(&mgs->clients, &client->node, map_hash_u64(client->client));
	list_push_back(&mgs->by_id, &client->order);
	return client;
}

static void forget(struct mgs *mgs, struct mgs_client *client)
{
	map_remove(&mgs->clients, &client->node);
	list_remove(&client->order);
	mem_free(client->host);
	mem_free(client->mountpoint);
	mem_free(client);
}

void mgs_free(struct mgs *mgs)
{
	if (mgs == NULL)
		return;
	struct list_node *node;
	while ((node = list_first(&mgs->by_id)) != NULL)
		forget(mgs, CONTAINER_OF(node, struct mgs_client, order));
	map_fini(&mgs->clients);
	mem_free(mgs);
}

/* ---- the map -------------------------------------------------------------------------------------------------- */

static void write_map(struct mds *mds, const struct cmap *map)
{
	uint8_t *bytes = mem_alloc(WIRE_BLOB_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BLOB_BYTES_MAX);
	cmap_encode(map, &out);
	CHECK(out.err == 0); /* every limit of the map is checked before something is added */
	struct key key = key_state("map");
	txn_write(&mds->txn, &key, blob_of(bytes, wire_len(&out)));
	mem_free(bytes);
}

/* Change the map: a copy with the next epoch, given to change(), durable before anybody sees it. change() says false when there is nothing to
 * change. Parks. */
static int change_map(struct mds *mds, bool (*change)(struct mds *mds, struct cmap *map, void *arg), void *arg)
{
	int rc = gate_take(&mds->gates, GATE_MAP, GATE_EXCLUSIVE, UINT64_MAX);
	if (rc < 0)
		return rc;
	struct cmap *map = cmap_copy(mds->map);
	map->epoch++;
	if (!change(mds, map, arg)) {
		cmap_free(map);
		gate_drop(&mds->gates, GATE_MAP, GATE_EXCLUSIVE);
		return 0;
	}
	write_map(mds, map);
	rc = txn_wait(&mds->txn, mds->txn.collecting);
	if (rc == 0)
		mds_set_map(mds, map);
	else
		cmap_free(map);
	gate_drop(&mds->gates, GATE_MAP, GATE_EXCLUSIVE);
	return rc;
}

static struct cmap *first_map(struct mds *mds)
{
	struct cmap *map = cmap_new();
	map->epoch = 1;
	map->cluster_hi = mds->sb.cluster_hi;
	map->cluster_lo = mds->sb.cluster_lo;
	memcpy(map->fsname, mds->sb.fsname, strnlen(mds->sb.fsname, FSNAME_BYTES_MAX));
	map->shard_count = mds->sb.shard_count; /* all owned by MDT 0 */
	return map;
}

struct target_change {
	uint8_t kind, state;
	uint32_t index;
	uint64_t store_hi, store_lo, boot;
	const char *address; /* NULL: as it is */
	bool copied;         /* out: refused, two daemons serve copies of one store */
};

static bool change_target(struct mds *mds, struct cmap *map, void *arg)
{
	struct target_change *change = arg;
	(void)mds;
	struct cmap_target *target = cmap_add_target(map, change->kind, change->index);
	/* Every start has a boot number of its own: one number at two addresses is a copied store. */
	change->copied = change->address != NULL && target->boot == change->boot && target->address[0] != '\0' &&
			 strcmp(target->address, change->address) != 0;
	if (change->copied)
		return false;
	bool same = target->state == change->state && target->boot == change->boot &&
		    (change->address == NULL || (strcmp(target->address, change->address) == 0 &&
						 target->store_hi == change->store_hi &&
						 target->store_lo == change->store_lo));
	if (same)
		return false;
	target->state = change->state;
	target->boot = change->boot;
	if (change->address != NULL) {
		target->store_hi = change->store_hi;
		target->store_lo = change->store_lo;
		(void)snprintf(target->address, sizeof(target->address), "%s", change->address);
	}
	return true;
}

static void own_state_task(void *arg)
{
	struct mds *mds = arg;
	struct target_change change = {
		.kind = TARGET_MDT,
		.state = mds->identity.state,
		.index = mds->sb.index,
		.store_hi = mds->sb.store_hi,
		.store_lo = mds->sb.store_lo,
		.boot = mds->sb.boot,
		.address = mds->address,
	};
	(void)change_map(mds, change_target, &change); /* fails only when the target stops */
}

void mgs_set_own_state(struct mds *mds)
{
	task_spawn(mds->env->loop, "own_state", own_state_task, mds);
}

/* ---- start ---------------------------------------------------------------------------------------------------- */

static int load_clients(struct mgs *mgs)
{
	struct mds *mds = mgs->mds;
	struct key start = key_client(0), end = key_client(UINT64_MAX);
	int rc = 0;
	for (bool more = true; more && rc == 0;) {
		struct arena arena;
		arena_init(&arena);
		struct kv_pair *pairs = NULL;
		int count = mds->env->kv->ops->scan(mds->env->kv, key_blob(&start), key_blob(&end), 256, 256 * KIB, &arena, &pairs, &more);
		rc = count < 0 ? count : 0;
		for (int i = 0; i < count && rc == 0; i++) {
			struct client_record record;
			rc = client_decode(pairs[i].value, &record);
			if (rc < 0) {
				(void)mds_corrupt(mds, pairs[i].key, rc); /* logs; rc goes on */
				break;
			}
			(void)add(mgs, &record); /* a full lease from now */
			start = key_client(record.client + 1);
		}
		more = more && count > 0;
		arena_fini(&arena);
	}
	return rc;
}

int mgs_load(struct mds *mds)
{
	struct mgs *mgs = mem_alloc(sizeof(*mgs));
	mgs->mds = mds;
	mgs->started_ns = env_now_ns(mds->env);
	map_init(&mgs->clients);
	list_init(&mgs->by_id);
	mds->mgs = mgs;
	struct arena arena;
	arena_init(&arena);
	struct blob value;
	struct key key = key_state("next_client");
	int rc = mds->env->kv->ops->get(mds->env->kv, key_blob(&key), &arena, &value);
	if (rc == 0)
		rc = number_decode(value, &mgs->next_client);
	else if (rc == -ENOENT)
		rc = 0;
	mgs->next_client = max_u64(mgs->next_client, 1);
	struct cmap *map = NULL;
	if (rc == 0) {
		key = key_state("map");
		rc = mds->env->kv->ops->get(mds->env->kv, key_blob(&key), &arena, &value);
		if (rc == 0)
			rc = cmap_decode(value, &map);
		else if (rc == -ENOENT)
			rc = 0;
	}
	arena_fini(&arena);
	if (rc < 0)
		return rc;
	if (map == NULL) {
		map = first_map(mds);
		write_map(mds, map);
	}
	mds_set_map(mds, map);
	return load_clients(mgs);
}

/* ---- clients -------------------------------------------------------------------------------------------------- */

static struct str cut(struct str text)
{
	return (struct str){text.ptr, min_u64(text.len, CLIENT_TEXT_BYTES_MAX)};
}

static int client_join(struct mds *mds, const struct client_join_req *req, struct client_join_rep *rep)
{
	struct mgs *mgs = mds->mgs;
	if (!str_eq(req->fsname, str_of(mds->map->fsname)))
		return fail(EINVAL);
	struct mgs_client *client = NULL;
	list_for_each(node, &mgs->by_id) {
		struct mgs_client *at = CONTAINER_OF(node, struct mgs_client, order);
		if (at->uuid_hi == req->uuid_hi && at->uuid_lo == req->uuid_lo)
			client = at; /* a repeat */
	}
	if (client == NULL) {
		if (mgs->clients.count >= CLIENTS_MAX)
			return fail(ERR_busy);
		struct client_record record = {
			.client = mgs->next_client++,
			.uuid_hi = req->uuid_hi,
			.uuid_lo = req->uuid_lo,
			.pid = req->pid,
			.host = cut(req->host),
			.mountpoint = cut(req->mountpoint),
		};
		uint8_t bytes[64 + 2 * CLIENT_TEXT_BYTES_MAX];
		struct wire_out out = wire_out(bytes, sizeof(bytes));
		client_encode(&record, &out);
		struct key key = key_client(record.client);
		txn_write(&mds->txn, &key, blob_of(bytes, wire_len(&out)));
		out = wire_out(bytes, sizeof(bytes));
		number_encode(mgs->next_client, &out);
		key = key_state("next_client");
		txn_write(&mds->txn, &key, blob_of(bytes, wire_len(&out)));
		client = add(mgs, &record);
		mds->counters.joins++;
	}
	client->seen_ns = env_now_ns(mds->env);
	rep->client = client->client;
	rep->lease_ms = (uint32_t)(mds->conf.lease_ns / NS_PER_MS);
	rep->epoch = mds->map->epoch;
	return txn_wait(&mds->txn, mds->txn.dirty_count > 0 ? mds->txn.collecting : mds->txn.collecting - 1);
}

static bool change_evict(struct mds *mds, struct cmap *map, void *arg)
{
	struct mgs_client *client = arg;
	cmap_evict(map, client->client);
	struct key key = key_client(client->client);
	txn_erase(&mds->txn, &key);
	return true;
}

/* Everywhere: the map says so before anything that it held is given away. Parks. */
static int evict(struct mds *mds, struct mgs_client *client, const char *why)
{
	uint64_t id = client->client;
	if (client->evicting)
		return fail(ERR_busy); /* somebody does it: asked again, it is not there */
	client->evicting = true;
	mds_log(mds, LOG_LEVEL_WARN, "mgs", why, client->host, 0);
	int rc = change_map(mds, change_evict, client);
	if (rc < 0)
		return rc;
	forget(mds->mgs, client);
	client_gone(mds, id, true);
	return 0;
}

bool mgs_evict(struct mds *mds, uint64_t client, const char *why)
{
	struct mgs_client *found = find(mds->mgs, client);
	return found != NULL && evict(mds, found, why) == 0;
}

static int client_evict(struct mds *mds, const struct rpc_call *call, const struct client_evict_req *req, struct client_evict_rep *rep)
{
	if (call->role != ROLE_ADMIN && call->role != ROLE_MDT)
		return fail(EPERM);
	struct mgs_client *client = find(mds->mgs, req->client);
	if (client == NULL && !cmap_is_evicted(mds->map, req->client))
		return fail(ENOENT);
	int rc = client != NULL ? evict(mds, client, "a client is evicted: an administrator asked for it") : 0;
	rep->epoch = mds->map->epoch;
	return rc;
}

static int client_renew(struct mds *mds, const struct client_renew_req *req, struct client_renew_rep *rep)
{
	struct mgs_client *client = find(mds->mgs, req->client);
	if (client == NULL || client->evicting)
		return fail(ERR_evicted);
	client->seen_ns = env_now_ns(mds->env);
	client->has_told = true;
	client->dirty_bytes = req->dirty_bytes;
	client->dirty_files = req->dirty_files;
	rep->epoch = mds->map->epoch;
	rep->lease_ms = (uint32_t)(mds->conf.lease_ns / NS_PER_MS);
	return 0;
}

static int client_leave(struct mds *mds, const struct rpc_call *call, const struct client_leave_req *req)
{
	struct mgs_client *client = find(mds->mgs, req->client);
	if (call->frame.client != req->client)
		return fail(EPERM);
	if (client == NULL || client->evicting)
		return 0; /* a repeat */
	struct key key = key_client(client->client);
	txn_erase(&mds->txn, &key);
	uint64_t batch = mds->txn.collecting;
	forget(mds->mgs, client);
	client_gone(mds, req->client, false);
	return txn_wait(&mds->txn, batch);
}

static struct client_row row_of(struct mds *mds, const struct mgs_client *client, uint64_t now_ns)
{
	struct client_row row = {
		.client = client->client,
		.idle_ms = (now_ns - client->seen_ns) / NS_PER_MS,
		.pid = client->pid,
		.host = str_of(client->host),
		.mountpoint = str_of(client->mountpoint),
		.has_told = client->has_told,
		.dirty_bytes = client->dirty_bytes,
		.dirty_files = client->dirty_files,
		.locks = (uint32_t)min_u64(locks_count_of(&mds->locks, client->client), UINT32_MAX),
	};
	const struct session *session = session_find(&mds->sessions, client->client);
	if (session == NULL)
		return row; /* it has asked nothing of this MDT yet */
	row.opens = (uint32_t)session->opens.count;
	row.writer_marks = session->mark_count;
	row.attr_leases = session->attr_count;
	row.dir_leases = session->dir_count;
	memcpy(row.data_leases, session->data_counts, sizeof(row.data_leases));
	return row;
}

static int client_list(struct mds *mds, struct rpc_call *call, const struct client_list_req *req, struct client_list_rep *rep)
{
	enum { LIST_BYTES = 32768 };
	struct wire_out out = wire_out(arena_alloc(&call->arena, LIST_BYTES), LIST_BYTES);
	uint64_t now_ns = env_now_ns(mds->env);
	rep->end = 1;
	list_for_each(node, &mds->mgs->by_id) {
		const struct mgs_client *client = CONTAINER_OF(node, struct mgs_client, order);
		if (client->client <= req->after)
			continue; /* one that is being evicted is listed until the map says so */
		if (wire_len(&out) + CLIENT_ROW_FIXED_BYTES + 2 * CLIENT_TEXT_BYTES_MAX > LIST_BYTES) {
			rep->end = 0;
			break;
		}
		struct client_row row = row_of(mds, client, now_ns);
		client_row_put(&out, &row);
	}
	rep->clients = blob_of(out.base, wire_len(&out));
	return 0;
}

/* ---- targets -------------------------------------------------------------------------------------------------- */

static void beaten(struct mgs *mgs, uint8_t kind, uint32_t index)
{
	if (index < CMAP_TARGETS_MAX && (kind == TARGET_MDT || kind == TARGET_OST))
		mgs->beats[kind - 1][index].seen_ns = env_now_ns(mgs->mds->env);
}

static int target_register(struct mds *mds, struct rpc_call *call, const struct target_register_req *req, struct target_register_rep *rep)
{
	const struct cmap *map = mds->map;
	if ((req->kind != TARGET_MDT && req->kind != TARGET_OST) || req->address.len == 0 ||
	    req->address.len >= CMAP_ADDRESS_BYTES_MAX || req->index >= STRIPE_COUNT_ALL)
		return fail(EINVAL);
	if (!str_eq(req->fsname, str_of(map->fsname)))
		return fail(ERR_wrong_cluster);
	if ((req->cluster_hi != 0 || req->cluster_lo != 0) && (req->cluster_hi != map->cluster_hi || req->cluster_lo != map->cluster_lo))
		return fail(ERR_wrong_cluster);
	const struct cmap_target *known = cmap_find(map, req->kind, req->index);
	if (known != NULL && (known->store_hi != req->store_hi || known->store_lo != req->store_lo))
		return fail(ERR_wrong_target); /* that index belongs to another store */
	if (known == NULL && map->target_count >= CMAP_TARGETS_MAX)
		return fail(ENOSPC);
	if (known != NULL && known->boot > req->boot)
		return fail(ERR_late_copy);
	struct target_change change = {
		.kind = req->kind,
		.state = known != NULL && known->boot == req->boot ? known->state : TARGET_RECOVERING,
		.index = req->index,
		.store_hi = req->store_hi,
		.store_lo = req->store_lo,
		.boot = req->boot,
		.address = arena_printf(&call->arena, "%.*s", (int)req->address.len, req->address.ptr),
	};
	int rc = change_map(mds, change_target, &change);
	if (rc < 0 || change.copied)
		return rc < 0 ? rc : fail(ERR_wrong_target);
	beaten(mds->mgs, req->kind, req->index);
	struct wire_out out = wire_out(arena_alloc(&call->arena, WIRE_BLOB_BYTES_MAX), WIRE_BLOB_BYTES_MAX);
	cmap_encode(mds->map, &out);
	rep->cluster_hi = mds->map->cluster_hi;
	rep->cluster_lo = mds->map->cluster_lo;
	rep->epoch = mds->map->epoch;
	rep->map = blob_of(out.base, wire_len(&out));
	return out.err;
}

static int target_beat(struct mds *mds, const struct target_beat_req *req, struct target_beat_rep *rep)
{
	const struct cmap_target *known = cmap_find(mds->map, req->kind, req->index);
	if (known == NULL || known->boot != req->boot || req->state > TARGET_UP)
		return fail(ERR_wrong_target); /* register first */
	beaten(mds->mgs, req->kind, req->index);
	if (req->kind == TARGET_OST && req->index < mds->ost_count) {
		mds->osts[req->index].total_bytes = req->total_bytes;
		mds->osts[req->index].available_bytes = req->available_bytes;
	}
	if (known->state != req->state) {
		struct target_change change = {.kind = req->kind, .state = req->state, .index = req->index, .boot = req->boot};
		int rc = change_map(mds, change_target, &change);
		if (rc < 0)
			return rc;
	}
	rep->epoch = mds->map->epoch;
	return 0;
}

static int map_get(struct mds *mds, struct rpc_call *call, const struct map_get_req *req, struct map_get_rep *rep)
{
	rep->epoch = mds->map->epoch;
	if (req->epoch >= mds->map->epoch)
		return 0;
	struct wire_out out = wire_out(arena_alloc(&call->arena, WIRE_BLOB_BYTES_MAX), WIRE_BLOB_BYTES_MAX);
	cmap_encode(mds->map, &out);
	rep->map = blob_of(out.base, wire_len(&out));
	return out.err;
}

/* ---- watching ------------------------------------------------------------------------------------------------- */

/* One silent target or client, told apart anew after every park: the sets change meanwhile. */
static bool down_one_target(struct mgs *mgs, uint64_t now_ns)
{
	struct mds *mds = mgs->mds;
	for (uint32_t i = 0; i < mds->map->target_count; i++) {
		const struct cmap_target *target = &mds->map->targets[i];
		if (target->state == TARGET_DOWN || (target->kind == TARGET_MDT && target->index == mds->sb.index) ||
		    target->index >= CMAP_TARGETS_MAX)
			continue;
		uint64_t seen_ns = max_u64(mgs->beats[target->kind - 1][target->index].seen_ns, mgs->started_ns);
		if (now_ns < seen_ns + BEAT_LOST_NS)
			continue;
		char name[40];
		cmap_target_name(mds->map, target, name);
		mds_log(mds, LOG_LEVEL_WARN, "mgs", "a target is silent: no new files go there until it is back", name, 0);
		struct target_change change = {.kind = target->kind, .state = TARGET_DOWN, .index = target->index, .boot = target->boot};
		return change_map(mds, change_target, &change) == 0;
	}
	return false;
}

static bool evict_one_client(struct mgs *mgs, uint64_t now_ns)
{
	list_for_each(node, &mgs->by_id) {
		struct mgs_client *client = CONTAINER_OF(node, struct mgs_client, order);
		if (!client->evicting && now_ns > client->seen_ns + mgs->mds->conf.lease_ns)
			return evict(mgs->mds, client, "a client is evicted: it has not renewed its lease") == 0;
	}
	return false;
}

static void watch_task(void *arg)
{
	struct mds *mds = arg;
	while (!mds->stopping && mds->txn.failed == 0) {
		task_sleep(mds->env->loop, min_u64(mds->conf.lease_ns / 8, NS_PER_S));
		while (!mds->stopping && (evict_one_client(mds->mgs, env_now_ns(mds->env)) || down_one_target(mds->mgs, env_now_ns(mds->env))))
			;
	}
}

void mgs_start(struct mds *mds)
{
	mgs_set_own_state(mds);
	task_spawn(mds->env->loop, "watch", watch_task, mds);
}

int mgs_serve(struct mds *mds, struct rpc_call *call, const void *req, void *rep)
{
	if (mds->mgs == NULL)
		return fail(EPERM); /* ask the MDT that embeds it */
	switch (call->op->number) {
	case OP_map_get:
		return map_get(mds, call, req, rep);
	case OP_client_join:
		return client_join(mds, req, rep);
	case OP_client_renew:
		return client_renew(mds, req, rep);
	case OP_client_leave:
		return client_leave(mds, call, req);
	case OP_client_list:
		return client_list(mds, call, req, rep);
	case OP_client_evict:
		return client_evict(mds, call, req, rep);
	case OP_target_register:
		return target_register(mds, call, req, rep);
	case OP_target_beat:
		return target_beat(mds, req, rep);
	default:
		return fail(ERR_unknown_op);
	}
}

void mgs_status(struct mds *mds, struct json_out *json)
{
	json_object_begin(json, "mgs");
	json_u64(json, "clients", mds->mgs->clients.count);
	json_array_begin(json, "targets");
	for (uint32_t i = 0; i < mds->map->target_count; i++) {
		const struct cmap_target *target = &mds->map->targets[i];
		char name[40];
		cmap_target_name(mds->map, target, name);
		uint64_t seen_ns = target->index < CMAP_TARGETS_MAX ? mds->mgs->beats[target->kind - 1][target->index].seen_ns : 0;
		bool own = target->kind == TARGET_MDT && target->index == mds->sb.index;
		json_object_begin(json, NULL);
		json_str(json, "name", str_of(name));
		json_u64(json, "silent_ms", own ? 0 : (env_now_ns(mds->env) - max_u64(seen_ns, mds->mgs->started_ns)) / NS_PER_MS);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}
