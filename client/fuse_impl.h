/* SPDX-License-Identifier: Apache-2.0
 * What the FUSE files share: a request, open files by number, helpers to take a body apart. Private to client/fuse_*.c, the only files that
 * know FUSE. */
#ifndef STRIA_CLIENT_FUSE_IMPL_H
#define STRIA_CLIENT_FUSE_IMPL_H

#include "client/client.h"
#include "client/fuse_channel.h"
#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/core/loop.h"

#include <assert.h>
#include <linux/fuse.h>

/* Newer than the headers of Debian 12; kernels that do not know a flag do not offer it, nor ask for such an operation. */
#define FUSE_INIT_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
enum { FUSE_COPY_FILE_RANGE_WIDE = 53 }; /* Linux 6.18: the answer has 64 bits */

/* STATX, of Linux 6.6. Our names, as newer headers have the kernel's. */
enum { FUSE_OPCODE_STATX = 52 };
struct fuse_statx_time {
	int64_t s;
	uint32_t ns;
	int32_t reserved;
};
struct fuse_statx_request {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t flags, mask;
};
struct fuse_statx_answer {
	uint64_t valid_s;
	uint32_t valid_ns, flags;
	uint64_t spare[2];
	uint32_t mask, blksize; /* mask: STATX_* */
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct fuse_statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
static_assert(sizeof(struct fuse_statx_request) == 24 && sizeof(struct fuse_statx_answer) == 288, "as the kernel has them");

enum {
	FUSE_REQUEST_FILES_MAX = 2,      /* open files of one request: a copy has two */
	FUSE_CHANNEL_RUNNING_MAX = 512,  /* requests that have a task; more wait in line, so that interrupts are still read */
	FUSE_CHANNEL_WAITING_MAX = 8192, /* requests in that line; then reading stops */
	FUSE_CHANNEL_READS_MAX = 16,     /* requests read in one poll */
	FUSE_WRITE_COPY_MAX = 16 * 1024, /* data of a WRITE that leaves the read buffer: as much as travels inside messages */
	FUSE_WRITE_HEAD_BYTES = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
	FUSE_BLKSIZE = 128 * 1024,       /* st_blksize: what stdio and cp take as a good size of one I/O */
};
static_assert(FUSE_WRITE_HEAD_BYTES == 80 && (int)FUSE_WRITE_HEAD_BYTES <= (int)CLIENT_BUF_HEADROOM, "a WRITE's data begins a page");

/* An open file as the kernel names it. */
struct fuse_file {
	struct map_node node;       /* fuse_channel.files, until it is released */
	uint64_t id;                /* fh */
	struct client_file *file;   /* owned */
	uint32_t users;             /* requests: one that was answered early may go on after the release */
	bool released;              /* the last user frees it */
	bool leaves_atime;          /* it was opened with O_NOATIME */
	uint64_t suid_checked_ns;   /* when the file was last seen to have no set-id bits; 0: never */
	uint64_t suid_checked_mode_gen; /* fuse_channel.mode_gen then */
};

struct fuse_request {
	struct map_node node;       /* fuse_channel.requests, by header.unique */
	struct list_node wait_link; /* fuse_channel.waiting */
	struct fuse_channel *channel;
	const struct fuse_op *row;
	struct client_op op;
	struct ino sizes;           /* the file whose size it may change, until it is answered; INO_NONE: none */
	uint64_t called_off_ns;     /* when it was found to be; 0: it is not */
	bool answered;              /* early: what comes of it is undone */
	struct fuse_file *using[FUSE_REQUEST_FILES_MAX]; /* it is one of their users, until it ends; NULL: none */
	struct fuse_in_header header;
	const uint8_t *body;        /* behind the header */
	size_t body_len, body_used; /* bytes; fuse_take moves body_used */
	uint8_t *copy;              /* owned; holds the body, or NULL: buf does */
	struct client_buf *buf;     /* a reference, or NULL */
	struct arena arena;
	/* the answer; a handler that returns 0 has set it */
	const void *out;
	size_t out_len;
	struct client_buf *out_buf; /* a reference to what `out` lies in, or NULL */
	/* what must be undone when the answer cannot be delivered */
	struct ino entered;         /* one lookup; 0: none */
	struct fuse_file *opened;
	bool out_is_direntplus;     /* each entry of the answer counts a lookup */
};

/* One row of the table of operations. */
struct fuse_op {
	const char *name;
	uint32_t opcode;
	uint32_t body_min; /* bytes that the body has at least */
	/* Parks. 0: the answer is in req->out; a negative error is the answer itself. */
	int (*run)(struct fuse_request *req);
};

enum { FUSE_OPCODES = 64 };

struct fuse_channel {
	struct loop_source source;
	struct fuse_channel_conf conf;
	struct client_buf *read_buf; /* for the next read; NULL: none was free */
	struct map requests;         /* running and waiting */
	struct list waiting;         /* in order of arrival */
	uint32_t running, waiting_count;
	struct map files;
	uint64_t last_file_id;
	uint64_t mode_gen;           /* grows with every change of modes and owners through this mount */
	uint64_t counts[FUSE_OPCODES]; /* requests, by opcode */
	bool watching;               /* a task looks after what was called off, and after time on a soft mount */
	bool ready, ended, closed;
};

/* ---- fuse_channel.c -------------------------------------------------------------------------------------------- */
/* Give an open file a number; owns `file` from then on. */
struct fuse_file *fuse_file_new(struct fuse_channel *channel, struct client_file *file);
/* The request becomes a user of it; always of the same one. Errors: EBADF. */
int fuse_file_find(struct fuse_request *req, uint64_t id, struct fuse_file **ret_file);
/* No request finds it any more; with its last user the file is released. */
void fuse_file_free(struct fuse_channel *channel, struct fuse_file *file);

/* The next `len` bytes of the body; NULL if there are not so many. 8-byte alignment is the kernel's promise for fixed structures. */
const void *fuse_take(struct fuse_request *req, size_t len);
/* The next NUL-terminated text. Errors: EIO: no NUL. */
int fuse_take_text(struct fuse_request *req, struct str *ret_text);
/* Zeroed space for the answer, which dies with the request. */
void *fuse_answer(struct fuse_request *req, size_t len);

/* Is the caller inside fcntl(F_OFD_…)? Only the kernel's own tables say so; false if they do not. */
bool fuse_asks_for_ofd(const struct fuse_request *req);

static inline struct ino fuse_node(const struct fuse_request *req)
{
	return (struct ino){req->header.nodeid};
}

/* ---- fuse_ops.c: names and attributes; fuse_ops_file.c: open files, directories; fuse_ops_lock.c: locks ------- */
/* The row of an opcode; NULL: unknown, which is answered with ENOSYS: the kernel then does without, and asks no more. */
const struct fuse_op *fuse_op_find(uint32_t opcode);
/* "requests": those of the table that came. */
void fuse_counts_json(void *channel, struct json_out *json);
void fuse_fill_entry(const struct client_entry *entry, struct fuse_entry_out *out);

int fuse_run_open(struct fuse_request *req);
int fuse_run_create(struct fuse_request *req);
int fuse_run_tmpfile(struct fuse_request *req);
int fuse_run_read(struct fuse_request *req);
int fuse_run_write(struct fuse_request *req);
int fuse_run_flush(struct fuse_request *req);
int fuse_run_fsync(struct fuse_request *req);
int fuse_run_release(struct fuse_request *req);
int fuse_run_getlk(struct fuse_request *req);
int fuse_run_setlk(struct fuse_request *req);
int fuse_run_setlkw(struct fuse_request *req);
int fuse_run_readdir(struct fuse_request *req);
int fuse_run_readdirplus(struct fuse_request *req);
/* fuse_ops_space.c */
int fuse_run_fallocate(struct fuse_request *req);
int fuse_run_lseek(struct fuse_request *req);
/* Before a change of a file's contents by who may not leave set-id bits: they go. Parks. */
int fuse_kill_suid(struct fuse_request *req, uint64_t file_id);
int fuse_run_copy(struct fuse_request *req);
int fuse_run_copy_64(struct fuse_request *req);
/* Gives back the lookups of a READDIRPLUS answer that was not delivered. */
void fuse_undo_direntplus(struct fuse_request *req);

#endif
