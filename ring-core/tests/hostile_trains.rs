//! Headers of trains that lie, and whatever stands where a consumer looks up how far it is in one: an answer, without a panic,
//! a loop, or a byte from elsewhere.
#![cfg(not(loom))]
#![allow(clippy::disallowed_types)]

#[path = "hostile/arena.rs"]
mod arena;
mod spsc_support;

use core::ops::ControlFlow;
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use arena::Arena;
use ring_core::spsc::{BatchRecord, Consumer, Format, Producer, ReadBatch, ReadError, Ring};
use ring_core::{Field, Position, SeatError, SpscControl, Verdict};
use spsc_support::trains::{Came, Push, TAKES, Take, check, longest, push, take};
use spsc_support::{bytes, count, train_header};

const WITHIN: usize = offset_of!(SpscControl, head.within) / 8;

fn alive(_: u64) -> Verdict {
    Verdict::Alive
}

fn sit<'m>(arena: &'m Arena) -> (Ring<'m>, Producer<'m>, Consumer<'m>) {
    let ring = Ring::attach(arena.region()).unwrap();
    let tx = ring.sit_producer(ring.next_lease().unwrap(), alive).unwrap();
    let rx = ring.sit_consumer(ring.next_lease().unwrap(), alive).unwrap();
    (ring, tx, rx)
}

/// The word of the data area at a position.
fn at(arena: &Arena, position: u64, capacity: u64) -> &AtomicU64 {
    arena.word(arena.data / 8 + (position % capacity) as usize / 8)
}

/// All calls that look at the head say `Corrupt` of this header, and again when asked again.
fn refuse(rx: &mut Consumer<'_>, header: u64) {
    let mut buf = [0; 16384];
    for _ in 0..2 {
        let errors = [
            rx.try_recv_into(&mut buf).map(drop),
            rx.try_read().map(drop),
            rx.try_read_likely(Some(8), alive).map(drop),
            rx.try_read_batch(9).map(drop),
            rx.ready_asking(alive),
        ];
        for error in errors {
            let Err(ReadError::Corrupt(corrupt)) = error else { panic!("{header:#x}: {error:?}") };
            assert_eq!((corrupt.field, corrupt.found), (Field::RecordHeader, header), "{corrupt}");
        }
    }
}

/// Headers out of bounds: of no record, of one, of records of no byte, longer than the ring, the longest record, or what is left of
/// the area. Others are taken, as many as they say; who walks over them sees the same bounds.
#[test]
fn every_header() {
    for (capacity, offset) in [(512_u64, 0_u64), (512, 384), (4096, 0), (4096, 3968), (65536, 65536 - 192)] {
        let format = Format::new(capacity).start_at(offset);
        for len in [0, 1, 8, 9, 16, 64, 100, 255, 1000, 2040, 4095, 8192, 16383] {
            for many in [0, 1, 2, 3, 7, 8, 15, 16, 30, 62, 63, 64, 100, 1023, 4096, 16383] {
                let arena = Arena::new(&format);
                let (ring, _tx, mut rx) = sit(&arena);
                let header = train_header(len, many, 5);
                at(&arena, offset, capacity).store(header, Relaxed);
                let size = len.next_multiple_of(8) * many + 8;
                // Half of the ring is the longest of a record, header included; and the header behind belongs to the ring.
                let bound = (capacity / 2).min(capacity - offset % capacity);
                let good = len > 0 && many > 1 && size <= bound;
                let walk = ring.sit_producer(7, |_| Verdict::Dead);
                if !good {
                    refuse(&mut rx, header);
                    assert!(
                        matches!(walk, Err(SeatError::Corrupt(c)) if c.field == Field::RecordHeader),
                        "{header:#x}"
                    );
                } else {
                    // Behind it there is nothing.
                    assert_eq!(walk.unwrap().tail().get(), offset + size + 8, "{header:#x}, and a mark");
                    for how in TAKES {
                        let came = take(&mut rx, how, many as usize, how == Take::Recv);
                        assert!(came.iter().all(|(_, tag, payload, _)| (*tag, payload.len() as u64) == (5, len)));
                        if how == Take::Recv {
                            break;
                        }
                    }
                }
                arena.check(&|| format!("{header:#x}"));
            }
        }
    }
}

/// Any word whose lowest bits are those of a train, but not the rest of it: the flag alone makes a train, and any other low bits make none.
#[test]
fn almost_trains() {
    let format = Format::new(4096);
    for low in 0..8 {
        let arena = Arena::new(&format);
        let (_, _tx, mut rx) = sit(&arena);
        let header = (train_header(9, 3, 5) & !7) | low;
        at(&arena, 0, 4096).store(header, Relaxed);
        if low == 2 {
            assert_eq!(take(&mut rx, Take::Break, 3, true).len(), 3);
        } else {
            refuse(&mut rx, header);
        }
        at(&arena, 0, 4096).store(header & !(1 << 31), Relaxed);
        arena.check(&|| format!("{header:#x}"));
    }
}

/// Where payloads start on lines there are no trains.
#[test]
fn on_lines() {
    let format = Format::new(4096).line_aligned(true);
    let arena = Arena::new(&format);
    let (ring, _tx, mut rx) = sit(&arena);
    for (len, many) in [(8, 2), (64, 2), (56, 8), (128, 3)] {
        let header = train_header(len, many, 5);
        at(&arena, 0, 4096).store(header, Relaxed);
        refuse(&mut rx, header);
        assert!(matches!(ring.sit_producer(7, |_| Verdict::Dead), Err(SeatError::Corrupt(_))));
    }
}

/// A train behind padding: bounds are those of where it is. One whose padding leads to padding, or to nothing, is none.
#[test]
fn behind_padding() {
    let capacity = 512;
    let format = Format::new(capacity).start_at(capacity - 64);
    for (header, good) in [
        (train_header(8, 3, 5), true),
        (train_header(8, 31, 5), true),
        (train_header(8, 32, 5), false),
        (train_header(0, 3, 5), false),
        (train_header(8, 1, 5), false),
        (0, false),
    ] {
        let arena = Arena::new(&format);
        let (_, _tx, mut rx) = sit(&arena);
        at(&arena, 0, capacity).store(header, Relaxed);
        at(&arena, capacity - 64, capacity).store(1 << 31 | 57, Relaxed);
        if good {
            for _ in 0..2 {
                assert_eq!(take(&mut rx, Take::Read, 1, true)[0].2.len(), 8);
            }
            assert_eq!(take(&mut rx, Take::Recv, 1, true)[0].0, capacity + 16);
        } else {
            refuse(&mut rx, header);
        }
    }
}

/// Whatever stands in `within`, at each moment, under all calls: at worst records of the train come again or are left out; what came
/// is of it, and what is behind it comes.
#[test]
fn within_says_anything() {
    let format = Format::new(4096).start_at(4096 - 64);
    let start = 4096 - 64;
    let mut values = vec![0, 1, 7, 8, u64::MAX, 1 << 31, 1 << 63];
    values.extend((0..20).flat_map(|n| [start + n * 8, start + n * 8 + 1, start - n * 8]));
    values.extend([4096, 8192, 1 << 32].map(|by| start + 32 + by));
    for value in values {
        for (first, second) in TAKES.into_iter().flat_map(|first| TAKES.map(|second| (first, second))) {
            for taken in 0..6 {
                let arena = Arena::new(&format);
                let (ring, mut tx, mut rx) = sit(&arena);
                let sent = push(&mut tx, Push::One, &[(5, 9); 6], 0);
                let behind = push(&mut tx, Push::One, &[(6, 7); 2], 6);
                check(&take(&mut rx, first, taken, true), &sent);
                arena.word(WITHIN).store(value, Relaxed);
                if value % 3 == 0 {
                    rx = ring.sit_consumer(9, |_| Verdict::Dead).unwrap();
                }
                let mut all: Vec<Came> = vec![];
                while all.last().is_none_or(|(_, tag, ..)| *tag == 5) {
                    // The batch of all that is left of the train goes on by its own count.
                    all.extend(take(&mut rx, second, 1, true));
                    assert!(all.len() <= 7, "round and round: {value:#x}");
                }
                for (position, tag, payload, _) in &all[..all.len() - 1] {
                    let record = sent.iter().find(|record| record.position == *position).expect("one of the train");
                    assert_eq!((*tag, payload), (5, &bytes(record.seed, 9)));
                }
                check(&all[all.len() - 1..], &behind);
                check(&take(&mut rx, second, 1, true), &behind[1..]);
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
                arena.check(&|| format!("{value:#x}"));
            }
        }
    }
}

/// The header of the train becomes another one, of every kind, while a record of it is lent, or a batch has read some: whatever
/// follows ends, and within bounds.
#[test]
fn a_header_that_changes() {
    let capacity = 1024;
    let format = Format::new(capacity).start_at(capacity - 256);
    let start = capacity - 256;
    let mut headers =
        vec![0, 1, 10, 17, 5 << 32 | 10, 1 << 31 | 249, 1 << 31 | 1, 2 << 32 | 1 << 31 | 1, u64::MAX, 1 << 31];
    for (len, many) in
        [(9, 2), (9, 3), (9, 16), (9, 15), (8, 6), (1, 6), (1, 31), (17, 6), (100, 2), (0, 9), (9, 1), (9, 0)]
    {
        headers.extend([train_header(len, many, 5), train_header(len, many, 6)]);
    }
    for header in headers {
        for (before, during) in (0..6).flat_map(|before| (0..9).map(move |during| (before, during))) {
            let arena = Arena::new(&format);
            let (ring, mut tx, mut rx) = sit(&arena);
            push(&mut tx, Push::One, &[(5, 9); 6], 0);
            tx.try_send(6, b"behind").unwrap();
            take(&mut rx, TAKES[during % 6], before, true);
            let change = || at(&arena, start, capacity).store(header, Relaxed);
            let bounded = |position: u64, len: usize| {
                assert!(position % capacity + 8 + len as u64 <= capacity, "{len} bytes at {position}: {header:#x}");
            };
            match during {
                0 | 1 => {
                    let record = rx.try_read().unwrap();
                    change();
                    bounded(record.position().get(), record.len());
                    if during == 0 { record.release() } else { record.keep() }
                }
                2..=4 => {
                    let mut batch = rx.try_read_batch(20).unwrap();
                    for n in 0..3 {
                        if n == 1 {
                            change();
                        }
                        let Ok(Some(record)) = batch.next_record() else { break };
                        bounded(record.position().get(), record.copy_to(&mut [0; 2000]));
                    }
                    if during > 2 {
                        let _ = batch.try_for_each(|record| {
                            bounded(record.position().get(), record.copy_to(&mut [0; 2000]));
                            ControlFlow::<()>::Continue(())
                        });
                    }
                    assert!(batch.len() <= 20);
                    if during == 4 { batch.keep() } else { _ = batch.release() }
                }
                5..=7 => {
                    let mut batch = rx.try_read_batch(20).unwrap();
                    let mut n = 0;
                    let _ = batch.try_for_each(|record| {
                        bounded(record.position().get(), record.copy_to(&mut [0; 2000]));
                        n += 1;
                        change();
                        if during > 5 && n == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                    while let Ok(Some(record)) = batch.next_record() {
                        bounded(record.position().get(), record.copy_to(&mut [0; 2000]));
                    }
                    assert!(batch.len() <= 20);
                    if during == 7 { batch.keep() } else { _ = batch.release() }
                }
                _ => change(),
            }
            // More than the ring holds does not come, and neither does anybody hang.
            let mut taken = 0;
            let mut buf = [0; 2000];
            while let Ok(got) = rx.try_recv_into(&mut buf) {
                bounded(got.position.get(), got.len);
                taken += 1;
                assert!(taken <= capacity / 8, "round and round: {header:#x}");
            }
            let _ = (
                tx.try_send(1, &[1; 30]),
                ring.sit_producer(8, |_| Verdict::Dead),
                ring.sit_consumer(9, |_| Verdict::Dead),
            );
            arena.check(&|| format!("{header:#x} before {before}, {during}"));
        }
    }
}

/// A header that is now a long train and now a short one, under a batch that looks at it for each record, since a dead consumer may have
/// seen them: no batch without an end.
#[test]
fn a_header_that_changes_to_and_fro() {
    let capacity = 1024;
    for plural in [false, true] {
        let arena = Arena::new(&Format::new(capacity));
        let (ring, mut tx, mut rx) = sit(&arena);
        let lens = [(5, 9); 6];
        push(&mut tx, Push::One, &lens, 0);
        take(&mut rx, Take::Singly, 6, false);
        let mut rx = ring.sit_consumer(9, |_| Verdict::Dead).unwrap();
        let mut batch = rx.try_read_batch(usize::MAX).unwrap();
        let mut n = 0;
        let mut one = |position: Position| {
            n += 1;
            assert!(n <= capacity / 8, "round and round");
            // Behind the second one the long one is gone on with, and the short one begun with.
            let header = if position.get() != 16 { train_header(9, 6, 5) } else { train_header(9, 2, 5) };
            at(&arena, 0, capacity).store(header, Relaxed);
        };
        let end = each(&mut batch, plural, |record| {
            assert!(record.redelivered());
            one(record.position());
        });
        assert!(matches!(end, Err(ReadError::Corrupt(c)) if c.field == Field::RecordHeader), "{end:?}");
    }
}

/// All records of a batch, by the plural call or one by one.
fn each(
    batch: &mut ReadBatch<'_, '_>,
    plural: bool,
    mut one: impl FnMut(&BatchRecord<'_, '_>),
) -> Result<(), ReadError> {
    if plural {
        let all = batch.try_for_each(|record| {
            one(&record);
            ControlFlow::<()>::Continue(())
        });
        return all.map(drop);
    }
    while let Some(record) = batch.next_record()? {
        one(&record);
    }
    Ok(())
}

/// Trains that lead round and round without a zero: batches end, and so does a successor's walk.
#[test]
fn nothing_but_trains() {
    let capacity = 4096;
    let format = Format::new(capacity);
    for header in [train_header(1, 2, 5), train_header(8, 3, 5), train_header(9, 3, 0), train_header(500, 4, 1)] {
        let arena = Arena::new(&format);
        let (ring, _tx, mut rx) = sit(&arena);
        (arena.data / 8..arena.words).for_each(|i| arena.word(i).store(header, Relaxed));
        for plural in [false, true] {
            let mut batch = rx.try_read_batch(usize::MAX).unwrap();
            let mut n = 0;
            let mut one = |len: usize| {
                n += len.next_multiple_of(8) as u64;
                assert!(n < capacity, "more than the ring holds");
            };
            let end = each(&mut batch, plural, |record| one(record.len()));
            assert!(matches!(end, Err(ReadError::Corrupt(c)) if c.field == Field::RecordHeader), "{end:?}");
            batch.keep();
        }
        assert!(matches!(ring.sit_producer(8, |_| Verdict::Dead), Err(SeatError::Corrupt(_))));
        arena.check(&|| format!("{header:#x}"));
    }
}

/// Anything anywhere, between any calls, in rings with long trains.
#[test]
fn scribbled_among_trains() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..count(20_000) {
        let capacity = [512, 4096][round as usize % 2];
        let format =
            Format::new(capacity).start_at([0, u64::MAX][round as usize / 2 % 2]).release_every(round % 3 * 64);
        let arena = Arena::new(&format);
        let (ring, mut tx, mut rx) = sit(&arena);
        let mut buf = [0; 4096];
        for _ in 0..30 {
            match random(8) {
                0..=2 => {
                    let len = [1, 8, 9, 24][random(4) as usize];
                    if let Ok(mut batch) = tx.try_claim_batch(random(60) as usize + 1, len) {
                        while batch.remaining() > 0 {
                            batch.push((random(9) / 8) as u32, &[0x55; 24][..len]).unwrap();
                        }
                        assert!(batch.commit() <= longest(capacity) as usize * 8);
                    }
                }
                3 => _ = rx.try_recv_into(&mut buf),
                4 => match rx.try_read() {
                    Ok(record) if random(2) == 0 => record.release(),
                    _ => {}
                },
                _ => {
                    if let Ok(mut batch) = rx.try_read_batch(1 + random(50) as usize) {
                        let stop = random(40) as usize;
                        let mut n = 0;
                        let _ = batch.try_for_each(|record| {
                            record.copy_to(&mut buf);
                            n += 1;
                            if n > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        });
                        drop(batch.next_record());
                        if random(3) > 0 {
                            batch.release();
                        }
                    }
                }
            }
            let data = |position: u64| arena.data / 8 + (position % capacity) as usize / 8;
            let (i, value) = match random(12) {
                0 => (WITHIN, rx.head().get().wrapping_add(random(80) * 8)),
                1 => (WITHIN, random(u64::MAX)),
                2 => (data(rx.head().get()), train_header(random(30), random(40), random(2))),
                3 => (data(rx.head().get().wrapping_add(random(60) * 8)), train_header(random(30), random(40), 0)),
                4 => (data(tx.tail().get()), train_header(random(300), random(9), 1)),
                5 => (data(random(capacity)), random(u64::MAX)),
                _ => continue,
            };
            arena.word(i).store(value, Relaxed);
            if random(3) == 0 {
                let dead = |_| Verdict::Dead;
                tx = ring.sit_producer(random(9) + 1, dead).unwrap_or(tx);
                rx = ring.sit_consumer(random(9) + 1, dead).unwrap_or(rx);
            }
        }
        arena.check(&|| format!("round {round}"));
    }
}
