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
static char history[HISTORY][LINE_MAX_BYTES];
static unsigned noted;

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
	*options = (struct options){.seed = 1, .ops = 10000};
	bool wrong = false;
	for (int i = 1; i < argc && !wrong; i++) {
		bool more = i + 1 < argc;
		if (strcmp(argv[i], "--seed") == 0 && more)
			options->seed = number_of(argv[++i]);
		else if (strcmp(argv[i], "--ops") == 0 && more)
			options->ops = number_of(argv[++i]);
		else if (strcmp(argv[i], "--seconds") == 0 && more)
			options->seconds = number_of(argv[++i]);
		else if (strcmp(argv[i], "--no-mmap") == 0)
			options->no_mmap = true;
		else if (argv[i][0] == '-' || options->path_count == VIEWS_MAX)
			wrong = true;
		else
			options->paths[options->path_count++] = argv[i];
	}
	if (wrong || options->path_count < 2) {
		(void)fprintf(stderr, "usage: %s PATH PATH... [--seed N] [--ops N] [--seconds N] [--no-mmap]\n", argv[0]);
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
	return true;
}

uint64_t op_number(void)
{
	return current_op;
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
	unsigned char base = (unsigned char)(draw64() | 1);
	for (size_t i = 0; i < length; i++)
		to[i] = (unsigned char)(base + i * 7 + (i >> 8));
}

void note(const char *format, ...)
{
	char text[LINE_MAX_BYTES - 32];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)snprintf(history[noted++ % HISTORY], LINE_MAX_BYTES, "%8llu %s", (unsigned long long)current_op, text);
}

void note_result(long result)
{
	char *line = history[(noted - 1) % HISTORY];
	size_t length = strlen(line);
	(void)snprintf(line + length, LINE_MAX_BYTES - length, " -> %ld", result);
}

_Noreturn void differs(const char *format, ...)
{
	printf("seed %llu, operation %llu: the last operations:\n", (unsigned long long)seed_given, (unsigned long long)current_op);
	for (unsigned i = noted > HISTORY ? noted - HISTORY : 0; i < noted; i++)
		printf("%s\n", history[i % HISTORY]);
	printf("DIFFERS: ");
	va_list args;
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	printf("\n");
	(void)fflush(stdout);
	exit(1);
}
