//! `curves`: throughput by size, capacity and handles, and the cost of creating and opening; see the crate's README.
//!
//! Only arguments, output and the exit status live here: 0 measured, 2 wrong arguments, 3 nothing could be measured or
//! recorded, or a message was wrong, 130 interrupted (what was measured is still printed).

use clap::Parser;
use ring_bench::{curves, run};
use std::path::PathBuf;
use std::process::ExitCode;

/// Throughput by message size, capacity and handles, and what creating and opening costs by number and size of rings.
///
/// Everything polls. Ours and the pipe between two processes, rtrb (as a ring of bytes) and ArrayQueue between threads.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run only what has this in its CURVE/NAME/X, or the curve rings or bytes
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Stop after so many minutes of rounds
    #[arg(long, value_name = "M", default_value_t = 3.0, value_parser = run::minutes)]
    minutes: f64,

    /// Stop after so many rounds, if that is sooner
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

    /// No ring above so many bytes; four times as much memory is needed in all, twice over for the copies of rivals
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = clap::value_parser!(u64).range(4096..=1 << 30))]
    largest: u64,

    /// No more rings at a time than so many
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rings: u64,

    /// Print one JSON object a line instead of the tables
    #[arg(long)]
    json: bool,

    /// Write curves.md, curves.csv and the plots to DIR, in the place of those of an earlier run: all of them, so not with --only
    #[arg(long, value_name = "DIR", conflicts_with = "only")]
    record: Option<PathBuf>,

    /// Damage a message, to see that the run ends with an error
    #[arg(long, hide = true)]
    spoil: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = run::Plan::new(arguments.only, arguments.rounds, arguments.minutes);
    let extent = curves::Extent { largest: arguments.largest, rings: arguments.rings, spoil: arguments.spoil };
    let (points, report) = match curves::run(&plan, extent) {
        Ok(done) => done,
        Err(why) => {
            eprintln!("curves: {why}");
            return ExitCode::from(3);
        }
    };
    let table = curves::table(&points, &report);
    if arguments.json {
        print!("{}", curves::json(&points));
    } else {
        print!("{table}");
    }
    if let Some(folder) = &arguments.record {
        if let Err(why) = curves::record(folder, &points, &table) {
            eprintln!("curves: {why}");
            return ExitCode::from(3);
        }
    }
    if report.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS }
}
