/* SPDX-License-Identifier: Apache-2.0
 * A whole mount against servers of a page each: what was written is read, restarts lose nothing, the end is clean. */
#include "client/client.h"
#include "tests/unit/client/fake_servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct test {
	struct fake_cluster cluster;
	struct world *world;
	struct sim_node *mount;
	struct client *client;
	struct client_file *left_open; /* by the body: released after the end */
	struct client_file *asked_for; /* a task asks for its size */
	void (*body)(struct test *test);
	bool done, servers_die;
};

static void mount_main(struct sim_node *node, void *ctx)
{
	struct test *test = ctx;
	struct client_conf conf = {.mgs = "tcp://s0:1", .fsname = "stria", .host = "h", .mountpoint = "/m", .buffers = 16};
	test->client = client_new(sim_node_env(node), &conf);
	assert_int_equal(client_start(test->client), 0);
	test->body(test);
	uint64_t now_ns = env_now_ns(sim_node_env(node));
	if (test->servers_die) {
		assert_int_equal(client_stop(test->client, now_ns + 20 * NS_PER_S), -ETIMEDOUT);
		assert_in_range(env_now_ns(sim_node_env(node)) - now_ns, 20 * NS_PER_S, 22 * NS_PER_S);
	} else {
		assert_int_equal(client_stop(test->client, now_ns + 20 * NS_PER_S), 0);
		assert_int_equal(client_unstable_bytes(test->client), 0);
	}
	if (test->left_open != NULL)
		client_release(test->client, test->left_open);
	test->done = true;
}

static bool is_done(void *ctx)
{
	return ((struct test *)ctx)->done;
}

static void run(void (*body)(struct test *test))
{
	static struct test test;
	test = (struct test){.world = world_new(1), .body = body};
	fake_cluster_start(&test.cluster, test.world);
	test.mount = sim_node_new(test.world, "mount", SIM_DISK | SIM_NO_HEAP, mount_main, &test);
	sim_node_boot(test.mount);
	assert_true(world_run(test.world, 300 * NS_PER_S, is_done, &test));
	assert_int_equal(test.cluster.leaves, !test.servers_die);
	assert_int_equal(test.cluster.forgets, !test.servers_die);
	for (size_t i = 0; i < FILES_MAX && !test.servers_die; i++)
		assert_int_equal(test.cluster.files[i].opens, test.cluster.files[i].closes);
	client_free(test.client);
	world_free(test.world);
	fake_cluster_free(&test.cluster);
}

static struct client_file *create(struct test *test, const char *name, uint32_t flags)
{
	struct client_op op = {0};
	struct client_entry entry;
	struct client_file *file = NULL;
	assert_int_equal(client_create(test->client, &op, INO_ROOT, str_of(name), 0644, flags, &entry, &file), 0);
	return file;
}

static struct client_buf *get_buf(struct test *test)
{
	struct client_op op = {0};
	struct client_buf *buf = NULL;
	assert_int_equal(client_buf_get(test->client, &op, &buf), 0);
	return buf;
}

static void write_pattern(struct test *test, struct client_file *file, uint64_t offset, size_t len)
{
	struct client_op op = {0};
	struct client_buf *buf = get_buf(test);
	for (size_t i = 0; i < len; i++)
		client_buf_ptr(buf)[i] = (uint8_t)((offset + i) * 7 + (offset + i) / 251);
	assert_int_equal(client_write(test->client, &op, file, offset, buf, client_buf_ptr(buf), len), len);
	client_buf_put(buf);
}

static void expect_pattern(struct test *test, struct client_file *file, uint64_t offset, size_t len, size_t expected)
{
	struct client_op op = {0};
	struct client_buf *buf = get_buf(test);
	assert_int_equal(client_read(test->client, &op, file, offset, buf, len), expected);
	for (size_t i = 0; i < expected; i++)
		if (client_buf_ptr(buf)[i] != (uint8_t)((offset + i) * 7 + (offset + i) / 251))
			fail_msg("byte %zu differs", (size_t)offset + i);
	client_buf_put(buf);
}

static uint64_t size_of(struct test *test, struct client_file *file)
{
	struct client_op op = {0};
	struct client_entry entry;
	assert_int_equal(client_getattr(test->client, &op, client_file_ino(file), &entry), 0);
	return entry.attr.size_bytes;
}

static void nap(struct test *test, uint64_t duration_ns)
{
	task_sleep(sim_node_loop(test->mount), duration_ns);
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

static void writes_and_reads(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, MIB);
	write_pattern(test, file, MIB, MIB);
	write_pattern(test, file, 2 * MIB, 100);
	assert_int_equal(size_of(test, file), 2 * MIB + 100);
	expect_pattern(test, file, 0, MIB, MIB);
	expect_pattern(test, file, 12345, 70000, 70000);
	expect_pattern(test, file, MIB + 999, MIB, MIB - 899);
	expect_pattern(test, file, 2 * MIB, MIB, 100);
	expect_pattern(test, file, 3 * MIB, 10, 0);
	client_release(test->client, file);
	nap(test, 3 * NS_PER_S);
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 2 * MIB + 100);
	assert_int_equal(test->cluster.files[0].closes, 1);
	assert_int_equal(client_unstable_bytes(test->client), 0); /* the committer has seen to it */
}
static void what_was_written_is_read_and_becomes_stable(void **state)
{
	(void)state;
	run(writes_and_reads);
}

/* A kernel that was not told that the file was cut writes whole pages. */
static void writes_pages_out(struct test *test)
{
	struct client_op op = {.from_pages = true};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 5000);
	struct client_buf *buf = get_buf(test);
	for (size_t i = 0; i < 4096; i++)
		client_buf_ptr(buf)[i] = (uint8_t)((4096 + i) * 7 + (4096 + i) / 251);
	assert_int_equal(client_write(test->client, &op, file, 4096, buf, client_buf_ptr(buf), 4096), 4096);
	assert_int_equal(client_write(test->client, &op, file, 8192, buf, client_buf_ptr(buf), 4096), 4096);
	client_buf_put(buf);
	assert_int_equal(size_of(test, file), 5000);
	expect_pattern(test, file, 0, 20000, 5000);
	client_release(test->client, file);
}
static void pages_make_no_file_longer(void **state)
{
	(void)state;
	run(writes_pages_out);
}

static void loses_an_ost(struct test *test)
{
	struct client_op op = {0};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	for (uint64_t i = 0; i < 4; i++)
		write_pattern(test, file, i * MIB, MIB);
	write_pattern(test, file, 4 * MIB, 10);
	nap(test, 100 * NS_PER_MS); /* full chunks are sent at once, and not stable yet */
	sim_node_crash(test->cluster.osts[0].node);
	sim_node_boot(test->cluster.osts[0].node);
	expect_pattern(test, file, 0, MIB, MIB); /* waits for the replay */
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	assert_int_equal(client_unstable_bytes(test->client), 0);
	assert_true(test->cluster.osts[0].replays > 0);
	assert_int_equal(test->cluster.osts[0].replays_done, 2); /* one for the first boot */
	assert_int_equal(client_counters(test->client)->verifiers_changed, 1);
	sim_node_crash(test->cluster.osts[0].node); /* what is stable is there without us */
	sim_node_boot(test->cluster.osts[0].node);
	for (uint64_t i = 0; i < 4; i++)
		expect_pattern(test, file, i * MIB, MIB, MIB);
	client_release(test->client, file);
}
static void writes_are_replayed_to_a_restarted_ost(void **state)
{
	(void)state;
	run(loses_an_ost);
}

static void hears_of_an_eviction(struct test *test)
{
	struct client_op op = {0};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	test->cluster.identity.epoch = 2; /* as the answer says that grants the lease; its map does not come */
	write_pattern(test, file, 0, MIB);
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	for (size_t i = 0; i < OSTS; i++)
		assert_int_equal(test->cluster.osts[i].epoch, 2);
	assert_int_equal(client_map_epoch(test->client), 1);
	client_release(test->client, file);
}
static void requests_carry_an_epoch_before_its_map_is_here(void **state)
{
	(void)state;
	run(hears_of_an_eviction);
}

static void getattr_task(void *arg)
{
	struct test *test = arg;
	(void)size_of(test, test->asked_for); /* whatever it is */
	test->asked_for = NULL;
}

/* A file of before; its size is asked from the objects, which take their time, and meanwhile it is read. */
static void is_told_of_a_size_late(struct test *test)
{
	struct fake_file *there = &test->cluster.files[0];
	*there = (struct fake_file){.name = "a", .attr = {.ino = {2}, .mode = S_IFREG | 0644, .nlink = 1, .size_gen = 1, .size_bytes = 1000}};
	for (size_t i = 0; i < 1000; i++)
		test->cluster.osts[0].now[0].bytes[i] = (uint8_t)(i * 7 + i / 251);
	test->cluster.osts[0].now[0].size_bytes = 1000;
	struct client_file *file = create(test, "a", OPEN_READ);
	for (size_t i = 0; i < OSTS; i++)
		test->cluster.osts[i].empty_late_ns = 500 * NS_PER_MS;
	test->cluster.others_wrote = true;
	test->asked_for = file;
	task_spawn(sim_node_loop(test->mount), "getattr", getattr_task, test);
	nap(test, 100 * NS_PER_MS);
	expect_pattern(test, file, 0, 2000, 1000); /* by a lease that tells the size */
	assert_non_null(test->asked_for);
	nap(test, NS_PER_S);
	assert_null(test->asked_for);
	expect_pattern(test, file, 0, 2000, 1000);
	client_release(test->client, file);
}
static void a_size_from_before_a_lease_does_not_count(void **state)
{
	(void)state;
	run(is_told_of_a_size_late);
}

static void loses_the_mdt(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 1000);
	sim_node_crash(test->cluster.mdt);
	nap(test, 7 * NS_PER_S);
	sim_node_boot(test->cluster.mdt);
	assert_int_equal(size_of(test, file), 1000);
	nap(test, NS_PER_S);
	assert_true(test->cluster.files[0].reclaims > 0);
	client_release(test->client, file);
}
static void opens_are_told_to_a_restarted_mdt(void **state)
{
	(void)state;
	run(loses_the_mdt);
}

static void fails_a_commit(struct test *test)
{
	struct client_op op = {0};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE), *other = create(test, "a", OPEN_READ);
	write_pattern(test, file, 0, 1000);
	test->cluster.osts[0].commit_rc = -ENOSPC;
	assert_int_equal(client_fsync(test->client, &op, file), -ENOSPC);
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	assert_int_equal(client_flush(test->client, &op, other, 0), -ENOSPC);
	assert_int_equal(client_flush(test->client, &op, other, 0), 0);
	assert_int_equal(client_counters(test->client)->lost_bytes, 1000);
	struct client_file *later = create(test, "a", OPEN_READ); /* somebody was told: to it, nothing has happened */
	assert_int_equal(client_fsync(test->client, &op, later), 0);
	client_release(test->client, file);
	client_release(test->client, other);
	client_release(test->client, later);
}
static void fails_a_commit_after_close(struct test *test)
{
	struct client_op op = {0};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 1000);
	assert_int_equal(client_flush(test->client, &op, file, 0), 0);
	client_release(test->client, file);
	test->cluster.osts[0].commit_rc = -ENOSPC;
	nap(test, 4 * NS_PER_S); /* in the background */
	assert_int_equal(client_counters(test->client)->lost_bytes, 1000);
	struct client_file *first = create(test, "a", OPEN_READ), *second = create(test, "a", OPEN_READ);
	assert_int_equal(client_fsync(test->client, &op, first), -ENOSPC);
	assert_int_equal(client_fsync(test->client, &op, first), 0);
	struct client_file *third = create(test, "a", OPEN_READ);
	assert_int_equal(client_fsync(test->client, &op, third), 0);
	assert_int_equal(client_flush(test->client, &op, second, 0), -ENOSPC); /* it was open before anybody was told */
	client_release(test->client, first);
	client_release(test->client, second);
	client_release(test->client, third);
}
static void an_error_after_the_last_close_is_told_to_who_opens_next(void **state)
{
	(void)state;
	run(fails_a_commit_after_close);
}

static void each_open_file_is_told_of_an_error_once(void **state)
{
	(void)state;
	run(fails_a_commit);
}

static void truncates(struct test *test)
{
	struct client_op op = {0};
	struct client_entry entry;
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 5000);
	struct client_setattr set = {.valid = SET_SIZE, .size_bytes = 100};
	assert_int_equal(client_setattr(test->client, &op, client_file_ino(file), &set, &entry), 0);
	assert_int_equal(entry.attr.size_bytes, 100);
	assert_int_equal(client_unstable_bytes(test->client), 0);
	nap(test, NS_PER_S);
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 100); /* nobody brought the old size back */
	set = (struct client_setattr){.valid = SET_MTIME, .mtime_ns = 42};
	write_pattern(test, file, 0, 200);
	assert_int_equal(client_setattr(test->client, &op, client_file_ino(file), &set, &entry), 0);
	client_release(test->client, file);
	nap(test, NS_PER_S);
	assert_int_equal(test->cluster.files[0].attr.mtime_ns, 42); /* nor the mtime of a write before utimens */
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 200);
}
static void older_sizes_and_times_do_not_come_back(void **state)
{
	(void)state;
	run(truncates);
}

static void is_truncated_elsewhere(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 5000);
	test->cluster.set_size_rc = -ERR_stale_layout;
	struct client_op op = {0};
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	assert_int_equal(client_counters(test->client)->stale_sizes, 1);
	assert_int_equal(client_counters(test->client)->glimpses, 1);
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 5000); /* as the objects say */
	client_release(test->client, file);
}
static void a_refused_size_is_learned_from_the_objects(void **state)
{
	(void)state;
	run(is_truncated_elsewhere);
}

struct saver {
	struct test *test;
	struct client_file *file;
	bool done;
};

static void saver_task(void *arg)
{
	struct saver *saver = arg;
	struct client_op op = {0};
	assert_int_equal(client_fsync(saver->test->client, &op, saver->file), 0);
	saver->done = true;
}

/* The refusal comes when the mount knows of the truncation, and has written since: that is the size, whoever asks. */
static void is_truncated_and_written_again(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 5000);
	test->cluster.set_size_rc = -ERR_stale_layout;
	test->cluster.set_size_late_ns = NS_PER_S;
	struct saver saver = {.test = test, .file = file};
	task_spawn(sim_node_loop(test->mount), "saver", saver_task, &saver);
	nap(test, NS_PER_S / 2);
	assert_int_equal(size_of(test, file), 0);
	write_pattern(test, file, 0, 200);
	nap(test, 4 * NS_PER_S);
	assert_true(saver.done);
	assert_int_equal(client_counters(test->client)->stale_sizes, 1);
	assert_int_equal(client_counters(test->client)->glimpses, 0); /* nothing was in doubt */
	struct client_op op = {0};
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 200);
	client_release(test->client, file);
}
static void a_refused_size_leaves_a_newer_one_alone(void **state)
{
	(void)state;
	run(is_truncated_and_written_again);
}

static void appends(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE | OPEN_APPEND);
	struct client_op op = {.appends = true}, plain = {0};
	struct client_buf *buf = get_buf(test);
	memset(client_buf_ptr(buf), 'x', 100000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(client_write(test->client, &op, file, 0, buf, client_buf_ptr(buf), 100000), 100000);
	assert_int_equal(size_of(test, file), 500000);
	/* fcntl has taken O_APPEND away from the open file */
	assert_int_equal(client_write(test->client, &plain, file, 0, buf, client_buf_ptr(buf), 100000), 100000);
	client_buf_put(buf);
	assert_int_equal(size_of(test, file), 500000);
	test->left_open = file;
}
static void appends_go_to_the_end_and_stop_closes_what_is_open(void **state)
{
	(void)state;
	run(appends);
}

static void closes_after_a_truncation(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 5000);
	test->cluster.files[0].attr.size_gen++; /* another client truncated it */
	client_release(test->client, file);
	nap(test, NS_PER_S);
	assert_int_equal(test->cluster.files[0].closes, 1);
	assert_int_equal(test->cluster.files[0].attr.size_bytes, 5000);
	assert_int_equal(client_counters(test->client)->stale_sizes, 1);
}
static void a_size_that_a_close_was_refused_is_learned_and_published(void **state)
{
	(void)state;
	run(closes_after_a_truncation);
}

static void is_evicted(struct test *test)
{
	struct client_op op = {0};
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	struct client_buf *buf = get_buf(test);
	write_pattern(test, file, 0, 100000);
	test->cluster.evicting = true;
	nap(test, 12 * NS_PER_S); /* a renewal or the committer is told */
	assert_int_equal(client_counters(test->client)->evicted, 1);
	assert_int_equal(test->cluster.joins, 2);
	assert_int_equal(client_write(test->client, &op, file, 0, buf, client_buf_ptr(buf), 10), -EIO);
	assert_int_equal(client_fsync(test->client, &op, file), -EIO);
	assert_int_equal(client_unstable_bytes(test->client), 0);
	client_buf_put(buf);
	client_release(test->client, file);
	test->cluster.files[0].closes++; /* the servers did that when they evicted */
	file = create(test, "b", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 100);
	expect_pattern(test, file, 0, 100, 100);
	assert_int_equal(client_fsync(test->client, &op, file), 0);
	client_release(test->client, file);
}
static void an_evicted_mount_loses_its_files_and_goes_on(void **state)
{
	(void)state;
	run(is_evicted);
}

static void all_servers_die(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, MIB);
	sim_node_crash(test->cluster.mdt);
	for (size_t i = 0; i < OSTS; i++)
		sim_node_crash(test->cluster.osts[i].node);
	test->servers_die = true;
	test->left_open = file;
}
static void stop_ends_at_its_deadline_when_nobody_answers(void **state)
{
	(void)state;
	run(all_servers_die);
}

struct reader {
	struct test *test;
	struct client_file *file;
	struct client_op op;
	int64_t rc;
	bool done;
};

static void reader_task(void *arg)
{
	struct reader *reader = arg;
	struct client_buf *buf = get_buf(reader->test);
	reader->rc = client_read(reader->test->client, &reader->op, reader->file, 0, buf, MIB);
	client_buf_put(buf);
	reader->done = true;
}

static void reads_from_the_dead(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, MIB);
	nap(test, 4 * NS_PER_S); /* all stable */
	sim_node_crash(test->cluster.osts[1].node);
	struct reader reader = {.test = test, .file = file};
	task_spawn(sim_node_loop(test->mount), "reader", reader_task, &reader);
	nap(test, 60 * NS_PER_S);
	assert_false(reader.done); /* a hard mount waits */
	client_op_interrupt(&reader.op, false);
	nap(test, 6 * NS_PER_S);
	assert_true(reader.done);
	assert_int_equal(reader.rc, -ERR_interrupted);
	sim_node_boot(test->cluster.osts[1].node);
	expect_pattern(test, file, 0, MIB, MIB);
	client_release(test->client, file);
}
static void a_read_waits_for_a_dead_ost_until_it_is_interrupted(void **state)
{
	(void)state;
	run(reads_from_the_dead);
}

static void writer_task(void *arg)
{
	struct reader *writer = arg;
	struct client_buf *buf = get_buf(writer->test);
	memset(client_buf_ptr(buf), 'w', 1000);
	writer->rc = client_write(writer->test->client, &writer->op, writer->file, 0, buf, client_buf_ptr(buf), 1000);
	client_buf_put(buf);
	writer->done = true;
}

static void writes_to_one_that_stands_still(struct test *test)
{
	struct client_file *file = create(test, "a", OPEN_READ | OPEN_WRITE);
	write_pattern(test, file, 0, 1000);
	nap(test, 4 * NS_PER_S);
	sim_node_freeze(test->cluster.osts[0].node, UINT64_MAX);
	struct reader writer = {.test = test, .file = file, .op = {.past_cache = true}}, reader = writer;
	task_spawn(sim_node_loop(test->mount), "writer", writer_task, &writer);
	nap(test, NS_PER_S);
	task_spawn(sim_node_loop(test->mount), "reader", reader_task, &reader);
	nap(test, NS_PER_S);
	client_op_interrupt(&writer.op, true);
	client_op_expire(&reader.op);
	assert_true(client_op_is_called_off(&writer.op));
	nap(test, 12 * NS_PER_S);
	assert_true(reader.done);
	assert_int_equal(reader.rc, -ERR_gave_up);
	assert_int_equal(err_to_errno((int)reader.rc), EIO);
	assert_false(writer.done); /* a copy of it is on its way: its file is being written, as far as truncations and recalls are concerned */
	sim_node_freeze(test->cluster.osts[0].node, 0);
	nap(test, 10 * NS_PER_S);
	assert_true(writer.done);
	assert_int_equal(writer.rc, 1000);
	client_release(test->client, file);
}
static void a_change_that_was_sent_goes_on_without_its_caller_and_a_read_does_not(void **state)
{
	(void)state;
	run(writes_to_one_that_stands_still);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_and_becomes_stable),
		cmocka_unit_test(pages_make_no_file_longer),
		cmocka_unit_test(writes_are_replayed_to_a_restarted_ost),
		cmocka_unit_test(requests_carry_an_epoch_before_its_map_is_here),
		cmocka_unit_test(a_size_from_before_a_lease_does_not_count),
		cmocka_unit_test(opens_are_told_to_a_restarted_mdt),
		cmocka_unit_test(each_open_file_is_told_of_an_error_once),
		cmocka_unit_test(an_error_after_the_last_close_is_told_to_who_opens_next),
		cmocka_unit_test(older_sizes_and_times_do_not_come_back),
		cmocka_unit_test(a_refused_size_is_learned_from_the_objects),
		cmocka_unit_test(a_refused_size_leaves_a_newer_one_alone),
		cmocka_unit_test(appends_go_to_the_end_and_stop_closes_what_is_open),
		cmocka_unit_test(a_size_that_a_close_was_refused_is_learned_and_published),
		cmocka_unit_test(an_evicted_mount_loses_its_files_and_goes_on),
		cmocka_unit_test(stop_ends_at_its_deadline_when_nobody_answers),
		cmocka_unit_test(a_read_waits_for_a_dead_ost_until_it_is_interrupted),
		cmocka_unit_test(a_change_that_was_sent_goes_on_without_its_caller_and_a_read_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
