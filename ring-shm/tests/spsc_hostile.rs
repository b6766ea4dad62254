//! A peer that writes anything anywhere at any time: the safe API answers with errors or with data, in bounded steps,
//! and never with a panic, a signal or a hang. Each campaign runs in a child under an alarm, which turns a hang into
//! a signal; what the child was at is in a shared page, for the parent to name.
//!
//! # Safety
//!
//! 1. The guarded ring is a shared anonymous mapping between two pages without access. This process reaches it
//!    through `ring-core` alone; the process that flips its words is a forked child.
#![allow(unsafe_code)]
// The flipper is the enemy; it needs no row in the protocol.
#![allow(clippy::disallowed_types)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ring::{Item, Ledger, Rng, number, seed};
use ring_core::spsc::{Format, Ring};
use ring_core::{Region, Verdict};
use ring_shm::SetupErrorKind;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError};
use support::{TestName, child, say, unique};

const CAPACITY: usize = 256;
const CONTROL: usize = 4096;

/// All words of the control block, and a few beyond.
const WORDS: usize = 1280 / 8 + 4;

/// Words of the control block that are written while a ring is in use: tail, head, seen mark, both seats, the unmarked
/// session, the lease counter.
const SHARED: [usize; 7] = [16, 32, 33, 48, 64, 80, 96];

#[test]
fn child_entry() {
    support::run_role(|role, args| {
        let ledger = Ledger::join(&args[0]);
        // SAFETY: plain numbers. SIGALRM ends the process, wherever it is.
        unsafe { libc::alarm(100) };
        let at = |case: u64| ledger.account(0).put(Item::Next, case);
        match role {
            "words" => play_words(&args[1], args[2].parse().unwrap(), at),
            "pairs" => play_pairs(&args[1], args[2].parse().unwrap(), at),
            "guarded" => play_guarded(args[1].parse().unwrap(), args[2].parse().unwrap(), at),
            "flipped" => play_flipped(&args[1], args[2].parse().unwrap(), at),
            other => panic!("no role {other}"),
        }
        say("survived");
    });
}

/// Plays `role` in a child, which has to survive.
fn survives(role: &str, args: &[&str]) {
    let ledger = Ledger::new();
    let path = ledger.path();
    let all: Vec<&str> = std::iter::once(path.as_str()).chain(args.iter().copied()).collect();
    let mut child = child(role, &all);
    let said = child.next();
    let status = child.finish();
    let at = ledger.account(0).get(Item::Next);
    assert!(status.success() && said.as_deref() == Some("survived"), "{role} {args:?}, case {at:#x}: {status}");
}

// ---- a real segment, word by word ----------------------------------------------------------------------------------

/// A ring with a history: three sessions, records of several lengths, padding, something unread.
fn image() -> (TestName, Vec<u8>) {
    let name = unique("hostile");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(CAPACITY as u64)).unwrap();
    for session in 0..3 {
        let mut tx = Producer::open(name.as_str()).unwrap();
        for record in 0..12 {
            tx.try_send(session * 16 + record, &[record as u8; 61][..record as usize * 5]).unwrap();
            if session < 2 || record < 7 {
                while rx.try_recv_into(&mut [0; 128]).is_ok() {}
            } else if tx.len_guess() > 150 {
                break;
            }
        }
    }
    drop(rx);
    let image = fs::read(name.path()).unwrap();
    assert_eq!(image.len(), CONTROL + CAPACITY);
    (name, image)
}

/// Identity, facts of the seats' holders, shared words; or data.
fn means_something(index: usize) -> bool {
    matches!(index, 0..=15 | 49..=53 | 65..=69) || SHARED.contains(&index) || index >= CONTROL / 8
}

/// What a word might be set to.
fn awkward(now: u64) -> Vec<u64> {
    let fixed =
        [0, 1, 2, 3, 7, 8, 9, 1 << 31, (1 << 31) | 1, (1 << 32) - 1, 1 << 32, (1 << 31) << 32, 1 << 63, u64::MAX];
    let near = [8, 1, 64, CAPACITY as u64, CAPACITY as u64 + 8, 1 << 20, 1 << 62];
    let flips = [0, 2, 3, 30, 31, 32, 47, 62, 63];
    let mut values = fixed.to_vec();
    values.extend(near.iter().flat_map(|n| [now.wrapping_add(*n), now.wrapping_sub(*n)]));
    values.extend(flips.iter().map(|bit| now ^ (1 << bit)));
    values.sort_unstable();
    values.dedup();
    values
}

fn word(image: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(image[index * 8..][..8].try_into().unwrap())
}

fn set(image: &mut [u8], index: usize, value: u64) {
    image[index * 8..][..8].copy_from_slice(&value.to_le_bytes());
}

/// What a forger does: the identity line with a checksum that fits.
fn forge(image: &mut [u8]) {
    let sum = image[..120]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    set(image, 15, sum);
}

#[test]
fn hostile_control_words() {
    let (name, _) = image();
    survives("words", &[name.as_str(), "0"]);
}

#[test]
fn hostile_data_words() {
    let (name, _) = image();
    survives("words", &[name.as_str(), "1"]);
}

#[test]
fn hostile_pairs_of_words() {
    let (name, _) = image();
    survives("pairs", &[name.as_str(), &seed().to_string()]);
}

fn play_words(name: &str, part: usize, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(format!("/dev/shm/ring.{name}")).unwrap();
    let mut image = vec![0; CONTROL + CAPACITY];
    file.read_exact_at(&mut image, 0).unwrap();
    let indices = match part {
        0 => 0..WORDS,
        _ => CONTROL / 8..(CONTROL + CAPACITY) / 8,
    };
    for index in indices {
        let values = if means_something(index) { awkward(word(&image, index)) } else { vec![1, u64::MAX] };
        for value in values {
            let mut changed = image.clone();
            set(&mut changed, index, value);
            // Before anybody opens it; also by one who knows the checksum.
            for forged in [false, true] {
                at((index as u64) << 8 | u64::from(forged));
                if forged {
                    forge(&mut changed);
                }
                file.write_all_at(&changed, 0).unwrap();
                attach_and_use(name, |_| {});
            }
            // Under living handles.
            at((index as u64) << 8 | 2);
            file.write_all_at(&image, 0).unwrap();
            attach_and_use(name, |step| {
                if step % 4 == 0 {
                    file.write_all_at(&value.to_le_bytes(), index as u64 * 8).unwrap();
                }
            });
        }
    }
}

fn play_pairs(name: &str, seed: u64, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(format!("/dev/shm/ring.{name}")).unwrap();
    let mut image = vec![0; CONTROL + CAPACITY];
    file.read_exact_at(&mut image, 0).unwrap();
    let mut rng = Rng(seed);
    for case in 0..3000 {
        at(case);
        let mut changed = image.clone();
        for _ in 0..2 + rng.below(3) {
            // Tail, head, seen, seats, counter; or the data; or an identity word.
            let index = match rng.below(8) {
                0 => rng.below(15) as usize,
                1..=4 => rng.of(&SHARED),
                _ => (CONTROL / 8) + rng.below(CAPACITY as u64 / 8) as usize,
            };
            let value = rng.of(&awkward(word(&image, index)));
            set(&mut changed, index, value);
        }
        forge(&mut changed);
        file.write_all_at(&changed, 0).unwrap();
        attach_and_use(name, |_| {});
    }
}

/// Opens and uses what can be opened and used. `disturb` is called before each step.
fn attach_and_use(name: &str, disturb: impl Fn(u32)) {
    let start = Instant::now();
    let _ = ring_shm::spsc::inspect(name);
    let mut rx = Consumer::open(name);
    let mut tx = Producer::open(name);
    let mut buf = [0; CAPACITY];
    for step in 0..12 {
        disturb(step);
        if let Ok(tx) = &mut tx {
            let _ = tx.try_send(step, &buf[..step as usize * 9]);
            let _ = tx.try_claim(step as usize).map(|mut claim| {
                claim.write(b"claimed");
                if step % 2 == 0 { Some(claim.commit()) } else { None }
            });
            let _ = tx.try_claim_batch(3, 10).map(|mut batch| {
                while batch.push(step, b"batch").is_ok() {}
                batch.commit()
            });
            assert!(tx.len_guess() <= CAPACITY as u64);
            let _ = (tx.stats(), tx.is_disconnected(), tx.max_len());
        }
        if let Ok(rx) = &mut rx {
            // As many calls as there can be records, marks and ends, and one more.
            for _ in 0..step {
                match rx.try_recv_into(&mut buf) {
                    Ok(got) => assert!(got.len <= CAPACITY / 2 - 8, "{got:?}"),
                    Err(TryRecvError::BufferTooSmall { needed }) => panic!("{needed} bytes in a ring of {CAPACITY}"),
                    Err(_) => {}
                }
            }
            let _ = rx.try_read().map(|record| {
                assert!(record.copy_to(&mut buf) <= CAPACITY / 2 - 8);
                if step % 2 == 0 { record.keep() } else { record.release() }
            });
            let _ = rx.try_read_batch(5).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    assert!(record.copy_to(&mut buf) <= CAPACITY / 2 - 8);
                }
            });
            assert!(rx.len_guess() <= CAPACITY as u64);
            let _ = (rx.stats(), rx.is_disconnected(), rx.max_len());
        }
    }
    drop((tx, rx));
    let _ = ring_shm::spsc::recover(name, Some(1));
    assert!(start.elapsed() < Duration::from_secs(10), "bounded steps");
}

// ---- what is no ring -----------------------------------------------------------------------------------------------

/// Puts `bytes` where the segment of a fresh name would be.
fn plant(bytes: &[u8]) -> TestName {
    let name = unique("planted");
    let file = File::options().write(true).create_new(true).mode(0o600).open(name.path()).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    name
}

/// Everything that opens refuses it, says why with `word`, and leaves it as it was.
fn refused(bytes: &[u8], word: &str) {
    let name = plant(bytes);
    let errors = [
        Producer::open(name.as_str()).map(drop),
        Consumer::open(name.as_str()).map(drop),
        Producer::open_or_create(name.as_str(), &Options::new().capacity(256)).map(drop),
        ring_shm::spsc::inspect(name.as_str()).map(drop),
        ring_shm::spsc::recover(name.as_str(), None).map(drop),
    ];
    for error in errors {
        let error = error.expect_err(word);
        assert_eq!(error.kind(), SetupErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(text.contains(word), "{word:?} is not in {text:?}");
        assert!(["remove", "choose", "use ", "open "].iter().any(|cure| text.contains(cure)), "no cure in {text:?}");
    }
    assert_eq!(fs::read(name.path()).unwrap(), bytes, "it was written to");
}

#[test]
fn hostile_cut_short() {
    let (_name, image) = image();
    let full = image.len();
    refused(&[], "empty");
    for size in [1, 7, 8, 64, 127, 128, 129, 1023, 1152, 4095, 4096, 4097, 4104, full - 64, full - 8, full - 1] {
        refused(&image[..size], "truncated");
    }
    // Longer than it need be is no harm.
    for more in [1, 8, 4096] {
        let mut long = image.clone();
        long.resize(full + more, 0xff);
        let name = plant(&long);
        drop(Producer::open(name.as_str()).unwrap());
    }
}

#[test]
fn hostile_foreign_files() {
    let (_name, image) = image();
    let mut rng = Rng(seed());
    let noise: Vec<u8> = (0..image.len()).map(|_| rng.next() as u8).collect();
    refused(&noise, "magic");
    refused(&vec![0; image.len()], "magic");
    refused(&b"plain text, and long enough to be looked at. ".repeat(200), "magic");
    let changed = |index: usize, value: u64| {
        let mut changed = image.clone();
        set(&mut changed, index, value);
        forge(&mut changed);
        changed
    };
    refused(&changed(0, u64::from_le_bytes(*b"RINGMPMC")), "kind");
    refused(&changed(0, u64::from_be_bytes(*b"RINGSPSC")), "magic");
    refused(&changed(1, 2), "version");
    refused(&changed(1, 0), "version");
    refused(&changed(4, 1 << 7), "feature");
    refused(&changed(6, 3), "capacity");
    refused(&changed(6, 1 << 63), "capacity");
    refused(&changed(6, 512), "total length");
    refused(&changed(8, 0), "data offset");
    refused(&changed(11, 1 << 40), "release interval");
    let mut unforged = image.clone();
    set(&mut unforged, 10, 7);
    refused(&unforged, "checksum");
    // Positions and seats of no ring that ever was.
    for (index, value, word) in [(16, 4, "tail"), (32, 1 << 40, "tail"), (48, 1, "seat"), (64, u64::MAX, "seat")] {
        let mut changed = image.clone();
        set(&mut changed, index, value);
        refused(&changed, word);
    }
    // The mark of what was seen concerns the next consumer alone.
    for value in [u64::MAX, 4, word(&image, 32) + CAPACITY as u64 + 8] {
        let mut changed = image.clone();
        set(&mut changed, 33, value);
        let name = plant(&changed);
        let error = Consumer::open(name.as_str()).unwrap_err();
        assert_eq!(error.kind(), SetupErrorKind::Corrupt, "{value:#x}: {error}");
        assert!(error.to_string().contains("seen"), "{value:#x}: {error}");
    }
}

// ---- a ring between pages without access ---------------------------------------------------------------------------

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

// ---- the handles of this crate -------------------------------------------------------------------------------------

#[test]
fn hostile_flipper_of_a_segment() {
    let (name, _) = image();
    survives("flipped", &[name.as_str(), &seed().to_string()]);
}

fn play_flipped(name: &str, seed: u64, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(format!("/dev/shm/ring.{name}")).unwrap();
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
