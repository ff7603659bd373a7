/* SPDX-License-Identifier: Apache-2.0
 * Space: fallocate, holes, copy_file_range, blocks, statfs, and what makes data durable. Owns no state. */
#include "tests/posix/posix.h"

#include <sys/statfs.h>
#include <sys/statvfs.h>

#define MIB (1 << 20)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  FALLOC_FL_ZERO_RANGE
#define KEEP  FALLOC_FL_KEEP_SIZE

static unsigned char buf[MIB];

/* What [from, to) holds: 'p' the pattern, '0' zeros, 'e' nothing (behind the end), '?' something else. */
static char holds(int fd, off_t from, off_t to)
{
	char what = 0;
	for (off_t at = from; at < to;) {
		size_t n = to - at < MIB ? (size_t)(to - at) : MIB;
		ssize_t got = pread(fd, buf, n, at);
		if (got <= 0)
			return what ? '?' : 'e';
		bool pattern = true, zeros = true;
		for (ssize_t i = 0; i < got; i++) {
			pattern = pattern && buf[i] == posix_byte((size_t)(at + i));
			zeros = zeros && buf[i] == 0;
		}
		char now = zeros ? '0' : pattern ? 'p' : '?';
		if (what && what != now)
			return '?';
		what = now;
		at += got;
	}
	return what;
}

static long long size_of(int fd)
{
	struct stat st;
	NEED(fstat(fd, &st));
	return st.st_size;
}

static long long blocks_of(int fd)
{
	struct stat st;
	NEED(fsync(fd));
	NEED(fstat(fd, &st));
	return st.st_blocks;
}

/* On a file of 300000 bytes of the pattern: the size after, and whether the range is zeros then. */
static void fallocate_modes(void)
{
	static const struct {
		const char *what;
		int mode;
		off_t offset, len;
		long long size; /* after */
		bool zeroed;
	} rows[] = {
		{"allocate inside", 0, 1000, 50000, 300000, false},
		{"allocate all", 0, 0, 300000, 300000, false},
		{"allocate over the end", 0, 250000, 100000, 350000, false},
		{"allocate behind the end", 0, 400000, 100000, 500000, false},
		{"allocate a byte", 0, 300000, 1, 300001, false},
		{"keep size inside", KEEP, 1000, 50000, 300000, false},
		{"keep size over the end", KEEP, 250000, 100000, 300000, false},
		{"keep size behind the end", KEEP, 400000, 100000, 300000, false},
		{"punch a page", PUNCH, 4096, 4096, 300000, true},
		{"punch less than a page", PUNCH, 5000, 10, 300000, true},
		{"punch a byte", PUNCH, 70000, 1, 300000, true},
		{"punch over pages", PUNCH, 5000, 100000, 300000, true},
		{"punch over stripes", PUNCH, 60000, 140000, 300000, true},
		{"punch the start", PUNCH, 0, 65536, 300000, true},
		{"punch the end", PUNCH, 290000, 10000, 300000, true},
		{"punch over the end", PUNCH, 290000, 100000, 300000, true},
		{"punch all", PUNCH, 0, 300000, 300000, true},
		{"punch behind the end", PUNCH, 400000, 10000, 300000, false},
		{"zero inside", ZERO, 5000, 100000, 300000, true},
		{"zero less than a page", ZERO, 4100, 100, 300000, true},
		{"zero over the end", ZERO, 290000, 100000, 390000, true},
		{"zero behind the end", ZERO, 400000, 10000, 410000, true},
		{"zero and keep size", ZERO | KEEP, 290000, 100000, 300000, true},
		{"zero all and keep size", ZERO | KEEP, 0, 300000, 300000, true},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *f = posix_path("f%zu", i), *w = rows[i].what;
		posix_make(f, 0644, 300000);
		int fd = (int)NEED(open(f, O_RDWR)), reader = (int)NEED(open(f, O_RDONLY));
		off_t from = rows[i].offset, to = from + rows[i].len, end = rows[i].size;
		if (OK(fallocate(fd, rows[i].mode, from, rows[i].len), "fallocate: %s", w)) {
			EQ(size_of(fd), end, "size: %s", w);
			EQ(size_of(reader), end, "size by a reader: %s", w);
			off_t a = from < 300000 ? from : 300000, b = to < 300000 ? to : 300000;
			if (a > 0)
				EQ(holds(fd, 0, a), 'p', "what is before it: %s", w);
			if (b > a)
				EQ(holds(fd, a, b), rows[i].zeroed ? '0' : 'p', "the range itself: %s", w);
			if (b < 300000)
				EQ(holds(fd, b, 300000), 'p', "what is behind it: %s", w);
			if (end > 300000)
				EQ(holds(fd, 300000, end), '0', "what is new: %s", w);
			EQ(holds(reader, a, b), b <= a ? 0 : rows[i].zeroed ? '0' : 'p', "the range by a reader: %s", w);
			EQ(holds(fd, end, end + 10), 'e', "nothing behind the end: %s", w);
			EQ(lseek(fd, 0, SEEK_CUR), 0, "the offset stays: %s", w);
			/* and the space is there to write to */
			EQ(pwrite(fd, "x", 1, from), 1, "write to it: %s", w);
			EQ(pread(reader, buf, 1, from), 1, "read of the write: %s", w);
			EQ(buf[0], 'x', "the byte: %s", w);
		}
		close(fd), close(reader);
	}
}

static void fallocate_errors(void)
{
	int pipes[2];
	posix_make("f", 0644, 1000);
	NEED(mkfifo("p", 0644));
	int fd = (int)NEED(open("f", O_RDWR)), r = (int)NEED(open("f", O_RDONLY));
	int d = (int)NEED(open(".", O_RDONLY)), p = (int)NEED(open("p", O_RDWR));
	NEED(pipe(pipes));
	ERR(fallocate(fd, 0, -1, 10), EINVAL, "an offset before the start");
	ERR(fallocate(fd, 0, 0, 0), EINVAL, "no length");
	ERR(fallocate(fd, 0, 0, -5), EINVAL, "less than no length");
	ERR(fallocate(fd, 0, INT64_MAX, 10), EFBIG, "an end that no file has");
	ERR(fallocate(r, 0, 0, 10), EBADF, "open to read");
	ERR(fallocate(d, 0, 0, 10), EBADF, "a directory");
	ERR(fallocate(p, 0, 0, 10), ESPIPE, "a fifo");
	ERR(fallocate(pipes[1], 0, 0, 10), ESPIPE, "a pipe");
	ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP, "to punch needs to keep the size");
	ERR(fallocate(fd, PUNCH | ZERO, 0, 10), EOPNOTSUPP, "to punch and to zero");
	ERR(fallocate(fd, 1 << 20, 0, 10), EOPNOTSUPP, "a mode that there is not");
	EQ(size_of(fd), 1000, "none of it changed the size");
	EQ(holds(fd, 0, 1000), 'p', "nor the bytes");
	OK(posix_fallocate(fd, 0, 200000) == 0 ? 0 : -1, "posix_fallocate");
	EQ(size_of(fd), 200000, "its size");
	EQ(holds(fd, 0, 1000), 'p', "what was there");
	EQ(holds(fd, 1000, 200000), '0', "what is new");
	EQ(posix_fallocate(fd, 0, 0), EINVAL, "posix_fallocate of nothing");
	EQ(posix_fallocate(r, 0, 10), EBADF, "posix_fallocate of what is open to read");
	/* files in stripes have no bytes to take out or put in: a file system does it, or says so */
	posix_make("g", 0644, 5 * MIB);
	int g = (int)NEED(open("g", O_RDWR));
	int rc = fallocate(g, FALLOC_FL_COLLAPSE_RANGE, MIB, MIB);
	IS(rc == 0 ? size_of(g) == 4 * MIB : errno == EOPNOTSUPP && size_of(g) == 5 * MIB, "collapse, or EOPNOTSUPP");
	long long size = size_of(g);
	rc = fallocate(g, FALLOC_FL_INSERT_RANGE, MIB, MIB);
	IS(rc == 0 ? size_of(g) == size + MIB : errno == EOPNOTSUPP && size_of(g) == size, "insert, or EOPNOTSUPP");
	EQ(holds(g, 0, MIB), 'p', "what is before is as it was");
}

static void holes(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	/* data in [2, 3) and [6, 7) MiB, the file ends at 9 MiB */
	posix_fill(buf, MIB, 2 * MIB);
	NEED(pwrite(fd, buf, MIB, 2 * MIB));
	posix_fill(buf, MIB, 6 * MIB);
	NEED(pwrite(fd, buf, MIB, 6 * MIB));
	NEED(ftruncate(fd, 9 * MIB));
	static const struct {
		long long from, data, hole; /* KiB; -1: ENXIO */
	} rows[] = {
		{0, 2048, 0}, {1, 2048, 1}, {2047, 2048, 2047}, {2048, 2048, 3072}, {2500, 2500, 3072}, {3071, 3071, 3072}, {3072, 6144, 3072},
		{5000, 6144, 5000}, {6144, 6144, 7168}, {7000, 7000, 7168}, {7168, -1, 7168}, {9215, -1, 9215}, {9216, -1, -1}, {20000, -1, -1},
	};
	int reader = (int)NEED(open("f", O_RDONLY));
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		for (int k = 0; k < 2; k++) {
			int by = k ? reader : fd;
			const char *who = k ? "a reader" : "the writer";
			off_t from = rows[i].from * 1024;
			if (rows[i].data < 0)
				ERR(lseek(by, from, SEEK_DATA), ENXIO, "SEEK_DATA from %lld KiB by %s", rows[i].from, who);
			else
				EQ(lseek(by, from, SEEK_DATA), rows[i].data * 1024, "SEEK_DATA from %lld KiB by %s", rows[i].from, who);
			if (rows[i].hole < 0)
				ERR(lseek(by, from, SEEK_HOLE), ENXIO, "SEEK_HOLE from %lld KiB by %s", rows[i].from, who);
			else
				EQ(lseek(by, from, SEEK_HOLE), rows[i].hole * 1024, "SEEK_HOLE from %lld KiB by %s", rows[i].from, who);
		}
	ERR(lseek(fd, -1, SEEK_DATA), ENXIO, "SEEK_DATA before the start");
	ERR(lseek(fd, -1, SEEK_HOLE), ENXIO, "SEEK_HOLE before the start");
	EQ(lseek(fd, 100, SEEK_DATA), 2 * MIB, "SEEK_DATA");
	EQ(lseek(fd, 0, SEEK_CUR), 2 * MIB, "moves the offset");
	int full = (int)NEED(open("full", O_RDWR | O_CREAT, 0644)), empty = (int)NEED(open("empty", O_RDWR | O_CREAT, 0644));
	posix_fill(buf, MIB, 0);
	NEED(write(full, buf, 100001));
	EQ(lseek(full, 0, SEEK_HOLE), 100001, "there is a hole at the end of every file");
	EQ(lseek(full, 50000, SEEK_DATA), 50000, "data is where one looks");
	ERR(lseek(full, 100001, SEEK_DATA), ENXIO, "no data at the end");
	ERR(lseek(full, 100001, SEEK_HOLE), ENXIO, "no hole at the end");
	ERR(lseek(empty, 0, SEEK_DATA), ENXIO, "no data in an empty file");
	ERR(lseek(empty, 0, SEEK_HOLE), ENXIO, "no hole in an empty file");
	NEED(ftruncate(empty, 5 * MIB));
	ERR(lseek(empty, 0, SEEK_DATA), ENXIO, "no data in a file that is one hole");
	EQ(lseek(empty, 0, SEEK_HOLE), 0, "but a hole");
	if (OK(fallocate(fd, PUNCH, 2 * MIB, MIB), "punch the first data")) {
		EQ(lseek(fd, 0, SEEK_DATA), 6 * MIB, "the next data is the second");
		EQ(holds(fd, 0, 6 * MIB), '0', "all zeros up to there");
	}
}

static void blocks(void)
{
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	EQ(blocks_of(fd), 0, "an empty file has no blocks");
	NEED(ftruncate(fd, 16 * MIB));
	EQ(blocks_of(fd), 0, "nor has a hole");
	posix_fill(buf, MIB, 0);
	for (int i = 0; i < 4; i++)
		NEED(pwrite(fd, buf, MIB, i * 4 * MIB));
	long long four = blocks_of(fd);
	IS(four >= 4 * MIB / 512, "4 MiB written are as many blocks at least");
	IS(four < 8 * MIB / 512, "and not the 16 of the size");
	NEED(pwrite(fd, buf, MIB, 0));
	close(fd);
	/* a file system may guess while somebody writes */
	for (int i = 0; i < 800 && posix_stat("f").st_blocks > four; i++)
		posix_pause();
	long long again = posix_stat("f").st_blocks;
	IS(again <= four, "written again they are no more");
	IS(again >= 4 * MIB / 512, "nor less than was written");
	fd = (int)NEED(open("f", O_RDWR));
	if (OK(fallocate(fd, PUNCH, 0, MIB), "punch one of the four"))
		IS(blocks_of(fd) < four, "less than before");
	if (OK(fallocate(fd, PUNCH, 0, 16 * MIB), "punch all")) {
		EQ(blocks_of(fd), 0, "nothing is left");
		close(fd);
		for (int i = 0; i < 100 && posix_stat("f").st_blocks == 0; i++)
			posix_pause();
		EQ(posix_stat("f").st_blocks, 0, "and comes back");
		fd = (int)NEED(open("f", O_RDWR));
		NEED(pwrite(fd, buf, MIB, 0));
		IS(blocks_of(fd) >= MIB / 512, "written anew, they are there");
		NEED(pwrite(fd, buf, MIB, MIB));
	}
	NEED(ftruncate(fd, MIB / 2));
	IS(blocks_of(fd) <= MIB / 512 + 16, "cut off, they are gone");
	NEED(ftruncate(fd, 0));
	EQ(blocks_of(fd), 0, "empty again");
	if (OK(fallocate(fd, KEEP, 0, MIB), "allocate a MiB and keep the size 0")) {
		IS(blocks_of(fd) >= MIB / 512, "it is there");
		EQ(size_of(fd), 0, "and the size is 0");
	}
	struct stat st;
	NEED(mkdir("d", 0755));
	NEED(stat("d", &st));
	IS(st.st_blksize > 0 && (st.st_blksize & (st.st_blksize - 1)) == 0, "a block size is a power of two");
}

static void copying(void)
{
	posix_make("a", 0644, 500000);
	int in = (int)NEED(open("a", O_RDONLY)), out = (int)NEED(open("b", O_RDWR | O_CREAT, 0644));
	static const struct {
		off_t from, to;
		size_t len;
		long long copied;
	} rows[] = {
		{0, 0, 500000, 500000}, {0, 0, 1, 1}, {1, 1, 4095, 4095}, {4096, 4096, 65536, 65536}, {65537, 65537, 131071, 131071},
		{400000, 400000, 1000000, 100000}, {499999, 499999, 10, 1}, {500000, 0, 10, 0}, {600000, 0, 10, 0}, {0, 0, 0, 0},
		{100, 100, 300000, 300000},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		off_t from = rows[i].from, to = rows[i].to;
		NEED(ftruncate(out, 0));
		EQ(copy_file_range(in, &from, out, &to, rows[i].len, 0), rows[i].copied, "copy %zu bytes from %lld", rows[i].len, (long long)rows[i].from);
		EQ(from, rows[i].from + rows[i].copied, "the source's offset after %zu from %lld", rows[i].len, (long long)rows[i].from);
		EQ(to, rows[i].to + rows[i].copied, "the target's offset after %zu from %lld", rows[i].len, (long long)rows[i].from);
		EQ(size_of(out), rows[i].copied ? to : 0, "the size after %zu from %lld", rows[i].len, (long long)rows[i].from);
		if (rows[i].copied) {
			EQ(holds(out, rows[i].to, to), 'p', "the bytes of %zu from %lld", rows[i].len, (long long)rows[i].from);
			if (rows[i].to > 0)
				EQ(holds(out, 0, rows[i].to), '0', "zeros before %zu from %lld", rows[i].len, (long long)rows[i].from);
		}
	}
	NEED(ftruncate(out, 0));
	EQ(copy_file_range(in, NULL, out, NULL, 100, 0), 100, "by the descriptors' offsets");
	EQ(lseek(in, 0, SEEK_CUR), 100, "the source's moves");
	EQ(lseek(out, 0, SEEK_CUR), 100, "the target's moves");
	EQ(copy_file_range(in, NULL, out, NULL, 1000, 0), 1000, "and on");
	EQ(holds(out, 0, 1100), 'p', "the bytes of both");
	/* within one file */
	int self = (int)NEED(open("a", O_RDWR));
	off_t from = 0, to = 600000;
	EQ(copy_file_range(self, &from, self, &to, 100000, 0), 100000, "within a file");
	EQ(size_of(self), 700000, "makes it longer");
	NEED(pread(self, buf, 10, 600005));
	EQ(buf[0], posix_byte(5), "its bytes are the first ones");
	EQ(holds(self, 500000, 600000), '0', "zeros in between");
	from = 0, to = 50;
	ERR(copy_file_range(self, &from, self, &to, 100, 0), EINVAL, "ranges that overlap");
	from = 0, to = 100;
	EQ(copy_file_range(self, &from, self, &to, 100, 0), 100, "ranges that touch");
	int append = (int)NEED(open("b", O_WRONLY | O_APPEND)), dir = (int)NEED(open(".", O_RDONLY)), pipes[2];
	NEED(pipe(pipes));
	ERR(copy_file_range(in, NULL, append, NULL, 10, 0), EBADF, "a target that appends");
	ERR(copy_file_range(in, NULL, in, NULL, 10, 0), EBADF, "a target that is open to read");
	ERR(copy_file_range(append, NULL, out, NULL, 10, 0), EBADF, "a source that is open to write");
	ERR(copy_file_range(dir, NULL, out, NULL, 10, 0), EISDIR, "a source that is a directory");
	ERR(copy_file_range(pipes[0], NULL, out, NULL, 10, 0), EINVAL, "a source that is a pipe");
	ERR(copy_file_range(in, NULL, out, NULL, 10, 1), EINVAL, "a flag that there is not");
	ERR(copy_file_range(12345, NULL, out, NULL, 10, 0), EBADF, "a source that is no descriptor");
	from = -1;
	ERR(copy_file_range(in, &from, out, NULL, 10, 0), EOVERFLOW, "a source before the start");
	/* what was just written, and what is longer than the target */
	int w = (int)NEED(open("w", O_RDWR | O_CREAT, 0644)), x = (int)NEED(open("x", O_RDWR | O_CREAT, 0644));
	posix_fill(buf, 200000, 0);
	NEED(pwrite(w, buf, 200000, 0));
	posix_make("y", 0644, 300000);
	from = to = 0;
	EQ(copy_file_range(w, &from, x, &to, 200000, 0), 200000, "of bytes just written");
	EQ(holds(x, 0, 200000), 'p', "they are copied");
	int y = (int)NEED(open("y", O_RDWR));
	from = to = 0;
	EQ(copy_file_range(w, &from, y, &to, 200000, 0), 200000, "over a longer file");
	EQ(size_of(y), 300000, "which stays as long");
	EQ(holds(y, 200000, 300000), 'p', "and keeps its end");
}

static void space_of_the_file_system(void)
{
	struct statfs a, b;
	struct statvfs v;
	posix_make("f", 0644, 1);
	OK(statfs(".", &a), "statfs of a directory");
	OK(statfs("f", &b), "statfs of a file");
	EQ(a.f_type, b.f_type, "the same type");
	IS(memcmp(&a.f_fsid, &b.f_fsid, sizeof(a.f_fsid)) == 0, "the same identity");
	EQ(a.f_namelen, 255, "the length of names");
	IS(a.f_bsize > 0 && a.f_frsize > 0, "a block size");
	IS(a.f_blocks > 0 && a.f_bfree <= a.f_blocks && a.f_bavail <= a.f_bfree, "available, free, all");
	IS(a.f_ffree <= a.f_files && a.f_files > 0, "inodes");
	EQ(a.f_blocks, b.f_blocks, "as many blocks");
	int fd = (int)NEED(open("f", O_RDONLY));
	OK(fstatfs(fd, &b), "fstatfs");
	EQ(a.f_blocks, b.f_blocks, "as many blocks by descriptor");
	OK(statvfs(".", &v), "statvfs");
	EQ(v.f_namemax, 255, "its length of names");
	EQ(v.f_flag & ST_RDONLY, 0, "not read only");
	ERR(statfs("none", &a), ENOENT, "statfs of nothing");
	ERR(statfs("f/x", &a), ENOTDIR, "statfs below a file");
	ERR(fstatfs(12345, &a), EBADF, "fstatfs of no descriptor");
	ERR(statfs(posix_name('x', 256), &a), ENAMETOOLONG, "statfs of a long name");
	int path = (int)NEED(open("f", O_PATH));
	OK(fstatfs(path, &b), "fstatfs of an O_PATH descriptor");
}

static void durability(void)
{
	static const int accesses[] = {O_RDONLY, O_WRONLY, O_RDWR};
	posix_make("f", 0644, 1000);
	for (size_t i = 0; i < COUNT_OF(accesses); i++) {
		int fd = (int)NEED(open("f", accesses[i]));
		OK(fsync(fd), "fsync, access %d", accesses[i]);
		OK(fdatasync(fd), "fdatasync, access %d", accesses[i]);
		OK(syncfs(fd), "syncfs, access %d", accesses[i]);
		close(fd);
	}
	int fd = (int)NEED(open("f", O_RDWR | O_APPEND)), dir = (int)NEED(open(".", O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 5; i++) {
		EQ(write(fd, "0123456789", 10), 10, "write %d", i);
		OK(i & 1 ? fsync(fd) : fdatasync(fd), "sync after write %d", i);
		EQ(posix_stat("f").st_size, 1010 + 10 * i, "size after write %d", i);
	}
	OK(fsync(dir), "fsync of a directory");
	OK(fdatasync(dir), "fdatasync of a directory");
	OK(syncfs(dir), "syncfs of a directory");
	NEED(unlink("f"));
	OK(fsync(fd), "fsync of a removed file");
	OK(fdatasync(fd), "fdatasync of a removed file");
	ERR(syncfs(12345), EBADF, "syncfs of no descriptor");
	ERR(fdatasync(12345), EBADF, "fdatasync of no descriptor");
	NEED(mkfifo("p", 0600));
	int path = (int)NEED(open(".", O_PATH));
	ERR(fsync(path), EBADF, "fsync of an O_PATH descriptor");
	sync();
	IS(true, "sync returns");
}

const struct posix_case posix_cases_space[] = {{"fallocate", fallocate_modes}, {"fallocate_errors", fallocate_errors}, {"holes", holes},
					       {"blocks", blocks}, {"copying", copying}, {"statfs", space_of_the_file_system},
					       {"durability", durability}, {0}};
