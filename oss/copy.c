/* SPDX-License-Identifier: Apache-2.0
 * What copies are made from: objects of this OST, and of others, which are asked as a client asks them.
 *
 * It owns the connections to other OSTs and a few buffers that nothing else uses. Two OSTs that copy from each other at the same time never wait for each
 * other's memory: whoever waits for another OST's answer holds one of these and no gate, and what the other one answers with is an ordinary buffer. */
#include "oss/oss_impl.h"
#include "common/base/crc.h"

#define SOURCE_TIMEOUT_NS (4 * NS_PER_S) /* of one question: below the callers' 5 s */
#define BUFFER_WAIT_NS    (2 * NS_PER_S) /* then the caller repeats: nobody who was evicted is waited for because others copy */

enum { CORRUPT_TRIES_MAX = 3 };

struct source_ost {
	struct list_node link; /* copier.sources */
	uint32_t index;
	struct rpc_peer *peer;
	bool right;            /* whoever said hello last is the one that was meant */
};

/* ---- buffers -------------------------------------------------------------------------------------------------- */

int copier_init(struct ost *ost)
{
	struct copier *copier = &ost->copier;
	size_t bytes = (size_t)COPY_BUFFERS * BUFFER_BYTES;
	copier->slab = mem_alloc_aligned(BLOCK_BYTES, bytes);
	memset(copier->slab, 0, bytes); /* its pages exist before RMA wants them */
	for (uint32_t i = 0; i < COPY_BUFFERS; i++)
		copier->free_buffers[copier->free_count++] = copier->slab + (size_t)i * BUFFER_BYTES;
	return ost->env->net->ops->mr_open(ost->env->net, copier->slab, bytes, NET_ACCESS_REMOTE_WRITE, &copier->slab_mr);
}

void copier_fini(struct ost *ost)
{
	struct copier *copier = &ost->copier;
	struct list_node *link;
	while ((link = list_pop_front(&copier->sources)) != NULL)
		mem_free(CONTAINER_OF(link, struct source_ost, link)); /* its peer went with the rpc */
	if (copier->slab_mr != NULL)
		ost->env->net->ops->mr_close(copier->slab_mr);
	mem_free(copier->slab);
}

int copy_buffer_get(struct ost *ost, uint8_t **ret_buffer)
{
	struct copier *copier = &ost->copier;
	uint64_t deadline_ns = env_now_ns(ost->env) + BUFFER_WAIT_NS;
	while (copier->free_count == 0)
		if (waitq_wait(&copier->buffer_q, ost->env->loop, deadline_ns) < 0)
			return fail(ERR_busy);
	*ret_buffer = copier->free_buffers[--copier->free_count];
	return 0;
}

void copy_buffer_put(struct ost *ost, uint8_t *buffer)
{
	ost->copier.free_buffers[ost->copier.free_count++] = buffer;
	waitq_wake_one(&ost->copier.buffer_q);
}

/* ---- other OSTs ----------------------------------------------------------------------------------------------- */

/* The address may be an old one, where another target listens by now: an object that it does not have would be zeros. */
static void on_hello(void *ctx, struct rpc_peer *peer, const struct hello_rep *rep)
{
	struct source_ost *source = ctx;
	(void)peer;
	source->right = rep->kind == TARGET_OST && rep->index == source->index;
}

static int source_find(struct ost *ost, uint32_t index, struct source_ost **ret_source)
{
	const struct cmap_target *row = cmap_find(ost->map, TARGET_OST, index);
	if (row == NULL)
		return fail(EINVAL);
	if (row->address[0] == '\0')
		return fail(EHOSTUNREACH);
	struct source_ost *source = NULL;
	list_for_each(at, &ost->copier.sources)
		if (CONTAINER_OF(at, struct source_ost, link)->index == index)
			source = CONTAINER_OF(at, struct source_ost, link);
	if (source == NULL) {
		source = mem_alloc(sizeof(*source));
		source->index = index;
		source->peer = rpc_peer_new(ost->rpc, row->address);
		rpc_peer_on_hello(source->peer, on_hello, source);
		list_push_back(&ost->copier.sources, &source->link);
	}
	rpc_peer_set_address(source->peer, row->address);
	*ret_source = source;
	return 0;
}

/* One attempt: whoever asks us has another way, and others wait for what he holds meanwhile. */
static int ask(struct ost *ost, uint32_t index, enum op op, const void *req, void *ret_rep, uint32_t bulk_len)
{
	struct source_ost *source = NULL;
	int rc = source_find(ost, index, &source);
	if (rc < 0)
		return rc;
	rc = rpc_call(source->peer, op, req, ret_rep, &(struct rpc_args){.timeout_ns = SOURCE_TIMEOUT_NS, .bulk_len = bulk_len});
	if (rc == 0 && source->right)
		return 0;
	if (rc == 0 || err_is(rc, ERR_retry) || rc == -ERR_version || rc == -ERR_wrong_cluster || rc == -ERR_unknown_op)
		return fail(EHOSTUNREACH);
	return rc;
}

static int read_far(struct ost *ost, const struct copy_source *source, uint64_t offset, uint8_t *buffer, uint32_t len)
{
	struct obj_read_req req = {
		.ino = source->name.ino,
		.component = source->name.component,
		.stripe = source->name.stripe,
		.layout_gen = source->layout_gen,
		.offset = offset,
		.len = len,
		.dest = ost->env->net->ops->mr_describe(ost->copier.slab_mr, (size_t)(buffer - ost->copier.slab), len),
	};
	struct obj_read_rep rep;
	int rc = -ERR_corrupt;
	for (int i = 0; i < CORRUPT_TRIES_MAX && rc == -ERR_corrupt; i++) { /* damage on the way is mended by another try, damage on the disk is not */
		rc = ask(ost, source->ost, OP_obj_read, &req, &rep, len);
		if (rc == 0 && rep.len > len)
			return fail(ERR_malformed);
		if (rc == 0 && crc32c(0, buffer, rep.len) != rep.crc) {
			ost->counters.crc_errors++;
			rc = fail(ERR_corrupt);
		}
	}
	return rc < 0 ? rc : (int)rep.len;
}

/* ---- sources -------------------------------------------------------------------------------------------------- */

int64_t copy_source_read(struct ost *ost, const struct copy_source *source, uint64_t offset, uint8_t *buffer, size_t len, uint8_t **ret_data)
{
	if (source->ost != ost->identity.index) {
		*ret_data = buffer;
		return read_far(ost, source, offset, buffer, (uint32_t)len);
	}
	struct object *object = NULL;
	int64_t rc = object_get(ost, source->name, &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_SHARED);
	rc = object_read(ost, object, offset, buffer, len, ret_data);
	object_leave(ost, object, OBJECT_SHARED);
	object_put(ost, object);
	return rc;
}

int copy_source_seek(struct ost *ost, const struct copy_source *source, uint64_t offset, bool hole, uint64_t *ret_offset)
{
	int rc;
	if (source->ost != ost->identity.index) {
		struct obj_seek_req req = {
			.ino = source->name.ino,
			.component = source->name.component,
			.stripe = source->name.stripe,
			.layout_gen = source->layout_gen,
			.offset = offset,
			.hole = hole,
		};
		struct obj_seek_rep rep;
		rc = ask(ost, source->ost, OP_obj_seek, &req, &rep, 0);
		if (rc == 0 && rep.offset < offset)
			rc = fail(ERR_malformed);
		if (rc == 0)
			*ret_offset = rep.offset;
		return rc;
	}
	struct object *object = NULL;
	rc = object_get(ost, source->name, &object);
	if (rc < 0)
		return rc;
	object_enter(ost, object, OBJECT_SHARED);
	rc = object_seek(ost, object, offset, hole, ret_offset);
	object_leave(ost, object, OBJECT_SHARED);
	object_put(ost, object);
	return rc;
}
