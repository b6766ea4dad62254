//! Which candidates there are and how much each does in a slice.
//!
//! Capacities are chosen so that both sides of a ratio have the same bytes: 8-KiB rings for round trips, 256-KiB rings
//! one way (PERFORMANCE.md 4). A slice is meant to last about a millisecond, never long enough for the host to move
//! the CPUs often. Names are used by `rows` and printed; they are stable.

use crate::candidate::{Build, Candidate, Place, Unit};
use crate::seam::Work;
use crate::setup::{self, Call, Raw};
use crate::slotted::{self, Owned, Plain};
use crate::vyukov::Vyukov;
use crate::{format, format_trip, inplace, kernel, limits, ours, ours_mpmc, parkable, parked, rivals};
use crossbeam_queue::ArrayQueue;

/// Bytes of each of the two rings of a round trip.
pub const ROUND_TRIP_BYTES: usize = 8 << 10;
/// Bytes of a one-way ring.
pub const ONE_WAY_BYTES: usize = 256 << 10;
/// Messages in a batch of 8-byte messages.
pub const BATCH_8: usize = 64;
/// Slots of an MPMC queue that stays in the nearest caches, and of one that does not.
pub const FEW: usize = 1 << 10;
/// See [`FEW`].
pub(crate) const MANY: usize = 1 << 16;
/// Messages in a batch of 64-byte messages.
pub const BATCH_64: usize = 32;

/// A round trip by polling: 4000 a slice.
pub fn round_trip(name: &'static str, place: Place, build: Build) -> Candidate {
    let work = Work { warm: 400, count: 4_000 };
    Candidate { name, place, parties: 2, unit: Unit::RoundTrip, sleeps: false, work, check: 5_000, build }
}

/// Parties that sleep for every message: some hundred times as long as one that polls.
fn parked(name: &'static str, build: Build) -> Candidate {
    let work = Work { warm: 2, count: 30 };
    Candidate {
        name,
        place: Place::Processes,
        parties: 2,
        unit: Unit::ParkedTrip,
        sleeps: true,
        work,
        check: 200,
        build,
    }
}

/// `thousands` of 1024 messages, so that every count is a whole number of batches and blocks.
pub fn one_way(name: &'static str, place: Place, thousands: u64, build: Build) -> Candidate {
    let count = thousands << 10;
    // The warm-up goes round the ring more than once.
    let work = Work { warm: (count / 8).next_multiple_of(2048), count };
    Candidate { name, place, parties: 2, unit: Unit::Messages, sleeps: false, work, check: 100 << 10, build }
}

/// Whole payloads of `bytes`, `count` of them a slice; the check goes round the ring twice.
pub fn payload(name: &'static str, place: Place, bytes: usize, count: u64, build: Build) -> Candidate {
    let lap = (inplace::BYTES / bytes) as u64;
    let work = Work { warm: lap, count };
    let unit = Unit::Bytes(bytes);
    Candidate { name, place, parties: 2, unit, sleeps: false, work, check: 2 * lap, build }
}

/// A polled system call a message: some ten times as long as one that stays in user space.
fn kernel_round_trip(name: &'static str, build: Build) -> Candidate {
    Candidate { work: Work { warm: 50, count: 400 }, check: 2_000, ..round_trip(name, Place::Processes, build) }
}

/// `pairs` producers and as many consumers of single words. They have no common moment after a warm-up, so there is
/// none, and more parties than CPUs take milliseconds until all of them have had one: the slice goes round the larger
/// queue 32 times instead, some 20 ms. (A sixteenth of it measures how an empty queue fills: decision 0010.)
pub fn crowd(name: &'static str, place: Place, pairs: usize, build: Build) -> Candidate {
    let work = Work { warm: 0, count: 2 << 20 };
    Candidate { name, place, parties: 2 * pairs, unit: Unit::Messages, sleeps: false, work, check: 100 << 10, build }
}

/// Single calls of some hundred microseconds. What disturbs one of them disturbs no median.
fn calls(name: &'static str, build: Build) -> Candidate {
    let (place, unit) = (Place::Processes, Unit::Call);
    Candidate { name, place, parties: 2, unit, sleeps: true, work: Work { warm: 1, count: 9 }, check: 20, build }
}

/// Slots of an in-process rival with messages of `words` words in a ring of `bytes`.
const fn slots(bytes: usize, words: usize) -> usize {
    bytes / (8 * words)
}

/// Every candidate.
pub fn all() -> Vec<Candidate> {
    use Place::{Processes as P, Threads as T};
    const RTT: usize = ROUND_TRIP_BYTES;
    const ONE: usize = ONE_WAY_BYTES;
    vec![
        round_trip("line", P, limits::ping_pong(256)),
        round_trip("pp2", P, limits::ping_pong(1)),
        round_trip("ours-rtt-8", P, ours::round_trip::<1>(RTT)),
        round_trip("strict-rtt-8", P, ours::strict_round_trip::<1>(RTT)),
        round_trip("rtrb-rtt-8", T, rivals::rtrb_round_trip::<1>(slots(RTT, 1))),
        round_trip("ours-rtt-64", P, ours::round_trip::<8>(RTT)),
        round_trip("rtrb-rtt-64", T, rivals::rtrb_round_trip::<8>(slots(RTT, 8))),
        round_trip("ours-rtt-256", P, ours::round_trip::<32>(RTT)),
        round_trip("rtrb-rtt-256", T, rivals::rtrb_round_trip::<32>(slots(RTT, 32))),
        round_trip("format-rtt-256", P, format_trip::round_trip::<32>()),
        round_trip("format-rtt-64", P, format_trip::round_trip::<8>()),
        one_way("ours-oneway-8", P, 200, ours::one_way::<1>(ONE)),
        one_way("strict-oneway-8", P, 200, ours::strict_one_way::<1>(ONE)),
        one_way("rtrb-oneway-8", T, 200, rivals::rtrb_one_way::<1>(slots(ONE, 1))),
        one_way("format-oneway-8", P, 200, format::one_way::<1>(ONE)),
        one_way("core-oneway-8", P, 200, parkable::one_way::<1, true>(ONE)),
        one_way("core-oneway-8-untold", P, 200, parkable::one_way::<1, false>(ONE)),
        one_way("ours-oneway-8-batch", P, 400, ours::batch::<1>(ONE, BATCH_8)),
        one_way("ours-oneway-8-slices", P, 400, ours::slices::<1>(ONE, BATCH_8)),
        one_way("rtrb-oneway-8-batch", T, 400, rivals::rtrb_batch::<1>(slots(ONE, 1), BATCH_8)),
        one_way("format-oneway-8-batch", P, 400, format::batch::<1, BATCH_8>(ONE)),
        one_way("handover-8", P, 800, limits::handover::<1>()),
        one_way("ours-oneway-56", P, 100, ours::one_way::<7>(ONE)),
        one_way("ours-oneway-56-lines", P, 100, ours::one_way_on_lines::<7>(ONE)),
        one_way("ours-oneway-64", P, 100, ours::one_way::<8>(ONE)),
        one_way("rtrb-oneway-64", T, 100, rivals::rtrb_one_way::<8>(slots(ONE, 8))),
        one_way("ours-oneway-64-batch", P, 200, ours::batch::<8>(ONE, BATCH_64)),
        one_way("ours-oneway-64-slices", P, 200, ours::slices::<8>(ONE, BATCH_64)),
        one_way("rtrb-oneway-64-batch", T, 200, rivals::rtrb_batch::<8>(slots(ONE, 8), BATCH_64)),
        one_way("format-oneway-64-batch", P, 200, format::batch::<8, { 8 * BATCH_64 }>(ONE)),
        one_way("handover-64", P, 200, limits::handover::<8>()),
        one_way("ours-oneway-256", P, 40, ours::one_way::<32>(ONE)),
        one_way("rtrb-oneway-256", T, 40, rivals::rtrb_one_way::<32>(slots(ONE, 32))),
        payload("ours-payload-1k", P, 1 << 10, 8192, inplace::ours(1 << 10, true)),
        payload("raw-payload-1k", P, 1 << 10, 8192, inplace::raw(1 << 10, 0)),
        payload("headed-payload-1k", P, 1 << 10, 8192, inplace::raw(1 << 10, 64)),
        payload("ours-payload-1k-packed", P, 1 << 10, 8192, inplace::ours(1 << 10, false)),
        payload("ours-payload-1k-copied", P, 1 << 10, 8192, inplace::ours_copied(1 << 10)),
        payload("ours-payload-64k", P, 64 << 10, 128, inplace::ours(64 << 10, true)),
        payload("raw-payload-64k", P, 64 << 10, 128, inplace::raw(64 << 10, 0)),
        payload("headed-payload-64k", P, 64 << 10, 128, inplace::raw(64 << 10, 64)),
        payload("ours-payload-64k-packed", P, 64 << 10, 128, inplace::ours(64 << 10, false)),
        payload("ours-payload-64k-copied", P, 64 << 10, 128, inplace::ours_copied(64 << 10)),
        payload("ours-payload-1m", P, 1 << 20, 16, inplace::ours(1 << 20, true)),
        payload("raw-payload-1m", P, 1 << 20, 16, inplace::raw(1 << 20, 0)),
        payload("headed-payload-1m", P, 1 << 20, 16, inplace::raw(1 << 20, 64)),
        payload("ours-payload-1m-copied", P, 1 << 20, 16, inplace::ours_copied(1 << 20)),
        kernel_round_trip("pipe-rtt-8", kernel::round_trip::<1>(kernel::pipe, RTT)),
        kernel_round_trip("unix-rtt-8", kernel::round_trip::<1>(kernel::unix, RTT)),
        one_way("ours-oneway-8-small", P, 50, ours::one_way::<1>(RTT)),
        one_way("pipe-oneway-8-small", P, 8, kernel::one_way::<1>(kernel::pipe, RTT)),
        one_way("unix-oneway-8-small", P, 4, kernel::one_way::<1>(kernel::unix, RTT)),
        parked("ours-parked-rtt-8", parked::ours(RTT)),
        parked("futex-rtt", parked::futex()),
        parked("sem-rtt", parked::semaphore()),
        parked("robust-mutex-rtt", parked::monitor()),
        parked("eventfd-rtt", parked::eventfd()),
        parked("pipe-parked-rtt-8", parked::descriptor(kernel::pipe_that_waits)),
        parked("unix-parked-rtt-8", parked::descriptor(kernel::unix_that_waits)),
        calls("ours-create-1m", setup::cost::<setup::Ours>(Call::Create, 0)),
        calls("raw-create-1m", setup::cost::<Raw>(Call::Create, 0)),
        calls("allowed-150us", setup::allowed(150)),
        calls("ours-create-1m-among-500", setup::cost::<setup::Ours>(Call::Create, setup::MANY)),
        calls("ours-open-1m", setup::cost::<setup::Ours>(Call::Open, 0)),
        calls("raw-open-1m", setup::cost::<Raw>(Call::Open, 0)),
        calls("allowed-60us", setup::allowed(60)),
        calls("ours-open-1m-among-500", setup::cost::<setup::Ours>(Call::Open, setup::MANY)),
        round_trip("ours-mpmc-rtt-8", P, ours_mpmc::round_trip::<1>(FEW)),
        round_trip("ours-mpmc-rtt-256", P, ours_mpmc::round_trip::<32>(slots(RTT, 32))),
        round_trip("vyukov-rtt-8", T, rivals::shared_round_trip::<Vyukov<u64>>(FEW)),
        round_trip("plain-rtt-8", P, slotted::round_trip::<Plain>(FEW)),
        round_trip("owned-rtt-8", P, slotted::round_trip::<Owned>(FEW)),
        round_trip("array-queue-rtt-8", T, rivals::shared_round_trip::<ArrayQueue<u64>>(FEW)),
        crowd("ours-1p1c", P, 1, ours_mpmc::one_way(FEW, 1)),
        crowd("ours-1p1c-alone", P, 1, ours_mpmc::one_way_alone(FEW)),
        crowd("array-queue-1p1c", T, 1, rivals::shared_one_way::<ArrayQueue<u64>>(FEW, 1)),
        crowd("plain-1p1c", P, 1, slotted::one_way::<Plain>(FEW, 1)),
        crowd("owned-1p1c", P, 1, slotted::one_way::<Owned>(FEW, 1)),
        crowd("vyukov-1p1c", T, 1, rivals::shared_one_way::<Vyukov<u64>>(FEW, 1)),
        crowd("ours-1p1c-65536", P, 1, ours_mpmc::one_way(MANY, 1)),
        crowd("array-queue-1p1c-65536", T, 1, rivals::shared_one_way::<ArrayQueue<u64>>(MANY, 1)),
        crowd("array-queue-1p1c-65536-wide", T, 1, rivals::shared_one_way::<ArrayQueue<[u64; 3]>>(MANY, 1)),
        crowd("ours-1p1c-32768", P, 1, ours_mpmc::one_way(MANY / 2, 1)),
        crowd("ours-2p2c", P, 2, ours_mpmc::one_way(FEW, 2)),
        crowd("array-queue-2p2c", T, 2, rivals::shared_one_way::<ArrayQueue<u64>>(FEW, 2)),
        crowd("plain-2p2c", P, 2, slotted::one_way::<Plain>(FEW, 2)),
        crowd("owned-2p2c", P, 2, slotted::one_way::<Owned>(FEW, 2)),
        crowd("vyukov-2p2c", T, 2, rivals::shared_one_way::<Vyukov<u64>>(FEW, 2)),
        crowd("ours-2p2c-65536", P, 2, ours_mpmc::one_way(MANY, 2)),
        crowd("array-queue-2p2c-65536", T, 2, rivals::shared_one_way::<ArrayQueue<u64>>(MANY, 2)),
        crowd("ours-4p4c", P, 4, ours_mpmc::one_way(FEW, 4)),
        crowd("array-queue-4p4c", T, 4, rivals::shared_one_way::<ArrayQueue<u64>>(FEW, 4)),
        crowd("plain-4p4c", P, 4, slotted::one_way::<Plain>(FEW, 4)),
        crowd("owned-4p4c", P, 4, slotted::one_way::<Owned>(FEW, 4)),
        crowd("vyukov-4p4c", T, 4, rivals::shared_one_way::<Vyukov<u64>>(FEW, 4)),
        crowd("ours-4p4c-65536", P, 4, ours_mpmc::one_way(MANY, 4)),
        crowd("array-queue-4p4c-65536", T, 4, rivals::shared_one_way::<ArrayQueue<u64>>(MANY, 4)),
    ]
}
