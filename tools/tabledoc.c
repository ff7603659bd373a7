/* SPDX-License-Identifier: Apache-2.0
 * The tables as documents, by compiling them in: there is no parser to drift. Prints one document to stdout; `ctest -R docs_are_current`
 * compares, tools/docs writes. */
#include "common/core/conf.h"
#include "proto/frame.h"
#include "proto/proto.h"

#include <inttypes.h>
#include <stdio.h>

#define GENERATED(table) "<!-- generated from " table " by tools/tabledoc: change the table, then run tools/docs -->\n"

static void print_fields(const char *what, const struct proto_msg *msg)
{
	printf("\n%s (at most %zu bytes):\n\n| field | kind | since | |\n|---|---|---|---|\n", what, proto_bytes_max(msg));
	for (size_t i = 0; i < msg->field_count; i++)
		printf("| `%s` | %s | %u | %s |\n", msg->fields[i].name, proto_kind_name((enum field_kind)msg->fields[i].kind), msg->fields[i].since,
		       msg->fields[i].text);
}

static void print_flags(unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *text;
	} names[] = {{OPF_IDEMPOTENT, "may be repeated"},
		     {OPF_MUTATES, "carries an operation number: happens exactly once"},
		     {OPF_BARE, "allowed before hello made the caller known"},
		     {OPF_BULK_IN, "the server may read the caller's memory"},
		     {OPF_BULK_OUT, "the server may write the caller's memory"}};
	const char *separator = "";
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if ((flags & names[i].flag) == 0)
			continue;
		printf("%s%s", separator, names[i].text);
		separator = "; ";
	}
}

static void print_protocol(void)
{
	printf(GENERATED("proto/ops.def.h")
	       "\n# Protocol, versions %d to %d\n\n"
	       "Every message is a frame of %d bytes (`proto/frame.h`) and a body of the fields below, little-endian, without padding. Fields are\n"
	       "append-only; one that a version does not know decodes to zero, so zero means \"unknown\". Both sides use the lower of their highest\n"
	       "versions. A reply with a status has no body.\n\n"
	       "| kind | on the wire |\n|---|---|\n"
	       "| u8, u16, u32, u64, i64 | little-endian, two's complement |\n"
	       "| ino | u64: birth shard (16 bits), sequence (48) |\n"
	       "| str | u16 length, bytes without NUL, at most %d |\n"
	       "| bytes | u16 length, bytes, at most %d |\n"
	       "| blob | u32 length, bytes, at most %d |\n"
	       "| attr, cred, rma, lease, order | the structs of `proto/types.h`, field by field |\n\n"
	       "| number | operation | |\n|---|---|---|\n",
	       PROTO_VERSION_MIN, PROTO_VERSION_MAX, FRAME_BYTES, WIRE_STR_BYTES_MAX, WIRE_BYTES_BYTES_MAX, WIRE_BLOB_BYTES_MAX);
	const struct proto_op *ops = NULL;
	size_t count = proto_ops(&ops);
	for (size_t i = 0; i < count; i++)
		printf("| 0x%04x | [%s](#%s) | %s |\n", ops[i].number, ops[i].name, ops[i].name, ops[i].text);
	for (size_t i = 0; i < count; i++) {
		printf("\n## %s\n\n0x%04x, since version %u: %s\nThe operation ", ops[i].name, ops[i].number, ops[i].since, ops[i].text);
		print_flags(ops[i].flags);
		printf(".\n");
		print_fields("Request", &ops[i].req);
		print_fields("Reply", &ops[i].rep);
	}
}

static void print_errors(void)
{
	printf(GENERATED("common/base/err.def.h")
	       "\n# Errors\n\nBeside Linux's own (`ENOENT`, …), which travel as they are. An application sees the errno in which the chain of classes ends;\n"
	       "what is of class `ERR_retry` never reaches one: the client repeats the call.\n\n"
	       "| number | name | class | an application sees | |\n|---|---|---|---|---|\n");
	const struct err_row *rows = NULL;
	size_t count = err_rows(&rows);
	for (size_t i = 0; i < count; i++) {
		bool seen = !err_is(-rows[i].number, ERR_retry);
		printf("| %d | `%s` | `%s` | %s | %s |\n", rows[i].number, rows[i].name, err_name(-rows[i].class),
		       seen ? err_name(-err_to_errno(-rows[i].number)) : "nothing: it is repeated", rows[i].text);
	}
}

static void print_config(void)
{
	printf(GENERATED("common/core/conf.def.h")
	       "\n# Options\n\nEach is a long option (`--name VALUE`; `-` and `_` are the same), a line `name = value` of an INI file\n"
	       "read with `--config FILE`, and a part of `-o name=value,…`. In an INI file a line stands before any section (or in\n"
	       "`[all]`) for every program, or in `[mds]`, `[oss]`, `[client]`. Defaults come first, then files in their order, then\n"
	       "the command line. A mistake is told with file, line and what was expected.\n\n"
	       "Sizes take K, M, G, T (powers of 1024); times take us, ms, s, m, h, and count milliseconds without a unit.\n\n"
	       "| option | kind | default | programs | |\n|---|---|---|---|---|\n");
	const struct conf_row *rows = NULL;
	size_t count = conf_rows(&rows);
	for (size_t i = 0; i < count; i++) {
		unsigned programs = rows[i].programs;
		printf("| `%s` | %s | %s%s%s |%s%s%s | %s |\n", rows[i].name, conf_kind_name(rows[i].kind), rows[i].fallback[0] != '\0' ? "`" : "",
		       rows[i].fallback, rows[i].fallback[0] != '\0' ? "`" : "", programs & CONF_MDS ? " stria-mds" : "",
		       programs & CONF_OSS ? " stria-oss" : "", programs & CONF_CLIENT ? " stria-mount" : "", rows[i].help);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} documents[] = {{"protocol", print_protocol}, {"errors", print_errors}, {"config", print_config}};
	for (size_t i = 0; argc == 2 && i < ARRAY_COUNT(documents); i++) {
		if (strcmp(argv[1], documents[i].name) == 0) {
			documents[i].print();
			return 0;
		}
	}
	fprintf(stderr, "tabledoc: protocol, errors or config was expected\n");
	return 2;
}
