//! What a new SPSC ring is to be, and which numbers go together. Cold, and without a region.

use crate::error::FormatError;
use crate::layout::CONTROL_SIZE;
use crate::position::Position;
use crate::record::Geometry;

/// The smallest capacity of a data area, in bytes.
pub const MIN_CAPACITY: u64 = 64;

/// The largest capacity of a data area, in bytes (256 TiB, beyond any machine of today).
pub const MAX_CAPACITY: u64 = 1 << 48;

/// What a new ring is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub(super) capacity: u64,
    pub(super) line_aligned: bool,
    pub(super) release_every: u64,
    pub(super) payload_len: u64,
    pub(super) type_hash: u64,
    pub(super) type_text: &'static [u8],
    pub(super) generation: u64,
    pub(super) start: Position,
}

impl Format {
    /// A ring with a data area of `capacity` bytes (a power of two), of which all but 8 are usable.
    #[must_use]
    pub const fn new(capacity: u64) -> Self {
        Self {
            capacity,
            line_aligned: false,
            release_every: 0,
            payload_len: 0,
            type_hash: 0,
            type_text: &[],
            generation: 0,
            start: Position::new(0),
        }
    }

    /// Whether every payload starts on a 64-byte line, and takes whole ones, its header at the end of the line before: for
    /// payloads of 1 KiB and more that are written or read in place. Default: no.
    #[must_use]
    pub const fn line_aligned(mut self, yes: bool) -> Self {
        self.line_aligned = yes;
        self
    }

    /// Publish the head once this many bytes have been released, when the ring runs empty, and when a train of records is begun; 0 (the
    /// default) publishes after each record. After a consumer's death up to this many bytes of records are delivered again.
    #[must_use]
    pub const fn release_every(mut self, bytes: u64) -> Self {
        self.release_every = bytes;
        self
    }

    /// The longest payload that records shall have, 0 by default: a capacity that is too small for it is refused.
    #[must_use]
    pub const fn payload_len(mut self, bytes: u64) -> Self {
        self.payload_len = bytes;
        self
    }

    /// A hash of the payload type's layout; 0 (the default) means plain bytes.
    #[must_use]
    pub const fn type_hash(mut self, hash: u64) -> Self {
        self.type_hash = hash;
        self
    }

    /// A description of the payload type (UTF-8) for whoever is refused, of which the first
    /// [`TYPE_TEXT_LEN`](crate::TYPE_TEXT_LEN) bytes are kept; empty by default.
    #[must_use]
    pub const fn type_text(mut self, text: &'static [u8]) -> Self {
        self.type_text = text;
        self
    }

    /// A random number that tells this ring from others of the same name.
    #[must_use]
    pub const fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The first position, rounded down to a multiple of 64: for tests of the wrap at 2^32 and 2^64.
    #[must_use]
    pub const fn start_at(mut self, position: u64) -> Self {
        self.start = Position::new(position & !63);
        self
    }

    /// Bytes of the region that this ring takes: one page of control and the data area.
    #[must_use]
    pub const fn footprint(&self) -> u64 {
        self.capacity.saturating_add(CONTROL_SIZE)
    }

    /// Checks the numbers without a region.
    ///
    /// # Errors
    /// [`FormatError::Capacity`] and [`FormatError::ReleaseEvery`].
    pub const fn check(&self) -> Result<(), FormatError> {
        let mut min = if self.line_aligned { MIN_CAPACITY * 4 } else { MIN_CAPACITY };
        while min < MAX_CAPACITY && self.payload_len > Geometry::new(min, self.line_aligned).max_len() {
            min = min.saturating_mul(2);
        }
        if !self.capacity.is_power_of_two() || self.capacity < min || self.capacity > MAX_CAPACITY {
            return Err(FormatError::Capacity { found: self.capacity, min, max: MAX_CAPACITY });
        }
        if self.release_every > self.capacity / 4 {
            return Err(FormatError::ReleaseEvery { found: self.release_every, max: self.capacity / 4 });
        }
        Ok(())
    }
}
