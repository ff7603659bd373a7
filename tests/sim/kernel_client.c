/* SPDX-License-Identifier: Apache-2.0
 * The channel between the model of the kernel and the client core: what fuse_ops.c is for the real kernel. */
#include "client/client.h"
#include "tests/sim/world.h"
#include "common/base/check.h"
#include "tests/sim/kernel_client.h"

#include <fcntl.h>

static struct client *client_of(void *ctx)
{
	return ((struct kernel_client *)ctx)->client;
}

static struct ino ino_of(uint64_t v)
{
	return (struct ino){v};
}

static struct client_op op_of(void *ctx)
{
	return (struct client_op){.arrived_ns = loop_now_ns(((struct kernel_client *)ctx)->loop)};
}

static struct client_file *file_of(uint64_t fh)
{
	return (struct client_file *)(uintptr_t)fh;
}

/* An evicted mount has lost data and opens: what it answers from then on is for its programs to find out, not for the oracle. It hangs until
 * the cluster crashes it, which is what the oracle knows about. */
static int told(void *ctx, int rc)
{
	struct kernel_client *self = ctx;
	while (client_counters(self->client)->evicted > 0)
		task_park(self->loop);
	return rc < 0 ? -err_to_errno(rc) : rc;
}

/* How long the kernel may believe an answer. */
static uint64_t valid_ns(void *ctx, uint64_t ttl_ns)
{
	return ((struct kernel_client *)ctx)->uncached ? 0 : ttl_ns;
}

static int take_entry(void *ctx, const struct client_op *op, int rc, const struct client_entry *entry, struct kernel_entry *ret_entry)
{
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	if (entry->attr.ino.v != 0)
		client_size_told(client_of(ctx), op, &entry->attr);
	*ret_entry = (struct kernel_entry){.attr = entry->attr, .entry_valid_ns = valid_ns(ctx, entry->entry_ttl_ns),
					     .attr_valid_ns = valid_ns(ctx, entry->attr_ttl_ns)};
	return 0;
}

/* Signals come at any time (kernel_client_call_off), and programs make the call again. EINTR means that nothing has changed: if something had, the oracle would
 * miss it now. */
static void call_begin(void *ctx, struct running_call *call, struct client_op *op, bool repeatable)
{
	struct kernel_client *self = ctx;
	*call = (struct running_call){.op = op, .repeatable = repeatable, .next = self->running};
	op->interrupted = op->expired = false;
	op->changes = 0;
	self->running = call;
}

/* True: it was called off, and is made again. */
static bool call_end(void *ctx, const struct running_call *call, int64_t rc)
{
	struct kernel_client *self = ctx;
	struct running_call **at = &self->running;
	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (rc != -ERR_interrupted && rc != -ERR_gave_up)
		return false;
	client_op_done(self->client, call->op); /* the kernel has the answer, and asks anew */
	if (rc == -ERR_interrupted && call->op->changes > 0)
		world_fail(self->world, "EINTR from a call that has changed something");
	return true;
}

#define CALLED(call, repeatable)                                         \
	({                                                               \
		struct running_call running_;                            \
		int64_t rc_;                                             \
		do {                                                     \
			call_begin(ctx, &running_, &op, repeatable);     \
			rc_ = (call);                                    \
		} while (call_end(ctx, &running_, rc_));                 \
		rc_;                                                     \
	})
#define INTERRUPTED(call) ((int)CALLED(call, false))
/* What changes nothing that others could see: a soft mount may give it up, too. */
#define REPEATED(call) ((int)CALLED(call, true))

void kernel_client_call_off(struct kernel_client *self, bool expire)
{
	for (struct running_call *call = self->running; call != NULL; call = call->next) {
		if (expire && call->repeatable)
			client_op_expire(call->op);
		else if (!expire)
			client_op_interrupt(call->op, false);
	}
}

static int op_lookup(void *ctx, uint64_t parent, struct str name, struct kernel_entry *ret_entry)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	int rc = REPEATED(client_lookup(client_of(ctx), &op, ino_of(parent), name, &entry));
	if (rc == -ENOENT && entry.entry_ttl_ns > 0)
		rc = 0; /* with attr.ino 0 */
	return take_entry(ctx, &op, rc, &entry, ret_entry);
}

static void op_forget(void *ctx, uint64_t ino, uint64_t count)
{
	client_forget(client_of(ctx), ino_of(ino), count);
}

static int op_getattr(void *ctx, uint64_t ino, uint64_t fh, struct attr *ret_attr, uint64_t *ret_valid_ns)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	int rc = REPEATED(client_getattr(client_of(ctx), &op, ino_of(ino), &entry));
	if (rc == 0 && fh != 0)
		client_size_settle(client_of(ctx), &op, &entry.attr);
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	client_size_told(client_of(ctx), &op, &entry.attr);
	*ret_attr = entry.attr;
	*ret_valid_ns = valid_ns(ctx, entry.attr_ttl_ns);
	return 0;
}

static int op_getattr_known(void *ctx, uint64_t ino, struct attr *ret_attr)
{
	struct client_entry entry;
	int rc = client_getattr_known(client_of(ctx), ino_of(ino), &entry);
	if (rc == 0)
		*ret_attr = entry.attr;
	return rc;
}

static void op_change(void *ctx, uint64_t ino, bool begins)
{
	if (begins)
		client_size_change_begin(client_of(ctx), ino_of(ino));
	else
		client_size_change_end(client_of(ctx), ino_of(ino));
}

static int op_setattr(void *ctx, uint64_t ino, uint64_t fh, uint32_t valid, const struct attr *attr, struct attr *ret_attr,
		      uint64_t *ret_valid_ns)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	struct client_setattr set = {
		.valid = valid,
		.mode = attr->mode,
		.uid = attr->uid,
		.gid = attr->gid,
		.size_bytes = attr->size_bytes,
		.atime_ns = attr->atime_ns,
		.mtime_ns = attr->mtime_ns,
		.file = file_of(fh),
	};
	int rc = INTERRUPTED(client_setattr(client_of(ctx), &op, ino_of(ino), &set, &entry));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	*ret_attr = entry.attr;
	*ret_valid_ns = valid_ns(ctx, entry.attr_ttl_ns);
	return 0;
}

static int op_readlink(void *ctx, uint64_t ino, char *buf, size_t size)
{
	struct client_op op = op_of(ctx);
	struct arena arena = {0};
	struct str target;
	int rc = REPEATED(client_readlink(client_of(ctx), &op, ino_of(ino), &arena, &target));
	if (rc == 0) {
		size_t len = target.len < size ? target.len : size;
		memcpy(buf, target.ptr, len);
		rc = (int)len;
	}
	arena_fini(&arena);
	return told(ctx, rc);
}

static int op_mknod(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	return take_entry(ctx, &op, INTERRUPTED(client_mknod(client_of(ctx), &op, ino_of(parent), name, mode, 0, &entry)), &entry, ret_entry);
}

static int op_mkdir(void *ctx, uint64_t parent, struct str name, uint32_t mode, struct kernel_entry *ret_entry)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	return take_entry(ctx, &op, INTERRUPTED(client_mkdir(client_of(ctx), &op, ino_of(parent), name, mode, &entry)), &entry, ret_entry);
}

static int op_symlink(void *ctx, uint64_t parent, struct str name, struct str target, struct kernel_entry *ret_entry)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	return take_entry(ctx, &op, INTERRUPTED(client_symlink(client_of(ctx), &op, ino_of(parent), name, target, &entry)), &entry, ret_entry);
}

static int op_link(void *ctx, uint64_t ino, uint64_t parent, struct str name, struct kernel_entry *ret_entry)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	return take_entry(ctx, &op, INTERRUPTED(client_link(client_of(ctx), &op, ino_of(ino), ino_of(parent), name, &entry)), &entry, ret_entry);
}

static int op_unlink(void *ctx, uint64_t parent, struct str name)
{
	struct client_op op = op_of(ctx);
	return told(ctx, INTERRUPTED(client_unlink(client_of(ctx), &op, ino_of(parent), name)));
}

static int op_rmdir(void *ctx, uint64_t parent, struct str name)
{
	struct client_op op = op_of(ctx);
	return told(ctx, INTERRUPTED(client_rmdir(client_of(ctx), &op, ino_of(parent), name)));
}

static int op_rename(void *ctx, uint64_t parent, struct str name, uint64_t new_parent, struct str new_name, uint32_t flags)
{
	struct client_op op = op_of(ctx);
	return told(ctx, INTERRUPTED(client_rename(client_of(ctx), &op, ino_of(parent), name, ino_of(new_parent), new_name, flags)));
}

static uint32_t open_flags(int flags)
{
	uint32_t result = (flags & O_ACCMODE) == O_RDONLY ? OPEN_READ :
			  (flags & O_ACCMODE) == O_WRONLY ? OPEN_WRITE :
							    OPEN_READ | OPEN_WRITE;
	result |= (flags & O_TRUNC) ? OPEN_TRUNC : 0;
	result |= (flags & O_EXCL) ? OPEN_EXCL : 0;
	return result | ((flags & O_APPEND) ? OPEN_APPEND : 0);
}

/* What fuse_ops.c answers: a handle that can write passes everything through. */
static void take_file(void *ctx, struct client_file *file, struct kernel_opened *ret_opened)
{
	bool direct_io = (client_file_flags(file) & OPEN_WRITE) || ((struct kernel_client *)ctx)->uncached;
	*ret_opened = (struct kernel_opened){.fh = (uint64_t)(uintptr_t)file, .direct_io = direct_io,
					     .keep_cache = client_file_keeps_cache(file)};
}

static int op_open(void *ctx, uint64_t ino, int flags, struct kernel_opened *ret_opened)
{
	struct client_op op = op_of(ctx);
	struct client_file *file;
	int rc = INTERRUPTED(client_open(client_of(ctx), &op, ino_of(ino), open_flags(flags) & ~(uint32_t)OPEN_EXCL, &file));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	take_file(ctx, file, ret_opened);
	return 0;
}

static int op_create(void *ctx, uint64_t parent, struct str name, uint32_t mode, int flags, struct kernel_entry *ret_entry,
		     struct kernel_opened *ret_opened)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	struct client_file *file;
	int rc = INTERRUPTED(client_create(client_of(ctx), &op, ino_of(parent), name, mode, open_flags(flags), &entry, &file));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	take_file(ctx, file, ret_opened);
	return take_entry(ctx, &op, 0, &entry, ret_entry);
}

static int op_tmpfile(void *ctx, uint64_t parent, uint32_t mode, int flags, struct kernel_entry *ret_entry,
		      struct kernel_opened *ret_opened)
{
	struct client_op op = op_of(ctx);
	struct client_entry entry;
	struct client_file *file;
	int rc = INTERRUPTED(client_tmpfile(client_of(ctx), &op, ino_of(parent), mode, open_flags(flags), &entry, &file));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	take_file(ctx, file, ret_opened);
	return take_entry(ctx, &op, 0, &entry, ret_entry);
}

enum { GIVEN_BACK = 0xc5 };

static int buffer_get(struct kernel_client *self, struct client_op *op, struct client_buf **ret_buf)
{
	int rc = client_buf_get(self->client, op, ret_buf);
	if (rc < 0)
		return rc;
	const uint8_t *ptr = client_buf_ptr(*ret_buf);
	for (unsigned i = 0; i < KERNEL_CLIENT_BUFFERS_MAX; i++) {
		if (self->given_back[i].ptr != ptr)
			continue;
		self->given_back[i].ptr = NULL;
		if (client_buf_uses(*ret_buf) != self->given_back[i].uses + 1)
			continue; /* it was the client's own meanwhile */
		size_t at = 0;
		while (at < self->given_back[i].len && ptr[at] == GIVEN_BACK)
			at++;
		if (at < self->given_back[i].len)
			world_fail(self->world, "a buffer was written to after its read was over, at byte %zu", at);
	}
	return 0;
}

/* `len` bytes of it were a read's. */
static void buffer_put(struct kernel_client *self, struct client_buf *buf, size_t len)
{
	unsigned i = 0;
	while (i < KERNEL_CLIENT_BUFFERS_MAX && self->given_back[i].ptr != NULL)
		i++;
	if (i < KERNEL_CLIENT_BUFFERS_MAX && len > 0 && self->copies == 0) {
		memset(client_buf_ptr(buf), GIVEN_BACK, len);
		self->given_back[i].ptr = client_buf_ptr(buf);
		self->given_back[i].len = len;
		self->given_back[i].uses = client_buf_uses(buf);
	}
	client_buf_put(buf);
}

static int64_t op_read(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, uint8_t *data, size_t len, bool into_pages)
{
	struct client_op op = op_of(ctx);
	op.fills_pages = into_pages;
	(void)ino;
	struct client_buf *buf = NULL;
	int rc = buffer_get(ctx, &op, &buf);
	if (rc < 0)
		return told(ctx, rc);
	int64_t got = CALLED(client_read(client_of(ctx), &op, file_of(fh), offset, buf, len), true);
	if (got > 0)
		memcpy(data, client_buf_ptr(buf), (size_t)got);
	buffer_put(ctx, buf, len);
	rc = told(ctx, got < 0 ? (int)got : 0);
	client_op_done(client_of(ctx), &op); /* from here on nothing parks until the pages are unlocked */
	return rc < 0 ? rc : got;
}

static int64_t op_write(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, const uint8_t *data, size_t len)
{
	struct client_op op = op_of(ctx);
	op.appends = (client_file_flags(file_of(fh)) & OPEN_APPEND) != 0;
	op.past_cache = (offset + len) % 16 == 0; /* as with O_DIRECT */
	(void)ino;
	struct client_buf *buf = NULL;
	int rc = buffer_get(ctx, &op, &buf);
	if (rc < 0)
		return told(ctx, rc);
	memcpy(client_buf_ptr(buf), data, len);
	int64_t done = CALLED(client_write(client_of(ctx), &op, file_of(fh), offset, buf, client_buf_ptr(buf), len), false);
	client_buf_put(buf);
	rc = told(ctx, done < 0 ? (int)done : 0);
	return rc < 0 ? rc : done;
}

static int op_fallocate(void *ctx, uint64_t ino, uint64_t fh, unsigned mode, uint64_t offset, uint64_t len)
{
	struct client_op op = op_of(ctx);
	(void)ino;
	unsigned flags = ((mode & FALLOC_FL_KEEP_SIZE) != 0 ? (unsigned)SPACE_KEEP_SIZE : 0u) |
			 ((mode & FALLOC_FL_PUNCH_HOLE) != 0 ? (unsigned)SPACE_PUNCH : 0u) |
			 ((mode & FALLOC_FL_ZERO_RANGE) != 0 ? (unsigned)SPACE_ZERO : 0u);
	return told(ctx, INTERRUPTED(client_fallocate(client_of(ctx), &op, file_of(fh), flags, offset, len)));
}

static int64_t op_lseek(void *ctx, uint64_t ino, uint64_t fh, uint64_t offset, bool hole)
{
	struct client_op op = op_of(ctx);
	uint64_t at = 0;
	(void)ino;
	int rc = told(ctx, REPEATED(client_seek(client_of(ctx), &op, file_of(fh), offset, hole, &at)));
	return rc < 0 ? rc : (int64_t)at;
}

static int64_t op_copy(void *ctx, uint64_t from_ino, uint64_t from_fh, uint64_t from_at, uint64_t to_ino, uint64_t to_fh, uint64_t to_at,
		       uint64_t len)
{
	struct kernel_client *self = ctx;
	struct client_op op = op_of(ctx);
	(void)from_ino;
	(void)to_ino;
	for (unsigned i = 0; i < KERNEL_CLIENT_BUFFERS_MAX; i++)
		self->given_back[i].ptr = NULL; /* the client takes buffers by itself */
	self->copies++;
	int64_t done = client_copy(client_of(ctx), &op, file_of(from_fh), from_at, file_of(to_fh), to_at, len);
	self->copies--;
	int rc = told(ctx, done < 0 ? (int)done : 0);
	return rc < 0 ? rc : done;
}

static int op_lock(void *ctx, uint64_t ino, uint64_t fh, uint64_t owner, const struct kernel_lock *lock)
{
	struct client_op op = op_of(ctx);
	struct client_lock wanted = {
		.kind = lock->kind,
		.type = lock->type,
		.waits = lock->waits,
		.owner = owner,
		.start = lock->start,
		.end = lock->end,
		.pid = (uint32_t)lock->process,
	};
	(void)ino;
	if (lock->signal != NULL)
		lock->signal->request = &op;
	int rc = client_lock(client_of(ctx), &op, file_of(fh), &wanted);
	if (lock->signal != NULL)
		lock->signal->request = NULL;
	return told(ctx, rc);
}

static void op_interrupt(void *ctx, void *request)
{
	(void)ctx;
	client_op_interrupt(request, false);
}

static int op_flush(void *ctx, uint64_t ino, uint64_t fh, uint64_t owner)
{
	struct client_op op = op_of(ctx);
	(void)ino;
	return told(ctx, REPEATED(client_flush(client_of(ctx), &op, file_of(fh), owner)));
}

static void op_release(void *ctx, uint64_t ino, uint64_t fh)
{
	(void)ino;
	client_release(client_of(ctx), file_of(fh));
}

static int op_fsync(void *ctx, uint64_t ino, uint64_t fh)
{
	struct client_op op = op_of(ctx);
	(void)ino;
	return told(ctx, REPEATED(client_fsync(client_of(ctx), &op, file_of(fh))));
}

struct fill {
	void *ctx; /* of the operation */
	struct client_op *op;
	bool (*emit)(void *emit_ctx, const struct kernel_dirent *dirent);
	void *emit_ctx;
	unsigned count;
};

static bool readdir_fill(void *ctx, const struct client_dirent *dirent)
{
	struct fill *fill = ctx;
	struct kernel_entry entry;
	char name[NAME_BYTES_MAX + 1];
	memcpy(name, dirent->name.ptr, dirent->name.len);
	name[dirent->name.len] = '\0';
	if (dirent->has_entry)
		client_size_told(client_of(fill->ctx), fill->op, &dirent->entry.attr);
	if (dirent->has_entry)
		entry = (struct kernel_entry){.attr = dirent->entry.attr, .entry_valid_ns = valid_ns(fill->ctx, dirent->entry.entry_ttl_ns),
					      .attr_valid_ns = valid_ns(fill->ctx, dirent->entry.attr_ttl_ns)};
	fill->count++;
	return fill->emit(fill->emit_ctx, &(struct kernel_dirent){
						  .name = name,
						  .ino = dirent->ino.v,
						  .cookie = dirent->cookie,
						  .type = dirent->type,
						  .entry = dirent->has_entry ? &entry : NULL,
					  });
}

static int op_readdir(void *ctx, uint64_t ino, uint64_t cookie, uint32_t thread,
		      bool (*emit)(void *emit_ctx, const struct kernel_dirent *dirent), void *emit_ctx)
{
	struct client_op op = op_of(ctx);
	op.thread = thread;
	struct fill fill = {.ctx = ctx, .op = &op, .emit = emit, .emit_ctx = emit_ctx};
	bool plus = (ino + cookie) % 2 == 0; /* the kernel, too, asks for attributes only sometimes */
	int rc = REPEATED(client_readdir(client_of(ctx), &op, ino_of(ino), cookie, plus, 4096, readdir_fill, &fill));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	return fill.count == 0;
}

static int op_statfs(void *ctx, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes)
{
	struct client_op op = op_of(ctx);
	struct client_statfs statfs;
	int rc = REPEATED(client_statfs(client_of(ctx), &op, &statfs));
	rc = told(ctx, rc);
	if (rc < 0)
		return rc;
	*ret_total_bytes = statfs.total_bytes;
	*ret_free_bytes = statfs.free_bytes;
	return 0;
}

static int op_setxattr(void *ctx, uint64_t ino, const char *name, struct blob value, uint32_t flags)
{
	struct client_op op = op_of(ctx);
	return told(ctx, INTERRUPTED(client_setxattr(client_of(ctx), &op, ino_of(ino), str_of(name), value, flags)));
}

static int64_t take_blob(void *ctx, int rc, struct arena *arena, struct blob value, uint8_t *buf, size_t size)
{
	rc = told(ctx, rc);
	int64_t result = rc < 0 ? rc : value.len > size ? -ERANGE : (int64_t)value.len;
	if (result > 0)
		memcpy(buf, value.ptr, value.len);
	arena_fini(arena);
	return result;
}

static int64_t op_getxattr(void *ctx, uint64_t ino, const char *name, uint8_t *buf, size_t size)
{
	struct client_op op = op_of(ctx);
	struct arena arena = {0};
	struct blob value = {0};
	int rc = REPEATED(client_getxattr(client_of(ctx), &op, ino_of(ino), str_of(name), &arena, &value));
	return take_blob(ctx, rc, &arena, value, buf, size);
}

static int64_t op_listxattr(void *ctx, uint64_t ino, uint8_t *buf, size_t size)
{
	struct client_op op = op_of(ctx);
	struct arena arena = {0};
	struct blob names = {0};
	int rc = REPEATED(client_listxattr(client_of(ctx), &op, ino_of(ino), &arena, &names));
	return take_blob(ctx, rc, &arena, names, buf, size);
}

static int op_removexattr(void *ctx, uint64_t ino, const char *name)
{
	struct client_op op = op_of(ctx);
	return told(ctx, INTERRUPTED(client_removexattr(client_of(ctx), &op, ino_of(ino), str_of(name))));
}

const struct kernel_fs_ops kernel_client_ops = {
	.lookup = op_lookup,
	.forget = op_forget,
	.getattr = op_getattr,
	.getattr_known = op_getattr_known,
	.change = op_change,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.open = op_open,
	.create = op_create,
	.tmpfile = op_tmpfile,
	.read = op_read,
	.write = op_write,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy = op_copy,
	.flush = op_flush,
	.lock = op_lock,
	.interrupt = op_interrupt,
	.release = op_release,
	.fsync = op_fsync,
	.readdir = op_readdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
};
