#!/usr/bin/env bash
# Sleeps with signals raining and senders dying (ring-check): none may outlive its deadline by more than a slice, and no
# wake-up may be lost but to the death of its sender. By threads that park, or by tasks that await and are dropped in
# between. Two planted bugs must be caught first. Without a backing a
# share of the short form goes over files and over memfds.
#
#   ci/waits.sh [--sleeps N] [--seed S] [--by threads|tasks] [--backing posix|file|memfd]
#
# From 1,000,000 sleeps on the result goes to docs/results/waits.md. Last line: `waits: N sleeps, …`.
set -euo pipefail
cd "$(dirname "$0")/.."
sleeps=30000 by=threads backing="" seed=$(date +%s%N) command="ci/waits.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --sleeps) sleeps=${2:?} ;;
        --seed) seed=${2:?} ;;
        --by) by=${2:?} ;;
        --backing) backing=${2:?} ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
cargo build --quiet --release -p ring-check --bin waits
waits="${CARGO_TARGET_DIR:-target}/release/waits"
for plant in deaf late; do
    if "$waits" --sleeps 300 --by "$by" --seed "$seed" --backing "${backing:-posix}" --plant "$plant" >/dev/null 2>&1; then
        echo "waits: the planted bug '$plant' was not caught" >&2
        exit 1
    fi
done
if [ -z "$backing" ] && [ "$sleeps" -lt 1000000 ]; then
    for other in file memfd; do
        said=$("$waits" --sleeps 3000 --by "$by" --seed "$seed" --backing "$other") || { echo "$said" && exit 1; }
        echo "over $other: $(tail -n 1 <<<"$said")"
    done
fi
out=$("$waits" --sleeps "$sleeps" --by "$by" --seed "$seed" --backing "${backing:-posix}")
echo "$out"
if [ "$sleeps" -ge 1000000 ]; then
    results=docs/results/waits.md
    [ "$by" = threads ] || results=docs/results/awaits.md
    [ -e "$results" ] || cat > "$results" <<HEAD
# Sleeps, by $by

Each line is a campaign of \`ci/waits.sh\`. *Overslept*: waits that ended more than a slice (50 ms) after their deadline.
*Seen late*: messages that lay there for more than half a slice while their receiver slept; the deaths of their senders
before they could wake anybody account for some.

| date | machine | kernel | rustc | command | seed | result |
|---|---|---|---|---|---|---|
HEAD
    machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) | \`$command\` | $seed |" \
        "$(echo "$out" | sed -n 's/^waits: //p') |" >> "$results"
fi
