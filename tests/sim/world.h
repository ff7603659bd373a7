/* SPDX-License-Identifier: Apache-2.0
 * The simulated world: virtual time, one queue of events, and nodes (processes) that run on it, all on one thread.
 *
 * It owns the nodes' heaps, loops and seams, and what survives their crashes (disks, kv stores). Everything random is drawn from one
 * seed; nothing depends on addresses or on the machine's clock. It knows nothing of mds, oss or client: unit tests use it too.
 *
 * A unit test with it:
 *	struct world *world = world_new(1);
 *	struct sim_node *node = sim_node_new(world, "a", SIM_DISK | SIM_KV, my_main, my_ctx);  // my_main(node, my_ctx) is a task
 *	sim_node_boot(node);
 *	assert_true(world_run(world, 10 * NS_PER_S, my_done, my_ctx));
 *	world_free(world); */
#ifndef STRIA_SIM_WORLD_H
#define STRIA_SIM_WORLD_H

#include "common/base/list.h"
#include "common/base/rng.h"
#include "common/core/env.h"
#include "common/core/loop.h"
#include "common/core/task.h"

struct world;
struct sim_node;
struct sim_store;
struct sim_fs;

/* What may go wrong, as chances per million of the thing that it is about; all zero: a kind world. Times in ns. */
struct sim_faults {
	unsigned msg_lost, msg_dup, msg_reordered, msg_slow; /* a message: gone, twice, out of order, late by up to slow_ns_max */
	unsigned conn_break;                                 /* per message: its connection breaks */
	unsigned connect_refused, connect_lost;              /* per connect */
	unsigned send_busy;                                  /* per send: ERR_busy */
	unsigned rma_slow, rma_lost;                         /* per RMA: lands late; never, and the connection breaks some time later */
	uint64_t slow_ns_max;
	unsigned disk_slow, disk_error; /* per operation; errors are EIO */
	unsigned read_stuck; /* a read of the disk that takes longer than its caller waits */
	unsigned kv_slow, kv_park;      /* per operation; kv_park: a get parks instead of answering from memory */
	unsigned crash_keeps_write;     /* per unsynced write at a crash: there wholly; else partly or not at all */
	unsigned crash_keeps_batch;     /* per unsynced kv batch, oldest first, until one vanishes */
	unsigned clock_jump;            /* per read of the real clock */
};

/* What happened in the world, for the coverage table. */
struct world_counts {
	uint64_t events, steps, messages, messages_lost, messages_dup, messages_reordered, messages_cut, messages_late;
	uint64_t conns, conns_broken, conns_refused, rma_reads, rma_writes, rma_late, rma_lost, rma_region_closed, rma_conn_closed;
	uint64_t regions_closed_in_flight; /* a connection or region was closed while an RMA was under way */
	uint64_t disk_writes, disk_syncs, disk_writes_undone, disk_writes_torn, disk_names_undone, disk_errors, disk_full;
	uint64_t kv_batches, kv_batches_undone, kv_batches_torn, kv_survived_unanswered;
	uint64_t boots, crashes, kcache_calls;
};

struct world *world_new(uint64_t seed);
void world_free(struct world *world); /* nodes and stores with it */
uint64_t world_now_ns(const struct world *world);
struct rng *world_rng(struct world *world); /* for what belongs to the world; nodes and workloads have their own */
struct sim_faults *world_faults(struct world *world);
struct world_counts *world_counts(struct world *world);
/* A number over everything that happened so far: equal for equal seeds. */
uint64_t world_digest(const struct world *world);
/* Run until done(ctx) (checked after every event; may be NULL) or until nothing is left to do or `until_ns`. True: done. */
bool world_run(struct world *world, uint64_t until_ns, bool (*done)(void *ctx), void *ctx);
/* Call fn(arg) in the world, outside any node, after delay_ns. `arg` is the caller's. */
void world_after(struct world *world, uint64_t delay_ns, void (*fn)(void *arg), void *arg);
/* The same, at the first quiet moment after `count` more events: crashes land at park points by this. */
void world_after_events(struct world *world, uint64_t count, void (*fn)(void *arg), void *arg);

/* ---- trace ---------------------------------------------------------------------------------------------------- */
/* One line of history: kept in a ring, printed at once with world_trace_live. Its text goes into the digest: no addresses. */
void world_note(struct world *world, const struct sim_node *node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void world_trace_live(struct world *world, bool on);
void world_trace_print(struct world *world, size_t lines);
/* The first failure of the run: printed with the trace; world_run returns false from there on. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *world_failure(const struct world *world); /* NULL: none */

/* ---- nodes ---------------------------------------------------------------------------------------------------- */
enum sim_node_has {
	SIM_DISK = 1,
	SIM_KV = 2,
	SIM_KCACHE = 4,
	SIM_NO_HEAP = 8, /* its memory is not taken back when it ends: for tests that look at it afterwards, and free it */
};
/* `main` runs as the node's first task at each boot. `name` is static or lives as long as the world. */
struct sim_node *sim_node_new(struct world *world, const char *name, unsigned has, void (*main)(struct sim_node *node, void *ctx),
			      void *ctx);
void sim_node_boot(struct sim_node *node);
/* The process is gone at once: memory, tasks, connections. Unsynced work survives wholly, partly or not at all. */
void sim_node_crash(struct sim_node *node);
/* The process ends by itself (from outside the node): like a crash, but the machine goes on, so that nothing unsynced is lost. */
void sim_node_stop(struct sim_node *node);
bool sim_node_is_up(const struct sim_node *node);
/* Counts boots; 0 before the first. */
uint64_t sim_node_incarnation(const struct sim_node *node);
const char *sim_node_name(const struct sim_node *node);
struct env *sim_node_env(struct sim_node *node); /* valid while it is up */
struct loop *sim_node_loop(struct sim_node *node);
struct world *sim_node_world(struct sim_node *node);
/* Run fn(arg) on the node's loop (outside any task) at once, or after a delay; forgotten if the node crashes first. */
void sim_node_post(struct sim_node *node, uint64_t delay_ns, void (*fn)(void *arg), void *arg);
/* While frozen, a node's loop does not run: a stopped process (SIGSTOP), a long pause. UINT64_MAX: for ever; 0: it goes on. */
void sim_node_freeze(struct sim_node *node, uint64_t duration_ns);
/* Its loop runs at the next round: somebody outside put work on it. */
void sim_node_kick(struct sim_node *node);
/* Set how its clocks differ from the world's: boot-time rate in parts per million, real time by an offset. */
void sim_node_skew(struct sim_node *node, int rate_ppm, int64_t real_offset_ns);

/* Messages from `from` to `to` (NULL: anybody) do not arrive until then, and half of them never. One way: call twice for both. */
void world_cut(struct world *world, struct sim_node *from, struct sim_node *to, uint64_t until_ns);
/* None is lost: all are there as soon as it is over. */
void world_hold(struct world *world, struct sim_node *from, struct sim_node *to, uint64_t until_ns);
void world_heal(struct world *world); /* all cuts end now; what has been held back comes when it would have */

/* ---- what survives -------------------------------------------------------------------------------------------- */
struct sim_fs *sim_node_fs(struct sim_node *node);       /* its disk's files */
struct sim_store *sim_node_store(struct sim_node *node); /* its kv's contents */

void sim_fs_set_capacity(struct sim_fs *fs, uint64_t bytes); /* UINT64_MAX at first */
uint64_t sim_fs_used(const struct sim_fs *fs);
/* Visit every file as it is now: path, size. */
void sim_fs_each(struct sim_fs *fs, void (*visit)(void *ctx, const char *path, uint64_t size_bytes), void *ctx);
/* Bytes of a file, zeros in holes; -ENOENT. Short at its end. For checkers. */
int64_t sim_fs_peek(struct sim_fs *fs, const char *path, void *buf, size_t len, uint64_t offset);

/* Pairs in order of keys, as they are now; NULL at the end. Start with key {NULL, 0}: borrowed until the next write. */
const struct kv_pair *sim_store_next(struct sim_store *store, struct blob after);
const struct kv_pair *sim_store_find(struct sim_store *store, struct blob key);

/* ---- the kernel above a mount: set before the first boot ------------------------------------------------------ */
/* What the kcache seam's calls reach. Called on the node's loop, in a task of the node; must not park. */
struct sim_kernel_hooks {
	/* -EAGAIN: waits for pages that are locked; call again with `again` set. */
	int (*inval_inode)(void *ctx, uint64_t ino, uint64_t offset, uint64_t len, bool again);
	int (*inval_attr)(void *ctx, uint64_t ino);
	int (*inval_epoch)(void *ctx);
	int (*inval_entry)(void *ctx, uint64_t parent, struct str name);
	int (*size)(void *ctx, uint64_t ino, uint64_t *ret_size_bytes); /* NULL: nobody may look */
	void (*ask)(void *ctx, uint64_t ino);
	void *ctx;
};
void sim_node_kernel(struct sim_node *node, const struct sim_kernel_hooks *hooks);

#endif
