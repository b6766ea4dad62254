//! Where a ring lives: one word for a name in `/dev/shm`, a file, sealed anonymous memory, or a System V segment.
//!
//! Every function that takes a ring by name takes a [`Location`] too, or the text of one. Which backing makes, opens
//! and removes what is there: `backing.rs`.

use core::fmt;
use core::str::FromStr;
use std::path::{Path, PathBuf};

use crate::memfd::Memfd;
use crate::name::{NameError, SegmentName};
use crate::posix::DIRECTORY;
use crate::sysv::SysvName;

/// Where a ring lives.
///
/// As text it is the bare name of a POSIX segment, or `file:PATH`, or `sysv:NAME`, or `fd:NUMBER` for a memfd that this
/// process has inherited. What a user types is better kept apart from paths: [`SegmentName::new`] lets nothing else than a name
/// through.
///
/// ```
/// use std::path::Path;
/// use ring_shm::{Location, SegmentName};
///
/// assert_eq!("ticks".parse(), Ok(Location::Posix(SegmentName::new("ticks")?)));
/// assert_eq!("file:/var/lib/feed/ticks".parse(), Ok(Location::file("/var/lib/feed/ticks")));
/// assert_eq!(Location::file("/var/lib/feed/ticks").to_string(), "file:/var/lib/feed/ticks");
/// # Ok::<(), ring_shm::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// POSIX shared memory: `/dev/shm/ring.NAME`. Gone when the machine restarts.
    Posix(SegmentName),
    /// A file, which outlives the machine's restart. Anything that the file system can map shared will do.
    File(PathBuf),
    /// System V shared memory, with a side file in `/dev/shm`.
    Sysv(SysvName),
    /// Anonymous memory, sealed against truncation: it goes with the last who has it.
    Memfd(Memfd),
}

impl Location {
    /// The file `path`. A relative one is taken from the working directory of now.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self::File(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The word for the kind of place: `posix`, `file`, `sysv`, `memfd`.
    #[must_use]
    pub fn backing(&self) -> &'static str {
        match self {
            Self::Posix(_) => "posix",
            Self::File(_) => "file",
            Self::Sysv(_) => "sysv",
            Self::Memfd(_) => "memfd",
        }
    }

    /// The name or path without that word. (As text, with [`Display`](fmt::Display), it says both.)
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Posix(name) => name.to_string(),
            Self::File(path) => path.display().to_string(),
            Self::Sysv(name) => name.to_string(),
            Self::Memfd(memfd) => memfd.to_string(),
        }
    }

    /// The path of the object (System V: of the side file); `None` for what has none.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Posix(name) => Some(Path::new(DIRECTORY).join(name.file_name())),
            Self::File(path) => Some(path.clone()),
            Self::Sysv(name) => Some(name.side()),
            Self::Memfd(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Posix(name) => name.fmt(f),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Sysv(name) => write!(f, "sysv:{name}"),
            Self::Memfd(memfd) => memfd.fmt(f),
        }
    }
}

impl FromStr for Location {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once(':') {
            Some(("file", "")) => Err(NameError::NoPath),
            Some(("file", path)) => Ok(Self::file(path)),
            Some(("sysv", name)) => Ok(Self::Sysv(name.parse()?)),
            Some(("fd", number)) => Ok(Self::Memfd(number.parse()?)),
            _ => Ok(Self::Posix(SegmentName::new(text)?)),
        }
    }
}

impl From<SegmentName> for Location {
    fn from(name: SegmentName) -> Self {
        Self::Posix(name)
    }
}

impl From<SysvName> for Location {
    fn from(name: SysvName) -> Self {
        Self::Sysv(name)
    }
}

impl From<Memfd> for Location {
    fn from(memfd: Memfd) -> Self {
        Self::Memfd(memfd)
    }
}

/// What says where a ring lives: a [`Location`], its text, a [`SegmentName`], a [`SysvName`], a [`Memfd`].
///
/// ```
/// use ring_shm::{Location, spsc};
/// # let directory = std::env::temp_dir().join(format!("ring-doc-{}", std::process::id()));
/// # std::fs::create_dir(&directory)?;
/// let at = Location::file(directory.join("ticks"));
/// let mut tx = spsc::Producer::create(&at, &spsc::Options::new())?;
/// tx.try_send(1, b"kept over a restart")?;
/// assert_eq!(spsc::inspect(at.to_string())?.tail, spsc::inspect(&at)?.tail);
/// # drop(tx);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ToLocation {
    /// The location.
    ///
    /// # Errors
    /// [`NameError`] for a text that is none.
    fn to_location(&self) -> Result<Location, NameError>;
}

impl<T: ToLocation + ?Sized> ToLocation for &T {
    fn to_location(&self) -> Result<Location, NameError> {
        (**self).to_location()
    }
}

impl ToLocation for str {
    fn to_location(&self) -> Result<Location, NameError> {
        self.parse()
    }
}

impl ToLocation for String {
    fn to_location(&self) -> Result<Location, NameError> {
        self.parse()
    }
}

impl ToLocation for SegmentName {
    fn to_location(&self) -> Result<Location, NameError> {
        Ok(self.clone().into())
    }
}

impl ToLocation for SysvName {
    fn to_location(&self) -> Result<Location, NameError> {
        Ok(self.clone().into())
    }
}

impl ToLocation for Memfd {
    fn to_location(&self) -> Result<Location, NameError> {
        Ok(self.clone().into())
    }
}

impl ToLocation for Location {
    fn to_location(&self) -> Result<Location, NameError> {
        Ok(self.clone())
    }
}
