/* SPDX-License-Identifier: Apache-2.0
 * The error table, expanded. Pure but for one hook pointer that is set once at start. */
#include "common/base/err.h"

#include <string.h>

static const struct err_row rows[] = {
#define E(name, number, class, text) {"ERR_" #name, text, number, class},
#include "common/base/err.def.h"
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static err_hook installed_hook;

static const struct err_row *row_of(int code)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].number == code)
			return &rows[i];
	return NULL;
}

bool err_is(int rc, int class)
{
	if (rc >= 0)
		return false;
	int code = -rc;
	for (int depth = 0; depth < 4; depth++) {
		if (code == class)
			return true;
		const struct err_row *row = row_of(code);
		if (row == NULL)
			return false;
		code = row->class;
	}
	return false;
}

int err_to_errno(int rc)
{
	if (rc >= 0)
		return 0;
	int code = -rc;
	while (code >= ERR_PRIVATE_FIRST) {
		const struct err_row *row = row_of(code);
		if (row == NULL)
			return EIO;
		code = row->class;
	}
	return code;
}

const char *err_name(int rc)
{
	if (rc >= 0)
		return "OK";
	const struct err_row *row = row_of(-rc);
	if (row != NULL)
		return row->name;
	const char *name = strerrorname_np(-rc);
	return name != NULL ? name : "UNKNOWN";
}

const char *err_text(int rc)
{
	if (rc >= 0)
		return "success";
	const struct err_row *row = row_of(-rc);
	if (row != NULL)
		return row->text;
	const char *text = strerrordesc_np(-rc);
	return text != NULL ? text : "unknown error";
}

unsigned short err_to_wire(int rc)
{
	return rc >= 0 ? 0 : (unsigned short)-rc;
}

int err_from_wire(unsigned short status)
{
	if (status == 0)
		return 0;
	if (status < 4096 || row_of(status) != NULL)
		return -(int)status;
	return -EPROTO;
}

size_t err_rows(const struct err_row **ret_rows)
{
	*ret_rows = rows;
	return ROW_COUNT;
}

void err_set_hook(err_hook hook)
{
	installed_hook = hook;
}

int err_fail(int code, const char *file, int line)
{
	if (installed_hook != NULL)
		installed_hook(code, file, line);
	return -code;
}
