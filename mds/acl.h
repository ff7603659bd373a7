/* SPDX-License-Identifier: Apache-2.0
 * Access control lists: their form, and how they go together with a mode. Pure. What they allow is perm.c's business.
 *
 * The form is that of Linux' extended attributes, on the wire and in the store: le32 version 2, then entries of le16 tag, le16 permissions, le32 id.
 * In this order: owner, users by name, owning group, groups by name, mask (needed if there is anybody by name), others. A list of only owner,
 * owning group and others says no more than a mode does: it is minimal, and not kept.
 * Source: the withdrawn POSIX.1e draft 17, section 23; Linux, uapi/linux/posix_acl.h and posix_acl_xattr.h. */
#ifndef STRIA_MDS_ACL_H
#define STRIA_MDS_ACL_H

#include "common/base/bytes.h"

#define ACL_ACCESS  STR("system.posix_acl_access")
#define ACL_DEFAULT STR("system.posix_acl_default") /* of a directory: what is made in it begins with it */

enum acl_tag { ACL_OWNER = 1, ACL_USER = 2, ACL_OWNING_GROUP = 4, ACL_GROUP = 8, ACL_MASK = 16, ACL_OTHERS = 32 };
enum {
	ACL_VERSION = 2,
	ACL_HEAD_BYTES = 4,
	ACL_ENTRY_BYTES = 8,
	ACL_ENTRIES_MAX = 511, /* what fits a page: the kernel takes no more */
	ACL_BYTES_MAX = ACL_HEAD_BYTES + ACL_ENTRIES_MAX * ACL_ENTRY_BYTES,
};
struct acl_entry {
	uint16_t tag;   /* enum acl_tag */
	uint16_t perms; /* 0..7 */
	uint32_t id;    /* of a user or group by name */
};

static inline size_t acl_count(struct blob acl)
{
	return acl.len < ACL_HEAD_BYTES ? 0 : (acl.len - ACL_HEAD_BYTES) / ACL_ENTRY_BYTES;
}
struct acl_entry acl_entry(struct blob acl, size_t index);
/* Is it one of the two names? */
bool acl_is_name(struct str name);
/* 0, EINVAL, E2BIG. One without entries is well: it means that there is to be none. */
int acl_check(struct blob acl);
bool acl_is_minimal(struct blob acl);
/* What the mask leaves of the permissions of those by name and of the owning group: 7 without a mask. */
uint16_t acl_mask(struct blob acl);
/* The mode that goes with an access list: its nine bits from the list, those of the group from the mask if there is one. */
uint32_t acl_mode(struct blob acl, uint32_t mode);
/* A change of the mode, made to the list: writes to acl.ptr, which the caller owns. */
void acl_set_mode(uint8_t *acl, size_t len, uint32_t mode);
/* A default list becomes the access list of something made with `mode`: neither allows more than the other. Writes to acl; returns the mode. */
uint32_t acl_inherit(uint8_t *acl, size_t len, uint32_t mode);

#endif
