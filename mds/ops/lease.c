/* SPDX-License-Identifier: Apache-2.0
 * lease_get and lease_return: the right to read or write data, asked for when no open brought it. */
#include "mds/mds_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

/* What is granted for the wish: both CR and CW go through to the OSTs, so that many may have them at once where one alone would only wait for others. */
static uint8_t choose(const struct operation *op, const struct lease_get_req *req, const struct inode *inode, const struct hold *own)
{
	uint8_t others = lease_of_others(op, req->ino);
	if (inode->flags & INODE_INLINE)
		return own != NULL && own->data == LEASE_PW ? LEASE_PW : req->mode; /* nothing goes through to objects */
	if (req->mode == LEASE_PW)
		return req->through_ok && lease_writes(others) ? LEASE_CW : LEASE_PW;
	if (own != NULL && lease_writes(own->data)) /* it keeps what it has, or gets all: a right to write is not taken by a grant */
		return req->through_ok || own->data == LEASE_PW ? own->data : LEASE_PW;
	return req->through_ok && others == LEASE_CW ? LEASE_CR : LEASE_PR;
}

static const struct hold *own_hold(const struct operation *op, struct ino ino)
{
	return hold_find(file_find(&op->mds->sessions, ino), op->client);
}

/* Recalls what stands in the way of what is going to be granted. Parks. */
static int recall_for(struct operation *op, const struct lease_get_req *req, struct inode *inode, uint8_t *ret_mode)
{
	for (;;) {
		bool was_inline = (inode->flags & INODE_INLINE) != 0;
		*ret_mode = choose(op, req, inode, own_hold(op, req->ino));
		int rc = lease_recall(op, inode, (struct lease_change){.attr = lease_writes(*ret_mode), .data_keep = lease_leaves(*ret_mode)});
		if (rc < 0)
			return rc;
		bool is_inline = (inode->flags & INODE_INLINE) != 0;
		/* A writer that is gone may have left something in the objects, which is cleared away first. */
		if (is_inline && lease_size_is_elsewhere(op, req->ino))
			return fail(ERR_busy);
		if (was_inline == is_inline)
			return 0; /* else the recall brought the data here */
	}
}

int mds_op_lease_get(struct operation *op, const struct lease_get_req *req, struct lease_get_rep *rep)
{
	struct inode *inode = NULL;
	struct blob data;
	if (req->mode != LEASE_PR && req->mode != LEASE_PW)
		return fail(EINVAL);
	if (op->mds->identity.state != TARGET_UP)
		return fail(ERR_grace);
	int rc = op_gates(op, &(struct gate_want){req->ino, GATE_EXCLUSIVE}, 1);
	if (rc == 0)
		rc = op_inode(op, req->ino, &inode);
	if (rc == 0 && !S_ISREG(inode->mode))
		return fail(EINVAL);
	if (rc < 0)
		return rc;
	uint8_t mode;
	rc = recall_for(op, req, inode, &mode);
	if (rc == 0)
		rc = inline_load(op, inode, &data);
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	const struct hold *own = own_hold(op, req->ino);
	bool fresh = own == NULL || !lease_writes(own->data);
	if (lease_writes(mode))
		inode_mark_writer(op, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, mode);
	rep->layout = inode->layout;
	rep->has_data = inline_answer(inode, &rep->lease, fresh, data, &rep->data);
	return 0;
}

int mds_op_lease_return(struct operation *op, const struct lease_return_req *req, struct lease_return_rep *rep)
{
	struct wire_in in = wire_in(req->leases);
	(void)rep;
	while (wire_left(&in) > 0) {
		struct lease_row row = lease_row_get(&in);
		if (in.err < 0)
			return fail(ERR_malformed);
		lease_returned(op->mds, op->session, &row);
	}
	return 0;
}
