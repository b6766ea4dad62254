//! Descriptors in our own hands: what a peer does who does not use the library, or keeps what he has handed on.
//!
//! # Safety
//!
//! 1. Messages are described by live locals of the right type, and descriptors that have been received are nobody
//!    else's.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::fs::File;
use std::io::Error;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::thread;

pub const PAGE: usize = 4096;

pub const FOR_EVER: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
pub const READ_ONLY: i32 = FOR_EVER | FUTURE_WRITE;
/// `linux/fcntl.h`.
pub const FUTURE_WRITE: i32 = 0x10;

/// A message of one byte with `fds`.
pub fn send(socket: &UnixStream, mut byte: u8, fds: &[RawFd]) {
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = [0_u64; 160];
    // SAFETY: 1; plain numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let bytes = size_of_val(fds) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: 1; plain numbers.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
        // SAFETY: 1; there is room for the header and all descriptors.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().copy_from_nonoverlapping(fds.as_ptr(), fds.len());
        }
    }
    // SAFETY: 1.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    assert_eq!(sent, 1, "{}", Error::last_os_error());
}

/// The next message; `None` at the end.
pub fn receive(socket: &UnixStream) -> Option<(u8, Vec<File>)> {
    let mut byte = 0_u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = [0_u64; 160];
    // SAFETY: 1; plain numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: 1.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
    if read <= 0 {
        return None;
    }
    let mut files = Vec::new();
    // SAFETY: 1; the kernel has filled in the header and so many descriptors.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null() {
            let count = ((*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
            for i in 0..count {
                let fd = libc::CMSG_DATA(header).cast::<RawFd>().add(i).read_unaligned();
                files.push(File::from(OwnedFd::from_raw_fd(fd)));
            }
        }
    }
    Some((byte, files))
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
