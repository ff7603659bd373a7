/* SPDX-License-Identifier: Apache-2.0
 * In libFuzzer's place where there is none: a fixed number of inputs from a fixed seed. Real encodings, damaged a little, reach deeper than
 * noise does, so most inputs are those. */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/cluster/cmap.h"
#include "common/cluster/layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto/messages.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUT_BYTES_MAX = 1 << 17, POOL_BYTES = 1024, FIELDS_BYTES = 4096 };
static uint8_t input[INPUT_BYTES_MAX], pool[POOL_BYTES];

/* A whole message of a random operation, behind the two bytes that choose it. */
static size_t make_message(struct rng *rng)
{
	const struct proto_op *ops = NULL;
	size_t count = proto_ops(&ops), index = rng_below(rng, count < 256 ? count : 256);
	bool reply = rng_chance(rng, 500000);
	const struct proto_msg *msg = reply ? &ops[index].rep : &ops[index].req;
	static _Alignas(16) uint8_t fields[FIELDS_BYTES];
	message_fill(msg, fields, rng, pool, rng_below(rng, 64));
	input[0] = reply;
	input[1] = (uint8_t)index;
	struct wire_out out = wire_out(input + 2, sizeof(input) - 2);
	proto_encode(msg, 1, fields, &out);
	return 2 + wire_len(&out);
}

static size_t make_map(struct rng *rng)
{
	struct cmap *map = cmap_new();
	map->epoch = rng_u64(rng);
	map->shard_count = 256;
	memcpy(map->fsname, "fuzz", 5);
	for (uint32_t i = 0; i < 4; i++) {
		struct cmap_target *target = cmap_add_target(map, i == 0 ? TARGET_MDT : TARGET_OST, i);
		(void)snprintf(target->address, sizeof(target->address), "tcp://127.0.0.1:%u", 7000 + i);
	}
	cmap_evict(map, 5);
	input[0] = 4;
	struct wire_out out = wire_out(input + 1, sizeof(input) - 1);
	cmap_encode(map, &out);
	cmap_free(map);
	return 1 + wire_len(&out);
}

static size_t make_layout(struct rng *rng)
{
	static struct layout wanted, placed;
	static const uint16_t osts[] = {0, 1, 2, 3};
	layout_init_wanted(&wanted, (uint16_t)rng_below(rng, 5), (uint32_t)(65536 * rng_range(rng, 1, 64)), STRIPE_INDEX_ANY);
	bool ok = layout_place(&wanted, osts, 4, (uint16_t)rng_below(rng, 4), &placed) == 0;
	input[0] = 5;
	struct wire_out out = wire_out(input + 1, sizeof(input) - 1);
	layout_encode(ok ? &placed : &wanted, &out);
	return 1 + wire_len(&out);
}

static size_t make_noise(struct rng *rng)
{
	size_t len = 1 + rng_below(rng, 200);
	for (size_t i = 0; i < len; i++)
		input[i] = (uint8_t)rng_u64(rng);
	return len;
}

static size_t damage(struct rng *rng, size_t len)
{
	for (uint64_t n = rng_below(rng, 4); n > 0 && len > 1; n--)
		input[1 + rng_below(rng, len - 1)] = (uint8_t)(rng_chance(rng, 300000) ? 0xff : rng_u64(rng));
	if (rng_chance(rng, 200000))
		len = 1 + rng_below(rng, len);
	return len;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct rng rng;
	rng_init(&rng, seed);
	for (size_t i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)(i % 255 + 1);
	printf("fuzz: seed %llu, %ld inputs\n", (unsigned long long)seed, count);
	for (long i = 0; i < count; i++) {
		static size_t (*const makers[])(struct rng *) = {make_message, make_message, make_message, make_map, make_layout, make_noise};
		size_t len = damage(&rng, makers[rng_below(&rng, 6)](&rng));
		uint8_t *exact = mem_dup(input, len); /* so that ASan sees a read behind the end */
		(void)LLVMFuzzerTestOneInput(exact, len); /* always 0 */
		mem_free(exact);
	}
	return 0;
}
