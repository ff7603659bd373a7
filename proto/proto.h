/* SPDX-License-Identifier: Apache-2.0
 * What is expanded from ops.def.h: enum op, struct <op>_req and <op>_rep, and descriptors by which one codec serves all messages.
 *
 *  kind   C type         on the wire
 *  u8…u64 uintN_t        little-endian
 *  i64    int64_t        two's complement
 *  ino    struct ino     u64
 *  str    struct str     u16 length, bytes (4096 at most), no NUL in them
 *  bytes  struct blob    u16 length, bytes (6144 at most)
 *  blob   struct blob    u32 length, bytes (65536 at most)
 *  attr, cred, rma, lease, order: the structs of types.h, field by field
 * Decoded strings and blobs borrow from the message. */
#ifndef STRIA_PROTO_PROTO_H
#define STRIA_PROTO_PROTO_H

#include "common/base/bytes.h"
#include "proto/ops.def.h"
#include "proto/types.h"
#include "proto/wire.h"

enum op_flags {
	OPF_IDEMPOTENT = 1, /* may be repeated without a record */
	OPF_MUTATES = 2,    /* carries an operation number: happens exactly once */
	OPF_BARE = 4,       /* allowed before the sender is known as a client or target */
	OPF_BULK_IN = 8,    /* the server may read from the caller's memory */
	OPF_BULK_OUT = 16,  /* the server may write to the caller's memory */
};

enum peer_role { ROLE_NONE, ROLE_CLIENT, ROLE_MDT, ROLE_OST, ROLE_ADMIN };
enum target_kind { TARGET_NONE, TARGET_MDT, TARGET_OST };
enum target_state { TARGET_DOWN, TARGET_STARTING, TARGET_RECOVERING, TARGET_UP };

/* Our own numbers, not the platform's: translated at the edges. */
enum open_flags { OPEN_READ = 1, OPEN_WRITE = 2, OPEN_TRUNC = 4, OPEN_EXCL = 8, OPEN_APPEND = 16, OPEN_EXEC = 32 };
enum setattr_valid {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 16,
	SET_MTIME = 32,
	SET_ATIME_NOW = 64,  /* the MDT's now */
	SET_MTIME_NOW = 128,
	SET_KILL_SUID = 256, /* clear set-user-id and (group-executable) set-group-id: the file was written by somebody else than root */
};
enum size_flags {
	SIZE_VALID = 1,
	SIZE_LAST_WRITER = 2, /* what may have been written is said and stable: the writer mark and the right to write go */
	SIZE_INLINE = 4,      /* data is the whole file */
	SIZE_OUTLINE = 8,     /* the file's data is in its objects now: what lives with the inode goes */
	SIZE_ATIME = 16,      /* atime_ns counts */
	SIZE_BLOCKS = 32,     /* blocks are what the objects have, even if that is 0 */
};
enum alloc_flags {
	ALLOC_ZERO = 1,   /* what is there reads as zeros afterwards */
	ALLOC_EXTEND = 2, /* the object ends at the range's end or later afterwards */
};
enum copy_flags {
	COPY_EXTEND = 1, /* the destination ends at the range's end or later afterwards; else where the last data of the range does, or later */
};
enum { COPY_BYTES_MAX = 16 * 1024 * 1024 }; /* of one obj_copy */
/* Where a file's data is: with its inode, and then in the answer (what is missing to its size is zeros), or in its objects. */
enum data_place { DATA_PLACE_UNKNOWN, DATA_INLINE, DATA_AT_OBJECTS };
enum reclaim_kind { RECLAIM_OPENS, RECLAIM_LEASES, RECLAIM_LOCKS };
enum lookup_flags {
	LOOKUP_ABSENT_OK = 1,
	LOOKUP_READS = 2, /* it will probably be opened and read: the right to cache its data, if it is free, and the data of a small file */
};
enum lock_kind { LOCK_KIND_FLOCK = 1, LOCK_KIND_POSIX, LOCK_KIND_OFD };
enum lock_type { LOCK_TYPE_NONE, LOCK_TYPE_READ, LOCK_TYPE_WRITE };
enum lock_flags {
	LOCK_WAIT = 1,     /* queue it if somebody is in the way */
	LOCK_WITHDRAW = 2, /* the one who waits does not want it any more; nothing else of the request counts */
	LOCK_KEEP = 4,     /* for reading: what the owner has locked for writing stays so */
};
enum lock_result { LOCK_UNKNOWN, LOCK_GRANTED, LOCK_QUEUED, LOCK_WITHDRAWN };
enum layout_target { LAYOUT_OF_FILE, LAYOUT_DEFAULT_OF_DIR };

enum {
	WIRE_STR_BYTES_MAX = 4096,
	WIRE_BYTES_BYTES_MAX = 6144,
	WIRE_BLOB_BYTES_MAX = 65536,
};

enum op {
#define OP(name, number, flags, since, text) OP_##name = (number),
	PROTO_OPS(OP)
#undef OP
};

#define PROTO_TYPE_u8    uint8_t
#define PROTO_TYPE_u16   uint16_t
#define PROTO_TYPE_u32   uint32_t
#define PROTO_TYPE_u64   uint64_t
#define PROTO_TYPE_i64   int64_t
#define PROTO_TYPE_ino   struct ino
#define PROTO_TYPE_str   struct str
#define PROTO_TYPE_bytes struct blob
#define PROTO_TYPE_blob  struct blob
#define PROTO_TYPE_attr  struct attr
#define PROTO_TYPE_cred  struct cred
#define PROTO_TYPE_rma   struct rma
#define PROTO_TYPE_lease struct lease
#define PROTO_TYPE_order struct write_order

#define FIELD(kind, name, since, text) PROTO_TYPE_##kind name;
#define OP(name, number, flags, since, text)    \
	struct name##_req {                     \
		name##_REQ(FIELD)               \
	};                                      \
	struct name##_rep {                     \
		name##_REP(FIELD)               \
	};
PROTO_OPS(OP)
#undef OP
#undef FIELD

enum field_kind {
	KIND_u8, KIND_u16, KIND_u32, KIND_u64, KIND_i64, KIND_ino, KIND_str, KIND_bytes, KIND_blob,
	KIND_attr, KIND_cred, KIND_rma, KIND_lease, KIND_order,
	KIND_COUNT,
};
struct proto_field {
	const char *name, *text;
	uint16_t kind;   /* enum field_kind */
	uint16_t since;  /* protocol version */
};
/* A request or a reply. */
struct proto_msg {
	const struct proto_field *fields;
	size_t field_count;
	size_t struct_bytes;
};
struct proto_op {
	const char *name, *text;
	uint16_t number, flags, since;
	struct proto_msg req, rep;
};

/* The row of an operation, or NULL. */
const struct proto_op *proto_op(uint16_t number);
/* All rows in table order; returns how many. */
size_t proto_ops(const struct proto_op **ret_ops);
const char *proto_op_name(uint16_t number); /* "?" if unknown */
const char *proto_kind_name(enum field_kind kind);

/* Append the fields of `msg` (a struct of msg's type) that version knows. Errors in out->err: ERR_too_long. */
void proto_encode(const struct proto_msg *msg, uint16_t version, const void *fields, struct wire_out *out);
/* Decode a whole body; fields that the version does not know become zero. Errors: ERR_malformed, then *fields is all zero. */
int proto_decode(const struct proto_msg *msg, uint16_t version, struct blob body, void *ret_fields);
/* Bytes at most that a message of this kind encodes to. */
size_t proto_bytes_max(const struct proto_msg *msg);

/* A struct attr by itself, as in dirents. */
enum { WIRE_ATTR_BYTES = 96 };
void wire_put_attr(struct wire_out *out, const struct attr *attr);
struct attr wire_get_attr(struct wire_in *in);

#endif
