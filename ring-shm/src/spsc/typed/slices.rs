//! What typed handles do where the payload is a slice: each record holds any number of values.

use std::time::{Duration, Instant};

use ring_core::spsc::Received;
use zerocopy::IntoBytes as _;

use super::{TypedClaim, TypedConsumer, TypedProducer, TypedRecord};
use crate::payload::Payload;
use crate::spsc::Consumer;
use crate::spsc::error::{TryRecvError, TrySendError};
use crate::spsc::wait_error::{RecvError, SendError};
use crate::trust::Trust;
use crate::typed::Typed;

/// A ring of slices: one record, one header and one store for many values, so that small ones cost what their bytes cost.
///
/// ```
/// use ring_shm::spsc::{Options, TypedConsumer, TypedProducer};
/// # let name = format!("doc-slices-{}", std::process::id());
/// let mut tx = TypedProducer::<[u64]>::create(&name, &Options::new())?;
/// let mut rx = TypedConsumer::<[u64]>::open(&name)?; // a ring of `u64` is one of another type
/// tx.try_send(7, &[1, 2, 3])?;
/// tx.try_send(8, &[4])?;
///
/// let mut values = [0; 64];
/// let (count, received) = rx.try_recv_into(&mut values)?;
/// assert_eq!((&values[..count], received.tag), (&[1, 2, 3][..], 7));
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Payload, P: Trust> TypedProducer<[T], P> {
    /// Reserves space for up to `count` values, which are sent together. Dropping the claim aborts it: nothing was sent.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::typed_heap::<[u32]>(1 << 12)?; // trusts its peers
    /// let mut claim = tx.try_claim(100)?;
    /// claim[..3].copy_from_slice(&[1, 2, 3]); // the ring's own memory, and whatever it held elsewhere
    /// claim.truncate(3);
    /// claim.commit();
    /// assert_eq!(rx.try_read()?[..], [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`]; nothing is reserved.
    #[inline]
    pub fn try_claim(&mut self, count: usize) -> Result<TypedClaim<'_, [T], P>, TrySendError> {
        self.get_mut().try_claim(len::<T>(count)).map(Typed::of_values)
    }

    /// As [`try_claim`](Self::try_claim), waiting for space.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim(&mut self, count: usize) -> Result<TypedClaim<'_, [T], P>, SendError> {
        self.get_mut().claim(len::<T>(count)).map(Typed::of_values)
    }

    /// As [`claim`](Self::claim), for `timeout` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_timeout(&mut self, count: usize, timeout: Duration) -> Result<TypedClaim<'_, [T], P>, SendError> {
        self.get_mut().claim_timeout(len::<T>(count), timeout).map(Typed::of_values)
    }

    /// As [`claim`](Self::claim), until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn claim_deadline(&mut self, count: usize, deadline: Instant) -> Result<TypedClaim<'_, [T], P>, SendError> {
        self.get_mut().claim_deadline(len::<T>(count), deadline).map(Typed::of_values)
    }
}

/// Bytes of `count` values; too many for any ring are as many as there are numbers.
#[inline(always)]
fn len<T>(count: usize) -> usize {
    count.saturating_mul(size_of::<T>())
}

/// Slices as they come: one record's values at a time, never parts of two.
///
/// A record that is no whole number of values by its length, which only a handle of bytes can send, is released and told as
/// `WrongLength`; `expected` is then the length of one.
impl<T: Payload, P: Trust> TypedConsumer<[T], P> {
    /// Takes the next slice out, to the beginning of `values`; returns how many there were, and none is a number too. Sound
    /// whatever a peer does: what comes are `T`s, be they such as nobody sent.
    ///
    /// # Errors
    /// [`TryRecvError`]; `BufferTooSmall` says how many bytes are needed, and the slice stays.
    #[inline]
    pub fn try_recv_into(&mut self, values: &mut [T]) -> Result<(usize, Received), TryRecvError> {
        match self.get_mut().try_recv_into(values.as_mut_bytes()) {
            Ok(received) => counted::<T>(received),
            Err(TryRecvError::BufferTooSmall { .. }) => Err(self.too_long()),
            Err(error) => Err(error),
        }
    }

    /// Why the next record did not fit: it stays if it is a slice, and is out of the way if it is none.
    #[cold]
    fn too_long(&mut self) -> TryRecvError {
        match self.try_read() {
            Ok(slice) => {
                let needed = len::<T>(slice.len());
                slice.keep();
                TryRecvError::BufferTooSmall { needed }
            }
            Err(error) => error,
        }
    }

    /// As [`try_recv_into`](Self::try_recv_into), waiting for a slice.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn recv_into(&mut self, values: &mut [T]) -> Result<(usize, Received), RecvError> {
        self.recv_by(values, |rx, buf| rx.recv_into(buf))
    }

    /// As [`recv_into`](Self::recv_into), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into_timeout(&mut self, values: &mut [T], timeout: Duration) -> Result<(usize, Received), RecvError> {
        self.recv_by(values, |rx, buf| rx.recv_into_timeout(buf, timeout))
    }

    /// As [`recv_into`](Self::recv_into), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into_deadline(&mut self, values: &mut [T], deadline: Instant) -> Result<(usize, Received), RecvError> {
        self.recv_by(values, |rx, buf| rx.recv_into_deadline(buf, deadline))
    }

    #[inline]
    fn recv_by(
        &mut self,
        values: &mut [T],
        recv: impl FnOnce(&mut Consumer<P>, &mut [u8]) -> Result<Received, RecvError>,
    ) -> Result<(usize, Received), RecvError> {
        match recv(self.get_mut(), values.as_mut_bytes()) {
            Ok(received) => Ok(counted::<T>(received)?),
            Err(RecvError::BufferTooSmall { .. }) => Err(self.too_long().into()),
            Err(error) => Err(error),
        }
    }

    /// Lends the next slice. Dropping it releases its space, as [`Consumer::try_read`] says.
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline]
    pub fn try_read(&mut self) -> Result<TypedRecord<'_, [T], P>, TryRecvError> {
        Typed::lend_slice(self.get_mut().try_read(), wrong::<T>)
    }

    /// As [`try_read`](Self::try_read), waiting for a slice.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read(&mut self) -> Result<TypedRecord<'_, [T], P>, RecvError> {
        Typed::lend_slice(self.get_mut().read(), |len| wrong::<T>(len).into())
    }

    /// As [`read`](Self::read), for `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<TypedRecord<'_, [T], P>, RecvError> {
        Typed::lend_slice(self.get_mut().read_timeout(timeout), |len| wrong::<T>(len).into())
    }

    /// As [`read`](Self::read), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn read_deadline(&mut self, deadline: Instant) -> Result<TypedRecord<'_, [T], P>, RecvError> {
        Typed::lend_slice(self.get_mut().read_deadline(deadline), |len| wrong::<T>(len).into())
    }
}

/// How many values have come, if their number is whole.
#[inline(always)]
fn counted<T>(received: Received) -> Result<(usize, Received), TryRecvError> {
    match received.len % size_of::<T>() {
        0 => Ok((received.len / size_of::<T>(), received)),
        _ => Err(wrong::<T>(received.len)),
    }
}

#[cold]
fn wrong<T>(len: usize) -> TryRecvError {
    TryRecvError::WrongLength { len, expected: size_of::<T>() }
}
