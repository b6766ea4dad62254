#!/usr/bin/env bash
# Every bench once, as a test: each asserts order and payload before it would time anything. Then a few paired rounds,
# which report and do not judge: neither a missed target (1) nor a host too busy to measure (3) fails a build. What gates
# is ci/instructions.sh. Half a minute of measuring at most; a bench that hangs fails after three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench -p ring-bench --no-run
timeout 180 cargo bench -p ring-bench -- --test
cargo build --release --quiet -p ring-bench --bin ratios
status=0
timeout 180 cargo run --release --quiet -p ring-bench --bin ratios -- --rounds 3 --minutes 0.5 || status=$?
case $status in 0 | 1 | 3) ;; *) exit "$status" ;; esac

# The reports: seconds of each, into a folder of their own. They must have made their files, unless the host was too busy
# to keep one slice, and a damaged message, or an operation that is none, must end the run with an error.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cargo build --release --quiet -p ring-bench --bin latency --bin curves --bin costs --bin stores
bin=${CARGO_TARGET_DIR:-target}/release
timeout 120 "$bin/latency" --rounds 3 --minutes 0.2 --record "$out"
timeout 120 "$bin/curves" --rounds 1 --minutes 0.2 --largest 4194304 --rings 100 --record "$out"
timeout 120 "$bin/stores" --rounds 3
timeout 120 "$bin/costs" --rounds 5 --minutes 0.2 --record "$out"
for file in latency.md latency.csv curves.md curves.csv curves-rings.svg curves-bytes.svg costs.md costs.csv; do
    [ -s "$out/$file" ] || { echo "bench-smoke: no $file" >&2; exit 1; }
done
for spoilt in "latency --only spoilt" "curves --only spoilt" "costs --only torn" "costs --only unfenced" stores; do
    status=0
    # shellcheck disable=SC2086
    timeout 120 "$bin"/$spoilt --rounds 3 --spoil 2>"$out/why" || status=$?
    if [ "$status" != 3 ] || ! grep -qE 'wrong content|out of order' "$out/why"; then
        echo "bench-smoke: what was damaged was not noticed ($spoilt: status $status)" >&2
        exit 1
    fi
done
