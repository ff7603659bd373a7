/* SPDX-License-Identifier: Apache-2.0
 * Leases on attributes and entries: taking grants, questions that changes overtake, time, and giving back what is not used. Data is in
 * lease_data.c, recalls in lease_recall.c. */
#include "client/client_impl.h"
#include "proto/rows.h"

#define RETURN_PERIOD_NS (200 * NS_PER_MS)
#define KERNEL_LATE_NS   (5 * NS_PER_S)

enum { RETURN_ROWS_MAX = 512 };

/* ---- questions and changes ------------------------------------------------------------------------------------- */

uint64_t lease_asked(const struct client *client)
{
	return client->changes;
}

uint64_t lease_change_begin(struct client *client, struct node *node)
{
	if (node == NULL)
		return 0;
	node->changing++;
	node->changed_at = ++client->changes;
	node_lose_attr(node);
	return node->changed_at;
}

uint64_t lease_change_end(struct client *client, struct node *node, uint64_t stamp)
{
	if (node == NULL)
		return 0;
	bool alone = node->changed_at == stamp;
	node->changing--;
	node->changed_at = ++client->changes;
	return alone && node->changing == 0 ? node->changed_at : 0;
}

void lease_set_data_mode(struct client *client, struct node *node, uint8_t mode)
{
	node->lease.data_mode = mode;
	bool linked = list_node_is_linked(&node->writing_link);
	if (!lease_caches(mode)) {
		small_lease_lost(client, node);
		ahead_drop_all(node);
	}
	if (lease_writes(mode) && !linked)
		list_push_back(&client->writing_nodes, &node->writing_link);
	else if (!lease_writes(mode) && linked)
		list_remove(&node->writing_link);
}

void lease_take(struct client *client, struct node *node, const struct lease *lease, const struct attr *attr, uint64_t asked)
{
	if (lease->number == 0)
		return;
	if (lease->number <= node->recalled || lease->number <= node->lease.number) {
		client->counters.grants_void += lease->number <= node->recalled;
		return;
	}
	bool had_dir = node->lease.dir_mode != LEASE_NONE;
	if (node->lease.number == 0)
		list_push_back(&client->leased_nodes, &node->leased_link);
	uint8_t data = node->lease.data_mode;
	node->lease = *lease;
	lease_set_data_mode(client, node, lease->data_mode);
	if (lease->dir_mode != LEASE_NONE && !had_dir)
		dircache_clear(client, node);
	if (attr != NULL && lease->attr_mode != LEASE_NONE && node->changed_at <= asked && node->changing == 0) {
		node->attr = *attr;
		node_add_unpublished(node, &node->attr);
		atime_merge(client, node, &node->attr);
		node->attr_valid = true;
	}
	if (lease_caches(node->lease.data_mode) && !lease_caches(data))
		node->size_known = node->size_known && attr != NULL; /* learned with this answer, or again */
	waitq_wake_all(&node->changed);
}

/* ---- time ------------------------------------------------------------------------------------------------------ */

bool lease_is_live(const struct client *client)
{
	return client->joined && env_now_ns(client->env) < client->live_until_ns;
}

bool lease_attr_ok(const struct client *client, const struct node *node)
{
	return node->attr_valid && node->lease.attr_mode != LEASE_NONE && node->changing == 0 && lease_is_live(client);
}

bool lease_dir_ok(const struct client *client, const struct node *node)
{
	return node->lease.dir_mode != LEASE_NONE && lease_is_live(client);
}

bool lease_kernel_may_know(const struct client *client, const struct node *node)
{
	return node->told_ns > 0 && node->told_ns + KERNEL_LATE_NS > env_now_ns(client->env);
}

uint64_t lease_ttl_ns(const struct client *client, uint64_t ttl_max_ns)
{
	uint64_t now_ns = env_now_ns(client->env);
	return client->joined && now_ns < client->live_until_ns ? min_u64(ttl_max_ns, client->live_until_ns - now_ns) : 0;
}

/* ---- giving back what is not used ------------------------------------------------------------------------------- */

static void unlink_lease(struct client *client, struct node *node)
{
	lease_set_data_mode(client, node, LEASE_NONE);
	if (node->lease.number != 0)
		list_remove(&node->leased_link);
	node->lease = (struct lease){0};
	node_lose_attr(node);
}

void lease_known(struct client *client, struct node *node, uint64_t number)
{
	if (node->lease.number == 0)
		list_push_back(&client->leased_nodes, &node->leased_link);
	node->lease.number = max_u64(node->lease.number, number);
}

/* None may be missed: of a directory that was removed, this is what lets it go. */
static void return_add(struct client *client, struct ino ino, const struct lease *lease)
{
	if (client->return_count == client->return_capacity) {
		client->return_capacity = client->return_capacity * 2 + RETURN_ROWS_MAX;
		client->returns = mem_realloc(client->returns, client->return_capacity * sizeof(client->returns[0]));
	}
	client->returns[client->return_count++] = (struct lease_row){ino, *lease};
}

void lease_removed(struct client *client, struct ino ino)
{
	struct node *node = node_find(client, ino);
	if (node != NULL)
		node->removed = true;
	else if (ino.v != 0)
		return_add(client, ino, &(struct lease){0});
}

void lease_forget(struct client *client, struct node *node)
{
	/* A right to write goes with its mark, which the settler sees to; a node with one is not forgotten before. */
	if (node->lease.number != 0 || node->removed)
		return_add(client, node->ino, &node->lease);
	unlink_lease(client, node);
}

static void return_some(struct client *client)
{
	uint8_t bytes[RETURN_ROWS_MAX * LEASE_ROW_BYTES];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	size_t count = min_u64(client->return_count, RETURN_ROWS_MAX);
	for (size_t i = 0; i < count; i++)
		lease_row_put(&out, &client->returns[client->return_count - count + i]);
	client->counters.leases_returned += count;
	client->return_count -= count;
	/* Every inode is MDT 0's until shards have other owners; what cannot be said is recalled one day, and found to be gone. */
	struct lease_return_req req = {.leases = blob_of(bytes, wire_len(&out))};
	struct lease_return_rep rep;
	(void)session_mdt_call(client, INO_ROOT, &(struct call){.op = OP_lease_return, .req = &req, .rep = &rep});
}

/* The longest unused first, as long as there are too many; what is in use, or in the kernel's caches, is passed over. */
static void shrink(struct client *client)
{
	size_t count = 0;
	list_for_each(at, &client->leased_nodes)
		count++;
	list_for_each_safe(at, tmp, &client->leased_nodes) {
		struct node *node = CONTAINER_OF(at, struct node, leased_link);
		if (count <= client->conf.leases_max || client->return_count >= RETURN_ROWS_MAX)
			return;
		count--;
		bool used = node->users > 0 || node->dirty || node->giving || lease_writes(node->lease.data_mode);
		if (used || node->pages || lease_kernel_may_know(client, node))
			continue;
		dircache_clear(client, node);
		lease_forget(client, node);
	}
}

void lease_returner_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		session_nap(client, RETURN_PERIOD_NS);
		if (client->ended || !client->joined || client->stopping)
			continue;
		shrink(client);
		while (client->return_count > 0 && client->joined && !client->ended)
			return_some(client);
	}
	session_daemon_done(client);
}

/* ---- a restarted MDT, and the end -------------------------------------------------------------------------------- */

static int send_rows(struct target *target, uint64_t boot, const uint8_t *bytes, size_t len, uint32_t *ret_refused)
{
	struct reclaim_req req = {.rows = blob_of(bytes, len), .kind = RECLAIM_LEASES, .boot = boot};
	struct reclaim_rep rep;
	int rc = rpc_reclaim(target->peer, &req, &rep, &(struct rpc_args){0});
	*ret_refused += rc == 0 ? rep.refused : 0;
	return rc;
}

int lease_reclaim(struct target *target, uint64_t boot)
{
	enum { BYTES = 1024 * LEASE_ROW_BYTES };
	struct client *client = target->client;
	size_t count = 0, at = 0;
	list_for_each(link, &client->leased_nodes)
		count++;
	CLEANUP(free_p) struct lease_row *rows = mem_alloc((count + 1) * sizeof(*rows));
	count = 0;
	list_for_each(link, &client->leased_nodes) {
		struct node *node = CONTAINER_OF(link, struct node, leased_link);
		if (cmap_mdt_of(client->map, node->ino) != target->index)
			continue;
		struct lease held = node->lease;
		held.attr_mode = node->giving_attr > 0 ? LEASE_PR : held.attr_mode;
		held.dir_mode = node->giving_dir > 0 ? LEASE_PR : held.dir_mode;
		rows[count++] = (struct lease_row){node->ino, held};
	}
	CLEANUP(free_p) uint8_t *bytes = mem_alloc(BYTES);
	uint32_t refused = 0;
	int rc = 0;
	while (at < count && rc == 0) {
		struct wire_out out = wire_out(bytes, BYTES);
		for (size_t n = 0; n < BYTES / LEASE_ROW_BYTES && at < count; n++)
			lease_row_put(&out, &rows[at++]);
		rc = send_rows(target, boot, bytes, wire_len(&out), &refused);
	}
	if (rc == 0 && refused > 0) {
		/* It does not know them any more: what we cache may be stale, and what the kernel was told runs down before anybody goes on. */
		lease_drop_all(client);
		session_nap(client, client->conf.attr_ttl_ns + client->conf.entry_ttl_ns);
	}
	return rc;
}

struct purge {
	struct client *client;
	size_t count;
	struct purge_item {
		struct ino ino;
		bool pages;
	} items[];
};

/* The kernel's caches of what we have no lease on any more. */
static void purge_task(void *arg)
{
	struct purge *purge = arg;
	struct client *client = purge->client;
	struct kcache *kcache = client->env->kcache;
	if (kcache->ops->inval_epoch(kcache) == -ENOSYS)
		client->counters.timeouts_run_down++; /* the last one given out is over within a second */
	for (size_t i = 0; i < purge->count && !client->ended; i++) {
		struct node *node = node_get(client, purge->items[i].ino);
		kernel_size_change_begin(node);
		if (purge->items[i].pages)
			(void)kcache->ops->inval_inode(kcache, purge->items[i].ino.v, 0, 0); /* unknown to the kernel: nothing to drop */
		else
			(void)kcache->ops->inval_attr(kcache, purge->items[i].ino.v);
		kernel_size_change_end(client, node);
		node_put(client, node);
	}
	mem_free(purge);
	session_task_done(client);
}

void lease_drop_all(struct client *client)
{
	size_t count = 0;
	struct map_iter iter = map_iter_begin(&client->nodes);
	struct purge *purge = mem_alloc(sizeof(*purge) + client->nodes.count * sizeof(purge->items[0]));
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		if (node->lease.number != 0 || node->pages)
			purge->items[count++] = (struct purge_item){node->ino, node->pages};
		node->pages = node->fills_unleased = false;
		node->told_handle = 0;
		node->changed_at = ++client->changes;
		dircache_clear(client, node);
		unlink_lease(client, node);
		waitq_wake_all(&node->changed);
	}
	client->return_count = 0;
	purge->client = client;
	purge->count = count;
	if (client->env->kcache != NULL && count > 0)
		session_spawn(client, "purge", purge_task, purge);
	else
		mem_free(purge);
}

void lease_count_anew(struct client *client)
{
	struct map_iter iter = map_iter_begin(&client->nodes);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;)
		CONTAINER_OF(at, struct node, node)->recalled = 0;
	lease_tombs_clear(client);
}
