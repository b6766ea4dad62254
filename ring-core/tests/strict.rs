//! Strict rings without a kernel: whatever stands in the parts that a peer has sent, attach and the handles answer with
//! errors or data; a seat is taken once; each side stores only into what is its own.
#![cfg(not(loom))]
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the words behind the parts, which are the test's")]

use std::sync::atomic::Ordering::Relaxed;

use ring_core::spsc::strict::{ConsumerParts, ProducerParts, footprint, producer_len};
use ring_core::spsc::{Format, Ring};
use ring_core::{Line, Role, SeatError, SeatState, Verdict};

#[path = "golden/rings.rs"]
mod rings;

const PAGE: usize = 4096;

fn alive(_: u64) -> Verdict {
    Verdict::Alive
}

/// What a producer has made, as both sides see it. There is no memory that both map here, so these are copies.
fn both(format: &Format) -> (Vec<Line>, Vec<Line>) {
    let here = rings::lines(footprint(format));
    Ring::format_strict(ProducerParts::new(&here), format).unwrap();
    let all = rings::bytes(&here, footprint(format));
    let there = rings::strict_consumer(&[&all[..PAGE], &all[3 * PAGE..]].concat(), &all[PAGE..2 * PAGE]);
    (here, there)
}

/// Copies what the producer writes to where its consumer reads it.
fn carry(here: &[Line], there: &[Line]) {
    let (from, to) = (rings::words(here), rings::words(there));
    let page = PAGE / 8;
    let own = (0..page).map(|i| (i, 2 * page + i));
    let rest = (3 * page..to.len()).map(|i| (i, i));
    own.chain(rest).for_each(|(i, j)| to[j].store(from[i].load(Relaxed), Relaxed));
}

#[test]
fn records_come_over_wherever_the_ring_begins() {
    for start in [0, 1 << 20, (1 << 32) - 256, u64::MAX - 255] {
        let format = Format::new(256).start_at(start);
        let (here, there) = both(&format);
        let (ours, theirs) = (
            Ring::format_strict(ProducerParts::new(&here), &format).unwrap(),
            Ring::attach_strict(ConsumerParts::new(&there)).unwrap(),
        );
        let (mut tx, mut rx) = (ours.sit_producer(1, alive).unwrap(), theirs.sit_consumer(2, alive).unwrap());
        assert_eq!((tx.tail().get(), rx.head().get()), (start & !63, start & !63));
        for n in 0..3 {
            let sent = tx.try_send(n, &[n as u8; 40]).unwrap();
            carry(&here, &there);
            let mut buf = [0; 64];
            let got = rx.try_recv_into(&mut buf).unwrap();
            assert_eq!((got.tag, got.position, &buf[..got.len]), (n, sent, &[n as u8; 40][..]));
        }
        assert_eq!(ours.footprint(), producer_len(&format) + 2 * PAGE as u64);
    }
}

/// The consumer's stores are in its page and the common one, the producer's in all but the page of the other.
#[test]
fn each_side_stores_into_what_is_its_own() {
    let format = Format::new(256).type_text(b"text");
    let (here, there) = both(&format);
    let other = |memory: &[Line], from: usize| -> Vec<u64> {
        rings::words(memory)[from / 8..].iter().map(|word| word.load(Relaxed)).collect()
    };
    let before = other(&there, 2 * PAGE);
    let ring = Ring::attach_strict(ConsumerParts::new(&there)).unwrap();
    let mut rx = ring.sit_consumer(2, alive).unwrap();
    ring.set_facts(Role::Consumer, 2, ring.facts(Role::Producer));
    rings::words(&there)[(3 * PAGE + 3712) / 8].store(1 << 32 | 5, Relaxed); // a record of four bytes
    let before =
        before.into_iter().enumerate().map(|(i, word)| if i == (PAGE + 3712) / 8 { 1 << 32 | 5 } else { word });
    assert!(rx.try_read().is_ok());
    let _ = rx.try_read().map(|record| record.release());
    rx.close();
    assert!(other(&there, 2 * PAGE).into_iter().eq(before));

    let mut page: Vec<u64> = vec![0; PAGE / 8];
    let ring = Ring::format_strict(ProducerParts::new(&here), &format).unwrap();
    page.iter_mut().zip(&rings::words(&here)[2 * PAGE / 8..]).for_each(|(to, word)| *to = word.load(Relaxed));
    let mut tx = ring.sit_producer(1, alive).unwrap();
    while tx.try_send(1, &[7; 20]).is_ok() {}
    tx.try_claim(1).err();
    tx.close();
    assert!(page.iter().zip(&rings::words(&here)[2 * PAGE / 8..]).all(|(was, word)| *was == word.load(Relaxed)));
}

#[test]
fn seats_are_taken_once_and_never_over() {
    let format = Format::new(256);
    let (here, there) = both(&format);
    let ours = Ring::format_strict(ProducerParts::new(&here), &format).unwrap();
    let theirs = Ring::attach_strict(ConsumerParts::new(&there)).unwrap();
    // For an operator, even where nobody ever sat.
    assert_eq!(ours.recover(Role::Producer, 9, true, |_| Verdict::Dead), Err(SeatError::Strict));
    assert_eq!(theirs.recover(Role::Consumer, 9, true, |_| Verdict::Dead), Err(SeatError::Strict));
    // The other side's seat, whoever sits there.
    assert_eq!(ours.sit_consumer(2, |_| Verdict::Dead).err(), Some(SeatError::Strict));
    assert_eq!(theirs.sit_producer(1, |_| Verdict::Dead).err(), Some(SeatError::Strict));
    // One's own, again: held, dead, closed.
    ours.sit_producer(1, alive).unwrap();
    assert_eq!(ours.sit_producer(1, |_| Verdict::Dead).err(), Some(SeatError::Strict));
    theirs.sit_consumer(2, alive).unwrap().close();
    assert_eq!(theirs.seat(Role::Consumer), Ok(SeatState::Closed(2)));
    assert_eq!(theirs.sit_consumer(2, |_| Verdict::Dead).err(), Some(SeatError::Strict));
    for ring in [ours, theirs] {
        for role in [Role::Producer, Role::Consumer] {
            assert_eq!(ring.recover(role, 9, true, |_| Verdict::Dead), Err(SeatError::Strict));
        }
    }
}

#[test]
fn parts_that_are_too_short_are_refused() {
    let format = Format::new(256);
    for bytes in [0, 128, 4096, 8192, 12288, 16000, footprint(&format) - 128] {
        let memory = rings::lines(bytes);
        assert!(Ring::format_strict(ProducerParts::new(&memory), &format).is_err(), "{bytes}");
        let (_, there) = both(&format);
        let there = &there[..(bytes / 128) as usize];
        assert!(Ring::attach_strict(ConsumerParts::new(there)).is_err(), "{bytes}");
    }
}

fn awkward(now: u64) -> [u64; 12] {
    [0, 1, 2, 3, 7, 8, 64, 1 << 31, 1 << 63, u64::MAX, now.wrapping_add(8), now ^ 1]
}

/// Every word of what a producer has sent, at every awkward value: refused, or a ring that can be worked on.
#[test]
fn hostile_words_in_what_the_producer_sends() {
    let format = Format::new(256).type_text(b"text");
    let (_, fresh) = both(&format);
    let bytes = rings::bytes(&fresh, footprint(&format));
    let (mut refused, mut good) = (0, 0);
    for index in PAGE / 8..rings::words(&fresh).len() {
        for value in awkward(rings::words(&fresh)[index].load(Relaxed)) {
            let there = rings::memory(&bytes);
            rings::words(&there)[index].store(value, Relaxed);
            let Ok(ring) = Ring::attach_strict(ConsumerParts::new(&there)) else {
                refused += 1;
                continue;
            };
            let Ok(mut rx) = ring.sit_consumer(2, alive) else { continue };
            good += 1;
            for _ in 0..4 {
                let _ = rx.try_recv_into_asking(&mut [0; 256], |_| Verdict::Dead);
                let _ = rx.try_read_batch(4).map(|batch| batch.release());
            }
            let _ = (rx.len_guess(), ring.head_and_tail(), ring.type_text());
            rx.close();
        }
    }
    assert!(refused > 150 && good > 1000, "{refused} refused, {good} good");
}

/// Every word of what a consumer answers with and of the common object: refused, or the producer goes on.
#[test]
fn hostile_words_in_what_the_consumer_answers() {
    let format = Format::new(256).generation(7);
    let mut refused = 0;
    for index in PAGE / 8..3 * PAGE / 8 {
        for value in awkward(0) {
            let here = rings::lines(footprint(&format));
            let parts = ProducerParts::new(&here);
            let ring = Ring::format_strict(parts, &format).unwrap();
            let mut tx = ring.sit_producer(1, alive).unwrap();
            let theirs = &rings::words(&here)[2 * PAGE / 8..];
            theirs[0].store(u64::from_le_bytes(*b"RINGHEAD"), Relaxed);
            theirs[1].store(7, Relaxed);
            parts.expect_consumer(&ring).unwrap();
            rings::words(&here)[index].store(value, Relaxed);
            refused += u32::from(parts.expect_consumer(&ring).is_err());
            // A head that jumps later is met by the handle.
            for _ in 0..20 {
                let _ = tx.try_send_asking(1, &[7; 20], |_| Verdict::Dead);
            }
            let _ = (tx.len_guess(), ring.head_and_tail());
            tx.close();
        }
    }
    assert!(refused > 40, "{refused} refused");
}
