/* SPDX-License-Identifier: Apache-2.0
 * Data that was written and may still be lost by its OST: kept until a commit of the same boot covers it, sent again otherwise.
 *
 * Nothing here is freed because of a park: an object has users, a write has users, and lists are read anew after every park. A
 * write leaves its list in four ways only: stable, dropped with its file, lost to an error (counted and told), or lost to an eviction. */
#include "client/client_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#define COMMIT_AGE_NS (1 * NS_PER_S)
#define RETAIN_BYTES_MIN (512 * KIB) /* of a buffer: less is copied, so that it does not hold 1 MiB */

enum { COMMITS_PER_TARGET_MAX = 4 };

/* ---- objects and writes ---------------------------------------------------------------------------------------- */

static uint64_t object_hash(struct ino ino, uint32_t component, uint32_t stripe)
{
	return map_hash_u64(map_hash_u64(ino.v) ^ ((uint64_t)component << 32 | stripe));
}

struct uobject *unstable_object(struct client *client, const struct layout_piece *piece, struct ino ino, uint32_t layout_gen)
{
	uint64_t hash = object_hash(ino, piece->component, piece->stripe);
	for (struct map_node *at = map_first(&client->uobjects, hash); at != NULL; at = map_next(at)) {
		struct uobject *object = CONTAINER_OF(at, struct uobject, node);
		if (ino_eq(object->ino, ino) && object->component == piece->component && object->stripe == piece->stripe) {
			object->users++;
			object->layout_gen = layout_gen;
			return object;
		}
	}
	struct uobject *object = mem_alloc(sizeof(*object));
	object->ino = ino;
	object->component = piece->component;
	object->stripe = piece->stripe;
	object->layout_gen = layout_gen;
	object->ost = piece->ost;
	object->users = 1;
	list_init(&object->writes);
	list_node_init(&object->age_link);
	waitq_init(&object->committed);
	map_insert(&client->uobjects, &object->node, hash);
	return object;
}

void unstable_object_put(struct client *client, struct uobject *object)
{
	CHECK(object->users > 0);
	if (--object->users > 0 || !list_is_empty(&object->writes))
		return;
	map_remove(&client->uobjects, &object->node);
	mem_free(object);
}

static void write_free(struct uwrite *write)
{
	if (write->buf != NULL)
		client_buf_put(write->buf);
	else
		mem_free(write->data);
	mem_free(write);
}

static void write_drop(struct client *client, struct uobject *object, struct uwrite *write)
{
	list_remove(&write->link);
	write->dropped = true;
	object->bytes -= write->len;
	client->unstable_bytes -= write->len;
	if (list_is_empty(&object->writes))
		list_remove(&object->age_link);
	if (write->users == 0)
		write_free(write);
}

static void write_put(struct uwrite *write)
{
	CHECK(write->users > 0);
	if (--write->users == 0 && write->dropped)
		write_free(write);
}

static bool order_is_before(struct write_order a, struct write_order b)
{
	return a.verifier != b.verifier ? a.verifier < b.verifier : a.order < b.order;
}

static void insert_in_order(struct uobject *object, struct uwrite *write)
{
	struct list_node *at = object->writes.head.prev; /* answers come nearly in order: look from the end */
	while (at != &object->writes.head && order_is_before(write->first, CONTAINER_OF(at, struct uwrite, link)->first))
		at = at->prev;
	list_insert_before(at->next, &write->link);
}

void unstable_add(struct client *client, struct uobject *object, struct client_buf *buf, const uint8_t *data, uint32_t len,
		  uint32_t crc, uint64_t offset, int64_t mtime_ns, struct write_order order)
{
	struct uwrite *write = mem_alloc(sizeof(*write));
	/* Buffers are also what reads and new writes need: the last quarter is not kept from them. */
	if (buf != NULL && len >= RETAIN_BYTES_MIN && client->free_count > client->buf_count / 4) {
		buf->refs++;
		write->buf = buf;
		write->data = client->slab + (data - client->slab);
	} else {
		write->data = mem_dup(data, len);
	}
	write->len = len;
	write->crc = crc;
	write->offset = offset;
	write->mtime_ns = mtime_ns;
	write->first = write->held = order;
	write->seq = object->last_seq = ++client->last_seq;
	if (list_is_empty(&object->writes)) {
		object->since_ns = env_now_ns(client->env);
		list_push_back(&client->uobjects_by_age, &object->age_link);
	}
	insert_in_order(object, write);
	object->bytes += len;
	client->unstable_bytes += len;
	if (client->unstable_bytes > client->conf.unstable_bytes_max / 2)
		waitq_wake_all(&client->commit_wanted);
}

static bool has_write_up_to(const struct uobject *object, uint64_t seq)
{
	list_for_each(at, &object->writes)
		if (CONTAINER_OF(at, struct uwrite, link)->seq <= seq)
			return true;
	return false;
}

static bool is_lasting(int rc)
{
	return rc < 0 && !err_is(rc, ERR_retry) && rc != -ERR_evicted && !session_is_called_off(rc);
}

/* The OST will never take this write. ENOENT: its file is gone, nobody misses it. */
static void write_lose(struct client *client, struct uobject *object, struct uwrite *write, int rc)
{
	if (rc != -ENOENT) {
		struct node *node = node_find(client, object->ino);
		if (node != NULL)
			node_set_error(node, rc);
		client->counters.lost_bytes += write->len;
		log_line(client->conf.log, LOG_LEVEL_ERROR, "unstable",
			 "ino=%" PRIx64 " offset=%" PRIu64 " bytes=%u ost=%u err=%s did=\"lost: the next fsync or close tells\"",
			 object->ino.v, write->offset, write->len, object->ost, err_name(rc));
	}
	write_drop(client, object, write);
}

/* ---- sending again --------------------------------------------------------------------------------------------- */

/* Send [from, from+len) of the write with its place in history. target NULL: through the session, until there is an answer. */
static int resend_part(struct client *client, struct target *target, const struct uobject *object, const struct uwrite *write,
		       uint32_t from, uint32_t len, struct write_order *ret_held, bool *ret_stable)
{
	struct net *net = client->env->net;
	bool whole = len == write->len;
	bool by_rma = write->buf != NULL && len > client->conf.inline_bytes_max;
	struct obj_write_req req = {
		.ino = object->ino,
		.component = object->component,
		.stripe = object->stripe,
		.layout_gen = object->layout_gen,
		.offset = write->offset + from,
		.len = len,
		.crc = whole ? write->crc : crc32c(0, write->data + from, len),
		.mtime_ns = write->mtime_ns,
		.replay = write->first,
	};
	if (by_rma)
		req.source = net->ops->mr_describe(client->slab_mr, (size_t)(write->data - client->slab) + from, len);
	else
		req.data = blob_of(write->data + from, len);
	struct obj_write_rep rep;
	struct call call = {.op = OP_obj_write, .req = &req, .rep = &rep, .bulk_len = by_rma ? len : 0};
	int rc = target != NULL ? session_attempt(target, &call) : session_call(client, TARGET_OST, object->ost, &call);
	if (rc < 0)
		return rc;
	client->counters.replays_sent++;
	*ret_held = rep.order;
	*ret_stable = rep.stable != 0;
	return 0;
}

/* Parks; the write has a user. Data that was copied lies in no registered memory: it travels inline, in parts with the same place in history. A
 * buffer to copy it to is not waited for: whoever has the buffers may wait for this replay. */
static int resend(struct client *client, struct target *target, struct uobject *object, struct uwrite *write)
{
	struct write_order held = {0, 0};
	bool stable = true;
	int rc = 0;
	uint32_t step = write->buf != NULL ? write->len : INLINE_BYTES_MAX - 1024;
	for (uint32_t from = 0; from < write->len && rc == 0; from += step) {
		struct write_order part = held;
		bool part_stable = false;
		rc = resend_part(client, target, object, write, from, (uint32_t)min_u64(step, write->len - from), &part, &part_stable);
		if (rc == 0 && from > 0 && part.verifier != held.verifier)
			rc = fail(ERR_retry); /* another restart in between: the first parts may be lost again */
		held = part;
		stable = stable && part_stable;
	}
	if (write->dropped)
		return rc;
	if (is_lasting(rc)) {
		write_lose(client, object, write, rc);
		return 0;
	}
	if (rc == 0 && stable)
		write_drop(client, object, write);
	else if (rc == 0)
		write->held = held;
	return rc;
}

/* The first write that `verifier` does not hold; all of them of one object come before those of the next. */
static struct uwrite *first_not_held(const struct uobject *object, uint64_t verifier, uint64_t seq_max)
{
	list_for_each(at, &object->writes) {
		struct uwrite *write = CONTAINER_OF(at, struct uwrite, link);
		if (write->held.verifier != verifier && write->seq <= seq_max)
			return write;
	}
	return NULL;
}

static int resend_object(struct client *client, struct target *target, struct uobject *object, uint64_t verifier, uint64_t seq_max)
{
	struct uwrite *write = first_not_held(object, verifier, seq_max);
	int rc = 0;
	while (write != NULL && rc == 0) {
		write->users++;
		rc = resend(client, target, object, write);
		struct uwrite *next = NULL;
		if (write->dropped || write->held.verifier != verifier)
			next = rc == 0 && write->dropped ? first_not_held(object, verifier, seq_max) : NULL;
		else
			for (struct list_node *at = write->link.next; at != &object->writes.head && next == NULL; at = at->next)
				if (CONTAINER_OF(at, struct uwrite, link)->held.verifier != verifier)
					next = CONTAINER_OF(at, struct uwrite, link);
		write_put(write);
		write = next;
	}
	return rc;
}

static struct uobject *first_to_replay(struct client *client, const struct target *target, uint64_t boot)
{
	list_for_each(at, &client->uobjects_by_age) {
		struct uobject *object = CONTAINER_OF(at, struct uobject, age_link);
		if (object->ost == target->index && first_not_held(object, boot, UINT64_MAX) != NULL)
			return object;
	}
	return NULL;
}

int unstable_replay(struct client *client, struct target *target)
{
	uint64_t boot = target->boot;
	struct uobject *object;
	while ((object = first_to_replay(client, target, boot)) != NULL) {
		if (target->boot != boot || client->ended)
			return fail(ERR_retry);
		object->users++;
		int rc = resend_object(client, target, object, boot, UINT64_MAX);
		unstable_object_put(client, object);
		if (rc < 0)
			return rc;
	}
	return target->boot == boot ? 0 : fail(ERR_retry);
}

/* ---- committing ------------------------------------------------------------------------------------------------- */

static void free_stable(struct client *client, struct uobject *object, struct write_order order)
{
	list_for_each_safe(at, tmp, &object->writes) {
		struct uwrite *write = CONTAINER_OF(at, struct uwrite, link);
		if (write->held.verifier == order.verifier && write->held.order <= order.order)
			write_drop(client, object, write);
	}
	if (list_is_empty(&object->writes))
		return;
	object->since_ns = env_now_ns(client->env);
	list_remove(&object->age_link);
	list_push_back(&client->uobjects_by_age, &object->age_link);
}

static void lose_up_to(struct client *client, struct uobject *object, uint64_t seq, int rc)
{
	list_for_each_safe(at, tmp, &object->writes) {
		struct uwrite *write = CONTAINER_OF(at, struct uwrite, link);
		if (write->seq <= seq)
			write_lose(client, object, write, rc);
	}
}

/* One commit, and what it shows to be lost sent again. 0: progress; the caller looks at what is left. */
static int commit_round(struct client *client, struct client_op *op, struct uobject *object)
{
	uint64_t seq = object->last_seq;
	struct obj_commit_req req = {.ino = object->ino, .component = object->component, .stripe = object->stripe};
	struct obj_commit_rep rep;
	client->counters.commits++;
	int rc = session_call(client, TARGET_OST, object->ost,
			      &(struct call){.op = OP_obj_commit, .req = &req, .rep = &rep, .who = op});
	if (rc == 0) {
		free_stable(client, object, rep.order);
		rc = resend_object(client, NULL, object, rep.order.verifier, seq);
		return err_is(rc, ERR_retry) ? 0 : rc;
	}
	if (!is_lasting(rc))
		return rc;
	lose_up_to(client, object, seq, rc);
	return rc == -ENOENT ? 0 : rc;
}

/* Parks until what was written to the object so far is stable. The caller is a user of the object. */
static int commit_object(struct client *client, struct client_op *op, struct uobject *object)
{
	uint64_t seq = object->last_seq;
	while (has_write_up_to(object, seq)) {
		if (object->committing) {
			int rc = session_wait(client, op, &object->committed);
			if (rc < 0)
				return rc;
			continue;
		}
		object->committing = true;
		int rc = commit_round(client, op, object);
		object->committing = false;
		waitq_wake_all(&object->committed);
		if (rc < 0)
			return rc;
	}
	return 0;
}

struct commit_job {
	struct fanout *fanout;
	struct client_op *op;
	struct uobject *object;
};

static void commit_child(void *arg)
{
	struct commit_job *job = arg;
	struct fanout *fanout = job->fanout;
	int rc = commit_object(fanout->client, job->op, job->object);
	unstable_object_put(fanout->client, job->object);
	fanout_child_done(fanout, rc);
}

/* All objects of `ino` (INO_NONE: of all files) at once. */
static int commit_many(struct client *client, struct client_op *op, struct ino ino)
{
	size_t count = 0;
	list_for_each(at, &client->uobjects_by_age)
		count += ino.v == 0 || ino_eq(CONTAINER_OF(at, struct uobject, age_link)->ino, ino);
	if (count == 0)
		return 0;
	CLEANUP(free_p) struct commit_job *jobs = mem_alloc(count * sizeof(jobs[0]));
	struct fanout fanout;
	fanout_begin(&fanout, client);
	count = 0;
	list_for_each(at, &client->uobjects_by_age) {
		struct uobject *object = CONTAINER_OF(at, struct uobject, age_link);
		if (ino.v != 0 && !ino_eq(object->ino, ino))
			continue;
		object->users++;
		jobs[count] = (struct commit_job){&fanout, op, object};
		fanout_spawn(&fanout, "commit", commit_child, &jobs[count]);
		count++;
	}
	return fanout_wait(&fanout);
}

bool unstable_has(const struct client *client, struct ino ino, uint64_t seq)
{
	list_for_each(at, &client->uobjects_by_age) {
		const struct uobject *object = CONTAINER_OF(at, struct uobject, age_link);
		if (ino_eq(object->ino, ino) && has_write_up_to(object, seq))
			return true;
	}
	return false;
}

int unstable_commit_ino(struct client *client, struct client_op *op, struct ino ino)
{
	return commit_many(client, op, ino);
}

int unstable_commit_all(struct client *client, struct client_op *op)
{
	return commit_many(client, op, INO_NONE);
}

int unstable_reserve(struct client *client, struct client_op *op, uint32_t len)
{
	while (client->unstable_bytes > 0 && client->unstable_bytes + len > client->conf.unstable_bytes_max) {
		struct list_node *oldest = list_first(&client->uobjects_by_age);
		CHECK(oldest != NULL);
		struct uobject *object = CONTAINER_OF(oldest, struct uobject, age_link);
		object->users++;
		int rc = commit_object(client, op, object);
		unstable_object_put(client, object);
		if (rc < 0 && !is_lasting(rc))
			return rc; /* a lasting error is another file's: it was told there, and made room */
	}
	return 0;
}

/* ---- the background -------------------------------------------------------------------------------------------- */

struct background_commit {
	struct client *client;
	struct target *target;
	struct uobject *object;
};

static void background_commit_task(void *arg)
{
	struct background_commit *job = arg;
	struct client *client = job->client;
	(void)commit_object(client, NULL, job->object); /* errors stay at the node */
	job->object->queued = false;
	unstable_object_put(client, job->object);
	job->target->commits_running--;
	mem_free(job);
	waitq_wake_all(&client->commit_wanted);
	session_task_done(client);
}

static void start_due(struct client *client, uint64_t now_ns)
{
	bool pressed = client->unstable_bytes > client->conf.unstable_bytes_max / 2;
	list_for_each(at, &client->uobjects_by_age) {
		struct uobject *object = CONTAINER_OF(at, struct uobject, age_link);
		if (!pressed && object->since_ns + COMMIT_AGE_NS > now_ns)
			continue;
		struct target *target = session_target(client, TARGET_OST, object->ost);
		if (target == NULL || object->queued || object->committing ||
		    target->commits_running >= COMMITS_PER_TARGET_MAX)
			continue;
		struct background_commit *job = mem_alloc(sizeof(*job));
		*job = (struct background_commit){client, target, object};
		object->users++;
		object->queued = true;
		target->commits_running++;
		session_spawn(client, "commit", background_commit_task, job);
	}
}

void unstable_committer_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		uint64_t now_ns = env_now_ns(client->env);
		if (client->joined)
			start_due(client, now_ns);
		(void)waitq_wait(&client->commit_wanted, client_loop(client), now_ns + COMMIT_AGE_NS); /* either way */
	}
	session_daemon_done(client);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

uint32_t unstable_files(const struct client *client, uint64_t *ret_inos, size_t max)
{
	CLEANUP(free_p) uint64_t *inos = mem_alloc((client->uobjects.count + behind_inos(client, NULL) + 1) * sizeof(inos[0]));
	size_t objects = behind_inos(client, inos);
	list_for_each(at, &client->uobjects_by_age)
		inos[objects++] = CONTAINER_OF(at, struct uobject, age_link)->ino.v;
	qsort(inos, objects, sizeof(inos[0]), compare_u64); /* the stripes of one file side by side */
	uint32_t files = 0;
	for (size_t i = 0; i < objects; i++) {
		if (i > 0 && inos[i] == inos[i - 1])
			continue;
		if (files < max)
			ret_inos[files] = inos[i];
		files++;
	}
	return files;
}

/* ---- dropping --------------------------------------------------------------------------------------------------- */

static void drop_writes(struct client *client, struct uobject *object)
{
	object->users++;
	list_for_each_safe(at, tmp, &object->writes)
		write_drop(client, object, CONTAINER_OF(at, struct uwrite, link));
	unstable_object_put(client, object);
}

void unstable_drop_all(struct client *client)
{
	struct list_node *first;
	while ((first = list_first(&client->uobjects_by_age)) != NULL) {
		struct uobject *object = CONTAINER_OF(first, struct uobject, age_link);
		struct node *node = node_find(client, object->ino);
		if (node != NULL)
			node_set_error(node, -EIO);
		drop_writes(client, object);
	}
}

void unstable_free_all(struct client *client)
{
	struct map_iter iter = map_iter_begin(&client->uobjects);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct uobject *object = CONTAINER_OF(at, struct uobject, node);
		object->users++; /* tasks that had it never run again */
		list_for_each_safe(link, tmp, &object->writes)
			write_drop(client, object, CONTAINER_OF(link, struct uwrite, link));
		map_remove(&client->uobjects, &object->node);
		mem_free(object);
	}
	map_fini(&client->uobjects);
}
