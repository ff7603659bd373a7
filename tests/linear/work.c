/* SPDX-License-Identifier: Apache-2.0
 * Operations on a real mount. Everything goes through one descriptor of the directory: behind a mount that has died it fails, and never reaches
 * what lies under the mount point. */
#include "tests/linear/work.h"
#include "common/base/check.h"
#include "common/base/rng.h"
#include "tests/linear/content.h"
#include "tests/linear/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { NAME_BYTES = 48, READ_BYTES = 4097, THINK_US_MAX = 12000, NO_FD = -1, OWNERS_MAX = 64 };
static const struct {
	off_t offset;
	size_t len;
} registers[LOG_REGISTERS] = {{0, 64}, {0, 4000}, {192 * 1024, 3000}};

struct worker {
	const struct work_opts *opts;
	struct rng rng;
	struct log log;
	int dir_fd, lock_fds[LOG_LOCKS];
	uint64_t lock_seen_ns[LOG_LOCKS]; /* when a call on it last succeeded */
	unsigned round, owner; /* owner: of locks, a new one in each life */
	unsigned numbers[LOG_SLOTS]; /* given out in this round */
	/* under way */
	struct linear_op op;
	unsigned slot;
	uint64_t id;
	bool dead; /* the mount is */
};

uint64_t work_now_ns(void)
{
	struct timespec now;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void pause_us(uint64_t us)
{
	struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
	(void)nanosleep(&time, NULL); /* a shorter pause is fine */
}

/* ---- recording ------------------------------------------------------------------------------------------------ */

static void call_at(struct worker *worker, unsigned slot, enum linear_kind kind, uint32_t a, uint32_t b, uint64_t at_ns)
{
	worker->slot = slot;
	worker->op = (struct linear_op){.kind = kind, .a = a, .b = b, .call_at = at_ns};
	worker->id = log_call(&worker->log, worker->round, slot, &worker->op);
}

static void call(struct worker *worker, unsigned slot, enum linear_kind kind, uint32_t a, uint32_t b)
{
	call_at(worker, slot, kind, a, b, work_now_ns());
}

static void done(struct worker *worker, int rc)
{
	worker->op.return_at = work_now_ns();
	worker->op.rc = rc;
	log_return(&worker->log, worker->id, &worker->op);
}

/* Operation `id` (0: an open) failed with `error`, which is no result: it may have happened. */
static void failed(struct worker *worker, uint64_t id, int error)
{
	bool is_dead = error == ENOTCONN || error == ECONNABORTED || error == EIO || error == ENODEV || error == ESHUTDOWN;
	if (!is_dead)
		log_error(&worker->log, id, error);
	worker->dead = true;
}

static void name_of(const struct worker *worker, unsigned slot, unsigned name, char ret_name[NAME_BYTES])
{
	(void)snprintf(ret_name, NAME_BYTES, "r%u.%s%u.%u", worker->round, log_slot_model(slot)->name, slot, name);
}

static uint32_t object_of(const struct worker *worker, unsigned slot)
{
	return worker->round * LOG_SLOTS + slot + 1;
}

/* 1.., never the same for two processes; 0: this one has had its share. */
static uint32_t number_next(struct worker *worker, unsigned slot)
{
	uint64_t all = log_slot_model(slot) == &linear_append ? LINEAR_RECORDS_MAX :
		       log_slot_model(slot) == &linear_names  ? LOG_FILES_MAX : UINT16_MAX;
	uint64_t share = all / worker->opts->workers;
	return worker->numbers[slot] == share ? 0 : (uint32_t)(worker->opts->worker * share + ++worker->numbers[slot]);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static int file_open(struct worker *worker, unsigned slot, int flags)
{
	char name[NAME_BYTES];
	name_of(worker, slot, 0, name);
	int fd = openat(worker->dir_fd, name, flags | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		failed(worker, 0, errno);
	return fd;
}

static void size_seen(struct worker *worker, const struct stat *stat)
{
	bool is_register = worker->slot < LOG_REGISTERS;
	off_t whole = is_register ? registers[worker->slot].offset + (off_t)registers[worker->slot].len : LINEAR_RECORD_BYTES;
	uint64_t records = (uint64_t)(stat->st_size / whole);
	bool good = stat->st_size % whole == 0 && (!is_register || records <= 1);
	worker->op.seen.words[0] = good ? records : LINEAR_TORN;
	done(worker, 0);
}

static void look_size(struct worker *worker, unsigned slot, int fd)
{
	struct stat stat = {0};
	char name[NAME_BYTES];
	name_of(worker, slot, 0, name);
	call(worker, slot, slot < LOG_REGISTERS ? LINEAR_SIZE : LINEAR_LENGTH, 0, 0);
	int rc = fd != NO_FD ? fstat(fd, &stat) : fstatat(worker->dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW);
	if (rc < 0 && (fd != NO_FD || errno != ENOENT))
		failed(worker, worker->id, errno);
	else
		size_seen(worker, &stat); /* not there yet: empty */
}

static bool is_zeros(const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != 0)
			return false;
	return true;
}

/* Nothing that was written, but what Linux shows where a file was, or will be: zeros. */
static bool ends_in_zeros(bool is_register, uint32_t object, const uint8_t *buf, size_t len)
{
	size_t good = 0;
	while (!is_register && good + LINEAR_RECORD_BYTES <= len &&
	       linear_content_value(object, buf + good, LINEAR_RECORD_BYTES) != LINEAR_TORN)
		good += LINEAR_RECORD_BYTES;
	return good < len && is_zeros(buf + good, len - good);
}

static void look_content(struct worker *worker, unsigned slot, int fd)
{
	uint8_t buf[READ_BYTES];
	bool is_register = slot < LOG_REGISTERS;
	call(worker, slot, is_register ? LINEAR_READ : LINEAR_LIST, 0, 0);
	ssize_t got = pread(fd, buf, sizeof(buf), is_register ? registers[slot].offset : 0);
	if (got < 0) {
		failed(worker, worker->id, errno);
		return;
	}
	if (!is_register)
		linear_content_records(object_of(worker, slot), buf, (size_t)got, &worker->op.seen);
	else if (got > 0)
		worker->op.seen.words[0] = (size_t)got == registers[slot].len ?
						   linear_content_value(object_of(worker, slot), buf, (size_t)got) : LINEAR_TORN;
	if (worker->op.seen.words[0] == LINEAR_TORN && ends_in_zeros(is_register, object_of(worker, slot), buf, (size_t)got))
		worker->op.seen.words[0] = LINEAR_ZEROS;
	done(worker, 0);
}

static void step_look(struct worker *worker, unsigned slot)
{
	int fd = file_open(worker, slot, O_RDONLY);
	if (fd < 0)
		return;
	for (uint64_t looks = 1 + rng_below(&worker->rng, 3); looks > 0 && !worker->dead; looks--) {
		if (rng_chance(&worker->rng, 300000))
			look_size(worker, slot, fd);
		else
			look_content(worker, slot, fd);
		if (looks > 1)
			pause_us(rng_below(&worker->rng, THINK_US_MAX));
	}
	(void)close(fd); /* nothing was written through it */
}

static void put(struct worker *worker, unsigned slot, int fd, uint32_t number)
{
	uint8_t buf[READ_BYTES];
	bool is_register = slot < LOG_REGISTERS;
	size_t len = is_register ? registers[slot].len : LINEAR_RECORD_BYTES;
	linear_content_fill(object_of(worker, slot), number, buf, len);
	call(worker, slot, is_register ? LINEAR_WRITE : LINEAR_APPEND, number, 0);
	ssize_t put_len = is_register ? pwrite(fd, buf, len, registers[slot].offset) : write(fd, buf, len);
	if (put_len == (ssize_t)len && fsync(fd) == 0)
		done(worker, 0);
	else
		failed(worker, worker->id, put_len < 0 || put_len == (ssize_t)len ? errno : ENOSPC);
}

static void step_put(struct worker *worker, unsigned slot)
{
	bool is_append = slot >= LOG_REGISTERS, cuts = !is_append && rng_chance(&worker->rng, 250000);
	uint32_t number = number_next(worker, slot);
	if (number == 0)
		return;
	if (cuts)
		call(worker, slot, LINEAR_TRUNCATE, 0, 0);
	int fd = file_open(worker, slot, is_append ? O_WRONLY | O_APPEND : O_RDWR | (cuts ? O_TRUNC : 0));
	if (fd < 0)
		return;
	if (cuts)
		done(worker, 0);
	put(worker, slot, fd, number);
	if (!worker->dead && !is_append && rng_chance(&worker->rng, 300000))
		look_content(worker, slot, fd);
	(void)close(fd); /* what could not be written was told by fsync */
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static int name_do(struct worker *worker, unsigned slot, enum linear_kind kind, uint32_t a, uint32_t b)
{
	char name[NAME_BYTES], to[NAME_BYTES];
	struct stat stat;
	int fd = worker->dir_fd, rc;
	name_of(worker, slot, a, name);
	name_of(worker, slot, b, to);
	switch (kind) {
	case LINEAR_CREATE:
		rc = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, b);
		break;
	case LINEAR_UNLINK:
		rc = unlinkat(fd, name, 0);
		break;
	case LINEAR_RENAME:
	case LINEAR_MOVE:
	case LINEAR_EXCHANGE:
		rc = renameat2(fd, name, fd, to, kind == LINEAR_MOVE ? RENAME_NOREPLACE : kind == LINEAR_EXCHANGE ? RENAME_EXCHANGE : 0);
		break;
	default:
		rc = fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW);
		worker->op.seen.words[0] = rc == 0 ? stat.st_mode & 0777 : 0;
		break;
	}
	return rc < 0 ? -errno : rc;
}

static void name_op(struct worker *worker, unsigned slot, enum linear_kind kind, uint32_t a, uint32_t b)
{
	call(worker, slot, kind, a, b);
	int rc = name_do(worker, slot, kind, a, b);
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST)
		failed(worker, worker->id, -rc);
	else
		done(worker, rc < 0 ? rc : 0); /* of a create: a descriptor */
	if (kind == LINEAR_CREATE && rc >= 0)
		(void)close(rc); /* nothing was written */
}

static void step_names(struct worker *worker, unsigned slot)
{
	static const enum linear_kind kinds[] = {LINEAR_CREATE, LINEAR_CREATE, LINEAR_UNLINK, LINEAR_RENAME, LINEAR_MOVE, LINEAR_EXCHANGE,
						 LINEAR_STAT, LINEAR_STAT, LINEAR_STAT};
	enum linear_kind kind = kinds[rng_below(&worker->rng, ARRAY_COUNT(kinds))];
	uint32_t a = (uint32_t)rng_below(&worker->rng, LOG_NAMES), b = (a + 1 + (uint32_t)rng_below(&worker->rng, LOG_NAMES - 1)) % LOG_NAMES;
	if (kind == LINEAR_CREATE)
		b = number_next(worker, slot);
	if (kind != LINEAR_CREATE || b != 0)
		name_op(worker, slot, kind, a, b);
}

/* ---- locks ---------------------------------------------------------------------------------------------------- */

static void step_lock(struct worker *worker, unsigned slot)
{
	int *fd = &worker->lock_fds[slot - (LOG_SLOTS - LOG_LOCKS)];
	if (!worker->opts->locks || worker->owner >= OWNERS_MAX)
		return;
	if (*fd == NO_FD) {
		*fd = file_open(worker, slot, O_RDWR);
		worker->lock_seen_ns[slot - (LOG_SLOTS - LOG_LOCKS)] = work_now_ns();
	}
	if (*fd < 0)
		return;
	uint64_t draw = rng_below(&worker->rng, 4);
	enum linear_kind kind = draw == 0 ? LINEAR_LOCK : draw == 1 ? LINEAR_SHARE : LINEAR_UNLOCK;
	struct flock lock = {.l_type = kind == LINEAR_LOCK ? F_WRLCK : kind == LINEAR_SHARE ? F_RDLCK : F_UNLCK, .l_whence = SEEK_SET};
	call(worker, slot, kind, worker->owner, 0);
	int rc = fcntl(*fd, F_SETLK, &lock);
	if (rc < 0 && errno != EAGAIN && errno != EACCES)
		failed(worker, worker->id, errno);
	else
		done(worker, rc < 0 ? -EAGAIN : 0);
	if (rc == 0)
		worker->lock_seen_ns[slot - (LOG_SLOTS - LOG_LOCKS)] = worker->op.return_at;
}

/* The system gives back what this life holds: with close, or, if the mount was evicted, at any moment since the lock was last seen to be there. */
static void locks_leave(struct worker *worker, bool in_order)
{
	for (unsigned i = 0; i < LOG_LOCKS; i++) {
		if (worker->lock_fds[i] == NO_FD)
			continue;
		uint64_t now_ns = work_now_ns();
		bool released = close(worker->lock_fds[i]) == 0 && in_order;
		worker->lock_fds[i] = NO_FD;
		call_at(worker, LOG_SLOTS - LOG_LOCKS + i, LINEAR_RELEASE, worker->owner, 0, released ? now_ns : worker->lock_seen_ns[i]);
		if (released)
			done(worker, 0);
	}
}

/* ---- a life --------------------------------------------------------------------------------------------------- */

static bool life_begin(struct worker *worker)
{
	worker->dead = false;
	worker->dir_fd = open(worker->opts->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return worker->dir_fd >= 0;
}

static void life_end(struct worker *worker)
{
	locks_leave(worker, false);
	worker->owner += (unsigned)worker->opts->workers;
	if (worker->dir_fd >= 0)
		(void)close(worker->dir_fd); /* read-only */
	worker->dir_fd = NO_FD;
}

static void step(struct worker *worker)
{
	unsigned slot = (unsigned)rng_below(&worker->rng, LOG_SLOTS);
	uint64_t draw = rng_below(&worker->rng, 10);
	if (log_slot_model(slot) == &linear_lock)
		step_lock(worker, slot);
	else if (log_slot_model(slot) == &linear_names)
		step_names(worker, slot);
	else if (draw < 5)
		step_look(worker, slot);
	else if (draw < 6)
		look_size(worker, slot, NO_FD);
	else
		step_put(worker, slot);
}

static void round_change(struct worker *worker, unsigned round)
{
	locks_leave(worker, true);
	worker->round = round;
	worker->owner = (unsigned)worker->opts->worker;
	memset(worker->numbers, 0, sizeof(worker->numbers));
}

static int worker_init(struct worker *worker, const struct work_opts *opts)
{
	*worker = (struct worker){.opts = opts, .dir_fd = NO_FD, .owner = (unsigned)opts->worker};
	rng_init(&worker->rng, opts->seed * 1000 + opts->worker);
	for (unsigned i = 0; i < LOG_LOCKS; i++)
		worker->lock_fds[i] = NO_FD;
	(void)umask(0); /* permissions are numbers here */
	return log_open(&worker->log, opts->log);
}

int work_run(const struct work_opts *opts)
{
	struct worker worker;
	int rc = worker_init(&worker, opts);
	while (rc == 0) {
		uint64_t now_ns = work_now_ns(), round = now_ns < opts->start_ns ? 0 : (now_ns - opts->start_ns) / (opts->round_ms * NS_PER_MS);
		if (round >= opts->rounds)
			break;
		if (round != worker.round)
			round_change(&worker, (unsigned)round);
		pause_us(rng_below(&worker.rng, THINK_US_MAX));
		if (worker.dir_fd == NO_FD && !life_begin(&worker)) {
			pause_us(50000);
			continue;
		}
		step(&worker);
		if (worker.dead) {
			life_end(&worker);
			pause_us(50000);
		}
	}
	locks_leave(&worker, true);
	return rc;
}

int work_look(const struct work_opts *opts)
{
	struct worker worker;
	int rc = worker_init(&worker, opts);
	if (rc == 0 && !life_begin(&worker))
		rc = -errno;
	for (; rc == 0 && worker.round < opts->rounds; worker.round++) {
		for (unsigned slot = 0; !worker.dead && slot < LOG_REGISTERS + LOG_APPENDS; slot++) {
			look_size(&worker, slot, NO_FD);
			int fd = file_open(&worker, slot, O_RDONLY);
			if (fd < 0)
				return -errno;
			look_content(&worker, slot, fd);
			(void)close(fd); /* nothing was written through it */
		}
		for (unsigned i = 0; !worker.dead && i < LOG_SETS * LOG_NAMES; i++)
			name_op(&worker, LOG_REGISTERS + LOG_APPENDS + i / LOG_NAMES, LINEAR_STAT, i % LOG_NAMES, 0);
		rc = worker.dead ? -EIO : 0;
	}
	return rc;
}
