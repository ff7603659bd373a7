/* SPDX-License-Identifier: Apache-2.0
 * Drawing lock operations, and what is held by whom. */
#include "tests/sim/lockwork.h"
#include "common/base/check.h"
#include "common/core/task.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <stdio.h>

static const char dir_path[] = "locks";
static const uint64_t alarm_ns_max = 3 * NS_PER_S;

void lockwork_counts_add(struct lockwork_counts *sum, const struct lockwork_counts *more)
{
	sum->granted += more->granted;
	sum->refused += more->refused;
	sum->waits += more->waits;
	sum->interrupted += more->interrupted;
	sum->deadlocks += more->deadlocks;
	sum->clashes += more->clashes;
}

void lockwork_init(struct lockwork *work, struct world *world)
{
	work->world = world;
	list_init(&work->tasks);
	list_init(&work->clashes);
}

void lockwork_fini(struct lockwork *work)
{
	struct list_node *link;
	while ((link = list_pop_front(&work->clashes)) != NULL)
		mem_free(CONTAINER_OF(link, struct lockwork_clash, link));
}

int lockwork_prepare(struct kernel *kernel)
{
	int rc = kernel_mkdir(kernel, dir_path, 0755);
	return rc == -EEXIST ? 0 : rc;
}

void lockwork_join(struct lockwork *work, struct lockwork_task *task, unsigned client, unsigned life)
{
	*task = (struct lockwork_task){.work = work, .client = client, .life = life, .process = ++work->processes};
	for (unsigned file = 0; file < LOCKWORK_FILES; file++)
		task->fds[file] = -1;
	list_push_back(&work->tasks, &task->link);
}

void lockwork_leave(struct lockwork_task *task)
{
	list_remove(&task->link);
}

static const char *const kind_names[LOCKWORK_KINDS] = {"flock", "posix", "ofd"}, *const type_names[] = {"unlock", "read", "write"};

static void wrong(struct lockwork_task *task, unsigned file, const char *what, int64_t rc)
{
	WORLD_MEMORY();
	world_fail(task->work->world, "locks: file %u, client %u, process %llu: %s: %s", file, task->client, (unsigned long long)task->process,
		   what, rc < 0 ? err_name((int)rc) : "done");
}

/* ---- what is held ---------------------------------------------------------------------------------------------- */

static uint8_t *held_of(struct lockwork_task *task, unsigned file, uint8_t kind)
{
	return task->held[kind - LOCK_KIND_FLOCK][file];
}

static uint64_t last_byte(const struct kernel_lock *lock)
{
	return min_u64(lock->end, LOCKWORK_BYTES - 1);
}

static void weaken(struct lockwork_task *task, unsigned file, uint8_t kind, uint8_t type, uint64_t start, uint64_t last)
{
	uint8_t *held = held_of(task, file, kind);
	for (uint64_t at = start; at <= last; at++)
		held[at] = (uint8_t)min_u64(held[at], type);
}

static bool holds(struct lockwork_task *task, uint8_t kind)
{
	for (unsigned file = 0; file < LOCKWORK_FILES; file++)
		for (unsigned at = 0; at < LOCKWORK_BYTES; at++)
			if (held_of(task, file, kind)[at] != LOCK_TYPE_NONE)
				return true;
	return false;
}

static void clash(struct lockwork_task *task, const struct lockwork_task *other, unsigned file, uint64_t at, const struct kernel_lock *lock,
		  uint8_t kind)
{
	struct lockwork *work = task->work;
	struct lockwork_clash *found = mem_alloc(sizeof(*found));
	*found = (struct lockwork_clash){.clients = {task->client, other->client}, .lives = {task->life, other->life}};
	(void)snprintf(found->text, sizeof(found->text), "byte %llu of file %u: %s by client %u process %llu, held as %s by client %u process %llu",
		       (unsigned long long)at, file, type_names[lock->type], task->client, (unsigned long long)task->process,
		       kind_names[kind - LOCK_KIND_FLOCK], other->client, (unsigned long long)other->process);
	world_note(work->world, NULL, "locks: CLASH %s", found->text);
	if (task->client == other->client && task->life == other->life)
		world_fail(work->world, "locks: %s", found->text);
	list_push_back(&work->clashes, &found->link);
	work->counts.clashes++;
}

/* Nobody but its owner has a lock on these bytes that conflicts. */
static void check_alone(struct lockwork_task *task, unsigned file, const struct kernel_lock *lock)
{
	list_for_each(link, &task->work->tasks) {
		struct lockwork_task *other = CONTAINER_OF(link, struct lockwork_task, link);
		for (uint8_t kind = LOCK_KIND_FLOCK; kind <= LOCK_KIND_OFD; kind++) {
			bool meets = (kind == LOCK_KIND_FLOCK) == (lock->kind == LOCK_KIND_FLOCK) && !(other == task && kind == lock->kind);
			for (uint64_t at = lock->start; meets && at <= last_byte(lock); at++) {
				uint8_t held = held_of(other, file, kind)[at];
				if (held != LOCK_TYPE_WRITE && !(held == LOCK_TYPE_READ && lock->type == LOCK_TYPE_WRITE))
					continue;
				clash(task, other, file, at, lock, kind);
				meets = false;
			}
		}
	}
}

void lockwork_judge(struct lockwork *work, const unsigned *lives)
{
	list_for_each(link, &work->clashes) {
		const struct lockwork_clash *found = CONTAINER_OF(link, struct lockwork_clash, link);
		if (found->lives[0] == lives[found->clients[0]] && found->lives[1] == lives[found->clients[1]])
			world_fail(work->world, "locks: %s, and neither was evicted", found->text);
	}
}

/* ---- alarms ---------------------------------------------------------------------------------------------------- */

struct alarm {
	struct lockwork_task *task;
	struct kernel *kernel;
	uint64_t number, delay_ns;
};

static void alarm_main(void *arg)
{
	struct alarm *alarm = arg;
	task_sleep(kernel_loop(alarm->kernel), alarm->delay_ns);
	if (alarm->task->alarm == alarm->number && alarm->task->alarmed)
		kernel_interrupt(alarm->kernel, &alarm->task->signal);
	mem_free(alarm);
}

static void alarm_start(struct lockwork_task *task, struct kernel *kernel, uint64_t delay_ns)
{
	struct alarm *alarm = mem_alloc(sizeof(*alarm));
	*alarm = (struct alarm){task, kernel, task->alarm, delay_ns};
	task_spawn(kernel_loop(kernel), "alarm", alarm_main, alarm);
}

static void alarm_set(struct lockwork_task *task, struct kernel *kernel, uint64_t delay_ns)
{
	task->alarm++;
	task->alarmed = true;
	alarm_start(task, kernel, delay_ns);
}

/* Something is about to be given up: now a signal to who waits on this mount meets its grant on the way. */
static void disturb(struct lockwork_task *task, struct kernel *kernel, struct rng *rng)
{
	list_for_each(link, &task->work->tasks) {
		struct lockwork_task *other = CONTAINER_OF(link, struct lockwork_task, link);
		if (other != task && other->client == task->client && other->alarmed && rng_chance(rng, 500000))
			alarm_start(other, kernel, rng_below(rng, 2 * NS_PER_MS));
	}
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

static bool file_open(struct lockwork_task *task, struct kernel *kernel, unsigned file)
{
	char path[32];
	if (task->fds[file] >= 0)
		return true;
	(void)snprintf(path, sizeof(path), "%s/f%u", dir_path, file);
	int fd = kernel_open(kernel, path, O_RDWR | O_CREAT, 0644);
	if (fd < 0) {
		wrong(task, file, "open", fd);
		return false;
	}
	task->fds[file] = fd;
	return true;
}

static void file_close(struct lockwork_task *task, struct kernel *kernel, struct rng *rng, unsigned file)
{
	int fd = task->fds[file];
	if (fd < 0)
		return;
	disturb(task, kernel, rng);
	task->fds[file] = -1;
	for (uint8_t kind = LOCK_KIND_FLOCK; kind <= LOCK_KIND_OFD; kind++)
		weaken(task, file, kind, LOCK_TYPE_NONE, 0, LOCKWORK_BYTES - 1);
	int rc = kernel_close_by(kernel, fd, task->process);
	if (rc < 0)
		wrong(task, file, "close", rc);
}

/* Another descriptor of the same file comes and goes: with it all POSIX locks. */
static void close_another(struct lockwork_task *task, struct kernel *kernel, unsigned file)
{
	int fd = task->fds[file];
	task->fds[file] = -1;
	if (!file_open(task, kernel, file))
		return;
	int other = task->fds[file];
	task->fds[file] = fd;
	weaken(task, file, LOCK_KIND_POSIX, LOCK_TYPE_NONE, 0, LOCKWORK_BYTES - 1);
	int rc = kernel_close_by(kernel, other, task->process);
	if (rc < 0)
		wrong(task, file, "close of another descriptor", rc);
}

/* A wait ends by itself if it can close no ring that nobody looks for. */
static bool needs_alarm(struct lockwork_task *task, uint8_t kind)
{
	bool holds_files = holds(task, LOCK_KIND_OFD) || holds(task, LOCK_KIND_FLOCK);
	return holds_files || (kind != LOCK_KIND_POSIX && holds(task, LOCK_KIND_POSIX));
}

static void take_result(struct lockwork_task *task, unsigned file, const struct kernel_lock *lock, const uint8_t before[LOCKWORK_BYTES],
			bool alarmed, int rc)
{
	struct lockwork_counts *counts = &task->work->counts;
	bool is_flock = lock->kind == LOCK_KIND_FLOCK;
	bool may_deadlock = lock->waits && lock->kind == LOCK_KIND_POSIX && holds(task, LOCK_KIND_POSIX);
	if (rc == 0) {
		if (lock->type != LOCK_TYPE_NONE)
			check_alone(task, file, lock);
		for (uint64_t at = lock->start; at <= last_byte(lock); at++)
			held_of(task, file, lock->kind)[at] = lock->type;
		counts->granted += lock->type != LOCK_TYPE_NONE;
	} else if ((rc == -EAGAIN && !lock->waits) || (rc == -EDEADLK && may_deadlock)) {
		/* nothing has changed; flock has lost what it was to convert */
		if (!is_flock)
			memcpy(held_of(task, file, lock->kind), before, LOCKWORK_BYTES);
		counts->refused += rc == -EAGAIN;
		counts->deadlocks += rc == -EDEADLK;
	} else if (rc == -EINTR && alarmed) {
		if (!is_flock)
			memcpy(held_of(task, file, lock->kind), before, LOCKWORK_BYTES);
		counts->interrupted++;
	} else {
		wrong(task, file, "an error that cannot be", rc);
	}
}

static void set_lock(struct lockwork_task *task, struct kernel *kernel, struct rng *rng, unsigned file, const struct kernel_lock *wanted)
{
	struct kernel_lock lock = *wanted;
	uint8_t before[LOCKWORK_BYTES];
	uint8_t *held = held_of(task, file, lock.kind);
	memcpy(before, held, sizeof(before));
	if (lock.kind != LOCK_KIND_FLOCK)
		weaken(task, file, lock.kind, lock.type, lock.start, last_byte(&lock));
	else if (held[0] != lock.type)
		memset(held, LOCK_TYPE_NONE, LOCKWORK_BYTES);
	if (lock.type == LOCK_TYPE_NONE)
		disturb(task, kernel, rng);
	bool alarmed = lock.waits && (needs_alarm(task, lock.kind) || rng_chance(rng, 300000));
	lock.signal = &task->signal;
	if (alarmed)
		alarm_set(task, kernel, rng_below(rng, rng_chance(rng, 500000) ? 5 * NS_PER_MS : alarm_ns_max));
	task->work->counts.waits += lock.waits;
	{
		WORLD_MEMORY();
		world_note(task->work->world, NULL, "locks: process %llu file %u %s %s %llu..%llu%s%s", (unsigned long long)task->process, file,
			   kind_names[lock.kind - LOCK_KIND_FLOCK], type_names[lock.type], (unsigned long long)lock.start,
			   (unsigned long long)last_byte(&lock), lock.waits ? " waits" : "", alarmed ? " with an alarm" : "");
	}
	int rc = kernel_lock(kernel, task->fds[file], &lock);
	task->alarmed = false;
	WORLD_MEMORY();
	world_note(task->work->world, NULL, "locks: process %llu file %u: %s", (unsigned long long)task->process, file, rc < 0 ? err_name(rc) : "ok");
	take_result(task, file, &lock, before, alarmed, rc);
}

static struct kernel_lock draw_lock(struct lockwork_task *task, struct rng *rng)
{
	uint64_t a = rng_below(rng, LOCKWORK_BYTES), b = rng_below(rng, LOCKWORK_BYTES);
	struct kernel_lock lock = {
		.kind = (uint8_t)rng_range(rng, LOCK_KIND_FLOCK, LOCK_KIND_OFD),
		.type = (uint8_t)rng_range(rng, LOCK_TYPE_NONE, LOCK_TYPE_WRITE),
		.process = task->process,
		.start = min_u64(a, b),
		.end = max_u64(a, b) == LOCKWORK_BYTES - 1 ? UINT64_MAX : max_u64(a, b),
	};
	if (lock.kind == LOCK_KIND_FLOCK) {
		lock.start = 0;
		lock.end = UINT64_MAX;
	}
	lock.waits = lock.type != LOCK_TYPE_NONE && rng_chance(rng, 500000);
	return lock;
}

void lockwork_step(struct lockwork_task *task, struct kernel *kernel, struct rng *rng)
{
	unsigned file = (unsigned)rng_below(rng, LOCKWORK_FILES);
	uint64_t draw = rng_below(rng, 100);
	if (draw < 12) {
		file_close(task, kernel, rng, file);
	} else if (draw < 16) {
		close_another(task, kernel, file);
	} else if (draw < 26) { /* all of it, so that it does not come to hold more and more */
		for (uint8_t kind = LOCK_KIND_FLOCK; kind <= LOCK_KIND_OFD; kind++) {
			struct kernel_lock none = {.kind = kind, .process = task->process, .end = UINT64_MAX};
			if (task->fds[file] >= 0)
				set_lock(task, kernel, rng, file, &none);
		}
	} else if (file_open(task, kernel, file)) {
		struct kernel_lock lock = draw_lock(task, rng);
		set_lock(task, kernel, rng, file, &lock);
	}
}

void lockwork_end(struct lockwork_task *task, struct kernel *kernel, struct rng *rng)
{
	for (unsigned file = 0; file < LOCKWORK_FILES; file++)
		file_close(task, kernel, rng, file);
	for (unsigned file = 0; file < LOCKWORK_FILES && world_failure(task->work->world) == NULL; file++) {
		for (uint8_t kind = LOCK_KIND_FLOCK; kind <= LOCK_KIND_POSIX && file_open(task, kernel, file); kind++) {
			struct kernel_lock lock = {.kind = kind, .type = LOCK_TYPE_WRITE, .waits = true, .process = task->process,
						   .end = UINT64_MAX};
			int rc = kernel_lock(kernel, task->fds[file], &lock);
			WORLD_MEMORY();
			take_result(task, file, &lock, held_of(task, file, kind), false, rc);
		}
		file_close(task, kernel, rng, file);
	}
}
