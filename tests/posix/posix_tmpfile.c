/* SPDX-License-Identifier: Apache-2.0
 * Files without a name (O_TMPFILE): what they are, how they get one, and that they leave nothing. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/xattr.h>

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;
	NEED(dir ? 0 : -1);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static int by_proc(int fd, const char *name)
{
	return linkat(AT_FDCWD, posix_path("/proc/self/fd/%d", fd), AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static int by_empty_path(int fd, const char *name)
{
	return linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH);
}

static const struct {
	const char *name;
	int (*call)(int fd, const char *name);
} ways[] = {{"/proc", by_proc}, {"AT_EMPTY_PATH", by_empty_path}};

static void nameless(void)
{
	static const int accesses[] = {O_RDWR, O_WRONLY}, extra[] = {0, O_EXCL, O_APPEND, O_SYNC, O_CLOEXEC, O_NOFOLLOW};
	char buf[64];
	struct stat st;
	NEED(mkdir("d", 0755));
	for (size_t a = 0; a < COUNT_OF(accesses); a++)
		for (size_t x = 0; x < COUNT_OF(extra); x++) {
			int fd = open("d", O_TMPFILE | accesses[a] | extra[x], 0640);
			OK(fd, "O_TMPFILE access %d flags %x", accesses[a], extra[x]);
			OK(fstat(fd, &st), "fstat, access %d flags %x", accesses[a], extra[x]);
			EQ(st.st_mode, S_IFREG | 0640, "a file of the mode, access %d flags %x", accesses[a], extra[x]);
			EQ(st.st_nlink, 0, "no name, access %d flags %x", accesses[a], extra[x]);
			EQ(st.st_size, 0, "empty, access %d flags %x", accesses[a], extra[x]);
			EQ(entries("d"), 0, "nothing in the directory, access %d flags %x", accesses[a], extra[x]);
			EQ(write(fd, "hello", 5), 5, "write, access %d flags %x", accesses[a], extra[x]);
			NEED(fstat(fd, &st));
			EQ(st.st_size, 5, "size, access %d flags %x", accesses[a], extra[x]);
			if (accesses[a] == O_RDWR)
				EQ(pread(fd, buf, sizeof(buf), 0), 5, "read, flags %x", extra[x]);
			else
				ERR(pread(fd, buf, sizeof(buf), 0), EBADF, "read, flags %x", extra[x]);
			posix_open_close(fd);
			EQ(entries("d"), 0, "nothing after close, access %d flags %x", accesses[a], extra[x]);
		}
	OK(rmdir("d"), "the directory is as empty as it looks");
}

static void getting_a_name(void)
{
	char buf[64] = "";
	struct stat st;
	posix_make("there", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(mkdir("other", 0755));
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		const char *way = ways[w].name;
		int fd = (int)NEED(open("d", O_TMPFILE | O_RDWR, 0604));
		NEED(write(fd, "contents", 8));
		NEED(fchown(fd, 5, 6));
		NEED(fsetxattr(fd, "user.x", "1", 1, 0));
		ERR(ways[w].call(fd, "there"), EEXIST, "a name that is taken, by %s", way);
		ERR(ways[w].call(fd, "none/x"), ENOENT, "a directory that there is not, by %s", way);
		OK(ways[w].call(fd, "other/a"), "a name in another directory, by %s", way);
		NEED(fstat(fd, &st));
		EQ(st.st_nlink, 1, "one link, by %s", way);
		struct stat named = posix_stat("other/a");
		EQ(named.st_ino, st.st_ino, "it is the file, by %s", way);
		EQ(named.st_size, 8, "its size, by %s", way);
		EQ(named.st_mode, S_IFREG | 0604, "its mode, by %s", way);
		EQ(named.st_uid, 5, "its owner, by %s", way);
		EQ(getxattr("other/a", "user.x", buf, 9), 1, "its attributes, by %s", way);
		int reader = open("other/a", O_RDONLY);
		OK(reader, "open by its name, by %s", way);
		EQ(read(reader, buf, sizeof(buf)), 8, "read by its name, by %s", way);
		IS(memcmp(buf, "contents", 8) == 0, "its contents, by %s", way);
		EQ(pwrite(fd, "more", 4, 8), 4, "write by the descriptor, by %s", way);
		EQ(posix_stat("other/a").st_size, 12, "is seen by the name, by %s", way);
		OK(ways[w].call(fd, "d/second"), "a second name, by %s", way);
		NEED(fstat(fd, &st));
		EQ(st.st_nlink, 2, "two links, by %s", way);
		posix_open_close(reader);
		close(fd);
		EQ(posix_stat("other/a").st_nlink, 2, "it stays after close, by %s", way);
		NEED(unlink("other/a"));
		NEED(unlink("d/second"));
	}
	/* once it had a name and lost it, it gets none again */
	int fd = (int)NEED(open("d", O_TMPFILE | O_RDWR, 0600));
	NEED(by_proc(fd, "once"));
	NEED(unlink("once"));
	NEED(fstat(fd, &st));
	EQ(st.st_nlink, 0, "no name again");
	ERR(by_proc(fd, "again"), ENOENT, "and no other");
	close(fd);
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		fd = (int)NEED(open("d", O_TMPFILE | O_RDWR | O_EXCL, 0600));
		ERR(ways[w].call(fd, "never"), ENOENT, "with O_EXCL it gets none, by %s", ways[w].name);
		close(fd);
	}
	ERR(access("never", F_OK), ENOENT, "none was made");
}

static void inheritance(void)
{
	struct stat st;
	static const mode_t masks[] = {0, 022, 077, 0777};
	NEED(mkdir("d", 0777));
	NEED(chown("d", 5, FILE_GID));
	NEED(chmod("d", 0777));
	for (size_t i = 0; i < COUNT_OF(masks); i++) {
		umask(masks[i]);
		int fd = (int)NEED(open("d", O_TMPFILE | O_RDWR, 0766));
		NEED(fstat(fd, &st));
		EQ(st.st_mode & 07777, 0766 & ~masks[i], "mode under umask %o", masks[i]);
		close(fd);
	}
	umask(0);
	posix_become(&posix_other);
	int fd = (int)NEED(open("d", O_TMPFILE | O_RDWR, 0600));
	NEED(fstat(fd, &st));
	EQ(st.st_uid, OTHER_UID, "the maker's");
	EQ(st.st_gid, OTHER_GID, "and the maker's group's");
	OK(by_proc(fd, "d/mine"), "anybody links what is theirs");
	close(fd);
	posix_become(&posix_root);
	NEED(chmod("d", 02777));
	posix_become(&posix_other);
	fd = (int)NEED(open("d", O_TMPFILE | O_RDWR, 0600));
	NEED(fstat(fd, &st));
	EQ(st.st_gid, FILE_GID, "a setgid directory's group");
	close(fd);
	posix_become(&posix_root);
	NEED(chmod("d", 0555));
	posix_become(&posix_other);
	ERR(open("d", O_TMPFILE | O_RDWR, 0600), EACCES, "a directory that one may not write");
	posix_become(&posix_root);
	NEED(chmod("d", 0666));
	posix_become(&posix_other);
	ERR(open("d", O_TMPFILE | O_RDWR, 0600), EACCES, "a directory that one may not search");
}

static void errors(void)
{
	posix_make("f", 0644, 0);
	NEED(mkdir("d", 0755));
	NEED(symlink("d", "to_d"));
	NEED(symlink("f", "to_f"));
	ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL, "to read only");
	ERR(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT, "in nothing");
	ERR(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR, "in a file");
	ERR(open("to_f", O_TMPFILE | O_RDWR, 0600), ENOTDIR, "in a link to a file");
	ERR(open("to_d", O_TMPFILE | O_RDWR | O_NOFOLLOW, 0600), ENOTDIR, "in a link that is not followed");
	int fd = open("to_d", O_TMPFILE | O_RDWR, 0600);
	OK(fd, "in a link to a directory");
	posix_open_close(fd);
	int dir = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
	fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0600);
	OK(fd, "below a descriptor");
	NEED(rmdir("d"));
	char c = 0;
	EQ(write(fd, "x", 1), 1, "write after its directory is gone");
	EQ(pread(fd, &c, 1, 0), 1, "read after its directory is gone");
	/* ext4 says EPERM */
	IS(openat(dir, ".", O_TMPFILE | O_RDWR, 0600) < 0 && (errno == ENOENT || errno == EPERM), "none in a directory that is gone");
	OK(by_proc(fd, "kept"), "it gets a name elsewhere all the same");
	EQ(posix_stat("kept").st_size, 1, "with what was written");
}

/* Everything that a file can do, without a name. */
static void use(void)
{
	static unsigned char buf[100000];
	struct stat st;
	int fd = (int)NEED(open(".", O_TMPFILE | O_RDWR, 0600));
	posix_fill(buf, sizeof(buf), 0);
	EQ(write(fd, buf, sizeof(buf)), sizeof(buf), "write of 100000 bytes");
	OK(fsync(fd), "fsync");
	OK(fdatasync(fd), "fdatasync");
	OK(ftruncate(fd, 70000), "ftruncate");
	OK(fchmod(fd, 0640), "fchmod");
	OK(fsetxattr(fd, "user.x", "1", 1, 0), "fsetxattr");
	EQ(fgetxattr(fd, "user.x", buf, 9), 1, "fgetxattr");
	const struct timespec times[2] = {{1, 2}, {3, 4}};
	OK(futimens(fd, times), "futimens");
	OK(fstat(fd, &st), "fstat");
	EQ(st.st_size, 70000, "its size");
	EQ(st.st_mtim.tv_sec, 3, "its mtime");
	EQ(st.st_mode & 07777, 0640, "its mode");
	unsigned char *p = mmap(NULL, 70000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	IS(p != MAP_FAILED, "mmap");
	if (p != MAP_FAILED) {
		EQ(p[69999], posix_byte(69999), "the mapping's last byte");
		p[100] = 'm';
		OK(msync(p, 70000, MS_SYNC), "msync");
		munmap(p, 70000);
		EQ(pread(fd, buf, 1, 100), 1, "read after a store");
		EQ(buf[0], 'm', "its byte");
	}
	int again = open(posix_path("/proc/self/fd/%d", fd), O_RDONLY);
	OK(again, "opened once more through /proc");
	close(fd);
	EQ(pread(again, buf, 10, 69990), 10, "it lives while one descriptor is open");
	int dirs[20], count = 0;
	for (int i = 0; i < 20; i++)
		count += (dirs[i] = open(".", O_TMPFILE | O_RDWR, 0600)) >= 0 && pwrite(dirs[i], &i, sizeof(i), 0) == sizeof(i);
	EQ(count, 20, "twenty of them");
	int right = 0;
	for (int i = 0; i < 20; i++) {
		int value = -1;
		right += pread(dirs[i], &value, sizeof(value), 0) == sizeof(value) && value == i;
	}
	EQ(right, 20, "are twenty files");
}

const struct posix_case posix_cases_tmpfile[] = {{"nameless", nameless}, {"getting_a_name", getting_a_name}, {"inheritance", inheritance},
						 {"errors", errors}, {"use", use}, {0}};
