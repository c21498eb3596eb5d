#!/usr/bin/env bash
# kill -9 in the middle of many writes: afterwards every entry is whole, every acknowledged one is there,
# no temporary file is left, and the limit holds, also a smaller one.
. "$(dirname "$0")/lib.sh"
need python3
KEYS=600
DIR=$WORK/disk
load() { python3 "$LIB/load.py" "$1" --url "$URL" --token "$WORK/dev/acme.jwt" --keys $KEYS "${@:2}"; }
acked() { [ -f "$WORK/acks" ] && [ "$(wc -l <"$WORK/acks")" -ge "$1" ]; }
indexed() { [ "$(gauge chacha_disk_indexing || echo 1)" = 0 ]; }
no_temporary_files() { [ -z "$(find "$DIR/tmp" -mindepth 1 2>/dev/null | head -n 1)" ]; }
taken() { du -s --block-size=1 "$DIR" 2>/dev/null | cut -f1; }
under_way() { [ "$(find "$DIR/tmp" -type f -size +64k 2>/dev/null | wc -l)" -ge "$1" ]; }
within() { [ "$(taken)" -le "$1" ]; }

serve_dev
head -c 30000000 /dev/urandom >"$WORK/large"
for round in 1 2 3; do
    # More than everything that is written, so that nothing acknowledged is evicted.
    serve_run "round-$round" "$DIR" 4GB
    slow=()
    for nth in 1 2 3 4; do
        as "$ACME" --limit-rate 200k -T "$WORK/large" "$URL/slow/$nth" >/dev/null 2>&1 &
        slow+=($!)
    done
    SERVERS+=("${slow[@]}")
    wait_until 30 "slow uploads are under way" under_way 4
    load write --acks "$WORK/acks" --seed "$round" >"$WORK/load.log" 2>&1 &
    writer=$!
    SERVERS+=("$writer")
    wait_until 60 "writes are acknowledged" acked $((round * 150))
    kill -9 "$PID"
    wait "$PID" 2>/dev/null || true
    wait "$writer" || fail "the writer has failed"
    wait "${slow[@]}" || true
    left=$(find "$DIR/tmp" -type f 2>/dev/null | wc -l)
    least "temporary files after kill -9" "$left" 4

    serve_run "after-$round" "$DIR" 4GB
    wait_until 30 "the disk is indexed" indexed
    load verify --acks "$WORK/acks" >"$WORK/verify" 2>"$WORK/verify.log" || fail "after kill -9: $(cat "$WORK/verify.log")"
    wait_until 10 "the temporary files are gone" no_temporary_files
    read -r readable missing <"$WORK/verify"
    say "round $round: $left temporary files were left and are gone, $readable entries whole, $missing never written"
    least "entries after kill -9" "$readable" 100
    for nth in 1 2 3 4; do equal "GET of an upload that was cut" "$(status_as "$ACME" "$URL/slow/$nth")" 404; done
    stop_server "$PID"
done

limit=20000000
before=$(taken)
least "bytes before the smaller limit" "$before" $limit
serve_run smaller "$DIR" 20MB
wait_until 30 "the disk is indexed" indexed
wait_until 30 "a smaller limit holds" within $limit
load verify >"$WORK/verify" 2>"$WORK/verify.log" || fail "under a smaller limit: $(cat "$WORK/verify.log")"
read -r readable _ <"$WORK/verify"
say "limit 20 MB: from $before to $(taken) bytes, $readable entries are left, all whole"
least "entries under the smaller limit" "$readable" 1
