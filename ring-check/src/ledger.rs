//! What the processes of one round tell each other: pages of a memfd, which outlive whoever wrote them. A worker says
//! what it is about to do before, and that it is done after each step, so that its death leaves one step open.
//!
//! # Safety
//!
//! 1. The mapping has `LEN` bytes of a memfd that is never truncated, and lives as long as the ledger. Everybody
//!    reaches it through atomics alone.
#![allow(unsafe_code)]
// The ledger is the campaign's own, no part of the transport: what it needs to know of orderings is said at `put`.
#![allow(clippy::disallowed_types)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Worker processes of a round.
pub(crate) const WORKERS: u32 = 128;

/// Messages that one worker may send.
pub(crate) const MESSAGES: u32 = 1 << 15;

/// Words of a worker's account.
const ACCOUNT: usize = 128;

/// Stalls that a worker can write down.
const STALLS: usize = 32;

const MARKS: usize = WORKERS as usize * ACCOUNT * 8;
const LEN: usize = MARKS + (WORKERS * MESSAGES) as usize;

/// A word of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item {
    /// Not 0 once it has its handle.
    Joined,
    /// Sender: messages that are committed if the operation under way has been.
    Announced,
    /// Sender: messages that are committed.
    Committed,
    /// Set by the supervisor: leave in order.
    Stop,
    /// Set by the supervisor: do not end of your own accord any more.
    Calm,
    /// When it killed itself, in nanoseconds.
    DiedAt,
    /// Receiver: messages received.
    Received,
    /// Receiver: messages that came a second time without a flag.
    Duplicates,
    /// How many stalls follow.
    Stalls,
}

/// How long a worker was blocked by somebody dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stall {
    /// The first refusal, in nanoseconds.
    pub(crate) from: u64,
    /// When it went on.
    pub(crate) to: u64,
    /// The same without the time for which it was ready to run and had no CPU.
    pub(crate) running: u64,
}

/// The ledger of a round.
pub(crate) struct Ledger {
    map: MmapRaw,
    file: File,
}

impl Ledger {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(memfd_create(c"ring-storm", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(LEN as u64)?;
        Self::map(file)
    }

    /// How a worker finds it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The supervisor's.
    pub(crate) fn join(path: &Path) -> io::Result<Self> {
        Self::map(File::options().read(true).write(true).open(path)?)
    }

    fn map(file: File) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().len(LEN).map_raw(&file)?, file })
    }

    /// The account of a worker.
    pub(crate) fn account(&self, worker: u32) -> Account<'_> {
        let first = (worker % WORKERS) as usize * ACCOUNT * 8;
        let at = self.map.as_mut_ptr().wrapping_add(first).cast::<AtomicU64>();
        // SAFETY: 1; whole words within the mapping, which starts on a page.
        Account { words: unsafe { std::slice::from_raw_parts(at, ACCOUNT) } }
    }

    /// Counts a delivery of message `seq` of worker `sender`; how many there were before.
    pub(crate) fn mark(&self, sender: u32, seq: u32) -> u8 {
        // AcqRel: whoever gets the message after us finds the mark.
        self.marks(sender)[(seq % MESSAGES) as usize].fetch_add(1, Ordering::AcqRel)
    }

    /// Deliveries of message `seq` of worker `sender`.
    pub(crate) fn deliveries(&self, sender: u32, seq: u32) -> u8 {
        self.marks(sender)[(seq % MESSAGES) as usize].load(Ordering::Acquire)
    }

    fn marks(&self, sender: u32) -> &[AtomicU8] {
        let first = MARKS + ((sender % WORKERS) * MESSAGES) as usize;
        let at = self.map.as_mut_ptr().wrapping_add(first).cast::<AtomicU8>();
        // SAFETY: 1; bytes within the mapping.
        unsafe { std::slice::from_raw_parts(at, MESSAGES as usize) }
    }
}

/// The words of one worker.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    words: &'a [AtomicU64],
}

impl Account<'_> {
    pub(crate) fn get(self, item: Item) -> u64 {
        // Acquire: what the writer stored before is seen with it.
        self.words[item as usize].load(Ordering::Acquire)
    }

    /// Release: every store to the ring that came before is done when this is seen. The other way round, a commit is
    /// a Release store itself, so what was put before it is seen with it.
    pub(crate) fn put(self, item: Item, value: u64) {
        self.words[item as usize].store(value, Ordering::Release);
    }

    /// Adds a stall, if there is room.
    pub(crate) fn stalled(self, stall: Stall) {
        let count = self.get(Item::Stalls) as usize;
        if count < STALLS {
            let at = Self::stall(count);
            for (word, value) in (at..).zip([stall.from, stall.to, stall.running]) {
                self.words[word].store(value, Ordering::Release);
            }
            self.put(Item::Stalls, count as u64 + 1);
        }
    }

    /// All stalls.
    pub(crate) fn stalls(self) -> impl Iterator<Item = Stall> {
        let count = (self.get(Item::Stalls) as usize).min(STALLS);
        (0..count).map(move |index| {
            let [from, to, running] =
                [0, 1, 2].map(|word| self.words[Self::stall(index) + word].load(Ordering::Acquire));
            Stall { from, to, running }
        })
    }

    const fn stall(index: usize) -> usize {
        16 + index * 3
    }
}

const _: () = assert!(Account::stall(STALLS) <= ACCOUNT);
