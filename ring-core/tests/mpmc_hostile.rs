//! A peer that writes anything anywhere, before an operation or during it: the answer is an error or data, never a
//! panic, a wild access or an endless loop. Every word is set to every awkward value, then everything is scribbled on.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the hostile peer writes to the region behind the ring's back")]
#![allow(clippy::disallowed_types, reason = "it does so through atomics of its own")]

mod mpmc_support;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mpmc_support::*;
use ring_core::mpmc::{Blocked, ClaimError, Consumer, Format, MAX_POSITION, Producer, ReadError, Redelivery, Ring};
use ring_core::{Field, Position, Region, Verdict, mpmc_data_offset, slot_stride};

/// A region whose words the test can reach as well.
struct Memory {
    words: &'static [AtomicU64],
    region: Region<'static>,
}

impl Memory {
    fn new(format: &Format) -> Self {
        let bytes = usize::try_from(format.footprint()).unwrap();
        let layout = std::alloc::Layout::from_size_align(bytes, 128).unwrap();
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).unwrap();
        // SAFETY: zeroed, aligned, never freed, and reached only through atomics.
        let words = unsafe { std::slice::from_raw_parts(base.as_ptr().cast::<AtomicU64>(), bytes / 8) };
        // SAFETY: as above; the slice above is one of atomics, which is what a peer's access amounts to.
        let region = unsafe { Region::from_raw_parts(base, bytes) }.unwrap();
        Self { words, region }
    }

    fn set(&self, offset: usize, value: u64) {
        self.words[offset / 8].store(value, Ordering::Relaxed);
    }

    fn get(&self, offset: usize) -> u64 {
        self.words[offset / 8].load(Ordering::Relaxed)
    }
}

/// Offsets of all words that operations read: positions, hints, entries, slot words and meta words.
fn working_words(format: &Format, participants: usize, slots: usize, slot_size: u64) -> Vec<usize> {
    let data = usize::try_from(mpmc_data_offset(participants as u64)).unwrap();
    let stride = usize::try_from(slot_stride(slot_size)).unwrap();
    assert_eq!(data + slots * stride, format.footprint() as usize);
    let mut words: Vec<usize> = (1..7).map(|line| line * 128).collect();
    words.extend((0..participants).flat_map(|i| (0..13).map(move |w| 4096 + i * 128 + w * 8)));
    words.extend((0..slots).flat_map(|i| [data + i * stride, data + i * stride + 8]));
    words
}

/// Values that mean something somewhere, near the right one and far away.
fn awkward(right: u64) -> Vec<u64> {
    let mut values = vec![0, 1, 2, 3, 7, 8, 255, 256, 257, 1 << 12, (1 << 12) | 1, (1 << 12) - 1, 4095 << 12 | 4095];
    values.extend([1 << 31, 1 << 32, u64::MAX, u64::MAX - 1, u64::MAX - 255, u64::MAX << 8, i64::MAX as u64]);
    values.extend([MAX_POSITION, MAX_POSITION << 1, MAX_POSITION << 8, (MAX_POSITION + 1) << 1, MAX_POSITION << 12]);
    values.extend((0..64).map(|bit| right ^ (1 << bit)));
    for step in [1, 2, 4, 8, 9, 256, 512, 1024, 1025, 1026, 1027, 4096, 16384] {
        values.extend([right.wrapping_add(step), right.wrapping_sub(step)]);
    }
    values
}

/// Everything a participant can do, whatever the answers.
fn everything(ring: &Ring<'static>, tx: &mut Producer<'static>, rx: &mut Consumer<'static>) {
    let mut answers = [Verdict::Alive, Verdict::Dead, Verdict::Unknown].into_iter().cycle();
    let mut verdict = |_| answers.next().unwrap_or(Verdict::Dead);
    let mut buf = [0; 64];
    let _ = tx.try_send(1, &[1; 8]);
    if let Ok(mut claim) = tx.try_claim(8) {
        claim.write(&[2; 3]);
        claim.commit();
    }
    std::mem::forget(tx.try_claim(4));
    let _ = tx.reserve(2);
    if let Ok(mut batch) = tx.try_claim_batch(3, 8) {
        let _ = batch.push(3, &[3; 8]);
        batch.commit();
    }
    let _ = tx.try_claim_batch_exact(4, 8).map(|batch| batch.abort());
    let _ = rx.try_recv_into(&mut buf);
    let _ = rx.try_recv_into(&mut []);
    if let Ok(record) = rx.try_read() {
        record.copy_to(&mut buf);
        record.release();
    }
    std::mem::forget(rx.try_read());
    let _ = rx.try_read().map(|record| record.keep());
    let _ = rx.fetch(2);
    if let Ok(mut batch) = rx.try_read_batch(4) {
        while let Ok(Some(record)) = batch.next_record() {
            record.copy_to(&mut buf);
        }
        batch.release();
    }
    let _ = rx.redeliver(&mut verdict, |_| ()).map(|record| record.release());
    for p in [0, 1, 3, 4, 7, MAX_POSITION, u64::MAX].map(Position::new) {
        for blocked in [Blocked::Write(p), Blocked::Read(p), Blocked::Close] {
            let _ = rx.repair(blocked, &mut verdict);
            let _ = ring.holders(blocked).count();
        }
    }
    for i in 0..9 {
        let _ = ring.recover(i, &mut verdict);
        let _ = ring.participant(i);
    }
    let _ = ring.next_lease();
    let _ = ring.join_producer(77, &mut verdict).map(Producer::leave);
    let _ = ring.join_consumer(78, &mut verdict).map(Consumer::leave);
    let _ = (ring.stat(), ring.len_guess(), tx.is_ready(), rx.is_ready(), ring.facts_of(3));
}

fn formats() -> Vec<Format> {
    let base = Format::new(4, 24).participants(5);
    vec![
        base,
        base.producers(1),
        base.consumers(1),
        base.producers(1).consumers(1),
        base.redelivery(Redelivery::AtMostOnce),
    ]
}

/// A ring in the middle of its work: messages before, inside and after a lap, one in hand, one put back.
fn busy(memory: &Memory, format: &Format) -> (Ring<'static>, Producer<'static>, Consumer<'static>) {
    let ring = Ring::format(memory.region, format).unwrap();
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    for n in 0..3u64 {
        tx.try_send(n as u32, &n.to_le_bytes()).unwrap();
    }
    rx.try_read().unwrap().release();
    rx.try_read().unwrap().keep();
    tx.try_send(3, &[3; 24]).unwrap();
    (ring, tx, rx)
}

#[test]
fn every_word_with_every_awkward_value() {
    let start = Instant::now();
    let mut cases = 0u64;
    for format in formats() {
        let memory = Memory::new(&format);
        for offset in working_words(&format, 5, 4, 24) {
            let _ = busy(&memory, &format);
            for value in awkward(memory.get(offset)) {
                if cfg!(miri) && cases % 97 != 0 {
                    cases += 1;
                    continue;
                }
                let (ring, mut tx, mut rx) = busy(&memory, &format);
                memory.set(offset, value);
                everything(&ring, &mut tx, &mut rx);
                let _ = Ring::attach(memory.region);
                tx.close();
                for _ in 0..3 {
                    let _ = rx.try_recv_into(&mut [0; 24]);
                }
                tx.leave();
                rx.leave();
                cases += 1;
            }
        }
    }
    assert!(cases > 30_000);
    assert!(start.elapsed() < Duration::from_secs(600), "some loop is not bounded as it should be");
}

#[test]
fn identity_words_are_refused() {
    let format = Format::new(4, 24).participants(5);
    let memory = Memory::new(&format);
    for offset in (0..128).step_by(8) {
        let _ = busy(&memory, &format);
        let right = memory.get(offset);
        for value in awkward(right).into_iter().filter(|v| *v != right) {
            memory.set(offset, value);
            assert!(Ring::attach(memory.region).is_err(), "word {offset} = {value:#x}");
        }
        memory.set(offset, right);
        assert!(Ring::attach(memory.region).is_ok());
    }
}

#[test]
fn impossible_words_are_named() {
    let format = Format::new(4, 24).participants(5);
    let memory = Memory::new(&format);
    let data = usize::try_from(mpmc_data_offset(5)).unwrap();
    let field = |set: &dyn Fn()| {
        let (_, mut tx, mut rx) = busy(&memory, &format);
        set();
        let sent = tx.try_send(0, &[]).err().map(|e| format!("{e}"));
        let read = rx.try_read().err().map(|e| format!("{e}"));
        let attached = Ring::attach(memory.region).err().map(|e| format!("{e}"));
        [sent, read, attached].into_iter().flatten().collect::<String>()
    };
    assert!(field(&|| memory.set(128, u64::MAX - 1)).contains("the tail at"));
    assert!(field(&|| memory.set(256, u64::MAX)).contains("the head at"));
    // The slot of position 2, which is next to be read: a state there is not, then the message of another lap.
    let slot = data + 2 * usize::try_from(slot_stride(24)).unwrap();
    assert!(field(&|| memory.set(slot, 2 << 8 | 5)).contains("the slot word at position 2"));
    assert!(field(&|| memory.set(slot, 66 << 8 | 1)).contains("the slot word at position 2"));
    assert!(field(&|| memory.set(slot + 8, 25)).contains("the slot length at position 2"));
    assert!(field(&|| memory.set(4096, 1 << 40)).contains("participant's lease"));
}

/// A claim that nobody has made would keep those who wait for its end waiting for ever.
#[test]
fn claims_without_an_owner_are_named() {
    let data = usize::try_from(mpmc_data_offset(5)).unwrap();
    let slot = |p: usize| data + p % 4 * usize::try_from(slot_stride(24)).unwrap();
    let dead = |_| Verdict::Dead;
    for format in
        [Format::new(4, 24).participants(5), Format::new(4, 24).participants(5).redelivery(Redelivery::AtMostOnce)]
    {
        let memory = Memory::new(&format);
        let fresh = || Ring::format(memory.region, &format).unwrap();
        // Position 0 was never committed, and nobody says that it is his.
        let ring = fresh();
        let mut rx = consumer(&ring);
        memory.set(128, 1 << 1);
        let blocked = Blocked::Write(Position::new(0));
        assert_eq!(rx.try_read().err(), Some(ReadError::Busy(Some(blocked))));
        assert!(format!("{}", ring.repair(blocked, 9, dead).unwrap_err()).contains("the slot word at position 0"));
        // A message, and a gap, that nobody holds although the head is past it.
        for state in [1, 2] {
            let ring = fresh();
            let mut tx = producer(&ring);
            (0..4u64).for_each(|_| assert!(tx.try_send(0, &[]).is_ok()));
            memory.set(256, 1);
            memory.set(slot(0), state);
            let blocked = Blocked::Read(Position::new(0));
            assert_eq!(tx.try_send(0, &[]), Err(ClaimError::Busy(Some(blocked))));
            assert!(format!("{}", ring.repair(blocked, 9, dead).unwrap_err()).contains("the slot word at position 0"));
        }
    }
    // What an only producer or an only consumer may have left behind reaches a lap, not further.
    for format in [Format::new(4, 24).participants(5).producers(1), Format::new(4, 24).participants(5).consumers(1)] {
        let memory = Memory::new(&format);
        let ring = Ring::format(memory.region, &format).unwrap();
        memory.set(slot(0), 8 << 8 | 1);
        let joined = (ring.join_producer(7, dead).err(), ring.join_consumer(8, dead).err());
        let error = if format == format.producers(1) {
            joined.0.map(|e| e.to_string())
        } else {
            joined.1.map(|e| e.to_string())
        };
        assert!(error.unwrap().contains("the slot word at position 0"));
    }
}

/// A head that is no position: the look for messages without a reader does not go through all numbers up to it.
#[test]
fn a_head_beyond_all_positions() {
    for format in formats().into_iter().filter(|format| *format != format.consumers(1)) {
        let memory = Memory::new(&format);
        for head in [MAX_POSITION + 1, 1 << 63, 1 << 63 | 5, u64::MAX] {
            let (_, _, mut rx) = busy(&memory, &format);
            memory.set(256, head);
            let refused = rx.redeliver(|_| Verdict::Dead, |_| ()).map(drop);
            assert!(matches!(refused, Err(ReadError::Corrupt(c)) if c.field == Field::Head), "{head:#x}: {refused:?}");
        }
    }
}

/// Another thread writes random words all the time.
#[test]
fn scribbling_while_everybody_works() {
    let rounds = if cfg!(miri) { 5 } else { 3_000 };
    for (seed, format) in formats().into_iter().enumerate() {
        let memory = Memory::new(&format);
        let words = working_words(&format, 5, 4, 24);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = 0x9e37_79b9_7f4a_7c15u64.wrapping_add(seed as u64);
                while !stop.load(Ordering::Relaxed) {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let offset = words[random as usize % words.len()];
                    let choices = awkward(memory.get(offset));
                    let value =
                        if random >> 60 == 0 { random } else { choices[(random >> 20) as usize % choices.len()] };
                    memory.set(offset, value);
                }
            });
            for _ in 0..rounds {
                // Formatting meanwhile leaves a ring that may be bad from the start: everything can fail.
                let Ok(ring) = Ring::format(memory.region, &format) else { continue };
                let (Ok(mut tx), Ok(mut rx)) =
                    (ring.join_producer(1, |_| Verdict::Dead), ring.join_consumer(2, |_| Verdict::Dead))
                else {
                    continue;
                };
                everything(&ring, &mut tx, &mut rx);
                everything(&ring, &mut tx, &mut rx);
                tx.leave();
                rx.leave();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn no_word_of_a_slot_leads_beyond_the_last_position() {
    // The last of one message goes the long way, of two the quick one.
    for (limit, left) in [(1, 1), (1, 2), (4, 1), (4, 2)] {
        let format = Format::new(4, 8).participants(4).producers(limit).consumers(limit);
        let format = format.start_at(MAX_POSITION - left);
        let memory = Memory::new(&format);
        let ring = Ring::format(memory.region, &format).unwrap();
        let mut tx = ring.join_producer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
        let mut rx = ring.join_consumer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
        for _ in 0..left {
            tx.try_send(0, b"good").unwrap();
            rx.try_recv_into(&mut [0; 4]).unwrap();
        }
        // What the position after the last would be free by, if it were the first.
        let first = usize::try_from(mpmc_data_offset(4)).unwrap();
        memory.set(first, 0);
        let refusal = tx.try_send(0, b"bad").unwrap_err();
        assert!(!matches!(refusal, ClaimError::Busy(_) | ClaimError::Full), "{refusal}");
        assert!(tx.claim_guessed(3).is_none());
        // And what its message would be there by.
        memory.set(first, 1);
        assert!(rx.read_guessed().is_none());
        let answer = rx.try_recv_into(&mut [0; 4]);
        assert!(!matches!(answer, Ok(_) | Err(ReadError::Busy(_))), "{answer:?}");
    }
}
