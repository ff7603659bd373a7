/* SPDX-License-Identifier: Apache-2.0
 * What the files of mds/ share: the target, and one operation on it. Private.
 *
 * An operation goes five steps: gates, load, recall, mutate (no park), commit. op.c holds the frame and exactly-once;
 * ops/ holds what each operation does between its gates. */
#ifndef STRIA_MDS_IMPL_H
#define STRIA_MDS_IMPL_H

#include "common/cluster/cmap.h"
#include "common/cluster/layout.h"
#include "common/base/json_out.h"
#include "common/core/loop.h"
#include "common/core/rpc.h"
#include "mds/gate.h"
#include "mds/lease.h"
#include "mds/lock.h"
#include "mds/mds.h"
#include "mds/name.h"
#include "mds/perm.h"
#include "mds/session.h"
#include "mds/txn.h"

enum {
	SEQ_RESERVE = 4096,   /* inode sequences reserved by one record */
	NLINK_DIR_MAX = 65000,
	NLINK_FILE_MAX = 65000,
	XATTR_INODE_BYTES_MAX = 256 * 1024, /* names and values of one inode */
	DIR_SIZE_BYTES = 4096, /* st_size of every directory */
};
#define GATE_TIMEOUT_NS (4 * NS_PER_S) /* below the callers' 5 s: then they hear ERR_busy and repeat */
#define GATE_MOVES      INO_NONE       /* one move between directories at a time */
#define GATE_MAP        ((struct ino){UINT64_MAX}) /* one change of the cluster map at a time */

enum { HOT_SLOTS = 1024 };
struct hot { /* an inode whose leases were recalled lately */
	struct ino ino;
	uint64_t until_ns;
};
struct mgs;
struct ost { /* an OST as this MDT sees it */
	struct rpc_peer *peer;
	uint64_t total_bytes, available_bytes; /* from its beats; total 0: not heard of since the start */
	int64_t credit;                        /* of the weighted round robin */
	uint64_t refused_until_ns;             /* did not answer lately: background work leaves it alone until then */
};

struct mds {
	struct env *env;
	struct mds_conf conf;
	struct superblock sb;
	struct rpc_identity identity;
	struct rpc *rpc;
	struct txn txn;
	struct gates gates;
	struct sessions sessions;
	struct locks locks;
	struct mgs *mgs;         /* NULL: elsewhere */
	struct rpc_peer *mgs_peer; /* when it is elsewhere */
	struct cmap *map;        /* owned; never NULL after the start */
	struct ost *osts;        /* by index, cmap-wide: UINT16_MAX at most */
	uint32_t ost_count;
	struct {
		uint64_t next, limit; /* sequences: next to give, first not reserved */
	} *seqs;                 /* by shard */
	int64_t last_time_ns, last_mono_ns; /* of mds_time */
	uint64_t inodes;         /* live ones */
	bool inodes_changed;
	uint64_t started_ns, grace_until_ns;
	uint32_t grace_wait;     /* live clients that have not said done */
	struct waitq state_changed;
	bool stopping;
	struct list purge_queue; /* struct purge_item */
	struct waitq purge_work;
	struct ino *orphans;     /* owned: to be looked at, whether anybody still needs them */
	size_t orphan_count, orphan_capacity;
	bool orphans_running;    /* a task does that */
	uint64_t next_opno;      /* of our own calls to OSTs */
	struct list opnos;       /* struct own_opno: those in flight */
	struct hot hot[HOT_SLOTS]; /* by hash of the inode */
	uint64_t pending_resolves;
	struct mds_counters counters;
	uint8_t *scratch;        /* NET_MSG_BYTES_MAX: used between two parks */
	char error[MDS_ERROR_BYTES];
	char address[NET_ADDR_BYTES_MAX];
};

/* ---- operations (op.c) ---------------------------------------------------------------------------------------- */
enum { OP_GATES_MAX = 6 };
struct gate_want {
	struct ino ino;
	enum gate_mode mode;
};
struct loaded; /* an inode that this operation has decoded */
struct operation {
	struct mds *mds;
	struct rpc_call *call;
	struct arena *arena;   /* of the call, or of a background task */
	struct session *session; /* NULL: background, or nobody's */
	uint64_t client;
	struct task *task;
	const char *name;
	uint64_t deadline_ns;  /* for gates; UINT64_MAX in the background */
	struct gate_want gates[OP_GATES_MAX];
	uint32_t gate_count;
	struct rec **pins;     /* owned */
	uint32_t pin_count, pin_capacity;
	struct loaded *inodes; /* in arena */
	uint64_t seen;         /* newest batch that it has seen or made */
	bool changed;          /* it has put something into a batch */
	int64_t now_ns;        /* MDT time of the mutation */
	/* what its reply record says beside the reply */
	uint64_t handle;
	uint32_t open_flags;
	struct ino record_ino;
	/* after the first batch is durable, still under the gates: cut objects off; NULL: nothing */
	int (*after)(struct operation *op);
	struct inode *after_inode;
};

void op_init(struct operation *op, struct mds *mds, struct arena *arena, const char *name);
void op_fini(struct operation *op); /* drops gates and pins */
void op_step(struct operation *op, const char *step);
/* Parks until all are ours. Sorts and merges; drops first what the operation held and forgets what it loaded. Errors: ERR_busy. */
int op_gates(struct operation *op, const struct gate_want *wants, uint32_t count);
void op_gates_drop(struct operation *op);
/* Load and pin one record. Parks on a miss. */
int op_load(struct operation *op, struct key key, struct rec **ret_rec);
/* The inode, decoded once an operation and gate round; lives in the arena. Parks. Errors: ESTALE (there is none). */
int op_inode(struct operation *op, struct ino ino, struct inode **ret_inode);
/* After gates and loads, before the first change: from here to the end of the handler nothing parks. Errors: ERR_evicted, ERR_not_ready. */
int op_mutate(struct operation *op);
/* Changes, into the batch that collects. */
void op_save(struct operation *op, struct inode *inode); /* also grows inode->change */
void op_put(struct operation *op, struct key key, struct blob value);
void op_erase(struct operation *op, struct key key);
void op_put_rec(struct operation *op, struct rec *rec, struct blob value);
/* A fresh inode record; nlink and the rest are the caller's. */
struct inode *op_inode_new(struct operation *op, struct ino ino);
/* The inode's record goes, with its back pointers' and marks' being the caller's. */
void op_inode_delete(struct operation *op, struct inode *inode);
/* Wait until all it saw is durable. Parks. */
int op_wait(struct operation *op);
/* Load until nothing in [key prefix] is only in memory: waits for the batch of `inode`. Parks. */
int op_scan(struct operation *op, const struct inode *inode, struct key start, struct key end, size_t limit, size_t bytes_max,
	    struct kv_pair **ret_pairs, bool *ret_more);
struct wire_out op_buffer(struct operation *op, size_t bytes); /* in the arena */

int mds_serve(void *ctx, struct rpc_call *call, const void *req, void *rep);

/* ---- entries (dir.c) ------------------------------------------------------------------------------------------ */
struct entry {
	struct inode *dir;
	struct inode *child;   /* NULL: the name is free */
	struct str name;
	uint64_t hash;
	struct rec *rec;       /* of the bucket */
	struct bucket *bucket; /* in the arena */
	int at;                /* index in the bucket, -1: none */
};
/* 0, ENAMETOOLONG, EINVAL, ENOENT (empty). Not about "." and "..". */
int name_check(struct str name);
bool name_is_dots(struct str name);
/* What the name stands for now, without gates: a guess for taking them. INO_NONE: nothing. Parks. */
int entry_guess(struct operation *op, struct ino dir, struct str name, struct ino *ret_child);
/* Load one entry under gates that cover its directory. ENOENT (no such directory), ENOTDIR. Parks. */
int entry_load(struct operation *op, struct ino dir, struct str name, struct entry *ret_entry);
/* Take the gates of a directory and of what the name stands for, and load both. Parks. Errors as above, ERR_busy. */
int entry_enter(struct operation *op, struct ino dir, struct str name, enum gate_mode dir_mode,
		enum gate_mode child_mode, struct entry *ret_entry);
uint64_t entry_cookie(const struct entry *entry);
/* In the mutate step. add: false when the bucket is full. They save the bucket and back pointers, not the inodes. */
bool entry_has_room(const struct entry *entry);
void entry_add(struct operation *op, struct entry *entry, struct inode *child);
void entry_remove(struct operation *op, struct entry *entry);
void entry_replace(struct operation *op, struct entry *entry, struct inode *child);
/* mtime, ctime of the directory. */
void dir_touch(struct operation *op, struct inode *dir, int64_t entries);
/* One link less; the last one removes the inode, makes it an orphan or queues its purge. Saves it. */
void inode_drop_link(struct operation *op, struct inode *inode, uint32_t links);
/* It has no name, but is or is about to be open: says so in the store. */
void inode_orphan(struct operation *op, const struct inode *inode);
/* Does anybody use it, so that it has to live without a name? Who has it open; and unless it is a file, whose data takes space, who holds
 * anything of it: that client's kernel refers to it, as a working directory or an open fifo. */
bool inode_is_used(const struct mds *mds, const struct inode *inode);
/* Remove an inode without links and users. */
void inode_destroy(struct operation *op, struct inode *inode);

/* ---- inodes (inode.c) ----------------------------------------------------------------------------------------- */
struct attr inode_attr(struct mds *mds, const struct inode *inode, uint64_t client);
/* A fresh inode number of a shard; its reservation goes into the batch that collects. ENOSPC: the shard has none left. */
int ino_alloc(struct operation *op, uint16_t shard, struct ino *ret_ino);
int64_t mds_time(struct mds *mds); /* monotonic */
/* ops/create.c. A fresh inode of one link in the mutate step, not saved yet. The umask counts unless the directory has a default list. Nothing has changed
 * when it fails. */
int inode_make(struct operation *op, const struct cred *cred, const struct inode *dir, uint32_t mode, uint32_t umask, uint16_t shard,
	       struct inode **ret_inode);
/* Choose OSTs for a wanted layout (empty: dir's default or the file system's), encoded in op's arena. gen: of the layout, which the inode's
 * layout_gen equals: whoever has an older one asks again. EINVAL, ERR_not_ready (no OST is up, or there has never been one: the caller waits). */
int place_layout(struct operation *op, const struct inode *dir, struct blob wanted, uint32_t gen, struct blob *ret_layout);
/* Keep an access list (is_default: a directory's default one) among the extended attributes; a minimal access list goes into the mode, and is not
 * kept, an empty list is the end of what there was. In the mutate step; saves all but the inode. */
void inode_set_acl(struct operation *op, struct inode *inode, bool is_default, struct blob acl);
/* Register an open; in the mutate step. */
void inode_open(struct operation *op, struct inode *inode, uint64_t handle, uint32_t flags);
/* The caller may write from here on: a mark that outlives a restart, and objects may exist. In the mutate step. */
void inode_mark_writer(struct operation *op, struct inode *inode);
/* In the mutate step: a new size with its intent; sets op->after if objects have to be cut. data: inline_load's. */
void inode_truncate(struct operation *op, struct inode *inode, uint64_t size_bytes, struct blob data);
/* flags: enum size_flags, that came with it. Take over a published size. ERR_stale_layout: it is of before a truncation. Says whether anything
 * changed. */
int inode_publish(struct operation *op, struct inode *inode, uint8_t flags, uint32_t size_gen, uint64_t size_bytes, int64_t mtime_ns,
		  uint64_t blocks, bool *ret_changed);

/* Somebody has read it, then, by attributes with this generation of atime. Says whether that changed anything; the caller saves the inode. Leases on
 * attributes stay where they are: an atime is no reason to ask every reader. */
bool inode_raise_atime(struct inode *inode, int64_t atime_ns, uint16_t atime_gen);

/* ---- data that lives with the inode (inline.c) ---------------------------------------------------------------- */
/* A copy of the data; empty if it is elsewhere. Parks. Errors: ERR_corrupt. */
int inline_load(struct operation *op, const struct inode *inode, struct blob *ret_data);
/* In the mutate step; the caller saves the inode. */
void inline_store(struct operation *op, struct inode *inode, struct blob data);
void inline_drop(struct operation *op, struct inode *inode);
/* What its writer says by enum size_flags of where the data is now. Says whether anything changed. */
bool inline_take(struct operation *op, struct inode *inode, uint8_t size_flags, struct blob data);
/* What an answer with this lease says of the data (enum data_place). fresh: the caller could not write before. */
uint8_t inline_answer(const struct inode *inode, const struct lease *lease, bool fresh, struct blob data, struct blob *ret_data);

/* ---- objects (objects.c) -------------------------------------------------------------------------------------- */
/* Cut every object off at the inode's size and make the intent's end durable. Parks, until it is done. */
int objects_truncate(struct operation *op);
void purge_add(struct mds *mds, struct ino ino);
void purge_start(struct mds *mds);
/* Find out what a client that is gone had written, in the background. */
void resolve_writer(struct mds *mds, struct ino ino, uint64_t client);
/* Replay one truncation whose intent was found, in the background; its gate is taken first. */
void replay_truncate(struct mds *mds, struct ino ino);
struct rpc_peer *ost_peer(struct mds *mds, uint32_t index); /* NULL: not in the map, or without an address */

/* ---- recovery and clients (recover.c) ------------------------------------------------------------------------- */
/* Read from the store what memory mirrors. Parks. */
int recover_load(struct mds *mds);
/* Begin to serve: grace, background work. */
void recover_begin(struct mds *mds);
/* A client's evicted or has left, durably: give back what it held. `lost`: it did not say goodbye. */
void client_gone(struct mds *mds, uint64_t client, bool lost);
/* The session of a caller. ERR_evicted: no client that lives. */
int client_session(struct mds *mds, uint64_t client, struct session **ret_session);
/* It has said done. */
void recover_client_done(struct mds *mds, struct session *session);
/* One of those that used an inode does not any more: if it is an orphan, and was the last, it goes, in the background. */
void orphan_look(struct mds *mds, struct ino ino);
/* The client will not write any more: its mark goes, and if it was the last that kept an orphan, the orphan. Does not park. */
void mark_end(struct mds *mds, struct ino ino, uint64_t client);

/* ---- MGS (mgs.c) ---------------------------------------------------------------------------------------------- */
int mgs_load(struct mds *mds); /* parks */
void mgs_start(struct mds *mds);
void mgs_free(struct mgs *mgs);
bool mgs_client_lives(const struct mgs *mgs, uint64_t client);
uint32_t mgs_client_count(const struct mgs *mgs);
/* Visit every live client. */
void mgs_each_client(const struct mgs *mgs, void (*visit)(void *ctx, uint64_t client), void *ctx);
/* End a client everywhere. Parks. False: it is not there, or somebody does it. */
bool mgs_evict(struct mds *mds, uint64_t client, const char *why);
/* Our own row of the map: address, boot, state. */
void mgs_set_own_state(struct mds *mds);
/* Serve one of PROTO_MGS_OPS. */
int mgs_serve(struct mds *mds, struct rpc_call *call, const void *req, void *rep);
void mgs_status(struct mds *mds, struct json_out *json);

/* ---- locks (ops/lock.c) --------------------------------------------------------------------------------------- */
/* locks->granted: tells the client, in a task of its own. */
void lock_granted(void *ctx, struct lock_wait *wait);

/* ---- node (node.c) -------------------------------------------------------------------------------------------- */
void mds_log(struct mds *mds, enum log_level level, const char *module, const char *what, const char *subject, int rc);
/* A record that cannot be: says which, returns rc. */
int mds_corrupt(struct mds *mds, struct blob key, int rc);
void mds_set_state(struct mds *mds, uint8_t state);
void mds_set_map(struct mds *mds, struct cmap *map); /* takes it over */

/* ---- handlers: one for each row of PROTO_MDS_OPS -------------------------------------------------------------- */
#define OP(name, number, flags, since, text) \
	int mds_op_##name(struct operation *op, const struct name##_req *req, struct name##_rep *rep);
PROTO_MDS_OPS(OP)
#undef OP

#endif
