#!/usr/bin/env bash
# The flipper (ring-check): a process writes random words over whole rings while others work with them. Only Corrupt, or
# any other documented answer, may come of it: no crash, no panic, no hang. First it has to notice each of these.
#
#   ci/flipper.sh [--operations N] [--seed S] [--backing posix|file|memfd]
#
# From 10^7 operations on the result goes to docs/results/flipper.md, ten million at a time, so that an interrupted
# campaign is written down as far as it went. Without options a share goes over files and over memfds.
set -euo pipefail
cd "$(dirname "$0")/.."
short=$# backing=posix operations=500000 seed=$(date +%s%N) command="ci/flipper.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --operations) operations=${2:?} ;;
        --seed) seed=${2:?} ;;
        --backing) backing=${2:?} ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
cargo build --quiet --release -p ring-check
flipper="${CARGO_TARGET_DIR:-target}/release/flipper"

plant() { # bug, what must be said
    if out=$("$flipper" --operations 400000 --backing "$backing" --plant "$1" 2>&1) || ! grep -q "$2" <<<"$out"; then
        echo "flipper: the planted bug '$1' was not noticed" >&2
        exit 1
    fi
}
plant panic 'failed with Some(101)'
plant hang 'its alarm went off'
plant crash 'crashed: signal 11'

if [ "$short" = 0 ]; then
    for other in file memfd; do
        said=$("$flipper" --operations 60000 --seed "$seed" --backing "$other") || { echo "$said" && exit 1; }
        echo "over $other: $(tail -n 1 <<<"$said")"
    done
fi
if [ "$operations" -lt 10000000 ]; then
    exec "$flipper" --operations "$operations" --seed "$seed" --backing "$backing"
fi
results=docs/results/flipper.md
[ -e "$results" ] || cat >"$results" <<'HEAD'
# The flipper

Each line is a part of a campaign of `ci/flipper.sh`: operations of processes that worked with rings, words that another
process wrote over these, handles that were found corrupt and opened anew. None crashed, panicked or hung, or the campaign
would have ended there. The seed repeats the choices, not the scheduler's.

| date | machine | kernel | rustc | command | seed | operations | words written | handles found corrupt |
|---|---|---|---|---|---|---|---|---|
HEAD
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
total=0
while [ "$total" -lt "$operations" ]; do
    out=$("$flipper" --operations $((operations - total < 10000000 ? operations - total : 10000000)) --seed "$seed" \
        --backing "$backing")
    read -ra numbers < <(tail -n 1 <<<"$out" | tr -cd '0-9 \n')
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) | \`$command\` | $seed |" \
        "${numbers[0]} | ${numbers[1]} | ${numbers[2]} |" >>"$results"
    total=$((total + numbers[0])) seed=$((seed + 1))
done
echo "flipper: $total operations, 0 crashes, 0 panics, 0 hangs;" \
    "$(awk -F'|' '/^\| 20/ { n += $8 } END { print n }' "$results") operations in $results"
