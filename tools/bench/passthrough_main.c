/* SPDX-License-Identifier: Apache-2.0
 * A plain passthrough file system on libfuse3's high-level interface: what FUSE costs when nothing else is done. The yardstick of
 * tools/bench/run, and nothing else. bench_passthrough DIR MOUNTPOINT [fuse options] */
#define FUSE_USE_VERSION 31
#define STRIA_ALLOW_MALLOC
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int root_fd = -1;

/* Paths come with a leading '/': relative to the root, "." for the root itself. */
static const char *below(const char *path)
{
	return path[1] == '\0' ? "." : path + 1;
}

static int result(long rc)
{
	return rc < 0 ? -errno : 0;
}

static int handle_fd(const struct fuse_file_info *info)
{
	return (int)info->fh;
}

static int pt_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
	if (info != NULL)
		return result(fstat(handle_fd(info), st));
	return result(fstatat(root_fd, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int pt_readlink(const char *path, char *buf, size_t size)
{
	ssize_t len = readlinkat(root_fd, below(path), buf, size - 1);
	if (len < 0)
		return -errno;
	buf[len] = '\0';
	return 0;
}

static int pt_mkdir(const char *path, mode_t mode)
{
	return result(mkdirat(root_fd, below(path), mode));
}

static int pt_unlink(const char *path)
{
	return result(unlinkat(root_fd, below(path), 0));
}

static int pt_rmdir(const char *path)
{
	return result(unlinkat(root_fd, below(path), AT_REMOVEDIR));
}

static int pt_symlink(const char *target, const char *path)
{
	return result(symlinkat(target, root_fd, below(path)));
}

static int pt_rename(const char *from, const char *to, unsigned int flags)
{
	return result(renameat2(root_fd, below(from), root_fd, below(to), flags));
}

static int pt_link(const char *from, const char *to)
{
	return result(linkat(root_fd, below(from), root_fd, below(to), 0));
}

static int pt_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
	return result(info != NULL ? fchmod(handle_fd(info), mode) : fchmodat(root_fd, below(path), mode, 0));
}

static int pt_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info)
{
	(void)info;
	return result(fchownat(root_fd, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int pt_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
	(void)info;
	return result(utimensat(root_fd, below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int pt_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
	if (info != NULL)
		return result(ftruncate(handle_fd(info), size));
	int fd = openat(root_fd, below(path), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = result(ftruncate(fd, size));
	(void)close(fd); /* nothing was written through it */
	return rc;
}

static int pt_open(const char *path, struct fuse_file_info *info)
{
	int fd = openat(root_fd, below(path), info->flags & ~(O_NOFOLLOW | O_DIRECT)); /* our buffers are not aligned */
	if (fd < 0)
		return -errno;
	info->direct_io = (info->flags & O_DIRECT) != 0;
	info->fh = (uint64_t)fd;
	return 0;
}

static int pt_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
	int fd = openat(root_fd, below(path), info->flags | O_CREAT, mode);
	if (fd < 0)
		return -errno;
	info->fh = (uint64_t)fd;
	return 0;
}

static int pt_read(const char *path, char *buf, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)path;
	ssize_t len = pread(handle_fd(info), buf, size, offset);
	return len < 0 ? -errno : (int)len;
}

static int pt_write(const char *path, const char *buf, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)path;
	ssize_t len = pwrite(handle_fd(info), buf, size, offset);
	return len < 0 ? -errno : (int)len;
}

static int pt_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
	(void)path;
	return result(data_only ? fdatasync(handle_fd(info)) : fsync(handle_fd(info)));
}

static int pt_release(const char *path, struct fuse_file_info *info)
{
	(void)path;
	return result(close(handle_fd(info)));
}

static int pt_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return result(fstatvfs(root_fd, st));
}

static int pt_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
		      enum fuse_readdir_flags flags)
{
	(void)offset;
	(void)info;
	int fd = openat(root_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		struct stat st = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
		bool plus = (flags & FUSE_READDIR_PLUS) != 0 && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (fill(buf, entry->d_name, &st, 0, plus ? FUSE_FILL_DIR_PLUS : 0) != 0)
			break;
	}
	(void)closedir(dir); /* it was only read */
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = pt_getattr, .readlink = pt_readlink, .mkdir = pt_mkdir, .unlink = pt_unlink,
	.rmdir = pt_rmdir, .symlink = pt_symlink, .rename = pt_rename, .link = pt_link,
	.chmod = pt_chmod, .chown = pt_chown, .truncate = pt_truncate, .open = pt_open,
	.create = pt_create, .read = pt_read, .write = pt_write, .fsync = pt_fsync,
	.release = pt_release, .statfs = pt_statfs, .readdir = pt_readdir, .utimens = pt_utimens,
};

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "bench_passthrough: DIR MOUNTPOINT [fuse options] were expected\n");
		return 2;
	}
	root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0) {
		fprintf(stderr, "bench_passthrough: %s cannot be opened\n", argv[1]);
		return 1;
	}
	(void)umask(0); /* the kernel has applied the caller's */
	argv[1] = argv[0];
	return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
