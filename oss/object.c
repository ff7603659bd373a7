/* SPDX-License-Identifier: Apache-2.0
 * Objects in memory: their gates, their open files (a bounded number), and what the store says of them. */
#include "oss/oss_impl.h"
#include "common/base/check.h"

#include <inttypes.h>
#include <stdio.h>

enum { META_BYTES = 25, META_VERSION = 1 };

struct gate_waiter { /* on the stack of its task */
	struct list_node link;
	struct task *task;
	enum object_mode mode;
	bool granted;
};

/* ---- names and keys ------------------------------------------------------------------------------------------- */

static unsigned dir_of(struct ino ino)
{
	return (unsigned)(map_hash_u64(ino.v) % OBJECT_DIRS);
}

void ost_object_path(struct ino ino, uint32_t component, uint32_t stripe, char ret_path[OBJECT_PATH_BYTES])
{
	(void)snprintf(ret_path, OBJECT_PATH_BYTES, "o/%02x/%016" PRIx64 ".%x.%x", dir_of(ino), ino.v, component, stripe);
}

void object_dir(struct object_name name, char ret_path[OBJECT_PATH_BYTES])
{
	(void)snprintf(ret_path, OBJECT_PATH_BYTES, "o/%02x", dir_of(name.ino));
}

int objects_make_dirs(struct env *env)
{
	int rc = env->disk->ops->mkdir(env->disk, "o");
	for (unsigned i = 0; i < OBJECT_DIRS && (rc == 0 || rc == -EEXIST); i++) {
		char path[OBJECT_PATH_BYTES];
		(void)snprintf(path, sizeof(path), "o/%02x", i);
		rc = env->disk->ops->mkdir(env->disk, path);
	}
	if (rc == 0 || rc == -EEXIST)
		rc = env->disk->ops->dir_sync(env->disk, "o");
	return rc == 0 ? env->disk->ops->dir_sync(env->disk, ".") : rc;
}

struct ost_key key_make(char letter)
{
	return (struct ost_key){.len = 1, .bytes = {(uint8_t)letter}};
}

void key_add_u64(struct ost_key *key, uint64_t v)
{
	store_be64(key->bytes + key->len, v);
	key->len = (uint16_t)(key->len + 8);
}

void key_add_u32(struct ost_key *key, uint32_t v)
{
	store_be32(key->bytes + key->len, v);
	key->len = (uint16_t)(key->len + 4);
}

struct ost_key key_object(char letter, struct object_name name)
{
	struct ost_key key = key_make(letter);
	key_add_u64(&key, name.ino.v);
	key_add_u32(&key, name.component);
	key_add_u32(&key, name.stripe);
	return key;
}

struct ost_key key_chunk(char letter, struct object_name name, uint64_t chunk)
{
	struct ost_key key = key_object(letter, name);
	key_add_u64(&key, chunk);
	return key;
}

/* ---- in memory ------------------------------------------------------------------------------------------------ */

static uint64_t hash_of(struct object_name name)
{
	return map_hash_u64(name.ino.v ^ map_hash_u64((uint64_t)name.component << 32 | name.stripe));
}

static struct object *find(struct ost *ost, struct object_name name)
{
	for (struct map_node *node = map_first(&ost->objects, hash_of(name)); node != NULL; node = map_next(node)) {
		struct object *object = CONTAINER_OF(node, struct object, node);
		if (ino_eq(object->name.ino, name.ino) && object->name.component == name.component && object->name.stripe == name.stripe)
			return object;
	}
	return NULL;
}

static void close_files(struct ost *ost, struct object *object)
{
	if (object->file != NULL || object->direct != NULL)
		ost->open_count--;
	if (object->file != NULL)
		ost->env->disk->ops->close(object->file);
	if (object->direct != NULL)
		ost->env->disk->ops->close(object->direct);
	object->file = object->direct = NULL;
}

static void object_free(struct ost *ost, struct object *object)
{
	close_files(ost, object);
	list_remove(&object->lru);
	map_remove(&ost->objects, &object->node);
	sums_drop(object);
	map_fini(&object->chunks);
	spans_free(&object->spans);
	mem_free(object);
}

static bool is_forgettable(const struct ost *ost, const struct object *object)
{
	return object->users == 0 && object->file == NULL && object->direct == NULL && object->committed >= object->applied &&
	       object->batch <= ost->kvq.durable && object->spans.count == 0 && !object->committing && sums_are_clean(object);
}

static void close_oldest(struct ost *ost)
{
	while (ost->open_count > ost->conf.open_files_max) {
		struct list_node *node = list_pop_front(&ost->open_objects);
		if (node == NULL)
			return; /* all are in use: their number is bounded by the requests in service */
		struct object *object = CONTAINER_OF(node, struct object, lru);
		close_files(ost, object);
		if (is_forgettable(ost, object))
			object_free(ost, object);
	}
}

void object_put(struct ost *ost, struct object *object)
{
	CHECK(object->users > 0);
	if (--object->users > 0)
		return;
	if (object->file != NULL || object->direct != NULL)
		list_push_back(&ost->open_objects, &object->lru);
	else if (is_forgettable(ost, object))
		object_free(ost, object);
	close_oldest(ost);
}

static int load_meta(struct ost *ost, struct object *object)
{
	struct arena arena;
	struct blob value;
	struct ost_key key = key_object('M', object->name);
	arena_init(&arena);
	int rc = ost->env->kv->ops->get(ost->env->kv, ost_key_blob(&key), &arena, &value);
	if (rc == 0 && (value.len != META_BYTES || value.ptr[0] != META_VERSION))
		rc = fail(ERR_corrupt);
	if (rc == 0) {
		object->mtime_ns = (int64_t)load_le64(value.ptr + 1);
		object->stable = (struct write_order){load_le64(value.ptr + 9), load_le64(value.ptr + 17)};
	}
	arena_fini(&arena);
	/* Never committed: an earlier life of this process may have made the file, and only its machine's memory knows the name. */
	if (rc == -ENOENT)
		object->name_unsynced = true;
	return rc == -ENOENT ? 0 : rc;
}

void object_save(struct ost *ost, struct object *object)
{
	uint8_t value[META_BYTES] = {META_VERSION};
	struct ost_key key = key_object('M', object->name);
	store_le64(value + 1, (uint64_t)object->mtime_ns);
	store_le64(value + 9, object->stable.verifier);
	store_le64(value + 17, object->stable.order);
	object->batch = kvq_put(&ost->kvq, ost_key_blob(&key), blob_of(value, sizeof(value)));
}

static int load(struct ost *ost, struct object *object)
{
	char path[OBJECT_PATH_BYTES];
	struct disk_stat stat;
	ost_object_path(object->name.ino, object->name.component, object->name.stripe, path);
	int rc = ost->env->disk->ops->stat(ost->env->disk, path, &stat);
	if (rc == 0) {
		object->exists = true;
		object->size_bytes = stat.size_bytes;
		rc = load_meta(ost, object);
	}
	return rc == -ENOENT ? 0 : rc;
}

void object_use(struct object *object)
{
	object->users++;
	list_remove(&object->lru);
}

int object_get(struct ost *ost, struct object_name name, struct object **ret_object)
{
	struct object *object = find(ost, name);
	if (object == NULL) {
		object = mem_alloc(sizeof(*object));
		object->name = name;
		list_node_init(&object->lru);
		list_init(&object->waiters);
		waitq_init(&object->committed_q);
		map_init(&object->chunks);
		map_insert(&ost->objects, &object->node, hash_of(name));
	}
	object_use(object);
	if (!object->loaded) {
		object_enter(ost, object, OBJECT_EXCLUSIVE);
		int rc = object->loaded ? 0 : load(ost, object);
		object->loaded = rc == 0;
		object_leave(ost, object, OBJECT_EXCLUSIVE);
		if (rc < 0) {
			object_put(ost, object);
			return rc;
		}
	}
	*ret_object = object;
	return 0;
}

/* ---- gates ---------------------------------------------------------------------------------------------------- */

static bool admits(const struct object *object, enum object_mode mode)
{
	return !object->exclusive && (mode == OBJECT_SHARED || object->shared == 0);
}

static void hold(struct object *object, enum object_mode mode)
{
	if (mode == OBJECT_EXCLUSIVE)
		object->exclusive = true;
	else
		object->shared++;
}

void object_enter(struct ost *ost, struct object *object, enum object_mode mode)
{
	if (list_is_empty(&object->waiters) && admits(object, mode)) {
		hold(object, mode);
		return;
	}
	struct gate_waiter waiter = {.task = task_current(ost->env->loop), .mode = mode};
	list_push_back(&object->waiters, &waiter.link);
	while (!waiter.granted)
		task_park(ost->env->loop);
}

void object_leave(struct ost *ost, struct object *object, enum object_mode mode)
{
	(void)ost;
	if (mode == OBJECT_EXCLUSIVE)
		object->exclusive = false;
	else
		object->shared--;
	struct list_node *node;
	while ((node = list_first(&object->waiters)) != NULL) {
		struct gate_waiter *waiter = CONTAINER_OF(node, struct gate_waiter, link);
		if (!admits(object, waiter->mode))
			return;
		list_remove(node);
		hold(object, waiter->mode);
		waiter->granted = true;
		task_wake(waiter->task);
	}
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

int object_open(struct ost *ost, struct object *object, bool create, bool direct, struct disk_file **ret_file)
{
	struct disk_file **slot = direct ? &object->direct : &object->file;
	if (*slot != NULL) {
		*ret_file = *slot;
		return 0;
	}
	if (!object->exists && !create)
		return fail(ENOENT);
	char path[OBJECT_PATH_BYTES];
	struct disk_file *file = NULL;
	unsigned flags = DISK_READ | DISK_WRITE | (direct ? (unsigned)DISK_DIRECT : 0u) | (object->exists ? 0u : (unsigned)DISK_CREATE);
	ost_object_path(object->name.ino, object->name.component, object->name.stripe, path);
	int rc = ost->env->disk->ops->open(ost->env->disk, path, flags, &file);
	if (rc < 0)
		return rc;
	if (!object->exists) {
		object->exists = object->name_unsynced = true;
		object->size_bytes = 0;
	}
	if (*slot != NULL) { /* another reader was faster */
		ost->env->disk->ops->close(file);
		*ret_file = *slot;
		return 0;
	}
	if (object->file == NULL && object->direct == NULL)
		ost->open_count++;
	*slot = file;
	*ret_file = file;
	return 0;
}

int object_destroy(struct ost *ost, struct object *object, bool *ret_existed)
{
	char path[OBJECT_PATH_BYTES];
	*ret_existed = object->exists;
	if (!object->exists)
		return 0;
	ost_object_path(object->name.ino, object->name.component, object->name.stripe, path);
	while (object->committing) /* it uses the files, without the gate */
		(void)waitq_wait(&object->committed_q, ost->env->loop, UINT64_MAX); /* no deadline */
	close_files(ost, object);
	int rc = ost->env->disk->ops->unlink(ost->env->disk, path);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = sums_destroy(ost, object);
	struct ost_key key = key_object('M', object->name);
	object->batch = kvq_delete(&ost->kvq, ost_key_blob(&key));
	object->exists = object->name_unsynced = false;
	object->size_bytes = 0;
	object->mtime_ns = 0;
	object->stable = (struct write_order){0};
	object->committed = object->applied;
	spans_free(&object->spans);
	return rc;
}

void objects_free(struct ost *ost)
{
	struct map_iter iter = map_iter_begin(&ost->objects);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		object_free(ost, CONTAINER_OF(node, struct object, node));
	map_fini(&ost->objects);
}
