/* SPDX-License-Identifier: Apache-2.0
 * Every request takes a little time, then happens at one moment. */
#include "tests/sim/plainfs.h"
#include "common/base/check.h"
#include "mds/acl.h"
#include "proto/proto.h"
#include "tests/sim/fs.h"
#include "tests/sim/seam.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PLAIN_XATTRS = 8, PLAIN_XATTR_BYTES = 64, PLAIN_NAME_BYTES = 64, TAKES_NS_MAX = 3000000, VALID_NS = 0 }; /* nobody would recall it */

struct plain_xattr {
	char name[PLAIN_NAME_BYTES];
	size_t len;
	uint8_t value[PLAIN_XATTR_BYTES];
};
struct plain_inode {
	struct list_node link;
	struct attr attr;
	struct image data;
	struct list entries;
	char target[PLAIN_NAME_BYTES * 2];
	struct plain_xattr xattrs[PLAIN_XATTRS]; /* len 0: free */
	struct {
		size_t len; /* 0: none */
		uint8_t bytes[PLAIN_XATTR_BYTES];
	} lists[2]; /* access, default */
	bool linkable; /* has no name yet, and may get one */
};
struct plain_entry {
	struct list_node link;
	char name[PLAIN_NAME_BYTES];
	struct plain_inode *inode;
	uint64_t cookie;
};

static struct plain_inode *inode_new(struct plainfs *fs, uint32_t mode)
{
	WORLD_MEMORY();
	struct plain_inode *inode = mem_alloc(sizeof(*inode));
	inode->attr = (struct attr){.ino = {++fs->last_ino}, .mode = mode, .nlink = S_ISDIR(mode) ? 2 : 1};
	image_init(&inode->data);
	list_init(&inode->entries);
	list_push_back(&fs->inodes, &inode->link);
	return inode;
}

void plainfs_init(struct plainfs *fs)
{
	*fs = (struct plainfs){0};
	list_init(&fs->inodes);
	(void)inode_new(fs, S_IFDIR | 0755);
}

void plainfs_fini(struct plainfs *fs)
{
	WORLD_MEMORY();
	struct list_node *link, *entry;
	while ((link = list_pop_front(&fs->inodes)) != NULL) {
		struct plain_inode *inode = CONTAINER_OF(link, struct plain_inode, link);
		while ((entry = list_pop_front(&inode->entries)) != NULL)
			mem_free(CONTAINER_OF(entry, struct plain_entry, link));
		image_fini(&inode->data);
		mem_free(inode);
	}
}

static struct plainfs *arrive(void *ctx)
{
	struct plainfs_mount *mount = ctx;
	task_sleep(mount->loop, rng_below(&mount->rng, TAKES_NS_MAX));
	return mount->fs;
}

static struct plain_inode *inode_of(struct plainfs *fs, uint64_t ino)
{
	list_for_each(at, &fs->inodes) {
		struct plain_inode *inode = CONTAINER_OF(at, struct plain_inode, link);
		if (inode->attr.ino.v == ino)
			return inode;
	}
	CHECK_MSG(false, "an inode that was never told");
	return NULL;
}

static struct plain_entry *entry_find(struct plain_inode *dir, struct str name)
{
	list_for_each(at, &dir->entries) {
		struct plain_entry *entry = CONTAINER_OF(at, struct plain_entry, link);
		if (str_eq(str_of(entry->name), name))
			return entry;
	}
	return NULL;
}

static void entry_add(struct plain_inode *dir, struct str name, struct plain_inode *inode)
{
	WORLD_MEMORY();
	struct plain_entry *entry = mem_alloc(sizeof(*entry));
	memcpy(entry->name, name.ptr, name.len);
	entry->inode = inode;
	entry->cookie = dir->attr.change + 3;
	dir->attr.change++;
	dir->attr.nlink += S_ISDIR(inode->attr.mode) ? 1 : 0;
	list_push_back(&dir->entries, &entry->link);
}

static void entry_remove(struct plain_inode *dir, struct plain_entry *entry)
{
	WORLD_MEMORY();
	dir->attr.nlink -= S_ISDIR(entry->inode->attr.mode) ? 1 : 0;
	list_remove(&entry->link);
	mem_free(entry);
}

static void inode_lose(struct plain_inode *inode)
{
	inode->attr.nlink = S_ISDIR(inode->attr.mode) ? 0 : inode->attr.nlink - 1;
}

/* What a default list of the directory makes of something new in it. */
static void inherit(struct plain_inode *inode, const struct plain_inode *dir)
{
	if (dir->lists[1].len == 0 || S_ISLNK(inode->attr.mode))
		return;
	inode->lists[0] = dir->lists[1];
	inode->attr.mode = acl_inherit(inode->lists[0].bytes, inode->lists[0].len, inode->attr.mode);
	if (S_ISDIR(inode->attr.mode))
		inode->lists[1] = dir->lists[1];
}

static void tell(const struct plain_inode *inode, struct kernel_entry *ret_entry)
{
	*ret_entry = (struct kernel_entry){.attr = inode->attr, .entry_valid_ns = VALID_NS, .attr_valid_ns = VALID_NS};
}

static int plain_lookup(void *ctx, uint64_t parent, struct str name, struct kernel_entry *ret_entry)
{
	struct plain_entry *entry = entry_find(inode_of(arrive(ctx), parent), name);
	if (entry == NULL)
		return -ENOENT;
	tell(entry->inode, ret_entry);
	return 0;
}

static void plain_forget(void *ctx, uint64_t ino, uint64_t count)
{
	(void)ctx;
	(void)ino;
	(void)count;
}

static int plain_getattr(void *ctx, uint64_t ino, uint64_t fh, struct attr *ret_attr, uint64_t *ret_valid_ns)
{
	(void)fh;
	*ret_attr = inode_of(arrive(ctx), ino)->attr;
	*ret_valid_ns = VALID_NS;
	return 0;
}

static void resize(struct plainfs_mount *mount, struct plain_inode *inode, uint64_t size)
{
	WORLD_MEMORY();
	image_truncate(&inode->data, size);
	inode->attr.size_bytes = size;
	inode->attr.mtime_ns = (int64_t)loop_now_ns(mount->loop);
}

static int plain_setattr(void *ctx, uint64_t ino, uint64_t fh, uint32_t valid, const struct attr *attr, struct attr *ret_attr,
			 uint64_t *ret_valid_ns)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)fh;
	if (valid & SET_MODE)
		inode->attr.mode = (inode->attr.mode & S_IFMT) | (attr->mode & 07777);
	if ((valid & SET_MODE) && inode->lists[0].len > 0)
		acl_set_mode(inode->lists[0].bytes, inode->lists[0].len, inode->attr.mode);
	if (valid & SET_UID)
		inode->attr.uid = attr->uid;
	if (valid & SET_GID)
		inode->attr.gid = attr->gid;
	if (valid & SET_SIZE)
		resize(ctx, inode, attr->size_bytes);
	if (valid & SET_MTIME)
		inode->attr.mtime_ns = attr->mtime_ns;
	if (valid & SET_ATIME)
		inode->attr.atime_ns = attr->atime_ns;
	*ret_attr = inode->attr;
	*ret_valid_ns = VALID_NS;
	return 0;
}

/* strictatime */
static void touch(void *ctx, struct plain_inode *inode)
{
	const struct plainfs_mount *mount = ctx;
	int64_t now_ns = (int64_t)loop_now_ns(mount->loop);
	inode->attr.atime_ns = now_ns > inode->attr.atime_ns ? now_ns : inode->attr.atime_ns;
}

static int plain_readlink(void *ctx, uint64_t ino, char *buf, size_t size)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	size_t len = strlen(inode->target) < size ? strlen(inode->target) : size;
	memcpy(buf, inode->target, len);
	touch(ctx, inode);
	return (int)len;
}

static int make(struct plainfs *fs, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry,
		struct plain_inode **ret_inode)
{
	struct plain_inode *dir = inode_of(fs, parent);
	if (dir->attr.nlink == 0)
		return -ENOENT;
	if (entry_find(dir, name) != NULL)
		return -EEXIST;
	struct plain_inode *inode = inode_new(fs, mode);
	inherit(inode, dir);
	entry_add(dir, name, inode);
	tell(inode, ret_entry);
	*ret_inode = inode;
	return 0;
}

static int plain_mknod(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry)
{
	struct plain_inode *inode;
	return make(arrive(ctx), parent, name, mode, ret_entry, &inode);
}

static int plain_mkdir(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry)
{
	struct plain_inode *inode;
	return make(arrive(ctx), parent, name, S_IFDIR | mode, ret_entry, &inode);
}

static int plain_symlink(void *ctx, uint64_t parent, struct str name, struct str target, struct kernel_entry *ret_entry)
{
	struct plain_inode *inode;
	int rc = make(arrive(ctx), parent, name, S_IFLNK | 0777, ret_entry, &inode);
	if (rc < 0)
		return rc;
	memcpy(inode->target, target.ptr, target.len);
	inode->attr.size_bytes = target.len;
	tell(inode, ret_entry);
	return 0;
}

static int plain_link(void *ctx, uint64_t ino, uint64_t parent, struct str name, struct kernel_entry *ret_entry)
{
	struct plainfs *fs = arrive(ctx);
	struct plain_inode *inode = inode_of(fs, ino), *dir = inode_of(fs, parent);
	if (entry_find(dir, name) != NULL)
		return -EEXIST;
	if ((inode->attr.nlink == 0 && !inode->linkable) || dir->attr.nlink == 0)
		return -ENOENT;
	entry_add(dir, name, inode);
	inode->linkable = false;
	inode->attr.nlink++;
	tell(inode, ret_entry);
	return 0;
}

static int plain_remove(struct plainfs *fs, uint64_t parent, struct str name, bool want_dir)
{
	struct plain_inode *dir = inode_of(fs, parent);
	struct plain_entry *entry = entry_find(dir, name);
	if (entry == NULL)
		return -ENOENT;
	struct plain_inode *inode = entry->inode;
	if (want_dir != S_ISDIR(inode->attr.mode))
		return want_dir ? -ENOTDIR : -EISDIR;
	if (!list_is_empty(&inode->entries))
		return -ENOTEMPTY;
	entry_remove(dir, entry);
	inode_lose(inode);
	return 0;
}

static int plain_unlink(void *ctx, uint64_t parent, struct str name)
{
	return plain_remove(arrive(ctx), parent, name, false);
}

static int plain_rmdir(void *ctx, uint64_t parent, struct str name)
{
	return plain_remove(arrive(ctx), parent, name, true);
}

/* Loops were refused by the kernel: there is one kernel for each subtree that they could be made in. */
static int plain_rename(void *ctx, uint64_t parent, struct str name, uint64_t new_parent, struct str new_name, uint32_t flags)
{
	struct plainfs *fs = arrive(ctx);
	struct plain_inode *from_dir = inode_of(fs, parent), *to_dir = inode_of(fs, new_parent);
	struct plain_entry *from = entry_find(from_dir, name), *to = entry_find(to_dir, new_name);
	if (from == NULL || ((flags & RENAME_EXCHANGE) && to == NULL))
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && to != NULL)
		return -EEXIST;
	struct plain_inode *moved = from->inode, *replaced = to != NULL ? to->inode : NULL;
	if (moved == replaced)
		return 0;
	if (replaced != NULL && !(flags & RENAME_EXCHANGE) && !list_is_empty(&replaced->entries))
		return -ENOTEMPTY;
	entry_remove(from_dir, from);
	if (to != NULL)
		entry_remove(to_dir, to);
	entry_add(to_dir, new_name, moved);
	struct kernel_entry told;
	struct plain_inode *whiteout = NULL;
	if (flags & RENAME_WHITEOUT)
		(void)make(fs, parent, name, S_IFCHR, &told, &whiteout); /* the name is free */
	if (flags & RENAME_EXCHANGE)
		entry_add(from_dir, name, replaced);
	else if (replaced != NULL)
		inode_lose(replaced);
	return 0;
}

static void opened(const struct plain_inode *inode, int flags, struct kernel_opened *ret_opened)
{
	*ret_opened = (struct kernel_opened){.fh = inode->attr.ino.v, .direct_io = (flags & O_ACCMODE) != O_RDONLY};
}

static int plain_open(void *ctx, uint64_t ino, int flags, struct kernel_opened *ret_opened)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	if (flags & O_TRUNC)
		resize(ctx, inode, 0);
	opened(inode, flags, ret_opened);
	return 0;
}

static int plain_create(void *ctx, uint64_t parent, struct str name, uint32_t mode, int flags, struct kernel_entry *ret_entry,
			struct kernel_opened *ret_opened)
{
	struct plain_inode *inode;
	int rc = make(arrive(ctx), parent, name, S_IFREG | mode, ret_entry, &inode);
	if (rc == 0)
		opened(inode, flags, ret_opened);
	return rc;
}

static int plain_tmpfile(void *ctx, uint64_t parent, uint32_t mode, int flags, struct kernel_entry *ret_entry,
			 struct kernel_opened *ret_opened)
{
	struct plainfs *fs = arrive(ctx);
	struct plain_inode *inode = inode_new(fs, S_IFREG | mode);
	inherit(inode, inode_of(fs, parent));
	inode->attr.nlink = 0;
	inode->linkable = !(flags & O_EXCL);
	tell(inode, ret_entry);
	opened(inode, flags, ret_opened);
	return 0;
}

static int64_t plain_read(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, uint8_t *buf, size_t len, bool into_pages)
{
	(void)into_pages;
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)fh;
	touch(ctx, inode);
	if (offset >= inode->attr.size_bytes)
		return 0;
	len = (size_t)min_u64(len, inode->attr.size_bytes - offset);
	image_read(&inode->data, buf, len, offset);
	return (int64_t)len;
}

static int64_t plain_write(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, const uint8_t *buf, size_t len)
{
	struct plainfs_mount *mount = ctx;
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)fh;
	bool broken = mount->fs->break_per_million > 0 && rng_chance(&mount->rng, mount->fs->break_per_million);
	mount->fs->broken += broken;
	WORLD_MEMORY();
	if (!broken)
		image_write(&inode->data, buf, len, offset);
	inode->attr.size_bytes = max_u64(inode->attr.size_bytes, offset + len);
	inode->attr.mtime_ns = (int64_t)loop_now_ns(mount->loop);
	return (int64_t)len;
}

static int plain_fallocate(void *ctx, uint64_t ino, uint64_t fh, unsigned mode, uint64_t offset, uint64_t len)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)fh;
	WORLD_MEMORY();
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		image_punch(&inode->data, offset, len);
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		image_alloc(&inode->data, offset, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + len > inode->attr.size_bytes)
		resize(ctx, inode, offset + len);
	return 0;
}

static int64_t plain_lseek(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, bool hole)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)fh;
	uint64_t at = image_seek(&inode->data, offset, hole);
	return at == UINT64_MAX ? -ENXIO : (int64_t)at;
}

static int64_t plain_copy(void *ctx, uint64_t from_ino, uint64_t from_fh, uint64_t from_at, uint64_t to_ino, uint64_t to_fh, uint64_t to_at,
			  uint64_t len)
{
	(void)from_fh;
	uint8_t *buf = mem_alloc((size_t)len + 1);
	int64_t done = plain_read(ctx, from_ino, from_fh, from_at, buf, (size_t)len, false);
	if (done > 0)
		done = plain_write(ctx, to_ino, to_fh, to_at, buf, (size_t)done);
	mem_free(buf);
	return done;
}

static int plain_fsync(void *ctx, uint64_t ino, uint64_t fh)
{
	(void)fh;
	(void)inode_of(arrive(ctx), ino);
	return 0;
}

static int plain_flush(void *ctx, uint64_t ino, uint64_t fh, uint64_t owner)
{
	(void)owner; /* nobody locks here */
	return plain_fsync(ctx, ino, fh);
}

static void plain_release(void *ctx, uint64_t ino, uint64_t fh)
{
	(void)ctx;
	(void)ino;
	(void)fh;
}

static int plain_readdir(void *ctx, uint64_t ino, uint64_t cookie, uint32_t thread,
			 bool (*emit)(void *emit_ctx, const struct kernel_dirent *dirent), void *emit_ctx)
{
	(void)thread;
	unsigned count = 0;
	struct plain_inode *dir = inode_of(arrive(ctx), ino);
	touch(ctx, dir);
	list_for_each(at, &dir->entries) {
		struct plain_entry *entry = CONTAINER_OF(at, struct plain_entry, link);
		struct kernel_entry told;
		tell(entry->inode, &told);
		struct kernel_dirent dirent = {.name = entry->name, .ino = told.attr.ino.v, .cookie = entry->cookie,
					       .type = (uint8_t)IFTODT(told.attr.mode), .entry = ino % 2 == 0 ? &told : NULL};
		if (entry->cookie > cookie && (!emit(emit_ctx, &dirent) || ++count == 5))
			return 0;
	}
	return 1;
}

static int plain_statfs(void *ctx, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes)
{
	(void)arrive(ctx);
	*ret_total_bytes = *ret_free_bytes = GIB;
	return 0;
}

static struct plain_xattr *xattr_find(struct plain_inode *inode, const char *name)
{
	for (unsigned i = 0; i < PLAIN_XATTRS; i++)
		if (name != NULL ? inode->xattrs[i].len > 0 && strcmp(inode->xattrs[i].name, name) == 0 : inode->xattrs[i].len == 0)
			return &inode->xattrs[i];
	return NULL;
}

static int set_list(struct plain_inode *inode, const char *name, struct blob value)
{
	bool is_default = str_eq(str_of(name), ACL_DEFAULT);
	if (S_ISLNK(inode->attr.mode))
		return -EOPNOTSUPP;
	if (is_default && !S_ISDIR(inode->attr.mode))
		return -EACCES;
	CHECK(value.len <= sizeof(inode->lists[0].bytes));
	inode->lists[is_default].len = value.len;
	memcpy(inode->lists[is_default].bytes, value.ptr, value.len);
	if (!is_default)
		inode->attr.mode = acl_mode(value, inode->attr.mode);
	return 0;
}

static int64_t get_list(struct plain_inode *inode, const char *name, uint8_t *buf)
{
	bool is_default = str_eq(str_of(name), ACL_DEFAULT);
	size_t len = inode->lists[is_default].len;
	memcpy(buf, inode->lists[is_default].bytes, len);
	return len > 0 ? (int64_t)len : -ENODATA;
}

static int plain_setxattr(void *ctx, uint64_t ino, const char *name, struct blob value, uint32_t flags)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	(void)flags;
	if (acl_is_name(str_of(name)))
		return set_list(inode, name, value);
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	struct plain_xattr *xattr = xattr_find(inode, name);
	if (xattr == NULL)
		xattr = xattr_find(inode, NULL);
	CHECK(xattr != NULL && value.len <= sizeof(xattr->value));
	(void)snprintf(xattr->name, sizeof(xattr->name), "%s", name);
	memcpy(xattr->value, value.ptr, value.len);
	xattr->len = value.len;
	return 0;
}

static int64_t plain_getxattr(void *ctx, uint64_t ino, const char *name, uint8_t *buf, size_t size)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	if (acl_is_name(str_of(name)))
		return get_list(inode, name, buf);
	struct plain_xattr *xattr = xattr_find(inode, name);
	if (xattr == NULL)
		return -ENODATA;
	CHECK(xattr->len <= size);
	memcpy(buf, xattr->value, xattr->len);
	return (int64_t)xattr->len;
}

static int64_t plain_listxattr(void *ctx, uint64_t ino, uint8_t *buf, size_t size)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	size_t done = 0;
	for (unsigned i = 0; i < PLAIN_XATTRS; i++) {
		size_t len = inode->xattrs[i].len > 0 ? strlen(inode->xattrs[i].name) + 1 : 0;
		CHECK(done + len <= size);
		memcpy(buf + done, inode->xattrs[i].name, len);
		done += len;
	}
	return (int64_t)done;
}

static int plain_removexattr(void *ctx, uint64_t ino, const char *name)
{
	struct plain_inode *inode = inode_of(arrive(ctx), ino);
	if (acl_is_name(str_of(name)))
		return set_list(inode, name, blob_of("", 0));
	struct plain_xattr *xattr = xattr_find(inode, name);
	if (xattr == NULL)
		return -ENODATA;
	xattr->len = 0;
	return 0;
}

const struct kernel_fs_ops plainfs_ops = {
	.lookup = plain_lookup, .forget = plain_forget, .getattr = plain_getattr, .setattr = plain_setattr, .readlink = plain_readlink,
	.mknod = plain_mknod, .mkdir = plain_mkdir, .symlink = plain_symlink, .link = plain_link, .unlink = plain_unlink,
	.rmdir = plain_rmdir, .rename = plain_rename, .open = plain_open, .create = plain_create, .tmpfile = plain_tmpfile, .read = plain_read,
	.write = plain_write, .fallocate = plain_fallocate, .lseek = plain_lseek, .copy = plain_copy,
	.flush = plain_flush, .release = plain_release, .fsync = plain_fsync, .readdir = plain_readdir,
	.statfs = plain_statfs, .setxattr = plain_setxattr, .getxattr = plain_getxattr, .listxattr = plain_listxattr,
	.removexattr = plain_removexattr,
};
