/* SPDX-License-Identifier: Apache-2.0
 * Chained hash map; the hash is kept in the node, so growing needs no keys. */
#include "common/base/map.h"
#include "common/base/check.h"
#include "common/base/mem.h"

enum { BUCKETS_MIN = 16 };

void map_init(struct map *map)
{
	*map = (struct map){0};
}

void map_fini(struct map *map)
{
	mem_free(map->buckets);
	*map = (struct map){0};
}

uint64_t map_hash_u64(uint64_t key)
{
	/* the finalizer of MurmurHash3 */
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	key ^= key >> 33;
	return key;
}

uint64_t map_hash_bytes(struct blob key)
{
	uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ key.len;
	while (key.len >= 8) {
		hash = map_hash_u64(hash ^ load_le64(key.ptr));
		key.ptr += 8;
		key.len -= 8;
	}
	uint64_t tail = 0;
	for (size_t i = 0; i < key.len; i++)
		tail = tail << 8 | key.ptr[i];
	return map_hash_u64(hash ^ tail);
}

struct map_node *map_next(const struct map_node *node)
{
	uint64_t hash = node->hash;
	struct map_node *next = node->next;
	while (next != NULL && next->hash != hash)
		next = next->next;
	return next;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
	if (map->bucket_count == 0)
		return NULL;
	struct map_node *node = map->buckets[hash & (map->bucket_count - 1)];
	while (node != NULL && node->hash != hash)
		node = node->next;
	return node;
}

static void grow(struct map *map)
{
	size_t count = map->bucket_count == 0 ? BUCKETS_MIN : map->bucket_count * 2;
	struct map_node **buckets = mem_alloc(count * sizeof(struct map_node *));
	for (size_t i = 0; i < map->bucket_count; i++) {
		struct map_node *node = map->buckets[i];
		while (node != NULL) {
			struct map_node *next = node->next;
			struct map_node **slot = &buckets[node->hash & (count - 1)];
			node->next = *slot;
			*slot = node;
			node = next;
		}
	}
	mem_free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = count;
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
	if (map->count >= map->bucket_count)
		grow(map);
	struct map_node **slot = &map->buckets[hash & (map->bucket_count - 1)];
	node->hash = hash;
	node->next = *slot;
	*slot = node;
	map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
	CHECK(map->bucket_count > 0);
	struct map_node **slot = &map->buckets[node->hash & (map->bucket_count - 1)];
	while (*slot != node) {
		CHECK(*slot != NULL);
		slot = &(*slot)->next;
	}
	*slot = node->next;
	node->next = NULL;
	map->count--;
}

static void iter_settle(struct map_iter *iter)
{
	while (iter->next == NULL && iter->bucket < iter->map->bucket_count)
		iter->next = iter->map->buckets[iter->bucket++];
}

struct map_iter map_iter_begin(const struct map *map)
{
	struct map_iter iter = {.map = map};
	iter_settle(&iter);
	return iter;
}

struct map_node *map_iter_next(struct map_iter *iter)
{
	struct map_node *node = iter->next;
	if (node != NULL) {
		iter->next = node->next;
		iter_settle(iter);
	}
	return node;
}
