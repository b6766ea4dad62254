//! A candidate: a transport in one scenario, as the harness sees it.
//!
//! Candidates are described before the fork and made after it, each party in its own thread or process. Nothing in
//! here runs inside a slice.

use crate::arena::Arena;
use crate::seam::{Fault, Part, Work};
use core::fmt;

/// Makes one party's part, in the thread or process that will run it.
pub type Maker = Box<dyn FnOnce() -> Result<Box<dyn Part>, Fault> + Send>;

/// Describes one instance of a candidate; runs before the fork, may carve shared memory.
pub type Build = Box<dyn Fn(&mut Arena) -> Result<Setup, String>>;

/// One instance, described.
pub struct Setup {
    /// The parties' makers. Party 0 is the driver; party `i` runs on CPU `i % 2`. Made in this order.
    pub parties: Vec<Maker>,
    /// Runs in the driver once all parties are made, or one could not be: takes names away again.
    pub published: Option<Box<dyn FnOnce()>>,
}

/// Where the parties other than the driver live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Threads of the driver's process.
    Threads,
    /// Processes of their own.
    Processes,
}

/// What a slice's time is divided by, and how the figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds a round trip.
    RoundTrip,
    /// The same less the time that both parties thought before they sent (`parked`).
    ParkedTrip,
    /// Millions of messages a second.
    Messages,
    /// Microseconds a call.
    Call,
    /// Messages of so many bytes, in gigabytes a second.
    Bytes(usize),
}

impl Unit {
    /// How the figure is called in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundTrip | Self::ParkedTrip => "ns",
            Self::Call => "us",
            Self::Messages => "M/s",
            Self::Bytes(_) => "GB/s",
        }
    }
}

/// A transport in a scenario.
pub struct Candidate {
    /// Stable, kebab-case, unlike any other.
    pub name: &'static str,
    /// Where the other parties live.
    pub place: Place,
    /// How many parties, the driver among them.
    pub parties: usize,
    /// What a slice's time means.
    pub unit: Unit,
    /// True where parties sleep in the kernel for each other, so that time without a CPU is no disturbance.
    pub sleeps: bool,
    /// What one slice does.
    pub work: Work,
    /// Messages of the full check before anything is timed.
    pub check: u64,
    /// Describes one instance.
    pub build: Build,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("name", &self.name).field("place", &self.place).finish_non_exhaustive()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("parties", &self.parties.len()).finish_non_exhaustive()
    }
}
