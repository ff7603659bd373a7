#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of each daemon in turn, and of all servers at once, in the middle of an untar and of a verified write: the programs wait and go on, nothing
# acknowledged is missing. Then the client: after kill -9 and a new mount everything that was fsynced is there.
. "$(dirname "$0")/lib.sh"
requires tar fio
start_cluster --osts 4
FILES=${E2E_FILES:-1500}
mkdir "$WORK/tree" && make_tree "$WORK/tree" "$FILES"
tar -C "$WORK" -cf "$WORK/tree.tar" tree

hit() { # daemons… : kill, wait a moment, start
	local_cluster kill9 "$@" >/dev/null
	sleep 1
	local_cluster start "$@" >/dev/null || fail "start $*"
}
for victims in mds0 oss0 oss1 'mds0 oss0 oss1'; do
	rm -rf "$MNT/tree"
	tar -C "$MNT" -xf "$WORK/tree.tar" &
	BACKGROUND_PID=$!
	sleep 1
	# shellcheck disable=SC2086 # a list of words
	hit $victims
	wait "$BACKGROUND_PID" || fail "untar failed while $victims was killed"
	BACKGROUND_PID=
	diff -r "$WORK/tree" "$MNT/tree" || fail "the tree differs after kill -9 of $victims"
done
for victims in oss0 mds0 'mds0 oss0 oss1'; do
	fio --name=verify --directory="$MNT" --size=48m --rw=randwrite --bsrange=4k-1m --ioengine=psync --verify=crc32c --do_verify=1 \
		--fsync=16 --minimal --output="$WORK/fio.txt" &
	BACKGROUND_PID=$!
	sleep 1
	# shellcheck disable=SC2086
	hit $victims
	wait "$BACKGROUND_PID" || { tail -5 "$WORK/fio.txt" >&2; fail "fio verify failed while $victims was killed"; }
	BACKGROUND_PID=
	rm -f "$MNT"/verify*
done

# the client: what was fsynced survives it
for i in 1 2 3 4 5; do
	head -c 300000 /dev/urandom >"$WORK/s$i"
	dd if="$WORK/s$i" of="$MNT/s$i" bs=64k conv=fsync status=none
done
local_cluster kill9 client0 >/dev/null
local_cluster start client0 >/dev/null || fail 'start client0'
for i in 1 2 3 4 5; do cmp "$WORK/s$i" "$MNT/s$i" || fail "s$i after kill -9 of the client"; done
local_cluster status >/dev/null || fail 'status after everything'
echo 'kill9: nothing was lost'
