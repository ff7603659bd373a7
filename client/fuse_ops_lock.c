/* SPDX-License-Identifier: Apache-2.0
 * FUSE operations on file locks: GETLK, SETLK, SETLKW.
 *
 * The kernel keeps no locks of such a mount itself. flock comes with FUSE_LK_FLOCK, fcntl's POSIX locks with a process as their owner, its OFD
 * locks as POSIX locks with an open file as their owner (Linux 6.18; nothing in the request tells them apart). What a close ends comes in two
 * ways: FLUSH with the owner that is the process, at each close(2), and RELEASE of the open file after the last one, with everything that was
 * locked through it and is still there: flock and OFD locks. */
#include "client/fuse_impl.h"

#include <fcntl.h>

#define KERNEL_LOCK_END ((uint64_t)INT64_MAX) /* OFFSET_MAX: to the end, however far that is */

static int take_lock(struct fuse_request *req, struct client_file **ret_file, struct client_lock *ret_lock)
{
	const struct fuse_lk_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	int rc = fuse_file_find(req, in->fh, &file);
	if (rc < 0)
		return rc;
	bool flock = (in->lk_flags & FUSE_LK_FLOCK) != 0;
	if (in->lk.start > in->lk.end || in->lk.type > F_UNLCK)
		return fail(EINVAL);
	*ret_file = file->file;
	*ret_lock = (struct client_lock){
		.kind = flock ? LOCK_KIND_FLOCK : LOCK_KIND_POSIX,
		.type = in->lk.type == F_RDLCK ? LOCK_TYPE_READ : in->lk.type == F_WRLCK ? LOCK_TYPE_WRITE : LOCK_TYPE_NONE,
		.owner = in->owner,
		.start = flock ? 0 : in->lk.start,
		.end = flock || in->lk.end >= KERNEL_LOCK_END ? UINT64_MAX : in->lk.end,
		.pid = in->lk.pid,
	};
	if (!flock && ret_lock->type != LOCK_TYPE_NONE && fuse_asks_for_ofd(req))
		ret_lock->kind = LOCK_KIND_OFD;
	return 0;
}

int fuse_run_getlk(struct fuse_request *req)
{
	struct client_file *file = NULL;
	struct client_lock lock;
	int rc = take_lock(req, &file, &lock);
	if (rc == 0 && lock.type == LOCK_TYPE_NONE)
		return fail(EINVAL);
	if (rc == 0)
		rc = client_lock_test(req->channel->conf.client, &req->op, file, &lock);
	if (rc < 0)
		return rc;
	struct fuse_lk_out *out = fuse_answer(req, sizeof(*out));
	out->lk.type = lock.type == LOCK_TYPE_NONE ? F_UNLCK : lock.type == LOCK_TYPE_READ ? F_RDLCK : F_WRLCK;
	out->lk.start = min_u64(lock.start, KERNEL_LOCK_END);
	out->lk.end = min_u64(lock.end, KERNEL_LOCK_END);
	out->lk.pid = lock.kind == LOCK_KIND_OFD ? 0 : lock.pid;
	return 0;
}

static int set_lock(struct fuse_request *req, bool waits)
{
	struct client_file *file = NULL;
	struct client_lock lock;
	int rc = take_lock(req, &file, &lock);
	lock.waits = waits;
	return rc < 0 ? rc : client_lock(req->channel->conf.client, &req->op, file, &lock);
}

int fuse_run_setlk(struct fuse_request *req)
{
	return set_lock(req, false);
}

int fuse_run_setlkw(struct fuse_request *req)
{
	return set_lock(req, true);
}
