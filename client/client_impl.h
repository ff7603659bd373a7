/* SPDX-License-Identifier: Apache-2.0
 * What the client core's files share. Private to client/. */
#ifndef STRIA_CLIENT_CLIENT_IMPL_H
#define STRIA_CLIENT_CLIENT_IMPL_H

#include "client/client.h"
#include "client/lease.h"
#include "common/base/check.h"
#include "common/base/crc.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/cluster/cmap.h"
#include "common/cluster/layout.h"
#include "common/core/loop.h"
#include "common/core/rpc.h"
#include "proto/rows.h"

struct client_buf {
	struct client_buf *next_free;
	struct client *client;
	uint8_t *ptr;       /* page-aligned, CLIENT_BUF_BYTES; headroom before it */
	uint32_t refs;
	uint32_t uses;      /* counts how often it was taken */
};

/* A target of the map, as this mount sees it. */
struct target {
	struct list_node link;
	struct client *client;
	uint8_t kind;
	uint32_t index;
	struct rpc_peer *peer;
	uint64_t boot;          /* of its last hello: what we replay and reclaim to */
	uint64_t held_boot;     /* of an MDT: the boot that was told of leases and locks */
	uint64_t recovered_boot; /* the boot to which everything has been replayed or reclaimed */
	bool recovering;        /* a task does that */
	bool reconnecting;      /* a task does that */
	uint64_t waiting_since_ns; /* somebody waits for it since; 0: no */
	uint32_t commits_running;  /* of the committer */
};

/* A write that its OST may still lose. */
struct uwrite {
	struct list_node link;      /* in uobject.writes, in order of first answers */
	struct client_buf *buf;     /* holds data, or NULL: data is owned */
	uint8_t *data;
	uint32_t len, crc;
	uint64_t offset;            /* in the object */
	int64_t mtime_ns;
	uint64_t seq;               /* counts this mount's writes: what a commit has to wait for */
	uint32_t users;             /* tasks that send it again */
	bool dropped;               /* out of the list: freed when users falls to 0 */
	struct write_order first;   /* of its first answer: its place in history */
	struct write_order held;    /* of its last answer: the boot that holds it now */
};
/* An object that we have written to and not committed. */
struct uobject {
	struct map_node node;       /* client.uobjects */
	struct list_node age_link;  /* client.uobjects_by_age, oldest first */
	struct ino ino;
	uint32_t component, stripe, layout_gen;
	uint16_t ost;
	struct list writes;
	uint64_t bytes;
	uint64_t since_ns;          /* of the oldest write */
	uint64_t last_seq;          /* of the newest write ever added */
	uint32_t users;             /* tasks in it */
	bool committing;
	bool queued;                /* the committer has a task for it */
	struct waitq committed;
};

/* Older than any: of a dirty node whose mtime is not that of our writes, but one that was set since, which the MDT knows. */
#define MTIME_NOT_OURS INT64_MIN

/* An inode that the kernel knows, that is open, or has something to publish. */
struct node {
	struct map_node node;
	struct ino ino;
	uint64_t lookups;           /* the kernel's */
	uint32_t users;             /* operations and open files */
	uint32_t writers;           /* files open to write */
	struct list files;          /* client_file.node_link */
	struct list lock_owners;    /* lock_owner.node_link */
	bool has_layout;
	struct layout *layout;      /* owned; NULL until first open */
	/* Size and mtime as we know them while we write. Valid when writers > 0 or dirty. */
	bool size_known;
	bool dirty;                 /* not published */
	bool sole_writer;           /* nobody else writes, as of the last attributes */
	/* leases (lease*.c) */
	struct lease lease;         /* what we hold; number 0: nothing */
	struct list_node leased_link; /* client.leased_nodes, if number is not 0 */
	uint64_t recalled;          /* grants up to this number are void */
	bool attr_valid;
	struct attr attr;           /* valid: as the MDT said, and as our own writes have changed it; else the last that the kernel heard, ino 0: nothing */
	uint64_t changed_at;        /* client.changes when a change of ours last began or ended */
	uint32_t changing;          /* changes of ours under way */
	uint64_t told_ns;           /* until then the kernel may use attributes, or entries of the directory, that we told it */
	uint64_t told_plus_ns;      /* of those, entries that came with READDIRPLUS, to threads that dircache does not remember */
	struct ino found_in;        /* the directory of the last lookup that a call answered */
	bool reads_follow;          /* of a directory: what is looked up in it is opened and read then */
	uint8_t reads_missed;       /* lookups since then that brought data and were not followed by an open */
	struct dircache *names;     /* of a directory; NULL: nothing is known */
	uint32_t asking_names;      /* questions about names in it under way */
	uint32_t giving_attr, giving_dir; /* tasks that take attributes and entries from the kernel: they still count as held */
	bool giving;                /* the data lease is being given back */
	uint8_t giving_keep;        /* what of it may be kept */
	struct client *giving_client; /* whose node it is, for the task that gives */
	bool pages;                 /* the kernel may have pages of it */
	uint64_t kernel_size;       /* what the kernel takes for its size (kernel_size.c) */
	bool kernel_size_known;     /* else it may be another */
	uint64_t kernel_grown;      /* up to where writes have come that the kernel does not count yet */
	uint64_t recalled_ns;       /* when others last asked for it */
	uint32_t kernel_changing;   /* what makes the kernel ignore attributes is under way: invalidations, writes */
	uint64_t kernel_changed_ns; /* when something like that last ended */
	struct list fills;          /* client_op.fill_link: reads into the kernel's pages without an answer, in the order in which they came */
	uint64_t fills_begun;       /* counts them */
	uint32_t reads_filling;     /* of these, those that do not wait for a lease any more */
	uint64_t reads_filled;      /* counts those that ended */
	bool fills_unleased;        /* of these, one went on without the lease that it wanted: what it brought must go */
	bool dropping;              /* while giving: the kernel is dropping its pages */
	bool fills_held;            /* while giving: the kernel's pages are gone for good, reads that would fill them wait */
	bool getting;               /* a task asks for a data lease */
	int get_rc;                 /* of the last one */
	uint64_t get_count;         /* counts ended ones */
	/* data that lives with the inode (small.c) */
	uint8_t data_place;         /* enum data_place; known only while our lease lets us cache data */
	uint8_t *small;             /* owned: all of it */
	uint32_t small_len, small_capacity;
	struct list_node small_link; /* client.small_nodes, if small is not NULL */
	uint64_t small_version;     /* counts what changed it */
	bool small_dirty;           /* the MDT does not have it */
	uint32_t small_dirty_len;   /* then: as it is counted */
	uint64_t small_told;        /* number of the recall whose answer had it, or said that it has moved; 0: none */
	bool small_moving;          /* a task moves it to the objects */
	bool small_in_objects;      /* such a task has failed: something may be there, so that it must move before it changes */
	bool small_moved;           /* it is in the objects, and the MDT has not been told */
	uint64_t small_moved_seq;   /* then: client.last_seq when all of it was written there */
	/* data that waits to be written (behind.c) */
	struct list extents;        /* extent.node_link */
	uint64_t behind_bytes;      /* in them */
	uint64_t size_sent;         /* while there are extents: the size but for what waits */
	uint64_t extents_gone;      /* counts those that are no more */
	uint32_t extents_stuck;     /* a full disk did not take them */
	bool flush_held;            /* the file is being cut off: what is stuck stays */
	struct list aheads;         /* ahead.node_link: blocks that were read ahead (ahead.c) */
	uint32_t local_opens;       /* files opened without a call */
	bool removed;               /* its last name may be gone: then the MDT keeps it for us until we say that we forget it */
	uint64_t told_handle;       /* under which the MDT was told of them; 0: was not */
	bool settling;              /* a task makes what was written stable, to give the right to write back */
	uint64_t written_ns;        /* when the last write ended */
	struct list_node writing_link; /* client.writing_nodes, while it may write */
	struct list_node dirty_link;
	/* access times (atime.c) */
	bool atime_known;           /* the following are */
	uint16_t atime_gen;         /* of the newest attributes */
	int64_t atime_ns;           /* the latest of that generation, the MDT's or our own reads' */
	uint64_t atime_change;      /* attr.change of the newest attributes */
	uint64_t atime_raised_ns;   /* when a read of ours last moved it; 0: not since what is known of the attributes was lost */
	struct list_node atime_link; /* client.atime_nodes, if the MDT is still to be told */
	uint64_t size_bytes, blocks;
	bool blocks_asked;          /* blocks are what the objects have, and nothing was written since */
	bool blocks_guessed;        /* blocks may be too many: the objects are asked when the writing is over */
	uint32_t size_gen;
	uint64_t own_end;           /* the highest that was written here in that generation */
	uint32_t own_gen;
	int64_t mtime_ns;           /* or MTIME_NOT_OURS */
	uint64_t dirty_since_ns;
	uint64_t dirtied;           /* counts writes: a publication that was overtaken leaves it dirty */
	uint32_t writes_running, reads_running; /* reads: that fill no pages */
	uint32_t reads_cached;      /* of these, those by a lease with which nobody else changes the file: they ask no MDT */
	uint32_t writers_opening;   /* opens to write without an answer yet */
	bool truncating, publishing, appending; /* one task at a time each */
	bool truncating_reads; /* a truncation waits for reads, and they wait for it; before, for writes only */
	struct waitq changed;       /* one of the above or below ended, or writes_running fell to 0 */
	int error;                  /* of background work; told once per open file */
	uint64_t error_seq;         /* counts errors */
	bool error_told;            /* the last one, to somebody */
};

/* What was read through an open file, as runs without gaps; zeroed: nothing yet. */
struct reads {
	uint64_t run_start, run_end;
	int64_t stride;         /* from the start of the run before */
	uint64_t record_len;    /* of the run before */
	uint32_t hits;          /* runs at equal distances so far */
	uint32_t window;        /* of a run that goes on: how far ahead it is read */
	uint64_t ahead_end;     /* up to where that was done */
};

struct client_file {
	struct list_node node_link;
	struct client *client;
	struct node *node;
	uint64_t handle;
	uint32_t flags;
	uint64_t error_seq;         /* node errors up to here were told */
	struct reads reads;
	bool lost;                  /* we were evicted: EIO */
	bool local;                 /* opened without a call, by our lease */
	bool closed;                /* by client_stop: only memory is left */
};

/* A mutation without an answer. */
struct opno {
	struct list_node link;
	uint64_t number;
};

struct client {
	struct env *env;
	struct client_conf conf;
	char *mgs_address, *fsname, *host, *mountpoint;
	struct rpc_identity identity;
	struct rpc *rpc;
	struct rpc_peer *mgs;
	struct cmap *map;
	struct list targets;
	uint64_t uuid_hi, uuid_lo;
	uint64_t lease_ns;
	uint64_t live_until_ns;     /* our life lease, counted from when the renewal was sent */
	uint64_t changes;           /* begun and ended changes of this mount's own */
	struct list leased_nodes;   /* node.leased_link, in order of first grants */
	struct list writing_nodes;  /* node.writing_link */
	struct list lock_owners;    /* lock_owner.link */
	struct list lease_tombs;    /* struct lease_tomb */
	struct list lease_calls;    /* struct lease_call, in order of their beginnings */
	uint64_t lease_calls_begun;
	struct lease_row *returns;  /* leases to be given back */
	size_t return_count, return_capacity;
	bool no_views;              /* the kernel does not let us see what it has */
	bool no_epochs;             /* this kernel cannot be told to ask for all entries anew */
	size_t name_count;          /* in all directories' caches */
	struct list small_nodes;    /* node.small_link, the longest here first */
	uint64_t small_bytes;       /* of their memory */
	uint64_t small_dirty_bytes, small_dirty_files; /* of these, what is not saved */
	struct waitq small_room;    /* writers that wait for less of it */
	struct waitq publish_wanted; /* the publisher sleeps here */
	struct map extents;         /* extent.map_node: data that waits to be written */
	struct list extents_by_age; /* extent.age_link, all */
	struct list extents_idle, extents_due, extents_stuck; /* extent.queue_link */
	uint64_t extents_made, behind_bytes;
	struct list aheads;         /* ahead.age_link: blocks that were read ahead, oldest first */
	uint32_t ahead_count;
	uint32_t flushes_running;
	uint64_t behind_from_ns;    /* until then nothing waits: a disk is full */
	struct waitq flush_wanted;  /* the flusher sleeps here */
	struct waitq behind_room;   /* writers that wait for less of it */
	int64_t mdt_offset_ns;      /* MDT time minus our clock since boot, which nobody sets: our time of day may jump */
	bool joined, rejoining, refreshing;
	bool stopping;              /* no new work of applications */
	bool ended;                 /* no work at all: every wait gives up */
	struct waitq end;           /* periodic tasks sleep here; woken when ended is set */
	struct waitq joined_q, refreshed;
	uint64_t next_opno, next_handle, next_waiter;
	struct list opnos;          /* ascending */
	struct map nodes;
	struct list dirty_nodes;
	struct list atime_nodes;    /* node.atime_link, the longest here first */
	struct map uobjects;
	struct list uobjects_by_age;
	uint64_t unstable_bytes, last_seq;
	struct waitq commit_wanted; /* the committer sleeps here */
	uint32_t tasks;             /* background ones that stop has to wait for */
	uint32_t daemons;           /* periodic ones, which stop ends */
	struct waitq idle;          /* one of the two fell to 0 */
	/* buffers */
	uint8_t *slab;
	size_t slab_bytes;
	struct net_mr *slab_mr;
	struct client_buf *bufs, *free_bufs;
	uint32_t buf_count, free_count;
	struct waitq buf_waiters;
	void (*on_free)(void *ctx);
	void *on_free_ctx;
	bool wants_free;
	struct client_counters counters;
	void (*on_stats)(void *ctx, struct json_out *json);
	void *on_stats_ctx;
};

/* ---- kernel_size.c ---------------------------------------------------------------------------------------------- */
/* Around whatever makes the kernel ignore answers about the inode that it asked for before. */
void kernel_size_change_begin(struct node *node);
void kernel_size_change_end(struct client *client, struct node *node);
/* A write of this mount has come that far; the kernel counts it when it has the answer. */
void kernel_size_grown(struct node *node, uint64_t end);
/* Before a READ into pages is answered that ends early, at `end`. Parks. */
void kernel_size_settle_read(struct client *client, struct client_op *op, struct node *node, uint64_t end);

/* ---- session.c: targets, the map, and the one retry loop ------------------------------------------------------- */
struct call {
	enum op op;
	const void *req;
	void *rep;
	struct arena *arena;   /* of the reply's strings; may be NULL */
	struct cred *cred;     /* inside req: get_count groups when the answer depends on them; NULL: there is none */
	uint32_t bulk_len;
	struct client_op *who; /* NULL: the mount itself, not interruptible */
};
/* Repeats until there is a final answer. Parks. Errors: the operation's, EINTR, ERR_evicted, ERR_aborted (stopping). */
int session_call(struct client *client, uint8_t kind, uint32_t index, const struct call *call);
int session_mdt_call(struct client *client, struct ino ino, const struct call *call);
/* Parks until the queue is woken, the operation is called off, or a second has passed: 0, and the caller looks again at what it waits for, or
 * ERR_interrupted, ERR_gave_up, ERR_aborted (stopping). op NULL: the mount itself, which nobody calls off. */
int session_wait(struct client *client, struct client_op *op, struct waitq *waitq);
/* Parks until the running task is woken, by whomever, calling off among them. */
void session_park(struct client *client, struct client_op *op);
/* One of these errors: the call has not failed, nobody waits for it any more. */
bool session_is_called_off(int rc);
/* One attempt at `target` itself, whatever the session's state, with an operation number of its own. Parks. */
int session_attempt(struct target *target, const struct call *call);
int session_join(struct client *client);
void session_start_tasks(struct client *client);
int session_refresh_map(struct client *client, uint64_t epoch);
struct target *session_target(struct client *client, uint8_t kind, uint32_t index);
uint64_t session_target_boot(struct client *client, uint8_t kind, uint32_t index);
void session_evicted(struct client *client);
void session_newer_epoch(void *ctx, uint64_t epoch);
/* A background task that client_stop waits for. */
void session_spawn(struct client *client, const char *name, void (*fn)(void *arg), void *arg);
void session_task_done(struct client *client);
/* A periodic task: it returns soon after client->ended is set, and says so. */
void session_daemon_done(struct client *client);
/* Parks for that long or until the client ends. */
void session_nap(struct client *client, uint64_t duration_ns);
/* Nothing goes on: calls end with ERR_aborted. */
void session_end(struct client *client);
struct cred session_cred(const struct client_op *op);
int64_t session_mdt_now_ns(const struct client *client);
/* It was that late at the MDT when it answered, or later: its clock may have been set forward since we last asked. */
void session_heard_time(struct client *client, int64_t time_ns);

/* ---- serve.c --------------------------------------------------------------------------------------------------- */
int client_serve(void *ctx, struct rpc_call *call, const void *req, void *rep);

/* ---- recover.c: what a restarted target is told --------------------------------------------------------------- */
void recover_on_hello(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep);
/* A target that we had spoken to is gone: it may be starting, and waits for what only we can tell it. */
void recover_on_closed(void *ctx, struct rpc_peer *peer);
/* The file was opened while its MDT restarted: make sure that it knows. Parks. */
void recover_reclaim_file(struct client *client, struct client_file *file);

/* ---- node.c --------------------------------------------------------------------------------------------------- */
struct node *node_find(struct client *client, struct ino ino);
/* With one more user. */
struct node *node_get(struct client *client, struct ino ino);
void node_put(struct client *client, struct node *node);
/* The kernel get_count to know it. */
void node_count_lookup(struct client *client, struct ino ino);
/* Merge what the MDT says with what we know better; sets *attr to what the kernel shall see. */
void node_merge_attr(struct client *client, struct node *node, struct attr *attr);
/* Size, blocks and mtime as we know them. */
void node_own_attr(const struct node *node, struct attr *attr);
int node_set_layout(struct node *node, struct blob bytes);
/* Of what a message that tells the size and blocks says: enum size_flags. */
uint8_t node_blocks_flag(const struct node *node);
void node_written(struct client *client, struct node *node, uint64_t end, uint64_t bytes);
/* What the MDT does not know yet of our writes. */
void node_add_unpublished(const struct node *node, struct attr *attr);
void node_set_error(struct node *node, int rc);
/* Is what we know of the size all there is to know? */
bool node_size_is_ours(const struct node *node);
/* Its attributes are about to be changed, by us or others: what we know of them is not used. */
void node_lose_attr(struct node *node);
void node_clean(struct client *client, struct node *node);
void node_mark_dirty(struct client *client, struct node *node);

/* ---- lease.c, lease_data.c, lease_recall.c (see client/lease.h) ------------------------------------------------ */
void lease_returner_task(void *arg);
/* Every change of node->lease.data_mode. */
void lease_set_data_mode(struct client *client, struct node *node, uint8_t mode);
void lease_tombs_clear(struct client *client);
/* A grant for an inode that had no node when it was recalled: void, too. */
uint64_t lease_tomb_of(struct client *client, struct ino ino);
/* Calls to MDTs, so that it is known when an answer of before a recall can come no more. */
struct lease_call {
	struct list_node link;
	uint64_t began;
};
void lease_call_begin(struct client *client, struct lease_call *call);
void lease_call_end(struct lease_call *call);

/* ---- lock.c ---------------------------------------------------------------------------------------------------- */
/* A process closes the file: its POSIX locks on it end. Parks until they have; `op`'s caller may die before. */
void lock_close(struct client *client, struct client_op *op, struct client_file *file, uint64_t owner);
/* Nobody has the file open any more: what was locked through it ends, in the background. */
void lock_release(struct client *client, struct client_file *file);
int lock_serve_granted(struct client *client, const struct lock_granted_req *req);
/* After a restart of the MDT: say what is held. Parks. When it is up, lock_wake_all: what waited there is asked for anew. */
int lock_reclaim(struct target *target, uint64_t boot);
void lock_wake_all(struct client *client);
/* We were evicted: nothing is held any more, who waits is told. */
void lock_lose_all(struct client *client);
/* Memory only: for client_free. */
void lock_free_all(struct client *client);

/* ---- dircache.c ------------------------------------------------------------------------------------------------ */
enum dircache_answer { DIRCACHE_UNKNOWN, DIRCACHE_THERE, DIRCACHE_ABSENT };
enum dircache_answer dircache_find(const struct client *client, struct node *dir, struct str name, struct ino *ret_ino);
/* Whatever was last known, valid or not: a guess. INO_NONE: nothing. */
struct ino dircache_hint(struct node *dir, struct str name);
/* What an answer said about a name (INO_NONE: it is not there), with the grant on the directory that came along. */
void dircache_put(struct client *client, struct node *dir, struct str name, struct ino ino, uint64_t asked, const struct lease *lease);
/* A change of ours of a name, after lease_change_begin of the directory; what it returns is for its end, before which lease_change_end comes. ino: what the
 * name stands for now; NULL: not known. */
uint64_t dircache_change_begin(struct client *client, struct node *dir, struct str name);
void dircache_change_end(struct client *client, struct node *dir, struct str name, uint64_t generation, const struct ino *ino);
/* A listing, built from the first entry to the last by consecutive answers. */
void dircache_list_put(struct client *client, struct node *dir, uint64_t after, const struct dirent_row *row, uint64_t asked,
		       const struct lease *lease);
void dircache_list_end(struct client *client, struct node *dir, uint64_t after, struct ino parent, uint64_t asked,
		       const struct lease *lease);
/* The directory was made by us: it is empty. */
void dircache_is_empty(struct client *client, struct node *dir);
struct dircache_entry {
	uint64_t cookie;
	struct ino ino;
	uint8_t type;
	struct str name;
};
/* Its whole listing, ascending by cookie; NULL: not known. Borrowed until the next park. */
const struct dircache_entry *dircache_list(const struct client *client, const struct node *dir, size_t *ret_count, struct ino *ret_parent);
/* The kernel takes the entries of a listing in some time after it was answered. Until then, or `until_ns`, the thread that asked for them is remembered;
 * when it comes for more, it has done so. */
void dircache_plus_given(struct client *client, struct node *dir, uint32_t thread, uint64_t until_ns);
void dircache_plus_taken(struct node *dir, uint32_t thread);
/* The kernel may take entries in until then; 0: it has. */
uint64_t dircache_plus_until_ns(const struct node *dir);
void dircache_clear(struct client *client, struct node *dir);
void dircache_free(struct client *client, struct node *dir);

/* ---- attr.c --------------------------------------------------------------------------------------------------- */
/* Fill in a reply for the kernel: merge, glimpse if need be, times to live. Parks. */
int attr_to_entry(struct client *client, struct client_op *op, struct attr attr, struct client_entry *ret_entry);
/* The same from what we hold a lease on; false: nothing usable. Does not park. */
bool attr_from_cache(struct client *client, struct node *node, struct client_entry *ret_entry);
/* Say that nothing is written here any more: the right to write goes. Parks. */
int attr_end_write(struct client *client, struct node *node);
/* Publish size and mtime if dirty. Parks. */
int attr_publish(struct client *client, struct client_op *op, struct node *node);
int attr_publish_all(struct client *client, struct client_op *op);
void attr_publisher_task(void *arg);
/* Raise size and mtime to what the objects have, and set blocks. Asks OSTs only, unless attr has a newer layout than the node. Parks. */
int attr_glimpse(struct client *client, struct client_op *op, struct node *node, struct attr *attr);
/* How much space the file takes now: only its objects know. An estimate stays one where they cannot be asked. Parks. */
void attr_learn_blocks(struct client *client, struct client_op *op, struct node *node);
/* Ask the MDT (and the objects if need be) for attributes as the kernel shall see them. Parks. */
int attr_refresh(struct client *client, struct client_op *op, struct ino ino, struct client_entry *ret_entry);
int attr_refresh_layout(struct client *client, struct client_op *op, struct node *node);
/* Before a truncation: this mount's writes have ended and are stable, no size is on its way. Parks; 0: attr_truncate_end must follow, with the
 * attributes after it, or NULL if it failed. */
int attr_truncate_begin(struct client *client, struct client_op *op, struct node *node);
void attr_truncate_end(struct client *client, struct node *node, const struct attr *attr);

/* ---- names.c --------------------------------------------------------------------------------------------------- */
/* The file was looked up, and is opened to read now. */
void names_opened(struct client *client, const struct node *node);
/* For how long the kernel may use an entry of the directory; it is told. */
uint64_t names_entry_ttl_ns(struct client *client, struct node *dir);

/* ---- file.c ---------------------------------------------------------------------------------------------------- */
/* Give back every open without freeing it: for client_stop. */
void file_close_all(struct client *client);

/* ---- statfs.c -------------------------------------------------------------------------------------------------- */
struct target_space {
	struct target *target;
	bool active;           /* it answered within 2 s */
	uint64_t total_bytes, free_bytes, available_bytes;
	uint64_t inodes_used, inodes_free;
};
/* All targets at once, one attempt each. Rows are in arena, MDTs then OSTs by index; returns how many. Parks. */
size_t space_gather(struct client *client, struct arena *arena, struct target_space **ret_rows);

/* ---- unstable.c ------------------------------------------------------------------------------------------------ */
struct uobject *unstable_object(struct client *client, const struct layout_piece *piece, struct ino ino, uint32_t layout_gen);
void unstable_add(struct client *client, struct uobject *object, struct client_buf *buf, const uint8_t *data, uint32_t len,
		  uint32_t crc, uint64_t offset, int64_t mtime_ns, struct write_order order);
void unstable_object_put(struct client *client, struct uobject *object);
/* Make everything written to the inode so far stable. Parks. 0 or the first error, which is also left at the node. */
int unstable_commit_ino(struct client *client, struct client_op *op, struct ino ino);
int unstable_commit_all(struct client *client, struct client_op *op);
/* Is there anything of the inode that is not stable, of what was written when client->last_seq was seq? */
bool unstable_has(const struct client *client, struct ino ino, uint64_t seq);
/* Wait until there is room for len more. Parks. */
int unstable_reserve(struct client *client, struct client_op *op, uint32_t len);
void unstable_drop_all(struct client *client);
/* Files that would lose data if this mount ended now: how many, and the numbers of the first `max` of them. */
uint32_t unstable_files(const struct client *client, uint64_t *ret_inos, size_t max);
/* Memory only: for client_free. */
void unstable_free_all(struct client *client);
/* Send again what `target` held under another verifier. Parks. */
int unstable_replay(struct client *client, struct target *target);
void unstable_committer_task(void *arg);

/* ---- small.c: data that lives with its inode ------------------------------------------------------------------- */
enum { SMALL_BYTES_MAX = WIRE_BLOB_BYTES_MAX };
/* After lease_take, what the same answer said of the data (enum data_place). Does not park. */
void small_take(struct client *client, struct node *node, const struct lease *lease, uint8_t has_data, struct blob data);
/* What a recall says of the data, for reads that must be answered before it is. True: small_lease_lost follows. Does not park. */
bool small_lend(struct client *client, struct node *node, uint8_t has_data, struct blob data);
/* We may not cache data any more. What the MDT does not have stays until it was told. */
void small_lease_lost(struct client *client, struct node *node);
void small_free(struct client *client, struct node *node);
/* What is not saved never will be: the next fsync or close tells. */
void small_lose(struct client *client, struct node *node);
/* data_place is DATA_INLINE, the size is known. Bytes read, 0 behind the end. Does not park. */
int64_t small_read(const struct node *node, uint64_t offset, uint8_t *ret_data, size_t len);
/* 1: it is done, in memory. 0: it goes to the objects, where all the data is now. ERR_not_ready: the lease was lost meanwhile. Parks, as a running write. */
int small_write(struct client *client, struct client_op *op, struct node *node, uint64_t offset, const uint8_t *data, size_t len);
/* Before a write, without a lease: until there is room for what is not saved. Parks. */
int small_reserve(struct client *client, struct client_op *op);
bool small_is_pressed(const struct client *client);
/* To the objects with it. Parks, as a running write. ERR_not_ready as above. */
int small_move(struct client *client, struct client_op *op, struct node *node);
/* Is there data, or the news that it is in the objects now, that the MDT has not? */
bool small_owes(const struct node *node);
/* Is there something to tell of a time when we had a lease? A new one counts only afterwards. */
bool small_is_pending(const struct node *node);
/* What a message that tells the size says of the data, by enum size_flags; *ret_data is in arena. */
uint8_t small_say(struct client *client, const struct node *node, struct arena *arena, struct blob *ret_data);
/* That message is answered. version: node->small_version when it went out. */
void small_said(struct client *client, struct node *node, uint8_t said, uint64_t version, int rc);
/* The file has been cut off, or made longer, to node->size_bytes. */
void small_truncated(struct client *client, struct node *node);

/* ---- behind.c: data that waits to be written --------------------------------------------------------------------- */
/* Before a write, without a lease: until there is room for what waits. Parks. */
int behind_reserve(struct client *client, struct client_op *op, struct node *node);
/* As a running write; data lies in buf. 1: it waits here. 0: it must go through, and nothing of its range waits here any more. Parks. Errors: called off. */
int behind_write(struct client *client, struct client_op *op, struct node *node, uint64_t offset, struct client_buf *buf,
		 const uint8_t *data, size_t len);
/* What waits, over what read_objects brings to data, if that is needed. */
struct behind_reader {
	uint64_t offset;
	size_t len;
	uint8_t *data;
	int64_t (*read_objects)(void *ctx); /* parks; how many bytes: fewer than len at the file's end; errors */
	void *ctx;
};
/* As a running read. As read_objects, whose errors it passes on. Parks. */
int64_t behind_read(struct client *client, struct client_op *op, struct node *node, const struct behind_reader *reader);
/* Does something wait? */
bool behind_has(const struct node *node);
/* The size as an MDT may know it: were we to die, the file would be that long, and have all its data. */
uint64_t behind_size(const struct node *node);
/* A write has gone through, up to `end`. */
void behind_passed(struct node *node, uint64_t end);
/* Until what waits now of the file has gone to its objects, is lost, or found no room, as is told at the node. Parks. Errors: called off. */
int behind_flush(struct client *client, struct client_op *op, struct node *node);
/* The same, and what the objects got is stable. Errors: called off, or of data that was lost meanwhile. The caller is a user of the node. */
int behind_save(struct client *client, struct client_op *op, struct node *node);
/* Until nothing waits; what no disk takes within some seconds is lost. Nothing new is written meanwhile. Errors as behind_save. */
int behind_empty(struct client *client, struct node *node);
/* Is there something that found no room? */
bool behind_is_stuck(const struct node *node);
/* The file has been cut off to node->size_bytes. Does not park. */
void behind_truncated(struct node *node);
int behind_save_all(struct client *client, struct client_op *op);
void behind_flusher_task(void *arg);
/* Nobody misses what waits: the file is gone. Does not park. */
void behind_discard(struct node *node);
/* We were evicted: nothing of it is written any more. Returns how many bytes. Does not park. */
uint64_t behind_drop_all(struct client *client);
/* Files with something that waits, some of them more than once: how many; ret_inos may be NULL. */
size_t behind_inos(const struct client *client, uint64_t *ret_inos);
/* Memory only: for client_free. */
void behind_free_all(struct client *client);

/* ---- ahead.c: data that will be read -------------------------------------------------------------------------------- */
/* Somebody reads that now: what will he want next? Does not park. */
void ahead_follow(struct client *client, const struct client_op *op, struct node *node, struct reads *reads, uint64_t offset, uint64_t len);
/* As a running read. How many bytes, up to the file's end, or 0: not all of it is here. Parks. Errors: called off. */
int64_t ahead_read(struct client *client, struct client_op *op, struct node *node, uint64_t offset, uint8_t *ret_data, size_t len);
/* What was read ahead of the range, or at all, is not right any more. Do not park. */
void ahead_drop(struct node *node, uint64_t offset, uint64_t len);
void ahead_drop_all(struct node *node);
/* Memory only: for client_free. */
void ahead_free_all(struct client *client);

/* ---- data.c ---------------------------------------------------------------------------------------------------- */
/* Child tasks of one task, which waits for all of them. */
struct fanout {
	struct client *client;
	struct task *parent;
	uint32_t running;
	int rc; /* the first error */
};
void fanout_begin(struct fanout *fanout, struct client *client);
/* fn(arg) ends with fanout_child_done. */
void fanout_spawn(struct fanout *fanout, const char *name, void (*fn)(void *arg), void *arg);
void fanout_child_done(struct fanout *fanout, int rc);
int fanout_wait(struct fanout *fanout);
/* A range of a file on its way to the objects. */
struct data_out {
	uint64_t client_id;     /* as whom: nobody else sends it */
	struct client_buf *buf; /* holds data; NULL: it is no registered memory, and fits into one message */
	const uint8_t *data;
	uint64_t offset;
	size_t len;             /* CLIENT_BUF_BYTES at most */
	int64_t mtime_ns;
};
/* As unstable data. Parks. */
int data_write_through(struct client *client, struct client_op *op, struct node *node, const struct data_out *out);
/* Of a file whose size is ours: into buf at its start. How many bytes. Parks, as a running read by our lease; asks no MDT. */
int64_t data_read_ahead(struct client *client, struct node *node, uint64_t offset, struct client_buf *buf, size_t len);

/* ---- space.c ---------------------------------------------------------------------------------------------------- */
/* A change of the objects that does not go by this mount's memory, as a write: not in the middle of a truncation, under a lease that allows writing, after all
 * that waits here. lease_data_leave(NEED_WRITE) follows. Parks. ENOSPC: some of that found no room. */
int space_enter(struct client *client, struct client_op *op, struct node *node);

/* ---- copy_servers.c --------------------------------------------------------------------------------------------- */
struct copy_range {
	struct client_file *from, *to;
	uint64_t from_at, to_at, len; /* bytes */
};
/* The first part of the range, from object to object, without its data coming here: how many bytes, or 0: there is no such way for it now. Parks.
 * Errors: EHOSTUNREACH (an OST that others need does not answer), those of writing. */
int64_t copy_on_servers(struct client *client, struct client_op *op, const struct copy_range *range);

/* ---- atime.c ---------------------------------------------------------------------------------------------------- */
/* The inode has been read for `op`: its atime moves if the mount's rule says so. Does not park. */
void atime_read(struct client *client, const struct client_op *op, struct node *node);
/* The same where the kernel does not know that it was; before_ns: node->atime_ns of before. Parks. */
void atime_copied(struct client *client, const struct client_op *op, struct node *node, int64_t before_ns);
/* Attributes that came, or are about to be told: the newest atime that is known, there and here. */
void atime_merge(struct client *client, struct node *node, struct attr *attr);
/* Would the next read move it? Then the kernel's pages should not answer it. */
bool atime_is_due(const struct client *client, const struct node *node);
/* This mount has changed the inode: whoever has it open to read asks us again, if that moves its atime. Parks. */
void atime_changed(struct client *client, struct node *node);
/* What a message that goes anyway says of it, by enum size_flags; false: nothing. When it is answered: atime_said. */
bool atime_say(const struct node *node, uint8_t *ret_flags, int64_t *ret_atime_ns, uint16_t *ret_atime_gen);
void atime_said(struct node *node, int64_t atime_ns, uint16_t atime_gen);
bool atime_is_pending(const struct node *node);
/* The node goes. */
void atime_forget(struct node *node);
/* All that the MDT does not know. Parks. */
int atime_send_all(struct client *client, struct client_op *op);
void atime_task(void *arg);
/* Inodes whose atime the MDT is still to be told. */
size_t atime_count(const struct client *client);

/* ---- vxattr.c -------------------------------------------------------------------------------------------------- */
bool vxattr_is(struct str name);
int vxattr_get(struct client *client, struct client_op *op, struct ino ino, struct str name, struct arena *arena, struct blob *ret_value);
int vxattr_set(struct client *client, struct client_op *op, struct ino ino, struct str name, struct blob value);
int vxattr_remove(struct client *client, struct client_op *op, struct ino ino, struct str name);

/* ---- buf.c ----------------------------------------------------------------------------------------------------- */
int client_bufs_init(struct client *client, uint32_t count);

static inline struct loop *client_loop(const struct client *client)
{
	return client->env->loop;
}

#endif
