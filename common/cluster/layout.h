/* SPDX-License-Identifier: Apache-2.0
 * Layouts: how a file maps to objects. Pure arithmetic and codec.
 *
 * A layout is a list of components by extent. In a RAID-0 component of n stripes of s bytes, byte x of the component's extent lies in stripe
 * (x / s) mod n, at object offset (x / (s n)) s + x mod s. Objects are named (inode, component id, stripe): nothing allocates ids.
 * Object offsets count from the component's start, so every object is dense from 0. */
#ifndef STRIA_CLUSTER_LAYOUT_H
#define STRIA_CLUSTER_LAYOUT_H

#include "common/base/bytes.h"
#include "proto/wire.h"

enum {
	LAYOUT_COMPONENTS_MAX = 8,
	LAYOUT_STRIPES_MAX = 1024, /* of all components together */
	LAYOUT_POOL_BYTES_MAX = 15,
	STRIPE_BYTES_MIN = 65536,
	STRIPE_BYTES_DEFAULT = 1 << 20,
};
#define STRIPE_BYTES_MAX (UINT32_C(1) << 31)
#define LAYOUT_EOF UINT64_MAX
#define STRIPE_COUNT_ALL 0xffff /* in a wanted layout: all OSTs */
#define STRIPE_INDEX_ANY 0xffff /* in a wanted layout: the MDS chooses the first OST */

enum layout_pattern { PATTERN_RAID0 = 1 };
enum component_flags { COMPONENT_INIT = 1, COMPONENT_OST_LIST = 2 /* wanted: exactly these OSTs */ };
struct component {
	uint32_t id;            /* unique in the file, part of object names */
	uint64_t start, end;    /* extent in the file; end LAYOUT_EOF: to the end */
	uint8_t pattern;        /* enum layout_pattern */
	uint8_t flags;          /* enum component_flags */
	uint32_t stripe_bytes;  /* multiple of 64 KiB; 0 in a wanted one: default */
	uint16_t stripe_count;  /* 0 in a wanted one: default; STRIPE_COUNT_ALL */
	uint16_t stripe_index;  /* wanted first OST, or STRIPE_INDEX_ANY */
	uint16_t osts_at;       /* its OST indices are layout->osts[osts_at …], stripe_count of them; none in a wanted one without a list */
	uint16_t ost_count;     /* 0 or stripe_count */
	char pool[LAYOUT_POOL_BYTES_MAX + 1];
};
struct layout {
	uint32_t gen;
	uint16_t component_count; /* 0: no layout */
	uint16_t ost_total;
	struct component components[LAYOUT_COMPONENTS_MAX];
	uint16_t osts[LAYOUT_STRIPES_MAX];
};

/* One piece of a file range: contiguous in the file and in one object. */
struct layout_piece {
	uint64_t file_offset, object_offset, len;
	uint32_t component; /* id */
	uint32_t stripe;
	uint16_t ost;       /* index */
};

/* One RAID-0 component over everything, with the wanted parameters and no OSTs yet. */
void layout_init_wanted(struct layout *layout, uint16_t stripe_count, uint32_t stripe_bytes, uint16_t stripe_index);
/* 0, or -EINVAL when it cannot be a wanted (placed = false) or a usable (placed = true) layout: extents that leave gaps or overlap, bad sizes, … */
int layout_check(const struct layout *layout, bool placed);
/* Give every component its OSTs: `osts` are the indices to choose from (`count` >= 1), `start` rotates the choice. stripe_count is clipped to count;
 * OST lists are kept. Errors: EINVAL (an OST that is not among `osts`), ENOSPC (no OST). */
int layout_place(const struct layout *wanted, const uint16_t *osts, uint16_t count, uint16_t start, struct layout *ret_layout);
/* The first piece of [offset, offset+len): false when it lies in no component or len is 0. */
bool layout_map(const struct layout *layout, uint64_t offset, uint64_t len, struct layout_piece *ret_piece);
/* Every object of the file: call with *cursor = 0 first; false at the end. */
bool layout_next_object(const struct layout *layout, uint32_t *cursor, struct layout_piece *ret_object);
/* The file's size if this object has `object_size` bytes (0 if that is 0). */
uint64_t layout_file_size(const struct layout *layout, uint32_t component, uint32_t stripe, uint64_t object_size);
/* The object's size if the file is cut off at `file_size`. */
uint64_t layout_object_size(const struct layout *layout, uint32_t component, uint32_t stripe, uint64_t file_size);

void layout_encode(const struct layout *layout, struct wire_out *out);
/* Checked for form, not by layout_check. Empty bytes: component_count 0. ERR_malformed. */
int layout_decode(struct blob bytes, struct layout *ret_layout);

#endif
