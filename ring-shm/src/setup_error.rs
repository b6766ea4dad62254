//! Why a ring was not created, or a handle does not sit in it: one error for the whole way from a name to a handle,
//! with a [`kind`](SetupError::kind) for callers that only branch on the cause.

use core::fmt;

use ring_core::mpmc::JoinError;
use ring_core::{AttachError, Corrupt, FormatError, Role, SeatError};

use crate::error::{CreateError, HandoverError, LeaseError, MapError, OpenError};
use crate::memfd::Unsealed;
use crate::name::NameError;
use crate::payload::TypeFacts;
use crate::placement::PlacementError;

/// The cause of a [`SetupError`], coarse enough to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupErrorKind {
    /// A name, a size or an option is impossible.
    Invalid,
    /// There is no such segment.
    NotFound,
    /// The name is taken.
    Exists,
    /// A living process holds the seat, or every place.
    InUse,
    /// The system's permissions forbid it.
    Permission,
    /// The segment is not such a ring, or is damaged.
    Corrupt,
    /// The ring carries another type.
    WrongType,
    /// The ring was closed, and nothing can be sent any more.
    Closed,
    /// Memory, space, descriptors or maps have run out.
    NoResource,
    /// Anything else.
    Other,
}

/// Why a ring was not created or no handle sits in it. Nothing is left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The name is not a segment name.
    Name(NameError),
    /// The options do not make a ring.
    Format(FormatError),
    /// The segment could not be created.
    Create(CreateError),
    /// The segment could not be opened.
    Open(OpenError),
    /// The segment could not be mapped.
    Map(MapError),
    /// The lease could not be taken.
    Lease(LeaseError),
    /// The segment does not hold a ring that this version can work with.
    Attach(AttachError),
    /// The ring carries another type than the handle wants to send or receive.
    WrongType {
        /// What the ring carries; `None`: bytes of no stated type.
        found: Option<Box<TypeFacts>>,
        /// What the handle wants.
        expected: Box<TypeFacts>,
    },
    /// A living process holds the seat.
    Taken {
        /// Which seat.
        role: Role,
        /// The lease it is held under.
        lease: u64,
        /// Process id of the holder in its own PID namespace; 0 when it has not said yet.
        pid: u64,
    },
    /// Somebody holds the seat whose death cannot be shown (only where the file system does not keep locks with
    /// mappings).
    Unknown {
        /// Which seat.
        role: Role,
        /// The lease it is held under.
        lease: u64,
        /// Process id of the holder in its own PID namespace.
        pid: u64,
    },
    /// Every place that an MPMC ring has for this role is taken.
    TableFull {
        /// Which role.
        role: Role,
        /// Places of the living.
        alive: usize,
        /// Places of those who cannot be shown to be dead.
        unknown: usize,
        /// Places of the dead that become free when somebody alive goes on, who is in the middle of the same slot.
        unsettled: usize,
    },
    /// The ring was closed: no producer can join.
    Closed,
    /// The memory could not be placed as required.
    Placement(PlacementError),
    /// A strict ring was not handed over.
    Handover(HandoverError),
    /// A ring that nobody may have open is in use.
    HasUsers {
        /// A lease that is held; `None`: somebody attaches.
        lease: Option<u64>,
    },
    /// Nothing in the ring tells of a sync.
    NeverSynced,
    /// The ring lies in memory, and was to be recovered after a power loss.
    NoDisk,
    /// Others kept creating, removing or taking over at the same time.
    Contended,
    /// The memory could not be allocated (heap rings).
    NoMemory {
        /// Bytes asked for.
        asked: u64,
    },
}

impl SetupError {
    /// The cause, coarsely.
    #[must_use]
    pub fn kind(&self) -> SetupErrorKind {
        use SetupErrorKind as Kind;
        match self {
            Self::Name(_) | Self::Format(_) | Self::NoDisk => Kind::Invalid,
            Self::Create(e) => match e {
                CreateError::Exists { .. } => Kind::Exists,
                CreateError::KeyTaken { .. } => Kind::InUse,
                CreateError::Name(_)
                | CreateError::BadLength { .. }
                | CreateError::BadMode { .. }
                | CreateError::NoBudget { .. }
                | CreateError::Unsealable { .. } => Kind::Invalid,
                CreateError::BadGroup { .. } | CreateError::Permission { .. } => Kind::Permission,
                CreateError::NoSpace { .. }
                | CreateError::FileSizeLimit { .. }
                | CreateError::AboveLimit { .. }
                | CreateError::OverBudget { .. }
                | CreateError::MemoryLimit { .. } => Kind::NoResource,
                CreateError::NoDirectory { .. } => Kind::NotFound,
                CreateError::Os(os) => os_kind(os.code),
                CreateError::Contended { .. } | CreateError::BudgetBusy => Kind::Other,
            },
            Self::Open(e) => match e {
                OpenError::Name(_) => Kind::Invalid,
                // Not yet sealed is not yet made.
                OpenError::NotFound { .. }
                | OpenError::Gone { .. }
                | OpenError::Unsealed { trouble: Unsealed::NotYet, .. } => Kind::NotFound,
                OpenError::Permission { .. }
                | OpenError::ForeignOwner { .. }
                | OpenError::WorldWritable { .. }
                | OpenError::Linked { .. } => Kind::Permission,
                OpenError::NotASegment { .. }
                | OpenError::OtherName { .. }
                | OpenError::Empty { .. }
                | OpenError::Unsealed { .. } => Kind::Corrupt,
                OpenError::Os(os) => os_kind(os.code),
            },
            Self::Map(e) => map_kind(e),
            Self::Lease(e) => match e {
                LeaseError::Gone => Kind::NotFound,
                LeaseError::NumbersTaken { .. } | LeaseError::BadNumber { .. } => Kind::Corrupt,
                LeaseError::Map(e) => map_kind(e),
                LeaseError::Os(os) => os_kind(os.code),
                _ => Kind::Other,
            },
            Self::Attach(_) => Kind::Corrupt,
            Self::WrongType { .. } => Kind::WrongType,
            Self::Taken { .. } | Self::Unknown { .. } | Self::TableFull { .. } | Self::HasUsers { .. } => Kind::InUse,
            Self::NeverSynced => Kind::Corrupt,
            Self::Closed => Kind::Closed,
            Self::Placement(_) => Kind::NoResource,
            Self::Handover(e) => match e {
                HandoverError::TimedOut { .. } | HandoverError::PeerGone { .. } | HandoverError::PageSize { .. } => {
                    Kind::Other
                }
                HandoverError::Seated { .. } => Kind::InUse,
                HandoverError::Socket(os) => os_kind(os.code),
                _ => Kind::Corrupt,
            },
            Self::NoMemory { .. } => Kind::NoResource,
            Self::Contended => Kind::Other,
        }
    }

    /// The refusal of a place among many.
    pub(crate) fn join(error: JoinError, role: Role) -> Self {
        match error {
            JoinError::TableFull { alive, unknown, unsettled } => Self::TableFull { role, alive, unknown, unsettled },
            JoinError::Closed => Self::Closed,
            JoinError::Corrupt(c) => Self::Attach(c.into()),
            _ => Self::Contended,
        }
    }

    /// The refusal of a seat, with who sits there.
    pub(crate) fn seat(error: SeatError, role: Role, pid: u64) -> Self {
        match error {
            SeatError::Taken { lease } => Self::Taken { role, lease, pid },
            SeatError::Unknown { lease } => Self::Unknown { role, lease, pid },
            SeatError::Corrupt(c) => Self::Attach(c.into()),
            SeatError::Strict => HandoverError::Seated { role }.into(),
            _ => Self::Contended,
        }
    }
}

fn map_kind(error: &MapError) -> SetupErrorKind {
    match error {
        MapError::Resized { .. } => SetupErrorKind::Corrupt,
        MapError::Gone => SetupErrorKind::NotFound,
        MapError::TooLarge { .. } => SetupErrorKind::NoResource,
        MapError::Os(os) => os_kind(os.code),
        _ => SetupErrorKind::Other,
    }
}

fn os_kind(code: i32) -> SetupErrorKind {
    match code {
        libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::EDQUOT | libc::EAGAIN => {
            SetupErrorKind::NoResource
        }
        libc::EACCES | libc::EPERM | libc::EROFS => SetupErrorKind::Permission,
        libc::ENOENT => SetupErrorKind::NotFound,
        _ => SetupErrorKind::Other,
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(e) => e.fmt(f),
            Self::Format(e) => e.fmt(f),
            Self::Create(e) => e.fmt(f),
            Self::Open(e) => e.fmt(f),
            Self::Map(e) => e.fmt(f),
            Self::Lease(e) => e.fmt(f),
            Self::Attach(e) => e.fmt(f),
            Self::WrongType { found, expected } => {
                f.write_str("the ring carries ")?;
                match found {
                    Some(found) => found.fmt(f)?,
                    None => f.write_str("bytes of no stated type")?,
                }
                write!(f, ", and not {expected}; build both sides from one declaration, or use another ring")
            }
            Self::Taken { role, lease, pid } => write!(
                f,
                "the ring has a living {role} already: process {pid} (lease {lease}); end it, or use another ring"
            ),
            Self::Unknown { role, lease, pid } => write!(
                f,
                "process {pid} holds the {role}'s seat (lease {lease}) and cannot be shown to be dead here; make sure \
                 that it is, then say so with `ringctl recover NAME --assume-dead {lease}`"
            ),
            Self::TableFull { role, alive, unknown, unsettled } => write!(
                f,
                "the ring has no place for another {role}: {alive} taken by the living, {unknown} by processes that \
                 cannot be shown to be dead, {unsettled} by dead ones whose slots are in use; end one, or create the \
                 ring with more"
            ),
            Self::Closed => f.write_str("the ring is closed: no producer can join; create a new one"),
            Self::Placement(e) => e.fmt(f),
            Self::Handover(e) => e.fmt(f),
            Self::HasUsers { lease } => {
                f.write_str("somebody has the ring open")?;
                if let Some(lease) = lease {
                    write!(f, " (lease {lease})")?;
                }
                f.write_str("; end all its users first: who goes on with it now would write over what is to be found")
            }
            Self::NeverSynced => f.write_str(
                "nothing in the ring tells of a sync, so nothing in it is certain; remove it and create it anew, and \
                 call `sync` where a power loss matters",
            ),
            Self::NoDisk => f.write_str(
                "the ring lies in memory, of which a power loss leaves nothing: it is whole, open it as it is",
            ),
            Self::Contended => {
                f.write_str("other processes kept creating, removing or taking over this ring meanwhile; try again")
            }
            Self::NoMemory { asked } => write!(f, "{asked} bytes of memory could not be allocated; ask for fewer"),
        }
    }
}

impl core::error::Error for SetupError {}

macro_rules! from {
    ($($source:ty => $variant:ident),*) => {$(
        impl From<$source> for SetupError {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}
from!(NameError => Name, FormatError => Format, CreateError => Create, OpenError => Open, MapError => Map,
      LeaseError => Lease, AttachError => Attach, PlacementError => Placement, HandoverError => Handover);

impl From<Corrupt> for SetupError {
    fn from(error: Corrupt) -> Self {
        Self::Attach(error.into())
    }
}
