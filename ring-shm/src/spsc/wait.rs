//! The blocking calls of SPSC handles: each is its `try_` twin in a loop that waits. See [`crate::wait`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ring_core::spsc::Received;
use ring_core::{Position, Sleeper};

use super::error::{TryRecvError, TrySendError};
use super::guards::{Claim, ClaimBatch, ReadBatch, Record};
use super::wait_error::{RecvError, SendError};
use super::{Consumer, Producer};
use crate::trust::Trust;
use crate::wait::{self, Canceller, Limit, Nothing, WaitStrategy, Waiter, Waits};

impl<T: Trust> Waits for Producer<T> {
    fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        &mut self.seated.place.waiter
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.seated.core.sleeper()
    }

    fn slept(&mut self) {
        self.seated.place.life.ask_soon();
    }

    fn chime_path(&self) -> Option<PathBuf> {
        self.seated.place.life.chime_path()
    }
}

impl<T: Trust> Waits for Consumer<T> {
    fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        &mut self.seated.place.waiter
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.seated.core.sleeper()
    }

    fn slept(&mut self) {
        self.seated.core.ask_soon();
        self.seated.place.life.ask_soon();
    }

    fn chime_path(&self) -> Option<PathBuf> {
        self.seated.place.life.chime_path()
    }
}

/// Nothing, if the ring is full.
pub(super) fn full<R>(result: Result<R, TrySendError>) -> Result<Result<R, Nothing>, TrySendError> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(TrySendError::Full) => Ok(Err(Nothing::Idle)),
        Err(error) => Err(error),
    }
}

/// Nothing, if the ring is empty.
pub(super) fn empty<R>(result: Result<R, TryRecvError>) -> Result<Result<R, Nothing>, TryRecvError> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(TryRecvError::Empty) => Ok(Err(Nothing::Idle)),
        Err(error) => Err(error),
    }
}

/// Blocking calls. They wait while the ring is full: for the consumer to release space, or for one to come.
impl<T: Trust> Producer<T> {
    /// As [`try_send`](Self::try_send), waiting for space.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ring_shm::spsc::SendError;
    ///
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(64)?;
    /// tx.send(0, &[1; 24])?;
    /// tx.send(0, &[2; 16])?; // full now
    /// assert_eq!(tx.send_timeout(0, &[3; 16], Duration::from_millis(1)), Err(SendError::Timeout));
    /// # std::thread::scope(|s| {
    /// s.spawn(move || rx.recv_into(&mut [0; 64]));
    /// tx.send(0, &[3; 16])
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
            Err(TrySendError::Full) => {
                wait::until(self, limit, |tx| full(tx.try_send(tag, payload))).map_err(SendError::from)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`try_claim`](Self::try_claim), waiting for space.
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
        wait::until(self, limit, |tx| full(tx.has_room(1, 1, len)))?;
        Ok(self.try_claim(len)?)
    }

    /// As [`try_claim_batch`](Self::try_claim_batch), waiting for space for one record at least.
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
            wait::until(self, limit, |tx| full(tx.has_room(1, max, len)))?;
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

/// Blocking calls. They wait while the ring is empty: for the producer to commit, or for one to come.
impl<T: Trust> Consumer<T> {
    /// As [`try_recv_into`](Self::try_recv_into), waiting for a record.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// std::thread::scope(|s| {
    ///     s.spawn(move || tx.send(7, b"hello"));
    ///     let mut buf = [0; 16];
    ///     assert_eq!(rx.recv_into(&mut buf).unwrap().tag, 7);
    ///     assert_eq!(rx.recv_into(&mut buf), Err(ring_shm::spsc::RecvError::Disconnected));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]; on `BufferTooSmall` the record stays.
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
            Err(TryRecvError::Empty) => {
                wait::until(self, limit, |rx| empty(rx.try_recv_into(buf))).map_err(RecvError::from)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`try_read`](Self::try_read), waiting for a record.
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
        wait::until(self, limit, |rx| empty(rx.has_record()))?;
        Ok(self.try_read()?)
    }

    /// As [`try_read_batch`](Self::try_read_batch), waiting for one record at least.
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
            wait::until(self, limit, |rx| empty(rx.has_record()))?;
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
