# Shared by the checks of the Actions cache: a server that takes runtime tokens, and tokens with any scopes.
# shellcheck shell=bash
# A check with a bucket has it already.
declare -F say >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
GHA=$LIB/gha
NODE=$CLIENTS/node/node_modules

# The versions in target/clients; run installs them under these names.
# shellcheck disable=SC2034
TOOLKIT_OLD=$NODE/actions-cache-old TOOLKIT_NEW=$NODE/actions-cache-new

# gha_ready: a key of its own. Sets ACME and GLOBEX, jobs on the main branches of two repositories.
gha_ready() {
    need python3
    need curl
    unset "${!GITHUB_@}" "${!RUNNER_@}"
    "$GHA/tokens.py" keys "$WORK/keys"
    # shellcheck disable=SC2034
    ACME=$(runtime 4242 refs/heads/main=3) GLOBEX=$(runtime 7777 refs/heads/main=3)
}

# runtime REPOSITORY SCOPE=PERMISSION...: a token as in ACTIONS_RUNTIME_TOKEN. 1 reads, 2 writes, 3 both.
runtime() { "$GHA/tokens.py" runtime "$WORK/keys" "$@"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# The beginning of a configuration, in the place of the one of serve_dev. PORT stays the same over a restart, because links
# name it; ADVERTISE and LIFETIME are of the section `gha`.
configured() {
    printf "listen: '127.0.0.1:%s'\nops_listen: '127.0.0.1:0'\n" "$PORT"
    printf 'oidc_providers:\n  - url: https://token.actions.githubusercontent.com\n'
    printf '    audiences: [https://cache.example.com]\n    jwks_file: "%s"\n    scopes: ac\n' "$WORK/keys/jwks.json"
    printf "    cache_key_exprs: ['join(claims.repository_id, claims.ref)']\n"
    printf 'gha:\n  link_lifetime: %s\n' "${LIFETIME:-1h}"
    if [ -n "${ADVERTISE:-}" ]; then printf '  advertise_url: %s\n' "$ADVERTISE"; fi
}

# serve_gha NAME: a server with a disk below $WORK/disk. Sets PORT once, and what serve_run sets.
serve_gha() {
    PORT=${PORT:-$(free_port)}
    serve_run "$1" "$WORK/disk" 4GB 'max_entry_size: 1GB'
}

# actions TOKEN: the environment of a step. V2=on is the second generation; SERVER another one than GitHub's own.
actions() {
    export ACTIONS_CACHE_URL=$URL/ ACTIONS_RESULTS_URL=$URL/ ACTIONS_RUNTIME_TOKEN=$1
    export GITHUB_SERVER_URL=${SERVER:-https://github.com} GITHUB_WORKSPACE=$WORK/workspace RUNNER_TEMP=$WORK/temp
    if [ "${V2:-}" = on ]; then export ACTIONS_CACHE_SERVICE_V2=on; else unset ACTIONS_CACHE_SERVICE_V2; fi
    mkdir -p "$GITHUB_WORKSPACE" "$RUNNER_TEMP"
}

# toolkit_tokens REPOSITORY: what toolkit.mjs wants.
toolkit_tokens() {
    TOKEN_MAIN=$(runtime "$1" refs/heads/main=3) TOKEN_READ=$(runtime "$1" refs/heads/main=1)
    TOKEN_BRANCH=$(runtime "$1" refs/heads/feature=3 refs/heads/main=1)
    TOKEN_PULL=$(runtime "$1" refs/pull/7/merge=3 refs/heads/main=1)
    export TOKEN_OTHER=$GLOBEX TOKEN_MAIN TOKEN_READ TOKEN_BRANCH TOKEN_PULL
}

# hits: look-ups that found an entry, by the server's count.
hits() { count '(gha_v1|gha_v2)' '.*' hit; }
