/* SPDX-License-Identifier: Apache-2.0
 * The work that the simulated cluster is given: programs above several mounts, each in a subtree of its own with an exact oracle, or all
 * in one shared directory, where results must fit together, or all on the same few files, where every call and return is recorded.
 *
 * What it remembers is in the world's memory: a client's crash ends its programs, and what they left is checked at the end with what the
 * oracle does not know about it. */
#ifndef STRIA_SIM_WORKLOAD_H
#define STRIA_SIM_WORKLOAD_H

#include "tests/sim/history.h"
#include "tests/sim/kernel.h"
#include "tests/sim/lockwork.h"
#include "tests/sim/oracle.h"
#include "tests/sim/shared.h"
#include "tests/sim/world.h"

enum { WORK_CLIENTS_MAX = 4, WORK_TASKS_MAX = 8, WORK_ROOT_BYTES = 32 };

struct workload;
/* One program: it works in /<root> alone. */
struct work_task {
	struct workload *workload;
	struct kernel *kernel; /* of its client's present life */
	unsigned client, index, life;
	struct rng rng;
	struct model *model;
	struct model_op op;
	bool running, in_flight, root_made;
	bool shared, recorded, locks; /* works in the shared directory, on recorded files, or with locks, instead */
	int fds[MODEL_HANDLES];
	char root[WORK_ROOT_BYTES];
	struct shared_op shared_op;
	struct history_task history_task;
	struct lockwork_task lockwork_task;
	uint64_t ops;
};
/* A subtree that nobody works in any more, to be checked. */
struct remains {
	struct list_node link; /* workload->remains */
	char root[WORK_ROOT_BYTES];
	struct model *before, *after; /* after: with the operation that was in flight; NULL: none */
	bool crashed;
};

struct workload_opts {
	unsigned clients, tasks, shared_tasks, recorded_tasks, lock_tasks; /* tasks…: of each client */
	uint64_t think_ns_max;
};
struct workload {
	struct world *world;
	struct workload_opts opts;
	struct rng rng;
	struct work_task tasks[WORK_CLIENTS_MAX][WORK_TASKS_MAX];
	unsigned lives[WORK_CLIENTS_MAX];
	struct list remains;
	struct shared shared;
	struct history history;
	struct lockwork lockwork;
	bool stop; /* tasks end with their present operation */
	uint64_t refused; /* by full disks */
	uint64_t ops, by_kind[MOP_COUNT], failed_as_predicted, remains_checked, remains_after;
};

struct workload *workload_new(struct world *world, uint64_t seed, const struct workload_opts *opts);
void workload_free(struct workload *workload);
/* In a task of the client's node, when it is mounted: starts its programs. */
void workload_start(struct workload *workload, unsigned client, struct loop *loop, struct kernel *kernel);
/* From outside: the client's process is gone. */
void workload_crashed(struct workload *workload, unsigned client);
/* What a recorded task of it is writing to objects; NULL: nothing. */
struct history_object *workload_writing(const struct workload *workload, unsigned client);
/* Nothing runs any more; true, too, while a client is down. */
bool workload_is_idle(const struct workload *workload);
/* All programs have ended in order: their subtrees become remains. */
void workload_finish(struct workload *workload);
/* In a task of a fresh client: compares everything that is left with the oracle. Fails the world at the first difference. */
void workload_verify(struct workload *workload, struct kernel *kernel);

#endif
