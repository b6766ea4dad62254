//! Waits over and over, for random times, asleep from the first moment, and keeps account of how late it was.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use ring_shm::wait::{Idle, Round, SLICE, WaitStrategy};
use ring_shm::{mpmc, spsc};

use super::chance::{Rng, now};
use super::{Failure, Kind, Plant};

/// Late messages that are told one by one.
const TOLD: usize = 1000;

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
    /// Those: who sent them, and when. So many at most as a pipe holds that is read at the end.
    pub(super) late: Vec<(u32, u64)>,
}

impl Account {
    fn fields(&mut self) -> [(&'static str, &mut u64); 6] {
        [
            ("sleeps", &mut self.sleeps),
            ("received", &mut self.received),
            ("awaited", &mut self.awaited),
            ("late_max_us", &mut self.late_max_us),
            ("overslept", &mut self.overslept),
            ("late_seen", &mut self.late_seen),
        ]
    }

    pub(super) fn say(&mut self) {
        for (sender, sent) in mem::take(&mut self.late).into_iter().take(TOLD) {
            println!("late {sender} {sent}");
        }
        let words = self.fields().map(|(name, value)| format!("{name} {value}"));
        println!("{}", words.join(" "));
    }

    /// A message that lay there for `lay`, while its receiver slept.
    pub(super) fn note(&mut self, sender: u32, sent: u64, lay: Duration) {
        self.awaited += 1;
        if lay > SLICE / 2 {
            self.late_seen += 1;
            self.late.push((sender, sent));
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
            let ["late", sender, sent] = words[..] else { return Err("a sleeper said too little".into()) };
            self.late.push((sender.parse()?, sent.parse()?));
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

pub(super) extern "C" fn nothing(_: i32) {}

/// How a wait ended.
enum Ended {
    /// From whom, and when it was sent.
    Received(u32, u64),
    TimeOver,
    Told,
}

pub(super) fn run(kind: &str, name: &str, seed: &str, sleeps: &str, plant: &str) -> Result<(), Failure> {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    #[allow(unsafe_code)]
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let parks = Arc::new(Mutex::new(0));
    let strategy = Counting { parks: parks.clone(), plant: Plant::parse(plant).ok_or("which plant?")? };
    let (mut rng, sleeps, mut buf) = (Rng(seed.parse()?), sleeps.parse()?, [0; 16]);
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => {
            let mut rx = spsc::Consumer::open(name)?;
            rx.set_wait_strategy(strategy);
            go(&mut rng, sleeps, &parks, |timeout| match rx.recv_into_timeout(&mut buf, timeout) {
                Ok(got) => Ok(Ended::Received(got.tag, stamp(&buf))),
                Err(spsc::RecvError::Timeout) => Ok(Ended::TimeOver),
                Err(spsc::RecvError::PeerDied) => Ok(Ended::Told),
                Err(error) => Err(error.into()),
            })
        }
        Kind::Mpmc => {
            let mut rx = mpmc::Consumer::open(name)?;
            rx.set_wait_strategy(strategy);
            go(&mut rng, sleeps, &parks, |timeout| match rx.recv_into_timeout(&mut buf, timeout) {
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
    sleeps: u64,
    parks: &Mutex<u64>,
    mut wait: impl FnMut(Duration) -> Result<Ended, Failure>,
) -> Result<(), Failure> {
    let mut account = Account::default();
    let slept = || *parks.lock().unwrap_or_else(PoisonError::into_inner);
    while slept() < sleeps {
        // Mostly less than it takes until a message comes.
        let timeout = match rng.below(16) {
            0 => Duration::from_secs(1),
            1 => Duration::from_millis(rng.below(60)),
            _ => Duration::from_micros(rng.below(150)),
        };
        let (start, before, kept_off) = (Instant::now(), slept(), kept_off_cpu());
        let ended = wait(timeout)?;
        let late = start.elapsed().saturating_sub(timeout).saturating_sub(kept_off_cpu().saturating_sub(kept_off));
        account.late_max_us = account.late_max_us.max(late.as_micros() as u64);
        account.overslept += u64::from(late > SLICE);
        match ended {
            Ended::Received(sender, sent) => {
                account.received += 1;
                if slept() > before {
                    account.note(sender, sent, Duration::from_nanos(now().saturating_sub(sent)).min(start.elapsed()));
                }
            }
            Ended::TimeOver | Ended::Told => {}
        }
    }
    account.sleeps = slept();
    account.say();
    Ok(())
}

/// How long this thread was ready to run and had no CPU: nothing that waiting could help.
pub(super) fn kept_off_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0))
}
