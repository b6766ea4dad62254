#!/usr/bin/env bash
# Every bench once, as a test: each asserts order and payload before it would time anything.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench -p ring-bench -- --test
cargo run --release --quiet -p ring-bench --bin ratios -- --rounds 3
