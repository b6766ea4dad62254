//! Where the words of a strict ring lie: in three objects, which both sides map one behind the other. Each has its own
//! page in front; then the common one; then the page of the other side; then the rest of the producer's object.
//!
//! The borders are where they are so that no handle needs another address, or another offset, than in an ordinary ring.
//! The control block begins [`STRICT_BLOCK`] bytes into the own page, which so ends between the head and the seats: a side
//! finds what it writes itself before the border, and what both write behind it. What the other side writes, a side finds
//! as far before the data area as ever; so the data area does not begin on a page.

// Models have one region.
#![cfg_attr(loom, allow(dead_code))]

use core::mem::{offset_of, size_of};

use super::{CONTROL_SIZE, HeadLine, Identity, SeatLine, SpscControl, WaitLine, WordLine};

/// Incompatible, SPSC: the words of the producer, of the consumer, and of both lie in objects of their own.
pub(crate) const FEATURE_STRICT: u64 = 2;

/// Bytes of the consumer's object, of the common one, and of what the producer's has before its rest: a page each.
pub const STRICT_PAGE: u64 = CONTROL_SIZE;

/// Where a side maps the common object; its own page comes before it.
pub const STRICT_COMMON: u64 = STRICT_PAGE;

/// Where a side maps the page of the other side.
pub const STRICT_OTHER: u64 = 2 * STRICT_PAGE;

/// Where a side maps what the producer's object has behind its first page.
pub const STRICT_REST: u64 = 3 * STRICT_PAGE;

/// Where a page's words begin: how far into the own page the control block begins, and how far into the producer's object
/// what looks like an ordinary ring.
pub const STRICT_BLOCK: u64 = STRICT_PAGE.wrapping_sub(offset_of!(SpscControl, producer) as u64);

/// The first page of the producer's object: written by the producer alone, like all the rest of it.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct StrictProducer {
    /// Zero.
    pub reserved: [u64; 464],
    /// Written once at format.
    pub identity: Identity,
    /// Write position.
    pub tail: WordLine,
    /// Zero.
    pub reserved_line: WordLine,
}

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

/// Whether a word of the own page, or `page` pages behind it, lies where the control block has it.
const fn agrees(page: u64, offset: usize, block: usize) -> bool {
    page.wrapping_mul(STRICT_PAGE).wrapping_add(offset as u64) == STRICT_BLOCK.wrapping_add(block as u64)
}

const _: () = {
    assert!(size_of::<StrictProducer>() as u64 == STRICT_PAGE);
    assert!(size_of::<StrictConsumer>() as u64 == STRICT_PAGE);
    assert!(size_of::<StrictCommon>() as u64 <= STRICT_PAGE);
    assert!(agrees(0, offset_of!(StrictProducer, identity), 0));
    assert!(agrees(0, offset_of!(StrictProducer, tail), offset_of!(SpscControl, tail)));
    assert!(agrees(0, offset_of!(StrictConsumer, head), offset_of!(SpscControl, head)));
    assert!(agrees(1, offset_of!(StrictCommon, producer), offset_of!(SpscControl, producer)));
    assert!(agrees(1, offset_of!(StrictCommon, consumer), offset_of!(SpscControl, consumer)));
    assert!(agrees(1, offset_of!(StrictCommon, last_lease), offset_of!(SpscControl, last_lease)));
    assert!(agrees(1, offset_of!(StrictCommon, waiters), offset_of!(SpscControl, waiters)));
    assert!(agrees(1, offset_of!(StrictCommon, producer_event), offset_of!(SpscControl, producer_event)));
    assert!(agrees(1, offset_of!(StrictCommon, consumer_event), offset_of!(SpscControl, consumer_event)));
    // The control block ends before the other side's page, and its lines do not end amid a line.
    assert!(STRICT_BLOCK.wrapping_add(CONTROL_SIZE) <= STRICT_OTHER);
    assert!(STRICT_BLOCK % 128 == 0);
};
