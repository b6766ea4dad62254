//! Handles that send and receive values of one type. Thin: the handles of bytes under them do everything, and refuse
//! nothing that these do not refuse; what is added is the type, compared when the ring is opened.
//!
//! # Safety
//!
//! 1. A claim has as many bytes as were asked for.
//! 2. Who calls `trust_peers` answers for the peers.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use std::time::{Duration, Instant};

use ring_core::Position;
use ring_core::mpmc::Received;

use super::claims::Claim;
use super::error::{TryRecvError, TrySendError};
use super::records::Record;
use super::setup::{self, Place};
use super::wait_error::{RecvError, SendError};
use super::{Consumer, HeapRing, Options, Producer};
use crate::attach;
use crate::location::ToLocation;
use crate::payload::Payload;
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::trust::{Trust, Trusted, Untrusted};
use crate::typed::Typed;

/// Space for one value; from a trusting handle it derefs to the value itself.
pub type TypedClaim<'a, T, P = Untrusted> = Typed<Claim<'a, P>, T>;

/// One value, lent in place; from a trusting handle it derefs to the value itself.
pub type TypedRecord<'a, T, P = Untrusted> = Typed<Record<'a, P>, T>;

/// A writing handle of an MPMC ring of `T`s. See [`Producer`] for what it does when, and
/// [`payload!`](crate::payload) for what a `T` can be.
///
/// ```
/// # let name = format!("doc-mpmc-typed-{}", std::process::id());
/// use ring_shm::mpmc::{Options, TypedConsumer, TypedProducer};
/// use ring_shm::{SetupErrorKind, payload, unlink};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Job { id: u64, input: [u8; 48] }
/// }
///
/// let mut tx = TypedProducer::<Job>::create(&name, &Options::new().slots(64))?; // the slot size is a `Job`'s
/// let mut rx = TypedConsumer::<Job>::open(&name)?; // usually in another process
/// tx.try_send(7, &Job { id: 1, input: [0; 48] })?;
/// let job = rx.try_read()?;
/// assert_eq!((job.get().id, job.tag(), job.attempt()), (1, 7, 0));
/// job.release(); // only when it is done: if this process dies before, another one gets it
///
/// assert_eq!(TypedConsumer::<u64>::open(&name).unwrap_err().kind(), SetupErrorKind::WrongType);
/// # unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedProducer<T: Payload, P: Trust = Untrusted> {
    bytes: Producer<P>,
    payload: PhantomData<fn(T)>,
}

impl<T: Payload, P: Trust + fmt::Debug> fmt::Debug for TypedProducer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer").field("payload", T::TYPE).field("bytes", &self.bytes).finish()
    }
}

impl<T: Payload> TypedProducer<T> {
    /// As [`Producer::create`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]. The slot size is a `T`'s, whatever `options` say.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let (at, options) = (at.to_location()?, options.clone().payload::<T>());
        attach::create_and_sit(|| setup::create(&at, &options), |segment| Self::join_as(segment, &options))
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
        attach::open(at, rules, Self::join)
    }

    /// As [`Producer::open_or_create`], for `T`s.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let options = options.clone().payload::<T>();
        setup::open_or_create(&at.to_location()?, &options, |segment| Self::join_as(segment, &options))
    }

    fn join(segment: &Segment) -> Result<Self, SetupError> {
        Producer::from_place(Place::in_segment_of(segment, Some(T::TYPE))?).map(Self::new)
    }

    fn join_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        let place = Place::in_segment_of(segment, Some(T::TYPE))?.placed(options.wanted())?;
        Producer::from_place(place).map(Self::new)
    }
}

impl<T: Payload, P: Trust> TypedProducer<T, P> {
    fn new(bytes: Producer<P>) -> Self {
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

    /// Claims the next slot for a value. Dropping the claim aborts it: nothing was sent.
    ///
    /// ```
    /// let ring = ring_shm::mpmc::HeapRing::new(&ring_shm::mpmc::Options::new().payload::<[u32; 4]>())?;
    /// let (mut tx, mut rx) = (ring.typed_producer::<[u32; 4]>()?, ring.typed_consumer::<[u32; 4]>()?);
    /// let mut claim = tx.try_claim()?; // a heap ring's handles trust their peers
    /// claim[0] = 1; // the ring's own memory, and whatever it held elsewhere
    /// claim[1..].fill(2);
    /// claim.commit();
    /// assert_eq!(*rx.try_read()?, [1, 2, 2, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`].
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
    fn wrong(len: usize) -> TrySendError {
        TrySendError::TooLong { len: size_of::<T>(), max: len }
    }

    /// The handle of bytes under this one: its numbers.
    #[must_use]
    pub fn get_ref(&self) -> &Producer<P> {
        &self.bytes
    }

    /// The handle of bytes under this one: batches, wait strategies, cancelling. A message sent through it that has
    /// not a `T`'s length is refused by typed receivers.
    ///
    /// ```
    /// use zerocopy::IntoBytes;
    /// let ring = ring_shm::mpmc::HeapRing::new(&ring_shm::mpmc::Options::new().payload::<u64>())?;
    /// let (mut tx, mut rx) = (ring.typed_producer::<u64>()?, ring.typed_consumer::<u64>()?);
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

    /// Ends the ring for everybody, as [`Producer::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&mut self) -> Result<(), TrySendError> {
        self.bytes.close()
    }
}

/// A reading handle of an MPMC ring of `T`s. See [`Consumer`] for what it does when.
///
/// A message that is no `T` by its length, which only a handle of bytes can send, is released and told as `WrongLength`.
pub struct TypedConsumer<T: Payload, P: Trust = Untrusted> {
    bytes: Consumer<P>,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload, P: Trust + fmt::Debug> fmt::Debug for TypedConsumer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer").field("payload", T::TYPE).field("bytes", &self.bytes).finish()
    }
}

impl<T: Payload> TypedConsumer<T> {
    /// As [`Consumer::create`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]. The slot size is a `T`'s, whatever `options` say.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let (at, options) = (at.to_location()?, options.clone().payload::<T>());
        attach::create_and_sit(|| setup::create(&at, &options), |segment| Self::join_as(segment, &options))
    }

    /// As [`Consumer::open`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `WrongType` for a ring of anything else.
    pub fn open(at: impl ToLocation) -> Result<Self, SetupError> {
        Self::open_with(at, &OpenRules::default())
    }

    /// As [`Consumer::open_with`], for `T`s.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(at: impl ToLocation, rules: &OpenRules) -> Result<Self, SetupError> {
        attach::open(at, rules, Self::join)
    }

    /// As [`Consumer::open_or_create`], for `T`s.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let options = options.clone().payload::<T>();
        setup::open_or_create(&at.to_location()?, &options, |segment| Self::join_as(segment, &options))
    }

    fn join(segment: &Segment) -> Result<Self, SetupError> {
        Consumer::from_place(Place::in_segment_of(segment, Some(T::TYPE))?).map(Self::new)
    }

    fn join_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        let place = Place::in_segment_of(segment, Some(T::TYPE))?.placed(options.wanted())?;
        Consumer::from_place(place).map(Self::new)
    }
}

impl<T: Payload, P: Trust> TypedConsumer<T, P> {
    fn new(bytes: Consumer<P>) -> Self {
        Self { bytes, payload: PhantomData }
    }

    /// A handle whose messages are `T`s in the ring's memory.
    ///
    /// # Safety
    /// As [`Consumer::trust_peers`].
    #[must_use]
    pub unsafe fn trust_peers(self) -> TypedConsumer<T, Trusted> {
        // SAFETY: 2.
        TypedConsumer::new(unsafe { self.bytes.trust_peers() })
    }

    /// Takes the next value out. Sound whatever a peer does: what comes is a `T`, be it one that nobody sent.
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<(T, Received), TryRecvError> {
        let mut value = T::new_zeroed();
        match self.bytes.try_recv_into(value.as_mut_bytes()) {
            Ok(received) if received.len == size_of::<T>() => Ok((value, received)),
            Ok(received) => Err(Self::wrong(received.len)),
            Err(TryRecvError::BufferTooSmall { .. }) => Err(self.refuse_next()),
            Err(error) => Err(error),
        }
    }

    /// As [`try_recv`](Self::try_recv), waiting for a value.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn recv(&mut self) -> Result<(T, Received), RecvError> {
        self.recv_by(|rx, buf| rx.recv_into(buf))
    }

    /// As [`recv`](Self::recv), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<(T, Received), RecvError> {
        self.recv_by(|rx, buf| rx.recv_into_timeout(buf, timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<(T, Received), RecvError> {
        self.recv_by(|rx, buf| rx.recv_into_deadline(buf, deadline))
    }

    #[inline]
    fn recv_by(
        &mut self,
        recv: impl FnOnce(&mut Consumer<P>, &mut [u8]) -> Result<Received, RecvError>,
    ) -> Result<(T, Received), RecvError> {
        let mut value = T::new_zeroed();
        match recv(&mut self.bytes, value.as_mut_bytes()) {
            Ok(received) if received.len == size_of::<T>() => Ok((value, received)),
            Ok(received) => Err(Self::wrong(received.len).into()),
            Err(RecvError::BufferTooSmall { .. }) => Err(self.refuse_next().into()),
            Err(error) => Err(error),
        }
    }

    /// Lends the next value. Dropping it releases its space, as [`Consumer::try_read`] says.
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<TypedRecord<'_, T, P>, TryRecvError> {
        Typed::lend(self.bytes.try_read(), Self::wrong)
    }

    /// As [`try_read`](Self::try_read), waiting for a value.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read(&mut self) -> Result<TypedRecord<'_, T, P>, RecvError> {
        Typed::lend(self.bytes.read(), |len| Self::wrong(len).into())
    }

    /// As [`read`](Self::read), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<TypedRecord<'_, T, P>, RecvError> {
        Typed::lend(self.bytes.read_timeout(timeout), |len| Self::wrong(len).into())
    }

    /// As [`read`](Self::read), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_deadline(&mut self, deadline: Instant) -> Result<TypedRecord<'_, T, P>, RecvError> {
        Typed::lend(self.bytes.read_deadline(deadline), |len| Self::wrong(len).into())
    }

    /// Takes the next message out, which was too long for a `T`.
    #[cold]
    fn refuse_next(&mut self) -> TryRecvError {
        match self.bytes.try_read() {
            Ok(record) => Self::wrong(record.len()),
            Err(error) => error,
        }
    }

    #[cold]
    fn wrong(len: usize) -> TryRecvError {
        TryRecvError::WrongLength { len, expected: size_of::<T>() }
    }

    /// The handle of bytes under this one: its numbers.
    #[must_use]
    pub fn get_ref(&self) -> &Consumer<P> {
        &self.bytes
    }

    /// The handle of bytes under this one: batches, wait strategies, cancelling.
    pub fn get_mut(&mut self) -> &mut Consumer<P> {
        &mut self.bytes
    }

    /// Ends the ring for everybody, as [`Consumer::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&mut self) -> Result<(), TryRecvError> {
        self.bytes.close()
    }
}

impl HeapRing {
    /// Joins as a producer of `T`s, for which the ring was made ([`Options::payload`]).
    ///
    /// # Errors
    /// As [`producer`](Self::producer), and `WrongType` for a ring of anything else.
    pub fn typed_producer<T: Payload>(&self) -> Result<TypedProducer<T, Trusted>, SetupError> {
        Producer::from_place(Place::in_heap_of(&self.heap, Some(T::TYPE))?).map(TypedProducer::new)
    }

    /// Joins as a consumer of `T`s.
    ///
    /// # Errors
    /// As [`typed_producer`](Self::typed_producer).
    pub fn typed_consumer<T: Payload>(&self) -> Result<TypedConsumer<T, Trusted>, SetupError> {
        Consumer::from_place(Place::in_heap_of(&self.heap, Some(T::TYPE))?).map(TypedConsumer::new)
    }
}
