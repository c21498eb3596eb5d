# A build with ccache, for the checks that want one. Uses URL and LAYOUT of the check.
# shellcheck shell=bash

# ccache_sources N: so many files to compile. Ends with 1 if ccache is too old for bearer tokens. 4.7 calls it
# remote storage; 4.6 has the tokens under the older name.
ccache_sources() {
    local nth
    CCACHE_VERSION=$(ccache --version | sed -n '1s/.*version //p')
    case $CCACHE_VERSION in
        4.[0-5] | 4.[0-5].* | [0-3].*) return 1 ;;
        4.6 | 4.6.*) CCACHE_VARIABLE=CCACHE_SECONDARY_STORAGE ;;
        *) CCACHE_VARIABLE=CCACHE_REMOTE_STORAGE ;;
    esac
    SOURCES=$1
    mkdir "$WORK/src"
    for nth in $(seq "$SOURCES"); do
        printf '#include <stdio.h>\nint f%s(void) { return printf("%%d", %s); }\n' "$nth" "$nth" >"$WORK/src/f$nth.c"
    done
}

# build TENANT TOKEN: prints `HITS MISSES`. Each has a local cache of its own, so that only the remote one can help.
build() {
    local storage nth
    export CCACHE_DIR=$WORK/local-$LAYOUT-$1-$RANDOM
    storage="$URL/ccache/$LAYOUT|layout=$LAYOUT|bearer-token=$2"
    export "$CCACHE_VARIABLE=$storage"
    for nth in $(seq "$SOURCES"); do
        ccache gcc -c "$WORK/src/f$nth.c" -o "$WORK/src/f$nth.o"
    done
    ccache --print-stats | awk '
        $1 == "remote_storage_hit" { hit = $2 } $1 == "remote_storage_miss" { miss = $2 }
        $1 == "remote_storage_error" && $2 > 0 { bad = 1 } $1 == "remote_storage_timeout" && $2 > 0 { bad = 1 }
        END { if (bad) exit 1; print hit + 0, miss + 0 }'
}
