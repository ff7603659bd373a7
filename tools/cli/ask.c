/* SPDX-License-Identifier: Apache-2.0
 * Virtual extended attributes of a mount, and which mounts there are. */
#include "tools/cli/cli.h"

#include <stdlib.h>
#include <sys/xattr.h>

enum { VALUE_BYTES_MAX = 1 << 20 };

int ask_text(const char *path, const char *name, char **ret_text)
{
	char *text = malloc(VALUE_BYTES_MAX + 1);
	ssize_t len = text != NULL ? lgetxattr(path, name, text, VALUE_BYTES_MAX) : -1;
	if (len < 0) {
		int code = text != NULL ? errno : ENOMEM;
		free(text);
		return fail(code);
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

int ask_json(const char *path, const char *name, json_t **ret_json)
{
	char *text = NULL;
	int rc = ask_text(path, name, &text);
	if (rc < 0)
		return rc;
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	free(text);
	if (json == NULL)
		return fail(EPROTO);
	*ret_json = json;
	return 0;
}

int ask_set(const char *path, const char *name, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(value);
	if (text == NULL)
		return fail(ENOMEM);
	int rc = lsetxattr(path, name, text, strlen(text), 0) < 0 ? fail(errno) : 0;
	free(text);
	return rc;
}

int ask_fail(const char *path, int rc)
{
	if (err_is(rc, ENODATA) || err_is(rc, EOPNOTSUPP))
		return cli_fail(path, rc, "it does not lie in a Stria file system (stria getname lists the mounts)");
	if (err_is(rc, ENOTCONN))
		return cli_fail(path, rc, "its stria-mount has ended: unmount it, then mount it again");
	if (err_is(rc, EPROTO))
		return cli_fail(path, rc, "the answer could not be read: is stria-mount of the same version as stria?");
	return cli_fail(path, rc, NULL);
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \ooo. In place. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from != '\0';) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' && from[3] != '\0') {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static bool lies_below(const char *path, const char *point)
{
	size_t len = strlen(point);
	return strncmp(path, point, len) == 0 && (path[len] == '\0' || path[len] == '/' || strcmp(point, "/") == 0);
}

/* The mount point of one mountinfo line, if it is one of ours. */
static bool take_mount(char *line, char **ret_point)
{
	const char *type = strstr(line, " - ");
	if (type == NULL || strncmp(type, " - fuse.stria ", 14) != 0)
		return false;
	char *save = NULL, *field = strtok_r(line, " ", &save);
	for (int i = 1; i < 5 && field != NULL; i++)
		field = strtok_r(NULL, " ", &save);
	if (field == NULL)
		return false;
	unescape(field);
	*ret_point = field;
	return true;
}

int ask_mounts(const char *path, struct mount_row **ret_rows)
{
	char real[PATH_MAX];
	if (path != NULL && realpath(path, real) == NULL)
		return fail(errno);
	FILE *file = fopen("/proc/self/mountinfo", "re");
	if (file == NULL)
		return fail(errno);
	struct mount_row *rows = NULL;
	int count = 0;
	char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, file) > 0) {
		char *point = NULL;
		if (!take_mount(line, &point) || strlen(point) >= PATH_MAX || (path != NULL && !lies_below(real, point)))
			continue;
		if (path != NULL && count == 1) { /* the deepest one wins */
			if (strlen(point) >= strlen(rows[0].point))
				memcpy(rows[0].point, point, strlen(point) + 1);
			continue;
		}
		rows = realloc(rows, ((size_t)count + 1) * sizeof(*rows));
		if (rows == NULL)
			break;
		memcpy(rows[count++].point, point, strlen(point) + 1);
	}
	free(line);
	(void)fclose(file); /* it was only read */
	if (count == 0) {
		free(rows);
		return fail(ENODEV);
	}
	*ret_rows = rows;
	return count;
}

int ask_fail_mount(const char *path, int rc)
{
	if (path == NULL)
		return cli_fail("no path was given", rc, "and no Stria file system is mounted here");
	return cli_fail(path, rc, err_is(rc, ENODEV) ? "it does not lie in a Stria file system" : NULL);
}
