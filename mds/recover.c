/* SPDX-License-Identifier: Apache-2.0
 * After a start: what memory mirrors is read back, clients reclaim their opens, then the target is up. And what becomes of what a
 * client held when it is gone.
 *
 *              store read           clients live               all have said done; who lives and has not is evicted
 *   STARTING ─────────────▶ (none live: UP)  RECOVERING ───────────────────────────────────────────────────▶ UP */
#include "mds/mds_impl.h"
#include "common/base/check.h"
#include "proto/rows.h"

#define GRACE_EXTRA_NS (15 * NS_PER_S) /* beyond the lease, for those who renew it: a few attempts that time out */
enum { SCAN_LIMIT = 1024, SCAN_BYTES = 512 * 1024 };

/* Visit every record that begins with `prefix`. Parks. */
static int each_record(struct mds *mds, struct key prefix, int (*visit)(struct mds *mds, const struct key_parts *parts, struct blob value))
{
	struct key start = prefix, end = key_end(prefix);
	int rc = 0;
	for (bool more = true; more && rc == 0;) {
		struct arena arena;
		arena_init(&arena);
		struct kv_pair *pairs = NULL;
		int count = mds->env->kv->ops->scan(mds->env->kv, key_blob(&start), key_blob(&end),
						    SCAN_LIMIT, SCAN_BYTES, &arena, &pairs, &more);
		rc = count < 0 ? count : 0;
		for (int i = 0; i < count && rc == 0; i++) {
			struct key_parts parts;
			rc = key_parse(pairs[i].key, &parts);
			if (rc == 0)
				rc = visit(mds, &parts, pairs[i].value);
			if (rc < 0)
				(void)mds_corrupt(mds, pairs[i].key, rc); /* logs; rc goes on */
		}
		if (count > 0 && rc == 0) {
			struct blob last = pairs[count - 1].key;
			CHECK(last.len < KEY_BYTES_MAX);
			memcpy(start.bytes, last.ptr, last.len);
			start.bytes[last.len] = 0; /* the first key behind it */
			start.len = (uint16_t)(last.len + 1);
		}
		more = more && count > 0;
		arena_fini(&arena);
	}
	return rc;
}

static int visit_reply(struct mds *mds, const struct key_parts *parts, struct blob value)
{
	struct reply_record record;
	int rc = reply_decode(value, &record);
	if (rc < 0)
		return rc;
	struct session *session = session_find(&mds->sessions, parts->number);
	if (session == NULL)
		session = session_add(&mds->sessions, parts->number);
	struct reply *reply = reply_add(session, parts->opno, parts->shard);
	reply_set(reply, value, 0);
	reply->recovered = reply->in_store = true;
	/* Whoever never got this answer will ask again and believe that the file is open. */
	if (record.handle != 0 && record.status == 0 && open_find(session, record.handle) == NULL)
		open_add(&mds->sessions, session, record.handle, record.ino, record.open_flags)->opno = parts->opno;
	return 0;
}

static int visit_writer(struct mds *mds, const struct key_parts *parts, struct blob value)
{
	uint64_t size_gen = 0;
	int rc = number_decode(value, &size_gen);
	if (rc < 0)
		return rc;
	if (session_find(&mds->sessions, parts->number) == NULL)
		(void)session_add(&mds->sessions, parts->number); /* which counts its marks */
	mark_add(&mds->sessions, parts->ino, parts->number, (uint32_t)size_gen, 0);
	return 0;
}

static int visit_purge(struct mds *mds, const struct key_parts *parts, struct blob value)
{
	(void)value;
	purge_add(mds, parts->ino);
	return 0;
}

static int visit_truncate(struct mds *mds, const struct key_parts *parts, struct blob value)
{
	(void)value;
	replay_truncate(mds, parts->ino); /* a task: it takes the gate before any request comes in */
	return 0;
}

static int load_number(struct mds *mds, struct key key, uint64_t *ret_number)
{
	struct arena arena;
	struct blob value;
	arena_init(&arena);
	int rc = mds->env->kv->ops->get(mds->env->kv, key_blob(&key), &arena, &value);
	if (rc == 0)
		rc = number_decode(value, ret_number);
	arena_fini(&arena);
	return rc == -ENOENT ? 0 : rc;
}

int recover_load(struct mds *mds)
{
	uint64_t time_ns = 0;
	int rc = load_number(mds, key_state("time"), &time_ns);
	if (rc == 0)
		rc = load_number(mds, key_state("inodes"), &mds->inodes);
	if ((int64_t)time_ns > mds->last_time_ns)
		mds->last_time_ns = (int64_t)time_ns;
	for (uint32_t shard = 0; shard < mds->sb.shard_count && rc == 0; shard++) {
		uint64_t next = 0;
		rc = load_number(mds, key_numbers((uint16_t)shard), &next);
		/* what was reserved and not given away before the restart is skipped: numbers are never used twice */
		mds->seqs[shard].next = mds->seqs[shard].limit = max_u64(next, 1);
		if (rc < 0 || next == 0)
			continue; /* nothing was ever born there */
		rc = each_record(mds, key_table((uint16_t)shard, TABLE_writer), visit_writer);
		if (rc == 0)
			rc = each_record(mds, key_table((uint16_t)shard, TABLE_purge), visit_purge);
		if (rc == 0)
			rc = each_record(mds, key_table((uint16_t)shard, TABLE_truncate), visit_truncate);
		if (rc == 0)
			rc = each_record(mds, key_table((uint16_t)shard, TABLE_reply), visit_reply);
	}
	return rc;
}

/* ---- clients -------------------------------------------------------------------------------------------------- */

int client_session(struct mds *mds, uint64_t client, struct session **ret_session)
{
	if (client == 0)
		return fail(ERR_no_session);
	if (cmap_is_evicted(mds->map, client) || (mds->mgs != NULL && !mgs_client_lives(mds->mgs, client)))
		return fail(ERR_evicted);
	struct session *session = session_find(&mds->sessions, client);
	if (session == NULL) {
		session = session_add(&mds->sessions, client);
		session->reclaimed = true; /* joined after the start: nothing to reclaim */
	}
	*ret_session = session;
	return 0;
}

static void recovered_one(struct mds *mds)
{
	CHECK(mds->grace_wait > 0);
	mds->grace_wait--;
	waitq_wake_all(&mds->state_changed);
}

/* Give back those opens of the session for which pick says so; their inodes are looked at in the background. */
static void drop_opens(struct mds *mds, struct session *session, bool (*pick)(const struct session *session, const struct open_file *open))
{
	struct open_file **picked = mem_alloc((session->opens.count + 1) * sizeof(struct open_file *));
	size_t count = 0;
	struct map_iter iter = map_iter_begin(&session->opens);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct open_file *open = CONTAINER_OF(node, struct open_file, node);
		if (pick(session, open))
			picked[count++] = open;
	}
	for (size_t i = 0; i < count; i++) {
		orphan_look(mds, picked[i]->file->ino);
		open_remove(&mds->sessions, picked[i]);
	}
	mem_free(picked);
}

static bool pick_all(const struct session *session, const struct open_file *open)
{
	(void)session;
	(void)open;
	return true;
}

/* From a record, answered, and not reclaimed: it has been closed. */
static bool pick_answered(const struct session *session, const struct open_file *open)
{
	return open->opno != 0 && open->opno < session->watermark;
}

void recover_client_done(struct mds *mds, struct session *session)
{
	if (session->reclaimed)
		return;
	session->reclaimed = true;
	lease_restore_marks(mds, session);
	drop_opens(mds, session, pick_answered);
	recovered_one(mds);
}

void client_gone(struct mds *mds, uint64_t client, bool lost)
{
	struct session *session = session_find(&mds->sessions, client);
	mds->counters.evictions += lost;
	mds->counters.leaves += !lost;
	if (session != NULL) {
		session->dead = true;
		if (!session->reclaimed)
			recovered_one(mds);
		session->reclaimed = true;
		lease_drop_session(mds, session);
		locks_drop_client(&mds->locks, client);
		drop_opens(mds, session, pick_all);
		session_remove(&mds->sessions, &mds->txn, session);
	}
	/* What it may have written is asked from the objects, behind the fence: our calls carry the epoch that says it is gone. */
	struct map_iter iter = map_iter_begin(&mds->sessions.files);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct file_state *file = CONTAINER_OF(node, struct file_state, node);
		list_for_each(at, &file->marks) {
			if (CONTAINER_OF(at, struct mark, link)->client == client)
				resolve_writer(mds, file->ino, client);
		}
	}
}

/* ---- orphans -------------------------------------------------------------------------------------------------- */

static int orphan_look_once(struct operation *op, struct ino ino)
{
	struct mds *mds = op->mds;
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, ino, &inode);
	if (rc < 0 || inode->nlink > 0)
		return rc;
	/* Those that only refer to it are asked whether they still do: grants that they have not heard of they cannot return. */
	if (!file_is_open(&mds->sessions, ino) && inode_is_used(mds, inode))
		rc = lease_recall(op, inode, lease_change_nameless(inode));
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (inode_is_used(mds, inode)) {
		file_find(&mds->sessions, ino)->orphan = true; /* also after a restart: the last of them comes back here */
		return 0;
	}
	op_erase(op, key_of(TABLE_orphan, ino));
	inode_destroy(op, inode);
	mds->counters.orphans_purged++;
	return 0;
}

static void look_at(struct mds *mds, struct ino ino)
{
	struct arena arena;
	struct operation op;
	arena_init(&arena);
	op_init(&op, mds, &arena, "orphan");
	(void)orphan_look_once(&op, ino); /* ESTALE: gone already; else the next start does it */
	op_fini(&op);
	arena_fini(&arena);
}

static void orphans_task(void *arg)
{
	struct mds *mds = arg;
	/* Others may use them and not have said so yet. */
	while (mds->identity.state == TARGET_RECOVERING && !mds->stopping)
		(void)waitq_wait(&mds->state_changed, mds->env->loop, UINT64_MAX); /* the end of grace, or ours */
	while (mds->orphan_count > 0 && !mds->stopping)
		look_at(mds, mds->orphans[--mds->orphan_count]);
	mds->orphans_running = false;
}

void orphan_look(struct mds *mds, struct ino ino)
{
	if (mds->orphan_count == mds->orphan_capacity) {
		mds->orphan_capacity = mds->orphan_capacity * 2 + 64;
		mds->orphans = mem_realloc(mds->orphans, mds->orphan_capacity * sizeof(mds->orphans[0]));
	}
	mds->orphans[mds->orphan_count++] = ino;
	if (mds->orphans_running)
		return;
	mds->orphans_running = true;
	task_spawn(mds->env->loop, "orphans", orphans_task, mds);
}

/* ---- grace ---------------------------------------------------------------------------------------------------- */

void mark_end(struct mds *mds, struct ino ino, uint64_t client)
{
	const struct file_state *file = file_find(&mds->sessions, ino);
	bool orphan = file != NULL && file->orphan;
	mark_remove(&mds->sessions, ino, client);
	if (orphan)
		orphan_look(mds, ino);
}

static int visit_orphan(struct mds *mds, const struct key_parts *parts, struct blob value)
{
	(void)value;
	orphan_look(mds, parts->ino);
	return 0;
}

struct dead_list {
	uint64_t *clients; /* owned */
	size_t count, capacity;
};

static void dead_add(struct mds *mds, struct dead_list *dead, uint64_t client)
{
	if (mds->mgs == NULL ? !cmap_is_evicted(mds->map, client) : mgs_client_lives(mds->mgs, client))
		return;
	for (size_t i = 0; i < dead->count; i++)
		if (dead->clients[i] == client)
			return;
	if (dead->count == dead->capacity) {
		dead->capacity = dead->capacity * 2 + 16;
		dead->clients = mem_realloc(dead->clients, dead->capacity * sizeof(uint64_t));
	}
	dead->clients[dead->count++] = client;
}

/* Clients that were gone before the restart, and whose leavings were not cleared away yet. */
static void clear_dead(struct mds *mds)
{
	struct dead_list dead = {0};
	struct map_iter iter = map_iter_begin(&mds->sessions.by_client);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		dead_add(mds, &dead, CONTAINER_OF(node, struct session, node)->client);
	iter = map_iter_begin(&mds->sessions.files);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		list_for_each(at, &CONTAINER_OF(node, struct file_state, node)->marks)
			dead_add(mds, &dead, CONTAINER_OF(at, struct mark, link)->client);
	for (size_t i = 0; i < dead.count; i++) {
		struct session *session = session_find(&mds->sessions, dead.clients[i]);
		if (session != NULL)
			session->reclaimed = true; /* nobody waits for it */
		client_gone(mds, dead.clients[i], true);
		mds->counters.evictions--; /* it was counted in its time */
	}
	mem_free(dead.clients);
}

/* One that lives and has not said what it has open: it believes in opens that we are about to forget, so it has to be told. */
static bool evict_silent_one(struct mds *mds)
{
	struct map_iter iter = map_iter_begin(&mds->sessions.by_client);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		const struct session *session = CONTAINER_OF(node, struct session, node);
		if (!session->reclaimed)
			return mgs_evict(mds, session->client, "a client is evicted: it has not reclaimed its opens after our restart");
	}
	return false;
}

static void grace_task(void *arg)
{
	struct mds *mds = arg;
	while (mds->grace_wait > 0 && env_now_ns(mds->env) < mds->grace_until_ns && !mds->stopping)
		(void)waitq_wait(&mds->state_changed, mds->env->loop, mds->grace_until_ns); /* either way we look again */
	while (mds->grace_wait > 0 && !mds->stopping && mds->mgs != NULL && evict_silent_one(mds))
		;
	if (mds->stopping || mds->txn.failed < 0)
		return;
	mds_set_state(mds, TARGET_UP);
	for (uint32_t shard = 0; shard < mds->sb.shard_count && !mds->stopping; shard++)
		if (mds->seqs[shard].limit > 1)
			(void)each_record(mds, key_table((uint16_t)shard, TABLE_orphan), visit_orphan); /* what failed stays for the next start */
}

static void expect(void *ctx, uint64_t client)
{
	struct mds *mds = ctx;
	struct session *session = session_find(&mds->sessions, client);
	if (session == NULL)
		session = session_add(&mds->sessions, client);
	session->reclaimed = false;
	mds->grace_wait++;
}

void recover_begin(struct mds *mds)
{
	clear_dead(mds);
	if (mds->mgs != NULL) {
		mgs_each_client(mds->mgs, expect, mds);
	} else {
		struct map_iter iter = map_iter_begin(&mds->sessions.by_client);
		for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
			expect(mds, CONTAINER_OF(node, struct session, node)->client);
	}
	mds->grace_until_ns = env_now_ns(mds->env) + mds->conf.lease_ns + GRACE_EXTRA_NS;
	mds_set_state(mds, TARGET_RECOVERING);
	task_spawn(mds->env->loop, "grace", grace_task, mds);
}
