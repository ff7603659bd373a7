/* SPDX-License-Identifier: Apache-2.0
 * df: a row for each target, in Lustre's columns. */
#include "common/cluster/vxattr.h"
#include "tools/cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>

enum column { COLUMN_UUID, COLUMN_TOTAL, COLUMN_USED, COLUMN_AVAIL, COLUMN_PERCENT, COLUMN_MOUNT, COLUMN_COUNT };
struct df {
	bool human, si, inodes, lazy, no_header, summary_only, verbose;
	bool chosen;           /* -m or -o was given */
	bool mdts, osts;
	int64_t mdt, ost;      /* only that one; -1: all of them */
	enum column columns[COLUMN_COUNT];
	size_t column_count;
};
struct amounts {
	uint64_t total, used, available;
};

/* Blocks of 1 KiB, or inodes, as a plain number; or with a unit, as "8.7G". */
static void amount_text(const struct df *df, uint64_t amount, char ret_text[24])
{
	static const char units[] = "KMGTPE";
	double base = df->si ? 1000 : 1024;
	uint64_t value = df->inodes ? amount : amount / KIB;
	if (!df->human) {
		(void)snprintf(ret_text, 24, "%" PRIu64, value);
		return;
	}
	double scaled = df->inodes ? (double)amount : (double)amount / base;
	size_t unit = 0;
	if (df->inodes && scaled < base) {
		(void)snprintf(ret_text, 24, "%" PRIu64, amount);
		return;
	}
	if (df->inodes)
		scaled /= base;
	while (scaled >= base && units[unit + 1] != '\0') {
		scaled /= base;
		unit++;
	}
	(void)snprintf(ret_text, 24, "%.1f%c", scaled, units[unit]);
}

static void print_row(const struct df *df, const char *name, const struct amounts *amounts, const char *mount)
{
	char total[24], used[24], available[24];
	amount_text(df, amounts->total, total);
	amount_text(df, amounts->used, used);
	amount_text(df, amounts->available, available);
	uint64_t all = amounts->used + amounts->available;
	int percent = all > 0 ? (int)(100.0 * (double)amounts->used / (double)all + 0.5) : 0;
	for (size_t i = 0; i < df->column_count; i++) {
		if (i > 0)
			printf(" ");
		switch (df->columns[i]) {
		case COLUMN_UUID:
			printf("%-20s", name);
			break;
		case COLUMN_TOTAL:
			printf("%11s", total);
			break;
		case COLUMN_USED:
			printf("%11s", used);
			break;
		case COLUMN_AVAIL:
			printf("%11s", available);
			break;
		case COLUMN_PERCENT:
			printf("%3d%%", percent);
			break;
		case COLUMN_MOUNT:
			printf("%s", mount);
			break;
		case COLUMN_COUNT:
			break;
		}
	}
	printf("\n");
}

static void print_header(const struct df *df)
{
	const char *titles[COLUMN_COUNT] = {"UUID", df->inodes ? "Inodes" : df->human ? "bytes" : "1K-blocks", df->inodes ? "IUsed" : "Used",
					    df->inodes ? "IFree" : "Available", df->inodes ? "IUse%" : "Use%", "Mounted on"};
	for (size_t i = 0; i < df->column_count; i++) {
		enum column column = df->columns[i];
		printf(column == COLUMN_UUID ? "%s%-20s" : column == COLUMN_MOUNT ? "%s%s" : column == COLUMN_PERCENT ? "%s%4s" : "%s%11s",
		       i > 0 ? " " : "", titles[column]);
	}
	printf("\n");
}

static uint64_t u64_of(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));
	return value < 0 ? 0 : (uint64_t)value;
}

static bool is_wanted(const struct df *df, bool is_mdt, int64_t index)
{
	if (!df->chosen)
		return true;
	return is_mdt ? df->mdts && (df->mdt < 0 || df->mdt == index) : df->osts && (df->ost < 0 || df->ost == index);
}

static struct amounts amounts_of(const struct df *df, const json_t *target)
{
	if (df->inodes)
		return (struct amounts){u64_of(target, "inodes_used") + u64_of(target, "inodes_free"), u64_of(target, "inodes_used"),
					u64_of(target, "inodes_free")};
	uint64_t total = u64_of(target, "total_bytes"), free_bytes = u64_of(target, "free_bytes");
	return (struct amounts){total, total > free_bytes ? total - free_bytes : 0, u64_of(target, "available_bytes")};
}

static void show_mount(const struct df *df, const char *point, const json_t *cluster)
{
	if (!df->no_header && !df->summary_only)
		print_header(df);
	struct amounts sum = {0}, mdts = {0};
	size_t i;
	const json_t *target;
	json_array_foreach(json_object_get(cluster, "targets"), i, target) {
		const char *name = json_string_value(json_object_get(target, "name")), *kind = json_string_value(json_object_get(target, "kind"));
		int64_t index = json_integer_value(json_object_get(target, "index"));
		bool is_mdt = kind != NULL && strcmp(kind, "mdt") == 0;
		if (name == NULL || !is_wanted(df, is_mdt, index))
			continue;
		if (!json_is_true(json_object_get(target, "active"))) {
			if (!df->lazy && !df->summary_only)
				printf("%-20s: inactive device\n", name);
			continue;
		}
		struct amounts amounts = amounts_of(df, target), *into = is_mdt ? &mdts : &sum;
		into->total += amounts.total;
		into->used += amounts.used;
		into->available += amounts.available;
		char mount[PATH_MAX + 32];
		(void)snprintf(mount, sizeof(mount), "%s[%s:%" PRId64 "]%s", point, is_mdt ? "MDT" : "OST", index,
			       amounts.available == 0 && !is_mdt ? (df->inodes ? " I" : " S") : "");
		if (!df->summary_only)
			print_row(df, name, &amounts, mount);
	}
	if (df->inodes) { /* files are limited by the scarcer of both, as in Lustre */
		uint64_t available = mdts.available < sum.available || !df->chosen ? mdts.available : sum.available;
		sum = (struct amounts){mdts.used + available, mdts.used, available};
	}
	printf(df->summary_only ? "" : "\n");
	print_row(df, "filesystem_summary:", &sum, point);
	printf(df->summary_only ? "" : "\n");
}

static int parse_columns(struct df *df, const char *text)
{
	static const char *const names[COLUMN_COUNT] = {"uuid", "total", "used", "avail", "pcent", "mount"};
	df->column_count = 0;
	for (;;) {
		size_t len = strcspn(text, ","), column = 0;
		while (column < COLUMN_COUNT && (strlen(names[column]) != len || strncmp(names[column], text, len) != 0))
			column++;
		if (column == COLUMN_COUNT || df->column_count == COLUMN_COUNT)
			return fail(EINVAL);
		df->columns[df->column_count++] = (enum column)column;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

/* 0, 2 (a mistake, told) or 1: the option is none of these. */
static int take_option(struct df *df, int option)
{
	int64_t *index = option == 'm' ? &df->mdt : &df->ost;
	switch (option) {
	case 'h':
	case 'H':
		df->human = true;
		df->si = option == 'H';
		return 0;
	case 'm':
	case 'o':
		df->chosen = true;
		df->mdts |= option == 'm';
		df->osts |= option == 'o';
		if (optarg != NULL && cli_parse_number(optarg, 0, 65534, index) < 0)
			return cli_usage("-%c '%.80s': the number of a target was expected", option, optarg);
		return 0;
	case 'u':
		return parse_columns(df, optarg) < 0 ? cli_usage("-u '%.80s': some of uuid,total,used,avail,pcent,mount were expected", optarg) : 0;
	case 'p':
		return cli_usage("-p: pools do not exist in this version");
	default:
		df->inodes |= option == 'i';
		df->lazy |= option == 'l';
		df->no_header |= option == 'N';
		df->summary_only |= option == 's';
		df->verbose |= option == 'v';
		return option == 'i' || option == 'l' || option == 'N' || option == 's' || option == 'v' ? 0 : 1;
	}
}

int verb_df(int argc, char **argv)
{
	static const struct option options[] = {
		{"human-readable", no_argument, NULL, 'h'}, {"si", no_argument, NULL, 'H'},           {"inodes", no_argument, NULL, 'i'},
		{"lazy", no_argument, NULL, 'l'},           {"mdt", optional_argument, NULL, 'm'},    {"ost", optional_argument, NULL, 'o'},
		{"no-header", no_argument, NULL, 'N'},      {"only-summary", no_argument, NULL, 's'}, {"output", required_argument, NULL, 'u'},
		{"pool", required_argument, NULL, 'p'},     {"verbose", no_argument, NULL, 'v'},      COMMON_OPTIONS};
	struct df df = {.mdt = -1, .ost = -1, .column_count = COLUMN_COUNT};
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		df.columns[i] = (enum column)i;
	bool done = false;
	for (int c; (c = getopt_long(argc, argv, "hHilm::o::Nsu:p:v", options, NULL)) != -1;) {
		int taken = take_option(&df, c);
		if (taken == 2 || (taken == 1 && !cli_common_option(c, &done)))
			return 2;
		if (done)
			return 0;
	}
	if (argc - optind > 1)
		return cli_usage("'%.80s' is one path too many", argv[optind + 1]);
	const char *path = optind < argc ? argv[optind] : NULL;
	struct mount_row *rows = NULL;
	int count = ask_mounts(path, &rows);
	if (count < 0)
		return ask_fail_mount(path, count);
	json_t *all = cli.json ? json_array() : NULL;
	int status = 0;
	for (int i = 0; i < count; i++) {
		json_t *cluster = NULL;
		int rc = ask_json(rows[i].point, VXATTR_CLUSTER, &cluster);
		if (rc < 0) {
			status |= ask_fail(rows[i].point, rc);
			continue;
		}
		if (all != NULL)
			(void)json_array_append(all, cluster); /* jansson fails only without memory */
		else
			show_mount(&df, rows[i].point, cluster);
		json_decref(cluster);
	}
	free(rows);
	return all != NULL ? status | cli_print_json(all) : status;
}
