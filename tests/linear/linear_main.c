/* SPDX-License-Identifier: Apache-2.0
 * linear: histories of real mounts. One process of each mount works, one looks at the end, and one judges; tests/e2e/linear.sh does all of it. */
#include "common/base/bytes.h"
#include "tests/linear/log.h"
#include "tests/linear/work.h"

#include <errno.h>
#include <stdio.h>

static const char help[] =
	"linear: whether several mounts look like one\n"
	"\n"
	"  linear now                      the time, as --start wants it\n"
	"  linear work --dir D --log F --worker I --workers N --seed S --start NS --round-ms MS --rounds R [--locks 1]\n"
	"                                  does operations below D until the rounds are over, and logs them\n"
	"  linear look --dir D --log F --rounds R\n"
	"                                  looks at everything once, afterwards\n"
	"  linear judge LOG…               whether what the logs say is linearizable: exits 0, or 1 if it is not\n";

static bool options_read(int argc, char **argv, struct work_opts *opts)
{
	uint64_t locks = 0;
	const struct {
		const char *name;
		const char **text;
		uint64_t *number;
	} known[] = {
		{"--dir", &opts->dir, NULL}, {"--log", &opts->log, NULL},
		{"--worker", NULL, &opts->worker}, {"--workers", NULL, &opts->workers},
		{"--seed", NULL, &opts->seed}, {"--start", NULL, &opts->start_ns}, {"--round-ms", NULL, &opts->round_ms},
		{"--rounds", NULL, &opts->rounds}, {"--locks", NULL, &locks},
	};
	*opts = (struct work_opts){.workers = 1, .round_ms = 1000, .rounds = 1};
	for (int i = 2; i < argc; i += 2) {
		size_t at = 0;
		while (at < ARRAY_COUNT(known) && strcmp(argv[i], known[at].name) != 0)
			at++;
		if (at == ARRAY_COUNT(known) || i + 1 == argc) {
			(void)fprintf(stderr, "linear: %s: no such option, or no value; --help names them all\n", argv[i]);
			return false;
		}
		if (known[at].text != NULL)
			*known[at].text = argv[i + 1];
		else
			*known[at].number = strtoull(argv[i + 1], NULL, 10);
	}
	opts->locks = locks != 0;
	if (opts->dir == NULL || opts->log == NULL || opts->workers == 0 || opts->worker >= opts->workers ||
	    opts->workers > LINEAR_RECORDS_MAX || opts->round_ms == 0) {
		(void)fprintf(stderr, "linear: --dir and --log are needed, and --worker below --workers (%d at most)\n", LINEAR_RECORDS_MAX);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct work_opts opts;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(help, stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "now") == 0) {
		printf("%llu\n", (unsigned long long)work_now_ns());
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "judge") == 0)
		return log_judge(argv + 2, (unsigned)(argc - 2));
	bool looks = argc > 1 && strcmp(argv[1], "look") == 0;
	if (argc < 2 || (!looks && strcmp(argv[1], "work") != 0)) {
		(void)fputs(help, stderr);
		return 2;
	}
	if (!options_read(argc, argv, &opts))
		return 2;
	int rc = looks ? work_look(&opts) : work_run(&opts);
	if (rc < 0)
		(void)fprintf(stderr, "linear: %s: %s\n", opts.dir, strerror(-rc));
	return rc < 0 ? 1 : 0;
}
