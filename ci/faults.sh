#!/usr/bin/env bash
# Failing system calls (ring-check): every call of create, open, wait, close, remove, look and recover, for both kinds of
# ring, refused with what it may plausibly say; creators killed at each of their calls; eight processes that race to
# create; a survivor of peers that are killed. Planted bugs first, which must be found.
#
#   ci/faults.sh [--long]
#
# The short form takes two errnos of each call, by turns, and 500 races and deaths; the long one all of them, 10,000 and
# 10,000, and goes to docs/results/faults.md. Last line: `faults: N refusals, K kills, R races, C cycles, 0 failed`.
set -euo pipefail
cd "$(dirname "$0")/.."
long=()
case "${1:-}" in
    "") ;;
    --long) long=(--long) ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
cargo build --quiet --release -p ring-check --bin faults
faults="${CARGO_TARGET_DIR:-target}/release/faults"
parts=(refusals kills races cycles)
for part in "${parts[@]}"; do
    # What the victims of a plant say on the way is noise.
    "$faults" "$part" --plants 2>/dev/null || { echo "faults: a planted bug of $part was not found" >&2; exit 1; }
done
out=""
for part in "${parts[@]}"; do
    said=$("$faults" "$part" "${long[@]}") || { echo "$said"; exit 1; }
    echo "$said"
    out+="$said"$'\n'
done
number() { echo "$out" | sed -n "s/^$1.*$2.*/\1/p" | grep . || echo 0; }
refusals=$(number refusals: ' \([0-9]*\) refusals')
kills=$(number kills: ' \([0-9]*\) creators')
races=$(number races: ' \([0-9]*\) rounds')
cycles=$(number cycles: ' \([0-9]*\) deaths')
total="$refusals refusals, $kills kills, $races races, $cycles cycles, 0 failed"
if [ "${#long[@]}" -gt 0 ] && [ "$refusals" -gt 0 ]; then
    results=docs/results/faults.md
    [ -e "$results" ] || cat > "$results" <<'HEAD'
# Failing system calls

Each section is a campaign of `ci/faults.sh --long`. *Calls*: those that an operation makes, and the drop of what it
returns, in a release build. *Refusals*: each call with each errno that it may plausibly say, one at a time. *Ridden out*:
the operation did what it does undisturbed. *Errors*: it returned one, and left descriptors, mappings, names, leases, seats
and entries as they were before.
HEAD
    {
        echo
        echo "## $(date -u +%FT%TZ)"
        echo
        echo "\`ci/faults.sh --long\`. $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs," \
            "kernel $(uname -r), rustc $(rustc --version | cut -d' ' -f2)."
        echo
        echo "$total."
        echo
        echo "$out" | grep '^|'
        echo
        echo "$out" | grep -v '^|' | sed -n 's/^..*$/- &/p'
    } >> "$results"
fi
echo "faults: $total"
