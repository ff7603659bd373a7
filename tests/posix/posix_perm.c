/* SPDX-License-Identifier: Apache-2.0
 * Who may do what: permission bits for each class of user, owners' rights, the sticky bit, root. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/xattr.h>

/* The three classes of a file that is 1234:777's. */
static const struct posix_user *const classes[] = {&posix_owner, &posix_member, &posix_other};

/* `bits` for that class and their opposite for the other two, so that asking the wrong class gives the wrong answer. */
static mode_t only_for(size_t class, mode_t bits)
{
	mode_t mode = 0;
	for (size_t i = 0; i < COUNT_OF(classes); i++)
		mode = (mode << 3) | (i == class ? bits : ~bits & 7);
	return mode;
}

static void verdict(bool may, long long rc, const char *what, const struct posix_user *user, mode_t mode)
{
	if (may)
		OK(rc, "%s as %s, mode %o", what, user->name, mode);
	else
		ERR(rc, EACCES, "%s as %s, mode %o", what, user->name, mode);
	if (rc > 2)
		close((int)rc);
}

static void files(void)
{
	for (size_t k = 0; k < COUNT_OF(classes); k++)
		for (mode_t bits = 0; bits < 8; bits++) {
			mode_t mode = only_for(k, bits);
			const struct posix_user *u = classes[k];
			const char *f = posix_path("f%zu.%o", k, bits);
			posix_make(f, 0600, 10);
			NEED(chown(f, posix_owner.uid, FILE_GID));
			NEED(chmod(f, mode));
			posix_become(u);
			bool r = bits & 4, w = bits & 2, x = bits & 1;
			char *argv[] = {NULL}, buf[4];
			verdict(r, open(f, O_RDONLY), "open to read", u, mode);
			verdict(w, open(f, O_WRONLY), "open to write", u, mode);
			verdict(r && w, open(f, O_RDWR), "open to read and write", u, mode);
			verdict(w, truncate(f, 4), "truncate", u, mode);
			verdict(r, faccessat(AT_FDCWD, f, R_OK, AT_EACCESS), "R_OK", u, mode);
			verdict(w, faccessat(AT_FDCWD, f, W_OK, AT_EACCESS), "W_OK", u, mode);
			verdict(x, faccessat(AT_FDCWD, f, X_OK, AT_EACCESS), "X_OK", u, mode);
			OK(faccessat(AT_FDCWD, f, F_OK, AT_EACCESS), "F_OK as %s, mode %o", u->name, mode);
			verdict(r, getxattr(f, "user.none", buf, 1) < 0 && errno == ENODATA ? 0 : -1, "getxattr", u, mode);
			verdict(w, setxattr(f, "user.x", "1", 1, 0), "setxattr", u, mode);
			/* its bytes are no program: who may execute it is told that, who may not EACCES */
			ERR(execve(f, argv, argv), x ? ENOEXEC : EACCES, "execve as %s, mode %o", u->name, mode);
			posix_become(&posix_root);
		}
}

static void directories(void)
{
	for (size_t k = 0; k < COUNT_OF(classes); k++)
		for (mode_t bits = 0; bits < 8; bits++) {
			mode_t mode = only_for(k, bits);
			const struct posix_user *u = classes[k];
			const char *d = posix_path("d%zu.%o", k, bits), *in = posix_path("%s/in", d);
			struct stat st;
			NEED(mkdir(d, 0755));
			posix_make(in, 0666, 10);
			posix_make(posix_path("%s/victim", d), 0600, 1);
			NEED(mkdir(posix_path("%s/sub", d), 0777));
			NEED(chown(d, posix_owner.uid, FILE_GID));
			NEED(chmod(d, mode));
			posix_become(u);
			bool r = bits & 4, w = bits & 2, x = bits & 1;
			verdict(r, open(d, O_RDONLY | O_DIRECTORY), "list", u, mode);
			verdict(x, stat(in, &st), "stat in", u, mode);
			verdict(x, open(in, O_RDWR), "open in", u, mode);
			verdict(x, chdir(posix_path("%s/sub", d)), "chdir through", u, mode);
			if (x)
				NEED(chdir("../.."));
			verdict(w && x, open(posix_path("%s/new", d), O_RDWR | O_CREAT | O_EXCL, 0600), "create in", u, mode);
			verdict(w && x, mkdir(posix_path("%s/newdir", d), 0700), "mkdir in", u, mode);
			verdict(w && x, symlink("x", posix_path("%s/newlink", d)), "symlink in", u, mode);
			verdict(w && x, mkfifo(posix_path("%s/newfifo", d), 0600), "mkfifo in", u, mode);
			verdict(w && x, link(in, posix_path("%s/hard", d)), "link in", u, mode);
			verdict(w && x, rename(in, posix_path("%s/moved", d)), "rename in", u, mode);
			verdict(w && x, unlink(posix_path("%s/victim", d)), "unlink in", u, mode);
			verdict(w && x, rmdir(posix_path("%s/sub", d)), "rmdir in", u, mode);
			posix_become(&posix_root);
		}
}

/* To move a directory elsewhere is to write its dot-dot. */
static void moving_directories(void)
{
	static const struct {
		const char *what;
		mode_t from, to, moved;
		int error;
	} rows[] = {
		{"all writable", 0777, 0777, 0777, 0},
		{"the moved one is not", 0777, 0777, 0555, EACCES},
		{"the old parent is not", 0555, 0777, 0777, EACCES},
		{"the new parent is not", 0777, 0555, 0777, EACCES},
		{"the new parent may not be searched", 0777, 0666, 0777, EACCES},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		NEED(mkdir("a", 0777));
		NEED(mkdir("b", 0777));
		NEED(mkdir("a/d", 0777));
		NEED(chmod("a/d", rows[i].moved));
		NEED(chmod("a", rows[i].from));
		NEED(chmod("b", rows[i].to));
		posix_become(&posix_other);
		int rc = rename("a/d", "b/d");
		if (rows[i].error)
			ERR(rc, rows[i].error, "move a directory: %s", rows[i].what);
		else
			OK(rc, "move a directory: %s", rows[i].what);
		posix_become(&posix_root);
		NEED(rmdir(rows[i].error ? "a/d" : "b/d"));
		NEED(rmdir("a"));
		NEED(rmdir("b"));
	}
	NEED(mkdir("d", 0555));
	NEED(chown("d", OTHER_UID, OTHER_GID));
	posix_become(&posix_other);
	OK(rename("d", "e"), "rename within a directory does not write the renamed");
}

static void path_search(void)
{
	struct stat st;
	NEED(mkdir("a", 0755));
	NEED(mkdir("a/b", 0755));
	NEED(mkdir("a/b/c", 0755));
	posix_make("a/b/c/f", 0666, 3);
	static const char *const dirs[] = {"a", "a/b", "a/b/c"};
	int inside = (int)NEED(open("a/b/c", O_RDONLY | O_DIRECTORY));
	for (size_t i = 0; i < COUNT_OF(dirs); i++) {
		NEED(chmod(dirs[i], 0766));
		posix_become(&posix_other);
		ERR(stat("a/b/c/f", &st), EACCES, "stat below %s without search", dirs[i]);
		ERR(open("a/b/c/f", O_RDONLY), EACCES, "open below %s without search", dirs[i]);
		ERR(truncate("a/b/c/f", 1), EACCES, "truncate below %s without search", dirs[i]);
		ERR(unlink("a/b/c/f"), EACCES, "unlink below %s without search", dirs[i]);
		ERR(rename("a/b/c/f", "f"), EACCES, "rename from below %s without search", dirs[i]);
		ERR(faccessat(AT_FDCWD, "a/b/c/none", F_OK, AT_EACCESS), EACCES, "no name is told below %s without search", dirs[i]);
		if (i < 2)
			OK(fstatat(inside, "f", &st, 0), "a descriptor goes around %s", dirs[i]);
		else
			ERR(fstatat(inside, "f", &st, 0), EACCES, "but not around the directory itself");
		posix_become(&posix_root);
		NEED(chmod(dirs[i], 0755));
		posix_become(&posix_other);
		OK(stat("a/b/c/f", &st), "stat below %s with search again", dirs[i]);
		posix_become(&posix_root);
	}
	NEED(chmod("a", 0711));
	posix_become(&posix_other);
	OK(stat("a/b", &st), "search without read finds a name");
	ERR(open("a", O_RDONLY | O_DIRECTORY), EACCES, "but does not list");
	int fd = open("a", O_PATH | O_DIRECTORY);
	OK(fd, "O_PATH needs no read");
	OK(fstatat(fd, "b", &st, 0), "and serves lookups");
}

/* What the owner may, whatever the bits say; and nobody else but root. */
static void owners_rights(void)
{
	const struct timespec times[2] = {{1000, 1}, {2000, 2}};
	for (size_t k = 0; k < COUNT_OF(classes); k++) {
		const struct posix_user *u = classes[k];
		bool owner = u == &posix_owner;
		const char *f = posix_path("f%zu", k);
		posix_make(f, 0666, 10);
		NEED(chown(f, posix_owner.uid, FILE_GID));
		posix_become(u);
		int fd = (int)NEED(open(f, O_RDWR));
#define OWNERS(call, what) (owner ? OK(call, "%s as %s", what, u->name) : ERR(call, EPERM, "%s as %s", what, u->name))
		OWNERS(chmod(f, 0666), "chmod");
		OWNERS(fchmod(fd, 0666), "fchmod");
		OWNERS(utimensat(AT_FDCWD, f, times, 0), "given times");
		OWNERS(futimens(fd, times), "given times by descriptor");
		OK(utimensat(AT_FDCWD, f, NULL, 0), "times of now as %s, who may write", u->name);
		const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, half[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
		OK(utimensat(AT_FDCWD, f, now, 0), "UTIME_NOW twice as %s, who may write", u->name);
		OWNERS(utimensat(AT_FDCWD, f, half, 0), "UTIME_NOW and UTIME_OMIT");
		OWNERS(chown(f, (uid_t)-1, u->gid), "chgrp to one's own group");
		ERR(chown(f, (uid_t)-1, 4711), EPERM, "chgrp to a group that one is not in as %s", u->name);
		ERR(chown(f, 4711, (gid_t)-1), EPERM, "chown to somebody else as %s", u->name);
		if (owner)
			OK(chown(f, u->uid, (gid_t)-1), "chown to oneself as %s", u->name);
		else
			ERR(chown(f, u->uid, (gid_t)-1), EPERM, "chown to oneself as %s", u->name);
		int noatime = open(f, O_RDONLY | O_NOATIME);
		OWNERS(noatime, "O_NOATIME");
		posix_open_close(noatime);
		close(fd);
		posix_become(&posix_root);
		NEED(chmod(f, 0));
		posix_become(u);
		OWNERS(chmod(f, 0400), "chmod of mode 0");
		if (owner)
			OK(utimensat(AT_FDCWD, f, NULL, 0), "times of now without the right to write, as owner");
		else
			ERR(utimensat(AT_FDCWD, f, NULL, 0), EACCES, "times of now without the right to write, as %s", u->name);
		posix_become(&posix_root);
#undef OWNERS
	}
	/* the owner's group may be one of the supplementary ones */
	posix_make("g", 0644, 1);
	NEED(chown("g", MEMBER_UID, MEMBER_UID));
	posix_become(&posix_member);
	OK(chown("g", (uid_t)-1, FILE_GID), "chgrp to a supplementary group");
	EQ(posix_stat("g").st_gid, FILE_GID, "the group");
	OK(chown("g", (uid_t)-1, (gid_t)-1), "chown of nothing");
}

static void sticky(void)
{
	static const struct {
		const char *what;
		const struct posix_user *dir, *file, *who;
		bool may;
	} rows[] = {
		{"one's own in root's", &posix_root, &posix_other, &posix_other, true},
		{"another's in root's", &posix_root, &posix_owner, &posix_other, false},
		{"another's in one's own", &posix_other, &posix_owner, &posix_other, true},
		{"root's in root's", &posix_root, &posix_root, &posix_other, false},
		{"root's in one's own", &posix_other, &posix_root, &posix_other, true},
		{"another's as root", &posix_owner, &posix_other, &posix_root, true},
		{"one's group's in root's", &posix_root, &posix_owner, &posix_member, false},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *w = rows[i].what;
		NEED(mkdir("d", 0777));
		NEED(mkdir("free", 0777));
		static const char *const names[] = {"d/unlink", "d/rename", "d/away", "d/over", "d/exchange"};
		for (size_t k = 0; k < COUNT_OF(names); k++) {
			posix_make(names[k], 0666, 1);
			NEED(chown(names[k], rows[i].file->uid, FILE_GID));
		}
		NEED(mkdir("d/rmdir", 0777));
		NEED(chown("d/rmdir", rows[i].file->uid, FILE_GID));
		posix_make("d/mine", 0666, 1);
		posix_make("free/own", 0666, 1);
		NEED(chown("d/mine", rows[i].who->uid, rows[i].who->gid));
		NEED(chown("d", rows[i].dir->uid, FILE_GID));
		NEED(chmod("d", 01777));
		posix_become(rows[i].who);
#define STICKY(call, what) (rows[i].may ? OK(call, "%s %s", what, w) : ERR(call, EPERM, "%s %s", what, w))
		STICKY(unlink("d/unlink"), "unlink");
		STICKY(rmdir("d/rmdir"), "rmdir");
		STICKY(rename("d/rename", "d/renamed"), "rename");
		STICKY(rename("d/away", "free/away"), "rename out of the directory");
		STICKY(rename("free/own", "d/over"), "replace");
		STICKY(renameat2(AT_FDCWD, "d/mine", AT_FDCWD, "d/exchange", RENAME_EXCHANGE), "exchange");
#undef STICKY
		OK(mknod("d/new", S_IFREG | 0600, 0), "make beside %s", w);
		OK(unlink("d/new"), "unlink of the new beside %s", w);
		posix_become(&posix_root);
		static const char *const all[] = {"d/unlink", "d/rename", "d/renamed", "d/away", "free/away", "d/over", "d/exchange", "d/mine", "free/own"};
		for (size_t k = 0; k < COUNT_OF(all); k++)
			(void)unlink(all[k]);
		(void)rmdir("d/rmdir");
		NEED(rmdir("d"));
		NEED(rmdir("free"));
	}
}

/* The bits may change, what is open stays as it was opened. */
static void open_keeps_rights(void)
{
	char c;
	posix_make("f", 0666, 10);
	posix_become(&posix_other);
	int r = (int)NEED(open("f", O_RDONLY)), w = (int)NEED(open("f", O_WRONLY));
	posix_become(&posix_root);
	NEED(chmod("f", 0));
	posix_become(&posix_other);
	EQ(pread(r, &c, 1, 5), 1, "read after the bits went");
	EQ((unsigned char)c, posix_byte(5), "its byte");
	EQ(pwrite(w, "z", 1, 2), 1, "write after the bits went");
	OK(ftruncate(w, 5), "ftruncate after the bits went");
	ERR(open("f", O_RDONLY), EACCES, "but no new open");
	ERR(open(posix_path("/proc/self/fd/%d", r), O_RDONLY), EACCES, "nor through /proc");
	posix_become(&posix_root);
	OK(open("f", O_RDWR), "root opens a file of mode 0");
	int fd = (int)NEED(open("f", O_RDONLY));
	posix_become(&posix_other);
	EQ(pread(fd, &c, 1, 0), 1, "a descriptor that root opened serves anybody");
	/* made to be read only, yet the maker writes */
	posix_become(&posix_other);
	int made = open("made", O_RDWR | O_CREAT | O_EXCL, 0);
	OK(made, "create with mode 0");
	EQ(write(made, "abc", 3), 3, "the maker writes");
	ERR(open("made", O_RDONLY), EACCES, "but cannot open it again");
}

static void root_rights(void)
{
	char *argv[] = {NULL};
	char c;
	posix_make("f", 0, 3);
	NEED(chown("f", OTHER_UID, OTHER_GID));
	NEED(mkdir("d", 0));
	int fd = open("f", O_RDWR);
	OK(fd, "open of mode 0");
	EQ(read(fd, &c, 1), 1, "read of mode 0");
	OK(access("f", R_OK | W_OK), "access to read and write");
	ERR(access("f", X_OK), EACCES, "but not to execute: nobody may");
	ERR(execve("f", argv, argv), EACCES, "nor execve");
	OK(access("d", R_OK | W_OK | X_OK), "a directory of mode 0");
	OK(mkdir("d/in", 0), "mkdir in a directory of mode 0");
	NEED(chmod("f", 0001));
	OK(access("f", X_OK), "one bit to execute is enough");
	OK(chown("f", 5, 6), "chown of anybody's");
	OK(chmod("f", 0777), "chmod of anybody's");
}

static void access_uses_real_ids(void)
{
	posix_make("f", 0600, 1);
	posix_become(&posix_other);
	/* the real user is root still */
	OK(access("f", R_OK), "access asks for the real user");
	ERR(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), EACCES, "AT_EACCESS for the effective");
	ERR(open("f", O_RDONLY), EACCES, "as open does");
	ERR(access("f", 8), EINVAL, "a mode that there is not");
	ERR(access("none", F_OK), ENOENT, "nothing there");
	ERR(access("f/x", F_OK), ENOTDIR, "nothing below a file");
}

static void who_owns_the_new(void)
{
	static const struct posix_user *const users[] = {&posix_root, &posix_owner, &posix_member, &posix_other};
	for (size_t i = 0; i < COUNT_OF(users); i++) {
		const struct posix_user *u = users[i];
		posix_become(u);
		const char *kinds[] = {posix_path("f%zu", i), posix_path("d%zu", i), posix_path("l%zu", i), posix_path("p%zu", i)};
		NEED(mknod(kinds[0], S_IFREG | 0600, 0));
		NEED(mkdir(kinds[1], 0700));
		NEED(symlink("x", kinds[2]));
		NEED(mkfifo(kinds[3], 0600));
		for (size_t k = 0; k < COUNT_OF(kinds); k++) {
			EQ(posix_stat(kinds[k]).st_uid, u->uid, "owner of a new %.1s of %s", kinds[k], u->name);
			EQ(posix_stat(kinds[k]).st_gid, u->gid, "group of a new %.1s of %s", kinds[k], u->name);
		}
		posix_become(&posix_root);
	}
}

const struct posix_case posix_cases_perm[] = {{"files", files}, {"directories", directories}, {"moving_directories", moving_directories},
					      {"path_search", path_search}, {"owners_rights", owners_rights}, {"sticky", sticky},
					      {"open_keeps_rights", open_keeps_rights}, {"root", root_rights}, {"access", access_uses_real_ids},
					      {"new", who_owns_the_new}, {0}};
