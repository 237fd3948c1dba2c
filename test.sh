#!/usr/bin/env bash
# Passes every test of COS: installs what is missing where that is possible, says what to install where it is not.
#
#   ./test.sh            formatting, lints, documentation, all tests
#   ./test.sh --tests    the tests alone
set -euo pipefail
cd "$(dirname "$0")"

missing=()
need() { # program, Debian package
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || missing+=("$2")
}
need cc gcc
need ssh openssh-client
need sshd openssh-server
for shell in bash zsh fish tcsh; do need "$shell" "$shell"; done
need ksh ksh93u+m
need setpriv util-linux
ls /usr/lib/*/libc.a /usr/lib64/libc.a /usr/lib/libc.a >/dev/null 2>&1 || missing+=(libc6-dev)

# Installing openssh-server would start a public sshd; the tests only want the program.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=
    if ! $as_root test -e "$policy"; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        made=yes
    fi
    local status=0
    "$@" || status=$?
    [ -z "$made" ] || $as_root rm -f "$policy"
    return "$status"
}

if [ "${#missing[@]}" -gt 0 ]; then
    echo "missing: ${missing[*]}"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=sudo
    else
        echo "install them first, as root:  apt-get install ${missing[*]}" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "this system has no apt-get; install the packages that hold these programs" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq
    without_services $as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ "${1:-}" != --tests ]; then
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
fi
cargo test --workspace --locked
