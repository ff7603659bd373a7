/* SPDX-License-Identifier: Apache-2.0
 * net_bench: what the real net seam and the driver give between two processes of this machine: time of a request and its reply when both
 * poll and when both sleep, and bulk by RMA that the server starts after a request, as Stria does. Prints one line per measurement. */
#include "common/base/check.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { AREA_BYTES = 8 * 1024 * 1024, IN_FLIGHT_MAX = 8, PINGS = 20000, REQUEST_BYTES = 64 };

struct bench {
	struct loop *loop;
	struct net *net;
	struct driver *driver;
	uint8_t *area;
	struct net_mr *mr;
	struct net_conn *conn;
	struct task *waiter;
	size_t replies;
	char address[NET_ADDR_BYTES_MAX];
};

enum request { REQ_PING = 1, REQ_READ, REQ_WRITE };

struct work {
	struct bench *bench;
	struct net_conn *conn;
	uint32_t request, slot;
	struct rma remote;
};

static void send_all(struct bench *bench, struct net_conn *conn, const void *msg, size_t len)
{
	CHECK(bench->net->ops->send(conn, blob_of(msg, len), blob_of(NULL, 0)) == 0);
}

static void work_task(void *arg)
{
	struct work *work = arg;
	struct bench *bench = work->bench;
	const struct net_ops *ops = bench->net->ops;
	size_t at = (size_t)work->slot * work->remote.len;
	int rc = work->request == REQ_READ ? ops->rma_read(work->conn, bench->mr, at, work->remote, work->remote.len) :
					     ops->rma_write(work->conn, bench->mr, at, work->remote, work->remote.len);
	uint8_t reply[REQUEST_BYTES] = {0};
	if (rc == 0)
		send_all(bench, work->conn, reply, sizeof(reply));
	mem_free(work);
}

static void server_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct bench *bench = ctx;
	if (load_le32(msg) == REQ_PING) {
		send_all(bench, conn, msg, len);
		return;
	}
	struct work *work = mem_alloc(sizeof(*work));
	*work = (struct work){.bench = bench, .conn = conn, .request = load_le32(msg), .slot = load_le32(msg + 4)};
	memcpy(&work->remote, msg + 8, sizeof(work->remote));
	task_spawn(bench->loop, "work", work_task, work);
}

static void client_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct bench *bench = ctx;
	(void)conn;
	(void)msg;
	(void)len;
	bench->replies++;
	task_wake(bench->waiter);
}

static void accepted(void *ctx, struct net_conn *conn)
{
	(void)ctx;
	(void)conn;
}

static void server_closed(void *ctx, struct net_conn *conn, int rc)
{
	(void)conn;
	(void)rc;
	driver_stop(((struct bench *)ctx)->driver);
}

static const struct net_events server_events = {.accepted = accepted, .message = server_message, .closed = server_closed};
static const struct net_events client_events = {.accepted = accepted, .message = client_message, .closed = server_closed};

static void bench_start(struct bench *bench, const struct net_events *events, uint64_t spin_max_ns)
{
	char error_text[IO_ERROR_TEXT_BYTES];
	*bench = (struct bench){.loop = loop_new(&(struct loop_opts){.name = "bench", .clock = clock_os()})};
	CHECK(net_ofi_new(bench->loop, &(struct net_ofi_opts){.provider = "tcp"}, &bench->net, error_text) == 0);
	bench->net->events = events;
	bench->net->events_ctx = bench;
	bench->driver = driver_new(bench->loop);
	driver_set_spin_max_ns(bench->driver, spin_max_ns);
	bench->area = mem_alloc_aligned(4096, AREA_BYTES);
	memset(bench->area, 1, AREA_BYTES);
	unsigned access = NET_ACCESS_LOCAL | NET_ACCESS_REMOTE_READ | NET_ACCESS_REMOTE_WRITE;
	CHECK(bench->net->ops->mr_open(bench->net, bench->area, AREA_BYTES, access, &bench->mr) == 0);
}

static void bench_stop(struct bench *bench)
{
	bench->net->ops->fini(bench->net);
	driver_free(bench->driver);
	loop_free(bench->loop);
	mem_free(bench->area);
}

static void listen_task(void *arg)
{
	struct bench *bench = arg;
	CHECK(bench->net->ops->listen(bench->net, "tcp://127.0.0.1:0", bench->address) == 0);
}

static bool has_address(void *ctx)
{
	return ((struct bench *)ctx)->address[0] != '\0';
}

static double cpu_s(int who)
{
	struct rusage usage;
	CHECK(getrusage(who, &usage) == 0);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_stats(const char *who, const struct bench *bench)
{
	struct driver_stats stats = driver_stats(bench->driver);
	(void)printf("    %s: steps %llu sleeps %llu spin hits %llu misses %llu\n", who, (unsigned long long)stats.steps,
		     (unsigned long long)stats.sleeps, (unsigned long long)stats.spin_hits,
		     (unsigned long long)stats.spin_misses);
}

/* ---- the client ----------------------------------------------------------------------------------------------- */

struct client {
	struct bench bench;
	uint32_t request, len;
	size_t count, in_flight;
	uint64_t *times_ns;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static void ask(struct client *client, size_t number)
{
	struct bench *bench = &client->bench;
	uint8_t msg[REQUEST_BYTES] = {0};
	size_t slot = number % client->in_flight;
	store_le32(msg, client->request);
	store_le32(msg + 4, (uint32_t)slot);
	struct rma remote = bench->net->ops->mr_describe(bench->mr, slot * client->len, client->len);
	memcpy(msg + 8, &remote, sizeof(remote));
	send_all(bench, bench->conn, msg, sizeof(msg));
}

static void client_task(void *arg)
{
	struct client *client = arg;
	struct bench *bench = &client->bench;
	struct net *net = bench->net;
	CHECK(net->ops->connect(net, bench->address, UINT64_MAX, &bench->conn) == 0);
	bench->waiter = task_current(bench->loop);
	size_t asked = 0;
	while (bench->replies < client->count) {
		uint64_t begin_ns = loop_now_ns(bench->loop);
		while (asked < client->count && asked - bench->replies < client->in_flight)
			ask(client, asked++);
		size_t before = bench->replies;
		while (bench->replies == before)
			task_park(bench->loop);
		client->times_ns[before] = loop_now_ns(bench->loop) - begin_ns;
	}
	net->ops->close(bench->conn);
	driver_stop(bench->driver);
}

static void measure(const char *name, uint32_t request, uint32_t len, size_t count, size_t in_flight, uint64_t spin_max_ns)
{
	int fds[2];
	CHECK(pipe(fds) == 0);
	(void)fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct bench server;
		bench_start(&server, &server_events, spin_max_ns);
		task_spawn(server.loop, "listen", listen_task, &server);
		CHECK(driver_run_until(server.driver, has_address, &server));
		CHECK(write(fds[1], server.address, sizeof(server.address)) == (ssize_t)sizeof(server.address));
		driver_run(server.driver);
		print_stats("server", &server);
		bench_stop(&server);
		exit(0);
	}
	struct client client = {.request = request, .len = len, .count = count, .in_flight = in_flight};
	client.times_ns = mem_alloc(count * sizeof(client.times_ns[0]));
	bench_start(&client.bench, &client_events, spin_max_ns);
	CHECK(read(fds[0], client.bench.address, sizeof(client.bench.address)) == (ssize_t)sizeof(client.bench.address));
	task_spawn(client.bench.loop, "client", client_task, &client);
	double cpu_before = cpu_s(RUSAGE_SELF) + cpu_s(RUSAGE_CHILDREN);
	uint64_t begin_ns = loop_now_ns(client.bench.loop);
	driver_run(client.bench.driver);
	double elapsed_s = (double)(loop_now_ns(client.bench.loop) - begin_ns) / 1e9;
	CHECK(waitpid(pid, NULL, 0) == pid);
	double cpu = cpu_s(RUSAGE_SELF) + cpu_s(RUSAGE_CHILDREN) - cpu_before;
	qsort(client.times_ns, count, sizeof(client.times_ns[0]), by_value);
	double gb = (double)len * (double)count / 1e9;
	(void)printf("%-28s %9.0f/s  p50 %6.1f us  p99 %6.1f us", name, (double)count / elapsed_s,
		     (double)client.times_ns[count / 2] / 1e3, (double)client.times_ns[count * 99 / 100] / 1e3);
	if (len > 0)
		(void)printf("  %5.2f GB/s  %5.2f CPU s/GB", gb / elapsed_s, cpu / gb);
	(void)printf("  CPU %.0f%%\n", cpu / elapsed_s * 100);
	print_stats("client", &client.bench);
	bench_stop(&client.bench);
	mem_free(client.times_ns);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	uint64_t spin_ns = 50 * NS_PER_US;
	measure("ping, spinning", REQ_PING, 0, PINGS, 1, spin_ns);
	measure("ping, sleeping", REQ_PING, 0, PINGS, 1, 0);
	measure("ping x8, spinning", REQ_PING, 0, PINGS * 5, IN_FLIGHT_MAX, spin_ns);
	measure("read 4 KiB", REQ_READ, 4096, PINGS, 1, spin_ns);
	measure("read 4 KiB x8", REQ_READ, 4096, PINGS, IN_FLIGHT_MAX, spin_ns);
	measure("read 1 MiB x8", REQ_READ, MIB, 4000, IN_FLIGHT_MAX, spin_ns);
	measure("write 1 MiB x8", REQ_WRITE, MIB, 4000, IN_FLIGHT_MAX, spin_ns);
	measure("read 1 MiB x8, sleeping", REQ_READ, MIB, 4000, IN_FLIGHT_MAX, 0);
	measure("write 1 MiB x8, sleeping", REQ_WRITE, MIB, 4000, IN_FLIGHT_MAX, 0);
	return 0;
}
