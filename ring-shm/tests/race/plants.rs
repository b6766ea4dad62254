//! Bugs that a sanitizer has to report, to show that it looks where it should.
//!
//! # Safety
//!
//! 1. None: each of these blocks is the planted bug. They are reached with `--plant` alone, under a sanitizer.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the bug's own flags")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use ring_core::spsc::{Format, Ring};
use ring_core::{Line, Region, Verdict};
use ring_shm::spsc;

/// Plants the bug of that name.
pub(crate) fn run(name: &str) {
    match name {
        "race" => race(),
        "late" => late(),
        "freed" => freed(),
        other => panic!("no plant {other:?}"),
    }
}

/// Two threads write one word.
fn race() {
    static mut VICTIM: u64 = 0;
    thread::scope(|scope| {
        for i in 0..2 {
            scope.spawn(move || {
                let victim = &raw mut VICTIM;
                // SAFETY: 1.
                unsafe { victim.write_volatile(i) };
            });
        }
    });
}

/// A consumer looks at a record once more after it has given it back, and the producer has been there since. They tell
/// each other by flags that order nothing.
fn late() {
    static RELEASED: AtomicBool = AtomicBool::new(false);
    static OVERWRITTEN: AtomicBool = AtomicBool::new(false);
    let wait = |flag: &AtomicBool| {
        while !flag.load(Relaxed) {
            thread::yield_now();
        }
    };
    let (mut tx, mut rx) = spsc::heap(256).expect("a heap ring");
    let mut send = move |count| {
        for i in 0..count {
            let mut claim = tx.try_claim(56).expect("room");
            claim.fill(i);
            claim.commit();
        }
    };
    send(2);
    thread::scope(|scope| {
        scope.spawn(move || {
            wait(&RELEASED);
            // Two places are left beside the two that are free again: the third record is where the first was.
            send(3);
            OVERWRITTEN.store(true, Relaxed);
        });
        scope.spawn(move || {
            let record = rx.try_read().expect("two records");
            let first = record.as_ptr();
            record.release();
            rx.try_read().expect("two records").release();
            RELEASED.store(true, Relaxed);
            wait(&OVERWRITTEN);
            // SAFETY: 1.
            let _ = unsafe { first.read_volatile() };
        });
    });
}

/// A ring's memory goes before its handle.
fn freed() {
    let lines: Box<[Line]> = (0..64).map(|_| Line::new()).collect();
    let lines = Box::into_raw(lines);
    // SAFETY: just leaked.
    let ring = Ring::format(Region::new(unsafe { &*lines }), &Format::new(256)).expect("a good format");
    let mut tx = ring.sit_producer(1, |_| Verdict::Alive).expect("a fresh ring");
    // SAFETY: 1.
    drop(unsafe { Box::from_raw(lines) });
    let _ = tx.try_send(0, b"gone");
}
