/* SPDX-License-Identifier: Apache-2.0
 * What an MDT asks of us: leases back, and sizes.
 *
 * Nothing here calls an MDT: whoever recalls holds the inode's gate there, and our call would wait for it. Data goes to the OSTs, the size goes
 * with the answer. What takes long is done by a task of the node's, and the MDT is told that it is under way. */
#include "client/client_impl.h"

#define ANSWER_WITHIN_NS (1 * NS_PER_S) /* below the MDT's 2 s */
#define LATE_LOOK_NS     (2 * NS_PER_MS)
#define LATE_WAIT_NS     (100 * NS_PER_MS) /* by so much later than we the kernel begins to count; where nothing but time helps */

/* ---- grants on their way ----------------------------------------------------------------------------------------- */

/* A recall of an inode without a node. Its grant may still be on its way; when every call that ran then has ended and its answer was looked at, it
 * is not. */
struct lease_tomb {
	struct list_node link;
	struct ino ino;
	uint64_t number;
	uint64_t begun; /* client.lease_calls_begun then */
};

/* Not when a call ends: its task looks at the answer after that, but before it parks or calls again. */
static void drop_old_tombs(struct client *client)
{
	struct list_node *oldest = list_first(&client->lease_calls);
	uint64_t began = oldest != NULL ? CONTAINER_OF(oldest, struct lease_call, link)->began : UINT64_MAX;
	list_for_each_safe(at, tmp, &client->lease_tombs) {
		struct lease_tomb *tomb = CONTAINER_OF(at, struct lease_tomb, link);
		if (tomb->begun >= began)
			return; /* in order: the rest is younger */
		list_remove(at);
		mem_free(tomb);
	}
}

void lease_call_begin(struct client *client, struct lease_call *call)
{
	drop_old_tombs(client);
	call->began = ++client->lease_calls_begun;
	list_push_back(&client->lease_calls, &call->link);
}

void lease_call_end(struct lease_call *call)
{
	list_remove(&call->link);
}

uint64_t lease_tomb_of(struct client *client, struct ino ino)
{
	uint64_t number = 0;
	list_for_each(at, &client->lease_tombs) {
		const struct lease_tomb *tomb = CONTAINER_OF(at, struct lease_tomb, link);
		if (ino_eq(tomb->ino, ino))
			number = max_u64(number, tomb->number);
	}
	return number;
}

static void tomb_add(struct client *client, struct ino ino, uint64_t number)
{
	if (list_is_empty(&client->lease_calls))
		return;
	struct lease_tomb *tomb = mem_alloc(sizeof(*tomb));
	*tomb = (struct lease_tomb){.ino = ino, .number = number, .begun = client->lease_calls_begun};
	list_push_back(&client->lease_tombs, &tomb->link);
}

void lease_tombs_clear(struct client *client)
{
	struct list_node *link;
	while ((link = list_pop_front(&client->lease_tombs)) != NULL)
		mem_free(CONTAINER_OF(link, struct lease_tomb, link));
}

/* ---- the kernel's pages ------------------------------------------------------------------------------------------ */

/* Drop all for good. A read that comes meanwhile is answered under the lease that is being given back, as its page is locked; it may bring the page
 * back: then again. From the quiet moment on, reads wait for the next lease. */
static void drop_pages(struct client *client, struct node *node)
{
	struct kcache *kcache = client->env->kcache;
	node->dropping = true;
	for (bool again = false;; again = true) {
		lease_wait_for_fills(client, node, UINT64_MAX);
		uint64_t filled = node->reads_filled;
		client->counters.page_invalidations++;
		client->counters.page_invalidations_again += again;
		kernel_size_change_begin(node);
		(void)kcache->ops->inval_inode(kcache, node->ino.v, 0, 0); /* ENOENT: the kernel does not know it, and has no pages of it */
		kernel_size_change_end(client, node);
		if (node->reads_filled == filled && node->reads_filling == 0)
			break;
	}
	node->dropping = false;
	node->fills_held = true;
	node->pages = node->fills_unleased = false;
}

/* ---- giving a data lease back ------------------------------------------------------------------------------------ */

static bool must_drop_pages(const struct client *client, const struct node *node, uint8_t left)
{
	if (client->env->kcache == NULL || !node->pages)
		return false;
	/* A shared mapping may have written pages that we have not seen: they come back by being dropped. */
	return !lease_caches(left) || node->fills_unleased || (node->lease.data_mode == LEASE_PW && node->writers > 0);
}

static void wait_for_io(struct client *client, struct node *node)
{
	/* Reads that go through may ask an MDT, and then wait for whoever recalls: they are not waited for. */
	while (node->writes_running > 0 || node->reads_cached > 0)
		(void)waitq_wait(&node->changed, client_loop(client), UINT64_MAX); /* the last of them wakes us */
}

/* Of data that lives with the inode nothing is kept that would go through to the objects. */
static uint8_t kept_of(const struct node *node)
{
	uint8_t kept = lease_kept(node->lease.data_mode, node->giving_keep);
	return node->data_place == DATA_INLINE && !lease_caches(kept) ? LEASE_NONE : kept;
}

static void give_task(void *arg)
{
	struct node *node = arg;
	struct client *client = node->giving_client;
	uint64_t client_id = client->identity.client;
	bool wrote = lease_writes(node->lease.data_mode);
	uint8_t left = kept_of(node);
	struct task *self = task_current(client_loop(client));
	task_set_step(self, "give", "writes");
	wait_for_io(client, node);
	task_set_step(self, "give", "pages");
	if (must_drop_pages(client, node, left)) {
		drop_pages(client, node);
		wait_for_io(client, node);
	} else if (!lease_caches(left)) {
		node->fills_held = true; /* there are none, and none may come while the data goes */
	}
	task_set_step(self, "give", "commit");
	int rc = wrote ? behind_empty(client, node) : 0;
	/* Data that an OST will never take was told as lost. */
	if (client->identity.client == client_id && (rc == 0 || !(rc == -ERR_aborted || rc == -ERR_evicted)))
		lease_set_data_mode(client, node, kept_of(node));
	node->giving = false;
	node->fills_held = false;
	waitq_wake_all(&node->changed);
	node_put(client, node);
	session_task_done(client);
}

static void give_start(struct client *client, struct node *node, uint8_t keep)
{
	node->giving = true;
	node->giving_keep = keep;
	node->giving_client = client;
	node->fills_held = false;
	node->users++;
	client->counters.recalls_crossed_read += node->reads_filling > 0;
	waitq_wake_all(&node->changed); /* reads that wait for a better lease go on under this one */
	session_spawn(client, "give", give_task, node);
}

void lease_give_up(struct client *client, struct node *node)
{
	if (!node->giving)
		give_start(client, node, LEASE_NONE);
}

/* 0, or ERR_in_progress when it takes longer. Parks. */
static int give_data(struct client *client, struct node *node, uint8_t keep, uint64_t deadline_ns)
{
	uint64_t client_id = client->identity.client;
	while (node->giving || node->fills_unleased || lease_kept(node->lease.data_mode, keep) != node->lease.data_mode) {
		if (client->identity.client != client_id)
			return fail(ERR_evicted);
		if (client->ended)
			return fail(ERR_aborted);
		if (!node->giving)
			give_start(client, node, keep);
		if (waitq_wait(&node->changed, client_loop(client), deadline_ns) < 0)
			return fail(ERR_in_progress);
	}
	return 0;
}

/* ---- entries and attributes --------------------------------------------------------------------------------------- */

/* ENOENT: the kernel does not know the inode. But an answer with it may be on its way in, or it has just been forgotten and we shall hear of it: then
 * it refers to it by our count, for a moment. */
static void drop_attr(struct client *client, struct node *node)
{
	struct kcache *kcache = client->env->kcache;
	uint64_t deadline_ns = env_now_ns(client->env) + LATE_WAIT_NS;
	kernel_size_change_begin(node);
	while (kcache->ops->inval_attr(kcache, node->ino.v) == -ENOENT && node->lookups > 0 && env_now_ns(client->env) < deadline_ns &&
	       !client->ended) {
		client->counters.attrs_on_their_way++;
		session_nap(client, LATE_LOOK_NS);
	}
	kernel_size_change_end(client, node);
}

static void wait_for_plus(struct client *client, struct node *node)
{
	uint64_t until_ns = dircache_plus_until_ns(node), deadline_ns = until_ns + LATE_WAIT_NS; /* what is given from now on is new */
	bool waits = until_ns > 0 && deadline_ns > env_now_ns(client->env);
	client->counters.timeouts_run_down += waits;
	while (waits && !client->ended) {
		(void)waitq_wait(&node->changed, client_loop(client), deadline_ns); /* either way */
		waits = dircache_plus_until_ns(node) > 0 && deadline_ns > env_now_ns(client->env);
	}
}

/* The kernel's entries are gone when it asks for all anew, by its epoch, or when their time is up. */
void lease_drop_entries(struct client *client, struct node *node)
{
	struct kcache *kcache = client->env->kcache;
	if (kcache == NULL || !lease_kernel_may_know(client, node))
		return;
	/* READDIRPLUS answers are taken in by the kernel later, under whatever epoch is then: it asks for more, or their short time runs down. Nothing
	 * new is given meanwhile: the lease is over. What is taken in while the epoch is on its way may be older than that. */
	wait_for_plus(client, node);
	if (!client->no_epochs && kcache->ops->inval_epoch(kcache) == 0) {
		client->counters.epochs++;
		return;
	}
	client->no_epochs = true;
	uint64_t now_ns = env_now_ns(client->env), until_ns = node->told_ns + LATE_WAIT_NS;
	if (until_ns > now_ns) {
		client->counters.timeouts_run_down++;
		session_nap(client, until_ns - now_ns);
	}
}

/* Attributes and entries. While the kernel may still have them they count as held, also for a restarted MDT: another recall waits here, too. */
static void give_names(struct client *client, struct node *node, bool attr, bool dir, uint64_t deadline_ns)
{
	struct kcache *kcache = client->env->kcache;
	attr = attr && node->lease.attr_mode != LEASE_NONE;
	dir = dir && node->lease.dir_mode != LEASE_NONE;
	if (attr) {
		node->lease.attr_mode = LEASE_NONE;
		node_lose_attr(node);
		node->giving_attr++;
	}
	if (dir) {
		client->counters.recalls_crossed_lookup += node->asking_names > 0;
		node->lease.dir_mode = LEASE_NONE;
		dircache_clear(client, node);
		node->giving_dir++;
	}
	if (attr)
		lease_wait_for_fills(client, node, deadline_ns);
	if (attr && kcache != NULL && lease_kernel_may_know(client, node))
		drop_attr(client, node);
	if (dir)
		lease_drop_entries(client, node);
	node->giving_attr -= attr;
	node->giving_dir -= dir;
	waitq_wake_all(&node->changed);
	while (node->giving_attr > 0 || node->giving_dir > 0)
		(void)waitq_wait(&node->changed, client_loop(client), UINT64_MAX); /* whoever gives wakes us */
}

static void tell_opens(struct client *client, struct node *node, struct lease_recall_rep *rep)
{
	if (node->local_opens == 0)
		return;
	if (node->told_handle == 0) {
		node->told_handle = client->next_handle++;
		client->counters.opens_told++;
	}
	rep->handle = node->told_handle;
}

static void fill_size(const struct node *node, uint8_t *ret_flags, uint32_t *ret_size_gen, uint64_t *ret_size_bytes, int64_t *ret_mtime_ns,
		      uint64_t *ret_blocks)
{
	if (!node->dirty || !node->size_known)
		return;
	*ret_flags |= SIZE_VALID | node_blocks_flag(node);
	*ret_size_gen = node->size_gen;
	*ret_size_bytes = node->size_bytes;
	*ret_mtime_ns = node->mtime_ns;
	*ret_blocks = node->blocks;
}

/* One of this mount's, done at the MDT, whose answer is still on its way. Reads that must go on now need to know. */
static void take_truncation(struct client *client, struct node *node, const struct lease_recall_req *req)
{
	if (!node->size_known || req->size_gen <= node->size_gen)
		return;
	node->size_gen = req->size_gen;
	node->size_bytes = req->size_bytes;
	small_truncated(client, node);
}

static void fill_answer(struct client *client, struct node *node, uint64_t number, struct arena *arena, struct lease_recall_rep *rep)
{
	fill_size(node, &rep->flags, &rep->size_gen, &rep->size_bytes, &rep->mtime_ns, &rep->blocks);
	if ((rep->flags & SIZE_VALID) == 0)
		return;
	rep->flags |= small_say(client, node, arena, &rep->data);
	if (rep->flags & (SIZE_INLINE | SIZE_OUTLINE))
		node->small_told = number;
}

int lease_serve_recall(struct client *client, struct arena *arena, const struct lease_recall_req *req, struct lease_recall_rep *rep)
{
	uint64_t deadline_ns = env_now_ns(client->env) + ANSWER_WITHIN_NS;
	struct node *node = node_find(client, req->ino);
	client->counters.recalls++;
	if (node == NULL) {
		tomb_add(client, req->ino, req->number);
		return 0;
	}
	rep->known = 1;
	node->recalled_ns = env_now_ns(client->env);
	if (req->number < node->lease.number)
		return 0; /* a copy of an old one: what it asked for was given back long ago */
	if (req->attr && req->has_data == DATA_PLACE_UNKNOWN && lease_fills_need_data(node)) {
		rep->wants_data = 1;
		return 0;
	}
	node->users++;
	bool lent = small_lend(client, node, req->has_data, req->data);
	node->removed = node->removed || req->last_name != 0;
	lease_known(client, node, req->number);
	node->recalled = max_u64(node->recalled, req->number);
	take_truncation(client, node, req);
	/* Attributes first: from here on no open happens without a call. */
	give_names(client, node, req->attr != 0, req->dir != 0, deadline_ns);
	if (lent)
		small_lease_lost(client, node);
	if (req->last_name && req->data_keep == LEASE_NONE && list_is_empty(&node->files) && node->writers_opening == 0)
		behind_discard(node); /* nobody will read it */
	int rc = give_data(client, node, req->data_keep, deadline_ns);
	if (rc == 0) {
		(void)atime_say(node, &rep->flags, &rep->atime_ns, &rep->atime_gen); /* again with the next message: this answer may be lost */
		if (req->attr)
			tell_opens(client, node, rep); /* without the lease nobody would ask before the file goes */
		if (req->data_keep != LEASE_PW) /* else the data is not stable, and its size a promise */
			fill_answer(client, node, req->number, arena, rep);
	}
	node_put(client, node);
	return rc;
}

int lease_serve_glimpse(struct client *client, const struct glimpse_req *req, struct glimpse_rep *rep)
{
	const struct node *node = node_find(client, req->ino);
	if (node != NULL) {
		fill_size(node, &rep->flags, &rep->size_gen, &rep->size_bytes, &rep->mtime_ns, &rep->blocks);
		(void)atime_say(node, &rep->flags, &rep->atime_ns, &rep->atime_gen); /* it is told another time, too */
	}
	return 0;
}
