/* SPDX-License-Identifier: Apache-2.0
 * Views of bytes, little- and big-endian loads and stores, units, rounding. Pure. */
#ifndef STRIA_BASE_BYTES_H
#define STRIA_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* A borrowed name or text, not NUL-terminated. */
struct str {
	const char *ptr;
	size_t len;
};
/* Borrowed bytes. */
struct blob {
	const uint8_t *ptr;
	size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
static inline struct str str_of(const char *text)
{
	return (struct str){text, strlen(text)};
}
static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline struct blob blob_of(const void *ptr, size_t len)
{
	return (struct blob){ptr, len};
}

static inline uint16_t load_le16(const void *p)
{
	const uint8_t *b = p;
	return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t load_le32(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t load_le64(const void *p)
{
	const uint8_t *b = p;
	return (uint64_t)load_le32(b) | (uint64_t)load_le32(b + 4) << 32;
}
static inline void store_le16(void *p, uint16_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}
static inline void store_le32(void *p, uint32_t v)
{
	store_le16(p, (uint16_t)v);
	store_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}
static inline void store_le64(void *p, uint64_t v)
{
	store_le32(p, (uint32_t)v);
	store_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}
/* Big-endian: keys of the kv sort as their numbers do. */
static inline void store_be16(void *p, uint16_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}
static inline void store_be32(void *p, uint32_t v)
{
	store_be16(p, (uint16_t)(v >> 16));
	store_be16((uint8_t *)p + 2, (uint16_t)v);
}
static inline void store_be64(void *p, uint64_t v)
{
	store_be32(p, (uint32_t)(v >> 32));
	store_be32((uint8_t *)p + 4, (uint32_t)v);
}
static inline uint16_t load_be16(const void *p)
{
	const uint8_t *b = p;
	return (uint16_t)(b[0] << 8 | b[1]);
}
static inline uint32_t load_be32(const void *p)
{
	return (uint32_t)load_be16(p) << 16 | load_be16((const uint8_t *)p + 2);
}
static inline uint64_t load_be64(const void *p)
{
	return (uint64_t)load_be32(p) << 32 | load_be32((const uint8_t *)p + 4);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
/* `step` is a power of two. */
static inline uint64_t round_down(uint64_t v, uint64_t step)
{
	return v & ~(step - 1);
}
static inline uint64_t round_up(uint64_t v, uint64_t step)
{
	return (v + step - 1) & ~(step - 1);
}
/* a + b, or UINT64_MAX when that overflows. */
static inline uint64_t add_sat_u64(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
