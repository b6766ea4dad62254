//! The in-process twin of a ring in a segment.

use std::sync::Arc;

use super::setup::{self, Place};
use super::{Consumer, Options, Producer};
use crate::heap::Heap;
use crate::setup_error::SetupError;
use crate::trust::Trusted;

/// A ring of `slots` slots for messages of up to `slot_size` bytes on the heap, for threads and for tests: the same
/// protocol and the same handles, which lend slices safely, since their peers belong to this process.
///
/// # Errors
/// [`SetupError`] for impossible numbers, or when the memory cannot be had.
///
/// ```
/// let ring = ring_shm::mpmc::heap(64, 8)?;
/// let sum = std::thread::scope(|s| {
///     for _ in 0..2 {
///         let mut tx = ring.producer().unwrap();
///         s.spawn(move || (0..1000u32).for_each(|i| while tx.try_send(i, b"tick").is_err() {}));
///     }
///     let workers: Vec<_> = (0..2).map(|_| {
///         let mut rx = ring.consumer().unwrap();
///         s.spawn(move || (0..1000).map(|_| loop {
///             if let Ok(got) = rx.try_recv_into(&mut [0; 8]) { break u64::from(got.tag) }
///         }).sum::<u64>())
///     }).collect();
///     workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>()
/// });
/// assert_eq!(sum, 2 * 999 * 1000 / 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn heap(slots: u64, slot_size: u64) -> Result<HeapRing, SetupError> {
    HeapRing::new(&Options::new().slots(slots).slot_size(slot_size))
}

/// A ring on the heap, from which handles are made. It lives as long as the last of them, or of its clones.
///
/// ```
/// use ring_shm::mpmc::{HeapRing, Options};
/// let ring = HeapRing::new(&Options::new().slots(8).slot_size(48).max_producers(1).at_most_once())?;
/// let mut tx = ring.producer()?;
/// assert!(ring.producer().is_err()); // at most one at a time
/// tx.try_send(7, b"hello")?;
/// assert_eq!(&*ring.consumer()?.try_read()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeapRing {
    pub(super) heap: Arc<Heap>,
}

impl HeapRing {
    /// A ring with options; permissions and group mean nothing here.
    ///
    /// # Errors
    /// [`SetupError`] for impossible numbers, or when the memory cannot be had.
    pub fn new(options: &Options) -> Result<Self, SetupError> {
        Ok(Self { heap: setup::heap(options)? })
    }

    /// Joins as a producer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `InUse` when every place is taken.
    pub fn producer(&self) -> Result<Producer<Trusted>, SetupError> {
        Producer::from_place(Place::in_heap(&self.heap)?)
    }

    /// Joins as a consumer.
    ///
    /// # Errors
    /// As for [`producer`](Self::producer).
    pub fn consumer(&self) -> Result<Consumer<Trusted>, SetupError> {
        Consumer::from_place(Place::in_heap(&self.heap)?)
    }
}
