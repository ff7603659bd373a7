/* SPDX-License-Identifier: Apache-2.0
 * stria-mds: one MDT over the real seams; or, with --format, an empty store for one. */
#include "common/base/check.h"
#include "common/core/rpc.h"
#include "common/core/trace.h"
#include "common/io/io.h"
#include "common/io/log_fd.h"
#include "common/io/options.h"
#include "mds/mds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct daemon {
	struct options options;
	struct log_fd sink;
	struct log log;
	struct env env;
	struct driver *driver;
	struct mds *mds;
	struct mds_format_opts format;
	char error[MDS_ERROR_BYTES];
	int rc;
	bool done;
};

/* One line to stderr and, if it is another place, to the log. */
static int complain(struct daemon *daemon, const char *what, const char *why, int rc)
{
	const struct conf *conf = &daemon->options.conf;
	fprintf(stderr, "stria-mds: %s: %s: %s (%s)\n", conf->store.text, what, why, err_name(rc));
	if (conf->log.text[0] != '\0')
		log_line(&daemon->log, LOG_LEVEL_ERROR, "main", "what=\"%s\" why=\"%s\" store=%s err=%s", what, why, conf->store.text, err_name(rc));
	return 1;
}

static bool is_done(void *ctx)
{
	return ((const struct daemon *)ctx)->done;
}

static void run_task(struct daemon *daemon, const char *name, void (*fn)(void *arg))
{
	daemon->done = false;
	task_spawn(daemon->env.loop, name, fn, daemon);
	(void)driver_run_until(daemon->driver, is_done, daemon); /* a signal may end it first: done says */
}

static int open_seams(struct daemon *daemon, bool format)
{
	const struct conf *conf = &daemon->options.conf;
	char path[CONF_TEXT_BYTES_MAX + 8], error[IO_ERROR_TEXT_BYTES] = "";
	struct stat st;
	if (conf->store.text[0] == '\0') {
		fprintf(stderr, "stria-mds: --store is missing: give the directory of the MDT (see --help)\n");
		return 2;
	}
	if (format && mkdir(conf->store.text, 0700) < 0 && errno != EEXIST)
		return complain(daemon, "cannot make the directory", err_text(-errno), -errno);
	(void)snprintf(path, sizeof(path), "%s/kv", conf->store.text);
	if (!format && stat(path, &st) < 0)
		return complain(daemon, "cannot open the store", "it is not formatted: run stria-admin format mdt --store DIR", -errno);
	int rc = disk_uring_new(daemon->env.loop, &(struct disk_uring_opts){.root = conf->store.text}, &daemon->env.disk, error);
	if (rc == 0)
		rc = kv_rocks_new(daemon->env.loop, &(struct kv_rocks_opts){.path = path, .must_exist = !format}, &daemon->env.kv, error);
	if (rc == 0 && !format)
		rc = net_ofi_new(daemon->env.loop, &(struct net_ofi_opts){0}, &daemon->env.net, error);
	return rc < 0 ? complain(daemon, "cannot open the store", error, rc) : 0;
}

static void close_seams(struct daemon *daemon)
{
	if (daemon->env.net != NULL)
		daemon->env.net->ops->fini(daemon->env.net);
	if (daemon->env.kv != NULL)
		daemon->env.kv->ops->fini(daemon->env.kv);
	if (daemon->env.disk != NULL)
		daemon->env.disk->ops->fini(daemon->env.disk);
}

/* ---- format --------------------------------------------------------------------------------------------------- */

static bool parse_uuid(const char *text, uint64_t *ret_hi, uint64_t *ret_lo)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t words[2] = {0, 0};
	unsigned digits = 0;
	for (; *text != '\0'; text++) {
		const char *at = strchr(hex, *text | 0x20);
		if (*text == '-')
			continue;
		if (at == NULL || *at == '\0' || digits == 32)
			return false;
		words[digits / 16] = words[digits / 16] << 4 | (uint64_t)(at - hex);
		digits++;
	}
	*ret_hi = words[0];
	*ret_lo = words[1];
	return digits == 32;
}

static void format_task(void *arg)
{
	struct daemon *daemon = arg;
	daemon->rc = mds_format(&daemon->env, &daemon->format, daemon->error);
	daemon->done = true;
}

static int format(struct daemon *daemon)
{
	const struct conf *conf = &daemon->options.conf;
	daemon->format = (struct mds_format_opts){.fsname = conf->fsname.text, .index = (uint32_t)conf->index};
	if (conf->cluster.text[0] != '\0' && !parse_uuid(conf->cluster.text, &daemon->format.cluster_hi, &daemon->format.cluster_lo)) {
		fprintf(stderr, "stria-mds: cluster: '%s' is not a uuid (32 hexadecimal digits)\n", conf->cluster.text);
		return 2;
	}
	int status = open_seams(daemon, true);
	if (status != 0)
		return status;
	run_task(daemon, "format", format_task);
	if (daemon->rc < 0)
		return complain(daemon, "cannot format", daemon->error, daemon->rc);
	printf("formatted %s as MDT%04x of file system %s\n", conf->store.text, (unsigned)conf->index, conf->fsname.text);
	return 0;
}

/* ---- serve ---------------------------------------------------------------------------------------------------- */

static void stopped(void *ctx, int rc)
{
	struct daemon *daemon = ctx;
	daemon->rc = rc;
	driver_stop(daemon->driver);
}

static void start_task(void *arg)
{
	struct daemon *daemon = arg;
	char address[NET_ADDR_BYTES_MAX];
	daemon->rc = mds_start(daemon->mds, address);
	if (daemon->rc == 0)
		log_line(&daemon->log, LOG_LEVEL_INFO, "main", "did=\"serving\" address=%s fsname=%s index=%u pid=%d", address,
			 mds_fsname(daemon->mds), mds_index(daemon->mds), (int)getpid());
	daemon->done = true;
}

static void stop_task(void *arg)
{
	struct daemon *daemon = arg;
	mds_stop(daemon->mds);
	daemon->done = true;
}

static int write_pid(const char *path)
{
	FILE *file = path[0] != '\0' ? fopen(path, "w") : NULL;
	if (file == NULL)
		return path[0] != '\0' ? -errno : 0;
	fprintf(file, "%d\n", (int)getpid());
	return fclose(file) == 0 ? 0 : -errno;
}

static int serve(struct daemon *daemon)
{
	const struct conf *conf = &daemon->options.conf;
	int status = open_seams(daemon, false);
	if (status != 0)
		return status;
	struct mds_conf mds_conf = {
		.listen = conf->listen.text,
		.mgs = conf->mgs.text,
		.lease_ns = conf->lease,
		.log = &daemon->log,
		.stopped = stopped,
		.stopped_ctx = daemon,
	};
	daemon->mds = mds_new(&daemon->env, &mds_conf);
	int rc = driver_stop_on_signals(daemon->driver);
	if (rc < 0)
		return complain(daemon, "cannot wait for signals", err_text(rc), rc);
	run_task(daemon, "start", start_task);
	if (!daemon->done)
		return 0; /* told to stop before it had started */
	if (daemon->rc < 0)
		return complain(daemon, "cannot start", mds_error(daemon->mds), daemon->rc);
	rc = write_pid(conf->pid_file.text);
	if (rc < 0)
		return complain(daemon, "cannot write the pid file", err_text(rc), rc);
	driver_run(daemon->driver);
	log_line(&daemon->log, LOG_LEVEL_INFO, "main", "did=\"stopping\" err=%s", err_name(daemon->rc));
	driver_resume(daemon->driver);
	run_task(daemon, "stop", stop_task);
	return daemon->rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct options_usage usage = {
		.program = "stria-mds",
		.words = "",
		.about = "Serves one metadata target (MDT) of a Stria file system. MDT 0 embeds the management service.",
		.programs = CONF_MDS,
	};
	struct daemon daemon = {0};
	io_signals_block();
	trace_start();
	int rc = options_parse(&usage, argc, argv, &daemon.options);
	if (rc != 0)
		return rc > 0 ? 0 : 2;
	const struct conf *conf = &daemon.options.conf;
	rc = log_fd_open(&daemon.sink, conf->log.text);
	if (rc < 0) {
		fprintf(stderr, "stria-mds: log: %s: %s\n", conf->log.text, err_text(rc));
		return 1;
	}
	char node[32];
	(void)snprintf(node, sizeof(node), "mds%u", (unsigned)conf->index);
	log_init(&daemon.log, &daemon.sink.sink, clock_os(), conf->log_level, node);
	daemon.env.clock = clock_os();
	daemon.env.rng = rng_os_new();
	daemon.env.loop = loop_new(&(struct loop_opts){.name = "mds", .clock = clock_os()});
	daemon.driver = driver_new(daemon.env.loop);
	driver_set_spin_max_ns(daemon.driver, conf->poll);
	int status = conf->format ? format(&daemon) : serve(&daemon);
	mds_free(daemon.mds);
	close_seams(&daemon);
	driver_free(daemon.driver);
	loop_free(daemon.env.loop);
	rng_os_free(daemon.env.rng);
	log_fd_close(&daemon.sink);
	return status;
}
