#!/usr/bin/env bash
# The rivals that need packages or many dependencies: they still build, every one carries messages, and one wrong payload
# in any of them ends the run. Then a few slices of each row, which report and do not judge.
#
# What it needs and this machine has not is left out with the reason: without a registry nothing is built; without Boost,
# oneTBB or ZeroMQ those rivals are skipped. With PEERS_INSTALL=1, or as root in CI, Debian's packages are installed first.
#
# Last line: `peers: …`.
set -euo pipefail
cd "$(dirname "$0")/../ring-bench/peers"
if [ "${PEERS_INSTALL:-}" = 1 ] || { [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ]; }; then
    missing=()
    for package in g++ libboost-dev libtbb-dev libzmq3-dev; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    if [ "${#missing[@]}" -gt 0 ] && command -v apt-get >/dev/null; then
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } \
            >/dev/null 2>&1 || echo "peers: ${missing[*]} cannot be installed here"
    fi
fi
if ! why=$(cargo fetch --locked --quiet 2>&1); then
    echo "$why" >&2
    if [[ $why == *--locked* ]]; then
        echo "peers: Cargo.lock is not what the manifests ask for: run cargo fetch in ring-bench/peers" >&2
        exit 1
    fi
    echo "peers: skipped: the crates of ring-bench/peers/Cargo.lock cannot be had here"
    exit 0
fi
cargo fmt --check
cargo test --locked --quiet --profile smoke --no-run
timeout 600 cargo test --locked --quiet --profile smoke
status=0
timeout 600 cargo run --locked --quiet --profile smoke --bin peers -- --rounds 2 --minutes 0.3 || status=$?
case $status in 0 | 1 | 3) ;; *) exit "$status" ;; esac
echo "peers: every rival that is built carries messages, and a wrong payload in any of them is noticed"
