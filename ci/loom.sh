#!/usr/bin/env bash
# The loom models over the code that ships.
#
#   ci/loom.sh            the SPSC models and the harness's own controls: the form of the gate, some minutes
#   ci/loom.sh --all      also the MPMC models, and each ordering weakened in turn (planted): more than a quarter of an hour
#   ci/loom.sh --long     --all with raised bounds
#
# Last line: `loom: M models, N executions`.
set -euo pipefail
cd "$(dirname "$0")/.."
which=(--test harness --test spsc --test sessions --test spsc_crash)
case "${1:-}" in
    "") ;;
    --all) which=() ;;
    --long) which=() && export RING_LOOM_LONG=1 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
if ! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test -p loom-tests --profile loom "${which[@]}" -- --nocapture >"$log" 2>&1; then
    tail -n 80 "$log"
    exit 1
fi
grep -E '^(model|planted|test result)' "$log"
echo "loom: took $((SECONDS - start)) s"
awk '/^model / { models++; for (i = 2; i <= NF; i++) if ($i ~ /^executions/) n += $(i - 1) }
     END { if (!models) exit 1; printf "loom: %d models, %d executions\n", models, n }' "$log"
