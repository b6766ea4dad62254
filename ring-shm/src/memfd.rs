//! The anonymous backing: a memfd that is sealed against shrinking and growing, so that no peer can end another by
//! truncating it.
//!
//! It has no name, so somebody hands it over: through a Unix socket, or to his children. Sealing is what publishing is
//! elsewhere: one call that cannot be taken back, after everything is in place. Whoever opens one demands the seals,
//! and before they are there nobody maps it but the creator, who works under the exclusive gate.

use core::fmt;
use core::str::FromStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use nix::fcntl::SealFlag;

use crate::descriptor::Gate;
use crate::error::{CreateError, OpenError, OsError};
use crate::location::Location;
use crate::mapping::Mapping;
use crate::name::{NameError, SegmentName};
use crate::posix::{self, GATE_PAUSE, PATIENCE};
use crate::segment::{Access, Segment};
use crate::socket::{self, Waiting};
use crate::sys::{self, LockKind, Stat};

/// What a sealed ring has: its size is for ever, and so are the seals.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// Anonymous memory for one ring: empty at first, sealed as soon as a ring has been created in it.
///
/// Who has its descriptor may use it, if its mode lets him (0600 like any other ring's: this user's processes; a group
/// by option). Nobody can truncate it, so it cannot end anybody by SIGBUS: it is the backing for peers who are not
/// trusted.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use ring_shm::{Memfd, spsc};
///
/// let (here, there) = UnixStream::pair()?;
/// // One process makes the ring and hands it over,
/// let ring = Memfd::new("ticks")?;
/// let mut tx = spsc::Producer::create(&ring, &spsc::Options::new().capacity(4096))?;
/// ring.send_over(&here)?;
/// // the other one takes it.
/// let mut rx = spsc::Consumer::open(Memfd::receive_from(&there)?)?;
/// tx.try_send(7, b"nobody else can")?;
/// assert_eq!(rx.try_recv_into(&mut [0; 64])?.tag, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Memfd {
    file: Arc<File>,
    text: Box<str>,
}

impl Memfd {
    /// A new one, empty. The name is for people: `/proc/PID/fd` shows it.
    ///
    /// # Errors
    /// [`CreateError::Os`]; [`CreateError::Name`] if the name is not one.
    pub fn new(name: &str) -> Result<Self, CreateError> {
        let name = SegmentName::new(name)?;
        let file = sys::memfd(&name.file_name())?;
        Ok(Self::from(OwnedFd::from(file)))
    }

    /// One that another process has open: for operators, who may trace it.
    ///
    /// # Errors
    /// What the system says about `/proc/PID/fd/NUMBER`.
    pub fn of_process(pid: u32, number: u32) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/fd/{number}"))?;
        Ok(Self { file: Arc::new(file), text: format!("fd:{pid}/{number}").into() })
    }

    /// Whether children keep the descriptor over their exec, where its number, as the text of this shows it (`fd:7`),
    /// is a location. Not by default.
    ///
    /// # Errors
    /// [`OsError`], which takes a closed descriptor.
    pub fn inherit(&self, yes: bool) -> Result<(), OsError> {
        sys::close_on_exec(&self.file, !yes)
    }

    /// Hands it over a Unix socket, with one byte of data.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send_over(&self, socket: &UnixStream) -> io::Result<()> {
        socket::send(socket, b'r', &[self.as_fd()], Waiting::Blocking)
    }

    /// Takes one that [`send_over`](Self::send_over) has sent, and the byte that came with it. What it is shows when it
    /// is opened: take descriptors from strangers as they come.
    ///
    /// # Errors
    /// What the socket says; `UnexpectedEof` when it is closed, and `InvalidData` when there is data without a
    /// descriptor.
    pub fn receive_from(socket: &UnixStream) -> io::Result<Self> {
        let (_, descriptors) = socket::receive(socket, Waiting::Blocking)?;
        let none = || io::Error::new(io::ErrorKind::InvalidData, "data came without a descriptor");
        descriptors.into_iter().next().map(Self::from).ok_or_else(none)
    }

    /// A new description of it.
    fn reopen(&self, write: bool) -> io::Result<File> {
        // The object is memory, so opening never waits; whatever else it is has been refused before.
        OpenOptions::new().read(true).write(write).open(sys::proc_path(self.file.as_raw_fd()))
    }

    /// Why nobody should use it; `None` when it is sealed.
    fn trouble(&self) -> Option<Unsealed> {
        match sys::seals(&self.file) {
            None => Some(Unsealed::NoMemfd),
            Some(seals) if seals.contains(SealFlag::F_SEAL_FUTURE_WRITE) => Some(Unsealed::Strict),
            Some(seals) if seals.contains(SEALS) => None,
            Some(seals) if seals.contains(SealFlag::F_SEAL_SEAL) => Some(Unsealed::Never),
            Some(_) => Some(Unsealed::NotYet),
        }
    }
}

/// What is wrong with a descriptor that should be a sealed memfd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsealed {
    /// It is none.
    NoMemfd,
    /// It is not sealed: nobody has created a ring in it, or its maker wants to be able to truncate it.
    NotYet,
    /// It cannot be sealed any more.
    Never,
    /// It is sealed against writing, as the objects of strict rings are.
    Strict,
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemfd => "the descriptor is no memfd: make one with `Memfd::new`",
            Self::NotYet => {
                "its memfd is not sealed against shrinking and growing: create a ring in it before it is handed over, \
                 and take no other from whoever did so"
            }
            Self::Never => {
                "its memfd can never be sealed: make one with `Memfd::new`, and take no other from its maker"
            }
            Self::Strict => {
                "its memfd is sealed against writing: a part of a strict ring is used through the socket on which its \
                 producer hands it over, with `spsc::Consumer::open_strict`"
            }
        })
    }
}

impl From<OwnedFd> for Memfd {
    fn from(fd: OwnedFd) -> Self {
        Self { text: format!("fd:{}", fd.as_raw_fd()).into(), file: Arc::new(fd.into()) }
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Display for Memfd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `NUMBER` is a descriptor of this process, `PID/NUMBER` one of another.
impl FromStr for Memfd {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (process, number) = text.split_once('/').unwrap_or(("self", text));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(all_digits(number) && (process == "self" || all_digits(process))) {
            return Err(NameError::NoDescriptor);
        }
        let path = format!("/proc/{process}/fd/{number}");
        // A look before the opening, which can have consequences when it is a device.
        if !std::fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
            return Err(NameError::NoDescriptor);
        }
        let file = File::open(&path).map_err(|_| NameError::NoDescriptor)?;
        Ok(Self { file: Arc::new(file), text: format!("fd:{text}").into() })
    }
}

/// Whether they are called the same.
impl PartialEq for Memfd {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Memfd {}

/// Makes a ring of `len` bytes in `memfd`, unless there is one. A creator that died before it had sealed has left
/// nothing: the next one begins anew.
pub(crate) fn create(
    at: &Location,
    memfd: &Memfd,
    len: u64,
    access: &Access,
    init: impl FnOnce(&Mapping),
) -> Result<Segment, CreateError> {
    let bytes = posix::length(len)?;
    posix::check_mode(access.mode)?;
    let reopen = || memfd.reopen(true).map_err(|error| OsError::from_io("open(/proc/self/fd)", &error));
    let deadline = Instant::now() + PATIENCE;
    let gate = loop {
        if let Some(trouble) = memfd.trouble().filter(|trouble| *trouble != Unsealed::NotYet) {
            return Err(CreateError::Unsealable { name: at.clone(), trouble });
        }
        match Gate::try_take(reopen()?, LockKind::Exclusive)? {
            Some(gate) => break gate,
            None if Instant::now() < deadline => std::thread::sleep(GATE_PAUSE),
            None => return Err(CreateError::Contended { tries: 1 }),
        }
    };
    if memfd.trouble().is_none() {
        return Err(CreateError::Exists { name: at.clone() });
    }
    let file = gate.file();
    file.set_len(0).map_err(|error| OsError::from_io("ftruncate", &error))?;
    posix::allow(file, access)?;
    posix::allocate(file, bytes)?;
    posix::fill(file, len, init)?;
    // The seals come last: what may fail comes before.
    let (file, stat) = (reopen()?, sys::stat(file.as_raw_fd())?);
    sys::seal(&file, SEALS)?;
    Ok(Segment::from_file(file, &stat, at.clone()))
}

/// Opens what is in `memfd` for reading, and for writing if need be.
pub(crate) fn open(at: &Location, memfd: &Memfd, write: bool) -> Result<(File, Stat), OpenError> {
    if let Some(trouble) = memfd.trouble() {
        return Err(OpenError::Unsealed { name: at.clone(), trouble });
    }
    let file = memfd.reopen(write).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { name: at.clone() },
        _ => OpenError::Os(OsError::from_io("open(/proc/self/fd)", &error)),
    })?;
    let stat = sys::stat(file.as_raw_fd())?;
    if stat.size == 0 {
        return Err(OpenError::Empty { name: at.clone() });
    }
    Ok((file, stat))
}
