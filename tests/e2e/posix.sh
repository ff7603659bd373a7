#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The POSIX suite (tests/posix) on a local file system, where nothing may fail, then on a mount, where exactly what tests/posix/known.txt lists may:
# two mounts, for the family that looks at one file through both.
# KEEP_RESULTS=FILE keeps the list of what held and what failed on the mount.
. "$(dirname "$0")/lib.sh"
requires posix_suite
[ "$(id -u)" = 0 ] || skip 'the suite changes its user: not root'

# run NAME DIR SECOND: the output in NAME.txt, one line an assertion in NAME.results. SECOND is DIR by another mount.
run() {
	local rc=0
	posix_suite "$2" --second "$3" --jobs 4 --results "$WORK/$1.results" >"$WORK/$1.txt" || rc=$?
	[ $rc -le 1 ] || { tail -n 5 "$WORK/$1.txt" >&2; fail "posix_suite on the $1 file system ended with $rc"; }
	printf '%s: %s\n' "$1" "$(tail -n 1 "$WORK/$1.txt")"
}

chmod 711 "$WORK" # other users come by absolute paths, too
mkdir "$WORK/local"
run local "$WORK/local" "$WORK/local"
if grep '^FAIL ' "$WORK/local.txt" >&2; then fail 'the suite is wrong, or the local file system is: see above'; fi
total=$(wc -l <"$WORK/local.results")
[ "$total" -ge 9800 ] || fail "only $total assertions"

start_cluster --mounts 2
mkdir "$MNT/posix"
run stria "$MNT/posix" "$MNT.2/posix"
[ -z "${KEEP_RESULTS:-}" ] || cp "$WORK/stria.txt" "$KEEP_RESULTS"

# A line of known.txt is an assertion as the suite prints it, or its beginning with a * behind it.
awk '
	FNR == NR { if ($0 !~ /^(#|$)/) { known[$0] = 0 }; next }
	{
		status = $1
		id = substr($0, length(status) + 2)
		hit = ""
		if (id in known) hit = id
		else for (k in known) if (k ~ /\*$/ && index(id, substr(k, 1, length(k) - 1)) == 1) { hit = k; break }
		if (status == "FAIL" && hit == "") { print "not known: " id; bad = 1 }
		if (status == "FAIL" && hit != "") known[hit]++
	}
	END {
		for (k in known) if (!known[k]) { print "known, but nothing of it fails: " k; bad = 1 }
		exit bad
	}
' "$ROOT/tests/posix/known.txt" "$WORK/stria.results" >"$WORK/verdict.txt" || {
	grep '^FAIL ' "$WORK/stria.txt" >&2
	cat "$WORK/verdict.txt" >&2
	fail 'the mount differs from what tests/posix/known.txt says'
}
