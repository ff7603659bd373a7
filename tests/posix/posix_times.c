/* SPDX-License-Identifier: Apache-2.0
 * Times: what each call marks for update, times that are given, birth times, how reads move atime. Owns no state.
 * Nothing here compares a file's time with this machine's clock: servers have their own. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Which of the three are newer now, as letters: "mc". '?' for one that went back. */
static const char *moved(const struct stat *before, const struct stat *after)
{
	static char text[4][8];
	static unsigned next;
	char *out = text[next++ % COUNT_OF(text)], *at = out;
	const struct timespec old[] = {before->st_atim, before->st_mtim, before->st_ctim};
	const struct timespec new[] = {after->st_atim, after->st_mtim, after->st_ctim};
	for (int i = 0; i < 3; i++)
		if (later(new[i], old[i]))
			*at++ = "amc"[i];
		else if (!same(new[i], old[i]))
			*at++ = '?';
	*at = 0;
	return out;
}

/* Each action finds the file d/f (10 bytes, open as fd, with a second name d/g), the link d/l, the directory d/s and an empty d/e. */
static int fd;
static char c;
static int a_chmod(void) { return chmod("d/f", 0640); }
static int a_chmod_same(void) { return chmod("d/f", 0644); }
static int a_fchmod(void) { return fchmod(fd, 0640); }
static int a_chown(void) { return chown("d/f", 5, 6); }
static int a_chown_same(void) { return chown("d/f", 0, 0); }
static int a_link(void) { return link("d/f", "d/new"); }
static int a_link_elsewhere(void) { return link("d/f", "new"); }
static int a_rename(void) { return rename("d/f", "d/new"); }
static int a_rename_away(void) { return rename("d/f", "new"); }
static int a_rename_in(void) { return rename("out", "d/new"); }
static int a_rename_self(void) { return rename("d/f", "d/f"); }
static int a_rename_link(void) { return rename("d/f", "d/g"); }
static int a_rename_over(void) { return rename("out", "d/f"); }
static int a_exchange(void) { return renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/e", RENAME_EXCHANGE); }
static int a_unlink(void) { return unlink("d/g"); }
static int a_unlink_last(void) { return unlink("d/e"); }
static int a_unlink_open(void) { return unlink("d/g") + unlink("d/f"); }
static int a_write(void) { return (int)write(fd, "x", 1); }
static int a_write_nothing(void) { return (int)write(fd, "x", 0); }
static int a_pwrite_far(void) { return (int)pwrite(fd, "x", 1, 1000000); }
static int a_truncate(void) { return truncate("d/f", 5); }
static int a_ftruncate(void) { return ftruncate(fd, 5); }
static int a_ftruncate_same(void) { return ftruncate(fd, 10); }
static int a_grow(void) { return truncate("d/f", 5000); }
static int a_otrunc(void) { return close(open("d/f", O_WRONLY | O_TRUNC)); }
static int a_otrunc_empty(void) { return close(open("d/e", O_WRONLY | O_TRUNC)); }
static int a_open(void) { return close(open("d/f", O_RDWR)); }
static int a_creat_old(void) { return close(open("d/f", O_RDWR | O_CREAT, 0600)); }
static int a_stat(void) { return stat("d/f", &(struct stat){0}); }
static int a_access(void) { return access("d/f", R_OK); }
static int a_fsync(void) { return fsync(fd); }
static int a_read(void) { return (int)pread(fd, &c, 1, 0); }
static int a_read_end(void) { return (int)pread(fd, &c, 1, 100); }
static int a_read_nothing(void) { return (int)pread(fd, &c, 0, 0); }
static int a_read_noatime(void)
{
	int quiet = open("d/f", O_RDONLY | O_NOATIME), rc = (int)read(quiet, &c, 1);
	posix_open_close(quiet);
	return rc;
}
static int a_read_cached(void)
{
	int reader = open("d/f", O_RDONLY), rc = (int)read(reader, &c, 1);
	posix_open_close(reader);
	return rc;
}
static int a_sendfile(void) { return (int)sendfile((int)NEED(open("out", O_WRONLY)), fd, &(off_t){0}, 5); }
static int a_copy_from(void) { return (int)copy_file_range(fd, &(off_t){0}, (int)NEED(open("out", O_WRONLY)), NULL, 5, 0); }
static int a_copy_to(void) { return (int)copy_file_range((int)NEED(open("out", O_RDONLY)), NULL, fd, &(off_t){0}, 1, 0); }
static int a_fallocate(void) { return fallocate(fd, 0, 0, 5000); }
static int a_punch(void) { return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5); }
static int a_setxattr(void) { return setxattr("d/f", "user.x", "1", 1, 0); }
static int a_getxattr(void) { return getxattr("d/f", "user.none", &c, 1) < 0 ? 0 : -1; }
static int a_mkfile(void) { return mknod("d/new", S_IFREG | 0644, 0); }
static int a_create(void) { return close(open("d/new", O_RDWR | O_CREAT | O_EXCL, 0600)); }
static int a_mkdir(void) { return mkdir("d/new", 0755); }
static int a_symlink(void) { return symlink("x", "d/new"); }
static int a_mkfifo(void) { return mkfifo("d/new", 0644); }
static int a_rmdir(void) { return rmdir("d/s"); }
static int a_failed_mkdir(void) { return mkdir("d/s", 0755) < 0 ? 0 : -1; }
static int a_failed_unlink(void) { return unlink("d/none") < 0 ? 0 : -1; }
static int a_failed_open(void) { return open("d/f", O_RDWR | O_CREAT | O_EXCL, 0600) < 0 ? 0 : -1; }
static int a_lookup(void) { return access("d/s/none", F_OK) < 0 ? 0 : -1; }
static int a_make_below(void) { return mkdir("d/s/new", 0755); }
static int a_readdir(void)
{
	DIR *d = opendir("d");
	while (d && readdir(d))
		;
	return d ? closedir(d) : -1;
}
static int a_map_write(void)
{
	char *p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	p[5] = 'm';
	int rc = msync(p, 10, MS_SYNC) | munmap(p, 10);
	/* mapping may or may not count as reading */
	return rc | utimensat(AT_FDCWD, "d/f", (const struct timespec[]){{1000000000, 1}, {0, UTIME_OMIT}}, 0);
}

static const struct {
	const char *name;
	int (*run)(void);
	const char *file, *dir; /* what moves of d/f (by its descriptor) and of d */
} actions[] = {
	{"chmod", a_chmod, "c", ""}, {"chmod to the same", a_chmod_same, "c", ""}, {"fchmod", a_fchmod, "c", ""}, {"chown", a_chown, "c", ""},
	{"chown to the same", a_chown_same, "c", ""}, {"link", a_link, "c", "mc"}, {"link elsewhere", a_link_elsewhere, "c", ""},
	{"rename", a_rename, "c", "mc"}, {"rename to elsewhere", a_rename_away, "c", "mc"}, {"rename of another into the directory", a_rename_in, "", "mc"},
	{"rename to itself", a_rename_self, "", ""}, {"rename to its other name", a_rename_link, "", ""}, {"rename over it", a_rename_over, "c", "mc"},
	{"exchange", a_exchange, "c", "mc"}, {"unlink of its other name", a_unlink, "c", "mc"}, {"unlink of another", a_unlink_last, "", "mc"},
	{"unlink of both names", a_unlink_open, "c", "mc"}, {"write", a_write, "mc", ""}, {"write of nothing", a_write_nothing, "", ""},
	{"pwrite far behind", a_pwrite_far, "mc", ""}, {"truncate", a_truncate, "mc", ""}, {"ftruncate", a_ftruncate, "mc", ""},
	{"ftruncate to its size", a_ftruncate_same, "mc", ""}, {"truncate to grow", a_grow, "mc", ""}, {"O_TRUNC", a_otrunc, "mc", ""},
	{"O_TRUNC of another", a_otrunc_empty, "", ""}, {"open", a_open, "", ""}, {"open with O_CREAT", a_creat_old, "", ""}, {"stat", a_stat, "", ""},
	{"access", a_access, "", ""}, {"fsync", a_fsync, "", ""}, {"read", a_read, "a", ""}, {"read with O_RDONLY", a_read_cached, "a", ""},
	{"read at the end", a_read_end, "a", ""}, {"read of nothing", a_read_nothing, "", ""}, {"read with O_NOATIME", a_read_noatime, "", ""},
	{"sendfile from it", a_sendfile, "a", ""}, {"copy_file_range from it", a_copy_from, "a", ""}, {"copy_file_range to it", a_copy_to, "mc", ""},
	{"fallocate", a_fallocate, "mc", ""}, {"punch", a_punch, "mc", ""}, {"setxattr", a_setxattr, "c", ""}, {"getxattr", a_getxattr, "", ""},
	{"mknod beside it", a_mkfile, "", "mc"}, {"create beside it", a_create, "", "mc"}, {"mkdir beside it", a_mkdir, "", "mc"},
	{"symlink beside it", a_symlink, "", "mc"}, {"mkfifo beside it", a_mkfifo, "", "mc"}, {"rmdir beside it", a_rmdir, "", "mc"},
	{"mkdir that fails", a_failed_mkdir, "", ""}, {"unlink that fails", a_failed_unlink, "", ""}, {"open that fails", a_failed_open, "", ""},
	{"lookup", a_lookup, "", ""}, {"mkdir two levels below", a_make_below, "", ""}, {"readdir", a_readdir, "", "a"},
	{"store to a mapping", a_map_write, "mc", ""},
};

static void what_moves(void)
{
	/* old, and atime older than mtime, so that relatime moves it */
	const struct timespec old[2] = {{1000000000, 1}, {1000000001, 2}};
	for (size_t i = 0; i < COUNT_OF(actions); i++) {
		const char *w = posix_path("w%zu", i), *n = actions[i].name;
		struct stat before = {0}, after = {0}, dir_before = {0}, dir_after = {0};
		NEED(mkdir(w, 0755));
		NEED(chdir(w));
		NEED(mkdir("d", 0755));
		posix_make("d/f", 0644, 10);
		NEED(link("d/f", "d/g"));
		posix_make("d/e", 0644, 0);
		posix_make("out", 0644, 3);
		NEED(symlink("f", "d/l"));
		NEED(mkdir("d/s", 0755));
		NEED(utimensat(AT_FDCWD, "d/f", old, 0));
		NEED(utimensat(AT_FDCWD, "d", old, 0));
		fd = (int)NEED(open("d/f", O_RDWR));
		int dir = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
		NEED(fstat(fd, &before));
		NEED(fstat(dir, &dir_before));
		posix_pause();
		if (OK(actions[i].run(), "%s", n)) {
			NEED(fstat(fd, &after));
			NEED(fstat(dir, &dir_after));
			const char *file = moved(&before, &after), *in = moved(&dir_before, &dir_after);
			IS(strcmp(file, actions[i].file) == 0, "%s moves '%s' of the file", n, actions[i].file);
			IS(strcmp(in, actions[i].dir) == 0, "%s moves '%s' of the directory", n, actions[i].dir);
		}
		close(fd), close(dir);
		NEED(chdir(".."));
	}
}

static void the_other_inode(void)
{
	struct stat a, b;
	posix_make("f", 0644, 1);
	NEED(link("f", "g"));
	posix_make("h", 0644, 1);
	NEED(mkdir("d", 0755));
	a = posix_stat("f");
	posix_pause();
	NEED(rename("h", "g"));
	b = posix_stat("f");
	IS(later(b.st_ctim, a.st_ctim), "the replaced file's ctime moves with its count of links");
	IS(same(b.st_mtim, a.st_mtim), "its mtime does not");
	a = posix_stat(".");
	posix_pause();
	NEED(rename("f", "d/f"));
	b = posix_stat("d");
	IS(later(posix_stat(".").st_mtim, a.st_mtim), "rename moves mtime of the old parent");
	IS(later(b.st_mtim, a.st_mtim), "and of the new");
	IS(same(posix_stat(".").st_atim, a.st_atim), "but no atime");
	NEED(symlink("x", "l"));
	a = posix_stat("l");
	posix_pause();
	OK(lchown("l", 5, 6), "lchown");
	b = posix_stat("l");
	IS(later(b.st_ctim, a.st_ctim), "moves a link's ctime");
	IS(same(b.st_mtim, a.st_mtim), "and not its mtime");
	char buf[8];
	const struct timespec old[2] = {{1000000000, 0}, {1000000001, 0}};
	NEED(utimensat(AT_FDCWD, "l", old, AT_SYMLINK_NOFOLLOW));
	EQ(readlink("l", buf, sizeof(buf)), 1, "readlink");
	IS(posix_stat("l").st_atim.tv_sec > 1000000000, "moves a link's atime");
}

static void new_files(void)
{
	static const char *const names[] = {"file", "dir", "link", "fifo", "created"};
	NEED(mknod("file", S_IFREG | 0644, 0));
	NEED(mkdir("dir", 0755));
	NEED(symlink("x", "link"));
	NEED(mkfifo("fifo", 0644));
	NEED(close(open("created", O_RDWR | O_CREAT | O_EXCL, 0644)));
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct stat st = posix_stat(names[i]);
		struct statx sx;
		IS(same(st.st_atim, st.st_mtim) && same(st.st_mtim, st.st_ctim), "the times of a new %s are one", names[i]);
		OK(statx(AT_FDCWD, names[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &sx), "statx of a new %s", names[i]);
		IS(sx.stx_mask & STATX_BTIME, "a new %s has a birth time", names[i]);
		IS(sx.stx_btime.tv_sec == st.st_mtim.tv_sec && sx.stx_btime.tv_nsec == st.st_mtim.tv_nsec, "the same as its others, %s", names[i]);
	}
	posix_pause();
	NEED(mknod("second", S_IFREG | 0644, 0));
	IS(later(posix_stat("second").st_mtim, posix_stat("created").st_mtim), "what is made later is younger");
	struct stat dir = posix_stat("."), st = posix_stat("second");
	IS(!later(st.st_mtim, dir.st_mtim), "a directory is not older than its youngest entry");
}

static void birth(void)
{
	struct statx first, now;
	posix_make("f", 0644, 10);
	NEED(statx(AT_FDCWD, "f", 0, STATX_BTIME, &first));
	const struct timespec old[2] = {{1, 2}, {3, 4}};
	posix_pause();
	struct {
		const char *what;
		int rc;
		const char *name;
	} steps[] = {
		{"chmod", chmod("f", 0600), "f"}, {"truncate", truncate("f", 3), "f"}, {"utimensat", utimensat(AT_FDCWD, "f", old, 0), "f"},
		{"chown", chown("f", 5, 6), "f"}, {"link", link("f", "g"), "g"}, {"rename", rename("g", "h"), "h"},
		{"setxattr", setxattr("f", "user.x", "1", 1, 0), "f"}, {"unlink of a name", unlink("f"), "h"},
	};
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		OK(steps[i].rc, "%s", steps[i].what);
		if (access(steps[i].name, F_OK) != 0)
			steps[i].name = "h"; /* all steps have been done by now */
		NEED(statx(AT_FDCWD, steps[i].name, 0, STATX_BTIME | STATX_BASIC_STATS, &now));
		IS(now.stx_btime.tv_sec == first.stx_btime.tv_sec && now.stx_btime.tv_nsec == first.stx_btime.tv_nsec, "%s leaves the birth time",
		   steps[i].what);
	}
	IS(now.stx_mtime.tv_sec == 3 && first.stx_btime.tv_sec > 1000000000, "it is not the modification time");
	posix_pause();
	posix_make("f", 0644, 1);
	NEED(statx(AT_FDCWD, "f", 0, STATX_BTIME, &now));
	IS(now.stx_btime.tv_sec > first.stx_btime.tv_sec || now.stx_btime.tv_nsec != first.stx_btime.tv_nsec, "a new file of that name is born anew");
}

static void statx_fields(void)
{
	struct statx sx;
	struct stat st;
	posix_make("f", 0640, 12345);
	NEED(chown("f", 7, 8));
	NEED(link("f", "g"));
	NEED(symlink("f", "l"));
	static const int modes[] = {AT_STATX_SYNC_AS_STAT, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC};
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		NEED(stat("f", &st));
		OK(statx(AT_FDCWD, "f", modes[i], STATX_BASIC_STATS, &sx), "statx, way %zu", i);
		EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS, "all basic fields, way %zu", i);
		EQ(sx.stx_mode, st.st_mode, "mode, way %zu", i);
		EQ(sx.stx_size, 12345, "size, way %zu", i);
		EQ(sx.stx_nlink, 2, "links, way %zu", i);
		EQ(sx.stx_uid, 7, "owner, way %zu", i);
		EQ(sx.stx_gid, 8, "group, way %zu", i);
		EQ(sx.stx_ino, st.st_ino, "inode, way %zu", i);
		EQ(sx.stx_blocks, st.st_blocks, "blocks, way %zu", i);
		EQ(sx.stx_blksize, st.st_blksize, "block size, way %zu", i);
		EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec, "mtime, way %zu", i);
		EQ(sx.stx_ctime.tv_sec, st.st_ctim.tv_sec, "ctime, way %zu", i);
		EQ(sx.stx_attributes & ~sx.stx_attributes_mask, 0, "no attribute that is not known, way %zu", i);
	}
	OK(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx), "statx of a link");
	IS(S_ISLNK(sx.stx_mode), "it is the link");
	OK(statx(AT_FDCWD, "l", 0, STATX_SIZE, &sx), "statx through a link");
	EQ(sx.stx_size, 12345, "its target");
	int open_fd = (int)NEED(open("f", O_RDONLY));
	OK(statx(open_fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx), "statx of a descriptor");
	EQ(sx.stx_size, 12345, "its size");
	ERR(statx(open_fd, "", 0, STATX_SIZE, &sx), ENOENT, "an empty path without AT_EMPTY_PATH");
	ERR(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx), EINVAL, "both ways at once");
	ERR(statx(AT_FDCWD, "f", 0, 0x80000000u, &sx), EINVAL, "a reserved bit of the mask");
	ERR(statx(AT_FDCWD, "f", 0x40000000, STATX_SIZE, &sx), EINVAL, "a flag that there is not");
	ERR(statx(AT_FDCWD, "none", 0, STATX_SIZE, &sx), ENOENT, "statx of nothing");
	ERR(statx(AT_FDCWD, "f/x", 0, STATX_SIZE, &sx), ENOTDIR, "statx below a file");
	ERR(statx(12345, "f", 0, STATX_SIZE, &sx), EBADF, "statx of no descriptor");
	OK(statx(AT_FDCWD, "f", 0, 0, &sx), "statx that asks for nothing");
}

static void given_times(void)
{
	static const struct timespec values[] = {
		{0, 0}, {0, 1}, {0, 999999999}, {1, 500000000}, {-1, 0}, {-1, 999999999}, {-1000000000, 123456789}, {-2147483648LL, 0},
		{2147483647, 999999999}, {2147483648LL, 1}, {4294967295LL, 5}, {4294967296LL, 6}, {8000000000LL, 7}, {1234567890, 987654321},
		{1700000000, 100}, {1700000000, 1000},
	};
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(symlink("f", "l"));
	int file = (int)NEED(open("f", O_RDONLY));
	static const char *const names[] = {"f", "d", "l"};
	for (size_t n = 0; n < COUNT_OF(names); n++)
		for (size_t i = 0; i < COUNT_OF(values); i++) {
			const struct timespec set[2] = {values[i], values[COUNT_OF(values) - 1 - i]};
			const long long s = set[0].tv_sec;
			OK(utimensat(AT_FDCWD, names[n], set, AT_SYMLINK_NOFOLLOW), "time %lld.%09ld of %s", s, set[0].tv_nsec, names[n]);
			struct stat st = posix_stat(names[n]);
			IS(same(st.st_atim, set[0]), "atime %lld.%09ld of %s", s, set[0].tv_nsec, names[n]);
			IS(same(st.st_mtim, set[1]), "mtime beside %lld.%09ld of %s", s, set[0].tv_nsec, names[n]);
		}
	const struct timespec base[2] = {{100, 1}, {200, 2}}, omit[2] = {{300, UTIME_OMIT}, {400, 4}}, omit2[2] = {{500, 5}, {1, UTIME_OMIT}};
	const struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, now[2] = {{0, UTIME_NOW}, {700, 7}};
	const struct timespec bad[2] = {{0, 1000000000}, {0, 0}}, bad2[2] = {{0, 0}, {0, -1}};
	struct stat st;
	NEED(futimens(file, base));
	st = posix_stat("f");
	IS(st.st_atim.tv_sec == 100 && st.st_mtim.tv_nsec == 2, "futimens");
	OK(utimensat(AT_FDCWD, "f", omit, 0), "UTIME_OMIT of atime");
	st = posix_stat("f");
	IS(st.st_atim.tv_sec == 100 && st.st_mtim.tv_sec == 400, "it stays, mtime is set");
	OK(utimensat(AT_FDCWD, "f", omit2, 0), "UTIME_OMIT of mtime");
	st = posix_stat("f");
	IS(st.st_atim.tv_sec == 500 && st.st_mtim.tv_sec == 400, "it stays, atime is set");
	struct stat before = st;
	posix_pause();
	OK(utimensat(AT_FDCWD, "f", none, 0), "UTIME_OMIT of both");
	st = posix_stat("f");
	IS(same(st.st_ctim, before.st_ctim), "not even ctime moves");
	OK(utimensat(AT_FDCWD, "f", now, 0), "UTIME_NOW of atime");
	st = posix_stat("f");
	IS(st.st_atim.tv_sec > 1000000000 && st.st_mtim.tv_sec == 700, "it is now, mtime is set");
	IS(later(st.st_ctim, before.st_ctim), "ctime moves");
	OK(utimensat(AT_FDCWD, "f", NULL, 0), "both now");
	st = posix_stat("f");
	IS(same(st.st_atim, st.st_mtim), "are one");
	ERR(utimensat(AT_FDCWD, "f", bad, 0), EINVAL, "a billion nanoseconds");
	ERR(utimensat(AT_FDCWD, "f", bad2, 0), EINVAL, "less than no nanoseconds");
	ERR(utimensat(AT_FDCWD, "none", base, 0), ENOENT, "times of nothing");
	ERR(utimensat(AT_FDCWD, "f", base, 0x40000000), EINVAL, "a flag that there is not");
	const struct timeval micro[2] = {{11, 12}, {13, 14}};
	OK(utimes("f", micro), "utimes");
	st = posix_stat("f");
	IS(st.st_atim.tv_nsec == 12000 && st.st_mtim.tv_sec == 13, "microseconds");
	OK(utime("f", &(struct utimbuf){21, 22}), "utime");
	st = posix_stat("f");
	IS(st.st_atim.tv_sec == 21 && st.st_mtim.tv_sec == 22 && st.st_mtim.tv_nsec == 0, "seconds");
	OK(utimensat(AT_FDCWD, "l", base, 0), "through a link");
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "the target's");
}

/* A file whose mtime was given keeps it, whatever was written before. */
static void given_after_writing(void)
{
	const struct timespec old[2] = {{100, 1}, {200, 2}};
	int w = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	NEED(write(w, "hello", 5));
	OK(futimens(w, old), "futimens after write");
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "what was given");
	OK(fsync(w), "fsync");
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "stays over fsync");
	NEED(close(w));
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "stays over close");
	EQ(posix_stat("f").st_size, 5, "and the size is right");
	posix_pause();
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "and a little later");
	w = (int)NEED(open("f", O_WRONLY | O_APPEND));
	NEED(write(w, "more", 4));
	IS(posix_stat("f").st_mtim.tv_sec > 1000000000, "a new write makes it new");
	NEED(chmod("f", 0600));
	OK(utimensat(AT_FDCWD, "f", old, 0), "given while it is open to write");
	NEED(close(w));
	EQ(posix_stat("f").st_mtim.tv_sec, 200, "close does not change it");
	EQ(posix_stat("f").st_size, 9, "the size is what was written");
}

/* relatime: a read moves atime if it is not younger than mtime and ctime, or a day old. */
static void reading(void)
{
	static const struct {
		const char *what;
		long atime, mtime; /* seconds before now */
		bool moves;
	} rows[] = {
		{"older than mtime", 100, 50, true}, {"as old as mtime", 100, 100, true}, {"much older than a day", 200000, 300000, true},
	};
	struct timeval now;
	char buf[4];
	NEED(gettimeofday(&now, NULL));
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		for (int kind = 0; kind < 2; kind++) {
			const char *f = posix_path("%c%zu", "fd"[kind], i);
			const struct timespec set[2] = {{now.tv_sec - rows[i].atime, 0}, {now.tv_sec - rows[i].mtime, 0}};
			if (kind == 0)
				posix_make(f, 0644, 10);
			else
				NEED(mkdir(f, 0755));
			NEED(utimensat(AT_FDCWD, f, set, 0));
			posix_pause();
			int r = (int)NEED(open(f, O_RDONLY));
			if (kind == 0) {
				NEED(read(r, buf, 4));
				close(r);
			} else {
				DIR *d = fdopendir(r);
				while (readdir(d))
					;
				closedir(d);
			}
			EQ(!same(posix_stat(f).st_atim, set[0]), rows[i].moves, "atime %s, read of a %s", rows[i].what, kind ? "directory" : "file");
		}
	/* just read: it stays */
	struct stat st;
	posix_make("f", 0644, 10);
	posix_pause();
	int r = (int)NEED(open("f", O_RDONLY));
	NEED(read(r, buf, 4));
	NEED(fstat(r, &st));
	IS(later(st.st_atim, st.st_mtim), "the first read moves it");
	posix_pause();
	NEED(pread(r, buf, 4, 0));
	IS(same(posix_stat("f").st_atim, st.st_atim), "the next leaves it");
	IS(same(posix_stat("f").st_ctim, st.st_ctim), "reading moves no ctime");
	posix_pause();
	NEED(chmod("f", 0600));
	posix_pause();
	NEED(pread(r, buf, 4, 0));
	IS(later(posix_stat("f").st_atim, posix_stat("f").st_ctim), "after a change the first read moves it again");
}

const struct posix_case posix_cases_times[] = {{"what_moves", what_moves}, {"the_other_inode", the_other_inode}, {"new", new_files},
					       {"birth", birth}, {"statx", statx_fields}, {"given", given_times},
					       {"given_after_writing", given_after_writing}, {"reading", reading}, {0}};
