//! Histories: what processes on one ring did, when they began it and when it was done, and whether a queue can explain
//! it. Small ones are searched through (`model.rs`), also with processes killed in the middle of an operation; of runs
//! of many messages the patterns are checked as they go by (`long.rs`). `ci/histories.sh` runs it.

#[allow(dead_code, reason = "shared with other campaigns, which need more of it")]
#[path = "../../backing.rs"]
mod backing;
#[allow(dead_code, reason = "shared with the storm, which needs more of it")]
#[path = "../../chance.rs"]
mod chance;
#[allow(dead_code, reason = "shared with the storm, which needs more of it")]
#[path = "../../ends.rs"]
mod ends;
mod long;
mod model;
mod page;
mod small;
mod strict;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::SystemTime;

use backing::Backing;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
histories [--histories N] [--messages M] [--seed S] [--backing posix|file|memfd|strict]
          [--plant lose|double|reorder|empty|full]

N small histories (default 2000), then runs of M messages (default 1000000). A plant is a bug of the workers': histories
must exit 1. Strict rings are SPSC alone, and end with either side.";

/// A bug of the workers', to see that the checkers can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    None,
    /// A message is received and not told of.
    Lose,
    /// A message is told of twice.
    Double,
    /// Two messages are told of in the wrong order.
    Reorder,
    /// Empty, without having looked.
    Empty,
    /// Full, without having looked.
    Full,
}

impl Plant {
    const ALL: [(Self, &str); 6] = [
        (Self::None, "none"),
        (Self::Lose, "lose"),
        (Self::Double, "double"),
        (Self::Reorder, "reorder"),
        (Self::Empty, "empty"),
        (Self::Full, "full"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(plant, _)| *plant == self).map_or("", |(_, name)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(plant, _)| *plant)
    }
}

/// The command line.
struct Orders {
    histories: u64,
    messages: u64,
    seed: u64,
    backing: Backing,
    /// Rings that are handed over, instead of a backing.
    strict: bool,
    plant: Plant,
}

fn parse(arguments: &[String]) -> Option<Orders> {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let mut orders = Orders {
        histories: 2000,
        messages: 1_000_000,
        seed,
        backing: Backing::default(),
        strict: false,
        plant: Plant::None,
    };
    for option in arguments.chunks(2) {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--histories" => orders.histories = value.parse().ok()?,
            "--messages" => orders.messages = value.parse().ok()?,
            "--seed" => orders.seed = value.parse().ok()?,
            "--backing" if value == strict::NAME => orders.strict = true,
            "--backing" => orders.backing = Backing::parse(value)?,
            "--plant" => orders.plant = Plant::parse(value)?,
            _ => return None,
        }
    }
    Some(orders)
}

fn campaign(orders: &Orders) -> Result<(), Failure> {
    println!("seed {}", orders.seed);
    let counts = small::campaign(orders)?;
    let messages = long::campaign(orders)?;
    println!("{} operations, {} histories with a death", counts.operations, counts.deaths);
    println!("histories: {} histories, {messages} messages, 0 not linearizable", counts.histories);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match arguments.first().map(String::as_str) {
        Some("small") => small::worker(&arguments[1..]),
        Some("long") => long::worker(&arguments[1..]),
        _ => {
            let Some(orders) = parse(&arguments) else {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            };
            campaign(&orders)
        }
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("histories: {e}");
            ExitCode::FAILURE
        }
    }
}
