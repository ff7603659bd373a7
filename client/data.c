/* SPDX-License-Identifier: Apache-2.0
 * File data: ranges are cut into pieces by the layout, pieces go to their OSTs in parallel, buffers are reached by RMA. */
#include "client/client_impl.h"

enum {
	PIECES_MAX = CLIENT_BUF_BYTES / STRIPE_BYTES_MIN + 2 + LAYOUT_COMPONENTS_MAX,
	LAYOUT_TRIES_MAX = 8,
	CORRUPT_TRIES_MAX = 3,
	SIZE_TRIES_MAX = 8,
};

/* ---- children ---------------------------------------------------------------------------------------------------- */

void fanout_begin(struct fanout *fanout, struct client *client)
{
	*fanout = (struct fanout){.client = client, .parent = task_current(client_loop(client))};
}

void fanout_spawn(struct fanout *fanout, const char *name, void (*fn)(void *arg), void *arg)
{
	fanout->running++;
	task_spawn(client_loop(fanout->client), name, fn, arg);
}

void fanout_child_done(struct fanout *fanout, int rc)
{
	if (rc < 0 && fanout->rc == 0)
		fanout->rc = rc;
	if (--fanout->running == 0)
		task_wake(fanout->parent);
}

int fanout_wait(struct fanout *fanout)
{
	while (fanout->running > 0)
		task_park(client_loop(fanout->client));
	return fanout->rc;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* One read or write, on the stack of its task. */
struct transfer {
	struct client *client;
	struct client_op *op;
	struct node *node;
	struct client_buf *buf; /* NULL: data is not registered memory, and fits into one message */
	uint8_t *data;          /* in buf: where file offset `offset` lies */
	uint64_t offset;
	size_t len;
	uint32_t layout_gen;
	uint64_t client_id;     /* of a write: as whom; who was evicted since has no right to it any more */
	int64_t mtime_ns;       /* of a write */
	bool writes;
	uint64_t short_at;      /* of a read: the lowest file offset past an object's end; UINT64_MAX: none */
	uint64_t filled;        /* of a write: reads that had filled pages when it was asked for; it may wait for long */
	bool overtaken;         /* a read: its end was found under another lease than its data; it is made again */
	struct fanout fanout;
};
struct piece_job {
	struct transfer *transfer;
	struct layout_piece piece;
};

static bool fits_inline(const struct client *client, uint64_t len)
{
	return len <= client->conf.inline_bytes_max;
}

static struct rma describe(struct client *client, const uint8_t *data, uint32_t len)
{
	return client->env->net->ops->mr_describe(client->slab_mr, (size_t)(data - client->slab), len);
}

static int write_piece(struct transfer *transfer, const struct layout_piece *piece)
{
	struct client *client = transfer->client;
	uint8_t *data = transfer->data + (piece->file_offset - transfer->offset);
	uint32_t len = (uint32_t)piece->len;
	int rc = unstable_reserve(client, transfer->op, len);
	if (rc == 0 && client->identity.client != transfer->client_id)
		rc = fail(ERR_evicted);
	if (rc < 0)
		return rc;
	struct obj_write_req req = {
		.ino = transfer->node->ino,
		.component = piece->component,
		.stripe = piece->stripe,
		.layout_gen = transfer->layout_gen,
		.offset = piece->object_offset,
		.len = len,
		.crc = crc32c(0, data, len),
		.mtime_ns = transfer->mtime_ns,
	};
	bool by_rma = transfer->buf != NULL && !fits_inline(client, len);
	if (by_rma)
		req.source = describe(client, data, len);
	else
		req.data = blob_of(data, len);
	struct obj_write_rep rep;
	struct uobject *object = unstable_object(client, piece, transfer->node->ino, transfer->layout_gen);
	rc = session_call(client, TARGET_OST, piece->ost,
			  &(struct call){.op = OP_obj_write, .req = &req, .rep = &rep, .bulk_len = by_rma ? len : 0, .who = transfer->op});
	if (rc == 0 && !rep.stable)
		unstable_add(client, object, transfer->buf, data, len, req.crc, req.offset, req.mtime_ns, rep.order);
	unstable_object_put(client, object);
	return rc;
}

/* One attempt to read; ERR_corrupt when what came is not what was sent. */
static int read_piece(struct transfer *transfer, const struct layout_piece *piece)
{
	struct client *client = transfer->client;
	uint8_t *data = transfer->data + (piece->file_offset - transfer->offset);
	uint32_t len = (uint32_t)piece->len;
	struct obj_read_req req = {
		.ino = transfer->node->ino,
		.component = piece->component,
		.stripe = piece->stripe,
		.layout_gen = transfer->layout_gen,
		.offset = piece->object_offset,
		.len = len,
	};
	bool by_rma = !fits_inline(client, len);
	if (by_rma)
		req.dest = describe(client, data, len);
	struct obj_read_rep rep;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	int rc = session_call(client, TARGET_OST, piece->ost,
			      &(struct call){.op = OP_obj_read, .req = &req, .rep = &rep, .arena = &arena,
					     .bulk_len = by_rma ? len : 0, .who = transfer->op});
	if (rc < 0)
		return rc;
	if (rep.len > len || (!by_rma && rep.data.len != rep.len))
		return fail(ERR_malformed);
	if (!by_rma && rep.len > 0)
		memcpy(data, rep.data.ptr, rep.len);
	if (crc32c(0, data, rep.len) != rep.crc)
		return fail(ERR_corrupt);
	if (rep.len < len) {
		memset(data + rep.len, 0, len - rep.len);
		transfer->short_at = min_u64(transfer->short_at, piece->file_offset + rep.len);
	}
	return 0;
}

static int do_piece(struct transfer *transfer, const struct layout_piece *piece)
{
	int rc = 0;
	for (int i = 0; i < CORRUPT_TRIES_MAX; i++) {
		rc = transfer->writes ? write_piece(transfer, piece) : read_piece(transfer, piece);
		if (rc != -ERR_corrupt)
			break; /* damage on the way is mended by another try, damage on the disk is not */
	}
	return rc;
}

static void piece_child(void *arg)
{
	struct piece_job *job = arg;
	struct transfer *transfer = job->transfer;
	fanout_child_done(&transfer->fanout, do_piece(transfer, &job->piece));
}

/* All pieces by the layout that the node has now. */
static int do_pieces(struct transfer *transfer)
{
	struct piece_job jobs[PIECES_MAX];
	size_t count = 0;
	const struct layout *layout = transfer->node->layout;
	uint64_t at = transfer->offset, end = transfer->offset + transfer->len;
	if (layout == NULL)
		return fail(ERR_stale_layout);
	transfer->layout_gen = layout->gen;
	for (; at < end; count++) {
		if (count == PIECES_MAX || !layout_map(layout, at, end - at, &jobs[count].piece))
			return fail(EFBIG); /* past the last component */
		jobs[count].transfer = transfer;
		at += jobs[count].piece.len;
	}
	if (count == 1)
		return do_piece(transfer, &jobs[0].piece);
	fanout_begin(&transfer->fanout, transfer->client);
	for (size_t i = 0; i < count; i++)
		fanout_spawn(&transfer->fanout, transfer->writes ? "write_piece" : "read_piece", piece_child, &jobs[i]);
	return fanout_wait(&transfer->fanout);
}

/* Repeats under a newer layout: writing the same bytes twice is harmless. */
static int do_transfer(struct transfer *transfer)
{
	for (int i = 0; i < LAYOUT_TRIES_MAX; i++) {
		transfer->short_at = UINT64_MAX;
		int rc = do_pieces(transfer);
		if (rc != -ERR_stale_layout)
			return rc;
		rc = attr_refresh_layout(transfer->client, transfer->op, transfer->node);
		if (rc < 0)
			return rc;
	}
	return fail(EIO);
}

int data_write_through(struct client *client, struct client_op *op, struct node *node, const struct data_out *out)
{
	struct transfer transfer = {
		.client = client,
		.op = op,
		.node = node,
		.buf = out->buf,
		.data = (uint8_t *)out->data, /* only read */
		.offset = out->offset,
		.len = out->len,
		.client_id = out->client_id,
		.mtime_ns = out->mtime_ns,
		.writes = true,
	};
	return do_transfer(&transfer);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* How long a read is, whose objects ended early: past an object's end there are zeros or nothing, and only the size tells.
 *
 * Without a lease that keeps others from cutting the file off, it must have had the same size_gen before and after its objects were read: what is
 * read then lies between the two. Its size is the one from before, or what the objects had, if that was more. */
static int clip_through(struct transfer *transfer, bool known, uint32_t gen, uint64_t *size_bytes)
{
	struct node *node = transfer->node;
	bool asked = false;
	uint64_t size_before = *size_bytes;
	struct client_entry entry = {0};
	for (int i = 0; i < SIZE_TRIES_MAX; i++) {
		int rc = attr_refresh(transfer->client, transfer->op, node->ino, &entry);
		if (rc < 0)
			return rc;
		*size_bytes = max_u64(size_before, transfer->short_at);
		/* What was known before we asked may have been too little then already. */
		if (known && entry.attr.size_gen == gen && (asked || entry.attr.size_bytes <= *size_bytes))
			return 0;
		asked = known = true;
		gen = entry.attr.size_gen;
		size_before = entry.attr.size_bytes;
		rc = do_transfer(transfer);
		if (rc < 0 || transfer->short_at == UINT64_MAX)
			return rc;
	}
	*size_bytes = size_before; /* others cut it off all the time */
	return 0;
}

static int clip_cached(struct transfer *transfer, bool ours_before, uint64_t *size_bytes)
{
	struct node *node = transfer->node;
	if (ours_before && node_size_is_ours(node) && node->size_bytes == *size_bytes)
		return 0;
	*size_bytes = node->size_bytes;
	/* The file may have grown after the objects were read: what lies below the size must be read after it was known. */
	return transfer->short_at < *size_bytes ? do_transfer(transfer) : 0;
}

static int64_t read_objects(void *arg)
{
	struct transfer *transfer = arg;
	struct node *node = transfer->node;
	bool ours = node_size_is_ours(node), known = node->size_known;
	uint64_t size_bytes = node->size_bytes;
	uint32_t gen = node->size_gen;
	uint64_t recalled = node->recalled;
	int rc = do_transfer(transfer);
	if (rc < 0)
		return rc;
	if (transfer->short_at == UINT64_MAX)
		return (int64_t)transfer->len;
	/* A read with pages locked asks no MDT; one without a sure size is dropped with the lease that is being given back. */
	if (transfer->op->fills_pages || (ours && node_size_is_ours(node)))
		rc = clip_cached(transfer, ours, &size_bytes);
	else
		rc = clip_through(transfer, known, gen, &size_bytes);
	if (rc < 0)
		return rc;
	/* A recall does not wait for a read that goes through. If there was one, an empty file may have begun anew with its inode meanwhile, by us or by
	 * others: then the size is of that, and the objects are nothing. */
	transfer->overtaken = !ours && (node->recalled != recalled || node->data_place == DATA_INLINE || node->lease.data_mode == LEASE_NONE);
	if (transfer->short_at == UINT64_MAX)
		return (int64_t)transfer->len; /* it was read again, and by now it is full */
	return size_bytes > transfer->offset ? (int64_t)min_u64(transfer->len, size_bytes - transfer->offset) : 0;
}

static int64_t read_leased(struct transfer *transfer)
{
	struct node *node = transfer->node;
	if (node->data_place == DATA_INLINE)
		return small_read(node, transfer->offset, transfer->data, transfer->len);
	struct behind_reader reader = {transfer->offset, transfer->len, transfer->data, read_objects, transfer};
	return behind_read(transfer->client, transfer->op, node, &reader);
}

int64_t data_read_ahead(struct client *client, struct node *node, uint64_t offset, struct client_buf *buf, size_t len)
{
	struct client_op op = {.is_admin = true, .fills_pages = true}; /* the latter: no MDT is asked */
	struct transfer transfer = {
		.client = client,
		.op = &op,
		.node = node,
		.buf = buf,
		.data = client_buf_ptr(buf),
		.offset = offset,
		.len = len,
	};
	return read_leased(&transfer);
}

int64_t client_read(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, struct client_buf *buf,
		    size_t len)
{
	if (file->lost)
		return fail(EIO);
	if ((file->flags & OPEN_READ) == 0)
		return fail(EBADF);
	if (offset >= INT64_MAX)
		return 0;
	struct transfer transfer = {
		.client = client,
		.op = op,
		.node = file->node,
		.buf = buf,
		.data = client_buf_ptr(buf),
		.offset = offset,
		.len = (size_t)min_u64(min_u64(len, CLIENT_BUF_BYTES), INT64_MAX - offset),
	};
	if (transfer.len == 0)
		return 0;
	enum lease_need need = op->fills_pages ? NEED_FILL : NEED_READ;
	int64_t done;
	do {
		int rc = lease_data_enter(client, op, file->node, need);
		if (rc < 0)
			return rc;
		transfer.overtaken = false;
		ahead_follow(client, op, file->node, &file->reads, offset, transfer.len);
		done = ahead_read(client, op, file->node, offset, transfer.data, transfer.len);
		if (done == 0)
			done = read_leased(&transfer);
		if (done >= 0 && file->lost)
			done = fail(EIO); /* evicted meanwhile */
		if (done >= 0)
			atime_read(client, op, file->node);
		lease_data_leave(client, op, file->node, need);
	} while (done >= 0 && transfer.overtaken && !op->fills_pages);
	if (op->fills_pages && done >= 0 && (size_t)done < transfer.len)
		kernel_size_settle_read(client, op, file->node, offset + (uint64_t)done);
	return done;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static enum lease_need need_of(const struct client_op *op)
{
	if (op->from_pages)
		return NEED_PAGES_OUT;
	return op->appends ? NEED_APPEND : NEED_WRITE;
}

/* Under a lease, at the file's end if it appends. Nothing that counts as a running write asks an MDT: whoever recalls waits for it. Parks. */
static int enter_write(struct client *client, struct client_op *op, struct client_file *file, uint64_t *offset)
{
	struct node *node = file->node;
	enum lease_need need = need_of(op);
	for (;;) {
		int rc = 0;
		while (node->truncating && rc == 0)
			rc = session_wait(client, op, &node->changed);
		if (rc == 0)
			rc = lease_data_enter(client, op, node, need);
		if (rc < 0)
			return rc;
		bool at_end = need != NEED_APPEND || node_size_is_ours(node);
		if (!node->truncating && at_end)
			break;
		lease_data_leave(client, op, node, need);
		struct client_entry entry;
		rc = at_end ? 0 : attr_refresh(client, op, node->ino, &entry);
		if (rc < 0)
			return rc;
	}
	if (need == NEED_APPEND)
		*offset = node->size_bytes;
	return 0;
}

/* Waits until writes may begin, and counts this one in. */
static int write_begin(struct client *client, struct client_op *op, struct client_file *file, uint64_t *offset)
{
	struct node *node = file->node;
	int rc = 0;
	while (op->appends && node->appending && rc == 0)
		rc = session_wait(client, op, &node->changed);
	if (rc < 0)
		return rc;
	if (op->appends)
		node->appending = true;
	rc = enter_write(client, op, file, offset);
	if (rc == 0 && file->lost) {
		lease_data_leave(client, op, node, need_of(op));
		rc = fail(EIO);
	}
	if (rc < 0 && op->appends) {
		node->appending = false;
		waitq_wake_all(&node->changed);
	}
	return rc;
}

static void write_end(struct client *client, struct client_op *op, struct client_file *file)
{
	struct node *node = file->node;
	if (op->appends) {
		node->appending = false;
		waitq_wake_all(&node->changed);
	}
	lease_data_leave(client, op, node, need_of(op));
}

/* A mapping makes no file longer: what comes out of pages behind the end is the rest of a page, of a kernel that was not told that another mount has cut
 * the file. */
static size_t within_file(const struct client_op *op, const struct node *node, uint64_t offset, size_t len)
{
	if (!op->from_pages || !node_size_is_ours(node))
		return len;
	return offset < node->size_bytes ? (size_t)min_u64(len, node->size_bytes - offset) : 0;
}

static int write_data(struct transfer *transfer)
{
	struct client *client = transfer->client;
	int rc = small_write(client, transfer->op, transfer->node, transfer->offset, transfer->data, transfer->len);
	if (rc == 0)
		rc = behind_write(client, transfer->op, transfer->node, transfer->offset, transfer->buf, transfer->data, transfer->len);
	if (rc == 0) {
		rc = do_transfer(transfer);
		behind_passed(transfer->node, rc == 0 ? transfer->offset + transfer->len : 0);
	}
	return rc < 0 ? rc : 0;
}

/* Once under a lease. ERR_not_ready: that was lost before anything was done. */
static int write_once(struct client *client, struct client_op *op, struct client_file *file, struct transfer *transfer, size_t len)
{
	struct node *node = file->node;
	uint64_t asked = transfer->offset; /* of an append: where the kernel took the end to be */
	int rc = op->from_pages ? 0 : small_reserve(client, op); /* pages are locked: they wait for nothing */
	if (rc == 0 && !op->from_pages)
		rc = behind_reserve(client, op, node);
	if (rc == 0)
		rc = write_begin(client, op, file, &transfer->offset);
	if (rc < 0)
		return rc;
	uint64_t offset = transfer->offset;
	size_t kept = within_file(op, node, offset, len);
	transfer->len = kept;
	transfer->client_id = client->identity.client;
	transfer->mtime_ns = session_mdt_now_ns(client);
	ahead_drop(node, offset, kept);
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		rc = fail(EFBIG);
	else if (kept > 0)
		rc = write_data(transfer);
	if (rc == 0 && file->lost)
		rc = fail(EIO); /* evicted meanwhile: the data went with the rest */
	if (rc == 0 && kept > 0)
		node_written(client, node, offset + kept, kept);
	ahead_drop(node, offset, kept); /* it may have been read ahead before it was written */
	/* The kernel has dropped the pages of the range that it asked for before it sent this: what was read since may be from before. */
	if (!op->from_pages && (offset != asked || node->reads_filled != transfer->filled || node->reads_filling > 0))
		lease_drop_own_pages(client, node, offset, len);
	write_end(client, op, file);
	return rc;
}

int64_t client_write(struct client *client, struct client_op *op, struct client_file *file, uint64_t offset, struct client_buf *buf,
		     const uint8_t *data, size_t len)
{
	if (file->lost)
		return fail(EIO);
	if ((file->flags & OPEN_WRITE) == 0)
		return fail(EBADF);
	if (len == 0)
		return 0;
	if (len > CLIENT_BUF_BYTES)
		return fail(EINVAL);
	struct transfer transfer = {
		.client = client,
		.op = op,
		.node = file->node,
		.buf = buf,
		.data = client->slab + (data - client->slab),
		.writes = true,
		.filled = file->node->reads_filled,
	};
	int rc;
	do {
		transfer.offset = offset;
		rc = write_once(client, op, file, &transfer, len);
	} while (rc == -ERR_not_ready);
	if (rc >= 0 && !op->from_pages)
		kernel_size_grown(file->node, offset + len); /* also of an append: the kernel takes it to be where it asked for it */
	return rc < 0 ? rc : (int64_t)len;
}
