#!/usr/bin/env bash
# kill -9 with a bucket: no parts of uploads are left in it, nothing half is visible, what was answered is there.
. "$(dirname "$0")/s3.sh"
bucket_ready
serve_dev
PARTS=('part_size: 5MiB' 'parallel_parts: 2')
load() { python3 "$LIB/load.py" "$1" --url "$URL" --token "$WORK/dev/acme.jwt" --keys 200 --max 300000 "${@:2}"; }
acked() { [ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }
noted() { [ "$(find "$1" -type f 2>/dev/null | wc -l)" -ge "$2" ]; }
queued() { gauge chacha_upload_queue_entries; }
drained() { [ "$(queued)" = 0 ]; }

say "write: through"
DIR=$WORK/disk-through
head -c 40000000 /dev/urandom >"$WORK/large"
way slow --up 2M
serve_s3 through "$DIR" "$WAY" "${PARTS[@]}"
slow=()
for nth in 1 2 3 4; do
    as "$ACME" -T "$WORK/large" "$URL/slow/$nth" >/dev/null 2>&1 &
    slow+=($!)
done
SERVERS+=("${slow[@]}")
load write --acks "$WORK/acks" --threads 4 >"$WORK/load.log" 2>&1 &
writer=$!
SERVERS+=("$writer")
wait_until 30 "the uploads are begun" uploads_at_least 4
wait_until 30 "they are noted" noted "$DIR/parts" 4
wait_until 30 "writes are acknowledged" acked "$WORK/acks" 10
kill_server "$PID"
wait "$writer" || fail "the writer has failed"
wait "${slow[@]}" || true
left=$(uploads)
least "multipart uploads after kill -9" "$left" 4
acks=$(sort -u "$WORK/acks" | wc -l)

serve_s3 through-again "$DIR" "$S3" "${PARTS[@]}"
wait_until 30 "no multipart uploads are left" uploads_are 0
load verify --acks "$WORK/acks" >"$WORK/verify" 2>"$WORK/verify.log" || fail "after kill -9: $(cat "$WORK/verify.log")"
for nth in 1 2 3 4; do equal "GET of an upload that was cut" "$(status_as "$ACME" "$URL/slow/$nth")" 404; done
equal "PUT afterwards" "$(status_as "$ACME" -T "$WORK/large" "$URL/slow/1")" 201
wait_until 10 "no multipart uploads are left" uploads_are 0
stop_server "$PID"
serve_s3 through-other "$WORK/disk-other" "$S3" "${PARTS[@]}"
load verify --acks "$WORK/acks" >"$WORK/verify" 2>"$WORK/verify.log" || fail "in the bucket: $(cat "$WORK/verify.log")"
equal "GET of the last one elsewhere" "$(status_as "$ACME" "$URL/slow/1")" 200
cmp -s "$WORK/large" "$WORK/body" || fail "the bytes differ"
stop_server "$PID"
say "$left uploads in parts were left and are gone, $acks acknowledged entries are in the bucket"

say "write: back"
DIR=$WORK/disk-back
way crawling --up 100k
serve_s3 back "$DIR" "$WAY" 'write: back' "${PARTS[@]}"
load write --seed 2 --acks "$WORK/acks-back" --total 20000000 >"$WORK/load.log" 2>&1 || fail "the writer has failed"
equal "PUT of a large one" "$(status_as "$ACME" -T "$WORK/large" "$URL/large")" 201
waiting=$(queued)
least "entries that wait for their upload" "$waiting" 20
kill_server "$PID"
acks=$(sort -u "$WORK/acks-back" | wc -l)

serve_s3 back-again "$DIR" "$S3" 'write: back' "${PARTS[@]}"
wait_until 60 "everything is uploaded" drained
wait_until 30 "no multipart uploads are left" uploads_are 0
stop_server "$PID"
serve_s3 back-other "$WORK/disk-back-other" "$S3" "${PARTS[@]}"
load verify --acks "$WORK/acks-back" >"$WORK/verify" 2>"$WORK/verify.log" || fail "in the bucket: $(cat "$WORK/verify.log")"
equal "GET of the large one elsewhere" "$(status_as "$ACME" "$URL/large")" 200
cmp -s "$WORK/large" "$WORK/body" || fail "the bytes differ"
stop_server "$PID"
say "$waiting of $acks acknowledged entries were waiting at kill -9; all are in the bucket"
