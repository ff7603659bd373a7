/* SPDX-License-Identifier: Apache-2.0
 * Tombs: inodes whose objects were destroyed. A copy of a write that was long under way, or a replay after a restart, would bring
 * an object back that nobody owns; it finds the tomb instead. Kept while such a copy can exist: in this boot the newest TOMBS_MAX, and
 * those of earlier boots until recovery has ended. */
#include "oss/oss_impl.h"

enum { TOMBS_MAX = 262144 };

struct tomb {
	struct map_node node;   /* ost->tombs */
	struct list_node order; /* ost->tomb_order, oldest first */
	struct ino ino;
	bool old;               /* of an earlier boot */
};

static struct ost_key tomb_key(uint64_t ino)
{
	struct ost_key key = key_make('D');
	key_add_u64(&key, ino);
	return key;
}

static struct tomb *find(struct ost *ost, struct ino ino)
{
	struct map_node *node = map_first(&ost->tombs, map_hash_u64(ino.v));
	return node != NULL ? CONTAINER_OF(node, struct tomb, node) : NULL;
}

bool tomb_find(struct ost *ost, struct ino ino)
{
	return find(ost, ino) != NULL;
}

static struct tomb *insert(struct ost *ost, struct ino ino)
{
	struct tomb *tomb = mem_alloc(sizeof(*tomb));
	tomb->ino = ino;
	map_insert(&ost->tombs, &tomb->node, map_hash_u64(ino.v));
	list_push_back(&ost->tomb_order, &tomb->order);
	return tomb;
}

static void forget(struct ost *ost, struct tomb *tomb)
{
	struct ost_key key = tomb_key(tomb->ino.v);
	(void)kvq_delete(&ost->kvq, ost_key_blob(&key));
	map_remove(&ost->tombs, &tomb->node);
	list_remove(&tomb->order);
	mem_free(tomb);
}

void tomb_add(struct ost *ost, struct ino ino)
{
	struct tomb *tomb = find(ost, ino);
	if (tomb == NULL) {
		struct ost_key key = tomb_key(ino.v);
		tomb = insert(ost, ino);
		(void)kvq_put(&ost->kvq, ost_key_blob(&key), blob_of("\1", 1));
	}
	tomb->old = false;
	if (ost->tombs.count > TOMBS_MAX)
		forget(ost, CONTAINER_OF(list_first(&ost->tomb_order), struct tomb, order));
}

int tombs_load(struct ost *ost)
{
	struct ost_key start = tomb_key(0), end = tomb_key(UINT64_MAX);
	int rc = 0;
	for (bool more = true; more && rc == 0;) {
		struct arena arena;
		struct kv_pair *pairs = NULL;
		arena_init(&arena);
		int count = ost->env->kv->ops->scan(ost->env->kv, ost_key_blob(&start),
						    ost_key_blob(&end), 1024, 256 * KIB, &arena,
						    &pairs, &more);
		rc = count < 0 ? count : 0;
		for (int i = 0; i < count; i++) {
			if (pairs[i].key.len != start.len) {
				rc = fail(ERR_corrupt);
				break;
			}
			struct ino ino = {load_be64(pairs[i].key.ptr + 1)};
			insert(ost, ino)->old = true;
			start = tomb_key(ino.v + 1);
		}
		more = more && count > 0;
		arena_fini(&arena);
	}
	return rc;
}

void tombs_forget_old(struct ost *ost)
{
	list_for_each_safe(node, tmp, &ost->tomb_order) {
		struct tomb *tomb = CONTAINER_OF(node, struct tomb, order);
		if (tomb->old)
			forget(ost, tomb);
	}
}

void tombs_free(struct ost *ost)
{
	struct list_node *node;
	while ((node = list_first(&ost->tomb_order)) != NULL) {
		struct tomb *tomb = CONTAINER_OF(node, struct tomb, order);
		map_remove(&ost->tombs, &tomb->node);
		list_remove(&tomb->order);
		mem_free(tomb);
	}
	map_fini(&ost->tombs);
}
