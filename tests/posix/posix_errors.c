/* SPDX-License-Identifier: Apache-2.0
 * Every call that takes a path against every bad path; bad memory; a mount to read only; limits of descriptors. Owns no state. */
#include "tests/posix/posix.h"

#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

/* Each with one path; some by their numbers, where sanitizers would look at the path before the kernel does, and there may be no memory. What
 * else they need is in the directory of the case: "f" is a file, "d" a directory. */
static char buf[8192];
static int c_open(const char *p) { return open(p, O_RDONLY | O_NONBLOCK); }
static int c_open_write(const char *p) { return open(p, O_WRONLY | O_NONBLOCK); }
static int c_creat(const char *p) { return open(p, O_RDWR | O_CREAT, 0644); }
static int c_excl(const char *p) { return open(p, O_RDWR | O_CREAT | O_EXCL, 0644); }
static int c_opath(const char *p) { return open(p, O_PATH); }
static int c_opendir(const char *p) { return open(p, O_RDONLY | O_DIRECTORY); }
static int c_tmpfile(const char *p) { return open(p, O_TMPFILE | O_RDWR, 0600); }
static int c_stat(const char *p) { return stat(p, (struct stat *)(void *)buf); }
static int c_lstat(const char *p) { return lstat(p, (struct stat *)(void *)buf); }
static int c_statx(const char *p) { return statx(AT_FDCWD, p, 0, STATX_BASIC_STATS, (struct statx *)(void *)buf); }
static int c_statfs(const char *p) { return (int)syscall(SYS_statfs, p, buf); }
static int c_access(const char *p) { return access(p, R_OK); }
static int c_chmod(const char *p) { return chmod(p, 0644); }
static int c_chown(const char *p) { return chown(p, 0, 0); }
static int c_lchown(const char *p) { return lchown(p, 0, 0); }
static int c_truncate(const char *p) { return truncate(p, 1); }
static int c_utimensat(const char *p) { return utimensat(AT_FDCWD, p, NULL, 0); }
static int c_utime(const char *p) { return utime(p, NULL); }
static int c_utimes(const char *p) { return utimes(p, NULL); }
static int c_readlink(const char *p) { return (int)syscall(SYS_readlink, p, buf, sizeof(buf)); }
static int c_chdir(const char *p) { return chdir(p); }
static int c_mkdir(const char *p) { return mkdir(p, 0755); }
static int c_rmdir(const char *p) { return rmdir(p); }
static int c_mknod(const char *p) { return mknod(p, S_IFREG | 0644, 0); }
static int c_mkfifo(const char *p) { return mkfifo(p, 0644); }
static int c_symlink(const char *p) { return symlink("x", p); }
static int c_unlink(const char *p) { return unlink(p); }
static int c_link_from(const char *p) { return link(p, "new"); }
static int c_link_to(const char *p) { return link("f", p); }
static int c_rename_from(const char *p) { return rename(p, "new"); }
static int c_rename_to(const char *p) { return rename("f", p); }
static int c_rename_dir_to(const char *p) { return rename("d", p); }
static int c_exchange(const char *p) { return renameat2(AT_FDCWD, "f", AT_FDCWD, p, RENAME_EXCHANGE); }
static int c_getxattr(const char *p) { return (int)syscall(SYS_getxattr, p, "user.x", buf, 10); }
static int c_setxattr(const char *p) { return setxattr(p, "user.x", "1", 1, 0); }
static int c_listxattr(const char *p) { return (int)syscall(SYS_listxattr, p, buf, 10); }
static int c_removexattr(const char *p) { return removexattr(p, "user.x"); }
static int c_execve(const char *p)
{
	char *argv[] = {NULL};
	return execve(p, argv, argv);
}
static int c_watch(const char *p) { return inotify_add_watch((int)NEED(inotify_init()), p, IN_CREATE); }
static int c_chroot(const char *p) { return chroot(p); }

enum {
	MAKES = 1,   /* a name that is not there is what it wants */
	NOFOLLOW = 2 /* a link at the end is not followed */
};
static const struct {
	const char *name;
	int (*run)(const char *path);
	int how;
} calls[] = {
	{"open", c_open, 0},
	{"open to write", c_open_write, 0},
	{"open with O_CREAT", c_creat, MAKES},
	{"open with O_EXCL", c_excl, MAKES | NOFOLLOW},
	{"open with O_PATH", c_opath, 0},
	{"open with O_DIRECTORY", c_opendir, 0},
	{"open with O_TMPFILE", c_tmpfile, 0},
	{"stat", c_stat, 0},
	{"lstat", c_lstat, NOFOLLOW},
	{"statx", c_statx, 0},
	{"statfs", c_statfs, 0},
	{"access", c_access, 0},
	{"chmod", c_chmod, 0},
	{"chown", c_chown, 0},
	{"lchown", c_lchown, NOFOLLOW},
	{"truncate", c_truncate, 0},
	{"utimensat", c_utimensat, 0},
	{"utime", c_utime, 0},
	{"utimes", c_utimes, 0},
	{"readlink", c_readlink, NOFOLLOW},
	{"chdir", c_chdir, 0},
	{"mkdir", c_mkdir, MAKES | NOFOLLOW},
	{"rmdir", c_rmdir, NOFOLLOW},
	{"mknod", c_mknod, MAKES | NOFOLLOW},
	{"mkfifo", c_mkfifo, MAKES | NOFOLLOW},
	{"symlink", c_symlink, MAKES | NOFOLLOW},
	{"unlink", c_unlink, NOFOLLOW},
	{"link from", c_link_from, NOFOLLOW},
	{"link to", c_link_to, MAKES | NOFOLLOW},
	{"rename from", c_rename_from, NOFOLLOW},
	{"rename to", c_rename_to, MAKES | NOFOLLOW},
	{"rename of a directory to", c_rename_dir_to, MAKES | NOFOLLOW},
	{"exchange with", c_exchange, NOFOLLOW},
	{"getxattr", c_getxattr, 0},
	{"setxattr", c_setxattr, 0},
	{"listxattr", c_listxattr, 0},
	{"removexattr", c_removexattr, 0},
	{"execve", c_execve, 0},
	{"inotify_add_watch", c_watch, 0},
	{"chroot", c_chroot, 0},
};

static void every_call(void)
{
	static char name256[300], deep256[400], long_path[5000], below256[400];
	memset(name256, 'n', 256);
	snprintf(deep256, sizeof(deep256), "d/%s", name256);
	snprintf(below256, sizeof(below256), "%s/x", name256);
	memset(long_path, '/', 4096);
	memcpy(long_path + 4090, "f", 1);
	long_path[0] = 'd';
	const struct {
		const char *what, *path;
		int error;
		int not_for; /* calls of this kind do well or fail otherwise */
	} paths[] = {
		{"an empty path", "", ENOENT, 0},
		{"a directory that there is not", "none/x", ENOENT, 0},
		{"a name below a file", "f/x", ENOTDIR, 0},
		{"a name below a fifo", "fifo/x", ENOTDIR, 0},
		{"a name below a dangling link", "dangling/x", ENOENT, 0},
		{"a name below a link to a file", "to_f/x", ENOTDIR, 0},
		{"a name below a loop", "loop/x", ELOOP, 0},
		{"a name of 256 bytes", name256, ENAMETOOLONG, 0},
		{"a name of 256 bytes in a directory", deep256, ENAMETOOLONG, 0},
		{"a name below one of 256 bytes", below256, ENAMETOOLONG, 0},
		{"a path of 4096 bytes", long_path, ENAMETOOLONG, 0},
		{"memory that there is not", posix_bad, EFAULT, 0},
		{"a name that there is not", "none", ENOENT, MAKES},
		{"a dangling link", "dangling", ENOENT, MAKES | NOFOLLOW},
		{"a loop", "loop", ELOOP, NOFOLLOW},
	};
	posix_make("f", 0755, 3);
	NEED(mkdir("d", 0755));
	NEED(mkfifo("fifo", 0644));
	NEED(symlink("none", "dangling"));
	NEED(symlink("f", "to_f"));
	NEED(symlink("loop", "loop"));
	for (size_t p = 0; p < COUNT_OF(paths); p++)
		for (size_t i = 0; i < COUNT_OF(calls); i++)
			if (!(calls[i].how & paths[p].not_for))
				ERR(calls[i].run(paths[p].path), paths[p].error, "%s: %s", calls[i].name, paths[p].what);
	struct stat st;
	ERR(lstat("new", &st), ENOENT, "none of them made a thing");
	EQ(posix_stat("f").st_size, 3, "none of them changed a thing");
	/* and without the right to search */
	NEED(mkdir("closed", 0755));
	posix_make("closed/in", 0777, 1);
	NEED(chmod("closed", 0600));
	NEED(chown("closed", OTHER_UID, OTHER_GID));
	NEED(chmod(".", 0777));
	posix_become(&posix_other);
	for (size_t i = 0; i < COUNT_OF(calls); i++)
		if (calls[i].run != c_access && calls[i].run != c_chroot)
			ERR(calls[i].run("closed/in"), EACCES, "%s: a directory that one may not search", calls[i].name);
}

/* What works on a directory and what does not; on a file; on a link. */
static void wrong_kinds(void)
{
	posix_make("f", 0644, 3);
	NEED(mkdir("d", 0755));
	NEED(symlink("d", "l"));
	ERR(open("d", O_WRONLY), EISDIR, "open of a directory to write");
	ERR(open("d", O_RDONLY | O_TRUNC), EISDIR, "O_TRUNC of a directory");
	ERR(truncate("d", 0), EISDIR, "truncate of a directory");
	ERR(unlink("d"), EISDIR, "unlink of a directory");
	ERR(rmdir("f"), ENOTDIR, "rmdir of a file");
	ERR(rmdir("l"), ENOTDIR, "rmdir of a link to a directory");
	ERR(link("d", "new"), EPERM, "link of a directory");
	ERR(rename("d", "f"), ENOTDIR, "a directory over a file");
	ERR(rename("f", "d"), EISDIR, "a file over a directory");
	ERR(chdir("f"), ENOTDIR, "chdir to a file");
	ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY of a file");
	ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW of a link");
	ERR(open("l", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR, "O_NOFOLLOW of a link, as a directory");
	ERR(readlink("f", buf, 10), EINVAL, "readlink of a file");
	ERR(execve("d", (char *[]){NULL}, (char *[]){NULL}), EACCES, "execve of a directory");
	ERR(mount(NULL, "f", "tmpfs", 0, NULL), ENOTDIR, "mount over a file");
	ERR(umount("d"), EINVAL, "umount of what is not mounted");
	ERR(rename(".", "x"), EBUSY, "rename of dot");
	ERR(rename("d/..", "x"), EBUSY, "rename of dot-dot");
	ERR(open("f", O_RDWR | O_CREAT | O_DIRECTORY, 0644), EINVAL, "O_CREAT with O_DIRECTORY");
}

/* What each call does with a descriptor that does not fit. */
static void descriptors(void)
{
	posix_make("f", 0644, 10);
	int path = (int)NEED(open("f", O_PATH)), closed = 12345;
	struct stat st;
	static const int which[] = {0, 1};
	for (size_t i = 0; i < COUNT_OF(which); i++) {
		int fd = i ? closed : path;
		const char *n = i ? "a closed descriptor" : "an O_PATH descriptor";
		ERR(read(fd, buf, 1), EBADF, "read of %s", n);
		ERR(write(fd, buf, 1), EBADF, "write to %s", n);
		ERR(pread(fd, buf, 1, 0), EBADF, "pread of %s", n);
		ERR(lseek(fd, 0, SEEK_SET), EBADF, "lseek of %s", n);
		ERR(ftruncate(fd, 0), EBADF, "ftruncate of %s", n);
		ERR(fchmod(fd, 0600), EBADF, "fchmod of %s", n);
		ERR(fchown(fd, 0, 0), EBADF, "fchown of %s", n);
		ERR(fsync(fd), EBADF, "fsync of %s", n);
		ERR(fallocate(fd, 0, 0, 1), EBADF, "fallocate of %s", n);
		ERR(fgetxattr(fd, "user.x", buf, 1), EBADF, "fgetxattr of %s", n);
		ERR(futimens(fd, NULL), EBADF, "futimens of %s", n);
		ERR(syscall(SYS_getdents64, fd, buf, sizeof(buf)), EBADF, "getdents of %s", n);
		ERR(readahead(fd, 0, 1), EBADF, "readahead of %s", n);
		ERR(sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE), EBADF, "sync_file_range of %s", n);
	}
	OK(fstat(path, &st), "fstat of an O_PATH descriptor");
	ERR(fstat(closed, &st), EBADF, "fstat of a closed descriptor");
	ERR(fchdir(path), ENOTDIR, "fchdir of an O_PATH descriptor of a file");
	ERR(dup(closed), EBADF, "dup of a closed descriptor");
	ERR(fcntl(closed, F_GETFL), EBADF, "F_GETFL of a closed descriptor");
	int copy = dup(path);
	OK(copy, "dup of an O_PATH descriptor");
	IS(fcntl(path, F_GETFL) & O_PATH, "its flags say what it is");
	/* memory that there is not, where calls give something back */
	ERR(stat("f", posix_bad), EFAULT, "stat into nothing");
	ERR(syscall(SYS_statfs, "f", posix_bad), EFAULT, "statfs into nothing");
	ERR(readlink("/proc/self/exe", posix_bad, 10), EFAULT, "readlink into nothing");
	ERR(symlink(posix_bad, "l"), EFAULT, "symlink to nothing");
	ERR(syscall(SYS_getxattr, "f", posix_bad, buf, 1), EFAULT, "getxattr of a name that there is not");
	ERR(utimensat(AT_FDCWD, "f", posix_bad, 0), EFAULT, "times that there are not");
	NEED(setxattr("f", "user.x", "1", 1, 0));
	ERR(getxattr("f", "user.x", posix_bad, 10), EFAULT, "getxattr into nothing");
	ERR(listxattr("f", posix_bad, 100), EFAULT, "listxattr into nothing");
	struct rlimit old, few = {0};
	NEED(getrlimit(RLIMIT_NOFILE, &old));
	few = (struct rlimit){(rlim_t)copy + 2, old.rlim_max};
	/* results go to files that are open already */
	NEED(setrlimit(RLIMIT_NOFILE, &few));
	int last = open("f", O_RDONLY), none = open("f", O_RDONLY), why = errno, made = open("made", O_RDWR | O_CREAT, 0644), why2 = errno;
	NEED(setrlimit(RLIMIT_NOFILE, &old));
	OK(last, "the last descriptor");
	errno = why;
	ERR(none, EMFILE, "one more than there are");
	errno = why2;
	ERR(made, EMFILE, "nor one with O_CREAT");
	ERR(access("made", F_OK), ENOENT, "which makes no file");
}

/* The same directory mounted once more to read only, in a name space of one's own. */
static void read_only(void)
{
	static const struct {
		const char *what;
		int (*run)(const char *);
		const char *path;
	} changes[] = {
		{"open to write", c_open_write, "ro/f"}, {"create", c_creat, "ro/new"}, {"exclusive create", c_excl, "ro/new"}, {"O_TMPFILE", c_tmpfile, "ro"},
		{"chmod", c_chmod, "ro/f"}, {"chown", c_chown, "ro/f"}, {"lchown", c_lchown, "ro/l"}, {"truncate", c_truncate, "ro/f"},
		{"utimensat", c_utimensat, "ro/f"}, {"utimes", c_utimes, "ro/f"}, {"mkdir", c_mkdir, "ro/new"}, {"rmdir", c_rmdir, "ro/d"},
		{"mknod", c_mknod, "ro/new"}, {"mkfifo", c_mkfifo, "ro/new"}, {"symlink", c_symlink, "ro/new"}, {"unlink", c_unlink, "ro/f"},
		{"setxattr", c_setxattr, "ro/f"}, {"removexattr", c_removexattr, "ro/f"},
	};
	static const struct {
		const char *what;
		int (*run)(const char *);
		const char *path;
		int error;
	} others[] = {
		{"open to read", c_open, "ro/f", 0}, {"O_CREAT of what is there", c_creat, "ro/f", EROFS}, {"stat", c_stat, "ro/f", 0},
		{"statx", c_statx, "ro/f", 0}, {"readlink", c_readlink, "ro/l", 0}, {"opendir", c_opendir, "ro/d", 0},
		{"mkdir of what is there", c_mkdir, "ro/d", EEXIST},
		{"symlink at what is there", c_symlink, "ro/f", EEXIST}, {"O_EXCL of what is there", c_excl, "ro/f", EEXIST}, {"listxattr", c_listxattr, "ro/f", 0},
		{"access to read", c_access, "ro/f", 0}, {"unlink of nothing", c_unlink, "ro/none", EROFS}, {"rmdir of nothing", c_rmdir, "ro/none", EROFS},
	};
	NEED(mkdir("tree", 0755));
	posix_make("tree/f", 0755, 3);
	NEED(symlink("f", "tree/l"));
	NEED(mkdir("tree/d", 0755));
	NEED(mkdir("ro", 0755));
	NEED(unshare(CLONE_NEWNS));
	NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	NEED(mount("tree", "ro", NULL, MS_BIND, NULL));
	NEED(mount(NULL, "ro", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	for (size_t i = 0; i < COUNT_OF(changes); i++)
		ERR(changes[i].run(changes[i].path), EROFS, "%s on a mount to read only", changes[i].what);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (others[i].error)
			ERR(others[i].run(others[i].path), others[i].error, "%s on a mount to read only", others[i].what);
		else
			OK(others[i].run(others[i].path), "%s on a mount to read only", others[i].what);
	ERR(link("ro/f", "ro/new"), EROFS, "link on a mount to read only");
	ERR(rename("ro/f", "ro/new"), EROFS, "rename on a mount to read only");
	ERR(rename("ro/f", "f"), EXDEV, "rename out of it");
	ERR(link("tree/f", "ro/new"), EROFS, "link into it");
	ERR(access("ro/f", W_OK), EROFS, "access to write");
	struct statfs st;
	NEED(statfs("ro", &st));
	IS(st.f_flags & ST_RDONLY, "statfs says so");
	posix_make("tree/late", 0644, 1);
	OK(c_open("ro/late"), "what is made by the other mount is there");
	ERR(c_rmdir("ro"), EBUSY, "rmdir of what is mounted on");
	ERR(rename("ro", "moved"), EBUSY, "rename of what is mounted on");
	OK(umount2("ro", MNT_DETACH), "umount");
	/* without the right to execute, and without set-id bits and devices */
	NEED(mount("tree", "ro", NULL, MS_BIND, NULL));
	NEED(mount(NULL, "ro", NULL, MS_BIND | MS_REMOUNT | MS_NOEXEC | MS_NODEV | MS_NOSUID, NULL));
	ERR(c_execve("ro/f"), EACCES, "execve on a mount without execution");
	ERR(c_execve("tree/f"), ENOEXEC, "execve by the other mount");
	NEED(mknod("tree/null", S_IFCHR | 0666, 0x103));
	ERR(c_open("ro/null"), EACCES, "a device on a mount without devices");
	OK(c_open("tree/null"), "a device by the other mount");
	OK(umount2("ro", MNT_DETACH), "umount of the second");
}

const struct posix_case posix_cases_errors[] = {{"every_call", every_call}, {"wrong_kinds", wrong_kinds}, {"descriptors", descriptors},
						{"read_only", read_only}, {0}};
