#!/usr/bin/env bash
# Every test: the README's second command.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --workspace
