/* SPDX-License-Identifier: Apache-2.0
 * One directory by two mounts (--second; by default both are one): what one does, the other sees with its next call. Names, attributes,
 * contents, appends, removal, renames, extended attributes, locks, mappings, listings. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Every step is done by one side and looked at from the other, then the sides change. */
static const char *side(int which, const char *name)
{
	return which ? posix_second(name) : posix_path("%s", name);
}

static const char *const sides[] = {"here", "there"};

static struct stat other_stat(int which, const char *name)
{
	return posix_stat(side(!which, name));
}

static void names(void)
{
	struct stat st;
	for (int s = 0; s < 2; s++) {
		const char *n = sides[s];
		ERR(lstat(side(!s, "f"), &st), ENOENT, "nothing yet, %s", n);
		posix_make(side(s, "f"), 0640, 10);
		OK(lstat(side(!s, "f"), &st), "a new file is there, made %s", n);
		EQ(st.st_mode, S_IFREG | 0640, "with its mode, made %s", n);
		EQ(st.st_size, 10, "with its size, made %s", n);
		EQ(st.st_ino, posix_stat(side(s, "f")).st_ino, "with its number, made %s", n);
		ERR(open(side(!s, "f"), O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST, "the name is taken, made %s", n);
		ERR(mkdir(side(!s, "f"), 0755), EEXIST, "for a directory, too, made %s", n);
		OK(mkdir(side(s, "d"), 0755), "mkdir %s", n);
		OK(mknod(side(!s, "d/in"), S_IFREG | 0644, 0), "a file in it by the other side, %s", n);
		ERR(rmdir(side(s, "d")), ENOTEMPTY, "rmdir %s of what the other side filled", n);
		OK(rename(side(s, "f"), side(s, "d/g")), "rename %s", n);
		ERR(lstat(side(!s, "f"), &st), ENOENT, "the old name is gone, %s", n);
		EQ(other_stat(s, "d/g").st_size, 10, "the new is there, %s", n);
		OK(link(side(s, "d/g"), side(s, "h")), "link %s", n);
		EQ(other_stat(s, "d/g").st_nlink, 2, "two links, %s", n);
		OK(symlink("h", side(s, "l")), "symlink %s", n);
		OK(stat(side(!s, "l"), &st), "is followed by the other side, %s", n);
		EQ(st.st_size, 10, "to its target, %s", n);
		OK(unlink(side(!s, "l")), "and unlinked by it, %s", n);
		ERR(lstat(side(s, "l"), &st), ENOENT, "it is gone, %s", n);
		OK(unlink(side(s, "h")), "unlink %s", n);
		EQ(other_stat(s, "d/g").st_nlink, 1, "one link, %s", n);
		OK(unlink(side(!s, "d/g")), "unlink by the other side, %s", n);
		OK(unlink(side(s, "d/in")), "and the other way, %s", n);
		OK(rmdir(side(!s, "d")), "rmdir by the other side, %s", n);
		ERR(lstat(side(s, "d"), &st), ENOENT, "the directory is gone, %s", n);
		OK(mkfifo(side(s, "p"), 0600), "mkfifo %s", n);
		IS(S_ISFIFO(other_stat(s, "p").st_mode), "is one by the other side, %s", n);
		OK(renameat2(AT_FDCWD, side(!s, "p"), AT_FDCWD, side(!s, "q"), RENAME_NOREPLACE), "noreplace by the other side, %s", n);
		OK(unlink(side(s, "q")), "unlink of that, %s", n);
	}
	/* the same name over and over: nobody keeps an old one, or that there was none */
	for (int i = 0; i < 20; i++) {
		int s = i & 1;
		OK(mkdir(side(s, "again"), 0700 | (mode_t)i), "make it, round %d", i);
		EQ(other_stat(s, "again").st_mode & 077, i, "see it, round %d", i);
		OK(rmdir(side(!s, "again")), "remove it, round %d", i);
		EQ(posix_stat(side(s, "again")).st_mode, 0, "see it gone, round %d", i);
	}
}

static void attributes(void)
{
	const struct timespec times[2] = {{11, 12}, {13, 14}};
	posix_make("f", 0644, 100);
	for (int s = 0; s < 2; s++) {
		const char *n = sides[s];
		NEED(lstat(side(!s, "f"), &(struct stat){0})); /* so that there is something to be old */
		OK(chmod(side(s, "f"), 0600 | (mode_t)s), "chmod %s", n);
		EQ(other_stat(s, "f").st_mode & 07777, 0600 | s, "the mode, changed %s", n);
		OK(chown(side(s, "f"), 5 + (uid_t)s, 6), "chown %s", n);
		EQ(other_stat(s, "f").st_uid, 5 + s, "the owner, changed %s", n);
		OK(utimensat(AT_FDCWD, side(s, "f"), times, 0), "utimensat %s", n);
		EQ(other_stat(s, "f").st_mtim.tv_nsec, 14, "the mtime, changed %s", n);
		EQ(other_stat(s, "f").st_atim.tv_sec, 11, "the atime, changed %s", n);
		OK(truncate(side(s, "f"), 50 + s), "truncate %s", n);
		EQ(other_stat(s, "f").st_size, 50 + s, "the size, changed %s", n);
		IS(other_stat(s, "f").st_mtim.tv_sec > 1000000000, "truncation made mtime new, %s", n);
		struct stat before = other_stat(s, "f");
		posix_pause();
		NEED(chmod(side(s, "f"), 0644));
		struct stat after = other_stat(s, "f");
		IS(after.st_ctim.tv_nsec != before.st_ctim.tv_nsec || after.st_ctim.tv_sec != before.st_ctim.tv_sec, "ctime moves, changed %s", n);
		IS(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec, "mtime does not, changed %s", n);
		OK(setxattr(side(s, "f"), "user.x", n, strlen(n), 0), "setxattr %s", n);
		char buf[16];
		EQ(getxattr(side(!s, "f"), "user.x", buf, sizeof(buf)), strlen(n), "getxattr of what was set %s", n);
		IS(memcmp(buf, n, strlen(n)) == 0, "its value, set %s", n);
		OK(removexattr(side(!s, "f"), "user.x"), "removexattr of what was set %s", n);
		ERR(getxattr(side(s, "f"), "user.x", buf, sizeof(buf)), ENODATA, "it is gone, set %s", n);
	}
	/* rights are the newest ones everywhere */
	NEED(chmod("f", 0644));
	posix_become(&posix_other);
	OK(open(posix_second("f"), O_RDONLY), "open there, while one may");
	posix_become(&posix_root);
	NEED(chmod("f", 0600));
	posix_become(&posix_other);
	ERR(open(posix_second("f"), O_RDONLY), EACCES, "not any more");
	posix_become(&posix_root);
	NEED(mkdir("d", 0755));
	NEED(mknod("d/f", S_IFREG | 0644, 0));
	posix_become(&posix_other);
	OK(access(posix_second("d/f"), F_OK), "search there, while one may");
	posix_become(&posix_root);
	NEED(chmod("d", 0700));
	posix_become(&posix_other);
	ERR(faccessat(AT_FDCWD, posix_second("d/f"), F_OK, AT_EACCESS), EACCES, "not any more in the directory");
}

static unsigned char buf[300000], back[300016];

static void contents(void)
{
	static const size_t sizes[] = {1, 4096, 65537, 300000};
	for (int s = 0; s < 2; s++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			const char *n = sides[s];
			size_t len = sizes[i];
			int w = (int)NEED(open(side(s, "f"), O_RDWR | O_CREAT, 0644)), r = (int)NEED(open(side(!s, "f"), O_RDONLY));
			int rw = (int)NEED(open(side(!s, "f"), O_RDWR));
			struct stat st;
			posix_fill(buf, len, i);
			EQ(pwrite(w, buf, len, 0), len, "%zu bytes written %s", len, n);
			NEED(fstat(r, &st));
			EQ(st.st_size, len, "the size of %zu written %s", len, n);
			EQ(pread(r, back, len, 0), len, "%zu bytes are read by the other side of %s", len, n);
			IS(memcmp(buf, back, len) == 0, "as they were, %zu written %s", len, n);
			buf[len / 2] ^= 0xff;
			EQ(pwrite(rw, buf + len / 2, 1, (off_t)(len / 2)), 1, "a byte by the other side, %zu written %s", len, n);
			EQ(pread(w, back, len, 0), len, "read by the writer, %zu written %s", len, n);
			IS(memcmp(buf, back, len) == 0, "has it, %zu written %s", len, n);
			EQ(pread(r, back, len, 0), len, "read by the reader again, %zu written %s", len, n);
			IS(memcmp(buf, back, len) == 0, "has it, too, %zu written %s", len, n);
			OK(ftruncate(w, (off_t)len - 1), "cut off a byte, %zu written %s", len, n);
			EQ(pread(r, back, len, 0), len - 1, "the reader has one less, %zu written %s", len, n);
			OK(ftruncate(rw, (off_t)len + 1), "longer by the other side, %zu written %s", len, n);
			EQ(pread(w, back, len + 1, 0), len + 1, "the writer has two more, %zu written %s", len, n);
			EQ(back[len], 0, "of zeros, %zu written %s", len, n);
			close(w), close(r), close(rw);
			NEED(unlink(side(s, "f")));
		}
}

static void appends(void)
{
	int a = (int)NEED(open("f", O_WRONLY | O_CREAT | O_APPEND, 0644)), b = (int)NEED(open(posix_second("f"), O_WRONLY | O_APPEND));
	for (int i = 0; i < 40; i++) {
		char text[8] = {(char)('a' + i % 26), 'x', 'y', 'z'};
		EQ(write(i & 1 ? b : a, text, sizeof(text)), sizeof(text), "append %d", i);
		EQ(posix_stat(i & 1 ? "f" : posix_second("f")).st_size, 8 * (i + 1), "the size by the other side after append %d", i);
	}
	char text[8];
	int r = (int)NEED(open("f", O_RDONLY)), right = 0;
	for (int i = 0; i < 40; i++)
		right += pread(r, text, 8, 8 * i) == 8 && text[0] == 'a' + i % 26;
	EQ(right, 40, "all in their order");
	/* at the same time: none is lost, none is torn */
	for (int k = 0; k < 2; k++) {
		pid_t pid = (pid_t)NEED(fork());
		if (pid == 0) {
			char line[16];
			memset(line, '0' + k, sizeof(line));
			for (int i = 0; i < 40; i++)
				if (write(k ? b : a, line, sizeof(line)) != sizeof(line))
					_exit(1);
			_exit(0);
		}
	}
	int status, bad = 0;
	for (int k = 0; k < 2; k++) {
		NEED(wait(&status));
		bad += status != 0;
	}
	EQ(bad, 0, "both sides append at once");
	EQ(posix_stat("f").st_size, 320 + 2 * 40 * 16, "the size of all");
	int count[2] = {0, 0};
	for (off_t at = 320; at < 320 + 2 * 40 * 16; at += 16) {
		char line[16];
		NEED(pread(r, line, sizeof(line), at));
		bool whole = true;
		for (size_t i = 1; i < sizeof(line); i++)
			whole = whole && line[i] == line[0];
		if (whole && (line[0] == '0' || line[0] == '1'))
			count[line[0] - '0']++;
	}
	EQ(count[0], 40, "each line of one side is whole");
	EQ(count[1], 40, "and each of the other");
}

static void removal(void)
{
	struct stat st;
	for (int s = 0; s < 2; s++)
		for (int how = 0; how < 2; how++) {
			const char *n = sides[s], *by = how ? "replaced" : "removed";
			posix_make(side(s, "f"), 0644, 1000);
			int r = (int)NEED(open(side(!s, "f"), O_RDONLY)), w = (int)NEED(open(side(!s, "f"), O_RDWR)), own = (int)NEED(open(side(s, "f"), O_RDWR));
			if (how) {
				posix_make(side(s, "new"), 0644, 5);
				OK(rename(side(s, "new"), side(s, "f")), "%s %s", by, n);
				EQ(other_stat(s, "f").st_size, 5, "the name is the new one's, %s %s", by, n);
			} else {
				OK(unlink(side(s, "f")), "%s %s", by, n);
				ERR(lstat(side(!s, "f"), &st), ENOENT, "the name is gone, %s %s", by, n);
			}
			OK(fstat(r, &st), "fstat by the other side, %s %s", by, n);
			EQ(st.st_nlink, 0, "no links, %s %s", by, n);
			EQ(st.st_size, 1000, "the size, %s %s", by, n);
			EQ(pread(r, back, 10, 500), 10, "read by the other side, %s %s", by, n);
			EQ(back[5], posix_byte(505), "its bytes, %s %s", by, n);
			EQ(pwrite(w, "late", 4, 998), 4, "write by the other side, %s %s", by, n);
			OK(fstat(own, &st), "fstat by this side, %s %s", by, n);
			EQ(st.st_size, 1002, "sees it, %s %s", by, n);
			EQ(pread(own, back, 4, 998), 4, "read by this side, %s %s", by, n);
			IS(memcmp(back, "late", 4) == 0, "has it, %s %s", by, n);
			OK(fsync(w), "fsync by the other side, %s %s", by, n);
			close(own), close(w);
			EQ(pread(r, back, 4, 998), 4, "the last descriptor reads on, %s %s", by, n);
			close(r);
			(void)unlink(side(s, "f"));
		}
	NEED(mkdir("d", 0755));
	int dir = (int)NEED(open(posix_second("d"), O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"), "rmdir here of what is open there");
	OK(fstat(dir, &st), "fstat of it there");
	EQ(st.st_nlink, 0, "its links");
	ERR(mkdirat(dir, "x", 0755), ENOENT, "nothing is made in it");
}

static void renames(void)
{
	struct stat st;
	NEED(mkdir("a", 0755));
	NEED(mkdir("b", 0755));
	posix_make("a/f", 0644, 7);
	int there = (int)NEED(open(posix_second("a/f"), O_RDONLY)), dir = (int)NEED(open(posix_second("a"), O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 10; i++) {
		int s = i & 1;
		OK(rename(side(s, s ? "b/f" : "a/f"), side(s, s ? "a/f" : "b/f")), "there and back, round %d", i);
		EQ(other_stat(s, s ? "a/f" : "b/f").st_size, 7, "the new name, round %d", i);
		ERR(lstat(side(!s, s ? "b/f" : "a/f"), &st), ENOENT, "the old name, round %d", i);
	}
	EQ(read(there, back, 10), 7, "who has it open reads it all the same");
	OK(rename("a", "b/a"), "a directory moves here");
	/* Linux keeps the tree of an open directory as it last walked it */
	OK(stat(posix_second("b/a"), &st), "it is at its new place there");
	OK(fstatat(dir, "..", &st, 0), "dot-dot of it there");
	EQ(st.st_ino, posix_stat("b").st_ino, "is the new parent");
	OK(mkdirat(dir, "in", 0755), "mkdir in it there");
	IS(S_ISDIR(posix_stat("b/a/in").st_mode), "is at the new place here");
	posix_make("x", 0644, 1);
	posix_make("y", 0644, 2);
	NEED(lstat(posix_second("x"), &st));
	NEED(lstat(posix_second("y"), &st));
	OK(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE), "exchange here");
	EQ(posix_stat(posix_second("x")).st_size, 2, "the one there");
	EQ(posix_stat(posix_second("y")).st_size, 1, "and the other");
	ERR(rename(posix_second("b"), posix_second("b/a/in/b")), EINVAL, "no directory into itself, whoever moved what");
}

static int lock(int fd, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	return fcntl(fd, F_OFD_SETLK, &l);
}

static int lock_there(const void *arg)
{
	int fd = open(posix_second("f"), O_RDWR);
	struct flock l = *(const struct flock *)arg;
	return fcntl(fd, F_SETLK, &l) == 0 ? 0 : errno;
}

static void locks(void)
{
	posix_make("f", 0644, 100);
	int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open(posix_second("f"), O_RDWR));
	static const int hows[] = {LOCK_SH, LOCK_EX};
	for (size_t i = 0; i < COUNT_OF(hows); i++)
		for (size_t k = 0; k < COUNT_OF(hows); k++) {
			OK(flock(a, hows[i]), "flock %zu here before %zu", i, k);
			if (i == 0 && k == 0)
				OK(flock(b, hows[k] | LOCK_NB), "flock %zu there beside %zu", k, i);
			else
				ERR(flock(b, hows[k] | LOCK_NB), EWOULDBLOCK, "flock %zu there beside %zu", k, i);
			OK(flock(a, LOCK_UN), "unlock here of %zu before %zu", i, k);
			OK(flock(b, hows[k] | LOCK_NB), "flock %zu there after %zu", k, i);
			OK(flock(b, LOCK_UN), "unlock there of %zu after %zu", k, i);
		}
	static const short types[] = {F_RDLCK, F_WRLCK};
	for (size_t i = 0; i < COUNT_OF(types); i++)
		for (size_t k = 0; k < COUNT_OF(types); k++) {
			bool fits = types[i] == F_RDLCK && types[k] == F_RDLCK;
			struct flock l = {.l_type = types[k], .l_whence = SEEK_SET, .l_start = 15, .l_len = 10};
			OK(lock(a, types[i], 10, 10), "lock %zu here before %zu", i, k);
			EQ(lock(b, types[k], 15, 10) == 0, fits, "lock %zu of an open file there beside %zu", k, i);
			EQ(posix_child(lock_there, &l), fits ? 0 : EAGAIN, "lock %zu of a process there beside %zu", k, i);
			OK(lock(b, types[k], 30, 10), "lock %zu there of another range than %zu", k, i);
			OK(fcntl(b, F_OFD_GETLK, &l), "F_OFD_GETLK there of %zu for %zu", i, k);
			EQ(l.l_type, fits ? F_UNLCK : types[i], "what is in the way of %zu: %zu", k, i);
			if (!fits)
				EQ(l.l_start == 10 && l.l_len == 10, 1, "and where, %zu and %zu", k, i);
			OK(lock(a, F_UNLCK, 0, 0), "unlock here of %zu, after %zu", i, k);
			OK(lock(b, types[k], 15, 10), "lock %zu there after %zu is gone", k, i);
			OK(lock(b, F_UNLCK, 0, 0), "unlock there of %zu, after %zu", k, i);
		}
	OK(flock(a, LOCK_EX), "exclusive here");
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		int fd = open(posix_second("f"), O_RDWR);
		_exit(flock(fd, LOCK_EX) == 0 && pwrite(fd, "child", 5, 0) == 5 ? 0 : 1);
	}
	posix_pause();
	NEED(pwrite(a, "first", 5, 0));
	NEED(flock(a, LOCK_UN));
	int status = -1;
	NEED(waitpid(pid, &status, 0));
	EQ(status, 0, "who waits there has it when it is free here");
	NEED(pread(a, back, 5, 0));
	IS(memcmp(back, "child", 5) == 0, "and writes after what was written here");
	OK(flock(a, LOCK_EX), "the end of a process there unlocks");
}

static void mappings(void)
{
	posix_make("f", 0644, 10000);
	int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open(posix_second("f"), O_RDWR)), r = (int)NEED(open(posix_second("f"), O_RDONLY));
	unsigned char *p = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0), *q = mmap(NULL, 10000, PROT_READ, MAP_SHARED, r, 0);
	NEED(p == MAP_FAILED || q == MAP_FAILED ? -1 : 0);
	for (int i = 0; i < 10; i++) {
		size_t at = (size_t)(i * 999);
		p[at] = (unsigned char)(100 + i);
		OK(msync(p, 10000, MS_SYNC), "store here and msync, round %d", i);
		EQ(pread(b, back, 1, (off_t)at), 1, "read there, round %d", i);
		EQ(back[0], 100 + i, "sees it, round %d", i);
		EQ(q[at], 100 + i, "and so does the mapping there, round %d", i);
		back[0] = (unsigned char)(200 + i);
		EQ(pwrite(b, back, 1, (off_t)at), 1, "write there, round %d", i);
		EQ(p[at], 200 + i, "the mapping here sees it, round %d", i);
		EQ(q[at], 200 + i, "and the one there, round %d", i);
	}
	EQ(p[1], posix_byte(1), "the rest is as it was");
}

static int listed(const char *dir)
{
	DIR *d = opendir(dir);
	int count = 0;
	NEED(d ? 0 : -1);
	while (readdir(d))
		count++;
	closedir(d);
	return count - 2;
}

static void listings(void)
{
	NEED(mkdir("d", 0755));
	EQ(listed(posix_second("d")), 0, "an empty directory there");
	for (int i = 0; i < 20; i++) {
		int s = i & 1;
		NEED(mknod(side(s, posix_path("d/n%d", i)), S_IFREG | 0644, 0));
		EQ(listed(side(!s, "d")), i + 1, "%d names by the other side", i + 1);
	}
	for (int i = 0; i < 20; i++) {
		int s = i & 1;
		NEED(unlink(side(s, posix_path("d/n%d", i))));
		EQ(listed(side(!s, "d")), 19 - i, "%d names left by the other side", 19 - i);
	}
	DIR *dir = opendir(posix_second("d"));
	NEED(dir ? 0 : -1);
	NEED(mknod("d/late", S_IFREG | 0644, 0));
	rewinddir(dir);
	int count = 0;
	while (readdir(dir))
		count++;
	EQ(count, 3, "rewinddir there sees what was made here meanwhile");
	closedir(dir);
	EQ(posix_stat("d").st_nlink, 2, "links here");
	NEED(mkdir(posix_second("d/sub"), 0755));
	EQ(posix_stat("d").st_nlink, 3, "links here after mkdir there");
}

const struct posix_case posix_cases_two[] = {{"names", names}, {"attributes", attributes}, {"contents", contents}, {"appends", appends},
					     {"removal", removal}, {"renames", renames}, {"locks", locks}, {"mappings", mappings},
					     {"listings", listings}, {0}};
