#!/usr/bin/env bash
# A bucket that cannot be reached, and one that does not answer: the disk serves on, misses are quick, writes
# wait on the disk; when it is back, everything works again, and what waited is there.
. "$(dirname "$0")/s3.sh"
bucket_ready
serve_dev
FAST=('read_timeout: 1s' 'idle_timeout: 1s' 'connect_timeout: 1s' 'part_size: 5MiB')
head -c 300000 /dev/urandom >"$WORK/body-a"
head -c 12000000 /dev/urandom >"$WORK/body-b"
readyz() { curl -sS --max-time 5 -o "$WORK/ready" -w '%{http_code}' "http://$OPS/readyz"; }
says_down() { readyz >/dev/null && grep -q '^s3: cannot be used' "$WORK/ready"; }
says_up() { readyz >/dev/null && ! grep -q '^s3: cannot be used' "$WORK/ready"; }
put() { status_as "$ACME" --max-time 30 -T "$WORK/$1" "$URL/$2"; }
# took COMMAND...: sets ANSWER and MS.
took() { local begin; begin=$(now_ms); ANSWER=$("$@"); MS=$(($(now_ms) - begin)); }
ask() { status_as "$ACME" --max-time 30 "$URL/$1"; }
drained() { readyz >/dev/null && ! grep -q 'changes wait' "$WORK/ready"; }
# A miss that asks the bucket, so that it is found to be down.
missed_until_down() { ask "none-$RANDOM" >/dev/null; says_down; }
cached() {
    equal "$1: GET of what is on the disk" "$(ask on-disk)" 200
    cmp -s "$WORK/body-a" "$WORK/body" || fail "$1: the bytes differ"
}

# while_down WHAT: everything that must hold.
while_down() {
    local what=$1 name longest=0
    took ask first-miss
    equal "$what: the first miss" "$ANSWER" 404
    say "$what: the first miss took $MS ms"
    most "$what: ms of the first miss" "$MS" 20000
    cached "$what"
    wait_until 60 "$what: /readyz says so" missed_until_down
    equal "$what: /readyz with a disk" "$(readyz)" 200
    for name in one two three only-in-bucket; do
        took ask $name
        equal "$what: GET of what is not on the disk" "$ANSWER" 404
        [ "$MS" -le "$longest" ] || longest=$MS
    done
    most "$what: ms of a miss" "$longest" 1000
    for name in body-a body-b; do
        took put $name waits
        equal "$what: PUT" "$ANSWER" 201
        most "$what: ms of a PUT" "$MS" 5000
        say "$what: PUT of $(stat -c %s "$WORK/$name") bytes is answered with $ANSWER after $MS ms"
        equal "$what: GET of it" "$(ask waits)" 200
        cmp -s "$WORK/$name" "$WORK/body" || fail "$what: the bytes differ"
    done
    equal "$what: DELETE" "$(status_as "$ACME" -X DELETE --max-time 30 "$URL/waits-not")" 204
    grep -q 'changes wait' <(readyz; cat "$WORK/ready") || fail "$what: /readyz does not say what waits"
    cached "$what"
    say "$what: a miss took at most $longest ms; /readyz: $(sed -n 2p "$WORK/ready")"
}

while_up() {
    local begin
    begin=$(now_ms)
    wait_until 30 "$1: /readyz says no more" says_up
    say "$1: used again after $(($(now_ms) - begin)) ms"
    alive "$PID" || fail "$1: the server is gone"
    equal "$1: GET of what only the bucket has" "$(ask only-in-bucket)" 200
    cmp -s "$WORK/body-b" "$WORK/body" || fail "$1: the bytes differ"
    equal "$1: GET of a write that waited" "$(ask waits)" 200
    cmp -s "$WORK/body-b" "$WORK/body" || fail "$1: the bytes differ"
    wait_until 30 "$1: nothing waits any more" drained
    for name in body-a body-b; do equal "$1: PUT" "$(put $name "$1/$name")" 201; done
    cached "$1"
}

serve_s3 other "$WORK/disk-other" "$S3" "${FAST[@]}"
equal "PUT" "$(put body-b only-in-bucket)" 201
stop_server "$PID"

way first
serve_s3 down "$WORK/disk" "$WAY" "${FAST[@]}"
equal "PUT" "$(put body-a on-disk)" 201
kill_server "$WAY_PID"
while_down away
way again --listen "$WAY"
while_up away
equal "DELETE of what the bucket had" "$(status_as "$ACME" -X DELETE "$URL/only-in-bucket")" 204
equal "PUT" "$(put body-b away/only)" 201

kill -STOP "$MOTO_PID"
what="no answer"
took ask first-miss
equal "$what: the first miss" "$ANSWER" 404
say "$what: the first miss took $MS ms"
wait_until 60 "$what: /readyz says so" missed_until_down
took ask another
equal "$what: a miss" "$ANSWER" 404
most "$what: ms of a miss" "$MS" 1000
took put body-a another
equal "$what: PUT" "$ANSWER" 201
say "$what: PUT is answered with $ANSWER after $MS ms"
cached "$what"
kill -CONT "$MOTO_PID"
wait_until 30 "$what: /readyz says no more" says_up
equal "$what: PUT afterwards" "$(put body-b another)" 201
equal "$what: GET of it" "$(ask another)" 200
stop_server "$PID"

serve_s3 alone "" "$WAY" "staging_dir: \"$WORK/staging\"" "${FAST[@]}"
equal "alone: PUT" "$(put body-a alone)" 201
equal "alone: GET" "$(ask alone)" 200
kill_server "$WAY_PID"
wait_until 60 "alone: /readyz says so" missed_until_down
equal "alone: /readyz without a disk" "$(readyz)" 503
took ask alone
equal "alone: GET" "$ANSWER" 404
most "alone: ms of a GET" "$MS" 1000
equal "alone: PUT meanwhile" "$(put body-b meanwhile)" 201
way last --listen "$WAY"
wait_until 30 "alone: /readyz says no more" says_up
equal "alone: /readyz afterwards" "$(readyz)" 200
equal "alone: GET afterwards" "$(ask alone)" 200
wait_until 30 "alone: nothing waits any more" drained
equal "alone: GET of what waited" "$(ask meanwhile)" 200
stop_server "$PID"
say "alone: 503 from /readyz, misses after $MS ms, and back"
