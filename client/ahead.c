/* SPDX-License-Identifier: Apache-2.0
 * Read-ahead: who reads a file in order, or records at equal distances, finds what he wants next in memory.
 *
 * The kernel reads ahead only for handles that use its page cache, and only in order. Here every open file's reads are followed as runs: a run is what is
 * read without a gap. A run that goes on is read ahead in order; runs of equal length and distance are records, and the next ones are read.
 *
 * What was read ahead is a block: right as long as our lease lets us cache data and this mount does not write to its range. A block is freed when all of it was
 * read, and with the last close. */
#include "client/client_impl.h"

enum {
	BLOCK_BYTES_MAX = CLIENT_BUF_BYTES,
	WINDOW_BYTES_MIN = 128 * KIB,
	RECORDS_MAX = 8,            /* ahead */
	RECORD_HITS_MIN = 2,        /* equal distances, until records are believed in */
};

struct ahead {
	struct list_node node_link; /* node.aheads */
	struct list_node age_link;  /* client.aheads, oldest first */
	struct client *client;
	struct node *node;          /* with a user while it is fetched */
	uint64_t offset;
	uint32_t len;
	uint32_t used;              /* bytes read from it */
	struct client_buf *buf;
	bool fetching;
	bool stale;                 /* while fetching: nobody wants it any more; in no list */
};

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static void block_free(struct ahead *block)
{
	client_buf_put(block->buf);
	mem_free(block);
}

static void block_drop(struct ahead *block)
{
	list_remove(&block->node_link);
	list_remove(&block->age_link);
	block->client->ahead_count--;
	block->client->counters.ahead_unused += block->used < block->len ? block->len - block->used : 0;
	if (block->fetching)
		block->stale = true; /* its task frees it */
	else
		block_free(block);
}

void ahead_drop(struct node *node, uint64_t offset, uint64_t len)
{
	list_for_each_safe(at, tmp, &node->aheads) {
		struct ahead *block = CONTAINER_OF(at, struct ahead, node_link);
		if (block->offset < offset + len && offset < block->offset + block->len)
			block_drop(block);
	}
}

void ahead_drop_all(struct node *node)
{
	list_for_each_safe(at, tmp, &node->aheads)
		block_drop(CONTAINER_OF(at, struct ahead, node_link));
}

static struct ahead *block_at(const struct node *node, uint64_t offset)
{
	list_for_each(at, &node->aheads) {
		struct ahead *block = CONTAINER_OF(at, struct ahead, node_link);
		if (block->offset <= offset && offset < block->offset + block->len)
			return block;
	}
	return NULL;
}

/* Buffers are for reads and writes first. */
static bool has_room(struct client *client)
{
	if (client->ahead_count >= client->buf_count / 4 && !list_is_empty(&client->aheads))
		block_drop(CONTAINER_OF(list_first(&client->aheads), struct ahead, age_link));
	return client->ahead_count < client->buf_count / 4 && client->free_count > client->buf_count / 2;
}

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

/* What may be read without asking an MDT: all there is to know of the size is known, and nobody else changes it. */
static bool may_fetch(const struct client *client, const struct node *node)
{
	return node_size_is_ours(node) && !node->giving && !node->truncating && node->data_place == DATA_AT_OBJECTS && lease_is_live(client) &&
	       !client->stopping;
}

static void fetch_task(void *arg)
{
	struct ahead *block = arg;
	struct client *client = block->client;
	struct node *node = block->node;
	int64_t got = block->stale ? 0 : data_read_ahead(client, node, block->offset, block->buf, block->len);
	node->reads_running--;
	node->reads_cached--;
	block->fetching = false;
	if (block->stale)
		block_free(block);
	else if (got != (int64_t)block->len)
		block_drop(block);
	waitq_wake_all(&node->changed);
	node_put(client, node);
	session_task_done(client);
}

static void fetch(struct client *client, struct node *node, uint64_t offset, uint64_t end)
{
	for (uint64_t part_end; offset < end; offset = part_end) {
		const struct ahead *there = block_at(node, offset);
		part_end = there != NULL ? there->offset + there->len : min_u64(end, round_down(offset, BLOCK_BYTES_MAX) + BLOCK_BYTES_MAX);
		if (there != NULL)
			continue;
		if (!has_room(client))
			return;
		struct ahead *block = mem_alloc(sizeof(*block));
		*block = (struct ahead){
			.client = client,
			.node = node,
			.offset = offset,
			.len = (uint32_t)(part_end - offset),
			.buf = client_buf_try_get(client),
			.fetching = true,
		};
		list_push_back(&node->aheads, &block->node_link);
		list_push_back(&client->aheads, &block->age_link);
		client->ahead_count++;
		client->counters.ahead_bytes += block->len;
		node->users++;
		node->reads_running++;
		node->reads_cached++;
		session_spawn(client, "ahead", fetch_task, block);
	}
}

/* ---- following reads --------------------------------------------------------------------------------------------- */

static void fetch_in_order(struct client *client, struct node *node, struct reads *reads)
{
	uint64_t have = max_u64(reads->ahead_end, reads->run_end);
	if (have - reads->run_end > reads->window / 2)
		return;
	reads->window = (uint32_t)min_u64(max_u64(WINDOW_BYTES_MIN, reads->window * 2ULL), client->conf.ahead_bytes_max);
	reads->ahead_end = min_u64(reads->run_end + reads->window, node->size_bytes);
	if (reads->ahead_end > have)
		fetch(client, node, have, reads->ahead_end);
}

static void fetch_records(struct client *client, struct node *node, const struct reads *reads)
{
	uint64_t bytes = 0;
	int64_t at = (int64_t)reads->run_start;
	if (reads->record_len > client->conf.ahead_bytes_max / 2)
		return;
	for (int i = 0; i < RECORDS_MAX && (bytes += reads->record_len) <= client->conf.ahead_bytes_max; i++) {
		at += reads->stride;
		if (at < 0 || (uint64_t)at >= node->size_bytes)
			return;
		fetch(client, node, (uint64_t)at, min_u64((uint64_t)at + reads->record_len, node->size_bytes));
	}
}

static void new_run(struct reads *reads, uint64_t offset, uint64_t end)
{
	int64_t stride = (int64_t)(offset - reads->run_start);
	uint64_t len = reads->run_end - reads->run_start;
	bool again = stride == reads->stride && len == reads->record_len;
	*reads = (struct reads){
		.run_start = offset,
		.run_end = end,
		.stride = stride,
		.record_len = len,
		.hits = again ? reads->hits + 1 : 0,
	};
}

void ahead_follow(struct client *client, const struct client_op *op, struct node *node, struct reads *reads, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;
	bool goes_on = offset == reads->run_end && reads->run_end > reads->run_start;
	if (goes_on)
		reads->run_end = end;
	else if (offset < reads->run_start || offset > reads->run_end)
		new_run(reads, offset, end);
	else
		reads->run_end = max_u64(reads->run_end, end); /* again, or several at once in another order */
	if (op->past_cache || client->conf.ahead_bytes_max == CLIENT_NO_READ_AHEAD || !may_fetch(client, node))
		return;
	/* In order the kernel reads ahead by itself into its pages. */
	if (goes_on && !op->fills_pages && reads->run_end - reads->run_start > reads->record_len)
		fetch_in_order(client, node, reads);
	else if (reads->hits >= RECORD_HITS_MIN && reads->stride != 0)
		fetch_records(client, node, reads);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

int64_t ahead_read(struct client *client, struct client_op *op, struct node *node, uint64_t offset, uint8_t *ret_data, size_t len)
{
	if (list_is_empty(&node->aheads) || !node_size_is_ours(node) || offset >= node->size_bytes)
		return 0;
	len = (size_t)min_u64(len, node->size_bytes - offset);
	for (uint64_t at = offset, end = offset + len; at < end;) {
		struct ahead *block = block_at(node, at);
		while (block != NULL && block->fetching) {
			int rc = session_wait(client, op, &node->changed);
			if (rc < 0)
				return rc;
			block = block_at(node, at);
		}
		if (block == NULL)
			return 0;
		uint64_t part_end = min_u64(end, block->offset + block->len);
		memcpy(ret_data + (at - offset), client_buf_ptr(block->buf) + (at - block->offset), part_end - at);
		block->used += (uint32_t)(part_end - at);
		if (block->used >= block->len)
			block_drop(block);
		at = part_end;
	}
	client->counters.ahead_hits++;
	return (int64_t)len;
}

void ahead_free_all(struct client *client)
{
	struct list_node *link;
	while ((link = list_pop_front(&client->aheads)) != NULL)
		mem_free(CONTAINER_OF(link, struct ahead, age_link));
}
