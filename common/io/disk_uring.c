/* SPDX-License-Identifier: Apache-2.0
 * The disk seam over io_uring. Owns the ring, the root directory's descriptor and the files it opened.
 *
 * Operations that tasks start in one step of the loop are submitted together at the beginning of the next. What io_uring cannot do
 * on the kernels we support (ftruncate, lseek, readdir, statvfs) goes through threads. Short reads and writes are continued here. */
#include "common/base/check.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
	QUEUE_DEPTH_DEFAULT = 256,
	QUEUE_DEPTH_MAX = 4096,
	PIECE_BYTES_MAX = 64 * 1024 * 1024, /* of one read or write */
	BUFFERS_MAX = 64,                   /* registered ones */
	BLOCK_BYTES = 4096,
	THREAD_COUNT = 2,
};

struct uring_buffer {
	uint8_t *base;
	size_t len;
};

struct uring_disk {
	struct disk disk;
	struct loop_source source;
	struct io_uring ring;
	struct threads *threads;
	int root_fd;
	unsigned depth, in_flight, unsubmitted;
	struct waitq waitq; /* tasks beyond the depth */
	bool has_buffers;
	size_t buffer_count;
	struct uring_buffer buffers[BUFFERS_MAX];
};

struct uring_file {
	struct disk_file file;
	int fd;
	bool is_direct;
};

/* One operation, on its task's stack. */
struct uring_op {
	struct task *task;
	bool done;
	int res;
};

static struct uring_disk *disk_of(struct disk *disk)
{
	return CONTAINER_OF(disk, struct uring_disk, disk);
}

/* ---- the ring ------------------------------------------------------------------------------------------------- */

static bool submit(struct uring_disk *disk)
{
	if (disk->unsubmitted == 0)
		return false;
	int rc = io_uring_submit(&disk->ring);
	if (rc > 0)
		disk->unsubmitted -= (unsigned)rc;
	CHECK(rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR); /* these leave them queued: the next step tries again */
	return rc > 0;
}

static bool disk_poll(struct loop_source *source)
{
	struct uring_disk *disk = CONTAINER_OF(source, struct uring_disk, source);
	bool any = submit(disk);
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	io_uring_for_each_cqe(&disk->ring, head, cqe) {
		struct uring_op *op = io_uring_cqe_get_data(cqe);
		op->res = cqe->res;
		op->done = true;
		task_wake(op->task);
		waitq_wake_one(&disk->waitq);
		count++;
	}
	io_uring_cq_advance(&disk->ring, count);
	disk->in_flight -= count;
	disk->source.in_flight = disk->in_flight > 0;
	return any || count > 0;
}

static bool disk_prepare_sleep(struct loop_source *source)
{
	struct uring_disk *disk = CONTAINER_OF(source, struct uring_disk, source);
	return disk->unsubmitted == 0 && io_uring_cq_ready(&disk->ring) == 0;
}

/* Parks until the ring has room. */
static struct io_uring_sqe *begin_op(struct uring_disk *disk)
{
	while (disk->in_flight >= disk->depth)
		(void)waitq_wait(&disk->waitq, disk->disk.loop, UINT64_MAX); /* no deadline: cannot time out */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
	CHECK(sqe != NULL); /* the ring has `depth` entries */
	disk->in_flight++;
	disk->unsubmitted++;
	disk->source.in_flight = true;
	return sqe;
}

/* Parks until it has ended; returns its result. */
static int end_op(struct uring_disk *disk, struct io_uring_sqe *sqe)
{
	struct uring_op op = {.task = task_current(disk->disk.loop)};
	CHECK_MSG(op.task != NULL, "only a task may use the disk");
	io_uring_sqe_set_data(sqe, &op);
	while (!op.done)
		task_park(disk->disk.loop);
	return op.res;
}

static int result(int res)
{
	return res < 0 ? fail(-res) : 0;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Inside the root: relative, and no "..". */
static bool path_is_fine(const char *path)
{
	if (path[0] == '/' || path[0] == '\0')
		return false;
	for (const char *part = path; part != NULL; part = strchr(part, '/')) {
		part += *part == '/';
		if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
			return false;
	}
	return true;
}

static int open_at(struct uring_disk *disk, const char *path, int flags)
{
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_openat(sqe, disk->root_fd, path, flags | O_CLOEXEC, 0600);
	return end_op(disk, sqe);
}

static int uring_open(struct disk *disk_, const char *path, unsigned flags, struct disk_file **ret_file)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	int how = O_RDONLY;
	if (flags & DISK_WRITE)
		how = flags & DISK_READ ? O_RDWR : O_WRONLY;
	if (flags & DISK_CREATE)
		how |= O_CREAT;
	if (flags & DISK_EXCL)
		how |= O_EXCL;
	bool is_direct = (flags & DISK_DIRECT) != 0;
	int fd = open_at(disk, path, how | (is_direct ? O_DIRECT : 0));
	if (fd == -EINVAL && is_direct) { /* the file may have been created before O_DIRECT was refused */
		is_direct = false;
		fd = open_at(disk, path, how & ~O_EXCL);
	}
	if (fd < 0)
		return fail(-fd);
	struct uring_file *file = mem_alloc(sizeof(*file));
	*file = (struct uring_file){.file.disk = disk_, .fd = fd, .is_direct = is_direct};
	*ret_file = &file->file;
	return 0;
}

static void uring_close(struct disk_file *file_)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	(void)close(file->fd); /* what must be durable was synced: an error here has no meaning left */
	mem_free(file);
}

static void fill_stat(const struct statx *stx, struct disk_stat *ret)
{
	*ret = (struct disk_stat){
		.size_bytes = stx->stx_size,
		.allocated_bytes = stx->stx_blocks * 512,
		.mtime_ns = stx->stx_mtime.tv_sec * (int64_t)NS_PER_S + stx->stx_mtime.tv_nsec,
		.is_dir = S_ISDIR(stx->stx_mode),
	};
}

static int stat_at(struct uring_disk *disk, int fd, const char *path, int flags, struct disk_stat *ret_stat)
{
	struct statx stx;
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_statx(sqe, fd, path, flags, STATX_SIZE | STATX_BLOCKS | STATX_MTIME | STATX_TYPE, &stx);
	int res = end_op(disk, sqe);
	if (res < 0)
		return fail(-res);
	fill_stat(&stx, ret_stat);
	return 0;
}

static int uring_file_stat(struct disk_file *file_, struct disk_stat *ret_stat)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	return stat_at(disk_of(file_->disk), file->fd, "", AT_EMPTY_PATH, ret_stat);
}

static int uring_stat(struct disk *disk_, const char *path, struct disk_stat *ret_stat)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	return stat_at(disk, disk->root_fd, path, AT_SYMLINK_NOFOLLOW, ret_stat);
}

static int uring_mkdir(struct disk *disk_, const char *path)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_mkdirat(sqe, disk->root_fd, path, 0700);
	return result(end_op(disk, sqe));
}

static int uring_unlink(struct disk *disk_, const char *path)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_unlinkat(sqe, disk->root_fd, path, 0);
	return result(end_op(disk, sqe));
}

static int uring_rename(struct disk *disk_, const char *from, const char *to)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(from) || !path_is_fine(to))
		return fail(EINVAL);
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_renameat(sqe, disk->root_fd, from, disk->root_fd, to, 0);
	return result(end_op(disk, sqe));
}

static int uring_dir_sync(struct disk *disk_, const char *path)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	int fd = open_at(disk, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fail(-fd);
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_fsync(sqe, fd, 0);
	int res = end_op(disk, sqe);
	(void)close(fd); /* a directory opened for reading has nothing to lose */
	return result(res);
}

/* ---- data ----------------------------------------------------------------------------------------------------- */

/* The registered buffer that holds all of [buf, buf+len); -1: none. */
static int buffer_index(const struct uring_disk *disk, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < disk->buffer_count; i++) {
		const struct uring_buffer *buffer = &disk->buffers[i];
		if (buf >= buffer->base && buf + len <= buffer->base + buffer->len)
			return (int)i;
	}
	return -1;
}

static int transfer(struct uring_file *file, uint8_t *buf, size_t len, uint64_t offset, bool is_write)
{
	struct uring_disk *disk = disk_of(file->file.disk);
	unsigned piece = (unsigned)min_u64(len, PIECE_BYTES_MAX);
	struct io_uring_sqe *sqe = begin_op(disk);
	int index = file->is_direct ? buffer_index(disk, buf, piece) : -1;
	if (index >= 0 && is_write)
		io_uring_prep_write_fixed(sqe, file->fd, buf, piece, offset, index);
	else if (index >= 0)
		io_uring_prep_read_fixed(sqe, file->fd, buf, piece, offset, index);
	else if (is_write)
		io_uring_prep_write(sqe, file->fd, buf, piece, offset);
	else
		io_uring_prep_read(sqe, file->fd, buf, piece, offset);
	return end_op(disk, sqe);
}

static int64_t uring_read(struct disk_file *file_, void *buf, size_t len, uint64_t offset)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return fail(EINVAL);
	size_t done = 0;
	while (done < len) {
		int res = transfer(file, (uint8_t *)buf + done, len - done, offset + done, false);
		if (res == -EINTR || res == -EAGAIN)
			continue;
		if (res < 0)
			return fail(-res);
		done += (size_t)res;
		/* a direct read that ends inside a block has met the end; going on from there would be EINVAL */
		if (res == 0 || (file->is_direct && res % BLOCK_BYTES != 0))
			break;
	}
	return (int64_t)done;
}

static int uring_write(struct disk_file *file_, const void *buf, size_t len, uint64_t offset)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return fail(EINVAL);
	uint8_t *from = (uint8_t *)(uintptr_t)buf; /* shared with reading; not written to */
	size_t done = 0;
	while (done < len) {
		int res = transfer(file, from + done, len - done, offset + done, true);
		if (res == -EINTR || res == -EAGAIN)
			continue;
		if (res <= 0)
			return fail(res < 0 ? -res : EIO);
		size_t wrote = (size_t)res;
		if (file->is_direct && done + wrote < len)
			wrote = round_down(wrote, BLOCK_BYTES); /* continue on a block; none whole: the device is failing */
		if (wrote == 0)
			return fail(EIO);
		done += wrote;
	}
	return 0;
}

static int uring_file_sync(struct disk_file *file_)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	struct uring_disk *disk = disk_of(file_->disk);
	struct io_uring_sqe *sqe = begin_op(disk);
	io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
	return result(end_op(disk, sqe));
}

struct truncate_job {
	int fd, rc;
	uint64_t size_bytes;
};

static void run_truncate(void *arg)
{
	struct truncate_job *job = arg;
	job->rc = ftruncate(job->fd, (off_t)job->size_bytes) == 0 ? 0 : -errno;
}

static int uring_truncate(struct disk_file *file_, uint64_t size_bytes)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (size_bytes > INT64_MAX)
		return fail(EFBIG);
	struct truncate_job job = {.fd = file->fd, .size_bytes = size_bytes};
	threads_call(disk_of(file_->disk)->threads, run_truncate, &job);
	return result(job.rc);
}

/* For file systems without holes: zeros, within the present size. */
static int punch_by_writing(struct uring_file *file, uint64_t offset, uint64_t len)
{
	struct disk_stat st;
	int rc = uring_file_stat(&file->file, &st);
	if (rc < 0 || offset >= st.size_bytes)
		return rc;
	len = min_u64(len, st.size_bytes - offset);
	size_t zeros_len = (size_t)min_u64(len, MIB);
	CLEANUP(free_p) void *zeros = mem_alloc(zeros_len);
	for (uint64_t done = 0; done < len && rc == 0; done += zeros_len)
		rc = uring_write(&file->file, zeros, (size_t)min_u64(zeros_len, len - done), offset + done);
	return rc;
}

static int reshape(struct uring_file *file, int mode, uint64_t offset, uint64_t len)
{
	struct uring_disk *disk = disk_of(file->file.disk);
	int res;
	do { /* a signal, or a file system that is busy giving space back */
		struct io_uring_sqe *sqe = begin_op(disk);
		io_uring_prep_fallocate(sqe, file->fd, mode, (off_t)offset, (off_t)len);
		res = end_op(disk, sqe);
	} while (res == -EINTR || res == -EAGAIN);
	return res;
}

static int uring_punch(struct disk_file *file_, uint64_t offset, uint64_t len)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (len == 0)
		return 0;
	if (offset > INT64_MAX)
		return fail(EINVAL);
	len = min_u64(len, (uint64_t)INT64_MAX - offset);
	int res = reshape(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
	return res == -EOPNOTSUPP ? punch_by_writing(file, offset, len) : result(res);
}

static int uring_alloc(struct disk_file *file_, uint64_t offset, uint64_t len, unsigned flags)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return fail(EFBIG);
	int mode = (flags & DISK_ALLOC_EXTEND) != 0 ? 0 : FALLOC_FL_KEEP_SIZE;
	bool zero = (flags & DISK_ALLOC_ZERO) != 0;
	int res = reshape(file, zero ? mode | FALLOC_FL_ZERO_RANGE : mode, offset, len);
	if (res != -EOPNOTSUPP || !zero)
		return result(res);
	/* Not every file system that can do both can do them at once. */
	int rc = uring_punch(file_, offset, len);
	return rc < 0 ? rc : result(reshape(file, mode, offset, len));
}

struct seek_job {
	int fd, whence;
	int64_t at; /* or a negative errno */
};

static void run_seek(void *arg)
{
	struct seek_job *job = arg;
	off_t at = lseek(job->fd, (off_t)job->at, job->whence); /* nobody uses the position */
	job->at = at < 0 ? -errno : at;
}

static int64_t uring_seek(struct disk_file *file_, uint64_t offset, bool hole)
{
	struct uring_file *file = CONTAINER_OF(file_, struct uring_file, file);
	if (offset > INT64_MAX)
		return fail(ENXIO);
	struct seek_job job = {.fd = file->fd, .whence = hole ? SEEK_HOLE : SEEK_DATA, .at = (int64_t)offset};
	threads_call(disk_of(file_->disk)->threads, run_seek, &job);
	return job.at < 0 ? fail((int)-job.at) : job.at;
}

static void uring_buffer_hint(struct disk *disk_, void *base, size_t len)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!disk->has_buffers || disk->buffer_count == BUFFERS_MAX)
		return;
	struct iovec iov = {.iov_base = base, .iov_len = len};
	__u64 tag = 0;
	if (io_uring_register_buffers_update_tag(&disk->ring, (unsigned)disk->buffer_count, &iov, &tag, 1) != 1)
		return; /* RLIMIT_MEMLOCK, most likely: unregistered works too */
	disk->buffers[disk->buffer_count++] = (struct uring_buffer){.base = base, .len = len};
}

/* ---- through threads ------------------------------------------------------------------------------------------ */

struct list_job {
	int root_fd, rc;
	const char *path;
	char *names; /* one after the other with their NULs; malloc'ed, for a thread has no arena */
	size_t len, capacity, count;
};

static int list_add(struct list_job *job, const char *name)
{
	size_t len = strlen(name) + 1;
	if (job->len + len > job->capacity) {
		size_t capacity = job->capacity * 2 + 4096;
		char *names = realloc(job->names, capacity);
		if (names == NULL)
			return -ENOMEM;
		job->names = names;
		job->capacity = capacity;
	}
	memcpy(job->names + job->len, name, len);
	job->len += len;
	job->count++;
	return 0;
}

static void run_list(void *arg)
{
	struct list_job *job = arg;
	int fd = openat(job->root_fd, job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		job->rc = -errno;
		if (fd >= 0)
			(void)close(fd); /* opened for reading */
		return;
	}
	while (job->rc == 0) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (entry == NULL) {
			job->rc = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			job->rc = list_add(job, entry->d_name);
	}
	(void)closedir(dir); /* opened for reading */
}

static int uring_list(struct disk *disk_, const char *path, struct arena *arena, struct str **ret_names)
{
	struct uring_disk *disk = disk_of(disk_);
	if (!path_is_fine(path))
		return fail(EINVAL);
	struct list_job job = {.root_fd = disk->root_fd, .path = path};
	threads_call(disk->threads, run_list, &job);
	if (job.rc < 0 || job.count > INT32_MAX) {
		free(job.names);
		return fail(job.rc < 0 ? -job.rc : EOVERFLOW);
	}
	struct str *names = arena_alloc(arena, (job.count + 1) * sizeof(names[0]));
	const char *text = job.len > 0 ? arena_dup(arena, job.names, job.len) : NULL;
	for (size_t i = 0; i < job.count; i++) {
		names[i] = str_of(text);
		text += names[i].len + 1;
	}
	free(job.names);
	*ret_names = names;
	return (int)job.count;
}

struct space_job {
	int fd, rc;
	struct statvfs vfs;
};

static void run_space(void *arg)
{
	struct space_job *job = arg;
	job->rc = fstatvfs(job->fd, &job->vfs) == 0 ? 0 : -errno;
}

static int uring_space(struct disk *disk_, struct disk_space *ret_space)
{
	struct uring_disk *disk = disk_of(disk_);
	struct space_job job = {.fd = disk->root_fd};
	threads_call(disk->threads, run_space, &job);
	if (job.rc < 0)
		return fail(-job.rc);
	*ret_space = (struct disk_space){
		.total_bytes = job.vfs.f_blocks * job.vfs.f_frsize,
		.free_bytes = job.vfs.f_bfree * job.vfs.f_frsize,
		.available_bytes = job.vfs.f_bavail * job.vfs.f_frsize,
		.files_total = job.vfs.f_files,
		.files_free = job.vfs.f_ffree,
	};
	return 0;
}

/* ---- start and end -------------------------------------------------------------------------------------------- */

static void uring_fini(struct disk *disk_)
{
	struct uring_disk *disk = disk_of(disk_);
	loop_source_remove(&disk->source);
	threads_free(disk->threads);
	io_uring_queue_exit(&disk->ring);
	(void)close(disk->root_fd); /* opened for reading */
	mem_free(disk);
}

static const struct disk_ops uring_ops = {
	.open = uring_open,
	.close = uring_close,
	.read = uring_read,
	.write = uring_write,
	.file_sync = uring_file_sync,
	.truncate = uring_truncate,
	.punch = uring_punch,
	.alloc = uring_alloc,
	.seek = uring_seek,
	.file_stat = uring_file_stat,
	.stat = uring_stat,
	.mkdir = uring_mkdir,
	.unlink = uring_unlink,
	.rename = uring_rename,
	.dir_sync = uring_dir_sync,
	.list = uring_list,
	.space = uring_space,
	.buffer_hint = uring_buffer_hint,
	.fini = uring_fini,
};

static bool ring_can_all(struct io_uring *ring)
{
	static const int needed[] = {IORING_OP_OPENAT,   IORING_OP_READ,     IORING_OP_WRITE,
				     IORING_OP_FSYNC,    IORING_OP_STATX,    IORING_OP_FALLOCATE,
				     IORING_OP_UNLINKAT, IORING_OP_RENAMEAT, IORING_OP_MKDIRAT};
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool all = probe != NULL;
	for (size_t i = 0; i < ARRAY_COUNT(needed) && all; i++)
		all = io_uring_opcode_supported(probe, needed[i]) != 0;
	io_uring_free_probe(probe);
	return all;
}

int disk_uring_new(struct loop *loop, const struct disk_uring_opts *opts, struct disk **ret_disk,
		   char error_text[IO_ERROR_TEXT_BYTES])
{
	struct uring_disk *disk = mem_alloc(sizeof(*disk));
	disk->disk = (struct disk){.ops = &uring_ops, .loop = loop};
	disk->depth = opts->queue_depth != 0 ? (unsigned)min_u64(opts->queue_depth, QUEUE_DEPTH_MAX) : QUEUE_DEPTH_DEFAULT;
	waitq_init(&disk->waitq);
	disk->root_fd = open(opts->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (disk->root_fd < 0) {
		int error = errno;
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "cannot open directory %s: %s", opts->root, strerror(error));
		mem_free(disk);
		return fail(error);
	}
	int rc = io_uring_queue_init(disk->depth, &disk->ring, 0);
	if (rc < 0) {
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES,
			       "io_uring is not available (%s): kernel.io_uring_disabled, seccomp or RLIMIT_MEMLOCK forbid it",
			       strerror(-rc));
		goto no_ring;
	}
	if (!ring_can_all(&disk->ring)) {
		(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "io_uring of this kernel lacks operations: 5.15 or later is needed");
		io_uring_queue_exit(&disk->ring);
		rc = -ENOSYS;
		goto no_ring;
	}
	disk->has_buffers = io_uring_register_buffers_sparse(&disk->ring, BUFFERS_MAX) == 0;
	disk->threads = threads_new(loop, "disk", THREAD_COUNT);
	disk->source = (struct loop_source){.poll = disk_poll, .prepare_sleep = disk_prepare_sleep, .fd = disk->ring.ring_fd};
	loop_source_add(loop, &disk->source);
	*ret_disk = &disk->disk;
	return 0;
no_ring:
	(void)close(disk->root_fd); /* opened for reading */
	mem_free(disk);
	return fail(-rc);
}
