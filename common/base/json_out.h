/* SPDX-License-Identifier: Apache-2.0
 * JSON, written into an arena: what daemons tell of themselves. Reading JSON is the command line's business (jansson). Keys are ours
 * and plain; strings are escaped, and bytes that are no UTF-8 become U+FFFD, so the result always parses. */
#ifndef STRIA_BASE_JSON_OUT_H
#define STRIA_BASE_JSON_OUT_H

#include "common/base/mem.h"

enum { JSON_DEPTH_MAX = 16 };
struct json_out {
	struct arena *arena;
	char *ptr; /* in the arena */
	size_t len, size;
	unsigned depth;
	bool has_member[JSON_DEPTH_MAX];
	char closer[JSON_DEPTH_MAX];
};
struct json_out json_out(struct arena *arena);
/* key NULL: an array's element, or the whole. */
void json_object_begin(struct json_out *json, const char *key);
void json_array_begin(struct json_out *json, const char *key);
void json_end(struct json_out *json);
void json_str(struct json_out *json, const char *key, struct str value);
void json_u64(struct json_out *json, const char *key, uint64_t value);
void json_i64(struct json_out *json, const char *key, int64_t value);
void json_bool(struct json_out *json, const char *key, bool value);
void json_none(struct json_out *json, const char *key);
/* Everything that was begun has ended; borrowed from the arena. */
struct blob json_blob(const struct json_out *json);

#endif
