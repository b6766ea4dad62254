//! The consumer's handle: ring-core's consumer under its lease.

use core::marker::PhantomData;

use ring_core::Role;
use ring_core::mpmc as core_mpmc;
use ring_core::mpmc::{ReadError, Received};

use super::error::TryRecvError;
use super::joined::Joined;
use super::records::{ReadBatch, Record};
use super::setup::{self, Place};
use super::{Options, Stats};
use crate::attach;
use crate::error::MapError;
use crate::location::ToLocation;
use crate::placement::{Placed, Placement, PlacementError};
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::trust::{Trust, Trusted, Untrusted};

/// A reading handle of an MPMC ring: each message goes to exactly one of them.
///
/// `Send`, not `Sync`. Dropping it leaves the ring in order, except while the thread is panicking: then it counts as
/// dead. Either way what it had not released goes to another consumer, flagged. In a child made by `fork` it does
/// nothing and says [`Forked`](TryRecvError::Forked).
///
/// A message whose readers have died as often as the ring allows is a *dead letter*: it comes with
/// [`dead_letter`](Received::dead_letter) set, to whichever consumer asks next. Put it aside without working on it
/// (another ring, a file, a log), and release it. Whoever works on it all the same may die of it, until it is dropped
/// after its 32nd delivery.
///
/// ```
/// use ring_shm::mpmc::{TryRecvError, heap};
/// let (jobs, letters) = (heap(16, 48)?, heap(16, 48)?);
/// let (mut tx, mut rx) = (jobs.producer()?, jobs.consumer()?);
/// let mut aside = letters.producer()?;
/// tx.try_send(1, b"good")?;
/// tx.try_send(2, b"poison")?;
/// let mut done = 0;
/// loop {
///     match rx.try_read() {
///         Ok(letter) if letter.dead_letter() => {
///             aside.try_send(letter.tag(), &letter)?; // the path of your choice
///             letter.release(); // only when it has arrived there
///         }
///         Ok(job) if &*job == b"poison" => job.keep(), // stands for a crash or a panic
///         Ok(job) => {
///             done += 1;
///             job.release();
///         }
///         Err(TryRecvError::Empty) => break,
///         Err(error) => return Err(error.into()),
///     }
/// }
/// assert_eq!((done, &*letters.consumer()?.try_read()?), (1, &b"poison"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Consumer<T: Trust = Untrusted> {
    pub(super) joined: Joined<core_mpmc::Consumer<'static>>,
    trust: PhantomData<T>,
}

impl Consumer<Untrusted> {
    /// Creates the ring `name` and joins it as a consumer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Exists` when the name is taken.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let at = at.to_location()?;
        attach::create_and_sit(|| setup::create(&at, options), |segment| Self::join_as(segment, options))
    }

    /// Opens the ring `name` and joins it as a consumer, be it open or closed.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `NotFound` without such a segment, and `InUse` when every place is taken, by the
    /// living or by those who cannot be shown to be dead.
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

impl<T: Trust> Consumer<T> {
    pub(super) fn from_place(mut place: Place) -> Result<Self, SetupError> {
        let (ring, lease) = (place.ring, place.lease);
        let core = ring
            .join_consumer(lease, |lease| place.verdict(lease))
            .map_err(|error| SetupError::join(error, Role::Consumer))?;
        Ok(Self { joined: Joined::new(core, place), trust: PhantomData })
    }

    /// A handle whose records deref to slices of the ring's memory.
    ///
    /// # Safety
    /// For the life of the handle every process that can write to this segment must follow the protocol: it writes
    /// payload only into its own claims, and nothing else but what this library writes. A peer that writes into a
    /// record while this process has a slice of it is undefined behaviour here.
    #[must_use]
    #[allow(unsafe_code, reason = "hands the duty to the caller; nothing unsafe happens here")]
    pub unsafe fn trust_peers(self) -> Consumer<Trusted> {
        Consumer { joined: self.joined, trust: PhantomData }
    }

    /// Copies the next message into `buf` and releases it: a message of this call never comes again, so a process
    /// that must not lose one while it works on it uses [`try_read`](Self::try_read).
    ///
    /// Bounded; no system call, except that somebody who has been in the way for 250 µs is asked after, and if
    /// dead put out of it, and that a consumer which finds nothing asks now and then about those who hold messages.
    /// A stopped or slow participant keeps what it has.
    ///
    /// # Errors
    /// [`TryRecvError`]; on `BufferTooSmall` this handle keeps the message for its next call.
    #[inline(always)]
    pub fn try_recv_into(&mut self, buf: &mut [u8]) -> Result<Received, TryRecvError> {
        // Made of both ways' answers at the end, so that the quick way has nothing to do with where the other one leaves its own.
        let received = match self.joined.usable().and_then(|core| core.recv_guessed(buf)) {
            Some(received) => received,
            None => self.recv_slowly(buf)?,
        };
        Ok(received)
    }

    /// The same where the core's guess was of no use.
    #[cold]
    #[inline(never)]
    fn recv_slowly(&mut self, buf: &mut [u8]) -> Result<Received, TryRecvError> {
        self.joined.run(|core| core.try_recv_into(buf))
    }

    /// Lends the next message. Dropping it releases its slot, except while the thread is panicking: then it goes back
    /// to the ring, for another delivery. If this process dies with it, it goes to another consumer, flagged (or is
    /// dropped, in a ring that delivers at most once).
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<Record<'_, T>, TryRecvError> {
        self.joined.run_guessing(|core| core.read_guessed(), |core| core.try_read(), Record::new)
    }

    /// Lends up to `max` messages that follow each other (4095 at a time), claimed at once and released together.
    ///
    /// # Errors
    /// [`TryRecvError`]; `Empty` also for a `max` of 0.
    #[inline]
    pub fn try_read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, T>, TryRecvError> {
        self.joined.run(|core| some(max).and_then(|max| core.try_read_batch(max))).map(ReadBatch::new)
    }

    /// Claims up to `max` messages for the next read or batch of this handle, which then has them.
    pub(crate) fn fetch(&mut self, max: usize) -> Result<(), TryRecvError> {
        self.joined.run(|core| some(max).and_then(|max| core.fetch(max)))
    }

    /// Whether a message can be seen that anybody may take: a guess.
    pub(crate) fn seems_ready(&mut self) -> bool {
        self.joined.usable().is_some_and(|core| core.is_ready())
    }

    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    /// For who was woken and does not look.
    pub(super) fn wake_another(&mut self) {
        if let Some(core) = self.joined.usable() {
            core.pass_wake();
        }
    }

    /// Ends the ring for everybody: from now on nothing can be sent, and consumers are told when the last message
    /// has been released. In a ring of one producer it takes effect with that one's next operation, or with its end.
    ///
    /// # Errors
    /// [`TryRecvError::Corrupt`] and [`TryRecvError::Forked`].
    pub fn close(&mut self) -> Result<(), TryRecvError> {
        self.joined.close()
    }

    /// Whether the ring was closed; messages may still be there. False is a guess.
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

/// A batch of none is in no ring.
#[inline(always)]
fn some(max: usize) -> Result<usize, ReadError> {
    if max == 0 { Err(ReadError::Empty) } else { Ok(max) }
}
