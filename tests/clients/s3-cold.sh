#!/usr/bin/env bash
# Entries that only the bucket has: fetched once, whoever waits; answered while they arrive; a range far ahead
# before the front.
. "$(dirname "$0")/s3.sh"
bucket_ready
serve_dev
LARGE=$((256 << 20))
# Few parts: moto reads the whole object for each.
PARTS=('part_size: 32MiB' 'parallel_parts: 3')
head -c $((64 << 20)) /dev/urandom >"$WORK/object"
head -c $LARGE /dev/urandom >"$WORK/large"
received() { stat -c %s "$WORK/whole" 2>/dev/null || echo 0; }
begun() { [ "$(received)" -gt 0 ]; }

serve_s3 first "$WORK/disk-first" "$S3" "${PARTS[@]}"
for name in object large; do equal "PUT of $name" "$(status_as "$ACME" -T "$WORK/$name" "$URL/$name")" 201; done
stop_server "$PID"

way counted
serve_s3 flood "$WORK/disk-flood" "$WAY" "${PARTS[@]}"
before=$(passed counted bytes_down)
python3 "$LIB/flood.py" --url "$URL/object" --token "$WORK/dev/acme.jwt" --expect "$WORK/object" \
    >"$WORK/flood" 2>"$WORK/flood.log" || fail "100 readers: $(cat "$WORK/flood.log")"
came=$(($(passed counted bytes_down) - before))
read -r first last <"$WORK/flood"
say "100 readers of 64 MiB: all whole after $first to $last s; $came bytes came from the bucket"
least "bytes from the bucket" "$came" $((64 << 20))
most "bytes from the bucket" "$came" $((66 << 20))
stop_server "$PID"

way slow --down 20M
serve_s3 ahead "$WORK/disk-ahead" "$WAY" "${PARTS[@]}"
as "$ACME" -o "$WORK/whole" -w '%{time_starttransfer} %{time_total}\n' "$URL/large" >"$WORK/times" &
reader=$!
SERVERS+=("$reader")
wait_until 30 "the first bytes are there" begun
# Near the end of the last part: what is in front of it in this part has to come first.
at=$((LARGE - (31 << 20)))
equal "a range far ahead" "$(status_as "$ACME" -r $at-$((at + 999)) "$URL/large")" 206
front=$(received)
cmp -s <(tail -c +$((at + 1)) "$WORK/large" | head -c 1000) "$WORK/body" || fail "a range far ahead: other bytes"
most "bytes of the whole when the range far ahead was there" "$front" $((LARGE / 2))
wait "$reader" || fail "the reader of the whole has failed"
cmp -s "$WORK/large" "$WORK/whole" || fail "the whole: other bytes"
read -r first total <"$WORK/times"
say "256 MiB at 20 MB/s for each connection: first byte after $first s, all after $total s"
say "a range far ahead was there when the whole had $front bytes"
awk "BEGIN { exit !($first * 3 < $total) }" || fail "the first byte came after $first of $total s"
stop_server "$PID"
