//! What a new SPSC ring is to be. Read at creation only; an existing ring keeps what it was created with.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use ring_core::spsc::Format;

use crate::limits::Limits;
use crate::payload::{Payload, PayloadType};
use crate::placement::Placement;
use crate::segment::Access;

/// Options of a new SPSC ring: a builder with sensible defaults.
///
/// ```
/// use ring_shm::spsc::Options;
/// let options = Options::new().capacity(1 << 20).release_every(4096);
/// assert_eq!(options.footprint(), (1 << 20) + 4096);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    capacity: u64,
    line_aligned: bool,
    release_every: u64,
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
    /// 64 KiB, records aligned to 8 bytes, the head published after each record, mode 0600.
    #[must_use]
    pub fn new() -> Self {
        Self {
            capacity: 1 << 16,
            line_aligned: false,
            release_every: 0,
            access: Access::default(),
            payload: None,
            limits: Limits::default(),
            placement: Placement::default(),
        }
    }

    /// Bytes of the data area: a power of two, all but 8 usable. The longest record is half of it less 8 bytes.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Start every payload on a 64-byte line: for payloads of 1 KiB and more that are written or read in place. A record then
    /// takes a whole number of lines, 8 bytes of which are its header.
    #[must_use]
    pub fn line_aligned(mut self, yes: bool) -> Self {
        self.line_aligned = yes;
        self
    }

    /// Tell the producer of released space only every so many bytes, when the ring runs empty, and before the first of a batch's
    /// equal records is released without the others. Fewer cache-line transfers; after a consumer's death up to this many bytes of records are delivered again, flagged. At most a
    /// quarter of the capacity; 0 means each record.
    #[must_use]
    pub fn release_every(mut self, bytes: u64) -> Self {
        self.release_every = bytes;
        self
    }

    /// A ring of `T`s: typed handles of another type are refused. Handles of bytes are not, since every
    /// `T` is so many bytes.
    /// A capacity too small for one (of slices: of one value) is refused.
    #[must_use]
    pub fn payload<T: Payload + ?Sized>(mut self) -> Self {
        self.payload = Some(T::TYPE);
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
        let format = Format::new(self.capacity).line_aligned(self.line_aligned).release_every(self.release_every);
        match self.payload {
            Some(kind) => format.payload_len(kind.size() as u64).type_hash(kind.hash()).type_text(kind.text()),
            None => format,
        }
    }

    /// The format with a generation id of its own.
    pub(crate) fn fresh_format(&self) -> Format {
        // RandomState is seeded by the system for each process and differs from call to call.
        self.format().generation(RandomState::new().build_hasher().finish())
    }
}
