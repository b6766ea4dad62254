//! What the programs that write a report have in common: most of their arguments, printing, recording, the exit status.

use crate::run::{self, Plan, Report};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arguments that all of them have; `ROUNDS` is how many rounds there are unless the user says so.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments<const ROUNDS: u32> {
    /// Run only what has this in its name; a wrong one is answered with those there are
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Stop after so many minutes of rounds
    #[arg(long, value_name = "M", default_value_t = 3.0, value_parser = run::minutes)]
    minutes: f64,

    /// Stop after so many rounds, if that is sooner
    #[arg(long, value_name = "N", default_value_t = ROUNDS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

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
    /// One object each.
    fn json(&self) -> Vec<serde_json::Value>;
    /// How the rounds went.
    fn report(&self) -> &Report;
    /// Writes the report to `folder`; `table` is what [`table`](Self::table) has said.
    ///
    /// # Errors
    /// In words for people.
    fn record(&self, folder: &Path, table: &str) -> Result<(), String>;
}

impl<const ROUNDS: u32> Arguments<ROUNDS> {
    /// What to run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(self.only.clone(), self.rounds, self.minutes)
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
                findings.json().iter().for_each(|object| println!("{object}"));
            } else {
                print!("{table}");
            }
            self.record.as_deref().map_or(Ok(()), |folder| findings.record(folder, &table))?;
            Ok(findings.report().interrupted)
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    /// As the programs have it, and called as they call it.
    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        _common: super::Arguments<7>,
    }

    #[test]
    fn arguments_fit_together() {
        Arguments::command().debug_assert();
        assert_eq!(Arguments::parse_from(["program"])._common.plan().rounds, 7);
    }
}
