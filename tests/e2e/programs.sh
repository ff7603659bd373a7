#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real programs in the mount: a git repository cloned and checked, a database, verified random I/O, a build.
. "$(dirname "$0")/lib.sh"
requires git fio cc make
start_cluster
cd "$MNT"

git init -q "$WORK/repo" && cd "$WORK/repo" && git config user.email test@example.org && git config user.name test
make_tree "$WORK/repo/tree" 400 && git add -A && git commit -qm one && make_tree "$WORK/repo/tree" 200 && git commit -qam two
cd "$MNT"
git clone -q "$WORK/repo" clone && git -C clone fsck --full --strict 2>"$WORK/fsck.txt" || { cat "$WORK/fsck.txt"; fail 'git'; }
git -C clone gc -q && [ -z "$(git -C clone status --porcelain)" ] && diff -r --exclude=.git "$WORK/repo" clone || fail 'git gc and status'

if command -v sqlite3 >/dev/null; then
	sqlite3 db 'create table t(a integer primary key, b text); begin;
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t select i, hex(randomblob(20)) from n; commit;
		create index ib on t(b); update t set b = b || a where a % 7 = 0; delete from t where a % 5 = 0;' || fail sqlite3
	[ "$(sqlite3 db 'pragma integrity_check; select count(*) from t')" = "$(printf 'ok\n16000')" ] || fail 'sqlite3 integrity'
fi
fio --name=rw --directory="$MNT" --size=32m --rw=randrw --bsrange=4k-1m --ioengine=psync --verify=crc32c --numjobs=2 --minimal \
	--output="$WORK/fio.txt" || { tail -5 "$WORK/fio.txt"; fail 'fio verify'; }

mkdir build && cd build
for i in $(seq 20); do printf 'int f%d(int x) { return x + %d; }\n' "$i" "$i" >"f$i.c"; done
{
	for i in $(seq 20); do printf 'int f%d(int);\n' "$i"; done
	printf 'int main(void) { return 0'
	for i in $(seq 20); do printf ' + f%d(0)' "$i"; done
	printf ' == 210 ? 0 : 1; }\n'
} >main.c
printf 'prog: main.o %s\n\tcc -o $@ $^\n' "$(for i in $(seq 20); do printf 'f%d.o ' "$i"; done)" >Makefile
make -s -j2 && ./prog || fail 'make and run'
echo 'programs: all as it should be'
