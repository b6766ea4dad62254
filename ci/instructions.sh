#!/usr/bin/env bash
# How many instructions one message takes, send and receive together, counted by callgrind: a figure that neither the
# host nor the neighbours can shift. Fails when one is more than 3 % above the one recorded for it, or a typed one in
# place more than 1 % above its twin over bytes. What the least of our wire format takes, and rtrb, is counted beside
# them by the same loop, and held to nothing.
#
#   ci/instructions.sh [--record]      --record writes docs/results/instructions.md anew
#
# Last line: `instructions: N kinds, M above the record`.
set -euo pipefail
cd "$(dirname "$0")/.."
record=docs/results/instructions.md
case "${1:-}" in "" | --record) ;; *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
command -v valgrind >/dev/null || { apt-get update -q && apt-get install -qy valgrind; } >&2
cargo build --quiet --release -p ring-bench --bin operations
program="${CARGO_TARGET_DIR:-target}/release/operations"
count() { # kind, messages
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
kinds=(spsc-8 spsc-64 spsc-empty spsc-8-batch spsc-8-slices spsc-64-batch spsc-mixed-batch mpmc-8
    spsc-64-typed spsc-64-place spsc-64-place-typed mpmc-64-place mpmc-64-place-typed)
beside=(format-8 rtrb-8 format-8-batch rtrb-8-batch)
declare -A target=([spsc-8]="≤ 45" [mpmc-8]="≤ 90")
if [ "${1:-}" = --record ]; then
    cat > "$record" <<HEAD
# Instructions per message

Send and receive together, the harness's loop, its making and its comparing of the message included; the copying API,
and where it says \`place\` the one that lends slices. A typed kind in place is held to 1.01 times its twin over bytes.
Recorded $(date -u +%F) by \`ci/instructions.sh --record\` with $(rustc --version), $(valgrind --version),
$(uname -m). \`ci/instructions.sh\` fails above 1.03 times these; \`format\`, the least that our wire format takes
(\`ring-bench/src/format.rs\`), and \`rtrb\` stand beside them, counted by the same loop.

| kind | instructions | target |
|---|---|---|
HEAD
fi
above=0
declare -A counted
for kind in "${kinds[@]}" "${beside[@]}"; do
    few=$(count "$kind" 32000) many=$(count "$kind" 64000)
    now=$(awk -v a="$few" -v b="$many" 'BEGIN { printf "%.1f", (b - a) / 32000 }')
    counted[$kind]=$now
    if [ "${1:-}" = --record ]; then
        echo "| $kind | $now | ${target[$kind]:-–} |" >> "$record"
        echo "$kind: $now"
        continue
    fi
    if [[ " ${beside[*]} " = *" $kind "* ]]; then
        echo "$kind: $now, beside"
        continue
    fi
    was=$(sed -n "s/^| $kind | \([0-9.]*\) |.*/\1/p" "$record")
    verdict=$(awk -v now="$now" -v was="${was:-0}" 'BEGIN { print now <= was * 1.03 ? "good" : "ABOVE" }')
    [ "$verdict" = good ] || above=$((above + 1))
    echo "$kind: $now, recorded ${was:-nothing}: $verdict"
done
for kind in spsc-64-place mpmc-64-place; do
    awk -v bytes="${counted[$kind]}" -v typed="${counted[$kind-typed]}" 'BEGIN { exit !(typed <= bytes * 1.01) }' && continue
    echo "$kind-typed: ${counted[$kind-typed]}, and over bytes ${counted[$kind]}: ABOVE"
    above=$((above + 1))
done
echo "instructions: ${#kinds[@]} kinds, $above above the record"
[ "$above" = 0 ]
