#!/usr/bin/env bash
# The loom models over the code that ships. `--long` raises the bounds (a quarter of an hour and more).
# Last line: `loom: M models, N executions`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --long ] && export RING_LOOM_LONG=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test -p loom-tests --profile loom -- --nocapture 2>&1 | tee "$log" | grep -E '^(model|planted|test result|error|warning)|panicked|FAILED' || true
[ "${PIPESTATUS[0]}" -eq 0 ] || { tail -n 60 "$log"; exit 1; }
echo "loom: took $((SECONDS - start)) s"
awk '/^model / { models++; for (i = 1; i <= NF; i++) if ($i ~ /^executions/) n += $(i - 1) }
     END { if (!models) exit 1; printf "loom: %d models, %d executions\n", models, n }' "$log"
