/* SPDX-License-Identifier: Apache-2.0
 * Names of things: targets, mounts, FIDs, paths. */
#include "common/cluster/vxattr.h"
#include "proto/types.h"
#include "tools/cli/cli.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>

/* The only option is a common one. True: go on with the words from optind. */
static bool only_common_options(int argc, char **argv, int *ret_status)
{
	static const struct option options[] = {COMMON_OPTIONS};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		*ret_status = 2;
		if (!cli_common_option(c, &done))
			return false;
		*ret_status = 0;
		if (done)
			return false;
	}
	return true;
}

/* The mounts that a verb is about; complains if there are none. */
static int find_mounts(const char *path, struct mount_row **ret_rows)
{
	int count = ask_mounts(path, ret_rows);
	if (count < 0)
		(void)ask_fail_mount(path, count); /* told; the caller ends with 1 */
	return count;
}

static bool is_kind(const json_t *target, const char *kind)
{
	const char *text = json_string_value(json_object_get(target, "kind"));
	return kind == NULL || (text != NULL && strcmp(text, kind) == 0);
}

static int list_targets(int argc, char **argv, const char *kind, const char *title)
{
	int status = 0;
	if (!only_common_options(argc, argv, &status))
		return status;
	if (argc - optind > 1)
		return cli_usage("'%.80s' is one path too many", argv[optind + 1]);
	struct mount_row *rows = NULL;
	int count = find_mounts(optind < argc ? argv[optind] : NULL, &rows);
	if (count < 0)
		return 1;
	json_t *all = cli.json ? json_array() : NULL;
	for (int i = 0; i < count; i++) {
		json_t *cluster = NULL;
		int rc = ask_json(rows[i].point, VXATTR_CLUSTER, &cluster);
		if (rc < 0) {
			status |= ask_fail(rows[i].point, rc);
			continue;
		}
		if (all == NULL)
			printf("%s:\n", title);
		size_t at;
		json_t *target;
		json_array_foreach(json_object_get(cluster, "targets"), at, target) {
			if (!is_kind(target, kind))
				continue;
			if (all != NULL)
				(void)json_array_append(all, target); /* jansson fails only without memory */
			else
				printf("%" JSON_INTEGER_FORMAT ": %s %s\n", json_integer_value(json_object_get(target, "index")),
				       json_string_value(json_object_get(target, "name")),
				       json_is_true(json_object_get(target, "active")) ? "ACTIVE" : "INACTIVE");
		}
		json_decref(cluster);
	}
	free(rows);
	return all != NULL ? status | cli_print_json(all) : status;
}

int verb_osts(int argc, char **argv)
{
	return list_targets(argc, argv, "ost", "OBDS");
}

int verb_mdts(int argc, char **argv)
{
	return list_targets(argc, argv, "mdt", "MDTS");
}

/* 1 if one of them does not answer. */
static int check_mount(const json_t *cluster, const char *kind, json_t *all)
{
	int status = 0;
	size_t at;
	json_t *target;
	json_array_foreach(json_object_get(cluster, "targets"), at, target) {
		bool is_mdt = is_kind(target, "mdt"), active = json_is_true(json_object_get(target, "active"));
		bool is_mgs = is_mdt && json_integer_value(json_object_get(target, "index")) == 0;
		const char *name = json_string_value(json_object_get(target, "name"));
		if (name == NULL || (strcmp(kind, "mgts") == 0 ? !is_mgs : strcmp(kind, "all") != 0 && is_mdt != (strcmp(kind, "mdts") == 0)))
			continue;
		status |= active ? 0 : 1;
		size_t len = strlen(name) > 5 && strcmp(name + strlen(name) - 5, "_UUID") == 0 ? strlen(name) - 5 : strlen(name);
		if (all != NULL) {
			(void)json_array_append(all, target); /* jansson fails only without memory */
			continue;
		}
		printf("%.*s-%s-%016" PRIx64 " %s", (int)len, name, is_mdt ? "mdc" : "osc",
		       (uint64_t)json_integer_value(json_object_get(cluster, "client")), active ? "active." : "inactive: it does not answer this client");
		int64_t waiting_s = json_integer_value(json_object_get(target, "waiting_ms")) / 1000;
		if (!active && waiting_s > 0)
			printf(", and programs have waited for it for %" PRId64 " s", waiting_s);
		printf(active ? "\n" : ".\n");
	}
	return status;
}

int verb_check(int argc, char **argv)
{
	int status = 0;
	if (!only_common_options(argc, argv, &status))
		return status;
	const char *kind = optind < argc ? argv[optind] : "";
	if (strcmp(kind, "mgts") != 0 && strcmp(kind, "osts") != 0 && strcmp(kind, "mdts") != 0 && strcmp(kind, "all") != 0)
		return cli_usage("'%.80s': mgts, osts, mdts or all was expected", kind);
	if (argc - optind > 2)
		return cli_usage("'%.80s' is one path too many", argv[optind + 2]);
	struct mount_row *rows = NULL;
	int count = find_mounts(optind + 1 < argc ? argv[optind + 1] : NULL, &rows);
	json_t *all = cli.json ? json_array() : NULL;
	status = count < 0;
	for (int i = 0; i < count; i++) {
		json_t *cluster = NULL;
		int rc = ask_json(rows[i].point, VXATTR_CLUSTER, &cluster);
		if (rc < 0) {
			status |= ask_fail(rows[i].point, rc);
			continue;
		}
		status |= check_mount(cluster, kind, all);
		json_decref(cluster);
	}
	free(rows);
	return all != NULL ? status | cli_print_json(all) : status;
}

int verb_getname(int argc, char **argv)
{
	static const struct option options[] = {{"instance", no_argument, NULL, 'i'}, {"fsname", no_argument, NULL, 'n'},
						{"uuid", no_argument, NULL, 'u'}, COMMON_OPTIONS};
	int what = 0;
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "inu", options, NULL)) != -1;) {
		if (c == 'i' || c == 'n' || c == 'u')
			what = c;
		else if (!cli_common_option(c, &done))
			return 2;
		if (done)
			return 0;
	}
	json_t *all = cli.json ? json_array() : NULL;
	int status = 0;
	for (int word = optind; word == optind || word < argc; word++) {
		struct mount_row *rows = NULL;
		int count = find_mounts(word < argc ? argv[word] : NULL, &rows);
		status |= count < 0;
		for (int i = 0; i < count; i++) {
			json_t *cluster = NULL;
			int rc = ask_json(rows[i].point, VXATTR_CLUSTER, &cluster);
			if (rc < 0) {
				status |= ask_fail(rows[i].point, rc);
				continue;
			}
			const char *fsname = json_string_value(json_object_get(cluster, "fsname"));
			uint64_t client = (uint64_t)json_integer_value(json_object_get(cluster, "client"));
			if (all != NULL)
				(void)json_array_append_new(all, json_pack("{s:s, s:I, s:s}", "fsname", fsname != NULL ? fsname : "", "client",
									   (json_int_t)client, "mountpoint", rows[i].point));
			else if (what == 'n')
				printf("%s\n", fsname);
			else if (what != 0)
				printf("%016" PRIx64 "\n", client);
			else
				printf("%s-%016" PRIx64 " %s\n", fsname, client, rows[i].point);
			json_decref(cluster);
		}
		free(rows);
	}
	return all != NULL ? status | cli_print_json(all) : status;
}

/* ---- FIDs ----------------------------------------------------------------------------------------------------- */

static int print_fid(const char *path, bool with_name, bool parents, json_t *all)
{
	char *copy = mem_strdup(path), *fid = NULL;
	char real[PATH_MAX];
	const char *asked = path;
	if (parents) {
		char *dir = dirname(copy);
		if (realpath(dir, real) == NULL) {
			int status = ask_fail(path, -errno);
			mem_free(copy);
			return status;
		}
		asked = real;
	}
	int rc = ask_text(asked, VXATTR_FID, &fid);
	mem_free(copy);
	if (rc < 0)
		return ask_fail(path, rc);
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	if (all != NULL)
		(void)json_array_append_new(all, json_pack(parents ? "{s:s, s:s, s:s}" : "{s:s, s:s}", "path", path, parents ? "parent" : "fid", fid, "name", name));
	else if (parents)
		printf("%s%s%s/%s\n", with_name ? path : "", with_name ? ": " : "", fid, name);
	else
		printf("%s%s%s\n", with_name ? path : "", with_name ? ": " : "", fid);
	free(fid);
	return 0;
}

int verb_path2fid(int argc, char **argv)
{
	static const struct option options[] = {{"parents", no_argument, NULL, 'p'}, COMMON_OPTIONS};
	bool parents = false, done = false;
	for (int c; (c = getopt_long(argc, argv, "p", options, NULL)) != -1;) {
		if (c == 'p')
			parents = true;
		else if (!cli_common_option(c, &done))
			return 2;
		if (done)
			return 0;
	}
	if (optind == argc)
		return cli_usage("a path was expected");
	json_t *all = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= print_fid(argv[i], argc - optind > 1, parents, all);
	return all != NULL ? status | cli_print_json(all) : status;
}

struct shown_paths {
	bool nul, fid, link, name;
	int64_t only; /* that link; -1: all */
	json_t *all;
};

static int print_paths(const struct shown_paths *shown, const char *point, const char *text)
{
	struct ino ino;
	if (ino_from_text(str_of(text), &ino) < 0)
		return cli_fail(text, -EINVAL, "a FID like [0x0:0x11f:0x0] was expected");
	char fid[INO_TEXT_BYTES], attribute[sizeof(VXATTR_PATHS) + INO_TEXT_BYTES];
	ino_to_text(ino, fid);
	(void)snprintf(attribute, sizeof(attribute), VXATTR_PATHS "%s", fid); /* sized for both */
	json_t *answer = NULL;
	int rc = ask_json(point, attribute, &answer);
	if (rc < 0)
		return err_is(rc, ENOENT) || err_is(rc, ENODATA) ? cli_fail(text, -ENOENT, "no file has this FID (any more)")
		       : err_is(rc, EPERM)                        ? cli_fail(text, rc, "only root may ask for paths")
								  : ask_fail(point, rc);
	size_t i;
	json_t *path;
	json_array_foreach(json_object_get(answer, "paths"), i, path) {
		const char *below = json_string_value(path);
		if (below == NULL || (shown->only >= 0 && (int64_t)i != shown->only))
			continue;
		const char *slash = strrchr(below, '/');
		if (shown->all != NULL)
			continue;
		if (shown->fid)
			printf("%s ", fid);
		if (shown->link)
			printf("%zu ", i);
		if (shown->name)
			printf("%s", slash != NULL ? slash + 1 : below);
		else
			printf("%s%s%s", point, *below != '\0' && strcmp(point, "/") != 0 ? "/" : "", below);
		putchar(shown->nul ? '\0' : '\n');
	}
	if (shown->all != NULL)
		(void)json_array_append(shown->all, answer); /* jansson fails only without memory */
	json_decref(answer);
	return 0;
}

int verb_fid2path(int argc, char **argv)
{
	static const struct option options[] = {{"print0", no_argument, NULL, '0'},   {"print-fid", no_argument, NULL, 'f'},
						{"print-link", no_argument, NULL, 'c'}, {"link", required_argument, NULL, 'l'},
						{"name", no_argument, NULL, 'n'},       COMMON_OPTIONS};
	struct shown_paths shown = {.only = -1};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "0fcl:n", options, NULL)) != -1;) {
		shown.nul |= c == '0';
		shown.fid |= c == 'f';
		shown.link |= c == 'c';
		shown.name |= c == 'n';
		if (c == 'l' && cli_parse_number(optarg, 0, INT32_MAX, &shown.only) < 0)
			return cli_usage("-l '%.80s': the number of a link was expected", optarg);
		if (c == '?')
			return 2;
		if (cli_common_option(c, &done) && done)
			return 0;
	}
	if (argc - optind < 2)
		return cli_usage("a mount point and a FID were expected");
	struct mount_row *rows = NULL;
	if (find_mounts(argv[optind], &rows) < 0)
		return 1;
	shown.all = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = optind + 1; i < argc; i++)
		status |= print_paths(&shown, rows[0].point, argv[i]);
	free(rows);
	return shown.all != NULL ? status | cli_print_json(shown.all) : status;
}
