/* SPDX-License-Identifier: Apache-2.0
 * Locks of many clients against a model that knows bytes and nothing else. */
#include "common/base/err.h"
#include "common/base/rng.h"
#include "mds/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { CLIENTS = 3, OWNERS = 3, INODES = 2, BYTES = 16, WAITS_MAX = 64, KINDS = 2 };

/* ---- the model ------------------------------------------------------------------------------------------------- */

struct model_wait {
	struct lock_want want;
	bool granted;
};
struct model {
	uint8_t type[INODES][KINDS][CLIENTS][OWNERS][BYTES];
	struct model_wait waits[WAITS_MAX]; /* in order of arrival; those granted stay until they are told */
	size_t count;
};
/* Owner 2 of each client is an open file: its record locks are OFD locks. */
static uint8_t kind_of(unsigned class, uint64_t owner)
{
	return class == 0 ? LOCK_KIND_FLOCK : owner == OWNERS - 1 ? LOCK_KIND_OFD : LOCK_KIND_POSIX;
}

static unsigned class_of(const struct lock_want *want)
{
	return want->kind == LOCK_KIND_FLOCK ? 0 : 1;
}

static uint8_t *bytes_of(struct model *model, const struct lock_want *want, uint64_t client, uint64_t owner)
{
	return model->type[want->ino.v - 1][class_of(want)][client - 1][owner];
}

static uint64_t last_byte(const struct lock_want *want)
{
	return min_u64(want->end, BYTES - 1);
}

static bool is_in_the_way(struct model *model, const struct lock_want *want, uint64_t client, uint64_t owner)
{
	const uint8_t *bytes = bytes_of(model, want, client, owner);
	if (client == want->client && owner == want->owner)
		return false;
	for (uint64_t at = want->start; at <= last_byte(want); at++)
		if (bytes[at] == LOCK_TYPE_WRITE || (bytes[at] == LOCK_TYPE_READ && want->type == LOCK_TYPE_WRITE))
			return true;
	return false;
}

static bool is_blocked(struct model *model, const struct lock_want *want)
{
	for (uint64_t client = 1; client <= CLIENTS; client++)
		for (uint64_t owner = 0; owner < OWNERS; owner++)
			if (is_in_the_way(model, want, client, owner))
				return true;
	return false;
}

static void paint(struct model *model, const struct lock_want *want)
{
	uint8_t *bytes = bytes_of(model, want, want->client, want->owner);
	for (uint64_t at = want->start; at <= last_byte(want); at++)
		bytes[at] = want->keeps && bytes[at] == LOCK_TYPE_WRITE ? LOCK_TYPE_WRITE : want->type;
}

static void serve(struct model *model)
{
	for (size_t i = 0; i < model->count;) {
		struct model_wait *wait = &model->waits[i++];
		if (wait->granted || is_blocked(model, &wait->want))
			continue;
		wait->granted = true;
		paint(model, &wait->want);
		i = 0;
	}
}

static bool waits_for(struct model *model, const struct lock_want *want, const struct lock_want *goal, unsigned depth)
{
	for (uint64_t client = 1; client <= CLIENTS; client++) {
		for (uint64_t owner = 0; owner < OWNERS - 1; owner++) {
			if (!is_in_the_way(model, want, client, owner))
				continue;
			if (client == goal->client && owner == goal->owner)
				return true;
			for (size_t i = 0; i < model->count && depth < 9; i++) { /* there are six such owners */
				const struct lock_want *next = &model->waits[i].want;
				bool is_its = next->kind == LOCK_KIND_POSIX && next->client == client && next->owner == owner;
				if (is_its && !model->waits[i].granted && waits_for(model, next, goal, depth + 1))
					return true;
			}
		}
	}
	return false;
}

static int model_set(struct model *model, const struct lock_want *want)
{
	uint8_t *own = bytes_of(model, want, want->client, want->owner);
	if (want->kind == LOCK_KIND_FLOCK && own[0] != want->type) {
		memset(own, LOCK_TYPE_NONE, BYTES);
		serve(model);
	}
	if (want->type != LOCK_TYPE_NONE && is_blocked(model, want)) {
		if (want->waiter == 0)
			return -EAGAIN;
		if (want->kind == LOCK_KIND_POSIX && waits_for(model, want, want, 0))
			return -EDEADLK;
		model->waits[model->count++] = (struct model_wait){*want, false};
		return LOCK_QUEUED;
	}
	paint(model, want);
	serve(model);
	return LOCK_GRANTED;
}

static void model_remove(struct model *model, size_t at)
{
	memmove(&model->waits[at], &model->waits[at + 1], (model->count - at - 1) * sizeof(model->waits[0]));
	model->count--;
}

static void model_drop_client(struct model *model, uint64_t client)
{
	for (size_t i = model->count; i > 0; i--)
		if (model->waits[i - 1].want.client == client)
			model_remove(model, i - 1);
	for (unsigned inode = 0; inode < INODES; inode++)
		for (unsigned class = 0; class < KINDS; class++)
			memset(model->type[inode][class][client - 1], LOCK_TYPE_NONE, sizeof(model->type[inode][class][client - 1]));
	serve(model);
}

/* ---- both together --------------------------------------------------------------------------------------------- */

struct both {
	struct locks locks;
	struct model model;
	struct lock_wait *granted[WAITS_MAX]; /* not told yet */
	size_t granted_count;
	uint64_t last_change;
	/* what locks_each gives */
	uint8_t seen[KINDS][CLIENTS][OWNERS][BYTES];
	uint64_t queue[WAITS_MAX];
	size_t queued;
};

static void on_granted(void *ctx, struct lock_wait *wait)
{
	struct both *both = ctx;
	assert_true(wait->change > both->last_change);
	both->last_change = wait->change;
	both->granted[both->granted_count++] = wait;
}

static bool on_lock(void *ctx, const struct lock_want *lock, bool waits)
{
	struct both *both = ctx;
	if (waits) {
		both->queue[both->queued++] = lock->waiter;
		return true;
	}
	for (uint64_t at = lock->start; at <= last_byte(lock); at++) {
		uint8_t *seen = &both->seen[class_of(lock)][lock->client - 1][lock->owner][at];
		assert_int_equal(*seen, LOCK_TYPE_NONE);
		*seen = lock->type;
	}
	return true;
}

static void assert_alike(struct both *both)
{
	struct model *model = &both->model;
	for (uint64_t ino = 1; ino <= INODES; ino++) {
		memset(both->seen, 0, sizeof(both->seen));
		both->queued = 0;
		assert_true(locks_each(&both->locks, (struct ino){ino}, on_lock, both));
		assert_memory_equal(both->seen, model->type[ino - 1], sizeof(both->seen));
		size_t queued = 0;
		for (size_t i = 0; i < model->count; i++)
			if (!model->waits[i].granted && model->waits[i].want.ino.v == ino)
				assert_int_equal(both->queue[queued++], model->waits[i].want.waiter);
		assert_int_equal(queued, both->queued);
	}
	size_t granted = 0;
	for (size_t i = 0; i < model->count; i++)
		granted += model->waits[i].granted;
	size_t alive = 0;
	for (size_t i = 0; i < both->granted_count; i++)
		alive += both->granted[i]->client != NULL;
	assert_int_equal(granted, alive);
}

static void tell(struct both *both, size_t at)
{
	struct lock_wait *wait = both->granted[at];
	for (size_t i = 0; i < both->model.count; i++)
		if (wait->client != NULL && both->model.waits[i].want.waiter == wait->want.waiter) {
			assert_true(both->model.waits[i].granted);
			model_remove(&both->model, i);
			break;
		}
	locks_told(&both->locks, wait);
	both->granted[at] = both->granted[--both->granted_count];
}

static void step(struct both *both, struct rng *rng, uint64_t number)
{
	struct model *model = &both->model;
	uint64_t draw = rng_below(rng, 100), change = 0;
	if (draw < 2) {
		uint64_t client = rng_range(rng, 1, CLIENTS);
		both->last_change = both->locks.changes;
		model_drop_client(model, client);
		locks_drop_client(&both->locks, client);
	} else if (draw < 10 && model->count > 0) {
		size_t at = rng_below(rng, model->count);
		struct model_wait wait = model->waits[at];
		int rc = locks_withdraw(&both->locks, wait.want.client, wait.want.waiter, &change);
		assert_int_equal(rc, wait.granted ? LOCK_GRANTED : LOCK_WITHDRAWN);
		if (!wait.granted)
			model_remove(model, at);
	} else if (draw < 25 && both->granted_count > 0) {
		tell(both, rng_below(rng, both->granted_count));
	} else {
		uint64_t a = rng_below(rng, BYTES), b = rng_below(rng, BYTES), owner = rng_below(rng, OWNERS);
		unsigned class = (unsigned)rng_below(rng, KINDS);
		bool to_end = class == 0 || max_u64(a, b) == BYTES - 1; /* the model's last byte stands for all that follow */
		struct lock_want want = {
			.ino = {rng_range(rng, 1, INODES)},
			.client = rng_range(rng, 1, CLIENTS),
			.owner = owner,
			.kind = kind_of(class, owner),
			.type = (uint8_t)rng_below(rng, 3),
			.start = class == 0 ? 0 : min_u64(a, b),
			.end = to_end ? UINT64_MAX : max_u64(a, b),
			.waiter = rng_below(rng, 2) == 0 && model->count < WAITS_MAX - 1 ? number : 0,
		};
		struct lock_want holder;
		want.keeps = class == 1 && want.type == LOCK_TYPE_READ && rng_below(rng, 2) == 0;
		if (want.type != LOCK_TYPE_NONE)
			assert_int_equal(locks_test(&both->locks, &want, &holder), is_blocked(model, &want));
		both->last_change = both->locks.changes;
		int expected = model_set(model, &want), rc = locks_set(&both->locks, &want, &change);
		assert_int_equal(rc, expected);
		if (rc == LOCK_QUEUED) {
			assert_int_equal(change, both->locks.changes); /* it tells which boot has it */
			assert_int_equal(locks_set(&both->locks, &want, &change), LOCK_QUEUED); /* the same request again */
		}
	}
	assert_alike(both);
}

static void any_requests_end_as_bytes_have_it(void **state)
{
	(void)state;
	static struct both both;
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct rng rng;
		rng_init(&rng, seed);
		both = (struct both){0};
		locks_init(&both.locks, 0, on_granted, &both);
		for (uint64_t number = 1; number <= 300; number++)
			step(&both, &rng, number);
		while (both.granted_count > 0)
			tell(&both, 0);
		for (uint64_t client = 1; client <= CLIENTS; client++)
			locks_drop_client(&both.locks, client);
		while (both.granted_count > 0)
			tell(&both, 0);
		assert_true(both.locks.inodes.count == 0 && both.locks.clients.count == 0 && both.locks.waits.count == 0);
		assert_true(both.locks.held_count == 0 && both.locks.wait_count == 0);
		locks_fini(&both.locks);
	}
}

/* ---- single rules ---------------------------------------------------------------------------------------------- */

static struct lock_want want_of(uint64_t client, uint8_t kind, uint8_t type, uint64_t start, uint64_t end, uint64_t waiter)
{
	return (struct lock_want){
		.ino = {7}, .client = client, .owner = client * 10, .kind = kind, .type = type, .start = start, .end = end, .waiter = waiter,
	};
}

static int set(struct both *both, struct lock_want want)
{
	uint64_t change = 0;
	both->last_change = both->locks.changes;
	return locks_set(&both->locks, &want, &change);
}

static void begin(struct both *both)
{
	*both = (struct both){0};
	locks_init(&both->locks, 0, on_granted, both);
}

static void a_cycle_of_three_is_found_and_one_of_open_files_is_not(void **state)
{
	(void)state;
	static struct both both;
	for (uint8_t kind = LOCK_KIND_POSIX; kind <= LOCK_KIND_OFD; kind++) {
		begin(&both);
		for (uint64_t client = 1; client <= 3; client++)
			assert_int_equal(set(&both, want_of(client, kind, LOCK_TYPE_WRITE, client, client, 0)), LOCK_GRANTED);
		assert_int_equal(set(&both, want_of(1, kind, LOCK_TYPE_WRITE, 2, 2, 1)), LOCK_QUEUED);
		assert_int_equal(set(&both, want_of(2, kind, LOCK_TYPE_WRITE, 3, 3, 1)), LOCK_QUEUED);
		assert_int_equal(set(&both, want_of(3, kind, LOCK_TYPE_READ, 0, 1, 1)), kind == LOCK_KIND_POSIX ? -EDEADLK : LOCK_QUEUED);
		locks_fini(&both.locks);
	}
}

static void waiters_are_served_in_order(void **state)
{
	(void)state;
	static struct both both;
	begin(&both);
	assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_WRITE, 0, 9, 0)), LOCK_GRANTED);
	for (uint64_t client = 2; client <= 5; client++)
		assert_int_equal(set(&both, want_of(client, LOCK_KIND_POSIX, client == 4 ? LOCK_TYPE_WRITE : LOCK_TYPE_READ, 0, 9, client)),
				 LOCK_QUEUED);
	assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_NONE, 0, 9, 0)), LOCK_GRANTED);
	assert_int_equal(both.granted_count, 3); /* the readers; the writer waits on */
	assert_true(both.granted[0]->want.client == 2 && both.granted[1]->want.client == 3 && both.granted[2]->want.client == 5);
	for (uint64_t client = 2; client <= 5; client++)
		if (client != 4)
			locks_drop_client(&both.locks, client);
	assert_int_equal(both.granted_count, 4);
	assert_int_equal(both.granted[3]->want.client, 4);
	for (size_t i = 0; i < both.granted_count; i++)
		locks_told(&both.locks, both.granted[i]);
	locks_fini(&both.locks);
}

static void a_client_has_a_limit_and_can_give_up_at_it(void **state)
{
	(void)state;
	static struct both both;
	begin(&both);
	both.locks.per_client_max = 4;
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_WRITE, i * 10, i * 10 + 4, 0)), LOCK_GRANTED);
	assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_WRITE, 90, 90, 0)), -ENOLCK);
	assert_int_equal(set(&both, want_of(2, LOCK_KIND_POSIX, LOCK_TYPE_WRITE, 90, 90, 0)), LOCK_GRANTED);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_NONE, i * 10 + 1, i * 10 + 1, 0)), LOCK_GRANTED);
	assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_NONE, 3, 3, 0)), -ENOLCK);
	assert_int_equal(set(&both, want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_NONE, 0, UINT64_MAX, 0)), LOCK_GRANTED);
	assert_int_equal(both.locks.held_count, 1);
	locks_fini(&both.locks);
}

static void locks_of_before_a_restart_exclude_each_other(void **state)
{
	(void)state;
	static struct both both;
	begin(&both);
	struct lock_want first = want_of(1, LOCK_KIND_POSIX, LOCK_TYPE_WRITE, 0, 9, 0);
	struct lock_want other = want_of(2, LOCK_KIND_POSIX, LOCK_TYPE_READ, 5, 5, 0);
	assert_true(locks_restore(&both.locks, &first));
	assert_true(locks_restore(&both.locks, &first)); /* its answer was lost */
	assert_false(locks_restore(&both.locks, &other));
	other.kind = LOCK_KIND_FLOCK;
	assert_true(locks_restore(&both.locks, &other));
	locks_fini(&both.locks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_requests_end_as_bytes_have_it),
		cmocka_unit_test(a_cycle_of_three_is_found_and_one_of_open_files_is_not),
		cmocka_unit_test(waiters_are_served_in_order),
		cmocka_unit_test(a_client_has_a_limit_and_can_give_up_at_it),
		cmocka_unit_test(locks_of_before_a_restart_exclude_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
