//! Leases: kernel locks that live exactly as long as a mapping, and the verdict on other people's.
//!
//! Handles take one each, tools take a [`Probe`]. The segment is mapped through a description of its own, the lock is
//! taken on that, and its descriptor is closed: from then on the mapping alone keeps the lock, until munmap, exec or
//! death. So a free lock is the kernel's proof that no store can follow. No verdict looks at a clock, and
//! nothing here reads the segment's bytes: numbers and facts come from the caller.

use core::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ring_core::Verdict;

use crate::descriptor::{self, Descriptor, Gate, MAX_LEASE, ProbeFile};
use crate::error::{LeaseError, MapError};
use crate::facts::Facts;
use crate::fork::{self, Pause};
use crate::mapping::Mapping;
use crate::posix::{GATE_PAUSE, PATIENCE};
use crate::segment::Segment;
use crate::sys::{self, LockKind};

/// How many numbers to try. They are unique unless the counter in the segment is damaged.
const NUMBERS: u32 = 64;

/// How many bytes a tool maps for its lease: less than a page is a page.
const PROBE_LEN: u64 = 1;

/// Whether the file system keeps the lock with the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelfTest {
    /// It does: a free lock is proof.
    Passed,
    /// It does not (overlay-like file systems map another file than the one opened). The lock goes with a
    /// descriptor here, which other code can close, so [`Verdict::Dead`] needs the process to be gone as well.
    Failed,
}

/// A mapping of a whole segment, and the lease that lives and dies with it.
///
/// Dropping it unmaps, which frees the lock. A forked child does not have the mapping: its copy of the handle says
/// [`Verdict::Unknown`] to everything, and dropping it there leaves the parent's lease alone.
///
/// ```
/// use std::cell::Cell;
/// use ring_shm::{Access, LeasedMapping, Segment, SegmentName, Verdict};
///
/// let name = SegmentName::new(&format!("doc-lease-{}", std::process::id()))?;
/// let segment = Segment::create(&name, 4096, &Access::default(), |_| {})?;
/// let counter = Cell::new(0); // really a word of the segment
/// let next = || { counter.set(counter.get() + 1); counter.get() };
///
/// let one = LeasedMapping::acquire(&segment, next)?;
/// let two = LeasedMapping::acquire(&segment, next)?;
/// assert_eq!(one.verdict(two.lease(), None), Verdict::Alive);
/// drop(two);
/// assert_eq!(one.verdict(2, None), Verdict::Dead);
/// # drop(one);
/// Segment::unlink(&name, false)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LeasedMapping {
    // Dropped in this order: the mapping takes the lock with it, or the anchor does after it; the rest is descriptors.
    mapping: Mapping,
    /// What the lock lives with where the memory is not the file's.
    _anchor: Option<Mapping>,
    kept: Option<Descriptor>,
    probe: Arc<ProbeFile>,
    lease: u64,
    byte: i64,
}

impl LeasedMapping {
    /// Takes a lease on `segment` and maps all of it.
    ///
    /// `next_number` gives numbers that were never given before in this segment (a counter in it, plus one). It is
    /// asked again when the number is held already.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Gone`] if the segment has been removed: start again from its name. [`LeaseError::GateBusy`] if
    /// a process has stopped in the middle of removing it, after two seconds. [`LeaseError::BadNumber`] and
    /// [`LeaseError::NumbersTaken`] if the counter is damaged.
    pub fn acquire(segment: &Segment, next_number: impl FnMut() -> u64) -> Result<Self, LeaseError> {
        acquire(segment, segment.len(), next_number)
    }

    /// The same, with a number out of the mapping itself, which `next` is shown before the lease is there: it may look
    /// and take a number, and nothing else. No `fork` happens meanwhile.
    pub(crate) fn acquire_within<E: From<LeaseError>>(
        segment: &Segment,
        mut next: impl FnMut(&Mapping) -> Result<u64, E>,
    ) -> Result<Self, E> {
        retry(|| match Entered::through_gate(segment, segment.len())? {
            Some(entered) => {
                let number = next(&entered.mapping)?;
                Ok(entered.lease(segment, number)?)
            }
            None => Ok(Attempt::GateBusy),
        })
    }

    /// The same lease over `mapping`, which is unmapped before it ends.
    pub(crate) fn over(self, mapping: Mapping) -> Self {
        Self { mapping, _anchor: Some(self.mapping), ..self }
    }

    /// The number of the lease, at least 1.
    #[inline]
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// The mapping.
    #[inline]
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Whether the lock lives with the mapping here.
    #[must_use]
    pub fn self_test(&self) -> SelfTest {
        if self.kept.is_none() { SelfTest::Passed } else { SelfTest::Failed }
    }

    /// The number of a descriptor of the segment, for the [`chime`](crate::chime), which can do without it.
    pub(crate) fn object(&self) -> RawFd {
        self.probe.with_fd(|fd| fd)
    }

    /// The way to the segment, whatever its name; `None` where it is lost.
    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    pub(crate) fn object_path(&self) -> Option<PathBuf> {
        self.probe.renew().then(|| self.probe.with_fd(sys::proc_path).into())
    }

    /// Whether this is a forked child's copy of its parent's handle, without any memory behind it.
    #[inline]
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.mapping.is_inherited()
    }

    /// Waits until everything that was written to the segment before this call is where it survives the machine's end,
    /// the segment's name included. Without a disk behind it, which only a file has, there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`MapError::Os`] when the disk fails or is full; [`MapError::Lost`] when the file is out of reach.
    pub fn sync(&self) -> Result<(), MapError> {
        self.sync_with(|| ())
    }

    /// Whether there may be a disk behind it: only a file elsewhere than in `/dev/shm` has one.
    pub(crate) fn has_disk(&self) -> bool {
        self.probe.has_disk()
    }

    /// The same, with `between` when all but the control block is there.
    pub(crate) fn sync_with(&self, between: impl FnOnce()) -> Result<(), MapError> {
        self.mapping.flush(between)?;
        self.probe.sync()
    }

    /// What the kernel says about the lease `lease` of the same segment. After [`Verdict::Dead`] an acquire fence is
    /// due before anything the dead has written is read.
    ///
    /// It may be late, never false: the kernel takes its time over a large exit, and a process that its holder was
    /// spawning while it attached has the lock too until its exec.
    ///
    /// Do not ask about 0, which is no lease: the answer is [`Verdict::Unknown`]. A number that no lease can have is
    /// [`Verdict::Dead`]. `facts` are those recorded for the owner of the lease; they count only where the
    /// self-test failed. It takes no lock and changes nothing; two system calls about who lives, five about who does not.
    pub fn verdict(&self, lease: u64, facts: Option<Facts>) -> Verdict {
        if self.is_inherited() || lease == 0 {
            return Verdict::Unknown;
        }
        if lease == self.lease {
            return Verdict::Alive;
        }
        let Some(byte) = descriptor::lease_byte(lease) else {
            return Verdict::Dead;
        };
        match self.is_held(byte) {
            None => Verdict::Unknown,
            Some(true) => Verdict::Alive,
            Some(false) if self.kept.is_none() || facts.is_some_and(|facts| facts.gone()) => Verdict::Dead,
            Some(false) => Verdict::Unknown,
        }
    }

    /// Whether the lock on `byte` is held. `None` where that cannot be told: the number of the probe was closed and given away,
    /// and the segment is out of reach.
    fn is_held(&self, byte: i64) -> Option<bool> {
        self.ask(byte).or_else(|| if self.probe.renew() { self.ask(byte) } else { None })
    }

    fn ask(&self, byte: i64) -> Option<bool> {
        self.probe.with_fd(|fd| {
            // Which object the number means, the object alone says: our own lease may be held in another segment as well.
            let held = |byte| {
                let first = sys::conflict(fd, byte, 1).ok()?;
                self.probe.is_meant_by(fd).then_some(first.is_some())
            };
            if held(byte)? {
                return Some(true);
            }
            // Locks that the file system has forgotten are those of the living as well, ours among them. And a number that was
            // lost and came back in between, as another description of the same object, is not believed the first time.
            let ours = sys::conflict(fd, self.byte, 1).ok()?;
            if ours.is_some() { held(byte) } else { None }
        })
    }
}

impl fmt::Debug for LeasedMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedMapping")
            .field("lease", &self.lease)
            .field("mapping", &self.mapping)
            .field("self_test", &self.self_test())
            .finish_non_exhaustive()
    }
}

/// The first lease of a segment that nobody else can have yet, and the mapping through which its creator fills it: taken then,
/// it needs no gate, and the segment is never without its creator.
#[derive(Debug)]
pub(crate) struct First {
    mapping: Mapping,
    byte: i64,
}

impl First {
    /// Its number, which the counter of a fresh ring gives first.
    pub(crate) const NUMBER: u64 = 1;

    /// Maps `file`, which has no name yet, and takes the lease. `None` where locks do not live with mappings.
    pub(crate) fn take(file: &File, len: u64) -> Result<Option<Self>, MapError> {
        let Some(byte) = descriptor::lease_byte(Self::NUMBER) else { return Ok(None) };
        // A child forked while this descriptor is open would keep the lock alive after us.
        let pause = fork::pause()?;
        let own = descriptor::open_anew(file.as_raw_fd())?;
        let mapping = Mapping::new(&own, len, len, &pause)?;
        let locked = sys::try_lock(own.as_raw_fd(), LockKind::Exclusive, byte, 1)?;
        drop(own);
        // The self-test: whoever is not sure goes the long way.
        let held = locked && sys::conflict(file.as_raw_fd(), byte, 1).is_ok_and(|first| first.is_some());
        Ok(held.then_some(Self { mapping, byte }))
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The same as everybody's, on `segment`, which was made of that file.
    pub(crate) fn of(self, segment: &Segment) -> LeasedMapping {
        let (Self { mapping, byte }, probe) = (self, Arc::clone(segment.probe()));
        LeasedMapping { mapping, _anchor: None, kept: None, probe, lease: Self::NUMBER, byte }
    }
}

/// A lease without a seat, for tools that look at a segment: it gives verdicts, and maps no more than a page.
///
/// While it lives the segment counts as in use. Its number comes from the same counter as everybody's.
#[derive(Debug)]
pub struct Probe(LeasedMapping);

impl Probe {
    /// Takes a lease on `segment`.
    ///
    /// # Errors
    ///
    /// As [`LeasedMapping::acquire`].
    pub fn acquire(segment: &Segment, next_number: impl FnMut() -> u64) -> Result<Self, LeaseError> {
        acquire(segment, PROBE_LEN, next_number).map(Self)
    }

    /// The number of its own lease.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.0.lease
    }

    /// Whether locks live with mappings here.
    #[must_use]
    pub fn self_test(&self) -> SelfTest {
        self.0.self_test()
    }

    /// As [`LeasedMapping::verdict`].
    pub fn verdict(&self, lease: u64, facts: Option<Facts>) -> Verdict {
        self.0.verdict(lease, facts)
    }
}

/// What became of one try.
enum Attempt {
    Leased(LeasedMapping),
    Taken(u64),
    GateBusy,
}

/// Takes a lease and maps the first `len` bytes. The numbers come from a stranger, who is asked while forks may happen.
fn acquire(segment: &Segment, len: u64, mut next_number: impl FnMut() -> u64) -> Result<LeasedMapping, LeaseError> {
    let mut number = None;
    retry(|| {
        let next = *number.get_or_insert_with(&mut next_number);
        let Some(entered) = Entered::through_gate(segment, len)? else { return Ok(Attempt::GateBusy) };
        number = None; // used
        entered.lease(segment, next)
    })
}

/// Tries again while numbers are taken, and while the gate is busy.
fn retry<E: From<LeaseError>>(mut attempt: impl FnMut() -> Result<Attempt, E>) -> Result<LeasedMapping, E> {
    let deadline = Instant::now() + PATIENCE;
    let mut tries = 1;
    loop {
        match attempt()? {
            Attempt::Leased(leased) => return Ok(leased),
            Attempt::Taken(last) if tries == NUMBERS => return Err(LeaseError::NumbersTaken { tries, last }.into()),
            Attempt::Taken(_) => tries += 1,
            Attempt::GateBusy if Instant::now() < deadline => std::thread::sleep(GATE_PAUSE),
            Attempt::GateBusy => return Err(LeaseError::GateBusy.into()),
        }
    }
}

/// A segment that is mapped through a description of its own, while nobody can remove it.
struct Entered {
    mapping: Mapping,
    anchor: Option<Mapping>,
    file: File,
    _gate: Gate,
    /// A child forked while these descriptors are open would keep the locks alive after us.
    _pause: Pause, // dropped last
}

impl Entered {
    /// `None`: the gate is busy, and nothing else was done.
    fn through_gate(segment: &Segment, len: u64) -> Result<Option<Self>, LeaseError> {
        let pause = fork::pause()?;
        let Some(gate) = Gate::try_take(reopen(segment)?, LockKind::Shared)? else { return Ok(None) };
        let file = reopen(segment)?;
        let (mapping, anchor) = segment.map(&file, len, &pause)?;
        Ok(Some(Self { mapping, anchor, file, _gate: gate, _pause: pause }))
    }

    /// Takes the lease `number`.
    fn lease(self, segment: &Segment, number: u64) -> Result<Attempt, LeaseError> {
        // Dropped from the last to the first.
        let Self { _pause, _gate, file, anchor, mapping } = self;
        let probe = segment.probe();
        let byte = descriptor::lease_byte(number).ok_or(LeaseError::BadNumber { number })?;
        let lock = |file: &File| sys::try_lock(file.as_raw_fd(), LockKind::Exclusive, byte, 1);
        if !lock(&file)? {
            return Ok(Attempt::Taken(number));
        }
        // A remover who came before us has taken the name; who comes after us finds the lease.
        if probe.was_named() && sys::stat(file.as_raw_fd())?.links == 0 {
            return Err(LeaseError::Gone);
        }
        drop(file);
        // The self-test. The number of the probe has just been good; were it stolen in between, the test fails, which
        // only makes verdicts more careful.
        let kept = if probe.with_fd(|fd| sys::conflict(fd, byte, 1)).is_ok_and(|first| first.is_some()) {
            None
        } else {
            let file = reopen(segment)?;
            if !lock(&file)? {
                return Ok(Attempt::Taken(number));
            }
            Some(Descriptor::new(file, probe.id()))
        };
        let probe = Arc::clone(probe);
        Ok(Attempt::Leased(LeasedMapping { mapping, _anchor: anchor, kept, probe, lease: number, byte }))
    }
}

fn reopen(segment: &Segment) -> Result<File, LeaseError> {
    segment.probe().reopen()?.ok_or(LeaseError::Lost)
}

const _: () = assert!(MAX_LEASE < i64::MAX as u64);
