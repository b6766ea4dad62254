//! What every Unix has between two processes: a pipe and a stream socket, polled, a system call a message.
//!
//! The kernel keeps the messages: a pipe of as many bytes as the ring has, a socket that may buffer as many. A message is
//! sent in one call and read in one call. (Both hand over small writes whole; if one did not, the next message would be
//! told as wrong.)

use crate::candidate::{Build, Setup};
use crate::duplex::{Ping, Pong};
use crate::message::{bytes, bytes_mut};
use crate::ours::maker;
use crate::seam::{Rx, Tx};
use crate::stream::{Drain, Source};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::unistd::{pipe2, read, write};
use std::os::fd::OwnedFd;

/// One end of a pipe or a socket.
#[derive(Debug)]
pub(crate) struct End(OwnedFd);

impl<const W: usize> Tx<W> for End {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // Whatever else than `EAGAIN` it may be, it lasts, and the patience of the caller ends it.
        write(&self.0, bytes(message)).is_ok_and(|count| count == 8 * W)
    }
}

impl<const W: usize> Rx<W> for End {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        read(&self.0, bytes_mut(message)).is_ok_and(|count| count == 8 * W)
    }
}

/// Sending and receiving end of one direction of `bytes`.
pub(crate) type Open = fn(usize) -> Result<[End; 2], String>;

fn open_pipe(bytes: usize, flags: OFlag) -> Result<[End; 2], String> {
    let failed = |e| format!("no pipe of {bytes} bytes: {e}");
    let (rx, tx) = pipe2(flags | OFlag::O_CLOEXEC).map_err(failed)?;
    fcntl(&tx, FcntlArg::F_SETPIPE_SZ(bytes as i32)).map_err(failed)?;
    Ok([End(tx), End(rx)])
}

fn open_unix(bytes: usize, flags: SockFlag) -> Result<[End; 2], String> {
    let failed = |e| format!("no Unix socket of {bytes} bytes: {e}");
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    let (tx, rx) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags).map_err(failed)?;
    setsockopt(&tx, sockopt::SndBuf, &bytes).map_err(failed)?;
    Ok([End(tx), End(rx)])
}

/// A pipe whose calls return at once.
pub(crate) fn pipe(bytes: usize) -> Result<[End; 2], String> {
    open_pipe(bytes, OFlag::O_NONBLOCK)
}

/// A Unix stream socket whose calls return at once.
pub(crate) fn unix(bytes: usize) -> Result<[End; 2], String> {
    open_unix(bytes, SockFlag::SOCK_NONBLOCK)
}

/// A pipe whose calls sleep.
pub(crate) fn pipe_that_waits(bytes: usize) -> Result<[End; 2], String> {
    open_pipe(bytes, OFlag::empty())
}

/// A Unix stream socket whose calls sleep.
pub(crate) fn unix_that_waits(bytes: usize) -> Result<[End; 2], String> {
    open_unix(bytes, SockFlag::empty())
}

/// Round trip over one of `bytes` each way.
pub(crate) fn round_trip<const W: usize>(open: Open, bytes: usize) -> Build {
    Box::new(move |_| {
        let ([out_tx, out_rx], [back_tx, back_rx]) = (open(bytes)?, open(bytes)?);
        let ping = maker(move || Ok(Ping::<W, _, _>::new(out_tx, back_rx)));
        let pong = maker(move || Ok(Pong::<W, _, _>::new(back_tx, out_rx)));
        Ok(Setup { parties: vec![ping, pong], published: None })
    })
}

/// One way.
pub(crate) fn one_way<const W: usize>(open: Open, bytes: usize) -> Build {
    Box::new(move |_| {
        let [tx, rx] = open(bytes)?;
        let (source, drain) = (Source::<W, _>::new(tx), Drain::<W, _>::new(rx));
        Ok(Setup { parties: vec![maker(move || Ok(source)), maker(move || Ok(drain))], published: None })
    })
}
