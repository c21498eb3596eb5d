#!/usr/bin/env bash
# Two servers with a disk each over one bucket, behind a balancer: what one stored the other serves; overwrites
# and deletes are seen after `disk.revalidate_after`; curl and ccache hit through the balancer.
. "$(dirname "$0")/s3.sh"
. "$LIB/builds.sh"
bucket_ready
serve_dev
LINES=('disk.revalidate_after: 1s')
# The second that is configured, and as much as a busy machine may add.
BOUND=2000
head -c 100000 /dev/urandom >"$WORK/old"
head -c 9000000 /dev/urandom >"$WORK/new"
shows() { [ "$(status_as "$ACME" "$1/$2")" = 200 ] && cmp -s "$WORK/$3" "$WORK/body"; }
# seen WHAT COMMAND...: how long until the command succeeds, which has to be soon.
seen() {
    local what=$1 begin
    shift
    begin=$(now_ms)
    wait_until 10 "$what" "$@"
    MS=$(($(now_ms) - begin))
    most "$what: ms" "$MS" "$BOUND"
    say "$what: after $MS ms"
}
requests() { OPS=$1; count http "$2" "$3"; }

serve_s3 left "$WORK/disk-left" "$S3" "${LINES[@]}"
LEFT=$URL LEFT_OPS=$OPS LEFT_HOST=$HOST
serve_s3 right "$WORK/disk-right" "$S3" "${LINES[@]}"
RIGHT=$URL RIGHT_OPS=$OPS RIGHT_HOST=$HOST

for size in old new; do
    equal "PUT on the left" "$(status_as "$ACME" -T "$WORK/$size" "$LEFT/$size")" 201
    shows "$RIGHT" $size $size || fail "what the left stored is not on the right"
    equal "GET of another tenant" "$(status_as "$GLOBEX" "$RIGHT/$size")" 404
done
equal "a miss on the left" "$(status_as "$ACME" "$LEFT/later")" 404
equal "PUT on the right" "$(status_as "$ACME" -T "$WORK/old" "$RIGHT/later")" 201
shows "$LEFT" later old || fail "a miss from before is remembered"

equal "overwrite on the right" "$(status_as "$ACME" -T "$WORK/new" "$RIGHT/old")" 201
shows "$RIGHT" old new || fail "who wrote it does not see it"
seen "an overwrite is seen on the other server" shows "$LEFT" old new
equal "overwrite on the left" "$(status_as "$ACME" -T "$WORK/old" "$LEFT/new")" 201
seen "an overwrite with a shorter one is seen" shows "$RIGHT" new old
equal "DELETE on the left" "$(status_as "$ACME" -X DELETE "$LEFT/old")" 204
equal "GET after it" "$(status_as "$ACME" "$LEFT/old")" 404
gone_right() { [ "$(status_as "$ACME" "$RIGHT/old")" = 404 ]; }
seen "a delete is seen on the other server" gone_right

# Each connection goes to the other server than the one before.
log=$WORK/balancer.log
: >"$log"
"$ROOT/bench/slowproxy" --target "$LEFT_HOST" --target "$RIGHT_HOST" >"$WORK/balancer.out" 2>"$log" &
balancer=$!
SERVERS+=("$balancer")
wait_until 10 "the balancer listens" printed "$balancer" "$log" '^listening on'
HOST=$(sed -n 's/^listening on //p' "$log")
URL=http://$HOST
stored_left=$(requests "$LEFT_OPS" PUT stored) stored_right=$(requests "$RIGHT_OPS" PUT stored)
for nth in $(seq 10); do
    head -c $((nth * 20000)) /dev/urandom >"$WORK/piece"
    equal "PUT through the balancer" "$(status_as "$ACME" -T "$WORK/piece" "$URL/piece/$nth")" 201
    for _ in 1 2; do shows "$URL" "piece/$nth" piece || fail "GET through the balancer: $nth"; done
done
stored_left=$(($(requests "$LEFT_OPS" PUT stored) - stored_left))
stored_right=$(($(requests "$RIGHT_OPS" PUT stored) - stored_right))
least "entries stored on the left" "$stored_left" 4
least "entries stored on the right" "$stored_right" 4
say "through the balancer: $stored_left entries stored on the left, $stored_right on the right, each read twice"

if ! command -v ccache >/dev/null || ! command -v gcc >/dev/null || ! ccache_sources 12; then
    say "without ccache: $(ccache --version 2>/dev/null | head -n 1)"
else
    LAYOUT=subdirs
    read -r hits misses < <(report acme "$ACME") || fail "first build: ccache has failed"
    equal "first build: hits by ccache's count" "$hits" 0
    least "first build: misses by ccache's count" "$misses" 12
    read -r hits misses < <(report acme "$ACME") || fail "second build: ccache has failed"
    equal "second build: misses by ccache's count" "$misses" 0
    least "second build: hits by ccache's count" "$hits" 12
    for ops in "$LEFT_OPS" "$RIGHT_OPS"; do least "hits on one of the servers" "$(requests "$ops" GET hit)" 3; done
    say "ccache through the balancer: $hits hits, no misses in the second build"
fi
