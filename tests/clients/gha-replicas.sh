#!/usr/bin/env bash
# Two servers over one bucket behind a balancer that sends each connection to the other one: all checks of the wire, and the
# toolkit. An upload that one server began goes on through the other one.
. "$(dirname "$0")/s3.sh"
. "$LIB/gha.sh"
gha_ready
bucket_ready

# replica NAME: sets PORT, OPS and PID.
replica() {
    PORT=$(free_port)
    ADVERTISE=http://127.0.0.1:$PORT
    serve_s3 "$1" "$WORK/disk-$1" "$S3"
}
replica left
LEFT=$HOST LEFT_OPS=$OPS
LEFT_PID=$PID
replica right
RIGHT=$HOST RIGHT_OPS=$OPS

# others OPS COUNT: whether a server knows so many others.
others() { [ "$(OPS=$1 gauge chacha_actions_other_servers)" = "$2" ]; }
wait_until 20 "the servers know each other" others "$LEFT_OPS" 1
wait_until 20 "the servers know each other" others "$RIGHT_OPS" 1

log=$WORK/balancer.log
: >"$log"
"$ROOT/bench/slowproxy" --target "$LEFT" --target "$RIGHT" >"$WORK/balancer.out" 2>"$log" &
balancer=$!
SERVERS+=("$balancer")
wait_until 10 "the balancer listens" printed "$balancer" "$log" '^listening on'
URL=http://$(sed -n 's/^listening on //p' "$log")

served() { OPS=$1; count '(gha_v1|gha_v2|blob)' '.*' '.*'; }
both() {
    local side
    for side in "$LEFT_OPS" "$RIGHT_OPS"; do least "$1: requests to one of the servers" "$(served "$side")" "$2"; done
}

# The limit of an entry is the bucket's here, so what is too large is said with a number of its own.
"$GHA/wire.py" all --url "$URL" --keys "$WORK/keys" --no-expiry --largest 10000000000000 >"$WORK/wire.txt" || {
    grep FAILED "$WORK/wire.txt" | head -n 40
    fail "$(tail -n 1 "$WORK/wire.txt")"
}
both "the wire" 300
say "the wire: $(tail -n 1 "$WORK/wire.txt")"

toolkit_runs() { command -v node >/dev/null && [ -d "$TOOLKIT_NEW" ]; }
toolkit_runs || say "without @actions/cache (npm)"
toolkit_runs && for V2 in '' on; do
    package=$TOOLKIT_OLD
    [ -z "$V2" ] || package=$TOOLKIT_NEW
    toolkit_tokens "9${#V2}"
    rm -rf "$WORK/workspace" "$WORK/temp"
    actions "$ACME"
    node "$GHA/toolkit.mjs" "$package" 200000000 >"$WORK/toolkit.txt" 2>"$WORK/toolkit.err" ||
        { cat "$WORK/toolkit.err" "$WORK/toolkit.txt"; fail "the toolkit through the balancer"; }
    tail -n 1 "$WORK/toolkit.txt"
done

# One server is killed while it has uploads: those end as a client understands it, and everything else goes on.
caches=_apis/artifactcache/caches
begin() { status_as "$ACME" -H 'Content-Type: application/json' -d "{\"key\":\"$1\",\"version\":\"v\"}" "$2/$caches"; }
chunk() { status_as "$ACME" -X PATCH -H 'Content-Range: bytes 0-2/*' --data-binary abc "http://$RIGHT/$caches/$1"; }
commit() { status_as "$ACME" -H 'Content-Type: application/json' -d '{"size":3}' "http://$RIGHT/$caches/$1"; }
ids=()
for nth in $(seq 16); do
    equal "an upload begins" "$(begin "killed-$nth" "http://$LEFT")" 201
    id=$(grep -oE '[0-9]+' "$WORK/body")
    equal "a chunk" "$(chunk "$id")" 204
    ids+=("$id")
done
kill_server "$LEFT_PID"
# Some of them are on the server that lives; the others are refused, first for a moment and then for good.
ended() {
    local found
    found=$(commit "$1")
    case $found in 204 | 404) return 0 ;; 503) return 1 ;; *) fail "a commit after the kill: $found" ;; esac
}
wait_until 60 "the killed server is known to be gone" others "$RIGHT_OPS" 0
lost=0
for nth in $(seq 16); do
    id=${ids[$((nth - 1))]}
    ended "$id" || fail "an upload neither ended nor went on"
    [ "$(commit "$id")" != 404 ] || {
        lost=$((lost + 1))
        equal "a lost upload begins anew" "$(begin "killed-$nth" "http://$RIGHT")" 201
        id=$(grep -oE '[0-9]+' "$WORK/body")
        equal "its chunk" "$(chunk "$id")" 204
        equal "its commit" "$(commit "$id")" 204
    }
    equal "restore after the kill" "$(status_as "$ACME" "http://$RIGHT/_apis/artifactcache/cache?keys=killed-$nth&version=v")" 200
done
least "uploads on the killed server" "$lost" 1
say "killed one of two servers: $lost of 16 uploads were lost with it, and begun anew"
