/* SPDX-License-Identifier: Apache-2.0
 * Data of small files, which lives with the inode: one record, read and written whole. Only who holds LEASE_PR or LEASE_PW on such a file
 * has its data, and only who holds LEASE_PW changes it: LEASE_CR and LEASE_CW, which go through to the objects, are not granted on it. */
#include "mds/mds_impl.h"

#include <sys/stat.h>

int inline_load(struct operation *op, const struct inode *inode, struct blob *ret_data)
{
	struct rec *rec = NULL;
	struct blob data;
	*ret_data = (struct blob){0};
	if ((inode->flags & INODE_INLINE) == 0)
		return 0;
	int rc = op_load(op, key_of(TABLE_inline, inode->ino), &rec);
	if (rc < 0)
		return rc;
	rc = rec->present ? text_decode(rec->value, &data) : fail(ERR_corrupt);
	if (rc < 0)
		return mds_corrupt(op->mds, blob_of(rec->key, rec->key_len), rc);
	*ret_data = blob_of(arena_dup(op->arena, data.ptr, data.len), data.len); /* the record may change under a reader that parks */
	return 0;
}

void inline_store(struct operation *op, struct inode *inode, struct blob data)
{
	struct wire_out out = op_buffer(op, data.len + 8);
	text_encode(data, &out);
	op_put(op, key_of(TABLE_inline, inode->ino), blob_of(out.base, wire_len(&out)));
	inode->flags |= INODE_INLINE;
}

void inline_drop(struct operation *op, struct inode *inode)
{
	if ((inode->flags & INODE_INLINE) == 0)
		return;
	op_erase(op, key_of(TABLE_inline, inode->ino));
	inode->flags &= ~(uint32_t)INODE_INLINE;
}

bool inline_take(struct operation *op, struct inode *inode, uint8_t size_flags, struct blob data)
{
	if (size_flags & SIZE_INLINE) {
		inline_store(op, inode, data);
		return true;
	}
	bool outlined = (size_flags & SIZE_OUTLINE) != 0 && (inode->flags & INODE_INLINE) != 0;
	if (outlined)
		inline_drop(op, inode);
	return outlined;
}

uint8_t inline_answer(const struct inode *inode, const struct lease *lease, bool fresh, struct blob data, struct blob *ret_data)
{
	if (!lease_caches(lease->data_mode) || lease->number == 0)
		return DATA_PLACE_UNKNOWN;
	if (inode->flags & INODE_INLINE) {
		*ret_data = data;
		return DATA_INLINE;
	}
	/* Empty, and nobody can have written objects: it may begin its life with the inode. */
	return fresh && lease->data_mode == LEASE_PW && inode->size_bytes == 0 ? DATA_INLINE : DATA_AT_OBJECTS;
}
