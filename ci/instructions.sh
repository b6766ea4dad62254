#!/usr/bin/env bash
# How many instructions one message takes, send and receive together, counted by callgrind: a figure that neither the
# host nor the neighbours can shift. Fails when one is more than 3 % above the one recorded for it.
#
#   ci/instructions.sh [--record]      --record writes docs/results/instructions.md anew
#
# Last line: `instructions: N kinds, M above the record`.
set -euo pipefail
cd "$(dirname "$0")/.."
record=docs/results/instructions.md
case "${1:-}" in "" | --record) ;; *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
command -v valgrind >/dev/null || { apt-get update -q && apt-get install -qy valgrind; } >&2
cargo build --quiet --release -p ring-bench --bin operations
program="${CARGO_TARGET_DIR:-target}/release/operations"
count() { # kind, messages
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
kinds=(spsc-8 spsc-64 spsc-8-batch spsc-64-batch mpmc-8)
declare -A target=([spsc-8]="≤ 45" [mpmc-8]="≤ 90")
if [ "${1:-}" = --record ]; then
    cat > "$record" <<HEAD
# Instructions per message

Send and receive together, the harness's loop, its making and its comparing of the message included; the copying API.
Recorded $(date -u +%F) by \`ci/instructions.sh --record\` with $(rustc --version), $(valgrind --version),
$(uname -m). \`ci/instructions.sh\` fails above 1.03 times these.

| kind | instructions | target of the speed issue |
|---|---|---|
HEAD
fi
above=0
for kind in "${kinds[@]}"; do
    few=$(count "$kind" 32000) many=$(count "$kind" 64000)
    now=$(awk -v a="$few" -v b="$many" 'BEGIN { printf "%.1f", (b - a) / 32000 }')
    if [ "${1:-}" = --record ]; then
        echo "| $kind | $now | ${target[$kind]:-–} |" >> "$record"
        echo "$kind: $now"
        continue
    fi
    was=$(sed -n "s/^| $kind | \([0-9.]*\) |.*/\1/p" "$record")
    verdict=$(awk -v now="$now" -v was="${was:-0}" 'BEGIN { print now <= was * 1.03 ? "good" : "ABOVE" }')
    [ "$verdict" = good ] || above=$((above + 1))
    echo "$kind: $now, recorded ${was:-nothing}: $verdict"
done
echo "instructions: ${#kinds[@]} kinds, $above above the record"
[ "$above" = 0 ]
