#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real programs on two mounts at once: a build shared by both, git, a database, data loaders, tar and rsync. With E2E_SOAK=1 in full size, for soaks:
# STRIA_BIN=build/bin E2E_SOAK=1 tests/e2e/twomounts.sh. E2E_ONLY="build git" runs only these parts.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
requires git make cc ar python3 tar
start_cluster --mounts 2 --osts 2
A=$MNT B=$MNT.2
if [ -n "${E2E_SOAK:-}" ]; then SMALL_FILES=100000 ROUNDS=200 ROWS=5000; else SMALL_FILES=2000 ROUNDS=10 ROWS=100; fi

# This repository's own sources below $1: a tree that is there on every machine.
own_sources() { mkdir "$1" && tar -C "$ROOT" -cf - common proto mds client docs tools | tar -C "$1" -xf -; }
both() { # runs $1 on both mounts at once, with the mount as argument; fails if one fails
	local pid rc=0
	"$1" "$A" >"$WORK/a.txt" 2>&1 &
	pid=$!
	"$1" "$B" >"$WORK/b.txt" 2>&1 || rc=1
	wait "$pid" || rc=1
	[ $rc = 0 ] || { tail -n 15 "$WORK/a.txt" "$WORK/b.txt" >&2; fail "$1 on both mounts"; }
}

# one build, halves of it on each mount: what one compiles the other links, and then nothing is left to do
part_build() {
	own_sources "$A/src"
	cat >"$A/src/Makefile" <<'M'
SOURCES := $(sort $(wildcard common/base/*.c common/cluster/*.c))
OBJECTS := $(SOURCES:.c=.o)
COUNT := $(words $(OBJECTS))
first: $(wordlist 1,$(shell expr $(COUNT) / 2),$(OBJECTS))
second: $(wordlist $(shell expr $(COUNT) / 2 + 1),$(COUNT),$(OBJECTS))
library.a: $(OBJECTS)
	ar rcs $@ $^
%.o: %.c
	$(CC) -D_GNU_SOURCE -I. -O0 -std=gnu17 -include common/base/banned.h -MMD -c -o $@ $<
-include $(OBJECTS:.o=.d)
M
	build_half() { make -s -j2 -C "$1/src" "$([ "$1" = "$A" ] && echo first || echo second)"; }
	both build_half
	make -s -C "$B/src" library.a && ar t "$A/src/library.a" >"$WORK/members.txt" || fail 'the library was not made'
	[ "$(wc -l <"$WORK/members.txt")" = "$(ls "$A"/src/common/{base,cluster}/*.c | wc -l)" ] || fail 'an object is missing in the library'
	make -C "$A/src" --debug=basic library.a >"$WORK/make.txt"
	grep -q 'up to date' "$WORK/make.txt" || { cat "$WORK/make.txt" >&2; fail 'make on one mount does not see that the other has built everything'; }
}

# a repository that both commit to, in turn, and that stays whole
part_git() {
	local i
	own_sources "$A/original"
	git -c init.defaultBranch=main init -q "$A/original"
	for i in user.email=test@example.org user.name=test gc.auto=0; do git -C "$A/original" config "${i%%=*}" "${i#*=}"; done
	git -C "$A/original" add -A && git -C "$A/original" commit -qm one
	git clone -q "$B/original" "$B/clone"
	[ -z "$(git -C "$A/clone" status --porcelain)" ] || fail 'a clone made on one mount is not clean on the other'
	for ((i = 0; i < ROUNDS; i++)); do
		echo "$i" >"$A/original/a$i" && git -C "$A/original" add "a$i" && git -C "$A/original" commit -qm "a $i"
		echo "$i" >"$B/original/b$i" && git -C "$B/original" add "b$i" && git -C "$B/original" commit -qm "b $i"
	done
	for mount in "$A" "$B"; do
		[ "$(git -C "$mount/original" rev-list --count HEAD)" = $((2 * ROUNDS + 1)) ] || fail 'a commit is missing'
		git -C "$mount/original" fsck --full --strict >"$WORK/fsck.txt" 2>&1 || { cat "$WORK/fsck.txt" >&2; fail 'git fsck'; }
		[ -z "$(git -C "$mount/original" status --porcelain)" ] || fail 'git status after all commits'
	done
	git -C "$B/clone" pull -q && [ "$(git -C "$A/clone" rev-parse HEAD)" = "$(git -C "$A/original" rev-parse HEAD)" ] || fail 'git pull'
}

# a database in rollback mode from both mounts: fcntl locks keep them apart; then write-ahead, which needs shared memory, on one
part_sqlite() {
	command -v sqlite3 >/dev/null || return 0
	sqlite3 "$A/db" 'create table t(mount text, i integer)'
	insert_rows() {
		local i
		for ((i = 0; i < ROWS; i++)); do sqlite3 -cmd '.timeout 60000' "$1/db" "insert into t values('$1', $i)" || return 1; done
	}
	both insert_rows
	for mount in "$A" "$B"; do
		[ "$(sqlite3 -cmd '.timeout 60000' "$mount/db" 'pragma integrity_check; select count(*), count(distinct mount || i) from t')" = \
			"$(printf 'ok\n%d|%d' $((2 * ROWS)) $((2 * ROWS)))" ] || fail 'rows that two mounts inserted'
	done
	[ "$(sqlite3 "$A/wal" "pragma journal_mode=wal; create table t(i); with recursive n(i) as (select 1 union all select i + 1 from n where i < $ROWS)
		insert into t select i from n; pragma wal_checkpoint; select count(*) from t" | tail -n 1)" = "$ROWS" ] || fail 'write-ahead mode on one mount'
	[ "$(sqlite3 "$B/wal" 'pragma journal_mode=delete; pragma integrity_check' | tail -n 1)" = ok ] || fail 'the same database on the other mount'
}

# processes of one mount read many small files by a list; the other mount adds some meanwhile
part_loader() {
	python3 - "$A" "$B" "$SMALL_FILES" <<'P' || fail 'data loaders'
import multiprocessing, os, sys
a, b, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
def content(i): return (b'%d ' % i) * (i % 500 + 1)
def path(mount, i): return f'{mount}/samples/{i // 500}/{i}'
def write(mount, first, last):
    for i in range(first, last):
        os.makedirs(os.path.dirname(path(mount, i)), exist_ok=True)
        with open(path(mount, i), 'wb') as f:
            f.write(content(i))
def load(i):
    with open(path(b, i), 'rb') as f:
        return f.read() == content(i)
write(a, 0, count)
more = multiprocessing.Process(target=write, args=(a, count, count + count // 4))
more.start()
with multiprocessing.Pool(4) as pool:
    for epoch in range(2):
        wrong = pool.map(load, range(count), chunksize=50).count(False)
        assert wrong == 0, f'{wrong} samples read wrong in epoch {epoch}'
    more.join()
    assert more.exitcode == 0, 'the other mount could not add samples'
    assert all(pool.map(load, range(count, count + count // 4), chunksize=50)), 'a sample that was added reads wrong'
assert sum(len(files) for _, _, files in os.walk(f'{b}/samples')) == count + count // 4, 'a listing misses samples'
P
}

# a tree unpacked here and compared there; copied by rsync there while it is compared here
part_tree() {
	own_sources "$WORK/tree"
	tar -C "$WORK" -cf - tree | tar -C "$A" -xf -
	diff -r "$WORK/tree" "$B/tree" || fail 'what one mount unpacked is different on the other'
	if command -v rsync >/dev/null; then
		rsync -a "$A/tree/" "$A/copy/" &
		BACKGROUND_PID=$!
		while kill -0 "$BACKGROUND_PID" 2>/dev/null; do # whatever is there under its final name is whole
			rsync -an --checksum --existing --itemize-changes --no-times --omit-dir-times "$WORK/tree/" "$B/copy/" 2>/dev/null | grep '^>fc' && fail 'a file that rsync has finished differs'
			sleep 0.5
		done
		wait "$BACKGROUND_PID" || fail 'rsync'
		BACKGROUND_PID=
		diff -r "$WORK/tree" "$B/copy" || fail 'what rsync copied on one mount is different on the other'
		[ -z "$(rsync -an --itemize-changes "$WORK/tree/" "$B/copy/")" ] || fail 'rsync finds something to do on the other mount'
	fi
	remove_half() { find "$1/tree" -type f -name "*.$([ "$1" = "$A" ] && echo c || echo h)" -delete; }
	both remove_half
	[ -z "$(find "$A/tree" "$B/tree" -name '*.[ch]')" ] || fail 'files that both mounts removed are still listed'
	rm -r "$A/tree" && [ ! -e "$B/tree" ] || fail 'rm -r'
}

for part in ${E2E_ONLY:-build git sqlite loader tree}; do
	began=$SECONDS
	"part_$part"
	printf '%-8s %4d s\n' "$part" $((SECONDS - began))
done
echo 'twomounts: all as it should be'
