#!/usr/bin/env bash
# The loom models over the code that ships, two at a time.
#
#   ci/loom.sh                        every model within the bounds of the gate, and the harness's own tests
#   ci/loom.sh --long [--minutes M] [--most N]
#                                     the campaign: every model within its long bounds, or cut after about N executions of
#                                     one exploration (1,000,000). It can be interrupted (or told to begin no model after M
#                                     minutes) and goes on where it was, also with those that were cut at fewer than N; once
#                                     it is through, the result goes to docs/results/loom.md, with how many were cut
#   ci/loom.sh --long --report        explores nothing more, and writes down how far it has come
#
# A line for each model: executions, threads, preemptions granted, whole or cut. Then those of which less was seen than is
# asked, and how many are left: `asked: 2 threads exhaustive: A of B; 3 threads, >=3 preemptions: C of D; 4 threads, and larger
# ones, at their own bound: E of F`. Models of one thread count as of two. Last line: `loom: M models, N executions`.
set -euo pipefail
cd "$(dirname "$0")/.."
form="" report="" most=1000000 options=()
while [ $# -gt 0 ]; do
    case "$1" in
        --long) form=long ;;
        --report) report=1 ;;
        --minutes) options+=("$1" "${2:?}") && shift ;;
        --most) most=${2:?} && shift ;;
        *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
cargo build --quiet -p loom-tests --profile loom
program=$CARGO_TARGET_DIR/loom/loom-tests
total() {
    awk -F', ' '/^model / {
        split($1, name, /: /); models++; n += name[2]
        threads = $4 + 0; whole = $6 ~ /^whole/; all = $5 == "all interleavings"
        kind = $4 ~ /own bound/ ? 4 : threads <= 2 ? 2 : threads; of[kind]++
        reached = whole && (all || kind == 3 && $5 + 0 >= 3 || kind > 3)
        seen[kind] += reached
        if (!reached) print "less than asked: " substr(name[1], 7) ", " $4 ", " $5 ", " $6
    }
    END {
        printf "asked: 2 threads exhaustive: %d of %d; 3 threads, >=3 preemptions: %d of %d; ", seen[2], of[2], seen[3], of[3]
        printf "4 threads, and larger ones, at their own bound: %d of %d\n", seen[4], of[4]
        printf "loom: %d models, %d executions\n", models, n
    }' "$1"
}

if [ -z "$form" ]; then
    cargo test --quiet -p loom-tests --profile loom
    lines=$(mktemp)
    trap 'rm -f "$lines"' EXIT
    start=$SECONDS
    "$program" models --done "$lines"
    echo "took $((SECONDS - start)) s"
    total "$lines"
    exit
fi

# What has been explored counts for these sources alone.
lines=$CARGO_TARGET_DIR/campaign.txt
sources=$(cat Cargo.lock rust-toolchain.toml $(find ring-core/src loom-tests/src -name '*.rs' | sort) | sha256sum | cut -c1-16)
if [ "$(head -n 1 "$lines" 2>/dev/null)" != "sources $sources" ]; then
    echo "sources $sources" > "$lines"
fi
status=0
if [ -z "$report" ]; then
    # What was cut below the present bound is begun again; if its turn does not come, it stands as it was.
    cut=$(awk -v most="$most" '/^model .*, cut$/ && $3 + 0 < most' "$lines")
    [ -z "$cut" ] || { grep -vxF "$cut" "$lines" > "$lines.rest" && mv "$lines.rest" "$lines"; }
    "$program" models --long --done "$lines" --most "$most" "${options[@]}" || status=$?
    while read -r line; do
        [ -z "$line" ] || grep -qF "${line%%:*}:" "$lines" || echo "$line" >> "$lines"
    done <<< "$cut"
fi
all=$("$program" list | wc -l)
if [ "$status" = 0 ]; then
    results=docs/results/loom.md
    [ -e "$results" ] || cat > "$results" <<'HEAD'
# Loom campaigns

Each line is a campaign of `ci/loom.sh --long`, in one go or in pieces. Seconds are those of the models, two of which
run at a time; the slowest ones are named. Where not all models are through, the campaign was written down before its end.
Models *in part* were cut before all was seen that is asked of them: every interleaving of two threads, three preemptions
of three.

| date | machine | kernel | rustc | command | sources | models | executions | seconds | slowest |
|---|---|---|---|---|---|---|---|---|---|
HEAD
    machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
    read -r models executions seconds < <(awk '/^model / { m++; n += $3; s += $7 } END { printf "%d %d %d\n", m, n, s }' "$lines")
    slowest=$(grep '^model ' "$lines" | sort -k7,7nr | head -n 3 | awk '{ printf "%s%s %d s", sep, substr($2, 1, length($2) - 1), $7; sep = ", " }')
    parts=$(grep -c '^model .*, cut$' "$lines" || true)
    echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) | \`ci/loom.sh --long\` |" \
        "$sources | $models of $all$([ "$parts" = 0 ] || echo ", $parts in part") | $executions | $seconds | $slowest |" >> "$results"
fi
total "$lines"
exit "$status"
