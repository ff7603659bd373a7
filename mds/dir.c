/* SPDX-License-Identifier: Apache-2.0
 * Directory entries: finding, adding, removing, and what becomes of an inode that loses its last name. */
#include "mds/mds_impl.h"
#include "common/base/check.h"

#include <dirent.h>
#include <sys/stat.h>

int name_check(struct str name)
{
	if (name.len == 0)
		return fail(ENOENT);
	if (name.len > NAME_BYTES_MAX)
		return fail(ENAMETOOLONG);
	if (memchr(name.ptr, '/', name.len) != NULL || memchr(name.ptr, 0, name.len) != NULL)
		return fail(EINVAL);
	return 0;
}

bool name_is_dots(struct str name)
{
	return str_eq(name, STR(".")) || str_eq(name, STR(".."));
}

static int bucket_load(struct operation *op, struct ino dir, struct str name, struct entry *entry)
{
	entry->name = name;
	entry->hash = name_hash(&op->mds->sb, name);
	entry->bucket = arena_alloc(op->arena, sizeof(*entry->bucket));
	entry->at = -1;
	int rc = op_load(op, key_dentry(dir, entry->hash), &entry->rec);
	if (rc < 0 || !entry->rec->present)
		return rc;
	rc = bucket_decode(blob_of(arena_dup(op->arena, entry->rec->value.ptr, entry->rec->value.len), entry->rec->value.len),
			   entry->bucket);
	if (rc < 0)
		return mds_corrupt(op->mds, blob_of(entry->rec->key, entry->rec->key_len), rc);
	entry->at = bucket_find(entry->bucket, name);
	return 0;
}

int entry_guess(struct operation *op, struct ino dir, struct str name, struct ino *ret_child)
{
	struct entry entry = {0};
	if (ino_shard(dir) >= op->mds->sb.shard_count)
		return fail(ENOENT);
	int rc = bucket_load(op, dir, name, &entry);
	if (rc == 0)
		*ret_child = entry.at >= 0 ? entry.bucket->entries[entry.at].ino : INO_NONE;
	return rc;
}

int entry_load(struct operation *op, struct ino dir, struct str name, struct entry *ret_entry)
{
	struct entry entry = {0};
	int rc = op_inode(op, dir, &entry.dir);
	if (rc == -ESTALE)
		return fail(ENOENT);
	if (rc < 0)
		return rc;
	if (!S_ISDIR(entry.dir->mode))
		return fail(ENOTDIR);
	rc = bucket_load(op, dir, name, &entry);
	if (rc < 0)
		return rc;
	if (entry.at >= 0) {
		rc = op_inode(op, entry.bucket->entries[entry.at].ino, &entry.child);
		if (rc == -ESTALE) /* a name without an inode */
			return mds_corrupt(op->mds, blob_of(entry.rec->key, entry.rec->key_len), fail(ERR_corrupt));
		if (rc < 0)
			return rc;
	}
	*ret_entry = entry;
	return 0;
}

int entry_enter(struct operation *op, struct ino dir, struct str name, enum gate_mode dir_mode,
		enum gate_mode child_mode, struct entry *ret_entry)
{
	struct ino guess = INO_NONE;
	op_step(op, "load");
	int rc = entry_guess(op, dir, name, &guess);
	while (rc == 0) {
		struct gate_want wants[2] = {{dir, dir_mode}, {guess, child_mode}};
		rc = op_gates(op, wants, guess.v != 0 ? 2 : 1);
		if (rc == 0)
			rc = entry_load(op, dir, name, ret_entry);
		if (rc < 0)
			break;
		struct ino child = ret_entry->child != NULL ? ret_entry->child->ino : INO_NONE;
		if (ino_eq(child, guess) || child.v == 0)
			break;
		guess = child; /* somebody was faster: the gates no longer fit */
	}
	return rc;
}

uint64_t entry_cookie(const struct entry *entry)
{
	return cookie_make(entry->hash, entry->bucket->entries[entry->at].n);
}

bool entry_has_room(const struct entry *entry)
{
	return entry->bucket->count < BUCKET_ENTRIES_MAX;
}

static uint8_t type_of(const struct inode *inode)
{
	return (uint8_t)((inode->mode & S_IFMT) >> 12); /* DT_* are S_IF* shifted */
}

static void bucket_save(struct operation *op, struct entry *entry)
{
	struct wire_out out = op_buffer(op, BUCKET_BYTES_MAX);
	if (entry->bucket->count > 0)
		bucket_encode(entry->bucket, &out);
	CHECK(out.err == 0);
	op_put_rec(op, entry->rec, blob_of(out.base, wire_len(&out)));
}

static void backptr_put(struct operation *op, const struct entry *entry, const struct inode *child)
{
	struct wire_out out = op_buffer(op, NAME_BYTES_MAX + 8);
	text_encode(blob_of(entry->name.ptr, entry->name.len), &out);
	op_put(op, key_backptr(child->ino, entry->dir->ino, entry_cookie(entry)), blob_of(out.base, wire_len(&out)));
}

void entry_add(struct operation *op, struct entry *entry, struct inode *child)
{
	uint8_t n = 0;
	op->mds->counters.hash_collisions += entry->bucket->count > 0;
	CHECK(bucket_add(entry->bucket, entry->name, child->ino, type_of(child), &n));
	entry->at = bucket_find(entry->bucket, entry->name);
	entry->child = child;
	bucket_save(op, entry);
	backptr_put(op, entry, child);
}

void entry_remove(struct operation *op, struct entry *entry)
{
	op_erase(op, key_backptr(entry->child->ino, entry->dir->ino, entry_cookie(entry)));
	bucket_remove(entry->bucket, entry->at);
	entry->at = -1;
	bucket_save(op, entry);
}

void entry_replace(struct operation *op, struct entry *entry, struct inode *child)
{
	struct dentry *dentry = &entry->bucket->entries[entry->at];
	op_erase(op, key_backptr(entry->child->ino, entry->dir->ino, entry_cookie(entry)));
	dentry->ino = child->ino;
	dentry->type = type_of(child);
	dentry->home = ino_shard(child->ino);
	entry->child = child;
	bucket_save(op, entry);
	backptr_put(op, entry, child);
}

void dir_touch(struct operation *op, struct inode *dir, int64_t entries)
{
	dir->mtime_ns = dir->ctime_ns = op->now_ns;
	dir->entries = (uint64_t)((int64_t)dir->entries + entries);
}

void inode_destroy(struct operation *op, struct inode *inode)
{
	struct file_state *file = file_find(&op->mds->sessions, inode->ino);
	while (file != NULL && !list_is_empty(&file->marks)) {
		uint64_t client = CONTAINER_OF(list_first(&file->marks), struct mark, link)->client;
		op_erase(op, key_writer(inode->ino, client));
		mark_remove(&op->mds->sessions, inode->ino, client);
		file = file_find(&op->mds->sessions, inode->ino);
	}
	lease_drop_inode(&op->mds->sessions, inode->ino); /* what is cached of it is asked for no more: numbers are never used again */
	if (S_ISLNK(inode->mode))
		op_erase(op, key_of(TABLE_symlink, inode->ino));
	inline_drop(op, inode);
	bool has_objects = (inode->flags & INODE_HAS_DATA) != 0 && inode->layout.len > 0;
	if (has_objects || inode->xattr_count > 0) {
		struct purge_record purge = {
			.has_xattrs = inode->xattr_count > 0,
			.layout = has_objects ? inode->layout : (struct blob){0},
		};
		struct wire_out out = op_buffer(op, WIRE_BYTES_BYTES_MAX + 16);
		purge_encode(&purge, &out);
		op_put(op, key_of(TABLE_purge, inode->ino), blob_of(out.base, wire_len(&out)));
		purge_add(op->mds, inode->ino);
	}
	op_inode_delete(op, inode);
}

bool inode_is_used(const struct mds *mds, const struct inode *inode)
{
	const struct file_state *file = file_find(&mds->sessions, inode->ino);
	if (file == NULL)
		return false;
	/* Who may write has data that is not written yet, or may be lost by its OST and sent again: it must not come after the purge. */
	const struct list *referring = S_ISREG(inode->mode) ? &file->marks : &file->holds;
	return !list_is_empty(&file->opens) || !list_is_empty(referring);
}

void inode_orphan(struct operation *op, const struct inode *inode)
{
	struct wire_out out = op_buffer(op, 16);
	number_encode(0, &out);
	op_put(op, key_of(TABLE_orphan, inode->ino), blob_of(out.base, wire_len(&out)));
	struct file_state *file = file_find(&op->mds->sessions, inode->ino);
	if (file != NULL)
		file->orphan = true;
	op->mds->counters.orphans_made++;
}

void inode_drop_link(struct operation *op, struct inode *inode, uint32_t links)
{
	inode->nlink -= (uint32_t)min_u64(links, inode->nlink);
	inode->ctime_ns = op->now_ns;
	if (inode->nlink > 0) {
		op_save(op, inode);
		return;
	}
	if (!inode_is_used(op->mds, inode)) {
		inode_destroy(op, inode);
		return;
	}
	inode_orphan(op, inode);
	op_save(op, inode);
	if (!file_is_open(&op->mds->sessions, inode->ino))
		orphan_look(op->mds, inode->ino);
}
