/* SPDX-License-Identifier: Apache-2.0
 * Mounts: what each holds, and ending one. What an eviction loses is as old as the client's last renewal, and shown with that age. */
#include "tools/admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t number_of(const json_t *row, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(row, key));
}

static uint64_t lease_count(const json_t *row, const char *mode)
{
	return number_of(json_object_get(row, "leases"), mode);
}

int admin_client_list(const struct admin *admin)
{
	if (admin->json) {
		json_incref(admin->clients);
		return admin_print_json(json_pack("{s:o}", "clients", admin->clients));
	}
	printf("%-8s %-16s %8s %8s %6s %6s %5s %5s %5s %5s %5s %6s %6s %8s %6s  %s\n", "CLIENT", "HOST", "PID", "HEARD", "OPENS", "ATTR", "DIR",
	       "CR", "CW", "PR", "PW", "MARKS", "LOCKS", "DIRTY", "FILES", "MOUNTED AT");
	for (size_t i = 0; i < json_array_size(admin->clients); i++) {
		const json_t *row = json_array_get(admin->clients, i), *dirty = json_object_get(row, "dirty");
		char heard[24], bytes[16] = "?", files[24] = "?";
		admin_duration_text(number_of(row, "idle_ms"), heard);
		if (!json_is_null(dirty)) {
			admin_bytes_text(number_of(dirty, "bytes"), bytes);
			(void)snprintf(files, sizeof(files), "%" PRIu64, number_of(dirty, "files")); /* fits */
		}
		printf("%-8" PRIu64 " %-16s %8" PRIu64 " %8s %6" PRIu64 " %6" PRIu64 " %5" PRIu64 " %5" PRIu64 " %5" PRIu64 " %5" PRIu64
		       " %5" PRIu64 " %6" PRIu64 " %6" PRIu64 " %8s %6s  %s\n",
		       number_of(row, "id"), json_string_value(json_object_get(row, "host")), number_of(row, "pid"), heard,
		       number_of(row, "opens"), lease_count(row, "attr"), lease_count(row, "dir"), lease_count(row, "CR"),
		       lease_count(row, "CW"), lease_count(row, "PR"), lease_count(row, "PW"), number_of(row, "writer_marks"), number_of(row, "locks"), bytes, files,
		       json_string_value(json_object_get(row, "mountpoint")));
	}
	return 0;
}

/* ---- evicting ---------------------------------------------------------------------------------------------------- */

static const json_t *find_client(const struct admin *admin, uint64_t client)
{
	for (size_t i = 0; i < json_array_size(admin->clients); i++)
		if (number_of(json_array_get(admin->clients, i), "id") == client)
			return json_array_get(admin->clients, i);
	return NULL;
}

/* What it had written may be unsaved: it said so, or may have written since, or nobody knows. */
static bool may_lose_data(const json_t *row)
{
	const json_t *dirty = json_object_get(row, "dirty");
	return json_is_null(dirty) || number_of(dirty, "bytes") > 0 || number_of(row, "writer_marks") > 0;
}

static void say_what_is_lost(FILE *to, const json_t *row)
{
	const json_t *dirty = json_object_get(row, "dirty");
	char heard[24], bytes[16];
	admin_duration_text(number_of(row, "idle_ms"), heard);
	fprintf(to, "client %" PRIu64 ", %s at %s, last heard of %s ago: %" PRIu64 " opens end with EIO, ", number_of(row, "id"),
		json_string_value(json_object_get(row, "host")), json_string_value(json_object_get(row, "mountpoint")), heard,
		number_of(row, "opens"));
	if (json_is_null(dirty)) {
		fprintf(to, "unsaved data of unknown size is lost");
	} else {
		admin_bytes_text(number_of(dirty, "bytes"), bytes);
		fprintf(to, "%s of %" PRIu64 " files were unsaved then and are lost", bytes, number_of(dirty, "files"));
	}
	if (number_of(row, "writer_marks") > 0)
		fprintf(to, ", and what it has since written to %" PRIu64 " files that it may write", number_of(row, "writer_marks"));
	fprintf(to, "\n");
}

static bool is_agreed(void)
{
	char line[16] = "";
	fprintf(stderr, "evict it? [y/N] ");
	return fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

int admin_client_evict(struct admin *admin, uint64_t client)
{
	const json_t *row = find_client(admin, client);
	uint64_t epoch = 0;
	if (row == NULL) {
		fprintf(stderr, "stria-admin: client evict: %" PRIu64 ": no such client lives; client list shows those that do\n", client);
		return 1;
	}
	if (admin->dry_run && admin->json)
		return admin_print_json(json_pack("{s:b, s:I, s:O}", "dry_run", 1, "client", (json_int_t)client, "holds", row));
	if (admin->dry_run) {
		printf("would evict ");
		say_what_is_lost(stdout, row);
		return 0;
	}
	if (may_lose_data(row) && !admin->yes) {
		say_what_is_lost(stderr, row);
		if (isatty(STDIN_FILENO) == 0) {
			fprintf(stderr, "stria-admin: client evict: %" PRIu64 ": data may be lost: --yes does it all the same\n", client);
			return 1;
		}
		if (!is_agreed())
			return 1;
	}
	if (admin_evict(admin, client, &epoch) < 0)
		return 1;
	if (admin->json)
		return admin_print_json(json_pack("{s:I, s:I, s:O}", "client", (json_int_t)client, "epoch", (json_int_t)epoch, "held", row));
	printf("evicted with map epoch %" PRIu64 ": ", epoch);
	say_what_is_lost(stdout, row);
	return 0;
}
