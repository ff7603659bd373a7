/* SPDX-License-Identifier: Apache-2.0
 * One codec for all messages, driven by descriptors that the table expands to. A field's place in its struct follows from the kinds
 * before it by C's own layout rule, so a row of the table says everything once; struct_bytes is checked against sizeof at compile time
 * of nothing else than the same kinds, and by proto_test.c. */
#include "proto/proto.h"
#include "common/base/check.h"
#include "common/base/err.h"

#define FIELD(kind_, name_, since_, text_) {.name = #name_, .text = text_, .kind = KIND_##kind_, .since = since_},
#define OP(op_, number_, flags_, since_, text_)                                     \
	static const struct proto_field op_##_req_fields[] = {op_##_REQ(FIELD)};    \
	static const struct proto_field op_##_rep_fields[] = {op_##_REP(FIELD)};
PROTO_OPS(OP)
#undef OP
#undef FIELD

static const struct proto_op ops[] = {
#define OP(op_, number_, flags_, since_, text_)                                                         \
	{.name = #op_, .text = text_, .number = number_, .flags = flags_, .since = since_,              \
	 .req = {op_##_req_fields, ARRAY_COUNT(op_##_req_fields), sizeof(struct op_##_req)},            \
	 .rep = {op_##_rep_fields, ARRAY_COUNT(op_##_rep_fields), sizeof(struct op_##_rep)}},
	PROTO_OPS(OP)
#undef OP
};

/* A duplicate number is a compile error: two equal case labels. */
const struct proto_op *proto_op(uint16_t number)
{
	enum {
#define OP(op_, number_, flags_, since_, text_) INDEX_##op_,
		PROTO_OPS(OP)
#undef OP
	};
	switch (number) {
#define OP(op_, number_, flags_, since_, text_) \
	case number_:                           \
		return &ops[INDEX_##op_];
		PROTO_OPS(OP)
#undef OP
	default:
		return NULL;
	}
}

size_t proto_ops(const struct proto_op **ret_ops)
{
	*ret_ops = ops;
	return ARRAY_COUNT(ops);
}

const char *proto_op_name(uint16_t number)
{
	const struct proto_op *op = proto_op(number);
	return op != NULL ? op->name : "?";
}

struct kind_row {
	const char *name;
	size_t size, align, wire_bytes_max;
};
#define KIND(kind_, wire_) [KIND_##kind_] = {#kind_, sizeof(PROTO_TYPE_##kind_), _Alignof(PROTO_TYPE_##kind_), wire_}
static const struct kind_row kinds[KIND_COUNT] = {
	KIND(u8, 1),
	KIND(u16, 2),
	KIND(u32, 4),
	KIND(u64, 8),
	KIND(i64, 8),
	KIND(ino, 8),
	KIND(str, 2 + WIRE_STR_BYTES_MAX),
	KIND(bytes, 2 + WIRE_BYTES_BYTES_MAX),
	KIND(blob, 4 + WIRE_BLOB_BYTES_MAX),
	KIND(attr, WIRE_ATTR_BYTES),
	KIND(cred, 16 + 4 * GROUPS_MAX),
	KIND(rma, 20),
	KIND(lease, 15),
	KIND(order, 16),
};
#undef KIND

const char *proto_kind_name(enum field_kind kind)
{
	return kinds[kind].name;
}

size_t proto_bytes_max(const struct proto_msg *msg)
{
	size_t bytes = 0;
	for (size_t i = 0; i < msg->field_count; i++)
		bytes += kinds[msg->fields[i].kind].wire_bytes_max;
	return bytes;
}

void wire_put_attr(struct wire_out *out, const struct attr *attr)
{
	wire_put_u64(out, attr->ino.v);
	wire_put_u32(out, attr->mode);
	wire_put_u32(out, attr->nlink);
	wire_put_u32(out, attr->uid);
	wire_put_u32(out, attr->gid);
	wire_put_u32(out, attr->rdev);
	wire_put_u16(out, (uint16_t)attr->flags);
	wire_put_u16(out, attr->atime_gen);
	wire_put_u64(out, attr->size_bytes);
	wire_put_u64(out, attr->blocks);
	wire_put_u64(out, (uint64_t)attr->atime_ns);
	wire_put_u64(out, (uint64_t)attr->mtime_ns);
	wire_put_u64(out, (uint64_t)attr->ctime_ns);
	wire_put_u64(out, (uint64_t)attr->btime_ns);
	wire_put_u32(out, attr->size_gen);
	wire_put_u32(out, attr->layout_gen);
	wire_put_u64(out, attr->change);
}

struct attr wire_get_attr(struct wire_in *in)
{
	struct attr attr = {.ino = {wire_get_u64(in)}};
	attr.mode = wire_get_u32(in);
	attr.nlink = wire_get_u32(in);
	attr.uid = wire_get_u32(in);
	attr.gid = wire_get_u32(in);
	attr.rdev = wire_get_u32(in);
	attr.flags = wire_get_u16(in);
	attr.atime_gen = wire_get_u16(in);
	attr.size_bytes = wire_get_u64(in);
	attr.blocks = wire_get_u64(in);
	attr.atime_ns = (int64_t)wire_get_u64(in);
	attr.mtime_ns = (int64_t)wire_get_u64(in);
	attr.ctime_ns = (int64_t)wire_get_u64(in);
	attr.btime_ns = (int64_t)wire_get_u64(in);
	attr.size_gen = wire_get_u32(in);
	attr.layout_gen = wire_get_u32(in);
	attr.change = wire_get_u64(in);
	return attr;
}

static void put_cred(struct wire_out *out, const struct cred *cred)
{
	wire_put_u32(out, cred->uid);
	wire_put_u32(out, cred->gid);
	wire_put_u32(out, cred->flags);
	wire_put_u32(out, cred->group_count);
	if (cred->group_count > GROUPS_MAX)
		out->err = out->err != 0 ? out->err : fail(ERR_too_long);
	wire_put_bytes(out, cred->groups_le32, (size_t)cred->group_count * 4);
}

static struct cred get_cred(struct wire_in *in)
{
	struct cred cred = {.uid = wire_get_u32(in)};
	cred.gid = wire_get_u32(in);
	cred.flags = wire_get_u32(in);
	cred.group_count = wire_get_u32(in);
	if (cred.group_count > GROUPS_MAX)
		wire_fail(in);
	cred.groups_le32 = wire_get_bytes(in, (size_t)cred.group_count * 4).ptr;
	return in->err == 0 ? cred : (struct cred){0};
}

static void put_counted(struct wire_out *out, const void *ptr, size_t len, size_t len_max, int len_bytes)
{
	if (len > len_max && out->err == 0)
		out->err = fail(ERR_too_long);
	if (len_bytes == 2)
		wire_put_u16(out, (uint16_t)len);
	else
		wire_put_u32(out, (uint32_t)len);
	wire_put_bytes(out, ptr, len);
}

static struct blob get_counted(struct wire_in *in, size_t len_max, int len_bytes)
{
	size_t len = len_bytes == 2 ? wire_get_u16(in) : wire_get_u32(in);
	if (len > len_max)
		wire_fail(in);
	return wire_get_bytes(in, len);
}

static struct str get_str(struct wire_in *in)
{
	struct blob bytes = get_counted(in, WIRE_STR_BYTES_MAX, 2);
	if (bytes.len > 0 && memchr(bytes.ptr, 0, bytes.len) != NULL) {
		wire_fail(in);
		return (struct str){0};
	}
	return (struct str){(const char *)bytes.ptr, bytes.len};
}

static void put_field(struct wire_out *out, enum field_kind kind, const void *p)
{
	/* Each case knows p's type from the kind: the table is the contract. */
	switch (kind) {
	case KIND_u8:
		wire_put_u8(out, *(const uint8_t *)p);
		break;
	case KIND_u16:
		wire_put_u16(out, *(const uint16_t *)p);
		break;
	case KIND_u32:
		wire_put_u32(out, *(const uint32_t *)p);
		break;
	case KIND_u64:
	case KIND_i64:
	case KIND_ino:
		wire_put_u64(out, *(const uint64_t *)p);
		break;
	case KIND_str: {
		const struct str *str = p;
		put_counted(out, str->ptr, str->len, WIRE_STR_BYTES_MAX, 2);
		break;
	}
	case KIND_bytes:
	case KIND_blob: {
		const struct blob *blob = p;
		if (kind == KIND_bytes)
			put_counted(out, blob->ptr, blob->len, WIRE_BYTES_BYTES_MAX, 2);
		else
			put_counted(out, blob->ptr, blob->len, WIRE_BLOB_BYTES_MAX, 4);
		break;
	}
	case KIND_attr:
		wire_put_attr(out, p);
		break;
	case KIND_cred:
		put_cred(out, p);
		break;
	case KIND_rma: {
		const struct rma *rma = p;
		wire_put_u64(out, rma->addr);
		wire_put_u64(out, rma->key);
		wire_put_u32(out, rma->len);
		break;
	}
	case KIND_lease: {
		const struct lease *lease = p;
		wire_put_u64(out, lease->number);
		wire_put_u32(out, lease->ttl_ms);
		wire_put_u8(out, lease->attr_mode);
		wire_put_u8(out, lease->dir_mode);
		wire_put_u8(out, lease->data_mode);
		break;
	}
	case KIND_order: {
		const struct write_order *order = p;
		wire_put_u64(out, order->verifier);
		wire_put_u64(out, order->order);
		break;
	}
	case KIND_COUNT:
		UNREACHABLE();
	}
}

static void get_field(struct wire_in *in, enum field_kind kind, void *p)
{
	switch (kind) {
	case KIND_u8:
		*(uint8_t *)p = wire_get_u8(in);
		break;
	case KIND_u16:
		*(uint16_t *)p = wire_get_u16(in);
		break;
	case KIND_u32:
		*(uint32_t *)p = wire_get_u32(in);
		break;
	case KIND_u64:
	case KIND_i64:
	case KIND_ino:
		*(uint64_t *)p = wire_get_u64(in);
		break;
	case KIND_str:
		*(struct str *)p = get_str(in);
		break;
	case KIND_bytes:
		*(struct blob *)p = get_counted(in, WIRE_BYTES_BYTES_MAX, 2);
		break;
	case KIND_blob:
		*(struct blob *)p = get_counted(in, WIRE_BLOB_BYTES_MAX, 4);
		break;
	case KIND_attr:
		*(struct attr *)p = wire_get_attr(in);
		break;
	case KIND_cred:
		*(struct cred *)p = get_cred(in);
		break;
	case KIND_rma: {
		struct rma *rma = p;
		rma->addr = wire_get_u64(in);
		rma->key = wire_get_u64(in);
		rma->len = wire_get_u32(in);
		break;
	}
	case KIND_lease: {
		struct lease *lease = p;
		lease->number = wire_get_u64(in);
		lease->ttl_ms = wire_get_u32(in);
		lease->attr_mode = wire_get_u8(in);
		lease->dir_mode = wire_get_u8(in);
		lease->data_mode = wire_get_u8(in);
		break;
	}
	case KIND_order: {
		struct write_order *order = p;
		order->verifier = wire_get_u64(in);
		order->order = wire_get_u64(in);
		break;
	}
	case KIND_COUNT:
		UNREACHABLE();
	}
}

/* The place of the next field, by C's layout rule. */
static size_t place(size_t offset, enum field_kind kind)
{
	return round_up(offset, kinds[kind].align);
}

void proto_encode(const struct proto_msg *msg, uint16_t version, const void *fields, struct wire_out *out)
{
	size_t offset = 0;
	for (size_t i = 0; i < msg->field_count; i++) {
		enum field_kind kind = msg->fields[i].kind;
		offset = place(offset, kind);
		if (msg->fields[i].since <= version)
			put_field(out, kind, (const uint8_t *)fields + offset);
		offset += kinds[kind].size;
	}
}

int proto_decode(const struct proto_msg *msg, uint16_t version, struct blob body, void *ret_fields)
{
	struct wire_in in = wire_in(body);
	size_t offset = 0;
	memset(ret_fields, 0, msg->struct_bytes);
	for (size_t i = 0; i < msg->field_count; i++) {
		enum field_kind kind = msg->fields[i].kind;
		offset = place(offset, kind);
		CHECK(offset + kinds[kind].size <= msg->struct_bytes);
		if (msg->fields[i].since <= version)
			get_field(&in, kind, (uint8_t *)ret_fields + offset);
		offset += kinds[kind].size;
	}
	int rc = wire_done(&in);
	if (rc < 0)
		memset(ret_fields, 0, msg->struct_bytes);
	return rc;
}
