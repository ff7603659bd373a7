/* SPDX-License-Identifier: Apache-2.0
 * The cluster map as data, and its bytes. */
#include "common/cluster/cmap.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#include <stdio.h>

enum { CMAP_FORMAT_VERSION = 1 };

struct cmap *cmap_new(void)
{
	return mem_alloc(sizeof(struct cmap));
}

void cmap_free(struct cmap *map)
{
	if (map == NULL)
		return;
	mem_free(map->targets);
	mem_free(map->evicted);
	mem_free(map);
}

struct cmap *cmap_copy(const struct cmap *map)
{
	struct cmap *copy = mem_dup(map, sizeof(*map));
	copy->targets = mem_dup(map->targets, map->target_count * sizeof(map->targets[0]));
	copy->evicted = mem_dup(map->evicted, map->evicted_count * sizeof(map->evicted[0]));
	return copy;
}

struct cmap_target *cmap_find(const struct cmap *map, enum target_kind kind, uint32_t index)
{
	for (uint32_t i = 0; i < map->target_count; i++)
		if (map->targets[i].kind == kind && map->targets[i].index == index)
			return &map->targets[i];
	return NULL;
}

struct cmap_target *cmap_add_target(struct cmap *map, enum target_kind kind, uint32_t index)
{
	struct cmap_target *found = cmap_find(map, kind, index);
	if (found != NULL)
		return found;
	CHECK(map->target_count < CMAP_TARGETS_MAX);
	uint32_t at = 0;
	while (at < map->target_count && (map->targets[at].kind < kind ||
					  (map->targets[at].kind == kind && map->targets[at].index < index)))
		at++;
	map->targets = mem_realloc(map->targets, (map->target_count + 1) * sizeof(map->targets[0]));
	memmove(&map->targets[at + 1], &map->targets[at], (map->target_count - at) * sizeof(map->targets[0]));
	map->target_count++;
	map->targets[at] = (struct cmap_target){.kind = (uint8_t)kind, .index = index};
	return &map->targets[at];
}

uint32_t cmap_count(const struct cmap *map, enum target_kind kind)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < map->target_count; i++)
		count += map->targets[i].kind == kind;
	return count;
}

uint32_t cmap_mdt_of(const struct cmap *map, struct ino ino)
{
	uint16_t shard = ino_shard(ino);
	return shard < map->shard_count ? map->shard_owner[shard] : UINT32_MAX;
}

bool cmap_is_evicted(const struct cmap *map, uint64_t client)
{
	for (uint32_t i = 0; i < map->evicted_count; i++)
		if (map->evicted[i].client == client)
			return true;
	return false;
}

void cmap_evict(struct cmap *map, uint64_t client)
{
	if (cmap_is_evicted(map, client))
		return;
	if (map->evicted_count == CMAP_EVICTED_MAX) {
		memmove(&map->evicted[0], &map->evicted[1], (map->evicted_count - 1) * sizeof(map->evicted[0]));
		map->evicted_count--;
	}
	map->evicted = mem_realloc(map->evicted, (map->evicted_count + 1) * sizeof(map->evicted[0]));
	map->evicted[map->evicted_count++] = (struct cmap_eviction){.client = client, .epoch = map->epoch};
}

void cmap_target_name(const struct cmap *map, const struct cmap_target *target, char ret_name[40])
{
	(void)snprintf(ret_name, 40, "%s-%s%04x_UUID", map->fsname, target->kind == TARGET_MDT ? "MDT" : "OST",
		       target->index);
}

static void put_text(struct wire_out *out, const char *text)
{
	size_t len = strlen(text);
	wire_put_u16(out, (uint16_t)len);
	wire_put_bytes(out, text, len);
}

static void get_text(struct wire_in *in, char *ret_text, size_t size)
{
	struct blob bytes = wire_get_bytes(in, wire_get_u16(in));
	if (bytes.len >= size || (bytes.len > 0 && memchr(bytes.ptr, 0, bytes.len) != NULL)) {
		wire_fail(in);
		return;
	}
	if (bytes.len > 0)
		memcpy(ret_text, bytes.ptr, bytes.len);
	ret_text[bytes.len] = '\0';
}

/* Owners as runs (count, owner): 256 shards of one MDT cost four bytes. */
static void put_owners(const struct cmap *map, struct wire_out *out)
{
	wire_put_u32(out, map->shard_count);
	for (uint32_t i = 0; i < map->shard_count;) {
		uint32_t run = 1;
		while (i + run < map->shard_count && map->shard_owner[i + run] == map->shard_owner[i])
			run++;
		wire_put_u16(out, (uint16_t)run);
		wire_put_u16(out, map->shard_owner[i]);
		i += run;
	}
}

static void get_owners(struct wire_in *in, struct cmap *map)
{
	uint32_t count = wire_get_u32(in);
	if (count > CMAP_SHARDS_MAX)
		wire_fail(in);
	uint32_t at = 0;
	while (in->err == 0 && at < count) {
		uint32_t run = wire_get_u16(in);
		uint16_t owner = wire_get_u16(in);
		if (run == 0 || run > count - at) {
			wire_fail(in);
			return;
		}
		for (uint32_t i = 0; i < run; i++)
			map->shard_owner[at++] = owner;
	}
	map->shard_count = at;
}

void cmap_encode(const struct cmap *map, struct wire_out *out)
{
	wire_put_u8(out, CMAP_FORMAT_VERSION);
	wire_put_u64(out, map->epoch);
	wire_put_u64(out, map->cluster_hi);
	wire_put_u64(out, map->cluster_lo);
	put_text(out, map->fsname);
	put_owners(map, out);
	wire_put_u32(out, map->target_count);
	for (uint32_t i = 0; i < map->target_count; i++) {
		const struct cmap_target *target = &map->targets[i];
		wire_put_u8(out, target->kind);
		wire_put_u8(out, target->state);
		wire_put_u32(out, target->index);
		wire_put_u64(out, target->store_hi);
		wire_put_u64(out, target->store_lo);
		wire_put_u64(out, target->boot);
		put_text(out, target->address);
	}
	wire_put_u32(out, map->evicted_count);
	for (uint32_t i = 0; i < map->evicted_count; i++) {
		wire_put_u64(out, map->evicted[i].client);
		wire_put_u64(out, map->evicted[i].epoch);
	}
}

static void get_targets(struct wire_in *in, struct cmap *map)
{
	uint32_t count = wire_get_u32(in);
	if (count > CMAP_TARGETS_MAX)
		wire_fail(in);
	for (uint32_t i = 0; i < count && in->err == 0; i++) {
		uint8_t kind = wire_get_u8(in);
		uint8_t state = wire_get_u8(in);
		uint32_t index = wire_get_u32(in);
		if ((kind != TARGET_MDT && kind != TARGET_OST) || state > TARGET_UP || index > UINT16_MAX ||
		    cmap_find(map, kind, index) != NULL) {
			wire_fail(in);
			return;
		}
		struct cmap_target *target = cmap_add_target(map, kind, index);
		target->state = state;
		target->store_hi = wire_get_u64(in);
		target->store_lo = wire_get_u64(in);
		target->boot = wire_get_u64(in);
		get_text(in, target->address, sizeof(target->address));
	}
}

int cmap_decode(struct blob bytes, struct cmap **ret_map)
{
	struct wire_in in = wire_in(bytes);
	struct cmap *map = cmap_new();
	if (wire_get_u8(&in) != CMAP_FORMAT_VERSION)
		wire_fail(&in);
	map->epoch = wire_get_u64(&in);
	map->cluster_hi = wire_get_u64(&in);
	map->cluster_lo = wire_get_u64(&in);
	get_text(&in, map->fsname, sizeof(map->fsname));
	get_owners(&in, map);
	get_targets(&in, map);
	uint32_t evicted = wire_get_u32(&in);
	if (evicted > CMAP_EVICTED_MAX)
		wire_fail(&in);
	if (in.err == 0)
		map->evicted = mem_alloc(evicted * sizeof(map->evicted[0]));
	for (uint32_t i = 0; i < evicted && in.err == 0; i++) {
		map->evicted[i].client = wire_get_u64(&in);
		map->evicted[i].epoch = wire_get_u64(&in);
		map->evicted_count++;
	}
	int rc = wire_done(&in);
	if (rc < 0) {
		cmap_free(map);
		return rc;
	}
	*ret_map = map;
	return 0;
}
