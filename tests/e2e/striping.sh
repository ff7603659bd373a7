#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file striped over four OSTs has the right bytes in each; removing it frees them; `stria df` agrees with `df`.
. "$(dirname "$0")/lib.sh"
requires jq
start_cluster --osts 4
stria setstripe -c 4 -S 1M "$MNT/f"
head -c $((10 * 1024 * 1024 + 12345)) /dev/urandom >"$WORK/f"
cp "$WORK/f" "$MNT/f" && sync "$MNT/f"
stria getstripe "$MNT/f" >"$WORK/stripe.txt"
expect_line "$WORK/stripe.txt" 'lmm_stripe_count: +4' getstripe
expect_line "$WORK/stripe.txt" 'lmm_stripe_size: +1048576' getstripe
[ "$(stria getstripe -c "$MNT/f")" = 4 ] || fail 'getstripe -c'
[ "$(awk '/obdidx/ {on = 1; next} on && NF {print $1}' "$WORK/stripe.txt" | sort -u | wc -l)" = 4 ] || { cat "$WORK/stripe.txt"; fail 'four different OSTs'; }

# the objects themselves: stripe k holds every fourth MiB from k on
mapfile -t objects < <(find "$WORK/base" -type f -path '*/o/*' -size +1M | sort)
[ ${#objects[@]} = 4 ] || { printf '%s\n' "${objects[@]}"; fail 'four objects'; }
for k in 0 1 2 3; do
	: >"$WORK/stripe.$k"
	for ((m = k; m < 11; m += 4)); do dd if="$WORK/f" bs=1M skip=$m count=1 status=none >>"$WORK/stripe.$k"; done
	found=0
	for object in "${objects[@]}"; do cmp -s "$WORK/stripe.$k" "$object" && found=1; done
	[ $found = 1 ] || fail "no object has the bytes of stripe $k"
done

# df: both ways the same, within what moves meanwhile
kib_df=$(df -k --output=used "$MNT" | tail -1 | tr -d ' ')
kib_stria=$(stria df "$MNT" | awk '/^filesystem_summary:/ {print $3}')
awk -v a="$kib_df" -v b="$kib_stria" 'BEGIN {d = a - b; if (d < 0) d = -d; exit !(d <= 0.02 * a + 20480)}' || fail "df says $kib_df, stria df $kib_stria KiB used"

rm "$MNT/f"
for ((i = 0; i < 100; i++)); do
	[ "$(find "$WORK/base" -type f -path '*/o/*' -size +1M | wc -l)" != 0 ] || break
	sleep 0.2
done
[ "$(find "$WORK/base" -type f -path '*/o/*' -size +1M | wc -l)" = 0 ] || fail 'objects of a removed file stay'

# inherited by directories, shown as values alone
stria setstripe -c 2 -S 128K "$MNT" && mkdir "$MNT/d" && : >"$MNT/d/x" && printf x >"$MNT/d/x"
[ "$(stria getstripe -c "$MNT/d/x")" = 2 ] && [ "$(stria getstripe -S "$MNT/d/x")" = 131072 ] || fail 'inherited layout'
stria setstripe -d "$MNT" && printf x >"$MNT/y" && [ "$(stria getstripe -c "$MNT/y")" = 1 ] || fail 'default deleted'
# small files live with their inodes, from the first byte on and when they are saved; grown ones do not
for when in written saved; do
	stria getstripe "$MNT/d/x" >"$WORK/stripe.txt"
	expect_line "$WORK/stripe.txt" '^lmm_data: +inline$' "getstripe of a small file, $when"
	[ "$(stria getstripe --json "$MNT/d/x" | jq '.[0].inline')" = true ] || fail "getstripe --json of a small file, $when"
	sync "$MNT/d/x"
done
head -c 200000 /dev/zero >>"$MNT/d/x" && sync "$MNT/d/x"
stria getstripe "$MNT/d/x" >"$WORK/stripe.txt"
! grep -q inline "$WORK/stripe.txt" || fail 'getstripe of a file that has outgrown its inode says inline'
fid=$(stria path2fid "$MNT/d/x") && [ "$(stria fid2path "$MNT" "$fid")" = "$MNT/d/x" ] || fail 'path2fid and fid2path'
stria osts "$MNT" | grep -q 'OST0003_UUID ACTIVE' || fail osts
stria mdts "$MNT" | grep -q 'MDT0000_UUID ACTIVE' || fail mdts
stria check all "$MNT" | grep -q 'active\.' || fail check
stria getname "$MNT" | grep -q "$MNT" || fail getname
stria df --json "$MNT" | jq -e . >/dev/null || fail 'df --json'
echo 'striping: all as it should be'
