//! A worker process: sends or receives in every way there is until it is told to stop, or killed, or kills itself in
//! the middle of something.

use std::ops::ControlFlow;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};

use crate::chance::{Rng, mix, now};
use crate::ends::{self, Kind, Message, Refused, Rx, Tx};
use crate::ledger::{Account, Item, Ledger, MESSAGES, Stall};
use crate::{Failure, Plant};

/// The most messages of a batch.
const BATCH: usize = 8;

/// Messages of which all, or none, have one length.
const RUN: u32 = 16;

/// What the supervisor told a worker.
pub(crate) struct Task {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) ledger: Ledger,
    pub(crate) number: u32,
    pub(crate) rng: Rng,
    pub(crate) plant: Plant,
}

/// Message `seq` of worker `sender` in a ring of messages up to `max` bytes.
fn fill(message: &mut Message, sender: u32, seq: u32, max: usize) {
    let mut x = u64::from(sender) << 32 | u64::from(seq);
    message.tag = sender;
    message.bytes.clear();
    message.bytes.extend_from_slice(&x.to_le_bytes());
    x = mix(x ^ 0x5eed);
    // Some messages in a row are short, and of one length: what of them goes into one batch makes trains in SPSC rings.
    let run = mix(u64::from(seq / RUN));
    let len =
        if run % 4 == 0 { 8 + (run >> 8) as usize % (max - 7).min(32) } else { 8 + x as usize % (max.min(300) - 7) };
    while message.bytes.len() < len {
        x = mix(x);
        message.bytes.extend_from_slice(&x.to_le_bytes());
    }
    message.bytes.truncate(len);
}

/// Opens, and waits while everything is taken.
fn open<H>(mut open: impl FnMut() -> Result<H, ring_shm::SetupError>) -> Result<H, Failure> {
    let start = now();
    loop {
        match open() {
            Ok(handle) => return Ok(handle),
            Err(e) if ends::is_passing(&e) && now() - start < 20_000_000_000 => {
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(e) => return Err(format!("opening: {e}").into()),
        }
    }
}

/// When this worker ends itself in the middle of something: after so many middles.
struct Fuse<'a> {
    account: Account<'a>,
    left: u64,
    rng: Rng,
}

impl<'a> Fuse<'a> {
    fn new(account: Account<'a>, rng: &mut Rng) -> Self {
        let left = if rng.once_in(2) { 1 << rng.below(9) } else { u64::MAX };
        Self { account, left, rng: Rng(rng.next()) }
    }

    /// In the middle of something: dies, lingers, gives up, or (mostly) goes on.
    fn middle(&mut self) -> ControlFlow<()> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.account.get(Item::Calm) == 0 {
            self.account.put(Item::DiedAt, now());
            let _ = raise(Signal::SIGKILL);
        }
        if self.rng.once_in(400) {
            std::thread::sleep(self.rng.delay(Duration::from_micros(500)));
        }
        if self.rng.once_in(40) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Measures how long this worker is blocked by somebody dead.
struct Clock<'a> {
    account: Account<'a>,
    stall: Option<Blocked>,
}

/// A stall under way.
struct Blocked {
    from: u64,
    /// How long this process had waited for a CPU by then.
    waited: u64,
    /// What had been repaired before it.
    repaired: u64,
}

impl Clock<'_> {
    /// After each operation.
    fn tick<T>(&mut self, outcome: &Result<T, Refused>, repaired: impl Fn() -> u64) {
        let busy = matches!(outcome, Err(Refused::Busy));
        match &self.stall {
            None if busy => self.stall = Some(Blocked { from: now(), waited: waited(), repaired: repaired() }),
            // Put out of the way, and perhaps the next one is in it: another stall.
            Some(stall) if repaired() != stall.repaired => {
                let (to, ready) = (now(), waited());
                let running = (to - stall.from).saturating_sub(ready - stall.waited);
                self.account.stalled(Stall { from: stall.from, to, running });
                self.stall = busy.then(|| Blocked { from: to, waited: ready, repaired: repaired() });
            }
            Some(_) if !busy => self.stall = None,
            _ => {}
        }
    }
}

/// Nanoseconds for which this process was ready to run and another one had the CPU.
fn waited() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Sends until told to stop, or until all numbers are used.
pub(crate) fn send(mut task: Task) -> Result<(), Failure> {
    let mut tx: Box<dyn Tx> = open(|| ends::sender(task.kind, &task.name))?;
    let account = task.ledger.account(task.number);
    account.put(Item::Joined, 1);
    let mut fuse = Fuse::new(account, &mut task.rng);
    let mut clock = Clock { account, stall: None };
    let (max, mut messages, mut next) = (tx.max_len(), vec![Message::default(); BATCH], 0u32);
    while account.get(Item::Stop) == 0 && next + (BATCH as u32) < MESSAGES {
        for (seq, message) in (next..).zip(&mut messages) {
            fill(message, task.number, seq, max);
        }
        let announce = |count: usize| account.put(Item::Announced, u64::from(next) + count as u64);
        let outcome = match task.rng.below(8) {
            0..4 => {
                announce(1);
                tx.send(&messages[0])
            }
            4..6 => {
                announce(1);
                let len = messages[0].bytes.len();
                let room = len + task.rng.below((max.min(300) - len) as u64 + 1) as usize;
                tx.claim(&messages[0], room, &mut || fuse.middle())
            }
            _ => {
                let count = 1 + task.rng.below(BATCH as u64) as usize;
                tx.batch(&messages[..count], &mut |count| announce(count), &mut || fuse.middle())
            }
        };
        clock.tick(&outcome, || tx.repaired());
        match outcome {
            Ok(count) => {
                next += count as u32;
                account.put(Item::Committed, next.into());
            }
            Err(Refused::Wrong(what)) => return Err(format!("sending: {what}").into()),
            Err(_) => std::thread::yield_now(),
        }
    }
    Ok(())
}

/// Receives until the end.
pub(crate) fn receive(mut task: Task) -> Result<(), Failure> {
    let mut rx: Box<dyn Rx> = open(|| ends::receiver(task.kind, &task.name))?;
    let account = task.ledger.account(task.number);
    account.put(Item::Joined, 1);
    let mut fuse = Fuse::new(account, &mut task.rng);
    let mut clock = Clock { account, stall: None };
    let mut last = vec![None; crate::ledger::WORKERS as usize];
    let (mut message, mut expected, mut wrong) = (Message::default(), Message::default(), None);
    let mut longest = 0;
    let (mut received, mut quiet): (u64, Option<(u64, u32)>) = (0, None);
    loop {
        let many = task.rng.once_in(3).then(|| 1 + task.rng.below(BATCH as u64) as usize);
        let mut see = |message: &Message| {
            // Alone it may be kept without having been looked at: then it comes again.
            let on = fuse.middle();
            if many.is_none() && on.is_break() {
                return on;
            }
            received += 1;
            longest = longest.max(message.bytes.len());
            if task.plant == Plant::Drop && received % 1000 == 0 {
                return ControlFlow::Continue(());
            }
            if let Err(what) = look(message, &mut expected, &mut last, &task, account) {
                wrong = Some(what);
            }
            // Now and then it dies between having seen and releasing, or a batch ends early.
            let on = fuse.middle();
            if many.is_none() { ControlFlow::Continue(()) } else { on }
        };
        let outcome = match many {
            Some(max) => rx.batch(max, &mut message, &mut see),
            None => rx.read(&mut message, &mut see),
        };
        account.put(Item::Received, received);
        if let Some(what) = wrong {
            return Err(format!("receiving: {what}").into());
        }
        clock.tick(&outcome, || rx.repaired());
        let stop = account.get(Item::Stop) != 0;
        match outcome {
            Ok(()) => quiet = None,
            Err(Refused::Wrong(what)) => return Err(format!("receiving: {what}").into()),
            Err(Refused::End) if task.kind == Kind::Mpmc => return Ok(()),
            // Sessions end and others begin: the last one has ended when nothing comes for a while. Polls are counted,
            // too, since this process may not have been running.
            Err(Refused::Wait) if task.kind == Kind::Spsc && stop => {
                let (since, polls) = quiet.get_or_insert_with(|| (now(), 0));
                *polls += 1;
                if *polls > 2000 && now() - *since > 30_000_000 {
                    return Ok(());
                }
            }
            Err(Refused::End) => quiet = None,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// Checks a message in every way, and marks it.
fn look(
    message: &Message,
    expected: &mut Message,
    last: &mut [Option<u32>],
    task: &Task,
    account: Account<'_>,
) -> Result<(), String> {
    let number =
        message.bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or("a message without bytes")?;
    let (sender, seq) = ((number >> 32) as u32, number as u32);
    let place = last.get_mut(sender as usize).ok_or(format!("a message of nobody, {sender}"))?;
    expected.bytes.clear();
    expected.bytes.extend_from_slice(&number.to_le_bytes());
    let mut x = mix(number ^ 0x5eed);
    while expected.bytes.len() < message.bytes.len() {
        x = mix(x);
        expected.bytes.extend_from_slice(&x.to_le_bytes());
    }
    expected.bytes.truncate(message.bytes.len());
    if message.tag != sender || expected.bytes != message.bytes {
        return Err(format!("message {seq} of {sender} is garbled"));
    }
    if u64::from(seq) >= task.ledger.account(sender).get(Item::Announced) {
        return Err(format!("message {seq} of {sender} was never sent"));
    }
    let redelivered = message.redelivered && task.plant != Plant::HideFlag;
    if task.ledger.mark(sender, seq) > 0 && !redelivered {
        account.put(Item::Duplicates, account.get(Item::Duplicates) + 1);
    }
    if !message.redelivered {
        if place.is_some_and(|last| last >= seq) {
            return Err(format!("message {seq} of {sender} came after {place:?}"));
        }
        *place = Some(seq);
    }
    Ok(())
}
