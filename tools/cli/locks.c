/* SPDX-License-Identifier: Apache-2.0
 * locks: who holds locks on a file and who waits, on all mounts. */
#include "common/cluster/vxattr.h"
#include "tools/cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>

struct shown_locks {
	bool waiting_only, no_header, many;
	json_t *all; /* NULL: printed */
};

static const char *text_of(const json_t *lock, const char *key)
{
	const char *text = json_string_value(json_object_get(lock, key));
	return text != NULL && text[0] != '\0' ? text : "-";
}

/* "0-99", "100-" to the end. */
static void range_text(const json_t *lock, char text[48])
{
	uint64_t start = (uint64_t)json_integer_value(json_object_get(lock, "start"));
	const json_t *end = json_object_get(lock, "end");
	if (json_is_integer(end))
		(void)snprintf(text, 48, "%" PRIu64 "-%" PRIu64, start, (uint64_t)json_integer_value(end)); /* fits */
	else
		(void)snprintf(text, 48, "%" PRIu64 "-", start); /* fits */
}

static void print_lock(const json_t *lock)
{
	char range[48];
	range_text(lock, range);
	printf("%-5s %-5s %-5s %-24s %16" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %s:%s\n", text_of(lock, "state"), text_of(lock, "kind"),
	       text_of(lock, "type"), range, json_integer_value(json_object_get(lock, "client")), json_integer_value(json_object_get(lock, "pid")),
	       text_of(lock, "host"), text_of(lock, "mountpoint"));
}

static int show_locks(const char *path, const struct shown_locks *shown)
{
	json_t *answer = NULL;
	int rc = ask_json(path, VXATTR_LOCKS, &answer);
	if (rc < 0)
		return ask_fail(path, rc);
	json_t *locks = json_object_get(answer, "locks"), *lock;
	size_t at;
	for (at = json_array_size(locks); shown->waiting_only && at > 0; at--)
		if (strcmp(text_of(json_array_get(locks, at - 1), "state"), "waits") != 0)
			(void)json_array_remove(locks, at - 1); /* it is there */
	if (shown->all != NULL) {
		(void)json_object_set_new(answer, "path", json_string(path)); /* jansson fails only without memory */
		(void)json_array_append_new(shown->all, answer);
		return 0;
	}
	if (shown->many)
		printf("%s:\n", path);
	if (!shown->no_header && json_array_size(locks) > 0)
		printf("%-5s %-5s %-5s %-24s %16s %10s %s\n", "STATE", "KIND", "TYPE", "BYTES", "CLIENT", "PID", "HOST:MOUNT");
	json_array_foreach(locks, at, lock)
		print_lock(lock);
	if (json_is_true(json_object_get(answer, "more")))
		printf("and more\n");
	json_decref(answer);
	return 0;
}

int verb_locks(int argc, char **argv)
{
	static const struct option options[] = {{"waiting", no_argument, NULL, 'w'}, {"no-header", no_argument, NULL, 'N'}, COMMON_OPTIONS};
	struct shown_locks shown = {0};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "wN", options, NULL)) != -1;) {
		if (c == 'w')
			shown.waiting_only = true;
		else if (c == 'N')
			shown.no_header = true;
		else if (!cli_common_option(c, &done))
			return 2;
		if (done)
			return 0;
	}
	if (optind == argc)
		return cli_usage("a file was expected");
	shown.many = argc - optind > 1;
	shown.all = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= show_locks(argv[i], &shown);
	return shown.all != NULL ? status | cli_print_json(shown.all) : status;
}
