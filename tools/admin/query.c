/* SPDX-License-Identifier: Apache-2.0
 * The questions. They run in tasks; all targets are asked at once, so one that hangs costs its time-out once. */
#include "tools/admin/admin.h"
#include "common/base/check.h"
#include "common/core/loop.h"
#include "proto/rows.h"

#include <inttypes.h>
#include <stdio.h>

static struct rpc_args args_of(const struct admin *admin, struct arena *arena)
{
	return (struct rpc_args){.arena = arena, .timeout_ns = admin->timeout_ns};
}

static void complain(const struct admin *admin, const char *what, int rc)
{
	fprintf(stderr, "stria-admin: %s: %s: %s: %s; %s\n", what, admin->mgs, err_name(rc), err_text(rc),
		err_is(rc, ERR_evicted) || err_is(rc, EPERM) ? "use an address of an MDT with the management service"
							     : "is its stria-mds running? --mgs names another address");
}

int admin_fetch_map(struct admin *admin)
{
	admin->mgs_peer = rpc_peer_new(admin->rpc, admin->mgs);
	struct map_get_rep rep;
	struct rpc_args args = args_of(admin, &admin->arena);
	int rc = rpc_map_get(admin->mgs_peer, &(struct map_get_req){0}, &rep, &args);
	if (rc == 0)
		rc = cmap_decode(rep.map, &admin->map);
	if (rc < 0)
		complain(admin, "cannot fetch the cluster map", rc);
	return rc;
}

struct probe_task {
	struct admin *admin;
	struct probe *probe;
};

static void ask_space(struct admin *admin, struct probe *probe, struct rpc_peer *peer)
{
	struct rpc_args args = args_of(admin, NULL);
	if (probe->target->kind == TARGET_OST) {
		struct ost_statfs_rep rep;
		if (rpc_ost_statfs(peer, &(struct ost_statfs_req){0}, &rep, &args) < 0)
			return; /* unknown space is shown as such */
		probe->total_bytes = rep.total_bytes;
		probe->available_bytes = rep.available_bytes;
	} else {
		struct statfs_rep rep;
		if (rpc_statfs(peer, &(struct statfs_req){0}, &rep, &args) < 0)
			return;
		probe->total_bytes = rep.total_bytes;
		probe->available_bytes = rep.available_bytes;
	}
}

static void ask_status(struct admin *admin, struct probe *probe, struct rpc_peer *peer)
{
	struct arena arena;
	arena_init(&arena);
	struct rpc_args args = args_of(admin, &arena);
	struct status_rep rep;
	if (rpc_status(peer, &(struct status_req){0}, &rep, &args) == 0)
		probe->status = json_loadb((const char *)rep.json.ptr, rep.json.len, 0, NULL);
	arena_fini(&arena);
}

static void probe_run(void *arg)
{
	struct probe_task *task = arg;
	struct admin *admin = task->admin;
	struct probe *probe = task->probe;
	mem_free(task);
	if (probe->target->address[0] == '\0') {
		probe->rc = -ERR_not_ready; /* it has never registered */
	} else {
		struct rpc_peer *peer = rpc_peer_new(admin->rpc, probe->target->address);
		struct ping_rep rep = {0};
		struct rpc_args args = args_of(admin, NULL);
		probe->rc = rpc_ping(peer, &(struct ping_req){0}, &rep, &args);
		if (probe->rc == 0) { /* again, without the time to connect */
			uint64_t start_ns = loop_now_ns(admin->loop);
			probe->rc = rpc_ping(peer, &(struct ping_req){0}, &rep, &args);
			probe->rtt_ns = loop_now_ns(admin->loop) - start_ns;
		}
		if (probe->rc == 0) {
			probe->state = rep.state;
			ask_space(admin, probe, peer);
			ask_status(admin, probe, peer);
		}
		rpc_peer_free(peer);
	}
	admin->probes_left--;
}

int admin_probe_targets(struct admin *admin)
{
	admin->probes = mem_alloc(admin->map->target_count * sizeof(*admin->probes) + 1);
	admin->probes_left = admin->map->target_count;
	for (uint32_t i = 0; i < admin->map->target_count; i++) {
		struct probe *probe = &admin->probes[i];
		probe->target = &admin->map->targets[i];
		cmap_target_name(admin->map, probe->target, probe->name);
		struct probe_task *task = mem_alloc(sizeof(*task));
		*task = (struct probe_task){admin, probe};
		task_spawn(admin->loop, "probe", probe_run, task);
	}
	while (admin->probes_left > 0)
		task_sleep(admin->loop, NS_PER_MS);
	return 0;
}

static json_t *text_json(struct str text)
{
	json_t *json = json_stringn(text.ptr, text.len);
	return json != NULL ? json : json_string("?"); /* a host or mount point that is no UTF-8 */
}

/* "dirty" is null while nobody knows: the management service has started since the client's last renewal. */
static void add_client(struct admin *admin, const struct client_row *row)
{
	json_t *leases = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "attr", (json_int_t)row->attr_leases, "dir", (json_int_t)row->dir_leases,
				   "CR", (json_int_t)row->data_leases[LEASE_CR], "CW", (json_int_t)row->data_leases[LEASE_CW], "PR",
				   (json_int_t)row->data_leases[LEASE_PR], "PW", (json_int_t)row->data_leases[LEASE_PW]);
	json_t *dirty = row->has_told ? json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)row->dirty_bytes, "files",
						  (json_int_t)row->dirty_files, "age_ms", (json_int_t)row->idle_ms)
				      : json_null();
	json_t *client = json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:o}", "id", (json_int_t)row->client, "host", text_json(row->host),
				   "mountpoint", text_json(row->mountpoint), "pid", (json_int_t)row->pid, "idle_ms",
				   (json_int_t)row->idle_ms, "opens", (json_int_t)row->opens, "leases", leases, "writer_marks",
				   (json_int_t)row->writer_marks, "locks", (json_int_t)row->locks, "dirty", dirty);
	CHECK(json_array_append_new(admin->clients, client) == 0);
}

int admin_fetch_clients(struct admin *admin)
{
	admin->clients = json_array();
	uint64_t after = 0;
	for (bool end = false; !end && json_array_size(admin->clients) < ADMIN_CLIENTS_MAX;) {
		struct client_list_rep rep;
		struct rpc_args args = args_of(admin, &admin->arena);
		int rc = rpc_client_list(admin->mgs_peer, &(struct client_list_req){.after = after}, &rep, &args);
		if (rc < 0) {
			complain(admin, "cannot list the clients", rc);
			return rc;
		}
		end = rep.end != 0 || rep.clients.len == 0;
		for (struct wire_in in = wire_in(rep.clients); wire_left(&in) > 0;) {
			struct client_row row = client_row_get(&in);
			if (in.err != 0)
				return in.err;
			after = row.client;
			add_client(admin, &row);
		}
	}
	return 0;
}

int admin_evict(struct admin *admin, uint64_t client, uint64_t *ret_epoch)
{
	struct client_evict_rep rep;
	struct rpc_args args = args_of(admin, NULL);
	int rc = rpc_client_evict(admin->mgs_peer, &(struct client_evict_req){.client = client}, &rep, &args);
	if (rc == 0)
		*ret_epoch = rep.epoch;
	else
		complain(admin, "cannot evict the client", rc);
	return rc;
}

void admin_fini(struct admin *admin)
{
	for (uint32_t i = 0; admin->probes != NULL && i < admin->map->target_count; i++)
		json_decref(admin->probes[i].status);
	mem_free(admin->probes);
	json_decref(admin->clients);
	cmap_free(admin->map);
	arena_fini(&admin->arena);
}
