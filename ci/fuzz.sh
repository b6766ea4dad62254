#!/usr/bin/env bash
# Coverage-guided fuzzing of ring-core between guard pages (fuzz/). Needs a nightly toolchain and a C++ compiler, no tool.
#
#   ci/fuzz.sh [--seconds S]     the gate: planted bugs are found, the corpora replayed, each target fuzzed for S (8) seconds
#   ci/fuzz.sh --minutes M       all targets in turn, M minutes in all
#   ci/fuzz.sh --executions N    all targets in turn, N executions in all
#   ci/fuzz.sh --minimise        fuzz/corpus anew: what is needed of it and of what the long forms have found
#
# The long forms append to docs/results/fuzz.md every minute or two, and go on from what they found before
# (target/fuzz/corpus). A finding is left in target/fuzz/found; replay it with the target's program and that file.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=8 minutes="" executions="" minimise="" command="ci/fuzz.sh $*"
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds) seconds=${2:?} && shift ;;
        --minutes) minutes=${2:?} && shift ;;
        --executions) executions=${2:?} && shift ;;
        --minimise) minimise=1 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
targets=(attach spsc_producer spsc_consumer mpmc_push mpmc_pop recovery strict)
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
host=$(rustc -vV | sed -n 's/^host: //p')
work=$PWD/${CARGO_TARGET_DIR:-target}/fuzz
# What cargo-fuzz would pass, without a sanitizer and without the tracing of compares: guard pages and canaries do the
# work of the one, scribbles near the right value that of the other, at several times the speed.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1" CARGO_TARGET_DIR="$work" \
    cargo +nightly build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" --bins
mkdir -p "$work/found" "$work/logs"

fuzz() { # target, seconds, corpora: the first one grows
    local target=$1 seconds=$2
    shift 2
    "$work/$host/release/$target" -max_total_time="$seconds" -max_len=200 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$work/found/$target-" "$@" >"$work/logs/$target" 2>&1 && return
    # Its time-out is one of the wall clock: on a busy machine it may mean that the target was not running. Once more.
    local found
    found=$(sed -n 's/.*Test unit written to \(.*-timeout-.*\)/\1/p' "$work/logs/$target")
    if [ -n "$found" ] && [ -z "${RING_FUZZ_PLANT:-}" ] && (ulimit -t 5 && "$work/$host/release/$target" "$found") >/dev/null 2>&1
    then
        rm "$found"
        return
    fi
    grep -vE '^(#|INFO|stat::)' "$work/logs/$target" | tail -n 40 >&2
    return 1
}

# All targets, as many at a time as there are CPUs, each from its own corpora.
fuzz_all() { # seconds, whether to keep what is found
    local seconds=$1 keep=$2 pids=() failed=0 target
    for target in "${targets[@]}"; do
        local first="$work/corpus/$target"
        [ -n "$keep" ] || { first="$work/fresh/$target" && rm -rf "$first"; }
        mkdir -p "$first"
        fuzz "$target" "$seconds" "$first" "fuzz/corpus/$target" &
        pids+=($!)
        if [ ${#pids[@]} -ge "$(nproc)" ]; then
            for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
            pids=()
        fi
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    return "$failed"
}

done_by() { # target: how often it was executed last time
    sed -n 's/^stat::number_of_executed_units: *//p' "$work/logs/$1"
}

if [ -n "$minimise" ]; then
    for target in "${targets[@]}"; do
        rm -rf "$work/minimal" && mkdir -p "$work/minimal" "$work/corpus/$target" "fuzz/corpus/$target"
        "$work/$host/release/$target" -set_cover_merge=1 -use_counters=0 -max_len=200 "$work/minimal" "fuzz/corpus/$target" \
            "$work/corpus/$target" >"$work/logs/$target" 2>&1
        rm -rf "fuzz/corpus/$target" && mv "$work/minimal" "fuzz/corpus/$target"
        echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs"
    done
    exit
fi

if [ -z "$minutes$executions" ]; then
    plant() { # bug, target, what it must say
        rm -rf "$work/fresh" && mkdir -p "$work/fresh"
        if RING_FUZZ_PLANT=$1 fuzz "$2" 30 -timeout=3 -artifact_prefix="$work/fresh/" "$work/fresh" "fuzz/corpus/$2" 2>/dev/null ||
            ! grep -qE "$3" "$work/logs/$2"; then
            echo "fuzz: the planted bug '$1' was not found by $2" >&2
            return 1
        fi
    }
    plant stray spsc_consumer 'deadly signal'
    plant panic mpmc_pop 'planted: attempt 31'
    plant hang recovery 'libFuzzer: timeout'
    plant clamp strict 'deadly signal'
    fuzz_all "$seconds" ""
    total=0
    for target in "${targets[@]}"; do total=$((total + $(done_by "$target"))); done
    echo "fuzz: ${#targets[@]} targets, $(find fuzz/corpus -type f | wc -l) inputs replayed, $total executions, 0 findings," \
        "4 planted bugs found"
    exit
fi

results=docs/results/fuzz.md
[ -e "$results" ] || cat >"$results" <<'HEAD'
# Fuzzing

Each line is a part of a campaign of `ci/fuzz.sh`: executions of each target, and how many targets failed.

| date | machine | kernel | rustc | command | attach | SPSC producer | SPSC consumer | MPMC push | MPMC pop | recovery | total | findings | strict |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
HEAD
sed -i '/| findings |$/{s/$/ strict |/;n;s/$/---|/}' "$results" # of a file from before
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
rustc=$(rustc +nightly --version | cut -d' ' -f2)
all=0 findings=0 start=$SECONDS
while { [ -z "$minutes" ] || [ $((SECONDS - start)) -lt $((minutes * 60)) ]; } &&
    { [ -z "$executions" ] || [ "$all" -lt "$executions" ]; } && [ "$findings" = 0 ]; do
    fuzz_all 20 keep || findings=1
    total=0 row="" last=""
    for target in "${targets[@]}"; do
        n=$(done_by "$target")
        # The column of the strict rings came later, and stands last.
        if [ "$target" = strict ]; then last=" $n |"; else row+=" $n |"; fi
        total=$((total + n))
    done
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $rustc | \`$command\` |$row $total | $findings |$last" >>"$results"
    all=$((all + total))
done
sum=$(awk -F'|' '/^\| 20/ { n += $13 } END { print n }' "$results")
echo "fuzz: $all executions, $findings findings; $sum executions in $results"
exit "$findings"
