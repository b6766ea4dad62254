//! Waits over and over, for random times, asleep from the first moment, and keeps account of how late it was.

use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::wait::{Idle, Round, SLICE, WaitStrategy};
use ring_shm::{mpmc, spsc};

use super::chance::{Rng, now};
use super::tally::Share;
use super::{Failure, Kind, Plant, signals};

/// Late messages that are told one by one.
const TOLD: usize = 1000;

/// A message that was seen late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Late {
    pub(super) sender: u32,
    /// The time of day.
    pub(super) sent: u64,
    /// For how long it lay there, in microseconds.
    pub(super) lay_us: u64,
    /// For how long of that its receiver was ready to run and had no CPU, or more.
    pub(super) kept_off_us: u64,
}

/// A wait that has ended.
pub(super) struct Wait {
    /// How long after its time.
    pub(super) late: Duration,
    /// How long its thread was ready to run meanwhile and had no CPU. Not known if it was not late.
    pub(super) kept_off: Duration,
    /// The same for all the threads that a wake-up goes through, added up.
    pub(super) all_kept_off: Duration,
    /// What was received: from whom, when it was sent, and for how long it lay there during the wait.
    pub(super) message: Option<(u32, u64, Duration)>,
    /// Whether it has slept at all.
    pub(super) slept: bool,
    /// Whether the process was stopped meanwhile.
    pub(super) stopped: bool,
}

/// What the sleepers have seen.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) sleeps: u64,
    pub(super) received: u64,
    /// Those of them that came to somebody who slept, or had.
    pub(super) awaited: u64,
    /// The latest end of a wait whose time was over, in microseconds.
    pub(super) late_max_us: u64,
    /// Waits that ended more than a slice after their time.
    pub(super) overslept: u64,
    /// Messages that lay there for more than half a slice while their receiver slept.
    pub(super) late_seen: u64,
    /// Waits in which the process was stopped, which are not judged.
    pub(super) stopped: u64,
    /// The messages seen late. So many at most as a pipe holds that is read at the end.
    pub(super) late: Vec<Late>,
}

impl Account {
    fn fields(&mut self) -> [(&'static str, &mut u64); 7] {
        [
            ("sleeps", &mut self.sleeps),
            ("received", &mut self.received),
            ("awaited", &mut self.awaited),
            ("late_max_us", &mut self.late_max_us),
            ("overslept", &mut self.overslept),
            ("late_seen", &mut self.late_seen),
            ("stopped", &mut self.stopped),
        ]
    }

    pub(super) fn say(&mut self) {
        for Late { sender, sent, lay_us, kept_off_us } in mem::take(&mut self.late).into_iter().take(TOLD) {
            println!("late {sender} {sent} {lay_us} {kept_off_us}");
        }
        let words = self.fields().map(|(name, value)| format!("{name} {value}"));
        println!("{}", words.join(" "));
    }

    pub(super) fn note(&mut self, wait: &Wait) {
        self.received += u64::from(wait.message.is_some());
        if wait.stopped {
            self.stopped += 1;
            return;
        }
        let late = wait.late.saturating_sub(wait.kept_off);
        self.late_max_us = self.late_max_us.max(late.as_micros() as u64);
        self.overslept += u64::from(late > SLICE);
        let Some((sender, sent, lay)) = wait.message.filter(|_| wait.slept) else { return };
        self.awaited += 1;
        if lay > SLICE / 2 {
            self.late_seen += 1;
            let [lay_us, kept_off_us] = [lay, wait.all_kept_off].map(|time| time.as_micros() as u64);
            self.late.push(Late { sender, sent, lay_us, kept_off_us });
        }
    }

    /// Adds another one's.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.late.append(&mut other.late);
        for ((name, value), (_, more)) in self.fields().into_iter().zip(other.fields()) {
            *value = if name == "late_max_us" { (*more).max(*value) } else { *value + *more };
        }
    }

    /// Adds what another one said.
    pub(super) fn add(&mut self, text: &str) -> Result<(), Failure> {
        let (late, sums): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("late "));
        for line in late {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["late", sender, sent, lay, kept_off] = words[..] else {
                return Err("a sleeper said too little".into());
            };
            let (sender, sent) = (sender.parse()?, sent.parse()?);
            self.late.push(Late { sender, sent, lay_us: lay.parse()?, kept_off_us: kept_off.parse()? });
        }
        let mut words = sums.iter().flat_map(|line| line.split_whitespace());
        let mut other = Self::default();
        for (name, value) in other.fields() {
            let (Some(said), Some(number)) = (words.next(), words.next()) else {
                return Err("a sleeper said too little".into());
            };
            if said != name {
                return Err(format!("expected {name}, heard {said}").into());
            }
            *value = number.parse()?;
        }
        self.merge(other);
        Ok(())
    }
}

/// Parks at once, and counts how often.
#[derive(Debug)]
struct Counting {
    parks: Arc<Mutex<u64>>,
    plant: Plant,
}

impl WaitStrategy for Counting {
    fn idle(&mut self, _round: Round) -> Idle {
        *self.parks.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        match self.plant {
            Plant::None => Idle::Park,
            // As if asleep, and nobody knows of it.
            Plant::Deaf => {
                thread::sleep(SLICE);
                Idle::Look
            }
            Plant::Late => {
                thread::sleep(2 * SLICE);
                Idle::Look
            }
        }
    }
}

/// How a wait ended.
enum Ended {
    /// From whom, and when it was sent.
    Received(u32, u64),
    TimeOver,
    Told,
}

pub(super) fn run(kind: &str, name: &str, seed: &str, share: Share, plant: &str) -> Result<(), Failure> {
    signals::catch()?;
    let parks = Arc::new(Mutex::new(0));
    let strategy = Counting { parks: parks.clone(), plant: Plant::parse(plant).ok_or("which plant?")? };
    let (mut rng, mut buf) = (Rng(seed.parse()?), [0; 16]);
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => {
            let mut rx = spsc::Consumer::open(name)?;
            rx.set_wait_strategy(strategy);
            go(&mut rng, &share, &parks, |timeout| match rx.recv_into_timeout(&mut buf, timeout) {
                Ok(got) => Ok(Ended::Received(got.tag, stamp(&buf))),
                Err(spsc::RecvError::Timeout) => Ok(Ended::TimeOver),
                Err(spsc::RecvError::PeerDied) => Ok(Ended::Told),
                Err(error) => Err(error.into()),
            })
        }
        Kind::Mpmc => {
            let mut rx = mpmc::Consumer::open(name)?;
            rx.set_wait_strategy(strategy);
            go(&mut rng, &share, &parks, |timeout| match rx.recv_into_timeout(&mut buf, timeout) {
                Ok(got) => Ok(Ended::Received(got.tag, stamp(&buf))),
                Err(mpmc::RecvError::Timeout { .. }) => Ok(Ended::TimeOver),
                Err(error) => Err(error.into()),
            })
        }
    }
}

pub(super) fn stamp(buf: &[u8; 16]) -> u64 {
    buf.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn go(
    rng: &mut Rng,
    share: &Share,
    parks: &Mutex<u64>,
    mut wait: impl FnMut(Duration) -> Result<Ended, Failure>,
) -> Result<(), Failure> {
    let mut account = Account::default();
    let slept = || *parks.lock().unwrap_or_else(PoisonError::into_inner);
    while !share.is_enough() {
        while share.is_dry()? {
            thread::sleep(Duration::from_millis(1));
        }
        // Mostly less than it takes until a message comes.
        let timeout = match rng.below(16) {
            0 => Duration::from_secs(1),
            1 => Duration::from_millis(rng.below(60)),
            _ => Duration::from_micros(rng.below(150)),
        };
        let (start, before, kept_off, stops) = (Instant::now(), slept(), kept_off_cpu(), signals::stops());
        let ended = wait(timeout)?;
        let late = start.elapsed().saturating_sub(timeout);
        let kept_off = kept_off_cpu().saturating_sub(kept_off);
        let message = match ended {
            Ended::Received(sender, sent) => {
                Some((sender, sent, Duration::from_nanos(now().saturating_sub(sent)).min(start.elapsed())))
            }
            Ended::TimeOver | Ended::Told => None,
        };
        let (times, stopped) = (slept() - before, signals::stops() > stops);
        account.note(&Wait { late, kept_off, all_kept_off: kept_off, message, slept: times > 0, stopped });
        share.add(times)?;
    }
    account.sleeps = slept();
    account.say();
    Ok(())
}

/// How long this thread has been ready to run and had no CPU.
fn kept_off_cpu() -> Duration {
    run_delay(Path::new("/proc/thread-self"))
}

/// The same for the thread whose directory that is.
pub(super) fn run_delay(thread: &Path) -> Duration {
    let stat = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0))
}
