#!/usr/bin/env bash
# sccache through WebDAV: C, and Rust where rustc is there.
. "$(dirname "$0")/lib.sh"
. "$LIB/compile.sh"
# Debian's package has no WebDAV backend and would never send anything.
sccache_ready SCCACHE_WEBDAV_ENDPOINT
serve_dev

build() {
    export SCCACHE_WEBDAV_ENDPOINT=$URL SCCACHE_WEBDAV_KEY_PREFIX=/sccache
    if [ "$FORM" = token ]; then
        export SCCACHE_WEBDAV_TOKEN=$2
    else
        unset SCCACHE_WEBDAV_TOKEN
        export SCCACHE_WEBDAV_USERNAME=jwt SCCACHE_WEBDAV_PASSWORD=$2 SCCACHE_WEBDAV_KEY_PREFIX=/sccache-basic
    fi
    compile
}

for FORM in token password; do
    say "with a $FORM"
    # The probe of a new cache, `.sccache_check`, is there from the second start on.
    three_builds http
done
