#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Access times by mount option, and what other mounts see of them. What moves under relatime on one mount is the POSIX suite's business (times_reading).
. "$(dirname "$0")/lib.sh"
requires jq
start_cluster --mounts 2 --osts 1
read -r mgs fsname <<<"$("$ROOT/tools/stria-local" status --json --name "$NAME" --base "$WORK/base" | jq -r '"\(.mgs) \(.fsname)"')"
A=$MNT B=$MNT.2
EXTRA_CLEANUP='umount -l "$WORK/strict" "$WORK/none" 2>/dev/null; true'
mkdir "$WORK/strict" "$WORK/none"
stria-mount "${mgs#tcp://}:/$fsname" "$WORK/strict" -o strictatime,nodiratime,log="$WORK/base/strict.log"
stria-mount "${mgs#tcp://}:/$fsname" "$WORK/none" -o noatime,log="$WORK/base/none.log"
expect_error 'relatime, strictatime or noatime' stria-mount "${mgs#tcp://}:/$fsname" "$WORK/none" -o atime=often
grep -q " $WORK/none .*noatime" /proc/mounts || fail 'noatime is not among the options that the kernel tells'

old() { touch -a -d '2001-01-01' "$1" && touch -m -d '2002-01-01' "$1"; }
atime() { stat -c %X "$1"; }
moved() { [ "$(atime "$1")" -gt 1400000000 ] || fail "$1: its atime has not moved: $(stat -c %x "$1")"; }
stays() { [ "$(atime "$1")" -lt 1400000000 ] || fail "$1: its atime has moved: $(stat -c %x "$1")"; }

for name in none strict; do
	mount=$WORK/$name
	mkdir "$mount/d.$name"
	echo text >"$mount/d.$name/f"
	ln -s target "$mount/d.$name/l"
	old "$mount/d.$name/f"
	old "$mount/d.$name"
	cat "$mount/d.$name/f" >/dev/null
	readlink "$mount/d.$name/l" >/dev/null
	ls "$mount/d.$name" >/dev/null
done
stays "$WORK/none/d.none/f"
stays "$WORK/none/d.none"
moved "$WORK/strict/d.strict/f"
stays "$WORK/strict/d.strict" # nodiratime

# relatime: once after a change; strictatime: each read that reaches the mount
dd if="$WORK/strict/d.strict/f" iflag=direct status=none >/dev/null
before=$(stat -c %.9X "$WORK/strict/d.strict/f")
dd if="$WORK/strict/d.strict/f" iflag=direct status=none >/dev/null
[ "$(stat -c %.9X "$WORK/strict/d.strict/f")" != "$before" ] || fail 'strictatime: the second read has not moved it'
echo text >"$A/f"
sleep 0.05
cat "$A/f" >/dev/null
before=$(stat -c %.9X "$A/f")
dd if="$A/f" iflag=direct status=none >/dev/null
[ "$(stat -c %.9X "$A/f")" = "$before" ] || fail 'relatime: the second read has moved it'

# Another mount sees it: because a change asks for the file, or a while later.
for how in chmod wait unmount; do
	echo text >"$A/$how"
	sleep 0.05
	cat "$A/$how" >/dev/null
done
before=$(stat -c %.9X "$A/chmod")
chmod 600 "$B/chmod"
[ "$(stat -c %.9X "$B/chmod")" = "$before" ] || fail 'a change by the other mount does not bring the atime along'
sleep 4
[ "$(stat -c %.9X "$B/wait")" = "$(stat -c %.9X "$A/wait")" ] || fail 'four seconds later the other mount does not see it'
# What another mount sets is not overtaken by what was read before.
echo text >"$A/set"
cat "$A/set" >/dev/null
old "$B/set"
sleep 4 # it would have been told by now
stays "$A/set"
stays "$B/set"
# The same by the same mount, and an unmount saves what there is.
cat "$A/set" >/dev/null
moved "$A/set"
old "$A/set"
sleep 4
stays "$B/set"
cat "$WORK/strict/unmount" >/dev/null
before=$(stat -c %.9X "$WORK/strict/unmount")
umount "$WORK/strict" "$WORK/none"
sleep 3 # the mount ends after umount has returned
[ "$(stat -c %.9X "$B/unmount")" = "$before" ] || fail 'an unmount has not saved an atime'
