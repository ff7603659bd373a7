/* SPDX-License-Identifier: Apache-2.0
 * stria-admin: what an administrator asks and changes. Formatting belongs to the daemons, which own their stores: `format` only checks its
 * words and becomes `stria-mds --format` or `stria-oss --format` from its own directory. */
#include "common/core/conf.h"
#include "common/io/io.h"
#include "common/io/options.h"
#include "tools/admin/admin.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MGS_DEFAULT "tcp://127.0.0.1:7400"

static const char help[] =
	"Usage: stria-admin [--mgs ADDRESS] [--config FILE] [--timeout TIME] [--json] [--dry-run] [--yes] VERB …\n"
	"\n"
	"  format mdt --store DIR [--fsname NAME] [--index I] [--cluster UUID]   make an empty store of an MDT\n"
	"  format ost --store DIR [--fsname NAME] [--index I]                    make an empty store of an OST\n"
	"  status             every target: state, since when, space, address\n"
	"  health             what is not well, since when, what to do; exits 1 if there is anything\n"
	"  client list        mounts that live: when last heard of, what each holds and has not saved yet\n"
	"  client evict ID    end a mount everywhere: its opens and unsaved data are lost; asks if there may be any\n"
	"\n"
	"  --mgs ADDRESS   of the management service, like tcp://10.0.0.1:7400 [STRIA_MGS, or " MGS_DEFAULT "]\n"
	"  --config FILE   INI file whose `mgs` is taken\n"
	"  --timeout TIME  for each question, like 500ms [5s]\n"
	"  --json          answer as JSON\n"
	"  --dry-run       say what would be done, and do nothing (format, client evict)\n"
	"  --yes           do not ask (client evict)\n"
	"  --help, --version\n";

struct job {
	struct admin admin;
	int argc;
	char **argv; /* the words after the options */
	bool done;
	int status;  /* of the program */
};

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "stria-admin: %s%s%s%s: see --help\n", word != NULL ? "'" : "", word != NULL ? word : "", word != NULL ? "' " : "", what);
	return 2;
}

/* Task: fetch what the verb needs, print it. */
static void job_run(void *arg)
{
	struct job *job = arg;
	struct admin *admin = &job->admin;
	const char *verb = job->argv[0];
	int rc = admin_fetch_map(admin);
	if (rc == 0 && strcmp(verb, "client") != 0)
		rc = admin_probe_targets(admin);
	if (rc == 0)
		rc = admin_fetch_clients(admin);
	if (rc < 0)
		job->status = 1; /* it was told */
	else if (strcmp(verb, "status") == 0)
		job->status = admin_show_status(admin);
	else if (strcmp(verb, "health") == 0)
		job->status = admin_show_health(admin);
	else if (strcmp(job->argv[1], "list") == 0)
		job->status = admin_client_list(admin);
	else
		job->status = admin_client_evict(admin, strtoull(job->argv[2], NULL, 10));
	job->done = true;
}

static bool job_is_done(void *arg)
{
	return ((struct job *)arg)->done;
}

static int run_job(struct job *job)
{
	char error_text[IO_ERROR_TEXT_BYTES] = "";
	struct clock *clock = clock_os();
	struct loop *loop = loop_new(&(struct loop_opts){.name = "admin", .clock = clock});
	struct rng_source *rng = rng_os_new();
	struct net *net = NULL;
	int rc = net_ofi_new(loop, &(struct net_ofi_opts){0}, &net, error_text);
	if (rc < 0) {
		fprintf(stderr, "stria-admin: the network cannot be used: %s: %s\n", err_name(rc), error_text);
		rng_os_free(rng);
		loop_free(loop);
		return 1;
	}
	struct env env = {.loop = loop, .clock = clock, .rng = rng, .net = net};
	struct rpc_identity identity = {.role = ROLE_ADMIN, .boot = rng->ops->u64(rng)};
	job->admin.loop = loop;
	job->admin.rpc = rpc_new(&env, &identity, &(struct rpc_server_ops){0}, NULL, NULL);
	struct driver *driver = driver_new(loop);
	int signals = driver_stop_on_signals(driver); /* without it Ctrl-C still ends the program, less cleanly */
	(void)signals;
	task_spawn(loop, "admin", job_run, job);
	bool ended = driver_run_until(driver, job_is_done, job);
	driver_free(driver);
	rpc_free(job->admin.rpc);
	net->ops->fini(net);
	loop_free(loop);
	rng_os_free(rng);
	admin_fini(&job->admin);
	return ended ? job->status : 130;
}

/* `stria-admin format mdt …` */
static int format(int argc, char **argv, bool dry_run)
{
	if (argc < 2 || (strcmp(argv[1], "mdt") != 0 && strcmp(argv[1], "ost") != 0))
		return usage_error("format: mdt or ost was expected", argc < 2 ? NULL : argv[1]);
	const char *program = strcmp(argv[1], "mdt") == 0 ? "stria-mds" : "stria-oss";
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("stria-mds"));
	char *slash = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;
	if (slash == NULL) {
		fprintf(stderr, "stria-admin: format: /proc/self/exe cannot be read: is /proc mounted?\n");
		return 1;
	}
	memcpy(slash + 1, program, strlen(program) + 1);
	char **words = mem_alloc(((size_t)argc + 2) * sizeof(*words));
	words[0] = path;
	words[1] = (char[]){"--format"};
	for (int i = 2, count = 2; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			dry_run = true;
		else
			words[count++] = argv[i];
	}
	if (dry_run) {
		printf("would run:");
		for (int i = 0; words[i] != NULL; i++)
			printf(" %s", words[i]);
		printf("\n");
		mem_free(words);
		return 0;
	}
	(void)execv(path, words);
	fprintf(stderr, "stria-admin: format: %s: cannot be run: %s; it is expected beside stria-admin\n", path, err_text(-errno));
	mem_free(words);
	return 1;
}

static int check_words(int argc, char **argv)
{
	if (argc == 0)
		return usage_error("a verb was expected: format, status, health or client", NULL);
	if (strcmp(argv[0], "status") == 0 || strcmp(argv[0], "health") == 0)
		return argc == 1 ? 0 : usage_error("is one word too many", argv[1]);
	if (strcmp(argv[0], "client") != 0)
		return usage_error("is no verb: format, status, health or client was expected", argv[0]);
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return 0;
	if (argc < 2 || strcmp(argv[1], "evict") != 0)
		return usage_error("client: list or evict was expected", argc < 2 ? NULL : argv[1]);
	if (argc != 3)
		return usage_error("client evict: one client id was expected", NULL);
	char *end = NULL;
	errno = 0;
	unsigned long long id = strtoull(argv[2], &end, 10);
	if (errno != 0 || *end != '\0' || argv[2][0] < '0' || argv[2][0] > '9' || id == 0)
		return usage_error("is not a client id (a number from `client list`)", argv[2]);
	return 0;
}

/* The address from an INI file's `mgs`. 0 or the exit status. */
static int mgs_from_file(const char *path, struct conf *conf)
{
	char error[CONF_ERROR_BYTES_MAX];
	conf_init(conf);
	if (options_read_ini(conf, CONF_ALL, path, error) == 0)
		return 0;
	fprintf(stderr, "stria-admin: %s\n", error);
	return 2;
}

int main(int argc, char **argv)
{
	enum { OPT_MGS = 256, OPT_CONFIG, OPT_TIMEOUT, OPT_JSON, OPT_DRY_RUN, OPT_YES };
	static const struct option options[] = {
		{"mgs", required_argument, NULL, OPT_MGS},   {"config", required_argument, NULL, OPT_CONFIG},
		{"timeout", required_argument, NULL, OPT_TIMEOUT}, {"json", no_argument, NULL, OPT_JSON},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN}, {"yes", no_argument, NULL, OPT_YES},
		{"help", no_argument, NULL, 'h'},            {"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	static struct conf conf; /* too large for the stack's taste */
	struct job job = {.admin = {.timeout_ns = 5 * NS_PER_S}};
	const char *mgs = getenv("STRIA_MGS");
	enum { WORDS_MAX = 8 };
	char *words[WORDS_MAX + 1] = {NULL};
	int count = 0;
	for (;;) {
		int c = getopt_long(argc, argv, "+hV", options, NULL);
		if (c == -1) { /* a word, or the end; options may stand behind words, but what follows `format` is the daemon's */
			if (optind < argc && count == 0 && strcmp(argv[optind], "format") == 0)
				return format(argc - optind, argv + optind, job.admin.dry_run);
			if (optind >= argc || count == WORDS_MAX)
				break;
			words[count++] = argv[optind++];
			continue;
		}
		switch (c) {
		case OPT_MGS:
			mgs = optarg;
			break;
		case OPT_CONFIG:
			if (mgs_from_file(optarg, &conf) != 0)
				return 2;
			mgs = conf.mgs.text[0] != '\0' ? conf.mgs.text : mgs;
			break;
		case OPT_TIMEOUT:
			if (conf_parse_time(str_of(optarg), &job.admin.timeout_ns) < 0 || job.admin.timeout_ns == 0)
				return usage_error("is not a time (like 500ms, 30s)", optarg);
			break;
		case OPT_JSON:
			job.admin.json = true;
			break;
		case OPT_DRY_RUN:
			job.admin.dry_run = true;
			break;
		case OPT_YES:
			job.admin.yes = true;
			break;
		case 'h':
			return fputs(help, stdout) < 0;
		case 'V':
			return printf("stria-admin %s\n", STRIA_VERSION) < 0;
		default:
			return 2; /* getopt_long has said why */
		}
	}
	job.argc = count;
	job.argv = words;
	int status = check_words(job.argc, job.argv);
	if (status != 0)
		return status;
	job.admin.mgs = mgs != NULL && mgs[0] != '\0' ? mgs : MGS_DEFAULT;
	io_signals_block();
	return run_job(&job);
}
