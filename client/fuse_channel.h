/* SPDX-License-Identifier: Apache-2.0
 * The kernel's side of a mount: reads FUSE requests from the descriptor of a mounted file system, runs each as a task on the client's loop
 * and writes the answers. */
#ifndef STRIA_CLIENT_FUSE_CHANNEL_H
#define STRIA_CLIENT_FUSE_CHANNEL_H

#include "client/client.h"

struct fuse_channel;

struct fuse_channel_conf {
	int fd;                /* of the mount, O_NONBLOCK; borrowed for the channel's life */
	struct client *client; /* started; borrowed */
	struct loop *loop;
	struct log *log;       /* may be NULL */
	uint64_t soft_ns;      /* a request that takes longer is answered with EIO; 0: it waits for ever */
};

/* Begins to serve at once. Owned; fuse_channel_free. */
struct fuse_channel *fuse_channel_new(const struct fuse_channel_conf *conf);
/* No request may be running: fuse_channel_close and fuse_channel_is_idle come before it, or the process ends. NULL is fine. */
void fuse_channel_free(struct fuse_channel *channel);
/* The kernel knows us: INIT was answered. */
bool fuse_channel_is_ready(const struct fuse_channel *channel);
/* The kernel has unmounted it (or aborted the connection): nothing will come any more. */
bool fuse_channel_has_ended(const struct fuse_channel *channel);
/* Reads no more and interrupts what runs, as if every caller were killed. */
void fuse_channel_close(struct fuse_channel *channel);
/* No request is running. */
bool fuse_channel_is_idle(const struct fuse_channel *channel);

#endif
