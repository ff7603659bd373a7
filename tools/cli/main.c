/* SPDX-License-Identifier: Apache-2.0
 * stria: chooses the verb; what all verbs share. */
#include "tools/cli/cli.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct cli cli;

static const struct verb verbs[] = {
	{"setstripe", "[OPTION…] FILE|DIR…", "create files with a layout, or set the default layout of a directory",
	 "  -c, --stripe-count N   OSTs to stripe over; 0 default, -1 all\n"
	 "  -S, --stripe-size N    bytes on one OST before the next (K, M, G); a multiple of 64K; 0 default\n"
	 "  -i, --stripe-index N   first OST; -1 chosen by the MDS\n"
	 "  -o, --ost LIST         exactly these OSTs, like 1,3-5\n"
	 "  -d, --delete           remove the default layout of a directory\n",
	 verb_setstripe},
	{"getstripe", "[OPTION…] FILE|DIR…", "show where the data of files is",
	 "  -c, --stripe-count     only the number of stripes\n"
	 "  -S, --stripe-size      only the stripe size\n"
	 "  -i, --stripe-index     only the first OST\n"
	 "  -L, --layout           only the pattern\n"
	 "  -g, --generation       only the layout generation\n"
	 "  -m, --mdt-index        only the MDT of the inode\n"
	 "  -F, --fid              only the FID\n"
	 "  -I, --component-id, -E, --component-end, -p, --pool, -N, --mirror-count\n"
	 "  -O, --ost INDEX        only files with an object on that OST\n"
	 "  -d, --directory        the directory itself, not what is in it\n"
	 "  -D, --default          its default layout\n"
	 "  -r, --recursive        everything below\n"
	 "  -R, --raw              as it is stored, 0 for defaults\n"
	 "  -q, --quiet            only the objects;  -v, --verbose  everything;  -y, --yaml  as YAML\n"
	 "      --hex-idx          OST numbers in hexadecimal\n"
	 "      --no-follow        a symbolic link itself\n",
	 verb_getstripe},
	{"mkdir", "[OPTION…] DIR…", "create directories on a chosen MDT",
	 "  -i, --mdt-index N      the MDT; -1 chosen by Stria\n"
	 "  -c, -T, --mdt-count N  directory stripes; 1\n"
	 "  -H, --mdt-hash NAME    accepted; names have one order here\n"
	 "  -o, --mode MODE        permission bits, octal\n",
	 verb_mkdir},
	{"setdirstripe", "[OPTION…] DIR…", "the same as mkdir", NULL, verb_mkdir},
	{"getdirstripe", "[OPTION…] DIR…", "show which MDTs hold directories",
	 "  -c, -T, --mdt-count    only the number of stripes\n"
	 "  -i, -m, --mdt-index    only the first MDT\n"
	 "  -H, --mdt-hash         only the hash\n"
	 "  -F, --fid              only the FID\n"
	 "  -D, --default          the default for directories below\n"
	 "  -r, --recursive        directories below too\n",
	 verb_getdirstripe},
	{"df", "[OPTION…] [PATH]", "space or inodes of each target",
	 "  -h, --human-readable   like 8.7G;  -H, --si  in powers of 1000\n"
	 "  -i, --inodes           inodes instead of bytes\n"
	 "  -l, --lazy             leave out targets that do not answer\n"
	 "  -m, --mdt[=INDEX], -o, --ost[=INDEX]  only these\n"
	 "  -N, --no-header;  -s, --only-summary;  -v, --verbose\n"
	 "  -u, --output FIELDS    columns in this order: uuid,total,used,avail,pcent,mount\n",
	 verb_df},
	{"osts", "[PATH]", "list the OSTs", NULL, verb_osts},
	{"mdts", "[PATH]", "list the MDTs", NULL, verb_mdts},
	{"check", "mgts|osts|mdts|all [PATH]", "do the targets answer this client? exits 1 if one does not", NULL, verb_check},
	{"getname", "[-i|-n|-u] [PATH…]", "name and instance of the mounts",
	 "  -i, --instance         only the instance\n"
	 "  -n, --fsname           only the name of the file system\n"
	 "  -u, --uuid             the client's id\n",
	 verb_getname},
	{"stats", "[PATH]", "count what a mount was asked, and what it asked servers", NULL, verb_stats},
	{"path2fid", "[--parents] PATH…", "the FID of files", "      --parents          the FID of the parent directory and the name\n", verb_path2fid},
	{"fid2path", "[OPTION…] MOUNT FID…", "every path of a FID",
	 "  -0, --print0           end paths with NUL\n"
	 "  -f, --print-fid        the FID before each path\n"
	 "  -c, --print-link       the number of the link before each path\n"
	 "  -l, --link N           only the Nth link, from 0\n"
	 "  -n, --name             only the last name of each path\n",
	 verb_fid2path},
	{"locks", "[OPTION…] FILE…", "who holds locks on files and who waits for one",
	 "  -w, --waiting          only those that wait\n"
	 "  -N, --no-header        without the line of titles\n",
	 verb_locks},
};

static void print_verb_help(const struct verb *verb)
{
	const char *options = verb->options;
	if (strcmp(verb->name, "setdirstripe") == 0)
		options = verbs[2].options;
	printf("Usage: stria %s %s\n%s\n\n%s"
	       "      --json             answer as JSON\n"
	       "      --timeout SECONDS  give up after that long\n"
	       "      --help             this text\n",
	       verb->name, verb->words, verb->summary, options != NULL ? options : "");
}

static int print_help(void)
{
	printf("Usage: stria VERB [OPTION…] …\n\n");
	for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
		printf("  %-13s %s\n", verbs[i].name, verbs[i].summary);
	printf("\nstria VERB --help shows a verb's options. Also: --version, --list-commands.\n");
	return 0;
}

bool cli_common_option(int option, bool *ret_done)
{
	switch (option) {
	case OPT_JSON:
		cli.json = true;
		return true;
	case OPT_TIMEOUT: /* main has seen to it */
		return true;
	case OPT_HELP:
		print_verb_help(cli.verb);
		*ret_done = true;
		return true;
	default:
		return false;
	}
}

int cli_fail(const char *subject, int rc, const char *advice)
{
	fprintf(stderr, "stria: %s: %s: %s%s%s\n", cli.verb->name, subject, err_text(rc), advice != NULL ? "; " : "", advice != NULL ? advice : "");
	return 1;
}

int cli_usage(const char *format, ...)
{
	va_list args;
	fprintf(stderr, "stria: %s: ", cli.verb->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": see stria %s --help\n", cli.verb->name);
	return 2;
}

int cli_print_json(json_t *json)
{
	int rc = json_dumpf(json, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(json);
	return rc == 0 ? 0 : 1;
}

int cli_parse_number(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
	char *end = NULL;
	errno = 0;
	long long value = strtoll(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
		return fail(EINVAL);
	*ret_value = value;
	return 0;
}

int cli_parse_size(const char *text, uint64_t *ret_bytes)
{
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || text[0] < '0' || text[0] > '9')
		return fail(EINVAL);
	static const char units[] = "KMGTPE";
	const char *unit = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
	if (*end != '\0' && (unit == NULL || end[1] != '\0'))
		return fail(EINVAL);
	uint64_t factor = unit != NULL ? KIB << (10 * (unit - units)) : value < 4096 ? KIB : 1;
	uint64_t bytes = 0;
	if (__builtin_mul_overflow((uint64_t)value, factor, &bytes))
		return fail(EINVAL);
	*ret_bytes = bytes;
	return 0;
}

int cli_parse_list(const char *text, uint32_t limit, uint16_t *values, int max)
{
	int count = 0;
	for (;;) {
		char *end = NULL;
		if (*text < '0' || *text > '9')
			return fail(EINVAL);
		unsigned long first = strtoul(text, &end, 0), last = first;
		if (*end == '-') {
			text = end + 1;
			if (*text < '0' || *text > '9')
				return fail(EINVAL);
			last = strtoul(text, &end, 0);
		}
		if (last >= limit || first > last || last - first >= (unsigned long)(max - count))
			return fail(EINVAL);
		for (unsigned long value = first; value <= last; value++)
			values[count++] = (uint16_t)value;
		if (*end == '\0')
			return count;
		if (*end != ',' || count == max)
			return fail(EINVAL);
		text = end + 1;
	}
}

/* Run the verb in a child, and end it when the time is over: a request to a mount that hangs can only be ended from outside. */
static int run_with_timeout(const struct verb *verb, int argc, char **argv, unsigned seconds)
{
	pid_t pid = fork();
	if (pid < 0)
		return cli_fail("fork", -errno, NULL);
	if (pid == 0)
		exit(verb->run(argc, argv));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	struct timespec limit = {.tv_sec = (time_t)seconds};
	int status = 0;
	if (waitpid(pid, &status, WNOHANG) == 0 && sigtimedwait(&set, NULL, &limit) < 0) {
		(void)kill(pid, SIGKILL); /* our own child */
		fprintf(stderr, "stria: %s: no answer within %u s: the mount waits for a target; `stria-admin health` and its log tell for which\n", verb->name,
			seconds);
		return 124;
	}
	if (status == 0 && waitpid(pid, &status, 0) < 0)
		status = 0; /* it was collected above */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* check tells of targets that are away: it must not wait for one itself, which the kernel makes it do for the MDT of the mount's root. */
enum { CHECK_TIMEOUT_S = 15 };

/* The value of --timeout anywhere in argv; 0: none, -1: a bad one. */
static long find_timeout(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value = NULL;
		if (strncmp(argv[i], "--timeout=", 10) == 0)
			value = argv[i] + 10;
		else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc)
			value = argv[i + 1];
		int64_t seconds = 0;
		if (value != NULL)
			return cli_parse_number(value, 1, 86400, &seconds) < 0 ? -1 : (long)seconds;
	}
	return 0;
}

static int unknown_verb(const char *name)
{
	fprintf(stderr, "stria: '%.80s' is no verb: stria --help lists them\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "stria: a verb was expected: stria --help lists them\n");
		return 2;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2))
		return print_help();
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return printf("stria %s\n", STRIA_VERSION) < 0;
	if (strcmp(name, "--list-commands") == 0) {
		for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
			printf("%s\n", verbs[i].name);
		return 0;
	}
	bool is_help = strcmp(name, "help") == 0;
	if (is_help)
		name = argv[2];
	for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
		if (strcmp(name, verbs[i].name) != 0)
			continue;
		cli.verb = &verbs[i];
		if (is_help) {
			print_verb_help(cli.verb);
			return 0;
		}
		static char spoken[40]; /* getopt's messages begin with it */
		(void)snprintf(spoken, sizeof(spoken), "stria: %s", name);
		long timeout = find_timeout(argc, argv);
		argv[1] = spoken;
		if (timeout == 0 && strcmp(name, "check") == 0)
			timeout = CHECK_TIMEOUT_S;
		if (timeout < 0)
			return cli_usage("--timeout: a number of seconds from 1 to 86400 was expected");
		if (timeout == 0)
			return verbs[i].run(argc - 1, argv + 1);
		sigset_t set; /* before fork, so that its end is not missed */
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		(void)sigprocmask(SIG_BLOCK, &set, NULL); /* fails for bad arguments only */
		return run_with_timeout(cli.verb, argc - 1, argv + 1, (unsigned)timeout);
	}
	return unknown_verb(name);
}
