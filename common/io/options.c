/* SPDX-License-Identifier: Apache-2.0
 * Command lines and INI files (by inih). Reads files and prints to stdout and stderr; keeps nothing. */
#include "common/io/options.h"

#include <ini.h>
#include <stdio.h>

struct ini_context {
	struct conf *conf;
	unsigned programs;
	const char *path;
	int line;    /* of the first mistake; 0: none yet */
	char *error; /* CONF_ERROR_BYTES_MAX */
};

/* Which programs a section is for; 0: there is no such section. */
static unsigned section_programs(const char *section)
{
	static const struct {
		const char *name;
		unsigned programs;
	} sections[] = {{"", CONF_ALL}, {"all", CONF_ALL}, {"mds", CONF_MDS}, {"oss", CONF_OSS}, {"client", CONF_CLIENT}};
	for (size_t i = 0; i < ARRAY_COUNT(sections); i++)
		if (strcmp(section, sections[i].name) == 0)
			return sections[i].programs;
	return 0;
}

/* inih's callback: 1 goes on, 0 is a mistake, whose line ini_parse_file returns. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct ini_context *context = user;
	if (context->line != 0)
		return 0; /* only the first mistake is told */
	unsigned programs = section_programs(section);
	char what[CONF_ERROR_BYTES_MAX];
	int rc = 0;
	if (programs == 0) {
		(void)snprintf(what, sizeof(what), "unknown section [%.80s]: all, mds, oss or client was expected", section);
		rc = -ERR_conf;
	} else if ((programs & context->programs) != 0) {
		/* a shared file may hold, outside sections, what only the other programs know */
		unsigned known = programs == CONF_ALL ? CONF_ALL : context->programs;
		rc = conf_set(context->conf, known, str_of(name), str_of(value != NULL ? value : ""), what);
	}
	if (rc == 0)
		return 1;
	context->line = -1;
	(void)snprintf(context->error, CONF_ERROR_BYTES_MAX, "%.400s", what);
	return 0;
}

int options_read_ini(struct conf *conf, unsigned programs, const char *path, char ret_error[CONF_ERROR_BYTES_MAX])
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		int code = errno;
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%.200s: cannot be read: %s", path, err_text(-code));
		return fail(code);
	}
	struct conf *read = mem_dup(conf, sizeof(*conf)); /* so that a file with a mistake changes nothing */
	char what[CONF_ERROR_BYTES_MAX] = "`name = value` or [section] was expected";
	struct ini_context context = {.conf = read, .programs = programs, .path = path, .error = what};
	int line = ini_parse_file(file, take_line, &context);
	int code = ferror(file) ? EISDIR : 0; /* the one way in which reading an open file fails here, but for a broken disk */
	(void)fclose(file);                   /* it was only read */
	int rc = 0;
	if (code != 0) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%.200s: cannot be read: %s", path, err_text(-code));
		rc = fail(code);
	} else if (line != 0) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "%.200s:%d: %.250s", path, line, what);
		rc = fail(ERR_conf);
	} else {
		*conf = *read;
	}
	mem_free(read);
	return rc;
}

static void print_help(const struct options_usage *usage)
{
	printf("Usage: %s [OPTION…]%s%s\n%s\n\nOptions (also as lines `name = value` of an INI file, and as -o name=value,…):\n",
	       usage->program, usage->words[0] != '\0' ? " " : "", usage->words, usage->about);
	const struct conf_row *rows = NULL;
	size_t count = conf_rows(&rows);
	for (size_t i = 0; i < count; i++) {
		if ((rows[i].programs & usage->programs) == 0)
			continue;
		char left[64];
		char dashed[40];
		(void)snprintf(dashed, sizeof(dashed), "%s", rows[i].name); /* names are short */
		for (char *c = dashed; *c != '\0'; c++)
			*c = *c == '_' ? '-' : *c;
		(void)snprintf(left, sizeof(left), "--%s %s", dashed, rows[i].kind == CONF_bool ? "" : conf_kind_name(rows[i].kind));
		printf("  %-24s %s", left, rows[i].help);
		if (rows[i].fallback[0] != '\0')
			printf(" [%s]", rows[i].fallback);
		printf("\n");
	}
	printf("  %-24s %s\n  %-24s %s\n  %-24s %s\n", "--config FILE", "read an INI file; may be repeated", "--help", "this text",
	       "--version", "the program's version");
}

static int complain(const struct options_usage *usage, const char *what)
{
	fprintf(stderr, "%s: %s\n", usage->program, what);
	return fail(ERR_conf);
}

/* "a=1,b,c=2" */
static int take_list(const struct options_usage *usage, struct conf *conf, const char *text, char *error)
{
	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		if (len > 0) {
			int rc = conf_set_pair(conf, usage->programs, (struct str){text, len}, error);
			if (rc < 0)
				return rc;
		}
		text += len + (text[len] == ',');
	}
	return 0;
}

/* One "--name[=value]" at argv[*at]; takes its value from the next word if it has none. */
static int take_long(const struct options_usage *usage, struct conf *conf, int argc, char **argv, int *at, char *error)
{
	const char *text = argv[*at] + 2;
	size_t name_len = strcspn(text, "=");
	struct str name = {text, name_len};
	bool is_config = str_eq(name, STR("config"));
	const struct conf_row *row = is_config ? NULL : conf_row(usage->programs, name);
	const char *value = text[name_len] == '=' ? text + name_len + 1 : NULL;
	if (value == NULL && (is_config || (row != NULL && row->kind != CONF_bool))) {
		if (*at + 1 >= argc) {
			(void)snprintf(error, CONF_ERROR_BYTES_MAX, "--%.80s: a value was expected", text);
			return fail(ERR_conf);
		}
		value = argv[++*at];
	}
	if (is_config)
		return options_read_ini(conf, usage->programs, value, error);
	return conf_set(conf, usage->programs, name, str_of(value != NULL ? value : "true"), error);
}

int options_parse(const struct options_usage *usage, int argc, char **argv, struct options *ret_options)
{
	struct options *options = ret_options;
	char error[CONF_ERROR_BYTES_MAX];
	memset(options, 0, sizeof(*options));
	conf_init(&options->conf);
	bool only_words = false;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int rc = 0;
		if (!only_words && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
			print_help(usage);
			return 1;
		}
		if (!only_words && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)) {
			printf("%s %s\n", usage->program, STRIA_VERSION);
			return 1;
		}
		if (only_words || word[0] != '-' || word[1] == '\0') {
			if (options->word_count == usage->words_max || options->word_count == OPTIONS_WORDS_MAX) {
				(void)snprintf(error, sizeof(error), "'%.80s' is one word too many: see --help", word);
				return complain(usage, error);
			}
			options->words[options->word_count++] = word;
		} else if (strcmp(word, "--") == 0) {
			only_words = true;
		} else if (strncmp(word, "-o", 2) == 0) {
			if (word[2] == '\0' && i + 1 >= argc)
				return complain(usage, "-o: name=value was expected after it");
			rc = take_list(usage, &options->conf, word[2] != '\0' ? word + 2 : argv[++i], error);
		} else if (word[1] == '-') {
			rc = take_long(usage, &options->conf, argc, argv, &i, error);
		} else {
			(void)snprintf(error, sizeof(error), "unknown option '%.80s': see --help for those there are", word);
			rc = -ERR_conf;
		}
		if (rc < 0)
			return complain(usage, error);
	}
	if (options->word_count < usage->words_min) {
		(void)snprintf(error, sizeof(error), "%s was expected: see --help", usage->words);
		return complain(usage, error);
	}
	return 0;
}
