#!/usr/bin/env bash
# kill -9 in the middle of uploads: what was acknowledged is still there, what was not never was, links and reservations
# live on, and a save of the toolkit that was interrupted ends well or can be repeated.
. "$(dirname "$0")/gha.sh"
gha_ready
serve_gha first

wire() { "$GHA/wire.py" "$@" --url "$URL" --keys "$WORK/keys" --note "$WORK/note"; }
kill_server() { kill -9 "$1"; wait "$1" 2>/dev/null || true; }
# ended PID OUTPUT: of a command of ours in the background.
half_done() { alive "$1" || fail "it has ended: $(cat "$2")"; grep -q "half done" "$2"; }

# Bytes of a request that are not a whole block yet are on the disk, or not; either way they must not count.
wire before >"$WORK/before.txt" 2>&1 &
client=$!
SERVERS+=("$client")
wait_until 60 "uploads are half done" half_done "$client" "$WORK/before.txt"
kill_server "$PID"
wait "$client" || fail "before the kill: $(cat "$WORK/before.txt")"
serve_gha second
wire after >"$WORK/after.txt" || { cat "$WORK/after.txt"; fail "after kill -9"; }
tail -n 1 "$WORK/after.txt"

# toolkit KIND: a save through a slow way, so that it is under way for seconds; the server dies and comes back meanwhile.
toolkit() {
    local kind=$1 package=$2 log=$WORK/way.log way saver saved
    : >"$log"
    "$ROOT/bench/slowproxy" --target "127.0.0.1:$PORT" --up 30M >"$WORK/way.out" 2>"$log" &
    way=$!
    SERVERS+=("$way")
    wait_until 10 "the slow way listens" printed "$way" "$log" '^listening on'
    actions "$ACME"
    # Links name the address that the client came by.
    ACTIONS_CACHE_URL=http://$(sed -n 's/^listening on //p' "$log")/
    export ACTIONS_CACHE_URL ACTIONS_RESULTS_URL=$ACTIONS_CACHE_URL
    mkdir -p "$GITHUB_WORKSPACE/$kind"
    head -c 200000000 /dev/urandom >"$GITHUB_WORKSPACE/$kind/file"
    cp "$GITHUB_WORKSPACE/$kind/file" "$WORK/file"
    node "$GHA/toolkit.mjs" "$package" save "$kind" "$kind" >"$WORK/save.txt" 2>"$WORK/save.log" &
    saver=$!
    SERVERS+=("$saver")
    wait_until 60 "$kind: the upload is under way" received 20000000
    kill_server "$PID"
    serve_gha "again-$kind"
    wait "$saver" || fail "$kind: the toolkit has failed: $(cat "$WORK/save.log")"
    saved=$(cat "$WORK/save.txt")
    actions "$ACME"
    grep -m 3 '^::warning\|failed with error' "$WORK/save.log" | cut -c1-160 || true
    if [ "$saved" = -1 ]; then
        # It gave up, as clients may; then the same job can save again after some seconds.
        wait_until 60 "$kind: the second save" saved_again "$package" "$kind"
        say "$kind: the interrupted save was given up, the next one was taken"
    else
        say "$kind: the interrupted save went on by itself"
    fi
    rm -r "${GITHUB_WORKSPACE:?}/$kind"
    equal "$kind: restore" "$(node "$GHA/toolkit.mjs" "$package" restore "$kind" "$kind" 2>"$WORK/restore.log")" "$kind"
    cmp -s "$WORK/file" "$GITHUB_WORKSPACE/$kind/file" || fail "$kind: the restored file differs"
    kill_server "$way"
}
saved_again() {
    saved=$(node "$GHA/toolkit.mjs" "$1" save "$2" "$2" 2>"$WORK/retry.log")
    [ "$saved" != -1 ]
}
# received BYTES: how much of bodies this server has got on its disk.
received() { [ "$(du -s --block-size=1 "$WORK/disk" | cut -f1)" -ge $((BASE + $1)) ]; }
base() { BASE=$(du -s --block-size=1 "$WORK/disk" | cut -f1); }

if ! command -v node >/dev/null || [ ! -d "$TOOLKIT_NEW" ]; then
    say "without @actions/cache (npm)"
    exit 0
fi
base
V2='' toolkit v1 "$TOOLKIT_OLD"
base
V2=on toolkit v2 "$TOOLKIT_NEW"
stop_server "$PID"
