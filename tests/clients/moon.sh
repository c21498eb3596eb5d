#!/usr/bin/env bash
# moon with its HTTP remote cache.
. "$(dirname "$0")/lib.sh"
PATH=$CLIENTS/node/node_modules/.bin:$PATH
need moon "npm: @moonrepo/cli"
need git
# On CI moon asks git what has changed; here everything is to run.
unset CI
export MOON_TELEMETRY=false
say "$(moon --version)"

serve_dev
mkdir -p "$WORK/repo/.moon"
cd "$WORK/repo"
printf '.moon/cache\nout.txt\n' >.gitignore
for name in a b c; do
    mkdir -p "packages/$name"
    printf 'tasks:\n  build:\n    command: "cp in.txt out.txt"\n    inputs: ["in.txt"]\n    outputs: ["out.txt"]\n    toolchains: ["system"]\n' >"packages/$name/moon.yml"
    printf '%s\n' "$name" >"packages/$name/in.txt"
done
printf 'telemetry: false\nprojects: ["packages/*"]\nremote:\n  api: http\n  host: "%s"\n  auth: { token: CHACHA_TOKEN }\n  cache: { instanceName: moon }\n' "$URL" >.moon/workspace.yml
git init -q -b master . && git add -A && git -c user.name=check -c user.email=check@localhost commit -qm start

build() {
    export CHACHA_TOKEN=$2
    rm -rf .moon/cache packages/*/out.txt
    moon run :build >"$WORK/last" 2>&1 || { cat "$WORK/last" >&2; return 1; }
    cat "$WORK/last" >>"$WORK/moon.log"
    for name in a b c; do [ "$(cat "packages/$name/out.txt")" = "$name" ] || { echo "wrong output of $name" >&2; return 1; }; done
    echo "$(grep -c 'cached from remote' "$WORK/last" || true) -"
}

# At its start moon asks for /status, a key that nobody has stored.
ALWAYS_MISSED=1
three_builds http
