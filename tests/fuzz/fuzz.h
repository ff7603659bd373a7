/* SPDX-License-Identifier: Apache-2.0
 * What libFuzzer, or the short driver in its place, calls. */
#ifndef STRIA_TESTS_FUZZ_FUZZ_H
#define STRIA_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
