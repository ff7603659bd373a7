/* SPDX-License-Identifier: Apache-2.0
 * The channel: the only file that reads and writes the descriptor of the mount. Owns requests from their arrival to their answer, and the
 * table of open files. Never blocks and never trusts a number of the kernel's without looking it up.
 *
 * Each request is read in front of a buffer so that the data of a WRITE begins a page; a large WRITE keeps that buffer, everything else is
 * copied out of it. The kernel hands over interrupts before other requests, so reading goes on while requests wait in line for a task: a
 * process that waits for a server that is away can always be killed. */
#include "client/fuse_impl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	KERNEL_MINOR_MIN = 31, /* Linux 5.4: every structure used here has its present size */
	READAHEAD_BYTES_MAX = 4 << 20,
	BACKGROUND_MAX = 64, CONGESTION = 48,
	PAGES_MAX = CLIENT_BUF_BYTES / 4096,
	PROC_STATUS_BYTES_MAX = 4096,
};
#define WATCH_PERIOD_NS    (100 * NS_PER_MS)
#define CALLED_OFF_WAIT_NS (300 * NS_PER_MS) /* for an operation to end itself */

/* ---- who asks: /proc/PID/status --------------------------------------------------------------------------------- */

/* The text behind "\nkey" up to the end of its line; len 0: the process is gone or has no such line. procfs is local and does not wait. */
static struct str proc_status(uint32_t pid, const char *key, char text[PROC_STATUS_BYTES_MAX])
{
	char path[40];
	(void)snprintf(path, sizeof(path), "/proc/%u/status", pid); /* fits */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (struct str){text, 0};
	ssize_t len = read(fd, text, PROC_STATUS_BYTES_MAX - 1);
	(void)close(fd); /* it was only read */
	text[len > 0 ? len : 0] = '\0';
	char *found = strstr(text, key);
	if (found == NULL)
		return (struct str){text, 0};
	found += strlen(key);
	return (struct str){found, strcspn(found, "\n")};
}

static uint32_t op_groups(struct client_op *op, uint8_t ret_le32[GROUPS_MAX * 4])
{
	const struct fuse_request *req = CONTAINER_OF(op, struct fuse_request, op);
	char text[PROC_STATUS_BYTES_MAX];
	struct str line = proc_status(req->header.pid, "\nGroups:", text);
	const char *at = line.ptr, *end = line.ptr + line.len;
	uint32_t count = 0;
	while (at < end && count < GROUPS_MAX) {
		char *next = NULL;
		unsigned long gid = strtoul(at, &next, 10);
		if (next == at || next > end)
			break;
		store_le32(ret_le32 + (size_t)count++ * 4, (uint32_t)gid);
		at = next;
	}
	return count;
}

/* Only SIGKILL ends a wait for something that may have happened already: other signals may have a handler, after which the caller goes on. */
static bool is_dying(uint32_t pid)
{
	static const char *const keys[] = {"\nSigPnd:", "\nShdPnd:"};
	char text[PROC_STATUS_BYTES_MAX];
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		struct str mask = proc_status(pid, keys[i], text);
		if (mask.len > 0 && (strtoull(mask.ptr, NULL, 16) >> (SIGKILL - 1) & 1) != 0)
			return true;
	}
	return false;
}

bool fuse_asks_for_ofd(const struct fuse_request *req)
{
	enum { LOOKS_MAX = 20 }; /* between sending the request and going to sleep it counts as running */
	char path[40], text[PROC_STATUS_BYTES_MAX];
	(void)snprintf(path, sizeof(path), "/proc/%u/syscall", req->header.pid); /* fits */
	long number = -1;
	unsigned long command = 0;
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
		if (fd >= 0)
			(void)close(fd); /* it was only read */
		if (len <= 0)
			return false;
		text[len] = '\0';
		if (sscanf(text, "%ld %*x %lx", &number, &command) == 2)
			break;
	}
	return number == SYS_fcntl && command >= F_OFD_GETLK && command <= F_OFD_SETLKW;
}

/* Its files are being closed for it: nobody signals it any more, and nobody sees what close would return. */
static bool is_exiting(uint32_t pid)
{
	enum { PF_EXITING = 4 }; /* include/linux/sched.h; procfs shows it */
	char path[40], text[PROC_STATUS_BYTES_MAX];
	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid); /* fits */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		(void)close(fd); /* it was only read */
	text[len > 0 ? len : 0] = '\0';
	const char *at = strrchr(text, ')'); /* names may have spaces */
	unsigned flags = 0;
	return at != NULL && sscanf(at, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_EXITING) != 0;
}

/* ---- open files ------------------------------------------------------------------------------------------------- */

struct fuse_file *fuse_file_new(struct fuse_channel *channel, struct client_file *client_file)
{
	struct fuse_file *file = mem_alloc(sizeof(*file));
	file->id = ++channel->last_file_id;
	file->file = client_file;
	map_insert(&channel->files, &file->node, map_hash_u64(file->id));
	return file;
}

static void file_settle(struct fuse_channel *channel, struct fuse_file *file)
{
	if (!file->released || file->users > 0)
		return;
	client_release(channel->conf.client, file->file);
	mem_free(file);
}

int fuse_file_find(struct fuse_request *req, uint64_t id, struct fuse_file **ret_file)
{
	struct fuse_channel *channel = req->channel;
	for (struct map_node *node = map_first(&channel->files, map_hash_u64(id)); node != NULL; node = map_next(node)) {
		struct fuse_file *file = CONTAINER_OF(node, struct fuse_file, node);
		if (file->id != id)
			continue;
		size_t i = 0;
		while (i < FUSE_REQUEST_FILES_MAX && req->using[i] != NULL && req->using[i] != file)
			i++;
		CHECK(i < FUSE_REQUEST_FILES_MAX); /* no operation has more */
		file->users += req->using[i] == NULL;
		req->using[i] = *ret_file = file;
		return 0;
	}
	return fail(EBADF);
}

void fuse_file_free(struct fuse_channel *channel, struct fuse_file *file)
{
	map_remove(&channel->files, &file->node);
	file->released = true;
	file_settle(channel, file);
}

/* ---- bodies and answers ----------------------------------------------------------------------------------------- */

const void *fuse_take(struct fuse_request *req, size_t len)
{
	if (len > req->body_len - req->body_used)
		return NULL;
	const uint8_t *at = req->body + req->body_used;
	req->body_used += len;
	return at;
}

int fuse_take_text(struct fuse_request *req, struct str *ret_text)
{
	const uint8_t *at = req->body + req->body_used;
	const uint8_t *end = memchr(at, '\0', req->body_len - req->body_used);
	if (end == NULL)
		return fail(EIO);
	*ret_text = (struct str){(const char *)at, (size_t)(end - at)};
	req->body_used += (size_t)(end - at) + 1;
	return 0;
}

void *fuse_answer(struct fuse_request *req, size_t len)
{
	void *out = arena_alloc(&req->arena, len);
	req->out = out;
	req->out_len = len;
	return out;
}

/* Errors: ENOENT: the kernel does not wait for it any more; ENODEV: unmounted. */
static int send_answer(struct fuse_channel *channel, uint64_t unique, int rc, const void *body, size_t len)
{
	struct fuse_out_header header = {.unique = unique, .error = -err_to_errno(rc)};
	if (rc < 0)
		len = 0;
	header.len = (uint32_t)(sizeof(header) + len);
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, len}};
	ssize_t n;
	do {
		n = writev(channel->conf.fd, iov, len > 0 ? 2 : 1);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? fail(errno) : 0;
}

static void undo(struct fuse_request *req)
{
	if (req->opened != NULL)
		fuse_file_free(req->channel, req->opened);
	if (req->entered.v != 0)
		client_forget(req->channel->conf.client, req->entered, 1);
	if (req->out_is_direntplus)
		fuse_undo_direntplus(req);
}

static void log_failure(const struct fuse_request *req, int rc, const char *did)
{
	log_line(req->channel->conf.log, LOG_LEVEL_WARN, "fuse", "op=%s ino=%#llx pid=%u err=%s did=\"%s\"", req->row->name,
		 (unsigned long long)req->header.nodeid, req->header.pid, err_name(rc), did);
}

static void answer(struct fuse_request *req, int rc)
{
	struct client *client = req->channel->conf.client;
	if (rc < 0 && (err_to_errno(rc) == EIO || err_to_errno(rc) == EPROTO) && !req->answered)
		log_failure(req, rc, "told the caller");
	int sent = req->answered ? -ENOENT : send_answer(req->channel, req->header.unique, rc, req->out, req->out_len);
	client_op_done(client, &req->op); /* the kernel has it: its pages are unlocked */
	if (sent == 0 || rc < 0)
		return;
	if (sent != -ENOENT && sent != -ENODEV)
		log_failure(req, sent, "the kernel refused the answer: undone");
	undo(req);
}

/* ---- a request's life ------------------------------------------------------------------------------------------- */

static void request_free(struct fuse_request *req)
{
	map_remove(&req->channel->requests, &req->node);
	if (req->sizes.v != 0)
		client_size_change_end(req->channel->conf.client, req->sizes);
	for (size_t i = 0; i < FUSE_REQUEST_FILES_MAX && req->using[i] != NULL; i++) {
		req->using[i]->users--;
		file_settle(req->channel, req->using[i]);
	}
	if (req->out_buf != NULL)
		client_buf_put(req->out_buf);
	if (req->buf != NULL)
		client_buf_put(req->buf);
	arena_fini(&req->arena);
	mem_free(req->copy);
	mem_free(req);
}

static void run_request(void *arg);

static void start_next(struct fuse_channel *channel)
{
	struct list_node *link = channel->running < FUSE_CHANNEL_RUNNING_MAX ? list_pop_front(&channel->waiting) : NULL;
	if (link == NULL)
		return;
	struct fuse_request *req = CONTAINER_OF(link, struct fuse_request, wait_link);
	channel->waiting_count--;
	channel->running++;
	(void)task_spawn(channel->conf.loop, req->row->name, run_request, req); /* never fails; it ends itself */
}

/* For other processes, whose requests need the places of those that run: it takes none. */
static bool may_wait_long(uint32_t opcode)
{
	return opcode == FUSE_SETLKW;
}

static void run_request(void *arg)
{
	struct fuse_request *req = arg;
	struct fuse_channel *channel = req->channel;
	bool counted = !may_wait_long(req->header.opcode);
	int rc = req->row->run(req);
	answer(req, rc);
	request_free(req);
	channel->running -= counted;
	start_next(channel);
	if (!channel->ended && !channel->closed)
		channel->source.fd = channel->conf.fd; /* reading may have stopped at the limit */
}

static struct fuse_request *find_request(struct fuse_channel *channel, uint64_t unique)
{
	for (struct map_node *node = map_first(&channel->requests, map_hash_u64(unique)); node != NULL; node = map_next(node)) {
		struct fuse_request *req = CONTAINER_OF(node, struct fuse_request, node);
		if (req->header.unique == unique)
			return req;
	}
	return NULL;
}

/* ---- requests that nobody waits for any more --------------------------------------------------------------------
 *
 * A wait that may end when it is called off does so itself. What does not (a change that was sent goes on until it is known what became of it; a
 * connection is tried for some seconds) is answered early, and its task left to itself: so no program hangs. */

/* It has not begun. */
static void answer_waiting(struct fuse_request *req, int rc)
{
	list_remove(&req->wait_link);
	req->channel->waiting_count--;
	answer(req, rc);
	request_free(req);
}

static void answer_early(struct fuse_request *req, uint64_t now_ns)
{
	bool off = !req->answered && client_op_is_called_off(&req->op);
	if (off && req->called_off_ns == 0)
		req->called_off_ns = now_ns;
	if (!off || now_ns - req->called_off_ns < CALLED_OFF_WAIT_NS)
		return;
	int rc = req->op.expired ? fail(ERR_gave_up) : fail(ERR_interrupted);
	log_failure(req, rc, "answered it; what was sent goes on until it is known what became of it");
	(void)send_answer(req->channel, req->header.unique, rc, NULL, 0); /* to nobody, if the kernel has given it up, too */
	req->answered = true;
}

/* True: it is to be looked at again. */
static bool look_after(struct fuse_request *req, uint64_t now_ns)
{
	struct client_op *op = &req->op;
	/* Who waits for a lock waits for its holder, not for a server. */
	uint64_t soft_ns = req->header.opcode == FUSE_SETLKW ? 0 : req->channel->conf.soft_ns;
	if (soft_ns != 0 && !op->expired && now_ns - op->arrived_ns >= soft_ns)
		client_op_expire(op);
	/* The kernel tells of the first signal only: of SIGKILL after another one nobody tells, nor of an exit that closes files. */
	bool closes = req->header.opcode == FUSE_FLUSH;
	if (!op->killed && ((op->interrupted && is_dying(req->header.pid)) || (closes && is_exiting(req->header.pid))))
		client_op_interrupt(op, true);
	if (list_node_is_linked(&req->wait_link) && client_op_is_called_off(op)) {
		answer_waiting(req, op->expired ? fail(ERR_gave_up) : fail(ERR_interrupted));
		return false;
	}
	answer_early(req, now_ns);
	return !req->answered && (op->interrupted || closes || soft_ns != 0);
}

static void watch_task(void *arg)
{
	struct fuse_channel *channel = arg;
	bool any = true;
	while (any && !channel->closed) {
		task_sleep(channel->conf.loop, WATCH_PERIOD_NS);
		any = false;
		uint64_t now_ns = loop_now_ns(channel->conf.loop);
		struct map_iter iter = map_iter_begin(&channel->requests);
		for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
			any |= look_after(CONTAINER_OF(node, struct fuse_request, node), now_ns);
	}
	channel->watching = false;
}

static void watch(struct fuse_channel *channel)
{
	if (channel->watching || channel->closed)
		return;
	channel->watching = true;
	(void)task_spawn(channel->conf.loop, "fuse_watch", watch_task, channel); /* never fails; it ends itself */
}

static void interrupt_request(struct fuse_request *req, bool killed)
{
	client_op_interrupt(&req->op, killed);
	if (list_node_is_linked(&req->wait_link))
		answer_waiting(req, fail(ERR_interrupted));
	else
		watch(req->channel);
}

/* ---- what needs no task ----------------------------------------------------------------------------------------- */

/* Without READDIRPLUS_AUTO: with it the kernel asks for attributes with the first run of a listing only, and whoever lists a directory first and
 * then looks at each file (ls -l, du, git) asks for the rest one by one. */
static uint64_t init_flags(uint64_t offered)
{
	return offered & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC | FUSE_AUTO_INVAL_DATA |
			  FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO | FUSE_MAX_PAGES | FUSE_NO_OPENDIR_SUPPORT |
			  FUSE_HANDLE_KILLPRIV_V2 | FUSE_CACHE_SYMLINKS | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_INIT_EXT |
			  FUSE_DONT_MASK | FUSE_POSIX_ACL | FUSE_INIT_DIRECT_IO_ALLOW_MMAP);
}

static void take_init(struct fuse_channel *channel, uint64_t unique, const uint8_t *body, size_t len)
{
	struct fuse_init_in in = {0};
	memcpy(&in, body, min_u64(len, sizeof(in))); /* older kernels send less */
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
	int rc = 0;
	if (len < 16 || in.major < FUSE_KERNEL_VERSION || (in.major == FUSE_KERNEL_VERSION && in.minor < KERNEL_MINOR_MIN)) {
		rc = fail(EPROTO);
		log_line(channel->conf.log, LOG_LEVEL_ERROR, "fuse", "kernel_version=%u.%u needed=%u.%u did=\"refused to serve\"",
			 in.major, in.minor, (unsigned)FUSE_KERNEL_VERSION, (unsigned)KERNEL_MINOR_MIN);
	} else if (in.major == FUSE_KERNEL_VERSION) { /* a newer major asks again with ours */
		uint64_t flags = init_flags(in.flags | ((in.flags & FUSE_INIT_EXT) != 0 ? (uint64_t)in.flags2 << 32 : 0));
		out.minor = (uint32_t)min_u64(in.minor, FUSE_KERNEL_MINOR_VERSION);
		out.max_readahead = (uint32_t)min_u64(in.max_readahead, READAHEAD_BYTES_MAX);
		out.flags = (uint32_t)flags;
		out.flags2 = (uint32_t)(flags >> 32);
		out.max_background = BACKGROUND_MAX;
		out.congestion_threshold = CONGESTION;
		out.max_write = CLIENT_BUF_BYTES;
		out.max_pages = PAGES_MAX;
		out.time_gran = 1;
		channel->ready = true;
	}
	if (send_answer(channel, unique, rc, &out, sizeof(out)) < 0)
		channel->ready = false; /* the next read tells why */
}

static void take_forgets(struct fuse_channel *channel, const uint8_t *body, size_t len)
{
	struct fuse_batch_forget_in in;
	if (len < sizeof(in))
		return;
	memcpy(&in, body, sizeof(in));
	size_t count = min_u64(in.count, (len - sizeof(in)) / sizeof(struct fuse_forget_one));
	for (size_t i = 0; i < count; i++) {
		struct fuse_forget_one one;
		memcpy(&one, body + sizeof(in) + i * sizeof(one), sizeof(one));
		client_forget(channel->conf.client, (struct ino){one.nodeid}, one.nlookup);
	}
}

static void take_interrupt(struct fuse_channel *channel, const uint8_t *body, size_t len)
{
	struct fuse_interrupt_in in;
	if (len < sizeof(in))
		return;
	memcpy(&in, body, sizeof(in));
	struct fuse_request *req = find_request(channel, in.unique);
	if (req != NULL)
		interrupt_request(req, is_dying(req->header.pid));
	/* else it was answered, and the kernel forgets the interrupt with it: there is one reader, so it cannot come later */
}

/* True: done, nothing runs. */
static bool take_without_task(struct fuse_channel *channel, const struct fuse_in_header *header, const uint8_t *body, size_t len)
{
	struct fuse_forget_in forget;
	switch (header->opcode) {
	case FUSE_INIT:
		take_init(channel, header->unique, body, len);
		return true;
	case FUSE_FORGET:
		if (len >= sizeof(forget)) {
			memcpy(&forget, body, sizeof(forget));
			client_forget(channel->conf.client, (struct ino){header->nodeid}, forget.nlookup);
		}
		return true;
	case FUSE_BATCH_FORGET:
		take_forgets(channel, body, len);
		return true;
	case FUSE_INTERRUPT:
		take_interrupt(channel, body, len);
		return true;
	case FUSE_DESTROY:
		(void)send_answer(channel, header->unique, 0, NULL, 0); /* the end of the descriptor follows */
		return true;
	default:
		return false;
	}
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Of what may change the size of a file, which the kernel waits for with FUSE_I_SIZE_UNSTABLE: the file; else none. */
static struct ino sized_by(const struct fuse_in_header *header, const uint8_t *body)
{
	bool changes = false;
	switch (header->opcode) {
	case FUSE_WRITE:
		changes = (((const struct fuse_write_in *)(const void *)body)->write_flags & FUSE_WRITE_CACHE) == 0;
		break;
	case FUSE_SETATTR:
		changes = (((const struct fuse_setattr_in *)(const void *)body)->valid & FATTR_SIZE) != 0;
		break;
	case FUSE_OPEN:
		changes = (((const struct fuse_open_in *)(const void *)body)->flags & O_TRUNC) != 0;
		break;
	case FUSE_FALLOCATE:
		changes = true;
		break;
	case FUSE_COPY_FILE_RANGE:
	case FUSE_COPY_FILE_RANGE_WIDE:
		return (struct ino){((const struct fuse_copy_file_range_in *)(const void *)body)->nodeid_out};
	default:
		break;
	}
	return changes ? (struct ino){header->nodeid} : INO_NONE;
}

/* One request, read to channel->read_buf. */
static void take_request(struct fuse_channel *channel, const uint8_t *message, size_t len)
{
	struct fuse_in_header header;
	memcpy(&header, message, sizeof(header));
	const uint8_t *body = message + sizeof(header);
	size_t body_len = len - sizeof(header);
	if (take_without_task(channel, &header, body, body_len))
		return;
	const struct fuse_op *row = fuse_op_find(header.opcode);
	channel->counts[header.opcode % FUSE_OPCODES] += row != NULL;
	if (row == NULL || body_len < row->body_min) {
		(void)send_answer(channel, header.unique, row == NULL ? -ENOSYS : -EIO, NULL, 0); /* nothing to undo */
		return;
	}
	struct fuse_request *req = mem_alloc(sizeof(*req));
	*req = (struct fuse_request){.channel = channel, .row = row, .header = header, .body_len = body_len};
	req->op = (struct client_op){.uid = header.uid, .gid = header.gid, .thread = header.pid, .groups = op_groups};
	req->op.arrived_ns = loop_now_ns(channel->conf.loop);
	list_node_init(&req->wait_link);
	arena_init(&req->arena);
	if (header.opcode == FUSE_WRITE && body_len > sizeof(struct fuse_write_in) + FUSE_WRITE_COPY_MAX) {
		req->buf = TAKE(channel->read_buf);
		req->body = body;
	} else {
		req->copy = mem_dup(body, body_len > 0 ? body_len : 1);
		req->body = req->copy;
	}
	map_insert(&channel->requests, &req->node, map_hash_u64(header.unique));
	req->sizes = sized_by(&header, body);
	if (req->sizes.v != 0)
		client_size_change_begin(channel->conf.client, req->sizes);
	if (may_wait_long(header.opcode)) {
		(void)task_spawn(channel->conf.loop, row->name, run_request, req); /* never fails; it ends itself */
		return;
	}
	list_push_back(&channel->waiting, &req->wait_link);
	channel->waiting_count++;
	start_next(channel);
	if (channel->conf.soft_ns != 0 || header.opcode == FUSE_FLUSH)
		watch(channel);
}

static void end_channel(struct fuse_channel *channel, int rc)
{
	channel->ended = true;
	channel->source.fd = -1;
	channel->source.in_flight = false;
	if (rc != -ENODEV)
		log_line(channel->conf.log, LOG_LEVEL_ERROR, "fuse", "err=%s did=\"gave the mount up\"", err_name(rc));
}

/* False: nothing to read now, or no place for it. */
static bool read_one(struct fuse_channel *channel)
{
	if (channel->waiting_count >= FUSE_CHANNEL_WAITING_MAX) {
		channel->source.fd = -1; /* the end of a request begins it again */
		return false;
	}
	if (channel->read_buf == NULL)
		channel->read_buf = client_buf_try_get(channel->conf.client);
	if (channel->read_buf == NULL) {
		channel->source.fd = -1; /* buffers_are_free begins it again */
		return false;
	}
	uint8_t *message = client_buf_ptr(channel->read_buf) - FUSE_WRITE_HEAD_BYTES;
	ssize_t n = read(channel->conf.fd, message, FUSE_WRITE_HEAD_BYTES + CLIENT_BUF_BYTES);
	if (n < 0) {
		/* ENOENT: that request was taken back while it was read */
		if (errno == ENOENT || errno == EINTR)
			return true;
		if (errno != EAGAIN)
			end_channel(channel, -errno);
		return false;
	}
	if ((size_t)n < sizeof(struct fuse_in_header)) {
		end_channel(channel, fail(EIO));
		return false;
	}
	take_request(channel, message, (size_t)n);
	return true;
}

static bool poll_channel(struct loop_source *source)
{
	struct fuse_channel *channel = CONTAINER_OF(source, struct fuse_channel, source);
	bool any = false;
	for (int i = 0; i < FUSE_CHANNEL_READS_MAX && source->fd >= 0; i++) {
		if (!read_one(channel)) {
			any |= channel->ended; /* that is news too */
			break;
		}
		any = true;
	}
	return any;
}

static void buffers_are_free(void *ctx)
{
	struct fuse_channel *channel = ctx;
	if (!channel->ended && !channel->closed)
		channel->source.fd = channel->conf.fd;
}

/* ---- the channel's life ----------------------------------------------------------------------------------------- */

struct fuse_channel *fuse_channel_new(const struct fuse_channel_conf *conf)
{
	struct fuse_channel *channel = mem_alloc(sizeof(*channel));
	channel->conf = *conf;
	channel->mode_gen = 1;
	map_init(&channel->requests);
	map_init(&channel->files);
	list_init(&channel->waiting);
	client_buf_on_free(conf->client, buffers_are_free, channel);
	client_on_stats(conf->client, fuse_counts_json, channel);
	channel->source = (struct loop_source){.poll = poll_channel, .fd = conf->fd, .in_flight = true};
	loop_source_add(conf->loop, &channel->source);
	return channel;
}

bool fuse_channel_is_ready(const struct fuse_channel *channel)
{
	return channel->ready;
}

bool fuse_channel_has_ended(const struct fuse_channel *channel)
{
	return channel->ended;
}

bool fuse_channel_is_idle(const struct fuse_channel *channel)
{
	return channel->requests.count == 0 && !channel->watching;
}

void fuse_channel_close(struct fuse_channel *channel)
{
	channel->closed = true;
	channel->source.fd = -1;
	channel->source.in_flight = false;
	struct list_node *link;
	while ((link = list_first(&channel->waiting)) != NULL)
		answer_waiting(CONTAINER_OF(link, struct fuse_request, wait_link), -EINTR);
	struct map_iter iter = map_iter_begin(&channel->requests);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		client_op_interrupt(&CONTAINER_OF(node, struct fuse_request, node)->op, true);
}

void fuse_channel_free(struct fuse_channel *channel)
{
	if (channel == NULL)
		return;
	CHECK(fuse_channel_is_idle(channel));
	loop_source_remove(&channel->source);
	client_buf_on_free(channel->conf.client, NULL, NULL);
	client_on_stats(channel->conf.client, NULL, NULL);
	struct map_iter iter = map_iter_begin(&channel->files);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		fuse_file_free(channel, CONTAINER_OF(node, struct fuse_file, node));
	if (channel->read_buf != NULL)
		client_buf_put(channel->read_buf);
	map_fini(&channel->files);
	map_fini(&channel->requests);
	mem_free(channel);
}
