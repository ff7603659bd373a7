/* SPDX-License-Identifier: Apache-2.0
 * store_bench DIRECTORY: what the real disk and kv seams give through a loop and its driver: bulk and small direct I/O, synced commits,
 * reads from memory. Prints one line per measurement; removes nothing. */
#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 32, FILE_BYTES = 512 * 1024 * 1024 };

struct bench {
	struct loop *loop;
	struct driver *driver;
	struct disk *disk;
	struct kv *kv;
	struct disk_file *file;
	struct rng rng;
	uint8_t *buffers;
	size_t buf_bytes, next_buffer, left, running;
	bool is_write, is_random;
	uint64_t next_offset;
	size_t batch; /* records of one commit */
};

static double cpu_s(void)
{
	struct rusage usage;
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool is_finished(void *ctx)
{
	return ((struct bench *)ctx)->running == 0;
}

static void measure(struct bench *bench, const char *name, void (*fn)(void *arg), size_t tasks, size_t ops, double bytes)
{
	bench->left = ops;
	bench->running = tasks;
	double cpu = cpu_s();
	uint64_t begin_ns = loop_now_ns(bench->loop);
	for (size_t i = 0; i < tasks; i++)
		task_spawn(bench->loop, "bench", fn, bench);
	CHECK(driver_run_until(bench->driver, is_finished, bench));
	double s = (double)(loop_now_ns(bench->loop) - begin_ns) / 1e9;
	(void)printf("%-32s %9.0f/s  %7.1f us each", name, (double)ops / s, s * 1e6 * (double)tasks / (double)ops);
	if (bytes > 0)
		(void)printf("  %5.2f GB/s", bytes * (double)ops / s / 1e9);
	(void)printf("  CPU %.0f%%\n", (cpu_s() - cpu) / s * 100);
}

static void io_task(void *arg)
{
	struct bench *bench = arg;
	uint8_t *buf = bench->buffers + (bench->next_buffer++ % DEPTH_MAX) * MIB;
	while (bench->left > 0) {
		bench->left--;
		uint64_t offset = bench->is_random ? rng_below(&bench->rng, FILE_BYTES / bench->buf_bytes) * bench->buf_bytes :
						     bench->next_offset;
		bench->next_offset = (bench->next_offset + bench->buf_bytes) % FILE_BYTES;
		if (bench->is_write)
			CHECK(bench->disk->ops->write(bench->file, buf, bench->buf_bytes, offset) == 0);
		else
			CHECK(bench->disk->ops->read(bench->file, buf, bench->buf_bytes, offset) == (int64_t)bench->buf_bytes);
	}
	bench->running--;
}

static void open_task(void *arg)
{
	struct bench *bench = arg;
	unsigned flags = DISK_READ | DISK_WRITE | DISK_CREATE | DISK_DIRECT;
	CHECK(bench->disk->ops->open(bench->disk, "bench", flags, &bench->file) == 0);
	bench->running--;
}

static void fsync_task(void *arg)
{
	struct bench *bench = arg;
	while (bench->left > 0) {
		bench->left--;
		CHECK(bench->disk->ops->write(bench->file, bench->buffers, 4096, bench->next_offset) == 0);
		CHECK(bench->disk->ops->file_sync(bench->file) == 0);
	}
	bench->running--;
}

static void commit_task(void *arg)
{
	struct bench *bench = arg;
	struct kv_op ops[256];
	uint8_t keys[256][16], value[150] = {0};
	while (bench->left > 0) {
		bench->left--;
		for (size_t i = 0; i < bench->batch; i++) {
			store_be64(keys[i], rng_below(&bench->rng, 200000));
			store_be64(keys[i] + 8, 1);
			ops[i] = (struct kv_op){.key = blob_of(keys[i], 16), .value = blob_of(value, sizeof(value))};
		}
		CHECK(bench->kv->ops->write(bench->kv, ops, bench->batch, true) == 0);
	}
	bench->running--;
}

static void get_task(void *arg)
{
	struct bench *bench = arg;
	struct arena arena;
	arena_init(&arena);
	while (bench->left > 0) {
		bench->left--;
		uint8_t key[16];
		struct blob value;
		store_be64(key, rng_below(&bench->rng, 200000));
		store_be64(key + 8, 1);
		int rc = bench->kv->ops->get(bench->kv, blob_of(key, 16), &arena, &value);
		CHECK(rc == 0 || rc == -ENOENT);
		arena_clear(&arena);
	}
	arena_fini(&arena);
	bench->running--;
}

int main(int argc, char **argv)
{
	char error_text[IO_ERROR_TEXT_BYTES], path[256];
	CHECK_MSG(argc == 2, "usage: store_bench DIRECTORY");
	struct bench bench = {.loop = loop_new(&(struct loop_opts){.name = "bench", .clock = clock_os()})};
	bench.driver = driver_new(bench.loop);
	rng_init(&bench.rng, 1);
	CHECK(disk_uring_new(bench.loop, &(struct disk_uring_opts){.root = argv[1]}, &bench.disk, error_text) == 0);
	(void)snprintf(path, sizeof(path), "%s/kv", argv[1]);
	CHECK(kv_rocks_new(bench.loop, &(struct kv_rocks_opts){.path = path}, &bench.kv, error_text) == 0);
	bench.buffers = mem_alloc_aligned(4096, DEPTH_MAX * MIB);
	memset(bench.buffers, 7, DEPTH_MAX * MIB);
	bench.disk->ops->buffer_hint(bench.disk, bench.buffers, DEPTH_MAX * MIB);
	measure(&bench, "open", open_task, 1, 1, 0);
	bench.buf_bytes = MIB;
	bench.is_write = true;
	measure(&bench, "first write 1 MiB x8", io_task, 8, FILE_BYTES / MIB, (double)MIB);
	measure(&bench, "overwrite 1 MiB x8", io_task, 8, 1024, (double)MIB);
	bench.is_write = false;
	measure(&bench, "read 1 MiB x8", io_task, 8, 2048, (double)MIB);
	bench.buf_bytes = 4096;
	bench.is_random = true;
	measure(&bench, "random read 4 KiB x1", io_task, 1, 10000, 4096);
	measure(&bench, "random read 4 KiB x32", io_task, 32, 100000, 4096);
	measure(&bench, "write 4 KiB + sync x1", fsync_task, 1, 4000, 4096);
	static const size_t batches[] = {1, 16, 64, 256};
	for (size_t i = 0; i < ARRAY_COUNT(batches); i++) {
		char name[64];
		bench.batch = batches[i];
		(void)snprintf(name, sizeof(name), "synced commit of %zu records", batches[i]);
		measure(&bench, name, commit_task, 1, 3000, 0);
	}
	measure(&bench, "get", get_task, 1, 300000, 0);
	bench.disk->ops->close(bench.file);
	bench.disk->ops->fini(bench.disk);
	bench.kv->ops->fini(bench.kv);
	driver_free(bench.driver);
	loop_free(bench.loop);
	mem_free(bench.buffers);
	return 0;
}
