/* SPDX-License-Identifier: Apache-2.0
 * What a mount is told in the words of mount(8): the file system's name and options. Pure. */
#ifndef STRIA_CLIENT_MOUNT_SPEC_H
#define STRIA_CLIENT_MOUNT_SPEC_H

#include "common/core/conf.h"
#include "proto/proto.h"

enum { MOUNT_MGS_BYTES_MAX = 1024, MOUNT_FSNAME_BYTES_MAX = 8 };

/* "HOST:PORT:/fsname", "tcp://HOST:PORT:/fsname", several MGS addresses separated by commas. */
struct mount_spec {
	char mgs[MOUNT_MGS_BYTES_MAX]; /* addresses with their scheme, separated by commas */
	char fsname[MOUNT_FSNAME_BYTES_MAX + 1];
};
/* Errors: ERR_conf, and ret_error says in one line what was expected. */
int mount_spec_parse(const char *text, struct mount_spec *ret_spec, char ret_error[CONF_ERROR_BYTES_MAX]);

/* An -o list in two: what our own table may know, and what is the kernel's (nosuid, noatime, …). What mount(8) passes for itself alone (_netdev,
 * user, …) is dropped. Each of the two has room for MOUNT_LIST_BYTES(list). */
#define MOUNT_LIST_BYTES(list) (3 * strlen(list) + 1)
void mount_options_split(const char *list, char *ret_ours, char *ret_kernel);

#endif
