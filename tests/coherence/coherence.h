// SPDX-License-Identifier: Apache-2.0
// What the two testers of many mounts share: a seeded generator, the options, the ring of the last operations, and the one way to fail.
// They know nothing of Stria: paths go in, system calls are made, a model in memory says what must be seen. No thread, no memory of the heap.
#ifndef STRIA_COHERENCE_H
#define STRIA_COHERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VIEWS_MAX = 16, HISTORY = 16384, HISTORY_SHOWN = 40, LINE_MAX_BYTES = 160 };

struct options {
	const char *paths[VIEWS_MAX];
	unsigned path_count;
	uint64_t seed;
	uint64_t ops;
	uint64_t seconds; // 0: as long as ops take
	uint64_t turn; // operations of one mount before the next takes over: at most
	uint64_t bytes; // the most that a file has; 0: as the tester likes
	bool no_mmap;
	bool progress; // a line each minute
};

// Ends the program with a usage line unless there are at least two paths.
void options_parse(struct options *options, int argc, char **argv);

// True while another operation is due; counts it.
bool next_op(const struct options *options);
uint64_t op_number(void);

// How many operations the next turn has: 1 to options.turn, often 1, more often few than many.
uint64_t draw_turn(const struct options *options);
// The view does something. What one does after another has is a hand-over.
void acts(unsigned view);
uint64_t handovers(void);

uint64_t draw64(void);
// In [0, below).
unsigned draw(unsigned below);
bool one_in(unsigned n);
// A view other than this one, by number.
unsigned draw_other(const struct options *options, unsigned view);
// Bytes that name the operation that wrote them, so that old ones are never taken for new ones.
void draw_bytes(unsigned char *to, size_t length);

// Notes the operation about to be made; "-> result" is added by note_result, which bytes it touches by note_range.
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note_range(size_t at, size_t length);
void note_result(long result);

// Prints the seed, the last operations and the difference; exits 1.
_Noreturn void differs(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The same, with all noted operations that touched the byte at `at`.
_Noreturn void differs_at(size_t at, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
