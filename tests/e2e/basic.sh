#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What every program does with files, through a mount: create, read, write, rename, links, permissions, times, large and sparse files.
. "$(dirname "$0")/lib.sh"
start_cluster
cd "$MNT"

# files and directories
mkdir -p a/b/c && printf 'hello\n' >a/b/c/f && [ "$(cat a/b/c/f)" = hello ] || fail 'write and read'
printf 'more\n' >>a/b/c/f && [ "$(wc -c <a/b/c/f)" = 11 ] || fail 'append'
mv a/b/c/f a/g && [ ! -e a/b/c/f ] && [ "$(head -1 a/g)" = hello ] || fail 'rename'
ln a/g a/h && [ "$(stat -c %h a/g)" = 2 ] && rm a/g && [ "$(stat -c %h a/h)" = 1 ] || fail 'hard link'
ln -s ../a/h a/s && [ "$(head -1 a/s)" = hello ] && [ "$(readlink a/s)" = ../a/h ] || fail 'symbolic link'
rmdir a 2>/dev/null && fail 'rmdir of a directory with entries'
[ "$(stat -c %h a)" = 3 ] || fail "a directory's links"
mkfifo a/fifo && [ -p a/fifo ] || fail 'fifo'
name255=$(printf 'n%.0s' $(seq 255)) && touch "$name255" && [ -e "$name255" ] || fail 'a name of 255 bytes'
touch "${name255}x" 2>/dev/null && fail 'a name of 256 bytes'

# times, modes, sizes
touch -d '2001-02-03 04:05:06.123456789 UTC' a/h && [ "$(stat -c %Y a/h)" = 981173106 ] || fail 'utimens'
chmod 640 a/h && [ "$(stat -c %a a/h)" = 640 ] || fail 'chmod'
truncate -s 100000 a/h && [ "$(stat -c %s a/h)" = 100000 ] && [ "$(head -c 6 a/h)" = hello ] || fail 'truncate up'
truncate -s 3 a/h && [ "$(cat a/h)" = hel ] && truncate -s 10 a/h && [ "$(od -An -tx1 a/h | tr -d ' \n')" = 68656c00000000000000 ] ||
	fail 'truncate down and up again shows zeros'

# striped data, read back through another order
stria setstripe -c 4 -S 64K striped 2>/dev/null || stria setstripe -c 4 -S 65536 striped
head -c 3000001 /dev/urandom >"$WORK/random"
cp "$WORK/random" striped && cmp "$WORK/random" striped || fail 'striped copy'
dd if="$WORK/random" of=striped bs=4097 conv=notrunc status=none && cmp "$WORK/random" striped || fail 'unaligned overwrite'
dd if=striped bs=65537 skip=3 count=1 status=none | cmp - <(dd if="$WORK/random" bs=65537 skip=3 count=1 status=none) || fail 'unaligned read'

# a sparse file beyond 32 bits
printf begin >sparse && printf end | dd of=sparse bs=1 seek=$((10 * 1024 * 1024 * 1024 - 3)) conv=notrunc status=none
[ "$(stat -c %s sparse)" = $((10 * 1024 * 1024 * 1024)) ] && [ "$(tail -c 3 sparse)" = end ] && [ "$(head -c 5 sparse)" = begin ] || fail 'sparse file'
[ "$(stat -c %b sparse)" -lt 10000 ] || fail 'a sparse file takes space'
[ "$(dd if=sparse bs=1M skip=5000 count=1 status=none | tr -d '\0' | wc -c)" = 0 ] || fail 'a hole is not zeros'

# extended attributes
if command -v setfattr >/dev/null; then
	setfattr -n user.color -v blue a/h && [ "$(getfattr --only-values -n user.color a/h)" = blue ] || fail 'xattr'
	for i in $(seq 300); do setfattr -n "user.n$i" -v "$i" a/h; done
	[ "$(getfattr a/h 2>/dev/null | grep -c '^user.n')" = 300 ] || fail 'a list of many xattrs'
	setfattr -x user.color a/h && ! getfattr -n user.color a/h 2>/dev/null || fail 'removed xattr'
fi

# unlinked while open: the data stays until the last close
exec 7<>unlinked && printf 'still here' >&7 && rm unlinked && [ ! -e unlinked ]
[ "$(cat /proc/self/fd/7)" = 'still here' ] || fail 'unlinked while open'
exec 7>&-

# permissions as another user
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir -m 755 closed && printf secret >closed/s && chmod 600 closed/s
	setpriv --reuid 12345 --regid 12345 --clear-groups cat closed/s 2>/dev/null && fail 'read without permission'
	setpriv --reuid 12345 --regid 12345 --clear-groups touch closed/t 2>/dev/null && fail 'create without permission'
	chown 0:777 closed/s && chmod 640 closed/s
	[ "$(setpriv --reuid 12345 --regid 12345 --groups 777 cat closed/s)" = secret ] || fail 'supplementary group'
	mkdir -m 1777 sticky && touch sticky/root
	setpriv --reuid 12345 --regid 12345 --clear-groups rm -f sticky/root 2>/dev/null && fail 'sticky directory'
	mkdir setgid && chown 0:777 setgid && chmod 2777 setgid
	setpriv --reuid 12345 --regid 12345 --clear-groups mkdir setgid/d && [ "$(stat -c %g:%a setgid/d)" = 777:2755 ] || fail 'setgid directory'
fi

# many entries
mkdir many && (cd many && seq 3000 | xargs touch) && [ "$(ls many | wc -l)" = 3000 ] && [ "$(find many -type f | wc -l)" = 3000 ] || fail 'readdir'
rm -r many && [ ! -e many ] || fail 'rm -r'
sync -f . || fail 'syncfs'

# a mapped file: write through the map, read through the descriptor, and the other way round
if command -v python3 >/dev/null; then
	python3 - <<'P' || fail 'mmap'
import mmap, os
fd = os.open("mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 65536)
m = mmap.mmap(fd, 65536)
m[10:15] = b"hello"
m.flush()
assert os.pread(fd, 5, 10) == b"hello"
os.pwrite(fd, b"world", 20)
assert m[20:25] == b"world"
m.close(); os.close(fd)
P
fi
cd /
local_cluster down >/dev/null || fail 'down'
local_cluster up >/dev/null || fail 'up again'
cmp "$WORK/random" "$MNT/striped" || fail 'data after down and up'
echo 'basic: all as it should be'
