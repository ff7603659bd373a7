/* SPDX-License-Identifier: Apache-2.0
 * Layout arithmetic and codec. */
#include "common/cluster/layout.h"
#include "common/base/check.h"
#include "common/base/err.h"

enum { LAYOUT_FORMAT_VERSION = 1 };

void layout_init_wanted(struct layout *layout, uint16_t stripe_count, uint32_t stripe_bytes, uint16_t stripe_index)
{
	memset(layout, 0, offsetof(struct layout, osts));
	layout->component_count = 1;
	layout->components[0] = (struct component){
		.id = 1,
		.end = LAYOUT_EOF,
		.pattern = PATTERN_RAID0,
		.stripe_bytes = stripe_bytes,
		.stripe_count = stripe_count,
		.stripe_index = stripe_index,
	};
}

static bool component_is_sane(const struct layout *layout, const struct component *component, bool placed)
{
	if (component->pattern != PATTERN_RAID0 || component->start >= component->end)
		return false;
	if (component->stripe_bytes % STRIPE_BYTES_MIN != 0 || component->stripe_bytes > STRIPE_BYTES_MAX)
		return false;
	if (component->ost_count != 0 &&
	    (component->ost_count != component->stripe_count || component->osts_at > layout->ost_total ||
	     component->ost_count > layout->ost_total - component->osts_at))
		return false;
	if (!placed)
		return true;
	/* A stripe never straddles the border of a component. */
	return component->stripe_bytes != 0 && component->ost_count != 0 && (component->flags & COMPONENT_INIT) != 0 &&
	       component->start % component->stripe_bytes == 0;
}

int layout_check(const struct layout *layout, bool placed)
{
	if (layout->component_count == 0 || layout->component_count > LAYOUT_COMPONENTS_MAX ||
	    layout->ost_total > LAYOUT_STRIPES_MAX)
		return fail(EINVAL);
	uint64_t expected_start = 0;
	for (uint32_t i = 0; i < layout->component_count; i++) {
		const struct component *component = &layout->components[i];
		if (component->start != expected_start || !component_is_sane(layout, component, placed))
			return fail(EINVAL);
		for (uint32_t k = 0; k < i; k++)
			if (layout->components[k].id == component->id)
				return fail(EINVAL);
		expected_start = component->end;
	}
	return 0;
}

static bool among(const uint16_t *osts, uint16_t count, uint16_t ost)
{
	for (uint16_t i = 0; i < count; i++)
		if (osts[i] == ost)
			return true;
	return false;
}

/* Where in `osts` the component begins. */
static int first_of(const struct component *component, const uint16_t *osts, uint16_t count, uint16_t start, uint16_t *ret_at)
{
	if (component->stripe_index == STRIPE_INDEX_ANY) {
		*ret_at = (uint16_t)(start % count);
		return 0;
	}
	for (uint16_t i = 0; i < count; i++) {
		if (osts[i] == component->stripe_index) {
			*ret_at = i;
			return 0;
		}
	}
	return fail(EINVAL);
}

static int place_component(const struct layout *wanted, struct component *component, const uint16_t *osts, uint16_t count,
			   uint16_t start, struct layout *layout)
{
	const uint16_t *list = component->ost_count != 0 ? &wanted->osts[component->osts_at] : NULL;
	if (component->stripe_bytes == 0)
		component->stripe_bytes = STRIPE_BYTES_DEFAULT;
	if (component->stripe_count == 0)
		component->stripe_count = 1;
	if (list == NULL && component->stripe_count > count) /* STRIPE_COUNT_ALL too */
		component->stripe_count = count;
	if (component->stripe_count > LAYOUT_STRIPES_MAX - layout->ost_total)
		return fail(EINVAL);
	uint16_t at = 0;
	if (list == NULL) {
		int rc = first_of(component, osts, count, start, &at);
		if (rc < 0)
			return rc;
	}
	component->osts_at = layout->ost_total;
	component->ost_count = component->stripe_count;
	for (uint16_t i = 0; i < component->stripe_count; i++) {
		uint16_t ost = list != NULL ? list[i] : osts[(at + i) % count];
		if (!among(osts, count, ost))
			return fail(EINVAL);
		layout->osts[layout->ost_total++] = ost;
	}
	component->stripe_index = layout->osts[component->osts_at];
	component->flags |= COMPONENT_INIT;
	return 0;
}

int layout_place(const struct layout *wanted, const uint16_t *osts, uint16_t count, uint16_t start, struct layout *ret_layout)
{
	int rc = layout_check(wanted, false);
	if (rc < 0)
		return rc;
	if (count == 0)
		return fail(ENOSPC);
	struct layout layout = *wanted;
	layout.ost_total = 0;
	for (uint32_t i = 0; i < layout.component_count; i++) {
		rc = place_component(wanted, &layout.components[i], osts, count, (uint16_t)(start + i), &layout);
		if (rc < 0)
			return rc;
	}
	rc = layout_check(&layout, true);
	if (rc < 0)
		return rc;
	*ret_layout = layout;
	return 0;
}

bool layout_map(const struct layout *layout, uint64_t offset, uint64_t len, struct layout_piece *ret_piece)
{
	for (uint32_t i = 0; i < layout->component_count && len > 0; i++) {
		const struct component *component = &layout->components[i];
		if (offset < component->start || offset >= component->end)
			continue;
		uint64_t in = offset - component->start;
		uint64_t size = component->stripe_bytes;
		uint64_t row = in / size;
		uint64_t within = in % size;
		uint32_t stripe = (uint32_t)(row % component->stripe_count);
		uint64_t until_stripe = size - within;
		uint64_t until_end = component->end - offset;
		*ret_piece = (struct layout_piece){
			.file_offset = offset,
			.object_offset = row / component->stripe_count * size + within,
			.len = min_u64(len, min_u64(until_stripe, until_end)),
			.component = component->id,
			.stripe = stripe,
			.ost = layout->osts[component->osts_at + stripe],
		};
		return true;
	}
	return false;
}

bool layout_next_object(const struct layout *layout, uint32_t *cursor, struct layout_piece *ret_object)
{
	uint32_t at = *cursor;
	for (uint32_t i = 0; i < layout->component_count; i++) {
		const struct component *component = &layout->components[i];
		if (at < component->ost_count) {
			*ret_object = (struct layout_piece){
				.file_offset = component->start,
				.component = component->id,
				.stripe = at,
				.ost = layout->osts[component->osts_at + at],
			};
			++*cursor;
			return true;
		}
		at -= component->ost_count;
	}
	return false;
}

static const struct component *component_of(const struct layout *layout, uint32_t id)
{
	for (uint32_t i = 0; i < layout->component_count; i++)
		if (layout->components[i].id == id)
			return &layout->components[i];
	return NULL;
}

uint64_t layout_file_size(const struct layout *layout, uint32_t id, uint32_t stripe, uint64_t object_size)
{
	const struct component *component = component_of(layout, id);
	if (component == NULL || object_size == 0 || stripe >= component->stripe_count)
		return 0;
	uint64_t last = object_size - 1;
	uint64_t size = component->stripe_bytes;
	uint64_t row = last / size * component->stripe_count + stripe;
	return component->start + row * size + last % size + 1;
}

uint64_t layout_object_size(const struct layout *layout, uint32_t id, uint32_t stripe, uint64_t file_size)
{
	const struct component *component = component_of(layout, id);
	if (component == NULL || file_size <= component->start || stripe >= component->stripe_count)
		return 0;
	uint64_t in = min_u64(file_size, component->end) - component->start;
	uint64_t size = component->stripe_bytes;
	uint64_t row_bytes = size * component->stripe_count;
	uint64_t full_rows = in / row_bytes;
	uint64_t rest = in % row_bytes;
	uint64_t before = size * stripe;
	uint64_t in_last_row = rest <= before ? 0 : min_u64(rest - before, size);
	return full_rows * size + in_last_row;
}

void layout_encode(const struct layout *layout, struct wire_out *out)
{
	wire_put_u8(out, LAYOUT_FORMAT_VERSION);
	wire_put_u32(out, layout->gen);
	wire_put_u16(out, layout->component_count);
	for (uint32_t i = 0; i < layout->component_count; i++) {
		const struct component *component = &layout->components[i];
		size_t pool_len = strnlen(component->pool, LAYOUT_POOL_BYTES_MAX);
		wire_put_u32(out, component->id);
		wire_put_u64(out, component->start);
		wire_put_u64(out, component->end);
		wire_put_u8(out, component->pattern);
		wire_put_u8(out, component->flags);
		wire_put_u32(out, component->stripe_bytes);
		wire_put_u16(out, component->stripe_count);
		wire_put_u16(out, component->stripe_index);
		wire_put_u8(out, (uint8_t)pool_len);
		wire_put_bytes(out, component->pool, pool_len);
		wire_put_u16(out, component->ost_count);
		for (uint32_t k = 0; k < component->ost_count; k++)
			wire_put_u16(out, layout->osts[component->osts_at + k]);
	}
}

static void get_component(struct wire_in *in, struct layout *layout, struct component *component)
{
	component->id = wire_get_u32(in);
	component->start = wire_get_u64(in);
	component->end = wire_get_u64(in);
	component->pattern = wire_get_u8(in);
	component->flags = wire_get_u8(in);
	component->stripe_bytes = wire_get_u32(in);
	component->stripe_count = wire_get_u16(in);
	component->stripe_index = wire_get_u16(in);
	struct blob pool = wire_get_bytes(in, wire_get_u8(in));
	if (pool.len > LAYOUT_POOL_BYTES_MAX)
		wire_fail(in);
	else if (pool.len > 0)
		memcpy(component->pool, pool.ptr, pool.len);
	component->osts_at = layout->ost_total;
	component->ost_count = wire_get_u16(in);
	if (component->ost_count > LAYOUT_STRIPES_MAX - layout->ost_total ||
	    (component->ost_count != 0 && component->ost_count != component->stripe_count)) {
		wire_fail(in);
		component->ost_count = 0;
	}
	for (uint32_t k = 0; k < component->ost_count && in->err == 0; k++)
		layout->osts[layout->ost_total++] = wire_get_u16(in);
}

int layout_decode(struct blob bytes, struct layout *ret_layout)
{
	memset(ret_layout, 0, offsetof(struct layout, osts));
	if (bytes.len == 0)
		return 0;
	struct wire_in in = wire_in(bytes);
	if (wire_get_u8(&in) != LAYOUT_FORMAT_VERSION)
		wire_fail(&in);
	ret_layout->gen = wire_get_u32(&in);
	uint16_t count = wire_get_u16(&in);
	if (count > LAYOUT_COMPONENTS_MAX)
		wire_fail(&in);
	for (uint32_t i = 0; i < count && in.err == 0; i++) {
		get_component(&in, ret_layout, &ret_layout->components[i]);
		ret_layout->component_count++;
	}
	int rc = wire_done(&in);
	if (rc < 0)
		memset(ret_layout, 0, offsetof(struct layout, osts));
	return rc;
}
