/* SPDX-License-Identifier: Apache-2.0
 * reclaim and forget_client: what a client says of itself as a whole. */
#include "mds/mds_impl.h"
#include "proto/rows.h"

static int reclaim_one(struct operation *op, const struct reclaim_row *row, uint32_t *refused)
{
	struct inode *inode = NULL;
	int rc = op_gates(op, &(struct gate_want){row->ino, GATE_SHARED}, 1);
	if (rc == 0)
		rc = op_inode(op, row->ino, &inode);
	if (rc == -ESTALE) {
		++*refused;
		op->mds->counters.reclaims_refused++;
		return 0;
	}
	if (rc < 0)
		return rc;
	if (op->session->dead)
		return fail(ERR_evicted);
	struct open_file *open = open_find(op->session, row->handle);
	if (open != NULL && !ino_eq(open->file->ino, row->ino))
		return fail(ERR_malformed);
	open_add(&op->mds->sessions, op->session, row->handle, row->ino, row->flags & (OPEN_READ | OPEN_WRITE))->opno = 0;
	op->mds->counters.reclaims++;
	return 0;
}

static int reclaim_opens(struct operation *op, struct wire_in *in, uint32_t *refused)
{
	int rc = 0;
	while (wire_left(in) > 0 && rc == 0) {
		struct reclaim_row row = reclaim_row_get(in);
		if (in->err < 0 || row.handle == 0)
			return fail(ERR_malformed);
		rc = reclaim_one(op, &row, refused);
	}
	return rc;
}

/* What a client held before the restart goes together with what all others held, and nothing was granted since. Afterwards it does not. */
static int reclaim_leases(struct operation *op, struct wire_in *in, uint32_t *refused)
{
	bool in_time = op->mds->identity.state == TARGET_RECOVERING && !op->session->reclaimed;
	while (wire_left(in) > 0) {
		struct lease_row row = lease_row_get(in);
		if (in->err < 0 || row.lease.data_mode > LEASE_PW || ino_shard(row.ino) >= op->mds->sb.shard_count)
			return fail(ERR_malformed);
		const struct hold *hold = hold_find(file_find(&op->mds->sessions, row.ino), op->client);
		if (hold != NULL && hold->number == row.lease.number)
			continue; /* said before: the answer was lost */
		if (!in_time || row.lease.number > op->session->grants)
			++*refused;
		else
			lease_restore(&op->mds->sessions, op->session, &row);
	}
	return 0;
}

/* Likewise: locks of before the restart go together, and nobody has got one since. */
static int reclaim_locks(struct operation *op, struct wire_in *in, uint32_t *refused)
{
	bool in_time = op->mds->identity.state == TARGET_RECOVERING && !op->session->reclaimed;
	while (wire_left(in) > 0) {
		struct lock_row row = lock_row_get(in);
		if (in->err < 0 || row.kind < LOCK_KIND_FLOCK || row.kind > LOCK_KIND_OFD || row.type == LOCK_TYPE_NONE ||
		    row.type > LOCK_TYPE_WRITE || row.start > row.end)
			return fail(ERR_malformed);
		struct lock_want want = {
			.ino = row.ino,
			.client = op->client,
			.owner = row.owner,
			.kind = row.kind,
			.type = row.type,
			.start = row.start,
			.end = row.end,
			.pid = row.pid,
		};
		if (in_time && locks_restore(&op->mds->locks, &want))
			op->mds->counters.locks_reclaimed++;
		else
			++*refused;
	}
	return 0;
}

int mds_op_reclaim(struct operation *op, const struct reclaim_req *req, struct reclaim_rep *rep)
{
	struct wire_in in = wire_in(req->rows);
	int rc;
	/* The last words to the boot before would pass for all that this one is told. */
	if (req->boot != 0 && req->boot != op->mds->identity.boot)
		return fail(ERR_conn_lost);
	switch (req->kind) {
	case RECLAIM_OPENS:
		rc = reclaim_opens(op, &in, &rep->refused);
		break;
	case RECLAIM_LEASES:
		rc = reclaim_leases(op, &in, &rep->refused);
		break;
	case RECLAIM_LOCKS:
		rc = reclaim_locks(op, &in, &rep->refused);
		break;
	default:
		return fail(EOPNOTSUPP);
	}
	if (rc < 0)
		return rc;
	op->session->watermark = max_u64(op->session->watermark, op->call->frame.lowest);
	if (req->done)
		recover_client_done(op->mds, op->session);
	return 0;
}

int mds_op_forget_client(struct operation *op, const struct forget_client_req *req, struct forget_client_rep *rep)
{
	(void)req;
	(void)rep;
	client_gone(op->mds, op->client, false);
	return 0;
}
