/* SPDX-License-Identifier: Apache-2.0
 * FIDs as text. */
#include "proto/types.h"
#include "common/base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void ino_to_text(struct ino ino, char ret_text[INO_TEXT_BYTES])
{
	(void)snprintf(ret_text, INO_TEXT_BYTES, "[0x%x:0x%" PRIx64 ":0x0]", ino_shard(ino), ino_seq(ino));
}

/* One "0x1f" up to the end of `text` or the next ':'; consumes both. */
static int hex_part(struct str *text, uint64_t max, uint64_t *ret_value)
{
	if (text->len >= 2 && text->ptr[0] == '0' && (text->ptr[1] == 'x' || text->ptr[1] == 'X')) {
		text->ptr += 2;
		text->len -= 2;
	}
	uint64_t value = 0;
	size_t digits = 0;
	while (text->len > 0 && text->ptr[0] != ':') {
		char c = text->ptr[0];
		int digit = c >= '0' && c <= '9' ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;
		if (digit < 0 || ++digits > 16)
			return fail(EINVAL);
		value = value << 4 | (uint64_t)digit;
		text->ptr++;
		text->len--;
	}
	if (digits == 0 || value > max)
		return fail(EINVAL);
	if (text->len > 0) {
		text->ptr++; /* ':' */
		text->len--;
	}
	*ret_value = value;
	return 0;
}

int ino_from_text(struct str text, struct ino *ret_ino)
{
	if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
		text.ptr++;
		text.len -= 2;
	}
	uint64_t shard = 0, seq = 0, version = 0;
	int rc = hex_part(&text, UINT16_MAX, &shard);
	if (rc == 0)
		rc = hex_part(&text, INO_SEQ_MAX, &seq);
	if (rc == 0)
		rc = hex_part(&text, 0, &version);
	if (rc < 0)
		return rc;
	if (text.len > 0 || seq == 0)
		return fail(EINVAL);
	*ret_ino = ino_make((uint16_t)shard, seq);
	return 0;
}
