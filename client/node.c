/* SPDX-License-Identifier: Apache-2.0
 * The node table: inodes that the kernel knows, that are open, or that have something to publish. */
#include "client/client_impl.h"

struct node *node_find(struct client *client, struct ino ino)
{
	for (struct map_node *at = map_first(&client->nodes, map_hash_u64(ino.v)); at != NULL; at = map_next(at)) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		if (ino_eq(node->ino, ino))
			return node;
	}
	return NULL;
}

static struct node *find_or_add(struct client *client, struct ino ino)
{
	struct node *node = node_find(client, ino);
	if (node != NULL)
		return node;
	node = mem_alloc(sizeof(*node));
	node->ino = ino;
	list_init(&node->files);
	list_init(&node->lock_owners);
	list_init(&node->fills);
	list_init(&node->extents);
	list_init(&node->aheads);
	list_node_init(&node->dirty_link);
	list_node_init(&node->leased_link);
	list_node_init(&node->writing_link);
	list_node_init(&node->small_link);
	list_node_init(&node->atime_link);
	waitq_init(&node->changed);
	node->recalled = lease_tomb_of(client, ino);
	map_insert(&client->nodes, &node->node, map_hash_u64(ino.v));
	return node;
}

static void maybe_free(struct client *client, struct node *node)
{
	if (node->lookups > 0 || node->users > 0 || node->dirty || lease_writes(node->lease.data_mode) || atime_is_pending(node))
		return;
	CHECK(list_is_empty(&node->files));
	lease_forget(client, node);
	atime_forget(node);
	small_free(client, node);
	ahead_drop_all(node);
	dircache_free(client, node);
	map_remove(&client->nodes, &node->node);
	mem_free(node->layout);
	mem_free(node);
}

struct node *node_get(struct client *client, struct ino ino)
{
	struct node *node = find_or_add(client, ino);
	node->users++;
	return node;
}

void node_put(struct client *client, struct node *node)
{
	CHECK(node->users > 0);
	node->users--;
	maybe_free(client, node);
}

void node_count_lookup(struct client *client, struct ino ino)
{
	find_or_add(client, ino)->lookups++;
}

void client_forget(struct client *client, struct ino ino, uint64_t lookups)
{
	struct node *node = node_find(client, ino);
	if (node == NULL)
		return; /* the kernel forgets the root without ever having looked it up */
	node->lookups -= min_u64(lookups, node->lookups);
	maybe_free(client, node);
}

size_t client_node_count(const struct client *client)
{
	return client->nodes.count;
}

int node_set_layout(struct node *node, struct blob bytes)
{
	struct layout *layout = mem_alloc(sizeof(*layout));
	int rc = layout_decode(bytes, layout);
	if (rc == 0)
		rc = layout_check(layout, true);
	if (rc < 0 || (node->layout != NULL && node->layout->gen > layout->gen)) {
		mem_free(layout);
		return rc;
	}
	/* A write in flight holds a piece, not the layout: replacing it is safe between parks. */
	mem_free(node->layout);
	node->layout = layout;
	return 0;
}

void node_mark_dirty(struct client *client, struct node *node)
{
	node->dirtied++;
	if (node->dirty)
		return;
	node->dirty = true;
	node->dirty_since_ns = env_now_ns(client->env);
	list_push_back(&client->dirty_nodes, &node->dirty_link);
}

void node_add_unpublished(const struct node *node, struct attr *attr)
{
	if (!node->dirty || !node->size_known || attr->size_gen != node->size_gen)
		return;
	attr->size_bytes = max_u64(attr->size_bytes, node->size_bytes);
	attr->blocks = max_u64(attr->blocks, node->blocks);
	if (node->mtime_ns > attr->mtime_ns)
		attr->mtime_ns = node->mtime_ns;
	if (node->mtime_ns > attr->ctime_ns)
		attr->ctime_ns = node->mtime_ns;
}

void node_clean(struct client *client, struct node *node)
{
	node->changed_at = ++client->changes; /* answers from before the publication do not know what it said */
	node->dirty = false;
	list_remove(&node->dirty_link);
}

uint8_t node_blocks_flag(const struct node *node)
{
	return node->blocks_asked ? SIZE_BLOCKS : 0;
}

void node_written(struct client *client, struct node *node, uint64_t end, uint64_t bytes)
{
	/* An estimate until somebody asks the objects: what was there and what was written, but not more than the size. Where something may have
	 * been, it may be too much; then the objects are asked when the writing is over. */
	node->blocks_guessed = node->blocks_guessed || end - bytes < node->size_bytes;
	node->blocks_asked = node->blocks_asked && bytes == 0;
	node->size_bytes = max_u64(node->size_bytes, end);
	node->own_end = node->own_gen == node->size_gen ? max_u64(node->own_end, end) : end;
	node->own_gen = node->size_gen;
	uint64_t full = round_up(node->size_bytes, 4096) / 512;
	node->blocks = max_u64(node->blocks, min_u64(full, node->blocks + round_up(bytes, 4096) / 512));
	node->mtime_ns = session_mdt_now_ns(client);
	if (node->attr_valid) {
		/* The same that the MDT will make of it. Its clock may be ahead of what we think: a write is never older than what came before it. */
		struct attr *attr = &node->attr;
		if (node->mtime_ns <= attr->ctime_ns)
			node->mtime_ns = attr->ctime_ns + 1;
		attr->size_bytes = max_u64(attr->size_bytes, node->size_bytes);
		attr->blocks = max_u64(attr->blocks, node->blocks);
		attr->mtime_ns = attr->ctime_ns = node->mtime_ns;
	}
	node_mark_dirty(client, node);
}

void node_lose_attr(struct node *node)
{
	node->attr_valid = false;
	node->atime_raised_ns = 0;
}

bool node_size_is_ours(const struct node *node)
{
	return node->size_known && lease_caches(node->lease.data_mode);
}

void node_set_error(struct node *node, int rc)
{
	node->error = rc;
	node->error_seq++;
	node->error_told = false;
}

void node_own_attr(const struct node *node, struct attr *attr)
{
	attr->size_gen = node->size_gen;
	attr->size_bytes = node->size_bytes;
	attr->blocks = node->blocks;
	if (node->mtime_ns != MTIME_NOT_OURS)
		attr->mtime_ns = node->mtime_ns;
}

void node_merge_attr(struct client *client, struct node *node, struct attr *attr)
{
	(void)client;
	if (node->size_known && attr->size_gen < node->size_gen) { /* an answer that a truncation by this mount overtook */
		node_own_attr(node, attr);
		return;
	}
	node->sole_writer = (attr->flags & ATTR_SIZE_AT_OBJECTS) == 0 || (attr->flags & ATTR_WRITERS_SELF) != 0;
	if (node->size_known && attr->size_gen == node->size_gen && (node->dirty || node->writers > 0)) {
		/* What we wrote may be newer than the answer. What others have told of theirs may be gone with them. */
		uint64_t ours = node->dirty ? node->size_bytes : node->own_gen == node->size_gen ? node->own_end : 0;
		attr->size_bytes = max_u64(attr->size_bytes, ours);
		attr->blocks = max_u64(attr->blocks, node->blocks);
		if (node->dirty && node->mtime_ns > attr->mtime_ns)
			attr->mtime_ns = node->mtime_ns;
		if (node->dirty && node->mtime_ns > attr->ctime_ns)
			attr->ctime_ns = node->mtime_ns;
	}
	node->size_known = true;
	node->size_gen = attr->size_gen;
	node->size_bytes = attr->size_bytes;
	node->blocks = attr->blocks;
	if (!node->dirty)
		node->mtime_ns = attr->mtime_ns;
}
