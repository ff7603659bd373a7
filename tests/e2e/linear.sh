#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several mounts look like one: processes on all of them work on the same few files, names and locks while mounts are killed and stopped; every
# call and return is logged, and judged afterwards (tests/linear).
#
# Usage: tests/e2e/linear.sh [--histories N] [--mounts N] [--seed N] [--kind] [--no-locks] [--servers]
#   --histories N  how many at least [63: about 20 s]; 1000 takes six minutes
#   --mounts N     1 to 4 [3], with two processes each
#   --kind         nothing is killed or stopped
#   --no-locks     without locks
#   --servers      servers are killed, too
#   --keep DIR     where the logs of a run go that is not clean
. "$(dirname "$0")/lib.sh"
HISTORIES=63 MOUNTS=3 SEED=$$ KIND='' LOCKS=1 KEEP='' VICTIMS=()
while [ $# -gt 0 ]; do
	case $1 in
	--histories) HISTORIES=$2; shift ;;
	--mounts) MOUNTS=$2; shift ;;
	--seed) SEED=$2; shift ;;
	--kind) KIND=1 ;;
	--no-locks) LOCKS=0 ;;
	--keep) KEEP=$2; shift ;;
	--servers) VICTIMS=(mds0 oss0) ;;
	*) fail "$1: no such option" ;;
	esac
	shift
done
# A stopped mount is evicted within a round, and the others go on on the same files. Not every lock is touched in every round.
ROUND_MS=3000 LEASE=2s PROCESSES=$((2 * MOUNTS)) PER_ROUND=$((7 + LOCKS))
ROUNDS=$(((HISTORIES + PER_ROUND - 1) / PER_ROUND))
RANDOM=$SEED
printf 'linear: %d rounds on %d mounts, --seed %d\n' "$ROUNDS" "$MOUNTS" "$SEED"
start_cluster --osts 4 --mounts "$MOUNTS" -o "lease=$LEASE"
mount_point() { [ "$1" = 0 ] && echo "$MNT" || echo "$MNT.$(($1 + 1))"; }
mkdir "$MNT/linear"
sleep 2 # every mount sees it

stopped=''
# whatever happens: nothing stays stopped, and the workers end
EXTRA_CLEANUP='for pid in $stopped; do kill -CONT $pid 2>/dev/null; done; for pid in ${workers[@]}; do kill -9 $pid 2>/dev/null; done'
workers=()
start_ns=$(($(linear now) + 500000000))
for ((i = 0; i < PROCESSES; i++)); do
	linear work --dir "$(mount_point $((i % MOUNTS)))/linear" --log "$WORK/log.$i" --worker "$i" --workers "$PROCESSES" --seed "$SEED" \
		--start "$start_ns" --round-ms "$ROUND_MS" --rounds "$ROUNDS" --locks "$LOCKS" &
	workers+=($!)
done

pid_of() { local_cluster status --json | sed -n "s/.*\"name\": \"$1\".*\"pid\": \\([0-9]*\\),.*/\\1/p"; }
killed=0 paused=0
end_ns=$((start_ns + ROUNDS * ROUND_MS * 1000000))
for ((i = 0; i < MOUNTS; i++)); do VICTIMS+=("client$i"); done
while [ -z "$KIND" ] && [ "$(linear now)" -lt $((end_ns - 5000000000)) ]; do
	sleep "0.$((RANDOM % 9 + 1))"
	victim=${VICTIMS[RANDOM % ${#VICTIMS[@]}]}
	if [ $((RANDOM % 2)) = 0 ]; then
		local_cluster kill9 "$victim" >/dev/null
		sleep "0.$((RANDOM % 9 + 1))"
		local_cluster start "$victim" >"$WORK/start.txt" 2>&1 || { cat "$WORK/start.txt" >&2; fail "start $victim"; }
		killed=$((killed + 1))
	else
		stopped=$(pid_of "$victim")
		[ -n "$stopped" ] || fail "$victim has no pid"
		kill -STOP "$stopped"
		sleep "$((RANDOM % 4)).$((RANDOM % 9 + 1))"
		kill -CONT "$stopped"
		stopped=''
		paused=$((paused + 1))
	fi
done
for pid in "${workers[@]}"; do wait "$pid" || fail 'a worker failed'; done
linear look --dir "$MNT/linear" --log "$WORK/log.last" --rounds "$ROUNDS" || fail 'the last look'
printf '%d times something was killed, %d times stopped\n' "$killed" "$paused"
if ! linear judge "$WORK"/log.[0-9]* "$WORK/log.last"; then
	[ -z "$KEEP" ] || { mkdir -p "$KEEP" && cp "$WORK"/log.* "$KEEP"; }
	fail "several mounts do not look like one (again: $0 --seed $SEED)"
fi
