/* SPDX-License-Identifier: Apache-2.0
 * Recording and judging. */
#include "tests/sim/history.h"
#include "common/base/check.h"
#include "common/core/task.h"
#include "proto/proto.h"
#include "tests/linear/content.h"
#include "tests/sim/oracle.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	PATH_BYTES = 48, NAMES = 4, FILES_MAX = 511 /* a file's number is its permissions: made with it in one step */, READ_BYTES = 4096 + 1,
	OPS_MAX = 400, VERIFIER = 99,
};
static const char dir_path[] = "history", other_dir_path[] = "history/other"; /* names of odd numbers are there: entries move from one to the other */
static const uint64_t steps_max = 20000000, pause_ns_max = 20 * NS_PER_MS;
/* One small, one of nearly a page, one that begins where no file is small any more. */
static const struct {
	uint64_t offset_bytes, len_bytes;
} registers[HISTORY_REGISTERS] = {{0, 64}, {0, 4000}, {192 * KIB, 3000}};

/* ---- objects -------------------------------------------------------------------------------------------------- */

void history_counts_add(struct history_counts *sum, const struct history_counts *more)
{
	sum->checked += more->checked;
	sum->ops += more->ops;
	sum->lost += more->lost;
	sum->cut += more->cut;
	sum->steps_max = max_u64(sum->steps_max, more->steps_max);
}

void history_init(struct history *history, struct world *world)
{
	history->world = world;
	list_init(&history->objects);
}

void history_fini(struct history *history)
{
	struct list_node *link;
	while ((link = list_pop_front(&history->objects)) != NULL) {
		struct history_object *object = CONTAINER_OF(link, struct history_object, link);
		mem_free(object->ops);
		mem_free(object);
	}
}

static struct history_object *object_now(struct history *history, unsigned slot)
{
	struct history_object *before = history->now[slot];
	if (before != NULL && !before->closed && before->count < OPS_MAX)
		return before;
	WORLD_MEMORY();
	struct history_object *object = mem_alloc(sizeof(*object));
	object->slot = slot;
	object->generation = before != NULL ? before->generation + 1 : 0;
	object->id = ++history->ids;
	object->cut_at = LINEAR_NEVER;
	object->model = slot < HISTORY_REGISTERS ? &linear_register :
			slot < HISTORY_REGISTERS + HISTORY_APPENDS ? &linear_append : &linear_names;
	object->offset_bytes = slot < HISTORY_REGISTERS ? registers[slot].offset_bytes : 0;
	object->len_bytes = slot < HISTORY_REGISTERS ? registers[slot].len_bytes : LINEAR_RECORD_BYTES;
	list_push_back(&history->objects, &object->link);
	history->now[slot] = object;
	return object;
}

static void path_of(const struct history_object *object, unsigned name, char ret_path[PATH_BYTES])
{
	(void)snprintf(ret_path, PATH_BYTES, "%s/%s%u.%u.%u", name % 2 == 0 ? dir_path : other_dir_path, object->model->name, object->slot,
		       object->generation, name);
}

static void wrong(struct history *history, const struct history_object *object, const char *what, int64_t rc)
{
	char path[PATH_BYTES];
	path_of(object, 0, path);
	WORLD_MEMORY();
	world_fail(history->world, "history: %s: %s: an error that cannot be: %s", path, what, rc < 0 ? err_name((int)rc) : "too little");
}

/* ---- recording ------------------------------------------------------------------------------------------------ */

static struct linear_op *called(struct history *history, struct history_task *task, struct history_object *object, enum linear_kind kind)
{
	WORLD_MEMORY();
	if (object->count == object->room) {
		object->room = object->room == 0 ? 64 : 2 * object->room;
		object->ops = mem_realloc(object->ops, object->room * sizeof(*object->ops));
	}
	task->object = object;
	task->index = object->count++;
	task->is_data = kind == LINEAR_WRITE || kind == LINEAR_APPEND;
	struct linear_op *op = &object->ops[task->index];
	*op = (struct linear_op){.client = task->client, .kind = kind, .call_at = ++history->clock, .return_at = LINEAR_NEVER};
	return op;
}

/* The operation has ended as `op` says; borrowed until the next call. */
static struct linear_op *returned(struct history *history, struct history_task *task)
{
	struct linear_op *op = &task->object->ops[task->index];
	op->returned = true;
	op->return_at = ++history->clock;
	return op;
}

static void noted(struct history *history, struct history_task *task)
{
	char path[PATH_BYTES], text[LINEAR_OP_TEXT_BYTES];
	const struct linear_op *op = &task->object->ops[task->index];
	task->object->model->op_text(op, text, sizeof(text));
	path_of(task->object, 0, path);
	task->object = NULL;
	WORLD_MEMORY();
	world_note(history->world, NULL, "%s: client %u [%llu .. %lld] %s", path, op->client, (unsigned long long)op->call_at,
		   (long long)op->return_at, text); /* -1: never returned */
}

/* What it did is not known, and may be in part. */
static void lost(struct history *history, struct history_task *task)
{
	struct history_object *object = task->object;
	history->counts.lost++;
	if (task->is_data) {
		object->cut_at = min_u64(object->cut_at, object->ops[task->index].call_at);
		object->closed = true;
		history->counts.cut++;
	}
	noted(history, task);
}

void history_crashed(struct history *history, struct history_task *task)
{
	if (task->object != NULL)
		lost(history, task);
}

/* ---- registers and appends ------------------------------------------------------------------------------------ */

static int file_open(struct history *history, struct kernel *kernel, struct history_object *object, int flags)
{
	char path[PATH_BYTES];
	path_of(object, 0, path);
	int fd = kernel_open(kernel, path, flags | O_CREAT, 0644);
	if (fd < 0)
		wrong(history, object, "open", fd);
	return fd;
}

static void look_size(struct history *history, struct history_task *task, struct history_object *object, int64_t rc, uint64_t size)
{
	bool is_register = object->model == &linear_register;
	if (rc < 0) {
		wrong(history, object, "stat", rc);
		return;
	}
	struct linear_op *op = returned(history, task);
	uint64_t whole = is_register ? object->offset_bytes + object->len_bytes : LINEAR_RECORD_BYTES;
	op->seen.words[0] = size == 0 ? 0 : is_register ? (size == whole ? 1 : LINEAR_TORN) : size % whole == 0 ? size / whole : LINEAR_TORN;
	noted(history, task);
}

static void look_content(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	bool is_register = object->model == &linear_register;
	uint8_t *buf = mem_alloc(READ_BYTES);
	(void)called(history, task, object, is_register ? LINEAR_READ : LINEAR_LIST);
	int64_t got = kernel_pread(kernel, fd, buf, READ_BYTES, object->offset_bytes);
	if (got >= 0) {
		struct linear_op *op = returned(history, task);
		if (!is_register)
			linear_content_records(object->id, buf, (size_t)got, &op->seen);
		else if (got > 0)
			op->seen.words[0] = (uint64_t)got == object->len_bytes ?
						    linear_content_value(object->id, buf, (size_t)got) : LINEAR_TORN;
		noted(history, task);
	} else {
		wrong(history, object, "pread", got);
	}
	mem_free(buf);
}

/* With one open file, at several moments: what changed meanwhile must show. */
static void step_look(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		      struct history_object *object)
{
	struct attr attr = {0};
	int fd = file_open(history, kernel, object, O_RDONLY);
	if (fd < 0)
		return;
	for (uint64_t looks = 1 + rng_below(rng, 3); looks > 0 && world_failure(history->world) == NULL; looks--) {
		if (rng_chance(rng, 300000)) {
			(void)called(history, task, object, object->model == &linear_register ? LINEAR_SIZE : LINEAR_LENGTH);
			int rc = kernel_fstat(kernel, fd, &attr);
			look_size(history, task, object, rc, attr.size_bytes);
		} else {
			look_content(history, kernel, task, object, fd);
		}
		if (looks > 1)
			task_sleep(kernel_loop(kernel), rng_below(rng, pause_ns_max));
	}
	(void)kernel_close(kernel, fd); /* nothing was written through it */
}

static void look_by_name(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object)
{
	struct attr attr = {0};
	char path[PATH_BYTES];
	path_of(object, 0, path);
	(void)called(history, task, object, object->model == &linear_register ? LINEAR_SIZE : LINEAR_LENGTH);
	int rc = kernel_stat(kernel, path, &attr);
	look_size(history, task, object, rc == -ENOENT ? 0 : rc, attr.size_bytes); /* nobody has made it yet: empty */
}

/* Writes the next value or record, and makes it last. */
static void put(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object, int fd)
{
	uint32_t value = ++object->numbers;
	uint8_t *buf = mem_alloc((size_t)object->len_bytes);
	linear_content_fill(object->id, value, buf, (size_t)object->len_bytes);
	called(history, task, object, object->model == &linear_register ? LINEAR_WRITE : LINEAR_APPEND)->a = value;
	int64_t done = kernel_pwrite(kernel, fd, buf, (size_t)object->len_bytes, object->offset_bytes);
	int rc = done == (int64_t)object->len_bytes ? kernel_fsync(kernel, fd) : -ENOSPC;
	mem_free(buf);
	if (rc == 0) {
		(void)returned(history, task);
		noted(history, task);
	} else if (rc == -ENOSPC || rc == -EIO) {
		lost(history, task);
	} else {
		wrong(history, object, "write and fsync", rc);
	}
}

static void step_put(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		     struct history_object *object)
{
	bool is_append = object->model == &linear_append, cuts = !is_append && rng_chance(rng, 250000);
	if (is_append && object->numbers == LINEAR_RECORDS_MAX) {
		object->closed = true;
		return;
	}
	if (cuts)
		(void)called(history, task, object, LINEAR_TRUNCATE);
	int fd = file_open(history, kernel, object, is_append ? O_WRONLY | O_APPEND : O_RDWR | (cuts ? O_TRUNC : 0));
	if (fd < 0)
		return;
	if (cuts) {
		(void)returned(history, task);
		noted(history, task);
	}
	/* while it was opened, others may have closed the object, or filled it */
	if (!object->closed && !(is_append && object->numbers == LINEAR_RECORDS_MAX))
		put(history, kernel, task, object, fd);
	if (!is_append && !object->closed && rng_chance(rng, 300000))
		look_content(history, kernel, task, object, fd);
	(void)kernel_close(kernel, fd); /* what could not be written was told by fsync */
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static int name_do(struct kernel *kernel, const struct history_object *object, enum linear_kind kind, uint32_t a, uint32_t b, uint64_t *ret_file)
{
	char path[PATH_BYTES], to[PATH_BYTES];
	struct attr attr;
	int rc;
	path_of(object, a, path);
	path_of(object, b, to);
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
	struct linear_op *op = called(history, task, object, kind);
	op->a = a;
	op->b = b;
	uint64_t to_self = kernel_counts(kernel)->renames_to_self;
	int rc = name_do(kernel, object, kind, a, b, &file);
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST) {
		wrong(history, object, "an operation on names", rc);
		return;
	}
	op = returned(history, task);
	op->rc = rc < 0 ? rc : 0; /* a file descriptor */
	op->seen.words[0] = file;
	/* Linux looks both names up, one after the other, and renames nothing if they are one file. When another mount moves the file from the
	 * first to the second in between, it says that it has done what it has not, and no file system can tell (docs/posix.md). */
	if (rc == 0 && kernel_counts(kernel)->renames_to_self != to_self)
		op->returned = false;
	noted(history, task);
	if (kind == LINEAR_CREATE && rc >= 0)
		(void)kernel_close(kernel, rc); /* nothing was written */
}

static void step_names(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task,
		       struct history_object *object)
{
	static const enum linear_kind kinds[] = {LINEAR_CREATE, LINEAR_CREATE, LINEAR_UNLINK, LINEAR_RENAME, LINEAR_MOVE, LINEAR_EXCHANGE,
						 LINEAR_STAT, LINEAR_STAT, LINEAR_STAT};
	enum linear_kind kind = kinds[rng_below(rng, ARRAY_COUNT(kinds))];
	uint32_t a = (uint32_t)rng_below(rng, NAMES), b = (a + 1 + (uint32_t)rng_below(rng, NAMES - 1)) % NAMES;
	if (kind == LINEAR_CREATE && object->numbers == FILES_MAX) {
		object->closed = true;
		return;
	}
	name_op(history, kernel, task, object, kind, a, kind == LINEAR_CREATE ? ++object->numbers : b);
}

/* ---- tasks ---------------------------------------------------------------------------------------------------- */

int history_prepare(struct kernel *kernel)
{
	int rc = kernel_mkdir(kernel, dir_path, 0755);
	if (rc == 0 || rc == -EEXIST)
		rc = kernel_mkdir(kernel, other_dir_path, 0755);
	return rc == -EEXIST ? 0 : rc;
}

void history_step(struct history *history, struct kernel *kernel, struct rng *rng, struct history_task *task)
{
	unsigned first = history->names_only ? HISTORY_REGISTERS + HISTORY_APPENDS : 0;
	struct history_object *object = object_now(history, (unsigned)rng_range(rng, first, HISTORY_SLOTS - 1));
	uint64_t draw = rng_below(rng, 10);
	if (object->model == &linear_names)
		step_names(history, kernel, rng, task, object);
	else if (draw < 5)
		step_look(history, kernel, rng, task, object);
	else if (draw < 6)
		look_by_name(history, kernel, task, object);
	else
		step_put(history, kernel, rng, task, object);
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void bad(struct history *history, const struct history_object *object, const struct linear_op *ops, size_t count)
{
	char path[PATH_BYTES], text[LINEAR_TEXT_BYTES], *line, *rest = text;
	path_of(object, 0, path);
	linear_explain(object->model, ops, count, steps_max, text);
	world_fail(history->world, "history: %s: %.400s", path, text);
	while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0')
		world_note(history->world, NULL, "%s", line);
}

/* Up to the cut; what was under way then counts as never returned. */
static void judge(struct history *history, const struct history_object *object)
{
	struct linear_result result;
	size_t count = 0;
	struct linear_op *ops = mem_alloc((object->count + 1) * sizeof(*ops));
	for (size_t i = 0; i < object->count; i++) {
		if (object->ops[i].call_at >= object->cut_at)
			continue;
		ops[count] = object->ops[i];
		if (ops[count].return_at > object->cut_at) {
			ops[count].returned = false;
			ops[count].return_at = LINEAR_NEVER;
		}
		count++;
	}
	linear_check(object->model, ops, count, steps_max, &result);
	history->counts.checked++;
	history->counts.ops += count;
	history->counts.steps_max = max_u64(history->counts.steps_max, result.steps);
	if (result.verdict == LINEAR_UNKNOWN)
		world_fail(history->world, "history: %s%u.%u can not be judged: %s", object->model->name, object->slot, object->generation,
			   result.unknown);
	else if (result.verdict == LINEAR_BAD)
		bad(history, object, ops, count);
	mem_free(ops);
}

static void look_last(struct history *history, struct kernel *kernel, struct history_task *task, struct history_object *object)
{
	if (object->model == &linear_names) {
		for (uint32_t i = 0; i < NAMES; i++)
			name_op(history, kernel, task, object, LINEAR_STAT, i, 0);
		return;
	}
	look_by_name(history, kernel, task, object);
	int fd = file_open(history, kernel, object, O_RDONLY);
	if (fd < 0)
		return;
	look_content(history, kernel, task, object, fd);
	(void)kernel_close(kernel, fd); /* nothing was written through it */
}

void history_verify(struct history *history, struct kernel *kernel)
{
	struct history_task task = {.client = VERIFIER};
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		if (object->cut_at == LINEAR_NEVER && world_failure(history->world) == NULL)
			look_last(history, kernel, &task, object);
	}
}

void history_judge(struct history *history)
{
	list_for_each(at, &history->objects)
		if (world_failure(history->world) == NULL)
			judge(history, CONTAINER_OF(at, struct history_object, link));
}
