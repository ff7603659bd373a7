/* SPDX-License-Identifier: Apache-2.0
 * Space of files: allocate, punch holes, zero, and find holes. A range of a file is one range in each of its objects: those at the same time.
 *
 * A change of space counts as a write of this mount: the same lease, the same size rules. It is stable when answered, so that nothing of it is kept
 * here; writes that came before it and are not stable yet have their places in history before its own, so that no replay undoes it. */
#include "client/client_impl.h"

enum { LAYOUT_TRIES_MAX = 8 };

/* One request about all objects of a file, on the stack of its task. */
struct reach {
	struct client *client;
	struct client_op *op;
	struct node *node;
	uint64_t start, end;    /* in the file; of a seek: from start on */
	unsigned flags;         /* enum space_flags */
	bool extends;           /* the object with the range's last byte is to end there, after all others have succeeded */
	bool seeks, hole;
	int64_t mtime_ns;
	uint64_t found;         /* of a seek: the lowest offset in the file; UINT64_MAX: none */
	struct layout *layout;  /* as it was: the node's may be replaced meanwhile */
	struct fanout fanout;
};
struct object_job {
	struct reach *reach;
	struct layout_piece piece;
	uint64_t start, end;    /* in the object */
	bool extends;
};

static int punch_object(const struct object_job *job)
{
	const struct reach *reach = job->reach;
	struct obj_punch_req req = {
		.ino = reach->node->ino,
		.component = job->piece.component,
		.stripe = job->piece.stripe,
		.layout_gen = reach->layout->gen,
		.offset = job->start,
		.len = job->end - job->start,
		.mtime_ns = reach->mtime_ns,
	};
	struct obj_punch_rep rep;
	return session_call(reach->client, TARGET_OST, job->piece.ost,
			    &(struct call){.op = OP_obj_punch, .req = &req, .rep = &rep, .who = reach->op});
}

static int alloc_object(const struct object_job *job)
{
	const struct reach *reach = job->reach;
	struct obj_alloc_req req = {
		.ino = reach->node->ino,
		.component = job->piece.component,
		.stripe = job->piece.stripe,
		.layout_gen = reach->layout->gen,
		.offset = job->start,
		.len = job->end - job->start,
		.flags = (uint8_t)(((reach->flags & SPACE_ZERO) != 0 ? ALLOC_ZERO : 0) | (job->extends ? ALLOC_EXTEND : 0)),
		.mtime_ns = reach->mtime_ns,
	};
	struct obj_alloc_rep rep;
	return session_call(reach->client, TARGET_OST, job->piece.ost,
			    &(struct call){.op = OP_obj_alloc, .req = &req, .rep = &rep, .who = reach->op});
}

/* Where the component of the piece ends in the file. */
static uint64_t component_end(const struct layout *layout, uint32_t id)
{
	for (uint32_t i = 0; i < layout->component_count; i++)
		if (layout->components[i].id == id)
			return layout->components[i].end;
	return 0;
}

static int seek_object(const struct object_job *job)
{
	struct reach *reach = job->reach;
	const struct layout_piece *piece = &job->piece;
	struct obj_seek_req req = {
		.ino = reach->node->ino,
		.component = piece->component,
		.stripe = piece->stripe,
		.layout_gen = reach->layout->gen,
		.offset = job->start,
		.hole = reach->hole,
	};
	struct obj_seek_rep rep;
	int rc = session_call(reach->client, TARGET_OST, piece->ost,
			      &(struct call){.op = OP_obj_seek, .req = &req, .rep = &rep, .who = reach->op});
	if (rc < 0 || rep.offset == UINT64_MAX)
		return rc;
	if (rep.offset < job->start)
		return fail(ERR_malformed);
	uint64_t at = layout_file_size(reach->layout, piece->component, piece->stripe, rep.offset + 1) - 1;
	if (at < component_end(reach->layout, piece->component))
		reach->found = min_u64(reach->found, at);
	return 0;
}

static void object_child(void *arg)
{
	struct object_job *job = arg;
	struct fanout *fanout = &job->reach->fanout;
	int rc;
	if (job->reach->seeks)
		rc = seek_object(job);
	else
		rc = (job->reach->flags & SPACE_PUNCH) != 0 ? punch_object(job) : alloc_object(job);
	fanout_child_done(fanout, rc);
}

/* The object's part of the file's range is one range. False: none. */
static bool job_init(struct reach *reach, struct object_job *job)
{
	const struct layout_piece *piece = &job->piece;
	struct layout_piece last;
	job->reach = reach;
	job->start = layout_object_size(reach->layout, piece->component, piece->stripe, reach->start);
	if (reach->seeks) {
		job->end = UINT64_MAX;
		return component_end(reach->layout, piece->component) > reach->start;
	}
	job->end = layout_object_size(reach->layout, piece->component, piece->stripe, reach->end);
	job->extends = reach->extends && layout_map(reach->layout, reach->end - 1, 1, &last) && last.component == piece->component &&
		       last.stripe == piece->stripe;
	return job->end > job->start;
}

/* All objects at once; but the one that makes the file longer comes last, so that a full disk elsewhere leaves the size as it was. */
static int reach_objects(struct reach *reach)
{
	struct layout_piece piece;
	size_t count = 0;
	uint32_t cursor = 0;
	reach->found = UINT64_MAX;
	if (!reach->seeks && !layout_map(reach->layout, reach->end - 1, 1, &piece))
		return fail(EFBIG); /* past the last component */
	CLEANUP(free_p) struct object_job *jobs = mem_alloc((reach->layout->ost_total + 1U) * sizeof(jobs[0]));
	while (count < reach->layout->ost_total && layout_next_object(reach->layout, &cursor, &jobs[count].piece))
		count += job_init(reach, &jobs[count]);
	int rc = 0;
	for (int last = 0; last < 2 && rc == 0; last++) {
		fanout_begin(&reach->fanout, reach->client);
		for (size_t i = 0; i < count; i++)
			if (jobs[i].extends == (last != 0))
				fanout_spawn(&reach->fanout, "space", object_child, &jobs[i]);
		rc = fanout_wait(&reach->fanout);
	}
	return rc;
}

/* Repeats under a newer layout: doing the same twice is harmless. */
static int reach_all(struct reach *reach)
{
	for (int i = 0; i < LAYOUT_TRIES_MAX; i++) {
		int rc = fail(ERR_stale_layout);
		if (reach->node->layout != NULL) {
			CLEANUP(free_p) struct layout *layout = mem_dup(reach->node->layout, sizeof(*layout));
			reach->layout = layout;
			rc = reach_objects(reach);
		}
		if (rc != -ERR_stale_layout)
			return rc;
		rc = attr_refresh_layout(reach->client, reach->op, reach->node);
		if (rc < 0)
			return rc;
	}
	return fail(EIO);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

int space_enter(struct client *client, struct client_op *op, struct node *node)
{
	for (;;) {
		int rc = 0;
		while (node->truncating && rc == 0)
			rc = session_wait(client, op, &node->changed);
		if (rc == 0)
			rc = lease_data_enter(client, op, node, NEED_WRITE);
		if (rc < 0)
			return rc;
		rc = node->truncating ? 0 : small_move(client, op, node); /* space is the objects' */
		if (rc == 0)
			rc = behind_flush(client, op, node);
		if (rc == 0 && behind_is_stuck(node))
			rc = fail(ENOSPC);
		if (rc == 0 && !node->truncating)
			return 0;
		lease_data_leave(client, op, node, NEED_WRITE);
		if (rc < 0 && rc != -ERR_not_ready)
			return rc;
	}
}

static int check_change(const struct client_file *file, unsigned flags, uint64_t offset, uint64_t len)
{
	bool punch = (flags & SPACE_PUNCH) != 0;
	if (file->lost)
		return fail(EIO);
	if ((file->flags & OPEN_WRITE) == 0)
		return fail(EBADF);
	if ((punch && (flags & SPACE_KEEP_SIZE) == 0) || (punch && (flags & SPACE_ZERO) != 0))
		return fail(EOPNOTSUPP);
	if (len == 0)
		return fail(EINVAL);
	return offset > INT64_MAX || len > INT64_MAX - offset ? fail(EFBIG) : 0;
}

int client_fallocate(struct client *client, struct client_op *op, struct client_file *file, unsigned flags, uint64_t offset, uint64_t len)
{
	struct node *node = file->node;
	int rc = check_change(file, flags, offset, len);
	if (rc == 0)
		rc = space_enter(client, op, node);
	if (rc < 0)
		return rc;
	ahead_drop_all(node);
	struct reach reach = {
		.client = client,
		.op = op,
		.node = node,
		.start = offset,
		.end = offset + len,
		.flags = flags,
		.extends = (flags & SPACE_KEEP_SIZE) == 0,
		.mtime_ns = session_mdt_now_ns(client),
	};
	rc = reach_all(&reach);
	ahead_drop_all(node);
	if (rc == 0 && file->lost)
		rc = fail(EIO); /* evicted meanwhile */
	if (rc == 0 && reach.extends)
		kernel_size_grown(node, reach.end);
	if (rc == 0) {
		node_written(client, node, reach.extends ? reach.end : 0, 0);
		attr_learn_blocks(client, op, node);
	}
	lease_data_leave(client, op, node, NEED_WRITE);
	if (rc == 0 && node->small_moved)
		rc = unstable_commit_ino(client, op, node->ino); /* what lives with the inode counts until the MDT is told otherwise */
	/* Objects that were not there, and times of a file without data, tell others nothing. */
	if (rc == 0)
		rc = attr_publish(client, op, node);
	return rc;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* Parks; a read that fills no pages may ask an MDT. */
static int size_of(struct client *client, struct client_op *op, struct node *node, uint64_t *ret_size)
{
	if (node_size_is_ours(node)) {
		*ret_size = node->size_bytes;
		return 0;
	}
	struct client_entry entry;
	int rc = attr_refresh(client, op, node->ino, &entry);
	if (rc == 0)
		*ret_size = entry.attr.size_bytes;
	return rc;
}

static int seek_leased(struct reach *reach, uint64_t *ret_offset)
{
	uint64_t size_bytes = 0;
	int rc = size_of(reach->client, reach->op, reach->node, &size_bytes);
	if (rc == 0 && reach->start >= size_bytes)
		rc = fail(ENXIO);
	if (rc == 0 && reach->node->data_place == DATA_INLINE) {
		/* What is missing to the size is a hole. */
		uint64_t data_end = min_u64(reach->node->small_len, size_bytes);
		if (!reach->hole && reach->start >= data_end)
			return fail(ENXIO);
		*ret_offset = reach->hole ? max_u64(reach->start, data_end) : reach->start;
		return 0;
	}
	if (rc == 0 && behind_is_stuck(reach->node)) {
		/* The objects do not have all the data: then there are no holes, as on a file system that knows none. */
		*ret_offset = reach->hole ? size_bytes : reach->start;
		return 0;
	}
	if (rc == 0)
		rc = reach_all(reach);
	if (rc < 0)
		return rc;
	if (!reach->hole && reach->found >= size_bytes)
		return fail(ENXIO);
	*ret_offset = min_u64(reach->found, size_bytes);
	return 0;
}

int client_seek(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, bool hole, uint64_t *ret_offset)
{
	struct node *node = file->node;
	if (file->lost)
		return fail(EIO);
	if (offset > INT64_MAX)
		return fail(ENXIO);
	/* Where a mapping of this mount was written there is data, although no object has it yet: pages come out by being dropped. */
	if (node->writers > 0)
		lease_drop_own_pages(client, node, 0, 0);
	int rc = lease_data_enter(client, op, node, NEED_READ);
	if (rc < 0)
		return rc;
	struct reach reach = {.client = client, .op = op, .node = node, .start = offset, .seeks = true, .hole = hole};
	rc = behind_flush(client, op, node);
	if (rc == 0)
		rc = seek_leased(&reach, ret_offset);
	lease_data_leave(client, op, node, NEED_READ);
	return rc;
}
