//! The borders of what batches do many records at a time: where a run of equal records ends, all is as record by record.
#![cfg(not(loom))]

mod spsc_support;

use core::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_core::spsc::{ClaimError, Consumer, Format, Producer, ReadBatch, ReadError};
use ring_core::{CONTROL_SIZE, Line, SessionEnd};
use spsc_support::{Bench, Next, bytes, lines, recv, send};

/// Large enough for a few dozen records of 16 bytes that are marked as seen ahead.
const CAPACITY: u64 = 16 << 10;

/// In a ring of builds before trains each record has its header; in another one equal ones are trains.
const BOTH: [bool; 2] = [false, true];

fn bench<'m>(memory: &'m [Line], format: &Format, trains: bool) -> Bench<'m> {
    if trains { Bench::new(memory, format) } else { Bench::without_trains(memory, format) }
}

/// A ring in use whose next record is at `offset`, a multiple of 8.
fn at<'m>(memory: &'m [Line], offset: u64, trains: bool) -> (Bench<'m>, Producer<'m>, Consumer<'m>) {
    let b = bench(memory, &Format::new(CAPACITY).start_at(offset), trains);
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for n in 0..offset % 64 / 8 {
        send(&mut tx, n, 0);
        recv(&mut rx, n, 0);
    }
    assert_eq!(tx.tail().get(), offset);
    (b, tx, rx)
}

/// Pushes `lens` in one go, each record with its number for its content.
fn push(tx: &mut Producer<'_>, most: usize, lens: &[usize]) -> usize {
    let mut batch = tx.try_claim_batch_exact(lens.len(), most).unwrap();
    let payloads = lens.iter().enumerate().map(|(n, len)| bytes(n as u64, *len));
    assert_eq!(batch.push_each(7, payloads), Ok(lens.len()));
    batch.commit()
}

/// Reads on until the batch ends or `stop` records of it have been read, and checks that they are those of `lens` from the
/// first on. Returns how many these were.
fn read(batch: &mut ReadBatch<'_, '_>, lens: &[usize], stop: usize) -> Result<usize, ReadError> {
    let (mut n, mut end) = (batch.len(), None);
    let flow = batch.try_for_each(|record| {
        let mut buf = [0xEE; 128];
        assert_eq!((record.len(), record.tag()), (lens[n], 7), "record {n}");
        assert_eq!(record.copy_to(&mut buf), lens[n]);
        assert_eq!(buf[..lens[n]], bytes(n as u64, lens[n]), "record {n}");
        assert!(end.is_none_or(|end| record.position() >= end), "record {n}");
        end = Some(record.position());
        n += 1;
        if n == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!((flow.is_break(), batch.len()), (n == stop, n));
    Ok(n)
}

/// Equal records of each size, from each offset: the area ends inside a run, with padding or without.
#[test]
fn the_area_ends_inside() {
    for trains in BOTH {
        for len in [0, 1, 8, 24, 40, 56, 64, 100] {
            for offset in (CAPACITY - 800..CAPACITY).step_by(8) {
                let memory = lines(CONTROL_SIZE + CAPACITY);
                let (_b, mut tx, mut rx) = at(&memory, offset, trains);
                let lens = vec![len; 1600 / (len + 8)];
                push(&mut tx, len, &lens);
                let mut batch = rx.try_read_batch(usize::MAX).unwrap();
                assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(lens.len()), "{len} from {offset}");
                assert_eq!(batch.release(), lens.len());
                assert_eq!(tx.len_guess(), 0);
                recv_after(&mut tx, &mut rx);
            }
        }
    }
}

/// What comes behind a batch arrives: head and tail are where they should be.
fn recv_after(tx: &mut Producer<'_>, rx: &mut Consumer<'_>) {
    send(tx, 99, 20);
    recv(rx, 99, 20);
    assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
}

/// `max` ends a run, and the next batch goes on there.
#[test]
fn max_is_reached_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for max in 1..=14 {
            let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 104, trains);
            let lens = [8; 12];
            push(&mut tx, 8, &lens);
            let mut batch = rx.try_read_batch(max).unwrap();
            assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(max.min(12)));
            assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(max.min(12)), "no more of the same batch");
            assert_eq!(batch.release(), max.min(12));
            if max < 12 {
                recv_pushed(&mut rx, max as u64, 8);
            }
        }
    }
}

/// The record of [`push`] with this number.
fn recv_pushed(rx: &mut Consumer<'_>, n: u64, len: usize) {
    let mut buf = [0; 128];
    let got = rx.try_recv_into(&mut buf).unwrap();
    assert_eq!((got.len, got.tag), (len, 7));
    assert_eq!(buf[..len], bytes(n, len));
}

/// A record of another length, shorter or longer, at each place; and two of them, in a row or not.
#[test]
fn one_of_another_length_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for (usual, other) in [(8, 0), (8, 1), (8, 7), (8, 9), (8, 16), (0, 8), (40, 8), (16, 40)] {
            for (first, second) in (0..10).flat_map(|first| (first..10).map(move |second| (first, second))) {
                let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 128 + 8 * first as u64, trains);
                let mut lens = [usual; 10];
                (lens[first], lens[second]) = (other, other);
                push(&mut tx, usual.max(other), &lens);
                let mut batch = rx.try_read_batch(100).unwrap();
                assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(10));
                assert_eq!(batch.release(), 10);
                recv_after(&mut tx, &mut rx);
            }
        }
    }
}

/// One that is too long is refused at each place, and those before it, and behind it, are in.
#[test]
fn one_too_long_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for place in 0..10 {
            let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 64, trains);
            let mut batch = tx.try_claim_batch_exact(10, 8).unwrap();
            let mut payloads = (0..11u64).map(|n| bytes(n, if n == place { 9 } else { 8 }));
            assert_eq!(batch.push_each(7, &mut payloads), Err(ClaimError::TooLong { len: 9, max: 8 }));
            assert_eq!((batch.len() as u64, batch.remaining() as u64), (place, 10 - place));
            assert_eq!(batch.push_each(7, &mut payloads).map(|n| n as u64), Ok(10 - place));
            assert!(payloads.next().is_none() && batch.push(7, &[]) == Err(ClaimError::Full));
            assert_eq!(batch.commit(), 10);
            for n in (0..11).filter(|n| *n != place) {
                recv_pushed(&mut rx, n, 8);
            }
            recv_after(&mut tx, &mut rx);
        }
    }
}

/// What may be pushed but is not there is not asked for, and what is left over is not drawn: at each place.
#[test]
fn payloads_or_claims_run_out_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for (claimed, there) in (1..12).flat_map(|claimed| (0..14).map(move |there| (claimed, there))) {
            let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 120, trains);
            let mut batch = tx.try_claim_batch_exact(claimed, 16).unwrap();
            let mut payloads = (0..there as u64).map(|n| bytes(n, 16));
            let pushed = claimed.min(there);
            assert_eq!(batch.push_each(7, &mut payloads), Ok(pushed));
            assert_eq!((batch.remaining(), payloads.count()), (claimed - pushed, there - pushed));
            assert_eq!(batch.commit(), pushed);
            (0..pushed as u64).for_each(|n| recv_pushed(&mut rx, n, 16));
            recv_after(&mut tx, &mut rx);
        }
    }
}

/// `each` breaks off at each place: so many are handed out, the singular call goes on there, and so does the plural one.
#[test]
fn each_breaks_off_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for stop in 1..=12 {
            let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 144, trains);
            let lens = [8; 12];
            push(&mut tx, 8, &lens);
            let mut batch = rx.try_read_batch(100).unwrap();
            assert_eq!(read(&mut batch, &lens, stop), Ok(stop));
            if stop < 12 {
                let record = batch.next_record().unwrap().unwrap();
                let mut buf = [0; 8];
                record.copy_to(&mut buf);
                assert_eq!(buf, *bytes(stop as u64, 8));
                assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(12));
            }
            batch.keep();
            let mut batch = rx.try_read_batch(100).unwrap();
            assert_eq!(read(&mut batch, &lens, stop), Ok(stop));
            assert_eq!(batch.release(), stop);
            for n in stop..12 {
                recv_pushed(&mut rx, n as u64, 8);
            }
            recv_after(&mut tx, &mut rx);
        }
    }
}

/// `each` unwinds at each place: kept, all of them come again.
#[test]
fn each_unwinds_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for stop in 0..12 {
            let (_b, mut tx, mut rx) = at(&memory, CAPACITY - 144, trains);
            let lens = [8; 12];
            push(&mut tx, 8, &lens);
            let mut batch = rx.try_read_batch(100).unwrap();
            let mut n = 0;
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                batch.try_for_each(|_| {
                    assert!(n < stop, "as planned");
                    n += 1;
                    ControlFlow::<()>::Continue(())
                })
            }));
            assert!(unwound.is_err() && batch.len() <= stop + 1);
            batch.keep();
            let mut batch = rx.try_read_batch(100).unwrap();
            assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(12));
            assert_eq!(batch.release(), 12);
            recv_after(&mut tx, &mut rx);
        }
    }
}

/// A producer dies between two records at each place: a batch ends there, though records of the same length follow. With
/// a length of 0 the mark of the session states the same length.
#[test]
fn a_session_ends_inside() {
    for trains in BOTH {
        let memory = lines(CONTROL_SIZE + CAPACITY);
        for (place, len) in (1..12u64).flat_map(|place| [0, 8].map(|len| (place, len))) {
            let (b, mut tx, mut rx) = at(&memory, CAPACITY - 136, trains);
            for n in 0..12 {
                if n == place {
                    tx = b.replace_producer(tx);
                }
                tx.try_send(7, &bytes(n, len)).unwrap();
            }
            let lens = [len; 12];
            let mut batch = rx.try_read_batch(100).unwrap();
            assert_eq!(read(&mut batch, &lens, usize::MAX), Ok(place as usize));
            assert_eq!(batch.release(), place as usize);
            let mut buf = [0; 8];
            assert_eq!(b.next(&mut rx, &mut buf), Next::End(SessionEnd::Died));
            (place..12).for_each(|n| recv_pushed(&mut rx, n, len));
            recv_after(&mut tx, &mut rx);
        }
    }
}

/// Whatever was handed out comes flagged after a death, wherever it came: no record is handed out before it is marked as seen.
#[test]
fn the_mark_of_what_was_seen_ends_inside() {
    for trains in BOTH {
        const LARGE: u64 = 8192;
        let memory = lines(CONTROL_SIZE + LARGE);
        for stop in 1..100 {
            let b = bench(&memory, &Format::new(LARGE), trains);
            let (mut tx, mut rx) = (b.producer(), b.consumer());
            let lens = [8; 100];
            push(&mut tx, 8, &lens);
            let mut batch = rx.try_read_batch(usize::MAX).unwrap();
            assert_eq!(read(&mut batch, &lens, stop), Ok(stop));
            batch.keep();
            let mut rx = b.replace_consumer(rx);
            let mut batch = rx.try_read_batch(usize::MAX).unwrap();
            let mut flagged = 0;
            let flow = batch.try_for_each(|record| {
                flagged += usize::from(record.redelivered());
                ControlFlow::<()>::Continue(())
            });
            assert!(flow.is_ok());
            // A train is marked as a whole by who reads many at a time.
            let ahead = if trains { 100 } else { LARGE as usize / 32 / 16 };
            assert!((stop..=(stop + ahead + 1).min(100)).contains(&flagged), "{flagged} of {stop} flagged");
            assert_eq!(batch.release(), 100);
        }
    }
}
