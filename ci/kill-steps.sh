#!/usr/bin/env bash
# Death at every instruction (ring-check): each operation of both rings is killed after every one of its instructions,
# or stopped there while others work a lap, and a second death is put into what is done about the first. Without options
# the short form of CI: planted bugs first, which must be found; then every instruction of the short operations, and a
# sample of the long ones and of the pairs; and over files and memfds a share of coming, leaving, taking over and
# creating, and the operations of strict rings.
#
#   ci/kill-steps.sh [--long [--report] [--for SECONDS] [--shard I/N]] [--seed S] [--only OPERATION] [--plants] [--point POINT]
#                    [--backing posix|file|memfd | --strict]
#
# The long form takes each point with peers there before the victim and without, 1,000 other instructions of each long
# operation, and more than 40,000 pairs. It can be interrupted, or ends by itself after SECONDS, and goes on where it
# was when it is started again with the same seed and the same build; several can share the work, each with its own I
# of N. Once all is done the result goes to docs/results/kill-steps.md; --report writes down what is done by now.
set -euo pipefail
cd "$(dirname "$0")/.."
long="" report="" seconds=0 seed=1 shard=1 shards=1 rest=() backing=posix command="ci/kill-steps.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --long) long=1 ;;
        --report) report=1 ;;
        --for) seconds=${2:?} && shift ;;
        --shard) IFS=/ read -r shard shards <<< "${2:?}" && shift ;;
        --seed) seed=${2:?} && shift ;;
        --backing) backing=${2:?} && shift ;;
        --only | --point) rest+=("$1" "${2:?}") && shift ;;
        --plants | --strict) rest+=("$1") ;;
        *) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
if [ -n "$long" ] && [ "${#rest[@]}" -gt 0 ]; then
    echo "kill-steps: --long takes all operations of named rings: leave out ${rest[0]}" >&2
    exit 2
fi
cargo build --quiet --release -p ring-check --bin kill-steps
target=${CARGO_TARGET_DIR:-target}
steps="$target/release/kill-steps"

if [ -z "$long" ]; then
    [ "${#rest[@]}" -eq 0 ] || exec "$steps" --backing "$backing" --seed "$seed" "${rest[@]}"
    # Parts are begun from the last one: places and rings take longest, so that what is left at the end is short, and no
    # CPU is idle.
    . ci/parts.sh
    heads=() parts=()
    add() { # what stands above, then the options, then after `--` the operations or plants, or none for all: a part each
        local head=$1 options=() names=() name
        shift
        while [ "$1" != -- ]; do options+=("$1") && shift; done
        shift
        names=("$@")
        [ $# -gt 0 ] || mapfile -t names < <("$steps" "${options[@]}" --list)
        [ "${#names[@]}" -gt 0 ] || { echo "kill-steps: nothing is listed for ${options[*]}" >&2; exit 1; }
        for name in "${names[@]}"; do heads+=("$head") && parts+=("${options[*]} --only $name"); done
    }
    add "" --backing "$backing" --plants --
    if [ "$backing" = posix ]; then
        for other in file memfd; do
            add "over $other:" --backing "$other" --plants -- told-first hide-flag
            add "over $other:" --backing "$other" --seed "$seed" --share 16 -- spsc-attach-producer spsc-detach-consumer \
                spsc-takeover-consumer spsc-create-and-sit mpmc-join-dead-writer mpmc-leave-producer mpmc-create
        done
        add "strict:" --strict --plants --
        add "strict:" --strict --seed "$seed" --share 4 --
    fi
    add "all of $backing:" --backing "$backing" --seed "$seed" --
    ended=0
    run_parts 1800 "$steps" "${parts[@]}" || ended=$?
    head=""
    for i in "${!parts[@]}"; do
        [ "$head" = "${heads[i]}" ] || { head=${heads[i]} && echo "$head"; }
        grep -v -e '^seed' -e '^operation' -e '^kill' "$work/$i/out" || true
    done
    awk '/^kill points:/ { tested += $3; failed += $5 }
        END { printf "kill points: %d tested, %d failed\n", tested, failed }' "$work"/*/out
    [ "$ended" = 0 ] || echo "kill-steps: not all parts ended well: they are named above" >&2
    exit "$ended"
fi

# Each line of the state is a part that is done: operation, kind, instructions, points, strayed, failed.
state="$target/kill-steps.$backing.$seed.$(sha256sum "$steps" | cut -c1-16)"
touch "$state"
end=$((SECONDS + seconds)) failed=0 turn=0
operations=$("$steps" --backing "$backing" --list)
for operation in $operations; do
    turn=$((turn + 1))
    if [ -n "$report" ]; then continue; fi
    if [ $((turn % shards)) -ne $((shard % shards)) ]; then continue; fi
    for kind in kills stops pairs; do
        if grep -q "^$operation $kind " "$state"; then continue; fi
        if [ "$seconds" -gt 0 ] && [ "$SECONDS" -ge "$end" ]; then
            echo "to be continued: $(wc -l < "$state") parts done"
            exit 0
        fi
        out=$("$steps" --backing "$backing" --long --seed "$seed" --only "$operation" --kind "$kind") || failed=1
        echo "$out" | grep -v -e '^seed' -e '^operation' -e '^kill' || true
        if [ "$failed" = 1 ]; then
            echo "$out" | tail -n 1
            exit 1
        fi
        read -r _ instructions kills stops pairs strayed _ < <(echo "$out" | grep "^$operation ")
        echo "$operation $kind $instructions $((kills + stops + pairs)) $strayed" >> "$state"
    done
done

parts=$(wc -l < "$state")
if [ -z "$report" ] && [ "$parts" -lt $((3 * turn)) ]; then
    echo "to be continued by others: $parts parts done"
    exit 0
fi
results=docs/results/kill-steps.md
[ -e "$results" ] || cat > "$results" <<'HEAD'
# Death at every instruction

Each section is a campaign of `ci/kill-steps.sh --long`. *Instructions*: from mark to mark, in a release build. *Kills*
and *stops*: points at which the victim was killed, or stopped while others worked and then let go on, with peers that were
there before it and without. *Pairs*: a second victim was killed in what it did about the first one's death. A victim
goes another way than the first where it reads what differs from process to process, such as `/proc/self/stat`, or waits
for the clock: it is killed all the same, some instructions beside the point.
HEAD
sum() { awk -v kind="$1" '$2 == kind { n += $4 } END { print n + 0 }' "$state"; }
all=$(awk '{ n += $4 } END { print n }' "$state")
{
    echo
    echo "## $(date -u +%FT%TZ)"
    echo
    echo "\`$command\`, seed $seed. $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs," \
        "kernel $(uname -r), rustc $(rustc --version | cut -d' ' -f2)."
    echo
    echo "$all points: $(sum kills) kills, $(sum stops) stops, $(sum pairs) pairs; 0 failed." \
        "$(awk '{ n += $5 } END { print n + 0 }' "$state") victims did not go exactly the way of the first."
    [ "$parts" -eq $((3 * turn)) ] || echo "Not finished: $parts of $((3 * turn)) parts; a nought below is a part not done, or none."
    echo
    echo "| operation | instructions | kills | stops | pairs |"
    echo "|---|---|---|---|---|"
    awk '{ if (!($1 in at)) { at[$1] = ++n; name[n] = $1 } points[$1, $2] = $4; if ($3 > long[$1]) long[$1] = $3 }
        END { for (i = 1; i <= n; i++) { o = name[i]
            printf "| %s | %d | %d | %d | %d |\n", o, long[o], points[o, "kills"], points[o, "stops"], points[o, "pairs"] } }' "$state"
} >> "$results"
[ -n "$report" ] || rm "$state"
echo "kill points: $all tested, 0 failed"
