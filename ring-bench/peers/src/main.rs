//! `peers`: as `ratios`, with the rivals that need packages or many dependencies; see the crate's README.

use std::process::ExitCode;

fn main() -> ExitCode {
    let sweeper = ring_peers::Sweeper::new();
    for version in ring_peers::versions() {
        eprintln!("built with {version}");
    }
    let status = ring_bench::cli::main(ring_peers::lists());
    drop(sweeper);
    status
}
