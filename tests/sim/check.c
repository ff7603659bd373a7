/* SPDX-License-Identifier: Apache-2.0
 * Checkers: what must be true of the stores when nothing goes on any more. They read them as they lie there, without any server.
 *
 *   tree        every inode but the root's has names; directories exactly one, in the directory that they call their parent, and are
 *               reached from the root; every name leads to an inode of the type that it says
 *   links       a file has as many names as its link count says; each name has its back pointer, each back pointer its name
 *   lists       an inode has the access lists that its flags say
 *   leftovers   no orphan, purge, truncate intent or writer mark; no extended attribute or symlink target without its inode
 *   layouts     a file has one, of the generation that the inode says
 *   objects     each object on an OST belongs to a file that lives */
#include "common/cluster/layout.h"
#include "mds/acl.h"
#include "mds/record.h"
#include "tests/sim/cluster.h"
#include "common/base/check.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct found {
	struct map_node node;
	struct inode inode;
	unsigned names, backptrs, inlines;
	uint64_t entries;
	bool reached, reaching;
};
struct checking {
	struct cluster *cluster;
	struct sim_store *store;
	struct map inodes;
	uint64_t objects, count;
};

static void wrong(struct checking *checking, struct blob key, const char *what)
{
	char text[KEY_TEXT_BYTES];
	key_to_text(key, text);
	world_fail(checking->cluster->world, "check: %s: %s", text, what);
}

static void wrong_inode(struct checking *checking, const struct inode *inode, const char *what)
{
	world_fail(checking->cluster->world, "check: inode %llx (mode %o, %u links, %llu bytes): %s", (unsigned long long)inode->ino.v,
		   inode->mode, inode->nlink, (unsigned long long)inode->size_bytes, what);
}

static struct found *found_of(struct checking *checking, struct ino ino)
{
	struct map_node *node = map_first(&checking->inodes, map_hash_u64(ino.v));
	for (; node != NULL; node = map_next(node)) {
		struct found *found = CONTAINER_OF(node, struct found, node);
		if (found->inode.ino.v == ino.v)
			return found;
	}
	return NULL;
}

/* ---- one record ----------------------------------------------------------------------------------------------- */

/* By their generation a client knows that it has the newest one. */
static bool layout_is_told_right(const struct inode *inode)
{
	CLEANUP(free_p) struct layout *layout = mem_alloc(sizeof(*layout));
	return layout_decode(inode->layout, layout) == 0 && layout->gen == inode->layout_gen;
}

static void take_inode(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	struct found *found = mem_alloc(sizeof(*found));
	if (inode_decode(parts->ino, pair->value, &found->inode) < 0)
		wrong(checking, pair->key, "does not decode");
	else if (S_ISREG(found->inode.mode) && !layout_is_told_right(&found->inode))
		wrong(checking, pair->key, "its layout is none, or of another generation than it says");
	found->inode.ino = parts->ino;
	map_insert(&checking->inodes, &found->node, map_hash_u64(parts->ino.v));
	checking->count++;
}

static void check_entry(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts, const struct dentry *dentry)
{
	struct found *dir = found_of(checking, parts->ino), *child = found_of(checking, dentry->ino);
	if (dir == NULL || !S_ISDIR(dir->inode.mode)) {
		wrong(checking, pair->key, "names in what is not a directory");
		return;
	}
	dir->entries++;
	if (child == NULL) {
		wrong(checking, pair->key, "a name leads nowhere");
		return;
	}
	child->names++;
	if (IFTODT(child->inode.mode) != dentry->type)
		wrong(checking, pair->key, "the type in a name is another than the inode's");
	if (S_ISDIR(child->inode.mode) && child->inode.parent.v != parts->ino.v)
		wrong(checking, pair->key, "a directory calls another its parent");
	struct key back = key_backptr(dentry->ino, parts->ino, parts->number << COOKIE_N_BITS | dentry->n);
	const struct kv_pair *found = sim_store_find(checking->store, key_blob(&back));
	struct blob name;
	if (found == NULL || text_decode(found->value, &name) < 0 || !str_eq((struct str){(const char *)name.ptr, name.len}, dentry->name))
		wrong(checking, pair->key, "a name has no back pointer that says the same");
}

static void check_bucket(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	static struct bucket bucket;
	if (bucket_decode(pair->value, &bucket) < 0) {
		wrong(checking, pair->key, "does not decode");
		return;
	}
	if (bucket.count == 0)
		wrong(checking, pair->key, "an empty bucket");
	for (uint32_t i = 0; i < bucket.count; i++)
		check_entry(checking, pair, parts, &bucket.entries[i]);
}

static void check_record(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	struct found *found = parts->table == TABLE_reply || parts->table == TABLE_numbers ? NULL : found_of(checking, parts->ino);
	switch (parts->table) {
	case TABLE_dentry:
		check_bucket(checking, pair, parts);
		break;
	case TABLE_backptr:
		if (found == NULL)
			wrong(checking, pair->key, "a back pointer of no inode");
		else
			found->backptrs++;
		break;
	case TABLE_inline:
		if (found == NULL || (found->inode.flags & INODE_INLINE) == 0)
			wrong(checking, pair->key, "data beside an inode that has its data elsewhere");
		else
			found->inlines++;
		break;
	case TABLE_xattr:
	case TABLE_symlink:
		if (found == NULL)
			wrong(checking, pair->key, "belongs to no inode");
		break;
	case TABLE_orphan:
	case TABLE_purge:
	case TABLE_truncate:
	case TABLE_writer:
		wrong(checking, pair->key, "is left over");
		break;
	default:
		break;
	}
}

/* ---- all records ---------------------------------------------------------------------------------------------- */

static void each_record(struct checking *checking, void (*visit)(struct checking *checking, const struct kv_pair *pair,
								  const struct key_parts *parts))
{
	struct blob after = {0};
	const struct kv_pair *pair;
	while ((pair = sim_store_next(checking->store, after)) != NULL) {
		struct key_parts parts;
		if (key_parse(pair->key, &parts) < 0)
			wrong(checking, pair->key, "no key of ours");
		else if (parts.shard != SHARD_STATE)
			visit(checking, pair, &parts);
		after = pair->key;
	}
}

static void visit_inode(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	if (parts->table == TABLE_inode)
		take_inode(checking, pair, parts);
}

static void visit_other(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	if (parts->table != TABLE_inode)
		check_record(checking, pair, parts);
}

static bool is_root(const struct inode *inode)
{
	return inode->parent.v == inode->ino.v;
}

static bool is_reached(struct checking *checking, struct found *dir)
{
	if (dir->reached || is_root(&dir->inode))
		return true;
	if (dir->reaching)
		return false; /* a ring */
	dir->reaching = true;
	struct found *parent = found_of(checking, dir->inode.parent);
	dir->reached = parent != NULL && is_reached(checking, parent);
	dir->reaching = false;
	return dir->reached;
}

static void check_list(struct checking *checking, const struct inode *inode, uint32_t flag, struct str name)
{
	struct key key = key_xattr(inode->ino, name);
	bool there = sim_store_find(checking->store, key_blob(&key)) != NULL;
	if (there != ((inode->flags & flag) != 0))
		wrong_inode(checking, inode, there ? "has an access list that it does not know of" : "an access list is missing");
}

static void check_inode(struct checking *checking, struct found *found)
{
	const struct inode *inode = &found->inode;
	if (S_ISDIR(inode->mode)) {
		if (!is_reached(checking, found))
			wrong_inode(checking, inode, "a directory that the root does not reach");
		if (!is_root(inode) && found->names != 1)
			wrong_inode(checking, inode, "a directory without one name");
		if (found->entries != inode->entries)
			wrong_inode(checking, inode, "it says another number of entries than it has");
	} else if (found->names != inode->nlink) {
		wrong_inode(checking, inode, found->names == 0 ? "no name leads here" : "another number of names than links");
	}
	check_list(checking, inode, INODE_HAS_ACL, ACL_ACCESS);
	check_list(checking, inode, INODE_HAS_DEFAULT_ACL, ACL_DEFAULT);
	if ((inode->flags & INODE_INLINE) != 0 && found->inlines != 1)
		wrong_inode(checking, inode, "its data should be beside it, and is not");
	if (!is_root(inode) && found->backptrs != found->names)
		wrong_inode(checking, inode, "another number of back pointers than names");
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

static void visit_object(void *ctx, const char *path, uint64_t size_bytes)
{
	struct checking *checking = ctx;
	char *end;
	(void)size_bytes;
	if (strncmp(path, "o/", 2) != 0 || strlen(path) <= 5)
		return;
	struct ino ino = {strtoull(path + 5, &end, 16)};
	if (*end != '.')
		return; /* a directory, or no object */
	checking->objects++;
	struct found *found = found_of(checking, ino);
	if (found == NULL)
		world_fail(checking->cluster->world, "check: object %s belongs to no inode", path);
	else if (!S_ISREG(found->inode.mode))
		wrong_inode(checking, &found->inode, "has an object and is no file");
}

/* ---- interface ------------------------------------------------------------------------------------------------ */

void check_stores(struct cluster *cluster)
{
	struct checking checking = {.cluster = cluster, .store = sim_node_store(cluster->mds.node)};
	map_init(&checking.inodes);
	each_record(&checking, visit_inode);
	each_record(&checking, visit_other);
	struct map_iter iter = map_iter_begin(&checking.inodes);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		check_inode(&checking, CONTAINER_OF(node, struct found, node));
	for (unsigned i = 0; i < cluster->ost_count; i++)
		sim_fs_each(sim_node_fs(cluster->osts[i].node), visit_object, &checking);
	world_note(cluster->world, NULL, "checked %llu inodes, %llu objects", (unsigned long long)checking.count,
		   (unsigned long long)checking.objects);
	if (checking.count == 0)
		world_fail(cluster->world, "check: there is no inode at all");
	iter = map_iter_begin(&checking.inodes);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		map_remove(&checking.inodes, node);
		mem_free(CONTAINER_OF(node, struct found, node));
	}
	map_fini(&checking.inodes);
}

static void visit_leftover(struct checking *checking, const struct kv_pair *pair, const struct key_parts *parts)
{
	(void)pair;
	checking->count += parts->table == TABLE_orphan || parts->table == TABLE_purge || parts->table == TABLE_truncate ||
			   parts->table == TABLE_writer;
}

bool check_is_quiet(struct cluster *cluster)
{
	struct checking checking = {.cluster = cluster, .store = sim_node_store(cluster->mds.node)};
	each_record(&checking, visit_leftover);
	return checking.count == 0;
}
