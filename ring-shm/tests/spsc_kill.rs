//! `kill -9` and SIGSTOP of either side of an SPSC ring at random times, under load.
//!
//! Every worker is a process. What it has done it writes into a shared page before and after each step, so that its
//! death leaves at most one operation open, whose outcome the checks accept either way, and nothing else. Rings are
//! small, so that padding, full and empty are among the places where death meets it.
//!
//! `RING_KILLS=1000 cargo test --release -p ring-shm --test spsc_kill -- --nocapture kill` is the long form;
//! `RING_SEED` repeats the choices of a run (not the scheduler's).
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use ring::{Account, Item, Ledger, PATIENCE, Rng, number, one_at_a_time, record, seed, session_of, until};
use ring_shm::spsc::{Consumer, Options, Producer, Record, TryRecvError, TrySendError};
use ring_shm::{Position, SetupError, SetupErrorKind, Trust};
use support::{Child, TestName, child, unique};

/// Kills of one test unless `RING_KILLS` says otherwise.
const KILLS: u64 = 200;

/// Longest payload, whatever the ring would take.
const LONGEST: usize = 2000;

/// The most records of a batch.
const BATCH: usize = 8;

#[test]
fn child_entry() {
    support::run_role(|role, args| {
        let (name, ledger, number) = (&args[0], Ledger::join(&args[1]), args[2].parse().unwrap());
        let rng = Rng(args[3].parse().unwrap());
        match role {
            "producer" => play_producer(name, ledger.account(number), number, rng),
            "consumer" => play_consumer(name, &ledger, ledger.account(number), rng, None),
            "judge" => play_consumer(name, &ledger, ledger.account(number), rng, Some(Judge::default())),
            other => panic!("no role {other}"),
        }
    });
}

/// A worker process, and how it is going to end.
struct Worker {
    process: Child,
    account: Account,
    fate: Fate,
}

/// How a worker will end.
#[derive(Debug, Clone, Copy)]
struct Fate {
    /// In order, not by a kill.
    orderly: bool,
    /// Count from its start, not from when it sits.
    early: bool,
    delay: Duration,
}

impl Fate {
    fn of(rng: &mut Rng) -> Self {
        let orderly = rng.once_in(6);
        let early = !orderly && rng.once_in(5);
        Self { orderly, early, delay: rng.delay(Duration::from_millis(if early { 12 } else { 3 })) }
    }

    /// It leaves when it is asked to.
    const ORDERLY: Self = Self { orderly: true, early: false, delay: Duration::ZERO };
}

/// Starts number `number`.
fn start(role: &str, name: &TestName, ledger: &Ledger, number: u32, rng: &mut Rng, fate: Fate) -> Worker {
    let account = ledger.account(number);
    account.put(Item::Calm, u64::from(fate.orderly));
    let process = child(role, &[name.as_str(), &ledger.path(), &number.to_string(), &rng.next().to_string()]);
    Worker { process, account, fate }
}

impl Worker {
    fn sits(&self) -> bool {
        self.account.get(Item::Seated) != 0
    }

    /// Waits until its time has come, and ends it.
    fn end(&mut self) {
        let Self { process, account, fate } = self;
        if !fate.early {
            let start = Instant::now();
            while account.get(Item::Seated) == 0 {
                assert!(start.elapsed() < PATIENCE, "hung: it never sat down");
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        std::thread::sleep(fate.delay);
        // Said before it is done: an end that is reported earlier is a false one.
        account.put(Item::Stop, if fate.orderly { STOP } else { KILL });
        if !fate.orderly {
            process.signal(libc::SIGKILL);
        }
        let status = process.finish();
        let right = if fate.orderly { status.success() } else { status.signal() == Some(libc::SIGKILL) };
        assert!(right, "a worker failed, {status}: its words are above");
    }
}

fn options(rng: &mut Rng) -> Options {
    let capacity = rng.of(&[64, 128, 256, 256, 512, 1024, 4096, 1 << 16]);
    let lines = capacity >= 256 && rng.once_in(4);
    let every = if rng.once_in(3) { capacity / rng.of(&[4, 8]) } else { 0 };
    Options::new().capacity(capacity).line_aligned(lines).release_every(every)
}

/// Opens, and waits while the predecessor lives.
fn sit<H>(open: impl Fn() -> Result<H, SetupError>) -> H {
    until("waiting for the seat", || match open() {
        Ok(handle) => Some(handle),
        Err(e) if matches!(e.kind(), SetupErrorKind::InUse) || matches!(e, SetupError::Contended) => {
            std::thread::sleep(Duration::from_micros(50));
            None
        }
        Err(e) => panic!("{e}"),
    })
}

/// Dies here and now, having said so.
fn die(account: Account) -> ! {
    account.put(Item::Stop, KILL);
    // SAFETY: plain numbers; to this very process.
    unsafe { libc::raise(libc::SIGKILL) };
    unreachable!("killed")
}

// ---- producers -----------------------------------------------------------------------------------------------------

/// How a payload gets into a claim: copied, or written in place where peers are trusted.
type Put<T> = fn(&mut Producer<T>, usize, u32, &[u8]) -> Result<Position, TrySendError>;

fn play_producer(name: &str, account: Account, session: u32, mut rng: Rng) {
    let mut tx = sit(|| Producer::open(name));
    account.put(Item::Seated, std::process::id().into());
    if rng.once_in(2) {
        produce(&mut tx, account, session, rng, |tx, room, tag, payload| {
            let mut claim = tx.try_claim(room)?;
            let (first, second) = payload.split_at(payload.len() / 3);
            claim.set_tag(tag);
            assert_eq!(claim.write(first) + claim.write(second), payload.len());
            claim.truncate(payload.len());
            Ok(claim.commit())
        });
    } else {
        // SAFETY: everybody in this test goes through this library.
        let mut tx = unsafe { tx.trust_peers() };
        produce(&mut tx, account, session, rng, |tx, room, tag, payload| {
            let mut claim = tx.try_claim(room)?;
            claim.set_tag(tag);
            claim[..payload.len()].copy_from_slice(payload);
            claim.truncate(payload.len());
            Ok(claim.commit())
        });
    }
}

/// Sends records 0, 1, … in every way there is, until told to stop.
fn produce<T: Trust>(tx: &mut Producer<T>, account: Account, session: u32, mut rng: Rng, put: Put<T>) {
    let max = tx.max_len().min(LONGEST);
    let mut payloads: Vec<(u32, Vec<u8>)> = vec![Default::default(); BATCH];
    let mut next = 0;
    // Some sessions end in the middle of something rather than wherever the signal finds them.
    let mut suicide = if account.get(Item::Calm) == 0 && rng.once_in(4) { rng.early() } else { u64::MAX };
    while account.get(Item::Stop) != STOP {
        if next + BATCH as u64 >= 1 << 20 {
            std::thread::yield_now(); // the tags are used up
            continue;
        }
        for (seq, (tag, payload)) in (next..).zip(&mut payloads) {
            *tag = record(session, seq, max, payload);
        }
        let (tag, payload) = &payloads[0];
        let committed = |count: u64, position: Position| {
            account.put(Item::Position, position.get());
            account.put(Item::Committed, next + count);
            count
        };
        suicide = suicide.saturating_sub(1);
        let sent = match rng.below(5) {
            0 | 1 => {
                account.put(Item::Announced, next + 1);
                tx.try_send(*tag, payload).map(|position| committed(1, position))
            }
            2 => {
                account.put(Item::Announced, next + 1);
                let room = payload.len() + rng.below((max - payload.len()) as u64 + 1) as usize;
                put(tx, room, *tag, payload).map(|position| committed(1, position))
            }
            3 => tx.try_claim(rng.below(max as u64 + 1) as usize).map(|mut claim| {
                claim.write(&[0xee; LONGEST]);
                if suicide == 0 {
                    die(account)
                }
                claim.abort();
                0
            }),
            _ => {
                let most = 1 + rng.below(BATCH as u64) as usize;
                let longest = payloads[..most].iter().map(|(_, p)| p.len()).max().unwrap();
                match tx.try_claim_batch_exact(most, longest) {
                    Err(TrySendError::TooLong { .. }) => Ok(0),
                    Err(e) => Err(e),
                    Ok(mut batch) => {
                        account.put(Item::Announced, next + most as u64);
                        let mut last = None;
                        for (tag, payload) in &payloads[..most] {
                            last = Some(batch.push(*tag, payload).unwrap());
                            if suicide == 0 && rng.once_in(2) {
                                die(account)
                            }
                        }
                        assert_eq!(batch.commit(), most);
                        if suicide == 0 {
                            die(account)
                        }
                        Ok(committed(most as u64, last.unwrap()))
                    }
                }
            }
        };
        match sent {
            Ok(count) => next += count,
            Err(TrySendError::Full) => std::thread::yield_now(),
            // A consumer may have been killed; the supervisor knows.
            Err(TrySendError::PeerDied | TrySendError::Disconnected) => {}
            Err(e) => panic!("session {session}, record {next}: {e:?}"),
        }
    }
}

/// What [`Item::Stop`] says: nothing, leave in order, about to be killed.
const STOP: u64 = 1;
const KILL: u64 = 2;

/// What a campaign adds up to.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    seated: u64,
    orderly: u64,
    rings: u64,
    records: u64,
    open: u64,
    open_committed: u64,
    redelivered: u64,
    gaps: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, seated, orderly, rings, records, open, open_committed, redelivered, gaps } = self;
        write!(
            f,
            "{kills} kills ({seated} in their seats, {open} in the middle of a commit of which {open_committed} stood, \
             {gaps} in the middle of a receive) and {orderly} orderly ends in {rings} rings, {records} records, \
             0 lost, {redelivered} redelivered and flagged"
        )
    }
}

/// Checks what arrives from one producer after another.
struct Receiver<'l> {
    ledger: &'l Ledger,
    max: usize,
    /// Whose records arrive; 0 at first.
    session: u32,
    /// Which one is next.
    seq: u64,
    /// Positions of the latest.
    positions: Vec<u64>,
    ends: Vec<TryRecvError>,
    expected: Vec<u8>,
    tally: &'l mut Tally,
}

impl Receiver<'_> {
    fn take(&mut self, found: u32, payload: &[u8], position: Position, redelivered: bool) {
        if session_of(found) != self.session {
            self.settle(session_of(found));
        }
        let expected = record(self.session, self.seq, self.max, &mut self.expected);
        assert_eq!(found, expected, "session {}: lost, doubled or out of order at {}", self.session, self.seq);
        assert_eq!(payload, self.expected, "corrupt record {} of session {}", self.seq, self.session);
        assert!(!redelivered, "this consumer has never died");
        assert!(self.positions.last().is_none_or(|last| *last < position.get()), "positions grow");
        if self.positions.len() == 64 {
            self.positions.drain(..32);
        }
        self.positions.push(position.get());
        self.seq += 1;
        self.tally.records += 1;
    }

    fn end(&mut self, end: TryRecvError) {
        self.ends.push(end);
        let sessions = self.session.max(1)..ring::ACCOUNTS;
        let over = sessions.filter(|s| self.ledger.account(*s).get(Item::Stop) != 0).count();
        assert!(self.ends.len() <= over, "session {}: {:?}, but only {over} have ended", self.session, self.ends);
    }

    /// The records of the present session have ended, and `next` begins.
    fn settle(&mut self, next: u32) {
        assert!(next > self.session, "session {next} after {}", self.session);
        let ends = std::mem::take(&mut self.ends);
        if self.session != 0 {
            self.check(self.session, self.seq);
            let truth: Vec<_> = (self.session..next)
                .map(|s| match self.ledger.account(s).get(Item::Stop) {
                    STOP => TryRecvError::Disconnected,
                    _ => TryRecvError::PeerDied,
                })
                .collect();
            let count = |all: &[TryRecvError], end| all.iter().filter(|e| **e == end).count();
            let (died, closed) = (TryRecvError::PeerDied, TryRecvError::Disconnected);
            // The first end belongs to the session whose records came; those that never sat, or wrote nothing, may
            // be silent. A session's mark is written by its successor: if that dies before it could, only its own
            // death is told.
            let first = ends.first() == truth.first() || ends.first() == Some(&died) && truth.contains(&died);
            let few = [died, closed].into_iter().all(|end| count(&ends, end) <= count(&truth, end));
            assert!(first && few, "session {} to {next}: told {ends:?}, the truth is {truth:?}", self.session);
        }
        for silent in self.session + 1..next {
            self.check(silent, 0);
        }
        (self.session, self.seq) = (next, 0);
        self.positions.clear();
    }

    /// All that was committed in `session` has come, and no part of an operation.
    fn check(&mut self, session: u32, got: u64) {
        let account = self.ledger.account(session);
        let (committed, announced) = (account.get(Item::Committed), account.get(Item::Announced).max(got));
        let closed = account.get(Item::Stop) == STOP;
        if closed || announced <= committed {
            assert_eq!(got, committed, "session {session} (closed: {closed}): lost or invented");
        } else {
            assert!(
                got == committed || got == account.get(Item::Announced),
                "session {session}: got {got}, committed {committed}, at hand up to {announced}"
            );
            self.tally.open += 1;
            self.tally.open_committed += u64::from(got != committed);
        }
        if committed > 0 {
            // Of the last committed record, or of the last one of an operation that was still open.
            let told = Some(account.get(Item::Position));
            let at = |back: u64| self.positions.iter().rev().nth(back as usize).copied();
            assert!(told == at(got - committed) || got != committed && told == at(0), "the position that was told");
        }
    }
}

/// Takes what there is, in every way there is. Whether there was anything.
fn receive(rx: &mut Consumer, rng: &mut Rng, receiver: &mut Receiver<'_>, buf: &mut [u8]) -> bool {
    let got = match rng.below(4) {
        0 | 1 => rx.try_recv_into(buf).map(|got| {
            receiver.take(got.tag, &buf[..got.len], got.position, got.redelivered);
        }),
        2 => rx.try_read().map(|found| {
            if rng.once_in(8) {
                return found.keep();
            }
            let len = found.copy_to(buf);
            receiver.take(found.tag(), &buf[..len], found.position(), found.redelivered());
            found.release();
        }),
        _ => rx.try_read_batch(1 + rng.below(8) as usize).map(|mut batch| {
            if rng.once_in(8) {
                while batch.next_record().is_some() {}
                return batch.keep();
            }
            while let Some(found) = batch.next_record() {
                let len = found.copy_to(buf);
                receiver.take(found.tag(), &buf[..len], found.position(), found.redelivered());
            }
            assert!(batch.release() > 0);
        }),
    };
    match got {
        Ok(()) => true,
        Err(TryRecvError::Empty) => false,
        Err(e @ (TryRecvError::PeerDied | TryRecvError::Disconnected)) => {
            receiver.end(e);
            true
        }
        Err(e) => panic!("session {}, record {}: {e:?}", receiver.session, receiver.seq),
    }
}

#[test]
fn kill_producer() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (number("RING_KILLS", KILLS), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_producers_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_producer: {tally}, {:.1?}", start.elapsed());
}

fn kill_producers_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kp"), Ledger::new(), options(rng));
    let mut rx = Consumer::create(name.as_str(), &options).unwrap();
    tally.rings += 1;
    let max = rx.max_len().min(LONGEST);
    let (mut buf, context) = (vec![0; rx.max_len()], format!("{options:?}"));
    let mut receiver = Receiver {
        ledger: &ledger,
        max,
        session: 0,
        seq: 0,
        positions: Vec::new(),
        ends: Vec::new(),
        expected: Vec::new(),
        tally,
    };
    let last = 1 + rng.below(25) as u32;
    let mut ahead: Option<Worker> = None;
    for session in 1..=last {
        let account = ledger.account(session);
        let fate = Fate::of(rng);
        let mut worker = ahead.take().unwrap_or_else(|| start("producer", &name, &ledger, session, rng, fate));
        let goes_on = session < last && receiver.tally.kills + 1 < kills;
        if goes_on && !worker.fate.early && rng.once_in(3) {
            // It must not come first.
            until("a seat", || worker.sits().then_some(()));
            let fate = Fate::of(rng);
            ahead = Some(start("producer", &name, &ledger, session + 1, rng, fate));
        }
        std::thread::scope(|s| {
            let ender = s.spawn(|| worker.end());
            // A slow consumer keeps the ring full, a quick one empty.
            let pause = if rng.once_in(3) { Duration::from_micros(rng.below(100)) } else { Duration::ZERO };
            while !ender.is_finished() {
                receive(&mut rx, rng, &mut receiver, &mut buf);
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
            ender.join().unwrap_or_else(|e| panic!("{e:?} {context}"));
        });
        let seated = worker.sits();
        if account.get(Item::Stop) == KILL {
            receiver.tally.kills += 1;
            receiver.tally.seated += u64::from(seated);
        } else {
            receiver.tally.orderly += 1;
        }
        assert!(ahead.is_some() || !seated || rx.is_disconnected(), "the seat is free when waitpid returns");
        if !goes_on {
            break;
        }
        // Half of the successors find what their predecessors have left.
        if ahead.is_none() && seated && rng.once_in(2) {
            drain(&mut rx, rng, &mut receiver, &mut buf, &context);
        }
    }
    drain(&mut rx, rng, &mut receiver, &mut buf, &context);
    let (session, seq) = (receiver.session, receiver.seq);
    if session != 0 {
        receiver.check(session, seq);
    }
    for silent in session + 1..=last {
        receiver.check(silent, 0);
    }
}

/// Everything, and the end of it, which is told once.
fn drain(rx: &mut Consumer, rng: &mut Rng, receiver: &mut Receiver<'_>, buf: &mut [u8], context: &str) {
    let (start, mut quiet, mut polls) = (Instant::now(), Instant::now(), 0);
    // The kernel is asked at most once a millisecond, at every 64th poll of an empty ring. So polls count only once
    // that time has passed, or a pause of this thread could eat it all.
    while polls < 256 {
        if receive(rx, rng, receiver, buf) {
            (quiet, polls) = (Instant::now(), 0);
        } else if quiet.elapsed() > Duration::from_millis(2) {
            polls += 1;
        }
        assert!(start.elapsed() < PATIENCE, "hung: draining, {context}");
    }
    assert!(receiver.session == 0 || !receiver.ends.is_empty(), "session {}: no end, {context}", receiver.session);
}

// ---- consumers -----------------------------------------------------------------------------------------------------

/// Follows the records of several producers, for the supervisor to compare.
#[derive(Default)]
struct Judge {
    before: Option<u32>,
}

/// Reads until told to stop, and takes down each record as soon as it has it.
fn play_consumer(name: &str, ledger: &Ledger, account: Account, mut rng: Rng, mut judge: Option<Judge>) {
    let rx = sit(|| Consumer::open(name));
    account.put(Item::Seated, std::process::id().into());
    let style = rng.below(4);
    let mut take_down =
        |tag: u32, payload: &[u8], flagged: bool| take_down(ledger, account, &mut judge, tag, payload, flagged);
    if rng.once_in(2) {
        consume(rx, account, rng, style, &mut take_down, |record, buf| {
            let len = record.copy_to(buf);
            assert_eq!(len, record.len());
            len
        });
    } else {
        // SAFETY: everybody in this test goes through this library.
        let rx = unsafe { rx.trust_peers() };
        consume(rx, account, rng, style, &mut take_down, |record, buf| {
            buf[..record.len()].copy_from_slice(record);
            record.len()
        });
    }
}

fn consume<T: Trust>(
    mut rx: Consumer<T>,
    account: Account,
    mut rng: Rng,
    style: u64,
    take_down: &mut dyn FnMut(u32, &[u8], bool),
    copy: fn(&Record<'_, T>, &mut [u8]) -> usize,
) {
    let mut buf = vec![0; rx.max_len()];
    let mut suicide = if account.get(Item::Calm) == 0 && rng.once_in(4) { rng.early() } else { u64::MAX };
    while account.get(Item::Stop) != STOP {
        suicide = suicide.saturating_sub(1);
        let way = if style == 3 { rng.below(3) } else { style };
        let got = match way {
            0 => {
                account.put(Item::InCall, 1);
                let got = rx.try_recv_into(&mut buf);
                let got = got.map(|got| take_down(got.tag, &buf[..got.len], got.redelivered));
                account.put(Item::InCall, 0);
                got
            }
            1 => rx.try_read().map(|record| {
                let len = copy(&record, &mut buf);
                take_down(record.tag(), &buf[..len], record.redelivered());
                if suicide == 0 {
                    die(account)
                }
                record.release();
            }),
            _ => rx.try_read_batch(1 + rng.below(BATCH as u64) as usize).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    let len = record.copy_to(&mut buf);
                    take_down(record.tag(), &buf[..len], record.redelivered());
                    if suicide == 0 {
                        die(account)
                    }
                }
                batch.release();
            }),
        };
        match got {
            Ok(()) => account.put(Item::Released, account.get(Item::Next)),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
            Err(TryRecvError::PeerDied | TryRecvError::Disconnected) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
}

/// `tag` is the number of the record; from a single producer it just counts.
fn take_down(ledger: &Ledger, account: Account, judge: &mut Option<Judge>, tag: u32, payload: &[u8], flagged: bool) {
    let (first, next) = (account.get(Item::First), account.get(Item::Next));
    let (session, seq) =
        if judge.is_some() { (session_of(tag), u64::from(tag & 0xf_ffff)) } else { (0, u64::from(tag)) };
    if let Some(judge) = judge {
        if let Some(before) = judge.before.replace(tag) {
            let follows = tag == before + 1 || session > session_of(before) && seq == 0;
            assert!(follows, "{tag:#x} after {before:#x}: lost, doubled or out of order");
        }
    } else if first != 0 {
        assert_eq!(u64::from(tag), next, "lost, doubled or out of order");
    }
    let mut expected = Vec::new();
    record(session, seq, usize::try_from(ledger.account(0).get(Item::Longest)).unwrap(), &mut expected);
    assert_eq!(payload, expected, "corrupt record {tag:#x}");
    if flagged {
        let run = account.get(Item::FlaggedTo) == next || first == 0;
        assert!(run, "{tag:#x} is flagged and the one before was not");
        account.put(Item::FlaggedTo, u64::from(tag) + 1);
    }
    if first == 0 {
        account.put(Item::First, u64::from(tag) + 1);
    }
    account.put(Item::Next, u64::from(tag) + 1);
    if judge.is_some() {
        // The producer's own account; committed records of one session come to one consumer after the other.
        let theirs = ledger.account(session);
        theirs.put(Item::Next, theirs.get(Item::Next).max(seq + 1));
    }
}

/// Compares what one consumer after another has taken down.
struct Successions<'p> {
    /// 1 + the last record that anybody has taken down.
    high: u64,
    /// 1 + the last record that was surely released.
    released: u64,
    /// Consumers that may have released one record without taking it down, since the last that took one down.
    gaps: u64,
    /// Release interval.
    every: u64,
    /// How far beyond what was seen a flag may go.
    slack: u64,
    positions: &'p [u64],
}

impl Successions<'_> {
    /// The consumer of `account` has ended.
    fn add(&mut self, account: Account, tally: &mut Tally) {
        let (first, next) = (account.get(Item::First), account.get(Item::Next));
        let killed = account.get(Item::Stop) != STOP;
        let in_call = killed && account.get(Item::InCall) == 1;
        if let Some(first) = first.checked_sub(1) {
            assert!(first <= self.high + self.gaps, "records {} to {first} are lost", self.high);
            tally.gaps += first.saturating_sub(self.high);
            if first < self.released {
                let at = |seq: u64| self.positions[seq as usize];
                let again = at(self.released - 1) - at(first);
                assert!(again < self.every, "{again} bytes and more come again, fewer than {} may", self.every);
            }
            let again = self.high.min(next);
            if first < again {
                let to = account.get(Item::FlaggedTo);
                assert!(to >= again, "record {} of {first}..{again} comes again without the flag", to.max(first));
                tally.redelivered += again - first;
            }
            // One more: the ring had handed it out, and its reader died before it took it down. And some bytes more:
            // the mark of a batch runs ahead, so as not to be stored for each record.
            if let Some(last) = account.get(Item::FlaggedTo).checked_sub(1).filter(|last| *last > self.high) {
                let beyond = self.positions[last as usize] - self.positions[self.high as usize + 1];
                assert!(beyond < self.slack.max(1), "record {last} is flagged, nobody has seen {}", self.high + 1);
            }
            self.gaps = 0;
            self.high = self.high.max(next);
            // A later consumer that starts behind has seen released records again; they stay released.
            self.released = self.released.max(account.get(Item::Released));
        }
        self.gaps += u64::from(in_call);
    }
}

#[test]
fn kill_consumer() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (number("RING_KILLS", KILLS), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_consumers_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_consumer: {tally}, {:.1?}", start.elapsed());
}

fn kill_consumers_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kc"), Ledger::new(), options(rng));
    let mut tx = Producer::create(name.as_str(), &options).unwrap();
    let max = tx.max_len().min(LONGEST);
    ledger.account(0).put(Item::Longest, max as u64); // what the consumers check against
    let seen = ring_shm::spsc::inspect(name.as_str()).unwrap();
    let (every, slack) = (seen.release_every, (seen.capacity / 32).min(4096));
    tally.rings += 1;
    let (mut positions, mut payload, mut died, mut closed) = (Vec::new(), Vec::new(), 0, 0);
    let over = |how| (1..ring::ACCOUNTS).filter(|s| ledger.account(*s).get(Item::Stop) == how).count();
    let mut send = |rng: &mut Rng| {
        let seq = positions.len() as u64;
        record(0, seq, max, &mut payload);
        let sent = if rng.once_in(3) {
            tx.try_claim_batch(BATCH, payload.len()).map(|mut batch| {
                // As many as have no more bytes.
                let mut next = seq;
                while batch.remaining() > 0 {
                    let (room, mut one) = (payload.len(), Vec::new());
                    record(0, next, max, &mut one);
                    if one.len() > room {
                        break;
                    }
                    positions.push(batch.push(next as u32, &one).unwrap().get());
                    next += 1;
                }
                batch.commit();
            })
        } else {
            tx.try_send(seq as u32, &payload).map(|position| positions.push(position.get()))
        };
        match sent {
            Ok(()) => true,
            Err(TrySendError::Full) => false,
            Err(TrySendError::PeerDied) => {
                died += 1;
                assert!(died <= over(KILL), "told of {died} deaths, {} have been", over(KILL));
                false
            }
            Err(TrySendError::Disconnected) => {
                closed += 1;
                assert!(closed <= over(STOP), "told of {closed} orderly ends, {} have been", over(STOP));
                false
            }
            Err(e) => panic!("{e:?}"),
        }
    };
    let last = 1 + rng.below(25) as u32;
    let mut ahead: Option<Worker> = None;
    let mut sessions = 0;
    for session in 1..=last {
        let account = ledger.account(session);
        let fate = Fate::of(rng);
        let mut worker = ahead.take().unwrap_or_else(|| start("consumer", &name, &ledger, session, rng, fate));
        let goes_on = session < last && tally.kills + 1 < kills;
        if goes_on && !worker.fate.early && rng.once_in(3) {
            // It must not come first.
            until("a seat", || worker.sits().then_some(()));
            let fate = Fate::of(rng);
            ahead = Some(start("consumer", &name, &ledger, session + 1, rng, fate));
        }
        std::thread::scope(|s| {
            let ender = s.spawn(|| worker.end());
            let pause = if rng.once_in(3) { Duration::from_micros(rng.below(100)) } else { Duration::ZERO };
            while !ender.is_finished() {
                if !send(rng) {
                    std::thread::yield_now();
                }
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
            ender.join().unwrap_or_else(|e| panic!("{e:?} {options:?}"));
        });
        if account.get(Item::Stop) == KILL {
            tally.kills += 1;
            tally.seated += u64::from(worker.sits());
        } else {
            tally.orderly += 1;
        }
        sessions = session;
        if !goes_on {
            break;
        }
    }
    // One last consumer gets all the rest.
    let sent = positions.len() as u64;
    let mut worker = start("consumer", &name, &ledger, sessions + 1, rng, Fate::ORDERLY);
    until("the rest of the records", || (worker.sits() && is_empty(&name)).then_some(()));
    worker.end();
    let mut successions = Successions { high: 0, released: 0, gaps: 0, every, slack, positions: &positions };
    for session in 1..=sessions + 1 {
        successions.add(ledger.account(session), tally);
    }
    assert!(successions.high + successions.gaps >= sent, "{} of {sent} records arrived", successions.high);
    assert!(successions.high <= sent);
    tally.records += sent;
}

fn is_empty(name: &TestName) -> bool {
    let seen = ring_shm::spsc::inspect(name.as_str()).unwrap();
    seen.head == seen.tail
}

// ---- both ----------------------------------------------------------------------------------------------------------

#[test]
fn kill_either() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (number("RING_KILLS", KILLS), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_both_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_either: {tally}, {:.1?}", start.elapsed());
}

/// Accounts of judges begin here, so that sessions of producers count from 1.
const JUDGES: u32 = ring::ACCOUNTS / 2;

fn kill_both_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kb"), Ledger::new(), options(rng));
    ring_shm::spsc::create(name.as_str(), &options).unwrap();
    let max = (options.footprint() - 4096) as usize / 2 - 8;
    ledger.account(0).put(Item::Longest, max.min(LONGEST) as u64);
    tally.rings += 1;
    let (mut session, mut judge) = (1, JUDGES);
    let fates = [Fate::of(rng), Fate::of(rng)];
    let mut tx = start("producer", &name, &ledger, session, rng, fates[0]);
    let mut rx = start("judge", &name, &ledger, judge, rng, fates[1]);
    for _ in 0..1 + rng.below(40) {
        let (worker, role, number) =
            if rng.once_in(2) { (&mut tx, "producer", &mut session) } else { (&mut rx, "judge", &mut judge) };
        worker.end();
        if worker.fate.orderly {
            tally.orderly += 1;
        } else {
            tally.kills += 1;
            tally.seated += u64::from(worker.sits());
        }
        *number += 1;
        let fate = Fate::of(rng);
        *worker = start(role, &name, &ledger, *number, rng, fate);
        if tally.kills + 1 >= kills {
            break;
        }
    }
    // The last producer ends as it may, the last consumer gets all the rest.
    tx.end();
    rx.end();
    tally.kills += [&tx, &rx].map(|worker| u64::from(!worker.fate.orderly)).iter().sum::<u64>();
    let mut rx = start("judge", &name, &ledger, judge + 1, rng, Fate::ORDERLY);
    until("the last judge", || rx.sits().then_some(()));
    // A death may have left the stored tail behind: only a successor, or `recover`, finds the end.
    ring_shm::spsc::recover(name.as_str(), None).unwrap();
    until("the rest of the records", || is_empty(&name).then_some(()));
    rx.end();

    let (mut high, mut gaps, mut possible) = (0, 0, 0);
    for judge in JUDGES..=judge + 1 {
        let account = ledger.account(judge);
        if let Some(first) = account.get(Item::First).checked_sub(1) {
            let next = account.get(Item::Next);
            let again = high.min(next);
            let to = account.get(Item::FlaggedTo);
            if session_of(first as u32) == session_of(again as u32) {
                tally.redelivered += again.saturating_sub(first);
            }
            assert!(first >= again || to >= again, "{to:#x} of {first:#x}..{again:#x} comes again without the flag");
            // In the same session, or at the beginning of one that nobody has seen.
            let follows = first <= high + gaps || first & 0xf_ffff <= gaps;
            assert!(follows, "{high:#x}: lost until {first:#x}");
            (high, gaps) = (high.max(next), 0);
        }
        let in_call = account.get(Item::Stop) != STOP && account.get(Item::InCall) == 1;
        gaps += u64::from(in_call);
        possible += u64::from(in_call);
    }
    for session in 1..=session {
        let account = ledger.account(session);
        let (got, committed, announced) =
            (account.get(Item::Next), account.get(Item::Committed), account.get(Item::Announced));
        let mut outcomes = vec![committed];
        if account.get(Item::Stop) != STOP {
            outcomes.push(announced);
        }
        // A consumer that died in the middle of a receive may have taken the last one with it.
        let missing = outcomes.iter().filter_map(|outcome| outcome.checked_sub(got)).min();
        let missing = missing.unwrap_or_else(|| panic!("session {session}: {got} of {committed} or {announced}"));
        assert!(missing <= possible, "session {session}: {got} of {committed} or {announced}");
        possible -= missing;
        tally.gaps += missing;
        tally.records += got;
        if announced > committed && outcomes.len() == 2 {
            tally.open += 1;
            tally.open_committed += u64::from(got == announced);
        }
    }
}

// ---- stopping ------------------------------------------------------------------------------------------------------

/// How long a stopped peer is watched: the kernel is asked about it once a millisecond.
const WATCH: Duration = Duration::from_millis(12);

#[test]
fn stop_producer() {
    let _turn = one_at_a_time();
    let mut rng = Rng(seed());
    let mut tally = Tally::default();
    let (name, ledger) = (unique("sp"), Ledger::new());
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(512)).unwrap();
    let mut buf = vec![0; rx.max_len()];
    let mut receiver = Receiver {
        ledger: &ledger,
        max: rx.max_len(),
        session: 0,
        seq: 0,
        positions: Vec::new(),
        ends: Vec::new(),
        expected: Vec::new(),
        tally: &mut tally,
    };
    let mut worker = start("producer", &name, &ledger, 1, &mut rng, Fate::ORDERLY);
    for round in 0..20 {
        let run = Instant::now();
        let time = rng.delay(Duration::from_millis(3));
        while run.elapsed() < time || !worker.sits() {
            receive(&mut rx, &mut rng, &mut receiver, &mut buf);
        }
        worker.process.signal(libc::SIGSTOP);
        worker.process.wait_for_state('T');
        // All it has committed comes, and then nothing, least of all an end: `Receiver::end` would fail.
        let (watch, mut quiet) = (Instant::now(), 0);
        while watch.elapsed() < WATCH || quiet < 256 {
            quiet = if receive(&mut rx, &mut rng, &mut receiver, &mut buf) { 0 } else { quiet + 1 };
        }
        assert!(!rx.is_disconnected(), "round {round}");
        refused(Producer::open(name.as_str()).map(drop), &worker);
        worker.process.signal(libc::SIGCONT);
    }
    std::thread::scope(|s| {
        let ender = s.spawn(|| worker.end());
        while !ender.is_finished() {
            receive(&mut rx, &mut rng, &mut receiver, &mut buf);
        }
    });
    drain(&mut rx, &mut rng, &mut receiver, &mut buf, "");
    assert_eq!(receiver.ends, [TryRecvError::Disconnected]);
    receiver.check(1, receiver.seq);
}

/// A successor is refused, and told by whom.
fn refused(opened: Result<(), SetupError>, worker: &Worker) {
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), SetupErrorKind::InUse);
    assert!(error.to_string().contains(&worker.process.pid().to_string()), "{error}");
}

#[test]
fn stop_consumer() {
    let _turn = one_at_a_time();
    let mut rng = Rng(seed());
    let (name, ledger) = (unique("sc"), Ledger::new());
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(512)).unwrap();
    let max = tx.max_len();
    ledger.account(0).put(Item::Longest, max as u64);
    let mut worker = start("consumer", &name, &ledger, 1, &mut rng, Fate::ORDERLY);
    let (mut seq, mut payload) = (0, Vec::new());
    let mut send = || {
        record(0, seq, max, &mut payload);
        match tx.try_send(seq as u32, &payload) {
            Ok(_) => seq += 1,
            Err(TrySendError::Full) => std::thread::yield_now(),
            Err(e) => panic!("a stopped consumer is there: {e:?}"),
        }
    };
    for _ in 0..20 {
        let (run, time) = (Instant::now(), rng.delay(Duration::from_millis(3)));
        while run.elapsed() < time || !worker.sits() {
            send();
        }
        worker.process.signal(libc::SIGSTOP);
        worker.process.wait_for_state('T');
        let (watch, mut polls) = (Instant::now(), 0);
        while watch.elapsed() < WATCH || polls < 1024 {
            send();
            polls += 1;
        }
        refused(Consumer::open(name.as_str()).map(drop), &worker);
        worker.process.signal(libc::SIGCONT);
    }
    assert!(!tx.is_disconnected());
    until("the rest of the records", || is_empty(&name).then_some(()));
    worker.end();
    assert_eq!((worker.account.get(Item::First), worker.account.get(Item::Next)), (1, seq));
    assert_eq!(worker.account.get(Item::FlaggedTo), 0);
}

/// Stopped anywhere between its start and its first operations: whoever comes first has the seat, the other waits.
#[test]
fn stop_while_sitting_down() {
    let _turn = one_at_a_time();
    let mut rng = Rng(seed());
    for round in 0..12 {
        let (name, ledger) = (unique("ss"), Ledger::new());
        ring_shm::spsc::create(name.as_str(), &Options::new().capacity(512)).unwrap();
        let mut worker = start("producer", &name, &ledger, 1, &mut rng, Fate::ORDERLY);
        std::thread::sleep(rng.delay(Duration::from_millis(15)));
        worker.process.signal(libc::SIGSTOP);
        worker.process.wait_for_state('T');
        let sat = worker.sits();
        match Producer::open(name.as_str()) {
            Ok(_) => assert!(!sat, "round {round}: its seat was taken over"),
            // Refused by somebody who has not signed yet, perhaps; never with another error.
            Err(e) => assert_eq!(e.kind(), SetupErrorKind::InUse, "round {round}: {e}"),
        }
        worker.process.signal(libc::SIGCONT);
        worker.end();
    }
}
