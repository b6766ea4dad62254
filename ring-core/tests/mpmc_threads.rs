//! Threads at full speed: nothing lost, nothing twice, each producer's messages in order; and with participants that
//! die in the middle, nothing lost and nothing twice without a flag.

#![cfg(not(loom))]
#![allow(clippy::disallowed_types, reason = "the test, not the ring, counts with them")]

mod mpmc_support;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use mpmc_support::*;
use ring_core::Verdict;
use ring_core::mpmc::{ClaimError, Format, ReadError, Ring};

const MESSAGES: u64 = if cfg!(miri) { 50 } else { 100_000 };

/// The number `i` of sender `s`.
fn message(s: u64, i: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (chunk, n) in bytes.chunks_mut(8).zip([s, i, s.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i]) {
        chunk.copy_from_slice(&n.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> (u64, u64) {
    let word = |i: usize| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap());
    assert_eq!(word(2), word(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(1), "torn payload");
    (word(0), word(1))
}

fn conserve(format: &Format, senders: u64, receivers: u64, batches: bool) {
    let ring = ring(&format.participants(16));
    let done = AtomicU64::new(0);
    let all: Vec<Vec<(u64, u64)>> = thread::scope(|scope| {
        for s in 0..senders {
            let (ring, done) = (&ring, &done);
            let mut tx = producer(ring);
            scope.spawn(move || {
                let mut i = 0;
                while i < MESSAGES {
                    let sent = if batches && i % 3 == 0 {
                        tx.try_claim_batch(5, 24).map(|mut batch| {
                            let n = (batch.remaining() as u64).min(MESSAGES - i);
                            for j in 0..n {
                                batch.push(0, &message(s, i + j)).unwrap();
                            }
                            batch.commit() as u64
                        })
                    } else if i % 7 == 0 {
                        tx.try_claim(24).map(drop).and_then(|()| tx.try_send(0, &message(s, i)).map(|_| 1))
                    } else {
                        tx.try_send(0, &message(s, i)).map(|_| 1)
                    };
                    match sent {
                        Ok(n) => i += n,
                        Err(ClaimError::Full | ClaimError::Busy(_)) => thread::yield_now(),
                        Err(e) => panic!("{e}"),
                    }
                }
                if done.fetch_add(1, Ordering::Relaxed) == senders - 1 {
                    tx.close();
                }
                tx.leave();
            });
        }
        let receivers: Vec<_> = (0..receivers)
            .map(|_| {
                let mut rx = consumer(&ring);
                scope.spawn(move || {
                    let (mut got, mut last) = (Vec::new(), 0);
                    let mut take = |bytes: &[u8], position: u64| {
                        assert!(got.is_empty() || position > last, "positions go backwards");
                        last = position;
                        got.push(decode(bytes));
                    };
                    loop {
                        let mut buf = [0; 24];
                        let result = if batches {
                            rx.try_read_batch(4).map(|mut batch| {
                                while let Some(record) = batch.next_record().unwrap() {
                                    assert!(record.copy_to(&mut buf) == 24 && !record.redelivered());
                                    take(&buf, record.position().get());
                                }
                                batch.release();
                            })
                        } else {
                            rx.try_recv_into(&mut buf).map(|r| {
                                assert!(!r.redelivered);
                                take(&buf, r.position.get());
                            })
                        };
                        match result {
                            Ok(()) => {}
                            Err(ReadError::Closed) => break,
                            Err(ReadError::Empty | ReadError::Busy(_)) => thread::yield_now(),
                            Err(e) => panic!("{e}"),
                        }
                    }
                    rx.leave();
                    got
                })
            })
            .collect();
        receivers.into_iter().map(|r| r.join().unwrap()).collect()
    });
    for got in &all {
        let mut last = HashMap::new();
        for (s, i) in got {
            assert!(last.insert(s, i).is_none_or(|before| before < i), "sender {s} out of order");
        }
    }
    let mut all = all.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..senders).flat_map(|s| (0..MESSAGES).map(move |i| (s, i)))));
}

#[test]
fn one_to_one() {
    conserve(&Format::new(64, 24), 1, 1, false);
}

#[test]
fn two_to_two_with_batches() {
    conserve(&Format::new(16, 24), 2, 2, true);
}

#[test]
fn four_to_four_through_two_slots() {
    conserve(&Format::new(2, 24), 4, 4, false);
}

#[test]
fn one_producer_by_creation() {
    conserve(&Format::new(32, 24).producers(1), 1, 3, true);
}

#[test]
fn one_consumer_by_creation() {
    conserve(&Format::new(32, 24).consumers(1), 3, 1, true);
}

#[test]
fn one_each_by_creation() {
    conserve(&Format::new(8, 24).producers(1).consumers(1), 1, 1, false);
}

/// Participants come, work a while and "die" between two operations, with claims and records in hand. A thread that
/// stops for good is as good as dead. The others repair; every message is there at the end.
#[test]
fn the_dying_lose_nothing() {
    let rounds: u64 = if cfg!(miri) { 3 } else { 2_000 };
    let ring: Ring<'static> = ring(&Format::new(8, 24).participants(8));
    let deaths = Mutex::new(std::collections::HashSet::new());
    let verdict = |lease| if deaths.lock().unwrap().contains(&lease) { Verdict::Dead } else { Verdict::Alive };
    let (stop, sent) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let seen = thread::scope(|scope| {
        let senders: Vec<_> = (0..2u64)
            .map(|t| {
                let (ring, deaths, sent, verdict) = (&ring, &deaths, &sent, &verdict);
                scope.spawn(move || {
                    for round in 0..rounds {
                        let name = t * rounds + round;
                        let Ok(mut tx) = ring.join_producer(ring.next_lease().unwrap(), verdict) else {
                            thread::yield_now();
                            continue;
                        };
                        let mut i = 0;
                        while i < 5 {
                            match tx.try_send(0, &message(name, i)) {
                                Ok(_) => {
                                    sent.lock().unwrap().push((name, i));
                                    i += 1;
                                }
                                Err(ClaimError::Busy(Some(blocked))) => drop(tx.repair(blocked, verdict)),
                                Err(ClaimError::Full | ClaimError::Busy(None)) => thread::yield_now(),
                                Err(e) => panic!("{e}"),
                            }
                        }
                        let hand = tx.try_claim_batch(2, 24);
                        if round % 3 != 0 {
                            std::mem::forget(hand);
                            deaths.lock().unwrap().insert(tx.lease());
                        } else {
                            drop(hand);
                            tx.leave();
                        }
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let (ring, deaths, stop, verdict) = (&ring, &deaths, &stop, &verdict);
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    'life: loop {
                        let Ok(mut rx) = ring.join_consumer(ring.next_lease().unwrap(), verdict) else {
                            thread::yield_now();
                            continue;
                        };
                        for i in 0.. {
                            let mut buf = [0; 24];
                            match rx.fetch(1) {
                                Ok(()) => {}
                                Err(ReadError::Busy(Some(blocked))) => drop(rx.repair(blocked, verdict)),
                                Err(ReadError::Closed) => break 'life,
                                Err(ReadError::Empty | ReadError::Busy(None)) => {
                                    if stop.load(Ordering::Relaxed) {
                                        ring.close(rx.lease(), verdict).unwrap();
                                    }
                                    thread::yield_now();
                                }
                                Err(e) => panic!("{e}"),
                            }
                            let Ok(record) = rx.redeliver(verdict, |_| ()) else { continue };
                            record.copy_to(&mut buf);
                            seen.push((decode(&buf), record.redelivered()));
                            if i % 13 == 12 {
                                std::mem::forget(record);
                                deaths.lock().unwrap().insert(rx.lease());
                                continue 'life;
                            }
                            record.release();
                        }
                    }
                    seen
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        receivers.into_iter().flat_map(|r| r.join().unwrap()).collect::<Vec<_>>()
    });
    let mut times: HashMap<(u64, u64), (u32, u32)> = HashMap::new();
    for (message, redelivered) in seen {
        let (first, again) = times.entry(message).or_default();
        *(if redelivered { again } else { first }) += 1;
    }
    let sent = sent.into_inner().unwrap();
    assert_eq!(times.len(), sent.len());
    for message in sent {
        let (first, _) = times.get(&message).copied().unwrap_or_default();
        assert_eq!(first, 1, "{message:?} delivered {first} times without a flag");
    }
}
