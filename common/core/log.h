/* SPDX-License-Identifier: Apache-2.0
 * Operator lines: few, rate-limited, one line of key=value each.
 *
 *   2026-11-24T02:36:00.123456Z warn mds0 txn: op=create peer=tcp://127.0.0.1:40112 err=ERR_busy did="told it to repeat"
 *
 * A log belongs to one loop. Where its lines go is its sink's business (common/io/log_fd.h in daemons, memory in the simulator). Never for
 * quantities (metric.h) and never for developers' detail (trace.h). */
#ifndef STRIA_CORE_LOG_H
#define STRIA_CORE_LOG_H

#include "common/core/env.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_COUNT };
/* "debug", "info", "warn", "error". Static. */
const char *log_level_name(enum log_level level);
/* Errors: EINVAL. */
int log_level_from_name(struct str name, enum log_level *ret_level);

struct log_sink {
	/* One whole line with its '\n', borrowed until it returns. Must not park; may be called from several loops' threads. */
	void (*write)(struct log_sink *sink, enum log_level level, struct str line);
};

enum {
	LOG_LINE_BYTES_MAX = 1024, /* a longer line is cut */
	LOG_BURST = 20,            /* lines of one kind in a row … */
	LOG_WINDOW_S = 10,         /* … per so many seconds; the rest is counted and told with the next one */
	LOG_KINDS = 64,            /* kinds that are told apart; more share a slot */
};
struct log_kind {
	uint64_t hash;
	uint64_t window_start_ns;
	uint32_t count;      /* in this window */
	uint32_t suppressed; /* since the last line that was written */
};
struct log {
	struct log_sink *sink;
	struct clock *clock;
	enum log_level level_min;
	char node[32];       /* "mds0", "oss1.ost3", "client2" */
	struct log_kind kinds[LOG_KINDS];
};

/* `sink` and `clock` are borrowed for the log's life; `node` is copied (cut at 31 bytes). A NULL sink swallows everything. */
void log_init(struct log *log, struct log_sink *sink, struct clock *clock, enum log_level level_min, const char *node);

/* One line. `module` is static. Lines of one (module, format) are limited to LOG_BURST per LOG_WINDOW_S, errors too.
 * `log` may be NULL: nothing happens. Values with blanks are the caller's to quote: did=\"…\". Control characters become '?'. Does not park. */
void log_line(struct log *log, enum log_level level, const char *module, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
