/* SPDX-License-Identifier: Apache-2.0
 * The bytes of a value: what is read back tells which value of which file it is, and whether it is whole. For whoever records histories. */
#ifndef STRIA_LINEAR_CONTENT_H
#define STRIA_LINEAR_CONTENT_H

#include "tests/linear/linear.h"

#include <assert.h>

enum {
	LINEAR_VALUE_BYTES_MIN = 16,
	LINEAR_RECORD_BYTES = 144, /* a full file of records fits into one page: kernels read no more than that in one step */
};
static_assert(LINEAR_RECORD_BYTES * LINEAR_RECORDS_MAX <= 4096, "records in one page");

/* value: from 1. `object` keeps the files of one run apart. */
void linear_content_fill(uint32_t object, uint32_t value, uint8_t *buf, size_t len);
/* Which value these bytes are, or LINEAR_TORN. */
uint64_t linear_content_value(uint32_t object, const uint8_t *buf, size_t len);
/* `len` bytes of a file of records, into what LINEAR_LIST sees; words[0] is LINEAR_TORN when it is nothing that was written. */
void linear_content_records(uint32_t object, const uint8_t *buf, size_t len, struct linear_state *ret_seen);

#endif
