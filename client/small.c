/* SPDX-License-Identifier: Apache-2.0
 * Small files: while we may cache a file's data, and it lives with its inode, we have all of it here. Reads and writes are memory's; what was
 * written travels with the publication of the size, or with the answer to a recall. A file that outgrows this moves to its objects.
 *
 * What is missing from the data to the file's size is zeros. Data that was given away with an answer stays until the MDT has told by a later
 * answer that it has it: the answer may be lost, and the recall repeated. */
#include "client/client_impl.h"

#include <inttypes.h>

enum {
	SMALL_CACHE_BYTES = 64 * MIB,     /* of all files together; what is not saved yet does not go */
	SMALL_DIRTY_BYTES_MAX = 32 * MIB, /* not saved: beyond, writers wait */
	PAGE_BYTES = 4096,
	MOVE_STEP_BYTES = INLINE_BYTES_MAX - 1024, /* of one message to an OST */
};

/* A tiny file holds back a page's memory, too. */
static uint64_t held_back(const struct client *client)
{
	return max_u64(client->small_dirty_bytes, client->small_dirty_files * PAGE_BYTES);
}

static void set_dirty(struct client *client, struct node *node, bool dirty)
{
	if (node->small_dirty) {
		client->small_dirty_bytes -= node->small_dirty_len;
		client->small_dirty_files--;
	}
	node->small_dirty = dirty;
	node->small_dirty_len = node->small_len;
	if (dirty) {
		client->small_dirty_bytes += node->small_dirty_len;
		client->small_dirty_files++;
	}
	if (held_back(client) <= SMALL_DIRTY_BYTES_MAX)
		waitq_wake_all(&client->small_room);
}

static void forget_data(struct client *client, struct node *node)
{
	if (node->small == NULL)
		return;
	client->small_bytes -= node->small_capacity;
	list_remove(&node->small_link);
	mem_free(node->small);
	node->small = NULL;
	node->small_len = node->small_capacity = 0;
}

static bool is_used(const struct node *node)
{
	return node->small_dirty || node->small_moving || node->truncating || node->writes_running > 0 || node->reads_running > 0 ||
	       node->reads_filling > 0;
}

/* The longest here first. A read that fills pages must find the data while the lease is being given back, when nobody can be asked: so pages and
 * the right to them go first. */
static void make_room(struct client *client)
{
	uint64_t left = client->small_bytes;
	list_for_each_safe(at, tmp, &client->small_nodes) {
		struct node *node = CONTAINER_OF(at, struct node, small_link);
		if (left <= SMALL_CACHE_BYTES)
			return;
		if (is_used(node) || node->lease.data_mode == LEASE_PW || node->giving)
			continue;
		left -= node->small_capacity;
		if (node->pages)
			lease_give_up(client, node);
		else
			lease_set_data_mode(client, node, LEASE_NONE); /* the MDT believes that we have more, which does no harm */
	}
}

/* Room for len bytes, at the end of the line of those that are forgotten first. */
static void need_room(struct client *client, struct node *node, uint32_t len)
{
	uint32_t capacity = node->small_capacity;
	if (capacity >= len && node->small != NULL)
		return;
	if (node->small != NULL)
		list_remove(&node->small_link);
	capacity = (uint32_t)min_u64(max_u64(round_up(max_u64(len, 1), PAGE_BYTES), capacity * 2ULL), SMALL_BYTES_MAX);
	client->small_bytes += capacity - node->small_capacity;
	node->small = mem_realloc(node->small, capacity);
	node->small_capacity = capacity;
	list_push_back(&client->small_nodes, &node->small_link);
}

static void set_data(struct client *client, struct node *node, struct blob data)
{
	need_room(client, node, (uint32_t)data.len);
	if (data.len > 0)
		memcpy(node->small, data.ptr, data.len);
	node->small_len = (uint32_t)data.len;
	node->small_version++;
	node->data_place = DATA_INLINE;
}

void small_take(struct client *client, struct node *node, const struct lease *lease, uint8_t has_data, struct blob data)
{
	bool applied = lease->number != 0 && node->lease.number == lease->number && lease_caches(node->lease.data_mode);
	if (!applied || node->data_place != DATA_PLACE_UNKNOWN)
		return;
	/* A grant by the same boot as the recall that was answered with it: the answer has come. Else it is told first. */
	if (small_is_pending(node) && node->small_told >> 32 == lease->number >> 32) {
		set_dirty(client, node, false);
		node->small_moved = false;
	}
	if (small_is_pending(node))
		return;
	if (has_data == DATA_AT_OBJECTS) {
		node->data_place = DATA_AT_OBJECTS;
	} else if (has_data == DATA_INLINE && data.len <= SMALL_BYTES_MAX) {
		set_data(client, node, data);
		node->small_moved = false;
		make_room(client);
	}
}

bool small_lend(struct client *client, struct node *node, uint8_t has_data, struct blob data)
{
	bool unknown = node->data_place == DATA_PLACE_UNKNOWN && node->lease.data_mode == LEASE_NONE && !small_is_pending(node);
	if (!unknown || has_data == DATA_PLACE_UNKNOWN || data.len > SMALL_BYTES_MAX)
		return false;
	if (has_data == DATA_INLINE)
		set_data(client, node, data);
	else
		node->data_place = DATA_AT_OBJECTS;
	return true;
}

void small_lease_lost(struct client *client, struct node *node)
{
	node->data_place = DATA_PLACE_UNKNOWN;
	if (!node->small_dirty && !node->small_moving)
		forget_data(client, node);
}

void small_free(struct client *client, struct node *node)
{
	forget_data(client, node);
}

void small_lose(struct client *client, struct node *node)
{
	node->small_moved = false;
	if (!node->small_dirty)
		return;
	set_dirty(client, node, false);
	node_set_error(node, -EIO);
	client->counters.lost_bytes += node->small_len;
	log_line(client->conf.log, LOG_LEVEL_ERROR, "small", "ino=%" PRIx64 " bytes=%u did=\"lost: the next fsync or close tells\"", node->ino.v,
		 node->small_len);
	if (node->data_place == DATA_PLACE_UNKNOWN && !node->small_moving)
		forget_data(client, node);
}

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

int64_t small_read(const struct node *node, uint64_t offset, uint8_t *ret_data, size_t len)
{
	if (offset >= node->size_bytes)
		return 0;
	len = (size_t)min_u64(len, node->size_bytes - offset);
	size_t here = offset < node->small_len ? (size_t)min_u64(len, node->small_len - offset) : 0;
	if (here > 0)
		memcpy(ret_data, node->small + offset, here);
	memset(ret_data + here, 0, len - here);
	return (int64_t)len;
}

static void put(struct client *client, struct node *node, uint64_t offset, const uint8_t *data, size_t len)
{
	uint32_t end = (uint32_t)(offset + len);
	need_room(client, node, end);
	if (offset > node->small_len)
		memset(node->small + node->small_len, 0, (size_t)offset - node->small_len);
	memcpy(node->small + offset, data, len);
	node->small_len = (uint32_t)max_u64(node->small_len, end);
	set_dirty(client, node, true);
	node->small_told = 0;
	node->small_version++;
}

bool small_is_pressed(const struct client *client)
{
	return held_back(client) > SMALL_DIRTY_BYTES_MAX / 2;
}

int small_reserve(struct client *client, struct client_op *op)
{
	uint64_t client_id = client->identity.client;
	while (held_back(client) > SMALL_DIRTY_BYTES_MAX) {
		waitq_wake_all(&client->publish_wanted);
		int rc = session_wait(client, op, &client->small_room);
		if (rc < 0)
			return rc;
		if (client->identity.client != client_id)
			return fail(ERR_evicted);
	}
	return 0;
}

int small_write(struct client *client, struct client_op *op, struct node *node, uint64_t offset, const uint8_t *data, size_t len)
{
	int rc = 0;
	while (node->small_moving && rc == 0)
		rc = session_wait(client, op, &node->changed);
	if (rc < 0)
		return rc;
	if (!lease_writes(node->lease.data_mode))
		return fail(ERR_not_ready);
	if (node->data_place != DATA_INLINE || node->lease.data_mode != LEASE_PW)
		return 0;
	if (offset + len <= SMALL_BYTES_MAX && !node->small_in_objects) {
		put(client, node, offset, data, len);
		return 1;
	}
	return small_move(client, op, node);
}

/* ---- moving to the objects ---------------------------------------------------------------------------------------- */

int small_move(struct client *client, struct client_op *op, struct node *node)
{
	int rc = 0;
	while (node->small_moving && rc == 0)
		rc = session_wait(client, op, &node->changed);
	if (rc < 0 || node->data_place != DATA_INLINE)
		return rc;
	node->small_moving = true;
	node->users++;
	struct data_out out = {
		.client_id = client->identity.client,
		.mtime_ns = node->mtime_ns != MTIME_NOT_OURS ? node->mtime_ns : 0,
	};
	for (uint32_t at = 0; at < node->small_len && rc == 0; at += MOVE_STEP_BYTES) {
		node->small_in_objects = true; /* part of it, if this fails: there is no way back */
		out.data = node->small + at;
		out.offset = at;
		out.len = (size_t)min_u64(MOVE_STEP_BYTES, node->small_len - at);
		rc = data_write_through(client, op, node, &out);
	}
	node->small_moving = false;
	if (node->data_place == DATA_PLACE_UNKNOWN) {
		/* The lease was lost meanwhile: it lives where it did, and what was not told is told as always. */
		rc = rc < 0 ? rc : fail(ERR_not_ready);
		if (!node->small_dirty)
			forget_data(client, node);
	} else if (rc == 0) {
		node->data_place = DATA_AT_OBJECTS;
		node->small_in_objects = false;
		set_dirty(client, node, false);
		node->small_moved_seq = client->last_seq;
		node->small_moved = true; /* the MDT may have a copy, which is not the file any more */
		node_mark_dirty(client, node);
		forget_data(client, node);
		client->counters.small_moved++;
	}
	waitq_wake_all(&node->changed);
	node_put(client, node);
	return rc;
}

/* ---- telling the MDT ----------------------------------------------------------------------------------------------- */

bool small_owes(const struct node *node)
{
	return node->small_dirty || node->small_moved;
}

bool small_is_pending(const struct node *node)
{
	return node->data_place == DATA_PLACE_UNKNOWN && small_owes(node);
}

uint8_t small_say(struct client *client, const struct node *node, struct arena *arena, struct blob *ret_data)
{
	if (node->small_dirty) {
		*ret_data = blob_of(arena_dup(arena, node->small, node->small_len), node->small_len);
		return SIZE_INLINE;
	}
	/* What lives with the inode is the only stable copy until that in the objects is stable, too. */
	return node->small_moved && !unstable_has(client, node->ino, node->small_moved_seq) ? SIZE_OUTLINE : 0;
}

void small_said(struct client *client, struct node *node, uint8_t said, uint64_t version, int rc)
{
	if ((said & SIZE_OUTLINE) != 0)
		node->small_moved = false;
	if ((said & SIZE_INLINE) == 0 || node->small_version != version || !node->small_dirty)
		return;
	/* Not wanted any more: an answer to a recall has brought it. If none has, it is nowhere. */
	if (rc < 0 && node->small_told == 0 && rc != -ENOENT && rc != -ESTALE) {
		small_lose(client, node);
		return;
	}
	set_dirty(client, node, false);
	if (node->data_place == DATA_PLACE_UNKNOWN && !node->small_moving)
		forget_data(client, node);
}

void small_truncated(struct client *client, struct node *node)
{
	if (node->data_place == DATA_INLINE) {
		node->small_len = (uint32_t)min_u64(node->small_len, node->size_bytes);
		node->small_version++;
		return;
	}
	/* The objects are cut off to nothing: it may live with the inode again. */
	if (node->data_place == DATA_AT_OBJECTS && node->size_bytes == 0 && node->lease.data_mode == LEASE_PW && !node->small_moved)
		set_data(client, node, (struct blob){0});
}
