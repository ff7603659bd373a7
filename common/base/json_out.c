/* SPDX-License-Identifier: Apache-2.0
 * JSON out (RFC 8259). */
#include "common/base/json_out.h"
#include "common/base/check.h"

#include <inttypes.h>
#include <stdio.h>

struct json_out json_out(struct arena *arena)
{
	return (struct json_out){.arena = arena};
}

static void put(struct json_out *json, const char *ptr, size_t len)
{
	if (json->len + len > json->size) {
		size_t size = (json->size + len) * 2 + 256;
		char *grown = arena_alloc(json->arena, size);
		if (json->len > 0)
			memcpy(grown, json->ptr, json->len);
		json->ptr = grown;
		json->size = size;
	}
	if (len > 0)
		memcpy(json->ptr + json->len, ptr, len);
	json->len += len;
}

/* Length of the UTF-8 sequence at `p`, 0: there is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	if (len <= 1 || len > left)
		return len <= left ? len : 0;
	uint32_t point = *p & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		point = point << 6 | (p[i] & 0x3f);
	}
	return point >= least[len] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? len : 0;
}

static void put_text(struct json_out *json, struct str text)
{
	put(json, "\"", 1);
	for (size_t i = 0; i < text.len;) {
		uint8_t c = (uint8_t)text.ptr[i];
		size_t len = utf8_len((const uint8_t *)text.ptr + i, text.len - i);
		if (c == '"' || c == '\\') {
			char escaped[2] = {'\\', (char)c};
			put(json, escaped, 2);
		} else if (c < 0x20 || c == 0x7f) {
			char escaped[8];
			put(json, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
		} else if (len == 0) {
			put(json, "\\ufffd", 6);
			len = 1;
		} else {
			put(json, text.ptr + i, len);
		}
		i += len;
	}
	put(json, "\"", 1);
}

static void member(struct json_out *json, const char *key)
{
	if (json->depth > 0) {
		if (json->has_member[json->depth - 1])
			put(json, ", ", 2);
		json->has_member[json->depth - 1] = true;
	}
	if (key != NULL) {
		put_text(json, str_of(key));
		put(json, ": ", 2);
	}
}

static void begin(struct json_out *json, const char *key, char opener, char closer)
{
	member(json, key);
	CHECK(json->depth < JSON_DEPTH_MAX);
	put(json, &opener, 1);
	json->has_member[json->depth] = false;
	json->closer[json->depth++] = closer;
}

void json_object_begin(struct json_out *json, const char *key)
{
	begin(json, key, '{', '}');
}

void json_array_begin(struct json_out *json, const char *key)
{
	begin(json, key, '[', ']');
}

void json_end(struct json_out *json)
{
	CHECK(json->depth > 0);
	put(json, &json->closer[--json->depth], 1);
}

void json_str(struct json_out *json, const char *key, struct str value)
{
	member(json, key);
	put_text(json, value);
}

void json_u64(struct json_out *json, const char *key, uint64_t value)
{
	char text[24];
	member(json, key);
	put(json, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

void json_i64(struct json_out *json, const char *key, int64_t value)
{
	char text[24];
	member(json, key);
	put(json, text, (size_t)snprintf(text, sizeof(text), "%" PRIi64, value));
}

void json_bool(struct json_out *json, const char *key, bool value)
{
	member(json, key);
	put(json, value ? "true" : "false", value ? 4 : 5);
}

void json_none(struct json_out *json, const char *key)
{
	member(json, key);
	put(json, "null", 4);
}

struct blob json_blob(const struct json_out *json)
{
	CHECK(json->depth == 0);
	return blob_of(json->ptr, json->len);
}
