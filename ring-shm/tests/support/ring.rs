//! What the tests of rings between processes share: seeds, payloads that can be derived from a number, and a ledger
//! that outlives its writer. Used beside `support`; a test file says `#[path = "support/ring.rs"] mod ring;`.
//!
//! # Safety
//!
//! 1. A ledger is a mapping of `LEN` bytes of a memfd that is never truncated and never unmapped. It is reached as
//!    atomic words alone, by this process and by its children.
#![allow(dead_code, unsafe_code, unreachable_pub)]
// The ledger is the tests' own page, no part of the transport: what it needs to know of orderings is said at `put`.
#![allow(clippy::disallowed_types)]

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long anything may take before it counts as hung. Long, because the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// `true` once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Below 512, and mostly far below.
    pub fn early(&mut self) -> u64 {
        let bits = self.below(10);
        self.below(1 << bits)
    }

    /// Mostly short, at most `max`.
    pub fn delay(&mut self, max: Duration) -> Duration {
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        max.mul_f64(share * share)
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of this run: `RING_SEED` replays one. Printed, and so shown when the test fails.
pub fn seed() -> u64 {
    let seed = match std::env::var("RING_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("RING_SEED={text:?} is no number")),
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64,
    };
    println!("RING_SEED={seed}");
    seed
}

/// The number that `variable` holds, or `default`.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is no number")))
}

/// Tests that need both processors take turns.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls `f` until it has an answer; `what` is said when that takes too long.
pub fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = f() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "hung: {what}");
        std::thread::yield_now();
    }
}

/// The record `seq` of session `session`: tag and payload of at most `max` bytes follow from the numbers alone.
pub fn record(session: u32, seq: u64, max: usize, buf: &mut Vec<u8>) -> u32 {
    let mut rng = Rng(mix(u64::from(session) << 40 ^ seq ^ (max as u64) << 20));
    let len = match rng.below(8) {
        0 => 0,
        1 => max as u64,
        2..=4 => rng.below(max.min(32) as u64 + 1),
        _ => rng.below(max.min(700) as u64 + 1),
    };
    fill(&mut rng, len as usize, buf);
    tag(session, seq)
}

/// A record of exactly `len` bytes.
pub fn record_of_len(session: u32, seq: u64, len: usize, buf: &mut Vec<u8>) -> u32 {
    fill(&mut Rng(mix(u64::from(session) << 40 ^ seq)), len, buf);
    tag(session, seq)
}

fn fill(rng: &mut Rng, len: usize, buf: &mut Vec<u8>) {
    buf.clear();
    while buf.len() < len {
        buf.extend_from_slice(&rng.next().to_le_bytes());
    }
    buf.truncate(len);
}

/// 12 bits of session and 20 of the sequence number.
pub fn tag(session: u32, seq: u64) -> u32 {
    session << 20 | (seq & 0xf_ffff) as u32
}

pub fn session_of(tag: u32) -> u32 {
    tag >> 20
}

/// Words in a shared memfd: what a process has done, as far as it came before it was killed.
pub struct Ledger {
    words: &'static [AtomicU64],
    file: File,
}

const LEN: usize = 1 << 16;

/// Words of one session's account.
pub const ACCOUNT: usize = 32;

/// Accounts of a ledger.
pub const ACCOUNTS: u32 = (LEN / 8 / ACCOUNT) as u32;

impl Ledger {
    pub fn new() -> Self {
        // SAFETY: a C string and a flag.
        let fd = unsafe { libc::memfd_create(c"ring-ledger".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call has just made this descriptor.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(LEN as u64).unwrap();
        Self::map(file)
    }

    /// How a child finds it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The ledger of the parent.
    pub fn join(path: &str) -> Self {
        Self::map(File::options().read(true).write(true).open(path).unwrap())
    }

    fn map(file: File) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no address is asked for; the descriptor is open.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: 1; a page is aligned for words, and never unmapped.
        let words = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), LEN / 8) };
        Self { words, file }
    }

    /// The account of one session.
    pub fn account(&self, session: u32) -> Account {
        Account { words: &self.words[session as usize * ACCOUNT..][..ACCOUNT] }
    }
}

/// The words that one process writes for the others to find.
#[derive(Clone, Copy)]
pub struct Account {
    words: &'static [AtomicU64],
}

/// The index of a word in an [`Account`].
#[derive(Clone, Copy)]
pub enum Item {
    /// The process id, once it has its seat.
    Seated,
    /// Producer: records that are committed if the operation at hand has been.
    Announced,
    /// Producer: records that are committed.
    Committed,
    /// Producer: the position of the last of them.
    Position,
    /// Set by the supervisor: leave in order.
    Stop,
    /// Consumer: 1 + the sequence number of its first record.
    First,
    /// Consumer: 1 + the last sequence number that it has taken down.
    Next,
    /// Consumer: 1 + the last flagged sequence number.
    FlaggedTo,
    /// Consumer: 1 + the last sequence number whose release has returned.
    Released,
    /// Consumer: 1 while a call is under way that releases before it hands out.
    InCall,
    /// Set by the supervisor: do not end of your own accord.
    Calm,
    /// In account 0: the longest payload of this ring.
    Longest,
}

impl Account {
    pub fn get(self, item: Item) -> u64 {
        // Acquire: what the writer stored before is seen with it.
        self.words[item as usize].load(Ordering::Acquire)
    }

    /// Release: every store to the ring that came before is done when this is seen. The other way round, a commit is
    /// a Release store itself, so what was put before it is seen with it.
    pub fn put(self, item: Item, value: u64) {
        self.words[item as usize].store(value, Ordering::Release);
    }
}

/// What stands in `/dev/shm` for `name`, or was left there by its creation.
pub fn left_behind(name: &str) -> Vec<String> {
    std::fs::read_dir("/dev/shm")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|entry| entry.contains(name))
        .collect()
}
