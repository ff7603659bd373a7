/* SPDX-License-Identifier: Apache-2.0
 * What the new inherits (umask, setgid directories), and how set-id bits go when somebody changes the file. Owns no state. */
#include "tests/posix/posix.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void masks(void)
{
	static const mode_t values[] = {0, 022, 027, 077, 0777, 0111, 0222, 0444, 0123};
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		mode_t m = values[i];
		umask(m);
		const char *f = posix_path("f%zu", i), *d = posix_path("d%zu", i), *p = posix_path("p%zu", i);
		posix_open_close(open(f, O_RDWR | O_CREAT | O_EXCL, 06777));
		EQ(posix_stat(f).st_mode, S_IFREG | (06777 & ~m), "open's mode under umask %o", m);
		NEED(mkdir(d, 01777));
		EQ(posix_stat(d).st_mode, S_IFDIR | (01777 & ~m), "mkdir's mode under umask %o", m);
		NEED(mknod(p, S_IFIFO | 0666, 0));
		EQ(posix_stat(p).st_mode, S_IFIFO | (0666 & ~m), "mknod's mode under umask %o", m);
		OK(chmod(f, 0777), "chmod under umask %o", m);
		EQ(posix_stat(f).st_mode & 07777, 0777, "chmod has no umask %o", m);
	}
	umask(0);
	NEED(mkdir("bits", 07777));
	EQ(posix_stat("bits").st_mode & 07777, 01777, "Linux: mkdir takes the sticky bit, not the set-id ones");
	OK(chmod("bits", 07777), "chmod gives them all");
	EQ(posix_stat("bits").st_mode & 07777, 07777, "all bits of a directory");
}

static void setgid_directory(void)
{
	static const struct posix_user *const users[] = {&posix_root, &posix_owner, &posix_member, &posix_other};
	NEED(mkdir("d", 0777));
	NEED(chown("d", 0, FILE_GID));
	NEED(chmod("d", 02777));
	for (size_t i = 0; i < COUNT_OF(users); i++) {
		const struct posix_user *u = users[i];
		bool member = u == &posix_root || u == &posix_member;
		posix_become(u);
		const char *f = posix_path("d/f%zu", i), *s = posix_path("d/s%zu", i), *n = posix_path("d/n%zu", i), *sub = posix_path("d/sub%zu", i);
		NEED(mknod(f, S_IFREG | 0644, 0));
		EQ(posix_stat(f).st_gid, FILE_GID, "a file of %s has the directory's group", u->name);
		EQ(posix_stat(f).st_uid, u->uid, "a file of %s has its maker's owner", u->name);
		EQ(posix_stat(f).st_mode & 07777, 0644, "a file of %s has no setgid", u->name);
		NEED(mkdir(sub, 0755));
		EQ(posix_stat(sub).st_gid, FILE_GID, "a directory of %s has the directory's group", u->name);
		EQ(posix_stat(sub).st_mode & 07777, 02755, "a directory of %s has setgid", u->name);
		NEED(mkdir(posix_path("%s/deep", sub), 0700));
		EQ(posix_stat(posix_path("%s/deep", sub)).st_mode & 07777, 02700, "and so has one in it, of %s", u->name);
		EQ(posix_stat(posix_path("%s/deep", sub)).st_gid, FILE_GID, "with the group, of %s", u->name);
		NEED(symlink("x", s));
		EQ(posix_stat(s).st_gid, FILE_GID, "a symlink of %s has the directory's group", u->name);
		NEED(mkfifo(posix_path("d/p%zu", i), 0600));
		EQ(posix_stat(posix_path("d/p%zu", i)).st_gid, FILE_GID, "a fifo of %s has the directory's group", u->name);
		/* setgid to execute is for members of the group */
		posix_open_close(open(n, O_RDWR | O_CREAT | O_EXCL, 02755));
		EQ(posix_stat(n).st_mode & 07777, member ? 02755 : 0755, "setgid asked for by %s", u->name);
		posix_open_close(open(posix_path("%s.m", n), O_RDWR | O_CREAT | O_EXCL, 02745));
		EQ(posix_stat(posix_path("%s.m", n)).st_mode & 07777, 02745, "setgid without execution asked for by %s", u->name);
		posix_become(&posix_root);
	}
	/* moved and linked is not made */
	NEED(mknod("moved", S_IFREG | 0644, 0));
	NEED(mkdir("moved_dir", 0755));
	NEED(rename("moved", "d/moved"));
	NEED(rename("moved_dir", "d/moved_dir"));
	NEED(mknod("linked", S_IFREG | 0644, 0));
	NEED(link("linked", "d/linked"));
	EQ(posix_stat("d/moved").st_gid, 0, "a file moved in keeps its group");
	EQ(posix_stat("d/moved_dir").st_gid, 0, "a directory moved in keeps its group");
	EQ(posix_stat("d/moved_dir").st_mode & 07777, 0755, "and its mode");
	EQ(posix_stat("d/linked").st_gid, 0, "a file linked in keeps its group");
	NEED(chmod("d", 0777));
	NEED(mknod("d/after", S_IFREG | 0644, 0));
	EQ(posix_stat("d/after").st_gid, 0, "without setgid the maker's group");
	EQ(posix_stat("d/sub0").st_mode & 07777, 02755, "what was made before keeps setgid");
	NEED(chown("d/sub0", 5, 6));
	EQ(posix_stat("d/sub0").st_mode & 07777, 02755, "chown leaves a directory its setgid");
}

/* Each way to change a file's bytes or owner, on a fresh file that is open for it. Negative: it failed. */
static int do_write(const char *f, int fd) { (void)f; return (int)write(fd, "x", 1); }
static int do_pwrite(const char *f, int fd) { (void)f; return (int)pwrite(fd, "x", 1, 5); }
static int do_writev(const char *f, int fd)
{
	struct iovec v = {(void *)(uintptr_t)"xy", 2};
	(void)f;
	return (int)writev(fd, &v, 1);
}
static int do_append(const char *f, int fd)
{
	int a = open(f, O_WRONLY | O_APPEND), rc = (int)write(a, "x", 1);
	(void)fd;
	posix_open_close(a);
	return rc;
}
static int do_direct(const char *f, int fd)
{
	static char page[4096] __attribute__((aligned(4096)));
	int d = open(f, O_WRONLY | O_DIRECT), rc = (int)write(d, page, sizeof(page));
	(void)fd;
	posix_open_close(d);
	return rc;
}
static int do_truncate(const char *f, int fd) { (void)fd; return truncate(f, 3); }
static int do_ftruncate(const char *f, int fd) { (void)f; return ftruncate(fd, 3); }
static int do_grow(const char *f, int fd) { (void)f; return ftruncate(fd, 100); }
static int do_otrunc(const char *f, int fd)
{
	int t = open(f, O_WRONLY | O_TRUNC);
	(void)fd;
	posix_open_close(t);
	return t;
}
static int do_copy(const char *f, int fd)
{
	off_t from = 0;
	(void)f;
	return (int)copy_file_range(fd, &from, fd, &(off_t){7}, 2, 0);
}
static int do_sendfile(const char *f, int fd)
{
	int in = open(f, O_RDONLY), rc = (int)sendfile(fd, in, &(off_t){2}, 3);
	posix_open_close(in);
	return rc;
}
static int do_fallocate(const char *f, int fd) { (void)f; return fallocate(fd, 0, 0, 50); }
static int do_punch(const char *f, int fd) { (void)f; return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5); }
static int do_nothing(const char *f, int fd) { (void)f; return (int)write(fd, "", 0); }
static int do_read(const char *f, int fd)
{
	char c;
	(void)f;
	return (int)read(fd, &c, 1);
}
static int do_xattr(const char *f, int fd) { (void)f; return fsetxattr(fd, "user.x", "1", 1, 0); }
static int do_touch(const char *f, int fd) { (void)fd; return utimensat(AT_FDCWD, f, NULL, 0); }
static int do_fsync(const char *f, int fd) { (void)f; return fsync(fd); }

static const struct {
	const char *name;
	int (*run)(const char *path, int fd);
	bool strips;
} changes[] = {
	{"write", do_write, true}, {"pwrite", do_pwrite, true}, {"writev", do_writev, true}, {"append", do_append, true},
	{"direct write", do_direct, true}, {"truncate", do_truncate, true}, {"ftruncate", do_ftruncate, true}, {"ftruncate to grow", do_grow, true},
	{"O_TRUNC", do_otrunc, true}, {"copy_file_range", do_copy, true}, {"sendfile", do_sendfile, true}, {"fallocate", do_fallocate, true},
	{"punch", do_punch, true}, {"write of nothing", do_nothing, false}, {"read", do_read, false}, {"setxattr", do_xattr, false},
	{"touch", do_touch, false}, {"fsync", do_fsync, false},
};

/* Set-user-id always goes; set-group-id where it means execution, or somebody outside the group does it. */
static mode_t stripped(mode_t mode, bool member)
{
	mode &= ~(mode_t)S_ISUID;
	return (mode & S_IXGRP) || !member ? mode & ~(mode_t)S_ISGID : mode;
}

static void changed_contents(void)
{
	static const mode_t modes[] = {06777, 04777, 02777, 06767, 02766, 04666, 0777};
	static const struct posix_user *const users[] = {&posix_owner, &posix_member, &posix_other, &posix_root};
	int n = 0;
	for (size_t c = 0; c < COUNT_OF(changes); c++)
		for (size_t u = 0; u < COUNT_OF(users); u++) {
			/* all modes for a plain write; the other ways, one each with and without the group's execution */
			for (size_t m = 0; m < COUNT_OF(modes); m++) {
				if (c > 0 && m != 0 && m != 3)
					continue;
				const char *f = posix_path("f%d", n++);
				posix_make(f, 0600, 10);
				NEED(chown(f, posix_owner.uid, FILE_GID));
				NEED(chmod(f, modes[m]));
				int fd = (int)NEED(open(f, O_RDWR));
				posix_become(users[u]);
				int rc = changes[c].run(f, fd);
				posix_become(&posix_root);
				bool strips = changes[c].strips && users[u] != &posix_root;
				mode_t want = strips ? stripped(modes[m], users[u] == &posix_member) : modes[m];
				if (OK(rc, "%s as %s to mode %o", changes[c].name, users[u]->name, modes[m]))
					EQ(posix_stat(f).st_mode & 07777, want, "mode %o after %s as %s", modes[m], changes[c].name, users[u]->name);
				close(fd);
			}
		}
}

static void changed_mapping(void)
{
	posix_make("f", 0600, 10);
	NEED(chown("f", OTHER_UID, OTHER_GID));
	NEED(chmod("f", 04777));
	int fd = (int)NEED(open("f", O_RDWR));
	posix_become(&posix_other);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(p == MAP_FAILED ? -1 : 0);
	p[3] = 'z';
	OK(msync(p, 4096, MS_SYNC), "msync of a setuid file's mapping");
	char c = 0;
	EQ(pread(fd, &c, 1, 3), 1, "read of what was mapped");
	EQ(c, 'z', "it is written");
	munmap(p, 4096);
}

static void changed_owner(void)
{
	static const struct {
		const char *what;
		mode_t mode, after;
		uid_t uid;
		gid_t gid;
	} rows[] = {
		{"suid executable, new owner", 04755, 0755, 5, (gid_t)-1},  {"sgid executable, new owner", 02755, 0755, 5, (gid_t)-1},
		{"both, new group", 06755, 0755, (uid_t)-1, 6},              {"both, both new", 06755, 0755, 5, 6},
		{"both, nothing new", 06755, 0755, (uid_t)-1, (gid_t)-1},    {"suid not executable", 04644, 0644, 5, (gid_t)-1},
		{"sgid not executable by the group", 02745, 02745, 5, (gid_t)-1}, {"sticky", 01755, 01755, 5, 6}, {"none", 0755, 0755, 5, 6},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *f = posix_path("f%zu", i);
		posix_make(f, rows[i].mode, 1);
		OK(chown(f, rows[i].uid, rows[i].gid), "chown as root: %s", rows[i].what);
		EQ(posix_stat(f).st_mode & 07777, rows[i].after, "mode after chown as root: %s", rows[i].what);
	}
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *f = posix_path("g%zu", i);
		if (rows[i].uid != (uid_t)-1)
			continue;
		posix_make(f, 0600, 1);
		NEED(chown(f, MEMBER_UID, MEMBER_UID));
		NEED(chmod(f, rows[i].mode));
		posix_become(&posix_member);
		OK(chown(f, (uid_t)-1, rows[i].gid == 6 ? FILE_GID : (gid_t)-1), "chgrp as owner: %s", rows[i].what);
		posix_become(&posix_root);
		EQ(posix_stat(f).st_mode & 07777, rows[i].after, "mode after chgrp as owner: %s", rows[i].what);
	}
	NEED(mkdir("d", 0755));
	NEED(chmod("d", 06755));
	OK(chown("d", 5, 6), "chown of a directory");
	EQ(posix_stat("d").st_mode & 07777, 06755, "leaves its bits");
}

static void given_modes(void)
{
	static const mode_t modes[] = {04755, 02755, 06755, 02745, 01777, 07777, 02000, 0};
	static const struct posix_user *const users[] = {&posix_owner, &posix_member, &posix_root};
	for (size_t u = 0; u < COUNT_OF(users); u++)
		for (size_t m = 0; m < COUNT_OF(modes); m++)
			for (int dir = 0; dir < 2; dir++) {
				const char *f = posix_path("%c%zu.%zu", dir ? 'd' : 'f', u, m), *kind = dir ? "directory" : "file";
				bool member = users[u] != &posix_owner;
				if (dir)
					NEED(mkdir(f, 0700));
				else
					posix_make(f, 0600, 1);
				NEED(chown(f, users[u]->uid, FILE_GID));
				posix_become(users[u]);
				OK(chmod(f, modes[m]), "chmod %o of a %s by %s", modes[m], kind, users[u]->name);
				posix_become(&posix_root);
				EQ(posix_stat(f).st_mode & 07777, member ? modes[m] : modes[m] & ~(mode_t)S_ISGID, "mode %o of a %s given by %s", modes[m], kind,
				   users[u]->name);
			}
}

const struct posix_case posix_cases_inherit[] = {{"masks", masks}, {"setgid_directory", setgid_directory}, {"changed_contents", changed_contents},
						 {"changed_mapping", changed_mapping}, {"changed_owner", changed_owner}, {"given_modes", given_modes}, {0}};
