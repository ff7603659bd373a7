/* SPDX-License-Identifier: Apache-2.0
 * Open files, the page cache, and what is asked of one inode. Read-only files that the file system did not open with direct I/O are cached
 * by pages; all others pass through. */
#include "tests/sim/kernel_impl.h"

#include <fcntl.h>
#include <sys/stat.h>

struct kpage {
	struct map_node node;
	uint64_t index;
	bool locked, dropped; /* being read; dropped meanwhile: not kept, and somebody may wait for that */
	uint8_t bytes[KERNEL_PAGE_BYTES];
};

enum { IO_BYTES_MAX = 1 << 20 };

static struct kpage *page_find(const struct kinode *inode, uint64_t index)
{
	struct map_node *node = map_first(&inode->pages, map_hash_u64(index));
	for (; node != NULL; node = map_next(node)) {
		struct kpage *page = CONTAINER_OF(node, struct kpage, node);
		if (page->index == index)
			return page;
	}
	return NULL;
}

void kinode_drop_pages(struct kernel *kernel, struct kinode *inode, uint64_t start, uint64_t end)
{
	(void)kernel;
	struct map_iter iter = map_iter_begin(&inode->pages);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct kpage *page = CONTAINER_OF(node, struct kpage, node);
		uint64_t at = page->index * KERNEL_PAGE_BYTES;
		if (at >= end || at + KERNEL_PAGE_BYTES <= start)
			continue;
		if (page->locked) {
			inode->pages_awaited += !page->dropped;
			page->dropped = true;
			continue;
		}
		map_remove(&inode->pages, node);
		mem_free(page);
	}
}

static int file_new(struct kernel *kernel, struct kinode *inode, const struct kernel_opened *opened, int flags)
{
	for (int fd = 0; fd < KERNEL_FILES_MAX; fd++) {
		struct kfile *file = &kernel->files[fd];
		if (file->inode != NULL)
			continue;
		*file = (struct kfile){.inode = inode, .fh = opened->fh, .flags = flags, .direct_io = opened->direct_io};
		inode->opens++;
		if (!opened->direct_io && !opened->keep_cache)
			kinode_drop_pages(kernel, inode, 0, UINT64_MAX);
		if (flags & O_TRUNC) {
			inode->attr_version++;
			kinode_inval_attr(inode);
			inode->attr.size_bytes = 0;
			kinode_drop_pages(kernel, inode, 0, UINT64_MAX);
		}
		return fd;
	}
	return -EMFILE;
}

static int open_inode(struct kernel *kernel, struct kinode *inode, int flags)
{
	struct kernel_opened opened;
	if (S_ISLNK(inode->attr.mode))
		return -ELOOP;
	if (S_ISDIR(inode->attr.mode)) { /* without OPENDIR: only the kernel knows that it is open */
		bool reads = (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY;
		return reads ? file_new(kernel, inode, &(struct kernel_opened){.keep_cache = true}, flags) : -EISDIR;
	}
	if (S_ISCHR(inode->attr.mode))
		return -ENXIO; /* no driver has any of ours */
	if (S_ISFIFO(inode->attr.mode))
		return file_new(kernel, inode, &(struct kernel_opened){.keep_cache = true}, flags);
	kernel->counts.requests++;
	if ((flags & O_TRUNC) != 0)
		kinode_change_begin(kernel, inode, false);
	int rc = kernel->ops->open(kernel->ctx, inode->ino, flags, &opened);
	int fd = rc < 0 ? rc : file_new(kernel, inode, &opened, flags);
	if (rc == 0 && fd < 0)
		kernel->ops->release(kernel->ctx, inode->ino, opened.fh);
	if ((flags & O_TRUNC) != 0)
		kinode_change_end(kernel, inode);
	return fd;
}

/* The directory is locked: the name is looked up, and created if it is not there. */
static int open_create(struct kernel *kernel, struct kinode *dir, struct str name, int flags, uint32_t mode)
{
	struct kinode *inode = NULL;
	struct kernel_entry entry;
	struct kernel_opened opened;
	int rc = kernel_lookup(kernel, dir, name, &inode);
	if (rc == 0) {
		rc = (flags & O_EXCL) ? -EEXIST : open_inode(kernel, inode, flags);
		kinode_put(kernel, inode);
		return rc;
	}
	if (rc != -ENOENT)
		return rc;
	kernel->counts.requests++;
	uint64_t epoch = kernel->epoch;
	rc = kernel->ops->create(kernel->ctx, dir->ino, name, mode, flags, &entry, &opened);
	dir->attr_version++;
	kinode_inval_attr(dir);
	if (rc < 0)
		return rc;
	inode = kernel_instantiate(kernel, dir, name, &entry, epoch);
	rc = file_new(kernel, inode, &opened, flags);
	if (rc < 0)
		kernel->ops->release(kernel->ctx, inode->ino, opened.fh);
	kinode_put(kernel, inode);
	return rc;
}

static int open_path(struct kernel *kernel, const char *path, int flags, uint32_t mode)
{
	struct kinode *dir, *inode;
	struct str name;
	int rc;
	if (!(flags & O_CREAT)) {
		rc = kernel_walk(kernel, path, &inode);
		if (rc < 0)
			return rc;
		rc = open_inode(kernel, inode, flags);
		kinode_put(kernel, inode);
		return rc;
	}
	rc = kernel_walk_parent(kernel, path, &dir, &name);
	if (rc < 0)
		return rc;
	krwsem_lock(kernel, &dir->rwsem, true);
	rc = name.len == 0 ? -EISDIR : open_create(kernel, dir, name, flags, mode);
	krwsem_unlock(&dir->rwsem);
	kinode_put(kernel, dir);
	return rc;
}

int kernel_open(struct kernel *kernel, const char *path, int flags, uint32_t mode)
{
	int rc = open_path(kernel, path, flags, mode);
	if (rc != -ESTALE)
		return rc;
	kernel_expire(kernel, path);
	return open_path(kernel, path, flags, mode);
}

static int open_unnamed(struct kernel *kernel, struct kinode *dir, int flags, uint32_t mode)
{
	struct kernel_entry entry;
	struct kernel_opened opened;
	kernel->counts.requests++;
	int rc = kernel->ops->tmpfile(kernel->ctx, dir->ino, mode, flags, &entry, &opened);
	if (rc < 0)
		return rc;
	struct kinode *inode = kernel_take_in(kernel, &entry);
	rc = file_new(kernel, inode, &opened, flags);
	if (rc < 0)
		kernel->ops->release(kernel->ctx, inode->ino, opened.fh);
	kinode_put(kernel, inode);
	return rc;
}

int kernel_tmpfile(struct kernel *kernel, const char *path, int flags, uint32_t mode)
{
	struct kinode *dir;
	int rc = kernel_walk(kernel, path, &dir);
	if (rc < 0)
		return rc;
	if (S_ISDIR(dir->attr.mode) || path[0] == '\0')
		rc = open_unnamed(kernel, dir, flags, mode);
	else
		rc = S_ISLNK(dir->attr.mode) ? -ELOOP : -ENOTDIR;
	kinode_put(kernel, dir);
	return rc;
}

static struct kfile *file_of(struct kernel *kernel, int fd)
{
	CHECK(fd >= 0 && fd < KERNEL_FILES_MAX);
	return kernel->files[fd].inode != NULL ? &kernel->files[fd] : NULL;
}

/* Owners as the file system sees them: numbers that tell nothing, of processes and of open files. */
static uint64_t owner_of_process(uint64_t process)
{
	return map_hash_u64(process * 2);
}

static uint64_t owner_of_file(const struct kfile *file)
{
	return map_hash_u64(file->fh * 2 + 1);
}

int kernel_lock(struct kernel *kernel, int fd, const struct kernel_lock *lock)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	struct kinode *inode = file->inode;
	uint64_t owner = lock->kind == LOCK_KIND_POSIX ? owner_of_process(lock->process) : owner_of_file(file);
	inode->pins++;
	kernel->counts.requests++;
	int rc = kernel->ops->lock(kernel->ctx, inode->ino, file->fh, owner, lock);
	kinode_put(kernel, inode);
	return rc;
}

void kernel_interrupt(struct kernel *kernel, struct kernel_signal *signal)
{
	if (signal->request != NULL)
		kernel->ops->interrupt(kernel->ctx, signal->request);
}

int kernel_close(struct kernel *kernel, int fd)
{
	return kernel_close_by(kernel, fd, 0);
}

int kernel_close_by(struct kernel *kernel, int fd, uint64_t process)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	struct kinode *inode = file->inode;
	uint64_t fh = file->fh;
	file->inode = NULL;
	inode->pins++;
	int rc = 0;
	if (S_ISREG(inode->attr.mode)) {
		kernel->counts.requests++;
		rc = kernel->ops->flush(kernel->ctx, inode->ino, fh, owner_of_process(process));
		kernel->ops->release(kernel->ctx, inode->ino, fh);
	}
	inode->opens--;
	kinode_put(kernel, inode);
	return rc;
}

int kernel_link_file(struct kernel *kernel, int fd, const char *to)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	struct kinode *inode = file->inode;
	inode->pins++;
	int rc = kernel_link_inode(kernel, inode, to);
	kinode_put(kernel, inode);
	return rc;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Reads pages [first, first + count) that are not there, locked meanwhile. The first one's bytes go to `once`, too: whoever waited for the page has it,
 * even if it is dropped the moment it is unlocked. */
static int pages_fill(struct kernel *kernel, struct kfile *file, uint64_t first, size_t count, uint8_t once[KERNEL_PAGE_BYTES])
{
	struct kinode *inode = file->inode;
	struct kpage *pages[READAHEAD_PAGES];
	for (size_t i = 0; i < count; i++) {
		pages[i] = mem_alloc(sizeof(*pages[i]));
		pages[i]->index = first + i;
		pages[i]->locked = true;
		map_insert(&inode->pages, &pages[i]->node, map_hash_u64(first + i));
	}
	uint8_t *buf = mem_alloc(count * KERNEL_PAGE_BYTES);
	uint64_t version = inode->attr_version;
	inode->pages_locked += (unsigned)count;
	kernel->counts.requests++;
	int64_t got = kernel->ops->read(kernel->ctx, inode->ino, file->fh, first * KERNEL_PAGE_BYTES, buf, count * KERNEL_PAGE_BYTES,
					  true);
	inode->pages_locked -= (unsigned)count;
	inode->atime_stale = true;
	kernel->counts.pages_read += count;
	for (size_t i = 0; i < count; i++) {
		pages[i]->locked = false;
		inode->pages_awaited -= pages[i]->dropped;
		if (got < 0 || pages[i]->dropped) {
			map_remove(&inode->pages, &pages[i]->node);
			mem_free(pages[i]);
		} else {
			memcpy(pages[i]->bytes, buf + i * KERNEL_PAGE_BYTES, KERNEL_PAGE_BYTES);
		}
	}
	memcpy(once, buf, KERNEL_PAGE_BYTES);
	mem_free(buf);
	/* fuse_short_read: an answer that ends early tells where the file ends. */
	uint64_t end = first * KERNEL_PAGE_BYTES + (got < 0 ? 0 : (uint64_t)got);
	if (got >= 0 && (size_t)got < count * KERNEL_PAGE_BYTES && version == inode->attr_version && end < inode->attr.size_bytes &&
	    !inode->size_unstable) {
		inode->attr_version++;
		inode->attr.size_bytes = end;
	}
	waitq_wake_all(&inode->page_wait);
	return got < 0 ? (int)got : 0;
}

/* The bytes of the page with `index`, valid until the next park; `once` is room for them. */
static int page_get(struct kernel *kernel, struct kfile *file, uint64_t index, uint8_t once[KERNEL_PAGE_BYTES], const uint8_t **ret_bytes)
{
	struct kinode *inode = file->inode;
	for (;;) {
		struct kpage *page = page_find(inode, index);
		if (page != NULL && !page->locked) {
			kernel->counts.page_hits++;
			*ret_bytes = page->bytes;
			return 0;
		}
		if (page != NULL) {
			(void)waitq_wait(&inode->page_wait, kernel->loop, UINT64_MAX); /* no deadline */
			continue;
		}
		uint64_t end = (inode->attr.size_bytes + KERNEL_PAGE_BYTES - 1) / KERNEL_PAGE_BYTES;
		size_t count = 1;
		while (count < READAHEAD_PAGES && index + count < end && page_find(inode, index + count) == NULL)
			count++;
		*ret_bytes = once;
		return pages_fill(kernel, file, index, count, once);
	}
}

static int64_t read_cached(struct kernel *kernel, struct kfile *file, uint8_t *buf, size_t len, uint64_t offset)
{
	struct kinode *inode = file->inode;
	struct attr attr;
	int rc = kinode_refresh(kernel, inode, file->fh, &attr);
	if (rc < 0)
		return rc;
	size_t done = 0;
	while (done < len && offset + done < inode->attr.size_bytes) {
		uint8_t once[KERNEL_PAGE_BYTES];
		const uint8_t *bytes = NULL;
		uint64_t at = offset + done;
		rc = page_get(kernel, file, at / KERNEL_PAGE_BYTES, once, &bytes);
		if (rc < 0)
			return done > 0 ? (int64_t)done : rc;
		if (at >= inode->attr.size_bytes)
			break;
		size_t in_page = (size_t)(at % KERNEL_PAGE_BYTES);
		size_t part = (size_t)min_u64(min_u64(len - done, KERNEL_PAGE_BYTES - in_page), inode->attr.size_bytes - at);
		memcpy(buf + done, bytes + in_page, part);
		done += part;
	}
	return (int64_t)done;
}

int64_t kernel_pread(struct kernel *kernel, int fd, uint8_t *buf, size_t len, uint64_t offset)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL || (file->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (!file->direct_io)
		return read_cached(kernel, file, buf, len, offset);
	size_t done = 0;
	while (done < len) {
		size_t part = (size_t)min_u64(len - done, IO_BYTES_MAX);
		kernel->counts.requests++;
		int64_t got = kernel->ops->read(kernel->ctx, file->inode->ino, file->fh, offset + done, buf + done, part,
						  false);
		file->inode->atime_stale = true;
		if (got < 0)
			return done > 0 ? (int64_t)done : got;
		done += (size_t)got;
		if ((size_t)got < part)
			break;
	}
	return (int64_t)done;
}

bool kernel_uses_pages(const struct kernel *kernel, int fd)
{
	return !kernel->files[fd].direct_io;
}

int64_t kernel_mapped_read(struct kernel *kernel, int fd, uint8_t *buf, size_t len, uint64_t offset)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL || (file->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (file->direct_io)
		return -ENODEV; /* DIRECT_IO_ALLOW_MMAP is not modelled */
	struct kinode *inode = file->inode;
	for (size_t done = 0; done < len;) {
		uint8_t once[KERNEL_PAGE_BYTES];
		const uint8_t *bytes = NULL;
		uint64_t at = offset + done, page = at / KERNEL_PAGE_BYTES;
		if (page * KERNEL_PAGE_BYTES >= inode->attr.size_bytes)
			return -EFAULT;
		int rc = page_get(kernel, file, page, once, &bytes);
		if (rc < 0)
			return rc;
		if (page * KERNEL_PAGE_BYTES >= inode->attr.size_bytes)
			return -EFAULT;
		size_t in_page = (size_t)(at % KERNEL_PAGE_BYTES);
		size_t part = (size_t)min_u64(len - done, KERNEL_PAGE_BYTES - in_page);
		memcpy(buf + done, bytes + in_page, part);
		done += part;
	}
	return (int64_t)len;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

int64_t kernel_pwrite(struct kernel *kernel, int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL || (file->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	struct kinode *inode = file->inode;
	krwsem_lock(kernel, &inode->rwsem, true);
	if (file->flags & O_APPEND)
		offset = inode->attr.size_bytes; /* as cached: the file system knows better */
	kinode_drop_pages(kernel, inode, offset, offset + len);
	kinode_change_begin(kernel, inode, offset + len > inode->attr.size_bytes);
	size_t done = 0;
	int64_t rc = 0;
	while (done < len) {
		size_t part = (size_t)min_u64(len - done, IO_BYTES_MAX);
		kernel->counts.requests++;
		rc = kernel->ops->write(kernel->ctx, inode->ino, file->fh, offset + done, buf + done, part);
		if (rc < 0)
			break;
		done += (size_t)rc;
		if ((size_t)rc < part)
			break;
	}
	inode->attr_version++;
	kinode_inval_attr(inode);
	if (done > 0)
		inode->attr.size_bytes = max_u64(inode->attr.size_bytes, offset + done);
	kinode_change_end(kernel, inode);
	krwsem_unlock(&inode->rwsem);
	return done > 0 ? (int64_t)done : rc;
}

int kernel_fsync(struct kernel *kernel, int fd)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	kernel->counts.requests++;
	return kernel->ops->fsync(kernel->ctx, file->inode->ino, file->fh);
}

static int setattr_inode(struct kernel *kernel, struct kinode *inode, uint64_t fh, uint32_t valid, const struct attr *attr)
{
	struct attr now;
	uint64_t valid_ns;
	krwsem_lock(kernel, &inode->rwsem, true);
	kernel->counts.requests++;
	if ((valid & SET_SIZE) != 0)
		kinode_change_begin(kernel, inode, true);
	int rc = kernel->ops->setattr(kernel->ctx, inode->ino, fh, valid, attr, &now, &valid_ns);
	if ((valid & SET_SIZE) != 0)
		kinode_change_end(kernel, inode);
	inode->attr_version++;
	if (rc == 0) {
		uint64_t before = inode->attr.size_bytes;
		kinode_set_attr(kernel, inode, &now, valid_ns);
		if ((valid & SET_SIZE) && before != now.size_bytes)
			kinode_drop_pages(kernel, inode, min_u64(before, now.size_bytes), UINT64_MAX);
	} else {
		kinode_inval_attr(inode);
	}
	krwsem_unlock(&inode->rwsem);
	return rc;
}

int kernel_ftruncate(struct kernel *kernel, int fd, uint64_t size)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	if ((file->flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	return setattr_inode(kernel, file->inode, file->fh, SET_SIZE, &(struct attr){.size_bytes = size});
}

int kernel_fchmod(struct kernel *kernel, int fd, uint32_t mode)
{
	struct kfile *file = file_of(kernel, fd);
	return file == NULL ? -EBADF : setattr_inode(kernel, file->inode, 0, SET_MODE, &(struct attr){.mode = mode});
}

int kernel_setattr(struct kernel *kernel, const char *path, uint32_t valid, const struct attr *attr)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	if ((valid & SET_SIZE) && !S_ISREG(inode->attr.mode))
		rc = S_ISDIR(inode->attr.mode) ? -EISDIR : -EINVAL;
	else if ((valid & SET_MODE) && S_ISLNK(inode->attr.mode))
		rc = -EOPNOTSUPP;
	else
		rc = setattr_inode(kernel, inode, 0, valid, attr);
	kinode_put(kernel, inode);
	return rc;
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

/* All attributes, atime among them. */
static int refresh_all(struct kernel *kernel, struct kinode *inode, struct attr *ret_attr)
{
	if (inode->atime_stale)
		kinode_inval_attr(inode);
	return kinode_refresh(kernel, inode, 0, ret_attr);
}

int kernel_fstat(struct kernel *kernel, int fd, struct attr *ret_attr)
{
	struct kfile *file = file_of(kernel, fd);
	if (file == NULL)
		return -EBADF;
	return refresh_all(kernel, file->inode, ret_attr);
}

static int stat_path(struct kernel *kernel, const char *path, struct attr *ret_attr)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	rc = refresh_all(kernel, inode, ret_attr);
	kinode_put(kernel, inode);
	return rc;
}

int kernel_stat(struct kernel *kernel, const char *path, struct attr *ret_attr)
{
	int rc = stat_path(kernel, path, ret_attr);
	if (rc != -ESTALE)
		return rc;
	kernel_expire(kernel, path);
	return stat_path(kernel, path, ret_attr);
}

int kernel_readlink(struct kernel *kernel, const char *path, char *buf, size_t size)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	kernel->counts.requests++;
	rc = S_ISLNK(inode->attr.mode) ? kernel->ops->readlink(kernel->ctx, inode->ino, buf, size) : -EINVAL;
	inode->atime_stale = true;
	kinode_put(kernel, inode);
	return rc;
}

/* An entry that came with a listing, and is not taken in yet. */
struct coming {
	struct coming *next;
	struct kernel_entry entry;
	uint64_t stamp, version; /* of the attributes that the kernel had when the answer came */
	size_t len;
	char name[];
};
#define TAKEN_IN_WITHIN_NS (80 * NS_PER_MS)

struct readdir {
	struct kernel *kernel;
	struct kinode *dir;
	bool (*emit)(void *ctx, const struct kernel_dirent *dirent);
	void *ctx;
	uint64_t cookie;
	struct coming *first, **last;
	bool stopped;
};

/* As Linux does: some time after the answer, under whatever epoch is then. */
static void take_in(struct readdir *readdir)
{
	struct kernel *kernel = readdir->kernel;
	if (readdir->first != NULL && rng_chance(&kernel->rng, 300000))
		task_sleep(kernel->loop, rng_below(&kernel->rng, TAKEN_IN_WITHIN_NS));
	while (readdir->first != NULL) {
		struct coming *coming = readdir->first;
		readdir->first = coming->next;
		kinode_put(kernel, kernel_instantiate_late(kernel, readdir->dir, (struct str){coming->name, coming->len}, &coming->entry,
							   coming->stamp, coming->version));
		mem_free(coming);
	}
	readdir->last = &readdir->first;
}

static bool readdir_emit(void *ctx, const struct kernel_dirent *dirent)
{
	struct readdir *readdir = ctx;
	if (readdir->stopped || !readdir->emit(readdir->ctx, dirent)) {
		readdir->stopped = true;
		return false;
	}
	readdir->cookie = dirent->cookie;
	if (dirent->entry == NULL)
		return true;
	size_t len = strlen(dirent->name);
	struct coming *coming = mem_alloc(sizeof(*coming) + len);
	struct kernel *kernel = readdir->kernel;
	*coming = (struct coming){.entry = *dirent->entry, .stamp = kernel->attr_stamps,
				  .version = kernel_attr_version(kernel, dirent->entry->attr.ino.v), .len = len};
	memcpy(coming->name, dirent->name, len);
	*readdir->last = coming;
	readdir->last = &coming->next;
	return true;
}

int kernel_readdir(struct kernel *kernel, const char *path, bool (*emit)(void *ctx, const struct kernel_dirent *dirent), void *ctx)
{
	struct kinode *dir;
	int rc = kernel_walk(kernel, path, &dir);
	if (rc < 0)
		return rc;
	struct readdir readdir = {.kernel = kernel, .dir = dir, .emit = emit, .ctx = ctx};
	readdir.last = &readdir.first;
	uint32_t thread = rng_chance(&kernel->rng, 900000) ? ++kernel->threads : 0; /* or one of another world, that has no number here */
	rc = dir != kernel->root && !S_ISDIR(dir->attr.mode) ? -ENOTDIR : 0;
	while (rc == 0 && !readdir.stopped) {
		krwsem_lock(kernel, &dir->rwsem, false);
		kernel->counts.requests++;
		rc = kernel->ops->readdir(kernel->ctx, dir->ino, readdir.cookie, thread, readdir_emit, &readdir);
		take_in(&readdir);
		dir->atime_stale = true;
		krwsem_unlock(&dir->rwsem);
	}
	kinode_put(kernel, dir);
	return rc < 0 ? rc : 0;
}

int kernel_statfs(struct kernel *kernel, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes)
{
	kernel->counts.requests++;
	return kernel->ops->statfs(kernel->ctx, ret_total_bytes, ret_free_bytes);
}

/* ---- extended attributes -------------------------------------------------------------------------------------- */

/* user.* is for regular files and directories only: VFS says so before anybody is asked. */
static bool xattr_refused(const struct kinode *inode, const char *name)
{
	return strncmp(name, "user.", 5) == 0 && !S_ISREG(inode->attr.mode) && !S_ISDIR(inode->attr.mode);
}

int kernel_setxattr(struct kernel *kernel, const char *path, const char *name, struct blob value, uint32_t flags)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	kernel->counts.requests++;
	rc = xattr_refused(inode, name) ? -EPERM : kernel->ops->setxattr(kernel->ctx, inode->ino, name, value, flags);
	inode->attr_version++;
	kinode_inval_attr(inode);
	kinode_put(kernel, inode);
	return rc;
}

static int64_t getxattr_inode(struct kernel *kernel, struct kinode *inode, const char *name, uint8_t *buf, size_t size)
{
	kernel->counts.requests++;
	return xattr_refused(inode, name) ? -ENODATA : kernel->ops->getxattr(kernel->ctx, inode->ino, name, buf, size);
}

int64_t kernel_getxattr(struct kernel *kernel, const char *path, const char *name, uint8_t *buf, size_t size)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	int64_t got = getxattr_inode(kernel, inode, name, buf, size);
	kinode_put(kernel, inode);
	return got;
}

int64_t kernel_fgetxattr(struct kernel *kernel, int fd, const char *name, uint8_t *buf, size_t size)
{
	struct kfile *file = file_of(kernel, fd);
	return file == NULL ? -EBADF : getxattr_inode(kernel, file->inode, name, buf, size);
}

int64_t kernel_listxattr(struct kernel *kernel, const char *path, uint8_t *buf, size_t size)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	kernel->counts.requests++;
	int64_t got = kernel->ops->listxattr(kernel->ctx, inode->ino, buf, size);
	kinode_put(kernel, inode);
	return got;
}

int kernel_removexattr(struct kernel *kernel, const char *path, const char *name)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	kernel->counts.requests++;
	rc = xattr_refused(inode, name) ? -EPERM : kernel->ops->removexattr(kernel->ctx, inode->ino, name);
	inode->attr_version++;
	kinode_inval_attr(inode);
	kinode_put(kernel, inode);
	return rc;
}
