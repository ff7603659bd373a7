/* SPDX-License-Identifier: Apache-2.0
 * The contract of the disk seam, as far as a live system can show it. */
#include "tests/conform/conform.h"

#include <stdio.h>

struct disk_case {
	struct conform_world *world;
	struct conform_node *node;
	struct disk *disk;
	struct arena arena;
	unsigned tasks_done;
	struct disk_file *shared;
	uint8_t *hinted; /* outlives the disk: that is what the hint promises */
};

static void case_start(struct disk_case *c, struct conform_world *world, unsigned store)
{
	*c = (struct disk_case){.world = world, .node = world->ops->node_new(world, CONFORM_DISK, store)};
	c->disk = c->node->env.disk;
	arena_init(&c->arena);
}

static void run(struct conform_world *world, unsigned store, void (*fn)(void *arg))
{
	struct disk_case c;
	case_start(&c, world, store);
	conform_task(world, c.node, fn, &c);
	world->ops->node_stop(world, c.node);
	arena_fini(&c.arena);
	mem_free(c.hinted);
}

static struct disk_file *open_file(struct disk_case *c, const char *path, unsigned flags)
{
	struct disk_file *file = NULL;
	CHECK(c->disk->ops->open(c->disk, path, flags, &file) == 0 && file->disk == c->disk);
	return file;
}

static int try_open(struct disk_case *c, const char *path, unsigned flags)
{
	struct disk_file *file = NULL;
	int rc = c->disk->ops->open(c->disk, path, flags, &file);
	CHECK(rc == 0 || file == NULL);
	if (rc == 0)
		c->disk->ops->close(file);
	return rc;
}

static void names(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	struct disk_stat st;
	CHECK(try_open(c, "a", DISK_READ) == -ENOENT);
	CHECK(try_open(c, "d/a", DISK_READ | DISK_WRITE | DISK_CREATE) == -ENOENT);
	CHECK(ops->mkdir(c->disk, "d") == 0 && ops->mkdir(c->disk, "d") == -EEXIST);
	CHECK(ops->mkdir(c->disk, "no/d") == -ENOENT);
	CHECK(try_open(c, "d/a", DISK_READ | DISK_WRITE | DISK_CREATE) == 0);
	CHECK(try_open(c, "d/a", DISK_READ | DISK_WRITE | DISK_CREATE) == 0);
	CHECK(try_open(c, "d/a", DISK_READ | DISK_WRITE | DISK_CREATE | DISK_EXCL) == -EEXIST);
	CHECK(try_open(c, "d/x", DISK_WRITE | DISK_CREATE | DISK_EXCL) == 0);
	CHECK(ops->stat(c->disk, "d", &st) == 0 && st.is_dir);
	CHECK(ops->stat(c->disk, "d/a", &st) == 0 && !st.is_dir && st.size_bytes == 0 && st.mtime_ns > 0);
	CHECK(ops->stat(c->disk, "d/b", &st) == -ENOENT);
	CHECK(ops->rename(c->disk, "d/a", "d/b") == 0 && ops->rename(c->disk, "d/a", "d/b") == -ENOENT);
	CHECK(ops->rename(c->disk, "d/b", "d/x") == 0); /* replaces */
	CHECK(ops->dir_sync(c->disk, "d") == 0 && ops->dir_sync(c->disk, ".") == 0);
	CHECK(ops->dir_sync(c->disk, "no") == -ENOENT);
	struct str *list = NULL;
	CHECK(ops->list(c->disk, "d", &c->arena, &list) == 1 && str_eq(list[0], STR("x")));
	CHECK(ops->list(c->disk, ".", &c->arena, &list) == 1 && str_eq(list[0], STR("d")));
	CHECK(ops->list(c->disk, "no", &c->arena, &list) == -ENOENT);
	CHECK(ops->unlink(c->disk, "d/x") == 0 && ops->unlink(c->disk, "d/x") == -ENOENT);
	CHECK(ops->list(c->disk, "d", &c->arena, &list) == 0);
}

static void many_names(void *arg)
{
	struct disk_case *c = arg;
	char path[32];
	CHECK(c->disk->ops->mkdir(c->disk, "many") == 0);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "many/%06d", i);
		CHECK(try_open(c, path, DISK_WRITE | DISK_CREATE | DISK_EXCL) == 0);
	}
	struct str *list = NULL;
	CHECK(c->disk->ops->list(c->disk, "many", &c->arena, &list) == 1000);
	uint8_t seen[1000] = {0};
	for (int i = 0; i < 1000; i++) {
		CHECK(list[i].len == 6);
		int n = 0;
		for (size_t j = 0; j < 6; j++)
			n = n * 10 + (list[i].ptr[j] - '0');
		CHECK(n < 1000 && seen[n]++ == 0);
	}
}

static void data_lands_where_it_should(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	struct disk_file *file = open_file(c, "data", DISK_READ | DISK_WRITE | DISK_CREATE);
	uint8_t *buf = mem_alloc(3 * MIB);
	CHECK(ops->read(file, buf, 100, 0) == 0);
	conform_fill(buf, 3 * MIB, 1);
	CHECK(ops->write(file, buf, 3 * MIB, 12345) == 0);
	CHECK(ops->write(file, buf, 0, 99999999) == 0);
	struct disk_stat st;
	CHECK(ops->file_stat(file, &st) == 0 && st.size_bytes == 3 * MIB + 12345 && !st.is_dir);
	memset(buf, 0xff, 3 * MIB);
	CHECK(ops->read(file, buf, 12345, 0) == 12345);
	for (size_t i = 0; i < 12345; i++)
		CHECK(buf[i] == 0); /* a hole is zeros */
	CHECK(ops->read(file, buf, 3 * MIB, 12345) == (int64_t)(3 * MIB) && conform_is_filled(buf, 3 * MIB, 1));
	CHECK(ops->read(file, buf, 3 * MIB, 12345 + 2 * MIB) == (int64_t)MIB); /* short at the end only */
	CHECK(ops->read(file, buf, 10, 12345 + 3 * MIB) == 0 && ops->read(file, buf, 10, GIB) == 0);
	CHECK(ops->file_sync(file) == 0);
	ops->close(file);
	file = open_file(c, "data", DISK_READ);
	CHECK(ops->write(file, buf, 10, 0) < 0);
	ops->close(file);
	mem_free(buf);
}

static void truncate_and_punch(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	struct disk_file *file = open_file(c, "holes", DISK_READ | DISK_WRITE | DISK_CREATE);
	uint8_t *buf = mem_alloc(MIB);
	conform_fill(buf, MIB, 3);
	CHECK(ops->write(file, buf, MIB, 0) == 0 && ops->file_sync(file) == 0);
	struct disk_stat before, after;
	CHECK(ops->file_stat(file, &before) == 0 && before.allocated_bytes >= MIB);
	CHECK(ops->punch(file, 4096, 512 * KIB) == 0);
	CHECK(ops->punch(file, 900001, 17) == 0); /* not aligned: zeros all the same */
	CHECK(ops->punch(file, 10 * MIB, MIB) == 0 && ops->punch(file, 5, 0) == 0);
	CHECK(ops->file_stat(file, &after) == 0 && after.size_bytes == MIB);
	CHECK(after.allocated_bytes <= before.allocated_bytes);
	uint8_t *now = mem_alloc(MIB);
	CHECK(ops->read(file, now, MIB, 0) == (int64_t)MIB);
	memset(buf + 4096, 0, 512 * KIB);
	memset(buf + 900001, 0, 17);
	CHECK(memcmp(buf, now, MIB) == 0);
	CHECK(ops->truncate(file, 1000) == 0 && ops->truncate(file, 5000) == 0);
	CHECK(ops->read(file, now, MIB, 0) == 5000 && memcmp(buf, now, 1000) == 0);
	for (size_t i = 1000; i < 5000; i++)
		CHECK(now[i] == 0);
	CHECK(ops->truncate(file, 0) == 0 && ops->file_stat(file, &after) == 0 && after.size_bytes == 0);
	ops->close(file);
	mem_free(buf);
	mem_free(now);
}

static void alloc_and_zero(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	struct disk_file *file = open_file(c, "alloc", DISK_READ | DISK_WRITE | DISK_CREATE);
	uint8_t *buf = mem_alloc(MIB), *now = mem_alloc(MIB);
	struct disk_stat before, after;
	conform_fill(buf, MIB, 7);
	CHECK(ops->write(file, buf, 10000, 0) == 0 && ops->file_stat(file, &before) == 0);
	CHECK(ops->alloc(file, 5000, 512 * KIB, 0) == 0); /* what is there stays, also the size */
	CHECK(ops->file_stat(file, &after) == 0 && after.size_bytes == 10000);
	CHECK(after.allocated_bytes >= 5000 + 512 * KIB && after.allocated_bytes > before.allocated_bytes);
	CHECK(ops->read(file, now, MIB, 0) == 10000 && memcmp(buf, now, 10000) == 0);
	CHECK(ops->alloc(file, 9000, 300001, DISK_ALLOC_EXTEND) == 0);
	CHECK(ops->file_stat(file, &after) == 0 && after.size_bytes == 309001);
	memset(buf + 10000, 0, MIB - 10000);
	CHECK(ops->read(file, now, MIB, 0) == 309001 && memcmp(buf, now, 309001) == 0);
	CHECK(ops->alloc(file, 100, 1, DISK_ALLOC_EXTEND) == 0); /* inside: it does not shrink */
	CHECK(ops->alloc(file, 77, 8003, DISK_ALLOC_ZERO) == 0); /* not aligned */
	CHECK(ops->alloc(file, 308000, 200000, DISK_ALLOC_ZERO | DISK_ALLOC_EXTEND) == 0);
	CHECK(ops->file_stat(file, &after) == 0 && after.size_bytes == 508000 && after.allocated_bytes >= 508000);
	memset(buf + 77, 0, 8003);
	CHECK(ops->read(file, now, MIB, 0) == 508000 && memcmp(buf, now, 508000) == 0);
	CHECK(ops->alloc(file, UINT64_C(1) << 63, 1, 0) == -EFBIG && ops->alloc(file, INT64_MAX, 1, 0) == -EFBIG);
	int rc = ops->alloc(file, 0, UINT64_C(1) << 62, 0);
	CHECK(rc == -ENOSPC || rc == -EFBIG); /* no disk has that much */
	ops->close(file);
	mem_free(buf);
	mem_free(now);
}

static void seek_data_and_holes(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	struct disk_file *file = open_file(c, "seek", DISK_READ | DISK_WRITE | DISK_CREATE);
	uint8_t *buf = mem_alloc(MIB);
	CHECK(ops->seek(file, 0, false) == -ENXIO && ops->seek(file, 0, true) == -ENXIO);
	conform_fill(buf, MIB, 9);
	CHECK(ops->write(file, buf, 65536, MIB) == 0 && ops->write(file, buf, 10, 3 * MIB) == 0);
	/* Blocks may be large, so that data begins before its first byte; what was written is never called a hole. */
	int64_t data = ops->seek(file, 0, false), hole = ops->seek(file, MIB, true);
	CHECK(data >= 0 && data <= (int64_t)MIB && hole >= (int64_t)(MIB + 65536) && hole <= (int64_t)(3 * MIB + 10));
	CHECK(ops->seek(file, MIB + 100, false) == (int64_t)(MIB + 100));
	CHECK(ops->seek(file, (uint64_t)hole, true) == hole);
	CHECK(ops->seek(file, 3 * MIB + 1, true) == (int64_t)(3 * MIB + 10)); /* the end */
	CHECK(ops->seek(file, 3 * MIB + 10, true) == -ENXIO && ops->seek(file, 3 * MIB + 10, false) == -ENXIO);
	CHECK(ops->seek(file, UINT64_C(1) << 63, false) == -ENXIO);
	CHECK(ops->truncate(file, 5 * MIB) == 0);
	int64_t end = ops->seek(file, 4 * MIB, true);
	CHECK(end >= (int64_t)(4 * MIB) && end <= (int64_t)(5 * MIB));
	ops->close(file);
	mem_free(buf);
}

static void direct_io(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	size_t len = 4 * MIB;
	uint8_t *hinted = mem_alloc_aligned(4096, len), *plain = mem_alloc_aligned(4096, len);
	ops->buffer_hint(c->disk, hinted, len);
	struct disk_file *file = open_file(c, "direct", DISK_READ | DISK_WRITE | DISK_CREATE | DISK_DIRECT);
	for (uint64_t round = 0; round < 4; round++) {
		uint8_t *from = round % 2 == 0 ? hinted : plain, *to = round / 2 == 0 ? hinted : plain;
		conform_fill(from, len, round);
		CHECK(ops->write(file, from + 4096, len - 4096, 8192) == 0);
		memset(to, 0, len);
		CHECK(ops->read(file, to, len, 8192) == (int64_t)(len - 4096));
		uint8_t *expect = mem_alloc(len);
		conform_fill(expect, len, round);
		CHECK(memcmp(to, expect + 4096, len - 4096) == 0);
		mem_free(expect);
	}
	CHECK(ops->truncate(file, 10000) == 0);
	CHECK(ops->read(file, plain, 8192, 8192) == 10000 - 8192); /* an end inside a block */
	CHECK(ops->file_sync(file) == 0);
	ops->close(file);
	file = open_file(c, "direct", DISK_READ); /* and another way in sees the same */
	CHECK(ops->read(file, hinted, 10, 8192) == 10 && memcmp(hinted, plain, 10) == 0);
	ops->close(file);
	mem_free(plain);
	c->hinted = hinted;
}

static void parallel_worker(void *arg)
{
	struct disk_case *c = arg;
	unsigned me = c->tasks_done++;
	uint8_t buf[4096], back[4096];
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t offset = (me * 20 + i) * sizeof(buf);
		conform_fill(buf, sizeof(buf), offset);
		CHECK(c->disk->ops->write(c->shared, buf, sizeof(buf), offset) == 0);
		CHECK(c->disk->ops->read(c->shared, back, sizeof(back), offset) == (int64_t)sizeof(back));
		CHECK(memcmp(buf, back, sizeof(buf)) == 0);
	}
	c->tasks_done += 1000;
}

static bool workers_done(void *ctx)
{
	return ((struct disk_case *)ctx)->tasks_done == 600 * 1001;
}

static void open_shared(void *arg)
{
	struct disk_case *c = arg;
	c->shared = open_file(c, "shared", DISK_READ | DISK_WRITE | DISK_CREATE);
}

static void more_at_once_than_the_queue(struct conform_world *world)
{
	struct disk_case c;
	case_start(&c, world, 4);
	conform_task(world, c.node, open_shared, &c);
	for (int i = 0; i < 600; i++)
		task_spawn(c.node->loop, "worker", parallel_worker, &c);
	conform_until(world, workers_done, &c);
	c.disk->ops->close(c.shared);
	world->ops->node_stop(world, c.node);
	arena_fini(&c.arena);
}

static void write_synced(void *arg)
{
	struct disk_case *c = arg;
	const struct disk_ops *ops = c->disk->ops;
	CHECK(ops->mkdir(c->disk, "kept") == 0 && ops->dir_sync(c->disk, ".") == 0);
	struct disk_file *file = open_file(c, "kept/new", DISK_WRITE | DISK_CREATE);
	uint8_t buf[10000];
	conform_fill(buf, sizeof(buf), 4);
	CHECK(ops->write(file, buf, sizeof(buf), 0) == 0 && ops->file_sync(file) == 0);
	ops->close(file);
	CHECK(ops->rename(c->disk, "kept/new", "kept/file") == 0 && ops->dir_sync(c->disk, "kept") == 0);
}

static void check_synced(void *arg)
{
	struct disk_case *c = arg;
	struct disk_file *file = open_file(c, "kept/file", DISK_READ);
	uint8_t buf[20000];
	CHECK(c->disk->ops->read(file, buf, sizeof(buf), 0) == 10000 && conform_is_filled(buf, 10000, 4));
	c->disk->ops->close(file);
	CHECK(try_open(c, "kept/new", DISK_READ) == -ENOENT);
}

static void synced_data_survives_a_crash(struct conform_world *world)
{
	struct disk_case c;
	case_start(&c, world, 5);
	conform_task(world, c.node, write_synced, &c);
	world->ops->node_crash(world, c.node);
	arena_fini(&c.arena);
	run(world, 5, check_synced);
}

static void space(void *arg)
{
	struct disk_case *c = arg;
	struct disk_space st;
	CHECK(c->disk->ops->space(c->disk, &st) == 0);
	CHECK(st.total_bytes > 0 && st.free_bytes <= st.total_bytes && st.available_bytes <= st.free_bytes);
	CHECK(st.files_free <= st.files_total);
}

void conform_disk(struct conform_world *world)
{
	static const struct {
		const char *name;
		void (*fn)(void *arg);
	} cases[] = {
		{"names", names},
		{"many_names", many_names},
		{"data_lands_where_it_should", data_lands_where_it_should},
		{"truncate_and_punch", truncate_and_punch},
		{"direct_io", direct_io},
		{"space", space},
		{"alloc_and_zero", alloc_and_zero},
		{"seek_data_and_holes", seek_data_and_holes},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		conform_case("disk", cases[i].name);
		run(world, i < 4 ? (unsigned)i : (unsigned)i + 2, cases[i].fn);
	}
	conform_case("disk", "more_at_once_than_the_queue");
	more_at_once_than_the_queue(world);
	conform_case("disk", "synced_data_survives_a_crash");
	synced_data_survives_a_crash(world);
}
