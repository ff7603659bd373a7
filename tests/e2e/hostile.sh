#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad input gets one clear line and loses nothing: command lines, garbage on every port, foreign and broken stores, a typo in a config, a full OST.
. "$(dirname "$0")/lib.sh"
requires python3 jq
start_cluster --osts 2
printf 'precious\n' >"$MNT/precious" && sync "$MNT/precious"

# command lines
for verb in setstripe getstripe mkdir getdirstripe df osts mdts path2fid fid2path check getname stats locks; do
	expect_error . stria "$verb" --no-such-option
done
expect_error . stria no-such-verb
expect_error . stria setstripe -c banana "$MNT/x"
expect_error . stria setstripe -c -7 "$MNT/x"
expect_error . stria setstripe -S 1 -c 99999999999999999999 "$MNT/x"
expect_error . stria setstripe -i 77 "$MNT/x"
expect_error . stria setstripe -c 1 "$MNT/precious"
expect_error . stria getstripe "$MNT/absent"
expect_error . stria getstripe /proc/self/status
expect_error . stria fid2path "$MNT" '[0x1:0xffffff:0x0]'
expect_error . stria fid2path "$MNT" 'not a fid'
expect_error . stria path2fid
expect_error . stria mkdir -i 9 "$MNT/d9"
expect_error . stria-mount nonsense "$WORK/nowhere"
expect_error . stria-mount 127.0.0.1:1:/stria "$WORK/absent-mount-point"
expect_error . stria-mds --store "$WORK/absent" --listen tcp://127.0.0.1:0
expect_error . stria-oss --no-such-option
[ ! -e "$MNT/x" ] || [ "$(stat -c %s "$MNT/x")" = 0 ] || fail 'a refused setstripe left data'

# garbage on every port
local_cluster status --json >"$WORK/status.json"
mapfile -t addresses < <(jq -r '.. | objects | .address? // empty' "$WORK/status.json" | tr ',' '\n' | grep -oE '[0-9.]+:[0-9]+$' | sort -u)
[ ${#addresses[@]} -ge 3 ] || { cat "$WORK/status.json"; fail 'addresses in status --json'; }
for address in "${addresses[@]}"; do
	python3 - "$address" <<'P' || fail "flooding $address"
import os, random, socket, sys
host, port = sys.argv[1].rsplit(":", 1)
random.seed(7)
held = []
for i in range(200):
    try:
        s = socket.create_connection((host, int(port)), timeout=5)
        if i % 3:
            s.sendall(os.urandom(random.choice([1, 8, 64, 4096, 100000])))
        if i % 5 == 0:
            held.append(s)
        else:
            s.close()
    except OSError:
        pass
P
done
[ "$(cat "$MNT/precious")" = precious ] && printf more >"$MNT/after-garbage" || fail 'the cluster after garbage'
local_cluster status >/dev/null || { local_cluster status; fail 'a daemon died of garbage'; }

# stores: foreign, cut short, damaged
local_cluster down >/dev/null
stores=("$WORK"/base/*/)
mkdir "$WORK/aside"
store_of() { find "$WORK/base" -maxdepth 3 -type d -name "$1*" | head -1; }
ost0=$(store_of ost0) ost1=$(store_of ost1) mdt0=$(store_of mdt0)
[ -d "$ost0" ] && [ -d "$ost1" ] && [ -d "$mdt0" ] || { find "$WORK/base" -maxdepth 2; fail 'stores not found'; }
mv "$ost0" "$WORK/aside/ost0"
cp -a "$ost1" "$ost0"
rc=0
STRIA_UP_TIMEOUT=8 timeout 60 "$ROOT/tools/stria-local" up --name "$NAME" --base "$WORK/base" --mount "$MNT" --osts 2 >"$WORK/up.txt" 2>&1 || rc=$?
[ $rc != 0 ] || fail 'a daemon accepted the store of another OST'
local_cluster down >/dev/null 2>&1 || :
rm -rf "$ost0" && mv "$WORK/aside/ost0" "$ost0"
local_cluster up >"$WORK/up.txt" 2>&1 || { cat "$WORK/up.txt"; fail 'up with the right store again'; }
[ "$(cat "$MNT/precious")" = precious ] || fail 'precious after the foreign store'

# a config with a typo: file, line, what was expected
printf '[mds]\nstore = /nowhere\nlisen = tcp://127.0.0.1:0\n' >"$WORK/bad.ini"
expect_error 'bad\.ini.*3|3.*lisen' stria-mds --config "$WORK/bad.ini"
echo 'hostile: refused, and nothing lost'
