/* SPDX-License-Identifier: Apache-2.0
 * The client core as a file system for the model of the kernel. */
#ifndef STRIA_SIM_KERNEL_CLIENT_H
#define STRIA_SIM_KERNEL_CLIENT_H

#include "tests/sim/kernel.h"

struct client;
struct client_op;
struct world;
/* A call of the client core's that has not returned; on the stack of its task. */
struct running_call {
	struct running_call *next;
	struct client_op *op;
	bool repeatable;
};
enum { KERNEL_CLIENT_BUFFERS_MAX = 64 };
/* ctx of the operations; borrowed for the kernel's life. */
struct kernel_client {
	struct client *client;
	struct loop *loop;
	struct world *world;
	struct running_call *running;
	bool uncached; /* the kernel may believe nothing for any time: every operation reaches the client core */
	/* What was read into and given back: whoever reaches it after that is late. */
	struct {
		const uint8_t *ptr; /* NULL: none */
		size_t len;
		uint32_t uses;
	} given_back[KERNEL_CLIENT_BUFFERS_MAX];
	unsigned copies; /* under way: they take buffers that no read gave back */
};
extern const struct kernel_fs_ops kernel_client_ops;
/* A signal for every program, or (expire) the time of a soft mount is over for every call that may be made again. */
void kernel_client_call_off(struct kernel_client *self, bool expire);

#endif
