/* SPDX-License-Identifier: Apache-2.0
 * The option table, expanded; parsing of values; messages that say what was expected. */
#include "common/core/conf.h"
#include "common/base/check.h"

#include <inttypes.h>
#include <stdio.h>

static const struct conf_row rows[] = {
#define C(name_, kind_, fallback_, min_, max_, programs_, help_)                                     \
	{.name = #name_, .fallback = fallback_, .help = help_, .kind = CONF_##kind_, .min = (min_),  \
	 .max = (max_), .programs = (programs_), .offset = offsetof(struct conf, name_)},
#include "common/core/conf.def.h"
};

static const struct {
	const char *name, *example;
} kinds[CONF_KIND_COUNT] = {
	[CONF_bool] = {"bool", "true, false"},
	[CONF_u64] = {"number", "16"},
	[CONF_size] = {"size", "4096, 64K, 1M, 2G"},
	[CONF_time] = {"time", "500ms, 30s, 5m"},
	[CONF_level] = {"level", "debug, info, warn, error"},
	[CONF_text] = {"text", "any text"},
	[CONF_list] = {"list", "one value; repeat the line for more"},
};

size_t conf_rows(const struct conf_row **ret_rows)
{
	*ret_rows = rows;
	return ARRAY_COUNT(rows);
}

const char *conf_kind_name(enum conf_kind kind)
{
	return kinds[kind].name;
}

static bool name_eq(struct str a, const char *b)
{
	if (a.len != strlen(b))
		return false;
	for (size_t i = 0; i < a.len; i++)
		if ((a.ptr[i] == '-' ? '_' : a.ptr[i]) != b[i])
			return false;
	return true;
}

const struct conf_row *conf_row(unsigned programs, struct str name)
{
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		if ((rows[i].programs & programs) != 0 && name_eq(name, rows[i].name))
			return &rows[i];
	return NULL;
}

/* Digits from the front of `text`, which they are cut off from. Errors: EINVAL (none, or too many). */
static int take_number(struct str *text, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t digits = 0;
	while (digits < text->len && text->ptr[digits] >= '0' && text->ptr[digits] <= '9') {
		uint64_t digit = (uint64_t)(text->ptr[digits] - '0');
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
			return fail(EINVAL);
		digits++;
	}
	if (digits == 0)
		return fail(EINVAL);
	text->ptr += digits;
	text->len -= digits;
	*ret_value = value;
	return 0;
}

struct suffix {
	const char *text;
	uint64_t factor;
};

/* A number and one of the suffixes, which end with an entry without text. Errors: EINVAL. */
static int parse_suffixed(struct str text, const struct suffix *suffixes, uint64_t *ret_value)
{
	uint64_t value = 0;
	int rc = take_number(&text, &value);
	if (rc < 0)
		return rc;
	for (const struct suffix *suffix = suffixes; suffix->text != NULL; suffix++) {
		if (!str_eq(text, str_of(suffix->text)))
			continue;
		return __builtin_mul_overflow(value, suffix->factor, ret_value) ? fail(EINVAL) : 0;
	}
	return fail(EINVAL);
}

int conf_parse_size(struct str text, uint64_t *ret_bytes)
{
	static const struct suffix suffixes[] = {
		{"", 1},     {"K", KIB},   {"k", KIB},   {"M", MIB},          {"m", MIB},          {"G", GIB},  {"g", GIB},
		{"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"T", GIB * KIB}, {"TiB", GIB * KIB}, {"P", GIB * MIB}, {NULL, 0},
	};
	uint64_t value = 0;
	int rc = parse_suffixed(text, suffixes, &value);
	if (rc == 0)
		*ret_bytes = value;
	return rc;
}

int conf_parse_time(struct str text, uint64_t *ret_ns)
{
	static const struct suffix suffixes[] = {
		{"", NS_PER_MS},  {"ns", 1},           {"us", NS_PER_US},       {"ms", NS_PER_MS},
		{"s", NS_PER_S},  {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {NULL, 0},
	};
	uint64_t value = 0;
	int rc = parse_suffixed(text, suffixes, &value);
	if (rc == 0)
		*ret_ns = value;
	return rc;
}

static int parse_bool(struct str text, bool *ret_value)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};
	for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
		if (str_eq(text, str_of(yes[i])) || str_eq(text, str_of(no[i]))) {
			*ret_value = str_eq(text, str_of(yes[i]));
			return 0;
		}
	}
	return fail(EINVAL);
}

/* A scalar of `row` as a number. Errors: EINVAL (form). */
static int parse_scalar(const struct conf_row *row, struct str text, uint64_t *ret_value)
{
	bool flag = false;
	enum log_level level = LOG_LEVEL_INFO;
	int rc = 0;
	switch (row->kind) {
	case CONF_bool:
		rc = parse_bool(text, &flag);
		if (rc == 0)
			*ret_value = flag;
		return rc;
	case CONF_u64:
		return parse_suffixed(text, (const struct suffix[]){{"", 1}, {NULL, 0}}, ret_value);
	case CONF_size:
		return conf_parse_size(text, ret_value);
	case CONF_time:
		return conf_parse_time(text, ret_value);
	case CONF_level:
		rc = log_level_from_name(text, &level);
		if (rc == 0)
			*ret_value = level;
		return rc;
	case CONF_text:
	case CONF_list:
	case CONF_KIND_COUNT:
		break;
	}
	return fail(EINVAL);
}

static int store_text(const struct conf_row *row, void *field, struct str value, char *ret_error)
{
	char *dest = NULL;
	size_t size = 0;
	struct conf_list *list = NULL;
	if (row->kind == CONF_list) {
		list = field;
		if (list->count == CONF_LIST_MAX) {
			(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%s: given more than %d times", row->name, CONF_LIST_MAX);
			return fail(ERR_conf);
		}
		dest = list->items[list->count];
		size = sizeof(list->items[0]);
	} else {
		dest = ((struct conf_text *)field)->text;
		size = sizeof(struct conf_text);
	}
	if (value.len >= size || memchr(value.ptr, 0, value.len) != NULL) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%s: a text of at most %zu bytes was expected", row->name, size - 1);
		return fail(ERR_conf);
	}
	memcpy(dest, value.ptr, value.len);
	dest[value.len] = '\0';
	if (list != NULL)
		list->count++;
	return 0;
}

enum { SHOWN_BYTES_MAX = 80 };

/* What was given, cut and without anything that would disturb a terminal. */
static const char *shown(struct str text, char ret_text[SHOWN_BYTES_MAX + 1])
{
	size_t len = (size_t)min_u64(text.len, SHOWN_BYTES_MAX);
	for (size_t i = 0; i < len; i++)
		ret_text[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?';
	ret_text[len] = '\0';
	return ret_text;
}

/* A limit as a person would write it: "1s", "64K", "3". */
static void limit_text(const struct conf_row *row, uint64_t value, char ret_text[32])
{
	static const struct suffix times[] = {{"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S}, {"ms", NS_PER_MS}, {"us", NS_PER_US}, {"ns", 1}};
	static const struct suffix sizes[] = {{"T", GIB * KIB}, {"G", GIB}, {"M", MIB}, {"K", KIB}, {"", 1}};
	bool is_time = row->kind == CONF_time, is_size = row->kind == CONF_size;
	const struct suffix *suffixes = is_time ? times : sizes;
	size_t i = is_time || is_size ? 0 : ARRAY_COUNT(sizes) - 1, last = is_time ? ARRAY_COUNT(times) - 1 : ARRAY_COUNT(sizes) - 1;
	while (i < last && (value == 0 || value % suffixes[i].factor != 0))
		i++;
	(void)snprintf(ret_text, 32, "%" PRIu64 "%s", value / suffixes[i].factor, suffixes[i].text);
}

static void say_value(char *ret_error, const struct conf_row *row, struct str value, const char *what)
{
	char text[SHOWN_BYTES_MAX + 1];
	(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%s: '%s' %s %s (like %s)", row->name, shown(value, text), what,
		       conf_kind_name(row->kind), kinds[row->kind].example);
}

static int store_value(struct conf *conf, const struct conf_row *row, struct str value, char *ret_error)
{
	void *field = (char *)conf + row->offset;
	if (row->kind == CONF_text || row->kind == CONF_list)
		return store_text(row, field, value, ret_error);
	uint64_t number = 0;
	if (parse_scalar(row, value, &number) < 0) {
		say_value(ret_error, row, value, "is not a");
		return fail(ERR_conf);
	}
	if (number < row->min || number > row->max) {
		char text[SHOWN_BYTES_MAX + 1], min[32], max[32];
		limit_text(row, row->min, min);
		limit_text(row, row->max, max);
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%s: '%s' is out of range: %s to %s was expected", row->name,
			       shown(value, text), min, max);
		return fail(ERR_conf);
	}
	if (row->kind == CONF_bool)
		*(bool *)field = number != 0;
	else if (row->kind == CONF_level)
		*(enum log_level *)field = (enum log_level)number;
	else
		*(uint64_t *)field = number;
	return 0;
}

void conf_init(struct conf *conf)
{
	char error[CONF_ERROR_BYTES_MAX];
	memset(conf, 0, sizeof(*conf));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].kind == CONF_list)
			continue; /* empty */
		int rc = store_value(conf, &rows[i], str_of(rows[i].fallback), error);
		CHECK_MSG(rc == 0, rows[i].name); /* a default that its own row refuses */
	}
}

enum { DISTANCE_WORD_MAX = 48 };

unsigned conf_distance(struct str a, struct str b)
{
	/* Damerau and Levenshtein, optimal string alignment */
	unsigned d[DISTANCE_WORD_MAX + 1][DISTANCE_WORD_MAX + 1];
	if (a.len > DISTANCE_WORD_MAX || b.len > DISTANCE_WORD_MAX)
		return UINT32_MAX;
	for (size_t i = 0; i <= a.len; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b.len; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		for (size_t j = 1; j <= b.len; j++) {
			unsigned cost = a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1;
			unsigned best = (unsigned)min_u64(d[i - 1][j] + 1, d[i][j - 1] + 1);
			best = (unsigned)min_u64(best, d[i - 1][j - 1] + cost);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
				best = (unsigned)min_u64(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[a.len][b.len];
}

static void say_unknown(unsigned programs, struct str name, char *ret_error)
{
	const struct conf_row *closest = NULL;
	unsigned closest_distance = UINT32_MAX;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if ((rows[i].programs & programs) == 0)
			continue;
		unsigned distance = conf_distance(name, str_of(rows[i].name));
		if (distance < closest_distance) {
			closest_distance = distance;
			closest = &rows[i];
		}
	}
	char text[SHOWN_BYTES_MAX + 1];
	if (closest != NULL && closest_distance <= 1 + strlen(closest->name) / 3)
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "unknown option '%s': did you mean '%s'?", shown(name, text), closest->name);
	else
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "unknown option '%s': see --help for those there are", shown(name, text));
}

int conf_set(struct conf *conf, unsigned programs, struct str name, struct str value, char ret_error[CONF_ERROR_BYTES_MAX])
{
	const struct conf_row *row = conf_row(programs, name);
	if (row == NULL) {
		say_unknown(programs, name, ret_error);
		return fail(ERR_conf);
	}
	return store_value(conf, row, value, ret_error);
}

int conf_set_pair(struct conf *conf, unsigned programs, struct str pair, char ret_error[CONF_ERROR_BYTES_MAX])
{
	const char *equals = pair.len > 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
	if (equals != NULL) {
		struct str name = {pair.ptr, (size_t)(equals - pair.ptr)};
		return conf_set(conf, programs, name, (struct str){equals + 1, pair.len - name.len - 1}, ret_error);
	}
	const struct conf_row *row = conf_row(programs, pair);
	if (row != NULL && row->kind != CONF_bool) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%s: a value was expected (%s=…, like %s)", row->name, row->name,
			       kinds[row->kind].example);
		return fail(ERR_conf);
	}
	return conf_set(conf, programs, pair, STR("true"), ret_error);
}
