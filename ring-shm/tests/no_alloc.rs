//! The data path makes no allocation and no system call.
//!
//! Allocations are counted by the global allocator of this test. System calls are made deadly: the child enters
//! seccomp's strict mode, in which the kernel answers everything but `read`, `write`, `exit` and `sigreturn` with
//! SIGKILL, works a million messages through on each kind of ring, and leaves by `exit` (`exit_group`, which std would call, is forbidden;
//! the child is a fork with one thread, so it comes to the same). A control child that makes one
//! harmless call must be killed, or the filter proves nothing.
//!
//! # Safety
//!
//! 1. `Counting` hands every request on to the system's allocator, unchanged.
#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::ManuallyDrop;

use ring_shm::Trust;
use ring_shm::mpmc;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError, heap};
use support::unique;

struct Counting;

thread_local! {
    /// Allocations and releases of this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: 1.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: 1.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: 1.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: 1.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: 1.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every call of the data path, `rounds` times, [`A_ROUND`] messages each; wraps, padding and batches among them. False at the first surprise.
fn work<T: Trust>(tx: &mut Producer<T>, rx: &mut Consumer<T>, rounds: u32) -> bool {
    let mut buf = [0; 64];
    let mut right = true;
    for round in 0..rounds {
        let len = (round % 49) as usize;
        right &= tx.try_send(round, &buf[..len]).is_ok();
        right &= rx.try_recv_into(&mut buf).is_ok_and(|got| got.len == len && got.tag == round);
        match tx.try_claim(40) {
            Ok(mut claim) => {
                claim.write(b"claimed");
                claim.truncate(20);
                claim.commit();
            }
            Err(_) => right = false,
        }
        right &= rx.try_read().is_ok_and(|record| record.copy_to(&mut buf) == 20);
        // The blocking calls, which have nothing to wait for.
        right &= tx.send(round, &buf[..len]).is_ok();
        right &= rx.recv_into(&mut buf).is_ok_and(|got| got.len == len);
        right &= tx.claim(8).is_ok_and(|claim| claim.commit().get() > 0);
        right &= rx.read().is_ok_and(|record| record.len() == 8);
        drop(tx.try_claim(3));
        match tx.try_claim_batch(3, 16) {
            Ok(mut batch) => {
                for _ in 0..3 {
                    right &= batch.push(round, b"of a batch").is_ok();
                }
                right &= batch.commit() == 3;
            }
            Err(_) => right = false,
        }
        match rx.try_read_batch(5) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record() {
                    right &= record.copy_to(&mut buf) == 10;
                }
                right &= batch.release() == 3;
            }
            Err(_) => right = false,
        }
    }
    right
}

/// Messages that [`work`] and [`work_many`] send in a round.
const A_ROUND: u32 = 7;
/// Messages in all, at least: none of them may cost a call, be it a wake-up that nobody sleeps for.
const MILLION: u32 = 1_000_000;

/// The same on a ring of slots, with two handles on each side.
fn work_many<T: Trust>(tx: &mut [mpmc::Producer<T>; 2], rx: &mut [mpmc::Consumer<T>; 2], rounds: u32) -> bool {
    let mut buf = [0; 64];
    let mut right = true;
    for round in 0..rounds {
        let len = (round % 49) as usize;
        let turn = (round % 2) as usize;
        let (tx, rx) = (&mut tx[turn], &mut rx[turn ^ (round / 2 % 2) as usize]);
        right &= tx.try_send(round, &buf[..len]).is_ok();
        right &= rx.try_recv_into(&mut buf).is_ok_and(|got| got.len == len && got.tag == round);
        match tx.try_claim(40) {
            Ok(mut claim) => {
                claim.write(b"claimed");
                claim.truncate(20);
                claim.commit();
            }
            Err(_) => right = false,
        }
        match rx.try_read() {
            Ok(record) => {
                right &= record.copy_to(&mut buf) == 20;
                record.release();
            }
            Err(_) => right = false,
        }
        // The blocking calls, which have nothing to wait for.
        right &= tx.send(round, &buf[..len]).is_ok();
        right &= rx.recv_into(&mut buf).is_ok_and(|got| got.len == len);
        right &= tx.claim(8).is_ok_and(|claim| {
            claim.commit();
            true
        });
        // One that goes back, and comes again.
        right &= rx.read().is_ok_and(|record| {
            record.keep();
            true
        });
        right &= rx.try_recv_into(&mut buf).is_ok_and(|got| got.len == 8);
        // One that is given up: receivers pass it over.
        right &= tx.try_claim(3).is_ok_and(|claim| {
            claim.abort();
            true
        });
        match tx.try_claim_batch(3, 16) {
            Ok(mut batch) => {
                for _ in 0..3 {
                    right &= batch.push(round, b"of a batch").is_ok();
                }
                right &= batch.commit() == 3;
            }
            Err(_) => right = false,
        }
        match rx.try_read_batch(5) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record() {
                    right &= record.copy_to(&mut buf) == 10;
                }
                right &= batch.release() == 3;
            }
            Err(_) => right = false,
        }
    }
    right
}

/// What a poll that finds nothing, or no room, may cost is another matter; allocations it makes none, either.
fn poll<T: Trust>(tx: &mut Producer<T>, rx: &mut Consumer<T>) {
    let mut buf = [0; 64];
    for _ in 0..1000 {
        assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Empty));
    }
    while tx.try_send(0, &[0; 20]).is_ok() {}
    for _ in 0..1000 {
        assert_eq!(tx.try_send(0, &[0; 20]), Err(TrySendError::Full));
    }
    while rx.try_recv_into(&mut buf).is_ok() {}
    assert!(matches!(tx.try_send(0, &[0; 4096]), Err(TrySendError::TooLong { .. })));
}

/// Allocator calls of this thread during `f`.
fn calls(f: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    f();
    CALLS.with(Cell::get) - before
}

fn mapped(tag: &str, options: &Options) -> (support::TestName, Producer, Consumer) {
    let name = unique(tag);
    let tx = Producer::create(name.as_str(), options).unwrap();
    let rx = Consumer::open(name.as_str()).unwrap();
    (name, tx, rx)
}

#[test]
fn no_allocation_on_the_data_path() {
    assert!(calls(|| drop(Box::new(7))) >= 2, "the counter counts");
    let (mut tx, mut rx) = heap(256).unwrap();
    assert_eq!(calls(|| assert!(work(&mut tx, &mut rx, 1000))), 0, "heap");
    assert_eq!(calls(|| poll(&mut tx, &mut rx)), 0, "heap, empty and full");
    for options in [Options::new().capacity(256), Options::new().capacity(1024).line_aligned(true).release_every(256)] {
        let (_name, mut tx, mut rx) = mapped("alloc", &options);
        assert_eq!(calls(|| assert!(work(&mut tx, &mut rx, 1000))), 0, "{options:?}");
        assert_eq!(calls(|| poll(&mut tx, &mut rx)), 0, "{options:?}, empty and full");
    }
    let ring = mpmc::heap(16, 64).unwrap();
    let (mut tx, mut rx) = ([(); 2].map(|()| ring.producer().unwrap()), [(); 2].map(|()| ring.consumer().unwrap()));
    assert_eq!(calls(|| assert!(work_many(&mut tx, &mut rx, 1000))), 0, "heap, many");
}

/// Runs `work` on what `make` makes, in a forked child, in seccomp's strict mode from `work` on. `Ok(exit status)` or
/// `Err(signal)`.
fn strictly<S>(make: impl FnOnce() -> S, work: impl FnOnce(&mut S) -> bool) -> Result<i32, i32> {
    // SAFETY: the child has this thread alone, and leaves by a raw system call; it may allocate, since glibc takes its
    // locks across a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // Not dropped: giving memory and mappings back takes calls.
        let mut made = ManuallyDrop::new(make());
        // SAFETY: plain numbers.
        let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT, 0, 0, 0) };
        let code = if strict != 0 { REFUSED } else { i32::from(!work(&mut made)) };
        // SAFETY: `exit`, not `exit_group`, which strict mode forbids; it runs nothing.
        unsafe { libc::syscall(libc::SYS_exit, code) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a whole int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) { Err(libc::WTERMSIG(status)) } else { Ok(libc::WEXITSTATUS(status)) }
}

/// What the child says when it may not lock itself in.
const REFUSED: i32 = 99;

#[test]
fn no_system_call_on_the_data_path() {
    // SAFETY: no arguments.
    let control = strictly(|| (), |()| unsafe { libc::getppid() } > 0);
    if control == Ok(REFUSED) {
        println!("skipped: no seccomp here");
        return;
    }
    assert_eq!(control, Err(libc::SIGKILL), "strict mode forbids other calls");
    assert_eq!(strictly(|| (), |()| true), Ok(0));

    // Handles do not survive a fork, so the child makes its own. Neither end ever finds the ring empty or full: then it
    // would ask after its peer, which is a call.
    let rounds = MILLION / A_ROUND / 2 + 1;
    for options in [Options::new().capacity(256), Options::new().capacity(1024).line_aligned(true).release_every(256)] {
        let name = unique("seccomp");
        let open = || {
            let tx = Producer::create(name.as_str(), &options).unwrap();
            (tx, Consumer::open(name.as_str()).unwrap())
        };
        assert_eq!(strictly(open, |(tx, rx)| work(tx, rx, rounds)), Ok(0), "{options:?}");
    }
    let done = strictly(|| heap(256).unwrap(), |(tx, rx)| work(tx, rx, rounds / 10));
    assert_eq!(done, Ok(0), "heap");

    let options = || mpmc::Options::new().slots(16).slot_size(64).max_participants(8);
    for options in [options().at_most_once(), options().at_least_once(3)] {
        let name = unique("seccomp");
        let open = || {
            mpmc::create(name.as_str(), &options).unwrap();
            let tx = || mpmc::Producer::open(name.as_str()).unwrap();
            let rx = || mpmc::Consumer::open(name.as_str()).unwrap();
            ([tx(), tx()], [rx(), rx()])
        };
        assert_eq!(strictly(open, |(tx, rx)| work_many(tx, rx, rounds)), Ok(0), "{options:?}");
    }

    // And where a call is made it is noticed: a ring that stays empty asks whether its producer still lives.
    let name = unique("asks");
    let open = || {
        let tx = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
        (tx, Consumer::open(name.as_str()).unwrap())
    };
    let polls = |rx: &mut Consumer| (0..10_000_000).all(|_| rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Empty));
    assert_eq!(strictly(open, |(_, rx)| polls(rx)), Err(libc::SIGKILL));
}
