//! Formatting a region as an MPMC ring and attaching to one. Cold: nothing here is called per message. Every identity
//! word is read once, checked, and kept privately; the control block is not trusted again.

use core::mem::offset_of;

use super::ends::Ends;
use super::format::{Format, Limits, Redelivery};
use super::participant::{Entry, Participant, Table, checked_lease};
use super::word::{MAX_POSITION, Tail, free};
use crate::Region;
use crate::error::{AttachError, Corrupt, Field, FormatError};
use crate::layout::{Identity, Kind, MpmcControl, Purpose, mpmc_data_offset, slot_stride};
use crate::park::{self, Bed, Sleeper, Waiting, Wake};
use crate::position::Position;
use crate::region::{Control, Slots, Walk};
use crate::seat::{MAX_LEASE, Role, SeatFacts};
use crate::sync::{Word, ord};
use crate::type_text::TypeText;

/// An MPMC ring that has been validated: a private copy of its geometry and the way to its words.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'m> {
    pub(super) slots: Slots<'m>,
    pub(super) slot_size: u64,
    /// Deliveries before a message is a dead letter; 0: at most once.
    pub(super) attempts: u64,
    pub(super) orphans: &'m Word,
    pub(super) closing: &'m Word,
    pub(super) table: Table<'m>,
    /// Tail, head, and where the bells hang.
    control: Control<'m>,
    wake: Wake,
    pub(super) limits: Limits,
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
        let table = usize::try_from(mpmc_data_offset(format.limits.participants)).map_err(|_| too_small)?;
        for offset in (size_of::<Identity>()..table).step_by(8) {
            if let Some(word) = region.word(offset) {
                word.store(0, ord!(L6, Relaxed));
            }
        }
        format.identity().write(&region);
        if !format.type_text.is_empty() {
            TypeText::write(&region, format.type_text);
        }
        let ring = Self::carve(region, format).ok_or(too_small)?;
        ring.tail().store(Tail::open(format.start).0, ord!(L7, Relaxed));
        ring.head().store(format.start.get(), ord!(L8, Relaxed));
        for i in 0..format.slots {
            let p = format.start.plus(i);
            ring.slots.at(p).word().store(free(p), ord!(L9, Relaxed));
        }
        Ok(ring)
    }

    /// Validates the ring in `region`, to work on it.
    ///
    /// # Errors
    /// [`AttachError`], which names the word, what it holds and what was expected.
    pub fn attach(region: Region<'m>) -> Result<Self, AttachError> {
        Self::attach_to(region, Purpose::Work)
    }

    /// Validates the ring in `region` for who only looks at it: one with features that its writers must know is good
    /// too. No lease may be drawn from it, and nobody may join.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn look(region: Region<'m>) -> Result<Self, AttachError> {
        Self::attach_to(region, Purpose::Look)
    }

    fn attach_to(region: Region<'m>, purpose: Purpose) -> Result<Self, AttachError> {
        let identity = Identity::read(&region, Kind::Mpmc, 0, purpose)?;
        let format = Format::from_identity(&identity)?;
        let ring = Self::carve(region, &format)
            .ok_or(AttachError::Truncated { found: region.len() as u64, needed: format.footprint() })?;
        ring.positions()?;
        // The table before the counter: a lease is counted before it is entered.
        let mut newest = 0;
        for entry in ring.table.entries() {
            newest = checked_lease(entry.lease.load(ord!(L10, Acquire)), entry.index)?.max(newest);
        }
        let last = ring.last_lease.load(ord!(L11, Relaxed));
        if last > MAX_LEASE || newest > last {
            return Err(Corrupt::new(Field::NextLease, last, newest).into());
        }
        Ok(ring)
    }

    /// Finds the parts of a region whose identity has been checked.
    fn carve(region: Region<'m>, format: &Format) -> Option<Self> {
        let data = mpmc_data_offset(format.limits.participants);
        Some(Self {
            slots: region.slots(data, format.slots, slot_stride(format.slot_size))?,
            slot_size: format.slot_size,
            attempts: match format.redelivery {
                Redelivery::AtLeastOnce { attempts } => u64::from(attempts),
                Redelivery::AtMostOnce => 0,
            },
            orphans: region.word(offset_of!(MpmcControl, orphans))?,
            closing: region.word(offset_of!(MpmcControl, closing))?,
            control: region.control()?,
            wake: Wake::NEVER,
            table: Table::new(region, format.limits.participants)?,
            limits: format.limits,
            last_lease: region.word(offset_of!(MpmcControl, last_lease))?,
            type_hash: format.type_hash,
            generation: format.generation,
        })
    }

    /// The same ring, whose handles wake sleeping peers by `wake`. Without it peers may not sleep.
    #[must_use]
    pub fn with_wake(mut self, wake: &'static Wake) -> Self {
        self.wake = *wake;
        self
    }

    /// A way along the slots for a handle of `role`, not begun.
    pub(super) fn walk(&self, role: Role) -> Walk<'m> {
        self.slots.walk(self.slot_size, self.single(role))
    }

    /// Where the next message goes.
    #[inline(always)]
    pub(super) fn tail(&self) -> &'m Word {
        self.ends().tail()
    }

    /// Where the next message is.
    #[inline(always)]
    pub(super) fn head(&self) -> &'m Word {
        self.ends().head()
    }

    /// How its handles wake sleeping peers.
    #[inline(always)]
    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The way to what all handles share.
    #[inline(always)]
    pub(super) fn ends(&self) -> Ends<'m> {
        Ends::new(self.control)
    }

    /// Wakes up to `count` of those who wait for messages. After what they may be waiting for.
    #[inline(always)]
    pub(super) fn tell_receivers(&self, count: u64) {
        if self.ends().receivers_wait(&self.wake) {
            self.wake_receivers(count);
        }
    }

    /// Wakes up to `count` of those who wait for free slots. After what they may be waiting for.
    #[inline(always)]
    pub(super) fn tell_senders(&self, count: u64) {
        if self.ends().senders_wait(&self.wake) {
            self.wake_senders(count);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn wake_receivers(&self, count: u64) {
        self.ends().data().ring(count, &self.wake, |index| self.bed(index));
    }

    #[cold]
    #[inline(never)]
    pub(super) fn wake_senders(&self, count: u64) {
        self.ends().space().ring(count, &self.wake, |index| self.bed(index));
    }

    /// Where the participant `index` is woken.
    fn bed(&self, index: u32) -> Option<Bed<'m>> {
        let entry = self.table.entry(u64::from(index))?;
        Some(Bed { event: entry.event()?, lease: Some(entry.lease) })
    }

    /// Wakes everybody: the ring has ended, or was repaired.
    pub(super) fn tell_all(&self) {
        self.tell_receivers(u64::MAX);
        self.tell_senders(u64::MAX);
    }

    /// Where the participant in `entry` sleeps.
    pub(super) fn sleeper(&self, entry: &Entry<'m>, role: Role) -> Option<Sleeper<'m>> {
        let (event, index) = (entry.event()?, entry.index);
        Some(match role {
            Role::Producer => Sleeper::new(self.ends().space(), event, index),
            // At the end of a closed ring nobody waits for slots any more, and each release may be the last.
            Role::Consumer if Tail(self.tail().load(ord!(W20, Relaxed))).is_closed() => {
                Sleeper::new(self.ends().data(), event, index).and(self.ends().space())
            }
            Role::Consumer => Sleeper::new(self.ends().data(), event, index),
        })
    }

    /// Forgets what a former owner of the entry left of its waiting.
    pub(super) fn forget_waiting(&self, entry: &Entry<'_>) {
        park::forget([self.ends().data(), self.ends().space()], entry.index);
    }

    /// Says how the new owner of an entry publishes.
    pub(super) fn set_barrier(&self, entry: &Entry<'_>) {
        entry.set_barrier(if self.wake.is_light() { 1 } else { 2 });
    }

    /// How the participant `index` waits and publishes: guesses, for people.
    #[must_use]
    pub fn waiting(&self, index: u32) -> Waiting {
        let barrier = self.table.entry(u64::from(index)).map_or(0, |entry| entry.barrier());
        let (data, space) = (self.ends().data().waiting(index, barrier), self.ends().space().waiting(index, barrier));
        if space.asleep { space } else { data }
    }

    /// Loads and checks head and tail. They move meanwhile, so the head is loaded twice: what is claimed for reading
    /// at first cannot be ahead of the tail, and the tail not more than a lap ahead of what is claimed at last.
    fn positions(&self) -> Result<(Position, Tail), Corrupt> {
        let before = self.head().load(ord!(L12, Acquire));
        let tail = Tail(self.tail().load(ord!(L13, Acquire))).checked()?;
        let after = self.head().load(ord!(L14, Relaxed));
        // The only producer stores its tail after it has committed, the only consumer its head after it has released.
        let lap = self.slots.count();
        let (ahead, lag) =
            (if self.single(Role::Producer) { lap } else { 0 }, if self.single(Role::Consumer) { lap } else { 0 });
        if before > MAX_POSITION || before > tail.position().get().saturating_add(ahead) {
            return Err(Corrupt::new(Field::Head, before, tail.position().get()));
        }
        if after > MAX_POSITION || after < before {
            return Err(Corrupt::new(Field::Head, after, before));
        }
        if tail.position().get() > after.saturating_add(lap).saturating_add(lag) {
            return Err(Corrupt::new(Field::Tail, tail.0, after));
        }
        Ok((Position::new(after), tail))
    }

    /// A lease number nobody has had before.
    ///
    /// # Errors
    /// [`Corrupt`] when all [`MAX_LEASE`] numbers are used up, or the counter was overwritten.
    pub fn next_lease(&self) -> Result<u64, Corrupt> {
        let last = self.last_lease.fetch_add(1, ord!(MF7, Relaxed));
        if last < MAX_LEASE { Ok(last.wrapping_add(1)) } else { Err(Corrupt::new(Field::NextLease, last, 0)) }
    }

    /// Whether there is at most one of `role`, for the life of the ring.
    #[must_use]
    pub fn single(&self, role: Role) -> bool {
        match role {
            Role::Producer => self.limits.producers == 1,
            Role::Consumer => self.limits.consumers == 1,
        }
    }

    /// What stands in the entry `index` of the participant table: a guess, for people.
    #[must_use]
    pub fn participant(&self, index: u32) -> Option<Participant> {
        self.table.entry(u64::from(index)).map(|entry| entry.look())
    }

    /// Who owns `lease`, as the participant table has it: never somebody else, and nobody until he has said so.
    #[must_use]
    pub fn facts_of(&self, lease: u64) -> Option<SeatFacts> {
        self.table.entries().find_map(|entry| entry.look().facts_of(lease))
    }

    /// Head, tail and whether the ring was closed: a guess while anybody works.
    ///
    /// # Errors
    /// [`Corrupt`] when they cannot belong together.
    pub fn stat(&self) -> Result<Stat, Corrupt> {
        let (head, tail) = self.positions()?;
        let closing = self.closing.load(ord!(MF8, Relaxed)) != 0;
        Ok(Stat { head, tail: tail.position(), closed: tail.is_closed(), closing })
    }

    /// Slots of the ring; all of them can hold a message.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.slots.count()
    }

    /// Longest message, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        usize::try_from(self.slot_size).unwrap_or(usize::MAX)
    }

    /// Entries of the participant table.
    #[must_use]
    pub fn max_participants(&self) -> u64 {
        self.limits.participants
    }

    /// The most producers at a time.
    #[must_use]
    pub fn max_producers(&self) -> u64 {
        self.limits.producers
    }

    /// The most consumers at a time.
    #[must_use]
    pub fn max_consumers(&self) -> u64 {
        self.limits.consumers
    }

    /// What happens to a message whose consumer died.
    #[must_use]
    pub fn redelivery(&self) -> Redelivery {
        Redelivery::from_word(self.attempts)
    }

    /// The payload type's layout hash; 0 for bytes.
    #[must_use]
    pub fn type_hash(&self) -> u64 {
        self.type_hash
    }

    /// The description of the payload type, for people; empty where the ring has none.
    #[must_use]
    pub fn type_text(&self) -> TypeText {
        TypeText::read(&self.table.region())
    }

    /// The ring's random generation id.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes of the whole ring.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        let data = mpmc_data_offset(self.limits.participants);
        slot_stride(self.slot_size).saturating_mul(self.slots.count()).saturating_add(data)
    }

    /// Messages committed or being written, and not taken by a consumer: a guess.
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        let head = self.head().load(ord!(MF9, Relaxed));
        let tail = Tail(self.tail().load(ord!(MF10, Relaxed))).position().get();
        tail.saturating_sub(head).min(self.slots.count())
    }
}

/// A snapshot of a ring's positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Where consumers read next.
    pub head: Position,
    /// Where producers write next.
    pub tail: Position,
    /// Whether nothing more can be sent.
    pub closed: bool,
    /// Single-producer rings: whether somebody asked the producer to close.
    pub closing: bool,
}
