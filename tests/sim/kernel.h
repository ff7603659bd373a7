/* SPDX-License-Identifier: Apache-2.0
 * A model of Linux's VFS and FUSE above one mount: caches of entries, attributes and pages with the time-outs that the file system gives
 * out, references and forgets, directory and page locks, open files. Workloads call it as programs call the kernel.
 *
 * It lives in the mount's simulated process and dies with it, as a FUSE mount does. It follows no symbolic links. Checks of permission are
 * left to the file system. Everything that takes a path or a file parks, and is called from tasks of the mount's loop. */
#ifndef STRIA_SIM_KERNEL_H
#define STRIA_SIM_KERNEL_H

#include "common/base/rng.h"
#include "common/core/env.h"
#include "tests/sim/world.h"

struct kernel;

/* What a file system answers to LOOKUP, MKDIR, CREATE…: each success is one more reference, given back with forget. */
struct kernel_entry {
	struct attr attr;
	uint64_t entry_valid_ns, attr_valid_ns; /* durations */
};
struct kernel_opened {
	uint64_t fh;
	bool direct_io, keep_cache;
};
/* For lookup: no such name, and how long that may be believed: attr.ino 0, entry_valid_ns. */
/* One entry of a directory; stops the reading when it returns false. */
struct kernel_dirent {
	const char *name;
	uint64_t ino, cookie;
	uint8_t type;
	const struct kernel_entry *entry; /* READDIRPLUS: one reference when emit took it; NULL: none */
};

/* A way to interrupt a call that waits. */
struct kernel_signal {
	void *request; /* what the file system has under way; NULL: nothing */
};
struct kernel_lock {
	uint8_t kind, type;  /* enum lock_kind, lock_type */
	bool waits;
	uint64_t process;    /* owner of POSIX locks */
	uint64_t start, end; /* last byte; UINT64_MAX: to the end */
	struct kernel_signal *signal; /* NULL: is not interrupted */
};

/* What the FUSE channel carries; all park. `flags` of open and create are O_*. */
struct kernel_fs_ops {
	int (*lookup)(void *ctx, uint64_t parent, struct str name, struct kernel_entry *ret_entry);
	void (*forget)(void *ctx, uint64_t ino, uint64_t count);
	int (*getattr)(void *ctx, uint64_t ino, uint64_t fh, struct attr *ret_attr, uint64_t *ret_valid_ns);
	/* The same for a question of kernel_ask; does not park. */
	int (*getattr_known)(void *ctx, uint64_t ino, struct attr *ret_attr);
	/* Something that may change the size of a file is on its way, or was answered. NULL: no matter. */
	void (*change)(void *ctx, uint64_t ino, bool begins);
	/* valid: enum setattr_valid; what is set is in `attr`. */
	int (*setattr)(void *ctx, uint64_t ino, uint64_t fh, uint32_t valid, const struct attr *attr, struct attr *ret_attr,
		       uint64_t *ret_valid_ns);
	int (*readlink)(void *ctx, uint64_t ino, char *buf, size_t size);
	int (*mknod)(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry);
	int (*mkdir)(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry);
	int (*symlink)(void *ctx, uint64_t parent, struct str name, struct str target, struct kernel_entry *ret_entry);
	int (*link)(void *ctx, uint64_t ino, uint64_t parent, struct str name, struct kernel_entry *ret_entry);
	int (*unlink)(void *ctx, uint64_t parent, struct str name);
	int (*rmdir)(void *ctx, uint64_t parent, struct str name);
	int (*rename)(void *ctx, uint64_t parent, struct str name, uint64_t new_parent, struct str new_name, uint32_t flags);
	int (*open)(void *ctx, uint64_t ino, int flags, struct kernel_opened *ret_opened);
	int (*create)(void *ctx, uint64_t parent, struct str name, uint32_t mode, int flags, struct kernel_entry *ret_entry,
		      struct kernel_opened *ret_opened);
	/* A file without a name, its nlink 0; with O_EXCL it never gets one. */
	int (*tmpfile)(void *ctx, uint64_t parent, uint32_t mode, int flags, struct kernel_entry *ret_entry, struct kernel_opened *ret_opened);
	/* into_pages: for the page cache; its answer is taken in without a park. */
	int64_t (*read)(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, uint8_t *buf, size_t len, bool into_pages);
	int64_t (*write)(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, const uint8_t *buf, size_t len);
	/* mode: FALLOC_FL_*. */
	int (*fallocate)(void *ctx, uint64_t ino, uint64_t fh, unsigned mode, uint64_t offset, uint64_t len);
	int64_t (*lseek)(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, bool hole);
	int64_t (*copy)(void *ctx, uint64_t from_ino, uint64_t from_fh, uint64_t from_at, uint64_t to_ino, uint64_t to_fh, uint64_t to_at,
			uint64_t len);
	/* owner: of POSIX locks that end with it. */
	int (*flush)(void *ctx, uint64_t ino, uint64_t fh, uint64_t owner);
	/* owner: made of the process, or of the open file. signal->request is set while it can be interrupted. NULL: the kernel has locks of its own. */
	int (*lock)(void *ctx, uint64_t ino, uint64_t fh, uint64_t owner, const struct kernel_lock *lock);
	void (*interrupt)(void *ctx, void *request);
	void (*release)(void *ctx, uint64_t ino, uint64_t fh);
	int (*fsync)(void *ctx, uint64_t ino, uint64_t fh);
	/* Entries after `cookie` (0: from the start), with . and .. or without; calls emit for each, and goes on while that returns true.
	 * 1 when the directory's end was reached, else 0. */
	int (*readdir)(void *ctx, uint64_t ino, uint64_t cookie, uint32_t thread,
		       bool (*emit)(void *emit_ctx, const struct kernel_dirent *dirent),
		       void *emit_ctx);
	int (*statfs)(void *ctx, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes);
	int (*setxattr)(void *ctx, uint64_t ino, const char *name, struct blob value, uint32_t flags);
	int64_t (*getxattr)(void *ctx, uint64_t ino, const char *name, uint8_t *buf, size_t size);
	int64_t (*listxattr)(void *ctx, uint64_t ino, uint8_t *buf, size_t size);
	int (*removexattr)(void *ctx, uint64_t ino, const char *name);
};

struct kernel_counts {
	uint64_t requests, absent_hits, entry_hits, attr_hits, page_hits, pages_read, forgets, invalidations;
	uint64_t renames_to_self; /* both names named one file: nothing was asked of the file system */
};

/* In the node's memory: it is never freed but with it. */
struct kernel *kernel_new(struct loop *loop, uint64_t seed, const struct kernel_fs_ops *ops, void *ctx);
struct loop *kernel_loop(const struct kernel *kernel);
const struct kernel_counts *kernel_counts(const struct kernel *kernel);
/* The kcache seam reaches these (struct sim_kernel_hooks). -EAGAIN: a lock is held. */
int kernel_inval_inode(struct kernel *kernel, uint64_t ino, uint64_t offset, uint64_t len, bool again);
int kernel_inval_attr(struct kernel *kernel, uint64_t ino);
/* -ENOSYS: this kernel is too old (by its seed). */
int kernel_inval_epoch(struct kernel *kernel);
int kernel_inval_entry(struct kernel *kernel, uint64_t parent, struct str name);
/* How long it takes a file to be. -ENOENT. */
int kernel_size(struct kernel *kernel, uint64_t ino, uint64_t *ret_size_bytes);
/* Asks for its attributes anew, and takes them in, or not. */
void kernel_ask(struct kernel *kernel, uint64_t ino);
/* Memory pressure: drops some of what nobody uses, and sends forgets. */
void kernel_shrink(struct kernel *kernel);

/* Paths are relative to the mount's root, without a leading slash; "" is the root. Results are 0 or more, or -errno. */
int kernel_open(struct kernel *kernel, const char *path, int flags, uint32_t mode); /* a file descriptor */
int kernel_tmpfile(struct kernel *kernel, const char *path, int flags, uint32_t mode); /* O_TMPFILE in the directory `path` */
int kernel_close(struct kernel *kernel, int fd);
/* By that process: its POSIX locks on the file end. */
int kernel_close_by(struct kernel *kernel, int fd, uint64_t process);
int kernel_lock(struct kernel *kernel, int fd, const struct kernel_lock *lock);
/* EINTR for the call that has this signal, if it still waits. Does not park. */
void kernel_interrupt(struct kernel *kernel, struct kernel_signal *signal);
int64_t kernel_pread(struct kernel *kernel, int fd, uint8_t *buf, size_t len, uint64_t offset);
bool kernel_uses_pages(const struct kernel *kernel, int fd); /* an open file */
/* Through a mapping of the file: of the pages that are there nobody is asked. EFAULT: behind the end, as far as the kernel knows (SIGBUS); ENODEV: not
 * for files that pages do not serve. */
int64_t kernel_mapped_read(struct kernel *kernel, int fd, uint8_t *buf, size_t len, uint64_t offset);
int64_t kernel_pwrite(struct kernel *kernel, int fd, const uint8_t *buf, size_t len, uint64_t offset);
int kernel_fallocate(struct kernel *kernel, int fd, unsigned mode, uint64_t offset, uint64_t len);
int64_t kernel_lseek(struct kernel *kernel, int fd, uint64_t offset, bool hole); /* SEEK_DATA or SEEK_HOLE */
/* copy_file_range. Looks at the source's size as fstat does: what the kernel itself knows may be old. */
int64_t kernel_copy(struct kernel *kernel, int from_fd, uint64_t from_at, int to_fd, uint64_t to_at, uint64_t len);
int kernel_fsync(struct kernel *kernel, int fd);
int kernel_ftruncate(struct kernel *kernel, int fd, uint64_t size);
int kernel_fchmod(struct kernel *kernel, int fd, uint32_t mode);
int64_t kernel_fgetxattr(struct kernel *kernel, int fd, const char *name, uint8_t *buf, size_t size);
int kernel_fstat(struct kernel *kernel, int fd, struct attr *ret_attr);
int kernel_stat(struct kernel *kernel, const char *path, struct attr *ret_attr); /* lstat */
int kernel_setattr(struct kernel *kernel, const char *path, uint32_t valid, const struct attr *attr);
int kernel_readlink(struct kernel *kernel, const char *path, char *buf, size_t size);
int kernel_mknod(struct kernel *kernel, const char *path, uint32_t mode);
int kernel_mkdir(struct kernel *kernel, const char *path, uint32_t mode);
int kernel_symlink(struct kernel *kernel, const char *target, const char *path);
int kernel_link(struct kernel *kernel, const char *path, const char *to);
int kernel_link_file(struct kernel *kernel, int fd, const char *to); /* by /proc/self/fd */
int kernel_unlink(struct kernel *kernel, const char *path);
int kernel_rmdir(struct kernel *kernel, const char *path);
int kernel_rename(struct kernel *kernel, const char *from, const char *to, uint32_t flags);
int kernel_readdir(struct kernel *kernel, const char *path, bool (*emit)(void *ctx, const struct kernel_dirent *dirent), void *ctx);
int kernel_statfs(struct kernel *kernel, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes);
int kernel_setxattr(struct kernel *kernel, const char *path, const char *name, struct blob value, uint32_t flags);
int64_t kernel_getxattr(struct kernel *kernel, const char *path, const char *name, uint8_t *buf, size_t size);
int64_t kernel_listxattr(struct kernel *kernel, const char *path, uint8_t *buf, size_t size);
int kernel_removexattr(struct kernel *kernel, const char *path, const char *name);

#endif
