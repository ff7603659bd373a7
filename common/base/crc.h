/* SPDX-License-Identifier: Apache-2.0
 * CRC32C (Castagnoli, RFC 3720), by ISA-L. */
#ifndef STRIA_BASE_CRC_H
#define STRIA_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `len` bytes; `crc32c(0, …)` starts, `crc32c(previous, …)` continues. */
uint32_t crc32c(uint32_t crc, const void *ptr, size_t len);
/* The checksum of A followed by B, from both and B's length. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);
/* The checksum of `len` zeros continued from `crc`. */
uint32_t crc32c_zeros(uint32_t crc, uint64_t len);

#endif
