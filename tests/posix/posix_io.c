/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing: every call, offsets, ends of files, holes, lengths, limits, shared offsets. Owns no state. */
#include "tests/posix/posix.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static unsigned char buf[1 << 20], back[1 << 20];

/* The file holds the pattern (or zeros) in [from, to). */
static bool has(int fd, size_t from, size_t to, bool pattern)
{
	for (size_t at = from; at < to;) {
		size_t n = to - at < sizeof(back) ? to - at : sizeof(back);
		ssize_t got = pread(fd, back, n, (off_t)at);
		if (got <= 0)
			return false;
		for (size_t i = 0; i < (size_t)got; i++)
			if (back[i] != (pattern ? posix_byte(at + i) : 0))
				return false;
		at += (size_t)got;
	}
	return true;
}

static bool holds(int fd, size_t from, size_t to)
{
	return has(fd, from, to, true);
}

static bool zeros(int fd, size_t from, size_t to)
{
	return has(fd, from, to, false);
}

static long long size_of(int fd)
{
	struct stat st;
	NEED(fstat(fd, &st));
	return st.st_size;
}

/* One write and one read of each length at each offset, around pages and stripes. */
static void lengths_and_offsets(void)
{
	static const size_t lengths[] = {1, 511, 512, 4095, 4096, 4097, 65535, 65536, 65537, 262144, 1048576};
	static const size_t offsets[] = {0, 1, 4095, 4096, 65535, 65536, 1048575, 10000000};
	for (size_t l = 0; l < COUNT_OF(lengths); l++) {
		const char *f = posix_path("f%zu", l);
		int fd = (int)NEED(open(f, O_RDWR | O_CREAT | O_EXCL, 0644));
		long long end = 0;
		for (size_t o = 0; o < COUNT_OF(offsets); o++) {
			size_t n = lengths[l], at = offsets[o];
			posix_fill(buf, n, at);
			EQ(pwrite(fd, buf, n, (off_t)at), n, "pwrite %zu bytes at %zu", n, at);
			end = (long long)(at + n) > end ? (long long)(at + n) : end;
			EQ(size_of(fd), end, "size after %zu bytes at %zu", n, at);
			IS(holds(fd, at, at + n), "the %zu bytes at %zu come back", n, at);
		}
		int reader = (int)NEED(open(f, O_RDONLY));
		IS(holds(reader, offsets[7], offsets[7] + lengths[l]), "a new reader has the last %zu bytes", lengths[l]);
		EQ(pread(reader, back, 100, end), 0, "read at the end of the file of %zu-byte writes", lengths[l]);
		EQ(pread(reader, back, 100, end - 1), 1, "read before the end of the file of %zu-byte writes", lengths[l]);
		EQ(pread(reader, back, 100, end + 5000), 0, "read behind the end of the file of %zu-byte writes", lengths[l]);
		close(reader), close(fd);
	}
}

static void sequential(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	posix_fill(buf, 100000, 0);
	for (int i = 0; i < 10; i++) {
		EQ(write(fd, buf + 10000 * i, 10000), 10000, "write %d moves on", i);
		EQ(lseek(fd, 0, SEEK_CUR), 10000 * (i + 1), "offset after write %d", i);
	}
	EQ(lseek(fd, 0, SEEK_SET), 0, "back to the start");
	for (int i = 0; i < 14; i++) {
		EQ(read(fd, back, 7500), i < 13 ? 7500 : 2500, "read %d", i);
		EQ(lseek(fd, 0, SEEK_CUR), i < 13 ? 7500 * (i + 1) : 100000, "offset after read %d", i);
	}
	EQ(read(fd, back, 10), 0, "the end");
	EQ(read(fd, back, 10), 0, "still the end");
	EQ(lseek(fd, 0, SEEK_CUR), 100000, "the offset stays at the end");
	EQ(pread(fd, back, 10, 50), 10, "pread");
	EQ(lseek(fd, 0, SEEK_CUR), 100000, "does not move the offset");
	EQ(pwrite(fd, buf, 10, 0), 10, "pwrite");
	EQ(lseek(fd, 0, SEEK_CUR), 100000, "does not move it either");
	EQ(write(fd, buf, 0), 0, "write of nothing");
	EQ(size_of(fd), 100000, "changes no size");
	EQ(read(fd, back, 0), 0, "read of nothing");
	IS(holds(fd, 0, 100000), "all bytes in place");
}

static void seeking(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	NEED(ftruncate(fd, 1000));
	static const struct {
		const char *what;
		off_t offset;
		int whence;
		long long want; /* negative: the errno */
	} rows[] = {
		{"set 0", 0, SEEK_SET, 0}, {"set 5", 5, SEEK_SET, 5}, {"set to the end", 1000, SEEK_SET, 1000}, {"set behind the end", 5000, SEEK_SET, 5000},
		{"set to 3 TiB", 3LL << 40, SEEK_SET, 3LL << 40}, {"set before the start", -1, SEEK_SET, -EINVAL}, {"cur 0", 0, SEEK_CUR, 3LL << 40},
		{"end 0", 0, SEEK_END, 1000}, {"end -1000", -1000, SEEK_END, 0}, {"end -1001", -1001, SEEK_END, -EINVAL}, {"end 100", 100, SEEK_END, 1100},
		{"cur -100", -100, SEEK_CUR, 1000}, {"cur -1001", -1001, SEEK_CUR, -EINVAL}, {"cur 0 after a failure", 0, SEEK_CUR, 1000},
		{"cur 7", 7, SEEK_CUR, 1007}, {"a whence that there is not", 0, 77, -EINVAL}, {"set 10", 10, SEEK_SET, 10}, {"cur -10", -10, SEEK_CUR, 0},
		{"cur far before the start", -(1LL << 40), SEEK_CUR, -EINVAL},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].want < 0)
			ERR(lseek(fd, rows[i].offset, rows[i].whence), (int)-rows[i].want, "lseek %s", rows[i].what);
		else
			EQ(lseek(fd, rows[i].offset, rows[i].whence), rows[i].want, "lseek %s", rows[i].what);
	EQ(size_of(fd), 1000, "seeking changes no size");
	EQ(lseek(fd, 3000, SEEK_SET), 3000, "seek over the end");
	EQ(read(fd, back, 10), 0, "read there");
	EQ(write(fd, "x", 1), 1, "write there");
	EQ(size_of(fd), 3001, "makes a hole");
	IS(zeros(fd, 0, 3000), "of zeros");
	int dir = (int)NEED(open(".", O_RDONLY | O_DIRECTORY));
	EQ(lseek(dir, 0, SEEK_SET), 0, "rewind of a directory");
	ERR(lseek(dir, -5, SEEK_SET), EINVAL, "a directory has no offset before the start");
}

static void vectors(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	static struct iovec v[1025];
	posix_fill(buf, 100000, 0);
	static const size_t cuts[] = {1, 0, 4095, 5, 60000, 0, 35899};
	size_t at = 0;
	for (size_t i = 0; i < COUNT_OF(cuts); at += cuts[i++])
		v[i] = (struct iovec){buf + at, cuts[i]};
	EQ(writev(fd, v, COUNT_OF(cuts)), 100000, "writev of 7 pieces, two of them empty");
	IS(holds(fd, 0, 100000), "its bytes");
	EQ(lseek(fd, 0, SEEK_CUR), 100000, "its offset");
	EQ(lseek(fd, 10, SEEK_SET), 10, "back");
	memset(back, 0, sizeof(back));
	struct iovec r[3] = {{back, 7}, {back + 100, 5000}, {back + 50000, 20}};
	EQ(readv(fd, r, 3), 5027, "readv of 3 pieces");
	IS(back[6] == posix_byte(16) && back[100] == posix_byte(17) && back[50019] == posix_byte(5036), "each piece where it belongs");
	EQ(preadv(fd, r, 3, 99000), 1000, "preadv that meets the end");
	IS(back[100] == posix_byte(99007), "its second piece");
	EQ(pwritev(fd, v, 3, 200000), 4096, "pwritev behind the end");
	EQ(size_of(fd), 204096, "makes it longer");
	EQ(writev(fd, v, 0), 0, "writev of no pieces");
	for (size_t i = 0; i < 1025; i++)
		v[i] = (struct iovec){buf + i, 1};
	ERR(syscall(SYS_writev, fd, v, -1L), EINVAL, "writev of -1 pieces");
	ERR(syscall(SYS_readv, fd, v, 1025L), EINVAL, "readv of more than IOV_MAX pieces");
	EQ(pwritev(fd, v, 1024, 0), 1024, "pwritev of IOV_MAX pieces");
	IS(holds(fd, 0, 1024), "their bytes");
	ERR(pwritev(fd, v, 1, -1), EINVAL, "pwritev before the start");
	ERR(preadv(fd, v, 1, -1), EINVAL, "preadv before the start");
	v[0] = (struct iovec){buf, SIZE_MAX};
	ERR(writev(fd, v, 2), EINVAL, "lengths that overflow");
	struct iovec one = {buf, 100};
	EQ(pwritev2(fd, &one, 1, 0, RWF_DSYNC), 100, "pwritev2 with RWF_DSYNC");
	EQ(pwritev2(fd, &one, 1, 0, RWF_SYNC), 100, "pwritev2 with RWF_SYNC");
	EQ(pwritev2(fd, &one, 1, -1, 0), 100, "pwritev2 at the offset");
	ERR(pwritev2(fd, &one, 1, 0, 1 << 30), EOPNOTSUPP, "pwritev2 with a flag that there is not");
	EQ(preadv2(fd, r, 1, 0, 0), 7, "preadv2");
	long long size = size_of(fd);
	EQ(pwritev2(fd, &one, 1, 0, RWF_APPEND), 100, "pwritev2 with RWF_APPEND");
	EQ(size_of(fd), size + 100, "goes to the end");
}

static void bad_arguments(void)
{
	posix_make("f", 0644, 10);
	int fd = (int)NEED(open("f", O_RDWR)), dir = (int)NEED(open(".", O_RDONLY | O_DIRECTORY));
	void *bad = posix_bad;
	ERR(write(fd, bad, 100), EFAULT, "write from memory that there is not");
	ERR(read(fd, bad, 100), EFAULT, "read into memory that there is not");
	ERR(pwrite(fd, bad, 100, 5), EFAULT, "pwrite from memory that there is not");
	ERR(pread(fd, bad, 5, 5), EFAULT, "pread into memory that there is not");
	EQ(size_of(fd), 10, "none of it made the file longer");
	EQ(lseek(fd, 0, SEEK_CUR), 0, "nor moved the offset");
	ERR(pread(fd, back, 1, -1), EINVAL, "pread before the start");
	ERR(pwrite(fd, back, 1, -1), EINVAL, "pwrite before the start");
	ERR(read(dir, back, 10), EISDIR, "read of a directory");
	ERR(pread(dir, back, 10, 0), EISDIR, "pread of a directory");
	ERR(write(dir, "x", 1), EBADF, "write to a directory");
	ERR(ftruncate(dir, 0), EINVAL, "ftruncate of a directory");
	ERR(truncate(".", 0), EISDIR, "truncate of a directory");
	ERR(truncate("f", -1), EINVAL, "truncate to less than nothing");
	ERR(ftruncate(fd, -1), EINVAL, "ftruncate to less than nothing");
	ERR(truncate("none", 5), ENOENT, "truncate of nothing");
	int closed = dup(fd);
	close(closed);
	ERR(read(closed, back, 1), EBADF, "read of a closed descriptor");
	ERR(write(closed, back, 1), EBADF, "write to a closed descriptor");
	ERR(lseek(closed, 0, SEEK_SET), EBADF, "lseek of a closed descriptor");
	ERR(fsync(closed), EBADF, "fsync of a closed descriptor");
	ERR(ftruncate(closed, 0), EBADF, "ftruncate of a closed descriptor");
	ERR(close(closed), EBADF, "close of a closed descriptor");
	OK(fsync(dir), "fsync of a directory");
	OK(fdatasync(dir), "fdatasync of a directory");
	/* the good half is written, or nothing: never more */
	struct iovec v[2] = {{buf, 5}, {bad, 5}};
	ssize_t got = pwritev(fd, v, 2, 0);
	IS(got == 5 || (got < 0 && errno == EFAULT), "writev that is half bad");
	EQ(size_of(fd), 10, "size after a half bad writev");
}

static void truncating(void)
{
	static const size_t steps[] = {100, 0, 1, 4096, 4095, 65536, 65537, 65535, 10, 1000000, 999999, 200000, 200001, 0, 3000000, 3};
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644)), reader = (int)NEED(open("f", O_RDONLY));
	size_t real = 0; /* bytes of the pattern at the start; zeros follow */
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		size_t to = steps[i];
		OK(i & 1 ? truncate("f", (off_t)to) : ftruncate(fd, (off_t)to), "step %zu: truncate to %zu", i, to);
		EQ(size_of(fd), to, "step %zu: size", i);
		EQ(size_of(reader), to, "step %zu: size by a reader", i);
		real = real < to ? real : to;
		IS(holds(fd, 0, real), "step %zu: what is left is as it was", i);
		IS(zeros(fd, real, to), "step %zu: what is new is zeros", i);
		IS(zeros(reader, real, to), "step %zu: a reader has the zeros, too", i);
		EQ(pread(reader, back, 10, (off_t)to), 0, "step %zu: nothing behind it", i);
		real = to < 70000 ? to : 70000;
		posix_fill(buf, real, 0);
		NEED(pwrite(fd, buf, real, 0));
	}
	EQ(lseek(fd, 0, SEEK_CUR), 0, "truncation moves no offset");
	posix_fill(buf, 70000, 0);
	EQ(pwrite(fd, buf, 70000, 0), 70000, "write again");
	OK(ftruncate(fd, 100), "cut it");
	EQ(pwrite(fd, "x", 1, 69999), 1, "a byte far behind");
	IS(zeros(fd, 100, 69999), "what was cut off does not come back");
	int none = (int)NEED(open("f", O_RDONLY));
	ERR(ftruncate(none, 0), EINVAL, "ftruncate of what is open to read");
	OK(ftruncate(fd, 1LL << 30), "a gigabyte of nothing");
	EQ(size_of(fd), 1LL << 30, "its size");
	IS(zeros(fd, (1ULL << 30) - 5000, 1ULL << 30), "its last bytes");
	EQ(pwrite(fd, "x", 1, (1LL << 30) + 5), 1, "a byte behind it");
	OK(ftruncate(fd, 0), "and all of it gone");
	EQ(size_of(fd), 0, "empty");
}

static int read_and_write(const void *arg)
{
	int fd = *(const int *)arg;
	return read(fd, back, 40) == 40 && write(fd, "child", 5) == 5 ? 0 : 1;
}

static void sharing_offsets(void)
{
	posix_make("f", 0644, 1000);
	int fd = (int)NEED(open("f", O_RDWR)), same = (int)NEED(dup(fd)), other = (int)NEED(open("f", O_RDWR));
	EQ(read(fd, back, 100), 100, "read by one");
	EQ(lseek(same, 0, SEEK_CUR), 100, "dup shares the offset");
	EQ(lseek(other, 0, SEEK_CUR), 0, "another open does not");
	EQ(read(same, back, 1), 1, "read by the dup");
	EQ(back[0], posix_byte(100), "goes on where the first stopped");
	OK(fcntl(fd, F_SETFL, O_APPEND), "set O_APPEND by one");
	EQ(fcntl(same, F_GETFL) & O_APPEND, O_APPEND, "dup shares the flags");
	EQ(fcntl(other, F_GETFL) & O_APPEND, 0, "another open does not share them");
	EQ(write(same, "zz", 2), 2, "write by the dup");
	EQ(size_of(other), 1002, "appends");
	OK(fcntl(fd, F_SETFL, 0), "O_APPEND off again");
	EQ(pwrite(same, "zz", 2, 0), 2, "pwrite by the dup");
	EQ(size_of(other), 1002, "appends no more");
	close(fd);
	EQ(read(same, back, 1), 0, "the dup outlives the first: at the end now");
	EQ(lseek(same, 10, SEEK_SET), 10, "it seeks");
	EQ(posix_child(read_and_write, &same), 0, "a child reads and writes");
	EQ(lseek(same, 0, SEEK_CUR), 55, "a child moves the parent's offset");
	EQ(pread(other, back, 5, 50), 5, "what the child wrote");
	IS(memcmp(back, "child", 5) == 0, "its bytes");
}

static void two_descriptors(void)
{
	int w = (int)NEED(open("f", O_RDWR | O_CREAT, 0644)), r = (int)NEED(open("f", O_RDONLY)), rw = (int)NEED(open("f", O_RDWR));
	for (int i = 0; i < 50; i++) {
		char text[8] = {(char)('a' + i % 26), 'b', 'c', 'd', 'e', 'f', 'g', (char)i};
		off_t at = i * 4090;
		NEED(pwrite(i & 1 ? rw : w, text, sizeof(text), at) == 8 ? 0 : -1);
		char got[8] = "";
		EQ(pread(r, got, sizeof(got), at), 8, "a reader sees write %d at once", i);
		IS(memcmp(got, text, sizeof(got)) == 0, "its bytes, write %d", i);
		EQ(size_of(r), at + 8, "and the size, write %d", i);
	}
}

static int write_over_limit(const void *arg)
{
	signal(SIGXFSZ, SIG_DFL);
	if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, RLIM_INFINITY}) != 0)
		return 1;
	return (int)pwrite(*(const int *)arg, buf, 1, 20000);
}

/* With the limit around the call only: results are written to a file, too. */
static struct rlimit no_limit;
static long long limited(long long (*call)(int fd, long long arg), int fd, long long arg)
{
	NEED(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, no_limit.rlim_max}));
	long long rc = call(fd, arg);
	int error = errno;
	NEED(setrlimit(RLIMIT_FSIZE, &no_limit));
	errno = error;
	return rc;
}

static long long write_5000(int fd, long long at)
{
	return pwrite(fd, buf, 5000, at);
}

static long long write_1(int fd, long long at)
{
	return pwrite(fd, buf, 1, at);
}

static long long append_100(int fd, long long unused)
{
	(void)unused;
	return write(fd, buf, 100);
}

static long long cut(int fd, long long to)
{
	return ftruncate(fd, to);
}

static long long cut_by_name(int fd, long long to)
{
	(void)fd;
	return truncate("f", to);
}

static void file_size_limit(void)
{
	NEED(getrlimit(RLIMIT_FSIZE, &no_limit));
	signal(SIGXFSZ, SIG_IGN);
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644)), append = (int)NEED(open("f", O_WRONLY | O_APPEND));
	EQ(limited(write_5000, fd, 5000), 5000, "up to the limit");
	ERR(limited(write_1, fd, 10000), EFBIG, "one byte behind the limit");
	ERR(limited(write_1, fd, 20000), EFBIG, "one byte far behind the limit");
	EQ(limited(write_5000, fd, 8000), 2000, "a write over the limit is cut");
	EQ(size_of(fd), 10000, "the size is the limit");
	ERR(limited(cut, fd, 10001), EFBIG, "ftruncate over the limit");
	OK(limited(cut, fd, 10000), "ftruncate to the limit");
	ERR(limited(cut_by_name, fd, 20000), EFBIG, "truncate over the limit");
	ERR(limited(append_100, append, 0), EFBIG, "an append at the limit");
	OK(limited(cut, fd, 9990), "a little room");
	EQ(limited(append_100, append, 0), 10, "an append over the limit is cut");
	EQ(size_of(fd), 10000, "at the limit again");
	EQ(pwrite(fd, buf, 1, 10000), 1, "the limit is gone");
	EQ(posix_child(write_over_limit, &fd), -SIGXFSZ, "the signal of a write behind the limit");
}

/* How long a file may become is the file system's; how it says so is not. */
static void offset_limit(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	ERR(pwrite(fd, "x", 1, INT64_MAX), EINVAL, "a write that ends where no offset goes");
	ERR(pread(fd, back, 1, INT64_MAX), EINVAL, "a read that ends where no offset goes");
	EQ(pread(fd, back, 1, INT64_MAX - 1), 0, "a read before that meets the end");
	EQ(size_of(fd), 0, "nothing was written");
	for (int bits = 43; bits < 63; bits += 2) {
		off_t to = (off_t)1 << bits;
		int rc = ftruncate(fd, to);
		IS(rc == 0 ? size_of(fd) == to && zeros(fd, (size_t)to - 100, (size_t)to) : errno == EFBIG, "a length of 2^%d, or EFBIG", bits);
		off_t size = size_of(fd);
		ssize_t got = pwrite(fd, "x", 1, to);
		IS(got == 1 ? size_of(fd) == to + 1 && pread(fd, back, 2, to) == 1 && back[0] == 'x' : errno == EFBIG && size_of(fd) == size,
		   "a byte at 2^%d, or EFBIG", bits);
	}
}

static void moving_bytes(void)
{
	posix_make("a", 0644, 300000);
	int in = (int)NEED(open("a", O_RDONLY)), out = (int)NEED(open("b", O_RDWR | O_CREAT, 0644)), pipes[2];
	off_t from = 1000;
	EQ(sendfile(out, in, &from, 200000), 200000, "sendfile from file to file");
	EQ(from, 201000, "moves the given offset");
	EQ(lseek(in, 0, SEEK_CUR), 0, "and not the descriptor's");
	EQ(pread(out, back, 1, 100), 1, "read of the copy");
	EQ(back[0], posix_byte(1100), "its byte");
	EQ(sendfile(out, in, NULL, 500000), 300000, "sendfile to the end");
	EQ(size_of(out), 500000, "size of the copies");
	EQ(sendfile(out, in, NULL, 10), 0, "sendfile at the end");
	NEED(pipe(pipes));
	loff_t at = 5;
	EQ(splice(in, &at, pipes[1], NULL, 4000, 0), 4000, "splice into a pipe");
	EQ(at, 4005, "moves the given offset by splice");
	int third = (int)NEED(open("c", O_RDWR | O_CREAT, 0644));
	loff_t to = 70000;
	EQ(splice(pipes[0], NULL, third, &to, 4000, 0), 4000, "splice out of a pipe");
	EQ(size_of(third), 74000, "size of what was spliced");
	EQ(pread(third, back, 4000, 70000), 4000, "read of what was spliced");
	EQ(back[3999], posix_byte(4004), "its last byte");
	IS(zeros(third, 0, 70000), "zeros before it");
	OK(posix_fadvise(in, 0, 0, POSIX_FADV_SEQUENTIAL), "posix_fadvise");
	OK(readahead(in, 0, 100000), "readahead");
	OK(posix_fadvise(in, 0, 0, POSIX_FADV_DONTNEED), "posix_fadvise to forget");
	IS(holds(in, 0, 300000), "the source is as it was");
	OK(sync_file_range(third, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER), "sync_file_range");
}

static void direct(void)
{
	static unsigned char page[65536] __attribute__((aligned(4096)));
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644)), plain = (int)NEED(open("f", O_RDWR));
	for (size_t n = 4096; n <= 65536; n *= 2)
		for (size_t at = 0; at <= 65536; at += 32768) {
			posix_fill(page, n, at);
			EQ(pwrite(fd, page, n, (off_t)at), n, "direct write of %zu at %zu", n, at);
			IS(holds(plain, at, at + n), "a plain read of %zu at %zu sees it", n, at);
			memset(page, 0, n);
			EQ(pread(fd, page, n, (off_t)at), n, "direct read of %zu at %zu", n, at);
			EQ(page[n - 1], posix_byte(at + n - 1), "its last byte, %zu at %zu", n, at);
		}
	NEED(pwrite(plain, "plain", 5, 100) == 5 ? 0 : -1);
	EQ(pread(fd, page, 4096, 0), 4096, "direct read after a plain write");
	IS(memcmp(page + 100, "plain", 5) == 0, "sees it");
	NEED(ftruncate(plain, 5000));
	EQ(pread(fd, page, 8192, 4096), 904, "a direct read is cut at the end");
	EQ(pread(fd, page, 4096, 8192), 0, "and behind it there is nothing");
}

const struct posix_case posix_cases_io[] = {{"lengths", lengths_and_offsets}, {"sequential", sequential}, {"seeking", seeking},
					    {"vectors", vectors}, {"bad_arguments", bad_arguments}, {"truncating", truncating},
					    {"shared_offsets", sharing_offsets}, {"two_descriptors", two_descriptors}, {"size_limit", file_size_limit},
					    {"offset_limit", offset_limit}, {"moving_bytes", moving_bytes}, {"direct", direct}, {0}};
