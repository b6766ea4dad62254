//! The flipper: one process writes random words over a whole ring, control block, participants and data alike, while
//! others go on working with it. They may be told `Corrupt`, or any other documented refusal, or get data that nobody
//! sent; they may not crash, panic or hang. `ci/flipper.sh` runs it.

#[allow(dead_code, reason = "shared with other campaigns, which need more of it")]
#[path = "../../backing.rs"]
mod backing;
#[allow(dead_code, reason = "shared with the storm, which needs more of it")]
#[path = "../../chance.rs"]
mod chance;
#[allow(dead_code, reason = "shared with the storm, which needs more of it")]
#[path = "../../ends.rs"]
mod ends;
mod vandal;
mod worker;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Instant, SystemTime};

use backing::{Backing, Site};
use chance::Rng;
use ends::Kind;
use worker::Plant;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
flipper [--operations N] [--seed S] [--backing posix|file|memfd] [--plant panic|hang|crash]

N operations (default 1000000) on rings of either kind under random words. The seed repeats the choices, not the
scheduler's. A plant is a bug of the worker's: the flipper must exit 1.";

/// Operations of one round, over all its workers.
const ROUND: u64 = 200_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match arguments.first().map(String::as_str) {
        Some("vandal") => vandal::run(&arguments[1..]),
        Some("worker") => worker::run(&arguments[1..]),
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
            eprintln!("flipper: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The command line.
struct Orders {
    operations: u64,
    seed: u64,
    backing: Backing,
    plant: Plant,
}

fn parse(arguments: &[String]) -> Option<Orders> {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let mut orders = Orders { operations: 1_000_000, seed, backing: Backing::default(), plant: Plant::None };
    for option in arguments.chunks(2) {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--operations" => orders.operations = value.parse().ok()?,
            "--seed" => orders.seed = value.parse().ok()?,
            "--backing" => orders.backing = Backing::parse(value)?,
            "--plant" => orders.plant = Plant::parse(value)?,
            _ => return None,
        }
    }
    Some(orders)
}

/// What came of one or more rounds: operations, handles found corrupt, words written.
#[derive(Default)]
struct Outcome {
    operations: u64,
    corrupt: u64,
    words: u64,
}

fn campaign(orders: &Orders) -> Result<(), Failure> {
    println!("seed {}", orders.seed);
    let (start, mut rng, mut total, mut round) = (Instant::now(), Rng(orders.seed), Outcome::default(), 0);
    while total.operations < orders.operations {
        let kind = if round % 3 == 0 { Kind::Spsc } else { Kind::Mpmc };
        let site = Site::new(orders.backing, &format!("flipper-{}-{round}", std::process::id()))?;
        let share = ROUND.min(orders.operations - total.operations);
        let told = play(kind, site.text(), share, &mut rng, orders.plant);
        site.remove(true)?;
        let outcome = told.map_err(|e| format!("round {round} ({}): {e}", kind.name()))?;
        total.operations += outcome.operations;
        total.corrupt += outcome.corrupt;
        total.words += outcome.words;
        round += 1;
    }
    println!("rounds: {round}, {:.1} s", start.elapsed().as_secs_f64());
    println!(
        "flipper: {} operations, {} words written, {} handles found corrupt, 0 crashes, 0 panics, 0 hangs",
        total.operations, total.words, total.corrupt
    );
    Ok(())
}

/// A child that is not left behind.
struct Peer(Child);

impl Peer {
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        Ok(Self(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
    }

    /// Waits for its end, which must be a good one, and for its numbers.
    fn finish(&mut self, what: &str) -> Result<Vec<u64>, Failure> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            std::io::Read::read_to_string(&mut out, &mut said)?;
        }
        let status = self.0.wait()?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(said.split_whitespace().filter_map(|number| number.parse().ok()).collect()),
            (_, Some(14)) => Err(format!("the {what} hung: its alarm went off").into()),
            (_, Some(signal)) => Err(format!("the {what} crashed: signal {signal}").into()),
            (code, _) => Err(format!("the {what} failed with {code:?}; its words are above").into()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One ring, its vandal and two who work with it.
fn play(kind: Kind, name: &str, operations: u64, rng: &mut Rng, plant: Plant) -> Result<Outcome, Failure> {
    ends::create(kind, name, rng)?;
    let mut vandal = Peer::start(&["vandal", name, &rng.next().to_string()])?;
    let share = operations.div_ceil(2).to_string();
    let worker =
        |role, seed: u64| Peer::start(&["worker", role, kind.name(), name, &share, &seed.to_string(), plant.name()]);
    let (mut tx, mut rx) = (worker("send", rng.next())?, worker("receive", rng.next())?);
    let mut outcome = Outcome::default();
    for numbers in [tx.finish("sender")?, rx.finish("receiver")?] {
        outcome.operations += numbers.first().ok_or("a worker without numbers")?;
        outcome.corrupt += numbers.get(1).ok_or("a worker without numbers")?;
    }
    outcome.words = vandal.finish("vandal")?.into_iter().sum();
    Ok(outcome)
}
