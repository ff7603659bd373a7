/* SPDX-License-Identifier: Apache-2.0
 * The life of an OST: formatting its store, start, service, stop, and what it tells of itself. */
#include "oss/oss_impl.h"
#include "common/base/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

enum { SUPERBLOCK_VERSION = 1, SUPERBLOCK_BYTES = 64, BUFFERS_DEFAULT = 64, OPEN_FILES_DEFAULT = 1024 };
#define SUPERBLOCK_MAGIC UINT32_C(0x3054534f) /* "OST0" */
#define LABEL_PATH       "store" /* beside the objects' directories */
enum { LABEL_BYTES = 16 };

struct superblock {
	uint64_t cluster_hi, cluster_lo, store_hi, store_lo, boot;
	uint32_t index;
	char fsname[FSNAME_BYTES_MAX + 1];
};

static int say(char error[OST_ERROR_BYTES], int rc, const char *text)
{
	(void)snprintf(error, OST_ERROR_BYTES, "%s", text);
	return rc;
}

/* ---- superblock ----------------------------------------------------------------------------------------------- */

static void superblock_encode(const struct superblock *sb, uint8_t bytes[SUPERBLOCK_BYTES])
{
	struct wire_out out = wire_out(bytes, SUPERBLOCK_BYTES);
	memset(bytes, 0, SUPERBLOCK_BYTES);
	wire_put_u8(&out, SUPERBLOCK_VERSION);
	wire_put_u32(&out, SUPERBLOCK_MAGIC);
	wire_put_u64(&out, sb->cluster_hi);
	wire_put_u64(&out, sb->cluster_lo);
	wire_put_u64(&out, sb->store_hi);
	wire_put_u64(&out, sb->store_lo);
	wire_put_u64(&out, sb->boot);
	wire_put_u32(&out, sb->index);
	wire_put_bytes(&out, sb->fsname, FSNAME_BYTES_MAX);
	CHECK(out.err == 0);
}

static int superblock_decode(struct blob value, struct superblock *ret_sb)
{
	struct wire_in in = wire_in(value);
	uint8_t version = wire_get_u8(&in);
	if (value.len != SUPERBLOCK_BYTES || wire_get_u32(&in) != SUPERBLOCK_MAGIC)
		return fail(ERR_corrupt);
	if (version > SUPERBLOCK_VERSION)
		return fail(ERR_version);
	struct superblock sb = {.cluster_hi = wire_get_u64(&in)};
	sb.cluster_lo = wire_get_u64(&in);
	sb.store_hi = wire_get_u64(&in);
	sb.store_lo = wire_get_u64(&in);
	sb.boot = wire_get_u64(&in);
	sb.index = wire_get_u32(&in);
	memcpy(sb.fsname, wire_get_bytes(&in, FSNAME_BYTES_MAX).ptr, FSNAME_BYTES_MAX);
	*ret_sb = sb;
	return 0;
}

static int superblock_write(struct env *env, const struct superblock *sb)
{
	uint8_t bytes[SUPERBLOCK_BYTES];
	superblock_encode(sb, bytes);
	struct kv_op op = {blob_of("superblock", 10), blob_of(bytes, sizeof(bytes))};
	return env->kv->ops->write(env->kv, &op, 1, true);
}

static int superblock_read(struct env *env, struct superblock *ret_sb)
{
	struct arena arena;
	struct blob value;
	arena_init(&arena);
	int rc = env->kv->ops->get(env->kv, blob_of("superblock", 10), &arena, &value);
	if (rc == 0)
		rc = superblock_decode(value, ret_sb);
	arena_fini(&arena);
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

/* A file beside the objects names the store that they belong to: objects and records of different stores do not mix. */
static int label_write(struct env *env, const struct superblock *sb)
{
	uint8_t label[LABEL_BYTES];
	struct disk_file *file = NULL;
	store_le64(label, sb->store_hi);
	store_le64(label + 8, sb->store_lo);
	int rc = env->disk->ops->open(env->disk, LABEL_PATH, DISK_READ | DISK_WRITE | DISK_CREATE, &file);
	if (rc < 0)
		return rc;
	rc = env->disk->ops->write(file, label, sizeof(label), 0);
	if (rc == 0)
		rc = env->disk->ops->file_sync(file);
	env->disk->ops->close(file);
	return rc == 0 ? env->disk->ops->dir_sync(env->disk, ".") : rc;
}

static int label_check(struct env *env, const struct superblock *sb)
{
	uint8_t label[LABEL_BYTES] = {0};
	struct disk_file *file = NULL;
	int rc = env->disk->ops->open(env->disk, LABEL_PATH, DISK_READ, &file);
	if (rc < 0)
		return rc == -ENOENT ? fail(ERR_wrong_target) : rc;
	int64_t len = env->disk->ops->read(file, label, sizeof(label), 0);
	env->disk->ops->close(file);
	if (len < 0)
		return (int)len;
	return load_le64(label) == sb->store_hi && load_le64(label + 8) == sb->store_lo ? 0 : fail(ERR_wrong_target);
}

int ost_format(struct env *env, const struct ost_format_opts *opts, char ret_error[OST_ERROR_BYTES])
{
	struct superblock sb;
	if (!fsname_valid(opts->fsname))
		return say(ret_error, fail(EINVAL), "the name of a file system is 1 to 8 letters and digits");
	if (opts->index >= UINT16_MAX)
		return say(ret_error, fail(EINVAL), "the index of an OST is 0 to 65534");
	int rc = superblock_read(env, &sb);
	if (rc != -ENOENT && !opts->force)
		return say(ret_error, rc < 0 ? rc : fail(EEXIST),
			   rc < 0 ? "the store holds something else: give another directory"
				  : "this store is formatted already: give another directory, or delete it first");
	rc = objects_make_dirs(env);
	if (rc < 0)
		return say(ret_error, rc, "the directories of objects cannot be made");
	sb = (struct superblock){.store_hi = env_random_u64(env), .store_lo = env_random_u64(env), .index = opts->index};
	memcpy(sb.fsname, opts->fsname, strlen(opts->fsname));
	rc = label_write(env, &sb);
	if (rc == 0)
		rc = superblock_write(env, &sb);
	return rc < 0 ? say(ret_error, rc, "the store cannot be written") : 0;
}

int ost_write_superblock(struct ost *ost)
{
	struct superblock sb = {
		.cluster_hi = ost->identity.cluster_hi,
		.cluster_lo = ost->identity.cluster_lo,
		.store_hi = ost->store_hi,
		.store_lo = ost->store_lo,
		.boot = ost->identity.boot,
		.index = ost->identity.index,
	};
	memcpy(sb.fsname, ost->fsname, FSNAME_BYTES_MAX);
	return superblock_write(ost->env, &sb);
}

/* ---- states --------------------------------------------------------------------------------------------------- */

void ost_set_state(struct ost *ost, uint8_t state)
{
	static const char *const names[] = {"down", "starting", "recovering", "up"};
	if (ost->identity.state == state)
		return;
	ost->identity.state = state;
	log_line(ost->conf.log, LOG_LEVEL_INFO, "ost", "state=%s boot=%" PRIu64, names[state], ost->identity.boot);
	waitq_wake_all(&ost->beat_q);
}

void ost_fail(struct ost *ost, const char *what, int rc)
{
	if (ost->failed < 0)
		return;
	ost->failed = rc;
	ost->identity.state = TARGET_DOWN;
	log_line(ost->conf.log, LOG_LEVEL_ERROR, "ost", "what=\"%s\" err=%s did=\"this OST stops: mend its disk, then start it again\"", what,
		 err_name(rc));
	if (ost->conf.stopped != NULL)
		ost->conf.stopped(ost->conf.stopped_ctx, rc);
}

static void kv_failed(void *ctx, int rc)
{
	ost_fail(ctx, "the store could not be written", rc);
}

/* ---- service -------------------------------------------------------------------------------------------------- */

static struct blob status_json(struct ost *ost, struct arena *arena)
{
	struct json_out json = json_out(arena);
	const struct ost_counters *c = &ost->counters;
	json_object_begin(&json, NULL);
	json_str(&json, "kind", STR("ost"));
	json_u64(&json, "index", ost->identity.index);
	json_str(&json, "fsname", str_of(ost->fsname));
	json_u64(&json, "boot", ost->identity.boot);
	json_u64(&json, "uptime_ms", (env_now_ns(ost->env) - ost->started_ns) / NS_PER_MS);
	json_u64(&json, "epoch", ost->map != NULL ? ost->map->epoch : 0);
	json_u64(&json, "objects_in_memory", ost->objects.count);
	json_u64(&json, "files_open", ost->open_count);
	json_u64(&json, "buffers_free", ost->free_count);
	json_u64(&json, "dropped_messages", rpc_dropped_messages(ost->rpc));
	json_u64(&json, "reads", c->reads);
	json_u64(&json, "read_bytes", c->read_bytes);
	json_u64(&json, "writes", c->writes);
	json_u64(&json, "written_bytes", c->written_bytes);
	json_u64(&json, "commits", c->commits);
	json_u64(&json, "copies", c->copies);
	json_u64(&json, "copied_bytes", c->copied_bytes);
	json_u64(&json, "copied_far_bytes", c->copied_far_bytes);
	json_u64(&json, "destroyed", c->destroyed);
	json_u64(&json, "checksum_errors", c->sum_errors);
	json_u64(&json, "flux_marks", c->flux_marks);
	json_u64(&json, "replays", c->replays_applied);
	json_u64(&json, "late_copies", c->late_copies);
	json_u64(&json, "commits_for_evicted", c->evicted_commits);
	rpc_counts_json(ost->rpc, &json);
	json_end(&json);
	return json_blob(&json);
}

static int dispatch(struct ost *ost, struct rpc_call *call, const void *req, void *rep)
{
	switch (call->op->number) {
#define OP(name, number, flags, since, text) \
	case OP_##name:                      \
		return ost_op_##name(ost, call, req, rep);
	PROTO_OSS_OPS(OP)
#undef OP
	default:
		return fail(ERR_unknown_op);
	}
}

static int serve(void *ctx, struct rpc_call *call, const void *req, void *rep)
{
	struct ost *ost = ctx;
	if (call->op->number == OP_status) {
		((struct status_rep *)rep)->json = status_json(ost, &call->arena);
		return 0;
	}
	if (ost->map == NULL || ost->stopping || ost->failed < 0 || ost->identity.state == TARGET_STARTING)
		return fail(ERR_not_ready);
	if (call->op->number == OP_ost_statfs)
		return dispatch(ost, call, req, rep);
	if (call->frame.client == 0)
		return fail(ERR_no_session);
	if (call->frame.epoch > ost->map->epoch) {
		int rc = mapping_catch_up(ost, call->frame.epoch);
		if (rc < 0)
			return rc;
	}
	struct client *client = client_need(ost, call->frame.client);
	if (client->evicted || cmap_is_evicted(ost->map, client->id)) {
		ost->counters.evicted_refused++;
		return fail(ERR_evicted);
	}
	client->running++;
	int rc = dispatch(ost, call, req, rep);
	client->running--;
	if (client->evicted)
		waitq_wake_all(&ost->drained_q);
	/* A damaged disk is our trouble and the application's EIO; a store that stops us is somebody's to mend: others wait for it. */
	return ost->failed < 0 ? fail(ERR_not_ready) : rc;
}

static void newer_epoch(void *ctx, uint64_t epoch)
{
	struct ost *ost = ctx;
	ost->wanted_epoch = max_u64(ost->wanted_epoch, epoch); /* fetched when a request needs it, or with the next beat */
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

struct ost *ost_new(struct env *env, const struct ost_conf *conf)
{
	struct ost *ost = mem_alloc(sizeof(*ost));
	ost->env = env;
	ost->conf = *conf;
	if (ost->conf.buffers == 0)
		ost->conf.buffers = BUFFERS_DEFAULT;
	if (ost->conf.open_files_max == 0)
		ost->conf.open_files_max = OPEN_FILES_DEFAULT;
	ost->identity = (struct rpc_identity){.role = ROLE_OST, .kind = TARGET_OST, .state = TARGET_STARTING};
	kvq_init(&ost->kvq, env, kv_failed, ost);
	map_init(&ost->objects);
	map_init(&ost->clients);
	map_init(&ost->tombs);
	list_init(&ost->open_objects);
	list_init(&ost->tomb_order);
	waitq_init(&ost->map_changed);
	waitq_init(&ost->drained_q);
	waitq_init(&ost->beat_q);
	waitq_init(&ost->recover_q);
	waitq_init(&ost->buffer_q);
	waitq_init(&ost->copier.buffer_q);
	list_init(&ost->copier.sources);
	return ost;
}

static int open_store(struct ost *ost)
{
	struct superblock sb;
	int rc = superblock_read(ost->env, &sb);
	if (rc == -ENOENT)
		return say(ost->error, fail(ERR_no_format), "this store is not formatted: run stria-admin format ost --store DIR");
	if (rc == -ERR_version)
		return say(ost->error, rc, "this store was written by a newer version of Stria: use that version");
	if (rc < 0)
		return say(ost->error, rc, "this is not the store of an OST, or it is damaged: check --ost, or restore a backup");
	rc = label_check(ost->env, &sb);
	if (rc == -ERR_wrong_target)
		return say(ost->error, rc, "its objects and its records are of different stores: put both back where they were");
	if (rc < 0)
		return say(ost->error, rc, "its objects cannot be read");
	sb.boot++;
	ost->store_hi = sb.store_hi;
	ost->store_lo = sb.store_lo;
	memcpy(ost->fsname, sb.fsname, sizeof(ost->fsname));
	ost->identity.index = sb.index;
	ost->identity.boot = sb.boot;
	ost->identity.cluster_hi = sb.cluster_hi;
	ost->identity.cluster_lo = sb.cluster_lo;
	ost->identity.client = rpc_target_client(TARGET_OST, sb.index);
	rc = superblock_write(ost->env, &sb);
	return rc < 0 ? say(ost->error, rc, "the store cannot be written: is its disk full or broken?") : 0;
}

static int start_rpc(struct ost *ost, char ret_address[NET_ADDR_BYTES_MAX])
{
	static const struct rpc_server_ops ops = {.serve = serve, .newer_epoch = newer_epoch};
	ost->rpc = rpc_new(ost->env, &ost->identity, &ops, ost, NULL);
	ost->mgs = rpc_peer_new(ost->rpc, ost->conf.mgs);
	int rc = rpc_listen(ost->rpc, ost->conf.listen, ost->address);
	if (rc < 0) {
		(void)snprintf(ost->error, sizeof(ost->error), "cannot listen at %.100s: %s", ost->conf.listen, err_text(rc));
		return rc;
	}
	(void)snprintf(ret_address, NET_ADDR_BYTES_MAX, "%s", ost->address);
	rc = buffers_init(ost, ost->conf.buffers);
	if (rc == 0)
		rc = copier_init(ost);
	return rc < 0 ? say(ost->error, rc, "memory for transfers cannot be registered") : 0;
}

int ost_start(struct ost *ost, char ret_address[NET_ADDR_BYTES_MAX])
{
	ost->started_ns = env_now_ns(ost->env);
	int rc = open_store(ost);
	if (rc == 0)
		rc = start_rpc(ost, ret_address);
	if (rc < 0)
		return rc;
	kvq_start(&ost->kvq);
	rc = clients_load(ost);
	if (rc == 0)
		rc = tombs_load(ost);
	if (rc < 0)
		return say(ost->error, rc, "the store cannot be read wholly: it is damaged");
	rc = mapping_register(ost);
	if (rc < 0)
		return rc;
	ost_set_state(ost, TARGET_RECOVERING);
	mapping_start(ost);
	task_spawn(ost->env->loop, "recover", recover_task, ost);
	return 0;
}

/* Everything that was written, one object after the other. */
static void commit_all(struct ost *ost)
{
	for (bool found = true; found && ost->failed == 0;) {
		found = false;
		struct map_iter iter = map_iter_begin(&ost->objects);
		for (struct map_node *node; (node = map_iter_next(&iter)) != NULL && !found;) {
			struct object *object = CONTAINER_OF(node, struct object, node);
			if (object->committed >= object->applied)
				continue;
			found = true;
			object_use(object);
			(void)object_commit(ost, object); /* a failure stops the target */
			object_put(ost, object);
		}
	}
}

void ost_stop(struct ost *ost)
{
	ost->stopping = true;
	waitq_wake_all(&ost->beat_q);
	waitq_wake_all(&ost->recover_q);
	waitq_wake_all(&ost->map_changed);
	waitq_wake_all(&ost->drained_q);
	if (ost->map == NULL || ost->failed < 0)
		return;
	commit_all(ost);
	kvq_stop(&ost->kvq);
}

void ost_free(struct ost *ost)
{
	if (ost == NULL)
		return;
	objects_free(ost);
	clients_free(ost);
	tombs_free(ost);
	if (ost->mgs != NULL)
		rpc_peer_free(ost->mgs);
	if (ost->rpc != NULL)
		rpc_free(ost->rpc);
	buffers_fini(ost);
	copier_fini(ost);
	kvq_fini(&ost->kvq);
	cmap_free(ost->map);
	mem_free(ost);
}

const char *ost_error(const struct ost *ost)
{
	return ost->error;
}

uint8_t ost_state(const struct ost *ost)
{
	return ost->identity.state;
}

uint32_t ost_index(const struct ost *ost)
{
	return ost->identity.index;
}

const char *ost_fsname(const struct ost *ost)
{
	return ost->fsname;
}

bool ost_has_fenced(const struct ost *ost, uint64_t client)
{
	return ost->map != NULL && cmap_is_evicted(ost->map, client);
}

struct ost_counters ost_counters(const struct ost *ost)
{
	return ost->counters;
}
