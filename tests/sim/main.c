/* SPDX-License-Identifier: Apache-2.0
 * stria-sim: runs seeds, prints what they covered, and how to run the one that failed again. */
#include "tests/sim/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAFETY_S_DEFAULT = 6, SAFETY_S_HISTORY = 20 /* mounts are evicted after 4, and what they left is looked at */ };

struct options {
	uint64_t seed, count, minutes, safety_s, clients;
	bool trace, kind, need_coverage, twice, steps, go_on, history, history_only, uncached, names_only;
};

static const char help[] =
	"stria-sim: all of Stria in one process, on virtual time, with faults drawn from a seed\n"
	"\n"
	"  --seed N         the first seed (1)\n"
	"  --seeds COUNT    run that many, one after the other (1)\n"
	"  --minutes M      or as many as fit in that time\n"
	"  --safety S       virtual seconds of faults in each (6; 20 with --history)\n"
	"  --kind           no faults at all\n"
	"  --clients N      that many mounts, 1 to 4 (2 or 3, as the seed has it)\n"
	"  --uncached       kernels cache nothing: what clients and servers do without that\n"
	"  --names-only     with --history: of names in a directory, not of what is in files\n"
	"  --history        record what several mounts do to the same files, and judge whether it is linearizable\n"
	"  --history-only   with --history: nothing else is done, so that nothing else finds a bug first\n"
	"  --go-on          run the other seeds even if one fails\n"
	"  --trace          print the history as it happens\n"
	"  --steps          print crashes in each step of each operation\n"
	"  --twice          run each seed twice; fail if the digests differ\n"
	"  --need-coverage  fail if something named in the table never happened\n"
	"  --help           this\n"
	"\n"
	"Exit status: 0 all seeds are clean, 1 one is not, 2 wrong usage.\n";

/* What 200 seeds must have met at least once each. */
struct row {
	const char *name;
	uint64_t count;
	bool needed;
};

static void rows_print(const struct row *rows, size_t count, bool *ret_complete)
{
	for (size_t i = 0; i < count; i++) {
		printf("  %10llu  %s%s\n", (unsigned long long)rows[i].count, rows[i].name, rows[i].needed && rows[i].count == 0 ? "  <- never" : "");
		*ret_complete = *ret_complete && (!rows[i].needed || rows[i].count > 0);
	}
}

static void coverage_print(const struct cluster_coverage *coverage, bool *ret_complete)
{
	const struct mds_counters *mds = &coverage->mds;
	const struct client_counters *client = &coverage->client;
	const struct world_counts *world = &coverage->world;
	bool reads_much = coverage->history.checked > 0; /* on several mounts at once */
	const struct row rows[] = {
		{"servers crashed", coverage->server_crashes, true},
		{"crashes at a chosen step", coverage->step_crashes, true},
		{"clients crashed", coverage->client_crashes, true},
		{"processes killed, machine going on", coverage->stops, true},
		{"processes frozen", coverage->freezes, true},
		{"one-way cuts", coverage->cuts, true},
		{"full disks", coverage->full_spells, true},
		{"clock jumps", coverage->clock_jumps, true},
		{"messages lost", world->messages_lost, true},
		{"messages twice", world->messages_dup, true},
		{"messages out of order", world->messages_reordered, true},
		{"messages cut off", world->messages_cut, true},
		{"RMA late", world->rma_late, true},
		{"RMA lost", world->rma_lost, true},
		{"RMA refused: region closed", world->rma_region_closed, false},
		{"regions or connections closed under an RMA", world->regions_closed_in_flight, true},
		{"disk writes undone by a crash", world->disk_writes_undone, true},
		{"disk writes torn by a crash", world->disk_writes_torn, true},
		{"kv batches undone by a crash", world->kv_batches_undone, true},
		{"commits torn: durable, but never answered", world->kv_survived_unanswered, true},
		{"replies from records", mds->replies_from_records, true},
		{"replies from records of an earlier boot", mds->replies_recovered, true},
		{"duplicates joined", mds->duplicates_joined, true},
		{"late copies dropped", mds->late_copies + coverage->ost.late_copies, true},
		{"evictions", mds->evictions, true},
		{"orphans made", mds->orphans_made, true},
		{"orphans purged", mds->orphans_purged, true},
		{"orphans that got a name", mds->orphans_named, true},
		{"open ones that lost their name", coverage->outlived, true},
		{"purges done", mds->purges_done, true},
		{"truncate intents replayed", mds->truncate_intents_replayed, true},
		{"writers lost, sizes asked from objects", mds->lost_writers_resolved, true},
		{"names of equal hash", mds->hash_collisions, true},
		{"opens reclaimed", mds->reclaims, true},
		{"grace refusals", mds->grace_refusals, true},
		{"sizes of before a truncation ignored", mds->stale_sizes, false},
		{"calls repeated", client->resends, true},
		{"verifiers changed", client->verifiers_changed, true},
		{"replays sent", client->replays_sent, true},
		{"regions closed late (bulk cut)", client->bulk_cut, true},
		{"sizes asked by clients", client->glimpses, true},
		{"mounts evicted", client->evicted, true},
		{"objects made stable because their writer was evicted", coverage->ost.evicted_commits, true},
		{"attributes, names, lists from leases", client->attr_hits + client->name_hits + client->list_hits, true},
		{"opens by a lease, without a call", client->open_hits, true},
		{"of these told later", client->opens_told, true},
		{"bytes written behind", client->behind_bytes, true},
		{"extents sent", client->behind_flushes, true},
		{"writers that waited for room", client->behind_waits, true},
		{"reads of what waits to be written", client->behind_reads, true},
		{"bytes read ahead", client->ahead_bytes, true},
		{"reads that found all they wanted there", client->ahead_hits, true},
		{"bytes copied by mounts", client->copied_bytes - client->copied_on_servers, true},
		{"bytes copied from object to object", client->copied_on_servers, true},
		{"of these read from other OSTs", coverage->ost.copied_far_bytes, true},
		{"copies whose source did not answer", coverage->ost.sources_away, true},
		{"leases recalled while a copy got the other", client->copies_crossed, false},
		{"leases asked back", client->recalls, true},
		{"of these in the middle of a read into pages", client->recalls_crossed_read, reads_much},
		{"of these in the middle of a question about a name", client->recalls_crossed_lookup, true},
		{"grants that a recall overtook", client->grants_void, true},
		{"recalls that waited for times to run down", client->timeouts_run_down, true},
		{"recalls that moved the kernel's epoch", client->epochs, true},
		{"pages dropped", client->page_invalidations, true},
		{"pages dropped again, as a read had come meanwhile", client->page_invalidations_again, reads_much},
		{"attributes still on their way to the kernel", client->attrs_on_their_way, true},
		{"sizes that the kernel was made to take in", client->sizes_settled, true},
		{"calls ended by signals, or by soft mounts", client->interrupted, true},
	};
	rows_print(rows, ARRAY_COUNT(rows), ret_complete);
}

static void locks_print(const struct cluster_coverage *coverage, bool *ret_complete)
{
	const struct mds_counters *mds = &coverage->mds;
	const struct client_counters *client = &coverage->client;
	const struct row rows[] = {
		{"locks granted", coverage->locks.granted, true},
		{"locks refused", coverage->locks.refused, true},
		{"locks waited for", coverage->locks.waits, true},
		{"locks granted after a wait", mds->locks_after_wait, true},
		{"waits for locks interrupted", coverage->locks.interrupted, true},
		{"grants that nobody waited for any more", client->locks_granted_late, true},
		{"deadlocks told", coverage->locks.deadlocks, true},
		{"locks reclaimed", mds->locks_reclaimed, true},
		{"owners whose locks an eviction took", client->locks_lost, true},
		{"clashes with mounts that were evicted later", coverage->locks.clashes, false},
	};
	rows_print(rows, ARRAY_COUNT(rows), ret_complete);
}

static void histories_print(const struct cluster_coverage *coverage, bool *ret_complete)
{
	const struct row rows[] = {
		{"histories judged", coverage->history.checked, true},
		{"operations in them", coverage->history.ops, true},
		{"operations that never returned", coverage->history.lost, true},
		{"objects judged up to a write that may be half there", coverage->history.cut, true},
		{"reads of mappings", coverage->history.mapped, true},
		{"writes without fsync", coverage->history.unsaved, true},
		{"writes under way that an eviction ended", coverage->history.ended, true},
		{"crashes that may undo what was lost with a mount", coverage->history.undone, false},
		{"mounts isolated in the middle of a write", coverage->isolations, true},
		{"MDT crashes that one mount does not hear of", coverage->deaf, true},
		{"steps of the longest search", coverage->history.steps_max, true},
	};
	rows_print(rows, ARRAY_COUNT(rows), ret_complete);
}

static void steps_print(const struct cluster_step *steps)
{
	printf("crashes in steps of operations:\n");
	for (unsigned i = 0; i < CLUSTER_STEPS_MAX && steps[i].op != NULL; i++)
		printf("  %6llu  %s/%s\n", (unsigned long long)steps[i].crashes, steps[i].op, steps[i].step);
}

static bool number_read(const char *text, uint64_t *ret_number)
{
	char *end;
	errno = 0;
	unsigned long long number = text != NULL ? strtoull(text, &end, 0) : 0;
	if (text == NULL || text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return false;
	*ret_number = number;
	return true;
}

static bool options_read(int argc, char **argv, struct options *ret_options)
{
	struct options *options = ret_options;
	*options = (struct options){.seed = 1, .count = 1};
	const struct {
		const char *name;
		uint64_t *number;
		bool *flag;
	} known[] = {
		{"--seed", &options->seed, NULL}, {"--seeds", &options->count, NULL}, {"--minutes", &options->minutes, NULL},
		{"--safety", &options->safety_s, NULL}, {"--clients", &options->clients, NULL}, {"--history", NULL, &options->history},
		{"--uncached", NULL, &options->uncached}, {"--names-only", NULL, &options->names_only},
		{"--history-only", NULL, &options->history_only},
		{"--trace", NULL, &options->trace}, {"--kind", NULL, &options->kind},
		{"--twice", NULL, &options->twice},
		{"--go-on", NULL, &options->go_on}, {"--steps", NULL, &options->steps}, {"--need-coverage", NULL, &options->need_coverage},
	};
	for (int i = 1; i < argc; i++) {
		size_t at = 0;
		while (at < ARRAY_COUNT(known) && strcmp(argv[i], known[at].name) != 0)
			at++;
		if (at == ARRAY_COUNT(known)) {
			(void)fprintf(stderr, "stria-sim: %s: no such option; --help names them all\n", argv[i]);
			return false;
		}
		if (known[at].flag != NULL) {
			*known[at].flag = true;
		} else if (!number_read(argv[++i], known[at].number)) {
			(void)fprintf(stderr, "stria-sim: %s wants a number\n", known[at].name);
			return false;
		}
	}
	if (options->safety_s == 0)
		options->safety_s = options->history ? SAFETY_S_HISTORY : SAFETY_S_DEFAULT;
	return true;
}

/* What, besides its seed, makes a run what it is. */
static void how_print(const struct options *options)
{
	printf(" --safety %llu%s%s%s%s%s", (unsigned long long)options->safety_s, options->kind ? " --kind" : "",
	       options->history ? " --history" : "", options->history_only ? " --history-only" : "", options->uncached ? " --uncached" : "",
	       options->names_only ? " --names-only" : "");
	if (options->clients > 0)
		printf(" --clients %llu", (unsigned long long)options->clients);
}

/* Whether it was clean. */
static bool seed_run(const struct options *options, uint64_t seed, struct cluster_coverage *coverage, struct cluster_step *steps)
{
	struct cluster_opts opts = {.seed = seed, .safety_ns = options->safety_s * NS_PER_S, .trace = options->trace, .kind = options->kind,
				    .clients = options->clients, .history = options->history, .uncached = options->uncached,
				    .names_only = options->names_only, .history_only = options->history_only};
	char failure[512];
	uint64_t digest, again;
	const char *what = cluster_run(&opts, coverage, steps, failure, &digest);
	if (what == NULL && options->twice) {
		what = cluster_run(&opts, coverage, steps, failure, &again);
		if (what == NULL && again != digest)
			what = "a second run had another history";
	}
	if (what == NULL) {
		printf("seed %llu digest %016llx\n", (unsigned long long)seed, (unsigned long long)digest);
	} else {
		printf("seed %llu FAILED: %s\n", (unsigned long long)seed, what);
		printf("again: stria-sim --seed %llu", (unsigned long long)seed);
		how_print(options);
		printf(" --trace\n");
	}
	(void)fflush(stdout); /* a person looks on */
	return what == NULL;
}

static uint64_t wall_s(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (uint64_t)now.tv_sec;
}

/* What is counted over all runs; shared with the processes that --go-on makes, one for each, so that none leaves anything to the next. */
struct sums {
	struct cluster_coverage coverage;
	struct cluster_step steps[CLUSTER_STEPS_MAX];
};

static bool seed_run_apart(const struct options *options, uint64_t seed, struct sums *sums)
{
	int status = 0;
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(seed_run(options, seed, &sums->coverage, sums->steps) ? 0 : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("stria-sim");
		return false;
	}
	if (WIFSIGNALED(status))
		printf("seed %llu FAILED: signal %d\n", (unsigned long long)seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	struct options options;
	bool complete = true;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(help, stdout);
		return 0;
	}
	if (!options_read(argc, argv, &options))
		return 2;
	printf("stria-sim --seed %llu --seeds %llu --minutes %llu", (unsigned long long)options.seed, (unsigned long long)options.count,
	       (unsigned long long)options.minutes);
	how_print(&options);
	printf("\n");
	struct sums *sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sums == MAP_FAILED) {
		perror("stria-sim");
		return 1;
	}
	const struct cluster_coverage *coverage = &sums->coverage;
	uint64_t start_s = wall_s(), done = 0, failed = 0;
	while ((failed == 0 || options.go_on) && (options.minutes > 0 ? wall_s() - start_s < options.minutes * 60 : done < options.count)) {
		bool good = options.go_on ? seed_run_apart(&options, options.seed + done, sums) :
					    seed_run(&options, options.seed + done, &sums->coverage, sums->steps);
		failed += !good;
		done++;
	}
	printf("%llu runs, %llu failed, %llu virtual seconds, %llu operations, %llu of them shared\n", (unsigned long long)done,
	       (unsigned long long)failed, (unsigned long long)(coverage->virtual_ns / NS_PER_S),
	       (unsigned long long)(coverage->ops + coverage->shared_ops), (unsigned long long)coverage->shared_ops);
	coverage_print(coverage, &complete);
	locks_print(coverage, &complete);
	if (options.history)
		histories_print(coverage, &complete);
	if (options.steps)
		steps_print(sums->steps);
	if (failed == 0 && options.need_coverage && !complete)
		printf("FAILED: something that must happen never did\n");
	return failed == 0 && (!options.need_coverage || complete) ? 0 : 1;
}
