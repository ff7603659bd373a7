/* SPDX-License-Identifier: Apache-2.0
 * setstripe and getstripe. The printed forms are those of Lustre's liblustreapi: columns and blanks are part of the contract. */
#include "common/cluster/layout.h"
#include "common/cluster/vxattr.h"
#include "proto/types.h"
#include "tools/cli/cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { OSTS_MAX = 1024, OST_INDEX_LIMIT = 65535 };

/* ---- setstripe ------------------------------------------------------------------------------------------------ */

struct wanted {
	int64_t count, index;
	uint64_t size;
	uint16_t osts[OSTS_MAX];
	int ost_count;
	bool remove;
};

static int set_on_directory(const char *path, const struct wanted *wanted, json_t *value)
{
	if (wanted->remove) {
		json_decref(value);
		return lremovexattr(path, VXATTR_LAYOUT) < 0 && errno != ENODATA ? ask_fail(path, -errno) : 0;
	}
	int rc = ask_set(path, VXATTR_LAYOUT, value);
	return rc < 0 ? ask_fail(path, rc) : 0;
}

static int set_on_file(const char *path, bool existed, json_t *value)
{
	int rc = ask_set(path, VXATTR_LAYOUT, value);
	if (rc == 0)
		return 0;
	if (!existed)
		(void)unlink(path); /* made just now for nothing; the error is told below */
	if (err_is(rc, EEXIST))
		return cli_fail(path, rc, "it has data already: its layout can no longer be chosen");
	return ask_fail(path, rc);
}

static int setstripe_one(const char *path, const struct wanted *wanted)
{
	json_t *osts = json_array();
	for (int i = 0; i < wanted->ost_count; i++)
		(void)json_array_append_new(osts, json_integer(wanted->osts[i])); /* jansson fails only without memory */
	json_t *value = json_pack("{s:I, s:I, s:I, s:o}", "stripe_count", (json_int_t)wanted->count, "stripe_size", (json_int_t)wanted->size,
				  "stripe_index", (json_int_t)wanted->index, "osts", osts);
	struct stat st;
	bool existed = stat(path, &st) == 0;
	if (existed && S_ISDIR(st.st_mode))
		return set_on_directory(path, wanted, value);
	if (wanted->remove || (existed && !S_ISREG(st.st_mode))) {
		json_decref(value);
		return cli_fail(path, wanted->remove ? -ENOTDIR : -EINVAL, "only directories have a default layout; only files and directories have one at all");
	}
	if (!existed) {
		int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0666);
		if (fd < 0) {
			json_decref(value);
			return ask_fail(path, -errno);
		}
		(void)close(fd); /* nothing was written */
	}
	return set_on_file(path, existed, value);
}

/* Options of Lustre that this version does not have: known by name, so that the answer is a sentence. */
static int refuse_option(int option)
{
	return cli_usage("-%c: only plain striping (-c, -S, -i, -o) exists in this version", option);
}

int verb_setstripe(int argc, char **argv)
{
	static const struct option options[] = {
		{"stripe-count", required_argument, NULL, 'c'},  {"stripe-size", required_argument, NULL, 'S'},
		{"stripe-index", required_argument, NULL, 'i'},  {"ost", required_argument, NULL, 'o'},
		{"ost-list", required_argument, NULL, 'o'},      {"delete", no_argument, NULL, 'd'},
		{"overstripe-count", required_argument, NULL, 'C'}, {"pool", required_argument, NULL, 'p'},
		{"layout", required_argument, NULL, 'L'},        {"component-end", required_argument, NULL, 'E'},
		{"extension-size", required_argument, NULL, 'z'}, {"mirror-count", optional_argument, NULL, 'N'},
		COMMON_OPTIONS};
	static struct wanted wanted = {.index = -1};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "c:S:i:o:dC:p:L:E:z:N::", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			if (cli_parse_number(optarg, -1, LAYOUT_STRIPES_MAX, &wanted.count) < 0)
				return cli_usage("-c '%.80s': a number from -1 (all OSTs) to %d was expected", optarg, LAYOUT_STRIPES_MAX);
			break;
		case 'S':
			if (cli_parse_size(optarg, &wanted.size) < 0 || wanted.size % STRIPE_BYTES_MIN != 0 || wanted.size > STRIPE_BYTES_MAX)
				return cli_usage("-S '%.80s': a multiple of 64K up to 2G was expected, like 1M", optarg);
			break;
		case 'i':
			if (cli_parse_number(optarg, -1, OST_INDEX_LIMIT - 1, &wanted.index) < 0)
				return cli_usage("-i '%.80s': the number of an OST, or -1, was expected", optarg);
			break;
		case 'o':
			wanted.ost_count = cli_parse_list(optarg, OST_INDEX_LIMIT, wanted.osts, OSTS_MAX);
			if (wanted.ost_count < 0)
				return cli_usage("-o '%.80s': numbers of OSTs were expected, like 1,3-5", optarg);
			break;
		case 'd':
			wanted.remove = true;
			break;
		case 'L':
			if (strcmp(optarg, "raid0") != 0)
				return refuse_option(c);
			break;
		default:
			if (cli_common_option(c, &done)) {
				if (done)
					return 0;
				break;
			}
			return c == '?' ? 2 : refuse_option(c);
		}
	}
	if (optind == argc)
		return cli_usage("a file or directory was expected");
	if (wanted.ost_count > 0 && wanted.count == 0)
		wanted.count = wanted.ost_count;
	if (wanted.ost_count > 0 && wanted.count != wanted.ost_count)
		return cli_usage("-c %" PRId64 " and -o with %d OSTs contradict each other", wanted.count, wanted.ost_count);
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= setstripe_one(argv[i], &wanted);
	return status;
}

/* ---- getstripe ------------------------------------------------------------------------------------------------ */

enum field { FIELD_COUNT = 1, FIELD_SIZE = 2, FIELD_INDEX = 4, FIELD_PATTERN = 8, FIELD_GEN = 16, FIELD_MDT = 32, FIELD_FID = 64,
	     FIELD_POOL = 128, FIELD_COMPONENT = 256, FIELD_END = 512, FIELD_MIRRORS = 1024 };
struct shown {
	unsigned fields; /* enum field; 0: everything */
	bool directory, recursive, raw, quiet, verbose, hex, yaml, no_follow;
	int64_t ost;     /* only files with an object there; -1: all */
	json_t *rows;    /* with --json: what was found */
	int depth;
};

static int64_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

static bool has_object_on(const json_t *layout, int64_t ost)
{
	size_t i, j;
	const json_t *component, *index;
	json_array_foreach(json_object_get(layout, "components"), i, component) {
		json_array_foreach(json_object_get(component, "osts"), j, index) {
			if (json_integer_value(index) == ost)
				return true;
		}
	}
	return false;
}

static void print_index(const struct shown *shown, int64_t index)
{
	printf(shown->hex && index >= 0 ? "%#" PRIx64 : "%" PRId64, index);
}

/* The asked fields, values only, a line each. */
static void print_values(const struct shown *shown, const char *path, const json_t *layout, const json_t *component)
{
	unsigned fields = shown->fields;
	if (fields & FIELD_COUNT)
		printf("%" PRId64 "\n", number_of(component, "stripe_count"));
	if (fields & FIELD_SIZE)
		printf("%" PRId64 "\n", number_of(component, "stripe_size"));
	if (fields & FIELD_PATTERN)
		printf("%s\n", text_of(component, "pattern"));
	if (fields & FIELD_GEN)
		printf("%" PRId64 "\n", number_of(layout, "gen"));
	if (fields & FIELD_INDEX) {
		print_index(shown, number_of(component, "stripe_index"));
		printf("\n");
	}
	if (fields & FIELD_POOL)
		printf("%s\n", text_of(component, "pool"));
	if (fields & FIELD_COMPONENT)
		printf("%" PRId64 "\n", number_of(component, "id"));
	if (fields & FIELD_END)
		printf("EOF\n");
	if (fields & FIELD_MIRRORS)
		printf("1\n");
	if (fields & FIELD_FID)
		printf("%s\n", text_of(layout, "fid"));
	json_t *place = NULL;
	if ((fields & FIELD_MDT) && ask_json(path, VXATTR_PLACE, &place) == 0) {
		printf("%" PRId64 "\n", number_of(place, "mdt_index"));
		json_decref(place);
	}
}

/* "\tobdidx\t\t objid\t\t objid\t\t group" and a row for each object; an object is named by the file's FID. */
static void print_objects(const struct shown *shown, const json_t *layout, const json_t *component)
{
	struct ino ino = INO_NONE;
	(void)ino_from_text(str_of(text_of(layout, "fid")), &ino); /* a bad one shows as 0 */
	printf("\tobdidx\t\t objid\t\t objid\t\t group\n");
	size_t i;
	const json_t *index;
	json_array_foreach(json_object_get(component, "osts"), i, index) {
		int64_t ost = json_integer_value(index);
		if (shown->ost >= 0 && ost != shown->ost)
			continue;
		char group[24];
		(void)snprintf(group, sizeof(group), ino_shard(ino) != 0 ? "%#x" : "%x", ino_shard(ino));
		printf(shown->hex ? "\t%#6" PRIx64 : "\t%6" PRId64, ost);
		printf("\t%14" PRIu64 "\t%#13" PRIx64 "\t%14s\n", ino_seq(ino), ino_seq(ino), group);
	}
	printf("\n");
}

static void print_file(const struct shown *shown, const char *path, const json_t *layout)
{
	const json_t *component = json_array_get(json_object_get(layout, "components"), 0);
	printf("%s\n", path);
	if (!shown->quiet) {
		if (shown->verbose)
			printf("lmm_magic:         0x0BD10BD0\nlmm_seq:           0\nlmm_object_id:     %s\n", text_of(layout, "fid"));
		printf("lmm_stripe_count:  %" PRId64 "\nlmm_stripe_size:   %" PRId64 "\nlmm_pattern:       %s\nlmm_layout_gen:    %" PRId64
		       "\nlmm_stripe_offset: ",
		       number_of(component, "stripe_count"), number_of(component, "stripe_size"), text_of(component, "pattern"),
		       number_of(layout, "gen"));
		print_index(shown, number_of(component, "stripe_index"));
		printf("\n");
		if (json_is_true(json_object_get(layout, "inline")))
			printf("lmm_data:          inline\n"); /* our own: no object has anything of it yet */
		if (*text_of(component, "pool") != '\0')
			printf("lmm_pool:          %s\n", text_of(component, "pool"));
	}
	if (json_array_size(json_object_get(component, "osts")) > 0)
		print_objects(shown, layout, component);
}

static void print_yaml(const struct shown *shown, const char *path, const json_t *layout)
{
	const json_t *component = json_array_get(json_object_get(layout, "components"), 0);
	printf("lmm_stripe_count:  %" PRId64 "\nlmm_stripe_size:   %" PRId64 "\nlmm_pattern:       %s\nlmm_layout_gen:    %" PRId64
	       "\nlmm_stripe_offset: %" PRId64 "\n",
	       number_of(component, "stripe_count"), number_of(component, "stripe_size"), text_of(component, "pattern"), number_of(layout, "gen"),
	       number_of(component, "stripe_index"));
	if (json_is_true(json_object_get(layout, "inline")))
		printf("lmm_data:          inline\n");
	size_t i;
	const json_t *index;
	if (json_array_size(json_object_get(component, "osts")) > 0)
		printf("lmm_objects:\n");
	json_array_foreach(json_object_get(component, "osts"), i, index) {
		printf("- l_ost_idx: ");
		print_index(shown, json_integer_value(index));
		printf("\n  l_fid:     %s\n", text_of(layout, "fid"));
	}
	(void)path;
}

static void print_dir_default(const struct shown *shown, const char *path, const json_t *layout)
{
	const json_t *component = json_array_get(json_object_get(layout, "components"), 0);
	bool raw_unset = shown->raw && json_is_true(json_object_get(layout, "inherited"));
	printf("%s\nstripe_count:  %" PRId64 " stripe_size:   %" PRId64 " pattern:       %s stripe_offset: ", path,
	       raw_unset ? 0 : number_of(component, "stripe_count"), raw_unset ? 0 : number_of(component, "stripe_size"),
	       raw_unset ? "0" : text_of(component, "pattern"));
	print_index(shown, raw_unset ? -1 : number_of(component, "stripe_index"));
	printf("\n\n");
}

static int show_one(struct shown *shown, const char *path, bool is_dir)
{
	json_t *layout = NULL;
	int rc = ask_json(path, VXATTR_LAYOUT, &layout);
	if (rc < 0)
		return ask_fail(path, rc);
	if (json_array_size(json_object_get(layout, "components")) == 0) {
		json_decref(layout);
		return cli_fail(path, -ENODATA, "it has no layout");
	}
	if (shown->ost < 0 || has_object_on(layout, shown->ost)) {
		if (shown->rows != NULL) {
			(void)json_object_set_new(layout, "path", json_string(path));
			(void)json_array_append(shown->rows, layout);
		} else if (shown->fields != 0) {
			print_values(shown, path, layout, json_array_get(json_object_get(layout, "components"), 0));
		} else if (shown->yaml) {
			print_yaml(shown, path, layout);
		} else if (is_dir) {
			print_dir_default(shown, path, layout);
		} else {
			print_file(shown, path, layout);
		}
	}
	json_decref(layout);
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int show_path(struct shown *shown, const char *path);

/* What is in a directory, like ls: files; with -r everything below. */
static int show_inside(struct shown *shown, const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, by_name), status = 0;
	if (count < 0)
		return ask_fail(path, -errno);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		char child[PATH_MAX];
		struct stat st;
		bool fits = snprintf(child, sizeof(child), "%s/%s", path, name) < (int)sizeof(child);
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && fits && lstat(child, &st) == 0 &&
		    (S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && shown->recursive)))
			status |= show_path(shown, child);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int show_path(struct shown *shown, const char *path)
{
	struct stat st;
	if ((shown->no_follow ? lstat(path, &st) : stat(path, &st)) < 0)
		return ask_fail(path, -errno);
	char real[PATH_MAX];
	const char *asked = path;
	if (!shown->no_follow && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		if (realpath(path, real) == NULL || stat(real, &st) < 0)
			return ask_fail(path, -errno);
		asked = real;
	}
	bool is_dir = S_ISDIR(st.st_mode);
	if (!is_dir || shown->directory)
		return show_one(shown, asked, is_dir);
	if (shown->ost >= 0) /* a default is on no OST */
		return show_inside(shown, asked);
	int status = show_one(shown, asked, true);
	return status | show_inside(shown, asked);
}

static unsigned field_of(int option)
{
	switch (option) {
	case 'c':
		return FIELD_COUNT;
	case 'S':
		return FIELD_SIZE;
	case 'i':
		return FIELD_INDEX;
	case 'L':
		return FIELD_PATTERN;
	case 'g':
		return FIELD_GEN;
	case 'm':
		return FIELD_MDT;
	case 'F':
		return FIELD_FID;
	case 'p':
		return FIELD_POOL;
	case 'I':
		return FIELD_COMPONENT;
	case 'E':
		return FIELD_END;
	case 'N':
		return FIELD_MIRRORS;
	default:
		return 0;
	}
}

/* A flag without a value; false: it is none. */
static bool take_flag(struct shown *shown, int option)
{
	enum { OPT_HEX = 1, OPT_NO_FOLLOW = 2 };
	switch (option) {
	case 'd':
	case 'D':
		shown->directory = true;
		return true;
	case 'r':
		shown->recursive = true;
		return true;
	case 'R':
		shown->raw = true;
		return true;
	case 'q':
		shown->quiet = true;
		return true;
	case 'v':
		shown->verbose = true;
		return true;
	case 'y':
		shown->yaml = true;
		return true;
	case OPT_HEX:
		shown->hex = true;
		return true;
	case OPT_NO_FOLLOW:
		shown->no_follow = true;
		return true;
	default:
		return false;
	}
}

int verb_getstripe(int argc, char **argv)
{
	static const struct option options[] = {
		{"stripe-count", no_argument, NULL, 'c'},   {"stripe-size", no_argument, NULL, 'S'},
		{"stripe-index", no_argument, NULL, 'i'},   {"stripe-offset", no_argument, NULL, 'i'},
		{"layout", no_argument, NULL, 'L'},         {"generation", no_argument, NULL, 'g'},
		{"mdt-index", no_argument, NULL, 'm'},      {"mdt", no_argument, NULL, 'm'},
		{"fid", no_argument, NULL, 'F'},            {"pool", no_argument, NULL, 'p'},
		{"component-id", optional_argument, NULL, 'I'}, {"component-end", no_argument, NULL, 'E'},
		{"mirror-count", no_argument, NULL, 'N'},   {"ost", required_argument, NULL, 'O'},
		{"directory", no_argument, NULL, 'd'},      {"default", no_argument, NULL, 'D'},
		{"recursive", no_argument, NULL, 'r'},      {"raw", no_argument, NULL, 'R'},
		{"quiet", no_argument, NULL, 'q'},          {"verbose", no_argument, NULL, 'v'},
		{"yaml", no_argument, NULL, 'y'},           {"hex-idx", no_argument, NULL, 1},
		{"no-follow", no_argument, NULL, 2},        COMMON_OPTIONS};
	struct shown shown = {.ost = -1};
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "cSiLgmFpI::ENO:dDrRqvy", options, NULL)) != -1;) {
		if (field_of(c) != 0) {
			shown.fields |= field_of(c);
		} else if (c == 'O') {
			if (cli_parse_number(optarg, 0, OST_INDEX_LIMIT - 1, &shown.ost) < 0)
				return cli_usage("-O '%.80s': the number of an OST was expected", optarg);
		} else if (!take_flag(&shown, c)) {
			if (!cli_common_option(c, &done))
				return 2;
			if (done)
				return 0;
		}
	}
	if (optind == argc)
		return cli_usage("a file or directory was expected");
	shown.rows = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = optind; i < argc; i++)
		status |= show_path(&shown, argv[i]);
	return shown.rows != NULL ? status | cli_print_json(shown.rows) : status;
}
