//! Producers and consumers of an SPSC ring that are going to be killed or stopped at random times, under load.
//!
//! Every worker is a process. What it has done it writes into a shared page before and after each step, so that its
//! death leaves at most one operation open, whose outcome the checks accept either way, and nothing else. Rings are
//! small, so that padding, full and empty are among the places where death meets it. Used beside `support` and `ring`.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use ring_shm::spsc::{Consumer, Options, Producer, Record, TryRecvError, TrySendError};
use ring_shm::{Position, SetupError, SetupErrorKind, Trust};

use super::ring::{Account, Item, Ledger, PATIENCE, Rng, record, session_of, until};
use super::support::{Child, TestName, child};

/// Kills of one test unless `RING_KILLS` says otherwise.
pub fn kills() -> u64 {
    let few = if super::support::backing() == super::support::Backing::Posix { 200 } else { 40 };
    super::ring::number("RING_KILLS", few)
}

/// Longest payload, whatever the ring would take.
pub const LONGEST: usize = 2000;

/// The most records of a batch.
pub const BATCH: usize = 8;

/// What [`Item::Stop`] says: nothing, leave in order, about to be killed.
pub const STOP: u64 = 1;

pub const KILL: u64 = 2;

/// A worker process, and how it is going to end.
pub struct Worker {
    pub process: Child,
    pub account: Account,
    pub fate: Fate,
}

/// How a worker will end.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    /// In order, not by a kill.
    pub orderly: bool,
    /// Count from its start, not from when it sits.
    pub early: bool,
    pub delay: Duration,
}

impl Fate {
    pub fn of(rng: &mut Rng) -> Self {
        let orderly = rng.once_in(6);
        let early = !orderly && rng.once_in(5);
        Self { orderly, early, delay: rng.delay(Duration::from_millis(if early { 12 } else { 3 })) }
    }

    /// It leaves when it is asked to.
    pub const ORDERLY: Self = Self { orderly: true, early: false, delay: Duration::ZERO };
}

/// Starts number `number`.
pub fn start(role: &str, name: &TestName, ledger: &Ledger, number: u32, rng: &mut Rng, fate: Fate) -> Worker {
    let account = ledger.account(number);
    account.put(Item::Calm, u64::from(fate.orderly));
    let process = child(role, &[name.as_str(), &ledger.path(), &number.to_string(), &rng.next().to_string()]);
    Worker { process, account, fate }
}

impl Worker {
    pub fn sits(&self) -> bool {
        self.account.get(Item::Seated) != 0
    }

    /// Waits until its time has come, and ends it.
    pub fn end(&mut self) {
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

pub fn options(rng: &mut Rng) -> Options {
    let capacity = rng.of(&[64, 128, 256, 256, 512, 1024, 4096, 1 << 16]);
    let lines = capacity >= 256 && rng.once_in(4);
    let every = if rng.once_in(3) { capacity / rng.of(&[4, 8]) } else { 0 };
    Options::new().capacity(capacity).line_aligned(lines).release_every(every)
}

/// Opens, and waits while the predecessor lives.
pub fn sit<H>(open: impl Fn() -> Result<H, SetupError>) -> H {
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
pub fn die(account: Account) -> ! {
    account.put(Item::Stop, KILL);
    // SAFETY: plain numbers; to this very process.
    unsafe { libc::raise(libc::SIGKILL) };
    unreachable!("killed")
}

/// How a payload gets into a claim: copied, or written in place where peers are trusted.
pub type Put<T> = fn(&mut Producer<T>, usize, u32, &[u8]) -> Result<Position, TrySendError>;

pub fn play_producer(name: &str, account: Account, session: u32, mut rng: Rng) {
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
pub fn produce<T: Trust>(tx: &mut Producer<T>, account: Account, session: u32, mut rng: Rng, put: Put<T>) {
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

/// Follows the records of several producers, for the supervisor to compare.
#[derive(Default)]
pub struct Judge {
    pub before: Option<u32>,
}

/// Reads until told to stop, and takes down each record as soon as it has it.
pub fn play_consumer(name: &str, ledger: &Ledger, account: Account, mut rng: Rng, mut judge: Option<Judge>) {
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

pub fn consume<T: Trust>(
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
pub fn take_down(
    ledger: &Ledger,
    account: Account,
    judge: &mut Option<Judge>,
    tag: u32,
    payload: &[u8],
    flagged: bool,
) {
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

pub fn is_empty(name: &TestName) -> bool {
    let seen = ring_shm::spsc::inspect(name.as_str()).unwrap();
    seen.head == seen.tail
}

/// What a campaign adds up to.
#[derive(Debug, Default)]
pub struct Tally {
    pub kills: u64,
    pub seated: u64,
    pub orderly: u64,
    pub rings: u64,
    pub records: u64,
    pub open: u64,
    pub open_committed: u64,
    pub redelivered: u64,
    pub gaps: u64,
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

/// Plays the part of a worker, if this process is one.
pub fn entry() {
    super::support::run_role(|role, args| {
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
