/* SPDX-License-Identifier: Apache-2.0
 * Fixed rows inside blobs, and directory entries: appended to a wire_out, read from a wire_in until it is empty. */
#ifndef STRIA_PROTO_ROWS_H
#define STRIA_PROTO_ROWS_H

#include "proto/types.h"
#include "proto/wire.h"

/* reclaim: one open */
struct reclaim_row {
	struct ino ino;
	uint64_t handle;
	uint32_t flags; /* enum open_flags */
};
enum { RECLAIM_ROW_BYTES = 20 };
void reclaim_row_put(struct wire_out *out, const struct reclaim_row *row);
struct reclaim_row reclaim_row_get(struct wire_in *in);

/* reclaim, lease_return: one lease. number: of the last grant seen */
struct lease_row {
	struct ino ino;
	struct lease lease;
};
enum { LEASE_ROW_BYTES = 23 };
void lease_row_put(struct wire_out *out, const struct lease_row *row);
struct lease_row lease_row_get(struct wire_in *in);

/* touch: when the client last read an inode, by attributes with this atime_gen */
struct atime_row {
	struct ino ino;
	int64_t atime_ns;
	uint16_t atime_gen;
};
enum { ATIME_ROW_BYTES = 18, ATIME_ROWS_MAX = 512 };
void atime_row_put(struct wire_out *out, const struct atime_row *row);
struct atime_row atime_row_get(struct wire_in *in);

/* reclaim, lock_list: one locked range, or one that is waited for */
struct lock_row {
	struct ino ino;
	uint64_t client, owner, start, end;
	uint32_t pid;
	uint8_t kind, type; /* enum lock_kind, lock_type */
	uint8_t waits;      /* 1: is not held */
};
enum { LOCK_ROW_BYTES = 47 };
void lock_row_put(struct wire_out *out, const struct lock_row *row);
struct lock_row lock_row_get(struct wire_in *in);

/* obj_destroy, obj_stat: one object */
struct object_row {
	struct ino ino;
	uint32_t component, stripe;
};
enum { OBJECT_ROW_BYTES = 16 };
void object_row_put(struct wire_out *out, const struct object_row *row);
struct object_row object_row_get(struct wire_in *in);

/* obj_stat's answer for one object; all zero if it does not exist */
struct object_stat_row {
	uint64_t size_bytes, allocated_bytes;
	int64_t mtime_ns;
};
enum { OBJECT_STAT_ROW_BYTES = 24 };
void object_stat_row_put(struct wire_out *out, const struct object_stat_row *row);
struct object_stat_row object_stat_row_get(struct wire_in *in);

/* client_list: one client; strings follow their u16 lengths */
struct client_row {
	uint64_t client;
	uint64_t idle_ms; /* since its last renewal */
	uint32_t pid;
	struct str host, mountpoint;
	/* what the MDT that answers knows it to hold */
	uint32_t opens, writer_marks;
	uint32_t attr_leases, dir_leases;
	uint32_t data_leases[LEASE_PW + 1]; /* by enum lease_mode */
	/* what it said of itself with its last renewal */
	uint8_t has_told; /* 0: the management service has started since then */
	uint64_t dirty_bytes;
	uint32_t dirty_files;
	uint32_t locks; /* ranges that it has locked, at the MDT that answers, and requests of its that wait */
};
enum { CLIENT_ROW_FIXED_BYTES = 20 + 2 * 2 + 4 * 4 + 4 * LEASE_PW + 17 }; /* without its strings */
void client_row_put(struct wire_out *out, const struct client_row *row);
struct client_row client_row_get(struct wire_in *in);

/* readdir: one entry. cookie is that of the entry itself: reading goes on after it. */
struct dirent_row {
	uint64_t cookie;
	struct ino ino;
	uint8_t type;     /* DT_* as in <dirent.h> */
	uint8_t has_attr;
	struct str name;
	struct attr attr; /* if has_attr */
	uint64_t lease;   /* if has_attr: number of a grant of the attributes, 0: none */
};
enum { DIRENT_ROW_BYTES_MAX = 8 + 8 + 1 + 1 + 2 + NAME_BYTES_MAX + 96 + 8 };
void dirent_row_put(struct wire_out *out, const struct dirent_row *row);
struct dirent_row dirent_row_get(struct wire_in *in);

#endif
