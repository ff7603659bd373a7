/* SPDX-License-Identifier: Apache-2.0
 * What an MDT knows of clients: their answered and running operations, their opens, and the marks of files they may have written.
 *
 * It owns sessions (one a client), replies (mirrored in the store), opens (memory only, reclaimed after a restart) and writer marks
 * (mirrored in the store). It decides nothing: operations and recovery do. */
#ifndef STRIA_MDS_SESSION_H
#define STRIA_MDS_SESSION_H

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/core/task.h"
#include "mds/lease.h"
#include "mds/txn.h"

struct session {
	struct map_node node;    /* sessions->by_client */
	uint64_t client;
	uint32_t refs;           /* the table's and those of running operations */
	bool dead;               /* evicted or left: what still runs must not change anything */
	bool reclaimed;          /* said done after the last restart, or joined after it */
	uint64_t watermark;      /* operation numbers below this are answered and known to be */
	struct map replies;      /* struct reply, by operation number */
	struct list reply_order; /* the same, ascending by arrival */
	struct map opens;        /* struct open_file, by handle */
	uint64_t grants;         /* number of the last grant; begins with the boot, so that it never goes back */
	struct list holds;       /* hold.session_link */
	uint32_t hold_count;
	uint32_t attr_count, dir_count, data_counts[LEASE_PW + 1]; /* of its holds; data by enum lease_mode */
	uint32_t mark_count;     /* files that it may have written */
};

/* An operation that runs or was answered. */
struct reply {
	struct map_node node;
	struct list_node link;
	uint64_t opno;
	uint16_t shard;     /* of its record */
	bool running;       /* duplicates wait */
	bool recovered;     /* of an earlier boot */
	bool in_store;      /* has a record; without one it changed nothing, and only this boot needs to remember it */
	uint32_t waiters;   /* duplicates that wait */
	bool unlinked;      /* out of the session; the last waiter frees it */
	int rc;             /* of one that ended without a record */
	uint64_t batch;     /* with the record */
	uint8_t *value;     /* owned: reply_encode; NULL: ended without a record */
	size_t value_len;
	struct waitq done;
};

/* What is open, may be written or is cached by clients, by inode. */
struct file_state {
	struct map_node node; /* sessions->files */
	struct ino ino;
	struct list opens;    /* open_file.file_link */
	struct list marks;    /* struct mark */
	struct list holds;    /* hold.file_link */
	bool orphan;          /* it has no name, and lives for those above only */
};
struct open_file {
	struct map_node node;       /* session->opens */
	struct list_node file_link; /* file_state->opens */
	struct session *session;
	struct file_state *file;
	uint64_t handle;
	uint32_t flags;  /* enum open_flags */
	uint64_t opno;   /* taken from a recovered reply record and not reclaimed yet: of that operation; else 0 */
};
struct mark {
	struct list_node link;
	uint64_t client;
	uint32_t size_gen; /* at the grant */
	uint64_t batch;    /* that has its record: before it is durable, nobody hears of the right */
};

struct sessions {
	struct map by_client;
	struct map files;
	uint64_t open_count, mark_count, hold_count;
	uint64_t first_grant; /* numbers of grants of this boot are above it */
};

void sessions_init(struct sessions *sessions);
void sessions_fini(struct sessions *sessions);
struct session *session_find(struct sessions *sessions, uint64_t client);
struct session *session_add(struct sessions *sessions, uint64_t client);
void session_get(struct session *session);
void session_put(struct session *session);
/* Out of the table, dead; its opens must be gone. Its reply records are erased in the batch that collects. */
void session_remove(struct sessions *sessions, struct txn *txn, struct session *session);

struct reply *reply_find(struct session *session, uint64_t opno);
struct reply *reply_add(struct session *session, uint64_t opno, uint16_t shard);
/* Keep the answer; `value` is copied. */
void reply_set(struct reply *reply, struct blob value, uint64_t batch);
void reply_remove(struct session *session, struct reply *reply);
/* Answers below the watermark are forgotten, their records erased in the batch that collects. */
void session_trim(struct session *session, struct txn *txn);

struct file_state *file_find(const struct sessions *sessions, struct ino ino); /* NULL: neither open, marked nor leased */
struct hold *hold_find(const struct file_state *file, uint64_t client); /* file may be NULL */
struct hold *hold_need(struct sessions *sessions, struct session *session, struct ino ino);
/* Every change of what it is a lease on. */
void hold_set(struct hold *hold, bool attr, bool dir, uint8_t data);
void hold_remove(struct sessions *sessions, struct hold *hold);
struct open_file *open_find(struct session *session, uint64_t handle);
/* Adds, or finds the same handle. */
struct open_file *open_add(struct sessions *sessions, struct session *session, uint64_t handle, struct ino ino, uint32_t flags);
void open_remove(struct sessions *sessions, struct open_file *open);
bool file_is_open(struct sessions *sessions, struct ino ino);
bool file_is_open_for_write(struct sessions *sessions, struct ino ino, uint64_t client);

struct mark *mark_find(const struct sessions *sessions, struct ino ino, uint64_t client);
void mark_add(struct sessions *sessions, struct ino ino, uint64_t client, uint32_t size_gen, uint64_t batch); /* or updates */
void mark_remove(struct sessions *sessions, struct ino ino, uint64_t client); /* not there: nothing */

#endif
