/* SPDX-License-Identifier: Apache-2.0
 * Names and attributes: the dentry cache, path walking, and what changes directories. Open files and pages are in kernel_file.c. */
#include "tests/sim/kernel_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { ROOT_INO = 1 };

static uint64_t now_ns(const struct kernel *kernel)
{
	return loop_now_ns(kernel->loop);
}

static struct kinode *inode_find(struct kernel *kernel, uint64_t ino)
{
	struct map_node *node = map_first(&kernel->inodes, map_hash_u64(ino));
	for (; node != NULL; node = map_next(node)) {
		struct kinode *inode = CONTAINER_OF(node, struct kinode, node);
		if (inode->ino == ino)
			return inode;
	}
	return NULL;
}

static struct kinode *inode_get(struct kernel *kernel, uint64_t ino)
{
	struct kinode *inode = inode_find(kernel, ino);
	if (inode != NULL)
		return inode;
	inode = mem_alloc(sizeof(*inode));
	inode->ino = ino;
	map_init(&inode->pages);
	waitq_init(&inode->page_wait);
	waitq_init(&inode->rwsem.wait);
	map_insert(&kernel->inodes, &inode->node, map_hash_u64(ino));
	return inode;
}

struct kernel *kernel_new(struct loop *loop, uint64_t seed, const struct kernel_fs_ops *ops, void *ctx)
{
	struct kernel *kernel = mem_alloc(sizeof(*kernel));
	kernel->loop = loop;
	kernel->ops = ops;
	kernel->ctx = ctx;
	rng_init(&kernel->rng, seed);
	map_init(&kernel->inodes);
	list_init(&kernel->dentries);
	waitq_init(&kernel->rename_mutex.wait);
	kernel->has_epochs = seed % 4 != 0;
	kernel->root = inode_get(kernel, ROOT_INO);
	kernel->root->pins = 1;
	return kernel;
}

struct loop *kernel_loop(const struct kernel *kernel)
{
	return kernel->loop;
}

const struct kernel_counts *kernel_counts(const struct kernel *kernel)
{
	return &kernel->counts;
}

/* ---- locks ---------------------------------------------------------------------------------------------------- */

void krwsem_lock(struct kernel *kernel, struct krwsem *sem, bool exclusive)
{
	while (sem->writer || (exclusive && sem->readers > 0))
		(void)waitq_wait(&sem->wait, kernel->loop, UINT64_MAX); /* no deadline */
	if (exclusive)
		sem->writer = true;
	else
		sem->readers++;
}

void krwsem_unlock(struct krwsem *sem)
{
	if (sem->writer)
		sem->writer = false;
	else
		sem->readers--;
	waitq_wake_all(&sem->wait);
}

/* ---- attributes ----------------------------------------------------------------------------------------------- */

/* AUTO_INVAL_DATA: pages go when size or mtime changed behind the cache. */
void kinode_set_attr(struct kernel *kernel, struct kinode *inode, const struct attr *attr, uint64_t valid_ns)
{
	if (inode->has_attr && (inode->attr.mtime_ns != attr->mtime_ns || inode->attr.size_bytes != attr->size_bytes))
		kinode_drop_pages(kernel, inode, 0, UINT64_MAX);
	inode->attr = *attr;
	inode->has_attr = true;
	inode->attr_stamp = ++kernel->attr_stamps;
	inode->attr_version++; /* answers to older questions are ignored */
	inode->atime_stale = false;
	inode->attr_until_ns = now_ns(kernel) + valid_ns;
}

void kinode_inval_attr(struct kinode *inode)
{
	inode->attr_until_ns = 0;
}

void kinode_change_begin(struct kernel *kernel, struct kinode *inode, bool unstable)
{
	inode->size_unstable = unstable;
	if (kernel->ops->change != NULL)
		kernel->ops->change(kernel->ctx, inode->ino, true);
}

void kinode_change_end(struct kernel *kernel, struct kinode *inode)
{
	inode->size_unstable = false;
	if (kernel->ops->change != NULL)
		kernel->ops->change(kernel->ctx, inode->ino, false);
}

int kinode_refresh(struct kernel *kernel, struct kinode *inode, uint64_t fh, struct attr *ret_attr)
{
	if (inode->has_attr && inode->attr_until_ns > now_ns(kernel)) {
		kernel->counts.attr_hits++;
		*ret_attr = inode->attr;
		return 0;
	}
	uint64_t valid_ns, version = inode->attr_version;
	kernel->counts.requests++;
	inode->pins++;
	int rc = kernel->ops->getattr(kernel->ctx, inode->ino, fh, ret_attr, &valid_ns);
	inode->pins--;
	if (rc < 0)
		return rc;
	/* fuse_change_attributes: something was changed or invalidated meanwhile, so the answer may be older than that. stat shows it, and who reads goes on
	 * with what was known before. */
	if (version == inode->attr_version && !inode->size_unstable)
		kinode_set_attr(kernel, inode, ret_attr, valid_ns);
	return 0;
}

/* ---- entries -------------------------------------------------------------------------------------------------- */

static struct kdentry *dentry_find(struct kernel *kernel, struct kinode *dir, struct str name)
{
	list_for_each(at, &kernel->dentries) {
		struct kdentry *dentry = CONTAINER_OF(at, struct kdentry, link);
		if (dentry->dir == dir && str_eq(str_of(dentry->name), name))
			return dentry;
	}
	return NULL;
}

static void maybe_forget(struct kernel *kernel, struct kinode *inode)
{
	if (inode->pins > 0 || inode->dentries > 0 || inode->opens > 0 || inode->children > 0 || inode->lookups == 0)
		return;
	uint64_t lookups = inode->lookups, ino = inode->ino;
	kinode_drop_pages(kernel, inode, 0, UINT64_MAX);
	map_remove(&kernel->inodes, &inode->node);
	map_fini(&inode->pages);
	mem_free(inode);
	kernel->counts.forgets++;
	kernel->ops->forget(kernel->ctx, ino, lookups);
}

void kinode_put(struct kernel *kernel, struct kinode *inode)
{
	inode->pins--;
	maybe_forget(kernel, inode);
}

static void dentry_drop(struct kernel *kernel, struct kdentry *dentry)
{
	struct kinode *inode = dentry->inode, *dir = dentry->dir;
	list_remove(&dentry->link);
	mem_free(dentry);
	dir->children--;
	if (inode != NULL) {
		inode->dentries--;
		maybe_forget(kernel, inode);
	}
	maybe_forget(kernel, dir);
}

static bool dentry_is_valid(const struct kernel *kernel, const struct kdentry *dentry)
{
	return dentry != NULL && dentry->until_ns > now_ns(kernel) && dentry->epoch >= kernel->epoch;
}

/* inode NULL: there is no such name. */
static struct kdentry *dentry_add(struct kernel *kernel, struct kinode *dir, struct str name, struct kinode *inode, uint64_t valid_ns,
				  uint64_t epoch)
{
	struct kdentry *dentry = dentry_find(kernel, dir, name);
	struct kinode *old = NULL;
	if (dentry == NULL) {
		dentry = mem_alloc(sizeof(*dentry));
		memcpy(dentry->name, name.ptr, name.len);
		dentry->dir = dir;
		dir->children++;
		list_push_back(&kernel->dentries, &dentry->link);
	} else {
		old = dentry->inode;
	}
	dentry->until_ns = now_ns(kernel) + valid_ns;
	dentry->epoch = epoch;
	if (dentry->inode == inode)
		return dentry;
	dentry->inode = inode;
	if (inode != NULL)
		inode->dentries++;
	if (old != NULL) {
		old->dentries--;
		maybe_forget(kernel, old);
	}
	return dentry;
}

struct kinode *kernel_take_in(struct kernel *kernel, const struct kernel_entry *entry)
{
	struct kinode *inode = inode_get(kernel, entry->attr.ino.v);
	inode->lookups++;
	inode->pins++;
	kinode_set_attr(kernel, inode, &entry->attr, entry->attr_valid_ns);
	return inode;
}

uint64_t kernel_attr_version(struct kernel *kernel, uint64_t ino)
{
	const struct kinode *inode = inode_find(kernel, ino);
	return inode != NULL ? inode->attr_version : 0;
}

struct kinode *kernel_instantiate_late(struct kernel *kernel, struct kinode *dir, struct str name, const struct kernel_entry *entry,
				       uint64_t stamp, uint64_t version)
{
	struct kinode *inode = inode_find(kernel, entry->attr.ino.v);
	if (inode == NULL || (inode->attr_stamp <= stamp && inode->attr_version == version))
		return kernel_instantiate(kernel, dir, name, entry, kernel->epoch);
	inode->lookups++;
	inode->pins++;
	(void)dentry_add(kernel, dir, name, inode, entry->entry_valid_ns, kernel->epoch);
	return inode;
}

/* The same with its name. */
struct kinode *kernel_instantiate(struct kernel *kernel, struct kinode *dir, struct str name, const struct kernel_entry *entry,
				  uint64_t epoch)
{
	struct kinode *inode = kernel_take_in(kernel, entry);
	(void)dentry_add(kernel, dir, name, inode, entry->entry_valid_ns, epoch);
	return inode;
}

/* The inode of an entry, pinned. The directory is locked by the caller: at least shared. */
int kernel_lookup(struct kernel *kernel, struct kinode *dir, struct str name, struct kinode **ret_inode)
{
	struct kdentry *dentry = dentry_find(kernel, dir, name);
	if (dentry_is_valid(kernel, dentry)) {
		if (dentry->inode == NULL) {
			kernel->counts.absent_hits++;
			return -ENOENT;
		}
		kernel->counts.entry_hits++;
		dentry->inode->pins++;
		*ret_inode = dentry->inode;
		return 0;
	}
	struct kernel_entry entry;
	uint64_t epoch = kernel->epoch;
	kernel->counts.requests++;
	int rc = kernel->ops->lookup(kernel->ctx, dir->ino, name, &entry);
	if (rc == 0 && entry.attr.ino.v == 0) {
		(void)dentry_add(kernel, dir, name, NULL, entry.entry_valid_ns, epoch);
		return -ENOENT;
	}
	if (rc < 0) {
		dentry = dentry_find(kernel, dir, name);
		if (dentry != NULL && rc == -ENOENT)
			dentry_drop(kernel, dentry);
		return rc;
	}
	*ret_inode = kernel_instantiate(kernel, dir, name, &entry, epoch);
	return 0;
}

static int lookup_locked(struct kernel *kernel, struct kinode *dir, struct str name, struct kinode **ret_inode)
{
	if (!S_ISDIR(dir->attr.mode) && dir != kernel->root)
		return S_ISLNK(dir->attr.mode) ? -ELOOP : -ENOTDIR;
	struct kdentry *dentry = dentry_find(kernel, dir, name);
	bool locked = !dentry_is_valid(kernel, dentry);
	if (locked)
		krwsem_lock(kernel, &dir->rwsem, false);
	int rc = kernel_lookup(kernel, dir, name, ret_inode);
	if (locked)
		krwsem_unlock(&dir->rwsem);
	return rc;
}

/* The directory of the last component, pinned, and that component. */
int kernel_walk_parent(struct kernel *kernel, const char *path, struct kinode **ret_dir, struct str *ret_name)
{
	struct kinode *dir = kernel->root;
	dir->pins++;
	for (;;) {
		const char *slash = strchr(path, '/');
		if (slash == NULL)
			break;
		struct kinode *next = NULL;
		int rc = lookup_locked(kernel, dir, (struct str){path, (size_t)(slash - path)}, &next);
		kinode_put(kernel, dir);
		if (rc < 0)
			return rc;
		dir = next;
		path = slash + 1;
	}
	if (!S_ISDIR(dir->attr.mode) && dir != kernel->root) {
		int rc = S_ISLNK(dir->attr.mode) ? -ELOOP : -ENOTDIR;
		kinode_put(kernel, dir);
		return rc;
	}
	*ret_dir = dir;
	*ret_name = str_of(path);
	return 0;
}

int kernel_walk(struct kernel *kernel, const char *path, struct kinode **ret_inode)
{
	struct kinode *dir;
	struct str name;
	if (path[0] == '\0') {
		kernel->root->pins++;
		*ret_inode = kernel->root;
		return 0;
	}
	int rc = kernel_walk_parent(kernel, path, &dir, &name);
	if (rc < 0)
		return rc;
	rc = lookup_locked(kernel, dir, name, ret_inode);
	kinode_put(kernel, dir);
	return rc;
}

void kernel_expire(struct kernel *kernel, const char *path)
{
	struct kinode *dir = kernel->root;
	while (dir != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");
		struct kdentry *dentry = dentry_find(kernel, dir, (struct str){path, len});
		if (dentry != NULL)
			dentry->until_ns = 0;
		dir = dentry != NULL ? dentry->inode : NULL;
		path += len + (path[len] == '/');
	}
}

/* A directory and a name in it, the directory locked for change; leave with parent_leave. */
static int parent_enter(struct kernel *kernel, const char *path, struct kinode **ret_dir, struct str *ret_name)
{
	int rc = kernel_walk_parent(kernel, path, ret_dir, ret_name);
	if (rc < 0)
		return rc;
	krwsem_lock(kernel, &(*ret_dir)->rwsem, true);
	return 0;
}

static void parent_leave(struct kernel *kernel, struct kinode *dir)
{
	krwsem_unlock(&dir->rwsem);
	kinode_put(kernel, dir);
}

static void dir_changed(struct kinode *dir)
{
	dir->attr_version++;
	kinode_inval_attr(dir);
}

/* -EEXIST if the name is there. */
static int must_be_new(struct kernel *kernel, struct kinode *dir, struct str name)
{
	struct kinode *old = NULL;
	int rc = name.len == 0 ? -EEXIST : kernel_lookup(kernel, dir, name, &old);
	if (rc == 0)
		kinode_put(kernel, old);
	return rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
}

enum make_kind { MAKE_NODE, MAKE_DIR, MAKE_SYMLINK };

static int make(struct kernel *kernel, enum make_kind kind, const char *path, uint32_t mode, const char *target)
{
	struct kinode *dir;
	struct str name;
	struct kernel_entry entry;
	int rc = parent_enter(kernel, path, &dir, &name);
	if (rc < 0)
		return rc;
	rc = must_be_new(kernel, dir, name);
	uint64_t epoch = kernel->epoch;
	if (rc == 0) {
		kernel->counts.requests++;
		if (kind == MAKE_DIR)
			rc = kernel->ops->mkdir(kernel->ctx, dir->ino, name, mode, &entry);
		else if (kind == MAKE_NODE)
			rc = kernel->ops->mknod(kernel->ctx, dir->ino, name, mode, &entry);
		else
			rc = kernel->ops->symlink(kernel->ctx, dir->ino, name, str_of(target), &entry);
		dir_changed(dir);
	}
	if (rc == 0)
		kinode_put(kernel, kernel_instantiate(kernel, dir, name, &entry, epoch));
	parent_leave(kernel, dir);
	return rc;
}

int kernel_mknod(struct kernel *kernel, const char *path, uint32_t mode)
{
	return make(kernel, MAKE_NODE, path, mode, NULL);
}

int kernel_mkdir(struct kernel *kernel, const char *path, uint32_t mode)
{
	return make(kernel, MAKE_DIR, path, mode, NULL);
}

int kernel_symlink(struct kernel *kernel, const char *target, const char *path)
{
	return make(kernel, MAKE_SYMLINK, path, 0777, target);
}

/* Whether one without names may get one is left to the file system: Linux remembers it of each inode, too. */
int kernel_link_inode(struct kernel *kernel, struct kinode *inode, const char *to)
{
	struct kinode *dir;
	struct str name;
	struct kernel_entry entry;
	int rc = parent_enter(kernel, to, &dir, &name);
	if (rc < 0)
		return rc;
	rc = must_be_new(kernel, dir, name);
	uint64_t epoch = kernel->epoch;
	if (rc == 0 && S_ISDIR(inode->attr.mode))
		rc = -EPERM;
	if (rc == 0) {
		kernel->counts.requests++;
		rc = kernel->ops->link(kernel->ctx, inode->ino, dir->ino, name, &entry);
		dir_changed(dir);
		inode->attr_version++;
		kinode_inval_attr(inode);
	}
	if (rc == 0)
		kinode_put(kernel, kernel_instantiate(kernel, dir, name, &entry, epoch));
	parent_leave(kernel, dir);
	return rc;
}

int kernel_link(struct kernel *kernel, const char *path, const char *to)
{
	struct kinode *inode;
	int rc = kernel_walk(kernel, path, &inode);
	if (rc < 0)
		return rc;
	rc = kernel_link_inode(kernel, inode, to);
	kinode_put(kernel, inode);
	return rc;
}

static int remove_name(struct kernel *kernel, const char *path, bool is_rmdir)
{
	struct kinode *dir, *inode = NULL;
	struct str name;
	int rc = parent_enter(kernel, path, &dir, &name);
	if (rc < 0)
		return rc;
	rc = kernel_lookup(kernel, dir, name, &inode);
	if (rc == 0) {
		bool is_dir = S_ISDIR(inode->attr.mode);
		rc = is_rmdir && !is_dir ? -ENOTDIR : !is_rmdir && is_dir ? -EISDIR : 0;
		if (rc == 0) {
			kernel->counts.requests++;
			rc = is_rmdir ? kernel->ops->rmdir(kernel->ctx, dir->ino, name) :
					kernel->ops->unlink(kernel->ctx, dir->ino, name);
			dir_changed(dir);
			inode->attr_version++;
			kinode_inval_attr(inode);
		}
		struct kdentry *dentry = dentry_find(kernel, dir, name);
		if (dentry != NULL && (rc == 0 || rc == -ENOENT))
			dentry_drop(kernel, dentry);
		else if (dentry != NULL)
			dentry->until_ns = 0; /* FUSE asks again after any error */
		kinode_put(kernel, inode);
	}
	parent_leave(kernel, dir);
	return rc;
}

int kernel_unlink(struct kernel *kernel, const char *path)
{
	return remove_name(kernel, path, false);
}

int kernel_rmdir(struct kernel *kernel, const char *path)
{
	return remove_name(kernel, path, true);
}

static bool is_above(struct kernel *kernel, const struct kinode *upper, struct kinode *lower)
{
	for (int depth = 0; depth < 64 && lower != NULL; depth++) {
		if (lower == upper)
			return true;
		struct kinode *parent = NULL;
		list_for_each(at, &kernel->dentries) {
			struct kdentry *dentry = CONTAINER_OF(at, struct kdentry, link);
			if (dentry->inode != NULL && dentry->inode == lower && S_ISDIR(lower->attr.mode))
				parent = dentry->dir;
		}
		lower = parent;
	}
	return false;
}

struct rename_side {
	struct kinode *dir, *inode; /* inode: NULL if there is none */
	struct str name;
};

/* What VFS itself finds wrong, in its order. */
static int rename_check(struct kernel *kernel, const struct rename_side *from, const struct rename_side *to, uint32_t flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	if (from->inode == NULL)
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && to->inode != NULL)
		return -EEXIST;
	if (exchange && to->inode == NULL)
		return -ENOENT;
	if (is_above(kernel, from->inode, to->dir))
		return -EINVAL;
	if (to->inode != NULL && is_above(kernel, to->inode, from->dir))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (from->inode == to->inode || to->inode == NULL || exchange)
		return 0;
	if (S_ISDIR(from->inode->attr.mode) && !S_ISDIR(to->inode->attr.mode))
		return -ENOTDIR;
	return !S_ISDIR(from->inode->attr.mode) && S_ISDIR(to->inode->attr.mode) ? -EISDIR : 0;
}

static void rename_done(struct kernel *kernel, const struct rename_side *from, const struct rename_side *to, uint32_t flags)
{
	struct kdentry *moved = dentry_find(kernel, from->dir, from->name), *replaced = dentry_find(kernel, to->dir, to->name);
	struct kdentry old_moved = moved != NULL ? *moved : (struct kdentry){0};
	struct kdentry old_replaced = replaced != NULL ? *replaced : (struct kdentry){0};
	if (moved != NULL)
		dentry_drop(kernel, moved);
	if (replaced != NULL)
		dentry_drop(kernel, replaced);
	uint64_t now = now_ns(kernel);
	if (moved != NULL)
		(void)dentry_add(kernel, to->dir, to->name, from->inode, old_moved.until_ns - min_u64(old_moved.until_ns, now), old_moved.epoch);
	if ((flags & RENAME_EXCHANGE) && replaced != NULL)
		(void)dentry_add(kernel, from->dir, from->name, to->inode, old_replaced.until_ns - min_u64(old_replaced.until_ns, now),
				 old_replaced.epoch);
}

static int rename_locked(struct kernel *kernel, struct rename_side *from, struct rename_side *to, uint32_t flags)
{
	int rc = kernel_lookup(kernel, from->dir, from->name, &from->inode);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = kernel_lookup(kernel, to->dir, to->name, &to->inode);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = rename_check(kernel, from, to, flags);
	kernel->counts.renames_to_self += rc == 0 && from->inode == to->inode;
	if (rc < 0 || from->inode == to->inode)
		return rc;
	kernel->counts.requests++;
	rc = kernel->ops->rename(kernel->ctx, from->dir->ino, from->name, to->dir->ino, to->name, flags);
	dir_changed(from->dir);
	dir_changed(to->dir);
	from->inode->attr_version++;
	kinode_inval_attr(from->inode);
	if (to->inode != NULL) {
		to->inode->attr_version++;
		kinode_inval_attr(to->inode);
	}
	if (rc == 0) {
		rename_done(kernel, from, to, flags);
	} else {
		struct kdentry *dentry = dentry_find(kernel, from->dir, from->name);
		if (dentry != NULL)
			dentry->until_ns = 0;
		dentry = dentry_find(kernel, to->dir, to->name);
		if (dentry != NULL)
			dentry->until_ns = 0;
	}
	return rc;
}

int kernel_rename(struct kernel *kernel, const char *from_path, const char *to_path, uint32_t flags)
{
	struct rename_side from = {0}, to = {0};
	int rc = kernel_walk_parent(kernel, from_path, &from.dir, &from.name);
	if (rc < 0)
		return rc;
	rc = kernel_walk_parent(kernel, to_path, &to.dir, &to.name);
	if (rc < 0) {
		kinode_put(kernel, from.dir);
		return rc;
	}
	krwsem_lock(kernel, &kernel->rename_mutex, true);
	struct kinode *first = from.dir->ino < to.dir->ino ? from.dir : to.dir;
	struct kinode *second = first == from.dir ? to.dir : from.dir;
	krwsem_lock(kernel, &first->rwsem, true);
	if (first != second)
		krwsem_lock(kernel, &second->rwsem, true);
	rc = rename_locked(kernel, &from, &to, flags);
	if (first != second)
		krwsem_unlock(&second->rwsem);
	krwsem_unlock(&first->rwsem);
	krwsem_unlock(&kernel->rename_mutex);
	if (from.inode != NULL)
		kinode_put(kernel, from.inode);
	if (to.inode != NULL)
		kinode_put(kernel, to.inode);
	kinode_put(kernel, from.dir);
	kinode_put(kernel, to.dir);
	return rc;
}

/* ---- the file system calls us, and memory pressure ------------------------------------------------------------ */

int kernel_inval_inode(struct kernel *kernel, uint64_t ino, uint64_t offset, uint64_t len, bool again)
{
	struct kinode *inode = inode_find(kernel, ino);
	if (inode == NULL)
		return -ENOENT;
	if (!again) {
		kernel->counts.invalidations++;
		inode->attr_version++;
		kinode_inval_attr(inode);
		/* Those that are locked go when they are unlocked; what is read behind our back stays. */
		kinode_drop_pages(kernel, inode, offset, len == 0 ? UINT64_MAX : offset + len);
	}
	return inode->pages_awaited > 0 ? -EAGAIN : 0;
}

int kernel_inval_attr(struct kernel *kernel, uint64_t ino)
{
	struct kinode *inode = inode_find(kernel, ino);
	if (inode == NULL)
		return -ENOENT;
	kernel->counts.invalidations++;
	inode->attr_version++;
	kinode_inval_attr(inode);
	return 0;
}

int kernel_inval_epoch(struct kernel *kernel)
{
	if (!kernel->has_epochs)
		return -ENOSYS;
	kernel->epoch++;
	return 0;
}

int kernel_size(struct kernel *kernel, uint64_t ino, uint64_t *ret_size_bytes)
{
	const struct kinode *inode = inode_find(kernel, ino);
	if (inode == NULL)
		return -ENOENT;
	*ret_size_bytes = inode->attr.size_bytes;
	return 0;
}

void kernel_ask(struct kernel *kernel, uint64_t ino)
{
	struct kinode *inode = inode_find(kernel, ino);
	struct attr attr;
	if (inode == NULL || inode->size_unstable || kernel->ops->getattr_known(kernel->ctx, ino, &attr) < 0)
		return;
	kernel->counts.requests++;
	kinode_set_attr(kernel, inode, &attr, 0);
}

int kernel_inval_entry(struct kernel *kernel, uint64_t parent, struct str name)
{
	struct kinode *dir = inode_find(kernel, parent);
	if (dir == NULL)
		return -ENOENT;
	if (dir->rwsem.writer || dir->rwsem.readers > 0)
		return -EAGAIN;
	struct kdentry *dentry = dentry_find(kernel, dir, name);
	if (dentry == NULL)
		return -ENOENT;
	kernel->counts.invalidations++;
	dentry->until_ns = 0;
	kinode_inval_attr(dir);
	return 0;
}

void kernel_shrink(struct kernel *kernel)
{
	list_for_each_safe(at, tmp, &kernel->dentries) {
		struct kdentry *dentry = CONTAINER_OF(at, struct kdentry, link);
		const struct kinode *inode = dentry->inode;
		if ((inode == NULL || (inode->pins == 0 && inode->children == 0 && inode->opens == 0)) && dentry->dir->pins == 0 &&
		    !dentry->dir->rwsem.writer && rng_chance(&kernel->rng, 500000))
			dentry_drop(kernel, dentry);
	}
}
