/* SPDX-License-Identifier: Apache-2.0
 * Records of the store: their keys and values, encoded and checked. Pure: neither parks nor looks at a store. The simulator's
 * checkers read stores with it. Decoded strings and blobs borrow from the value. Every decoder answers ERR_corrupt for a value that cannot be. */
#ifndef STRIA_MDS_RECORD_H
#define STRIA_MDS_RECORD_H

#include "common/base/err.h"
#include "proto/proto.h"

enum record_table {
#define T(name, letter, key, text) TABLE_##name = (letter),
#include "mds/record.def.h"
};
enum {
	RECORD_VERSION = 1,
	KEY_BYTES_MAX = 2 + 1 + 8 + XATTR_NAME_BYTES_MAX,
	SHARD_STATE = 0xffff, /* of the MDT's and the MGS's own records */
	BUCKET_ENTRIES_MAX = 128,
	HASH_BITS_MAX = 56,
	COOKIE_N_BITS = 7,
	BLOCK_BYTES = 512, /* unit of attr.blocks */
};

struct key {
	uint16_t len;
	uint8_t bytes[KEY_BYTES_MAX];
};
static inline struct blob key_blob(const struct key *key)
{
	return blob_of(key->bytes, key->len);
}
struct key key_inode(struct ino ino);
struct key key_dentry(struct ino dir, uint64_t hash);
struct key key_backptr(struct ino ino, struct ino dir, uint64_t cookie);
struct key key_xattr(struct ino ino, struct str name); /* name: 0..XATTR_NAME_BYTES_MAX bytes; empty: the prefix of all */
/* Tables whose key is one inode: symlink, orphan, purge, truncate; also the prefix of what begins with it. */
struct key key_of(enum record_table table, struct ino ino);
struct key key_writer(struct ino ino, uint64_t client);
struct key key_reply(uint16_t shard, uint64_t client, uint64_t opno);
struct key key_numbers(uint16_t shard);
struct key key_table(uint16_t shard, enum record_table table); /* prefix of the whole table */
struct key key_state(const char *name);                        /* "superblock", "map", … in shard 0xffff */
struct key key_client(uint64_t client);                        /* the MGS's record of a client */
struct key key_end(struct key prefix);                         /* the first key behind all that begin with it */
struct key key_after(struct blob key);                         /* the very next key of an xattr, whose name has no NUL */

/* A key taken apart; what its table does not have is zero. */
struct key_parts {
	uint16_t shard;
	uint8_t table; /* enum record_table; in shard 0xffff 0 */
	struct ino ino;
	struct ino dir;      /* backptr */
	uint64_t number;     /* dentry: hash; backptr: cookie; writer, reply: client */
	uint64_t opno;       /* reply */
	struct str name;     /* xattr; in shard 0xffff the whole rest */
};
/* ERR_corrupt: not a key of ours. */
int key_parse(struct blob key, struct key_parts *ret_parts);
/* Readable, for error lines. */
enum { KEY_TEXT_BYTES = 96 };
void key_to_text(struct blob key, char ret_text[KEY_TEXT_BYTES]);

enum inode_flags {
	INODE_HAS_DATA = 1, /* was opened for writing, so that objects may exist */
	INODE_LINKABLE = 2, /* made without a name, and may get its first one */
	INODE_INLINE = 4,   /* its data is in TABLE_inline; what its objects may hold counts for nothing */
	INODE_HAS_ACL = 16, /* an access list is among its extended attributes */
	INODE_HAS_DEFAULT_ACL = 32, /* and, of a directory, a default one */
};
struct rec;
struct inode {
	struct ino ino; /* from the key */
	uint32_t mode, nlink, uid, gid, rdev;
	uint32_t flags; /* enum inode_flags; 16 bits in the record */
	uint16_t atime_gen; /* as in attributes */
	uint64_t size_bytes, blocks;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	int64_t modified_ns;   /* when what mtime tells of happened: a write of before then does not change mtime, which utimens may have set anywhere */
	uint32_t size_gen, layout_gen;
	uint64_t change;
	struct ino parent;     /* of a directory; root: itself */
	uint64_t entries;      /* of a directory */
	uint32_t xattr_count, xattr_bytes; /* names and values */
	struct blob layout;         /* layout_encode, placed; empty: none */
	struct blob default_layout; /* of a directory, wanted; empty: none */
	struct blob acl, default_acl; /* if the flags say that there are (mds/acl.h); not stored here */
	struct rec *rec;            /* the cached record it was decoded from; not stored */
};
int inode_decode(struct ino ino, struct blob value, struct inode *ret_inode);
void inode_encode(const struct inode *inode, struct wire_out *out);

struct dentry {
	uint8_t n;    /* 0..127, tells equal hashes apart */
	uint8_t type; /* DT_* */
	uint16_t home; /* shard where the inode lives */
	struct ino ino;
	struct str name;
};
struct bucket {
	uint32_t count;
	struct dentry entries[BUCKET_ENTRIES_MAX]; /* ascending n */
};
int bucket_decode(struct blob value, struct bucket *ret_bucket);
void bucket_encode(const struct bucket *bucket, struct wire_out *out);
enum { BUCKET_BYTES_MAX = 16 + BUCKET_ENTRIES_MAX * (16 + NAME_BYTES_MAX) };
/* Index of the name, or -1. */
int bucket_find(const struct bucket *bucket, struct str name);
/* Insert under the lowest free n; false: 128 names have this hash. */
bool bucket_add(struct bucket *bucket, struct str name, struct ino ino, uint8_t type, uint8_t *ret_n);
void bucket_remove(struct bucket *bucket, int at);

/* One string or blob behind the version byte: backptr, symlink, xattr. */
void text_encode(struct blob text, struct wire_out *out);
int text_decode(struct blob value, struct blob *ret_text);

struct purge_record {
	bool has_xattrs;
	struct blob layout; /* empty: no objects */
};
void purge_encode(const struct purge_record *purge, struct wire_out *out);
int purge_decode(struct blob value, struct purge_record *ret_purge);

struct truncate_record {
	uint64_t size_bytes;
	uint32_t size_gen;
	int64_t mtime_ns;
};
void truncate_encode(const struct truncate_record *truncate, struct wire_out *out);
int truncate_decode(struct blob value, struct truncate_record *ret_truncate);

/* writer: size_gen at the grant. numbers: the next sequence. Orphans: 0. */
void number_encode(uint64_t number, struct wire_out *out);
int number_decode(struct blob value, uint64_t *ret_number);

struct reply_record {
	uint16_t op;     /* enum op */
	uint16_t status; /* as on the wire */
	uint16_t version; /* protocol version of the body */
	/* of open and create: what was opened */
	uint64_t handle;
	struct ino ino;      /* also of a truncation: answer only when its intent is gone */
	uint32_t open_flags;
	struct blob body; /* encoded reply, without grants */
};
void reply_encode(const struct reply_record *reply, struct wire_out *out);
int reply_decode(struct blob value, struct reply_record *ret_reply);

struct superblock {
	uint64_t cluster_hi, cluster_lo, store_hi, store_lo;
	uint64_t boot;       /* grows with every start */
	uint32_t index;      /* of the MDT */
	uint32_t shard_count;
	uint64_t hash_key[2];
	uint32_t hash_bits;  /* 1..56 */
	int64_t time_ns;     /* MDT time never goes below this */
	char fsname[16];
};
void superblock_encode(const struct superblock *sb, struct wire_out *out);
/* Errors: ERR_corrupt, ERR_version (newer than we are). */
int superblock_decode(struct blob value, struct superblock *ret_sb);

/* What the MGS keeps of a live client. */
struct client_record {
	uint64_t client, uuid_hi, uuid_lo;
	uint32_t pid;
	struct str host, mountpoint;
};
void client_encode(const struct client_record *client, struct wire_out *out);
int client_decode(struct blob value, struct client_record *ret_client);

enum { INODE_BYTES_MAX = 168 + 2 * (WIRE_BYTES_BYTES_MAX + 2) };

#endif
