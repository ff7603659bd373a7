/* SPDX-License-Identifier: Apache-2.0
 * posix_suite DIR [--second DIR] [--filter X] [--jobs N] [--results FILE]: runs every case in a directory of its own below DIR, each in a child
 * with a time limit, N at a time, and counts assertions. --second is the same directory by another mount, for the family `two`; without it, it is
 * DIR itself. Owns the counters (shared with children). Must never write outside DIR and FILE. */
#include "tests/posix/posix.h"

#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define CASE_SECONDS 300
#define JOBS_MAX     16
#define NOT_ROOT     77

static struct counts {
	unsigned long passed, failed;
} *counts;
static const char *case_name = "";
static char second[PATH_MAX + 256]; /* the directory of the case by the second mount */
static int results_fd = -1;

const struct posix_user posix_root = {"root", 0, 0, 0};
const struct posix_user posix_other = {"other", OTHER_UID, OTHER_GID, 0};
const struct posix_user posix_member = {"member", MEMBER_UID, MEMBER_UID, FILE_GID};
const struct posix_user posix_owner = {"owner", 1234, 1234, 0};

void *const posix_bad = (void *)64;

static bool judge(bool held, const char *expected, const char *got, const char *format, va_list args)
{
	char what[512], line[1200];
	vsnprintf(what, sizeof(what), format, args);
	__atomic_fetch_add(held ? &counts->passed : &counts->failed, 1, __ATOMIC_RELAXED); /* several cases at a time */
	if (!held) {
		int n = snprintf(line, sizeof(line), "FAIL %s: %s: expected %s, got %s\n", case_name, what, expected, got);
		if (write(STDOUT_FILENO, line, (size_t)n) != n)
			_exit(201);
	}
	if (results_fd >= 0) {
		int n = snprintf(line, sizeof(line), "%s %s: %s\n", held ? "ok" : "FAIL", case_name, what);
		if (write(results_fd, line, (size_t)n) != n)
			_exit(201);
	}
	return held;
}

static const char *error_name(long long got, int error, char *buf, size_t size)
{
	const char *name = strerrorname_np(error);
	if (got >= 0)
		snprintf(buf, size, "success (%lld)", got);
	else
		snprintf(buf, size, "%s", name ? name : "an unknown errno");
	return buf;
}

bool posix_ok(long long got, const char *what, ...)
{
	int error = errno;
	char text[64];
	va_list args;
	va_start(args, what);
	bool held = judge(got >= 0, "success", error_name(got, error, text, sizeof(text)), what, args);
	va_end(args);
	return held;
}

bool posix_err(long long got, int want, const char *what, ...)
{
	int error = errno;
	char text[64], wanted[64];
	va_list args;
	va_start(args, what);
	bool held = judge(got < 0 && error == want, error_name(-1, want, wanted, sizeof(wanted)),
			  error_name(got, error, text, sizeof(text)), what, args);
	va_end(args);
	return held;
}

bool posix_eq(long long got, long long want, const char *what, ...)
{
	char text[32], wanted[32];
	va_list args;
	snprintf(text, sizeof(text), "%lld", got);
	snprintf(wanted, sizeof(wanted), "%lld", want);
	va_start(args, what);
	bool held = judge(got == want, wanted, text, what, args);
	va_end(args);
	return held;
}

long long posix_need(long long got, const char *call, int line)
{
	if (got < 0) {
		const char *name = strerrorname_np(errno);
		dprintf(STDOUT_FILENO, "%s, line %d: %s\n", case_name, line, name ? name : "?");
		posix_eq(0, 1, "needs %s", call);
		_exit(200);
	}
	return got;
}

void posix_become(const struct posix_user *user)
{
	NEED(seteuid(0)); /* who is nobody in particular may not take on another's groups */
	NEED(setgroups(user->extra ? 1 : 0, &user->extra));
	NEED(setresgid((gid_t)-1, user->gid, (gid_t)-1));
	NEED(setresuid((uid_t)-1, user->uid, (uid_t)-1));
}

int posix_child(int (*run)(const void *), const void *arg)
{
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0)
		_exit(run(arg));
	int status = 0;
	NEED(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

const char *posix_path(const char *format, ...)
{
	static char bufs[16][600];
	static unsigned next;
	char *buf = bufs[next++ % COUNT_OF(bufs)];
	va_list args;
	va_start(args, format);
	vsnprintf(buf, sizeof(bufs[0]), format, args);
	va_end(args);
	return buf;
}

unsigned char posix_byte(size_t offset)
{
	return (unsigned char)(offset * 31 + offset / 251 + 7);
}

void posix_fill(unsigned char *buf, size_t size, size_t offset)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = posix_byte(offset + i);
}

void posix_make(const char *path, mode_t mode, size_t size)
{
	static unsigned char buf[65536];
	int fd = (int)NEED(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);
		posix_fill(buf, n, at);
		NEED(write(fd, buf, n) == (ssize_t)n ? 0 : -1);
		at += n;
	}
	NEED(fchmod(fd, mode));
	NEED(close(fd));
}

struct stat posix_stat(const char *path)
{
	struct stat st = {0};
	if (lstat(path, &st) != 0)
		memset(&st, 0, sizeof(st));
	return st;
}

void posix_pause(void)
{
	struct timespec t = {0, 12 * 1000 * 1000};
	nanosleep(&t, NULL);
}

void posix_open_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

const char *posix_name(char fill, size_t length)
{
	static char bufs[4][PATH_MAX + 16];
	static unsigned next;
	char *buf = bufs[next++ % COUNT_OF(bufs)];
	memset(buf, fill, length);
	buf[length] = 0;
	return buf;
}

const char *posix_second(const char *path)
{
	return posix_path("%s/%s", second, path);
}

/* The cases that run now. */
static struct running {
	pid_t pid; /* 0: free */
	char name[128];
} running[JOBS_MAX];

static void wait_for_one(void)
{
	int status = 0;
	pid_t pid = (pid_t)NEED(wait(&status));
	for (size_t i = 0; i < COUNT_OF(running); i++) {
		if (running[i].pid != pid)
			continue;
		case_name = running[i].name;
		if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 200))
			posix_eq(status, 0, "the case runs to its end");
		running[i].pid = 0;
	}
}

static void start_case(struct running *at, const char *dir, const char *dir2, const char *family, const struct posix_case *c)
{
	static char path[PATH_MAX + 256];
	snprintf(at->name, sizeof(at->name), "%s_%s", family, c->name);
	snprintf(path, sizeof(path), "%s/%s", dir, at->name);
	snprintf(second, sizeof(second), "%s/%s", dir2, at->name);
	case_name = at->name;
	NEED(mkdir(path, 0777));
	NEED(chmod(path, 0777));
	fflush(stdout);
	at->pid = (pid_t)NEED(fork());
	if (at->pid != 0)
		return;
	umask(0);
	alarm(CASE_SECONDS);
	NEED(chdir(path));
	c->run();
	_exit(0);
}

/* All whose names hold the filter, `jobs` at a time. Returns how many. */
static unsigned run_cases(const char *dir, const char *dir2, const char *filter, unsigned jobs)
{
	static const struct {
		const char *name;
		const struct posix_case *cases;
	} families[] = {
#define ROW(name) {#name, posix_cases_##name},
		POSIX_FAMILIES(ROW)
#undef ROW
	};
	unsigned cases = 0, ended = 0;
	for (size_t f = 0; f < COUNT_OF(families); f++)
		for (const struct posix_case *c = families[f].cases; c->name; c++) {
			if (!strstr(posix_path("%s_%s", families[f].name, c->name), filter))
				continue;
			if (cases - ended == jobs) {
				wait_for_one();
				ended++;
			}
			size_t at = 0;
			while (running[at].pid != 0)
				at++;
			start_case(&running[at], dir, dir2, families[f].name, c);
			cases++;
		}
	for (; ended < cases; ended++)
		wait_for_one();
	return cases;
}

int main(int argc, char **argv)
{
	const char *dir = NULL, *dir2 = NULL, *filter = "";
	unsigned long jobs = 1;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
			filter = argv[++i];
		else if (strcmp(argv[i], "--second") == 0 && i + 1 < argc)
			dir2 = argv[++i];
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--results") == 0 && i + 1 < argc)
			results_fd = open(argv[++i], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
		else
			dir = argv[i];
	}
	if (!dir || dir[0] == '-' || jobs < 1 || jobs > JOBS_MAX) {
		fprintf(stderr, "usage: posix_suite DIR [--second DIR] [--filter X] [--jobs 1…%d] [--results FILE]\n", JOBS_MAX);
		return 2;
	}
	static char absolute[PATH_MAX]; /* cases change their directory */
	if (!realpath(dir2 ? dir2 : dir, absolute)) {
		perror(dir2 ? dir2 : dir);
		return 2;
	}
	if (geteuid() != 0) {
		printf("skipped: the suite changes its user: it needs root\n");
		return NOT_ROOT;
	}
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return 2;
	unsigned cases = run_cases(dir, absolute, filter, (unsigned)jobs);
	printf("%u cases, %lu assertions: %lu passed, %lu failed\n", cases, counts->passed + counts->failed, counts->passed, counts->failed);
	return counts->failed ? 1 : 0;
}
