/* SPDX-License-Identifier: Apache-2.0
 * The option table: C(name, kind, default, min, max, programs, text). One row is an INI line (`name = value`), a long option
 * (`--name value`) and, for stria-mount, an `-o name=value`. Kinds: bool, u64, size (bytes; K, M, G, T), time (ns; us, ms, s, m, h; a
 * bare number is ms), level, text, list (may be repeated). min and max are in the kind's unit; 0, 0 for texts. Defaults are
 * written as a person would write them. */
#ifndef C
#error "define C(name, kind, default, min, max, programs, text) before including conf.def.h"
#endif

/* all programs */
C(log, text, "", 0, 0, CONF_ALL, "file that operator lines go to; empty: stderr")
C(log_level, level, "info", 0, 3, CONF_ALL, "least level that is written: debug, info, warn, error")
C(pid_file, text, "", 0, 0, CONF_ALL, "file that the process id is written to once the daemon serves; empty: none")
C(poll, time, "50us", 0, 10000000, CONF_ALL, "how long a loop polls for an answer that is on its way before it sleeps")

/* servers */
C(store, text, "", 0, 0, CONF_MDS | CONF_OSS, "directory of the MDT; of an OST only with --format")
C(listen, text, "tcp://127.0.0.1:0", 0, 0, CONF_MDS, "address to serve at; port 0 picks one")
C(mgs, text, "", 0, 0, CONF_MDS | CONF_OSS, "address of the management service; empty: this MDT embeds it")
C(ost, list, "", 0, 0, CONF_OSS, "an OST: DIR@ADDRESS; once for each")
C(format, bool, "false", 0, 1, CONF_MDS | CONF_OSS, "make an empty store instead of serving one (what stria-admin format runs)")
C(fsname, text, "stria", 0, 0, CONF_MDS | CONF_OSS, "with --format: name of the file system, 1 to 8 letters and digits")
C(index, u64, "0", 0, 65534, CONF_MDS | CONF_OSS, "with --format: index of the target")
C(cluster, text, "", 0, 0, CONF_MDS, "with --format: uuid of the cluster; empty: a new one")
C(lease, time, "30s", 1000000000, 600000000000, CONF_MDS, "a client not heard of for so long is evicted")

/* mounts */
C(attr_timeout, time, "1s", 0, 1000000000, CONF_CLIENT, "how long the kernel may use attributes that the mount holds a lease on without asking it")
C(entry_timeout, time, "1s", 0, 1000000000, CONF_CLIENT, "how long the kernel may use names that the mount holds a lease on without asking it")
C(unstable_max, size, "256M", 1048576, 1099511627776, CONF_CLIENT, "data kept in memory until the OSTs have made it stable")
C(dirty_max, size, "64M", 0, 1099511627776, CONF_CLIENT, "data written and not yet sent to the OSTs, of a mount: beyond, writers wait; 0: all writes go through")
C(dirty_file_max, size, "32M", 0, 1099511627776, CONF_CLIENT, "the same of one file")
C(readahead, size, "4M", 0, 67108864, CONF_CLIENT, "how far an open file is read ahead, where the kernel does not do it; 0: not at all")
C(foreground, bool, "false", 0, 1, CONF_CLIENT, "stay in the foreground")
C(allow_other, bool, "true", 0, 1, CONF_CLIENT, "let other users in; permissions are checked by Stria")
C(ro, bool, "false", 0, 1, CONF_CLIENT, "mount read-only")
C(atime, text, "relatime", 0, 0, CONF_CLIENT, "which reads move atime: relatime (the first after a change, and one a day), strictatime (all), noatime (none)")
C(diratime, bool, "true", 0, 1, CONF_CLIENT, "listings move the atime of directories, too")
C(soft, bool, "false", 0, 1, CONF_CLIENT, "give up with EIO what is not answered within timeo; else (hard) programs wait until they are killed")
C(timeo, u64, "600", 1, 864000, CONF_CLIENT, "with soft: how long, in tenths of a second as for NFS")
C(wait, time, "60s", 1000000000, 86400000000000, CONF_CLIENT, "how long a mount that begins waits for its cluster; afterwards it waits for ever")
#undef C
