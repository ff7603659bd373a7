/* SPDX-License-Identifier: Apache-2.0
 * Copies that the servers make: from object to object, without the data coming here.
 *
 * Where both files are cut into stripes in the same way, and the two ranges begin at the same place within a stripe, what lies in one object of the destination is
 * one range of one object of the source. Each OST of the destination copies its part. It is stable when answered, as a change of space is, and for the same
 * reasons.
 *
 * Both leases are needed for as long as a step takes. Whoever is counted in must not wait for an MDT, because a recall waits for him; so the second lease is
 * only taken when it is here, and else the first is left again. Then nobody waits for another's copy but for as long as OSTs take. */
#include "client/client_impl.h"

#define STEP_BYTES_MAX   (64 * MIB) /* so long others wait for the leases */
#define BYTES_MIN        (8 * MIB)  /* below, to wait for the disks of all OSTs takes longer than to move the data twice */

enum { ENTER_TRIES_MAX = 4 };

struct step {
	struct client *client;
	struct client_op *op;
	struct client_file *from, *to;
	uint64_t from_at, to_at, len;
	uint64_t client_id;
	int64_t mtime_ns;
	struct layout *from_layout, *to_layout; /* as they were: the nodes' may be replaced meanwhile */
	struct fanout fanout;
};
struct copy_part { /* one request */
	struct step *step;
	struct layout_piece from, to; /* their object offsets count */
	uint32_t len;
	bool extends;
};

/* ---- which objects ------------------------------------------------------------------------------------------------ */

static const struct component *component_at(const struct layout *layout, uint64_t offset)
{
	struct layout_piece piece;
	if (layout == NULL || !layout_map(layout, offset, 1, &piece))
		return NULL;
	for (uint32_t i = 0; i < layout->component_count; i++)
		if (layout->components[i].id == piece.component)
			return &layout->components[i];
	return NULL;
}

/* How many of the bytes lie in objects that fit each other. With one stripe the object is the file, wherever a range begins. */
static uint64_t fitting_len(const struct layout *from_layout, uint64_t from_at, const struct layout *to_layout, uint64_t to_at, uint64_t len)
{
	const struct component *from = component_at(from_layout, from_at), *to = component_at(to_layout, to_at);
	if (from == NULL || to == NULL || from->stripe_count != to->stripe_count)
		return 0;
	uint64_t stripe = from->stripe_bytes;
	bool same = stripe == to->stripe_bytes && (from_at - from->start) % stripe == (to_at - to->start) % stripe;
	if (!same && from->stripe_count > 1)
		return 0;
	return min_u64(len, min_u64(from->end - from_at, to->end - to_at));
}

/* What lies in one object of the destination, cut into requests; piece: its first bytes of the range. */
static size_t cut(struct step *step, const struct layout_piece *piece, struct copy_part *ret_parts)
{
	struct layout_piece from, last;
	uint64_t end = step->to_at + step->len;
	uint64_t left = layout_object_size(step->to_layout, piece->component, piece->stripe, end) - piece->object_offset;
	bool there = layout_map(step->from_layout, step->from_at + (piece->file_offset - step->to_at), 1, &from) &&
		     layout_map(step->to_layout, end - 1, 1, &last);
	CHECK(there);
	const struct node *node = step->to->node;
	bool grows = !node_size_is_ours(node) || end > node->size_bytes;
	size_t count = 0;
	for (uint64_t at = 0; at < left; count++) {
		struct copy_part *part = &ret_parts[count];
		*part = (struct copy_part){.step = step, .from = from, .to = *piece, .len = (uint32_t)min_u64(left - at, COPY_BYTES_MAX)};
		part->from.object_offset += at;
		part->to.object_offset += at;
		at += part->len;
		part->extends = grows && at == left && last.stripe == piece->stripe;
	}
	return count;
}

/* ---- the requests ------------------------------------------------------------------------------------------------- */

static int copy_part(const struct copy_part *part)
{
	const struct step *step = part->step;
	struct obj_copy_req req = {
		.ino = step->to->node->ino,
		.component = part->to.component,
		.stripe = part->to.stripe,
		.layout_gen = step->to_layout->gen,
		.offset = part->to.object_offset,
		.len = part->len,
		.flags = part->extends ? COPY_EXTEND : 0,
		.mtime_ns = step->mtime_ns,
		.from_ost = part->from.ost,
		.from_ino = step->from->node->ino,
		.from_component = part->from.component,
		.from_stripe = part->from.stripe,
		.from_layout_gen = step->from_layout->gen,
		.from_offset = part->from.object_offset,
	};
	struct obj_copy_rep rep;
	if (step->client->identity.client != step->client_id)
		return fail(ERR_evicted); /* the leases went */
	return session_call(step->client, TARGET_OST, part->to.ost,
			    &(struct call){.op = OP_obj_copy, .req = &req, .rep = &rep, .who = step->op});
}

static void part_child(void *arg)
{
	const struct copy_part *part = arg;
	fanout_child_done(&part->step->fanout, copy_part(part));
}

/* All at once, as the pieces of a write: each waits for its disk. */
static int copy_parts(struct step *step)
{
	const struct component *component = component_at(step->to_layout, step->to_at);
	CLEANUP(free_p) struct copy_part *parts = mem_alloc((component->stripe_count + step->len / COPY_BYTES_MAX + 1) * sizeof(parts[0]));
	struct layout_piece piece;
	size_t count = 0;
	uint64_t at = step->to_at, end = step->to_at + step->len;
	for (uint32_t i = 0; i < component->stripe_count && at < end; i++) {
		if (!layout_map(step->to_layout, at, end - at, &piece))
			return fail(EFBIG);
		count += cut(step, &piece, parts + count);
		at += piece.len;
	}
	fanout_begin(&step->fanout, step->client);
	for (size_t i = 0; i < count; i++)
		fanout_spawn(&step->fanout, "copy_part", part_child, &parts[i]);
	return fanout_wait(&step->fanout);
}

/* ---- both leases -------------------------------------------------------------------------------------------------- */

static bool is_one_file(const struct step *step)
{
	return step->from->node == step->to->node;
}

/* Its size and data are known, and do not change by others' hands, while we are counted in. */
static bool is_ours(const struct node *node)
{
	return node_size_is_ours(node) && node->data_place == DATA_AT_OBJECTS;
}

static void leave_source(struct step *step)
{
	if (!is_one_file(step))
		lease_data_leave(step->client, step->op, step->from->node, NEED_READ);
}

static void leave(struct step *step)
{
	lease_data_leave(step->client, step->op, step->to->node, NEED_WRITE);
}

/* The source's lease comes, if it is not here, and nobody is counted in. 1: it is one by which we can copy. */
static int get_source(struct step *step)
{
	struct node *node = step->from->node;
	int rc = lease_data_enter(step->client, step->op, node, NEED_READ);
	if (rc < 0)
		return rc;
	bool ours = is_ours(node);
	lease_data_leave(step->client, step->op, node, NEED_READ);
	return ours;
}

/* 1: counted in at both, and what the source has is at its OSTs. 0: not to be had. Parks. */
static int enter(struct step *step)
{
	struct client *client = step->client;
	struct node *from = step->from->node, *to = step->to->node;
	for (int i = 0; i < ENTER_TRIES_MAX; i++) {
		int rc = is_one_file(step) ? 1 : get_source(step);
		if (rc <= 0)
			return rc;
		rc = space_enter(client, step->op, to);
		if (rc < 0)
			return rc == -ENOSPC ? 0 : rc; /* whoever writes what waits is told */
		if (is_one_file(step) || lease_data_try(client, step->op, from, NEED_READ)) {
			rc = is_ours(from) ? behind_flush(client, step->op, from) : 0;
			if (rc == 0 && is_ours(from) && !behind_is_stuck(from))
				return 1;
			leave_source(step);
			leave(step);
			return rc;
		}
		leave(step);
		client->counters.copies_crossed++;
	}
	return 0;
}

/* ---- a step ------------------------------------------------------------------------------------------------------- */

/* Counted in. How far it goes, and by which layouts. */
static uint64_t step_len(struct step *step)
{
	const struct node *from = step->from->node, *to = step->to->node;
	uint64_t left = from->size_bytes > step->from_at ? from->size_bytes - step->from_at : 0;
	return fitting_len(from->layout, step->from_at, to->layout, step->to_at, min_u64(step->len, left));
}

static uint64_t bytes_min(const struct client *client)
{
	return client->conf.servers_copy_bytes_min != 0 ? client->conf.servers_copy_bytes_min : BYTES_MIN;
}

static int64_t copy_leased(struct step *step)
{
	struct node *from = step->from->node, *to = step->to->node;
	step->len = step_len(step);
	if (step->len < bytes_min(step->client) || step->client->identity.client != step->client_id)
		return 0;
	CLEANUP(free_p) struct layout *from_layout = mem_dup(from->layout, sizeof(*from_layout));
	CLEANUP(free_p) struct layout *to_layout = mem_dup(to->layout, sizeof(*to_layout));
	step->from_layout = from_layout;
	step->to_layout = to_layout;
	step->mtime_ns = session_mdt_now_ns(step->client);
	ahead_drop_all(to);
	int rc = copy_parts(step);
	ahead_drop_all(to);
	if (rc < 0)
		return rc == -ERR_unknown_op ? fail(EHOSTUNREACH) : rc;
	atime_read(step->client, step->op, from);
	return (int64_t)step->len;
}

/* The destination has it. Counted in there. */
static void written(struct step *step)
{
	struct node *to = step->to->node;
	behind_passed(to, step->to_at + step->len);
	node_written(step->client, to, step->to_at + step->len, step->len);
	attr_learn_blocks(step->client, step->op, to);
	step->client->counters.copied_on_servers += step->len;
}

int64_t copy_on_servers(struct client *client, struct client_op *op, const struct copy_range *range)
{
	struct node *from = range->from->node, *to = range->to->node;
	struct step step = {
		.client = client,
		.op = op,
		.from = range->from,
		.to = range->to,
		.from_at = range->from_at,
		.to_at = range->to_at,
		.len = min_u64(range->len, STEP_BYTES_MAX),
		.client_id = client->identity.client,
	};
	/* Before any lease is asked for: what waits here need not go for nothing. */
	if (fitting_len(from->layout, step.from_at, to->layout, step.to_at, step.len) < bytes_min(client))
		return 0;
	/* What was written by a mapping of this mount comes out by being dropped. */
	if (from->writers > 0)
		lease_drop_own_pages(client, from, 0, 0);
	uint64_t filled = to->reads_filled;
	int rc = enter(&step);
	if (rc <= 0)
		return rc;
	int64_t done = copy_leased(&step);
	leave_source(&step);
	if (done > 0 && (range->from->lost || range->to->lost))
		done = fail(EIO); /* evicted meanwhile */
	if (done > 0)
		written(&step);
	/* As a write: what the kernel has read of the range since may be from before. */
	if (done != 0 && (to->reads_filled != filled || to->reads_filling > 0))
		lease_drop_own_pages(client, to, step.to_at, step.len);
	leave(&step);
	return done;
}
