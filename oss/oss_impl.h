/* SPDX-License-Identifier: Apache-2.0
 * What the files of oss/ share. Private. */
#ifndef STRIA_OSS_IMPL_H
#define STRIA_OSS_IMPL_H

#include "common/base/json_out.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/cluster/cmap.h"
#include "common/core/loop.h"
#include "common/core/rpc.h"
#include "oss/kvq.h"
#include "oss/oss.h"
#include "oss/replay.h"

enum {
	BLOCK_BYTES = 4096,                     /* that one checksum stands for */
	CHUNK_BYTES = 1 << 20,                  /* whose checksums are one record */
	CHUNK_BLOCKS = CHUNK_BYTES / BLOCK_BYTES,
	IO_BYTES_MAX = 1 << 20,                 /* of one read or write */
	BUFFER_BYTES = IO_BYTES_MAX + 2 * BLOCK_BYTES, /* a read that begins and ends inside blocks is rounded out */
	DIRECT_BYTES_MIN = 65536,               /* from here on aligned I/O goes past the page cache */
	OBJECT_OFFSET_BITS = 62,
	OBJECT_DIRS = 256,
};

/* ---- objects (object.c) --------------------------------------------------------------------------------------- */
struct object_name {
	struct ino ino;
	uint32_t component, stripe;
};
enum object_mode { OBJECT_SHARED, OBJECT_EXCLUSIVE };
#define WRITER_NONE    UINT64_C(0)
#define WRITER_SEVERAL UINT64_MAX
struct object {
	struct map_node node;      /* ost->objects */
	struct list_node lru;      /* ost->open_objects: open, and nobody is in it */
	struct object_name name;
	uint32_t users;
	uint32_t shared;           /* holders of its gate */
	bool exclusive;
	struct list waiters;       /* for the gate, in order of arrival */
	bool loaded;               /* what follows is known */
	bool exists;
	bool name_unsynced;        /* created since the directory was synced */
	struct disk_file *file, *direct; /* NULL: not open now */
	uint64_t size_bytes;
	int64_t mtime_ns;
	struct write_order stable; /* every write up to this one survives a crash */
	uint64_t applied;          /* order of the newest write of this boot; 0: none */
	uint64_t committed;        /* order up to which this boot has made it stable */
	uint64_t writer;           /* client whose writes are above that; WRITER_SEVERAL, WRITER_NONE */
	bool committing;
	struct waitq committed_q;
	uint64_t batch;            /* of the kv queue, that has its newest records */
	struct map chunks;         /* struct chunk, by index */
	struct spans spans;        /* during recovery: who has replayed what */
};

/* ---- checksums (sums.c) --------------------------------------------------------------------------------------- */
struct chunk {
	struct map_node node;
	uint64_t index;
	uint32_t pins;
	bool loading, dirty;
	bool durable;   /* a record is in the store */
	bool in_flux;   /* and a mark that it may not fit the data */
	int rc;         /* of a load that failed */
	struct waitq loaded;
	uint32_t sums[CHUNK_BLOCKS]; /* 0: none */
};

/* ---- clients (clients.c) -------------------------------------------------------------------------------------- */
struct answer { /* of a write, punch, allocation or copy, by operation number */
	struct map_node node;
	struct list_node link; /* client->answers, by arrival */
	uint64_t opno;
	bool running;
	int rc;
	struct obj_write_rep write;
	struct obj_punch_rep punch;
	struct obj_alloc_rep alloc;
	struct obj_copy_rep copy;
};
struct client {
	struct map_node node; /* ost->clients */
	uint64_t id;
	uint32_t running;     /* requests in service */
	bool evicted;
	bool settled;         /* and what it had written is stable */
	bool recorded;        /* the store knows that it may have to replay */
	bool must_replay, alive;
	uint64_t record_batch;
	uint64_t watermark;
	struct map by_opno;
	struct list answers;
};

/* ---- copies (copy.c) -------------------------------------------------------------------------------------------- */
enum { COPY_BUFFERS = 4 };
struct copier {
	uint8_t *slab;          /* COPY_BUFFERS of BUFFER_BYTES: other OSTs write what was asked of them there */
	struct net_mr *slab_mr;
	uint8_t *free_buffers[COPY_BUFFERS];
	uint32_t free_count;
	struct waitq buffer_q;
	struct list sources;    /* struct source_ost: those that were asked so far */
};

struct ost {
	struct env *env;
	struct ost_conf conf;
	struct rpc_identity identity;
	struct rpc *rpc;
	struct rpc_peer *mgs;
	struct cmap *map;       /* NULL before the first */
	bool fetching;          /* a task fetches the map */
	uint64_t wanted_epoch;
	struct waitq map_changed, drained_q, beat_q, recover_q;
	char fsname[FSNAME_BYTES_MAX + 1];
	uint64_t store_hi, store_lo;
	uint64_t started_ns, next_order;
	bool stopping;
	int failed;
	struct kvq kvq;
	struct map objects, clients, tombs;
	struct list open_objects, tomb_order;
	size_t open_count;
	uint8_t *slab;
	struct net_mr *slab_mr;
	uint8_t **free_buffers;
	uint32_t free_count;
	struct waitq buffer_q;
	struct copier copier;
	struct ost_counters counters;
	char error[OST_ERROR_BYTES];
	char address[NET_ADDR_BYTES_MAX];
};

/* object.c. Get: with one more user, loaded from the store and the disk. Parks. */
int object_get(struct ost *ost, struct object_name name, struct object **ret_object);
void object_use(struct object *object); /* one that is in memory, with one more user */
void object_put(struct ost *ost, struct object *object);
void object_enter(struct ost *ost, struct object *object, enum object_mode mode); /* parks */
void object_leave(struct ost *ost, struct object *object, enum object_mode mode);
/* Its file, open; created if wanted. direct: the one past the page cache. ENOENT. Parks. */
int object_open(struct ost *ost, struct object *object, bool create, bool direct, struct disk_file **ret_file);
/* Under its gate: every trace of it goes; durable with object->batch and a sync of its directory. Parks. */
int object_destroy(struct ost *ost, struct object *object, bool *ret_existed);
/* What of it is in memory only goes into the queue: mtime and stable order. */
void object_save(struct ost *ost, struct object *object);
void objects_free(struct ost *ost);
void object_dir(struct object_name name, char ret_path[OBJECT_PATH_BYTES]);
int objects_make_dirs(struct env *env);

/* sums.c. Chunks pinned; parks when they are not in memory. */
int chunk_get(struct ost *ost, struct object *object, uint64_t index, struct chunk **ret_chunk);
void chunk_put(struct chunk *chunk);
/* Before data of [offset, offset+len) is overwritten: the store knows that sums and data may disagree. Parks. */
int sums_mark(struct ost *ost, struct object *object, uint64_t offset, uint64_t len);
/* Set the sums of the blocks that [data, data+len) at offset covers; both are multiples of a block. Parks on loads. */
int sums_set(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len);
/* No sums there: what is on disk is not known. Parks on loads. */
int sums_forget(struct ost *ost, struct object *object, uint64_t offset, uint64_t len);
/* Check whole blocks; errors: ERR_corrupt. Parks on loads. */
int sums_check(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len);
/* Dirty sums as they are now, for a commit: begin, sync the data, end. */
struct sums_snapshot;
struct sums_snapshot *sums_snapshot(struct object *object, struct arena *arena);
void sums_commit(struct ost *ost, struct object *object, const struct sums_snapshot *snapshot);
/* Remove every record of the object. Parks. */
int sums_destroy(struct ost *ost, struct object *object);
void sums_drop(struct object *object); /* from memory */
bool sums_are_clean(const struct object *object);
/* Cut off behind `blocks` whole blocks. Parks on loads. */
int sums_cut(struct ost *ost, struct object *object, uint64_t size_bytes);
uint32_t sum_of(const uint8_t *block);

/* io.c: buffers, and data with its checksums. Under the object's gate. Parks. */
int buffers_init(struct ost *ost, uint32_t count);
void buffers_fini(struct ost *ost);
uint8_t *buffer_get(struct ost *ost);
void buffer_put(struct ost *ost, uint8_t *buffer);
size_t buffer_offset(const struct ost *ost, const uint8_t *ptr); /* in the slab's region */
int object_write(struct ost *ost, struct object *object, uint64_t offset, const uint8_t *data, size_t len);
/* Bytes from offset, at *ret_data inside buffer (BUFFER_BYTES); fewer than len only at the object's end. */
int64_t object_read(struct ost *ost, struct object *object, uint64_t offset, uint8_t *buffer, size_t len, uint8_t **ret_data);
int object_cut(struct ost *ost, struct object *object, uint64_t size_bytes);
int object_zero(struct ost *ost, struct object *object, uint64_t offset, uint64_t len);
/* flags: enum alloc_flags. */
int object_alloc(struct ost *ost, struct object *object, uint64_t offset, uint64_t len, unsigned flags);
/* *ret_offset: as disk_ops.seek; UINT64_MAX: no data. An object that is not there is one hole. */
int object_seek(struct ost *ost, struct object *object, uint64_t offset, bool hole, uint64_t *ret_offset);
/* A change of it other than a write. It has its place among the writes: replays of earlier ones do not undo it. Under its gate. */
void object_changed(struct ost *ost, struct object *object, int64_t mtime_ns);
/* That client has written to it, under its gate: the write's order. */
uint64_t object_wrote(struct ost *ost, struct object *object, const struct client *client);
/* Everything applied so far becomes stable. Not under its gate. Parks. Errors: ERR_disk, and the target stops. */
int object_commit(struct ost *ost, struct object *object);

/* copy.c: what is copied from, on this OST or another. No gate of another object is held meanwhile. */
int copier_init(struct ost *ost);
void copier_fini(struct ost *ost);
/* One of the few buffers that only copies use (BUFFER_BYTES). Parks. ERR_busy: there is none for long. */
int copy_buffer_get(struct ost *ost, uint8_t **ret_buffer);
void copy_buffer_put(struct ost *ost, uint8_t *buffer);
struct copy_source {
	uint32_t ost; /* index */
	struct object_name name;
	uint32_t layout_gen;
};
/* As object_read, object_seek. Parks, but not for long. Errors: EINVAL (there is no such OST), EHOSTUNREACH: the other OST does not answer, or not now. */
int64_t copy_source_read(struct ost *ost, const struct copy_source *source, uint64_t offset, uint8_t *buffer, size_t len, uint8_t **ret_data);
int copy_source_seek(struct ost *ost, const struct copy_source *source, uint64_t offset, bool hole, uint64_t *ret_offset);

/* clients.c */
struct client *client_find(struct ost *ost, uint64_t id);
struct client *client_need(struct ost *ost, uint64_t id);
/* The store knows it from here on. Parks. */
int client_record(struct ost *ost, struct client *client);
/* 1: go on, *ret_answer is running; 0: answered before, *ret_answer says what; errors: ERR_in_progress, ERR_late_copy, ERR_malformed. */
int answer_begin(struct ost *ost, struct client *client, const struct frame *frame, struct answer **ret_answer);
/* Still wanted, right before it happens? ERR_evicted, ERR_late_copy. */
int answer_check(struct ost *ost, const struct client *client, const struct answer *answer);
void answer_end(struct client *client, struct answer *answer, int rc);
int clients_load(struct ost *ost); /* parks */
void clients_free(struct ost *ost);
void recover_task(void *arg);

/* tombs.c: inodes that are gone */
bool tomb_find(struct ost *ost, struct ino ino);
void tomb_add(struct ost *ost, struct ino ino); /* into the queue */
int tombs_load(struct ost *ost);                /* parks */
void tombs_forget_old(struct ost *ost);
void tombs_free(struct ost *ost);

/* fence.c: before that map is in force. Evicted clients get nothing any more; what they have running ends, and what they have written is stable,
 * when it returns. Parks. */
void fence(struct ost *ost, const struct cmap *map);

/* mapping.c */
int mapping_register(struct ost *ost); /* parks, repeats */
void mapping_start(struct ost *ost);
/* Have a map of at least that epoch. Parks. ERR_not_ready. */
int mapping_catch_up(struct ost *ost, uint64_t epoch);
/* Fetch the newest map. Parks. Errors: those of the call. */
int mapping_refresh(struct ost *ost);
/* Ids of live clients: sets client->alive of those that are known here. Parks. */
int mapping_list_clients(struct ost *ost);

/* ost.c */
void ost_set_state(struct ost *ost, uint8_t state);
void ost_fail(struct ost *ost, const char *what, int rc); /* for good */
int ost_write_superblock(struct ost *ost);                /* parks */

/* ops/ */
int ost_op_obj_read(struct ost *ost, struct rpc_call *call, const struct obj_read_req *req, struct obj_read_rep *rep);
int ost_op_obj_write(struct ost *ost, struct rpc_call *call, const struct obj_write_req *req, struct obj_write_rep *rep);
int ost_op_obj_commit(struct ost *ost, struct rpc_call *call, const struct obj_commit_req *req, struct obj_commit_rep *rep);
int ost_op_obj_punch(struct ost *ost, struct rpc_call *call, const struct obj_punch_req *req, struct obj_punch_rep *rep);
int ost_op_obj_alloc(struct ost *ost, struct rpc_call *call, const struct obj_alloc_req *req, struct obj_alloc_rep *rep);
int ost_op_obj_seek(struct ost *ost, struct rpc_call *call, const struct obj_seek_req *req, struct obj_seek_rep *rep);
int ost_op_obj_copy(struct ost *ost, struct rpc_call *call, const struct obj_copy_req *req, struct obj_copy_rep *rep);
int ost_op_obj_destroy(struct ost *ost, struct rpc_call *call, const struct obj_destroy_req *req, struct obj_destroy_rep *rep);
int ost_op_obj_stat(struct ost *ost, struct rpc_call *call, const struct obj_stat_req *req, struct obj_stat_rep *rep);
int ost_op_ost_statfs(struct ost *ost, struct rpc_call *call, const struct ost_statfs_req *req, struct ost_statfs_rep *rep);
int ost_op_replay_done(struct ost *ost, struct rpc_call *call, const struct replay_done_req *req, struct replay_done_rep *rep);

/* Keys: a letter, then big-endian numbers. */
enum { OST_KEY_BYTES_MAX = 32 };
struct ost_key {
	uint16_t len;
	uint8_t bytes[OST_KEY_BYTES_MAX];
};
struct ost_key key_make(char letter);
void key_add_u64(struct ost_key *key, uint64_t v);
void key_add_u32(struct ost_key *key, uint32_t v);
struct ost_key key_object(char letter, struct object_name name); /* 'M' meta, 'S' sums, 'F' flux */
struct ost_key key_chunk(char letter, struct object_name name, uint64_t chunk);
static inline struct blob ost_key_blob(const struct ost_key *key)
{
	return blob_of(key->bytes, key->len);
}

#endif
