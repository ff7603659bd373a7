/* SPDX-License-Identifier: Apache-2.0
 * What kernel.c and kernel_file.c share. */
#ifndef STRIA_SIM_KERNEL_IMPL_H
#define STRIA_SIM_KERNEL_IMPL_H

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "proto/proto.h"
#include "tests/sim/kernel.h"

enum { KERNEL_FILES_MAX = 256, KERNEL_PAGE_BYTES = 4096, READAHEAD_PAGES = 32 };

struct krwsem {
	struct waitq wait;
	unsigned readers;
	bool writer;
};
struct kinode {
	struct map_node node; /* kernel->inodes */
	uint64_t ino, lookups;
	unsigned pins, dentries, opens, children; /* children: entries in it that are cached */
	struct attr attr;
	bool has_attr;
	bool size_unstable; /* FUSE_I_SIZE_UNSTABLE: it is being written or cut off; under the lock */
	bool atime_stale; /* it was read since: who wants to know its atime asks */
	uint64_t attr_until_ns, attr_version;
	uint64_t attr_stamp; /* kernel.attr_stamps when they were taken in */
	struct krwsem rwsem;
	struct map pages;
	unsigned pages_locked; /* being read */
	unsigned pages_awaited; /* of these, those whose end an invalidation waits for */
	struct waitq page_wait;
};
struct kdentry {
	struct list_node link;
	struct kinode *dir, *inode; /* inode NULL: it is known that there is no such name */
	uint64_t until_ns, epoch;
	char name[NAME_BYTES_MAX + 1];
};
struct kfile {
	struct kinode *inode; /* NULL: free */
	uint64_t fh;
	int flags;
	bool direct_io;
};
struct kernel {
	struct loop *loop;
	const struct kernel_fs_ops *ops;
	void *ctx;
	struct rng rng;
	uint64_t attr_stamps; /* counts attributes taken in */
	uint32_t threads; /* counts those that have read a directory */
	struct map inodes;
	struct list dentries;
	struct kinode *root;
	struct krwsem rename_mutex;
	uint64_t epoch; /* entries of an earlier one are asked for anew */
	bool has_epochs;
	struct kfile files[KERNEL_FILES_MAX];
	struct kernel_counts counts;
};

void krwsem_lock(struct kernel *kernel, struct krwsem *sem, bool exclusive);
void krwsem_unlock(struct krwsem *sem);
void kinode_set_attr(struct kernel *kernel, struct kinode *inode, const struct attr *attr, uint64_t valid_ns);
void kinode_inval_attr(struct kinode *inode);
/* Around a request that may change the size. unstable: FUSE_I_SIZE_UNSTABLE is set for it. */
void kinode_change_begin(struct kernel *kernel, struct kinode *inode, bool unstable);
void kinode_change_end(struct kernel *kernel, struct kinode *inode);
/* Attributes as cached, or as asked for now. fh 0: by name. */
int kinode_refresh(struct kernel *kernel, struct kinode *inode, uint64_t fh, struct attr *ret_attr);
void kinode_put(struct kernel *kernel, struct kinode *inode);
/* Pages of [start, end); those being read stay, to be read anew by whoever waits for them. */
void kinode_drop_pages(struct kernel *kernel, struct kinode *inode, uint64_t start, uint64_t end);
/* epoch: of when the question went out. */
struct kinode *kernel_take_in(struct kernel *kernel, const struct kernel_entry *entry); /* an answer that carries a reference; pinned */
struct kinode *kernel_instantiate(struct kernel *kernel, struct kinode *dir, struct str name, const struct kernel_entry *entry,
				  uint64_t epoch);
/* The same for what came with a listing a while ago: attributes that were taken in since, or changed, stay. */
struct kinode *kernel_instantiate_late(struct kernel *kernel, struct kinode *dir, struct str name, const struct kernel_entry *entry,
				       uint64_t stamp, uint64_t version);
uint64_t kernel_attr_version(struct kernel *kernel, uint64_t ino); /* 0: it does not know it */
int kernel_lookup(struct kernel *kernel, struct kinode *dir, struct str name, struct kinode **ret_inode);
int kernel_walk_parent(struct kernel *kernel, const char *path, struct kinode **ret_dir, struct str *ret_name);
int kernel_walk(struct kernel *kernel, const char *path, struct kinode **ret_inode);
/* Another name for `inode`, which the caller holds. */
int kernel_link_inode(struct kernel *kernel, struct kinode *inode, const char *to);
/* LOOKUP_REVAL: the entries along the path are asked for anew by whoever walks it next. What the kernel does once when it meets ESTALE. */
void kernel_expire(struct kernel *kernel, const char *path);

#endif
