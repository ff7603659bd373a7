/* SPDX-License-Identifier: Apache-2.0
 * Locks on one mount: flock, fcntl's of processes and of open files. What conflicts, what F_GETLK says, ranges that are cut and joined, who loses
 * locks when, waiting, signals, deadlocks. Owns no state. Between mounts: posix_two.c. */
#include "tests/posix/posix.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int set(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = range(type, start, len);
	return fcntl(fd, cmd, &lock);
}

/* A process of its own that does as it is told, one command after the other: for locks that belong to processes. */
struct helper {
	pid_t pid;
	int to, from;
};
struct order {
	int cmd; /* F_SETLK…; -1: flock; -2: close */
	int how; /* of flock */
	short type;
	off_t start, len;
};
struct answer {
	int rc, error;
};

static void serve(int to, int from, int fd)
{
	struct order order;
	while (read(to, &order, sizeof(order)) == sizeof(order)) {
		int rc = order.cmd == -1   ? flock(fd, order.how)
			 : order.cmd == -2 ? close(fd)
					   : set(fd, order.cmd, order.type, order.start, order.len);
		struct answer answer = {rc, errno};
		if (write(from, &answer, sizeof(answer)) != sizeof(answer))
			_exit(1);
	}
	_exit(0);
}

static struct helper helper_start(const char *path)
{
	int to[2], from[2];
	NEED(pipe2(to, O_CLOEXEC));
	NEED(pipe2(from, O_CLOEXEC));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		/* nothing of its parent's: whoever has a descriptor has its locks */
		if (dup2(to[0], 100) < 0 || dup2(from[1], 101) < 0 || close_range(3, 99, 0) != 0 || close_range(102, ~0u, 0) != 0)
			_exit(1);
		serve(100, 101, open(path, O_RDWR));
	}
	close(to[0]), close(from[1]);
	return (struct helper){pid, to[1], from[0]};
}

static void tell(const struct helper *helper, struct order order)
{
	NEED(write(helper->to, &order, sizeof(order)) == sizeof(order) ? 0 : -1);
}

static int answered(const struct helper *helper)
{
	struct answer answer = {-1, ECHILD};
	NEED(read(helper->from, &answer, sizeof(answer)) == sizeof(answer) ? 0 : -1);
	errno = answer.error;
	return answer.rc;
}

static int ask(const struct helper *helper, int cmd, short type, off_t start, off_t len)
{
	tell(helper, (struct order){.cmd = cmd, .type = type, .start = start, .len = len});
	return answered(helper);
}

static int ask_flock(const struct helper *helper, int how)
{
	tell(helper, (struct order){.cmd = -1, .how = how});
	return answered(helper);
}

/* No answer for a while: it waits. How long is no matter of right or wrong: too short a look can only miss a fault. */
static bool waits(const struct helper *helper)
{
	struct pollfd p = {.fd = helper->from, .events = POLLIN};
	return poll(&p, 1, 60) == 0;
}

static void helper_stop(struct helper *helper)
{
	close(helper->to), close(helper->from);
	NEED(waitpid(helper->pid, NULL, 0));
}

static void flock_conflicts(void)
{
	static const int hows[] = {LOCK_SH, LOCK_EX};
	static const char *const names[] = {"shared", "exclusive"};
	posix_make("f", 0644, 10);
	int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open("f", O_RDONLY));
	struct helper other = helper_start("f");
	for (size_t i = 0; i < COUNT_OF(hows); i++)
		for (size_t k = 0; k < COUNT_OF(hows); k++) {
			bool fits = hows[i] == LOCK_SH && hows[k] == LOCK_SH;
			OK(flock(a, hows[i]), "%s, before %s", names[i], names[k]);
			OK(flock(a, hows[i] | LOCK_NB), "%s once more, before %s", names[i], names[k]);
			if (fits) {
				OK(flock(b, hows[k] | LOCK_NB), "%s beside %s by another open", names[k], names[i]);
				OK(ask_flock(&other, hows[k] | LOCK_NB), "%s beside %s by another process", names[k], names[i]);
			} else {
				ERR(flock(b, hows[k] | LOCK_NB), EWOULDBLOCK, "%s beside %s by another open", names[k], names[i]);
				ERR(ask_flock(&other, hows[k] | LOCK_NB), EWOULDBLOCK, "%s beside %s by another process", names[k], names[i]);
			}
			OK(flock(a, LOCK_UN), "unlock %s before %s", names[i], names[k]);
			OK(flock(b, hows[k] | LOCK_NB) | flock(b, LOCK_UN), "%s after %s is gone", names[k], names[i]);
			OK(ask_flock(&other, LOCK_UN), "unlock by the other process, %s %s", names[i], names[k]);
		}
	OK(flock(a, LOCK_UN), "unlock of what is not locked");
	ERR(flock(a, 77), EINVAL, "an operation that there is not");
	ERR(flock(a, LOCK_SH | LOCK_EX), EINVAL, "shared and exclusive");
	ERR(flock(12345, LOCK_SH), EBADF, "no descriptor");
	int path = (int)NEED(open("f", O_PATH)), dir = (int)NEED(open(".", O_RDONLY));
	ERR(flock(path, LOCK_SH), EBADF, "an O_PATH descriptor");
	OK(flock(dir, LOCK_EX | LOCK_NB), "a directory");
	int dir2 = (int)NEED(open(".", O_RDONLY));
	ERR(flock(dir2, LOCK_SH | LOCK_NB), EWOULDBLOCK, "a directory that is locked");
	helper_stop(&other);
}

static void flock_lives(void)
{
	posix_make("f", 0644, 10);
	int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open("f", O_RDWR)), same = (int)NEED(dup(a));
	NEED(flock(a, LOCK_EX));
	OK(flock(same, LOCK_EX | LOCK_NB), "a dup has the lock, too");
	close(a);
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK, "close of one of two leaves it");
	close(same);
	OK(flock(b, LOCK_EX), "close of the last gives it up"); /* FUSE hears of it by the way: who waits has it at once */
	/* a child shares it */
	a = (int)NEED(open("f", O_RDWR));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0)
		_exit(flock(b, LOCK_UN) == 0 ? 0 : 1);
	NEED(waitpid(pid, NULL, 0));
	OK(flock(a, LOCK_EX | LOCK_NB), "a child's unlock is the parent's");
	OK(flock(a, LOCK_SH | LOCK_NB), "exclusive to shared");
	OK(flock(b, LOCK_SH | LOCK_NB), "now another shares it");
	ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK, "and it cannot be exclusive again");
	NEED(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB), "until the other is gone");
	OK(unlink("f"), "unlink of a locked file");
	ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK, "which stays locked");
	posix_make("f", 0644, 1);
	int fresh = (int)NEED(open("f", O_RDWR));
	OK(flock(fresh, LOCK_EX | LOCK_NB), "a new file of the name is free");
	/* both kinds of locks know nothing of each other */
	OK(set(fresh, F_SETLK, F_WRLCK, 0, 0), "fcntl's lock beside flock's");
	struct helper other = helper_start("f");
	ERR(ask_flock(&other, LOCK_SH | LOCK_NB), EWOULDBLOCK, "flock's is in the way of flock's");
	NEED(flock(fresh, LOCK_UN));
	OK(ask_flock(&other, LOCK_EX | LOCK_NB), "fcntl's is not");
	ERR(ask(&other, F_SETLK, F_RDLCK, 0, 0), EAGAIN, "but it is in the way of fcntl's");
	helper_stop(&other);
}

static void flock_waits(void)
{
	posix_make("f", 0644, 10);
	int a = (int)NEED(open("f", O_RDWR));
	struct helper one = helper_start("f"), two = helper_start("f");
	NEED(flock(a, LOCK_EX));
	tell(&one, (struct order){.cmd = -1, .how = LOCK_SH});
	tell(&two, (struct order){.cmd = -1, .how = LOCK_SH});
	IS(waits(&one), "a waiter for shared waits");
	NEED(flock(a, LOCK_UN));
	OK(answered(&one), "gets it when it is free");
	OK(answered(&two), "and so does the second");
	ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK, "both hold it");
	NEED(kill(one.pid, SIGKILL));
	helper_stop(&one);
	ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK, "one is dead, the other holds it");
	NEED(kill(two.pid, SIGKILL));
	helper_stop(&two);
	OK(flock(a, LOCK_EX), "both are dead: it is free");
}

/* Two locks of different processes: each type, each way to lie to each other. */
static void fcntl_conflicts(void)
{
	static const struct {
		const char *what;
		off_t a, alen, b, blen; /* len 0: to the end of all files */
		bool overlap;
	} rows[] = {
		{"the same", 10, 10, 10, 10, true}, {"inside", 10, 10, 12, 3, true}, {"around", 10, 10, 5, 50, true}, {"over the start", 10, 10, 5, 6, true},
		{"over the end", 10, 10, 19, 5, true}, {"right before", 10, 10, 5, 5, false}, {"right behind", 10, 10, 20, 5, false},
		{"far", 10, 10, 1000, 5, false},
		{"to the end of all", 10, 10, 15, 0, true}, {"from behind to the end of all", 10, 10, 20, 0, false}, {"both to the end", 10, 0, 1000, 0, true},
		{"a byte far out", 10, 0, 1LL << 40, 1, true}, {"the last byte", 0, 0, INT64_MAX, 1, true}, {"one byte each", 7, 1, 7, 1, true},
		{"one byte beside", 7, 1, 8, 1, false},
	};
	static const short types[] = {F_RDLCK, F_WRLCK};
	static const char *const names[] = {"read", "write"};
	static const int cmds[] = {F_SETLK, F_OFD_SETLK};
	static const char *const kinds[] = {"process", "open file"};
	posix_make("f", 0644, 100);
	int fd = (int)NEED(open("f", O_RDWR));
	struct helper other = helper_start("f");
	for (size_t k = 0; k < COUNT_OF(cmds); k++)
		for (size_t i = 0; i < COUNT_OF(rows); i++)
			for (int t = 0; t < 4; t++) {
				short mine = types[t & 1], theirs = types[t >> 1];
				const char *m = names[t & 1], *h = names[t >> 1], *w = rows[i].what;
				NEED(ask(&other, cmds[k], theirs, rows[i].a, rows[i].alen));
				int rc = set(fd, F_SETLK, mine, rows[i].b, rows[i].blen);
				if (rows[i].overlap && (mine == F_WRLCK || theirs == F_WRLCK))
					ERR(rc, EAGAIN, "%s beside %s of a %s: %s", m, h, kinds[k], w);
				else
					OK(rc, "%s beside %s of a %s: %s", m, h, kinds[k], w);
				NEED(set(fd, F_SETLK, F_UNLCK, 0, 0));
				NEED(ask(&other, cmds[k], F_UNLCK, 0, 0));
			}
	helper_stop(&other);
}

static void getlk(void)
{
	posix_make("f", 0644, 100);
	int fd = (int)NEED(open("f", O_RDWR)), same = (int)NEED(open("f", O_RDWR));
	struct helper other = helper_start("f");
	struct flock l = range(F_WRLCK, 0, 0);
	OK(fcntl(fd, F_GETLK, &l), "F_GETLK where nothing is");
	EQ(l.l_type, F_UNLCK, "says so");
	EQ(l.l_start == 0 && l.l_len == 0 && l.l_whence == SEEK_SET, 1, "and leaves the rest");
	NEED(ask(&other, F_SETLK, F_WRLCK, 10, 20));
	NEED(ask(&other, F_SETLK, F_RDLCK, 50, 0));
	static const struct {
		const char *what;
		short ask;
		off_t start, len;
		short type;
		off_t at, n;
	} rows[] = {
		{"all", F_WRLCK, 0, 0, F_WRLCK, 10, 20},
		{"the first byte of it", F_RDLCK, 10, 1, F_WRLCK, 10, 20}, {"its last byte", F_RDLCK, 29, 1, F_WRLCK, 10, 20},
		{"before it", F_WRLCK, 0, 10, F_UNLCK, 0, 10}, {"between both", F_WRLCK, 30, 20, F_UNLCK, 30, 20}, {"read behind", F_RDLCK, 50, 10, F_UNLCK, 50, 10},
		{"write behind", F_WRLCK, 1000, 10, F_RDLCK, 50, 0}, {"write far behind", F_WRLCK, 1LL << 50, 0, F_RDLCK, 50, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		l = range(rows[i].ask, rows[i].start, rows[i].len);
		OK(fcntl(fd, F_GETLK, &l), "F_GETLK: %s", rows[i].what);
		EQ(l.l_type, rows[i].type, "the type: %s", rows[i].what);
		EQ(l.l_start, rows[i].at, "the start: %s", rows[i].what);
		EQ(l.l_len, rows[i].n, "the length: %s", rows[i].what);
		if (rows[i].type != F_UNLCK)
			EQ(l.l_pid, other.pid, "the process: %s", rows[i].what);
		EQ(l.l_whence, SEEK_SET, "from the start: %s", rows[i].what);
	}
	NEED(set(fd, F_SETLK, F_WRLCK, 0, 5));
	l = range(F_WRLCK, 0, 5);
	OK(fcntl(same, F_GETLK, &l), "one's own");
	EQ(l.l_type, F_UNLCK, "is not in the way");
	NEED(set(fd, F_OFD_SETLK, F_WRLCK, 30, 5));
	l = range(F_WRLCK, 30, 5);
	OK(fcntl(same, F_GETLK, &l), "an open file's");
	EQ(l.l_type, F_WRLCK, "is in the way of the same process");
	EQ(l.l_pid, -1, "and belongs to none");
	l = range(F_WRLCK, 30, 5);
	OK(fcntl(fd, F_OFD_GETLK, &l), "F_OFD_GETLK by the open file itself");
	EQ(l.l_type, F_UNLCK, "is not in its own way");
	l = range(F_WRLCK, 0, 3);
	OK(fcntl(same, F_OFD_GETLK, &l), "F_OFD_GETLK of one's process's");
	EQ(l.l_pid, getpid(), "which is in the way of open files");
	l = range(F_UNLCK, 0, 0);
	ERR(fcntl(fd, F_GETLK, &l), EINVAL, "F_GETLK for no lock at all");
	helper_stop(&other);
}

/* Locks of one process are cut and joined: asked byte by byte from outside. */
static void cutting_and_joining(void)
{
	static const struct {
		const char *what;
		struct {
			short type;
			off_t start, len;
		} steps[4];
		const char *bytes; /* r, w or . of bytes 0…9 */
	} rows[] = {
		{"one", {{F_WRLCK, 2, 3}}, "..www....."},
		{"two apart", {{F_WRLCK, 1, 2}, {F_RDLCK, 6, 2}}, ".ww...rr.."},
		{"a hole in the middle", {{F_WRLCK, 0, 10}, {F_UNLCK, 3, 4}}, "www....www"},
		{"cut at the start", {{F_WRLCK, 2, 6}, {F_UNLCK, 0, 4}}, "....wwww.."},
		{"cut at the end", {{F_WRLCK, 2, 6}, {F_UNLCK, 6, 9}}, "..wwww...."},
		{"joined", {{F_WRLCK, 2, 2}, {F_WRLCK, 4, 2}}, "..wwww...."},
		{"joined over a gap", {{F_WRLCK, 1, 2}, {F_WRLCK, 6, 2}, {F_WRLCK, 3, 3}}, ".wwwwwww.."},
		{"downgraded inside", {{F_WRLCK, 0, 10}, {F_RDLCK, 4, 2}}, "wwwwrrwwww"},
		{"upgraded inside", {{F_RDLCK, 0, 10}, {F_WRLCK, 4, 2}}, "rrrrwwrrrr"},
		{"overlapping another type", {{F_RDLCK, 0, 6}, {F_WRLCK, 4, 4}}, "rrrrwwww.."},
		{"covered", {{F_RDLCK, 3, 2}, {F_RDLCK, 6, 1}, {F_WRLCK, 0, 10}}, "wwwwwwwwww"},
		{"all gone", {{F_RDLCK, 3, 2}, {F_WRLCK, 6, 1}, {F_UNLCK, 0, 0}}, ".........."},
		{"to the end of all, cut", {{F_WRLCK, 3, 0}, {F_UNLCK, 5, 2}}, "...ww..www"},
		{"the rest unlocked", {{F_WRLCK, 0, 10}, {F_UNLCK, 5, 0}}, "wwwww....."},
		{"unlocked twice", {{F_WRLCK, 0, 4}, {F_UNLCK, 1, 1}, {F_UNLCK, 0, 2}}, "..ww......"},
		{"the same again", {{F_WRLCK, 2, 2}, {F_WRLCK, 2, 2}, {F_UNLCK, 2, 2}}, ".........."},
	};
	static const int cmds[] = {F_SETLK, F_OFD_SETLK};
	posix_make("f", 0644, 100);
	int fd = (int)NEED(open("f", O_RDWR));
	struct helper other = helper_start("f");
	for (size_t k = 0; k < COUNT_OF(cmds); k++)
		for (size_t i = 0; i < COUNT_OF(rows); i++) {
			char bytes[11] = "";
			for (size_t s = 0; s < COUNT_OF(rows[i].steps) && (rows[i].steps[s].len || rows[i].steps[s].start || s > 0); s++)
				if (s == 0 || rows[i].steps[s].len || rows[i].steps[s].start || rows[i].steps[s].type == F_UNLCK)
					NEED(ask(&other, cmds[k], rows[i].steps[s].type, rows[i].steps[s].start, rows[i].steps[s].len));
			for (int b = 0; b < 10; b++) {
				struct flock r = range(F_RDLCK, b, 1), w = range(F_WRLCK, b, 1);
				NEED(fcntl(fd, F_GETLK, &r));
				NEED(fcntl(fd, F_GETLK, &w));
				bytes[b] = w.l_type == F_UNLCK ? '.' : r.l_type == F_UNLCK ? 'r' : 'w';
			}
			IS(strcmp(bytes, rows[i].bytes) == 0, "%s: '%s', way %zu", rows[i].what, rows[i].bytes, k);
			NEED(ask(&other, cmds[k], F_UNLCK, 0, 0));
		}
	helper_stop(&other);
}

static void fcntl_lives(void)
{
	posix_make("f", 0644, 100);
	int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open("f", O_RDWR));
	struct helper other = helper_start("f");
	NEED(set(a, F_SETLK, F_WRLCK, 0, 0));
	OK(set(b, F_SETLK, F_WRLCK, 0, 10), "another open of the process has the same locks");
	ERR(ask(&other, F_SETLK, F_RDLCK, 0, 1), EAGAIN, "another process has not");
	close(b);
	OK(ask(&other, F_SETLK, F_RDLCK, 0, 1), "close of any descriptor of the file gives up the process's locks");
	NEED(ask(&other, F_SETLK, F_UNLCK, 0, 0));
	NEED(set(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	b = (int)NEED(open("f", O_RDWR));
	ERR(set(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN, "locks of an open file are in the way of another open");
	close(b);
	ERR(ask(&other, F_SETLK, F_RDLCK, 0, 1), EAGAIN, "close of that other leaves them");
	int same = (int)NEED(dup(a));
	close(a);
	ERR(ask(&other, F_SETLK, F_RDLCK, 0, 1), EAGAIN, "close of one of two leaves them");
	close(same);
	OK(ask(&other, F_SETLKW, F_RDLCK, 0, 1), "close of the last gives them up");
	NEED(ask(&other, F_SETLK, F_UNLCK, 0, 0));
	/* a child has none of its parent's */
	a = (int)NEED(open("f", O_RDWR));
	NEED(set(a, F_SETLK, F_WRLCK, 0, 0));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0)
		_exit(set(a, F_SETLK, F_RDLCK, 0, 1) == -1 && errno == EAGAIN ? 0 : 1);
	int status = -1;
	NEED(waitpid(pid, &status, 0));
	EQ(status, 0, "a child inherits no process's locks");
	ERR(ask(&other, F_SETLK, F_RDLCK, 0, 1), EAGAIN, "and its end takes none away");
	NEED(set(a, F_SETLK, F_UNLCK, 0, 0));
	NEED(set(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	pid = (pid_t)NEED(fork());
	if (pid == 0)
		_exit(set(a, F_OFD_SETLK, F_UNLCK, 0, 0) == 0 ? 0 : 1);
	NEED(waitpid(pid, &status, 0));
	OK(ask(&other, F_SETLK, F_WRLCK, 0, 0), "a child's unlock of an open file is the parent's");
	NEED(kill(other.pid, SIGKILL));
	helper_stop(&other);
	OK(set(a, F_SETLK, F_WRLCK, 0, 0), "the dead hold nothing");
	OK(ftruncate(a, 0), "truncation under a lock");
	OK(unlink("f"), "unlink under a lock");
}

static void arguments(void)
{
	posix_make("f", 0644, 100);
	int r = (int)NEED(open("f", O_RDONLY)), w = (int)NEED(open("f", O_WRONLY)), rw = (int)NEED(open("f", O_RDWR)), p = (int)NEED(open("f", O_PATH));
	int d = (int)NEED(open(".", O_RDONLY));
	static const int cmds[] = {F_SETLK, F_OFD_SETLK};
	for (size_t k = 0; k < COUNT_OF(cmds); k++) {
		int c = cmds[k];
		OK(set(r, c, F_RDLCK, 0, 1), "to read, of what is open to read, way %zu", k);
		ERR(set(r, c, F_WRLCK, 0, 1), EBADF, "to write, of what is open to read, way %zu", k);
		NEED(set(r, c, F_UNLCK, 0, 0));
		OK(set(w, c, F_WRLCK, 0, 1), "to write, of what is open to write, way %zu", k);
		ERR(set(w, c, F_RDLCK, 0, 1), EBADF, "to read, of what is open to write, way %zu", k);
		NEED(set(w, c, F_UNLCK, 0, 0));
		ERR(set(p, c, F_RDLCK, 0, 1), EBADF, "of an O_PATH descriptor, way %zu", k);
		ERR(set(12345, c, F_RDLCK, 0, 1), EBADF, "of no descriptor, way %zu", k);
		ERR(set(rw, c, 77, 0, 1), EINVAL, "a type that there is not, way %zu", k);
		ERR(set(rw, c, F_RDLCK, -1, 1), EINVAL, "a start before the file's, way %zu", k);
		ERR(set(rw, c, F_RDLCK, 5, -6), EINVAL, "a length that leads before the start, way %zu", k);
		OK(set(rw, c, F_RDLCK, 5, -5), "a length that leads to the start, way %zu", k);
		OK(set(d, c, F_RDLCK, 0, 1), "of a directory, to read, way %zu", k);
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5};
		OK(fcntl(rw, c, &l), "from the end, way %zu", k);
		l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 3, .l_len = 5};
		OK(fcntl(rw, c, &l), "from the offset, way %zu", k);
		l.l_whence = 9;
		ERR(fcntl(rw, c, &l), EINVAL, "from where there is not, way %zu", k);
		ERR(fcntl(rw, c, posix_bad), EFAULT, "of memory that there is not, way %zu", k);
		ERR(set(rw, c, F_RDLCK, INT64_MAX, 2), EOVERFLOW, "an end that no offset has, way %zu", k);
		NEED(set(rw, c, F_UNLCK, 0, 0));
	}
	struct flock l = range(F_WRLCK, 0, 1);
	l.l_pid = 1;
	ERR(fcntl(rw, F_OFD_SETLK, &l), EINVAL, "an open file's lock with a process");
	/* where the end and the offset are is asked when the lock is taken */
	struct helper other = helper_start("f");
	l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5};
	NEED(fcntl(rw, F_SETLK, &l));
	NEED(ftruncate(rw, 500));
	ERR(ask(&other, F_SETLK, F_RDLCK, 94, 1), EAGAIN, "a lock from the end stays where it was");
	OK(ask(&other, F_SETLK, F_RDLCK, 95, 1000), "and where it was it ends");
	helper_stop(&other);
}

static void nothing(int sig)
{
	(void)sig;
}

static void waiting(void)
{
	posix_make("f", 0644, 100);
	int fd = (int)NEED(open("f", O_RDWR));
	struct helper one = helper_start("f"), two = helper_start("f");
	NEED(set(fd, F_SETLK, F_WRLCK, 0, 100));
	tell(&one, (struct order){.cmd = F_SETLKW, .type = F_WRLCK, .start = 0, .len = 50});
	tell(&two, (struct order){.cmd = F_OFD_SETLKW, .type = F_WRLCK, .start = 60, .len = 10});
	IS(waits(&one), "a waiter of a process waits");
	IS(waits(&two), "a waiter of an open file waits");
	NEED(set(fd, F_SETLK, F_UNLCK, 60, 10));
	OK(answered(&two), "what it waits for is free: it has it");
	IS(waits(&one), "the other waits on");
	NEED(set(fd, F_SETLK, F_UNLCK, 0, 49));
	IS(waits(&one), "all but a byte is not enough");
	NEED(set(fd, F_SETLK, F_UNLCK, 49, 1));
	OK(answered(&one), "now it has it");
	struct flock l = range(F_WRLCK, 0, 50);
	NEED(fcntl(fd, F_GETLK, &l));
	EQ(l.l_pid, one.pid, "F_GETLK names it");
	/* a reader's place is free when the writer becomes a reader */
	NEED(ask(&one, F_SETLK, F_UNLCK, 0, 0));
	NEED(set(fd, F_SETLK, F_WRLCK, 0, 50));
	tell(&one, (struct order){.cmd = F_SETLKW, .type = F_RDLCK, .start = 0, .len = 50});
	IS(waits(&one), "a reader waits for a writer");
	NEED(set(fd, F_SETLK, F_RDLCK, 0, 50));
	OK(answered(&one), "and not for a reader");
	/* by close, and by death */
	NEED(ask(&one, F_SETLK, F_UNLCK, 0, 0));
	NEED(set(fd, F_SETLK, F_WRLCK, 0, 50));
	tell(&one, (struct order){.cmd = F_SETLKW, .type = F_WRLCK, .start = 0, .len = 50});
	IS(waits(&one), "waits for a lock that a close takes away");
	close(fd);
	OK(answered(&one), "which then is free");
	fd = (int)NEED(open("f", O_RDWR));
	NEED(kill(one.pid, SIGKILL));
	OK(set(fd, F_SETLKW, F_WRLCK, 0, 50), "death frees what one waits for");
	helper_stop(&one), helper_stop(&two);
}

static void signals(void)
{
	posix_make("f", 0644, 100);
	struct sigaction act = {.sa_handler = nothing}; /* without SA_RESTART */
	NEED(sigaction(SIGUSR1, &act, NULL));
	static const int kinds[] = {F_SETLKW, F_OFD_SETLKW, -1};
	static const char *const names[] = {"a process's lock", "an open file's lock", "flock"};
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		int fd = (int)NEED(open("f", O_RDWR));
		struct helper one = helper_start("f"), two = helper_start("f");
		NEED(kinds[i] < 0 ? flock(fd, LOCK_EX) : set(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
		struct order order = {.cmd = kinds[i], .how = LOCK_EX, .type = F_WRLCK};
		tell(&one, order);
		tell(&two, order);
		IS(waits(&one), "a waiter for %s", names[i]);
		struct pollfd p = {.fd = one.from, .events = POLLIN};
		do
			NEED(kill(one.pid, SIGUSR1)); /* again, should it have come before the wait began */
		while (poll(&p, 1, 50) == 0);
		ERR(answered(&one), EINTR, "is woken by a signal: %s", names[i]);
		NEED(kill(two.pid, SIGKILL));
		helper_stop(&two);
		close(fd);
		tell(&one, order);
		OK(answered(&one), "who gave up waiting, and who died waiting, hold nothing: %s", names[i]);
		helper_stop(&one);
	}
}

static void deadlocks(void)
{
	posix_make("f", 0644, 100);
	posix_make("g", 0644, 100);
	struct helper a = helper_start("f"), b = helper_start("f"), c = helper_start("f");
	NEED(ask(&a, F_SETLK, F_WRLCK, 0, 1));
	NEED(ask(&b, F_SETLK, F_WRLCK, 1, 1));
	NEED(ask(&c, F_SETLK, F_WRLCK, 2, 1));
	tell(&a, (struct order){.cmd = F_SETLKW, .type = F_WRLCK, .start = 1, .len = 1});
	IS(waits(&a), "the first waits for the second");
	ERR(ask(&b, F_SETLKW, F_WRLCK, 0, 1), EDEADLK, "the second may not wait for the first");
	tell(&b, (struct order){.cmd = F_SETLKW, .type = F_WRLCK, .start = 2, .len = 1});
	IS(waits(&b), "it waits for the third");
	ERR(ask(&c, F_SETLKW, F_WRLCK, 0, 1), EDEADLK, "who may not wait for the first: a circle of three");
	OK(ask(&c, F_SETLK, F_UNLCK, 2, 1), "it unlocks");
	OK(answered(&b), "the second has it");
	OK(ask(&b, F_SETLK, F_UNLCK, 0, 0), "and unlocks all");
	OK(answered(&a), "the first has what it waited for");
	ERR(ask(&c, F_SETLK, F_WRLCK, 0, 1), EAGAIN, "who does not wait is told so");
	helper_stop(&a), helper_stop(&b), helper_stop(&c);
}

/* What locks are for: a counter in a file, kept by several processes. */
static void counting(void)
{
	static const struct {
		const char *name;
		int lock, unlock;
	} ways[] = {{"flock", -1, -1}, {"a process's", F_SETLKW, F_SETLK}, {"an open file's", F_OFD_SETLKW, F_OFD_SETLK}};
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		const char *f = posix_path("f%zu", w);
		posix_make(f, 0644, 0);
		pid_t pids[4];
		for (size_t i = 0; i < COUNT_OF(pids); i++) {
			pids[i] = (pid_t)NEED(fork());
			if (pids[i] != 0)
				continue;
			int fd = open(f, O_RDWR), ok = 1;
			for (int k = 0; k < 15 && ok; k++) {
				int value = 0;
				ok = (ways[w].lock < 0 ? flock(fd, LOCK_EX) : set(fd, ways[w].lock, F_WRLCK, 0, 0)) == 0 &&
				     pread(fd, &value, sizeof(value), 0) >= 0;
				value++;
				ok = ok && pwrite(fd, &value, sizeof(value), 0) == sizeof(value) &&
				     (ways[w].lock < 0 ? flock(fd, LOCK_UN) : set(fd, ways[w].unlock, F_UNLCK, 0, 0)) == 0;
			}
			_exit(ok ? 0 : 1);
		}
		int bad = 0, value = 0;
		for (size_t i = 0; i < COUNT_OF(pids); i++) {
			int status = 0;
			NEED(waitpid(pids[i], &status, 0));
			bad += status != 0;
		}
		EQ(bad, 0, "four processes count under %s lock", ways[w].name);
		int fd = (int)NEED(open(f, O_RDONLY));
		NEED(pread(fd, &value, sizeof(value), 0));
		EQ(value, 60, "and none is lost under %s lock", ways[w].name);
		close(fd);
	}
}

const struct posix_case posix_cases_lock[] = {{"flock_conflicts", flock_conflicts}, {"flock_lives", flock_lives}, {"flock_waits", flock_waits},
					      {"fcntl_conflicts", fcntl_conflicts}, {"getlk", getlk}, {"cutting_and_joining", cutting_and_joining},
					      {"fcntl_lives", fcntl_lives}, {"arguments", arguments}, {"waiting", waiting}, {"signals", signals},
					      {"deadlocks", deadlocks}, {"counting", counting}, {0}};
