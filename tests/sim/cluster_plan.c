/* SPDX-License-Identifier: Apache-2.0
 * What befalls the cluster in the safety phase. All of it must be survived: nothing that was acknowledged is lost or done twice, and when
 * it is over, everything goes on.
 *
 *   messages        lost with their connection, late, twice, out of order as far as the net seam's contract allows; connects refused or
 *                   lost; RMA that lands late or never
 *   one-way cuts    between any two processes, from a moment to longer than a lease (the client is evicted)
 *   crashes         of any process at any park point, biased to steps of operations where few have happened; kv batches and disk writes
 *                   that were not synced survive in part; kills of the process alone, with its machine going on
 *   frozen          processes stand still, up to longer than a lease
 *   disks           slow, and now and then slower than a caller waits, so that its second copy is answered first; full for a while, on
 *                   OSTs, but not while one recovers: what its crash lost and a full disk then refuses is lost, and told at the next fsync
 *                   or close, which the oracle could not tell from silence
 *   clocks          real time jumps both ways
 *   isolation       with --history: a mount in the middle of a write to objects is cut off from everybody until it is evicted, and reaches OSTs
 *                   again before it reaches the MDT, or what it had sent them arrives then; or the MDT crashes, and one mount cannot reach it for a while
 *   signals         for all programs of a mount, which make their calls again; the same with the end of a soft mount's patience
 *
 * A client's crash loses what it had not fsynced, and its programs: the oracle knows. An evicted mount counts as crashed. */
#include "tests/sim/cluster.h"
#include "common/base/check.h"
#include "common/core/task.h"
#include "tests/sim/seam.h"

#include <stdio.h>

enum event_kind {
	EVENT_SERVER_CRASH, EVENT_STEP_CRASH, EVENT_CLIENT_CRASH, EVENT_STOP, EVENT_FREEZE, EVENT_CUT, EVENT_LONG_CUT, EVENT_FULL, EVENT_CLOCK,
	EVENT_ALL_CRASH, EVENT_SIGNAL, EVENT_EXPIRY, EVENT_ISOLATE, EVENT_DEAF, EVENT_KINDS,
};
static const unsigned event_weights[EVENT_KINDS] = {12, 40, 5, 8, 6, 12, 2, 5, 4, 3, 15, 5};
/* Fewer crashes, and more of what makes mounts believe what is true no more; in calm runs little else, so that much is done. */
static const unsigned history_weights[EVENT_KINDS] = {6, 16, 6, 4, 10, 10, 6, 3, 4, 2, 10, 5, 14, 14};
static const unsigned calm_weights[EVENT_KINDS] = {2, 4, 4, 2, 8, 4, 6, 0, 4, 0, 4, 2, 30, 20};
static const uint64_t write_look_ns = 5 * NS_PER_MS;
enum { WRITE_LOOKS_MAX = 200, STEP_LOOKS_MAX = 400, EVENT_GAP_MS_MAX = 900, HISTORY_GAP_MS_MAX = 4000 /* else everything is always recovering */ };

struct looking {
	struct cluster *cluster;
	struct process *process;
	unsigned looks;
	struct cluster_step *rarest;
};

static struct process *server_draw(struct cluster *cluster)
{
	return rng_chance(&cluster->rng, 500000) ? &cluster->mds : &cluster->osts[rng_below(&cluster->rng, cluster->ost_count)];
}

static struct process *process_draw(struct cluster *cluster)
{
	return cluster_process(cluster, (unsigned)rng_below(&cluster->rng, 1 + cluster->ost_count + cluster->client_count));
}

static uint64_t some_ms(struct cluster *cluster, uint64_t least, uint64_t most)
{
	return rng_range(&cluster->rng, least, most) * NS_PER_MS;
}

static bool can_crash(const struct process *process)
{
	return !process->cluster->healing && process->serving && sim_node_is_up(process->node);
}

/* ---- crashes -------------------------------------------------------------------------------------------------- */

static struct cluster_step *step_find(struct cluster *cluster, const char *op, const char *step)
{
	for (unsigned i = 0; i < CLUSTER_STEPS_MAX; i++) {
		struct cluster_step *at = &cluster->steps[i];
		if (at->op == NULL)
			*at = (struct cluster_step){.op = op, .step = step};
		if (strcmp(at->op, op) == 0 && strcmp(at->step, step) == 0)
			return at;
	}
	return NULL;
}

static void step_count_crash(void *ctx, struct task *task)
{
	struct cluster_step *step = task_op(task)[0] != '\0' ? step_find(ctx, task_op(task), task_step(task)) : NULL;
	if (step != NULL)
		step->crashes++;
}

static void crash(struct cluster *cluster, struct process *process)
{
	bool is_client = process->kind == PROCESS_CLIENT;
	loop_each_task(sim_node_loop(process->node), step_count_crash, cluster);
	++*(is_client ? &cluster->coverage->client_crashes : &cluster->coverage->server_crashes);
	process_crash(process);
	process_boot_later(process, rng_chance(&cluster->rng, 700000) ? some_ms(cluster, 1, 500) : some_ms(cluster, 500, 3000));
}

static void crash_if_up(void *arg)
{
	struct process *process = arg;
	if (can_crash(process))
		crash(process->cluster, process);
}

static void look_at(void *ctx, struct task *task)
{
	struct looking *looking = ctx;
	struct cluster_step *step = task_op(task)[0] != '\0' ? step_find(looking->cluster, task_op(task), task_step(task)) : NULL;
	if (step == NULL)
		return;
	step->seen++;
	if (looking->rarest == NULL || step->crashes < looking->rarest->crashes)
		looking->rarest = step;
}

/* Looks at what the process is doing after every few events, and crashes it the sooner, the fewer crashes that step has seen. */
static void look(void *arg)
{
	struct looking *looking = arg;
	struct cluster *cluster = looking->cluster;
	looking->rarest = NULL;
	bool can = can_crash(looking->process);
	if (can)
		loop_each_task(sim_node_loop(looking->process->node), look_at, looking);
	bool last = !can || ++looking->looks == STEP_LOOKS_MAX;
	unsigned chance = looking->rarest == NULL ? 0 : 200000 / (unsigned)(1 + min_u64(looking->rarest->crashes, 1000));
	if (can && (last || rng_chance(&cluster->rng, chance))) {
		cluster->coverage->step_crashes++;
		crash(cluster, looking->process);
		last = true;
	}
	if (!last) {
		world_after_events(cluster->world, 1 + rng_below(&cluster->rng, 4), look, looking);
		return;
	}
	mem_free(looking);
}

static void look_start(struct cluster *cluster, struct process *process)
{
	struct looking *looking = mem_alloc(sizeof(*looking));
	looking->cluster = cluster;
	looking->process = process;
	world_after_events(cluster->world, 1, look, looking);
}

/* ---- other events --------------------------------------------------------------------------------------------- */

static void stop(struct cluster *cluster, struct process *process)
{
	if (!can_crash(process))
		return;
	cluster->coverage->stops++;
	process_stop(process);
	process_boot_later(process, some_ms(cluster, 1, 800));
}

static void freeze(struct cluster *cluster, struct process *process)
{
	if (!can_crash(process))
		return;
	uint64_t duration_ns = rng_chance(&cluster->rng, 200000) ? some_ms(cluster, CLUSTER_LEASE_MS, 2 * CLUSTER_LEASE_MS) :
								    some_ms(cluster, 5, 1500);
	cluster->coverage->freezes++;
	sim_node_freeze(process->node, duration_ns);
}

static void cut(struct cluster *cluster, bool is_long)
{
	struct process *from = process_draw(cluster), *to = process_draw(cluster);
	uint64_t until_ns = world_now_ns(cluster->world) + (is_long ? some_ms(cluster, CLUSTER_LEASE_MS, 2 * CLUSTER_LEASE_MS) :
								      some_ms(cluster, 1, 2000));
	if (is_long) {
		from = &cluster->clients[rng_below(&cluster->rng, cluster->client_count)];
		to = &cluster->mds;
	}
	if (from == to)
		return;
	cluster->coverage->cuts++;
	world_cut(cluster->world, from->node, to->node, until_ns);
	if (rng_chance(&cluster->rng, 400000))
		world_cut(cluster->world, to->node, from->node, until_ns);
}

static void full_ends(void *arg)
{
	struct process *process = arg;
	sim_fs_set_capacity(sim_node_fs(process->node), UINT64_MAX);
}

static void full_begins(struct cluster *cluster)
{
	struct process *process = &cluster->osts[rng_below(&cluster->rng, cluster->ost_count)];
	struct sim_fs *fs = sim_node_fs(process->node);
	if (!can_crash(process) || ost_state(process->ost) != TARGET_UP)
		return;
	cluster->coverage->full_spells++;
	sim_fs_set_capacity(fs, sim_fs_used(fs) + rng_below(&cluster->rng, 300000));
	world_note(cluster->world, process->node, "its disk is full");
	world_after(cluster->world, some_ms(cluster, 50, 1500), full_ends, process);
}

static void clock_jump(struct cluster *cluster)
{
	struct process *process = process_draw(cluster);
	int64_t offset_ns = (int64_t)some_ms(cluster, 0, 7200000) - (int64_t)(3600 * NS_PER_S);
	cluster->coverage->clock_jumps++;
	sim_node_skew(process->node, (int)rng_below(&cluster->rng, 200) - 100, offset_ns);
}

static void signal_now(void *arg)
{
	struct process *client = arg;
	if (client->serving && sim_node_is_up(client->node))
		kernel_client_call_off(&client->channel, false);
}

static void expire_now(void *arg)
{
	struct process *client = arg;
	if (client->serving && sim_node_is_up(client->node))
		kernel_client_call_off(&client->channel, true);
}

/* On its own loop; a moment later, so that every step of a call is met. */
static void call_off_later(struct cluster *cluster, void (*fn)(void *arg))
{
	struct process *client = &cluster->clients[rng_below(&cluster->rng, cluster->client_count)];
	if (sim_node_is_up(client->node))
		sim_node_post(client->node, rng_below(&cluster->rng, 20 * NS_PER_MS), fn, client);
}

/* Evicted mounts are dead to their programs (kernel_client.c): what is left of them ends here. */
static void evicted_sweep(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->client_count; i++) {
		struct process *client = &cluster->clients[i];
		if (client->serving && client_counters(client->client)->evicted > 0) {
			cluster->coverage->evicted_mounts++;
			crash(cluster, client);
		}
	}
}

static void evicted_watch(void *arg)
{
	struct cluster *cluster = arg;
	if (cluster->finished)
		return;
	evicted_sweep(cluster);
	world_after(cluster->world, 100 * NS_PER_MS, evicted_watch, cluster);
}

/* ---- isolation ------------------------------------------------------------------------------------------------ */

static void cut_both(struct cluster *cluster, struct process *a, struct process *b, uint64_t duration_ns)
{
	uint64_t until_ns = world_now_ns(cluster->world) + duration_ns;
	world_cut(cluster->world, a->node, b->node, until_ns);
	world_cut(cluster->world, b->node, a->node, until_ns);
}

static void cut_from_osts(struct cluster *cluster, struct process *client, uint64_t duration_ns)
{
	for (unsigned i = 0; i < cluster->ost_count; i++)
		cut_both(cluster, client, &cluster->osts[i], duration_ns);
}

/* A mount, and what it is writing, when it is cut off. */
struct isolation {
	struct cluster *cluster;
	struct process *client;
	struct history_object *object;
	unsigned looks, same;
	bool holds; /* what it sends to OSTs arrives, all of it, mostly after its eviction; else half of it is lost, and what it repeats arrives */
	uint64_t held_until_ns;
};

static void hold_for_osts(struct isolation *isolation, uint64_t duration_ns)
{
	struct cluster *cluster = isolation->cluster;
	isolation->held_until_ns = world_now_ns(cluster->world) + duration_ns;
	for (unsigned i = 0; i < cluster->ost_count; i++)
		world_hold(cluster->world, isolation->client->node, cluster->osts[i].node, isolation->held_until_ns);
}

/* From the MDT for longer than from the OSTs: before the mount tries one of those again, it asks for the map, which takes long. */
static void isolate(struct isolation *isolation, struct history_object *object)
{
	struct cluster *cluster = isolation->cluster;
	cluster->coverage->isolations += object != NULL;
	char path[HISTORY_PATH_BYTES] = "nothing";
	if (object != NULL)
		history_path(object, 0, path);
	world_note(cluster->world, isolation->client->node, "is isolated while it writes %s", path);
	if (object != NULL)
		history_want(&cluster->workload->history, object, (CLUSTER_LEASE_MS + 1500) * NS_PER_MS);
	if (isolation->holds && object != NULL && cluster->calm)
		cluster->undisturbed_until_ns = isolation->held_until_ns + NS_PER_S;
	if (!isolation->holds)
		cut_from_osts(cluster, isolation->client, some_ms(cluster, CLUSTER_LEASE_MS + 200, CLUSTER_LEASE_MS + 1500));
	cut_both(cluster, isolation->client, &cluster->mds, some_ms(cluster, 2 * CLUSTER_LEASE_MS, 4 * CLUSTER_LEASE_MS));
}

/* A write that no OST hears of does not end: one that is there for so many looks has all else that it needs. */
static void look_for_write(void *arg)
{
	enum { SAME_LOOKS = 8 };
	struct isolation *isolation = arg;
	struct cluster *cluster = isolation->cluster;
	struct process *client = isolation->client;
	bool can = can_crash(client);
	bool sends = can && client_writes_running(client->client) > 0;
	struct history_object *object = sends ? workload_writing(cluster->workload, client->index) : NULL;
	isolation->same = object != NULL && object == isolation->object ? isolation->same + 1 : 0;
	isolation->object = object;
	if (can && isolation->same < SAME_LOOKS && ++isolation->looks < WRITE_LOOKS_MAX) {
		world_after(cluster->world, write_look_ns, look_for_write, isolation);
		return;
	}
	cluster->workload->history.writes_now[client->index] = false;
	if (can)
		isolate(isolation, object);
	mem_free(isolation);
}

static void osts_hear_no_more(void *arg)
{
	struct isolation *isolation = arg;
	struct cluster *cluster = isolation->cluster;
	if (isolation->holds)
		hold_for_osts(isolation, some_ms(cluster, CLUSTER_LEASE_MS - 1000, CLUSTER_LEASE_MS + 3500));
	else
		cut_from_osts(cluster, isolation->client, WRITE_LOOKS_MAX * write_look_ns);
	look_for_write(isolation);
}

/* First from the OSTs, so that a write is under way and does not arrive; the OSTs come back first, too: then it arrives, and others go on already. Before
 * all that its tasks begin to write: one that waits for an OST would not. */
static void isolate_start(struct cluster *cluster)
{
	struct isolation *isolation = mem_alloc(sizeof(*isolation));
	isolation->cluster = cluster;
	isolation->client = &cluster->clients[rng_below(&cluster->rng, cluster->client_count)];
	isolation->holds = rng_chance(&cluster->rng, 700000);
	cluster->workload->history.writes_now[isolation->client->index] = true;
	world_after(cluster->world, some_ms(cluster, 50, 300), osts_hear_no_more, isolation);
}

/* What it holds, it says late. */
static void deaf_now(void *arg)
{
	struct looking *looking = arg;
	struct cluster *cluster = looking->cluster;
	if (can_crash(&cluster->mds) && can_crash(looking->process)) {
		cluster->coverage->deaf++;
		cluster->coverage->server_crashes++;
		world_note(cluster->world, looking->process->node, "is deaf");
		process_crash(&cluster->mds);
		process_boot_later(&cluster->mds, some_ms(cluster, 1, 50));
		cut_both(cluster, looking->process, &cluster->mds, some_ms(cluster, 300, 2500));
	}
	mem_free(looking);
}

/* Before that, all have open, and cache, what is not saved with each write: so nobody who writes it afterwards needs the MDT for more than the lease. */
static void deaf(struct cluster *cluster)
{
	static const unsigned slots[] = {1, 4};
	struct history *history = &cluster->workload->history;
	unsigned slot = slots[rng_below(&cluster->rng, ARRAY_COUNT(slots))];
	struct looking *looking = mem_alloc(sizeof(*looking));
	looking->cluster = cluster;
	looking->process = &cluster->clients[rng_below(&cluster->rng, cluster->client_count)];
	history_want(history, history_object_now(history, slot), 3 * NS_PER_S);
	world_after(cluster->world, some_ms(cluster, 200, 600), deaf_now, looking);
}

/* ---- the plan ------------------------------------------------------------------------------------------------- */

static void event_happens(struct cluster *cluster, enum event_kind kind)
{
	switch (kind) {
	case EVENT_SERVER_CRASH:
		world_after_events(cluster->world, rng_below(&cluster->rng, 64), crash_if_up, server_draw(cluster));
		break;
	case EVENT_STEP_CRASH:
		look_start(cluster, server_draw(cluster));
		break;
	case EVENT_CLIENT_CRASH:
		world_after_events(cluster->world, rng_below(&cluster->rng, 64), crash_if_up,
				   &cluster->clients[rng_below(&cluster->rng, cluster->client_count)]);
		break;
	case EVENT_STOP:
		stop(cluster, server_draw(cluster));
		break;
	case EVENT_FREEZE:
		freeze(cluster, process_draw(cluster));
		break;
	case EVENT_CUT:
	case EVENT_LONG_CUT:
		cut(cluster, kind == EVENT_LONG_CUT);
		break;
	case EVENT_FULL:
		full_begins(cluster);
		break;
	case EVENT_CLOCK:
		clock_jump(cluster);
		break;
	case EVENT_SIGNAL:
		call_off_later(cluster, signal_now);
		break;
	case EVENT_EXPIRY:
		call_off_later(cluster, expire_now);
		break;
	case EVENT_ISOLATE:
		isolate_start(cluster);
		break;
	case EVENT_DEAF:
		deaf(cluster);
		break;
	default:
		for (unsigned i = 0; i <= cluster->ost_count; i++)
			crash_if_up(cluster_process(cluster, i));
	}
}

static void next_event(void *arg)
{
	struct cluster *cluster = arg;
	if (cluster->healing)
		return;
	unsigned total = 0, kind = 0;
	const unsigned *weights = cluster->calm ? calm_weights : cluster->opts.history ? history_weights : event_weights;
	for (unsigned i = 0; i < EVENT_KINDS; i++)
		total += weights[i];
	uint64_t at = rng_below(&cluster->rng, total);
	for (; at >= weights[kind]; kind++)
		at -= weights[kind];
	if (cluster->calm && !cluster->begun)
		kind = EVENT_ISOLATE; /* on its own: later ones meet what others have left */
	cluster->begun = true;
	if (world_now_ns(cluster->world) >= cluster->undisturbed_until_ns)
		event_happens(cluster, (enum event_kind)kind);
	uint64_t gap_ms_max = cluster->opts.history ? HISTORY_GAP_MS_MAX : EVENT_GAP_MS_MAX;
	world_after(cluster->world, some_ms(cluster, 10, gap_ms_max), next_event, cluster);
}

/* Each kind of fault is on in some runs and off in others: what hides behind a frequent one must come up, too. */
static unsigned chance_draw(struct cluster *cluster, unsigned per_million_max)
{
	return rng_chance(&cluster->rng, 500000) ? 0 : (unsigned)rng_below(&cluster->rng, per_million_max);
}

/* Mostly moments; now and then so long that a call is repeated and answered before its first copy arrives. */
static uint64_t slow_draw(struct cluster *cluster)
{
	uint64_t draw = rng_below(&cluster->rng, 20);
	return draw < 11 ? 50 * NS_PER_MS : draw < 16 ? 400 * NS_PER_MS : 8 * NS_PER_S;
}

void plan_start(struct cluster *cluster)
{
	*world_faults(cluster->world) = (struct sim_faults){
		.msg_lost = chance_draw(cluster, 10000),
		.msg_dup = chance_draw(cluster, 20000),
		.msg_reordered = chance_draw(cluster, 50000),
		.msg_slow = chance_draw(cluster, 50000),
		.conn_break = chance_draw(cluster, 5000),
		.connect_refused = chance_draw(cluster, 100000),
		.connect_lost = chance_draw(cluster, 50000),
		.send_busy = chance_draw(cluster, 20000),
		.rma_slow = chance_draw(cluster, 100000),
		.rma_lost = chance_draw(cluster, 20000),
		.slow_ns_max = slow_draw(cluster),
		.disk_slow = chance_draw(cluster, 50000),
		.read_stuck = chance_draw(cluster, 100000),
		.kv_slow = chance_draw(cluster, 50000),
		.kv_park = chance_draw(cluster, 300000),
		.crash_keeps_write = (unsigned)rng_below(&cluster->rng, 1000000),
		.crash_keeps_batch = (unsigned)rng_below(&cluster->rng, 1000000),
		.clock_jump = chance_draw(cluster, 1000),
	};
	cluster->calm = cluster->opts.history && rng_chance(&cluster->rng, 500000);
	if (cluster->calm)
		*world_faults(cluster->world) = (struct sim_faults){
			.slow_ns_max = 50 * NS_PER_MS,
			.crash_keeps_write = (unsigned)rng_below(&cluster->rng, 1000000),
			.crash_keeps_batch = (unsigned)rng_below(&cluster->rng, 1000000),
		};
	/* Something is cached when the first one comes. */
	uint64_t first_ns = cluster->opts.history ? some_ms(cluster, 500, 3000) : some_ms(cluster, 10, EVENT_GAP_MS_MAX);
	world_after(cluster->world, first_ns, next_event, cluster);
	world_after(cluster->world, 100 * NS_PER_MS, evicted_watch, cluster);
}

void plan_heal(struct cluster *cluster)
{
	struct process *process;
	world_note(cluster->world, NULL, "heal");
	*world_faults(cluster->world) = (struct sim_faults){.slow_ns_max = world_faults(cluster->world)->slow_ns_max,
							    .crash_keeps_batch = 1000000, .crash_keeps_write = 1000000};
	world_heal(cluster->world);
	for (unsigned i = 0; (process = cluster_process(cluster, i)) != NULL; i++) {
		sim_fs_set_capacity(sim_node_fs(process->node), UINT64_MAX);
		if (sim_node_is_up(process->node))
			sim_node_freeze(process->node, 0);
		process_boot(process);
	}
}
