/* SPDX-License-Identifier: Apache-2.0
 * Leases: what clients may cache of an inode, and getting it back before something changes.
 *
 * A hold is one client's lease on one inode: attributes, entries of a directory, data. It is numbered anew with every grant. Grants are made
 * under the inode's gate, without a park between the check and the number; recalls park under the exclusive gate, so that nothing is granted
 * meanwhile. A hold may be more than its client believes to have, never less. Of what is no file, a hold with no rights left says that the
 * client's kernel refers to the inode: until it is returned, the inode outlives its last name. */
#ifndef STRIA_MDS_LEASE_H
#define STRIA_MDS_LEASE_H

#include "common/base/list.h"
#include "common/cluster/lease.h"
#include "proto/proto.h"
#include "proto/rows.h"

struct operation;
struct inode;
struct session;
struct sessions;
struct file_state;
struct mds;

struct hold {
	struct list_node file_link;    /* file_state->holds */
	struct list_node session_link; /* session->holds */
	struct session *session;
	struct file_state *file;
	uint64_t number;               /* of the last grant */
	bool attr, dir;
	uint8_t data;                  /* enum lease_mode */
	uint64_t alone_since;          /* number of the grant since which it has LEASE_PW; 0: since before our start */
};

/* What an operation is about to do to an inode. */
struct lease_change {
	bool attr, dir;    /* attributes, entries */
	uint8_t data_keep; /* enum lease_mode that others may keep; LEASE_PW: their data leases are not touched */
	bool last_name;    /* every holder says whether it still refers to the inode; of a file: nobody reads it any more */
};
#define LEASE_CHANGE_ATTR    ((struct lease_change){.attr = true, .data_keep = LEASE_PW})
#define LEASE_CHANGE_ENTRIES ((struct lease_change){.attr = true, .dir = true, .data_keep = LEASE_PW})

/* Get back from all others what stands in the way. What they had written is stable then, and its size taken over into `inode` and its record.
 * One that does not answer within a client's lease is evicted. Parks, under the inode's exclusive gate. Errors: ERR_not_ready (stopping), ERR_corrupt. */
int lease_recall(struct operation *op, struct inode *inode, struct lease_change change);
/* Grant the caller what is free: attributes unless somebody else may be writing, entries, and `data`, which the caller of this function has made
 * free (LEASE_NONE: as it is). The whole lease, for the reply; number 0: nothing. Does not park. */
struct lease lease_grant(struct operation *op, const struct inode *inode, bool dir, uint8_t data);
/* Is there anything of others that a grant of `data` would have to recall first? */
bool lease_is_free(const struct operation *op, struct ino ino, uint8_t data);
/* It has no name any more, and is not open. */
struct lease_change lease_change_nameless(const struct inode *inode);
/* The inode loses one of its names. */
struct lease_change lease_change_removal(const struct inode *inode);
/* The strongest data lease that another client holds. */
uint8_t lease_of_others(const struct operation *op, struct ino ino);
/* The caller has said that it will not write any more: unless a newer grant is on its way to it. True: its mark may go. */
bool lease_end_write(struct operation *op, struct ino ino, uint64_t number);
/* May the caller say where the data is, by what it knew when `number` was its last grant? Only if it has had LEASE_PW since. */
bool lease_may_place(const struct operation *op, struct ino ino, uint64_t number);
/* Attributes as they are now, with the size from who holds LEASE_PW. Parks, under a gate. Errors: ERR_grace, ERR_not_ready. */
int lease_attr(struct operation *op, const struct inode *inode, struct attr *ret_attr);
/* Is the size known here, or must somebody be asked? */
bool lease_size_is_elsewhere(const struct operation *op, struct ino ino);

/* After a restart: a client says what it holds. Its number is kept. */
void lease_restore(struct sessions *sessions, struct session *session, const struct lease_row *row);
/* And who has a writer mark without a lease: it may still be writing. */
void lease_restore_marks(struct mds *mds, struct session *session);
/* The client gives it up, if number is its last grant; if it is not, and the inode is an orphan, the client is asked. */
void lease_returned(struct mds *mds, struct session *session, const struct lease_row *row);
void lease_drop_session(struct mds *mds, struct session *session);
void lease_drop_inode(struct sessions *sessions, struct ino ino);

#endif
