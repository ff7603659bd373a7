/* SPDX-License-Identifier: Apache-2.0
 * Fifos, sockets and devices: made, kept, used and removed like any other name. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

static const struct {
	const char *name;
	mode_t type;
	unsigned major, minor;
	unsigned char dtype;
} kinds[] = {
	{"file", S_IFREG, 0, 0, DT_REG},           {"fifo", S_IFIFO, 0, 0, DT_FIFO},      {"socket", S_IFSOCK, 0, 0, DT_SOCK},
	{"char device", S_IFCHR, 1, 3, DT_CHR},    {"block device", S_IFBLK, 7, 200, DT_BLK}, {"wide device", S_IFCHR, 300, 70000, DT_CHR},
	{"whiteout-like", S_IFCHR, 0, 0, DT_CHR},
};

static unsigned char dtype_of(const char *name)
{
	unsigned char type = DT_UNKNOWN;
	DIR *dir = opendir(".");
	NEED(dir ? 0 : -1);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (strcmp(e->d_name, name) == 0)
			type = e->d_type;
	closedir(dir);
	return type;
}

static void making(void)
{
	static const mode_t modes[] = {0, 0600, 0644, 0777, 04711};
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		dev_t dev = makedev(kinds[k].major, kinds[k].minor);
		const char *n = kinds[k].name;
		for (size_t m = 0; m < COUNT_OF(modes); m++) {
			const char *f = posix_path("k%zu.%zu", k, m);
			umask(m == 3 ? 027 : 0);
			OK(mknod(f, kinds[k].type | modes[m], dev), "mknod %s of mode %o", n, modes[m]);
			EQ(posix_stat(f).st_mode, kinds[k].type | (modes[m] & (m == 3 ? ~027u : ~0u)), "mode of %s made with %o", n, modes[m]);
		}
		const char *f = posix_path("k%zu.1", k);
		struct stat st = posix_stat(f);
		EQ(major(st.st_rdev), kinds[k].major, "major of %s", n);
		EQ(minor(st.st_rdev), kinds[k].minor, "minor of %s", n);
		EQ(st.st_size, 0, "size of %s", n);
		EQ(st.st_nlink, 1, "links of %s", n);
		EQ(dtype_of(f), kinds[k].dtype, "d_type of %s", n);
		ERR(mknod(f, kinds[k].type | 0600, dev), EEXIST, "mknod over %s", n);
		ERR(mkdir(f, 0700), EEXIST, "mkdir over %s", n);
		ERR(rmdir(f), ENOTDIR, "rmdir of %s", n);
		OK(chmod(f, 0640), "chmod of %s", n);
		EQ(posix_stat(f).st_mode, kinds[k].type | 0640, "mode of %s after chmod", n);
		OK(chown(f, 12, 13), "chown of %s", n);
		EQ(posix_stat(f).st_uid, 12, "owner of %s after chown", n);
		EQ(posix_stat(f).st_rdev, st.st_rdev, "device of %s after chown", n);
		OK(link(f, "linked"), "link of %s", n);
		EQ(posix_stat("linked").st_rdev, st.st_rdev, "device of the linked %s", n);
		OK(rename("linked", "renamed"), "rename of %s", n);
		EQ(posix_stat("renamed").st_mode, kinds[k].type | 0640, "the renamed %s", n);
		const struct timespec times[2] = {{5, 6}, {7, 8}};
		OK(utimensat(AT_FDCWD, f, times, 0), "utimensat of %s", n);
		EQ(posix_stat(f).st_mtim.tv_nsec, 8, "mtime of %s", n);
		int fd = open(f, O_PATH);
		OK(fd, "O_PATH of %s", n);
		posix_open_close(fd);
		OK(access(f, R_OK | W_OK), "access of %s", n);
		OK(unlink("renamed"), "unlink of one name of %s", n);
		OK(unlink(f), "unlink of %s", n);
		ERR(access(f, F_OK), ENOENT, "%s is gone", n);
	}
	ERR(mknod("d", S_IFDIR | 0755, 0), EPERM, "mknod of a directory");
	ERR(mknod("l", S_IFLNK | 0755, 0), EINVAL, "mknod of a symlink");
	ERR(mknod("x", 0150000 | 0644, 0), EINVAL, "mknod of a type that there is not");
	OK(mknod("none", 0600, 0), "mknod without a type");
	EQ(posix_stat("none").st_mode, S_IFREG | 0600, "makes a file");
	OK(mkfifoat(AT_FDCWD, "p", 0604), "mkfifoat");
	EQ(posix_stat("p").st_mode, S_IFIFO | 0604, "its mode");
}

static void unprivileged(void)
{
	posix_become(&posix_other);
	OK(mknod("file", S_IFREG | 0600, 0), "anybody makes a file");
	OK(mknod("fifo", S_IFIFO | 0600, 0), "anybody makes a fifo");
	OK(mknod("socket", S_IFSOCK | 0600, 0), "anybody makes a socket");
	ERR(mknod("chr", S_IFCHR | 0600, makedev(1, 3)), EPERM, "a device of characters is root's to make");
	ERR(mknod("blk", S_IFBLK | 0600, makedev(7, 1)), EPERM, "a device of blocks is root's to make");
	EQ(posix_stat("fifo").st_uid, OTHER_UID, "the fifo is the maker's");
	EQ(posix_stat("fifo").st_gid, OTHER_GID, "and its group");
}

static void fifos(void)
{
	char buf[32];
	posix_make("f", 0644, 1);
	NEED(mkfifo("p", 0644));
	ERR(open("p", O_WRONLY | O_NONBLOCK), ENXIO, "no writer without a reader");
	int in = open("p", O_RDONLY | O_NONBLOCK);
	OK(in, "a reader that does not wait");
	EQ(read(in, buf, sizeof(buf)), 0, "no writer: the end");
	int out = open("p", O_WRONLY | O_NONBLOCK);
	OK(out, "a writer now that there is a reader");
	ERR(read(in, buf, sizeof(buf)), EAGAIN, "a writer, but nothing written");
	EQ(write(out, "hello", 5), 5, "write to a fifo");
	struct pollfd p = {.fd = in, .events = POLLIN};
	EQ(poll(&p, 1, 0), 1, "poll sees it");
	EQ(read(in, buf, sizeof(buf)), 5, "read from a fifo");
	IS(memcmp(buf, "hello", 5) == 0, "what was written");
	EQ(posix_stat("p").st_size, 0, "a fifo has no size");
	ERR(lseek(in, 0, SEEK_SET), ESPIPE, "a fifo has no offset");
	ERR(pread(in, buf, 1, 0), ESPIPE, "nor pread");
	ERR(pwrite(out, buf, 1, 0), ESPIPE, "nor pwrite");
	ERR(ftruncate(out, 0), EINVAL, "nor a length");
	ERR(truncate("p", 0), EINVAL, "nor by name");
	ERR(fsync(out), EINVAL, "nor anything to sync");
	OK(rename("p", "q"), "rename while it is open");
	EQ(write(out, "more", 4), 4, "write after rename");
	int again = open("q", O_RDONLY | O_NONBLOCK);
	OK(again, "open by the new name");
	EQ(read(again, buf, sizeof(buf)), 4, "it is the same fifo");
	OK(unlink("q"), "unlink while it is open");
	EQ(write(out, "last", 4), 4, "write after unlink");
	EQ(read(in, buf, sizeof(buf)), 4, "read after unlink");
	struct stat st;
	OK(fstat(in, &st), "fstat after unlink");
	EQ(st.st_nlink, 0, "its links");
	close(out);
	EQ(read(in, buf, sizeof(buf)), 0, "the writer has gone: the end");
	/* both ends, from two processes that wait for each other */
	NEED(mkfifo("w", 0644));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		int fd = open("w", O_WRONLY);
		_exit(fd >= 0 && write(fd, "from a child", 12) == 12 ? 0 : 1);
	}
	int fd = open("w", O_RDONLY);
	OK(fd, "open that waits for the other end");
	EQ(read(fd, buf, sizeof(buf)), 12, "what the child wrote");
	NEED(mkfifo("rw", 0200));
	posix_become(&posix_other);
	ERR(open("rw", O_RDONLY | O_NONBLOCK), EACCES, "a fifo has permissions");
}

static void sockets(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "s"};
	char buf[16];
	struct stat st;
	umask(027);
	int server = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(server, (struct sockaddr *)&to, sizeof(to)), "bind makes a name");
	EQ(posix_stat("s").st_mode, S_IFSOCK | 0750, "a socket under the umask");
	OK(listen(server, 4), "listen");
	ERR(open("s", O_RDWR), ENXIO, "a socket is not opened");
	int path = open("s", O_PATH);
	OK(path, "but by O_PATH");
	ERR(bind(client, (struct sockaddr *)&to, sizeof(to)), EADDRINUSE, "the name is taken");
	OK(connect(client, (struct sockaddr *)&to, sizeof(to)), "connect by the name");
	int peer = accept(server, NULL, NULL);
	OK(peer, "accept");
	EQ(write(client, "ping", 4), 4, "write through the socket");
	EQ(read(peer, buf, sizeof(buf)), 4, "read through the socket");
	OK(rename("s", "t"), "rename of a bound socket");
	int late = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(connect(late, (struct sockaddr *)&to, sizeof(to)), ENOENT, "nothing at the old name");
	to.sun_path[0] = 't';
	OK(connect(late, (struct sockaddr *)&to, sizeof(to)), "connect by the new name");
	OK(link("t", "u"), "link of a bound socket");
	to.sun_path[0] = 'u';
	int third = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(third, (struct sockaddr *)&to, sizeof(to)), "connect by the linked name");
	OK(unlink("t"), "unlink of a bound socket");
	close(server);
	int fourth = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(connect(fourth, (struct sockaddr *)&to, sizeof(to)), ECONNREFUSED, "a name that nobody listens at");
	OK(stat("u", &st), "the name stays");
	posix_make("f", 0644, 1);
	to.sun_path[0] = 'f';
	ERR(connect(fourth, (struct sockaddr *)&to, sizeof(to)), ECONNREFUSED, "connect to a file");
	int datagram = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
	to.sun_path[0] = 'g';
	OK(bind(datagram, (struct sockaddr *)&to, sizeof(to)), "bind of datagrams");
	int sender = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
	EQ(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1, "sendto by the name");
	EQ(recv(datagram, buf, sizeof(buf), 0), 1, "it came");
	OK(chmod("g", 0), "chmod of a bound socket");
	posix_become(&posix_other);
	ERR(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), EACCES, "a socket has permissions");
}

static void devices(void)
{
	char buf[16] = "xxxxxxxx";
	struct stat st;
	NEED(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
	NEED(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	NEED(mknod("nothing", S_IFCHR | 0600, makedev(4000, 9)));
	int null = open("null", O_RDWR), zero = open("zero", O_RDWR);
	OK(null, "open of a device");
	OK(zero, "open of another");
	EQ(write(null, "gone", 4), 4, "write to null");
	EQ(read(null, buf, sizeof(buf)), 0, "read from null");
	EQ(read(zero, buf, 8), 8, "read from zero");
	IS(memcmp(buf, "\0\0\0\0\0\0\0\0", 8) == 0, "zeros");
	OK(fstat(null, &st), "fstat of a device");
	EQ(st.st_rdev, makedev(1, 3), "which device it is");
	EQ(st.st_size, 0, "its size stays 0");
	OK(fchmod(null, 0644), "fchmod of a device");
	EQ(posix_stat("null").st_mode, S_IFCHR | 0644, "reaches the name");
	OK(unlink("zero"), "unlink of an open device");
	EQ(read(zero, buf, 8), 8, "it reads on");
	ERR(open("nothing", O_RDONLY), ENXIO, "a device that there is not");
	ERR(truncate("null", 5), EINVAL, "truncate of a device");
	posix_become(&posix_other);
	ERR(open("null", O_WRONLY), EACCES, "a device has permissions");
	int fd = open("null", O_RDONLY);
	OK(fd, "and gives what they give");
}

static void extended_attributes(void)
{
	NEED(mkfifo("p", 0666));
	NEED(mknod("s", S_IFSOCK | 0666, 0));
	NEED(mknod("c", S_IFCHR | 0666, makedev(1, 3)));
	NEED(symlink("p", "l"));
	static const char *const names[] = {"p", "s", "c", "l"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *n = names[i];
		ERR(lsetxattr(n, "user.x", "1", 1, 0), EPERM, "user attributes are for files and directories: %s", n);
		OK(lsetxattr(n, "trusted.x", "12", 2, 0), "trusted attributes are for all: %s", n);
		char buf[8];
		EQ(lgetxattr(n, "trusted.x", buf, sizeof(buf)), 2, "get it from %s", n);
		OK(lremovexattr(n, "trusted.x"), "remove it from %s", n);
	}
}

const struct posix_case posix_cases_special[] = {{"making", making}, {"unprivileged", unprivileged}, {"fifos", fifos}, {"sockets", sockets},
						 {"devices", devices}, {"xattrs", extended_attributes}, {0}};
