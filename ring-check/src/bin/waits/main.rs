//! Sleeps by the million, with signals raining and senders dying: no wait may outlive its deadline by more than a slice,
//! and a message may lie there unseen for long only where its sender died before it could wake anybody. `ci/waits.sh`
//! runs it.

mod awaiter;
#[path = "../../backing.rs"]
#[allow(dead_code, reason = "shared with other campaigns, which use more of it")]
mod backing;
#[path = "../../chance.rs"]
#[allow(dead_code, reason = "shared with the storm, which uses more of it")]
mod chance;
mod sender;
mod sleeper;

use std::ops::RangeInclusive;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use backing::{Backing, Site};
use chance::{Rng, now};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use ring_shm::{mpmc, spsc};

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
waits [--sleeps N] [--seed S] [--by threads|tasks] [--backing posix|file|memfd] [--plant deaf|late]

Three receivers sleep N times in all (default 30000) while their senders are killed and stopped, and a fourth one, which
is not counted, is killed: threads that park, or tasks that await, and are dropped now and then. A plant is a bug that has
to be found: `deaf` sleepers announce nothing, so that nobody wakes them; `late` ones sleep past their deadlines.";

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
        ["sleeper", kind, name, seed, sleeps, plant] => sleeper::run(kind, name, seed, sleeps, plant),
        ["awaiter", kind, name, seed, awaits, plant] => awaiter::run(kind, name, seed, awaits, plant),
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

/// A process of this program, killed when it is dropped.
struct Worker {
    process: Child,
    kind: Kind,
    name: String,
    /// A sender's number.
    id: u32,
}

/// Somebody's death.
struct Death {
    /// The senders whose messages it may have delayed: the dead one, or all that the receiver had that is not counted.
    senders: RangeInclusive<u32>,
    /// The time of day.
    when: u64,
}

/// Which messages a death may have delayed: those that lay there for as long before it, at most. A wake-up dies with its
/// sender, or with whom it was for, within the time that a process is kept off a CPU.
const BEFORE_DEATH: Duration = Duration::from_millis(5);

/// The senders of the MPMC ring.
const OF_MPMC: RangeInclusive<u32> = 2..=3;

impl Death {
    fn accounts_for(&self, sender: u32, sent: u64) -> bool {
        self.senders.contains(&sender)
            && self.when.checked_sub(sent).is_some_and(|gap| u128::from(gap) < BEFORE_DEATH.as_nanos())
    }
}

impl Worker {
    fn sender(id: u32, kind: Kind, name: &str, rng: &mut Rng) -> Result<Self, Failure> {
        let mut worker = Self::start("sender", kind, name, &[&rng.next().to_string(), &id.to_string()])?;
        worker.id = id;
        Ok(worker)
    }

    fn start(role: &str, kind: Kind, name: &str, more: &[&str]) -> Result<Self, Failure> {
        let process = Command::new(std::env::current_exe()?)
            .args([role, kind.name(), name])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self { process, kind, name: name.into(), id: 0 })
    }

    fn signal(&self, signal: Signal) {
        // Not reaped, so the number is its own still.
        let _ = kill(Pid::from_raw(self.process.id() as i32), signal);
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// The command line.
struct Orders {
    sleeps: u64,
    seed: u64,
    backing: Backing,
    plant: Plant,
    /// What sleeps.
    role: &'static str,
}

fn parse(args: &[String]) -> Result<Orders, Failure> {
    let mut orders =
        Orders { sleeps: 30_000, seed: now(), backing: Backing::default(), plant: Plant::None, role: "sleeper" };
    for pair in args.chunks(2) {
        match pair {
            [option, value] if option == "--sleeps" => orders.sleeps = value.parse()?,
            [option, value] if option == "--seed" => orders.seed = value.parse()?,
            [option, value] if option == "--plant" => orders.plant = Plant::parse(value).ok_or(USAGE)?,
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
    let Orders { sleeps, seed, backing, plant, role } = parse(args)?;
    println!("seed {seed}");
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
    let share = sleeps.div_ceil(3).to_string();
    let mut sleepers = Vec::new();
    for (kind, name) in [(Kind::Spsc, one), (Kind::Mpmc, many), (Kind::Mpmc, many)] {
        sleepers.push(Worker::start(role, kind, name, &[&rng.next().to_string(), &share, plant.name()])?);
    }
    let mut senders = Vec::new();
    for (id, kind, name) in [(1, Kind::Spsc, one), (2, Kind::Mpmc, many), (3, Kind::Mpmc, many)] {
        senders.push(Worker::sender(id, kind, name, &mut rng)?);
    }
    let start = Instant::now();
    let deaths = {
        let plant = plant.name();
        let mut bystander = |rng: &mut Rng| {
            Worker::start(role, Kind::Mpmc, many, &[&rng.next().to_string(), &u64::MAX.to_string(), plant])
        };
        rain(&mut rng, &mut sleepers, &mut senders, &mut bystander)?
    };
    let took = start.elapsed();
    drop(senders);
    report(sleepers, &deaths, took)
}

/// Signals to sleepers, death and standstill to senders, and death to the `bystander`, until the sleepers have had enough.
/// Who died.
fn rain(
    rng: &mut Rng,
    sleepers: &mut [Worker],
    senders: &mut [Worker],
    bystander: &mut dyn FnMut(&mut Rng) -> Result<Worker, Failure>,
) -> Result<Vec<Death>, Failure> {
    let (mut deaths, mut beside) = (Vec::new(), bystander(rng)?);
    let end = Instant::now() + Duration::from_secs(3600);
    while Instant::now() < end {
        let mut busy = false;
        for sleeper in &mut *sleepers {
            busy |= sleeper.process.try_wait()?.is_none();
        }
        if !busy {
            return Ok(deaths);
        }
        thread::sleep(Duration::from_micros(rng.below(3000)));
        let sleeper = &mut sleepers[rng.below(3) as usize];
        if sleeper.process.try_wait()?.is_none() {
            sleeper.signal(Signal::SIGUSR1);
        }
        let sender = &mut senders[rng.below(3) as usize];
        match rng.below(64) {
            0 => {
                beside.end();
                deaths.push(Death { senders: OF_MPMC, when: now() });
                beside = bystander(rng)?;
            }
            1..8 => {
                sender.end();
                deaths.push(Death { senders: sender.id..=sender.id, when: now() });
                *sender = Worker::sender(sender.id, sender.kind, &sender.name, rng)?;
            }
            8..16 => {
                sender.signal(Signal::SIGSTOP);
                thread::sleep(Duration::from_micros(rng.below(500)));
                sender.signal(Signal::SIGCONT);
            }
            _ => {}
        }
    }
    Err("the sleepers do not come to an end".into())
}

/// Adds up what the sleepers say, and judges.
fn report(sleepers: Vec<Worker>, deaths: &[Death], took: Duration) -> Result<(), Failure> {
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
    let accounted = |late: &&(u32, u64)| deaths.iter().any(|death| death.accounts_for(late.0, late.1));
    let lost = total.late_seen - total.late.iter().filter(accounted).count() as u64;
    let sleeper::Account { sleeps, received, awaited, late_max_us, overslept, late_seen, .. } = total;
    let (kills, rate) = (deaths.len(), sleeps as f64 / took.as_secs_f64());
    println!(
        "waits: {sleeps} sleeps ({rate:.0} a second), {received} messages, {kills} kills, latest {late_max_us} us, \
         {overslept} overslept, {late_seen} seen late, {lost} of them without a death"
    );
    let mut wrong = Vec::new();
    if overslept > 0 {
        wrong.push(format!("overslept: {overslept} waits outlived their deadline by more than a slice"));
    }
    // The host may hold up a few.
    if lost > awaited / 2000 + 2 {
        wrong.push(format!(
            "lost: {late_seen} messages of the {awaited} that were slept for were seen late, {lost} of them though nobody \
             died"
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\nwaits: ").into()) }
}
