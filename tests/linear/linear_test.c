/* SPDX-License-Identifier: Apache-2.0
 * The checker: histories made by hand, and random ones against a search that tries every order. */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/linear/content.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { STEPS_MAX = 2000000, CLIENTS = 6, SMALL = 8, LARGE = 100 };

static const struct linear_model *const models[] = {&linear_register, &linear_append, &linear_names, &linear_lock};

static enum linear_verdict verdict_of(const struct linear_model *model, const struct linear_op *ops, size_t count)
{
	struct linear_result result;
	linear_check(model, ops, count, STEPS_MAX, &result);
	return result.verdict;
}

/* ---- by hand -------------------------------------------------------------------------------------------------- */

#define DONE(who, from, to, what, ...) \
	((struct linear_op){.client = (who), .call_at = (from), .return_at = (to), .kind = (what), .returned = true, __VA_ARGS__})
#define LOST(who, from, to, what, ...) \
	((struct linear_op){.client = (who), .call_at = (from), .return_at = (to), .kind = (what), __VA_ARGS__})
#define SEEN(value) .seen = {{(value)}}

#define assert_good(model, ...) \
	assert_int_equal(LINEAR_GOOD, verdict_of(&(model), (const struct linear_op[]){__VA_ARGS__}, \
						 ARRAY_COUNT(((const struct linear_op[]){__VA_ARGS__}))))
#define assert_bad(model, ...) \
	assert_int_equal(LINEAR_BAD, verdict_of(&(model), (const struct linear_op[]){__VA_ARGS__}, \
						ARRAY_COUNT(((const struct linear_op[]){__VA_ARGS__}))))

static void a_read_sees_the_last_write(void **state)
{
	(void)state;
	assert_int_equal(LINEAR_GOOD, verdict_of(&linear_register, NULL, 0));
	assert_good(linear_register, DONE(0, 1, 2, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(7)),
		    DONE(1, 5, 6, LINEAR_SIZE, SEEN(1)));
	assert_bad(linear_register, DONE(0, 1, 2, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(0)));
	assert_bad(linear_register, DONE(0, 1, 2, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_SIZE, SEEN(0)));
	assert_bad(linear_register, DONE(0, 1, 2, LINEAR_WRITE, .a = 7), DONE(0, 3, 4, LINEAR_TRUNCATE),
		   DONE(1, 5, 6, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, DONE(0, 1, 9, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(LINEAR_TORN)));
}

static void a_read_during_a_write_sees_either_but_two_reads_never_go_back(void **state)
{
	(void)state;
	assert_good(linear_register, DONE(0, 1, 9, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(0)),
		    DONE(1, 5, 6, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, DONE(0, 1, 9, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(7)),
		   DONE(2, 5, 6, LINEAR_READ, SEEN(0)));
	/* what returns at the moment of a call overlaps with it */
	assert_good(linear_register, DONE(0, 1, 3, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(0)));
}

static void what_never_returned_happens_once_at_any_later_time_or_never(void **state)
{
	(void)state;
	assert_good(linear_register, LOST(0, 1, LINEAR_NEVER, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(0)),
		    DONE(1, 5, 6, LINEAR_READ, SEEN(7)));
	assert_good(linear_register, LOST(0, 1, LINEAR_NEVER, LINEAR_WRITE, .a = 7), DONE(1, 3, 4, LINEAR_READ, SEEN(0)));
	assert_bad(linear_register, DONE(1, 3, 4, LINEAR_READ, SEEN(7)), LOST(0, 5, LINEAR_NEVER, LINEAR_WRITE, .a = 7));
	assert_bad(linear_register, LOST(0, 1, LINEAR_NEVER, LINEAR_WRITE, .a = 7), DONE(1, 2, 3, LINEAR_WRITE, .a = 8),
		   DONE(1, 4, 5, LINEAR_READ, SEEN(7)), DONE(1, 6, 7, LINEAR_READ, SEEN(8)));
}

static void a_crash_takes_back_what_was_not_stable_and_nothing_else(void **state)
{
	(void)state;
	const struct linear_op stable = DONE(0, 1, 2, LINEAR_WRITE, .a = 7, .b = 1);
	const struct linear_op lost = LOST(1, 3, LINEAR_NEVER, LINEAR_WRITE, .a = 8, .b = 1);
	const struct linear_op seen = DONE(2, 4, 5, LINEAR_READ, SEEN(8)), again = DONE(2, 8, 9, LINEAR_READ, SEEN(7));
	assert_bad(linear_register, stable, lost, seen, again);
	assert_good(linear_register, stable, lost, seen, again, LOST(9, 6, 7, LINEAR_REVERT));
	assert_bad(linear_register, stable, lost, seen, DONE(2, 8, 9, LINEAR_READ, SEEN(0)), LOST(9, 6, 7, LINEAR_REVERT));
	assert_bad(linear_register, stable, DONE(1, 3, 4, LINEAR_WRITE, .a = 8, .b = 1), again, LOST(9, 6, 7, LINEAR_REVERT));
	assert_good(linear_register, stable, lost, LOST(9, 6, 7, LINEAR_TEAR), DONE(2, 8, 9, LINEAR_READ, SEEN(LINEAR_TORN)));
	assert_bad(linear_register, stable, lost, LOST(9, 6, 7, LINEAR_TEAR), DONE(2, 4, 5, LINEAR_READ, SEEN(LINEAR_TORN)));
	/* the size stays, and zeros are left */
	assert_good(linear_register, stable, lost, LOST(9, 6, 7, LINEAR_TEAR), DONE(2, 8, 9, LINEAR_SIZE, SEEN(1)),
		    DONE(2, 10, 11, LINEAR_READ, SEEN(0)));
	assert_bad(linear_register, stable, lost, DONE(2, 8, 9, LINEAR_SIZE, SEEN(1)), DONE(2, 10, 11, LINEAR_READ, SEEN(0)));
}

/* A fence: what an evicted client had under way can not happen after it. */
static void what_was_lost_can_not_happen_after_its_end(void **state)
{
	(void)state;
	assert_good(linear_register, LOST(0, 1, 5, LINEAR_WRITE, .a = 7), DONE(1, 6, 7, LINEAR_READ, SEEN(7)));
	assert_good(linear_register, LOST(0, 1, 5, LINEAR_WRITE, .a = 7), DONE(1, 4, 7, LINEAR_READ, SEEN(0)),
		    DONE(1, 8, 9, LINEAR_READ, SEEN(0)));
	assert_good(linear_register, LOST(0, 1, 5, LINEAR_WRITE, .a = 7), DONE(2, 2, 8, LINEAR_READ, SEEN(0)),
		    DONE(1, 4, 7, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, LOST(0, 1, 5, LINEAR_WRITE, .a = 7), DONE(1, 6, 7, LINEAR_READ, SEEN(0)),
		   DONE(1, 8, 9, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, LOST(0, 1, 5, LINEAR_WRITE, .a = 7), DONE(1, 6, 7, LINEAR_WRITE, .a = 8),
		   DONE(1, 8, 9, LINEAR_READ, SEEN(7)));
}

static struct linear_state records(unsigned count, const uint32_t *numbers)
{
	struct linear_state state = {0};
	for (unsigned i = 0; i < count; i++)
		assert_true(linear_records_add(&state, numbers[i]));
	return state;
}

static void what_was_lost_can_not_follow_who_ended_it(void **state)
{
	(void)state;
	/* one that overlaps may come before or after */
	assert_good(linear_register, LOST(0, 1, 4, LINEAR_WRITE, .a = 7), DONE(1, 3, 5, LINEAR_WRITE, .a = 8),
		    DONE(2, 6, 7, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, LOST(0, 1, 4, LINEAR_WRITE, .a = 7, .ended_by = 3), DONE(1, 3, 5, LINEAR_WRITE, .a = 8),
		   DONE(2, 6, 7, LINEAR_READ, SEEN(7)));
	assert_good(linear_register, LOST(0, 1, 4, LINEAR_WRITE, .a = 7, .ended_by = 3), DONE(1, 3, 5, LINEAR_WRITE, .a = 8),
		    DONE(2, 2, 4, LINEAR_READ, SEEN(7)), DONE(2, 6, 7, LINEAR_READ, SEEN(8)));
	assert_good(linear_register, LOST(0, 1, 4, LINEAR_WRITE, .a = 7, .ended_by = 3), DONE(1, 3, 5, LINEAR_READ, SEEN(7)));
	assert_bad(linear_register, LOST(0, 1, 4, LINEAR_WRITE, .a = 7, .ended_by = 3), DONE(1, 3, 5, LINEAR_READ, SEEN(0)),
		   DONE(2, 6, 7, LINEAR_READ, SEEN(7)));
}

static void appends_follow_each_other_and_none_is_lost(void **state)
{
	(void)state;
	struct linear_state both = records(2, (const uint32_t[]){1, 2}), turned = records(2, (const uint32_t[]){2, 1});
	struct linear_state one = records(1, (const uint32_t[]){1}), twice = records(2, (const uint32_t[]){1, 1});
	struct linear_op a = DONE(0, 1, 5, LINEAR_APPEND, .a = 1), b = DONE(1, 2, 6, LINEAR_APPEND, .a = 2);
	assert_good(linear_append, a, b, DONE(2, 7, 8, LINEAR_LIST, .seen = both));
	assert_good(linear_append, a, b, DONE(2, 7, 8, LINEAR_LIST, .seen = turned), DONE(1, 9, 9, LINEAR_LENGTH, SEEN(2)));
	assert_bad(linear_append, a, b, DONE(2, 7, 8, LINEAR_LIST, .seen = one));
	assert_bad(linear_append, a, b, DONE(2, 7, 8, LINEAR_LIST, .seen = twice));
	assert_bad(linear_append, a, b, DONE(2, 7, 8, LINEAR_LIST, .seen = both), DONE(2, 9, 10, LINEAR_LIST, .seen = turned));
	assert_bad(linear_append, a, b, DONE(2, 7, 8, LINEAR_LENGTH, SEEN(1)));
	assert_bad(linear_append, a, b, DONE(2, 3, 4, LINEAR_LIST, .seen = one), DONE(2, 7, 8, LINEAR_LIST, .seen = turned));
	struct linear_state full = {0};
	for (uint32_t i = 0; i < LINEAR_RECORDS_MAX; i++)
		assert_true(linear_records_add(&full, 60000 + i));
	assert_false(linear_records_add(&full, 1));
	assert_int_equal(60000 + LINEAR_RECORDS_MAX - 1, linear_records_get(&full, LINEAR_RECORDS_MAX - 1));
}

static void a_name_has_one_winner(void **state)
{
	(void)state;
	assert_good(linear_names, DONE(0, 1, 5, LINEAR_CREATE, .a = 0, .b = 1),
		    DONE(1, 1, 5, LINEAR_CREATE, .a = 0, .b = 2, .rc = -EEXIST),
		    DONE(2, 6, 7, LINEAR_STAT, .a = 0, SEEN(1)));
	assert_bad(linear_names, DONE(0, 1, 5, LINEAR_CREATE, .a = 0, .b = 1), DONE(1, 1, 5, LINEAR_CREATE, .a = 0, .b = 2));
	assert_bad(linear_names, DONE(0, 1, 5, LINEAR_CREATE, .a = 0, .b = 1), DONE(1, 6, 7, LINEAR_STAT, .a = 0, .rc = -ENOENT));
	assert_bad(linear_names, DONE(0, 1, 5, LINEAR_CREATE, .a = 0, .b = 1), DONE(1, 6, 7, LINEAR_UNLINK, .a = 0),
		   DONE(0, 6, 7, LINEAR_UNLINK, .a = 0));
	assert_good(linear_names, LOST(0, 1, LINEAR_NEVER, LINEAR_CREATE, .a = 0, .b = 1),
		    DONE(1, 6, 7, LINEAR_STAT, .a = 0, .rc = -ENOENT),
		    DONE(1, 8, 9, LINEAR_UNLINK, .a = 0));
}

static void a_rename_moves_in_one_step(void **state)
{
	(void)state;
	struct linear_op made = DONE(0, 1, 2, LINEAR_CREATE, .a = 0, .b = 1);
	assert_good(linear_names, made, DONE(1, 3, 9, LINEAR_RENAME, .a = 0, .b = 1), DONE(2, 4, 5, LINEAR_STAT, .a = 1, SEEN(1)),
		    DONE(2, 6, 7, LINEAR_STAT, .a = 0, .rc = -ENOENT));
	assert_bad(linear_names, made, DONE(1, 3, 9, LINEAR_RENAME, .a = 0, .b = 1), DONE(2, 4, 5, LINEAR_STAT, .a = 1, SEEN(1)),
		   DONE(2, 6, 7, LINEAR_STAT, .a = 0, SEEN(1)));
	assert_bad(linear_names, made, DONE(1, 3, 4, LINEAR_CREATE, .a = 1, .b = 2), DONE(1, 5, 6, LINEAR_MOVE, .a = 0, .b = 1));
	assert_good(linear_names, made, DONE(1, 3, 4, LINEAR_CREATE, .a = 1, .b = 2),
		    DONE(1, 5, 6, LINEAR_MOVE, .a = 0, .b = 1, .rc = -EEXIST),
		    DONE(1, 7, 8, LINEAR_EXCHANGE, .a = 0, .b = 1), DONE(1, 9, 10, LINEAR_STAT, .a = 0, SEEN(2)));
}

static void a_lock_has_one_holder_until_it_dies(void **state)
{
	(void)state;
	struct linear_op held = DONE(0, 1, 2, LINEAR_LOCK, .a = 0), refused = DONE(1, 3, 4, LINEAR_LOCK, .a = 1, .rc = -EAGAIN);
	assert_good(linear_lock, held, refused, DONE(0, 5, 6, LINEAR_UNLOCK, .a = 0), DONE(1, 7, 8, LINEAR_LOCK, .a = 1));
	assert_bad(linear_lock, held, DONE(1, 3, 4, LINEAR_LOCK, .a = 1));
	assert_bad(linear_lock, held, DONE(0, 5, 6, LINEAR_UNLOCK, .a = 0), DONE(1, 7, 8, LINEAR_LOCK, .a = 1, .rc = -EAGAIN));
	assert_good(linear_lock, held, LOST(0, 3, LINEAR_NEVER, LINEAR_RELEASE, .a = 0),
		    DONE(1, 4, 5, LINEAR_LOCK, .a = 1, .rc = -EAGAIN),
		    DONE(1, 7, 8, LINEAR_LOCK, .a = 1));
	assert_bad(linear_lock, held, DONE(0, 3, 6, LINEAR_RELEASE, .a = 0), DONE(1, 7, 8, LINEAR_LOCK, .a = 1, .rc = -EAGAIN));
	assert_good(linear_lock, DONE(0, 1, 2, LINEAR_SHARE, .a = 0), DONE(1, 3, 4, LINEAR_SHARE, .a = 1),
		    DONE(2, 5, 6, LINEAR_LOCK, .a = 2, .rc = -EAGAIN));
	assert_bad(linear_lock, DONE(0, 1, 2, LINEAR_SHARE, .a = 0), DONE(2, 5, 6, LINEAR_LOCK, .a = 2));
}

static void an_explanation_names_the_operation_and_little_else(void **state)
{
	(void)state;
	char text[LINEAR_TEXT_BYTES];
	struct linear_op ops[60];
	for (unsigned i = 0; i < 58; i++)
		ops[i] = i % 2 == 0 ? DONE(i % CLIENTS, 10 * i, 10 * i + 5, LINEAR_WRITE, .a = i + 1) :
				      DONE(i % CLIENTS, 10 * i, 10 * i + 5, LINEAR_READ, SEEN(i));
	ops[58] = DONE(4, 590, 595, LINEAR_READ, SEEN(41)); /* stale */
	ops[59] = DONE(5, 700, 705, LINEAR_READ, SEEN(57));
	linear_explain(&linear_register, ops, 60, STEPS_MAX, text);
	assert_non_null(strstr(text, "first 58 of 60 operations fit"));
	assert_non_null(strstr(text, "client 4 [590 .. 595] read gives 41"));
	assert_non_null(strstr(text, "then it could be value 57\n"));
	assert_non_null(strstr(text, "without 29 observations"));
	linear_explain(&linear_register, ops, 58, STEPS_MAX, text);
	assert_string_equal("linearizable\n", text);
}

static void too_much_is_unknown_and_never_wrong(void **state)
{
	(void)state;
	struct linear_op ops[LINEAR_OPEN_MAX + 2];
	struct linear_result result;
	for (unsigned i = 0; i < ARRAY_COUNT(ops); i++)
		ops[i] = LOST(0, i, LINEAR_NEVER, LINEAR_WRITE, .a = i + 1);
	linear_check(&linear_register, ops, ARRAY_COUNT(ops), STEPS_MAX, &result);
	assert_int_equal(LINEAR_UNKNOWN, result.verdict);
	assert_non_null(result.unknown);
	linear_check(&linear_register, ops, LINEAR_OPS_MAX + 1, STEPS_MAX, &result);
	assert_int_equal(LINEAR_UNKNOWN, result.verdict);
	struct linear_state none = {0};
	for (unsigned i = 0; i < 20; i++)
		ops[i] = DONE(i, 1, 100, LINEAR_APPEND, .a = i + 1);
	ops[20] = DONE(21, 2, 99, LINEAR_LIST, .seen = none);
	linear_check(&linear_append, ops, 21, 10000, &result);
	assert_int_equal(LINEAR_UNKNOWN, result.verdict);
	assert_in_range(result.steps, 10000, 20000);
}

static void bytes_tell_their_value_and_a_mixture_tells_none(void **state)
{
	(void)state;
	uint8_t one[LINEAR_RECORD_BYTES * 2], two[LINEAR_RECORD_BYTES];
	struct linear_state seen;
	linear_content_fill(3, 1, one, LINEAR_RECORD_BYTES);
	linear_content_fill(3, 2, two, LINEAR_RECORD_BYTES);
	memcpy(one + LINEAR_RECORD_BYTES, two, sizeof(two));
	assert_int_equal(1, linear_content_value(3, one, LINEAR_RECORD_BYTES));
	assert_true(linear_content_value(4, one, LINEAR_RECORD_BYTES) == LINEAR_TORN);
	assert_true(linear_content_value(3, one, LINEAR_RECORD_BYTES + 8) == LINEAR_TORN);
	linear_content_records(3, one, sizeof(one), &seen);
	assert_int_equal(2, linear_records_count(&seen));
	assert_int_equal(2, linear_records_get(&seen, 1));
	linear_content_records(3, one, sizeof(one) - 1, &seen);
	assert_true(seen.words[0] == LINEAR_TORN);
	memcpy(one + 100, two + 100, LINEAR_RECORD_BYTES - 100);
	linear_content_records(3, one, sizeof(one), &seen);
	assert_true(seen.words[0] == LINEAR_TORN);
	linear_content_records(3, one, 0, &seen);
	assert_int_equal(0, linear_records_count(&seen));
}

/* ---- random --------------------------------------------------------------------------------------------------- */

static void op_draw(const struct linear_model *model, struct rng *rng, unsigned number, struct linear_op *op)
{
	static const enum linear_kind first[] = {LINEAR_WRITE, LINEAR_APPEND, LINEAR_CREATE, LINEAR_LOCK};
	static const enum linear_kind last[] = {LINEAR_SIZE, LINEAR_LENGTH, LINEAR_STAT, LINEAR_RELEASE};
	size_t at = 0;
	while (models[at] != model)
		at++;
	op->kind = (enum linear_kind)rng_range(rng, first[at], last[at]);
	if (op->kind == LINEAR_APPEND && number >= LINEAR_RECORDS_MAX)
		op->kind = LINEAR_LIST;
	op->a = model == &linear_names ? (uint32_t)rng_below(rng, 3) : model == &linear_lock ? op->client : number + 1;
	op->b = op->kind == LINEAR_CREATE ? number + 1 : (uint32_t)rng_below(rng, 3);
}

/* Does it in `now`, and gives it the result that it has there. False: the same owner would convert its lock. */
static bool op_do(const struct linear_model *model, struct linear_state *now, struct linear_op *op)
{
	static const int32_t codes[] = {0, -ENOENT, -EEXIST, -EAGAIN};
	struct linear_state after = *now;
	op->seen = model == &linear_names ? (struct linear_state){{now->words[op->a]}} : *now;
	if (op->kind == LINEAR_SIZE)
		op->seen.words[0] = now->words[0] != 0;
	if (op->kind == LINEAR_LENGTH)
		op->seen = (struct linear_state){{now->words[0]}};
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		op->rc = codes[i];
		if (model->step(now, op, &after)) {
			*now = after;
			return true;
		}
	}
	return false;
}

/* A sequential run whose operations are stretched until those of different clients overlap; some never return, and happened or not. */
static void history_make(const struct linear_model *model, struct rng *rng, struct linear_op *ops, size_t count, unsigned lost_per_million)
{
	uint64_t free_at[CLIENTS] = {0};
	struct linear_state now = {0};
	for (size_t i = 0; i < count; i++) {
		uint64_t at = 100 * (i + 1);
		struct linear_op *op = &ops[i];
		*op = (struct linear_op){.returned = true};
		do
			op->client = (uint32_t)rng_below(rng, CLIENTS);
		while (free_at[op->client] >= at);
		uint64_t early = rng_below(rng, 300);
		op->call_at = max_u64(free_at[op->client] + 1, at > early ? at - early : 0);
		op->return_at = at + rng_below(rng, 300);
		free_at[op->client] = op->return_at;
		op_draw(model, rng, (unsigned)i, op);
		bool lost = rng_chance(rng, lost_per_million);
		if (!lost || rng_chance(rng, 500000))
			assert_true(op_do(model, &now, op));
		if (lost) {
			op->returned = false;
			op->return_at = rng_chance(rng, 500000) ? LINEAR_NEVER : op->return_at;
			op->rc = 0;
			op->seen = (struct linear_state){0};
		}
	}
}

/* Every order, one after the other. */
static bool brute(const struct linear_model *model, const struct linear_op *ops, size_t count, unsigned placed, const struct linear_state *now)
{
	bool all = true;
	for (size_t i = 0; i < count; i++)
		all = all && ((placed & 1U << i) || !ops[i].returned);
	for (size_t i = 0; !all && i < count; i++) {
		bool can = !(placed & 1U << i);
		for (size_t j = 0; j < count; j++) {
			can = can && ((placed & 1U << j) || j == i || !ops[j].returned || ops[j].return_at >= ops[i].call_at);
			can = can && (!(placed & 1U << j) || ops[i].return_at >= ops[j].call_at);
		}
		struct linear_state after;
		all = can && model->step(now, &ops[i], &after) && brute(model, ops, count, placed | 1U << i, &after);
	}
	return all;
}

static void spoil(struct rng *rng, struct linear_op *op)
{
	static const int32_t codes[] = {0, -ENOENT, -EEXIST, -EAGAIN};
	if (rng_chance(rng, 500000))
		op->rc = codes[rng_below(rng, ARRAY_COUNT(codes))];
	else if (op->kind == LINEAR_LIST && op->seen.words[0] > 0)
		op->seen.words[rng_below(rng, 2)]--;
	else
		op->seen.words[0] = rng_below(rng, SMALL);
}

static void random_histories_are_judged_as_every_order_judges_them(void **state)
{
	(void)state;
	struct rng rng;
	unsigned good[ARRAY_COUNT(models)] = {0}, bad[ARRAY_COUNT(models)] = {0};
	rng_init(&rng, 1);
	for (unsigned run = 0; run < 8000; run++) {
		const struct linear_model *model = models[run % ARRAY_COUNT(models)];
		struct linear_op ops[SMALL];
		history_make(model, &rng, ops, SMALL, run % 3 == 0 ? 0 : 250000);
		assert_int_equal(LINEAR_GOOD, verdict_of(model, ops, SMALL));
		spoil(&rng, &ops[rng_below(&rng, SMALL)]);
		bool is_good = brute(model, ops, SMALL, 0, &(struct linear_state){0});
		assert_int_equal(is_good ? LINEAR_GOOD : LINEAR_BAD, verdict_of(model, ops, SMALL));
		++(is_good ? good : bad)[run % ARRAY_COUNT(models)];
	}
	for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
		assert_in_range(good[i], 50, 8000);
		assert_in_range(bad[i], 50, 8000);
	}
}

static void a_hundred_operations_of_six_clients_are_soon_judged(void **state)
{
	(void)state;
	struct rng rng;
	char text[LINEAR_TEXT_BYTES];
	rng_init(&rng, 2);
	for (unsigned run = 0; run < 200; run++) {
		const struct linear_model *model = models[run % ARRAY_COUNT(models)];
		struct linear_op ops[LARGE];
		struct linear_result result;
		history_make(model, &rng, ops, LARGE, 50000);
		linear_check(model, ops, LARGE, STEPS_MAX, &result);
		assert_int_equal(LINEAR_GOOD, result.verdict);
		assert_in_range(result.steps, LARGE / 2, 200000);
		size_t at = rng_below(&rng, LARGE);
		ops[at].seen.words[0] = LINEAR_TORN;
		ops[at].rc = ops[at].kind == LINEAR_STAT ? 0 : -EIO;
		linear_check(model, ops, LARGE, STEPS_MAX, &result);
		bool ignored = !ops[at].returned || ops[at].kind == LINEAR_WRITE || ops[at].kind == LINEAR_TRUNCATE ||
			ops[at].kind == LINEAR_APPEND;
		assert_int_equal(ignored ? LINEAR_GOOD : LINEAR_BAD, result.verdict);
		linear_explain(model, ops, LARGE, STEPS_MAX, text);
		assert_int_equal(ignored, strcmp(text, "linearizable\n") == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_sees_the_last_write),
		cmocka_unit_test(a_read_during_a_write_sees_either_but_two_reads_never_go_back),
		cmocka_unit_test(what_never_returned_happens_once_at_any_later_time_or_never),
		cmocka_unit_test(a_crash_takes_back_what_was_not_stable_and_nothing_else),
		cmocka_unit_test(what_was_lost_can_not_happen_after_its_end),
		cmocka_unit_test(what_was_lost_can_not_follow_who_ended_it),
		cmocka_unit_test(appends_follow_each_other_and_none_is_lost),
		cmocka_unit_test(a_name_has_one_winner),
		cmocka_unit_test(a_rename_moves_in_one_step),
		cmocka_unit_test(a_lock_has_one_holder_until_it_dies),
		cmocka_unit_test(an_explanation_names_the_operation_and_little_else),
		cmocka_unit_test(too_much_is_unknown_and_never_wrong),
		cmocka_unit_test(bytes_tell_their_value_and_a_mixture_tells_none),
		cmocka_unit_test(random_histories_are_judged_as_every_order_judges_them),
		cmocka_unit_test(a_hundred_operations_of_six_clients_are_soon_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
