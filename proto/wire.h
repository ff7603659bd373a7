/* SPDX-License-Identifier: Apache-2.0
 * Sticky-error cursors over little-endian bytes: after the first failure reads yield zeros and writes do nothing, so a codec is a
 * flat list of lines with one check at its end. */
#ifndef STRIA_PROTO_WIRE_H
#define STRIA_PROTO_WIRE_H

#include "common/base/bytes.h"

struct wire_in {
	const uint8_t *ptr, *end;
	int err; /* 0 or -ERR_malformed */
};
struct wire_out {
	uint8_t *base, *ptr, *end;
	int err; /* 0 or -ERR_too_long */
};

struct wire_in wire_in(struct blob bytes);
size_t wire_left(const struct wire_in *in);
uint8_t wire_get_u8(struct wire_in *in);
uint16_t wire_get_u16(struct wire_in *in);
uint32_t wire_get_u32(struct wire_in *in);
uint64_t wire_get_u64(struct wire_in *in);
struct blob wire_get_bytes(struct wire_in *in, size_t len); /* borrowed from the input */
/* Mark as failed: for a value that cannot be. */
void wire_fail(struct wire_in *in);
/* 0 when all was read and nothing is left over, else -ERR_malformed. */
int wire_done(const struct wire_in *in);

struct wire_out wire_out(void *buf, size_t size);
size_t wire_len(const struct wire_out *out);
void wire_put_u8(struct wire_out *out, uint8_t v);
void wire_put_u16(struct wire_out *out, uint16_t v);
void wire_put_u32(struct wire_out *out, uint32_t v);
void wire_put_u64(struct wire_out *out, uint64_t v);
void wire_put_bytes(struct wire_out *out, const void *ptr, size_t len);

#endif
