#!/usr/bin/env bash
# ThreadSanitizer and AddressSanitizer over the plain-main stream test. A planted race has to be reported first.
# Sanitizers need a nightly toolchain; only this script does.
set -euo pipefail
cd "$(dirname "$0")/.."
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
target=$(rustc -vV | sed -n 's/^host: //p')
run() { # sanitizer, then the arguments of the program
    local sanitizer=$1
    shift
    RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer --cfg ring_word_copy" \
        CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$sanitizer" \
        TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp" \
        cargo +nightly test --quiet -p ring-shm --test race --target "$target" -- "$@"
}
if run thread --plant >/dev/null 2>&1; then
    echo "san: the planted race was not reported" >&2
    exit 1
fi
run thread
run address
echo "san: thread and address clean, planted race caught"
