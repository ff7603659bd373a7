/* SPDX-License-Identifier: Apache-2.0
 * The operating system's clocks and random numbers, threads, signals. */
#include "common/base/check.h"
#include "common/io/io.h"

#include <pthread.h>
#include <signal.h>
#include <sys/random.h>

static uint64_t timespec_ns(clockid_t id)
{
	struct timespec ts;
	CHECK(clock_gettime(id, &ts) == 0);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t os_now_ns(struct clock *clock)
{
	(void)clock;
	return timespec_ns(CLOCK_BOOTTIME);
}

static int64_t os_real_ns(struct clock *clock)
{
	(void)clock;
	return (int64_t)timespec_ns(CLOCK_REALTIME);
}

struct clock *clock_os(void)
{
	static const struct clock_ops ops = {.now_ns = os_now_ns, .real_ns = os_real_ns};
	static struct clock clock = {.ops = &ops};
	return &clock;
}

struct rng_os {
	struct rng_source rng;
	size_t left; /* unused numbers at the end of `buffer` */
	uint64_t buffer[32];
};

static uint64_t os_u64(struct rng_source *rng)
{
	struct rng_os *os = CONTAINER_OF(rng, struct rng_os, rng);
	if (os->left == 0) {
		CHECK(getrandom(os->buffer, sizeof(os->buffer), 0) == (ssize_t)sizeof(os->buffer));
		os->left = ARRAY_COUNT(os->buffer);
	}
	return os->buffer[--os->left];
}

struct rng_source *rng_os_new(void)
{
	static const struct rng_source_ops ops = {.u64 = os_u64};
	struct rng_os *os = mem_alloc(sizeof(*os));
	os->rng.ops = &ops;
	return &os->rng;
}

void rng_os_free(struct rng_source *rng)
{
	if (rng != NULL)
		mem_free(CONTAINER_OF(rng, struct rng_os, rng));
}

void io_signals_block(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* libraries that libfabric brings along (psm) catch these when they are loaded, print and exit: no core dump is left */
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGINT, SIGTERM};
	for (size_t i = 0; i < ARRAY_COUNT(fatal); i++)
		CHECK(signal(fatal[i], SIG_DFL) != SIG_ERR);
#endif
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

struct io_thread {
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

static void *io_thread_main(void *arg)
{
	struct io_thread *thread = arg;
	(void)pthread_setname_np(pthread_self(), thread->name); /* only for ps */
	thread->fn(thread->arg);
	return NULL;
}

int io_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct io_thread **ret_thread)
{
	struct io_thread *thread = mem_alloc(sizeof(*thread));
	thread->fn = fn;
	thread->arg = arg;
	(void)snprintf(thread->name, sizeof(thread->name), "%s", name);
	int rc = pthread_create(&thread->thread, NULL, io_thread_main, thread);
	if (rc != 0) {
		mem_free(thread);
		return fail(rc);
	}
	*ret_thread = thread;
	return 0;
}

void io_thread_join(struct io_thread *thread)
{
	CHECK(pthread_join(thread->thread, NULL) == 0);
	mem_free(thread);
}
