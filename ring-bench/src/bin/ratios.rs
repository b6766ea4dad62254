//! `ratios`: ours against rivals and limits in paired slices; see the crate's README and `ring_bench::cli`.

fn main() -> std::process::ExitCode {
    ring_bench::cli::main(ring_bench::run::Lists::own())
}
