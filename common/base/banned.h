/* SPDX-License-Identifier: Apache-2.0
 * Included into every file by the build: calls that are never right here become compile errors, with the reason. */
#ifndef STRIA_BASE_BANNED_H
#define STRIA_BASE_BANNED_H

/* the headers that declare them come first, so that only uses are hit */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atof
#pragma GCC poison rand srand random srandom
#pragma GCC poison usleep

#endif
