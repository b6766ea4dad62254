//! Round trips whose parties sleep in the kernel for every message: ours, a bare futex, `sem_t`, and a robust mutex with a
//! condition variable, and what the kernel has for it: eventfd, a pipe, a Unix socket. Nobody spins, so what is compared is what a wake-up takes beside the kernel's part of it.
//!
//! Each party thinks for [`THINK`] before it sends, so that the other is asleep by then: two that answer at once find each
//! other awake, and nothing is measured. The time to think is taken off the figures.
//!
//! # Safety
//!
//! 1. A `Line` is 128 bytes of shared memory that is never unmapped; it holds one `sem_t`, or one mutex, or one condition
//!    variable (the assertions below say that each fits), which is initialised before the fork, as process-shared, and
//!    reached through the C library alone.
#![allow(unsafe_code)]

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use ring_shm::spsc::{Consumer, Options, Producer};
use ring_shm::wait::Park;

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use nix::unistd::{read, write};

use crate::arena::{Arena, Line};
use crate::candidate::{Build, Maker, Setup};
use crate::duplex::{Ping, Pong};
use crate::kernel;
use crate::message::{bytes, bytes_mut};
use crate::ours::{failed, fresh_name, maker, unlink};
use crate::registry::ROUND_TRIP_BYTES;
use crate::seam::{Fault, Outcome, Part, Rx, Tx, Work};
use crate::sys;

const _: () = assert!(
    size_of::<libc::sem_t>() <= 128
        && size_of::<libc::pthread_mutex_t>() <= 128
        && size_of::<libc::pthread_cond_t>() <= 128
);

/// Nanoseconds between a message and its answer.
pub(crate) const THINK: u64 = 20_000;

fn think() {
    let end = sys::now() + THINK;
    while sys::now() < end {
        core::hint::spin_loop();
    }
}

/// After so long a message was lost.
const LOST: Duration = Duration::from_secs(3);

struct Sender(Producer);
struct Receiver(Consumer);

impl Tx<1> for Sender {
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        think();
        self.0.send_timeout(0, bytes(message), LOST).is_ok()
    }
}

impl Rx<1> for Receiver {
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        self.0.recv_into_timeout(bytes_mut(message), LOST).is_ok_and(|received| received.len == 8)
    }
}

/// Ours, both ends of both rings asleep at once when there is nothing.
pub(crate) fn ours(bytes: usize) -> Build {
    Box::new(move |_| {
        let (out, back) = (fresh_name(), fresh_name());
        let published = unlink(vec![out.clone(), back.clone()]);
        let names = (out.clone(), back.clone());
        let parked = |tx, mut rx: Consumer| {
            rx.set_wait_strategy(Park::after(Duration::ZERO));
            (Sender(tx), Receiver(rx))
        };
        let options = Options::new().capacity(bytes as u64);
        let ping = maker(move || {
            let tx = Producer::create(&names.0, &options).map_err(failed)?;
            let (tx, rx) = parked(tx, Consumer::create(&names.1, &options).map_err(failed)?);
            Ok(Ping::<1, _, _>::new(tx, rx))
        });
        let pong = maker(move || {
            let (tx, rx) = parked(Producer::open(&back).map_err(failed)?, Consumer::open(&out).map_err(failed)?);
            Ok(Pong::<1, _, _>::new(tx, rx))
        });
        Ok(Setup { parties: vec![ping, pong], published })
    })
}

/// A word that somebody can wait for.
trait Signal: Copy + Send + 'static {
    fn new(arena: &mut Arena) -> Result<Self, String>;
    /// Says that there is one more.
    fn post(self);
    /// Sleeps until there is the `count`th.
    fn wait(self, count: u64);
}

/// A round trip of signals: numbers without a message, the least there is to wake for.
struct Trips<S> {
    there: S,
    back: S,
    count: u64,
    starts: bool,
}

impl<S: Signal> Trips<S> {
    fn run(&mut self, count: u64) {
        for _ in 0..count {
            self.count += 1;
            if self.starts {
                think();
                self.there.post();
                self.back.wait(self.count);
            } else {
                self.there.wait(self.count);
                think();
                self.back.post();
            }
        }
    }
}

impl<S: Signal> Part for Trips<S> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        // Each side waits for the other's count: arriving is the proof.
        self.run(count);
        Ok(Outcome::default())
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.run(work.warm);
        let begin = sys::now();
        self.run(work.count);
        let end = sys::now();
        Ok(if self.starts { Outcome { begin, end, ..Outcome::default() } } else { Outcome::default() })
    }
}

fn trips<S: Signal>() -> Build {
    Box::new(move |arena: &mut Arena| {
        let (there, back) = (S::new(arena)?, S::new(arena)?);
        let part = |starts| -> Maker { Box::new(move || Ok(Box::new(Trips { there, back, count: 0, starts }))) };
        Ok(Setup { parties: vec![part(true), part(false)], published: None })
    })
}

#[derive(Clone, Copy)]
struct Futex(&'static AtomicU32);

impl Signal for Futex {
    fn new(arena: &mut Arena) -> Result<Self, String> {
        Ok(Self(arena.one()?))
    }

    fn post(self) {
        self.0.fetch_add(1, Release);
        sys::futex_wake(self.0);
    }

    fn wait(self, count: u64) {
        loop {
            let seen = self.0.load(Acquire);
            if seen == count as u32 {
                return;
            }
            sys::futex_wait(self.0, seen);
        }
    }
}

#[derive(Clone, Copy)]
struct Semaphore(&'static Line);

impl Semaphore {
    fn at(self) -> *mut libc::sem_t {
        ptr::from_ref(self.0).cast_mut().cast()
    }
}

impl Signal for Semaphore {
    fn new(arena: &mut Arena) -> Result<Self, String> {
        let new = Self(arena.one()?);
        // SAFETY: 1.
        let done = unsafe { libc::sem_init(new.at(), 1, 0) };
        if done == 0 { Ok(new) } else { Err("no process-shared semaphore here".into()) }
    }

    fn post(self) {
        // SAFETY: 1.
        unsafe { libc::sem_post(self.at()) };
    }

    fn wait(self, _count: u64) {
        // SAFETY: 1. Interrupted, it is called again.
        while unsafe { libc::sem_wait(self.at()) } != 0 {}
    }
}

/// A count under a robust mutex, and a condition variable for those who wait for it.
#[derive(Clone, Copy)]
struct Monitor {
    mutex: &'static Line,
    changed: &'static Line,
    count: &'static AtomicU64,
}

impl Monitor {
    fn mutex(self) -> *mut libc::pthread_mutex_t {
        ptr::from_ref(self.mutex).cast_mut().cast()
    }

    fn changed(self) -> *mut libc::pthread_cond_t {
        ptr::from_ref(self.changed).cast_mut().cast()
    }
}

impl Signal for Monitor {
    fn new(arena: &mut Arena) -> Result<Self, String> {
        let new = Self { mutex: arena.one()?, changed: arena.one()?, count: arena.one()? };
        let (mut mutex, mut changed) = (core::mem::MaybeUninit::uninit(), core::mem::MaybeUninit::uninit());
        // SAFETY: an attribute object that lives until the end of this function, as all below.
        let mut errors = unsafe { libc::pthread_mutexattr_init(mutex.as_mut_ptr()) };
        // SAFETY: as above.
        errors |= unsafe { libc::pthread_mutexattr_setpshared(mutex.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) };
        // SAFETY: as above.
        errors |= unsafe { libc::pthread_mutexattr_setrobust(mutex.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST) };
        // SAFETY: 1, and as above.
        errors |= unsafe { libc::pthread_mutex_init(new.mutex(), mutex.as_ptr()) };
        // SAFETY: as above.
        errors |= unsafe { libc::pthread_condattr_init(changed.as_mut_ptr()) };
        // SAFETY: as above.
        errors |= unsafe { libc::pthread_condattr_setpshared(changed.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) };
        // SAFETY: 1, and as above.
        errors |= unsafe { libc::pthread_cond_init(new.changed(), changed.as_ptr()) };
        if errors == 0 { Ok(new) } else { Err("no process-shared robust mutex here".into()) }
    }

    fn post(self) {
        // SAFETY: 1.
        unsafe { libc::pthread_mutex_lock(self.mutex()) };
        self.count.fetch_add(1, Relaxed);
        // SAFETY: 1; locked by us.
        unsafe { libc::pthread_mutex_unlock(self.mutex()) };
        // SAFETY: 1.
        unsafe { libc::pthread_cond_signal(self.changed()) };
    }

    fn wait(self, count: u64) {
        // SAFETY: 1.
        unsafe { libc::pthread_mutex_lock(self.mutex()) };
        while self.count.load(Relaxed) != count {
            // SAFETY: 1; locked by us.
            unsafe { libc::pthread_cond_wait(self.changed(), self.mutex()) };
        }
        // SAFETY: 1; locked by us.
        unsafe { libc::pthread_mutex_unlock(self.mutex()) };
    }
}

/// A kernel counter that is read away; the count itself is ours.
#[derive(Clone, Copy)]
struct Counter(BorrowedFd<'static>);

impl Signal for Counter {
    fn new(_: &mut Arena) -> Result<Self, String> {
        let counter = EventFd::new().map_err(|e| format!("no eventfd: {e}"))?;
        // Both processes need it for as long as they live.
        let counter: &'static EventFd = Box::leak(Box::new(counter));
        Ok(Self(counter.as_fd()))
    }

    fn post(self) {
        let _ = write(self.0, &1u64.to_ne_bytes());
    }

    fn wait(self, _count: u64) {
        let mut count = [0; 8];
        while read(self.0, &mut count) == Err(Errno::EINTR) {}
    }
}

/// `eventfd`.
pub(crate) fn eventfd() -> Build {
    trips::<Counter>()
}

/// A sending or receiving end whose call sleeps.
struct Asleep(kernel::End);

impl Tx<1> for Asleep {
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        think();
        self.0.try_send(message)
    }
}

impl Rx<1> for Asleep {
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        self.0.try_recv(message)
    }
}

/// Messages of eight bytes through a descriptor each way.
pub(crate) fn descriptor(open: fn(usize) -> Result<[kernel::End; 2], String>) -> Build {
    Box::new(move |_| {
        let ([out_tx, out_rx], [back_tx, back_rx]) = (open(ROUND_TRIP_BYTES)?, open(ROUND_TRIP_BYTES)?);
        let ping = maker(move || Ok(Ping::<1, _, _>::new(Asleep(out_tx), Asleep(back_rx))));
        let pong = maker(move || Ok(Pong::<1, _, _>::new(Asleep(back_tx), Asleep(out_rx))));
        Ok(Setup { parties: vec![ping, pong], published: None })
    })
}

/// The least that a parked round trip can take.
pub(crate) fn futex() -> Build {
    trips::<Futex>()
}

/// POSIX semaphores.
pub(crate) fn semaphore() -> Build {
    trips::<Semaphore>()
}

/// Robust mutexes with condition variables.
pub(crate) fn monitor() -> Build {
    trips::<Monitor>()
}
