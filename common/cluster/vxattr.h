/* SPDX-License-Identifier: Apache-2.0
 * Virtual extended attributes: what the command line asks a mount. Names and JSON are the contract between client/ (which answers) and
 * tools/cli (which asks); neither may include the other. They are not listed by listxattr. An unknown "stria.…" name gives ENODATA.
 *
 * A get works on any inode unless said otherwise, by anybody who may reach it; a set needs what the operation beneath needs. */
#ifndef STRIA_CLUSTER_VXATTR_H
#define STRIA_CLUSTER_VXATTR_H

#define VXATTR_PREFIX "stria."

/* get: text, "[0x0:0x11f:0x0]". */
#define VXATTR_FID "stria.fid"

/* get, of a regular file:
 *   {"kind": "file", "fid": "[…]", "gen": 1, "inline": true (its data lives with its inode, the objects are for when it grows), "components": [
 *     {"id": 1, "start": 0, "end": null (to the end), "pattern": "raid0", "flags": ["init"], "pool": "",
 *      "stripe_size": 1048576, "stripe_count": 4, "stripe_index": 2 (its first OST), "osts": [2, 3, 0, 1]}]}
 * of a directory (its default for new files):
 *   {"kind": "dir", "fid": "[…]", "inherited": true (it has none of its own: this is the file system's), "components": [
 *     {…, "stripe_count": 1 or -1 (all), "stripe_index": -1 (chosen by the MDS), "osts": [] or the wanted list}]}
 * set, {"stripe_count": 0 default|-1 all|n, "stripe_size": 0 default|bytes, "stripe_index": -1|n, "osts": [] or [1, 3]}:
 *   of a file without data its layout (EEXIST: it has data), of a directory the default for new files.
 * remove, of a directory: its own default. Other types: ENODATA; errors of set: EINVAL, EEXIST, EPERM, EACCES, ENOSPC. */
#define VXATTR_LAYOUT "stria.layout"

/* get: {"fid": "[…]", "mdt_index": 0, "mdt_count": 1}: the MDT of the inode's shard. */
#define VXATTR_PLACE "stria.place"

/* get: {"fsname": "stria", "client": 7, "mountpoint": "/mnt/fs", "mgs": "tcp://…", "epoch": 12, "targets": [
 *   {"name": "stria-OST0000_UUID", "kind": "mdt"|"ost", "index": 0, "state": "up"|"down"|"starting"|"recovering" (as the map says),
 *    "address": "tcp://…", "active": true (it has just answered us),
 *    "total_bytes": …, "free_bytes": …, "available_bytes": …, "inodes_used": …, "inodes_free": … (only of active ones)}]}
 * Targets in the order of the map: MDTs, then OSTs. Asks all targets at once and waits 2 s for them at most. */
#define VXATTR_CLUSTER "stria.cluster"

/* get "stria.paths:[0x0:0x11f:0x0]": {"fid": "[…]", "paths": ["a/b", "a/c"]}, from the root without '/'. ENOENT: no such inode; EPERM:
 * only root may ask. */
#define VXATTR_PATHS "stria.paths:"

/* get, of a file: {"fid": "[…]", "more": false (true: there are more locks than an answer holds), "locks": [
 *   {"state": "held"|"waits", "kind": "flock"|"posix"|"ofd", "type": "read"|"write", "start": 0, "end": 99|null (to the end), "client": 7,
 *    "host": "node1", "mountpoint": "/mnt/fs" (of that client; "" when it is not known any more), "pid": 1234 (there), "owner": "…" (hex)}]}
 * What is held, then who waits, in order of arrival. */
#define VXATTR_LOCKS "stria.locks"

/* get: what this mount has done since it began, asking nobody: {"requests": {"lookup": 17, …} (the kernel's, by kind),
 *   "ops": {"lease_recall": {"served": 1, "failed": 0, "mean_us": 12}, …} (what targets asked it),
 *   "calls": {"lookup": {"made": 9, "failed": 0, "mean_us": 140}, …} (what it asked them),
 *   "hits": {"attr": 5, "name": 8, "list": 0, "open": 2} (answered from leases, without a call), "recalls": 1, "nodes": 40, "unstable_bytes": 0} */
#define VXATTR_STATS "stria.stats"

/* set, on the parent directory: {"name": "d", "mode": 493, "mdt_index": -1 (chosen)|n, "mdt_count": 1}: mkdir there, umask applied by the
 * caller. Errors: those of mkdir, EINVAL (no such MDT), EOPNOTSUPP (mdt_count above 1). */
#define VXATTR_MKDIR "stria.mkdir"

#endif
