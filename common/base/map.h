/* SPDX-License-Identifier: Apache-2.0
 * A hash map from u64 or byte-string keys to intrusive nodes. Open hashing, grows by doubling, never shrinks; the owner bounds its count.
 * Iteration order depends on insertion order and the hash only, so it is the same in every run of one seed. */
#ifndef STRIA_BASE_MAP_H
#define STRIA_BASE_MAP_H

#include "common/base/bytes.h"

/* Embedded in the element. */
struct map_node {
	struct map_node *next;
	uint64_t hash; /* of the key */
};
struct map {
	struct map_node **buckets;
	size_t bucket_count, count; /* bucket_count is a power of two or 0 */
};

void map_init(struct map *map);
void map_fini(struct map *map); /* the nodes stay their owner's */
uint64_t map_hash_u64(uint64_t key);
uint64_t map_hash_bytes(struct blob key);
/* The first node with this hash, then the following ones: the caller compares keys. NULL: no more. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node);
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node); /* it must be in the map */

/* Visit all: returns the next node at or after *cursor (start with 0). The map must not change between calls, but for removal of the node returned last. */
struct map_iter {
	const struct map *map;
	size_t bucket;
	struct map_node *next;
};
struct map_iter map_iter_begin(const struct map *map);
struct map_node *map_iter_next(struct map_iter *iter);

#endif
