/* SPDX-License-Identifier: Apache-2.0
 * readdir and ino_paths: what is found by scanning the store. A scan sees only what is durable, so it waits, under the directory's gate,
 * for the newest change of the directory. */
#include "mds/mds_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

enum {
	READDIR_BYTES_MAX = 60000, /* below the blob's limit */
	PLUS_COST_BYTES = 128,     /* of an entry, for the size of a scan */
	PLAIN_COST_BYTES = 32,
	SCAN_BYTES = 256 * 1024,
	PATHS_BYTES_MAX = 65536,
	PATH_BYTES_MAX = 4096,
	LINKS_MAX = 4096,
};

struct listing {
	struct operation *op;
	const struct readdir_req *req;
	struct wire_out out;
	size_t bytes_max;
	bool full;
};

/* Attributes and their lease, without the inode's gate: only while nobody has it who may be recalling leases, and would not know of this one. What
 * somebody else is writing is asked for one by one. Parks before it looks. */
static void add_attr(struct operation *op, struct ino ino, struct dirent_row *row)
{
	struct loaded *before = op->inodes;
	struct inode *inode = NULL;
	if (op_inode(op, ino, &inode) == 0 && !gate_is_exclusive(&op->mds->gates, ino) && !lease_size_is_elsewhere(op, ino)) {
		row->has_attr = 1;
		row->attr = inode_attr(op->mds, inode, op->client);
		struct lease lease = lease_grant(op, inode, false, LEASE_NONE);
		row->lease = lease.attr_mode != LEASE_NONE ? lease.number : 0;
	}
	op->inodes = before; /* it may have another name here, and change until then */
}

/* Entries of one bucket behind the cookie. False: the reply is full. */
static int list_bucket(struct listing *listing, const struct kv_pair *pair, struct bucket *bucket)
{
	struct operation *op = listing->op;
	struct key_parts parts;
	int rc = key_parse(pair->key, &parts);
	if (rc == 0)
		rc = bucket_decode(pair->value, bucket);
	if (rc < 0)
		return mds_corrupt(op->mds, pair->key, rc);
	for (uint32_t i = 0; i < bucket->count; i++) {
		const struct dentry *dentry = &bucket->entries[i];
		struct dirent_row row = {
			.cookie = cookie_make(parts.number, dentry->n),
			.ino = dentry->ino,
			.type = dentry->type,
			.name = dentry->name,
		};
		if (row.cookie <= listing->req->cookie)
			continue;
		if (wire_len(&listing->out) + DIRENT_ROW_BYTES_MAX > listing->bytes_max) {
			listing->full = true;
			return 0;
		}
		if (listing->req->plus)
			add_attr(op, dentry->ino, &row);
		dirent_row_put(&listing->out, &row);
	}
	return 0;
}

static void prefetch(struct operation *op, const struct kv_pair *pairs, size_t count, struct bucket *bucket)
{
	struct key *keys = arena_alloc(op->arena, (count + 1) * sizeof(*keys));
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (bucket_decode(pairs[i].value, bucket) == 0)
			keys[n++] = key_inode(bucket->entries[0].ino); /* further ones of a bucket are rare */
	txn_prefetch(&op->mds->txn, keys, n, op->arena);
}

int mds_op_readdir(struct operation *op, const struct readdir_req *req, struct readdir_rep *rep)
{
	struct inode *dir = NULL;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &dir);
	if (rc == -ESTALE)
		return fail(ENOENT); /* removed while open */
	if (rc == 0 && !S_ISDIR(dir->mode))
		return fail(ENOTDIR);
	if (rc == 0)
		rc = perm_check(&req->cred, dir, MAY_READ);
	if (rc < 0)
		return rc;
	struct listing listing = {.op = op, .req = req};
	listing.bytes_max = min_u64(max_u64(req->bytes_max, 2 * DIRENT_ROW_BYTES_MAX), READDIR_BYTES_MAX);
	listing.out = op_buffer(op, listing.bytes_max);
	size_t limit = listing.bytes_max / (req->plus ? PLUS_COST_BYTES : PLAIN_COST_BYTES) + 2;
	struct key start = key_dentry(req->ino, cookie_hash(req->cookie)), end = key_end(key_of(TABLE_dentry, req->ino));
	struct bucket *bucket = arena_alloc(op->arena, sizeof(*bucket));
	struct kv_pair *pairs = NULL;
	bool more = false;
	int count = op_scan(op, dir, start, end, limit, SCAN_BYTES, &pairs, &more);
	if (count < 0)
		return count;
	if (req->plus)
		prefetch(op, pairs, (size_t)count, bucket);
	for (int i = 0; i < count && !listing.full && rc == 0; i++)
		rc = list_bucket(&listing, &pairs[i], bucket);
	if (rc < 0)
		return rc;
	rep->entries = blob_of(listing.out.base, wire_len(&listing.out));
	rep->end = !listing.full && !more;
	rep->parent = dir->parent;
	rep->lease = lease_grant(op, dir, true, LEASE_NONE);
	return listing.out.err;
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

/* The names of an inode: (directory, name) pairs. Parks. */
static int names_of(struct operation *op, struct inode *inode, struct kv_pair **ret_pairs)
{
	struct key prefix = key_of(TABLE_backptr, inode->ino);
	bool more = false;
	return op_scan(op, inode, prefix, key_end(prefix), LINKS_MAX, SCAN_BYTES, ret_pairs, &more);
}

/* Put "dir's path/" in front, from the right end of `path` to the left. Parks. */
static int climb(struct operation *op, struct ino dir, char *path, size_t *at)
{
	while (!ino_eq(dir, INO_ROOT)) {
		struct inode *inode = NULL;
		struct kv_pair *pairs = NULL;
		struct blob name;
		struct key_parts parts;
		int rc = op_inode(op, dir, &inode);
		if (rc == 0)
			rc = names_of(op, inode, &pairs);
		if (rc == 0)
			return fail(ENOENT); /* no name: removed meanwhile */
		if (rc > 0)
			rc = text_decode(pairs[0].value, &name);
		if (rc == 0)
			rc = key_parse(pairs[0].key, &parts);
		if (rc < 0)
			return rc;
		if (*at < name.len + 1)
			return fail(ENAMETOOLONG);
		path[--*at] = '/';
		*at -= name.len;
		memcpy(path + *at, name.ptr, name.len);
		dir = parts.dir;
	}
	return 0;
}

int mds_op_ino_paths(struct operation *op, const struct ino_paths_req *req, struct ino_paths_rep *rep)
{
	struct inode *inode = NULL;
	struct kv_pair *pairs = NULL;
	if (req->cred.uid != 0)
		return fail(EPERM);
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == -ESTALE)
		return fail(ENOENT);
	int count = rc == 0 ? names_of(op, inode, &pairs) : rc;
	if (count < 0)
		return count;
	struct wire_out out = op_buffer(op, PATHS_BYTES_MAX);
	char *path = arena_alloc(op->arena, PATH_BYTES_MAX);
	if (ino_eq(req->ino, INO_ROOT)) {
		wire_put_u8(&out, 0);
		rep->count = 1;
	}
	for (int i = 0; i < count; i++) {
		struct key_parts parts;
		struct blob name;
		size_t at = PATH_BYTES_MAX;
		rc = key_parse(pairs[i].key, &parts);
		if (rc == 0)
			rc = text_decode(pairs[i].value, &name);
		if (rc < 0)
			return mds_corrupt(op->mds, pairs[i].key, rc);
		at -= name.len;
		memcpy(path + at, name.ptr, name.len);
		rc = climb(op, parts.dir, path, &at);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			return rc;
		wire_put_bytes(&out, path + at, PATH_BYTES_MAX - at);
		wire_put_u8(&out, 0);
		if (out.err < 0)
			break; /* as many as fit */
		rep->count++;
		rep->paths.len = wire_len(&out);
	}
	rep->paths = blob_of(out.base, rep->count > 0 && rep->paths.len == 0 ? 1 : rep->paths.len);
	return 0;
}
