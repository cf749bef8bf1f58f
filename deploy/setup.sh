#!/bin/sh
# What a build needs beside Rust: a C and C++ compiler, libclang with its headers,
# and the certificates to download crates with. As root on Debian or Ubuntu it
# installs what is missing; otherwise it prints the one line to run.
set -eu

RUST_NEEDED=1.88
fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

if ! command -v cargo >/dev/null 2>&1 || ! command -v rustc >/dev/null 2>&1; then
    fail "Rust is missing. Install it (https://rustup.rs), at least $RUST_NEEDED, and try again:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
fi
version=$(rustc --version | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
major=${version%%.*}
minor=${version#*.}
if [ "$major" -lt "${RUST_NEEDED%%.*}" ] ||
    { [ "$major" -eq "${RUST_NEEDED%%.*}" ] && [ "$minor" -lt "${RUST_NEEDED#*.}" ]; }; then
    fail "this is Rust $version, and $RUST_NEEDED is needed. Bring it up to date and try again:
  rustup update stable"
fi

# The compiler that is there may be too old: RocksDB is C++20.
compiles_cxx20() {
    command -v cc >/dev/null 2>&1 && command -v c++ >/dev/null 2>&1 &&
        printf '#include <string>\n#include <bit>\nint main() { return 0; }\n' |
        c++ -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1
}

# bindgen loads libclang at run time and reads the C headers that come with it.
has_libclang() {
    for folder in ${LIBCLANG_PATH:-} /usr/lib/llvm-*/lib /usr/lib64 /usr/lib/*-linux-gnu \
        /usr/lib /usr/local/lib; do
        for library in "$folder"/libclang.so* "$folder"/libclang-*.so*; do
            [ -e "$library" ] && return 0
        done
    done
    return 1
}
has_clang_headers() {
    for header in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h \
        /usr/lib64/clang/*/include/stddef.h /usr/local/lib/clang/*/include/stddef.h; do
        [ -e "$header" ] && return 0
    done
    return 1
}

has_certificates() {
    [ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}${CARGO_HTTP_CAINFO:-}" ] && return 0
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
        /etc/ssl/cert.pem; do
        [ -s "$bundle" ] && return 0
    done
    return 1
}

missing=
compiles_cxx20 || missing="$missing g++"
{ has_libclang && has_clang_headers; } || missing="$missing libclang-dev"
has_certificates || missing="$missing ca-certificates"
[ -n "$missing" ] || exit 0
missing=${missing# }

if ! command -v apt-get >/dev/null 2>&1; then
    fail "missing: $missing (by their Debian names). Install them and try again."
fi
if [ "$(id -u)" -ne 0 ]; then
    fail "missing: $missing. Run this, and try again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
fi
printf 'setup: installing %s\n' "$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Word by word: these are package names.
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing
compiles_cxx20 || fail "the C++ compiler of this system cannot compile C++20: install a newer one."
