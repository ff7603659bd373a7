/* SPDX-License-Identifier: Apache-2.0
 * CRC32C against a bit-by-bit one and the vectors of RFC 3720, B.4. */
#include "common/base/bytes.h"
#include "common/base/crc.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint32_t slow_crc(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
	}
	return ~crc;
}

static void agrees_with_the_rfc(void **state)
{
	(void)state;
	uint8_t bytes[32] = {0};
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (size_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void parts_continue_and_combine(void **state)
{
	(void)state;
	enum { LEN = 9000 };
	uint8_t *bytes = mem_alloc(LEN);
	struct rng rng;
	rng_init(&rng, 1);
	for (size_t i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)rng_u64(&rng);
	uint32_t whole = slow_crc(0, bytes, LEN);
	assert_int_equal(crc32c(0, bytes, LEN), whole);
	for (size_t cut = 0; cut <= LEN; cut += cut < 20 ? 1 : 997) {
		uint32_t a = crc32c(0, bytes, cut), b = crc32c(0, bytes + cut, LEN - cut);
		assert_int_equal(crc32c(a, bytes + cut, LEN - cut), whole);
		assert_int_equal(crc32c_combine(a, b, LEN - cut), whole);
	}
	mem_free(bytes);
}

static void zeros_are_as_if_they_were_there(void **state)
{
	(void)state;
	static const uint8_t zeros[70000];
	uint32_t start = crc32c(0, "abc", 3);
	for (size_t len = 0; len < sizeof(zeros); len = len * 3 + 1) {
		assert_int_equal(crc32c_zeros(start, len), crc32c(start, zeros, len));
		assert_int_equal(crc32c_zeros(0, len), crc32c(0, zeros, len));
	}
	uint32_t half = crc32c_zeros(0, UINT64_C(1) << 40);
	assert_int_equal(crc32c_zeros(half, UINT64_C(1) << 40), crc32c_zeros(0, UINT64_C(1) << 41));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_rfc),
		cmocka_unit_test(parts_continue_and_combine),
		cmocka_unit_test(zeros_are_as_if_they_were_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
