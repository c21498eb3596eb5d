#!/usr/bin/env bash
# Nx with a self-hosted remote cache.
. "$(dirname "$0")/lib.sh"
PATH=$CLIENTS/node/node_modules/.bin:$PATH
need nx "npm: nx"
need git
export NX_DAEMON=false NX_NO_CLOUD=true NX_TUI=false NX_ISOLATE_PLUGINS=false NX_ANALYTICS=false
say "nx $(node -p "require('$CLIENTS/node/node_modules/nx/package.json').version" 2>/dev/null)"

serve_dev
mkdir -p "$WORK/repo"
cd "$WORK/repo"
ln -s "$CLIENTS/node/node_modules" node_modules
printf '{"name": "root", "private": true}\n' >package.json
printf '{"targetDefaults": {"build": {"cache": true, "inputs": ["{projectRoot}/project.json"], "outputs": ["{workspaceRoot}/dist/{projectName}"]}}, "analytics": false}\n' >nx.json
printf 'node_modules\ndist\n.nx\n' >.gitignore
for name in a b c; do
    mkdir -p "packages/$name"
    printf '{"name": "%s", "targets": {"build": {"command": "mkdir -p dist/%s && echo %s > dist/%s/out.txt"}}}\n' "$name" "$name" "$name" "$name" >"packages/$name/project.json"
done
git init -q . && git add -A && git -c user.name=check -c user.email=check@localhost commit -qm start

build() {
    export NX_SELF_HOSTED_REMOTE_CACHE_SERVER=$URL NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN=$2
    export NX_CACHE_DIRECTORY=$WORK/nx-cache-$RANDOM NX_WORKSPACE_DATA_DIRECTORY=$WORK/nx-data-$RANDOM
    rm -rf dist .nx
    nx run-many -t build --outputStyle=static >"$WORK/last" 2>&1 || { cat "$WORK/last" >&2; return 1; }
    cat "$WORK/last" >>"$WORK/nx.log"
    for name in a b c; do [ "$(cat "dist/$name/out.txt")" = "$name" ] || { echo "wrong output of $name" >&2; return 1; }; done
    echo "$(grep -c '\[remote cache\]' "$WORK/last" || true) -"
}

three_builds nx
