/* SPDX-License-Identifier: Apache-2.0
 * The end of a process that found a bug in itself. */
#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>

static check_hook installed_hook;

void check_set_hook(check_hook hook)
{
	installed_hook = hook;
}

_Noreturn void check_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "stria: bug: CHECK(%s) failed at %s:%d\n", what, file, line);
	check_hook hook = installed_hook;
	installed_hook = NULL; /* a hook that fails must not come back here */
	if (hook != NULL)
		hook();
	abort();
}
