#!/usr/bin/env bash
# The README's table of figures, out of docs/results/: nobody types one. `--check` fails if the README says otherwise.
#
#   ci/figures.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in "" | --check) ;; *) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
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
    if [ -e "$results/loom.md" ]; then
        echo "| loom: executions of the last campaign | $(awk -F'|' '/^\| 20/ { n = $9 } END { print n + 0 }' \
            "$results/loom.md" | apart) | \`ci/loom.sh --long\` |"
    fi
    if [ -e "$results/spin.md" ]; then
        echo "| $(tail -n 1 "$results/spin.md" | sed 's/^spin: /SPIN: /') | | \`ci/spin.sh --record\` |"
    fi
    echo "| fuzzing: executions | $(sum fuzz.md 13) | \`ci/fuzz.sh --executions N\` |"
    echo "| sleeps with signals and deaths raining | $(sed -n 's/^| 20.*| \([0-9].*\) |$/\1/p' "$results/waits.md" |
        tail -n 1) | \`ci/waits.sh --sleeps N\` |"
}
new=$(awk -v table="$(table)" '
    /^<!-- figures -->$/ { print; print table; skip = 1 }
    /^<!-- end of figures -->$/ { skip = 0 }
    !skip && !/^<!-- figures -->$/ { print }' README.md)
if [ "${1:-}" = --check ]; then
    diff <(echo "$new") README.md >&2 || { echo "figures: README.md is not what docs/results/ say; run ci/figures.sh" >&2; exit 1; }
else
    echo "$new" > README.md
fi
