/* SPDX-License-Identifier: Apache-2.0
 * The frame's bytes. */
#include "proto/frame.h"
#include "common/base/crc.h"
#include "common/base/err.h"

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_OP = 6,
	AT_FLAGS = 8,
	AT_STATUS = 10,
	AT_EPOCH = 12,
	AT_REQUEST = 16,
	AT_CLIENT = 24,
	AT_OPNO = 32,
	AT_LOWEST = 40,
	AT_BODY_LEN = 48,
	AT_BULK_LEN = 52,
	AT_BODY_CRC = 56,
	AT_HEADER_CRC = 60,
};
_Static_assert(AT_HEADER_CRC + 4 == FRAME_BYTES, "the frame is 64 bytes");

void frame_encode(const struct frame *frame, struct blob body, uint8_t ret_bytes[FRAME_BYTES])
{
	store_le32(ret_bytes + AT_MAGIC, FRAME_MAGIC);
	store_le16(ret_bytes + AT_VERSION, frame->version);
	store_le16(ret_bytes + AT_OP, frame->op);
	store_le16(ret_bytes + AT_FLAGS, frame->flags);
	store_le16(ret_bytes + AT_STATUS, frame->status);
	store_le32(ret_bytes + AT_EPOCH, frame->epoch);
	store_le64(ret_bytes + AT_REQUEST, frame->request);
	store_le64(ret_bytes + AT_CLIENT, frame->client);
	store_le64(ret_bytes + AT_OPNO, frame->opno);
	store_le64(ret_bytes + AT_LOWEST, frame->lowest);
	store_le32(ret_bytes + AT_BODY_LEN, (uint32_t)body.len);
	store_le32(ret_bytes + AT_BULK_LEN, frame->bulk_len);
	store_le32(ret_bytes + AT_BODY_CRC, crc32c(0, body.ptr, body.len));
	store_le32(ret_bytes + AT_HEADER_CRC, crc32c(0, ret_bytes, AT_HEADER_CRC));
}

int frame_decode(struct blob msg, struct frame *ret_frame, struct blob *ret_body)
{
	if (msg.len < FRAME_BYTES || load_le32(msg.ptr + AT_MAGIC) != FRAME_MAGIC)
		return fail(ERR_malformed);
	const uint8_t *p = msg.ptr;
	if (load_le32(p + AT_HEADER_CRC) != crc32c(0, p, AT_HEADER_CRC))
		return fail(ERR_corrupt);
	struct frame frame = {
		.version = load_le16(p + AT_VERSION),
		.op = load_le16(p + AT_OP),
		.flags = load_le16(p + AT_FLAGS),
		.status = load_le16(p + AT_STATUS),
		.epoch = load_le32(p + AT_EPOCH),
		.request = load_le64(p + AT_REQUEST),
		.client = load_le64(p + AT_CLIENT),
		.opno = load_le64(p + AT_OPNO),
		.lowest = load_le64(p + AT_LOWEST),
		.body_len = load_le32(p + AT_BODY_LEN),
		.bulk_len = load_le32(p + AT_BULK_LEN),
		.body_crc = load_le32(p + AT_BODY_CRC),
	};
	if (frame.version < PROTO_VERSION_MIN || frame.version > PROTO_VERSION_MAX)
		return fail(ERR_version);
	if ((frame.flags & ~(FRAME_REPLY | FRAME_RESENT)) != 0 || frame.body_len != msg.len - FRAME_BYTES)
		return fail(ERR_malformed);
	struct blob body = {p + FRAME_BYTES, frame.body_len};
	if (frame.body_crc != crc32c(0, body.ptr, body.len))
		return fail(ERR_corrupt);
	*ret_frame = frame;
	*ret_body = body;
	return 0;
}
