//! What a new MPMC ring is to be. Read at creation only; an existing ring keeps what it was created with.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use ring_core::mpmc::{Format, MAX_PARTICIPANTS, Redelivery};

use crate::limits::Limits;
use crate::payload::{Payload, PayloadType};
use crate::placement::Placement;
use crate::segment::Access;

/// Options of a new MPMC ring: a builder with sensible defaults.
///
/// ```
/// use ring_shm::mpmc::Options;
/// let options = Options::new().slots(1 << 14).slot_size(240).at_least_once(5);
/// assert_eq!(options.footprint(), (256 << 14) + 4096 + 64 * 128);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    slots: u64,
    slot_size: u64,
    max_participants: u32,
    max_producers: Option<u32>,
    max_consumers: Option<u32>,
    redelivery: Redelivery,
    access: Access,
    payload: Option<&'static PayloadType>,
    limits: Limits,
    placement: Placement,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// 1024 slots of 240 bytes for 64 participants of whatever role, three deliveries before a message is a dead
    /// letter, mode 0600.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: 1024,
            slot_size: 240,
            max_participants: u32::try_from(MAX_PARTICIPANTS).unwrap_or(u32::MAX),
            max_producers: None,
            max_consumers: None,
            redelivery: Redelivery::AtLeastOnce { attempts: 3 },
            access: Access::default(),
            payload: None,
            limits: Limits::default(),
            placement: Placement::default(),
        }
    }

    /// Slots: a power of two; each holds one message.
    #[must_use]
    pub fn slots(mut self, slots: u64) -> Self {
        self.slots = slots;
        self
    }

    /// Bytes of the longest message. With the 16 of its header a slot takes whole cache lines, so 48, 112, 240, …
    /// waste nothing.
    #[must_use]
    pub fn slot_size(mut self, bytes: u64) -> Self {
        self.slot_size = bytes;
        self
    }

    /// The most handles at a time, 2 to 64.
    #[must_use]
    pub fn max_participants(mut self, handles: u32) -> Self {
        self.max_participants = handles;
        self
    }

    /// The most producers at a time; default: all places of the table but one, so that a consumer always finds a place.
    /// 1 removes the compare-and-swap on that side.
    #[must_use]
    pub fn max_producers(mut self, handles: u32) -> Self {
        self.max_producers = Some(handles);
        self
    }

    /// The most consumers at a time; default: all places of the table but one, so that a producer always finds a place.
    /// 1 removes the compare-and-swap on that side.
    #[must_use]
    pub fn max_consumers(mut self, handles: u32) -> Self {
        self.max_consumers = Some(handles);
        self
    }

    /// A message whose consumer died is delivered again, flagged; after `attempts` deliveries (1 to 31) without a
    /// release as a dead letter.
    #[must_use]
    pub fn at_least_once(mut self, attempts: u32) -> Self {
        self.redelivery = Redelivery::AtLeastOnce { attempts };
        self
    }

    /// A message whose consumer died is dropped.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.redelivery = Redelivery::AtMostOnce;
        self
    }

    /// A ring of `T`s, each of which fills a slot: typed handles of another type are refused. Handles of bytes are not, since every
    /// `T` is so many bytes.
    #[must_use]
    pub fn payload<T: Payload>(mut self) -> Self {
        self.payload = Some(T::TYPE);
        self.slot_size = T::TYPE.size() as u64;
        self
    }

    /// Permission bits of the segment, exactly, whatever the umask; default 0600.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = mode;
        self
    }

    /// Gives the segment to a group, before anybody can open it. Combine with [`mode`](Self::mode) 0660.
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.access.group = Some(group);
        self
    }

    /// The most bytes the segment may take: for who gets the other options from elsewhere. More is refused.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.limits.size = Some(bytes);
        self
    }

    /// The most bytes that all segments of this user whose names begin with `prefix` may take together, this one
    /// included: for a service that makes rings on demand. Two creators that ask so cannot go beyond it together; who
    /// does not ask is counted and not refused.
    #[must_use]
    pub fn budget(mut self, prefix: &str, bytes: u64) -> Self {
        self.limits.budget = Some((prefix.into(), bytes));
        self
    }

    /// How the memory is to lie: the segment's when it is created, and the handle's own mapping of it.
    #[must_use]
    pub fn placement(mut self, wanted: Placement) -> Self {
        self.placement = wanted;
        self
    }

    /// Bytes the segment will take.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        self.format().footprint()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn wanted(&self) -> &Placement {
        &self.placement
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn format(&self) -> Format {
        // A full table of senders could keep the one out that would make them room. Not down to 1, which would change
        // the ring's ways.
        let default = self.max_participants.saturating_sub(1).max(2).min(self.max_participants);
        let format = Format::new(self.slots, self.slot_size)
            .participants(self.max_participants)
            .producers(self.max_producers.unwrap_or(default))
            .consumers(self.max_consumers.unwrap_or(default))
            .redelivery(self.redelivery);
        match self.payload {
            Some(kind) => format.type_hash(kind.hash()).type_text(kind.text()),
            None => format,
        }
    }

    /// The format with a generation id of its own.
    pub(crate) fn fresh_format(&self) -> Format {
        // RandomState is seeded by the system for each process and differs from call to call.
        self.format().generation(RandomState::new().build_hasher().finish())
    }
}
