/* SPDX-License-Identifier: Apache-2.0
 * POSIX ACLs by their extended attributes: what is taken and what is refused, how they and the mode are one, what new files inherit, and
 * whom they let in. Owns no state. The bytes are Linux's (uapi/linux/posix_acl_xattr.h). Source: withdrawn POSIX.1e draft 17, acl(5). */
#include "tests/posix/posix.h"

#include <sys/xattr.h>

#define ACCESS  "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum tag { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};
struct acl {
	uint32_t version;
	struct entry entries[40];
};

/* "u::rw-,u:65534:r--,g::r--,m::rw-,o::---" to bytes; returns their number. */
static size_t parse(const char *text, struct acl *acl)
{
	size_t count = 0;
	acl->version = 2;
	for (const char *at = text; *at; at += *at == ',') {
		char kind = *at;
		struct entry *e = &acl->entries[count++];
		*e = (struct entry){.id = UINT32_MAX};
		at += 2;
		if (*at != ':') {
			char *end;
			e->id = (uint32_t)strtoul(at, &end, 10);
			at = end;
		}
		at++;
		e->perm = (uint16_t)((at[0] == 'r') * 4 + (at[1] == 'w') * 2 + (at[2] == 'x'));
		e->tag = (uint16_t)(kind == 'u'   ? (e->id == UINT32_MAX ? USER_OBJ : USER)
				    : kind == 'g' ? (e->id == UINT32_MAX ? GROUP_OBJ : GROUP)
				    : kind == 'm' ? MASK
						  : OTHER);
		at += 3;
	}
	return 4 + count * sizeof(struct entry);
}

/* The other way; "" where there is none. One of 4 buffers, in turn. */
static const char *text_of(const char *path, const char *which)
{
	static char bufs[4][600];
	static unsigned next;
	char *buf = bufs[next++ % COUNT_OF(bufs)];
	struct acl acl;
	ssize_t len = getxattr(path, which, &acl, sizeof(acl));
	size_t used = 0;
	buf[0] = 0;
	for (size_t i = 0; len > 4 && i < ((size_t)len - 4) / sizeof(struct entry); i++) {
		const struct entry *e = &acl.entries[i];
		const char *kind = e->tag == USER_OBJ || e->tag == USER ? "u" : e->tag == GROUP_OBJ || e->tag == GROUP ? "g" : e->tag == MASK ? "m" : "o";
		char id[16] = "";
		if (e->tag == USER || e->tag == GROUP)
			snprintf(id, sizeof(id), "%u", e->id);
		used += (size_t)snprintf(buf + used, sizeof(bufs[0]) - used, "%s%s:%s:%c%c%c", i ? "," : "", kind, id, e->perm & 4 ? 'r' : '-',
					 e->perm & 2 ? 'w' : '-', e->perm & 1 ? 'x' : '-');
	}
	return buf;
}

static int give(const char *path, const char *which, const char *text)
{
	struct acl acl;
	size_t len = parse(text, &acl);
	return setxattr(path, which, &acl, len, 0);
}

static mode_t mode_of(const char *path)
{
	return posix_stat(path).st_mode & 07777;
}

/* An access ACL is given: what is kept of it, and what the mode is then. */
static void given(void)
{
	static const struct {
		const char *given, *kept; /* kept NULL: as given; "": only a mode, no ACL */
		mode_t mode;
		int error;
	} rows[] = {
		{"u::rw-,g::r--,o::---", "", 0640, 0},
		{"u::rwx,g::r-x,o::r-x", "", 0755, 0},
		{"u::---,g::---,o::---", "", 0, 0},
		{"u::rw-,u:5:r--,g::r--,m::r--,o::---", NULL, 0640, 0},
		{"u::rw-,u:5:rwx,g::r--,m::rwx,o::---", NULL, 0670, 0},
		{"u::rw-,u:5:rwx,g::rwx,m::---,o::rwx", NULL, 0607, 0},
		{"u::r--,g::rw-,g:6:r-x,m::rwx,o::--x", NULL, 0471, 0},
		{"u::rwx,u:5:r--,u:6:-w-,u:7:--x,g::---,g:8:rwx,g:9:---,m::rwx,o::---", NULL, 0770, 0},
		{"u::rwx,g::r-x,m::r--,o::---", NULL, 0740, 0},
		{"u::rw-,u:0:r--,g::r--,g:0:r--,m::r--,o::---", NULL, 0640, 0},
		{"u::rw-,u:4294967294:r--,g::r--,m::r--,o::---", NULL, 0640, 0},
		{"u::rw-,u:5:r--,g::r--,o::---", NULL, 0, EINVAL}, /* named, and no mask */
		{"u::rw-,g::r--", NULL, 0, EINVAL},
		{"g::r--,o::---", NULL, 0, EINVAL},
		{"u::rw-,o::---", NULL, 0, EINVAL},
		{"o::---,g::r--,u::rw-", NULL, 0, EINVAL}, /* out of order */
		{"u::rw-,g::r--,m::r--,u:5:r--,o::---", NULL, 0, EINVAL},
		{"u::rw-,u::r--,g::r--,o::---", NULL, 0, EINVAL},
		{"u::rw-,g::r--,g::r--,o::---", NULL, 0, EINVAL},
		{"u::rw-,g::r--,m::r--,m::r--,o::---", NULL, 0, EINVAL},
		{"u::rw-,g::r--,o::---,o::---", NULL, 0, EINVAL},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		for (int dir = 0; dir < 2; dir++) {
			const char *f = posix_path("%c%zu", dir ? 'd' : 'f', i), *g = rows[i].given, *k = dir ? "directory" : "file";
			if (dir)
				NEED(mkdir(f, 0711));
			else
				posix_make(f, 0711, 1);
			int rc = give(f, ACCESS, g);
			if (rows[i].error)
				ERR(rc, rows[i].error, "%s to a %s", g, k);
			else
				OK(rc, "%s to a %s", g, k);
			EQ(mode_of(f), rows[i].error ? 0711 : rows[i].mode, "mode of a %s with %s", k, g);
			const char *kept = rows[i].error ? "" : rows[i].kept ? rows[i].kept : g;
			IS(strcmp(text_of(f, ACCESS), kept) == 0, "'%s' is kept of %s by a %s", kept, g, k);
		}
}

static void bad_bytes(void)
{
	struct acl acl;
	size_t len = parse("u::rw-,u:5:r--,g::r--,m::r--,o::---", &acl);
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(symlink("f", "l"));
	acl.version = 1;
	ERR(setxattr("f", ACCESS, &acl, len, 0), EOPNOTSUPP, "a version that there is not");
	acl.version = 2;
	ERR(setxattr("f", ACCESS, &acl, len - 1, 0), EINVAL, "a cut entry");
	ERR(setxattr("f", ACCESS, &acl, 3, 0), EINVAL, "a cut head");
	acl.entries[1].tag = 64;
	ERR(setxattr("f", ACCESS, &acl, len, 0), EINVAL, "a tag that there is not");
	acl.entries[1].tag = USER;
	acl.entries[1].perm = 8;
	ERR(setxattr("f", ACCESS, &acl, len, 0), EINVAL, "a permission that there is not");
	acl.entries[1] = (struct entry){USER, 4, UINT32_MAX};
	ERR(setxattr("f", ACCESS, &acl, len, 0), EINVAL, "a user that there is not");
	EQ(mode_of("f"), 0644, "the mode stays");
	OK(setxattr("f", ACCESS, &acl, 4, 0), "no entries at all: no ACL");
	ERR(getxattr("f", ACCESS, &acl, sizeof(acl)), ENODATA, "there is none");
	ERR(give("f", DEFAULT, "u::rwx,g::r-x,o::r-x"), EACCES, "a default ACL of a file");
	ERR(lsetxattr("l", ACCESS, &acl, 4, 0), EOPNOTSUPP, "an ACL of a symlink");
	ERR(lgetxattr("l", ACCESS, &acl, 4), EOPNOTSUPP, "asked of a symlink");
	ERR(getxattr("f", "system.posix_acl_other", &acl, 4), EOPNOTSUPP, "an ACL of a kind that there is not");
	NEED(give("f", ACCESS, "u::rw-,u:5:r--,g::r--,m::r--,o::---"));
	EQ(getxattr("f", ACCESS, NULL, 0), 44, "the length of five entries");
	EQ(getxattr("f", ACCESS, &acl, 44), 44, "with just the room");
	ERR(getxattr("f", ACCESS, &acl, 43), ERANGE, "with too little room");
	char list[100];
	EQ(listxattr("f", list, sizeof(list)), (ssize_t)sizeof(ACCESS), "it is listed");
	OK(removexattr("f", ACCESS), "removed");
	ERR(getxattr("f", ACCESS, &acl, sizeof(acl)), ENODATA, "it is gone");
	EQ(mode_of("f"), 0640, "the mode keeps what the mask was");
	EQ(listxattr("f", list, sizeof(list)), 0, "nothing is listed");
}

/* chmod and the ACL are two views of one thing. */
static void modes(void)
{
	static const struct {
		const char *acl;
		mode_t mode;
		const char *after;
	} rows[] = {
		{"u::rw-,u:5:rwx,g::r--,m::rwx,o::---", 0640, "u::rw-,u:5:rwx,g::r--,m::r--,o::---"},
		{"u::rw-,u:5:rwx,g::r--,m::rwx,o::---", 0777, "u::rwx,u:5:rwx,g::r--,m::rwx,o::rwx"},
		{"u::rw-,u:5:rwx,g::rwx,m::rwx,o::r--", 0, "u::---,u:5:rwx,g::rwx,m::---,o::---"},
		{"u::rwx,g::r-x,m::rwx,o::---", 0511, "u::r-x,g::r-x,m::--x,o::--x"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *f = posix_path("f%zu", i);
		posix_make(f, 0600, 1);
		NEED(give(f, ACCESS, rows[i].acl));
		OK(chmod(f, rows[i].mode), "chmod %o of %s", rows[i].mode, rows[i].acl);
		EQ(mode_of(f), rows[i].mode, "mode %o of %s", rows[i].mode, rows[i].acl);
		IS(strcmp(text_of(f, ACCESS), rows[i].after) == 0, "%s after chmod %o of %s", rows[i].after, rows[i].mode, rows[i].acl);
	}
	posix_make("g", 04755, 1);
	NEED(give("g", ACCESS, "u::rwx,u:5:r--,g::r-x,m::r-x,o::r-x"));
	EQ(mode_of("g"), 04755, "as root an ACL leaves the set-id bits");
	struct stat before = posix_stat("g");
	posix_pause();
	NEED(give("g", ACCESS, "u::rwx,u:5:rwx,g::r-x,m::rwx,o::r-x"));
	struct stat after = posix_stat("g");
	IS(after.st_ctim.tv_nsec != before.st_ctim.tv_nsec || after.st_ctim.tv_sec != before.st_ctim.tv_sec, "a new ACL moves ctime");
	IS(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec, "and not mtime");
	NEED(chown("g", 7, 8));
	IS(strcmp(text_of("g", ACCESS), "u::rwx,u:5:rwx,g::r-x,m::rwx,o::r-x") == 0, "chown leaves it");
	NEED(rename("g", "h"));
	NEED(link("h", "i"));
	IS(strcmp(text_of("i", ACCESS), "u::rwx,u:5:rwx,g::r-x,m::rwx,o::r-x") == 0, "and so do rename and link");
}

/* What a directory's default ACL makes of what is made in it; the umask is then no matter. */
static void inherited(void)
{
	static const struct {
		const char *acl;
		mode_t mode, umask;
		const char *file; /* the new file's access ACL; "": none */
		mode_t got;
	} rows[] = {
		{"u::rwx,g::r-x,o::---", 0666, 022, "", 0640},
		{"u::rwx,g::r-x,o::---", 0777, 077, "", 0750},
		{"u::rw-,g::rw-,o::rw-", 0777, 0, "", 0666},
		{"u::rwx,g::rwx,o::rwx", 0600, 0777, "", 0600},
		{"u::---,g::---,o::---", 0777, 0, "", 0},
		{"u::rwx,u:5:rwx,g::r-x,m::rwx,o::---", 0666, 022, "u::rw-,u:5:rwx,g::r-x,m::rw-,o::---", 0660},
		{"u::rwx,u:5:rwx,g::r-x,m::rwx,o::---", 0777, 077, "u::rwx,u:5:rwx,g::r-x,m::rwx,o::---", 0770},
		{"u::rwx,u:5:rwx,g::r-x,m::rwx,o::r-x", 0604, 0, "u::rw-,u:5:rwx,g::r-x,m::---,o::r--", 0604},
		{"u::rwx,g::r-x,g:6:rw-,m::r-x,o::---", 0666, 0, "u::rw-,g::r-x,g:6:rw-,m::r--,o::---", 0640},
		{"u::r-x,u:5:---,g::---,m::---,o::---", 0777, 0, "u::r-x,u:5:---,g::---,m::---,o::---", 0500},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *d = posix_path("d%zu", i), *a = rows[i].acl;
		NEED(mkdir(d, 0755));
		OK(give(d, DEFAULT, a), "default %s", a);
		IS(strcmp(text_of(d, DEFAULT), a) == 0, "is kept: %s", a);
		EQ(mode_of(d), 0755, "the directory's mode stays: %s", a);
		umask(rows[i].umask);
		const char *f = posix_path("%s/f", d), *s = posix_path("%s/s", d), *p = posix_path("%s/p", d), *l = posix_path("%s/l", d);
		posix_open_close(open(f, O_RDWR | O_CREAT | O_EXCL, rows[i].mode));
		NEED(mkdir(s, rows[i].mode));
		NEED(mkfifo(p, rows[i].mode));
		NEED(symlink("x", l));
		int nameless = open(d, O_TMPFILE | O_RDWR, rows[i].mode);
		umask(0);
		EQ(mode_of(f), rows[i].got, "mode of a file made with %o under umask %o and %s", rows[i].mode, rows[i].umask, a);
		IS(strcmp(text_of(f, ACCESS), rows[i].file) == 0, "'%s' of a file made with %o under %s", rows[i].file, rows[i].mode, a);
		EQ(mode_of(s), rows[i].got, "mode of a directory made with %o under umask %o and %s", rows[i].mode, rows[i].umask, a);
		IS(strcmp(text_of(s, ACCESS), rows[i].file) == 0, "'%s' of a directory made with %o under %s", rows[i].file, rows[i].mode, a);
		IS(strcmp(text_of(s, DEFAULT), a) == 0, "a directory inherits the default, too: %s", a);
		EQ(mode_of(p), rows[i].got, "mode of a fifo made with %o under umask %o and %s", rows[i].mode, rows[i].umask, a);
		EQ(mode_of(l), 0777, "a symlink is as always under %s", a);
		struct stat st = {0};
		if (OK(nameless, "O_TMPFILE under %s", a)) {
			NEED(fstat(nameless, &st));
			EQ(st.st_mode & 07777, rows[i].got, "mode of a file without a name made with %o under umask %o and %s", rows[i].mode,
			   rows[i].umask, a);
		}
		posix_open_close(nameless);
		NEED(mkdir(posix_path("%s/deep", s), 0700));
		IS(strcmp(text_of(posix_path("%s/deep", s), DEFAULT), a) == 0, "and so does one in it: %s", a);
	}
	umask(022);
	NEED(mkdir("plain", 0777));
	NEED(give("plain", DEFAULT, "u::rwx,g::rwx,o::rwx"));
	NEED(removexattr("plain", DEFAULT));
	posix_open_close(open("plain/f", O_RDWR | O_CREAT, 0666));
	EQ(mode_of("plain/f"), 0644, "without the default the umask counts again");
	OK(removexattr("plain", DEFAULT), "Linux: a default that there is not is removed");
	NEED(mkdir("moved", 0700));
	NEED(give("plain", DEFAULT, "u::rwx,u:5:rwx,g::rwx,m::rwx,o::rwx"));
	NEED(rename("moved", "plain/moved"));
	EQ(mode_of("plain/moved"), 0700, "what is moved in inherits nothing");
	IS(strcmp(text_of("plain/moved", DEFAULT), "") == 0, "no default either");
	NEED(link("plain/f", "plain/g"));
	IS(strcmp(text_of("plain/g", ACCESS), "") == 0, "nor does what is linked");
	NEED(chmod("plain", 02777));
	NEED(chown("plain", 0, FILE_GID));
	NEED(mkdir("plain/s", 0755));
	EQ(mode_of("plain/s") & S_ISGID, S_ISGID, "setgid is inherited beside it");
}

/* Whom an ACL lets in: each row for every user, reading and writing. */
static void decisions(void)
{
	static const struct {
		const char *acl;
		const char *owner, *member, *other; /* of rw */
	} rows[] = {
		{"u::rw-,g::---,o::---", "rw", "--", "--"},
		{"u::---,g::rw-,o::---", "--", "rw", "--"},
		{"u::---,g::---,o::rw-", "--", "--", "rw"},
		{"u::---,u:1234:rw-,g::---,m::rw-,o::rw-", "--", "--", "rw"}, /* the owner's entry is the owner's */
		{"u::---,u:65534:rw-,g::---,m::rw-,o::---", "--", "--", "rw"},
		{"u::---,u:65534:---,g::rw-,m::rw-,o::rw-", "--", "rw", "--"},
		{"u::---,u:65534:rw-,g::rw-,m::r--,o::rw-", "--", "r-", "r-"}, /* the mask */
		{"u::rw-,u:65534:rw-,g::rw-,m::---,o::---", "rw", "--", "--"}, /* the mask is not the owner's */
		{"u::---,g::---,g:4242:rw-,m::rw-,o::---", "--", "rw", "--"},
		{"u::---,g::r--,g:4242:-w-,m::rw-,o::---", "--", "rw, not at once", "--"}, /* one group for each */
		{"u::---,g::---,g:777:rw-,m::rw-,o::---", "--", "rw", "--"},
		{"u::---,g::---,g:777:rw-,m::-w-,o::rw-", "--", "-w", "rw"},
		{"u::---,g::---,g:65534:r--,m::rw-,o::rw-", "--", "--", "r-"}, /* in a group: others' is not asked */
		{"u::---,u:4242:r--,g::rw-,g:4242:rw-,m::rw-,o::rw-", "--", "r-", "rw"}, /* a user's entry is before groups' */
		{"u::r--,u:4242:-w-,u:65534:r--,g::---,m::rw-,o::---", "r-", "-w", "r-"},
	};
	static const struct posix_user *const users[] = {&posix_owner, &posix_member, &posix_other};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *f = posix_path("f%zu", i), *wanted[] = {rows[i].owner, rows[i].member, rows[i].other};
		posix_make(f, 0600, 1);
		NEED(chown(f, posix_owner.uid, FILE_GID));
		if (!OK(give(f, ACCESS, rows[i].acl), "give %s", rows[i].acl))
			continue;
		for (size_t u = 0; u < COUNT_OF(users); u++) {
			posix_become(users[u]);
			int r = open(f, O_RDONLY), re = errno, w = open(f, O_WRONLY), we = errno;
			int both = open(f, O_RDWR), a = faccessat(AT_FDCWD, f, R_OK, AT_EACCESS), x = faccessat(AT_FDCWD, f, X_OK, AT_EACCESS);
			posix_become(&posix_root);
			const char *n = users[u]->name, *want = wanted[u];
			IS(r >= 0 ? want[0] == 'r' : want[0] == '-' && re == EACCES, "%s: %c to read for %s", rows[i].acl, want[0], n);
			IS(w >= 0 ? want[1] == 'w' : want[1] == '-' && we == EACCES, "%s: %c to write for %s", rows[i].acl, want[1], n);
			EQ(both >= 0, strcmp(want, "rw") == 0, "%s: both for %s", rows[i].acl, n);
			EQ(a == 0, want[0] == 'r', "%s: access for %s", rows[i].acl, n);
			EQ(x == 0, 0, "%s: nobody executes, %s", rows[i].acl, n);
			posix_open_close(r), posix_open_close(w), posix_open_close(both);
		}
	}
}

static void directories(void)
{
	struct stat st;
	static const struct posix_user *const users[] = {&posix_owner, &posix_member, &posix_other};
	static const struct {
		const char *acl;
		const char *may[3]; /* rwx of each user */
	} rows[] = {
		{"u::rwx,u:65534:rwx,g::---,m::rwx,o::---", {"rwx", "---", "rwx"}}, {"u::rwx,u:65534:rwx,g::---,m::r-x,o::---", {"rwx", "---", "r-x"}},
		{"u::r-x,g::---,g:777:rwx,m::rwx,o::--x", {"r-x", "rwx", "--x"}}, {"u::---,u:4242:--x,g::rwx,m::rwx,o::r--", {"---", "--x", "r--"}},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *d = posix_path("d%zu", i);
		NEED(mkdir(d, 0700));
		posix_make(posix_path("%s/in", d), 0644, 1);
		NEED(chown(d, posix_owner.uid, 99));
		if (!OK(give(d, ACCESS, rows[i].acl), "give %s", rows[i].acl))
			continue;
		for (size_t u = 0; u < COUNT_OF(users); u++) {
			const char *may = rows[i].may[u], *n = users[u]->name;
			posix_become(users[u]);
			int list = open(d, O_RDONLY | O_DIRECTORY), look = stat(posix_path("%s/in", d), &st), make = mkdir(posix_path("%s/%s", d, n), 0700);
			posix_become(&posix_root);
			EQ(list >= 0, may[0] == 'r', "%s: list by %s", rows[i].acl, n);
			EQ(look == 0, may[2] == 'x', "%s: look up by %s", rows[i].acl, n);
			EQ(make == 0, may[1] == 'w' && may[2] == 'x', "%s: make by %s", rows[i].acl, n);
			posix_open_close(list);
		}
	}
}

static void who_may_give(void)
{
	struct acl acl;
	posix_make("f", 0666, 1);
	NEED(mkdir("d", 0777));
	NEED(chown("f", posix_owner.uid, FILE_GID));
	NEED(chown("d", posix_owner.uid, FILE_GID));
	posix_become(&posix_other);
	ERR(give("f", ACCESS, "u::rw-,u:65534:rw-,g::rw-,m::rw-,o::rw-"), EPERM, "an ACL by somebody else");
	ERR(give("d", DEFAULT, "u::rwx,g::rwx,o::rwx"), EPERM, "a default by somebody else");
	ERR(removexattr("f", ACCESS), EPERM, "removal by somebody else");
	posix_become(&posix_owner);
	OK(give("f", ACCESS, "u::---,u:65534:rw-,g::---,m::rw-,o::---"), "an ACL by the owner");
	OK(give("d", DEFAULT, "u::rwx,u:65534:rwx,g::---,m::rwx,o::---"), "a default by the owner");
	EQ(getxattr("f", ACCESS, &acl, sizeof(acl)), 44, "the owner asks for it, though there is no right to read");
	posix_become(&posix_other);
	EQ(getxattr("f", ACCESS, &acl, sizeof(acl)), 44, "anybody does");
	int fd = open("f", O_RDWR);
	OK(fd, "it lets in");
	posix_become(&posix_owner);
	OK(removexattr("f", ACCESS), "removal by the owner");
	OK(chmod("f", 0600), "and chmod");
	posix_become(&posix_other);
	ERR(open("f", O_RDWR), EACCES, "it lets in no more");
	EQ(write(fd, "x", 1), 1, "but what is open stays so");
	/* setgid goes when an ACL is given by an owner who is not in the group */
	posix_become(&posix_root);
	posix_make("g", 0600, 1);
	NEED(chown("g", posix_owner.uid, FILE_GID));
	NEED(chmod("g", 02755));
	posix_become(&posix_owner);
	OK(give("g", ACCESS, "u::rwx,u:5:r--,g::r-x,m::r-x,o::r-x"), "an ACL for a setgid file by an owner outside the group");
	EQ(mode_of("g"), 0755, "takes setgid away");
}

static void many_entries(void)
{
	struct acl acl = {.version = 2};
	size_t n = 0;
	acl.entries[n++] = (struct entry){USER_OBJ, 6, UINT32_MAX};
	for (uint32_t i = 0; i < 30; i++)
		acl.entries[n++] = (struct entry){USER, 4, 1000 + i};
	acl.entries[n++] = (struct entry){GROUP_OBJ, 4, UINT32_MAX};
	acl.entries[n++] = (struct entry){MASK, 6, UINT32_MAX};
	acl.entries[n++] = (struct entry){OTHER, 0, UINT32_MAX};
	posix_make("f", 0600, 1);
	OK(setxattr("f", ACCESS, &acl, 4 + n * sizeof(struct entry), 0), "thirty users");
	struct acl back;
	EQ(getxattr("f", ACCESS, &back, sizeof(back)), 4 + n * sizeof(struct entry), "come back");
	IS(memcmp(&acl, &back, 4 + n * sizeof(struct entry)) == 0, "as they were");
	const struct posix_user last = {"the last", 1029, 50, 0}, none = {"none of them", 1030, 50, 0};
	posix_become(&last);
	OK(open("f", O_RDONLY), "the last of them reads");
	ERR(open("f", O_WRONLY), EACCES, "and does not write");
	posix_become(&none);
	ERR(open("f", O_RDONLY), EACCES, "none of them does not");
}

const struct posix_case posix_cases_acl[] = {{"given", given}, {"bad_bytes", bad_bytes}, {"modes", modes}, {"inherited", inherited},
					     {"decisions", decisions}, {"directories", directories}, {"who_may_give", who_may_give},
					     {"many_entries", many_entries}, {0}};
