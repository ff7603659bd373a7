/* SPDX-License-Identifier: Apache-2.0
 * FUSE operations on the space of open files: FALLOCATE and LSEEK (data and holes; all other seeking is the kernel's own). */
#include "client/fuse_impl.h"

#include <fcntl.h>
#include <unistd.h>

int fuse_run_fallocate(struct fuse_request *req)
{
	static const struct {
		int mode;
		unsigned flag;
	} modes[] = {{FALLOC_FL_KEEP_SIZE, SPACE_KEEP_SIZE}, {FALLOC_FL_PUNCH_HOLE, SPACE_PUNCH}, {FALLOC_FL_ZERO_RANGE, SPACE_ZERO}};
	const struct fuse_fallocate_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	unsigned flags = 0;
	uint32_t left = in->mode;
	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		flags |= (in->mode & (uint32_t)modes[i].mode) != 0 ? modes[i].flag : 0;
		left &= ~(uint32_t)modes[i].mode;
	}
	int rc = fuse_file_find(req->channel, in->fh, &file);
	if (rc < 0)
		return rc;
	if (left != 0)
		return fail(EOPNOTSUPP); /* stripes cannot be moved by a range's length */
	if (req->op.uid != 0) {
		rc = fuse_kill_suid(req, in->fh);
		if (rc == 0)
			rc = fuse_file_find(req->channel, in->fh, &file); /* again: that parked */
		if (rc < 0)
			return rc;
	}
	return client_fallocate(req->channel->conf.client, &req->op, file->file, flags, in->offset, in->length);
}

int fuse_run_lseek(struct fuse_request *req)
{
	const struct fuse_lseek_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	uint64_t offset = 0;
	int rc = fuse_file_find(req->channel, in->fh, &file);
	if (rc < 0)
		return rc;
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return fail(EINVAL);
	rc = client_seek(req->channel->conf.client, &req->op, file->file, in->offset, in->whence == SEEK_HOLE, &offset);
	if (rc < 0)
		return rc;
	struct fuse_lseek_out *out = fuse_answer(req, sizeof(*out));
	out->offset = offset;
	return 0;
}
