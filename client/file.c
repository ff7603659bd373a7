/* SPDX-License-Identifier: Apache-2.0
 * Open files: opened at the MDT under a handle of our choice, closed in the background, told of errors once each. */
#include "client/client_impl.h"

#include <sys/stat.h>

static void wait_for_change(struct client *client, struct node *node)
{
	(void)waitq_wait(&node->changed, client_loop(client), UINT64_MAX); /* whoever set the flag clears it */
}

struct ino client_file_ino(const struct client_file *file)
{
	return file->node->ino;
}

bool client_file_keeps_cache(const struct client_file *file)
{
	return lease_caches(file->node->lease.data_mode) && !file->node->giving && lease_is_live(file->client) &&
	       !atime_is_due(file->client, file->node);
}

uint32_t client_file_flags(const struct client_file *file)
{
	return file->flags;
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static struct client_file *file_new(struct client *client, uint32_t flags)
{
	struct client_file *file = mem_alloc(sizeof(*file));
	file->client = client;
	file->flags = flags;
	file->handle = client->next_handle++;
	list_node_init(&file->node_link);
	return file;
}

/* The MDT has it open: from here on the file is ours to close. Takes over one user of the node. */
static void file_register(struct client_file *file, struct node *node)
{
	file->node = node;
	/* As in Linux: an error that nobody was told yet, since all who wrote have closed before it happened, is told to who opens next. */
	file->error_seq = node->error_seq - (node->error_seq > 0 && !node->error_told);
	list_push_back(&node->files, &file->node_link);
	if (file->flags & OPEN_WRITE)
		node->writers++;
}

/* What an open's answer brought, and what was when it was asked for. */
struct opened {
	const struct attr *attr;
	const struct lease *lease;
	struct blob layout, data;
	uint8_t has_data; /* enum data_place */
	uint64_t asked, boot_before;
};

/* After the reply: layout, attributes, and what a restart of the MDT in between may have made it forget. Parks. */
static int file_opened(struct client *client, struct client_op *op, struct client_file *file, const struct opened *opened,
		       struct client_entry *ret_entry)
{
	struct node *node = file->node;
	if (client->identity.client != op->asked_client)
		file->lost = true; /* evicted while the answer was on its way */
	int rc = node_set_layout(node, opened->layout);
	if (rc == 0) {
		lease_take(client, node, opened->lease, opened->attr, opened->asked);
		small_take(client, node, opened->lease, opened->has_data, opened->data);
		rc = attr_to_entry(client, op, *opened->attr, ret_entry);
	}
	if (!file->lost && session_target_boot(client, TARGET_MDT, cmap_mdt_of(client->map, node->ino)) != opened->boot_before)
		recover_reclaim_file(client, file);
	return rc;
}

static uint64_t boot_of_mdt(struct client *client, struct ino ino)
{
	return client->map != NULL ? session_target_boot(client, TARGET_MDT, cmap_mdt_of(client->map, ino)) : 0;
}

static void open_begin(struct node *node, uint32_t flags)
{
	if ((flags & OPEN_WRITE) == 0)
		return;
	node->writers_opening++; /* the right to write does not end meanwhile */
}

static void open_end(struct node *node, uint32_t flags)
{
	if (flags & OPEN_WRITE)
		node->writers_opening--;
}

/* With a lease on its attributes nobody removes the file, or changes who may read it, without asking us: then the MDT need not know. */
static bool open_locally(struct client *client, struct node *node, struct client_file *file)
{
	if ((file->flags & ~(uint32_t)OPEN_EXEC) != OPEN_READ || !lease_attr_ok(client, node) || !S_ISREG(node->attr.mode) ||
	    node->layout == NULL || node->layout->gen < node->attr.layout_gen || node->attr.nlink == 0)
		return false;
	file->local = true;
	node->local_opens++;
	client->counters.open_hits++;
	file_register(file, node);
	return true;
}

int client_open(struct client *client, struct client_op *op, struct ino ino, uint32_t flags, struct client_file **ret_file)
{
	struct client_file *file = file_new(client, flags);
	struct node *node = node_get(client, ino);
	bool truncates = (flags & OPEN_TRUNC) != 0;
	uint64_t asked = lease_asked(client), stamp = 0;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	if ((flags & OPEN_WRITE) == 0)
		names_opened(client, node);
	if (open_locally(client, node, file)) {
		*ret_file = file;
		return 0;
	}
	open_begin(node, flags);
	if (truncates)
		stamp = lease_change_begin(client, node);
	int rc = truncates ? attr_truncate_begin(client, op, node) : 0;
	if (rc < 0)
		goto failed;
	struct open_req req = {.cred = session_cred(op), .ino = ino, .flags = flags, .handle = file->handle};
	struct open_rep rep;
	uint64_t boot = boot_of_mdt(client, ino);
	rc = session_mdt_call(client, ino,
			      &(struct call){.op = OP_open, .req = &req, .rep = &rep, .arena = &arena, .cred = &req.cred, .who = op});
	if (truncates) {
		attr_truncate_end(client, node, rc == 0 ? &rep.attr : NULL);
		asked = lease_change_end(client, node, stamp);
		stamp = 0;
	}
	if (rc < 0)
		goto failed;
	open_end(node, flags);
	file_register(file, node);
	struct client_entry entry;
	struct opened opened = {&rep.attr, &rep.lease, rep.layout, rep.data, rep.has_data, asked, boot};
	rc = file_opened(client, op, file, &opened, &entry);
	if (rc < 0) {
		client_release(client, file);
		return rc;
	}
	*ret_file = file;
	return 0;
failed:
	if (stamp != 0)
		(void)lease_change_end(client, node, stamp);
	open_end(node, flags);
	node_put(client, node);
	mem_free(file);
	return rc;
}

int client_create(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode, uint32_t flags,
		  struct client_entry *ret_entry, struct client_file **ret_file)
{
	struct client_file *file = file_new(client, flags);
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct create_req req = {
		.cred = session_cred(op),
		.parent = parent,
		.name = name,
		.mode = mode,
		.umask = op->umask,
		.flags = flags,
		.handle = file->handle,
	};
	struct create_rep rep;
	uint64_t boot = boot_of_mdt(client, parent), asked = lease_asked(client);
	struct node *dir = node_get(client, parent);
	uint64_t stamp = lease_change_begin(client, dir), generation = dircache_change_begin(client, dir, name);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_create, .req = &req, .rep = &rep, .arena = &arena, .cred = &req.cred, .who = op});
	(void)lease_change_end(client, dir, stamp); /* the directory's attributes are asked for */
	dircache_change_end(client, dir, name, generation, rc == 0 ? &rep.attr.ino : NULL);
	if (rc < 0) {
		node_put(client, dir);
		mem_free(file);
		return rc;
	}
	/* One that was there and has been cut off: what we knew of it is over. */
	struct node *node = node_get(client, rep.attr.ino);
	if (!rep.created && (flags & OPEN_TRUNC) != 0)
		asked = lease_change_end(client, node, lease_change_begin(client, node));
	file_register(file, node);
	struct opened opened = {&rep.attr, &rep.lease, rep.layout, rep.data, rep.has_data, asked, boot};
	rc = file_opened(client, op, file, &opened, ret_entry);
	if (rc == 0) {
		node_count_lookup(client, rep.attr.ino);
		ret_entry->entry_ttl_ns = names_entry_ttl_ns(client, dir);
		*ret_file = file;
	} else {
		client_release(client, file);
	}
	node_put(client, dir);
	return rc;
}

int client_tmpfile(struct client *client, struct client_op *op, struct ino parent, uint32_t mode, uint32_t flags,
		   struct client_entry *ret_entry, struct client_file **ret_file)
{
	struct client_file *file = file_new(client, flags);
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct tmpfile_req req = {
		.cred = session_cred(op),
		.parent = parent,
		.mode = mode,
		.umask = op->umask,
		.flags = flags,
		.handle = file->handle,
	};
	struct tmpfile_rep rep;
	uint64_t boot = boot_of_mdt(client, parent), asked = lease_asked(client);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_tmpfile, .req = &req, .rep = &rep, .arena = &arena, .cred = &req.cred, .who = op});
	if (rc < 0) {
		mem_free(file);
		return rc;
	}
	file_register(file, node_get(client, rep.attr.ino));
	struct opened opened = {&rep.attr, &rep.lease, rep.layout, (struct blob){0}, rep.has_data, asked, boot};
	rc = file_opened(client, op, file, &opened, ret_entry);
	if (rc < 0) {
		client_release(client, file);
		return rc;
	}
	node_count_lookup(client, rep.attr.ino);
	ret_entry->entry_ttl_ns = 0; /* there is no name to look up */
	*ret_file = file;
	return 0;
}

/* ---- closing ------------------------------------------------------------------------------------------------------ */

/* What a close has to say, after the file itself is gone. Holds one user of the node. */
struct closing {
	struct client *client;
	struct node *node;
	uint64_t handle, client_id;
	bool writes;
};

static int send_close(struct closing *closing, uint8_t flags)
{
	struct client *client = closing->client;
	struct node *node = closing->node;
	struct close_req req = {.ino = node->ino, .handle = closing->handle, .flags = flags};
	struct close_rep rep;
	if (flags & SIZE_VALID) {
		req.flags |= node_blocks_flag(node);
		req.size_gen = node->size_gen;
		req.size_bytes = node->size_bytes;
		req.mtime_ns = node->mtime_ns;
		req.blocks = node->blocks;
	}
	return session_mdt_call(client, node->ino, &(struct call){.op = OP_close, .req = &req, .rep = &rep});
}

/* The node counts as being published: no older size may be on its way beside this one. */
static void close_publishing(struct closing *closing)
{
	struct client *client = closing->client;
	struct node *node = closing->node;
	while (node->publishing || node->truncating)
		wait_for_change(client, node);
	node->publishing = true;
	uint64_t dirtied = node->dirtied;
	/* The right to write ends later, when all is stable (see lease_data.c); while nobody else may write, the size is told together with the data. */
	bool tells = node->dirty && node->lease.data_mode != LEASE_PW && !small_owes(node);
	int rc = send_close(closing, tells ? SIZE_VALID : 0);
	bool stale = rc == -ERR_stale_layout;
	bool gone = rc == -ENOENT || rc == -ESTALE;
	/* Data that lives with the inode is not told here: as long as it is owed, the node is dirty, or nobody would ever tell it. */
	if (node->dirty && !small_owes(node) && (gone || (rc == 0 && tells && node->dirtied == dirtied)))
		node_clean(client, node);
	node->publishing = false;
	waitq_wake_all(&node->changed);
	if (stale && node->dirty && closing->client_id == client->identity.client) {
		/* Truncated by somebody else meanwhile: learn the new size, then close without one. */
		(void)attr_publish(client, NULL, node);
		(void)send_close(closing, 0);
	}
}

static void close_task(void *arg)
{
	struct closing *closing = arg;
	struct client *client = closing->client;
	if (closing->client_id == client->identity.client && client->identity.client != 0) {
		if (closing->writes)
			close_publishing(closing);
		else
			(void)send_close(closing, 0); /* the file cannot be reached through us any more, whatever came back */
	}
	node_put(client, closing->node);
	mem_free(closing);
	session_task_done(client);
}

/* The MDT knows of files opened without a call only when it had to be told. Takes over a user of the node. */
static void close_local(struct client *client, struct node *node)
{
	node->local_opens--;
	if (node->local_opens > 0 || node->told_handle == 0 || client->ended) {
		node_put(client, node);
		return;
	}
	struct closing *closing = mem_alloc(sizeof(*closing));
	*closing = (struct closing){client, node, node->told_handle, client->identity.client, false};
	node->told_handle = 0;
	session_spawn(client, "close", close_task, closing);
}

/* Takes the file off its node; its user goes over to the task. */
static void close_start(struct client *client, struct client_file *file)
{
	struct node *node = file->node;
	list_remove(&file->node_link);
	if (file->flags & OPEN_WRITE)
		node->writers--;
	if (list_is_empty(&node->files))
		ahead_drop_all(node);
	if (file->local) {
		close_local(client, node);
		return;
	}
	if (file->lost || client->ended) {
		node_put(client, node);
		return;
	}
	struct closing *closing = mem_alloc(sizeof(*closing));
	*closing = (struct closing){client, node, file->handle, client->identity.client, (file->flags & OPEN_WRITE) != 0};
	session_spawn(client, "close", close_task, closing);
}

void client_release(struct client *client, struct client_file *file)
{
	if (!file->closed) {
		lock_release(client, file);
		close_start(client, file);
	}
	mem_free(file);
}

void file_close_all(struct client *client)
{
	struct map_iter iter = map_iter_begin(&client->nodes);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct node *node = CONTAINER_OF(at, struct node, node);
		node->users++; /* so that the last file does not take it along */
		list_for_each_safe(link, tmp, &node->files) {
			struct client_file *file = CONTAINER_OF(link, struct client_file, node_link);
			close_start(client, file);
			file->closed = file->lost = true;
		}
		node_put(client, node);
	}
}

/* ---- durability --------------------------------------------------------------------------------------------------- */

/* Each open file is told of an error once. */
static int told_error(struct client_file *file)
{
	struct node *node = file->node;
	if (file->error_seq == node->error_seq)
		return 0;
	file->error_seq = node->error_seq;
	node->error_told = true;
	return node->error;
}

int client_flush(struct client *client, struct client_op *op, struct client_file *file, uint64_t lock_owner)
{
	if (!file->closed)
		lock_close(client, op, file, lock_owner);
	if (file->lost)
		return (file->flags & OPEN_WRITE) != 0 && !file->closed ? fail(EIO) : 0;
	return told_error(file);
}

static int save(struct client *client, struct client_op *op, struct ino ino)
{
	struct node *node = node_find(client, ino);
	if (node == NULL)
		return unstable_commit_ino(client, op, ino);
	node->users++;
	int rc = behind_save(client, op, node);
	int published = node->dirty ? attr_publish(client, op, node) : 0;
	node_put(client, node);
	return rc < 0 ? rc : published;
}

int client_fsync(struct client *client, struct client_op *op, struct client_file *file)
{
	if (file->lost)
		return fail(EIO);
	int rc = save(client, op, file->node->ino);
	int told = file->lost ? fail(EIO) : told_error(file); /* may be the same one */
	return rc < 0 ? rc : told;
}

int client_fsync_ino(struct client *client, struct client_op *op, struct ino ino)
{
	return save(client, op, ino);
}

int client_syncfs(struct client *client, struct client_op *op)
{
	int rc = behind_save_all(client, op);
	int published = attr_publish_all(client, op), told = atime_send_all(client, op);
	rc = rc < 0 ? rc : published;
	return rc < 0 ? rc : told;
}
