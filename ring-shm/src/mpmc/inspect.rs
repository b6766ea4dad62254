//! A ring seen from outside: what an operator's tool shows, and what it may repair. Takes a lease of its own for the
//! questions about others, and no entry of the table.

use ring_core::mpmc::{Blocked, Intent, Participant, Recovery, Redelivery, Repair};
use ring_core::{Position, Role, Verdict};

use super::cure::{self, Cure};
use super::setup::{self, Place};
use crate::facts::Facts;
use crate::name::SegmentName;
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

/// Looks at the ring `name`.
///
/// # Errors
/// [`SetupError`], as for opening a handle; but a full table is none.
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
pub fn inspect(name: &str) -> Result<Snapshot, SetupError> {
    let segment = Segment::open(&SegmentName::new(name)?)?;
    let mut place = Place::in_segment(&segment)?;
    snapshot(&segment, &mut place)
}

fn snapshot(segment: &Segment, place: &mut Place) -> Result<Snapshot, SetupError> {
    let ring = place.ring;
    let stat = ring.stat()?;
    let mut members = Vec::new();
    for entry in (0..cure::entries(&ring)).filter_map(|index| ring.participant(index)) {
        if entry.lease != 0 {
            members.push(member(place, entry)?);
        }
    }
    Ok(Snapshot {
        slots: ring.capacity(),
        slot_size: ring.max_len(),
        max_participants: ring.max_participants(),
        max_producers: ring.max_producers(),
        max_consumers: ring.max_consumers(),
        redelivery: ring.redelivery(),
        generation: ring.generation(),
        size: segment.len(),
        mode: segment.mode(),
        head: stat.head,
        tail: stat.tail,
        closed: stat.closed,
        closing: stat.closing && !stat.closed,
        members,
    })
}

fn member(place: &mut Place, entry: Participant) -> Result<Member, SetupError> {
    Ok(Member {
        index: entry.index,
        role: entry.role,
        lease: entry.lease,
        verdict: place.verdict(entry.lease),
        facts: setup::facts(entry.facts),
        writing: work(place, entry.write_intent, Blocked::Write)?,
        reading: work(place, entry.read_intent, Blocked::Read)?,
    })
}

/// What an intent means now.
fn work(place: &Place, intent: Intent, blocked: fn(Position) -> Blocked) -> Result<Option<Work>, SetupError> {
    let (position, count) = (intent.first(), intent.count());
    let mut open = false;
    for p in (0..count).map(|i| Position::new(position.get().saturating_add(i))) {
        // Nobody is declared dead here, so nothing is settled: a repair only tells whether there is something.
        let repair = place.ring.repair(blocked(p), place.lease, |_| Verdict::Unknown)?;
        open |= matches!(repair, Repair::Owned { .. });
    }
    Ok((count > 0).then_some(Work { position, count, open }))
}

/// Releases the entries of the dead, settling what they have left: claims become gaps, messages in their hands go to
/// the living. Nothing needs this: whoever is blocked does the same. The living keep what they have. `assume_dead` is
/// the operator's word that the owner of that lease is dead, for file systems where it cannot be shown.
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
pub fn recover(name: &str, assume_dead: Option<u64>) -> Result<(Snapshot, Vec<u64>), SetupError> {
    let segment = Segment::open(&SegmentName::new(name)?)?;
    let mut place = Place::in_segment(&segment)?;
    let found = snapshot(&segment, &mut place)?;
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
