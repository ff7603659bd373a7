/* SPDX-License-Identifier: Apache-2.0
 * The POSIX suite's assertions and helpers. Owns nothing of Stria: libc and system calls only, so that the same program judges any file system.
 * An assertion's name (the printf arguments) never holds a value that differs from run to run: known.txt finds it by that name. */
#ifndef STRIA_POSIX_H
#define STRIA_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define OTHER_UID  65534
#define OTHER_GID  65534
#define MEMBER_UID 4242
#define FILE_GID   777
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The call succeeds; it fails with `want`; a value is as wanted; a condition holds. Each is one assertion, and says whether it held. */
#define OK(call, ...)        posix_ok((long long)(call), __VA_ARGS__)
#define ERR(call, want, ...) posix_err((long long)(call), want, __VA_ARGS__)
#define EQ(got, want, ...)   posix_eq((long long)(got), (long long)(want), __VA_ARGS__)
#define IS(condition, ...)   posix_eq(!!(condition), 1, __VA_ARGS__)

bool posix_ok(long long got, const char *what, ...) __attribute__((format(printf, 2, 3)));
bool posix_err(long long got, int want, const char *what, ...) __attribute__((format(printf, 3, 4)));
bool posix_eq(long long got, long long want, const char *what, ...) __attribute__((format(printf, 3, 4)));

/* Setting up: not what is tested, so a failure ends the case (and is a FAIL of it). */
#define NEED(call) posix_need((long long)(call), #call, __LINE__)
long long posix_need(long long got, const char *call, int line);

struct posix_user {
	const char *name;
	uid_t uid;
	gid_t gid;
	gid_t extra; /* supplementary group; 0: none */
};
/* Takes on an identity: effective ids and groups, and the capabilities go with them. posix_root: back again. */
void posix_become(const struct posix_user *user);
extern const struct posix_user posix_root, posix_owner, posix_member, posix_other;

/* In a child of the same identity: a number of 0…200 that it ends with; -N: signal N killed it. Its assertions count. */
int posix_child(int (*run)(const void *), const void *arg);

const char *posix_path(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one of 16 buffers, in turn */
void posix_make(const char *path, mode_t mode, size_t size);                              /* a new file of pattern bytes */
unsigned char posix_byte(size_t offset);
void posix_fill(unsigned char *buf, size_t size, size_t offset);
struct stat posix_stat(const char *path); /* lstat; all zeros where it fails */
void posix_pause(void);                   /* longer than a file system's clock ticks */
void posix_open_close(int fd);            /* closes what an assertion opened, if it did */
const char *posix_name(char fill, size_t length); /* a name of so many bytes; one of 4 buffers, in turn */
const char *posix_second(const char *path);       /* the same file by the second mount; one of posix_path's buffers */

extern void *const posix_bad; /* an address that nothing is at */

struct posix_case {
	const char *name;
	void (*run)(void);
};
#define POSIX_FAMILIES(X)                                                                                                     \
	X(open) X(rename) X(names) X(special) X(perm) X(inherit) X(io) X(space) X(times) X(xattr) X(dir) X(errors) X(process) \
	X(lock) X(mmap) X(acl) X(tmpfile) X(two)
#define DECLARE(name) extern const struct posix_case posix_cases_##name[];
POSIX_FAMILIES(DECLARE)
#undef DECLARE

#endif
