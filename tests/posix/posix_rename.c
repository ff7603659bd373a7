/* SPDX-License-Identifier: Apache-2.0
 * rename in every case of the standard, and Linux's flags. Owns no state. */
#include "tests/posix/posix.h"

/* What may be at either end: a name, made in a fresh directory. */
enum kind { ABSENT, REG, HARD, LINK, FIFO, EMPTY, FULL, KINDS };
static const char *const kind_names[KINDS] = {"nothing", "file", "hard-linked file", "symlink", "fifo", "empty dir", "full dir"};

static void make(enum kind kind, const char *name)
{
	switch (kind) {
	case REG:
		posix_make(name, 0644, 7);
		break;
	case HARD:
		posix_make(name, 0644, 7);
		NEED(link(name, posix_path("%s.hard", name)));
		break;
	case LINK:
		NEED(symlink("somewhere", name));
		break;
	case FIFO:
		NEED(mkfifo(name, 0644));
		break;
	case FULL:
		NEED(mkdir(name, 0755));
		posix_make(posix_path("%s/in", name), 0644, 1);
		break;
	case EMPTY:
		NEED(mkdir(name, 0755));
		break;
	default:
		break;
	}
}

static bool is_dir(enum kind kind)
{
	return kind == EMPTY || kind == FULL;
}

static int wanted(enum kind from, enum kind to, unsigned flags)
{
	if (from == ABSENT)
		return ENOENT;
	if (flags == RENAME_EXCHANGE)
		return to == ABSENT ? ENOENT : 0;
	if (to == ABSENT)
		return 0;
	if (flags == RENAME_NOREPLACE)
		return EEXIST;
	if (is_dir(from) && !is_dir(to))
		return ENOTDIR;
	if (!is_dir(from) && is_dir(to))
		return EISDIR;
	return to == FULL ? ENOTEMPTY : 0;
}

static void one(enum kind from, enum kind to, unsigned flags, bool across)
{
	const char *b = across ? "there/b" : "b", *flag = flags == 0 ? "plain" : flags == RENAME_NOREPLACE ? "noreplace" : "exchange";
	const char *where = across ? "across" : "within", *f = kind_names[from], *t = kind_names[to];
	NEED(mkdir("there", 0755));
	make(from, "a");
	make(to, b);
	ino_t a_ino = posix_stat("a").st_ino, b_ino = posix_stat(b).st_ino;
	int want = wanted(from, to, flags);
	int rc = renameat2(AT_FDCWD, "a", AT_FDCWD, b, flags);
	if (want)
		ERR(rc, want, "%s %s over %s, %s", flag, f, t, where);
	else
		OK(rc, "%s %s over %s, %s", flag, f, t, where);
	ino_t a_want = want ? a_ino : flags == RENAME_EXCHANGE ? b_ino : 0;
	IS(posix_stat("a").st_ino == a_want, "the old name after %s %s over %s, %s", flag, f, t, where);
	IS(posix_stat(b).st_ino == (want ? b_ino : a_ino), "the new name after %s %s over %s, %s", flag, f, t, where);
	if (!want && to == HARD)
		EQ(posix_stat(posix_path("%s.hard", b)).st_nlink, flags == RENAME_EXCHANGE ? 2 : 1, "links left after %s %s over %s, %s", flag, f, t,
		   where);
	if (!want && across && (is_dir(from) || is_dir(to))) {
		bool here = flags == RENAME_EXCHANGE && is_dir(to);
		EQ(posix_stat(".").st_nlink, 3 + here, "links of the old parent after %s %s over %s", flag, f, t);
		EQ(posix_stat("there").st_nlink, 2 + is_dir(from), "links of the new parent after %s %s over %s", flag, f, t);
	}
}

static void matrix(void)
{
	static const unsigned flags[] = {0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	int n = 0;
	for (size_t i = 0; i < COUNT_OF(flags); i++)
		for (int from = 0; from < KINDS; from++)
			for (int to = 0; to < KINDS; to++)
				for (int across = 0; across < 2; across++) {
					const char *d = posix_path("w%d", n++);
					NEED(mkdir(d, 0755));
					NEED(chdir(d));
					one((enum kind)from, (enum kind)to, flags[i], across);
					NEED(chdir(".."));
				}
}

static void same_file(void)
{
	posix_make("a", 0644, 3);
	NEED(link("a", "b"));
	OK(rename("a", "b"), "two names of one file");
	EQ(posix_stat("a").st_nlink, 2, "both names stay: the old");
	EQ(posix_stat("b").st_nlink, 2, "both names stay: the new");
	OK(rename("a", "a"), "a name onto itself");
	OK(rename("a", "./a"), "a name onto itself by another path");
	EQ(posix_stat("a").st_size, 3, "it is still there");
	NEED(mkdir("d", 0755));
	OK(rename("d", "d"), "a directory onto itself");
	ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE), EEXIST, "noreplace onto itself");
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_EXCHANGE), "exchange with itself");
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE), "exchange of two names of one file");
}

/* What overlay file systems ask for: a device 0:0 takes the place of what was moved. */
static void whiteout(void)
{
	static const enum kind kinds[] = {REG, HARD, LINK, FIFO, EMPTY, FULL};
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		for (int over = 0; over < 2; over++)
			for (int across = 0; across < 2; across++) {
				const char *f = kind_names[kinds[i]], *b = across ? "there/b" : "b", *d = posix_path("w%zu%d%d", i, over, across);
				NEED(mkdir(d, 0755));
				NEED(chdir(d));
				NEED(mkdir("there", 0755));
				make(kinds[i], "a");
				if (over)
					make(is_dir(kinds[i]) ? EMPTY : REG, b);
				ino_t ino = posix_stat("a").st_ino;
				unsigned long links = posix_stat(".").st_nlink;
				if (over)
					ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, b, RENAME_WHITEOUT | RENAME_NOREPLACE), EEXIST, "and noreplace, of a %s", f);
				unsigned flags = RENAME_WHITEOUT | (over ? 0u : (unsigned)RENAME_NOREPLACE);
				OK(renameat2(AT_FDCWD, "a", AT_FDCWD, b, flags), "leave a whiteout for a %s, over %d, across %d", f, over, across);
				struct stat st = posix_stat("a");
				EQ(st.st_mode, S_IFCHR, "it is a device without permissions, %s", f);
				EQ(st.st_rdev, 0, "number 0:0, %s", f);
				EQ(st.st_nlink, 1, "with one name, %s", f);
				IS(st.st_ino != ino, "and a new inode, %s", f);
				IS(posix_stat(b).st_ino == ino, "what was there has the new name, %s", f);
				if (is_dir(kinds[i]) && (across || over))
					EQ(posix_stat(".").st_nlink, links - 1, "links of the old parent, %s, over %d, across %d", f, over, across);
				OK(unlink("a"), "it can be removed, %s", f);
				EQ(posix_stat("a").st_ino, 0, "and is gone, %s", f);
				NEED(chdir(".."));
			}
	posix_make("f", 0644, 1);
	posix_make("g", 0644, 1);
	NEED(link("f", "h"));
	ERR(renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL, "a whiteout does not go with exchange");
	ERR(renameat2(AT_FDCWD, "absent", AT_FDCWD, "g", RENAME_WHITEOUT), ENOENT, "a whiteout of nothing");
	OK(renameat2(AT_FDCWD, "f", AT_FDCWD, "h", RENAME_WHITEOUT), "two names of one file");
	EQ(posix_stat("f").st_nlink, 2, "stay as they are");
	/* whoever may rename may leave one, and make one */
	NEED(mkdir("mine", 0755));
	NEED(chown("mine", OTHER_UID, OTHER_UID));
	posix_become(&posix_other);
	posix_make("mine/f", 0644, 1);
	OK(renameat2(AT_FDCWD, "mine/f", AT_FDCWD, "mine/g", RENAME_WHITEOUT), "of another than root");
	OK(mknod("mine/h", S_IFCHR, 0), "mknod of one, of another than root");
	ERR(mknod("mine/i", S_IFCHR, 0x103), EPERM, "but of no other device");
	posix_become(&posix_root);
	EQ(posix_stat("mine/f").st_uid, OTHER_UID, "the whiteout is his");
	EQ(posix_stat("mine/h").st_uid, OTHER_UID, "and the one that was made");
}

static void bad_paths(void)
{
	static char name256[300];
	memset(name256, 'n', 256);
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(mkdir("d/e", 0755));
	NEED(mkdir("d/e/g", 0755));
	NEED(symlink("loop", "loop"));
	const struct {
		const char *from, *to;
		int error;
		unsigned flags;
	} rows[] = {
		{"d", "d/x", EINVAL, 0}, {"d", "d/e/x", EINVAL, 0}, {"d", "d/e/g/x", EINVAL, 0}, {"d", "d/e", EINVAL, 0}, {"d/e", "d/e/g", EINVAL, 0},
		{"d/e", "d", ENOTEMPTY, 0}, {"d/e/g", "d", ENOTEMPTY, 0}, {"f", "f/x", ENOTDIR, 0}, {"f/x", "y", ENOTDIR, 0},
		{"f", "absent/x", ENOENT, 0}, {"absent/x", "y", ENOENT, 0}, {"", "y", ENOENT, 0}, {"f", "", ENOENT, 0}, {"f", name256, ENAMETOOLONG, 0},
		{name256, "y", ENAMETOOLONG, 0}, {"loop/x", "y", ELOOP, 0}, {"f", "loop/x", ELOOP, 0}, {"f", "new/", ENOTDIR, 0}, {"f/", "new", ENOTDIR, 0},
		{"d/.", "x", EBUSY, 0}, {"d/..", "x", EBUSY, 0}, {"d", "x/.", ENOENT, 0}, {"d/e", ".", EBUSY, 0}, {"d/e", "..", EBUSY, 0},
		{"d", "d/x", EINVAL, RENAME_NOREPLACE}, {"d", "d/e", EINVAL, RENAME_EXCHANGE}, {"d/e", "d", EINVAL, RENAME_EXCHANGE},
		{"d/e/g", "d", EINVAL, RENAME_EXCHANGE}, {"f", "y", EINVAL, RENAME_EXCHANGE | RENAME_NOREPLACE}, {"f", "y", EINVAL, 1u << 20},
	};
	/* for a directory that is not empty the standard allows EEXIST, too; Linux's file systems say ENOTEMPTY, and programs look for that one */
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		ERR(renameat2(AT_FDCWD, rows[i].from, AT_FDCWD, rows[i].to, rows[i].flags), rows[i].error, "'%.8s' to '%.8s' flags %x", rows[i].from,
		    rows[i].to, rows[i].flags);
	OK(rename("d/", "moved"), "a directory with a slash after it");
	OK(rename("moved", "d/"), "a directory to a name with a slash after it");
}

static void over_open(void)
{
	char c = 0;
	posix_make("a", 0644, 3);
	posix_make("b", 0644, 9);
	int fd = (int)NEED(open("b", O_RDWR)), source = (int)NEED(open("a", O_RDWR));
	struct stat st;
	OK(rename("a", "b"), "over an open file");
	OK(fstat(fd, &st), "fstat of the replaced");
	EQ(st.st_nlink, 0, "links of the replaced");
	EQ(st.st_size, 9, "size of the replaced");
	EQ(pread(fd, &c, 1, 8), 1, "read of the replaced");
	EQ((unsigned char)c, posix_byte(8), "its bytes");
	EQ(pwrite(fd, "z", 1, 20), 1, "write to the replaced");
	OK(fstat(source, &st), "fstat of the moved");
	EQ(st.st_size, 3, "size of the moved");
	EQ(pwrite(source, "zz", 2, 3), 2, "write to the moved");
	EQ(posix_stat("b").st_size, 5, "the new name sees it");
	NEED(mkdir("x", 0755));
	NEED(mkdir("y", 0755));
	int dir = (int)NEED(open("y", O_RDONLY | O_DIRECTORY)), moved = (int)NEED(open("x", O_RDONLY | O_DIRECTORY));
	OK(rename("x", "y"), "over an open directory");
	ERR(openat(dir, "n", O_CREAT | O_RDWR, 0600), ENOENT, "no file is made in a directory that is gone");
	OK(mkdirat(moved, "n", 0700), "a moved directory is used by its descriptor");
	IS(S_ISDIR(posix_stat("y/n").st_mode), "and is at its new name");
}

static void parents(void)
{
	NEED(mkdir("p", 0755));
	NEED(mkdir("q", 0755));
	NEED(mkdir("p/d", 0755));
	for (int i = 0; i < 10; i++) {
		const char *from = i & 1 ? "q/d" : "p/d", *to = i & 1 ? "p/d" : "q/d";
		OK(rename(from, to), "move %d", i);
		struct stat up = {0};
		NEED(stat(posix_path("%s/..", to), &up));
		IS(up.st_ino == posix_stat(i & 1 ? "p" : "q").st_ino, "dot-dot after move %d", i);
		EQ(posix_stat("p").st_nlink, i & 1 ? 3 : 2, "links of p after move %d", i);
		EQ(posix_stat("q").st_nlink, i & 1 ? 2 : 3, "links of q after move %d", i);
	}
}

const struct posix_case posix_cases_rename[] = {{"matrix", matrix}, {"same_file", same_file}, {"whiteout", whiteout}, {"bad_paths", bad_paths},
						{"over_open", over_open}, {"parents", parents}, {0}};
