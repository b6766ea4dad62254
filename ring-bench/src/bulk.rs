//! One way with messages of any size: what the curves are made of. Every word is written by the sender and read by the
//! receiver, whatever the transport does between.

use crate::candidate::{Build, Setup};
use crate::message::STEP;
use crate::ours::{self, failed, fresh_name, maker, unlink};
use crate::rivals::Both;
use crate::seam::{Fault, Outcome, Part, Work};
use crate::{ours_mpmc, sys};
use crossbeam_queue::ArrayQueue;
use ring_shm::mpmc;
use ring_shm::spsc::{Consumer, Producer};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

/// A sending end for messages of any size.
pub(crate) trait Send {
    /// False when there is no room now.
    fn try_send(&mut self, message: &[u8]) -> bool;
}

/// A receiving end.
pub(crate) trait Receive {
    /// Fills all of `message`; false when there is none now.
    fn try_receive(&mut self, message: &mut [u8]) -> bool;
}

/// Tries until it is done, a `pause` between two tries. Bounded by the clock, looked at now and then: here a failed try
/// takes from nanoseconds to microseconds, so that a number of tries would mean nothing.
#[inline(always)]
fn poll(mut done: impl FnMut() -> bool) -> Result<(), Fault> {
    const LOST: u64 = 3_000_000_000;
    let (mut tries, mut since) = (0u32, 0);
    while !done() {
        core::hint::spin_loop();
        tries = tries.wrapping_add(1);
        if tries % 4096 == 0 {
            let now = sys::now();
            if since == 0 {
                since = now;
            } else if now - since > LOST {
                return Err(Fault::Stuck);
            }
        }
    }
    Ok(())
}

/// The sum of the words of message `number`.
fn sum(number: u64, words: u64) -> u64 {
    let pairs = (u128::from(words) * u128::from(words.saturating_sub(1)) / 2) as u64;
    number.wrapping_mul(words).wrapping_add(STEP.wrapping_mul(pairs))
}

/// Sends messages of `bytes.len()` bytes.
struct Source<T> {
    tx: T,
    bytes: Vec<u8>,
    next: u64,
    /// The number of a message to damage, or 0.
    spoil: u64,
}

impl<T: Send> Source<T> {
    #[inline(always)]
    fn send(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut sent = 0u64;
        for _ in 0..count {
            for (i, word) in self.bytes.chunks_exact_mut(8).enumerate() {
                word.copy_from_slice(&self.next.wrapping_add((i as u64).wrapping_mul(STEP)).to_le_bytes());
            }
            if self.next == self.spoil {
                self.bytes[0] ^= 1;
            }
            poll(|| self.tx.try_send(&self.bytes))?;
            sent = sent.wrapping_add(sum(self.next, self.bytes.len() as u64 / 8));
            self.next += 1;
        }
        Ok(Outcome { sent, ..Outcome::default() })
    }
}

impl<T: Send + core::marker::Send> Part for Source<T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.send(count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.send(work.warm + work.count)
    }
}

struct Drain<R> {
    rx: R,
    bytes: Vec<u8>,
    next: u64,
}

impl<R: Receive> Drain<R> {
    #[inline(always)]
    fn receive(&mut self, count: u64, out: &mut Outcome, mut verify: impl FnMut(u64, &[u8])) -> Result<(), Fault> {
        for _ in 0..count {
            poll(|| self.rx.try_receive(&mut self.bytes))?;
            let word = |word: &[u8]| word.try_into().map_or(0, u64::from_le_bytes);
            let got = self.bytes.chunks_exact(8).map(word).fold(0, u64::wrapping_add);
            if got != sum(self.next, self.bytes.len() as u64 / 8) {
                return Err(Fault::Content);
            }
            out.received = out.received.wrapping_add(got);
            verify(self.next, &self.bytes);
            self.next += 1;
        }
        Ok(())
    }
}

impl<R: Receive + core::marker::Send> Part for Drain<R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let (mut out, mut same) = (Outcome::default(), true);
        self.receive(count, &mut out, |number, bytes| {
            let expected = |i: usize| number.wrapping_add((i as u64).wrapping_mul(STEP)).to_le_bytes();
            same &= bytes.chunks_exact(8).enumerate().all(|(i, word)| word == expected(i));
        })?;
        if same { Ok(out) } else { Err(Fault::Content) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.receive(work.warm, &mut out, |_, _| ())?;
        out.begin = sys::now();
        self.receive(work.count, &mut out, |_, _| ())?;
        out.end = sys::now();
        Ok(out)
    }
}

fn source<T: Send>(tx: T, size: usize, spoil: u64) -> Source<T> {
    Source { tx, bytes: vec![0; size], next: 1, spoil }
}

fn drain<R: Receive>(rx: R, size: usize) -> Drain<R> {
    Drain { rx, bytes: vec![0; size], next: 1 }
}

impl Send for ours::Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u8]) -> bool {
        self.0.try_send(0, message).is_ok()
    }
}

impl Receive for ours::Receiver {
    #[inline(always)]
    fn try_receive(&mut self, message: &mut [u8]) -> bool {
        let len = message.len();
        self.0.try_recv_into(message).is_ok_and(|received| received.len == len)
    }
}

impl Send for ours_mpmc::Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u8]) -> bool {
        self.0.try_send(0, message).is_ok()
    }
}

impl Receive for ours_mpmc::Receiver {
    #[inline(always)]
    fn try_receive(&mut self, message: &mut [u8]) -> bool {
        let len = message.len();
        self.0.try_recv_into(message).is_ok_and(|received| received.len == len)
    }
}

/// rtrb as a ring of bytes, a message a chunk.
struct Tx(rtrb::Producer<u8>);
struct Rx(rtrb::Consumer<u8>);

impl Send for Tx {
    #[inline(always)]
    fn try_send(&mut self, message: &[u8]) -> bool {
        self.0.push_entire_slice(message).is_ok()
    }
}

impl Receive for Rx {
    #[inline(always)]
    fn try_receive(&mut self, message: &mut [u8]) -> bool {
        self.0.pop_entire_slice(message).is_ok()
    }
}

/// Slots of 64 bytes.
type Slots = ArrayQueue<[u8; 64]>;

impl Send for Both<Slots> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u8]) -> bool {
        message.try_into().is_ok_and(|slot| self.0.push(slot).is_ok())
    }
}

impl Receive for Both<Slots> {
    #[inline(always)]
    fn try_receive(&mut self, message: &mut [u8]) -> bool {
        self.0.pop().is_some_and(|slot| {
            message.copy_from_slice(&slot);
            true
        })
    }
}

struct Pipe(File);

impl Send for Pipe {
    fn try_send(&mut self, message: &[u8]) -> bool {
        self.0.write_all(message).is_ok()
    }
}

impl Receive for Pipe {
    fn try_receive(&mut self, message: &mut [u8]) -> bool {
        self.0.read_exact(message).is_ok()
    }
}

/// Our SPSC ring of `capacity` bytes; `spoil` is the number of a message to damage, or 0.
pub(crate) fn spsc(capacity: usize, size: usize, spoil: u64) -> Build {
    Box::new(move |_| {
        let name = fresh_name();
        let (tx, rx) = (name.clone(), name.clone());
        let options = move || ours::options(capacity);
        let source = maker(move || {
            let tx = Producer::create(&tx, &options()).map_err(failed)?;
            Ok(source(ours::Sender(tx), size, spoil))
        });
        let drain = maker(move || Ok(drain(ours::Receiver(Consumer::open(&rx).map_err(failed)?), size)));
        Ok(Setup { parties: vec![source, drain], published: unlink(vec![name]) })
    })
}

/// Our MPMC ring of `slots` slots of `size` bytes, one to one.
pub(crate) fn mpmc(slots: usize, size: usize) -> Build {
    Box::new(move |_| {
        let name = fresh_name();
        let (tx, rx) = (name.clone(), name.clone());
        let source = maker(move || {
            let options = mpmc::Options::new().slots(slots as u64).slot_size(size as _);
            let tx = mpmc::Producer::create(&tx, &options).map_err(failed)?;
            Ok(source(ours_mpmc::Sender(tx), size, 0))
        });
        let drain = maker(move || Ok(drain(ours_mpmc::Receiver(mpmc::Consumer::open(&rx).map_err(failed)?), size)));
        Ok(Setup { parties: vec![source, drain], published: unlink(vec![name]) })
    })
}

/// rtrb with `capacity` slots of a byte.
pub(crate) fn rtrb(capacity: usize, size: usize) -> Build {
    Box::new(move |_| {
        let (tx, rx) = rtrb::RingBuffer::new(capacity);
        let source = maker(move || Ok(source(Tx(tx), size, 0)));
        Ok(Setup { parties: vec![source, maker(move || Ok(drain(Rx(rx), size)))], published: None })
    })
}

/// `ArrayQueue` with `slots` slots of 64 bytes.
pub(crate) fn array_queue(slots: usize) -> Build {
    Box::new(move |_| {
        let queue = Both(Arc::new(Slots::new(slots)));
        let other = Both(Arc::clone(&queue.0));
        let source = maker(move || Ok(source(queue, 64, 0)));
        Ok(Setup { parties: vec![source, maker(move || Ok(drain(other, 64)))], published: None })
    })
}

/// A pipe of the system's size.
pub(crate) fn pipe(size: usize) -> Build {
    Box::new(move |_| {
        let (rx, tx) = nix::unistd::pipe().map_err(|e| format!("cannot make a pipe: {e}"))?;
        let (tx, rx) = (Pipe(File::from(tx)), Pipe(File::from(rx)));
        let source = maker(move || Ok(source(tx, size, 0)));
        Ok(Setup { parties: vec![source, maker(move || Ok(drain(rx, size)))], published: None })
    })
}
