/* SPDX-License-Identifier: Apache-2.0
 * Extents: how what waits to be written is kept, joined and counted. Nothing here parks. */
#include "client/extent.h"

#include <inttypes.h>

enum {
	HEAP_BYTES_MAX = 64 * KIB, /* of an extent: beyond, it gets a registered buffer, if there is one to spare */
	PAGE_BYTES = 4096,
};

/* ---- extents ----------------------------------------------------------------------------------------------------- */

uint64_t extent_chunk(uint64_t offset)
{
	return offset / EXTENT_CHUNK_BYTES;
}

static uint64_t extent_hash(struct ino ino, uint64_t chunk)
{
	return map_hash_u64(map_hash_u64(ino.v) ^ chunk);
}

uint64_t extent_end(const struct extent *extent)
{
	return extent->offset + extent->len;
}

/* The next extent of the chunk, in no order; NULL: none. at NULL: the first. */
struct extent *extent_next(struct client *client, const struct node *node, uint64_t chunk, struct extent *at)
{
	struct map_node *next = at == NULL ? map_first(&client->extents, extent_hash(node->ino, chunk)) : map_next(&at->map_node);
	for (; next != NULL; next = map_next(next)) {
		struct extent *extent = CONTAINER_OF(next, struct extent, map_node);
		if (extent->node == node && extent_chunk(extent->offset) == chunk)
			return extent;
	}
	return NULL;
}

void extent_memory_free(struct extent *extent)
{
	if (extent->buf != NULL)
		client_buf_put(extent->buf);
	else
		mem_free(extent->data);
	extent->buf = NULL;
	extent->data = NULL;
}

void extent_set_len(struct extent *extent, uint64_t offset, uint64_t len)
{
	extent->client->behind_bytes += len - extent->len;
	extent->node->behind_bytes += len - extent->len;
	extent->offset = offset;
	extent->len = len;
}

static struct extent *extent_new(struct client *client, struct node *node, uint64_t offset)
{
	struct extent *extent = mem_alloc(sizeof(*extent));
	extent->client = client;
	extent->node = node;
	extent->number = ++client->extents_made;
	extent->since_ns = env_now_ns(client->env);
	extent->offset = extent->base = offset;
	node->users++;
	if (list_is_empty(&node->extents))
		node->size_sent = node->size_bytes;
	list_push_back(&node->extents, &extent->node_link);
	list_push_back(&client->extents_by_age, &extent->age_link);
	list_push_back(&client->extents_idle, &extent->queue_link);
	map_insert(&client->extents, &extent->map_node, extent_hash(node->ino, extent_chunk(offset)));
	return extent;
}

void extent_set_stuck(struct extent *extent, bool stuck)
{
	extent->node->extents_stuck += (uint32_t)stuck - (uint32_t)extent->stuck;
	extent->stuck = stuck;
}

void extent_free(struct extent *extent)
{
	struct client *client = extent->client;
	struct node *node = extent->node;
	extent_set_len(extent, extent->offset, 0);
	extent_set_stuck(extent, false);
	node->extents_gone++;
	extent_memory_free(extent);
	list_remove(&extent->node_link);
	list_remove(&extent->age_link);
	list_remove(&extent->queue_link);
	map_remove(&client->extents, &extent->map_node);
	mem_free(extent);
	waitq_wake_all(&node->changed);
	waitq_wake_all(&client->behind_room);
	node_put(client, node);
}

/* Somebody waits for it: before those that are only old. */
void extent_make_due(struct extent *extent, bool wanted)
{
	struct client *client = extent->client;
	if (extent->sending || (extent->due && !wanted))
		return;
	list_remove(&extent->queue_link);
	if (wanted)
		list_push_front(&client->extents_due, &extent->queue_link);
	else
		list_push_back(&client->extents_due, &extent->queue_link);
	extent_set_stuck(extent, false);
	extent->due = true;
	waitq_wake_all(&client->flush_wanted);
}

void extent_lose(struct extent *extent, int rc)
{
	struct client *client = extent->client;
	struct node *node = extent->node;
	if (extent->lost)
		return;
	extent->lost = true;
	node_set_error(node, rc);
	client->counters.lost_bytes += extent->len;
	log_line(client->conf.log, LOG_LEVEL_ERROR, "behind",
		 "ino=%" PRIx64 " offset=%" PRIu64 " bytes=%" PRIu64 " err=%s did=\"lost: the next fsync or close tells\"", node->ino.v,
		 extent->offset, extent->len, err_name(rc));
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Buffers are also what reads and new writes need: the last quarter is not kept from them. */
bool extent_has_spare_buf(const struct client *client)
{
	return client->free_count > client->buf_count / 4;
}

/* Room for the file's [start, end), which has what is here now in it, or touches it. */
static void make_room(struct extent *extent, uint64_t start, uint64_t end)
{
	struct client *client = extent->client;
	if (extent->data != NULL && extent->base <= start && end <= extent->base + extent->capacity)
		return;
	struct extent old = *extent;
	uint64_t chunk = extent_chunk(start) * EXTENT_CHUNK_BYTES;
	if (end - start > HEAP_BYTES_MAX && extent_has_spare_buf(client)) {
		extent->buf = client_buf_try_get(client);
		extent->data = client_buf_ptr(extent->buf);
		extent->base = chunk;
		extent->capacity = EXTENT_CHUNK_BYTES;
	} else {
		uint64_t wanted = max_u64(round_up(end - start, PAGE_BYTES), old.len > 0 ? old.capacity * 2 : 0);
		extent->buf = NULL;
		extent->base = start;
		extent->capacity = min_u64(wanted, chunk + EXTENT_CHUNK_BYTES - start);
		extent->data = mem_realloc(NULL, extent->capacity); /* not zeroed */
	}
	if (old.len > 0)
		memcpy(extent->data + (old.offset - extent->base), old.data + (old.offset - old.base), old.len);
	extent_memory_free(&old);
}

static void copy_in(struct extent *extent, uint64_t offset, const uint8_t *data, uint64_t len)
{
	memcpy(extent->data + (offset - extent->base), data, len);
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

static bool touches(const struct extent *extent, uint64_t start, uint64_t end)
{
	return extent->offset <= end && start <= extent_end(extent);
}

bool extent_overlaps(const struct extent *extent, uint64_t start, uint64_t end)
{
	return extent->offset < end && start < extent_end(extent);
}

bool extent_has_sending(struct client *client, const struct node *node, uint64_t start, uint64_t end)
{
	for (struct extent *at = NULL; (at = extent_next(client, node, extent_chunk(start), at)) != NULL;)
		if (at->sending && extent_overlaps(at, start, end))
			return true;
	return false;
}

/* The longest that touches the range and is not on its way, but for `except`. */
static struct extent *longest_at(struct client *client, const struct node *node, uint64_t start, uint64_t end, const struct extent *except)
{
	struct extent *longest = NULL;
	for (struct extent *at = NULL; (at = extent_next(client, node, extent_chunk(start), at)) != NULL;)
		if (at != except && !at->sending && touches(at, start, end) && (longest == NULL || at->len > longest->len))
			longest = at;
	return longest;
}

static void move_before(struct list_node *link, struct list_node *at)
{
	list_remove(link);
	list_insert_before(at, link);
}

/* Who waits for the other one waits for this one now. */
static void take_place(struct extent *extent, struct extent *other)
{
	extent->number = other->number;
	extent->since_ns = other->since_ns;
	move_before(&extent->node_link, &other->node_link);
	move_before(&extent->age_link, &other->age_link);
	if (!extent->due && !other->due && !extent->stuck && !other->stuck)
		move_before(&extent->queue_link, &other->queue_link);
}

/* The range between the two is about to be written. */
static void swallow(struct extent *extent, struct extent *other)
{
	uint64_t start = min_u64(extent->offset, other->offset), end = max_u64(extent_end(extent), extent_end(other));
	make_room(extent, start, end);
	copy_in(extent, other->offset, other->data + (other->offset - other->base), other->len);
	if (other->number < extent->number)
		take_place(extent, other);
	if (other->due)
		extent_make_due(extent, false);
	extent_free(other);
	extent_set_len(extent, start, end - start);
}

/* A range within one chunk; nothing on its way overlaps it. Does not park. */
void extent_put(struct client *client, struct node *node, uint64_t offset, struct client_buf *buf, const uint8_t *data, uint64_t len)
{
	uint64_t start = offset, end = offset + len;
	struct extent *other, *extent = longest_at(client, node, start, end, NULL);
	if (extent == NULL) {
		extent = extent_new(client, node, start);
		if (len >= EXTENT_RETAIN_BYTES_MIN && extent_has_spare_buf(client)) {
			buf->refs++;
			extent->buf = buf;
			extent->data = client->slab + (data - client->slab);
			extent->capacity = len;
			extent_set_len(extent, start, len);
		}
	}
	while ((other = longest_at(client, node, offset, offset + len, extent)) != NULL)
		swallow(extent, other);
	if (extent->len > 0) {
		start = min_u64(extent->offset, start);
		end = max_u64(extent_end(extent), end);
	}
	make_room(extent, start, end);
	extent_set_len(extent, start, end - start);
	if (extent->data + (offset - extent->base) != data)
		copy_in(extent, offset, data, len);
	extent->mtime_ns = session_mdt_now_ns(client);
	if (extent->len == EXTENT_CHUNK_BYTES)
		extent_make_due(extent, false);
}
