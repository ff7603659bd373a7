/* SPDX-License-Identifier: Apache-2.0
 * The parts of stria-admin. Every question is asked in one task over the RPC of common/core; answers are gathered first and printed
 * afterwards, as a table or as JSON. */
#ifndef STRIA_TOOLS_ADMIN_ADMIN_H
#define STRIA_TOOLS_ADMIN_ADMIN_H

#include "common/cluster/cmap.h"
#include "common/core/rpc.h"

#include <jansson.h>

enum { ADMIN_CLIENTS_MAX = 4096 };

/* What one target said to us just now, beside what the map says about it. */
struct probe {
	const struct cmap_target *target; /* borrowed from the map */
	char name[40];                    /* "stria-OST0003_UUID" */
	int rc;                           /* of the first call that failed; 0: it answered */
	uint8_t state;                    /* enum target_state, from its answer */
	uint64_t rtt_ns;
	uint64_t total_bytes, available_bytes; /* 0: unknown */
	json_t *status;                   /* its own JSON; NULL: none */
};
struct admin {
	struct rpc *rpc;
	struct loop *loop;
	const char *mgs;       /* address */
	uint64_t timeout_ns;   /* of each question */
	bool json, dry_run;
	bool yes;              /* do it without asking */
	/* filled by the questions */
	struct rpc_peer *mgs_peer;
	struct arena arena;
	struct cmap *map;      /* owned */
	struct probe *probes;  /* owned; map->target_count of them */
	uint32_t probes_left;
	json_t *clients;       /* owned; an array of objects */
};

/* Each parks. Errors: of the calls, after a line on stderr that says what failed and what to do. */
int admin_fetch_map(struct admin *admin);
int admin_probe_targets(struct admin *admin); /* needs the map; a target that does not answer is no error */
int admin_fetch_clients(struct admin *admin);
int admin_evict(struct admin *admin, uint64_t client, uint64_t *ret_epoch);
void admin_fini(struct admin *admin);

/* "up", "down", … of enum target_state. Static. */
const char *admin_state_name(uint8_t state);

/* Print what was gathered. The exit status of the program: 0, or 1 when something needs attention (health only). */
int admin_show_status(const struct admin *admin);
int admin_show_health(const struct admin *admin);

/* client.c: `client list`, and `client evict`, which parks. The exit status of the program. */
int admin_client_list(const struct admin *admin);
int admin_client_evict(struct admin *admin, uint64_t client);

/* "12.3G"; "40 s". */
void admin_bytes_text(uint64_t bytes, char ret_text[16]);
void admin_duration_text(uint64_t ms, char ret_text[24]);
/* To stdout. Takes `json` over. 0, or 1 when it cannot be written. */
int admin_print_json(json_t *json);

#endif
