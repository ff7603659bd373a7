#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Servers that do not answer (SIGSTOP: the worst kind, since connections stay): every program that waits for them can be killed; reads and stat are
# interrupted by a signal that a program catches; a soft mount gives up with EIO; mounting and unmounting end. Afterwards everything works on.
. "$(dirname "$0")/lib.sh"
requires perl
start_cluster --mounts 2 --osts 2 -o lease=60s # whatever is waited for here, nobody is evicted

pid_of() { local pid rest; read -r pid rest <"$WORK/base/run/$1.pid" && echo "$pid"; }
signal() { # SIGNAL daemons…
	local name=$1 daemon
	shift
	for daemon in "$@"; do kill "-$name" "$(pid_of "$daemon")"; done
}
ends() { # pid what: it ends, in whatever way
	local i
	for ((i = 0; i < 300; i++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	fail "$2 did not end"
}
# $1: perl code that does one system call and prints "done" or the error. It must wait; SIGKILL must end it.
is_killed() {
	local pid
	perl -e "$1" >"$WORK/killed.txt" 2>&1 &
	pid=$!
	sleep 0.4
	kill -0 "$pid" 2>/dev/null || { cat "$WORK/killed.txt" >&2; fail "'$1' did not wait"; }
	kill -KILL "$pid"
	ends "$pid" "'$1' after SIGKILL"
	wait "$pid" 2>/dev/null || true
}
# It must wait; SIGINT with a handler must end the call with EINTR.
is_interrupted() {
	local pid
	perl -e '$SIG{INT} = sub {};'"$1" >"$WORK/interrupted.txt" 2>&1 &
	pid=$!
	sleep 0.4
	kill -0 "$pid" 2>/dev/null || { cat "$WORK/interrupted.txt" >&2; fail "'$1' did not wait"; }
	kill -INT "$pid"
	ends "$pid" "'$1' after SIGINT"
	wait "$pid" || true
	expect_line "$WORK/interrupted.txt" 'Interrupted system call' "'$1'"
}

mkdir "$MNT/d" "$MNT"/m{1..12}
stria setstripe -c 2 "$MNT/d"
for i in 3 8 9; do head -c 300000 /dev/zero >"$MNT/d/f$i"; done
for i in {1..12}; do echo "$i" >"$MNT/m$i/f"; done
mkdir "${MNT}/m2/sub"
mkdir "$MNT.2/other"
touch "$MNT.2/other/"{1..50}
D=$MNT/d M=$MNT/m

# The MDT. Each change has a directory of its own, which the mount knows: then it is the change itself that waits.
sleep 1
ls -la "$MNT" "$MNT"/m* "$D" >/dev/null
signal STOP mds0
is_killed "mkdir('${M}1/new')"
# a change that was sent waits on after a signal with a handler, and dies with SIGKILL, which the kernel does not tell then
perl -e "\$SIG{INT} = sub {}; mkdir('${M}11/new') or print \$!" >"$WORK/mkdir.txt" &
waiting=$!
sleep 0.4
kill -INT "$waiting"
sleep 1
if kill -KILL "$waiting" 2>/dev/null; then
	ends "$waiting" 'mkdir after SIGINT and SIGKILL'
else # it was not sent yet: no server was to be reached
	expect_line "$WORK/mkdir.txt" 'Interrupted system call' 'mkdir'
fi
wait "$waiting" 2>/dev/null || true
is_killed "rmdir('${M}2/sub')"
is_killed "rename('${M}3/f', '${M}3/g')"
is_killed "unlink('${M}4/f')"
is_killed "link('${M}5/f', '${M}5/l')"
is_killed "symlink('x', '${M}6/s')"
is_killed "open(F, '>', '${M}7/created')"
is_killed "open(F, '+<', '${M}8/f')"
is_killed "truncate('${M}9/f', 100)"
is_killed "chmod(0600, '${M}10/f')"
is_killed "opendir(D, '$MNT/other') and readdir(D)"
is_killed "exec('df', '$MNT')"
is_interrupted "stat('$MNT/other/1') or print \$!"
is_interrupted "opendir(D, '$MNT/other') and readdir(D) or print \$!"
signal CONT mds0
ls "$D" "$MNT/other" >/dev/null
mkdir "$D/after"
# what was sent goes on until it is known what became of it, once
for ((n = 0; n < 300; n++)); do
	[ ! -d "${M}1/new" ] || break
	sleep 0.1
done
[ -d "${M}1/new" ] || fail 'the mkdir that was sent and killed did not go on'

# OSTs: with files open before, so that only data is waited for
exec 7<>"$D/f8" 8<"$D/f9"
echo x >&7
signal STOP oss0
is_killed "open(F, '<&=8'); sysread(F, \$x, 300000)"
is_killed "open(F, '+<&=7'); sysread(F, \$x, 300000)"
is_killed "use Fcntl; sysopen(F, '$D/f8', O_WRONLY | O_DIRECT) or die; syswrite(F, 'y' x 200000)" # others wait in memory
is_killed "open(F, '>&=7'); use IO::Handle; F->sync"
is_interrupted "open(F, '+<&=7'); sysread(F, \$x, 300000) or print \$!"
is_interrupted "open(F, '>&=7'); use IO::Handle; F->sync or print \$!"
stria check osts "$MNT" >"$WORK/check.txt" && fail 'stria check finds nothing wrong'
expect_line "$WORK/check.txt" 'OST0000.*inactive' 'stria check'
signal CONT oss0
exec 7>&- 8<&-
dd if="$D/f8" of=/dev/null bs=64k status=none || fail 'reading after the OSTs went on'

# a soft mount gives up, and goes on when servers do
mgs=tcp://$(local_cluster status --json | perl -0ne 'print $1 if /"mds0".*?tcp:\/\/([0-9.:]+)/s')
mkdir "$MNT.soft" "$MNT.gone" "$MNT.hard"
EXTRA_CLEANUP='umount -l "$MNT.soft" "$MNT.hard" 2>/dev/null'
fsname=$(stria getname -n "$MNT")
stria-mount "${mgs#tcp://}:/$fsname" "$MNT.soft" -o soft,timeo=10,log="$WORK/base/soft.log" || fail 'a soft mount'
stria-mount "${mgs#tcp://}:/$fsname" "$MNT.hard" -o soft,hard,log="$WORK/base/hard.log" || fail 'a hard mount'
exec 7<>"$MNT.soft/d/own"
head -c 70000 /dev/zero >&7
signal STOP oss0 # not the MDT yet: perl asks for attributes of what it is given
perl -e "open(F, '>&=7'); syswrite(F, 'y' x 200000) or print \$!, qq(\n); use IO::Handle; F->sync or print \$!" >"$WORK/soft.txt" # what is written waits in memory
[ "$(grep -c 'Input/output error' "$WORK/soft.txt")" = 1 ] || { cat "$WORK/soft.txt" >&2; fail 'fsync on a soft mount'; }
signal STOP mds0
expect_error 'Input/output error' stat "$MNT.soft/other/2"
expect_error 'Input/output error' mkdir "$MNT.soft/d/new3"
# mounting says what it waits for, and ends
stria-mount "127.0.0.1:1:/$fsname" "$MNT.gone" -o wait=4s >"$WORK/gone.txt" 2>&1 && fail 'mounted without a server'
expect_line "$WORK/gone.txt" 'waiting for tcp://127.0.0.1:1' 'mounting without a server'
expect_line "$WORK/gone.txt" 'no answer' 'mounting without a server'
signal CONT mds0 oss0
head -c 70000 /dev/zero >&7 || fail 'writing on a soft mount after the servers went on'
perl -e "open(F, '>&=7'); use IO::Handle; F->sync or die \$!" || fail 'fsync on a soft mount after the servers went on'
exec 7>&-
[ "$(stat -c %s "$MNT.soft/d/f3")" = 300000 ] || fail 'stat on a soft mount after the servers went on'

# unmounting ends without servers; what is lost is told
head -c 100000 /dev/zero >"$MNT.hard/d/unsaved"
signal STOP mds0 oss0
umount -f "$MNT.hard" || fail 'umount -f'
umount "$MNT.soft" || fail 'umount'
for ((i = 0; i < 1200; i++)); do
	[ "$(grep -c 'did="unmounted"' "$WORK/base/hard.log" "$WORK/base/soft.log" | grep -c ':1')" != 2 ] || break
	sleep 0.1
done
expect_line "$WORK/base/hard.log" 'unsaved_bytes=.* files=1 fids=.*unmounted without' 'the log of a mount that ended without servers'
expect_line "$WORK/base/hard.log" 'did="unmounted"' 'the end of the hard mount'
expect_line "$WORK/base/soft.log" 'did="unmounted"' 'the end of the soft mount'
signal CONT mds0 oss0
ls "$MNT/d" "$MNT.2/d" >/dev/null || fail 'the other mounts go on'
echo 'waits: nothing hangs'
