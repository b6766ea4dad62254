//! Descriptors over Unix sockets: messages of one byte with some of them.
//!
//! Whoever is at the other end is not trusted: however many descriptors come, those that nobody wants are closed.
//!
//! # Safety
//!
//! 1. The descriptors that `recvmsg` has put into a message were made for this process by the kernel, and nobody else
//!    knows them.
//! 2. The one `pollfd` is a live local.
#![allow(unsafe_code)]
#![allow(clippy::useless_conversion)] // the widths of libc types differ between targets

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::error::OsError;

/// As many descriptors as the kernel lets into one message: with room for fewer, those that do not fit would make an
/// error of a message whose others are open already.
const MOST: usize = 253;

/// Whether to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// As long as the socket does.
    Blocking,
    /// Until then at most.
    Until(Instant),
}

impl Waiting {
    fn flags(self) -> MsgFlags {
        match self {
            Self::Blocking => MsgFlags::empty(),
            Self::Until(_) => MsgFlags::MSG_DONTWAIT,
        }
    }

    /// What an operation that would block does: it waits for `events`, or is late.
    fn or_late(self, socket: &UnixStream, events: libc::c_short) -> io::Result<()> {
        let Self::Until(deadline) = self else { return Err(io::ErrorKind::WouldBlock.into()) };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // Rounded up, so that it is never a busy loop.
            let millis = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
            let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
            // SAFETY: 2.
            match unsafe { libc::poll(&mut poll, 1, millis) } {
                1.. => return Ok(()), // also the other side's end, which the operation will tell
                0 => {}
                _ => match OsError::last("poll") {
                    OsError { code: libc::EINTR, .. } => {}
                    error => return Err(io::Error::from_raw_os_error(error.code)),
                },
            }
        }
    }
}

/// Sends `byte` and `fds` with it.
///
/// # Errors
/// What the socket says; `TimedOut`.
pub(crate) fn send(socket: &UnixStream, byte: u8, fds: &[BorrowedFd<'_>], waiting: Waiting) -> io::Result<()> {
    let (byte, fds) = ([byte], fds.iter().map(|fd| fd.as_raw_fd()).collect::<Vec<_>>());
    let data = [IoSlice::new(&byte)];
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &data, rights, MsgFlags::MSG_NOSIGNAL | waiting.flags(), None) {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::EAGAIN) => waiting.or_late(socket, libc::POLLOUT)?,
            Err(code) => return Err(code.into()),
        }
    }
}

/// Takes a byte and the descriptors that came with it.
///
/// # Errors
/// What the socket says; `UnexpectedEof` when it is closed; `TimedOut`.
pub(crate) fn receive(socket: &UnixStream, waiting: Waiting) -> io::Result<(u8, Vec<OwnedFd>)> {
    loop {
        let mut byte = [0];
        let mut data = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!([RawFd; MOST]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | waiting.flags();
        let message = match recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags) {
            Ok(message) => message,
            Err(nix::Error::EINTR) => continue,
            Err(nix::Error::EAGAIN) => {
                waiting.or_late(socket, libc::POLLIN)?;
                continue;
            }
            Err(code) => return Err(code.into()),
        };
        let mut received = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = part {
                // SAFETY: 1.
                received.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let read = message.bytes;
        return if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok((byte[0], received)) };
    }
}
