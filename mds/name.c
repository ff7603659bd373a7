/* SPDX-License-Identifier: Apache-2.0
 * Hashes of names. */
#include "mds/name.h"

static uint64_t rotl(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t siphash(const uint64_t key[2], struct blob bytes)
{
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t last = (uint64_t)bytes.len << 56;
	while (bytes.len >= 8) {
		uint64_t word = load_le64(bytes.ptr);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
		bytes.ptr += 8;
		bytes.len -= 8;
	}
	for (size_t i = 0; i < bytes.len; i++)
		last |= (uint64_t)bytes.ptr[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t name_hash(const struct superblock *sb, struct str name)
{
	uint64_t hash = siphash(sb->hash_key, blob_of(name.ptr, name.len)) >> (64 - sb->hash_bits);
	return hash == 0 ? 1 : hash;
}
