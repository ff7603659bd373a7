/* SPDX-License-Identifier: Apache-2.0
 * Formatting and limiting of operator lines. Time comes from the clock seam, so that a simulated run writes the same bytes each time. */
#include "common/core/log.h"
#include "common/base/map.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

const char *log_level_name(enum log_level level)
{
	return level < LOG_LEVEL_COUNT ? level_names[level] : "?";
}

int log_level_from_name(struct str name, enum log_level *ret_level)
{
	for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (str_eq(name, str_of(level_names[i]))) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return fail(EINVAL);
}

void log_init(struct log *log, struct log_sink *sink, struct clock *clock, enum log_level level_min, const char *node)
{
	*log = (struct log){.sink = sink, .clock = clock, .level_min = level_min};
	(void)snprintf(log->node, sizeof(log->node), "%s", node); /* cut by contract */
}

/* May this line go out? Tells how many of its kind were swallowed before it. */
static bool admit(struct log *log, const char *module, const char *format, uint32_t *ret_suppressed)
{
	/* by content, not by address: a simulated run must not depend on where the program was loaded */
	uint64_t hash = map_hash_bytes(blob_of(format, strlen(format))) ^ map_hash_bytes(blob_of(module, strlen(module)));
	struct log_kind *kind = &log->kinds[hash % LOG_KINDS];
	uint64_t now_ns = log->clock->ops->now_ns(log->clock);
	if (kind->hash != hash)
		*kind = (struct log_kind){.hash = hash, .window_start_ns = now_ns};
	if (now_ns - kind->window_start_ns >= LOG_WINDOW_S * NS_PER_S) {
		kind->window_start_ns = now_ns;
		kind->count = 0;
	}
	if (kind->count >= LOG_BURST) {
		kind->suppressed++;
		return false;
	}
	kind->count++;
	*ret_suppressed = kind->suppressed;
	kind->suppressed = 0;
	return true;
}

/* "2026-11-24T02:36:00.123456Z" of nanoseconds since 1970, by Howard Hinnant's civil_from_days: no time zone, no libc state. */
static int put_time(char *buf, size_t size, int64_t real_ns)
{
	int64_t seconds = real_ns / (int64_t)NS_PER_S;
	int64_t days = seconds / 86400, second = seconds % 86400;
	int64_t shifted = days + 719468;
	int64_t era = shifted / 146097, day_of_era = shifted % 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_shifted = (5 * day_of_year + 2) / 153;
	int64_t day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
	int64_t month = month_shifted < 10 ? month_shifted + 3 : month_shifted - 9;
	int64_t year = year_of_era + era * 400 + (month <= 2);
	return snprintf(buf, size,
			"%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
			".%06" PRId64 "Z",
			year, month, day, second / 3600, second / 60 % 60, second % 60,
			real_ns % (int64_t)NS_PER_S / (int64_t)NS_PER_US);
}

/* What snprintf says was (or would have been) written, as an offset that stays inside the buffer. */
static size_t advance(size_t at, int written, size_t size)
{
	if (written < 0)
		return at;
	return (size_t)min_u64(at + (size_t)written, size - 1);
}

void log_line(struct log *log, enum log_level level, const char *module, const char *format, ...)
{
	if (log == NULL || log->sink == NULL || level < log->level_min)
		return;
	uint32_t suppressed = 0;
	if (!admit(log, module, format, &suppressed))
		return;
	char buf[LOG_LINE_BYTES_MAX];
	size_t size = sizeof(buf) - 1; /* room for '\n' */
	int64_t real_ns = log->clock->ops->real_ns(log->clock);
	size_t len = advance(0, put_time(buf, size, real_ns < 0 ? 0 : real_ns), size);
	len = advance(len, snprintf(buf + len, size - len, " %s %s %s: ", log_level_name(level), log->node, module), size);
	va_list args;
	va_start(args, format);
	len = advance(len, vsnprintf(buf + len, size - len, format, args), size);
	va_end(args);
	if (suppressed > 0)
		len = advance(len, snprintf(buf + len, size - len, " suppressed_before=%" PRIu32, suppressed), size);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
			buf[i] = '?';
	buf[len++] = '\n';
	log->sink->write(log->sink, level, (struct str){buf, len});
}
