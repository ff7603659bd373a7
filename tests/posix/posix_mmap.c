/* SPDX-License-Identifier: Apache-2.0
 * Mappings: what they show, what stores reach, where the file ends, what truncation, protection, fork and unlink do to them, and a small
 * database that lives in one. Owns no state. */
#include "tests/posix/posix.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096
/* MAP_FAILED as a failure */
#define MAPPED(p) ((p) == MAP_FAILED ? -1 : 0)

static unsigned char *map(int fd, size_t len, int prot, int flags, off_t offset)
{
	return mmap(NULL, len, prot, flags, fd, offset);
}

static bool pattern(const unsigned char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != posix_byte(i))
			return false;
	return true;
}

static bool zeros(const unsigned char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* One access in a child: 0, or minus the signal that it gets. */
struct touch {
	volatile unsigned char *at;
	bool store;
};

static int touch_child(const void *arg)
{
	const struct touch *touch = arg;
	signal(SIGBUS, SIG_DFL); /* sanitizers have handlers */
	signal(SIGSEGV, SIG_DFL);
	if (touch->store)
		*touch->at = 'z';
	else
		(void)*touch->at;
	return 0;
}

static int load(const unsigned char *at)
{
	return posix_child(touch_child, &(struct touch){(volatile unsigned char *)(uintptr_t)at, false});
}

static int store(unsigned char *at)
{
	return posix_child(touch_child, &(struct touch){at, true});
}

static void showing(void)
{
	static const size_t sizes[] = {1, 100, PAGE - 1, PAGE, PAGE + 1, 65535, 65537, 300001};
	static const int kinds[] = {MAP_SHARED, MAP_PRIVATE};
	static const char *const names[] = {"shared", "private"};
	static const int accesses[] = {O_RDONLY, O_RDWR};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		const char *f = posix_path("f%zu", i);
		size_t n = sizes[i], end = (n + PAGE - 1) / PAGE * PAGE;
		posix_make(f, 0644, n);
		for (size_t k = 0; k < COUNT_OF(kinds); k++)
			for (size_t a = 0; a < COUNT_OF(accesses); a++) {
				int fd = (int)NEED(open(f, accesses[a]));
				unsigned char *p = map(fd, end + PAGE, PROT_READ, kinds[k], 0);
				NEED(MAPPED(p));
				NEED(close(fd));
				IS(pattern(p, 0, n), "%s shows all %zu bytes, access %d", names[k], n, accesses[a]);
				IS(zeros(p, n, end), "%s shows zeros behind them, %zu, access %d", names[k], n, accesses[a]);
				EQ(load(p + end - 1), 0, "%s: the last page is there to its end, %zu, access %d", names[k], n, accesses[a]);
				EQ(load(p + end), -SIGBUS, "%s: the page behind it is not, %zu, access %d", names[k], n, accesses[a]);
				munmap(p, end + PAGE);
			}
	}
	int fd = (int)NEED(open("f7", O_RDONLY));
	unsigned char *p = map(fd, 2 * PAGE, PROT_READ, MAP_SHARED, 65536);
	NEED(MAPPED(p));
	EQ(p[0], posix_byte(65536), "from an offset");
	EQ(p[2 * PAGE - 1], posix_byte(65536 + 2 * PAGE - 1), "to its end");
	p = map(fd, PAGE, PROT_READ, MAP_SHARED, 10 * 1024 * 1024);
	OK(MAPPED(p), "behind the end is mapped");
	EQ(load(p), -SIGBUS, "and not there");
}

static void arguments(void)
{
	posix_make("f", 0644, PAGE);
	NEED(mkdir("d", 0755));
	NEED(mkfifo("p", 0644));
	int r = (int)NEED(open("f", O_RDONLY)), w = (int)NEED(open("f", O_WRONLY)), rw = (int)NEED(open("f", O_RDWR)), d = (int)NEED(open("d", O_RDONLY));
	int path = (int)NEED(open("f", O_PATH)), fifo = (int)NEED(open("p", O_RDWR));
	static const struct {
		const char *what;
		int which; /* descriptor: 0 r, 1 w, 2 rw */
		int prot, flags, error;
	} rows[] = {
		{"read shared of read", 0, PROT_READ, MAP_SHARED, 0}, {"write shared of read", 0, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES},
		{"write private of read", 0, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0}, {"nothing shared of read", 0, PROT_NONE, MAP_SHARED, 0},
		{"execute shared of read", 0, PROT_READ | PROT_EXEC, MAP_SHARED, 0}, {"read shared of write", 1, PROT_READ, MAP_SHARED, EACCES},
		{"write shared of write", 1, PROT_WRITE, MAP_SHARED, EACCES}, {"read private of write", 1, PROT_READ, MAP_PRIVATE, EACCES},
		{"write private of write", 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, EACCES}, {"read shared of both", 2, PROT_READ, MAP_SHARED, 0},
		{"write shared of both", 2, PROT_READ | PROT_WRITE, MAP_SHARED, 0}, {"write private of both", 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0},
		{"neither shared nor private", 2, PROT_READ, 0, EINVAL}, {"validated", 2, PROT_READ, MAP_SHARED_VALIDATE, 0},
		{"validated with a flag that there is not", 2, PROT_READ, MAP_SHARED_VALIDATE | (1 << 24), EOPNOTSUPP},
		{"validated for persistent memory", 2, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, EOPNOTSUPP},
		{"populated", 2, PROT_READ, MAP_SHARED | MAP_POPULATE, 0}, {"locked", 2, PROT_READ, MAP_SHARED | MAP_LOCKED, 0},
	};
	const int fds[] = {r, w, rw};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unsigned char *p = map(fds[rows[i].which], PAGE, rows[i].prot, rows[i].flags, 0);
		if (rows[i].error)
			ERR(MAPPED(p), rows[i].error, "map %s", rows[i].what);
		else
			OK(MAPPED(p), "map %s", rows[i].what);
		if (p != MAP_FAILED)
			munmap(p, PAGE);
	}
	ERR(MAPPED(map(rw, 0, PROT_READ, MAP_SHARED, 0)), EINVAL, "map nothing");
	ERR(MAPPED(map(rw, PAGE, PROT_READ, MAP_SHARED, 100)), EINVAL, "map from the middle of a page");
	ERR(MAPPED(map(d, PAGE, PROT_READ, MAP_SHARED, 0)), ENODEV, "map a directory");
	ERR(MAPPED(map(fifo, PAGE, PROT_READ, MAP_SHARED, 0)), ENODEV, "map a fifo");
	ERR(MAPPED(map(path, PAGE, PROT_READ, MAP_SHARED, 0)), EBADF, "map an O_PATH descriptor");
	ERR(MAPPED(map(12345, PAGE, PROT_READ, MAP_SHARED, 0)), EBADF, "map no descriptor");
	ERR(MAPPED(map(rw, PAGE, PROT_READ, MAP_SHARED, INT64_MAX - PAGE + 1)), EOVERFLOW, "map where no file goes");
	unsigned char *p = map(rw, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NEED(MAPPED(p));
	ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL, "msync of the middle of a page");
	ERR(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "msync at once and later");
	ERR(msync(p, PAGE, 1 << 20), EINVAL, "msync with a flag that there is not");
	OK(msync(p, PAGE, MS_ASYNC), "msync later");
	OK(msync(p, PAGE, MS_SYNC | MS_INVALIDATE), "msync that invalidates");
	OK(msync(p, 0, MS_SYNC), "msync of nothing");
	munmap(p, PAGE);
	ERR(msync(p, PAGE, MS_SYNC), ENOMEM, "msync of what is not mapped");
}

static void stores(void)
{
	unsigned char buf[16] = "";
	posix_make("f", 0644, 200000);
	int fd = (int)NEED(open("f", O_RDWR)), reader = (int)NEED(open("f", O_RDONLY)), direct = (int)NEED(open("f", O_RDONLY | O_DIRECT));
	static unsigned char page[PAGE] __attribute__((aligned(PAGE)));
	unsigned char *p = map(fd, 200000, PROT_READ | PROT_WRITE, MAP_SHARED, 0), *q = map(reader, 200000, PROT_READ, MAP_SHARED, 0);
	NEED(MAPPED(p) | MAPPED(q));
	static const size_t places[] = {0, 1, PAGE - 1, PAGE, 65535, 65536, 131072, 199999};
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		size_t at = places[i];
		p[at] = (unsigned char)(0xa0 + i);
		EQ(q[at], 0xa0 + i, "a store at %zu is seen by another mapping", at);
		EQ(pread(fd, buf, 1, (off_t)at), 1, "read at %zu", at);
		EQ(buf[0], 0xa0 + i, "a store at %zu is seen by read", at);
		EQ(pread(reader, buf, 1, (off_t)at), 1, "read at %zu by a reader", at);
		EQ(buf[0], 0xa0 + i, "a store at %zu is seen by a reader", at);
		buf[0] = (unsigned char)(0xb0 + i);
		EQ(pwrite(fd, buf, 1, (off_t)at), 1, "write at %zu", at);
		EQ(p[at], 0xb0 + i, "a write at %zu is seen by the mapping", at);
		EQ(q[at], 0xb0 + i, "a write at %zu is seen by the reader's mapping", at);
		p[at] = (unsigned char)(0xc0 + i);
		OK(msync(p, 200000, MS_SYNC), "msync after a store at %zu", at);
		EQ(pread(direct, page, PAGE, (off_t)(at / PAGE * PAGE)) > 0, 1, "direct read of the page of %zu", at);
		EQ(page[at % PAGE], 0xc0 + i, "a store at %zu is seen by a direct read", at);
	}
	/* each file has the right to change what the other does: the rest of the page stays */
	IS(pattern(p, 2, PAGE - 1) && pattern(p, PAGE + 1, 65535), "what is between the stores is as it was");
	EQ(posix_stat("f").st_size, 200000, "the size stays");
	p[123] = 'u';
	munmap(p, 200000);
	EQ(pread(reader, buf, 1, 123), 1, "read after munmap");
	EQ(buf[0], 'u', "a store is seen after munmap, without msync");
	close(fd);
	OK(fsync(reader), "fsync");
	int later = (int)NEED(open("f", O_RDONLY));
	EQ(pread(later, buf, 1, 123), 1, "read of a later open");
	EQ(buf[0], 'u', "and the store is there");
}

static void private_stores(void)
{
	unsigned char c = 0;
	posix_make("f", 0644, 3 * PAGE);
	int fd = (int)NEED(open("f", O_RDWR)), r = (int)NEED(open("f", O_RDONLY));
	unsigned char *p = map(r, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0), *q = map(r, 3 * PAGE, PROT_READ, MAP_SHARED, 0);
	NEED(MAPPED(p) | MAPPED(q));
	p[5] = 'x';
	EQ(p[5], 'x', "a private store is seen by its mapping");
	EQ(q[5], posix_byte(5), "and by no other");
	EQ(pread(fd, &c, 1, 5), 1, "nor by read");
	EQ(c, posix_byte(5), "the byte of the file");
	NEED(pwrite(fd, "y", 1, 5));
	EQ(p[5], 'x', "its page is its own from then on");
	EQ(q[5], 'y', "the shared one sees the write");
	OK(msync(p, PAGE, MS_SYNC), "msync of a private mapping");
	EQ(pread(fd, &c, 1, 5), 1, "read after it");
	EQ(c, 'y', "writes nothing");
	OK(madvise(p, PAGE, MADV_DONTNEED), "forget the private page");
	EQ(p[5], 'y', "then it is the file's again");
}

static void the_end_of_the_file(void)
{
	unsigned char buf[PAGE];
	posix_make("f", 0644, 100);
	int fd = (int)NEED(open("f", O_RDWR));
	unsigned char *p = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NEED(MAPPED(p));
	p[200] = 'b';
	OK(msync(p, PAGE, MS_SYNC), "msync of a store behind the end");
	EQ(posix_stat("f").st_size, 100, "does not make the file longer");
	EQ(pread(fd, buf, sizeof(buf), 0), 100, "nor does read give it");
	NEED(ftruncate(fd, 300));
	EQ(pread(fd, buf, sizeof(buf), 0), 300, "made longer");
	EQ(buf[200], 0, "it holds zeros where that store was");
	EQ(p[299], 0, "and so does the mapping");
	EQ(load(p + PAGE), -SIGBUS, "the second page is not there");
	EQ(store(p + PAGE), -SIGBUS, "nor to store to");
	NEED(ftruncate(fd, 2 * PAGE));
	EQ(load(p + 2 * PAGE - 1), 0, "made longer it is there");
	EQ(store(p + 2 * PAGE - 1), 0, "and takes a store");
	EQ(pread(fd, buf, 1, 2 * PAGE - 1), 1, "which read sees");
	EQ(buf[0], 'z', "the child's byte");
	NEED(pwrite(fd, "end", 3, 3 * PAGE));
	EQ(p[3 * PAGE + 2], 'd', "a write behind the end is seen by the mapping");
	NEED(ftruncate(fd, 50));
	EQ(load(p + 49), 0, "cut off: the first page stays");
	EQ(p[49], posix_byte(49), "with what it held");
	EQ(p[50], 0, "and zeros behind the new end");
	EQ(load(p + PAGE), -SIGBUS, "the second is gone");
	EQ(load(p + 3 * PAGE), -SIGBUS, "and the last");
	NEED(ftruncate(fd, 4 * PAGE));
	IS(zeros(p, 50, 4 * PAGE), "longer again: all zeros, nothing comes back");
	p[3 * PAGE] = 'n';
	EQ(pread(fd, buf, 1, 3 * PAGE), 1, "a store to the new part");
	EQ(buf[0], 'n', "is seen by read");
	/* by another descriptor, and by name */
	NEED(truncate("f", PAGE));
	EQ(load(p + PAGE), -SIGBUS, "cut by name");
	int trunc = (int)NEED(open("f", O_WRONLY | O_TRUNC));
	EQ(load(p), -SIGBUS, "cut by O_TRUNC");
	close(trunc);
	NEED(pwrite(fd, "again", 5, 0));
	EQ(p[4], 'n', "written again it is there");
}

static void protection(void)
{
	posix_make("f", 0644, 2 * PAGE);
	int r = (int)NEED(open("f", O_RDONLY)), rw = (int)NEED(open("f", O_RDWR));
	unsigned char *p = map(r, PAGE, PROT_READ, MAP_SHARED, 0), *q = map(rw, 2 * PAGE, PROT_READ, MAP_SHARED, 0);
	unsigned char *n = map(rw, PAGE, PROT_NONE, MAP_SHARED, 0);
	NEED(MAPPED(p) | MAPPED(q) | MAPPED(n));
	EQ(store(p), -SIGSEGV, "a store to what is to read");
	EQ(load(n), -SIGSEGV, "a load from nothing");
	ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES, "no right to write where the descriptor had none");
	OK(mprotect(q, PAGE, PROT_READ | PROT_WRITE), "the right to write where it had it");
	q[0] = 'p';
	EQ(p[0], 'p', "a store is seen");
	EQ(store(q + PAGE), -SIGSEGV, "the next page is as it was");
	OK(mprotect(q, 2 * PAGE, PROT_NONE), "nothing any more");
	EQ(load(q), -SIGSEGV, "no load");
	OK(mprotect(q, 2 * PAGE, PROT_READ), "to read again");
	EQ(q[0], 'p', "it is still there");
	OK(mprotect(n, PAGE, PROT_READ), "something after nothing");
	EQ(n[0], 'p', "the file");
	/* changed rights of the file are no matter for what is mapped */
	NEED(chmod("f", 0));
	NEED(mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	q[1] = 'q';
	EQ(p[1], 'q', "rights are asked at open");
	/* one that was never in parts: whether parts become one again is the kernel's own matter */
	unsigned char *whole = map(rw, 2 * PAGE, PROT_READ, MAP_SHARED, 0);
	NEED(MAPPED(whole));
	unsigned char *bigger = mremap(whole, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	OK(MAPPED(bigger), "mremap");
	EQ(bigger[1], 'q', "shows the same");
	EQ(load(bigger + 2 * PAGE), -SIGBUS, "and ends where the file ends");
	OK(madvise(bigger, PAGE, MADV_WILLNEED), "madvise that it is needed");
	OK(madvise(bigger, PAGE, MADV_DONTNEED), "madvise that it is not");
	EQ(bigger[1], 'q', "a shared page comes back");
	OK(munmap(bigger, 8 * PAGE), "munmap");
	EQ(load(bigger), -SIGSEGV, "nothing there");
}

static void outliving(void)
{
	unsigned char c = 0;
	posix_make("f", 0644, PAGE);
	int fd = (int)NEED(open("f", O_RDWR));
	unsigned char *p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NEED(MAPPED(p));
	close(fd);
	EQ(p[100], posix_byte(100), "a mapping outlives its descriptor");
	p[100] = 'c';
	OK(msync(p, PAGE, MS_SYNC), "msync without a descriptor");
	fd = (int)NEED(open("f", O_RDONLY));
	EQ(pread(fd, &c, 1, 100), 1, "read");
	EQ(c, 'c', "sees what it stored");
	NEED(rename("f", "g"));
	p[101] = 'r';
	EQ(pread(fd, &c, 1, 101), 1, "after a rename");
	EQ(c, 'r', "sees it, too");
	NEED(unlink("g"));
	p[102] = 'u';
	OK(msync(p, PAGE, MS_SYNC), "msync of a removed file");
	EQ(pread(fd, &c, 1, 102), 1, "read of a removed file");
	EQ(c, 'u', "sees what was stored after its removal");
	close(fd);
	EQ(p[102], 'u', "the mapping alone keeps it");
	p[103] = 'v';
	OK(msync(p, PAGE, MS_SYNC), "and takes stores");
	EQ(p[103], 'v', "and shows them");
	posix_make("f", 0644, PAGE);
	EQ(p[102], 'u', "a new file of the name is another");
}

static void forks(void)
{
	posix_make("f", 0644, PAGE);
	int fd = (int)NEED(open("f", O_RDWR));
	unsigned char *s = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0), *v = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	NEED(MAPPED(s) | MAPPED(v));
	v[0] = 'p';
	EQ(store(s + 10), 0, "a child stores to a shared mapping");
	EQ(s[10], 'z', "the parent sees it");
	EQ(store(v + 20), 0, "a child stores to a private mapping");
	EQ(v[20], posix_byte(20), "the parent does not");
	EQ(v[0], 'p', "and keeps its own");
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		while (__atomic_load_n(&s[50], __ATOMIC_ACQUIRE) != 'g')
			sched_yield();
		_exit(s[51] == 'h' ? 0 : 1);
	}
	s[51] = 'h';
	__atomic_store_n(&s[50], 'g', __ATOMIC_RELEASE);
	int status = -1;
	NEED(waitpid(pid, &status, 0));
	EQ(status, 0, "stores are seen in their order by a process that looks");
}

static void sparse(void)
{
	const off_t size = 1 << 30;
	unsigned char c = 9;
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
	NEED(ftruncate(fd, size));
	unsigned char *p = map(fd, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NEED(MAPPED(p));
	static const off_t places[] = {0, 65535, 1000000, 500000000, (1 << 30) - 1};
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		off_t at = places[i];
		EQ(p[at], 0, "a hole of a gigabyte is zeros at %lld", (long long)at);
		p[at] = 's';
		EQ(pread(fd, &c, 1, at), 1, "read at %lld", (long long)at);
		EQ(c, 's', "a store to the hole at %lld", (long long)at);
	}
	OK(msync(p, (size_t)size, MS_SYNC), "msync of a gigabyte");
	EQ(posix_stat("f").st_size, size, "its size");
	EQ(pread(fd, &c, 1, 2000000), 1, "read between the stores");
	EQ(c, 0, "zeros");
	IS(posix_stat("f").st_blocks * 512 < size / 4, "it takes little room");
}

/* Records in a mapped file, each with a sum over itself; several processes change them under locks, and look at each other's. */
enum { RECORDS = 200, RECORD_BYTES = 512, CHANGES = 150 };
struct record {
	uint32_t sum, version, owner;
	unsigned char data[RECORD_BYTES - 12];
};

static uint32_t sum_of(const struct record *record)
{
	uint32_t sum = 17;
	const unsigned char *p = (const unsigned char *)record;
	for (size_t i = 4; i < RECORD_BYTES; i++)
		sum = sum * 31 + p[i];
	return sum;
}

static bool locked(int fd, short type, int record)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = record * RECORD_BYTES, .l_len = RECORD_BYTES};
	return fcntl(fd, F_SETLKW, &lock) == 0;
}

static int worker(int number)
{
	int fd = open("db", O_RDWR);
	struct record *records = mmap(NULL, RECORDS * RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || records == MAP_FAILED)
		return 1;
	for (int i = 0; i < CHANGES; i++) {
		int n = (i * 7 + number * 3) % RECORDS;
		struct record *record = &records[n];
		if (!locked(fd, F_WRLCK, n))
			return 2;
		if (record->sum != sum_of(record))
			return 3;
		record->version++;
		record->owner = (uint32_t)number;
		memset(record->data, number + i, sizeof(record->data));
		record->sum = sum_of(record);
		if (i % 50 == 0 && msync(records, RECORDS * RECORD_BYTES, MS_SYNC) != 0)
			return 4;
		if (!locked(fd, F_UNLCK, n))
			return 5;
	}
	return 0;
}

static void database(void)
{
	struct record first = {.version = 0};
	first.sum = sum_of(&first);
	int fd = (int)NEED(open("db", O_RDWR | O_CREAT, 0644));
	for (int i = 0; i < RECORDS; i++)
		NEED(write(fd, &first, sizeof(first)) == sizeof(first) ? 0 : -1);
	pid_t pids[3];
	for (int i = 0; i < 3; i++) {
		pids[i] = (pid_t)NEED(fork());
		if (pids[i] == 0)
			_exit(worker(i + 1));
	}
	for (int i = 0; i < 3; i++) {
		int status = 0;
		NEED(waitpid(pids[i], &status, 0));
		EQ(WEXITSTATUS(status), 0, "worker %d finds every record whole", i);
	}
	uint32_t versions = 0, bad = 0;
	for (int i = 0; i < RECORDS; i++) {
		struct record record;
		NEED(pread(fd, &record, sizeof(record), i * RECORD_BYTES));
		versions += record.version;
		bad += record.sum != sum_of(&record);
	}
	EQ(bad, 0, "read finds every record whole");
	EQ(versions, 3 * CHANGES, "and every change");
}

const struct posix_case posix_cases_mmap[] = {{"showing", showing}, {"arguments", arguments}, {"stores", stores}, {"private", private_stores},
					      {"the_end", the_end_of_the_file}, {"protection", protection}, {"outliving", outliving},
					      {"forks", forks}, {"sparse", sparse}, {"database", database}, {0}};
