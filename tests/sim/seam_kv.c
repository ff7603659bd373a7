/* SPDX-License-Identifier: Apache-2.0
 * The simulated kv: a sorted store in memory that outlives its process.
 *
 * Faults that must be survived: a crash makes the newest unsynced batches vanish, any number of them, and a batch that was being written
 * is there wholly or not at all. Never: a synced batch lost, a batch torn apart, pairs garbled. */
#include "tests/sim/seam.h"

enum { LEVELS_MAX = 16 };

/* A skip list; a pair's height is drawn from its key, so that it is the same in every run. */
struct entry {
	struct kv_pair pair;
	uint8_t *bytes; /* key and value */
	unsigned height;
	struct entry *next[];
};

/* What a batch replaced, so that it can be taken back. */
struct undo_op {
	uint8_t *key, *value;
	size_t key_len, value_len;
	bool existed;
};
struct undo {
	struct list_node link;
	size_t count;
	bool answered;
	struct undo_op ops[];
};

struct sim_store {
	struct world *world;
	struct entry *head[LEVELS_MAX];
	struct list undo; /* unsynced batches, oldest first */
	size_t count;
};

struct sim_kv {
	struct kv kv;
	struct sim_node *node;
	struct sim_store *store;
	bool writing;
};

static int key_compare(struct blob a, struct blob b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static unsigned key_height(struct blob key)
{
	uint64_t hash = UINT64_C(1469598103934665603);
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ key.ptr[i]) * UINT64_C(1099511628211);
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	unsigned height = 1;
	for (hash >>= 20; height < LEVELS_MAX && (hash & 3) == 0; hash >>= 2)
		height++;
	return height;
}

/* The first entry with key >= `key`; the links that lead to it in ret_links. */
static struct entry *store_seek(struct sim_store *store, struct blob key, struct entry **ret_links[LEVELS_MAX])
{
	struct entry **links = store->head;
	for (unsigned level = LEVELS_MAX; level-- > 0;) {
		while (links[level] != NULL && key_compare(links[level]->pair.key, key) < 0)
			links = links[level]->next;
		if (ret_links != NULL)
			ret_links[level] = &links[level];
	}
	return links[0];
}

static struct entry *store_get(struct sim_store *store, struct blob key)
{
	struct entry *entry = store_seek(store, key, NULL);
	return entry != NULL && key_compare(entry->pair.key, key) == 0 ? entry : NULL;
}

static void entry_set_bytes(struct entry *entry, struct blob key, struct blob value)
{
	uint8_t *bytes = mem_alloc(key.len + value.len + 1);
	if (key.len > 0)
		memcpy(bytes, key.ptr, key.len);
	if (value.len > 0)
		memcpy(bytes + key.len, value.ptr, value.len);
	mem_free(entry->bytes);
	entry->bytes = bytes;
	entry->pair.key = blob_of(bytes, key.len);
	entry->pair.value = blob_of(bytes + key.len, value.len);
}

static void store_put(struct sim_store *store, struct blob key, struct blob value)
{
	struct entry **links[LEVELS_MAX];
	struct entry *entry = store_seek(store, key, links);
	if (entry != NULL && key_compare(entry->pair.key, key) == 0) {
		entry_set_bytes(entry, entry->pair.key, value);
		return;
	}
	unsigned height = key_height(key);
	entry = mem_alloc(sizeof(*entry) + LEVELS_MAX * sizeof(entry->next[0]));
	entry->height = height;
	entry_set_bytes(entry, key, value);
	for (unsigned level = 0; level < height; level++) {
		entry->next[level] = *links[level];
		*links[level] = entry;
	}
	store->count++;
}

static void store_delete(struct sim_store *store, struct blob key)
{
	struct entry **links[LEVELS_MAX];
	struct entry *entry = store_seek(store, key, links);
	if (entry == NULL || key_compare(entry->pair.key, key) != 0)
		return;
	for (unsigned level = 0; level < entry->height; level++)
		*links[level] = entry->next[level];
	mem_free(entry->bytes);
	mem_free(entry);
	store->count--;
}

/* ---- batches and crashes -------------------------------------------------------------------------------------- */

static void undo_free(struct undo *undo)
{
	for (size_t i = 0; i < undo->count; i++) {
		mem_free(undo->ops[i].key);
		mem_free(undo->ops[i].value);
	}
	mem_free(undo);
}

static struct undo *store_apply(struct sim_store *store, const struct kv_op *ops, size_t count)
{
	struct undo *undo = mem_alloc(sizeof(*undo) + count * sizeof(undo->ops[0]));
	undo->count = count;
	for (size_t i = 0; i < count; i++) {
		struct undo_op *op = &undo->ops[i];
		struct entry *before = store_get(store, ops[i].key);
		op->key = mem_dup(ops[i].key.ptr, ops[i].key.len);
		op->key_len = ops[i].key.len;
		if (before != NULL) {
			op->existed = true;
			op->value = mem_dup(before->pair.value.ptr, before->pair.value.len);
			op->value_len = before->pair.value.len;
		}
		if (ops[i].value.ptr != NULL)
			store_put(store, ops[i].key, ops[i].value);
		else
			store_delete(store, ops[i].key);
	}
	list_push_back(&store->undo, &undo->link);
	return undo;
}

static void store_take_back(struct sim_store *store, struct undo *undo)
{
	for (size_t i = undo->count; i-- > 0;) {
		struct undo_op *op = &undo->ops[i];
		if (op->existed)
			store_put(store, blob_of(op->key, op->key_len), blob_of(op->value, op->value_len));
		else
			store_delete(store, blob_of(op->key, op->key_len));
	}
}

static void store_forget_undo(struct sim_store *store, const struct undo *last)
{
	struct list_node *link;
	while ((link = list_pop_front(&store->undo)) != NULL) {
		struct undo *undo = CONTAINER_OF(link, struct undo, link);
		bool stop = undo == last;
		undo_free(undo);
		if (stop)
			break;
	}
}

struct sim_store *sim_store_new(struct world *world)
{
	struct sim_store *store = mem_alloc(sizeof(*store));
	store->world = world;
	list_init(&store->undo);
	return store;
}

void sim_store_free(struct sim_store *store)
{
	store_forget_undo(store, NULL);
	while (store->head[0] != NULL) {
		struct entry *entry = store->head[0];
		store->head[0] = entry->next[0];
		mem_free(entry->bytes);
		mem_free(entry);
	}
	mem_free(store);
}

const struct kv_pair *sim_store_next(struct sim_store *store, struct blob after)
{
	struct entry *entry = store_seek(store, after, NULL);
	if (entry != NULL && after.ptr != NULL && key_compare(entry->pair.key, after) == 0)
		entry = entry->next[0];
	return entry != NULL ? &entry->pair : NULL;
}

const struct kv_pair *sim_store_find(struct sim_store *store, struct blob key)
{
	struct entry *entry = store_get(store, key);
	return entry != NULL ? &entry->pair : NULL;
}

void sim_kv_crash(struct kv *seam, bool machine)
{
	struct sim_kv *kv = CONTAINER_OF(seam, struct sim_kv, kv);
	struct sim_store *store = kv->store;
	struct world_counts *counts = world_counts(store->world);
	if (machine) {
		unsigned keep = world_faults(store->world)->crash_keeps_batch;
		size_t kept = 0, seen = 0;
		list_for_each(at, &store->undo) {
			if (seen == kept && sim_chance(kv->node, keep))
				kept++;
			seen++;
		}
		while (seen > kept) {
			struct undo *undo = CONTAINER_OF(store->undo.head.prev, struct undo, link);
			store_take_back(store, undo);
			counts->kv_batches_undone++;
			counts->kv_batches_torn += undo->answered ? 0 : 1;
			list_remove(&undo->link);
			undo_free(undo);
			seen--;
		}
		list_for_each(at, &store->undo)
			counts->kv_survived_unanswered += CONTAINER_OF(at, struct undo, link)->answered ? 0 : 1;
	}
	store_forget_undo(store, NULL);
	mem_free(kv);
}

/* ---- the seam ------------------------------------------------------------------------------------------------- */

static void kv_pause(struct sim_kv *kv, uint64_t min_ns, uint64_t max_ns)
{
	struct sim_op op = {0};
	const struct sim_faults *faults = world_faults(kv->node->world);
	uint64_t delay_ns = rng_range(&kv->node->fault_rng, min_ns, max_ns);
	if (sim_chance(kv->node, faults->kv_slow))
		delay_ns += rng_below(&kv->node->fault_rng, faults->slow_ns_max);
	(void)sim_op_wait(&op, kv->node, delay_ns);
}

static void kv_maybe_park(struct sim_kv *kv)
{
	if (sim_chance(kv->node, world_faults(kv->node->world)->kv_park))
		kv_pause(kv, 5 * NS_PER_US, 200 * NS_PER_US);
}

static int kv_get(struct kv *seam, struct blob key, struct arena *arena, struct blob *ret_value)
{
	struct sim_kv *kv = CONTAINER_OF(seam, struct sim_kv, kv);
	kv_maybe_park(kv);
	struct entry *entry = store_get(kv->store, key);
	if (entry == NULL)
		return -ENOENT;
	*ret_value = blob_of(arena_dup(arena, entry->pair.value.ptr, entry->pair.value.len), entry->pair.value.len);
	return 0;
}

static int kv_get_many(struct kv *seam, const struct blob *keys, size_t count, struct arena *arena, struct blob *ret_values)
{
	struct sim_kv *kv = CONTAINER_OF(seam, struct sim_kv, kv);
	kv_maybe_park(kv);
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = store_get(kv->store, keys[i]);
		ret_values[i] = (struct blob){NULL, 0};
		if (entry != NULL)
			ret_values[i] = blob_of(arena_dup(arena, entry->pair.value.ptr, entry->pair.value.len),
						entry->pair.value.len);
	}
	return 0;
}

static int kv_scan(struct kv *seam, struct blob start, struct blob end, size_t limit, size_t bytes_max, struct arena *arena,
		   struct kv_pair **ret_pairs, bool *ret_more)
{
	struct sim_kv *kv = CONTAINER_OF(seam, struct sim_kv, kv);
	kv_maybe_park(kv);
	struct entry *first = store_seek(kv->store, start, NULL);
	size_t count = 0, bytes = 0;
	struct entry *entry = first;
	for (; entry != NULL && (end.ptr == NULL || key_compare(entry->pair.key, end) < 0); entry = entry->next[0]) {
		if (count == limit || (count > 0 && bytes >= bytes_max))
			break;
		bytes += entry->pair.key.len + entry->pair.value.len;
		count++;
	}
	*ret_more = entry != NULL && (end.ptr == NULL || key_compare(entry->pair.key, end) < 0);
	struct kv_pair *pairs = arena_alloc(arena, count * sizeof(pairs[0]));
	entry = first;
	for (size_t i = 0; i < count; i++, entry = entry->next[0]) {
		pairs[i].key = blob_of(arena_dup(arena, entry->pair.key.ptr, entry->pair.key.len), entry->pair.key.len);
		pairs[i].value = blob_of(arena_dup(arena, entry->pair.value.ptr, entry->pair.value.len), entry->pair.value.len);
	}
	*ret_pairs = pairs;
	return (int)count;
}

static int kv_write(struct kv *seam, const struct kv_op *ops, size_t count, bool sync)
{
	struct sim_kv *kv = CONTAINER_OF(seam, struct sim_kv, kv);
	CHECK_MSG(!kv->writing, "one kv write at a time");
	kv->writing = true;
	struct undo *undo;
	{
		WORLD_MEMORY();
		undo = store_apply(kv->store, ops, count);
	}
	world_counts(kv->node->world)->kv_batches++;
	if (sync)
		kv_pause(kv, 100 * NS_PER_US, 2 * NS_PER_MS);
	else
		kv_pause(kv, 5 * NS_PER_US, 50 * NS_PER_US);
	undo->answered = true;
	kv->writing = false;
	if (sync) {
		WORLD_MEMORY();
		store_forget_undo(kv->store, undo);
	}
	return 0;
}

static void kv_fini(struct kv *seam)
{
	(void)seam; /* given back with its process */
}

static const struct kv_ops kv_ops = {
	.get = kv_get,
	.get_many = kv_get_many,
	.scan = kv_scan,
	.write = kv_write,
	.fini = kv_fini,
};

struct kv *sim_kv_new(struct sim_node *node, struct sim_store *store)
{
	struct sim_kv *kv = mem_alloc(sizeof(*kv));
	kv->kv.ops = &kv_ops;
	kv->node = node;
	kv->store = store;
	return &kv->kv;
}
