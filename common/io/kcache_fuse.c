/* SPDX-License-Identifier: Apache-2.0
 * The kcache seam: FUSE notifications. Owns threads that write them; the descriptor stays its creator's. A notification may wait in the
 * kernel for locks that a request of our own mount holds, so it is never written on the loop's thread. */
#include "common/base/check.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { THREAD_COUNT = 8, ASKER_COUNT = 4, NOTIFY_NAME_BYTES_MAX = 1024 };
enum { NOTIFY_INC_EPOCH = 8 }; /* FUSE_NOTIFY_INC_EPOCH: Linux 6.16; older headers lack it, older kernels answer EINVAL */

struct kcache_fuse {
	struct kcache kcache;
	struct threads *threads;
	int fd;
	/* views */
	char *mountpoint;       /* owned; NULL: there are none */
	struct threads *askers; /* their own: the others may wait for pages that wait for an answer to a question of these */
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

/* ---- views ------------------------------------------------------------------------------------------------------ */

struct kcache_view {
	struct kcache_fuse *kcache;
	uint64_t ino;
	int fd, rc;
	bool asking, closed; /* a task asks: it frees a view that is closed */
};

/* A descriptor that only names the inode. That of the root directory, which the kernel wants for it, is closed at once: it would keep the mount busy. */
static void run_open(void *arg)
{
	enum { FILEID_INO64_GEN = 0x81 }; /* linux/exportfs.h */
	struct kcache_view *view = arg;
	union {
		struct file_handle head;
		uint32_t words[2 + 3];
	} handle = {.words = {3 * sizeof(uint32_t), FILEID_INO64_GEN, (uint32_t)(view->ino >> 32), (uint32_t)view->ino, 0}};
	int root = open(view->kcache->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	view->fd = root >= 0 ? open_by_handle_at(root, &handle.head, O_PATH | O_CLOEXEC) : -1;
	view->rc = view->fd < 0 ? -errno : 0;
	if (root >= 0)
		(void)close(root); /* it was only named */
}

static int fuse_view_open(struct kcache *kcache_, uint64_t ino, struct kcache_view **ret_view)
{
	struct kcache_fuse *kcache = CONTAINER_OF(kcache_, struct kcache_fuse, kcache);
	if (kcache->mountpoint == NULL)
		return fail(EPERM);
	struct kcache_view *view = mem_alloc(sizeof(*view));
	*view = (struct kcache_view){.kcache = kcache, .ino = ino, .fd = -1};
	threads_call(kcache->askers, run_open, view);
	int rc = view->rc;
	if (rc < 0) {
		mem_free(view);
		return rc == -EPERM || rc == -EOPNOTSUPP ? fail(EPERM) : fail(ENOENT);
	}
	*ret_view = view;
	return 0;
}

static uint64_t fuse_view_size(struct kcache_view *view)
{
	struct statx stx = {0};
	if (statx(view->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &stx) < 0)
		return UINT64_MAX; /* unmounted: nobody waits for long */
	return stx.stx_size;
}

static void run_ask(void *arg)
{
	struct kcache_view *view = arg;
	struct statx stx;
	(void)statx(view->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx); /* what counts is what the kernel made of it */
}

static void view_free(struct kcache_view *view)
{
	(void)close(view->fd); /* it only names a file */
	mem_free(view);
}

static void ask_task(void *arg)
{
	struct kcache_view *view = arg;
	threads_call(view->kcache->askers, run_ask, view);
	view->asking = false;
	if (view->closed)
		view_free(view);
}

static void fuse_view_ask(struct kcache_view *view)
{
	if (view->asking)
		return;
	view->asking = true;
	task_spawn(view->kcache->kcache.loop, "ask", ask_task, view);
}

static void fuse_view_close(struct kcache_view *view)
{
	view->closed = true;
	if (!view->asking)
		view_free(view);
}

static bool fuse_view_asks(const struct kcache *kcache_, uint32_t thread)
{
	const struct kcache_fuse *kcache = CONTAINER_OF(kcache_, const struct kcache_fuse, kcache);
	return kcache->askers != NULL && threads_have(kcache->askers, thread);
}

static void fuse_fini(struct kcache *kcache_)
{
	struct kcache_fuse *kcache = CONTAINER_OF(kcache_, struct kcache_fuse, kcache);
	threads_free(kcache->threads);
	threads_free(kcache->askers);
	mem_free(kcache->mountpoint);
	mem_free(kcache);
}

struct kcache *kcache_fuse_new(struct loop *loop, int fuse_fd, const char *mountpoint)
{
	static const struct kcache_ops ops = {
		.inval_inode = fuse_inval_inode, .inval_attr = fuse_inval_attr, .inval_entry = fuse_inval_entry,
		.inval_epoch = fuse_inval_epoch, .view_open = fuse_view_open, .view_size = fuse_view_size, .view_ask = fuse_view_ask,
		.view_close = fuse_view_close, .view_asks = fuse_view_asks, .fini = fuse_fini};
	struct kcache_fuse *kcache = mem_alloc(sizeof(*kcache));
	kcache->kcache = (struct kcache){.ops = &ops, .loop = loop};
	kcache->fd = fuse_fd;
	kcache->threads = threads_new(loop, "kcache", THREAD_COUNT);
	if (mountpoint != NULL) {
		kcache->mountpoint = mem_dup(mountpoint, strlen(mountpoint) + 1);
		kcache->askers = threads_new(loop, "kcache-ask", ASKER_COUNT);
	}
	return &kcache->kcache;
}
