/* SPDX-License-Identifier: Apache-2.0
 * Records, encoded and checked. */
#include "mds/record.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- keys ----------------------------------------------------------------------------------------------------- */

static void key_u64(struct key *key, uint64_t v)
{
	store_be64(key->bytes + key->len, v);
	key->len = (uint16_t)(key->len + 8);
}

struct key key_table(uint16_t shard, enum record_table table)
{
	struct key key = {.len = 3};
	store_be16(key.bytes, shard);
	key.bytes[2] = (uint8_t)table;
	return key;
}

struct key key_of(enum record_table table, struct ino ino)
{
	struct key key = key_table(ino_shard(ino), table);
	key_u64(&key, ino.v);
	return key;
}

struct key key_inode(struct ino ino)
{
	return key_of(TABLE_inode, ino);
}

struct key key_dentry(struct ino dir, uint64_t hash)
{
	struct key key = key_of(TABLE_dentry, dir);
	key_u64(&key, hash);
	return key;
}

struct key key_backptr(struct ino ino, struct ino dir, uint64_t cookie)
{
	struct key key = key_of(TABLE_backptr, ino);
	key_u64(&key, dir.v);
	key_u64(&key, cookie);
	return key;
}

struct key key_xattr(struct ino ino, struct str name)
{
	struct key key = key_of(TABLE_xattr, ino);
	size_t len = min_u64(name.len, XATTR_NAME_BYTES_MAX);
	if (len > 0)
		memcpy(key.bytes + key.len, name.ptr, len);
	key.len = (uint16_t)(key.len + len);
	return key;
}

struct key key_writer(struct ino ino, uint64_t client)
{
	struct key key = key_of(TABLE_writer, ino);
	key_u64(&key, client);
	return key;
}

struct key key_reply(uint16_t shard, uint64_t client, uint64_t opno)
{
	struct key key = key_table(shard, TABLE_reply);
	key_u64(&key, client);
	key_u64(&key, opno);
	return key;
}

struct key key_numbers(uint16_t shard)
{
	return key_table(shard, TABLE_numbers);
}

struct key key_state(const char *name)
{
	struct key key = {.len = 2};
	store_be16(key.bytes, SHARD_STATE);
	size_t len = strnlen(name, 64);
	memcpy(key.bytes + 2, name, len);
	key.len = (uint16_t)(2 + len);
	return key;
}

struct key key_client(uint64_t client)
{
	struct key key = key_state("client.");
	key_u64(&key, client);
	return key;
}

struct key key_end(struct key prefix)
{
	while (prefix.len > 0 && prefix.bytes[prefix.len - 1] == 0xff)
		prefix.len--;
	if (prefix.len > 0)
		prefix.bytes[prefix.len - 1]++;
	return prefix;
}

struct key key_after(struct blob from)
{
	struct key key = {.len = (uint16_t)min_u64(from.len, KEY_BYTES_MAX)};
	memcpy(key.bytes, from.ptr, key.len);
	if (key.len == KEY_BYTES_MAX)
		return key_end(key); /* nothing is longer */
	key.bytes[key.len++] = 0;
	return key;
}

int key_parse(struct blob key, struct key_parts *ret_parts)
{
	struct key_parts parts = {0};
	if (key.len < 3 || key.len > KEY_BYTES_MAX)
		return fail(ERR_corrupt);
	parts.shard = load_be16(key.ptr);
	if (parts.shard == SHARD_STATE) {
		parts.name = (struct str){(const char *)key.ptr + 2, key.len - 2};
		*ret_parts = parts;
		return 0;
	}
	parts.table = key.ptr[2];
	const uint8_t *rest = key.ptr + 3;
	size_t left = key.len - 3, want = 8;
	if (parts.table == TABLE_numbers)
		want = 0;
	else if (parts.table == TABLE_dentry || parts.table == TABLE_writer || parts.table == TABLE_reply)
		want = 16;
	else if (parts.table == TABLE_backptr)
		want = 24;
	if (parts.table == TABLE_xattr ? left <= 8 : left != want)
		return fail(ERR_corrupt);
	if (parts.table == TABLE_reply) {
		parts.number = load_be64(rest);
		parts.opno = load_be64(rest + 8);
	} else if (want > 0) {
		parts.ino = (struct ino){load_be64(rest)};
		if (ino_shard(parts.ino) != parts.shard)
			return fail(ERR_corrupt);
	}
	if (parts.table == TABLE_dentry || parts.table == TABLE_writer)
		parts.number = load_be64(rest + 8);
	if (parts.table == TABLE_backptr) {
		parts.dir = (struct ino){load_be64(rest + 8)};
		parts.number = load_be64(rest + 16);
	}
	if (parts.table == TABLE_xattr)
		parts.name = (struct str){(const char *)rest + 8, left - 8};
	*ret_parts = parts;
	return 0;
}

void key_to_text(struct blob key, char ret_text[KEY_TEXT_BYTES])
{
	struct key_parts parts = {0};
	if (key_parse(key, &parts) < 0) {
		(void)snprintf(ret_text, KEY_TEXT_BYTES, "(a key of %zu bytes that is none of ours)", key.len);
	} else if (parts.shard == SHARD_STATE) {
		(void)snprintf(ret_text, KEY_TEXT_BYTES, "%.*s", (int)min_u64(parts.name.len, 16), parts.name.ptr);
	} else {
		char ino[INO_TEXT_BYTES];
		ino_to_text(parts.ino, ino);
		(void)snprintf(ret_text, KEY_TEXT_BYTES, "%c %s %" PRIx64 " %" PRIx64, parts.table, ino, parts.number, parts.opno);
	}
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static struct wire_in open_value(struct blob value)
{
	struct wire_in in = wire_in(value);
	if (wire_get_u8(&in) != RECORD_VERSION)
		wire_fail(&in);
	return in;
}

/* A record that does not decode is damage of the store, not a malformed message. */
static int close_value(const struct wire_in *in)
{
	return wire_done(in) < 0 ? fail(ERR_corrupt) : 0;
}

static void put_bytes16(struct wire_out *out, struct blob bytes)
{
	wire_put_u16(out, (uint16_t)bytes.len);
	wire_put_bytes(out, bytes.ptr, bytes.len);
}

static struct blob get_bytes16(struct wire_in *in)
{
	return wire_get_bytes(in, wire_get_u16(in));
}

void inode_encode(const struct inode *inode, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u32(out, inode->mode);
	wire_put_u32(out, inode->nlink);
	wire_put_u32(out, inode->uid);
	wire_put_u32(out, inode->gid);
	wire_put_u32(out, inode->rdev);
	wire_put_u16(out, (uint16_t)inode->flags);
	wire_put_u16(out, inode->atime_gen);
	wire_put_u64(out, inode->size_bytes);
	wire_put_u64(out, inode->blocks);
	wire_put_u64(out, (uint64_t)inode->atime_ns);
	wire_put_u64(out, (uint64_t)inode->mtime_ns);
	wire_put_u64(out, (uint64_t)inode->ctime_ns);
	wire_put_u64(out, (uint64_t)inode->btime_ns);
	wire_put_u64(out, (uint64_t)inode->modified_ns);
	wire_put_u32(out, inode->size_gen);
	wire_put_u32(out, inode->layout_gen);
	wire_put_u64(out, inode->change);
	wire_put_u64(out, inode->parent.v);
	wire_put_u64(out, inode->entries);
	wire_put_u32(out, inode->xattr_count);
	wire_put_u32(out, inode->xattr_bytes);
	put_bytes16(out, inode->layout);
	put_bytes16(out, inode->default_layout);
}

int inode_decode(struct ino ino, struct blob value, struct inode *ret_inode)
{
	struct wire_in in = open_value(value);
	struct inode inode = {.ino = ino};
	inode.mode = wire_get_u32(&in);
	inode.nlink = wire_get_u32(&in);
	inode.uid = wire_get_u32(&in);
	inode.gid = wire_get_u32(&in);
	inode.rdev = wire_get_u32(&in);
	inode.flags = wire_get_u16(&in);
	inode.atime_gen = wire_get_u16(&in);
	inode.size_bytes = wire_get_u64(&in);
	inode.blocks = wire_get_u64(&in);
	inode.atime_ns = (int64_t)wire_get_u64(&in);
	inode.mtime_ns = (int64_t)wire_get_u64(&in);
	inode.ctime_ns = (int64_t)wire_get_u64(&in);
	inode.btime_ns = (int64_t)wire_get_u64(&in);
	inode.modified_ns = (int64_t)wire_get_u64(&in);
	inode.size_gen = wire_get_u32(&in);
	inode.layout_gen = wire_get_u32(&in);
	inode.change = wire_get_u64(&in);
	inode.parent = (struct ino){wire_get_u64(&in)};
	inode.entries = wire_get_u64(&in);
	inode.xattr_count = wire_get_u32(&in);
	inode.xattr_bytes = wire_get_u32(&in);
	inode.layout = get_bytes16(&in);
	inode.default_layout = get_bytes16(&in);
	uint32_t type = inode.mode & S_IFMT;
	if (type == 0 || (inode.mode & ~(uint32_t)(S_IFMT | 07777)) != 0 || (type == S_IFDIR && inode.parent.v == 0))
		wire_fail(&in);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_inode = inode;
	return rc;
}

void bucket_encode(const struct bucket *bucket, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u8(out, (uint8_t)bucket->count);
	for (uint32_t i = 0; i < bucket->count; i++) {
		const struct dentry *entry = &bucket->entries[i];
		wire_put_u8(out, entry->n);
		wire_put_u8(out, entry->type);
		wire_put_u16(out, entry->home);
		wire_put_u64(out, entry->ino.v);
		wire_put_u8(out, (uint8_t)entry->name.len);
		wire_put_bytes(out, entry->name.ptr, entry->name.len);
	}
}

int bucket_decode(struct blob value, struct bucket *ret_bucket)
{
	struct wire_in in = open_value(value);
	ret_bucket->count = wire_get_u8(&in);
	if (ret_bucket->count == 0 || ret_bucket->count > BUCKET_ENTRIES_MAX)
		wire_fail(&in);
	for (uint32_t i = 0; i < ret_bucket->count && in.err == 0; i++) {
		struct dentry *entry = &ret_bucket->entries[i];
		entry->n = wire_get_u8(&in);
		entry->type = wire_get_u8(&in);
		entry->home = wire_get_u16(&in);
		entry->ino = (struct ino){wire_get_u64(&in)};
		struct blob name = wire_get_bytes(&in, wire_get_u8(&in));
		entry->name = (struct str){(const char *)name.ptr, name.len};
		if (name.len == 0 || entry->ino.v == 0 || entry->n >= BUCKET_ENTRIES_MAX ||
		    (i > 0 && entry->n <= ret_bucket->entries[i - 1].n))
			wire_fail(&in);
	}
	int rc = close_value(&in);
	if (rc < 0)
		ret_bucket->count = 0;
	return rc;
}

int bucket_find(const struct bucket *bucket, struct str name)
{
	for (uint32_t i = 0; i < bucket->count; i++)
		if (str_eq(bucket->entries[i].name, name))
			return (int)i;
	return -1;
}

bool bucket_add(struct bucket *bucket, struct str name, struct ino ino, uint8_t type, uint8_t *ret_n)
{
	if (bucket->count == BUCKET_ENTRIES_MAX)
		return false;
	uint32_t at = 0;
	while (at < bucket->count && bucket->entries[at].n == at)
		at++;
	memmove(&bucket->entries[at + 1], &bucket->entries[at], (bucket->count - at) * sizeof(bucket->entries[0]));
	bucket->entries[at] = (struct dentry){.n = (uint8_t)at, .type = type, .home = ino_shard(ino), .ino = ino, .name = name};
	bucket->count++;
	*ret_n = (uint8_t)at;
	return true;
}

void bucket_remove(struct bucket *bucket, int at)
{
	bucket->count--;
	memmove(&bucket->entries[at], &bucket->entries[at + 1], (bucket->count - (uint32_t)at) * sizeof(bucket->entries[0]));
}

void text_encode(struct blob text, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_bytes(out, text.ptr, text.len);
}

int text_decode(struct blob value, struct blob *ret_text)
{
	struct wire_in in = open_value(value);
	struct blob text = wire_get_bytes(&in, wire_left(&in));
	int rc = close_value(&in);
	if (rc == 0)
		*ret_text = text;
	return rc;
}

void purge_encode(const struct purge_record *purge, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u8(out, purge->has_xattrs);
	put_bytes16(out, purge->layout);
}

int purge_decode(struct blob value, struct purge_record *ret_purge)
{
	struct wire_in in = open_value(value);
	struct purge_record purge = {.has_xattrs = wire_get_u8(&in) != 0};
	purge.layout = get_bytes16(&in);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_purge = purge;
	return rc;
}

void truncate_encode(const struct truncate_record *truncate, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u64(out, truncate->size_bytes);
	wire_put_u32(out, truncate->size_gen);
	wire_put_u64(out, (uint64_t)truncate->mtime_ns);
}

int truncate_decode(struct blob value, struct truncate_record *ret_truncate)
{
	struct wire_in in = open_value(value);
	struct truncate_record truncate = {.size_bytes = wire_get_u64(&in)};
	truncate.size_gen = wire_get_u32(&in);
	truncate.mtime_ns = (int64_t)wire_get_u64(&in);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_truncate = truncate;
	return rc;
}

void number_encode(uint64_t number, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u64(out, number);
}

int number_decode(struct blob value, uint64_t *ret_number)
{
	struct wire_in in = open_value(value);
	uint64_t number = wire_get_u64(&in);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_number = number;
	return rc;
}

void reply_encode(const struct reply_record *reply, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u16(out, reply->op);
	wire_put_u16(out, reply->status);
	wire_put_u16(out, reply->version);
	wire_put_u64(out, reply->handle);
	wire_put_u64(out, reply->ino.v);
	wire_put_u32(out, reply->open_flags);
	wire_put_bytes(out, reply->body.ptr, reply->body.len);
}

int reply_decode(struct blob value, struct reply_record *ret_reply)
{
	struct wire_in in = open_value(value);
	struct reply_record reply = {.op = wire_get_u16(&in)};
	reply.status = wire_get_u16(&in);
	reply.version = wire_get_u16(&in);
	reply.handle = wire_get_u64(&in);
	reply.ino = (struct ino){wire_get_u64(&in)};
	reply.open_flags = wire_get_u32(&in);
	reply.body = wire_get_bytes(&in, wire_left(&in));
	if (proto_op(reply.op) == NULL)
		wire_fail(&in);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_reply = reply;
	return rc;
}

#define SUPERBLOCK_MAGIC UINT32_C(0x3053444d) /* "MDS0" */

void superblock_encode(const struct superblock *sb, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u32(out, SUPERBLOCK_MAGIC);
	wire_put_u64(out, sb->cluster_hi);
	wire_put_u64(out, sb->cluster_lo);
	wire_put_u64(out, sb->store_hi);
	wire_put_u64(out, sb->store_lo);
	wire_put_u64(out, sb->boot);
	wire_put_u32(out, sb->index);
	wire_put_u32(out, sb->shard_count);
	wire_put_u64(out, sb->hash_key[0]);
	wire_put_u64(out, sb->hash_key[1]);
	wire_put_u32(out, sb->hash_bits);
	wire_put_u64(out, (uint64_t)sb->time_ns);
	put_bytes16(out, blob_of(sb->fsname, strnlen(sb->fsname, sizeof(sb->fsname) - 1)));
}

int superblock_decode(struct blob value, struct superblock *ret_sb)
{
	struct wire_in in = wire_in(value);
	uint8_t version = wire_get_u8(&in);
	if (wire_get_u32(&in) != SUPERBLOCK_MAGIC)
		return fail(ERR_corrupt);
	if (version > RECORD_VERSION)
		return fail(ERR_version);
	struct superblock sb = {.cluster_hi = wire_get_u64(&in)};
	sb.cluster_lo = wire_get_u64(&in);
	sb.store_hi = wire_get_u64(&in);
	sb.store_lo = wire_get_u64(&in);
	sb.boot = wire_get_u64(&in);
	sb.index = wire_get_u32(&in);
	sb.shard_count = wire_get_u32(&in);
	sb.hash_key[0] = wire_get_u64(&in);
	sb.hash_key[1] = wire_get_u64(&in);
	sb.hash_bits = wire_get_u32(&in);
	sb.time_ns = (int64_t)wire_get_u64(&in);
	struct blob fsname = get_bytes16(&in);
	if (fsname.len >= sizeof(sb.fsname) || sb.hash_bits == 0 || sb.hash_bits > HASH_BITS_MAX || sb.shard_count == 0 ||
	    sb.shard_count >= SHARD_STATE)
		wire_fail(&in);
	else if (fsname.len > 0)
		memcpy(sb.fsname, fsname.ptr, fsname.len);
	int rc = close_value(&in);
	if (rc == 0)
		*ret_sb = sb;
	return rc;
}

void client_encode(const struct client_record *client, struct wire_out *out)
{
	wire_put_u8(out, RECORD_VERSION);
	wire_put_u64(out, client->client);
	wire_put_u64(out, client->uuid_hi);
	wire_put_u64(out, client->uuid_lo);
	wire_put_u32(out, client->pid);
	put_bytes16(out, blob_of(client->host.ptr, client->host.len));
	put_bytes16(out, blob_of(client->mountpoint.ptr, client->mountpoint.len));
}

int client_decode(struct blob value, struct client_record *ret_client)
{
	struct wire_in in = open_value(value);
	struct client_record client = {.client = wire_get_u64(&in)};
	client.uuid_hi = wire_get_u64(&in);
	client.uuid_lo = wire_get_u64(&in);
	client.pid = wire_get_u32(&in);
	struct blob host = get_bytes16(&in), mountpoint = get_bytes16(&in);
	client.host = (struct str){(const char *)host.ptr, host.len};
	client.mountpoint = (struct str){(const char *)mountpoint.ptr, mountpoint.len};
	int rc = close_value(&in);
	if (rc == 0)
		*ret_client = client;
	return rc;
}
