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
# Peers and tools that some tests compare with; those tests say so where they are missing.
need parallel parallel
need busybox busybox
need shellcheck shellcheck
static_c_library() {
    local file
    for file in /usr/lib/*/libc.a /usr/lib64/libc.a /usr/lib/libc.a; do
        if [ -e "$file" ]; then return; fi
    done
    return 1
}
static_c_library || missing+=(libc6-dev)

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

# A component of the toolchain, added where rustup can; without it, only CI fails.
component() { # cargo's subcommand, rustup's component
    cargo "$1" --version >/dev/null 2>&1 && return
    rustup component add "$2" >/dev/null 2>&1 && return
    echo "not checked, since cargo $1 is not here: rustup component add $2" >&2
    [ "${CI:-}" != true ] || exit 1
    return 1
}

if [ "${1:-}" != --tests ]; then
    if component fmt rustfmt; then cargo fmt --all --check; fi
    if component clippy clippy; then
        cargo clippy --workspace --all-targets --locked -- -D warnings
    fi
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
fi
cargo test --workspace --locked
