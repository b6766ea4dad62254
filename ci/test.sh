#!/usr/bin/env bash
# Every test: the README's second command.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --workspace
# Reserved huge pages few machines have: some for the one test that wants them, where we may.
pages=/proc/sys/vm/nr_hugepages
if [ -w "$pages" ] && [ "$(cat "$pages")" = 0 ]; then
    trap 'echo 0 >"$pages"' EXIT
    echo 8 >"$pages"
    cargo test -p ring-shm --test placement reserved_huge_pages -- --nocapture
fi
