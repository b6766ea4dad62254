//! The other side of a victim's hand-over: real processes, each at its end of a socket, that nobody disturbs. Whatever
//! becomes of the victim, they end, in time, and keep nothing.
//!
//! A victim must make the same calls in each run, so its tracer lets it look for a message only when there is one, or the
//! peer is gone; and peers never sleep in the ring, so that nobody has to wake them.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use ring_shm::{HandoverError, SetupError};

use crate::Failure;
use crate::state::Holdings;
use crate::victim;

/// How long anybody waits for the other side. Nobody does, unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A consumer that takes the ring, and all records to the end of the session.
    Consumer,
    /// A producer that hands a ring over, and fills it until its consumer leaves.
    Producer,
    /// A consumer that takes the ring, and nothing out of it.
    IdleConsumer,
    /// A producer that hands a ring over, and puts nothing into it.
    IdleProducer,
    /// A producer that sends a record and is killed.
    DyingProducer,
    /// A consumer that takes the ring and is killed.
    DyingConsumer,
    /// Somebody who says nothing.
    Mute,
    /// Nobody: the other end is closed.
    Nobody,
}

/// What a victim has of them.
pub(crate) struct Ends {
    /// One socket for the operation, and one for doing it again.
    pub(crate) sockets: Vec<UnixStream>,
    /// Who is at the other end of the first.
    pub(crate) peer: Pid,
}

impl Ends {
    /// Waits until the peer is dead, and all that it had is gone.
    pub(crate) fn wait_for_death(&self) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.peer))?;
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')) {
                return Ok(());
            }
            sleep(Duration::from_micros(100));
        }
        Err("the peer does not die".into())
    }
}

/// The peers of one run.
#[derive(Debug)]
pub(crate) struct Peers {
    ends: Vec<UnixStream>,
    pids: Vec<Pid>,
    who: Option<Peer>,
}

impl Peers {
    /// Starts them, if any are wanted.
    pub(crate) fn start(who: Option<Peer>) -> Result<Self, Failure> {
        let mut pids = Vec::new();
        let Some(peer) = who else { return Ok(Self { ends: Vec::new(), pids, who }) };
        let mut pairs = vec![UnixStream::pair()?, UnixStream::pair()?];
        for i in 0..pairs.len() {
            let there = pairs[i].1.try_clone()?;
            // All ends that were inherited, but the one, are closed in the child alone.
            pids.push(victim::spawn_child(|| {
                pairs.clear();
                play(peer, there)
            })?);
        }
        let ends = pairs.into_iter().map(|(here, _)| here).collect();
        Ok(Self { ends, pids, who })
    }

    /// What the victim gets.
    pub(crate) fn ends(&self) -> Result<Ends, Failure> {
        let sockets = self.ends.iter().map(UnixStream::try_clone).collect::<Result<_, _>>()?;
        Ok(Ends { sockets, peer: self.pids.first().copied().unwrap_or(Pid::this()) })
    }

    /// Waits until the first socket has something to be read, or its other end is closed. A mute peer is not waited for.
    pub(crate) fn wait_for_message(&self) -> Result<(), Failure> {
        let Some(socket) = self.ends.first().filter(|_| self.who != Some(Peer::Mute)) else { return Ok(()) };
        loop {
            let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PATIENCE.as_millis() as u16) {
                Ok(0) => return Err("the peer says nothing".into()),
                Ok(_) => return Ok(()),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// After the victim's end: all of them must have ended as they should. Whether the first took part in a ring.
    pub(crate) fn finish(mut self) -> Result<bool, Failure> {
        let mut took_part = false;
        self.ends.clear();
        for (i, pid) in std::mem::take(&mut self.pids).into_iter().enumerate() {
            let killed = matches!(self.who, Some(Peer::DyingProducer | Peer::DyingConsumer));
            match waitpid(pid, None)? {
                WaitStatus::Exited(_, 0) => took_part |= i == 0,
                WaitStatus::Exited(_, REFUSED) => {}
                WaitStatus::Signaled(_, Signal::SIGKILL, _) if killed => {}
                status => return Err(format!("peer {i} of the victim ended: {status:?}").into()),
            }
        }
        Ok(took_part)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // Without the victim's ends they end by themselves.
        self.ends.clear();
        for pid in &self.pids {
            let _ = waitpid(*pid, None);
        }
    }
}

/// The exit status of who did not get a ring.
const REFUSED: i32 = 3;

/// A peer.
fn play(who: Peer, mut socket: UnixStream) -> Result<i32, Failure> {
    let options = Options::new().capacity(4096);
    let refused = match who {
        Peer::Nobody => None,
        Peer::Mute => {
            wait_for_end(&mut socket)?;
            None
        }
        Peer::Consumer | Peer::IdleConsumer | Peer::DyingConsumer => match Consumer::open_strict(&socket, PATIENCE) {
            Ok(rx) => {
                consume(who, rx, &mut socket)?;
                None
            }
            Err(error) => Some(error),
        },
        Peer::Producer | Peer::IdleProducer | Peer::DyingProducer => {
            match Producer::create_strict(&socket, &options, PATIENCE) {
                Ok(tx) => {
                    produce(who, tx, &mut socket)?;
                    None
                }
                Err(error) => Some(error),
            }
        }
    };
    // Whoever gives up is told apart from whoever does nothing for ever.
    if let Some(error @ SetupError::Handover(HandoverError::TimedOut { .. })) = refused {
        return Err(error.into());
    }
    let Holdings { descriptors, maps } = Holdings::of("self")?;
    match descriptors.iter().chain(&maps).find(|line| line.contains("memfd:ring.strict")) {
        Some(left) => Err(format!("{who:?} has kept {left}").into()),
        None => Ok(if refused.is_some() { REFUSED } else { 0 }),
    }
}

/// Reads until the other end is closed: what comes is nobody's.
fn wait_for_end(socket: &mut UnixStream) -> Result<(), Failure> {
    socket.set_read_timeout(Some(PATIENCE))?;
    loop {
        match socket.read(&mut [0; 16]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
    }
}

fn consume(who: Peer, mut rx: Consumer, socket: &mut UnixStream) -> Result<(), Failure> {
    match who {
        Peer::DyingConsumer => raise(Signal::SIGKILL)?,
        Peer::IdleConsumer => wait_for_end(socket)?,
        _ => {}
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match rx.try_recv_into(&mut [0; 64]) {
            Ok(_) => {}
            Err(TryRecvError::Empty) => sleep(Duration::from_micros(100)),
            Err(TryRecvError::Disconnected | TryRecvError::PeerDied) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err("the session does not end".into())
}

fn produce(who: Peer, mut tx: Producer, socket: &mut UnixStream) -> Result<(), Failure> {
    match who {
        Peer::DyingProducer => {
            tx.try_send(1, b"the last words")?;
            raise(Signal::SIGKILL)?;
        }
        Peer::IdleProducer => wait_for_end(socket)?,
        _ => {}
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match tx.try_send(1, &[0; 40]) {
            Ok(_) => {}
            Err(TrySendError::Full) => sleep(Duration::from_micros(100)),
            Err(TrySendError::Disconnected | TrySendError::PeerDied) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err("the consumer does not leave".into())
}
