/* SPDX-License-Identifier: Apache-2.0
 * The record tables of an MDT's store: T(name, letter: never reused, key after the shard, text). Every key begins with the shard (be16) and
 * the letter; every value begins with a version byte. Shard 0xffff holds what belongs to the MDT itself and to the MGS. */
#ifndef T
#error "define T(name, letter, key, text) before including record.def.h"
#endif
T(inode, 'I', "ino", "attributes, layout, default layout of a directory, generations, parent of a directory")
T(dentry, 'D', "dir, hash56", "every entry of the directory whose name has that hash")
T(backptr, 'B', "ino, dir, cookie", "the name of one link")
T(xattr, 'X', "ino, name", "value of an extended attribute")
T(symlink, 'S', "ino", "target of a symbolic link")
T(inline, 'L', "ino", "data of a small file")
T(orphan, 'O', "ino", "without a name, but open")
T(purge, 'P', "ino", "gone: objects and extended attributes still to be destroyed")
T(truncate, 'T', "ino", "objects still to be cut off at the new size")
T(writer, 'W', "ino, client", "this client may have written more than the size says")
T(reply, 'R', "client, operation number", "what was answered")
T(numbers, 'N', "", "first sequence that is not reserved")
#undef T
