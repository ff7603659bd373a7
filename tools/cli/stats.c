/* SPDX-License-Identifier: Apache-2.0
 * stats: how many requests the kernel made of a mount, and how many of its calls went to servers. */
#include "common/cluster/vxattr.h"
#include "tools/cli/cli.h"

#include <stdlib.h>

static void print_counts(const char *title, const json_t *rows)
{
	const char *name;
	const json_t *count;
	printf("%s\n", title);
	json_object_foreach((json_t *)(uintptr_t)rows, name, count)
		printf("  %-16s %10" JSON_INTEGER_FORMAT "\n", name, json_integer_value(count));
}

static void print_calls(const char *title, const json_t *rows, const char *member)
{
	const char *name;
	const json_t *row;
	printf("%-18s %10s %8s %9s\n", title, "COUNT", "FAILED", "MEAN us");
	json_object_foreach((json_t *)(uintptr_t)rows, name, row)
		printf("  %-16s %10" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT "\n", name,
		       json_integer_value(json_object_get(row, member)), json_integer_value(json_object_get(row, "failed")),
		       json_integer_value(json_object_get(row, "mean_us")));
}

int verb_stats(int argc, char **argv)
{
	static const struct option options[] = {COMMON_OPTIONS};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		if (!cli_common_option(c, &done) || done)
			return done ? 0 : 2;
	if (argc - optind > 1)
		return cli_usage("'%.80s' is one path too many", argv[optind + 1]);
	const char *path = optind < argc ? argv[optind] : NULL;
	struct mount_row *rows = NULL;
	int count = ask_mounts(path, &rows), status = 0;
	if (count < 0)
		return ask_fail_mount(path, count);
	json_t *all = json_array();
	for (int i = 0; i < count; i++) {
		json_t *stats = NULL;
		int rc = ask_json(rows[i].point, VXATTR_STATS, &stats);
		if (rc < 0) {
			status |= ask_fail(rows[i].point, rc);
			continue;
		}
		if (!cli.json) {
			printf("%s\n", rows[i].point);
			print_counts("requests of the kernel", json_object_get(stats, "requests"));
			print_counts("answered from leases", json_object_get(stats, "hits"));
			print_calls("calls to servers", json_object_get(stats, "calls"), "made");
			print_calls("calls from servers", json_object_get(stats, "ops"), "served");
		}
		(void)json_object_set_new(stats, "mountpoint", json_string(rows[i].point)); /* jansson fails only without memory */
		(void)json_array_append_new(all, stats);
	}
	free(rows);
	if (cli.json)
		return status | cli_print_json(all);
	json_decref(all);
	return status;
}
