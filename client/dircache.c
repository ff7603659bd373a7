/* SPDX-License-Identifier: Apache-2.0
 * What is known of a directory's entries while we hold a lease on them: names that were asked for, there or not; and whole listings.
 *
 * A name is believed only in the generation in which it was learned; the generation ends with the lease. What remains is a hint: it names the inode that
 * a removal will probably hit. */
#include "client/client_impl.h"

enum { NAMES_MAX = 262144, LIST_MAX = 65536, PLUS_MAX = 8 };

struct name {
	struct map_node node;
	struct ino ino;      /* INO_NONE: there is no such name */
	uint64_t generation; /* 0: a hint only */
	uint64_t changed_at; /* client.changes when a change of ours of this name last began or ended */
	uint32_t changing;
	uint8_t len;
	char text[];
};
#define PLUS_KEPT_NS NS_PER_S /* long after whoever waits for it has given up */

/* An answer to READDIRPLUS that the kernel may not have taken in yet. */
struct plus {
	uint32_t thread; /* 0: none */
	uint64_t until_ns;
};
struct dircache {
	struct map names;
	uint64_t generation;
	bool complete;       /* what is not in names is not there */
	/* the listing */
	struct arena arena;  /* of names in it */
	struct dircache_entry *entries; /* owned */
	size_t count, capacity;
	uint64_t asked;      /* when its first question went out */
	uint64_t last;       /* cookie of its last entry so far */
	bool whole;
	struct ino parent;
	struct plus plus[PLUS_MAX];
};

static struct dircache *need(struct node *dir)
{
	if (dir->names == NULL) {
		dir->names = mem_alloc(sizeof(*dir->names));
		map_init(&dir->names->names);
		arena_init(&dir->names->arena);
		dir->names->generation = 1;
	}
	return dir->names;
}

static struct name *name_find(const struct dircache *cache, struct str text)
{
	struct map_node *at = map_first(&cache->names, map_hash_bytes(blob_of(text.ptr, text.len)));
	for (; at != NULL; at = map_next(at)) {
		struct name *name = CONTAINER_OF(at, struct name, node);
		if (name->len == text.len && memcmp(name->text, text.ptr, text.len) == 0)
			return name;
	}
	return NULL;
}

static void list_drop(struct dircache *cache)
{
	arena_fini(&cache->arena);
	arena_init(&cache->arena);
	mem_free(cache->entries);
	cache->entries = NULL;
	cache->count = cache->capacity = 0;
	cache->whole = false;
	cache->last = 0;
}

static void names_drop(struct client *client, struct dircache *cache)
{
	struct map_iter iter = map_iter_begin(&cache->names);
	for (struct map_node *at; (at = map_iter_next(&iter)) != NULL;) {
		struct name *name = CONTAINER_OF(at, struct name, node);
		if (name->changing > 0)
			continue;
		map_remove(&cache->names, at);
		mem_free(name);
		client->name_count--;
	}
}

enum dircache_answer dircache_find(const struct client *client, struct node *dir, struct str text, struct ino *ret_ino)
{
	const struct dircache *cache = dir->names;
	if (cache == NULL || !lease_dir_ok(client, dir))
		return DIRCACHE_UNKNOWN;
	const struct name *name = name_find(cache, text);
	if (name != NULL && name->generation == cache->generation) {
		*ret_ino = name->ino;
		return name->ino.v != 0 ? DIRCACHE_THERE : DIRCACHE_ABSENT;
	}
	/* A hint of this generation is a name that is being changed just now. */
	return name == NULL && cache->complete ? DIRCACHE_ABSENT : DIRCACHE_UNKNOWN;
}

struct ino dircache_hint(struct node *dir, struct str text)
{
	const struct name *name = dir != NULL && dir->names != NULL ? name_find(dir->names, text) : NULL;
	return name != NULL ? name->ino : INO_NONE;
}

static struct name *name_need(struct client *client, struct node *dir, struct str text)
{
	struct dircache *cache = need(dir);
	struct name *name = name_find(cache, text);
	if (name != NULL)
		return name;
	if (client->name_count >= NAMES_MAX) {
		names_drop(client, cache);
		cache->complete = false;
		if (client->name_count >= NAMES_MAX)
			return NULL;
	}
	name = mem_alloc(sizeof(*name) + text.len);
	memcpy(name->text, text.ptr, text.len);
	name->len = (uint8_t)text.len;
	map_insert(&cache->names, &name->node, map_hash_bytes(blob_of(text.ptr, text.len)));
	client->name_count++;
	return name;
}

void dircache_put(struct client *client, struct node *dir, struct str text, struct ino ino, uint64_t asked, const struct lease *lease)
{
	if (text.len == 0 || text.len > NAME_BYTES_MAX)
		return;
	struct name *name = name_need(client, dir, text);
	if (name == NULL || name->changing > 0 || name->changed_at > asked)
		return;
	/* Granted since the last recall: then it still holds. What cannot be believed is a hint, if nothing better is there. */
	bool known = lease_dir_ok(client, dir) && lease->dir_mode != LEASE_NONE && lease->number > dir->recalled;
	if (!known && name->generation == dir->names->generation)
		return;
	name->ino = ino;
	name->generation = known ? dir->names->generation : 0;
}

uint64_t dircache_change_begin(struct client *client, struct node *dir, struct str text)
{
	struct dircache *cache = need(dir);
	struct name *name = text.len <= NAME_BYTES_MAX ? name_need(client, dir, text) : NULL;
	list_drop(cache);
	if (name == NULL) {
		cache->complete = false; /* it would pass for absent */
		return 0;
	}
	name->changing++;
	name->changed_at = client->changes;
	name->generation = 0;
	return cache->generation;
}

void dircache_change_end(struct client *client, struct node *dir, struct str text, uint64_t generation, const struct ino *ino)
{
	struct name *name = generation != 0 ? name_find(dir->names, text) : NULL;
	if (name == NULL)
		return;
	name->changing--;
	name->changed_at = client->changes;
	name->ino = ino != NULL ? *ino : INO_NONE; /* who knows: not even a hint */
	if (ino != NULL && name->changing == 0 && generation == dir->names->generation && lease_dir_ok(client, dir))
		name->generation = generation;
}

void dircache_is_empty(struct client *client, struct node *dir)
{
	if (!lease_dir_ok(client, dir))
		return;
	struct dircache *cache = need(dir);
	names_drop(client, cache);
	list_drop(cache);
	cache->complete = true;
}

/* ---- listings ---------------------------------------------------------------------------------------------------- */

void dircache_list_put(struct client *client, struct node *dir, uint64_t after, const struct dirent_row *row, uint64_t asked,
		       const struct lease *lease)
{
	struct dircache *cache = need(dir);
	if (cache->whole)
		return;
	if (after == 0 || dir->changed_at > cache->asked || dir->changing > 0) {
		list_drop(cache);
		cache->asked = asked;
	}
	bool granted = lease->dir_mode != LEASE_NONE && lease->number > dir->recalled && lease_dir_ok(client, dir);
	if (!granted || after != cache->last || cache->count >= LIST_MAX) {
		list_drop(cache);
		cache->last = UINT64_MAX; /* begins again with the next reading from the start */
		return;
	}
	if (cache->count == cache->capacity) {
		cache->capacity = cache->capacity == 0 ? 64 : cache->capacity * 2;
		cache->entries = mem_realloc(cache->entries, cache->capacity * sizeof(cache->entries[0]));
	}
	cache->entries[cache->count++] = (struct dircache_entry){row->cookie, row->ino, row->type, arena_str(&cache->arena, row->name)};
	cache->last = row->cookie;
}

void dircache_list_end(struct client *client, struct node *dir, uint64_t after, struct ino parent, uint64_t asked,
		       const struct lease *lease)
{
	struct dircache *cache = need(dir);
	if (after == 0 && cache->count == 0) { /* an empty directory */
		list_drop(cache);
		cache->asked = asked;
	}
	if (cache->whole || after != cache->last || !lease_dir_ok(client, dir) || dir->changed_at > cache->asked || dir->changing > 0 ||
	    lease->dir_mode == LEASE_NONE || lease->number <= dir->recalled)
		return;
	cache->whole = true;
	cache->parent = parent;
	for (size_t i = 0; i < cache->count; i++)
		dircache_put(client, dir, cache->entries[i].name, cache->entries[i].ino, asked, lease);
	cache->complete = client->name_count < NAMES_MAX;
}

const struct dircache_entry *dircache_list(const struct client *client, const struct node *dir, size_t *ret_count, struct ino *ret_parent)
{
	static const struct dircache_entry nothing;
	const struct dircache *cache = dir->names;
	if (cache == NULL || !cache->whole || !lease_dir_ok(client, dir) || dir->changed_at > cache->asked || dir->changing > 0)
		return NULL;
	*ret_count = cache->count;
	*ret_parent = cache->parent;
	return cache->entries != NULL ? cache->entries : &nothing;
}

/* ---- listings on their way into the kernel ----------------------------------------------------------------------- */

void dircache_plus_given(struct client *client, struct node *dir, uint32_t thread, uint64_t until_ns)
{
	struct plus *plus = need(dir)->plus;
	size_t at = 0;
	while (at < PLUS_MAX && plus[at].thread != thread)
		at++;
	for (size_t i = 0; i < PLUS_MAX && at == PLUS_MAX; i++)
		at = plus[i].thread == 0 || plus[i].until_ns + PLUS_KEPT_NS < env_now_ns(client->env) ? i : at;
	if (thread == 0 || at == PLUS_MAX)
		dir->told_plus_ns = max_u64(dir->told_plus_ns, until_ns); /* its time runs down */
	else
		plus[at] = (struct plus){thread, max_u64(plus[at].until_ns, until_ns)};
}

void dircache_plus_taken(struct node *dir, uint32_t thread)
{
	for (size_t i = 0; dir->names != NULL && thread != 0 && i < PLUS_MAX; i++)
		if (dir->names->plus[i].thread == thread)
			dir->names->plus[i] = (struct plus){0};
	waitq_wake_all(&dir->changed);
}

uint64_t dircache_plus_until_ns(const struct node *dir)
{
	uint64_t until_ns = dir->told_plus_ns;
	for (size_t i = 0; dir->names != NULL && i < PLUS_MAX; i++)
		until_ns = max_u64(until_ns, dir->names->plus[i].until_ns);
	return until_ns;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void dircache_clear(struct client *client, struct node *dir)
{
	struct dircache *cache = dir->names;
	(void)client;
	if (cache == NULL)
		return;
	cache->generation++;
	cache->complete = false;
	list_drop(cache);
}

void dircache_free(struct client *client, struct node *dir)
{
	if (dir->names == NULL)
		return;
	names_drop(client, dir->names);
	list_drop(dir->names);
	arena_fini(&dir->names->arena);
	map_fini(&dir->names->names);
	mem_free(dir->names);
	dir->names = NULL;
}
