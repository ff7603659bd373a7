/* SPDX-License-Identifier: Apache-2.0
 * Access control lists: what is refused, what they allow, and that list and mode say the same after each change of either. */
#include "mds/acl.h"
#include "mds/perm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/stat.h>

enum { ENTRIES_MAX = 12 };
struct list {
	uint8_t bytes[ACL_HEAD_BYTES + ENTRIES_MAX * ACL_ENTRY_BYTES];
	size_t len;
};

static void put(struct list *list, uint16_t tag, uint16_t perms, uint32_t id)
{
	if (list->len == 0) {
		store_le32(list->bytes, ACL_VERSION);
		list->len = ACL_HEAD_BYTES;
	}
	store_le16(list->bytes + list->len, tag);
	store_le16(list->bytes + list->len + 2, perms);
	store_le32(list->bytes + list->len + 4, id);
	list->len += ACL_ENTRY_BYTES;
}

static struct blob blob(const struct list *list)
{
	return blob_of(list->bytes, list->len);
}

/* user::rw-, user:7:rw-, group::r--, group:70:rwx, mask::rw-, other::--- */
static struct list some_list(void)
{
	struct list list = {.len = 0};
	put(&list, ACL_OWNER, 6, UINT32_MAX);
	put(&list, ACL_USER, 6, 7);
	put(&list, ACL_OWNING_GROUP, 4, UINT32_MAX);
	put(&list, ACL_GROUP, 7, 70);
	put(&list, ACL_MASK, 6, UINT32_MAX);
	put(&list, ACL_OTHERS, 0, UINT32_MAX);
	return list;
}

static void a_malformed_list_is_refused(void **state)
{
	struct list good = some_list();
	(void)state;
	assert_int_equal(acl_check(blob(&good)), 0);
	for (size_t len = 0; len < good.len; len++)
		assert_int_equal(acl_check(blob_of(good.bytes, len)), len == ACL_HEAD_BYTES ? 0 : -EINVAL);
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{0, 1},   /* another version */
		{4, 2},   /* no owner */
		{4, 3},   /* two tags in one */
		{6, 8},   /* permissions that there are not */
		{12, 1},  /* a second owner */
		{20, 2},  /* no owning group */
		{20, 1},  /* out of order */
		{36, 8},  /* no mask, but names */
		{36, 64}, /* no tag at all */
		{44, 16}, /* two masks, and no others */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct list list = good;
		list.bytes[bad[i].at] = bad[i].value;
		assert_int_equal(acl_check(blob(&list)), -EINVAL);
	}
	struct list nobody = good;
	store_le32(nobody.bytes + 16, UINT32_MAX); /* a user by no name */
	assert_int_equal(acl_check(blob(&nobody)), -EINVAL);
	static uint8_t large[ACL_BYTES_MAX + ACL_ENTRY_BYTES] = {ACL_VERSION};
	assert_int_equal(acl_check(blob_of(large, sizeof(large))), -E2BIG);
}

static void list_and_mode_stay_in_step(void **state)
{
	struct list list = some_list();
	(void)state;
	assert_int_equal(acl_mode(blob(&list), S_ISVTX | 0777), S_ISVTX | 0660); /* the group's bits are the mask */
	for (uint32_t mode = 0; mode <= 0777; mode++) {
		acl_set_mode(list.bytes, list.len, mode);
		assert_int_equal(acl_mode(blob(&list), 0), mode);
		assert_int_equal(acl_mask(blob(&list)), mode >> 3 & 7);
		assert_int_equal(acl_entry(blob(&list), 2).perms, 4); /* the owning group's own are behind the mask */
	}
	struct list minimal = {.len = 0};
	put(&minimal, ACL_OWNER, 7, UINT32_MAX);
	put(&minimal, ACL_OWNING_GROUP, 5, UINT32_MAX);
	put(&minimal, ACL_OTHERS, 1, UINT32_MAX);
	assert_int_equal(acl_check(blob(&minimal)), 0);
	assert_true(acl_is_minimal(blob(&minimal)) && !acl_is_minimal(blob(&list)));
	assert_int_equal(acl_mode(blob(&minimal), 0), 0751);
	acl_set_mode(minimal.bytes, minimal.len, 0640);
	assert_int_equal(acl_entry(blob(&minimal), 1).perms, 4);
}

static void what_is_inherited_allows_no_more_than_the_mode(void **state)
{
	(void)state;
	for (uint32_t mode = 0; mode <= 0777; mode++) {
		struct list list = some_list(); /* 0660 */
		uint32_t made = acl_inherit(list.bytes, list.len, S_ISGID | mode);
		assert_int_equal(made, S_ISGID | (mode & 0660));
		assert_int_equal(acl_mode(blob(&list), 0), mode & 0660);
		assert_int_equal(acl_entry(blob(&list), 1).perms, 6); /* by name: only the mask is narrowed */
	}
}

static int may(uint32_t uid, uint32_t gid, uint32_t group, struct blob acl, unsigned wanted)
{
	uint8_t groups[4];
	store_le32(groups, group);
	struct cred cred = {.uid = uid, .gid = gid, .flags = group != 0 ? CRED_HAS_GROUPS : 0, .group_count = group != 0, .groups_le32 = groups};
	struct inode inode = {.mode = acl_mode(acl, S_IFREG), .uid = 5, .gid = 50, .flags = INODE_HAS_ACL, .acl = acl};
	return perm_check(&cred, &inode, wanted);
}

static void the_first_class_that_matches_decides(void **state)
{
	struct list list = some_list();
	struct blob acl = blob(&list);
	(void)state;
	assert_int_equal(may(5, 1, 1, acl, MAY_READ | MAY_WRITE), 0); /* the owner, whatever the mask */
	assert_int_equal(may(5, 1, 1, acl, MAY_EXEC), -EACCES);
	assert_int_equal(may(7, 1, 1, acl, MAY_READ | MAY_WRITE), 0); /* by name */
	assert_int_equal(may(7, 50, 1, acl, MAY_EXEC), -EACCES);
	assert_int_equal(may(8, 50, 1, acl, MAY_READ), 0); /* the owning group */
	assert_int_equal(may(8, 50, 1, acl, MAY_WRITE), -EACCES);
	assert_int_equal(may(8, 1, 50, acl, MAY_READ), 0);
	assert_int_equal(may(8, 70, 1, acl, MAY_READ | MAY_WRITE), 0); /* a group by name, behind the mask */
	assert_int_equal(may(8, 70, 1, acl, MAY_EXEC), -EACCES);
	assert_int_equal(may(8, 50, 70, acl, MAY_WRITE), 0); /* any of the groups will do */
	assert_int_equal(may(8, 1, 1, acl, MAY_READ), -EACCES); /* others */
	assert_int_equal(may(0, 1, 1, acl, MAY_READ | MAY_WRITE), 0);
	acl_set_mode(list.bytes, list.len, 0606);
	assert_int_equal(may(7, 1, 1, acl, MAY_READ), -EACCES); /* nothing is left by the mask */
	assert_int_equal(may(8, 50, 1, acl, MAY_READ), -EACCES); /* in a group that says no: others' yes is not for it */
	assert_int_equal(may(8, 1, 1, acl, MAY_READ | MAY_WRITE), 0);
}

static void groups_are_asked_for_only_when_they_matter(void **state)
{
	struct list list = some_list();
	(void)state;
	assert_int_equal(may(8, 1, 0, blob(&list), MAY_READ), -ERR_need_groups);
	assert_int_equal(may(8, 70, 0, blob(&list), MAY_READ), 0);
	assert_int_equal(may(8, 1, 0, blob(&list), MAY_EXEC), -EACCES); /* no group has it, nor have others */
	assert_int_equal(may(7, 1, 0, blob(&list), MAY_READ), 0);
	assert_int_equal(may(5, 1, 0, blob(&list), MAY_EXEC), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_malformed_list_is_refused),
		cmocka_unit_test(list_and_mode_stay_in_step),
		cmocka_unit_test(what_is_inherited_allows_no_more_than_the_mode),
		cmocka_unit_test(the_first_class_that_matches_decides),
		cmocka_unit_test(groups_are_asked_for_only_when_they_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
