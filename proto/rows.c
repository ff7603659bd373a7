/* SPDX-License-Identifier: Apache-2.0
 * Rows inside blobs. */
#include "proto/rows.h"
#include "proto/proto.h"

void reclaim_row_put(struct wire_out *out, const struct reclaim_row *row)
{
	wire_put_u64(out, row->ino.v);
	wire_put_u64(out, row->handle);
	wire_put_u32(out, row->flags);
}

struct reclaim_row reclaim_row_get(struct wire_in *in)
{
	struct reclaim_row row = {.ino = {wire_get_u64(in)}};
	row.handle = wire_get_u64(in);
	row.flags = wire_get_u32(in);
	return row;
}

void lease_row_put(struct wire_out *out, const struct lease_row *row)
{
	wire_put_u64(out, row->ino.v);
	wire_put_u64(out, row->lease.number);
	wire_put_u32(out, row->lease.ttl_ms);
	wire_put_u8(out, row->lease.attr_mode);
	wire_put_u8(out, row->lease.dir_mode);
	wire_put_u8(out, row->lease.data_mode);
}

struct lease_row lease_row_get(struct wire_in *in)
{
	struct lease_row row = {.ino = {wire_get_u64(in)}};
	row.lease.number = wire_get_u64(in);
	row.lease.ttl_ms = wire_get_u32(in);
	row.lease.attr_mode = wire_get_u8(in);
	row.lease.dir_mode = wire_get_u8(in);
	row.lease.data_mode = wire_get_u8(in);
	return row;
}

void atime_row_put(struct wire_out *out, const struct atime_row *row)
{
	wire_put_u64(out, row->ino.v);
	wire_put_u64(out, (uint64_t)row->atime_ns);
	wire_put_u16(out, row->atime_gen);
}

struct atime_row atime_row_get(struct wire_in *in)
{
	struct atime_row row = {.ino = {wire_get_u64(in)}};
	row.atime_ns = (int64_t)wire_get_u64(in);
	row.atime_gen = wire_get_u16(in);
	return row;
}

void lock_row_put(struct wire_out *out, const struct lock_row *row)
{
	wire_put_u64(out, row->ino.v);
	wire_put_u64(out, row->client);
	wire_put_u64(out, row->owner);
	wire_put_u64(out, row->start);
	wire_put_u64(out, row->end);
	wire_put_u32(out, row->pid);
	wire_put_u8(out, row->kind);
	wire_put_u8(out, row->type);
	wire_put_u8(out, row->waits);
}

struct lock_row lock_row_get(struct wire_in *in)
{
	struct lock_row row = {.ino = {wire_get_u64(in)}};
	row.client = wire_get_u64(in);
	row.owner = wire_get_u64(in);
	row.start = wire_get_u64(in);
	row.end = wire_get_u64(in);
	row.pid = wire_get_u32(in);
	row.kind = wire_get_u8(in);
	row.type = wire_get_u8(in);
	row.waits = wire_get_u8(in);
	return row;
}

void object_row_put(struct wire_out *out, const struct object_row *row)
{
	wire_put_u64(out, row->ino.v);
	wire_put_u32(out, row->component);
	wire_put_u32(out, row->stripe);
}

struct object_row object_row_get(struct wire_in *in)
{
	struct object_row row = {.ino = {wire_get_u64(in)}};
	row.component = wire_get_u32(in);
	row.stripe = wire_get_u32(in);
	return row;
}

void object_stat_row_put(struct wire_out *out, const struct object_stat_row *row)
{
	wire_put_u64(out, row->size_bytes);
	wire_put_u64(out, row->allocated_bytes);
	wire_put_u64(out, (uint64_t)row->mtime_ns);
}

struct object_stat_row object_stat_row_get(struct wire_in *in)
{
	struct object_stat_row row = {.size_bytes = wire_get_u64(in)};
	row.allocated_bytes = wire_get_u64(in);
	row.mtime_ns = (int64_t)wire_get_u64(in);
	return row;
}

static void put_str(struct wire_out *out, struct str text)
{
	size_t len = min_u64(text.len, UINT16_MAX);
	wire_put_u16(out, (uint16_t)len);
	wire_put_bytes(out, text.ptr, len);
}

static struct str get_str(struct wire_in *in)
{
	struct blob bytes = wire_get_bytes(in, wire_get_u16(in));
	return (struct str){(const char *)bytes.ptr, bytes.len};
}

void client_row_put(struct wire_out *out, const struct client_row *row)
{
	wire_put_u64(out, row->client);
	wire_put_u64(out, row->idle_ms);
	wire_put_u32(out, row->pid);
	put_str(out, row->host);
	put_str(out, row->mountpoint);
	wire_put_u32(out, row->opens);
	wire_put_u32(out, row->writer_marks);
	wire_put_u32(out, row->attr_leases);
	wire_put_u32(out, row->dir_leases);
	for (size_t mode = LEASE_CR; mode <= LEASE_PW; mode++)
		wire_put_u32(out, row->data_leases[mode]);
	wire_put_u8(out, row->has_told);
	wire_put_u64(out, row->dirty_bytes);
	wire_put_u32(out, row->dirty_files);
	wire_put_u32(out, row->locks);
}

struct client_row client_row_get(struct wire_in *in)
{
	struct client_row row = {.client = wire_get_u64(in)};
	row.idle_ms = wire_get_u64(in);
	row.pid = wire_get_u32(in);
	row.host = get_str(in);
	row.mountpoint = get_str(in);
	row.opens = wire_get_u32(in);
	row.writer_marks = wire_get_u32(in);
	row.attr_leases = wire_get_u32(in);
	row.dir_leases = wire_get_u32(in);
	for (size_t mode = LEASE_CR; mode <= LEASE_PW; mode++)
		row.data_leases[mode] = wire_get_u32(in);
	row.has_told = wire_get_u8(in);
	row.dirty_bytes = wire_get_u64(in);
	row.dirty_files = wire_get_u32(in);
	row.locks = wire_get_u32(in);
	return row;
}

void dirent_row_put(struct wire_out *out, const struct dirent_row *row)
{
	wire_put_u64(out, row->cookie);
	wire_put_u64(out, row->ino.v);
	wire_put_u8(out, row->type);
	wire_put_u8(out, row->has_attr);
	put_str(out, row->name);
	if (row->has_attr) {
		wire_put_attr(out, &row->attr);
		wire_put_u64(out, row->lease);
	}
}

struct dirent_row dirent_row_get(struct wire_in *in)
{
	struct dirent_row row = {.cookie = wire_get_u64(in)};
	row.ino = (struct ino){wire_get_u64(in)};
	row.type = wire_get_u8(in);
	row.has_attr = wire_get_u8(in);
	row.name = get_str(in);
	if (row.name.len == 0 || row.name.len > NAME_BYTES_MAX)
		wire_fail(in);
	if (row.has_attr) {
		row.attr = wire_get_attr(in);
		row.lease = wire_get_u64(in);
	}
	return row;
}
