/* SPDX-License-Identifier: Apache-2.0
 * A ring of fixed records. Slots are claimed by an atomic counter, so a record that is being written while the ring is dumped may read torn: a trace is
 * evidence, not state. The clock is read directly (CLOCK_MONOTONIC_COARSE, 5 ns): times in a trace are for people and never influence anything. */
#include "common/core/trace.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#include <stdatomic.h>

enum { RECORDS = 8192 };

struct trace_record {
	uint64_t time_ns, a, b, c;
	const char *text;
	uint32_t kind;
};

static struct trace_record *ring;
static _Atomic uint64_t next_record;

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
#define T(name, number, text) \
	case number:          \
		return #name;
#include "common/core/trace.def.h"
	default:
		return "?";
	}
}

void trace(enum trace_kind kind, uint64_t a, uint64_t b, uint64_t c, const char *text)
{
	if (ring == NULL)
		return;
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
	uint64_t at = atomic_fetch_add_explicit(&next_record, 1, memory_order_relaxed);
	ring[at % RECORDS] = (struct trace_record){
		.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec,
		.a = a,
		.b = b,
		.c = c,
		.text = text,
		.kind = kind,
	};
}

void trace_dump(int fd)
{
	if (ring == NULL)
		return;
	uint64_t end = atomic_load_explicit(&next_record, memory_order_relaxed);
	for (uint64_t i = end > RECORDS ? end - RECORDS : 0; i < end; i++) {
		const struct trace_record *record = &ring[i % RECORDS];
		(void)dprintf(fd, "%llu.%09llu %s %llu %llu %lld %s\n", (unsigned long long)(record->time_ns / NS_PER_S),
			      (unsigned long long)(record->time_ns % NS_PER_S), kind_name(record->kind),
			      (unsigned long long)record->a, (unsigned long long)record->b, (long long)record->c,
			      record->text != NULL ? record->text : "");
	}
}

static void on_check(void)
{
	(void)dprintf(STDERR_FILENO, "stria: the last trace records:\n");
	trace_dump(STDERR_FILENO);
}

static void on_fail(int code, const char *file, int line)
{
	trace(TRACE_fail, (uint64_t)code, (uint64_t)line, 0, file);
}

void trace_start(void)
{
	ring = mem_alloc(RECORDS * sizeof(ring[0]));
	check_set_hook(on_check);
	err_set_hook(on_fail);
}
