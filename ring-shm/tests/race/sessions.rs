//! SPSC sessions that end in order or by a death in the middle of a record, on either side, and are taken over, with an
//! operator in between: on one piece of memory, by threads that stand for processes.
//!
//! # Safety
//!
//! 1. Every thread with a handle of the ring follows the protocol, so the bytes of a claim, or of a record that is not
//!    released, belong to the thread that holds it.
#![allow(unsafe_code)]
// What a lock of std does when it is contended a sanitizer does not see, since std is not built with one; atomics it sees.
#![allow(clippy::disallowed_types)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use ring_core::spsc::{ClaimError, Format, ReadError, Ring};
use ring_core::{Line, Region, Role, Verdict};

use crate::{check, fill, length};

/// Sessions on either side.
const SESSIONS: u64 = 300;
const LONGEST: usize = 56;
/// How many records there are before the last session has ended.
const UNKNOWN: u32 = u32::MAX;

/// The kernel's part: who holds a lease, a bit for each.
struct Leases(Vec<AtomicU64>);

impl Leases {
    fn new() -> Self {
        Self((0..4 * SESSIONS).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, lease: u64) -> (&AtomicU64, u64) {
        (&self.0[lease as usize / 64], 1 << (lease % 64))
    }

    fn take(&self, ring: &Ring<'_>) -> u64 {
        let lease = ring.next_lease().expect("enough of them");
        let (word, bit) = self.place(lease);
        word.fetch_or(bit, Ordering::AcqRel);
        lease
    }

    /// An end, orderly or not: no store of that thread to the ring follows.
    fn end(&self, lease: u64) {
        let (word, bit) = self.place(lease);
        word.fetch_and(!bit, Ordering::AcqRel);
    }

    fn verdict(&self, lease: u64) -> Verdict {
        let (word, bit) = self.place(lease);
        if word.load(Ordering::Acquire) & bit != 0 { Verdict::Alive } else { Verdict::Dead }
    }
}

/// Sends records from `next` on until the session is over; the next one.
fn produce(ring: &Ring<'_>, leases: &Leases, session: u64, mut next: u32) -> u32 {
    let lease = leases.take(ring);
    let mut tx = ring.sit_producer(lease, |lease| leases.verdict(lease)).expect("the one before has ended");
    let end = next + 20 + session as u32 % 50;
    while next < end {
        match tx.try_claim_asking(LONGEST, |lease| leases.verdict(lease)) {
            Ok(mut claim) => {
                let len = length(next, LONGEST);
                // SAFETY: 1.
                fill(next, &mut unsafe { claim.as_mut_slice() }[..len]);
                if next % 11 == 3 && session % 5 == 1 {
                    claim.abort();
                    break;
                }
                claim.set_tag(next);
                claim.truncate(len);
                claim.commit();
                next += 1;
            }
            Err(ClaimError::Full | ClaimError::Ended(_)) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    match session % 3 {
        0 => tx.close(),
        1 => {
            // In the middle of a record.
            if let Ok(mut claim) = tx.try_claim(LONGEST) {
                // SAFETY: 1.
                unsafe { claim.as_mut_slice() }.fill(0xdd);
            }
        }
        _ => {}
    }
    leases.end(lease);
    next
}

/// Receives until `limit`, or until the session is over; the next record that no consumer has released.
fn consume(ring: &Ring<'_>, leases: &Leases, session: u64, mut next: u32, limit: impl Fn() -> Option<u32>) -> u32 {
    let lease = leases.take(ring);
    let mut rx = ring.sit_consumer(lease, |lease| leases.verdict(lease)).expect("the one before has ended");
    let end = next + 15 + session as u32 % 40;
    let mut in_hand = false;
    while next < end && limit() != Some(next) {
        if session % 4 == 0 {
            if let Ok(mut batch) = rx.try_read_batch(5) {
                while let Ok(Some(record)) = batch.next_record() {
                    assert_eq!(record.tag(), next);
                    // SAFETY: 1.
                    check(next, unsafe { record.as_slice() });
                    next += 1;
                }
                batch.release();
            }
        }
        match rx.try_read_asking(|lease| leases.verdict(lease)) {
            Ok(record) => {
                assert_eq!((record.tag(), record.len()), (next, length(next, LONGEST)));
                // SAFETY: 1.
                check(next, unsafe { record.as_slice() });
                if next + 1 == end && session % 3 == 1 {
                    in_hand = true;
                    break;
                }
                record.release();
                next += 1;
            }
            Err(ReadError::Empty | ReadError::Ended(_)) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    if !in_hand && session % 3 == 0 {
        rx.close();
    }
    leases.end(lease);
    next
}

/// All sessions; returns the number of records.
pub(crate) fn run() -> u64 {
    let memory: Vec<Line> = (0..34).map(|_| Line::new()).collect();
    let ring = Ring::format(Region::new(&memory), &Format::new(256)).expect("a good format");
    let leases = Leases::new();
    let total = AtomicU32::new(UNKNOWN);
    thread::scope(|scope| {
        let producers = scope.spawn(|| {
            let mut next = 0;
            for session in 0..SESSIONS {
                next = thread::scope(|scope| {
                    scope.spawn(|| produce(&ring, &leases, session, next)).join().expect("a producer")
                });
                if session % 7 == 0 {
                    // An operator puts the tail right; the seat goes on saying that its owner is dead.
                    let lease = leases.take(&ring);
                    let _ = ring.recover(Role::Producer, lease, true, |lease| leases.verdict(lease));
                    leases.end(lease);
                }
            }
            total.store(next, Ordering::Release);
        });
        let consumers = scope.spawn(|| {
            let limit = || Some(total.load(Ordering::Acquire)).filter(|total| *total != UNKNOWN);
            let (mut next, mut session) = (0, 0);
            while limit() != Some(next) {
                next = thread::scope(|scope| {
                    scope.spawn(|| consume(&ring, &leases, session, next, limit)).join().expect("a consumer")
                });
                session += 1;
            }
        });
        producers.join().expect("producers");
        consumers.join().expect("consumers");
    });
    u64::from(total.into_inner())
}
