//! `costs`: what atomic operations cost here, and what follows from it past two cores; see the crate's README.
//!
//! Only arguments, output and the exit status live here: 0 measured, 2 wrong arguments, 3 nothing could be measured or
//! recorded, or an operation did not do what it is for, 130 interrupted (what was measured is still printed).

use clap::Parser;
use ring_bench::{costs, reporting};
use std::process::ExitCode;

/// What a compare-and-swap, an exchange, an addition, a fence and the hand-over of a line cost, alone and between two
/// processes; and, computed from that, what several producers can get out of one word, of lanes and of batches.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: reporting::Arguments<200>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = arguments.common.plan();
    arguments.common.finish("costs", costs::run(&plan, arguments.common.spoil()))
}
