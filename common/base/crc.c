/* SPDX-License-Identifier: Apache-2.0
 * CRC32C over ISA-L's crc32_iscsi, which takes and gives the register without the final inversion.
 * Combination multiplies by x^(8 len) modulo the polynomial, as zlib's crc32_combine explains it. */
#include "common/base/crc.h"

#include <isa-l/crc.h>

enum { CHUNK_BYTES = 1 << 30 };

uint32_t crc32c(uint32_t crc, const void *ptr, size_t len)
{
	const unsigned char *p = ptr;
	uint32_t reg = ~crc;
	while (len > 0) {
		int n = len > CHUNK_BYTES ? CHUNK_BYTES : (int)len;
		reg = crc32_iscsi((unsigned char *)(uintptr_t)p, n, reg);
		p += n;
		len -= (size_t)n;
	}
	return ~reg;
}

/* a * b modulo the reflected Castagnoli polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;
	for (uint32_t bit = UINT32_C(1) << 31; bit != 0; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? b >> 1 ^ UINT32_C(0x82f63b78) : b >> 1;
	}
	return product;
}

/* x^(8 len) */
static uint32_t power_of_x8(uint64_t len)
{
	uint32_t result = UINT32_C(1) << 31; /* x^0 */
	uint32_t square = UINT32_C(1) << 23; /* x^8 */
	for (; len != 0; len >>= 1) {
		if (len & 1)
			result = multiply(square, result);
		square = multiply(square, square);
	}
	return result;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	return multiply(power_of_x8(len_b), crc_a) ^ crc_b;
}

uint32_t crc32c_zeros(uint32_t crc, uint64_t len)
{
	/* The register's inversions at both ends do not commute with multiplication: undo and redo them. */
	return ~multiply(power_of_x8(len), ~crc);
}
