/* SPDX-License-Identifier: Apache-2.0
 * Which data leases go together, and what is left of one that stands in another's way. Pure; MDT and client agree by it.
 *
 *         another client's:  CR  CW  PR  PW
 *   CR read through           ●   ●   ●
 *   CW write through          ●   ●
 *   PR cache reads            ●       ●
 *   PW cache reads and writes                                                                                                          */
#ifndef STRIA_CLUSTER_LEASE_H
#define STRIA_CLUSTER_LEASE_H

#include "proto/types.h"

/* May one client hold `a` while another one holds `b`? Symmetric. */
static inline bool lease_goes_with(uint8_t a, uint8_t b)
{
	if (a == LEASE_NONE || b == LEASE_NONE)
		return true;
	if (a == LEASE_PW || b == LEASE_PW)
		return false;
	return !((a == LEASE_CW && b == LEASE_PR) || (a == LEASE_PR && b == LEASE_CW));
}

/* What remains of `held` when no more than `keep` may be kept. */
static inline uint8_t lease_kept(uint8_t held, uint8_t keep)
{
	if (keep == LEASE_PW || held == LEASE_NONE)
		return held;
	switch (keep) {
	case LEASE_PR:
		return held == LEASE_PW || held == LEASE_PR ? LEASE_PR : LEASE_CR;
	case LEASE_CW:
		return held == LEASE_PW || held == LEASE_CW ? LEASE_CW : LEASE_CR;
	case LEASE_CR:
		return LEASE_CR;
	default:
		return LEASE_NONE;
	}
}

/* What those in the way of `wanted` may keep of theirs. */
static inline uint8_t lease_leaves(uint8_t wanted)
{
	switch (wanted) {
	case LEASE_PR:
		return LEASE_PR;
	case LEASE_CR:
	case LEASE_CW:
		return LEASE_CW;
	case LEASE_PW:
		return LEASE_NONE;
	default:
		return LEASE_PW;
	}
}

static inline bool lease_caches(uint8_t mode)
{
	return mode == LEASE_PR || mode == LEASE_PW;
}
static inline bool lease_writes(uint8_t mode)
{
	return mode == LEASE_CW || mode == LEASE_PW;
}

#endif
