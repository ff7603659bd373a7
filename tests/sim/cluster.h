/* SPDX-License-Identifier: Apache-2.0
 * A whole Stria in the simulated world: an MDT, OSTs, mounts with programs above them; what befalls them; and what must be true of it all.
 *
 * One run: everything boots; the safety phase draws faults from the seed (cluster_plan.c); the liveness phase heals everything and waits
 * until every program has ended; then a fresh mount compares what it sees with the oracle, and the stores themselves are checked. */
#ifndef STRIA_SIM_CLUSTER_H
#define STRIA_SIM_CLUSTER_H

#include "client/client.h"
#include "mds/mds.h"
#include "oss/oss.h"
#include "tests/sim/kernel_client.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

enum {
	CLUSTER_OSTS_MAX = 4,
	CLUSTER_CLIENTS_MAX = WORK_CLIENTS_MAX,
	CLUSTER_LEASE_MS = 4000,
	CLUSTER_ID_HI = 0x5712,
	CLUSTER_ID_LO = 0xa001,
	CLUSTER_STEPS_MAX = 512
};

/* Taken from a process before it ends, and summed over the run. The names are those of the coverage table. */
struct cluster_coverage {
	struct mds_counters mds;
	struct ost_counters ost;
	struct client_counters client;
	uint64_t server_crashes, client_crashes, stops, freezes, cuts, full_spells, clock_jumps, evicted_mounts, step_crashes, isolations, deaf;
	struct world_counts world;
	struct history_counts history;
	struct lockwork_counts locks;
	uint64_t ops, shared_ops, outlived, runs, virtual_ns;
};
/* How often a crash hit a task in this step of this operation. */
struct cluster_step {
	const char *op, *step; /* static */
	uint64_t seen, crashes;
};

enum process_kind { PROCESS_MDS, PROCESS_OST, PROCESS_CLIENT, PROCESS_VERIFIER };
struct process {
	struct cluster *cluster;
	struct sim_node *node;
	enum process_kind kind;
	unsigned index; /* of its kind */
	char name[16];
	bool serving, stopped, stop_asked, boot_planned;
	/* In the node's memory: of its present life. */
	struct mds *mds;
	struct ost *ost;
	struct client *client;
	struct kernel *kernel;
	struct kernel_client channel;
};
struct cluster_opts {
	uint64_t seed, safety_ns, clients; /* clients: 0: as the seed has it */
	bool trace, kind, history, history_only, uncached, names_only; /* kind: no faults; uncached: kernels cache nothing */
};
struct cluster {
	struct world *world;
	struct cluster_opts opts;
	struct workload *workload;
	struct rng rng; /* the plan's */
	struct process mds, osts[CLUSTER_OSTS_MAX], clients[CLUSTER_CLIENTS_MAX], verifier;
	unsigned ost_count, client_count;
	bool calm; /* no faults of messages and disks: only what the plan has */
	bool begun; /* the plan's first event has happened */
	uint64_t undisturbed_until_ns; /* an isolated mount's eviction, and what arrives after it, without other events */
	bool healing, finished, verified;
	uint64_t look_again_ns; /* at the stores: not after every event */
	struct cluster_coverage *coverage;
	struct cluster_step steps[CLUSTER_STEPS_MAX]; /* of this run: a seed must not depend on those before it */
};

/* One whole run. NULL, or what went wrong (in ret_failure's storage). Adds to coverage and steps; writes the digest of its history. */
const char *cluster_run(const struct cluster_opts *opts, struct cluster_coverage *coverage, struct cluster_step *steps,
			char ret_failure[512], uint64_t *ret_digest);

/* ---- for cluster_*.c ------------------------------------------------------------------------------------------- */
void process_boot(struct process *process);
void process_crash(struct process *process);
void process_stop(struct process *process); /* at once, with its machine going on: SIGKILL */
void process_boot_later(struct process *process, uint64_t delay_ns);
/* Sums a living process's counters: before it ends, and at the end. */
void process_count(struct process *process);
/* Every process of the cluster but the verifier; NULL at the end. */
struct process *cluster_process(struct cluster *cluster, unsigned index);

/* In the OST's main task; parks. Formats an empty store first. 0, or why not with a line in ret_error. */
int cluster_ost_start(struct env *env, unsigned index, bool empty, const char *mgs, struct ost **ret_ost, char ret_error[OST_ERROR_BYTES]);

void plan_start(struct cluster *cluster);
void plan_heal(struct cluster *cluster);

/* Compares the stores with each other; fails the world at the first contradiction. */
void check_stores(struct cluster *cluster);
/* Nothing is left to be purged, cut off or given up. */
bool check_is_quiet(struct cluster *cluster);

#endif
