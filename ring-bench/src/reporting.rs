//! What the programs that write a report have in common: most of their arguments, printing, recording, the exit status.

use crate::run::{self, Plan};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arguments that all of them have.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run only what has this in its name; a wrong one is answered with those there are
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Stop after so many minutes of rounds
    #[arg(long, value_name = "M", default_value_t = 3.0, value_parser = run::minutes)]
    minutes: f64,

    /// Print one JSON object a line instead of the tables
    #[arg(long)]
    json: bool,

    /// Write the tables, the raw figures as CSV, and the plots there are to DIR, in the place of those of an earlier run: all of them, so not with --only
    #[arg(long, value_name = "DIR", conflicts_with = "only")]
    record: Option<PathBuf>,

    /// Damage something, to see that the run ends with an error
    #[arg(long, hide = true)]
    spoil: bool,
}

/// What a program has measured.
pub trait Findings {
    /// The tables, and how much was dropped.
    fn table(&self) -> String;
    /// One object a line.
    fn json(&self) -> String;
    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool;
    /// Writes the report to `folder`; `table` is what [`table`](Self::table) has said.
    ///
    /// # Errors
    /// In words for people.
    fn record(&self, folder: &Path, table: &str) -> Result<(), String>;
}

impl Arguments {
    /// What to run; `rounds` is the argument that each program has with a default of its own.
    #[must_use]
    pub fn plan(&self, rounds: u32) -> Plan {
        Plan::new(self.only.clone(), rounds, self.minutes)
    }

    /// Whether something is to be damaged.
    #[must_use]
    pub fn spoil(&self) -> bool {
        self.spoil
    }

    /// Prints and records; the exit status.
    pub fn finish<F: Findings>(&self, program: &str, measured: Result<F, String>) -> ExitCode {
        let done = measured.and_then(|findings| {
            let table = findings.table();
            if self.json {
                print!("{}", findings.json());
            } else {
                print!("{table}");
            }
            self.record.as_deref().map_or(Ok(()), |folder| findings.record(folder, &table))?;
            Ok(findings.interrupted())
        });
        match done {
            Ok(false) => ExitCode::SUCCESS,
            Ok(true) => ExitCode::from(130),
            Err(why) => {
                eprintln!("{program}: {why}");
                ExitCode::from(3)
            }
        }
    }
}
