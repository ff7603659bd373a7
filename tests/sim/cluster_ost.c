/* SPDX-License-Identifier: Apache-2.0
 * How an OST of the cluster starts. */
#include "tests/sim/cluster.h"

#include <stdio.h>

int cluster_ost_start(struct env *env, unsigned index, bool empty, const char *mgs, struct ost **ret_ost, char ret_error[OST_ERROR_BYTES])
{
	char listen[NET_ADDR_BYTES_MAX], address[NET_ADDR_BYTES_MAX];
	(void)snprintf(listen, sizeof(listen), "tcp://ost%u:7400", index);
	struct ost_format_opts format = {.fsname = "sim", .index = index};
	int rc = empty ? ost_format(env, &format, ret_error) : 0;
	if (rc < 0)
		return rc;
	struct ost *ost = ost_new(env, &(struct ost_conf){.listen = listen, .mgs = mgs, .buffers = 6, .open_files_max = 16});
	rc = ost_start(ost, address);
	if (rc < 0) {
		(void)snprintf(ret_error, OST_ERROR_BYTES, "%s", ost_error(ost));
		return rc;
	}
	*ret_ost = ost;
	return 0;
}
