/* SPDX-License-Identifier: Apache-2.0
 * The kcache seam: FUSE notifications. Owns threads that write them; the descriptor stays its creator's. A notification may wait in the
 * kernel for locks that a request of our own mount holds, so it is never written on the loop's thread. */
#include "common/base/check.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <linux/fuse.h>
#include <sys/uio.h>

enum { THREAD_COUNT = 8, NOTIFY_NAME_BYTES_MAX = 1024 };
enum { NOTIFY_INC_EPOCH = 8 }; /* FUSE_NOTIFY_INC_EPOCH: Linux 6.16; older headers lack it, older kernels answer EINVAL */

struct kcache_fuse {
	struct kcache kcache;
	struct threads *threads;
	int fd;
};

struct notify_job {
	int fd, rc;
	struct iovec iov[3];
	int iov_count;
	struct fuse_out_header header;
	union {
		struct fuse_notify_inval_inode_out inode;
		struct fuse_notify_inval_entry_out entry;
	} body;
	char name[NOTIFY_NAME_BYTES_MAX + 1];
};

static void run_notify(void *arg)
{
	struct notify_job *job = arg;
	ssize_t n;
	do {
		n = writev(job->fd, job->iov, job->iov_count);
	} while (n < 0 && errno == EINTR);
	job->rc = n < 0 ? -errno : 0;
}

static int notify(struct kcache_fuse *kcache, struct notify_job *job, int code, size_t body_len, size_t name_len)
{
	job->fd = kcache->fd;
	job->header.error = code;
	job->header.len = (uint32_t)(sizeof(job->header) + body_len + name_len);
	job->iov[0] = (struct iovec){&job->header, sizeof(job->header)};
	job->iov[1] = (struct iovec){&job->body, body_len};
	job->iov[2] = (struct iovec){job->name, name_len};
	job->iov_count = name_len > 0 ? 3 : 2;
	threads_call(kcache->threads, run_notify, job);
	return job->rc < 0 ? fail(-job->rc) : 0;
}

static int fuse_inval_inode(struct kcache *kcache, uint64_t ino, uint64_t offset, uint64_t len)
{
	struct notify_job job = {.body.inode = {.ino = ino, .off = (int64_t)offset, .len = (int64_t)len}};
	if (offset > INT64_MAX || len > INT64_MAX)
		return fail(EINVAL);
	return notify(CONTAINER_OF(kcache, struct kcache_fuse, kcache), &job, FUSE_NOTIFY_INVAL_INODE,
		      sizeof(job.body.inode), 0);
}

static int fuse_inval_attr(struct kcache *kcache, uint64_t ino)
{
	struct notify_job job = {.body.inode = {.ino = ino, .off = -1}};
	return notify(CONTAINER_OF(kcache, struct kcache_fuse, kcache), &job, FUSE_NOTIFY_INVAL_INODE,
		      sizeof(job.body.inode), 0);
}

static int fuse_inval_epoch(struct kcache *kcache)
{
	struct notify_job job = {0};
	int rc = notify(CONTAINER_OF(kcache, struct kcache_fuse, kcache), &job, NOTIFY_INC_EPOCH, 0, 0);
	return rc == -EINVAL ? fail(ENOSYS) : rc;
}

static int fuse_inval_entry(struct kcache *kcache, uint64_t parent, struct str name)
{
	struct notify_job job = {.body.entry = {.parent = parent, .namelen = (uint32_t)name.len}};
	if (name.len == 0 || name.len > NOTIFY_NAME_BYTES_MAX)
		return fail(EINVAL);
	memcpy(job.name, name.ptr, name.len); /* its NUL, which the kernel wants too, is there */
	return notify(CONTAINER_OF(kcache, struct kcache_fuse, kcache), &job, FUSE_NOTIFY_INVAL_ENTRY,
		      sizeof(job.body.entry), name.len + 1);
}

static void fuse_fini(struct kcache *kcache_)
{
	struct kcache_fuse *kcache = CONTAINER_OF(kcache_, struct kcache_fuse, kcache);
	threads_free(kcache->threads);
	mem_free(kcache);
}

struct kcache *kcache_fuse_new(struct loop *loop, int fuse_fd)
{
	static const struct kcache_ops ops = {
		.inval_inode = fuse_inval_inode, .inval_attr = fuse_inval_attr, .inval_entry = fuse_inval_entry,
		.inval_epoch = fuse_inval_epoch, .fini = fuse_fini};
	struct kcache_fuse *kcache = mem_alloc(sizeof(*kcache));
	kcache->kcache = (struct kcache){.ops = &ops, .loop = loop};
	kcache->fd = fuse_fd;
	kcache->threads = threads_new(loop, "kcache", THREAD_COUNT);
	return &kcache->kcache;
}
