/* SPDX-License-Identifier: Apache-2.0
 * rename. Order of checks as in Linux' vfs_rename(); POSIX.1-2017 rename(). */
#include "mds/mds_impl.h"
#include "common/base/check.h"

#include <sys/stat.h>

enum { MOVE_NOREPLACE = 1, MOVE_EXCHANGE = 2, MOVE_WHITEOUT = 4, DEPTH_MAX = 100000 };

struct move {
	struct entry from, to;
	uint32_t flags;
	bool between_dirs;
};

/* Both names under their gates. Parks. */
static int enter(struct operation *op, const struct rename_req *req, struct move *move)
{
	struct ino guess[2] = {INO_NONE, INO_NONE};
	int rc = entry_guess(op, req->parent, req->name, &guess[0]);
	if (rc == 0)
		rc = entry_guess(op, req->new_parent, req->new_name, &guess[1]);
	while (rc == 0) {
		struct gate_want wants[5] = {{req->parent, GATE_EXCLUSIVE}, {req->new_parent, GATE_EXCLUSIVE}};
		uint32_t count = 2;
		for (int i = 0; i < 2; i++)
			if (guess[i].v != 0)
				wants[count++] = (struct gate_want){guess[i], GATE_EXCLUSIVE};
		if (move->between_dirs)
			wants[count++] = (struct gate_want){GATE_MOVES, GATE_EXCLUSIVE};
		rc = op_gates(op, wants, count);
		if (rc == 0)
			rc = entry_load(op, req->parent, req->name, &move->from);
		if (rc == 0)
			rc = entry_load(op, req->new_parent, req->new_name, &move->to);
		if (rc < 0)
			break;
		struct ino now[2] = {
			move->from.child != NULL ? move->from.child->ino : INO_NONE,
			move->to.child != NULL ? move->to.child->ino : INO_NONE,
		};
		if ((now[0].v == 0 || ino_eq(now[0], guess[0]) || ino_eq(now[0], guess[1])) &&
		    (now[1].v == 0 || ino_eq(now[1], guess[0]) || ino_eq(now[1], guess[1])))
			break;
		guess[0] = now[0]; /* somebody was faster: the gates no longer fit */
		guess[1] = now[1];
	}
	if (rc == 0 && move->from.rec == move->to.rec)
		move->to.bucket = move->from.bucket; /* both names have one hash */
	return rc;
}

/* Is `above` an ancestor of `below`, or it? Nobody moves directories meanwhile: we hold that gate. Parks. */
static int is_above(struct operation *op, struct ino above, struct inode *below, bool *ret_is)
{
	struct ino at = below->ino;
	for (uint32_t depth = 0; depth < DEPTH_MAX; depth++) {
		if (ino_eq(at, above)) {
			*ret_is = true;
			return 0;
		}
		if (ino_eq(at, INO_ROOT)) {
			*ret_is = false;
			return 0;
		}
		struct inode *dir = NULL;
		int rc = op_inode(op, at, &dir);
		if (rc < 0)
			return rc;
		at = dir->parent;
	}
	return fail(ERR_corrupt); /* a cycle */
}

static int check_loops(struct operation *op, const struct move *move)
{
	bool loop = false;
	int rc = 0;
	if (!move->between_dirs)
		return 0;
	if (S_ISDIR(move->from.child->mode))
		rc = is_above(op, move->from.child->ino, move->to.dir, &loop);
	if (rc == 0 && !loop && (move->flags & MOVE_EXCHANGE) != 0 && S_ISDIR(move->to.child->mode))
		rc = is_above(op, move->to.child->ino, move->from.dir, &loop);
	if (rc == 0 && loop) {
		op->mds->counters.rename_loops_refused++;
		return fail(EINVAL);
	}
	return rc;
}

static int check_perms(const struct cred *cred, const struct move *move)
{
	int rc = perm_delete(cred, move->from.dir, move->from.child);
	if (rc == 0)
		rc = move->to.child != NULL ? perm_delete(cred, move->to.dir, move->to.child)
					    : perm_add(cred, move->to.dir);
	/* a directory that gets another parent is written to: its ".." changes */
	if (rc == 0 && move->between_dirs && S_ISDIR(move->from.child->mode))
		rc = perm_check(cred, move->from.child, MAY_WRITE);
	if (rc == 0 && move->between_dirs && (move->flags & MOVE_EXCHANGE) != 0 && S_ISDIR(move->to.child->mode))
		rc = perm_check(cred, move->to.child, MAY_WRITE);
	return rc;
}

static int check_types(const struct move *move)
{
	const struct inode *from = move->from.child, *to = move->to.child;
	bool exchange = (move->flags & MOVE_EXCHANGE) != 0;
	if (to != NULL && !exchange) {
		if (S_ISDIR(from->mode) && !S_ISDIR(to->mode))
			return fail(ENOTDIR);
		if (!S_ISDIR(from->mode) && S_ISDIR(to->mode))
			return fail(EISDIR);
		if (S_ISDIR(to->mode) && to->entries > 0)
			return fail(ENOTEMPTY);
	}
	if (to == NULL && !entry_has_room(&move->to))
		return fail(ENOSPC);
	bool gains_dir = move->between_dirs && S_ISDIR(from->mode) && (to == NULL || !S_ISDIR(to->mode));
	return gains_dir && move->to.dir->nlink >= NLINK_DIR_MAX ? fail(EMLINK) : 0;
}

static void reparent(struct move *move, struct inode *child, struct inode *from, struct inode *to)
{
	if (!move->between_dirs || !S_ISDIR(child->mode))
		return;
	child->parent = to->ino;
	from->nlink--;
	to->nlink++;
}

static void find_again(struct entry *entry)
{
	entry->at = bucket_find(entry->bucket, entry->name);
}

static void save_dirs(struct operation *op, struct move *move)
{
	op_save(op, move->from.dir);
	if (move->between_dirs)
		op_save(op, move->to.dir);
}

static void exchange(struct operation *op, struct move *move)
{
	struct inode *from = move->from.child, *to = move->to.child;
	find_again(&move->from);
	entry_replace(op, &move->from, to);
	find_again(&move->to);
	entry_replace(op, &move->to, from);
	reparent(move, from, move->from.dir, move->to.dir);
	reparent(move, to, move->to.dir, move->from.dir);
	from->ctime_ns = to->ctime_ns = op->now_ns;
	op_save(op, from);
	op_save(op, to);
	dir_touch(op, move->from.dir, 0);
	dir_touch(op, move->to.dir, 0);
	save_dirs(op, move);
	op->mds->counters.renames_exchanging++;
}

/* What overlay file systems leave where something was: it hides what lies below. Saved, without a name yet. Nothing has changed when it fails. */
static int make_whiteout(struct operation *op, const struct cred *cred, const struct move *move, struct inode **ret_inode)
{
	int rc = inode_make(op, cred, move->from.dir, S_IFCHR, 0, ino_shard(move->from.dir->ino), ret_inode);
	if (rc == 0)
		op_save(op, *ret_inode);
	return rc;
}

/* whiteout: takes the old name; NULL: nothing does. */
static void replace(struct operation *op, struct move *move, struct inode *whiteout)
{
	struct inode *child = move->from.child, *victim = move->to.child;
	if (victim != NULL)
		entry_replace(op, &move->to, child);
	else
		entry_add(op, &move->to, child);
	find_again(&move->from); /* the other name may stand in the same bucket */
	if (whiteout != NULL)
		entry_replace(op, &move->from, whiteout);
	else
		entry_remove(op, &move->from);
	reparent(move, child, move->from.dir, move->to.dir);
	child->ctime_ns = op->now_ns;
	op_save(op, child);
	if (victim != NULL) {
		op->mds->counters.renames_replacing++;
		if (S_ISDIR(victim->mode))
			move->to.dir->nlink--;
		inode_drop_link(op, victim, S_ISDIR(victim->mode) ? victim->nlink : 1);
	}
	dir_touch(op, move->from.dir, whiteout != NULL ? 0 : -1);
	dir_touch(op, move->to.dir, victim == NULL);
	save_dirs(op, move);
}

/* Parks. */
static int recall(struct operation *op, struct move *move)
{
	int rc = lease_recall(op, move->from.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0 && move->between_dirs)
		rc = lease_recall(op, move->to.dir, LEASE_CHANGE_ENTRIES);
	if (rc == 0)
		rc = lease_recall(op, move->from.child, LEASE_CHANGE_ATTR);
	if (rc == 0 && move->to.child != NULL) {
		bool goes = (move->flags & MOVE_EXCHANGE) == 0;
		rc = lease_recall(op, move->to.child, goes ? lease_change_removal(move->to.child) : LEASE_CHANGE_ATTR);
	}
	return rc;
}

int mds_op_rename(struct operation *op, const struct rename_req *req, struct rename_rep *rep)
{
	struct move move = {.flags = req->flags, .between_dirs = !ino_eq(req->parent, req->new_parent)};
	struct inode *whiteout = NULL;
	if ((req->flags & ~(uint32_t)(MOVE_NOREPLACE | MOVE_EXCHANGE | MOVE_WHITEOUT)) != 0 ||
	    ((req->flags & MOVE_EXCHANGE) != 0 && req->flags != MOVE_EXCHANGE))
		return fail(EINVAL);
	int rc = name_check(req->name);
	if (rc == 0)
		rc = name_check(req->new_name);
	if (rc == 0 && (name_is_dots(req->name) || name_is_dots(req->new_name)))
		return fail(EBUSY);
	if (rc == 0)
		rc = enter(op, req, &move);
	if (rc < 0)
		return rc;
	if (move.from.child == NULL || (move.to.child == NULL && (req->flags & MOVE_EXCHANGE) != 0))
		return fail(ENOENT);
	if (move.to.child != NULL && (req->flags & MOVE_NOREPLACE) != 0)
		return fail(EEXIST);
	if (move.to.child == move.from.child)
		return 0; /* two names of one inode: both stay */
	rc = check_loops(op, &move);
	if (rc == 0)
		rc = check_perms(&req->cred, &move);
	if (rc == 0)
		rc = check_types(&move);
	if (rc == 0)
		rc = recall(op, &move);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0 && (req->flags & MOVE_WHITEOUT) != 0)
		rc = make_whiteout(op, &req->cred, &move, &whiteout);
	if (rc < 0)
		return rc;
	rep->ino = move.from.child->ino;
	if (move.to.child != NULL)
		rep->replaced = move.to.child->ino;
	if (req->flags & MOVE_EXCHANGE)
		exchange(op, &move);
	else
		replace(op, &move, whiteout);
	return 0;
}
