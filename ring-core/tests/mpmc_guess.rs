//! MPMC: what a handle guesses of where its next slot is must not show. All ways to send and to receive follow each other in
//! every order, on rings that several handles share and on those of an only one, over many laps and up to the last position.
#![cfg(not(loom))]

mod mpmc_support;

use mpmc_support::{consumer, positions, producer, ring};
use ring_core::Wake;
use ring_core::mpmc::{ClaimError, Consumer, Format, MAX_POSITION, Producer, ReadError, Ring};
use std::collections::VecDeque;

const STEPS: u32 = if cfg!(miri) { 300 } else { 20_000 };

/// A generator of the kind that Knuth gives; the upper bits are good enough to choose by.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The bytes of message `n`: eight of them, or as many as a slot has.
fn bytes(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(if n % 3 == 0 { 3 } else { 1 })
}

/// Sends `n`, or `n` and the next one, in one of the ways; returns how many.
fn send_somehow(tx: &mut Producer<'_>, n: u64, way: u64) -> Result<u64, ClaimError> {
    match way {
        0 => tx.try_send(n as u32, &bytes(n)).map(|_| 1),
        1 => {
            let payload = bytes(n);
            let mut claim = tx.try_claim(payload.len())?;
            claim.set_tag(n as u32);
            assert_eq!(claim.write(&payload), payload.len());
            claim.commit();
            Ok(1)
        }
        2 => {
            tx.try_claim(1)?.abort();
            Ok(0)
        }
        3 => {
            std::mem::forget(tx.try_claim(1)?);
            tx.try_send(n as u32, &bytes(n)).map(|_| 1)
        }
        4 => {
            let mut batch = tx.try_claim_batch_exact(2, 24)?;
            batch.push(n as u32, &bytes(n))?;
            batch.push(n as u32 + 1, &bytes(n + 1))?;
            Ok(batch.commit() as u64)
        }
        _ => {
            tx.reserve(2)?;
            tx.try_send(n as u32, &bytes(n)).map(|_| 1)
        }
    }
}

/// Receives messages in one of the ways.
fn receive_somehow(rx: &mut Consumer<'_>, way: u64) -> Result<Vec<(u32, Vec<u8>)>, ReadError> {
    let mut buf = [0; 64];
    match way {
        0 | 1 => {
            // Short messages fit exactly, long ones not at all: they stay with this handle until the next call.
            let short = if way == 0 { 8 } else { 64 };
            let got = match rx.try_recv_into(&mut buf[..short]) {
                Err(ReadError::BufferTooSmall { needed: 24 }) => rx.try_recv_into(&mut buf)?,
                got => got?,
            };
            Ok(vec![(got.tag, buf[..got.len].to_vec())])
        }
        2 => {
            let record = rx.try_read()?;
            let (tag, len) = (record.tag(), record.copy_to(&mut buf));
            assert_eq!((len, record.redelivered()), (record.len(), false));
            record.release();
            Ok(vec![(tag, buf[..len].to_vec())])
        }
        3 => {
            rx.fetch(1)?;
            let got = match rx.try_recv_into(&mut buf[..8]) {
                Err(ReadError::BufferTooSmall { .. }) => rx.try_recv_into(&mut buf)?,
                got => got?,
            };
            Ok(vec![(got.tag, buf[..got.len].to_vec())])
        }
        _ => {
            let (mut batch, mut got) = (rx.try_read_batch(2)?, Vec::new());
            while let Some(record) = batch.next_record()? {
                let len = record.copy_to(&mut buf);
                got.push((record.tag(), buf[..len].to_vec()));
            }
            batch.release();
            Ok(got)
        }
    }
}

/// Goes on until the ring is used up, or for so many steps; returns how many messages came.
fn mix(ring: &Ring<'static>, handles: usize, seed: u64) -> u64 {
    let mut tx: Vec<_> = (0..handles).map(|_| producer(ring)).collect();
    let mut rx: Vec<_> = (0..handles).map(|_| consumer(ring)).collect();
    let (mut dice, mut sent, mut came, mut queue) = (Dice(seed), 0, 0, VecDeque::new());
    let mut exhausted = false;
    for _ in 0..STEPS {
        // In streaks, so that guesses hold for a while, and then do not.
        let (who, way, sends) = (dice.below(handles as u64) as usize, dice.below(10), dice.below(2) == 0);
        for _ in 0..dice.below(12) {
            if sends {
                match send_somehow(&mut tx[who], sent, way.saturating_sub(4)) {
                    Ok(count) => {
                        queue.extend((0..count).map(|i| sent + i));
                        sent += count;
                    }
                    Err(ClaimError::Full) => break,
                    Err(ClaimError::Exhausted) => {
                        exhausted = true;
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
            } else {
                match receive_somehow(&mut rx[who], way.saturating_sub(5)) {
                    Ok(got) => {
                        for (tag, payload) in got {
                            let n = queue.pop_front().expect("a message that was not sent");
                            assert_eq!((tag, payload), (n as u32, bytes(n)));
                            came += 1;
                        }
                    }
                    Err(ReadError::Empty) => {
                        assert!(queue.is_empty(), "{} messages are there", queue.len());
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        if exhausted && queue.is_empty() {
            // What is left of it are gaps.
            assert_eq!(receive_somehow(&mut rx[0], 0), Err(ReadError::Empty));
            break;
        }
    }
    assert_eq!(came + queue.len() as u64, sent);
    came
}

#[test]
fn all_ways_follow_each_other() {
    for slots in [2, 4, 32] {
        for handles in [1, 2] {
            for limit in [handles as u32, 4] {
                let format = Format::new(slots, 24).participants(8).producers(limit).consumers(limit);
                let came = mix(&ring(&format), handles, slots ^ u64::from(limit));
                assert!(came > u64::from(STEPS) / 4, "{came}");
            }
        }
    }
}

#[test]
fn all_ways_lead_to_the_last_position() {
    for left in 40..48 {
        for limit in [1, 4] {
            let format = Format::new(4, 24).participants(8).producers(limit).consumers(limit);
            let ring = ring(&format.start_at(MAX_POSITION - left));
            mix(&ring, 1, left);
            assert_eq!(positions(&ring), (MAX_POSITION, MAX_POSITION));
        }
    }
}

#[test]
fn a_stream_ends_at_the_last_position() {
    for (slots, limit) in [(1, 1), (1, 4), (4, 1), (4, 4)] {
        let format = Format::new(slots, 24).participants(8).producers(limit).consumers(limit);
        for way in [0, 1] {
            let ring = ring(&format.start_at(MAX_POSITION - 31));
            let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
            for n in 0..31 {
                assert_eq!(send_somehow(&mut tx, n, way), Ok(1));
                assert_eq!(receive_somehow(&mut rx, 2 * way), Ok(vec![(n as u32, bytes(n))]));
            }
            assert_eq!(send_somehow(&mut tx, 31, way), Err(ClaimError::Exhausted));
            assert_eq!(receive_somehow(&mut rx, 2 * way), Err(ReadError::Empty));
        }
    }
}

/// Whoever sleeps is woken by the quick way too, in a conversation and in a stream, by an only one and by who shares.
#[test]
fn what_is_guessed_wakes_sleepers() {
    for (limit, way) in [(1, 0), (1, 1), (4, 0), (4, 1)] {
        let format = Format::new(4, 24).participants(8).producers(limit).consumers(limit);
        let ring = ring(&format).with_wake(const { &Wake::new(|_| true, true) });
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        for n in 0..20 {
            let sleeper = rx.sleeper().unwrap();
            let _ = sleeper.announce();
            assert_eq!(send_somehow(&mut tx, n, way), Ok(1));
            assert!(sleeper.withdraw(), "message {n} by way {way}, {limit} of each");
            let sleeper = tx.sleeper().unwrap();
            let _ = sleeper.announce();
            assert_eq!(receive_somehow(&mut rx, 2 * way).map(|got| got.len()), Ok(1));
            assert!(sleeper.withdraw(), "release {n} by way {way}, {limit} of each");
        }
    }
}
