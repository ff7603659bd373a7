#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Space of files as programs use it: fallocate(1) reserves, punches and zeroes on striped files, holes are found and kept by cp, another mount sees
# all of it at once, and the bytes are right after every OST has been killed.
. "$(dirname "$0")/lib.sh"
requires fallocate cmp jq python3
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

# where two files are cut into stripes alike, their OSTs copy: nothing of it comes to the mount, and holes stay holes
copies() { stria stats --json "$OTHER" | jq -r '.[0] | [.copies.bytes, .copies.on_servers_bytes, .calls.obj_read.made // 0, .calls.obj_write.made // 0] | @tsv'; }
head -c $((64 * 1048576)) /dev/urandom >"$WORK/big" && cp "$WORK/big" "$MNT/d/big"
read -r bytes on_servers reads writes <<<"$(copies)"
cp "$OTHER/d/big" "$OTHER/d/big.copy"
read -r bytes2 on_servers2 reads2 writes2 <<<"$(copies)"
[ $((on_servers2 - on_servers)) = $((64 * 1048576)) ] || fail "of 64 MiB the OSTs copied $((on_servers2 - on_servers)) bytes, the mount $((bytes2 - bytes - on_servers2 + on_servers))"
[ $((reads2 - reads + writes2 - writes)) = 0 ] || fail "the mount read $((reads2 - reads)) times and wrote $((writes2 - writes)) times"
cmp "$WORK/big" "$MNT/d/big.copy" && cmp "$WORK/big" "$OTHER/d/big.copy" || fail 'what the OSTs copied differs'
fallocate -p -o 10000000 -l 40000000 "$MNT/d/big" && fallocate -p -o 10000000 -l 40000000 "$WORK/big"
cp --sparse=never "$MNT/d/big" "$OTHER/d/big.copy" && cmp "$WORK/big" "$MNT/d/big.copy" || fail 'a copy over what was there differs'
python3 - "$OTHER/d/big" "$OTHER/d/big.copy" "$WORK/big" <<'EOT' || fail 'copies by copy_file_range differ'
import os, sys
source, to, ref = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDWR | os.O_TRUNC), os.open(sys.argv[3], os.O_RDONLY)
# (from, to, length): all of it, the last part longer than the file; then other places, which fit by 128 KiB or not at all
for at, dest, length in (0, 0, 1 << 30), (131072, 67108864, 9 << 20), (1, 80000000, 9 << 20), (131072 * 50 + 7, 131072 * 700 + 7, 9 << 20):
    done, want = 0, min(length, 64 * 1048576 - at)
    while done < want:
        done += (step := os.copy_file_range(source, to, length - done, at + done, dest + done))
        assert step > 0, (at, dest, done)
    for i in range(0, want, 1 << 20):
        part = min(1 << 20, want - i)
        assert os.pread(to, part, dest + i) == os.pread(ref, part, at + i), (at, dest, i)
assert os.fstat(to).st_size == 131072 * 700 + 7 + (9 << 20)
blocks = os.fstat(to).st_blocks
assert blocks < (131072 * 700 + (9 << 20) - 35000000) // 512, blocks
EOT

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
cmp -n 10000000 "$WORK/big" "$OTHER/d/big.copy" || fail 'what the OSTs copied, after they were killed'
cmp "$WORK/full" "$OTHER/d/sparse" || fail 'the sparse file after the OSTs were killed'
echo 'space: all as it should be'
