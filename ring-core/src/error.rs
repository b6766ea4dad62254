//! What can go wrong at the level of bytes: a region too small to format, a control block that is not ours, a word
//! that no follower of the protocol could have written. No error here allocates, and none of them is a panic.

use core::fmt;

/// A word of the shared layout, named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The first eight bytes: what kind of ring this is.
    Magic,
    /// The layout version, or the size of the control block that goes with it.
    AbiVersion,
    /// Feature bits that every reader has to understand.
    IncompatibleFeatures,
    /// Feature bits that everybody has to understand who writes, as senders and receivers do.
    ReadOnlyFeatures,
    /// The length of the whole ring.
    TotalLen,
    /// The capacity of the data area.
    Capacity,
    /// The slot size (MPMC).
    SlotSize,
    /// Where the data area begins.
    DataOffset,
    /// How often the head is published.
    ReleaseEvery,
    /// The limits on participants (MPMC).
    Participants,
    /// The delivery policy (MPMC).
    Redelivery,
    /// A word that this version keeps zero.
    Reserved,
    /// The check word over the identity line.
    Checksum,
    /// The write position.
    Tail,
    /// The read position.
    Head,
    /// The redelivery mark beside the head.
    Seen,
    /// How far the train at the head has been read.
    Within,
    /// The word of a seat.
    Seat,
    /// The counter of lease numbers.
    NextLease,
    /// The header of a record.
    RecordHeader,
    /// The sequence word of a slot (MPMC).
    Slot,
    /// The length of the message in a slot (MPMC).
    SlotLen,
    /// A participant's intent (MPMC).
    Intent,
    /// A participant's lease (MPMC).
    Lease,
    /// The memory itself: somebody has truncated the segment.
    Truncated,
}

impl Field {
    /// The words for people.
    const fn name(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::AbiVersion => "layout version",
            Self::IncompatibleFeatures => "incompatible feature bits",
            Self::ReadOnlyFeatures => "read-only compatible feature bits",
            Self::TotalLen => "total length",
            Self::Capacity => "capacity",
            Self::SlotSize => "slot size",
            Self::DataOffset => "data offset",
            Self::ReleaseEvery => "release interval",
            Self::Participants => "participant limits",
            Self::Redelivery => "redelivery policy",
            Self::Reserved => "reserved word",
            Self::Checksum => "identity checksum",
            Self::Tail => "tail",
            Self::Head => "head",
            Self::Seen => "seen mark",
            Self::Within => "place in a train",
            Self::Seat => "seat word",
            Self::NextLease => "lease counter",
            Self::RecordHeader => "record header",
            Self::Slot => "slot word",
            Self::SlotLen => "slot length",
            Self::Intent => "intent word",
            Self::Lease => "participant's lease",
            Self::Truncated => "memory",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A shared word holds a value that no follower of the protocol writes.
///
/// The peer is broken or hostile, or something else wrote to the memory. The handle that met it has done nothing
/// with the value. Make a new ring; what was delivered before is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corrupt {
    /// Which word.
    pub field: Field,
    /// Its value, loaded once.
    pub found: u64,
    /// The position it belongs to, or the handle's own position.
    pub position: u64,
}

impl Corrupt {
    /// `field` held `found` where `position` was being worked on.
    #[cold]
    pub(crate) const fn new(field: Field, found: u64, position: u64) -> Self {
        Self { field, found, position }
    }

    /// The memory of a ring of `len` bytes is gone.
    #[cold]
    #[must_use]
    pub const fn truncated(len: u64) -> Self {
        Self { field: Field::Truncated, found: len, position: 0 }
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field == Field::Truncated {
            return write!(
                f,
                "corrupt ring: somebody who may write to it has truncated its {} bytes, and what was in them is gone; \
                 remove the ring and create it anew",
                self.found
            );
        }
        write!(
            f,
            "corrupt ring: the {} at position {} is {:#x}, which no peer that follows the protocol writes; \
             remove the ring and create it anew",
            self.field, self.position, self.found
        )
    }
}

impl core::error::Error for Corrupt {}

/// Why [`format`](crate::spsc::Ring::format) refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The capacity is not a power of two within the limits.
    Capacity {
        /// What was asked for.
        found: u64,
        /// The smallest that is possible with these options.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// The release interval exceeds a quarter of the capacity.
    ReleaseEvery {
        /// What was asked for, in bytes.
        found: u64,
        /// The largest for this capacity.
        max: u64,
    },
    /// The slot size is 0 or beyond the limit (MPMC).
    SlotSize {
        /// What was asked for, in bytes.
        found: u64,
        /// The largest.
        max: u64,
    },
    /// The limits on participants, producers or consumers do not go together (MPMC).
    Participants {
        /// Entries, producers and consumers asked for.
        found: [u64; 3],
        /// The largest table.
        max: u64,
    },
    /// More delivery attempts than a slot can count (MPMC).
    Attempts {
        /// What was asked for.
        found: u64,
        /// The largest.
        max: u64,
    },
    /// The first position is beyond what an intent can name (MPMC).
    Start {
        /// What was asked for.
        found: u64,
        /// The largest.
        max: u64,
    },
    /// The region is shorter than the ring.
    RegionTooSmall {
        /// Bytes there are.
        found: u64,
        /// Bytes needed.
        needed: u64,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity { found, min, max } => {
                write!(f, "capacity {found}: choose a power of two from {min} to {max}")
            }
            Self::ReleaseEvery { found, max } => write!(
                f,
                "release_every {found}: at most {max} bytes (a quarter of the capacity), or the producer starves"
            ),
            Self::SlotSize { found, max } => write!(f, "slot size {found}: choose from 1 to {max} bytes"),
            Self::Participants { found: [participants, producers, consumers], max } => write!(
                f,
                "{participants} participants, at most {producers} producers and {consumers} consumers: choose from 2 \
                 to {max} participants, and from 1 to that many of each kind"
            ),
            Self::Attempts { found, max } => write!(f, "{found} delivery attempts: choose from 1 to {max}"),
            Self::Start { found, max } => write!(f, "first position {found}: at most {max}"),
            Self::RegionTooSmall { found, needed } => {
                write!(f, "the region has {found} bytes and the ring needs {needed}")
            }
        }
    }
}

impl core::error::Error for FormatError {}

/// Why [`attach`](crate::spsc::Ring::attach) refused a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The region is shorter than a control block, or than the ring that its control block describes.
    Truncated {
        /// Bytes there are.
        found: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// An identity word is not what this version of the code can work with.
    Incompatible {
        /// Which word.
        field: Field,
        /// Its value.
        found: u64,
        /// The value (or the nearest allowed one) that would have been accepted.
        expected: u64,
    },
    /// An object of a strict ring belongs to another one.
    OtherRing {
        /// The generation it names.
        found: u64,
        /// That of the ring.
        expected: u64,
    },
    /// The identity is good, and a working word is impossible.
    Corrupt(Corrupt),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Shorter than any ring is: it may be something else.
            Self::Truncated { found, needed } if *needed <= crate::CONTROL_SIZE => write!(
                f,
                "no ring, or a truncated one: {found} bytes where a ring has {needed} at least; give another name, or \
                 remove it if it was a ring"
            ),
            Self::Truncated { found, needed } => {
                write!(f, "truncated: {found} bytes where the ring needs {needed}; remove the ring and create it anew")
            }
            Self::Incompatible { field: Field::Magic, found, expected } => write!(
                f,
                "not a ring of this kind: its magic is {found:#018x}, expected {expected:#018x}; \
                 open it with the kind it was created with, or choose another name"
            ),
            Self::Incompatible { field: Field::ReadOnlyFeatures, found, .. } => write!(
                f,
                "incompatible ring: of its feature bits {found:#x} this version knows no more than that it may look at \
                 such a ring; work on it with the version of the software that created it, or remove it and create \
                 it anew"
            ),
            Self::Incompatible { field, found, expected } => write!(
                f,
                "incompatible ring: its {field} is {found:#x}, expected {expected:#x}; \
                 use the version of the software that created it, or remove it and create it anew"
            ),
            Self::OtherRing { found, expected } => write!(
                f,
                "it belongs to another ring: its generation is {found:#x}, expected {expected:#x}; hand over the three \
                 objects of one ring"
            ),
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for AttachError {}

impl From<Corrupt> for AttachError {
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}
