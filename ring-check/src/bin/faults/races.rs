//! Eight processes at once create or open a ring of one name, round after round: one of them creates it, and nobody ever
//! sees half of one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ring_shm::{Kind, SetupErrorKind, mpmc, spsc};

use crate::Failure;
use crate::chance::now;

/// Processes that race.
const RACERS: usize = 8;

/// How long before the start of a round they are told of it: time to get there, and to wait for the moment.
const NOTICE: Duration = Duration::from_micros(400);

const CAPACITY: u64 = 4096;
const SLOTS: u64 = 8;

/// What is wrong with a racer, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// It says that it has created what another one has.
    Claims,
    /// It makes the name first and the ring later.
    HalfMade,
}

impl Plant {
    pub(crate) const ALL: [Self; 2] = [Self::Claims, Self::HalfMade];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Claims => "claims",
            Self::HalfMade => "half-made",
        }
    }
}

struct Racer {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Racer {
    fn start(plant: Plant) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["racer", plant.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take().ok_or("no standard input")?;
        let from = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        Ok(Self { process, to, from })
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Races `rounds` times, half of them for rings of either kind.
pub(crate) fn run(rounds: u64, plant: Plant) -> Result<(), Failure> {
    let mut racers = (0..RACERS).map(|_| Racer::start(plant)).collect::<Result<Vec<_>, _>>()?;
    for round in 0..rounds {
        let kind = ["spsc", "mpmc"][(round % 2) as usize];
        let start = now() + NOTICE.as_nanos() as u64;
        for racer in &mut racers {
            writeln!(racer.to, "{kind} race-{round} {start}")?;
        }
        let mut answers = Vec::new();
        for racer in &mut racers {
            let mut line = String::new();
            racer.from.read_line(&mut line)?;
            answers.push(line.trim_end().to_owned());
        }
        ring_shm::unlink(format!("race-{round}"), true)?;
        let creators = answers.iter().filter(|answer| answer.starts_with("created ")).count();
        let seen = answers[0].split_once(' ').map_or("", |(_, seen)| seen);
        if creators != 1 || seen.is_empty() || !answers.iter().all(|answer| answer.ends_with(seen)) {
            return Err(format!("round {round}, {kind}: {answers:?}").into());
        }
    }
    Ok(())
}

/// A racer: told of a round, it says in one line what it did and which ring it sees.
pub(crate) fn race(plant: &str) -> Result<(), Failure> {
    let plant = Plant::ALL.into_iter().find(|one| one.name() == plant).unwrap_or(Plant::None);
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, name, start] = words[..] else { return Err("what round?".into()) };
        let start: u64 = start.parse()?;
        while now() < start {
            std::hint::spin_loop();
        }
        let answer = once(kind == "mpmc", name, plant).unwrap_or_else(|error| format!("failed: {error}"));
        println!("{answer}");
    }
    Ok(())
}

fn once(mpmc: bool, name: &str, plant: Plant) -> Result<String, Failure> {
    if plant == Plant::HalfMade {
        std::fs::OpenOptions::new().create(true).append(true).open(format!("/dev/shm/ring.{name}"))?.set_len(4096)?;
    }
    // Every other process does not create but waits for the ring to appear.
    let created = if std::process::id() % 2 == 0 && plant == Plant::None {
        loop {
            match ring_shm::kind_of(name) {
                Ok(_) => break create(mpmc, name)?,
                Err(error) if error.kind() == SetupErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
    } else {
        create(mpmc, name)?
    };
    let word = if created || plant == Plant::Claims { "created" } else { "opened" };
    let generation = match ring_shm::kind_of(name)? {
        Kind::Mpmc if mpmc => {
            drop(mpmc::Consumer::open(name)?);
            let ring = mpmc::inspect(name)?;
            if ring.slots != SLOTS {
                return Err(format!("half a ring: {ring:?}").into());
            }
            ring.generation
        }
        Kind::Spsc if !mpmc => {
            let ring = spsc::inspect(name)?;
            if ring.capacity != CAPACITY {
                return Err(format!("half a ring: {ring:?}").into());
            }
            ring.generation
        }
        kind => return Err(format!("a ring of another kind: {kind:?}").into()),
    };
    Ok(format!("{word} {generation:016x}"))
}

/// Creates the ring; false if somebody else has.
fn create(mpmc: bool, name: &str) -> Result<bool, Failure> {
    let made = if mpmc {
        mpmc::create(name, &mpmc::Options::new().slots(SLOTS).slot_size(48))
    } else {
        spsc::create(name, &spsc::Options::new().capacity(CAPACITY))
    };
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == SetupErrorKind::Exists => Ok(false),
        Err(error) => Err(error.into()),
    }
}
