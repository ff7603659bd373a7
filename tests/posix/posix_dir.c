/* SPDX-License-Identifier: Apache-2.0
 * Directories: listings that are complete whatever happens meanwhile, positions, counts of links, descriptors as starting points, inotify.
 * Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#define MANY 500

static int seen[MANY], others;

static void note(const char *name)
{
	char *end = NULL;
	long n = name[0] == 'n' ? strtol(name + 1, &end, 10) : -1;
	if (n >= 0 && n < MANY && *end == 0)
		seen[n]++;
	else
		others++;
}

static void forget(void)
{
	memset(seen, 0, sizeof(seen));
	others = 0;
}

/* How many of n<from>…n<to - 1> were seen exactly so often. */
static int times(int from, int to, int often)
{
	int count = 0;
	for (int i = from; i < to; i++)
		count += seen[i] == often;
	return count;
}

static const char *name_of(int i)
{
	return posix_path("d/n%d", i);
}

static void make_many(int count)
{
	NEED(mkdir("d", 0755));
	for (int i = 0; i < count; i++)
		NEED(mknod(name_of(i), S_IFREG | 0644, 0));
}

static int read_all(DIR *dir)
{
	int count = 0;
	forget();
	for (struct dirent *e; (e = readdir(dir)) != NULL; count++)
		note(e->d_name);
	return count;
}

static void many(void)
{
	make_many(MANY);
	DIR *dir = opendir("d");
	NEED(dir ? 0 : -1);
	EQ(read_all(dir), MANY + 2, "all entries and two dots");
	EQ(times(0, MANY, 1), MANY, "each once");
	EQ(others, 2, "and nothing else");
	IS(readdir(dir) == NULL, "the end stays the end");
	rewinddir(dir);
	EQ(read_all(dir), MANY + 2, "again after rewinddir");
	EQ(times(0, MANY, 1), MANY, "each once again");
	/* each position leads to the entry that followed it */
	rewinddir(dir);
	static long at[MANY + 3];
	static char name[MANY + 2][256];
	int count = 0;
	for (;;) {
		at[count] = telldir(dir);
		struct dirent *e = readdir(dir);
		if (!e)
			break;
		snprintf(name[count++], sizeof(name[0]), "%s", e->d_name);
	}
	int right = 0;
	for (int k = 0; k < 100; k++) {
		int i = (k * 37) % count;
		seekdir(dir, at[i]);
		struct dirent *e = readdir(dir);
		right += e && strcmp(e->d_name, name[i]) == 0;
	}
	EQ(right, 100, "seekdir leads back to 100 entries");
	seekdir(dir, at[count]);
	IS(readdir(dir) == NULL, "and to the end");
	seekdir(dir, at[count / 2]);
	EQ(read_all(dir), count - count / 2, "from the middle the other half");
	int distinct = 0;
	for (int i = 1; i <= count; i++)
		distinct += at[i] != at[i - 1];
	EQ(distinct, count, "positions differ");
	closedir(dir);
	dir = opendir("d");
	seekdir(dir, at[count / 3]);
	struct dirent *e = readdir(dir);
	IS(e && strcmp(e->d_name, name[count / 3]) == 0, "a position serves another opening of the directory");
	closedir(dir);
}

static void changes_while_reading(void)
{
	make_many(MANY);
	DIR *dir = opendir("d");
	NEED(dir ? 0 : -1);
	forget();
	for (int i = 0; i < 50; i++)
		note(readdir(dir)->d_name);
	/* half of it goes, others come */
	for (int i = 0; i < MANY; i += 2)
		NEED(unlink(name_of(i)));
	for (int i = 0; i < 100; i++)
		NEED(mknod(posix_path("d/x%d", i), S_IFREG | 0644, 0));
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		note(e->d_name);
	int once = 0, twice = 0;
	for (int i = 1; i < MANY; i += 2)
		once += seen[i] == 1;
	for (int i = 0; i < MANY; i++)
		twice += seen[i] > 1;
	EQ(once, MANY / 2, "what stayed all the time comes exactly once");
	EQ(twice, 0, "nothing comes twice");
	rewinddir(dir);
	EQ(read_all(dir), MANY / 2 + 100 + 2, "after rewinddir what is there now");
	/* removing what one reads, to the end */
	rewinddir(dir);
	int removed = 0, failed = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.') {
			removed++;
			failed += unlink(posix_path("d/%s", e->d_name)) != 0;
		}
	EQ(removed, MANY / 2 + 100, "removal while reading meets every entry");
	EQ(failed, 0, "and none twice");
	closedir(dir);
	OK(rmdir("d"), "then the directory is empty");
}

static void positions_under_change(void)
{
	make_many(300);
	DIR *dir = opendir("d");
	NEED(dir ? 0 : -1);
	forget();
	int before = 0;
	for (; before < 150; before++)
		note(readdir(dir)->d_name);
	long middle = telldir(dir);
	closedir(dir);
	int gone = 0;
	for (int i = 0; i < 300; i += 3) {
		NEED(unlink(name_of(i)));
		gone += seen[i] == 0;
	}
	int expected = 0;
	for (int i = 0; i < 300; i++)
		expected += seen[i] == 0 && i % 3 != 0;
	dir = opendir("d");
	seekdir(dir, middle);
	int old[300];
	memcpy(old, seen, sizeof(old));
	int got = 0, again = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		int n = (int)strtol(e->d_name + 1, NULL, 10);
		if (e->d_name[0] == 'n') {
			got++;
			again += old[n];
		}
	}
	EQ(got, expected, "a position is good after removals: what is left comes");
	EQ(again, 0, "and nothing that came before it");
	closedir(dir);
}

static void entries(void)
{
	static const struct {
		const char *name;
		mode_t mode;
		unsigned char type;
	} rows[] = {{"file", S_IFREG, DT_REG}, {"dir", S_IFDIR, DT_DIR}, {"link", S_IFLNK, DT_LNK}, {"fifo", S_IFIFO, DT_FIFO}, {"socket", S_IFSOCK, DT_SOCK}};
	NEED(mkdir("d", 0755));
	NEED(mkdir("d/dir", 0755));
	NEED(symlink("x", "d/link"));
	NEED(mknod("d/file", S_IFREG | 0644, 0));
	NEED(mknod("d/fifo", S_IFIFO | 0644, 0));
	NEED(mknod("d/socket", S_IFSOCK | 0644, 0));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		DIR *dir = opendir("d");
		struct dirent *e;
		while ((e = readdir(dir)) != NULL && strcmp(e->d_name, rows[i].name) != 0)
			;
		struct stat st = posix_stat(posix_path("d/%s", rows[i].name));
		IS(e != NULL, "%s is listed", rows[i].name);
		EQ(e ? e->d_type : 99, rows[i].type, "d_type of %s", rows[i].name);
		EQ(e ? e->d_ino : 0, st.st_ino, "d_ino of %s", rows[i].name);
		EQ(st.st_mode & S_IFMT, rows[i].mode, "stat of %s", rows[i].name);
		closedir(dir);
	}
	DIR *dir = opendir("d");
	ino_t dot = 0, dots = 0;
	unsigned char type = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0)
			dot = e->d_ino, type = e->d_type;
		if (strcmp(e->d_name, "..") == 0)
			dots = e->d_ino;
	}
	EQ(dot, posix_stat("d").st_ino, "dot is the directory");
	EQ(type, DT_DIR, "and says so");
	EQ(dots, posix_stat(".").st_ino, "dot-dot is its parent");
	closedir(dir);
	NEED(rename("d/dir", "moved"));
	dir = opendir("moved");
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (strcmp(e->d_name, "..") == 0)
			dots = e->d_ino;
	EQ(dots, posix_stat(".").st_ino, "dot-dot of a moved directory is the new parent");
	closedir(dir);
}

static void raw(void)
{
	static char buf[4096];
	make_many(100);
	int fd = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
	ERR(syscall(SYS_getdents64, fd, buf, 10), EINVAL, "a buffer too small for any entry");
	int count = 0;
	long got;
	while ((got = syscall(SYS_getdents64, fd, buf, 64)) > 0)
		for (long at = 0; at < got; count++)
			at += *(unsigned short *)(void *)(buf + at + 16);
	EQ(got, 0, "two entries at a time lead to the end");
	EQ(count, 102, "and give all");
	EQ(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0, "the end stays the end");
	EQ(lseek(fd, 0, SEEK_SET), 0, "lseek to the start");
	IS(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0, "begins again");
	NEED(lseek(fd, 0, SEEK_SET));
	ERR(syscall(SYS_getdents64, fd, posix_bad, 4096), EFAULT, "a buffer where there is no memory");
	NEED(mknod("f", S_IFREG | 0644, 0));
	int f = (int)NEED(open("f", O_RDONLY)), path = (int)NEED(open("d", O_PATH));
	ERR(syscall(SYS_getdents64, f, buf, sizeof(buf)), ENOTDIR, "getdents of a file");
	ERR(syscall(SYS_getdents64, path, buf, sizeof(buf)), EBADF, "getdents of an O_PATH descriptor");
	ERR(syscall(SYS_getdents64, 12345, buf, sizeof(buf)), EBADF, "getdents of no descriptor");
	/* one offset for all who share the descriptor */
	NEED(lseek(fd, 0, SEEK_SET));
	int same = (int)NEED(dup(fd));
	NEED(syscall(SYS_getdents64, fd, buf, 1000));
	off_t at = lseek(fd, 0, SEEK_CUR);
	IS(at != 0, "reading moves the offset");
	EQ(lseek(same, 0, SEEK_CUR), at, "dup shares it");
}

static void link_counts(void)
{
	NEED(mkdir("d", 0755));
	EQ(posix_stat("d").st_nlink, 2, "an empty directory has two links");
	for (int i = 0; i < 20; i++) {
		NEED(mkdir(posix_path("d/s%d", i), 0755));
		EQ(posix_stat("d").st_nlink, 3 + i, "with %d directories in it", i + 1);
	}
	posix_make("d/f", 0644, 1);
	NEED(symlink("x", "d/l"));
	EQ(posix_stat("d").st_nlink, 22, "a file and a symlink do not count");
	ERR(rmdir("d"), ENOTEMPTY, "rmdir of what is not empty");
	for (int i = 0; i < 20; i++) {
		NEED(rmdir(posix_path("d/s%d", i)));
		EQ(posix_stat("d").st_nlink, 21 - i, "with %d directories left in it", 19 - i);
	}
	ERR(rmdir("d"), ENOTEMPTY, "rmdir of what holds a file");
	NEED(unlink("d/f"));
	ERR(rmdir("d"), ENOTEMPTY, "rmdir of what holds a symlink");
	NEED(unlink("d/l"));
	OK(rmdir("d"), "rmdir of what is empty");
	ERR(rmdir("d"), ENOENT, "rmdir again");
}

static void starting_points(void)
{
	struct stat st;
	char cwd[PATH_MAX];
	NEED(mkdir("d", 0755));
	NEED(mkdir("other", 0755));
	posix_make("f", 0644, 1);
	int d = (int)NEED(open("d", O_RDONLY | O_DIRECTORY)), p = (int)NEED(open("other", O_PATH | O_DIRECTORY)), f = (int)NEED(open("f", O_RDONLY));
	OK(mkdirat(d, "sub", 0755), "mkdirat");
	OK(mknodat(d, "fifo", S_IFIFO | 0644, 0), "mknodat");
	OK(symlinkat("sub", d, "link"), "symlinkat");
	int in = openat(d, "file", O_RDWR | O_CREAT, 0644);
	OK(in, "openat that creates");
	OK(fstatat(d, "file", &st, 0), "fstatat");
	OK(faccessat(d, "file", R_OK, 0), "faccessat");
	OK(fchmodat(d, "file", 0600, 0), "fchmodat");
	OK(fchownat(d, "link", 5, 6, AT_SYMLINK_NOFOLLOW), "fchownat of a link");
	OK(utimensat(d, "file", NULL, 0), "utimensat");
	EQ(readlinkat(d, "link", cwd, sizeof(cwd)), 3, "readlinkat");
	OK(linkat(d, "file", p, "linked", 0), "linkat to an O_PATH descriptor");
	OK(renameat(d, "fifo", p, "moved"), "renameat to an O_PATH descriptor");
	IS(S_ISFIFO(posix_stat("other/moved").st_mode), "it is there");
	EQ(posix_stat("d/file").st_nlink, 2, "so is the link");
	OK(unlinkat(p, "moved", 0), "unlinkat");
	OK(unlinkat(d, "sub", AT_REMOVEDIR), "unlinkat of a directory");
	ERR(unlinkat(d, "file", AT_REMOVEDIR), ENOTDIR, "AT_REMOVEDIR of a file");
	ERR(unlinkat(d, "file", 0x40000000), EINVAL, "unlinkat with a flag that there is not");
	ERR(openat(f, "x", O_RDONLY), ENOTDIR, "a file is no starting point");
	ERR(mkdirat(f, "x", 0755), ENOTDIR, "nor for mkdirat");
	ERR(mkdirat(12345, "x", 0755), EBADF, "nor is no descriptor");
	ERR(fstatat(12345, "x", &st, 0), EBADF, "nor for fstatat");
	OK(mkdirat(12345, posix_path("%s/abs", getcwd(cwd, sizeof(cwd))), 0755), "an absolute path needs none");
	OK(fchdir(d), "fchdir");
	OK(access("file", F_OK), "names in it");
	OK(fchdir(p), "fchdir of an O_PATH descriptor");
	OK(access("linked", F_OK), "names in that");
	ERR(fchdir(f), ENOTDIR, "fchdir of a file");
	ERR(fchdir(12345), EBADF, "fchdir of no descriptor");
	OK(rename("../other", "../renamed"), "rename of the working directory");
	OK(access("linked", F_OK), "it is where one is");
	NEED(getcwd(cwd, sizeof(cwd)) ? 0 : -1);
	IS(strcmp(strrchr(cwd, '/'), "/renamed") == 0, "getcwd knows the new name");
	OK(chdir(".."), "dot-dot");
	ERR(chdir("f"), ENOTDIR, "chdir to a file");
	ERR(chdir("none"), ENOENT, "chdir to nothing");
	OK(rename("d", "renamed/d"), "move of an open directory");
	OK(mkdirat(d, "late", 0755), "its descriptor moves along");
	IS(S_ISDIR(posix_stat("renamed/d/late").st_mode), "to the new place");
	OK(fstatat(d, "..", &st, 0), "dot-dot of the descriptor");
	EQ(st.st_ino, posix_stat("renamed").st_ino, "is the new parent");
}

/* What this machine does on this mount comes to whoever watches. */
static void notifications(void)
{
	static char buf[8192] __attribute__((aligned(8)));
	static const char *wanted[] = {"IN_CREATE a",     "IN_OPEN a",   "IN_MODIFY a",    "IN_CLOSE_WRITE a", "IN_ATTRIB a", "IN_MOVED_FROM a", "IN_MOVED_TO b",
				       "IN_CREATE d",     "IN_DELETE d", "IN_CREATE link", "IN_DELETE b",      "IN_DELETE link"};
	static const struct {
		uint32_t mask;
		const char *name;
	} masks[] = {{IN_CREATE, "IN_CREATE"}, {IN_OPEN, "IN_OPEN"}, {IN_MODIFY, "IN_MODIFY"}, {IN_CLOSE_WRITE, "IN_CLOSE_WRITE"}, {IN_ATTRIB, "IN_ATTRIB"},
		     {IN_MOVED_FROM, "IN_MOVED_FROM"}, {IN_MOVED_TO, "IN_MOVED_TO"}, {IN_DELETE, "IN_DELETE"}};
	NEED(mkdir("w", 0755));
	int watch = (int)NEED(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	OK(inotify_add_watch(watch, "w", IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE | IN_DELETE), "watch a directory");
	int fd = (int)NEED(open("w/a", O_RDWR | O_CREAT, 0644));
	NEED(write(fd, "x", 1));
	NEED(close(fd));
	NEED(chmod("w/a", 0600));
	NEED(rename("w/a", "w/b"));
	NEED(mkdir("w/d", 0755));
	NEED(rmdir("w/d"));
	NEED(symlink("x", "w/link"));
	NEED(unlink("w/b"));
	NEED(unlink("w/link"));
	size_t next = 0;
	for (ssize_t got; (got = read(watch, buf, sizeof(buf))) > 0;)
		for (ssize_t at = 0; at < got;) {
			const struct inotify_event *e = (const void *)(buf + at);
			at += (ssize_t)(sizeof(*e) + e->len);
			for (size_t m = 0; m < COUNT_OF(masks); m++)
				/* in the order that things happened, other events in between do not matter */
				if ((e->mask & masks[m].mask) && next < COUNT_OF(wanted) &&
				    strcmp(wanted[next], posix_path("%s %s", masks[m].name, e->name)) == 0)
					next++;
		}
	for (size_t i = 0; i < COUNT_OF(wanted); i++)
		IS(i < next, "the event %s, in its order", wanted[i]);
	posix_make("f", 0644, 1);
	OK(inotify_add_watch(watch, "f", IN_DELETE_SELF | IN_ATTRIB), "watch a file");
	NEED(unlink("f"));
	IS(read(watch, buf, sizeof(buf)) > 0, "its removal is told");
}

const struct posix_case posix_cases_dir[] = {{"many", many}, {"changes_while_reading", changes_while_reading}, {"positions_under_change", positions_under_change},
					     {"entries", entries}, {"raw", raw}, {"link_counts", link_counts}, {"starting_points", starting_points},
					     {"inotify", notifications}, {0}};
