/* SPDX-License-Identifier: Apache-2.0
 * Every message of the table: layout, round trip, every cut, every flipped byte, worst-case size; the frame; rows; FIDs; golden bytes. */
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/core/env.h"
#include "proto/frame.h"
#include "proto/rows.h"
#include "tests/unit/proto/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BUF_BYTES = 1 << 20, FIELDS_BYTES = 4096, POOL_BYTES = WIRE_BLOB_BYTES_MAX };
static uint8_t *buf, *again, *pool;
static _Alignas(16) uint8_t fields[FIELDS_BYTES], decoded[FIELDS_BYTES];

static int setup(void **state)
{
	(void)state;
	buf = mem_alloc(BUF_BYTES);
	again = mem_alloc(BUF_BYTES);
	pool = mem_alloc(POOL_BYTES);
	for (size_t i = 0; i < POOL_BYTES; i++)
		pool[i] = (uint8_t)(i % 255 + 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_free(buf);
	mem_free(again);
	mem_free(pool);
	return 0;
}

/* Calls `check` for each request and reply of the table. */
static void each_message(void (*check)(const struct proto_op *op, const struct proto_msg *msg))
{
	const struct proto_op *ops = NULL;
	size_t count = proto_ops(&ops);
	assert_true(count > 40);
	for (size_t i = 0; i < count; i++) {
		check(&ops[i], &ops[i].req);
		check(&ops[i], &ops[i].rep);
	}
}

static size_t encode(const struct proto_msg *msg, const void *from, uint8_t *to)
{
	struct wire_out out = wire_out(to, BUF_BYTES);
	proto_encode(msg, PROTO_VERSION_MAX, from, &out);
	assert_int_equal(out.err, 0);
	return wire_len(&out);
}

static void check_layout(const struct proto_op *op, const struct proto_msg *msg)
{
	size_t align = 0;
	assert_int_equal(message_struct_bytes(msg, &align), msg->struct_bytes);
	assert_true(msg->struct_bytes <= FIELDS_BYTES);
	assert_true(align <= 16);
	assert_ptr_equal(proto_op(op->number), op);
}

static void structs_lie_as_their_descriptors_say(void **state)
{
	(void)state;
	each_message(check_layout);
}

static void check_round_trip(const struct proto_op *op, const struct proto_msg *msg)
{
	(void)op;
	struct rng rng;
	rng_init(&rng, 7);
	static const size_t lengths[] = {0, 1, 12, 300, 5000, POOL_BYTES};
	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		message_fill(msg, fields, &rng, pool, lengths[i]);
		size_t len = encode(msg, fields, buf);
		assert_true(len <= proto_bytes_max(msg));
		assert_int_equal(proto_decode(msg, PROTO_VERSION_MAX, blob_of(buf, len), decoded), 0);
		assert_int_equal(encode(msg, decoded, again), len);
		assert_memory_equal(buf, again, len);
	}
}

static void what_is_encoded_is_decoded(void **state)
{
	(void)state;
	each_message(check_round_trip);
}

static void check_cuts(const struct proto_op *op, const struct proto_msg *msg)
{
	(void)op;
	struct rng rng;
	rng_init(&rng, 8);
	message_fill(msg, fields, &rng, pool, 20);
	size_t len = encode(msg, fields, buf);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut + 1); /* so that ASan sees a read behind the end */
		memcpy(exact, buf, cut);
		memset(decoded, 0xee, sizeof(decoded));
		int rc = proto_decode(msg, PROTO_VERSION_MAX, blob_of(exact, cut), decoded);
		assert_int_equal(rc, -ERR_malformed);
		for (size_t i = 0; i < msg->struct_bytes; i++)
			assert_int_equal(decoded[i], 0);
		free(exact);
	}
	buf[len] = 0; /* and one byte too many */
	assert_int_equal(proto_decode(msg, PROTO_VERSION_MAX, blob_of(buf, len + 1), decoded), -ERR_malformed);
}

static void a_message_cut_at_any_byte_is_refused(void **state)
{
	(void)state;
	each_message(check_cuts);
}

static void check_flips(const struct proto_op *op, const struct proto_msg *msg)
{
	(void)op;
	struct rng rng;
	rng_init(&rng, 9);
	message_fill(msg, fields, &rng, pool, 20);
	size_t len = encode(msg, fields, buf);
	for (size_t at = 0; at < len; at++) {
		for (int flip = 1; flip < 256; flip = flip * 2 + 1) {
			uint8_t *exact = malloc(len);
			memcpy(exact, buf, len);
			exact[at] = (uint8_t)(exact[at] ^ flip);
			int rc = proto_decode(msg, PROTO_VERSION_MAX, blob_of(exact, len), decoded);
			assert_true(rc == 0 || rc == -ERR_malformed);
			if (rc == 0) /* another message: it must still be one */
				assert_true(encode(msg, decoded, again) == len);
			free(exact);
		}
	}
}

static void a_changed_byte_never_breaks_the_decoder(void **state)
{
	(void)state;
	each_message(check_flips);
}

static void check_size(const struct proto_op *op, const struct proto_msg *msg)
{
	if (proto_bytes_max(msg) > NET_MSG_BYTES_MAX - FRAME_BYTES)
		fail_msg("%s: %zu bytes do not fit a message", op->name, proto_bytes_max(msg));
	struct wire_out out = wire_out(buf, BUF_BYTES);
	struct rng rng;
	rng_init(&rng, 10);
	message_fill(msg, fields, &rng, pool, POOL_BYTES);
	proto_encode(msg, PROTO_VERSION_MAX, fields, &out);
	size_t len = wire_len(&out);
	assert_int_equal(len, proto_bytes_max(msg)); /* so the limit is one that is reached */
	for (size_t room = 0; room < len; room += 1 + len / 50) {
		out = wire_out(again, room);
		proto_encode(msg, PROTO_VERSION_MAX, fields, &out);
		assert_int_equal(out.err, -ERR_too_long);
	}
}

static void the_largest_message_fits_a_frame_and_never_more(void **state)
{
	(void)state;
	each_message(check_size);
}

static void too_long_a_text_is_not_encoded(void **state)
{
	(void)state;
	struct lookup_req req = {.name = {(const char *)pool, WIRE_STR_BYTES_MAX + 1}};
	struct wire_out out = wire_out(buf, BUF_BYTES);
	proto_encode(&proto_op(OP_lookup)->req, 1, &req, &out);
	assert_int_equal(out.err, -ERR_too_long);
	struct lookup_req groups = {.cred = {.group_count = GROUPS_MAX + 1, .groups_le32 = pool}};
	out = wire_out(buf, BUF_BYTES);
	proto_encode(&proto_op(OP_lookup)->req, 1, &groups, &out);
	assert_int_equal(out.err, -ERR_too_long);
}

static void a_text_with_nul_is_refused(void **state)
{
	(void)state;
	struct readlink_rep rep = {.target = {"a\0b", 3}};
	size_t len = encode(&proto_op(OP_readlink)->rep, &rep, buf);
	assert_int_equal(proto_decode(&proto_op(OP_readlink)->rep, 1, blob_of(buf, len), decoded), -ERR_malformed);
}

static void fields_of_a_newer_version_are_zero(void **state)
{
	(void)state;
	static const struct proto_field rows[] = {{.name = "a", .kind = KIND_u32, .since = 1}, {.name = "b", .kind = KIND_u64, .since = 2}};
	struct two {
		uint32_t a;
		uint64_t b;
	} in = {7, 9}, out_fields = {1, 1};
	const struct proto_msg msg = {rows, 2, sizeof(struct two)};
	struct wire_out out = wire_out(buf, BUF_BYTES);
	proto_encode(&msg, 1, &in, &out);
	assert_int_equal(wire_len(&out), 4);
	assert_int_equal(proto_decode(&msg, 1, blob_of(buf, 4), &out_fields), 0);
	assert_int_equal(out_fields.a, 7);
	assert_int_equal(out_fields.b, 0);
	out = wire_out(buf, BUF_BYTES);
	proto_encode(&msg, 2, &in, &out);
	assert_int_equal(wire_len(&out), 12);
	assert_int_equal(proto_decode(&msg, 2, blob_of(buf, 12), &out_fields), 0);
	assert_int_equal(out_fields.b, 9);
}

static const struct frame sample = {.version = 1, .op = OP_create, .flags = FRAME_RESENT, .status = 0, .epoch = 0x01020304,
				    .request = UINT64_C(0x1112131415161718), .client = 42, .opno = 77, .lowest = 70, .bulk_len = 4096};

static void a_frame_comes_back_as_it_was(void **state)
{
	(void)state;
	frame_encode(&sample, blob_of(pool, 100), buf);
	memcpy(buf + FRAME_BYTES, pool, 100);
	struct frame frame;
	struct blob body;
	assert_int_equal(frame_decode(blob_of(buf, FRAME_BYTES + 100), &frame, &body), 0);
	assert_int_equal(frame.op, OP_create);
	assert_int_equal(frame.flags, FRAME_RESENT);
	assert_int_equal(frame.epoch, sample.epoch);
	assert_int_equal(frame.request, sample.request);
	assert_int_equal(frame.client, 42);
	assert_int_equal(frame.opno, 77);
	assert_int_equal(frame.lowest, 70);
	assert_int_equal(frame.bulk_len, 4096);
	assert_int_equal(body.len, 100);
	assert_ptr_equal(body.ptr, buf + FRAME_BYTES);
}

static void any_damage_to_a_frame_is_noticed(void **state)
{
	(void)state;
	frame_encode(&sample, blob_of(pool, 100), buf);
	memcpy(buf + FRAME_BYTES, pool, 100);
	struct frame frame;
	struct blob body;
	for (size_t bit = 0; bit < (FRAME_BYTES + 100) * 8; bit++) {
		buf[bit / 8] = (uint8_t)(buf[bit / 8] ^ 1 << bit % 8);
		assert_true(frame_decode(blob_of(buf, FRAME_BYTES + 100), &frame, &body) < 0);
		buf[bit / 8] = (uint8_t)(buf[bit / 8] ^ 1 << bit % 8);
	}
	for (size_t len = 0; len < FRAME_BYTES + 100; len++)
		assert_true(frame_decode(blob_of(buf, len), &frame, &body) < 0);
	struct frame future = sample;
	future.version = PROTO_VERSION_MAX + 1;
	frame_encode(&future, blob_of(pool, 0), buf);
	assert_int_equal(frame_decode(blob_of(buf, FRAME_BYTES), &frame, &body), -ERR_version);
	future = sample;
	future.flags = 0x8000;
	frame_encode(&future, blob_of(pool, 0), buf);
	assert_int_equal(frame_decode(blob_of(buf, FRAME_BYTES), &frame, &body), -ERR_malformed);
}

static void directory_entries_come_back_and_bad_names_do_not(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 3);
	struct dirent_row row = {.cookie = 99, .ino = {5}, .type = 8, .has_attr = 1, .name = {(const char *)pool, NAME_BYTES_MAX}};
	message_fill_attr(&row.attr, &rng);
	struct wire_out out = wire_out(buf, BUF_BYTES);
	dirent_row_put(&out, &row);
	assert_int_equal(wire_len(&out), DIRENT_ROW_BYTES_MAX);
	struct wire_in in = wire_in(blob_of(buf, wire_len(&out)));
	struct dirent_row got = dirent_row_get(&in);
	assert_int_equal(wire_done(&in), 0);
	assert_int_equal(got.cookie, 99);
	assert_true(str_eq(got.name, row.name));
	assert_memory_equal(&got.attr, &row.attr, sizeof(row.attr));
	for (size_t len = 0; len < DIRENT_ROW_BYTES_MAX; len++) {
		in = wire_in(blob_of(buf, len));
		(void)dirent_row_get(&in);
		assert_int_equal(in.err, -ERR_malformed);
	}
	row.name.len = 0;
	out = wire_out(buf, BUF_BYTES);
	dirent_row_put(&out, &row);
	in = wire_in(blob_of(buf, wire_len(&out)));
	(void)dirent_row_get(&in);
	assert_int_equal(in.err, -ERR_malformed);
}

static void a_clients_row_comes_back_and_a_cut_one_does_not(void **state)
{
	(void)state;
	struct client_row row = {.client = 7, .idle_ms = 8, .pid = 9, .host = STR("h"), .mountpoint = STR("/m"), .opens = 10, .writer_marks = 11,
				 .attr_leases = 12, .dir_leases = 13, .data_leases = {0, 14, 15, 16, 17}, .has_told = 1, .dirty_bytes = 18,
				 .dirty_files = 19, .locks = 20};
	struct wire_out out = wire_out(buf, BUF_BYTES);
	client_row_put(&out, &row);
	size_t full = wire_len(&out);
	assert_int_equal(full, CLIENT_ROW_FIXED_BYTES + 3);
	struct wire_in in = wire_in(blob_of(buf, full));
	struct client_row got = client_row_get(&in);
	assert_int_equal(wire_done(&in), 0);
	assert_int_equal(got.opens, 10);
	assert_memory_equal(got.data_leases, row.data_leases, sizeof(row.data_leases));
	assert_int_equal(got.dirty_bytes, 18);
	assert_int_equal(got.dirty_files, 19);
	assert_int_equal(got.locks, 20);
	for (size_t len = 0; len < full; len++) {
		in = wire_in(blob_of(buf, len));
		(void)client_row_get(&in);
		assert_int_equal(in.err, -ERR_malformed);
	}
}

static void a_fid_is_read_as_it_is_printed(void **state)
{
	(void)state;
	char text[INO_TEXT_BYTES];
	struct ino inos[] = {INO_ROOT, ino_make(0xffff, INO_SEQ_MAX), ino_make(3, 0x11f)};
	for (size_t i = 0; i < ARRAY_COUNT(inos); i++) {
		struct ino back = INO_NONE;
		ino_to_text(inos[i], text);
		assert_int_equal(ino_from_text(str_of(text), &back), 0);
		assert_true(ino_eq(back, inos[i]));
	}
	struct ino ino = INO_NONE;
	assert_int_equal(ino_from_text(STR("0x3:0x11f:0x0"), &ino), 0);
	assert_true(ino_eq(ino, inos[2]));
	static const char *const bad[] = {"", "[", "[]", "[0x1]", "[0x1:0x2]", "[0x1:0x2:0x1]", "[0x10000:0x2:0x0]", "[0x1:0x0:0x0]",
					  "[0x1:0x1000000000000:0x0]", "[0x1:0x2:0x0", "[0x1:0x2:0x0:0x0]", "[0xg:0x2:0x0]", "0x0000000000000000000001:1:0"};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (ino_from_text(str_of(bad[i]), &ino) != -EINVAL)
			fail_msg("'%s' was taken for a FID", bad[i]);
}

/* ---- golden bytes --------------------------------------------------------------------------------------------- */

static char *golden_text; /* what the file should be */
static size_t golden_len;

/* "lookup req 0102…\n"; returns its length. */
static size_t put_line(char *to, const char *op, const char *what, const uint8_t *bytes, size_t len)
{
	size_t at = (size_t)snprintf(to, 200, "%s %s ", op, what);
	for (size_t i = 0; i < len; i++)
		at += (size_t)snprintf(to + at, 3, "%02x", bytes[i]);
	to[at++] = '\n';
	return at;
}

static void golden_line(const char *op, const char *what, const struct proto_msg *msg)
{
	struct rng rng;
	rng_init(&rng, 1);
	message_fill(msg, fields, &rng, pool, 9);
	size_t len = encode(msg, fields, buf);
	golden_text = realloc(golden_text, golden_len + 200 + 2 * len);
	golden_len += put_line(golden_text + golden_len, op, what, buf, len);
}

static void the_bytes_of_every_message_are_frozen(void **state)
{
	(void)state;
	const struct proto_op *ops = NULL;
	size_t count = proto_ops(&ops);
	for (size_t i = 0; i < count; i++) {
		golden_line(ops[i].name, "req", &ops[i].req);
		golden_line(ops[i].name, "rep", &ops[i].rep);
	}
	const char *path = getenv("STRIA_GOLDEN_WRITE"); /* tests/golden/README.md says when */
	FILE *file = fopen(path != NULL ? path : GOLDEN_PATH, path != NULL ? "w" : "r");
	assert_non_null(file);
	if (path != NULL) {
		assert_int_equal(fwrite(golden_text, 1, golden_len, file), golden_len);
	} else {
		char line[1 << 14];
		size_t at = 0;
		while (fgets(line, sizeof(line), file) != NULL) {
			const char *end = memchr(golden_text + at, '\n', golden_len - at);
			size_t len = end == NULL ? 0 : (size_t)(end - golden_text) + 1 - at;
			if (len != strlen(line) || memcmp(line, golden_text + at, len) != 0)
				fail_msg("the wire has changed: golden %.60s… is now %.60s…", line, golden_text + at);
			at += len;
		}
		assert_int_equal(at, golden_len); /* new messages are frozen too: write the file anew */
	}
	(void)fclose(file);
	free(golden_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structs_lie_as_their_descriptors_say),
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(a_message_cut_at_any_byte_is_refused),
		cmocka_unit_test(a_changed_byte_never_breaks_the_decoder),
		cmocka_unit_test(the_largest_message_fits_a_frame_and_never_more),
		cmocka_unit_test(too_long_a_text_is_not_encoded),
		cmocka_unit_test(a_text_with_nul_is_refused),
		cmocka_unit_test(fields_of_a_newer_version_are_zero),
		cmocka_unit_test(a_frame_comes_back_as_it_was),
		cmocka_unit_test(any_damage_to_a_frame_is_noticed),
		cmocka_unit_test(directory_entries_come_back_and_bad_names_do_not),
		cmocka_unit_test(a_clients_row_comes_back_and_a_cut_one_does_not),
		cmocka_unit_test(a_fid_is_read_as_it_is_printed),
		cmocka_unit_test(the_bytes_of_every_message_are_frozen),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
