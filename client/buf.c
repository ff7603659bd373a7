/* SPDX-License-Identifier: Apache-2.0
 * The buffer pool: one registered slab, cut into buffers that are reference-counted. */
#include "client/client_impl.h"

enum { BUF_STRIDE = CLIENT_BUF_BYTES + CLIENT_BUF_HEADROOM };

uint8_t *client_buf_ptr(struct client_buf *buf)
{
	return buf->ptr;
}

uint32_t client_buf_uses(const struct client_buf *buf)
{
	return buf->uses;
}

struct client_buf *client_buf_try_get(struct client *client)
{
	struct client_buf *buf = client->free_bufs;
	if (buf == NULL) {
		client->wants_free = true;
		return NULL;
	}
	client->free_bufs = buf->next_free;
	client->free_count--;
	buf->refs = 1;
	buf->uses++;
	return buf;
}

int client_buf_get(struct client *client, struct client_op *op, struct client_buf **ret_buf)
{
	while ((*ret_buf = client_buf_try_get(client)) == NULL) {
		int rc = session_wait(client, op, &client->buf_waiters);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void client_buf_put(struct client_buf *buf)
{
	struct client *client = buf->client;
	CHECK(buf->refs > 0);
	if (--buf->refs > 0)
		return;
	buf->next_free = client->free_bufs;
	client->free_bufs = buf;
	client->free_count++;
	waitq_wake_all(&client->buf_waiters); /* one of them may have been called off in the same moment */
	if (client->wants_free && client->on_free != NULL) {
		client->wants_free = false;
		client->on_free(client->on_free_ctx);
	}
}

void client_buf_on_free(struct client *client, void (*fn)(void *ctx), void *ctx)
{
	client->on_free = fn;
	client->on_free_ctx = ctx;
}

int client_bufs_init(struct client *client, uint32_t count)
{
	struct net *net = client->env->net;
	client->slab_bytes = (size_t)count * BUF_STRIDE;
	client->slab = mem_alloc_aligned(4096, client->slab_bytes);
	client->bufs = mem_alloc(count * sizeof(client->bufs[0]));
	client->buf_count = client->free_count = count;
	for (uint32_t i = count; i-- > 0;) {
		struct client_buf *buf = &client->bufs[i];
		buf->client = client;
		buf->ptr = client->slab + (size_t)i * BUF_STRIDE + CLIENT_BUF_HEADROOM;
		buf->next_free = client->free_bufs;
		client->free_bufs = buf;
	}
	return net->ops->mr_open(net, client->slab, client->slab_bytes, NET_ACCESS_REMOTE_READ | NET_ACCESS_REMOTE_WRITE,
				 &client->slab_mr);
}
