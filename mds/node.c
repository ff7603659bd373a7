/* SPDX-License-Identifier: Apache-2.0
 * The life of an MDT: formatting its store, start, the map, stop, and what it tells of itself. */
#include "mds/mds_impl.h"
#include "common/base/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define CACHE_BYTES_DEFAULT (256 * MIB)
#define LEASE_NS_DEFAULT    (30 * NS_PER_S)
#define REGISTER_RETRY_NS   (500 * NS_PER_MS)
#define BEAT_NS             (2 * NS_PER_S)

/* ---- format --------------------------------------------------------------------------------------------------- */

static int say(char error[MDS_ERROR_BYTES], int rc, const char *text)
{
	(void)snprintf(error, MDS_ERROR_BYTES, "%s", text);
	return rc;
}

static bool fsname_valid(const char *fsname)
{
	size_t len = fsname != NULL ? strnlen(fsname, FSNAME_BYTES_MAX + 1) : 0;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)fsname[i]))
			return false;
	return len >= 1 && len <= FSNAME_BYTES_MAX;
}

static int erase_all(struct env *env)
{
	uint8_t end[] = {0xff, 0xff, 0xff, 0xff};
	int rc = 0;
	for (bool more = true; more && rc == 0;) {
		struct arena arena;
		arena_init(&arena);
		struct kv_pair *pairs = NULL;
		int count = env->kv->ops->scan(env->kv, blob_of("", 0), blob_of(end, sizeof(end)), 4096, MIB, &arena, &pairs, &more);
		rc = count < 0 ? count : 0;
		struct kv_op *ops = arena_alloc(&arena, ((size_t)(count > 0 ? count : 0) + 1) * sizeof(*ops));
		for (int i = 0; i < count; i++)
			ops[i].key = pairs[i].key;
		if (count > 0)
			rc = env->kv->ops->write(env->kv, ops, (size_t)count, true);
		more = count > 0;
		arena_fini(&arena);
	}
	return rc;
}

static int write_first_records(struct env *env, const struct superblock *sb)
{
	uint8_t superblock[256], root_bytes[256], next[16], count[16];
	struct wire_out out = wire_out(superblock, sizeof(superblock));
	superblock_encode(sb, &out);
	struct key keys[] = {key_inode(INO_ROOT), key_numbers(0), key_state("inodes"), key_state("superblock")};
	struct kv_op ops[4];
	ops[3].value = blob_of(superblock, wire_len(&out));
	struct inode root = {
		.mode = S_IFDIR | 0755,
		.nlink = 2,
		.atime_ns = sb->time_ns,
		.mtime_ns = sb->time_ns,
		.ctime_ns = sb->time_ns,
		.btime_ns = sb->time_ns,
		.change = 1,
		.parent = INO_ROOT,
	};
	out = wire_out(root_bytes, sizeof(root_bytes));
	inode_encode(&root, &out);
	ops[0].value = blob_of(root_bytes, wire_len(&out));
	out = wire_out(next, sizeof(next));
	number_encode(ino_seq(INO_ROOT) + 1, &out);
	ops[1].value = blob_of(next, wire_len(&out));
	out = wire_out(count, sizeof(count));
	number_encode(1, &out);
	ops[2].value = blob_of(count, wire_len(&out));
	for (size_t i = 0; i < ARRAY_COUNT(ops); i++)
		ops[i].key = key_blob(&keys[i]);
	size_t first = sb->index == 0 ? 0 : 3; /* only MDT 0 has a root */
	return env->kv->ops->write(env->kv, ops + first, ARRAY_COUNT(ops) - first, true);
}

int mds_format(struct env *env, const struct mds_format_opts *opts, char ret_error[MDS_ERROR_BYTES])
{
	if (!fsname_valid(opts->fsname))
		return say(ret_error, fail(EINVAL), "the name of a file system is 1 to 8 letters and digits");
	if (opts->shard_count > CMAP_SHARDS_MAX || opts->hash_bits > HASH_BITS_MAX || opts->index >= STRIPE_COUNT_ALL)
		return say(ret_error, fail(EINVAL), "a number is out of its range");
	struct arena arena;
	arena_init(&arena);
	struct blob value;
	struct key key = key_state("superblock");
	int rc = env->kv->ops->get(env->kv, key_blob(&key), &arena, &value);
	arena_fini(&arena);
	if (rc == 0 && !opts->force)
		return say(ret_error, fail(EEXIST), "this store is formatted already: give another directory, or delete it first");
	if (rc == 0)
		rc = erase_all(env);
	else if (rc == -ENOENT)
		rc = 0;
	if (rc < 0)
		return say(ret_error, rc, "the store cannot be read or written");
	struct superblock sb = {
		.cluster_hi = opts->cluster_hi,
		.cluster_lo = opts->cluster_lo,
		.store_hi = env_random_u64(env),
		.store_lo = env_random_u64(env),
		.index = opts->index,
		.shard_count = opts->shard_count != 0 ? opts->shard_count : SHARD_COUNT_DEFAULT,
		.hash_key = {opts->hash_key[0], opts->hash_key[1]},
		.hash_bits = opts->hash_bits != 0 ? opts->hash_bits : HASH_BITS_MAX,
		.time_ns = env_real_ns(env),
	};
	if (sb.cluster_hi == 0 && sb.cluster_lo == 0) {
		sb.cluster_hi = env_random_u64(env);
		sb.cluster_lo = env_random_u64(env);
	}
	if (sb.hash_key[0] == 0 && sb.hash_key[1] == 0) {
		sb.hash_key[0] = env_random_u64(env);
		sb.hash_key[1] = env_random_u64(env);
	}
	(void)snprintf(sb.fsname, sizeof(sb.fsname), "%s", opts->fsname);
	rc = write_first_records(env, &sb);
	return rc < 0 ? say(ret_error, rc, "the store cannot be written") : 0;
}

/* ---- small things --------------------------------------------------------------------------------------------- */

void mds_log(struct mds *mds, enum log_level level, const char *module, const char *what, const char *subject, int rc)
{
	log_line(mds->conf.log, level, module, "what=\"%s\" subject=\"%s\" err=%s", what, subject, err_name(rc));
}

int mds_corrupt(struct mds *mds, struct blob key, int rc)
{
	char text[KEY_TEXT_BYTES];
	key_to_text(key, text);
	mds_log(mds, LOG_LEVEL_ERROR, "store", "a record is damaged: restore the store from a backup", text, rc);
	return rc;
}

void mds_set_state(struct mds *mds, uint8_t state)
{
	static const char *const names[] = {"down", "starting", "recovering", "up"};
	if (mds->identity.state == state)
		return;
	mds->identity.state = state;
	log_line(mds->conf.log, LOG_LEVEL_INFO, "node", "state=%s boot=%" PRIu64 " waits_for_clients=%u", names[state], mds->sb.boot,
		 mds->grace_wait);
	waitq_wake_all(&mds->state_changed);
	if (mds->mgs != NULL && mds->address[0] != '\0')
		mgs_set_own_state(mds);
}

void mds_set_map(struct mds *mds, struct cmap *map)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < map->target_count; i++)
		if (map->targets[i].kind == TARGET_OST)
			count = (uint32_t)max_u64(count, map->targets[i].index + 1);
	if (count > mds->ost_count) {
		mds->osts = mem_realloc(mds->osts, count * sizeof(mds->osts[0]));
		memset(&mds->osts[mds->ost_count], 0, (count - mds->ost_count) * sizeof(mds->osts[0]));
		mds->ost_count = count;
	}
	cmap_free(mds->map);
	mds->map = map;
	mds->identity.epoch = map->epoch;
	mds->identity.cluster_hi = map->cluster_hi;
	mds->identity.cluster_lo = map->cluster_lo;
	for (uint32_t i = 0; i < map->target_count && mds->rpc != NULL; i++) {
		const struct cmap_target *target = &map->targets[i];
		if (target->kind != TARGET_OST || target->address[0] == '\0')
			continue;
		struct ost *ost = &mds->osts[target->index];
		if (ost->peer == NULL)
			ost->peer = rpc_peer_new(mds->rpc, target->address);
		else if (strcmp(rpc_peer_address(ost->peer), target->address) != 0)
			rpc_peer_set_address(ost->peer, target->address);
		ost->refused_until_ns = 0;
	}
}

static void before_commit(void *ctx)
{
	struct mds *mds = ctx;
	uint8_t bytes[16];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	number_encode((uint64_t)mds->last_time_ns, &out);
	struct key key = key_state("time"); /* no later boot goes below a time that was given out */
	txn_write(&mds->txn, &key, blob_of(bytes, wire_len(&out)));
	if (!mds->inodes_changed)
		return;
	mds->inodes_changed = false;
	out = wire_out(bytes, sizeof(bytes));
	number_encode(mds->inodes, &out);
	key = key_state("inodes");
	txn_write(&mds->txn, &key, blob_of(bytes, wire_len(&out)));
}

/* What is in memory is more than what is on disk and always will be: stop before anybody is told. */
static void on_failure(void *ctx, int rc)
{
	struct mds *mds = ctx;
	mds_log(mds, LOG_LEVEL_ERROR, "txn", "a commit failed: this MDT stops; mend its disk, then start it again", "", rc);
	mds->identity.state = TARGET_DOWN;
	if (mds->conf.stopped != NULL)
		mds->conf.stopped(mds->conf.stopped_ctx, rc);
}

/* ---- an MDT whose management service is elsewhere ------------------------------------------------------------- */

static int take_map(struct mds *mds, struct blob encoded)
{
	struct cmap *map = NULL;
	if (encoded.len == 0)
		return 0;
	int rc = cmap_decode(encoded, &map);
	if (rc < 0)
		return rc;
	if (mds->map != NULL && map->epoch <= mds->map->epoch) {
		cmap_free(map);
		return 0;
	}
	struct cmap *old = mds->map != NULL ? cmap_copy(mds->map) : NULL;
	mds_set_map(mds, map);
	for (uint32_t i = 0; i < map->evicted_count; i++)
		if (old != NULL && !cmap_is_evicted(old, map->evicted[i].client))
			client_gone(mds, map->evicted[i].client, true);
	cmap_free(old);
	return 0;
}

static int register_once(struct mds *mds, struct arena *arena)
{
	struct target_register_req req = {
		.kind = TARGET_MDT,
		.index = mds->sb.index,
		.fsname = str_of(mds->sb.fsname),
		.cluster_hi = mds->sb.cluster_hi,
		.cluster_lo = mds->sb.cluster_lo,
		.store_hi = mds->sb.store_hi,
		.store_lo = mds->sb.store_lo,
		.boot = mds->sb.boot,
		.address = str_of(mds->address),
	};
	struct target_register_rep rep;
	int rc = rpc_target_register(mds->mgs_peer, &req, &rep, &(struct rpc_args){.arena = arena});
	return rc < 0 ? rc : take_map(mds, rep.map);
}

static int register_self(struct mds *mds)
{
	for (;;) {
		struct arena arena;
		arena_init(&arena);
		int rc = register_once(mds, &arena);
		arena_fini(&arena);
		if (!err_is(rc, ERR_retry))
			return rc;
		mds_log(mds, LOG_LEVEL_WARN, "node", "the management service does not answer: trying again", mds->conf.mgs, rc);
		task_sleep(mds->env->loop, REGISTER_RETRY_NS);
	}
}

static void fetch_map(struct mds *mds)
{
	struct arena arena;
	arena_init(&arena);
	struct map_get_rep rep;
	int rc = rpc_map_get(mds->mgs_peer, &(struct map_get_req){.epoch = mds->map->epoch}, &rep, &(struct rpc_args){.arena = &arena});
	if (rc == 0)
		(void)take_map(mds, rep.map); /* a damaged one is fetched again with the next beat */
	arena_fini(&arena);
}

static void beat_task(void *arg)
{
	struct mds *mds = arg;
	while (!mds->stopping) {
		struct target_beat_req req = {
			.kind = TARGET_MDT,
			.index = mds->sb.index,
			.boot = mds->sb.boot,
			.state = mds->identity.state,
			.epoch = mds->map->epoch,
		};
		struct target_beat_rep rep;
		int rc = rpc_target_beat(mds->mgs_peer, &req, &rep, &(struct rpc_args){0});
		if (rc == 0 && rep.epoch > mds->map->epoch)
			fetch_map(mds);
		else if (rc == -ERR_wrong_target)
			(void)register_self(mds); /* final errors were told at the start */
		task_sleep(mds->env->loop, BEAT_NS);
	}
}

/* ---- start and stop ------------------------------------------------------------------------------------------- */

struct mds *mds_new(struct env *env, const struct mds_conf *conf)
{
	struct mds *mds = mem_alloc(sizeof(*mds));
	mds->env = env;
	mds->conf = *conf;
	if (mds->conf.lease_ns == 0)
		mds->conf.lease_ns = LEASE_NS_DEFAULT;
	mds->identity = (struct rpc_identity){.role = ROLE_MDT, .kind = TARGET_MDT, .state = TARGET_STARTING};
	txn_init(&mds->txn, env, conf->cache_bytes != 0 ? conf->cache_bytes : CACHE_BYTES_DEFAULT);
	mds->txn.before_commit = before_commit;
	mds->txn.on_failure = on_failure;
	mds->txn.ctx = mds;
	gates_init(&mds->gates, env->loop);
	sessions_init(&mds->sessions);
	locks_init(&mds->locks, 0, lock_granted, mds);
	waitq_init(&mds->state_changed);
	waitq_init(&mds->purge_work);
	list_init(&mds->purge_queue);
	list_init(&mds->opnos);
	mds->scratch = mem_alloc(NET_MSG_BYTES_MAX);
	return mds;
}

static int open_store(struct mds *mds)
{
	struct arena arena;
	arena_init(&arena);
	struct blob value;
	struct key key = key_state("superblock");
	int rc = mds->env->kv->ops->get(mds->env->kv, key_blob(&key), &arena, &value);
	if (rc == 0)
		rc = superblock_decode(value, &mds->sb);
	arena_fini(&arena);
	if (rc == -ENOENT)
		return say(mds->error, fail(ERR_no_format), "this store is not formatted: run stria-admin format mdt --store DIR");
	if (rc == -ERR_version)
		return say(mds->error, rc, "this store was written by a newer version of Stria: use that version");
	if (rc < 0)
		return say(mds->error, rc, "this is not the store of an MDT, or it is damaged: check --store, or restore a backup");
	bool embeds = mds->conf.mgs == NULL || mds->conf.mgs[0] == '\0';
	if (embeds && mds->sb.index != 0)
		return say(mds->error, fail(EINVAL), "only MDT 0 embeds the management service: say where it is with --mgs");
	mds->sb.boot++;
	mds->last_time_ns = mds->sb.time_ns;
	uint8_t bytes[256];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	superblock_encode(&mds->sb, &out);
	struct kv_op op = {key_blob(&key), blob_of(bytes, wire_len(&out))};
	rc = mds->env->kv->ops->write(mds->env->kv, &op, 1, true);
	return rc < 0 ? say(mds->error, rc, "the store cannot be written: is its disk full or broken?") : 0;
}

static int start_rpc(struct mds *mds, char ret_address[NET_ADDR_BYTES_MAX])
{
	static const struct rpc_server_ops ops = {.serve = mds_serve};
	mds->identity.index = mds->sb.index;
	mds->identity.boot = mds->sb.boot;
	mds->sessions.first_grant = mds->locks.changes = mds->sb.boot << 32;
	mds->identity.cluster_hi = mds->sb.cluster_hi;
	mds->identity.cluster_lo = mds->sb.cluster_lo;
	mds->identity.client = rpc_target_client(TARGET_MDT, mds->sb.index);
	/* Numbers of an earlier boot are never used again, and fall below the watermark with our first call. */
	mds->next_opno = mds->sb.boot << 32;
	mds->identity.lowest = mds->next_opno;
	mds->rpc = rpc_new(mds->env, &mds->identity, &ops, mds, NULL);
	int rc = rpc_listen(mds->rpc, mds->conf.listen, mds->address);
	if (rc < 0) {
		(void)snprintf(mds->error, sizeof(mds->error), "cannot listen at %.100s: %s", mds->conf.listen, err_text(rc));
		return rc;
	}
	(void)snprintf(ret_address, NET_ADDR_BYTES_MAX, "%s", mds->address);
	return 0;
}

static int join_cluster(struct mds *mds)
{
	if (mds->conf.mgs == NULL || mds->conf.mgs[0] == '\0') {
		int rc = mgs_load(mds);
		return rc < 0 ? say(mds->error, rc, "the management service's records cannot be read: the store is damaged") : 0;
	}
	mds->mgs_peer = rpc_peer_new(mds->rpc, mds->conf.mgs);
	int rc = register_self(mds);
	if (rc == -ERR_wrong_cluster)
		return say(mds->error, rc, "this store belongs to another cluster than the management service: check --mgs and --store");
	if (rc == -ERR_wrong_target)
		return say(mds->error, rc, "another store is registered with this MDT's index: format it with an index of its own");
	return rc < 0 ? say(mds->error, rc, "the management service refuses this MDT") : 0;
}

int mds_start(struct mds *mds, char ret_address[NET_ADDR_BYTES_MAX])
{
	mds->started_ns = env_now_ns(mds->env);
	int rc = open_store(mds);
	if (rc == 0)
		rc = start_rpc(mds, ret_address);
	if (rc < 0)
		return rc;
	mds->seqs = mem_alloc(mds->sb.shard_count * sizeof(mds->seqs[0]));
	txn_start(&mds->txn);
	rc = join_cluster(mds);
	if (rc < 0)
		return rc;
	rc = recover_load(mds);
	if (rc < 0)
		return say(mds->error, rc, "the store cannot be read wholly: see the log for the record that is damaged");
	recover_begin(mds);
	purge_start(mds);
	if (mds->mgs != NULL)
		mgs_start(mds);
	else
		task_spawn(mds->env->loop, "beat", beat_task, mds);
	return 0;
}

const char *mds_error(const struct mds *mds)
{
	return mds->error;
}

void mds_stop(struct mds *mds)
{
	mds->stopping = true;
	waitq_wake_all(&mds->purge_work);
	waitq_wake_all(&mds->state_changed);
	if (mds->seqs != NULL && mds->txn.failed == 0)
		txn_stop(&mds->txn);
}

void mds_free(struct mds *mds)
{
	if (mds == NULL)
		return;
	mgs_free(mds->mgs);
	for (uint32_t i = 0; i < mds->ost_count; i++)
		if (mds->osts[i].peer != NULL)
			rpc_peer_free(mds->osts[i].peer);
	if (mds->mgs_peer != NULL)
		rpc_peer_free(mds->mgs_peer);
	if (mds->rpc != NULL)
		rpc_free(mds->rpc);
	struct list_node *node;
	while ((node = list_pop_front(&mds->purge_queue)) != NULL)
		mem_free(node); /* the link is a purge item's first member */
	locks_fini(&mds->locks);
	sessions_fini(&mds->sessions);
	gates_fini(&mds->gates);
	txn_fini(&mds->txn);
	cmap_free(mds->map);
	mem_free(mds->osts);
	mem_free(mds->orphans);
	mem_free(mds->seqs);
	mem_free(mds->scratch);
	mem_free(mds);
}

/* ---- what it tells -------------------------------------------------------------------------------------------- */

uint8_t mds_state(const struct mds *mds)
{
	return mds->identity.state;
}

uint32_t mds_index(const struct mds *mds)
{
	return mds->sb.index;
}

const char *mds_fsname(const struct mds *mds)
{
	return mds->sb.fsname;
}

struct mds_counters mds_counters(const struct mds *mds)
{
	return mds->counters;
}

struct blob mds_status_json(struct mds *mds, struct arena *arena)
{
	struct json_out json = json_out(arena);
	const struct txn_stats *stats = &mds->txn.stats;
	json_object_begin(&json, NULL);
	json_str(&json, "kind", STR("mdt"));
	json_u64(&json, "index", mds->sb.index);
	json_str(&json, "fsname", str_of(mds->sb.fsname));
	json_u64(&json, "boot", mds->sb.boot);
	json_u64(&json, "uptime_ms", (env_now_ns(mds->env) - mds->started_ns) / NS_PER_MS);
	json_u64(&json, "epoch", mds->map->epoch);
	json_u64(&json, "inodes", mds->inodes);
	json_u64(&json, "sessions", mds->sessions.by_client.count);
	json_u64(&json, "opens", mds->sessions.open_count);
	json_u64(&json, "writer_marks", mds->sessions.mark_count);
	json_u64(&json, "leases", mds->sessions.hold_count);
	json_u64(&json, "lease_grants", mds->counters.grants);
	json_u64(&json, "lease_recalls", mds->counters.recalls);
	json_u64(&json, "locks", mds->locks.held_count);
	json_u64(&json, "lock_waiters", mds->locks.wait_count);
	json_u64(&json, "glimpses", mds->counters.glimpses);
	json_u64(&json, "purges_waiting", mds->counters.purges_queued - mds->counters.purges_done);
	json_u64(&json, "clients_to_reclaim", mds->grace_wait);
	json_u64(&json, "dropped_messages", rpc_dropped_messages(mds->rpc));
	json_object_begin(&json, "commits");
	json_u64(&json, "batches", stats->batches);
	json_u64(&json, "records", stats->records);
	json_u64(&json, "mean_us", stats->batches > 0 ? stats->commit_ns / stats->batches / NS_PER_US : 0);
	json_u64(&json, "max_us", stats->commit_ns_max / NS_PER_US);
	json_end(&json);
	json_object_begin(&json, "cache");
	json_u64(&json, "bytes", mds->txn.bytes);
	json_u64(&json, "hits", stats->hits);
	json_u64(&json, "misses", stats->misses);
	json_end(&json);
	rpc_counts_json(mds->rpc, &json);
	if (mds->mgs != NULL)
		mgs_status(mds, &json);
	json_end(&json);
	return json_blob(&json);
}
