# An S3 server that others wrote: installed below target/, started on a free port. For the checks beside this
# file, and for `.ci/run s3`.
# shellcheck shell=bash

MOTO_VERSION=5.2.5
MOTO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/ci-tools/moto-$MOTO_VERSION

# Ends with 1, and says why, if it cannot be installed.
moto_install() {
    [ ! -e "$MOTO/complete" ] || return 0
    command -v python3 >/dev/null || { echo "python3 is missing"; return 1; }
    rm -rf "$MOTO"
    mkdir -p "${MOTO%/*}"
    python3 -m venv "$MOTO" >/dev/null || { echo "python3 has no venv"; return 1; }
    timeout 600 "$MOTO/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$MOTO_VERSION" ||
        { echo "moto cannot be installed"; return 1; }
    touch "$MOTO/complete"
}

# moto_start LOG: sets MOTO_PID and MOTO_PORT. Whoever calls it ends the process. The port is free again for a
# moment before moto has it; if somebody else takes it, moto ends, and so do we.
moto_start() {
    MOTO_PORT=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$MOTO/bin/moto_server" -H 127.0.0.1 -p "$MOTO_PORT" >"$1" 2>&1 &
    MOTO_PID=$!
    for _ in {1..300}; do
        ! (: <>"/dev/tcp/127.0.0.1/$MOTO_PORT") 2>/dev/null || break
        kill -0 "$MOTO_PID" 2>/dev/null || break
        sleep 0.2
    done
    kill -0 "$MOTO_PID" 2>/dev/null || { tail "$1"; echo "moto has ended"; return 1; }
}
