/* SPDX-License-Identifier: Apache-2.0
 * The parts of `stria` (also called as `lfs`). It asks the mount through virtual extended attributes and talks to no server itself, so it
 * sees what the applications on that mount see. Verbs, options and output are Lustre's: fingers and scripts know them. */
#ifndef STRIA_TOOLS_CLI_CLI_H
#define STRIA_TOOLS_CLI_CLI_H

#include "common/base/err.h"
#include "common/base/mem.h"

#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>

/* One verb: what `stria help` and `stria VERB --help` print, and what runs. argv[0] is the verb; answers the exit status. */
struct verb {
	const char *name, *words, *summary, *options;
	int (*run)(int argc, char **argv);
};

/* Long options that every verb has beside its own: appended to its table. */
enum { OPT_JSON = 1000, OPT_HELP, OPT_TIMEOUT };
#define COMMON_OPTIONS                              \
	{"json", no_argument, NULL, OPT_JSON},      \
	{"help", no_argument, NULL, OPT_HELP},      \
	{"timeout", required_argument, NULL, OPT_TIMEOUT}, {NULL, 0, NULL, 0}

/* State of the running command: one process, one command. */
struct cli {
	const struct verb *verb;
	bool json;
};
extern struct cli cli;

/* Take a common option. False: it was none, getopt has said so, and the verb ends with status 2. *ret_done: the verb ends well (--help). */
bool cli_common_option(int option, bool *ret_done);
/* One line: "stria: getstripe: /mnt/x: No such file or directory; check the path". Answers 1. `advice` may be NULL. */
int cli_fail(const char *subject, int rc, const char *advice);
/* "stria: setstripe: <text>: see --help". Answers 2. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints and frees; answers the exit status. */
int cli_print_json(json_t *json);
/* "1,3-5" into values (at most `max`); returns how many, or -EINVAL. */
int cli_parse_list(const char *text, uint32_t limit, uint16_t *values, int max);
/* A whole number in range, decimal or 0x; else -EINVAL. */
int cli_parse_number(const char *text, int64_t min, int64_t max, int64_t *ret_value);
/* "64K", "1M"; below 4096 without a unit it counts KiB, as Lustre has it. */
int cli_parse_size(const char *text, uint64_t *ret_bytes);

/* ---- asking (ask.c) ------------------------------------------------------------------------------------------- */

/* The value of a virtual attribute as JSON, owned. Errors: those of getxattr; EPROTO when it is no JSON. */
int ask_json(const char *path, const char *name, json_t **ret_json);
/* As text, owned (free()). */
int ask_text(const char *path, const char *name, char **ret_text);
/* Set one. The JSON is freed. */
int ask_set(const char *path, const char *name, json_t *value);
/* An error of ask_* about `path`, told with the likeliest reason. Answers 1. */
int ask_fail(const char *path, int rc);

/* Where Stria is mounted: the longest mount point above `path` (a path or NULL: every mount). Owned rows; count or an error:
 * ENODEV when path lies in no Stria. */
struct mount_row {
	char point[PATH_MAX];
};
int ask_mounts(const char *path, struct mount_row **ret_rows);
/* Its errors, told. Answers 1. */
int ask_fail_mount(const char *path, int rc);

/* The verbs. */
int verb_setstripe(int argc, char **argv);
int verb_getstripe(int argc, char **argv);
int verb_mkdir(int argc, char **argv);
int verb_getdirstripe(int argc, char **argv);
int verb_df(int argc, char **argv);
int verb_osts(int argc, char **argv);
int verb_mdts(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_getname(int argc, char **argv);
int verb_path2fid(int argc, char **argv);
int verb_fid2path(int argc, char **argv);
int verb_locks(int argc, char **argv);
int verb_stats(int argc, char **argv);

#endif
