//! MPMC handles for tasks: what blocks in [`Producer`] and [`Consumer`] is awaited here. Thin: the loop is
//! [`Awaited`]'s.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use ring_core::Position;

use super::claims::{Claim, ClaimBatch};
use super::error::{TryRecvError, TrySendError};
use super::records::{ReadBatch, Record};
use super::wait::{empty, full};
use super::wait_error::{RecvError, SendError};
use super::{Consumer, Producer, Received};
use crate::awaited::Awaited;
use crate::trust::{Trust, Untrusted};
use crate::wait::Ended;

/// A message that was copied out of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The sender's tag.
    pub tag: u32,
    /// What was sent.
    pub payload: Vec<u8>,
    /// The delivery id.
    pub position: Position,
    /// Whether a consumer that did not release it may have seen this message. May be true wrongly, never false wrongly.
    pub redelivered: bool,
    /// Deliveries before this one.
    pub attempt: u32,
    /// Whether it has had all the deliveries the ring allows: for the path the user chose, not for ordinary work.
    pub dead_letter: bool,
}

fn refused_recv(ended: Ended<TryRecvError>) -> RecvError {
    RecvError::new(ended, None)
}

fn refused_send(ended: Ended<TrySendError>) -> SendError {
    SendError::new(ended, None)
}

/// A [`Consumer`] for tasks, whatever runtime they run on. Made by [`Consumer::into_async`].
///
/// All futures are cancel-safe: one that is dropped before it is ready has taken nothing. Without a message a task costs a
/// look every 50 ms (350 ms where 1,000 rings are awaited), which also bounds what a wake-up costs that died with its
/// sender, and the news of a death. A task that has begun to poll and stops without dropping the future calls
/// [`get_mut`](Self::get_mut), or drops the handle.
///
/// ```
/// let ring = ring_shm::mpmc::heap(16, 48)?;
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?.into_async());
/// std::thread::spawn(move || tx.send(7, b"hello").and_then(|_| Ok(tx.close()?)));
/// pollster::block_on(async {
///     let record = rx.recv().await?;
///     assert_eq!((&*record, record.tag()), (&b"hello"[..], 7));
///     record.release();
///     assert_eq!(rx.recv().await.unwrap_err(), ring_shm::mpmc::RecvError::Disconnected);
///     Ok::<(), ring_shm::mpmc::RecvError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncConsumer<T: Trust = Untrusted> {
    awaited: Awaited<Consumer<T>>,
    /// As a stream: whether it has said why nothing will come any more.
    ended: bool,
}

impl<T: Trust> Consumer<T> {
    /// This handle for tasks.
    #[must_use]
    pub fn into_async(self) -> AsyncConsumer<T> {
        AsyncConsumer { awaited: Awaited::new(self), ended: false }
    }
}

impl<T: Trust> AsyncConsumer<T> {
    /// The handle, for all that is not awaited.
    pub fn get_mut(&mut self) -> &mut Consumer<T> {
        self.awaited.handle()
    }

    /// Has a task that finds nothing polled again and again for `time`, with the runtime's other tasks in between, before
    /// it waits to be woken. 20 µs at first, as parked threads spin; 0: never. That is left out more and more often, down
    /// to one wait in 16, while it is in vain, and where the task's thread may run on one CPU only.
    pub fn spin_for(&mut self, time: Duration) {
        self.awaited.spin_for(time);
    }

    /// Polls for a message, which is copied into `buf` and released. The task is woken when the next poll is due.
    ///
    /// # Errors
    /// [`RecvError`], but neither `Timeout` nor `Cancelled`; on `BufferTooSmall` this handle keeps the message.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<Received, RecvError>> {
        self.awaited.poll(cx, |rx| empty(rx.try_recv_into(buf), &mut None)).map_err(refused_recv)
    }

    /// Copies the next message into `buf` and releases it.
    ///
    /// # Errors
    /// As [`poll_recv`](Self::poll_recv).
    pub async fn recv_into(&mut self, buf: &mut [u8]) -> Result<Received, RecvError> {
        self.awaited.until(|rx: &mut Consumer<T>| empty(rx.try_recv_into(buf), &mut None)).await.map_err(refused_recv)
    }

    /// Lends the next message, as [`Consumer::try_read`] does.
    ///
    /// # Errors
    /// As [`poll_recv`](Self::poll_recv).
    pub async fn recv(&mut self) -> Result<Record<'_, T>, RecvError> {
        self.readable(1).await?;
        Ok(self.awaited.handle().try_read()?)
    }

    /// Lends up to `max` messages as soon as there is one, released together, as [`Consumer::try_read_batch`] does.
    ///
    /// # Errors
    /// As [`poll_recv`](Self::poll_recv); `Timeout` at once for a `max` of 0.
    pub async fn recv_many(&mut self, max: usize) -> Result<ReadBatch<'_, T>, RecvError> {
        if max > 0 {
            self.readable(max).await?;
        }
        Ok(self.awaited.handle().try_read_batch(max)?)
    }

    async fn readable(&mut self, max: usize) -> Result<(), RecvError> {
        self.awaited.until(|rx: &mut Consumer<T>| empty(rx.fetch(max), &mut None)).await.map_err(refused_recv)
    }
}

/// What it refers to never moves with it.
impl<T: Trust> Unpin for AsyncConsumer<T> {}

/// The messages, each copied into memory of its own and released: a message that must survive this process is taken by
/// [`recv`](AsyncConsumer::recv). Ends with the ring: after `Disconnected`, which is the end and no item, or an error,
/// which is one.
impl<T: Trust> Stream for AsyncConsumer<T> {
    type Item = Result<Message, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let copied = ready!(this.awaited.poll(cx, |rx| empty(rx.try_read().map(|record| message(&record)), &mut None)));
        Poll::Ready(match copied.map_err(refused_recv) {
            Err(RecvError::Disconnected) => None,
            Ok(message) => Some(Ok(message)),
            Err(error) => {
                this.ended = true;
                Some(Err(error))
            }
        })
    }
}

/// A copy of a message, which is released by being dropped.
fn message<T: Trust>(record: &Record<'_, T>) -> Message {
    let mut payload = vec![0; record.len()];
    record.copy_to(&mut payload);
    Message {
        tag: record.tag(),
        payload,
        position: record.position(),
        redelivered: record.redelivered(),
        attempt: record.attempt(),
        dead_letter: record.dead_letter(),
    }
}

/// A [`Producer`] for tasks, whatever runtime they run on. Made by [`Producer::into_async`].
///
/// A send that is dropped before it is ready has sent nothing; one that is ready is committed. There is nothing in between:
/// a message is committed by the very poll that says so.
///
/// ```
/// let ring = ring_shm::mpmc::heap(2, 24)?;
/// let (mut tx, mut rx) = (ring.producer()?.into_async(), ring.consumer()?);
/// std::thread::spawn(move || while rx.recv_into(&mut [0; 24]).is_ok() {});
/// pollster::block_on(async {
///     for tag in 0..10 {
///         tx.send(tag, &[1; 24]).await?; // waits while the ring is full
///     }
///     Ok::<(), ring_shm::mpmc::SendError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncProducer<T: Trust = Untrusted> {
    awaited: Awaited<Producer<T>>,
    /// As a sink: what was started and had no room yet.
    started: Option<(u32, Vec<u8>)>,
}

impl<T: Trust> Producer<T> {
    /// This handle for tasks.
    #[must_use]
    pub fn into_async(self) -> AsyncProducer<T> {
        AsyncProducer { awaited: Awaited::new(self), started: None }
    }
}

impl<T: Trust> AsyncProducer<T> {
    /// The handle, for all that is not awaited.
    pub fn get_mut(&mut self) -> &mut Producer<T> {
        self.awaited.handle()
    }

    /// Has a task that finds no room polled again and again for `time`, with the runtime's other tasks in between, before
    /// it waits to be woken. 20 µs at first, as parked threads spin; 0: never. That is left out more and more often, down
    /// to one wait in 16, while it is in vain, and where the task's thread may run on one CPU only.
    pub fn spin_for(&mut self, time: Duration) {
        self.awaited.spin_for(time);
    }

    /// Polls for room, and sends a copy of `payload`. `Ready(Ok)` means committed, `Pending` that nothing was sent; the
    /// task is woken when the next poll is due.
    ///
    /// # Errors
    /// [`SendError`], but neither `Timeout` nor `Cancelled`; nothing was sent.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, tag: u32, payload: &[u8]) -> Poll<Result<Position, SendError>> {
        self.awaited.poll(cx, |tx| full(tx.try_send(tag, payload), &mut None)).map_err(refused_send)
    }

    /// Sends a copy of `payload` as soon as there is room.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send).
    pub async fn send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, SendError> {
        self.awaited
            .until(|tx: &mut Producer<T>| full(tx.try_send(tag, payload), &mut None))
            .await
            .map_err(refused_send)
    }

    /// Claims the next slot for a message of up to `len` bytes, as [`Producer::try_claim`] does.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send).
    pub async fn claim(&mut self, len: usize) -> Result<Claim<'_, T>, SendError> {
        self.awaited.until(|tx: &mut Producer<T>| full(tx.reserve(1, len), &mut None)).await.map_err(refused_send)?;
        Ok(self.awaited.handle().try_claim(len)?)
    }

    /// Claims up to `max` slots for messages of up to `len` bytes each as soon as there is one, as
    /// [`Producer::try_claim_batch`] does.
    ///
    /// # Errors
    /// As [`poll_send`](Self::poll_send); `Timeout` at once for a `max` of 0.
    pub async fn claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, T>, SendError> {
        if max > 0 {
            self.awaited
                .until(|tx: &mut Producer<T>| full(tx.reserve(max, len), &mut None))
                .await
                .map_err(refused_send)?;
        }
        Ok(self.awaited.handle().try_claim_batch(max, len)?)
    }
}

/// What it refers to never moves with it.
impl<T: Trust> Unpin for AsyncProducer<T> {}

/// Items are tags and payloads. An item that has no room when it is started is kept until there is: it is committed when a
/// flush is ready, and lost with a handle that is dropped before.
impl<T: Trust> Sink<(u32, Vec<u8>)> for AsyncProducer<T> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: (u32, Vec<u8>)) -> Result<(), SendError> {
        self.get_mut().started = Some(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = self.get_mut();
        let Some((tag, payload)) = &this.started else { return Poll::Ready(Ok(())) };
        let sent = ready!(this.awaited.poll(cx, |tx| full(tx.try_send(*tag, payload), &mut None)));
        this.started = None; // sent, or refused for good
        Poll::Ready(sent.map(drop).map_err(refused_send))
    }

    /// Flushes. The ring is closed by [`Producer::close`].
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }
}
