/* SPDX-License-Identifier: Apache-2.0
 * What only the real net seam can show: raw sockets that say nothing or rubbish, connections whose bytes are damaged on the way,
 * and processes that are killed or stopped. Nothing of it may crash, hang or disturb others. */
#include "common/base/rng.h"
#include "common/io/io.h"
#include "tests/conform/conform_real.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { AREA_BYTES = 4 * 1024 * 1024, RAW_MAX = 128 };

struct host {
	struct conform_world *world;
	struct conform_node *node;
	struct net *net;
	char address[NET_ADDR_BYTES_MAX];
	struct net_conn *conn; /* newest */
	size_t messages, closed;
	bool echo;
	uint8_t *area;
	struct net_mr *mr;
	struct rma offered; /* from the newest message that holds one */
	int rc;
	bool is_done;
	bool patient;
};

static void on_accepted(void *ctx, struct net_conn *conn)
{
	((struct host *)ctx)->conn = conn;
}

static void on_message(void *ctx, struct net_conn *conn, const uint8_t *msg, size_t len)
{
	struct host *host = ctx;
	host->messages++;
	if (len == sizeof(struct rma))
		memcpy(&host->offered, msg, len);
	if (host->echo)
		(void)host->net->ops->send(conn, blob_of(msg, len), blob_of(NULL, 0)); /* may be lost: the case is damage */
}

static void on_closed(void *ctx, struct net_conn *conn, int rc)
{
	struct host *host = ctx;
	(void)rc;
	if (host->conn == conn)
		host->conn = NULL;
	host->closed++;
}

static const struct net_events events = {.accepted = on_accepted, .message = on_message, .closed = on_closed};

static void host_start(struct host *host, struct conform_world *world)
{
	*host = (struct host){.world = world, .node = world->ops->node_new(world, CONFORM_NET, 0)};
	host->net = host->node->env.net;
	host->net->events = &events;
	host->net->events_ctx = host;
	host->area = mem_alloc_aligned(4096, AREA_BYTES);
	unsigned access = NET_ACCESS_LOCAL | NET_ACCESS_REMOTE_READ | NET_ACCESS_REMOTE_WRITE;
	CHECK(host->net->ops->mr_open(host->net, host->area, AREA_BYTES, access, &host->mr) == 0);
}

static void host_stop(struct host *host)
{
	host->world->ops->node_stop(host->world, host->node);
	mem_free(host->area);
}

static void listen_task(void *arg)
{
	struct host *host = arg;
	CHECK(host->net->ops->listen(host->net, host->world->listen_address, host->address) == 0);
}

static void connect_task(void *arg)
{
	struct host *host = arg;
	struct net *net = host->net;
	host->conn = NULL;
	host->rc = net->ops->connect(net, host->address, loop_now_ns(net->loop) + (host->patient ? 30 : 1) * NS_PER_S, &host->conn);
}

static struct sockaddr_in socket_address(const char *address)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

static int raw_connect(const char *address)
{
	struct sockaddr_in sin = socket_address(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

/* A fresh client's echo still works. */
static void server_still_serves(struct host *server)
{
	struct host client;
	host_start(&client, server->world);
	memcpy(client.address, server->address, sizeof(client.address));
	server->echo = true;
	client.patient = true; /* it will be served, however busy the machine is */
	conform_task(server->world, client.node, connect_task, &client);
	CHECK(client.rc == 0);
	CHECK(client.net->ops->send(client.conn, blob_of("still?", 6), blob_of(NULL, 0)) == 0);
	for (int i = 0; i < 30000 && client.messages == 0; i++)
		conform_for(server->world, NS_PER_MS);
	CHECK(client.messages == 1 && client.conn != NULL);
	host_stop(&client);
}

/* ---- raw sockets ---------------------------------------------------------------------------------------------- */

static void raw_clients(struct conform_world *world, bool speaks)
{
	struct host server;
	host_start(&server, world);
	conform_task(world, server.node, listen_task, &server);
	struct rng rng;
	rng_init(&rng, 1);
	int fds[RAW_MAX];
	uint8_t *rubbish = mem_alloc(65536);
	for (int i = 0; i < RAW_MAX; i++) {
		fds[i] = raw_connect(server.address);
		conform_for(world, NS_PER_MS);
		if (!speaks)
			continue;
		for (int piece = 0; piece < 3; piece++) {
			size_t len = (size_t)rng_range(&rng, 1, i % 8 == 0 ? 65536 : 200);
			for (size_t j = 0; j < len; j++)
				rubbish[j] = (uint8_t)rng_u64(&rng);
			if (i % 3 == 0)
				memset(rubbish, i % 2 == 0 ? 0 : 0xff, len);
			(void)send(fds[i], rubbish, len, MSG_NOSIGNAL); /* it may have been cut off already */
			conform_for(world, NS_PER_MS);
		}
		if (i % 4 == 0)
			(void)shutdown(fds[i], SHUT_WR); /* likewise */
	}
	server_still_serves(&server);
	for (int i = 0; i < RAW_MAX; i++)
		(void)close(fds[i]); /* whatever it still holds is rubbish */
	conform_for(world, 50 * NS_PER_MS);
	server_still_serves(&server);
	mem_free(rubbish);
	host_stop(&server);
}

/* ---- a damaging proxy ----------------------------------------------------------------------------------------- */

/* It damages what libfabric exchanges to make a connection, and what Stria sends over it. It spares libfabric's own headers after
 * that: there its tcp provider believes its peer (an acknowledgement or a read's answer that nobody waits for makes 1.17 follow a NULL
 * pointer), which we cannot mend from outside. */
enum { OFI_HEADER_BYTES = 16, OFI_HEADER_LEN_AT = 6, OFI_HEADER_SIZE_AT = 8 };

struct stream {
	uint8_t header[OFI_HEADER_BYTES];
	uint64_t at; /* within the present message */
};

struct proxy {
	int listen_fd, fds[2]; /* client's, server's */
	char server_address[NET_ADDR_BYTES_MAX];
	struct rng *rng;
	struct host *client;
	struct stream streams[2];
	bool is_handshake_over; /* the client's connect has returned: all bytes after that are messages */
	bool in_handshake;      /* damage there; else in what follows */
	uint64_t bytes, damage_at; /* the byte that is damaged, of those that may be; often those after it too */
	bool (*done)(void *ctx);
	void *ctx;
};

/* Takes note of one byte of a message; may it be damaged? */
static bool stream_is_ours(struct stream *stream, uint8_t byte)
{
	uint64_t at = stream->at++;
	if (at < OFI_HEADER_BYTES)
		stream->header[at] = byte;
	bool is_ours = at >= OFI_HEADER_BYTES && at >= stream->header[OFI_HEADER_LEN_AT];
	if (stream->at >= OFI_HEADER_BYTES && stream->at >= load_le64(stream->header + OFI_HEADER_SIZE_AT))
		stream->at = 0;
	return is_ours;
}

static void proxy_damage(struct proxy *proxy, struct stream *stream, uint8_t *byte)
{
	bool may = proxy->is_handshake_over ? stream_is_ours(stream, *byte) && !proxy->in_handshake : proxy->in_handshake;
	if (!may)
		return;
	uint64_t at = proxy->bytes++;
	bool after = at > proxy->damage_at && at < proxy->damage_at + 8;
	if (at == proxy->damage_at || (after && rng_chance(proxy->rng, 300000)))
		*byte ^= (uint8_t)rng_range(proxy->rng, 1, 255);
}

static void proxy_forward(struct proxy *proxy, int from, int to, struct stream *stream)
{
	uint8_t buf[16384];
	proxy->is_handshake_over |= proxy->client->conn != NULL;
	ssize_t n = recv(from, buf, sizeof(buf), MSG_DONTWAIT);
	if (n == 0)
		(void)shutdown(to, SHUT_WR); /* as far as it goes */
	for (ssize_t i = 0; i < n; i++)
		proxy_damage(proxy, stream, &buf[i]);
	for (ssize_t sent = 0; n > 0 && sent < n;) {
		ssize_t rc = send(to, buf + sent, (size_t)(n - sent), MSG_NOSIGNAL);
		if (rc < 0 && errno != EAGAIN)
			return;
		if (rc > 0)
			sent += rc;
	}
}

static bool proxy_step(void *ctx)
{
	struct proxy *proxy = ctx;
	if (proxy->fds[0] < 0) {
		proxy->fds[0] = accept4(proxy->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (proxy->fds[0] >= 0)
			proxy->fds[1] = raw_connect(proxy->server_address);
	}
	if (proxy->fds[0] >= 0) {
		proxy_forward(proxy, proxy->fds[0], proxy->fds[1], &proxy->streams[0]);
		proxy_forward(proxy, proxy->fds[1], proxy->fds[0], &proxy->streams[1]);
	}
	return proxy->done(proxy->ctx);
}

static void proxy_open(struct proxy *proxy, const struct host *server, char ret_address[NET_ADDR_BYTES_MAX])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(proxy->server_address, server->address, sizeof(proxy->server_address));
	proxy->fds[0] = proxy->fds[1] = -1;
	proxy->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(bind(proxy->listen_fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(proxy->listen_fd, 4) == 0);
	CHECK(getsockname(proxy->listen_fd, (struct sockaddr *)&sin, &len) == 0);
	(void)snprintf(ret_address, NET_ADDR_BYTES_MAX, "tcp://127.0.0.1:%u", ntohs(sin.sin_port));
}

static void proxy_close(struct proxy *proxy)
{
	(void)close(proxy->listen_fd);
	for (int i = 0; i < 2; i++)
		if (proxy->fds[i] >= 0)
			(void)close(proxy->fds[i]);
}

/* Connects, talks, and moves bulk both ways; anything may fail, nothing may hang for long. */
static void talk_task(void *arg)
{
	struct host *host = arg;
	struct net *net = host->net;
	uint8_t *buf = mem_alloc(20000);
	connect_task(host);
	struct rma offer = net->ops->mr_describe(host->mr, 0, AREA_BYTES);
	for (int i = 0; i < 20 && host->conn != NULL; i++) {
		(void)net->ops->send(host->conn, blob_of(buf, (size_t)i * 1000 + 1), blob_of(&offer, 5));
		task_sleep(net->loop, NS_PER_MS);
	}
	if (host->conn != NULL)
		(void)net->ops->send(host->conn, blob_of(&offer, sizeof(offer)), blob_of(NULL, 0));
	for (int i = 0; i < 200 && host->conn != NULL && host->messages == 0; i++)
		task_sleep(net->loop, NS_PER_MS); /* until the server says that it has moved its bulk */
	if (host->conn != NULL)
		net->ops->close(host->conn);
	host->conn = NULL;
	mem_free(buf);
	host->is_done = true;
}

static void serve_bulk_task(void *arg)
{
	struct host *host = arg;
	struct net *net = host->net;
	while (!host->is_done) {
		task_sleep(net->loop, NS_PER_MS);
		struct rma offered = host->offered;
		host->offered.len = 0;
		if (offered.len == 0 || host->conn == NULL)
			continue;
		size_t len = (size_t)min_u64(offered.len, 200000);
		(void)net->ops->rma_read(host->conn, host->mr, 0, offered, len); /* may fail: the case is damage */
		if (host->conn != NULL)
			(void)net->ops->rma_write(host->conn, host->mr, 0, offered, len);
		if (host->conn != NULL)
			(void)net->ops->send(host->conn, blob_of("moved", 5), blob_of(NULL, 0));
	}
	host->rc = 1;
}

static bool talk_is_done(void *ctx)
{
	return ((struct host *)ctx)->is_done;
}

static bool serve_is_done(void *ctx)
{
	return ((struct host *)ctx)->rc == 1;
}

static void damage(struct conform_world *world, struct rng *rng, uint64_t round)
{
	struct host server, client;
	host_start(&server, world);
	host_start(&client, world);
	conform_task(world, server.node, listen_task, &server);
	struct proxy proxy = {.rng = rng, .client = &client, .done = talk_is_done, .ctx = &client};
	proxy.in_handshake = round % 2 == 0;
	proxy.damage_at = proxy.in_handshake ? round / 2 : rng_below(rng, round % 4 == 1 ? 2000 : 600000);
	proxy_open(&proxy, &server, client.address);
	task_spawn(server.node->loop, "serve", serve_bulk_task, &server);
	task_spawn(client.node->loop, "talk", talk_task, &client);
	bool in_time = world->ops->run_until(world, proxy_step, &proxy, 5 * NS_PER_S);
	if (!in_time)
		(void)fprintf(stderr, "round %llu, damage at byte %llu\n", (unsigned long long)round,
			      (unsigned long long)proxy.damage_at);
	CHECK(in_time);
	proxy_close(&proxy);
	server.is_done = true;
	conform_until(world, serve_is_done, &server);
	server_still_serves(&server);
	host_stop(&client);
	host_stop(&server);
}

static void damaged_bytes(struct conform_world *world)
{
	struct rng rng;
	rng_init(&rng, 2);
	for (uint64_t round = 0; round < 160; round++)
		damage(world, &rng, round);
}

/* ---- other processes ------------------------------------------------------------------------------------------ */

/* The child: a server that offers its memory to whoever connects, for ever. */
_Noreturn static void child_main(struct conform_world *world, int pipe_fd)
{
	struct host host;
	host_start(&host, world);
	conform_task(world, host.node, listen_task, &host);
	CHECK(write(pipe_fd, host.address, sizeof(host.address)) == (ssize_t)sizeof(host.address));
	struct rma offer = host.net->ops->mr_describe(host.mr, 0, AREA_BYTES);
	struct net_conn *told = NULL;
	for (;;) {
		conform_for(world, NS_PER_MS);
		if (getppid() == 1)
			_exit(0); /* the test is gone */
		if (host.conn != NULL && host.conn != told &&
		    host.net->ops->send(host.conn, blob_of(&offer, sizeof(offer)), blob_of(NULL, 0)) == 0)
			told = host.conn;
	}
}

static pid_t child_start(struct conform_world *world, struct host *client)
{
	int fds[2];
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child_main(world, fds[1]);
	CHECK(read(fds[0], client->address, sizeof(client->address)) == (ssize_t)sizeof(client->address));
	(void)close(fds[0]);
	(void)close(fds[1]);
	return pid;
}

struct bulk {
	struct host *host;
	bool is_read, is_done;
	int rc;
	size_t rounds;
};

/* RMA after RMA until one fails. */
static void bulk_task(void *arg)
{
	struct bulk *bulk = arg;
	struct host *host = bulk->host;
	const struct net_ops *ops = host->net->ops;
	while (bulk->rc == 0) {
		if (host->conn == NULL)
			bulk->rc = -ERR_conn_lost;
		else if (bulk->is_read)
			bulk->rc = ops->rma_read(host->conn, host->mr, 0, host->offered, MIB);
		else
			bulk->rc = ops->rma_write(host->conn, host->mr, MIB, host->offered, MIB);
		bulk->rounds++;
	}
	bulk->is_done = true;
}

static bool bulks_are_done(void *ctx)
{
	struct bulk *bulks = ctx;
	for (int i = 0; i < 4; i++)
		if (!bulks[i].is_done)
			return false;
	return true;
}

static bool has_offer(void *ctx)
{
	return ((struct host *)ctx)->offered.len > 0;
}

static void close_task(void *arg)
{
	struct host *host = arg;
	host->net->ops->close(TAKE(host->conn));
}

static void peer_process_ends(struct conform_world *world, int how)
{
	struct host client = {0};
	pid_t pid = child_start(world, &client);
	char address[NET_ADDR_BYTES_MAX];
	memcpy(address, client.address, sizeof(address));
	host_start(&client, world);
	memcpy(client.address, address, sizeof(address));
	conform_task(world, client.node, connect_task, &client);
	CHECK(client.rc == 0);
	conform_until(world, has_offer, &client);
	struct bulk bulks[4];
	for (int i = 0; i < 4; i++) {
		bulks[i] = (struct bulk){.host = &client, .is_read = i % 2 == 0};
		task_spawn(client.node->loop, "bulk", bulk_task, &bulks[i]);
	}
	conform_for(world, 50 * NS_PER_MS);
	CHECK(kill(pid, how) == 0);
	if (how == SIGSTOP) {
		conform_for(world, 100 * NS_PER_MS);
		CHECK(client.closed == 0 && client.conn != NULL);
		conform_task(world, client.node, close_task, &client);
		conform_fill(client.area, MIB, 3);
	}
	conform_until(world, bulks_are_done, bulks);
	CHECK(bulks[0].rounds > 1 && bulks[0].rc == -ERR_conn_lost);
	CHECK(client.closed == (how == SIGKILL ? 1 : 0));
	if (how == SIGSTOP) {
		CHECK(kill(pid, SIGCONT) == 0);
		conform_for(world, 100 * NS_PER_MS);
		CHECK(conform_is_filled(client.area, MIB, 3)); /* nothing came late */
		CHECK(kill(pid, SIGKILL) == 0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	conform_task(world, client.node, connect_task, &client);
	CHECK(client.rc == -ERR_refused);
	host_stop(&client);
}

void conform_hostile(struct conform_world *world)
{
	conform_case("hostile", "peer_process_is_killed");
	peer_process_ends(world, SIGKILL);
	conform_case("hostile", "stopped_process_is_given_up");
	peer_process_ends(world, SIGSTOP);
	conform_case("hostile", "silent_sockets");
	raw_clients(world, false);
	conform_case("hostile", "rubbish_on_sockets");
	raw_clients(world, true);
	conform_case("hostile", "damaged_bytes");
	damaged_bytes(world);
}
