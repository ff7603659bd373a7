/* SPDX-License-Identifier: Apache-2.0
 * Mailboxes: order, limits, waking, and two threads. */
#include "common/core/mbox.h"
#include "common/base/bytes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void count_wake(void *ctx)
{
	++*(int *)ctx;
}

static void items_come_out_in_order(void **state)
{
	(void)state;
	struct mbox *mbox = mbox_new(5, sizeof(uint64_t), NULL, NULL);
	uint64_t item = 0, next = 0;
	for (uint64_t round = 0; round < 100; round++) {
		for (uint64_t i = 0; i < 3; i++)
			assert_true(mbox_push(mbox, &(uint64_t){round * 3 + i}));
		for (uint64_t i = 0; i < 3; i++) {
			assert_true(mbox_pop(mbox, &item));
			assert_int_equal(item, next++);
		}
	}
	item = 77;
	assert_false(mbox_pop(mbox, &item));
	assert_int_equal(item, 77);
	mbox_free(mbox);
}

static void a_full_one_refuses(void **state)
{
	(void)state;
	struct mbox *mbox = mbox_new(5, 1, NULL, NULL); /* rounded up to 8 */
	for (uint8_t i = 0; i < 8; i++)
		assert_true(mbox_push(mbox, &i));
	assert_false(mbox_push(mbox, &(uint8_t){9}));
	uint8_t item;
	assert_true(mbox_pop(mbox, &item) && item == 0);
	assert_true(mbox_push(mbox, &(uint8_t){8}));
	for (uint8_t i = 1; i <= 8; i++)
		assert_true(mbox_pop(mbox, &item) && item == i);
	mbox_free(mbox);
	mbox_free(NULL);
}

static void only_a_sleeper_is_woken_and_once(void **state)
{
	(void)state;
	int wakes = 0;
	struct mbox *mbox = mbox_new(16, 1, count_wake, &wakes);
	uint8_t item = 1;
	assert_true(mbox_push(mbox, &item));
	assert_int_equal(wakes, 0);
	assert_false(mbox_prepare_sleep(mbox)); /* something is there */
	assert_true(mbox_push(mbox, &item));
	assert_int_equal(wakes, 0);
	while (mbox_pop(mbox, &item))
		;
	assert_true(mbox_prepare_sleep(mbox));
	assert_true(mbox_push(mbox, &item));
	assert_true(mbox_push(mbox, &item));
	assert_int_equal(wakes, 1);
	mbox_free(mbox);
}

enum { MANY = 300000 };

struct sleeper {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool is_woken;
	struct mbox *mbox;
};

static void wake_sleeper(void *ctx)
{
	struct sleeper *sleeper = ctx;
	pthread_mutex_lock(&sleeper->mutex);
	sleeper->is_woken = true;
	pthread_cond_signal(&sleeper->cond);
	pthread_mutex_unlock(&sleeper->mutex);
}

static void *produce(void *arg)
{
	struct sleeper *sleeper = arg;
	for (uint64_t i = 0; i < MANY;)
		if (mbox_push(sleeper->mbox, &i))
			i++;
	return NULL;
}

static void no_item_is_lost_between_threads(void **state)
{
	(void)state;
	struct sleeper sleeper = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	sleeper.mbox = mbox_new(64, sizeof(uint64_t), wake_sleeper, &sleeper);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, produce, &sleeper), 0);
	for (uint64_t next = 0, item; next < MANY;) {
		while (mbox_pop(sleeper.mbox, &item))
			assert_int_equal(item, next++);
		if (next == MANY || !mbox_prepare_sleep(sleeper.mbox))
			continue;
		pthread_mutex_lock(&sleeper.mutex);
		while (!sleeper.is_woken)
			pthread_cond_wait(&sleeper.cond, &sleeper.mutex); /* a lost wake hangs here */
		sleeper.is_woken = false;
		pthread_mutex_unlock(&sleeper.mutex);
	}
	pthread_join(thread, NULL);
	mbox_free(sleeper.mbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_out_in_order),
		cmocka_unit_test(a_full_one_refuses),
		cmocka_unit_test(only_a_sleeper_is_woken_and_once),
		cmocka_unit_test(no_item_is_lost_between_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
