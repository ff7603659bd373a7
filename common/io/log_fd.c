/* SPDX-License-Identifier: Apache-2.0
 * The real log sink. A line that cannot be written (full disk) is lost: a daemon does not stop for its log. */
#include "common/io/log_fd.h"

#include <fcntl.h>
#include <unistd.h>

static void write_line(struct log_sink *sink, enum log_level level, struct str line)
{
	(void)level; /* the line says it */
	const struct log_fd *log_fd = (const struct log_fd *)sink;
	ssize_t written = write(log_fd->fd, line.ptr, line.len);
	(void)written; /* see above */
}

int log_fd_open(struct log_fd *log_fd, const char *path)
{
	int fd = STDERR_FILENO;
	if (path != NULL && path[0] != '\0') {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return fail(errno);
	}
	*log_fd = (struct log_fd){.sink = {.write = write_line}, .fd = fd};
	return 0;
}

void log_fd_close(struct log_fd *log_fd)
{
	if (log_fd->fd != STDERR_FILENO)
		(void)close(log_fd->fd); /* nothing of it is buffered */
	log_fd->fd = STDERR_FILENO;
}
