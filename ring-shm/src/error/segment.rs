//! Why a segment was not created, opened or removed, and how their messages name it.

use core::fmt;

use crate::location::Location;

mod create;
mod open;
mod unlink;

pub use create::CreateError;
pub use open::OpenError;
pub use unlink::UnlinkError;

/// The path of a location, for a shell.
struct Path<'l>(&'l Location);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path() {
            Some(path) => path.display().fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// A location without the key that it may name.
struct Keyless<'l>(&'l Location);

impl fmt::Display for Keyless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Location::Sysv(name) => write!(f, "sysv:{}", name.as_str()),
            at => at.fmt(f),
        }
    }
}
