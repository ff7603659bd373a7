/* SPDX-License-Identifier: Apache-2.0
 * Files in memory with a durable side, and what a crash leaves of them.
 *
 * Faults that must be survived: of the unsynced changes of a file, those before some truncation, punch or allocation survive each wholly, partly (any
 * pages of it) or not at all, those after it not (a journal keeps metadata in order); of the unsynced names a prefix survives. Never:
 * a synced byte lost, or bytes that nobody wrote. */
#include "tests/sim/fs.h"
#include "tests/sim/seam.h"

struct page {
	struct map_node node;
	uint64_t index;
	uint8_t bytes[IMAGE_PAGE_BYTES];
};

static struct page *page_find(const struct image *image, uint64_t index)
{
	struct map_node *node = map_first(&image->pages, map_hash_u64(index));
	for (; node != NULL; node = map_next(node)) {
		struct page *page = CONTAINER_OF(node, struct page, node);
		if (page->index == index)
			return page;
	}
	return NULL;
}

void image_init(struct image *image)
{
	map_init(&image->pages);
	image->size = 0;
}

void image_fini(struct image *image)
{
	struct map_iter iter = map_iter_begin(&image->pages);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		map_remove(&image->pages, node);
		mem_free(CONTAINER_OF(node, struct page, node));
	}
	map_fini(&image->pages);
	map_init(&image->pages);
	image->size = 0;
}

static struct page *page_need(struct image *image, uint64_t index)
{
	struct page *page = page_find(image, index);
	if (page == NULL) {
		page = mem_alloc(sizeof(*page));
		page->index = index;
		map_insert(&image->pages, &page->node, map_hash_u64(index));
	}
	return page;
}

void image_write(struct image *image, const void *buf, size_t len, uint64_t offset)
{
	const uint8_t *from = buf;
	for (size_t done = 0; done < len;) {
		uint64_t index = (offset + done) / IMAGE_PAGE_BYTES;
		size_t at = (size_t)((offset + done) % IMAGE_PAGE_BYTES);
		size_t part = (size_t)min_u64(len - done, IMAGE_PAGE_BYTES - at);
		struct page *page = page_need(image, index);
		memcpy(page->bytes + at, from + done, part);
		done += part;
	}
	image->size = max_u64(image->size, offset + len);
}

void image_read(const struct image *image, void *buf, size_t len, uint64_t offset)
{
	uint8_t *to = buf;
	for (size_t done = 0; done < len;) {
		size_t at = (size_t)((offset + done) % IMAGE_PAGE_BYTES);
		size_t part = (size_t)min_u64(len - done, IMAGE_PAGE_BYTES - at);
		struct page *page = page_find(image, (offset + done) / IMAGE_PAGE_BYTES);
		if (page != NULL)
			memcpy(to + done, page->bytes + at, part);
		else
			memset(to + done, 0, part);
		done += part;
	}
}

void image_punch(struct image *image, uint64_t offset, uint64_t len)
{
	uint64_t end = add_sat_u64(offset, len);
	struct map_iter iter = map_iter_begin(&image->pages);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct page *page = CONTAINER_OF(node, struct page, node);
		uint64_t start = page->index * IMAGE_PAGE_BYTES;
		uint64_t from = max_u64(offset, start), to = min_u64(end, start + IMAGE_PAGE_BYTES);
		if (from >= to)
			continue;
		if (to - from == IMAGE_PAGE_BYTES) {
			map_remove(&image->pages, node);
			mem_free(page);
		} else {
			memset(page->bytes + (from - start), 0, (size_t)(to - from));
		}
	}
}

void image_alloc(struct image *image, uint64_t offset, uint64_t len)
{
	for (uint64_t index = offset / IMAGE_PAGE_BYTES; index * IMAGE_PAGE_BYTES < offset + len; index++)
		(void)page_need(image, index);
}

uint64_t image_missing(const struct image *image, uint64_t offset, uint64_t len)
{
	uint64_t missing = 0;
	for (uint64_t index = offset / IMAGE_PAGE_BYTES; index * IMAGE_PAGE_BYTES < offset + len; index++)
		missing += page_find(image, index) == NULL;
	return missing;
}

/* Over the pages, not over the offsets: a sparse file has few of them. */
static uint64_t next_page(const struct image *image, uint64_t index)
{
	uint64_t next = UINT64_MAX;
	struct map_iter iter = map_iter_begin(&image->pages);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		const struct page *page = CONTAINER_OF(node, struct page, node);
		if (page->index >= index)
			next = min_u64(next, page->index);
	}
	return next;
}

uint64_t image_seek(const struct image *image, uint64_t offset, bool hole)
{
	if (offset >= image->size)
		return UINT64_MAX;
	uint64_t index = offset / IMAGE_PAGE_BYTES;
	if (hole)
		while (page_find(image, index) != NULL)
			index++;
	else
		index = next_page(image, index);
	if (index > image->size / IMAGE_PAGE_BYTES || index * IMAGE_PAGE_BYTES >= image->size)
		return hole ? image->size : UINT64_MAX;
	return max_u64(offset, index * IMAGE_PAGE_BYTES);
}

void image_truncate(struct image *image, uint64_t size)
{
	if (size < image->size)
		image_punch(image, size, UINT64_MAX);
	image->size = size;
}

void image_copy(struct image *to, const struct image *from)
{
	image_fini(to);
	struct map_iter iter = map_iter_begin(&from->pages);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct page *page = CONTAINER_OF(node, struct page, node);
		image_write(to, page->bytes, IMAGE_PAGE_BYTES, page->index * IMAGE_PAGE_BYTES);
	}
	to->size = from->size;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

struct fs_name *fs_find(struct list *names, const char *path)
{
	list_for_each(at, names) {
		struct fs_name *name = CONTAINER_OF(at, struct fs_name, link);
		int order = strcmp(name->path, path);
		if (order == 0)
			return name;
		if (order > 0)
			break;
	}
	return NULL;
}

static void name_add(struct list *names, const char *path, struct fs_file *file)
{
	struct fs_name *name = mem_alloc(sizeof(*name));
	name->path = mem_strdup(path);
	name->file = file;
	struct list_node *before = names->head.next;
	while (before != &names->head && strcmp(CONTAINER_OF(before, struct fs_name, link)->path, path) < 0)
		before = before->next;
	list_insert_before(before, &name->link);
}

static void name_free(struct fs_name *name)
{
	list_remove(&name->link);
	mem_free(name->path);
	mem_free(name);
}

static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? (size_t)(slash - path) : 0;
}

/* "." is the root; it is no entry. */
static bool is_child_of(const char *path, const char *dir)
{
	size_t len = parent_len(path);
	if (strcmp(dir, ".") == 0)
		return len == 0;
	return len == strlen(dir) && strncmp(path, dir, len) == 0;
}

static bool parent_in(struct list *names, const char *path)
{
	size_t len = parent_len(path);
	if (len == 0)
		return true;
	char *parent = mem_dup(path, len + 1);
	parent[len] = '\0';
	struct fs_name *name = fs_find(names, parent);
	mem_free(parent);
	return name != NULL && name->file->is_dir;
}

bool fs_parent_exists(struct sim_fs *fs, const char *path)
{
	return parent_in(&fs->names, path);
}

static void change_free(struct change *change)
{
	list_remove(&change->link);
	mem_free(change);
}

static void name_change_free(struct name_change *change)
{
	list_remove(&change->link);
	mem_free(change->path);
	mem_free(change->to);
	mem_free(change);
}

static void changes_drop(struct fs_file *file)
{
	while (list_first(&file->changes) != NULL)
		change_free(CONTAINER_OF(list_first(&file->changes), struct change, link));
}

static bool is_pending_creation(struct sim_fs *fs, const struct fs_file *file)
{
	list_for_each(at, &fs->changes)
		if (CONTAINER_OF(at, struct name_change, link)->file == file)
			return true;
	return false;
}

static uint64_t image_bytes(const struct image *image)
{
	return image->pages.count * IMAGE_PAGE_BYTES;
}

static void file_free(struct sim_fs *fs, struct fs_file *file)
{
	fs->used -= min_u64(fs->used, image_bytes(&file->now));
	changes_drop(file);
	image_fini(&file->now);
	image_fini(&file->durable);
	list_remove(&file->link);
	mem_free(file);
}

void fs_file_put(struct sim_fs *fs, struct fs_file *file)
{
	if (file->names == 0 && file->opens == 0 && file->durable_names == 0 && !is_pending_creation(fs, file))
		file_free(fs, file);
}

static void name_note(struct sim_fs *fs, const char *path, const char *to, struct fs_file *file)
{
	struct name_change *change = mem_alloc(sizeof(*change));
	change->path = mem_strdup(path);
	change->to = to != NULL ? mem_strdup(to) : NULL;
	change->file = file;
	list_push_back(&fs->changes, &change->link);
}

struct fs_file *fs_create(struct sim_fs *fs, const char *path, bool is_dir)
{
	struct fs_file *file = mem_alloc(sizeof(*file));
	image_init(&file->now);
	image_init(&file->durable);
	list_init(&file->changes);
	file->is_dir = is_dir;
	file->names = 1;
	list_push_back(&fs->files, &file->link);
	name_add(&fs->names, path, file);
	name_note(fs, path, NULL, file);
	return file;
}

int fs_unlink(struct sim_fs *fs, const char *path)
{
	struct fs_name *name = fs_find(&fs->names, path);
	if (name == NULL)
		return -ENOENT;
	struct fs_file *file = name->file;
	name_note(fs, path, NULL, NULL);
	name_free(name);
	file->names--;
	fs_file_put(fs, file);
	return 0;
}

int fs_rename(struct sim_fs *fs, const char *from, const char *to)
{
	struct fs_name *name = fs_find(&fs->names, from);
	struct fs_name *old = fs_find(&fs->names, to);
	if (name == NULL || !fs_parent_exists(fs, to))
		return -ENOENT;
	if (old == name)
		return 0;
	struct fs_file *file = name->file;
	name_note(fs, from, to, NULL);
	name_free(name);
	if (old != NULL) {
		struct fs_file *replaced = old->file;
		name_free(old);
		replaced->names--;
		fs_file_put(fs, replaced);
	}
	name_add(&fs->names, to, file);
	return 0;
}

static void durable_remove(struct sim_fs *fs, const char *path)
{
	struct fs_name *name = fs_find(&fs->durables, path);
	if (name == NULL)
		return;
	name->file->durable_names--;
	name_free(name);
}

/* Makes one change of names durable. The files that lose their last name by it are freed by the caller's sweep. */
static void name_settle(struct sim_fs *fs, struct name_change *change)
{
	if (change->file != NULL) {
		durable_remove(fs, change->path);
		name_add(&fs->durables, change->path, change->file);
		change->file->durable_names++;
	} else if (change->to == NULL) {
		durable_remove(fs, change->path);
	} else {
		struct fs_name *name = fs_find(&fs->durables, change->path);
		durable_remove(fs, change->to);
		if (name != NULL) {
			name_add(&fs->durables, change->to, name->file);
			name_free(name);
		}
	}
	name_change_free(change);
}

static void sweep(struct sim_fs *fs)
{
	list_for_each_safe(at, tmp, &fs->files)
		fs_file_put(fs, CONTAINER_OF(at, struct fs_file, link));
}

void fs_sync_dir(struct sim_fs *fs, const char *dir)
{
	/* A rename out of another directory needs what happened there before: the whole prefix goes, as in a journal. */
	struct list_node *last = NULL;
	list_for_each(at, &fs->changes) {
		struct name_change *change = CONTAINER_OF(at, struct name_change, link);
		if (is_child_of(change->to != NULL ? change->to : change->path, dir))
			last = at;
	}
	bool removed = false;
	while (last != NULL) {
		struct list_node *first = list_first(&fs->changes);
		struct name_change *change = CONTAINER_OF(first, struct name_change, link);
		removed = removed || change->file == NULL;
		bool stop = first == last;
		name_settle(fs, change);
		if (stop)
			break;
	}
	if (removed)
		sweep(fs);
}

/* ---- contents ------------------------------------------------------------------------------------------------- */

static void change_apply(struct image *image, const struct change *change)
{
	if (change->kind == CHANGE_WRITE)
		image_write(image, change->data, (size_t)change->len, change->offset);
	else if (change->kind == CHANGE_TRUNCATE)
		image_truncate(image, change->offset);
	else if (change->kind == CHANGE_PUNCH)
		image_punch(image, change->offset, change->len);
	else
		image_alloc(image, change->offset, change->len);
}

void fs_add_change(struct fs_file *file, enum change_kind kind, const void *data, uint64_t len, uint64_t offset)
{
	struct change *change = mem_alloc(sizeof(*change) + (data != NULL ? (size_t)len : 0));
	change->kind = kind;
	change->offset = offset;
	change->len = len;
	change->sequence = ++file->sequence;
	if (data != NULL)
		memcpy(change->data, data, (size_t)len);
	change_apply(&file->now, change);
	list_push_back(&file->changes, &change->link);
}

void fs_sync_file(struct fs_file *file, uint64_t sequence)
{
	list_for_each_safe(at, tmp, &file->changes) {
		struct change *change = CONTAINER_OF(at, struct change, link);
		if (change->sequence > sequence)
			break;
		change_apply(&file->durable, change);
		change_free(change);
	}
}

/* Any pages of a write survive; its size only with its last one. */
static void write_tear(struct image *image, const struct change *change, struct rng *rng)
{
	for (uint64_t done = 0; done < change->len;) {
		uint64_t part = min_u64(change->len - done, IMAGE_PAGE_BYTES - (change->offset + done) % IMAGE_PAGE_BYTES);
		if (rng_chance(rng, 500000))
			image_write(image, change->data + done, (size_t)part, change->offset + done);
		done += part;
	}
}

static void file_crash(struct sim_fs *fs, struct fs_file *file, struct rng *rng, unsigned keep)
{
	struct world_counts *counts = world_counts(fs->world);
	list_for_each_safe(at, tmp, &file->changes) {
		struct change *change = CONTAINER_OF(at, struct change, link);
		if (rng_chance(rng, keep)) {
			change_apply(&file->durable, change);
		} else if (change->kind != CHANGE_WRITE) {
			break;
		} else if (rng_chance(rng, 400000)) {
			write_tear(&file->durable, change, rng);
			counts->disk_writes_torn++;
		} else {
			counts->disk_writes_undone++;
		}
	}
	changes_drop(file);
}

void fs_crash(struct sim_fs *fs, struct rng *rng, unsigned keep)
{
	while (list_first(&fs->changes) != NULL && rng_chance(rng, keep))
		name_settle(fs, CONTAINER_OF(list_first(&fs->changes), struct name_change, link));
	while (list_first(&fs->changes) != NULL) {
		world_counts(fs->world)->disk_names_undone++;
		name_change_free(CONTAINER_OF(list_first(&fs->changes), struct name_change, link));
	}
	while (list_first(&fs->names) != NULL) {
		struct fs_name *name = CONTAINER_OF(list_first(&fs->names), struct fs_name, link);
		name->file->names--;
		name_free(name);
	}
	/* A durable name below a directory that is not is lost with it. Parents sort before their children. */
	list_for_each_safe(at, tmp, &fs->durables) {
		struct fs_name *name = CONTAINER_OF(at, struct fs_name, link);
		if (!parent_in(&fs->durables, name->path)) {
			name->file->durable_names--;
			name_free(name);
			continue;
		}
		name_add(&fs->names, name->path, name->file);
		name->file->names++;
	}
	sweep(fs);
	fs->used = 0;
	list_for_each(at, &fs->files) {
		struct fs_file *file = CONTAINER_OF(at, struct fs_file, link);
		if (!list_is_empty(&file->changes)) {
			file_crash(fs, file, rng, keep);
			image_copy(&file->now, &file->durable);
		}
		fs->used += image_bytes(&file->now);
	}
}

/* ---- for the world -------------------------------------------------------------------------------------------- */

struct sim_fs *sim_fs_new(struct world *world)
{
	struct sim_fs *fs = mem_alloc(sizeof(*fs));
	fs->world = world;
	list_init(&fs->files);
	list_init(&fs->names);
	list_init(&fs->durables);
	list_init(&fs->changes);
	fs->capacity = UINT64_MAX;
	return fs;
}

static void names_free(struct list *names)
{
	while (list_first(names) != NULL)
		name_free(CONTAINER_OF(list_first(names), struct fs_name, link));
}

void sim_fs_free(struct sim_fs *fs)
{
	names_free(&fs->names);
	names_free(&fs->durables);
	while (list_first(&fs->changes) != NULL)
		name_change_free(CONTAINER_OF(list_first(&fs->changes), struct name_change, link));
	while (list_first(&fs->files) != NULL)
		file_free(fs, CONTAINER_OF(list_first(&fs->files), struct fs_file, link));
	mem_free(fs);
}

void sim_fs_set_capacity(struct sim_fs *fs, uint64_t bytes)
{
	fs->capacity = bytes;
}

uint64_t sim_fs_used(const struct sim_fs *fs)
{
	return fs->used;
}

void sim_fs_each(struct sim_fs *fs, void (*visit)(void *ctx, const char *path, uint64_t size_bytes), void *ctx)
{
	list_for_each(at, &fs->names) {
		struct fs_name *name = CONTAINER_OF(at, struct fs_name, link);
		if (!name->file->is_dir)
			visit(ctx, name->path, name->file->now.size);
	}
}

int64_t sim_fs_peek(struct sim_fs *fs, const char *path, void *buf, size_t len, uint64_t offset)
{
	struct fs_name *name = fs_find(&fs->names, path);
	if (name == NULL)
		return -ENOENT;
	if (offset >= name->file->now.size)
		return 0;
	len = (size_t)min_u64(len, name->file->now.size - offset);
	image_read(&name->file->now, buf, len, offset);
	return (int64_t)len;
}
