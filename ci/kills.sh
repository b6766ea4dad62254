#!/usr/bin/env bash
# Kills of producers, then of consumers, of SPSC rings under load, with every record accounted for: the promise of
# 1,000 each, in one command. The tests are those of ring-shm/tests/spsc_kill_*.rs with more kills.
#
#   ci/kills.sh [--kills N] [--seed S] [--backing posix|file|memfd]
#
# From 1,000 kills on the result goes to docs/results/kills.md. The seed repeats the choices, not the scheduler's.
set -euo pipefail
cd "$(dirname "$0")/.."
kills=1000 backing=posix seed=$(date +%s%N) command="ci/kills.sh${*:+ $*}"
while [ $# -gt 0 ]; do
    case "$1" in
        --kills) kills=${2:?} ;;
        --seed) seed=${2:?} ;;
        --backing) backing=${2:?} ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
results=docs/results/kills.md
if [ "$kills" -ge 1000 ] && [ ! -e "$results" ]; then
    cat > "$results" <<'HEAD'
# Kills under load

Each line is one side of a run of `ci/kills.sh`: processes of that side are killed by SIGKILL at random moments while
both stream records of mixed lengths, and replaced; the other side checks every record. A record lost, damaged, out of
order or twice unflagged, or a wait of more than a minute, fails the run.

| date | machine | kernel | rustc | command | seed | killed | outcome |
|---|---|---|---|---|---|---|---|
HEAD
fi
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
rustc=$(rustc --version | cut -d' ' -f2)
case "$backing" in posix | file | memfd) ;; *) echo "no backing $backing" >&2; exit 2 ;; esac
for side in producer consumer; do
    status=passed
    # Over another backing the same tests are modules of a larger program.
    program="over_$backing" name="spsc_kill_$side::kill_$side"
    if [ "$backing" = posix ]; then program="spsc_kill_$side" name="kill_$side"; fi
    out=$(RING_KILLS=$kills RING_SEED=$seed cargo test --quiet --release -p ring-shm --test "$program" -- \
        --nocapture --exact "$name" 2>&1) || status=FAILED
    facts=$(echo "$out" | sed -n "s/^kill_$side: //p")
    if [ "$status" = FAILED ] || [ -z "$facts" ]; then
        echo "$out" >&2
        status=FAILED
    fi
    echo "$side: $status: $facts"
    if [ "$kills" -ge 1000 ]; then
        echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $rustc | \`$command\` | $seed | $side | $status: $facts |" >> "$results"
    fi
    [ "$status" = passed ]
done
