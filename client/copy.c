/* SPDX-License-Identifier: Apache-2.0
 * Copying a range of one file to another, or within one: by the servers where the objects fit each other (copy_servers.c), else through this mount's buffers,
 * several at once, holes as holes.
 *
 * Each buffer is read under a lease of the source and written under one of the destination, one after the other and never both: two mounts that copy a
 * to b and b to a do not wait for each other. What others write to either file meanwhile is copied, or not, buffer by buffer, as with read and write. */
#include "client/client_impl.h"

#define CALL_BYTES_MAX (256 * MIB) /* of one call: the kernel holds a lock on the destination, callers go on where it ended */

enum {
	AT_ONCE_MAX = 4,          /* buffers */
	HOLE_BYTES_MIN = 65536,   /* shorter ones are copied as zeros */
	TAIL_BYTES = 4096,        /* of a hole that may make the destination longer: written */
};

struct copy {
	struct client *client;
	struct client_op *op;
	struct client_file *from, *to;
	uint64_t from_at, to_at, len; /* what is left; bytes */
	uint64_t done;
	uint64_t data_end;            /* in the source: no hole before it, as far as is known */
	bool by_memory;               /* all that is left */
	struct fanout fanout;
};
struct copy_job {
	struct copy *copy;
	uint64_t from_at, to_at;
	size_t len;
	int64_t done; /* bytes, or an error */
};

static int64_t copy_buffer(struct copy_job *job)
{
	const struct copy *copy = job->copy;
	struct client_buf *buf = NULL;
	int rc = client_buf_get(copy->client, copy->op, &buf);
	if (rc < 0)
		return rc;
	int64_t len = client_read(copy->client, copy->op, copy->from, job->from_at, buf, job->len);
	if (len > 0)
		len = client_write(copy->client, copy->op, copy->to, job->to_at, buf, client_buf_ptr(buf), (size_t)len);
	client_buf_put(buf);
	return len;
}

static void copy_child(void *arg)
{
	struct copy_job *job = arg;
	job->done = copy_buffer(job);
	fanout_child_done(&job->copy->fanout, job->done < 0 ? (int)job->done : 0);
}

static void move_on(struct copy *copy, uint64_t len)
{
	copy->from_at += len;
	copy->to_at += len;
	copy->len -= len;
	copy->done += len;
	copy->client->counters.copied_bytes += len;
}

/* Up to `len` bytes of data. 1: all of it; 0: the source ended; errors. */
static int copy_data(struct copy *copy, uint64_t len)
{
	struct copy_job jobs[AT_ONCE_MAX];
	size_t count = 0;
	fanout_begin(&copy->fanout, copy->client);
	for (uint64_t at = 0; at < len && count < AT_ONCE_MAX; count++) {
		size_t part = (size_t)min_u64(len - at, CLIENT_BUF_BYTES);
		jobs[count] = (struct copy_job){.copy = copy, .from_at = copy->from_at + at, .to_at = copy->to_at + at, .len = part};
		at += part;
	}
	for (size_t i = 0; i < count; i++)
		fanout_spawn(&copy->fanout, "copy", copy_child, &jobs[i]);
	(void)fanout_wait(&copy->fanout); /* what counts is how far it went without a gap */
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].done < 0)
			return (int)jobs[i].done;
		move_on(copy, (uint64_t)jobs[i].done);
		if ((size_t)jobs[i].done < jobs[i].len)
			return 0;
	}
	return 1;
}

/* Does a hole begin here, how long is it, and how far does the data go otherwise? Of what is left. */
static int look_ahead(struct copy *copy, uint64_t *ret_hole)
{
	uint64_t data = 0, hole = 0, end = copy->from_at + copy->len;
	*ret_hole = 0;
	if (copy->from_at < copy->data_end)
		return 0;
	copy->data_end = end;
	int rc = client_seek(copy->client, copy->op, copy->from, copy->from_at, false, &data);
	if (rc == -ENXIO)
		data = end; /* a hole to the end, or nothing: reading its last bytes shows which */
	else if (rc < 0)
		return rc;
	data = min_u64(data, end);
	if (data - copy->from_at >= HOLE_BYTES_MIN) {
		*ret_hole = data - copy->from_at;
		copy->data_end = 0;
		return 0;
	}
	rc = client_seek(copy->client, copy->op, copy->from, data, true, &hole);
	if (rc == 0)
		copy->data_end = min_u64(hole, end);
	return rc == -ENXIO ? 0 : rc;
}

/* Zeros behind the destination's end need no punch, but a byte at their end; within it they do. Its last block is copied, whatever it is. */
static int copy_hole(struct copy *copy, uint64_t len)
{
	struct client_entry entry;
	int rc = client_getattr(copy->client, copy->op, copy->from->node->ino, &entry);
	if (rc < 0)
		return rc;
	if (copy->from_at >= entry.attr.size_bytes)
		return 0; /* the source ended */
	len = min_u64(len, entry.attr.size_bytes - copy->from_at);
	uint64_t holes = len > TAIL_BYTES ? len - TAIL_BYTES : 0;
	if (holes > 0) {
		rc = client_fallocate(copy->client, copy->op, copy->to, SPACE_PUNCH | SPACE_KEEP_SIZE, copy->to_at, holes);
		if (rc < 0)
			return rc;
		move_on(copy, holes);
	}
	return copy_data(copy, len - holes);
}

/* 1: some of it is done, by the servers; 0: by this mount's memory then; errors. */
static int copy_far(struct copy *copy)
{
	if (copy->by_memory)
		return 0;
	struct copy_range range = {copy->from, copy->to, copy->from_at, copy->to_at, copy->len};
	int64_t done = copy_on_servers(copy->client, copy->op, &range);
	copy->by_memory = done == -EHOSTUNREACH;
	if (done <= 0)
		return copy->by_memory ? 0 : (int)done;
	move_on(copy, (uint64_t)done);
	return 1;
}

static uint64_t data_len(const struct copy *copy)
{
	return copy->data_end > copy->from_at ? min_u64(copy->len, copy->data_end - copy->from_at) : 1;
}

static int check(const struct copy *copy)
{
	const struct client_file *from = copy->from, *to = copy->to;
	if (from->lost || to->lost)
		return fail(EIO);
	if ((from->flags & OPEN_READ) == 0 || (to->flags & OPEN_WRITE) == 0 || (to->flags & OPEN_APPEND) != 0)
		return fail(EBADF);
	if (copy->from_at > INT64_MAX || copy->to_at > INT64_MAX)
		return fail(EINVAL);
	bool overlaps = copy->to_at < copy->from_at + copy->len && copy->from_at < copy->to_at + copy->len;
	return from->node == to->node && overlaps ? fail(EINVAL) : 0;
}

int64_t client_copy(struct client *client, struct client_op *op, struct client_file *from, uint64_t from_at, struct client_file *to,
		    uint64_t to_at, uint64_t len)
{
	struct copy copy = {.client = client, .op = op, .from = from, .to = to, .from_at = from_at, .to_at = to_at};
	uint64_t room = INT64_MAX - min_u64(max_u64(from_at, to_at), INT64_MAX);
	copy.len = min_u64(min_u64(len, CALL_BYTES_MAX), room);
	int64_t atime_ns = from->node->atime_ns;
	int rc = check(&copy);
	if (rc < 0)
		return rc;
	if (copy.len == 0)
		return len == 0 || from_at == INT64_MAX ? 0 : fail(EFBIG);
	do {
		uint64_t hole = 0;
		rc = copy_far(&copy);
		if (rc != 0)
			continue;
		rc = look_ahead(&copy, &hole);
		if (rc == 0)
			rc = hole > 0 ? copy_hole(&copy, hole) : copy_data(&copy, data_len(&copy));
	} while (rc > 0 && copy.len > 0);
	kernel_size_grown(to->node, copy.done > 0 ? to_at + copy.done : 0);
	if (copy.done > 0)
		atime_copied(client, op, from->node, atime_ns);
	return copy.done > 0 ? (int64_t)copy.done : rc;
}
