#!/usr/bin/env bash
# The kill storm (ring-check): processes over SPSC and MPMC rings are killed and stopped at random; no message may be
# lost, none may come twice unflagged, nobody may be stuck. Without options the short form of CI: two planted bugs, which
# must be found, and a share of it over files and over memfds.
#
#   ci/storm.sh [--kills N | --minutes M] [--seed S] [--kind spsc|mpmc]
#               [--backing posix|file|memfd] [--plant NAME]
#
# From 1000 kills on, or with --minutes, the result goes to docs/results/storm.md; such a campaign can be interrupted:
# what it has done by then is written down, a thousand kills (or a minute) at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
short=$# kills=300 minutes="" seed="" rest=() command="ci/storm.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --kills) kills=${2:?} ;;
        --minutes) minutes=${2:?} ;;
        --seed) seed=${2:?} ;;
        --kind | --plant | --backing) rest+=("$1" "${2:?}") ;;
        *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
cargo build --quiet --release -p ring-check --bin storm
storm="${CARGO_TARGET_DIR:-target}/release/storm"
seed=${seed:-$(date +%s%N)}

if [ "$short" = 0 ]; then
    for plant in drop-every-1000 hide-flag; do
        # Whether somebody is killed with a message in hand is the scheduler's choice: three storms to find it.
        found=""
        for turn in 1 2 3; do
            said=$("$storm" --kills 100 --seed $((seed + turn)) --plant "$plant" 2>/dev/null || true)
            if tail -n 1 <<<"$said" | grep -qE ' [1-9][0-9]* (lost|unflagged)'; then found=1 && break; fi
        done
        [ -n "$found" ] || { echo "storm: the planted bug '$plant' was not found" >&2 && exit 1; }
        echo "planted $plant: found; $(tail -n 1 <<<"$said")"
    done
    for backing in file memfd; do
        said=$("$storm" --kills 40 --seed "$seed" --backing "$backing") || { echo "$said" && exit 1; }
        echo "over $backing: $(tail -n 1 <<<"$said")"
    done
fi
if [ -z "$minutes" ] && [ "$kills" -lt 1000 ]; then
    exec "$storm" --kills "$kills" --seed "$seed" "${rest[@]}"
fi

results=docs/results/storm.md
[ -e "$results" ] || cat > "$results" <<'HEAD'
# Kill storms

Each line is a campaign of `ci/storm.sh`, or a part of one. The seed repeats the choices, not the scheduler's.

| date | machine | kernel | rustc | command | seed | kills | messages | lost | unflagged duplicates | stuck | blocked by a dead claim |
|---|---|---|---|---|---|---|---|---|---|---|---|
HEAD
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
rustc=$(rustc --version | cut -d' ' -f2)
total=(0 0 0 0 0) part=0 failed=0 start=$(date +%s)
left() {
    if [ -n "$minutes" ]; then
        awk -v m="$minutes" -v s="$start" -v n="$(date +%s)" 'BEGIN { exit !(n - s < m * 60) }'
    else
        [ "${total[0]}" -lt "$kills" ]
    fi
}
while left && [ "$failed" = 0 ]; do
    if [ -n "$minutes" ]; then
        much=(--minutes "$(awk -v m="$minutes" -v s="$start" -v n="$(date +%s)" \
            'BEGIN { r = m - (n - s) / 60; print r < 1 ? r : 1 }')")
    else
        rest_of=$((kills - total[0]))
        much=(--kills $((rest_of < 1000 ? rest_of : 1000)))
    fi
    out=$("$storm" "${much[@]}" --seed $((seed + part)) "${rest[@]}") || failed=1
    echo "$out" | sed '$d'
    read -ra numbers < <(echo "$out" | tail -n 1 | tr -cd '0-9 \n')
    stalls=$(echo "$out" | sed -n 's/^blocked by a dead claim: //p')
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $rustc | \`$command\` | $((seed + part)) |" \
        "${numbers[0]} | ${numbers[1]} | ${numbers[2]} | ${numbers[3]} | ${numbers[4]} | $stalls |" >> "$results"
    for i in 0 1 2 3 4; do total[i]=$((total[i] + numbers[i])); done
    part=$((part + 1))
done
echo "storm: ${total[0]} kills, ${total[1]} messages, ${total[2]} lost, ${total[3]} unflagged duplicates, ${total[4]} stuck"
exit "$failed"
