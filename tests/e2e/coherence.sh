#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three mounts of one cluster show one truth: what one has done, the others see at once.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster --mounts 3 --osts 2
A=$MNT B=$MNT.2 C=$MNT.3

# names: made, moved and removed on one, seen on another; also what was known not to be there
for ((i = 0; i < 30; i++)); do
	[ ! -e "$B/n$i" ] && [ ! -e "$C/n$i" ] || fail "n$i is there before it is made"
	echo "$i" >"$A/n$i"
	[ "$(cat "$B/n$i")" = "$i" ] || fail "n$i is not what the other mount wrote"
	mv "$C/n$i" "$C/m$i"
	[ ! -e "$A/n$i" ] && [ ! -e "$B/n$i" ] || fail "n$i is there after it was moved"
	[ "$(ls "$A" | grep -c "^m$i\$")" = 1 ] || fail "m$i is not listed"
	rm "$B/m$i"
	[ ! -e "$A/m$i" ] && [ ! -e "$C/m$i" ] || fail "m$i is there after it was removed"
done

# contents, sizes, attributes
for ((i = 0; i < 30; i++)); do
	printf 'round %d\n' "$i" >"$A/same"
	[ "$(cat "$B/same")" = "round $i" ] || fail 'an old content was read'
	printf 'more\n' >>"$C/same"
	[ "$(wc -l <"$B/same")" = 2 ] || fail 'an appended line is missing'
	chmod $((600 + i % 2 * 44)) "$B/same"
	[ "$(stat -c %a "$A/same")" = $((600 + i % 2 * 44)) ] || fail 'an old mode was seen'
	truncate -s $i "$C/same"
	[ "$(stat -c %s "$A/same")" = $i ] || fail 'an old size was seen'
done

# extended attributes: that there are none is remembered, until there are
if command -v setfattr >/dev/null; then
	touch "$A/attributes"
	for ((i = 0; i < 5; i++)); do
		[ -z "$(getfattr -d "$B/attributes" 2>/dev/null)" ] || fail 'an attribute is there before it is set'
		setfattr -n user.round -v "$i" "$C/attributes"
		[ "$(getfattr --only-values -n user.round "$B/attributes" 2>/dev/null)" = "$i" ] || fail 'an old extended attribute was seen'
		before=$(stat -c %z "$A/attributes")
		setfattr -x user.round "$A/attributes"
		[ "$(stat -c %z "$A/attributes")" != "$before" ] || fail 'ctime stays when an attribute is removed'
	done
fi

# appends of three mounts: none is lost
for mount in "$A" "$B" "$C"; do
	(for ((i = 0; i < 60; i++)); do echo "$mount $i" >>"$mount/log"; done) &
done
wait
[ "$(sort -u "$A/log" | wc -l)" = 180 ] || fail "$(sort -u "$A/log" | wc -l) of 180 appended lines are there"

# a file that is removed elsewhere stays readable through what is open
echo kept >"$A/gone"
exec 7<"$B/gone"
rm "$C/gone"
[ "$(cat <&7)" = kept ] || fail 'an open file was lost when another mount removed it'
exec 7<&-

# one file through all mounts, taking turns; mappings too
touch "$A/fsx"
"$STRIA_BIN/mounts_fsx" "$A/fsx" "$B/fsx" "$C/fsx" --seed 7 --ops 600 >"$WORK/fsx.txt" 2>&1 || { tail -n 40 "$WORK/fsx.txt" >&2; fail 'the file differs from its model'; }
