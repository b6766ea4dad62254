//! Strict rings, which have no name: the two workers of one are born with the ends of a socket as their standard input, and
//! hand it over themselves. Nobody succeeds either of them.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use ring_shm::spsc::{Consumer, Options, Producer};

use crate::Failure;

/// What a worker is told instead of a name.
pub(crate) const NAME: &str = "strict";

/// How long the other side may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// The ends of a socket: the sender's, and the receiver's.
pub(crate) struct Ends([UnixStream; 2]);

impl Ends {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (sender, receiver) = UnixStream::pair()?;
        Ok(Self([sender, receiver]))
    }

    /// What the sender, or the receiver, is to be born with.
    pub(crate) fn of(&self, sends: bool) -> Result<Stdio, Failure> {
        let Self([sender, receiver]) = self;
        Ok(OwnedFd::from(if sends { sender } else { receiver }.try_clone()?).into())
    }
}

/// The end that this process was born with.
fn own() -> Result<UnixStream, Failure> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

pub(crate) fn producer(capacity: u64) -> Result<Producer, Failure> {
    Ok(Producer::create_strict(&own()?, &Options::new().capacity(capacity), PATIENCE)?)
}

pub(crate) fn consumer() -> Result<Consumer, Failure> {
    Ok(Consumer::open_strict(&own()?, PATIENCE)?)
}
