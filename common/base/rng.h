/* SPDX-License-Identifier: Apache-2.0
 * The only pseudo-random generator: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. Deterministic, not for secrets. */
#ifndef STRIA_BASE_RNG_H
#define STRIA_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* 0..bound-1; bound 0 gives 0 */
uint64_t rng_range(struct rng *rng, uint64_t min, uint64_t max); /* inclusive */
bool rng_chance(struct rng *rng, unsigned per_million);
/* A new generator whose stream does not depend on how often this one is used later. */
struct rng rng_fork(struct rng *rng);

#endif
