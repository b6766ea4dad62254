//! Strict mode: each side's words lie in an object that it alone can write, and only what wakes and seats people lies in
//! one that both can. So a liar denies service at most: he changes no position of the other's and no byte of a record
//! that was sent to him.
//!
//! The steps are those of every SPSC ring, and so are the handles; only where the words lie differs (`layout/strict.rs`).
//! What goes beyond one's own words in an ordinary ring is done by successors and operators alone, and there are none
//! here: a seat is taken once, by the side whose object it goes with, and refused to everybody else.
//!
//! # Safety
//!
//! 1. Of the bytes of [`ProducerParts`] the common object and the producer's are writable, of [`ConsumerParts`] the
//!    common object and the consumer's; all are readable. A ring made of them stores nowhere else: format and attach below
//!    touch what is named there, and a [`Ring`] whose `strict` is set gives out a handle of that side alone.
#![allow(unsafe_code)]

use core::mem::offset_of;
use core::ptr::NonNull;

use super::format::Format;
use super::ring::{Ring, Side};
use crate::error::{AttachError, Corrupt, Field, FormatError};
use crate::layout::{
    FEATURE_STRICT, Identity, MAGIC_COMMON, MAGIC_CONSUMER, Purpose, STRICT_BLOCK, STRICT_COMMON, STRICT_PAGE,
    STRICT_PRODUCER, SpscControl, StrictCommon, StrictConsumer, StrictMark, read, write,
};
use crate::position::Position;
use crate::region::{Line, Region, RegionError};
use crate::seat::Role;
use crate::sync::ord;

/// The three objects of a strict ring as the producer has them: the consumer's, which it only reads; at
/// [`STRICT_COMMON`] the common one; at [`STRICT_PRODUCER`] its own.
///
/// Before the consumer's object has come, a page of zeros stands in its place.
///
/// ```
/// use ring_core::spsc::{Format, Ring, strict};
/// use ring_core::{Line, Verdict};
///
/// // Threads of one process may write everything: there is nothing strict about that, but the same protocol.
/// static MEMORY: [Line; 128] = [const { Line::new() }; 128];
/// let here = strict::ProducerParts::new(&MEMORY);
/// let ours = Ring::format_strict(here, &Format::new(256))?;
/// let mut tx = ours.sit_producer(1, |_| Verdict::Alive)?;
/// let theirs = Ring::attach_strict(strict::ConsumerParts::new(&MEMORY[..98]))?;
/// let mut rx = theirs.sit_consumer(2, |_| Verdict::Alive)?;
/// here.expect_consumer(&ours)?;
///
/// tx.try_send(7, b"hello")?;
/// assert_eq!(rx.try_recv_into(&mut [0; 16])?.tag, 7);
/// assert!(ours.sit_producer(1, |_| Verdict::Dead).is_err(), "a seat is taken once");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ProducerParts<'m>(Region<'m>);

/// The three objects of a strict ring as the consumer has them: its own; at [`STRICT_COMMON`] the common one; at
/// [`STRICT_PRODUCER`] the producer's, which it only reads.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerParts<'m>(Region<'m>);

impl<'m> ProducerParts<'m> {
    /// Those in `lines`, for threads.
    #[must_use]
    pub fn new(lines: &'m [Line]) -> Self {
        Self(Region::new(lines))
    }

    /// Those in the `len` bytes at `base`.
    ///
    /// # Errors
    /// [`RegionError`], as for [`Region::from_raw_parts`].
    ///
    /// # Safety
    /// As for [`Region::from_raw_parts`], but that the consumer's object need not be writable.
    pub unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Result<Self, RegionError> {
        // SAFETY: the caller's word, and 1.
        unsafe { Region::from_raw_parts(base, len) }.map(Self)
    }

    /// Looks at the consumer's object, which has just come into its place: whether it belongs to `ring`, and nothing has
    /// been taken.
    ///
    /// # Errors
    /// [`AttachError`], which names the word, what it holds and what was expected.
    pub fn expect_consumer(&self, ring: &Ring<'m>) -> Result<(), AttachError> {
        let start = ring.strict.map_or(0, |side| side.start.get());
        expect_mark(&self.0, offset_of!(StrictConsumer, mark), [MAGIC_CONSUMER, ring.generation()])?;
        for (field, offset) in
            [(Field::Head, offset_of!(StrictConsumer, head.head)), (Field::Seen, offset_of!(StrictConsumer, head.seen))]
        {
            let found = read(&self.0, offset)?;
            if found != start {
                return Err(Corrupt::new(field, found, start).into());
            }
        }
        Ok(())
    }
}

impl<'m> ConsumerParts<'m> {
    /// Those in `lines`, for threads.
    #[must_use]
    pub fn new(lines: &'m [Line]) -> Self {
        Self(Region::new(lines))
    }

    /// Those in the `len` bytes at `base`.
    ///
    /// # Errors
    /// [`RegionError`], as for [`Region::from_raw_parts`].
    ///
    /// # Safety
    /// As for [`Region::from_raw_parts`], but that the producer's object need not be writable.
    pub unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Result<Self, RegionError> {
        // SAFETY: the caller's word, and 1.
        unsafe { Region::from_raw_parts(base, len) }.map(Self)
    }
}

/// Bytes of the three objects of a ring of this format, as they follow one another.
#[must_use]
pub const fn footprint(format: &Format) -> u64 {
    format.footprint().saturating_add(STRICT_PRODUCER)
}

impl<'m> Ring<'m> {
    /// Writes a fresh strict ring into its producer's parts, the consumer's object excepted. Nobody else may have them
    /// yet.
    ///
    /// # Errors
    /// As [`Ring::format`].
    pub fn format_strict(parts: ProducerParts<'m>, format: &Format) -> Result<Self, FormatError> {
        format.check()?;
        let region = parts.0;
        let too_small = FormatError::RegionTooSmall { found: region.len() as u64, needed: footprint(format) };
        let (front, common) = match (producers(&region), common(&region)) {
            (Some(front), Some(common)) if footprint(format) <= region.len() as u64 => (front, common),
            _ => return Err(too_small),
        };
        Self::clear(&front, size_of::<Identity>()..size_of::<SpscControl>());
        Self::clear(&common, 0..size_of::<StrictCommon>());
        write_mark(&common, offset_of!(StrictCommon, mark), [MAGIC_COMMON, format.generation]);
        let identity = Self::identify(&front, format, FEATURE_STRICT);
        let ring = Self::strictly(&region, front, &identity, Side { role: Role::Producer, start: format.start });
        let ring = ring.ok_or(too_small)?;
        ring.begin([ring.tail], format.start);
        ring.area.store_header(format.start, 0, ord!(L5, Relaxed));
        Ok(ring)
    }

    /// Validates the strict ring in its consumer's parts, and makes the consumer's object one of it.
    ///
    /// # Errors
    /// As [`Ring::attach`].
    pub fn attach_strict(parts: ConsumerParts<'m>) -> Result<Self, AttachError> {
        let region = parts.0;
        let truncated = |needed| AttachError::Truncated { found: region.len() as u64, needed };
        let (front, common) =
            producers(&region).zip(common(&region)).ok_or(truncated(STRICT_PRODUCER.saturating_add(STRICT_PAGE)))?;
        let identity = Self::examine(&front, FEATURE_STRICT, Purpose::Work)?;
        identity.expect([
            (Field::IncompatibleFeatures, identity.features_incompatible & FEATURE_STRICT, FEATURE_STRICT),
            (Field::TotalLen, identity.total_len, front.len() as u64),
        ])?;
        expect_mark(&common, offset_of!(StrictCommon, mark), [MAGIC_COMMON, identity.generation])?;
        // The producer has not sent anything: it waits for the object that is made here.
        let start = Position::new(read(&front, offset_of!(SpscControl, tail))?);
        let ring = Self::strictly(&region, front, &identity, Side { role: Role::Consumer, start });
        let ring = ring.ok_or(truncated(identity.total_len.saturating_add(STRICT_PRODUCER)))?;
        if start.get() & ring.geometry.align().wrapping_sub(1) != 0 {
            return Err(Corrupt::new(Field::Tail, start.get(), 0).into());
        }
        write_mark(&region, offset_of!(StrictConsumer, mark), [MAGIC_CONSUMER, identity.generation]);
        ring.begin([ring.head, ring.seen], start);
        Ok(ring)
    }

    /// Finds the words of a strict ring in its three objects.
    fn strictly(region: &Region<'m>, front: Region<'m>, identity: &Identity, side: Side) -> Option<Self> {
        let mut ring = Self::carve(front, region.behind(STRICT_BLOCK)?.control()?, identity)?;
        ring.strict = Some(side);
        Some(ring)
    }
}

/// The producer's object in the parts of either side.
#[expect(clippy::cast_possible_truncation, reason = "two pages")]
fn producers<'m>(region: &Region<'m>) -> Option<Region<'m>> {
    region.behind(STRICT_PRODUCER as usize)
}

/// The common object, and what is behind it.
#[expect(clippy::cast_possible_truncation, reason = "a page")]
fn common<'m>(region: &Region<'m>) -> Option<Region<'m>> {
    region.behind(STRICT_COMMON as usize)
}

fn write_mark(region: &Region<'_>, at: usize, [magic, generation]: [u64; 2]) {
    write(region, at.wrapping_add(offset_of!(StrictMark, magic)), magic);
    write(region, at.wrapping_add(offset_of!(StrictMark, generation)), generation);
}

fn expect_mark(region: &Region<'_>, at: usize, [magic, generation]: [u64; 2]) -> Result<(), AttachError> {
    for (field, offset, expected) in [
        (Field::Magic, offset_of!(StrictMark, magic), magic),
        (Field::Generation, offset_of!(StrictMark, generation), generation),
    ] {
        let found = read(region, at.wrapping_add(offset))?;
        if found != expected {
            return Err(AttachError::Incompatible { field, found, expected });
        }
    }
    Ok(())
}
