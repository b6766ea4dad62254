#!/usr/bin/env bash
# The models of models/ in SPIN: each must hold, and each with a bug planted (-DBUG_...) must fail. See models/README.md.
#
#   ci/spin.sh             the form of the gate: under two minutes and two GiB for each CPU
#   ci/spin.sh --long      bigger configurations as well: up to eight GiB; writes docs/results/spin.md
#   ci/spin.sh --record    the form of the gate, written to docs/results/spin.md
#
# Needs a C compiler, and SPIN, which it installs (Debian: `spin`) where it is missing.
# Last line: `spin: N of N models hold, M states, caught P of P plants`. Exit 1 when one does not, or is not.
set -euo pipefail
cd "$(dirname "$0")/.."
long="" record="" command="ci/spin.sh $*"
case "${1:-}" in
    "") ;;
    --long) long=1 record=1 ;;
    --record) record=1 ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
if ! command -v spin >/dev/null; then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq && $sudo apt-get install -y -qq spin >/dev/null
fi

# file, then the configuration
models=(
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DCRASHES=1"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DN=1 -DCRASHES=1 -DSWEEPS"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DABORTS=1"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DCRASHES=1"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DKEEPS=1 -DLINGER=1"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DLINGER=1 -DCLOSES"
    "mpmc.pml -DNP=1 -DNC=3 -DM=1 -DN=1 -DLINGER=1 -DSHUT"
    "waiting.pml"
    "waiting.pml -DLIGHT=0"
    "waiting.pml -DREACH=0"
    # The first announcement outlasts its short slice; the next one comes with the third message.
    "waiting.pml -DREACH=0 -DM=3"
    "waiting.pml -DPUBLISHERS=2 -DLIGHT=1"
    "waiting.pml -DPUBLISHERS=2 -DLIGHT=1 -DREACH=0"
    "waiting.pml -DSLEEPERS=2 -DREACH=1"
    "waiting.pml -DPUBLISHERS=2 -DCRASHES=1 -DM=1"
    "waiting.pml -DWEAK -DPUBLISHERS=2 -DLIGHT=1"
    "waiting.pml -DWEAK -DPUBLISHERS=2 -DLIGHT=1 -DREACH=0"
    "waiting.pml -DWEAK -DREACH=0 -DM=3"
    "waiting.pml -DWEAK -DLIGHT=0 -DREACH=0 -DM=3"
    "waiting.pml -DWEAK -DSLEEPERS=2 -DREACH=1"
    "waiting.pml -DDAWDLES -DSLEEPERS=2 -DCRASHES=1 -DREPAIRS"
    "waiting.pml -DWEAK -DDAWDLES -DSLEEPERS=2 -DREACH=1"
    "cancel.pml"
    "cancel.pml -DCOUNTS_THE_AWAKE"
    "cancel.pml -DLEAVES_WITHOUT_A_LOOK"
)
[ -z "$long" ] || models+=(
    "mpmc.pml -DNP=2 -DNC=1 -DM=2"
    "mpmc.pml -DNP=1 -DNC=2 -DM=2"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DCRASHES=2"
    "mpmc.pml -DNP=2 -DNC=1 -DM=2 -DCRASHES=1"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DCRASHES=1 -DKEEPS=1"
    "mpmc.pml -DNP=1 -DNC=2 -DM=2 -DKEEPS=1 -DLINGER=1"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DABORTS=1 -DCRASHES=1"
    "waiting.pml -DPUBLISHERS=2 -DSLEEPERS=2 -DM=1 -DLIGHT=1 -DREACH=1"
    "waiting.pml -DWEAK -DPUBLISHERS=2 -DSLEEPERS=2 -DM=1 -DLIGHT=1 -DREACH=1"
    "cancel.pml -DCANCELS=2"
)
plants=(
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DN=1 -DBUG_TICKET_AFTER_BIT"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DN=1 -DBUG_BIT_AFTER_EVENT"
    "mpmc.pml -DNP=2 -DNC=2 -DM=1 -DLINGER=1 -DBUG_NO_PASSING_ON"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DCRASHES=1 -DBUG_NO_LIVE_CHECK"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DCRASHES=1 -DSWEEPS -DBUG_SCAN_FIRST"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DCRASHES=1 -DBUG_INTENT_LATE"
    "mpmc.pml -DNP=2 -DNC=1 -DM=1 -DN=1 -DCRASHES=1 -DBUG_NO_WITHDRAWAL"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DCRASHES=1 -DBUG_ATTEMPT_NOT_COUNTED"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DKEEPS=1 -DLINGER=1 -DBUG_NO_HINT"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DKEEPS=1 -DLINGER=1 -DBUG_STALE_HEAD"
    "mpmc.pml -DNP=1 -DNC=2 -DM=2 -DKEEPS=2 -DLINGER=1 -DREVERSE -DBUG_ADOPTS_SILENTLY"
    "mpmc.pml -DNP=1 -DNC=2 -DM=2 -DKEEPS=1 -DLINGER=1 -DBUG_PASSES_NO_ORPHANS"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DLINGER=1 -DBUG_END_NOT_TOLD"
    "mpmc.pml -DNP=1 -DNC=2 -DM=1 -DLINGER=1 -DCLOSES -DBUG_END_SEEN_TOO_LATE"
    "mpmc.pml -DNP=1 -DNC=3 -DM=1 -DN=1 -DLINGER=1 -DSHUT -DBUG_END_NOT_PASSED_ON"
    "mpmc.pml -DNP=1 -DNC=3 -DM=1 -DN=1 -DLINGER=1 -DBUG_ASKS_AGAIN"
    "waiting.pml -DBUG_NO_MEMBARRIER"
    "waiting.pml -DBUG_BARRIER_FIRST"
    "waiting.pml -DBUG_COMPILER_MOVES_THE_LOAD"
    "waiting.pml -DLIGHT=0 -DBUG_NO_W4"
    "waiting.pml -DREACH=0 -DM=3 -DBUG_NO_W7"
    "waiting.pml -DREACH=0 -DWEAK -DM=3 -DBUG_NO_W3"
    "waiting.pml -DREACH=0 -DBUG_NO_SHORT_SLICE"
    "waiting.pml -DREACH=0 -DBUG_FIRST_SLICE_SPENT_UNSLEPT"
    "waiting.pml -DLIGHT=0 -DREACH=0 -DWEAK -DM=3 -DBUG_NO_W3"
    "waiting.pml -DBUG_TICKET_AFTER_BIT"
    "waiting.pml -DBUG_BIT_AFTER_EVENT"
    "waiting.pml -DWEAK -DBUG_W2_RELAXED"
    "waiting.pml -DWEAK -DBUG_W9_RELAXED"
    "waiting.pml -DDAWDLES -DSLEEPERS=2 -DBUG_SLEEPS_ON_THOUGH_RUNG"
    "waiting.pml -DCRASHES=1 -DSLEEPERS=2 -DBUG_BIT_BELIEVED"
    "waiting.pml -DCRASHES=1 -DBUG_NO_LOOK_BETWEEN_SLICES"
    "waiting.pml -DREPAIRS -DBUG_FORGETS_THE_LIVING"
    "cancel.pml -DBUG_REQUEST_LATE"
    "cancel.pml -DBUG_W12_RELAXED"
    "cancel.pml -DBUG_I3_RELAXED"
    "cancel.pml -DBUG_NOT_COUNTED"
    "cancel.pml -DBUG_GONE_IGNORED"
    "cancel.pml -DBUG_DROPS_AT_ONCE"
    "cancel.pml -DBUG_NO_DISTURBANCE"
    "cancel.pml -DBUG_ASKED_BEFORE_THE_TICKET"
    "cancel.pml -DBUG_LEAVES_WITHOUT_A_LOOK"
)

# Compiling well takes longer than running, but for the long form's models.
optimise=-O0
[ -z "$long" ] || optimise=-O1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
memory=2000 at_a_time=$(nproc)
[ -z "$long" ] || memory=7500 at_a_time=1

# Runs one configuration in a directory of its own, where the verifier's words stay in `out`. Fails if it came to no
# verdict: a search that was cut short (memory, depth, a signal) must not pass for one that found nothing.
run() { # directory, how to optimise, file, configuration
    local place=$1 optimise=$2 file=$3 seconds order=""
    shift 3
    [[ " $* " != *' -DREVERSE '* ]] || order=-DREVERSE # the last process first: finds some bugs sooner
    mkdir "$place"
    cp "models/$file" "$place"
    cd "$place"
    spin -a "$@" "$file" >gen 2>&1 || { cat gen >&2; return 1; }
    gcc "$optimise" $order -w -DSAFETY -DCOLLAPSE -DMEMLIM=$memory -o pan pan.c
    seconds=$(date +%s.%N)
    ./pan -m1000000 -w22 >out 2>&1 || true
    awk -v a="$seconds" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f\n", b - a }' >seconds
    rm pan pan.*
    grep -q 'errors: [1-9]' out || { grep -q 'errors: 0' out && ! grep -q 'Search not completed' out; }
}
field() { # place, what the verifier counted there
    awk -v what="$2" 'what == "depth" && /depth reached/ { sub(/,/, "", $6); print $6 }
                      what == "errors" && /errors:/ { print $NF }
                      what != "depth" && index($0, what) { print $1 }' "$1/out" 2>/dev/null | head -n 1
}
# Starts one when there is room for it.
start() { # place, how to optimise, file and configuration in one word
    local words
    read -ra words <<<"$3"
    while [ "$(jobs -rp | wc -l)" -ge "$at_a_time" ]; do wait -n || true; done
    (run "$1" "$2" "${words[@]}") && : >"$1.done" || true &
}

for i in "${!models[@]}"; do start "$work/model$i" "$optimise" "${models[i]}"; done
for i in "${!plants[@]}"; do start "$work/plant$i" -O0 "${plants[i]}"; done
wait

rows=() states=0 failed=0 caught=0
for i in "${!models[@]}"; do
    model=${models[i]} place=$work/model$i
    if [ ! -e "$place.done" ] || [ "$(field "$place" errors)" != 0 ]; then
        echo "FAILED: $model" >&2
        grep -E 'assertion|error|invalid|memory|not completed' "$place/out" >&2 || true
        failed=1
        continue
    fi
    stored=$(field "$place" 'states, stored') transitions=$(field "$place" 'transitions (')
    depth=$(field "$place" depth) seconds=$(cat "$place/seconds")
    states=$((states + ${stored%.*}))
    echo "model $model: $stored states, $transitions transitions, depth $depth, $seconds s"
    rows+=("| \`$model\` | $stored | $transitions | $depth | $seconds |")
done
for i in "${!plants[@]}"; do
    plant=${plants[i]} place=$work/plant$i
    if [ -e "$place.done" ] && [ "$(field "$place" errors)" = 1 ]; then
        caught=$((caught + 1))
        echo "plant $plant: caught after $(field "$place" 'states, stored') states"
    else
        echo "MISSED: $plant" >&2
        failed=1
    fi
done
last="spin: ${#rows[@]} of ${#models[@]} models hold, $states states, caught $caught of ${#plants[@]} plants"
if [ -n "$record" ] && [ "$failed" = 0 ]; then
    {
        echo "# Models in SPIN"
        echo
        echo "Written by \`$command\` on $(date -u +%F); $(spin -V | sed 's/ --.*//'), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)."
        echo "Every state of each configuration was visited; what the flags mean stands at the top of each model."
        echo
        echo "| model | states stored | transitions | depth | seconds |"
        echo "|---|---|---|---|---|"
        printf '%s\n' "${rows[@]}"
        echo
        echo "$last"
    } >docs/results/spin.md
fi
echo "$last"
exit "$failed"
