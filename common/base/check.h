/* SPDX-License-Identifier: Apache-2.0
 * CHECK: our own bugs stop the process at once, in release builds too. Never for what a peer or a disk may do. */
#ifndef STRIA_BASE_CHECK_H
#define STRIA_BASE_CHECK_H

/* Called once before abort(), to dump the trace ring; may be NULL. */
typedef void (*check_hook)(void);
void check_set_hook(check_hook hook);

_Noreturn void check_failed(const char *what, const char *file, int line);

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
#define CHECK_MSG(cond, what) ((cond) ? (void)0 : check_failed(what, __FILE__, __LINE__))
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

#endif
