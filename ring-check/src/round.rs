//! One round of the storm: a ring, its workers, some deaths, an orderly end, and the accounts.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::backing::Site;
use crate::chance::{Rng, now};
use crate::ends::{self, Kind};
use crate::ledger::{Item, Ledger, WORKERS};
use crate::{Failure, Plant};

/// How long the orderly end of a round may take before somebody counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing at all may arrive, though everybody runs.
const SILENCE: Duration = Duration::from_secs(10);

/// What survivors of a death have (CONTRACTS.md), in nanoseconds.
const SOON: u64 = 60_000_000;

/// Deaths of a round, at most.
const DEATHS: u64 = 40;

/// What came of one or more rounds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) kills: u64,
    pub(crate) messages: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) stuck: u64,
    /// How long survivors were blocked by somebody dead, in nanoseconds.
    pub(crate) stalls: Vec<u64>,
    /// How much of that they could have polled.
    pub(crate) polling: Vec<u64>,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.messages += other.messages;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.stuck += other.stuck;
        self.stalls.extend(other.stalls);
        self.polling.extend(other.polling);
    }
}

/// A worker process.
struct Worker {
    process: Child,
    number: u32,
    sends: bool,
}

impl Worker {
    fn signal(&self, signal: Signal) {
        // Not reaped yet, so the number is its own.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// A round under way.
struct Round<'a> {
    kind: Kind,
    name: &'a str,
    plant: Plant,
    rng: Rng,
    ledger: Ledger,
    workers: Vec<Worker>,
    started: u32,
    /// When whom was killed, and who was stopped from when to when.
    deaths: Vec<u64>,
    stops: Vec<(u64, u64)>,
    outcome: Outcome,
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.process.kill();
            let _ = worker.process.wait();
        }
    }
}

/// Runs one round with at most `kills` deaths.
pub(crate) fn run(kind: Kind, site: &Site, seed: u64, kills: u64, plant: Plant) -> Result<Outcome, Failure> {
    let (mut rng, name) = (Rng(seed), site.text());
    let shape = ends::create(kind, name, &mut rng)?;
    let quota = (8 + rng.below(DEATHS - 8)).min(kills);
    let mut round = Round {
        kind,
        name,
        plant,
        rng,
        ledger: Ledger::new()?,
        workers: Vec::new(),
        started: 0,
        deaths: Vec::new(),
        stops: Vec::new(),
        outcome: Outcome::default(),
    };
    let told = round.play(&shape, quota);
    let seen = match kind {
        Kind::Mpmc if told.is_err() => format!("{:?}", ring_shm::mpmc::inspect(name)),
        _ => String::new(),
    };
    let told = told.map_err(|e| format!("{} ring of {}: {e}\n{seen}", kind.name(), shape.text));
    let outcome = std::mem::take(&mut round.outcome);
    drop(round);
    // Without force: nobody may be left in it.
    let removed = site.remove(told.is_err());
    told?;
    removed?;
    Ok(outcome)
}

impl Round<'_> {
    fn play(&mut self, shape: &ends::Shape, quota: u64) -> Result<(), Failure> {
        for n in 0..shape.senders + shape.receivers {
            self.start(n < shape.senders)?;
        }
        let (mut before, mut heard) = (0, Instant::now());
        while self.outcome.kills < quota && self.started + 8 < WORKERS {
            self.reap()?;
            std::thread::sleep(self.rng.delay(Duration::from_millis(4)));
            let victim = self.rng.below(self.workers.len() as u64) as usize;
            let joined = self.ledger.account(self.workers[victim].number).get(Item::Joined) != 0;
            if joined || self.rng.once_in(8) {
                self.strike(victim)?;
            }
            let received = self.received();
            if received != before {
                (before, heard) = (received, Instant::now());
            }
            if heard.elapsed() > SILENCE {
                self.outcome.stuck += 1;
                return Err("nothing arrives any more".into());
            }
        }
        self.finish()?;
        self.settle();
        Ok(())
    }

    /// Starts a worker.
    fn start(&mut self, sends: bool) -> Result<(), Failure> {
        let number = self.started;
        self.started += 1;
        let role = if sends { "send" } else { "receive" };
        let process = Command::new(std::env::current_exe()?)
            .args(["worker", role, self.kind.name(), self.name, &self.ledger.path()])
            .args([number.to_string(), self.rng.next().to_string(), self.plant.name().to_owned()])
            .stdin(Stdio::null())
            .spawn()?;
        self.workers.push(Worker { process, number, sends });
        Ok(())
    }

    /// Kills one, or stops it for a while.
    fn strike(&mut self, victim: usize) -> Result<(), Failure> {
        if self.rng.once_in(6) {
            let from = now();
            self.workers[victim].signal(Signal::SIGSTOP);
            std::thread::sleep(self.rng.delay(Duration::from_millis(15)));
            let dies = self.rng.once_in(3);
            if !dies {
                self.workers[victim].signal(Signal::SIGCONT);
            }
            // Until everybody has noticed.
            self.stops.push((from, now() + 5_000_000));
            if !dies {
                return Ok(());
            }
        }
        self.deaths.push(now());
        self.workers[victim].signal(Signal::SIGKILL);
        let status = self.workers[victim].process.wait()?;
        self.ended(victim, status)
    }

    /// Replaces those who have ended by themselves.
    fn reap(&mut self) -> Result<(), Failure> {
        for index in (0..self.workers.len()).rev() {
            if let Some(status) = self.workers[index].process.try_wait()? {
                self.ended(index, status)?;
            }
        }
        Ok(())
    }

    /// Notes the end of a worker, and starts another one in its place.
    fn ended(&mut self, index: usize, status: ExitStatus) -> Result<(), Failure> {
        let sends = self.bury(index, status)?;
        self.start(sends)
    }

    /// Notes the end of a worker; whether it was a sender.
    fn bury(&mut self, index: usize, status: ExitStatus) -> Result<bool, Failure> {
        let worker = self.workers.swap_remove(index);
        if status.signal() == Some(Signal::SIGKILL as i32) {
            self.outcome.kills += 1;
            let at = self.ledger.account(worker.number).get(Item::DiedAt);
            if at != 0 {
                self.deaths.push(at);
            }
        } else if !status.success() {
            return Err(format!("worker {} failed, {status}: its words are above", worker.number).into());
        }
        Ok(worker.sends)
    }

    /// The orderly end: senders leave, the ring is closed, receivers empty it.
    fn finish(&mut self) -> Result<(), Failure> {
        for worker in &self.workers {
            self.ledger.account(worker.number).put(Item::Calm, 1);
            worker.signal(Signal::SIGCONT);
        }
        self.dismiss(true)?;
        if self.kind == Kind::Mpmc {
            ring_shm::mpmc::close(self.name)?;
        }
        self.dismiss(false)
    }

    /// Tells the senders, or the receivers, to end, and waits for it. One receiver is replaced until none dies.
    fn dismiss(&mut self, senders: bool) -> Result<(), Failure> {
        let start = Instant::now();
        while self.workers.iter().any(|worker| worker.sends == senders) {
            for worker in self.workers.iter().filter(|worker| worker.sends == senders) {
                self.ledger.account(worker.number).put(Item::Calm, 1);
                self.ledger.account(worker.number).put(Item::Stop, 1);
            }
            for index in (0..self.workers.len()).rev() {
                let Some(status) = self.workers[index].process.try_wait()? else { continue };
                let sends = self.bury(index, status)?;
                if !status.success() && !sends {
                    self.start(false)?;
                }
            }
            if start.elapsed() > PATIENCE {
                self.outcome.stuck += 1;
                return Err(format!("the orderly end takes too long (senders {senders})").into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn received(&self) -> u64 {
        (0..self.started).map(|number| self.ledger.account(number).get(Item::Received)).sum()
    }

    /// The accounts.
    fn settle(&mut self) {
        for number in 0..self.started {
            let account = self.ledger.account(number);
            let committed = account.get(Item::Committed) as u32;
            self.outcome.messages += u64::from(committed);
            self.outcome.duplicates += account.get(Item::Duplicates);
            for seq in 0..committed {
                if self.ledger.deliveries(number, seq) == 0 {
                    self.outcome.lost += 1;
                    println!("lost: message {seq} of worker {number} in {} ring {}", self.kind.name(), self.name);
                }
            }
            for stall in account.stalls() {
                // Blocked by the first who died meanwhile, at the latest from then on.
                let deaths = self.deaths.iter().filter(|at| (stall.from..stall.to).contains(at));
                let from = deaths.min().copied().unwrap_or(stall.from);
                // By somebody who was stopped, perhaps.
                if self.stops.iter().any(|stop| stop.0 < stall.to && from < stop.1) {
                    continue;
                }
                let blocked = stall.to - from;
                let polling = blocked.min(stall.running);
                self.outcome.stalls.push(blocked);
                self.outcome.polling.push(polling);
                if polling > SOON {
                    self.outcome.stuck += 1;
                    println!("stuck: worker {number} for {} ms in ring {}", blocked / 1_000_000, self.name);
                }
            }
        }
    }
}
