//! Many producers and consumers over the heap, with handles that die with a claim, or with a message in hand, and are
//! replaced; the others repair what they leave. Payload is written and read in place.

#![allow(clippy::disallowed_types)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ring_shm::Trusted;
use ring_shm::mpmc::{Consumer, HeapRing, Options, Producer, TryRecvError, TrySendError};

use crate::{check, fill, length};

/// Messages of each sender.
const MESSAGES: u32 = 3_000;
const SENDERS: u32 = 2;
const RECEIVERS: u32 = 2;
const SLOT: usize = 48;

/// Drops a handle as the death of its process would: what it holds stays as it is until somebody proves the death.
fn die<H>(handle: H) {
    let died = catch_unwind(AssertUnwindSafe(|| {
        let _handle = handle;
        resume_unwind(Box::new(()));
    }));
    assert!(died.is_err());
}

/// Waits, or ends the test.
fn sent<T>(result: Result<T, TrySendError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(TrySendError::Full | TrySendError::Busy { .. }) => {
            thread::yield_now();
            None
        }
        Err(error) => panic!("send: {error}"),
    }
}

fn send(ring: &HeapRing, sender: u32) {
    let open = || ring.producer().expect("a place");
    let (mut tx, mut i): (Producer<Trusted>, u32) = (open(), 0);
    let tag = |i: u32| sender * MESSAGES + i;
    while i < MESSAGES {
        match i % 4 {
            0 => {
                if let Some(mut batch) = sent(tx.try_claim_batch(3, SLOT)) {
                    while batch.remaining() > 0 && i < MESSAGES {
                        let number = tag(i);
                        batch.push_with(number, length(number, SLOT), |bytes| fill(number, bytes)).expect("room");
                        i += 1;
                    }
                    batch.commit();
                }
            }
            1 | 2 => {
                let (number, len, dies) = (tag(i), length(tag(i), SLOT), i % 201 == 1);
                let Some(()) = sent(tx.try_claim(SLOT).map(|mut claim| {
                    fill(number, &mut claim[..len]);
                    claim.set_tag(number);
                    claim.truncate(len);
                    if dies { std::mem::forget(claim) } else { _ = claim.commit() }
                })) else {
                    continue;
                };
                if dies {
                    // Before it committed this one, so somebody else sends it.
                    die(tx);
                    tx = open();
                    while sent(tx.try_send(number, &copy(number))).is_none() {}
                }
                i += 1;
            }
            _ => _ = sent(tx.try_send(tag(i), &copy(tag(i)))).inspect(|_| i += 1),
        }
    }
}

fn copy(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; length(number, SLOT)];
    fill(number, &mut bytes);
    bytes
}

/// Receives until the end. `deliveries` counts, by number, all in the lower half and flagged ones in the upper.
fn receive(ring: &HeapRing, receiver: u32, deliveries: &[AtomicU64]) {
    let open = || ring.consumer().expect("a place");
    let (mut rx, mut count): (Consumer<Trusted>, u32) = (open(), receiver);
    let see = |number: u32, redelivered: bool, bytes: &[u8]| {
        assert_eq!(bytes.len(), length(number, SLOT));
        check(number, bytes);
        deliveries[number as usize].fetch_add(1 | u64::from(redelivered) << 32, Ordering::Relaxed);
    };
    loop {
        count += 1;
        let mut dies = false;
        let got = if count % 3 == 0 {
            rx.try_read_batch(4).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    see(record.tag(), record.redelivered(), &record);
                }
            })
        } else {
            rx.try_read().map(|record| {
                see(record.tag(), record.redelivered(), &record);
                match count % 151 {
                    0 => dies = true,
                    n if n % 29 == 1 => return record.keep(),
                    _ => return record.release(),
                }
                std::mem::forget(record);
            })
        };
        if dies {
            die(rx);
            rx = open();
        }
        match got {
            Ok(()) => {}
            Err(TryRecvError::Empty | TryRecvError::Busy { .. }) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => break,
            Err(error) => panic!("receive: {error}"),
        }
    }
}

/// Rings of every kind; returns the number of messages.
pub(crate) fn run() -> u64 {
    let options = Options::new().slots(16).slot_size(SLOT as u64).at_least_once(20);
    let mut messages = 0;
    for (senders, receivers, options) in [
        (SENDERS, RECEIVERS, options.clone()),
        (1, RECEIVERS, options.clone().max_producers(1)),
        (SENDERS, 1, options.max_consumers(1)),
    ] {
        let ring = HeapRing::new(&options).expect("a heap ring");
        let deliveries: Vec<_> = (0..senders * MESSAGES).map(|_| AtomicU64::new(0)).collect();
        // Each thread is joined: what a scope does at its end a sanitizer does not see.
        thread::scope(|scope| {
            let (ring, deliveries) = (&ring, &deliveries);
            let all = (0..receivers).map(|receiver| scope.spawn(move || receive(ring, receiver, deliveries)));
            let receivers: Vec<_> = all.collect();
            let senders: Vec<_> = (0..senders).map(|sender| scope.spawn(move || send(ring, sender))).collect();
            senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
            ring.producer().expect("a place").close().expect("a ring that is not corrupt");
            receivers.into_iter().for_each(|receiver| receiver.join().expect("a receiver"));
        });
        for (number, count) in deliveries.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            let (seen, flagged) = (count & 0xffff_ffff, count >> 32);
            assert!(seen > 0, "message {number} was lost");
            assert!(seen - flagged <= 1, "message {number} came {seen} times, {flagged} of them flagged");
        }
        messages += deliveries.len() as u64;
    }
    messages
}
