#!/usr/bin/env bash
# Is every memory ordering necessary? Each half of each row of docs/protocol*.md that is not Relaxed is weakened by one
# notch, in turn, and a loom model has to fail. A half that nobody catches is too strong, or has no model.
#
#   ci/orderings.sh                                   all of them
#   ci/orderings.sh [--with MODEL,...] [HALF...]      these halves (S3, T2.acquire, ...), asking these models alone
#   ci/orderings.sh --sound                           and the models that catch them are explored whole without a plant, not
#                                                     only begun (the campaign of ci/loom.sh --long does so too)
#   ci/orderings.sh --record                          all of them; the result goes to docs/results/orderings.md
#   ci/orderings.sh --learn                           writes down who caught what, in loom-tests/catchers.txt
#
# Last lines: `excepted: K` after their names, `orderings: N/N caught`. Exit 1 when one is not.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
cargo build --quiet -p loom-tests --profile loom
program=$CARGO_TARGET_DIR/loom/loom-tests
[ "${1:-}" = --record ] || exec "$program" orderings "$@"
lines=$(mktemp) results=docs/results/orderings.md
trap 'rm -f "$lines"' EXIT
"$program" orderings | tee "$lines"
[ -e "$results" ] || cat >"$results" <<'HEAD'
# Weakened orderings

Each line is a run of `ci/orderings.sh --record`: halves of orderings that were weakened, of which a model caught so many,
and those that are excepted by name.

| date | machine | kernel | rustc | caught | excepted |
|---|---|---|---|---|---|
HEAD
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
echo "| $(date -u +%FT%TZ) | $machine | $(uname -r) | $(rustc --version | cut -d' ' -f2) |" \
    "$(sed -n 's/^orderings: \(.*\) caught$/\1/p' "$lines") | $(sed -n 's/^excepted: //p' "$lines") |" >>"$results"
