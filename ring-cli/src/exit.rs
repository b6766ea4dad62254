//! What the process ends with: the exit codes of `ringctl`, a failure with its message, and the way from the
//! library's and the system's errors to both. Commands return a [`Failure`]; only `main` reports it.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use nix::libc;
use ring_shm::spsc::{RecvError, SendError};
use ring_shm::{OsError, SetupError, SetupErrorKind, UnlinkError, mpmc};

/// The exit codes; 0 is success. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Anything that no other code names.
    Other = 1,
    /// The command line, or what it asks for, is impossible.
    Arguments = 2,
    /// The peer died; everything it committed has been written.
    PeerDied = 3,
    /// The segment is damaged, or not what this version understands.
    Corrupt = 4,
    /// No room, no memory, no descriptor; or no such segment.
    NoResource = 5,
    /// It exists, is in use, or its seat is taken.
    InUse = 6,
    /// The system's permissions forbid it.
    Permission = 7,
    /// The time given with `--wait` is over.
    Timeout = 8,
    /// SIGINT, after an orderly close.
    Interrupted = 130,
    /// SIGTERM, after an orderly close.
    Terminated = 143,
}

impl Code {
    /// The code of that number, if there is one.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [
            Self::Other,
            Self::Arguments,
            Self::PeerDied,
            Self::Corrupt,
            Self::NoResource,
            Self::InUse,
            Self::Permission,
            Self::Timeout,
            Self::Interrupted,
            Self::Terminated,
        ];
        all.into_iter().find(|code| *code as u8 == number)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command ends with another code than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
}

impl Failure {
    /// A failure whose message says what happened and what to do.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The same failure, saying first where it happened.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same failure with something added.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }

    /// Writes the message, if there is one, to standard error, where nobody may listen any more.
    pub(crate) fn report(&self) {
        if !self.message.is_empty() {
            note(&self.message);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Something for people, on standard error.
pub(crate) fn note(message: &str) {
    let _ = writeln!(io::stderr(), "ringctl: {message}");
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let code = match error.kind() {
            SetupErrorKind::Invalid => Code::Arguments,
            SetupErrorKind::NotFound | SetupErrorKind::NoResource => Code::NoResource,
            SetupErrorKind::Exists | SetupErrorKind::InUse => Code::InUse,
            SetupErrorKind::Permission => Code::Permission,
            SetupErrorKind::Corrupt | SetupErrorKind::WrongType => Code::Corrupt,
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<UnlinkError> for Failure {
    fn from(error: UnlinkError) -> Self {
        let code = match &error {
            UnlinkError::Name(_) => Code::Arguments,
            UnlinkError::NotFound { .. } => Code::NoResource,
            UnlinkError::Permission { .. } => Code::Permission,
            UnlinkError::NotASegment { .. } | UnlinkError::NotARing { .. } | UnlinkError::OtherName { .. } => {
                Code::Corrupt
            }
            UnlinkError::InUse { .. } | UnlinkError::Attached { .. } | UnlinkError::GateBusy { .. } => Code::InUse,
            UnlinkError::Os(os) => os_code(*os),
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OsError> for Failure {
    fn from(error: OsError) -> Self {
        Self::new(os_code(error), error.to_string())
    }
}

fn os_code(error: OsError) -> Code {
    io_code(&error.into())
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let code = match error {
            SendError::PeerDied => Code::PeerDied,
            SendError::Corrupt(_) => Code::Corrupt,
            SendError::Os(error) => os_code(error),
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RecvError> for Failure {
    fn from(error: RecvError) -> Self {
        let code = match error {
            RecvError::PeerDied => Code::PeerDied,
            RecvError::Corrupt(_) => Code::Corrupt,
            RecvError::Os(error) => os_code(error),
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<mpmc::SendError> for Failure {
    fn from(error: mpmc::SendError) -> Self {
        let code = match error {
            mpmc::SendError::Corrupt(_) => Code::Corrupt,
            mpmc::SendError::Os(error) => os_code(error),
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<mpmc::RecvError> for Failure {
    fn from(error: mpmc::RecvError) -> Self {
        let code = match error {
            mpmc::RecvError::Corrupt(_) => Code::Corrupt,
            mpmc::RecvError::Os(error) => os_code(error),
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

/// Of whom rings are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// The directory of those that have a bare name.
    Names,
    Directory(&'a Path),
    Process(u32),
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names => f.write_str("/dev/shm"),
            Self::Directory(path) => path.display().fmt(f),
            Self::Process(pid) => write!(f, "process {pid}"),
        }
    }
}

/// That the rings of `holder` cannot be listed.
pub(crate) fn unlisted(holder: Holder<'_>, error: OsError) -> Failure {
    let cure = match (holder, error.code) {
        (Holder::Process(_), libc::ENOENT | libc::ESRCH) => "name one that runs, by its number in this PID namespace",
        (_, libc::ENOENT | libc::ENOTDIR) => "name a directory that is there",
        (Holder::Process(_), libc::EACCES | libc::EPERM) => "run as its user, who may trace it",
        (_, libc::EACCES | libc::EPERM) => "run as a user who may read it",
        _ => return error.into(),
    };
    Failure::new(os_code(error), format!("{holder}: {}: {cure}", io::Error::from(error)))
}

/// A failure of reading or writing `what`.
pub(crate) fn io_failure(what: &str, error: &io::Error) -> Failure {
    let cure = match error.raw_os_error() {
        Some(libc::EMFILE) => ": raise the limit of open files of this process (`ulimit -n`)",
        Some(libc::ENFILE) => ": raise the limit of open files of the system (`sysctl fs.file-max`)",
        Some(libc::EFBIG) => ": raise the limit of file sizes (`ulimit -f`), or write to another file system",
        _ => "",
    };
    Failure::new(io_code(error), format!("{what}: {error}{cure}"))
}

fn io_code(error: &io::Error) -> Code {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Code::Permission,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory | ErrorKind::FileTooLarge => {
            Code::NoResource
        }
        // Those that have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOLCK)) => Code::NoResource,
        _ => Code::Other,
    }
}
