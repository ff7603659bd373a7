/* SPDX-License-Identifier: Apache-2.0
 * Real seams only: other processes and raw sockets. */
#include "tests/conform/conform_real.h"

void conform_hostile(struct conform_world *world)
{
	(void)world;
}
