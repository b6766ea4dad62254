//! `operations KIND COUNT`: sends and receives COUNT messages alone on one thread, as `ci/instructions.sh` counts them.
//!
//! Nothing is measured here: the script runs it under callgrind with two counts, and the difference is what the
//! operations take, whatever the start costs. The ring is the in-process twin of a segment's, the API the one that
//! copies; of the kinds with `place` in their name the API that lends slices, of those with `typed` the typed handles
//! over the same ring. Messages are sent in rounds of 64 and then received, so wrap, release and every cached position
//! occur as in a stream, and refusals do not.
//!
//! # Safety
//!
//! 1. A claim of 64 bytes, and a record of which 64 have been counted, begin on a multiple of 8 (docs/layout.md).
#![allow(unsafe_code)]

use ring_bench::format;
use ring_bench::message::{Message, bytes, bytes_mut, in_place, in_place_mut, is_numbered, message};
use ring_shm::{mpmc, spsc};
use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

/// Messages of a round.
const ROUND: u64 = 64;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (kind, count) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default().parse()?);
    match kind.as_str() {
        "spsc-8" => spsc::<1>(count),
        "spsc-64" => spsc::<8>(count),
        "spsc-8-batch" => spsc_batch::<1>(count),
        "spsc-64-batch" => spsc_batch::<8>(count),
        "spsc-mixed-batch" => spsc_mixed_batch(count),
        "spsc-8-slices" => spsc_slices(count),
        "spsc-empty" => spsc_empty(count),
        "rtrb-8" => rtrb_single(count),
        "rtrb-8-batch" => rtrb_batch(count),
        "format-8" => format_single(count),
        "format-8-batch" => format_batch(count),
        "mpmc-8" => mpmc(count),
        "spsc-64-typed" => spsc_typed(count),
        "spsc-64-place" => spsc_place(count),
        "spsc-64-place-typed" => spsc_place_typed(count),
        "mpmc-64-place" => mpmc_place(count),
        "mpmc-64-place-typed" => mpmc_place_typed(count),
        _ => Err("no such kind: see the source".into()),
    }
}

fn rounds(count: u64) -> impl Iterator<Item = core::ops::Range<u64>> {
    (0..count / ROUND).map(|round| round * ROUND..(round + 1) * ROUND)
}

/// What came must be message `n`: a count of wrong operations is worth nothing.
#[inline(always)]
fn expect<const W: usize>(words: &[u64; W], n: u64) -> Outcome {
    if is_numbered(words, n) { Ok(()) } else { Err("a message is wrong".into()) }
}

#[inline(never)]
fn spsc<const W: usize>(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::heap(64 << 10)?;
    for round in rounds(count) {
        for n in round.clone() {
            tx.try_send(0, bytes(&message::<W>(n)))?;
        }
        for n in round {
            let mut words = [0; W];
            rx.try_recv_into(bytes_mut(&mut words))?;
            expect(&words, n)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn spsc_batch<const W: usize>(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::heap(64 << 10)?;
    for round in rounds(count) {
        let mut batch = tx.try_claim_batch_exact(ROUND as usize, 8 * W)?;
        batch.push_each(0, round.clone().map(|n| Message(message::<W>(n))))?;
        batch.commit();
        let (mut batch, mut expected) = (rx.try_read_batch(ROUND as usize)?, round);
        batch.try_for_each(|record| {
            let mut words = [0; W];
            if !record.copy_exact(bytes_mut(&mut words)) {
                return Err("a record of another length".into());
            }
            expect(&words, expected.next().ok_or("a record too many")?)
        })?;
        if expected.next().is_some() || batch.release() != ROUND as usize {
            return Err("a record is missing".into());
        }
    }
    Ok(())
}

/// Records of which no two in a row have the same length: 8 to 32 bytes.
#[inline(never)]
fn spsc_mixed_batch(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::heap(64 << 10)?;
    let words = |n: u64| 1 + n as usize % 4;
    for round in rounds(count) {
        let mut batch = tx.try_claim_batch_exact(ROUND as usize, 32)?;
        for n in round.clone() {
            batch.push(0, bytes(&message::<4>(n)).get(..8 * words(n)).unwrap_or_default())?;
        }
        batch.commit();
        let (mut batch, mut expected) = (rx.try_read_batch(ROUND as usize)?, round);
        batch.try_for_each(|record| {
            let mut got = [0; 4];
            let (len, n) = (record.copy_to(bytes_mut(&mut got)), expected.next().ok_or("a record too many")?);
            if len == 8 * words(n) && got[0] == message::<4>(n)[0] {
                Outcome::Ok(())
            } else {
                Err("a wrong record".into())
            }
        })?;
        if expected.next().is_some() || batch.release() != ROUND as usize {
            return Err("a record is missing".into());
        }
    }
    Ok(())
}

#[inline(never)]
fn spsc_slices(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::typed_heap::<[u64]>(64 << 10)?;
    let (mut out, mut into) = ([0; ROUND as usize], [0; ROUND as usize]);
    for round in rounds(count) {
        out.iter_mut().zip(round.clone()).for_each(|(word, n)| *word = message::<1>(n)[0]);
        tx.try_send(0, &out)?;
        if rx.try_recv_into(&mut into)?.0 != ROUND as usize {
            return Err("a message is missing".into());
        }
        into.iter().zip(round).try_for_each(|(word, n)| expect(&[*word], n))?;
    }
    Ok(())
}

/// A poll that finds nothing, as a reader that spins makes between two messages.
#[inline(never)]
fn spsc_empty(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::heap(64 << 10)?;
    tx.try_send(0, bytes(&message::<1>(0)))?;
    let mut words = [0; 1];
    rx.try_recv_into(bytes_mut(&mut words))?;
    for _ in 0..count {
        match rx.try_recv_into(bytes_mut(&mut words)) {
            Err(spsc::TryRecvError::Empty) => {}
            _ => return Err("something else than nothing".into()),
        }
    }
    Ok(())
}

#[inline(never)]
fn rtrb_single(count: u64) -> Outcome {
    let (mut tx, mut rx) = rtrb::RingBuffer::new((64 << 10) / 8);
    for round in rounds(count) {
        for n in round.clone() {
            tx.push(message::<1>(n))?;
        }
        for n in round {
            expect(&rx.pop()?, n)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn rtrb_batch(count: u64) -> Outcome {
    let (mut tx, mut rx) = rtrb::RingBuffer::new((64 << 10) / 8);
    for round in rounds(count) {
        tx.write_chunk_uninit(ROUND as usize)?.fill_from_iter(round.clone().map(message::<1>));
        let (chunk, mut expected) = (rx.read_chunk(ROUND as usize)?, round);
        let (first, second) = chunk.as_slices();
        for words in [first, second] {
            words.iter().try_for_each(|words| expect(words, expected.next().ok_or("a message too many")?))?;
        }
        chunk.commit_all();
    }
    Ok(())
}

#[inline(never)]
fn format_single(count: u64) -> Outcome {
    let (mut tx, mut rx) = format::leaked::<1>(64 << 10);
    for round in rounds(count) {
        for n in round.clone() {
            if !tx.send(&message(n)) {
                return Err("no room".into());
            }
        }
        for n in round {
            expect(&rx.recv().ok_or("a message is missing")?, n)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn format_batch(count: u64) -> Outcome {
    let (mut tx, mut rx) = format::leaked_trains::<1, { ROUND as usize }>(64 << 10);
    for round in rounds(count) {
        if !tx.send_batch(round.start, ROUND as usize) {
            return Err("no room".into());
        }
        let mut expected = round;
        rx.recv_batch(|words| expect(words, expected.next().ok_or("a message too many")?))?;
    }
    Ok(())
}

#[inline(never)]
fn mpmc(count: u64) -> Outcome {
    let ring = mpmc::heap(1024, 8)?;
    let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    for round in rounds(count) {
        for n in round.clone() {
            tx.try_send(0, bytes(&message::<1>(n)))?;
        }
        for n in round {
            let mut words = [0; 1];
            rx.try_recv_into(bytes_mut(&mut words))?;
            expect(&words, n)?;
        }
    }
    Ok(())
}

/// Eight words, as a type and as bytes.
type Words = [u64; 8];

#[inline(never)]
fn spsc_typed(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::typed_heap::<Words>(64 << 10)?;
    for round in rounds(count) {
        for n in round.clone() {
            tx.try_send(0, &message(n))?;
        }
        for n in round {
            expect(&rx.try_recv()?.0, n)?;
        }
    }
    Ok(())
}

/// What the typed handles are compared with: as little as anybody can do over slices.
macro_rules! in_place {
    ($tx:ident, $rx:ident, $count:ident) => {
        for round in rounds($count) {
            for n in round.clone() {
                let mut claim = $tx.try_claim(size_of::<Words>())?;
                // SAFETY: 1.
                *unsafe { in_place_mut(&mut claim) } = message::<8>(n);
                claim.commit();
            }
            for n in round {
                let record = $rx.try_read()?;
                if record.len() != size_of::<Words>() {
                    return Err("a record of another length".into());
                }
                // SAFETY: 1.
                expect::<8>(unsafe { in_place(&record) }, n)?;
            }
        }
    };
}

macro_rules! in_place_typed {
    ($tx:ident, $rx:ident, $count:ident) => {
        for round in rounds($count) {
            for n in round.clone() {
                let mut claim = $tx.try_claim()?;
                *claim = message(n);
                claim.commit();
            }
            for n in round {
                let record = $rx.try_read()?;
                expect::<8>(&record, n)?;
            }
        }
    };
}

#[inline(never)]
fn spsc_place(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::heap(64 << 10)?;
    in_place!(tx, rx, count);
    Ok(())
}

#[inline(never)]
fn spsc_place_typed(count: u64) -> Outcome {
    let (mut tx, mut rx) = spsc::typed_heap::<Words>(64 << 10)?;
    in_place_typed!(tx, rx, count);
    Ok(())
}

#[inline(never)]
fn mpmc_place(count: u64) -> Outcome {
    let ring = mpmc::heap(1024, 64)?;
    let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    in_place!(tx, rx, count);
    Ok(())
}

#[inline(never)]
fn mpmc_place_typed(count: u64) -> Outcome {
    let ring = mpmc::HeapRing::new(&mpmc::Options::new().slots(1024).payload::<Words>())?;
    let (mut tx, mut rx) = (ring.typed_producer::<Words>()?, ring.typed_consumer::<Words>()?);
    in_place_typed!(tx, rx, count);
    Ok(())
}
