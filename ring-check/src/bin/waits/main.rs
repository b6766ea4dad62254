//! Sleeps by the million, with signals raining and senders dying: no wait may outlive its deadline by more than a slice,
//! and a message may lie there unseen for long only where its sender died before it could wake anybody, or where who had
//! to act had no CPU. `ci/waits.sh` runs it.

mod awaiter;
#[path = "../../backing.rs"]
#[allow(dead_code, reason = "shared with other campaigns, which use more of it")]
mod backing;
#[path = "../../chance.rs"]
#[allow(dead_code, reason = "shared with the storm, which uses more of it")]
mod chance;
mod rain;
mod sender;
mod signals;
mod sleeper;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use backing::{Backing, Site};
use chance::{Rng, now};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rain::{Rain, Worker};
use ring_shm::{mpmc, spsc};
use sleeper::Late;
use tally::{Share, Tally};

/// Receivers that are counted.
const SLEEPERS: u64 = 3;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
waits [--sleeps N] [--seed S] [--by threads|tasks] [--backing posix|file|memfd] [--plant deaf|late]
      [--busy N]

Three receivers sleep N times in all (default 30000) while their senders are killed and stopped, and a fourth one, which
is not counted, is killed: threads that park, or tasks that await, and are dropped now and then. A plant is a bug that has
to be found: `deaf` sleepers announce nothing, so that nobody wakes them; `late` ones sleep past their deadlines. N busy loops
beside (default 0) take the CPUs from everybody.";

/// A bug planted into the sleepers, to see that the campaign can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    None,
    Deaf,
    Late,
}

impl Plant {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Deaf => "deaf",
            Self::Late => "late",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Deaf, Self::Late].into_iter().find(|plant| plant.name() == text)
    }
}

/// Which ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Spsc,
    Mpmc,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Spsc => "spsc",
            Self::Mpmc => "mpmc",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Spsc, Self::Mpmc].into_iter().find(|kind| kind.name() == text)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["sender", kind, name, seed, id] => sender::run(kind, name, seed, id),
        ["sleeper", kind, name, seed, place, sleeps, plant] => {
            Share::handed(place, sleeps).and_then(|share| sleeper::run(kind, name, seed, share, plant))
        }
        ["awaiter", kind, name, seed, place, sleeps, plant] => {
            Share::handed(place, sleeps).and_then(|share| awaiter::run(kind, name, seed, share, plant))
        }
        _ => campaign(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("waits: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The command line.
struct Orders {
    sleeps: u64,
    seed: u64,
    backing: Backing,
    plant: Plant,
    /// Threads that only take CPU.
    busy: u64,
    /// What sleeps.
    role: &'static str,
}

fn parse(args: &[String]) -> Result<Orders, Failure> {
    let mut orders = Orders {
        sleeps: 30_000,
        seed: now(),
        backing: Backing::default(),
        plant: Plant::None,
        busy: 0,
        role: "sleeper",
    };
    for pair in args.chunks(2) {
        match pair {
            [option, value] if option == "--sleeps" => orders.sleeps = value.parse()?,
            [option, value] if option == "--seed" => orders.seed = value.parse()?,
            [option, value] if option == "--plant" => orders.plant = Plant::parse(value).ok_or(USAGE)?,
            [option, value] if option == "--busy" => orders.busy = value.parse()?,
            [option, value] if option == "--backing" => orders.backing = Backing::parse(value).ok_or(USAGE)?,
            [option, value] if option == "--by" => {
                orders.role = match value.as_str() {
                    "threads" => "sleeper",
                    "tasks" => "awaiter",
                    _ => return Err(USAGE.into()),
                }
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(orders)
}

fn campaign(args: &[String]) -> Result<(), Failure> {
    let Orders { sleeps, seed, backing, plant, busy, role } = parse(args)?;
    println!("seed {seed}");
    for _ in 0..busy {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    let mut rng = Rng(seed);
    let site = |kind: Kind| Site::new(backing, &format!("waits-{}-{}-{seed}", kind.name(), std::process::id()));
    let sites = [site(Kind::Spsc)?, site(Kind::Mpmc)?];
    let [one, many] = sites.each_ref().map(Site::text);
    spsc::create(one, &spsc::Options::new().capacity(1 << 14))?;
    mpmc::create(many, &mpmc::Options::new().slots(64).slot_size(16).max_participants(32))?;

    // It rains from the first moment: a sleeper that has no handler yet must not die of it. That much is inherited.
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler.
    #[allow(unsafe_code)]
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let tally = Tally::new()?;
    let start_sleeper = |place: u64, kind: Kind, name: &str, sleeps: u64, rng: &mut Rng| {
        let words = [rng.next(), place, sleeps].map(|number| number.to_string());
        let words = [&words[0], &words[1], &words[2], plant.name()];
        Worker::start(role, kind, name, &words, tally.handed()?)
    };
    let mut sleepers = Vec::new();
    for (place, kind, name) in [(0, Kind::Spsc, one), (1, Kind::Mpmc, many), (2, Kind::Mpmc, many)] {
        sleepers.push(start_sleeper(place, kind, name, sleeps, &mut rng)?);
    }
    let mut senders = Vec::new();
    for (id, kind, name) in [(1, Kind::Spsc, one), (2, Kind::Mpmc, many), (3, Kind::Mpmc, many)] {
        senders.push(Worker::sender(id, kind, name, &mut rng)?);
    }
    let (start, mut rain) = (Instant::now(), Rain::default());
    let mut bystander = |rng: &mut Rng| start_sleeper(SLEEPERS, Kind::Mpmc, many, u64::MAX, rng);
    rain.fall(&mut rng, &tally, &mut sleepers, &mut senders, &mut bystander)?;
    let took = start.elapsed();
    rain.ends(senders);
    report(sleepers, &rain, took)
}

/// Adds up what the sleepers say, and judges.
fn report(sleepers: Vec<Worker>, rain: &Rain, took: Duration) -> Result<(), Failure> {
    let mut total = sleeper::Account::default();
    for mut sleeper in sleepers {
        let mut text = String::new();
        if let Some(mut out) = sleeper.process.stdout.take() {
            std::io::Read::read_to_string(&mut out, &mut text)?;
        }
        let status = sleeper.process.wait()?;
        if !status.success() {
            return Err(format!("a sleeper failed: {status}").into());
        }
        print!("{}: {text}", sleeper.kind.name());
        total.add(&text)?;
    }
    let (for_want_of_cpu, rest): (Vec<Late>, _) = total.late.iter().partition(|late| rain.is_for_want_of_cpu(late));
    let by_death = rest.iter().filter(|late| rain.accounts_for(late)).count();
    let lost = total.late_seen - (for_want_of_cpu.len() + by_death) as u64;
    let sleeper::Account { sleeps, received, awaited, late_max_us, overslept, late_seen, stopped, .. } = total;
    let (kills, signals, rate) = (rain.deaths.len(), rain.signals, sleeps as f64 / took.as_secs_f64());
    println!(
        "waits: {sleeps} sleeps ({rate:.0} a second), {received} messages, {awaited} of them slept for, {kills} kills, \
         {signals} signals, {stopped} stopped, latest {late_max_us} us, {overslept} overslept, {late_seen} seen late: \
         {} for want of a CPU, {by_death} by a death, {lost} lost",
        for_want_of_cpu.len()
    );
    let mut wrong = Vec::new();
    if overslept > 0 {
        wrong.push(format!("overslept: {overslept} waits outlived their deadline by more than a slice"));
    }
    // The host may hold up a few.
    if lost > (received / 2000).min(sleeps / 50) + 2 {
        wrong.push(format!(
            "lost: {lost} messages of {received} were seen late though nobody died, and there was a CPU"
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\nwaits: ").into()) }
}
