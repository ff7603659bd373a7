/* SPDX-License-Identifier: Apache-2.0
 * Files in memory behind the simulated disk: what they are now, and what of it is durable. Private to tests/sim. */
#ifndef STRIA_SIM_FS_H
#define STRIA_SIM_FS_H

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/core/env.h"

/* Sparse bytes: pages of 4 KiB in a hash map. */
struct image {
	struct map pages;
	uint64_t size;
};
enum { IMAGE_PAGE_BYTES = 4096 };
void image_init(struct image *image);
void image_fini(struct image *image);
void image_write(struct image *image, const void *buf, size_t len, uint64_t offset);
void image_read(const struct image *image, void *buf, size_t len, uint64_t offset); /* zeros in holes and past the end */
void image_truncate(struct image *image, uint64_t size);
void image_punch(struct image *image, uint64_t offset, uint64_t len);
/* Pages of zeros where there are none; the size stays. */
void image_alloc(struct image *image, uint64_t offset, uint64_t len);
/* How many pages that would be. */
uint64_t image_missing(const struct image *image, uint64_t offset, uint64_t len);
/* Where, from offset on, the next page is, or the next hole: the end is one; UINT64_MAX: none. */
uint64_t image_seek(const struct image *image, uint64_t offset, bool hole);
void image_copy(struct image *to, const struct image *from); /* `to` is fini'd first */

/* A change that is not durable yet. */
enum change_kind { CHANGE_WRITE, CHANGE_TRUNCATE, CHANGE_PUNCH, CHANGE_ALLOC };
struct change {
	struct list_node link;
	enum change_kind kind;
	uint64_t offset, len, sequence;
	uint8_t data[];
};

struct fs_file {
	struct list_node link; /* sim_fs->files */
	struct image now, durable;
	struct list changes; /* oldest first */
	uint64_t sequence;
	int64_t mtime_ns;
	unsigned names, opens; /* freed when both are 0 and no durable name is left */
	unsigned durable_names;
	bool is_dir;
};

struct fs_name {
	struct list_node link; /* sorted by path */
	char *path;
	struct fs_file *file;
};
/* A change of names that is not durable yet. */
struct name_change {
	struct list_node link;
	char *path, *to; /* to: renamed */
	struct fs_file *file; /* created; NULL: removed or renamed */
};

struct sim_fs {
	struct world *world;
	struct list files;
	struct list names;    /* as they are now */
	struct list durables; /* as a crash would find them */
	struct list changes;  /* struct name_change */
	uint64_t capacity, used;
};

struct fs_name *fs_find(struct list *names, const char *path);
bool fs_parent_exists(struct sim_fs *fs, const char *path);
struct fs_file *fs_create(struct sim_fs *fs, const char *path, bool is_dir);
int fs_unlink(struct sim_fs *fs, const char *path);
int fs_rename(struct sim_fs *fs, const char *from, const char *to);
void fs_file_put(struct sim_fs *fs, struct fs_file *file); /* frees it when nothing refers to it */
void fs_add_change(struct fs_file *file, enum change_kind kind, const void *data, uint64_t len, uint64_t offset);
/* Changes up to `sequence` become durable. */
void fs_sync_file(struct fs_file *file, uint64_t sequence);
void fs_sync_dir(struct sim_fs *fs, const char *dir);
/* A crash: what is not durable survives wholly, partly or not at all. */
void fs_crash(struct sim_fs *fs, struct rng *rng, unsigned keep_per_million);

#endif
