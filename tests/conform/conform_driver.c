/* SPDX-License-Identifier: Apache-2.0
 * Real only: the driver, its sleeping and stopping, and thread pools. The loops here run on threads of their own. */
#include "common/io/io.h"
#include "tests/conform/conform_real.h"

#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct runner {
	struct loop *loop;
	struct driver *driver;
	struct io_thread *thread;
};

static void runner_main(void *arg)
{
	driver_run(((struct runner *)arg)->driver);
}

static void runner_init(struct runner *runner)
{
	*runner = (struct runner){.loop = loop_new(&(struct loop_opts){.name = "runner", .clock = clock_os()})};
	runner->driver = driver_new(runner->loop);
}

static void runner_fini(struct runner *runner)
{
	driver_free(runner->driver);
	loop_free(runner->loop);
}

static double cpu_s(void)
{
	struct rusage usage;
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void nap(uint64_t ms)
{
	struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * NS_PER_MS)};
	CHECK(nanosleep(&ts, NULL) == 0);
}

/* ---- an idle loop with a network sleeps, and stops when told ---------------------------------------------------- */

static void ignore_accepted(void *ctx, struct net_conn *conn)
{
	(void)ctx;
	(void)conn;
}

static void ignore_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	(void)ctx;
	(void)conn;
	(void)msg;
	(void)len;
}

static void echo_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct net *net = ctx;
	CHECK(net->ops->send(conn, blob_of(msg, len), blob_of(NULL, 0)) == 0); /* now it expects another request */
}

static void ignore_closed(void *ctx, struct net_conn *conn, int rc)
{
	(void)ctx;
	(void)conn;
	(void)rc;
}

static const struct net_events ignore_events = {ignore_accepted, ignore_message, ignore_closed};
static const struct net_events echo_events = {ignore_accepted, echo_message, ignore_closed};

struct beat {
	struct net *net;
	struct net_conn *conn;
	char address[NET_ADDR_BYTES_MAX];
	bool is_connected;
};

static void listen_task(void *arg)
{
	struct beat *beat = arg;
	CHECK(beat->net->ops->listen(beat->net, "tcp://127.0.0.1:0", beat->address) == 0);
}

static void beat_task(void *arg)
{
	struct beat *beat = arg;
	struct loop *loop = beat->net->loop;
	CHECK(beat->net->ops->connect(beat->net, beat->address, UINT64_MAX, &beat->conn) == 0);
	for (;;) {
		CHECK(beat->net->ops->send(beat->conn, blob_of("beat", 4), blob_of(NULL, 0)) == 0);
		task_sleep(loop, 100 * NS_PER_MS);
	}
}

static bool has_address(void *ctx)
{
	return ((struct beat *)ctx)->address[0] != '\0';
}

static void idle_loops_sleep(void)
{
	struct runner runners[2];
	struct beat beats[2] = {{0}};
	for (int i = 0; i < 2; i++) {
		char error_text[IO_ERROR_TEXT_BYTES];
		runner_init(&runners[i]);
		CHECK(net_ofi_new(runners[i].loop, &(struct net_ofi_opts){0}, &beats[i].net, error_text) == 0);
		beats[i].net->events = i == 0 ? &echo_events : &ignore_events;
		beats[i].net->events_ctx = beats[i].net;
	}
	task_spawn(runners[0].loop, "listen", listen_task, &beats[0]);
	CHECK(driver_run_until(runners[0].driver, has_address, &beats[0]));
	memcpy(beats[1].address, beats[0].address, sizeof(beats[1].address));
	task_spawn(runners[1].loop, "beat", beat_task, &beats[1]);
	for (int i = 0; i < 2; i++)
		CHECK(io_thread_start("runner", runner_main, &runners[i], &runners[i].thread) == 0);
	nap(200);
	double before_s = cpu_s();
	nap(2000);
	double used_s = cpu_s() - before_s;
	(void)fprintf(stderr, "    two idle loops with ten messages a second: %.2f%% of a processor\n", used_s / 2 * 100);
	CHECK(used_s / 2 < 0.05); /* 1% each is the aim; sanitizers and other work on the machine cost */
	for (int i = 0; i < 2; i++) {
		driver_stop(runners[i].driver);
		io_thread_join(runners[i].thread);
		CHECK(driver_stats(runners[i].driver).sleeps > 10);
		beats[i].net->ops->fini(beats[i].net);
		runner_fini(&runners[i]);
	}
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static void a_signal_stops_it(void)
{
	struct runner runner;
	runner_init(&runner);
	CHECK(driver_stop_on_signals(runner.driver) == 0);
	CHECK(io_thread_start("runner", runner_main, &runner, &runner.thread) == 0);
	nap(20);
	CHECK(kill(getpid(), SIGTERM) == 0); /* blocked everywhere: only the signalfd takes it */
	io_thread_join(runner.thread);
	runner_fini(&runner);
}

/* ---- thread pools ------------------------------------------------------------------------------------------------ */

enum { CALLERS = 3000 }; /* more than the pool takes at once */

struct pool_case {
	struct loop *loop;
	struct threads *threads;
	unsigned done;
};

struct sum {
	uint64_t in, out;
};

static void add_one(void *arg)
{
	struct sum *sum = arg;
	sum->out = sum->in + 1;
}

static void caller_task(void *arg)
{
	struct pool_case *c = arg;
	struct sum sum = {.in = c->done};
	threads_call(c->threads, add_one, &sum);
	CHECK(sum.out == sum.in + 1);
	c->done++;
}

static bool all_called(void *ctx)
{
	return ((struct pool_case *)ctx)->done == CALLERS;
}

static void threads_answer_everybody(void)
{
	struct runner runner;
	runner_init(&runner);
	struct pool_case c = {.loop = runner.loop, .threads = threads_new(runner.loop, "pool", 4)};
	for (int i = 0; i < CALLERS; i++)
		task_spawn(runner.loop, "caller", caller_task, &c);
	CHECK(driver_run_until(runner.driver, all_called, &c));
	threads_free(c.threads);
	runner_fini(&runner);
}

/* ---- kcache: what is written to the kernel ---------------------------------------------------------------------- */

struct kcache_case {
	struct kcache *kcache;
	bool is_done;
};

static void kcache_task(void *arg)
{
	struct kcache_case *c = arg;
	CHECK(c->kcache->ops->inval_inode(c->kcache, 42, 4096, 8192) == 0);
	CHECK(c->kcache->ops->inval_entry(c->kcache, 1, STR("name")) == 0);
	CHECK(c->kcache->ops->inval_entry(c->kcache, 1, STR("")) == -EINVAL);
	struct kcache_view *view = NULL;
	CHECK(c->kcache->ops->view_open(c->kcache, 42, &view) == -EPERM); /* without a mount point */
	CHECK(!c->kcache->ops->view_asks(c->kcache, 42));
	c->is_done = true;
}

static bool kcache_is_done(void *ctx)
{
	return ((struct kcache_case *)ctx)->is_done;
}

static void notifications_have_the_kernels_form(void)
{
	struct runner runner;
	int fds[2];
	runner_init(&runner);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0); /* stands in for /dev/fuse: one write is one message */
	struct kcache_case c = {.kcache = kcache_fuse_new(runner.loop, fds[0], NULL)};
	task_spawn(runner.loop, "kcache", kcache_task, &c);
	CHECK(driver_run_until(runner.driver, kcache_is_done, &c));
	struct {
		struct fuse_out_header header;
		union {
			struct fuse_notify_inval_inode_out inode;
			struct fuse_notify_inval_entry_out entry;
			uint8_t bytes[64];
		} body;
	} msg;
	ssize_t n = read(fds[1], &msg, sizeof(msg));
	CHECK(n == (ssize_t)(sizeof(msg.header) + sizeof(msg.body.inode)) && msg.header.len == (uint32_t)n);
	CHECK(msg.header.unique == 0 && msg.header.error == FUSE_NOTIFY_INVAL_INODE);
	CHECK(msg.body.inode.ino == 42 && msg.body.inode.off == 4096 && msg.body.inode.len == 8192);
	n = read(fds[1], &msg, sizeof(msg));
	CHECK(n == (ssize_t)(sizeof(msg.header) + sizeof(msg.body.entry) + 5) && msg.header.len == (uint32_t)n);
	CHECK(msg.header.error == FUSE_NOTIFY_INVAL_ENTRY && msg.body.entry.parent == 1 && msg.body.entry.namelen == 4);
	CHECK(memcmp(msg.body.bytes + sizeof(msg.body.entry), "name", 5) == 0);
	c.kcache->ops->fini(c.kcache);
	(void)close(fds[0]);
	(void)close(fds[1]);
	runner_fini(&runner);
}

/* ---- what an operator reads -------------------------------------------------------------------------------------- */

static void failures_at_start_are_explained(void)
{
	struct runner runner;
	char error_text[IO_ERROR_TEXT_BYTES] = "", path[] = "/tmp/stria-conform-kv-XXXXXX", command[128];
	struct disk *disk;
	struct kv *kv, *second;
	struct net *net;
	runner_init(&runner);
	CHECK(disk_uring_new(runner.loop, &(struct disk_uring_opts){.root = "/does/not/exist"}, &disk, error_text) == -ENOENT);
	CHECK(strstr(error_text, "/does/not/exist") != NULL);
	CHECK(net_ofi_new(runner.loop, &(struct net_ofi_opts){.provider = "nonsense"}, &net, error_text) == -ENODEV);
	CHECK(strstr(error_text, "nonsense") != NULL);
	CHECK(mkdtemp(path) != NULL);
	struct kv_rocks_opts opts = {.path = path, .must_exist = true};
	CHECK(kv_rocks_new(runner.loop, &opts, &kv, error_text) == -ENOENT);
	CHECK(strstr(error_text, "format it first") != NULL);
	opts.must_exist = false;
	CHECK(kv_rocks_new(runner.loop, &opts, &kv, error_text) == 0);
	CHECK(kv_rocks_new(runner.loop, &opts, &second, error_text) == -EBUSY);
	CHECK(strstr(error_text, "another daemon has this store open") != NULL);
	kv->ops->fini(kv);
	runner_fini(&runner);
	(void)snprintf(command, sizeof(command), "rm -rf %s", path);
	CHECK(system(command) == 0);
}

void conform_driver(void)
{
	conform_case("driver", "idle_loops_sleep");
	idle_loops_sleep();
	conform_case("driver", "a_signal_stops_it");
	a_signal_stops_it();
	conform_case("driver", "threads_answer_everybody");
	threads_answer_everybody();
	conform_case("driver", "notifications_have_the_kernels_form");
	notifications_have_the_kernels_form();
	conform_case("driver", "failures_at_start_are_explained");
	failures_at_start_are_explained();
}
