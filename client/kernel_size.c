/* SPDX-License-Identifier: Apache-2.0
 * What the kernel takes for the size of a file.
 *
 * read() asks for attributes first, and then goes as far as the size that the kernel has. The answer is ignored, and the size stays what it was, if
 * anything about the inode was invalidated, changed or answered since the question went out (fi->attr_version), or if a write of this mount's own is under
 * way (FUSE_I_SIZE_UNSTABLE): then read() would return less than what was there when it was called. In the same cases a READ whose answer ends early is
 * filled up with zeros to the old size. So before an answer of which that may come true we let the kernel ask a question of its own, through a view of the
 * inode, until it has the size that we know; what it answers needs no MDT, because pages may be locked meanwhile. */
#include "client/client_impl.h"

#define ON_ITS_WAY_NS  (50 * NS_PER_MS)  /* a question from the kernel to us, on a busy machine */
#define ASK_WAIT_NS    (1 * NS_PER_S)
#define READ_WAIT_NS   (100 * NS_PER_MS) /* its pages are locked */
#define LOOK_NS        (300 * NS_PER_US)
#define SHARED_NS      (1 * NS_PER_S)

static void changed(struct client *client, struct node *node)
{
	node->kernel_changed_ns = env_now_ns(client->env);
}

void kernel_size_change_begin(struct node *node)
{
	node->kernel_changing++;
}

void kernel_size_change_end(struct client *client, struct node *node)
{
	node->kernel_changing--;
	changed(client, node);
}

/* Others have asked us for the file a moment ago. Where nobody does, all that changes it comes from the kernel, which knows its own doing. */
static bool is_shared(const struct client *client, const struct node *node)
{
	return node->recalled_ns != 0 && node->recalled_ns + SHARED_NS > env_now_ns(client->env);
}

void client_size_change_begin(struct client *client, struct ino ino)
{
	kernel_size_change_begin(node_get(client, ino));
}

void client_size_change_end(struct client *client, struct ino ino)
{
	struct node *node = node_find(client, ino);
	CHECK(node != NULL && node->kernel_changing > 0);
	/* The kernel has the answer, and whoever waited for it sets the size when he is next on a processor. */
	if (node->kernel_size < node->kernel_grown) {
		node->kernel_size = node->kernel_grown;
		node->kernel_size_known = node->kernel_size_known && !is_shared(client, node);
	}
	node->kernel_grown = 0;
	kernel_size_change_end(client, node);
	node_put(client, node);
}

void kernel_size_grown(struct node *node, uint64_t end)
{
	node->kernel_grown = max_u64(node->kernel_grown, end);
}

/* An answer to a question that came then. */
static bool may_be_ignored(const struct node *node, uint64_t arrived_ns)
{
	return node->kernel_changing > 0 || (node->kernel_changed_ns != 0 && node->kernel_changed_ns + ON_ITS_WAY_NS > arrived_ns);
}

void client_size_told(struct client *client, const struct client_op *op, const struct attr *attr)
{
	struct node *node = node_find(client, attr->ino);
	if (node == NULL || client->env->kcache == NULL)
		return;
	if (!may_be_ignored(node, op->arrived_ns)) {
		node->kernel_size = attr->size_bytes;
		node->kernel_size_known = true;
	} else if (node->kernel_size != attr->size_bytes) {
		node->kernel_size_known = false;
	}
	changed(client, node);
}

/* Until the kernel has the size that we know. Parks. */
static void settle(struct client *client, struct client_op *op, struct node *node, uint64_t wait_ns, bool waits_for_writes)
{
	struct kcache *kcache = client->env->kcache;
	struct kcache_view *view = NULL;
	uint64_t until_ns = env_now_ns(client->env) + wait_ns;
	int rc = kcache->ops->view_open(kcache, node->ino.v, &view);
	if (rc < 0) {
		client->no_views = client->no_views || rc == -EPERM;
		return;
	}
	uint64_t size_bytes = node->size_bytes;
	while (kcache->ops->view_size(view) != size_bytes && !client_op_is_called_off(op) && !client->ended) {
		bool writing = waits_for_writes && node->kernel_changing > 0;
		if (!writing && env_now_ns(client->env) > until_ns) {
			client->counters.sizes_given_up++;
			break;
		}
		if (!writing)
			kcache->ops->view_ask(view);
		session_nap(client, LOOK_NS);
		size_bytes = node->size_bytes;
	}
	node->kernel_size = size_bytes;
	node->kernel_size_known = kcache->ops->view_size(view) == size_bytes;
	client->counters.sizes_settled++;
	kcache->ops->view_close(view);
}

static bool is_believed(const struct client *client, const struct node *node, uint64_t arrived_ns, uint64_t size_bytes)
{
	if (client->env->kcache == NULL || client->no_views || !may_be_ignored(node, arrived_ns))
		return true;
	return node->kernel_size_known && node->kernel_size == size_bytes;
}

void client_size_settle(struct client *client, struct client_op *op, const struct attr *attr)
{
	struct node *node = node_find(client, attr->ino);
	if (node == NULL || is_believed(client, node, op->arrived_ns, attr->size_bytes))
		return;
	node->users++;
	settle(client, op, node, ASK_WAIT_NS, true);
	node_put(client, node);
}

void kernel_size_settle_read(struct client *client, struct client_op *op, struct node *node, uint64_t end)
{
	if (node->kernel_size_known && node->kernel_size <= end)
		return;
	if (!is_believed(client, node, op->arrived_ns, end)) {
		settle(client, op, node, READ_WAIT_NS, false);
		return;
	}
	node->kernel_size = min_u64(node->kernel_size, end); /* fuse_short_read */
	changed(client, node);
}

bool client_asks_itself(const struct client *client, const struct client_op *op)
{
	const struct kcache *kcache = client->env->kcache;
	return kcache != NULL && kcache->ops->view_asks(kcache, op->thread);
}

int client_getattr_known(struct client *client, struct ino ino, struct client_entry *ret_entry)
{
	struct node *node = node_find(client, ino);
	if (node == NULL || node->attr.ino.v == 0)
		return fail(ENOENT);
	*ret_entry = (struct client_entry){.attr = node->attr};
	if (node->size_known)
		ret_entry->attr.size_bytes = node->size_bytes;
	atime_merge(client, node, &ret_entry->attr);
	return 0;
}
