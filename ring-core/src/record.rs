//! The header word of an SPSC record: how it is packed, and how a word from shared memory is decoded with every
//! bound checked. Pure functions over numbers; nothing here touches memory.
//!
//! ```text
//!  63            32 31 30                 0
//! ┌────────────────┬──┬────────────────────┐   0 = nothing committed here yet
//! │ tag            │P │ payload length + 1 │   P = 1: no record for the user
//! └────────────────┴──┴────────────────────┘       length 0, tag ≠ 0: session mark, `lease * 2 + closed` of who wrote before
//!                                                  length a multiple of 8, tag 0: padding up to the end of the data area
//!  63            32 31 30       17 16      3 2  0
//! ┌────────────────┬──┬───────────┬─────────┬────┐
//! │ tag            │1 │ records   │ length  │010 │   a train: one header before the payloads of many records of one length
//! └────────────────┴──┴───────────┴─────────┴────┘
//! ```

use crate::error::{Corrupt, Field};
use crate::position::Position;

/// Bytes of a header; also the alignment of records unless the ring is line aligned.
pub(crate) const HEADER: u64 = 8;
const HEADER_BYTES: usize = 8;

/// The longest payload that the 31-bit field is used for.
pub(crate) const MAX_LEN: u64 = (1 << 31) - 16;

/// How far beyond any byte of a ring addresses go on, so that what is compared does not wrap: more than any record is long.
/// 0, and of no use, where addresses are too short for that.
pub(crate) const BEYOND: usize = match 1usize.checked_shl(33) {
    Some(bytes) => bytes,
    None => 0,
};

/// The flag of what is no record for the user.
pub(crate) const PADDING: u64 = 1 << 31;
const LEN_MASK: u64 = PADDING - 1;

/// What the lowest bits of a train's header are, and of nothing else that has the flag: there they are 1.
const TRAIN: u64 = 0b010;
const TRAIN_MASK: u64 = 0b111;
const TRAIN_LEN_SHIFT: u32 = 3;
const TRAIN_COUNT_SHIFT: u32 = 17;
const TRAIN_FIELD: u64 = (1 << 14) - 1;

/// The geometry that sizes records: private to a handle, validated once, and small: a handle has two cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    capacity_log2: u8,
    /// The alignment of record starts, negative: -8 or -64. As a mask it rounds towards less, so sizes are computed below zero.
    down: i8,
}

/// What sizes records where they need not start on lines, the capacity left open: a constant, so that the size of a record of
/// known length is one too.
pub(crate) const PACKED: Geometry = Geometry { capacity_log2: 63, down: -8 };

impl Geometry {
    /// Whether records need not start on lines: [`PACKED`] says of each what this one does.
    #[inline(always)]
    pub(crate) const fn is_packed(&self) -> bool {
        self.down == PACKED.down
    }

    /// The geometry of a data area of `capacity` bytes, a power of two.
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    pub(crate) const fn new(capacity: u64, line_aligned: bool) -> Self {
        Self { capacity_log2: capacity.trailing_zeros() as u8, down: if line_aligned { -64 } else { -8 } }
    }

    /// Bytes of the data area, a power of two.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u64 {
        1u64.wrapping_shl(self.capacity_log2 as u32)
    }

    /// Longest payload.
    pub(crate) const fn max_len(&self) -> u64 {
        let half = (self.capacity() / 2).saturating_sub(HEADER);
        if half < MAX_LEN { half } else { MAX_LEN }
    }

    /// Alignment of record starts, 8 or 64; what a session mark takes.
    #[inline(always)]
    pub(crate) const fn align(&self) -> u64 {
        (self.down as u64).wrapping_neg()
    }

    /// Bytes that a record of `len` payload bytes takes, header and alignment included. `len <= max_len`.
    #[inline(always)]
    pub(crate) const fn record_size(&self, len: u64) -> u64 {
        (len.wrapping_add(HEADER).wrapping_neg() & self.down as u64).wrapping_neg()
    }

    /// The same for any `len`: `None` where it would be more than [`BEYOND`], or than numbers can say. A multiple of 8, and at
    /// least 8 more than `len`.
    #[inline(always)]
    pub(crate) const fn size_of(&self, len: usize) -> Option<usize> {
        // The bound is a constant, so of a constant `len` nothing is asked.
        const LONGEST: usize = (if BEYOND == 0 { usize::MAX } else { BEYOND }) - HEADER_BYTES - 63;
        if len > LONGEST {
            return None;
        }
        Some((len.wrapping_add(HEADER_BYTES).wrapping_neg() & self.down as usize).wrapping_neg())
    }

    /// Bytes from `position` within which every record lies before the end of the data area and is not too long, so that
    /// one comparison can say so for most records.
    pub(crate) const fn reach(&self, position: Position) -> u64 {
        let longest = self.max_len().wrapping_add(HEADER) & self.down as u64;
        let to_end = self.room_to_end(position);
        if to_end < longest { to_end } else { longest }
    }

    /// Bytes from `position` to the end of the data area: at least 8, at most `capacity`.
    #[inline(always)]
    pub(crate) const fn room_to_end(&self, position: Position) -> u64 {
        self.capacity().wrapping_sub(position.get() & self.capacity().wrapping_sub(1))
    }
}

/// Bytes from one payload of a train to the next.
#[inline(always)]
pub(crate) const fn step_of(len: u64) -> u64 {
    len.wrapping_add(7) & !7
}

/// Where something begins that follows a record, of the lines of 64 bytes. With a size that is a constant this takes two
/// instructions to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// On the line on which the record began.
    Same,
    /// On another one, the next.
    Next,
    /// On another one, and the record takes more than a line's bytes.
    Many,
}

impl Lines {
    /// Of the record at `position`, behind which `next` is.
    #[inline(always)]
    pub(crate) const fn of(position: Position, next: Position) -> Self {
        let size = next.since(position);
        // What takes more than a line's bytes ends on another line in any case.
        match size > 64 {
            true => Self::Many,
            false if next.get() % 64 < size => Self::Next,
            false => Self::Same,
        }
    }
}

/// The word that commits a record of `len` payload bytes.
#[inline(always)]
pub(crate) const fn record_word(len: u64, tag: u32) -> u64 {
    ((tag as u64) << 32) | (len.wrapping_add(1) & LEN_MASK)
}

/// The word that fills `bytes` bytes at the end of the data area.
pub(crate) const fn padding_word(bytes: u64) -> u64 {
    // Only the reader's own position decides how far to skip; the length is there to be checked.
    PADDING | (bytes.wrapping_sub(HEADER).wrapping_add(1) & LEN_MASK)
}

/// The word that ends the session of `seat` (`lease * 2 + closed`, not 0).
pub(crate) const fn mark_word(seat: u32) -> u64 {
    ((seat as u64) << 32) | PADDING | 1
}

/// The word that commits `count` records of `len` payload bytes each, of which at least one and at most 16,383, as a train.
#[inline(always)]
pub(crate) const fn train_word(len: u64, count: u64, tag: u32) -> u64 {
    ((tag as u64) << 32)
        | PADDING
        | ((count & TRAIN_FIELD) << TRAIN_COUNT_SHIFT)
        | ((len & TRAIN_FIELD) << TRAIN_LEN_SHIFT)
        | TRAIN
}

/// A header, decoded and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing committed at this position.
    Zero,
    /// A record.
    Record {
        /// Payload bytes; the record fits before the end of the data area.
        len: u64,
        /// The user's tag.
        tag: u32,
    },
    /// Records of one length.
    Train(Train),
    /// Skip to the end of the data area.
    Padding,
    /// The session of this seat word ended here.
    Mark {
        /// `lease * 2 + closed`.
        seat: u32,
    },
}

/// Records of one length behind one header: at least two, of one byte at least. Record *i* has the position of the header and *i*
/// steps, and its payload one word behind that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Train {
    /// Payload bytes of each.
    pub(crate) len: u64,
    /// How many there are.
    pub(crate) count: u64,
}

impl Train {
    /// The train that `word`, loaded once at `position`, commits, if it does and it is within bounds: those of a record.
    #[inline(always)]
    pub(crate) const fn decode(word: u64, position: Position, geometry: &Geometry) -> Option<Self> {
        let train = Self::of(word);
        let says = word & (PADDING | TRAIN_MASK) == PADDING | TRAIN && geometry.is_packed();
        let fits = train.len > 0 && train.count > 1 && train.size() <= geometry.reach(position);
        if says && fits { Some(train) } else { None }
    }

    /// The same of a word of which that is known. The flag that it has does not matter.
    #[inline(always)]
    pub(crate) const fn of(word: u64) -> Self {
        Self { len: (word >> TRAIN_LEN_SHIFT) & TRAIN_FIELD, count: (word >> TRAIN_COUNT_SHIFT) & TRAIN_FIELD }
    }

    /// Bytes from one record's position to the next one's.
    #[inline(always)]
    pub(crate) const fn step(&self) -> u64 {
        step_of(self.len)
    }

    /// Bytes of all, header included.
    #[inline(always)]
    pub(crate) const fn size(&self) -> u64 {
        self.step().wrapping_mul(self.count).wrapping_add(HEADER)
    }

    /// How many of its records, which begin at `train`, come before the position `within`; none where that is not inside.
    #[inline(always)]
    pub(crate) const fn before(&self, train: Position, within: Position) -> u64 {
        if !train.precedes(within) {
            return 0;
        }
        match within.since(train).checked_div(self.step()) {
            Some(before) if before < self.count => before,
            _ => 0,
        }
    }
}

/// The payload length that `word` states if it commits a record; else more than any record's: zero wraps, and the flag
/// of padding and marks is the top bit of the half word.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(crate) const fn stated_len(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

/// What [`stated_len`] reads: the lower half of a word that commits a record of `len` payload bytes.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(crate) const fn states_len(len: usize) -> u32 {
    record_word(len as u64, 0) as u32
}

/// The lower half of `word`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(crate) const fn states(word: u64) -> u32 {
    word as u32
}

/// The payload length, if `word`, loaded once at `position`, commits a record that is within bounds.
const fn record_len(word: u64, position: Position, geometry: &Geometry) -> Option<u64> {
    let len = stated_len(word) as u64;
    let fits = len <= geometry.max_len() && geometry.record_size(len) <= geometry.room_to_end(position);
    if fits { Some(len) } else { None }
}

impl Header {
    /// Decodes `word`, which was loaded once at `position`.
    pub(crate) fn decode(word: u64, position: Position, geometry: &Geometry) -> Result<Self, Corrupt> {
        if let Some(len) = record_len(word, position, geometry) {
            return Ok(Self::Record { len, tag: tag(word) });
        }
        if word == 0 {
            return Ok(Self::Zero);
        }
        if let Some(train) = Train::decode(word, position, geometry) {
            return Ok(Self::Train(train));
        }
        let room = geometry.room_to_end(position);
        if word & PADDING != 0 && tag(word) == 0 && room < geometry.capacity() && word == padding_word(room) {
            return Ok(Self::Padding);
        }
        if tag(word) > 1 && word == mark_word(tag(word)) {
            return Ok(Self::Mark { seat: tag(word) });
        }
        Err(Corrupt::new(Field::RecordHeader, word, position.get()))
    }
}

/// The upper half of a header.
#[inline(always)]
pub(crate) const fn tag(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests;
