// SPDX-License-Identifier: Apache-2.0
// One file through several mounts, taking turns: mounts_fsx FILE FILE... [--seed N] [--ops N] [--seconds N] [--no-mmap]. The paths name one file.
// A shadow in memory says what every mount must see the moment a call has returned on another. Mappings stay up between turns: a read mapping
// made long ago must show what another mount has written since, once a look at the size has told its kernel how far the file goes.
// Exit: 0 the same, 1 a difference (seed, last operations, what differs), 2 usage.
#include "tests/coherence/coherence.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 512 * 1024, IO_MAX = 96 * 1024 };

struct view {
	int fd;
	int append_fd;
	unsigned char *map; // of FILE_MAX bytes, shared; NULL: none
};

static struct options opt;
static struct view views[VIEWS_MAX];
static unsigned char shadow[FILE_MAX];
static uint64_t written_by[FILE_MAX]; // the operation that gave a byte its value
static size_t shadow_size;
static unsigned char buffer[FILE_MAX];
static bool may_punch = true;
static bool may_copy_range = true;
static sigjmp_buf bus_jump;

static void on_bus(int number)
{
	(void)number;
	siglongjmp(bus_jump, 1);
}

// Either side may be a mapping. False: SIGBUS. A function of its own, that no caller's variable may be clobbered by the jump.
__attribute__((noinline)) static bool copy_mapped(void *to, const void *from, size_t length)
{
	if (sigsetjmp(bus_jump, 1) != 0)
		return false;
	memcpy(to, from, length);
	return true;
}

static void open_view(unsigned v)
{
	views[v].fd = open(opt.paths[v], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (views[v].fd < 0)
		differs("mount %u: open %s: %s", v, opt.paths[v], strerror(errno));
	views[v].append_fd = open(opt.paths[v], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (views[v].append_fd < 0)
		differs("mount %u: open %s to append: %s", v, opt.paths[v], strerror(errno));
}

static void close_view(unsigned v)
{
	if (close(views[v].fd) != 0 || close(views[v].append_fd) != 0)
		differs("mount %u: close: %s", v, strerror(errno));
}

static void compare(unsigned v, const char *how, const unsigned char *got, size_t at, size_t length)
{
	if (memcmp(got, shadow + at, length) == 0)
		return;
	size_t first = length;
	size_t last = 0;
	size_t wrong = 0;
	size_t zeros = 0;
	for (size_t i = 0; i < length; i++) {
		if (got[i] == shadow[at + i])
			continue;
		first = i < first ? i : first;
		last = i;
		wrong++;
		zeros += got[i] == 0;
	}
	differs("mount %u, %s of %zu+%zu (file of %zu): %zu bytes wrong between %zu and %zu (%zu of them zero); at %zu 0x%02x, must be 0x%02x "
		"as operation %llu left it",
		v, how, at, length, shadow_size, wrong, at + first, at + last, zeros, at + first, got[first], shadow[at + first],
		(unsigned long long)written_by[at + first]);
}

static void check_size(unsigned v)
{
	struct stat st;
	bool by_path = one_in(3);
	if ((by_path ? stat(opt.paths[v], &st) : fstat(views[v].fd, &st)) != 0)
		differs("mount %u: stat: %s", v, strerror(errno));
	if ((size_t)st.st_size != shadow_size)
		differs("mount %u: %s says size %lld, must be %zu", v, by_path ? "stat" : "fstat", (long long)st.st_size, shadow_size);
}

static void check_read(unsigned v, size_t at, size_t length)
{
	note("m%u pread %zu+%zu", v, at, length);
	ssize_t got = pread(views[v].fd, buffer, length, (off_t)at);
	note_result(got);
	size_t due = at >= shadow_size ? 0 : (length < shadow_size - at ? length : shadow_size - at);
	if (got < 0)
		differs("mount %u: pread: %s", v, strerror(errno));
	if ((size_t)got != due)
		differs("mount %u: pread of %zu+%zu gave %zd bytes, must give %zu (file of %zu)", v, at, length, got, due, shadow_size);
	compare(v, "read", buffer, at, due);
}

static void map_view(unsigned v)
{
	if (views[v].map != NULL)
		return;
	void *map = mmap(NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, views[v].fd, 0);
	if (map == MAP_FAILED)
		differs("mount %u: mmap: %s", v, strerror(errno));
	views[v].map = map;
}

static void unmap_view(unsigned v)
{
	if (views[v].map != NULL && munmap(views[v].map, FILE_MAX) != 0)
		differs("mount %u: munmap: %s", v, strerror(errno));
	views[v].map = NULL;
}

static void check_mapped(unsigned v, size_t at, size_t length)
{
	if (at >= shadow_size)
		return;
	if (length > shadow_size - at)
		length = shadow_size - at;
	note("m%u mapped read %zu+%zu (%s mapping)", v, at, length, views[v].map != NULL ? "existing" : "new");
	map_view(v);
	check_size(v);
	if (!copy_mapped(buffer, views[v].map + at, length))
		differs("mount %u: SIGBUS reading %zu+%zu through a mapping (file of %zu)", v, at, length, shadow_size);
	compare(v, "mapped read", buffer, at, length);
}

static void set_size(size_t size)
{
	if (size > shadow_size)
		for (size_t i = shadow_size; i < size; i++) {
			shadow[i] = 0;
			written_by[i] = op_number();
		}
	shadow_size = size;
}

static void put(size_t at, const unsigned char *from, size_t length)
{
	if (length == 0)
		return;
	if (at + length > shadow_size)
		set_size(at + length);
	memcpy(shadow + at, from, length);
	for (size_t i = at; i < at + length; i++)
		written_by[i] = op_number();
}

static size_t draw_length(size_t most)
{
	static const unsigned bounds[] = {16, 600, 4096, 20000, IO_MAX};
	size_t length = 1 + draw(bounds[draw(5)]);
	if (one_in(4))
		length = (length + 4095) / 4096 * 4096;
	return length < most ? length : most;
}

static size_t draw_at(size_t most)
{
	if (most == 0)
		return 0;
	size_t at = draw((unsigned)most);
	return one_in(3) ? at / 4096 * 4096 : at;
}

static void do_write(unsigned v, bool past_end)
{
	size_t at = past_end ? shadow_size + draw(70000) : draw_at(shadow_size + 1);
	if (at >= FILE_MAX)
		at = draw(FILE_MAX);
	size_t length = draw_length(FILE_MAX - at);
	draw_bytes(buffer, length);
	note("m%u pwrite %zu+%zu", v, at, length);
	ssize_t done = pwrite(views[v].fd, buffer, length, (off_t)at);
	note_result(done);
	if (done != (ssize_t)length)
		differs("mount %u: pwrite of %zu+%zu gave %zd (%s)", v, at, length, done, strerror(errno));
	put(at, buffer, length);
}

static void do_append(unsigned v)
{
	if (shadow_size == FILE_MAX)
		return;
	size_t length = draw_length(FILE_MAX - shadow_size);
	draw_bytes(buffer, length);
	note("m%u append %zu+%zu", v, shadow_size, length);
	ssize_t done = write(views[v].append_fd, buffer, length);
	note_result(done);
	if (done != (ssize_t)length)
		differs("mount %u: append of %zu gave %zd (%s)", v, length, done, strerror(errno));
	put(shadow_size, buffer, length);
}

static void do_truncate(unsigned v)
{
	size_t size = one_in(2) ? draw((unsigned)shadow_size + 1) : draw(FILE_MAX);
	bool by_path = one_in(2);
	note("m%u %s %zu -> %zu", v, by_path ? "truncate" : "ftruncate", shadow_size, size);
	if ((by_path ? truncate(opt.paths[v], (off_t)size) : ftruncate(views[v].fd, (off_t)size)) != 0)
		differs("mount %u: truncate to %zu: %s", v, size, strerror(errno));
	set_size(size);
}

static void do_mapped_write(unsigned v)
{
	if (shadow_size == 0)
		return;
	size_t at = draw_at(shadow_size);
	size_t length = draw_length(shadow_size - at);
	draw_bytes(buffer, length);
	note("m%u mapped write %zu+%zu, msync (%s mapping)", v, at, length, views[v].map != NULL ? "existing" : "new");
	map_view(v);
	check_size(v);
	if (!copy_mapped(views[v].map + at, buffer, length))
		differs("mount %u: SIGBUS writing %zu+%zu through a mapping (file of %zu)", v, at, length, shadow_size);
	if (msync(views[v].map, FILE_MAX, MS_SYNC) != 0)
		differs("mount %u: msync: %s", v, strerror(errno));
	put(at, buffer, length);
}

static void do_punch(unsigned v)
{
	if (!may_punch || shadow_size == 0)
		return;
	size_t at = draw_at(shadow_size);
	size_t length = draw_length(FILE_MAX);
	note("m%u punch hole %zu+%zu", v, at, length);
	int rc = fallocate(views[v].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length);
	note_result(rc);
	if (rc != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		may_punch = false;
		return;
	}
	if (rc != 0)
		differs("mount %u: punch hole: %s", v, strerror(errno));
	size_t end = at + length < shadow_size ? at + length : shadow_size;
	memset(buffer, 0, end - at);
	put(at, buffer, end - at);
}

static void do_copy_range(unsigned v)
{
	if (!may_copy_range || shadow_size < 2)
		return;
	size_t half = shadow_size / 2;
	size_t length = draw_length(half);
	off_t from = (off_t)draw((unsigned)(half - length + 1));
	off_t to = (off_t)(half + draw((unsigned)(half - length + 1)));
	size_t from_at = (size_t)from;
	size_t to_at = (size_t)to;
	note("m%u copy_file_range %zu+%zu to %zu", v, from_at, length, to_at);
	check_size(v); // Linux compares the range with the size it knows before it asks the file system; 0 would be its answer to an old one
	ssize_t done = copy_file_range(views[v].fd, &from, views[v].fd, &to, length, 0);
	note_result(done);
	if (done < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV)) {
		may_copy_range = false;
		return;
	}
	if (done <= 0)
		differs("mount %u: copy_file_range gave %zd: %s", v, done, strerror(errno));
	memcpy(buffer, shadow + from_at, (size_t)done);
	put(to_at, buffer, (size_t)done);
}

static void do_reopen(unsigned v)
{
	bool unmap = one_in(2); // a mapping outlives the descriptor it was made with
	note("m%u reopen%s", v, unmap ? ", unmap" : "");
	if (unmap)
		unmap_view(v);
	close_view(v);
	open_view(v);
}

static void do_fsync(unsigned v)
{
	bool data = one_in(2);
	note("m%u %s", v, data ? "fdatasync" : "fsync");
	if ((data ? fdatasync(views[v].fd) : fsync(views[v].fd)) != 0)
		differs("mount %u: fsync: %s", v, strerror(errno));
}

static void turn(unsigned v)
{
	unsigned what = draw(100);
	if (what < 15)
		check_read(v, draw_at(shadow_size + 1), draw_length(IO_MAX));
	else if (what < 30 && !opt.no_mmap)
		check_mapped(v, draw_at(shadow_size), draw_length(IO_MAX));
	else if (what < 45)
		do_write(v, false);
	else if (what < 53)
		do_write(v, true);
	else if (what < 63)
		do_append(v);
	else if (what < 73)
		do_truncate(v);
	else if (what < 82 && !opt.no_mmap)
		do_mapped_write(v);
	else if (what < 86)
		do_punch(v);
	else if (what < 90)
		do_copy_range(v);
	else if (what < 94)
		do_reopen(v);
	else if (what < 97)
		do_fsync(v);
	else
		check_size(v);
}

int main(int argc, char **argv)
{
	options_parse(&opt, argc, argv);
	struct sigaction bus = {.sa_handler = on_bus};
	(void)sigaction(SIGBUS, &bus, NULL);
	for (unsigned v = 0; v < opt.path_count; v++)
		open_view(v);
	if (ftruncate(views[0].fd, 0) != 0)
		differs("mount 0: ftruncate to 0: %s", strerror(errno));
	while (next_op(&opt)) {
		unsigned v = draw(opt.path_count);
		turn(v);
		// Every second change is looked at from elsewhere at once; the others pile up, as they do in a cache.
		if (one_in(2))
			check_size(draw_other(&opt, v));
		if (one_in(4))
			check_read(draw_other(&opt, v), draw_at(shadow_size + 1), draw_length(IO_MAX));
	}
	for (unsigned v = 0; v < opt.path_count; v++) {
		check_size(v);
		check_read(v, 0, FILE_MAX);
		if (!opt.no_mmap)
			check_mapped(v, 0, FILE_MAX);
		unmap_view(v);
		close_view(v);
	}
	printf("mounts_fsx: seed %llu, %llu operations through %u mounts, punch hole %s, copy_file_range %s: no difference\n",
	       (unsigned long long)opt.seed, (unsigned long long)op_number(), opt.path_count, may_punch ? "yes" : "no",
	       may_copy_range ? "yes" : "no");
	return 0;
}
