//! `curves`: throughput by size, capacity and handles, and the cost of creating and opening; see the crate's README.
//!
//! Only arguments, output and the exit status live here: 0 measured, 2 wrong arguments, 3 nothing could be measured or
//! recorded, or a message was wrong, 130 interrupted (what was measured is still printed).

use clap::Parser;
use ring_bench::{curves, reporting};
use std::process::ExitCode;

/// Throughput by message size, capacity and handles, and what creating and opening costs by number and size of rings.
///
/// Names are CURVE/NAME/X, and rings and bytes. Everything polls. Ours and the pipe between two processes, rtrb (as a ring
/// of bytes) and ArrayQueue between threads.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: reporting::Arguments<60>,

    /// No ring above so many bytes; four times as much memory is needed in all, twice over for the copies of rivals
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = clap::value_parser!(u64).range(4096..=1 << 30))]
    largest: u64,

    /// No more rings at a time than so many
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rings: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (plan, spoil) = (arguments.common.plan(), arguments.common.spoil());
    let extent = curves::Extent { largest: arguments.largest, rings: arguments.rings, spoil };
    arguments.common.finish("curves", curves::run(&plan, extent))
}
