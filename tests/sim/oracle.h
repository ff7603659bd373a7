/* SPDX-License-Identifier: Apache-2.0
 * The oracle: a model file system that says what each operation must answer.
 *
 * One model per subtree, and one task at a time works in a subtree, so that every answer is known exactly. What is not known is what a
 * client that crashed left behind: its operation in flight happened or not, and bytes that it had not fsynced are old or new, each for
 * itself. Everything else, crashes of servers above all, changes nothing that was answered. */
#ifndef STRIA_SIM_ORACLE_H
#define STRIA_SIM_ORACLE_H

#include "common/base/rng.h"
#include "tests/sim/fs.h"

enum {
	MODEL_HANDLES = 6,
	MODEL_NAME_BYTES = 16,
	MODEL_DEPTH_MAX = 4,
	MODEL_PATH_BYTES = MODEL_NAME_BYTES * MODEL_DEPTH_MAX + 8,
	MODEL_XATTRS = 3,
	MODEL_XATTR_BYTES = 64,
	MODEL_ACL_USER = 7,
	MODEL_ACL_BYTES = 44,
};

enum model_kind { MODEL_FILE, MODEL_DIR, MODEL_SYMLINK, MODEL_FIFO, MODEL_WHITEOUT };

/* A write that a crash of its client may undo, byte by byte. */
struct model_write {
	struct list_node link;
	uint64_t offset, len;
	uint8_t data[];
};
struct model_xattr {
	size_t len; /* 0: there is none */
	uint8_t value[MODEL_XATTR_BYTES];
};
/* A list of one shape: owner, one user by name, owning group, mask, others. */
struct model_acl {
	bool there;
	uint32_t mode;          /* of owner, mask and others; of an access list it is the inode's */
	unsigned user, group;   /* permissions of user MODEL_ACL_USER, and of the owning group */
};
struct model_inode {
	struct list_node link; /* model->inodes */
	enum model_kind kind;
	uint32_t mode, uid, gid; /* permission bits only */
	unsigned nlink, opens;
	bool linkable; /* without a name, but may get one */
	struct list entries; /* of a directory: struct model_entry */
	struct model_inode *parent;
	struct image data, synced;
	uint64_t size_min, size_max; /* since the last fsync */
	struct list unsynced;        /* struct model_write */
	char target[MODEL_PATH_BYTES];
	struct model_xattr xattrs[MODEL_XATTRS];
	struct model_acl acl, default_acl;
	bool unknown; /* a full disk refused a part of what was written: its data and size may be anything from here on */
	bool mtime_known;
	int64_t mtime_ns;
	bool atime_exact;    /* it was set, and nothing was read since */
	int64_t atime_ns;    /* then; else the latest that was seen, below which it does not fall */
	bool pages_may_hide; /* what has changed since its last open to read does not come with new pages: reads may stay the kernel's own */
	uint32_t stripe_count, stripe_bytes; /* of setstripe; 0: never */
	struct model_inode *copy; /* while cloning */
};
struct model_entry {
	struct list_node link;
	char name[MODEL_NAME_BYTES];
	struct model_inode *inode;
};
struct model_handle {
	struct model_inode *inode; /* NULL: closed */
	bool read, write, append;
	uint64_t read_at, read_len, read_step; /* of reads in order, or at equal distances; read_len 0: none yet */
};
struct model {
	struct list inodes;
	struct model_inode *root;
	struct model_handle handles[MODEL_HANDLES];
	bool lost_before; /* the operation that is applied now may have come after an eviction: a mount goes on with those that need nothing of before */
};

enum model_op_kind {
	MOP_OPEN, MOP_CLOSE, MOP_WRITE, MOP_READ, MOP_FSYNC, MOP_FTRUNCATE, MOP_FSTAT, MOP_TRUNCATE, MOP_STAT, MOP_MKDIR, MOP_RMDIR,
	MOP_UNLINK, MOP_RENAME, MOP_LINK, MOP_SYMLINK, MOP_READLINK, MOP_MKNOD, MOP_CHMOD, MOP_CHOWN, MOP_UTIMENS, MOP_SETXATTR,
	MOP_GETXATTR, MOP_REMOVEXATTR, MOP_LISTXATTR, MOP_READDIR, MOP_STATFS, MOP_SETSTRIPE,
	MOP_TMPFILE, MOP_LINK_HANDLE, MOP_FCHMOD, MOP_FGETXATTR, MOP_FALLOCATE, MOP_SEEK, MOP_SETACL, MOP_GETACL, MOP_COPY,
	MOP_COUNT,
};
enum model_open_flags { MO_READ = 1, MO_WRITE = 2, MO_CREATE = 4, MO_EXCL = 8, MO_TRUNC = 16, MO_APPEND = 32 };
enum model_rename_flags { MR_NOREPLACE = 1, MR_EXCHANGE = 2, MR_WHITEOUT = 4 };
enum model_alloc_flags { MA_KEEP_SIZE = 1, MA_PUNCH = 2, MA_ZERO = 4 };
enum model_seek_flags { MS_HOLE = 1 };

/* Paths are relative to the subtree, "" is its root. */
struct model_op {
	enum model_op_kind kind;
	char path[MODEL_PATH_BYTES], to[MODEL_PATH_BYTES]; /* to: second path, or a symlink's target */
	unsigned handle, flags, xattr;
	struct model_acl acl; /* there: to be set, else to be removed */
	bool is_default;      /* it is the default list */
	uint32_t mode, uid, gid;
	uint64_t offset, len, seed; /* of data; len: also a new size */
	unsigned from_handle;       /* of a copy: its source, and where in it; handle and offset are the destination's */
	uint64_t from_offset;
	int64_t time_ns;
};

struct model *model_new(void);
void model_free(struct model *model);
struct model *model_clone(const struct model *model);
const char *model_op_name(enum model_op_kind kind);
/* For the trace. */
void model_op_text(const struct model_op *op, char *ret_text, size_t size);

/* The next operation of a task, drawn so that most succeed and all errors come up. */
void model_op_draw(struct model *model, struct rng *rng, struct model_op *ret_op);
/* What it must answer: 0 or more, or a negative errno. Does not change the model. For READ: bytes. */
int64_t model_predict(struct model *model, const struct model_op *op);
/* It is about to be done: what it reads may have another atime from here on. */
void model_begin(struct model *model, const struct model_op *op);
/* It succeeded: make it so. */
void model_apply(struct model *model, const struct model_op *op);
/* A write or a truncation that failed or was cut off: whether it happened is open from here on. */
void model_doubt(struct model *model, const struct model_op *op);
/* An operation on an open file was refused, or done in part, because a disk is full. */
void model_refused(struct model *model, const struct model_op *op);
bool model_is_unknown(const struct model *model, const struct model_op *op);
struct model_inode *model_find(struct model *model, const char *path); /* NULL: none */
int model_lookup(struct model *model, const char *path, struct model_inode **ret_inode); /* or why not: as model_walk */
/* The directory of the last component of `path`, and that component, which need not be there; -ENOENT, -ENOTDIR, -ELOOP. */
int model_walk(struct model *model, const char *path, struct model_inode **ret_dir, const char **ret_last);
struct model_entry *model_entry_find(struct model_inode *dir, const char *name);

/* The extended attribute that says the same as the list of an inode; false: it has none. */
bool model_acl_value(const struct model_inode *inode, bool is_default, uint8_t ret_value[MODEL_ACL_BYTES]);
/* The same for a list by itself. */
void model_acl_fill(const struct model_acl *acl, uint32_t mode, uint8_t ret_value[MODEL_ACL_BYTES]);

/* The byte at `i` of the data that a write with this seed writes. */
void model_data_fill(uint64_t seed, uint8_t *buf, size_t len);
/* Is this what the file may hold at `offset`? `crashed`: its client has, so that what was not fsynced is open. Returns the first wrong byte's
 * index, or -1. */
int64_t model_check_data(const struct model_inode *inode, bool crashed, const uint8_t *buf, size_t len, uint64_t offset);
/* `write` has offset, len and data; it is owned from here on. */
void model_file_put(struct model_inode *inode, struct model_write *write, bool doubtful);
/* oracle_space.c. An allocation; doubtful: it may have happened, in any part. */
void model_space_apply(struct model_inode *inode, const struct model_op *op, bool doubtful);
/* A copy; doubtful, too. */
void model_copy_apply(struct model *model, const struct model_op *op, bool doubtful);
int64_t model_copy_predict(const struct model *model, const struct model_op *op);
/* May a seek be answered so? */
bool model_seek_fits(const struct model_inode *inode, const struct model_op *op, int64_t got);
bool model_check_size(const struct model_inode *inode, bool crashed, uint64_t size);

#endif
