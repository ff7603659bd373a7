/* SPDX-License-Identifier: Apache-2.0
 * The trace ring: the last few thousand small records of what the process did, for developers. Always on; written to a file
 * descriptor when a CHECK fails, on SIGUSR1, or by whoever asks. One ring a process: the loops of one daemon take turns at its slots by one atomic counter. */
#ifndef STRIA_CORE_TRACE_H
#define STRIA_CORE_TRACE_H

#include <stdint.h>

enum trace_kind {
#define T(name, number, text) TRACE_##name = (number),
#include "common/core/trace.def.h"
};

/* Allocate the ring and install the hooks of CHECK and fail(). Once, first thing in main; without it trace() does nothing. */
void trace_start(void);
/* Add a record; some nanoseconds. `text` is static or NULL. */
void trace(enum trace_kind kind, uint64_t a, uint64_t b, uint64_t c, const char *text);
/* Write the records, oldest first, as lines "seconds kind a b c text". Allocates nothing. */
void trace_dump(int fd);

#endif
