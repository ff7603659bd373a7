/* SPDX-License-Identifier: Apache-2.0
 * The small flat objects that the command line sends: {"key": number | string | [numbers], …}. Strict: what is not exactly that is EINVAL. Pure. */
#ifndef STRIA_CLIENT_JSON_IN_H
#define STRIA_CLIENT_JSON_IN_H

#include "common/base/bytes.h"
#include "common/base/mem.h"

enum { JSON_IN_MEMBERS_MAX = 16, JSON_IN_NUMBERS_MAX = 1024 };
enum json_in_kind { JSON_IN_NUMBER, JSON_IN_STRING, JSON_IN_NUMBERS };
struct json_in_member {
	struct str key;
	enum json_in_kind kind;
	int64_t number;          /* integers only */
	struct str text;         /* unescaped */
	const int64_t *numbers;
	size_t number_count;
};
struct json_in {
	size_t count;
	struct json_in_member members[JSON_IN_MEMBERS_MAX];
};
/* Strings are in arena. Errors: EINVAL (form, a key twice, more than the limits). Nothing in it parks. */
int json_in_parse(struct blob text, struct arena *arena, struct json_in *ret_object);
/* NULL: there is none. */
const struct json_in_member *json_in_find(const struct json_in *object, const char *key);
/* The member's value if it is there and of that kind, `absent` if it is not there; EINVAL: another kind, or outside [min, max]. */
int json_in_number(const struct json_in *object, const char *key, int64_t absent, int64_t min, int64_t max, int64_t *ret_number);

#endif
