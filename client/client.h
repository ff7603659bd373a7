/* SPDX-License-Identifier: Apache-2.0
 * The client core: one mount, as a library. FUSE (fuse_*.c) is thin over it; the simulator's kernel model calls it in the same way.
 *
 * Every operation runs in a task of the client's loop and parks. It waits for servers that are away (hard mount) until they answer, or until it is
 * interrupted. Results are 0 or more, or -errno / -ERR_*; err_to_errno gives what an application sees. Kernel-side caching is the caller's: results
 * say for how long it may cache what it was told. Inodes are named by number; the core keeps a node for as long as the kernel holds lookups on
 * it, it is open, or has unsaved state. */
#ifndef STRIA_CLIENT_CLIENT_H
#define STRIA_CLIENT_CLIENT_H

#include "common/base/bytes.h"
#include "common/core/env.h"
#include "common/core/log.h"
#include "common/core/task.h"
#include "proto/proto.h"

struct json_out;
struct client;
struct client_file;
struct client_buf;

#define CLIENT_NO_READ_AHEAD UINT64_MAX
#define CLIENT_WRITE_THROUGH UINT64_MAX /* of dirty bytes: nothing waits */
struct client_conf {
	const char *mgs;         /* net address(es) of the MGS, separated by commas */
	const char *fsname;
	const char *host, *mountpoint; /* for people */
	uint32_t pid;
	uint32_t buffers;        /* I/O buffers of 1 MiB; 0: 160 */
	uint64_t unstable_bytes_max; /* written but not committed data kept for replay; 0: 96 MiB */
	uint64_t dirty_bytes_max;    /* written and not sent yet: beyond, writers wait; 0: 64 MiB; or CLIENT_WRITE_THROUGH */
	uint64_t dirty_file_bytes_max; /* the same of one file; 0: half of that */
	uint64_t ahead_bytes_max;    /* an open file is read ahead; 0: 4 MiB; or CLIENT_NO_READ_AHEAD */
	uint32_t inline_bytes_max;   /* data up to this travels inside messages; 0: 16 KiB; at most 64 KiB */
	uint64_t servers_copy_bytes_min; /* less than this is not copied from object to object, which waits for disks; 0: 8 MiB */
	uint64_t attempt_ns;         /* how long one copy of a call waits for its answer before another is sent; 0: 5 s */
	uint64_t attr_ttl_ns, entry_ttl_ns; /* that the kernel may cache what we hold a lease on; 0: 1 s */
	uint32_t leases_max;         /* inodes that leases are held on; 0: 131072 */
	enum client_atime {
		CLIENT_ATIME_RELATIVE, /* the first read after a change of an inode moves its atime, and one a day */
		CLIENT_ATIME_STRICT,   /* every read does */
		CLIENT_ATIME_NEVER,
	} atime;
	bool no_diratime;            /* not that of directories */
	struct log *log;         /* may be NULL */
};

/* `env` is borrowed for the client's life. */
struct client *client_new(struct env *env, const struct client_conf *conf);
/* Parks: joins the cluster, has a map and a first answer from the root. Tries for ever; errors that repeating cannot mend: EINVAL (fsname), ERR_version. */
int client_start(struct client *client);
/* Parks: everything written becomes durable (as far as servers answer until deadline_ns), opens are given back, the MGS is told. */
int client_stop(struct client *client, uint64_t deadline_ns);
void client_free(struct client *client);

struct op_wait;
/* Who asks, and whether he still wants it. Lives through one operation. */
struct client_op {
	uint32_t uid, gid;
	uint32_t umask; /* for what makes inodes */
	uint64_t arrived_ns; /* when the question came, by the loop's clock */
	uint32_t thread; /* who asks, by a number that nobody else has meanwhile; 0: not known */
	/* Supplementary groups, fetched only when an answer depends on them: little-endian u32s; returns how many (GROUPS_MAX at most). NULL: none. */
	uint32_t (*groups)(struct client_op *op, uint8_t ret_le32[GROUPS_MAX * 4]);
	uint64_t asked_ns;     /* set by the operation: when the call went out whose answer it has */
	uint64_t asked_client; /* the same: and as which client */
	struct op_wait *waits; /* set by the operation: its tasks that wait now */
	bool interrupted;      /* a signal is pending: waits end with EINTR, unless the operation may have changed something already */
	bool killed;           /* the process is dying: they end anyway */
	bool expired;          /* it has taken as long as a soft mount waits: they end with EIO */
	uint32_t changes;      /* set by the operation: calls that change something which were sent, or are about to be */
	bool is_admin;         /* calls of the mount itself */
	bool fills_pages;      /* of a read: what it gets goes to the kernel's page cache, whose pages are locked until it is answered */
	bool from_pages;       /* of a write: from the kernel's page cache, likewise */
	bool past_cache;       /* O_DIRECT: what is written waits nowhere, nothing is read ahead */
	bool leaves_atime;     /* of a read: O_NOATIME */
	bool appends;          /* of a write: it goes to the end of the file; fcntl(F_SETFL) may have changed what the open said */
	/* Set by a read that fills pages: client_op_done follows. */
	struct node *reading;
	struct list_node fill_link; /* node->fills */
	uint64_t fill_number;
	bool filling;          /* it reads, or has read */
	uint32_t reads_running; /* a copy has several, of one file */
	bool reads_cached;     /* these: by a lease with which nobody else changes the file, when the first of them began */
};
/* The answer of a read has been handed to the kernel (or could not be). Does not park. Needed when op->reading is set; harmless else. */
void client_op_done(struct client *client, struct client_op *op);
/* From another task or a source of the same loop. What has sent a change goes on, so that its number stays live until it is known what became of it: who
 * does not want to wait for that leaves the operation to its task (fuse_channel.c). */
void client_op_interrupt(struct client_op *op, bool killed);
/* The same when its time is over. */
void client_op_expire(struct client_op *op);
/* Has it been called off by one of these, with effect? */
bool client_op_is_called_off(const struct client_op *op);

struct client_entry {
	struct attr attr;
	uint64_t attr_ttl_ns, entry_ttl_ns;
};

/* ---- buffers --------------------------------------------------------------------------------------------------
 * 1 MiB each, page-aligned, registered with the net, with room for a header in front. Reference-counted: written data stays in its buffer until it is stable. */
enum { CLIENT_BUF_BYTES = 1 << 20, CLIENT_BUF_HEADROOM = 4096 };
uint8_t *client_buf_ptr(struct client_buf *buf); /* CLIENT_BUF_HEADROOM bytes before it are writable too */
/* Counts how often it was taken, by the client itself, too: for tests. */
uint32_t client_buf_uses(const struct client_buf *buf);
/* NULL: none free now. One reference. */
struct client_buf *client_buf_try_get(struct client *client);
/* Parks until there is one. Errors: the operation was called off. */
int client_buf_get(struct client *client, struct client_op *op, struct client_buf **ret_buf);
void client_buf_put(struct client_buf *buf);
/* fn(ctx) is called on the loop when buffers come free after client_buf_try_get found none. */
void client_buf_on_free(struct client *client, void (*fn)(void *ctx), void *ctx);

/* ---- names and inodes ----------------------------------------------------------------------------------------- */
/* Those that return an entry count one lookup on its inode, given back by client_forget. */
/* ENOENT: ret_entry->entry_ttl_ns says for how long the name may be taken to be absent. */
int client_lookup(struct client *client, struct client_op *op, struct ino parent, struct str name, struct client_entry *ret_entry);
void client_forget(struct client *client, struct ino ino, uint64_t lookups); /* does not park */
int client_getattr(struct client *client, struct client_op *op, struct ino ino, struct client_entry *ret_entry);
/* The same for a question that kcache.view_ask has raised: by what is known, nobody is asked. ENOENT. Does not park. */
bool client_asks_itself(const struct client *client, const struct client_op *op); /* is it such a question? */
int client_getattr_known(struct client *client, struct ino ino, struct client_entry *ret_entry);
/* The kernel has sent something that may change the size of a file; it is answered. Neither parks. */
void client_size_change_begin(struct client *client, struct ino ino);
void client_size_change_end(struct client *client, struct ino ino);
/* Attributes of a file are being answered to the kernel. Does not park. */
void client_size_told(struct client *client, const struct client_op *op, const struct attr *attr);
/* Before client_size_told, for an answer after which a read goes on: waits until the kernel has that size, if it might ignore the answer. Parks. */
void client_size_settle(struct client *client, struct client_op *op, const struct attr *attr);
struct client_setattr {
	uint32_t valid; /* enum setattr_valid */
	uint32_t mode, uid, gid;
	uint64_t size_bytes;
	int64_t atime_ns, mtime_ns;
	struct client_file *file; /* a size change through an open file; NULL: by name */
};
int client_setattr(struct client *client, struct client_op *op, struct ino ino, const struct client_setattr *set,
		   struct client_entry *ret_entry);
int client_mkdir(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode,
		 struct client_entry *ret_entry);
int client_mknod(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode, uint32_t rdev,
		 struct client_entry *ret_entry);
int client_symlink(struct client *client, struct client_op *op, struct ino parent, struct str name, struct str target,
		   struct client_entry *ret_entry);
/* The target is in arena. */
int client_readlink(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct str *ret_target);
int client_link(struct client *client, struct client_op *op, struct ino ino, struct ino parent, struct str name,
		struct client_entry *ret_entry);
int client_unlink(struct client *client, struct client_op *op, struct ino parent, struct str name);
int client_rmdir(struct client *client, struct client_op *op, struct ino parent, struct str name);
int client_rename(struct client *client, struct client_op *op, struct ino parent, struct str name, struct ino new_parent,
		  struct str new_name, uint32_t flags);

struct client_dirent {
	struct str name;
	struct ino ino;
	uint64_t cookie; /* to go on after this entry */
	uint8_t type;    /* DT_* */
	bool has_entry;
	struct client_entry entry; /* with `plus`; not for "." and ".." */
};
/* Entries after `cookie` (0: from the start; "." has 1, ".." 2), each given to fill, until fill returns false or enough came. Returns 0; no fill call: the end. An
 * entry with has_entry that fill took counts one lookup. */
int client_readdir(struct client *client, struct client_op *op, struct ino dir, uint64_t cookie, bool plus, uint32_t bytes_max,
		   bool (*fill)(void *ctx, const struct client_dirent *dirent), void *ctx);

struct client_statfs {
	uint64_t total_bytes, free_bytes, available_bytes;
	uint64_t inodes_used, inodes_free;
};
int client_statfs(struct client *client, struct client_op *op, struct client_statfs *ret_statfs);

/* Values and names are in arena. "stria.…" names are virtual (common/cluster/vxattr.h). ENODATA, ERANGE is the caller's. */
int client_getxattr(struct client *client, struct client_op *op, struct ino ino, struct str name, struct arena *arena,
		    struct blob *ret_value);
int client_setxattr(struct client *client, struct client_op *op, struct ino ino, struct str name, struct blob value, uint32_t flags);
int client_listxattr(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct blob *ret_names);
int client_removexattr(struct client *client, struct client_op *op, struct ino ino, struct str name);

/* ---- open files ----------------------------------------------------------------------------------------------- */
/* flags: enum open_flags. The file is owned until client_release. */
int client_open(struct client *client, struct client_op *op, struct ino ino, uint32_t flags, struct client_file **ret_file);
int client_create(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode, uint32_t flags,
		  struct client_entry *ret_entry, struct client_file **ret_file);
/* A file without a name, as O_TMPFILE makes it; with OPEN_EXCL client_link never gives it one. */
int client_tmpfile(struct client *client, struct client_op *op, struct ino parent, uint32_t mode, uint32_t flags,
		   struct client_entry *ret_entry, struct client_file **ret_file);
struct ino client_file_ino(const struct client_file *file);
uint32_t client_file_flags(const struct client_file *file);
/* May pages that the kernel has of it be used? They were read under the lease that we still hold. */
bool client_file_keeps_cache(const struct client_file *file);
/* Up to len (CLIENT_BUF_BYTES at most) bytes from offset into buf at its start; returns how many: fewer only at the end of the file. */
int64_t client_read(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, struct client_buf *buf,
		    size_t len);
/* All of [data, data+len), which lies in buf, or fails: ENOSPC, EFBIG, EIO, EBADF. Returns len. Not durable before client_fsync. */
int64_t client_write(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, struct client_buf *buf,
		     const uint8_t *data, size_t len);
/* Space of [offset, offset+len), stable when answered. Without flags: reserved, and the file ends there or later. ENOSPC leaves data and size as they were.
 * EOPNOTSUPP: flags that do not go together. */
enum space_flags {
	SPACE_KEEP_SIZE = 1,
	SPACE_PUNCH = 2, /* zeros, space given back; with SPACE_KEEP_SIZE */
	SPACE_ZERO = 4,  /* zeros, space reserved */
};
int client_fallocate(struct client *client, struct client_op *op, struct client_file *file, unsigned flags, uint64_t offset, uint64_t len);
/* Where, from offset on, the next data or the next hole begins; the end of the file is a hole. ENXIO: offset is not below the size, or no data follows. */
int client_seek(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, bool hole, uint64_t *ret_offset);
/* Copies up to len bytes; returns how many: fewer at the source's end, and when it is much. EBADF, EINVAL (ranges of one file overlap), those of reading and
 * writing when nothing was copied. Not durable before client_fsync. */
int64_t client_copy(struct client *client, struct client_op *op, struct client_file *from, uint64_t from_at, struct client_file *to,
		    uint64_t to_at, uint64_t len);
/* At each close(2): errors of earlier writes that nobody was told of. The POSIX locks of the owner on the file end. */
int client_flush(struct client *client, struct client_op *op, struct client_file *file, uint64_t lock_owner);
/* Data and size are durable. datasync is treated alike. */
int client_fsync(struct client *client, struct client_op *op, struct client_file *file);
int client_fsync_ino(struct client *client, struct client_op *op, struct ino ino);
/* Everything this mount has written. */
int client_syncfs(struct client *client, struct client_op *op);
/* A lock as somebody wants it, or as he is told of another's. */
struct client_lock {
	uint8_t kind, type;  /* enum lock_kind; enum lock_type, LOCK_TYPE_NONE: unlock */
	bool waits;          /* while others are in the way, or until it is interrupted */
	uint64_t owner;      /* a process (POSIX) or an open file (flock, OFD): any number that is only theirs */
	uint64_t start, end; /* first and last byte; flock: 0, UINT64_MAX */
	uint32_t pid;        /* for people */
};
/* Errors: EAGAIN (others are in the way), ERR_interrupted, EDEADLK (POSIX), ENOLCK (too many), EIO (the mount was evicted since the file was opened). */
int client_lock(struct client *client, struct client_op *op, struct client_file *file, const struct client_lock *lock);
/* What is in the way of `lock` comes back in it; LOCK_TYPE_NONE: nothing. pid 0: another machine's. */
int client_lock_test(struct client *client, struct client_op *op, struct client_file *file, struct client_lock *lock);
/* The last close: never fails, the rest happens in the background. What was locked through the file and still is, is unlocked. */
void client_release(struct client *client, struct client_file *file);

/* ---- for tests, simulator and status -------------------------------------------------------------------------- */
struct client_counters {
	uint64_t resends;             /* repeats of calls */
	uint64_t verifiers_changed;   /* an OST restarted while it owed us a commit */
	uint64_t replays_sent;        /* unstable writes sent again after that */
	uint64_t bulk_cut;            /* connections closed because a call with bulk was given up */
	uint64_t reclaims;            /* opens told to a restarted MDT */
	uint64_t evicted;             /* times we were */
	uint64_t lost_bytes;          /* of unstable data, by evictions */
	uint64_t stale_sizes;         /* sizes refused because of a truncation elsewhere */
	uint64_t glimpses;            /* sizes asked from objects */
	uint64_t interrupted;
	uint64_t commits;
	uint64_t group_fetches;       /* answers that needed supplementary groups */
	uint64_t attr_hits, name_hits, list_hits, open_hits; /* answered from what we hold leases on, without a call */
	uint64_t recalls;             /* leases asked back */
	uint64_t recalls_crossed_read;   /* while a read that fills pages was running */
	uint64_t recalls_crossed_lookup; /* while a question about names of that directory was running */
	uint64_t grants_void;         /* answers whose grant had been recalled before they came */
	uint64_t page_invalidations, page_invalidations_again; /* of ranges; again: a read had come in between */
	uint64_t reads_held;          /* until a lease was given back: their range was done */
	uint64_t sizes_settled, sizes_given_up; /* the kernel was made to take in a size; it did not in time */
	uint64_t epochs, timeouts_run_down; /* how entries were taken from the kernel */
	uint64_t attrs_on_their_way; /* looked again for an inode that the kernel was about to know, or to say that it has forgotten */
	uint64_t leases_returned;     /* unused ones */
	uint64_t behind_bytes, behind_flushes; /* written behind; extents sent */
	uint64_t behind_waits;        /* of writers, for room */
	uint64_t behind_reads;        /* answered from what waits to be written */
	uint64_t ahead_bytes, ahead_hits; /* read ahead; reads that found all they wanted there */
	uint64_t ahead_unused;        /* bytes of these that were dropped without having been read */
	uint64_t copied_bytes;        /* by copy_file_range, in all */
	uint64_t copied_on_servers;   /* of these, bytes that went from object to object */
	uint64_t copies_crossed;      /* a lease was recalled when the other had come */
	uint64_t small_moved;         /* files that outgrew their inode */
	uint64_t opens_told;          /* files opened without a call that the MDT had to know of */
	uint64_t locks_reclaimed;     /* ranges told to a restarted MDT */
	uint64_t locks_granted_late;  /* grants of requests that nobody waited for any more: given back */
	uint64_t locks_lost;          /* owners whose locks an eviction took */
};
/* fn(ctx) adds members to the mount's statistics (VXATTR_STATS). */
void client_on_stats(struct client *client, void (*fn)(void *ctx, struct json_out *json), void *ctx);
const struct client_counters *client_counters(const struct client *client);
uint64_t client_id(const struct client *client);
/* Of the map; and from when on it says that `id` is evicted, 0: it does not. */
uint64_t client_map_epoch(const struct client *client);
uint64_t client_evicted_at(const struct client *client, uint64_t id);
struct rpc *client_rpc(struct client *client);
/* Writes that have their lease, and are not answered or have not gone to the objects. */
size_t client_writes_running(const struct client *client);
uint64_t client_unstable_bytes(const struct client *client);
/* What an eviction would lose now: that, what waits to be written, and what was written to small files and not saved. */
uint64_t client_unsaved_bytes(const struct client *client);
size_t client_node_count(const struct client *client);

#endif
