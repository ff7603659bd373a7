/* SPDX-License-Identifier: Apache-2.0
 * stria-oss: one or more OSTs over the real seams, each on a thread, loop, store and port of its own; or, with --format, an empty
 * store for one. DIR of an OST holds objects/ and kv/. */
#include "common/base/check.h"
#include "common/core/rpc.h"
#include "common/core/trace.h"
#include "common/io/io.h"
#include "common/io/log_fd.h"
#include "common/io/options.h"
#include "oss/oss.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct daemon;
/* One OST; its own thread's, but for what says otherwise. */
struct unit {
	struct daemon *daemon;
	char dir[CONF_TEXT_BYTES_MAX], listen[NET_ADDR_BYTES_MAX];
	struct log log;
	struct env env;
	struct driver *driver; /* driver_stop is called from others */
	struct ost *ost;
	struct io_thread *thread; /* the main thread's */
	struct ost_format_opts format;
	char error[OST_ERROR_BYTES];
	int rc;
	bool done;
	int status;            /* read after the join */
};
struct daemon {
	struct options options;
	struct log_fd sink;
	struct loop *loop;     /* waits for signals */
	struct driver *driver;
	struct unit *units;
	uint32_t count;
};

static int complain(struct unit *unit, const char *what, const char *why, int rc)
{
	fprintf(stderr, "stria-oss: %s: %s: %s (%s)\n", unit->dir, what, why, err_name(rc));
	if (unit->daemon->options.conf.log.text[0] != '\0')
		log_line(&unit->log, LOG_LEVEL_ERROR, "main", "what=\"%s\" why=\"%s\" store=%s err=%s", what, why, unit->dir, err_name(rc));
	return 1;
}

static bool is_done(void *ctx)
{
	return ((const struct unit *)ctx)->done;
}

static void run_task(struct unit *unit, const char *name, void (*fn)(void *arg))
{
	unit->done = false;
	task_spawn(unit->env.loop, name, fn, unit);
	(void)driver_run_until(unit->driver, is_done, unit); /* a stop may end it first: done says */
}

static void unit_init(struct unit *unit)
{
	unit->env.clock = clock_os();
	unit->env.rng = rng_os_new();
	unit->env.loop = loop_new(&(struct loop_opts){.name = "ost", .clock = clock_os()});
	unit->driver = driver_new(unit->env.loop);
	driver_set_spin_max_ns(unit->driver, unit->daemon->options.conf.poll);
	log_init(&unit->log, &unit->daemon->sink.sink, clock_os(), unit->daemon->options.conf.log_level, "ost");
}

static void unit_fini(struct unit *unit)
{
	ost_free(unit->ost);
	if (unit->env.net != NULL)
		unit->env.net->ops->fini(unit->env.net);
	if (unit->env.kv != NULL)
		unit->env.kv->ops->fini(unit->env.kv);
	if (unit->env.disk != NULL)
		unit->env.disk->ops->fini(unit->env.disk);
	driver_free(unit->driver);
	loop_free(unit->env.loop);
	rng_os_free(unit->env.rng);
}

static int open_seams(struct unit *unit, bool format)
{
	char objects[CONF_TEXT_BYTES_MAX + 16], kv[CONF_TEXT_BYTES_MAX + 16], error[IO_ERROR_TEXT_BYTES] = "";
	struct stat st;
	(void)snprintf(objects, sizeof(objects), "%s/objects", unit->dir);
	(void)snprintf(kv, sizeof(kv), "%s/kv", unit->dir);
	if (format && ((mkdir(unit->dir, 0700) < 0 && errno != EEXIST) || (mkdir(objects, 0700) < 0 && errno != EEXIST)))
		return complain(unit, "cannot make the directory", err_text(-errno), -errno);
	if (!format && (stat(kv, &st) < 0 || stat(objects, &st) < 0))
		return complain(unit, "cannot open the store", "it is not formatted: run stria-admin format ost --store DIR", -errno);
	int rc = disk_uring_new(unit->env.loop, &(struct disk_uring_opts){.root = objects}, &unit->env.disk, error);
	if (rc == 0)
		rc = kv_rocks_new(unit->env.loop, &(struct kv_rocks_opts){.path = kv, .must_exist = !format}, &unit->env.kv, error);
	if (rc == 0 && !format)
		rc = net_ofi_new(unit->env.loop, &(struct net_ofi_opts){0}, &unit->env.net, error);
	return rc < 0 ? complain(unit, "cannot open the store", error, rc) : 0;
}

/* ---- format --------------------------------------------------------------------------------------------------- */

static void format_task(void *arg)
{
	struct unit *unit = arg;
	unit->rc = ost_format(&unit->env, &unit->format, unit->error);
	unit->done = true;
}

static int format(struct daemon *daemon)
{
	const struct conf *conf = &daemon->options.conf;
	struct unit unit = {.daemon = daemon};
	if (conf->store.text[0] == '\0') {
		fprintf(stderr, "stria-oss: --store is missing: give the directory of the OST (see --help)\n");
		return 2;
	}
	(void)snprintf(unit.dir, sizeof(unit.dir), "%s", conf->store.text);
	unit_init(&unit);
	unit.format = (struct ost_format_opts){.fsname = conf->fsname.text, .index = (uint32_t)conf->index};
	int status = open_seams(&unit, true);
	if (status == 0) {
		run_task(&unit, "format", format_task);
		status = unit.rc < 0 ? complain(&unit, "cannot format", unit.error, unit.rc) : 0;
	}
	if (status == 0)
		printf("formatted %s as OST%04x of file system %s\n", unit.dir, (unsigned)conf->index, conf->fsname.text);
	unit_fini(&unit);
	return status;
}

/* ---- serve ---------------------------------------------------------------------------------------------------- */

static void stopped(void *ctx, int rc)
{
	struct unit *unit = ctx;
	unit->rc = rc;
	driver_stop(unit->driver);
}

static void start_task(void *arg)
{
	struct unit *unit = arg;
	char address[NET_ADDR_BYTES_MAX];
	unit->rc = ost_start(unit->ost, address);
	if (unit->rc == 0)
		log_line(&unit->log, LOG_LEVEL_INFO, "main", "did=\"serving\" address=%s fsname=%s index=%u store=%s pid=%d", address,
			 ost_fsname(unit->ost), ost_index(unit->ost), unit->dir, (int)getpid());
	unit->done = true;
}

static void stop_task(void *arg)
{
	struct unit *unit = arg;
	ost_stop(unit->ost);
	unit->done = true;
}

/* The thread of one OST, from its store's opening to its end. */
static void unit_run(void *arg)
{
	struct unit *unit = arg;
	struct daemon *daemon = unit->daemon;
	unit->status = open_seams(unit, false);
	if (unit->status == 0) {
		struct ost_conf conf = {
			.listen = unit->listen,
			.mgs = daemon->options.conf.mgs.text,
			.log = &unit->log,
			.stopped = stopped,
			.stopped_ctx = unit,
		};
		unit->ost = ost_new(&unit->env, &conf);
		run_task(unit, "start", start_task);
		if (unit->done && unit->rc < 0)
			unit->status = complain(unit, "cannot start", ost_error(unit->ost), unit->rc);
		if (unit->done && unit->rc == 0)
			driver_run(unit->driver);
		if (unit->done && unit->status == 0 && unit->rc == 0) {
			driver_resume(unit->driver);
			run_task(unit, "stop", stop_task);
		}
		if (unit->status == 0 && unit->rc < 0)
			unit->status = 1; /* the log says why */
	}
	driver_stop(daemon->driver); /* one OST that ends takes its daemon with it: whoever watches starts all again */
}

/* "DIR@ADDRESS" */
static int parse_unit(struct unit *unit, const char *text)
{
	const char *at = strrchr(text, '@');
	if (at == NULL || at == text || at[1] == '\0' || strlen(at + 1) >= sizeof(unit->listen)) {
		fprintf(stderr, "stria-oss: ost: '%s' is not DIR@ADDRESS (like /srv/ost0@tcp://127.0.0.1:7420)\n", text);
		return 2;
	}
	(void)snprintf(unit->dir, sizeof(unit->dir), "%.*s", (int)(at - text), text);
	(void)snprintf(unit->listen, sizeof(unit->listen), "%s", at + 1);
	return 0;
}

static int check_options(const struct conf *conf)
{
	if (conf->ost.count == 0) {
		fprintf(stderr, "stria-oss: --ost is missing: give at least one DIR@ADDRESS (see --help)\n");
		return 2;
	}
	if (conf->mgs.text[0] == '\0') {
		fprintf(stderr, "stria-oss: --mgs is missing: give the address of MDT 0 (see --help)\n");
		return 2;
	}
	return 0;
}

static int serve(struct daemon *daemon)
{
	const struct conf *conf = &daemon->options.conf;
	int status = check_options(conf);
	daemon->units = mem_alloc((conf->ost.count + 1) * sizeof(daemon->units[0]));
	for (uint32_t i = 0; i < conf->ost.count && status == 0; i++) {
		daemon->units[i].daemon = daemon;
		status = parse_unit(&daemon->units[i], conf->ost.items[i]);
	}
	int rc = status == 0 ? driver_stop_on_signals(daemon->driver) : 0;
	if (rc < 0)
		fprintf(stderr, "stria-oss: cannot wait for signals: %s\n", err_text(rc));
	for (; status == 0 && rc == 0 && daemon->count < conf->ost.count; daemon->count++) {
		struct unit *unit = &daemon->units[daemon->count];
		unit_init(unit);
		char name[16];
		(void)snprintf(name, sizeof(name), "ost.%u", daemon->count);
		(void)snprintf(unit->log.node, sizeof(unit->log.node), "%s", name);
		rc = io_thread_start(name, unit_run, unit, &unit->thread);
		if (rc < 0) {
			unit_fini(unit);
			fprintf(stderr, "stria-oss: cannot start a thread: %s\n", err_text(rc));
			break;
		}
	}
	FILE *pid = conf->pid_file.text[0] != '\0' ? fopen(conf->pid_file.text, "w") : NULL;
	if (pid != NULL && (fprintf(pid, "%d\n", (int)getpid()) < 0 || fclose(pid) != 0))
		fprintf(stderr, "stria-oss: pid_file: %s: %s\n", conf->pid_file.text, err_text(-errno));
	if (daemon->count > 0 && rc == 0)
		driver_run(daemon->driver); /* until a signal, or an OST has ended */
	for (uint32_t i = 0; i < daemon->count; i++)
		driver_stop(daemon->units[i].driver);
	for (uint32_t i = 0; i < daemon->count; i++) {
		io_thread_join(daemon->units[i].thread);
		status = status != 0 ? status : daemon->units[i].status;
		unit_fini(&daemon->units[i]);
	}
	mem_free(daemon->units);
	return rc < 0 ? 1 : status;
}

int main(int argc, char **argv)
{
	static const struct options_usage usage = {
		.program = "stria-oss",
		.words = "",
		.about = "Serves object storage targets (OSTs) of a Stria file system, each --ost on a thread of its own.",
		.programs = CONF_OSS,
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
		fprintf(stderr, "stria-oss: log: %s: %s\n", conf->log.text, err_text(rc));
		return 1;
	}
	daemon.loop = loop_new(&(struct loop_opts){.name = "oss", .clock = clock_os()});
	daemon.driver = driver_new(daemon.loop);
	int status = conf->format ? format(&daemon) : serve(&daemon);
	driver_free(daemon.driver);
	loop_free(daemon.loop);
	log_fd_close(&daemon.sink);
	return status;
}
