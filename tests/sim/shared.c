/* SPDX-License-Identifier: Apache-2.0
 * Races for names, links counted, files published from mount to mount. */
#include "tests/sim/shared.h"
#include "common/base/check.h"
#include "proto/proto.h"
#include "tests/sim/oracle.h"
#include "tests/sim/seam.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char dir_path[] = "shared", base_path[] = "shared/base";
static const char *const mode_paths[2] = {"shared/mode", "shared/same"}, *const turn_paths[2] = {"shared/turn0", "shared/turn1"};

void shared_init(struct shared *shared, struct world *world)
{
	shared->world = world;
	list_init(&shared->published);
}

void shared_fini(struct shared *shared)
{
	struct list_node *link;
	while ((link = list_pop_front(&shared->published)) != NULL)
		mem_free(CONTAINER_OF(link, struct published, link));
}

static void wrong(struct shared *shared, const char *what, const char *path, int64_t got)
{
	WORLD_MEMORY();
	world_fail(shared->world, "shared: %s: %s (%lld)", path, what, (long long)got);
}

static int make_file(struct kernel *kernel, const char *path)
{
	int fd = kernel_open(kernel, path, O_RDWR | O_CREAT | O_EXCL, 0644);
	return fd < 0 ? fd : kernel_close(kernel, fd);
}

int shared_prepare(struct kernel *kernel)
{
	int rc = kernel_mkdir(kernel, dir_path, 0755);
	if (rc < 0 && rc != -EEXIST)
		return rc;
	rc = make_file(kernel, base_path);
	if (rc == 0 || rc == -EEXIST)
		rc = make_file(kernel, mode_paths[0]);
	if (rc == 0 || rc == -EEXIST)
		rc = kernel_link(kernel, mode_paths[0], mode_paths[1]);
	for (unsigned i = 0; i < 2 && (rc == 0 || rc == -EEXIST); i++)
		rc = make_file(kernel, turn_paths[i]);
	return rc < 0 && rc != -EEXIST ? rc : shared_copy_prepare(kernel);
}

/* ---- contested names ------------------------------------------------------------------------------------------ */

static struct shared_name *name_of(struct shared *shared, const struct shared_op *op, char ret_path[SHARED_PATH_BYTES])
{
	bool is_file = op->kind == SHARED_CREATE || op->kind == SHARED_UNLINK, is_dir = op->kind == SHARED_MKDIR || op->kind == SHARED_RMDIR;
	(void)snprintf(ret_path, SHARED_PATH_BYTES, "shared/%c%u", is_file ? 'f' : is_dir ? 'd' : 't', op->name);
	return is_file ? &shared->files[op->name] : is_dir ? &shared->dirs[op->name] : &shared->targets[op->name];
}

static bool is_removal(enum shared_kind kind)
{
	return kind == SHARED_UNLINK || kind == SHARED_RMDIR || kind == SHARED_UNRENAME;
}

static int contest(struct shared *shared, struct kernel *kernel, enum shared_kind kind, const char *path)
{
	char unique[SHARED_PATH_BYTES];
	int rc;
	switch (kind) {
	case SHARED_CREATE:
		return make_file(kernel, path);
	case SHARED_MKDIR:
		return kernel_mkdir(kernel, path, 0755);
	case SHARED_RMDIR:
		return kernel_rmdir(kernel, path);
	case SHARED_RENAME:
		(void)snprintf(unique, sizeof(unique), "shared/u%u", shared->unique++);
		rc = make_file(kernel, unique);
		if (rc < 0)
			wrong(shared, "a name of its own could not be made", unique, rc);
		rc = kernel_rename(kernel, unique, path, MR_NOREPLACE);
		if (rc == -ENOENT)
			wrong(shared, "what it had just made was not there to be renamed", unique, rc);
		if (rc < 0 && kernel_unlink(kernel, unique) < 0)
			wrong(shared, "what could not be renamed could not be removed", unique, rc);
		return rc;
	default:
		return kernel_unlink(kernel, path);
	}
}

/* Any order of what is known: a name can not be made twice without a removal between, nor removed twice. */
static void name_check(struct shared *shared, const struct shared_name *name, const char *path)
{
	if (name->created > name->removed + name->removing + name->removed_open + 1)
		wrong(shared, "made more often than it was removed", path, (int64_t)name->created);
	if (name->removed > name->created + name->creating + name->created_open)
		wrong(shared, "removed more often than it was made", path, (int64_t)name->removed);
}

static void step_contest(struct shared *shared, struct kernel *kernel, struct shared_op *op)
{
	char path[SHARED_PATH_BYTES];
	struct shared_name *name = name_of(shared, op, path);
	bool removal = is_removal(op->kind);
	unsigned *running = removal ? &name->removing : &name->creating;
	++*running;
	op->in_flight = true;
	int rc = contest(shared, kernel, op->kind, path);
	op->in_flight = false;
	--*running;
	if (rc == 0) {
		++*(removal ? &name->removed : &name->created);
		shared->wins++;
		name_check(shared, name, path);
	} else if (rc == (removal ? -ENOENT : -EEXIST)) {
		shared->losses++;
	} else {
		wrong(shared, "an error that cannot be", path, rc);
	}
}

static void step_link(struct shared *shared, struct kernel *kernel, struct shared_op *op)
{
	char path[SHARED_PATH_BYTES];
	(void)snprintf(path, sizeof(path), "shared/l%u", shared->unique++);
	op->in_flight = true;
	int rc = kernel_link(kernel, base_path, path);
	if (rc < 0)
		wrong(shared, "link", path, rc);
	bool removed = op->name == 0;
	rc = removed ? kernel_unlink(kernel, path) : 0;
	if (rc < 0)
		wrong(shared, "unlink of its own link", path, rc);
	op->in_flight = false;
	shared->links += removed ? 0 : 1;
}

/* ---- from mount to mount -------------------------------------------------------------------------------------- */

static struct published *published_pick(struct shared *shared, struct rng *rng)
{
	uint64_t index = shared->published_count == 0 ? 0 : rng_below(rng, shared->published_count);
	list_for_each(at, &shared->published)
		if (index-- == 0)
			return CONTAINER_OF(at, struct published, link);
	return NULL;
}

static int publish_file(struct kernel *kernel, const struct published *published, uint8_t *buf)
{
	int fd = kernel_open(kernel, published->path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return fd;
	int64_t done = kernel_pwrite(kernel, fd, buf, (size_t)published->len, 0);
	int rc = done < 0 ? (int)done : (uint64_t)done < published->len ? -EIO : kernel_fsync(kernel, fd);
	int close_rc = kernel_close(kernel, fd);
	return rc < 0 ? rc : close_rc;
}

static void published_drop(struct shared *shared, struct published *published)
{
	WORLD_MEMORY();
	list_remove(&published->link);
	shared->published_count--;
	mem_free(published);
}

static void step_publish(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op)
{
	struct published *published = rng_chance(rng, 500000) ? published_pick(shared, rng) : NULL;
	if (published == NULL && shared->published_count >= SHARED_PUBLISHED_MAX)
		return;
	if (published == NULL) {
		WORLD_MEMORY();
		published = mem_alloc(sizeof(*published));
		(void)snprintf(published->path, sizeof(published->path), "shared/p%u", shared->unique++);
		list_push_back(&shared->published, &published->link);
		shared->published_count++;
	} else if (published->busy) {
		return;
	}
	published->busy = true;
	published->seed = rng_u64(rng);
	published->len = 1 + rng_below(rng, rng_chance(rng, 300000) ? SHARED_BYTES_MAX : 9000);
	op->publishing = published;
	world_note(shared->world, NULL, "shared: publish %s version %llu, %llu bytes", published->path,
		   (unsigned long long)published->version + 1, (unsigned long long)published->len);
	uint8_t *buf = mem_alloc((size_t)published->len);
	model_data_fill(published->seed, buf, (size_t)published->len);
	int rc = publish_file(kernel, published, buf);
	mem_free(buf);
	op->publishing = NULL;
	if (rc == -ENOSPC || rc == -EIO) {
		published_drop(shared, published);
		return;
	}
	if (rc < 0)
		wrong(shared, "publishing", published->path, rc);
	published->version++;
	published->busy = false;
}

static void read_check(struct shared *shared, struct kernel *kernel, const struct published *published)
{
	struct published want = *published; /* it may be gone when we have read */
	int fd = kernel_open(kernel, want.path, O_RDONLY, 0);
	uint8_t *buf = mem_alloc((size_t)want.len + 1), *good = mem_alloc((size_t)want.len);
	int64_t got = fd < 0 ? fd : kernel_pread(kernel, fd, buf, (size_t)want.len + 1, 0);
	if (fd >= 0)
		(void)kernel_close(kernel, fd); /* nothing was written through it */
	bool same = false;
	list_for_each(at, &shared->published) {
		struct published *other = CONTAINER_OF(at, struct published, link);
		same = same || (!other->busy && other->version == want.version && strcmp(other->path, want.path) == 0);
	}
	model_data_fill(want.seed, good, (size_t)want.len);
	if (same && got != (int64_t)want.len)
		wrong(shared, "another mount's file has another size", want.path, got);
	for (size_t i = 0; same && got == (int64_t)want.len && i < want.len; i++)
		if (buf[i] != good[i]) {
			wrong(shared, "another mount's file has other bytes from here", want.path, (int64_t)i);
			break;
		}
	mem_free(buf);
	mem_free(good);
	shared->reads += same;
}

static void step_read(struct shared *shared, struct kernel *kernel, struct rng *rng)
{
	struct published *published = published_pick(shared, rng);
	if (published == NULL || published->busy)
		return;
	read_check(shared, kernel, published);
}

/* Names of a directory under change: each at most once, and what was there all the time is there. */
struct shared_listing {
	bool base_seen, twice;
};

static bool listing_emit(void *ctx, const struct kernel_dirent *dirent)
{
	struct shared_listing *listing = ctx;
	bool is_base = strcmp(dirent->name, "base") == 0;
	listing->twice = listing->twice || (is_base && listing->base_seen);
	listing->base_seen = listing->base_seen || is_base;
	return true;
}

static void step_list(struct shared *shared, struct kernel *kernel)
{
	struct shared_listing listing = {0};
	int rc = kernel_readdir(kernel, dir_path, listing_emit, &listing);
	if (rc < 0)
		wrong(shared, "readdir", dir_path, rc);
	else if (!listing.base_seen || listing.twice)
		wrong(shared, listing.twice ? "readdir gives it twice" : "readdir misses it", base_path, 0);
}

/* What is open stays, whoever removes it meanwhile: a directory, or a file that its mount may have opened without a call. */
static void step_watch(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op)
{
	bool is_dir = rng_chance(rng, 600000), removes = rng_chance(rng, 500000);
	char path[SHARED_PATH_BYTES];
	struct attr attr = {.nlink = 1};
	uint8_t byte;
	(void)snprintf(path, sizeof(path), "shared/%c%u", is_dir ? 'd' : 'f', op->name);
	op->kind = is_dir ? SHARED_MKDIR : SHARED_CREATE;
	step_contest(shared, kernel, op);
	int fd = kernel_open(kernel, path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return;
	if (fd < 0) {
		wrong(shared, "open", path, fd);
		return;
	}
	for (int i = 0; i < 3; i++) {
		op->kind = is_dir ? SHARED_RMDIR : SHARED_UNLINK;
		if (i == 1 && removes)
			step_contest(shared, kernel, op); /* else others may */
		task_sleep(kernel_loop(kernel), rng_below(rng, 400 * NS_PER_MS));
		int rc = kernel_fstat(kernel, fd, &attr);
		if (rc < 0)
			wrong(shared, "fstat of what is open", path, rc);
		int64_t got = is_dir ? kernel_fgetxattr(kernel, fd, "user.none", &byte, 1) : kernel_pread(kernel, fd, &byte, 1, 0);
		if (got != (is_dir ? -ENODATA : 0))
			wrong(shared, "what is open cannot be asked or read", path, got);
	}
	shared->outlived += attr.nlink == 0;
	int rc = kernel_close(kernel, fd);
	if (rc < 0)
		wrong(shared, "close", path, rc);
}

static bool ignore(void *ctx, const struct kernel_dirent *dirent)
{
	(void)ctx;
	(void)dirent;
	return true;
}

/* afresh: so that it brings what the kernel does not have. */
static int list_all(struct kernel *kernel, bool afresh)
{
	if (afresh)
		kernel_shrink(kernel);
	return kernel_readdir(kernel, dir_path, ignore, NULL);
}

/* Set by one after the other, by either name; looked at by all at any time, also after a listing that may have brought it. */
static void step_mode(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op)
{
	struct attr attr = {.mode = (uint32_t)rng_below(rng, 01000)};
	uint64_t what = rng_below(rng, 4);
	const char *path = mode_paths[rng_below(rng, 2)];
	int rc = 0;
	if (what == 0 && !shared->mode_busy && !shared->mode_lost) {
		shared->mode_busy = op->sets_mode = true;
		shared->modes[++shared->modes_begun % SHARED_MODES] = attr.mode;
		rc = kernel_setattr(kernel, path, SET_MODE, &attr);
		shared->mode_busy = op->sets_mode = false;
		shared->modes_done = shared->modes_begun;
	} else if (what < 3) {
		rc = list_all(kernel, what == 1);
	}
	uint64_t since = shared->modes_done;
	if (rc == 0)
		rc = kernel_stat(kernel, path, &attr);
	if (rc < 0) {
		wrong(shared, "setting, listing or seeing its mode", path, rc);
		return;
	}
	if (since == 0 || shared->mode_lost || shared->modes_begun - since >= SHARED_MODES)
		return;
	bool good = false;
	for (uint64_t i = since; i <= shared->modes_begun; i++)
		good = good || shared->modes[i % SHARED_MODES] == (attr.mode & 0777);
	if (!good)
		wrong(shared, "has a mode that it has no more, or never had", path, (int64_t)(attr.mode & 0777));
	shared->modes_seen++;
}

/* The same for names that change places. */
static void step_turn(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op)
{
	struct attr attr;
	uint64_t what = rng_below(rng, 4), name = rng_below(rng, 2);
	bool known = shared->turn_files[0].v != 0 && shared->turn_files[1].v != 0;
	int rc = 0;
	if (what == 0 && !shared->turn_busy && known && !shared->turn_lost) {
		shared->turn_busy = op->sets_turn = true;
		shared->turns_begun++;
		rc = kernel_rename(kernel, turn_paths[name], turn_paths[1 - name], MR_EXCHANGE);
		shared->turn_busy = op->sets_turn = false;
		shared->turns_done = shared->turns_begun;
	} else if (what < 3) {
		rc = list_all(kernel, what == 1);
	}
	uint64_t since = shared->turns_done;
	if (rc == 0)
		rc = kernel_stat(kernel, turn_paths[name], &attr);
	if (rc < 0)
		wrong(shared, "exchanging, listing or seeing it", turn_paths[name], rc);
	else if (!known && shared->turns_begun == 0)
		shared->turn_files[name] = attr.ino;
	else if (!shared->turn_lost && since == shared->turns_begun && !ino_eq(attr.ino, shared->turn_files[(name + since) % 2]))
		wrong(shared, "stands for the file that had the name before", turn_paths[name], (int64_t)since);
	shared->turns_seen++;
}

void shared_step(struct shared *shared, struct kernel *kernel, struct rng *rng, struct shared_op *op)
{
	bool joins = shared->at_modes + shared->at_copies > 0 && rng_chance(rng, 500000);
	op->kind = joins ? (shared->at_modes > 0 ? SHARED_MODE : SHARED_COPY) : (enum shared_kind)rng_below(rng, SHARED_KINDS);
	op->name = (unsigned)rng_below(rng, SHARED_NAMES);
	shared->ops++;
	{
		WORLD_MEMORY();
		world_note(shared->world, NULL, "shared: kind %d name %u", (int)op->kind, op->name);
	}
	switch (op->kind) {
	case SHARED_LINK:
		step_link(shared, kernel, op);
		break;
	case SHARED_PUBLISH:
		step_publish(shared, kernel, rng, op);
		break;
	case SHARED_READ:
		step_read(shared, kernel, rng);
		break;
	case SHARED_LIST:
		step_list(shared, kernel);
		break;
	case SHARED_WATCH:
		step_watch(shared, kernel, rng, op);
		break;
	case SHARED_MODE:
		shared->at_modes++;
		op->at_modes = true;
		for (uint64_t i = 1 + rng_below(rng, 24); i > 0; i--)
			(rng_chance(rng, 500000) ? step_mode : step_turn)(shared, kernel, rng, op);
		op->at_modes = false;
		shared->at_modes--;
		break;
	case SHARED_COPY:
		shared->at_copies++;
		op->at_copies = true;
		shared_copy_steps(shared, kernel, rng);
		op->at_copies = false;
		shared->at_copies--;
		break;
	default:
		step_contest(shared, kernel, op);
	}
}

void shared_crashed(struct shared *shared, struct shared_op *op)
{
	char path[SHARED_PATH_BYTES];
	if (op->publishing != NULL)
		published_drop(shared, op->publishing);
	op->publishing = NULL;
	shared->at_modes -= op->at_modes;
	shared->at_copies -= op->at_copies;
	op->at_modes = op->at_copies = false;
	if (op->sets_turn) {
		shared->turn_busy = op->sets_turn = false;
		shared->turn_lost = true;
	}
	if (op->sets_mode) {
		shared->mode_busy = op->sets_mode = false;
		shared->mode_lost = true;
	}
	if (!op->in_flight)
		return;
	op->in_flight = false;
	if (op->kind == SHARED_LINK) {
		shared->links_open++;
		return;
	}
	struct shared_name *name = name_of(shared, op, path);
	bool removal = is_removal(op->kind);
	--*(removal ? &name->removing : &name->creating);
	++*(removal ? &name->removed_open : &name->created_open);
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void verify_name(struct shared *shared, struct kernel *kernel, const struct shared_name *name, enum shared_kind kind, unsigned index)
{
	char path[SHARED_PATH_BYTES];
	struct attr attr;
	struct shared_op op = {.kind = kind, .name = index};
	(void)name_of(shared, &op, path);
	int rc = kernel_stat(kernel, path, &attr);
	int64_t least = (int64_t)name->created - name->removed - name->removed_open;
	int64_t most = (int64_t)name->created + name->created_open - name->removed;
	int64_t there = rc == 0;
	if ((rc < 0 && rc != -ENOENT) || there < least || there > most)
		wrong(shared, rc == 0 ? "is there and should not be" : "should be there", path, rc);
}

void shared_verify(struct shared *shared, struct kernel *kernel)
{
	struct attr attr;
	if (shared->ops == 0)
		return;
	for (unsigned i = 0; i < SHARED_NAMES; i++) {
		verify_name(shared, kernel, &shared->files[i], SHARED_CREATE, i);
		verify_name(shared, kernel, &shared->dirs[i], SHARED_MKDIR, i);
		verify_name(shared, kernel, &shared->targets[i], SHARED_RENAME, i);
	}
	int rc = kernel_stat(kernel, base_path, &attr);
	if (rc < 0 || attr.nlink < 1 + shared->links || attr.nlink > 1 + shared->links + shared->links_open)
		wrong(shared, "its links are not those that were made", base_path, rc < 0 ? rc : (int64_t)attr.nlink);
	list_for_each(at, &shared->published) {
		struct published *published = CONTAINER_OF(at, struct published, link);
		if (!published->busy && world_failure(shared->world) == NULL)
			read_check(shared, kernel, published);
	}
	if (world_failure(shared->world) == NULL)
		shared_copy_verify(shared, kernel);
}
