/* SPDX-License-Identifier: Apache-2.0
 * A strict reader of flat JSON objects: one pass, a cursor, no recursion. Bytes from 0x80 on are taken as they are: file names are bytes. */
#include "client/json_in.h"

#include "common/base/err.h"

struct cursor {
	const uint8_t *at, *end;
	struct arena *arena;
	bool bad;
};

static void skip_blanks(struct cursor *in)
{
	while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
		in->at++;
}

/* Takes the character if it is next. */
static bool take(struct cursor *in, char c)
{
	skip_blanks(in);
	if (in->at == in->end || *in->at != (uint8_t)c)
		return false;
	in->at++;
	return true;
}

static void want(struct cursor *in, char c)
{
	if (!take(in, c))
		in->bad = true;
}

static int64_t get_number(struct cursor *in)
{
	uint64_t value = 0;
	skip_blanks(in);
	bool negative = in->at < in->end && *in->at == '-';
	in->at += negative;
	const uint8_t *first = in->at;
	for (; in->at < in->end && *in->at >= '0' && *in->at <= '9' && !in->bad; in->at++) {
		uint64_t digit = (uint64_t)(*in->at - '0');
		if (value > ((uint64_t)INT64_MAX - digit) / 10)
			in->bad = true;
		else
			value = value * 10 + digit;
	}
	if (in->at == first || (*first == '0' && in->at - first > 1))
		in->bad = true; /* no digits, or a leading zero; fractions and exponents end at what follows */
	return negative ? -(int64_t)value : (int64_t)value;
}

static uint32_t get_hex4(struct cursor *in)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		uint8_t c = in->at < in->end ? *in->at : 0;
		uint32_t digit;
		if (c >= '0' && c <= '9')
			digit = c - (uint32_t)'0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20U) - 'a' + 10;
		else {
			in->bad = true;
			return 0;
		}
		value = value << 4 | digit;
		in->at++;
	}
	return value;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (uint8_t)c;
	} else if (c < 0x800) {
		*out++ = (uint8_t)(0xc0 | c >> 6);
		*out++ = (uint8_t)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (uint8_t)(0xe0 | c >> 12);
		*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*out++ = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		*out++ = (uint8_t)(0xf0 | c >> 18);
		*out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*out++ = (uint8_t)(0x80 | (c & 0x3f));
	}
	return out;
}

/* After "\u". */
static uint32_t get_code_point(struct cursor *in)
{
	uint32_t high = get_hex4(in);
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || in->end - in->at < 6 || in->at[0] != '\\' || in->at[1] != 'u') {
		in->bad = true;
		return 0;
	}
	in->at += 2;
	uint32_t low = get_hex4(in);
	if (low < 0xdc00 || low > 0xdfff)
		in->bad = true;
	return 0x10000 + ((high - 0xd800) << 10 | (low & 0x3ff));
}

static uint8_t *get_escape(struct cursor *in, uint8_t *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint8_t c = in->at < in->end ? *in->at++ : 0;
	if (c == 'u')
		return put_utf8(out, get_code_point(in));
	const char *found = c != 0 ? strchr(from, c) : NULL;
	if (found == NULL)
		in->bad = true;
	else
		*out++ = (uint8_t)to[found - from];
	return out;
}

static struct str get_string(struct cursor *in)
{
	want(in, '"');
	uint8_t *base = arena_alloc(in->arena, (size_t)(in->end - in->at) + 4); /* no escape grows: \u takes six bytes for three */
	uint8_t *out = base;
	while (!in->bad) {
		uint8_t c = in->at < in->end ? *in->at++ : 0;
		if (c == '"')
			break;
		if (c < 0x20)
			in->bad = true; /* also the end of the text */
		else if (c == '\\')
			out = get_escape(in, out);
		else
			*out++ = c;
	}
	return (struct str){(const char *)base, (size_t)(out - base)};
}

static void get_numbers(struct cursor *in, struct json_in_member *member)
{
	int64_t *numbers = arena_alloc(in->arena, JSON_IN_NUMBERS_MAX * sizeof(numbers[0]));
	size_t count = 0;
	if (!take(in, ']')) {
		do {
			int64_t number = get_number(in);
			if (count == JSON_IN_NUMBERS_MAX)
				in->bad = true;
			else
				numbers[count++] = number;
		} while (!in->bad && take(in, ','));
		want(in, ']');
	}
	member->numbers = numbers;
	member->number_count = count;
}

static void get_member(struct cursor *in, struct json_in *object)
{
	struct json_in_member member = {.key = get_string(in)};
	want(in, ':');
	skip_blanks(in);
	if (in->bad || in->at == in->end) {
		in->bad = true;
	} else if (*in->at == '"') {
		member.kind = JSON_IN_STRING;
		member.text = get_string(in);
	} else if (take(in, '[')) {
		member.kind = JSON_IN_NUMBERS;
		get_numbers(in, &member);
	} else {
		member.number = get_number(in);
	}
	for (size_t i = 0; i < object->count; i++)
		in->bad = in->bad || str_eq(object->members[i].key, member.key);
	if (object->count == JSON_IN_MEMBERS_MAX)
		in->bad = true;
	else
		object->members[object->count++] = member;
}

int json_in_parse(struct blob text, struct arena *arena, struct json_in *ret_object)
{
	struct cursor in = {text.ptr, text.ptr + text.len, arena, false};
	struct json_in object = {0};
	want(&in, '{');
	if (!in.bad && !take(&in, '}')) {
		do
			get_member(&in, &object);
		while (!in.bad && take(&in, ','));
		want(&in, '}');
	}
	skip_blanks(&in);
	if (in.bad || in.at != in.end)
		return fail(EINVAL);
	*ret_object = object;
	return 0;
}

const struct json_in_member *json_in_find(const struct json_in *object, const char *key)
{
	for (size_t i = 0; i < object->count; i++)
		if (str_eq(object->members[i].key, str_of(key)))
			return &object->members[i];
	return NULL;
}

int json_in_number(const struct json_in *object, const char *key, int64_t absent, int64_t min, int64_t max, int64_t *ret_number)
{
	const struct json_in_member *member = json_in_find(object, key);
	if (member == NULL) {
		*ret_number = absent;
		return 0;
	}
	if (member->kind != JSON_IN_NUMBER || member->number < min || member->number > max)
		return fail(EINVAL);
	*ret_number = member->number;
	return 0;
}
