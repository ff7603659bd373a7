/* SPDX-License-Identifier: Apache-2.0
 * mkdir (setdirstripe) and getdirstripe. A directory has one stripe in this version; Lustre prints such a one as striped over 0. */
#include "common/cluster/vxattr.h"
#include "tools/cli/cli.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MDT_INDEX_LIMIT = 65535 };

static int mkdir_one(const char *path, int64_t mdt_index, mode_t mode)
{
	char parent[PATH_MAX];
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(parent))
		return cli_fail(path, len == 0 ? -ENOENT : -ENAMETOOLONG, NULL);
	memcpy(parent, path, len);
	parent[len] = '\0';
	char *slash = strrchr(parent, '/');
	const char *name = slash != NULL ? slash + 1 : parent;
	json_t *value = json_pack("{s:s, s:i, s:I, s:i}", "name", name, "mode", (int)mode, "mdt_index", (json_int_t)mdt_index, "mdt_count", 1);
	if (value == NULL)
		return cli_fail(path, -EILSEQ, "a name that is no UTF-8 can be made with mkdir(1)");
	const char *above = ".";
	if (slash != NULL) {
		*slash = '\0';
		above = slash == parent ? "/" : parent;
	}
	int rc = ask_set(above, VXATTR_MKDIR, value);
	if (err_is(rc, EINVAL) && mdt_index >= 0)
		return cli_fail(path, rc, "is there such an MDT? stria mdts lists them");
	return rc < 0 ? ask_fail(err_is(rc, ENOENT) || err_is(rc, EOPNOTSUPP) ? above : path, rc) : 0;
}

int verb_mkdir(int argc, char **argv)
{
	static const struct option options[] = {
		{"mdt-count", required_argument, NULL, 'c'}, {"count", required_argument, NULL, 'c'},
		{"mdt-index", required_argument, NULL, 'i'}, {"index", required_argument, NULL, 'i'},
		{"mdt-hash", required_argument, NULL, 'H'},  {"mode", required_argument, NULL, 'o'},
		{"default", no_argument, NULL, 'D'},         {"delete", no_argument, NULL, 'd'},
		{"max-inherit", required_argument, NULL, 'X'}, COMMON_OPTIONS};
	int64_t count = 1, index = -1;
	mode_t mode = 0777;
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "c:T:C:i:H:o:DdX:", options, NULL)) != -1;) {
		char *end = NULL;
		switch (c) {
		case 'c':
		case 'C':
		case 'T':
			if (cli_parse_number(optarg, -1, MDT_INDEX_LIMIT, &count) < 0)
				return cli_usage("-%c '%.80s': a number of stripes was expected", c, optarg);
			if (count > 1 || count < 0)
				return cli_usage("-%c %" PRId64 ": a directory has one stripe in this version", c, count);
			break;
		case 'i':
			if (cli_parse_number(optarg, -1, MDT_INDEX_LIMIT - 1, &index) < 0)
				return cli_usage("-i '%.80s': the number of one MDT, or -1, was expected", optarg);
			break;
		case 'H':
			if (strcmp(optarg, "all_char") != 0 && strcmp(optarg, "fnv_1a_64") != 0 && strcmp(optarg, "crush") != 0 && strcmp(optarg, "crush2") != 0)
				return cli_usage("-H '%.80s': all_char, fnv_1a_64, crush or crush2 was expected", optarg);
			break; /* one order of names serves all */
		case 'o':
			mode = (mode_t)strtoul(optarg, &end, 8);
			if (end == optarg || *end != '\0' || mode > 07777)
				return cli_usage("-o '%.80s': octal permission bits were expected, like 755", optarg);
			break;
		case 'D':
		case 'd':
		case 'X':
			return cli_usage("-%c: defaults for directories below do not exist in this version", c);
		default:
			if (!cli_common_option(c, &done))
				return 2;
			if (done)
				return 0;
		}
	}
	if (optind == argc)
		return cli_usage("a directory was expected");
	mode_t mask = umask(0);
	(void)umask(mask); /* it was only asked for */
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= mkdir_one(argv[i], index, mode & ~mask);
	return status;
}

struct shown_dir {
	bool count, index, hash, fid, is_default, recursive;
	json_t *rows;
};

static int show_dir(const struct shown_dir *shown, const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return ask_fail(path, -errno);
	if (!S_ISDIR(st.st_mode))
		return cli_fail(path, -ENOTDIR, "getstripe shows files");
	json_t *place = NULL;
	int rc = ask_json(path, VXATTR_PLACE, &place);
	if (rc < 0)
		return ask_fail(path, rc);
	int64_t mdt = json_integer_value(json_object_get(place, "mdt_index"));
	const char *fid = json_string_value(json_object_get(place, "fid"));
	if (shown->rows != NULL) {
		(void)json_object_set_new(place, "path", json_string(path)); /* jansson fails only without memory */
		(void)json_array_append(shown->rows, place);
	} else if (shown->count || shown->index || shown->hash || shown->fid) {
		if (shown->count)
			printf("%d\n", shown->is_default ? 1 : 0);
		if (shown->index)
			printf("%" PRId64 "\n", shown->is_default ? -1 : mdt);
		if (shown->hash)
			printf("none\n");
		if (shown->fid)
			printf("%s\n", fid != NULL ? fid : "");
	} else if (shown->is_default) {
		printf("lmv_stripe_count: 1 lmv_stripe_offset: -1 lmv_hash_type: none lmv_max_inherit: -1 lmv_max_inherit_rr: -1\n");
	} else {
		printf("lmv_stripe_count: 0 lmv_stripe_offset: %" PRId64 " lmv_hash_type: none\n", mdt);
	}
	json_decref(place);
	return 0;
}

static int show_below(const struct shown_dir *shown, const char *path)
{
	int status = show_dir(shown, path);
	DIR *dir = shown->recursive ? opendir(path) : NULL;
	if (dir == NULL)
		return status;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char child[PATH_MAX];
		struct stat st;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= (int)sizeof(child))
			continue;
		if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode))
			status |= show_below(shown, child);
	}
	(void)closedir(dir); /* it was only read */
	return status;
}

int verb_getdirstripe(int argc, char **argv)
{
	static const struct option options[] = {
		{"mdt-count", no_argument, NULL, 'c'}, {"mdt-index", no_argument, NULL, 'i'}, {"mdt-hash", no_argument, NULL, 'H'},
		{"fid", no_argument, NULL, 'F'},       {"default", no_argument, NULL, 'D'},   {"recursive", no_argument, NULL, 'r'},
		{"raw", no_argument, NULL, 'R'},       {"verbose", no_argument, NULL, 'v'},   {"yaml", no_argument, NULL, 'y'},
		COMMON_OPTIONS};
	struct shown_dir shown = {0};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "cTimHFDrRvyO:X", options, NULL)) != -1;) {
		shown.count |= c == 'c' || c == 'T';
		shown.index |= c == 'i' || c == 'm';
		shown.hash |= c == 'H';
		shown.fid |= c == 'F';
		shown.is_default |= c == 'D';
		shown.recursive |= c == 'r';
		if (c == '?')
			return 2;
		if (cli_common_option(c, &done) && done)
			return 0;
	}
	if (optind == argc)
		return cli_usage("a directory was expected");
	shown.rows = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= show_below(&shown, argv[i]);
	return shown.rows != NULL ? status | cli_print_json(shown.rows) : status;
}
