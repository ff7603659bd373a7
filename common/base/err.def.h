/* SPDX-License-Identifier: Apache-2.0
 * The error table: E(name, number: explicit and never reused, class: an errno or another ERR_, text).
 * Linux errno numbers (1..4095) travel on the wire as they are; private numbers begin at 10000 and fit a u16.
 * A class is what code asks for with err_is(); its chain ends in an errno, which is what an application sees. */
#ifndef E
#error "define E(name, number, class, text) before including err.def.h"
#endif

/* transient: the caller repeats the call, against the newest map */
E(retry,           10000, EAGAIN,    "transient: repeat the call after a short wait")
E(stale_epoch,     10001, ERR_retry, "the peer has a newer cluster map: fetch it, then repeat")
E(not_owner,       10002, ERR_retry, "another target owns this shard: fetch the map, then repeat")
E(busy,            10003, ERR_retry, "a limit is reached on the server: repeat after a short wait")
E(conn_lost,       10004, ERR_retry, "the connection broke before the answer came")
E(timeout,         10005, ERR_retry, "no answer within the deadline")
E(no_session,      10006, ERR_retry, "the server does not know this client yet: say hello, then repeat")
E(in_progress,     10007, ERR_retry, "the same operation number is running: repeat after a short wait")
E(grace,           10008, ERR_retry, "the target is recovering: only replays and reclaims are served")
E(not_ready,       10009, ERR_retry, "the target is starting or has no current map")
E(refused,         10010, ERR_retry, "nobody listens at that address")

/* final answers with a meaning of their own */
E(evicted,         10020, EIO,       "this client was evicted: its locks, opens and unsaved data are gone")
E(stale_layout,    10021, EAGAIN,    "the file's layout has a newer generation: fetch it, then repeat")
E(need_groups,     10022, EACCES,    "the answer depends on supplementary groups that the call did not carry")
E(late_copy,       10023, EIO,       "a late copy of an operation that is already answered: dropped")
E(wrong_cluster,   10024, EXDEV,     "the store or peer belongs to another cluster")
E(wrong_target,    10025, EXDEV,     "the store or peer belongs to another target")
E(aborted,         10026, EIO,       "given up because its task, loop or connection is ending")
E(interrupted,     10027, EINTR,     "the caller was interrupted")
E(gave_up,         10029, EIO,       "a soft mount waited as long as it may: what was sent may have happened, or happen yet")
E(version,         10028, EPROTO,    "no protocol version in common")

/* somebody lied: a peer or a disk */
E(malformed,       10040, EPROTO,    "a message or record does not have the form it must have")
E(corrupt,         10041, EIO,       "a checksum does not match")
E(bad_key,         10042, EIO,       "a memory region key is not valid (any more)")
E(no_format,       10043, ENODEV,    "the store is not formatted")
E(disk,            10044, EIO,       "the local store failed")
E(conf,            10045, EINVAL,    "a configuration line is wrong")
E(unknown_op,      10046, EOPNOTSUPP, "the peer does not know this operation")
E(too_long,        10047, EMSGSIZE,  "a message or record is larger than its limit")
#undef E
