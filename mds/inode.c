/* SPDX-License-Identifier: Apache-2.0
 * Inodes: what others are told of them, numbers and layouts of fresh ones, opens and writer marks, sizes. */
#include "mds/mds_impl.h"
#include "common/base/check.h"
#include "mds/acl.h"

#include <sys/stat.h>

enum { OST_LOW_PERCENT = 2 }; /* an OST with less space than this gets new files only when all are so */

struct attr inode_attr(struct mds *mds, const struct inode *inode, uint64_t client)
{
	struct attr attr = {
		.ino = inode->ino,
		.mode = inode->mode,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.size_bytes = inode->size_bytes,
		.blocks = inode->blocks,
		.atime_ns = inode->atime_ns,
		.atime_gen = inode->atime_gen,
		.mtime_ns = inode->mtime_ns,
		.ctime_ns = inode->ctime_ns,
		.btime_ns = inode->btime_ns,
		.size_gen = inode->size_gen,
		.layout_gen = inode->layout_gen,
		.change = inode->change,
	};
	if (S_ISDIR(inode->mode)) {
		attr.size_bytes = DIR_SIZE_BYTES;
		attr.blocks = DIR_SIZE_BYTES / BLOCK_BYTES;
	}
	if (inode->xattr_count > 0)
		attr.flags |= ATTR_HAS_XATTRS;
	if ((inode->flags & INODE_HAS_ACL) != 0)
		attr.flags |= ATTR_HAS_ACL;
	if (inode->default_layout.len > 0)
		attr.flags |= ATTR_STRIPE_DEFAULT;
	struct file_state *file = file_find(&mds->sessions, inode->ino);
	if (file == NULL || list_is_empty(&file->marks))
		return attr;
	bool others = false;
	list_for_each(node, &file->marks)
		others = others || CONTAINER_OF(node, struct mark, link)->client != client;
	if (!others)
		attr.flags |= ATTR_SIZE_AT_OBJECTS | ATTR_WRITERS_SELF;
	else if ((inode->flags & INODE_INLINE) == 0) /* else nobody knows more, unless its writer is asked */
		attr.flags |= ATTR_SIZE_AT_OBJECTS;
	return attr;
}

int64_t mds_time(struct mds *mds)
{
	int64_t now_ns = env_real_ns(mds->env), mono_ns = (int64_t)env_now_ns(mds->env);
	/* When somebody sets the clock back, MDT time goes on as fast as before: clients count on from what we told them. */
	int64_t least_ns = mds->last_time_ns + (mds->last_mono_ns != 0 && mono_ns > mds->last_mono_ns ? mono_ns - mds->last_mono_ns : 1);
	mds->last_mono_ns = mono_ns;
	mds->last_time_ns = now_ns > least_ns ? now_ns : least_ns;
	return mds->last_time_ns;
}

int ino_alloc(struct operation *op, uint16_t shard, struct ino *ret_ino)
{
	struct mds *mds = op->mds;
	if (mds->seqs[shard].next >= INO_SEQ_MAX)
		return fail(ENOSPC);
	if (mds->seqs[shard].next == mds->seqs[shard].limit) {
		mds->seqs[shard].limit = min_u64(mds->seqs[shard].limit + SEQ_RESERVE, INO_SEQ_MAX);
		struct wire_out out = op_buffer(op, 16);
		number_encode(mds->seqs[shard].limit, &out);
		op_put(op, key_numbers(shard), blob_of(out.base, wire_len(&out)));
	}
	*ret_ino = ino_make(shard, mds->seqs[shard].next++);
	return 0;
}

/* ---- layouts -------------------------------------------------------------------------------------------------- */

struct choice {
	uint16_t osts[CMAP_TARGETS_MAX];
	uint16_t count;
	uint16_t start; /* where in osts a layout begins */
};

static bool is_low(const struct ost *ost)
{
	return ost->total_bytes > 0 && ost->available_bytes < ost->total_bytes / 100 * OST_LOW_PERCENT;
}

/* OSTs to choose from, in index order: those that are up and not full; if all are full, those that are up. */
static void gather(struct mds *mds, bool full_ones_too, struct choice *choice)
{
	choice->count = 0;
	for (uint32_t i = 0; i < mds->map->target_count; i++) {
		const struct cmap_target *target = &mds->map->targets[i];
		if (target->kind != TARGET_OST || target->state == TARGET_DOWN || target->index >= mds->ost_count)
			continue;
		if (full_ones_too || !is_low(&mds->osts[target->index]))
			choice->osts[choice->count++] = (uint16_t)target->index;
	}
}

/* Smooth weighted round robin over free space (as nginx does for servers): over time each gets files in proportion to its space. */
static void turn(struct mds *mds, struct choice *choice)
{
	int64_t total = 0;
	uint16_t best = 0;
	for (uint16_t i = 0; i < choice->count; i++) {
		struct ost *ost = &mds->osts[choice->osts[i]];
		int64_t weight = (int64_t)(ost->available_bytes >> 20) + 1;
		ost->credit += weight;
		total += weight;
		if (ost->credit > mds->osts[choice->osts[best]].credit)
			best = i;
	}
	mds->osts[choice->osts[best]].credit -= total;
	choice->start = best;
}

/* A named first OST or an OST list is taken at its word: it may be full, or away for now; it must exist. */
static int check_named(struct mds *mds, const struct layout *wanted, bool *ret_named)
{
	for (uint32_t i = 0; i < wanted->component_count; i++) {
		const struct component *component = &wanted->components[i];
		if (component->stripe_index != STRIPE_INDEX_ANY) {
			*ret_named = true;
			if (cmap_find(mds->map, TARGET_OST, component->stripe_index) == NULL)
				return fail(EINVAL);
		}
		if (component->flags & COMPONENT_OST_LIST)
			*ret_named = true;
	}
	return 0;
}

static int place(struct operation *op, const struct layout *wanted, uint32_t gen, struct blob *ret_layout)
{
	struct mds *mds = op->mds;
	struct choice *choice = arena_alloc(op->arena, sizeof(*choice));
	struct layout *placed = arena_alloc(op->arena, sizeof(*placed));
	bool named = false;
	int rc = check_named(mds, wanted, &named);
	if (rc < 0)
		return rc;
	if (named) {
		for (uint32_t i = 0; i < mds->map->target_count; i++)
			if (mds->map->targets[i].kind == TARGET_OST)
				choice->osts[choice->count++] = (uint16_t)mds->map->targets[i].index;
	} else {
		gather(mds, false, choice);
		if (choice->count == 0)
			gather(mds, true, choice);
	}
	if (choice->count == 0)
		return fail(ERR_not_ready); /* all are away, or none has ever come: full ones would be here */
	turn(mds, choice);
	rc = layout_place(wanted, choice->osts, choice->count, choice->start, placed);
	if (rc < 0)
		return rc;
	placed->gen = gen;
	struct wire_out out = op_buffer(op, WIRE_BYTES_BYTES_MAX);
	layout_encode(placed, &out);
	if (out.err < 0)
		return fail(EINVAL);
	*ret_layout = blob_of(out.base, wire_len(&out));
	return 0;
}

int place_layout(struct operation *op, const struct inode *dir, struct blob wanted, uint32_t gen, struct blob *ret_layout)
{
	struct layout *layout = arena_alloc(op->arena, sizeof(*layout));
	if (wanted.len == 0 && dir != NULL)
		wanted = dir->default_layout;
	if (wanted.len == 0)
		layout_init_wanted(layout, 0, 0, STRIPE_INDEX_ANY);
	else if (layout_decode(wanted, layout) < 0)
		return fail(EINVAL);
	int rc = layout_check(layout, false);
	return rc < 0 ? rc : place(op, layout, gen, ret_layout);
}

/* ---- access lists --------------------------------------------------------------------------------------------- */

void inode_set_acl(struct operation *op, struct inode *inode, bool is_default, struct blob acl)
{
	struct str name = is_default ? ACL_DEFAULT : ACL_ACCESS;
	uint32_t flag = is_default ? INODE_HAS_DEFAULT_ACL : INODE_HAS_ACL;
	struct blob *list = is_default ? &inode->default_acl : &inode->acl;
	bool there = (inode->flags & flag) != 0, keep = acl_count(acl) > 0 && (is_default || !acl_is_minimal(acl));
	if (!is_default)
		inode->mode = acl_mode(acl, inode->mode);
	if (there) {
		inode->xattr_bytes -= (uint32_t)min_u64(name.len + list->len, inode->xattr_bytes);
		inode->xattr_count -= inode->xattr_count > 0;
	}
	*list = keep ? acl : (struct blob){0};
	inode->flags = keep ? inode->flags | flag : inode->flags & ~flag;
	if (!keep) {
		if (there)
			op_erase(op, key_xattr(inode->ino, name));
		return;
	}
	inode->xattr_bytes += (uint32_t)(name.len + acl.len);
	inode->xattr_count++;
	struct wire_out out = op_buffer(op, acl.len + 8);
	text_encode(acl, &out);
	op_put(op, key_xattr(inode->ino, name), blob_of(out.base, wire_len(&out)));
}

/* ---- opens, sizes --------------------------------------------------------------------------------------------- */

void inode_open(struct operation *op, struct inode *inode, uint64_t handle, uint32_t flags)
{
	struct mds *mds = op->mds;
	(void)open_add(&mds->sessions, op->session, handle, inode->ino, flags); /* closed by its handle */
	op->handle = handle;
	op->record_ino = inode->ino;
	op->open_flags = flags;
}

void inode_mark_writer(struct operation *op, struct inode *inode)
{
	struct mds *mds = op->mds;
	struct mark *mark = mark_find(&mds->sessions, inode->ino, op->client);
	if (mark == NULL || mark->size_gen != inode->size_gen) {
		struct wire_out out = op_buffer(op, 16);
		number_encode(inode->size_gen, &out);
		op_put(op, key_writer(inode->ino, op->client), blob_of(out.base, wire_len(&out)));
		mark_add(&mds->sessions, inode->ino, op->client, inode->size_gen, mds->txn.collecting);
	}
	if ((inode->flags & INODE_HAS_DATA) == 0) {
		inode->flags |= INODE_HAS_DATA;
		op_save(op, inode);
	}
}

void inode_truncate(struct operation *op, struct inode *inode, uint64_t size_bytes, struct blob data)
{
	struct file_state *file = file_find(&op->mds->sessions, inode->ino);
	bool writers = file != NULL && !list_is_empty(&file->marks);
	bool in_objects = (inode->flags & INODE_INLINE) == 0;
	/* While somebody may write, objects may be longer than the size that we know, and hold a part of what lives with the inode. */
	bool cut = (inode->flags & INODE_HAS_DATA) != 0 && (writers || (in_objects && size_bytes < inode->size_bytes));
	if ((inode->flags & INODE_INLINE) != 0 && data.len > size_bytes)
		inline_store(op, inode, blob_of(data.ptr, size_bytes));
	inode->size_bytes = size_bytes;
	inode->blocks = min_u64(inode->blocks, (size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES);
	inode->size_gen++;
	inode->mtime_ns = inode->ctime_ns = op->now_ns;
	inode->modified_ns = op->now_ns > inode->modified_ns ? op->now_ns : inode->modified_ns;
	op->record_ino = inode->ino;
	if (!cut)
		return;
	struct truncate_record intent = {.size_bytes = size_bytes, .size_gen = inode->size_gen, .mtime_ns = op->now_ns};
	struct wire_out out = op_buffer(op, 32);
	truncate_encode(&intent, &out);
	op_put(op, key_of(TABLE_truncate, inode->ino), blob_of(out.base, wire_len(&out)));
	op->after = objects_truncate;
	op->after_inode = inode;
}

int inode_publish(struct operation *op, struct inode *inode, uint8_t flags, uint32_t size_gen, uint64_t size_bytes, int64_t mtime_ns,
		  uint64_t blocks, bool *ret_changed)
{
	if (size_gen != inode->size_gen) {
		op->mds->counters.stale_sizes++;
		return fail(ERR_stale_layout);
	}
	if (size_bytes > INT64_MAX)
		return fail(EFBIG);
	bool changed = size_bytes > inode->size_bytes;
	inode->size_bytes = max_u64(inode->size_bytes, size_bytes);
	if (mtime_ns > inode->modified_ns) {
		inode->mtime_ns = inode->modified_ns = mtime_ns;
		inode->ctime_ns = mtime_ns > inode->ctime_ns ? mtime_ns : inode->ctime_ns;
		changed = true;
	}
	if ((blocks != 0 || (flags & SIZE_BLOCKS) != 0) && blocks != inode->blocks) {
		inode->blocks = blocks;
		changed = true;
	}
	*ret_changed = changed;
	return 0;
}

bool inode_raise_atime(struct inode *inode, int64_t atime_ns, uint16_t atime_gen)
{
	if (atime_gen != inode->atime_gen || atime_ns <= inode->atime_ns)
		return false;
	inode->atime_ns = atime_ns;
	return true;
}
