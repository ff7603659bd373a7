/* SPDX-License-Identifier: Apache-2.0
 * The simulated disk seam over files in memory: latency, errors, a capacity, and crashes in the middle of a write. */
#include "tests/sim/fs.h"
#include "tests/sim/seam.h"

struct sim_disk {
	struct disk disk;
	struct sim_node *node;
	struct sim_fs *fs;
	struct list opens;   /* struct sim_file */
	struct list writing; /* struct write_op, on their tasks' stacks */
};

struct sim_file {
	struct disk_file file;
	struct list_node link;
	struct sim_disk *disk;
	struct fs_file *inode;
	unsigned flags, in_flight;
};

static struct sim_disk *disk_of(struct disk *disk)
{
	return CONTAINER_OF(disk, struct sim_disk, disk);
}

static struct sim_file *file_of(struct disk_file *file)
{
	return CONTAINER_OF(file, struct sim_file, file);
}

static int disk_wait(struct sim_disk *disk, struct sim_op *op, uint64_t min_ns, uint64_t max_ns)
{
	const struct sim_faults *faults = world_faults(disk->node->world);
	struct rng *rng = &disk->node->fault_rng;
	uint64_t delay_ns = rng_range(rng, min_ns, max_ns);
	if (sim_chance(disk->node, faults->disk_slow))
		delay_ns += rng_below(rng, faults->slow_ns_max);
	(void)sim_op_wait(op, disk->node, delay_ns);
	if (op->rc >= 0 && sim_chance(disk->node, faults->disk_error)) {
		world_counts(disk->node->world)->disk_errors++;
		return -EIO;
	}
	return op->rc;
}

static int disk_pause(struct sim_disk *disk)
{
	struct sim_op op = {0};
	return disk_wait(disk, &op, 5 * NS_PER_US, 60 * NS_PER_US);
}

static int file_pause(struct sim_file *file, uint64_t min_ns, uint64_t max_ns)
{
	struct sim_op op = {0};
	file->in_flight++;
	int rc = disk_wait(file->disk, &op, min_ns, max_ns);
	file->in_flight--;
	return rc;
}

static void file_touch(struct sim_file *file)
{
	file->inode->mtime_ns = file->disk->node->clock.clock.ops->real_ns(&file->disk->node->clock.clock);
}

static int disk_open(struct disk *seam, const char *path, unsigned flags, struct disk_file **ret_file)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	struct fs_name *name = fs_find(&disk->fs->names, path);
	if (name == NULL && !(flags & DISK_CREATE))
		return -ENOENT;
	if (name == NULL && !fs_parent_exists(disk->fs, path))
		return -ENOENT;
	if (name != NULL && (flags & DISK_EXCL))
		return -EEXIST;
	if (name != NULL && name->file->is_dir)
		return -EISDIR;
	struct fs_file *inode = name != NULL ? name->file : fs_create(disk->fs, path, false);
	inode->opens++;
	struct sim_file *file = mem_alloc(sizeof(*file));
	file->file.disk = seam;
	file->disk = disk;
	file->inode = inode;
	file->flags = flags;
	if (name == NULL)
		file_touch(file);
	list_push_back(&disk->opens, &file->link);
	*ret_file = &file->file;
	return 0;
}

static void file_free(struct sim_file *file)
{
	list_remove(&file->link);
	file->inode->opens--;
	fs_file_put(file->disk->fs, file->inode);
	mem_free(file);
}

static void disk_close(struct disk_file *seam)
{
	struct sim_file *file = file_of(seam);
	CHECK_MSG(file->in_flight == 0, "a file was closed under an operation");
	WORLD_MEMORY();
	file_free(file);
}

static bool aligned_as_needed(const struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	return !(file->flags & DISK_DIRECT) || ((uintptr_t)buf % 4096 == 0 && len % 4096 == 0 && offset % 4096 == 0);
}

struct read_op {
	struct sim_op op;
	struct sim_file *file;
	void *buf;
	size_t len;
	uint64_t offset;
	size_t done;
};

static void read_apply(struct sim_op *op)
{
	struct read_op *read = CONTAINER_OF(op, struct read_op, op);
	const struct image *image = &read->file->inode->now;
	if (read->offset < image->size)
		read->done = (size_t)min_u64(read->len, image->size - read->offset);
	image_read(image, read->buf, read->done, read->offset);
}

static int64_t disk_read(struct disk_file *seam, void *buf, size_t len, uint64_t offset)
{
	struct sim_file *file = file_of(seam);
	if (!(file->flags & DISK_READ))
		return -EBADF;
	if (!aligned_as_needed(file, buf, len, offset))
		return -EINVAL;
	struct read_op read = {.op = {.apply = read_apply}, .file = file, .buf = buf, .len = len, .offset = offset};
	file->in_flight++;
	bool stuck = sim_chance(file->disk->node, world_faults(file->disk->node->world)->read_stuck);
	int rc = disk_wait(file->disk, &read.op, stuck ? NS_PER_S : 20 * NS_PER_US, stuck ? 3 * NS_PER_S : 200 * NS_PER_US);
	file->in_flight--;
	return rc < 0 ? rc : (int64_t)read.done;
}

struct write_op {
	struct sim_op op;
	struct list_node link;
	struct sim_file *file;
	const void *buf;
	size_t len;
	uint64_t offset;
};

/* The bytes are taken when the write ends: a caller that changes its buffer meanwhile gets what it deserves. */
static void write_apply(struct sim_op *op)
{
	struct write_op *write = CONTAINER_OF(op, struct write_op, op);
	struct sim_fs *fs = write->file->disk->fs;
	struct image *image = &write->file->inode->now;
	WORLD_MEMORY();
	if (fs->capacity != UINT64_MAX && fs->used + write->len > fs->capacity) {
		world_counts(fs->world)->disk_full++;
		op->rc = -ENOSPC;
		return;
	}
	if (write->len == 0)
		return;
	uint64_t before = image->pages.count;
	fs_add_change(write->file->inode, CHANGE_WRITE, write->buf, write->len, write->offset);
	fs->used += (image->pages.count - before) * IMAGE_PAGE_BYTES;
	file_touch(write->file);
	world_counts(fs->world)->disk_writes++;
}

static int disk_write(struct disk_file *seam, const void *buf, size_t len, uint64_t offset)
{
	struct sim_file *file = file_of(seam);
	if (!(file->flags & DISK_WRITE))
		return -EBADF;
	if (!aligned_as_needed(file, buf, len, offset))
		return -EINVAL;
	struct write_op write = {.op = {.apply = write_apply}, .file = file, .buf = buf, .len = len, .offset = offset};
	list_push_back(&file->disk->writing, &write.link);
	file->in_flight++;
	int rc = disk_wait(file->disk, &write.op, 10 * NS_PER_US, 200 * NS_PER_US);
	file->in_flight--;
	list_remove(&write.link);
	return rc;
}

static int disk_file_sync(struct disk_file *seam)
{
	struct sim_file *file = file_of(seam);
	uint64_t sequence = file->inode->sequence;
	int rc = file_pause(file, 200 * NS_PER_US, 3 * NS_PER_MS);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	fs_sync_file(file->inode, sequence);
	world_counts(file->disk->node->world)->disk_syncs++;
	return 0;
}

static int file_change(struct sim_file *file, enum change_kind kind, uint64_t len, uint64_t offset)
{
	int rc = file_pause(file, 20 * NS_PER_US, 100 * NS_PER_US);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	struct sim_fs *fs = file->disk->fs;
	uint64_t before = file->inode->now.pages.count;
	fs_add_change(file->inode, kind, NULL, len, offset);
	fs->used -= (before - file->inode->now.pages.count) * IMAGE_PAGE_BYTES;
	file_touch(file);
	return 0;
}

static int disk_truncate(struct disk_file *seam, uint64_t size_bytes)
{
	return file_change(file_of(seam), CHANGE_TRUNCATE, 0, size_bytes);
}

static int disk_punch(struct disk_file *seam, uint64_t offset, uint64_t len)
{
	return file_change(file_of(seam), CHANGE_PUNCH, len, offset);
}

enum { ALLOC_BYTES_MAX = 1 << 26 }; /* at once: as much as such a disk has room for */

/* Several changes, as a journal makes them: a crash keeps the first ones. */
static int disk_alloc(struct disk_file *seam, uint64_t offset, uint64_t len, unsigned flags)
{
	struct sim_file *file = file_of(seam);
	struct sim_fs *fs = file->disk->fs;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EFBIG;
	int rc = file_pause(file, 20 * NS_PER_US, 100 * NS_PER_US);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	struct image *now = &file->inode->now;
	uint64_t end = offset + len, needed_bytes = len > ALLOC_BYTES_MAX ? UINT64_MAX : image_missing(now, offset, len) * IMAGE_PAGE_BYTES;
	if (needed_bytes == UINT64_MAX || (fs->capacity != UINT64_MAX && fs->used + needed_bytes > fs->capacity)) {
		world_counts(fs->world)->disk_full++;
		return -ENOSPC;
	}
	uint64_t before = now->pages.count;
	if (flags & DISK_ALLOC_ZERO)
		fs_add_change(file->inode, CHANGE_PUNCH, NULL, len, offset);
	fs_add_change(file->inode, CHANGE_ALLOC, NULL, len, offset);
	if ((flags & DISK_ALLOC_EXTEND) && end > now->size)
		fs_add_change(file->inode, CHANGE_TRUNCATE, NULL, 0, end);
	fs->used += (now->pages.count - before) * IMAGE_PAGE_BYTES;
	file_touch(file);
	return 0;
}

static int64_t disk_seek(struct disk_file *seam, uint64_t offset, bool hole)
{
	struct sim_file *file = file_of(seam);
	int rc = file_pause(file, 2 * NS_PER_US, 60 * NS_PER_US);
	if (rc < 0)
		return rc;
	uint64_t at = image_seek(&file->inode->now, offset, hole);
	return at == UINT64_MAX ? -ENXIO : (int64_t)at;
}

static void inode_stat(const struct fs_file *inode, struct disk_stat *ret_stat)
{
	*ret_stat = (struct disk_stat){
		.size_bytes = inode->now.size,
		.allocated_bytes = inode->now.pages.count * IMAGE_PAGE_BYTES,
		.mtime_ns = inode->mtime_ns,
		.is_dir = inode->is_dir,
	};
}

static int disk_file_stat(struct disk_file *seam, struct disk_stat *ret_stat)
{
	struct sim_file *file = file_of(seam);
	int rc = file_pause(file, 2 * NS_PER_US, 20 * NS_PER_US);
	if (rc < 0)
		return rc;
	inode_stat(file->inode, ret_stat);
	return 0;
}

static int disk_stat(struct disk *seam, const char *path, struct disk_stat *ret_stat)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	struct fs_name *name = fs_find(&disk->fs->names, path);
	if (strcmp(path, ".") == 0) {
		*ret_stat = (struct disk_stat){.is_dir = true};
		return 0;
	}
	if (name == NULL)
		return -ENOENT;
	inode_stat(name->file, ret_stat);
	return 0;
}

static int disk_mkdir(struct disk *seam, const char *path)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	if (fs_find(&disk->fs->names, path) != NULL)
		return -EEXIST;
	if (!fs_parent_exists(disk->fs, path))
		return -ENOENT;
	(void)fs_create(disk->fs, path, true); /* only its name matters */
	return 0;
}

static int disk_unlink(struct disk *seam, const char *path)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	struct fs_name *name = fs_find(&disk->fs->names, path);
	if (name != NULL && name->file->is_dir)
		return -EISDIR;
	return fs_unlink(disk->fs, path);
}

static int disk_rename(struct disk *seam, const char *from, const char *to)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	return fs_rename(disk->fs, from, to);
}

static int disk_dir_sync(struct disk *seam, const char *path)
{
	struct sim_disk *disk = disk_of(seam);
	struct sim_op op = {0};
	int rc = disk_wait(disk, &op, 200 * NS_PER_US, 2 * NS_PER_MS);
	if (rc < 0)
		return rc;
	WORLD_MEMORY();
	struct fs_name *name = fs_find(&disk->fs->names, path);
	if (strcmp(path, ".") != 0 && (name == NULL || !name->file->is_dir))
		return -ENOENT;
	fs_sync_dir(disk->fs, path);
	return 0;
}

static int disk_list(struct disk *seam, const char *path, struct arena *arena, struct str **ret_names)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	bool root = strcmp(path, ".") == 0;
	struct fs_name *dir = fs_find(&disk->fs->names, path);
	if (!root && dir == NULL)
		return -ENOENT;
	if (!root && !dir->file->is_dir)
		return -ENOTDIR;
	size_t skip = root ? 0 : strlen(path) + 1, count = 0, capacity = 0;
	list_for_each(at, &disk->fs->names)
		capacity++;
	struct str *names = arena_alloc(arena, (capacity + 1) * sizeof(names[0]));
	list_for_each(at, &disk->fs->names) {
		const char *full = CONTAINER_OF(at, struct fs_name, link)->path;
		if (skip != 0 && (strncmp(full, path, skip - 1) != 0 || strlen(full) <= skip || full[skip - 1] != '/'))
			continue;
		if (strchr(full + skip, '/') == NULL)
			names[count++] = arena_str(arena, str_of(full + skip));
	}
	*ret_names = names;
	return (int)count;
}

static int disk_space(struct disk *seam, struct disk_space *ret_space)
{
	struct sim_disk *disk = disk_of(seam);
	int rc = disk_pause(disk);
	if (rc < 0)
		return rc;
	uint64_t total = min_u64(disk->fs->capacity, 1024 * GIB);
	uint64_t free_bytes = total - min_u64(total, disk->fs->used);
	*ret_space = (struct disk_space){.total_bytes = total, .free_bytes = free_bytes, .available_bytes = free_bytes,
					 .files_total = 1000000, .files_free = 900000};
	return 0;
}

static void disk_buffer_hint(struct disk *seam, void *base, size_t len)
{
	(void)seam;
	(void)base;
	(void)len;
}

static void disk_fini(struct disk *seam)
{
	(void)seam; /* given back with its process */
}

void sim_disk_crash(struct disk *seam, bool machine)
{
	struct sim_disk *disk = disk_of(seam);
	struct rng *rng = &disk->node->fault_rng;
	struct list_node *link;
	while ((link = list_pop_front(&disk->writing)) != NULL) { /* its buffer is still there: the heap goes after us */
		struct write_op *write = CONTAINER_OF(link, struct write_op, link);
		if (!write->op.done && rng_chance(rng, 500000))
			fs_add_change(write->file->inode, CHANGE_WRITE, write->buf, write->len, write->offset);
	}
	while (list_first(&disk->opens) != NULL)
		file_free(CONTAINER_OF(list_first(&disk->opens), struct sim_file, link));
	if (machine)
		fs_crash(disk->fs, rng, world_faults(disk->node->world)->crash_keeps_write);
	mem_free(disk);
}

static const struct disk_ops disk_ops = {
	.open = disk_open,
	.close = disk_close,
	.read = disk_read,
	.write = disk_write,
	.file_sync = disk_file_sync,
	.truncate = disk_truncate,
	.punch = disk_punch,
	.alloc = disk_alloc,
	.seek = disk_seek,
	.file_stat = disk_file_stat,
	.stat = disk_stat,
	.mkdir = disk_mkdir,
	.unlink = disk_unlink,
	.rename = disk_rename,
	.dir_sync = disk_dir_sync,
	.list = disk_list,
	.space = disk_space,
	.buffer_hint = disk_buffer_hint,
	.fini = disk_fini,
};

struct disk *sim_disk_new(struct sim_node *node, struct sim_fs *fs)
{
	struct sim_disk *disk = mem_alloc(sizeof(*disk));
	disk->disk.ops = &disk_ops;
	disk->node = node;
	disk->fs = fs;
	list_init(&disk->opens);
	list_init(&disk->writing);
	return &disk->disk;
}
