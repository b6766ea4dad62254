//! What receiving operations lend: records, and batches of them. Thin: ring-core's guards with a drop that knows about
//! unwinding, and with slices where the peers are trusted.
//!
//! # Safety
//!
//! 1. `Trusted` guards come only from handles that `trust_peers` or a heap ring made: every process that can write to
//!    the memory follows the protocol, which leaves a claim's bytes to its claimer and a record's bytes unwritten
//!    until it is released.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use ring_core::Position;
use ring_core::mpmc as core_mpmc;
use ring_core::mpmc::Received;

use crate::lent::Lent;
use crate::trust::{Trust, Trusted};

/// One message, lent in place. Dropping it releases its slot, except while the thread is panicking: then it goes back
/// to the ring, for another delivery, unless the ring delivers at most once.
///
/// From a trusting handle it also derefs to the payload's bytes.
///
/// ```
/// # let name = format!("doc-mpmc-record-{}", std::process::id());
/// use ring_shm::mpmc::{Consumer, Options, Producer};
/// let mut tx = Producer::create(&name, &Options::new())?;
/// let (mut rx, mut other) = (Consumer::open(&name)?, Consumer::open(&name)?);
/// let sent = tx.try_send(7, b"once, or flagged")?;
///
/// let record = rx.try_read()?;
/// assert_eq!((record.position(), record.redelivered(), record.attempt()), (sent, false, 0));
/// record.keep();
///
/// let record = other.try_read()?;
/// let mut buf = [0; 48];
/// let len = record.copy_to(&mut buf);
/// assert_eq!((&buf[..len], record.redelivered(), record.attempt()), (&b"once, or flagged"[..], true, 1));
/// record.release();
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a record that is dropped is released"]
pub struct Record<'a, T: Trust> {
    core: Lent<core_mpmc::Record<'a, 'static>>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> Record<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::Record<'a, 'static>) -> Self {
        Self { core: Lent::new(core), trust: PhantomData }
    }

    #[inline(always)]
    fn received(&self) -> Received {
        self.core.received()
    }

    /// Payload bytes.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.received().len
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.received().tag
    }

    /// The delivery id: unique for the life of the ring, the same that the sender was told.
    #[must_use]
    pub fn position(&self) -> Position {
        self.received().position
    }

    /// Whether a consumer that did not release this message may have seen it. May be true wrongly, never false
    /// wrongly.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.received().redelivered
    }

    /// Deliveries before this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.received().attempt
    }

    /// Whether the message has had all the deliveries that the ring allows: put it aside, do not work on it.
    #[must_use]
    pub fn dead_letter(&self) -> bool {
        self.received().dead_letter
    }

    /// Copies as many bytes as fit into `buf`; returns how many. Sound whatever a peer does.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.copy_to(buf)
    }

    /// Gives the slot back to the producers, also while the thread is panicking.
    #[inline(always)]
    pub fn release(self) {
        self.core.into_core().release();
    }

    /// Gives the message back to the ring: it comes again, flagged, to whoever asks next. That counts as a delivery.
    pub fn keep(self) {
        self.core.into_core().keep();
    }
}

impl Deref for Record<'_, Trusted> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}

impl<T: Trust> fmt::Debug for Record<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("received", &self.received()).finish_non_exhaustive()
    }
}

/// Messages lent in place and released together: at the end, or when the batch is dropped, unless the thread is
/// panicking. Those that were claimed and not handed out go back to the ring and come again, flagged. While the thread
/// is panicking all of them do, unless the ring delivers at most once.
#[derive(Debug)]
#[must_use = "a batch that is dropped is released"]
pub struct ReadBatch<'a, T: Trust> {
    core: Lent<core_mpmc::ReadBatch<'a, 'static>>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> ReadBatch<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::ReadBatch<'a, 'static>) -> Self {
        Self { core: Lent::new(core), trust: PhantomData }
    }

    /// The next message; `None` when all have been handed out. A message that a hostile peer has made impossible is
    /// left out.
    #[inline]
    pub fn next_record(&mut self) -> Option<BatchRecord<'_, T>> {
        let core = self.core.next_record().ok()??;
        Some(BatchRecord { core, trust: PhantomData })
    }

    /// How many messages were handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether none was handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back the slots of all messages handed out; returns how many.
    #[inline]
    pub fn release(self) -> usize {
        self.core.into_core().release()
    }

    /// Gives all messages back to the ring, for another delivery.
    pub fn keep(self) {
        self.core.into_core().keep();
    }
}

/// A message of a [`ReadBatch`]. From a trusting handle it derefs to the payload's bytes.
#[derive(Debug)]
pub struct BatchRecord<'b, T: Trust> {
    core: core_mpmc::BatchRecord<'b, 'static>,
    trust: PhantomData<T>,
}

impl<T: Trust> BatchRecord<'_, T> {
    /// Payload bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.core.tag()
    }

    /// The delivery id.
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.position()
    }

    /// See [`Record::redelivered`].
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.core.redelivered()
    }

    /// See [`Record::attempt`].
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.core.received().attempt
    }

    /// See [`Record::dead_letter`].
    #[must_use]
    pub fn dead_letter(&self) -> bool {
        self.core.received().dead_letter
    }

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.copy_to(buf)
    }
}

impl Deref for BatchRecord<'_, Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}
