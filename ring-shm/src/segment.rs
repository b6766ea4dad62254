//! An open segment: a descriptor, which object it means, its size and its name.
//!
//! The backings (`backing.rs`) make it; mappings, leases and probes are taken from it. Everything here works
//! on the descriptor and knows no directory. It holds no mapping and no lock: a segment that is only open can be
//! removed by anybody who may.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::descriptor::{self, ProbeFile};
use crate::error::{MapError, OsError};
use crate::fork::{self, Pause};
use crate::lease::First;
use crate::location::Location;
use crate::look::TOTAL_LEN;
use crate::mapping::Mapping;
use crate::shm;
use crate::sys::{self, Stat};
use crate::sysv::SIDE_LEN;

/// Who may use a segment, as its creator decides. The umask has no say.
///
/// ```
/// use ring_shm::Access;
///
/// assert_eq!(Access::default(), Access { mode: 0o600, group: None });
/// assert_eq!(Access::group(7), Access { mode: 0o660, group: Some(7) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The permission bits. The owner's read and write are required, everybody's write is refused.
    pub mode: u32,
    /// The group to give the segment to; `None` leaves it to the system.
    pub group: Option<u32>,
}

impl Access {
    /// Read and write for the owner and for `group`.
    #[must_use]
    pub fn group(group: u32) -> Self {
        Self { mode: 0o660, group: Some(group) }
    }
}

impl Default for Access {
    /// The owner alone: `0o600`.
    fn default() -> Self {
        Self { mode: 0o600, group: None }
    }
}

/// Whose segments an opener puts up with. Whoever owns a segment can truncate it at any time, which ends a process
/// that has it mapped by SIGBUS, and reads what is sent through it. Root gets no exception, and no rule lets a segment
/// through that everybody may write to.
///
/// ```
/// use ring_shm::{Access, OpenRules, Segment, SegmentName};
///
/// let name = SegmentName::new(&format!("doc-rules-{}", std::process::id()))?;
/// Segment::create(&name, 4096, &Access::default(), |_| {})?;
/// assert!(Segment::open_with(&name, &OpenRules::Own).is_ok());
/// Segment::unlink(&name, false)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OpenRules {
    /// Those of its own user (the effective user id).
    Own,
    /// Also those that another user shares with a group this process belongs to (effective or supplementary): the
    /// group may write, and everybody may not. The default.
    #[default]
    Shared,
    /// Also those that another user shares with this one group.
    Group(u32),
    /// Those of every user, if their mode lets this process in.
    Anyone,
}

impl OpenRules {
    /// What is expected of an existing segment by who would have created one with this access: shared with that
    /// group, or nobody else's.
    pub(crate) fn expecting(access: &Access) -> Self {
        match access.group {
            _ if access.mode & 0o020 == 0 => Self::Own,
            Some(group) => Self::Group(group),
            None => Self::Shared,
        }
    }
}

/// An open segment, independent of any mapping.
///
/// It keeps a descriptor (`O_CLOEXEC`) and remembers device and inode, so that it notices when other code of the
/// process has closed the number. Later descriptions are opened through it, never by name.
///
/// ```
/// use ring_shm::{Access, Segment, SegmentName};
///
/// let name = SegmentName::new(&format!("doc-{}", std::process::id()))?;
/// let made = Segment::create(&name, 4096, &Access::default(), |mapping| assert_eq!(mapping.len(), 4096))?;
/// let found = Segment::open(&name)?;
/// assert_eq!((made.inode(), found.len()), (found.inode(), 4096));
/// Segment::unlink(&name, false)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Segment {
    probe: Arc<ProbeFile>,
    /// The id of the System V segment that the file is the side file of; else the memory is the file's.
    shm: Option<i32>,
    len: u64,
    /// What its file system allots at least.
    unit: u64,
    mode: u32,
    owner: u32,
    name: Box<str>,
    /// The creator's, until he sits down.
    first: Mutex<Option<First>>,
}

impl Segment {
    /// Takes over the descriptor that a backing has opened and examined.
    pub(crate) fn from_file(file: File, stat: &Stat, at: Location) -> Self {
        Self {
            probe: Arc::new(ProbeFile::new(file, stat.id, at.path())),
            shm: None,
            len: stat.size,
            unit: stat.unit,
            mode: stat.permissions(),
            owner: stat.owner,
            name: at.to_string().into(),
            first: Mutex::new(None),
        }
    }

    /// The same with the first lease, which its creator has.
    pub(crate) fn with_first(self, first: Option<First>) -> Self {
        Self { first: Mutex::new(first), ..self }
    }

    /// The lease and the mapping that its creator took while he made it, if he did, once.
    pub(crate) fn take_first(&self) -> Option<First> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The same with its memory in the System V segment `id`.
    pub(crate) fn with_shm(mut self, id: i32, len: u64) -> Self {
        self.shm = Some(id);
        self.len = len;
        self
    }

    /// Maps the first `len` bytes through `file`, a description of the object, such that its locks live as long as both
    /// answers: the mapping, and, where that is none of the file, one that is.
    pub(crate) fn map(&self, file: &File, len: u64, pause: &Pause) -> Result<(Mapping, Option<Mapping>), MapError> {
        let Some(id) = self.shm else { return Ok((Mapping::new(file, self.len, len, pause)?, None)) };
        let anchor = Mapping::new(file, SIDE_LEN, SIDE_LEN, pause)?;
        Ok((Mapping::attached(id, len, pause)?, Some(anchor)))
    }

    pub(crate) fn probe(&self) -> &Arc<ProbeFile> {
        &self.probe
    }

    /// Whether there may be a disk behind it.
    pub(crate) fn has_disk(&self) -> bool {
        self.probe.has_disk()
    }

    /// How long the ring in it says to be, unread by anything that maps it; `None` where the file holds no ring.
    pub(crate) fn total_len(&self) -> Option<u64> {
        self.shm.is_none().then(|| self.probe.with_fd(|fd| sys::read_word(fd, TOTAL_LEN as u64)))?
    }

    /// Where it was created or opened, as text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes when it was opened, at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a segment is never empty
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether a ring of `footprint` bytes would have been made so long, to the byte, or to the unit that its file system allots:
    /// a huge page where it has such.
    pub(crate) fn is_made_for(&self, footprint: u64) -> bool {
        self.len == footprint || footprint.checked_next_multiple_of(self.unit.max(1)) == Some(self.len)
    }

    /// Its permission bits when it was opened.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The user id of its owner.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The device it is on.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.probe.id().device
    }

    /// Its inode number, which no other object on the device has while this one is open.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.probe.id().inode
    }

    /// Whether it still has a name, which a memfd never has. True is a guess by the time it is returned; false is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`MapError::Lost`] when the object is out of reach.
    pub fn is_linked(&self) -> Result<bool, MapError> {
        Ok(sys::stat(self.reopen()?.as_raw_fd())?.links > 0)
    }

    /// One of the leases that are held on it, by this or another process. A guess by the time it is returned.
    ///
    /// # Errors
    ///
    /// [`MapError::Lost`] when the object is out of reach.
    pub fn any_lease(&self) -> Result<Option<u64>, MapError> {
        Ok(descriptor::any_lease(self.reopen()?.as_raw_fd())?)
    }

    /// Maps all of it without a lease: for reading the control block before attaching, and for inspection.
    ///
    /// # Errors
    ///
    /// [`MapError::Resized`] when somebody has changed its size, [`MapError::TooLarge`] when it does not fit,
    /// [`MapError::Lost`] when the object is out of reach.
    pub fn map_whole(&self) -> Result<Mapping, MapError> {
        let file = self.reopen()?;
        Ok(self.map(&file, self.len, &fork::pause()?)?.0)
    }

    /// Takes it back from its name, for who has just made it: if nobody has a lease on it, and the word at `unused` is 0.
    /// Whether another try may do it.
    pub(crate) fn take_back(&self, unused: usize) -> Result<bool, OsError> {
        self.probe.take_back(|fd| match self.shm {
            None => sys::read_word(fd, unused as u64) == Some(0),
            // Its side file goes with it.
            Some(id) => shm::remove_unused(id, unused),
        })
    }

    pub(crate) fn reopen(&self) -> Result<File, MapError> {
        self.probe.reopen()?.ok_or(MapError::Lost)
    }
}
