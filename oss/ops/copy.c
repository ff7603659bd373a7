/* SPDX-License-Identifier: Apache-2.0
 * obj_copy: a range of one object, here or on another OST, becomes one of an object here.
 *
 * Part by part: the source is read without any gate of the destination, then the part is written under it as a write is. What has been copied when something
 * fails stays, as after a write that failed, and is stable: what came before it is not replayed over it. */
#include "oss/oss_impl.h"

enum { HOLE_BYTES_MIN = 65536 /* shorter ones are copied as zeros */ };

struct copy {
	struct ost *ost;
	const struct obj_copy_req *req;
	const struct client *client;
	const struct answer *answer;
	struct copy_source source;
	struct object *object;  /* the destination */
	uint8_t *buffer;
	uint64_t done;          /* bytes of the range */
	uint64_t data_end;      /* in the range: no hole before it, as far as is known */
};

static int check_up(struct ost *ost)
{
	if (ost->identity.state == TARGET_UP)
		return 0;
	ost->counters.grace_refusals++;
	return fail(ERR_grace);
}

static bool ends_beyond(uint64_t offset, uint32_t len)
{
	uint64_t end;
	return __builtin_add_overflow(offset, len, &end) || end >> OBJECT_OFFSET_BITS != 0;
}

static int check_range(const struct ost *ost, const struct obj_copy_req *req)
{
	if (req->len == 0 || req->len > COPY_BYTES_MAX)
		return fail(EINVAL);
	if (ends_beyond(req->offset, req->len) || ends_beyond(req->from_offset, req->len))
		return fail(EFBIG);
	if (req->from_ost != ost->identity.index)
		return 0;
	bool same = ino_eq(req->ino, req->from_ino) && req->component == req->from_component && req->stripe == req->from_stripe;
	bool overlaps = req->offset < req->from_offset + req->len && req->from_offset < req->offset + req->len;
	return same && overlaps ? fail(EINVAL) : 0;
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

/* Right before something happens to the destination, under its gate: as for a write. */
static int check_part(const struct copy *copy)
{
	struct ost *ost = copy->ost;
	int rc = answer_check(ost, copy->client, copy->answer);
	if (rc < 0 || !tomb_find(ost, copy->req->ino))
		return rc;
	ost->counters.tombstone_refusals++;
	return fail(ENOENT);
}

/* data NULL: zeros all of it; else `zeros` of it behind the data. What failed half-way has changed it, too. */
static int put_part(struct copy *copy, const uint8_t *data, size_t len, uint64_t zeros)
{
	struct ost *ost = copy->ost;
	struct object *object = copy->object;
	uint64_t at = copy->req->offset + copy->done;
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	int rc = check_part(copy);
	if (rc == 0) {
		if (len > 0)
			rc = object_write(ost, object, at, data, len);
		if (rc == 0 && zeros > 0)
			rc = object_zero(ost, object, at + len, zeros);
		if (object->exists)
			object_changed(ost, object, copy->req->mtime_ns);
	}
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	if (rc < 0)
		return rc;
	ost->counters.copied_bytes += len;
	ost->counters.copied_far_bytes += copy->source.ost != ost->identity.index ? len : 0;
	copy->done += len + zeros;
	return 0;
}

/* Up to where the destination's parts end that are written at once. */
static int copy_data(struct copy *copy)
{
	const struct obj_copy_req *req = copy->req;
	uint64_t part = IO_BYTES_MAX - (req->offset + copy->done) % IO_BYTES_MAX;
	part = min_u64(part, copy->data_end - copy->done);
	uint8_t *data = NULL;
	int64_t len = copy_source_read(copy->ost, &copy->source, req->from_offset + copy->done, copy->buffer, (size_t)part, &data);
	if (len < 0)
		return (int)len;
	return put_part(copy, data, (size_t)len, part - (uint64_t)len); /* behind the source's end there are zeros */
}

/* Does a hole begin here, how long is it, and how far does the data go otherwise? Of the range. */
static int look_ahead(struct copy *copy, uint64_t *ret_hole)
{
	uint64_t len = copy->req->len, start = copy->req->from_offset, data = 0, hole = 0;
	*ret_hole = 0;
	if (copy->done < copy->data_end)
		return 0;
	int rc = copy_source_seek(copy->ost, &copy->source, start + copy->done, false, &data);
	if (rc < 0)
		return rc;
	data = min_u64(data, start + len) - start;
	if (data - copy->done >= HOLE_BYTES_MIN || data == len) {
		*ret_hole = data - copy->done;
		return 0;
	}
	rc = copy_source_seek(copy->ost, &copy->source, start + data, true, &hole);
	if (rc < 0)
		return rc;
	/* Data that has become a hole in between is copied as one block of data. */
	copy->data_end = min_u64(max_u64(hole, start + copy->done + BLOCK_BYTES), start + len) - start;
	return 0;
}

/* The range ends in a hole, and the object is to end with it: zeros in its last block are data. */
static int extend(struct copy *copy)
{
	uint64_t end = copy->req->offset + copy->req->len;
	struct ost *ost = copy->ost;
	struct object *object = copy->object;
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	int rc = object->size_bytes < end ? check_part(copy) : 0;
	if (rc == 0 && object->size_bytes < end) {
		uint64_t at = max_u64(round_down(end - 1, BLOCK_BYTES), max_u64(object->size_bytes, copy->req->offset));
		memset(copy->buffer, 0, BLOCK_BYTES);
		rc = object_write(ost, object, at, copy->buffer, (size_t)(end - at));
		if (object->exists)
			object_changed(ost, object, copy->req->mtime_ns);
	}
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	return rc;
}

static int copy_range(struct copy *copy)
{
	int rc = 0;
	while (rc == 0 && copy->done < copy->req->len) {
		uint64_t hole = 0;
		rc = look_ahead(copy, &hole);
		if (rc == 0)
			rc = hole > 0 ? put_part(copy, NULL, 0, hole) : copy_data(copy);
	}
	return rc == 0 && (copy->req->flags & COPY_EXTEND) != 0 ? extend(copy) : rc;
}

/* ---- the operation -------------------------------------------------------------------------------------------- */

static int copy_into(struct copy *copy, struct obj_copy_rep *rep)
{
	struct ost *ost = copy->ost;
	const struct obj_copy_req *req = copy->req;
	int rc = object_get(ost, (struct object_name){req->ino, req->component, req->stripe}, &copy->object);
	if (rc < 0)
		return rc;
	rc = copy_range(copy);
	ost->counters.sources_away += rc == -EHOSTUNREACH;
	ost->counters.copies += rc == 0;
	rep->size_bytes = copy->object->size_bytes;
	int committed = object_commit(ost, copy->object);
	object_put(ost, copy->object);
	return rc == 0 ? committed : rc;
}

int ost_op_obj_copy(struct ost *ost, struct rpc_call *call, const struct obj_copy_req *req, struct obj_copy_rep *rep)
{
	struct client *client = client_need(ost, call->frame.client);
	struct answer *answer = NULL;
	int rc = check_range(ost, req);
	if (rc == 0)
		rc = check_up(ost); /* replays come first */
	if (rc == 0)
		rc = answer_begin(ost, client, &call->frame, &answer);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		*rep = answer->copy;
		return answer->rc;
	}
	struct copy copy = {
		.ost = ost,
		.req = req,
		.client = client,
		.answer = answer,
		.source = {req->from_ost, {req->from_ino, req->from_component, req->from_stripe}, req->from_layout_gen},
	};
	task_set_step(task_current(ost->env->loop), "obj_copy", "buffer");
	rc = copy_buffer_get(ost, &copy.buffer);
	if (rc == 0) {
		task_set_step(task_current(ost->env->loop), "obj_copy", "data");
		rc = copy_into(&copy, rep);
		copy_buffer_put(ost, copy.buffer);
	}
	answer->copy = *rep;
	answer_end(client, answer, rc);
	return rc;
}
