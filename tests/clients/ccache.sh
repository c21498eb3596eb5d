#!/usr/bin/env bash
# ccache: every layout, with the token in the URL of the remote storage.
. "$(dirname "$0")/lib.sh"
need ccache "Debian: ccache"
need gcc
version=$(ccache --version | sed -n '1s/.*version //p')
say "ccache $version"

# 4.7 calls it remote storage; 4.6 has bearer tokens under the older name.
case $version in
    4.[0-5] | 4.[0-5].* | [0-3].*) skip "ccache $version has no bearer token (4.6 and later)" ;;
    4.6 | 4.6.*) VARIABLE=CCACHE_SECONDARY_STORAGE ;;
    *) VARIABLE=CCACHE_REMOTE_STORAGE ;;
esac

serve_dev
SOURCES=6
mkdir "$WORK/src"
for nth in $(seq $SOURCES); do
    printf '#include <stdio.h>\nint f%s(void) { return printf("%%d", %s); }\n' "$nth" "$nth" >"$WORK/src/f$nth.c"
done

# Each build has a local cache of its own, so that only the remote one can help.
build() {
    local storage nth
    export CCACHE_DIR=$WORK/local-$LAYOUT-$1-$RANDOM
    storage="$URL/ccache/$LAYOUT|layout=$LAYOUT|bearer-token=$2"
    export "$VARIABLE=$storage"
    for nth in $(seq $SOURCES); do
        ccache gcc -c "$WORK/src/f$nth.c" -o "$WORK/src/f$nth.o"
    done
    ccache --print-stats | awk '
        $1 == "remote_storage_hit" { hit = $2 } $1 == "remote_storage_miss" { miss = $2 }
        $1 == "remote_storage_error" && $2 > 0 { bad = 1 } $1 == "remote_storage_timeout" && $2 > 0 { bad = 1 }
        END { if (bad) exit 1; print hit + 0, miss + 0 }'
}

for LAYOUT in subdirs flat bazel; do
    say "layout $LAYOUT"
    three_builds http
done
