/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/posix/posix.h"
const struct posix_case posix_cases_mmap[] = {{0}};
