/* SPDX-License-Identifier: Apache-2.0
 * Options: one table (conf.def.h) gives every program its settings, their limits, `--help`, the INI keys and docs/config.md.
 * Pure: files and command lines are read by common/io/options.h. */
#ifndef STRIA_CORE_CONF_H
#define STRIA_CORE_CONF_H

#include "common/base/bytes.h"
#include "common/core/log.h"

enum conf_program {
	CONF_MDS = 1,
	CONF_OSS = 2,
	CONF_CLIENT = 4,
	CONF_ALL = 7,
};
enum conf_kind { CONF_bool, CONF_u64, CONF_size, CONF_time, CONF_level, CONF_text, CONF_list, CONF_KIND_COUNT };
enum { CONF_TEXT_BYTES_MAX = 1024, CONF_LIST_MAX = 64, CONF_ERROR_BYTES_MAX = 512 };

struct conf_list {
	uint32_t count;
	char items[CONF_LIST_MAX][256];
};

#define CONF_TYPE_bool  bool
#define CONF_TYPE_u64   uint64_t
#define CONF_TYPE_size  uint64_t /* bytes */
#define CONF_TYPE_time  uint64_t /* ns */
#define CONF_TYPE_level enum log_level
/* Texts are arrays, so that a conf is plain data. */
struct conf_text {
	char text[CONF_TEXT_BYTES_MAX];
};
#define CONF_TYPE_text struct conf_text
#define CONF_TYPE_list struct conf_list

struct conf {
#define C(name, kind, fallback, min, max, programs, help) CONF_TYPE_##kind name;
#include "common/core/conf.def.h"
};

struct conf_row {
	const char *name, *fallback, *help;
	enum conf_kind kind;
	uint64_t min, max;
	unsigned programs; /* enum conf_program, or-ed */
	size_t offset;     /* in struct conf */
};
/* Every row in table order; returns how many. */
size_t conf_rows(const struct conf_row **ret_rows);
/* NULL: there is none of that name for any of `programs`. '-' counts as '_'. */
const struct conf_row *conf_row(unsigned programs, struct str name);
const char *conf_kind_name(enum conf_kind kind);

/* All defaults. */
void conf_init(struct conf *conf);

/* Set one option from text. Lists grow by one. On failure *conf is as before and `ret_error` says in one line what was expected
 * ("unknown option 'leese': did you mean 'lease'?", "lease: '3 parsecs' is not a time (like 500ms, 30s, 5m)"). Errors: ERR_conf. */
int conf_set(struct conf *conf, unsigned programs, struct str name, struct str value, char ret_error[CONF_ERROR_BYTES_MAX]);
/* The same for "name=value"; a bool may be a bare "name". */
int conf_set_pair(struct conf *conf, unsigned programs, struct str pair, char ret_error[CONF_ERROR_BYTES_MAX]);

/* "64K", "1.5G" is not one; whole numbers only. Errors: EINVAL. */
int conf_parse_size(struct str text, uint64_t *ret_bytes);
/* "500ms"; a bare number is milliseconds. Errors: EINVAL. */
int conf_parse_time(struct str text, uint64_t *ret_ns);
/* How far apart two words are (insertions, deletions, replacements, swaps of neighbours), for "did you mean". */
unsigned conf_distance(struct str a, struct str b);

#endif
