//! A ring seen from outside: what an operator's tool shows, and what it may repair. Neither takes a seat. A look only
//! reads; a repair takes a lease of its own, since it may rest on no less than proof.

use std::os::fd::AsRawFd as _;

use ring_core::spsc::{Cut, Ring, SeatFacts, cut_to_synced, strict};
use ring_core::{Position, Role, SeatError, SeatState, Verdict, Waiting};

use super::setup::{self, Place};
use crate::descriptor::{self, Gate};
use crate::error::MapError;
use crate::facts::Facts;
use crate::fork;
use crate::life;
use crate::location::ToLocation;
use crate::look::Look;
use crate::payload::TypeFacts;
use crate::segment::Segment;
use crate::setup_error::SetupError;
use crate::sys::{self, LockKind};

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
    /// How that one waits and publishes.
    pub waiting: Waiting,
}

impl Seat {
    fn new(
        role: Role,
        state: SeatState,
        facts: SeatFacts,
        waiting: Waiting,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Self {
        let verdict = match state {
            SeatState::Held(lease) => Some(verdict(lease)),
            _ => None,
        };
        Self { role, state, verdict, facts: setup::facts(facts), waiting }
    }
}

/// A ring as it stood when somebody looked. All of it may have changed by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Bytes of the data area.
    pub capacity: u64,
    /// Longest payload of a record, in bytes.
    pub max_len: usize,
    /// Whether payloads start on 64-byte lines.
    pub line_aligned: bool,
    /// Release interval in bytes; 0: each record.
    pub release_every: u64,
    /// The ring's random id, to tell it from others of the same name.
    pub generation: u64,
    /// What it carries; `None`: bytes of no stated type.
    pub payload: Option<TypeFacts>,
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

/// Looks at the ring `name`: whoever may read the segment can, whoever owns it. Writes nothing, maps nothing, takes no
/// lease and no seat, so the ring does not count as in use meanwhile.
///
/// All numbers are guesses, taken from one copy of the control block. A verdict is the kernel's answer about the
/// owner's lock; on a file system that is not a tmpfs it stays [`Verdict::Unknown`] as long as the recorded process
/// cannot be shown to be gone, where [`recover`] may know more.
///
/// # Errors
/// [`SetupError`]; its kind is `NotFound` without such a segment, `Permission` when it may not be read, and `Corrupt`
/// when it is no SPSC ring, or damaged.
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
pub fn inspect(at: impl ToLocation) -> Result<Snapshot, SetupError> {
    let look = Look::at(&at.to_location()?)?;
    look.with_copy(|region, _| {
        let ring = Ring::look(region)?;
        let verdict = |role, lease| look.verdict(lease, ring.facts_of(role, lease).map(setup::facts));
        snapshot(&ring, look.size(), look.mode(), verdict)
    })
}

fn snapshot(
    ring: &Ring<'_>,
    size: u64,
    mode: u32,
    verdict: impl Fn(Role, u64) -> Verdict,
) -> Result<Snapshot, SetupError> {
    let seat = |role| -> Result<Seat, SetupError> {
        let verdict = |lease| verdict(role, lease);
        Ok(Seat::new(role, ring.seat(role)?, ring.facts(role), ring.waiting(role), verdict))
    };
    let (head, tail) = ring.head_and_tail()?;
    Ok(Snapshot {
        capacity: ring.capacity(),
        max_len: ring.max_len(),
        line_aligned: ring.line_aligned(),
        release_every: ring.release_every(),
        generation: ring.generation(),
        payload: TypeFacts::of_ring(ring.type_hash(), ring.type_text()),
        size,
        mode,
        head,
        tail,
        producer: seat(Role::Producer)?,
        consumer: seat(Role::Consumer)?,
    })
}

/// A strict ring as it stood when somebody looked at its common object: who has it. What is in it shows to its two sides
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StrictSnapshot {
    /// The ring's random id.
    pub generation: u64,
    /// The producer's seat.
    pub producer: Seat,
    /// The consumer's seat.
    pub consumer: Seat,
}

/// Looks at the common object of a strict ring, which [`Segment::list_memfds`] finds in processes that have one. Writes
/// nothing, and takes nothing; what is shown is what either side may have written, and the kernel's answers about their
/// locks.
///
/// # Errors
/// [`SetupError`]; its kind is `Corrupt` for what is no such object.
///
/// ```
/// use ring_shm::{Segment, spsc};
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
///
/// let (here, there) = UnixStream::pair()?;
/// let soon = Duration::from_secs(5);
/// let consumer = std::thread::spawn(move || spsc::Consumer::open_strict(&there, soon));
/// let _tx = spsc::Producer::create_strict(&here, &spsc::Options::new(), soon)?;
/// let _rx = consumer.join().unwrap()?;
/// let memfds = Segment::list_memfds(std::process::id())?;
/// let ring = memfds.iter().find_map(|info| spsc::inspect_strict(&info.name).ok()).unwrap();
/// assert_eq!(ring.producer.facts.pid, u64::from(std::process::id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect_strict(at: impl ToLocation) -> Result<StrictSnapshot, SetupError> {
    let look = Look::at(&at.to_location()?)?;
    look.with_shifted_copy(strict::COMMON_IN_COPY, |region| {
        let common = strict::Common::look_in(region)?;
        let seat = |role| -> Result<Seat, SetupError> {
            let verdict = |lease| look.verdict(lease, common.facts_of(role, lease).map(setup::facts));
            Ok(Seat::new(role, common.seat(role)?, common.facts(role), common.waiting(role), verdict))
        };
        Ok(StrictSnapshot {
            generation: common.generation(),
            producer: seat(Role::Producer)?,
            consumer: seat(Role::Consumer)?,
        })
    })
}

/// Takes over the seats of dead owners and puts the tail where the committed records end. Nothing needs this: a
/// successor does the same when it sits down. Living owners keep their seats. `assume_dead` is the operator's word
/// that the owner of that lease is dead, for file systems where it cannot be shown.
///
/// Returns the seats as they were found, and those that were recovered.
///
/// # Errors
/// [`SetupError`].
pub fn recover(at: impl ToLocation, assume_dead: Option<u64>) -> Result<(Snapshot, Vec<Role>), SetupError> {
    let segment = Segment::open(at)?;
    let place = Place::in_segment(&segment)?;
    let found = snapshot(&place.ring, segment.len(), segment.mode(), |role, lease| place.verdict(role, lease))?;
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

/// Makes a ring of what was synced last, in a file that a power loss has left: all records that were committed before that
/// sync and not released come, then the death of their producer, and the ring goes on as it is: nobody has to remove it.
/// What was committed later is gone, also where it may have been whole: pages of different moments cannot be told apart.
///
/// For a ring that may have been open when the power failed, before anybody opens it. After an orderly restart nothing
/// is needed, and this would take away what was never synced.
///
/// # Errors
/// [`SetupError`]; its kind is `InUse` while somebody has the ring open, `Invalid` for a ring in memory, and `Corrupt`
/// when nothing in the file tells of a sync, or it is no SPSC ring.
///
/// ```
/// use ring_shm::spsc::{self, Consumer, Producer};
/// # let path = std::env::temp_dir().join(format!("ring-synced-doc-{}", std::process::id()));
/// let at = format!("file:{}", path.display());
/// let mut tx = Producer::create(&at, &spsc::Options::new())?;
/// tx.try_send(1, b"before")?;
/// tx.sync()?;
/// tx.try_send(2, b"after")?;
/// drop(tx);
/// let cut = spsc::recover_synced(&at)?;
/// assert_eq!((cut.records, cut.whole), (1, true));
/// let mut rx = Consumer::open(&at)?;
/// assert_eq!(rx.try_recv_into(&mut [0; 16])?.tag, 1);
/// Producer::open(&at)?.try_send(3, b"it goes on")?;
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recover_synced(at: impl ToLocation) -> Result<Cut, SetupError> {
    let segment = Segment::open(at)?;
    if !segment.has_disk() {
        return Err(SetupError::NoDisk);
    }
    let pause = fork::pause().map_err(MapError::from)?;
    let file = segment.reopen()?;
    // Nobody attaches while this is held, so a look at the leases is proof.
    let gate = Gate::try_take(file, LockKind::Exclusive).map_err(MapError::from)?;
    let gate = gate.ok_or(SetupError::HasUsers { lease: None })?;
    if let Some(lease) = descriptor::any_lease(gate.file().as_raw_fd()).map_err(MapError::from)? {
        return Err(SetupError::HasUsers { lease: Some(lease) });
    }
    let (mapping, _side) = segment.map(gate.file(), segment.len(), &pause)?;
    let cut = life::with_region(&mapping, cut_to_synced)??.ok_or(SetupError::NeverSynced)?;
    // The disk takes its time, and nobody shall wait for it who only forks or attaches elsewhere. Where the mapping does not
    // keep the gate there is no other way.
    let _held = if sys::keeps_locks(gate.file()) {
        gate.leave();
        drop(pause);
        None
    } else {
        Some((gate, pause))
    };
    // It is synced again, as what it is now: until then the marks of before are there, and say the same.
    mapping.flush(life::sync_mark(&mapping, Role::Producer)?)?;
    segment.probe().sync()?;
    Ok(cut)
}
