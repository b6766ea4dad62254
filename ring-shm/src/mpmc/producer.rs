//! The producer's handle: ring-core's producer under its lease.

use core::marker::PhantomData;

use ring_core::mpmc::{self as core_mpmc, ClaimError};
use ring_core::{Position, Role};

use super::claims::{Claim, ClaimBatch};
use super::error::TrySendError;
use super::joined::Joined;
use super::setup::{self, Place};
use super::{Options, Stats};
use crate::attach;
use crate::error::MapError;
use crate::location::ToLocation;
use crate::placement::{Placed, Placement, PlacementError};
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::trust::{Trust, Trusted, Untrusted};

/// A writing handle of an MPMC ring.
///
/// `Send`, not `Sync`. Dropping it leaves the ring in order, except while the thread is panicking: then it counts as
/// dead. In a child made by `fork` it does nothing and says [`Forked`](TrySendError::Forked); after `exec` it is
/// gone, and its place free.
///
/// ```
/// let ring = ring_shm::mpmc::heap(16, 48)?;
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// let position = tx.try_send(7, b"hello")?;
/// let mut buf = [0; 48];
/// let got = rx.try_recv_into(&mut buf)?;
/// assert_eq!((&buf[..got.len], got.tag, got.position), (&b"hello"[..], 7, position));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Producer<T: Trust = Untrusted> {
    pub(super) joined: Joined<core_mpmc::Producer<'static>>,
    trust: PhantomData<T>,
}

impl Producer<Untrusted> {
    /// Creates the ring `name` and joins it as a producer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Exists` when the name is taken.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let at = at.to_location()?;
        attach::create_and_sit(|| setup::create(&at, options), |segment| Self::join_as(segment, options))
    }

    /// Opens the ring `name` and joins it as a producer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `NotFound` without such a segment, `InUse` when every place is taken, by the
    /// living or by those who cannot be shown to be dead, and `Closed` when nothing can be sent any more.
    pub fn open(at: impl ToLocation) -> Result<Self, SetupError> {
        Self::open_with(at, &OpenRules::default())
    }

    /// As [`open`](Self::open), but puts up with other owners of the segment only as `rules` say.
    ///
    /// # Errors
    /// As [`open`](Self::open); the kind is `Permission` for a segment that the rules do not let through.
    pub fn open_with(at: impl ToLocation, rules: &OpenRules) -> Result<Self, SetupError> {
        attach::open(at, rules, Self::join)
    }

    /// Opens the ring `name`, or creates it with `options` when it does not exist. An existing ring keeps the options
    /// it was created with; one of another user is opened only when `options` share too, and with the same group.
    ///
    /// # Errors
    /// [`SetupError`], as for [`create`](Self::create) and [`open`](Self::open); impossible options are refused also
    /// when the ring exists.
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        setup::open_or_create(&at.to_location()?, options, |segment| Self::join_as(segment, options))
    }

    fn join(segment: &Segment) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?)
    }

    fn join_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?.placed(options.wanted())?)
    }
}

impl<T: Trust> Producer<T> {
    pub(super) fn from_place(mut place: Place) -> Result<Self, SetupError> {
        let (ring, lease) = (place.ring, place.lease);
        let core = ring
            .join_producer(lease, |lease| place.verdict(lease))
            .map_err(|error| SetupError::join(error, Role::Producer))?;
        Ok(Self { joined: Joined::new(core, place), trust: PhantomData })
    }

    /// A handle whose claims deref to slices of the ring's memory.
    ///
    /// # Safety
    /// For the life of the handle every process that can write to this segment must follow the protocol: it writes
    /// payload only into its own claims, and nothing else but what this library writes. A peer that writes into a
    /// claim while this process has a slice of it is undefined behaviour here.
    ///
    /// ```
    /// # let name = format!("doc-mpmc-trust-{}", std::process::id());
    /// use ring_shm::mpmc::{Consumer, Options, Producer};
    /// let (tx, rx) = (Producer::create(&name, &Options::new())?, Consumer::open(&name)?);
    /// // SAFETY: this service creates the segment with mode 0600 and is the only program of its user that opens it.
    /// let (mut tx, mut rx) = unsafe { (tx.trust_peers(), rx.trust_peers()) };
    /// let mut claim = tx.try_claim(100)?;
    /// claim.fill(0x5a); // the ring's own memory
    /// claim.commit();
    /// assert!(rx.try_read()?.iter().all(|byte| *byte == 0x5a));
    /// # ring_shm::unlink(&name, true)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[allow(unsafe_code, reason = "hands the duty to the caller; nothing unsafe happens here")]
    pub unsafe fn trust_peers(self) -> Producer<Trusted> {
        Producer { joined: self.joined, trust: PhantomData }
    }

    /// Sends a copy of `payload` with a tag of the caller's. `Ok` means committed: one consumer will get it, whatever
    /// happens to this process. The position is the message's delivery id.
    ///
    /// Bounded; no system call, except that somebody who has been in the way for 250 µs is asked after, and if
    /// dead put out of it. A stopped or slow participant never is.
    ///
    /// # Errors
    /// [`TrySendError`]; nothing was sent.
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        match self.joined.usable().and_then(|core| core.send_guessed(tag, payload)) {
            Some(position) => Ok(position),
            None => self.send_slowly(tag, payload),
        }
    }

    /// The same where the core's guess was of no use.
    #[cold]
    #[inline(never)]
    fn send_slowly(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        self.joined.run(|core| core.try_send(tag, payload))
    }

    /// Claims the next slot for a message of up to `len` bytes, to be written before it is committed. Dropping the
    /// claim aborts it: nothing was sent, and consumers skip the slot. Everything sent after it waits until then.
    ///
    /// # Errors
    /// [`TrySendError`].
    #[inline(always)]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, T>, TrySendError> {
        self.joined.run_guessing(|core| core.claim_guessed(len), |core| core.try_claim(len), Claim::new)
    }

    /// Claims as many slots as are free, at least one and at most `max` (4095 at a time), for messages of up to `len`
    /// bytes. Committing sends them one after the other: a consumer can get the first before the last is sent, and
    /// of a batch whose sender dies in the middle of it a beginning may arrive.
    ///
    /// # Errors
    /// [`TrySendError`]; `Full` also for a `max` of 0.
    #[inline]
    pub fn try_claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, T>, TrySendError> {
        self.joined.run(|core| some(max).and_then(|max| core.try_claim_batch(max, len))).map(ClaimBatch::new)
    }

    /// Like [`try_claim_batch`](Self::try_claim_batch), for exactly `count` slots or none.
    ///
    /// # Errors
    /// [`TrySendError`]; `TooLong` also when the ring never has so many, `Full` also for a `count` of 0.
    #[inline]
    pub fn try_claim_batch_exact(&mut self, count: usize, len: usize) -> Result<ClaimBatch<'_, T>, TrySendError> {
        self.joined
            .run(|core| some(count).and_then(|count| core.try_claim_batch_exact(count, len)))
            .map(ClaimBatch::new)
    }

    /// Claims up to `max` slots for the next claim or batch of this handle, which then has them.
    pub(crate) fn reserve(&mut self, max: usize, len: usize) -> Result<(), TrySendError> {
        let most = self.max_len();
        if len > most {
            return Err(TrySendError::TooLong { len, max: most });
        }
        self.joined.run(|core| some(max).and_then(|max| core.reserve(max)))
    }

    /// Whether a slot can be seen that anybody may take: a guess.
    pub(crate) fn seems_ready(&mut self) -> bool {
        self.joined.usable().is_some_and(|core| core.is_ready())
    }

    /// Gives back what was reserved.
    pub(crate) fn unreserve(&mut self) {
        if let Some(core) = self.joined.usable() {
            core.unreserve();
        }
    }

    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    /// For who was woken and does not look.
    pub(super) fn wake_another(&mut self) {
        if let Some(core) = self.joined.usable() {
            core.pass_wake();
        }
    }

    /// Ends the ring for everybody: from now on nothing can be sent, and consumers are told when the last message
    /// has been released. Claims made before stay valid. Handles that are merely dropped leave the ring open.
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`] and [`TrySendError::Forked`].
    pub fn close(&mut self) -> Result<(), TrySendError> {
        self.joined.run(|core| {
            core.close();
            Ok(())
        })
    }

    /// Whether the ring was closed. False is a guess.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.joined.is_closed()
    }

    /// Slots of the ring; all of them can hold a message.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.joined.ring().capacity()
    }

    /// The longest message, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.joined.ring().max_len()
    }

    /// Messages sent, or being written, and not taken by a consumer: a guess. 0 in a process that inherited the
    /// handle.
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        self.joined.len_guess()
    }

    /// Places this handle's mapping of the ring as `wanted`, and says how it lies then: for who opens a ring, and so has
    /// no options.
    ///
    /// # Errors
    /// [`PlacementError`] for a requirement that is not met; the handle goes on as it is.
    pub fn place(&mut self, wanted: &Placement) -> Result<Placed, PlacementError> {
        self.joined.life().place(wanted)?;
        self.placed()
    }

    /// How the memory of this handle's mapping lies, as the kernel tells it.
    ///
    /// # Errors
    /// [`PlacementError`] on the heap, and where `/proc` does not tell.
    pub fn placed(&self) -> Result<Placed, PlacementError> {
        self.joined.life().placed()
    }

    /// Waits until the ring, as it is now, would survive a power loss: every message committed before this call and
    /// not released. Payload is written before positions. Only a ring in a file has a disk to be written to; on the
    /// others this does nothing. What traffic after the call means for the promise: `docs/operating.md`.
    ///
    /// # Errors
    /// [`MapError`]: the disk has failed, or the file is out of reach; or the handle was inherited over a fork.
    pub fn sync(&self) -> Result<(), MapError> {
        self.joined.sync()
    }

    /// The handle's numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.joined.stats()
    }
}

/// A batch of none has room in no ring.
#[inline(always)]
fn some(count: usize) -> Result<usize, ClaimError> {
    if count == 0 { Err(ClaimError::Full) } else { Ok(count) }
}
