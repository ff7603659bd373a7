/* SPDX-License-Identifier: Apache-2.0
 * Targets, the map, the client's life, and the one loop that repeats calls. */
#include "client/client_impl.h"

#include <inttypes.h>

#define BACKOFF_MIN_NS   (2 * NS_PER_MS)
#define BACKOFF_MAX_NS   (500 * NS_PER_MS)
#define COMPLAIN_AFTER_NS (10 * NS_PER_S)

/* ---- targets and map ------------------------------------------------------------------------------------------ */

struct target *session_target(struct client *client, uint8_t kind, uint32_t index)
{
	list_for_each(at, &client->targets) {
		struct target *target = CONTAINER_OF(at, struct target, link);
		if (target->kind == kind && target->index == index)
			return target;
	}
	return NULL;
}

uint64_t session_target_boot(struct client *client, uint8_t kind, uint32_t index)
{
	struct target *target = session_target(client, kind, index);
	return target != NULL ? target->boot : 0;
}

static void adopt_map(struct client *client, struct cmap *map)
{
	cmap_free(client->map);
	client->map = map;
	client->identity.epoch = map->epoch;
	client->identity.cluster_hi = map->cluster_hi;
	client->identity.cluster_lo = map->cluster_lo;
	for (uint32_t i = 0; i < map->target_count; i++) {
		const struct cmap_target *row = &map->targets[i];
		struct target *target = session_target(client, row->kind, row->index);
		if (row->address[0] == '\0')
			continue; /* registered, never started */
		if (target == NULL) {
			target = mem_alloc(sizeof(*target));
			target->client = client;
			target->kind = row->kind;
			target->index = row->index;
			target->peer = rpc_peer_new(client->rpc, row->address);
			rpc_peer_on_hello(target->peer, recover_on_hello, target);
			rpc_peer_on_closed(target->peer, recover_on_closed, target);
			list_push_back(&client->targets, &target->link);
		} else {
			rpc_peer_set_address(target->peer, row->address);
			if (row->boot > target->boot && target->boot != 0) {
				rpc_peer_disconnect(target->peer); /* if there is one, it leads to a machine that is no more */
				recover_on_closed(target, target->peer);
			}
		}
	}
	if (client->joined && cmap_is_evicted(map, client->identity.client))
		session_evicted(client);
}

int session_refresh_map(struct client *client, uint64_t epoch)
{
	struct arena arena;
	struct map_get_rep rep;
	while (client->refreshing) {
		(void)waitq_wait(&client->refreshed, client_loop(client), UINT64_MAX); /* its end wakes us */
		if (client->map != NULL && client->map->epoch >= epoch && epoch != 0)
			return 0;
	}
	client->refreshing = true;
	arena_init(&arena);
	struct map_get_req req = {.epoch = client->map != NULL ? client->map->epoch : 0};
	int rc = rpc_map_get(client->mgs, &req, &rep, &(struct rpc_args){.arena = &arena, .timeout_ns = client->conf.attempt_ns});
	struct cmap *map = NULL;
	if (rc == 0 && rep.map.len > 0)
		rc = cmap_decode(rep.map, &map);
	if (map != NULL && client->map != NULL && map->epoch <= client->map->epoch) {
		cmap_free(map); /* an answer that others overtook */
		map = NULL;
	}
	client->refreshing = false;
	if (map != NULL)
		adopt_map(client, map);
	waitq_wake_all(&client->refreshed);
	arena_fini(&arena);
	return rc;
}

static void refresh_task(void *arg)
{
	struct client *client = arg;
	if (!client->stopping && client->map != NULL && client->map->epoch < client->identity.heard_epoch)
		(void)session_refresh_map(client, client->identity.heard_epoch); /* the next frame asks again */
	session_task_done(client);
}

/* From here on all frames say so, before the map is here: whoever tells of an epoch may have granted us what an eviction has freed, and an OST must be
 * behind that fence before it serves us. */
void session_newer_epoch(void *ctx, uint64_t epoch)
{
	struct client *client = ctx;
	if (epoch <= client->identity.heard_epoch && client->refreshing)
		return;
	client->identity.heard_epoch = max_u64(client->identity.heard_epoch, epoch);
	if (!client->refreshing)
		session_spawn(client, "map_refresh", refresh_task, client);
}

/* ---- background tasks ------------------------------------------------------------------------------------------ */

void session_spawn(struct client *client, const char *name, void (*fn)(void *arg), void *arg)
{
	client->tasks++;
	task_spawn(client_loop(client), name, fn, arg);
}

void session_task_done(struct client *client)
{
	if (--client->tasks == 0)
		waitq_wake_all(&client->idle);
}

void session_daemon_done(struct client *client)
{
	if (--client->daemons == 0)
		waitq_wake_all(&client->idle);
}

void session_nap(struct client *client, uint64_t duration_ns)
{
	if (!client->ended)
		(void)waitq_wait(&client->end, client_loop(client), env_now_ns(client->env) + duration_ns); /* either way */
}

void session_end(struct client *client)
{
	client->ended = client->stopping = true;
	waitq_wake_all(&client->end);
	waitq_wake_all(&client->publish_wanted);
	waitq_wake_all(&client->small_room);
	waitq_wake_all(&client->commit_wanted);
	waitq_wake_all(&client->joined_q);
	lock_wake_all(client);
	list_for_each(at, &client->targets)
		rpc_peer_disconnect(CONTAINER_OF(at, struct target, link)->peer);
	rpc_peer_disconnect(client->mgs);
}

struct cred session_cred(const struct client_op *op)
{
	if (op == NULL)
		return (struct cred){0};
	return (struct cred){.uid = op->uid, .gid = op->gid};
}

void session_heard_time(struct client *client, int64_t time_ns)
{
	int64_t ahead_ns = time_ns - session_mdt_now_ns(client);
	if (ahead_ns > 0)
		client->mdt_offset_ns += ahead_ns;
}

int64_t session_mdt_now_ns(const struct client *client)
{
	return (int64_t)env_now_ns(client->env) + client->mdt_offset_ns;
}

/* ---- the retry loop ------------------------------------------------------------------------------------------- */

static void opno_begin(struct client *client, struct opno *opno)
{
	opno->number = client->next_opno++;
	list_push_back(&client->opnos, &opno->link);
	client->identity.lowest = CONTAINER_OF(list_first(&client->opnos), struct opno, link)->number;
}

static void opno_end(struct client *client, struct opno *opno)
{
	list_remove(&opno->link);
	struct list_node *first = list_first(&client->opnos);
	client->identity.lowest = first != NULL ? CONTAINER_OF(first, struct opno, link)->number : client->next_opno;
}

static void complain(struct client *client, struct target *target, const struct call *call, uint64_t since_ns, int rc)
{
	if (target == NULL || target->waiting_since_ns != 0 ||
	    env_now_ns(client->env) - since_ns < COMPLAIN_AFTER_NS)
		return;
	target->waiting_since_ns = since_ns;
	log_line(client->conf.log, LOG_LEVEL_WARN, "session", "op=%s target=%s%04x address=%s err=%s did=\"waiting: it will go on when the target answers\"",
		 proto_op_name((uint16_t)call->op), target->kind == TARGET_MDT ? "MDT" : "OST", target->index,
		 rpc_peer_address(target->peer), err_name(rc));
}

static void answered(struct client *client, struct target *target)
{
	if (target->waiting_since_ns == 0)
		return;
	log_line(client->conf.log, LOG_LEVEL_INFO, "session", "target=%s%04x waited_s=%" PRIu64 " did=\"it answers again\"",
		 target->kind == TARGET_MDT ? "MDT" : "OST", target->index,
		 (env_now_ns(client->env) - target->waiting_since_ns) / NS_PER_S);
	target->waiting_since_ns = 0;
}

/* One attempt against whoever is the target now. *sent: a copy may be under way. */
static int attempt(struct client *client, uint8_t kind, uint32_t index, const struct call *call, uint64_t opno, bool *sent,
		   struct target **ret_target)
{
	struct target *target = session_target(client, kind, index);
	*ret_target = target;
	if (target == NULL)
		return fail(ERR_not_ready);
	struct rpc_args args = {
		.arena = call->arena,
		.timeout_ns = client->conf.attempt_ns,
		.opno = opno,
		.resent = *sent,
		.bulk_len = call->bulk_len,
		.ret_sent = sent,
	};
	bool connected = rpc_peer_is_connected(target->peer);
	int rc = rpc_call(target->peer, call->op, call->req, call->rep, &args);
	if (call->bulk_len > 0 && connected && (rc == -ERR_timeout || rc == -ERR_conn_lost))
		client->counters.bulk_cut++;
	if (!err_is(rc, ERR_retry))
		answered(client, target);
	return rc;
}

/* ---- waits that may be called off ------------------------------------------------------------------------------- */

/* A task that waits on behalf of an operation. */
struct op_wait {
	struct op_wait *next;
	struct task *task;
};

static void wait_begin(struct client *client, struct client_op *op, struct op_wait *wait)
{
	*wait = (struct op_wait){.task = task_current(client_loop(client))};
	if (op == NULL)
		return;
	wait->next = op->waits;
	op->waits = wait;
}

static void wait_end(struct client_op *op, const struct op_wait *wait)
{
	if (op == NULL)
		return;
	struct op_wait **at = &op->waits;
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
}

bool client_op_is_called_off(const struct client_op *op)
{
	return op->killed || op->expired || (op->interrupted && op->changes == 0);
}

static void call_off(struct client_op *op)
{
	for (const struct op_wait *wait = op->waits; wait != NULL; wait = wait->next)
		task_wake(wait->task);
}

void client_op_interrupt(struct client_op *op, bool killed)
{
	op->interrupted = true;
	op->killed = op->killed || killed;
	call_off(op);
}

void client_op_expire(struct client_op *op)
{
	op->expired = true;
	call_off(op);
}

bool session_is_called_off(int rc)
{
	return rc == -ERR_interrupted || rc == -ERR_gave_up || rc == -ERR_aborted;
}

/* 0: it goes on. */
static int called_off(struct client *client, const struct client_op *op)
{
	if (op != NULL && client_op_is_called_off(op)) {
		client->counters.interrupted++;
		return op->expired ? fail(ERR_gave_up) : fail(ERR_interrupted);
	}
	if (client->ended || (client->stopping && op != NULL && !op->is_admin))
		return fail(ERR_aborted);
	return 0;
}

int session_wait(struct client *client, struct client_op *op, struct waitq *waitq)
{
	struct op_wait wait;
	int rc = called_off(client, op);
	if (rc < 0)
		return rc;
	wait_begin(client, op, &wait);
	(void)waitq_wait_once(waitq, client_loop(client), env_now_ns(client->env) + NS_PER_S); /* either way: the caller looks again */
	wait_end(op, &wait);
	return called_off(client, op);
}

void session_park(struct client *client, struct client_op *op)
{
	struct op_wait wait;
	wait_begin(client, op, &wait);
	task_park(client_loop(client));
	wait_end(op, &wait);
}

/* Calling off ends it early. */
static void backoff(struct client *client, struct client_op *op, uint64_t duration_ns)
{
	struct op_wait wait;
	wait_begin(client, op, &wait);
	(void)task_park_until(client_loop(client), env_now_ns(client->env) + duration_ns); /* woken or not: repeat */
	wait_end(op, &wait);
}

/* *ret_undone, with ERR_evicted: no copy of it was done. */
static int repeat(struct client *client, uint8_t kind, uint32_t index, const struct call *call, uint64_t opno, bool *ret_undone)
{
	uint64_t begin_ns = env_now_ns(client->env), backoff_ns = BACKOFF_MIN_NS;
	struct client_op *who = call->who;
	bool sent = false;
	for (uint64_t client_id = client->identity.client;;) {
		/* A change that was sent ends with its answer: nobody else would know what became of it. */
		int off = called_off(client, opno != 0 && sent && !client->stopping ? NULL : who);
		if (off < 0)
			return off;
		*ret_undone = !sent;
		if (client->identity.client != client_id) /* evicted, and joined anew, while we waited: a copy may have been done for the old one */
			return fail(ERR_evicted);
		struct target *target = NULL;
		if (sent)
			client->counters.resends++;
		bool may_change = who != NULL && opno != 0 && !sent;
		if (who != NULL) {
			who->asked_ns = env_now_ns(client->env);
			who->asked_client = client_id;
			who->changes += may_change;
		}
		int rc = attempt(client, kind, index, call, opno, &sent, &target);
		bool refused = rc == -ERR_evicted; /* this copy was not done; of earlier ones nobody knows */
		if (may_change && (!sent || refused))
			who->changes--;
		if (!refused)
			*ret_undone = !sent;
		else if (client->identity.client == client_id)
			session_evicted(client);
		if (refused || client->identity.client != client_id)
			return fail(ERR_evicted);
		if (!err_is(rc, ERR_retry))
			return rc;
		complain(client, target, call, begin_ns, rc);
		if (target == NULL || err_is(rc, ERR_stale_epoch) || err_is(rc, ERR_not_owner) || err_is(rc, ERR_refused) ||
		    err_is(rc, ERR_timeout) || err_is(rc, ERR_conn_lost))
			(void)session_refresh_map(client, 0); /* it may have moved; if not, repeat where it was */
		backoff(client, who, backoff_ns);
		backoff_ns = min_u64(backoff_ns * 2, BACKOFF_MAX_NS);
	}
}

/* An eviction takes what the client had: files that were open, data, locks. What needs none of it is asked again as the new client, unless it was done for the
 * old one. */
static bool survives_eviction(uint8_t kind, const struct call *call)
{
	if (call->who == NULL)
		return false;
	switch (call->op) {
	case OP_mkdir:
	case OP_mknod:
	case OP_symlink:
	case OP_link:
	case OP_unlink:
	case OP_rmdir:
	case OP_rename:
	case OP_setxattr:
	case OP_removexattr:
	case OP_create:
	case OP_obj_stat:
		return true;
	case OP_open:
		return call->cred != NULL; /* else it is for files that are open already: see names.c */
	default:
		return kind == TARGET_MDT && (proto_op((uint16_t)call->op)->flags & OPF_MUTATES) == 0;
	}
}

int session_call(struct client *client, uint8_t kind, uint32_t index, const struct call *call)
{
	const struct proto_op *op = proto_op((uint16_t)call->op);
	uint8_t groups[GROUPS_MAX * 4];
	for (;;) {
		struct opno opno = {.number = 0};
		bool mutates = (op->flags & OPF_MUTATES) != 0, undone = false;
		int rc = 0;
		while (!client->joined && !client->ended && rc == 0)
			rc = session_wait(client, call->who, &client->joined_q);
		if (rc < 0)
			return rc;
		if (mutates)
			opno_begin(client, &opno);
		rc = repeat(client, kind, index, call, opno.number, &undone);
		if (mutates)
			opno_end(client, &opno);
		if (rc == -ERR_evicted && (undone || !mutates) && survives_eviction(kind, call))
			continue;
		if (rc != -ERR_need_groups || call->cred == NULL || (call->cred->flags & CRED_HAS_GROUPS) != 0)
			return rc;
		/* The answer depends on supplementary groups: fetch them now, which most calls never need. */
		client->counters.group_fetches++;
		call->cred->flags |= CRED_HAS_GROUPS;
		call->cred->groups_le32 = groups;
		if (call->who != NULL && call->who->groups != NULL)
			call->cred->group_count = call->who->groups(call->who, groups);
	}
}

int session_attempt(struct target *target, const struct call *call)
{
	struct client *client = target->client;
	struct opno opno;
	opno_begin(client, &opno);
	struct rpc_args args = {.arena = call->arena, .timeout_ns = client->conf.attempt_ns, .opno = opno.number, .bulk_len = call->bulk_len};
	bool connected = rpc_peer_is_connected(target->peer);
	int rc = rpc_call(target->peer, call->op, call->req, call->rep, &args);
	if (call->bulk_len > 0 && connected && (rc == -ERR_timeout || rc == -ERR_conn_lost))
		client->counters.bulk_cut++;
	opno_end(client, &opno);
	return rc;
}

int session_mdt_call(struct client *client, struct ino ino, const struct call *call)
{
	uint32_t mdt = client->map != NULL ? cmap_mdt_of(client->map, ino) : 0;
	if (mdt == UINT32_MAX)
		return fail(ESTALE); /* no such shard: the number was never ours */
	struct lease_call running;
	lease_call_begin(client, &running);
	int rc = session_call(client, TARGET_MDT, mdt, call);
	lease_call_end(&running);
	return rc;
}

/* ---- the client's life ----------------------------------------------------------------------------------------- */

/* We were alive then, as far as the management service knows, which counts from later. The rest is for clocks that differ. */
static void live_since(struct client *client, uint64_t sent_ns)
{
	client->live_until_ns = sent_ns + client->lease_ns - client->lease_ns / 10;
}

int session_join(struct client *client)
{
	struct client_join_req req = {
		.uuid_hi = client->uuid_hi,
		.uuid_lo = client->uuid_lo,
		.host = str_of(client->host),
		.mountpoint = str_of(client->mountpoint),
		.pid = client->conf.pid,
		.fsname = str_of(client->fsname),
	};
	uint64_t backoff_ns = BACKOFF_MIN_NS;
	for (;;) {
		struct client_join_rep rep;
		uint64_t sent_ns = env_now_ns(client->env);
		int rc = rpc_client_join(client->mgs, &req, &rep, &(struct rpc_args){.timeout_ns = client->conf.attempt_ns});
		if (rc == 0) {
			client->identity.client = rep.client;
			client->lease_ns = max_u64(rep.lease_ms, 100) * NS_PER_MS;
			live_since(client, sent_ns);
			rc = session_refresh_map(client, rep.epoch);
			if (rc == 0 && client->map != NULL && client->map->epoch >= rep.epoch)
				return 0;
		}
		if (rc < 0 && !err_is(rc, ERR_retry))
			return rc;
		if (client->stopping)
			return fail(ERR_aborted);
		if (backoff_ns >= BACKOFF_MAX_NS)
			log_line(client->conf.log, LOG_LEVEL_WARN, "session", "mgs=%s err=%s did=\"trying again\"",
				 client->mgs_address, err_name(rc));
		task_sleep(client_loop(client), backoff_ns);
		backoff_ns = min_u64(backoff_ns * 2, BACKOFF_MAX_NS);
	}
}

static void rejoin_task(void *arg)
{
	struct client *client = arg;
	client->uuid_hi = env_random_u64(client->env);
	client->uuid_lo = env_random_u64(client->env);
	int rc = session_join(client);
	client->rejoining = false;
	if (rc == 0) {
		client->joined = true;
		log_line(client->conf.log, LOG_LEVEL_WARN, "session", "client=%" PRIu64 " did=\"joined anew after an eviction\"",
			 client->identity.client);
	} else {
		log_line(client->conf.log, LOG_LEVEL_ERROR, "session", "err=%s did=\"could not join anew: unmount and mount again\"",
			 err_name(rc));
	}
	waitq_wake_all(&client->joined_q);
	session_task_done(client);
}

static void lose_files(struct client *client)
{
	struct map_iter iter = map_iter_begin(&client->nodes);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		list_for_each(link, &node->files)
			CONTAINER_OF(link, struct client_file, node_link)->lost = true;
		small_lose(client, node);
		if (node->dirty) {
			node->users++; /* node_clean may be what kept it */
			node_clean(client, node);
			node->size_known = false;
			node->users--;
		}
	}
}

void session_evicted(struct client *client)
{
	if (client->rejoining || client->ended)
		return;
	client->rejoining = !client->stopping;
	client->joined = false;
	client->counters.evicted++;
	client->counters.lost_bytes += client->unstable_bytes;
	log_line(client->conf.log, LOG_LEVEL_ERROR, "session",
		 "client=%" PRIu64 " lost_bytes=%" PRIu64 " did=\"was evicted: open files give EIO, unsaved data is lost\"",
		 client->identity.client, client_unsaved_bytes(client));
	client->counters.lost_bytes += behind_drop_all(client);
	unstable_drop_all(client);
	lose_files(client);
	lock_lose_all(client);
	client->live_until_ns = 0;
	lease_drop_all(client);
	lease_count_anew(client);
	if (client->stopping) {
		session_end(client); /* nothing is left that could be saved */
		return;
	}
	list_for_each(at, &client->targets)
		rpc_peer_disconnect(CONTAINER_OF(at, struct target, link)->peer);
	client->identity.client = 0;
	session_spawn(client, "rejoin", rejoin_task, client);
}

/* Once, and once when it is over. */
static void say_renewed(struct client *client, int rc, bool *unheard)
{
	if (err_is(rc, ERR_retry) && !*unheard)
		log_line(client->conf.log, LOG_LEVEL_WARN, "session", "mgs=%s err=%s lease_s=%" PRIu64
			 " did=\"the lease is not renewed: trying again; unsaved data is lost if the others go on without us\"",
			 client->mgs_address, err_name(rc), client->lease_ns / NS_PER_S);
	else if (rc == 0 && *unheard)
		log_line(client->conf.log, LOG_LEVEL_INFO, "session", "mgs=%s did=\"it answers again\"", client->mgs_address);
	*unheard = err_is(rc, ERR_retry);
}

static void renew_task(void *arg)
{
	struct client *client = arg;
	bool unheard = false;
	while (!client->ended) {
		session_nap(client, client->lease_ns / 3);
		if (client->ended || !client->joined)
			continue;
		struct client_renew_req req = {.client = client->identity.client, .dirty_bytes = client_unsaved_bytes(client)};
		req.dirty_files = unstable_files(client, NULL, 0) + (uint32_t)client->small_dirty_files;
		struct client_renew_rep rep;
		uint64_t sent_ns = env_now_ns(client->env);
		int rc = rpc_client_renew(client->mgs, &req, &rep, &(struct rpc_args){.timeout_ns = client->lease_ns / 3});
		say_renewed(client, rc, &unheard);
		if (rc == 0 && req.client == client->identity.client) {
			client->lease_ns = max_u64(rep.lease_ms, 100) * NS_PER_MS;
			live_since(client, sent_ns);
		} else if (rc == -ERR_evicted && req.client == client->identity.client) {
			session_evicted(client);
		}
	}
	session_daemon_done(client);
}

void session_start_tasks(struct client *client)
{
	client->daemons += 6;
	task_spawn(client_loop(client), "renew", renew_task, client);
	task_spawn(client_loop(client), "publisher", attr_publisher_task, client);
	task_spawn(client_loop(client), "flusher", behind_flusher_task, client);
	task_spawn(client_loop(client), "committer", unstable_committer_task, client);
	task_spawn(client_loop(client), "settler", lease_settler_task, client);
	task_spawn(client_loop(client), "returner", lease_returner_task, client);
	task_spawn(client_loop(client), "atimes", atime_task, client);
}
