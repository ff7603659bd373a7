/* SPDX-License-Identifier: Apache-2.0
 * Permission checks as POSIX and Linux make them. Pure. Every check answers 0, EACCES or EPERM, or ERR_need_groups when the answer depends on
 * supplementary groups that the call did not carry. */
#ifndef STRIA_MDS_PERM_H
#define STRIA_MDS_PERM_H

#include "mds/record.h"

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };

/* The inode's access list, if its flags say that it has one, must have been loaded. */
/* Is the caller in that group? 1, 0, or -ERR_need_groups. */
int perm_in_group(const struct cred *cred, uint32_t gid);
int perm_check(const struct cred *cred, const struct inode *inode, unsigned may);
/* EPERM unless owner or root. */
int perm_owner(const struct cred *cred, const struct inode *inode);
/* May the caller add an entry to `dir`? Write and search on it (EACCES); ENOENT: it has been removed. */
int perm_add(const struct cred *cred, const struct inode *dir);
/* May the caller remove or replace the entry of `child` in `dir`? Write and search on dir (EACCES), the sticky rule (EPERM). */
int perm_delete(const struct cred *cred, const struct inode *dir, const struct inode *child);
/* May the caller set or remove this inode's access list (default: its default one)? EPERM; EACCES (a default one of what is no directory); EOPNOTSUPP. */
int perm_acl(const struct cred *cred, const struct inode *inode, bool is_default);
/* Mode and group of something new in `dir`: set-group-id directories hand their group down. `mode` has its type. */
int perm_inherit(const struct cred *cred, const struct inode *dir, uint32_t mode, uint32_t *ret_mode, uint32_t *ret_gid);

/* The attribute changes that a setattr may make, as in notify_change(): rewrites *mode, *uid, *gid. `valid` as in the request; owns_handle: the size changes
 * through an open handle. */
struct perm_change {
	uint32_t valid, mode, uid, gid;
	bool owns_handle;
};
int perm_setattr(const struct cred *cred, struct inode *inode, const struct perm_change *change);
/* May the caller read or write this extended attribute? Also checks the namespace: EOPNOTSUPP, EPERM. */
int perm_xattr(const struct cred *cred, const struct inode *inode, struct str name, bool write);

#endif
