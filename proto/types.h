/* SPDX-License-Identifier: Apache-2.0
 * The few types that messages and programs share. Plain data. */
#ifndef STRIA_PROTO_TYPES_H
#define STRIA_PROTO_TYPES_H

#include "common/base/bytes.h"

/* An inode number: birth shard (high 16 bits) and sequence (low 48). Never changes, never reused. 0: none. */
struct ino {
	uint64_t v;
};
#define INO_NONE ((struct ino){0})
#define INO_ROOT ((struct ino){1}) /* shard 0, sequence 1 */
enum { INO_SEQ_BITS = 48 };
#define INO_SEQ_MAX ((UINT64_C(1) << INO_SEQ_BITS) - 1)

static inline struct ino ino_make(uint16_t shard, uint64_t seq)
{
	return (struct ino){(uint64_t)shard << INO_SEQ_BITS | seq};
}
static inline uint16_t ino_shard(struct ino ino)
{
	return (uint16_t)(ino.v >> INO_SEQ_BITS);
}
static inline uint64_t ino_seq(struct ino ino)
{
	return ino.v & INO_SEQ_MAX;
}
static inline bool ino_eq(struct ino a, struct ino b)
{
	return a.v == b.v;
}
/* "[0x<shard>:0x<seq>:0x0]" with NUL; and back, brackets optional: -EINVAL. */
enum { INO_TEXT_BYTES = 40 };
void ino_to_text(struct ino ino, char ret_text[INO_TEXT_BYTES]);
int ino_from_text(struct str text, struct ino *ret_ino);

enum {
	NAME_BYTES_MAX = 255,
	SYMLINK_BYTES_MAX = 4095,
	XATTR_NAME_BYTES_MAX = 255,
	XATTR_VALUE_BYTES_MAX = 65536,
	GROUPS_MAX = 256,       /* supplementary groups that travel with a call */
	INLINE_BYTES_MAX = 65536, /* data that travels inside a message */
	SHARD_COUNT_DEFAULT = 256,
};

enum attr_flags {
	ATTR_SIZE_AT_OBJECTS = 1, /* somebody may be writing: size, mtime and blocks are the maximum of these and the objects' */
	ATTR_WRITERS_SELF = 2,    /* the only writer is the client that asks */
	ATTR_HAS_XATTRS = 4,
	ATTR_STRIPE_DEFAULT = 8,  /* a directory with a default layout of its own */
	ATTR_HAS_ACL = 16,        /* an access list beside its mode */
};
struct attr {
	struct ino ino;
	uint32_t mode;  /* type and permission, as st_mode */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev;  /* major << 20 | minor, as the kernel's new_encode_dev gives it to FUSE */
	uint32_t flags; /* attr_flags; 16 bits on the wire */
	uint16_t atime_gen; /* changes with every atime that is set: that of a read from before does not count afterwards */
	uint64_t size_bytes;
	uint64_t blocks; /* of 512 bytes */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns; /* since 1970, MDT time */
	uint32_t size_gen;   /* grows with every truncation: a size learned before one is not published after it */
	uint32_t layout_gen;
	uint64_t change;     /* grows with every change of the inode */
};

enum cred_flags { CRED_HAS_GROUPS = 1 };
/* Who asks. Without CRED_HAS_GROUPS a server that would need them answers ERR_need_groups. */
struct cred {
	uint32_t uid, gid;
	uint32_t flags; /* cred_flags */
	uint32_t group_count;
	const uint8_t *groups_le32; /* group_count little-endian u32, borrowed */
};
static inline uint32_t cred_group(const struct cred *cred, uint32_t i)
{
	return load_le32(cred->groups_le32 + (size_t)i * 4);
}

/* What a peer needs to reach a part of a memory region (see net in common/core/env.h). len 0: none. */
struct rma {
	uint64_t addr, key;
	uint32_t len;
};

enum lease_mode { LEASE_NONE, LEASE_CR, LEASE_CW, LEASE_PR, LEASE_PW };
/* A grant: numbered per (client, inode); a reply older than the last answered recall grants nothing. */
struct lease {
	uint64_t number; /* 0: no grant */
	uint32_t ttl_ms;
	uint8_t attr_mode, dir_mode, data_mode; /* enum lease_mode */
};

/* Where a write stands in its OST's history. verifier is the OST's boot number, which grows with every start; order grows with every write
 * of that boot. (verifier, order) compared as a pair is the order in which writes were applied. */
struct write_order {
	uint64_t verifier, order;
};

#endif
