/* SPDX-License-Identifier: Apache-2.0
 * One fuzz target over every decoder of hostile bytes: frames, all messages, rows, maps, layouts, FIDs, options. What decodes must encode
 * again to the same bytes. Byte 0 chooses the decoder, byte 1 the message. */
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/cluster/cmap.h"
#include "common/cluster/layout.h"
#include "common/core/conf.h"
#include "proto/frame.h"
#include "proto/rows.h"
#include "tests/fuzz/fuzz.h"

enum { FIELDS_BYTES = 4096, OUT_BYTES = 1 << 20 };
static uint8_t out_bytes[OUT_BYTES];

static void fuzz_message(struct blob in, bool reply)
{
	if (in.len < 1)
		return;
	const struct proto_op *ops = NULL;
	size_t count = proto_ops(&ops);
	const struct proto_op *op = &ops[in.ptr[0] % count];
	const struct proto_msg *msg = reply ? &op->rep : &op->req;
	static _Alignas(16) uint8_t fields[FIELDS_BYTES];
	CHECK(msg->struct_bytes <= sizeof(fields));
	struct blob body = {in.ptr + 1, in.len - 1};
	if (proto_decode(msg, PROTO_VERSION_MAX, body, fields) < 0)
		return;
	struct wire_out out = wire_out(out_bytes, sizeof(out_bytes));
	proto_encode(msg, PROTO_VERSION_MAX, fields, &out);
	CHECK(out.err == 0);
	CHECK(wire_len(&out) == body.len);
	CHECK(body.len == 0 || memcmp(out_bytes, body.ptr, body.len) == 0);
}

static void fuzz_rows(struct blob bytes)
{
	for (struct wire_in in = wire_in(bytes); wire_left(&in) > 0;)
		(void)dirent_row_get(&in);
	for (struct wire_in in = wire_in(bytes); wire_left(&in) > 0;)
		(void)client_row_get(&in);
	for (struct wire_in in = wire_in(bytes); wire_left(&in) > 0;)
		(void)reclaim_row_get(&in);
	for (struct wire_in in = wire_in(bytes); wire_left(&in) > 0;)
		(void)object_row_get(&in);
	for (struct wire_in in = wire_in(bytes); wire_left(&in) > 0;)
		(void)object_stat_row_get(&in);
}

static void fuzz_map(struct blob bytes)
{
	struct cmap *map = NULL;
	if (cmap_decode(bytes, &map) < 0)
		return;
	(void)cmap_find(map, TARGET_OST, 3);
	(void)cmap_mdt_of(map, INO_ROOT);
	(void)cmap_is_evicted(map, 7);
	char name[40];
	for (uint32_t i = 0; i < map->target_count; i++)
		cmap_target_name(map, &map->targets[i], name);
	cmap_free(map);
}

static void fuzz_layout(struct blob bytes)
{
	static struct layout layout; /* 2 KiB and more: not on the stack */
	if (layout_decode(bytes, &layout) < 0 || layout.component_count == 0)
		return;
	(void)layout_check(&layout, false);
	if (layout_check(&layout, true) < 0)
		return;
	struct layout_piece piece;
	static const uint64_t offsets[] = {0, 1, 65535, 1 << 20, UINT64_C(1) << 40, INT64_MAX};
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++)
		if (layout_map(&layout, offsets[i], 1 << 22, &piece))
			CHECK(piece.len > 0 && piece.len <= 1 << 22);
	uint32_t cursor = 0, count = 0;
	while (layout_next_object(&layout, &cursor, &piece))
		CHECK(++count <= LAYOUT_STRIPES_MAX);
}

static void fuzz_text(struct blob bytes)
{
	static struct conf conf;
	char error[CONF_ERROR_BYTES_MAX];
	conf_init(&conf);
	struct str text = {(const char *)bytes.ptr, bytes.len};
	(void)conf_set_pair(&conf, CONF_ALL, text, error); /* only that it ends and stays inside its bounds */
	struct ino ino;
	(void)ino_from_text(text, &ino);
	uint64_t number = 0;
	(void)conf_parse_size(text, &number);
	(void)conf_parse_time(text, &number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct blob rest = {data + 1, size - 1};
	struct frame frame;
	struct blob body;
	switch (data[0] % 7) {
	case 0:
		fuzz_message(rest, false);
		break;
	case 1:
		fuzz_message(rest, true);
		break;
	case 2:
		(void)frame_decode(rest, &frame, &body);
		break;
	case 3:
		fuzz_rows(rest);
		break;
	case 4:
		fuzz_map(rest);
		break;
	case 5:
		fuzz_layout(rest);
		break;
	default:
		fuzz_text(rest);
		break;
	}
	return 0;
}
