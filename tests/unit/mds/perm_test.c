/* SPDX-License-Identifier: Apache-2.0
 * Permissions: set-id bits at each change that takes them away, what a directory hands down, who may add to it and remove from it. */
#include "mds/perm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/stat.h>

enum { OWNER = 5, GROUP = 50, STRANGER = 9 };

static struct cred cred_of(uint32_t uid, uint32_t gid)
{
	return (struct cred){.uid = uid, .gid = gid, .flags = CRED_HAS_GROUPS};
}

/* The mode after a change by that caller, or a negative error. */
static int mode_after(uint32_t mode, uint32_t uid, uint32_t gid, struct perm_change change)
{
	struct inode inode = {.mode = mode, .uid = OWNER, .gid = GROUP, .nlink = 1};
	struct cred cred = cred_of(uid, gid);
	int rc = perm_setattr(&cred, &inode, &change);
	return rc < 0 ? rc : (int)(inode.mode & 07777);
}

static void who_writes_takes_set_id_bits_away(void **state)
{
	const struct perm_change wrote = {.valid = SET_KILL_SUID};
	(void)state;
	assert_int_equal(mode_after(S_IFREG | 06777, STRANGER, 1, wrote), 0777);
	assert_int_equal(mode_after(S_IFREG | 06777, STRANGER, GROUP, wrote), 0777); /* with group execution also from a member */
	assert_int_equal(mode_after(S_IFREG | 06767, STRANGER, 1, wrote), 0767);
	assert_int_equal(mode_after(S_IFREG | 06767, OWNER, 1, wrote), 0767); /* the owner need not be a member */
	assert_int_equal(mode_after(S_IFREG | 06767, STRANGER, GROUP, wrote), 02767);
	assert_int_equal(mode_after(S_IFDIR | 02777, STRANGER, 1, wrote), 02777); /* of a directory it says something else */
}

static void a_change_of_owner_takes_set_id_bits_away(void **state)
{
	(void)state;
	assert_int_equal(mode_after(S_IFREG | 06755, 0, 0, (struct perm_change){.valid = SET_UID, .uid = 7}), 0755);
	assert_int_equal(mode_after(S_IFREG | 06745, 0, 0, (struct perm_change){.valid = SET_UID, .uid = 7}), 02745);
	assert_int_equal(mode_after(S_IFREG | 06755, OWNER, GROUP, (struct perm_change){.valid = SET_GID, .gid = GROUP}), 0755);
	assert_int_equal(mode_after(S_IFREG | 0755, OWNER, GROUP, (struct perm_change){.valid = SET_UID, .uid = 7}), -EPERM);
	assert_int_equal(mode_after(S_IFREG | 0755, OWNER, GROUP, (struct perm_change){.valid = SET_GID, .gid = 51}), -EPERM);
}

static void setgid_is_not_set_by_who_is_no_member(void **state)
{
	(void)state;
	assert_int_equal(mode_after(S_IFREG | 0755, OWNER, 1, (struct perm_change){.valid = SET_MODE, .mode = 06755}), 04755);
	assert_int_equal(mode_after(S_IFREG | 0755, OWNER, GROUP, (struct perm_change){.valid = SET_MODE, .mode = 06755}), 06755);
	assert_int_equal(mode_after(S_IFREG | 0755, STRANGER, GROUP, (struct perm_change){.valid = SET_MODE, .mode = 0777}), -EPERM);
}

static void a_setgid_directory_hands_its_group_down(void **state)
{
	struct inode dir = {.mode = S_IFDIR | S_ISGID | 0777, .gid = GROUP, .nlink = 2};
	struct cred cred = cred_of(STRANGER, 1);
	uint32_t mode = 0, gid = 0;
	(void)state;
	assert_int_equal(perm_inherit(&cred, &dir, S_IFDIR | 0755, &mode, &gid), 0);
	assert_true(mode == (S_IFDIR | S_ISGID | 0755) && gid == GROUP);
	assert_int_equal(perm_inherit(&cred, &dir, S_IFREG | S_ISGID | 0755, &mode, &gid), 0);
	assert_true(mode == (S_IFREG | 0755) && gid == GROUP); /* he is no member of it */
	dir.mode &= ~(uint32_t)S_ISGID;
	assert_int_equal(perm_inherit(&cred, &dir, S_IFREG | 0644, &mode, &gid), 0);
	assert_true(mode == (S_IFREG | 0644) && gid == 1);
}

static void names_are_made_and_removed_by_who_may(void **state)
{
	struct inode dir = {.mode = S_IFDIR | S_ISVTX | 0777, .uid = OWNER, .nlink = 2}, child = {.mode = S_IFREG, .uid = 7, .nlink = 1};
	struct cred owner = cred_of(OWNER, 1), stranger = cred_of(STRANGER, 1), maker = cred_of(7, 1);
	(void)state;
	assert_int_equal(perm_add(&stranger, &dir), 0);
	assert_int_equal(perm_delete(&stranger, &dir, &child), -EPERM); /* sticky */
	assert_int_equal(perm_delete(&owner, &dir, &child), 0);
	assert_int_equal(perm_delete(&maker, &dir, &child), 0);
	dir.mode = S_IFDIR | 0755;
	assert_int_equal(perm_add(&stranger, &dir), -EACCES);
	assert_int_equal(perm_delete(&maker, &dir, &child), -EACCES);
	dir.nlink = 0; /* removed: not even root */
	struct cred root = cred_of(0, 0);
	assert_int_equal(perm_add(&root, &dir), -ENOENT);
}

static void a_default_list_is_a_directorys_and_its_owners(void **state)
{
	struct inode dir = {.mode = S_IFDIR | 0777, .uid = OWNER, .nlink = 2}, file = {.mode = S_IFREG | 0777, .uid = OWNER, .nlink = 1};
	struct inode link = {.mode = S_IFLNK | 0777, .uid = OWNER, .nlink = 1};
	struct cred owner = cred_of(OWNER, 1), stranger = cred_of(STRANGER, 1);
	(void)state;
	assert_int_equal(perm_acl(&owner, &dir, true), 0);
	assert_int_equal(perm_acl(&owner, &file, false), 0);
	assert_int_equal(perm_acl(&owner, &file, true), -EACCES);
	assert_int_equal(perm_acl(&owner, &link, false), -EOPNOTSUPP);
	assert_int_equal(perm_acl(&stranger, &dir, false), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_writes_takes_set_id_bits_away),
		cmocka_unit_test(a_change_of_owner_takes_set_id_bits_away),
		cmocka_unit_test(setgid_is_not_set_by_who_is_no_member),
		cmocka_unit_test(a_setgid_directory_hands_its_group_down),
		cmocka_unit_test(names_are_made_and_removed_by_who_may),
		cmocka_unit_test(a_default_list_is_a_directorys_and_its_owners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
