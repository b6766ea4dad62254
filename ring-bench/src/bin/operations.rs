//! `operations KIND COUNT`: sends and receives COUNT messages alone on one thread, as `ci/instructions.sh` counts them.
//!
//! Nothing is measured here: the script runs it under callgrind with two counts, and the difference is what the
//! operations take, whatever the start costs. The ring is the in-process twin of a segment's, the API the one that
//! copies. Messages are sent in rounds of 64 and then received, so wrap, release and every cached position occur as
//! in a stream, and refusals do not.

use ring_bench::message::{bytes, bytes_mut, is_numbered, message};
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
        "mpmc-8" => mpmc(count),
        _ => Err("a kind is wanted: spsc-8, spsc-64, spsc-8-batch, spsc-64-batch or mpmc-8".into()),
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
        for n in round.clone() {
            batch.push(0, bytes(&message::<W>(n)))?;
        }
        batch.commit();
        let mut batch = rx.try_read_batch(ROUND as usize)?;
        for n in round {
            let mut words = [0; W];
            batch.next_record().ok_or("a record is missing")?.copy_to(bytes_mut(&mut words));
            expect(&words, n)?;
        }
        batch.release();
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
