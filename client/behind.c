/* SPDX-License-Identifier: Apache-2.0
 * Write-behind: what is written under the right to write alone waits in memory, is joined with its neighbours, and goes to the objects in large parts.
 *
 * An extent is a range of one file within one chunk. No two extents overlap: what is written to a range that waits changes it there, what is written to
 * one that is on its way waits until it has arrived. So the objects get all writes to a byte in their order, and reads find the newest here. Extents
 * are sent when their chunk is full, when they are old, when much waits, or when somebody needs the objects to have it: before the lease
 * is given back, before truncations, and at fsync. Whoever recalls waits for that; so nothing here waits for anything but OSTs. */
#include "client/extent.h"

#include <inttypes.h>

#define FLUSH_AGE_NS  (1 * NS_PER_S)
#define FULL_PAUSE_NS (2 * NS_PER_S) /* after a full disk: until it is tried again; meanwhile whoever writes is told at once */
#define FULL_WAIT_NS  (5 * NS_PER_S) /* so long others wait for what a full disk does not take */

enum {
	STEP_BYTES = INLINE_BYTES_MAX - 1024, /* of one message without a registered buffer */
	FLUSHES_MAX = 16,             /* at once */
	READ_TRIES_MAX = 3,
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* May what is written now wait? What the layout has no place for, or what a full disk may refuse, is tried at once. */
static bool may_wait(const struct client *client, const struct client_op *op, const struct node *node, uint64_t offset, size_t len)
{
	struct layout_piece piece;
	if (node->lease.data_mode != LEASE_PW || node->giving || op->past_cache || env_now_ns(client->env) < client->behind_from_ns)
		return false;
	if (client->conf.dirty_bytes_max == CLIENT_WRITE_THROUGH || client->conf.dirty_file_bytes_max == CLIENT_WRITE_THROUGH)
		return false;
	if (len >= EXTENT_RETAIN_BYTES_MIN && !extent_has_spare_buf(client))
		return false;
	return node->layout != NULL && layout_map(node->layout, offset + len - 1, 1, &piece);
}

static int flush_range(struct client *client, struct client_op *op, struct node *node, uint64_t offset, size_t len);
static void all_due(struct node *node, uint64_t last);
static bool has_some(struct client *client, const struct node *node, uint64_t offset, size_t len);

/* What must go through goes after what waits, or into it, if that has no place to go. */
static int go_through(struct client *client, struct client_op *op, struct node *node, uint64_t offset, size_t len, bool *ret_waits)
{
	int rc = flush_range(client, op, node, offset, len);
	*ret_waits = rc == 0 && has_some(client, node, offset, len);
	return rc;
}

int behind_write(struct client *client, struct client_op *op, struct node *node, uint64_t offset, struct client_buf *buf,
		 const uint8_t *data, size_t len)
{
	bool waits = may_wait(client, op, node, offset, len);
	int rc = waits ? 0 : go_through(client, op, node, offset, len, &waits);
	if (!waits)
		return rc;
	for (uint64_t at = offset, end = offset + len; at < end;) {
		uint64_t part_end = min_u64(end, (extent_chunk(at) + 1) * EXTENT_CHUNK_BYTES);
		while (extent_has_sending(client, node, at, part_end)) {
			rc = session_wait(client, op, &node->changed);
			if (rc < 0)
				return rc;
			if (node->lease.data_mode != LEASE_PW) /* it was lost */
				return flush_range(client, op, node, offset, len);
		}
		extent_put(client, node, at, buf, data + (at - offset), part_end - at);
		at = part_end;
	}
	client->counters.behind_bytes += len;
	return 1;
}

static bool is_full(const struct client *client, const struct node *node)
{
	return node->behind_bytes >= client->conf.dirty_file_bytes_max || client->behind_bytes >= client->conf.dirty_bytes_max;
}

int behind_reserve(struct client *client, struct client_op *op, struct node *node)
{
	uint64_t client_id = client->identity.client;
	if (!is_full(client, node))
		return 0;
	client->counters.behind_waits++;
	if (node->behind_bytes >= client->conf.dirty_file_bytes_max)
		all_due(node, UINT64_MAX);
	while (is_full(client, node)) {
		waitq_wake_all(&client->flush_wanted);
		int rc = session_wait(client, op, &client->behind_room);
		if (rc < 0)
			return rc;
		if (client->identity.client != client_id)
			return fail(ERR_evicted);
	}
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const struct extent *covering(struct client *client, const struct node *node, uint64_t start, uint64_t end)
{
	for (struct extent *at = NULL; (at = extent_next(client, node, extent_chunk(start), at)) != NULL;)
		if (at->offset <= start && end <= extent_end(at))
			return at;
	return NULL;
}

/* All of it from here. False: not all is here. */
static bool read_here(struct client *client, const struct node *node, uint64_t offset, uint8_t *ret_data, size_t len)
{
	bool copies = false;
	do {
		for (uint64_t at = offset, end = offset + len; at < end;) {
			uint64_t part_end = min_u64(end, (extent_chunk(at) + 1) * EXTENT_CHUNK_BYTES);
			const struct extent *extent = covering(client, node, at, part_end);
			if (extent == NULL)
				return false;
			if (copies)
				memcpy(ret_data + (at - offset), extent->data + (at - extent->base), part_end - at);
			at = part_end;
		}
		copies = !copies;
	} while (copies);
	return true;
}

static bool has_some(struct client *client, const struct node *node, uint64_t offset, size_t len)
{
	for (uint64_t at = offset, end = offset + len; at < end && behind_has(node); at = (extent_chunk(at) + 1) * EXTENT_CHUNK_BYTES)
		for (struct extent *extent = NULL; (extent = extent_next(client, node, extent_chunk(at), extent)) != NULL;)
			if (extent_overlaps(extent, at, end))
				return true;
	return false;
}

static void lay_over(struct client *client, const struct node *node, uint64_t offset, uint8_t *data, size_t len)
{
	for (uint64_t at = offset, end = offset + len; at < end && behind_has(node); at = (extent_chunk(at) + 1) * EXTENT_CHUNK_BYTES) {
		for (struct extent *extent = NULL; (extent = extent_next(client, node, extent_chunk(at), extent)) != NULL;) {
			uint64_t from = max_u64(offset, extent->offset), until = min_u64(end, extent_end(extent));
			if (from < until)
				memcpy(data + (from - offset), extent->data + (from - extent->base), until - from);
		}
	}
}

int64_t behind_read(struct client *client, struct client_op *op, struct node *node, const struct behind_reader *reader)
{
	uint64_t offset = reader->offset;
	uint64_t here = node_size_is_ours(node) && offset < node->size_bytes ? min_u64(reader->len, node->size_bytes - offset) : 0;
	if (here > 0 && behind_has(node) && read_here(client, node, offset, reader->data, here)) {
		client->counters.behind_reads++;
		return (int64_t)here;
	}
	for (int tries = 0;; tries++) {
		bool some = has_some(client, node, offset, reader->len);
		if (some && tries == READ_TRIES_MAX) {
			int rc = flush_range(client, op, node, offset, reader->len);
			if (rc < 0)
				return rc;
			some = false; /* but for what is stuck, and so cannot go meanwhile */
		}
		uint64_t gone = node->extents_gone;
		int64_t done = reader->read_objects(reader->ctx);
		if (done < 0)
			return done;
		/* What has gone to the objects meanwhile may have come there after they were read. */
		if (some && node->extents_gone != gone)
			continue;
		lay_over(client, node, offset, reader->data, (size_t)done);
		return done;
	}
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

bool behind_has(const struct node *node)
{
	return !list_is_empty(&node->extents);
}

uint64_t behind_size(const struct node *node)
{
	return behind_has(node) ? min_u64(node->size_sent, node->size_bytes) : node->size_bytes;
}

void behind_passed(struct node *node, uint64_t end)
{
	node->size_sent = max_u64(node->size_sent, end);
}

static int send_extent(struct extent *extent)
{
	struct data_out out = {
		.client_id = extent->client_id,
		.buf = extent->buf,
		.data = extent->data + (extent->offset - extent->base),
		.offset = extent->offset,
		.len = extent->len,
		.mtime_ns = extent->mtime_ns,
	};
	if (extent->buf != NULL)
		return data_write_through(extent->client, NULL, extent->node, &out);
	int rc = 0;
	for (uint64_t at = 0; at < extent->len && rc == 0; at += STEP_BYTES) {
		out.data = extent->data + (extent->offset - extent->base) + at;
		out.offset = extent->offset + at;
		out.len = min_u64(STEP_BYTES, extent->len - at);
		rc = data_write_through(extent->client, NULL, extent->node, &out);
	}
	return rc;
}

/* Some parts of it may have been written, and be kept for replays as they were: what is written to it from now on is not theirs. */
static void unshare(struct extent *extent)
{
	if (extent->buf == NULL || extent->buf->refs == 1)
		return;
	uint8_t *own = mem_dup(extent->data + (extent->offset - extent->base), extent->len);
	extent_memory_free(extent);
	extent->data = own;
	extent->base = extent->offset;
	extent->capacity = extent->len;
}

/* It stays, and is tried again: it is lost only when somebody else has waited too long, or with this mount. */
static void get_stuck(struct extent *extent, int rc)
{
	struct client *client = extent->client;
	struct node *node = extent->node;
	if (list_is_empty(&client->extents_stuck))
		log_line(client->conf.log, LOG_LEVEL_WARN, "behind",
			 "ino=%" PRIx64 " offset=%" PRIu64 " bytes=%" PRIu64 " err=%s did=\"an OST has no room: kept in memory, and tried again\"",
			 node->ino.v, extent->offset, extent->len, err_name(rc));
	client->behind_from_ns = env_now_ns(client->env) + FULL_PAUSE_NS;
	unshare(extent);
	extent->sending = extent->due = false;
	extent_set_stuck(extent, true);
	list_push_back(&client->extents_stuck, &extent->queue_link);
	node_set_error(node, rc);
	waitq_wake_all(&node->changed);
	waitq_wake_all(&client->behind_room);
}

static void flush_task(void *arg)
{
	struct extent *extent = arg;
	struct client *client = extent->client;
	int rc = extent->lost ? 0 : send_extent(extent);
	client->counters.behind_flushes++;
	client->flushes_running--;
	if ((rc == -ENOSPC || rc == -EDQUOT) && !extent->lost) {
		get_stuck(extent, rc);
	} else {
		/* ENOENT: its file is gone, nobody misses it. */
		if (rc < 0 && rc != -ENOENT && rc != -ESTALE && rc != -ERR_aborted)
			extent_lose(extent, rc == -ERR_evicted ? -EIO : rc);
		behind_passed(extent->node, extent_end(extent));
		extent_free(extent);
	}
	waitq_wake_all(&client->flush_wanted);
	session_task_done(client);
}

static void flush_start(struct client *client, struct extent *extent)
{
	list_remove(&extent->queue_link);
	if (extent->node->flush_held) {
		extent_set_stuck(extent, true);
		extent->due = false;
		list_push_back(&client->extents_stuck, &extent->queue_link);
		return;
	}
	extent->sending = true;
	extent->client_id = client->identity.client;
	client->flushes_running++;
	session_spawn(client, "flush", flush_task, extent);
}

static struct extent *first_of(struct list *queue)
{
	struct list_node *first = list_first(queue);
	return first != NULL ? CONTAINER_OF(first, struct extent, queue_link) : NULL;
}

static void retry_stuck(struct client *client)
{
	list_for_each_safe(at, tmp, &client->extents_stuck) {
		struct extent *extent = CONTAINER_OF(at, struct extent, queue_link);
		if (!extent->node->flush_held)
			extent_make_due(extent, false);
	}
}

void behind_flusher_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		uint64_t now_ns = env_now_ns(client->env);
		struct extent *extent;
		if (client->behind_from_ns <= now_ns)
			retry_stuck(client);
		while (client->joined && client->flushes_running < FLUSHES_MAX) {
			bool pressed = client->behind_bytes > client->conf.dirty_bytes_max / 2;
			if ((extent = first_of(&client->extents_due)) != NULL)
				flush_start(client, extent);
			else if ((extent = first_of(&client->extents_idle)) != NULL && (pressed || extent->since_ns + FLUSH_AGE_NS <= now_ns))
				flush_start(client, extent);
			else
				break;
		}
		(void)waitq_wait(&client->flush_wanted, client_loop(client), now_ns + FLUSH_AGE_NS / 2); /* either way */
	}
	session_daemon_done(client);
}

static bool make_due_in_chunk(struct client *client, const struct node *node, uint64_t start, uint64_t end, uint64_t last, bool first)
{
	bool some = false;
	for (struct extent *at = NULL; (at = extent_next(client, node, extent_chunk(start), at)) != NULL;) {
		if (at->number > last || !extent_overlaps(at, start, end) || (at->stuck && !first))
			continue;
		extent_make_due(at, true);
		some = true;
	}
	return some;
}

/* Until all that is here now of the range has arrived, or found no room. Parks. Errors: the operation was called off. */
static int flush_range(struct client *client, struct client_op *op, struct node *node, uint64_t offset, size_t len)
{
	uint64_t last = client->extents_made;
	for (bool first = true;; first = false) {
		bool waits = false;
		for (uint64_t at = offset, end = offset + len; at < end && behind_has(node);) {
			uint64_t part_end = min_u64(end, (extent_chunk(at) + 1) * EXTENT_CHUNK_BYTES);
			waits |= make_due_in_chunk(client, node, at, part_end, last, first);
			at = part_end;
		}
		int rc = waits ? session_wait(client, op, &node->changed) : 0;
		if (rc < 0 || !waits)
			return rc;
	}
}

static void all_due(struct node *node, uint64_t last)
{
	list_for_each_safe(at, tmp, &node->extents) {
		struct extent *extent = CONTAINER_OF(at, struct extent, node_link);
		if (extent->number > last)
			return;
		extent_make_due(extent, false);
	}
}

static bool is_under_way(const struct node *node, uint64_t last)
{
	list_for_each(at, &node->extents) {
		const struct extent *extent = CONTAINER_OF(at, struct extent, node_link);
		if (extent->number > last)
			return false;
		if (!extent->stuck)
			return true;
	}
	return false;
}

int behind_flush(struct client *client, struct client_op *op, struct node *node)
{
	uint64_t last = client->extents_made;
	all_due(node, last);
	while (is_under_way(node, last)) {
		int rc = session_wait(client, op, &node->changed);
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool behind_is_stuck(const struct node *node)
{
	return node->extents_stuck > 0;
}

static void lose_stuck(struct node *node)
{
	list_for_each_safe(at, tmp, &node->extents) {
		struct extent *extent = CONTAINER_OF(at, struct extent, node_link);
		if (!extent->stuck)
			continue;
		extent_lose(extent, -ENOSPC);
		extent_free(extent);
	}
}

int behind_empty(struct client *client, struct node *node)
{
	uint64_t client_id = client->identity.client, until_ns = env_now_ns(client->env) + FULL_WAIT_NS;
	for (;;) {
		int rc = behind_save(client, NULL, node);
		if (client->identity.client != client_id)
			return fail(ERR_evicted);
		if (!behind_has(node) || session_is_called_off(rc))
			return rc;
		if (env_now_ns(client->env) >= until_ns)
			lose_stuck(node);
		else if (behind_is_stuck(node))
			session_nap(client, FULL_WAIT_NS / 20);
	}
}

int behind_save(struct client *client, struct client_op *op, struct node *node)
{
	uint64_t errors = node->error_seq;
	int rc = behind_flush(client, op, node);
	if (rc < 0)
		return rc;
	if (node->error_seq != errors)
		rc = node->error;
	int committed = unstable_commit_ino(client, op, node->ino);
	return committed < 0 ? committed : rc;
}

static bool some_under_way(const struct client *client, uint64_t last)
{
	list_for_each(at, &client->extents_by_age) {
		const struct extent *extent = CONTAINER_OF(at, struct extent, age_link);
		if (extent->number > last)
			return false;
		if (!extent->stuck)
			return true;
	}
	return false;
}

int behind_save_all(struct client *client, struct client_op *op)
{
	uint64_t last = client->extents_made, lost = client->counters.lost_bytes;
	list_for_each_safe(at, tmp, &client->extents_by_age)
		extent_make_due(CONTAINER_OF(at, struct extent, age_link), false);
	while (some_under_way(client, last)) {
		int rc = session_wait(client, op, &client->behind_room);
		if (rc < 0)
			return rc;
	}
	int rc = unstable_commit_all(client, op);
	if (rc == 0 && !list_is_empty(&client->extents_stuck))
		return fail(ENOSPC);
	return rc == 0 && client->counters.lost_bytes != lost ? fail(EIO) : rc;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void behind_discard(struct node *node)
{
	list_for_each_safe(at, tmp, &node->extents) {
		struct extent *extent = CONTAINER_OF(at, struct extent, node_link);
		if (!extent->sending)
			extent_free(extent);
	}
}

void behind_truncated(struct node *node)
{
	list_for_each_safe(at, tmp, &node->extents) {
		struct extent *extent = CONTAINER_OF(at, struct extent, node_link);
		if (extent->offset >= node->size_bytes)
			extent_free(extent);
		else if (extent_end(extent) > node->size_bytes)
			extent_set_len(extent, extent->offset, node->size_bytes - extent->offset);
	}
	node->size_sent = min_u64(node->size_sent, node->size_bytes);
}

uint64_t behind_drop_all(struct client *client)
{
	uint64_t bytes = 0;
	list_for_each_safe(at, tmp, &client->extents_by_age) {
		struct extent *extent = CONTAINER_OF(at, struct extent, age_link);
		if (extent->lost)
			continue;
		bytes += extent->len;
		extent->lost = true;
		node_set_error(extent->node, -EIO);
		if (!extent->sending)
			extent_free(extent); /* else its task does */
	}
	return bytes;
}

size_t behind_inos(const struct client *client, uint64_t *ret_inos)
{
	size_t count = 0;
	list_for_each(at, &client->extents_by_age) {
		if (ret_inos != NULL)
			ret_inos[count] = CONTAINER_OF(at, struct extent, age_link)->node->ino.v;
		count++;
	}
	return count;
}

void behind_free_all(struct client *client)
{
	struct list_node *link;
	while ((link = list_pop_front(&client->extents_by_age)) != NULL) {
		struct extent *extent = CONTAINER_OF(link, struct extent, age_link);
		extent_memory_free(extent);
		mem_free(extent);
	}
	map_fini(&client->extents);
}
