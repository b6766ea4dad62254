//! Where the words of a strict ring lie: in three objects, each a whole number of pages, that follow one another in the
//! addresses of both sides. In front the consumer's, of which the last line counts; then what both write; then the
//! producer's, which looks like an ordinary ring.
//!
//! The two borders are where they are so that no handle needs another address than in an ordinary ring. Of a control
//! block that begins [`STRICT_BLOCK`] bytes into the front page, the head lies before the border and everything from the
//! seats on behind it, all at the offsets of [`SpscControl`]; and the tail is as far before the data area as ever.

// Models have one region.
#![cfg_attr(loom, allow(dead_code))]

use core::mem::{offset_of, size_of};

use super::{CONTROL_SIZE, HeadLine, SeatLine, SpscControl, WaitLine, WordLine};

/// Incompatible, SPSC: the words of the producer, of the consumer, and of both lie in objects of their own.
pub(crate) const FEATURE_STRICT: u64 = 2;

/// Bytes of the consumer's object, and of the one that both write: a page each.
pub const STRICT_PAGE: u64 = CONTROL_SIZE;

/// Where the common object begins in the addresses of a side, the consumer's being in front.
pub const STRICT_COMMON: u64 = STRICT_PAGE;

/// Where the producer's object begins in the addresses of a side.
pub const STRICT_PRODUCER: u64 = 2 * STRICT_PAGE;

/// Where the control block begins whose lines are the consumer's up to the head, and common from the seats on.
pub(crate) const STRICT_BLOCK: usize = size_of::<StrictConsumer>().wrapping_sub(offset_of!(SpscControl, producer));

/// The consumer's object: written by the consumer alone.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct StrictConsumer {
    /// Says what it is, and of which ring.
    pub mark: StrictMark,
    /// Zero.
    pub reserved: [u64; 480],
    /// The consumer's line.
    pub head: HeadLine,
}

/// The object that both sides write: nothing in it says what is in the ring.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct StrictCommon {
    /// The producer's seat.
    pub producer: SeatLine,
    /// The consumer's seat.
    pub consumer: SeatLine,
    /// Zero: a strict ring has one lease for each seat, 1 and 2.
    pub last_lease: WordLine,
    /// Who sleeps.
    pub waiters: WaitLine,
    /// Event count the producer sleeps on; its low half is the futex word.
    pub producer_event: WordLine,
    /// Event count the consumer sleeps on.
    pub consumer_event: WordLine,
    /// Says what it is, and of which ring.
    pub mark: StrictMark,
}

/// What an object of a strict ring says of itself, so that none is taken for another. Written once by its maker, before
/// anybody else has it. (The producer's object has an identity line instead.)
#[repr(C, align(128))]
#[derive(Debug)]
pub struct StrictMark {
    /// `RINGHEAD` (the consumer's) or `RINGSEAT` (the common one).
    pub magic: u64,
    /// The ring's.
    pub generation: u64,
}

/// [`StrictMark::magic`] of the consumer's object.
pub(crate) const MAGIC_CONSUMER: u64 = u64::from_le_bytes(*b"RINGHEAD");

/// [`StrictMark::magic`] of the common object.
pub(crate) const MAGIC_COMMON: u64 = u64::from_le_bytes(*b"RINGSEAT");

/// Whether a word of the common object lies where the control block has it.
const fn agrees(common: usize, block: usize) -> bool {
    size_of::<StrictConsumer>().wrapping_add(common) == STRICT_BLOCK.wrapping_add(block)
}

const _: () = {
    assert!(size_of::<StrictConsumer>() as u64 == STRICT_PAGE);
    assert!(size_of::<StrictCommon>() as u64 <= STRICT_PAGE);
    assert!(offset_of!(StrictConsumer, head) == STRICT_BLOCK.wrapping_add(offset_of!(SpscControl, head)));
    assert!(agrees(offset_of!(StrictCommon, producer), offset_of!(SpscControl, producer)));
    assert!(agrees(offset_of!(StrictCommon, consumer), offset_of!(SpscControl, consumer)));
    assert!(agrees(offset_of!(StrictCommon, last_lease), offset_of!(SpscControl, last_lease)));
    assert!(agrees(offset_of!(StrictCommon, waiters), offset_of!(SpscControl, waiters)));
    assert!(agrees(offset_of!(StrictCommon, producer_event), offset_of!(SpscControl, producer_event)));
    assert!(agrees(offset_of!(StrictCommon, consumer_event), offset_of!(SpscControl, consumer_event)));
    // What the control block ends with, the common object has room for.
    assert!((STRICT_BLOCK as u64).wrapping_add(CONTROL_SIZE) <= STRICT_PRODUCER);
};
