/* SPDX-License-Identifier: Apache-2.0
 * Virtual time, the event queue, nodes and the rounds in which they run. */
#include "tests/sim/seam.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	TRACE_LINES = 4096,
	TRACE_LINE_BYTES = 160,
	QUIET_STEPS_MAX = 2000000, /* more at one moment of virtual time is a livelock */
};

struct sim_event {
	struct list_node link; /* in an inbox */
	uint64_t time_ns, sequence;
	struct sim_node *node; /* NULL: the world's */
	uint64_t incarnation;
	void (*fn)(void *arg);
	void (*drop)(void *arg); /* instead of fn, when it will never run; may be NULL */
	void *arg;
};

struct after_events {
	struct list_node link;
	uint64_t at;
	void (*fn)(void *arg);
	void *arg;
};

struct cut {
	struct list_node link;
	struct sim_node *from, *to;
	uint64_t until_ns;
	bool loses; /* some of what is sent meanwhile; else all of it waits */
};

struct trace_line {
	uint64_t time_ns;
	const char *node;
	char text[TRACE_LINE_BYTES];
};

struct world {
	uint64_t now_ns, sequence, digest;
	struct rng rng;
	struct sim_faults faults;
	struct world_counts counts;
	struct sim_event **heap;
	size_t heap_count, heap_capacity;
	struct list nodes, cuts, after_events;
	unsigned node_count;
	struct net_world *net;
	struct trace_line *trace;
	uint64_t trace_count;
	bool trace_live;
	char failure[512];
};

/* ---- digest and trace ----------------------------------------------------------------------------------------- */

static void digest_mix(struct world *world, uint64_t v)
{
	world->digest = (world->digest ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	world->digest ^= world->digest >> 29;
}

uint64_t world_digest(const struct world *world)
{
	return world->digest;
}

static void trace_line_print(const struct trace_line *line)
{
	printf("%12.6f %-8s %s\n", (double)line->time_ns / 1e9, line->node, line->text);
}

void world_note(struct world *world, const struct sim_node *node, const char *format, ...)
{
	struct trace_line *line = &world->trace[world->trace_count++ % TRACE_LINES];
	line->time_ns = world->now_ns;
	line->node = node != NULL ? node->name : "world";
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line->text, sizeof(line->text), format, args);
	va_end(args);
	if (len > TRACE_LINE_BYTES - 1)
		len = TRACE_LINE_BYTES - 1;
	for (int i = 0; i < len; i += 8) {
		uint64_t v = 0;
		memcpy(&v, line->text + i, (size_t)(len - i < 8 ? len - i : 8));
		digest_mix(world, v);
	}
	if (world->trace_live)
		trace_line_print(line);
}

void world_trace_live(struct world *world, bool on)
{
	world->trace_live = on;
}

void world_trace_print(struct world *world, size_t lines)
{
	if (lines > TRACE_LINES)
		lines = TRACE_LINES;
	uint64_t first = world->trace_count > lines ? world->trace_count - lines : 0;
	for (uint64_t i = first; i < world->trace_count; i++)
		trace_line_print(&world->trace[i % TRACE_LINES]);
}

void world_fail(struct world *world, const char *format, ...)
{
	if (world->failure[0] != '\0')
		return;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(world->failure, sizeof(world->failure), format, args); /* cut off if it is too long */
	va_end(args);
	world_note(world, NULL, "FAILED: %s", world->failure);
}

const char *world_failure(const struct world *world)
{
	return world->failure[0] != '\0' ? world->failure : NULL;
}

/* ---- the queue: a binary heap by (time, sequence) ------------------------------------------------------------- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->sequence < b->sequence;
}

static void queue_push(struct world *world, struct sim_event *event)
{
	if (world->heap_count == world->heap_capacity) {
		world->heap_capacity = world->heap_capacity == 0 ? 1024 : world->heap_capacity * 2;
		world->heap = mem_realloc(world->heap, world->heap_capacity * sizeof(world->heap[0]));
	}
	size_t i = world->heap_count++;
	while (i > 0 && event_before(event, world->heap[(i - 1) / 2])) {
		world->heap[i] = world->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	world->heap[i] = event;
}

static struct sim_event *queue_pop(struct world *world)
{
	struct sim_event *first = world->heap[0];
	struct sim_event *last = world->heap[--world->heap_count];
	size_t i = 0;
	for (;;) {
		size_t child = i * 2 + 1;
		if (child >= world->heap_count)
			break;
		if (child + 1 < world->heap_count && event_before(world->heap[child + 1], world->heap[child]))
			child++;
		if (!event_before(world->heap[child], last))
			break;
		world->heap[i] = world->heap[child];
		i = child;
	}
	if (world->heap_count > 0)
		world->heap[i] = last;
	return first;
}

static void event_add(struct world *world, struct sim_node *node, uint64_t delay_ns, void (*fn)(void *arg),
		      void (*drop)(void *arg), void *arg)
{
	WORLD_MEMORY();
	struct sim_event *event = mem_alloc(sizeof(*event));
	event->time_ns = world->now_ns + delay_ns;
	event->sequence = ++world->sequence;
	event->node = node;
	event->incarnation = node != NULL ? node->incarnation : 0;
	event->fn = fn;
	event->drop = drop;
	event->arg = arg;
	queue_push(world, event);
}

void world_after(struct world *world, uint64_t delay_ns, void (*fn)(void *arg), void *arg)
{
	event_add(world, NULL, delay_ns, fn, NULL, arg);
}

void sim_node_post(struct sim_node *node, uint64_t delay_ns, void (*fn)(void *arg), void *arg)
{
	event_add(node->world, node, delay_ns, fn, NULL, arg);
}

void world_after_owned(struct world *world, uint64_t delay_ns, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	event_add(world, NULL, delay_ns, fn, drop, arg);
}

void sim_node_post_owned(struct sim_node *node, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	event_add(node->world, node, 0, fn, drop, arg);
}

static void event_drop(struct sim_event *event)
{
	if (event->drop != NULL)
		event->drop(event->arg);
	mem_free(event);
}

void world_after_events(struct world *world, uint64_t count, void (*fn)(void *arg), void *arg)
{
	WORLD_MEMORY();
	struct after_events *after = mem_alloc(sizeof(*after));
	after->at = world->counts.events + count;
	after->fn = fn;
	after->arg = arg;
	list_push_back(&world->after_events, &after->link);
}

/* ---- the world ------------------------------------------------------------------------------------------------ */

struct world *world_new(uint64_t seed)
{
	WORLD_MEMORY();
	struct world *world = mem_alloc(sizeof(*world));
	rng_init(&world->rng, seed);
	list_init(&world->nodes);
	list_init(&world->cuts);
	list_init(&world->after_events);
	world->trace = mem_alloc(TRACE_LINES * sizeof(world->trace[0]));
	world->faults.slow_ns_max = 100 * NS_PER_MS;
	world->net = net_world_new(world);
	return world;
}

static void node_end(struct sim_node *node, bool machine);

void world_free(struct world *world)
{
	if (world == NULL)
		return;
	WORLD_MEMORY();
	struct list_node *link;
	list_for_each(at, &world->nodes) {
		struct sim_node *node = CONTAINER_OF(at, struct sim_node, link);
		if (node->up)
			node_end(node, false);
	}
	while (world->heap_count > 0)
		event_drop(queue_pop(world));
	while ((link = list_pop_front(&world->nodes)) != NULL) {
		struct sim_node *node = CONTAINER_OF(link, struct sim_node, link);
		sim_fs_free(node->fs);
		sim_store_free(node->store);
		mem_free(node);
	}
	while ((link = list_pop_front(&world->cuts)) != NULL)
		mem_free(CONTAINER_OF(link, struct cut, link));
	while ((link = list_pop_front(&world->after_events)) != NULL)
		mem_free(CONTAINER_OF(link, struct after_events, link));
	net_world_free(world->net);
	mem_free(world->heap);
	mem_free(world->trace);
	mem_free(world);
}

uint64_t world_now_ns(const struct world *world)
{
	return world->now_ns;
}

struct rng *world_rng(struct world *world)
{
	return &world->rng;
}

struct sim_faults *world_faults(struct world *world)
{
	return &world->faults;
}

struct world_counts *world_counts(struct world *world)
{
	return &world->counts;
}

struct net_world *world_net(struct world *world)
{
	return world->net;
}

static void cut_add(struct world *world, const struct cut *as)
{
	WORLD_MEMORY();
	struct cut *cut = mem_dup(as, sizeof(*as));
	list_push_back(&world->cuts, &cut->link);
	world_note(world, NULL, "%s %s -> %s for %llu ms", as->loses ? "cut" : "hold", as->from != NULL ? as->from->name : "*",
		   as->to != NULL ? as->to->name : "*", (unsigned long long)((as->until_ns - world->now_ns) / NS_PER_MS));
}

void world_cut(struct world *world, struct sim_node *from, struct sim_node *to, uint64_t until_ns)
{
	cut_add(world, &(struct cut){.from = from, .to = to, .until_ns = until_ns, .loses = true});
}

void world_hold(struct world *world, struct sim_node *from, struct sim_node *to, uint64_t until_ns)
{
	cut_add(world, &(struct cut){.from = from, .to = to, .until_ns = until_ns});
}

void world_heal(struct world *world)
{
	list_for_each(at, &world->cuts)
		CONTAINER_OF(at, struct cut, link)->until_ns = 0;
}

static bool cut_is_between(const struct cut *cut, const struct sim_node *from, const struct sim_node *to)
{
	return from != to && (cut->from == NULL || cut->from == from) && (cut->to == NULL || cut->to == to);
}

uint64_t world_cut_until(struct world *world, const struct sim_node *from, const struct sim_node *to)
{
	uint64_t until_ns = 0;
	list_for_each_safe(at, tmp, &world->cuts) {
		struct cut *cut = CONTAINER_OF(at, struct cut, link);
		if (cut->until_ns <= world->now_ns) {
			list_remove(&cut->link);
			WORLD_MEMORY();
			mem_free(cut);
		} else if (cut_is_between(cut, from, to)) {
			until_ns = max_u64(until_ns, cut->until_ns);
		}
	}
	return until_ns;
}

bool world_cut_loses(struct world *world, const struct sim_node *from, const struct sim_node *to)
{
	list_for_each(at, &world->cuts) {
		const struct cut *cut = CONTAINER_OF(at, struct cut, link);
		if (cut->loses && cut->until_ns > world->now_ns && cut_is_between(cut, from, to))
			return true;
	}
	return false;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

static bool inbox_poll(struct loop_source *source)
{
	struct sim_node *node = CONTAINER_OF(source, struct sim_node, source);
	struct list_node *link;
	bool any = false;
	while ((link = list_pop_front(&node->inbox)) != NULL) {
		struct sim_event *event = CONTAINER_OF(link, struct sim_event, link);
		void (*fn)(void *arg) = event->fn;
		void *arg = event->arg;
		mem_free(event);
		fn(arg);
		any = true;
	}
	return any;
}

struct sim_node *sim_node_new(struct world *world, const char *name, unsigned has, void (*main)(struct sim_node *node, void *ctx),
			      void *ctx)
{
	WORLD_MEMORY();
	struct sim_node *node = mem_alloc(sizeof(*node));
	node->world = world;
	node->name = name;
	node->has = has;
	node->index = world->node_count++;
	node->main = main;
	node->ctx = ctx;
	list_init(&node->inbox);
	node->fs = sim_fs_new(world);
	node->store = sim_store_new(world);
	node->fault_rng = rng_fork(&world->rng);
	sim_clock_init(&node->clock, node, &node->fault_rng);
	list_push_back(&world->nodes, &node->link);
	return node;
}

static void main_task(void *arg)
{
	struct sim_node *node = arg;
	node->main(node, node->ctx);
}

void sim_node_boot(struct sim_node *node)
{
	CHECK(!node->up);
	WORLD_MEMORY();
	node->incarnation++;
	node->world->counts.boots++;
	node->up = true;
	node->heap = node->has & SIM_NO_HEAP ? NULL : mem_heap_new();
	sim_rng_init(&node->rng, rng_u64(&node->fault_rng));
	node->net = sim_net_new(node);
	if (node->has & SIM_DISK)
		node->disk = sim_disk_new(node, node->fs);
	if (node->has & SIM_KV)
		node->kv = sim_kv_new(node, node->store);
	(void)mem_heap_set(node->heap);
	node->loop = loop_new(&(struct loop_opts){.name = node->name, .clock = &node->clock.clock});
	(void)mem_heap_set(NULL);
	node->source = (struct loop_source){.poll = inbox_poll, .fd = -1};
	loop_source_add(node->loop, &node->source);
	node->net->loop = node->loop;
	node->env = (struct env){.loop = node->loop, .clock = &node->clock.clock, .rng = &node->rng.source, .net = node->net};
	if (node->disk != NULL) {
		node->disk->loop = node->loop;
		node->env.disk = node->disk;
	}
	if (node->kv != NULL) {
		node->kv->loop = node->loop;
		node->env.kv = node->kv;
	}
	if (node->has & SIM_KCACHE) {
		sim_kcache_init(&node->kcache, node);
		node->env.kcache = &node->kcache.kcache;
	}
	world_note(node->world, node, "boot %llu", (unsigned long long)node->incarnation);
	(void)mem_heap_set(node->heap);
	task_spawn(node->loop, "main", main_task, node);
	(void)mem_heap_set(NULL);
	node->deadline_ns = 0;
}

static void node_end(struct sim_node *node, bool machine)
{
	CHECK(node->up && !loop_is_running(node->loop));
	WORLD_MEMORY();
	node->up = false;
	sim_net_crash(node->net, machine);
	if (node->disk != NULL)
		sim_disk_crash(node->disk, machine);
	if (node->kv != NULL)
		sim_kv_crash(node->kv, machine);
	struct list_node *link;
	while ((link = list_pop_front(&node->inbox)) != NULL)
		event_drop(CONTAINER_OF(link, struct sim_event, link));
	node->hooks = (struct sim_kernel_hooks){0}; /* the next life's kernel says where it is */
	loop_free(node->loop);
	mem_heap_free(node->heap);
	node->loop = NULL;
	node->heap = NULL;
	node->net = NULL;
	node->disk = NULL;
	node->kv = NULL;
	node->env = (struct env){0};
	node->frozen_until_ns = 0;
}

void sim_node_crash(struct sim_node *node)
{
	node->world->counts.crashes++;
	world_note(node->world, node, "crash");
	node_end(node, true);
}

void sim_node_stop(struct sim_node *node)
{
	world_note(node->world, node, "stop");
	node_end(node, false);
}

bool sim_node_is_up(const struct sim_node *node)
{
	return node->up;
}

uint64_t sim_node_incarnation(const struct sim_node *node)
{
	return node->incarnation;
}

const char *sim_node_name(const struct sim_node *node)
{
	return node->name;
}

struct env *sim_node_env(struct sim_node *node)
{
	return &node->env;
}

struct loop *sim_node_loop(struct sim_node *node)
{
	return node->loop;
}

struct world *sim_node_world(struct sim_node *node)
{
	return node->world;
}

struct sim_fs *sim_node_fs(struct sim_node *node)
{
	return node->fs;
}

struct sim_store *sim_node_store(struct sim_node *node)
{
	return node->store;
}

void sim_node_kernel(struct sim_node *node, const struct sim_kernel_hooks *hooks)
{
	node->hooks = *hooks;
}

void sim_node_freeze(struct sim_node *node, uint64_t duration_ns)
{
	node->frozen_until_ns = duration_ns == 0 ? 0 : add_sat_u64(node->world->now_ns, duration_ns);
	world_note(node->world, node, "frozen for %llu ms", (unsigned long long)(duration_ns / NS_PER_MS));
}

void sim_node_kick(struct sim_node *node)
{
	node->deadline_ns = 0;
}

void sim_node_skew(struct sim_node *node, int rate_ppm, int64_t real_offset_ns)
{
	node->clock.rate_ppm = rate_ppm;
	node->clock.real_offset_ns = real_offset_ns;
}

bool sim_chance(struct sim_node *node, unsigned per_million)
{
	return per_million != 0 && rng_chance(&node->fault_rng, per_million);
}

static void op_fired(void *arg)
{
	struct sim_op *op = arg;
	if (op->apply != NULL)
		op->apply(op);
	op->done = true;
	task_wake(op->task);
}

int sim_op_wait(struct sim_op *op, struct sim_node *node, uint64_t delay_ns)
{
	op->node = node;
	op->task = task_current(node->loop);
	op->done = false;
	CHECK_MSG(op->task != NULL, "a parking seam call outside a task");
	sim_node_post(node, delay_ns, op_fired, op);
	while (!op->done)
		task_park(node->loop);
	return op->rc;
}

/* ---- rounds --------------------------------------------------------------------------------------------------- */

/* When the node wants to run, in world time. */
static uint64_t node_due(const struct sim_node *node)
{
	if (!node->up)
		return UINT64_MAX;
	uint64_t due_ns = list_is_empty((struct list *)(uintptr_t)&node->inbox) ? node->deadline_ns : 0;
	return max_u64(due_ns, node->frozen_until_ns);
}

static void node_step(struct sim_node *node)
{
	(void)mem_heap_set(node->heap);
	uint64_t deadline_ns = loop_step(node->loop);
	(void)mem_heap_set(NULL);
	node->deadline_ns = deadline_ns == UINT64_MAX || deadline_ns == 0 ? deadline_ns :
									      sim_clock_to_world(&node->clock, deadline_ns);
	node->world->counts.steps++;
}

/* Runs every node that has something to do at this moment, until none has. */
static void run_until_quiet(struct world *world)
{
	bool any = true;
	for (uint64_t steps = 0; any && world->failure[0] == '\0';) {
		any = false;
		list_for_each(at, &world->nodes) {
			struct sim_node *node = CONTAINER_OF(at, struct sim_node, link);
			if (node_due(node) > world->now_ns)
				continue;
			node_step(node);
			any = true;
			if (++steps > QUIET_STEPS_MAX)
				world_fail(world, "livelock: %s never rests", node->name);
		}
	}
}

static void fire_after_events(struct world *world)
{
	list_for_each_safe(at, tmp, &world->after_events) {
		struct after_events *after = CONTAINER_OF(at, struct after_events, link);
		if (after->at > world->counts.events)
			continue;
		void (*fn)(void *arg) = after->fn;
		void *arg = after->arg;
		list_remove(&after->link);
		mem_free(after);
		fn(arg);
	}
}

static uint64_t next_time(const struct world *world)
{
	uint64_t next_ns = world->heap_count > 0 ? world->heap[0]->time_ns : UINT64_MAX;
	for (struct list_node *at = world->nodes.head.next; at != &world->nodes.head; at = at->next)
		next_ns = min_u64(next_ns, node_due(CONTAINER_OF(at, struct sim_node, link)));
	return next_ns;
}

static void event_fire(struct world *world)
{
	struct sim_event *event = queue_pop(world);
	struct sim_node *node = event->node;
	if (node == NULL) {
		void (*fn)(void *arg) = event->fn;
		void *arg = event->arg;
		mem_free(event);
		fn(arg);
	} else if (node->up && node->incarnation == event->incarnation) {
		world->counts.events++;
		digest_mix(world, world->now_ns << 8 | node->index);
		list_push_back(&node->inbox, &event->link);
	} else {
		event_drop(event);
	}
}

bool world_run(struct world *world, uint64_t until_ns, bool (*done)(void *ctx), void *ctx)
{
	WORLD_MEMORY();
	for (;;) {
		run_until_quiet(world);
		if (world->failure[0] != '\0')
			return false;
		if (done != NULL && done(ctx))
			return true;
		fire_after_events(world);
		uint64_t next_ns = next_time(world);
		if (next_ns > until_ns) {
			if (until_ns != UINT64_MAX)
				world->now_ns = max_u64(world->now_ns, until_ns);
			return false;
		}
		world->now_ns = max_u64(world->now_ns, next_ns);
		if (world->heap_count > 0 && world->heap[0]->time_ns <= world->now_ns)
			event_fire(world);
	}
}
