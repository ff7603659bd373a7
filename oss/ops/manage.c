/* SPDX-License-Identifier: Apache-2.0
 * obj_punch, obj_destroy, obj_stat, ost_statfs: what MDTs ask, mostly. */
#include "oss/oss_impl.h"
#include "proto/rows.h"

enum { ROWS_MAX = 4096, STAT_ROWS_MAX = 1024 };

static int check_up(struct ost *ost)
{
	if (ost->identity.state == TARGET_UP)
		return 0;
	ost->counters.grace_refusals++;
	return fail(ERR_grace);
}

/* ---- punch ---------------------------------------------------------------------------------------------------- */

static int punch(struct ost *ost, const struct obj_punch_req *req, const struct client *client, const struct answer *answer,
		 struct obj_punch_rep *rep)
{
	struct object *object = NULL;
	int rc = object_get(ost, (struct object_name){req->ino, req->component, req->stripe}, &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	rc = answer_check(ost, client, answer);
	if (rc == 0 && object->exists) {
		rc = req->len == UINT64_MAX ? object_cut(ost, object, req->offset) : object_zero(ost, object, req->offset, req->len);
		if (rc == 0) {
			object_changed(ost, object, req->mtime_ns);
			ost->counters.punches++;
		}
	}
	rep->size_bytes = object->size_bytes;
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	if (rc == 0)
		rc = object_commit(ost, object);
	object_put(ost, object);
	return rc;
}

int ost_op_obj_punch(struct ost *ost, struct rpc_call *call, const struct obj_punch_req *req, struct obj_punch_rep *rep)
{
	struct client *client = client_need(ost, call->frame.client);
	struct answer *answer = NULL;
	int rc = check_up(ost); /* replays come first */
	if (rc == 0)
		rc = answer_begin(ost, client, &call->frame, &answer);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		*rep = answer->punch;
		return answer->rc;
	}
	task_set_step(task_current(ost->env->loop), "obj_punch", "disk");
	rc = punch(ost, req, client, answer, rep);
	answer->punch = *rep;
	answer_end(client, answer, rc);
	return rc;
}

/* ---- destroy -------------------------------------------------------------------------------------------------- */

static int destroy_one(struct ost *ost, const struct object_row *row, bool ret_dirs[OBJECT_DIRS], uint32_t *removed)
{
	struct object_name name = {row->ino, row->component, row->stripe};
	struct object *object = NULL;
	bool existed = false;
	int rc = object_get(ost, name, &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_EXCLUSIVE);
	tomb_add(ost, row->ino);
	rc = object_destroy(ost, object, &existed);
	object_leave(ost, object, OBJECT_EXCLUSIVE);
	object_put(ost, object);
	/* Also when it is not there: an earlier life may have removed it without living to sync the directory. */
	ret_dirs[map_hash_u64(row->ino.v) % OBJECT_DIRS] = true;
	*removed += existed;
	ost->counters.destroyed += existed;
	return rc;
}

int ost_op_obj_destroy(struct ost *ost, struct rpc_call *call, const struct obj_destroy_req *req, struct obj_destroy_rep *rep)
{
	bool *dirs = arena_alloc(&call->arena, OBJECT_DIRS * sizeof(bool));
	struct wire_in in = wire_in(req->objects);
	int rc = call->role == ROLE_MDT ? 0 : fail(EPERM);
	task_set_step(task_current(ost->env->loop), "obj_destroy", "disk");
	for (uint32_t count = 0; rc == 0 && wire_left(&in) > 0; count++) {
		struct object_row row = object_row_get(&in);
		if (in.err < 0 || count == ROWS_MAX)
			return fail(ERR_malformed);
		rc = destroy_one(ost, &row, dirs, &rep->removed);
	}
	for (unsigned i = 0; i < OBJECT_DIRS && rc == 0; i++)
		if (dirs[i])
			rc = ost->env->disk->ops->dir_sync(ost->env->disk, arena_printf(&call->arena, "o/%02x", i));
	/* Tombs too: what comes late must find them, in this boot or the next. */
	if (rc == 0)
		rc = kvq_wait(&ost->kvq, ost->kvq.count > 0 ? ost->kvq.collecting : ost->kvq.collecting - 1);
	return rc;
}

/* ---- stat ----------------------------------------------------------------------------------------------------- */

int ost_op_obj_stat(struct ost *ost, struct rpc_call *call, const struct obj_stat_req *req, struct obj_stat_rep *rep)
{
	size_t count = req->objects.len / OBJECT_ROW_BYTES;
	struct wire_in in = wire_in(req->objects);
	int rc = check_up(ost); /* replays may make them longer */
	if (rc == 0 && (count > STAT_ROWS_MAX || req->objects.len % OBJECT_ROW_BYTES != 0))
		rc = fail(ERR_malformed);
	if (rc < 0)
		return rc;
	struct wire_out out = wire_out(arena_alloc(&call->arena, count * OBJECT_STAT_ROW_BYTES + 1), count * OBJECT_STAT_ROW_BYTES);
	for (size_t i = 0; i < count; i++) {
		struct object_row row = object_row_get(&in);
		struct object *object = NULL;
		rc = object_get(ost, (struct object_name){row.ino, row.component, row.stripe}, &object);
		if (rc < 0)
			return rc;
		struct object_stat_row stat = {0};
		if (object->exists) {
			char path[OBJECT_PATH_BYTES];
			struct disk_stat on_disk = {0};
			ost_object_path(row.ino, row.component, row.stripe, path);
			(void)ost->env->disk->ops->stat(ost->env->disk, path, &on_disk); /* allocation is an estimate anyway */
			stat = (struct object_stat_row){object->size_bytes, on_disk.allocated_bytes, object->mtime_ns};
		}
		object_put(ost, object);
		object_stat_row_put(&out, &stat);
	}
	rep->stats = blob_of(out.base, wire_len(&out));
	return out.err;
}

int ost_op_ost_statfs(struct ost *ost, struct rpc_call *call, const struct ost_statfs_req *req, struct ost_statfs_rep *rep)
{
	struct disk_space space = {0};
	(void)call;
	(void)req;
	int rc = ost->env->disk->ops->space(ost->env->disk, &space);
	if (rc < 0)
		return rc;
	rep->total_bytes = space.total_bytes;
	rep->free_bytes = space.free_bytes;
	rep->available_bytes = space.available_bytes;
	rep->objects = space.files_total - space.files_free;
	rep->objects_free = space.files_free;
	return 0;
}
