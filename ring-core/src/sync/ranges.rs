//! A table of address ranges that a signal handler can search: for `ring-shm`'s guard against truncation.
//!
//! A sequence lock for each place: who reads while a place changes sees an odd version, or another one than before.
#![allow(clippy::disallowed_types)]

use core::sync::atomic::{AtomicU64, Ordering};

/// One range. An even version says that the words belong together.
#[derive(Debug)]
struct Entry {
    taken: AtomicU64,
    version: AtomicU64,
    start: AtomicU64,
    len: AtomicU64,
    tag: AtomicU64,
    marked: AtomicU64,
}

/// Ranges, each under the number of its place.
///
/// ```
/// static RANGES: ring_core::Ranges<4> = ring_core::Ranges::new();
/// let place = RANGES.put(0x1000, 0x800, 7).unwrap();
/// assert_eq!(RANGES.find(0x17ff, 7), Some((place, 0x1000, 0x800)));
/// assert_eq!((RANGES.find(0x1800, 7), RANGES.find(0x1000, 8)), (None, None));
/// RANGES.mark(place);
/// assert!(RANGES.is_marked(place));
/// RANGES.take_out(place);
/// assert_eq!(RANGES.find(0x1000, 7), None);
/// ```
#[derive(Debug)]
pub struct Ranges<const N: usize>([Entry; N]);

impl<const N: usize> Default for Ranges<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Ranges<N> {
    /// All places empty.
    #[must_use]
    pub const fn new() -> Self {
        Self(
            [const {
                Entry {
                    taken: AtomicU64::new(0),
                    version: AtomicU64::new(0),
                    start: AtomicU64::new(0),
                    len: AtomicU64::new(0),
                    tag: AtomicU64::new(0),
                    marked: AtomicU64::new(0),
                }
            }; N],
        )
    }

    /// Puts a range into a free place, unmarked. `None`: there is none.
    pub fn put(&self, start: u64, len: u64, tag: u64) -> Option<usize> {
        // Acquire: what the place's last owner did to it comes before.
        let take = |entry: &Entry| entry.taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let place = self.0.iter().position(take)?;
        self.set(place, start, len, tag);
        Some(place)
    }

    /// Empties a place that [`put`](Self::put) has given.
    pub fn take_out(&self, place: usize) {
        self.set(place, 0, 0, 0);
        if let Some(entry) = self.0.get(place) {
            entry.taken.store(0, Ordering::Release);
        }
    }

    /// Only by who has taken the place.
    fn set(&self, place: usize, start: u64, len: u64, tag: u64) {
        let Some(entry) = self.0.get(place) else { return };
        let version = entry.version.load(Ordering::Relaxed);
        entry.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Release: whoever reads one of these has the odd version before him.
        entry.start.store(start, Ordering::Release);
        entry.len.store(len, Ordering::Release);
        entry.tag.store(tag, Ordering::Release);
        entry.marked.store(0, Ordering::Release);
        entry.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The place, start and length of the range of that tag in which `address` lies. Async-signal-safe: who searches for
    /// an address of a range that he may touch finds it, since nobody changes that range's place meanwhile.
    pub fn find(&self, address: u64, tag: u64) -> Option<(usize, u64, u64)> {
        self.0.iter().enumerate().find_map(|(place, entry)| {
            let version = entry.version.load(Ordering::Acquire);
            // Acquire: the second look at the version comes after these.
            let start = entry.start.load(Ordering::Acquire);
            let len = entry.len.load(Ordering::Acquire);
            let same = entry.tag.load(Ordering::Acquire) == tag;
            let whole = version & 1 == 0 && entry.version.load(Ordering::Relaxed) == version;
            let inside = address.checked_sub(start).is_some_and(|offset| offset < len);
            (whole && same && inside).then_some((place, start, len))
        })
    }

    /// Marks the range at `place`. Async-signal-safe.
    pub fn mark(&self, place: usize) {
        if let Some(entry) = self.0.get(place) {
            entry.marked.store(1, Ordering::Release);
        }
    }

    /// Whether the range at `place` was marked.
    pub fn is_marked(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|entry| entry.marked.load(Ordering::Acquire) != 0)
    }
}
