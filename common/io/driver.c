/* SPDX-License-Identifier: Apache-2.0
 * The thread of a loop: step, poll briefly, sleep. Owns the decision when to sleep, and nothing else.
 *
 * A sleep and a wake cost 25 to 35 us, a poll about 1 us. So while a source expects something, poll for up to spin_max_ns, if in the
 * past enough of the waits for that source were shorter than that: `payoff` is their moving average, one for each source, because disks are
 * slower than peers. It is learned from sleeps as well as from
 * polling (a sleep that was short would have been a hit), so a driver that has stopped polling notices when it should begin again.
 * Each poll yields the processor; when the yield takes long, another process wanted it - perhaps the very one we wait for - and sleeping
 * is better. */
#include "common/base/check.h"
#include "common/io/io.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

enum {
	SOURCES_MAX = 64,
	SPIN_MAX_NS = 50 * 1000,
	WAKE_COST_NS = 40 * 1000,   /* a sleep measured this much longer than spin_max_ns would still have been a hit */
	YIELD_LONG_NS = 30 * 1000,  /* a yield that took this long let somebody else run */
	CROWDED_IDLES = 32,         /* then so many idle times are slept through at once */
	PAYOFF_ONE = 1024,          /* fixed point 1.0 */
	PAYOFF_MIN = PAYOFF_ONE / 4, /* poll when at least every fourth wait is short */
	PAYOFF_WEIGHT = 16,         /* a new observation counts one part in this */
	TIMER_SLACK_NS = 1000,      /* the default of 50 us is as long as many of our timers */
	SLEEP_NS_MAX = 1000 * 1000 * 1000, /* look around once a second, come what may */
};

/* What waiting for a source was like. */
struct habit {
	const struct loop_source *source;
	bool expecting; /* in the present idle time */
	int payoff;     /* 0..PAYOFF_ONE */
};

struct driver {
	struct loop *loop;
	int stop_fd;   /* an eventfd: readable once it shall stop */
	int signal_fd; /* -1: none */
	bool stopped;
	uint64_t spin_max_ns;
	struct habit habits[SOURCES_MAX];
	size_t habit_count;
	unsigned crowded_left; /* idle times to come without polling */
	struct driver_stats stats;
};

struct driver *driver_new(struct loop *loop)
{
	struct driver *driver = mem_alloc(sizeof(*driver));
	driver->loop = loop;
	driver->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK_MSG(driver->stop_fd >= 0, "no file descriptor for a driver at start");
	driver->signal_fd = -1;
	driver->spin_max_ns = SPIN_MAX_NS;
	return driver;
}

void driver_free(struct driver *driver)
{
	if (driver == NULL)
		return;
	(void)close(driver->stop_fd); /* nothing to lose */
	if (driver->signal_fd >= 0)
		(void)close(driver->signal_fd);
	mem_free(driver);
}

void driver_stop(struct driver *driver)
{
	(void)eventfd_write(driver->stop_fd, 1); /* a full counter is readable too */
}

void driver_resume(struct driver *driver)
{
	eventfd_t count;
	(void)eventfd_read(driver->stop_fd, &count); /* EAGAIN: it was a signal */
	struct signalfd_siginfo info;
	while (driver->signal_fd >= 0 && read(driver->signal_fd, &info, sizeof(info)) > 0)
		;
	driver->stopped = false;
}

int driver_stop_on_signals(struct driver *driver)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	driver->signal_fd = signalfd(driver->signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return driver->signal_fd < 0 ? fail(errno) : 0;
}

struct driver_stats driver_stats(const struct driver *driver)
{
	return driver->stats;
}

void driver_set_spin_max_ns(struct driver *driver, uint64_t spin_max_ns)
{
	driver->spin_max_ns = spin_max_ns;
}

static struct habit *habit_of(struct driver *driver, const struct loop_source *source)
{
	for (size_t i = 0; i < driver->habit_count; i++)
		if (driver->habits[i].source == source)
			return &driver->habits[i];
	if (driver->habit_count == SOURCES_MAX)
		driver->habit_count = 0; /* sources came and went: begin anew */
	struct habit *habit = &driver->habits[driver->habit_count++];
	*habit = (struct habit){.source = source, .payoff = PAYOFF_ONE};
	return habit;
}

static void learn(struct driver *driver, bool was_short)
{
	for (size_t i = 0; i < driver->habit_count; i++) {
		struct habit *habit = &driver->habits[i];
		if (habit->expecting)
			habit->payoff += ((was_short ? PAYOFF_ONE : 0) - habit->payoff) / PAYOFF_WEIGHT;
		habit->expecting = false;
	}
}

/* Notes who expects something; is polling for one of them worth it? */
static bool polling_pays(struct driver *driver, bool *ret_expecting)
{
	bool pays = false;
	list_for_each(node, loop_sources(driver->loop)) {
		const struct loop_source *source = CONTAINER_OF(node, struct loop_source, link);
		if (!source->in_flight)
			continue;
		struct habit *habit = habit_of(driver, source);
		habit->expecting = true;
		pays |= habit->payoff >= PAYOFF_MIN;
		*ret_expecting = true;
	}
	return pays;
}

static bool sources_prepare_sleep(struct driver *driver)
{
	list_for_each(node, loop_sources(driver->loop)) {
		struct loop_source *source = CONTAINER_OF(node, struct loop_source, link);
		if (source->prepare_sleep != NULL && !source->prepare_sleep(source))
			return false;
	}
	return true;
}

/* Sleeps until a source is readable, `deadline_ns` (0: does not sleep, looks only whether it shall stop). */
static void wait_for_events(struct driver *driver, uint64_t deadline_ns)
{
	struct pollfd fds[SOURCES_MAX + 2] = {{.fd = driver->stop_fd, .events = POLLIN},
					      {.fd = driver->signal_fd, .events = POLLIN}};
	nfds_t count = 2;
	if (deadline_ns > 0) {
		list_for_each(node, loop_sources(driver->loop)) {
			struct loop_source *source = CONTAINER_OF(node, struct loop_source, link);
			CHECK(count < ARRAY_COUNT(fds));
			if (source->fd >= 0)
				fds[count++] = (struct pollfd){.fd = source->fd, .events = POLLIN};
		}
	}
	uint64_t now_ns = loop_now_ns(driver->loop);
	uint64_t sleep_ns = deadline_ns <= now_ns ? 0 : min_u64(deadline_ns - now_ns, SLEEP_NS_MAX);
	struct timespec timeout = {.tv_sec = (time_t)(sleep_ns / NS_PER_S), .tv_nsec = (long)(sleep_ns % NS_PER_S)};
	int rc = ppoll(fds, count, &timeout, NULL);
	CHECK(rc >= 0 || errno == EINTR);
	if (rc > 0 && (fds[0].revents != 0 || fds[1].revents != 0))
		driver->stopped = true;
}

/* The state of one idle time: from the last work on. */
struct idle {
	bool active, expecting, spun, slept, crowded;
	uint64_t since_ns;
};

static void idle_end(struct driver *driver, struct idle *idle)
{
	if (!idle->active)
		return;
	uint64_t idle_ns = loop_now_ns(driver->loop) - idle->since_ns;
	if (idle->expecting)
		learn(driver, idle_ns < driver->spin_max_ns + (idle->slept ? WAKE_COST_NS : 0));
	*idle = (struct idle){0};
}

/* Nothing to do now: poll on (true) or sleep (false)? */
static bool should_spin(struct driver *driver, struct idle *idle)
{
	uint64_t now_ns = loop_now_ns(driver->loop);
	if (!idle->active) {
		*idle = (struct idle){.active = true, .since_ns = now_ns, .crowded = driver->crowded_left > 0};
		driver->crowded_left -= driver->crowded_left > 0;
	}
	if (driver->spin_max_ns == 0 || now_ns - idle->since_ns >= driver->spin_max_ns)
		return false;
	if (!polling_pays(driver, &idle->expecting) || idle->crowded)
		return false;
	idle->spun = true;
	(void)sched_yield();
	if (loop_now_ns(driver->loop) - now_ns < YIELD_LONG_NS)
		return true;
	idle->crowded = true;
	driver->crowded_left = CROWDED_IDLES;
	return false;
}

bool driver_run_until(struct driver *driver, bool (*done)(void *ctx), void *ctx)
{
	(void)prctl(PR_SET_TIMERSLACK, (unsigned long)TIMER_SLACK_NS, 0UL, 0UL, 0UL); /* else timers are later */
	struct idle idle = {0};
	uint64_t work_seen = loop_work_count(driver->loop), busy_steps = 0;
	while (!driver->stopped) {
		uint64_t deadline_ns = loop_step(driver->loop);
		driver->stats.steps++;
		if (done != NULL && done(ctx))
			return true;
		uint64_t work = loop_work_count(driver->loop);
		if (work != work_seen || deadline_ns == 0) {
			if (idle.spun)
				driver->stats.spin_hits++;
			idle_end(driver, &idle);
			work_seen = work;
			if (++busy_steps % 64 == 0) /* a loop that never idles must still see the request to stop */
				wait_for_events(driver, 0);
			continue;
		}
		if (should_spin(driver, &idle))
			continue;
		if (!sources_prepare_sleep(driver))
			continue;
		if (idle.spun)
			driver->stats.spin_misses++;
		driver->stats.sleeps++;
		if (idle.spun)
			driver->stats.spin_ns += loop_now_ns(driver->loop) - idle.since_ns;
		idle.slept = true;
		wait_for_events(driver, deadline_ns);
	}
	return false;
}

void driver_run(struct driver *driver)
{
	(void)driver_run_until(driver, NULL, NULL); /* only driver_stop ends it */
}
