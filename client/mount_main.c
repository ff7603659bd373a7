/* SPDX-License-Identifier: Apache-2.0
 * stria-mount (and mount.stria): the life of one mount. Joins the cluster, then mounts, then serves until it is unmounted or told to end;
 * then saves everything. Owns the process: loop, driver, seams, the /dev/fuse descriptor that libfuse3 mounted; requests are
 * fuse_channel.c's. It never touches the mount point on the loop's own thread: that would wait for itself. */
#define FUSE_USE_VERSION 312
#include "client/client.h"
#include "client/fuse_channel.h"
#include "client/mount_spec.h"
#include "common/base/check.h"
#include "common/core/loop.h"
#include "common/io/io.h"
#include "common/io/log_fd.h"
#include "common/io/options.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BUFFERS_BESIDE_UNSTABLE = 64, /* for reads and writes on their way */
	START_HINT_S = 2,
	INIT_WAIT_S = 30,
	UNMOUNT_WAIT_S = 30, /* for the kernel: it may have pages to write */
	IDLE_WAIT_S = 10,    /* for requests that were told to end */
	STOP_WAIT_S = 30,    /* for servers, to make what was written durable */
};
#define POLL_NS (10 * NS_PER_MS)
static const char program[] = "stria-mount";

struct mount {
	char **words;          /* argv as our own options have it; it and what it points to live as long as the process */
	struct options options;
	struct mount_spec spec;
	enum client_atime atime;
	char *kernel_options;  /* owned; "" if there are none */
	char *mountpoint;      /* absolute; malloc's */
	bool is_fake;          /* mount -f: check the words and do nothing */
	int ready_fd;          /* the waiting parent reads it; -1: foreground */
	struct utsname host;
	struct log_fd sink;
	struct log log;
	struct rng_source *rng;
	struct env env;
	struct client *client;
	struct driver *driver;
	struct fuse_session *session;
	struct fuse_channel *channel;
	struct threads *threads; /* for what may wait for the mount itself */
	uint64_t deadline_ns;  /* of what is waited for now */
	uint64_t hint_ns;      /* then a person is told what is waited for */
	bool start_done, unmount_done, end_done;
	int start_rc, stop_rc;
};

/* The one line a person gets. */
static int complain(const struct mount *mount, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s%s%s\n", program, mount->options.words[0], what, why[0] != '\0' ? ": " : "", why);
	return 1;
}

/* ---- command line ----------------------------------------------------------------------------------------------- */

static void add_kernel_options(struct mount *mount, const char *more)
{
	size_t used = strlen(mount->kernel_options), len = strlen(more);
	if (len == 0)
		return;
	mount->kernel_options = mem_realloc(mount->kernel_options, used + len + 2);
	mount->kernel_options[used] = ',';
	memcpy(mount->kernel_options + used + 1, more, len + 1);
}

/* mount(8)'s words become ours: -o lists lose what is the kernel's, its flags their meaning here. */
static int translate_words(struct mount *mount, int argc, char **argv, char **ret_argv)
{
	const char *base = strrchr(argv[0], '/');
	bool by_mount = strcmp(base != NULL ? base + 1 : argv[0], "mount.stria") == 0;
	int count = 0;
	ret_argv[count++] = argv[0];
	for (int i = 1; i < argc; i++) {
		char *word = argv[i];
		if (strcmp(word, "--") == 0) {
			while (i < argc)
				ret_argv[count++] = argv[i++];
		} else if (strncmp(word, "-o", 2) == 0 && (word[2] != '\0' || i + 1 < argc)) {
			const char *list = word[2] != '\0' ? word + 2 : argv[++i];
			char *ours = mem_alloc(2 + MOUNT_LIST_BYTES(list));
			char *kernels = mem_alloc(MOUNT_LIST_BYTES(list));
			memcpy(ours, "-o", 2);
			mount_options_split(list, ours + 2, kernels);
			add_kernel_options(mount, kernels);
			mem_free(kernels);
			if (ours[2] != '\0')
				ret_argv[count++] = ours;
			else
				mem_free(ours);
		} else if (strcmp(word, "-f") == 0 && by_mount) {
			mount->is_fake = true;
		} else if (strcmp(word, "-f") == 0) {
			ret_argv[count++] = mem_strdup("--foreground");
		} else if (strcmp(word, "-r") == 0) {
			ret_argv[count++] = mem_strdup("--ro");
		} else if ((strcmp(word, "-t") == 0 || strcmp(word, "-N") == 0) && by_mount && i + 1 < argc) {
			i++;
		} else if (strlen(word) != 2 || strchr("snvw", word[1]) == NULL || word[0] != '-') {
			ret_argv[count++] = word;
		}
	}
	ret_argv[count] = NULL;
	return count;
}

static int take_atime(struct mount *mount)
{
	static const char *const words[] = {
		[CLIENT_ATIME_RELATIVE] = "relatime", [CLIENT_ATIME_STRICT] = "strictatime", [CLIENT_ATIME_NEVER] = "noatime"};
	const char *wanted = mount->options.conf.atime.text;
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcmp(wanted, words[i]) == 0) {
			mount->atime = mount->options.conf.ro ? CLIENT_ATIME_NEVER : (enum client_atime)i;
			return 0;
		}
	}
	fprintf(stderr, "%s: atime=%s: relatime, strictatime or noatime was expected\n", program, wanted);
	return fail(ERR_conf);
}

/* 0: go on; 1: done, well; an error: it was told. */
static int take_words(struct mount *mount, int argc, char **argv)
{
	static const struct options_usage usage = {
		.program = program,
		.words = "HOST:PORT:/fsname MOUNTPOINT",
		.about = "Mounts a Stria file system. HOST:PORT is its MGS (the first MDS); several are separated by commas.\n"
			 "It runs in the background (-f: in the foreground) until it is unmounted or gets SIGTERM. Options of mount(8), like\n"
			 "-o nosuid,noatime, are understood too.",
		.programs = CONF_CLIENT,
		.words_min = 2,
		.words_max = 2,
	};
	mount->kernel_options = mem_strdup(geteuid() == 0 ? "suid,dev" : "nosuid,nodev"); /* as mount(8) has it; libfuse forbids both */
	mount->words = mem_alloc(((size_t)argc + 2) * sizeof(mount->words[0]));
	int count = translate_words(mount, argc, argv, mount->words);
	int rc = options_parse(&usage, count, mount->words, &mount->options);
	if (rc != 0)
		return rc;
	char error[CONF_ERROR_BYTES_MAX];
	rc = take_atime(mount);
	if (rc < 0)
		return rc;
	rc = mount_spec_parse(mount->options.words[0], &mount->spec, error);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", program, error);
		return rc;
	}
	struct stat st;
	const char *point = mount->options.words[1];
	mount->mountpoint = realpath(point, NULL);
	if (mount->mountpoint == NULL || stat(mount->mountpoint, &st) < 0 || !S_ISDIR(st.st_mode)) {
		const char *why = mount->mountpoint == NULL || errno == ENOTCONN ? err_text(-errno) : "it is not a directory";
		fprintf(stderr, "%s: %s: cannot be a mount point: %s\n", program, point, why);
		return fail(ERR_conf);
	}
	return mount->is_fake ? 1 : 0;
}

/* ---- background ------------------------------------------------------------------------------------------------- */

/* In the parent: does not return. The child writes a byte once it serves, or says itself why not and ends. */
static void wait_for_child(int fd, pid_t child)
{
	char byte;
	ssize_t n;
	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	int status = 0;
	(void)waitpid(child, &status, 0); /* it has ended or is about to */
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: ended by signal %d while mounting\n", program, WTERMSIG(status));
	_exit(1);
}

static int go_to_background(struct mount *mount)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(errno);
	pid_t child = fork();
	if (child < 0)
		return fail(errno);
	if (child > 0) {
		(void)close(fds[1]); /* so that its end is seen */
		wait_for_child(fds[0], child);
	}
	(void)close(fds[0]); /* the parent's */
	mount->ready_fd = fds[1];
	return 0;
}

static void write_pid_file(const struct mount *mount)
{
	const char *path = mount->options.conf.pid_file.text;
	if (path[0] == '\0')
		return;
	FILE *file = fopen(path, "we");
	bool written = file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0;
	if (file != NULL && fclose(file) != 0)
		written = false;
	if (!written)
		fprintf(stderr, "%s: %s: cannot be written: %s\n", program, path, err_text(-errno));
}

/* It serves: lets the parent go and the terminal too. */
static void leave_terminal(struct mount *mount)
{
	if (mount->ready_fd < 0)
		return;
	(void)setsid();     /* fails only for a group leader, which a fork is not */
	(void)!chdir("/");  /* keep no file system busy; failing that, it does */
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null_fd >= 0; fd++)
		(void)dup2(null_fd, fd); /* nobody reads them any more */
	if (null_fd > 2)
		(void)close(null_fd);
	(void)!write(mount->ready_fd, "", 1); /* a parent that is gone needs no word */
	(void)close(mount->ready_fd);
	mount->ready_fd = -1;
}

/* ---- the beginning ---------------------------------------------------------------------------------------------- */

static uint64_t in_seconds(const struct mount *mount, uint64_t s)
{
	return loop_now_ns(mount->env.loop) + s * NS_PER_S;
}

static bool start_is_slow(void *ctx)
{
	struct mount *mount = ctx;
	return mount->start_done || loop_now_ns(mount->env.loop) >= mount->hint_ns;
}

static bool start_is_over(void *ctx)
{
	struct mount *mount = ctx;
	return mount->start_done || loop_now_ns(mount->env.loop) >= mount->deadline_ns;
}

static void start_task(void *arg)
{
	struct mount *mount = arg;
	mount->start_rc = client_start(mount->client);
	mount->start_done = true;
}

static int make_node(struct mount *mount, char error[IO_ERROR_TEXT_BYTES])
{
	const struct conf *conf = &mount->options.conf;
	struct clock *clock = clock_os();
	(void)uname(&mount->host); /* cannot fail with a good pointer */
	char name[32];
	(void)snprintf(name, sizeof(name), "client.%d", (int)getpid());
	log_init(&mount->log, &mount->sink.sink, clock, conf->log_level, name);
	mount->rng = rng_os_new();
	struct loop *loop = loop_new(&(struct loop_opts){.name = "client", .clock = clock});
	mount->env = (struct env){.loop = loop, .clock = clock, .rng = mount->rng};
	int rc = net_ofi_new(loop, &(struct net_ofi_opts){0}, &mount->env.net, error);
	if (rc < 0)
		return rc;
	mount->driver = driver_new(loop);
	driver_set_spin_max_ns(mount->driver, conf->poll);
	rc = driver_stop_on_signals(mount->driver);
	if (rc < 0)
		(void)snprintf(error, IO_ERROR_TEXT_BYTES, "signals cannot be received: %s", err_text(rc));
	mount->client = client_new(&mount->env, &(struct client_conf){
		.mgs = mount->spec.mgs,
		.fsname = mount->spec.fsname,
		.host = mount->host.nodename,
		.mountpoint = mount->mountpoint,
		.pid = (uint32_t)getpid(),
		.buffers = (uint32_t)min_u64(conf->unstable_max / CLIENT_BUF_BYTES + BUFFERS_BESIDE_UNSTABLE, UINT32_MAX / 2),
		.unstable_bytes_max = conf->unstable_max,
		.ahead_bytes_max = conf->readahead > 0 ? conf->readahead : CLIENT_NO_READ_AHEAD,
		.dirty_bytes_max = conf->dirty_max > 0 ? conf->dirty_max : CLIENT_WRITE_THROUGH,
		.dirty_file_bytes_max = conf->dirty_file_max > 0 ? conf->dirty_file_max : CLIENT_WRITE_THROUGH,
		.attr_ttl_ns = conf->attr_timeout,
		.entry_ttl_ns = conf->entry_timeout,
		.atime = mount->atime,
		.no_diratime = !conf->diratime,
		.log = &mount->log,
	});
	return rc;
}

static int join_cluster(struct mount *mount)
{
	char text[IO_ERROR_TEXT_BYTES];
	mount->deadline_ns = add_sat_u64(loop_now_ns(mount->env.loop), mount->options.conf.wait);
	unsigned long long wait_s = mount->options.conf.wait / NS_PER_S;
	mount->hint_ns = in_seconds(mount, START_HINT_S);
	(void)task_spawn(mount->env.loop, "start", start_task, mount); /* it sets start_done */
	bool goes_on = driver_run_until(mount->driver, start_is_slow, mount);
	if (goes_on && !mount->start_done)
		fprintf(stderr, "%s: %s: waiting for %.120s, for up to %llu s (Ctrl-C ends it)\n", program, mount->options.words[0], mount->spec.mgs,
			wait_s);
	if (!goes_on || !driver_run_until(mount->driver, start_is_over, mount))
		return complain(mount, "interrupted before its cluster answered", "");
	if (!mount->start_done) {
		(void)snprintf(text, sizeof(text), "no answer from %.120s within %llu s (-o wait=TIME waits longer)", mount->spec.mgs, wait_s);
		return complain(mount, "cannot be mounted", text);
	}
	if (err_is(mount->start_rc, EINVAL))
		return complain(mount, "cannot be mounted", "the cluster at this address has no file system of this name");
	if (mount->start_rc < 0)
		return complain(mount, "cannot be mounted", err_text(mount->start_rc));
	return 0;
}

/* "fsname=" and the name for libfuse's option lists, in which commas separate. */
static void escape_name(const char *name, char *ret_text, size_t size)
{
	size_t used = (size_t)snprintf(ret_text, size, "fsname="); /* fits */
	for (; *name != '\0' && used + 3 <= size; name++) {
		if (*name == ',' || *name == '\\')
			ret_text[used++] = '\\';
		ret_text[used++] = *name;
	}
	ret_text[used] = '\0';
}

/* mount(2), by libfuse, which also knows how to do it without being root. It says itself what goes wrong. */
static int mount_session(struct mount *mount)
{
	static const struct fuse_lowlevel_ops no_ops; /* requests are read by the channel, not by libfuse */
	const struct conf *conf = &mount->options.conf;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char name[2 * (MOUNT_MGS_BYTES_MAX + 64)];
	escape_name(mount->options.words[0], name, sizeof(name));
	bool bad = fuse_opt_add_arg(&args, program) < 0;
	const char *const lists[] = {name, "subtype=stria,default_permissions,max_read=1048576", mount->kernel_options,
				     conf->allow_other ? "allow_other" : NULL, conf->ro ? "ro" : NULL};
	for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
		if (lists[i] != NULL)
			bad |= fuse_opt_add_arg(&args, "-o") < 0 || fuse_opt_add_arg(&args, lists[i]) < 0;
	CHECK_MSG(!bad, "no memory for mount options");
	mount->session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
	fuse_opt_free_args(&args);
	if (mount->session == NULL || fuse_session_mount(mount->session, mount->mountpoint) < 0)
		return complain(mount, "cannot be mounted at", mount->mountpoint);
	int fd = fuse_session_fd(mount->session);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return complain(mount, "the mount cannot be read", err_text(-errno));
	mount->env.kcache = kcache_fuse_new(mount->env.loop, fd, mount->mountpoint);
	mount->channel = fuse_channel_new(
		&(struct fuse_channel_conf){.fd = fd, .client = mount->client, .loop = mount->env.loop, .log = &mount->log,
					    .soft_ns = conf->soft ? conf->timeo * (NS_PER_S / 10) : 0});
	return 0;
}

static bool init_is_over(void *ctx)
{
	struct mount *mount = ctx;
	return fuse_channel_is_ready(mount->channel) || fuse_channel_has_ended(mount->channel) ||
	       loop_now_ns(mount->env.loop) >= mount->deadline_ns;
}

/* FUSE begins with 128 KiB, which is too little for one striped reader. It may not be changed: then it stays. */
static void raise_readahead(const struct mount *mount)
{
	struct statx stx;
	/* no attributes are wanted, so the kernel asks nobody: not us */
	if (statx(AT_FDCWD, mount->mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0)
		return;
	char path[80];
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", stx.stx_dev_major, stx.stx_dev_minor);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "4096\n", 5); /* best effort */
	(void)close(fd);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* On a thread of its own: the kernel may have pages to write, which the loop must answer meanwhile. */
static void unmount_blocking(void *arg)
{
	const struct mount *mount = arg;
	if (umount2(mount->mountpoint, UMOUNT_NOFOLLOW) == 0)
		return;
	if (errno == EBUSY) {
		int fd = open(mount->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			(void)syncfs(fd); /* what cannot be saved now is lost with the mount */
			(void)close(fd);
		}
		(void)umount2(mount->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW); /* the end of our descriptor ends the rest */
		return;
	}
	const char *const words[] = {"fusermount3", "-u", "-z", "-q", "--", mount->mountpoint, NULL};
	pid_t child;
	if (posix_spawnp(&child, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ) == 0)
		(void)waitpid(child, NULL, 0); /* whether it worked, the descriptor tells */
}

static void unmount_task(void *arg)
{
	struct mount *mount = arg;
	threads_call(mount->threads, unmount_blocking, mount);
	mount->unmount_done = true;
}

static void end_task(void *arg)
{
	struct mount *mount = arg;
	struct loop *loop = mount->env.loop;
	if (!fuse_channel_has_ended(mount->channel)) {
		(void)task_spawn(loop, "unmount", unmount_task, mount); /* it sets unmount_done */
		for (uint64_t end_ns = in_seconds(mount, UNMOUNT_WAIT_S); !mount->unmount_done && loop_now_ns(loop) < end_ns;)
			task_sleep(loop, POLL_NS);
	}
	fuse_channel_close(mount->channel);
	for (uint64_t end_ns = in_seconds(mount, IDLE_WAIT_S); !fuse_channel_is_idle(mount->channel) && loop_now_ns(loop) < end_ns;)
		task_sleep(loop, POLL_NS);
	if (fuse_channel_is_idle(mount->channel)) {
		fuse_channel_free(mount->channel); /* releases what the kernel still had open */
		mount->channel = NULL;
	}
	mount->stop_rc = client_stop(mount->client, in_seconds(mount, STOP_WAIT_S));
	mount->end_done = true;
}

static bool end_is_over(void *ctx)
{
	const struct mount *mount = ctx;
	return mount->end_done;
}

/* A request that would not end is left to the end of the process: nothing of it is needed any more. */
static int end(struct mount *mount)
{
	driver_free(mount->driver); /* it has stopped for good: the last steps need another, which signals do not stop */
	mount->driver = driver_new(mount->env.loop);
	driver_set_spin_max_ns(mount->driver, mount->options.conf.poll);
	(void)task_spawn(mount->env.loop, "end", end_task, mount); /* it sets end_done */
	(void)driver_run_until(mount->driver, end_is_over, mount); /* nobody stops it */
	fuse_session_unmount(mount->session); /* closes the descriptor: from here on nothing waits for us */
	fuse_session_destroy(mount->session);
	if (mount->options.conf.pid_file.text[0] != '\0')
		(void)unlink(mount->options.conf.pid_file.text); /* it may be gone */
	log_line(&mount->log, mount->stop_rc < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "mount", "mountpoint=%s err=%s did=\"unmounted\"",
		 mount->mountpoint, err_name(mount->stop_rc));
	int status = mount->stop_rc < 0 ? 1 : 0;
	if (mount->channel != NULL || loop_task_count(mount->env.loop) > 0)
		_exit(status);
	client_free(mount->client);
	mount->env.kcache->ops->fini(mount->env.kcache);
	threads_free(mount->threads);
	mount->env.net->ops->fini(mount->env.net);
	driver_free(mount->driver);
	loop_free(mount->env.loop);
	rng_os_free(mount->rng);
	return status;
}

static bool channel_has_ended(void *ctx)
{
	const struct mount *mount = ctx;
	return fuse_channel_has_ended(mount->channel);
}

static int run(struct mount *mount)
{
	char error[IO_ERROR_TEXT_BYTES] = "";
	if (make_node(mount, error) < 0)
		return complain(mount, "cannot be mounted", error);
	mount->threads = threads_new(mount->env.loop, "unmount", 1);
	if (join_cluster(mount) != 0 || mount_session(mount) != 0)
		_exit(1); /* nothing is written yet, and a task may still wait for its answer */
	mount->deadline_ns = in_seconds(mount, INIT_WAIT_S);
	(void)driver_run_until(mount->driver, init_is_over, mount); /* a stop is seen below */
	if (!fuse_channel_is_ready(mount->channel)) {
		(void)complain(mount, "the kernel did not begin to use the mount", "");
		(void)end(mount); /* the line above is the news */
		return 1;
	}
	raise_readahead(mount);
	write_pid_file(mount);
	log_line(&mount->log, LOG_LEVEL_INFO, "mount", "mgs=%s fsname=%s mountpoint=%s client=%llu version=" STRIA_VERSION " did=\"mounted\"",
		 mount->spec.mgs, mount->spec.fsname, mount->mountpoint, (unsigned long long)client_id(mount->client));
	leave_terminal(mount);
	(void)driver_run_until(mount->driver, channel_has_ended, mount); /* or a signal: both are the end */
	return end(mount);
}

int main(int argc, char **argv)
{
	static struct mount mount = {.ready_fd = -1};
	io_signals_block();
	int rc = take_words(&mount, argc, argv);
	if (rc != 0)
		return rc > 0 ? 0 : 1;
	rc = log_fd_open(&mount.sink, mount.options.conf.log.text);
	if (rc < 0)
		return complain(&mount, "its log cannot be opened", err_text(rc));
	if (!mount.options.conf.foreground && go_to_background(&mount) < 0)
		return complain(&mount, "cannot go to the background", err_text(-errno));
	int status = run(&mount);
	log_fd_close(&mount.sink);
	return status;
}
