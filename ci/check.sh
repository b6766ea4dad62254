#!/usr/bin/env bash
# Style, lints and links: formatting, clippy over every target and over the code that only loom sees, documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo clippy -p ring-core -p loom-tests --tests -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
cargo build -p ring-core --no-default-features
ci/figures.sh --check
