/* SPDX-License-Identifier: Apache-2.0
 * One workload on one directory: bench_work WORKLOAD DIR[,DIR] [PROCS [SIZE]] prints "ops bytes nanoseconds"; with two directories, which are
 * two mounts of one, processes alternate between them. The clock runs from the moment all
 * processes are ready until the last has ended; preparation is not counted. What it makes stays for the next workload (tools/bench/run knows the order). */
#include "common/base/bytes.h"
#include "common/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PROCS_MAX = 64, BLOCK_BYTES = 1 << 20, SMALL_BYTES = 4096, FILE_BYTES = 16384, RECORD_BYTES = 47008 };

struct job {
	const char *dir, *other_dir; /* other_dir: NULL, or that of processes with odd numbers */
	unsigned proc, procs;
	uint64_t size; /* bytes of one file, or how many operations each process does */
};
struct result {
	uint64_t ops, bytes;
	bool failed;
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static bool complain(const char *what, const char *path)
{
	fprintf(stderr, "bench_work: %s %s: %s\n", what, path, strerrordesc_np(errno));
	return false;
}

static void *aligned_block(void)
{
	void *block = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		exit(1);
	struct rng rng;
	rng_init(&rng, 1);
	for (size_t i = 0; i < BLOCK_BYTES / 8; i++)
		store_le64((uint8_t *)block + i * 8, rng_u64(&rng));
	return block;
}

static void file_path(const struct job *job, char ret_path[PATH_MAX])
{
	(void)snprintf(ret_path, PATH_MAX, "%s/stream.%u", job->dir, job->proc); /* too long a path fails at open */
}

static bool seq_write(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	file_path(job, path);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return complain("create", path);
	void *block = aligned_block();
	for (uint64_t done = 0; done < job->size; done += BLOCK_BYTES)
		if (write(fd, block, BLOCK_BYTES) != BLOCK_BYTES)
			return complain("write", path);
	if (fsync(fd) < 0 || close(fd) < 0)
		return complain("fsync", path);
	result->ops = job->size / BLOCK_BYTES;
	result->bytes = job->size;
	return true;
}

static bool seq_read(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	file_path(job, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("open", path);
	void *block = aligned_block();
	ssize_t len;
	while ((len = read(fd, block, BLOCK_BYTES)) > 0) {
		result->bytes += (uint64_t)len;
		result->ops++;
	}
	(void)close(fd); /* it was only read */
	return len == 0 && result->bytes == job->size ? true : complain("read", path);
}

/* 4 KiB at random places of the first stream, past the page cache. */
static bool rand_read(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	file_path(&(struct job){.dir = job->dir}, path);
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return complain("open", path);
	void *block = aligned_block();
	struct rng rng;
	rng_init(&rng, 7 + job->proc);
	for (uint64_t i = 0; i < job->size; i++) {
		off_t at = (off_t)(rng_below(&rng, (uint64_t)st.st_size / SMALL_BYTES) * SMALL_BYTES);
		if (pread(fd, block, SMALL_BYTES, at) != SMALL_BYTES)
			return complain("read", path);
	}
	(void)close(fd); /* it was only read */
	result->ops = job->size;
	result->bytes = job->size * SMALL_BYTES;
	return true;
}

static void entry_path(const struct job *job, uint64_t i, char ret_path[PATH_MAX])
{
	(void)snprintf(ret_path, PATH_MAX, "%s/meta.%u/f%06" PRIu64, job->dir, job->proc, i);
}

static bool create_files(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/meta.%u", job->dir, job->proc);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return complain("mkdir", path);
	for (uint64_t i = 0; i < job->size; i++) {
		entry_path(job, i, path);
		int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || close(fd) < 0)
			return complain("create", path);
	}
	result->ops = job->size;
	return true;
}

static bool stat_files(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	struct stat st;
	for (uint64_t i = 0; i < job->size; i++) {
		entry_path(job, i, path);
		if (stat(path, &st) < 0)
			return complain("stat", path);
	}
	result->ops = job->size;
	return true;
}

static bool unlink_files(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	for (uint64_t i = 0; i < job->size; i++) {
		entry_path(job, i, path);
		if (unlink(path) < 0)
			return complain("unlink", path);
	}
	result->ops = job->size;
	return true;
}

/* Small files: written, read by name. */
static bool small_write(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/meta.%u", job->dir, job->proc);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return complain("mkdir", path);
	void *block = aligned_block();
	for (uint64_t i = 0; i < job->size; i++) {
		entry_path(job, i, path);
		int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, block, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
			return complain("write", path);
	}
	result->ops = job->size;
	result->bytes = job->size * FILE_BYTES;
	return true;
}

static bool small_read(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	void *block = aligned_block();
	for (uint64_t i = 0; i < job->size; i++) {
		entry_path(job, i, path);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, block, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
			return complain("read", path);
	}
	result->ops = job->size;
	result->bytes = job->size * FILE_BYTES;
	return true;
}

/* One file of all processes, each writing every procs-th record: no record is a multiple of a page, as simulations write them. */
static bool shared_write(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/shared", job->dir);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return complain("create", path);
	void *block = aligned_block();
	for (uint64_t i = 0; i < job->size; i++) {
		off_t at = (off_t)((i * job->procs + job->proc) * RECORD_BYTES);
		if (pwrite(fd, block, RECORD_BYTES, at) != RECORD_BYTES)
			return complain("write", path);
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		return complain("fsync", path);
	result->ops = job->size;
	result->bytes = job->size * RECORD_BYTES;
	return true;
}

static bool lock_byte(int fd, short type, off_t at)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	return fcntl(fd, F_SETLKW, &lock) == 0;
}

/* Each process takes the next byte before it gives its own back: nobody gets on without the others. */
static bool lock_pingpong(const struct job *job, struct result *result)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/locked", job->dir);
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0 || !lock_byte(fd, F_WRLCK, (off_t)job->proc))
		return complain("lock", path);
	unsigned ring = job->procs + 1;
	for (uint64_t i = 0; i < job->size; i++) {
		uint64_t at = job->proc + i;
		if (!lock_byte(fd, F_WRLCK, (off_t)((at + 1) % ring)) || !lock_byte(fd, F_UNLCK, (off_t)(at % ring)))
			return complain("lock", path);
	}
	(void)close(fd); /* nothing was written */
	result->ops = job->size;
	return true;
}

static const struct {
	const char *name;
	bool (*run)(const struct job *job, struct result *result);
} workloads[] = {{"seq_write", seq_write}, {"seq_read", seq_read}, {"rand_read", rand_read},
		 {"create", create_files}, {"stat", stat_files},   {"unlink", unlink_files},
		 {"small_write", small_write}, {"small_read", small_read}, {"shared_write", shared_write}, {"lock_pingpong", lock_pingpong}};

/* Children wait for the pipe to close, so that all begin together; results come back through shared memory. */
static int run(const char *name, struct job job)
{
	size_t which = 0;
	while (which < ARRAY_COUNT(workloads) && strcmp(workloads[which].name, name) != 0)
		which++;
	if (which == ARRAY_COUNT(workloads)) {
		fprintf(stderr, "bench_work: '%s' is no workload\n", name);
		return 2;
	}
	struct result *results = mmap(NULL, sizeof(*results) * PROCS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int gate[2];
	if (results == MAP_FAILED || pipe2(gate, O_CLOEXEC) < 0)
		return 1;
	for (job.proc = 0; job.proc < job.procs; job.proc++) {
		pid_t pid = fork();
		if (pid < 0)
			return 1;
		if (pid == 0) {
			char byte;
			(void)close(gate[1]);
			if (job.proc % 2 != 0 && job.other_dir != NULL)
				job.dir = job.other_dir;
			ssize_t len = read(gate[0], &byte, 1); /* 0 when the gate opens */
			results[job.proc].failed = len != 0 || !workloads[which].run(&job, &results[job.proc]);
			_exit(0);
		}
	}
	uint64_t start_ns = now_ns();
	(void)close(gate[1]);
	while (wait(NULL) > 0)
		;
	uint64_t end_ns = now_ns(), ops = 0, bytes = 0;
	for (unsigned i = 0; i < job.procs; i++) {
		if (results[i].failed)
			return 1;
		ops += results[i].ops;
		bytes += results[i].bytes;
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", ops, bytes, end_ns - start_ns);
	return 0;
}

int main(int argc, char **argv)
{
	struct job job = {.dir = argc > 2 ? argv[2] : "", .procs = 1, .size = GIB};
	if (argc > 3)
		job.procs = (unsigned)strtoul(argv[3], NULL, 10);
	if (argc > 4)
		job.size = strtoull(argv[4], NULL, 10);
	if (argc < 3 || argc > 5 || job.procs < 1 || job.procs > PROCS_MAX || job.size == 0) {
		fprintf(stderr, "bench_work: WORKLOAD DIR [PROCS [SIZE]] was expected\n");
		return 2;
	}
	char *comma = strchr(argv[2], ',');
	if (comma != NULL) {
		*comma = '\0';
		job.other_dir = comma + 1;
	}
	return run(argv[1], job);
}
