//! What a wait set sees of a handle: how it looks, and how it sleeps.

use ring_core::Corrupt;

use crate::mpmc;
use crate::spsc;
use crate::trust::Trust;
use crate::wait::{Nothing, Waits};

/// What a handle in a [`WaitSet`](crate::wait::WaitSet) is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// There is something to receive. On an MPMC ring another consumer may be quicker.
    Data,
    /// There is room to send. On an MPMC ring another producer may be quicker.
    Space,
    /// The peer has closed, with everything received (SPSC; said once for each session, here or by the handle), or the
    /// ring was closed and everything released (MPMC; said by every wait).
    Disconnected,
    /// The peer has died, with everything received (SPSC; said once for each session, here or by the handle).
    PeerDied,
    /// Room was asked for that the ring never has.
    TooLong {
        /// Bytes asked for.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// A peer broke the protocol. The handle does nothing from now on.
    Corrupt(Corrupt),
    /// The handle belongs to another process.
    Forked,
}

/// A handle that a [`WaitSet`](crate::wait::WaitSet) can wait for: a consumer waits for data, a producer for space.
///
/// Consumers of both kinds and producers of MPMC rings are waited for as they are. A producer of an SPSC ring, whose
/// records have different lengths, is waited for as [`room_for`](crate::spsc::Producer::room_for) a length. References and
/// boxes stand for what they refer to, so `&mut [&mut dyn Waitable]` holds handles of different kinds. Only types of
/// this crate implement it.
pub trait Waitable: Watched {}

/// The half of it that is nobody else's business.
#[allow(private_interfaces, reason = "sealed: nobody outside can name the trait")]
pub trait Watched {
    /// What it is ready for; or what nothing it has found.
    #[doc(hidden)]
    fn look(&mut self) -> Result<Readiness, Nothing>;

    /// How it sleeps.
    #[doc(hidden)]
    fn waits(&mut self) -> &mut dyn Waits;
}

macro_rules! stands_for {
    ($($pointer:ty),*) => {$(
        #[allow(private_interfaces, reason = "as the trait's")]
        impl<W: Watched + ?Sized> Watched for $pointer {
            fn look(&mut self) -> Result<Readiness, Nothing> {
                (**self).look()
            }

            fn waits(&mut self) -> &mut dyn Waits {
                (**self).waits()
            }
        }

        impl<W: Waitable + ?Sized> Waitable for $pointer {}
    )*};
}

stands_for! { &mut W, Box<W> }

#[allow(private_interfaces, reason = "as the trait's")]
impl<T: Trust> Watched for spsc::Consumer<T> {
    fn look(&mut self) -> Result<Readiness, Nothing> {
        use spsc::TryRecvError as E;
        Ok(match self.has_record() {
            Err(E::Empty) => return Err(Nothing::Idle),
            Err(E::Disconnected) => Readiness::Disconnected,
            Err(E::PeerDied) => Readiness::PeerDied,
            Err(E::Corrupt(corrupt)) => Readiness::Corrupt(corrupt),
            Err(E::Forked) => Readiness::Forked,
            Ok(()) | Err(E::BufferTooSmall { .. } | E::WrongLength { .. }) => Readiness::Data,
        })
    }

    fn waits(&mut self) -> &mut dyn Waits {
        self
    }
}

impl<T: Trust> Waitable for spsc::Consumer<T> {}

/// An SPSC producer that waits for room: see [`room_for`](spsc::Producer::room_for).
#[derive(Debug)]
pub struct Room<'a, T: Trust> {
    producer: &'a mut spsc::Producer<T>,
    len: usize,
}

impl<T: Trust> spsc::Producer<T> {
    /// This handle as a member of a [`WaitSet`](crate::wait::WaitSet), ready when a record of up to `len` bytes has
    /// room: then the next send or claim of such a one succeeds.
    ///
    /// ```
    /// use ring_shm::wait::{Readiness, WaitSet};
    ///
    /// let (mut tx, _rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut set = WaitSet::new();
    /// assert_eq!(set.wait(&mut [tx.room_for(100)])?[0].what, Readiness::Space);
    /// tx.try_send(0, &[0; 100])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for(&mut self, len: usize) -> Room<'_, T> {
        Room { producer: self, len }
    }
}

#[allow(private_interfaces, reason = "as the trait's")]
impl<T: Trust> Watched for Room<'_, T> {
    fn look(&mut self) -> Result<Readiness, Nothing> {
        use spsc::TrySendError as E;
        Ok(match self.producer.has_room(1, 1, self.len) {
            Ok(()) => Readiness::Space,
            Err(E::Full) => return Err(Nothing::Idle),
            Err(E::TooLong { len, max }) => Readiness::TooLong { len, max },
            Err(E::Disconnected) => Readiness::Disconnected,
            Err(E::PeerDied) => Readiness::PeerDied,
            Err(E::Corrupt(corrupt)) => Readiness::Corrupt(corrupt),
            Err(E::Forked) => Readiness::Forked,
        })
    }

    fn waits(&mut self) -> &mut dyn Waits {
        self.producer
    }
}

impl<T: Trust> Waitable for Room<'_, T> {}

#[allow(private_interfaces, reason = "as the trait's")]
impl<T: Trust> Watched for mpmc::Consumer<T> {
    /// A message that can be seen stays where everybody can take it. Where none can be seen the refusal is asked for; what
    /// is claimed on the way (a message without a reader) is this handle's.
    fn look(&mut self) -> Result<Readiness, Nothing> {
        use mpmc::TryRecvError as E;
        if self.seems_ready() {
            return Ok(Readiness::Data);
        }
        Ok(match self.fetch(1) {
            Err(E::Empty) => return Err(Nothing::Idle),
            Err(E::Busy { .. }) => return Err(Nothing::Blocked),
            Err(E::Disconnected) => Readiness::Disconnected,
            Err(E::Corrupt(corrupt)) => Readiness::Corrupt(corrupt),
            Err(E::Forked) => Readiness::Forked,
            Ok(()) | Err(E::BufferTooSmall { .. } | E::WrongLength { .. }) => Readiness::Data,
        })
    }

    fn waits(&mut self) -> &mut dyn Waits {
        self
    }
}

impl<T: Trust> Waitable for mpmc::Consumer<T> {}

#[allow(private_interfaces, reason = "as the trait's")]
impl<T: Trust> Watched for mpmc::Producer<T> {
    /// A slot that is claimed on the way is given back: a claim that its owner sits on holds up everybody.
    fn look(&mut self) -> Result<Readiness, Nothing> {
        use mpmc::TrySendError as E;
        if self.seems_ready() {
            return Ok(Readiness::Space);
        }
        Ok(match self.reserve(1, 0) {
            Err(E::Full) => return Err(Nothing::Idle),
            Err(E::Busy { .. }) => return Err(Nothing::Blocked),
            Err(E::TooLong { len, max }) => Readiness::TooLong { len, max },
            Err(E::Disconnected | E::Exhausted) => Readiness::Disconnected,
            Err(E::Corrupt(corrupt)) => Readiness::Corrupt(corrupt),
            Err(E::Forked) => Readiness::Forked,
            Ok(()) => {
                self.unreserve();
                Readiness::Space
            }
        })
    }

    fn waits(&mut self) -> &mut dyn Waits {
        self
    }
}

impl<T: Trust> Waitable for mpmc::Producer<T> {}
