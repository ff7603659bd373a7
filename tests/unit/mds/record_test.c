/* SPDX-License-Identifier: Apache-2.0
 * Records: what is encoded decodes to the same, what is damaged is refused, keys sort as their numbers do. */
#include "common/base/rng.h"
#include "mds/record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/stat.h>

static struct inode some_inode(void)
{
	return (struct inode){
		.ino = ino_make(3, 77), .mode = S_IFREG | 0640, .nlink = 2, .uid = 5, .gid = 6, .size_bytes = UINT64_C(1) << 40, .blocks = 9,
		.atime_ns = 1, .mtime_ns = -2, .ctime_ns = 3, .btime_ns = 4, .modified_ns = 5, .size_gen = 6, .layout_gen = 7, .change = 8,
		.xattr_count = 1, .xattr_bytes = 20, .layout = blob_of("layout", 6), .default_layout = blob_of("", 0),
	};
}

static void an_inode_comes_back_as_it_was(void **state)
{
	uint8_t bytes[512];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct inode inode = some_inode(), back;
	(void)state;
	inode_encode(&inode, &out);
	assert_int_equal(out.err, 0);
	assert_int_equal(inode_decode(inode.ino, blob_of(bytes, wire_len(&out)), &back), 0);
	assert_true(back.mode == inode.mode && back.size_bytes == inode.size_bytes && back.mtime_ns == inode.mtime_ns);
	assert_true(back.modified_ns == inode.modified_ns && back.change == inode.change && back.layout.len == 6);
}

static void a_cut_inode_is_refused_at_every_byte(void **state)
{
	uint8_t bytes[512];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct inode inode = some_inode(), back;
	(void)state;
	inode_encode(&inode, &out);
	for (size_t len = 0; len < wire_len(&out); len++)
		assert_int_equal(inode_decode(inode.ino, blob_of(bytes, len), &back), -ERR_corrupt);
}

static void buckets_keep_equal_hashes_apart(void **state)
{
	static struct bucket bucket, back;
	static uint8_t bytes[BUCKET_BYTES_MAX];
	char names[BUCKET_ENTRIES_MAX][8];
	uint8_t n = 0;
	(void)state;
	for (uint8_t i = 0; i < BUCKET_ENTRIES_MAX; i++) {
		names[i][0] = 'n';
		names[i][1] = (char)('!' + i % 64);
		names[i][2] = (char)('!' + i / 64);
		assert_true(bucket_add(&bucket, (struct str){names[i], 3}, ino_make(1, i + 1u), 8, &n));
		assert_int_equal(n, i);
	}
	assert_false(bucket_add(&bucket, STR("full"), ino_make(1, 999), 8, &n));
	bucket_remove(&bucket, 5);
	assert_true(bucket_add(&bucket, STR("again"), ino_make(1, 999), 8, &n));
	assert_int_equal(n, 5); /* the lowest free one: other cookies stay */
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	bucket_encode(&bucket, &out);
	assert_int_equal(bucket_decode(blob_of(bytes, wire_len(&out)), &back), 0);
	assert_int_equal(back.count, BUCKET_ENTRIES_MAX);
	assert_int_equal(bucket_find(&back, STR("again")), 5);
}

static void keys_sort_as_their_numbers_do(void **state)
{
	struct rng rng;
	(void)state;
	rng_init(&rng, 3);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t a = rng_u64(&rng) >> rng_below(&rng, 56), b = rng_u64(&rng) >> rng_below(&rng, 56);
		struct key ka = key_dentry(INO_ROOT, a), kb = key_dentry(INO_ROOT, b);
		int order = memcmp(ka.bytes, kb.bytes, ka.len);
		assert_true(a == b ? order == 0 : (a < b) == (order < 0));
		struct key_parts parts;
		assert_int_equal(key_parse(key_blob(&ka), &parts), 0);
		assert_true(parts.number == a && ino_eq(parts.ino, INO_ROOT) && parts.table == TABLE_dentry);
	}
}

/* A listing that goes on after one name must come to the names that begin with it. */
static void the_next_key_is_next(void **state)
{
	char longest[XATTR_NAME_BYTES_MAX];
	struct key name = key_xattr(INO_ROOT, STR("user.a")), longer = key_xattr(INO_ROOT, STR("user.a!"));
	struct key after = key_after(key_blob(&name));
	(void)state;
	assert_true(memcmp(after.bytes, name.bytes, name.len) == 0 && after.len == name.len + 1);
	assert_true(memcmp(after.bytes, longer.bytes, after.len) < 0);
	memset(longest, 'z', sizeof(longest));
	name = key_xattr(INO_ROOT, (struct str){longest, sizeof(longest)});
	after = key_after(key_blob(&name));
	assert_true(after.len <= KEY_BYTES_MAX && memcmp(after.bytes, name.bytes, after.len) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inode_comes_back_as_it_was),
		cmocka_unit_test(a_cut_inode_is_refused_at_every_byte),
		cmocka_unit_test(buckets_keep_equal_hashes_apart),
		cmocka_unit_test(keys_sort_as_their_numbers_do),
		cmocka_unit_test(the_next_key_is_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
