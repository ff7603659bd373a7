/* SPDX-License-Identifier: Apache-2.0
 * Every open flag by what it must do, over kinds of files, access modes and creation. Owns no state. */
#include "tests/posix/posix.h"

static const struct {
	const char *name;
	int flag;
} accesses[] = {{"rdonly", O_RDONLY}, {"wronly", O_WRONLY}, {"rdwr", O_RDWR}};

static void access_modes(void)
{
	char c = 'x';
	posix_make("f", 0644, 10);
	for (size_t i = 0; i < COUNT_OF(accesses); i++) {
		int fd = open("f", accesses[i].flag);
		const char *n = accesses[i].name;
		OK(fd, "open %s", n);
		bool reads = accesses[i].flag != O_WRONLY, writes = accesses[i].flag != O_RDONLY;
		EQ(fcntl(fd, F_GETFL) & O_ACCMODE, accesses[i].flag, "F_GETFL of %s", n);
#define EITHER(can, call, what) ((can) ? OK(call, "%s on %s", what, n) : ERR(call, EBADF, "%s on %s", what, n))
		EITHER(reads, pread(fd, &c, 1, 0), "pread");
		EITHER(reads, read(fd, &c, 1), "read");
		EITHER(writes, pwrite(fd, &c, 1, 0), "pwrite");
		EITHER(writes, write(fd, &c, 1), "write");
#undef EITHER
		if (writes)
			OK(ftruncate(fd, 10), "ftruncate on %s", n);
		else
			ERR(ftruncate(fd, 10), EINVAL, "ftruncate on %s", n);
		OK(fsync(fd), "fsync on %s", n);
		OK(fdatasync(fd), "fdatasync on %s", n);
		OK(fchmod(fd, 0644), "fchmod on %s", n);
		close(fd);
	}
}

/* flags x what is there: the errno, or 0. */
static void kinds(void)
{
	static const struct {
		const char *name;
		int flags;
		int absent, file, dir, link, dangling, loop, fifo;
	} rows[] = {
		{"rdonly", O_RDONLY, ENOENT, 0, 0, 0, ENOENT, ELOOP, 0},
		{"wronly", O_WRONLY, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, ENXIO},
		{"rdwr", O_RDWR, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, 0},
		{"creat", O_RDWR | O_CREAT, 0, 0, EISDIR, 0, 0, ELOOP, 0},
		{"creat rdonly", O_RDONLY | O_CREAT, 0, 0, EISDIR, 0, 0, ELOOP, 0},
		{"excl", O_RDWR | O_CREAT | O_EXCL, 0, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST},
		{"nofollow", O_RDONLY | O_NOFOLLOW, ENOENT, 0, 0, ELOOP, ELOOP, ELOOP, 0},
		{"creat nofollow", O_RDWR | O_CREAT | O_NOFOLLOW, 0, 0, EISDIR, ELOOP, ELOOP, ELOOP, 0},
		{"directory", O_RDONLY | O_DIRECTORY, ENOENT, ENOTDIR, 0, ENOTDIR, ENOENT, ELOOP, ENOTDIR},
		{"directory nofollow", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, ENOENT, ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR},
		{"directory rdwr", O_RDWR | O_DIRECTORY, ENOENT, ENOTDIR, EISDIR, ENOTDIR, ENOENT, ELOOP, ENOTDIR},
		{"path", O_PATH, ENOENT, 0, 0, 0, ENOENT, ELOOP, 0},
		{"path nofollow", O_PATH | O_NOFOLLOW, ENOENT, 0, 0, 0, 0, 0, 0},
		{"path directory", O_PATH | O_DIRECTORY, ENOENT, ENOTDIR, 0, ENOTDIR, ENOENT, ELOOP, ENOTDIR},
		{"trunc", O_RDWR | O_TRUNC, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, 0},
		{"append", O_RDWR | O_APPEND, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, 0},
		{"sync", O_RDWR | O_SYNC, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, 0},
		{"dsync", O_RDWR | O_DSYNC, ENOENT, 0, EISDIR, 0, ENOENT, ELOOP, 0},
		{"noatime", O_RDONLY | O_NOATIME, ENOENT, 0, 0, 0, ENOENT, ELOOP, 0},
		{"cloexec", O_RDONLY | O_CLOEXEC, ENOENT, 0, 0, 0, ENOENT, ELOOP, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *d = posix_path("d%zu", i);
		NEED(mkdir(d, 0755));
		NEED(chdir(d));
		posix_make("file", 0644, 1);
		NEED(mkdir("dir", 0755));
		NEED(symlink("file", "link"));
		NEED(symlink("nothing", "dangling"));
		NEED(symlink("loop", "loop"));
		NEED(mkfifo("fifo", 0644));
		const struct {
			const char *name;
			int want;
		} is[] = {{"absent", rows[i].absent}, {"file", rows[i].file}, {"dir", rows[i].dir}, {"link", rows[i].link},
			  {"dangling", rows[i].dangling}, {"loop", rows[i].loop}, {"fifo", rows[i].fifo}};
		for (size_t k = 0; k < COUNT_OF(is); k++) {
			int fd = open(is[k].name, rows[i].flags | O_NONBLOCK * !(rows[i].flags & O_PATH), 0644);
			if (is[k].want)
				ERR(fd, is[k].want, "open %s of %s", rows[i].name, is[k].name);
			else
				OK(fd, "open %s of %s", rows[i].name, is[k].name);
			posix_open_close(fd);
		}
		if (rows[i].flags & O_CREAT) {
			EQ(posix_stat("absent").st_mode, S_IFREG | 0644, "%s makes a file of its mode", rows[i].name);
			EQ(posix_stat("nothing").st_mode != 0, !(rows[i].flags & (O_EXCL | O_NOFOLLOW)), "%s through a dangling link",
			   rows[i].name);
		}
		EQ(posix_stat("file").st_size, rows[i].flags & O_TRUNC ? 0 : 1, "size after %s", rows[i].name);
		NEED(chdir(".."));
	}
}

static void creation_modes(void)
{
	static const mode_t modes[] = {0, 0400, 0200, 0100, 0777, 0644, 0640, 0111, 04755, 02755, 01777, 07777};
	static const mode_t masks[] = {0, 022, 077, 0777, 027};
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		for (size_t k = 0; k < COUNT_OF(masks); k++) {
			const char *f = posix_path("f%zu.%zu", i, k);
			umask(masks[k]);
			int fd = open(f, O_RDWR | O_CREAT | O_EXCL, modes[i]);
			OK(fd, "create with mode %o mask %o", modes[i], masks[k]);
			EQ(posix_stat(f).st_mode & 07777, modes[i] & ~masks[k], "mode %o under mask %o", modes[i], masks[k]);
			EQ(write(fd, "abc", 3), 3, "write to a new file of mode %o mask %o", modes[i], masks[k]);
			posix_open_close(fd);
		}
}

static void append(void)
{
	static const int extra[] = {0, O_SYNC, O_DSYNC, O_TRUNC, O_NONBLOCK};
	for (size_t i = 0; i < COUNT_OF(extra); i++) {
		const char *f = posix_path("f%zu", i);
		posix_make(f, 0644, 100);
		int fd = open(f, O_RDWR | O_APPEND | extra[i]);
		long long base = extra[i] == O_TRUNC ? 0 : 100;
		for (int k = 0; k < 10; k++) {
			OK(lseek(fd, k, SEEK_SET), "lseek %d before append, flags %x", k, extra[i]);
			EQ(write(fd, "0123456789", 10), 10, "append %d, flags %x", k, extra[i]);
			EQ(lseek(fd, 0, SEEK_CUR), base + 10 * (k + 1), "offset after append %d, flags %x", k, extra[i]);
			EQ(posix_stat(f).st_size, base + 10 * (k + 1), "size after append %d, flags %x", k, extra[i]);
		}
		EQ(pwrite(fd, "xy", 2, 0), 2, "pwrite on O_APPEND, flags %x", extra[i]);
		EQ(posix_stat(f).st_size, base + 102, "Linux: pwrite on O_APPEND appends, flags %x", extra[i]);
		OK(fcntl(fd, F_SETFL, 0), "clear O_APPEND, flags %x", extra[i]);
		EQ(pwrite(fd, "xy", 2, 0), 2, "pwrite after clearing O_APPEND, flags %x", extra[i]);
		EQ(posix_stat(f).st_size, base + 102, "no append after clearing O_APPEND, flags %x", extra[i]);
		close(fd);
	}
}

static void append_two_descriptors(void)
{
	posix_make("f", 0644, 0);
	int a = (int)NEED(open("f", O_WRONLY | O_APPEND)), b = (int)NEED(open("f", O_WRONLY | O_APPEND));
	char buf[64];
	for (int i = 0; i < 20; i++) {
		EQ(write(i & 1 ? b : a, &"AB"[i & 1], 1), 1, "append %d in turns", i);
		EQ(posix_stat("f").st_size, i + 1, "size after append %d in turns", i);
	}
	int fd = (int)NEED(open("f", O_RDONLY));
	EQ(read(fd, buf, sizeof(buf)), 20, "all appends are there");
	IS(memcmp(buf, "ABABABABABABABABABAB", 20) == 0, "appends in order");
}

static void truncating(void)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 65536, 65537, 300000};
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t k = 0; k < COUNT_OF(accesses); k++) {
			const char *f = posix_path("f%zu.%zu", i, k);
			posix_make(f, 0644, sizes[i]);
			int old = (int)NEED(open(f, O_RDONLY));
			/* O_RDONLY with O_TRUNC is unspecified by the standard; Linux truncates */
			int fd = open(f, accesses[k].flag | O_TRUNC);
			char c;
			OK(fd, "O_TRUNC %s of %zu bytes", accesses[k].name, sizes[i]);
			EQ(posix_stat(f).st_size, 0, "size after O_TRUNC %s of %zu bytes", accesses[k].name, sizes[i]);
			EQ(read(old, &c, 1), 0, "an older descriptor sees O_TRUNC %s of %zu bytes", accesses[k].name, sizes[i]);
			close(fd), close(old);
		}
}

static void path_descriptor(void)
{
	char c, buf[64];
	struct stat st;
	posix_make("f", 0644, 5);
	NEED(symlink("f", "s"));
	int fd = (int)NEED(open("f", O_PATH));
	ERR(read(fd, &c, 1), EBADF, "read");
	ERR(write(fd, &c, 1), EBADF, "write");
	ERR(pread(fd, &c, 1, 0), EBADF, "pread");
	ERR(ftruncate(fd, 0), EBADF, "ftruncate");
	ERR(fchmod(fd, 0), EBADF, "fchmod");
	ERR(fchown(fd, 0, 0), EBADF, "fchown");
	ERR(fsync(fd), EBADF, "fsync");
	ERR(lseek(fd, 0, SEEK_SET), EBADF, "lseek");
	OK(fstat(fd, &st), "fstat");
	EQ(st.st_size, 5, "fstat's size");
	OK(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH), "linkat AT_EMPTY_PATH");
	EQ(posix_stat("g").st_nlink, 2, "links after linkat");
	int again = open(posix_path("/proc/self/fd/%d", fd), O_RDONLY);
	OK(again, "reopen through /proc");
	EQ(read(again, buf, sizeof(buf)), 5, "read of the reopened");
	int link = (int)NEED(open("s", O_PATH | O_NOFOLLOW));
	OK(fstat(link, &st), "fstat of a link's descriptor");
	IS(S_ISLNK(st.st_mode), "it is the link");
	EQ(readlinkat(link, "", buf, sizeof(buf)), 1, "readlinkat of an empty path");
}

static void tmpfile_flag(void)
{
	static const mode_t modes[] = {0600, 0644, 0400, 0, 0777};
	char buf[16];
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		int fd = open(".", O_TMPFILE | O_RDWR, modes[i]);
		struct stat st = {0};
		const char *name = posix_path("t%zu", i);
		if (!OK(fd, "O_TMPFILE mode %o", modes[i]))
			continue;
		OK(fstat(fd, &st), "fstat of O_TMPFILE mode %o", modes[i]);
		EQ(st.st_nlink, 0, "links of O_TMPFILE mode %o", modes[i]);
		EQ(st.st_mode, S_IFREG | modes[i], "mode of O_TMPFILE %o", modes[i]);
		EQ(write(fd, "hello", 5), 5, "write to O_TMPFILE mode %o", modes[i]);
		EQ(pread(fd, buf, sizeof(buf), 0), 5, "read of O_TMPFILE mode %o", modes[i]);
		OK(linkat(AT_FDCWD, posix_path("/proc/self/fd/%d", fd), AT_FDCWD, name, AT_SYMLINK_FOLLOW), "link O_TMPFILE mode %o", modes[i]);
		EQ(posix_stat(name).st_size, 5, "size of the linked O_TMPFILE mode %o", modes[i]);
		EQ(posix_stat(name).st_nlink, 1, "links of the linked O_TMPFILE mode %o", modes[i]);
		posix_open_close(fd);
	}
	int fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	OK(fd, "O_TMPFILE with O_EXCL");
	ERR(linkat(AT_FDCWD, posix_path("/proc/self/fd/%d", fd), AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT, "O_TMPFILE with O_EXCL cannot be linked");
	ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL, "O_TMPFILE needs to write");
	ERR(open("absent", O_TMPFILE | O_RDWR, 0600), ENOENT, "O_TMPFILE in no directory");
	posix_make("f", 0644, 0);
	ERR(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR, "O_TMPFILE in a file");
}

static void sync_and_direct(void)
{
	static unsigned char buf[8192] __attribute__((aligned(4096))), back[8192] __attribute__((aligned(4096)));
	static const int flags[] = {O_SYNC, O_DSYNC, O_DIRECT, O_DIRECT | O_SYNC, O_DIRECT | O_APPEND};
	posix_fill(buf, sizeof(buf), 0);
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		int fd = open("f", O_RDWR | O_CREAT | O_TRUNC | flags[i], 0644);
		OK(fd, "open with flags %x", flags[i]);
		EQ(fcntl(fd, F_GETFL) & flags[i], flags[i], "F_GETFL with flags %x", flags[i]);
		EQ(write(fd, buf, sizeof(buf)), sizeof(buf), "write with flags %x", flags[i]);
		EQ(pread(fd, back, sizeof(back), 0), sizeof(back), "read with flags %x", flags[i]);
		IS(memcmp(buf, back, sizeof(buf)) == 0, "same bytes with flags %x", flags[i]);
		int plain = open("f", O_RDONLY);
		memset(back, 0, sizeof(back));
		EQ(pread(plain, back, 4096, 4096), 4096, "plain read after flags %x", flags[i]);
		IS(memcmp(buf + 4096, back, 4096) == 0, "plain read's bytes after flags %x", flags[i]);
		close(plain), close(fd);
	}
}

const struct posix_case posix_cases_open[] = {
	{"access_modes", access_modes}, {"kinds", kinds}, {"creation_modes", creation_modes}, {"append", append},
	{"append_in_turns", append_two_descriptors}, {"trunc", truncating}, {"path", path_descriptor}, {"tmpfile", tmpfile_flag},
	{"sync_direct", sync_and_direct}, {0}};
