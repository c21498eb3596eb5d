#!/usr/bin/env bash
# `@actions/cache`, which `actions/cache` and the setup actions are made of: the last version that knows v1 alone, and the latest
# with v2 and, as on GHES, Gitea and Forgejo, with v1.
. "$(dirname "$0")/gha.sh"
need node
need tar
[ -d "$TOOLKIT_OLD" ] && [ -d "$TOOLKIT_NEW" ] || skip "@actions/cache is not installed (npm: @actions/cache)"
say "node $(node --version), $(zstd --version 2>/dev/null | grep -oE 'v[0-9.]+' | head -n 1 | sed 's/^/zstd /' || true)"
BYTES=${CHACHA_GHA_BYTES:-300000000}

gha_ready
toolkit_tokens 4242

# drive WHAT PACKAGE PROTOCOL: each way has a server of its own, so that nothing is left from the one before.
drive() {
    local begin=$SECONDS
    rm -rf "$WORK/disk" "$WORK/workspace" "$WORK/temp"
    serve_gha "$3"
    actions "$ACME"
    say "$1"
    node "$GHA/toolkit.mjs" "$2" "$BYTES" >"$WORK/toolkit.txt" 2>"$WORK/toolkit.err" ||
        { cat "$WORK/toolkit.err" "$WORK/toolkit.txt"; fail "$1"; }
    sed 's/^/    /' "$WORK/toolkit.txt"
    least "$1: requests that the server counts for it" "$(count "gha_$3" '.*' '.*')" 20
    least "$1: hits by the server's count" "$(hits)" 8
    say "    $((SECONDS - begin)) s in all"
    stop_server "$PID"
}
V2='' drive "the last of v1" "$TOOLKIT_OLD" v1
V2=on SERVER=https://ghes.example.com drive "the latest on a server that is not github.com: v1" "$TOOLKIT_NEW" v1
V2=on drive "the latest on github.com: v2" "$TOOLKIT_NEW" v2
