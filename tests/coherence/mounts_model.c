// SPDX-License-Identifier: Apache-2.0
// One small tree through several mounts, taking turns: mounts_model DIR DIR... [--seed N] [--ops N] [--seconds N] [--turn N] [--progress]. The paths name
// one directory. A turn is up to --turn operations [1] by one mount; others look after each.
// A model in memory says how every call must end, and what every mount must see the moment a call has returned on another: names, types, links,
// modes, sizes, contents, times, extended attributes, listings, locks, and files that are open without a name.
// Exit: 0 the same, 1 a difference (seed, last operations, what differs), 2 usage.
#include "tests/coherence/coherence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NODES = 96, DIRS_MAX = 7, NAMES = 6, HANDLES = 5, XATTRS = 3, ROOT = 0, NOBODY = -1 };
enum { XATTR_BYTES = 200, FILE_BYTES = 40000, IO_BYTES = 9000, PATH_BYTES = 256 };
enum kind { FREE, FILE_NODE, DIR_NODE, LINK_NODE };

struct node {
	enum kind kind;
	unsigned nlink, opens;
	mode_t mode;
	size_t size; // of a link: of its target
	unsigned char content[FILE_BYTES];
	int xattr_len[XATTRS]; // NOBODY: there is none
	unsigned char xattr[XATTRS][XATTR_BYTES];
	int children[NAMES];
	int parent; // of a directory
	struct timespec mtime, ctime; // as one mount saw them since the last change
	bool times_known;
};
struct handle {
	int fd, node; // node NOBODY: closed
	bool reads, appends;
	short lock; // F_UNLCK, F_RDLCK, F_WRLCK
};

static struct options opt;
static int roots[VIEWS_MAX];
static struct handle handles[VIEWS_MAX][HANDLES];
static struct node nodes[NODES];
static unsigned char buffer[FILE_BYTES + 1];
static unsigned long refused;

// ---- the model -----------------------------------------------------------------------------------------------------

static int node_new(enum kind kind, mode_t mode)
{
	for (int i = 0; i < NODES; i++) {
		if (nodes[i].kind != FREE)
			continue;
		nodes[i] = (struct node){.kind = kind, .mode = mode, .nlink = kind == DIR_NODE ? 2 : 1};
		for (unsigned name = 0; name < NAMES; name++)
			nodes[i].children[name] = NOBODY;
		for (unsigned x = 0; x < XATTRS; x++)
			nodes[i].xattr_len[x] = NOBODY;
		return i;
	}
	return NOBODY;
}

static unsigned count_of(enum kind kind)
{
	unsigned count = 0;
	for (unsigned i = 0; i < NODES; i++)
		count += nodes[i].kind == kind;
	return count;
}

static int draw_dir(void)
{
	int dir;
	do
		dir = (int)draw(NODES);
	while (nodes[dir].kind != DIR_NODE || nodes[dir].nlink == 0);
	return dir;
}

static void path_of_dir(int dir, char path[PATH_BYTES])
{
	path[0] = '\0';
	if (dir == ROOT)
		return;
	int parent = nodes[dir].parent;
	unsigned name = 0;
	while (nodes[parent].children[name] != dir)
		name++;
	path_of_dir(parent, path);
	size_t length = strlen(path);
	(void)snprintf(path + length, PATH_BYTES - length, "n%u/", name);
}

static void path_of(int dir, unsigned name, char path[PATH_BYTES])
{
	path_of_dir(dir, path);
	size_t length = strlen(path);
	(void)snprintf(path + length, PATH_BYTES - length, "n%u", name);
}

static bool is_empty(int dir)
{
	for (unsigned name = 0; name < NAMES; name++)
		if (nodes[dir].children[name] != NOBODY)
			return false;
	return true;
}

// Is `above` the directory `dir`, or over it?
static bool is_above(int above, int dir)
{
	for (; dir != ROOT; dir = nodes[dir].parent)
		if (dir == above)
			return true;
	return above == ROOT;
}

static void touched(int node)
{
	if (node != NOBODY)
		nodes[node].times_known = false;
}

static void node_drop(int node) // one name less
{
	struct node *at = &nodes[node];
	touched(node);
	at->nlink = at->kind == DIR_NODE ? 0 : at->nlink - 1;
	if (at->nlink == 0 && at->opens == 0)
		at->kind = FREE;
}

// ---- looking -------------------------------------------------------------------------------------------------------

static void expect(unsigned v, const char *what, const char *path, long rc, int want)
{
	int got = rc < 0 ? errno : 0;
	note_result(rc < 0 ? -got : rc);
	refused += want != 0;
	if (got != want)
		differs("mount %u: %s %s: %s, must be %s", v, what, path, got == 0 ? "done" : strerror(got), want == 0 ? "done" : strerror(want));
}

static void check_times(unsigned v, int number, const char *path, const struct stat *st)
{
	struct node *node = &nodes[number];
	bool same = memcmp(&node->mtime, &st->st_mtim, sizeof(st->st_mtim)) == 0 && memcmp(&node->ctime, &st->st_ctim, sizeof(st->st_ctim)) == 0;
	if (node->times_known && !same)
		differs("mount %u: %s: mtime %lld.%09ld, ctime %lld.%09ld; another mount saw %lld.%09ld and %lld.%09ld, and nothing has changed since", v, path,
			(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec,
			(long long)node->mtime.tv_sec, node->mtime.tv_nsec, (long long)node->ctime.tv_sec, node->ctime.tv_nsec);
	bool back = st->st_ctim.tv_sec < node->ctime.tv_sec ||
		    (st->st_ctim.tv_sec == node->ctime.tv_sec && st->st_ctim.tv_nsec < node->ctime.tv_nsec);
	if (back)
		differs("mount %u: %s: ctime went back", v, path);
	node->mtime = st->st_mtim;
	node->ctime = st->st_ctim;
	node->times_known = true;
}

static void check_stat(unsigned v, int number, const char *path, const struct stat *st)
{
	struct node *node = &nodes[number];
	mode_t type = node->kind == DIR_NODE ? S_IFDIR : node->kind == LINK_NODE ? S_IFLNK : S_IFREG;
	if ((st->st_mode & S_IFMT) != type)
		differs("mount %u: %s is of type %o, must be %o", v, path, st->st_mode & S_IFMT, type);
	if (node->kind != LINK_NODE && (st->st_mode & 07777) != node->mode)
		differs("mount %u: %s has mode %o, must have %o", v, path, st->st_mode & 07777, node->mode);
	if (st->st_nlink != node->nlink && !(node->kind == DIR_NODE && st->st_nlink == 1)) // some file systems do not count directories
		differs("mount %u: %s has %lu links, must have %u", v, path, (unsigned long)st->st_nlink, node->nlink);
	if (node->kind != DIR_NODE && (size_t)st->st_size != node->size)
		differs("mount %u: %s has size %lld, must have %zu", v, path, (long long)st->st_size, node->size);
	if (node->kind != FILE_NODE) // what several mounts have just written has the time of whichever is asked: docs/posix.md
		check_times(v, number, path, st);
}

static void check_content(unsigned v, int number, const char *path, int fd)
{
	const struct node *node = &nodes[number];
	ssize_t got = pread(fd, buffer, sizeof(buffer), 0);
	if (got < 0 || (size_t)got != node->size)
		differs("mount %u: reading %s gave %zd bytes, must give %zu", v, path, got, node->size);
	for (size_t i = 0; i < node->size; i++)
		if (buffer[i] != node->content[i])
			differs("mount %u: byte %zu of %s (of %zu) is 0x%02x, must be 0x%02x", v, i, path, node->size, buffer[i], node->content[i]);
}

static void check_xattr(unsigned v, int number, const char *path, unsigned x)
{
	char full[PATH_BYTES * 2], name[16];
	const struct node *node = &nodes[number];
	(void)snprintf(full, sizeof(full), "%s/%s", opt.paths[v], path);
	(void)snprintf(name, sizeof(name), "user.x%u", x);
	ssize_t got = lgetxattr(full, name, buffer, XATTR_BYTES);
	if (node->xattr_len[x] == NOBODY) {
		if (got >= 0 || errno != ENODATA)
			differs("mount %u: %s has %s (%zd), must have none", v, path, name, got);
		return;
	}
	if (got != node->xattr_len[x] || memcmp(buffer, node->xattr[x], (size_t)got) != 0)
		differs("mount %u: %s of %s is not what was set (%zd bytes, must be %d)", v, name, path, got, node->xattr_len[x]);
}

static void check_listing(unsigned v, int number)
{
	char path[PATH_BYTES];
	bool seen[NAMES] = {false};
	path_of_dir(number, path);
	int fd = openat(roots[v], number == ROOT ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		differs("mount %u: opendir %s: %s", v, path, strerror(errno));
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		unsigned name = entry->d_name[0] == 'n' ? (unsigned)strtoul(entry->d_name + 1, NULL, 10) : NAMES;
		if (name >= NAMES || nodes[number].children[name] == NOBODY || seen[name])
			differs("mount %u: %s lists %s, must not", v, path, entry->d_name);
		seen[name] = true;
		enum kind kind = nodes[nodes[number].children[name]].kind;
		unsigned char type = kind == DIR_NODE ? DT_DIR : kind == LINK_NODE ? DT_LNK : DT_REG;
		if (entry->d_type != type && entry->d_type != DT_UNKNOWN)
			differs("mount %u: %s lists %s as type %u, must be %u", v, path, entry->d_name, entry->d_type, type);
	}
	(void)closedir(dir); // was only read
	for (unsigned name = 0; name < NAMES; name++)
		if (nodes[number].children[name] != NOBODY && !seen[name])
			differs("mount %u: %s does not list n%u", v, path, name);
}

// One name, as one mount has it.
static void check_name(unsigned v, int dir, unsigned name, bool wholly)
{
	char path[PATH_BYTES];
	struct stat st;
	int number = nodes[dir].children[name];
	path_of(dir, name, path);
	int rc = fstatat(roots[v], path, &st, AT_SYMLINK_NOFOLLOW);
	if (number == NOBODY) {
		if (rc == 0 || errno != ENOENT)
			differs("mount %u: %s is there, must not be", v, path);
		return;
	}
	if (rc != 0)
		differs("mount %u: stat %s: %s", v, path, strerror(errno));
	check_stat(v, number, path, &st);
	if (!wholly)
		return;
	if (nodes[number].kind == LINK_NODE) {
		ssize_t got = readlinkat(roots[v], path, (char *)buffer, sizeof(buffer));
		if (got < 0 || (size_t)got != nodes[number].size || memcmp(buffer, nodes[number].content, (size_t)got) != 0)
			differs("mount %u: %s leads elsewhere", v, path);
		return;
	}
	for (unsigned x = 0; x < XATTRS; x++)
		check_xattr(v, number, path, x);
	if (nodes[number].kind == DIR_NODE) {
		check_listing(v, number);
		return;
	}
	int fd = openat(roots[v], path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		differs("mount %u: open %s: %s", v, path, strerror(errno));
	check_content(v, number, path, fd);
	(void)close(fd); // was only read
}

static void check_handle(unsigned v, const struct handle *handle)
{
	struct stat st;
	if (handle->node == NOBODY)
		return;
	if (fstat(handle->fd, &st) != 0)
		differs("mount %u: fstat of an open file: %s", v, strerror(errno));
	check_stat(v, handle->node, "an open file", &st);
	if (handle->reads)
		check_content(v, handle->node, "an open file", handle->fd);
}

static void check_all(void)
{
	for (unsigned v = 0; v < opt.path_count; v++) {
		check_listing(v, ROOT);
		for (int dir = 0; dir < NODES; dir++)
			for (unsigned name = 0; nodes[dir].kind == DIR_NODE && nodes[dir].nlink > 0 && name < NAMES; name++)
				check_name(v, dir, name, true);
		for (unsigned h = 0; h < HANDLES; h++)
			check_handle(v, &handles[v][h]);
	}
}

// ---- names ---------------------------------------------------------------------------------------------------------

static void child_set(int dir, unsigned name, int node)
{
	nodes[dir].children[name] = node;
	touched(dir);
}

static void do_make(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES];
	unsigned what = draw(count_of(DIR_NODE) < DIRS_MAX ? 4 : 3);
	int there = nodes[dir].children[name], want = there != NOBODY ? EEXIST : 0;
	mode_t mode = 0600 | draw(64);
	path_of(dir, name, path);
	int node = want == 0 ? node_new(what == 3 ? DIR_NODE : what == 2 ? LINK_NODE : FILE_NODE, what == 3 ? mode | 0100 : mode) : NOBODY;
	if (want == 0 && node == NOBODY)
		return;
	static const char *const verbs[] = {"create", "create", "symlink", "mkdir"};
	note("m%u %s %s", v, verbs[what], path);
	int rc;
	if (what == 3) {
		rc = mkdirat(roots[v], path, mode | 0100);
	} else if (what == 2) {
		char target[32];
		int length = snprintf(target, sizeof(target), "to-%llu", (unsigned long long)op_number());
		rc = symlinkat(target, roots[v], path);
		if (node != NOBODY) {
			nodes[node].size = (size_t)length;
			memcpy(nodes[node].content, target, (size_t)length);
		}
	} else {
		rc = openat(roots[v], path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (rc >= 0)
			rc = close(rc);
	}
	expect(v, verbs[what], path, rc, want);
	if (want != 0)
		return;
	child_set(dir, name, node);
	nodes[dir].nlink += what == 3;
	nodes[node].parent = dir;
}

static void do_remove(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES];
	int node = nodes[dir].children[name];
	bool as_dir = node != NOBODY && nodes[node].kind == DIR_NODE ? !one_in(8) : one_in(8);
	int want = node == NOBODY ? ENOENT : 0;
	if (node != NOBODY && as_dir)
		want = nodes[node].kind != DIR_NODE ? ENOTDIR : is_empty(node) ? 0 : ENOTEMPTY;
	else if (node != NOBODY && nodes[node].kind == DIR_NODE)
		want = EISDIR;
	path_of(dir, name, path);
	note("m%u %s %s", v, as_dir ? "rmdir" : "unlink", path);
	expect(v, as_dir ? "rmdir" : "unlink", path, unlinkat(roots[v], path, as_dir ? AT_REMOVEDIR : 0), want);
	if (want != 0)
		return;
	child_set(dir, name, NOBODY);
	nodes[dir].nlink -= as_dir;
	node_drop(node);
}

static int rename_want(int from, int from_dir, int to, int to_dir, unsigned flags)
{
	bool exchange = (flags & RENAME_EXCHANGE) != 0;
	if (from == NOBODY)
		return ENOENT;
	if ((flags & RENAME_NOREPLACE) != 0 && to != NOBODY)
		return EEXIST;
	if (exchange && to == NOBODY)
		return ENOENT;
	if (nodes[from].kind == DIR_NODE && is_above(from, to_dir))
		return EINVAL;
	if (to != NOBODY && nodes[to].kind == DIR_NODE && is_above(to, from_dir))
		return exchange ? EINVAL : ENOTEMPTY;
	if (to == NOBODY || from == to || exchange)
		return 0;
	if (nodes[from].kind == DIR_NODE && nodes[to].kind != DIR_NODE)
		return ENOTDIR;
	if (nodes[from].kind != DIR_NODE && nodes[to].kind == DIR_NODE)
		return EISDIR;
	return nodes[to].kind == DIR_NODE && !is_empty(to) ? ENOTEMPTY : 0;
}

static void moved(int node, int from_dir, int to_dir)
{
	touched(node);
	if (node == NOBODY || nodes[node].kind != DIR_NODE)
		return;
	nodes[node].parent = to_dir;
	nodes[from_dir].nlink--;
	nodes[to_dir].nlink++;
}

static void do_rename(unsigned v, int dir, unsigned name)
{
	static const unsigned all_flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	char path[PATH_BYTES], to_path[PATH_BYTES];
	int to_dir = one_in(2) ? dir : draw_dir();
	unsigned to_name = draw(NAMES), flags = all_flags[draw(4)];
	int from = nodes[dir].children[name], to = nodes[to_dir].children[to_name];
	int want = rename_want(from, dir, to, to_dir, flags);
	path_of(dir, name, path);
	path_of(to_dir, to_name, to_path);
	note("m%u rename %s %s flags %u", v, path, to_path, flags);
	expect(v, "rename", path, renameat2(roots[v], path, roots[v], to_path, flags), want);
	if (want != 0 || from == to)
		return;
	bool exchange = (flags & RENAME_EXCHANGE) != 0;
	child_set(dir, name, exchange ? to : NOBODY);
	child_set(to_dir, to_name, from);
	moved(from, dir, to_dir);
	if (exchange) {
		moved(to, to_dir, dir);
	} else if (to != NOBODY) {
		nodes[to_dir].nlink -= nodes[to].kind == DIR_NODE;
		node_drop(to);
	}
}

static void do_link(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES], to_path[PATH_BYTES];
	int to_dir = draw_dir();
	unsigned to_name = draw(NAMES);
	int from = nodes[dir].children[name], to = nodes[to_dir].children[to_name];
	int want = from == NOBODY ? ENOENT : to != NOBODY ? EEXIST : nodes[from].kind == DIR_NODE ? EPERM : 0;
	path_of(dir, name, path);
	path_of(to_dir, to_name, to_path);
	note("m%u link %s %s", v, path, to_path);
	expect(v, "link", path, linkat(roots[v], path, roots[v], to_path, 0), want);
	if (want != 0)
		return;
	child_set(to_dir, to_name, from);
	nodes[from].nlink++;
	touched(from);
}

// ---- attributes ----------------------------------------------------------------------------------------------------

static void do_chmod(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES];
	int node = nodes[dir].children[name];
	if (node == NOBODY || nodes[node].kind == LINK_NODE)
		return;
	mode_t mode = 0700 | draw(64);
	path_of(dir, name, path);
	note("m%u chmod %s %o", v, path, mode);
	expect(v, "chmod", path, fchmodat(roots[v], path, mode, 0), 0);
	nodes[node].mode = mode;
	touched(node);
}

static void do_utimens(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES];
	int node = nodes[dir].children[name];
	if (node == NOBODY || nodes[node].kind == FILE_NODE)
		return;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000 + (time_t)draw(500000000), .tv_nsec = draw(1000000000)}};
	path_of(dir, name, path);
	note("m%u utimensat %s %lld", v, path, (long long)times[1].tv_sec);
	expect(v, "utimensat", path, utimensat(roots[v], path, times, AT_SYMLINK_NOFOLLOW), 0);
	struct stat st;
	touched(node);
	unsigned other = draw(opt.path_count);
	int rc = fstatat(roots[other], path, &st, AT_SYMLINK_NOFOLLOW);
	if (rc != 0 || st.st_mtim.tv_sec != times[1].tv_sec || st.st_mtim.tv_nsec != times[1].tv_nsec)
		differs("mount %u: %s has mtime %lld.%09ld, was set to %lld.%09ld", other, path, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(long long)times[1].tv_sec, times[1].tv_nsec);
}

static void do_xattr(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES], full[PATH_BYTES * 2], xattr[16];
	int number = nodes[dir].children[name];
	if (number == NOBODY || nodes[number].kind == LINK_NODE)
		return;
	struct node *node = &nodes[number];
	unsigned x = draw(XATTRS);
	path_of(dir, name, path);
	(void)snprintf(full, sizeof(full), "%s/%s", opt.paths[v], path);
	(void)snprintf(xattr, sizeof(xattr), "user.x%u", x);
	if (one_in(3)) {
		int want = node->xattr_len[x] == NOBODY ? ENODATA : 0;
		note("m%u removexattr %s %s", v, path, xattr);
		expect(v, "removexattr", path, lremovexattr(full, xattr), want);
		node->xattr_len[x] = NOBODY;
		if (want == 0)
			touched(number);
		return;
	}
	int flags = one_in(3) ? XATTR_CREATE : one_in(3) ? XATTR_REPLACE : 0;
	int length = (int)draw(XATTR_BYTES), want = 0;
	if (flags == XATTR_CREATE && node->xattr_len[x] != NOBODY)
		want = EEXIST;
	if (flags == XATTR_REPLACE && node->xattr_len[x] == NOBODY)
		want = ENODATA;
	draw_bytes(buffer, (size_t)length);
	note("m%u setxattr %s %s %d bytes flags %d", v, path, xattr, length, flags);
	expect(v, "setxattr", path, lsetxattr(full, xattr, buffer, (size_t)length, flags), want);
	if (want != 0)
		return;
	node->xattr_len[x] = length;
	memcpy(node->xattr[x], buffer, (size_t)length);
	touched(number);
}

// ---- files ---------------------------------------------------------------------------------------------------------

static void resize(int number, size_t size)
{
	struct node *node = &nodes[number];
	if (size > node->size)
		memset(node->content + node->size, 0, size - node->size);
	node->size = size;
	touched(number);
}

static void do_truncate(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES], full[PATH_BYTES * 2];
	int node = nodes[dir].children[name];
	if (node == NOBODY || nodes[node].kind != FILE_NODE)
		return;
	size_t size = one_in(4) ? 0 : draw(FILE_BYTES);
	path_of(dir, name, path);
	(void)snprintf(full, sizeof(full), "%s/%s", opt.paths[v], path);
	note("m%u truncate %s %zu", v, path, size);
	expect(v, "truncate", path, truncate(full, (off_t)size), 0);
	resize(node, size);
}

static void handle_close(unsigned v, struct handle *handle)
{
	int node = handle->node;
	if (handle->lock != F_UNLCK) { // that a close gives back is not awaited
		struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
		if (fcntl(handle->fd, F_OFD_SETLK, &lock) != 0)
			differs("mount %u: unlock: %s", v, strerror(errno));
	}
	if (close(handle->fd) != 0)
		differs("mount %u: close: %s", v, strerror(errno));
	*handle = (struct handle){.node = NOBODY, .lock = F_UNLCK};
	if (--nodes[node].opens == 0 && nodes[node].nlink == 0)
		nodes[node].kind = FREE;
}

static void do_open(unsigned v, int dir, unsigned name)
{
	char path[PATH_BYTES];
	struct handle *handle = &handles[v][draw(HANDLES)];
	int node = nodes[dir].children[name];
	if (handle->node != NOBODY) {
		note("m%u close", v);
		handle_close(v, handle);
		return;
	}
	if (node == NOBODY || nodes[node].kind != FILE_NODE)
		return;
	bool appends = one_in(3), cuts = one_in(8);
	path_of(dir, name, path);
	note("m%u open %s%s%s", v, path, appends ? " to append" : "", cuts ? ", cut off" : "");
	int fd = openat(roots[v], path, O_CLOEXEC | (appends ? O_WRONLY | O_APPEND : O_RDWR) | (cuts ? O_TRUNC : 0));
	expect(v, "open", path, fd, 0);
	*handle = (struct handle){.fd = fd, .node = node, .reads = !appends, .appends = appends, .lock = F_UNLCK};
	nodes[node].opens++;
	if (cuts)
		resize(node, 0);
}

static void do_write(unsigned v)
{
	struct handle *handle = &handles[v][draw(HANDLES)];
	if (handle->node < 0)
		return;
	struct node *node = &nodes[handle->node];
	size_t length = 1 + draw(one_in(3) ? IO_BYTES : 300), at = handle->appends ? node->size : draw((unsigned)node->size + 2000);
	if (at + length > FILE_BYTES)
		return;
	draw_bytes(buffer, length);
	note("m%u %s file %d, %zu+%zu", v, handle->appends ? "append to" : "write to", handle->node, at, length);
	ssize_t done = handle->appends ? write(handle->fd, buffer, length) : pwrite(handle->fd, buffer, length, (off_t)at);
	expect(v, "write to", "an open file", done, 0);
	if ((size_t)done != length)
		differs("mount %u: wrote %zd of %zu bytes", v, done, length);
	if (at + length > node->size)
		resize(handle->node, at + length);
	memcpy(node->content + at, buffer, length);
	touched(handle->node);
}

static void do_fsync(unsigned v)
{
	const struct handle *handle = &handles[v][draw(HANDLES)];
	if (handle->node == NOBODY)
		return;
	note("m%u fsync", v);
	expect(v, "fsync of", "an open file", fsync(handle->fd), 0);
}

static bool is_locked_against(const struct handle *mine, short type)
{
	for (unsigned v = 0; v < opt.path_count; v++)
		for (unsigned h = 0; h < HANDLES; h++) {
			const struct handle *other = &handles[v][h];
			if (other != mine && other->node == mine->node && other->lock != F_UNLCK && (type == F_WRLCK || other->lock == F_WRLCK))
				return true;
		}
	return false;
}

static void do_lock(unsigned v)
{
	struct handle *handle = &handles[v][draw(HANDLES)];
	if (handle->node == NOBODY)
		return;
	short type = one_in(2) ? F_UNLCK : one_in(2) || !handle->reads ? F_WRLCK : F_RDLCK;
	int want = type != F_UNLCK && is_locked_against(handle, type) ? EAGAIN : 0;
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
	note("m%u lock file %d type %d", v, handle->node, type);
	expect(v, "lock of", "an open file", fcntl(handle->fd, F_OFD_SETLK, &lock), want);
	if (want == 0)
		handle->lock = type;
}

// ---- turns ---------------------------------------------------------------------------------------------------------

static void turn(unsigned v, int dir, unsigned name)
{
	static void (*const on_names[])(unsigned v, int dir, unsigned name) = {
		do_make, do_make, do_make, do_remove, do_rename, do_rename, do_link, do_chmod, do_utimens, do_xattr, do_xattr, do_truncate,
		do_open, do_open, do_open,
	};
	unsigned what = draw(20);
	if (what < 15)
		on_names[what](v, dir, name);
	else if (what < 18)
		do_write(v);
	else if (what < 19)
		do_lock(v);
	else
		do_fsync(v);
}

static void begin(void)
{
	int root = node_new(DIR_NODE, 0700);
	for (unsigned v = 0; v < opt.path_count; v++) {
		for (unsigned h = 0; h < HANDLES; h++)
			handles[v][h] = (struct handle){.node = NOBODY, .lock = F_UNLCK};
		roots[v] = open(opt.paths[v], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (roots[v] < 0)
			differs("mount %u: open %s: %s", v, opt.paths[v], strerror(errno));
	}
	check_listing(0, root); // it must be empty
}

int main(int argc, char **argv)
{
	options_parse(&opt, argc, argv);
	(void)umask(0);
	begin();
	unsigned v = 0;
	for (uint64_t left = 0; next_op(&opt); left--) {
		if (left == 0) {
			v = draw(opt.path_count);
			left = draw_turn(&opt);
		}
		unsigned other = draw_other(&opt, v), looks = left > 1 && !one_in(16) ? v : other;
		int dir = draw_dir();
		unsigned name = draw(NAMES);
		acts(v);
		turn(v, dir, name);
		// Most changes are looked at from elsewhere at once; the others pile up, as they do in a cache.
		acts(looks);
		if (nodes[dir].kind == DIR_NODE && !one_in(3))
			check_name(looks, dir, name, one_in(2));
		if (one_in(3))
			check_handle(looks, &handles[looks][draw(HANDLES)]);
		if (one_in(6))
			check_listing(looks, draw_dir());
		if (one_in(500))
			check_all();
	}
	check_all();
	for (v = 0; v < opt.path_count; v++)
		for (unsigned h = 0; h < HANDLES; h++)
			if (handles[v][h].node != NOBODY)
				handle_close(v, &handles[v][h]);
	check_all();
	printf("mounts_model: seed %llu, %llu operations, %llu hand-overs, through %u mounts, %lu of them refused as they must be: no difference\n",
	       (unsigned long long)opt.seed, (unsigned long long)op_number(), (unsigned long long)handovers(), opt.path_count, refused);
	return 0;
}
