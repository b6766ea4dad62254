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
