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
. ci/parts.sh

# Each part has a `/dev/shm` to itself; cycles, which take longest, come last and are begun first. Races want all CPUs.
limit=1800 shards=12 parts=()
[ "${#long[@]}" -eq 0 ] || limit=43200
for plant in refusals kills races cycles; do parts+=("$plant --plants"); done
for what in kills refusals; do
    for ((i = 1; i <= shards; i++)); do parts+=("$what ${long[*]} --shard $i/$shards"); done
done
parts+=("cycles ${long[*]}")
failed=0
run_parts "$limit" "$faults" "${parts[@]}" || failed=1
alone=${#parts[@]}
parts+=("races ${long[*]}")
run_part "$limit" "$faults" "$alone" "${parts[alone]}"
ended_well "$alone" "${parts[alone]}" || failed=1

said() { # the words of the parts that begin so
    for i in "${!parts[@]}"; do
        if [[ "${parts[i]}" = "$1"* && "${parts[i]}" = *"${2:-}" ]]; then cat "$work/$i/out"; fi
    done
}
if [ "$failed" = 1 ]; then
    # What plants say on the way is noise.
    for i in "${!parts[@]}"; do
        [ -e "$work/$i/ended" ] || [[ "${parts[i]}" = *--plants ]] || cat "$work/$i/out"
    done
    exit 1
fi
for plant in refusals kills races cycles; do said "$plant" --plants; done
out=$(
    said "refusals ${long[*]} --shard" | awk '/: skipped: / { if (!told++) print; next }
        !/^refusals:/ && !seen[$0]++
        /^refusals:/ { o += $2; c += $4; r += $6; f += $8 }
        END { printf "refusals: %d operations, %d calls, %d refusals, %d failed\n", o, c, r, f }'
    said "kills ${long[*]} --shard" | awk '/: skipped: / { if (!told++) print; next }
        !/^kills:/
        /^kills:/ { n += $2; if ($12 > most) most = $12 }
        END { printf "kills: %d creators, the longest time until the next one worked %.1f ms\n", n, most }'
    said "races ${long[*]}" | grep -v '^planted'
    said cycles | grep -v '^planted'
)
echo "$out"
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
