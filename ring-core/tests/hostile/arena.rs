//! The memory that a liar writes to: a ring between lines of canaries.
#![allow(dead_code, reason = "not every test that includes it uses all of it")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring_core::spsc::{Format, Ring};
use ring_core::{Line, Region, SpscControl, spsc_data_offset};

use crate::spsc_support::lines;

pub(crate) const CANARY: u64 = 0xCA4A_71E5_0DD5_EA15;
/// Words of canaries on each side: two lines.
pub(crate) const MARGIN: usize = 32;
/// Words of the control block that have a meaning.
pub(crate) const CONTROL_WORDS: usize = size_of::<SpscControl>() / 8;

/// A ring between canaries.
pub(crate) struct Arena {
    pub(crate) memory: Vec<Line>,
    pub(crate) words: usize,
    /// Where the data area begins, in bytes.
    pub(crate) data: usize,
}

impl Arena {
    pub(crate) fn new(format: &Format) -> Self {
        let bytes = format.footprint();
        let memory = lines(bytes + 2 * 8 * MARGIN as u64);
        let data = spsc_data_offset(format == &format.line_aligned(true)) as usize;
        let arena = Self { memory, words: bytes as usize / 8, data };
        for i in arena.outside() {
            arena.raw(i).store(CANARY, Relaxed);
        }
        Ring::format(arena.region(), format).unwrap();
        arena
    }

    /// The words around the ring, those of the region's last line included where the ring does not fill it.
    fn outside(&self) -> impl Iterator<Item = usize> {
        (0..MARGIN).chain(MARGIN + self.words..self.memory.len() * 16)
    }

    fn raw(&self, i: usize) -> &AtomicU64 {
        assert!(i < self.memory.len() * 16);
        // SAFETY: a `Line` is 16 atomic words.
        #[allow(unsafe_code)]
        let words =
            unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<AtomicU64>(), self.memory.len() * 16) };
        &words[i]
    }

    /// Word `i` of the region.
    pub(crate) fn word(&self, i: usize) -> &AtomicU64 {
        assert!(i < self.words);
        self.raw(MARGIN + i)
    }

    pub(crate) fn region(&self) -> Region<'_> {
        Region::new(&self.memory[MARGIN / 16..(MARGIN + self.words).div_ceil(16)])
    }

    pub(crate) fn snapshot(&self) -> Vec<u64> {
        (0..self.words).map(|i| self.word(i).load(Relaxed)).collect()
    }

    pub(crate) fn restore(&self, snapshot: &[u64]) {
        snapshot.iter().enumerate().for_each(|(i, value)| self.word(i).store(*value, Relaxed));
    }

    pub(crate) fn check(&self, what: &dyn Fn() -> String) {
        for i in self.outside() {
            assert_eq!(self.raw(i).load(Relaxed), CANARY, "word {i} outside of the ring was written: {}", what());
        }
        for i in CONTROL_WORDS..self.data / 8 {
            assert_eq!(self.word(i).load(Relaxed), 0, "unused control word {i} was written: {}", what());
        }
    }
}
