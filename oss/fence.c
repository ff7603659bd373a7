/* SPDX-License-Identifier: Apache-2.0
 * The fence: what an OST does about evicted clients before a new map is in force here. Nothing of theirs begins any more; what they have running
 * ends; and what they have written becomes stable, because others may have read it already, and nobody is left who would write it again after
 * our restart. */
#include "oss/oss_impl.h"

enum { COMMITS_AT_ONCE = 16 };

/* Of several; each object with one more user. */
struct commits {
	struct ost *ost;
	struct object **objects; /* owned */
	size_t count, next;
	unsigned running;
	struct waitq ended_q;
};

/* The clients of the map's list that are known here: the others have nothing here. NULL: this one is not. */
static struct client *evicted_find(struct ost *ost, const struct cmap *map, uint32_t index)
{
	return client_find(ost, map->evicted[index].client);
}

static void drain(struct ost *ost, const struct cmap *map)
{
	bool running = true;
	for (bool counted = false; running && !ost->stopping; counted = true) {
		running = false;
		for (uint32_t i = 0; i < map->evicted_count; i++) {
			struct client *client = evicted_find(ost, map, i);
			if (client == NULL || client->running == 0)
				continue;
			ost->counters.drained += counted ? 0 : client->running;
			running = true;
		}
		if (running)
			(void)waitq_wait(&ost->drained_q, ost->env->loop, UINT64_MAX); /* requests have deadlines of their own */
	}
}

/* ---- what they have written ----------------------------------------------------------------------------------- */

static bool is_left_behind(struct ost *ost, const struct object *object)
{
	if (object->committed >= object->applied || object->writer == WRITER_NONE)
		return false;
	const struct client *client = object->writer != WRITER_SEVERAL ? client_find(ost, object->writer) : NULL;
	return client == NULL || client->evicted; /* of several: one of them may be */
}

/* At most all that are in memory; those with unstable writes are. */
static void left_behind(struct ost *ost, struct commits *ret_commits)
{
	struct map_iter iter = map_iter_begin(&ost->objects);
	ret_commits->objects = mem_alloc((ost->objects.count + 1) * sizeof(struct object *));
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct object *object = CONTAINER_OF(node, struct object, node);
		if (!is_left_behind(ost, object))
			continue;
		object_use(object);
		ret_commits->objects[ret_commits->count++] = object;
	}
}

static void commit_task(void *arg)
{
	struct commits *commits = arg;
	struct ost *ost = commits->ost;
	while (commits->next < commits->count) {
		struct object *object = commits->objects[commits->next++];
		ost->counters.evicted_commits++;
		(void)object_commit(ost, object); /* a failure stops the target */
		object_put(ost, object);
	}
	if (--commits->running == 0)
		waitq_wake_all(&commits->ended_q);
}

static void commit_left_behind(struct ost *ost)
{
	struct commits commits = {.ost = ost};
	waitq_init(&commits.ended_q);
	left_behind(ost, &commits);
	commits.running = (unsigned)min_u64(commits.count, COMMITS_AT_ONCE);
	for (unsigned i = commits.running; i > 0; i--)
		task_spawn(ost->env->loop, "commit_evicted", commit_task, &commits);
	while (commits.running > 0)
		(void)waitq_wait(&commits.ended_q, ost->env->loop, UINT64_MAX); /* no deadline: disks answer */
	mem_free(commits.objects);
}

/* Several tasks may be here for the same map: each waits until it is so. */
static void settle(struct ost *ost, const struct cmap *map)
{
	bool all = true;
	for (uint32_t i = 0; i < map->evicted_count; i++) {
		const struct client *client = evicted_find(ost, map, i);
		all = all && (client == NULL || client->settled);
	}
	if (all || ost->stopping)
		return;
	commit_left_behind(ost);
	for (uint32_t i = 0; i < map->evicted_count; i++) {
		struct client *client = evicted_find(ost, map, i);
		if (client != NULL)
			client->settled = true;
	}
}

void fence(struct ost *ost, const struct cmap *map)
{
	for (uint32_t i = 0; i < map->evicted_count; i++) {
		struct client *client = evicted_find(ost, map, i);
		if (client != NULL)
			client->evicted = true;
	}
	drain(ost, map);
	settle(ost, map);
}
