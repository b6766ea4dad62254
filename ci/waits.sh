#!/usr/bin/env bash
# Sleeps with signals raining and senders and receivers dying (ring-check): none may outlive its deadline by more than a
# slice, and no wake-up may be lost but to a death. By threads that park, or by tasks that await and are dropped in between.
# Two planted bugs must be caught first, and one of them beside a busy loop on each CPU too: want of a CPU excuses what is
# late, but not those who are deaf. Without a backing a share of the short form goes over files and over memfds.
#
#   ci/waits.sh [--sleeps N] [--seed S] [--by threads|tasks] [--backing posix|file|memfd] [--pieces P]
#
# P campaigns of N sleeps, one after the other. From 1,000,000 sleeps on each is recorded in docs/results/waits.md as it
# ends, so that one that was broken off goes on with the pieces that are left.
# Last line: `waits: N sleeps, …`.
set -euo pipefail
cd "$(dirname "$0")/.."
sleeps=30000 by=threads backing="" seed=$(date +%s%N) pieces=1
while [ $# -gt 0 ]; do
    case "$1" in
        --sleeps) sleeps=${2:?} ;;
        --seed) seed=${2:?} ;;
        --by) by=${2:?} ;;
        --backing) backing=${2:?} ;;
        --pieces) pieces=${2:?} ;;
        *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
cargo build --quiet --release -p ring-check --bin waits
waits="${CARGO_TARGET_DIR:-target}/release/waits"
# Each must be found by what it breaks, and so often that chance has no say. Deaf threads miss nearly every message that they
# sleep for; of a deaf task's sleeps each 16th goes on until its timer comes.
[ "$by" = tasks ] && deaf=1290 || deaf=240
while read -r plant often what busy; do
    if said=$("$waits" --sleeps "$often" --by "$by" --seed "$seed" --backing "${backing:-posix}" --plant "$plant" \
        --busy "$busy" 2>&1) ||
        ! grep -q "^waits: $what: " <<<"$said"; then
        printf '%s\nwaits: the planted bug %s was not caught beside %s busy loops\n' "$said" "'$plant'" "$busy" >&2
        exit 1
    fi
done <<plants
deaf $deaf lost 0
deaf $deaf lost $(nproc)
late 90 overslept 0
plants
if [ -z "$backing" ] && [ "$sleeps" -lt 1000000 ]; then
    for other in file memfd; do
        said=$("$waits" --sleeps 3000 --by "$by" --seed "$seed" --backing "$other") || { echo "$said" && exit 1; }
        echo "over $other: $(tail -n 1 <<<"$said")"
    done
fi
results=docs/results/waits.md
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
for ((piece = 0; piece < pieces; piece++)); do
    failed=false
    out=$("$waits" --sleeps "$sleeps" --by "$by" --seed "$((seed + piece))" --backing "${backing:-posix}") || failed=true
    echo "$out"
    if [ "$sleeps" -lt 1000000 ]; then
        ! "$failed" || exit 1
        continue
    fi
    command="ci/waits.sh --sleeps $sleeps"
    [ "$by" = threads ] || command+=" --by $by"
    [ -z "$backing" ] || command+=" --backing $backing"
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) | \`$command\` |" \
        "$((seed + piece)) | $(echo "$out" | sed -n 's/^waits: //p') |" >> "$results"
    ! "$failed" || exit 1
done
