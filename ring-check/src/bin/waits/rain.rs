//! The processes of a campaign, and what comes over them: signals to sleepers, standstill and death to senders, and death to
//! a sleeper that is not counted.

use std::io::Read as _;
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ring_shm::wait::SLICE;

use super::chance::{Rng, now};
use super::sleeper::Late;
use super::tally::Tally;
use super::{Failure, Kind};

/// A process of this program, killed when it is dropped.
pub(super) struct Worker {
    pub(super) process: Child,
    pub(super) kind: Kind,
    name: String,
    /// A sender's number.
    id: u32,
}

impl Worker {
    pub(super) fn sender(id: u32, kind: Kind, name: &str, rng: &mut Rng) -> Result<Self, Failure> {
        let (role, seed) = ("sender", rng.next().to_string());
        let mut worker = Self::start(role, kind, name, &[&seed, &id.to_string()], Stdio::null())?;
        worker.id = id;
        Ok(worker)
    }

    pub(super) fn start(role: &str, kind: Kind, name: &str, more: &[&str], stdin: Stdio) -> Result<Self, Failure> {
        let process = Command::new(std::env::current_exe()?)
            .args([role, kind.name(), name])
            .args(more)
            .stdin(stdin)
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

/// Somebody's death.
pub(super) struct Death {
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
    /// How long after `late` was sent its sender died so, or another one for whom it could have been.
    fn after(&self, late: &Late) -> Option<Duration> {
        self.senders
            .contains(&late.sender)
            .then(|| self.when.checked_sub(late.sent).map(Duration::from_nanos))
            .flatten()
    }
}

/// A send that took its time.
struct Slow {
    sender: u32,
    sent: u64,
    took_us: u64,
}

/// What came down: each drop is a signal; one in eight is a death as well, another one a standstill.
#[derive(Default)]
pub(super) struct Rain {
    pub(super) drops: u64,
    pub(super) signals: u64,
    pub(super) deaths: Vec<Death>,
    slow: Vec<Slow>,
}

impl Rain {
    /// What a sender has told that is dead now.
    fn hear(&mut self, sender: &mut Worker) {
        let mut text = String::new();
        let _ = sender.process.stdout.take().map(|mut out| out.read_to_string(&mut text));
        self.slow.extend(text.lines().filter_map(|line| {
            let (sent, took) = line.split_once(' ')?;
            Some(Slow { sender: sender.id, sent: sent.parse().ok()?, took_us: took.parse().ok()? })
        }));
    }

    /// Whether it was its receiver's want of a CPU that made it late, or its sender's.
    pub(super) fn is_for_want_of_cpu(&self, late: &Late) -> bool {
        let its = self.slow.iter().find(|slow| (slow.sender, slow.sent) == (late.sender, late.sent));
        let held_up = late.kept_off_us.max(its.map_or(0, |slow| slow.took_us));
        u128::from(late.lay_us.saturating_sub(held_up)) <= (SLICE / 2).as_micros()
    }

    /// Whether a death accounts for `late`; tells of it if none does.
    pub(super) fn accounts_for(&self, late: &Late) -> bool {
        let next = self.deaths.iter().filter_map(|death| death.after(late)).min();
        let accounts = next.is_some_and(|gap| gap < BEFORE_DEATH);
        if !accounts {
            println!("{late:?}: the next death came after {next:?}");
        }
        accounts
    }

    /// The senders are not needed any more.
    pub(super) fn ends(&mut self, senders: Vec<Worker>) {
        for mut sender in senders {
            sender.end();
            self.hear(&mut sender);
        }
    }

    /// Until the sleepers have had enough.
    pub(super) fn fall(
        &mut self,
        rng: &mut Rng,
        tally: &Tally,
        sleepers: &mut [Worker],
        senders: &mut [Worker],
        bystander: &mut dyn FnMut(&mut Rng) -> Result<Worker, Failure>,
    ) -> Result<(), Failure> {
        let mut beside = bystander(rng)?;
        let end = Instant::now() + Duration::from_secs(3600);
        while Instant::now() < end {
            let mut busy = false;
            for sleeper in &mut *sleepers {
                busy |= sleeper.process.try_wait()?.is_none();
            }
            if !busy {
                return Ok(());
            }
            self.drops += 1;
            if !tally.drop(self.drops)? {
                thread::sleep(Duration::from_micros(rng.below(3000)));
            }
            let sleeper = &mut sleepers[rng.below(3) as usize];
            if sleeper.process.try_wait()?.is_none() {
                sleeper.signal(Signal::SIGUSR1);
                self.signals += 1;
            }
            let sender = &mut senders[rng.below(3) as usize];
            match rng.below(64) {
                0 => {
                    beside.end();
                    self.deaths.push(Death { senders: OF_MPMC, when: now() });
                    beside = bystander(rng)?;
                }
                1..8 => {
                    sender.end();
                    self.hear(sender);
                    self.deaths.push(Death { senders: sender.id..=sender.id, when: now() });
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
}
