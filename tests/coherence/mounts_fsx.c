// SPDX-License-Identifier: Apache-2.0
// One file through several mounts, taking turns: mounts_fsx FILE FILE... [--seed N] [--ops N] [--seconds N] [--turn N] [--bytes N] [--no-mmap]
// [--progress]. The paths name one file. A turn is up to --turn operations [1: each is a hand-over] by one mount; then another looks, and the next
// turn begins. A shadow in memory says what every mount must see the moment a call has returned on another. Mappings stay up between turns: a read
// mapping made long ago must show what another mount has written since, also through a mapping and never synced; only how far the file goes its
// kernel must have been told. Exit: 0 the same, 1 a difference (seed, last operations, what differs), 2 usage.
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

enum { FILE_MAX = 4 * 1024 * 1024, BLOCK = 4096 };

struct view {
	int fd;
	int append_fd;
	int read_fd; // its kernel keeps pages for it
	int direct_fd; // -1: the file system has no O_DIRECT
	unsigned char *map; // of FILE_MAX bytes, shared; NULL: none
	size_t known; // its kernel knows that the file goes at least as far, or went and was cut and grew by others since: then less
};
// What a file system may refuse; then it is not asked again.
enum refusable { PUNCH, ZERO, ALLOCATE, COPY, SEEK, REFUSABLE };
static const char *const refusable_names[REFUSABLE] = {"punch hole", "zero range", "allocate", "copy_file_range", "seek data"};

static struct options opt;
static struct view views[VIEWS_MAX];
static unsigned char shadow[FILE_MAX];
static uint32_t written_by[FILE_MAX]; // the operation that gave a byte its value
static size_t shadow_size;
static unsigned char buffer[FILE_MAX] __attribute__((aligned(4096)));
static bool refused[REFUSABLE];
static size_t file_max, io_max; // <= FILE_MAX
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

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

// True: it was refused as something that the file system does not have.
static bool is_refused(enum refusable what, long rc)
{
	if (rc < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV))
		refused[what] = true;
	return refused[what];
}

static void open_view(unsigned v)
{
	views[v].fd = open(opt.paths[v], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (views[v].fd < 0)
		differs("mount %u: open %s: %s", v, opt.paths[v], strerror(errno));
	views[v].append_fd = open(opt.paths[v], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (views[v].append_fd < 0)
		differs("mount %u: open %s to append: %s", v, opt.paths[v], strerror(errno));
	views[v].read_fd = open(opt.paths[v], O_RDONLY | O_CLOEXEC);
	if (views[v].read_fd < 0)
		differs("mount %u: open %s to read: %s", v, opt.paths[v], strerror(errno));
	views[v].direct_fd = open(opt.paths[v], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (views[v].direct_fd < 0 && errno != EINVAL)
		differs("mount %u: open %s with O_DIRECT: %s", v, opt.paths[v], strerror(errno));
}

static void close_view(unsigned v)
{
	if (close(views[v].fd) != 0 || close(views[v].append_fd) != 0 || close(views[v].read_fd) != 0 ||
	    (views[v].direct_fd >= 0 && close(views[v].direct_fd) != 0))
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
		first = least(first, i);
		last = i;
		wrong++;
		zeros += got[i] == 0;
	}
	differs_at(at + first,
		   "mount %u, %s of %zu+%zu (file of %zu): %zu bytes wrong between %zu and %zu (%zu of them zero); at %zu 0x%02x, must be "
		   "0x%02x as operation %lu left it",
		   v, how, at, length, shadow_size, wrong, at + first, at + last, zeros, at + first, got[first], shadow[at + first],
		   (unsigned long)written_by[at + first]);
}

static void check_size(unsigned v)
{
	struct stat st;
	acts(v);
	bool by_path = one_in(3);
	if ((by_path ? stat(opt.paths[v], &st) : fstat(views[v].fd, &st)) != 0)
		differs("mount %u: stat: %s", v, strerror(errno));
	if ((size_t)st.st_size != shadow_size)
		differs("mount %u: %s says size %lld, must be %zu", v, by_path ? "stat" : "fstat", (long long)st.st_size, shadow_size);
	views[v].known = shadow_size;
}

// What Linux does without asking the file system looks at the size that it knows: a mapping's end, where copy_file_range stops.
static void make_known(unsigned v, size_t end)
{
	if (end > views[v].known || one_in(8))
		check_size(v);
}

static void check_read(unsigned v, size_t at, size_t length)
{
	static const char *const hows[] = {"read", "cached read", "direct read"};
	acts(v);
	unsigned how = one_in(4) && views[v].direct_fd >= 0 ? 2 : draw(2);
	if (how == 2) {
		at = at / BLOCK * BLOCK;
		length = (length + BLOCK - 1) / BLOCK * BLOCK;
	}
	note("m%u %s %zu+%zu", v, hows[how], at, length);
	ssize_t got = pread(how == 2 ? views[v].direct_fd : how == 1 ? views[v].read_fd : views[v].fd, buffer, length, (off_t)at);
	note_result(got);
	size_t due = at >= shadow_size ? 0 : least(length, shadow_size - at);
	if (got < 0)
		differs("mount %u: %s: %s", v, hows[how], strerror(errno));
	if ((size_t)got != due)
		differs("mount %u: %s of %zu+%zu gave %zd bytes, must give %zu (file of %zu)", v, hows[how], at, length, got, due, shadow_size);
	compare(v, hows[how], buffer, at, due);
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
	length = least(length, shadow_size - at);
	note("m%u mapped read %zu+%zu (%s mapping)", v, at, length, views[v].map != NULL ? "existing" : "new");
	map_view(v);
	make_known(v, at + length);
	if (!copy_mapped(buffer, views[v].map + at, length))
		differs("mount %u: SIGBUS reading %zu+%zu through a mapping (file of %zu)", v, at, length, shadow_size);
	compare(v, "mapped read", buffer, at, length);
}

// By the mount v.
static void set_size(unsigned v, size_t size)
{
	for (size_t i = shadow_size; i < size; i++) {
		shadow[i] = 0;
		written_by[i] = (uint32_t)op_number();
	}
	for (unsigned other = 0; other < opt.path_count; other++)
		views[other].known = least(views[other].known, size); // whoever met the end meanwhile knows less than it was told
	shadow_size = size;
	views[v].known = size;
}

static void put(unsigned v, size_t at, const unsigned char *from, size_t length)
{
	if (length == 0)
		return;
	if (at + length > shadow_size)
		set_size(v, at + length);
	memcpy(shadow + at, from, length);
	for (size_t i = at; i < at + length; i++)
		written_by[i] = (uint32_t)op_number();
}

static void put_zeros(unsigned v, size_t at, size_t end)
{
	if (at >= end)
		return;
	memset(buffer, 0, end - at);
	put(v, at, buffer, end - at);
}

static size_t draw_length(size_t most)
{
	static const unsigned bounds[] = {16, 16, 600, 600, 600, 4096, 4096, 4096, 4096, 20000, 20000, 100000};
	unsigned bound = bounds[draw(12)];
	size_t length = 1 + draw(one_in(100) ? (unsigned)io_max : bound);
	if (one_in(4))
		length = (length + BLOCK - 1) / BLOCK * BLOCK;
	return least(length, most);
}

static size_t draw_at(size_t most)
{
	if (most == 0)
		return 0;
	size_t at = draw((unsigned)most);
	if (one_in(8)) // about the borders of stripes
		return least(at / 65536 * 65536 + draw(3), most) - (at >= 65536 ? draw(2) : 0);
	return one_in(3) ? at / BLOCK * BLOCK : at;
}

static void do_write(unsigned v, bool past_end)
{
	size_t at = past_end ? shadow_size + draw(200000) : draw_at(shadow_size + 1);
	if (at >= file_max)
		at = draw((unsigned)file_max);
	size_t length = draw_length(file_max - at);
	bool direct = views[v].direct_fd >= 0 && one_in(5);
	if (direct) {
		at = at / BLOCK * BLOCK;
		length = (length + BLOCK - 1) / BLOCK * BLOCK;
	}
	draw_bytes(buffer, length);
	note("m%u pwrite %zu+%zu%s", v, at, length, direct ? " direct" : "");
	note_range(at, length);
	ssize_t done = pwrite(direct ? views[v].direct_fd : views[v].fd, buffer, length, (off_t)at);
	note_result(done);
	if (done != (ssize_t)length)
		differs("mount %u: pwrite of %zu+%zu gave %zd (%s)", v, at, length, done, strerror(errno));
	put(v, at, buffer, length);
}

static void do_append(unsigned v)
{
	if (shadow_size == file_max)
		return;
	size_t length = draw_length(file_max - shadow_size);
	draw_bytes(buffer, length);
	note("m%u append %zu+%zu", v, shadow_size, length);
	note_range(shadow_size, length);
	ssize_t done = write(views[v].append_fd, buffer, length);
	note_result(done);
	if (done != (ssize_t)length)
		differs("mount %u: append of %zu gave %zd (%s)", v, length, done, strerror(errno));
	// Linux adds the length to the end that it knew; only the file system knows better.
	size_t known = views[v].known == shadow_size ? shadow_size + length : views[v].known;
	put(v, shadow_size, buffer, length);
	views[v].known = known;
}

static void do_truncate(unsigned v)
{
	static const char *const hows[] = {"ftruncate", "truncate", "open with O_TRUNC"};
	unsigned how = draw(5) / 2;
	size_t size = how == 2 ? 0 : one_in(2) ? draw((unsigned)shadow_size + 1) : draw((unsigned)file_max);
	note("m%u %s %zu -> %zu", v, hows[how], shadow_size, size);
	note_range(least(size, shadow_size), FILE_MAX);
	int rc;
	if (how == 2)
		rc = open(opt.paths[v], O_WRONLY | O_TRUNC | O_CLOEXEC);
	else
		rc = how == 0 ? ftruncate(views[v].fd, (off_t)size) : truncate(opt.paths[v], (off_t)size);
	if (rc < 0 || (how == 2 && close(rc) != 0))
		differs("mount %u: %s to %zu: %s", v, hows[how], size, strerror(errno));
	set_size(v, size);
}

static void do_mapped_write(unsigned v)
{
	if (shadow_size == 0)
		return;
	size_t at = draw_at(shadow_size);
	size_t length = draw_length(shadow_size - at);
	draw_bytes(buffer, length);
	static const char *const syncs[] = {"not synced", "synced", "all synced"};
	unsigned sync = one_in(3) ? 1 + draw(2) : 0;
	note("m%u mapped write %zu+%zu, %s (%s mapping)", v, at, length, syncs[sync], views[v].map != NULL ? "existing" : "new");
	note_range(at, length);
	map_view(v);
	make_known(v, at + length);
	if (!copy_mapped(views[v].map + at, buffer, length))
		differs("mount %u: SIGBUS writing %zu+%zu through a mapping (file of %zu)", v, at, length, shadow_size);
	size_t sync_at = sync == 1 ? at / BLOCK * BLOCK : 0;
	if (sync != 0 && msync(views[v].map + sync_at, sync == 1 ? at + length - sync_at : FILE_MAX, MS_SYNC) != 0)
		differs("mount %u: msync: %s", v, strerror(errno));
	put(v, at, buffer, length);
}

static void do_fallocate(unsigned v, enum refusable what)
{
	static const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, 0};
	size_t at = draw_at(shadow_size + 1 + (one_in(4) ? 200000 : 0));
	if (refused[what] || at >= file_max)
		return;
	size_t length = draw_length(file_max - at);
	bool keep = what == PUNCH || one_in(2);
	int mode = modes[what] | (keep ? FALLOC_FL_KEEP_SIZE : 0);
	note("m%u %s %zu+%zu%s", v, refusable_names[what], at, length, keep && what != PUNCH ? ", size kept" : "");
	note_range(what == ALLOCATE ? 0 : at, what == ALLOCATE ? 0 : length);
	int rc = fallocate(views[v].fd, mode, (off_t)at, (off_t)length);
	note_result(rc);
	if (is_refused(what, rc))
		return;
	if (rc != 0)
		differs("mount %u: %s: %s", v, refusable_names[what], strerror(errno));
	if (!keep && at + length > shadow_size)
		set_size(v, at + length);
	if (what != ALLOCATE)
		put_zeros(v, at, least(at + length, shadow_size));
}

static void do_copy_range(unsigned v)
{
	if (refused[COPY] || shadow_size < 2)
		return;
	size_t from_at = draw_at(shadow_size);
	size_t length = draw_length(shadow_size - from_at);
	size_t to_at = one_in(3) ? shadow_size + draw(50000) : draw_at(shadow_size);
	bool overlaps = to_at < from_at + length && from_at < to_at + length;
	if (length == 0 || to_at + length > file_max)
		return;
	off_t from = (off_t)from_at;
	off_t to = (off_t)to_at;
	note("m%u copy_file_range %zu+%zu to %zu", v, from_at, length, to_at);
	note_range(to_at, length);
	make_known(v, from_at + length);
	ssize_t done = copy_file_range(views[v].fd, &from, views[v].fd, &to, length, 0);
	note_result(done);
	if (is_refused(COPY, done))
		return;
	if (overlaps && done < 0 && errno == EINVAL)
		return;
	if (overlaps || done <= 0 || (size_t)done > length)
		differs("mount %u: copy_file_range gave %zd: %s", v, done, strerror(errno));
	memcpy(buffer, shadow + from_at, (size_t)done);
	put(v, to_at, buffer, (size_t)done);
}

static bool is_zero(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (shadow[i] != 0)
			return false;
	return true;
}

// What is called a hole is zeros; where data begins is the file system's business, as long as only zeros lie before it.
static void check_seek(unsigned v)
{
	if (refused[SEEK])
		return;
	size_t at = draw_at(shadow_size + 1);
	bool hole = one_in(2);
	note("m%u seek %s from %zu", v, hole ? "hole" : "data", at);
	off_t got = lseek(views[v].fd, (off_t)at, hole ? SEEK_HOLE : SEEK_DATA);
	note_result((long)got);
	if (got < 0 && errno == EINVAL) {
		refused[SEEK] = true;
		return;
	}
	bool good;
	if (got < 0)
		good = errno == ENXIO && (at >= shadow_size || (!hole && is_zero(at, shadow_size)));
	else if (hole)
		good = (size_t)got >= at && (size_t)got <= shadow_size && ((size_t)got == shadow_size || shadow[got] == 0);
	else
		good = (size_t)got >= at && (size_t)got < shadow_size && is_zero(at, (size_t)got);
	if (!good)
		differs("mount %u: seek %s from %zu gave %lld (%s), file of %zu", v, hole ? "hole" : "data", at, (long long)got,
			got < 0 ? strerror(errno) : "ok", shadow_size);
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

static void operate(unsigned v)
{
	unsigned what = draw(100);
	acts(v);
	if (what < 22)
		check_read(v, draw_at(shadow_size + 1), draw_length(io_max));
	else if (what < 44 && !opt.no_mmap)
		check_mapped(v, draw_at(shadow_size), draw_length(io_max));
	else if (what < 60)
		do_write(v, false);
	else if (what < 63)
		do_write(v, true);
	else if (what < 69)
		do_append(v);
	else if (what < 72)
		do_truncate(v);
	else if (what < 84 && !opt.no_mmap)
		do_mapped_write(v);
	else if (what < 86)
		do_fallocate(v, PUNCH);
	else if (what < 87)
		do_fallocate(v, ZERO);
	else if (what < 88)
		do_fallocate(v, ALLOCATE);
	else if (what < 91)
		do_copy_range(v);
	else if (what < 92)
		check_seek(v);
	else if (what < 93)
		do_reopen(v);
	else if (what < 94)
		do_fsync(v);
	else
		check_size(v);
}

int main(int argc, char **argv)
{
	options_parse(&opt, argc, argv);
	file_max = opt.bytes != 0 ? least((opt.bytes + BLOCK - 1) / BLOCK * BLOCK, FILE_MAX) : FILE_MAX;
	io_max = file_max / 4;
	struct sigaction bus = {.sa_handler = on_bus};
	(void)sigaction(SIGBUS, &bus, NULL);
	for (unsigned v = 0; v < opt.path_count; v++)
		open_view(v);
	if (ftruncate(views[0].fd, 0) != 0)
		differs("mount 0: ftruncate to 0: %s", strerror(errno));
	unsigned v = 0;
	for (uint64_t left = 0; next_op(&opt); left--) {
		if (left == 0) {
			v = draw(opt.path_count);
			left = draw_turn(&opt);
		}
		operate(v);
		if (left > 1)
			continue;
		// Every second turn is looked at from elsewhere at once; the others pile up, as they do in a cache.
		if (one_in(2))
			check_size(draw_other(&opt, v));
		if (one_in(4))
			check_read(draw_other(&opt, v), draw_at(shadow_size + 1), draw_length(io_max));
	}
	for (v = 0; v < opt.path_count; v++) {
		check_size(v);
		check_read(v, 0, FILE_MAX);
		if (!opt.no_mmap)
			check_mapped(v, 0, FILE_MAX);
		unmap_view(v);
		close_view(v);
	}
	printf("mounts_fsx: seed %llu, %llu operations, %llu hand-overs, through %u mounts", (unsigned long long)opt.seed,
	       (unsigned long long)op_number(), (unsigned long long)handovers(), opt.path_count);
	for (unsigned i = 0; i < REFUSABLE; i++)
		if (refused[i])
			printf(", without %s", refusable_names[i]);
	printf(": no difference\n");
	return 0;
}
