/* SPDX-License-Identifier: Apache-2.0
 * Writing logs, reading them, and judging what is in them. */
#include "tests/linear/log.h"
#include "common/base/check.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { LINE_BYTES = 512, FIELDS_MAX = 12, SHOWN_BAD_MAX = 5 };
static const uint64_t steps_max = 50000000;

const struct linear_model *log_slot_model(unsigned slot)
{
	if (slot < LOG_REGISTERS)
		return &linear_register;
	if (slot < LOG_REGISTERS + LOG_APPENDS)
		return &linear_append;
	return slot < LOG_REGISTERS + LOG_APPENDS + LOG_SETS ? &linear_names : &linear_lock;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

int log_open(struct log *log, const char *path)
{
	*log = (struct log){.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)};
	return log->fd < 0 ? -errno : 0;
}

static void put_line(struct log *log, const char *line, int len)
{
	CHECK(len > 0 && len < LINE_BYTES);
	CHECK_MSG(write(log->fd, line, (size_t)len) == len, "the log cannot be written");
}

uint64_t log_call(struct log *log, unsigned round, unsigned slot, const struct linear_op *op)
{
	char line[LINE_BYTES];
	uint64_t id = ++log->ids;
	put_line(log, line, snprintf(line, sizeof(line), "C %llu %u %u %u %u %u %llu\n", (unsigned long long)id, round, slot, (unsigned)op->kind,
				     op->a, op->b, (unsigned long long)op->call_at));
	return id;
}

void log_return(struct log *log, uint64_t id, const struct linear_op *op)
{
	char line[LINE_BYTES];
	const uint64_t *w = op->seen.words;
	put_line(log, line, snprintf(line, sizeof(line), "R %llu %u %llu %llu %llu %llu %llu %llu %llu %llu %llu\n", (unsigned long long)id,
				     (unsigned)-op->rc, (unsigned long long)op->return_at, (unsigned long long)w[0], (unsigned long long)w[1],
				     (unsigned long long)w[2], (unsigned long long)w[3], (unsigned long long)w[4], (unsigned long long)w[5],
				     (unsigned long long)w[6], (unsigned long long)w[7]));
}

void log_error(struct log *log, uint64_t id, int error)
{
	char line[LINE_BYTES];
	put_line(log, line, snprintf(line, sizeof(line), "E %llu %d\n", (unsigned long long)id, error));
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

struct entry {
	struct linear_op op;
	unsigned round, slot;
};
struct judging {
	struct entry *entries; /* owned */
	size_t count, room, first; /* first: of the file that is read */
	unsigned errors;
	uint64_t by_slot[LOG_SLOTS], bad_by_slot[LOG_SLOTS];
	uint64_t histories, ops, lost, cut, two_looks, zeros, bad, steps_longest;
};

static unsigned fields_of(const char *line, uint64_t ret_fields[FIELDS_MAX])
{
	unsigned count = 0;
	while (count < FIELDS_MAX) {
		char *end;
		unsigned long long number = strtoull(line, &end, 10);
		if (end == line)
			break;
		ret_fields[count++] = number;
		line = end;
	}
	return count;
}

static bool take_call(struct judging *judging, uint32_t client, const uint64_t *f)
{
	if (f[0] != judging->count - judging->first + 1 || f[2] >= LOG_SLOTS || f[3] > LINEAR_RELEASE)
		return false;
	if (judging->count == judging->room) {
		judging->room = judging->room == 0 ? 4096 : 2 * judging->room;
		judging->entries = mem_realloc(judging->entries, judging->room * sizeof(*judging->entries));
	}
	judging->entries[judging->count++] = (struct entry){
		.round = (unsigned)f[1],
		.slot = (unsigned)f[2],
		.op = {.client = client, .kind = (enum linear_kind)f[3], .a = (uint32_t)f[4], .b = (uint32_t)f[5], .call_at = f[6],
		       .return_at = LINEAR_NEVER},
	};
	return true;
}

static bool take_line(struct judging *judging, uint32_t client, const char *line)
{
	uint64_t f[FIELDS_MAX];
	unsigned count = line[0] != '\0' ? fields_of(line + 1, f) : 0;
	if (line[0] == 'C' && count == 7)
		return take_call(judging, client, f);
	if (line[0] == 'E' && count == 2 && f[0] == 0) {
		printf("client %u: open: %s\n", client, strerror((int)f[1]));
		judging->errors++;
		return true;
	}
	if (count < 2 || f[0] == 0 || f[0] > judging->count - judging->first)
		return false;
	struct entry *entry = &judging->entries[judging->first + f[0] - 1];
	if (line[0] == 'E') {
		char what[LINEAR_OP_TEXT_BYTES];
		log_slot_model(entry->slot)->op_text(&entry->op, what, sizeof(what));
		printf("client %u, round %u: %s: %s\n", client, entry->round, what, strerror((int)f[1]));
		judging->errors++;
		return true;
	}
	if (line[0] != 'R' || count != 11)
		return false;
	entry->op.returned = true;
	entry->op.rc = -(int32_t)f[1];
	entry->op.return_at = f[2];
	memcpy(entry->op.seen.words, &f[3], sizeof(entry->op.seen.words));
	return true;
}

static bool read_log(struct judging *judging, uint32_t client, const char *path)
{
	char line[LINE_BYTES];
	FILE *file = fopen(path, "re");
	bool good = file != NULL;
	judging->first = judging->count;
	while (good && fgets(line, sizeof(line), file) != NULL)
		if (strchr(line, '\n') != NULL) /* a process that was killed may leave half a line */
			good = take_line(judging, client, line);
	if (!good)
		(void)fprintf(stderr, "linear: %s: %s\n", path, file == NULL ? strerror(errno) : "not a log");
	if (file != NULL)
		(void)fclose(file);
	return good;
}

/* ---- judging -------------------------------------------------------------------------------------------------- */

static int entry_compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	if (a->round != b->round)
		return a->round < b->round ? -1 : 1;
	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	return a->op.call_at < b->op.call_at ? -1 : a->op.call_at > b->op.call_at;
}

static bool is_data(const struct linear_op *op)
{
	return op->kind == LINEAR_WRITE || op->kind == LINEAR_APPEND;
}

static bool changes_names(const struct linear_op *op)
{
	return op->kind >= LINEAR_CREATE && op->kind <= LINEAR_EXCHANGE && (!op->returned || op->rc == 0);
}

static bool touches(const struct linear_op *op, uint32_t name)
{
	return op->a == name || (op->kind >= LINEAR_RENAME && op->b == name);
}

/* Linux looks at both names of a rename, one after the other, before it asks the file system. If others change one of them in between, it may find the same
 * file behind both, and do nothing; or something behind the second, when the first was there no more. So nobody knows what came of it. */
static bool was_looked_at_twice(const struct entry *entries, size_t count, const struct linear_op *op)
{
	bool may = op->kind == LINEAR_MOVE ? op->rc == -EEXIST : op->rc == 0;
	if (!op->returned || !may || op->kind < LINEAR_RENAME || op->kind > LINEAR_EXCHANGE)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct linear_op *other = &entries[i].op;
		bool meet = other->call_at < op->return_at && (!other->returned || op->call_at < other->return_at);
		if (other->client != op->client && changes_names(other) && meet && (touches(other, op->a) || touches(other, op->b)))
			return true;
	}
	return false;
}

/* Linux fills a page, and looks at the file's size later: one that grows or is cut off in between makes it show zeros. */
static bool met_a_change(const struct entry *entries, size_t count, const struct linear_op *op)
{
	if ((op->kind != LINEAR_READ && op->kind != LINEAR_LIST) || !op->returned || op->seen.words[0] != LINEAR_ZEROS)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct linear_op *other = &entries[i].op;
		bool changes = other->kind == LINEAR_WRITE || other->kind == LINEAR_TRUNCATE || other->kind == LINEAR_APPEND;
		if (changes && other->call_at < op->return_at && (!other->returned || op->call_at < other->return_at))
			return true;
	}
	return false;
}

static void judge(struct judging *judging, const struct entry *entries, size_t count)
{
	uint64_t cut_at = LINEAR_NEVER, start = entries[0].op.call_at;
	size_t kept = 0;
	struct linear_result result;
	char text[LINEAR_TEXT_BYTES];
	struct linear_op *ops = mem_alloc(count * sizeof(*ops));
	for (size_t i = 0; i < count; i++) {
		judging->lost += !entries[i].op.returned;
		if (!entries[i].op.returned && is_data(&entries[i].op))
			cut_at = min_u64(cut_at, entries[i].op.call_at);
	}
	for (size_t i = 0; i < count && entries[i].op.call_at < cut_at; i++) {
		ops[kept] = entries[i].op;
		ops[kept].call_at -= start;
		ops[kept].returned = ops[kept].returned && ops[kept].return_at <= cut_at;
		ops[kept].return_at = ops[kept].returned ? ops[kept].return_at - start : LINEAR_NEVER;
		if (was_looked_at_twice(entries, count, &entries[i].op)) {
			ops[kept].returned = false; /* it happened before its return, or never */
			judging->two_looks++;
		}
		if (met_a_change(entries, count, &entries[i].op)) {
			ops[kept].returned = false;
			judging->zeros++;
		}
		kept++;
	}
	const struct linear_model *model = log_slot_model(entries[0].slot);
	linear_check(model, ops, kept, steps_max, &result);
	judging->histories++;
	judging->ops += kept;
	judging->cut += cut_at != LINEAR_NEVER;
	judging->steps_longest = max_u64(judging->steps_longest, result.steps);
	judging->bad += result.verdict != LINEAR_GOOD;
	judging->by_slot[entries[0].slot]++;
	judging->bad_by_slot[entries[0].slot] += result.verdict != LINEAR_GOOD;
	if (result.verdict == LINEAR_UNKNOWN) {
		printf("round %u, %s%u: %s\n", entries[0].round, model->name, entries[0].slot, result.unknown);
	} else if (result.verdict == LINEAR_BAD && judging->bad <= SHOWN_BAD_MAX) {
		linear_explain(model, ops, kept, steps_max, text);
		printf("round %u, slot %u (times in ns since its beginning): %s", entries[0].round, entries[0].slot, text);
	}
	mem_free(ops);
}

int log_judge(char *const *paths, unsigned count)
{
	struct judging judging = {0};
	int rc = 0;
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = read_log(&judging, i, paths[i]) ? 0 : 2;
	if (rc == 0 && judging.count > 0) {
		qsort(judging.entries, judging.count, sizeof(*judging.entries), entry_compare);
		for (size_t at = 0, end; at < judging.count; at = end) {
			for (end = at; end < judging.count && judging.entries[end].round == judging.entries[at].round &&
				       judging.entries[end].slot == judging.entries[at].slot;)
				end++;
			judge(&judging, &judging.entries[at], end - at);
		}
	}
	printf("%llu histories, %llu operations judged, %llu never returned, %llu histories cut at a lost write, ",
	       (unsigned long long)judging.histories, (unsigned long long)judging.ops, (unsigned long long)judging.lost,
	       (unsigned long long)judging.cut);
	printf("%llu renames of which nobody knows, %llu reads of zeros in the middle of a change, ", (unsigned long long)judging.two_looks,
	       (unsigned long long)judging.zeros);
	printf("longest search %llu steps: %llu not linearizable, %u errors\n", (unsigned long long)judging.steps_longest,
	       (unsigned long long)judging.bad, judging.errors);
	for (unsigned slot = 0; slot < LOG_SLOTS; slot++)
		printf("%s%u %llu of %llu bad%s", log_slot_model(slot)->name, slot, (unsigned long long)judging.bad_by_slot[slot],
		       (unsigned long long)judging.by_slot[slot], slot + 1 < LOG_SLOTS ? ", " : "\n");
	mem_free(judging.entries);
	return rc != 0 ? rc : judging.bad > 0 || judging.errors > 0;
}
