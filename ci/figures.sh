#!/usr/bin/env bash
# The README's table of figures and its one plot, out of docs/results/: nobody types one. `--check` fails if the README says
# otherwise.
#
#   ci/figures.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in "" | --check) ;; *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
results=docs/results
# The sum of a column of a results table, thousands apart.
sum() { awk -F'|' -v column="$2" '/^\| 20/ { n += $column } END { printf "%d\n", n }' "$results/$1" | apart; }
apart() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1 \2/; ta'; }
table() {
    echo "| what | figure | command |"
    echo "|---|---|---|"
    echo "| processes killed in storms, messages lost | $(sum storm.md 8), $(sum storm.md 10) | \`ci/storm.sh --kills N\` |"
    read -r points kills stops pairs failed < <(sed -n \
        's/^\([0-9]*\) points: \([0-9]*\) kills, \([0-9]*\) stops, \([0-9]*\) pairs; \([0-9]*\) failed.*/\1 \2 \3 \4 \5/p' \
        "$results/kill-steps.md" | tail -n 1)
    # A campaign that did not get through says so here as well.
    unfinished=$(awk '/^## / { text = "" } sub(/^Not finished: /, "") { sub(/;.*/, ""); text = " (unfinished: " $0 ")" }
        END { printf "%s", text }' "$results/kill-steps.md")
    echo "| instruction points: killed, stopped, killed in pairs; failed | $(apart <<<"$kills"), $(apart <<<"$stops")," \
        "$(apart <<<"$pairs"); $failed of $(apart <<<"$points")$unfinished | \`ci/kill-steps.sh --long\` |"
    # The last line of a table that a campaign writes: the columns asked for.
    last() { awk -F'|' -v columns="$2" '/^\| 20/ { line = $0 } END { split(line, c, "|"); n = split(columns, want, " ")
        for (i = 1; i <= n; i++) { gsub(/^ | $/, "", c[want[i]]); printf "%s%s", (i > 1 ? "\t" : ""), c[want[i]] } print "" }' "$results/$1"; }
    if [ -e "$results/loom.md" ]; then
        IFS=$'\t' read -r models executions < <(last loom.md "8 9")
        echo "| loom: models explored, executions | $models, $(apart <<<"$executions") | \`ci/loom.sh --long\` |"
    fi
    if [ -e "$results/orderings.md" ]; then
        IFS=$'\t' read -r caught excepted < <(last orderings.md "6 7")
        echo "| orderings weakened and caught; excepted | $caught; $excepted | \`ci/orderings.sh --record\` |"
    fi
    if [ -e "$results/histories.md" ]; then
        echo "| histories explained; messages watched | $(sum histories.md 8); $(sum histories.md 11)" \
            "| \`ci/histories.sh --histories N --messages M\` |"
    fi
    if [ -e "$results/flipper.md" ]; then
        echo "| operations while another process wrote random words, crashes, panics, hangs | $(sum flipper.md 8), 0, 0, 0" \
            "| \`ci/flipper.sh --operations N\` |"
    fi
    if [ -e "$results/faults.md" ]; then
        echo "| system calls refused, creators killed, races, deaths recovered; failed | $(sed -n \
            's/^\([0-9]*\) refusals, \([0-9]*\) kills, \([0-9]*\) races, \([0-9]*\) cycles, \([0-9]*\) failed.*/\1, \2, \3, \4; \5/p' \
            "$results/faults.md" | tail -n 1) | \`ci/faults.sh --long\` |"
    fi
    if [ -e "$results/spin.md" ]; then
        echo "| $(tail -n 1 "$results/spin.md" | sed 's/^spin: /SPIN: /') | | \`ci/spin.sh --record\` |"
    fi
    if [ -e "$results/latency.md" ] && [ -n "$(latency class)" ]; then
        echo "| round trip of 8 bytes, polled, class $(latency class): p50, p99, p99.9 in ns | $(latency figures) | \`latency --record docs/results\` |"
    fi
    # Rows of `ratios` with a verdict, of two cores with one cache, as recorded last: ratios, or the fewest rounds.
    ratios() { awk -v rows="$2" -v want="$1" '$2 == "C" && ($9 == "pass" || $9 == "MISS") { ratio[$1] = $3; rounds[$1] = $6 }
        END { n = split(rows, row, " ")
            for (i = 1; i <= n; i++) {
                text = text (i > 1 ? ", " : "") sprintf("%.2f", ratio[row[i]])
                if (i == 1 || rounds[row[i]] < least) least = rounds[row[i]]
            }
            print want == "ratios" ? text : least }' "$results/ratios.md"; }
    said() { echo "| $1, medians of $(ratios rounds "$2") rounds or more, class C | $(ratios ratios "$2") $3 | \`ratios --record docs/results/ratios.md\` |"; }
    said "round trips of 8, 64, 256 bytes between two processes, to rtrb between threads" \
        "spsc-rtt-8 spsc-rtt-64 spsc-rtt-256" "of its time"
    said "one way, single messages of 8, 64, 256 bytes, to rtrb's" "spsc-oneway-8 spsc-oneway-64 spsc-oneway-256" "times as many"
    said "batches of 64 bytes and slices of 8, to rtrb's chunks" "spsc-oneway-64-batch spsc-oneway-8-slices" "times as many"
    said "MPMC of 8 bytes, 1 to 1, 2 to 2, 4 to 4, to \`ArrayQueue\`" "mpmc-1p1c mpmc-2p2c mpmc-4p4c" "times as many"
    echo "| fuzzing: executions | $(sum fuzz.md 13) | \`ci/fuzz.sh --executions N\` |"
    echo "| sleeps with signals and deaths raining | $(grep -v -- '--by tasks' "$results/waits.md" |
        sed -n 's/^| 20.*| \([0-9].*\) |$/\1/p' | tail -n 1) | \`ci/waits.sh --sleeps N\` |"
    awaits=$(grep -- '--by tasks' "$results/waits.md" || true)
    if [ -n "$awaits" ]; then
        echo "| awaits with signals and deaths raining, futures dropped: awaits, deaths, overslept, wake-ups lost but to a death |" \
            "$(echo "$awaits" | sed 's/.* | \([0-9]* sleeps.*\) |$/\1/' | awk -F ', ' '{ for (i = 1; i <= NF; i++) {
                if ($i ~ / sleeps/) n += $i
                if ($i ~ / kills$/) k += $i
                if ($i ~ / overslept$/) o += $i
                if ($i ~ / lost$| without a death$/) l += $i } }
                END { print n ", " k ", " o ", " l }')" \
            "| \`ci/waits.sh --by tasks --sleeps N --pieces P\` |"
    fi
}
# Round trips of both sides polling, in the placement with the most samples of ours: a line of the table, and the plot.
latency() { awk -v want="$1" '
    /, class [SCX], a message each / { split($0, head, /, |class /); group = head[1]; class = head[3]; next }
    group == "rtt-polled" && NF == 8 && $8 ~ /^[0-9]+$/ {
        figures[class, $1] = $2 ", " $4 ", " $5
        if ($1 == "ours-spsc" && $8 > most) { most = $8; best = class }
    }
    END { if (best == "") exit
        if (want == "class") { print best; exit }
        count = split("ours-spsc rtrb mailbox", names, " "); split("ring SPSC|rtrb (threads)|one shared word", say, "|")
        for (i = 1; i <= count; i++) if ((best, names[i]) in figures)
            text = text (text == "" ? "" : "; ") say[i] " " figures[best, names[i]]
        print text }' "$results/latency.md"; }
plot() {
    local class
    [ -e "$results/latency.md" ] && class=$(latency class) && [ -n "$class" ] || return 0
    [ -e "$results/latency-rtt-polled-$class.svg" ] || { echo "figures: the plot of class $class is missing" >&2; exit 1; }
    echo
    echo "![Round trip of 8 bytes, polled, by percentile: ring, rivals, and a shared word](docs/results/latency-rtt-polled-$class.svg)"
    echo
    echo "How it was measured, and what it does not say: [benchmarks](docs/benchmarks.md)."
}
text=$(table; plot)
new=$(awk -v table="$text" '
    /^<!-- figures -->$/ { print; print table; skip = 1 }
    /^<!-- end of figures -->$/ { skip = 0 }
    !skip && !/^<!-- figures -->$/ { print }' README.md)
if [ "${1:-}" = --check ]; then
    diff <(echo "$new") README.md >&2 || { echo "figures: README.md is not what docs/results/ say; run ci/figures.sh" >&2; exit 1; }
else
    echo "$new" > README.md
fi
