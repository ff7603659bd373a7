/* SPDX-License-Identifier: Apache-2.0
 * What a mount is told in the words of mount(8). */
#include "client/mount_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void names_of_file_systems_are_taken_apart(void **state)
{
	(void)state;
	struct mount_spec spec;
	char error[CONF_ERROR_BYTES_MAX] = "";
	assert_int_equal(mount_spec_parse("10.0.0.1:7400,tcp://h:1:/demo", &spec, error), 0);
	assert_string_equal(spec.mgs, "tcp://10.0.0.1:7400,tcp://h:1");
	assert_string_equal(spec.fsname, "demo");
	const char *const bad[] = {"", "demo", "h:/demo", "h:1:/", "h:1:/de-mo", "h:1:/ninechars", ":1:/demo", "h:x:/demo"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		assert_int_equal(mount_spec_parse(bad[i], &spec, error), -ERR_conf);
		assert_true(error[0] != '\0');
	}
}

static void options_are_ours_the_kernels_or_nobodys(void **state)
{
	(void)state;
	const char list[] = "rw,nosuid,soft,timeo=50,hard,_netdev,x-systemd.automount,noatime,log=/l";
	char ours[256], kernels[256]; /* MOUNT_LIST_BYTES at least */
	mount_options_split(list, ours, kernels);
	assert_string_equal(ours, "soft,timeo=50,soft=false,atime=noatime,log=/l"); /* the last of hard and soft counts */
	assert_string_equal(kernels, "nosuid,noatime");
	mount_options_split("hard", ours, kernels);
	assert_string_equal(ours, "soft=false");
	assert_string_equal(kernels, "");
	mount_options_split("strictatime,nodiratime,relatime", ours, kernels);
	assert_string_equal(ours, "atime=strictatime,diratime=false,atime=relatime");
	assert_string_equal(kernels, ""); /* libfuse knows no nodiratime */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_file_systems_are_taken_apart),
		cmocka_unit_test(options_are_ours_the_kernels_or_nobodys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
