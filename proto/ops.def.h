/* SPDX-License-Identifier: Apache-2.0
 * THE protocol table. One row per operation: OP(name, number, flags, since, text); one F(kind, name, since, text) per field of its
 * request and its reply. Numbers are never reused (proto/retired.txt); fields are append-only; an absent field decodes to zero, so zero
 * means "unknown". proto.h says what the kinds are. Everything else is expanded from here: enum, structs, codecs, stubs, names, documents, fuzz targets.
 *
 * Ranges: 0x00xx every target, 0x01xx MDT, 0x02xx OST, 0x03xx MGS, 0x04xx server to client, over the connection that the client opened. */
#ifndef STRIA_PROTO_OPS_DEF_H
#define STRIA_PROTO_OPS_DEF_H

#define PROTO_COMMON_OPS(OP)                                                                                            \
	OP(hello, 0x0001, OPF_IDEMPOTENT | OPF_BARE, 1, "First message of a connection: who calls, and which versions it speaks.") \
	OP(ping, 0x0002, OPF_IDEMPOTENT, 1, "Is anybody there? Also carries map epochs both ways.")                     \
	OP(status, 0x0003, OPF_IDEMPOTENT, 1, "State and counters of the target as JSON, for admins.")

#define hello_REQ(F)                                                            \
	F(u16, version_min, 1, "lowest protocol version that the caller speaks") \
	F(u16, version_max, 1, "highest")                                       \
	F(u8, role, 1, "enum peer_role")                                        \
	F(u64, cluster_hi, 1, "cluster uuid, 0 if the caller does not know it yet") \
	F(u64, cluster_lo, 1, "")                                               \
	F(u64, boot, 1, "changes each time the caller starts")
#define hello_REP(F)                                                   \
	F(u16, version, 1, "min(mine, yours): the version to use from here") \
	F(u8, kind, 1, "enum target_kind of who answers")              \
	F(u32, index, 1, "of the target")                              \
	F(u64, cluster_hi, 1, "cluster uuid")                          \
	F(u64, cluster_lo, 1, "")                                      \
	F(u64, boot, 1, "boot number: grows each time the target starts") \
	F(u8, state, 1, "enum target_state")                           \
	F(i64, time_ns, 1, "the target's clock, for the caller's offset")

#define ping_REQ(F) F(u8, unused, 1, "0")
#define ping_REP(F)                            \
	F(u8, state, 1, "enum target_state")   \
	F(i64, time_ns, 1, "the target's clock")

#define status_REQ(F) F(u32, what, 1, "0: everything")
#define status_REP(F) F(blob, json, 1, "one JSON object")

/* ---- MDT ------------------------------------------------------------------------------------------------------ */
#define PROTO_MDS_OPS(OP)                                                                                               \
	OP(lookup, 0x0101, OPF_IDEMPOTENT, 1, "Resolve one name in one directory.")                                     \
	OP(getattr, 0x0102, OPF_IDEMPOTENT, 1, "Attributes of an inode.")                                               \
	OP(setattr, 0x0103, OPF_MUTATES, 1, "Change mode, owner, times or size; a new size truncates the objects first.") \
	OP(create, 0x0104, OPF_MUTATES, 1, "Create a regular file and open it; with O_EXCL unset an existing one is opened.") \
	OP(open, 0x0105, OPF_MUTATES, 1, "Open a regular file; opening to write leaves a writer mark.")                 \
	OP(close, 0x0106, OPF_MUTATES, 1, "Give an open back, with the final size of what was written.")                \
	OP(mkdir, 0x0107, OPF_MUTATES, 1, "Create a directory.")                                                        \
	OP(mknod, 0x0108, OPF_MUTATES, 1, "Create a fifo, socket, device node or an unopened regular file.")            \
	OP(symlink, 0x0109, OPF_MUTATES, 1, "Create a symbolic link.")                                                  \
	OP(readlink, 0x010a, OPF_IDEMPOTENT, 1, "Target of a symbolic link.")                                           \
	OP(link, 0x010b, OPF_MUTATES, 1, "Another name for an inode.")                                                  \
	OP(unlink, 0x010c, OPF_MUTATES, 1, "Remove a name that is not a directory's.")                                  \
	OP(rmdir, 0x010d, OPF_MUTATES, 1, "Remove an empty directory.")                                                 \
	OP(rename, 0x010e, OPF_MUTATES, 1, "Move a name, replacing what stands there if POSIX allows it.")              \
	OP(readdir, 0x010f, OPF_IDEMPOTENT, 1, "A run of entries in cookie order, with attributes if wanted.")          \
	OP(getxattr, 0x0110, OPF_IDEMPOTENT, 1, "Value of an extended attribute.")                                      \
	OP(setxattr, 0x0111, OPF_MUTATES, 1, "Set an extended attribute.")                                              \
	OP(listxattr, 0x0112, OPF_IDEMPOTENT, 1, "Names of extended attributes.")                                       \
	OP(removexattr, 0x0113, OPF_MUTATES, 1, "Remove an extended attribute.")                                        \
	OP(set_size, 0x0114, OPF_MUTATES, 1, "Publish the size and mtime of what was written so far (fsync, once a while).") \
	OP(set_layout, 0x0115, OPF_MUTATES, 1, "Layout of a file without data, or default layout of a directory.")      \
	OP(get_layout, 0x0116, OPF_IDEMPOTENT, 1, "Layout of a file, or default layout of a directory.")                \
	OP(statfs, 0x0117, OPF_IDEMPOTENT, 1, "Space and inodes of the MDT's own store.")                               \
	OP(ino_paths, 0x0118, OPF_IDEMPOTENT, 1, "Every path of an inode from the root.")                               \
	OP(reclaim, 0x0119, OPF_IDEMPOTENT, 1, "After a restart of the MDT: this client's opens, leases and locks, some or the last of them.") \
	OP(forget_client, 0x011a, OPF_IDEMPOTENT, 1, "A clean unmount: nothing is open or unsaved any more.")                    \
	OP(lease_get, 0x011b, OPF_IDEMPOTENT, 1, "Ask for the right to read or write a file's data; what conflicts is recalled first.") \
	OP(lease_return, 0x011c, OPF_IDEMPOTENT, 1, "Leases that the client has no use for any more; its kernel does not refer to these inodes.") \
	OP(tmpfile, 0x011d, OPF_MUTATES, 1, "Create a regular file without a name and open it; link may give it one.") \
	OP(lock, 0x011e, OPF_MUTATES, 1, "Lock or unlock a range of a file for one owner; one that has to wait is queued, and called back.") \
	OP(lock_test, 0x011f, OPF_IDEMPOTENT, 1, "Which lock of another owner is in the way?")                                  \
	OP(lock_list, 0x0120, OPF_IDEMPOTENT, 1, "Who holds locks on a file and who waits.")                                    \
	OP(lock_drop, 0x0121, OPF_MUTATES, 1, "All locks of an owner on a file: it has closed it.")                             \
	OP(touch, 0x0122, OPF_IDEMPOTENT, 1, "Times of reads: atime is raised to them, unless it was set since. In no hurry.")

#define lookup_REQ(F)                               \
	F(cred, cred, 1, "who asks")                \
	F(ino, parent, 1, "directory to search")    \
	F(str, name, 1, "1..255 bytes, no '/' and no NUL; also \"..\"") \
	F(u8, flags, 1, "enum lookup_flags")
#define lookup_REP(F)                                                                  \
	F(attr, attr, 1, "of the entry's inode; ino 0: no such name, if LOOKUP_ABSENT_OK was set") \
	F(lease, lease, 1, "on the inode")                                             \
	F(lease, dir_lease, 1, "on the directory")                                     \
	F(bytes, layout, 1, "of a file, with LOOKUP_READS")                            \
	F(blob, data, 1, "of a small file, if it lives with its inode, with LOOKUP_READS") \
	F(u8, has_data, 1, "enum data_place, if a right to cache data is granted")

#define getattr_REQ(F) F(ino, ino, 1, "")
#define getattr_REP(F) F(attr, attr, 1, "") F(lease, lease, 1, "")

#define setattr_REQ(F)                                                        \
	F(cred, cred, 1, "who asks")                                          \
	F(ino, ino, 1, "")                                                    \
	F(u32, valid, 1, "enum setattr_valid: which of the following count")  \
	F(u32, mode, 1, "permission bits")                                    \
	F(u32, uid, 1, "")                                                    \
	F(u32, gid, 1, "")                                                    \
	F(u64, size_bytes, 1, "")                                             \
	F(i64, atime_ns, 1, "")                                               \
	F(i64, mtime_ns, 1, "")                                               \
	F(u64, handle, 1, "size change through this open handle: permission was checked at open")
#define setattr_REP(F) F(attr, attr, 1, "after the change") F(lease, lease, 1, "")

#define create_REQ(F)                                                          \
	F(cred, cred, 1, "who asks")                                           \
	F(ino, parent, 1, "")                                                  \
	F(str, name, 1, "")                                                    \
	F(u32, mode, 1, "permission bits as asked for")                        \
	F(u32, flags, 1, "enum open_flags")                                    \
	F(u64, handle, 1, "chosen by the client, unique in its life, not 0")   \
	F(bytes, layout, 1, "wanted layout (layout_encode); empty: inherited") \
	F(u32, umask, 1, "of the caller; a default list of the directory counts instead")
#define create_REP(F)                                             \
	F(attr, attr, 1, "")                                      \
	F(u8, created, 1, "1: it is new; 0: it existed and was opened") \
	F(bytes, layout, 1, "with its OSTs")                      \
	F(lease, lease, 1, "")                                    \
	F(blob, data, 1, "of a small file, if it lives with its inode") \
	F(u8, has_data, 1, "enum data_place, if a right to cache data is granted")

#define tmpfile_REQ(F)                                                         \
	F(cred, cred, 1, "who asks")                                           \
	F(ino, parent, 1, "directory whose group, layout and shard it gets")   \
	F(u32, mode, 1, "permission bits as asked for")                        \
	F(u32, flags, 1, "enum open_flags; OPEN_EXCL: it never gets a name")   \
	F(u64, handle, 1, "chosen by the client, unique in its life, not 0")   \
	F(bytes, layout, 1, "wanted layout (layout_encode); empty: inherited") \
	F(u32, umask, 1, "of the caller; a default list of the directory counts instead")
#define tmpfile_REP(F)                            \
	F(attr, attr, 1, "nlink 0")               \
	F(bytes, layout, 1, "with its OSTs")      \
	F(lease, lease, 1, "")                    \
	F(u8, has_data, 1, "enum data_place, if a right to cache data is granted")

#define open_REQ(F)                                                          \
	F(cred, cred, 1, "who asks")                                         \
	F(ino, ino, 1, "")                                                   \
	F(u32, flags, 1, "enum open_flags")                                  \
	F(u64, handle, 1, "chosen by the client, unique in its life, not 0")
#define open_REP(F)                          \
	F(attr, attr, 1, "")                 \
	F(bytes, layout, 1, "")              \
	F(lease, lease, 1, "")               \
	F(blob, data, 1, "of a small file, if it lives with its inode") \
	F(u8, has_data, 1, "enum data_place, if a right to cache data is granted")

#define close_REQ(F)                                                                 \
	F(ino, ino, 1, "")                                                           \
	F(u64, handle, 1, "")                                                        \
	F(u8, flags, 1, "enum size_flags: is there a size, was this the last writer") \
	F(u32, size_gen, 1, "truncation generation that the size belongs to")        \
	F(u64, size_bytes, 1, "end of what was written")                             \
	F(i64, mtime_ns, 1, "of the last write")                                     \
	F(u64, blocks, 1, "of 512 bytes, as far as known; 0: unknown")               \
	F(u64, lease_number, 1, "last grant that the client has seen: SIZE_LAST_WRITER is void if there is a newer one")
#define close_REP(F) F(u8, unused, 1, "0")

#define mkdir_REQ(F)                                                      \
	F(cred, cred, 1, "who asks")                                      \
	F(ino, parent, 1, "")                                             \
	F(str, name, 1, "")                                               \
	F(u32, mode, 1, "permission bits as asked for")                   \
	F(i64, mdt_index, 1, "where to put it: 0 by policy, n+1 on MDT n") \
	F(u32, stripe_count, 1, "directory stripes; 0 or 1: one (more come later)") \
	F(u32, umask, 1, "of the caller; a default list of the directory counts instead")
#define mkdir_REP(F) F(attr, attr, 1, "") F(lease, lease, 1, "")

#define mknod_REQ(F)                                               \
	F(cred, cred, 1, "who asks")                               \
	F(ino, parent, 1, "")                                      \
	F(str, name, 1, "")                                        \
	F(u32, mode, 1, "type and permission bits as asked for")   \
	F(u32, rdev, 1, "of a device node") \
	F(u32, umask, 1, "of the caller; a default list of the directory counts instead")
#define mknod_REP(F) F(attr, attr, 1, "") F(lease, lease, 1, "")

#define symlink_REQ(F)                    \
	F(cred, cred, 1, "who asks")      \
	F(ino, parent, 1, "")             \
	F(str, name, 1, "")               \
	F(str, target, 1, "1..4095 bytes")
#define symlink_REP(F) F(attr, attr, 1, "") F(lease, lease, 1, "")

#define readlink_REQ(F) F(ino, ino, 1, "")
#define readlink_REP(F) F(str, target, 1, "")

#define link_REQ(F)                          \
	F(cred, cred, 1, "who asks")         \
	F(ino, ino, 1, "gets another name")  \
	F(ino, parent, 1, "of the new name") \
	F(str, name, 1, "")
#define link_REP(F) F(attr, attr, 1, "of the inode") F(lease, lease, 1, "")

#define unlink_REQ(F) F(cred, cred, 1, "who asks") F(ino, parent, 1, "") F(str, name, 1, "")
#define unlink_REP(F) F(ino, ino, 1, "whose name it was") F(u32, nlink, 1, "links that remain")

#define rmdir_REQ(F) F(cred, cred, 1, "who asks") F(ino, parent, 1, "") F(str, name, 1, "")
#define rmdir_REP(F) F(ino, ino, 1, "of the directory that is gone")

#define rename_REQ(F)                    \
	F(cred, cred, 1, "who asks")     \
	F(ino, parent, 1, "")            \
	F(str, name, 1, "")              \
	F(ino, new_parent, 1, "")        \
	F(str, new_name, 1, "")          \
	F(u32, flags, 1, "RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4")
#define rename_REP(F)                                               \
	F(ino, ino, 1, "that moved; none if both names were one inode") \
	F(ino, replaced, 1, "that lost its name, none if there was none")

#define readdir_REQ(F)                                                         \
	F(cred, cred, 1, "who asks")                                           \
	F(ino, ino, 1, "directory")                                            \
	F(u64, cookie, 1, "of the last entry seen; 0: from the start")         \
	F(u32, bytes_max, 1, "of entries, at most 65536")                      \
	F(u8, plus, 1, "1: with attributes")
#define readdir_REP(F)                                                             \
	F(blob, entries, 1, "dirent_put rows (proto/dirent.h); without . and ..")  \
	F(u8, end, 1, "1: nothing follows")                                        \
	F(ino, parent, 1, "for ..")                                                \
	F(lease, lease, 1, "")

#define getxattr_REQ(F) F(cred, cred, 1, "who asks") F(ino, ino, 1, "") F(str, name, 1, "")
#define getxattr_REP(F) F(blob, value, 1, "")

#define setxattr_REQ(F)                          \
	F(cred, cred, 1, "who asks")             \
	F(ino, ino, 1, "")                       \
	F(str, name, 1, "")                      \
	F(blob, value, 1, "")                    \
	F(u32, flags, 1, "XATTR_CREATE 1, XATTR_REPLACE 2")
#define setxattr_REP(F) F(u64, change, 1, "of the inode")

#define listxattr_REQ(F) F(cred, cred, 1, "who asks") F(ino, ino, 1, "")
#define listxattr_REP(F) F(blob, names, 1, "each ended by NUL")

#define removexattr_REQ(F) F(cred, cred, 1, "who asks") F(ino, ino, 1, "") F(str, name, 1, "")
#define removexattr_REP(F) F(u64, change, 1, "of the inode")

#define set_size_REQ(F)                                                       \
	F(ino, ino, 1, "")                                                    \
	F(u8, flags, 1, "enum size_flags")                                    \
	F(u32, size_gen, 1, "truncation generation that the size belongs to") \
	F(u64, size_bytes, 1, "end of what was written")                      \
	F(i64, mtime_ns, 1, "of the last write")                              \
	F(u64, blocks, 1, "of 512 bytes; 0: unknown")                         \
	F(u64, lease_number, 1, "last grant that the client has seen: SIZE_LAST_WRITER is void if there is a newer one") \
	F(blob, data, 1, "with SIZE_INLINE: the whole file, to live with its inode") \
	F(i64, atime_ns, 1, "with SIZE_ATIME: when it was last read")         \
	F(u16, atime_gen, 1, "of the attributes by which that was decided")
#define set_size_REP(F) F(attr, attr, 1, "") F(lease, lease, 1, "")

#define set_layout_REQ(F)                                                        \
	F(cred, cred, 1, "who asks")                                             \
	F(ino, ino, 1, "")                                                       \
	F(u8, target, 1, "enum layout_target: the file, or the directory's default") \
	F(bytes, layout, 1, "wanted; empty: delete the default")
#define set_layout_REP(F) F(attr, attr, 1, "") F(bytes, layout, 1, "as it is now")

#define get_layout_REQ(F) F(cred, cred, 1, "who asks") F(ino, ino, 1, "") F(u8, target, 1, "enum layout_target")
#define get_layout_REP(F)                                          \
	F(bytes, layout, 1, "")                                    \
	F(u8, inherited, 1, "1: the file system's default")        \
	F(u8, is_inline, 1, "1: of a file whose data lives with its inode; the layout is for when it outgrows that")

#define statfs_REQ(F) F(u8, unused, 1, "0")
#define statfs_REP(F)                  \
	F(u64, total_bytes, 1, "")     \
	F(u64, free_bytes, 1, "")      \
	F(u64, available_bytes, 1, "") \
	F(u64, inodes_used, 1, "live inodes on this MDT") \
	F(u64, inodes_free, 1, "estimate by space")

#define ino_paths_REQ(F) F(cred, cred, 1, "who asks; only root may") F(ino, ino, 1, "")
#define ino_paths_REP(F) F(blob, paths, 1, "each from the root without '/', ended by NUL") F(u32, count, 1, "")

#define reclaim_REQ(F)                                                   \
	F(blob, rows, 1, "of the kind's row (proto/rows.h)")             \
	F(u8, done, 1, "1: these were the last")                         \
	F(u8, kind, 1, "enum reclaim_kind")                              \
	F(u64, boot, 1, "of the MDT that is meant: another one refuses; 0: any")
#define reclaim_REP(F) F(u32, refused, 1, "opens whose inode is gone, leases and locks that are another's by now")

#define forget_client_REQ(F) F(u8, unused, 1, "0")
#define forget_client_REP(F) F(u8, unused, 1, "0")

#define lease_get_REQ(F)                                                             \
	F(ino, ino, 1, "")                                                           \
	F(u8, mode, 1, "enum lease_mode wanted: LEASE_PR to read, LEASE_PW to write") \
	F(u8, through_ok, 1, "1: LEASE_CR or LEASE_CW will do where others use the file, too")
#define lease_get_REP(F)                     \
	F(attr, attr, 1, "")                 \
	F(lease, lease, 1, "")               \
	F(bytes, layout, 1, "")              \
	F(blob, data, 1, "of a small file, if it lives with its inode") \
	F(u8, has_data, 1, "enum data_place, if a right to cache data is granted")

#define lease_return_REQ(F) F(blob, leases, 1, "rows of lease_row (proto/rows.h): given up if their number is still the last")
#define lease_return_REP(F) F(u8, unused, 1, "0")

#define lock_REQ(F)                                                                   \
	F(ino, ino, 1, "")                                                            \
	F(u64, owner, 1, "chosen by the client: a process, or an open file description") \
	F(u8, kind, 1, "enum lock_kind")                                              \
	F(u8, type, 1, "enum lock_type; LOCK_TYPE_NONE: unlock")                      \
	F(u8, flags, 1, "enum lock_flags")                                            \
	F(u64, start, 1, "first byte")                                                \
	F(u64, end, 1, "last byte; flock: all, 0 to UINT64_MAX")                      \
	F(u32, pid, 1, "for people")                                                  \
	F(u64, waiter, 1, "with LOCK_WAIT or LOCK_WITHDRAW: chosen by the client, unique in its life, not 0")
#define lock_REP(F)                                                                   \
	F(u8, result, 1, "enum lock_result")                                          \
	F(u64, change, 1, "LOCK_GRANTED: number of this change, LOCK_QUEUED: of the last one; they grow, and the boot is in their upper half")

#define lock_test_REQ(F)                                                              \
	F(ino, ino, 1, "")                                                            \
	F(u64, owner, 1, "whose own locks do not count")                              \
	F(u8, kind, 1, "enum lock_kind")                                              \
	F(u8, type, 1, "enum lock_type that it would want")                           \
	F(u64, start, 1, "first byte")                                                \
	F(u64, end, 1, "last byte")
#define lock_test_REP(F)                                                              \
	F(u8, type, 1, "LOCK_TYPE_NONE: nothing is in the way")                       \
	F(u8, kind, 1, "of the lock in the way")                                      \
	F(u64, client, 1, "that holds it")                                            \
	F(u32, pid, 1, "of the holder, on its client's machine")                      \
	F(u64, start, 1, "")                                                          \
	F(u64, end, 1, "")

#define lock_list_REQ(F) F(ino, ino, 1, "")
#define lock_list_REP(F)                                                              \
	F(blob, locks, 1, "rows of lock_row (proto/rows.h): what is held, then who waits, in order of arrival") \
	F(u8, more, 1, "1: there are more than a message holds")

#define lock_drop_REQ(F) F(ino, ino, 1, "") F(u64, owner, 1, "") F(u8, kind, 1, "enum lock_kind")
#define lock_drop_REP(F) F(u64, change, 1, "number of this change")

#define touch_REQ(F) F(blob, rows, 1, "of atime_row (proto/rows.h), 512 at most")
#define touch_REP(F) F(u32, raised, 1, "inodes whose atime is a newer one now")

/* ---- OST ------------------------------------------------------------------------------------------------------ */
#define PROTO_OSS_OPS(OP)                                                                                                 \
	OP(obj_read, 0x0201, OPF_IDEMPOTENT | OPF_BULK_OUT, 1, "Read a range of an object.")                              \
	OP(obj_write, 0x0202, OPF_MUTATES | OPF_BULK_IN, 1, "Write a range of an object; also replays one after a restart.") \
	OP(obj_commit, 0x0203, OPF_IDEMPOTENT, 1, "Make everything written to an object so far stable.")                  \
	OP(obj_punch, 0x0204, OPF_MUTATES, 1, "Zero a range, or cut the object off; stable when answered.")               \
	OP(obj_destroy, 0x0205, OPF_IDEMPOTENT, 1, "Remove objects; those that are not there count as removed.")          \
	OP(obj_stat, 0x0206, OPF_IDEMPOTENT, 1, "Size, mtime and allocation of objects.")                                 \
	OP(ost_statfs, 0x0207, OPF_IDEMPOTENT, 1, "Space of the OST.")                                                    \
	OP(replay_done, 0x0208, OPF_IDEMPOTENT, 1, "This client has replayed all it had: new I/O may begin when all have.") \
	OP(obj_alloc, 0x0209, OPF_MUTATES, 1, "Reserve space for a range of an object, or zero it and keep its space; stable when answered.") \
	OP(obj_seek, 0x020a, OPF_IDEMPOTENT, 1, "Where the next data or the next hole of an object begins.")              \
	OP(obj_copy, 0x020b, OPF_MUTATES, 1, "Copy a range of an object, of this OST or another, into one of this OST; stable when answered.")

#define obj_read_REQ(F)                                                           \
	F(ino, ino, 1, "file")                                                    \
	F(u32, component, 1, "of its layout")                                     \
	F(u32, stripe, 1, "of the component")                                     \
	F(u32, layout_gen, 1, "")                                                 \
	F(u64, offset, 1, "in the object")                                        \
	F(u32, len, 1, "1..4 MiB")                                                \
	F(rma, dest, 1, "the caller's buffer; without one (len 0) the data comes in the reply, 64 KiB at most")
#define obj_read_REP(F)                                                           \
	F(u32, len, 1, "bytes; what is missing to the asked length lies past the object's end: zeros") \
	F(u32, crc, 1, "CRC32C of the len bytes")                                 \
	F(blob, data, 1, "when there was no dest")

#define obj_write_REQ(F)                                                          \
	F(ino, ino, 1, "")                                                        \
	F(u32, component, 1, "")                                                  \
	F(u32, stripe, 1, "")                                                     \
	F(u32, layout_gen, 1, "")                                                 \
	F(u64, offset, 1, "")                                                     \
	F(u32, len, 1, "1..4 MiB")                                                \
	F(u32, crc, 1, "CRC32C of the data")                                      \
	F(u8, want_stable, 1, "1: answer when it is stable")                      \
	F(i64, mtime_ns, 1, "the writer's time, MDT clock")                       \
	F(order, replay, 1, "of the first time it was answered; zero: this is the first time") \
	F(rma, source, 1, "the caller's buffer; without one the data is here")    \
	F(blob, data, 1, "64 KiB at most")
#define obj_write_REP(F)                                                  \
	F(order, order, 1, "verifier and place in the OST's history")     \
	F(u8, stable, 1, "1: survives a crash of the OST already")

#define obj_commit_REQ(F) F(ino, ino, 1, "") F(u32, component, 1, "") F(u32, stripe, 1, "")
#define obj_commit_REP(F) F(order, order, 1, "all writes up to this one are stable, if the verifier is theirs")

#define obj_punch_REQ(F)                                                     \
	F(ino, ino, 1, "")                                                   \
	F(u32, component, 1, "")                                             \
	F(u32, stripe, 1, "")                                                \
	F(u32, layout_gen, 1, "")                                            \
	F(u64, offset, 1, "")                                                \
	F(u64, len, 1, "UINT64_MAX: cut the object off at offset")           \
	F(i64, mtime_ns, 1, "")
#define obj_punch_REP(F) F(u64, size_bytes, 1, "of the object afterwards")

#define obj_destroy_REQ(F) F(blob, objects, 1, "rows of object_row (proto/rows.h)")
#define obj_destroy_REP(F) F(u32, removed, 1, "that existed")

#define obj_stat_REQ(F) F(blob, objects, 1, "rows of object_row, 1024 at most")
#define obj_stat_REP(F) F(blob, stats, 1, "rows of object_stat_row in the same order")

#define ost_statfs_REQ(F) F(u8, unused, 1, "0")
#define ost_statfs_REP(F)              \
	F(u64, total_bytes, 1, "")     \
	F(u64, free_bytes, 1, "")      \
	F(u64, available_bytes, 1, "") \
	F(u64, objects, 1, "on this OST, estimate") \
	F(u64, objects_free, 1, "estimate")

#define replay_done_REQ(F) F(u64, verifier, 1, "of the boot that was replayed to")
#define replay_done_REP(F) F(u8, state, 1, "enum target_state")

#define obj_alloc_REQ(F)                                                     \
	F(ino, ino, 1, "")                                                   \
	F(u32, component, 1, "")                                             \
	F(u32, stripe, 1, "")                                                \
	F(u32, layout_gen, 1, "")                                            \
	F(u64, offset, 1, "")                                                \
	F(u64, len, 1, "not 0")                                              \
	F(u8, flags, 1, "enum alloc_flags")                                  \
	F(i64, mtime_ns, 1, "")
#define obj_alloc_REP(F) F(u64, size_bytes, 1, "of the object afterwards")

#define obj_seek_REQ(F)                                                      \
	F(ino, ino, 1, "")                                                   \
	F(u32, component, 1, "")                                             \
	F(u32, stripe, 1, "")                                                \
	F(u32, layout_gen, 1, "")                                            \
	F(u64, offset, 1, "from here on")                                    \
	F(u8, hole, 1, "1: the next hole, which is at the object's end at the latest; 0: the next data")
#define obj_seek_REP(F) F(u64, offset, 1, "UINT64_MAX: no data from there on")

#define obj_copy_REQ(F)                                                      \
	F(ino, ino, 1, "the destination")                                    \
	F(u32, component, 1, "")                                             \
	F(u32, stripe, 1, "")                                                \
	F(u32, layout_gen, 1, "")                                            \
	F(u64, offset, 1, "in it")                                           \
	F(u32, len, 1, "1..16 MiB")                                          \
	F(u8, flags, 1, "enum copy_flags")                                   \
	F(i64, mtime_ns, 1, "")                                              \
	F(u32, from_ost, 1, "index of the OST that has the source")          \
	F(ino, from_ino, 1, "the source: what it does not have is copied as zeros") \
	F(u32, from_component, 1, "")                                        \
	F(u32, from_stripe, 1, "")                                           \
	F(u32, from_layout_gen, 1, "")                                       \
	F(u64, from_offset, 1, "in it")
#define obj_copy_REP(F) F(u64, size_bytes, 1, "of the destination afterwards")

/* ---- MGS (embedded in MDT 0) ---------------------------------------------------------------------------------- */
#define PROTO_MGS_OPS(OP)                                                                                        \
	OP(map_get, 0x0301, OPF_IDEMPOTENT | OPF_BARE, 1, "The cluster map, if it is newer than the caller's.")  \
	OP(client_join, 0x0302, OPF_IDEMPOTENT | OPF_BARE, 1, "A mount starts (or starts anew after an eviction): its client id.") \
	OP(client_renew, 0x0303, OPF_IDEMPOTENT, 1, "I am alive.")                                               \
	OP(client_leave, 0x0304, OPF_IDEMPOTENT, 1, "A clean unmount.")                                          \
	OP(client_list, 0x0305, OPF_IDEMPOTENT, 1, "Clients that live.")                                         \
	OP(client_evict, 0x0306, OPF_IDEMPOTENT, 1, "End a client everywhere, through the map.")                 \
	OP(target_register, 0x0307, OPF_IDEMPOTENT | OPF_BARE, 1, "A target has started, at these addresses.")   \
	OP(target_beat, 0x0308, OPF_IDEMPOTENT, 1, "A target is alive, and how full.")

#define map_get_REQ(F) F(u64, epoch, 1, "that the caller has; 0: none")
#define map_get_REP(F) F(u64, epoch, 1, "current") F(blob, map, 1, "cmap_encode; empty if the caller's is current")

#define client_join_REQ(F)                                                 \
	F(u64, uuid_hi, 1, "random, made by the mount: makes a repeat harmless") \
	F(u64, uuid_lo, 1, "")                                             \
	F(str, host, 1, "for people")                                      \
	F(str, mountpoint, 1, "for people")                                \
	F(u32, pid, 1, "for people")                                       \
	F(str, fsname, 1, "that it means to mount")
#define client_join_REP(F)                                                        \
	F(u64, client, 1, "its id from here on")                                  \
	F(u32, lease_ms, 1, "without a renewal for that long it is evicted")      \
	F(u64, epoch, 1, "of the map that is at least needed")

#define client_renew_REQ(F)                                                              \
	F(u64, client, 1, "")                                                            \
	F(u64, dirty_bytes, 1, "written here and not yet stable: what an eviction would lose") \
	F(u32, dirty_files, 1, "of so many files")
#define client_renew_REP(F) F(u64, epoch, 1, "") F(u32, lease_ms, 1, "")

#define client_leave_REQ(F) F(u64, client, 1, "")
#define client_leave_REP(F) F(u8, unused, 1, "0")

#define client_list_REQ(F) F(u64, after, 1, "ids greater than this")
#define client_list_REP(F) F(blob, clients, 1, "rows of client_row (proto/rows.h)") F(u8, end, 1, "1: no more")

#define client_evict_REQ(F) F(u64, client, 1, "")
#define client_evict_REP(F) F(u64, epoch, 1, "of the map that says so")

#define target_register_REQ(F)                                       \
	F(u8, kind, 1, "enum target_kind")                           \
	F(u32, index, 1, "")                                         \
	F(str, fsname, 1, "")                                        \
	F(u64, cluster_hi, 1, "cluster uuid in its store; 0: freshly formatted") \
	F(u64, cluster_lo, 1, "")                                    \
	F(u64, store_hi, 1, "uuid of its store")                     \
	F(u64, store_lo, 1, "")                                      \
	F(u64, boot, 1, "")                                          \
	F(str, address, 1, "net address; several separated by commas")
#define target_register_REP(F)          \
	F(u64, cluster_hi, 1, "")       \
	F(u64, cluster_lo, 1, "")       \
	F(u64, epoch, 1, "")            \
	F(blob, map, 1, "cmap_encode")

#define target_beat_REQ(F)                                    \
	F(u8, kind, 1, "")                                    \
	F(u32, index, 1, "")                                  \
	F(u64, boot, 1, "")                                   \
	F(u8, state, 1, "enum target_state")                  \
	F(u64, epoch, 1, "of the map it has")                 \
	F(u64, total_bytes, 1, "")                            \
	F(u64, free_bytes, 1, "")                             \
	F(u64, available_bytes, 1, "")
#define target_beat_REP(F) F(u64, epoch, 1, "current")

/* ---- server to client ------------------------------------------------------------------------------------------ */
#define PROTO_CLIENT_OPS(OP)                                                                                          \
	OP(lease_recall, 0x0401, OPF_IDEMPOTENT, 1, "Give a lease back, or part of it: the answer says that it is done.")  \
	OP(glimpse, 0x0402, OPF_IDEMPOTENT, 1, "Size and mtime as the holder of LEASE_PW knows them; it keeps its lease.") \
	OP(lock_granted, 0x0404, OPF_IDEMPOTENT, 1, "A lock that was queued is the client's; repeated until it answers.")

#define lease_recall_REQ(F)                                                           \
	F(ino, ino, 1, "")                                                            \
	F(u64, number, 1, "of the last grant; answers to calls that carry it or an older one grant nothing from here on") \
	F(u8, attr, 1, "1: attributes may not be cached any more")                    \
	F(u8, dir, 1, "1: entries may not be cached any more")                        \
	F(u8, data_keep, 1, "enum lease_mode that may be kept of the data lease")     \
	F(u8, last_name, 1, "1: it has lost, or is about to lose, its last name: say whether it is known; a file is not open anywhere then") \
	F(u32, size_gen, 1, "truncation generation by now: the answer to the receiver's own truncation may be behind this") \
	F(u64, size_bytes, 1, "size by now, without what writers have not told")      \
	F(u8, has_data, 1, "enum data_place, when the receiver has asked for it")     \
	F(blob, data, 1, "with DATA_INLINE")
#define lease_recall_REP(F)                                                           \
	F(u8, flags, 1, "enum size_flags: is there a size")                           \
	F(u32, size_gen, 1, "truncation generation that the size belongs to")         \
	F(u64, size_bytes, 1, "")                                                     \
	F(i64, mtime_ns, 1, "of the last write")                                      \
	F(u64, blocks, 1, "of 512 bytes; 0: unknown")                                 \
	F(u64, handle, 1, "under which it has the file open without having said so; 0: not open") \
	F(blob, data, 1, "with SIZE_INLINE: the whole file, to live with its inode")  \
	F(u8, known, 1, "1: its kernel refers to the inode, and may go on asking of it when it has no name any more") \
	F(u8, wants_data, 1, "1: nothing is given back yet: once more with the data, for reads that cannot wait") \
	F(i64, atime_ns, 1, "with SIZE_ATIME: when it was last read")                 \
	F(u16, atime_gen, 1, "of the attributes by which that was decided")

#define glimpse_REQ(F) F(ino, ino, 1, "")
#define glimpse_REP(F)                                                                \
	F(u8, flags, 1, "enum size_flags: is there a size")                           \
	F(u32, size_gen, 1, "")                                                       \
	F(u64, size_bytes, 1, "")                                                     \
	F(i64, mtime_ns, 1, "")                                                       \
	F(u64, blocks, 1, "")                                                         \
	F(i64, atime_ns, 1, "with SIZE_ATIME: when it was last read")                 \
	F(u16, atime_gen, 1, "of the attributes by which that was decided")

#define lock_granted_REQ(F)                                                           \
	F(ino, ino, 1, "")                                                            \
	F(u64, waiter, 1, "of the request that was queued")                           \
	F(u64, change, 1, "number of the change that granted it")
#define lock_granted_REP(F) F(u8, unused, 1, "0")

#define PROTO_OPS(OP) PROTO_COMMON_OPS(OP) PROTO_MDS_OPS(OP) PROTO_OSS_OPS(OP) PROTO_MGS_OPS(OP) PROTO_CLIENT_OPS(OP)

#endif
