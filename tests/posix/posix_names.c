/* SPDX-License-Identifier: Apache-2.0
 * Names: their bytes and lengths, paths, symbolic and hard links, and files that outlive their names. Owns no state. */
#include "tests/posix/posix.h"

#include <dirent.h>

static bool listed(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	bool found = false;
	NEED(d ? 0 : -1);
	for (struct dirent *e; !found && (e = readdir(d)) != NULL;)
		found = strcmp(e->d_name, name) == 0;
	closedir(d);
	return found;
}

static void lengths(void)
{
	static const size_t good[] = {1, 2, 7, 8, 15, 16, 63, 100, 127, 128, 200, 254, 255};
	NEED(mkdir("there", 0755));
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		size_t n = good[i];
		const char *a = posix_name('a', n), *b = posix_name('b', n);
		OK(mknod(a, S_IFREG | 0644, 0), "a file of %zu bytes of name", n);
		IS(listed(".", a), "readdir gives all %zu bytes", n);
		OK(link(a, b), "link to a name of %zu bytes", n);
		EQ(posix_stat(b).st_nlink, 2, "the linked name of %zu bytes", n);
		OK(rename(b, posix_path("there/%s", b)), "rename of a name of %zu bytes", n);
		OK(unlink(posix_path("there/%s", b)), "unlink of a name of %zu bytes", n);
		OK(unlink(a), "unlink of the first name of %zu bytes", n);
		OK(mkdir(a, 0755), "a directory of %zu bytes of name", n);
		OK(symlink("x", posix_path("%s/%s", a, b)), "a link in it, of %zu bytes of name", n);
		OK(unlink(posix_path("%s/%s", a, b)), "unlink of the link of %zu bytes of name", n);
		OK(rmdir(a), "rmdir of a name of %zu bytes", n);
	}
	/* in characters of three bytes 85 fit */
	char wide[300] = "";
	for (int i = 0; i < 85; i++)
		memcpy(wide + 3 * i, "\u20ac", 4);
	OK(mkdir(wide, 0755), "85 characters of 3 bytes");
	wide[255] = 'x';
	wide[256] = 0;
	ERR(mkdir(wide, 0755), ENAMETOOLONG, "and one byte more");
	struct stat st;
	EQ(pathconf(".", _PC_NAME_MAX), 255, "pathconf of NAME_MAX");
	ERR(lstat(posix_name('z', 256), &st), ENAMETOOLONG, "lstat of 256 bytes");
	ERR(lstat(posix_name('z', 1000), &st), ENAMETOOLONG, "lstat of 1000 bytes");
	ERR(lstat(posix_path("there/%s", posix_name('z', 256)), &st), ENAMETOOLONG, "lstat of 256 bytes in a directory");
	ERR(lstat(posix_path("%s/x", posix_name('z', 256)), &st), ENAMETOOLONG, "lstat through 256 bytes");
}

/* A name is bytes: each but '/' and NUL is as good as any other. */
static void bytes(void)
{
	for (int c = 1; c < 256; c++) {
		char name[3] = {(char)c, (char)c, 0};
		if (c == '/')
			continue;
		name[1] = c == '.' ? 'x' : (char)c;
		bool made = mknod(name, S_IFREG | 0600, 0) == 0, found = listed(".", name);
		IS(made && found && unlink(name) == 0 && !listed(".", name), "a name of byte %02x is made, listed and removed", (unsigned)c);
	}
}

static void spellings(void)
{
	static const struct {
		const char *what, *name;
	} names[] = {
		{"lower case", "name"}, {"upper case", "NAME"}, {"mixed case", "Name"}, {"composed", "\xc3\xa9"}, {"decomposed", "e\xcc\x81"},
		{"latin-1", "\xe9"}, {"overlong slash", "\xc0\xaf"}, {"surrogate", "\xed\xa0\x80"}, {"cut utf-8", "\xe2\x82"}, {"four bytes", "\xf0\x9f\x90\x8b"},
		{"byte order mark", "\xef\xbb\xbf"}, {"hebrew", "\xd7\xa9\xd7\x9c"}, {"three dots", "..."}, {"four dots", "...."}, {"dot first", ".x"},
		{"two dots first", "..x"}, {"dot last", "x."}, {"two dots last", "x.."}, {"space", " "}, {"space last", "x "}, {"tab", "\t"},
		{"new line", "\n"}, {"return", "x\r"}, {"dash", "-"}, {"option", "--help"}, {"star", "*"}, {"question", "?"}, {"quote", "'"},
		{"backslash", "\\"}, {"drive", "c:"}, {"device", "con"}, {"percent", "%s%n"}, {"escape", "\x1b[31m"}, {"tilde", "~"}, {"number", "0"},
		{"hidden by fuse", ".fuse_hidden0001"}, {"nfs", ".nfs000"},
	};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		int fd = open(names[i].name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		OK(fd, "make: %s", names[i].what);
		NEED(write(fd, &i, sizeof(i)));
		close(fd);
	}
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		size_t back = 99;
		int fd = open(names[i].name, O_RDONLY);
		OK(fd, "find: %s", names[i].what);
		NEED(read(fd, &back, sizeof(back)));
		close(fd);
		EQ(back, i, "it is a file of its own: %s", names[i].what);
		IS(listed(".", names[i].name), "readdir gives it: %s", names[i].what);
	}
	ERR(mkdir("nam", 0755) == 0 ? rename("nam", "name") : -1, ENOTDIR, "a beginning of a name is another name");
}

/* Call by call: '.', '..', slashes at the end and in between. */
static void dots_and_slashes(void)
{
	struct stat st, root;
	posix_make("f", 0644, 1);
	NEED(mkdir("d", 0755));
	NEED(mkdir("d/e", 0755));
	NEED(symlink("d", "to_d"));
	NEED(symlink("f", "to_f"));
	NEED(symlink("new", "to_new"));
	static const struct {
		const char *path;
		int error;
	} stats[] = {
		{"f", 0}, {"./f", 0}, {"././f", 0}, {".//f", 0}, {"d/../f", 0}, {"d/./../f", 0}, {"d/e/../../f", 0}, {"d/", 0}, {"d//", 0}, {"d/.", 0},
		{"d/..", 0}, {"d/./", 0}, {"to_d/", 0}, {"to_d/e", 0}, {"to_d/../f", 0}, {"to_d/e/../../f", 0}, {"f/", ENOTDIR}, {"f/.", ENOTDIR},
		{"f/..", ENOTDIR}, {"to_f/", ENOTDIR}, {"to_f/.", ENOTDIR}, {"f/../f", ENOTDIR}, {"no/../f", ENOENT}, {"no/", ENOENT}, {"no/.", ENOENT},
		{"", ENOENT}, {"to_new", ENOENT}, {"to_new/", ENOENT},
	};
	for (size_t i = 0; i < COUNT_OF(stats); i++)
		if (stats[i].error)
			ERR(stat(stats[i].path, &st), stats[i].error, "stat '%s'", stats[i].path);
		else
			OK(stat(stats[i].path, &st), "stat '%s'", stats[i].path);
	static const struct {
		const char *path;
		int error; /* of the call */
	} makes[] = {{".", EEXIST},    {"..", EEXIST}, {"/", EEXIST},    {"d", EEXIST},     {"d/", EEXIST},  {"d/.", EEXIST}, {"d/..", EEXIST},
		     {"f", EEXIST},    {"f/", EEXIST}, {"f/x", ENOTDIR}, {"to_d", EEXIST},  {"to_f", EEXIST}, {"no/x", ENOENT}, {"", ENOENT},
		     {"no/.", ENOENT}, {"to_new", EEXIST}},
	  removes[] = {{".", EINVAL},  {"d/.", EINVAL}, {"d/..", ENOTEMPTY}, {"..", ENOTEMPTY}, {"/", EBUSY}, {"f", ENOTDIR}, {"f/", ENOTDIR},
		       {"no", ENOENT}, {"no/", ENOENT}, {"", ENOENT},  {"to_d", ENOTDIR},     {"to_d/", ENOTDIR}, {"d", ENOTEMPTY}, {"f/x", ENOTDIR}},
	  unlinks[] = {{".", EISDIR}, {"..", EISDIR}, {"d", EISDIR}, {"d/", EISDIR}, {"f/", ENOTDIR}, {"no", ENOENT}, {"no/", ENOENT}, {"", ENOENT},
		       {"f/x", ENOTDIR}, {"d/.", EISDIR}, {"to_f/", ENOTDIR}, {"to_d/", ENOTDIR}},
	  creats[] = {{"x/", EISDIR}, {"f/", EISDIR}, {"d", EISDIR}, {"d/", EISDIR}, {".", EISDIR}, {"d/..", EISDIR},
		     {"no/x", ENOENT}, {"", ENOENT}, {"f/x", ENOTDIR}};
	for (size_t i = 0; i < COUNT_OF(makes); i++)
		ERR(mkdir(makes[i].path, 0755), makes[i].error, "mkdir '%s'", makes[i].path);
	for (size_t i = 0; i < COUNT_OF(removes); i++)
		ERR(rmdir(removes[i].path), removes[i].error, "rmdir '%s'", removes[i].path);
	for (size_t i = 0; i < COUNT_OF(unlinks); i++)
		ERR(unlink(unlinks[i].path), unlinks[i].error, "unlink '%s'", unlinks[i].path);
	for (size_t i = 0; i < COUNT_OF(creats); i++)
		ERR(open(creats[i].path, O_RDWR | O_CREAT, 0644), creats[i].error, "create '%s'", creats[i].path);
	ERR(mknod("x/", S_IFREG | 0644, 0), ENOENT, "mknod 'x/'");
	ERR(symlink("t", "x/"), ENOENT, "symlink 'x/'");
	ERR(link("f", "x/"), ENOENT, "link to 'x/'");
	ERR(link("f/", "x"), ENOTDIR, "link of 'f/'");
	OK(mkdir("x/", 0755), "mkdir 'x/'");
	OK(rmdir("x/"), "rmdir 'x/'");
	OK(mkdir("y///", 0755), "mkdir 'y///'");
	OK(rmdir("./y/"), "rmdir './y/'");
	EQ(posix_stat("d/e/..").st_ino, posix_stat("d").st_ino, "dot-dot is the parent");
	EQ(posix_stat("d/.").st_ino, posix_stat("d").st_ino, "dot is the directory");
	NEED(stat("/", &root));
	NEED(stat("/..", &st));
	EQ(st.st_ino, root.st_ino, "the root's parent is itself");
}

/* As deep as paths go, and deeper step by step. */
static void path_limits(void)
{
	static char path[PATH_MAX + 300];
	struct stat st;
	size_t len = 0;
	const char *name = posix_name('p', 255);
	int at = (int)NEED(open(".", O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 20; i++) {
		NEED(mkdirat(at, name, 0755));
		int next = (int)NEED(openat(at, name, O_RDONLY | O_DIRECTORY));
		close(at);
		at = next;
		if (len + 256 < PATH_MAX) {
			memcpy(path + len, name, 255);
			path[len + 255] = '/';
			len += 256;
		}
	}
	/* 15 * 256 bytes; what follows fills up to 4095 */
	memset(path + len, '/', 4095 - len);
	path[4095] = 0;
	OK(stat(path, &st), "a path of 4095 bytes");
	path[4094] = 'f';
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	OK(fd, "a file at a path of 4095 bytes");
	posix_open_close(fd);
	OK(unlink(path), "unlink at a path of 4095 bytes");
	path[4095] = '/';
	path[4096] = 0;
	ERR(stat(path, &st), ENAMETOOLONG, "a path of 4096 bytes");
	ERR(mkdir(path, 0755), ENAMETOOLONG, "mkdir of a path of 4096 bytes");
	ERR(open(path, O_RDONLY), ENAMETOOLONG, "open of a path of 4096 bytes");
	EQ(pathconf(".", _PC_PATH_MAX), 4096, "pathconf of PATH_MAX");
	OK(mkdirat(at, "deep", 0755), "a directory 5 KiB deep");
	OK(fchdir(at), "a working directory 5 KiB deep");
	OK(access("deep", F_OK), "names in it");
	OK(rename("deep", "deeper"), "rename in it");
	char *cwd = getcwd(path, sizeof(path));
	ERR(cwd ? 0 : -1, ERANGE, "getcwd of it into 4.3 KiB");
	for (int i = 0; i < 20; i++)
		NEED(chdir(".."));
	EQ(posix_stat(name).st_nlink, 3, "back at the top");
}

static void symlinks(void)
{
	static const size_t sizes[] = {1, 2, 10, 59, 60, 61, 100, 127, 128, 254, 255, 256, 511, 1023, 1024, 2048, 4000, 4094, 4095};
	char buf[PATH_MAX + 10];
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t n = sizes[i];
		const char *target = posix_name('t', n), *l = posix_path("l%zu", n);
		OK(symlink(target, l), "symlink of %zu bytes", n);
		EQ(posix_stat(l).st_size, n, "st_size of a symlink of %zu bytes", n);
		EQ(readlink(l, buf, sizeof(buf)), n, "readlink of %zu bytes", n);
		IS(memcmp(buf, target, n) == 0, "the %zu bytes", n);
		if (n > 1)
			EQ(readlink(l, buf, n - 1), n - 1, "readlink with a buffer too small for %zu bytes", n);
		EQ(readlink(l, buf, n), n, "readlink with a buffer of just %zu bytes", n);
		struct stat st;
		ERR(stat(l, &st), n > 255 ? ENAMETOOLONG : ENOENT, "stat through a symlink of %zu bytes", n);
	}
	ERR(symlink(posix_name('t', 4096), "long"), ENAMETOOLONG, "symlink of 4096 bytes");
	ERR(symlink("", "empty"), ENOENT, "symlink to nothing at all");
	ERR(symlink("x", "l1"), EEXIST, "symlink at a symlink's name");
	ERR(readlink("l1", buf, 0), EINVAL, "readlink with no buffer");
	EQ(posix_stat("l1").st_mode, S_IFLNK | 0777, "mode of a symlink");
	umask(077);
	NEED(symlink("x", "masked"));
	EQ(posix_stat("masked").st_mode, S_IFLNK | 0777, "a symlink has no umask");
	umask(0);
	static const char *const odd[] = {"/", "//", ".", "..", "../..", "./x", "x/", "a\nb", "\xff\xfe", "/nowhere/at/all", " "};
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		const char *l = posix_path("o%zu", i);
		OK(symlink(odd[i], l), "symlink to odd target %zu", i);
		EQ(readlink(l, buf, sizeof(buf)), strlen(odd[i]), "length of odd target %zu", i);
		IS(memcmp(buf, odd[i], strlen(odd[i])) == 0, "odd target %zu comes back", i);
	}
}

static void following(void)
{
	struct stat st;
	char buf[8];
	posix_make("f", 0644, 5);
	NEED(mkdir("d", 0755));
	posix_make("d/in", 0644, 6);
	NEED(symlink("f", "c0"));
	for (int i = 1; i < 45; i++)
		NEED(symlink(posix_path("c%d", i - 1), posix_path("c%d", i)));
	for (int i = 36; i < 45; i++)
		if (i < 40)
			OK(stat(posix_path("c%d", i), &st), "%d links one after the other", i + 1);
		else
			ERR(stat(posix_path("c%d", i), &st), ELOOP, "%d links one after the other", i + 1);
	NEED(symlink("b", "a"));
	NEED(symlink("a", "b"));
	ERR(stat("a", &st), ELOOP, "two links at each other");
	ERR(open("a", O_RDWR | O_CREAT, 0644), ELOOP, "create through two links at each other");
	OK(lstat("a", &st), "lstat of a link in a loop");
	OK(rename("a", "a2"), "rename of a link in a loop");
	OK(unlink("b"), "unlink of a link in a loop");
	/* relative to where the link is, not to who reads it */
	NEED(symlink("in", "d/here"));
	NEED(symlink("d/in", "d/wrong"));
	NEED(symlink("../f", "d/up"));
	OK(stat("d/here", &st), "relative to the link's directory");
	EQ(st.st_size, 6, "its target");
	ERR(stat("d/wrong", &st), ENOENT, "not relative to the working directory");
	OK(stat("d/up", &st), "dot-dot from the link's directory");
	EQ(st.st_size, 5, "its target's size");
	NEED(symlink("d", "to_d"));
	OK(mkdir("to_d/new", 0755), "mkdir through a link to a directory");
	IS(S_ISDIR(posix_stat("d/new").st_mode), "it is in the directory");
	OK(rename("to_d", "to_d2"), "rename renames the link");
	IS(S_ISLNK(posix_stat("to_d2").st_mode), "it is the link still");
	OK(link("to_d2", "hard"), "link does not follow");
	IS(S_ISLNK(posix_stat("hard").st_mode), "a hard link to a symlink");
	EQ(posix_stat("hard").st_nlink, 2, "links of the symlink");
	OK(linkat(AT_FDCWD, "c0", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW), "linkat that follows");
	EQ(posix_stat("followed").st_ino, posix_stat("f").st_ino, "links the target");
	OK(chmod("c1", 0600), "chmod follows");
	EQ(posix_stat("f").st_mode & 07777, 0600, "the target has the mode");
	OK(lchown("c1", 5, 6), "lchown does not follow");
	EQ(posix_stat("c1").st_uid, 5, "the link's owner");
	EQ(posix_stat("f").st_uid, 0, "not the target's");
	OK(chown("c2", 7, 8), "chown follows");
	EQ(posix_stat("f").st_uid, 7, "the target's owner");
	OK(truncate("c3", 2), "truncate follows");
	EQ(posix_stat("f").st_size, 2, "the target's size");
	OK(unlink("c1"), "unlink does not follow");
	OK(lstat("f", &st), "the target stays");
	ERR(fchmodat(AT_FDCWD, "to_d2", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP, "Linux: a link's mode stays");
	ERR(readlink("f", buf, sizeof(buf)), EINVAL, "readlink of a file");
	ERR(readlink("d", buf, sizeof(buf)), EINVAL, "readlink of a directory");
	ERR(readlink("none", buf, sizeof(buf)), ENOENT, "readlink of nothing");
	ERR(rmdir("to_d2"), ENOTDIR, "rmdir of a link to a directory");
	NEED(symlink("made", "dangling"));
	ERR(mkdir("dangling", 0755), EEXIST, "mkdir at a dangling link");
	ERR(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST, "exclusive at a dangling link");
	int fd = open("dangling", O_RDWR | O_CREAT, 0640);
	OK(fd, "create through a dangling link");
	EQ(posix_stat("made").st_mode, S_IFREG | 0640, "it made the target");
	posix_open_close(fd);
}

static void hard_links(void)
{
	struct stat st;
	NEED(mkdir("d", 0755));
	NEED(mkdir("d/e", 0755));
	posix_make("f", 0644, 10);
	NEED(symlink("f", "s"));
	NEED(mkfifo("p", 0644));
	static const char *const places[] = {"g", "d/f", "d/g", "d/e/f", "d/e/g"};
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		OK(link("f", places[i]), "link to %s", places[i]);
		EQ(posix_stat("f").st_nlink, i + 2, "links of the old name after %s", places[i]);
		EQ(posix_stat(places[i]).st_nlink, i + 2, "links of %s", places[i]);
		EQ(posix_stat(places[i]).st_ino, posix_stat("f").st_ino, "%s is the same file", places[i]);
	}
	OK(chmod("d/e/f", 0600), "chmod by one name");
	EQ(posix_stat("g").st_mode & 07777, 0600, "is seen by another");
	OK(truncate("d/g", 77), "truncate by one name");
	EQ(posix_stat("f").st_size, 77, "is seen by another: the size");
	OK(rename("d/f", "d/e/h"), "rename of one name");
	EQ(posix_stat("f").st_nlink, 6, "keeps the count");
	OK(unlink("f"), "unlink of the first name");
	EQ(posix_stat("g").st_nlink, 5, "leaves the others");
	EQ(posix_stat("g").st_size, 77, "and what it holds");
	static const char *const left[] = {"g", "d/e/h", "d/g", "d/e/f"};
	for (size_t i = 0; i < COUNT_OF(left); i++) {
		OK(unlink(left[i]), "unlink of %s", left[i]);
		EQ(posix_stat("d/e/g").st_nlink, 4 - i, "links after unlink of %s", left[i]);
	}
	OK(link("s", "s2"), "link of a symlink");
	OK(link("p", "p2"), "link of a fifo");
	EQ(posix_stat("p2").st_nlink, 2, "links of the fifo");
	OK(unlink("p"), "unlink of the fifo's first name");
	IS(S_ISFIFO(posix_stat("p2").st_mode), "the fifo's second is there");
	ERR(link("d", "d2"), EPERM, "link of a directory");
	ERR(link("d/e/g", "d"), EEXIST, "link at a directory");
	ERR(link("d/e/g", "s"), EEXIST, "link at a symlink");
	ERR(link("d/e/g", "d/e/g"), EEXIST, "link at itself");
	ERR(link("none", "x"), ENOENT, "link of nothing");
	ERR(link("d/e/g", "none/x"), ENOENT, "link into nothing");
	ERR(link("p2/x", "x"), ENOTDIR, "link from below a fifo");
	ERR(link("d/e/g", "p2/x"), ENOTDIR, "link to below a fifo");
	ERR(linkat(AT_FDCWD, "d/e/g", AT_FDCWD, "x", 0x40000000), EINVAL, "linkat with a flag that there is not");
	ERR(lstat("x", &st), ENOENT, "none of them made a name");
	posix_make("many", 0644, 1);
	for (int i = 0; i < 300; i++)
		NEED(link("many", posix_path("d/m%d", i)));
	EQ(posix_stat("d/m299").st_nlink, 301, "301 links");
	for (int i = 0; i < 300; i++)
		NEED(unlink(posix_path("d/m%d", i)));
	EQ(posix_stat("many").st_nlink, 1, "1 link again");
}

/* A name goes, the file stays while it is open. */
static void removed_while_open(void)
{
	static const int accesses[] = {O_RDONLY, O_RDWR};
	unsigned char buf[64];
	struct stat st;
	for (size_t i = 0; i < COUNT_OF(accesses); i++) {
		int how = accesses[i];
		posix_make("f", 0644, 50000);
		int fd = (int)NEED(open("f", how)), second = (int)NEED(open("f", O_RDWR));
		OK(unlink("f"), "unlink while open, access %d", how);
		OK(fstat(fd, &st), "fstat of it, access %d", how);
		EQ(st.st_nlink, 0, "no links, access %d", how);
		EQ(st.st_size, 50000, "its size, access %d", how);
		EQ(pread(fd, buf, sizeof(buf), 40000), sizeof(buf), "read of it, access %d", how);
		EQ(buf[10], posix_byte(40010), "its bytes, access %d", how);
		EQ(pwrite(second, "new", 3, 49999), 3, "write to it, access %d", how);
		OK(fstat(fd, &st), "fstat after the write, access %d", how);
		EQ(st.st_size, 50002, "its size after the write, access %d", how);
		EQ(pread(fd, buf, sizeof(buf), 49999), 3, "read of what was written, access %d", how);
		IS(memcmp(buf, "new", 3) == 0, "what was written, access %d", how);
		OK(ftruncate(second, 10), "ftruncate of it, access %d", how);
		OK(fchmod(fd, 0600), "fchmod of it, access %d", how);
		OK(fchown(fd, 3, 4), "fchown of it, access %d", how);
		OK(fsync(second), "fsync of it, access %d", how);
		OK(fstat(second, &st), "fstat by the other descriptor, access %d", how);
		EQ(st.st_size, 10, "size by the other descriptor, access %d", how);
		EQ(st.st_mode & 07777, 0600, "mode by the other descriptor, access %d", how);
		EQ(st.st_uid, 3, "owner by the other descriptor, access %d", how);
		posix_make("f", 0644, 3);
		IS(posix_stat("f").st_ino != st.st_ino, "a new file of the name is another, access %d", how);
		OK(fstat(fd, &st), "fstat beside the new file, access %d", how);
		EQ(st.st_size, 10, "the old keeps its size, access %d", how);
		close(fd);
		EQ(pread(second, buf, sizeof(buf), 0), 10, "the last descriptor reads on, access %d", how);
		close(second);
		NEED(unlink("f"));
	}
	posix_make("g", 0644, 100);
	int fd = (int)NEED(open("g", O_RDWR));
	NEED(unlink("g"));
	int again = open(posix_path("/proc/self/fd/%d", fd), O_RDWR);
	OK(again, "a removed file opens once more through /proc");
	EQ(pread(again, buf, sizeof(buf), 90), 10, "and is read");
	ERR(linkat(AT_FDCWD, posix_path("/proc/self/fd/%d", fd), AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT, "but gets no new name");
}

static void removed_directory(void)
{
	struct stat st;
	char buf[64];
	NEED(mkdir("d", 0755));
	int fd = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"), "rmdir of an open directory");
	OK(fstat(fd, &st), "fstat of it");
	EQ(st.st_nlink, 0, "its links");
	ERR(openat(fd, "x", O_RDWR | O_CREAT, 0600), ENOENT, "create in it");
	ERR(mkdirat(fd, "x", 0700), ENOENT, "mkdir in it");
	ERR(symlinkat("t", fd, "x"), ENOENT, "symlink in it");
	ERR(mknodat(fd, "x", S_IFIFO | 0600, 0), ENOENT, "mknod in it");
	ERR(fstatat(fd, "x", &st, 0), ENOENT, "lookup in it");
	OK(fstatat(fd, ".", &st, 0), "its dot");
	OK(fchmod(fd, 0700), "fchmod of it");
	DIR *dir = fdopendir(fd);
	NEED(dir ? 0 : -1);
	int entries = 0;
	errno = 0;
	while (readdir(dir))
		entries++;
	EQ(errno, 0, "readdir of it ends well");
	EQ(entries, 0, "and gives nothing, not even dot");
	closedir(dir);
	NEED(mkdir("cwd", 0755));
	NEED(chdir("cwd"));
	NEED(rmdir("../cwd"));
	ERR(getcwd(buf, sizeof(buf)) ? 0 : -1, ENOENT, "getcwd of a removed directory");
	OK(stat(".", &st), "stat of a removed working directory");
	ERR(open("f", O_RDWR | O_CREAT, 0644), ENOENT, "create in a removed working directory");
	OK(chdir(".."), "dot-dot of a removed directory");
}

const struct posix_case posix_cases_names[] = {{"lengths", lengths}, {"bytes", bytes}, {"spellings", spellings},
					       {"dots_and_slashes", dots_and_slashes}, {"path_limits", path_limits}, {"symlinks", symlinks},
					       {"following", following}, {"hard_links", hard_links}, {"removed_while_open", removed_while_open},
					       {"removed_directory", removed_directory}, {0}};
