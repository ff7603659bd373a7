/* SPDX-License-Identifier: Apache-2.0
 * The client core as a file system for the model of the kernel. */
#ifndef STRIA_SIM_KERNEL_CLIENT_H
#define STRIA_SIM_KERNEL_CLIENT_H

#include "tests/sim/kernel.h"

struct client;
/* ctx of the operations; borrowed for the kernel's life. */
struct kernel_client {
	struct client *client;
	struct loop *loop;
};
extern const struct kernel_fs_ops kernel_client_ops;

#endif
