/* SPDX-License-Identifier: Apache-2.0
 * The 64-byte frame in front of every message. Little-endian; offsets asserted in frame.c. The header's own CRC32C covers bytes 0..59,
 * the body's is in the header. */
#ifndef STRIA_PROTO_FRAME_H
#define STRIA_PROTO_FRAME_H

#include "common/base/bytes.h"

enum {
	FRAME_BYTES = 64,
	FRAME_MAGIC = 0x61697253, /* "Sria" as bytes 53 72 69 61 */
	PROTO_VERSION_MIN = 1,
	PROTO_VERSION_MAX = 1,
};
enum frame_flags {
	FRAME_REPLY = 1,
	FRAME_RESENT = 2, /* not the first copy of this request */
};
struct frame {
	uint16_t version;   /* of the body's fields */
	uint16_t op;        /* enum op */
	uint16_t flags;     /* frame_flags */
	uint16_t status;    /* of a reply: 0, an errno or an ERR_* number; then the body is empty */
	uint32_t epoch;     /* of the sender's cluster map, 0: has none */
	uint64_t request;   /* chosen by the caller, unique on its connection's life */
	uint64_t client;    /* who calls; 0: nobody yet */
	uint64_t opno;      /* operation number of a mutation, 0: none */
	uint64_t lowest;    /* the caller's lowest operation number without an answer */
	uint32_t body_len;  /* bytes that follow */
	uint32_t bulk_len;  /* bytes moved by RMA for this call, for accounting */
	uint32_t body_crc;  /* CRC32C of the body */
};

/* Writes 64 bytes; fills in both checksums from `body`. */
void frame_encode(const struct frame *frame, struct blob body, uint8_t ret_bytes[FRAME_BYTES]);
/* Checks magic, version range, reserved bits, lengths and both checksums of one whole message.
 * Errors: ERR_malformed, ERR_corrupt (a checksum), ERR_version. *ret_body borrows from msg. */
int frame_decode(struct blob msg, struct frame *ret_frame, struct blob *ret_body);

#endif
