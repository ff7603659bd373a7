/* SPDX-License-Identifier: Apache-2.0
 * ofi_open.c's functions. Private to common/io. */
#ifndef STRIA_IO_OFI_OPEN_H
#define STRIA_IO_OFI_OPEN_H

#include "common/io/ofi.h"

#include <sys/socket.h>

struct ofi_address {
	char host[NET_ADDR_BYTES_MAX], port[8];
	bool numeric_only;
	int rc;
	struct sockaddr_storage sockaddr;
	size_t sockaddr_len;
};

/* Open provider, domain and queues of `net`. On failure ofi_shut frees what was opened. */
int ofi_open(struct ofi_net *net, char error_text[IO_ERROR_TEXT_BYTES]);
void ofi_shut(struct ofi_net *net);
/* "tcp://host:port" to a socket address. Parks in a task when host is a name; blocks otherwise. EINVAL. */
int ofi_address_parse(struct ofi_net *net, const char *text, struct ofi_address *ret);
void ofi_address_print(const struct ofi_net *net, const void *sockaddr, size_t len, char ret[NET_ADDR_BYTES_MAX]);
/* What an endpoint to `address`, or a passive one at it (is_source), is made from. Owned: fi_freeinfo. */
struct fi_info *ofi_info_for(struct ofi_net *net, const struct ofi_address *address, bool is_source);

#endif
