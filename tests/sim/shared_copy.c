/* SPDX-License-Identifier: Apache-2.0
 * Two files that all mounts copy to each other, in both directions at the same time.
 *
 * What stands at a place is the same in both files, and whatever is written there is that again: so any copy, or part of one, by anybody, that is done, fails, or
 * goes on behind a crash, leaves it so. Data from elsewhere, holes where the source has none, and copies that wait for each other for ever do not. */
#include "tests/sim/oracle.h"
#include "tests/sim/seam.h"
#include "tests/sim/shared.h"

#include <fcntl.h>
#include <stdio.h>

enum { COPIED_BYTES = 400000, STEPS_MAX = 12, SEED = 77 };

static const char *const paths[2] = {"shared/copy0", "shared/copy1"};

static void wrong(struct shared *shared, const char *what, const char *path, int64_t got)
{
	WORLD_MEMORY();
	world_fail(shared->world, "shared: %s: %s (%lld)", path, what, (long long)got);
}

/* A disk that is full, and an eviction, end it: then nobody knows what became of it. */
static bool is_known(struct shared *shared, const char *what, const char *path, int64_t rc)
{
	if (rc < 0 && rc != -ENOSPC && rc != -EIO)
		wrong(shared, what, path, rc);
	return rc >= 0;
}

int shared_copy_prepare(struct kernel *kernel)
{
	static const char layout[] = "{\"stripe_count\": 2, \"stripe_size\": 65536, \"stripe_index\": -1, \"osts\": []}";
	for (unsigned i = 0; i < 2; i++) {
		int rc = kernel_open(kernel, paths[i], O_RDWR | O_CREAT | O_EXCL, 0644);
		if (rc == -EEXIST)
			continue;
		if (rc >= 0)
			rc = kernel_close(kernel, rc);
		if (rc < 0)
			return rc;
		/* Others may have written to it already: then it stays as it is cut. */
		(void)kernel_setxattr(kernel, paths[i], "stria.layout", blob_of(layout, sizeof(layout) - 1), 0);
	}
	return 0;
}

/* Once, as far as disks have room. */
static void fill(struct shared *shared, struct kernel *kernel, const int fds[2], const uint8_t *good)
{
	int64_t done = 0;
	for (unsigned i = 0; i < 2 && done >= 0; i++) {
		done = kernel_pwrite(kernel, fds[i], good, COPIED_BYTES, 0);
		if (done >= 0)
			done = done < COPIED_BYTES ? -ENOSPC : kernel_fsync(kernel, fds[i]);
	}
	if (is_known(shared, "writing all of it", paths[0], done))
		shared->copies_ready = true;
}

static void check(struct shared *shared, struct kernel *kernel, int fd, const char *path, const uint8_t *good, uint64_t at, uint64_t len)
{
	uint8_t *buf = mem_alloc((size_t)len);
	int64_t got = kernel_pread(kernel, fd, buf, (size_t)len, at);
	if (is_known(shared, "reading", path, got) && got != (int64_t)len)
		wrong(shared, "is shorter than what was written to both", path, got);
	for (int64_t i = 0; i < got; i++)
		if (buf[i] != good[at + (uint64_t)i]) {
			wrong(shared, "what others copied is something else from here", path, (int64_t)at + i);
			break;
		}
	shared->copies_read += got > 0;
	mem_free(buf);
}

static void step(struct shared *shared, struct kernel *kernel, struct rng *rng, const int fds[2], const uint8_t *good)
{
	uint64_t what = rng_below(rng, 8), at = rng_below(rng, COPIED_BYTES), len = 1 + rng_below(rng, COPIED_BYTES - at);
	unsigned from = (unsigned)rng_below(rng, 2);
	if (what == 0) {
		(void)is_known(shared, "writing", paths[from], kernel_pwrite(kernel, fds[from], good + at, (size_t)len, at));
	} else if (what < 3) {
		check(shared, kernel, fds[from], paths[from], good, at, len);
	} else {
		int64_t done = kernel_copy(kernel, fds[from], at, fds[1 - from], at, len);
		if (is_known(shared, "copying", paths[1 - from], done) && done == 0)
			wrong(shared, "nothing of it is copied", paths[from], done);
	}
}

void shared_copy_steps(struct shared *shared, struct kernel *kernel, struct rng *rng)
{
	int fds[2] = {kernel_open(kernel, paths[0], O_RDWR, 0), kernel_open(kernel, paths[1], O_RDWR, 0)};
	uint8_t *good = mem_alloc(COPIED_BYTES);
	model_data_fill(SEED, good, COPIED_BYTES);
	if (is_known(shared, "opening", paths[0], fds[0]) && is_known(shared, "opening", paths[1], fds[1])) {
		if (!shared->copies_ready)
			fill(shared, kernel, fds, good);
		for (uint64_t i = rng_below(rng, STEPS_MAX); i > 0 && shared->copies_ready; i--)
			step(shared, kernel, rng, fds, good);
	}
	mem_free(good);
	for (unsigned i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)kernel_close(kernel, fds[i]); /* what was not stable went with its mount */
}

void shared_copy_verify(struct shared *shared, struct kernel *kernel)
{
	if (!shared->copies_ready)
		return;
	uint8_t *good = mem_alloc(COPIED_BYTES);
	model_data_fill(SEED, good, COPIED_BYTES);
	for (unsigned i = 0; i < 2 && world_failure(shared->world) == NULL; i++) {
		int fd = kernel_open(kernel, paths[i], O_RDONLY, 0);
		if (fd < 0) {
			wrong(shared, "opening it in the end", paths[i], fd);
			break;
		}
		check(shared, kernel, fd, paths[i], good, 0, COPIED_BYTES);
		(void)kernel_close(kernel, fd); /* nothing was written through it */
	}
	mem_free(good);
}
