#!/usr/bin/env bash
# sccache with the storage of GitHub Actions: protobuf (v2), and REST (v1).
. "$(dirname "$0")/gha.sh"
. "$LIB/compile.sh"
sccache_ready SCCACHE_GHA_ENABLED
gha_ready
serve_gha sccache

build() {
    actions "$2"
    # The version is a part of each entry's identity, so nothing of the other protocol can hit.
    export SCCACHE_GHA_ENABLED=true SCCACHE_GHA_VERSION=check-$PROTOCOL
    compile
}

more_hits() { [ "$(hits)" -ge "$1" ]; }

for PROTOCOL in gha_v2 gha_v1; do
    V2=
    [ "$PROTOCOL" = gha_v1 ] || V2=on
    say "$PROTOCOL"
    before=$(count "$PROTOCOL" '.*' '.*')
    read -r hit miss < <(report acme "$ACME") || fail "first build: sccache has failed"
    equal "first build: hits" "$hit" 0
    least "first build: misses" "$miss" 6
    entries=$miss
    found=$(hits)
    read -r hit miss < <(report acme "$ACME") || fail "clean second build: sccache has failed"
    equal "clean second build: hits" "$hit" "$entries"
    equal "clean second build: misses" "$miss" 0
    wait_until 10 "clean second build: hits by the server's count" more_hits "$((found + entries))"
    read -r hit miss < <(report globex "$GLOBEX") || fail "another tenant: sccache has failed"
    equal "another tenant: hits" "$hit" 0
    equal "another tenant: misses" "$miss" "$entries"
    # A job that may only read is served, and its build does not fail for what it cannot store.
    read -r hit miss < <(report reader "$(runtime 4242 refs/heads/main=1)") || fail "a token that may only read: sccache has failed"
    equal "a token that may only read: hits" "$hit" "$entries"
    say "    $entries entries: none hit, then all, none for another tenant, all for a token that may only read"
    say "    $(($(count "$PROTOCOL" '.*' '.*') - before)) requests by the server's count, without those for the bodies"
done
