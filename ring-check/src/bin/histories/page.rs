//! What the processes of a round share beside the ring: when to begin, and what each of them did when.
//!
//! # Safety
//!
//! 1. The mapping has `LEN` bytes of a memfd that is never truncated, and lives as long as the page. Everybody reaches it
//!    through atomics alone.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the campaign's own, no part of the transport")]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::Failure;
use crate::chance::now;
use crate::model::{Answer, Call, Operation};

/// Processes of a round, and words of each.
pub(crate) const PROCESSES: usize = 8;
const WORDS: usize = 1024;
const LEN: usize = (PROCESSES + 1) * WORDS * 8;

/// Operations that a process can write down.
pub(crate) const OPERATIONS: usize = 100;

/// Common words: the history under way; the ends so far (`long.rs`).
pub(crate) const GO: usize = 0;
pub(crate) const SENT: usize = 16;
pub(crate) const RECEIVED: usize = 32;

/// Words of a process: the last history it has ended, its operations; counters (`long.rs`).
pub(crate) const DONE: usize = 0;
pub(crate) const COUNT: usize = 1;
pub(crate) const SUM: usize = 2;
pub(crate) const BEGUN: usize = 3;
const FIRST: usize = 16;

/// The shared page.
pub(crate) struct Page {
    map: MmapRaw,
    file: File,
}

impl Page {
    pub(crate) fn new() -> Result<Self, Failure> {
        let file = File::from(memfd_create(c"ring-histories", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(LEN as u64)?;
        Ok(Self { map: MmapOptions::new().len(LEN).map_raw(&file)?, file })
    }

    /// How a worker finds it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    pub(crate) fn join(path: &str) -> Result<Self, Failure> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { map: MmapOptions::new().len(LEN).map_raw(&file)?, file })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < LEN / 8);
        let at = self.map.as_mut_ptr().cast::<AtomicU64>().wrapping_add(at);
        // SAFETY: 1; the index was checked.
        unsafe { &*at }
    }

    /// A common word.
    pub(crate) fn common(&self, item: usize) -> &AtomicU64 {
        self.word(PROCESSES * WORDS + item)
    }

    /// A word of a process.
    pub(crate) fn of(&self, process: usize, item: usize) -> &AtomicU64 {
        self.word(process % PROCESSES * WORDS + item)
    }

    /// Notes that `process` is about to make its operation `at`, and when.
    pub(crate) fn begin(&self, process: usize, at: usize, call: Call, value: u64) {
        let call = match call {
            Call::Send => 1,
            Call::Abort => 2,
            Call::Recv => 3,
            Call::Keep => 4,
        };
        for (word, value) in [value, 0, now(), 0, call].into_iter().enumerate() {
            self.of(process, FIRST + at * 5 + word).store(value, Ordering::Relaxed);
        }
        self.of(process, COUNT).store(at as u64 + 1, Ordering::Release);
        // The stamp is taken, and stored, before the operation looks at the ring.
        fence(Ordering::SeqCst);
    }

    /// Notes what a receiver has seen.
    pub(crate) fn see(&self, process: usize, at: usize, value: u64) {
        self.of(process, FIRST + at * 5).store(value, Ordering::Release);
    }

    /// Notes what it came to, and when.
    ///
    /// A commit is a plain store: whoever learns of it through memory sees it, but a clock knows nothing of store buffers.
    /// So the stamp waits until everybody can see what was stored.
    pub(crate) fn end(&self, process: usize, at: usize, answer: Answer) {
        fence(Ordering::SeqCst);
        let now = now();
        let answer = match answer {
            Answer::Pending => 0,
            Answer::Done(false) => 1,
            Answer::Done(true) => 2,
            Answer::Nothing => 3,
            Answer::Busy => 4,
        };
        self.of(process, FIRST + at * 5 + 3).store(now, Ordering::Relaxed);
        self.of(process, FIRST + at * 5 + 1).store(answer, Ordering::Release);
    }

    /// What a process has written down.
    pub(crate) fn operations(&self, process: usize) -> Vec<Operation> {
        let count = (self.of(process, COUNT).load(Ordering::Acquire) as usize).min(OPERATIONS);
        let load = |at: usize, word: usize| self.of(process, FIRST + at * 5 + word).load(Ordering::Acquire);
        let operation = |at| Operation {
            answer: match load(at, 1) {
                0 => Answer::Pending,
                1 => Answer::Done(false),
                2 => Answer::Done(true),
                3 => Answer::Nothing,
                _ => Answer::Busy,
            },
            call: match load(at, 4) {
                1 => Call::Send,
                2 => Call::Abort,
                3 => Call::Recv,
                _ => Call::Keep,
            },
            value: load(at, 0),
            from: load(at, 2),
            to: load(at, 3),
        };
        (0..count).map(operation).collect()
    }
}
