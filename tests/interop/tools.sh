#!/bin/sh
# Clients that share no code with Chancery, for `tests/unrelated_clients.rs`: grpcurl
# (Go) and grpcio (Python), pinned, in the directory given. As root on Debian or
# Ubuntu it installs Go and Python when they are missing; otherwise it prints the one
# line to run.
set -eu

GRPCURL=v1.8.9
GRPCIO=1.80.0
into=$1
stamp="$into/grpcurl-$GRPCURL-grpcio-$GRPCIO"
[ -e "$stamp" ] && exit 0

missing=
command -v go >/dev/null 2>&1 || missing="$missing golang-go"
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing="$missing python3 python3-venv"
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        printf 'interop: Go (1.19 or newer) and Python (3.9 or newer, with venv) are needed. Run\n' >&2
        printf '  sudo apt-get install -y --no-install-recommends%s\nand try again.\n' "$missing" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

printf 'interop: installing grpcurl %s and grpcio %s into %s\n' "$GRPCURL" "$GRPCIO" "$into"
mkdir -p "$into"
GOBIN="$into" GOFLAGS=-mod=mod go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL"
python3 -m venv "$into/python"
"$into/python/bin/pip" install --quiet --disable-pip-version-check \
    "grpcio==$GRPCIO" "grpcio-tools==$GRPCIO"
: >"$stamp"
