/* SPDX-License-Identifier: Apache-2.0
 * FUSE operations on open files, and reading directories. Handles that can write bypass the kernel's page cache (the core has a
 * write-behind of its own); read-only ones use it, emptied at each open. */
#include "client/fuse_impl.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Set-id bits may be given by another mount: look again after so long. */
enum { SUID_CHECK_INTERVAL_NS = 1000 * 1000 * 1000 };

static int take_file(struct fuse_request *req, uint64_t id, struct fuse_file **ret_file)
{
	return fuse_file_find(req, id, ret_file);
}

/* execve opens with it (the kernel's FMODE_EXEC): the right to execute is what counts, a program need not be readable. */
enum { LINUX_FMODE_EXEC = 0x20 };

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static uint32_t open_flags(uint32_t linux_flags)
{
	uint32_t access = linux_flags & O_ACCMODE;
	uint32_t flags = access == O_WRONLY ? 0 : OPEN_READ;
	if (access != O_RDONLY)
		flags |= OPEN_WRITE;
	if ((linux_flags & O_TRUNC) != 0)
		flags |= OPEN_TRUNC;
	if ((linux_flags & O_EXCL) != 0)
		flags |= OPEN_EXCL;
	if ((linux_flags & O_APPEND) != 0)
		flags |= OPEN_APPEND;
	if ((linux_flags & LINUX_FMODE_EXEC) != 0)
		flags |= OPEN_EXEC;
	return flags;
}

static void fill_open(struct fuse_request *req, struct client_file *file, uint32_t flags, struct fuse_open_out *out)
{
	req->opened = fuse_file_new(req->channel, file);
	/* Not FOPEN_NOFLUSH, though a read-only handle has no errors of writes to tell at close: closing it ends its process's POSIX locks. */
	*out = (struct fuse_open_out){.fh = req->opened->id, .open_flags = (flags & OPEN_WRITE) != 0 ? FOPEN_DIRECT_IO : 0};
	if ((flags & OPEN_WRITE) == 0 && client_file_keeps_cache(file))
		out->open_flags |= FOPEN_KEEP_CACHE; /* what pages there are were read under the lease that we still hold */
}

static bool has_set_id_bits(uint32_t mode)
{
	return (mode & (S_ISUID | S_ISGID)) != 0;
}

/* Whoever writes takes the bits away; set-group-id without group execution stays when a member of the group does. */
static int kill_suid(struct fuse_request *req, struct ino ino)
{
	struct client_setattr set = {.valid = SET_KILL_SUID};
	struct client_entry entry;
	return client_setattr(req->channel->conf.client, &req->op, ino, &set, &entry);
}

int fuse_run_open(struct fuse_request *req)
{
	const struct fuse_open_in *in = fuse_take(req, sizeof(*in));
	uint32_t flags = open_flags(in->flags & ~(uint32_t)O_EXCL); /* O_EXCL without O_CREAT has no meaning */
	struct client_file *file = NULL;
	int rc = client_open(req->channel->conf.client, &req->op, fuse_node(req), flags, &file);
	if (rc < 0)
		return rc;
	fill_open(req, file, flags, fuse_answer(req, sizeof(struct fuse_open_out)));
	req->opened->leaves_atime = (in->flags & O_NOATIME) != 0;
	if ((in->open_flags & FUSE_OPEN_KILL_SUIDGID) == 0)
		return 0;
	rc = kill_suid(req, fuse_node(req));
	if (rc < 0)
		fuse_file_free(req->channel, TAKE(req->opened));
	return rc;
}

/* The answer of what makes a file and opens it. */
static void answer_created(struct fuse_request *req, const struct client_entry *entry, struct client_file *file, uint32_t flags)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *out = fuse_answer(req, sizeof(*out));
	req->entered = entry->attr.ino;
	client_size_told(req->channel->conf.client, &req->op, &entry->attr);
	fuse_fill_entry(entry, &out->entry);
	fill_open(req, file, flags, &out->open);
	if (!has_set_id_bits(entry->attr.mode)) { /* spares the first write the question */
		req->opened->suid_checked_ns = loop_now_ns(req->channel->conf.loop);
		req->opened->suid_checked_mode_gen = req->channel->mode_gen;
	}
}

int fuse_run_create(struct fuse_request *req)
{
	const struct fuse_create_in *in = fuse_take(req, sizeof(*in));
	req->op.umask = in->umask;
	uint32_t flags = open_flags(in->flags);
	struct str name;
	struct client_entry entry;
	struct client_file *file = NULL;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_create(req->channel->conf.client, &req->op, fuse_node(req), name, in->mode, flags, &entry, &file);
	if (rc == 0)
		answer_created(req, &entry, file, flags);
	return rc;
}

int fuse_run_tmpfile(struct fuse_request *req)
{
	const struct fuse_create_in *in = fuse_take(req, sizeof(*in));
	req->op.umask = in->umask;
	uint32_t flags = open_flags(in->flags);
	struct client_entry entry;
	struct client_file *file = NULL;
	int rc = client_tmpfile(req->channel->conf.client, &req->op, fuse_node(req), in->mode, flags, &entry, &file);
	if (rc == 0)
		answer_created(req, &entry, file, flags);
	return rc;
}

int fuse_run_release(struct fuse_request *req)
{
	const struct fuse_release_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	int rc = take_file(req, in->fh, &file);
	if (rc == 0)
		fuse_file_free(req->channel, file); /* with what was locked through it, so that FUSE_RELEASE_FLOCK_UNLOCK says nothing new */
	return rc;
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

int fuse_run_read(struct fuse_request *req)
{
	const struct fuse_read_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	int rc = take_file(req, in->fh, &file);
	if (rc < 0)
		return rc;
	if (in->size > CLIENT_BUF_BYTES)
		return fail(EINVAL);
	/* Only what goes past the page cache names the owner of its locks: all else fills pages, which are locked until it is answered. */
	req->op.fills_pages = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
	req->op.past_cache = (in->flags & O_DIRECT) != 0;
	req->op.leaves_atime = (in->flags & O_NOATIME) != 0;
	rc = client_buf_get(req->channel->conf.client, &req->op, &req->out_buf);
	if (rc < 0)
		return rc;
	int64_t len = client_read(req->channel->conf.client, &req->op, file->file, in->offset, req->out_buf, in->size);
	if (len < 0)
		return (int)len;
	req->out = client_buf_ptr(req->out_buf);
	req->out_len = (size_t)len;
	return 0;
}

/* With FUSE_HANDLE_KILLPRIV_V2 the kernel asks with every write of an unprivileged caller that the set-id bits go; nearly always there are
 * none, and that is remembered. Parks. */
int fuse_kill_suid(struct fuse_request *req, uint64_t file_id)
{
	struct fuse_channel *channel = req->channel;
	struct fuse_file *file = NULL;
	int rc = take_file(req, file_id, &file);
	if (rc < 0)
		return rc;
	uint64_t now_ns = loop_now_ns(channel->conf.loop);
	if (file->suid_checked_mode_gen == channel->mode_gen && now_ns - file->suid_checked_ns < SUID_CHECK_INTERVAL_NS)
		return 0;
	uint64_t mode_gen = channel->mode_gen;
	struct ino ino = client_file_ino(file->file);
	struct client_op admin = {.is_admin = true};
	struct client_entry entry;
	rc = client_getattr(channel->conf.client, &admin, ino, &entry);
	if (rc == 0 && has_set_id_bits(entry.attr.mode))
		rc = kill_suid(req, ino);
	if (rc < 0)
		return rc;
	rc = take_file(req, file_id, &file); /* again: both calls parked */
	if (rc < 0)
		return rc;
	file->suid_checked_ns = now_ns;
	file->suid_checked_mode_gen = mode_gen;
	return 0;
}

int fuse_run_write(struct fuse_request *req)
{
	const struct fuse_write_in *in = fuse_take(req, sizeof(*in));
	const uint8_t *data = fuse_take(req, in->size);
	if (data == NULL)
		return fail(EIO);
	int rc = 0;
	if ((in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0)
		rc = fuse_kill_suid(req, in->fh);
	struct fuse_file *file = NULL;
	if (rc == 0)
		rc = take_file(req, in->fh, &file);
	if (rc < 0)
		return rc;
	/* Pages of a shared mapping go where they belong, also through a handle that appends. */
	req->op.from_pages = (in->write_flags & FUSE_WRITE_CACHE) != 0;
	req->op.past_cache = !req->op.from_pages && (in->flags & O_DIRECT) != 0;
	req->op.appends = !req->op.from_pages && (in->flags & O_APPEND) != 0;
	int64_t len = client_write(req->channel->conf.client, &req->op, file->file, in->offset, req->buf, data, in->size);
	if (len < 0)
		return (int)len;
	/* The kernel sees to O_SYNC only where it writes through its pages, and our handles that write do not. */
	if (!req->op.from_pages && (in->flags & O_DSYNC) != 0)
		rc = client_fsync(req->channel->conf.client, &req->op, file->file);
	if (rc < 0)
		return rc;
	struct fuse_write_out *out = fuse_answer(req, sizeof(*out));
	out->size = (uint32_t)len;
	return 0;
}

int fuse_run_flush(struct fuse_request *req)
{
	const struct fuse_flush_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	int rc = take_file(req, in->fh, &file);
	if (rc < 0)
		return rc;
	bool wrote = (client_file_flags(file->file) & OPEN_WRITE) != 0;
	rc = client_flush(req->channel->conf.client, &req->op, file->file, in->lock_owner);
	return wrote ? rc : 0;
}

int fuse_run_fsync(struct fuse_request *req)
{
	const struct fuse_fsync_in *in = fuse_take(req, sizeof(*in));
	struct fuse_file *file = NULL;
	int rc = take_file(req, in->fh, &file);
	return rc < 0 ? rc : client_fsync(req->channel->conf.client, &req->op, file->file);
}

/* ---- directories ------------------------------------------------------------------------------------------------ */

struct dir_answer {
	struct fuse_request *req;
	uint8_t *at;
	size_t used, size; /* bytes */
	bool plus, refused;
};

static void fill_dirent(const struct client_dirent *dirent, struct fuse_dirent *out)
{
	out->ino = dirent->ino.v;
	out->off = dirent->cookie;
	out->namelen = (uint32_t)dirent->name.len;
	out->type = dirent->type;
	memcpy(out->name, dirent->name.ptr, dirent->name.len);
}

/* An entry that is refused counts no lookup: the core sees to that. */
static bool add_dirent(void *ctx, const struct client_dirent *dirent)
{
	struct dir_answer *answer = ctx;
	size_t head = answer->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t len = FUSE_DIRENT_ALIGN(head + dirent->name.len);
	if (len > answer->size - answer->used) {
		answer->refused = true;
		return false;
	}
	uint8_t *at = answer->at + answer->used; /* zeroed: padding, and the entry of "." and ".." */
	if (answer->plus) {
		struct fuse_direntplus *out = (void *)at;
		if (dirent->has_entry) {
			client_size_told(answer->req->channel->conf.client, &answer->req->op, &dirent->entry.attr);
			fuse_fill_entry(&dirent->entry, &out->entry_out);
		}
		fill_dirent(dirent, &out->dirent);
	} else {
		fill_dirent(dirent, (void *)at);
	}
	answer->used += len;
	return true;
}

static int read_dir(struct fuse_request *req, bool plus)
{
	const struct fuse_read_in *in = fuse_take(req, sizeof(*in));
	size_t size = min_u64(in->size, CLIENT_BUF_BYTES);
	req->op.leaves_atime = (in->flags & O_NOATIME) != 0;
	struct dir_answer answer = {.req = req, .at = arena_alloc(&req->arena, size), .size = size, .plus = plus};
	int rc = client_readdir(req->channel->conf.client, &req->op, fuse_node(req), in->offset, plus, (uint32_t)size, add_dirent, &answer);
	req->out = answer.at;
	req->out_len = answer.used;
	req->out_is_direntplus = plus;
	if (rc < 0 && answer.used > 0)
		return 0; /* what was read counts lookups already: hand it out; the next call meets the error again */
	if (rc == 0 && answer.used == 0 && answer.refused)
		return fail(EINVAL);
	return rc;
}

int fuse_run_readdir(struct fuse_request *req)
{
	return read_dir(req, false);
}

int fuse_run_readdirplus(struct fuse_request *req)
{
	return read_dir(req, true);
}

void fuse_undo_direntplus(struct fuse_request *req)
{
	const uint8_t *at = req->out;
	for (size_t used = 0; used < req->out_len;) {
		const struct fuse_direntplus *entry = (const void *)(at + used);
		if (entry->entry_out.nodeid != 0)
			client_forget(req->channel->conf.client, (struct ino){entry->entry_out.nodeid}, 1);
		used += FUSE_DIRENTPLUS_SIZE(entry);
	}
}
