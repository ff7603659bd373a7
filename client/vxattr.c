/* SPDX-License-Identifier: Apache-2.0
 * Virtual extended attributes: the command line's questions and wishes (common/cluster/vxattr.h is the contract). */
#include "common/cluster/vxattr.h"

#include "client/client_impl.h"
#include "client/json_in.h"
#include "common/base/json_out.h"
#include "proto/rows.h"

#include <sys/stat.h>

static bool has_prefix(struct str name, struct str prefix)
{
	return name.len >= prefix.len && memcmp(name.ptr, prefix.ptr, prefix.len) == 0;
}

bool vxattr_is(struct str name)
{
	return has_prefix(name, STR(VXATTR_PREFIX));
}

static void put_fid(struct json_out *json, struct ino ino)
{
	char text[INO_TEXT_BYTES];
	ino_to_text(ino, text);
	json_str(json, "fid", str_of(text));
}

static int get_mode(struct client *client, struct client_op *op, struct ino ino, uint32_t *ret_mode)
{
	struct getattr_req req = {.ino = ino};
	struct getattr_rep rep;
	int rc = session_mdt_call(client, ino, &(struct call){.op = OP_getattr, .req = &req, .rep = &rep, .who = op});
	if (rc == 0)
		*ret_mode = rep.attr.mode;
	return rc;
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

static void put_osts(struct json_out *json, const struct layout *layout, const struct component *component)
{
	json_array_begin(json, "osts");
	for (uint32_t i = 0; i < component->ost_count; i++)
		json_u64(json, NULL, layout->osts[component->osts_at + i]);
	json_end(json);
}

static void put_component(struct json_out *json, const struct layout *layout, const struct component *component, bool placed)
{
	json_object_begin(json, NULL);
	json_u64(json, "id", component->id);
	json_u64(json, "start", component->start);
	if (component->end == LAYOUT_EOF)
		json_none(json, "end");
	else
		json_u64(json, "end", component->end);
	json_str(json, "pattern", STR("raid0"));
	json_array_begin(json, "flags");
	if (component->flags & COMPONENT_INIT)
		json_str(json, NULL, STR("init"));
	json_end(json);
	json_str(json, "pool", str_of(component->pool));
	json_u64(json, "stripe_size", component->stripe_bytes != 0 ? component->stripe_bytes : STRIPE_BYTES_DEFAULT);
	if (!placed && component->stripe_count == STRIPE_COUNT_ALL)
		json_i64(json, "stripe_count", -1);
	else
		json_u64(json, "stripe_count", component->stripe_count != 0 ? component->stripe_count : 1);
	if (placed && component->ost_count > 0)
		json_u64(json, "stripe_index", layout->osts[component->osts_at]);
	else if (component->stripe_index == STRIPE_INDEX_ANY)
		json_i64(json, "stripe_index", -1);
	else
		json_u64(json, "stripe_index", component->stripe_index);
	put_osts(json, layout, component);
	json_end(json);
}

static int get_layout(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct blob *ret_value)
{
	uint32_t mode = 0;
	int rc = get_mode(client, op, ino, &mode);
	if (rc < 0)
		return rc;
	bool is_file = S_ISREG(mode);
	if (!is_file && !S_ISDIR(mode))
		return fail(ENODATA);
	struct get_layout_req req = {
		.cred = session_cred(op),
		.ino = ino,
		.target = is_file ? LAYOUT_OF_FILE : LAYOUT_DEFAULT_OF_DIR,
	};
	struct get_layout_rep rep;
	rc = session_mdt_call(client, ino,
			      &(struct call){.op = OP_get_layout, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred, .who = op});
	if (rc < 0)
		return rc;
	struct layout *layout = arena_alloc(arena, sizeof(*layout));
	rc = layout_decode(rep.layout, layout);
	if (rc < 0)
		return rc;
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	json_str(&json, "kind", is_file ? STR("file") : STR("dir"));
	put_fid(&json, ino);
	/* What its writer here has not saved yet, the MDT does not know. */
	const struct node *node = node_find(client, ino);
	bool is_inline = node != NULL && node->data_place != DATA_PLACE_UNKNOWN ? node->data_place == DATA_INLINE : rep.is_inline != 0;
	if (is_file) {
		json_u64(&json, "gen", layout->gen);
		json_bool(&json, "inline", is_inline);
	} else {
		json_bool(&json, "inherited", rep.inherited != 0);
	}
	json_array_begin(&json, "components");
	for (uint32_t i = 0; i < layout->component_count; i++)
		put_component(&json, layout, &layout->components[i], is_file);
	json_end(&json);
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

/* {"stripe_count", "stripe_size", "stripe_index", "osts"} as a wanted layout. EINVAL. */
static int wanted_layout(struct blob value, struct arena *arena, struct layout *ret_layout)
{
	struct json_in object;
	int64_t count, bytes, index;
	int rc = json_in_parse(value, arena, &object);
	if (rc == 0)
		rc = json_in_number(&object, "stripe_count", 0, -1, LAYOUT_STRIPES_MAX, &count);
	if (rc == 0)
		rc = json_in_number(&object, "stripe_size", 0, 0, STRIPE_BYTES_MAX, &bytes);
	if (rc == 0)
		rc = json_in_number(&object, "stripe_index", -1, -1, STRIPE_INDEX_ANY - 1, &index);
	if (rc < 0)
		return rc;
	struct layout layout;
	layout_init_wanted(&layout, count < 0 ? STRIPE_COUNT_ALL : (uint16_t)count, (uint32_t)bytes,
			   index < 0 ? STRIPE_INDEX_ANY : (uint16_t)index);
	const struct json_in_member *osts = json_in_find(&object, "osts");
	if (osts != NULL && osts->kind != JSON_IN_NUMBERS)
		return fail(EINVAL);
	if (osts != NULL && osts->number_count > 0) {
		struct component *component = &layout.components[0];
		if (osts->number_count > LAYOUT_STRIPES_MAX || (count != 0 && (uint64_t)count != osts->number_count))
			return fail(EINVAL);
		component->flags |= COMPONENT_OST_LIST;
		component->stripe_count = component->ost_count = layout.ost_total = (uint16_t)osts->number_count;
		for (size_t i = 0; i < osts->number_count; i++) {
			if (osts->numbers[i] < 0 || osts->numbers[i] > UINT16_MAX)
				return fail(EINVAL);
			layout.osts[i] = (uint16_t)osts->numbers[i];
		}
	}
	rc = layout_check(&layout, false);
	if (rc == 0)
		*ret_layout = layout;
	return rc;
}

static int send_layout(struct client *client, struct client_op *op, struct ino ino, uint8_t target, struct blob bytes, struct arena *arena)
{
	struct set_layout_req req = {.cred = session_cred(op), .ino = ino, .target = target, .layout = bytes};
	struct set_layout_rep rep;
	int rc = session_mdt_call(client, ino,
				  &(struct call){.op = OP_set_layout, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred, .who = op});
	struct node *node = rc == 0 && target == LAYOUT_OF_FILE ? node_find(client, ino) : NULL;
	return node != NULL ? node_set_layout(node, rep.layout) : rc;
}

static int set_layout(struct client *client, struct client_op *op, struct ino ino, struct blob value)
{
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	uint32_t mode = 0;
	int rc = get_mode(client, op, ino, &mode);
	if (rc < 0)
		return rc;
	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return fail(ENODATA);
	struct node *node = node_find(client, ino);
	if (node != NULL && node->dirty)
		rc = attr_publish(client, op, node); /* the MDT must know that it has data */
	if (rc < 0)
		return rc;
	struct layout *layout = arena_alloc(&arena, sizeof(*layout));
	rc = wanted_layout(value, &arena, layout);
	if (rc < 0)
		return rc;
	uint8_t *bytes = arena_alloc(&arena, WIRE_BYTES_BYTES_MAX);
	struct wire_out out = wire_out(bytes, WIRE_BYTES_BYTES_MAX);
	layout_encode(layout, &out);
	if (out.err < 0)
		return fail(EINVAL);
	return send_layout(client, op, ino, S_ISREG(mode) ? LAYOUT_OF_FILE : LAYOUT_DEFAULT_OF_DIR, blob_of(bytes, wire_len(&out)), &arena);
}

static int remove_layout(struct client *client, struct client_op *op, struct ino ino)
{
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	uint32_t mode = 0;
	int rc = get_mode(client, op, ino, &mode);
	if (rc < 0)
		return rc;
	if (!S_ISDIR(mode))
		return fail(ENODATA);
	return send_layout(client, op, ino, LAYOUT_DEFAULT_OF_DIR, blob_of(NULL, 0), &arena);
}

/* ---- the cluster -------------------------------------------------------------------------------------------------- */

static const char *state_name(uint8_t state)
{
	switch (state) {
	case TARGET_UP:
		return "up";
	case TARGET_STARTING:
		return "starting";
	case TARGET_RECOVERING:
		return "recovering";
	default:
		return "down";
	}
}

static void put_target(struct json_out *json, const struct client *client, const struct cmap_target *row, const struct target_space *space)
{
	char name[40];
	cmap_target_name(client->map, row, name);
	json_object_begin(json, NULL);
	json_str(json, "name", str_of(name));
	json_str(json, "kind", row->kind == TARGET_MDT ? STR("mdt") : STR("ost"));
	json_u64(json, "index", row->index);
	json_str(json, "state", str_of(state_name(row->state)));
	json_str(json, "address", str_of(row->address));
	json_bool(json, "active", space != NULL && space->active);
	if (space != NULL && space->target->waiting_since_ns != 0)
		json_u64(json, "waiting_ms", (env_now_ns(client->env) - space->target->waiting_since_ns) / NS_PER_MS);
	if (space != NULL && space->active) {
		json_u64(json, "total_bytes", space->total_bytes);
		json_u64(json, "free_bytes", space->free_bytes);
		json_u64(json, "available_bytes", space->available_bytes);
		json_u64(json, "inodes_used", space->inodes_used);
		json_u64(json, "inodes_free", space->inodes_free);
	}
	json_end(json);
}

static const struct target_space *find_space(const struct target_space *rows, size_t count, const struct cmap_target *row)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].target->kind == row->kind && rows[i].target->index == row->index)
			return &rows[i];
	return NULL;
}

static int get_cluster(struct client *client, struct arena *arena, struct blob *ret_value)
{
	struct target_space *rows;
	size_t count = space_gather(client, arena, &rows);
	const struct cmap *map = client->map;
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	json_str(&json, "fsname", str_of(map->fsname));
	json_u64(&json, "client", client->identity.client);
	json_str(&json, "mountpoint", str_of(client->mountpoint));
	json_str(&json, "mgs", str_of(client->mgs_address));
	json_u64(&json, "epoch", map->epoch);
	json_array_begin(&json, "targets");
	for (uint32_t i = 0; i < map->target_count; i++)
		put_target(&json, client, &map->targets[i], find_space(rows, count, &map->targets[i]));
	json_end(&json);
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

static int get_stats(struct client *client, struct arena *arena, struct blob *ret_value)
{
	const struct client_counters *counters = &client->counters;
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	if (client->on_stats != NULL)
		client->on_stats(client->on_stats_ctx, &json);
	rpc_counts_json(client->rpc, &json);
	json_object_begin(&json, "hits");
	json_u64(&json, "attr", counters->attr_hits);
	json_u64(&json, "name", counters->name_hits);
	json_u64(&json, "list", counters->list_hits);
	json_u64(&json, "open", counters->open_hits);
	json_end(&json);
	json_u64(&json, "recalls", counters->recalls);
	json_u64(&json, "sizes_settled", counters->sizes_settled); /* the kernel was made to take in how long a file is */
	json_u64(&json, "sizes_given_up", counters->sizes_given_up);
	json_u64(&json, "recalls_waited", counters->timeouts_run_down); /* for the kernel, which nothing else makes forget a name */
	json_u64(&json, "nodes", client_node_count(client));
	json_object_begin(&json, "behind");
	json_u64(&json, "bytes", client->behind_bytes);
	json_u64(&json, "written_bytes", counters->behind_bytes);
	json_u64(&json, "flushes", counters->behind_flushes);
	json_u64(&json, "reads", counters->behind_reads);
	json_u64(&json, "waits", counters->behind_waits);
	json_end(&json);
	json_object_begin(&json, "ahead");
	json_u64(&json, "bytes", counters->ahead_bytes);
	json_u64(&json, "unused_bytes", counters->ahead_unused);
	json_u64(&json, "hits", counters->ahead_hits);
	json_end(&json);
	json_object_begin(&json, "copies");
	json_u64(&json, "bytes", counters->copied_bytes);
	json_u64(&json, "on_servers_bytes", counters->copied_on_servers);
	json_end(&json);
	json_u64(&json, "unstable_bytes", client_unstable_bytes(client));
	json_u64(&json, "unsaved_bytes", client_unsaved_bytes(client));
	json_u64(&json, "atimes_untold", atime_count(client));
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

void client_on_stats(struct client *client, void (*fn)(void *ctx, struct json_out *json), void *ctx)
{
	client->on_stats = fn;
	client->on_stats_ctx = ctx;
}

static int get_place(struct client *client, struct ino ino, struct arena *arena, struct blob *ret_value)
{
	uint32_t mdt = cmap_mdt_of(client->map, ino);
	if (mdt == UINT32_MAX)
		return fail(ESTALE);
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	put_fid(&json, ino);
	json_u64(&json, "mdt_index", mdt);
	json_u64(&json, "mdt_count", 1);
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

static int get_paths(struct client *client, struct client_op *op, struct str fid, struct arena *arena, struct blob *ret_value)
{
	struct ino ino;
	int rc = ino_from_text(fid, &ino);
	if (rc < 0)
		return rc;
	struct ino_paths_req req = {.cred = session_cred(op), .ino = ino};
	struct ino_paths_rep rep;
	rc = session_mdt_call(client, ino,
			      &(struct call){.op = OP_ino_paths, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred, .who = op});
	if (rc == -ESTALE)
		return fail(ENOENT);
	if (rc < 0)
		return rc;
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	put_fid(&json, ino);
	json_array_begin(&json, "paths");
	for (size_t at = 0; at < rep.paths.len;) {
		const char *path = (const char *)rep.paths.ptr + at;
		size_t len = strnlen(path, rep.paths.len - at);
		json_str(&json, NULL, (struct str){path, len});
		at += len + 1;
	}
	json_end(&json);
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

/* ---- locks -------------------------------------------------------------------------------------------------------- */

static const char *lock_kind_name(uint8_t kind)
{
	return kind == LOCK_KIND_FLOCK ? "flock" : kind == LOCK_KIND_OFD ? "ofd" : "posix";
}

/* All clients that live, as the management service knows them, or as many as it says; rows in arena. */
static size_t list_clients(struct client *client, struct arena *arena, struct client_row **ret_rows)
{
	struct client_row *rows = NULL;
	size_t count = 0, room = 0;
	for (bool end = false; !end;) {
		struct client_list_req req = {.after = count > 0 ? rows[count - 1].client : 0};
		struct client_list_rep rep;
		int rc = rpc_client_list(client->mgs, &req, &rep, &(struct rpc_args){.arena = arena, .timeout_ns = client->conf.attempt_ns});
		struct wire_in in = wire_in(rc == 0 ? rep.clients : (struct blob){0});
		size_t before = count;
		while (wire_left(&in) > 0) {
			struct client_row row = client_row_get(&in);
			if (in.err < 0)
				break;
			if (count == room) {
				struct client_row *more = arena_alloc(arena, (room = room * 2 + 64) * sizeof(*more));
				if (count > 0)
					memcpy(more, rows, count * sizeof(*more));
				rows = more;
			}
			rows[count++] = row;
		}
		end = rc < 0 || rep.end != 0 || count == before;
	}
	*ret_rows = rows;
	return count;
}

static void put_lock(struct json_out *json, struct arena *arena, const struct lock_row *row, const struct client_row *clients, size_t count)
{
	static const struct client_row nobody;
	const struct client_row *found = &nobody;
	for (size_t i = 0; i < count; i++)
		if (clients[i].client == row->client)
			found = &clients[i];
	json_object_begin(json, NULL);
	json_str(json, "state", row->waits ? STR("waits") : STR("held"));
	json_str(json, "kind", str_of(lock_kind_name(row->kind)));
	json_str(json, "type", row->type == LOCK_TYPE_READ ? STR("read") : STR("write"));
	json_u64(json, "start", row->start);
	if (row->end == UINT64_MAX)
		json_none(json, "end");
	else
		json_u64(json, "end", row->end);
	json_u64(json, "client", row->client);
	json_str(json, "host", found->host);
	json_str(json, "mountpoint", found->mountpoint);
	json_u64(json, "pid", row->pid);
	json_str(json, "owner", str_of(arena_printf(arena, "%016llx", (unsigned long long)row->owner)));
	json_end(json);
}

static int get_locks(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct blob *ret_value)
{
	struct lock_list_req req = {.ino = ino};
	struct lock_list_rep rep;
	struct client_row *clients = NULL;
	int rc = session_mdt_call(client, ino, &(struct call){.op = OP_lock_list, .req = &req, .rep = &rep, .arena = arena, .who = op});
	if (rc < 0)
		return rc;
	size_t count = rep.locks.len > 0 ? list_clients(client, arena, &clients) : 0;
	struct json_out json = json_out(arena);
	json_object_begin(&json, NULL);
	put_fid(&json, ino);
	json_bool(&json, "more", rep.more != 0);
	json_array_begin(&json, "locks");
	struct wire_in in = wire_in(rep.locks);
	while (wire_left(&in) > 0) {
		struct lock_row row = lock_row_get(&in);
		if (in.err < 0)
			return fail(ERR_malformed);
		put_lock(&json, arena, &row, clients, count);
	}
	json_end(&json);
	json_end(&json);
	*ret_value = json_blob(&json);
	return 0;
}

static int set_mkdir(struct client *client, struct client_op *op, struct ino parent, struct blob value)
{
	CLEANUP(arena_fini) struct arena arena;
	arena_init(&arena);
	struct json_in object;
	int64_t mode, index, count;
	int rc = json_in_parse(value, &arena, &object);
	if (rc == 0)
		rc = json_in_number(&object, "mode", 0755, 0, 07777, &mode);
	if (rc == 0)
		rc = json_in_number(&object, "mdt_index", -1, -1, UINT16_MAX, &index);
	if (rc == 0)
		rc = json_in_number(&object, "mdt_count", 1, 0, UINT16_MAX, &count);
	if (rc < 0)
		return rc;
	const struct json_in_member *name = json_in_find(&object, "name");
	if (name == NULL || name->kind != JSON_IN_STRING || name->text.len == 0 || name->text.len > NAME_BYTES_MAX ||
	    memchr(name->text.ptr, '/', name->text.len) != NULL || memchr(name->text.ptr, '\0', name->text.len) != NULL)
		return fail(EINVAL);
	if (index >= 0 && cmap_find(client->map, TARGET_MDT, (uint32_t)index) == NULL)
		return fail(EINVAL);
	if (count > 1)
		return fail(EOPNOTSUPP);
	struct mkdir_req req = {
		.cred = session_cred(op),
		.parent = parent,
		.name = name->text,
		.mode = (uint32_t)mode,
		.mdt_index = index + 1,
		.stripe_count = (uint32_t)count,
	};
	struct mkdir_rep rep;
	return session_mdt_call(client, parent, &(struct call){.op = OP_mkdir, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
}

/* ---- by name ------------------------------------------------------------------------------------------------------- */

int vxattr_get(struct client *client, struct client_op *op, struct ino ino, struct str name, struct arena *arena, struct blob *ret_value)
{
	if (str_eq(name, STR(VXATTR_FID))) {
		char *text = arena_alloc(arena, INO_TEXT_BYTES);
		ino_to_text(ino, text);
		*ret_value = blob_of(text, strlen(text));
		return 0;
	}
	if (str_eq(name, STR(VXATTR_LAYOUT)))
		return get_layout(client, op, ino, arena, ret_value);
	if (str_eq(name, STR(VXATTR_PLACE)))
		return get_place(client, ino, arena, ret_value);
	if (str_eq(name, STR(VXATTR_CLUSTER)))
		return get_cluster(client, arena, ret_value);
	if (str_eq(name, STR(VXATTR_LOCKS)))
		return get_locks(client, op, ino, arena, ret_value);
	if (str_eq(name, STR(VXATTR_STATS)))
		return get_stats(client, arena, ret_value);
	struct str paths = STR(VXATTR_PATHS);
	if (has_prefix(name, paths))
		return get_paths(client, op, (struct str){name.ptr + paths.len, name.len - paths.len}, arena, ret_value);
	return fail(ENODATA);
}

int vxattr_set(struct client *client, struct client_op *op, struct ino ino, struct str name, struct blob value)
{
	if (str_eq(name, STR(VXATTR_LAYOUT)))
		return set_layout(client, op, ino, value);
	if (str_eq(name, STR(VXATTR_MKDIR)))
		return set_mkdir(client, op, ino, value);
	return fail(ENODATA);
}

int vxattr_remove(struct client *client, struct client_op *op, struct ino ino, struct str name)
{
	return str_eq(name, STR(VXATTR_LAYOUT)) ? remove_layout(client, op, ino) : fail(ENODATA);
}
