/* SPDX-License-Identifier: Apache-2.0
 * Access times. Reads move them here, by what is known of the inode, and every stat by this mount shows it at once; the MDT hears of it later, many
 * inodes in one message, or with a message that goes anyway. Never a call that a program waits for.
 *
 * node->atime_ns is the latest that is known under node->atime_gen, which changes when somebody sets an atime: what was read before that counts for
 * nothing afterwards, here and at the MDT. So messages may be late, lost, or come twice. */
#include "client/client_impl.h"
#include "proto/rows.h"

#include <sys/stat.h>

#define ATIME_PERIOD_NS   (2 * NS_PER_S)
#define ATIME_DAY_NS      ((int64_t)(24 * 3600 * NS_PER_S))
#define ATIME_UNLEASED_NS (1 * NS_PER_S) /* who holds no lease does not see what others write: then reads count as often as this */

static void unlist(struct node *node)
{
	if (list_node_is_linked(&node->atime_link))
		list_remove(&node->atime_link);
}

void atime_merge(struct client *client, struct node *node, struct attr *attr)
{
	session_heard_time(client, attr->ctime_ns);
	bool same = node->atime_known && attr->atime_gen == node->atime_gen;
	bool newer = !node->atime_known || attr->change >= node->atime_change;
	if (newer && !same) {
		unlist(node); /* it was set since */
		node->atime_known = true;
		node->atime_gen = attr->atime_gen;
		node->atime_ns = attr->atime_ns;
	} else if (same && attr->atime_ns > node->atime_ns) {
		node->atime_ns = attr->atime_ns;
	}
	if (newer)
		node->atime_change = attr->change;
	attr->atime_gen = node->atime_gen;
	attr->atime_ns = node->atime_ns;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Linux's relatime: the first read after a change counts, and one a day. attr: with our own writes. */
static bool is_relative_due(const struct node *node, const struct attr *attr, int64_t now_ns)
{
	return node->atime_ns <= attr->mtime_ns || node->atime_ns <= attr->ctime_ns || now_ns - node->atime_ns >= ATIME_DAY_NS;
}

static bool is_due(const struct client *client, const struct node *node, const struct attr *attr, int64_t now_ns)
{
	if (client->conf.atime == CLIENT_ATIME_STRICT || is_relative_due(node, attr, now_ns))
		return true;
	return !lease_attr_ok(client, node) && node->atime_raised_ns + ATIME_UNLEASED_NS <= env_now_ns(client->env);
}

static bool counts(const struct client *client, const struct node *node)
{
	if (client->conf.atime == CLIENT_ATIME_NEVER || !node->atime_known || node->attr.ino.v == 0)
		return false;
	return !S_ISDIR(node->attr.mode) || !client->conf.no_diratime;
}

static struct attr attr_of(const struct node *node)
{
	struct attr attr = node->attr;
	node_add_unpublished(node, &attr);
	return attr;
}

void atime_read(struct client *client, const struct client_op *op, struct node *node)
{
	if (op->leaves_atime || op->is_admin || !counts(client, node))
		return;
	struct attr attr = attr_of(node);
	int64_t now_ns = session_mdt_now_ns(client);
	if (!is_due(client, node, &attr, now_ns))
		return;
	/* The MDT's clock may be ahead of what we think: a read is later than the change that it sees. */
	if (now_ns <= attr.ctime_ns)
		now_ns = attr.ctime_ns + 1;
	if (now_ns <= node->atime_ns)
		return;
	node->atime_ns = now_ns;
	node->atime_raised_ns = env_now_ns(client->env);
	if (!list_node_is_linked(&node->atime_link))
		list_push_back(&client->atime_nodes, &node->atime_link);
}

void atime_copied(struct client *client, const struct client_op *op, struct node *node, int64_t before_ns)
{
	struct kcache *kcache = client->env->kcache;
	atime_read(client, op, node);
	if (node->atime_ns == before_ns || kcache == NULL || !lease_kernel_may_know(client, node))
		return;
	lease_wait_for_fills(client, node, env_now_ns(client->env) + NS_PER_S);
	(void)kcache->ops->inval_attr(kcache, node->ino.v); /* ENOENT: it does not know the inode */
}

bool atime_is_due(const struct client *client, const struct node *node)
{
	if (!counts(client, node))
		return false; /* strictatime: with each read that comes, but of the first after a change one comes */
	struct attr attr = attr_of(node);
	/* Later than the last change it is not because of one, but set, and no read ever gets there: pages would never be kept. */
	if (attr.mtime_ns > attr.ctime_ns)
		attr.mtime_ns = attr.ctime_ns;
	return is_relative_due(node, &attr, session_mdt_now_ns(client));
}

void atime_changed(struct client *client, struct node *node)
{
	if (!node->pages || !atime_is_due(client, node))
		return;
	list_for_each(at, &node->files) {
		const struct client_file *file = CONTAINER_OF(at, struct client_file, node_link);
		if ((file->flags & OPEN_WRITE) != 0)
			continue;
		lease_drop_own_pages(client, node, 0, 0);
		return;
	}
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

bool atime_say(const struct node *node, uint8_t *ret_flags, int64_t *ret_atime_ns, uint16_t *ret_atime_gen)
{
	if (!list_node_is_linked(&node->atime_link))
		return false;
	*ret_flags |= SIZE_ATIME;
	*ret_atime_ns = node->atime_ns;
	*ret_atime_gen = node->atime_gen;
	return true;
}

void atime_said(struct node *node, int64_t atime_ns, uint16_t atime_gen)
{
	if (node->atime_ns == atime_ns && node->atime_gen == atime_gen)
		unlist(node);
}

bool atime_is_pending(const struct node *node)
{
	bool gone = node->removed && node->attr.nlink <= 1; /* one of its names is no more: it may have others */
	return !gone && list_node_is_linked(&node->atime_link);
}

void atime_forget(struct node *node)
{
	unlist(node);
}

/* The oldest of them. Parks. */
static int send_some(struct client *client, struct client_op *op)
{
	struct node *nodes[ATIME_ROWS_MAX];
	uint8_t bytes[ATIME_ROWS_MAX * ATIME_ROW_BYTES];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct list_node *link;
	size_t count = 0;
	while (count < ATIME_ROWS_MAX && (link = list_pop_front(&client->atime_nodes)) != NULL) {
		struct node *node = CONTAINER_OF(link, struct node, atime_link);
		node->users++;
		nodes[count++] = node;
		atime_row_put(&out, &(struct atime_row){node->ino, node->atime_ns, node->atime_gen});
	}
	/* Every inode is MDT 0's until shards have other owners. */
	struct touch_req req = {.rows = blob_of(bytes, wire_len(&out))};
	struct touch_rep rep;
	int rc = session_mdt_call(client, INO_ROOT, &(struct call){.op = OP_touch, .req = &req, .rep = &rep, .who = op});
	for (size_t i = 0; i < count; i++) {
		if (rc < 0 && !client->ended && !list_node_is_linked(&nodes[i]->atime_link))
			list_push_back(&client->atime_nodes, &nodes[i]->atime_link); /* another time */
		node_put(client, nodes[i]);
	}
	return rc;
}

size_t atime_count(const struct client *client)
{
	size_t count = 0;
	list_for_each(at, &client->atime_nodes)
		count++;
	return count;
}

int atime_send_all(struct client *client, struct client_op *op)
{
	size_t count = atime_count(client);
	int rc = 0;
	/* What is read meanwhile is another time's. */
	for (size_t sent = 0; sent < count && rc == 0 && !list_is_empty(&client->atime_nodes); sent += ATIME_ROWS_MAX)
		rc = send_some(client, op);
	return rc;
}

void atime_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		session_nap(client, ATIME_PERIOD_NS);
		if (client->joined && !client->ended && !client->stopping)
			(void)atime_send_all(client, NULL); /* what was not taken stays */
	}
	session_daemon_done(client);
}
