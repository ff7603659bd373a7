/* SPDX-License-Identifier: Apache-2.0
 * Names: answered from what we hold leases on, else by one call to the MDT of the directory. What returns an entry counts one lookup for the kernel. */
#include "client/client_impl.h"
#include "proto/rows.h"

#include <dirent.h>
#include <stdio.h>

static const struct ino no_ino;

enum { READDIR_BYTES_MAX = 65536, COOKIE_DOT = 1, COOKIE_DOTDOT = 2, READS_MISSED_MAX = 16 };
#define PLUS_TTL_NS (100 * NS_PER_MS) /* of entries that come with a listing */

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* For how long the kernel may use an entry of the directory. It is told: a recall has to know. */
static uint64_t entry_ttl_ns(struct client *client, struct node *dir, uint64_t ttl_max_ns)
{
	if (!lease_dir_ok(client, dir))
		return 0;
	uint64_t ttl_ns = lease_ttl_ns(client, ttl_max_ns);
	dir->told_ns = max_u64(dir->told_ns, env_now_ns(client->env) + ttl_ns);
	return ttl_ns;
}

/* An answer with an inode's attributes, its lease, and what the directory's name now stands for: the entry, with the lookup that comes with it. */
static int give_entry(struct client *client, struct client_op *op, struct node *dir, const struct attr *attr, const struct lease *lease,
		      uint64_t asked, struct client_entry *ret_entry)
{
	struct node *node = node_get(client, attr->ino);
	lease_take(client, node, lease, attr, asked);
	int rc = attr_to_entry(client, op, *attr, ret_entry);
	if (rc == 0) {
		node->lookups++;
		ret_entry->entry_ttl_ns = entry_ttl_ns(client, dir, client->conf.entry_ttl_ns);
	}
	node_put(client, node);
	return rc;
}

/* The same for a lookup, which may bring what an open would. */
static int give_found(struct client *client, struct client_op *op, struct node *dir, const struct lookup_rep *rep, uint64_t asked,
		      struct client_entry *ret_entry)
{
	struct node *node = node_get(client, rep->attr.ino);
	int rc = rep->layout.len > 0 ? node_set_layout(node, rep->layout) : 0;
	node->found_in = dir->ino;
	if (rc == 0)
		rc = give_entry(client, op, dir, &rep->attr, &rep->lease, asked, ret_entry);
	if (rc == 0)
		small_take(client, node, &rep->lease, rep->has_data, rep->data);
	node_put(client, node);
	return rc;
}

static int absent(struct client *client, struct node *dir, struct client_entry *ret_entry)
{
	*ret_entry = (struct client_entry){.entry_ttl_ns = entry_ttl_ns(client, dir, client->conf.entry_ttl_ns)};
	return fail(ENOENT);
}

static bool is_dots(struct str name)
{
	return str_eq(name, STR(".")) || str_eq(name, STR(".."));
}

/* True: answered from what is cached, *ret_rc says how. Does not park. */
static bool lookup_cached(struct client *client, struct node *dir, struct str name, struct client_entry *ret_entry, int *ret_rc)
{
	struct ino ino = INO_NONE;
	if (is_dots(name))
		return false;
	switch (dircache_find(client, dir, name, &ino)) {
	case DIRCACHE_ABSENT:
		client->counters.name_hits++;
		*ret_rc = absent(client, dir, ret_entry);
		return true;
	case DIRCACHE_THERE: {
		struct node *node = node_find(client, ino);
		if (node == NULL || !attr_from_cache(client, node, ret_entry))
			return false;
		client->counters.name_hits++;
		node->lookups++;
		ret_entry->entry_ttl_ns = entry_ttl_ns(client, dir, client->conf.entry_ttl_ns);
		*ret_rc = 0;
		return true;
	}
	default:
		return false;
	}
}

/* Whether a lookup shall bring data along is learned from what came after others in its directory. */
static uint8_t lookup_flags(struct node *dir)
{
	if (!dir->reads_follow)
		return LOOKUP_ABSENT_OK;
	if (++dir->reads_missed > READS_MISSED_MAX)
		dir->reads_follow = false;
	return LOOKUP_ABSENT_OK | LOOKUP_READS;
}

void names_opened(struct client *client, const struct node *node)
{
	struct node *dir = node->found_in.v != 0 ? node_find(client, node->found_in) : NULL;
	if (dir == NULL)
		return;
	dir->reads_follow = true;
	dir->reads_missed = 0;
}

static int lookup_call(struct client *client, struct client_op *op, struct node *dir, struct str name, uint8_t flags, struct arena *arena,
		       struct lookup_rep *rep, uint64_t *ret_asked)
{
	struct lookup_req req = {.cred = session_cred(op), .parent = dir->ino, .name = name, .flags = flags};
	*ret_asked = lease_asked(client);
	dir->asking_names++;
	int rc = session_mdt_call(client, dir->ino,
				  &(struct call){.op = OP_lookup, .req = &req, .rep = rep, .arena = arena, .cred = &req.cred, .who = op});
	dir->asking_names--;
	if (rc < 0)
		return rc;
	lease_take(client, dir, &rep->dir_lease, NULL, *ret_asked);
	if (!is_dots(name))
		dircache_put(client, dir, name, rep->attr.ino, *ret_asked, &rep->dir_lease);
	return 0;
}

int client_lookup(struct client *client, struct client_op *op, struct ino parent, struct str name, struct client_entry *ret_entry)
{
	struct node *dir = node_get(client, parent);
	struct lookup_rep rep;
	uint64_t asked = 0;
	int rc = 0;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	*ret_entry = (struct client_entry){0};
	if (name.len > NAME_BYTES_MAX)
		rc = fail(ENAMETOOLONG); /* not absent: whoever knows the whole directory must not say so */
	else if (!lookup_cached(client, dir, name, ret_entry, &rc)) {
		rc = lookup_call(client, op, dir, name, lookup_flags(dir), &arena, &rep, &asked);
		if (rc == 0)
			rc = rep.attr.ino.v == 0 ? absent(client, dir, ret_entry) : give_found(client, op, dir, &rep, asked, ret_entry);
	}
	node_put(client, dir);
	return rc;
}

uint64_t names_entry_ttl_ns(struct client *client, struct node *dir)
{
	return entry_ttl_ns(client, dir, client->conf.entry_ttl_ns);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* A change of one name in a directory, and of the inode that it stands for before. */
struct name_change {
	struct client *client;
	struct node *dir, *child; /* with a user each; child NULL: none, or not known */
	struct str name;
	uint64_t generation, dir_stamp, child_stamp;
};

static void change_begin(struct client *client, struct name_change *change, struct ino parent, struct str name, struct ino child)
{
	*change = (struct name_change){.client = client, .dir = node_get(client, parent), .name = name};
	change->dir_stamp = lease_change_begin(client, change->dir);
	change->generation = dircache_change_begin(client, change->dir, name);
	change->child = child.v != 0 ? node_get(client, child) : NULL;
	change->child_stamp = lease_change_begin(client, change->child);
}

/* The name's inode may lose it, or has: ino, if that is known. */
static void change_removes(struct name_change *change, struct ino ino)
{
	if (change->child != NULL)
		change->child->removed = true; /* said before the call: whoever asked may be gone when its answer comes */
	if (change->child == NULL || !ino_eq(change->child->ino, ino))
		lease_removed(change->client, ino);
}

/* ino: what the name stands for now; NULL: not known. Returns when an answer about the child counts as asked. */
static uint64_t change_end(struct name_change *change, const struct ino *ino)
{
	struct client *client = change->client;
	uint64_t asked = lease_change_end(client, change->child, change->child_stamp);
	(void)lease_change_end(client, change->dir, change->dir_stamp); /* what is new of it is asked for */
	dircache_change_end(client, change->dir, change->name, change->generation, ino);
	if (change->child != NULL)
		node_put(client, change->child);
	node_put(client, change->dir);
	return asked;
}

/* After an answer that brings an inode, a new one or the child: its entry. */
static int change_end_entry(struct name_change *change, struct client_op *op, int rc, const struct attr *attr, const struct lease *lease,
			    uint64_t asked, struct client_entry *ret_entry)
{
	struct client *client = change->client;
	struct node *dir = change->dir, *child = change->child;
	dir->users++;
	if (child != NULL)
		child->users++;
	uint64_t child_asked = change_end(change, rc == 0 ? &attr->ino : NULL);
	if (rc == 0)
		rc = give_entry(client, op, dir, attr, lease, child != NULL ? child_asked : asked, ret_entry);
	if (child != NULL)
		node_put(client, child);
	node_put(client, dir);
	return rc;
}

int client_mkdir(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode,
		 struct client_entry *ret_entry)
{
	struct mkdir_req req = {.cred = session_cred(op), .parent = parent, .name = name, .mode = mode, .umask = op->umask};
	struct mkdir_rep rep;
	struct name_change change;
	uint64_t asked = lease_asked(client);
	change_begin(client, &change, parent, name, INO_NONE);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_mkdir, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	rc = change_end_entry(&change, op, rc, &rep.attr, &rep.lease, asked, ret_entry);
	struct node *node = rc == 0 ? node_find(client, rep.attr.ino) : NULL;
	if (node != NULL && node->lease.number == rep.lease.number && node->changed_at <= asked)
		dircache_is_empty(client, node);
	return rc;
}

int client_mknod(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode, uint32_t rdev,
		 struct client_entry *ret_entry)
{
	struct mknod_req req = {.cred = session_cred(op), .parent = parent, .name = name, .mode = mode, .umask = op->umask, .rdev = rdev};
	struct mknod_rep rep;
	struct name_change change;
	uint64_t asked = lease_asked(client);
	change_begin(client, &change, parent, name, INO_NONE);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_mknod, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return change_end_entry(&change, op, rc, &rep.attr, &rep.lease, asked, ret_entry);
}

int client_symlink(struct client *client, struct client_op *op, struct ino parent, struct str name, struct str target,
		   struct client_entry *ret_entry)
{
	struct symlink_req req = {.cred = session_cred(op), .parent = parent, .name = name, .target = target};
	struct symlink_rep rep;
	struct name_change change;
	uint64_t asked = lease_asked(client);
	change_begin(client, &change, parent, name, INO_NONE);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_symlink, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return change_end_entry(&change, op, rc, &rep.attr, &rep.lease, asked, ret_entry);
}

int client_readlink(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct str *ret_target)
{
	struct readlink_req req = {.ino = ino};
	struct readlink_rep rep;
	int rc = session_mdt_call(client, ino, &(struct call){.op = OP_readlink, .req = &req, .rep = &rep, .arena = arena, .who = op});
	if (rc < 0)
		return rc;
	*ret_target = rep.target;
	struct node *node = node_find(client, ino);
	if (node != NULL)
		atime_read(client, op, node);
	return 0;
}

int client_link(struct client *client, struct client_op *op, struct ino ino, struct ino parent, struct str name,
		struct client_entry *ret_entry)
{
	struct link_req req = {.cred = session_cred(op), .ino = ino, .parent = parent, .name = name};
	struct link_rep rep;
	struct name_change change;
	change_begin(client, &change, parent, name, ino);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_link, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return change_end_entry(&change, op, rc, &rep.attr, &rep.lease, 0, ret_entry);
}

/* The inode that a removal of the name will hit: by what is known, else by asking. INO_NONE: nothing, or an error that the removal will meet itself. Parks. */
static struct ino victim_of(struct client *client, struct client_op *op, struct ino parent, struct str name)
{
	struct node *dir = node_get(client, parent);
	struct ino ino = INO_NONE;
	struct lookup_rep rep;
	uint64_t asked = 0;
	enum dircache_answer known = dircache_find(client, dir, name, &ino);
	if (known == DIRCACHE_UNKNOWN)
		ino = dircache_hint(dir, name);
	if (known != DIRCACHE_ABSENT && ino.v == 0 && name.len <= NAME_BYTES_MAX &&
	    lookup_call(client, op, dir, name, LOOKUP_ABSENT_OK, NULL, &rep, &asked) == 0)
		ino = rep.attr.ino;
	node_put(client, dir);
	return ino;
}

/* An inode is about to lose a name by our own hand, and we have it open without having said so: say it, so that it lives on. Parks. */
static int tell_own_opens(struct client *client, struct client_op *op, struct node *node)
{
	if (node == NULL || node->local_opens == 0 || node->told_handle != 0)
		return 0;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	uint64_t handle = client->next_handle++;
	struct open_req req = {.ino = node->ino, .flags = OPEN_READ, .handle = handle};
	struct open_rep rep;
	node->told_handle = handle; /* whoever closes the last of them meanwhile waits for us: it is a user of the node, too */
	client->counters.opens_told++;
	int rc = session_mdt_call(client, node->ino, &(struct call){.op = OP_open, .req = &req, .rep = &rep, .arena = &arena, .who = op});
	if (session_is_called_off(rc) && node->told_handle == handle)
		node->told_handle = 0; /* nothing was sent */
	return rc == -ESTALE || rc == -ENOENT ? 0 : rc;
}

int client_unlink(struct client *client, struct client_op *op, struct ino parent, struct str name)
{
	struct unlink_req req = {.cred = session_cred(op), .parent = parent, .name = name};
	struct unlink_rep rep;
	struct name_change change;
	change_begin(client, &change, parent, name, victim_of(client, op, parent, name));
	change_removes(&change, INO_NONE);
	int rc = tell_own_opens(client, op, change.child);
	if (rc == 0)
		rc = session_mdt_call(client, parent,
				      &(struct call){.op = OP_unlink, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	if (rc == 0)
		change_removes(&change, rep.ino);
	(void)change_end(&change, rc == 0 ? &no_ino : NULL);
	return rc;
}

int client_rmdir(struct client *client, struct client_op *op, struct ino parent, struct str name)
{
	struct rmdir_req req = {.cred = session_cred(op), .parent = parent, .name = name};
	struct rmdir_rep rep;
	struct name_change change;
	change_begin(client, &change, parent, name, victim_of(client, op, parent, name));
	change_removes(&change, INO_NONE);
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_rmdir, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	if (rc == 0)
		change_removes(&change, rep.ino);
	(void)change_end(&change, rc == 0 ? &no_ino : NULL);
	return rc;
}

/* The kernel moves its entry along, with the time that it had in the other directory. Parks. */
static void entry_moves(struct client *client, struct ino from, struct ino to)
{
	struct node *old_dir = node_find(client, from), *new_dir = node_find(client, to);
	if (client->env->kcache == NULL || old_dir == NULL || new_dir == NULL || !lease_kernel_may_know(client, old_dir))
		return;
	if (lease_dir_ok(client, new_dir)) { /* a recall of that directory knows it now */
		new_dir->told_ns = max_u64(new_dir->told_ns, old_dir->told_ns);
		new_dir->told_plus_ns = max_u64(new_dir->told_plus_ns, dircache_plus_until_ns(old_dir));
		return;
	}
	lease_drop_entries(client, old_dir);
}

int client_rename(struct client *client, struct client_op *op, struct ino parent, struct str name, struct ino new_parent,
		  struct str new_name, uint32_t flags)
{
	struct rename_req req = {
		.cred = session_cred(op),
		.parent = parent,
		.name = name,
		.new_parent = new_parent,
		.new_name = new_name,
		.flags = flags,
	};
	struct rename_rep rep;
	struct name_change from, to;
	struct ino victim = victim_of(client, op, new_parent, new_name);
	change_begin(client, &from, parent, name, dircache_hint(node_find(client, parent), name));
	change_begin(client, &to, new_parent, new_name, victim);
	change_removes(&to, INO_NONE);
	int rc = tell_own_opens(client, op, to.child);
	if (rc == 0)
		rc = session_mdt_call(client, parent,
				      &(struct call){.op = OP_rename, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	/* Two names of one inode stay as they are; then rep says so by naming none. */
	bool moved = rc == 0 && rep.ino.v != 0;
	if (moved)
		change_removes(&to, rep.replaced);
	(void)change_end(&to, moved ? &rep.ino : NULL);
	bool exchanged = moved && (flags & RENAME_EXCHANGE) != 0, hidden = (flags & RENAME_WHITEOUT) != 0; /* what stands there now has a new number */
	(void)change_end(&from, !moved || hidden ? NULL : exchanged ? &rep.replaced : &no_ino);
	if (moved && !ino_eq(parent, new_parent)) {
		entry_moves(client, parent, new_parent);
		if (exchanged)
			entry_moves(client, new_parent, parent);
	}
	return rc;
}

/* ---- readdir ------------------------------------------------------------------------------------------------------ */

/* One client_readdir. */
struct listing {
	struct client *client;
	struct client_op *op;
	struct ino dir;
	uint64_t cookie;  /* of the last entry that was taken */
	bool plus;
	bool (*fill)(void *ctx, const struct client_dirent *dirent);
	void *ctx;
	bool given;       /* something was taken */
	bool full;        /* fill wants no more */
	struct node *node; /* of the directory */
	uint64_t asked;
};

static void give_dot(struct listing *listing, struct str name, struct ino ino, uint64_t cookie)
{
	struct client_dirent dirent = {.name = name, .ino = ino, .cookie = cookie, .type = DT_DIR};
	if (listing->full || listing->cookie >= cookie)
		return;
	if (!listing->fill(listing->ctx, &dirent)) {
		listing->full = true;
		return;
	}
	listing->given = true;
	listing->cookie = cookie;
}

/* Attributes that came with an entry, or that we have, and the lookup that they count: the kernel may have it, and forget it, from the moment that
 * fill passes it on, and without one the node would go, with the lease that has just come. May park: a file that others write must be asked about
 * at its objects. */
static void add_attr(struct listing *listing, struct client_dirent *dirent, const struct dirent_row *row)
{
	struct client *client = listing->client;
	struct node *node = row->has_attr ? node_get(client, row->ino) : node_find(client, row->ino);
	if (row->has_attr) {
		struct lease lease = node->lease; /* the row says only that attributes were granted, under this number */
		lease.number = row->lease;
		lease.attr_mode = LEASE_PR;
		lease_take(client, node, &lease, &row->attr, listing->asked);
		dirent->has_entry = attr_to_entry(client, listing->op, row->attr, &dirent->entry) == 0;
		node->lookups += dirent->has_entry;
		node_put(client, node);
	} else if (node != NULL) {
		dirent->has_entry = attr_from_cache(client, node, &dirent->entry);
		node->lookups += dirent->has_entry;
	}
}

static void give_row(struct listing *listing, const struct dirent_row *row)
{
	struct client *client = listing->client;
	struct client_dirent dirent = {.name = row->name, .ino = row->ino, .cookie = row->cookie, .type = row->type};
	if (listing->plus)
		add_attr(listing, &dirent, row);
	if (dirent.has_entry) {
		/* The kernel takes these in after its question's answer, whatever has been recalled since: their time is short. */
		dirent.entry.entry_ttl_ns = entry_ttl_ns(client, listing->node, PLUS_TTL_NS);
		if (dirent.entry.entry_ttl_ns > 0)
			dircache_plus_given(client, listing->node, listing->op->thread, env_now_ns(client->env) + dirent.entry.entry_ttl_ns);
	}
	if (!listing->fill(listing->ctx, &dirent)) {
		listing->full = true;
		if (dirent.has_entry)
			client_forget(client, row->ino, 1);
		return;
	}
	listing->given = true;
	listing->cookie = row->cookie;
}

static void give_dots(struct listing *listing, struct ino parent)
{
	give_dot(listing, STR("."), listing->dir, COOKIE_DOT);
	give_dot(listing, STR(".."), parent.v != 0 ? parent : listing->dir, COOKIE_DOTDOT);
}

/* From what is cached. False: it is not; nothing was given. May park in rows: a list that is void by then ends the run early. */
static bool give_cached(struct listing *listing)
{
	struct client *client = listing->client;
	size_t count = 0, low = 0;
	struct ino parent = INO_NONE;
	const struct dircache_entry *entries = dircache_list(client, listing->node, &count, &parent);
	if (entries == NULL)
		return false;
	client->counters.list_hits++;
	give_dots(listing, parent);
	for (size_t high = count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (entries[middle].cookie <= listing->cookie)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && !listing->full; low++)
		give_row(listing, &(struct dirent_row){.cookie = entries[low].cookie, .ino = entries[low].ino, .type = entries[low].type,
						       .name = entries[low].name});
	return true;
}

static int take_rows(struct listing *listing, const struct readdir_rep *rep, uint64_t after)
{
	struct wire_in in = wire_in(rep->entries);
	while (wire_left(&in) > 0) {
		struct dirent_row row = dirent_row_get(&in);
		if (in.err < 0)
			return fail(ERR_malformed);
		dircache_list_put(listing->client, listing->node, after, &row, listing->asked, &rep->lease);
		after = row.cookie;
	}
	if (rep->end != 0)
		dircache_list_end(listing->client, listing->node, after, rep->parent, listing->asked, &rep->lease);
	return 0;
}

/* One run of entries; *ret_end: nothing follows. */
static int give_run(struct listing *listing, uint32_t bytes_max, struct arena *arena, bool *ret_end)
{
	struct readdir_req req = {
		.cred = session_cred(listing->op),
		.ino = listing->dir,
		.cookie = listing->cookie <= COOKIE_DOTDOT ? 0 : listing->cookie,
		.bytes_max = (uint32_t)min_u64(bytes_max, READDIR_BYTES_MAX),
		.plus = listing->plus,
	};
	struct readdir_rep rep;
	struct node *node = listing->node;
	listing->asked = lease_asked(listing->client);
	node->asking_names++;
	int rc = session_mdt_call(listing->client, listing->dir,
				  &(struct call){.op = OP_readdir, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred,
						 .who = listing->op});
	node->asking_names--;
	if (rc < 0)
		return rc;
	lease_take(listing->client, node, &rep.lease, NULL, listing->asked);
	rc = take_rows(listing, &rep, req.cookie);
	if (rc < 0)
		return rc;
	give_dots(listing, rep.parent);
	struct wire_in in = wire_in(rep.entries);
	bool some = false;
	while (!listing->full && wire_left(&in) > 0) {
		struct dirent_row row = dirent_row_get(&in);
		some = true;
		give_row(listing, &row);
	}
	*ret_end = rep.end != 0 || !some;
	return 0;
}

int client_readdir(struct client *client, struct client_op *op, struct ino dir, uint64_t cookie, bool plus, uint32_t bytes_max,
		   bool (*fill)(void *ctx, const struct client_dirent *dirent), void *ctx)
{
	struct listing listing = {
		.client = client,
		.op = op,
		.dir = dir,
		.cookie = cookie,
		.plus = plus,
		.fill = fill,
		.ctx = ctx,
		.node = node_get(client, dir),
	};
	dircache_plus_taken(listing.node, op->thread);
	bool end = give_cached(&listing);
	int rc = 0;
	while (!listing.full && !listing.given && !end && rc == 0) {
		CLEANUP(arena_fini) struct arena arena;
		arena_init(&arena);
		rc = give_run(&listing, bytes_max, &arena, &end);
	}
	if (listing.given || rc == 0)
		atime_read(client, op, listing.node);
	node_put(client, listing.node);
	return listing.given ? 0 : rc;
}
