//! What tells a conversation from a stream. Nothing but speed depends on it, so nothing else would notice.
#![allow(clippy::expect_used, reason = "tests")]

#[cfg(not(loom))]
use crate::{
    Line, Region, Verdict,
    spsc::{ClaimError, Format, Ring},
};

use super::{LONGEST, SHORTEST, STREAM, Slip, streams};
use crate::position::Position;

/// So many records of 16 bytes, each found by itself, and then nothing: the pauses that follow.
fn burst(slip: &mut Slip, dry: &mut Position, records: u64) -> u8 {
    let before = *dry;
    for _ in 0..records {
        slip.found(*dry);
        *dry = dry.plus(16);
    }
    slip.ran_dry(before);
    slip.pauses
}

#[test]
fn a_stream_is_left_alone_for_longer_and_a_conversation_is_not() {
    // Also where the mark, and the position itself, wraps.
    for start in [0, 8 * 255, 0u64.wrapping_sub(1 << 20)] {
        let (mut slip, mut dry) = (Slip::new(), Position::new(start));
        assert_eq!(burst(&mut slip, &mut dry, 1), 0);
        let pauses = [2, 3, 40, 2, 2, 9, 3].map(|records| burst(&mut slip, &mut dry, records));
        assert_eq!(pauses, [SHORTEST, 4, 8, 16, 32, LONGEST, LONGEST], "from {start}");
        let pauses = [(); 8].map(|()| burst(&mut slip, &mut dry, 1));
        assert_eq!(pauses, [32, 16, 8, 4, 2, 1, 0, 0], "from {start}");
    }
}

/// A batch finds its first record as others do, and says of the rest only that there were some.
#[test]
fn a_batch_is_a_stream() {
    for dry in [0, 8, 8 * 255, u64::MAX - 7].map(Position::new) {
        let mut slip = Slip::new();
        slip.found(dry);
        slip.found_many(dry);
        slip.ran_dry(dry);
        assert_eq!(slip.pauses, SHORTEST, "from {dry}");
    }
}

#[test]
fn lines_are_asked_for_behind_the_first_ones() {
    let dry = Position::new(u64::MAX - 7);
    assert!([0, 8, STREAM - 8].iter().all(|n| !streams(dry.plus(*n), dry)));
    assert!([STREAM, 1 << 20].iter().all(|n| streams(dry.plus(*n), dry)));
}

/// What the producer knows of it: whether everything had been taken when it looked, which it does once a lap at least.
#[test]
#[cfg(not(loom))]
fn who_waits_for_each_answer_converses_and_who_fills_the_ring_does_not() {
    static MEMORY: [Line; 64] = [const { Line::new() }; 64];
    let ring = Ring::format(Region::new(&MEMORY), &Format::new(1024)).expect("a ring");
    let mut tx = ring.sit_producer(ring.next_lease().expect("a lease"), |_| Verdict::Alive).expect("a seat");
    let mut rx = ring.sit_consumer(ring.next_lease().expect("a lease"), |_| Verdict::Alive).expect("a seat");
    let mut buf = [0; 100];
    assert!(!tx.patience.converses(), "nothing is known of a new handle's peer");
    for _ in 0..2 {
        for _ in 0..20 {
            tx.try_send(0, &buf).expect("room");
            rx.try_recv_into(&mut buf).expect("a record");
        }
        assert!(tx.patience.converses());
        while tx.try_send(0, &buf) != Err(ClaimError::Full) {}
        assert!(!tx.patience.converses());
        while rx.try_recv_into(&mut buf).is_ok() {}
    }
}
