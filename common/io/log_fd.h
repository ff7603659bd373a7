/* SPDX-License-Identifier: Apache-2.0
 * The real log sink: one write(2) a line to stderr or to a file opened for appending, so lines of several threads never mix. */
#ifndef STRIA_IO_LOG_FD_H
#define STRIA_IO_LOG_FD_H

#include "common/core/log.h"

struct log_fd {
	struct log_sink sink;
	int fd;
};
/* `path` NULL or "": stderr. Errors: those of open(2). */
int log_fd_open(struct log_fd *log_fd, const char *path);
void log_fd_close(struct log_fd *log_fd);

#endif
