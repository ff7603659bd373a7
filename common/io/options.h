/* SPDX-License-Identifier: Apache-2.0
 * Options of a program from its command line and INI files, by the table of common/core/conf.def.h. Later ones win: defaults, then
 * files in the order given, then the command line. Every mistake is one line: where, what, what was expected. */
#ifndef STRIA_IO_OPTIONS_H
#define STRIA_IO_OPTIONS_H

#include "common/core/conf.h"

enum { OPTIONS_WORDS_MAX = 8 };
/* What a command line held beside options. */
struct options {
	struct conf conf;
	int word_count;
	const char *words[OPTIONS_WORDS_MAX]; /* borrowed from argv */
};
struct options_usage {
	const char *program;  /* "stria-mds" */
	const char *words;    /* "MGS:/fsname MOUNTPOINT", or "" */
	const char *about;    /* one or two sentences */
	unsigned programs;    /* enum conf_program */
	int words_min, words_max;
};

/* Understands `--name VALUE`, `--name=VALUE`, `--name` of a bool, `--config FILE` (may be repeated), `-o name=value,name,…`, `--help`, `--version`, `--`.
 * With --help and --version it prints and answers 1: the program ends well. On a mistake it prints one line to stderr and answers ERR_conf. */
int options_parse(const struct options_usage *usage, int argc, char **argv, struct options *ret_options);

/* Read one INI file into conf: lines `name = value` before any section, or below [all], [mds], [oss], [client]; sections of other programs are
 * skipped. Errors: ERR_conf or those of open(2), with "FILE:LINE: what" in ret_error. */
int options_read_ini(struct conf *conf, unsigned programs, const char *path, char ret_error[CONF_ERROR_BYTES_MAX]);

#endif
