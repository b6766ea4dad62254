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
//! 1. Of the bytes of [`ProducerParts`] the own page, the common object and the rest are writable, of [`ConsumerParts`]
//!    the own page and the common object; all are readable. A ring made of them stores nowhere else: format and attach
//!    below touch what is named there, and a [`Ring`] whose `strict` is set gives out a handle of that side alone.
#![allow(unsafe_code)]

use core::mem::offset_of;
use core::ptr::NonNull;

use super::format::{Format, MIN_CAPACITY};
use super::ring::{Ring, Side};
use crate::error::{AttachError, Corrupt, Field, FormatError};
use crate::layout::{
    CONTROL_SIZE, FEATURE_STRICT, Identity, MAGIC_COMMON, MAGIC_CONSUMER, Purpose, STRICT_BLOCK, STRICT_COMMON,
    STRICT_OTHER, SpscControl, StrictCommon, StrictConsumer, StrictMark, read, write,
};
use crate::park::Waiting;
use crate::position::Position;
use crate::region::{Line, Region, RegionError};
use crate::seat::{Role, SeatFacts, SeatState};
use crate::sync::ord;

/// The three objects of a strict ring as the producer has them: the first page of its own; at
/// [`STRICT_COMMON`] the common one; at [`STRICT_OTHER`] the consumer's, or a
/// page of zeros until that has come; at [`STRICT_REST`](crate::STRICT_REST) the rest of its own.
///
/// ```
/// use ring_core::spsc::{Format, Ring, strict};
/// use ring_core::{Line, Verdict};
///
/// static MEMORY: [Line; 127] = [const { Line::new() }; 127];
/// let parts = strict::ProducerParts::new(&MEMORY);
/// let ring = Ring::format_strict(parts, &Format::new(256))?;
/// let mut tx = ring.sit_producer(1, |_| Verdict::Alive)?;
/// tx.try_send(7, b"hello")?;
///
/// assert!(parts.expect_consumer(&ring).is_err(), "no consumer has come yet");
/// assert!(ring.sit_producer(1, |_| Verdict::Dead).is_err(), "a seat is taken once");
/// assert!(ring.sit_consumer(2, |_| Verdict::Dead).is_err(), "and only the side's own");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ProducerParts<'m>(Region<'m>);

/// The three objects of a strict ring as the consumer has them: its own; at [`STRICT_COMMON`] the
/// common one; at [`STRICT_OTHER`] the producer's, all of it.
///
/// ```
/// use ring_core::spsc::{Ring, strict};
/// use ring_core::{AttachError, Field, Line};
///
/// static MEMORY: [Line; 127] = [const { Line::new() }; 127];
/// let refused = Ring::attach_strict(strict::ConsumerParts::new(&MEMORY)).unwrap_err();
/// assert!(matches!(refused, AttachError::Incompatible { field: Field::Magic, found: 0, .. }));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ConsumerParts<'m>(Region<'m>);

impl<'m> ProducerParts<'m> {
    /// Those in `lines`, all of which can be written.
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
    /// As for [`Region::from_raw_parts`], but that the consumer's page need not be writable.
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
        let theirs = behind(&self.0, STRICT_OTHER)?;
        expect_mark(&theirs, offset_of!(StrictConsumer, mark), [MAGIC_CONSUMER, ring.generation()])?;
        for (field, offset) in [
            (Field::Head, offset_of!(StrictConsumer, head.head)),
            (Field::Seen, offset_of!(StrictConsumer, head.seen)),
            (Field::Within, offset_of!(StrictConsumer, head.within)),
        ] {
            let found = read(&theirs, offset)?;
            if found != start {
                return Err(Corrupt::new(field, found, start).into());
            }
        }
        Ok(())
    }
}

impl<'m> ConsumerParts<'m> {
    /// Those in `lines`, all of which can be written.
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
    /// As for [`Region::from_raw_parts`], but that what is the producer's need not be writable.
    pub unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Result<Self, RegionError> {
        // SAFETY: the caller's word, and 1.
        unsafe { Region::from_raw_parts(base, len) }.map(Self)
    }
}

/// A look at a copy of the common object: who sits in the seats, and how they wait. Of what is in the ring it knows
/// nothing. All of it is a guess, for people, and what a liar may have written.
///
/// ```
/// use ring_core::spsc::strict;
/// use ring_core::{AttachError, Field, Line};
///
/// static COPY: [Line; 35] = [const { Line::new() }; 35];
/// let refused = strict::Common::look(&COPY).unwrap_err();
/// assert!(matches!(refused, AttachError::Incompatible { field: Field::Magic, found: 0, .. }));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Common<'m>(Ring<'m>);

/// Where in a copy for [`Common`] the object begins: what lies before it is nobody's.
pub const COMMON_IN_COPY: u64 = STRICT_COMMON.wrapping_sub(STRICT_BLOCK);

impl<'m> Common<'m> {
    /// That in `copy`.
    ///
    /// # Errors
    /// [`AttachError`] when no common object begins at [`COMMON_IN_COPY`] there.
    pub fn look(copy: &'m [Line]) -> Result<Self, AttachError> {
        Self::look_in(Region::new(copy))
    }

    /// The same of a region, which nobody else may write.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_in(copy: Region<'m>) -> Result<Self, AttachError> {
        let common = behind(&copy, COMMON_IN_COPY)?;
        let at = offset_of!(StrictCommon, mark);
        let generation = read(&common, at.wrapping_add(offset_of!(StrictMark, generation)))?;
        expect_mark(&common, at, [MAGIC_COMMON, generation])?;
        // The seats lie as in any ring. Whatever else a ring has is not looked at.
        let identity =
            Identity { capacity: MIN_CAPACITY, data_offset: CONTROL_SIZE, generation, ..Identity::default() };
        let side = Side { role: Role::Producer, start: Position::new(0) };
        let truncated = AttachError::Truncated {
            found: copy.len() as u64,
            needed: CONTROL_SIZE.saturating_add(MIN_CAPACITY).max(COMMON_IN_COPY.saturating_add(STRICT_COMMON)),
        };
        let ring = copy.control().and_then(|control| Ring::carve(control, copy, &identity, Some(side)));
        ring.map(Self).ok_or(truncated)
    }

    /// The ring's random id.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// As [`Ring::seat`].
    ///
    /// # Errors
    /// As there.
    pub fn seat(&self, role: Role) -> Result<SeatState, Corrupt> {
        self.0.seat(role)
    }

    /// As [`Ring::facts`].
    #[must_use]
    pub fn facts(&self, role: Role) -> SeatFacts {
        self.0.facts(role)
    }

    /// As [`Ring::facts_of`].
    #[must_use]
    pub fn facts_of(&self, role: Role, lease: u64) -> Option<SeatFacts> {
        self.0.facts_of(role, lease)
    }

    /// As [`Ring::waiting`].
    #[must_use]
    pub fn waiting(&self, role: Role) -> Waiting {
        self.0.waiting(role)
    }
}

/// Bytes of the producer's object of a ring of this format.
#[must_use]
pub const fn producer_len(format: &Format) -> u64 {
    format.footprint().saturating_add(STRICT_BLOCK)
}

/// Bytes of the three objects of a ring of this format, as they follow one another.
#[must_use]
pub const fn footprint(format: &Format) -> u64 {
    producer_len(format).saturating_add(STRICT_OTHER)
}

impl<'m> Ring<'m> {
    /// Writes a fresh strict ring into its producer's parts, the consumer's page excepted. Nobody else may have them yet.
    ///
    /// # Errors
    /// As [`Ring::format`].
    pub fn format_strict(parts: ProducerParts<'m>, format: &Format) -> Result<Self, FormatError> {
        format.check()?;
        let region = parts.0;
        let too_small = FormatError::RegionTooSmall { found: region.len() as u64, needed: footprint(format) };
        if footprint(format) > region.len() as u64 {
            return Err(too_small);
        }
        let all = behind(&region, STRICT_BLOCK).and_then(|block| {
            Ok((block, behind(&region, STRICT_COMMON)?, behind(&region, STRICT_OTHER.saturating_add(STRICT_BLOCK))?))
        });
        let (block, common, front) = all.map_err(|_| too_small)?;
        Self::clear(&block, size_of::<Identity>()..offset_of!(SpscControl, head));
        Self::clear(&common, 0..size_of::<StrictCommon>());
        write_mark(&common, offset_of!(StrictCommon, mark), [MAGIC_COMMON, format.generation]);
        let identity = Self::identify(&block, &front, format, FEATURE_STRICT);
        let side = Side { role: Role::Producer, start: format.start };
        let ring = block.control().and_then(|control| Self::carve(control, front, &identity, Some(side)));
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
        // What looks like an ordinary ring in the producer's object.
        let front = behind(&region, STRICT_OTHER.saturating_add(STRICT_BLOCK))?;
        let common = behind(&region, STRICT_COMMON)?;
        let identity = Self::examine(&front, FEATURE_STRICT, Purpose::Work)?;
        identity.expect([
            (Field::IncompatibleFeatures, identity.features_incompatible & FEATURE_STRICT, FEATURE_STRICT),
            (Field::TotalLen, identity.total_len, front.len() as u64),
        ])?;
        expect_mark(&common, offset_of!(StrictCommon, mark), [MAGIC_COMMON, identity.generation])?;
        // The producer has not sent anything: it waits for the object that is made here.
        let start = Position::new(read(&front, offset_of!(SpscControl, tail))?);
        let side = Side { role: Role::Consumer, start };
        let control = behind(&region, STRICT_BLOCK)?.control();
        let ring = control.and_then(|control| Self::carve(control, front, &identity, Some(side)));
        let ring = ring.ok_or(AttachError::Truncated { found: front.len() as u64, needed: identity.total_len })?;
        if start.get() & ring.geometry.align().wrapping_sub(1) != 0 {
            return Err(Corrupt::new(Field::Tail, start.get(), 0).into());
        }
        write_mark(&region, offset_of!(StrictConsumer, mark), [MAGIC_CONSUMER, identity.generation]);
        ring.begin([ring.head, ring.seen, ring.within], start);
        Ok(ring)
    }
}

/// What lies behind the first `offset` bytes of a side's parts.
fn behind<'m>(region: &Region<'m>, offset: u64) -> Result<Region<'m>, AttachError> {
    let truncated = AttachError::Truncated {
        found: region.len() as u64,
        needed: STRICT_OTHER.saturating_add(STRICT_BLOCK).saturating_add(CONTROL_SIZE),
    };
    usize::try_from(offset).ok().and_then(|offset| region.behind(offset)).ok_or(truncated)
}

fn write_mark(region: &Region<'_>, at: usize, [magic, generation]: [u64; 2]) {
    write(region, at.wrapping_add(offset_of!(StrictMark, magic)), magic);
    write(region, at.wrapping_add(offset_of!(StrictMark, generation)), generation);
}

fn expect_mark(region: &Region<'_>, at: usize, [magic, generation]: [u64; 2]) -> Result<(), AttachError> {
    let found = read(region, at.wrapping_add(offset_of!(StrictMark, magic)))?;
    if found != magic {
        return Err(AttachError::Incompatible { field: Field::Magic, found, expected: magic });
    }
    let found = read(region, at.wrapping_add(offset_of!(StrictMark, generation)))?;
    if found == generation { Ok(()) } else { Err(AttachError::OtherRing { found, expected: generation }) }
}
