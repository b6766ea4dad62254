//! A ring seen from outside: what an operator's tool shows, and what it may repair. Takes a lease of its own for the
//! questions about others, and no seat.

use ring_core::{Position, Role, SeatError, SeatState, Verdict};

use super::setup::{self, Place};
use crate::facts::Facts;
use crate::name::SegmentName;
use crate::segment::Segment;
use crate::setup_error::SetupError;

/// One seat of a ring, as it stood when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// Which one.
    pub role: Role,
    /// What its word says.
    pub state: SeatState,
    /// The kernel's answer about a held seat's lease; `None` for a seat that nobody holds.
    pub verdict: Option<Verdict>,
    /// Who sat down last: for people.
    pub facts: Facts,
}

/// A ring as it stood when somebody looked. All of it may have changed by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Bytes of the data area.
    pub capacity: u64,
    /// Longest payload of a record, in bytes.
    pub max_len: usize,
    /// Whether records start on 64-byte lines.
    pub line_aligned: bool,
    /// Release interval in bytes; 0: each record.
    pub release_every: u64,
    /// The ring's random id, to tell it from others of the same name.
    pub generation: u64,
    /// Bytes of the whole segment.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Read position.
    pub head: Position,
    /// Stored write position; behind the truth after a producer's death, until a successor or `recover` comes.
    pub tail: Position,
    /// The producer's seat.
    pub producer: Seat,
    /// The consumer's seat.
    pub consumer: Seat,
}

/// Looks at the ring `name`.
///
/// # Errors
/// [`SetupError`], as for opening a handle; the seats need not be free.
///
/// ```
/// # let name = format!("doc-inspect-{}", std::process::id());
/// use ring_shm::spsc;
/// let tx = spsc::Producer::create(&name, &spsc::Options::new().capacity(4096))?;
/// let seen = spsc::inspect(&name)?;
/// assert_eq!(seen.producer.facts.pid, u64::from(std::process::id()));
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(name: &str) -> Result<Snapshot, SetupError> {
    let segment = setup::open(&SegmentName::new(name)?)?;
    snapshot(&segment, &Place::in_segment(&segment)?)
}

fn snapshot(segment: &Segment, place: &Place) -> Result<Snapshot, SetupError> {
    let ring = &place.ring;
    let (head, tail) = ring.head_and_tail()?;
    Ok(Snapshot {
        capacity: ring.capacity(),
        max_len: ring.max_len(),
        line_aligned: ring.line_aligned(),
        release_every: ring.release_every(),
        generation: ring.generation(),
        size: segment.len(),
        mode: segment.mode(),
        head,
        tail,
        producer: seat(place, Role::Producer)?,
        consumer: seat(place, Role::Consumer)?,
    })
}

fn seat(place: &Place, role: Role) -> Result<Seat, SetupError> {
    let state = place.ring.seat(role)?;
    let verdict = match state {
        SeatState::Held(lease) => Some(place.verdict(role, lease)),
        _ => None,
    };
    Ok(Seat { role, state, verdict, facts: setup::facts(place.ring.facts(role)) })
}

/// Takes over the seats of dead owners and puts the tail where the committed records end. Nothing needs this: a
/// successor does the same when it sits down. Living owners keep their seats. `assume_dead` is the operator's word
/// that the owner of that lease is dead, for file systems where it cannot be shown.
///
/// Returns the seats as they were found, and those that were recovered.
///
/// # Errors
/// [`SetupError`].
pub fn recover(name: &str, assume_dead: Option<u64>) -> Result<(Snapshot, Vec<Role>), SetupError> {
    let segment = setup::open(&SegmentName::new(name)?)?;
    let place = Place::in_segment(&segment)?;
    let found = snapshot(&segment, &place)?;
    let mut recovered = Vec::new();
    for seat in [found.producer, found.consumer] {
        if !matches!(seat.state, SeatState::Held(_)) {
            continue;
        }
        let oracle = |lease| match place.verdict(seat.role, lease) {
            Verdict::Unknown if assume_dead == Some(lease) => Verdict::Dead,
            verdict => verdict,
        };
        let put_back = seat.state.lease() != assume_dead;
        match place.ring.recover(seat.role, place.lease, put_back, oracle) {
            Ok(_) => recovered.push(seat.role),
            Err(SeatError::Corrupt(corrupt)) => return Err(corrupt.into()),
            Err(_) => {} // alive, or taken by a successor meanwhile
        }
    }
    Ok((found, recovered))
}
