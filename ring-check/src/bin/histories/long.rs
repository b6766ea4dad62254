//! Long runs: patterns that a first-in-first-out queue never shows, looked for as the messages go by, in constant memory.
//!
//! Every operation tells its position, and positions are the order that the ring claims. So it is enough to see that the
//! claim holds: what was sent, or received, before something else began has the smaller position; a receiver gets
//! increasing positions, and of each sender increasing numbers, sent before they are received; an empty ring has had all
//! that was sent before the call received; a full one of one sender has not had room received before the call; and in
//! the end as many messages as were sent, with the same sum of their scrambled numbers, have been received.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use ring_shm::{mpmc, spsc};

use crate::backing::Site;
use crate::chance::{Rng, mix};
use crate::ends::Kind;
use crate::page::{BEGUN, COUNT, Page, RECEIVED, SENT, SUM};
use crate::strict::{self, Ends};
use crate::{Failure, Orders, Plant};

/// Messages of one run.
const RUN: u64 = 20_000_000;
const SLOTS: u64 = 64;
const CAPACITY: u64 = 4096;

/// Why an operation did nothing.
enum Refused {
    Nothing,
    Busy,
    End,
}

/// What is run: kind, senders, receivers, whether their number is fixed at one.
const SHAPES: [(Kind, usize, usize, bool); 4] =
    [(Kind::Spsc, 1, 1, true), (Kind::Mpmc, 2, 2, false), (Kind::Mpmc, 1, 1, true), (Kind::Mpmc, 1, 1, false)];

/// So many messages; returns how many there were.
pub(crate) fn campaign(orders: &Orders) -> Result<u64, Failure> {
    let (mut total, mut rng, messages) = (0, Rng(orders.seed), orders.messages);
    for run in 0.. {
        if total >= messages {
            break;
        }
        let shapes = if orders.strict { &SHAPES[..1] } else { &SHAPES };
        let (kind, senders, receivers, fixed) = shapes[(run as u64 + rng.below(4)) as usize % shapes.len()];
        let site = Site::new(orders.backing, &format!("histories-long-{}-{run}", std::process::id()))?;
        let ends = if orders.strict { Some(Ends::new()?) } else { None };
        let name = if orders.strict { strict::NAME } else { site.text() };
        let share = (messages - total).min(RUN).min((messages / 4).max(1));
        let each = share.div_ceil(senders as u64);
        match (kind, fixed) {
            _ if orders.strict => {}
            (Kind::Spsc, _) => spsc::create(name, &spsc::Options::new().capacity(CAPACITY))?,
            (Kind::Mpmc, false) => mpmc::create(name, &mpmc::Options::new().slots(SLOTS).slot_size(16))?,
            (Kind::Mpmc, true) => {
                mpmc::create(name, &mpmc::Options::new().slots(SLOTS).slot_size(16).max_producers(1).max_consumers(1))?
            }
        }
        let told = play(kind, name, senders, receivers, each, orders.plant, ends.as_ref());
        if !orders.strict {
            site.remove(true)?;
        }
        told.map_err(|e| format!("{} ring, {senders} senders, {receivers} receivers: {e}", kind.name()))?;
        total += each * senders as u64;
    }
    Ok(total)
}

/// A worker process that is not left behind.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn play(
    kind: Kind,
    name: &str,
    senders: usize,
    receivers: usize,
    each: u64,
    plant: Plant,
    ends: Option<&Ends>,
) -> Result<(), Failure> {
    let page = Page::new()?;
    let path = page.path();
    let start = |role: &str, process: usize| -> Result<Peer, Failure> {
        let numbers = [process, senders, receivers].map(|number| number.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["long", role, kind.name(), name, &path]).args(&numbers).args([&each.to_string(), plant.name()]);
        let stdin = ends.map_or(Ok(Stdio::null()), |ends| ends.of(role == "send"))?;
        Ok(Peer(command.stdin(stdin).spawn()?))
    };
    let all = |role: &str, from: usize, count: usize| -> Result<Vec<Peer>, Failure> {
        (from..from + count).map(|process| start(role, process)).collect()
    };
    // Receivers first: an end of the ring before their time would be none of theirs.
    let mut rx = all("receive", senders, receivers)?;
    let mut tx = all("send", 0, senders)?;
    finish(&mut tx, &mut rx)?;
    if kind == Kind::Mpmc {
        mpmc::close(name)?;
    }
    finish(&mut rx, &mut [])?;
    let sum = |of: std::ops::Range<usize>| {
        of.fold((0u64, 0u64), |sum, process| {
            let of = |item| page.of(process, item).load(Acquire);
            (sum.0 + of(COUNT), sum.1.wrapping_add(of(SUM)))
        })
    };
    let (sent, received) = (sum(0..senders), sum(senders..senders + receivers));
    if sent != received {
        return Err(format!("sent {sent:x?}, received {received:x?}: messages were lost, doubled or changed").into());
    }
    Ok(())
}

/// Waits for the end of `peers`; of the `others` none may fail meanwhile, since these would wait for it.
fn finish(peers: &mut [Peer], others: &mut [Peer]) -> Result<(), Failure> {
    let count = peers.len();
    loop {
        let mut left = false;
        for (index, peer) in peers.iter_mut().chain(&mut *others).enumerate() {
            match peer.0.try_wait()? {
                Some(status) if !status.success() => return Err(format!("worker {index}: {status}").into()),
                Some(_) => {}
                None => left |= index < count,
            }
        }
        if !left {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

pub(crate) fn worker(arguments: &[String]) -> Result<(), Failure> {
    let [role, kind, name, page, numbers @ .., plant] = arguments else { return Err("arguments".into()) };
    let kind = Kind::parse(kind).ok_or("kind")?;
    let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let [process, senders, receivers, each] = numbers[..] else { return Err("arguments".into()) };
    let worker = Worker {
        page: Page::join(page)?,
        process: process as usize,
        one_sender: senders == 1,
        one_receiver: receivers == 1,
        places: if kind == Kind::Mpmc { Some(SLOTS) } else { None },
        plant: Plant::parse(plant).ok_or("plant")?,
    };
    match (role.as_str(), kind) {
        ("send", Kind::Spsc) => {
            let mut tx = if name == strict::NAME { strict::producer(CAPACITY)? } else { spsc::Producer::open(name)? };
            worker.send(each, |bytes| match tx.try_send(0, bytes) {
                Ok(position) => Ok(position.get()),
                Err(spsc::TrySendError::Full) => Err(Ok(Refused::Nothing)),
                Err(error) => Err(Err(error.into())),
            })
        }
        ("send", Kind::Mpmc) => {
            let mut tx = mpmc::Producer::open(name)?;
            worker.send(each, |bytes| match tx.try_send(0, bytes) {
                Ok(position) => Ok(position.get()),
                Err(mpmc::TrySendError::Full) => Err(Ok(Refused::Nothing)),
                Err(mpmc::TrySendError::Busy { .. }) => Err(Ok(Refused::Busy)),
                Err(error) => Err(Err(error.into())),
            })
        }
        (_, Kind::Spsc) => {
            let mut rx = if name == strict::NAME { strict::consumer()? } else { spsc::Consumer::open(name)? };
            worker.receive(senders, |buf| match rx.try_recv_into(buf) {
                Ok(got) => Ok(got.position.get()),
                Err(spsc::TryRecvError::Empty) => Err(Ok(Refused::Nothing)),
                Err(spsc::TryRecvError::Disconnected) => Err(Ok(Refused::End)),
                Err(error) => Err(Err(error.into())),
            })
        }
        (_, Kind::Mpmc) => {
            let mut rx = mpmc::Consumer::open(name)?;
            worker.receive(senders, |buf| match rx.try_recv_into(buf) {
                Ok(got) => Ok(got.position.get()),
                Err(mpmc::TryRecvError::Empty) => Err(Ok(Refused::Nothing)),
                Err(mpmc::TryRecvError::Busy { .. }) => Err(Ok(Refused::Busy)),
                Err(mpmc::TryRecvError::Disconnected) => Err(Ok(Refused::End)),
                Err(error) => Err(Err(error.into())),
            })
        }
    }
}

/// A position, a refusal that is part of the game, or the end of it.
type Told = Result<u64, Result<Refused, Failure>>;

struct Worker {
    page: Page,
    process: usize,
    one_sender: bool,
    one_receiver: bool,
    /// How far positions can be apart, where that is known.
    places: Option<u64>,
    plant: Plant,
}

impl Worker {
    /// Sends `each` messages. Ends hold 1 + the largest position told.
    fn send(&self, each: u64, mut send: impl FnMut(&[u8]) -> Told) -> Result<(), Failure> {
        let (sent, received) = (self.page.common(SENT), self.page.common(RECEIVED));
        let (mut seq, mut sum, mut calls) = (0, 0u64, 0u64);
        while seq < each {
            calls += 1;
            let number = (self.process as u64) << 48 | seq;
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes[8..].copy_from_slice(&mix(number).to_le_bytes());
            self.page.of(self.process, BEGUN).store(seq + 1, Release);
            let (before, read) = (sent.load(Acquire), received.load(Acquire));
            let told =
                if self.plant == Plant::Full && calls % 1000 == 0 { Err(Ok(Refused::Nothing)) } else { send(&bytes) };
            match told {
                Ok(position) => {
                    if position < before {
                        return Err(format!("sent at {position} when {before} had been reached before the call").into());
                    }
                    sent.fetch_max(position + 1, AcqRel);
                    (seq, sum) = (seq + 1, sum.wrapping_add(mix(number ^ 1)));
                }
                Err(Ok(Refused::Nothing)) => {
                    // Of one sender: what it has sent, less what had been received before.
                    if self.one_sender && self.places.is_some_and(|places| before - read.min(before) < places) {
                        return Err(format!("full, with {before} sent and {read} received before the call").into());
                    }
                    std::thread::yield_now();
                }
                Err(Ok(_)) => std::thread::yield_now(),
                Err(Err(error)) => return Err(error),
            }
        }
        self.page.of(self.process, SUM).store(sum, Release);
        self.page.of(self.process, COUNT).store(seq, Release);
        Ok(())
    }

    /// Receives until the end.
    fn receive(&self, senders: u64, mut receive: impl FnMut(&mut [u8]) -> Told) -> Result<(), Failure> {
        let (sent, received) = (self.page.common(SENT), self.page.common(RECEIVED));
        let (mut count, mut sum, mut calls, mut buf) = (0u64, 0u64, 0u64, [0; 16]);
        let (mut next, mut held) = (vec![0; senders as usize], None);
        loop {
            let (there, before) = (sent.load(Acquire), received.load(Acquire));
            calls += 1;
            let stale = self.plant == Plant::Empty && calls % 1000 == 0;
            match if stale { Err(Ok(Refused::Nothing)) } else { receive(&mut buf) } {
                Ok(position) => {
                    let [number, check] = [&buf[..8], &buf[8..]]
                        .map(|half| half.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
                    if position < before {
                        return Err(format!("received at {position} when {before} had been before the call").into());
                    }
                    received.fetch_max(position + 1, AcqRel);
                    count += 1;
                    // The planted bugs are those of what is told of, not of the ring.
                    let mut told = vec![number];
                    match self.plant {
                        Plant::Lose if count % 1000 == 0 => told.clear(),
                        Plant::Double if count % 1000 == 0 => told.push(number),
                        Plant::Reorder if count % 1000 == 0 => held = told.pop(),
                        _ => told.extend(held.take()),
                    }
                    for number in told {
                        let (sender, seq) = ((number >> 48) as usize, number & ((1 << 48) - 1));
                        let last = next.get_mut(sender).ok_or("a message of nobody")?;
                        if check != mix(number) && self.plant == Plant::None {
                            return Err(format!("message {number:#x} is garbled").into());
                        }
                        if seq < *last || self.one_receiver && seq != *last {
                            return Err(format!("message {seq} of sender {sender} where {last} was due").into());
                        }
                        if seq >= self.page.of(sender, BEGUN).load(Acquire) {
                            return Err(format!("message {seq} of sender {sender} was not sent yet").into());
                        }
                        *last = seq + 1;
                        sum = sum.wrapping_add(mix(number ^ 1));
                    }
                }
                Err(Ok(Refused::Nothing)) => {
                    if self.one_receiver && before < there {
                        return Err(format!("empty, with {there} sent and {before} received before the call").into());
                    }
                    std::thread::yield_now();
                }
                Err(Ok(Refused::Busy)) => std::thread::yield_now(),
                Err(Ok(Refused::End)) => break,
                Err(Err(error)) => return Err(error),
            }
        }
        self.page.of(self.process, SUM).store(sum, Release);
        self.page.of(self.process, COUNT).store(count, Release);
        Ok(())
    }
}
