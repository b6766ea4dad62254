#![doc = include_str!("../README.md")]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "ring-shm needs Linux: open-file-description locks, O_TMPFILE and /proc/self/fd have no counterpart here"
);

mod attach;
#[cfg(feature = "async")]
mod awaited;
mod backing;
#[cfg(feature = "async")]
mod block_on;
mod chime;
mod descriptor;
pub mod doctor;
#[cfg(feature = "async")]
mod eager;
mod error;
mod facts;
mod fork;
mod futex;
mod guard;
mod heap;
mod hub;
mod inventory;
mod lease;
mod lent;
mod life;
mod limits;
mod location;
mod look;
mod mapping;
mod memfd;
mod memory;
pub mod mpmc;
mod name;
mod open;
mod payload;
pub mod placement;
mod posix;
mod range;
mod segment;
mod setup_error;
mod shm;
mod sleep;
mod socket;
pub mod spsc;
mod strategy;
mod sys;
mod sysv;
mod trust;
mod typed;
pub mod wait;
mod wait_set;
mod watched;

pub use attach::kind_of;
pub use error::{
    CreateError, FileKind, HandoverError, LeaseError, MapError, OpenError, OsError, StrictObject, UnlinkError,
};
pub use facts::Facts;
pub use guard::guard_against_truncation;
pub use inventory::{SegmentInfo, StaleReport};
pub use lease::{LeasedMapping, Probe, SelfTest};
pub use location::{Location, ToLocation};
pub use mapping::Mapping;
pub use memfd::{Memfd, Unsealed};
pub use name::{NameError, SegmentName};
pub use payload::{Payload, PayloadType, TypeFacts};
pub use segment::{Access, OpenRules, Segment};
pub use setup_error::{SetupError, SetupErrorKind};
pub use sysv::SysvName;
pub use trust::{Trust, Trusted, Untrusted};
pub use typed::Typed;

pub use ring_core::{AttachError, Corrupt, Field, FormatError, Kind, Position, Role, SeatState, Verdict, Waiting};

/// Removes the name of a ring, be it a POSIX segment or a file. The living go on with what they have mapped; nobody new can open it.
///
/// # Errors
/// [`UnlinkError::InUse`] while a handle lives, unless `force`.
pub fn unlink(at: impl ToLocation, force: bool) -> Result<(), UnlinkError> {
    Segment::unlink(at, force)
}

/// The project's README, so that its examples are run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct ProjectReadme;
