#!/usr/bin/env bash
# ccache: every layout, with the token in the URL of the remote storage.
. "$(dirname "$0")/lib.sh"
. "$LIB/builds.sh"
need ccache "Debian: ccache"
need gcc
ccache_sources 6 || skip "ccache $CCACHE_VERSION has no bearer token (4.6 and later)"
say "ccache $CCACHE_VERSION"
serve_dev

for LAYOUT in subdirs flat bazel; do
    say "layout $LAYOUT"
    three_builds http
done
