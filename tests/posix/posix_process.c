/* SPDX-License-Identifier: Apache-2.0
 * What processes are to a file system: programs that are executed, working directories and roots, descriptors over fork and exec, signals,
 * waiting, and the way that editors, databases, mail and build tools go about files. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

/* Runs the file; what it ends with; -N: signal N; 200 + errno % 50 where it cannot be run. */
static int run(const char *path, char *const argv[])
{
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		char *none[] = {NULL};
		execve(path, argv, none);
		_exit(200 + errno % 50);
	}
	int status = 0;
	NEED(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define CANNOT(error) (200 + (error) % 50)

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = (int)NEED(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	NEED(write(fd, text, strlen(text)));
	NEED(fchmod(fd, mode));
	NEED(close(fd));
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	int in = (int)NEED(open(from, O_RDONLY)), out = (int)NEED(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	struct stat st;
	NEED(fstat(in, &st));
	for (off_t at = 0; at < st.st_size;)
		NEED(sendfile(out, in, &at, (size_t)(st.st_size - at)));
	NEED(fchmod(out, mode));
	close(in), close(out);
}

static void executing(void)
{
	char *seven[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)"exit 7", NULL};
	char *script[] = {(char *)(uintptr_t)"script", NULL};
	copy_file("/bin/sh", "sh", 0755);
	EQ(run("./sh", seven), 7, "a program of the mount is run");
	EQ(run("./sh", seven), 7, "and again, from what is cached");
	write_file("script", "#!/bin/sh\nexit 9\n", 0755);
	EQ(run("./script", script), 9, "a script of the mount is run");
	write_file("own", posix_path("#!%s/sh\nexit 11\n", getcwd((char[PATH_MAX]){0}, PATH_MAX)), 0755);
	EQ(run("./own", script), 11, "a script whose interpreter is on the mount");
	NEED(chmod("script", 0644));
	EQ(run("./script", script), CANNOT(EACCES), "not without the right");
	write_file("noise", "neither a program nor a script", 0755);
	EQ(run("./noise", script), CANNOT(ENOEXEC), "not what is none");
	write_file("empty", "", 0755);
	EQ(run("./empty", script), CANNOT(ENOEXEC), "nor what is empty");
	write_file("lost", "#!/no/such/interpreter\n", 0755);
	EQ(run("./lost", script), CANNOT(ENOENT), "nor what has no interpreter");
	NEED(symlink("sh", "link"));
	EQ(run("./link", seven), 7, "through a link");
	NEED(rename("sh", "moved"));
	EQ(run("./moved", seven), 7, "after a rename");
	/* to run is not to read */
	NEED(chmod("moved", 0711));
	posix_become(&posix_other);
	ERR(open("moved", O_RDONLY), EACCES, "a program that one may not read");
	posix_become(&posix_root);
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		NEED(setresgid(OTHER_GID, OTHER_GID, OTHER_GID));
		NEED(setresuid(OTHER_UID, OTHER_UID, OTHER_UID));
		_exit(run("./moved", seven));
	}
	int status = 0;
	NEED(waitpid(pid, &status, 0));
	EQ(WEXITSTATUS(status), 7, "may be run all the same");
}

/* What runs is not written, and what is written does not run. */
static void text_busy(void)
{
	char *seven[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)"exit 7", NULL};
	copy_file("/bin/sh", "moved", 0755);
	char *sleeper[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)"read x", NULL};
	int pipes[2], status = 0;
	NEED(pipe(pipes));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		dup2(pipes[0], 0);
		fcntl(pipes[1], F_SETFD, FD_CLOEXEC);
		execve("./moved", sleeper, (char *[]){NULL});
		_exit(1);
	}
	close(pipes[0]);
	/* until the exec has happened */
	char exe[PATH_MAX], self[PATH_MAX];
	for (ssize_t n = 0; n <= 0 || strstr(exe, "moved") == NULL; sched_yield()) {
		n = readlink(posix_path("/proc/%d/exe", pid), exe, sizeof(exe) - 1);
		exe[n > 0 ? n : 0] = 0;
	}
	ERR(open("moved", O_WRONLY), ETXTBSY, "a program that runs is not opened to write");
	ERR(truncate("moved", 0), ETXTBSY, "nor truncated");
	OK(rename("moved", "running"), "but renamed");
	OK(unlink("running"), "and unlinked");
	NEED(close(pipes[1]));
	NEED(waitpid(pid, &status, 0));
	EQ(WIFEXITED(status), 1, "it runs to its end, without a name");
	IS(readlink("/proc/self/cwd", self, sizeof(self)) > 0, "proc knows the working directory");
	/* while it is open to write, nobody runs it */
	copy_file("/bin/sh", "sh", 0755);
	int w = (int)NEED(open("sh", O_WRONLY));
	EQ(run("./sh", seven), CANNOT(ETXTBSY), "a program that is open to write is not run");
	close(w);
	EQ(run("./sh", seven), 7, "and is when it is closed");
	int fd = (int)NEED(open("sh", O_RDONLY)), path = (int)NEED(open("sh", O_PATH | O_CLOEXEC));
	pid = (pid_t)NEED(fork());
	if (pid == 0) {
		fexecve(fd, seven, (char *[]){NULL});
		_exit(1);
	}
	NEED(waitpid(pid, &status, 0));
	EQ(WEXITSTATUS(status), 7, "fexecve");
	pid = (pid_t)NEED(fork());
	if (pid == 0) {
		execveat(path, "", seven, (char *[]){NULL}, AT_EMPTY_PATH);
		_exit(1);
	}
	NEED(waitpid(pid, &status, 0));
	EQ(WEXITSTATUS(status), 7, "execveat of an O_PATH descriptor");
}

static int id_is(const void *arg)
{
	/* the shell's own -p keeps effective ids */
	char *test[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-p", (char *)(uintptr_t)"-c", (char *)(uintptr_t)arg, NULL};
	if (setresgid(OTHER_GID, OTHER_GID, OTHER_GID) != 0 || setresuid(OTHER_UID, OTHER_UID, OTHER_UID) != 0)
		return 100;
	return run("./sh", test);
}

static void set_id(void)
{
	copy_file("/bin/sh", "sh", 0755);
	/* what the process is, by what it may do: the file is for 1234 only, the other for the group 777 */
	posix_make("users", 0600, 1);
	NEED(chown("users", posix_owner.uid, 0));
	posix_make("groups", 0040, 1);
	NEED(chown("groups", 0, FILE_GID));
	static const char *const user = "exec 2>&-; read x <users; test $? -lt 2", *const group = "exec 2>&-; read x <groups; test $? -lt 2";
	IS(posix_child(id_is, user) != 0, "without set-id the user is the caller");
	NEED(chown("sh", posix_owner.uid, FILE_GID));
	NEED(chmod("sh", 04755));
	EQ(posix_child(id_is, user), 0, "set-user-id gives the owner's rights");
	IS(posix_child(id_is, group) != 0, "and not the group's");
	NEED(chmod("sh", 02755));
	EQ(posix_child(id_is, group), 0, "set-group-id gives the group's");
	IS(posix_child(id_is, user) != 0, "and not the owner's");
	NEED(chmod("sh", 06755));
	EQ(posix_child(id_is, user), 0, "both give both: the owner's");
	EQ(posix_child(id_is, group), 0, "and the group's");
	NEED(chown("sh", posix_owner.uid, FILE_GID));
	IS(posix_child(id_is, user) != 0, "chown takes it away");
}

static void descriptors_over_exec(void)
{
	posix_make("f", 0644, 100);
	int kept = (int)NEED(open("f", O_RDWR)), closed = (int)NEED(open("f", O_RDWR | O_CLOEXEC));
	const char *command = posix_path("test -e /proc/$$/fd/%d && test ! -e /proc/$$/fd/%d", kept, closed);
	char *test[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)command, NULL};
	EQ(run("/bin/sh", test), 0, "O_CLOEXEC closes over exec, and nothing else does");
	char *writes[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)posix_path("printf child >&%d", kept), NULL};
	EQ(run("/bin/sh", writes), 0, "a program writes to what it was given");
	EQ(lseek(kept, 0, SEEK_CUR), 5, "its offset is shared");
	OK(fcntl(kept, F_SETFD, FD_CLOEXEC), "FD_CLOEXEC later");
	EQ(fcntl(kept, F_GETFD), FD_CLOEXEC, "is kept");
	int other = (int)NEED(fcntl(kept, F_DUPFD_CLOEXEC, 50));
	IS(other >= 50, "F_DUPFD_CLOEXEC from 50 on");
	EQ(fcntl(other, F_GETFD), FD_CLOEXEC, "with the flag");
	EQ(dup2(kept, other), other, "dup2 over it");
	EQ(fcntl(other, F_GETFD), 0, "without the flag");
	EQ(dup3(kept, other, O_CLOEXEC), other, "dup3 with it");
	ERR(dup3(kept, kept, 0), EINVAL, "dup3 onto itself");
	struct pollfd p = {.fd = kept, .events = POLLIN | POLLOUT};
	EQ(poll(&p, 1, 0), 1, "a file is always ready");
	EQ(p.revents, POLLIN | POLLOUT, "to read and to write");
	int e = (int)NEED(epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN};
	int rc = epoll_ctl(e, EPOLL_CTL_ADD, kept, &event);
	IS(rc == 0 ? epoll_wait(e, &event, 1, 0) == 1 : errno == EPERM, "epoll says the same, or that it takes no files");
}

static void roots(void)
{
	struct stat st, root;
	NEED(mkdir("jail", 0755));
	posix_make("jail/in", 0644, 3);
	posix_make("out", 0644, 4);
	NEED(symlink("/in", "jail/abs"));
	NEED(symlink("../../out", "jail/up"));
	int outside = (int)NEED(open(".", O_RDONLY | O_DIRECTORY));
	OK(chroot("jail"), "chroot");
	OK(chdir("/"), "to the new root");
	OK(stat("/in", &st), "names from the new root");
	OK(stat("/abs", &st), "an absolute link leads from it");
	EQ(st.st_size, 3, "to what is in it");
	ERR(stat("/up", &st), ENOENT, "dot-dot does not lead out");
	NEED(stat("/", &root));
	NEED(stat("/..", &st));
	EQ(st.st_ino, root.st_ino, "dot-dot of the root is the root");
	OK(fstatat(outside, "out", &st, 0), "a descriptor from before leads out");
	char cwd[PATH_MAX];
	NEED(getcwd(cwd, sizeof(cwd)) ? 0 : -1);
	IS(strcmp(cwd, "/") == 0, "getcwd says so");
	NEED(fchdir(outside));
	OK(chroot("."), "chroot once more");
	OK(stat("/out", &st), "to the outer");
}

/* As editors do: write beside, sync, rename over; readers see the old or the new, whole. */
static void replacing(void)
{
	static char text[50000], seen[60000];
	memset(text, 'a', sizeof(text));
	int fd = (int)NEED(open("doc", O_WRONLY | O_CREAT, 0644));
	NEED(write(fd, text, sizeof(text)));
	NEED(close(fd));
	pid_t pid = (pid_t)NEED(fork());
	if (pid == 0) {
		for (int i = 1; i <= 20; i++) {
			memset(text, 'a' + i, sizeof(text));
			int w = open("doc.new", O_WRONLY | O_CREAT | O_EXCL, 0644);
			if (w < 0 || write(w, text, sizeof(text)) != sizeof(text) || fsync(w) != 0 || close(w) != 0 ||
			    rename("doc.new", "doc") != 0)
				_exit(1);
		}
		_exit(0);
	}
	int broken = 0, reads = 0, status = 0;
	char last = 'a';
	do {
		int r = open("doc", O_RDONLY);
		ssize_t n = r >= 0 ? read(r, seen, sizeof(seen)) : -1;
		bool whole = n == sizeof(text) && seen[0] >= last;
		for (size_t i = 0; whole && i < sizeof(text); i++)
			whole = seen[i] == seen[0];
		broken += !whole;
		last = seen[0];
		reads++;
		posix_open_close(r);
	} while (waitpid(pid, &status, WNOHANG) == 0);
	EQ(status, 0, "the writer replaces a file twenty times");
	EQ(broken, 0, "no reader ever sees a part, or none, or one before the last");
	IS(reads > 1, "there were readers");
	EQ(posix_stat("doc").st_nlink, 1, "one name is left");
	ERR(access("doc.new", F_OK), ENOENT, "and nothing beside it");
}

/* As mail and lock files do: link is atomic, O_EXCL is atomic, mkdir is atomic, rename to a name that is taken is not made. */
static void one_winner(void)
{
	static const char *const ways[] = {"O_EXCL", "link", "mkdir", "symlink", "noreplace"};
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		int wins = 0, losses = 0, status;
		for (int i = 0; i < 6; i++) {
			pid_t pid = (pid_t)NEED(fork());
			if (pid != 0)
				continue;
			const char *lock = posix_path("lock%zu", w), *own = posix_path("own%zu.%d", w, i);
			if (w == 1 || w == 4)
				posix_open_close(open(own, O_WRONLY | O_CREAT | O_EXCL, 0644));
			int rc = w == 0 ? open(lock, O_WRONLY | O_CREAT | O_EXCL, 0644)
				 : w == 1 ? link(own, lock)
				 : w == 2 ? mkdir(lock, 0755)
				 : w == 3 ? symlink(own, lock)
					  : renameat2(AT_FDCWD, own, AT_FDCWD, lock, RENAME_NOREPLACE);
			_exit(rc >= 0 ? 0 : errno == EEXIST ? 1 : 2);
		}
		for (int i = 0; i < 6; i++) {
			NEED(wait(&status));
			wins += WEXITSTATUS(status) == 0;
			losses += WEXITSTATUS(status) == 1;
		}
		EQ(wins, 1, "one of six wins by %s", ways[w]);
		EQ(losses, 5, "and five are told that they did not, by %s", ways[w]);
	}
}

/* As build tools do: many files from several processes in one directory. */
static void side_by_side(void)
{
	int bad = 0, status;
	NEED(mkdir("d", 0755));
	for (int p = 0; p < 4; p++) {
		pid_t pid = (pid_t)NEED(fork());
		if (pid != 0)
			continue;
		for (int i = 0; i < 15; i++) {
			const char *f = posix_path("d/p%d.%d", p, i), *g = posix_path("d/q%d.%d", p, i);
			int fd = open(f, O_RDWR | O_CREAT | O_EXCL, 0644);
			if (fd < 0 || write(fd, &i, sizeof(i)) != sizeof(i) || close(fd) != 0 || rename(f, g) != 0 ||
			    (i % 3 == 0 && unlink(g) != 0))
				_exit(1);
		}
		_exit(0);
	}
	for (int p = 0; p < 4; p++) {
		NEED(wait(&status));
		bad += status != 0;
	}
	EQ(bad, 0, "four processes make, rename and remove in one directory");
	DIR *dir = opendir("d");
	int count = 0, right = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		int p, i, value = -1;
		if (sscanf(e->d_name, "q%d.%d", &p, &i) != 2)
			continue;
		count++;
		int fd = open(posix_path("d/%s", e->d_name), O_RDONLY);
		right += read(fd, &value, sizeof(value)) == sizeof(value) && value == i;
		posix_open_close(fd);
	}
	closedir(dir);
	EQ(count, 40, "all that should be there is");
	EQ(right, 40, "with what belongs into it");
}

/* As databases do: a journal that is synced before the file, and truncated after it; then both are looked at as after a crash. */
static void journal(void)
{
	struct {
		off_t at;
		char data[100];
	} record;
	int db = (int)NEED(open("db", O_RDWR | O_CREAT, 0644)), log = (int)NEED(open("db-journal", O_RDWR | O_CREAT | O_DSYNC, 0644));
	int dir = (int)NEED(open(".", O_RDONLY | O_DIRECTORY)), right = 0;
	NEED(fsync(dir));
	for (int i = 0; i < 25; i++) {
		record.at = (i * 37 % 25) * 100;
		memset(record.data, 'A' + i, sizeof(record.data));
		bool ok = pwrite(log, &record, sizeof(record), 0) == sizeof(record) && fdatasync(log) == 0 &&
			  pwrite(db, record.data, sizeof(record.data), record.at) == sizeof(record.data) && fdatasync(db) == 0 &&
			  ftruncate(log, 0) == 0;
		right += ok;
	}
	EQ(right, 25, "a journal is written, applied and cut off");
	EQ(posix_stat("db").st_size, 2500, "the file's size");
	EQ(posix_stat("db-journal").st_size, 0, "the journal's");
	int whole = 0;
	for (int i = 0; i < 25; i++) {
		char data[100];
		NEED(pread(db, data, sizeof(data), (i * 37 % 25) * 100));
		whole += data[0] == 'A' + i && data[99] == 'A' + i;
	}
	EQ(whole, 25, "every record is there");
	OK(unlink("db-journal"), "the journal is removed");
	OK(fsync(dir), "and the directory synced");
}

static void signals(void)
{
	/* one that comes in the middle of much reading and writing spoils nothing */
	static unsigned char buf[1 << 20], back[1 << 20];
	struct sigaction act = {.sa_handler = SIG_IGN};
	NEED(sigaction(SIGUSR1, &act, NULL));
	pid_t parent = getpid(), pid = (pid_t)NEED(fork());
	if (pid == 0) {
		NEED(prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;)
			if (kill(parent, SIGUSR1) != 0)
				_exit(0);
			else
				sched_yield();
	}
	int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644)), right = 0;
	for (int i = 0; i < 8; i++) {
		posix_fill(buf, sizeof(buf), (size_t)i);
		right += pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf) && pread(fd, back, sizeof(back), 0) == sizeof(back) &&
			 memcmp(buf, back, sizeof(buf)) == 0 && mkdir(posix_path("d%d", i), 0755) == 0 && fsync(fd) == 0;
	}
	NEED(kill(pid, SIGKILL));
	NEED(waitpid(pid, NULL, 0));
	EQ(right, 8, "signals that are ignored interrupt nothing");
}

const struct posix_case posix_cases_process[] = {{"executing", executing}, {"text_busy", text_busy}, {"set_id", set_id},
						 {"descriptors_over_exec", descriptors_over_exec},
						 {"roots", roots}, {"replacing", replacing}, {"one_winner", one_winner},
						 {"side_by_side", side_by_side}, {"journal", journal}, {"signals", signals}, {0}};
