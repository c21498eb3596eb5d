#!/usr/bin/env bash
# go-actions-cache, with which BuildKit's `type=gha` does its requests: the module's own tests in both generations, and exports
# that run side by side with one token and common layers, as `docker buildx bake` makes them.
. "$(dirname "$0")/gha.sh"
need go
GO_CACHE=$CLIENTS/go-actions-cache
[ -x "$GO_CACHE/test" ] && [ -x "$GO_CACHE/export" ] || skip "go-actions-cache is not built (Go 1.25 or later and the module are needed)"
gha_ready
serve_gha go

# The others want GitHub itself, or no server at all.
tests() {
    ACTIONS_CACHE_API_FORCE_VERSION=$1 "$GO_CACHE/test" -test.run '^Test(SaveLoad|ExistingKey|ChunkedSave|PartialKeyOrder|Mutable)' \
        -test.v >"$WORK/$1-tests.txt" 2>&1 || { grep -vE '(save|load|upload|commit) ' "$WORK/$1-tests.txt" | tail -n 40; fail "its tests, $1"; }
    least "tests, $1" "$(grep -c '^--- PASS' "$WORK/$1-tests.txt")" 7
    equal "tests that were left out, $1" "$(grep -c '^--- SKIP' "$WORK/$1-tests.txt")" 0
}

exports() {
    local nth
    for nth in $(seq "${CHACHA_GO_EXPORTS:-2}"); do
        ACTIONS_CACHE_API_FORCE_VERSION=$1 "$GO_CACHE/export" >"$WORK/$1-export.txt" 2>"$WORK/$1-export.err" ||
            { cat "$WORK/$1-export.err"; fail "exports side by side, $1, round $nth"; }
    done
    say "$1: $nth x $(cat "$WORK/$1-export.txt")"
}

generation() { tests "$1"; exports "$1"; }

# Most of the time is pauses, so both generations run side by side, as jobs of two repositories.
(actions "$ACME"; generation v1) & ONE=$!
(actions "$(runtime 4343 refs/heads/main=3)"; generation v2) & TWO=$!
ENDED=0
wait "$ONE" || ENDED=1
wait "$TWO" || ENDED=1
equal "a generation that has failed" "$ENDED" 0
for version in v1 v2; do
    least "requests of $version" "$(count "gha_$version" '.*' '.*')" 50
done
stop_server "$PID"
