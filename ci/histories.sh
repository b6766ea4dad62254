#!/usr/bin/env bash
# Histories (ring-check): what processes did on a ring, and when, has to be what a first-in-first-out queue does. First
# the checkers have to find five bugs each.
#
#   ci/histories.sh [--histories N] [--messages M] [--seed S] [--backing posix|file|memfd|strict]
#
# N small histories (1000), searched through, a part of them with a process killed in the middle; then runs of M messages
# (1000000), checked as they go by. With more than 10000 or 10^7 the result goes to docs/results/histories.md, 10000 or
# 10^7 at a time, so that an interrupted campaign is written down as far as it went. Without options a share goes over files,
# memfds and strict rings, and the bugs have to be found over each of them.
set -euo pipefail
cd "$(dirname "$0")/.."
short=$# backing=posix histories=1000 messages=1000000 seed=$(date +%s%N) command="ci/histories.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --histories) histories=${2:?} ;;
        --messages) messages=${2:?} ;;
        --seed) seed=${2:?} ;;
        --backing) backing=${2:?} ;;
        *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
cargo build --quiet --release -p ring-check
program="${CARGO_TARGET_DIR:-target}/release/histories"

find_plants() {
    for plant in lose double reorder empty full; do
        # Of Full a long run knows nothing where records differ in length.
        [ "$1 $plant" = "strict full" ] && long="" || long="--histories 0 --messages 4000000"
        for checker in "--histories 20000 --messages 0" "$long"; do
            [ -n "$checker" ] || continue
            # A lie is only one while the opposite is true, which is the scheduler's choice: three runs to find one.
            found=""
            for _ in 1 2 3; do
                # shellcheck disable=SC2086
                "$program" $checker --backing "$1" --plant "$plant" >/dev/null 2>&1 || { found=1 && break; }
            done
            if [ -z "$found" ]; then
                echo "histories: the planted bug '$plant' was not found over $1 by $checker" >&2
                exit 1
            fi
        done
    done
}
find_plants "$backing"

if [ "$short" = 0 ]; then
    for other in file memfd strict; do
        find_plants "$other"
        said=$("$program" --histories 200 --messages 200000 --seed "$seed" --backing "$other") || { echo "$said" && exit 1; }
        echo "over $other: $(tail -n 1 <<<"$said")"
    done
fi
if [ "$histories" -le 10000 ] && [ "$messages" -le 10000000 ]; then
    exec "$program" --histories "$histories" --messages "$messages" --seed "$seed" --backing "$backing"
fi
results=docs/results/histories.md
[ -e "$results" ] || cat >"$results" <<'HEAD'
# Histories

Each line is a part of a campaign of `ci/histories.sh`: small histories that were searched through and explained, how many
of them with a death, and messages of long runs without a pattern that no queue shows. A history that cannot be explained
ends the campaign. The seed repeats the choices, not the scheduler's.

| date | machine | kernel | rustc | command | seed | histories | with a death | operations in them | messages |
|---|---|---|---|---|---|---|---|---|---|
HEAD
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
at_most() { echo $(($1 < $2 ? $1 : $2)); }
searched=0 passed=0
while [ "$searched" -lt "$histories" ] || [ "$passed" -lt "$messages" ]; do
    out=$("$program" --histories "$(at_most $((histories > searched ? histories - searched : 0)) 10000)" \
        --messages "$(at_most $((messages > passed ? messages - passed : 0)) 10000000)" --seed "$seed" --backing "$backing")
    # shellcheck disable=SC2207
    numbers=($(tail -n 2 <<<"$out" | tr -cd '0-9 \n'))
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) | \`$command\` | $seed |" \
        "${numbers[2]} | ${numbers[1]} | ${numbers[0]} | ${numbers[3]} |" >>"$results"
    searched=$((searched + numbers[2])) passed=$((passed + numbers[3])) seed=$((seed + 1))
done
echo "histories: $searched histories, $passed messages, 0 not linearizable; in $results" \
    "$(awk -F'|' '/^\| 20/ { h += $8; m += $11 } END { print h " histories, " m " messages" }' "$results")"
