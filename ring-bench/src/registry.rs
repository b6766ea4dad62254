//! Which candidates there are and how much each does in a slice.
//!
//! Capacities are chosen so that both sides of a ratio have the same bytes: 8-KiB rings for round trips, 256-KiB rings
//! one way (PERFORMANCE.md 4). A slice is meant to last about a millisecond, never long enough for the host to move
//! the CPUs often. Names are used by `rows` and printed; they are stable.

use crate::candidate::{Build, Candidate, Place, Unit};
use crate::seam::Work;
use crate::vyukov::Vyukov;
use crate::{limits, ours, rivals};
use crossbeam_queue::ArrayQueue;

/// Bytes of each of the two rings of a round trip.
pub(crate) const ROUND_TRIP_BYTES: usize = 8 << 10;
/// Bytes of a one-way ring.
pub(crate) const ONE_WAY_BYTES: usize = 256 << 10;
/// Messages in a batch of 8-byte messages.
pub(crate) const BATCH_8: usize = 64;
/// Messages in a batch of 64-byte messages.
pub(crate) const BATCH_64: usize = 32;

fn round_trip(name: &'static str, place: Place, build: Build) -> Candidate {
    let work = Work { warm: 400, count: 4_000 };
    Candidate { name, place, parties: 2, unit: Unit::RoundTrip, work, check: 5_000, build }
}

/// `thousands` of 1024 messages, so that every count is a whole number of batches and blocks.
fn one_way(name: &'static str, place: Place, thousands: u64, build: Build) -> Candidate {
    let count = thousands << 10;
    // The warm-up goes round the ring more than once.
    let work = Work { warm: (count / 8).next_multiple_of(2048), count };
    Candidate { name, place, parties: 2, unit: Unit::Messages, work, check: 100 << 10, build }
}

/// `pairs` producers and as many consumers instead of one each.
fn crowd(pairs: usize, candidate: Candidate) -> Candidate {
    Candidate { parties: 2 * pairs, ..candidate }
}

/// Slots of an in-process rival with messages of `words` words in a ring of `bytes`.
const fn slots(bytes: usize, words: usize) -> usize {
    bytes / (8 * words)
}

/// Every candidate. The order is the order within a round: a row's two sides stand close together.
pub(crate) fn all() -> Vec<Candidate> {
    use Place::{Processes as P, Threads as T};
    const RTT: usize = ROUND_TRIP_BYTES;
    const ONE: usize = ONE_WAY_BYTES;
    vec![
        round_trip("line", P, limits::ping_pong(256)),
        round_trip("pp2", P, limits::ping_pong(1)),
        round_trip("ours-rtt-8", P, ours::round_trip::<1>(RTT)),
        round_trip("rtrb-rtt-8", T, rivals::rtrb_round_trip::<1>(slots(RTT, 1))),
        round_trip("ours-rtt-64", P, ours::round_trip::<8>(RTT)),
        round_trip("rtrb-rtt-64", T, rivals::rtrb_round_trip::<8>(slots(RTT, 8))),
        round_trip("ours-rtt-256", P, ours::round_trip::<32>(RTT)),
        round_trip("rtrb-rtt-256", T, rivals::rtrb_round_trip::<32>(slots(RTT, 32))),
        one_way("ours-oneway-8", P, 200, ours::one_way::<1>(ONE)),
        one_way("rtrb-oneway-8", T, 200, rivals::rtrb_one_way::<1>(slots(ONE, 1))),
        one_way("ours-oneway-8-batch", P, 400, ours::batch::<1>(ONE, BATCH_8)),
        one_way("rtrb-oneway-8-batch", T, 400, rivals::rtrb_batch::<1>(slots(ONE, 1), BATCH_8)),
        one_way("handover-8", P, 800, limits::handover::<1>()),
        one_way("ours-oneway-64", P, 100, ours::one_way::<8>(ONE)),
        one_way("rtrb-oneway-64", T, 100, rivals::rtrb_one_way::<8>(slots(ONE, 8))),
        one_way("ours-oneway-64-batch", P, 200, ours::batch::<8>(ONE, BATCH_64)),
        one_way("rtrb-oneway-64-batch", T, 200, rivals::rtrb_batch::<8>(slots(ONE, 8), BATCH_64)),
        one_way("handover-64", P, 200, limits::handover::<8>()),
        one_way("ours-oneway-256", P, 40, ours::one_way::<32>(ONE)),
        one_way("rtrb-oneway-256", T, 40, rivals::rtrb_one_way::<32>(slots(ONE, 32))),
        round_trip("array-queue-rtt-8", T, rivals::shared_round_trip::<ArrayQueue<u64>>(1024)),
        round_trip("vyukov-rtt-8", T, rivals::shared_round_trip::<Vyukov<u64>>(1024)),
        crowd(1, one_way("array-queue-1p1c", T, 100, rivals::shared_one_way::<ArrayQueue<u64>>(1024, 1))),
        crowd(1, one_way("vyukov-1p1c", T, 100, rivals::shared_one_way::<Vyukov<u64>>(1024, 1))),
        crowd(2, one_way("array-queue-2p2c", T, 100, rivals::shared_one_way::<ArrayQueue<u64>>(1024, 2))),
        crowd(2, one_way("vyukov-2p2c", T, 100, rivals::shared_one_way::<Vyukov<u64>>(1024, 2))),
        crowd(4, one_way("array-queue-4p4c", T, 100, rivals::shared_one_way::<ArrayQueue<u64>>(1024, 4))),
        crowd(4, one_way("vyukov-4p4c", T, 100, rivals::shared_one_way::<Vyukov<u64>>(1024, 4))),
    ]
}
