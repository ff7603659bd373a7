#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Locks of flock(2) and fcntl(2) through two mounts: exclusion, waiting, signals, deadlocks, what processes inherit and what closing ends, with the
# holder, the MDT or a whole mount gone; and a data base that relies on them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
requires python3

start_cluster --mounts 2 --osts 2
MGS=$(stria mdts --json "$MNT" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["address"].split(",")[0])')
# what the test asks of the cluster: kill9 DAEMON, start DAEMON, evict CLIENT
cat >"$WORK/outside" <<END
#!/usr/bin/env bash
set -eu
case \$1 in
evict) exec stria-admin --mgs "$MGS" --yes client evict "\$2" ;;
*) exec "$ROOT/tools/stria-local" "\$@" --name "$NAME" --base "$WORK/base" --mount "$MNT" --mounts 2 --osts 2 ;;
esac
END
chmod +x "$WORK/outside"
LOCKS_OUTSIDE=$WORK/outside python3 "$(dirname "${BASH_SOURCE[0]}")/locks.py" "$MNT" "$MNT.2" "$STRIA_BIN/stria" "$@" || fail 'see above'
echo 'locks: they hold between mounts'
