/* SPDX-License-Identifier: Apache-2.0
 * What the recorded tasks do. */
#include "common/base/check.h"
#include "common/core/task.h"
#include "proto/proto.h"
#include "tests/linear/content.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <sys/stat.h>

enum {
	FILES_MAX = 511, /* a file's number is its permissions: made with it in one step */
	READ_BYTES = 4096 + 1,
	OWNERS_MAX = 64,
	FIRST_IN_OBJECTS = 2, LAST_IN_OBJECTS = 3, /* slots */
};
static const uint64_t pause_ns_max = 20 * NS_PER_MS;
static const int64_t quiet_mtime_ns = 1000000000;

int history_file_open(struct history *history, struct kernel *kernel, struct history_object *object, int flags)
{
	char path[HISTORY_PATH_BYTES];
	history_path(object, 0, path);
	int fd = kernel_open(kernel, path, flags | O_CREAT, 0644);
	if (fd < 0)
		history_wrong(history, object, "open", fd);
	return fd;
}

static bool is_register(const struct history_object *object)
{
	return object->model == &linear_register;
}

static bool ends(const struct history *history)
{
	return world_failure(history->world) != NULL;
}

static void pause_some(struct kernel *kernel, struct rng *rng)
{
	task_sleep(kernel_loop(kernel), rng_below(rng, pause_ns_max));
}

/* Linux drops pages and attributes when a truncation is answered, and a moment before, others have seen it already: what looks show on the same mount in
 * between is not judged (docs/posix.md). */
static struct history_cuts cuts_now(const struct history_object *object, unsigned client)
{
	return client < HISTORY_CLIENTS_MAX ? object->cuts[client] : (struct history_cuts){0};
}

static void look_returned(struct history *history, struct history_task *task, struct linear_op *op, struct history_cuts before)
{
	if (before.running > 0 || cuts_now(task->object, task->client).begun != before.begun)
		op->returned = false;
	history_noted(history, task);
}

/* ---- looking -------------------------------------------------------------------------------------------------- */

static void look_size(struct history *history, struct history_task *task, struct history_object *object, struct history_cuts before, int64_t rc,
		      uint64_t size)
{
	if (rc < 0) {
		history_wrong(history, object, "stat", rc);
		return;
	}
	struct linear_op *op = history_returned(history, task);
	uint64_t whole = object->offset_bytes + object->len_bytes;
	bool good = is_register(object) ? size == 0 || size == whole : size % whole == 0;
	op->seen.words[0] = good ? size / whole : LINEAR_TORN;
	look_returned(history, task, op, before);
}

void history_look_by_name(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object)
{
	struct attr attr = {0};
	char path[HISTORY_PATH_BYTES];
	history_path(object, 0, path);
	struct history_cuts before = cuts_now(object, task->client);
	(void)history_called(history, task, object, is_register(object) ? LINEAR_SIZE : LINEAR_LENGTH);
	int rc = kernel_stat(kernel, path, &attr);
	look_size(history, task, object, before, rc == -ENOENT ? 0 : rc, attr.size_bytes); /* nobody has made it yet: empty */
}

static void look_open_size(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	struct attr attr = {0};
	struct history_cuts before = cuts_now(object, task->client);
	(void)history_called(history, task, object, is_register(object) ? LINEAR_SIZE : LINEAR_LENGTH);
	int rc = kernel_fstat(kernel, fd, &attr);
	look_size(history, task, object, before, rc, attr.size_bytes);
}

/* Which bytes were not what they should be: for people. */
static void note_torn(struct history *history, const struct history_object *object, const uint8_t *buf, size_t len)
{
	size_t zeros = 0, last = 0;
	for (size_t i = 0; i < len; i++) {
		zeros += buf[i] == 0;
		last = buf[i] != 0 ? i + 1 : last;
	}
	WORLD_MEMORY();
	world_note(history->world, NULL, "torn: %zu bytes of object %u: %zu zeros, the last that is none at %zu, the head is of object %u value %u",
		   len, object->id, zeros, last, len >= 8 ? load_le32(buf + 4) : 0, len >= 4 ? load_le32(buf) : 0);
}

static bool all_zeros(const uint8_t *buf, size_t len)
{
	while (len > 0 && buf[len - 1] == 0)
		len--;
	return len == 0;
}

/* Through pages, zeros are the empty file: Linux fills a page from what was read, and asks for the size afterwards, so that a file that was cut off and
 * written anew on the same mount meanwhile shows as zeros of the new size. (It is judged all the same whether it can have been empty.) */
static uint64_t value_of(struct history *history, const struct history_object *object, const uint8_t *buf, size_t len, bool by_pages)
{
	if (by_pages && len == object->len_bytes && all_zeros(buf, len))
		return 0;
	uint64_t value = len == object->len_bytes ? linear_content_value(object->id, buf, len) : LINEAR_TORN;
	if (value == LINEAR_TORN)
		note_torn(history, object, buf, len);
	return value;
}

void history_look_content(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	uint8_t *buf = mem_alloc(READ_BYTES);
	struct history_cuts before = cuts_now(object, task->client);
	bool by_pages = kernel_uses_pages(kernel, fd);
	(void)history_called(history, task, object, is_register(object) ? LINEAR_READ : LINEAR_LIST);
	int64_t got = kernel_pread(kernel, fd, buf, READ_BYTES, object->offset_bytes);
	if (got >= 0) {
		struct linear_op *op = history_returned(history, task);
		if (!is_register(object))
			linear_content_records(object->id, buf, (size_t)got, &op->seen);
		else if (got > 0)
			op->seen.words[0] = value_of(history, object, buf, (size_t)got, by_pages);
		if (by_pages)
			look_returned(history, task, op, before);
		else
			history_noted(history, task);
	} else {
		history_wrong(history, object, "pread", got);
	}
	mem_free(buf);
}

/* Through a mapping. What is beyond the end, as the kernel has it, cannot be looked at: then this was no look. */
static void look_mapping(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	uint8_t *buf = mem_alloc(READ_BYTES);
	struct history_cuts before = cuts_now(object, task->client);
	(void)history_called(history, task, object, LINEAR_READ);
	int64_t got = kernel_mapped_read(kernel, fd, buf, (size_t)object->len_bytes, object->offset_bytes);
	if (got == (int64_t)object->len_bytes) {
		struct linear_op *op = history_returned(history, task);
		op->seen.words[0] = value_of(history, object, buf, (size_t)got, true);
		history->counts.mapped++;
		look_returned(history, task, op, before);
	} else if (got == -EFAULT || got == -ENODEV) {
		history_noted(history, task);
	} else {
		history_wrong(history, object, "a mapping", got);
	}
	mem_free(buf);
}

/* A file that is open for long. */
static int held_open(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object)
{
	struct history_held *held = &task->held[object->slot];
	if (held->object == object)
		return held->fd;
	if (held->object != NULL) {
		held->object = NULL;
		(void)kernel_close(kernel, held->fd); /* nothing was written through it */
	}
	int fd = history_file_open(history, kernel, object, O_RDONLY);
	if (fd >= 0)
		*held = (struct history_held){object, fd};
	return fd;
}

/* With one open file, at several moments: what changed meanwhile must show. */
static void step_look(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		      struct history_object *object)
{
	bool for_long = rng_chance(rng, 700000);
	int fd = for_long ? held_open(history, kernel, task, object) : history_file_open(history, kernel, object, O_RDONLY);
	if (fd < 0)
		return;
	for (uint64_t looks = 1 + rng_below(rng, 4); looks > 0 && !ends(history); looks--) {
		uint64_t draw = rng_below(rng, 10);
		if (draw < 2)
			look_open_size(history, kernel, task, object, fd);
		else if (draw < 5 && is_register(object))
			look_mapping(history, kernel, task, object, fd);
		else
			history_look_content(history, kernel, task, object, fd);
		if (looks > 1)
			pause_some(kernel, rng);
	}
	if (!for_long)
		(void)kernel_close(kernel, fd); /* nothing was written through it */
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static bool is_refusal(int64_t rc)
{
	return rc == -ENOSPC || rc == -EIO;
}

static void save(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	uint64_t called_at = ++history->clock;
	int rc = kernel_fsync(kernel, fd);
	history_saved(history, object, task->client, called_at, rc);
	if (rc < 0 && !is_refusal(rc))
		history_wrong(history, object, "fsync", rc);
}

/* The next value or record. What is not made stable here counts as written all the same. */
static void put(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	bool saves = history_slots[object->slot].saves;
	uint32_t value = ++object->numbers;
	uint8_t *buf = mem_alloc((size_t)object->len_bytes);
	linear_content_fill(object->id, value, buf, (size_t)object->len_bytes);
	struct linear_op *op = history_called(history, task, object, is_register(object) ? LINEAR_WRITE : LINEAR_APPEND);
	op->a = value;
	op->b = is_register(object) && saves;
	int64_t done = kernel_pwrite(kernel, fd, buf, (size_t)object->len_bytes, object->offset_bytes);
	int64_t rc = done != (int64_t)object->len_bytes ? -ENOSPC : saves ? kernel_fsync(kernel, fd) : 0;
	mem_free(buf);
	if (rc == 0) {
		(void)history_returned(history, task);
		history_noted(history, task);
	} else if (is_refusal(rc)) {
		history_lost(history, task, true);
	} else {
		history_wrong(history, object, "write", rc);
	}
}

/* As rsync and tar do: by its time and size the file is what it was. */
static void set_time_back(struct history *history, struct kernel *kernel, const struct history_object *object)
{
	char path[HISTORY_PATH_BYTES];
	struct attr attr = {.mtime_ns = quiet_mtime_ns};
	history_path(object, 0, path);
	int rc = kernel_setattr(kernel, path, SET_MTIME, &attr);
	if (rc < 0)
		history_wrong(history, object, "utimens", rc);
}

static void close_written(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	int rc = kernel_close(kernel, fd);
	if (rc < 0 && !is_refusal(rc))
		history_wrong(history, object, "close", rc);
	if (rc < 0)
		history_saved(history, object, task->client, history->clock, rc);
}

/* A file that is open to write, for long: what is written through it needs no open, and so nobody who may be asked. */
static int held_put_open(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int flags)
{
	struct history_held *held = &task->held_put[object->slot];
	struct history_object *before = held->object;
	if (before == object)
		return held->fd;
	held->object = NULL;
	if (before != NULL)
		close_written(history, kernel, task, before, held->fd);
	int fd = history_file_open(history, kernel, object, flags);
	if (fd >= 0)
		*held = (struct history_held){object, fd};
	return fd;
}

/* Some tasks keep what they write open: while a mount has a file open to write, it caches no reads beside others. */
static bool keeps_open(const struct history_task *task)
{
	return (task->process >> 32) % 3 == 0;
}

static void step_put(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		     struct history_object *object)
{
	const struct history_slot *slot = &history_slots[object->slot];
	bool is_append = !is_register(object);
	/* After a truncation an OST knows late writes from before by their generation: then no fence is needed. */
	bool cuts = !is_append && rng_chance(rng, slot->quiet ? 50000 : 250000) && object != history->wanted.object;
	bool for_long = !cuts && (keeps_open(task) || object == history->wanted.object);
	int flags = is_append ? O_WRONLY | O_APPEND : O_RDWR | (cuts ? O_TRUNC : 0);
	if (is_append && object->numbers == LINEAR_RECORDS_MAX) {
		object->closed = true;
		return;
	}
	if (cuts) {
		(void)history_called(history, task, object, LINEAR_TRUNCATE);
		object->cuts[task->client].running++;
		object->cuts[task->client].begun++;
	}
	int fd = for_long ? held_put_open(history, kernel, task, object, flags) : history_file_open(history, kernel, object, flags);
	if (fd < 0)
		return;
	if (cuts) {
		object->cuts[task->client].running--;
		(void)history_returned(history, task);
		history_noted(history, task);
	}
	/* while it was opened, others may have closed the object, or filled it */
	for (uint64_t puts = 1 + rng_below(rng, 2); puts > 0 && !object->closed && !ends(history); puts--) {
		if (is_append && object->numbers == LINEAR_RECORDS_MAX)
			break;
		put(history, kernel, task, object, fd);
		if (slot->quiet && !object->closed)
			set_time_back(history, kernel, object);
		if (!is_append && !object->closed && rng_chance(rng, 300000))
			history_look_content(history, kernel, task, object, fd);
		if (rng_chance(rng, 300000))
			pause_some(kernel, rng);
	}
	if (!slot->saves && rng_chance(rng, 300000))
		save(history, kernel, task, object, fd);
	if (!for_long)
		close_written(history, kernel, task, object, fd);
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static int name_do(struct kernel *kernel, const struct history_object *object, enum linear_kind kind, uint32_t a, uint32_t b, uint64_t *ret_file)
{
	char path[HISTORY_PATH_BYTES], to[HISTORY_PATH_BYTES];
	struct attr attr;
	int rc;
	history_path(object, a, path);
	history_path(object, b, to);
	switch (kind) {
	case LINEAR_CREATE:
		return kernel_open(kernel, path, O_WRONLY | O_CREAT | O_EXCL, b);
	case LINEAR_UNLINK:
		return kernel_unlink(kernel, path);
	case LINEAR_RENAME:
		return kernel_rename(kernel, path, to, 0);
	case LINEAR_MOVE:
		return kernel_rename(kernel, path, to, MR_NOREPLACE);
	case LINEAR_EXCHANGE:
		return kernel_rename(kernel, path, to, MR_EXCHANGE);
	default:
		rc = kernel_stat(kernel, path, &attr);
		if (rc == 0)
			*ret_file = attr.mode & 0777;
		return rc;
	}
}

static void name_op(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object,
		    enum linear_kind kind, uint32_t a, uint32_t b)
{
	uint64_t file = 0;
	struct linear_op *op = history_called(history, task, object, kind);
	op->a = a;
	op->b = b;
	uint64_t to_self = kernel_counts(kernel)->renames_to_self;
	int rc = name_do(kernel, object, kind, a, b, &file);
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST) {
		history_wrong(history, object, "an operation on names", rc);
		return;
	}
	op = history_returned(history, task);
	op->rc = rc < 0 ? rc : 0; /* a file descriptor */
	op->seen.words[0] = file;
	/* Linux looks both names up, one after the other, and renames nothing if they are one file. When another mount moves the file from the
	 * first to the second in between, it says that it has done what it has not, and no file system can tell (docs/posix.md). */
	if (rc == 0 && kernel_counts(kernel)->renames_to_self != to_self)
		op->returned = false;
	/* The same two looks make NOREPLACE fail: what had the first name may have the second by then. It has changed nothing, and shown nothing. */
	if (kind == LINEAR_MOVE && rc == -EEXIST) {
		op->kind = LINEAR_STAT;
		op->returned = false;
	}
	history_noted(history, task);
	if (kind == LINEAR_CREATE && rc >= 0)
		(void)kernel_close(kernel, rc); /* nothing was written */
}

void history_look_name(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, uint32_t name)
{
	name_op(history, kernel, task, object, LINEAR_STAT, name, 0);
}

static void step_names(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		       struct history_object *object)
{
	static const enum linear_kind kinds[] = {LINEAR_CREATE, LINEAR_CREATE, LINEAR_UNLINK, LINEAR_RENAME, LINEAR_MOVE, LINEAR_EXCHANGE,
						 LINEAR_STAT, LINEAR_STAT, LINEAR_STAT};
	enum linear_kind kind = kinds[rng_below(rng, ARRAY_COUNT(kinds))];
	uint32_t a = (uint32_t)rng_below(rng, HISTORY_NAMES), b = (a + 1 + (uint32_t)rng_below(rng, HISTORY_NAMES - 1)) % HISTORY_NAMES;
	if (kind == LINEAR_CREATE && object->numbers == FILES_MAX) {
		object->closed = true;
		return;
	}
	name_op(history, kernel, task, object, kind, a, kind == LINEAR_CREATE ? ++object->numbers : b);
}

/* ---- locks ---------------------------------------------------------------------------------------------------- */

static void lock_op(struct history *history, struct kernel *kernel, struct history_task *task, enum linear_kind kind, bool waits)
{
	struct history_object *object = task->lock.object;
	history_called(history, task, object, kind)->a = task->lock.owner;
	uint8_t type = kind == LINEAR_LOCK ? LOCK_TYPE_WRITE : kind == LINEAR_SHARE ? LOCK_TYPE_READ : LOCK_TYPE_NONE;
	int rc = kernel_lock(kernel, task->lock.fd, &(struct kernel_lock){.kind = LOCK_KIND_POSIX, .type = type, .waits = waits,
									   .process = task->process, .end = UINT64_MAX});
	if (rc < 0 && (rc != -EAGAIN || waits || kind == LINEAR_UNLOCK)) {
		history_wrong(history, object, "a lock", rc);
		return;
	}
	struct linear_op *op = history_returned(history, task);
	op->rc = rc;
	task->lock.since = op->return_at;
	if (rc == 0) {
		task->lock.locked = kind != LINEAR_UNLOCK;
		task->lock.exclusive = kind == LINEAR_LOCK;
	}
	history_noted(history, task);
}

static void lock_leave(struct history *history, struct kernel *kernel, struct history_task *task)
{
	if (task->lock.object == NULL)
		return;
	if (task->lock.locked)
		lock_op(history, kernel, task, LINEAR_UNLOCK, false);
	(void)kernel_close_by(kernel, task->lock.fd, task->process); /* nothing was written through it */
	task->lock.object = NULL;
}

/* Waiting only with empty hands: else two who share it wait for each other. */
static void step_lock(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task, struct history_object *object)
{
	if (task->lock.object != object) {
		lock_leave(history, kernel, task);
		if (object->numbers == OWNERS_MAX) {
			object->closed = true;
			return;
		}
		uint32_t owner = object->numbers++;
		int fd = history_file_open(history, kernel, object, O_RDWR);
		if (fd < 0)
			return;
		task->lock.object = object;
		task->lock.fd = fd;
		task->lock.owner = owner;
		task->lock.locked = task->lock.exclusive = false;
		task->lock.since = history->clock;
	}
	bool shares = rng_chance(rng, 400000), converts = rng_chance(rng, 300000);
	if (!task->lock.locked)
		lock_op(history, kernel, task, shares ? LINEAR_SHARE : LINEAR_LOCK, rng_chance(rng, 500000));
	else if (converts)
		lock_op(history, kernel, task, task->lock.exclusive ? LINEAR_SHARE : LINEAR_LOCK, false);
	else
		lock_op(history, kernel, task, LINEAR_UNLOCK, false);
}

/* ---- tasks ---------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct history *history)
{
	const struct history_object *object = history->wanted.object;
	return object != NULL && !object->closed && world_now_ns(history->world) < history->wanted.until_ns;
}

/* One task of a mount does nothing but look at registers through files that it keeps open: it goes on with what its mount has cached when nothing else
 * can. */
static bool watches(const struct history *history, const struct history_task *task)
{
	return (task->process >> 32) % 4 == 1 && !history->names_only;
}

static void step_watch(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task)
{
	bool wanted = is_wanted(history) && is_register(history->wanted.object) && rng_chance(rng, 700000);
	unsigned slot = (unsigned)rng_below(rng, HISTORY_REGISTERS);
	struct history_object *object = wanted ? history->wanted.object : history_object_now(history, slot);
	int fd = held_open(history, kernel, task, object);
	if (fd < 0)
		return;
	if (rng_chance(rng, 600000))
		look_mapping(history, kernel, task, object, fd);
	else
		history_look_content(history, kernel, task, object, fd);
	pause_some(kernel, rng);
}

void history_step(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task)
{
	if (watches(history, task)) {
		step_watch(history, kernel, rng, task);
		return;
	}
	const unsigned files = HISTORY_REGISTERS + HISTORY_APPENDS;
	if (history->writes_now[task->client] && !history->names_only) {
		step_put(history, kernel, rng, task, history_object_now(history, (unsigned)rng_range(rng, FIRST_IN_OBJECTS, LAST_IN_OBJECTS)));
		return;
	}
	struct history_object *object = is_wanted(history) && rng_chance(rng, 400000) ? history->wanted.object : NULL;
	if (object == NULL || object->closed)
		object = history_object_now(history, (unsigned)rng_range(rng, history->names_only ? files : 0,
											history->names_only ? files + HISTORY_SETS - 1 :
													      HISTORY_SLOTS - 1));
	uint64_t draw = rng_below(rng, 10);
	if (object->model == &linear_lock)
		step_lock(history, kernel, rng, task, object);
	else if (object->model == &linear_names)
		step_names(history, kernel, rng, task, object);
	else if (draw < 5)
		step_look(history, kernel, rng, task, object);
	else if (draw < 6)
		history_look_by_name(history, kernel, task, object);
	else
		step_put(history, kernel, rng, task, object);
}

/* A lazily written file: whether it could be saved must be known before it is judged. */
static void save_all(struct history *history, struct kernel *kernel, struct history_task *task)
{
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		if (ends(history) || object->unsaved[task->client].since == LINEAR_NEVER || object->unsaved[task->client].running > 0)
			continue;
		int fd = history_file_open(history, kernel, object, O_RDWR);
		if (fd < 0)
			return;
		save(history, kernel, task, object, fd);
		close_written(history, kernel, task, object, fd);
	}
}

void history_leave(struct history *history, struct kernel *kernel, struct history_task *task)
{
	lock_leave(history, kernel, task);
	for (unsigned slot = 0; slot < HISTORY_SLOTS; slot++) {
		if (task->held[slot].object == NULL)
			continue;
		task->held[slot].object = NULL;
		(void)kernel_close(kernel, task->held[slot].fd); /* nothing was written through it */
	}
	for (unsigned slot = 0; slot < HISTORY_SLOTS; slot++) {
		struct history_object *object = task->held_put[slot].object;
		task->held_put[slot].object = NULL;
		if (object != NULL)
			close_written(history, kernel, task, object, task->held_put[slot].fd);
	}
	save_all(history, kernel, task);
}
