/* SPDX-License-Identifier: Apache-2.0
 * Leases: grants, recalls, glimpses. */
#include "mds/lease.h"
#include "common/base/check.h"
#include "mds/mds_impl.h"

#include <sys/stat.h>

#define RECALL_ATTEMPT_NS (2 * NS_PER_S)
#define RECALL_RETRY_NS   (5 * NS_PER_MS)
#define HOT_NS            (200 * NS_PER_MS) /* what was recalled just now is not granted again: its cache would not live long enough to pay */

/* ---- hot inodes ------------------------------------------------------------------------------------------------ */

static struct hot *hot_of(struct mds *mds, struct ino ino)
{
	return &mds->hot[map_hash_u64(ino.v) % HOT_SLOTS];
}

static void make_hot(struct mds *mds, struct ino ino)
{
	*hot_of(mds, ino) = (struct hot){ino, env_now_ns(mds->env) + HOT_NS};
}

static bool is_hot(struct mds *mds, struct ino ino)
{
	const struct hot *hot = hot_of(mds, ino);
	return ino_eq(hot->ino, ino) && hot->until_ns > env_now_ns(mds->env);
}

/* ---- grants ---------------------------------------------------------------------------------------------------- */

static bool is_marked_by_others(const struct operation *op, struct ino ino)
{
	const struct file_state *file = file_find(&op->mds->sessions, ino);
	if (file == NULL)
		return false;
	list_for_each(node, &file->marks)
		if (CONTAINER_OF(node, struct mark, link)->client != op->client)
			return true;
	return false;
}

uint8_t lease_of_others(const struct operation *op, struct ino ino)
{
	const struct file_state *file = file_find(&op->mds->sessions, ino);
	uint8_t strongest = LEASE_NONE;
	if (file == NULL)
		return LEASE_NONE;
	list_for_each(node, &file->holds) {
		const struct hold *hold = CONTAINER_OF(node, struct hold, file_link);
		if (hold->session->client == op->client)
			continue;
		/* Those that write come before those that read. */
		if (hold->data == LEASE_PW || (hold->data == LEASE_CW && strongest != LEASE_PW) || strongest == LEASE_NONE ||
		    (hold->data == LEASE_PR && strongest == LEASE_CR))
			strongest = hold->data;
	}
	return strongest;
}

bool lease_is_free(const struct operation *op, struct ino ino, uint8_t data)
{
	const struct file_state *file = file_find(&op->mds->sessions, ino);
	if (file == NULL)
		return true;
	list_for_each(node, &file->holds) {
		const struct hold *hold = CONTAINER_OF(node, struct hold, file_link);
		if (hold->session->client == op->client)
			continue;
		if (!lease_goes_with(hold->data, data) || (lease_writes(data) && hold->attr))
			return false;
	}
	return data == LEASE_NONE || !is_marked_by_others(op, ino);
}

/* The data is here, and not in the objects: it may have come here with the answer to the very recall that was to leave a right to go through. */
static bool goes_past_inline(const struct inode *inode, uint8_t data)
{
	return (inode->flags & INODE_INLINE) != 0 && data != LEASE_NONE && !lease_caches(data);
}

struct lease lease_grant(struct operation *op, const struct inode *inode, bool dir, uint8_t data)
{
	struct mds *mds = op->mds;
	if (op->session == NULL || op->session->dead || mds->identity.state != TARGET_UP)
		return (struct lease){0};
	dir = dir && !is_hot(mds, inode->ino);
	struct hold *hold = hold_find(file_find(&mds->sessions, inode->ino), op->client);
	/* Who may write alone is asked for that anyhow before others get at the data: its attributes cost no recall of their own. */
	bool writes_alone = data == LEASE_PW || (hold != NULL && hold->data == LEASE_PW);
	bool attr = !is_marked_by_others(op, inode->ino) && (writes_alone || !is_hot(mds, inode->ino));
	if (hold == NULL && !attr && !dir && data == LEASE_NONE && S_ISREG(inode->mode))
		return (struct lease){0};
	if (hold == NULL)
		hold = hold_need(&mds->sessions, op->session, inode->ino);
	bool alone = hold->data == LEASE_PW;
	hold_set(hold, hold->attr || attr, hold->dir || dir, data != LEASE_NONE ? data : hold->data);
	hold->number = ++op->session->grants;
	if (data == LEASE_PW && !alone)
		hold->alone_since = hold->number;
	/* The right may be one that another operation has just given, whose mark is still being written. */
	const struct mark *mark = lease_writes(hold->data) ? mark_find(&mds->sessions, inode->ino, op->client) : NULL;
	if (mark != NULL)
		op->seen = max_u64(op->seen, mark->batch);
	mds->counters.grants++;
	/* Nothing goes through to the objects of what lives with its inode, whatever we have kept of an older right. */
	uint8_t told = goes_past_inline(inode, hold->data) ? LEASE_NONE : hold->data;
	return (struct lease){.number = hold->number, .attr_mode = hold->attr, .dir_mode = hold->dir, .data_mode = told};
}

bool lease_end_write(struct operation *op, struct ino ino, uint64_t number)
{
	struct hold *hold = hold_find(file_find(&op->mds->sessions, ino), op->client);
	if (hold == NULL)
		return true;
	if (hold->number != number)
		return false; /* a newer grant is on its way: by that one it may write */
	hold_set(hold, hold->attr, hold->dir, lease_kept(hold->data, LEASE_PR));
	return true;
}

struct lease_change lease_change_removal(const struct inode *inode)
{
	bool is_dir = S_ISDIR(inode->mode), is_last = is_dir || inode->nlink == 1;
	return (struct lease_change){.attr = true, .dir = is_dir, .data_keep = LEASE_PW, .last_name = is_last && !S_ISREG(inode->mode)};
}

struct lease_change lease_change_nameless(const struct inode *inode)
{
	return (struct lease_change){.data_keep = S_ISREG(inode->mode) ? LEASE_NONE : LEASE_PW, .last_name = true};
}

static void hold_drop(struct mds *mds, struct hold *hold)
{
	struct ino ino = hold->file->ino;
	if (hold->file->orphan)
		orphan_look(mds, ino);
	hold_remove(&mds->sessions, hold);
}

bool lease_may_place(const struct operation *op, struct ino ino, uint64_t number)
{
	const struct hold *hold = hold_find(file_find(&op->mds->sessions, ino), op->client);
	return hold != NULL && hold->data == LEASE_PW && number >= hold->alone_since;
}

/* ---- recalls --------------------------------------------------------------------------------------------------- */

/* A recall from several clients at once. */
struct recall {
	struct operation *op;
	struct ino ino;
	const struct inode *inode;
	struct lease_change change;
	struct task *parent;
	uint32_t running;
	int rc;
};
struct recall_one {
	struct recall *recall;
	uint64_t client;
	bool answered;             /* else it is gone */
	struct lease_recall_rep rep;
	struct arena arena;        /* of rep */
};

static bool stands_in_the_way(const struct hold *hold, const struct lease_change *change)
{
	return change->last_name || (change->attr && hold->attr) || (change->dir && hold->dir) ||
	       lease_kept(hold->data, change->data_keep) != hold->data;
}

static struct hold *hold_of(struct mds *mds, uint64_t client, struct ino ino)
{
	return hold_find(file_find(&mds->sessions, ino), client);
}

/* Repeats until the client has answered or is gone. Parks. */
static int recall_from(struct recall_one *one)
{
	struct recall *recall = one->recall;
	struct mds *mds = recall->op->mds;
	uint64_t heard_ns = env_now_ns(mds->env);
	struct blob data = {0};
	uint8_t has_data = DATA_PLACE_UNKNOWN;
	while (!mds->stopping && mds->txn.failed == 0) {
		const struct hold *hold = hold_of(mds, one->client, recall->ino);
		if (hold == NULL)
			return 0; /* it is gone, evicted or has left, and its leases with it */
		struct lease_recall_req req = {
			.ino = recall->ino,
			.number = hold->number,
			.attr = recall->change.attr,
			.dir = recall->change.dir,
			.data_keep = recall->change.data_keep,
			.last_name = recall->change.last_name,
			.size_gen = recall->inode->size_gen,
			.size_bytes = recall->inode->size_bytes,
			.has_data = has_data,
			.data = data,
		};
		mds->counters.recalls++;
		int rc = rpc_call_back(mds->rpc, one->client, OP_lease_recall, &req, &one->rep,
				       &(struct rpc_args){.arena = &one->arena, .timeout_ns = RECALL_ATTEMPT_NS});
		if (rc == 0 && one->rep.wants_data && has_data == DATA_PLACE_UNKNOWN) {
			rc = inline_load(recall->op, recall->inode, &data);
			if (rc < 0)
				return rc;
			has_data = (recall->inode->flags & INODE_INLINE) != 0 ? DATA_INLINE : DATA_AT_OBJECTS;
			continue;
		}
		if (rc == 0) {
			one->answered = true;
			return 0;
		}
		uint64_t now_ns = env_now_ns(mds->env);
		if (rc == -ERR_in_progress)
			heard_ns = now_ns; /* it saves its data: as long as it says so, it may take its time */
		if (now_ns - heard_ns > mds->conf.lease_ns && mds->mgs != NULL) {
			mds->counters.recall_evictions++;
			(void)mgs_evict(mds, one->client, "a client is evicted: it does not give a lease back that others need"); /* looks again */
		}
		if (rc == -ERR_conn_lost)
			(void)rpc_wait_for_client(mds->rpc, one->client, now_ns + 20 * RECALL_RETRY_NS); /* either way */
		else
			task_sleep(mds->env->loop, RECALL_RETRY_NS);
	}
	return fail(ERR_not_ready);
}

static void recall_task(void *arg)
{
	struct recall_one *one = arg;
	struct recall *recall = one->recall;
	int rc = recall_from(one);
	recall->rc = recall->rc < 0 ? recall->rc : rc;
	if (--recall->running == 0)
		task_wake(recall->parent);
}

/* What the client has written is stable, or here, and this long: into the inode. What one says that had given it up before is old. Does not park. */
static void take_size(struct operation *op, struct inode *inode, const struct hold *hold, const struct lease_recall_rep *rep)
{
	bool changed = false;
	if ((rep->flags & SIZE_VALID) == 0 || !S_ISREG(inode->mode))
		return;
	/* A size of before a truncation is refused there, and rightly. */
	if (inode_publish(op, inode, rep->flags, rep->size_gen, rep->size_bytes, rep->mtime_ns, rep->blocks, &changed) < 0)
		return;
	if (hold->data == LEASE_PW)
		changed = inline_take(op, inode, rep->flags, rep->data) || changed;
	if (changed)
		op_save(op, inode);
}

static void take_atime(struct operation *op, struct inode *inode, const struct lease_recall_rep *rep)
{
	if ((rep->flags & SIZE_ATIME) != 0 && inode_raise_atime(inode, rep->atime_ns, rep->atime_gen))
		op_save(op, inode);
}

static void take_answer(struct operation *op, struct inode *inode, const struct lease_change *change, struct recall_one *one)
{
	struct mds *mds = op->mds;
	struct hold *hold = hold_of(mds, one->client, inode->ino);
	if (!one->answered || hold == NULL)
		return;
	take_size(op, inode, hold, &one->rep);
	take_atime(op, inode, &one->rep);
	uint8_t left = lease_kept(hold->data, change->data_keep);
	if (goes_past_inline(inode, left))
		left = LEASE_NONE; /* which is what the client made of it */
	if (lease_writes(hold->data) && !lease_writes(left)) {
		op_erase(op, key_writer(inode->ino, one->client));
		mark_end(mds, inode->ino, one->client);
	}
	if (one->rep.handle != 0)
		(void)open_add(&mds->sessions, hold->session, one->rep.handle, inode->ino, OPEN_READ); /* closed by its handle */
	hold_set(hold, hold->attr && !change->attr, hold->dir && !change->dir, left);
	bool known = one->rep.known != 0 && !S_ISREG(inode->mode);
	if (!hold->attr && !hold->dir && hold->data == LEASE_NONE && !known)
		hold_drop(mds, hold);
}

int lease_recall(struct operation *op, struct inode *inode, struct lease_change change)
{
	struct mds *mds = op->mds;
	const struct file_state *file = file_find(&mds->sessions, inode->ino);
	size_t count = 0;
	if (file == NULL)
		return 0;
	list_for_each(node, &file->holds)
		count++;
	struct recall_one *ones = arena_alloc(op->arena, count * sizeof(*ones));
	struct recall recall = {.op = op, .ino = inode->ino, .inode = inode, .change = change, .parent = op->task};
	count = 0;
	list_for_each(node, &file->holds) {
		const struct hold *hold = CONTAINER_OF(node, struct hold, file_link);
		if (hold->session->client != op->client && stands_in_the_way(hold, &change))
			ones[count++] = (struct recall_one){.recall = &recall, .client = hold->session->client};
	}
	if (count == 0)
		return 0;
	op_step(op, "recall");
	make_hot(mds, inode->ino);
	for (size_t i = 0; i < count; i++) {
		arena_init(&ones[i].arena);
		recall.running++;
		task_spawn(mds->env->loop, "recall", recall_task, &ones[i]);
	}
	while (recall.running > 0)
		task_park(mds->env->loop);
	for (size_t i = 0; i < count; i++) {
		if (recall.rc == 0)
			take_answer(op, inode, &change, &ones[i]);
		arena_fini(&ones[i].arena);
	}
	return recall.rc;
}

/* ---- glimpses -------------------------------------------------------------------------------------------------- */

static struct hold *writer_alone(const struct operation *op, struct ino ino)
{
	const struct file_state *file = file_find(&op->mds->sessions, ino);
	if (file == NULL)
		return NULL;
	list_for_each(node, &file->holds) {
		struct hold *hold = CONTAINER_OF(node, struct hold, file_link);
		if (hold->session->client != op->client && hold->data == LEASE_PW)
			return hold;
	}
	return NULL;
}

bool lease_size_is_elsewhere(const struct operation *op, struct ino ino)
{
	return is_marked_by_others(op, ino);
}

/* 1: asked; 0: nobody writes alone (any more). Parks. */
static int glimpse(struct operation *op, struct ino ino, struct glimpse_rep *ret_rep)
{
	struct mds *mds = op->mds;
	const struct hold *hold;
	while ((hold = writer_alone(op, ino)) != NULL) {
		struct glimpse_req req = {.ino = ino};
		uint64_t client = hold->session->client;
		op_step(op, "glimpse");
		mds->counters.glimpses++;
		int rc = rpc_call_back(mds->rpc, client, OP_glimpse, &req, ret_rep, &(struct rpc_args){.timeout_ns = RECALL_ATTEMPT_NS});
		if (rc == 0)
			return 1;
		if (mds->stopping || mds->txn.failed < 0)
			return fail(ERR_not_ready);
		/* The caller asks again: it, too, may have been interrupted meanwhile. */
		if (env_now_ns(mds->env) > op->deadline_ns)
			return fail(ERR_busy);
		if (rc == -ERR_conn_lost)
			(void)rpc_wait_for_client(mds->rpc, client, env_now_ns(mds->env) + 20 * RECALL_RETRY_NS); /* either way */
		else
			task_sleep(mds->env->loop, RECALL_RETRY_NS);
	}
	return 0;
}

int lease_attr(struct operation *op, const struct inode *inode, struct attr *ret_attr)
{
	struct glimpse_rep rep = {0};
	if (S_ISREG(inode->mode) && is_marked_by_others(op, inode->ino)) {
		if (op->mds->identity.state != TARGET_UP)
			return fail(ERR_grace); /* who writes it may not have said so yet */
		int rc = glimpse(op, inode->ino, &rep);
		if (rc < 0)
			return rc;
		*ret_attr = inode_attr(op->mds, inode, op->client);
		bool has_size = (rep.flags & SIZE_VALID) != 0;
		if ((rep.flags & SIZE_ATIME) != 0 && rep.atime_gen == ret_attr->atime_gen && rep.atime_ns > ret_attr->atime_ns)
			ret_attr->atime_ns = rep.atime_ns;
		if (rc == 0 || (has_size && rep.size_gen != ret_attr->size_gen))
			return 0;
		/* Whoever writes alone has said how long the file is, or that we know it. Objects may have more by now: a write whose answer is still on its
		 * way, and that nobody sees at the writer's yet. */
		ret_attr->flags &= ~(uint32_t)(ATTR_SIZE_AT_OBJECTS | ATTR_WRITERS_SELF);
		if (!has_size)
			return 0;
		ret_attr->size_bytes = max_u64(ret_attr->size_bytes, rep.size_bytes);
		ret_attr->blocks = rep.blocks != 0 || (rep.flags & SIZE_BLOCKS) != 0 ? rep.blocks : ret_attr->blocks;
		if (rep.mtime_ns > inode->modified_ns) {
			ret_attr->mtime_ns = rep.mtime_ns;
			ret_attr->ctime_ns = rep.mtime_ns > ret_attr->ctime_ns ? rep.mtime_ns : ret_attr->ctime_ns;
		}
		return 0;
	}
	*ret_attr = inode_attr(op->mds, inode, op->client);
	return 0;
}

/* ---- what clients say of theirs -------------------------------------------------------------------------------- */

void lease_restore(struct sessions *sessions, struct session *session, const struct lease_row *row)
{
	struct hold *hold = hold_need(sessions, session, row->ino);
	hold->number = row->lease.number;
	hold_set(hold, row->lease.attr_mode != LEASE_NONE, row->lease.dir_mode != LEASE_NONE, row->lease.data_mode);
}

void lease_restore_marks(struct mds *mds, struct session *session)
{
	struct map_iter iter = map_iter_begin(&mds->sessions.files);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct file_state *file = CONTAINER_OF(node, struct file_state, node);
		if (mark_find(&mds->sessions, file->ino, session->client) == NULL)
			continue;
		struct hold *hold = hold_need(&mds->sessions, session, file->ino);
		if (lease_writes(hold->data))
			continue;
		bool alone = list_first(&file->marks)->next == &file->marks.head;
		hold_set(hold, hold->attr, hold->dir, alone ? LEASE_PW : LEASE_CW);
		hold->number = ++session->grants;
	}
}

void lease_returned(struct mds *mds, struct session *session, const struct lease_row *row)
{
	struct hold *hold = hold_find(file_find(&mds->sessions, row->ino), session->client);
	if (hold == NULL)
		return;
	/* A right to write goes with its mark, by set_size or close. */
	if (hold->number == row->lease.number && !lease_writes(hold->data))
		hold_drop(mds, hold);
	else if (hold->file->orphan) /* it may never have heard of the last grant */
		orphan_look(mds, row->ino);
}

void lease_drop_session(struct mds *mds, struct session *session)
{
	struct list_node *node;
	while ((node = list_first(&session->holds)) != NULL)
		hold_drop(mds, CONTAINER_OF(node, struct hold, session_link));
}

void lease_drop_inode(struct sessions *sessions, struct ino ino)
{
	struct file_state *file = file_find(sessions, ino);
	while (file != NULL && !list_is_empty(&file->holds)) {
		hold_remove(sessions, CONTAINER_OF(list_first(&file->holds), struct hold, file_link));
		file = file_find(sessions, ino);
	}
}
