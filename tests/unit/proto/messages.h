/* SPDX-License-Identifier: Apache-2.0
 * Fills any message from its descriptor, so that tests need no line per operation. */
#ifndef STRIA_TESTS_UNIT_PROTO_MESSAGES_H
#define STRIA_TESTS_UNIT_PROTO_MESSAGES_H

#include "common/base/rng.h"
#include "proto/proto.h"

struct message_kind {
	size_t size, align;
};
static inline struct message_kind message_kind(uint16_t kind)
{
#define K(name) [KIND_##name] = {sizeof(PROTO_TYPE_##name), _Alignof(PROTO_TYPE_##name)}
	static const struct message_kind kinds[KIND_COUNT] = {K(u8),    K(u16),  K(u32),  K(u64), K(i64),   K(ino),  K(str),
							      K(bytes), K(blob), K(attr), K(cred), K(rma), K(lease), K(order)};
#undef K
	return kinds[kind];
}

static inline void message_fill_attr(struct attr *attr, struct rng *rng)
{
	memset(attr, 0, sizeof(*attr)); /* padding too: messages are compared byte by byte */
	attr->ino.v = rng_u64(rng);
	attr->mode = (uint32_t)rng_u64(rng);
	attr->nlink = (uint32_t)rng_u64(rng);
	attr->uid = (uint32_t)rng_u64(rng);
	attr->gid = (uint32_t)rng_u64(rng);
	attr->rdev = (uint32_t)rng_u64(rng);
	uint32_t flags = (uint32_t)rng_u64(rng);
	attr->flags = flags & 0xffff;
	attr->atime_gen = (uint16_t)(flags >> 16);
	attr->size_bytes = rng_u64(rng);
	attr->blocks = rng_u64(rng);
	attr->atime_ns = (int64_t)rng_u64(rng);
	attr->mtime_ns = (int64_t)rng_u64(rng);
	attr->ctime_ns = (int64_t)rng_u64(rng);
	attr->btime_ns = (int64_t)rng_u64(rng);
	attr->size_gen = (uint32_t)rng_u64(rng);
	attr->layout_gen = (uint32_t)rng_u64(rng);
	attr->change = rng_u64(rng);
}

/* One field. Text and bytes are `len` bytes of `pool` (no NUL in it), groups come from it too. */
static inline void message_fill_field(uint16_t kind, void *field, struct rng *rng, const uint8_t *pool, size_t len)
{
	switch ((enum field_kind)kind) {
	case KIND_u8:
	case KIND_u16:
	case KIND_u32:
	case KIND_u64:
	case KIND_i64:
	case KIND_ino:
		for (size_t i = 0; i < message_kind(kind).size; i++)
			((uint8_t *)field)[i] = (uint8_t)rng_u64(rng);
		break;
	case KIND_str:
		*(struct str *)field = (struct str){(const char *)pool, len < WIRE_STR_BYTES_MAX ? len : WIRE_STR_BYTES_MAX};
		break;
	case KIND_bytes:
		*(struct blob *)field = blob_of(pool, len < WIRE_BYTES_BYTES_MAX ? len : WIRE_BYTES_BYTES_MAX);
		break;
	case KIND_blob:
		*(struct blob *)field = blob_of(pool, len < WIRE_BLOB_BYTES_MAX ? len : WIRE_BLOB_BYTES_MAX);
		break;
	case KIND_attr:
		message_fill_attr(field, rng);
		break;
	case KIND_cred: {
		struct cred *cred = field;
		cred->uid = (uint32_t)rng_u64(rng);
		cred->gid = (uint32_t)rng_u64(rng);
		cred->flags = CRED_HAS_GROUPS;
		cred->group_count = (uint32_t)(len / 4 < GROUPS_MAX ? len / 4 : GROUPS_MAX);
		cred->groups_le32 = pool;
		break;
	}
	case KIND_rma: {
		struct rma *rma = field;
		rma->addr = rng_u64(rng);
		rma->key = rng_u64(rng);
		rma->len = (uint32_t)rng_u64(rng);
		break;
	}
	case KIND_lease: {
		struct lease *lease = field;
		lease->number = rng_u64(rng);
		lease->ttl_ms = (uint32_t)rng_u64(rng);
		lease->attr_mode = (uint8_t)rng_u64(rng);
		lease->dir_mode = (uint8_t)rng_u64(rng);
		lease->data_mode = (uint8_t)rng_u64(rng);
		break;
	}
	case KIND_order: {
		struct write_order *order = field;
		order->verifier = rng_u64(rng);
		order->order = rng_u64(rng);
		break;
	}
	case KIND_COUNT:
		break;
	}
}

/* Bytes of the struct that the descriptor describes, by C's layout rule; *ret_align its alignment. */
static inline size_t message_struct_bytes(const struct proto_msg *msg, size_t *ret_align)
{
	size_t offset = 0, align = 1;
	for (size_t i = 0; i < msg->field_count; i++) {
		struct message_kind kind = message_kind(msg->fields[i].kind);
		offset = round_up(offset, kind.align) + kind.size;
		align = kind.align > align ? kind.align : align;
	}
	*ret_align = align;
	return round_up(offset, align);
}

/* A whole message into `fields` (msg->struct_bytes, zeroed here). */
static inline void message_fill(const struct proto_msg *msg, void *fields, struct rng *rng, const uint8_t *pool, size_t len)
{
	memset(fields, 0, msg->struct_bytes);
	size_t offset = 0;
	for (size_t i = 0; i < msg->field_count; i++) {
		struct message_kind kind = message_kind(msg->fields[i].kind);
		offset = round_up(offset, kind.align);
		message_fill_field(msg->fields[i].kind, (uint8_t *)fields + offset, rng, pool, len);
		offset += kind.size;
	}
}

#endif
