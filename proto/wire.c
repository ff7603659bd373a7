/* SPDX-License-Identifier: Apache-2.0
 * The cursors. Bounds are compared as lengths, never as pointers that may wrap. */
#include "proto/wire.h"
#include "common/base/err.h"

struct wire_in wire_in(struct blob bytes)
{
	return (struct wire_in){.ptr = bytes.ptr, .end = bytes.len > 0 ? bytes.ptr + bytes.len : bytes.ptr};
}

size_t wire_left(const struct wire_in *in)
{
	return (size_t)(in->end - in->ptr);
}

void wire_fail(struct wire_in *in)
{
	if (in->err == 0)
		in->err = fail(ERR_malformed);
	in->ptr = in->end;
}

static const uint8_t *take(struct wire_in *in, size_t len)
{
	static const uint8_t zeros[8];
	if (in->err != 0 || wire_left(in) < len) {
		wire_fail(in);
		return len <= sizeof(zeros) ? zeros : NULL;
	}
	const uint8_t *ptr = in->ptr;
	in->ptr += len;
	return ptr;
}

uint8_t wire_get_u8(struct wire_in *in)
{
	return *take(in, 1);
}

uint16_t wire_get_u16(struct wire_in *in)
{
	return load_le16(take(in, 2));
}

uint32_t wire_get_u32(struct wire_in *in)
{
	return load_le32(take(in, 4));
}

uint64_t wire_get_u64(struct wire_in *in)
{
	return load_le64(take(in, 8));
}

struct blob wire_get_bytes(struct wire_in *in, size_t len)
{
	if (in->err != 0 || wire_left(in) < len) {
		wire_fail(in);
		return (struct blob){0};
	}
	struct blob bytes = {in->ptr, len};
	if (len > 0)
		in->ptr += len;
	return bytes;
}

int wire_done(const struct wire_in *in)
{
	if (in->err != 0)
		return in->err;
	return in->ptr == in->end ? 0 : fail(ERR_malformed);
}

struct wire_out wire_out(void *buf, size_t size)
{
	return (struct wire_out){.base = buf, .ptr = buf, .end = (uint8_t *)buf + size};
}

size_t wire_len(const struct wire_out *out)
{
	return (size_t)(out->ptr - out->base);
}

static uint8_t *room(struct wire_out *out, size_t len)
{
	if (out->err != 0 || (size_t)(out->end - out->ptr) < len) {
		if (out->err == 0)
			out->err = fail(ERR_too_long);
		return NULL;
	}
	uint8_t *ptr = out->ptr;
	out->ptr += len;
	return ptr;
}

void wire_put_u8(struct wire_out *out, uint8_t v)
{
	uint8_t *ptr = room(out, 1);
	if (ptr != NULL)
		*ptr = v;
}

void wire_put_u16(struct wire_out *out, uint16_t v)
{
	uint8_t *ptr = room(out, 2);
	if (ptr != NULL)
		store_le16(ptr, v);
}

void wire_put_u32(struct wire_out *out, uint32_t v)
{
	uint8_t *ptr = room(out, 4);
	if (ptr != NULL)
		store_le32(ptr, v);
}

void wire_put_u64(struct wire_out *out, uint64_t v)
{
	uint8_t *ptr = room(out, 8);
	if (ptr != NULL)
		store_le64(ptr, v);
}

void wire_put_bytes(struct wire_out *out, const void *bytes, size_t len)
{
	uint8_t *ptr = room(out, len);
	if (ptr != NULL && len > 0)
		memcpy(ptr, bytes, len);
}
