/* SPDX-License-Identifier: Apache-2.0
 * Programs that draw an operation, ask the oracle, do it, and compare. */
#include "tests/sim/workload.h"
#include "common/base/check.h"
#include "proto/proto.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FULL_PATH_BYTES = WORK_ROOT_BYTES + MODEL_PATH_BYTES + 2, XATTR_LIST_BYTES = 4096, READDIR_NAMES_MAX = 64 };

struct workload *workload_new(struct world *world, uint64_t seed, const struct workload_opts *opts)
{
	WORLD_MEMORY();
	struct workload *workload = mem_alloc(sizeof(*workload));
	workload->world = world;
	workload->opts = *opts;
	rng_init(&workload->rng, seed);
	list_init(&workload->remains);
	shared_init(&workload->shared, world);
	history_init(&workload->history, world);
	lockwork_init(&workload->lockwork, world);
	return workload;
}

void workload_free(struct workload *workload)
{
	WORLD_MEMORY();
	struct list_node *link;
	while ((link = list_pop_front(&workload->remains)) != NULL) {
		struct remains *remains = CONTAINER_OF(link, struct remains, link);
		model_free(remains->before);
		model_free(remains->after);
		mem_free(remains);
	}
	for (unsigned c = 0; c < WORK_CLIENTS_MAX; c++)
		for (unsigned t = 0; t < WORK_TASKS_MAX; t++)
			model_free(workload->tasks[c][t].model);
	shared_fini(&workload->shared);
	history_fini(&workload->history);
	lockwork_fini(&workload->lockwork);
	mem_free(workload);
}

static void full_path(const char *root, const char *path, char ret_path[FULL_PATH_BYTES])
{
	(void)snprintf(ret_path, FULL_PATH_BYTES, "%s%s%s", root, path[0] != '\0' ? "/" : "", path);
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static uint32_t mode_of(const struct model_inode *inode)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR};
	return types[inode->kind] | inode->mode;
}

/* NULL, or what is wrong. Link counts of the unlinked are the open file's own business. */
static const char *attr_differs(const struct model_inode *inode, const struct attr *attr, bool crashed)
{
	if (attr->mode != mode_of(inode))
		return "mode";
	if (attr->nlink != inode->nlink)
		return "nlink";
	if (attr->uid != inode->uid || attr->gid != inode->gid)
		return "owner";
	if (inode->kind == MODEL_FILE && !model_check_size(inode, crashed, attr->size_bytes))
		return "size";
	if (inode->kind == MODEL_SYMLINK && attr->size_bytes != strlen(inode->target))
		return "size of a symbolic link";
	if (inode->kind == MODEL_FILE && inode->mtime_known && attr->mtime_ns != inode->mtime_ns)
		return "mtime";
	return NULL;
}

static void wrong(struct work_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct work_task *task, const char *format, ...)
{
	char text[200], op[200];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	model_op_text(&task->op, op, sizeof(op));
	WORLD_MEMORY();
	world_fail(task->workload->world, "oracle: %s: %s: %s", task->root, op, text);
}

static void check_attr(struct work_task *task, struct model_inode *inode, const struct attr *attr)
{
	if (attr->atime_ns < inode->atime_ns)
		wrong(task, "atime went back from %lld to %lld", (long long)inode->atime_ns, (long long)attr->atime_ns);
	if (inode->atime_exact && attr->atime_ns != inode->atime_ns)
		wrong(task, "atime was set to %lld and is %lld", (long long)inode->atime_ns, (long long)attr->atime_ns);
	inode->atime_ns = attr->atime_ns;
	const char *what = attr_differs(inode, attr, false);
	if (what != NULL)
		wrong(task, "%s differs: got mode %o nlink %u uid %u gid %u size %llu mtime %lld, want mode %o nlink %u size %llu", what,
		      attr->mode, attr->nlink, attr->uid, attr->gid, (unsigned long long)attr->size_bytes, (long long)attr->mtime_ns,
		      mode_of(inode), inode->nlink, (unsigned long long)inode->data.size);
}

/* It was just read, and this is what a stat says then. Times in the future, which nobody but utimens gives, are never reached; and when the MDT's clock
 * jumps, a mount may take a while to know: then atime moves, but not as far as ctime. */
static void check_read(struct work_task *task, struct model_inode *inode, const struct attr *attr)
{
	int64_t seen_ns = inode->atime_ns;
	check_attr(task, inode, attr);
	bool due = attr->atime_ns <= attr->mtime_ns || attr->atime_ns <= attr->ctime_ns;
	if (attr->mtime_ns <= attr->ctime_ns && due && attr->atime_ns <= seen_ns)
		wrong(task, "a read has not moved atime: %lld, mtime %lld, ctime %lld", (long long)attr->atime_ns, (long long)attr->mtime_ns,
		      (long long)attr->ctime_ns);
}

/* The names of a directory, collected and compared with the model's. */
struct listing {
	struct model_inode *dir;
	char names[READDIR_NAMES_MAX][MODEL_NAME_BYTES];
	unsigned count;
	const char *problem;
};

static bool listing_add(void *ctx, const struct kernel_dirent *dirent)
{
	struct listing *listing = ctx;
	if (strcmp(dirent->name, ".") == 0 || strcmp(dirent->name, "..") == 0)
		return true;
	for (unsigned i = 0; i < listing->count; i++)
		if (strcmp(listing->names[i], dirent->name) == 0)
			listing->problem = "a name came twice";
	if (listing->count == READDIR_NAMES_MAX || strlen(dirent->name) >= MODEL_NAME_BYTES) {
		listing->problem = "names that nobody made";
		return false;
	}
	(void)snprintf(listing->names[listing->count++], MODEL_NAME_BYTES, "%s", dirent->name);
	return true;
}

static const char *listing_differs(const struct listing *listing)
{
	unsigned want = 0;
	if (listing->problem != NULL)
		return listing->problem;
	list_for_each(at, &listing->dir->entries)
		want++;
	if (want != listing->count)
		return want > listing->count ? "a name is missing" : "there is a name too many";
	for (unsigned i = 0; i < listing->count; i++)
		if (model_entry_find(listing->dir, listing->names[i]) == NULL)
			return "there is a name that was not made";
	return NULL;
}

/* ---- doing ---------------------------------------------------------------------------------------------------- */

static int do_open(struct work_task *task, const char *path)
{
	const struct model_op *op = &task->op;
	int flags = (op->flags & MO_READ) ? (op->flags & MO_WRITE) ? O_RDWR : O_RDONLY : O_WRONLY;
	flags |= (op->flags & MO_CREATE) ? O_CREAT : 0;
	flags |= (op->flags & MO_EXCL) ? O_EXCL : 0;
	flags |= (op->flags & MO_TRUNC) ? O_TRUNC : 0;
	flags |= (op->flags & MO_APPEND) ? O_APPEND : 0;
	int fd = kernel_open(task->kernel, path, flags, op->mode);
	if (fd < 0)
		return fd;
	task->fds[op->handle] = fd;
	return 0;
}

static int do_tmpfile(struct work_task *task, const char *path)
{
	const struct model_op *op = &task->op;
	int flags = ((op->flags & MO_READ) ? O_RDWR : O_WRONLY) | ((op->flags & MO_EXCL) ? O_EXCL : 0);
	int fd = kernel_tmpfile(task->kernel, path, flags, op->mode);
	if (fd < 0)
		return fd;
	task->fds[op->handle] = fd;
	return 0;
}

/* At once, in order, or every second record and then the others. */
static int64_t read_all(struct work_task *task, int fd, uint8_t *buf)
{
	enum { RECORDS = 8 };
	const struct model_op *op = &task->op;
	uint64_t passes = 1 + op->seed % 3, record = op->len / RECORDS + 1;
	int64_t total = 0;
	if (passes == 3 || op->len == 0)
		return kernel_pread(task->kernel, fd, buf, (size_t)op->len, op->offset);
	for (uint64_t pass = 0; pass < passes; pass++) {
		for (uint64_t at = pass * record; at < op->len; at += passes * record) {
			int64_t got = kernel_pread(task->kernel, fd, buf + at, (size_t)min_u64(record, op->len - at), op->offset + at);
			if (got < 0)
				return got;
			total += got;
		}
	}
	return total;
}

static int64_t do_read(struct work_task *task, int fd)
{
	uint8_t *buf = mem_alloc((size_t)task->op.len + 1);
	int64_t got = read_all(task, fd, buf);
	if (got > 0) {
		const struct model_inode *inode = task->model->handles[task->op.handle].inode;
		int64_t at = model_check_data(inode, false, buf, (size_t)got, task->op.offset);
		if (at >= 0)
			wrong(task, "byte %llu is not what was written: 0x%02x", (unsigned long long)(task->op.offset + (uint64_t)at),
			      buf[at]);
	}
	mem_free(buf);
	struct attr attr;
	const struct model_handle *handle = &task->model->handles[task->op.handle];
	bool asked = handle->write ? task->op.len > 0 : got > 0 && !handle->inode->pages_may_hide;
	if (got >= 0 && asked && rng_below(&task->rng, 3) == 0 && kernel_fstat(task->kernel, fd, &attr) == 0)
		check_read(task, handle->inode, &attr);
	return got;
}

static int64_t do_write(struct work_task *task, int fd)
{
	uint8_t *buf = mem_alloc((size_t)task->op.len + 1);
	model_data_fill(task->op.seed, buf, (size_t)task->op.len);
	int64_t done = kernel_pwrite(task->kernel, fd, buf, (size_t)task->op.len, task->op.offset);
	mem_free(buf);
	return done;
}

static int64_t do_fgetxattr(struct work_task *task, int fd)
{
	const struct model_xattr *xattr = &task->model->handles[task->op.handle].inode->xattrs[task->op.xattr];
	uint8_t value[MODEL_XATTR_BYTES];
	char name[32];
	(void)snprintf(name, sizeof(name), "user.x%u", task->op.xattr);
	int64_t got = kernel_fgetxattr(task->kernel, fd, name, value, sizeof(value));
	if (got > 0 && (xattr->len != (size_t)got || memcmp(xattr->value, value, xattr->len) != 0))
		wrong(task, "the value is another");
	return got;
}

static int do_fallocate(struct work_task *task, int fd)
{
	const struct model_op *op = &task->op;
	unsigned mode = ((op->flags & MA_KEEP_SIZE) ? (unsigned)FALLOC_FL_KEEP_SIZE : 0u) |
			((op->flags & MA_PUNCH) ? (unsigned)FALLOC_FL_PUNCH_HOLE : 0u) |
			((op->flags & MA_ZERO) ? (unsigned)FALLOC_FL_ZERO_RANGE : 0u);
	return kernel_fallocate(task->kernel, fd, mode, op->offset, op->len);
}

static int64_t do_copy(struct work_task *task, int fd)
{
	const struct model_op *op = &task->op;
	if (task->model->handles[op->from_handle].inode == NULL)
		return -EBADF;
	return kernel_copy(task->kernel, task->fds[op->from_handle], op->from_offset, fd, op->offset, op->len);
}

/* 0 for whatever may be answered. */
static int64_t do_seek(struct work_task *task, int fd)
{
	const struct model_inode *inode = task->model->handles[task->op.handle].inode;
	int64_t at = kernel_lseek(task->kernel, fd, task->op.offset, (task->op.flags & MS_HOLE) != 0);
	return model_seek_fits(inode, &task->op, at) ? 0 : at < 0 ? at : at + 1;
}

static int64_t do_handle(struct work_task *task)
{
	struct model_op *op = &task->op;
	struct attr attr;
	if (task->model->handles[op->handle].inode == NULL)
		return -EBADF;
	int fd = task->fds[op->handle];
	switch (op->kind) {
	case MOP_CLOSE:
		return kernel_close(task->kernel, fd);
	case MOP_READ:
		return do_read(task, fd);
	case MOP_WRITE:
		return do_write(task, fd);
	case MOP_FSYNC:
		return kernel_fsync(task->kernel, fd);
	case MOP_FTRUNCATE:
		return kernel_ftruncate(task->kernel, fd, op->len);
	case MOP_FCHMOD:
		return kernel_fchmod(task->kernel, fd, op->mode);
	case MOP_FGETXATTR:
		return do_fgetxattr(task, fd);
	case MOP_FALLOCATE:
		return do_fallocate(task, fd);
	case MOP_SEEK:
		return do_seek(task, fd);
	case MOP_COPY:
		return do_copy(task, fd);
	default: {
		int rc = kernel_fstat(task->kernel, fd, &attr);
		if (rc == 0)
			check_attr(task, task->model->handles[op->handle].inode, &attr);
		return rc;
	}
	}
}

static int64_t do_readdir(struct work_task *task, const char *path)
{
	struct listing *listing = mem_alloc(sizeof(*listing));
	listing->dir = model_find(task->model, task->op.path);
	int rc = kernel_readdir(task->kernel, path, listing_add, listing);
	if (rc == 0 && listing->dir != NULL && listing_differs(listing) != NULL)
		wrong(task, "%s", listing_differs(listing));
	struct attr attr;
	if (rc == 0 && listing->dir != NULL && rng_below(&task->rng, 3) == 0 && kernel_stat(task->kernel, path, &attr) == 0)
		check_read(task, listing->dir, &attr);
	mem_free(listing);
	return rc;
}

static int64_t do_xattr(struct work_task *task, const char *path)
{
	struct model_op *op = &task->op;
	struct model_inode *inode = model_find(task->model, op->path);
	uint8_t value[XATTR_LIST_BYTES];
	char name[32];
	(void)snprintf(name, sizeof(name), "user.x%u", op->xattr);
	if (op->kind == MOP_SETXATTR) {
		model_data_fill(op->seed, value, (size_t)op->len);
		return kernel_setxattr(task->kernel, path, name, blob_of(value, (size_t)op->len), 0);
	}
	if (op->kind == MOP_REMOVEXATTR)
		return kernel_removexattr(task->kernel, path, name);
	if (op->kind == MOP_GETXATTR) {
		int64_t got = kernel_getxattr(task->kernel, path, name, value, sizeof(value));
		const struct model_xattr *xattr = inode != NULL ? &inode->xattrs[op->xattr] : NULL;
		if (got > 0 && (xattr == NULL || xattr->len != (size_t)got || memcmp(xattr->value, value, xattr->len) != 0))
			wrong(task, "the value is another");
		return got;
	}
	int64_t got = kernel_listxattr(task->kernel, path, value, sizeof(value));
	for (unsigned i = 0; got >= 0 && inode != NULL && i < MODEL_XATTRS; i++) {
		(void)snprintf(name, sizeof(name), "user.x%u", i);
		bool listed = got > 0 && memmem(value, (size_t)got, name, strlen(name) + 1) != NULL;
		if (listed != (inode->xattrs[i].len != 0))
			wrong(task, "%s is %s", name, listed ? "listed and should not be" : "missing");
	}
	return got < 0 ? got : 0;
}

static const char *const acl_names[] = {"system.posix_acl_access", "system.posix_acl_default"};

static int64_t do_acl(struct work_task *task, const char *path)
{
	const struct model_op *op = &task->op;
	const char *name = acl_names[op->is_default];
	uint8_t value[MODEL_ACL_BYTES], want[MODEL_ACL_BYTES];
	if (op->kind == MOP_SETACL && !op->acl.there)
		return kernel_removexattr(task->kernel, path, name);
	if (op->kind == MOP_SETACL) {
		model_acl_fill(&op->acl, op->acl.mode, value);
		return kernel_setxattr(task->kernel, path, name, blob_of(value, sizeof(value)), 0);
	}
	int64_t got = kernel_getxattr(task->kernel, path, name, value, sizeof(value));
	const struct model_inode *inode = model_find(task->model, op->path);
	if (got > 0 && (inode == NULL || !model_acl_value(inode, op->is_default, want) || memcmp(value, want, sizeof(want)) != 0))
		wrong(task, "the list is another");
	return got;
}

static int64_t do_stat(struct work_task *task, const char *path)
{
	struct attr attr;
	int rc = kernel_stat(task->kernel, path, &attr);
	struct model_inode *inode = model_find(task->model, task->op.path);
	if (rc == 0 && inode != NULL)
		check_attr(task, inode, &attr);
	return rc;
}

static int64_t do_readlink(struct work_task *task, const char *path)
{
	char target[MODEL_PATH_BYTES];
	int rc = kernel_readlink(task->kernel, path, target, sizeof(target));
	struct model_inode *inode = model_find(task->model, task->op.path);
	if (rc > 0 && inode != NULL && ((size_t)rc != strlen(inode->target) || memcmp(target, inode->target, (size_t)rc) != 0))
		wrong(task, "the target is another");
	struct attr attr;
	if (rc > 0 && inode != NULL && rng_below(&task->rng, 3) == 0 && kernel_stat(task->kernel, path, &attr) == 0)
		check_read(task, inode, &attr);
	return rc;
}

static int64_t do_attr(struct work_task *task, const char *path)
{
	const struct model_op *op = &task->op;
	struct attr attr = {.mode = op->mode, .uid = op->uid, .gid = op->gid, .size_bytes = op->len, .mtime_ns = op->time_ns,
			    .atime_ns = op->time_ns};
	uint32_t valid = op->kind == MOP_CHMOD ? SET_MODE : op->kind == MOP_CHOWN ? SET_UID | SET_GID :
			 op->kind == MOP_TRUNCATE ? SET_SIZE : SET_ATIME | SET_MTIME;
	return kernel_setattr(task->kernel, path, valid, &attr);
}

/* Wanted stripes, before the file has any data: an error afterwards is fine, and then nothing changes. */
static int64_t do_setstripe(struct work_task *task, const char *path)
{
	char value[96];
	int len = snprintf(value, sizeof(value), "{\"stripe_count\": %u, \"stripe_size\": 65536, \"stripe_index\": -1, \"osts\": []}", (unsigned)task->op.len);
	return kernel_setxattr(task->kernel, path, "stria.layout", blob_of(value, (size_t)len), 0);
}

static int64_t do_op(struct work_task *task)
{
	struct model_op *op = &task->op;
	struct kernel *kernel = task->kernel;
	char path[FULL_PATH_BYTES], to[FULL_PATH_BYTES];
	uint64_t total, free_bytes;
	full_path(task->root, op->path, path);
	full_path(task->root, op->to, to);
	switch (op->kind) {
	case MOP_OPEN:
		return do_open(task, path);
	case MOP_TMPFILE:
		return do_tmpfile(task, path);
	case MOP_LINK_HANDLE:
		return task->model->handles[op->handle].inode != NULL ? kernel_link_file(kernel, task->fds[op->handle], to) : -EBADF;
	case MOP_STAT:
		return do_stat(task, path);
	case MOP_MKDIR:
		return kernel_mkdir(kernel, path, op->mode);
	case MOP_RMDIR:
		return kernel_rmdir(kernel, path);
	case MOP_UNLINK:
		return kernel_unlink(kernel, path);
	case MOP_RENAME:
		return kernel_rename(kernel, path, to, op->flags);
	case MOP_LINK:
		return kernel_link(kernel, path, to);
	case MOP_SYMLINK:
		return kernel_symlink(kernel, op->to, path);
	case MOP_READLINK:
		return do_readlink(task, path);
	case MOP_MKNOD:
		return kernel_mknod(kernel, path, S_IFIFO | op->mode);
	case MOP_TRUNCATE:
	case MOP_CHMOD:
	case MOP_CHOWN:
	case MOP_UTIMENS:
		return do_attr(task, path);
	case MOP_SETXATTR:
	case MOP_GETXATTR:
	case MOP_REMOVEXATTR:
	case MOP_LISTXATTR:
		return do_xattr(task, path);
	case MOP_SETACL:
	case MOP_GETACL:
		return do_acl(task, path);
	case MOP_READDIR:
		return do_readdir(task, path);
	case MOP_STATFS:
		return kernel_statfs(kernel, &total, &free_bytes);
	case MOP_SETSTRIPE:
		return do_setstripe(task, path);
	default:
		return do_handle(task);
	}
}

/* ---- programs ------------------------------------------------------------------------------------------------- */

/* A full disk may refuse data at once, in part, or when what was lost with an OST is replayed: fsync and close tell then. */
static bool is_refusal(const struct work_task *task, int64_t got, int64_t want)
{
	switch (task->op.kind) {
	case MOP_WRITE:
		return got == -ENOSPC || (got >= 0 && got < want);
	case MOP_FSYNC:
	case MOP_CLOSE:
	case MOP_FALLOCATE:
		return got == -ENOSPC;
	case MOP_COPY:
		return got == -ENOSPC || (got >= 0 && (got < want || model_is_unknown(task->model, &task->op)));
	case MOP_READ:
		return got >= 0 && model_is_unknown(task->model, &task->op);
	default:
		return false;
	}
}

static void task_one_op(struct work_task *task)
{
	struct workload *workload = task->workload;
	int64_t want;
	char text[200];
	{
		WORLD_MEMORY();
		model_op_draw(task->model, &task->rng, &task->op);
		want = model_predict(task->model, &task->op);
		model_op_text(&task->op, text, sizeof(text));
		world_note(workload->world, NULL, "%s: %s", task->root, text);
		model_begin(task->model, &task->op);
	}
	task->in_flight = true;
	int64_t got = do_op(task);
	task->in_flight = false;
	WORLD_MEMORY();
	if (task->op.kind == MOP_SETSTRIPE)
		want = got; /* whether it has data is not the model's business */
	if (got != want && is_refusal(task, got, want)) {
		model_refused(task->model, &task->op);
		workload->refused++;
		want = task->op.kind == MOP_CLOSE ? 0 : -ENOSPC; /* a file that could not be saved is closed all the same */
		got = want;
	}
	if (got != want && world_failure(workload->world) == NULL)
		wrong(task, "got %lld (%s), want %lld (%s)", (long long)got, got < 0 ? err_name((int)got) : "ok", (long long)want,
		      want < 0 ? err_name((int)want) : "ok");
	if (want >= 0)
		model_apply(task->model, &task->op);
	else
		workload->failed_as_predicted++;
	workload->by_kind[task->op.kind]++;
	workload->ops++;
	task->ops++;
}

static void task_close_all(struct work_task *task)
{
	for (unsigned i = 0; i < MODEL_HANDLES; i++) {
		if (task->model->handles[i].inode == NULL)
			continue;
		task->op = (struct model_op){.kind = MOP_CLOSE, .handle = i};
		task->in_flight = true;
		int64_t got = do_op(task);
		task->in_flight = false;
		if (got < 0 && !is_refusal(task, got, 0))
			wrong(task, "close: %s", err_name((int)got));
		WORLD_MEMORY();
		model_apply(task->model, &task->op);
	}
}

static void task_main(void *arg)
{
	struct work_task *task = arg;
	struct workload *workload = task->workload;
	struct loop *loop = kernel_loop(task->kernel);
	if (task->shared || task->recorded || task->locks) {
		int rc = task->shared ? shared_prepare(task->kernel) :
			 task->locks  ? lockwork_prepare(task->kernel) :
					history_prepare(task->kernel);
		if (rc < 0)
			wrong(task, "preparing the common directory: %s", err_name(rc));
	} else {
		int rc = kernel_mkdir(task->kernel, task->root, 0755);
		if (rc < 0)
			wrong(task, "mkdir of its root: %s", err_name(rc));
		task->root_made = true;
	}
	while (!workload->stop && world_failure(workload->world) == NULL) {
		task_sleep(loop, rng_below(&task->rng, task->recorded ? workload->opts.think_ns_max / 2 : workload->opts.think_ns_max));
		if (task->shared)
			shared_step(&workload->shared, task->kernel, &task->rng, &task->shared_op);
		else if (task->recorded)
			history_step(&workload->history, task->kernel, &task->rng, &task->history_task);
		else if (task->locks)
			lockwork_step(&task->lockwork_task, task->kernel, &task->rng);
		else
			task_one_op(task);
		if (rng_chance(&task->rng, 10000))
			kernel_shrink(task->kernel);
	}
	if (task->locks)
		lockwork_end(&task->lockwork_task, task->kernel, &task->rng);
	else if (task->recorded)
		history_leave(&workload->history, task->kernel, &task->history_task);
	else if (!task->shared)
		task_close_all(task);
	task->running = false;
}

void workload_start(struct workload *workload, unsigned client, struct loop *loop, struct kernel *kernel)
{
	unsigned life = ++workload->lives[client];
	unsigned not_recorded = workload->opts.tasks + workload->opts.shared_tasks;
	unsigned not_locks = not_recorded + workload->opts.recorded_tasks;
	for (unsigned t = 0; t < not_locks + workload->opts.lock_tasks; t++) {
		struct work_task *task = &workload->tasks[client][t];
		{
			WORLD_MEMORY();
			*task = (struct work_task){.workload = workload, .kernel = kernel, .client = client, .index = t, .life = life};
			task->rng = rng_fork(&workload->rng);
			task->model = model_new();
			task->recorded = t >= not_recorded && t < not_locks;
			history_join(&workload->history, &task->history_task, client);
			task->locks = t >= not_locks;
			task->shared = t >= workload->opts.tasks && t < not_recorded;
			if (task->locks)
				lockwork_join(&workload->lockwork, &task->lockwork_task, client, life);
			(void)snprintf(task->root, sizeof(task->root), "c%u_t%u_l%u", client, t, life);
			task->running = true;
		}
		task_spawn(loop, "program", task_main, task);
	}
}

/* What is left of a subtree: as it is, and as it would be with the operation in flight. */
static void task_leave(struct work_task *task, bool crashed)
{
	struct workload *workload = task->workload;
	if (task->shared) {
		if (crashed)
			shared_crashed(&workload->shared, &task->shared_op);
		model_free(task->model);
	} else if (task->recorded) {
		if (crashed)
			history_crashed(&workload->history, &task->history_task);
		model_free(task->model);
	} else if (task->locks) {
		lockwork_leave(&task->lockwork_task);
		model_free(task->model);
	} else if (!task->root_made) {
		model_free(task->model);
	} else {
		struct remains *remains = mem_alloc(sizeof(*remains));
		memcpy(remains->root, task->root, sizeof(remains->root));
		remains->crashed = crashed;
		remains->before = task->model;
		if (crashed && task->in_flight && model_predict(task->model, &task->op) >= 0) {
			remains->after = model_clone(task->model);
			remains->after->lost_before = true;
			model_apply(remains->after, &task->op);
			model_doubt(remains->before, &task->op);
		}
		list_push_back(&workload->remains, &remains->link);
	}
	task->model = NULL;
	task->running = false;
}

void workload_crashed(struct workload *workload, unsigned client)
{
	WORLD_MEMORY();
	for (unsigned t = 0; t < WORK_TASKS_MAX; t++)
		if (workload->tasks[client][t].model != NULL)
			task_leave(&workload->tasks[client][t], true);
	history_client_crashed(&workload->history, client);
}

struct history_object *workload_writing(const struct workload *workload, unsigned client)
{
	struct history_object *object = NULL;
	for (unsigned t = 0; t < WORK_TASKS_MAX && object == NULL; t++)
		if (workload->tasks[client][t].running)
			object = history_writing(&workload->tasks[client][t].history_task);
	return object;
}

bool workload_is_idle(const struct workload *workload)
{
	for (unsigned c = 0; c < WORK_CLIENTS_MAX; c++)
		for (unsigned t = 0; t < WORK_TASKS_MAX; t++)
			if (workload->tasks[c][t].running)
				return false;
	return true;
}

void workload_finish(struct workload *workload)
{
	WORLD_MEMORY();
	for (unsigned c = 0; c < WORK_CLIENTS_MAX; c++)
		for (unsigned t = 0; t < WORK_TASKS_MAX; t++)
			if (workload->tasks[c][t].model != NULL)
				task_leave(&workload->tasks[c][t], false);
	lockwork_judge(&workload->lockwork, workload->lives);
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

struct verifying {
	struct kernel *kernel;
	bool crashed;
	bool has_read; /* the first look at the tree has moved its atimes */
	char problem[256];
};

static bool verify_data(struct verifying *verifying, const struct model_inode *inode, const char *path, uint64_t size)
{
	enum { PART = 65536 };
	int fd = kernel_open(verifying->kernel, path, O_RDONLY, 0);
	if (fd < 0) {
		(void)snprintf(verifying->problem, sizeof(verifying->problem), "open %s: %s", path, err_name(fd));
		return false;
	}
	uint8_t *buf = mem_alloc(PART);
	bool good = true;
	for (uint64_t at = 0; good && at < size;) {
		if (size - at > 16 * MIB && at >= 2 * MIB) /* the middle of a sparse file */
			at = (size - 8 * PART) / PART * PART;
		int64_t got = kernel_pread(verifying->kernel, fd, buf, PART, at);
		int64_t bad = got > 0 ? model_check_data(inode, verifying->crashed, buf, (size_t)got, at) : -1;
		good = got == (int64_t)min_u64(PART, size - at) && bad < 0;
		if (!good)
			(void)snprintf(verifying->problem, sizeof(verifying->problem), "%s: read at %llu gives %lld, wrong at %lld", path,
				       (unsigned long long)at, (long long)got, (long long)bad);
		at += PART;
	}
	mem_free(buf);
	(void)kernel_close(verifying->kernel, fd);
	return good;
}

static bool verify_inode(struct verifying *verifying, struct model_inode *inode, const char *path);

static bool verify_dir(struct verifying *verifying, struct model_inode *dir, const char *path)
{
	struct listing *listing = mem_alloc(sizeof(*listing));
	listing->dir = dir;
	int rc = kernel_readdir(verifying->kernel, path, listing_add, listing);
	const char *problem = rc < 0 ? err_name(rc) : listing_differs(listing);
	bool good = problem == NULL;
	if (!good)
		(void)snprintf(verifying->problem, sizeof(verifying->problem), "readdir %s: %s", path, problem);
	mem_free(listing);
	list_for_each(at, &dir->entries) {
		struct model_entry *entry = CONTAINER_OF(at, struct model_entry, link);
		char child[FULL_PATH_BYTES];
		(void)snprintf(child, sizeof(child), "%.80s/%s", path, entry->name);
		good = good && verify_inode(verifying, entry->inode, child);
	}
	return good;
}

static bool verify_acl(struct verifying *verifying, const struct model_inode *inode, const char *path)
{
	uint8_t value[MODEL_ACL_BYTES], want[MODEL_ACL_BYTES];
	for (unsigned i = 0; i < ARRAY_COUNT(acl_names); i++) {
		bool there = model_acl_value(inode, i == 1, want);
		int64_t got = kernel_getxattr(verifying->kernel, path, acl_names[i], value, sizeof(value));
		if (there ? got == MODEL_ACL_BYTES && memcmp(value, want, sizeof(want)) == 0 : got == -ENODATA)
			continue;
		(void)snprintf(verifying->problem, sizeof(verifying->problem), "%s: another %s (%lld)", path, acl_names[i], (long long)got);
		return false;
	}
	return true;
}

static bool verify_inode(struct verifying *verifying, struct model_inode *inode, const char *path)
{
	struct attr attr;
	int rc = kernel_stat(verifying->kernel, path, &attr);
	const char *problem = rc < 0 ? err_name(rc) : attr_differs(inode, &attr, verifying->crashed);
	if (problem == NULL && inode->atime_exact && !verifying->has_read && attr.atime_ns != inode->atime_ns)
		problem = "atime, which was set";
	if (problem != NULL) {
		if (rc < 0)
			attr = (struct attr){0};
		(void)snprintf(verifying->problem, sizeof(verifying->problem),
			       "%s: %s (size %llu, want %llu; nlink %u, want %u; mode %o, want %o; mtime %lld, want %lld)", path, problem,
			       (unsigned long long)attr.size_bytes, (unsigned long long)inode->data.size, attr.nlink, inode->nlink, attr.mode,
			       mode_of(inode), (long long)attr.mtime_ns, (long long)inode->mtime_ns);
		return false;
	}
	if (!verify_acl(verifying, inode, path))
		return false;
	inode->atime_exact = false; /* from here on it is read, and it may have another name */
	if (inode->kind == MODEL_DIR)
		return verify_dir(verifying, inode, path);
	return inode->kind != MODEL_FILE || verify_data(verifying, inode, path, attr.size_bytes);
}

void workload_verify(struct workload *workload, struct kernel *kernel)
{
	struct world *world = workload->world;
	list_for_each(at, &workload->remains) {
		struct remains *remains = CONTAINER_OF(at, struct remains, link);
		struct verifying first = {.kernel = kernel, .crashed = remains->crashed}, second = first;
		workload->remains_checked++;
		if (verify_inode(&first, remains->before->root, remains->root))
			continue;
		second.has_read = true;
		if (remains->after != NULL && verify_inode(&second, remains->after->root, remains->root)) {
			workload->remains_after++;
			continue;
		}
		WORLD_MEMORY();
		world_fail(world, "oracle: %s%s at the end: %s%s%s", remains->root, remains->crashed ? " (its client crashed)" : "",
			   first.problem, remains->after != NULL ? "; or: " : "", second.problem);
		return;
	}
	shared_verify(&workload->shared, kernel);
	history_verify(&workload->history, kernel);
}
