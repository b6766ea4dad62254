#!/usr/bin/env bash
# Is every memory ordering necessary? Each half of each row of docs/protocol*.md that is not Relaxed is weakened by one
# notch, in turn, and a loom model has to fail. A half that nobody catches is too strong, or has no model.
#
#   ci/orderings.sh                                   all of them
#   ci/orderings.sh [--with MODEL,...] [HALF...]      these halves (S3, T2.acquire, ...), asking these models alone
#   ci/orderings.sh --sound                           and the models that catch them are explored whole without a plant, not
#                                                     only begun (the campaign of ci/loom.sh --long does so too)
#   ci/orderings.sh --learn                           writes down who caught what, in loom-tests/catchers.txt
#
# Last lines: `excepted: K` after their names, `orderings: N/N caught`. Exit 1 when one is not.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
cargo build --quiet -p loom-tests --profile loom
exec "$CARGO_TARGET_DIR/loom/loom-tests" orderings "$@"
