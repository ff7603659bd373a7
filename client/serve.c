/* SPDX-License-Identifier: Apache-2.0
 * What targets ask of this mount, over the connections that it opened. */
#include "client/client_impl.h"

int client_serve(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	struct client *client = ctx;
	switch (call->op->number) {
	case OP_lease_recall:
		return lease_serve_recall(client, &call->arena, req, rep);
	case OP_lock_granted:
		return lock_serve_granted(client, req);
	case OP_glimpse:
		return lease_serve_glimpse(client, req, rep);
	default:
		return fail(ERR_unknown_op);
	}
}
