/* SPDX-License-Identifier: Apache-2.0
 * A mount's life: made, started, stopped, freed. It owns the struct client; what happens in between is the other files'. */
#include "client/client_impl.h"

#include <stdio.h>

#define ATTEMPT_NS_DEFAULT (5 * NS_PER_S)
#define LEAVE_ATTEMPT_NS (2 * NS_PER_S)
#define LEAVE_RETRY_NS   (50 * NS_PER_MS)
#define END_GRACE_NS     (1 * NS_PER_S) /* for tasks to notice that all is over */

enum { LEASES_DEFAULT = 131072, BUFFERS_DEFAULT = 160, INLINE_BYTES_DEFAULT = 16 * 1024 };
#define UNSTABLE_BYTES_DEFAULT (96 * MIB)
#define AHEAD_BYTES_DEFAULT    (4 * MIB)
#define DIRTY_BYTES_DEFAULT    (64 * MIB)
#define TTL_DEFAULT_NS         (1 * NS_PER_S)

static void apply_defaults(struct client_conf *conf)
{
	if (conf->buffers == 0)
		conf->buffers = BUFFERS_DEFAULT;
	if (conf->unstable_bytes_max == 0)
		conf->unstable_bytes_max = UNSTABLE_BYTES_DEFAULT;
	if (conf->ahead_bytes_max == 0)
		conf->ahead_bytes_max = AHEAD_BYTES_DEFAULT;
	if (conf->dirty_bytes_max == 0)
		conf->dirty_bytes_max = DIRTY_BYTES_DEFAULT;
	if (conf->dirty_file_bytes_max == 0)
		conf->dirty_file_bytes_max = conf->dirty_bytes_max / 2;
	if (conf->inline_bytes_max == 0)
		conf->inline_bytes_max = INLINE_BYTES_DEFAULT;
	conf->inline_bytes_max = (uint32_t)min_u64(conf->inline_bytes_max, INLINE_BYTES_MAX);
	if (conf->attempt_ns == 0)
		conf->attempt_ns = ATTEMPT_NS_DEFAULT;
	if (conf->attr_ttl_ns == 0)
		conf->attr_ttl_ns = TTL_DEFAULT_NS;
	if (conf->leases_max == 0)
		conf->leases_max = LEASES_DEFAULT;
	if (conf->entry_ttl_ns == 0)
		conf->entry_ttl_ns = TTL_DEFAULT_NS;
}

static void init_containers(struct client *client)
{
	list_init(&client->targets);
	list_init(&client->opnos);
	list_init(&client->dirty_nodes);
	list_init(&client->atime_nodes);
	list_init(&client->uobjects_by_age);
	list_init(&client->leased_nodes);
	list_init(&client->writing_nodes);
	list_init(&client->lock_owners);
	list_init(&client->small_nodes);
	waitq_init(&client->small_room);
	waitq_init(&client->publish_wanted);
	map_init(&client->extents);
	list_init(&client->extents_by_age);
	list_init(&client->aheads);
	list_init(&client->extents_idle);
	list_init(&client->extents_due);
	list_init(&client->extents_stuck);
	waitq_init(&client->flush_wanted);
	waitq_init(&client->behind_room);
	list_init(&client->lease_tombs);
	list_init(&client->lease_calls);
	map_init(&client->nodes);
	map_init(&client->uobjects);
	waitq_init(&client->joined_q);
	waitq_init(&client->refreshed);
	waitq_init(&client->end);
	waitq_init(&client->commit_wanted);
	waitq_init(&client->idle);
	waitq_init(&client->buf_waiters);
}

struct client *client_new(struct env *env, const struct client_conf *conf)
{
	static const struct rpc_server_ops ops = {.serve = client_serve, .newer_epoch = session_newer_epoch};
	struct client *client = mem_alloc(sizeof(*client));
	client->env = env;
	client->conf = *conf;
	apply_defaults(&client->conf);
	client->mgs_address = mem_strdup(conf->mgs);
	client->fsname = mem_strdup(conf->fsname);
	client->host = mem_strdup(conf->host != NULL ? conf->host : "");
	client->mountpoint = mem_strdup(conf->mountpoint != NULL ? conf->mountpoint : "");
	init_containers(client);
	client->next_opno = client->next_handle = client->next_waiter = 1;
	client->changes = 1;
	client->uuid_hi = env_random_u64(env);
	client->uuid_lo = env_random_u64(env);
	client->identity = (struct rpc_identity){.role = ROLE_CLIENT, .boot = env_random_u64(env), .lowest = client->next_opno};
	client->rpc = rpc_new(env, &client->identity, &ops, client, NULL);
	client->mgs = rpc_peer_new(client->rpc, client->mgs_address);
	(void)node_get(client, INO_ROOT); /* the kernel has it for as long as the mount lives, without ever having looked it up */
	return client;
}

int client_start(struct client *client)
{
	int rc = client_bufs_init(client, client->conf.buffers);
	if (rc == 0)
		rc = session_join(client);
	if (rc < 0)
		return rc;
	client->joined = true;
	waitq_wake_all(&client->joined_q);
	session_start_tasks(client);
	struct getattr_req req = {.ino = INO_ROOT};
	struct getattr_rep rep;
	int first;
	do /* evicted before it began (a slow network, a short lease): nothing is lost, and the session joins anew */
		first = session_mdt_call(client, INO_ROOT, &(struct call){.op = OP_getattr, .req = &req, .rep = &rep});
	while (first == -ERR_evicted);
	return first;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void save_task(void *arg)
{
	struct client *client = arg;
	(void)behind_save_all(client, NULL); /* what cannot be saved was logged and counted where it failed */
	(void)attr_publish_all(client, NULL);
	(void)atime_send_all(client, NULL);
	file_close_all(client);
	session_task_done(client);
}

static void forget_at_mdts(struct client *client, uint64_t deadline_ns)
{
	list_for_each(at, &client->targets) {
		struct target *target = CONTAINER_OF(at, struct target, link);
		uint64_t now_ns = env_now_ns(client->env);
		if (target->kind != TARGET_MDT || now_ns >= deadline_ns)
			continue;
		struct forget_client_req req = {0};
		struct forget_client_rep rep;
		struct rpc_args args = {.timeout_ns = min_u64(deadline_ns - now_ns, LEAVE_ATTEMPT_NS)};
		(void)rpc_forget_client(target->peer, &req, &rep, &args); /* otherwise it learns from the MGS */
	}
}

static int leave(struct client *client, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now_ns = env_now_ns(client->env);
		if (now_ns >= deadline_ns || client->ended)
			return fail(ETIMEDOUT);
		struct client_leave_req req = {.client = client->identity.client};
		struct client_leave_rep rep;
		int rc = rpc_client_leave(client->mgs, &req, &rep,
					  &(struct rpc_args){.timeout_ns = min_u64(deadline_ns - now_ns, LEAVE_ATTEMPT_NS)});
		if (!err_is(rc, ERR_retry))
			return rc;
		task_sleep(client_loop(client), LEAVE_RETRY_NS);
	}
}

static void wait_for_tasks(struct client *client, bool daemons, uint64_t deadline_ns)
{
	while ((client->tasks > 0 || (daemons && client->daemons > 0)) && env_now_ns(client->env) < deadline_ns)
		(void)waitq_wait(&client->idle, client_loop(client), deadline_ns); /* the loop's condition looks at the time */
}

/* Which files, as far as a line goes. */
static void say_unsaved(struct client *client)
{
	enum { LISTED_MAX = 8 };
	uint64_t inos[LISTED_MAX];
	char text[LISTED_MAX * INO_TEXT_BYTES] = "";
	uint32_t files = unstable_files(client, inos, LISTED_MAX);
	for (size_t i = 0, used = 0; i < min_u64(files, LISTED_MAX); i++) {
		char fid[INO_TEXT_BYTES];
		ino_to_text((struct ino){inos[i]}, fid);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "", fid); /* fits */
	}
	log_line(client->conf.log, LOG_LEVEL_ERROR, "client", "unsaved_bytes=%llu files=%u fids=\"%s\" did=\"unmounted without having saved everything\"",
		 (unsigned long long)client_unsaved_bytes(client), files + (uint32_t)client->small_dirty_files, text);
}

int client_stop(struct client *client, uint64_t deadline_ns)
{
	int rc = 0;
	client->stopping = true;
	lock_wake_all(client);
	if (client->joined) {
		session_spawn(client, "save", save_task, client);
		wait_for_tasks(client, false, deadline_ns);
		bool saved = client->tasks == 0 && !client->ended && client->behind_bytes == 0;
		if (saved)
			forget_at_mdts(client, deadline_ns);
		rc = saved ? leave(client, deadline_ns) : fail(ETIMEDOUT);
		if (!saved)
			say_unsaved(client);
	}
	session_end(client);
	wait_for_tasks(client, true, env_now_ns(client->env) + END_GRACE_NS);
	return rc;
}

static void free_nodes(struct client *client)
{
	struct map_iter iter = map_iter_begin(&client->nodes);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		struct list_node *link;
		while ((link = list_pop_front(&node->files)) != NULL)
			mem_free(CONTAINER_OF(link, struct client_file, node_link));
		map_remove(&client->nodes, &node->node);
		dircache_free(client, node);
		mem_free(node->layout);
		mem_free(node);
	}
	map_fini(&client->nodes);
}

void client_free(struct client *client)
{
	if (client == NULL)
		return;
	behind_free_all(client);
	ahead_free_all(client);
	unstable_free_all(client);
	lock_free_all(client);
	free_nodes(client);
	struct list_node *link;
	while ((link = list_pop_front(&client->targets)) != NULL) {
		struct target *target = CONTAINER_OF(link, struct target, link);
		rpc_peer_free(target->peer);
		mem_free(target);
	}
	rpc_peer_free(client->mgs);
	rpc_free(client->rpc);
	if (client->slab_mr != NULL)
		client->env->net->ops->mr_close(client->slab_mr);
	mem_free(client->slab);
	mem_free(client->bufs);
	lease_tombs_clear(client);
	mem_free(client->returns);
	cmap_free(client->map);
	mem_free(client->mgs_address);
	mem_free(client->fsname);
	mem_free(client->host);
	mem_free(client->mountpoint);
	mem_free(client);
}

const struct client_counters *client_counters(const struct client *client)
{
	return &client->counters;
}

uint64_t client_id(const struct client *client)
{
	return client->identity.client;
}

size_t client_writes_running(const struct client *client)
{
	size_t count = 0;
	list_for_each(at, &client->writing_nodes)
		count += CONTAINER_OF(at, struct node, writing_link)->writes_running;
	list_for_each(at, &client->extents_by_age)
		count++;
	return count;
}

uint64_t client_map_epoch(const struct client *client)
{
	return client->map != NULL ? client->map->epoch : 0;
}

uint64_t client_evicted_at(const struct client *client, uint64_t id)
{
	for (uint32_t i = 0; client->map != NULL && i < client->map->evicted_count; i++)
		if (client->map->evicted[i].client == id)
			return client->map->evicted[i].epoch;
	return 0;
}

struct rpc *client_rpc(struct client *client)
{
	return client->rpc;
}

uint64_t client_unsaved_bytes(const struct client *client)
{
	return client->behind_bytes + client->unstable_bytes + client->small_dirty_bytes;
}

uint64_t client_unstable_bytes(const struct client *client)
{
	return client->unstable_bytes;
}
