/* SPDX-License-Identifier: Apache-2.0
 * Processes of the cluster, and the phases of a run. */
#include "tests/sim/cluster.h"
#include "common/base/check.h"
#include "common/core/task.h"
#include "tests/sim/seam.h"

#include <stdio.h>

#define MGS_ADDRESS "tcp://mds0:7400"
enum { SIM_BUFFERS = 24, RECORDED_TASKS = 4, LOCK_TASKS = 2 };
static const uint64_t start_ns_max = 60 * NS_PER_S, live_ns_max = 240 * NS_PER_S, settle_ns = 20 * NS_PER_S;

/* ---- what runs in each process -------------------------------------------------------------------------------- */

static void cannot_start(struct process *process, int rc, const char *error)
{
	WORLD_MEMORY();
	world_fail(process->cluster->world, "%s does not start: %s: %s", process->name, err_name(rc), error);
}

static bool store_is_empty(struct process *process)
{
	return sim_store_next(sim_node_store(process->node), (struct blob){0}) == NULL;
}

static void mds_main(struct process *process, struct env *env)
{
	char error[MDS_ERROR_BYTES] = "", address[NET_ADDR_BYTES_MAX];
	uint64_t seed = process->cluster->opts.seed;
	/* Few bits of hash: names collide. */
	struct mds_format_opts format = {.fsname = "sim", .cluster_hi = CLUSTER_ID_HI, .cluster_lo = CLUSTER_ID_LO, .shard_count = 16,
					 .hash_key = {seed | 1, ~seed}, .hash_bits = seed % 2 ? 5 : 56};
	int rc = store_is_empty(process) ? mds_format(env, &format, error) : 0;
	if (rc < 0) {
		cannot_start(process, rc, error);
		return;
	}
	process->mds = mds_new(env, &(struct mds_conf){.listen = MGS_ADDRESS, .lease_ns = CLUSTER_LEASE_MS * NS_PER_MS,
						       .cache_bytes = 256 * 1024});
	rc = mds_start(process->mds, address);
	if (rc < 0)
		cannot_start(process, rc, mds_error(process->mds));
	process->serving = rc == 0;
}

static int hook_inode(void *ctx, uint64_t ino, uint64_t offset, uint64_t len, bool again)
{
	return kernel_inval_inode(ctx, ino, offset, len, again);
}

static int hook_attr(void *ctx, uint64_t ino)
{
	return kernel_inval_attr(ctx, ino);
}

static int hook_epoch(void *ctx)
{
	return kernel_inval_epoch(ctx);
}

static int hook_entry(void *ctx, uint64_t parent, struct str name)
{
	return kernel_inval_entry(ctx, parent, name);
}

static int hook_size(void *ctx, uint64_t ino, uint64_t *ret_size_bytes)
{
	return kernel_size(ctx, ino, ret_size_bytes);
}

static void hook_ask(void *ctx, uint64_t ino)
{
	kernel_ask(ctx, ino);
}

static void client_main(struct process *process, struct env *env)
{
	static const uint64_t dirty_max[] = {0, 64 * KIB, 512 * KIB}, copy_min[] = {1, 64 * KIB, 256 * KIB, UINT64_MAX};
	struct cluster *cluster = process->cluster;
	uint64_t copy_bytes_min = copy_min[cluster->opts.seed / 3 % ARRAY_COUNT(copy_min)];
	bool strict = (cluster->opts.seed + process->index) % 4 == 0;
	process->client = client_new(env, &(struct client_conf){.mgs = MGS_ADDRESS, .fsname = "sim", .host = process->name, .mountpoint = "/sim",
								.atime = strict ? CLIENT_ATIME_STRICT : CLIENT_ATIME_RELATIVE,
								.pid = process->index + 1, .buffers = SIM_BUFFERS, .attempt_ns = NS_PER_S,
								.servers_copy_bytes_min = copy_bytes_min,
								.dirty_bytes_max = dirty_max[cluster->opts.seed % ARRAY_COUNT(dirty_max)]});
	int rc = client_start(process->client);
	if (rc < 0) {
		cannot_start(process, rc, "mount");
		return;
	}
	process->channel = (struct kernel_client){.client = process->client, .loop = env->loop, .world = cluster->world,
						  .uncached = cluster->opts.uncached};
	process->kernel = kernel_new(env->loop, cluster->opts.seed ^ process->index, &kernel_client_ops, &process->channel);
	sim_node_kernel(process->node, &(struct sim_kernel_hooks){.inval_inode = hook_inode, .inval_attr = hook_attr, .inval_epoch = hook_epoch,
								  .inval_entry = hook_entry, .size = hook_size, .ask = hook_ask,
								  .ctx = process->kernel});
	process->serving = true;
	if (process->kind == PROCESS_VERIFIER) {
		workload_verify(cluster->workload, process->kernel);
		cluster->verified = true;
	} else {
		workload_start(cluster->workload, process->index, env->loop, process->kernel);
	}
}

static void process_main(struct sim_node *node, void *ctx)
{
	struct process *process = ctx;
	struct env *env = sim_node_env(node);
	if (process->kind == PROCESS_MDS) {
		mds_main(process, env);
	} else if (process->kind == PROCESS_OST) {
		char error[OST_ERROR_BYTES] = "";
		int rc = cluster_ost_start(env, process->index, store_is_empty(process), MGS_ADDRESS, &process->ost, error);
		if (rc < 0)
			cannot_start(process, rc, error);
		process->serving = rc == 0;
		history_server_serves(&process->cluster->workload->history);
	} else {
		client_main(process, env);
	}
}

/* ---- what the recorder asks ----------------------------------------------------------------------------------- */

static const struct client *mount_of(void *ctx, unsigned client)
{
	const struct cluster *cluster = ctx;
	const struct process *process = client < cluster->client_count ? &cluster->clients[client] : &cluster->verifier;
	return process->serving ? process->client : NULL;
}

static uint64_t recorder_identity(void *ctx, unsigned client)
{
	const struct client *mount = mount_of(ctx, client);
	return mount != NULL ? client_id(mount) : 0;
}

static uint64_t recorder_epoch(void *ctx, unsigned client)
{
	const struct client *mount = mount_of(ctx, client);
	return mount != NULL ? client_map_epoch(mount) : 0;
}

static uint64_t recorder_evicted_at(void *ctx, unsigned client, uint64_t identity)
{
	const struct client *mount = mount_of(ctx, client);
	return mount != NULL && identity != 0 ? client_evicted_at(mount, identity) : 0;
}

static bool recorder_fenced(void *ctx, unsigned ost, uint64_t identity)
{
	const struct cluster *cluster = ctx;
	return cluster->osts[ost].ost != NULL && ost_has_fenced(cluster->osts[ost].ost, identity);
}

/* ---- processes ------------------------------------------------------------------------------------------------ */

static void process_new(struct cluster *cluster, struct process *process, enum process_kind kind, unsigned index)
{
	static const char *const kinds[] = {"mds", "ost", "client", "verifier"};
	static const unsigned has[] = {SIM_KV | SIM_DISK, SIM_KV | SIM_DISK, SIM_KCACHE, SIM_KCACHE};
	process->cluster = cluster;
	process->kind = kind;
	process->index = index;
	(void)snprintf(process->name, sizeof(process->name), "%s%u", kinds[kind], index);
	process->node = sim_node_new(cluster->world, process->name, has[kind], process_main, process);
}

struct process *cluster_process(struct cluster *cluster, unsigned index)
{
	if (index == 0)
		return &cluster->mds;
	if (index <= cluster->ost_count)
		return &cluster->osts[index - 1];
	return index <= cluster->ost_count + cluster->client_count ? &cluster->clients[index - 1 - cluster->ost_count] : NULL;
}

void process_boot(struct process *process)
{
	process->boot_planned = false;
	if (!sim_node_is_up(process->node))
		sim_node_boot(process->node);
}

static void boot_now(void *arg)
{
	struct process *process = arg;
	if (process->boot_planned)
		process_boot(process);
}

void process_boot_later(struct process *process, uint64_t delay_ns)
{
	process->boot_planned = true;
	world_after(process->cluster->world, delay_ns, boot_now, process);
}

static void process_gone(struct process *process)
{
	process_count(process);
	process->serving = process->stopped = process->stop_asked = false;
	process->mds = NULL;
	process->ost = NULL;
	process->client = NULL;
	process->kernel = NULL;
}

static void make_room(struct process *process)
{
	if (process->kind == PROCESS_OST)
		sim_fs_set_capacity(sim_node_fs(process->node), UINT64_MAX);
}

void process_crash(struct process *process)
{
	make_room(process);
	if (process->kind == PROCESS_OST)
		history_server_crashes(&process->cluster->workload->history, process->index);
	if (process->kind == PROCESS_MDS)
		history_mdt_crashes(&process->cluster->workload->history);
	process_gone(process);
	sim_node_crash(process->node);
	if (process->kind == PROCESS_CLIENT)
		workload_crashed(process->cluster->workload, process->index);
}

void process_stop(struct process *process)
{
	make_room(process);
	if (process->kind == PROCESS_MDS)
		history_mdt_crashes(&process->cluster->workload->history);
	process_gone(process);
	sim_node_stop(process->node);
	if (process->kind == PROCESS_CLIENT)
		workload_crashed(process->cluster->workload, process->index);
}

/* Counters are numbers one after the other: what one process counted is added to what others did. */
static void add_counters(void *to, const void *from, size_t size)
{
	for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
		uint64_t sum, one;
		memcpy(&sum, (const uint8_t *)to + at, sizeof(sum));
		memcpy(&one, (const uint8_t *)from + at, sizeof(one));
		sum += one;
		memcpy((uint8_t *)to + at, &sum, sizeof(sum));
	}
}

void process_count(struct process *process)
{
	struct cluster_coverage *coverage = process->cluster->coverage;
	if (process->mds != NULL) {
		struct mds_counters counters = mds_counters(process->mds);
		add_counters(&coverage->mds, &counters, sizeof(counters));
	}
	if (process->ost != NULL) {
		struct ost_counters counters = ost_counters(process->ost);
		add_counters(&coverage->ost, &counters, sizeof(counters));
	}
	if (process->client != NULL)
		add_counters(&coverage->client, client_counters(process->client), sizeof(struct client_counters));
}

/* ---- phases --------------------------------------------------------------------------------------------------- */

static bool all_serve(void *ctx)
{
	struct cluster *cluster = ctx;
	struct process *process;
	for (unsigned i = 0; (process = cluster_process(cluster, i)) != NULL; i++)
		if (!process->serving)
			return false;
	return true;
}

static bool servers_serve(void *ctx)
{
	struct cluster *cluster = ctx;
	for (unsigned i = 0; i <= cluster->ost_count; i++)
		if (!cluster_process(cluster, i)->serving)
			return false;
	return true;
}

static bool all_idle(void *ctx)
{
	struct cluster *cluster = ctx;
	return all_serve(cluster) && workload_is_idle(cluster->workload);
}

static bool is_verified(void *ctx)
{
	return ((struct cluster *)ctx)->verified;
}

static void stop_task(void *arg)
{
	struct process *process = arg;
	if (process->kind == PROCESS_MDS)
		mds_stop(process->mds);
	else if (process->kind == PROCESS_OST)
		ost_stop(process->ost);
	else
		(void)client_stop(process->client, UINT64_MAX); /* what it could not say is checked in the stores */
	process->stopped = true;
}

static void stop_post(void *arg)
{
	struct process *process = arg;
	task_spawn(sim_node_loop(process->node), "stop", stop_task, process);
}

static bool process_is_stopped(void *ctx)
{
	return ((struct process *)ctx)->stopped;
}

/* In good order: what a person's SIGTERM does. */
static void end_process(struct cluster *cluster, struct process *process)
{
	if (world_failure(cluster->world) != NULL || !process->serving)
		return;
	sim_node_post(process->node, 0, stop_post, process);
	if (!world_run(cluster->world, world_now_ns(cluster->world) + live_ns_max, process_is_stopped, process))
		world_fail(cluster->world, "liveness: %s does not stop", process->name);
	if (process->stopped) {
		process_gone(process);
		sim_node_stop(process->node);
	}
}

static void task_print(void *ctx, struct task *task)
{
	printf("  %s: %s in %s/%s\n", (const char *)ctx, task_name(task), task_op(task), task_step(task));
}

static void tasks_print(struct cluster *cluster)
{
	struct process *process;
	printf("tasks that are parked:\n");
	for (unsigned i = 0; (process = cluster_process(cluster, i)) != NULL; i++) {
		if (!process->serving)
			printf("  %s is not serving\n", process->name);
		if (sim_node_is_up(process->node))
			loop_each_task(sim_node_loop(process->node), task_print, process->name);
	}
	if (sim_node_is_up(cluster->verifier.node))
		loop_each_task(sim_node_loop(cluster->verifier.node), task_print, cluster->verifier.name);
}

static void wait_for(struct cluster *cluster, uint64_t ns_max, bool (*done)(void *ctx), const char *what)
{
	if (world_failure(cluster->world) != NULL)
		return;
	if (world_run(cluster->world, world_now_ns(cluster->world) + ns_max, done, cluster) || world_failure(cluster->world) != NULL)
		return;
	tasks_print(cluster);
	world_fail(cluster->world, "liveness: %s after %llu s", what, (unsigned long long)(ns_max / NS_PER_S));
}

static bool stores_quiet(void *ctx)
{
	struct cluster *cluster = ctx;
	if (world_now_ns(cluster->world) < cluster->look_again_ns)
		return false;
	cluster->look_again_ns = world_now_ns(cluster->world) + 100 * NS_PER_MS;
	return check_is_quiet(cluster);
}

/* The first time of all. Of some clusters the mounts are there, and make files, before any OST has ever been. */
static void boot_all(struct cluster *cluster)
{
	enum { LATE_OF = 4 };
	bool osts_late = cluster->opts.seed % LATE_OF == 1;
	for (unsigned i = 0; i <= (osts_late ? 0 : cluster->ost_count); i++)
		process_boot(cluster_process(cluster, i));
	if (!osts_late)
		wait_for(cluster, start_ns_max, servers_serve, "not every server serves");
	(void)world_run(cluster->world, world_now_ns(cluster->world) + NS_PER_S, NULL, NULL); /* all are in the map */
	for (unsigned i = 0; i < cluster->client_count; i++)
		process_boot(&cluster->clients[i]);
	if (osts_late)
		(void)world_run(cluster->world, world_now_ns(cluster->world) + NS_PER_S, NULL, NULL); /* programs run, and wait */
	for (unsigned i = 1; osts_late && i <= cluster->ost_count; i++)
		process_boot(cluster_process(cluster, i));
	wait_for(cluster, start_ns_max, all_serve, "not everything serves");
}

static void run_phases(struct cluster *cluster)
{
	boot_all(cluster);
	if (!cluster->opts.kind)
		plan_start(cluster);
	(void)world_run(cluster->world, world_now_ns(cluster->world) + cluster->opts.safety_ns, NULL, NULL);
	cluster->healing = true;
	plan_heal(cluster);
	wait_for(cluster, start_ns_max, all_serve, "not everything serves again");
	cluster->workload->stop = true;
	wait_for(cluster, live_ns_max, all_idle, "programs have not ended");
	/* The slowest messages of the safety phase are still under way: whom they get evicted is found out now, not in the middle of the end. */
	if (world_failure(cluster->world) == NULL)
		(void)world_run(cluster->world, world_now_ns(cluster->world) + settle_ns, NULL, NULL);
	wait_for(cluster, live_ns_max, all_idle, "programs have not ended after an eviction");
	workload_finish(cluster->workload);
	cluster->finished = true;
	for (unsigned i = 0; i < cluster->client_count; i++)
		end_process(cluster, &cluster->clients[i]);
	if (world_failure(cluster->world) == NULL)
		process_boot(&cluster->verifier);
	wait_for(cluster, live_ns_max, is_verified, "the last mount has not compared everything");
	if (world_failure(cluster->world) == NULL)
		history_judge(&cluster->workload->history);
	end_process(cluster, &cluster->verifier);
	wait_for(cluster, live_ns_max, stores_quiet, "something is still to be purged, cut off or given up");
	for (unsigned i = 0; i < cluster->ost_count; i++)
		end_process(cluster, &cluster->osts[i]);
	end_process(cluster, &cluster->mds);
	if (world_failure(cluster->world) == NULL)
		check_stores(cluster);
}

static void steps_add(struct cluster_step *steps, const struct cluster_step *more)
{
	for (unsigned i = 0, at; i < CLUSTER_STEPS_MAX && more[i].op != NULL; i++) {
		for (at = 0; at < CLUSTER_STEPS_MAX && steps[at].op != NULL; at++)
			if (strcmp(steps[at].op, more[i].op) == 0 && strcmp(steps[at].step, more[i].step) == 0)
				break;
		if (at == CLUSTER_STEPS_MAX)
			return;
		steps[at].op = more[i].op;
		steps[at].step = more[i].step;
		steps[at].seen += more[i].seen;
		steps[at].crashes += more[i].crashes;
	}
}

static void cluster_end(struct cluster *cluster, struct cluster_step *steps)
{
	struct cluster_coverage *coverage = cluster->coverage;
	struct process *process;
	for (unsigned i = 0; (process = cluster_process(cluster, i)) != NULL; i++)
		process_count(process);
	coverage->ops += cluster->workload->ops;
	coverage->shared_ops += cluster->workload->shared.ops;
	coverage->outlived += cluster->workload->shared.outlived;
	lockwork_counts_add(&coverage->locks, &cluster->workload->lockwork.counts);
	history_counts_add(&coverage->history, &cluster->workload->history.counts);
	coverage->runs++;
	coverage->virtual_ns += world_now_ns(cluster->world);
	add_counters(&coverage->world, world_counts(cluster->world), sizeof(coverage->world));
	steps_add(steps, cluster->steps);
	world_free(cluster->world);
	workload_free(cluster->workload);
}

const char *cluster_run(const struct cluster_opts *opts, struct cluster_coverage *coverage, struct cluster_step *steps,
			char ret_failure[512], uint64_t *ret_digest)
{
	struct cluster cluster = {.opts = *opts, .coverage = coverage, .world = world_new(opts->seed)};
	rng_init(&cluster.rng, opts->seed ^ 0x706c616e);
	world_trace_live(cluster.world, opts->trace);
	cluster.ost_count = 2 + (unsigned)rng_below(&cluster.rng, 3);
	cluster.client_count = 2 + (unsigned)rng_below(&cluster.rng, 2);
	if (opts->clients > 0)
		cluster.client_count = (unsigned)min_u64(opts->clients, CLUSTER_CLIENTS_MAX);
	bool others = !opts->history || !opts->history_only;
	struct workload_opts work = {.clients = cluster.client_count, .tasks = others ? (opts->history ? 1 : 2) : 0, .shared_tasks = others,
				     .recorded_tasks = opts->history ? RECORDED_TASKS : 0, .lock_tasks = others ? LOCK_TASKS : 0,
				     .think_ns_max = 30 * NS_PER_MS};
	cluster.workload = workload_new(cluster.world, opts->seed, &work);
	cluster.workload->history.names_only = opts->names_only;
	cluster.workload->history.hooks = (struct history_hooks){recorder_identity, recorder_epoch, recorder_evicted_at, recorder_fenced,
								 &cluster};
	process_new(&cluster, &cluster.mds, PROCESS_MDS, 0);
	for (unsigned i = 0; i < cluster.ost_count; i++)
		process_new(&cluster, &cluster.osts[i], PROCESS_OST, i);
	for (unsigned i = 0; i < cluster.client_count; i++)
		process_new(&cluster, &cluster.clients[i], PROCESS_CLIENT, i);
	process_new(&cluster, &cluster.verifier, PROCESS_VERIFIER, cluster.client_count);
	run_phases(&cluster);
	const char *failure = world_failure(cluster.world);
	if (failure != NULL && !opts->trace)
		world_trace_print(cluster.world, 60);
	(void)snprintf(ret_failure, 512, "%s", failure != NULL ? failure : "");
	*ret_digest = world_digest(cluster.world);
	cluster_end(&cluster, steps);
	return ret_failure[0] != '\0' ? ret_failure : NULL;
}
