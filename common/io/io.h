/* SPDX-License-Identifier: Apache-2.0
 * The real world behind the six seams of common/core/env.h: the one public header of common/io. Only main.c files and tests/conform
 * include it. Each constructor makes an object that belongs to one loop; its `ops->fini` (or the named _free) is called before
 * loop_free, from the thread that ran the loop. Constructors may block: they run before the loop does. */
#ifndef STRIA_IO_IO_H
#define STRIA_IO_IO_H

#include "common/core/env.h"
#include "common/core/loop.h"

/* ---- clock and rng -------------------------------------------------------------------------------------------- */

/* CLOCK_BOOTTIME and CLOCK_REALTIME. Static, usable from every thread. */
struct clock *clock_os(void);
/* getrandom(2), buffered. Owned; rng_os_free. Each loop has its own. */
struct rng_source *rng_os_new(void);
void rng_os_free(struct rng_source *rng);

/* ---- driver --------------------------------------------------------------------------------------------------- */

/* Runs one loop on one thread: steps it, polls for a short while when a source expects something, then sleeps until a source
 * has something or the loop's deadline comes. How long it polls is learned from how often polling paid off, and polling ends when
 * somebody else wants the processor. */
struct driver;
struct driver_stats {
	uint64_t steps, sleeps;
	uint64_t spin_hits, spin_misses; /* idle episodes that ended while polling; that ended in sleep after polling in vain */
	uint64_t spin_ns;                /* spent polling in vain or not */
};
struct driver *driver_new(struct loop *loop);
void driver_free(struct driver *driver);
/* Returns after driver_stop. */
void driver_run(struct driver *driver);
/* Runs until done(ctx) returns true (asked after every step), or driver_stop. True when done. */
bool driver_run_until(struct driver *driver, bool (*done)(void *ctx), void *ctx);
/* From any thread, and from signal handlers: driver_run returns soon. */
void driver_stop(struct driver *driver);
/* Forget a stop, to run what has to be done at the end. From the thread that runs it, outside driver_run. */
void driver_resume(struct driver *driver);
/* SIGINT and SIGTERM end driver_run (they must be blocked in all threads: io_signals_block first thing in main). Errors: errno's. */
int driver_stop_on_signals(struct driver *driver);
struct driver_stats driver_stats(const struct driver *driver);
/* 0: never poll, always sleep; default 50 us. For measurements. */
void driver_set_spin_max_ns(struct driver *driver, uint64_t spin_max_ns);
/* Block SIGINT, SIGTERM, SIGPIPE and SIGHUP for this thread and those it starts, and take fatal signals back from libraries. */
void io_signals_block(void);

/* A thread, for one more loop. `name` (15 bytes at most) shows in ps. Errors: EAGAIN. */
struct io_thread;
int io_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct io_thread **ret_thread);
void io_thread_join(struct io_thread *thread); /* and frees it */

/* ---- threads --------------------------------------------------------------------------------------------------- */

/* A few threads that run blocking calls for the tasks of one loop. */
struct threads;
struct threads *threads_new(struct loop *loop, const char *name, unsigned count);
/* Waits for what runs. No task may be parked in threads_call. NULL is fine. */
void threads_free(struct threads *threads);
/* Is it one of them? id: as the kernel counts threads. */
bool threads_have(struct threads *threads, uint32_t id);
/* Parks. Runs fn(arg) on one of the threads; order of arrival. fn touches nothing that belongs to a loop. */
void threads_call(struct threads *threads, void (*fn)(void *arg), void *arg);

/* ---- the seams ------------------------------------------------------------------------------------------------- */

/* Every constructor below returns 0 or an error, and then writes one sentence for the operator into error_text. */
enum { IO_ERROR_TEXT_BYTES = 256 };

struct net_ofi_opts {
	const char *provider;      /* "tcp" or "verbs"; NULL: "tcp" */
	const char *local_host;    /* numeric address of the NIC (verbs needs it); NULL: any */
	uint32_t conns_max;        /* accepted and connected together; 0: 4096 */
	uint32_t mrs_max;          /* memory regions; 0: 65536 */
	uint32_t send_small_max;   /* send buffers of 4 KiB; 0: 4096 */
	uint32_t send_large_max;   /* send buffers of 72 KiB; 0: 512 */
};
/* The net seam over libfabric's FI_EP_MSG. */
int net_ofi_new(struct loop *loop, const struct net_ofi_opts *opts, struct net **ret_net,
		char error_text[IO_ERROR_TEXT_BYTES]);

struct disk_uring_opts {
	const char *root;     /* an existing directory */
	uint32_t queue_depth; /* operations given to the kernel at once; more wait; 0: 256 */
};
/* The disk seam over io_uring. */
int disk_uring_new(struct loop *loop, const struct disk_uring_opts *opts, struct disk **ret_disk,
		   char error_text[IO_ERROR_TEXT_BYTES]);

struct kv_rocks_opts {
	const char *path;           /* directory; its parent exists */
	uint64_t block_cache_bytes; /* 0: 64 MiB */
	uint64_t memtable_bytes;    /* one memtable, of at most 4; 0: 32 MiB */
	unsigned read_threads;      /* 0: 2 */
	bool must_exist;            /* do not create */
};
/* The kv seam over RocksDB. ENOENT: must_exist and absent; EBUSY: another process has it open. */
int kv_rocks_new(struct loop *loop, const struct kv_rocks_opts *opts, struct kv **ret_kv,
		 char error_text[IO_ERROR_TEXT_BYTES]);

/* The kcache seam: notifications written to the /dev/fuse descriptor `fuse_fd` (borrowed, stays the caller's) by threads. mountpoint: absolute, for views,
 * which need CAP_DAC_READ_SEARCH; NULL: there are none. */
struct kcache *kcache_fuse_new(struct loop *loop, int fuse_fd, const char *mountpoint);

#endif
