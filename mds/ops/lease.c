/* SPDX-License-Identifier: Apache-2.0
 * lease_get and lease_return: the right to read or write data, asked for when no open brought it. */
#include "mds/mds_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

/* What is granted for the wish: both CR and CW go through to the OSTs, so that many may have them at once where one alone would only wait for others. */
static uint8_t choose(const struct operation *op, const struct lease_get_req *req)
{
	uint8_t others = lease_of_others(op, req->ino);
	const struct hold *own = hold_find(file_find(&op->mds->sessions, req->ino), op->client);
	if (req->mode == LEASE_PW)
		return req->through_ok && lease_writes(others) ? LEASE_CW : LEASE_PW;
	if (own != NULL && lease_writes(own->data)) /* it keeps what it has, or gets all: a right to write is not taken by a grant */
		return req->through_ok || own->data == LEASE_PW ? own->data : LEASE_PW;
	return req->through_ok && others == LEASE_CW ? LEASE_CR : LEASE_PR;
}

int mds_op_lease_get(struct operation *op, const struct lease_get_req *req, struct lease_get_rep *rep)
{
	struct inode *inode = NULL;
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
	uint8_t mode = choose(op, req);
	rc = lease_recall(op, inode, (struct lease_change){.attr = lease_writes(mode), .data_keep = lease_leaves(mode)});
	if (rc == 0)
		rc = op_mutate(op);
	if (rc < 0)
		return rc;
	if (lease_writes(mode))
		inode_mark_writer(op, inode);
	rep->attr = inode_attr(op->mds, inode, op->client);
	rep->lease = lease_grant(op, inode, false, mode);
	rep->layout = inode->layout;
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
