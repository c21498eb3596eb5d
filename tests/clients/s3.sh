# Shared by the checks with a bucket: moto, ways to it that are slow and counted, servers on it.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$LIB/moto.sh"
BUCKET=bucket

# bucket_ready: a server of S3 with an empty bucket. Sets S3, its address.
bucket_ready() {
    need python3
    need curl
    python3 -c 'import asyncio; asyncio.TaskGroup' 2>/dev/null || skip "python3 is older than 3.11"
    [ -e "$MOTO/complete" ] || { moto_install >"$WORK/moto.out" 2>&1 || skip "$(tail -n 1 "$WORK/moto.out")"; }
    moto_start "$WORK/moto.log" || fail "moto cannot be started"
    SERVERS+=("$MOTO_PID")
    S3=127.0.0.1:$MOTO_PORT
    curl -fsS --max-time 20 -o /dev/null -X PUT "http://$S3/$BUCKET" || fail "no bucket can be made"
    printf test >"$WORK/s3-key"
}

# A list of the bucket, as XML.
listed() { curl -fsS --max-time 20 "http://$S3/$BUCKET?$1"; }
# How many multipart uploads were begun and not ended, and how many objects of entries there are (up to 1000).
uploads() { listed uploads | grep -o '<UploadId>' | wc -l; }
objects() { listed list-type=2 | grep -o '<Key>[^<]*' | grep -vc 'v1/probe' || true; }
uploads_are() { [ "$(uploads)" = "$1" ]; }
uploads_at_least() { [ "$(uploads)" -ge "$1" ]; }

# way NAME [ARGUMENT...]: a proxy to the bucket (bench/slowproxy). Sets WAY, its address, and WAY_PID.
way() {
    local name=$1 log=$WORK/way-$1.log
    shift
    : >"$log"
    "$ROOT/bench/slowproxy" --target "$S3" --control 0 "$@" >"$WORK/way-$name.out" 2>"$log" &
    WAY_PID=$!
    SERVERS+=("$WAY_PID")
    wait_until 10 "the proxy listens" printed "$WAY_PID" "$log" '^listening on'
    # shellcheck disable=SC2034
    WAY=$(sed -n 's/^listening on //p' "$log")
}
# passed NAME COUNTER: of a proxy.
passed() {
    curl -fsS --max-time 10 "http://$(sed -n 's/^counters on //p' "$WORK/way-$1.log")/" |
        python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"
}

# serve_s3 NAME DIR ADDRESS [LINE_OF_S3...]: a server on the bucket with a disk in front of it, as serve_run. A
# line that begins with `disk.` belongs to that section; an empty DIR is no disk.
serve_s3() {
    local name=$1 dir=$2 address=$3 line
    shift 3
    {
        configured
        if [ -n "$dir" ]; then
            printf 'disk:\n  dir: "%s"\n  limit: 4GB\n' "$dir"
            for line in "$@"; do [[ $line != disk.* ]] || printf '  %s\n' "${line#disk.}"; done
        fi
        printf 's3:\n  bucket: %s\n  endpoint_url: http://%s\n' "$BUCKET" "$address"
        printf '  region: us-east-1\n  access_key_id_file: "%s"\n' "$WORK/s3-key"
        printf '  secret_access_key_file: "%s"\n' "$WORK/s3-key"
        for line in "$@"; do [[ $line == disk.* ]] || printf '  %s\n' "$line"; done
    } >"$WORK/$name.yaml"
    start_run "$name"
}

now_ms() { date +%s%3N; }
# kill_server PID: as if the machine had lost power, but for the disk.
kill_server() { kill -9 "$1"; wait "$1" 2>/dev/null || true; }
