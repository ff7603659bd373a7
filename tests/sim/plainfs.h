/* SPDX-License-Identifier: Apache-2.0
 * A file system in memory, as simple as can be, under the model of the kernel: with it kernel, programs and oracle are tested by
 * themselves. One may serve several kernels. It never frees an inode before its end. */
#ifndef STRIA_SIM_PLAINFS_H
#define STRIA_SIM_PLAINFS_H

#include "common/base/list.h"
#include "tests/sim/kernel.h"

struct plainfs {
	struct list inodes;
	uint64_t last_ino;
	unsigned break_per_million; /* a write that says that it is done, and is not */
	uint64_t broken;
};
/* What one kernel's requests go to: ctx of plainfs_ops. */
struct plainfs_mount {
	struct plainfs *fs;
	struct loop *loop;
	struct rng rng;
};
void plainfs_init(struct plainfs *fs);
void plainfs_fini(struct plainfs *fs);
extern const struct kernel_fs_ops plainfs_ops;

#endif
