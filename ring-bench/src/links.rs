//! One direction of a transport for single words, described before the fork: what the latency report is made of.
//!
//! Each link is used both for round trips (two of them) and one way, so that a transport is written once.

use crate::arena::{Arena, Line};
use crate::candidate::Setup;
use crate::clock::Clock;
use crate::duplex::Pong;
use crate::ours::{self, failed, fresh_name, maker, unlink};
use crate::ours_mpmc;
use crate::paced::{Caller, Pace, Receiver, Sender};
use crate::rivals::{Both, RtrbRx, RtrbTx, Shared};
use crate::seam::{Fault, Rx, Tx};
use crate::sys;
use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use ring_shm::wait::Park;
use ring_shm::{mpmc, spsc};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

type Make<H> = Box<dyn FnOnce() -> Result<H, Fault> + Send>;

/// Both ends of one direction, to be made where they will be used, in any order.
pub(crate) struct Link<T, R> {
    tx: Make<T>,
    rx: Make<R>,
    /// The name to remove once both are made.
    name: Option<String>,
}

/// A message there and back over two links.
pub(crate) fn round_trip<T: Tx<1> + 'static, R: Rx<1> + 'static>(
    arena: &mut Arena,
    clock: Clock,
    interval: u64,
    link: impl Fn(&mut Arena) -> Result<Link<T, R>, String>,
) -> Result<Setup, String> {
    let pace = Pace::new(arena, clock, interval)?;
    let (out, back) = (link(arena)?, link(arena)?);
    let published = unlink([out.name, back.name].into_iter().flatten().collect());
    let caller = maker(move || Ok(Caller::new((out.tx)()?, (back.rx)()?, pace)));
    let echo = maker(move || Ok(Pong::<1, _, _>::new((back.tx)()?, (out.rx)()?)));
    Ok(Setup { parties: vec![caller, echo], published })
}

/// A stream over one link.
pub(crate) fn one_way<T: Tx<1> + 'static, R: Rx<1> + 'static>(
    arena: &mut Arena,
    clock: Clock,
    interval: u64,
    link: impl Fn(&mut Arena) -> Result<Link<T, R>, String>,
) -> Result<Setup, String> {
    let pace = Pace::new(arena, clock, interval)?;
    let link = link(arena)?;
    let published = unlink(link.name.into_iter().collect());
    let sender = maker(move || Ok(Sender::new((link.tx)()?, pace)));
    let receiver = maker(move || Ok(Receiver::new((link.rx)()?, pace)));
    Ok(Setup { parties: vec![sender, receiver], published })
}

fn named<T, R>(
    tx: impl FnOnce(&str) -> Result<T, Fault> + Send + 'static,
    rx: impl FnOnce(&str) -> Result<R, Fault> + Send + 'static,
) -> Link<T, R> {
    let name = fresh_name();
    let (for_tx, for_rx) = (name.clone(), name.clone());
    Link { tx: Box::new(move || tx(&for_tx)), rx: Box::new(move || rx(&for_rx)), name: Some(name) }
}

/// Ours, polled.
pub(crate) fn spsc(bytes: usize) -> Link<ours::Sender, ours::Receiver> {
    let options = move || ours::options(bytes);
    named(
        move |name| spsc::Producer::open_or_create(name, &options()).map(ours::Sender).map_err(failed),
        move |name| spsc::Consumer::open_or_create(name, &options()).map(ours::Receiver).map_err(failed),
    )
}

/// Ours for many, polled.
pub(crate) fn mpmc(slots: usize) -> Link<ours_mpmc::Sender, ours_mpmc::Receiver> {
    let options = move || ours_mpmc::options(slots);
    named(
        move |name| mpmc::Producer::open_or_create(name, &options()).map(ours_mpmc::Sender).map_err(failed),
        move |name| mpmc::Consumer::open_or_create(name, &options()).map(ours_mpmc::Receiver).map_err(failed),
    )
}

/// rtrb.
pub(crate) fn rtrb(slots: usize) -> Link<RtrbTx<1>, RtrbRx<1>> {
    let (tx, rx) = rtrb::RingBuffer::new(slots);
    Link { tx: Box::new(move || Ok(RtrbTx(tx))), rx: Box::new(move || Ok(RtrbRx(rx))), name: None }
}

/// A queue that threads share.
pub(crate) fn shared<Q: Shared>(slots: usize) -> Link<Both<Q>, Both<Q>> {
    let queue = Both(Arc::new(Q::with_slots(slots)));
    let other = queue.clone();
    Link { tx: Box::new(move || Ok(queue)), rx: Box::new(move || Ok(other)), name: None }
}

/// After so long a message was lost.
const LOST: Duration = Duration::from_secs(3);

/// An end that sleeps when there is nothing.
pub(crate) struct Asleep<H>(H);

macro_rules! asleep {
    ($kind:ident) => {
        impl Tx<1> for Asleep<$kind::Producer> {
            fn try_send(&mut self, message: &[u64; 1]) -> bool {
                self.0.send_timeout(0, crate::message::bytes(message), LOST).is_ok()
            }
        }

        impl Rx<1> for Asleep<$kind::Consumer> {
            fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
                let received = self.0.recv_into_timeout(crate::message::bytes_mut(message), LOST);
                received.is_ok_and(|received| received.len == 8)
            }
        }
    };
}
asleep!(spsc);
asleep!(mpmc);

/// Ours, asleep at once when there is nothing.
pub(crate) fn spsc_parked(bytes: usize) -> Link<Asleep<spsc::Producer>, Asleep<spsc::Consumer>> {
    let options = move || ours::options(bytes);
    named(
        move |name| spsc::Producer::open_or_create(name, &options()).map(Asleep).map_err(failed),
        move |name| {
            let mut rx = spsc::Consumer::open_or_create(name, &options()).map_err(failed)?;
            rx.set_wait_strategy(Park::after(Duration::ZERO));
            Ok(Asleep(rx))
        },
    )
}

/// Ours for many, asleep at once when there is nothing.
pub(crate) fn mpmc_parked(slots: usize) -> Link<Asleep<mpmc::Producer>, Asleep<mpmc::Consumer>> {
    let options = move || ours_mpmc::options(slots);
    named(
        move |name| mpmc::Producer::open_or_create(name, &options()).map(Asleep).map_err(failed),
        move |name| {
            let mut rx = mpmc::Consumer::open_or_create(name, &options()).map_err(failed)?;
            rx.set_wait_strategy(Park::after(Duration::ZERO));
            Ok(Asleep(rx))
        },
    )
}

/// A word that is 0 or a message, and a futex for those who sleep: the least there is. Holds one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<const SLEEPS: bool> {
    word: &'static Line,
    changed: &'static AtomicU32,
}

impl<const SLEEPS: bool> Tx<1> for Word<SLEEPS> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        // Acquire pairs with the Release by which the receiver gave the word back.
        if self.word.0[0].load(Acquire) != 0 {
            return false;
        }
        self.word.0[0].store(message[0], Release);
        if SLEEPS {
            self.changed.fetch_add(1, Release);
            sys::futex_wake(self.changed);
        }
        true
    }
}

impl<const SLEEPS: bool> Rx<1> for Word<SLEEPS> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        let seen = if SLEEPS { self.changed.load(Acquire) } else { 0 };
        let word = self.word.0[0].load(Acquire);
        if word == 0 {
            if SLEEPS {
                sys::futex_wait(self.changed, seen);
            }
            return false;
        }
        message[0] = word;
        self.word.0[0].store(0, Release);
        true
    }
}

/// A word in shared memory, polled or slept for.
pub(crate) fn word<const SLEEPS: bool>(arena: &mut Arena) -> Result<Link<Word<SLEEPS>, Word<SLEEPS>>, String> {
    let word = Word::<SLEEPS> { word: arena.one()?, changed: arena.one()? };
    word.word.0[0].store(0, Relaxed);
    Ok(Link { tx: Box::new(move || Ok(word)), rx: Box::new(move || Ok(word)), name: None })
}

/// One end of a pipe.
#[derive(Debug)]
pub(crate) struct Pipe(File);

impl Tx<1> for Pipe {
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        self.0.write_all(crate::message::bytes(message)).is_ok()
    }
}

impl Rx<1> for Pipe {
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        self.0.read_exact(crate::message::bytes_mut(message)).is_ok()
    }
}

/// A pipe, whose reader sleeps in the kernel.
pub(crate) fn pipe() -> Result<Link<Pipe, Pipe>, String> {
    let (rx, tx) = nix::unistd::pipe().map_err(|e| format!("cannot make a pipe: {e}"))?;
    let (tx, rx) = (Pipe(File::from(tx)), Pipe(File::from(rx)));
    Ok(Link { tx: Box::new(move || Ok(tx)), rx: Box::new(move || Ok(rx)), name: None })
}

/// A transport that damages one message, long after the check: a harness that does not end with an error checks nothing.
pub(crate) struct Spoilt<T> {
    tx: T,
    left: u32,
}

impl<T: 'static> Spoilt<T> {
    pub(crate) fn link<R>(link: Link<T, R>) -> Link<Self, R> {
        let tx = link.tx;
        Link { tx: Box::new(move || Ok(Self { tx: tx()?, left: 3_000 })), rx: link.rx, name: link.name }
    }
}

impl<T: Tx<1>> Tx<1> for Spoilt<T> {
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.left == 1 { self.tx.try_send(&[message[0] ^ 1 << 40]) } else { self.tx.try_send(message) }
    }
}
