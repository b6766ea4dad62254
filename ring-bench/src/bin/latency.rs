//! `latency`: percentiles of single operations; see the crate's README.
//!
//! Only arguments, output and the exit status live here: 0 measured, 2 wrong arguments, 3 nothing could be measured or
//! recorded, or a message was wrong, 130 interrupted (what was measured is still printed).

use clap::Parser;
use ring_bench::{Clock, latency, run};
use std::path::PathBuf;
use std::process::ExitCode;

/// Percentiles of single operations, one way and round trip, polled and parked, ours beside the rivals.
///
/// Messages of eight bytes are sent at a stated rate; the time of each runs from the moment it was due, so that a stall
/// counts for all that it held up. Ours between two processes, rtrb and ArrayQueue between threads.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run only what has this in its GROUP/NAME, such as rtt-polled or ours-spsc
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Stop after so many minutes of measuring
    #[arg(long, value_name = "M", default_value_t = 3.0, value_parser = run::minutes)]
    minutes: f64,

    /// Stop after so many rounds, if that is sooner
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

    /// Print one JSON object a line instead of the tables
    #[arg(long)]
    json: bool,

    /// Write latency.md, latency.csv and the plots to DIR, in the place of those of an earlier run: all of them, so not with --only
    #[arg(long, value_name = "DIR", conflicts_with = "only")]
    record: Option<PathBuf>,

    /// Damage a message, to see that the run ends with an error
    #[arg(long, hide = true)]
    spoil: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = run::Plan::new(arguments.only, arguments.rounds, arguments.minutes);
    let clock = Clock::calibrate();
    let (findings, report) = match latency::run(&plan, clock, arguments.spoil) {
        Ok(done) => done,
        Err(why) => {
            eprintln!("latency: {why}");
            return ExitCode::from(3);
        }
    };
    let table = latency::table(&findings, &report, clock);
    if arguments.json {
        print!("{}", latency::json(&findings));
    } else {
        print!("{table}");
    }
    if let Some(folder) = &arguments.record {
        if let Err(why) = latency::record(folder, &findings, &table) {
            eprintln!("latency: {why}");
            return ExitCode::from(3);
        }
    }
    if report.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS }
}
