#!/usr/bin/env bash
# ThreadSanitizer and AddressSanitizer over the plain-main program of streams, sessions, deaths and repairs; then
# AddressSanitizer over ring-core's integration tests. Planted bugs have to be reported first: a race of the program's
# own, a record read after its release, a ring used after its memory has gone.
# Sanitizers need a nightly toolchain; only this script and ci/fuzz.sh do.
set -euo pipefail
cd "$(dirname "$0")/.."
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
target=$(rustc -vV | sed -n 's/^host: //p')
run() { # sanitizer, crate, then what to test and its arguments
    local sanitizer=$1 crate=$2
    shift 2
    RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer --cfg ring_sanitized -Copt-level=1" \
        CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$sanitizer" \
        TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp" \
        cargo +nightly test --quiet -p "$crate" --target "$target" "$@"
}
plant() { # sanitizer, bug, what must be said
    if out=$(run "$1" ring-shm --test race -- --plant "$2" 2>&1) || ! grep -q "$3" <<<"$out"; then
        echo "san: the planted bug '$2' was not reported by the $1 sanitizer" >&2
        exit 1
    fi
}
plant thread race 'ThreadSanitizer: data race'
plant thread late 'ThreadSanitizer: data race'
plant address freed 'AddressSanitizer: heap-use-after-free'
run thread ring-shm --test race
run address ring-shm --test race
# These tests leak the memory of their rings on purpose: a region is borrowed for as long as its handles live.
export ASAN_OPTIONS=detect_leaks=0
run address ring-core --test hostile --test mpmc --test mpmc_hostile --test mpmc_threads --test oracle --test spsc \
    --test spsc_batch --test spsc_runs --test spsc_seats
echo "san: thread and address clean, planted bugs reported"
