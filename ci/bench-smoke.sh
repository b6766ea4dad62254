#!/usr/bin/env bash
# Every bench once, as a test: each asserts order and payload before it would time anything. Then a few paired rounds,
# which report and do not judge: neither a missed target (1) nor a host too busy to measure (3) fails a build.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench -p ring-bench -- --test
status=0
cargo run --release --quiet -p ring-bench --bin ratios -- --rounds 3 --minutes 1 || status=$?
case $status in 0 | 1 | 3) ;; *) exit "$status" ;; esac
