/* SPDX-License-Identifier: Apache-2.0
 * Names: one call to the MDT of the directory each. What returns an entry counts one lookup for the kernel. */
#include "client/client_impl.h"
#include "proto/rows.h"

#include <dirent.h>

enum { READDIR_BYTES_MAX = 65536, COOKIE_DOT = 1, COOKIE_DOTDOT = 2 };

/* Fill in the entry and count the lookup that comes with it. */
static int give_entry(struct client *client, struct client_op *op, const struct attr *attr, struct client_entry *ret_entry)
{
	int rc = attr_to_entry(client, op, *attr, ret_entry);
	if (rc == 0)
		node_count_lookup(client, attr->ino);
	return rc;
}

int client_lookup(struct client *client, struct client_op *op, struct ino parent, struct str name, struct client_entry *ret_entry)
{
	struct lookup_req req = {.cred = session_cred(op), .parent = parent, .name = name};
	struct lookup_rep rep;
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_lookup, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : give_entry(client, op, &rep.attr, ret_entry);
}

int client_mkdir(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode,
		 struct client_entry *ret_entry)
{
	struct mkdir_req req = {.cred = session_cred(op), .parent = parent, .name = name, .mode = mode};
	struct mkdir_rep rep;
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_mkdir, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : give_entry(client, op, &rep.attr, ret_entry);
}

int client_mknod(struct client *client, struct client_op *op, struct ino parent, struct str name, uint32_t mode, uint32_t rdev,
		 struct client_entry *ret_entry)
{
	struct mknod_req req = {.cred = session_cred(op), .parent = parent, .name = name, .mode = mode, .rdev = rdev};
	struct mknod_rep rep;
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_mknod, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : give_entry(client, op, &rep.attr, ret_entry);
}

int client_symlink(struct client *client, struct client_op *op, struct ino parent, struct str name, struct str target,
		   struct client_entry *ret_entry)
{
	struct symlink_req req = {.cred = session_cred(op), .parent = parent, .name = name, .target = target};
	struct symlink_rep rep;
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_symlink, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : give_entry(client, op, &rep.attr, ret_entry);
}

int client_readlink(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct str *ret_target)
{
	struct readlink_req req = {.ino = ino};
	struct readlink_rep rep;
	int rc = session_mdt_call(client, ino, &(struct call){.op = OP_readlink, .req = &req, .rep = &rep, .arena = arena, .who = op});
	if (rc == 0)
		*ret_target = rep.target;
	return rc;
}

int client_link(struct client *client, struct client_op *op, struct ino ino, struct ino parent, struct str name,
		struct client_entry *ret_entry)
{
	struct link_req req = {.cred = session_cred(op), .ino = ino, .parent = parent, .name = name};
	struct link_rep rep;
	int rc = session_mdt_call(client, parent,
				  &(struct call){.op = OP_link, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
	return rc < 0 ? rc : give_entry(client, op, &rep.attr, ret_entry);
}

int client_unlink(struct client *client, struct client_op *op, struct ino parent, struct str name)
{
	struct unlink_req req = {.cred = session_cred(op), .parent = parent, .name = name};
	struct unlink_rep rep;
	return session_mdt_call(client, parent,
				&(struct call){.op = OP_unlink, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
}

int client_rmdir(struct client *client, struct client_op *op, struct ino parent, struct str name)
{
	struct rmdir_req req = {.cred = session_cred(op), .parent = parent, .name = name};
	struct rmdir_rep rep;
	return session_mdt_call(client, parent,
				&(struct call){.op = OP_rmdir, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
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
	return session_mdt_call(client, parent,
				&(struct call){.op = OP_rename, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
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

/* May park: a file that others write must be asked about at its objects. */
static void give_row(struct listing *listing, const struct dirent_row *row)
{
	struct client_dirent dirent = {.name = row->name, .ino = row->ino, .cookie = row->cookie, .type = row->type};
	if (listing->plus && row->has_attr)
		dirent.has_entry = attr_to_entry(listing->client, listing->op, row->attr, &dirent.entry) == 0;
	/* The kernel may have it, and forget it, from the moment that fill passes it on: count before. */
	if (dirent.has_entry)
		node_count_lookup(listing->client, row->ino);
	if (!listing->fill(listing->ctx, &dirent)) {
		listing->full = true;
		if (dirent.has_entry)
			client_forget(listing->client, row->ino, 1);
		return;
	}
	listing->given = true;
	listing->cookie = row->cookie;
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
	int rc = session_mdt_call(listing->client, listing->dir,
				  &(struct call){.op = OP_readdir, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred,
						 .who = listing->op});
	if (rc < 0)
		return rc;
	give_dot(listing, STR("."), listing->dir, COOKIE_DOT);
	give_dot(listing, STR(".."), rep.parent.v != 0 ? rep.parent : listing->dir, COOKIE_DOTDOT);
	struct wire_in in = wire_in(rep.entries);
	bool some = false;
	while (!listing->full && wire_left(&in) > 0) {
		struct dirent_row row = dirent_row_get(&in);
		if (in.err < 0)
			return fail(ERR_malformed);
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
	};
	bool end = false;
	while (!listing.full && !listing.given && !end) {
		CLEANUP(arena_fini) struct arena arena;
		arena_init(&arena);
		int rc = give_run(&listing, bytes_max, &arena, &end);
		if (rc < 0)
			return listing.given ? 0 : rc;
	}
	return 0;
}
