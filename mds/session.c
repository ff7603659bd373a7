/* SPDX-License-Identifier: Apache-2.0
 * Sessions, replies, opens, marks. */
#include "mds/session.h"
#include "common/base/check.h"

void sessions_init(struct sessions *sessions)
{
	*sessions = (struct sessions){0};
	map_init(&sessions->by_client);
	map_init(&sessions->files);
}

struct session *session_find(struct sessions *sessions, uint64_t client)
{
	struct map_node *node = map_first(&sessions->by_client, map_hash_u64(client));
	return node != NULL ? CONTAINER_OF(node, struct session, node) : NULL; /* the hash of distinct u64 is distinct */
}

struct session *session_add(struct sessions *sessions, uint64_t client)
{
	struct session *session = mem_alloc(sizeof(*session));
	session->client = client;
	session->refs = 1;
	map_init(&session->replies);
	map_init(&session->opens);
	list_init(&session->reply_order);
	list_init(&session->holds);
	session->grants = sessions->first_grant;
	map_insert(&sessions->by_client, &session->node, map_hash_u64(client));
	return session;
}

void session_get(struct session *session)
{
	session->refs++;
}

static void session_free(struct session *session)
{
	struct list_node *node;
	while ((node = list_first(&session->reply_order)) != NULL)
		reply_remove(session, CONTAINER_OF(node, struct reply, link));
	map_fini(&session->replies);
	map_fini(&session->opens);
	mem_free(session);
}

void session_put(struct session *session)
{
	if (--session->refs == 0)
		session_free(session);
}

void session_remove(struct sessions *sessions, struct txn *txn, struct session *session)
{
	session->dead = true;
	session->watermark = UINT64_MAX;
	session_trim(session, txn);
	map_remove(&sessions->by_client, &session->node);
	session_put(session);
}

/* ---- replies -------------------------------------------------------------------------------------------------- */

struct reply *reply_find(struct session *session, uint64_t opno)
{
	struct map_node *node = map_first(&session->replies, map_hash_u64(opno));
	return node != NULL ? CONTAINER_OF(node, struct reply, node) : NULL;
}

struct reply *reply_add(struct session *session, uint64_t opno, uint16_t shard)
{
	struct reply *reply = mem_alloc(sizeof(*reply));
	reply->opno = opno;
	reply->shard = shard;
	waitq_init(&reply->done);
	map_insert(&session->replies, &reply->node, map_hash_u64(opno));
	list_push_back(&session->reply_order, &reply->link);
	return reply;
}

void reply_set(struct reply *reply, struct blob value, uint64_t batch)
{
	mem_free(reply->value);
	reply->value = mem_dup(value.ptr, value.len);
	reply->value_len = value.len;
	reply->batch = batch;
}

void reply_remove(struct session *session, struct reply *reply)
{
	if (!reply->unlinked) {
		map_remove(&session->replies, &reply->node);
		list_remove(&reply->link);
		reply->unlinked = true;
	}
	if (reply->waiters > 0)
		return; /* the last of them calls again */
	mem_free(reply->value);
	mem_free(reply);
}

void session_trim(struct session *session, struct txn *txn)
{
	list_for_each_safe(node, tmp, &session->reply_order) {
		struct reply *reply = CONTAINER_OF(node, struct reply, link);
		if (reply->opno >= session->watermark || reply->running)
			continue;
		if (reply->in_store) {
			struct key key = key_reply(reply->shard, session->client, reply->opno);
			txn_erase(txn, &key);
		}
		reply_remove(session, reply);
	}
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

struct file_state *file_find(const struct sessions *sessions, struct ino ino)
{
	struct map_node *node = map_first(&sessions->files, map_hash_u64(ino.v));
	return node != NULL ? CONTAINER_OF(node, struct file_state, node) : NULL;
}

static struct file_state *file_need(struct sessions *sessions, struct ino ino)
{
	struct file_state *file = file_find(sessions, ino);
	if (file != NULL)
		return file;
	file = mem_alloc(sizeof(*file));
	file->ino = ino;
	list_init(&file->opens);
	list_init(&file->marks);
	list_init(&file->holds);
	map_insert(&sessions->files, &file->node, map_hash_u64(ino.v));
	return file;
}

static void file_settle(struct sessions *sessions, struct file_state *file)
{
	if (!list_is_empty(&file->opens) || !list_is_empty(&file->marks) || !list_is_empty(&file->holds))
		return;
	map_remove(&sessions->files, &file->node);
	mem_free(file);
}

struct hold *hold_find(const struct file_state *file, uint64_t client)
{
	if (file == NULL)
		return NULL;
	list_for_each(node, &file->holds) {
		struct hold *hold = CONTAINER_OF(node, struct hold, file_link);
		if (hold->session->client == client)
			return hold;
	}
	return NULL;
}

struct hold *hold_need(struct sessions *sessions, struct session *session, struct ino ino)
{
	struct file_state *file = file_need(sessions, ino);
	struct hold *hold = hold_find(file, session->client);
	if (hold != NULL)
		return hold;
	hold = mem_alloc(sizeof(*hold));
	hold->session = session;
	hold->file = file;
	list_push_back(&file->holds, &hold->file_link);
	list_push_back(&session->holds, &hold->session_link);
	session->hold_count++;
	session->data_counts[LEASE_NONE]++;
	sessions->hold_count++;
	return hold;
}

void hold_set(struct hold *hold, bool attr, bool dir, uint8_t data)
{
	struct session *session = hold->session;
	session->attr_count = session->attr_count - hold->attr + attr;
	session->dir_count = session->dir_count - hold->dir + dir;
	session->data_counts[hold->data]--;
	session->data_counts[data]++;
	hold->attr = attr;
	hold->dir = dir;
	hold->data = data;
}

void hold_remove(struct sessions *sessions, struct hold *hold)
{
	hold_set(hold, false, false, LEASE_NONE);
	hold->session->data_counts[LEASE_NONE]--;
	list_remove(&hold->file_link);
	list_remove(&hold->session_link);
	hold->session->hold_count--;
	sessions->hold_count--;
	file_settle(sessions, hold->file);
	mem_free(hold);
}

struct open_file *open_find(struct session *session, uint64_t handle)
{
	struct map_node *node = map_first(&session->opens, map_hash_u64(handle));
	return node != NULL ? CONTAINER_OF(node, struct open_file, node) : NULL;
}

struct open_file *open_add(struct sessions *sessions, struct session *session, uint64_t handle, struct ino ino, uint32_t flags)
{
	struct open_file *open = open_find(session, handle);
	if (open != NULL)
		return open;
	open = mem_alloc(sizeof(*open));
	open->session = session;
	open->handle = handle;
	open->flags = flags;
	open->file = file_need(sessions, ino);
	map_insert(&session->opens, &open->node, map_hash_u64(handle));
	list_push_back(&open->file->opens, &open->file_link);
	sessions->open_count++;
	return open;
}

void open_remove(struct sessions *sessions, struct open_file *open)
{
	map_remove(&open->session->opens, &open->node);
	list_remove(&open->file_link);
	file_settle(sessions, open->file);
	mem_free(open);
	sessions->open_count--;
}

bool file_is_open(struct sessions *sessions, struct ino ino)
{
	struct file_state *file = file_find(sessions, ino);
	return file != NULL && !list_is_empty(&file->opens);
}

bool file_is_open_for_write(struct sessions *sessions, struct ino ino, uint64_t client)
{
	struct file_state *file = file_find(sessions, ino);
	if (file == NULL)
		return false;
	list_for_each(node, &file->opens) {
		struct open_file *open = CONTAINER_OF(node, struct open_file, file_link);
		if (open->session->client == client && (open->flags & OPEN_WRITE))
			return true;
	}
	return false;
}

struct mark *mark_find(const struct sessions *sessions, struct ino ino, uint64_t client)
{
	struct file_state *file = file_find(sessions, ino);
	if (file == NULL)
		return NULL;
	list_for_each(node, &file->marks) {
		struct mark *mark = CONTAINER_OF(node, struct mark, link);
		if (mark->client == client)
			return mark;
	}
	return NULL;
}

void mark_add(struct sessions *sessions, struct ino ino, uint64_t client, uint32_t size_gen, uint64_t batch)
{
	struct mark *mark = mark_find(sessions, ino, client);
	if (mark == NULL) {
		mark = mem_alloc(sizeof(*mark));
		mark->client = client;
		list_push_back(&file_need(sessions, ino)->marks, &mark->link);
		sessions->mark_count++;
		struct session *session = session_find(sessions, client);
		if (session != NULL)
			session->mark_count++;
	}
	mark->size_gen = size_gen;
	mark->batch = batch;
}

void mark_remove(struct sessions *sessions, struct ino ino, uint64_t client)
{
	struct mark *mark = mark_find(sessions, ino, client);
	if (mark == NULL)
		return;
	list_remove(&mark->link);
	mem_free(mark);
	sessions->mark_count--;
	struct session *session = session_find(sessions, client);
	if (session != NULL && session->mark_count > 0) /* 0: of a session that has ended, and the same client has said something late */
		session->mark_count--;
	file_settle(sessions, file_find(sessions, ino));
}

void sessions_fini(struct sessions *sessions)
{
	struct map_iter iter = map_iter_begin(&sessions->by_client);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct session *session = CONTAINER_OF(node, struct session, node);
		struct map_iter opens = map_iter_begin(&session->opens);
		for (struct map_node *open; (open = map_iter_next(&opens)) != NULL;)
			open_remove(sessions, CONTAINER_OF(open, struct open_file, node));
		struct list_node *hold;
		while ((hold = list_first(&session->holds)) != NULL)
			hold_remove(sessions, CONTAINER_OF(hold, struct hold, session_link));
		session_free(session);
	}
	iter = map_iter_begin(&sessions->files);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct file_state *file = CONTAINER_OF(node, struct file_state, node);
		struct list_node *mark;
		while ((mark = list_pop_front(&file->marks)) != NULL)
			mem_free(CONTAINER_OF(mark, struct mark, link));
		mem_free(file);
	}
	map_fini(&sessions->by_client);
	map_fini(&sessions->files);
}
