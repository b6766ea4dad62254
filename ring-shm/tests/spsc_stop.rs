//! SIGSTOP of either side of an SPSC ring at random times, under load: a stopped process keeps its seat, and nobody is
//! told that it has died.
#![allow(unsafe_code)]

#[path = "support/receiver.rs"]
mod receiver;
#[path = "support/ring.rs"]
mod ring;
mod support;
#[path = "support/workers.rs"]
mod workers;

use std::time::{Duration, Instant};

use receiver::{Receiver, drain, receive};
use ring::{Item, Ledger, Rng, one_at_a_time, record, seed, until};
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use ring_shm::{SetupError, SetupErrorKind};
use support::unique;
use workers::*;

#[test]
fn child_entry() {
    workers::entry();
}

/// How long a stopped peer is watched: the kernel is asked about it four times a millisecond.
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
