//! The handle that sends values of one type.
//!
//! # Safety
//!
//! 1. A claim has as many bytes as were asked for.
//! 2. Who calls `trust_peers` answers for the peers.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ring_core::Position;

use super::TypedClaim;
use crate::attach;
use crate::location::ToLocation;
use crate::payload::Payload;
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::spsc::error::TrySendError;
use crate::spsc::setup::{self, Place};
use crate::spsc::wait_error::SendError;
use crate::spsc::{Options, Producer};
use crate::trust::{Trust, Trusted, Untrusted};
use crate::typed::Typed;

/// The one writing handle of an SPSC ring of `T`s. See [`Producer`] for what it does when, and
/// [`payload!`](crate::payload) for what a `T` can be.
///
/// ```
/// # let name = format!("doc-typed-{}", std::process::id());
/// use ring_shm::spsc::{Options, TypedConsumer, TypedProducer};
/// use ring_shm::{SetupErrorKind, payload, unlink};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Tick { price: u64, quantity: u32, side: u32 }
/// }
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct OldTick { price: u32, quantity: u32, side: u64 }
/// }
///
/// let mut tx = TypedProducer::<Tick>::create(&name, &Options::new())?;
/// let mut rx = TypedConsumer::<Tick>::open(&name)?; // usually in another process
/// let sent = tx.try_send(7, &Tick { price: 100, quantity: 5, side: 1 })?;
/// let (tick, received) = rx.try_recv()?;
/// assert_eq!((tick.price, received.tag, received.position), (100, 7, sent));
///
/// drop(rx);
/// let refused = TypedConsumer::<OldTick>::open(&name).unwrap_err();
/// assert_eq!(refused.kind(), SetupErrorKind::WrongType);
/// assert!(refused.to_string().contains("Tick { price: u64 @0,"));
/// assert!(refused.to_string().contains("OldTick { price: u32 @0,"));
/// # unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedProducer<T: Payload + ?Sized, P: Trust = Untrusted> {
    bytes: Producer<P>,
    payload: PhantomData<fn(T)>,
}

impl<T: Payload + ?Sized, P: Trust + fmt::Debug> fmt::Debug for TypedProducer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer").field("payload", T::TYPE).field("bytes", &self.bytes).finish()
    }
}

impl<T: Payload + ?Sized> TypedProducer<T> {
    /// As [`Producer::create`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Invalid` also for a capacity that is too small for a `T`.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let (at, options) = (at.to_location()?, options.clone().payload::<T>());
        attach::create_and_sit(|| setup::create(&at, &options), |segment| Self::sit_as(segment, &options))
    }

    /// As [`Producer::open`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `WrongType` for a ring of anything else.
    pub fn open(at: impl ToLocation) -> Result<Self, SetupError> {
        Self::open_with(at, &OpenRules::default())
    }

    /// As [`Producer::open_with`], for `T`s.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(at: impl ToLocation, rules: &OpenRules) -> Result<Self, SetupError> {
        attach::open(at, rules, Self::sit)
    }

    /// As [`Producer::open_or_create`], for `T`s.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let options = options.clone().payload::<T>();
        setup::open_or_create(&at.to_location()?, &options, |segment| Self::sit_as(segment, &options))
    }

    /// As [`Producer::create_strict`], for `T`s.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    /// use ring_shm::spsc::{Options, TypedConsumer, TypedProducer};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let patience = Duration::from_secs(10);
    /// let other = std::thread::spawn(move || TypedConsumer::<u64>::open_strict(&there, patience));
    /// let mut tx = TypedProducer::<u64>::create_strict(&here, &Options::new(), patience)?;
    /// let mut rx = other.join().unwrap()?;
    /// tx.try_send(0, &42)?;
    /// assert_eq!(rx.try_recv()?.0, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As there; the kind is `Invalid` also for a capacity that is too small for a `T`.
    pub fn create_strict(socket: &UnixStream, options: &Options, timeout: Duration) -> Result<Self, SetupError> {
        Producer::create_strict(socket, &options.clone().payload::<T>(), timeout).map(Self::new)
    }

    fn sit(segment: &Segment) -> Result<Self, SetupError> {
        Producer::from_place(Place::in_segment_of(segment, Some(T::TYPE))?).map(Self::new)
    }

    fn sit_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        let place = Place::in_segment_of(segment, Some(T::TYPE))?.placed(options.wanted())?;
        Producer::from_place(place).map(Self::new)
    }
}

impl<T: Payload + ?Sized, P: Trust> TypedProducer<T, P> {
    pub(super) fn new(bytes: Producer<P>) -> Self {
        Self { bytes, payload: PhantomData }
    }

    /// A handle whose claims are `T`s in the ring's memory.
    ///
    /// # Safety
    /// As [`Producer::trust_peers`].
    #[must_use]
    pub unsafe fn trust_peers(self) -> TypedProducer<T, Trusted> {
        // SAFETY: 2.
        TypedProducer::new(unsafe { self.bytes.trust_peers() })
    }

    /// Sends a copy of `value` with a tag of the caller's. `Ok` means committed.
    ///
    /// # Errors
    /// [`TrySendError`]; nothing was sent.
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, value: &T) -> Result<Position, TrySendError> {
        self.bytes.try_send(tag, value.as_bytes())
    }

    /// As [`try_send`](Self::try_send), waiting for space.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    #[inline]
    pub fn send(&mut self, tag: u32, value: &T) -> Result<Position, SendError> {
        self.bytes.send(tag, value.as_bytes())
    }

    /// As [`send`](Self::send), for `timeout` at most.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send_timeout(&mut self, tag: u32, value: &T, timeout: Duration) -> Result<Position, SendError> {
        self.bytes.send_timeout(tag, value.as_bytes(), timeout)
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send_deadline(&mut self, tag: u32, value: &T, deadline: Instant) -> Result<Position, SendError> {
        self.bytes.send_deadline(tag, value.as_bytes(), deadline)
    }

    /// The handle of bytes under this one: its numbers.
    #[must_use]
    pub fn get_ref(&self) -> &Producer<P> {
        &self.bytes
    }

    /// The handle of bytes under this one: batches, wait strategies, cancelling. A record sent through it that has
    /// not a `T`'s length is refused by typed receivers.
    ///
    /// ```
    /// use zerocopy::IntoBytes;
    /// let (mut tx, mut rx) = ring_shm::spsc::typed_heap::<u64>(1 << 12)?;
    /// let mut batch = tx.get_mut().try_claim_batch(3, size_of::<u64>())?;
    /// for value in [1_u64, 2, 3] {
    ///     batch.push(0, value.as_bytes())?;
    /// }
    /// batch.commit();
    /// let mut batch = rx.get_mut().try_read_batch(10)?;
    /// let (mut value, mut sum) = (0_u64, 0);
    /// while let Some(one) = batch.next_record() {
    ///     if one.copy_to(value.as_mut_bytes()) == one.len() { // else it is no value
    ///         sum += value;
    ///     }
    /// }
    /// assert_eq!((sum, batch.release()), (6, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_mut(&mut self) -> &mut Producer<P> {
        &mut self.bytes
    }

    /// The handle of bytes itself.
    #[cfg(feature = "async")]
    pub(super) fn into_bytes(self) -> Producer<P> {
        self.bytes
    }

    /// Closes the session in order. The same as dropping the handle.
    pub fn close(self) {}
}

impl<T: Payload, P: Trust> TypedProducer<T, P> {
    /// Reserves space for a value. Dropping the claim aborts it: nothing was sent.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::typed_heap::<[u32; 4]>(1 << 12)?; // trusts its peers
    /// let mut claim = tx.try_claim()?;
    /// claim[0] = 1; // the ring's own memory, and whatever it held elsewhere
    /// claim[1..].fill(2);
    /// claim.commit();
    /// assert_eq!(*rx.try_read()?, [1, 2, 2, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`]; nothing is reserved.
    #[inline(always)]
    pub fn try_claim(&mut self) -> Result<TypedClaim<'_, T, P>, TrySendError> {
        let claim = self.bytes.try_claim(size_of::<T>());
        // SAFETY: 1.
        unsafe { Typed::lend_exact(claim) }
    }

    /// As [`try_claim`](Self::try_claim), waiting for space.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim(&mut self) -> Result<TypedClaim<'_, T, P>, SendError> {
        Typed::lend(self.bytes.claim(size_of::<T>()), |len| Self::wrong(len).into())
    }

    /// As [`claim`](Self::claim), for `timeout` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_timeout(&mut self, timeout: Duration) -> Result<TypedClaim<'_, T, P>, SendError> {
        Typed::lend(self.bytes.claim_timeout(size_of::<T>(), timeout), |len| Self::wrong(len).into())
    }

    /// As [`claim`](Self::claim), until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_deadline(&mut self, deadline: Instant) -> Result<TypedClaim<'_, T, P>, SendError> {
        Typed::lend(self.bytes.claim_deadline(size_of::<T>(), deadline), |len| Self::wrong(len).into())
    }

    /// A claim that is not as long as it was asked for: there is none.
    #[cold]
    pub(super) fn wrong(len: usize) -> TrySendError {
        TrySendError::TooLong { len: size_of::<T>(), max: len }
    }
}
