/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes: every call on every kind of file, flags, lengths, name spaces and who may use them. Owns no state. ACLs: posix_acl.c. */
#include "tests/posix/posix.h"

#include <sys/xattr.h>

static char buf[70000], big[70000];

/* How often the name is in the list of the file, and -1 where the list cannot be had. */
static int listed(const char *path, const char *name)
{
	static char list[70000];
	ssize_t len = llistxattr(path, list, sizeof(list));
	int count = 0;
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1)
		count += strcmp(list + at, name) == 0;
	return len < 0 ? -1 : count;
}

static void calls(void)
{
	static const char *const spaces[] = {"user.name", "trusted.name", "security.name"};
	static const char *const kinds[] = {"f", "d"};
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	for (size_t k = 0; k < COUNT_OF(kinds); k++)
		for (size_t s = 0; s < COUNT_OF(spaces); s++) {
			const char *f = kinds[k], *n = spaces[s];
			int fd = (int)NEED(open(f, O_RDONLY));
			ERR(getxattr(f, n, buf, 10), ENODATA, "get before it is set: %s of %s", n, f);
			ERR(removexattr(f, n), ENODATA, "remove before it is set: %s of %s", n, f);
			ERR(setxattr(f, n, "abc", 3, XATTR_REPLACE), ENODATA, "replace before it is set: %s of %s", n, f);
			EQ(listed(f, n), 0, "it is not listed: %s of %s", n, f);
			OK(setxattr(f, n, "abc", 3, XATTR_CREATE), "create: %s of %s", n, f);
			ERR(setxattr(f, n, "abc", 3, XATTR_CREATE), EEXIST, "create again: %s of %s", n, f);
			EQ(listed(f, n), 1, "it is listed: %s of %s", n, f);
			EQ(getxattr(f, n, NULL, 0), 3, "its length: %s of %s", n, f);
			EQ(getxattr(f, n, buf, 10), 3, "get: %s of %s", n, f);
			IS(memcmp(buf, "abc", 3) == 0, "its value: %s of %s", n, f);
			EQ(getxattr(f, n, buf, 3), 3, "get with just the room: %s of %s", n, f);
			ERR(getxattr(f, n, buf, 2), ERANGE, "get with too little room: %s of %s", n, f);
			OK(setxattr(f, n, "longer", 6, XATTR_REPLACE), "replace: %s of %s", n, f);
			EQ(fgetxattr(fd, n, buf, 10), 6, "fgetxattr: %s of %s", n, f);
			OK(fsetxattr(fd, n, "x", 1, 0), "fsetxattr with a descriptor to read: %s of %s", n, f);
			EQ(lgetxattr(f, n, buf, 10), 1, "lgetxattr: %s of %s", n, f);
			OK(setxattr(f, n, "", 0, 0), "an empty value: %s of %s", n, f);
			EQ(getxattr(f, n, buf, 10), 0, "comes back empty: %s of %s", n, f);
			EQ(listed(f, n), 1, "is listed: %s of %s", n, f);
			ssize_t all = flistxattr(fd, NULL, 0);
			IS(all >= (ssize_t)strlen(n) + 1, "the list's length: %s of %s", n, f);
			EQ(flistxattr(fd, buf, (size_t)all), all, "the list with just the room: %s of %s", n, f);
			ERR(flistxattr(fd, buf, (size_t)all - 1), ERANGE, "the list with too little room: %s of %s", n, f);
			OK(fremovexattr(fd, n), "fremovexattr: %s of %s", n, f);
			EQ(listed(f, n), 0, "it is gone: %s of %s", n, f);
			ERR(removexattr(f, n), ENODATA, "remove again: %s of %s", n, f);
			ERR(setxattr(f, n, "abc", 3, XATTR_CREATE | XATTR_REPLACE), ENODATA, "create and replace of nothing: %s of %s", n, f);
			ERR(setxattr(f, n, "abc", 3, 8), EINVAL, "a flag that there is not: %s of %s", n, f);
			close(fd);
		}
	EQ(listxattr("f", buf, sizeof(buf)), 0, "no attributes: an empty list");
	EQ(listxattr("f", NULL, 0), 0, "of length 0");
}

static void names(void)
{
	posix_make("f", 0644, 1);
	static const struct {
		const char *name;
		int error;
	} rows[] = {
		{"user.", EINVAL}, {"trusted.", EINVAL}, {"user", EOPNOTSUPP}, {"unknown.x", EOPNOTSUPP}, {"x", EOPNOTSUPP}, {".x", EOPNOTSUPP},
		{"User.x", EOPNOTSUPP}, {"", ERANGE}, {"system.x", EOPNOTSUPP}, {"user.a b", 0}, {"user.\xff\xfe", 0}, {"user.\xc3\xa9", 0}, {"user.a/b", 0},
		{"user.a.b.c", 0}, {"user..", 0}, {"user.UPPER", 0}, {"user.upper", 0}, {"security.x", 0}, {"trusted.x.y", 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int rc = setxattr("f", rows[i].name, &i, sizeof(i), 0);
		if (rows[i].error)
			ERR(rc, rows[i].error, "set name '%s'", rows[i].name);
		else
			OK(rc, "set name '%s'", rows[i].name);
	}
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t value = 99;
		if (rows[i].error)
			continue;
		EQ(getxattr("f", rows[i].name, &value, sizeof(value)), sizeof(value), "get name '%s'", rows[i].name);
		EQ(value, i, "it is an attribute of its own: '%s'", rows[i].name);
		EQ(listed("f", rows[i].name), 1, "it is listed once: '%s'", rows[i].name);
		OK(removexattr("f", rows[i].name), "remove name '%s'", rows[i].name);
	}
	static const size_t lengths[] = {6, 100, 254, 255, 256, 300};
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		size_t n = lengths[i];
		char name[400];
		memset(name, 'n', n);
		memcpy(name, "user.", 5);
		name[n] = 0;
		if (n > 255) {
			ERR(setxattr("f", name, "v", 1, 0), ERANGE, "set a name of %zu bytes", n);
			ERR(getxattr("f", name, buf, 1), ERANGE, "get a name of %zu bytes", n);
			ERR(removexattr("f", name), ERANGE, "remove a name of %zu bytes", n);
		} else {
			OK(setxattr("f", name, "v", 1, 0), "set a name of %zu bytes", n);
			EQ(getxattr("f", name, buf, 1), 1, "get a name of %zu bytes", n);
			EQ(listed("f", name), 1, "list a name of %zu bytes", n);
			OK(removexattr("f", name), "remove a name of %zu bytes", n);
		}
	}
}

static void values(void)
{
	static const size_t lengths[] = {0, 1, 2, 255, 256, 1000, 2000, 3000};
	posix_make("f", 0644, 1);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)posix_byte(i);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		size_t n = lengths[i];
		memset(buf, 0, sizeof(buf));
		OK(setxattr("f", "user.v", big, n, 0), "a value of %zu bytes", n);
		EQ(getxattr("f", "user.v", buf, sizeof(buf)), n, "its length of %zu", n);
		IS(memcmp(buf, big, n) == 0, "its bytes of %zu", n);
		EQ(getxattr("f", "user.v", NULL, 0), n, "the length alone of %zu", n);
		if (n > 1)
			ERR(getxattr("f", "user.v", buf, n - 1), ERANGE, "too little room for %zu", n);
	}
	/* from here on it is the file system's choice: all of it, or that there is no room, and then the old value stays */
	static const size_t more[] = {4096, 10000, 65535, 65536};
	for (size_t i = 0; i < COUNT_OF(more); i++) {
		size_t n = more[i];
		ssize_t old = getxattr("f", "user.v", NULL, 0);
		int rc = setxattr("f", "user.v", big, n, 0);
		IS(rc == 0 || errno == ENOSPC || errno == E2BIG, "a value of %zu bytes, or no room", n);
		EQ(getxattr("f", "user.v", buf, sizeof(buf)), rc == 0 ? (ssize_t)n : old, "the length after %zu bytes", n);
		IS(memcmp(buf, big, (size_t)(rc == 0 ? (ssize_t)n : old)) == 0, "the bytes after %zu", n);
	}
	ERR(setxattr("f", "user.w", big, 65537, 0), E2BIG, "more than Linux lets through");
	EQ(listed("f", "user.w"), 0, "makes none");
	ERR(setxattr("f", "user.v", posix_bad, 5, 0), EFAULT, "a value where there is no memory");
	NEED(removexattr("f", "user.v"));
	for (int i = 0; i < 60; i++)
		NEED(setxattr("f", posix_path("user.many%02d", i), &i, sizeof(i), XATTR_CREATE));
	int right = 0;
	for (int i = 0; i < 60; i++) {
		int value = -1;
		right += getxattr("f", posix_path("user.many%02d", i), &value, sizeof(value)) == sizeof(value) && value == i &&
			 listed("f", posix_path("user.many%02d", i)) == 1;
	}
	EQ(right, 60, "60 attributes side by side");
	for (int i = 0; i < 60; i += 2)
		NEED(removexattr("f", posix_path("user.many%02d", i)));
	EQ(listxattr("f", NULL, 0), 30 * (ssize_t)sizeof("user.many00"), "30 of them left");
}

static void follow_the_file(void)
{
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(setxattr("f", "user.x", "1", 1, 0));
	NEED(setxattr("d", "user.x", "22", 2, 0));
	NEED(link("f", "g"));
	EQ(getxattr("g", "user.x", buf, 9), 1, "by another name");
	OK(setxattr("g", "user.y", "333", 3, 0), "set by another name");
	EQ(getxattr("f", "user.y", buf, 9), 3, "seen by the first");
	NEED(rename("f", "d/h"));
	EQ(getxattr("d/h", "user.x", buf, 9), 1, "after a rename");
	NEED(rename("d", "e"));
	EQ(getxattr("e", "user.x", buf, 9), 2, "a directory's after a rename");
	NEED(mknod("e/new", S_IFREG | 0644, 0));
	ERR(getxattr("e/new", "user.x", buf, 9), ENODATA, "a new file inherits none");
	NEED(chmod("e/h", 0600));
	NEED(chown("e/h", 5, 6));
	NEED(truncate("e/h", 0));
	EQ(getxattr("e/h", "user.x", buf, 9), 1, "after chmod, chown and truncate");
	int fd = (int)NEED(open("e/h", O_RDWR));
	NEED(unlink("e/h"));
	NEED(unlink("g"));
	EQ(fgetxattr(fd, "user.x", buf, 9), 1, "of a removed file that is open");
	OK(fsetxattr(fd, "user.z", "4444", 4, 0), "set on a removed file");
	EQ(fgetxattr(fd, "user.z", buf, 9), 4, "get it back");
	close(fd);
	posix_make("g", 0644, 1);
	ERR(getxattr("g", "user.x", buf, 9), ENODATA, "a new file of the name has none");
	posix_make("over", 0644, 1);
	NEED(setxattr("over", "user.o", "5", 1, 0));
	NEED(rename("g", "over"));
	ERR(getxattr("over", "user.o", buf, 9), ENODATA, "the replaced one's are gone");
}

static void links(void)
{
	posix_make("f", 0644, 1);
	NEED(symlink("f", "l"));
	NEED(symlink("none", "dangling"));
	NEED(setxattr("l", "user.x", "1", 1, 0));
	EQ(getxattr("f", "user.x", buf, 9), 1, "setxattr follows");
	ERR(lgetxattr("l", "user.x", buf, 9), ENODATA, "the link has none");
	ERR(lsetxattr("l", "user.y", "1", 1, 0), EPERM, "user attributes are not for links");
	OK(lsetxattr("l", "trusted.y", "12", 2, 0), "trusted ones are");
	EQ(lgetxattr("l", "trusted.y", buf, 9), 2, "lgetxattr of a link");
	ERR(getxattr("l", "trusted.y", buf, 9), ENODATA, "the target has none of it");
	EQ(llistxattr("l", buf, sizeof(buf)), (ssize_t)sizeof("trusted.y"), "llistxattr of a link");
	OK(lremovexattr("l", "trusted.y"), "lremovexattr of a link");
	ERR(getxattr("dangling", "user.x", buf, 9), ENOENT, "getxattr through a dangling link");
	ERR(setxattr("dangling", "user.x", "1", 1, 0), ENOENT, "setxattr through a dangling link");
	ERR(listxattr("dangling", buf, 9), ENOENT, "listxattr through a dangling link");
	ERR(removexattr("dangling", "user.x"), ENOENT, "removexattr through a dangling link");
	int path = (int)NEED(open("f", O_PATH));
	ERR(fgetxattr(path, "user.x", buf, 9), EBADF, "fgetxattr of an O_PATH descriptor");
	ERR(fsetxattr(path, "user.x", "1", 1, 0), EBADF, "fsetxattr of an O_PATH descriptor");
}

static void who_may(void)
{
	posix_make("readable", 0644, 1);
	posix_make("writable", 0622, 1);
	posix_make("closed", 0600, 1);
	NEED(mkdir("sticky", 0777));
	NEED(chmod("sticky", 01777));
	static const char *const files[] = {"readable", "writable", "closed"};
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		NEED(setxattr(files[i], "user.x", "1", 1, 0));
		NEED(setxattr(files[i], "trusted.x", "1", 1, 0));
		NEED(setxattr(files[i], "security.x", "1", 1, 0));
	}
	posix_become(&posix_other);
	EQ(getxattr("readable", "user.x", buf, 9), 1, "get of what one may read");
	ERR(getxattr("writable", "user.x", buf, 9), EACCES, "get of what one may not read");
	ERR(getxattr("closed", "user.x", buf, 9), EACCES, "get of what is closed");
	ERR(setxattr("readable", "user.x", "2", 1, 0), EACCES, "set of what one may not write");
	OK(setxattr("writable", "user.x", "2", 1, 0), "set of what one may write");
	ERR(removexattr("readable", "user.x"), EACCES, "remove of what one may not write");
	OK(removexattr("writable", "user.x"), "remove of what one may write");
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		const char *f = files[i];
		ERR(getxattr(f, "trusted.x", buf, 9), ENODATA, "trusted attributes are hidden: %s", f);
		ERR(setxattr(f, "trusted.x", "2", 1, 0), EPERM, "and not set: %s", f);
		ERR(removexattr(f, "trusted.x"), EPERM, "nor removed: %s", f);
		EQ(listed(f, "trusted.x"), 0, "nor listed: %s", f);
		EQ(getxattr(f, "security.x", buf, 9), 1, "security attributes are for all to read: %s", f);
		ERR(setxattr(f, "security.x", "2", 1, 0), EPERM, "and root's to set: %s", f);
		ERR(removexattr(f, "security.x"), EPERM, "and to remove: %s", f);
	}
	ERR(setxattr("sticky", "user.x", "1", 1, 0), EPERM, "a sticky directory's are its owner's");
	posix_become(&posix_root);
	OK(setxattr("sticky", "user.x", "1", 1, 0), "and root's");
	NEED(chown("sticky", OTHER_UID, OTHER_GID));
	posix_become(&posix_other);
	OK(setxattr("sticky", "user.x", "2", 1, 0), "the owner sets them");
	EQ(listed("closed", "user.x"), 1, "a list needs no right to read");
}

static void bad_paths(void)
{
	posix_make("f", 0644, 1);
	NEED(symlink("loop", "loop"));
	static const struct {
		const char *path;
		int error;
	} rows[] = {{"none", ENOENT}, {"f/x", ENOTDIR}, {"none/x", ENOENT}, {"", ENOENT}, {"loop", ELOOP}};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *p = rows[i].path;
		ERR(getxattr(p, "user.x", buf, 9), rows[i].error, "getxattr of '%s'", p);
		ERR(setxattr(p, "user.x", "1", 1, 0), rows[i].error, "setxattr of '%s'", p);
		ERR(listxattr(p, buf, 9), rows[i].error, "listxattr of '%s'", p);
		ERR(removexattr(p, "user.x"), rows[i].error, "removexattr of '%s'", p);
	}
	ERR(fgetxattr(12345, "user.x", buf, 9), EBADF, "fgetxattr of no descriptor");
	ERR(fsetxattr(12345, "user.x", "1", 1, 0), EBADF, "fsetxattr of no descriptor");
	ERR(flistxattr(12345, buf, 9), EBADF, "flistxattr of no descriptor");
	ERR(fremovexattr(12345, "user.x"), EBADF, "fremovexattr of no descriptor");
	ERR(getxattr(posix_name('x', 256), "user.x", buf, 9), ENAMETOOLONG, "getxattr of a long name");
}

const struct posix_case posix_cases_xattr[] = {{"calls", calls}, {"names", names}, {"values", values}, {"follow_the_file", follow_the_file},
					       {"links", links}, {"who_may", who_may}, {"bad_paths", bad_paths}, {0}};
