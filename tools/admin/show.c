/* SPDX-License-Identifier: Apache-2.0
 * What was gathered, for people and for programs. Health says for everything that is wrong since when, and what to do. */
#include "tools/admin/admin.h"

#include <inttypes.h>
#include <stdio.h>

enum { SPACE_LOW_PERCENT = 5 };

const char *admin_state_name(uint8_t state)
{
	static const char *const names[] = {[TARGET_DOWN] = "down", [TARGET_STARTING] = "starting", [TARGET_RECOVERING] = "recovering", [TARGET_UP] = "up"};
	return state < ARRAY_COUNT(names) ? names[state] : "unknown";
}

static const char *state_of(const struct probe *probe)
{
	return probe->rc < 0 ? "down" : admin_state_name(probe->state);
}

void admin_bytes_text(uint64_t bytes, char ret_text[16])
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1024 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(ret_text, 16, unit == 0 ? "%.0f%c" : "%.1f%c", value, units[unit]);
}

void admin_duration_text(uint64_t ms, char ret_text[24])
{
	uint64_t s = ms / 1000;
	if (s < 120)
		(void)snprintf(ret_text, 24, "%" PRIu64 " s", s);
	else if (s < 7200)
		(void)snprintf(ret_text, 24, "%" PRIu64 " min", s / 60);
	else if (s < 172800)
		(void)snprintf(ret_text, 24, "%" PRIu64 " h", s / 3600);
	else
		(void)snprintf(ret_text, 24, "%" PRIu64 " days", s / 86400);
}

/* What the management service remembers of a target: {"name": …, "silent_ms": …} in its status; NULL: nothing. */
static const json_t *mgs_row(const struct admin *admin, const char *name)
{
	for (uint32_t i = 0; i < admin->map->target_count; i++) {
		const json_t *rows = json_object_get(json_object_get(admin->probes[i].status, "mgs"), "targets");
		for (size_t row = 0; row < json_array_size(rows); row++) {
			const json_t *found = json_array_get(rows, row);
			const char *text = json_string_value(json_object_get(found, "name"));
			if (text != NULL && strcmp(text, name) == 0)
				return found;
		}
	}
	return NULL;
}

/* Since when it is as it is, in ms; -1: nobody knows. */
static json_int_t since_ms(const struct admin *admin, const struct probe *probe)
{
	const json_t *value = probe->rc == 0 ? json_object_get(probe->status, "uptime_ms")
					     : json_object_get(mgs_row(admin, probe->name), "silent_ms");
	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static json_t *probe_json(const struct admin *admin, const struct probe *probe)
{
	json_t *row = json_pack("{s:s, s:s, s:i, s:s, s:s, s:I, s:b}", "name", probe->name, "kind",
				probe->target->kind == TARGET_MDT ? "mdt" : "ost", "index", (int)probe->target->index, "address",
				probe->target->address, "state", state_of(probe), "boot", (json_int_t)probe->target->boot, "answers",
				probe->rc == 0);
	json_int_t since = since_ms(admin, probe);
	if (since >= 0)
		(void)json_object_set_new(row, "since_ms", json_integer(since)); /* jansson fails only without memory */
	if (probe->rc < 0)
		(void)json_object_set_new(row, "error", json_string(err_name(probe->rc)));
	else
		(void)json_object_set_new(row, "rtt_us", json_integer((json_int_t)(probe->rtt_ns / NS_PER_US)));
	if (probe->total_bytes > 0) {
		(void)json_object_set_new(row, "total_bytes", json_integer((json_int_t)probe->total_bytes));
		(void)json_object_set_new(row, "available_bytes", json_integer((json_int_t)probe->available_bytes));
	}
	if (probe->status != NULL)
		(void)json_object_set(row, "status", probe->status);
	return row;
}

int admin_print_json(json_t *json)
{
	int rc = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	printf("\n");
	json_decref(json);
	return rc == 0 ? 0 : 1;
}

int admin_show_status(const struct admin *admin)
{
	if (admin->json) {
		json_t *targets = json_array();
		for (uint32_t i = 0; i < admin->map->target_count; i++)
			(void)json_array_append_new(targets, probe_json(admin, &admin->probes[i]));
		json_incref(admin->clients);
		return admin_print_json(json_pack("{s:s, s:I, s:i, s:i, s:o, s:o}", "fsname", admin->map->fsname, "epoch",
					    (json_int_t)admin->map->epoch, "shards", (int)admin->map->shard_count, "evicted",
					    (int)admin->map->evicted_count, "targets", targets, "clients", admin->clients));
	}
	printf("file system %s, map epoch %" PRIu64 ", %u shards, %zu clients, %u evicted\n", admin->map->fsname, admin->map->epoch,
	       admin->map->shard_count, json_array_size(admin->clients), admin->map->evicted_count);
	printf("%-22s %-11s %-9s %9s %9s %5s %7s  %s\n", "TARGET", "STATE", "SINCE", "SIZE", "FREE", "USE%", "RTT", "ADDRESS");
	for (uint32_t i = 0; i < admin->map->target_count; i++) {
		const struct probe *probe = &admin->probes[i];
		char since[24] = "-", total[16] = "-", available[16] = "-", used[8] = "-", rtt[24] = "-";
		if (since_ms(admin, probe) >= 0)
			admin_duration_text((uint64_t)since_ms(admin, probe), since);
		if (probe->total_bytes > 0) {
			admin_bytes_text(probe->total_bytes, total);
			admin_bytes_text(probe->available_bytes, available);
			(void)snprintf(used, sizeof(used), "%d%%",
				       (int)(100 - 100.0 * (double)probe->available_bytes / (double)probe->total_bytes));
		}
		if (probe->rc == 0)
			(void)snprintf(rtt, sizeof(rtt), "%" PRIu64 "us", probe->rtt_ns / NS_PER_US);
		printf("%-22s %-11s %-9s %9s %9s %5s %7s  %s\n", probe->name, state_of(probe), since, total, available, used, rtt,
		       probe->target->address[0] != '\0' ? probe->target->address : "(never registered)");
	}
	return 0;
}

struct findings {
	json_t *rows; /* owned */
	const struct admin *admin;
};

static void found(struct findings *findings, const char *what, const char *problem, json_int_t since, const char *advice)
{
	(void)json_array_append_new(findings->rows, json_pack("{s:s, s:s, s:I, s:s}", "what", what, "problem", problem, "since_ms", since,
							      "advice", advice));
}

static void judge(struct findings *findings, const struct probe *probe)
{
	char problem[256], advice[512];
	json_int_t since = since_ms(findings->admin, probe);
	const char *program = probe->target->kind == TARGET_MDT ? "stria-mds" : "stria-oss";
	if (probe->rc < 0 && probe->target->address[0] == '\0') {
		found(findings, probe->name, "it has never registered", since, "start its daemon with the address of the management service");
	} else if (probe->rc < 0) {
		(void)snprintf(problem, sizeof(problem), "does not answer at %.120s: %s", probe->target->address, err_name(probe->rc));
		(void)snprintf(advice, sizeof(advice), "look at the log of its %s and start it again; %s", program,
			       probe->target->kind == TARGET_MDT ? "what lives on it waits until then"
								 : "reads and writes of files with a stripe on it wait until then");
		found(findings, probe->name, problem, since, advice);
	} else if (probe->state == TARGET_RECOVERING) {
		found(findings, probe->name, "is recovering: it waits for clients to say what they had before it restarted", since,
		      "wait: it ends when every client has come back, or is evicted after its lease; stria-admin client list shows them");
	} else if (probe->state != TARGET_UP) {
		found(findings, probe->name, "is starting", since, "wait a moment; if it stays so, look at its log");
	} else if (probe->total_bytes > 0 && probe->available_bytes < probe->total_bytes / 100 * SPACE_LOW_PERCENT) {
		char available[16];
		admin_bytes_text(probe->available_bytes, available);
		(void)snprintf(problem, sizeof(problem), "is nearly full: %s free", available);
		found(findings, probe->name, problem, -1, "delete files, or make its disk larger; writes fail with ENOSPC when it is full");
	}
}

int admin_show_health(const struct admin *admin)
{
	struct findings findings = {json_array(), admin};
	for (uint32_t i = 0; i < admin->map->target_count; i++)
		judge(&findings, &admin->probes[i]);
	if (cmap_count(admin->map, TARGET_OST) == 0)
		found(&findings, admin->map->fsname, "has no OST: files cannot hold data", -1, "format an OST and start its stria-oss");
	size_t count = json_array_size(findings.rows);
	if (admin->json) {
		(void)admin_print_json(json_pack("{s:b, s:o}", "healthy", count == 0, "problems", findings.rows));
		return count == 0 ? 0 : 1;
	}
	if (count == 0)
		printf("healthy: %u MDT(s), %u OST(s), %zu client(s)\n", cmap_count(admin->map, TARGET_MDT), cmap_count(admin->map, TARGET_OST),
		       json_array_size(admin->clients));
	for (size_t i = 0; i < count; i++) {
		const json_t *row = json_array_get(findings.rows, i);
		json_int_t since = json_integer_value(json_object_get(row, "since_ms"));
		char text[24] = "";
		if (since >= 0)
			admin_duration_text((uint64_t)since, text);
		printf("%s %s%s%s\n    do: %s\n", json_string_value(json_object_get(row, "what")), json_string_value(json_object_get(row, "problem")),
		       since >= 0 ? ", since " : "", text, json_string_value(json_object_get(row, "advice")));
	}
	json_decref(findings.rows);
	return count == 0 ? 0 : 1;
}
