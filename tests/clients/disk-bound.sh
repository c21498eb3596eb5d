#!/usr/bin/env bash
# Ten times the limit in entries of 1 B to 3 MB: `du` from outside never shows more than the limit.
. "$(dirname "$0")/lib.sh"
need python3
LIMIT=20000000
DIR=$WORK/disk
load() { python3 "$LIB/load.py" "$1" --url "$URL" --token "$WORK/dev/acme.jwt" --keys 3000 "${@:2}"; }

serve_dev
serve_run bound "$DIR" 20MB
load write --total $((10 * LIMIT)) --max 3000000 --threads 12 >"$WORK/load.log" 2>&1 &
writer=$!
SERVERS+=("$writer")

# While du walks, files come, go and are renamed, and it may count bytes that were never there at one
# time. So every thread of the server is stopped for each sample; a stopped server still has its clients.
stopped() { ! cut -d' ' -f3 /proc/"$PID"/task/*/stat | grep -qv '[Tt]'; }
sample() {
    kill -STOP "$PID"
    wait_until 10 "the server is stopped" stopped
    du -s --block-size=1 "$DIR" | cut -f1
    kill -CONT "$PID"
}

highest=0 samples=0
while alive "$writer"; do
    now=$(sample)
    samples=$((samples + 1))
    if [ "$now" -gt "$highest" ]; then highest=$now; fi
    if [ "$now" -gt $LIMIT ]; then
        say "the server's own count, at $now bytes by du:"
        curl -fsS "http://$OPS/metrics" | grep -E '^chacha_disk_(used|reserved|limit)' || true
    fi
    most "bytes by du" "$now" $LIMIT
    [ "$SECONDS" -lt 240 ] || fail "the writer takes longer than 240 s"
done
wait "$writer" || fail "the writer has failed"
summary=$(cat "$WORK/load.log")
say "$summary"
[[ $summary == *"gone False"* ]] || fail "the server is gone"
# A full cache evicts; it does not refuse.
refused=$(grep -oE '\b[45][0-9][0-9]: [0-9]+' <<<"$summary" || true)
[ -z "$refused" ] || fail "writes were refused: $refused"
say "$samples samples, at most $highest of $LIMIT bytes"
least "samples" "$samples" 20
least "the highest sample: the limit is used" "$highest" $((LIMIT / 2))
evicted=$(gauge chacha_disk_evictions_total)
least "evictions by the server's count" "$evicted" 1
used=$(gauge chacha_disk_used_bytes)
most "bytes by the server's count" "$used" $LIMIT
load verify >"$WORK/verify" 2>"$WORK/verify.log" || fail "$(cat "$WORK/verify.log")"
read -r readable missing <"$WORK/verify"
say "$readable entries are left, all whole; $missing are not there"
least "entries that are left" "$readable" 1
