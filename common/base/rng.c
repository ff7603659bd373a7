/* SPDX-License-Identifier: Apache-2.0
 * xoshiro256** after the authors' public-domain description. */
#include "common/base/rng.h"

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t v, int k)
{
	return v << k | v >> (64 - k);
}

void rng_init(struct rng *rng, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		rng->s[i] = splitmix(&seed);
}

uint64_t rng_u64(struct rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	return bound == 0 ? 0 : (uint64_t)(((unsigned __int128)rng_u64(rng) * bound) >> 64);
}

uint64_t rng_range(struct rng *rng, uint64_t min, uint64_t max)
{
	return min + rng_below(rng, max - min + 1);
}

bool rng_chance(struct rng *rng, unsigned per_million)
{
	return rng_below(rng, 1000000) < per_million;
}

struct rng rng_fork(struct rng *rng)
{
	struct rng forked;
	rng_init(&forked, rng_u64(rng));
	return forked;
}
