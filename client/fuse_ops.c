/* SPDX-License-Identifier: Apache-2.0
 * The table of FUSE operations, and those on names and attributes: FUSE's structures to client.h's calls and back, nothing more. A handler
 * takes its body apart with fuse_take, so that no read goes past its end. */
#include "client/fuse_impl.h"
#include "common/base/json_out.h"

#include <stdio.h>
#include <sys/stat.h>

/* ---- attributes ------------------------------------------------------------------------------------------------- */

static void split_ns(uint64_t ns, uint64_t *ret_s, uint32_t *ret_ns)
{
	*ret_s = ns / NS_PER_S;
	*ret_ns = (uint32_t)(ns % NS_PER_S);
}

/* Times before 1970 have negative seconds and nanoseconds that count forward. */
static void split_time(int64_t time_ns, uint64_t *ret_s, uint32_t *ret_ns)
{
	int64_t s = time_ns / (int64_t)NS_PER_S, ns = time_ns % (int64_t)NS_PER_S;
	if (ns < 0) {
		s--;
		ns += (int64_t)NS_PER_S;
	}
	*ret_s = (uint64_t)s;
	*ret_ns = (uint32_t)ns;
}

/* Saturates: 1678 to 2262 is what 64 bits of nanoseconds hold. */
static int64_t join_time(uint64_t s, uint32_t ns)
{
	int64_t time_ns;
	if (__builtin_mul_overflow((int64_t)s, (int64_t)NS_PER_S, &time_ns) || __builtin_add_overflow(time_ns, (int64_t)ns, &time_ns))
		return (int64_t)s < 0 ? INT64_MIN : INT64_MAX;
	return time_ns;
}

static void fill_attr(const struct attr *attr, struct fuse_attr *out)
{
	*out = (struct fuse_attr){
		.ino = attr->ino.v,
		.size = attr->size_bytes,
		.blocks = attr->blocks,
		.mode = attr->mode,
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.rdev = attr->rdev,
		.blksize = FUSE_BLKSIZE,
	};
	split_time(attr->atime_ns, &out->atime, &out->atimensec);
	split_time(attr->mtime_ns, &out->mtime, &out->mtimensec);
	split_time(attr->ctime_ns, &out->ctime, &out->ctimensec);
}

void fuse_fill_entry(const struct client_entry *entry, struct fuse_entry_out *out)
{
	*out = (struct fuse_entry_out){.nodeid = entry->attr.ino.v};
	split_ns(entry->entry_ttl_ns, &out->entry_valid, &out->entry_valid_nsec);
	split_ns(entry->attr_ttl_ns, &out->attr_valid, &out->attr_valid_nsec);
	fill_attr(&entry->attr, &out->attr);
}

static void answer_attr(struct fuse_request *req, const struct client_entry *entry)
{
	struct fuse_attr_out *out = fuse_answer(req, sizeof(*out));
	client_size_told(req->channel->conf.client, &req->op, &entry->attr);
	split_ns(entry->attr_ttl_ns, &out->attr_valid, &out->attr_valid_nsec);
	fill_attr(&entry->attr, &out->attr);
}

/* The lookup that the entry counts is undone if the answer cannot be delivered. */
static int answer_entry(struct fuse_request *req, int rc, const struct client_entry *entry)
{
	if (rc < 0)
		return rc;
	req->entered = entry->attr.ino;
	client_size_told(req->channel->conf.client, &req->op, &entry->attr);
	fuse_fill_entry(entry, fuse_answer(req, sizeof(struct fuse_entry_out)));
	return 0;
}

static int run_getattr(struct fuse_request *req)
{
	const struct fuse_getattr_in *in = fuse_take(req, sizeof(*in));
	struct client *client = req->channel->conf.client;
	struct client_entry entry;
	int rc;
	if (client_asks_itself(client, &req->op)) {
		rc = client_getattr_known(client, fuse_node(req), &entry);
	} else {
		rc = client_getattr(client, &req->op, fuse_node(req), &entry);
		if (rc == 0 && (in->getattr_flags & FUSE_GETATTR_FH) != 0) /* of a read, which has no use for the answer but the size in it */
			client_size_settle(client, &req->op, &entry.attr);
	}
	if (rc == 0)
		answer_attr(req, &entry);
	return rc;
}

static struct fuse_statx_time statx_time(int64_t time_ns)
{
	uint64_t s;
	struct fuse_statx_time time = {0};
	split_time(time_ns, &s, &time.ns);
	time.s = (int64_t)s;
	return time;
}

/* What GETATTR cannot say: when it was made. */
static int run_statx(struct fuse_request *req)
{
	struct client_entry entry;
	int rc = client_getattr(req->channel->conf.client, &req->op, fuse_node(req), &entry);
	if (rc < 0)
		return rc;
	const struct attr *attr = &entry.attr;
	client_size_told(req->channel->conf.client, &req->op, attr);
	struct fuse_statx_answer *out = fuse_answer(req, sizeof(*out));
	*out = (struct fuse_statx_answer){
		.mask = STATX_BASIC_STATS | STATX_BTIME,
		.blksize = FUSE_BLKSIZE,
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.mode = (uint16_t)attr->mode,
		.ino = attr->ino.v,
		.size = attr->size_bytes,
		.blocks = attr->blocks,
		.atime = statx_time(attr->atime_ns),
		.btime = statx_time(attr->btime_ns),
		.ctime = statx_time(attr->ctime_ns),
		.mtime = statx_time(attr->mtime_ns),
		/* as the kernel packs a device into 32 bits */
		.rdev_major = attr->rdev >> 8 & 0xfff,
		.rdev_minor = (attr->rdev & 0xff) | (attr->rdev >> 12 & 0xfff00),
	};
	split_ns(entry.attr_ttl_ns, &out->valid_s, &out->valid_ns);
	return 0;
}

static uint32_t setattr_valid(uint32_t fattr)
{
	static const struct {
		uint32_t fattr, valid;
	} bits[] = {{FATTR_MODE, SET_MODE}, {FATTR_UID, SET_UID}, {FATTR_GID, SET_GID}, {FATTR_SIZE, SET_SIZE},
		    {FATTR_ATIME, SET_ATIME}, {FATTR_MTIME, SET_MTIME}, {FATTR_KILL_SUIDGID, SET_KILL_SUID}};
	uint32_t valid = 0;
	for (size_t i = 0; i < ARRAY_COUNT(bits); i++)
		valid |= (fattr & bits[i].fattr) != 0 ? bits[i].valid : 0;
	/* chown(2) that names neither: nothing is new, but set-id bits go all the same */
	if ((fattr & ~(uint32_t)(FATTR_FH | FATTR_LOCKOWNER | FATTR_CTIME)) == 0)
		valid |= SET_KILL_SUID;
	/* the kernel sets both bits of a "now" */
	if ((fattr & FATTR_ATIME_NOW) != 0)
		valid = (valid & ~(uint32_t)SET_ATIME) | SET_ATIME_NOW;
	if ((fattr & FATTR_MTIME_NOW) != 0)
		valid = (valid & ~(uint32_t)SET_MTIME) | SET_MTIME_NOW;
	return valid;
}

static int run_setattr(struct fuse_request *req)
{
	const struct fuse_setattr_in *in = fuse_take(req, sizeof(*in));
	struct client_setattr set = {
		.valid = setattr_valid(in->valid),
		.mode = in->mode,
		.uid = in->uid,
		.gid = in->gid,
		.size_bytes = in->size,
		.atime_ns = join_time(in->atime, in->atimensec),
		.mtime_ns = join_time(in->mtime, in->mtimensec),
	};
	if ((in->valid & FATTR_FH) != 0) {
		struct fuse_file *file = NULL;
		int rc = fuse_file_find(req, in->fh, &file);
		if (rc < 0)
			return rc;
		set.file = file->file;
	}
	struct client_entry entry;
	int rc = client_setattr(req->channel->conf.client, &req->op, fuse_node(req), &set, &entry);
	if (rc < 0)
		return rc;
	if ((set.valid & (SET_MODE | SET_UID | SET_GID)) != 0)
		req->channel->mode_gen++;
	answer_attr(req, &entry);
	return 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int run_lookup(struct fuse_request *req)
{
	struct str name;
	struct client_entry entry = {0};
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_lookup(req->channel->conf.client, &req->op, fuse_node(req), name, &entry);
	if (rc == -ENOENT && entry.entry_ttl_ns > 0) {
		/* an entry without an inode: the kernel may remember that there is none */
		fuse_fill_entry(&entry, fuse_answer(req, sizeof(struct fuse_entry_out)));
		return 0;
	}
	return answer_entry(req, rc, &entry);
}

static int run_mkdir(struct fuse_request *req)
{
	const struct fuse_mkdir_in *in = fuse_take(req, sizeof(*in));
	req->op.umask = in->umask;
	struct str name;
	struct client_entry entry;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_mkdir(req->channel->conf.client, &req->op, fuse_node(req), name, in->mode, &entry);
	return answer_entry(req, rc, &entry);
}

static int run_mknod(struct fuse_request *req)
{
	const struct fuse_mknod_in *in = fuse_take(req, sizeof(*in));
	req->op.umask = in->umask;
	struct str name;
	struct client_entry entry;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_mknod(req->channel->conf.client, &req->op, fuse_node(req), name, in->mode, in->rdev, &entry);
	return answer_entry(req, rc, &entry);
}

static int run_symlink(struct fuse_request *req)
{
	struct str name, target;
	struct client_entry entry;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = fuse_take_text(req, &target);
	if (rc == 0)
		rc = client_symlink(req->channel->conf.client, &req->op, fuse_node(req), name, target, &entry);
	return answer_entry(req, rc, &entry);
}

static int run_readlink(struct fuse_request *req)
{
	struct str target;
	int rc = client_readlink(req->channel->conf.client, &req->op, fuse_node(req), &req->arena, &target);
	if (rc < 0)
		return rc;
	req->out = target.ptr;
	req->out_len = target.len;
	return 0;
}

static int run_link(struct fuse_request *req)
{
	const struct fuse_link_in *in = fuse_take(req, sizeof(*in));
	struct str name;
	struct client_entry entry;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_link(req->channel->conf.client, &req->op, (struct ino){in->oldnodeid}, fuse_node(req), name, &entry);
	return answer_entry(req, rc, &entry);
}

static int run_unlink(struct fuse_request *req)
{
	struct str name;
	int rc = fuse_take_text(req, &name);
	return rc < 0 ? rc : client_unlink(req->channel->conf.client, &req->op, fuse_node(req), name);
}

static int run_rmdir(struct fuse_request *req)
{
	struct str name;
	int rc = fuse_take_text(req, &name);
	return rc < 0 ? rc : client_rmdir(req->channel->conf.client, &req->op, fuse_node(req), name);
}

static int rename_to(struct fuse_request *req, uint64_t new_parent, uint32_t flags)
{
	struct str name, new_name;
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = fuse_take_text(req, &new_name);
	if (rc < 0)
		return rc;
	if ((flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0)
		return fail(EINVAL);
	return client_rename(req->channel->conf.client, &req->op, fuse_node(req), name, (struct ino){new_parent}, new_name, flags);
}

static int run_rename(struct fuse_request *req)
{
	const struct fuse_rename_in *in = fuse_take(req, sizeof(*in));
	return rename_to(req, in->newdir, 0);
}

static int run_rename2(struct fuse_request *req)
{
	const struct fuse_rename2_in *in = fuse_take(req, sizeof(*in));
	return rename_to(req, in->newdir, in->flags);
}

/* ---- the file system, extended attributes ----------------------------------------------------------------------- */

static int run_statfs(struct fuse_request *req)
{
	enum { BLOCK = 4096 };
	struct client_statfs statfs;
	int rc = client_statfs(req->channel->conf.client, &req->op, &statfs);
	if (rc < 0)
		return rc;
	struct fuse_statfs_out *out = fuse_answer(req, sizeof(*out));
	out->st = (struct fuse_kstatfs){
		.blocks = statfs.total_bytes / BLOCK,
		.bfree = statfs.free_bytes / BLOCK,
		.bavail = statfs.available_bytes / BLOCK,
		.files = add_sat_u64(statfs.inodes_used, statfs.inodes_free),
		.ffree = statfs.inodes_free,
		.bsize = BLOCK,
		.frsize = BLOCK,
		.namelen = NAME_BYTES_MAX,
	};
	return 0;
}

static int run_syncfs(struct fuse_request *req)
{
	return client_syncfs(req->channel->conf.client, &req->op);
}

/* A caller that gives no room wants to know how much it takes. */
static int answer_xattr(struct fuse_request *req, uint32_t size, struct blob value)
{
	if (size == 0) {
		struct fuse_getxattr_out *out = fuse_answer(req, sizeof(*out));
		out->size = (uint32_t)value.len;
		return 0;
	}
	if (value.len > size)
		return fail(ERANGE);
	req->out = value.ptr;
	req->out_len = value.len;
	return 0;
}

static int run_getxattr(struct fuse_request *req)
{
	const struct fuse_getxattr_in *in = fuse_take(req, sizeof(*in));
	struct str name;
	struct blob value = {0};
	int rc = fuse_take_text(req, &name);
	if (rc == 0)
		rc = client_getxattr(req->channel->conf.client, &req->op, fuse_node(req), name, &req->arena, &value);
	return rc < 0 ? rc : answer_xattr(req, in->size, value);
}

static int run_listxattr(struct fuse_request *req)
{
	const struct fuse_getxattr_in *in = fuse_take(req, sizeof(*in));
	struct blob names = {0};
	int rc = client_listxattr(req->channel->conf.client, &req->op, fuse_node(req), &req->arena, &names);
	return rc < 0 ? rc : answer_xattr(req, in->size, names);
}

static int run_setxattr(struct fuse_request *req)
{
	/* without FUSE_SETXATTR_EXT the structure ends behind `flags` */
	const struct fuse_setxattr_in *in = fuse_take(req, FUSE_COMPAT_SETXATTR_IN_SIZE);
	struct str name;
	int rc = fuse_take_text(req, &name);
	if (rc < 0)
		return rc;
	uint32_t size = in->size;
	const void *value = fuse_take(req, size);
	if (value == NULL)
		return fail(EIO);
	return client_setxattr(req->channel->conf.client, &req->op, fuse_node(req), name, blob_of(value, size), in->flags);
}

static int run_removexattr(struct fuse_request *req)
{
	struct str name;
	int rc = fuse_take_text(req, &name);
	return rc < 0 ? rc : client_removexattr(req->channel->conf.client, &req->op, fuse_node(req), name);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

/* What is not here is answered with ENOSYS, and the kernel does without: OPENDIR and RELEASEDIR (a directory needs no handle), FSYNCDIR (what
 * the MDT has answered is durable), ACCESS (the kernel checks), POLL, IOCTL, BMAP. */
static const struct fuse_op ops[] = {
	{"lookup", FUSE_LOOKUP, 1, run_lookup},
	{"getattr", FUSE_GETATTR, sizeof(struct fuse_getattr_in), run_getattr},
	{"statx", FUSE_OPCODE_STATX, sizeof(struct fuse_statx_request), run_statx},
	{"setattr", FUSE_SETATTR, sizeof(struct fuse_setattr_in), run_setattr},
	{"readlink", FUSE_READLINK, 0, run_readlink},
	{"symlink", FUSE_SYMLINK, 2, run_symlink},
	{"mknod", FUSE_MKNOD, sizeof(struct fuse_mknod_in), run_mknod},
	{"mkdir", FUSE_MKDIR, sizeof(struct fuse_mkdir_in), run_mkdir},
	{"unlink", FUSE_UNLINK, 1, run_unlink},
	{"rmdir", FUSE_RMDIR, 1, run_rmdir},
	{"rename", FUSE_RENAME, sizeof(struct fuse_rename_in), run_rename},
	{"rename2", FUSE_RENAME2, sizeof(struct fuse_rename2_in), run_rename2},
	{"link", FUSE_LINK, sizeof(struct fuse_link_in), run_link},
	{"open", FUSE_OPEN, sizeof(struct fuse_open_in), fuse_run_open},
	{"create", FUSE_CREATE, sizeof(struct fuse_create_in), fuse_run_create},
	{"tmpfile", FUSE_TMPFILE, sizeof(struct fuse_create_in), fuse_run_tmpfile},
	{"read", FUSE_READ, sizeof(struct fuse_read_in), fuse_run_read},
	{"write", FUSE_WRITE, sizeof(struct fuse_write_in), fuse_run_write},
	{"statfs", FUSE_STATFS, 0, run_statfs},
	{"release", FUSE_RELEASE, sizeof(struct fuse_release_in), fuse_run_release},
	{"fsync", FUSE_FSYNC, sizeof(struct fuse_fsync_in), fuse_run_fsync},
	{"flush", FUSE_FLUSH, sizeof(struct fuse_flush_in), fuse_run_flush},
	{"getlk", FUSE_GETLK, sizeof(struct fuse_lk_in), fuse_run_getlk},
	{"setlk", FUSE_SETLK, sizeof(struct fuse_lk_in), fuse_run_setlk},
	{"setlkw", FUSE_SETLKW, sizeof(struct fuse_lk_in), fuse_run_setlkw},
	{"setxattr", FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, run_setxattr},
	{"getxattr", FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), run_getxattr},
	{"listxattr", FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), run_listxattr},
	{"removexattr", FUSE_REMOVEXATTR, 1, run_removexattr},
	{"readdir", FUSE_READDIR, sizeof(struct fuse_read_in), fuse_run_readdir},
	{"readdirplus", FUSE_READDIRPLUS, sizeof(struct fuse_read_in), fuse_run_readdirplus},
	{"syncfs", FUSE_SYNCFS, 0, run_syncfs},
	{"fallocate", FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), fuse_run_fallocate},
	{"lseek", FUSE_LSEEK, sizeof(struct fuse_lseek_in), fuse_run_lseek},
	{"copy_file_range", FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), fuse_run_copy},
	{"copy_file_range_64", FUSE_COPY_FILE_RANGE_WIDE, sizeof(struct fuse_copy_file_range_in), fuse_run_copy_64},
};

void fuse_counts_json(void *ctx, struct json_out *json)
{
	const struct fuse_channel *channel = ctx;
	json_object_begin(json, "requests");
	for (size_t i = 0; i < ARRAY_COUNT(ops); i++)
		if (channel->counts[ops[i].opcode] > 0)
			json_u64(json, ops[i].name, channel->counts[ops[i].opcode]);
	json_end(json);
}

const struct fuse_op *fuse_op_find(uint32_t opcode)
{
	for (size_t i = 0; i < ARRAY_COUNT(ops); i++)
		if (ops[i].opcode == opcode)
			return &ops[i];
	return NULL;
}
