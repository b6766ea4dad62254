//! Typed SPSC handles for tasks. Thin: the handles of bytes for tasks, and what the typed handles for threads make of a
//! message.

use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use ring_core::Position;
use ring_core::spsc::Received;

use super::{TypedClaim, TypedConsumer, TypedProducer, TypedRecord};
use crate::payload::Payload;
use crate::spsc::asynchronous::{AsyncConsumer, AsyncProducer};
use crate::spsc::wait_error::{RecvError, SendError};
use crate::trust::{Trust, Untrusted};
use crate::typed::Typed;

/// A [`TypedConsumer`] for tasks, whatever runtime they run on. Made by [`TypedConsumer::into_async`]; what is said of
/// [`AsyncConsumer`] holds here too.
///
/// A record that is no `T` by its length, which only a handle of bytes can send, is released and told as `WrongLength`.
///
/// ```
/// let (mut tx, rx) = ring_shm::spsc::typed_heap::<u64>(1 << 12)?;
/// let mut rx = rx.into_async();
/// std::thread::spawn(move || tx.send(7, &42));
/// ring_shm::wait::block_on(async {
///     let (value, received) = rx.recv().await?;
///     assert_eq!((value, received.tag), (42, 7));
///     assert_eq!(rx.recv().await, Err(ring_shm::spsc::RecvError::Disconnected));
///     Ok::<(), ring_shm::spsc::RecvError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncTypedConsumer<T: Payload, P: Trust = Untrusted> {
    bytes: AsyncConsumer<P>,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload, P: Trust + fmt::Debug> fmt::Debug for AsyncTypedConsumer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncTypedConsumer").field("payload", T::TYPE).field("bytes", &self.bytes).finish()
    }
}

impl<T: Payload, P: Trust> TypedConsumer<T, P> {
    /// This handle for tasks.
    #[must_use]
    pub fn into_async(self) -> AsyncTypedConsumer<T, P> {
        AsyncTypedConsumer { bytes: self.into_bytes().into_async(), payload: PhantomData }
    }
}

impl<T: Payload, P: Trust> AsyncTypedConsumer<T, P> {
    /// The handle of bytes under this one: batches, how long to be polled at once, all that is not awaited.
    ///
    /// ```
    /// use zerocopy::IntoBytes;
    /// let (mut tx, rx) = ring_shm::spsc::typed_heap::<u64>(1 << 12)?;
    /// let mut rx = rx.into_async();
    /// (1..=3).try_for_each(|value| tx.try_send(0, &value).map(drop))?;
    /// let sum = ring_shm::wait::block_on(async {
    ///     let mut batch = rx.get_mut().recv_many(10).await?;
    ///     let (mut value, mut sum) = (0_u64, 0);
    ///     while let Some(one) = batch.next_record() {
    ///         if one.copy_to(value.as_mut_bytes()) == one.len() { // else it is no value
    ///             sum += value;
    ///         }
    ///     }
    ///     batch.release();
    ///     Ok::<u64, ring_shm::spsc::RecvError>(sum)
    /// })?;
    /// assert_eq!(sum, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_mut(&mut self) -> &mut AsyncConsumer<P> {
        &mut self.bytes
    }

    /// Polls for a value, which is taken out. The task is woken when the next poll is due.
    ///
    /// # Errors
    /// [`RecvError`], but neither `Timeout` nor `Cancelled`.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<(T, Received), RecvError>> {
        let mut value = T::new_zeroed();
        let received = ready!(self.bytes.poll_recv(cx, value.as_mut_bytes()));
        Poll::Ready(self.judge(value, received))
    }

    /// Takes the next value out. Sound whatever a peer does: what comes is a `T`, be it one that nobody sent.
    ///
    /// # Errors
    /// As [`poll_recv`](Self::poll_recv).
    pub async fn recv(&mut self) -> Result<(T, Received), RecvError> {
        let mut value = T::new_zeroed();
        let received = self.bytes.recv_into(value.as_mut_bytes()).await;
        self.judge(value, received)
    }

    /// Lends the next value. Dropping it releases its space, as [`TypedConsumer::try_read`] says.
    ///
    /// ```
    /// let (mut tx, rx) = ring_shm::spsc::typed_heap::<[u32; 4]>(1 << 12)?; // trusts its peers
    /// let mut rx = rx.into_async();
    /// tx.try_send(0, &[1, 2, 3, 4])?;
    /// let sum = ring_shm::wait::block_on(async { rx.read().await.map(|value| value.iter().sum::<u32>()) })?;
    /// assert_eq!(sum, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`poll_recv`](Self::poll_recv).
    pub async fn read(&mut self) -> Result<TypedRecord<'_, T, P>, RecvError> {
        Typed::lend(self.bytes.recv().await, |len| TypedConsumer::<T, P>::wrong(len).into())
    }

    fn judge(&mut self, value: T, received: Result<Received, RecvError>) -> Result<(T, Received), RecvError> {
        TypedConsumer::judge(self.bytes.get_mut(), value, received)
    }
}

/// What it refers to never moves with it.
impl<T: Payload, P: Trust> Unpin for AsyncTypedConsumer<T, P> {}

/// The values. Ends as the stream of [`AsyncConsumer`] does; a record that is no `T` is an item, and not the end.
impl<T: Payload, P: Trust> Stream for AsyncTypedConsumer<T, P> {
    type Item = Result<(T, Received), RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.bytes.has_ended() {
            return Poll::Ready(None);
        }
        let received = ready!(this.poll_recv(cx));
        Poll::Ready(this.bytes.item(received))
    }
}

/// A [`TypedProducer`] for tasks, whatever runtime they run on. Made by [`TypedProducer::into_async`]; what is said of
/// [`AsyncProducer`] holds here too.
///
/// ```
/// let (tx, mut rx) = ring_shm::spsc::typed_heap::<[u64; 3]>(64)?;
/// let mut tx = tx.into_async();
/// std::thread::spawn(move || while rx.recv().is_ok() {});
/// ring_shm::wait::block_on(async {
///     for tag in 0..10 {
///         tx.send(tag, &[1, 2, 3]).await?; // waits while the ring is full
///     }
///     let mut claim = tx.claim().await?;
///     claim[2] = 4; // the ring's own memory, and whatever it held elsewhere
///     claim.commit();
///     Ok::<(), ring_shm::spsc::SendError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncTypedProducer<T: Payload, P: Trust = Untrusted> {
    bytes: AsyncProducer<P>,
    /// As a sink: what was started and had no room yet.
    started: Option<(u32, T)>,
}

impl<T: Payload, P: Trust + fmt::Debug> fmt::Debug for AsyncTypedProducer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncTypedProducer")
            .field("payload", T::TYPE)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl<T: Payload, P: Trust> TypedProducer<T, P> {
    /// This handle for tasks.
    #[must_use]
    pub fn into_async(self) -> AsyncTypedProducer<T, P> {
        AsyncTypedProducer { bytes: self.into_bytes().into_async(), started: None }
    }
}

impl<T: Payload, P: Trust> AsyncTypedProducer<T, P> {
    /// The handle of bytes under this one: batches, how long to be polled at once, all that is not awaited. A record sent
    /// through it that has not a `T`'s length is refused by typed receivers.
    pub fn get_mut(&mut self) -> &mut AsyncProducer<P> {
        &mut self.bytes
    }

    /// Polls for room, and sends a copy of `value`. `Ready(Ok)` means committed, `Pending` that nothing was sent; the task
    /// is woken when the next poll is due.
    ///
    /// # Errors
    /// [`SendError`], but neither `Timeout` nor `Cancelled`; nothing was sent.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, tag: u32, value: &T) -> Poll<Result<Position, SendError>> {
        self.bytes.poll_send(cx, tag, value.as_bytes())
    }

    /// Sends a copy of `value` as soon as there is room.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send).
    pub async fn send(&mut self, tag: u32, value: &T) -> Result<Position, SendError> {
        self.bytes.send(tag, value.as_bytes()).await
    }

    /// Reserves space for a value. Dropping the claim aborts it: nothing was sent.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send).
    pub async fn claim(&mut self) -> Result<TypedClaim<'_, T, P>, SendError> {
        Typed::lend(self.bytes.claim(size_of::<T>()).await, |len| TypedProducer::<T, P>::wrong(len).into())
    }
}

/// What it refers to never moves with it.
impl<T: Payload, P: Trust> Unpin for AsyncTypedProducer<T, P> {}

/// Items are tags and values. An item that has no room when it is started is kept until there is: it is committed when a
/// flush is ready, and lost with a handle that is dropped before.
impl<T: Payload, P: Trust> Sink<(u32, T)> for AsyncTypedProducer<T, P> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: (u32, T)) -> Result<(), SendError> {
        self.get_mut().started = Some(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = self.get_mut();
        let Some((tag, value)) = &this.started else { return Poll::Ready(Ok(())) };
        let sent = ready!(this.bytes.poll_send(cx, *tag, value.as_bytes()));
        this.started = None; // sent, or refused for good
        Poll::Ready(sent.map(drop))
    }

    /// Flushes. The ring is closed by dropping the handle.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }
}
