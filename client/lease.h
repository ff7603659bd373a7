/* SPDX-License-Identifier: Apache-2.0
 * What this mount may cache, by inode: attributes, a directory's entries, data. Private to client/.
 *
 * A grant comes with an answer and has a number; the newest number that was applied is node->lease.number, and grants up to node->recalled
 * are void. What is cached is used only while the mount's own life lease runs (lease_is_live), so that nothing is served after an eviction.
 *
 * An answer is kept only if no change of this mount's own began or ended since its question went out: the MDT recalls from others, not from
 * whoever makes the change. */
#ifndef STRIA_CLIENT_LEASE_H
#define STRIA_CLIENT_LEASE_H

#include "common/cluster/lease.h"
#include "proto/proto.h"

struct client;
struct client_op;
struct node;
struct rpc_call;

/* ---- questions and changes ------------------------------------------------------------------------------------- */
/* Before a question goes out; its answer is taken with what this returned. */
uint64_t lease_asked(const struct client *client);
/* Apply a grant. attr: as the MDT said in the same answer, or NULL. Does not park. */
void lease_take(struct client *client, struct node *node, const struct lease *lease, const struct attr *attr, uint64_t asked);
/* A change of the inode (NULL: none) by this mount: its cached attributes are not used until lease_change_end, which gets what this returned. */
uint64_t lease_change_begin(struct client *client, struct node *node);
/* It is over: when its answer counts as asked. Before anything, if another change met it: then the answer's attributes are not kept. */
uint64_t lease_change_end(struct client *client, struct node *node, uint64_t stamp);

bool lease_is_live(const struct client *client);
/* May its cached attributes be used? */
bool lease_attr_ok(const struct client *client, const struct node *node);
bool lease_dir_ok(const struct client *client, const struct node *node);
/* May the kernel still use what it was told? It counts from when the caller's thread takes the answer in, which on a busy machine is later than we
 * gave it. */
bool lease_kernel_may_know(const struct client *client, const struct node *node);
/* For how long the kernel may use what we hold a lease on. */
uint64_t lease_ttl_ns(const struct client *client, uint64_t ttl_max_ns);

/* ---- data ------------------------------------------------------------------------------------------------------ */
enum lease_need { NEED_READ, NEED_FILL, NEED_WRITE, NEED_APPEND, NEED_PAGES_OUT };
/* Parks until the node's data lease allows it and is not being given back, and counts the use in; lease_data_leave follows.
 * Errors: ERR_evicted, ERR_interrupted, ERR_aborted, those of the call. */
int lease_data_enter(struct client *client, struct client_op *op, struct node *node, enum lease_need need);
/* The same if nothing has to be waited for; NEED_READ, NEED_WRITE. Does not park: for whoever is counted in elsewhere already, and so must not wait for an MDT. */
bool lease_data_try(struct client *client, struct client_op *op, struct node *node, enum lease_need need);
void lease_data_leave(struct client *client, struct client_op *op, struct node *node, enum lease_need need);
/* Until every read into the kernel's pages that has come by now is answered, or deadline_ns. Comes before whatever tells the kernel that the
 * inode has changed: from then on the kernel takes a short answer to an older read for zeros up to the size that it knew, and not for the end
 * of the file (fuse_short_read). Those that wait for a lease must be able to go on without: see lease_data.c. Parks. */
void lease_wait_for_fills(struct client *client, struct node *node, uint64_t deadline_ns);
/* Is there one that waits and does not know where the data is? */
bool lease_fills_need_data(const struct node *node);
/* After a write by this mount: pages that were read meanwhile may be older. Parks. */
void lease_drop_own_pages(struct client *client, struct node *node, uint64_t offset, uint64_t len);
/* Files that nobody here writes any more: what was written becomes stable, the right to write is given back. A periodic task. */
void lease_settler_task(void *arg);

/* Until the kernel uses no entry of the directory any more. Parks. */
void lease_drop_entries(struct client *client, struct node *node);

/* ---- recalls and the end --------------------------------------------------------------------------------------- */
/* Requests of an MDT; what the answer refers to is in arena. Parks. */
int lease_serve_recall(struct client *client, struct arena *arena, const struct lease_recall_req *req, struct lease_recall_rep *rep);
int lease_serve_glimpse(struct client *client, const struct glimpse_req *req, struct glimpse_rep *rep);
/* Nothing is held any more, and the kernel is told in the background. What was recalled stays recalled. Does not park. */
void lease_drop_all(struct client *client);
/* We were evicted: the numbers of the next session begin anew. */
void lease_count_anew(struct client *client);
/* The MDT holds that much of us, whether or not we have heard of the grant: so that it is returned with the node. Does not park. */
void lease_known(struct client *client, struct node *node, uint64_t number);
/* The inode may have lost its last name by our hand: then the MDT keeps it until we say that our kernel has forgotten it. Does not park. */
void lease_removed(struct client *client, struct ino ino);
/* The kernel's pages and the right to the data go, in the background, unasked. Does not park. */
void lease_give_up(struct client *client, struct node *node);
/* The node goes: its lease is returned in the background. Does not park. */
void lease_forget(struct client *client, struct node *node);
/* After a restart of the MDT: say what we hold. Parks. */
struct target;
int lease_reclaim(struct target *target, uint64_t boot);

#endif
