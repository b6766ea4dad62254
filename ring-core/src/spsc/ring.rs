//! Formatting a region as an SPSC ring, attaching to one, and taking its seats. Cold: nothing here is called per
//! record. Every identity word is read once, checked, and kept privately; the control block is not trusted again.

use core::mem::offset_of;
use core::ops::Range;

use super::bell;
use super::consumer::Consumer;
use super::format::{Format, MIN_CAPACITY};
use super::producer::Producer;
use super::recover;
use crate::Region;
use crate::error::{AttachError, Corrupt, Field, FormatError};
use crate::layout::{
    ABI_VERSION, CONTROL_SIZE, FEATURE_LINE_ALIGNED, FEATURE_TRAINS, FEATURE_TYPE_TEXT, Identity, Kind, Purpose,
    STRICT_BLOCK, STRICT_OTHER, SeatLine, SpscControl, spsc_data_offset,
};
use crate::park::{self, Waiting, Wake};
use crate::position::Position;
use crate::record::Geometry;
use crate::region::{Area, Control};
use crate::seat::{MAX_LEASE, Role, Seat, SeatError, SeatFacts, SeatState, Verdict};
use crate::sync::{Word, ord};
use crate::type_text::TypeText;

const TAIL: usize = offset_of!(SpscControl, tail);
const HEAD: usize = offset_of!(SpscControl, head.head);
const SEEN: usize = offset_of!(SpscControl, head.seen);
const WITHIN: usize = offset_of!(SpscControl, head.within);

/// An SPSC ring that has been validated: a private copy of its geometry and the way to its words.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'m> {
    /// What has the type text at its offset, if there is one.
    text: Option<Region<'m>>,
    pub(super) control: Control<'m>,
    /// The side this is seen from where each has its own object and the other's are read-only (strict mode).
    pub(super) strict: Option<Side>,
    pub(super) wake: &'static Wake,
    pub(super) area: Area<'m>,
    pub(super) geometry: Geometry,
    pub(super) release_every: u64,
    pub(super) tail: &'m Word,
    pub(super) head: &'m Word,
    pub(super) seen: &'m Word,
    pub(super) within: &'m Word,
    /// Whether batches may be written as trains.
    pub(super) trains: bool,
    last_lease: &'m Word,
    type_hash: u64,
    generation: u64,
}

impl<'m> Ring<'m> {
    /// Writes a fresh ring into `region`, whatever it held. Nobody else may see the region yet.
    ///
    /// # Errors
    /// [`FormatError`] for impossible numbers or a region shorter than [`Format::footprint`].
    pub fn format(region: Region<'m>, format: &Format) -> Result<Self, FormatError> {
        format.check()?;
        let too_small = FormatError::RegionTooSmall { found: region.len() as u64, needed: format.footprint() };
        if format.footprint() > region.len() as u64 {
            return Err(too_small);
        }
        Self::clear(&region, size_of::<Identity>()..size_of::<SpscControl>());
        let identity = Self::identify(&region, &region, format, 0);
        let ring = region.control().and_then(|control| Self::carve(control, region, &identity, None));
        let ring = ring.ok_or(too_small)?;
        ring.begin([ring.tail, ring.head, ring.seen, ring.within], format.start);
        ring.area.store_header(format.start, 0, ord!(L5, Relaxed));
        Ok(ring)
    }

    /// Zeroes words of a control block.
    pub(super) fn clear(region: &Region<'_>, words: Range<usize>) {
        for offset in words.step_by(8) {
            if let Some(word) = region.word(offset) {
                word.store(0, ord!(L3, Relaxed));
            }
        }
    }

    /// Writes what a new ring is, with those incompatible features beside its own, at the beginning of `block`; and the
    /// type text at its offset in `front`.
    pub(super) fn identify(block: &Region<'m>, front: &Region<'m>, format: &Format, features: u64) -> Identity {
        let identity = Identity {
            magic: Kind::Spsc.magic(),
            abi_version: ABI_VERSION,
            features_compatible: if format.type_text.is_empty() { 0 } else { FEATURE_TYPE_TEXT },
            features_incompatible: features | if format.line_aligned { FEATURE_LINE_ALIGNED } else { FEATURE_TRAINS },
            total_len: format.footprint(),
            capacity: format.capacity,
            data_offset: spsc_data_offset(format.line_aligned),
            type_hash: format.type_hash,
            generation: format.generation,
            release_every: format.release_every,
            ..Identity::default()
        };
        identity.write(block);
        if !format.type_text.is_empty() {
            TypeText::write(front, format.type_text);
        }
        identity
    }

    /// Stores the first `positions`.
    pub(super) fn begin<const N: usize>(&self, positions: [&Word; N], start: Position) {
        for word in positions {
            word.store(start.get(), ord!(L4, Relaxed));
        }
    }

    /// Validates the ring in `region`, to work on it.
    ///
    /// # Errors
    /// [`AttachError`], which names the word, what it holds and what was expected.
    pub fn attach(region: Region<'m>) -> Result<Self, AttachError> {
        Self::attach_to(region, Purpose::Work)
    }

    /// Validates the ring in `region` for who only looks at it: one with features that its writers must know is good
    /// too. No lease may be drawn from it, and no seat taken.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn look(region: Region<'m>) -> Result<Self, AttachError> {
        Self::attach_to(region, Purpose::Look)
    }

    /// Reads and checks what the ring behind `front` is; `features` are those it may have that not every reader knows.
    pub(super) fn examine(front: &Region<'m>, features: u64, purpose: Purpose) -> Result<Identity, AttachError> {
        let identity = Identity::read(front, Kind::Spsc, FEATURE_LINE_ALIGNED | FEATURE_TRAINS | features, purpose)?;
        let line_aligned = is_line_aligned(&identity);
        let format = Format::new(identity.capacity).line_aligned(line_aligned).release_every(identity.release_every);
        let refuse = |field, found, expected| Err(AttachError::Incompatible { field, found, expected });
        match format.check() {
            Err(FormatError::ReleaseEvery { found, max }) => return refuse(Field::ReleaseEvery, found, max),
            Err(_) => return refuse(Field::Capacity, identity.capacity, MIN_CAPACITY),
            Ok(()) => {}
        }
        identity.expect([
            (Field::TotalLen, identity.total_len, format.footprint()),
            (Field::DataOffset, identity.data_offset, spsc_data_offset(line_aligned)),
            (Field::SlotSize, identity.slot_size, 0),
            (Field::Participants, identity.participants, 0),
            (Field::Redelivery, identity.redelivery, 0),
        ])?;
        Ok(identity)
    }

    fn attach_to(region: Region<'m>, purpose: Purpose) -> Result<Self, AttachError> {
        let identity = Self::examine(&region, 0, purpose)?;
        let truncated = AttachError::Truncated { found: region.len() as u64, needed: identity.total_len };
        let ring =
            region.control().and_then(|control| Self::carve(control, region, &identity, None)).ok_or(truncated)?;
        ring.positions()?;
        // The seats before the counter: a lease is counted before it is seated.
        let seated = [ring.seat(Role::Producer)?, ring.seat(Role::Consumer)?];
        let last = ring.last_lease.load(ord!(T10, Relaxed));
        let newest = seated.iter().filter_map(SeatState::lease).max().unwrap_or(0);
        if last > MAX_LEASE {
            return Err(Corrupt::new(Field::NextLease, last, newest).into());
        }
        if newest > last {
            return Err(Corrupt::new(Field::Seat, newest, last).into());
        }
        Ok(ring)
    }

    /// Finds the parts of a ring whose identity has been checked: the data area in `front`, and the words in `control` or at the
    /// beginning of `front`, which in an ordinary ring is the same.
    pub(super) fn carve(
        control: Control<'m>,
        front: Region<'m>,
        identity: &Identity,
        strict: Option<Side>,
    ) -> Option<Self> {
        let area = front.area(identity.data_offset, identity.capacity)?;
        // The own words here, as in the handles; the other side's there.
        let (tail, head, seen, within) = if strict.is_some_and(|side| side.role == Role::Producer) {
            let (head, seen) = (area.word_before::<HEAD>(), area.word_before::<SEEN>());
            (control.word::<TAIL>(), head, seen, area.word_before::<WITHIN>())
        } else {
            (area.word_before::<TAIL>(), control.word::<HEAD>(), control.word::<SEEN>(), control.word::<WITHIN>())
        };
        Some(Self {
            text: (identity.features_compatible & FEATURE_TYPE_TEXT != 0).then_some(front),
            control,
            strict,
            wake: &Wake::NEVER,
            area,
            geometry: geometry(identity),
            release_every: identity.release_every,
            tail,
            head,
            seen,
            within,
            trains: identity.features_incompatible & (FEATURE_TRAINS | FEATURE_LINE_ALIGNED) == FEATURE_TRAINS,
            last_lease: control.word::<{ offset_of!(SpscControl, last_lease) }>(),
            type_hash: identity.type_hash,
            generation: identity.generation,
        })
    }

    /// The same ring, whose handles wake sleeping peers by `wake`. Without it peers may not sleep.
    #[must_use]
    pub fn with_wake(mut self, wake: &'static Wake) -> Self {
        self.wake = wake;
        self
    }

    /// Forgets what the one before in the seat of `role` left of its waiting, and says how this one publishes.
    pub(super) fn wake_up_in(&self, role: Role) {
        park::forget([bell::of_data(&self.control), bell::of_space(&self.control)], bell::index(role));
        let barrier = role.line().wrapping_add(offset_of!(SeatLine, barrier));
        if let Some(word) = self.control.region().word(barrier) {
            word.store(if self.wake.is_light() { 1 } else { 2 }, ord!(W18, Relaxed));
        }
    }

    /// Who sleeps, and whose publications need no fence: guesses, for people.
    #[must_use]
    pub fn waiting(&self, role: Role) -> Waiting {
        let bell = match role {
            Role::Producer => bell::of_space(&self.control),
            Role::Consumer => bell::of_data(&self.control),
        };
        let barrier = role.line().wrapping_add(offset_of!(SeatLine, barrier));
        let barrier = self.control.region().word(barrier).map_or(0, |word| word.load(ord!(W19, Relaxed)));
        bell.waiting(bell::index(role), barrier)
    }

    /// Loads and checks seen mark, head and tail, which may be in motion: between two loads both sides may pass many
    /// laps. The head may also be ahead of the stored tail after a death.
    pub(super) fn positions(&self) -> Result<Positions, Corrupt> {
        // Acquire, partner of C5: a head no older than the one this mark was stored by is loaded after it.
        let seen = Position::new(self.seen.load(ord!(R3, Acquire)));
        // Acquire: a producer that takes over may overwrite what this head has released (row C4).
        let head = Position::new(self.head.load(ord!(R1, Acquire)));
        // Acquire, partner of S6: a head no older than the one this tail was stored by can be loaded after it.
        let tail = Position::new(self.tail.load(ord!(R2, Acquire)));
        let later = Position::new(self.head.load(ord!(R9, Relaxed)));
        let (capacity, unaligned) = (self.geometry.capacity(), self.geometry.align().wrapping_sub(1));
        if head.get() & unaligned != 0 || later.precedes(head) {
            return Err(Corrupt::new(Field::Head, head.get(), tail.get()));
        }
        let behind = tail.precedes(head) && head.since(tail) > capacity;
        let ahead = later.precedes(tail) && tail.since(later) > capacity;
        if tail.get() & unaligned != 0 || behind || ahead {
            return Err(Corrupt::new(Field::Tail, tail.get(), head.get()));
        }
        if seen.get() & unaligned != 0 || head.precedes(seen) && seen.since(head) > capacity {
            return Err(Corrupt::new(Field::Seen, seen.get(), head.get()));
        }
        Ok(Positions { head, tail, seen })
    }

    /// A lease number nobody has had before.
    ///
    /// # Errors
    /// [`Corrupt`] when all [`MAX_LEASE`] numbers are used up, or the counter was overwritten.
    pub fn next_lease(&self) -> Result<u64, Corrupt> {
        let last = self.last_lease.fetch_add(1, ord!(T9, Relaxed));
        if last < MAX_LEASE { Ok(last.wrapping_add(1)) } else { Err(Corrupt::new(Field::NextLease, last, 0)) }
    }

    /// What the seat of `role` says now. A promise only to who finds `Closed`; the rest may change at once.
    ///
    /// # Errors
    /// [`Corrupt`] for a lease number beyond [`MAX_LEASE`].
    pub fn seat(&self, role: Role) -> Result<SeatState, Corrupt> {
        Seat::of(&self.control.region(), role).map_or(Ok(SeatState::Never), |seat| seat.load())
    }

    /// Who sat down last in the seat of `role`: a guess, for people.
    #[must_use]
    pub fn facts(&self, role: Role) -> SeatFacts {
        SeatFacts::load(&self.control.region(), role).0
    }

    /// Who took the seat of `role` under `lease`: never somebody else, and nobody until he has said so.
    #[must_use]
    pub fn facts_of(&self, role: Role, lease: u64) -> Option<SeatFacts> {
        let (facts, sum) = SeatFacts::load(&self.control.region(), role);
        (sum == facts.sum(lease)).then_some(facts)
    }

    /// Writes who has just sat down under `lease`.
    pub fn set_facts(&self, role: Role, lease: u64, facts: SeatFacts) {
        facts.store(&self.control.region(), role, lease);
    }

    /// Sits down as the producer under `lease`, after an orderly close or the proven death of the one before, and
    /// finds the end of what was committed.
    ///
    /// `verdict` is asked about the present owner. `lease` must be held by the caller for as long as the handle
    /// lives, and come from [`Ring::next_lease`].
    ///
    /// # Errors
    /// [`SeatError`]. In a strict ring all but its own seat, never taken before, is [`SeatError::Strict`].
    pub fn sit_producer(&self, lease: u64, verdict: impl FnMut(u64) -> Verdict) -> Result<Producer<'m>, SeatError> {
        recover::sit_producer(self, lease, verdict)
    }

    /// Sits down as the consumer under `lease`; goes on at the first record that was not released.
    ///
    /// # Errors
    /// [`SeatError`]. See [`Ring::sit_producer`] for the arguments.
    pub fn sit_consumer(&self, lease: u64, verdict: impl FnMut(u64) -> Verdict) -> Result<Consumer<'m>, SeatError> {
        recover::sit_consumer(self, lease, verdict)
    }

    /// Takes the dead owner's seat of `role` for an operator: puts the tail where the committed records end, and
    /// writes nothing into the ring. With `put_back` the seat then says again what it said before, so that the peer
    /// learns of one death, once; without it (for an owner whose death is the operator's word) it is the caller's, who
    /// lets go of `lease` without closing. Returns what the seat said before.
    ///
    /// # Errors
    /// [`SeatError`].
    pub fn recover(
        &self,
        role: Role,
        lease: u64,
        put_back: bool,
        verdict: impl FnMut(u64) -> Verdict,
    ) -> Result<SeatState, SeatError> {
        recover::recover(self, role, lease, put_back, verdict)
    }

    /// Capacity of the data area in bytes; all but 8 of them hold records.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.geometry.capacity()
    }

    /// Longest payload of one record, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        usize::try_from(self.geometry.max_len()).unwrap_or(usize::MAX)
    }

    /// Whether payloads start on 64-byte lines.
    #[must_use]
    pub fn line_aligned(&self) -> bool {
        self.geometry.align() > 8
    }

    /// The release interval in bytes; 0: each record.
    #[must_use]
    pub fn release_every(&self) -> u64 {
        self.release_every
    }

    /// The payload type's layout hash; 0 for bytes.
    #[must_use]
    pub fn type_hash(&self) -> u64 {
        self.type_hash
    }

    /// The description of the payload type, for people; empty where the ring has none.
    #[must_use]
    pub fn type_text(&self) -> TypeText {
        self.text.map_or(TypeText::NONE, |front| TypeText::read_words(&front))
    }

    /// The ring's random generation id.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes of the whole ring; of a strict one, of all three objects.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        let others = if self.strict.is_some() { STRICT_OTHER + STRICT_BLOCK } else { 0 };
        self.geometry.capacity().saturating_add(CONTROL_SIZE).saturating_add(others)
    }

    /// The stored head and tail: a guess while anybody works, and the tail may lag behind after a death.
    ///
    /// # Errors
    /// [`Corrupt`] when they cannot belong together.
    pub fn head_and_tail(&self) -> Result<(Position, Position), Corrupt> {
        self.positions().map(|p| (p.head, p.tail))
    }
}

/// Whether payloads start on lines in the ring of that identity.
fn is_line_aligned(identity: &Identity) -> bool {
    identity.features_incompatible & FEATURE_LINE_ALIGNED != 0
}

/// The geometry of that ring.
pub(super) fn geometry(identity: &Identity) -> Geometry {
    Geometry::new(identity.capacity, is_line_aligned(identity))
}

/// Who looks at a strict ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    /// Whose parts they are.
    pub(super) role: Role,
    /// Where the ring begins.
    pub(super) start: Position,
}

/// The shared positions, loaded once and found plausible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Positions {
    pub(super) head: Position,
    pub(super) tail: Position,
    pub(super) seen: Position,
}
