//! The handle that receives values of one type.
//!
//! # Safety
//!
//! 1. Who calls `trust_peers` answers for the peers.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ring_core::spsc::Received;

use super::TypedRecord;
use crate::attach;
use crate::location::ToLocation;
use crate::payload::Payload;
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::spsc::error::TryRecvError;
use crate::spsc::setup::{self, Place};
use crate::spsc::wait_error::RecvError;
use crate::spsc::{Consumer, Options, strict};
use crate::trust::{Trust, Trusted, Untrusted};
use crate::typed::Typed;

/// The one reading handle of an SPSC ring of `T`s. See [`Consumer`] for what it does when.
///
/// A record that is no `T` by its length, which only a handle of bytes can send, is released and told as `WrongLength`.
///
/// ```
/// let (mut tx, mut rx) = ring_shm::spsc::typed_heap::<u64>(1 << 12)?;
/// tx.try_send(0, &42)?;
/// tx.get_mut().try_send(0, b"three")?;
/// tx.try_send(0, &44)?;
/// assert_eq!(rx.try_recv()?.0, 42);
/// assert!(rx.try_recv().is_err());
/// assert_eq!(*rx.try_read()?, 44);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedConsumer<T: Payload + ?Sized, P: Trust = Untrusted> {
    bytes: Consumer<P>,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload + ?Sized, P: Trust + fmt::Debug> fmt::Debug for TypedConsumer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer").field("payload", T::TYPE).field("bytes", &self.bytes).finish()
    }
}

impl<T: Payload + ?Sized> TypedConsumer<T> {
    /// As [`Consumer::create`], for `T`s.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Invalid` also for a capacity that is too small for a `T`.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let (at, options) = (at.to_location()?, options.clone().payload::<T>());
        attach::create_and_sit(|| setup::create(&at, &options), |segment| Self::sit_as(segment, &options))
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
        attach::open(at, rules, Self::sit)
    }

    /// As [`Consumer::open_or_create`], for `T`s.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let options = options.clone().payload::<T>();
        setup::open_or_create(&at.to_location()?, &options, |segment| Self::sit_as(segment, &options))
    }

    /// As [`Consumer::open_strict`], for `T`s.
    ///
    /// # Errors
    /// As there; the kind is `WrongType` for a ring of anything else, and its producer then finds its peer gone.
    pub fn open_strict(socket: &UnixStream, timeout: Duration) -> Result<Self, SetupError> {
        strict::open(socket, timeout, Some(T::TYPE)).map(Self::new)
    }

    fn sit(segment: &Segment) -> Result<Self, SetupError> {
        Consumer::from_place(Place::in_segment_of(segment, Some(T::TYPE))?).map(Self::new)
    }

    fn sit_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        let place = Place::in_segment_of(segment, Some(T::TYPE))?.placed(options.wanted())?;
        Consumer::from_place(place).map(Self::new)
    }
}

impl<T: Payload + ?Sized, P: Trust> TypedConsumer<T, P> {
    pub(super) fn new(bytes: Consumer<P>) -> Self {
        Self { bytes, payload: PhantomData }
    }

    /// A handle whose records are `T`s in the ring's memory.
    ///
    /// # Safety
    /// As [`Consumer::trust_peers`].
    #[must_use]
    pub unsafe fn trust_peers(self) -> TypedConsumer<T, Trusted> {
        // SAFETY: 1.
        TypedConsumer::new(unsafe { self.bytes.trust_peers() })
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

    /// The handle of bytes itself.
    #[cfg(feature = "async")]
    pub(super) fn into_bytes(self) -> Consumer<P> {
        self.bytes
    }

    /// Closes in order. What was not read stays for a successor. The same as dropping the handle.
    pub fn close(self) {}
}

impl<T: Payload, P: Trust> TypedConsumer<T, P> {
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
            Err(TryRecvError::BufferTooSmall { .. }) => Err(Self::refuse_next(&mut self.bytes)),
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
        let received = recv(&mut self.bytes, value.as_mut_bytes());
        Self::judge(&mut self.bytes, value, received)
    }

    /// What has come into `value`, if that is one; else why not, and it is out of the way.
    #[inline]
    pub(super) fn judge(
        bytes: &mut Consumer<P>,
        value: T,
        received: Result<Received, RecvError>,
    ) -> Result<(T, Received), RecvError> {
        match received {
            Ok(received) if received.len == size_of::<T>() => Ok((value, received)),
            Ok(received) => Err(Self::wrong(received.len).into()),
            Err(RecvError::BufferTooSmall { .. }) => Err(Self::refuse_next(bytes).into()),
            Err(error) => Err(error),
        }
    }

    /// Lends the next value. Dropping it releases its space, as [`Consumer::try_read`] says.
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<TypedRecord<'_, T, P>, TryRecvError> {
        self.bytes.try_read_as(Some(size_of::<T>()), |record| Typed::lend(Ok(record), Self::wrong))
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

    /// Takes the next record out, which was too long for a `T`.
    #[cold]
    fn refuse_next(bytes: &mut Consumer<P>) -> TryRecvError {
        match bytes.try_read() {
            Ok(record) => Self::wrong(record.len()),
            Err(error) => error,
        }
    }

    #[cold]
    pub(super) fn wrong(len: usize) -> TryRecvError {
        TryRecvError::WrongLength { len, expected: size_of::<T>() }
    }
}
