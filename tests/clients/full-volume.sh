#!/usr/bin/env bash
# A volume that is smaller than the limit and runs full: writes get 507 or evict, reads go on.
. "$(dirname "$0")/lib.sh"
need python3
[ "$(id -u)" = 0 ] || skip "needs root to mount a small tmpfs"
DIR=$WORK/volume
mkdir "$DIR"
mount -t tmpfs -o size=24m tmpfs "$DIR" 2>"$WORK/mount.err" || skip "mount is not permitted here: $(head -n 1 "$WORK/mount.err")"
MOUNTS+=("$DIR")
load() { python3 "$LIB/load.py" "$1" --url "$URL" --token "$WORK/dev/acme.jwt" "${@:2}"; }
put() { status_as "$ACME" -T "$WORK/piece" "$URL/old/$1"; }

serve_dev
serve_run full "$DIR/cache" 10GB
head -c 300000 /dev/urandom >"$WORK/piece"
for nth in 1 2 3 4 5; do equal "PUT before the volume is full" "$(put "$nth")" 201; done

# Somebody else fills the volume: not our files, so nothing that we could evict helps for long.
head -c 12000000 /dev/zero >"$DIR/of-somebody-else"
load write --keys 2000 --total 60000000 --max 1000000 --threads 8 >"$WORK/load.log" 2>&1 || fail "the writer has failed"
summary=$(cat "$WORK/load.log")
say "$summary"
[[ $summary == *"gone False"* ]] || fail "a connection broke, or the server is gone"
alive "$PID" || fail "the server is gone"
others=$(grep -oE '\b[0-9]{3}: [0-9]+' <<<"$summary" | grep -vE '^(201|507):' || true)
[ -z "$others" ] || fail "answers other than 201 and 507: $others"
load verify --keys 2000 >"$WORK/verify" 2>"$WORK/verify.log" || fail "$(cat "$WORK/verify.log")"
read -r readable missing <"$WORK/verify"
say "$readable entries are readable, all whole; $missing are not there"
least "readable entries" "$readable" 1

# Not even room for one block: nothing can be stored, everything can be read.
fill() { cat /dev/zero >"$DIR/rest" 2>/dev/null || true; }
fill
full=$(status_as "$ACME" -T "$WORK/piece" "$URL/another")
case $full in
    201 | 507) say "a PUT on the full volume: $full" ;;
    *) fail "a PUT on the full volume: $full" ;;
esac
load verify --keys 2000 >"$WORK/verify" 2>"$WORK/verify.log" || fail "on the full volume: $(cat "$WORK/verify.log")"
equal "GET of a key that is not there" "$(status_as "$ACME" "$URL/none")" 404
equal "health" "$(status "http://$OPS/healthz")" 200

rm -f "$DIR/rest" "$DIR/of-somebody-else"
stored_again() { [ "$(status_as "$ACME" -T "$WORK/piece" "$URL/again")" = 201 ]; }
wait_until 20 "with room again, writes succeed" stored_again
equal "GET of it" "$(status_as "$ACME" "$URL/again")" 200
cmp -s "$WORK/piece" "$WORK/body" || fail "the bytes differ"
find "$DIR/cache/tmp" -mindepth 1 | grep -q . && fail "temporary files are left"
stop_server "$PID"
