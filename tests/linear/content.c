/* SPDX-License-Identifier: Apache-2.0
 * Values as bytes: a head that names object and value, and a tail that follows from both. */
#include "tests/linear/content.h"
#include "common/base/check.h"
#include "common/base/map.h"

static uint64_t word_of(uint32_t object, uint32_t value, size_t index)
{
	uint64_t name = (uint64_t)object << 32 | value;
	return index == 0 ? name : map_hash_u64(name + index * UINT64_C(0x9e3779b97f4a7c15));
}

void linear_content_fill(uint32_t object, uint32_t value, uint8_t *buf, size_t len)
{
	CHECK(len >= LINEAR_VALUE_BYTES_MIN && value > 0);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(word_of(object, value, i / 8) >> (i % 8 * 8));
}

uint64_t linear_content_value(uint32_t object, const uint8_t *buf, size_t len)
{
	if (len < LINEAR_VALUE_BYTES_MIN || load_le32(buf + 4) != object || load_le32(buf) == 0)
		return LINEAR_TORN;
	uint32_t value = load_le32(buf);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != (uint8_t)(word_of(object, value, i / 8) >> (i % 8 * 8)))
			return LINEAR_TORN;
	return value;
}

void linear_content_records(uint32_t object, const uint8_t *buf, size_t len, struct linear_state *ret_seen)
{
	*ret_seen = (struct linear_state){0};
	bool good = len % LINEAR_RECORD_BYTES == 0;
	for (size_t at = 0; good && at < len; at += LINEAR_RECORD_BYTES) {
		uint64_t value = linear_content_value(object, buf + at, LINEAR_RECORD_BYTES);
		good = value <= UINT16_MAX && linear_records_add(ret_seen, (uint32_t)value);
	}
	if (!good)
		*ret_seen = (struct linear_state){{LINEAR_TORN}};
}
