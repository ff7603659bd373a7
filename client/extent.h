/* SPDX-License-Identifier: Apache-2.0
 * What waits to be written, as ranges of files. Private to behind.c and extent.c.
 *
 * An extent is a range of one file within one chunk. No two extents overlap. */
#ifndef STRIA_CLIENT_EXTENT_H
#define STRIA_CLIENT_EXTENT_H

#include "client/client_impl.h"

enum {
	EXTENT_CHUNK_BYTES = CLIENT_BUF_BYTES,
	EXTENT_RETAIN_BYTES_MIN = 512 * KIB, /* of a write: its own buffer stays, without a copy */
};

struct extent {
	struct map_node map_node;    /* client.extents */
	struct list_node node_link;  /* node.extents, by number */
	struct list_node age_link;   /* client.extents_by_age, by number */
	struct list_node queue_link; /* client.extents_idle, by number, client.extents_due, or client.extents_stuck; on its way: none */
	struct client *client;
	struct node *node;           /* with one user */
	uint64_t number;             /* counts extents; of the oldest data in it */
	uint64_t since_ns;
	uint64_t offset, len;        /* in the file */
	uint8_t *data;               /* of file offset `base` */
	uint64_t base, capacity;
	struct client_buf *buf;      /* holds data, with a reference; NULL: data is owned */
	int64_t mtime_ns;            /* of the last write */
	uint64_t client_id;          /* while sending: as whom */
	bool due, sending;
	bool stuck;                  /* there was no room for it: it waits for another try */
	bool lost;                   /* that was told */
};

uint64_t extent_chunk(uint64_t offset);
uint64_t extent_end(const struct extent *extent);
bool extent_overlaps(const struct extent *extent, uint64_t start, uint64_t end);
/* The next extent of the chunk, in no order; NULL: none. at NULL: the first. */
struct extent *extent_next(struct client *client, const struct node *node, uint64_t chunk, struct extent *at);
/* Is something of the range, which lies within one chunk, on its way? */
bool extent_has_sending(struct client *client, const struct node *node, uint64_t start, uint64_t end);
/* Buffers are also what reads and new writes need: the last quarter is not kept from them. */
bool extent_has_spare_buf(const struct client *client);
/* A range within one chunk is written; nothing on its way overlaps it. data lies in buf. */
void extent_put(struct client *client, struct node *node, uint64_t offset, struct client_buf *buf, const uint8_t *data, uint64_t len);
/* It is to be sent. wanted: somebody waits for it, so that it goes before those that are only old. */
void extent_make_due(struct extent *extent, bool wanted);
void extent_set_stuck(struct extent *extent, bool stuck);
void extent_set_len(struct extent *extent, uint64_t offset, uint64_t len);
/* It will never be written: counted, logged, told at the node; once. */
void extent_lose(struct extent *extent, int rc);
void extent_free(struct extent *extent);
void extent_memory_free(struct extent *extent);

#endif
