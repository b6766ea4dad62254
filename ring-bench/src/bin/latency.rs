//! `latency`: percentiles of single operations; see the crate's README.
//!
//! Only arguments, output and the exit status live here: 0 measured, 2 wrong arguments, 3 nothing could be measured or
//! recorded, or a message was wrong, 130 interrupted (what was measured is still printed).

use clap::Parser;
use ring_bench::{Clock, latency, reporting};
use std::process::ExitCode;

/// Percentiles of single operations, one way and round trip, polled and parked, ours beside the rivals.
///
/// Messages of eight bytes are sent at a stated rate; the time of each runs from the moment it was due, so that a stall
/// counts for all that it held up. Names are GROUP/NAME, such as rtt-polled/ours-spsc. Ours between two processes, rtrb and
/// ArrayQueue between threads.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: reporting::Arguments<1_000_000>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = arguments.common.plan();
    arguments.common.finish("latency", latency::run(&plan, Clock::calibrate(), arguments.common.spoil()))
}
