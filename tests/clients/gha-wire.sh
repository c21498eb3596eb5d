#!/usr/bin/env bash
# What the toolkit, BuildKit and sccache send to the Actions cache, byte for byte, and faults that clients cannot be brought
# to make: see gha/wire.py. The whole takes more than a minute, because a link lives for one.
. "$(dirname "$0")/gha.sh"
gha_ready
LIFETIME=1m
serve_gha wire
"$GHA/wire.py" all --url "$URL" --keys "$WORK/keys" --largest 1000000000 >"$WORK/wire.txt" || {
    grep FAILED "$WORK/wire.txt" | head -n 40
    fail "$(tail -n 1 "$WORK/wire.txt")"
}
grep -E ': .*(/s|after .* s)$' "$WORK/wire.txt" || true
tail -n 1 "$WORK/wire.txt"
# Nothing of a tenant may stand in the log.
for secret in "$ACME" 'sig=' refs/heads/main buildkit-blob; do
    ! grep -qF -- "$secret" "$WORK/wire.log" || fail "the log holds a token, a link, a scope or a key"
done
stop_server "$PID"
