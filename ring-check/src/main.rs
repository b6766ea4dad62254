//! The kill storm: processes send and receive over SPSC and MPMC rings, are killed and stopped at random, and replaced;
//! in the end every message that a sender was told is committed must have arrived, once, or flagged where a receiver
//! that died may have seen it. `ci/storm.sh` runs it.

#[allow(dead_code, reason = "other campaigns use more of it")]
mod backing;
mod chance;
mod ends;
mod ledger;
mod round;
mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use backing::{Backing, Site};
use chance::Rng;
use ends::Kind;
use ledger::Ledger;
use round::Outcome;
use worker::Task;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
storm [--kills N | --minutes M] [--seed S] [--kind spsc|mpmc] [--backing posix|file|memfd]
      [--plant drop-every-1000|hide-flag]

Kills N processes (default 300), or goes on for M minutes. The seed repeats the choices, not the scheduler's.
A plant is a bug that the storm has to find: it must exit 1.";

/// A bug planted into the receivers, to see that the storm can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    None,
    /// Every thousandth message is released without having been looked at.
    Drop,
    /// Redelivered messages pass for fresh ones.
    HideFlag,
}

impl Plant {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Drop => "drop-every-1000",
            Self::HideFlag => "hide-flag",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Drop, Self::HideFlag].into_iter().find(|plant| plant.name() == text)
    }
}

/// The command line.
struct Orders {
    kills: u64,
    until: Option<Duration>,
    seed: u64,
    kind: Option<Kind>,
    backing: Backing,
    plant: Plant,
}

fn parse(arguments: &[String]) -> Option<Orders> {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let mut orders =
        Orders { kills: 300, until: None, seed, kind: None, backing: Backing::default(), plant: Plant::None };
    for option in arguments.chunks(2) {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--kills" => orders.kills = value.parse().ok()?,
            "--minutes" => {
                let minutes: f64 = value.parse().ok()?;
                orders.until = Some(Duration::try_from_secs_f64(minutes * 60.0).ok()?);
                orders.kills = u64::MAX;
            }
            "--seed" => orders.seed = value.parse().ok()?,
            "--kind" => orders.kind = Some(Kind::parse(value)?),
            "--backing" => orders.backing = Backing::parse(value)?,
            "--plant" => orders.plant = Plant::parse(value)?,
            _ => return None,
        }
    }
    Some(orders)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "worker") {
        return match work(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("worker {}: {e}", arguments[1..].join(" "));
                ExitCode::FAILURE
            }
        };
    }
    let Some(orders) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match storm(&orders) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("storm: {e}");
            ExitCode::FAILURE
        }
    }
}

/// What a worker does.
fn work(arguments: &[String]) -> Result<(), Failure> {
    let [role, kind, name, ledger, number, seed, plant] = arguments else { return Err("arguments".into()) };
    let task = Task {
        kind: Kind::parse(kind).ok_or("kind")?,
        name: name.clone(),
        ledger: Ledger::join(Path::new(ledger))?,
        number: number.parse()?,
        rng: Rng(seed.parse()?),
        plant: Plant::parse(plant).ok_or("plant")?,
    };
    if role == "send" { worker::send(task) } else { worker::receive(task) }
}

/// All rounds; whether nothing went wrong.
fn storm(orders: &Orders) -> Result<bool, Failure> {
    println!("seed {}", orders.seed);
    let (start, mut rng, mut total) = (Instant::now(), Rng(orders.seed), Outcome::default());
    let prefix = format!("storm-{}-", std::process::id());
    let mut rounds = 0;
    let mut failed = false;
    while total.kills < orders.kills && orders.until.is_none_or(|until| start.elapsed() < until) {
        let kind = orders.kind.unwrap_or(if rng.once_in(4) { Kind::Spsc } else { Kind::Mpmc });
        let (name, seed) = (format!("{prefix}{rounds}"), rng.next());
        rounds += 1;
        let site = Site::new(orders.backing, &name)?;
        match round::run(kind, &site, seed, orders.kills - total.kills, orders.plant) {
            Ok(outcome) => total.add(outcome),
            Err(e) => {
                println!("round {rounds} (seed {seed}): {e}");
                (failed, total.stuck) = (true, total.stuck + 1);
                break;
            }
        }
    }
    let left = orders.backing.left_behind(&prefix)?;
    if !left.is_empty() {
        println!("left behind: {left:?}");
        failed = true;
    }
    println!("rounds: {rounds}, {:.1} s", start.elapsed().as_secs_f64());
    println!(
        "blocked by a dead claim: {} times, went on after {}; polling all the while, {}",
        total.stalls.len(),
        spread(&mut total.stalls),
        spread(&mut total.polling)
    );
    println!(
        "storm: {} kills, {} messages, {} lost, {} unflagged duplicates, {} stuck",
        total.kills, total.messages, total.lost, total.duplicates, total.stuck
    );
    Ok(!failed && total.lost + total.duplicates + total.stuck == 0)
}

/// Median, 99th percentile and maximum of times in nanoseconds.
fn spread(all: &mut [u64]) -> String {
    all.sort_unstable();
    let at = |share: f64| {
        let index = (all.len() as f64 * share) as usize;
        all.get(index.min(all.len().saturating_sub(1))).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    };
    format!("p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms", at(0.5), at(0.99), at(1.0))
}
