//! A ring seen from outside: what an operator's tool shows, and what it may repair. Neither takes an entry of the table.
//! A look only reads; a repair takes a lease of its own, since it may rest on no less than proof.

use ring_core::mpmc::{Blocked, Intent, Participant, Recovery, Redelivery, Repair, Ring};
use ring_core::{Position, Role, Verdict, Waiting, mpmc_data_offset, slot_stride};

use super::cure::{self, Cure};
use super::mend;
use super::setup::{self, Place};
use crate::facts::Facts;
use crate::location::{Location, ToLocation};
use crate::look::{Look, Pages};
use crate::payload::TypeFacts;
use crate::segment::Segment;
use crate::setup_error::SetupError;

/// Positions that a participant says it is working on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// The first.
    pub position: Position,
    /// How many, at least 1.
    pub count: u64,
    /// Whether one of them was really claimed and not settled when somebody looked, by this participant or another one
    /// that names the same. What is not open is history. In rings of one producer, or one consumer, false for it.
    pub open: bool,
}

/// One participant of a ring, as it stood when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its place in the table.
    pub index: u32,
    /// What it joined as.
    pub role: Option<Role>,
    /// Its lease.
    pub lease: u64,
    /// The kernel's answer about the lease.
    pub verdict: Verdict,
    /// Who it is, as it said itself: for people.
    pub facts: Facts,
    /// How it waits and publishes.
    pub waiting: Waiting,
    /// What it announced last as a producer.
    pub writing: Option<Work>,
    /// What it announced last as a consumer.
    pub reading: Option<Work>,
}

/// A ring as it stood when somebody looked. All of it may have changed by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Slots.
    pub slots: u64,
    /// Longest message, in bytes.
    pub slot_size: usize,
    /// The most handles at a time.
    pub max_participants: u64,
    /// The most producers at a time.
    pub max_producers: u64,
    /// The most consumers at a time.
    pub max_consumers: u64,
    /// What happens to a message whose consumer died.
    pub redelivery: Redelivery,
    /// The ring's random id, to tell it from others of the same name.
    pub generation: u64,
    /// What it carries; `None`: bytes of no stated type.
    pub payload: Option<TypeFacts>,
    /// Bytes of the whole segment.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Where consumers read next.
    pub head: Position,
    /// Where producers write next. In a ring of one producer this is what it stored last.
    pub tail: Position,
    /// Whether nothing more can be sent.
    pub closed: bool,
    /// Whether a close was asked for that the only producer has not noticed yet.
    pub closing: bool,
    /// Everybody in the table, the dead included.
    pub members: Vec<Member>,
}

impl Snapshot {
    /// Messages sent, or being written, and not taken by a consumer.
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        self.tail.get().saturating_sub(self.head.get())
    }

    /// How many members have that role and that verdict.
    #[must_use]
    pub fn count(&self, role: Role, verdict: Verdict) -> usize {
        self.members.iter().filter(|member| member.role == Some(role) && member.verdict == verdict).count()
    }
}

/// Looks at the ring `name`: whoever may read the segment can, whoever owns it. Writes nothing, maps nothing, takes no
/// lease and no entry, so the ring does not count as in use meanwhile.
///
/// All numbers are guesses, taken from one copy of the control block and the table; the slots that participants name
/// are read after them. A verdict is the kernel's answer about the participant's lock; on a file system that is not a
/// tmpfs it stays [`Verdict::Unknown`] as long as the recorded process cannot be shown to be gone, where [`recover`]
/// may know more.
///
/// # Errors
/// [`SetupError`]; its kind is `NotFound` without such a segment, `Permission` when it may not be read, and `Corrupt`
/// when it is no MPMC ring, or damaged.
///
/// ```
/// # let name = format!("doc-mpmc-inspect-{}", std::process::id());
/// use ring_shm::{Role, Verdict, mpmc};
/// let tx = mpmc::Producer::create(&name, &mpmc::Options::new())?;
/// let seen = mpmc::inspect(&name)?;
/// assert_eq!(seen.members[0].facts.pid, u64::from(std::process::id()));
/// assert_eq!(seen.count(Role::Producer, Verdict::Alive), 1);
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(at: impl ToLocation) -> Result<Snapshot, SetupError> {
    let look = Look::at(&at.to_location()?)?;
    look.with_copy(|region, pages| {
        let ring = Ring::look(region)?;
        let verdict = |lease| look.verdict(lease, ring.facts_of(lease).map(setup::facts));
        snapshot(&ring, look.size(), look.mode(), verdict, |claims| claims.any_open_in(pages, &ring))
    })
}

fn snapshot(
    ring: &Ring<'_>,
    size: u64,
    mode: u32,
    mut verdict: impl FnMut(u64) -> Verdict,
    is_open: impl Fn(Claims) -> Result<bool, SetupError>,
) -> Result<Snapshot, SetupError> {
    let stat = ring.stat()?;
    let work = |claims: Claims| -> Result<Option<Work>, SetupError> {
        let (position, count) = (claims.intent.first(), claims.intent.count());
        Ok(if count == 0 { None } else { Some(Work { position, count, open: is_open(claims)? }) })
    };
    let mut members = Vec::new();
    for entry in (0..cure::entries(ring)).filter_map(|index| ring.participant(index)) {
        let Participant { index, lease, role, facts, write_intent, read_intent, .. } = entry;
        if lease == 0 {
            continue;
        }
        members.push(Member {
            index,
            role,
            lease,
            verdict: verdict(lease),
            facts: setup::facts(facts),
            waiting: ring.waiting(index),
            writing: work(Claims { intent: write_intent, blocked: Blocked::Write })?,
            reading: work(Claims { intent: read_intent, blocked: Blocked::Read })?,
        });
    }
    Ok(Snapshot {
        slots: ring.capacity(),
        slot_size: ring.max_len(),
        max_participants: ring.max_participants(),
        max_producers: ring.max_producers(),
        max_consumers: ring.max_consumers(),
        redelivery: ring.redelivery(),
        generation: ring.generation(),
        payload: TypeFacts::of_ring(ring.type_hash(), ring.type_text()),
        size,
        mode,
        head: stat.head,
        tail: stat.tail,
        closed: stat.closed,
        closing: stat.closing && !stat.closed,
        members,
    })
}

/// What a participant has announced in one of its roles.
#[derive(Clone, Copy)]
struct Claims {
    intent: Intent,
    blocked: fn(Position) -> Blocked,
}

impl Claims {
    fn positions(self) -> impl Iterator<Item = Position> {
        (0..self.intent.count()).map(move |i| Position::new(self.intent.first().get().saturating_add(i)))
    }

    /// Whether one of them is claimed and not settled.
    fn any_open(self, ring: &Ring<'_>) -> Result<bool, SetupError> {
        for p in self.positions() {
            // Nobody is declared dead here, so nothing is settled: a repair only tells whether there is something.
            if matches!(ring.repair((self.blocked)(p), 0, |_| Verdict::Unknown)?, Repair::Owned { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same in a copy, to which the words of the slots in question are added: 4095 of them at most.
    fn any_open_in(self, pages: &Pages<'_>, ring: &Ring<'_>) -> Result<bool, SetupError> {
        let (slots, stride) = (ring.capacity(), slot_stride(ring.max_len() as u64));
        let data = mpmc_data_offset(ring.max_participants());
        let words = self.positions().map(|p| p.get() & slots.wrapping_sub(1)).map(|i| data + i * stride);
        pages.with_words(words, |region| self.any_open(&Ring::look(region)?))
    }
}

/// Releases the entries of the dead, settling what they have left: claims become gaps, messages in their hands go to
/// the living. Nothing needs this: whoever is blocked does the same. The living keep what they have. `assume_dead` is
/// the operator's word that the owner of that lease is dead, for file systems where it cannot be shown.
///
/// A ring in a file that nobody has is put right first, if a power loss has left it with pages of different moments.
///
/// Returns the ring as it was found, and the leases whose entries were released.
///
/// # Errors
/// [`SetupError`].
///
/// ```
/// # let name = format!("doc-mpmc-recover-{}", std::process::id());
/// use ring_shm::mpmc;
/// let tx = mpmc::Producer::create(&name, &mpmc::Options::new())?;
/// let (found, released) = mpmc::recover(&name, None)?;
/// assert_eq!((found.members.len(), released.len()), (1, 0)); // it lives, and keeps what it has
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recover(at: impl ToLocation, assume_dead: Option<u64>) -> Result<(Snapshot, Vec<u64>), SetupError> {
    let at = at.to_location()?;
    let segment = Segment::open(&at)?;
    if matches!(at, Location::File(_)) {
        mend::mend(&segment)?;
    }
    let mut place = Place::in_segment(&segment)?;
    let ring = place.ring;
    let verdict = |lease| place.verdict(lease);
    let found = snapshot(&ring, segment.len(), segment.mode(), verdict, |claims| claims.any_open(&ring))?;
    let judge = |verdict, lease| match verdict {
        Verdict::Unknown if assume_dead == Some(lease) => Verdict::Dead,
        verdict => verdict,
    };
    let mut released = Vec::new();
    for index in 0..cure::entries(&place.ring) {
        if let Recovery::Released { lease } = cure::recover(&mut place, index, judge)? {
            released.push(lease);
        }
    }
    let mut cure = Cure::new(place.ring.capacity());
    cure.scan(&mut place)?;
    if found.closing {
        cure::repair(&mut place, Blocked::Close)?;
    }
    Ok((found, released))
}
