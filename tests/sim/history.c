/* SPDX-License-Identifier: Apache-2.0
 * Recording and judging. What is done is in history_work.c. */
#include "tests/sim/history.h"
#include "common/base/check.h"
#include "common/base/map.h"
#include "proto/proto.h"
#include "tests/linear/content.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <stdio.h>

enum { VERIFIER = 99 };
static const char dir_path[] = "history", other_dir_path[] = "history/other"; /* names of odd numbers are there: entries move from one to the other */
static const uint64_t steps_max = 20000000, life_ns_min = 1500 * NS_PER_MS;

/* Small files live with their inodes; what begins at 192 KiB is in objects. */
const struct history_slot history_slots[HISTORY_SLOTS] = {
	{.model = &linear_register, .len_bytes = 64, .saves = true},
	{.model = &linear_register, .len_bytes = 4000, .quiet = true},
	{.model = &linear_register, .offset_bytes = 192 * KIB, .len_bytes = 3000, .saves = true},
	{.model = &linear_register, .offset_bytes = 192 * KIB, .len_bytes = 4096, .saves = true},
	{.model = &linear_register, .offset_bytes = 192 * KIB, .len_bytes = 3000, .quiet = true},
	{.model = &linear_append, .len_bytes = LINEAR_RECORD_BYTES, .saves = true},
	{.model = &linear_append, .len_bytes = LINEAR_RECORD_BYTES},
	{.model = &linear_names},
	{.model = &linear_names},
	{.model = &linear_lock},
};

/* ---- objects -------------------------------------------------------------------------------------------------- */

void history_counts_add(struct history_counts *sum, const struct history_counts *more)
{
	sum->checked += more->checked;
	sum->ops += more->ops;
	sum->lost += more->lost;
	sum->cut += more->cut;
	sum->mapped += more->mapped;
	sum->unsaved += more->unsaved;
	sum->ended += more->ended;
	sum->undone += more->undone;
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

void history_join(struct history *history, struct history_task *task, unsigned client)
{
	*task = (struct history_task){.client = client, .process = ++history->processes << 32}; /* none of lockwork's */
}

struct history_object *history_object_now(struct history *history, unsigned slot)
{
	struct history_object *before = history->now[slot];
	uint64_t now_ns = world_now_ns(history->world);
	if (before != NULL && !before->closed && before->count < HISTORY_OPS_MAX && now_ns < before->until_ns)
		return before;
	WORLD_MEMORY();
	struct history_object *object = mem_alloc(sizeof(*object));
	object->slot = slot;
	object->generation = before != NULL ? before->generation + 1 : 0;
	object->id = ++history->ids;
	object->cut_at = LINEAR_NEVER;
	/* Files are left after a while: what arrives late is not written over, and seen by the last look. */
	bool is_file = slot < HISTORY_REGISTERS + HISTORY_APPENDS;
	object->until_ns = is_file ? now_ns + life_ns_min + map_hash_u64(object->id) % life_ns_min * 3 : UINT64_MAX;
	object->model = history_slots[slot].model;
	object->offset_bytes = history_slots[slot].offset_bytes;
	object->len_bytes = history_slots[slot].len_bytes;
	for (unsigned i = 0; i < HISTORY_CLIENTS_MAX; i++)
		object->unsaved[i].since = LINEAR_NEVER;
	list_push_back(&history->objects, &object->link);
	history->now[slot] = object;
	return object;
}

void history_path(const struct history_object *object, unsigned name, char ret_path[HISTORY_PATH_BYTES])
{
	(void)snprintf(ret_path, HISTORY_PATH_BYTES, "%s/%s%u.%u.%u", name % 2 == 0 ? dir_path : other_dir_path, object->model->name,
		       object->slot, object->generation, name);
}

void history_wrong(struct history *history, const struct history_object *object, const char *what, int64_t rc)
{
	char path[HISTORY_PATH_BYTES];
	history_path(object, 0, path);
	WORLD_MEMORY();
	world_fail(history->world, "history: %s: %s: an error that cannot be: %s", path, what, rc < 0 ? err_name((int)rc) : "too little");
}

int history_prepare(struct kernel *kernel)
{
	int rc = kernel_mkdir(kernel, dir_path, 0755);
	if (rc == 0 || rc == -EEXIST)
		rc = kernel_mkdir(kernel, other_dir_path, 0755);
	return rc == -EEXIST ? 0 : rc;
}

/* ---- recording ------------------------------------------------------------------------------------------------ */

static size_t op_add(struct history_object *object, const struct linear_op *op)
{
	WORLD_MEMORY();
	if (object->count == object->room) {
		object->room = object->room == 0 ? 64 : 2 * object->room;
		object->ops = mem_realloc(object->ops, object->room * sizeof(*object->ops));
	}
	object->ops[object->count] = *op;
	return object->count++;
}

static void cut(struct history *history, struct history_object *object, uint64_t at)
{
	history->counts.cut += object->cut_at == LINEAR_NEVER;
	object->cut_at = min_u64(object->cut_at, at);
	object->closed = true;
}

static struct history_unsaved *unsaved_of(struct history_object *object, unsigned client)
{
	bool counts = client < HISTORY_CLIENTS_MAX && (object->model == &linear_register || object->model == &linear_append);
	return counts && !history_slots[object->slot].saves ? &object->unsaved[client] : NULL;
}

struct linear_op *history_called(struct history *history, struct history_task *task, struct history_object *object, enum linear_kind kind)
{
	const struct history_hooks *hooks = &history->hooks;
	uint64_t identity = hooks->identity != NULL ? hooks->identity(hooks->ctx, task->client) : 0;
	struct linear_op op = {.client = task->client, .kind = kind, .call_at = ++history->clock, .return_at = LINEAR_NEVER};
	task->object = object;
	task->index = op_add(object, &op);
	task->is_data = kind == LINEAR_WRITE || kind == LINEAR_APPEND;
	task->epoch = hooks->epoch != NULL ? hooks->epoch(hooks->ctx, task->client) : 0;
	if (task->is_data && object->open_count < HISTORY_OPEN_MAX)
		object->open[object->open_count++] = (struct history_open){.index = task->index, .identity = identity};
	struct history_unsaved *unsaved = task->is_data ? unsaved_of(object, task->client) : NULL;
	if (unsaved != NULL) {
		unsaved->since = min_u64(unsaved->since, op.call_at);
		unsaved->running++;
	}
	return &object->ops[task->index];
}

static struct history_open *open_find(struct history_object *object, size_t index)
{
	for (unsigned i = 0; i < object->open_count; i++)
		if (object->open[i].index == index)
			return &object->open[i];
	return NULL;
}

static void open_remove(struct history_object *object, struct history_open *open)
{
	if (open != NULL)
		*open = object->open[--object->open_count];
}

/* Of a register whose writes are one with their fsyncs: the judge knows what was stable. */
static bool can_be_undone(const struct history_object *object)
{
	return history_slots[object->slot].saves && object->model == &linear_register;
}

/* What is not stable may be gone: the register is what it was when something last was, or another of the writes that are under way. */
static void may_be_undone(struct history *history, struct history_object *object, const struct linear_op *when, uint64_t identity)
{
	struct linear_op op = *when;
	unsigned count = object->open_count;
	for (unsigned i = 0; i <= count; i++) {
		const struct linear_op *other = i < count ? &object->ops[object->open[i].index] : NULL;
		if (other != NULL && object->open[i].is_echo)
			continue;
		op.kind = other != NULL ? LINEAR_WRITE : LINEAR_REVERT;
		op.a = other != NULL ? other->a : 0;
		size_t index = op_add(object, &op);
		if (identity != 0 && object->open_count < HISTORY_OPEN_MAX)
			object->open[object->open_count++] = (struct history_open){.index = index, .identity = identity, .is_echo = true};
	}
	history->counts.undone += count > 0;
}

static bool ends_open(const struct history *history, const struct history_task *task, const struct history_open *open)
{
	const struct history_hooks *hooks = &history->hooks;
	uint64_t epoch = open->index != task->index ? hooks->evicted_at(hooks->ctx, task->client, open->identity) : 0;
	return epoch != 0 && task->epoch >= epoch;
}

/* It happened by now, or it is lost; its own mount has shown it all the same. */
static void end_write(struct history *history, struct history_object *object, const struct history_open *open, uint64_t called_at)
{
	struct linear_op *op = &object->ops[open->index];
	if (op->return_at != LINEAR_NEVER)
		return;
	op->return_at = ++history->clock;
	op->ended_by = called_at;
	history->counts.ended++;
	if (!open->is_echo && can_be_undone(object))
		may_be_undone(history, object, &(struct linear_op){.client = op->client, .call_at = op->call_at, .return_at = op->return_at,
								   .ended_by = called_at}, 0);
}

/* Whoever asks with a map that tells of an eviction is served behind the fence: what the evicted one has under way happened before that, or never
 * will. Once somebody has made stable what he wrote behind it, no crash brings it back either. */
static void end_writes_of_evicted(struct history *history, const struct history_task *task, struct history_object *object)
{
	const struct linear_op by = object->ops[task->index];
	bool any = false;
	for (unsigned i = 0; i < object->open_count && history->hooks.evicted_at != NULL; i++) {
		if (!ends_open(history, task, &object->open[i]))
			continue;
		any = true;
		end_write(history, object, &object->open[i], by.call_at);
	}
	for (unsigned i = object->open_count; any && by.kind == LINEAR_WRITE && by.b != 0 && i > 0; i--)
		if (ends_open(history, task, &object->open[i - 1]))
			open_remove(object, &object->open[i - 1]);
	/* Somebody has written after it: if it arrives all the same, nobody writes over it. */
	if (any && task->is_data && history->wanted.object == object) {
		history->wanted.object = NULL;
		object->closed = true;
	}
}

struct linear_op *history_returned(struct history *history, struct history_task *task)
{
	struct history_object *object = task->object;
	end_writes_of_evicted(history, task, object);
	struct linear_op *op = &object->ops[task->index];
	op->returned = true;
	op->return_at = ++history->clock;
	if (task->is_data)
		open_remove(object, open_find(object, task->index));
	struct history_unsaved *unsaved = task->is_data ? unsaved_of(object, task->client) : NULL;
	if (unsaved != NULL) {
		unsaved->running--;
		unsaved->last = op->return_at;
		history->counts.unsaved++;
	}
	return op;
}

void history_noted(struct history *history, struct history_task *task)
{
	char path[HISTORY_PATH_BYTES], text[LINEAR_OP_TEXT_BYTES];
	const struct linear_op *op = &task->object->ops[task->index];
	task->object->model->op_text(op, text, sizeof(text));
	history_path(task->object, 0, path);
	task->object = NULL;
	WORLD_MEMORY();
	world_note(history->world, NULL, "%s: client %u [%llu .. %lld] %s", path, op->client, (unsigned long long)op->call_at,
		   (long long)op->return_at, text); /* -1: never returned */
}

void history_lost(struct history *history, struct history_task *task, bool partly)
{
	struct history_object *object = task->object;
	struct history_open *open = open_find(object, task->index);
	const struct linear_op lost = object->ops[task->index];
	bool has_ended = lost.return_at != LINEAR_NEVER; /* somebody knew of it before; all that may become of it is told */
	history->counts.lost++;
	if (task->is_data && (partly || !can_be_undone(object) || (open == NULL && !has_ended))) {
		cut(history, object, lost.call_at);
		open_remove(object, open);
	} else if (task->is_data && !has_ended) { /* it may yet arrive; or its own mount has shown it, and nobody will again */
		may_be_undone(history, object, &(struct linear_op){.client = task->client, .call_at = lost.call_at, .return_at = LINEAR_NEVER},
			      open->identity);
	}
	history_noted(history, task);
}

void history_saved(struct history *history, struct history_object *object, unsigned client, uint64_t called_at, int64_t rc)
{
	struct history_unsaved *unsaved = unsaved_of(object, client);
	if (unsaved == NULL || unsaved->since == LINEAR_NEVER)
		return;
	if (rc < 0)
		cut(history, object, unsaved->since);
	else if (unsaved->running == 0 && unsaved->last < called_at)
		unsaved->since = LINEAR_NEVER;
}

struct history_object *history_writing(const struct history_task *task)
{
	bool writes = task->object != NULL && task->is_data && task->object->offset_bytes > 0 && history_slots[task->object->slot].saves;
	return writes ? task->object : NULL;
}

void history_want(struct history *history, struct history_object *object, uint64_t duration_ns)
{
	history->wanted.object = object;
	history->wanted.until_ns = world_now_ns(history->world) + duration_ns;
}

/* ---- what befalls the cluster --------------------------------------------------------------------------------- */

/* The servers give its lock back when they find that it is dead: at any time since it last heard of it. */
static void lock_of_dead(struct history *history, struct history_task *task)
{
	struct history_object *object = task->lock.object;
	if (object != NULL)
		(void)op_add(object, &(struct linear_op){.client = task->client, .kind = LINEAR_RELEASE, .a = task->lock.owner,
							 .call_at = task->lock.since, .return_at = LINEAR_NEVER});
	(void)history;
}

void history_crashed(struct history *history, struct history_task *task)
{
	if (task->object != NULL)
		history_lost(history, task, false);
	lock_of_dead(history, task);
}

void history_client_crashed(struct history *history, unsigned client)
{
	CHECK(client < HISTORY_CLIENTS_MAX);
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		struct history_unsaved *unsaved = unsaved_of(object, client);
		object->cuts[client].running = 0;
		if (unsaved == NULL || unsaved->since == LINEAR_NEVER)
			continue;
		cut(history, object, unsaved->since);
		*unsaved = (struct history_unsaved){.since = LINEAR_NEVER};
	}
}

/* Mounts that live write it again, but may die before they do. What those had written who are evicted is stable from the fence on; until then it needs two
 * crashes to lose it (docs/posix.md). */
static bool may_lose(const struct history *history, const struct history_object *object, unsigned ost)
{
	const struct history_hooks *hooks = &history->hooks;
	for (unsigned i = 0; i < object->open_count; i++)
		if (hooks->fenced == NULL || !hooks->fenced(hooks->ctx, ost, object->open[i].identity))
			return true;
	return false;
}

void history_server_crashes(struct history *history, unsigned ost)
{
	history->clock++;
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		struct linear_op op = {.client = VERIFIER, .kind = LINEAR_TEAR, .call_at = history->clock, .return_at = LINEAR_NEVER};
		if (object->model != &linear_register || object->offset_bytes == 0 || !may_lose(history, object, ost))
			continue;
		may_be_undone(history, object, &op, 0);
		(void)op_add(object, &op); /* or a part of it is left */
	}
}

void history_server_serves(struct history *history)
{
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		for (size_t i = 0; i < object->count; i++)
			if (object->ops[i].client == VERIFIER && object->ops[i].return_at == LINEAR_NEVER)
				object->ops[i].return_at = ++history->clock;
	}
}

/* As its owner knows. */
static bool has_locked(const struct history_object *object, uint32_t owner)
{
	bool locked = false;
	uint64_t last = 0;
	for (size_t i = 0; i < object->count; i++) {
		const struct linear_op *op = &object->ops[i];
		if (op->a != owner || !op->returned || op->rc < 0 || op->return_at < last)
			continue;
		last = op->return_at;
		locked = op->kind != LINEAR_UNLOCK;
	}
	return locked;
}

/* A lock that it has granted, and of which its owner has not heard, is granted no more; others may have been refused because of it. */
void history_mdt_crashes(struct history *history)
{
	uint64_t granted_until = ++history->clock, gone_at = ++history->clock;
	list_for_each(at, &history->objects) {
		struct history_object *object = CONTAINER_OF(at, struct history_object, link);
		size_t count = object->model == &linear_lock ? object->count : 0;
		for (size_t i = 0; i < count; i++) {
			struct linear_op op = object->ops[i];
			if ((op.kind != LINEAR_LOCK && op.kind != LINEAR_SHARE) || op.return_at != LINEAR_NEVER || has_locked(object, op.a))
				continue;
			op.return_at = granted_until;
			(void)op_add(object, &op);
			op.kind = LINEAR_RELEASE;
			op.call_at = granted_until;
			op.return_at = gone_at;
			(void)op_add(object, &op);
		}
	}
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void bad(struct history *history, const struct history_object *object, const struct linear_op *ops, size_t count)
{
	char path[HISTORY_PATH_BYTES], text[LINEAR_TEXT_BYTES], *line, *rest = text;
	history_path(object, 0, path);
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
		for (uint32_t i = 0; i < HISTORY_NAMES; i++)
			history_look_name(history, kernel, task, object, i);
		return;
	}
	if (object->model == &linear_lock)
		return;
	history_look_by_name(history, kernel, task, object);
	int fd = history_file_open(history, kernel, object, O_RDONLY);
	if (fd < 0)
		return;
	history_look_content(history, kernel, task, object, fd);
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
