#!/usr/bin/env bash
# Two servers over one bucket behind a balancer that sends each connection to the other one: all checks of the wire, and the
# toolkit. An upload that one server began goes on through the other one.
. "$(dirname "$0")/s3.sh"
. "$LIB/gha.sh"
[ -n "${CHACHA_GHA_REPLICAS:-}" ] || skip "uploads over several servers are tried with CHACHA_GHA_REPLICAS=1"
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
replica right
RIGHT=$HOST RIGHT_OPS=$OPS

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

command -v node >/dev/null && [ -d "$TOOLKIT_NEW" ] || { say "without @actions/cache (npm)"; exit 0; }
for V2 in '' on; do
    package=$TOOLKIT_OLD
    [ -z "$V2" ] || package=$TOOLKIT_NEW
    toolkit_tokens "9${#V2}"
    rm -rf "$WORK/workspace" "$WORK/temp"
    actions "$ACME"
    node "$GHA/toolkit.mjs" "$package" 200000000 >"$WORK/toolkit.txt" 2>"$WORK/toolkit.err" ||
        { cat "$WORK/toolkit.err" "$WORK/toolkit.txt"; fail "the toolkit through the balancer"; }
    tail -n 1 "$WORK/toolkit.txt"
done
