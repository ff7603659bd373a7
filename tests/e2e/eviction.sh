#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mounts that die (kill -9) or stand still (SIGSTOP) while they hold files open, rights to write and unsaved data: the others go on after the lease, what was
# fsynced is there, removed files that only they had open are destroyed, log and stria-admin say what happened. The one that stood still learns
# of it: EIO on the files that it had open, and nothing else.
. "$(dirname "$0")/lib.sh"
requires perl
start_cluster --mounts 3 --osts 2 -o lease=3s
A=$MNT B=$MNT.2 C=$MNT.3
STRIA_MGS=tcp://$(local_cluster status --json | perl -0ne 'print $1 if /"mds0".*?tcp:\/\/([0-9.:]+)/s')
export STRIA_MGS

pid_of() { local pid rest; read -r pid rest <"$WORK/base/run/$1.pid" && echo "$pid"; }
until_true() { # what command…: within a minute
	local what=$1 i
	shift
	for ((i = 0; i < 600; i++)); do
		if "$@"; then return 0; fi
		sleep 0.1
	done
	fail "$what"
}
client_at() { # the id of the mount there
	stria-admin client list --json | perl -0ne 'for (/\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g) { print $1 if index($_, "\"mountpoint\": \"'"$1"'\"") >= 0 && /"id": (\d+)/ }'
}
is_gone() { [ "$(stria-admin client list --json | grep -c "\"id\": $1,")" = 0 ]; }
field() { # mount point, regular expression with one group
	stria-admin client list --json | perl -0ne 'for (/\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g) { print $1 if index($_, "\"mountpoint\": \"'"$1"'\"") >= 0 && /'"$2"'/ }'
}
object_count() { find "$WORK"/base/ost*/objects -type f -path "*/o/*" | wc -l; }
log_says() { grep -Eq -- "$2" "$WORK/base/log/$1.log"; }

# what both of them do before their end: $1 mount
prepare() {
	head -c 200000 /dev/urandom >"$WORK/saved"
	dd if="$WORK/saved" of="$1/saved" bs=64k conv=fsync status=none
	echo old >"$1/other"
	touch "$1/removed"
	head -c 300000 /dev/zero >"$1/removed"
	sync -d "$1/removed"
}

# ---- kill -9
objects=$(object_count)
prepare "$A"
# a program that holds things: it reports what it gets when its mount is gone, which is of no interest here
perl -e 'open(R, "+<", "$ARGV[0]/removed") or die; unlink "$ARGV[0]/removed"; open(F, "+<", "$ARGV[0]/saved") or die;
	open(N, ">", "$ARGV[0]/unsaved") or die; syswrite(N, "x" x 500000); flock(F, 2) or die; open(T, ">", $ARGV[1]); close T; sleep 600' "$A" "$WORK/ready" &
BACKGROUND_PID=$!
until_true 'the program did not get ready' test -e "$WORK/ready"
rm "$WORK/ready"
victim=$(client_at "$A")
[ "$(field "$A" '"opens": (\d+)')" -ge 3 ] || fail 'client list does not show the opens'
[ "$(field "$A" '"PW": (\d+)')" -ge 1 ] || fail 'client list does not show the leases'
[ "$(field "$A" '"locks": (\d+)')" = 1 ] || fail 'client list does not show the lock'
stria-admin client list | grep -q ' LOCKS ' || fail 'client list has no column for locks'
expect_error 'data may be lost' stria-admin client evict "$victim"
expect_line "$WORK/err.txt" 'opens end with EIO' 'client evict without --yes'
local_cluster kill9 client0 >/dev/null
kill -9 "$BACKGROUND_PID" 2>/dev/null || true
wait "$BACKGROUND_PID" 2>/dev/null || true
BACKGROUND_PID=
cmp "$WORK/saved" "$B/saved" || fail 'what was fsynced before kill -9 differs'
echo new >"$B/other" && [ "$(cat "$C/other")" = new ] || fail 'writing what the dead mount had'
until_true 'the dead mount is still listed' is_gone "$victim"
log_says mds0 'evicted: it has not renewed its lease' || fail 'the log of the MDT does not tell of the eviction'
[ -e "$B/unsaved" ] || fail 'a file whose creation was answered is gone'
rm -f "$B/saved" "$B/unsaved" "$B/other"
until_true "objects of the dead mount's removed file are left: $(object_count), $objects were there" \
	eval '[ "$(object_count)" -le '"$objects"' ]'
umount -l "$A" 2>/dev/null || fusermount3 -uz "$A"
local_cluster start client0 >/dev/null || fail 'start client0'

# ---- SIGSTOP, longer than its lease
prepare "$A"
# It writes and waits until it is told to go on: then it says what it gets on the files that it had open, and on a new one.
perl -e '
	use IO::Handle;
	open(R, "+<", "$ARGV[0]/removed") or die; unlink "$ARGV[0]/removed";
	open(F, "+<", "$ARGV[0]/saved") or die; open(N, ">", "$ARGV[0]/unsaved") or die;
	syswrite(N, "x" x 500000); open(T, ">", "$ARGV[1]"); close T;
	select(undef, undef, undef, 0.1) until -e "$ARGV[1].go";
	open(O, ">", "$ARGV[1].out"); O->autoflush(1);
	print O "write ", (defined syswrite(N, "y") ? "ok" : $!), "\n";
	print O "fsync ", (N->sync ? "ok" : $!), "\n";
	print O "close ", (close(N) ? "ok" : $!), "\n";
	print O "read ", (defined sysread(F, $x, 10) ? "ok" : $!), "\n";
	print O "removed ", (defined sysread(R, $x, 10) ? "ok" : $!), "\n";
	print O "new ", (open(W, ">", "$ARGV[0]/fresh") && syswrite(W, "fine") && W->sync && close(W) ? "ok" : $!), "\n";
	print O "end\n"; close F; close R;' "$A" "$WORK/ready" &
BACKGROUND_PID=$!
until_true 'the program did not get ready' test -e "$WORK/ready"
victim=$(client_at "$A")
kill -STOP "$(pid_of client0)"
cmp "$WORK/saved" "$B/saved" || fail 'what was fsynced before SIGSTOP differs'
echo new >"$B/other" && [ "$(cat "$C/other")" = new ] || fail 'writing what the stopped mount had'
until_true 'the stopped mount is still listed' is_gone "$victim"
kill -CONT "$(pid_of client0)"
until_true 'the mount that was stopped did not learn of its eviction' log_says client0 'was evicted'
until_true 'the mount that was stopped did not join anew' log_says client0 'joined anew'
touch "$WORK/ready.go"
until_true 'the program on the mount that was stopped hangs' eval 'grep -q end "$WORK/ready.out" 2>/dev/null'
wait "$BACKGROUND_PID" || true
BACKGROUND_PID=
for call in write fsync close read removed; do
	expect_line "$WORK/ready.out" "^$call Input/output error" 'a file that was open when its mount was evicted'
done
expect_line "$WORK/ready.out" '^new ok' 'a new file on the mount that was evicted'
[ "$(cat "$B/fresh")" = fine ] && [ "$(cat "$A/other")" = new ] || fail 'the mount that was evicted does not work on'
[ -n "$(client_at "$A")" ] && [ "$(client_at "$A")" != "$victim" ] || fail 'the mount that was evicted is not listed under a new id'
rm -f "$B/saved" "$B/unsaved" "$B/other" "$B/fresh"
until_true "objects of the stopped mount's removed file are left" eval '[ "$(object_count)" -le '"$objects"' ]'

# ---- by hand
victim=$(client_at "$C")
stria-admin client evict "$victim" --yes >"$WORK/evict.txt" || fail 'client evict --yes'
expect_line "$WORK/evict.txt" "evicted with map epoch [0-9]+: client $victim," 'client evict'
echo again >"$C/again" || fail 'a mount that was evicted by hand does not go on'
[ "$(cat "$A/again")" = again ] || fail 'what it writes then'
echo 'eviction: the others went on'
