# SPDX-License-Identifier: Apache-2.0
# Shared by the end-to-end tests: declare needs, start a cluster of one's own in a temporary folder, clean it up however the test ends.
# A test that cannot run here exits 77 (skipped, counted by ctest), saying why.
set -eu -o pipefail
export LC_ALL=C.UTF-8
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STRIA_BIN=${STRIA_BIN:-$ROOT/build-dev/bin}
export STRIA_BIN
PATH=$STRIA_BIN:$PATH
# Leaks at exit are the unit tests' business; a daemon that is killed has no chance to report them.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
NAME=e2e-$$

skip() {
	printf 'skipped: %s\n' "$1"
	exit 77
}
fail() {
	printf 'FAILED: %s\n' "$1" >&2
	exit 1
}
requires() {
	local program
	for program in "$@"; do command -v "$program" >/dev/null || skip "$program is not installed"; done
}
requires_fuse() {
	[ -c /dev/fuse ] || skip 'no /dev/fuse'
	[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null || skip 'neither root nor fusermount3'
}

local_cluster() { "$ROOT/tools/stria-local" "$@" --name "$NAME" --base "$WORK/base" --mount "$MNT" ${CLUSTER_OPTIONS[@]+"${CLUSTER_OPTIONS[@]}"}; }
CLUSTER_OPTIONS=()

cleanup() {
	local rc=$?
	trap - EXIT
	set +e
	[ -z "${BACKGROUND_PID:-}" ] || kill -9 "$BACKGROUND_PID" 2>/dev/null
	if [ $rc != 0 ] && [ $rc != 77 ]; then
		printf -- '---- logs of the cluster\n' >&2
		for log in "$WORK"/base/log/* "$WORK"/base/*.log; do
			[ -f "$log" ] && { printf -- '-- %s\n' "${log##*/}"; tail -n 25 "$log"; } >&2
		done
	fi
	[ -z "${CLUSTER_UP:-}" ] || local_cluster destroy >/dev/null 2>&1
	[ -z "${EXTRA_CLEANUP:-}" ] || eval "$EXTRA_CLEANUP"
	rm -rf --one-file-system "$WORK"
	exit $rc
}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/stria-e2e.XXXXXX")
MNT=$WORK/mnt
trap cleanup EXIT
trap 'exit 143' TERM INT

start_cluster() { # stria-local options
	requires_fuse
	CLUSTER_OPTIONS=("$@")
	CLUSTER_UP=1
	local_cluster up >"$WORK/up.txt" 2>&1 || { cat "$WORK/up.txt" >&2; fail 'the cluster did not start'; }
	mountpoint -q "$MNT" || fail "$MNT is not mounted"
}

# A tree of $2 files in directories of 100, with contents that differ, below $1.
make_tree() {
	local dir=$1 count=$2 i
	for ((i = 0; i < count; i++)); do
		[ $((i % 100)) != 0 ] || mkdir -p "$dir/$((i / 100))"
		printf 'file %d %s\n' "$i" "${RANDOM}${RANDOM}" >"$dir/$((i / 100))/f$i"
	done
}
expect_line() { # file regular-expression what
	grep -Eq -- "$2" "$1" || { cat "$1" >&2; fail "$3: no line like '$2'"; }
}
# A command that must fail, with one clear line and no crash: expect_error 'regexp' command…
expect_error() {
	local pattern=$1 rc=0
	shift
	"$@" >"$WORK/out.txt" 2>"$WORK/err.txt" </dev/null || rc=$?
	[ $rc != 0 ] || fail "'$*' succeeded"
	[ $rc -lt 126 ] || { cat "$WORK/err.txt" >&2; fail "'$*' ended with $rc"; }
	[ -s "$WORK/err.txt" ] || fail "'$*' failed without a word"
	[ "$(grep -c . "$WORK/err.txt")" -le 3 ] || { cat "$WORK/err.txt" >&2; fail "'$*' says too much"; }
	grep -Eiq -- "$pattern" "$WORK/err.txt" || { cat "$WORK/err.txt" >&2; fail "'$*': its message has no '$pattern'"; }
}
