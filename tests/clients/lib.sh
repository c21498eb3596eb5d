# Shared by all checks: a server of their own, its metrics, and the words pass, skip and fail.
# shellcheck shell=bash
#
# A check sources this file and ends with 0 (passed), 77 (skipped) or anything else (failed). Nothing
# waits by sleeping: `wait_until` polls a condition and gives up after a bound.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034  # the checks use both
LIB=$ROOT/tests/clients
# shellcheck disable=SC2034
CLIENTS=${CHACHA_CLIENTS:-$ROOT/target/clients}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/chacha-check.XXXXXX")
SERVERS=()
MOUNTS=()

say() { printf '%s\n' "$*"; }
skip() { say "skip: $*"; exit 77; }
fail() { say "FAIL: $*"; exit 1; }

cleanup() {
    local code=$? item
    trap - EXIT INT TERM
    if declare -F teardown >/dev/null; then teardown || true; fi
    for item in "${SERVERS[@]}"; do kill -9 "$item" 2>/dev/null || true; done
    for item in "${SERVERS[@]}"; do wait "$item" 2>/dev/null || true; done
    for item in "${MOUNTS[@]}"; do umount "$item" 2>/dev/null || umount -l "$item" 2>/dev/null || true; done
    if [ "$code" -ne 0 ] && [ "$code" -ne 77 ]; then
        for item in "$WORK"/*.log; do
            [ -f "$item" ] && { say "--- the end of ${item##*/}"; tail -n 20 "$item" | cut -c1-400; }
        done
    fi
    if [ -n "${CHACHA_KEEP:-}" ]; then say "kept: $WORK"; else chmod -R u+w "$WORK" 2>/dev/null; rm -rf "$WORK"; fi
    exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

find_binary() {
    local candidate
    for candidate in "${CHACHA_BIN:-}" "$ROOT/target/release/chacha" "$ROOT/target/debug/chacha"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then realpath "$candidate"; return; fi
    done
    fail "no chacha binary: set CHACHA_BIN, or run cargo build --release"
}
BIN=$(find_binary)

# What the caller has set must not reach a client; what a client writes must not reach the caller.
isolate() {
    local name
    export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
    for name in $(compgen -e | grep -E '^(CCACHE|SCCACHE|TURBO|NX|MOON|BAZEL|GRADLE|AWS|RUSTC_WRAPPER|ACTIONS)' || true); do
        unset "$name"
    done
    unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY GITHUB_ACTIONS
    export HOME=$WORK/home NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 CI=true
    mkdir -p "$HOME"
}
isolate

# wait_until SECONDS WHAT COMMAND...: until the command succeeds.
wait_until() {
    local bound=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "$what: not within $bound s"
        sleep 0.05
    done
}

# equal WHAT FOUND EXPECTED
equal() { [ "$2" = "$3" ] || fail "$1: found '$2', expected '$3'"; }
# least WHAT FOUND BOUND
least() { [ "$2" -ge "$3" ] 2>/dev/null || fail "$1: found $2, expected at least $3"; }
# most WHAT FOUND BOUND
most() { [ "$2" -le "$3" ] 2>/dev/null || fail "$1: found $2, expected at most $3"; }

# need COMMAND [HINT]
need() { command -v "$1" >/dev/null || skip "$1 is not installed${2:+ ($2)}"; }

alive() { kill -0 "$1" 2>/dev/null; }

# A server for trying things. Sets URL, HOST, OPS, ISSUER, ACME, GLOBEX and PID.
serve_dev() {
    local dir=$WORK/dev
    : >"$WORK/dev.out"
    "$BIN" dev --dir "$dir" --listen 127.0.0.1:0 >"$WORK/dev.out" 2>"$WORK/dev.log" &
    PID=$!
    SERVERS+=("$PID")
    wait_until 20 "chacha dev has said where it listens" printed "$PID" "$WORK/dev.out" 'metrics  http://'
    URL=$(sed -n 's/^chacha dev serves \(http:[^ ]*\).*/\1/p' "$WORK/dev.out")
    OPS=$(sed -n 's/.*metrics  http:\/\/\([^/]*\)\/metrics.*/\1/p' "$WORK/dev.out")
    ISSUER=$(sed -n 's/^ *issuer  *\(http[^ ]*\).*/\1/p' "$WORK/dev.out")
    ACME=$(cat "$dir/acme.jwt")
    GLOBEX=$(cat "$dir/globex.jwt")
    HOST=${URL#http://}
    [ -n "$URL" ] && [ -n "$OPS" ] && [ -n "$ISSUER" ] || fail "the output of chacha dev cannot be read"
}

# printed PID FILE TEXT
printed() { alive "$1" || fail "the server has ended at its start"; grep -q -- "$3" "$2"; }

# serve_run NAME DIR LIMIT [LINE_OF_LIMITS]: a server that trusts the issuer of serve_dev, so that the
# tokens outlive it. Sets URL, HOST, OPS and PID.
serve_run() {
    local name=$1 dir=$2 limit=$3 limits=${4:-}
    {
        configured
        printf 'disk:\n  dir: "%s"\n  limit: %s\n' "$dir" "$limit"
        if [ -n "$limits" ]; then printf 'limits:\n  %s\n' "$limits"; fi
    } >"$WORK/$name.yaml"
    start_run "$name"
}

# The beginning of a configuration: where to listen, and the issuer of serve_dev.
configured() {
    printf "listen: '127.0.0.1:0'\nops_listen: '127.0.0.1:0'\n"
    sed -n '/^oidc_providers:/,/^disk:/p' "$WORK/dev/config.yaml" | sed '$d'
}

# start_run NAME: the server of $WORK/NAME.yaml; as serve_run.
start_run() {
    local name=$1 config=$WORK/$1.yaml log=$WORK/$1.log
    : >"$log"
    "$BIN" run -f "$config" --log-format json >"$WORK/$name.out" 2>"$log" &
    PID=$!
    SERVERS+=("$PID")
    wait_until 30 "chacha run has said where it listens" printed "$PID" "$log" 'readiness and metrics'
    HOST=$(listens "$log" '"listening"')
    OPS=$(listens "$log" 'readiness and metrics')
    URL=http://$HOST
    wait_until 10 "the server is ready" ready
    # The issuer's keys come in the background; until then tokens get 503.
    wait_until 20 "tokens are accepted" answers 404 GET "$URL/_is_there"
}

listens() { grep -m1 -- "$2" "$1" | grep -oE '[0-9.]+:[0-9]+"' | tail -n 1 | tr -d '"'; }
ready() { curl -fsS --max-time 2 -o "$WORK/ready" "http://$OPS/readyz" 2>/dev/null; }

# stop_server PID: SIGTERM and wait; a server that has to be killed is a failure.
stop_server() {
    kill "$1" 2>/dev/null || true
    wait_until 40 "the server stops after SIGTERM" gone "$1"
}
gone() { ! alive "$1" || { [ "$(ps -o stat= -p "$1" | cut -c1)" = Z ] && wait "$1" 2>/dev/null; }; }

# as TOKEN CURL_ARGUMENT...
as() { local token=$1; shift; curl -sS --max-time 120 -H "Authorization: Bearer $token" "$@"; }
# status CURL_ARGUMENT...: the status; head and body stay in $WORK/head and $WORK/body.
status() {
    : >"$WORK/body"
    curl -sS --max-time 120 -D "$WORK/head" -o "$WORK/body" -w '%{http_code}' "$@" 2>"$WORK/curl.err"
}
status_as() { local token=$1; shift; status -H "Authorization: Bearer $token" "$@"; }
# answers STATUS METHOD URL
answers() { [ "$(status_as "$ACME" -X "$2" "$3" || true)" = "$1" ]; }
# header NAME: of the last answer of `status`.
header() { tr -d '\r' <"$WORK/head" | sed -n "s/^$1: //Ip" | tail -n 1; }

# count PROTOCOL METHOD OUTCOME: requests so far; `.*` for any.
count() {
    curl -fsS --max-time 10 "http://$OPS/metrics" |
        awk -v want="^chacha_requests_total\\\\{protocol=\"$1\",method=\"$2\",outcome=\"$3\"\\\\} " \
            '$0 ~ want { sum += $NF } END { print sum + 0 }'
}
# gauge NAME
gauge() { curl -fsS --max-time 10 "http://$OPS/metrics" | awk -v name="$1" '$1 == name { value = $2 + 0; found = 1 } END { print found ? value : "absent" }'; }
# A request is counted when its answer has left, so shortly after the client has gone on.
settled() { [ "$(count '.*' '.*' '.*')" = "$(count '.*' '.*' '.*')" ]; }

# note: remembers the counters; since PROTOCOL METHOD OUTCOME: how many more there are now.
declare -A SEEN
note() {
    local method outcome
    wait_until 10 "the counters are readable" settled
    for method in GET HEAD PUT POST DELETE; do
        for outcome in hit miss stored; do
            SEEN[$method/$outcome]=$(count "$1" "$method" "$outcome")
        done
    done
}
since() { echo $(($(count "$1" "$2" "$3") - ${SEEN[$2/$3]:-0})); }
# since_is AT_LEAST PROTOCOL METHOD OUTCOME, for wait_until
since_is() { [ "$(since "$2" "$3" "$4")" -ge "$1" ]; }

# The three builds that every client makes: `build TENANT TOKEN` prints `HITS MISSES` as the client counts
# them. MISSES is `-` for a client that does not count them.
three_builds() {
    local protocol=$1 hits misses
    note "$protocol"
    read -r hits misses < <(report acme "$ACME") || fail "first build: the client has failed"
    equal "first build: hits by the client's count" "$hits" 0
    wait_until 10 "first build: stored by the server's count" since_is 1 "$protocol" PUT stored
    equal "first build: hits by the server's count" "$(since "$protocol" GET hit)" 0
    say "first build: nothing hit, $(since "$protocol" PUT stored) entries stored"

    note "$protocol"
    read -r hits misses < <(report acme "$ACME") || fail "clean second build: the client has failed"
    least "clean second build: hits by the client's count" "$hits" 1
    [ "$misses" = - ] || equal "clean second build: misses by the client's count" "$misses" 0
    wait_until 10 "clean second build: hits by the server's count" since_is 1 "$protocol" GET hit
    equal "clean second build: misses by the server's count" "$(since "$protocol" GET miss)" "${ALWAYS_MISSED:-0}"
    say "clean second build: $hits hits by the client's count, $(since "$protocol" GET hit) by the server's"

    note "$protocol"
    read -r hits misses < <(report globex "$GLOBEX") || fail "another tenant: the client has failed"
    equal "another tenant: hits by the client's count" "$hits" 0
    wait_until 10 "another tenant: misses by the server's count" since_is 1 "$protocol" GET miss
    equal "another tenant: hits by the server's count" "$(since "$protocol" GET hit)" 0
    say "another tenant: nothing hit, $(since "$protocol" GET miss) misses by the server's count"
}
# The numbers of one build, or the log of the build that failed.
report() { build "$@" >"$WORK/build.out" 2>"$WORK/build.log" || return 1; tail -n 1 "$WORK/build.out"; }
