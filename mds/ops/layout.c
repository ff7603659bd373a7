/* SPDX-License-Identifier: Apache-2.0
 * set_layout and get_layout. */
#include "mds/mds_impl.h"

#include <sys/stat.h>

static int set_of_file(struct operation *op, const struct set_layout_req *req, struct inode *inode)
{
	struct blob layout;
	if (!S_ISREG(inode->mode))
		return fail(EINVAL);
	int rc = perm_check(&req->cred, inode, MAY_WRITE);
	if (rc < 0)
		return rc;
	if ((inode->flags & INODE_HAS_DATA) != 0 || inode->size_bytes > 0)
		return fail(EEXIST); /* its objects may hold data already */
	rc = place_layout(op, NULL, req->layout, inode->layout_gen + 1, &layout);
	if (rc == 0)
		rc = lease_recall(op, inode, (struct lease_change){.attr = true, .data_keep = LEASE_NONE});
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	inode->layout = layout;
	inode->layout_gen++;
	return 0;
}

static int set_of_dir(struct operation *op, const struct set_layout_req *req, struct inode *inode)
{
	struct layout *layout = arena_alloc(op->arena, sizeof(*layout));
	if (!S_ISDIR(inode->mode))
		return fail(ENOTDIR);
	int rc = perm_owner(&req->cred, inode);
	if (rc == 0 && req->layout.len > 0 && (layout_decode(req->layout, layout) < 0 || layout_check(layout, false) < 0))
		rc = fail(EINVAL);
	for (uint32_t i = 0; rc == 0 && i < layout->component_count; i++) {
		const struct component *component = &layout->components[i];
		if (component->stripe_index != STRIPE_INDEX_ANY && cmap_find(op->mds->map, TARGET_OST, component->stripe_index) == NULL)
			rc = fail(EINVAL);
		for (uint16_t at = 0; rc == 0 && at < component->ost_count; at++)
			if (cmap_find(op->mds->map, TARGET_OST, layout->osts[component->osts_at + at]) == NULL)
				rc = fail(EINVAL);
	}
	if (rc == 0)
		rc = lease_recall(op, inode, LEASE_CHANGE_ATTR);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc == 0)
		inode->default_layout = req->layout;
	return rc;
}

int mds_op_set_layout(struct operation *op, const struct set_layout_req *req, struct set_layout_rep *rep)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0)
		rc = req->target == LAYOUT_OF_FILE ? set_of_file(op, req, inode) : set_of_dir(op, req, inode);
	if (rc < 0)
		return rc;
	inode->ctime_ns = op->now_ns;
	op_save(op, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->layout = req->target == LAYOUT_OF_FILE ? inode->layout : inode->default_layout;
	return 0;
}

int mds_op_get_layout(struct operation *op, const struct get_layout_req *req, struct get_layout_rep *rep)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc < 0)
		return rc;
	if (req->target == LAYOUT_OF_FILE) {
		if (!S_ISREG(inode->mode))
			return fail(ENODATA);
		rep->layout = inode->layout;
		rep->is_inline = (inode->flags & INODE_INLINE) != 0;
		return 0;
	}
	if (!S_ISDIR(inode->mode))
		return fail(ENOTDIR);
	rep->layout = inode->default_layout;
	if (rep->layout.len > 0)
		return 0;
	struct layout *layout = arena_alloc(op->arena, sizeof(*layout));
	layout_init_wanted(layout, 0, 0, STRIPE_INDEX_ANY);
	struct wire_out out = op_buffer(op, WIRE_BYTES_BYTES_MAX);
	layout_encode(layout, &out);
	rep->layout = blob_of(out.base, wire_len(&out));
	rep->inherited = 1;
	return out.err;
}
