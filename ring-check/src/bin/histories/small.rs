//! Small histories: a few processes, a few operations each, on a ring of two to four places; then somebody drains it, and
//! the whole is searched through. The processes of a round go from one history to the next together; at the end of a
//! round one of them kills itself in the middle of an operation.

use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use ring_shm::{mpmc, spsc};

use crate::backing::Site;
use crate::chance::Rng;
use crate::ends::{self, Kind, Message, Refused, Rx, Tx};
use crate::model::{Answer, Call, Operation, Rules, is_linearizable};
use crate::page::{COUNT, DONE, GO, OPERATIONS, Page};
use crate::strict::{self, Ends};
use crate::{Failure, Orders, Plant};

/// Histories of one round.
const ROUND: u64 = 100;

/// Bytes of an SPSC ring, and how many records of 16 bytes it takes: a header's worth is never used.
const CAPACITY: u64 = 64;
const PLACES: usize = 3;

/// The process that drains the ring in a history with a death: it comes for that.
const DRAINER: usize = 5;

/// The history in which somebody dies is the last one, and has this bit; a drain has the next one.
const DEADLY: u64 = 1 << 62;
const DRAIN: u64 = 1 << 61;

/// How long a drainer looks for what the dead had in hand.
const AFTERMATH: Duration = Duration::from_millis(25);

/// What came of it.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) histories: u64,
    pub(crate) deaths: u64,
    pub(crate) operations: u64,
}

/// A ring and its peers.
struct Shape {
    kind: Kind,
    senders: usize,
    receivers: usize,
    rules: Rules,
    /// What a strict one is handed over by.
    ends: Option<Ends>,
}

fn create(name: &str, strict: bool, rng: &mut Rng) -> Result<Shape, Failure> {
    let in_place = |room| Rules { room, gaps: false, returns: false };
    if strict {
        let ends = Some(Ends::new()?);
        return Ok(Shape { kind: Kind::Spsc, senders: 1, receivers: 1, rules: in_place(PLACES), ends });
    }
    if rng.once_in(4) {
        spsc::create(name, &spsc::Options::new().capacity(CAPACITY))?;
        return Ok(Shape { kind: Kind::Spsc, senders: 1, receivers: 1, rules: in_place(PLACES), ends: None });
    }
    let room = rng.of(&[2, 4]);
    let (mut senders, mut receivers) = (1 + rng.below(2) as usize, 1 + rng.below(2) as usize);
    let mut rules = Rules { room: room as usize, gaps: true, returns: true };
    let mut options = mpmc::Options::new().slots(room).slot_size(8).at_least_once(31);
    if rng.once_in(4) {
        (senders, rules.gaps, options) = (1, false, options.max_producers(1));
    }
    if rng.once_in(4) {
        (receivers, rules.returns, options) = (1, false, options.max_consumers(1));
    }
    mpmc::create(name, &options)?;
    Ok(Shape { kind: Kind::Mpmc, senders, receivers, rules, ends: None })
}

/// Worker processes that are not left behind.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Workers {
    fn start(&mut self, arguments: &[&str], stdin: Stdio) -> Result<(), Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        self.0.push(command.arg("small").args(arguments).stdin(stdin).spawn()?);
        Ok(())
    }
}

/// So many histories.
pub(crate) fn campaign(orders: &Orders) -> Result<Counts, Failure> {
    let (mut rng, mut counts, mut round) = (Rng(orders.seed), Counts::default(), 0);
    while counts.histories < orders.histories {
        let site = Site::new(orders.backing, &format!("histories-{}-{round}", std::process::id()))?;
        let share = ROUND.min(orders.histories - counts.histories);
        let shape = create(site.text(), orders.strict, &mut rng)?;
        let name = if shape.ends.is_some() { strict::NAME } else { site.text() };
        let told = play(name, &shape, share, &mut rng, orders.plant, &mut counts);
        if shape.ends.is_none() {
            site.remove(true)?;
        }
        told?;
        round += 1;
    }
    Ok(counts)
}

fn play(
    name: &str,
    shape: &Shape,
    share: u64,
    rng: &mut Rng,
    plant: Plant,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let (page, mut workers) = (Page::new()?, Workers(Vec::new()));
    let path = page.path();
    let start = |workers: &mut Workers, role: &str, process: usize, seed: u64| {
        let numbers = [process.to_string(), seed.to_string()];
        let stdin = shape.ends.as_ref().map_or(Ok(Stdio::null()), |ends| ends.of(role == "send"))?;
        workers.start(&[role, shape.kind.name(), name, &path, &numbers[0], &numbers[1], plant.name()], stdin)
    };
    for process in 0..shape.senders + shape.receivers {
        start(&mut workers, if process < shape.senders { "send" } else { "receive" }, process, rng.next())?;
    }
    let victim = rng.below(workers.0.len() as u64) as usize;
    for number in 1..=share {
        let deadly = number == share;
        let all: Vec<usize> = (0..shape.senders + shape.receivers).collect();
        page.common(GO).store(if deadly { number | DEADLY | (victim as u64) << 32 } else { number }, Ordering::Release);
        let dead = wait(&page, &mut workers, &all, number, deadly.then_some(victim))?;
        let mut history: Vec<Vec<Operation>> = all.iter().map(|process| page.operations(*process)).collect();
        // The drain: by a receiver, or by somebody new.
        let mut drainer = shape.senders;
        let comes_for_it = dead && victim == drainer;
        if comes_for_it {
            drainer = DRAINER;
            page.of(drainer, DONE).store(number, Ordering::Release);
        }
        let drained = !comes_for_it || shape.ends.is_none();
        page.common(GO)
            .store(number | DRAIN | (drainer as u64) << 32 | if deadly { DEADLY } else { 0 }, Ordering::Release);
        if comes_for_it && drained {
            // Not before the order is there: it would take part in the history first, and nobody would know.
            start(&mut workers, "receive", drainer, rng.next())?;
        }
        if drained {
            wait(&page, &mut workers, &[drainer], number | DRAIN, deadly.then_some(victim))?;
            history.push(page.operations(drainer));
        } else {
            // What is left in a strict ring whose receiver has died, nobody gets: as if somebody had, who is dead too.
            let nobody = Operation { call: Call::Recv, value: 0, answer: Answer::Pending, from: u64::MAX, to: 0 };
            history.push(vec![nobody; PLACES]);
        }
        counts.histories += 1;
        counts.deaths += u64::from(dead);
        counts.operations += history.iter().map(|operations| operations.len() as u64).sum::<u64>();
        if let Some(what) = unflagged(&history, shape.rules) {
            return Err(format!("{what}: {}", show(&history)).into());
        }
        if !is_linearizable(&history, shape.rules) {
            return Err(format!("not linearizable, {:?}: {}", shape.rules, show(&history)).into());
        }
    }
    Ok(())
}

/// Waits until those processes have ended their part; only the victim may die. Whether it has.
fn wait(
    page: &Page,
    workers: &mut Workers,
    who: &[usize],
    number: u64,
    victim: Option<usize>,
) -> Result<bool, Failure> {
    let (start, mut dead) = (Instant::now(), false);
    while who
        .iter()
        .any(|process| page.of(*process, DONE).load(Ordering::Acquire) != number && !(dead && victim == Some(*process)))
    {
        for (index, child) in workers.0.iter_mut().enumerate() {
            if let Some(status) = child.try_wait()? {
                if victim != Some(index) {
                    return Err(format!("worker {index} ended: {status}").into());
                }
                dead = true;
            }
        }
        if start.elapsed() > Duration::from_secs(20) {
            return Err("a worker is stuck".into());
        }
        std::thread::yield_now();
    }
    Ok(dead)
}

/// A message that a dead receiver had seen, and that came again without a flag. Where the order stays the search does not
/// look at flags.
fn unflagged(history: &[Vec<Operation>], rules: Rules) -> Option<String> {
    let all = || history.iter().flatten();
    let seen = |value| all().any(|o| o.answer == Answer::Pending && o.call == Call::Recv && o.value == value);
    let wrong = all().find(|o| {
        !rules.returns && o.call == Call::Recv && o.answer == Answer::Done(false) && o.value != 0 && seen(o.value)
    });
    wrong.map(|operation| format!("message {} came again without a flag", operation.value))
}

fn show(history: &[Vec<Operation>]) -> String {
    let start = history.iter().flatten().map(|operation| operation.from).min().unwrap_or(0);
    let mut text = String::new();
    for (process, operations) in history.iter().enumerate() {
        for o in operations {
            text += &format!(
                "\n  process {process}: {:6}..{:6} {:?} {:#x} {:?}",
                o.from.saturating_sub(start),
                o.to.saturating_sub(start),
                o.call,
                o.value,
                o.answer
            );
        }
    }
    text
}

/// A worker process.
struct Worker {
    page: Page,
    process: usize,
    rng: Rng,
    plant: Plant,
    /// Operations so far in this history.
    count: usize,
    /// Whether this one dies in this history.
    dies: bool,
}

pub(crate) fn worker(arguments: &[String]) -> Result<(), Failure> {
    let [role, kind, name, page, process, seed, plant] = arguments else { return Err("arguments".into()) };
    let kind = Kind::parse(kind).ok_or("kind")?;
    let mut worker = Worker {
        page: Page::join(page)?,
        process: process.parse()?,
        rng: Rng(seed.parse()?),
        plant: Plant::parse(plant).ok_or("plant")?,
        count: 0,
        dies: false,
    };
    if role == "send" {
        let mut tx: Box<dyn Tx> =
            if name == strict::NAME { Box::new(strict::producer(CAPACITY)?) } else { ends::sender(kind, name)? };
        worker.work(|worker, number| worker.send(tx.as_mut(), number))
    } else {
        let mut rx = loop {
            if name == strict::NAME {
                break Box::new(strict::consumer()?) as Box<dyn Rx>;
            }
            match ends::receiver(kind, name) {
                Ok(rx) => break rx,
                Err(error) if ends::is_passing(&error) => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        };
        worker.work(|worker, number| worker.receive(rx.as_mut(), number))
    }
}

impl Worker {
    /// From one history to the next, until the supervisor ends it.
    fn work(&mut self, mut part: impl FnMut(&mut Self, u64) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut last = 0;
        loop {
            let go = self.page.common(GO).load(Ordering::Acquire);
            let mine = go >> 32 & 0xff == self.process as u64;
            if go == last || go == 0 || go & DRAIN != 0 && !mine {
                std::thread::yield_now();
                continue;
            }
            last = go;
            self.dies = go & DEADLY != 0 && go & DRAIN == 0 && mine;
            self.count = 0;
            self.page.of(self.process, COUNT).store(0, Ordering::Relaxed);
            part(self, go)?;
            self.page.of(self.process, DONE).store(go & (DRAIN | 0xffff_ffff), Ordering::Release);
        }
    }

    /// Dies, if it is time.
    fn may_die(&mut self) {
        if self.dies && self.rng.once_in(2) {
            let _ = raise(Signal::SIGKILL);
        }
    }

    fn pause(&mut self) {
        for _ in 0..self.rng.below(100) {
            std::hint::spin_loop();
        }
    }

    fn begin(&mut self, call: Call, value: u64) -> usize {
        let at = self.count.min(OPERATIONS - 1);
        self.count = at + 1;
        self.page.begin(self.process, at, call, value);
        at
    }

    fn end(&mut self, at: usize, outcome: &Result<(), Refused>, flagged: bool) -> Result<(), Failure> {
        let answer = match outcome {
            Ok(()) => Answer::Done(flagged),
            Err(Refused::Wait) => Answer::Nothing,
            Err(Refused::Busy | Refused::End) => Answer::Busy,
            Err(Refused::Wrong(what)) => return Err(what.clone().into()),
        };
        self.page.end(self.process, at, answer);
        Ok(())
    }

    /// A sender's part in a history.
    fn send(&mut self, tx: &mut dyn Tx, number: u64) -> Result<(), Failure> {
        for i in 1..=1 + self.rng.below(4) {
            self.pause();
            let value = (number & 0xffff_ffff) << 16 | (self.process as u64) << 8 | i;
            let message = Message { tag: 0, bytes: value.to_le_bytes().to_vec(), redelivered: false };
            let aborts = self.rng.once_in(6);
            let at = self.begin(if aborts { Call::Abort } else { Call::Send }, value);
            let planted = self.plant == Plant::Full && self.rng.once_in(8);
            let outcome = if planted {
                Err(Refused::Wait)
            } else if aborts || self.dies || self.rng.once_in(2) {
                let mut middle = || {
                    self.may_die();
                    if aborts { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                tx.claim(&message, 8, &mut middle).map(drop)
            } else {
                tx.send(&message).map(drop)
            };
            self.end(at, &outcome, false)?;
        }
        Ok(())
    }

    /// A receiver's part in a history, or its drain.
    fn receive(&mut self, rx: &mut dyn Rx, number: u64) -> Result<(), Failure> {
        let drains = number & DRAIN != 0;
        let patience = if number & DEADLY == 0 { Duration::ZERO } else { AFTERMATH };
        let (mut message, mut left, mut empty, mut since) =
            (Message::default(), 1 + self.rng.below(4), 0, Instant::now());
        let mut late = None;
        while if drains { empty < 3 || since.elapsed() < patience } else { left > 0 } {
            left = left.saturating_sub(1);
            self.pause();
            let keeps = !drains && self.rng.once_in(5);
            let planted = self.plant == Plant::Empty && !drains && self.rng.once_in(4);
            let at = self.begin(if keeps { Call::Keep } else { Call::Recv }, 0);
            let mut got = None;
            let outcome = if planted {
                Err(Refused::Wait)
            } else {
                rx.read(&mut message, &mut |message: &Message| {
                    let value = message.bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    got = Some((value, message.redelivered));
                    self.page.see(self.process, at, value);
                    self.may_die();
                    if keeps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            };
            let (value, flagged) = got.unwrap_or((0, false));
            if !keeps && value != 0 {
                match self.plant {
                    Plant::Lose if self.rng.once_in(8) => {
                        self.count = at;
                        self.page.of(self.process, COUNT).store(at as u64, Ordering::Release);
                        continue;
                    }
                    Plant::Double if late.is_some() => self.page.see(self.process, at, late.unwrap_or(0)),
                    Plant::Reorder if at > 0 && late.is_some() => {
                        self.page.see(self.process, at, late.unwrap_or(0));
                        self.page.see(self.process, at - 1, value);
                    }
                    _ => {}
                }
                late = Some(value);
            } else {
                late = None;
            }
            self.end(at, &outcome, flagged)?;
            if drains && outcome.is_err() {
                // What is refused while draining says nothing new, and would fill the page.
                self.count = at;
                self.page.of(self.process, COUNT).store(at as u64, Ordering::Release);
                // After the end of its session a strict ring says nothing else.
                empty = if matches!(outcome, Err(Refused::Wait | Refused::End)) { empty + 1 } else { 0 };
            } else {
                (empty, since) = (0, Instant::now());
            }
        }
        Ok(())
    }
}
