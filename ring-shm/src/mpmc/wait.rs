//! The blocking calls of MPMC handles: each is its `try_` twin in a loop that waits. See [`crate::wait`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ring_core::mpmc::Received;
use ring_core::{Position, Sleeper};

use super::claims::{Claim, ClaimBatch};
use super::error::{Holder, TryRecvError, TrySendError};
use super::records::{ReadBatch, Record};
use super::wait_error::{RecvError, SendError};
use super::{Consumer, Producer};
use crate::trust::Trust;
use crate::wait::{self, Canceller, Limit, Nothing, WaitStrategy, Waiter, Waits};

impl<T: Trust> Waits for Producer<T> {
    fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        self.joined.waiter()
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.joined.sleeper()
    }

    fn slept(&mut self) {
        self.joined.slept();
    }

    fn chime_path(&self) -> Option<PathBuf> {
        self.joined.chime_path()
    }

    fn pass_wake(&mut self) {
        self.wake_another();
    }
}

impl<T: Trust> Waits for Consumer<T> {
    fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        self.joined.waiter()
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.joined.sleeper()
    }

    fn slept(&mut self) {
        self.joined.slept();
    }

    fn chime_path(&self) -> Option<PathBuf> {
        self.joined.chime_path()
    }

    fn pass_wake(&mut self) {
        self.wake_another();
    }
}

/// Nothing, if the ring is full, or somebody (`holder`, where he is known) in the middle of the next slot.
pub(super) fn full<R>(
    result: Result<R, TrySendError>,
    holder: &mut Option<Holder>,
) -> Result<Result<R, Nothing>, TrySendError> {
    let (by, nothing) = match result {
        Ok(done) => return Ok(Ok(done)),
        Err(TrySendError::Full) => (None, Nothing::Idle),
        Err(TrySendError::Busy { by }) => (by, Nothing::Blocked),
        Err(error) => return Err(error),
    };
    *holder = by;
    Ok(Err(nothing))
}

/// Nothing, if the ring is empty, or somebody (`holder`, where he is known) in the middle of the next message.
pub(super) fn empty<R>(
    result: Result<R, TryRecvError>,
    holder: &mut Option<Holder>,
) -> Result<Result<R, Nothing>, TryRecvError> {
    let (by, nothing) = match result {
        Ok(done) => return Ok(Ok(done)),
        Err(TryRecvError::Empty) => (None, Nothing::Idle),
        Err(TryRecvError::Busy { by }) => (by, Nothing::Blocked),
        Err(error) => return Err(error),
    };
    *holder = by;
    Ok(Err(nothing))
}

/// Waits for `look`, remembering who is in the way.
fn until_sent<T: Trust, R>(
    tx: &mut Producer<T>,
    limit: Limit,
    mut look: impl FnMut(&mut Producer<T>) -> Result<R, TrySendError>,
) -> Result<R, SendError> {
    let mut holder = None;
    wait::until(tx, limit, |tx| full(look(tx), &mut holder)).map_err(|ended| SendError::new(ended, holder))
}

/// Waits for `look`, remembering who is in the way.
fn until_received<T: Trust, R>(
    rx: &mut Consumer<T>,
    limit: Limit,
    mut look: impl FnMut(&mut Consumer<T>) -> Result<R, TryRecvError>,
) -> Result<R, RecvError> {
    let mut holder = None;
    wait::until(rx, limit, |rx| empty(look(rx), &mut holder)).map_err(|ended| RecvError::new(ended, holder))
}

/// Blocking calls. They wait while the ring is full, or somebody in the middle of the next slot.
impl<T: Trust> Producer<T> {
    /// As [`try_send`](Self::try_send), waiting for a slot.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ring_shm::mpmc::SendError;
    ///
    /// let ring = ring_shm::mpmc::heap(2, 16)?;
    /// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    /// tx.send(0, b"one")?;
    /// tx.send(0, b"two")?; // full now
    /// assert_eq!(tx.send_timeout(0, b"three", Duration::from_millis(1)), Err(SendError::Timeout { by: None }));
    /// # std::thread::scope(|s| {
    /// s.spawn(move || rx.recv_into(&mut [0; 16]));
    /// tx.send(0, b"three")
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    #[inline]
    pub fn send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, SendError> {
        self.send_until(tag, payload, Limit::Never)
    }

    /// As [`send`](Self::send), for `timeout` at most; zero tries without waiting. More than the clock can count is for
    /// ever.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send_timeout(&mut self, tag: u32, payload: &[u8], timeout: Duration) -> Result<Position, SendError> {
        self.send_until(tag, payload, Limit::After(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at most; one that has passed tries without waiting.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send_deadline(&mut self, tag: u32, payload: &[u8], deadline: Instant) -> Result<Position, SendError> {
        self.send_until(tag, payload, Limit::At(deadline))
    }

    #[inline]
    fn send_until(&mut self, tag: u32, payload: &[u8], limit: Limit) -> Result<Position, SendError> {
        match self.try_send(tag, payload) {
            Ok(position) => Ok(position),
            Err(TrySendError::Full | TrySendError::Busy { .. }) => {
                until_sent(self, limit, |tx| tx.try_send(tag, payload))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`try_claim`](Self::try_claim), waiting for a slot.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim(&mut self, len: usize) -> Result<Claim<'_, T>, SendError> {
        self.claim_until(len, Limit::Never)
    }

    /// As [`claim`](Self::claim), for `timeout` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_timeout(&mut self, len: usize, timeout: Duration) -> Result<Claim<'_, T>, SendError> {
        self.claim_until(len, Limit::After(timeout))
    }

    /// As [`claim`](Self::claim), until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_deadline(&mut self, len: usize, deadline: Instant) -> Result<Claim<'_, T>, SendError> {
        self.claim_until(len, Limit::At(deadline))
    }

    fn claim_until(&mut self, len: usize, limit: Limit) -> Result<Claim<'_, T>, SendError> {
        until_sent(self, limit, |tx| tx.reserve(1, len))?;
        Ok(self.try_claim(len)?)
    }

    /// As [`try_claim_batch`](Self::try_claim_batch), waiting for one slot at least.
    ///
    /// # Errors
    /// [`SendError`]; `Timeout` at once for a `max` of 0.
    pub fn claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, T>, SendError> {
        self.claim_batch_until(max, len, Limit::Never)
    }

    /// As [`claim_batch`](Self::claim_batch), for `timeout` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_batch_timeout(
        &mut self,
        max: usize,
        len: usize,
        timeout: Duration,
    ) -> Result<ClaimBatch<'_, T>, SendError> {
        self.claim_batch_until(max, len, Limit::After(timeout))
    }

    fn claim_batch_until(&mut self, max: usize, len: usize, limit: Limit) -> Result<ClaimBatch<'_, T>, SendError> {
        if max > 0 {
            until_sent(self, limit, |tx| tx.reserve(max, len))?;
        }
        Ok(self.try_claim_batch(max, len)?)
    }

    /// Makes the blocking calls of this handle pass their time in another way than
    /// [`Park::default`](crate::wait::Park).
    pub fn set_wait_strategy(&mut self, strategy: impl WaitStrategy + 'static) {
        wait::set_strategy(self, strategy);
    }

    /// Something to interrupt this handle's blocking calls with, from another thread or a signal handler.
    #[must_use]
    pub fn canceller(&mut self) -> Canceller {
        wait::canceller(self)
    }
}

/// Blocking calls. They wait while the ring is empty, or somebody in the middle of the next message.
impl<T: Trust> Consumer<T> {
    /// As [`try_recv_into`](Self::try_recv_into), waiting for a message.
    ///
    /// ```
    /// let ring = ring_shm::mpmc::heap(16, 16)?;
    /// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    /// std::thread::scope(|s| {
    ///     s.spawn(move || tx.send(7, b"hello").and_then(|_| Ok(tx.close()?)));
    ///     let mut buf = [0; 16];
    ///     assert_eq!(rx.recv_into(&mut buf).unwrap().tag, 7);
    ///     assert_eq!(rx.recv_into(&mut buf), Err(ring_shm::mpmc::RecvError::Disconnected));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]; on `BufferTooSmall` this handle keeps the message.
    #[inline]
    pub fn recv_into(&mut self, buf: &mut [u8]) -> Result<Received, RecvError> {
        self.recv_until(buf, Limit::Never)
    }

    /// As [`recv_into`](Self::recv_into), for `timeout` at most; zero tries without waiting. More than the clock can
    /// count is for ever.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into_timeout(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Received, RecvError> {
        self.recv_until(buf, Limit::After(timeout))
    }

    /// As [`recv_into`](Self::recv_into), until `deadline` at most; one that has passed tries without waiting.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into_deadline(&mut self, buf: &mut [u8], deadline: Instant) -> Result<Received, RecvError> {
        self.recv_until(buf, Limit::At(deadline))
    }

    #[inline]
    fn recv_until(&mut self, buf: &mut [u8], limit: Limit) -> Result<Received, RecvError> {
        match self.try_recv_into(buf) {
            Ok(received) => Ok(received),
            Err(TryRecvError::Empty | TryRecvError::Busy { .. }) => {
                until_received(self, limit, |rx| rx.try_recv_into(buf))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`try_read`](Self::try_read), waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read(&mut self) -> Result<Record<'_, T>, RecvError> {
        self.read_until(Limit::Never)
    }

    /// As [`read`](Self::read), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Record<'_, T>, RecvError> {
        self.read_until(Limit::After(timeout))
    }

    /// As [`read`](Self::read), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_deadline(&mut self, deadline: Instant) -> Result<Record<'_, T>, RecvError> {
        self.read_until(Limit::At(deadline))
    }

    fn read_until(&mut self, limit: Limit) -> Result<Record<'_, T>, RecvError> {
        until_received(self, limit, |rx| rx.fetch(1))?;
        Ok(self.try_read()?)
    }

    /// As [`try_read_batch`](Self::try_read_batch), waiting for one message at least.
    ///
    /// # Errors
    /// [`RecvError`]; `Timeout` at once for a `max` of 0.
    pub fn read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, T>, RecvError> {
        self.read_batch_until(max, Limit::Never)
    }

    /// As [`read_batch`](Self::read_batch), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_batch_timeout(&mut self, max: usize, timeout: Duration) -> Result<ReadBatch<'_, T>, RecvError> {
        self.read_batch_until(max, Limit::After(timeout))
    }

    fn read_batch_until(&mut self, max: usize, limit: Limit) -> Result<ReadBatch<'_, T>, RecvError> {
        if max > 0 {
            until_received(self, limit, |rx| rx.fetch(max))?;
        }
        Ok(self.try_read_batch(max)?)
    }

    /// Makes the blocking calls of this handle pass their time in another way than
    /// [`Park::default`](crate::wait::Park).
    pub fn set_wait_strategy(&mut self, strategy: impl WaitStrategy + 'static) {
        wait::set_strategy(self, strategy);
    }

    /// Something to interrupt this handle's blocking calls with, from another thread or a signal handler.
    #[must_use]
    pub fn canceller(&mut self) -> Canceller {
        wait::canceller(self)
    }
}
