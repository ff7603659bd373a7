/* SPDX-License-Identifier: Apache-2.0
 * obj_read, obj_write, obj_commit: data of one object. */
#include "oss/oss_impl.h"
#include "common/base/crc.h"

#define NAME_OF(req) ((struct object_name){(req)->ino, (req)->component, (req)->stripe})

static int check_range(uint64_t offset, uint64_t len)
{
	if (len == 0 || len > IO_BYTES_MAX)
		return fail(EINVAL);
	return offset >> OBJECT_OFFSET_BITS != 0 ? fail(EFBIG) : 0;
}

static int check_up(struct ost *ost)
{
	if (ost->identity.state == TARGET_UP)
		return 0;
	ost->counters.grace_refusals++;
	return fail(ERR_grace);
}

/* ---- read ----------------------------------------------------------------------------------------------------- */

static int read_object(struct ost *ost, const struct obj_read_req *req, uint8_t *buffer, uint8_t **ret_data)
{
	struct object *object = NULL;
	int rc = object_get(ost, NAME_OF(req), &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_SHARED);
	rc = (int)object_read(ost, object, req->offset, buffer, req->len, ret_data); /* at most IO_BYTES_MAX */
	object_leave(ost, object, OBJECT_SHARED);
	object_put(ost, object);
	return rc;
}

int ost_op_obj_read(struct ost *ost, struct rpc_call *call, const struct obj_read_req *req, struct obj_read_rep *rep)
{
	int rc = check_range(req->offset, req->len);
	if (rc == -EFBIG)
		return 0; /* nothing can be there: past the end, as anywhere behind the last byte */
	if (rc == 0)
		rc = check_up(ost);
	if (rc == 0 && (req->dest.len == 0 ? req->len > INLINE_BYTES_MAX - KIB : req->dest.len < req->len))
		rc = fail(EINVAL);
	if (rc < 0)
		return rc;
	task_set_step(task_current(ost->env->loop), "obj_read", "disk");
	uint8_t *buffer = buffer_get(ost), *data = NULL;
	int len = read_object(ost, req, buffer, &data);
	rc = len < 0 ? len : 0;
	if (len > 0) {
		rep->len = (uint32_t)len;
		rep->crc = crc32c(0, data, (size_t)len);
		task_set_step(task_current(ost->env->loop), "obj_read", "bulk");
		if (req->dest.len == 0)
			rep->data = blob_of(arena_dup(&call->arena, data, (size_t)len), (size_t)len);
		else
			rc = rpc_call_push(call, ost->slab_mr, buffer_offset(ost, data), req->dest, (size_t)len);
		ost->counters.rma_lost += rc == -ERR_conn_lost;
	}
	buffer_put(ost, buffer);
	if (rc < 0)
		return rc;
	ost->counters.reads++;
	ost->counters.read_bytes += rep->len;
	return 0;
}

/* ---- write ---------------------------------------------------------------------------------------------------- */

/* The caller's data, whole and as it was sent. *ret_buffer: to be given back; NULL: it came in the message. Parks. */
static int take_data(struct ost *ost, struct rpc_call *call, const struct obj_write_req *req, uint8_t **ret_buffer, const uint8_t **ret_data)
{
	if (req->source.len == 0) {
		if (req->data.len != req->len)
			return fail(ERR_malformed);
		*ret_data = req->data.ptr;
	} else {
		if (req->source.len < req->len)
			return fail(ERR_malformed);
		*ret_buffer = buffer_get(ost);
		*ret_data = *ret_buffer;
		int rc = rpc_call_pull(call, ost->slab_mr, buffer_offset(ost, *ret_buffer), req->source, req->len);
		ost->counters.rma_lost += rc == -ERR_conn_lost;
		if (rc < 0)
			return rc;
	}
	if (crc32c(0, *ret_data, req->len) != req->crc) {
		ost->counters.crc_errors++;
		return fail(ERR_retry); /* damaged on its way, or its connection was cut and the memory reused */
	}
	return 0;
}

/* Replays come before anything new, from those for whom recovery waits: later ones could overwrite what others have written since. */
static int check_replay(struct ost *ost, const struct client *client)
{
	if (ost->identity.state == TARGET_RECOVERING && client->must_replay)
		return 0;
	ost->counters.replays_refused++;
	return fail(ERR_late_copy);
}

/* A write of an earlier boot: only where nothing newer stands. */
static int apply_replay(struct ost *ost, struct object *object, const struct obj_write_req *req, const uint8_t *data)
{
	struct spans parts = {0};
	int rc = 0;
	if (write_order_cmp(req->replay, object->stable) <= 0) { /* it survived; what came after it may stand there */
		ost->counters.replays_superseded++;
		return 0;
	}
	size_t count = spans_add(&object->spans, req->offset, req->offset + req->len, req->replay, &parts);
	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct span *part = &parts.items[i];
		rc = object_write(ost, object, part->start, data + (part->start - req->offset), part->end - part->start);
	}
	ost->counters.replays_superseded += count == 0;
	ost->counters.replays_applied += count > 0;
	spans_free(&parts);
	return rc;
}

static int apply(struct ost *ost, const struct obj_write_req *req, const uint8_t *data, const struct client *client,
		 const struct answer *answer, struct obj_write_rep *rep)
{
	struct object *object = NULL;
	int rc = object_get(ost, NAME_OF(req), &object);
	if (rc < 0)
		return rc;
	task_set_step(task_current(ost->env->loop), "obj_write", "gate");
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	task_set_step(task_current(ost->env->loop), "obj_write", "disk");
	rc = answer_check(ost, client, answer);
	if (rc == 0 && tomb_find(ost, req->ino)) {
		ost->counters.tombstone_refusals++;
		rc = fail(ENOENT);
	}
	if (rc == 0)
		rc = req->replay.verifier != 0 ? apply_replay(ost, object, req, data)
					       : object_write(ost, object, req->offset, data, req->len);
	if (rc == 0) {
		object->mtime_ns = req->mtime_ns > object->mtime_ns ? req->mtime_ns : object->mtime_ns;
		rep->order = (struct write_order){ost->identity.boot, object_wrote(ost, object, client)};
		ost->counters.writes++;
		ost->counters.written_bytes += req->len;
	}
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	if (rc == 0 && req->want_stable && ost->identity.state == TARGET_UP) { /* a replay stays its writer's until recovery is over */
		rc = object_commit(ost, object);
		rep->stable = rc == 0;
	}
	object_put(ost, object);
	return rc;
}

int ost_op_obj_write(struct ost *ost, struct rpc_call *call, const struct obj_write_req *req, struct obj_write_rep *rep)
{
	struct client *client = client_need(ost, call->frame.client);
	struct answer *answer = NULL;
	uint8_t *buffer = NULL;
	const uint8_t *data = NULL;
	int rc = check_range(req->offset, req->len);
	if (rc == 0)
		rc = req->replay.verifier == 0 ? check_up(ost) : check_replay(ost, client);
	if (rc == 0)
		rc = answer_begin(ost, client, &call->frame, &answer);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		*rep = answer->write;
		return answer->rc;
	}
	task_set_step(task_current(ost->env->loop), "obj_write", "bulk");
	rc = take_data(ost, call, req, &buffer, &data);
	if (rc == 0 && req->replay.verifier != 0)
		rc = check_replay(ost, client); /* the data took its time */
	if (rc == 0 && !req->want_stable)
		rc = client_record(ost, client); /* it may have to replay: known before it hears so */
	if (rc == 0)
		rc = apply(ost, req, data, client, answer, rep);
	if (buffer != NULL)
		buffer_put(ost, buffer);
	answer->write = *rep;
	answer_end(client, answer, rc);
	return rc;
}

/* ---- commit --------------------------------------------------------------------------------------------------- */

int ost_op_obj_commit(struct ost *ost, struct rpc_call *call, const struct obj_commit_req *req, struct obj_commit_rep *rep)
{
	struct object *object = NULL;
	(void)call;
	int rc = check_up(ost);
	if (rc == 0 && tomb_find(ost, req->ino))
		rc = fail(ENOENT);
	if (rc == 0)
		rc = object_get(ost, NAME_OF(req), &object);
	if (rc < 0)
		return rc;
	task_set_step(task_current(ost->env->loop), "obj_commit", "sync");
	rc = object_commit(ost, object);
	/* With nothing left to commit, all that was ever answered is stable: an object that was out of memory meanwhile does not know how far it was. */
	rep->order = (struct write_order){ost->identity.boot, object->committed < object->applied ? object->committed : ost->next_order};
	object_put(ost, object);
	return rc;
}
