/* SPDX-License-Identifier: Apache-2.0
 * obj_alloc, obj_seek: the space that objects take. */
#include "oss/oss_impl.h"

#define NAME_OF(req) ((struct object_name){(req)->ino, (req)->component, (req)->stripe})

static int check_up(struct ost *ost)
{
	if (ost->identity.state == TARGET_UP)
		return 0;
	ost->counters.grace_refusals++;
	return fail(ERR_grace);
}

/* ---- allocate ------------------------------------------------------------------------------------------------- */

static int check_range(const struct obj_alloc_req *req)
{
	uint64_t end;
	if (req->len == 0)
		return fail(EINVAL);
	return __builtin_add_overflow(req->offset, req->len, &end) || end >> OBJECT_OFFSET_BITS != 0 ? fail(EFBIG) : 0;
}

static int alloc(struct ost *ost, const struct obj_alloc_req *req, const struct client *client, const struct answer *answer,
		 struct obj_alloc_rep *rep)
{
	struct object *object = NULL;
	int rc = object_get(ost, NAME_OF(req), &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	rc = answer_check(ost, client, answer);
	if (rc == 0 && tomb_find(ost, req->ino)) {
		ost->counters.tombstone_refusals++;
		rc = fail(ENOENT);
	}
	if (rc == 0)
		rc = object_alloc(ost, object, req->offset, req->len, req->flags);
	if (rc == 0) {
		object_changed(ost, object, req->mtime_ns);
		ost->counters.allocations++;
	}
	rep->size_bytes = object->size_bytes;
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	if (rc == 0)
		rc = object_commit(ost, object);
	object_put(ost, object);
	return rc;
}

int ost_op_obj_alloc(struct ost *ost, struct rpc_call *call, const struct obj_alloc_req *req, struct obj_alloc_rep *rep)
{
	struct client *client = client_need(ost, call->frame.client);
	struct answer *answer = NULL;
	int rc = check_range(req);
	if (rc == 0)
		rc = check_up(ost); /* replays come first */
	if (rc == 0)
		rc = answer_begin(ost, client, &call->frame, &answer);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		*rep = answer->alloc;
		return answer->rc;
	}
	task_set_step(task_current(ost->env->loop), "obj_alloc", "disk");
	rc = alloc(ost, req, client, answer, rep);
	answer->alloc = *rep;
	answer_end(client, answer, rc);
	return rc;
}

/* ---- seek ----------------------------------------------------------------------------------------------------- */

int ost_op_obj_seek(struct ost *ost, struct rpc_call *call, const struct obj_seek_req *req, struct obj_seek_rep *rep)
{
	struct object *object = NULL;
	(void)call;
	int rc = check_up(ost); /* replays may fill holes */
	if (rc == 0)
		rc = object_get(ost, NAME_OF(req), &object);
	if (rc < 0)
		return rc;
	task_set_step(task_current(ost->env->loop), "obj_seek", "disk");
	object_enter(ost, object, OBJECT_SHARED);
	rc = object_seek(ost, object, req->offset, req->hole != 0, &rep->offset);
	object_leave(ost, object, OBJECT_SHARED);
	object_put(ost, object);
	return rc;
}
