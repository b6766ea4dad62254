//! Descriptors in our own hands: what a peer does who does not use the library, or keeps what he has handed on.
//!
//! # Safety
//!
//! 1. Descriptors that have been made or received here are nobody else's.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

pub const PAGE: usize = 4096;

pub const FOR_EVER: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
pub const READ_ONLY: i32 = FOR_EVER | FUTURE_WRITE;
/// `linux/fcntl.h`.
pub const FUTURE_WRITE: i32 = 0x10;

/// A message of one byte with `fds`.
pub fn send(socket: &UnixStream, byte: u8, fds: &[RawFd]) {
    let byte = [byte];
    let rights = if fds.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(fds)] };
    let sent = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&byte)], &rights, MsgFlags::MSG_NOSIGNAL, None);
    assert_eq!(sent, Ok(1));
}

/// The next message; `None` at the end.
pub fn receive(socket: &UnixStream) -> Option<(u8, Vec<File>)> {
    let (mut byte, mut space) = ([0], nix::cmsg_space!([RawFd; 253]));
    let mut part = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut part, Some(&mut space), flags).ok()?;
    let mut files = Vec::new();
    for part in message.cmsgs().unwrap() {
        if let ControlMessageOwned::ScmRights(fds) = part {
            // SAFETY: 1.
            files.extend(fds.into_iter().map(|fd| unsafe { File::from_raw_fd(fd) }));
        }
    }
    let read = message.bytes;
    (read == 1).then(|| (byte[0], files))
}

/// A memfd with `bytes` in it and `seals` on it.
pub fn sealed(bytes: &[u8], seals: i32) -> File {
    // SAFETY: a C string and flags.
    let fd = unsafe { libc::memfd_create(c"forged".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    assert!(fd >= 0);
    // SAFETY: 1; just made.
    let file = unsafe { File::from_raw_fd(fd) };
    file.write_all_at(bytes, 0).unwrap();
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) }, 0);
    file
}

/// What is in a file.
pub fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Hands the three messages of a hand-over on, between `producer` and `consumer`, and keeps what was in them: the common
/// object, the producer's, the consumer's.
pub fn between(producer: &UnixStream, consumer: &UnixStream) -> Option<[File; 3]> {
    let (byte, mut kept) = receive(producer)?;
    send(consumer, byte, &kept.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
    let (byte, answer) = receive(consumer)?;
    send(producer, byte, &answer.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
    let (byte, none) = receive(producer)?;
    assert!(none.is_empty());
    send(consumer, byte, &[]);
    kept.extend(answer);
    kept.try_into().ok()
}

/// Runs the two sides of a hand-over with somebody in between.
pub fn overheard<P: Send, C: Send>(
    producer: impl FnOnce(&UnixStream) -> P + Send,
    consumer: impl FnOnce(&UnixStream) -> C + Send,
) -> (P, C, [File; 3]) {
    let ((here, to_producer), (there, to_consumer)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    thread::scope(|s| {
        let (tx, rx) = (s.spawn(move || producer(&here)), s.spawn(move || consumer(&there)));
        let kept = between(&to_producer, &to_consumer).expect("a whole hand-over");
        (tx.join().unwrap(), rx.join().unwrap(), kept)
    })
}
