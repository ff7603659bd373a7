/* SPDX-License-Identifier: Apache-2.0
 * The cluster map: which targets there are, where, in which state; who owns which shard; which clients were evicted. Versioned by epoch,
 * owned by the MGS, cached by everybody. Pure data. */
#ifndef STRIA_CLUSTER_CMAP_H
#define STRIA_CLUSTER_CMAP_H

#include "common/base/bytes.h"
#include "proto/proto.h"

enum {
	FSNAME_BYTES_MAX = 8, /* as in Lustre: it becomes part of "fsname-OST0000_UUID" */
	CMAP_ADDRESS_BYTES_MAX = 256,
	CMAP_TARGETS_MAX = 512,
	CMAP_SHARDS_MAX = 1024,
	CMAP_EVICTED_MAX = 1024, /* the oldest are forgotten beyond that */
};

struct cmap_target {
	uint8_t kind;   /* enum target_kind */
	uint8_t state;  /* enum target_state */
	uint32_t index;
	uint64_t store_hi, store_lo; /* uuid of its store */
	uint64_t boot;
	char address[CMAP_ADDRESS_BYTES_MAX]; /* several separated by commas */
};
struct cmap_eviction {
	uint64_t client;
	uint64_t epoch; /* of the map that first said so */
};
struct cmap {
	uint64_t epoch;
	uint64_t cluster_hi, cluster_lo;
	char fsname[FSNAME_BYTES_MAX + 1];
	uint32_t shard_count;
	uint16_t shard_owner[CMAP_SHARDS_MAX]; /* MDT index */
	uint32_t target_count;
	struct cmap_target *targets; /* owned; sorted by kind, index */
	uint32_t evicted_count;
	struct cmap_eviction *evicted; /* owned; ascending epoch */
};

struct cmap *cmap_new(void);
void cmap_free(struct cmap *map); /* NULL is fine */
struct cmap *cmap_copy(const struct cmap *map);

/* NULL: there is none. Borrowed from the map. */
struct cmap_target *cmap_find(const struct cmap *map, enum target_kind kind, uint32_t index);
/* Adds or finds; CHECKs the limit: callers test it. */
struct cmap_target *cmap_add_target(struct cmap *map, enum target_kind kind, uint32_t index);
uint32_t cmap_count(const struct cmap *map, enum target_kind kind);
/* The MDT that owns the shard of an inode; UINT32_MAX for a shard that does not exist. */
uint32_t cmap_mdt_of(const struct cmap *map, struct ino ino);
bool cmap_is_evicted(const struct cmap *map, uint64_t client);
void cmap_evict(struct cmap *map, uint64_t client); /* at map->epoch; idempotent */
/* "stria-OST0003_UUID" into 40 bytes. */
void cmap_target_name(const struct cmap *map, const struct cmap_target *target, char ret_name[40]);

/* Bytes at most WIRE_BLOB_BYTES_MAX. Errors in out->err. */
void cmap_encode(const struct cmap *map, struct wire_out *out);
/* A new map, checked: ERR_malformed. */
int cmap_decode(struct blob bytes, struct cmap **ret_map);

#endif
