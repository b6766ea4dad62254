//! The errors of the operating-system layer: one small enum for each operation, with the facts in the variants.
//!
//! Segments, mappings and leases return them; the handles' own errors live elsewhere and may wrap these. Every
//! message names the cure. Nothing here makes a system call.

mod handover;
mod lease;
mod os;
mod segment;

pub use handover::{HandoverError, StrictObject};
pub use lease::{LeaseError, MapError};
pub use os::{FileKind, OsError};
pub use segment::{CreateError, OpenError, UnlinkError};
