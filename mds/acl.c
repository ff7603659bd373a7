/* SPDX-License-Identifier: Apache-2.0
 * Lists: checked, and kept in step with modes. */
#include "mds/acl.h"
#include "common/base/err.h"

struct acl_entry acl_entry(struct blob acl, size_t index)
{
	const uint8_t *at = acl.ptr + ACL_HEAD_BYTES + index * ACL_ENTRY_BYTES;
	return (struct acl_entry){load_le16(at), load_le16(at + 2), load_le32(at + 4)};
}

static void set_perms(uint8_t *acl, size_t index, uint16_t perms)
{
	store_le16(acl + ACL_HEAD_BYTES + index * ACL_ENTRY_BYTES + 2, perms);
}

bool acl_is_name(struct str name)
{
	return str_eq(name, ACL_ACCESS) || str_eq(name, ACL_DEFAULT);
}

int acl_check(struct blob acl)
{
	uint32_t last = 0, seen = 0;
	if (acl.len < ACL_HEAD_BYTES || (acl.len - ACL_HEAD_BYTES) % ACL_ENTRY_BYTES != 0 || load_le32(acl.ptr) != ACL_VERSION)
		return fail(EINVAL);
	if (acl.len > ACL_BYTES_MAX)
		return fail(E2BIG);
	for (size_t i = 0; i < acl_count(acl); i++) {
		struct acl_entry entry = acl_entry(acl, i);
		bool by_name = entry.tag == ACL_USER || entry.tag == ACL_GROUP;
		bool is_tag = entry.tag != 0 && entry.tag <= ACL_OTHERS && (entry.tag & (entry.tag - 1)) == 0;
		if (!is_tag || entry.perms > 7 || entry.tag < last || (entry.tag == last && !by_name) || (by_name && entry.id == UINT32_MAX))
			return fail(EINVAL);
		last = entry.tag;
		seen |= entry.tag;
	}
	uint32_t needed = ACL_OWNER | ACL_OWNING_GROUP | ACL_OTHERS | ((seen & (ACL_USER | ACL_GROUP)) != 0 ? ACL_MASK : 0);
	return seen == 0 || (seen & needed) == needed ? 0 : fail(EINVAL);
}

bool acl_is_minimal(struct blob acl)
{
	return acl_count(acl) <= 3;
}

uint16_t acl_mask(struct blob acl)
{
	for (size_t i = 0; i < acl_count(acl); i++)
		if (acl_entry(acl, i).tag == ACL_MASK)
			return acl_entry(acl, i).perms;
	return 7;
}

/* Whose permissions the group bits of the mode are. */
static enum acl_tag group_class(struct blob acl)
{
	size_t count = acl_count(acl);
	return count >= 2 && acl_entry(acl, count - 2).tag == ACL_MASK ? ACL_MASK : ACL_OWNING_GROUP; /* others come last */
}

/* Where in a mode an entry's permissions stand; -1: in none. */
static int shift_of(uint16_t tag, enum acl_tag group)
{
	return tag == ACL_OWNER ? 6 : tag == group ? 3 : tag == ACL_OTHERS ? 0 : -1;
}

uint32_t acl_mode(struct blob acl, uint32_t mode)
{
	enum acl_tag group = group_class(acl);
	for (size_t i = 0; i < acl_count(acl); i++) {
		struct acl_entry entry = acl_entry(acl, i);
		int shift = shift_of(entry.tag, group);
		if (shift >= 0)
			mode = (mode & ~(7u << shift)) | (uint32_t)entry.perms << shift;
	}
	return mode;
}

void acl_set_mode(uint8_t *acl, size_t len, uint32_t mode)
{
	struct blob blob = blob_of(acl, len);
	enum acl_tag group = group_class(blob);
	for (size_t i = 0; i < acl_count(blob); i++) {
		int shift = shift_of(acl_entry(blob, i).tag, group);
		if (shift >= 0)
			set_perms(acl, i, mode >> shift & 7);
	}
}

uint32_t acl_inherit(uint8_t *acl, size_t len, uint32_t mode)
{
	struct blob blob = blob_of(acl, len);
	mode &= acl_mode(blob, 0) | ~(uint32_t)0777;
	acl_set_mode(acl, len, mode);
	return mode;
}
