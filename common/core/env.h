/* SPDX-License-Identifier: Apache-2.0
 * The six seams: everything through which mds, oss and client reach the world. Vtables only, no code but one-line wrappers.
 *
 * Each seam has a real implementation in common/io and a simulated one in tests/sim, and one contract test in tests/conform
 * that runs on both. Every object here belongs to one loop. A function marked `parks` may only be called from a task of that
 * loop; the others return at once. Buffers passed to a parking function stay valid until it returns. */
#ifndef STRIA_CORE_ENV_H
#define STRIA_CORE_ENV_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "proto/types.h"

struct loop;

/* ---- clock ---------------------------------------------------------------------------------------------------- */
struct clock_ops;
struct clock {
	const struct clock_ops *ops;
};
struct clock_ops {
	uint64_t (*now_ns)(struct clock *clock);  /* CLOCK_BOOTTIME: leases, deadlines; never goes back */
	int64_t (*real_ns)(struct clock *clock);  /* since 1970, for timestamps; may jump */
};

/* ---- rng ------------------------------------------------------------------------------------------------------ */
struct rng_source_ops;
struct rng_source {
	const struct rng_source_ops *ops;
};
struct rng_source_ops {
	uint64_t (*u64)(struct rng_source *rng); /* unpredictable in the real world, seeded in the simulator */
};

/* ---- net ------------------------------------------------------------------------------------------------------
 * Connections that carry whole messages, and memory regions into which the other side of a connection may read or write
 * (RMA). A message may be delayed, lost together with its connection, and - over fabrics that allow it - overtaken. A sent
 * message is not a delivered one. Nothing here ever blocks for a dead peer: a connection ends with `closed`, or its owner
 * gives it up with net_close after a deadline of its own. */
enum {
	NET_MSG_BYTES_MAX = 72 * 1024, /* header and body together */
	NET_ADDR_BYTES_MAX = 128,      /* "tcp://127.0.0.1:7400", "verbs://10.0.0.1:7400", with NUL */
	NET_RMA_BYTES_MAX = 4 * 1024 * 1024, /* one RMA operation */
};
enum net_access {
	NET_ACCESS_LOCAL = 1,        /* source or destination of RMA that this side starts */
	NET_ACCESS_REMOTE_READ = 2,  /* the peer may read it */
	NET_ACCESS_REMOTE_WRITE = 4, /* the peer may write it */
};
struct net;
struct net_conn {
	struct net *net;
	void *user; /* the owner's; NULL at `accepted` */
};
struct net_mr {
	struct net *net;
	uint8_t *base;
	size_t len;
};
/* Called on the loop, outside any task; must not park. */
struct net_events {
	void (*accepted)(void *ctx, struct net_conn *conn);
	/* `msg` is borrowed until it returns. */
	void (*message)(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len);
	/* The last event of a connection that this side did not close; conn is freed when it returns. All RMA on it has ended. */
	void (*closed)(void *ctx, struct net_conn *conn, int rc);
};
struct net_ops {
	/* Accept connections at `addr` ("tcp://host:port"; port 0 picks one). Writes the real address. Errors: EADDRINUSE, EINVAL. */
	int (*listen)(struct net *net, const char *addr, char ret_addr[NET_ADDR_BYTES_MAX]);
	/* Parks. Errors: ERR_refused, ERR_timeout, EINVAL (address). No event comes for a connection that failed here. */
	int (*connect)(struct net *net, const char *addr, uint64_t deadline_ns, struct net_conn **ret_conn);
	/* Copies head and body (two parts of one message) into send buffers and returns. Errors: ERR_busy (no send
	 * buffer: parks nobody, the caller repeats later), ERR_conn_lost (closing), ERR_too_long. */
	int (*send)(struct net_conn *conn, struct blob head, struct blob body);
	/* Ends it from this side. When it returns no RMA of this connection touches any local buffer, parked RMA calls have
	 * been woken with ERR_conn_lost, conn is freed, and no event comes. */
	void (*close)(struct net_conn *conn);
	/* Make [base, base+len) reachable. Errors: ENOMEM, ERR_busy (too many regions). */
	int (*mr_open)(struct net *net, void *base, size_t len, unsigned access, struct net_mr **ret_mr);
	/* When it returns the peer can reach it no more: an RMA that comes later fails on the peer's side (and may end its connection). */
	void (*mr_close)(struct net_mr *mr);
	/* What a peer must be told to reach [offset, offset+len) of the region. */
	struct rma (*mr_describe)(struct net_mr *mr, size_t offset, uint32_t len);
	/* Parks. Copy `len` bytes between local memory inside `mr` and the peer's `remote` (read: from it, write: to it). When it returns the
	 * local buffer is free to reuse. A completed write is in the peer's memory before any message sent later on the same connection
	 * arrives there. Errors: ERR_conn_lost, ERR_bad_key (the connection usually dies with it). */
	int (*rma_read)(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len);
	int (*rma_write)(struct net_conn *conn, struct net_mr *mr, size_t offset, struct rma remote, size_t len);
	/* "tcp://127.0.0.1:40112" of the other side, for logs. Borrowed until the connection ends. */
	const char *(*peer_name)(struct net_conn *conn);
	/* Free the seam's own state; every connection and region is closed first. */
	void (*fini)(struct net *net);
};
struct net {
	const struct net_ops *ops;
	struct loop *loop;
	const struct net_events *events; /* set by its one user (rpc) before listen or connect */
	void *events_ctx;
};

/* ---- disk -----------------------------------------------------------------------------------------------------
 * Files below one root directory. Paths are relative, '/'-separated, without "..". Data is durable after file_sync; the
 * EXISTENCE of a new, renamed or removed name is durable only after dir_sync of its directory. After a crash, an unsynced write is there
 * wholly, partly or not at all. All of it parks unless marked. */
struct disk;
struct disk_file {
	struct disk *disk;
};
enum disk_open_flags {
	DISK_READ = 1,
	DISK_WRITE = 2,
	DISK_CREATE = 4,
	DISK_EXCL = 8,
	DISK_DIRECT = 16, /* O_DIRECT; ignored where the file system cannot: offsets, lengths, buffers multiples of 4096 */
};
enum disk_alloc_flags {
	DISK_ALLOC_ZERO = 1,   /* what is there reads as zeros afterwards */
	DISK_ALLOC_EXTEND = 2, /* the file ends at the range's end or later afterwards; else its size stays */
};
struct disk_stat {
	uint64_t size_bytes, allocated_bytes;
	int64_t mtime_ns;
	bool is_dir;
};
struct disk_space {
	uint64_t total_bytes, free_bytes, available_bytes; /* available: to us, now */
	uint64_t files_total, files_free;
};
struct disk_ops {
	/* Errors: ENOENT, EEXIST, ENOSPC, EIO, EMFILE… */
	int (*open)(struct disk *disk, const char *path, unsigned flags, struct disk_file **ret_file);
	void (*close)(struct disk_file *file); /* does not park; no operation may be in flight on it */
	/* Bytes read: less than len only at the end of the file. */
	int64_t (*read)(struct disk_file *file, void *buf, size_t len, uint64_t offset);
	/* Writes all of it or fails: ENOSPC, EIO, EDQUOT. A failed write may have written a part. */
	int (*write)(struct disk_file *file, const void *buf, size_t len, uint64_t offset);
	int (*file_sync)(struct disk_file *file); /* fdatasync */
	int (*truncate)(struct disk_file *file, uint64_t size_bytes);
	int (*punch)(struct disk_file *file, uint64_t offset, uint64_t len); /* zeros there, size unchanged */
	/* Space for [offset, offset+len), len > 0: writing there does not fail for want of it. flags: enum disk_alloc_flags. Errors: ENOSPC, EFBIG,
	 * EOPNOTSUPP (the file system below cannot). */
	int (*alloc)(struct disk_file *file, uint64_t offset, uint64_t len, unsigned flags);
	/* Where, at or behind offset, the next data begins, or the next hole: the end of the file is one. What is called data may be zeros. ENXIO: offset is
	 * at or behind the end, or no data follows. */
	int64_t (*seek)(struct disk_file *file, uint64_t offset, bool hole);
	int (*file_stat)(struct disk_file *file, struct disk_stat *ret_stat);
	int (*stat)(struct disk *disk, const char *path, struct disk_stat *ret_stat);
	int (*mkdir)(struct disk *disk, const char *path); /* EEXIST */
	int (*unlink)(struct disk *disk, const char *path);
	int (*rename)(struct disk *disk, const char *from, const char *to);
	int (*dir_sync)(struct disk *disk, const char *path); /* "." is the root */
	/* Names in a directory, in arena, without "." and ".."; returns how many. */
	int (*list)(struct disk *disk, const char *path, struct arena *arena, struct str **ret_names);
	int (*space)(struct disk *disk, struct disk_space *ret_space);
	/* Tell the disk of a long-lived buffer that will be used for I/O (io_uring registered buffers); does not park, a hint. */
	void (*buffer_hint)(struct disk *disk, void *base, size_t len);
	void (*fini)(struct disk *disk);
};
struct disk {
	const struct disk_ops *ops;
	struct loop *loop;
};

/* ---- kv -------------------------------------------------------------------------------------------------------
 * An ordered store of byte strings. A batch is atomic. Unsynced batches may vanish in a crash, newest first; a synced one and all before it
 * do not. One write is in flight at a time (the caller sees to it); reads see every write that was submitted before them. */
struct kv;
enum { KV_KEY_BYTES_MAX = 512, KV_VALUE_BYTES_MAX = 1 << 20 };
struct kv_op {
	struct blob key;
	struct blob value; /* value.ptr == NULL: delete the key */
};
struct kv_pair {
	struct blob key, value;
};
struct kv_ops {
	/* Parks, or answers at once from memory. ENOENT. The value is in arena. */
	int (*get)(struct kv *kv, struct blob key, struct arena *arena, struct blob *ret_value);
	/* Parks. Values in the order of keys; value.ptr NULL where absent. */
	int (*get_many)(struct kv *kv, const struct blob *keys, size_t count, struct arena *arena, struct blob *ret_values);
	/* Parks. Up to `limit` pairs, and up to about `bytes_max` bytes, with start <= key < end, ascending. Returns how many; fewer than
	 * could be only when *ret_more is set. A consistent snapshot. */
	int (*scan)(struct kv *kv, struct blob start, struct blob end, size_t limit, size_t bytes_max, struct arena *arena,
		    struct kv_pair **ret_pairs, bool *ret_more);
	/* Parks. Errors: EIO, ENOSPC: nothing of the batch counts as written, and the store should be closed. */
	int (*write)(struct kv *kv, const struct kv_op *ops, size_t count, bool sync);
	void (*fini)(struct kv *kv);
};
struct kv {
	const struct kv_ops *ops;
	struct loop *loop;
};

/* ---- kcache ---------------------------------------------------------------------------------------------------
 * The kernel's caches above the mount. Its calls park: the kernel may hold locks for as long as a request of its own is with us, so
 * they never run on the loop's thread, and a task that must answer such a request never waits for one. */
struct kcache;
struct kcache_view;
struct kcache_ops {
	/* Drop cached pages of [offset, offset+len) (len 0: to the end) and attributes. ENOENT: not known to the kernel. */
	int (*inval_inode)(struct kcache *kcache, uint64_t ino, uint64_t offset, uint64_t len);
	/* Drop cached attributes, and access control lists, only: waits for no page. */
	int (*inval_attr)(struct kcache *kcache, uint64_t ino);
	int (*inval_entry)(struct kcache *kcache, uint64_t parent, struct str name);
	/* Every entry that was cached until now is asked for anew: waits for no lock. ENOSYS: this kernel cannot. */
	int (*inval_epoch)(struct kcache *kcache);
	/* A look at what the kernel has of an inode. Opening parks, and asks us for no more than the root directory. ENOENT: not known to the kernel; EPERM: this
	 * process may not look. */
	int (*view_open)(struct kcache *kcache, uint64_t ino, struct kcache_view **ret_view);
	uint64_t (*view_size)(struct kcache_view *view); /* of the file; does not park, asks nobody */
	/* The kernel asks us for attributes anew, in the background, unless it does so already. It may ignore the answer, and may take long over it: while
	 * pages are locked that it wants to drop. */
	void (*view_ask)(struct kcache_view *view);
	void (*view_close)(struct kcache_view *view);
	/* Does a question come from there? `thread`: who asks, as the kernel says. */
	bool (*view_asks)(const struct kcache *kcache, uint32_t thread);
	void (*fini)(struct kcache *kcache);
};
struct kcache {
	const struct kcache_ops *ops;
	struct loop *loop;
};

/* What one node (a target or a mount) is given. Members it does not use are NULL (an OST has no kcache). */
struct env {
	struct loop *loop;
	struct clock *clock;
	struct rng_source *rng;
	struct net *net;
	struct disk *disk;
	struct kv *kv;
	struct kcache *kcache;
};

static inline uint64_t env_now_ns(const struct env *env)
{
	return env->clock->ops->now_ns(env->clock);
}
static inline int64_t env_real_ns(const struct env *env)
{
	return env->clock->ops->real_ns(env->clock);
}
static inline uint64_t env_random_u64(const struct env *env)
{
	return env->rng->ops->u64(env->rng);
}

#endif
