#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Space of files as programs use it: fallocate(1) reserves, punches and zeroes on striped files, holes are found and kept by cp, another mount sees
# all of it at once, and the bytes are right after every OST has been killed.
. "$(dirname "$0")/lib.sh"
requires fallocate cmp
start_cluster --osts 2 --mounts 2
OTHER=$MNT.2
REF=$WORK/ref
mkdir "$MNT/d" && stria setstripe -c 2 -S 64K "$MNT/d"
head -c 3000000 /dev/urandom >"$REF"
cp "$REF" "$MNT/d/f"
both() { fallocate "$@" "$REF" && fallocate "$@" "$MNT/d/f" || fail "fallocate $*"; }
same() {
	cmp "$REF" "$MNT/d/f" || fail "$1: the mount that did it reads something else"
	cmp "$REF" "$OTHER/d/f" || fail "$1: the other mount reads something else"
	[ "$(stat -c %s "$REF")" = "$(stat -c %s "$OTHER/d/f")" ] || fail "$1: size"
}
same write
before=$(stat -c %b "$MNT/d/f")
both -p -o 100000 -l 1500000
same 'punch hole'
for dir in "$MNT" "$OTHER"; do
	[ "$(stat -c %b "$dir/d/f")" -lt $((before - 2500)) ] || fail "a hole of 1.5 MB gave back too little: $(stat -c %b "$dir/d/f") of $before blocks in $dir"
done
both -p -o 2000001 -l 17
same 'punch within a block'
both -z -o 2500000 -l 1000000
same 'zero range behind the end'
both -z -n -o 10 -l 5000000
same 'zero range, size kept'
both -l 8000000
same allocate
both -n -o 8000000 -l 4000000
same 'allocate, size kept'
[ "$(stat -c %b "$OTHER/d/f")" -ge 23000 ] || fail 'what was allocated is not'
printf 'data' | dd of="$MNT/d/f" bs=1 seek=7000000 conv=notrunc status=none
printf 'data' | dd of="$REF" bs=1 seek=7000000 conv=notrunc status=none
same 'write to what was allocated'

# holes are found on the other mount, and cp keeps them
truncate -s 0 "$MNT/d/sparse" && truncate -s 64M "$MNT/d/sparse"
head -c 100000 /dev/urandom | dd of="$MNT/d/sparse" bs=100000 seek=300 conv=notrunc status=none
cp --sparse=never "$OTHER/d/sparse" "$WORK/full" && cp --sparse=auto "$OTHER/d/sparse" "$WORK/sparse"
cmp "$WORK/full" "$WORK/sparse" || fail 'a copy by holes differs'
[ "$(stat -c %b "$WORK/sparse")" -lt 2000 ] || fail "cp saw no holes: $(stat -c %b "$WORK/sparse") blocks"

# copies within the mount: cp asks for copy_file_range
cp "$MNT/d/f" "$MNT/d/copy" && cmp "$REF" "$OTHER/d/copy" || fail 'a copy of a file with holes differs'
cp "$OTHER/d/sparse" "$OTHER/d/sparse.copy" && cmp "$WORK/full" "$MNT/d/sparse.copy" || fail 'a copy of a sparse file differs'
[ "$(stat -c %b "$MNT/d/sparse.copy")" -lt 2000 ] || fail "the copy has no holes: $(stat -c %b "$MNT/d/sparse.copy") blocks"

for flag in --collapse-range --insert-range; do
	if fallocate $flag -o 0 -l 65536 "$MNT/d/f" 2>"$WORK/err.txt"; then fail "fallocate $flag succeeded"; fi
	grep -q 'not supported' "$WORK/err.txt" || { cat "$WORK/err.txt"; fail "fallocate $flag: another error"; }
done
size=$(stat -c %s "$MNT/d/f")
if fallocate -o 0 -l 1000T "$MNT/d/f" 2>/dev/null; then fail 'a petabyte was allocated'; fi
[ "$(stat -c %s "$OTHER/d/f")" = "$size" ] || fail 'an allocation that failed changed the size'
# all of a file given back: nothing is left of it, for who looks anew, too
head -c 2097152 /dev/urandom >"$MNT/d/gone"
sync "$MNT/d/gone"
[ "$(stat -c %b "$OTHER/d/gone")" -gt 3000 ] || fail 'the other mount sees too few blocks'
fallocate -p -o 0 -l 2097152 "$MNT/d/gone"
for dir in "$MNT" "$OTHER"; do
	[ "$(stat -c %b "$dir/d/gone")" = 0 ] || fail "a file without any data has $(stat -c %b "$dir/d/gone") blocks in $dir"
done

local_cluster kill9 oss0 >/dev/null && local_cluster start oss0 >/dev/null || fail 'restart of the OSTs'
same 'after the OSTs were killed'
cmp "$WORK/full" "$OTHER/d/sparse" || fail 'the sparse file after the OSTs were killed'
echo 'space: all as it should be'
