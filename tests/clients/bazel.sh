#!/usr/bin/env bash
# Bazel over HTTP, with the token in a header and as a password in the URL.
. "$(dirname "$0")/lib.sh"
need bazel "Debian: bazel-bootstrap"

serve_dev
mkdir "$WORK/ws"
cd "$WORK/ws"
: >WORKSPACE # read before Bazel 8
: >MODULE.bazel
cat >BUILD <<'BUILD'
[genrule(
    name = "g%d" % nth,
    outs = ["g%d.txt" % nth],
    cmd = "echo result %d > $@" % nth,
) for nth in range(8)]

genrule(name = "empty", outs = ["empty.txt"], cmd = ": > $@")

genrule(
    name = "large",
    outs = ["large.bin"],
    cmd = "head -c 8000000 /dev/zero | tr '\\0' x > $@",
)
BUILD

run_bazel() { bazel --output_user_root="$WORK/root" --output_base="$WORK/base" --nohome_rc --noworkspace_rc "$@"; }
teardown() { cd "$WORK/ws" && run_bazel shutdown >/dev/null 2>&1; chmod -R u+w "$WORK" 2>/dev/null || true; }

say "bazel $(dpkg-query -W -f '${Version}' bazel-bootstrap 2>/dev/null || run_bazel version 2>/dev/null | sed -n 's/^Build label: //p')"

# Bazel's own summary: "INFO: 11 processes: 10 remote cache hit, 1 internal."
build() {
    local flags=(--spawn_strategy=local --noshow_progress --color=no)
    if [ "$FORM" = header ]; then
        flags+=("--remote_cache=$URL/bazel/$FORM" "--remote_header=Authorization=Bearer $2")
    else
        flags+=("--remote_cache=http://jwt:$2@$HOST/bazel/$FORM")
    fi
    run_bazel clean >&2
    run_bazel build "${flags[@]}" //... 2>&1 | tee -a "$WORK/bazel-$FORM.log" >"$WORK/last" || { cat "$WORK/last" >&2; return 1; }
    ! grep -E 'WARNING: (Reading from|Writing to|Remote Cache)' "$WORK/last" >&2 || return 1
    grep -E 'INFO: [0-9]+ process' "$WORK/last" | {
        read -r line
        hits=$(sed -n 's/.* \([0-9]*\) remote cache hit.*/\1/p' <<<"$line")
        local_runs=$(sed -n 's/.* \([0-9]*\) local.*/\1/p' <<<"$line")
        echo "${hits:-0} ${local_runs:-0}"
    }
}

for FORM in header password; do
    say "token in the $FORM"
    three_builds http
done
