/* SPDX-License-Identifier: Apache-2.0
 * Errors: int results, 0 or more is success, negative is -errno or -ERR_*.
 * Ask err_is(rc, ERR_retry), never for a list of codes. Return fail(x) at the origin, and `rc` above it. */
#ifndef STRIA_BASE_ERR_H
#define STRIA_BASE_ERR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum err_code {
#define E(name, number, class, text) ERR_##name = (number),
#include "common/base/err.def.h"
	ERR_PRIVATE_FIRST = 10000,
	ERR_PRIVATE_LAST = 10999,
};

/* Is `rc` (negative) the error `class`, or of that class? `class` is a positive errno or ERR_*.
 * False for rc >= 0. Never fails. */
bool err_is(int rc, int class);

/* The positive errno an application sees for `rc` (negative); 0 for rc >= 0. */
int err_to_errno(int rc);

/* "ENOENT", "ERR_retry", …; "OK" for rc >= 0. Static. */
const char *err_name(int rc);

/* One sentence for people. Static. */
const char *err_text(int rc);

/* The wire's status of `rc`: 0 or a positive number that fits a u16; and back (unknown ones become EPROTO). */
unsigned short err_to_wire(int rc);
int err_from_wire(unsigned short status);

/* Every private error in table order, for counters and documents: returns the number of rows. */
struct err_row {
	const char *name, *text;
	int number, class;
};
size_t err_rows(const struct err_row **ret_rows);

/* Called at the origin of every failure; the runtime installs a hook that counts it and writes a trace record. */
typedef void (*err_hook)(int code, const char *file, int line);
void err_set_hook(err_hook hook);
int err_fail(int code, const char *file, int line);

/* `return fail(ENOENT)`: the negative code, counted and traced with its origin. */
#define fail(code) err_fail((code), __FILE__, __LINE__)

#endif
