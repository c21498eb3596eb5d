#!/usr/bin/env bash
# Turborepo, plain and with signed artifacts; another team of the same tenant misses, too.
. "$(dirname "$0")/lib.sh"
PATH=$CLIENTS/node/node_modules/.bin:$PATH
need turbo "npm: turbo"
need git
export TURBO_TELEMETRY_DISABLED=1 DO_NOT_TRACK=1 TURBO_NO_UPDATE_NOTIFIER=1
say "turbo $(turbo --version)"

serve_dev
mkdir -p "$WORK/repo"
cd "$WORK/repo"
printf '{"name": "root", "private": true, "packageManager": "npm@10.0.0", "workspaces": ["packages/*"]}\n' >package.json
printf '{"name": "root", "lockfileVersion": 3, "packages": {}}\n' >package-lock.json
printf 'node_modules\ndist\n.turbo\n' >.gitignore
for name in a b c; do
    mkdir -p "packages/$name"
    printf '{"name": "%s", "version": "1.0.0", "scripts": {"build": "mkdir -p dist && echo %s > dist/out.txt"}}\n' "$name" "$name" >"packages/$name/package.json"
done
git init -q . && git add -A && git -c user.name=check -c user.email=check@localhost commit -qm start

configure() {
    printf '{"tasks": {"build": {"outputs": ["dist/**"]}}, "remoteCache": {"enabled": true, "signature": %s}}\n' "$1" >turbo.json
}

build() {
    export TURBO_API=$URL TURBO_TOKEN=$2 TURBO_TEAM=$TEAM TURBO_REMOTE_CACHE_SIGNATURE_KEY=a-key-of-more-than-thirty-two-bytes
    rm -rf .turbo packages/*/dist packages/*/.turbo node_modules
    turbo run build --cache=remote:rw --output-logs=hash-only --no-color ${PREFLIGHT:+--preflight} >"$WORK/last" 2>&1 || { cat "$WORK/last" >&2; return 1; }
    cat "$WORK/last" >>"$WORK/turbo.log"
    ! grep -iE 'unavailable|remote caching disabled|warning.*(cache|artifact)' "$WORK/last" >&2 || return 1
    for name in a b c; do [ "$(cat "packages/$name/dist/out.txt")" = "$name" ] || { echo "wrong output of $name" >&2; return 1; }; done
    # " Cached:    3 cached, 3 total"
    sed -n 's/^ *Cached: *\([0-9]*\) cached, \([0-9]*\) total.*/\1 \2/p' "$WORK/last" | awk '{ print $1, $2 - $1 }'
}

for form in plain signed preflight; do
    say "$form"
    configure "$([ "$form" = signed ] && echo true || echo false)"
    PREFLIGHT=$([ "$form" = preflight ] && echo yes || true)
    TEAM=team-$form
    three_builds turbo
done

say "another team of the same tenant"
TEAM=team-other
PREFLIGHT=
read -r hits _ < <(report acme "$ACME")
equal "hits of another team" "$hits" 0
