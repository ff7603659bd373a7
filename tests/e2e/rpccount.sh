#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many calls reach the servers for what programs do, by the servers' own counters: what a mount holds leases on costs none, and what is asked
# for the first time costs no more than it does today. Counts are exact, times are not looked at. Prints a table: what each line costs, and
# how many requests the kernel made of the mount.
. "$(dirname "$0")/lib.sh"
requires jq git make cc getfattr
start_cluster --mounts 2 --osts 2
A=$MNT B=$MNT.2
MGS=$("$ROOT/tools/stria-local" status --json --name "$NAME" --base "$WORK/base" | jq -r .mgs)

# what goes on whether anybody works or not, and our own questions
HOUSEKEEPING='["hello", "ping", "status", "statfs", "ost_statfs", "client_list", "client_renew", "client_holds", "target_beat", "map_get"]'
served() { # {"mdt lookup": 3, "ost obj_read": 1, …}: sums over targets, and calls back served by mounts
	{
		stria-admin --mgs "$MGS" --json status
		stria stats --json "$A"
		stria stats --json "$B"
	} | jq -cs --argjson skip "$HOUSEKEEPING" '
		def rows(kind): .ops | to_entries[] | select(.key | IN($skip[]) | not) | {key: (kind + " " + .key), value: .value.served};
		([(.[0].targets[] | .kind as $kind | .status | rows($kind)), (.[1:][][] | rows("mount"))]
		| group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) | from_entries)
		+ {"waiting": ([.[0].targets[].status.writer_marks // 0] + [.[1:][][].atimes_untold] | add)}'
}
quiet() { # until nothing goes on in the background any more: sizes told, data committed, rights to write given back, atimes told
	local before after tries=0
	sync -f "$A" "$B"
	before=$(served)
	sleep 0.8
	until after=$(served) && [ "$after" = "$before" ] && [ "${after#*'"waiting":0'}" != "$after" ]; do
		[ $((tries += 1)) -le 60 ] || fail "the cluster does not come to rest: $before, then $after"
		before=$after
		sleep 0.8
	done
	echo "$after" >"$WORK/quiet.json"
}
requests() { stria stats --json "$1" | jq '.[0].requests | add // 0'; }

# count NAME MOUNT MDT OST COMMAND…: runs the command; fails if targets served more calls than allowed.
count() {
	local name=$1 mount=$2 mdt=$3 ost=$4 kernel line calls_mdt calls_ost
	shift 4
	quiet
	mv "$WORK/quiet.json" "$WORK/before.json"
	kernel=$(requests "$mount")
	"$@" >"$WORK/output.txt" 2>&1 || { cat "$WORK/output.txt" >&2; fail "$name: '$*' failed"; }
	kernel=$(($(requests "$mount") - kernel - 1)) # without the question itself
	quiet
	mv "$WORK/quiet.json" "$WORK/after.json"
	line=$(jq -rn --slurpfile before "$WORK/before.json" --slurpfile after "$WORK/after.json" '
		[$after[0] | to_entries[] | {key, value: (.value - ($before[0][.key] // 0))} | select(.value != 0)] as $rows
		| def sum(kind): [$rows[] | select(.key | startswith(kind)) | .value] | add // 0;
		"\(sum("mdt")) \(sum("ost")) \($rows | map((.key | sub("^(mdt|ost) "; "")) + (if .value > 1 then " ×\(.value)" else "" end)) | join(", "))"')
	read -r calls_mdt calls_ost line <<<"$line"
	printf '%-44s %6d %5d %5d  %s\n' "$name" "$kernel" "$calls_mdt" "$calls_ost" "$line"
	[ "$calls_mdt" -le "$mdt" ] || { MISSED+="${MISSED:+; }$name: $calls_mdt calls at the MDT, $mdt are allowed"; }
	[ "$calls_ost" -le "$ost" ] || { MISSED+="${MISSED:+; }$name: $calls_ost calls at OSTs, $ost are allowed"; }
}
MISSED=''
outlive() { sleep 1.3; "$@"; } # what the kernel itself remembers is over by then: only leases are left
cold_dir() { # a directory with a file of 16 KiB that only the other mount has seen
	mkdir "$A/$1" && head -c 16384 /dev/urandom >"$A/$1/f"
	quiet # what has just changed is not leased
	stat "$B/$1" "$B/$1/none" >/dev/null 2>&1 || true
}

printf '%-44s %6s %5s %5s  %s\n' WHAT KERNEL MDT OST CALLS
cold_dir stat
count 'stat, cold' "$B" 1 0 stat "$B/stat/f"
count 'stat, warm' "$B" 0 0 outlive stat "$B/stat/f"
count 'name that is not there, cold' "$B" 1 0 test ! -e "$B/stat/absent"
count 'name that is not there, warm' "$B" 0 0 outlive test ! -e "$B/stat/absent"
cold_dir read
# The first read of a file after a change moves its atime, which the MDT is told later: one call for all that was read in two seconds.
count 'open, read 16 KiB, close; cold' "$B" 4 0 cat "$B/read/f"
count 'open, read 16 KiB, close; warm' "$B" 0 0 outlive cat "$B/read/f"
count 'getxattr of a file without any' "$B" 0 0 getfattr -d "$B/read/f"
mkdir "$A/many" && (cd "$A/many" && for i in $(seq 20); do head -c 16384 /dev/urandom >"$i"; done) && quiet && cat "$B"/read/f >/dev/null && stat "$B/many" >/dev/null
count '20 × open, read 16 KiB, close; cold' "$B" 27 0 bash -c 'for i in $(seq 20); do cat "$0/$i"; done' "$B/many"
cold_dir write
small_file() { head -c 4096 /dev/zero >"$1"; }
count 'create, write 4 KiB, close' "$B" 4 0 small_file "$B/write/new"
count 'the same, seen by its writer' "$B" 1 0 outlive stat "$B/write/new"
count 'the same, read by its writer' "$B" 1 0 outlive cat "$B/write/new"
count 'and again' "$B" 0 0 outlive cat "$B/write/new"
append() { echo more >>"$1"; }
count 'append to it' "$B" 4 0 append "$B/write/new"
slow_write() { { echo a && sleep 1.2 && echo b; } >"$1"; }
count 'write, more than a second long' "$B" 6 0 slow_write "$B/write/slow"
count 'the same, seen by the other mount' "$A" 3 0 stat "$A/write/slow"
count 'and again' "$A" 0 0 outlive stat "$A/write/slow"
mkdir "$A/list" && (cd "$A/list" && seq 1000 | xargs touch) && quiet && stat "$B/list" >/dev/null
count 'readdir of 1,000, cold' "$B" 4 0 ls -f "$B/list"
count 'readdir of 1,000, warm' "$B" 0 0 outlive ls -f "$B/list"
mkdir "$A/long" && (cd "$A/long" && seq 1000 | xargs touch) && quiet && stat "$B/long" >/dev/null
count 'ls -l of 1,000, cold' "$B" 6 0 ls -l "$B/long"
count 'ls -l of 1,000, warm' "$B" 0 0 outlive ls -l "$B/long"

handover() { local i; for ((i = 0; i < 10; i++)); do echo "$i" >"$A/hand"; [ "$(cat "$B/hand")" = "$i" ] || return 1; done; }
count '10 × one writes, the other reads' "$B" 150 100 handover

git -c init.defaultBranch=main init -q "$B/repo"
git -C "$B/repo" config user.email test@example.org && git -C "$B/repo" config user.name test
cp -r "$ROOT/common" "$ROOT/docs" "$ROOT/tools" "$B/repo" && git -C "$B/repo" add -A && git -C "$B/repo" commit -qm one
git -C "$B/repo" status --porcelain >/dev/null # writes down what it has looked at,
git -C "$B/repo" status --porcelain >/dev/null # and reads that for the first time
status() { [ -z "$(GIT_OPTIONAL_LOCKS=0 git -C "$B/repo" status --porcelain)" ]; }
count "git status, $(git -C "$B/repo" ls-files | wc -l) files, warm" "$B" 0 0 outlive status

mkdir "$B/make"
for i in $(seq 40); do printf '#include "h%d.h"\nint f%d(void) { return H; }\n' $((i % 4)) "$i" >"$B/make/f$i.c"; done
for i in 0 1 2 3; do printf '#define H %d\n' "$i" >"$B/make/h$i.h"; done
printf 'lib.a: %s\n\tar rcs $@ $^\n%%.o: %%.c\n\t$(CC) -MMD -c -o $@ $<\n-include *.d\n' "$(for i in $(seq 40); do printf 'f%d.o ' "$i"; done)" >"$B/make/Makefile"
make -s -j2 -C "$B/make" && make -s -C "$B/make"
no_op() { make -C "$B/make" >"$WORK/make.txt" && grep -q 'up to date' "$WORK/make.txt"; }
count 'make with nothing to do, 40 objects, warm' "$B" 0 0 outlive no_op

[ -z "$MISSED" ] || fail "$MISSED"
echo 'rpccount: no call more than there may be'
