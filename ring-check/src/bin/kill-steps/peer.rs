//! Those who live on: senders and receivers of both kinds of ring behind one face.

use ring_shm::{SetupError, SetupErrorKind, mpmc, spsc};

use crate::message::{self, Id, MAX};
use crate::page::Outcome;

/// Why an operation did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing there, or no room.
    Wait,
    /// Somebody is in the way.
    Busy,
    /// The orderly end of the ring, or of a session.
    Closed,
    /// The end of a session by death.
    Died,
    /// This must not happen.
    Wrong(String),
}

impl Refused {
    /// As a victim says it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Wait | Self::Busy => Outcome::Wait,
            Self::Closed | Self::Died => Outcome::End,
            Self::Wrong(_) => Outcome::Wrong,
        }
    }
}

impl From<spsc::TrySendError> for Refused {
    fn from(error: spsc::TrySendError) -> Self {
        match error {
            spsc::TrySendError::Full => Self::Wait,
            spsc::TrySendError::Disconnected => Self::Closed,
            spsc::TrySendError::PeerDied => Self::Died,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<spsc::TryRecvError> for Refused {
    fn from(error: spsc::TryRecvError) -> Self {
        match error {
            spsc::TryRecvError::Empty => Self::Wait,
            spsc::TryRecvError::Disconnected => Self::Closed,
            spsc::TryRecvError::PeerDied => Self::Died,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<mpmc::TrySendError> for Refused {
    fn from(error: mpmc::TrySendError) -> Self {
        match error {
            mpmc::TrySendError::Full => Self::Wait,
            mpmc::TrySendError::Busy { .. } => Self::Busy,
            mpmc::TrySendError::Disconnected => Self::Closed,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<mpmc::TryRecvError> for Refused {
    fn from(error: mpmc::TryRecvError) -> Self {
        match error {
            mpmc::TryRecvError::Empty => Self::Wait,
            mpmc::TryRecvError::Busy { .. } => Self::Busy,
            mpmc::TryRecvError::Disconnected => Self::Closed,
            error => Self::Wrong(error.to_string()),
        }
    }
}

/// A message received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) id: Id,
    pub(crate) flagged: bool,
    pub(crate) position: u64,
}

/// A sending handle.
pub(crate) trait Sends {
    fn send(&mut self, id: Id) -> Result<(), Refused>;
    /// Ends the ring (MPMC).
    fn close(&mut self) -> Result<(), Refused>;
    /// What it has settled in place of the dead.
    fn settled(&self) -> u64;
}

/// A receiving handle.
pub(crate) trait Receives {
    fn receive(&mut self) -> Result<Arrival, Refused>;
    fn settled(&self) -> u64;
}

impl Sends for spsc::Producer {
    fn send(&mut self, id: Id) -> Result<(), Refused> {
        let message = id.message();
        self.try_send(message.tag(), message.bytes())?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    fn settled(&self) -> u64 {
        0
    }
}

impl Sends for mpmc::Producer {
    fn send(&mut self, id: Id) -> Result<(), Refused> {
        let message = id.message();
        self.try_send(message.tag(), message.bytes())?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        Ok(self.close()?)
    }

    fn settled(&self) -> u64 {
        all_of(self.stats().settled)
    }
}

fn all_of(settled: mpmc::Settled) -> u64 {
    settled.skipped + settled.returned + settled.dropped + settled.released
}

/// Takes the next message in place, looks at it, releases it.
macro_rules! receive {
    ($rx:expr) => {{
        let record = $rx.try_read()?;
        let mut bytes = [0; MAX];
        let len = record.copy_to(&mut bytes).min(record.len());
        let arrival = Arrival {
            id: message::check(record.tag(), &bytes[..len]).map_err(Refused::Wrong)?,
            flagged: record.redelivered(),
            position: record.position().get(),
        };
        record.release();
        Ok(arrival)
    }};
}

impl Receives for spsc::Consumer {
    fn receive(&mut self) -> Result<Arrival, Refused> {
        receive!(self)
    }

    fn settled(&self) -> u64 {
        0
    }
}

impl Receives for mpmc::Consumer {
    fn receive(&mut self) -> Result<Arrival, Refused> {
        receive!(self)
    }

    fn settled(&self) -> u64 {
        all_of(self.stats().settled)
    }
}

/// Which kind of ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spsc,
    Mpmc,
}

impl Kind {
    pub(crate) fn sender(self, name: &str) -> Result<Box<dyn Sends>, SetupError> {
        Ok(match self {
            Self::Spsc => Box::new(spsc::Producer::open(name)?),
            Self::Mpmc => Box::new(mpmc::Producer::open(name)?),
        })
    }

    pub(crate) fn receiver(self, name: &str) -> Result<Box<dyn Receives>, SetupError> {
        Ok(match self {
            Self::Spsc => Box::new(spsc::Consumer::open(name)?),
            Self::Mpmc => Box::new(mpmc::Consumer::open(name)?),
        })
    }
}

/// Whether everything is taken, which passes when the holder is gone.
pub(crate) fn is_taken(error: &SetupError) -> bool {
    error.kind() == SetupErrorKind::InUse || *error == SetupError::Contended
}
