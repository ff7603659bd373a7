/* SPDX-License-Identifier: Apache-2.0
 * An MDT with the MGS in it and two OSTs of a page each, for tests of the client alone: one directory, eight files, and objects that
 * lose what was not committed when their node restarts. They believe what they are told; repeated requests are applied again. */
#ifndef STRIA_TESTS_FAKE_SERVERS_H
#define STRIA_TESTS_FAKE_SERVERS_H

#include "common/base/check.h"
#include "common/base/crc.h"
#include "common/base/err.h"
#include "common/cluster/cmap.h"
#include "common/cluster/layout.h"
#include "common/core/rpc.h"
#include "proto/rows.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <sys/stat.h>

enum { FILES_MAX = 8, OSTS = 2, OBJECT_BYTES = 4 << 20, SLOT_BYTES = 65536, SLOTS = 64 };

struct fake_file {
	char name[32];
	struct attr attr;
	uint32_t opens, closes, reclaims;
};
struct fake_object {
	uint64_t size_bytes;
	uint8_t *bytes;
};
/* What survives a restart is here, outside the nodes' heaps. */
struct fake_ost {
	struct sim_node *node;
	uint16_t index;
	struct fake_object now[FILES_MAX], stable[FILES_MAX];
	uint64_t order;
	bool recovering;
	uint32_t replays, replays_done, graced;
	uint64_t epoch; /* that the newest write has carried */
	uint64_t empty_late_ns; /* it says that objects are empty, by so much later; 0: what is true */
	int commit_rc; /* given instead of an answer, once */
	/* of this life */
	struct rpc_identity identity;
	struct rpc *rpc;
	struct net_mr *mr;
	uint8_t *staging; /* SLOTS of them, used in turn: no more transfers are in flight */
	size_t next_slot;
};
struct fake_cluster {
	struct world *world;
	struct sim_node *mdt;
	struct fake_file files[FILES_MAX];
	uint32_t set_sizes, leaves, forgets, joins;
	uint64_t grants; /* of leases */
	int set_size_rc; /* given instead of an answer, once */
	uint64_t set_size_late_ns; /* by so much later, that once */
	bool others_wrote; /* getattr: the size is at the objects, and others have written; here it is 0 */
	bool evicting;   /* client 7 is evicted; who joins then is 8 */
	struct rpc_identity identity;
	struct fake_ost osts[OSTS];
};

static struct blob fake_layout(struct arena *arena)
{
	struct layout wanted, layout;
	static const uint16_t osts[OSTS] = {0, 1};
	layout_init_wanted(&wanted, OSTS, 65536, STRIPE_INDEX_ANY);
	CHECK(layout_place(&wanted, osts, OSTS, 0, &layout) == 0);
	uint8_t *bytes = arena_alloc(arena, WIRE_BYTES_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BYTES_BYTES_MAX);
	layout_encode(&layout, &out);
	return blob_of(bytes, wire_len(&out));
}

static struct blob fake_map(struct arena *arena)
{
	struct cmap *map = cmap_new();
	map->epoch = 1;
	map->cluster_hi = map->cluster_lo = 5;
	memcpy(map->fsname, "stria", 6);
	map->shard_count = 1;
	for (uint32_t i = 0; i <= OSTS; i++) {
		struct cmap_target *target = cmap_add_target(map, i == 0 ? TARGET_MDT : TARGET_OST, i == 0 ? 0 : i - 1);
		target->state = TARGET_UP;
		(void)snprintf(target->address, sizeof(target->address), "tcp://s%u:1", i);
	}
	uint8_t *bytes = arena_alloc(arena, WIRE_BLOB_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BLOB_BYTES_MAX);
	cmap_encode(map, &out);
	cmap_free(map);
	return blob_of(bytes, wire_len(&out));
}

static struct fake_file *fake_file(struct fake_cluster *cluster, struct ino ino)
{
	return ino.v >= 2 && ino.v < 2 + FILES_MAX ? &cluster->files[ino.v - 2] : NULL;
}

static void fake_take_size(struct fake_file *file, uint64_t size_bytes, int64_t mtime_ns)
{
	file->attr.size_bytes = max_u64(file->attr.size_bytes, size_bytes);
	if (mtime_ns > INT64_MIN) /* else the client knows no newer one */
		file->attr.mtime_ns = mtime_ns;
}

static int fake_create(struct fake_cluster *cluster, struct rpc_call *call, const struct create_req *req, struct create_rep *rep)
{
	for (uint64_t i = 0; i < FILES_MAX; i++) {
		struct fake_file *file = &cluster->files[i];
		if (file->attr.ino.v == 0) {
			(void)snprintf(file->name, sizeof(file->name), "%.*s", (int)req->name.len, req->name.ptr);
			file->attr = (struct attr){.ino = {i + 2}, .mode = S_IFREG | 0644, .nlink = 1, .size_gen = 1};
		} else if (!str_eq(str_of(file->name), req->name)) {
			continue;
		}
		file->opens++;
		rep->attr = file->attr;
		rep->attr.flags = ATTR_SIZE_AT_OBJECTS | ATTR_WRITERS_SELF;
		rep->layout = fake_layout(&call->arena);
		return 0;
	}
	return -ENOSPC;
}

/* There is one client: whatever it asks for is free. */
static int fake_lease_get(struct fake_cluster *cluster, struct rpc_call *call, const struct lease_get_req *req, struct lease_get_rep *rep)
{
	struct fake_file *file = fake_file(cluster, req->ino);
	if (file == NULL)
		return -ESTALE;
	rep->attr = file->attr;
	rep->attr.flags = ATTR_SIZE_AT_OBJECTS | ATTR_WRITERS_SELF;
	rep->lease = (struct lease){.number = ++cluster->grants, .data_mode = req->mode};
	rep->has_data = DATA_AT_OBJECTS;
	rep->layout = fake_layout(&call->arena);
	return 0;
}

static int fake_set_size(struct fake_cluster *cluster, const struct set_size_req *req, struct set_size_rep *rep)
{
	struct fake_file *file = fake_file(cluster, req->ino);
	int rc = cluster->set_size_rc;
	cluster->set_size_rc = 0;
	cluster->set_sizes++;
	if (rc < 0) {
		file->attr.size_gen++; /* somebody truncated it */
		if (cluster->set_size_late_ns > 0)
			task_sleep(sim_node_loop(cluster->mdt), cluster->set_size_late_ns);
		return rc;
	}
	if (req->size_gen != file->attr.size_gen)
		return -ERR_stale_layout;
	fake_take_size(file, req->size_bytes, req->mtime_ns);
	rep->attr = file->attr;
	return 0;
}

static int fake_reclaim(struct fake_cluster *cluster, const struct reclaim_req *req)
{
	struct wire_in in = wire_in(req->rows);
	if (req->kind != RECLAIM_OPENS)
		return 0;
	while (wire_left(&in) > 0)
		fake_file(cluster, reclaim_row_get(&in).ino)->reclaims++;
	return wire_done(&in);
}

static int fake_mdt_serve(void *ctx, struct rpc_call *call, const void *any_req, void *any_rep)
{
	struct fake_cluster *cluster = ctx;
	switch (call->op->number) {
	case OP_client_join:
		cluster->joins++;
		*(struct client_join_rep *)any_rep = (struct client_join_rep){cluster->evicting ? 8 : 7, 30000, 1};
		return 0;
	case OP_map_get:
		*(struct map_get_rep *)any_rep = (struct map_get_rep){1, fake_map(&call->arena)};
		return 0;
	case OP_client_renew:
		if (cluster->evicting && call->frame.client == 7)
			return -ERR_evicted;
		*(struct client_renew_rep *)any_rep = (struct client_renew_rep){1, 30000};
		return 0;
	case OP_client_leave:
		cluster->leaves++;
		return 0;
	case OP_forget_client:
		cluster->forgets++;
		return 0;
	case OP_reclaim:
		return fake_reclaim(cluster, any_req);
	case OP_create:
		return fake_create(cluster, call, any_req, any_rep);
	case OP_lease_get:
		return fake_lease_get(cluster, call, any_req, any_rep);
	case OP_set_size:
		return fake_set_size(cluster, any_req, any_rep);
	case OP_close: {
		const struct close_req *req = any_req;
		struct fake_file *file = fake_file(cluster, req->ino);
		if ((req->flags & SIZE_VALID) != 0 && req->size_gen != file->attr.size_gen)
			return -ERR_stale_layout;
		file->closes++;
		if (req->flags & SIZE_VALID)
			fake_take_size(file, req->size_bytes, req->mtime_ns);
		return 0;
	}
	case OP_getattr: {
		struct ino ino = ((const struct getattr_req *)any_req)->ino;
		struct fake_file *file = fake_file(cluster, ino);
		struct getattr_rep *rep = any_rep;
		rep->attr = file != NULL ? file->attr : (struct attr){.ino = ino, .mode = S_IFDIR | 0755};
		if (file != NULL && cluster->others_wrote) {
			rep->attr.size_bytes = 0;
			rep->attr.flags = ATTR_SIZE_AT_OBJECTS;
			return 0;
		}
		if (file != NULL && file->opens > file->closes)
			rep->attr.flags = ATTR_SIZE_AT_OBJECTS | ATTR_WRITERS_SELF;
		return 0;
	}
	case OP_setattr: {
		const struct setattr_req *req = any_req;
		struct fake_file *file = fake_file(cluster, req->ino);
		if (req->valid & SET_SIZE) {
			file->attr.size_bytes = req->size_bytes;
			file->attr.size_gen++;
		}
		if (req->valid & SET_MTIME)
			file->attr.mtime_ns = req->mtime_ns;
		((struct setattr_rep *)any_rep)->attr = file->attr;
		return 0;
	}
	default:
		return -EOPNOTSUPP;
	}
}

static void fake_serve(struct sim_node *node, struct rpc_identity *identity, struct rpc_server_ops *ops, void *ctx, uint32_t number)
{
	char address[32], real[NET_ADDR_BYTES_MAX];
	identity->state = TARGET_UP;
	identity->cluster_hi = identity->cluster_lo = 5;
	identity->boot = sim_node_incarnation(node);
	identity->epoch = 1;
	struct rpc *rpc = rpc_new(sim_node_env(node), identity, ops, ctx, NULL);
	(void)snprintf(address, sizeof(address), "tcp://s%u:1", number);
	CHECK(rpc_listen(rpc, address, real) == 0);
}

static void fake_mdt_main(struct sim_node *node, void *ctx)
{
	static struct rpc_server_ops ops = {.serve = fake_mdt_serve};
	struct fake_cluster *cluster = ctx;
	cluster->identity = (struct rpc_identity){.role = ROLE_MDT, .kind = TARGET_MDT};
	fake_serve(node, &cluster->identity, &ops, cluster, 0);
}

/* ---- OST ---------------------------------------------------------------------------------------------------------- */

static struct fake_object *fake_object(struct fake_ost *ost, struct ino ino)
{
	return &ost->now[ino.v - 2];
}

static size_t fake_slot(struct fake_ost *ost)
{
	return (ost->next_slot++ % SLOTS) * SLOT_BYTES;
}

static int fake_write(struct fake_ost *ost, struct rpc_call *call, const struct obj_write_req *req, struct obj_write_rep *rep)
{
	if (ost->recovering && req->replay.verifier == 0) {
		ost->graced++;
		return -ERR_grace;
	}
	uint8_t *data = mem_alloc(req->len);
	struct net *net = sim_node_env(ost->node)->net;
	int rc = 0;
	if (req->source.len > 0) {
		size_t at = fake_slot(ost);
		rc = net->ops->rma_read(call->conn, ost->mr, at, req->source, req->len);
		memcpy(data, ost->staging + at, req->len);
	} else {
		memcpy(data, req->data.ptr, req->len);
	}
	if (rc == 0 && crc32c(0, data, req->len) != req->crc)
		rc = -ERR_corrupt;
	if (rc == 0) {
		struct fake_object *object = fake_object(ost, req->ino);
		memcpy(object->bytes + req->offset, data, req->len);
		object->size_bytes = max_u64(object->size_bytes, req->offset + req->len);
		ost->replays += req->replay.verifier != 0;
		rep->order = (struct write_order){ost->identity.boot, ++ost->order};
	}
	mem_free(data);
	return rc;
}

static int fake_read(struct fake_ost *ost, struct rpc_call *call, const struct obj_read_req *req, struct obj_read_rep *rep)
{
	struct fake_object *object = fake_object(ost, req->ino);
	uint64_t end = min_u64(object->size_bytes, req->offset + req->len);
	rep->len = end > req->offset ? (uint32_t)(end - req->offset) : 0;
	rep->crc = crc32c(0, object->bytes + req->offset, rep->len);
	if (req->dest.len == 0) {
		rep->data = blob_of(arena_dup(&call->arena, object->bytes + req->offset, rep->len), rep->len);
		return 0;
	}
	size_t at = fake_slot(ost);
	memcpy(ost->staging + at, object->bytes + req->offset, rep->len);
	return rep->len > 0 ? rpc_call_push(call, ost->mr, at, req->dest, rep->len) : 0;
}

static int fake_ost_serve(void *ctx, struct rpc_call *call, const void *any_req, void *any_rep)
{
	struct fake_ost *ost = ctx;
	switch (call->op->number) {
	case OP_obj_write:
		ost->epoch = call->frame.epoch;
		return fake_write(ost, call, any_req, any_rep);
	case OP_obj_read:
		return ost->recovering ? -ERR_grace : fake_read(ost, call, any_req, any_rep);
	case OP_obj_commit: {
		const struct obj_commit_req *req = any_req;
		int rc = ost->commit_rc;
		ost->commit_rc = 0;
		if (rc < 0)
			return rc;
		struct fake_object *now = fake_object(ost, req->ino), *stable = &ost->stable[req->ino.v - 2];
		memcpy(stable->bytes, now->bytes, now->size_bytes);
		stable->size_bytes = now->size_bytes;
		((struct obj_commit_rep *)any_rep)->order = (struct write_order){ost->identity.boot, ost->order};
		return 0;
	}
	case OP_obj_stat: {
		const struct obj_stat_req *req = any_req;
		uint8_t *bytes = arena_alloc(&call->arena, FILES_MAX * OBJECT_STAT_ROW_BYTES);
		struct wire_out out = wire_out(bytes, FILES_MAX * OBJECT_STAT_ROW_BYTES);
		struct wire_in in = wire_in(req->objects);
		uint64_t late_ns = ost->empty_late_ns;
		if (late_ns > 0)
			task_sleep(sim_node_loop(ost->node), late_ns);
		while (wire_left(&in) > 0) {
			struct fake_object *object = fake_object(ost, object_row_get(&in).ino);
			object_stat_row_put(&out, &(struct object_stat_row){late_ns > 0 ? 0 : object->size_bytes, 4096, 1});
		}
		((struct obj_stat_rep *)any_rep)->stats = blob_of(bytes, wire_len(&out));
		return 0;
	}
	case OP_replay_done:
		ost->recovering = false;
		ost->replays_done++;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void fake_ost_main(struct sim_node *node, void *ctx)
{
	static struct rpc_server_ops ops = {.serve = fake_ost_serve};
	struct fake_ost *ost = ctx;
	struct net *net = sim_node_env(node)->net;
	ost->recovering = sim_node_incarnation(node) > 1;
	ost->order = 0;
	for (size_t i = 0; i < FILES_MAX; i++) {
		memset(ost->now[i].bytes, 0, OBJECT_BYTES);
		memcpy(ost->now[i].bytes, ost->stable[i].bytes, ost->stable[i].size_bytes);
		ost->now[i].size_bytes = ost->stable[i].size_bytes;
	}
	ost->staging = mem_alloc_aligned(4096, SLOTS * SLOT_BYTES);
	CHECK(net->ops->mr_open(net, ost->staging, SLOTS * SLOT_BYTES, NET_ACCESS_LOCAL, &ost->mr) == 0);
	ost->identity = (struct rpc_identity){.role = ROLE_OST, .kind = TARGET_OST, .index = ost->index};
	fake_serve(node, &ost->identity, &ops, ost, ost->index + 1U);
}

static inline void fake_cluster_start(struct fake_cluster *cluster, struct world *world)
{
	static const char *const names[OSTS] = {"ost0", "ost1"};
	*cluster = (struct fake_cluster){.world = world};
	cluster->mdt = sim_node_new(world, "mdt", SIM_DISK, fake_mdt_main, cluster);
	sim_node_boot(cluster->mdt);
	for (uint16_t i = 0; i < OSTS; i++) {
		struct fake_ost *ost = &cluster->osts[i];
		ost->index = i;
		for (size_t j = 0; j < FILES_MAX; j++) {
			ost->now[j].bytes = mem_alloc(OBJECT_BYTES);
			ost->stable[j].bytes = mem_alloc(OBJECT_BYTES);
		}
		ost->node = sim_node_new(world, names[i], SIM_DISK, fake_ost_main, ost);
		sim_node_boot(ost->node);
	}
}

static inline void fake_cluster_free(struct fake_cluster *cluster)
{
	for (size_t i = 0; i < OSTS; i++) {
		for (size_t j = 0; j < FILES_MAX; j++) {
			mem_free(cluster->osts[i].now[j].bytes);
			mem_free(cluster->osts[i].stable[j].bytes);
		}
	}
}

#endif
