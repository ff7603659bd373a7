/* SPDX-License-Identifier: Apache-2.0
 * Names' hashes and readdir cookies. Pure. */
#ifndef STRIA_MDS_NAME_H
#define STRIA_MDS_NAME_H

#include "mds/record.h"

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t siphash(const uint64_t key[2], struct blob bytes);
/* 1 … 2^bits - 1 (hash 0 becomes 1, so that every cookie is above 2). */
uint64_t name_hash(const struct superblock *sb, struct str name);
/* hash << 7 | n: above 2, below 2^63. */
static inline uint64_t cookie_make(uint64_t hash, uint8_t n)
{
	return hash << COOKIE_N_BITS | n;
}
static inline uint64_t cookie_hash(uint64_t cookie)
{
	return cookie >> COOKIE_N_BITS;
}

#endif
