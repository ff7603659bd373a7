/* SPDX-License-Identifier: Apache-2.0
 * Clients as an OST knows them: answers by operation number, who may have to replay after a restart, and recovery.
 *
 *   STARTING ── has a map ──▶ RECOVERING ── every recorded client that lives has replayed, the others are gone ──▶ UP */
#include "oss/oss_impl.h"
#include "common/base/check.h"

#define LOOK_AGAIN_NS NS_PER_S /* while recovering: who still lives? */

struct client *client_find(struct ost *ost, uint64_t id)
{
	struct map_node *node = map_first(&ost->clients, map_hash_u64(id));
	return node != NULL ? CONTAINER_OF(node, struct client, node) : NULL;
}

struct client *client_need(struct ost *ost, uint64_t id)
{
	struct client *client = client_find(ost, id);
	if (client != NULL)
		return client;
	client = mem_alloc(sizeof(*client));
	client->id = id;
	map_init(&client->by_opno);
	list_init(&client->answers);
	map_insert(&ost->clients, &client->node, map_hash_u64(id));
	return client;
}

static struct ost_key record_key(uint64_t id)
{
	struct ost_key key = key_make('C');
	key_add_u64(&key, id);
	return key;
}

int client_record(struct ost *ost, struct client *client)
{
	if (!client->recorded) {
		struct ost_key key = record_key(client->id);
		client->recorded = true;
		client->record_batch = kvq_put(&ost->kvq, ost_key_blob(&key), blob_of("\1", 1));
	}
	return kvq_wait(&ost->kvq, client->record_batch);
}

/* ---- exactly once --------------------------------------------------------------------------------------------- */

static void answer_forget(struct client *client, struct answer *answer)
{
	map_remove(&client->by_opno, &answer->node);
	list_remove(&answer->link);
	mem_free(answer);
}

static void trim(struct client *client)
{
	list_for_each_safe(node, tmp, &client->answers) {
		struct answer *answer = CONTAINER_OF(node, struct answer, link);
		if (answer->opno < client->watermark && !answer->running)
			answer_forget(client, answer);
	}
}

int answer_begin(struct ost *ost, struct client *client, const struct frame *frame, struct answer **ret_answer)
{
	if (frame->opno == 0)
		return fail(ERR_malformed);
	if (frame->lowest > client->watermark) {
		client->watermark = frame->lowest;
		trim(client);
	}
	struct map_node *node = map_first(&client->by_opno, map_hash_u64(frame->opno));
	if (node != NULL) {
		struct answer *answer = CONTAINER_OF(node, struct answer, node);
		*ret_answer = answer;
		ost->counters.in_progress += answer->running;
		ost->counters.repeats_answered += !answer->running;
		return answer->running ? fail(ERR_in_progress) : 0;
	}
	if (frame->opno < client->watermark) {
		ost->counters.late_copies++;
		return fail(ERR_late_copy);
	}
	struct answer *answer = mem_alloc(sizeof(*answer));
	answer->opno = frame->opno;
	answer->running = true;
	map_insert(&client->by_opno, &answer->node, map_hash_u64(frame->opno));
	list_push_back(&client->answers, &answer->link);
	*ret_answer = answer;
	return 1;
}

int answer_check(struct ost *ost, const struct client *client, const struct answer *answer)
{
	if (client->evicted)
		return fail(ERR_evicted);
	if (answer->opno < client->watermark) {
		ost->counters.late_copies++;
		ost->counters.late_at_submission++;
		return fail(ERR_late_copy);
	}
	return 0;
}

void answer_end(struct client *client, struct answer *answer, int rc)
{
	answer->running = false;
	answer->rc = rc;
	/* What did not happen may be tried again under the same number. */
	if (rc < 0 || answer->opno < client->watermark)
		answer_forget(client, answer);
}

/* ---- recovery ------------------------------------------------------------------------------------------------- */

int clients_load(struct ost *ost)
{
	struct ost_key start = record_key(0), end = record_key(UINT64_MAX);
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
			struct client *client = client_need(ost, load_be64(pairs[i].key.ptr + 1));
			client->recorded = client->must_replay = true;
			start = record_key(client->id + 1);
		}
		more = more && count > 0;
		arena_fini(&arena);
	}
	return rc;
}

void clients_free(struct ost *ost)
{
	struct map_iter iter = map_iter_begin(&ost->clients);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct client *client = CONTAINER_OF(node, struct client, node);
		struct list_node *answer;
		while ((answer = list_first(&client->answers)) != NULL)
			answer_forget(client, CONTAINER_OF(answer, struct answer, link));
		map_fini(&client->by_opno);
		map_remove(&ost->clients, &client->node);
		mem_free(client);
	}
	map_fini(&ost->clients);
}

/* Nobody is left to replay for those who are gone. Returns how many we wait for. */
static uint32_t count_waited_for(struct ost *ost)
{
	uint32_t count = 0;
	struct map_iter iter = map_iter_begin(&ost->clients);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;) {
		struct client *client = CONTAINER_OF(node, struct client, node);
		if (!client->must_replay)
			continue;
		if (client->alive && !client->evicted) {
			count++;
			continue;
		}
		struct ost_key key = record_key(client->id);
		client->must_replay = client->recorded = false;
		(void)kvq_delete(&ost->kvq, ost_key_blob(&key));
	}
	return count;
}

static bool anybody_recorded(struct ost *ost)
{
	struct map_iter iter = map_iter_begin(&ost->clients);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		if (CONTAINER_OF(node, struct client, node)->must_replay)
			return true;
	return false;
}

static void recovered(struct ost *ost)
{
	struct map_iter iter = map_iter_begin(&ost->objects);
	for (struct map_node *node; (node = map_iter_next(&iter)) != NULL;)
		spans_free(&CONTAINER_OF(node, struct object, node)->spans);
	tombs_forget_old(ost);
	ost_set_state(ost, TARGET_UP);
}

void recover_task(void *arg)
{
	struct ost *ost = arg;
	bool waited = anybody_recorded(ost);
	while (anybody_recorded(ost) && !ost->stopping && ost->failed == 0) {
		int rc = mapping_list_clients(ost);
		if (rc == 0)
			rc = mapping_refresh(ost); /* who is not in the list any more because he was evicted: fenced first */
		if (rc == 0 && count_waited_for(ost) == 0)
			break;
		(void)waitq_wait(&ost->recover_q, ost->env->loop, env_now_ns(ost->env) + LOOK_AGAIN_NS); /* either way we look again */
	}
	if (ost->stopping || ost->failed < 0)
		return;
	ost->counters.recoveries += waited;
	recovered(ost);
}

int ost_op_replay_done(struct ost *ost, struct rpc_call *call, const struct replay_done_req *req, struct replay_done_rep *rep)
{
	struct client *client = client_need(ost, call->frame.client);
	if (req->verifier != ost->identity.boot)
		return fail(ERR_not_ready); /* it was another boot's end of replays: hello tells about this one */
	client->must_replay = false;
	waitq_wake_all(&ost->recover_q);
	rep->state = ost->identity.state;
	return 0;
}
