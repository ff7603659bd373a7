/* SPDX-License-Identifier: Apache-2.0
 * Permissions. Sources: POSIX.1-2017, Linux fs/namei.c, fs/attr.c, fs/xattr.c. */
#include "mds/perm.h"
#include "common/base/check.h"
#include "mds/acl.h"

#include <sys/stat.h>

int perm_in_group(const struct cred *cred, uint32_t gid)
{
	if (cred->gid == gid)
		return 1;
	for (uint32_t i = 0; i < cred->group_count; i++)
		if (cred_group(cred, i) == gid)
			return 1;
	return (cred->flags & CRED_HAS_GROUPS) != 0 ? 0 : fail(ERR_need_groups);
}

static bool allows(uint16_t perms, uint16_t mask, unsigned may)
{
	return (perms & mask & may) == may;
}

/* Does the owning group's or a named group's entry apply, with permissions that are not those of `other`? Then groups have to be known. */
static bool groups_matter(struct blob acl, uint16_t mask, unsigned may, bool by_other)
{
	for (size_t i = 0; i < acl_count(acl); i++) {
		struct acl_entry entry = acl_entry(acl, i);
		if ((entry.tag == ACL_OWNING_GROUP || entry.tag == ACL_GROUP) && allows(entry.perms, mask, may) != by_other)
			return true;
	}
	return false;
}

/* By list, for who is not the owner: the entry of the user's name, else any of those of the user's groups, else others. */
static int check_list(const struct cred *cred, const struct inode *inode, unsigned may)
{
	struct blob acl = inode->acl;
	uint16_t mask = acl_mask(acl);
	bool by_other = (inode->mode & may) == may, in_any = false;
	int unknown = 0;
	for (size_t i = 0; i < acl_count(acl); i++) {
		struct acl_entry entry = acl_entry(acl, i);
		if (entry.tag == ACL_USER && entry.id == cred->uid)
			return allows(entry.perms, mask, may) ? 0 : fail(EACCES);
	}
	if (!groups_matter(acl, mask, may, by_other))
		return by_other ? 0 : fail(EACCES);
	for (size_t i = 0; i < acl_count(acl); i++) {
		struct acl_entry entry = acl_entry(acl, i);
		if (entry.tag != ACL_OWNING_GROUP && entry.tag != ACL_GROUP)
			continue;
		int in = perm_in_group(cred, entry.tag == ACL_GROUP ? entry.id : inode->gid);
		if (in > 0 && allows(entry.perms, mask, may))
			return 0;
		in_any = in_any || in > 0;
		unknown = in < 0 ? in : unknown;
	}
	if (unknown < 0)
		return unknown;
	return by_other && !in_any ? 0 : fail(EACCES);
}

int perm_check(const struct cred *cred, const struct inode *inode, unsigned may)
{
	CHECK((inode->flags & INODE_HAS_ACL) == 0 || inode->acl.len > 0);
	if (cred->uid == 0) {
		bool executable = S_ISDIR(inode->mode) || (inode->mode & 0111) != 0;
		return (may & MAY_EXEC) != 0 && !executable ? fail(EACCES) : 0;
	}
	unsigned other = inode->mode & 7, group = inode->mode >> 3 & 7, owner = inode->mode >> 6 & 7;
	if (cred->uid == inode->uid)
		return (owner & may) == may ? 0 : fail(EACCES);
	if (inode->acl.len > 0)
		return check_list(cred, inode, may);
	bool by_group = (group & may) == may, by_other = (other & may) == may;
	if (by_group == by_other) /* the same in the group or not */
		return by_other ? 0 : fail(EACCES);
	int in = perm_in_group(cred, inode->gid);
	if (in < 0)
		return in;
	return (in ? by_group : by_other) ? 0 : fail(EACCES);
}

int perm_owner(const struct cred *cred, const struct inode *inode)
{
	return cred->uid == 0 || cred->uid == inode->uid ? 0 : fail(EPERM);
}

int perm_add(const struct cred *cred, const struct inode *dir)
{
	return dir->nlink == 0 ? fail(ENOENT) : perm_check(cred, dir, MAY_WRITE | MAY_EXEC);
}

int perm_delete(const struct cred *cred, const struct inode *dir, const struct inode *child)
{
	int rc = perm_check(cred, dir, MAY_WRITE | MAY_EXEC);
	if (rc < 0)
		return rc;
	if ((dir->mode & S_ISVTX) != 0 && cred->uid != 0 && cred->uid != child->uid && cred->uid != dir->uid)
		return fail(EPERM);
	return 0;
}

int perm_acl(const struct cred *cred, const struct inode *inode, bool is_default)
{
	if (S_ISLNK(inode->mode))
		return fail(EOPNOTSUPP);
	if (is_default && !S_ISDIR(inode->mode))
		return fail(EACCES);
	return perm_owner(cred, inode);
}

int perm_inherit(const struct cred *cred, const struct inode *dir, uint32_t mode, uint32_t *ret_mode, uint32_t *ret_gid)
{
	if ((dir->mode & S_ISGID) == 0) {
		*ret_mode = mode;
		*ret_gid = cred->gid;
		return 0;
	}
	if (S_ISDIR(mode)) {
		mode |= S_ISGID;
	} else if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && cred->uid != 0) {
		int in = perm_in_group(cred, dir->gid);
		if (in < 0)
			return in;
		if (!in)
			mode &= ~(uint32_t)S_ISGID;
	}
	*ret_mode = mode;
	*ret_gid = dir->gid;
	return 0;
}

/* Group may be changed by root, and by the owner to one of their own groups. */
static int may_change_group(const struct cred *cred, const struct inode *inode, uint32_t gid)
{
	if (cred->uid == 0 || (cred->uid == inode->uid && gid == inode->gid))
		return 0;
	if (cred->uid != inode->uid)
		return fail(EPERM);
	int in = perm_in_group(cred, gid);
	if (in < 0)
		return in;
	return in ? 0 : fail(EPERM);
}

static int change_mode(const struct cred *cred, struct inode *inode, uint32_t mode, uint32_t gid)
{
	mode = (inode->mode & S_IFMT) | (mode & 07777);
	if ((mode & S_ISGID) != 0 && cred->uid != 0 && !S_ISDIR(mode)) {
		int in = perm_in_group(cred, gid);
		if (in < 0)
			return in;
		if (!in)
			mode &= ~(uint32_t)S_ISGID;
	}
	inode->mode = mode;
	return 0;
}

/* As Linux does on a write, a truncate and a change of owner: setgid without group execution survives a member of the group only. */
static int kill_suid(const struct cred *cred, uint32_t gid, struct inode *inode)
{
	if (S_ISDIR(inode->mode))
		return 0;
	inode->mode &= ~(uint32_t)S_ISUID;
	if ((inode->mode & S_ISGID) == 0)
		return 0;
	int member = (inode->mode & S_IXGRP) != 0 ? 0 : cred->uid == 0 ? 1 : perm_in_group(cred, gid);
	if (member == 0)
		inode->mode &= ~(uint32_t)S_ISGID;
	return member < 0 ? member : 0;
}

static int times_allowed(const struct cred *cred, const struct inode *inode, uint32_t valid)
{
	bool atime = (valid & (SET_ATIME | SET_ATIME_NOW)) != 0, mtime = (valid & (SET_MTIME | SET_MTIME_NOW)) != 0;
	if ((!atime && !mtime) || perm_owner(cred, inode) == 0)
		return 0;
	/* a size change brings its own mtime; "touch" by a stranger needs write permission and now for both */
	if ((valid & SET_SIZE) != 0 && !atime)
		return 0;
	bool now = (!atime || (valid & SET_ATIME_NOW) != 0) && (!mtime || (valid & SET_MTIME_NOW) != 0);
	return now ? perm_check(cred, inode, MAY_WRITE) : fail(EPERM);
}

int perm_setattr(const struct cred *cred, struct inode *inode, const struct perm_change *change)
{
	uint32_t valid = change->valid;
	int rc = 0;
	if ((valid & SET_UID) != 0 && cred->uid != 0 && (cred->uid != inode->uid || change->uid != inode->uid))
		return fail(EPERM);
	if ((valid & SET_GID) != 0)
		rc = may_change_group(cred, inode, change->gid);
	if (rc == 0 && (valid & SET_MODE) != 0)
		rc = perm_owner(cred, inode);
	if (rc == 0 && (valid & SET_SIZE) != 0 && !change->owns_handle)
		rc = perm_check(cred, inode, MAY_WRITE);
	if (rc == 0)
		rc = times_allowed(cred, inode, valid);
	if (rc < 0)
		return rc;
	struct inode after = *inode;
	if (valid & SET_UID)
		after.uid = change->uid;
	if (valid & SET_GID)
		after.gid = change->gid;
	if ((valid & (SET_UID | SET_GID | SET_KILL_SUID)) != 0 || ((valid & SET_SIZE) != 0 && cred->uid != 0))
		rc = kill_suid(cred, inode->gid, &after);
	if (rc == 0 && (valid & SET_MODE) != 0)
		rc = change_mode(cred, &after, change->mode, after.gid);
	if (rc < 0)
		return rc;
	*inode = after;
	return 0;
}

static bool begins(struct str name, const char *prefix)
{
	size_t len = strlen(prefix);
	return name.len > len && memcmp(name.ptr, prefix, len) == 0;
}

static bool is_bare_prefix(struct str name)
{
	return str_eq(name, STR("user.")) || str_eq(name, STR("trusted.")) || str_eq(name, STR("security."));
}

int perm_xattr(const struct cred *cred, const struct inode *inode, struct str name, bool write)
{
	if (acl_is_name(name))
		return write ? perm_acl(cred, inode, str_eq(name, ACL_DEFAULT)) : 0;
	if (begins(name, "trusted."))
		return cred->uid == 0 ? 0 : fail(write ? EPERM : ENODATA);
	if (begins(name, "security."))
		return write && cred->uid != 0 ? fail(EPERM) : 0;
	if (is_bare_prefix(name))
		return fail(EINVAL);
	if (!begins(name, "user."))
		return fail(EOPNOTSUPP);
	if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
		return fail(write ? EPERM : ENODATA);
	if (write && S_ISDIR(inode->mode) && (inode->mode & S_ISVTX) != 0 && perm_owner(cred, inode) < 0)
		return fail(EPERM);
	return perm_check(cred, inode, write ? MAY_WRITE : MAY_READ);
}
