/* SPDX-License-Identifier: Apache-2.0
 * Attributes: what the MDT says, merged with what we know as a writer and what the objects say; and the way back: publishing sizes.
 *
 * At most one task at a time publishes a node (node->publishing), and a setattr that sets a size or an mtime counts as one: no older size or
 * mtime can then overtake it on the way. */
#include "client/client_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

#define PUBLISH_PERIOD_NS (400 * NS_PER_MS)
#define SMALL_AGE_NS      (2 * NS_PER_S) /* data of small files that are open for long is saved that often */

enum { PUBLISH_TASKS_MAX = 8, PUBLISH_TRIES_MAX = 4 };

/* ---- glimpse ----------------------------------------------------------------------------------------------------- */

int attr_refresh_layout(struct client *client, struct client_op *op, struct node *node)
{
	struct get_layout_req req = {.cred = session_cred(op), .ino = node->ino, .target = LAYOUT_OF_FILE};
	struct get_layout_rep rep;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	int rc = session_mdt_call(client, node->ino,
				  &(struct call){.op = OP_get_layout, .req = &req, .rep = &rep, .arena = &arena, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : node_set_layout(node, rep.layout);
}

struct glimpse_object {
	struct layout_piece piece;
	struct object_stat_row stat;
};
/* The objects of one OST. */
struct glimpse_job {
	struct fanout *fanout;
	struct client_op *op;
	struct ino ino;
	uint16_t ost;
	struct glimpse_object *objects; /* all of the file */
	size_t count;
};

static int glimpse_ost(struct glimpse_job *job)
{
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	uint8_t *rows = arena_alloc(&arena, job->count * OBJECT_ROW_BYTES);
	struct wire_out out = wire_out(rows, job->count * OBJECT_ROW_BYTES);
	for (size_t i = 0; i < job->count; i++)
		if (job->objects[i].piece.ost == job->ost)
			object_row_put(&out, &(struct object_row){job->ino, job->objects[i].piece.component, job->objects[i].piece.stripe});
	struct obj_stat_req req = {.objects = blob_of(rows, wire_len(&out))};
	struct obj_stat_rep rep;
	int rc = session_call(job->fanout->client, TARGET_OST, job->ost,
			      &(struct call){.op = OP_obj_stat, .req = &req, .rep = &rep, .arena = &arena, .who = job->op});
	if (rc < 0)
		return rc;
	struct wire_in in = wire_in(rep.stats);
	for (size_t i = 0; i < job->count; i++)
		if (job->objects[i].piece.ost == job->ost)
			job->objects[i].stat = object_stat_row_get(&in);
	return wire_done(&in);
}

static void glimpse_child(void *arg)
{
	struct glimpse_job *job = arg;
	fanout_child_done(job->fanout, glimpse_ost(job));
}

static bool is_first_of_ost(const struct glimpse_object *objects, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (objects[j].piece.ost == objects[i].piece.ost)
			return false;
	return true;
}

int attr_glimpse(struct client *client, struct client_op *op, struct node *node, struct attr *attr)
{
	client->counters.glimpses++;
	if (node->layout == NULL || node->layout->gen < attr->layout_gen) {
		int rc = attr_refresh_layout(client, op, node);
		if (rc < 0)
			return rc;
	}
	CLEANUP(free_p) struct layout *layout = mem_dup(node->layout, sizeof(*layout)); /* the node's may be replaced while we ask */
	CLEANUP(free_p) struct glimpse_object *objects = mem_alloc((layout->ost_total + 1U) * sizeof(objects[0]));
	CLEANUP(free_p) struct glimpse_job *jobs = mem_alloc((layout->ost_total + 1U) * sizeof(jobs[0]));
	size_t count = 0;
	uint32_t cursor = 0;
	while (count < layout->ost_total && layout_next_object(layout, &cursor, &objects[count].piece))
		count++;
	struct fanout fanout;
	fanout_begin(&fanout, client);
	for (size_t i = 0; i < count; i++) {
		if (!is_first_of_ost(objects, i))
			continue;
		jobs[i] = (struct glimpse_job){&fanout, op, node->ino, objects[i].piece.ost, objects, count};
		fanout_spawn(&fanout, "glimpse", glimpse_child, &jobs[i]);
	}
	int rc = fanout_wait(&fanout);
	if (rc < 0)
		return rc;
	uint64_t allocated_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		const struct glimpse_object *object = &objects[i];
		attr->size_bytes = max_u64(attr->size_bytes, layout_file_size(layout, object->piece.component, object->piece.stripe,
									      object->stat.size_bytes));
		/* Written since the last change of attributes: before that, utimens may have set the time that counts. */
		if (object->stat.mtime_ns > attr->mtime_ns && object->stat.mtime_ns > attr->ctime_ns)
			attr->mtime_ns = attr->ctime_ns = object->stat.mtime_ns;
		allocated_bytes += object->stat.allocated_bytes;
	}
	attr->blocks = allocated_bytes / 512;
	return 0;
}

void attr_learn_blocks(struct client *client, struct client_op *op, struct node *node)
{
	struct attr attr = {.ino = node->ino};
	uint64_t size_gen = node->size_gen;
	node->blocks_guessed = false; /* what is written while we ask is a guess again */
	node->blocks_asked = true;
	int rc = 0;
	if (node->data_place == DATA_INLINE)
		attr.blocks = round_up(node->small_len, 4096) / 512;
	else
		rc = attr_glimpse(client, op, node, &attr);
	bool useless = rc < 0 || node->truncating || node->size_gen != size_gen;
	if (useless)
		node->blocks_asked = false;
	if (useless || attr.blocks == node->blocks)
		return;
	node->blocks = attr.blocks;
	if (node->attr_valid)
		node->attr.blocks = attr.blocks;
	node_mark_dirty(client, node);
}

/* For how long the kernel may use attributes: what nobody changes without asking us, and what it is told a recall has to know. */
static uint64_t attr_ttl_ns(struct client *client, struct node *node)
{
	if (!lease_attr_ok(client, node))
		return 0;
	uint64_t ttl_ns = lease_ttl_ns(client, client->conf.attr_ttl_ns);
	node->told_ns = max_u64(node->told_ns, env_now_ns(client->env) + ttl_ns);
	return ttl_ns;
}

int attr_to_entry(struct client *client, struct client_op *op, struct attr attr, struct client_entry *ret_entry)
{
	struct node *node = node_get(client, attr.ino);
	uint64_t got = node->get_count;
	int rc = 0;
	if (S_ISREG(attr.mode)) {
		bool shared = (attr.flags & ATTR_SIZE_AT_OBJECTS) != 0 && (attr.flags & ATTR_WRITERS_SELF) == 0;
		rc = shared ? attr_glimpse(client, op, node, &attr) : 0;
		if (rc == -ESTALE || rc == -ENOENT)
			rc = 0; /* removed since the MDT answered: as it was then is a true answer */
		/* While the objects were asked, a lease on the data has come, and its size with it: what they have told is from before. */
		bool overtaken = node->get_count != got && node->get_rc == 0 && node_size_is_ours(node);
		if (rc == 0 && overtaken)
			node_own_attr(node, &attr);
		else if (rc == 0)
			node_merge_attr(client, node, &attr);
	}
	atime_merge(client, node, &attr);
	if (rc == 0)
		*ret_entry = (struct client_entry){.attr = attr, .attr_ttl_ns = attr_ttl_ns(client, node)};
	if (rc == 0 && !node->attr_valid)
		node->attr = attr; /* the last that the kernel heard */
	node_put(client, node);
	return rc;
}

bool attr_from_cache(struct client *client, struct node *node, struct client_entry *ret_entry)
{
	if (!lease_attr_ok(client, node))
		return false;
	struct attr attr = node->attr;
	if (S_ISREG(attr.mode))
		node_merge_attr(client, node, &attr);
	atime_merge(client, node, &attr);
	*ret_entry = (struct client_entry){.attr = attr, .attr_ttl_ns = attr_ttl_ns(client, node)};
	return true;
}

int attr_refresh(struct client *client, struct client_op *op, struct ino ino, struct client_entry *ret_entry)
{
	struct getattr_req req = {.ino = ino};
	struct getattr_rep rep;
	struct node *node = node_get(client, ino);
	uint64_t asked = lease_asked(client);
	int rc = session_mdt_call(client, ino, &(struct call){.op = OP_getattr, .req = &req, .rep = &rep, .who = op});
	if (rc == 0) {
		lease_take(client, node, &rep.lease, &rep.attr, asked);
		rc = attr_to_entry(client, op, rep.attr, ret_entry);
	} else if (rc == -ESTALE && node->lookups > 0 && node->attr.ino.v != 0) {
		/* The kernel refers to it, by a descriptor that only names it (O_PATH) or one that the MDT did not hear of in time: it has lost its
		 * names, and is else as it was. */
		*ret_entry = (struct client_entry){.attr = node->attr};
		atime_merge(client, node, &ret_entry->attr);
		ret_entry->attr.nlink = 0;
		rc = 0;
	}
	node_put(client, node);
	return rc;
}

int client_getattr(struct client *client, struct client_op *op, struct ino ino, struct client_entry *ret_entry)
{
	struct node *node = node_find(client, ino);
	if (node != NULL && attr_from_cache(client, node, ret_entry)) {
		client->counters.attr_hits++;
		return 0;
	}
	return attr_refresh(client, op, ino, ret_entry);
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

/* Parks. Errors: the operation was called off. */
static int publish_lock(struct client *client, struct client_op *op, struct node *node)
{
	while (node->publishing) {
		int rc = session_wait(client, op, &node->changed);
		if (rc < 0)
			return rc;
	}
	node->publishing = true;
	return 0;
}

static void publish_unlock(struct node *node)
{
	node->publishing = false;
	waitq_wake_all(&node->changed);
}

/* Somebody else truncated the file: our idea of its size is void, what is in the objects counts. Then publish that. */
static int relearn_size(struct client *client, struct client_op *op, struct node *node)
{
	node->size_known = false;
	struct getattr_req req = {.ino = node->ino};
	struct getattr_rep rep;
	int rc = session_mdt_call(client, node->ino, &(struct call){.op = OP_getattr, .req = &req, .rep = &rep, .who = op});
	if (rc == 0)
		rc = attr_glimpse(client, op, node, &rep.attr);
	if (rc < 0)
		return rc;
	/* The MDT knows less than the objects: what we learned stays ours to publish. */
	node_merge_attr(client, node, &rep.attr);
	return 0;
}

/* last: nothing is written here from now on; a newer lease, asked for meanwhile, keeps its right. */
static int publish_once(struct client *client, struct client_op *op, struct node *node, bool last)
{
	uint64_t dirtied = node->dirtied, version = node->small_version;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct blob data = {0};
	uint8_t said = node->dirty ? small_say(client, node, &arena, &data) : 0;
	struct set_size_req req = {
		.ino = node->ino,
		.flags = (uint8_t)((node->dirty ? SIZE_VALID | node_blocks_flag(node) : 0) | (last ? SIZE_LAST_WRITER : 0) | said),
		.data = data,
		.lease_number = node->lease.number,
		.size_gen = node->size_gen,
		.size_bytes = behind_size(node),
		.mtime_ns = node->mtime_ns,
		.blocks = node->blocks,
	};
	bool all = req.size_bytes == node->size_bytes; /* else it stays dirty */
	struct set_size_rep rep;
	bool says_atime = atime_say(node, &req.flags, &req.atime_ns, &req.atime_gen);
	uint64_t asked = lease_asked(client);
	if (last)
		lease_set_data_mode(client, node, lease_kept(node->lease.data_mode, LEASE_PR));
	int rc = session_mdt_call(client, node->ino, &(struct call){.op = OP_set_size, .req = &req, .rep = &rep, .who = op});
	if (rc == -ERR_stale_layout) {
		client->counters.stale_sizes++;
		/* A right to write that came meanwhile has brought the new size, and what was written since is ours to tell: also a recall, which would say
		 * nothing of a size that is not known. */
		return node->size_known && node->size_gen > req.size_gen ? 0 : relearn_size(client, op, node);
	}
	/* The answer is a grant of its own, with a number: whoever ends the right to write must name it, or nothing ends. */
	if (rc == 0)
		lease_take(client, node, &rep.lease, NULL, asked);
	if (rc == 0 && says_atime)
		atime_said(node, req.atime_ns, req.atime_gen);
	/* EPERM: by the MDT's books we do not write to it any more, so that it does not want to know. */
	bool gone = rc == -ENOENT || rc == -ESTALE;
	if (rc < 0 && !gone && rc != -EPERM)
		return rc;
	small_said(client, node, said, version, rc);
	if (node->dirty && !node->small_dirty && !node->small_moved && (gone || (all && node->dirtied == dirtied)))
		node_clean(client, node);
	return 0;
}

static int publish_locked(struct client *client, struct client_op *op, struct node *node)
{
	int rc = 0;
	uint64_t dirtied = node->dirtied; /* later writes are not what we were asked for */
	for (int i = 0; i < PUBLISH_TRIES_MAX && rc == 0 && node->dirty; i++) {
		uint64_t stale_before = client->counters.stale_sizes;
		rc = publish_once(client, op, node, false);
		if (client->counters.stale_sizes == stale_before && (node->dirtied != dirtied || behind_has(node)))
			break;
	}
	return rc;
}

int attr_publish(struct client *client, struct client_op *op, struct node *node)
{
	node->users++;
	int rc = publish_lock(client, op, node);
	if (rc == 0) {
		rc = publish_locked(client, op, node);
		publish_unlock(node);
	}
	node_put(client, node);
	return rc;
}

static int end_write_locked(struct client *client, struct node *node)
{
	int rc = 0;
	if (node->blocks_guessed && node->writers == 0)
		attr_learn_blocks(client, NULL, node);
	for (int i = 0; i < PUBLISH_TRIES_MAX && rc == 0; i++) {
		/* Somebody may have begun to write while we waited for our turn: then it ends another time. */
		bool used = node->writers > 0 || node->writers_opening > 0 || node->writes_running > 0 || node->giving || node->truncating;
		bool ends = !used && !behind_has(node) && !(node->small_moved && unstable_has(client, node->ino, node->small_moved_seq));
		uint64_t stale_before = client->counters.stale_sizes;
		if (ends)
			rc = publish_once(client, NULL, node, true);
		if (!ends || client->counters.stale_sizes == stale_before)
			break; /* else the size was one of before a truncation, and the end was not heard: with the new one again */
	}
	return rc;
}

int attr_end_write(struct client *client, struct node *node)
{
	node->users++;
	int rc = publish_lock(client, NULL, node);
	if (rc == 0) {
		rc = end_write_locked(client, node);
		publish_unlock(node);
	}
	node_put(client, node);
	return rc;
}

struct publish_job {
	struct fanout *fanout;
	struct client_op *op;
	struct node **nodes;
	size_t *next, count;
};

static void publish_child(void *arg)
{
	struct publish_job *job = arg;
	struct client *client = job->fanout->client;
	int first = 0;
	while (*job->next < job->count) {
		struct node *node = job->nodes[(*job->next)++];
		int rc = attr_publish(client, job->op, node);
		node_put(client, node);
		first = first != 0 ? first : rc;
	}
	fanout_child_done(job->fanout, first);
}

static int publish_many(struct client *client, struct client_op *op, bool (*pick)(const struct client *client, const struct node *node))
{
	size_t count = 0, next = 0;
	list_for_each(at, &client->dirty_nodes)
		count++;
	if (count == 0)
		return 0;
	CLEANUP(free_p) struct node **nodes = mem_alloc(count * sizeof(struct node *));
	count = 0;
	list_for_each(at, &client->dirty_nodes) {
		struct node *node = CONTAINER_OF(at, struct node, dirty_link);
		if (!pick(client, node))
			continue;
		nodes[count++] = node;
		node->users++;
	}
	if (count == 0)
		return 0;
	struct fanout fanout;
	fanout_begin(&fanout, client);
	struct publish_job job = {&fanout, op, nodes, &next, count};
	for (size_t i = 0; i < min_u64(count, PUBLISH_TASKS_MAX); i++)
		fanout_spawn(&fanout, "publish", publish_child, &job);
	return fanout_wait(&fanout);
}

static bool pick_all(const struct client *client, const struct node *node)
{
	(void)client;
	(void)node;
	return true;
}

int attr_publish_all(struct client *client, struct client_op *op)
{
	return publish_many(client, op, pick_all);
}

/* Who may write alone is asked for the size, and tells it when the data is stable; only what lives with the inode waits for nothing else. */
static bool pick_due(const struct client *client, const struct node *node)
{
	if (node->lease.data_mode != LEASE_PW)
		return true;
	if (node->small_moved)
		return !unstable_has(client, node->ino, node->small_moved_seq); /* until that is told, what the MDT has counts */
	bool old = node->dirty_since_ns + SMALL_AGE_NS <= env_now_ns(client->env);
	return node->data_place == DATA_INLINE && node->small_dirty && (old || small_is_pressed(client));
}

void attr_publisher_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		(void)waitq_wait(&client->publish_wanted, client_loop(client), env_now_ns(client->env) + PUBLISH_PERIOD_NS); /* either way */
		if (client->joined && !client->ended)
			(void)publish_many(client, NULL, pick_due); /* what failed stays dirty */
	}
	session_daemon_done(client);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* Of data that lives with the inode the MDT cuts off what it knows. */
static int truncate_publish(struct client *client, struct client_op *op, struct node *node)
{
	int rc = node->small_moved ? unstable_commit_ino(client, op, node->ino) : 0;
	for (int i = 0; i < PUBLISH_TRIES_MAX && rc == 0 && (node->small_dirty || node->small_moved); i++)
		rc = publish_once(client, op, node, false);
	return rc;
}

int attr_truncate_begin(struct client *client, struct client_op *op, struct node *node)
{
	int rc = 0;
	while (node->truncating && rc == 0)
		rc = session_wait(client, op, &node->changed);
	if (rc < 0)
		return rc;
	node->truncating = true;
	/* Writes end first, while reads go on: a write that drops pages of ours waits for reads that have locked them, and they must not wait for us. */
	while (node->writes_running > 0 && rc == 0)
		rc = session_wait(client, op, &node->changed);
	node->truncating_reads = rc == 0;
	while ((node->reads_running > 0 || node->reads_filling > 0) && rc == 0)
		rc = session_wait(client, op, &node->changed);
	/* Otherwise a replay after a restart of the OST could bring back what is cut off now. What is lost is lost: that was told. */
	if (rc == 0)
		rc = behind_save(client, op, node);
	node->flush_held = true;
	if (!session_is_called_off(rc) && rc != -ERR_evicted)
		rc = publish_lock(client, op, node);
	if (rc == 0) {
		rc = truncate_publish(client, op, node);
		if (rc < 0)
			publish_unlock(node);
	}
	if (rc < 0) {
		node->truncating = node->truncating_reads = node->flush_held = false;
		waitq_wake_all(&node->changed);
	}
	return rc;
}

void attr_truncate_end(struct client *client, struct node *node, const struct attr *attr)
{
	if (attr != NULL) {
		if (node->dirty)
			node_clean(client, node);
		node->size_known = true;
		node->size_gen = attr->size_gen;
		node->size_bytes = attr->size_bytes;
		node->blocks = attr->blocks;
		node->blocks_asked = false;
		node->mtime_ns = attr->mtime_ns;
		node->kernel_size_known = false;
		behind_truncated(node);
		ahead_drop_all(node);
		small_truncated(client, node);
	}
	node->truncating = node->truncating_reads = node->flush_held = false;
	publish_unlock(node);
}

static int setattr_locked(struct client *client, struct client_op *op, struct node *node, const struct client_setattr *set,
			  struct setattr_rep *rep)
{
	struct setattr_req req = {
		.cred = session_cred(op),
		.ino = node->ino,
		.valid = set->valid,
		.mode = set->mode,
		.uid = set->uid,
		.gid = set->gid,
		.size_bytes = set->size_bytes,
		.atime_ns = set->atime_ns,
		.mtime_ns = set->mtime_ns,
		.handle = set->file != NULL ? set->file->handle : 0,
	};
	return session_mdt_call(client, node->ino, &(struct call){.op = OP_setattr, .req = &req, .rep = rep, .cred = &req.cred, .who = op});
}

int client_setattr(struct client *client, struct client_op *op, struct ino ino, const struct client_setattr *set,
		   struct client_entry *ret_entry)
{
	bool size = (set->valid & SET_SIZE) != 0, mtime = (set->valid & (SET_MTIME | SET_MTIME_NOW)) != 0;
	struct setattr_rep rep;
	uint64_t asked = 0;
	if (set->file != NULL && set->file->lost)
		return fail(EIO);
	if (size && set->size_bytes > INT64_MAX)
		return fail(EFBIG);
	struct node *node = node_get(client, ino);
	uint64_t stamp = lease_change_begin(client, node);
	int rc = 0;
	if (size) {
		rc = attr_truncate_begin(client, op, node);
		if (rc == 0) {
			rc = setattr_locked(client, op, node, set, &rep);
			attr_truncate_end(client, node, rc == 0 ? &rep.attr : NULL);
		}
	} else if (mtime) {
		/* A later publication must not bring the mtime of earlier writes. While nobody else may write, data and size need not go first. */
		rc = node->lease.data_mode != LEASE_PW ? attr_publish(client, op, node) : 0;
		if (rc == 0)
			rc = publish_lock(client, op, node);
		if (rc == 0) {
			uint64_t dirtied = node->dirtied;
			rc = setattr_locked(client, op, node, set, &rep);
			if (rc == 0 && node->dirtied == dirtied)
				node->mtime_ns = MTIME_NOT_OURS;
			publish_unlock(node);
		}
	} else {
		rc = setattr_locked(client, op, node, set, &rep);
	}
	asked = lease_change_end(client, node, stamp);
	if (rc == 0)
		lease_take(client, node, &rep.lease, &rep.attr, asked);
	if (rc == 0)
		rc = attr_to_entry(client, op, rep.attr, ret_entry);
	if (rc == 0 && !size)
		atime_changed(client, node); /* the kernel has dropped what was cut off */
	node_put(client, node);
	return rc;
}
