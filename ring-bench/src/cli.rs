//! The command line of `ratios` and of other programs that run other lists by the same harness.
//!
//! Only arguments, output and the exit status live here: 0 all targets reached (or too few rounds to say), 1 a target
//! was missed, 2 wrong arguments, 3 nothing could be measured (or recorded), 130 interrupted (what was measured is still
//! printed).

use crate::{record, report, run};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares ring-shm between two processes with its rivals and with what the hardware allows.
///
/// Candidates run in turn in short slices on two pinned CPUs; each row is the median over rounds of the ratio of two
/// slices of one round, apart for each placement of the CPUs (S one core, C one cache, X further apart). Both sides of
/// a row have the same bytes of capacity: 8-KiB rings for round trips (rtt), 256-KiB rings one way.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run only rows (and candidates) whose name contains this
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Stop at the latest after so many minutes of measuring
    #[arg(long, value_name = "M", default_value_t = 6.0, value_parser = run::minutes)]
    minutes: f64,

    /// Stop once every row has so many rounds of one class
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

    /// Print one JSON object a line instead of the table
    #[arg(long)]
    json: bool,

    /// Append the table to FILE, with the date, the machine and this command
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Runs `lists` as the arguments say, prints, and returns the exit status.
#[must_use]
pub fn main(lists: run::Lists) -> ExitCode {
    let arguments = Arguments::parse();
    let plan = run::Plan::new(arguments.only, arguments.rounds, arguments.minutes);
    let report = match run::run(&plan, lists) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("ratios: {why}");
            return ExitCode::from(3);
        }
    };
    print!("{}", if arguments.json { report::json(&report) } else { report::table(&report) });
    if let Some(file) = &arguments.record {
        if let Err(why) = record::append(file, &report::table(&report)) {
            eprintln!("ratios: cannot record in {}: {why}", file.display());
            return ExitCode::from(3);
        }
    }
    if report.interrupted {
        ExitCode::from(130)
    } else if report.findings.iter().any(|finding| finding.pass() == Some(false)) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}
