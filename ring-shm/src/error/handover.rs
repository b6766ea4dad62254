//! Why a strict ring was not handed over.

use core::fmt;

use nix::fcntl::SealFlag;
use ring_core::{AttachError, Role};

use super::OsError;

/// One of the three objects of a strict ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrictObject {
    /// The one that its producer or its consumer alone can write.
    Of(Role),
    /// The one that both write.
    Common,
}

impl StrictObject {
    /// What it has to be sealed against.
    pub(crate) fn seals(self) -> SealFlag {
        let for_ever = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        match self {
            Self::Of(_) => for_ever | SealFlag::F_SEAL_FUTURE_WRITE,
            Self::Common => for_ever,
        }
    }

    /// What it must not be sealed against.
    pub(crate) fn open_to(self) -> SealFlag {
        match self {
            Self::Of(_) => SealFlag::empty(),
            Self::Common => SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_FUTURE_WRITE,
        }
    }
}

impl fmt::Display for StrictObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(role) => write!(f, "{role}'s object"),
            Self::Common => f.write_str("common object"),
        }
    }
}

/// Why a strict ring was not handed over. Nothing is left behind on this side, and the other side gets an error too, or
/// finds its peer gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandoverError {
    /// The peer did not answer in time.
    TimedOut {
        /// Who did not.
        peer: Role,
    },
    /// The peer closed the socket, or died, in the middle.
    PeerGone {
        /// Who.
        peer: Role,
    },
    /// What came over the socket is no part of such a hand-over.
    NoHandover {
        /// Who sent it.
        peer: Role,
        /// How many descriptors came with it.
        descriptors: usize,
    },
    /// An object is not sealed as it has to be.
    Seals {
        /// Which.
        object: StrictObject,
        /// The seals it has, as `fcntl(F_GET_SEALS)` tells them; `None`: it is no memfd.
        found: Option<i32>,
    },
    /// An object has an impossible size.
    Size {
        /// Which.
        object: StrictObject,
        /// Its bytes.
        found: u64,
        /// How many it has to have; of the producer's the fewest.
        expected: u64,
    },
    /// An object is sealed, and is not what it should be: they were exchanged, are of another ring, or of another version
    /// of the software.
    Foreign {
        /// Which.
        object: StrictObject,
        /// What is wrong with it.
        error: AttachError,
    },
    /// The seat is taken, in a ring that nobody else may have.
    Seated {
        /// Which seat.
        role: Role,
    },
    /// This machine's pages are too large.
    PageSize {
        /// Bytes of one.
        found: u64,
    },
    /// The socket failed.
    Socket(OsError),
}

/// What to call there.
fn call(role: Role) -> &'static str {
    match role {
        Role::Producer => "Producer::create_strict",
        Role::Consumer => "Consumer::open_strict",
    }
}

/// The names of the seals that matter here.
fn names(seals: SealFlag) -> String {
    let all = [
        (SealFlag::F_SEAL_SEAL, "F_SEAL_SEAL"),
        (SealFlag::F_SEAL_SHRINK, "F_SEAL_SHRINK"),
        (SealFlag::F_SEAL_GROW, "F_SEAL_GROW"),
        (SealFlag::F_SEAL_WRITE, "F_SEAL_WRITE"),
        (SealFlag::F_SEAL_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE"),
    ];
    let names: Vec<_> = all.into_iter().filter(|(seal, _)| seals.contains(*seal)).map(|(_, name)| name).collect();
    names.join(", ")
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { peer } => write!(
                f,
                "the {peer} did not answer in time: see that it calls `{}` at the other end of this socket, or wait \
                 longer; go on with a new socket",
                call(*peer)
            ),
            Self::PeerGone { peer } => write!(
                f,
                "the {peer} closed the socket or died before the ring was handed over (or was refused something: it \
                 knows what); start again with a new socket"
            ),
            Self::NoHandover { peer, descriptors } => write!(
                f,
                "what came over the socket, with {descriptors} descriptors, is no part of the hand-over of a strict \
                 ring: see that the {peer} calls `{}` at the other end, and that nobody else uses the socket meanwhile",
                call(*peer)
            ),
            Self::Seals { object, found: None } => {
                write!(f, "the {object} is no memfd: take no other from whoever sent it")
            }
            Self::Seals { object, found: Some(found) } => {
                let found = SealFlag::from_bits_retain(*found);
                let (missing, wrong) = (object.seals() - found, found & object.open_to());
                match wrong.is_empty() {
                    true => write!(f, "the {object} is not sealed with {}", names(missing))?,
                    false => write!(f, "the {object} is sealed with {}", names(wrong))?,
                }
                f.write_str(": its sender could change it under us, or sent another; take no other from it")
            }
            Self::Size { object, found, expected } => write!(
                f,
                "the {object} has {found} bytes, expected {expected}: its sender follows another protocol; use one \
                 version of the software on both sides"
            ),
            Self::Foreign { object, error } => write!(f, "the {object} is none of this ring: {error}"),
            Self::Seated { role } => write!(
                f,
                "the seat of the {role} is taken, in a ring that nobody else may have: make a new one, with a peer \
                 that follows the protocol"
            ),
            Self::PageSize { found } => write!(
                f,
                "strict rings need memory pages of 4096 bytes, and this machine has pages of {found}: use an ordinary \
                 ring in a `Memfd`"
            ),
            Self::Socket(error) => write!(f, "the ring was not handed over: {error}"),
        }
    }
}

impl core::error::Error for HandoverError {}
