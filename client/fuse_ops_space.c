/* SPDX-License-Identifier: Apache-2.0
 * FUSE operations on the space of open files: FALLOCATE, LSEEK (data and holes; all other seeking is the kernel's own) and COPY_FILE_RANGE. */
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
	int rc = fuse_file_find(req, in->fh, &file);
	if (rc < 0)
		return rc;
	if (left != 0)
		return fail(EOPNOTSUPP); /* stripes cannot be moved by a range's length */
	if (req->op.uid != 0) {
		rc = fuse_kill_suid(req, in->fh);
		if (rc == 0)
			rc = fuse_file_find(req, in->fh, &file); /* again: that parked */
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
	int rc = fuse_file_find(req, in->fh, &file);
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

static int64_t copy(struct fuse_request *req)
{
	const struct fuse_copy_file_range_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *from = NULL, *to = NULL;
	int rc = fuse_file_find(req, in->fh_in, &from);
	if (rc == 0)
		rc = fuse_file_find(req, in->fh_out, &to);
	if (rc == 0 && in->flags != 0)
		rc = fail(EINVAL);
	if (rc < 0)
		return rc;
	req->op.leaves_atime = from->leaves_atime;
	return client_copy(req->channel->conf.client, &req->op, from->file, in->off_in, to->file, in->off_out, in->len);
}

int fuse_run_copy(struct fuse_request *req)
{
	int64_t done = copy(req); /* its length has 64 bits, but no copy is that long */
	if (done < 0)
		return (int)done;
	struct fuse_write_out *out = fuse_answer(req, sizeof(*out));
	out->size = (uint32_t)done;
	return 0;
}

int fuse_run_copy_64(struct fuse_request *req)
{
	int64_t done = copy(req);
	if (done < 0)
		return (int)done;
	uint64_t *out = fuse_answer(req, sizeof(*out));
	*out = (uint64_t)done;
	return 0;
}
