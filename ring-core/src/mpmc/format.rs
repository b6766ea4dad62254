//! What a new MPMC ring is to be, and which numbers go together. Cold, and without a region.

use super::word::{MAX_ATTEMPT, MAX_POSITION};
use crate::error::{AttachError, Field, FormatError};
use crate::layout::{ABI_VERSION, FEATURE_TYPE_TEXT, Identity, Kind, mpmc_data_offset, slot_stride};
use crate::position::Position;
use crate::seat::Role;

/// The most entries a participant table can have: a bitmap of sleepers is one word.
pub const MAX_PARTICIPANTS: u64 = 64;

/// The most slots of a ring.
pub const MAX_SLOTS: u64 = 1 << 32;

/// The largest slot size, in bytes.
pub const MAX_SLOT_SIZE: u64 = (1 << 31) - 16;

/// What happens to a message whose consumer died before it released it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redelivery {
    /// It is delivered again, flagged. After `attempts` deliveries (1 to 31) it is a dead letter.
    AtLeastOnce {
        /// Deliveries before it is a dead letter.
        attempts: u32,
    },
    /// It is dropped.
    AtMostOnce,
}

impl Redelivery {
    /// The word of the identity line.
    const fn word(self) -> u64 {
        match self {
            Self::AtLeastOnce { attempts } => attempts as u64,
            Self::AtMostOnce => 0,
        }
    }

    pub(super) fn from_word(word: u64) -> Self {
        match u32::try_from(word) {
            Ok(0) | Err(_) => Self::AtMostOnce,
            Ok(attempts) => Self::AtLeastOnce { attempts },
        }
    }
}

/// How many may join, in all and of each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) participants: u64,
    pub(super) producers: u64,
    pub(super) consumers: u64,
}

impl Limits {
    const fn word(self) -> u64 {
        self.participants | self.producers << 16 | self.consumers << 32
    }

    const fn from_word(word: u64) -> Self {
        Self { participants: word & 0xffff, producers: word >> 16 & 0xffff, consumers: word >> 32 & 0xffff }
    }

    /// The entries that a role may take. Producers take theirs from the front of the table and consumers from its
    /// end, so that the limits hold without a count that a kill could falsify, and the only one of a role always has
    /// the same entry, which no other role takes.
    pub(super) const fn window(self, role: Role) -> core::ops::Range<u64> {
        match role {
            Role::Producer => {
                let last = if self.consumers == 1 { 1 } else { 0 };
                let end = self.participants.saturating_sub(last);
                0..if self.producers < end { self.producers } else { end }
            }
            Role::Consumer => {
                let start = self.participants.saturating_sub(self.consumers);
                let first = if self.producers == 1 { 1 } else { 0 };
                (if start < first { first } else { start })..self.participants
            }
        }
    }
}

/// What a new ring is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub(super) slots: u64,
    pub(super) slot_size: u64,
    pub(super) limits: Limits,
    pub(super) redelivery: Redelivery,
    pub(super) type_hash: u64,
    pub(super) type_text: &'static [u8],
    pub(super) generation: u64,
    pub(super) start: Position,
}

impl Format {
    /// A ring of `slots` slots (a power of two) for messages of up to `slot_size` bytes, with 64 participants of
    /// whatever role and three delivery attempts.
    #[must_use]
    pub const fn new(slots: u64, slot_size: u64) -> Self {
        Self {
            slots,
            slot_size,
            limits: Limits { participants: MAX_PARTICIPANTS, producers: MAX_PARTICIPANTS, consumers: MAX_PARTICIPANTS },
            redelivery: Redelivery::AtLeastOnce { attempts: 3 },
            type_hash: 0,
            type_text: &[],
            generation: 0,
            start: Position::new(0),
        }
    }

    /// The entries of the participant table, 2 to 64; limits on producers and consumers set before are cut to it.
    #[must_use]
    pub const fn participants(mut self, entries: u32) -> Self {
        let entries = entries as u64;
        self.limits.participants = entries;
        if self.limits.producers > entries {
            self.limits.producers = entries;
        }
        if self.limits.consumers > entries {
            self.limits.consumers = entries;
        }
        self
    }

    /// The most producers at a time. 1 removes the compare-and-swap on that side, for the life of the ring.
    #[must_use]
    pub const fn producers(mut self, max: u32) -> Self {
        self.limits.producers = max as u64;
        self
    }

    /// The most consumers at a time. 1 removes the compare-and-swap on that side, for the life of the ring.
    #[must_use]
    pub const fn consumers(mut self, max: u32) -> Self {
        self.limits.consumers = max as u64;
        self
    }

    /// What happens to a message whose consumer died.
    #[must_use]
    pub const fn redelivery(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = redelivery;
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

    /// The first position: for tests of the last one.
    #[must_use]
    pub const fn start_at(mut self, position: u64) -> Self {
        self.start = Position::new(position);
        self
    }

    /// Bytes of the region that this ring takes: a page of control, the participant table, the slots.
    #[must_use]
    pub const fn footprint(&self) -> u64 {
        slot_stride(self.slot_size)
            .saturating_mul(self.slots)
            .saturating_add(mpmc_data_offset(self.limits.participants))
    }

    /// Checks the numbers without a region.
    ///
    /// # Errors
    /// Every [`FormatError`] but `RegionTooSmall`.
    pub const fn check(&self) -> Result<(), FormatError> {
        if !self.slots.is_power_of_two() || self.slots > MAX_SLOTS {
            return Err(FormatError::Capacity { found: self.slots, min: 1, max: MAX_SLOTS });
        }
        if self.slot_size == 0 || self.slot_size > MAX_SLOT_SIZE {
            return Err(FormatError::SlotSize { found: self.slot_size, max: MAX_SLOT_SIZE });
        }
        let Limits { participants, producers, consumers } = self.limits;
        let few = participants < 2 || producers == 0 || consumers == 0;
        if few || participants > MAX_PARTICIPANTS || producers > participants || consumers > participants {
            let found = [participants, producers, consumers];
            return Err(FormatError::Participants { found, max: MAX_PARTICIPANTS });
        }
        if let Redelivery::AtLeastOnce { attempts } = self.redelivery {
            if attempts == 0 || attempts as u64 > MAX_ATTEMPT {
                return Err(FormatError::Attempts { found: attempts as u64, max: MAX_ATTEMPT });
            }
        }
        if self.start.get() > MAX_POSITION {
            return Err(FormatError::Start { found: self.start.get(), max: MAX_POSITION });
        }
        Ok(())
    }

    /// The identity line of such a ring.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            magic: Kind::Mpmc.magic(),
            abi_version: ABI_VERSION,
            features_compatible: if self.type_text.is_empty() { 0 } else { FEATURE_TYPE_TEXT },
            total_len: self.footprint(),
            capacity: self.slots,
            slot_size: self.slot_size,
            data_offset: mpmc_data_offset(self.limits.participants),
            type_hash: self.type_hash,
            generation: self.generation,
            participants: self.limits.word(),
            redelivery: self.redelivery.word(),
            ..Identity::default()
        }
    }

    /// The format of which `identity` is the line, if it is one.
    pub(super) fn from_identity(identity: &Identity) -> Result<Self, AttachError> {
        let format = Self {
            slots: identity.capacity,
            slot_size: identity.slot_size,
            limits: Limits::from_word(identity.participants),
            redelivery: Redelivery::from_word(identity.redelivery),
            type_hash: identity.type_hash,
            type_text: &[],
            generation: identity.generation,
            start: Position::new(0),
        };
        let refuse = |field, found, expected| Err(AttachError::Incompatible { field, found, expected });
        match format.check() {
            Err(FormatError::SlotSize { found, max }) => return refuse(Field::SlotSize, found, max),
            Err(FormatError::Participants { max, .. }) => {
                return refuse(Field::Participants, identity.participants, max);
            }
            Err(FormatError::Attempts { max, .. }) => return refuse(Field::Redelivery, identity.redelivery, max),
            Err(_) => return refuse(Field::Capacity, identity.capacity, 1),
            Ok(()) => {}
        }
        let expected = format.identity();
        identity.expect([
            (Field::TotalLen, identity.total_len, expected.total_len),
            (Field::DataOffset, identity.data_offset, expected.data_offset),
            (Field::ReleaseEvery, identity.release_every, 0),
            (Field::Participants, identity.participants, expected.participants),
            (Field::Redelivery, identity.redelivery, expected.redelivery),
        ])?;
        Ok(format)
    }
}
