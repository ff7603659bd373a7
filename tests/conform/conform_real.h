/* SPDX-License-Identifier: Apache-2.0
 * Tests that make sense on the real seams only: other processes, raw sockets. */
#ifndef STRIA_TESTS_CONFORM_REAL_H
#define STRIA_TESTS_CONFORM_REAL_H

#include "tests/conform/conform.h"

/* Processes that are killed or stopped, and peers that speak rubbish. */
void conform_hostile(struct conform_world *world);
/* The driver, threads, kcache, and error texts. */
void conform_driver(void);

#endif
