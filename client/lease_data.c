/* SPDX-License-Identifier: Apache-2.0
 * Data leases: getting one before a read or write, and giving the right to write back when nobody here needs it.
 *
 * A read that fills pages holds their locks in the kernel until it is answered, and a lease is given back only when the kernel has dropped its pages: so
 * such a read never waits for anything that waits for a recall. It asks for leases through a task of its own (the getter), and goes on under the
 * lease that is being given back when a recall comes in between, as long as the kernel has not dropped its pages for good. */
#include "client/client_impl.h"

#define SETTLE_PERIOD_NS (100 * NS_PER_MS)
#define SETTLE_AGE_NS    (300 * NS_PER_MS) /* a file that was closed may be opened again at once */

enum { SETTLE_MAX = 256 };

static void changed(struct node *node)
{
	waitq_wake_all(&node->changed);
}

/* ---- the getter -------------------------------------------------------------------------------------------------- */

struct get {
	struct client *client;
	struct node *node;
	uint8_t mode;
	bool through_ok;
};

static int get_lease(struct get *get)
{
	struct client *client = get->client;
	struct node *node = get->node;
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	if (small_is_pending(node)) {
		int rc = attr_publish(client, NULL, node);
		if (rc < 0)
			return rc;
	}
	struct lease_get_req req = {.ino = node->ino, .mode = get->mode, .through_ok = get->through_ok};
	struct lease_get_rep rep;
	uint64_t asked = lease_asked(client);
	int rc = session_mdt_call(client, node->ino, &(struct call){.op = OP_lease_get, .req = &req, .rep = &rep, .arena = &arena});
	if (rc < 0)
		return rc;
	lease_take(client, node, &rep.lease, &rep.attr, asked);
	node_merge_attr(client, node, &rep.attr);
	small_take(client, node, &rep.lease, rep.has_data, rep.data);
	return rep.layout.len > 0 ? node_set_layout(node, rep.layout) : 0;
}

static void get_task(void *arg)
{
	struct get *get = arg;
	struct client *client = get->client;
	struct node *node = get->node;
	node->get_rc = get_lease(get);
	node->getting = false;
	node->get_count++;
	changed(node);
	node_put(client, node);
	mem_free(get);
	session_task_done(client);
}

static void get_start(struct client *client, struct node *node, uint8_t mode, bool through_ok)
{
	struct get *get = mem_alloc(sizeof(*get));
	*get = (struct get){client, node, mode, through_ok};
	node->getting = true;
	node->users++;
	session_spawn(client, "lease_get", get_task, get);
}

/* ---- entering ----------------------------------------------------------------------------------------------------- */

static uint8_t mode_wanted(const struct node *node, enum lease_need need)
{
	if (need == NEED_READ)
		return LEASE_PR;
	/* With a file open to write, a page that is read may become part of a shared mapping, which writes without asking. */
	if (need == NEED_FILL)
		return node->writers > 0 ? LEASE_PW : LEASE_PR;
	return LEASE_PW;
}

static bool is_enough(const struct node *node, enum lease_need need)
{
	uint8_t held = node->lease.data_mode;
	bool reads = need == NEED_READ || need == NEED_FILL;
	if (lease_caches(held) && node->data_place == DATA_PLACE_UNKNOWN)
		return false; /* it may live with the inode */
	if (node->data_place == DATA_INLINE && reads && !node->size_known)
		return false;
	switch (need) {
	case NEED_READ:
		return held != LEASE_NONE;
	case NEED_FILL: /* with a size that is sure: no MDT is asked while pages are locked */
		return node->size_known && (held == LEASE_PW || (held == LEASE_PR && node->writers == 0));
	case NEED_WRITE:
		return lease_writes(held);
	default:
		return held == LEASE_PW;
	}
}

/* What goes through goes to the objects. */
static bool place_is_known(const struct node *node)
{
	return node->data_place != DATA_PLACE_UNKNOWN || node->lease.data_mode == LEASE_CR || node->lease.data_mode == LEASE_CW;
}

bool lease_fills_need_data(const struct node *node)
{
	if (place_is_known(node))
		return false;
	list_for_each(at, &node->fills)
		if (!CONTAINER_OF(at, struct client_op, fill_link)->filling)
			return true;
	return false;
}

/* May it go on although something is being given back? Its pages are locked: whoever gives back waits for it, or has dropped them all for good. */
static bool goes_on_while_giving(const struct node *node, enum lease_need need)
{
	if (need == NEED_PAGES_OUT)
		return node->giving;
	if (need != NEED_FILL)
		return false;
	if (node->giving && !node->fills_held && (lease_caches(node->lease.data_mode) || node->dropping) && place_is_known(node))
		return true; /* else it has brought no page under this lease, and nobody waits for it */
	/* Until the recall is answered, the file is as the attributes say that are being given back. */
	return node->giving_attr > 0 && node->size_known && place_is_known(node);
}

static void fill_begin(struct client_op *op, struct node *node)
{
	op->reading = node;
	op->fill_number = ++node->fills_begun;
	list_push_back(&node->fills, &op->fill_link);
	node->users++;
}

static bool has_fills_until(const struct node *node, uint64_t last)
{
	list_for_each(at, &node->fills) {
		const struct client_op *op = CONTAINER_OF(at, struct client_op, fill_link);
		if (op->fill_number <= last)
			return true;
	}
	return false;
}

void lease_wait_for_fills(struct client *client, struct node *node, uint64_t deadline_ns)
{
	uint64_t last = node->fills_begun;
	changed(node); /* those that wait for a lease look whether they may go on */
	while (has_fills_until(node, last) && env_now_ns(client->env) < deadline_ns)
		(void)waitq_wait(&node->changed, client_loop(client), deadline_ns); /* either way */
}

/* A read sees the file as it was before or after a truncation, not in the middle of one. */
static bool waits_for_truncation(const struct node *node, enum lease_need need)
{
	return (need == NEED_READ || need == NEED_FILL) && node->truncating_reads;
}

static bool may_enter(const struct client *client, const struct node *node, enum lease_need need)
{
	return !node->giving && !waits_for_truncation(node, need) && lease_is_live(client) && is_enough(node, need);
}

static void count_in(struct client *client, struct client_op *op, struct node *node, enum lease_need need)
{
	if (need == NEED_FILL) {
		node->reads_filling++;
		node->pages = true;
		node->fills_unleased = node->fills_unleased || (client->env->kcache != NULL && !is_enough(node, need));
		op->filling = true;
	} else if (need == NEED_READ) {
		node->reads_running++;
		if (op->reads_running++ == 0)
			op->reads_cached = node_size_is_ours(node);
		node->reads_cached += op->reads_cached;
	} else {
		node->writes_running++;
	}
}

bool lease_data_try(struct client *client, struct client_op *op, struct node *node, enum lease_need need)
{
	if (!may_enter(client, node, need))
		return false;
	count_in(client, op, node, need);
	return true;
}

int lease_data_enter(struct client *client, struct client_op *op, struct node *node, enum lease_need need)
{
	uint64_t client_id = client->identity.client;
	bool held = false;
	if (need == NEED_FILL)
		fill_begin(op, node);
	for (;;) {
		if (client->identity.client != client_id)
			return fail(ERR_evicted);
		if (goes_on_while_giving(node, need) || may_enter(client, node, need))
			break;
		if (node->giving && need == NEED_FILL && !held) {
			held = true;
			client->counters.reads_held++;
		}
		uint64_t get_count = node->get_count;
		if (!node->giving && !waits_for_truncation(node, need) && !node->getting && lease_is_live(client))
			get_start(client, node, mode_wanted(node, need), need == NEED_READ || need == NEED_WRITE);
		int rc = session_wait(client, op, &node->changed);
		if (rc < 0)
			return rc;
		if (node->get_count != get_count && node->get_rc < 0 && !err_is(node->get_rc, ERR_retry))
			return node->get_rc;
	}
	count_in(client, op, node, need);
	return 0;
}

void client_op_done(struct client *client, struct client_op *op)
{
	struct node *node = op->reading;
	if (node == NULL)
		return;
	op->reading = NULL;
	list_remove(&op->fill_link);
	node->reads_filling -= op->filling;
	node->reads_filled += op->filling;
	changed(node);
	node_put(client, node);
}

void lease_data_leave(struct client *client, struct client_op *op, struct node *node, enum lease_need need)
{
	if (need == NEED_FILL) /* it goes on until client_op_done */
		return;
	if (need == NEED_READ) {
		node->reads_running--;
		op->reads_running--;
		node->reads_cached -= op->reads_cached;
		if (node->reads_running == 0 || node->reads_cached == 0)
			changed(node);
		return;
	}
	node->writes_running--;
	node->written_ns = env_now_ns(client->env);
	if (node->writes_running == 0)
		changed(node);
}

void lease_drop_own_pages(struct client *client, struct node *node, uint64_t offset, uint64_t len)
{
	struct kcache *kcache = client->env->kcache;
	if (kcache == NULL || !node->pages)
		return;
	kernel_size_change_begin(node);
	(void)kcache->ops->inval_inode(kcache, node->ino.v, offset, len); /* unknown to the kernel: there are none */
	kernel_size_change_end(client, node);
}

/* ---- the settler -------------------------------------------------------------------------------------------------- */

struct settle {
	struct client *client;
	struct node *node;
};

static bool can_settle(const struct client *client, const struct node *node)
{
	bool used = node->writers > 0 || node->writers_opening > 0 || node->writes_running > 0 || node->giving || node->getting;
	return lease_writes(node->lease.data_mode) && !used && !behind_is_stuck(node) &&
	       node->written_ns + SETTLE_AGE_NS <= env_now_ns(client->env);
}

/* From here on nothing is written until a new lease comes; whoever wants to write waits for the answer's place in line at the MDT. */
static void settle_task(void *arg)
{
	struct settle *settle = arg;
	struct client *client = settle->client;
	struct node *node = settle->node;
	int rc = behind_save(client, NULL, node); /* an error is told at fsync and close; what is lost is lost */
	(void)rc;
	if (can_settle(client, node))
		(void)attr_end_write(client, node); /* else later */
	node->settling = false;
	node_put(client, node);
	mem_free(settle);
	session_task_done(client);
}

static void settle_some(struct client *client)
{
	size_t started = 0;
	list_for_each(at, &client->writing_nodes) {
		struct node *node = CONTAINER_OF(at, struct node, writing_link);
		if (!can_settle(client, node) || node->settling)
			continue;
		if (++started > SETTLE_MAX)
			return;
		struct settle *settle = mem_alloc(sizeof(*settle));
		*settle = (struct settle){client, node};
		node->settling = true;
		node->users++;
		session_spawn(client, "settle", settle_task, settle);
	}
}

void lease_settler_task(void *arg)
{
	struct client *client = arg;
	while (!client->ended) {
		session_nap(client, SETTLE_PERIOD_NS);
		if (client->joined && !client->ended && !client->stopping)
			settle_some(client);
	}
	session_daemon_done(client);
}
