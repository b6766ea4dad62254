//! The one file that owns every offset. The structs below are never instantiated over shared bytes: they exist so
//! that `offset_of!` and `size_of` say where a word lies. `docs/layout.md` is the same in prose; a test compares.
//!
//! Only little-endian `u64` words, so that 32- and 64-bit peers agree and no word is ever accessed in two widths.

use core::mem::{offset_of, size_of};

use crate::Region;
use crate::error::{AttachError, Field};
use crate::record::HEADER;
use crate::sync::ord;

mod strict;

#[cfg(not(loom))]
pub(crate) use strict::{FEATURE_STRICT, MAGIC_COMMON, MAGIC_CONSUMER};
pub use strict::{
    STRICT_BLOCK, STRICT_COMMON, STRICT_OTHER, STRICT_PAGE, STRICT_REST, StrictCommon, StrictConsumer, StrictMark,
    StrictProducer,
};

/// The version of the layout, apart from the crate's. Readers of one version refuse every other.
pub const ABI_VERSION: u64 = 1;

/// Bytes of control block before the participant table and the data area: one page.
pub const CONTROL_SIZE: u64 = 4096;

/// What a ring is, told by the magic in its first eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One producer, one consumer, variable-length records.
    Spsc,
    /// Many of each, fixed slots.
    Mpmc,
}

impl Kind {
    /// The first word of a ring of this kind.
    #[must_use]
    pub const fn magic(self) -> u64 {
        u64::from_le_bytes(match self {
            Self::Spsc => *b"RINGSPSC",
            Self::Mpmc => *b"RINGMPMC",
        })
    }

    /// The kind a region claims to be, or its first word where that names none.
    ///
    /// # Errors
    /// [`AttachError`] for a region too short to ask, or of no kind known here.
    pub fn of(region: &Region<'_>) -> Result<Self, AttachError> {
        let magic = read(region, offset_of!(Identity, magic))?;
        [Self::Spsc, Self::Mpmc].into_iter().find(|k| k.magic() == magic).ok_or(AttachError::Incompatible {
            field: Field::Magic,
            found: magic,
            expected: Self::Spsc.magic(),
        })
    }
}

/// The identity line: written once, before anybody else can see the region; read once by each attacher.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity {
    /// [`Kind::magic`].
    pub magic: u64,
    /// [`ABI_VERSION`].
    pub abi_version: u64,
    /// Features that a reader may ignore.
    pub features_compatible: u64,
    /// Features that a reader may ignore as long as it does not write.
    pub features_read_only: u64,
    /// Features that a reader must know.
    pub features_incompatible: u64,
    /// Bytes of the whole ring, control block included.
    pub total_len: u64,
    /// Bytes (SPSC) or slots (MPMC) of the data area.
    pub capacity: u64,
    /// Payload bytes of a slot (MPMC), else 0.
    pub slot_size: u64,
    /// Where the data area begins.
    pub data_offset: u64,
    /// Hash of the payload type's layout, 0 for bytes.
    pub type_hash: u64,
    /// A random number that tells this ring from others of the same name.
    pub generation: u64,
    /// SPSC: the head is published when this many bytes are unpublished; 0: after each record.
    pub release_every: u64,
    /// MPMC: `max_participants | max_producers << 16 | max_consumers << 32`, else 0.
    pub participants: u64,
    /// MPMC: attempts before a message is a dead letter, or 0 for at-most-once; else 0.
    pub redelivery: u64,
    /// Zero.
    pub reserved: u64,
    /// FNV-1a of the words before.
    pub checksum: u64,
}

/// Compatible: the control block describes the payload type to people.
pub(crate) const FEATURE_TYPE_TEXT: u64 = 1;

/// Incompatible, SPSC: every payload starts on a 64-byte line. (Bit 0 once said so of records, and is not used again.)
pub(crate) const FEATURE_LINE_ALIGNED: u64 = 4;

/// Incompatible, SPSC: batches may come as trains, records of one length behind one header. Each ring that does not have the feature
/// before has this one; in one that has neither, as builds of before made them, nobody writes trains.
pub(crate) const FEATURE_TRAINS: u64 = 8;

/// What for a ring is attached to, which decides what has to be known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To send, receive or repair: every feature but the compatible ones.
    Work,
    /// To look, and to write nothing: the incompatible ones.
    Look,
}

/// A line of one `u64` and silence: 128 bytes on every target, because neighbours are fetched in pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct WordLine {
    /// The word.
    pub word: u64,
}

/// Who sleeps, and until what. One bit a participant (SPSC: 0 the producer, 1 the consumer; MPMC: its place in the
/// table). Nobody writes here while nobody sleeps.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct WaitLine {
    /// Asleep until something is committed.
    pub receivers: u64,
    /// Asleep until space is released.
    pub senders: u64,
    /// Participants whose barrier does not reach other processes: every publisher fences.
    pub fences: u64,
}

/// The consumer's line.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct HeadLine {
    /// Read position: everything before it is released.
    pub head: u64,
    /// Records before this position may have been seen by a consumer that did not release them.
    pub seen: u64,
    /// The next record of the train at the head, of which those before have been taken; nothing where it is not inside.
    pub within: u64,
}

/// A seat: who holds the right to be the producer, or the consumer. Written by its holder and by successors.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct SeatLine {
    /// Lower half: `lease * 2 + closed`, 0: nobody ever sat here. Upper half (producer): the same of the oldest session
    /// that no mark in the stream tells of yet, 0: none.
    pub seat: u64,
    /// Process id of the holder, for people.
    pub pid: u64,
    /// Its start time in clock ticks since boot, for people.
    pub start_time: u64,
    /// Hash of the boot id it runs under.
    pub boot: u64,
    /// Inode of its PID namespace.
    pub pid_namespace: u64,
    /// Sum of the lease and the four words before: ties them to one holder without an ordering.
    pub facts_sum: u64,
    /// 1: the holder's publications are followed by no fence of its own, 2: they are; for people.
    pub barrier: u64,
}

/// The control block of an SPSC ring.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct SpscControl {
    /// Written once at format.
    pub identity: Identity,
    /// Write position. Written by the producer; nobody polls it.
    pub tail: WordLine,
    /// Read position. Written by the consumer.
    pub head: HeadLine,
    /// The producer's seat.
    pub producer: SeatLine,
    /// The consumer's seat.
    pub consumer: SeatLine,
    /// The lease number given out last. `fetch_add` by whoever attaches.
    pub last_lease: WordLine,
    /// Who sleeps.
    pub waiters: WaitLine,
    /// Event count the producer sleeps on; its low half is the futex word.
    pub producer_event: WordLine,
    /// Event count the consumer sleeps on.
    pub consumer_event: WordLine,
}

/// The control block of an MPMC ring. The participant table follows it, then the data area, page aligned.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct MpmcControl {
    /// Written once at format.
    pub identity: Identity,
    /// `position * 2 + closed`. Compare-and-swap by producers; stored by the only one.
    pub tail: WordLine,
    /// Read position. Compare-and-swap by consumers; stored by the only one.
    pub head: WordLine,
    /// The lease number given out last. `fetch_add` by whoever attaches.
    pub last_lease: WordLine,
    /// Hint: not 0 when a message may wait for a new reader.
    pub orphans: WordLine,
    /// Single-producer rings: not 0 when somebody asked the producer to close.
    pub closing: WordLine,
    /// Who sleeps.
    pub waiters: WaitLine,
}

/// A participant of an MPMC ring. But for the lease, written by its owner alone; the second half is for people and
/// for waiting.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct ParticipantLine {
    /// Lease of the owner; 0: free.
    pub lease: u64,
    /// What it is about to claim, or has claimed, as a producer: `position << 12 | count`.
    pub write_intent: u64,
    /// The same as a consumer.
    pub read_intent: u64,
    /// 1 producer, 2 consumer; for people.
    pub role: u64,
    /// Zero.
    pub reserved: [u64; 4],
    /// Event count the participant sleeps on; its low half is the futex word.
    pub event: u64,
    /// Process id of the owner, for people.
    pub pid: u64,
    /// Its start time in clock ticks since boot, for people.
    pub start_time: u64,
    /// Hash of the boot id it runs under.
    pub boot: u64,
    /// Inode of its PID namespace.
    pub pid_namespace: u64,
    /// Sum of the lease and the four words before: ties them to one owner without an ordering.
    pub facts_sum: u64,
    /// 1: the owner's publications are followed by no fence of its own, 2: they are; for people.
    pub barrier: u64,
    /// Zero.
    pub reserved_facts: u64,
}

/// What stands before the payload of an MPMC slot.
#[repr(C)]
#[derive(Debug)]
pub struct SlotHeader {
    /// `position << 8 | attempt << 3 | state`.
    pub word: u64,
    /// `tag << 32 | length`.
    pub meta: u64,
}

/// Bytes from one MPMC slot to the next: half a cache line where header and payload fit into that, else whole ones, so
/// that no slot lies across a border that it need not cross. Two small slots share a line because one that crosses
/// between cores with two messages costs half of two that cross with one each (about twice the throughput at 8 bytes).
/// Under loom there is no cache line, and every word costs.
#[must_use]
pub const fn slot_stride(slot_size: u64) -> u64 {
    let bytes = slot_size.saturating_add(size_of::<SlotHeader>() as u64);
    let unit = match bytes {
        _ if cfg!(loom) => 8,
        0..=32 => 32,
        _ => 64,
    };
    bytes.div_ceil(unit).saturating_mul(unit)
}

/// Where the data area of an SPSC ring begins: on a page, or, where payloads start on 64-byte lines, one header before it.
#[must_use]
pub const fn spsc_data_offset(line_aligned: bool) -> u64 {
    if line_aligned { CONTROL_SIZE.wrapping_sub(HEADER) } else { CONTROL_SIZE }
}

/// Where the data area of an MPMC ring with a table of `participants` entries begins: on a page.
#[must_use]
pub const fn mpmc_data_offset(participants: u64) -> u64 {
    let table = participants.saturating_mul(size_of::<ParticipantLine>() as u64);
    CONTROL_SIZE.saturating_add(table).div_ceil(4096).saturating_mul(4096)
}

const _: () = {
    assert!(offset_of!(MpmcControl, tail) == 128);
    assert!(offset_of!(MpmcControl, head) == 256);
    assert!(offset_of!(MpmcControl, last_lease) == 384);
    assert!(offset_of!(MpmcControl, orphans) == 512);
    assert!(offset_of!(MpmcControl, closing) == 640);
    assert!(offset_of!(MpmcControl, waiters) == 768);
    assert!(size_of::<MpmcControl>() as u64 <= CONTROL_SIZE);
    assert!(size_of::<ParticipantLine>() == 128);
    assert!(offset_of!(ParticipantLine, event) == 64);
    assert!(size_of::<SlotHeader>() == 16);
};

const _: () = {
    assert!(size_of::<Identity>() == 128);
    assert!(size_of::<WordLine>() == 128);
    assert!(size_of::<HeadLine>() == 128);
    assert!(size_of::<WaitLine>() == 128);
    assert!(offset_of!(SpscControl, waiters) == offset_of!(MpmcControl, waiters));
    assert!(size_of::<SeatLine>() == 128);
    assert!(offset_of!(SpscControl, tail) == 128);
    assert!(offset_of!(SpscControl, head) == 256);
    assert!(offset_of!(SpscControl, producer) == 384);
    assert!(offset_of!(SpscControl, consumer) == 512);
    assert!(offset_of!(SpscControl, last_lease) == 640);
    assert!(offset_of!(SpscControl, waiters) == 768);
    assert!(offset_of!(SpscControl, producer_event) == 896);
    assert!(offset_of!(SpscControl, consumer_event) == 1024);
    assert!(size_of::<SpscControl>() as u64 <= CONTROL_SIZE);
};

/// FNV-1a (64 bit) over little-endian words.
pub(crate) fn fnv(words: &[u64]) -> u64 {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Identity {
    /// The words in the order of the layout.
    const fn words(&self) -> [u64; 16] {
        [
            self.magic,
            self.abi_version,
            self.features_compatible,
            self.features_read_only,
            self.features_incompatible,
            self.total_len,
            self.capacity,
            self.slot_size,
            self.data_offset,
            self.type_hash,
            self.generation,
            self.release_every,
            self.participants,
            self.redelivery,
            self.reserved,
            self.checksum,
        ]
    }

    /// The line that these words make.
    const fn from_words(words: [u64; 16]) -> Self {
        let [
            magic,
            abi_version,
            features_compatible,
            features_read_only,
            features_incompatible,
            total_len,
            capacity,
            slot_size,
            data_offset,
            type_hash,
            generation,
            release_every,
            participants,
            redelivery,
            reserved,
            checksum,
        ] = words;
        Self {
            magic,
            abi_version,
            features_compatible,
            features_read_only,
            features_incompatible,
            total_len,
            capacity,
            slot_size,
            data_offset,
            type_hash,
            generation,
            release_every,
            participants,
            redelivery,
            reserved,
            checksum,
        }
    }

    /// The sum over the first 15 words: finds damage, proves nothing against malice.
    fn sum(&self) -> u64 {
        fnv(self.words().get(..15).unwrap_or_default())
    }

    /// Writes the line with its checksum.
    pub(crate) fn write(mut self, region: &Region<'_>) {
        self.checksum = self.sum();
        for (offset, value) in (0usize..).step_by(8).zip(self.words()) {
            write(region, offset, value);
        }
    }

    /// Reads each word once and checks what is the same for every kind: magic, version, features (`known` are the
    /// incompatible ones this kind has; of the others no version has any that a writer must know), checksum, and the
    /// total length against the real one.
    pub(crate) fn read(region: &Region<'_>, kind: Kind, known: u64, purpose: Purpose) -> Result<Self, AttachError> {
        let mut words = [0; 16];
        for (offset, word) in (0usize..).step_by(8).zip(words.iter_mut()) {
            *word = read(region, offset)?;
        }
        let id = Self::from_words(words);
        let ignored = if purpose == Purpose::Look { id.features_read_only } else { 0 };
        id.expect([
            (Field::Magic, id.magic, kind.magic()),
            (Field::AbiVersion, id.abi_version, ABI_VERSION),
            (Field::IncompatibleFeatures, id.features_incompatible, id.features_incompatible & known),
            (Field::ReadOnlyFeatures, id.features_read_only, ignored),
            (Field::Reserved, id.reserved, 0),
            (Field::Checksum, id.checksum, id.sum()),
        ])?;
        let found = region.len() as u64;
        if id.total_len > found { Err(AttachError::Truncated { found, needed: id.total_len }) } else { Ok(id) }
    }

    /// Refuses the first `(field, found, expected)` whose two values differ.
    pub(crate) fn expect<const N: usize>(&self, checks: [(Field, u64, u64); N]) -> Result<(), AttachError> {
        match checks.into_iter().find(|(_, found, expected)| found != expected) {
            Some((field, found, expected)) => Err(AttachError::Incompatible { field, found, expected }),
            None => Ok(()),
        }
    }
}

/// Writes a word that says what a ring is, before anybody else can see it.
pub(crate) fn write(region: &Region<'_>, offset: usize, value: u64) {
    if let Some(word) = region.word(offset) {
        word.store(value, ord!(L1, Relaxed));
    }
}

/// Reads such a word.
pub(crate) fn read(region: &Region<'_>, offset: usize) -> Result<u64, AttachError> {
    region
        .word(offset)
        .map(|w| w.load(ord!(L2, Relaxed)))
        .ok_or(AttachError::Truncated { found: region.len() as u64, needed: CONTROL_SIZE })
}
