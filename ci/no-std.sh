#!/usr/bin/env bash
# ring-core without std: it builds without default features, and a `no_std` `no_main` program with its own panic handler
# links it, runs, and holds no trace of std. Needs a C compiler as linker, as every Rust program does.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}/no-std"
cargo build --quiet -p ring-core --no-default-features --release --target-dir "$target"
rustc --edition 2024 -O -C panic=abort -C lto=fat -D warnings \
    --extern ring_core="$target/release/libring_core.rlib" -L "$target/release/deps" \
    -o "$target/program" ring-core/tests/no_std/program.rs
"$target/program"
if nm -C "$target/program" | grep -E ' (std|alloc)::|rust_begin_unwind.*std|__rust_alloc'; then
    echo "no-std: std or alloc is in the program" >&2
    exit 1
fi
echo "no-std: ring-core builds, links and runs without std"
