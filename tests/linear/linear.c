/* SPDX-License-Identifier: Apache-2.0
 * The search. Calls and returns are taken in order of time; what is known in between is a set of configurations: a state that the object
 * may be in, and which of the open operations are in it already. A return keeps only those configurations that its operation can be made
 * part of, by placing open operations one after the other until it is its turn. An empty set: no order explains the history. */
#include "tests/linear/linear.h"
#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum { NO_CHAIN = 0, NOT_OPEN = LINEAR_OPEN_MAX, SHOWN_ORDER = 14, SHOWN_STATES = 4 };

/* placed: bits of slots, of operations that will return and of those that will not. */
struct config {
	struct map_node node;
	struct linear_state state;
	uint64_t placed, placed_lost;
	size_t chain; /* what was placed, newest first: index into search->chain */
};
struct config_set {
	struct config **configs; /* owned */
	size_t count, room;
	struct map map;
};
struct chain {
	size_t op, before;
};
struct event {
	uint64_t at;
	size_t op;
	bool is_return;
};
struct search {
	const struct linear_model *model;
	const struct linear_op *ops;
	uint64_t steps_max;
	struct event *events; /* owned */
	size_t event_count;
	size_t slots[LINEAR_OPEN_MAX]; /* the operation in it, or SIZE_MAX */
	struct config_set now, work, next;
	struct chain *chain; /* owned */
	size_t chain_count, chain_room;
	size_t returned; /* operations so far */
	struct linear_result *result;
};

/* ---- sets of configurations ----------------------------------------------------------------------------------- */

static void set_clear(struct config_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		mem_free(set->configs[i]);
	set->count = 0;
	map_fini(&set->map);
	map_init(&set->map);
}

static void set_fini(struct config_set *set)
{
	set_clear(set);
	map_fini(&set->map);
	mem_free(set->configs);
}

static uint64_t config_hash(const struct config *config)
{
	return map_hash_bytes(blob_of(&config->state, sizeof(config->state))) ^ map_hash_u64(config->placed);
}

/* One that has placed fewer of the operations that may never happen, and is the same otherwise, can do all that this one can. */
static bool set_covers(const struct config_set *set, const struct config *config, uint64_t hash)
{
	for (struct map_node *at = map_first(&set->map, hash); at != NULL; at = map_next(at)) {
		const struct config *have = CONTAINER_OF(at, struct config, node);
		if (have->placed == config->placed && (have->placed_lost & ~config->placed_lost) == 0 &&
		    memcmp(&have->state, &config->state, sizeof(have->state)) == 0)
			return true;
	}
	return false;
}

static void set_add(struct config_set *set, const struct config *config)
{
	uint64_t hash = config_hash(config);
	if (set_covers(set, config, hash))
		return;
	if (set->count == set->room) {
		set->room = set->room == 0 ? 64 : 2 * set->room;
		set->configs = mem_realloc(set->configs, set->room * sizeof(struct config *));
	}
	struct config *own = mem_dup(config, sizeof(*config));
	set->configs[set->count++] = own;
	map_insert(&set->map, &own->node, hash);
}

/* ---- the search ----------------------------------------------------------------------------------------------- */

static size_t chain_add(struct search *search, size_t op, size_t before)
{
	if (search->chain_count == search->chain_room) {
		search->chain_room = search->chain_room == 0 ? 256 : 2 * search->chain_room;
		search->chain = mem_realloc(search->chain, search->chain_room * sizeof(*search->chain));
	}
	search->chain[search->chain_count] = (struct chain){.op = op, .before = before};
	return search->chain_count++;
}

static int event_compare(const void *left, const void *right)
{
	const struct event *a = left, *b = right;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->is_return != b->is_return) /* at one moment: they overlap */
		return a->is_return ? 1 : -1;
	return a->op < b->op ? -1 : a->op > b->op;
}

/* A lost observation says nothing. */
static bool is_idle(const struct search *search, const struct linear_op *op)
{
	return !op->returned && search->model->is_observer(op);
}

static void events_make(struct search *search, const struct linear_op *ops, size_t count)
{
	search->events = mem_alloc((2 * count + 1) * sizeof(*search->events));
	for (size_t i = 0; i < count; i++) {
		if (is_idle(search, &ops[i]))
			continue;
		CHECK(ops[i].return_at >= ops[i].call_at);
		search->events[search->event_count++] = (struct event){.at = ops[i].call_at, .op = i};
		if (ops[i].return_at != LINEAR_NEVER)
			search->events[search->event_count++] = (struct event){.at = ops[i].return_at, .op = i, .is_return = true};
	}
	qsort(search->events, search->event_count, sizeof(*search->events), event_compare);
}

static unsigned slot_of(const struct search *search, size_t op)
{
	unsigned slot = 0;
	while (slot < LINEAR_OPEN_MAX && search->slots[slot] != op)
		slot++;
	return slot;
}

static bool give_up(struct search *search, const char *why)
{
	search->result->verdict = LINEAR_UNKNOWN;
	search->result->unknown = why;
	return false;
}

/* It is known not to have happened after one that is placed already. */
static bool comes_too_late(const struct search *search, const struct config *config, const struct linear_op *op)
{
	if (op->returned || op->ended_by == 0)
		return false;
	for (unsigned other = 0; other < LINEAR_OPEN_MAX; other++)
		if (search->slots[other] != SIZE_MAX && search->ops[search->slots[other]].call_at == op->ended_by)
			return ((config->placed | config->placed_lost) & UINT64_C(1) << other) != 0;
	return false;
}

/* Places the operation in `slot` next, if it fits. */
static void place(struct search *search, const struct config *config, unsigned slot, unsigned wanted)
{
	const struct linear_op *op = &search->ops[search->slots[slot]];
	struct config after = *config;
	search->result->steps++;
	if (comes_too_late(search, config, op) || !search->model->step(&config->state, op, &after.state))
		return;
	if (!op->returned && memcmp(&after.state, &config->state, sizeof(after.state)) == 0)
		return; /* it may as well never happen */
	after.chain = chain_add(search, search->slots[slot], config->chain);
	if (slot == wanted) {
		set_add(&search->next, &after);
		return;
	}
	*(op->returned ? &after.placed : &after.placed_lost) |= UINT64_C(1) << slot;
	set_add(&search->work, &after);
}

static void sets_rotate(struct search *search)
{
	struct config_set old = search->now;
	search->now = search->next;
	search->next = old;
	set_clear(&search->next);
	set_clear(&search->work);
	search->result->configs_max = max_u64(search->result->configs_max, search->now.count);
}

/* The operation in `slot` has returned, or (lost) can no longer happen from here on. False: nothing explains it, or too much was tried; then
 * `now` is still what it was. */
static bool on_return(struct search *search, unsigned slot, bool lost)
{
	uint64_t bit = UINT64_C(1) << slot;
	for (size_t i = 0; i < search->now.count; i++) {
		set_add(&search->work, search->now.configs[i]);
		struct config without = *search->now.configs[i];
		without.placed_lost &= ~bit;
		if (lost)
			set_add(&search->next, &without);
	}
	for (size_t i = 0; i < search->work.count; i++) {
		struct config config = *search->work.configs[i];
		if ((config.placed | config.placed_lost) & bit) {
			config.placed &= ~bit;
			config.placed_lost &= ~bit;
			set_add(&search->next, &config);
			continue;
		}
		for (unsigned other = 0; other < LINEAR_OPEN_MAX; other++)
			if (search->slots[other] != SIZE_MAX && !((config.placed | config.placed_lost) & UINT64_C(1) << other))
				place(search, &config, other, slot);
		if (search->result->steps > search->steps_max)
			return give_up(search, "too many steps");
	}
	if (search->next.count == 0)
		return false;
	sets_rotate(search);
	search->returned += !lost;
	return true;
}

static void search_run(struct search *search)
{
	struct linear_result *result = search->result;
	for (size_t i = 0; i < search->event_count; i++) {
		const struct event *event = &search->events[i];
		unsigned slot = slot_of(search, event->is_return ? event->op : SIZE_MAX);
		if (slot == NOT_OPEN) {
			(void)give_up(search, "too many operations at one moment");
			return;
		}
		if (!event->is_return) {
			search->slots[slot] = event->op;
			continue;
		}
		if (!on_return(search, slot, !search->ops[event->op].returned)) {
			if (result->verdict != LINEAR_UNKNOWN)
				result->verdict = LINEAR_BAD;
			result->prefix = search->returned;
			result->misfit = event->op;
			return;
		}
		search->slots[slot] = SIZE_MAX;
	}
}

static void search_init(struct search *search, const struct linear_model *model, const struct linear_op *ops, size_t count,
			uint64_t steps_max, struct linear_result *result)
{
	*search = (struct search){.model = model, .ops = ops, .steps_max = steps_max, .result = result};
	*result = (struct linear_result){.verdict = LINEAR_GOOD};
	map_init(&search->now.map);
	map_init(&search->work.map);
	map_init(&search->next.map);
	for (unsigned i = 0; i < LINEAR_OPEN_MAX; i++)
		search->slots[i] = SIZE_MAX;
	(void)chain_add(search, SIZE_MAX, NO_CHAIN);
	set_add(&search->now, &(struct config){0});
	events_make(search, ops, count);
}

static void search_fini(struct search *search)
{
	set_fini(&search->now);
	set_fini(&search->work);
	set_fini(&search->next);
	mem_free(search->events);
	mem_free(search->chain);
}

void linear_check(const struct linear_model *model, const struct linear_op *ops, size_t count, uint64_t steps_max,
		  struct linear_result *ret_result)
{
	struct search search;
	if (count > LINEAR_OPS_MAX) {
		*ret_result = (struct linear_result){.verdict = LINEAR_UNKNOWN, .unknown = "too many operations"};
		return;
	}
	search_init(&search, model, ops, count, steps_max, ret_result);
	search_run(&search);
	search_fini(&search);
}

/* ---- explaining ----------------------------------------------------------------------------------------------- */

struct text {
	char *ptr;
	size_t used;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text->ptr + text->used, LINEAR_TEXT_BYTES - text->used, format, args);
	va_end(args);
	text->used = (size_t)min_u64(LINEAR_TEXT_BYTES - 1, text->used + (len > 0 ? (size_t)len : 0));
}

static void say_op(struct text *text, const struct search *search, size_t index)
{
	char what[LINEAR_OP_TEXT_BYTES];
	const struct linear_op *op = &search->ops[index];
	search->model->op_text(op, what, sizeof(what));
	if (op->returned)
		say(text, "  client %u [%llu .. %llu] %s\n", op->client, (unsigned long long)op->call_at, (unsigned long long)op->return_at, what);
	else
		say(text, "  client %u [%llu .. not returned] %s\n", op->client, (unsigned long long)op->call_at, what);
}

static void say_order(struct text *text, const struct search *search)
{
	size_t shown[SHOWN_ORDER], count = 0, at = search->now.configs[0]->chain;
	for (; at != NO_CHAIN && count < SHOWN_ORDER; at = search->chain[at].before)
		shown[count++] = search->chain[at].op;
	say(text, "an order that fits up to there%s:\n", at != NO_CHAIN ? " (its end)" : "");
	while (count > 0)
		say_op(text, search, shown[--count]);
}

static void say_candidates(struct text *text, const struct search *search, size_t misfit)
{
	char what[LINEAR_OP_TEXT_BYTES];
	say(text, "then it could be");
	for (size_t i = 0; i < search->now.count && i < SHOWN_STATES; i++) {
		search->model->state_text(&search->now.configs[i]->state, what, sizeof(what));
		say(text, "%s %s", i > 0 ? "; or" : "", what);
	}
	say(text, "%s\n", search->now.count > SHOWN_STATES ? "; or others" : "");
	bool alone = true;
	for (unsigned slot = 0; slot < LINEAR_OPEN_MAX; slot++) {
		size_t op = search->slots[slot];
		if (op == SIZE_MAX || op == misfit)
			continue;
		if (alone)
			say(text, "under way at that time, and placed before or after as one likes:\n");
		alone = false;
		say_op(text, search, op);
	}
	if (alone)
		say(text, "nothing else was under way\n");
}

/* Leaves out observations as long as it stays bad; `ops` is changed. Returns how many are left. */
static size_t shrink(const struct linear_model *model, struct linear_op *ops, size_t count, uint64_t steps_max)
{
	struct linear_result result;
	for (size_t part = count / 2; part > 0; part /= 2) { /* many at once first */
		for (size_t at = 0; at < count;) {
			struct linear_op *fewer = mem_alloc((count + 1) * sizeof(*fewer));
			size_t left = 0;
			for (size_t i = 0; i < count; i++)
				if (i < at || i >= at + part || !model->is_observer(&ops[i]))
					fewer[left++] = ops[i];
			result.verdict = LINEAR_GOOD;
			if (left < count)
				linear_check(model, fewer, left, steps_max, &result);
			if (result.verdict == LINEAR_BAD) {
				memcpy(ops, fewer, left * sizeof(*ops));
				count = left;
			} else {
				at += part;
			}
			mem_free(fewer);
		}
	}
	return count;
}

/* What was known when `misfit` returned. Returns how many operations that are. */
static size_t until_then(const struct linear_op *misfit, const struct linear_op *ops, size_t count, struct linear_op *ret_ops)
{
	size_t left = 0;
	for (size_t i = 0; i < count; i++) {
		if (ops[i].call_at > misfit->return_at)
			continue;
		ret_ops[left] = ops[i];
		if (ops[i].return_at > misfit->return_at) {
			ret_ops[left].returned = false;
			ret_ops[left].return_at = LINEAR_NEVER;
		}
		left++;
	}
	return left;
}

void linear_explain(const struct linear_model *model, const struct linear_op *ops, size_t count, uint64_t steps_max,
		    char ret_text[LINEAR_TEXT_BYTES])
{
	struct text text = {.ptr = ret_text};
	struct linear_result result;
	struct search search;
	linear_check(model, ops, count, steps_max, &result);
	size_t prefix = result.prefix;
	ret_text[0] = '\0';
	if (result.verdict != LINEAR_BAD) {
		say(&text, "%s\n", result.verdict == LINEAR_GOOD ? "linearizable" : result.unknown);
		return;
	}
	struct linear_op *own = mem_alloc(count * sizeof(*ops));
	size_t then = until_then(&ops[result.misfit], ops, count, own);
	size_t left = shrink(model, own, then, steps_max);
	search_init(&search, model, own, left, steps_max, &result);
	search_run(&search);
	say(&text, "%s: not linearizable: the first %zu of %zu operations fit, this does not (without %zu observations that do not matter):\n",
	    model->name, prefix, count, then - left);
	say_op(&text, &search, result.misfit);
	say_order(&text, &search);
	say_candidates(&text, &search, result.misfit);
	search_fini(&search);
	mem_free(own);
}
