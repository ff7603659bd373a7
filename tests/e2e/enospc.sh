#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A full OST: ENOSPC to the writer, nothing damaged; space freed, work goes on.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip 'needs root for a small tmpfs'
mkdir -p "$WORK/base"
mount -t tmpfs -o size=600m tmpfs "$WORK/base" 2>/dev/null || skip 'no tmpfs'
EXTRA_CLEANUP='umount -l "$WORK/base"'
start_cluster --osts 2
printf 'precious\n' >"$MNT/precious" && sync "$MNT/precious"
rc=0
dd if=/dev/zero of="$MNT/big" bs=1M count=2000 conv=fsync status=none 2>"$WORK/dd.txt" || rc=$?
[ $rc != 0 ] || fail 'a file larger than the store was written'
grep -q 'No space left' "$WORK/dd.txt" || { cat "$WORK/dd.txt"; fail 'ENOSPC was expected'; }
[ "$(cat "$MNT/precious")" = precious ] || fail 'precious on a full OST'
rm "$MNT/big"
for ((i = 0; i < 100; i++)); do
	if dd if=/dev/zero of="$MNT/again" bs=1M count=50 conv=fsync status=none 2>/dev/null; then break; fi
	sleep 0.3
done
[ "$(stat -c %s "$MNT/again")" = $((50 * 1024 * 1024)) ] || fail 'work does not go on after space was freed'
local_cluster status >/dev/null || fail 'a daemon died of a full disk'
echo 'enospc: told, survived, went on'
