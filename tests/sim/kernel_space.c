/* SPDX-License-Identifier: Apache-2.0
 * What is asked of the space of open files: fallocate(2), SEEK_DATA and SEEK_HOLE of lseek(2), copy_file_range(2). */
#include "tests/sim/kernel_impl.h"

#include <fcntl.h>

static struct kfile *file_of(struct kernel *kernel, int fd)
{
	CHECK(fd >= 0 && fd < KERNEL_FILES_MAX);
	return kernel->files[fd].inode != NULL ? &kernel->files[fd] : NULL;
}

int kernel_fallocate(struct kernel *kernel, int fd, unsigned mode, uint64_t offset, uint64_t len)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	if (len == 0)
		return -EINVAL;
	if ((file->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	struct kinode *inode = file->inode;
	bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	krwsem_lock(kernel, &inode->rwsem, true);
	kernel->counts.requests++;
	kinode_change_begin(kernel, inode, !keeps);
	int rc = kernel->ops->fallocate(kernel->ctx, inode->ino, file->fh, mode, offset, len);
	kinode_change_end(kernel, inode);
	inode->attr_version++;
	if (rc == 0 && !keeps)
		inode->attr.size_bytes = max_u64(inode->attr.size_bytes, offset + len);
	if (rc == 0 && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
		kinode_drop_pages(kernel, inode, offset, offset + len);
	kinode_inval_attr(inode);
	krwsem_unlock(&inode->rwsem);
	return rc;
}

int64_t kernel_lseek(struct kernel *kernel, int fd, uint64_t offset, bool hole)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	struct kinode *inode = file->inode;
	krwsem_lock(kernel, &inode->rwsem, true);
	kernel->counts.requests++;
	int64_t at = kernel->ops->lseek(kernel->ctx, inode->ino, file->fh, offset, hole);
	krwsem_unlock(&inode->rwsem);
	return at;
}

int64_t kernel_copy(struct kernel *kernel, int from_fd, uint64_t from_at, int to_fd, uint64_t to_at, uint64_t len)
{
	struct kfile *from = file_of(kernel, from_fd), *to = file_of(kernel, to_fd);
	if (from == NULL || to == NULL || (from->flags & O_ACCMODE) == O_WRONLY || (to->flags & O_ACCMODE) == O_RDONLY ||
	    (to->flags & O_APPEND))
		return -EBADF;
	struct kinode *source = from->inode, *inode = to->inode;
	struct attr attr;
	int rc = kinode_refresh(kernel, source, from->fh, &attr);
	if (rc < 0)
		return rc;
	len = from_at >= attr.size_bytes ? 0 : min_u64(len, attr.size_bytes - from_at);
	if (source == inode && to_at + len > from_at && to_at < from_at + len)
		return -EINVAL;
	if (len == 0)
		return 0;
	krwsem_lock(kernel, &inode->rwsem, true);
	kernel->counts.requests++;
	kinode_change_begin(kernel, inode, true);
	int64_t done = kernel->ops->copy(kernel->ctx, source->ino, from->fh, from_at, inode->ino, to->fh, to_at, len);
	kinode_change_end(kernel, inode);
	inode->attr_version++;
	if (done > 0) {
		kinode_drop_pages(kernel, inode, to_at, to_at + (uint64_t)done);
		inode->attr.size_bytes = max_u64(inode->attr.size_bytes, to_at + (uint64_t)done);
	}
	kinode_inval_attr(inode);
	krwsem_unlock(&inode->rwsem);
	return done;
}
