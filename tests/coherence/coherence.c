// SPDX-License-Identifier: Apache-2.0
// The shared half of the testers (coherence.h): options, generator, history, failure.
#include "tests/coherence/coherence.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t rng_state;
static uint64_t current_op;
static time_t started;
static uint64_t seed_given;
static struct noted {
	char text[LINE_MAX_BYTES];
	size_t at, length;
} history[HISTORY];
static uint64_t noted;
static time_t last_progress;
static unsigned last_view;
static uint64_t handed_over;

static uint64_t number_of(const char *text)
{
	char *end;
	errno = 0;
	uint64_t number = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0') {
		(void)fprintf(stderr, "'%s' is not a number\n", text);
		exit(2);
	}
	return number;
}

void options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){.seed = 1, .ops = 10000, .turn = 1};
	bool wrong = false;
	for (int i = 1; i < argc && !wrong; i++) {
		bool more = i + 1 < argc;
		if (strcmp(argv[i], "--seed") == 0 && more)
			options->seed = number_of(argv[++i]);
		else if (strcmp(argv[i], "--ops") == 0 && more)
			options->ops = number_of(argv[++i]);
		else if (strcmp(argv[i], "--seconds") == 0 && more)
			options->seconds = number_of(argv[++i]);
		else if (strcmp(argv[i], "--turn") == 0 && more)
			options->turn = number_of(argv[++i]);
		else if (strcmp(argv[i], "--bytes") == 0 && more)
			options->bytes = number_of(argv[++i]);
		else if (strcmp(argv[i], "--no-mmap") == 0)
			options->no_mmap = true;
		else if (strcmp(argv[i], "--progress") == 0)
			options->progress = true;
		else if (argv[i][0] == '-' || options->path_count == VIEWS_MAX)
			wrong = true;
		else
			options->paths[options->path_count++] = argv[i];
	}
	if (wrong || options->path_count < 2 || options->turn == 0) {
		(void)fprintf(stderr, "usage: %s PATH PATH... [--seed N] [--ops N] [--seconds N] [--turn N] [--bytes N] [--no-mmap] [--progress]\n", argv[0]);
		exit(2);
	}
	rng_state = seed_given = options->seed;
	started = time(NULL);
}

bool next_op(const struct options *options)
{
	if (current_op >= options->ops)
		return false;
	if (options->seconds != 0 && (uint64_t)(time(NULL) - started) >= options->seconds)
		return false;
	current_op++;
	if (options->progress && current_op % 256 == 0 && time(NULL) - last_progress >= 60) {
		last_progress = time(NULL);
		long seconds = (long)(last_progress - started);
		printf("%llu operations, %llu hand-overs in %ld s\n", (unsigned long long)current_op, (unsigned long long)handed_over, seconds);
		(void)fflush(stdout);
	}
	return true;
}

uint64_t op_number(void)
{
	return current_op;
}

uint64_t draw_turn(const struct options *options)
{
	if (options->turn == 1 || one_in(6))
		return 1;
	uint64_t most = one_in(2) ? options->turn : (options->turn + 9) / 10;
	return 1 + draw((unsigned)most);
}

void acts(unsigned view)
{
	handed_over += view != last_view;
	last_view = view;
}

uint64_t handovers(void)
{
	return handed_over;
}

uint64_t draw64(void) // splitmix64
{
	uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

unsigned draw(unsigned below)
{
	return (unsigned)(draw64() % below);
}

bool one_in(unsigned n)
{
	return draw(n) == 0;
}

unsigned draw_other(const struct options *options, unsigned view)
{
	return (view + 1 + draw(options->path_count - 1)) % options->path_count;
}

void draw_bytes(unsigned char *to, size_t length)
{
	for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
		uint64_t word = draw64();
		memcpy(to + i, &word, length - i < sizeof(word) ? length - i : sizeof(word));
	}
}

void note(const char *format, ...)
{
	char text[LINE_MAX_BYTES - 36];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct noted *line = &history[noted++ % HISTORY];
	(void)snprintf(line->text, LINE_MAX_BYTES, "%8llu %s", (unsigned long long)current_op, text);
	line->at = line->length = 0;
}

void note_range(size_t at, size_t length)
{
	struct noted *line = &history[(noted - 1) % HISTORY];
	line->at = at;
	line->length = length;
}

void note_result(long result)
{
	char *line = history[(noted - 1) % HISTORY].text;
	size_t length = strlen(line);
	(void)snprintf(line + length, LINE_MAX_BYTES - length, " -> %ld", result);
}

static void print_last(void)
{
	printf("seed %llu, operation %llu: the last operations:\n", (unsigned long long)seed_given, (unsigned long long)current_op);
	for (uint64_t i = noted > HISTORY_SHOWN ? noted - HISTORY_SHOWN : 0; i < noted; i++)
		printf("%s\n", history[i % HISTORY].text);
}

static void print_touching(size_t at)
{
	printf("of the last %d, those that touched byte %zu:\n", HISTORY, at);
	for (uint64_t i = noted > HISTORY ? noted - HISTORY : 0; i < noted; i++) {
		const struct noted *line = &history[i % HISTORY];
		if (at >= line->at && at - line->at < line->length)
			printf("%s\n", line->text);
	}
}

_Noreturn static void end(const char *format, va_list args)
{
	printf("DIFFERS: ");
	(void)vprintf(format, args);
	printf("\n");
	(void)fflush(stdout);
	exit(1);
}

_Noreturn void differs(const char *format, ...)
{
	va_list args;
	print_last();
	va_start(args, format);
	end(format, args);
}

_Noreturn void differs_at(size_t at, const char *format, ...)
{
	va_list args;
	print_last();
	print_touching(at);
	va_start(args, format);
	end(format, args);
}
