/* SPDX-License-Identifier: Apache-2.0
 * What objects of a file system are to the checker: a register, a file of appended records, names of one directory, a lock. */
#include "tests/linear/linear.h"

#include <errno.h>
#include <stdio.h>

static void text_of(char *text, size_t size, const char *what, uint64_t value)
{
	if (value == LINEAR_TORN || value == LINEAR_ZEROS)
		(void)snprintf(text, size, "%s: %s", what, value == LINEAR_ZEROS ? "zeros" : "nothing that was written");
	else
		(void)snprintf(text, size, "%s %llu", what, (unsigned long long)value);
}

static const char *rc_text(int32_t rc)
{
	return rc == 0 ? "ok" : rc == -ENOENT ? "ENOENT" : rc == -EEXIST ? "EEXIST" : rc == -EAGAIN ? "EAGAIN" : "another error";
}

/* ---- register ------------------------------------------------------------------------------------------------- */

/* words[0]: the value; words[1]: what was last stable. */
static bool register_step(const struct linear_state *before, const struct linear_op *op, struct linear_state *ret_after)
{
	uint64_t value = before->words[0];
	*ret_after = *before;
	switch (op->kind) {
	case LINEAR_WRITE:
		ret_after->words[0] = op->a;
		if (op->returned && op->b != 0)
			ret_after->words[1] = op->a;
		return true;
	case LINEAR_TRUNCATE:
		ret_after->words[0] = ret_after->words[1] = 0;
		return true;
	case LINEAR_REVERT:
		ret_after->words[0] = before->words[1];
		return true;
	case LINEAR_TEAR:
		ret_after->words[0] = LINEAR_TORN;
		return true;
	case LINEAR_READ:
		return !op->returned || op->seen.words[0] == value || (value == LINEAR_TORN && op->seen.words[0] == 0); /* zeros are left */
	case LINEAR_SIZE:
		return !op->returned || value == LINEAR_TORN || op->seen.words[0] == (value != 0);
	default:
		return false;
	}
}

static bool register_observes(const struct linear_op *op)
{
	return op->kind == LINEAR_READ || op->kind == LINEAR_SIZE;
}

static void register_op_text(const struct linear_op *op, char *text, size_t size)
{
	if (op->kind == LINEAR_WRITE)
		text_of(text, size, "write", op->a);
	else if (op->kind == LINEAR_TRUNCATE)
		(void)snprintf(text, size, "truncate");
	else if (op->kind == LINEAR_REVERT || op->kind == LINEAR_TEAR)
		(void)snprintf(text, size, "a crash may %s", op->kind == LINEAR_REVERT ? "undo what is not stable" : "leave a part of it");
	else if (!op->returned)
		(void)snprintf(text, size, "%s", op->kind == LINEAR_READ ? "read" : "size");
	else if (op->kind == LINEAR_READ)
		text_of(text, size, "read gives", op->seen.words[0]);
	else
		text_of(text, size, "size gives (1: whole)", op->seen.words[0]);
}

static void register_state_text(const struct linear_state *state, char *text, size_t size)
{
	if (state->words[0] == 0)
		(void)snprintf(text, size, "empty");
	else
		text_of(text, size, "value", state->words[0]);
}

const struct linear_model linear_register = {
	.name = "register",
	.step = register_step,
	.is_observer = register_observes,
	.op_text = register_op_text,
	.state_text = register_state_text,
};

/* ---- append --------------------------------------------------------------------------------------------------- */

/* words[0] counts; the records follow, 16 bits each. */
unsigned linear_records_count(const struct linear_state *state)
{
	return (unsigned)state->words[0];
}

uint32_t linear_records_get(const struct linear_state *state, unsigned index)
{
	return (uint32_t)(state->words[1 + index / 4] >> (index % 4 * 16)) & 0xffff;
}

bool linear_records_add(struct linear_state *state, uint32_t record)
{
	uint64_t at = state->words[0];
	if (at >= LINEAR_RECORDS_MAX)
		return false;
	state->words[1 + at / 4] |= (uint64_t)(record & 0xffff) << (at % 4 * 16);
	state->words[0]++;
	return true;
}

static bool append_step(const struct linear_state *before, const struct linear_op *op, struct linear_state *ret_after)
{
	*ret_after = *before;
	switch (op->kind) {
	case LINEAR_APPEND:
		return linear_records_add(ret_after, op->a);
	case LINEAR_LIST:
		return !op->returned || memcmp(&op->seen, before, sizeof(*before)) == 0;
	case LINEAR_LENGTH:
		return !op->returned || op->seen.words[0] == before->words[0];
	default:
		return false;
	}
}

static bool append_observes(const struct linear_op *op)
{
	return op->kind == LINEAR_LIST || op->kind == LINEAR_LENGTH;
}

static void append_state_text(const struct linear_state *state, char *text, size_t size)
{
	size_t at = 0;
	if (state->words[0] > LINEAR_RECORDS_MAX) {
		(void)snprintf(text, size, "records: nothing that was written");
		return;
	}
	at += (size_t)snprintf(text, size, "records");
	for (unsigned i = 0; i < linear_records_count(state) && at + 8 < size; i++)
		at += (size_t)snprintf(text + at, size - at, " %u", linear_records_get(state, i));
	if (linear_records_count(state) == 0)
		(void)snprintf(text, size, "no records");
}

static void append_op_text(const struct linear_op *op, char *text, size_t size)
{
	char seen[LINEAR_OP_TEXT_BYTES - 32];
	if (op->kind == LINEAR_APPEND) {
		text_of(text, size, "append", op->a);
	} else if (!op->returned) {
		(void)snprintf(text, size, "%s", op->kind == LINEAR_LIST ? "read" : "size");
	} else if (op->kind == LINEAR_LIST) {
		append_state_text(&op->seen, seen, sizeof(seen));
		(void)snprintf(text, size, "read gives %s", seen);
	} else {
		text_of(text, size, "size in records gives", op->seen.words[0]);
	}
}

const struct linear_model linear_append = {
	.name = "append",
	.step = append_step,
	.is_observer = append_observes,
	.op_text = append_op_text,
	.state_text = append_state_text,
};

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Which result the operation has in this state, and what it leaves. The order of checks is Linux's: the source, then the target. */
static int32_t names_apply(uint64_t *names, const struct linear_op *op)
{
	uint64_t *from = &names[op->a];
	uint64_t *to = op->kind == LINEAR_CREATE || op->b >= LINEAR_NAMES_MAX ? from : &names[op->b];
	uint64_t moved = *from;
	switch (op->kind) {
	case LINEAR_CREATE:
		if (*from != 0)
			return -EEXIST;
		*from = op->b;
		return 0;
	case LINEAR_STAT:
		return *from == 0 ? -ENOENT : 0;
	case LINEAR_EXCHANGE:
		if (*from == 0 || *to == 0)
			return -ENOENT;
		*from = *to;
		*to = moved;
		return 0;
	default:
		break;
	}
	if (*from == 0)
		return -ENOENT;
	if (op->kind == LINEAR_MOVE && *to != 0)
		return -EEXIST;
	*from = 0;
	if (op->kind != LINEAR_UNLINK)
		*to = moved;
	return 0;
}

static bool names_step(const struct linear_state *before, const struct linear_op *op, struct linear_state *ret_after)
{
	*ret_after = *before;
	if (op->kind < LINEAR_CREATE || op->kind > LINEAR_STAT || op->a >= LINEAR_NAMES_MAX)
		return false;
	int32_t rc = names_apply(ret_after->words, op);
	if (!op->returned)
		return true;
	return rc == op->rc && (op->kind != LINEAR_STAT || rc < 0 || op->seen.words[0] == before->words[op->a]);
}

static bool names_observes(const struct linear_op *op)
{
	return op->kind == LINEAR_STAT || (op->returned && op->rc < 0);
}

static void names_op_text(const struct linear_op *op, char *text, size_t size)
{
	static const char *const verbs[] = {"create", "unlink", "rename", "rename NOREPLACE", "rename EXCHANGE", "stat"};
	const char *verb = verbs[op->kind - LINEAR_CREATE], *result = op->returned ? rc_text(op->rc) : "";
	const char *gives = op->returned ? ": " : "";
	if (op->kind == LINEAR_CREATE)
		(void)snprintf(text, size, "create n%u as file %u%s%s", op->a, op->b, gives, result);
	else if (op->kind == LINEAR_UNLINK || (op->kind == LINEAR_STAT && (!op->returned || op->rc < 0)))
		(void)snprintf(text, size, "%s n%u%s%s", verb, op->a, gives, result);
	else if (op->kind == LINEAR_STAT)
		(void)snprintf(text, size, "stat n%u: file %llu", op->a, (unsigned long long)op->seen.words[0]);
	else
		(void)snprintf(text, size, "%s n%u to n%u%s%s", verb, op->a, op->b, gives, result);
}

static void names_state_text(const struct linear_state *state, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "names");
	for (unsigned i = 0; i < LINEAR_NAMES_MAX && at + 32 < size; i++)
		if (state->words[i] != 0)
			at += (size_t)snprintf(text + at, size - at, " n%u=%llu", i, (unsigned long long)state->words[i]);
	if (strlen(text) == 5)
		(void)snprintf(text, size, "no names");
}

const struct linear_model linear_names = {
	.name = "names",
	.step = names_step,
	.is_observer = names_observes,
	.op_text = names_op_text,
	.state_text = names_state_text,
};

/* ---- lock ----------------------------------------------------------------------------------------------------- */

/* words[0]: who holds it exclusively, + 1; words[1]: a bit for each who shares it. A conversion that fails keeps what was held, as fcntl does
 * and flock does not: workloads of flock unlock first. */
static bool lock_step(const struct linear_state *before, const struct linear_op *op, struct linear_state *ret_after)
{
	uint64_t owner = op->a + 1, bit = UINT64_C(1) << op->a % 64;
	uint64_t *exclusive = &ret_after->words[0], *sharers = &ret_after->words[1];
	*ret_after = *before;
	bool others = (*exclusive != 0 && *exclusive != owner) || (op->kind == LINEAR_LOCK && (*sharers & ~bit) != 0);
	switch (op->kind) {
	case LINEAR_LOCK:
	case LINEAR_SHARE:
		if (others)
			return !op->returned || op->rc == -EAGAIN;
		*exclusive = op->kind == LINEAR_LOCK ? owner : 0;
		*sharers = op->kind == LINEAR_LOCK ? *sharers & ~bit : *sharers | bit;
		return !op->returned || op->rc == 0;
	case LINEAR_UNLOCK:
	case LINEAR_RELEASE:
		*exclusive = *exclusive == owner ? 0 : *exclusive;
		*sharers &= ~bit;
		return !op->returned || op->rc == 0;
	default:
		return false;
	}
}

static bool lock_observes(const struct linear_op *op)
{
	return op->returned && op->rc < 0;
}

static void lock_op_text(const struct linear_op *op, char *text, size_t size)
{
	static const char *const verbs[] = {"lock", "share", "unlock", "release what is held"};
	(void)snprintf(text, size, "%s by %u%s%s", verbs[op->kind - LINEAR_LOCK], op->a, op->returned ? ": " : "",
		       op->returned ? rc_text(op->rc) : "");
}

static void lock_state_text(const struct linear_state *state, char *text, size_t size)
{
	if (state->words[0] != 0)
		text_of(text, size, "locked by", state->words[0] - 1);
	else if (state->words[1] != 0)
		(void)snprintf(text, size, "shared by owners 0x%llx", (unsigned long long)state->words[1]);
	else
		(void)snprintf(text, size, "free");
}

const struct linear_model linear_lock = {
	.name = "lock",
	.step = lock_step,
	.is_observer = lock_observes,
	.op_text = lock_op_text,
	.state_text = lock_state_text,
};
