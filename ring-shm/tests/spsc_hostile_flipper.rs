//! A peer that writes anything anywhere while the ring is in use: the safe API answers with errors or with data, in
//! bounded steps, and never with a panic, a signal or a hang, and never touches a byte beyond the ring.
//!
//! # Safety
//!
//! 1. The guarded ring is a shared anonymous mapping between two pages without access. This process reaches it
//!    through `ring-core` alone; the process that flips its words is a forked child.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types)]

#[path = "support/campaign.rs"]
mod campaign;
// The flipper is the enemy; it needs no row in the protocol.
#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use campaign::*;
use ring::{Rng, number, seed};
use ring_core::spsc::{Format, Ring};
use ring_core::{Region, Verdict};

#[test]
fn child_entry() {
    campaign::entry(|role, args, at| match role {
        "guarded" => play_guarded(args[0].parse().unwrap(), args[1].parse().unwrap(), at),
        "flipped" => play_flipped(&args[0], args[1].parse().unwrap(), at),
        other => panic!("no role {other}"),
    });
}

#[test]
fn hostile_flipper_between_guard_pages() {
    survives(
        "guarded",
        &[
            &seed().to_string(),
            &number("RING_OPS", if cfg!(debug_assertions) { 250_000 } else { 1_000_000 }).to_string(),
        ],
    );
}

/// The page of a guarded ring, in front of and behind which no access is possible.
fn guarded(len: usize) -> NonNull<u8> {
    let guard = 1 << 16;
    let (none, flags) = (libc::PROT_NONE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: no address is asked for.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len + 2 * guard, none, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: inside the mapping.
    let middle = unsafe { at.cast::<u8>().add(guard) };
    // SAFETY: pages of the mapping that has just been made; `len` is a multiple of the page size.
    assert_eq!(unsafe { libc::mprotect(middle.cast(), len, libc::PROT_READ | libc::PROT_WRITE) }, 0);
    NonNull::new(middle).unwrap()
}

/// Writes words until it is killed, or its parent is.
fn flip(words: &[AtomicU64], mut rng: Rng, identity: bool) -> ! {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let data = CONTROL / 8;
    loop {
        for _ in 0..rng.below(64) {
            std::hint::spin_loop();
        }
        let index = match rng.below(16) {
            0 if identity => rng.below(16) as usize,
            0..=5 => rng.of(&SHARED),
            _ => data + rng.below((words.len() - data) as u64) as usize,
        };
        let now = words[index].load(Ordering::Relaxed);
        let value = match rng.below(6) {
            0 => rng.of(&awkward(now)),
            1 => now ^ (1 << rng.below(64)),
            2 => rng.below(128),                           // a short record
            3 => (1 << 31) | rng.below(1 << 12),           // padding, perhaps
            4 => rng.below(1 << 12) << 32 | (1 << 31) | 1, // a mark
            _ => words[rng.of(&[16, 32])].load(Ordering::Relaxed).wrapping_add(rng.below(64) * 8),
        };
        words[index].store(value, Ordering::Relaxed);
    }
}

/// Starts the flipper as a process of its own; its id.
fn start_flipper(words: &'static [AtomicU64], rng: Rng, identity: bool) -> i32 {
    // SAFETY: the child only reads and writes the mapping.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        flip(words, rng, identity);
    }
    pid
}

fn stop_flipper(pid: i32) {
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    // SAFETY: our own child; no status is wanted.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
}

fn play_guarded(seed: u64, operations: u64, at: impl Fn(u64)) {
    let mut rng = Rng(seed);
    let (mut done, mut good, mut round) = (0, 0, 0);
    let start = Instant::now();
    while done < operations {
        round += 1;
        let capacity = rng.of(&[4096, 4096, 8192]);
        let lines = rng.once_in(3);
        let format = Format::new(capacity).line_aligned(lines).start_at(rng.of(&[0, (1 << 32) - 256, u64::MAX - 255]));
        let len = usize::try_from(format.footprint()).unwrap();
        let base = guarded(len);
        // SAFETY: 1.
        let region = unsafe { Region::from_raw_parts(base, len) }.unwrap();
        Ring::format(region, &format).unwrap();
        // SAFETY: 1: made here, used in the flipper's process alone.
        let words = unsafe { std::slice::from_raw_parts(base.as_ptr().cast::<AtomicU64>(), len / 8) };
        let flipper = start_flipper(words, Rng(rng.next()), rng.once_in(2));
        let share = (operations / 8).max(1) + done;
        while done < share.min(operations) {
            at(round << 32 | done);
            let used = catch_unwind(AssertUnwindSafe(|| use_guarded(region, &format, &mut rng, capacity)));
            let (operations, successes) = used.unwrap_or_else(|_| panic!("round {round}, seed {seed}"));
            done += operations;
            good += successes;
        }
        stop_flipper(flipper);
        // SAFETY: nothing refers to it any more; the guards stay.
        assert_eq!(unsafe { libc::munmap(base.as_ptr().cast(), len) }, 0);
    }
    eprintln!("guarded: {done} operations, {good} good, {round} rings, {:.1?}", start.elapsed());
}

/// Attaches and works until something is found corrupt; how many operations, and how many of them good.
fn use_guarded(region: Region<'_>, format: &Format, rng: &mut Rng, capacity: u64) -> (u64, u64) {
    let Ok(ring) = Ring::attach(region) else {
        Ring::format(region, format).unwrap();
        return (1, 0);
    };
    let dead = |_| Verdict::Dead;
    let sat = ring.next_lease().ok().and_then(|lease| ring.sit_producer(lease, dead).ok());
    let Some(mut tx) = sat else {
        Ring::format(region, format).unwrap();
        return (2, 0);
    };
    let sat = ring.next_lease().ok().and_then(|lease| ring.sit_consumer(lease, dead).ok());
    let Some(mut rx) = sat else {
        Ring::format(region, format).unwrap();
        return (3, 0);
    };
    let mut buf = [0xab; 8192];
    assert!(capacity <= 8192);
    let (mut done, mut good, mut bad) = (3, 0, 0);
    let max = tx.max_len() as u64;
    while bad < 8 && done < 4000 {
        done += 1;
        let short = rng.below(max.min(200) + 1) as usize;
        let len = if rng.once_in(8) { rng.below(max + 1) as usize } else { short };
        let fine = match rng.below(7) {
            0 | 1 => tx.try_send_asking(1, &buf[..len], dead).is_ok(),
            2 => tx.try_claim(len).is_ok_and(|mut claim| {
                claim.write(&buf[..len / 2]);
                claim.write(&buf[..len / 3]);
                claim.truncate(len / 2 + 1);
                claim.commit();
                true
            }),
            3 => tx.try_claim_batch_asking(1, 9, len.min(300), dead).is_ok_and(|mut batch| {
                while batch.push(2, &buf[..len.min(300)]).is_ok() {}
                batch.commit() > 0
            }),
            4 => rx.try_recv_into_asking(&mut buf, dead).is_ok(),
            5 => rx.try_read().is_ok_and(|record| {
                let copied = record.copy_to(&mut buf);
                if copied % 3 > 0 {
                    record.release();
                }
                true
            }),
            _ => rx.try_read_batch_asking(20, dead).is_ok_and(|mut batch| {
                while let Ok(Some(record)) = batch.next_record() {
                    record.copy_to(&mut buf);
                }
                batch.release() > 0
            }),
        };
        let _ = (tx.len_guess(), rx.len_guess());
        if fine { good += 1 } else { bad += u64::from(rng.once_in(16)) }
    }
    if rng.once_in(2) {
        tx.close();
        rx.close();
    }
    (done, good)
}

#[test]
fn hostile_flipper_of_a_segment() {
    let (name, _) = image();
    survives("flipped", &[name.as_str(), &seed().to_string()]);
}

fn play_flipped(name: &str, seed: u64, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(support::path_of(name)).unwrap();
    let mut image = vec![0; CONTROL + CAPACITY];
    file.read_exact_at(&mut image, 0).unwrap();
    let (len, access) = (image.len(), libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: no address is asked for; the descriptor is open and has `len` bytes.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(map, libc::MAP_FAILED);
    // SAFETY: a mapping of its own, never unmapped, reached as words by the flipper alone.
    let words = unsafe { std::slice::from_raw_parts(map.cast::<AtomicU64>(), len / 8) };
    let flipper = start_flipper(words, Rng(seed), true);
    let start = Instant::now();
    let mut case = 0;
    while start.elapsed() < Duration::from_millis(1500) {
        case += 1;
        at(case);
        attach_and_use(name, |step| {
            if step == 6 {
                file.write_all_at(&image, 0).unwrap();
            }
        });
        file.write_all_at(&image, 0).unwrap();
    }
    stop_flipper(flipper);
}
