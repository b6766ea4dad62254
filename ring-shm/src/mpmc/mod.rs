//! Many producers, many consumers, each message to exactly one, in strict FIFO order, in a named segment or on the
//! heap; and none of them can wedge it by dying, at whatever moment.
//!
//! | | |
//! |---|---|
//! | order | each consumer gets messages in the order in which their slots were claimed |
//! | a producer dies | what it committed arrives; the slot it was in the middle of is skipped |
//! | a consumer dies | what it had not released goes to another one, flagged [`redelivered`](Received::redelivered); after as many deliveries as the ring allows as a [dead letter](Received::dead_letter) |
//! | a stopped or slow participant | keeps what it has; whoever needs the same slot is told [`Busy`](TryRecvError::Busy), and by whom |
//! | handles come and go | at any time, up to the limits chosen at creation; a death leaves no place occupied for long |
//! | the end | [`close`](Producer::close), and nothing else: senders are told at once, receivers after the last message |
//! | a lying peer | a handle that trusts nobody returns [`Corrupt`](ring_core::Corrupt), and never reads outside the ring |
//!
//! Whoever is in the way for 250 µs is asked after by the kernel's word; on the proof of its death, and on
//! nothing else, the first one who is blocked settles what it has left, and goes on.

#[cfg(feature = "async")]
mod asynchronous;
mod claims;
mod consumer;
mod cure;
mod error;
mod heap;
mod inspect;
mod joined;
mod mend;
mod options;
mod producer;
mod records;
mod setup;
mod typed;
mod wait;
mod wait_error;
mod watch;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncConsumer, AsyncProducer, Message};
pub use claims::{Claim, ClaimBatch};
pub use consumer::Consumer;
pub use cure::Settled;
pub use error::{Holder, TryRecvError, TrySendError};
pub use heap::{HeapRing, heap};
pub use inspect::{Member, Snapshot, Work, inspect, recover};
pub use options::Options;
pub use producer::Producer;
pub use records::{BatchRecord, ReadBatch, Record};
pub use ring_core::mpmc::{Received, Redelivery};
pub use typed::{TypedClaim, TypedConsumer, TypedProducer, TypedRecord};
pub use wait_error::{RecvError, SendError};

use crate::location::ToLocation;
use crate::segment::Segment;
use crate::setup_error::SetupError;

/// A handle's numbers.
///
/// ```
/// let ring = ring_shm::mpmc::heap(8, 48)?;
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// std::mem::forget(tx.try_claim(8)?); // a process that dies here, or this:
/// drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
///     let _dies = tx;
///     panic!();
/// })));
/// let mut other = ring.producer()?;
/// other.try_send(7, b"behind the dead one's slot")?;
/// while rx.try_recv_into(&mut [0; 48]).is_err() {} // 250 µs, then it is asked after
/// assert_eq!(rx.stats().settled.skipped, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages sent, or being written, and not taken: a guess.
    pub len_guess: u64,
    /// The lease this handle works under, as `ringctl stat` shows it.
    pub lease: u64,
    /// Its place in the participant table.
    pub index: u32,
    /// What it has settled in place of the dead.
    pub settled: Settled,
}

/// Creates the ring `name` without joining it.
///
/// # Errors
/// [`SetupError`]; its kind is `Exists` when the name is taken.
///
/// ```
/// # let name = format!("doc-mpmc-create-{}", std::process::id());
/// use ring_shm::mpmc;
/// mpmc::create(&name, &mpmc::Options::new().slots(64).slot_size(48))?;
/// let (mut tx, mut rx) = (mpmc::Producer::open(&name)?, mpmc::Consumer::open(&name)?);
/// tx.try_send(1, b"to one of many")?;
/// assert_eq!(rx.try_recv_into(&mut [0; 48])?.len, 14);
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(at: impl ToLocation, options: &Options) -> Result<(), SetupError> {
    setup::create(&at.to_location()?, options).map(drop)
}

/// Ends the ring `name` for everybody, without joining it: senders are told at once, receivers when the last message
/// has been released. In a ring of one producer it takes effect with that one's next operation, or with its end.
///
/// # Errors
/// [`SetupError`], as for opening a handle; but a full table is none.
///
/// ```
/// # let name = format!("doc-mpmc-close-{}", std::process::id());
/// use ring_shm::mpmc::{self, TryRecvError, TrySendError};
/// let mut tx = mpmc::Producer::create(&name, &mpmc::Options::new())?;
/// let mut rx = mpmc::Consumer::open(&name)?;
/// tx.try_send(7, b"the last")?;
/// mpmc::close(&name)?;
/// assert_eq!(tx.try_send(8, b"too late"), Err(TrySendError::Disconnected));
/// assert_eq!(rx.try_recv_into(&mut [0; 48])?.tag, 7);
/// assert_eq!(rx.try_recv_into(&mut [0; 48]), Err(TryRecvError::Disconnected));
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn close(at: impl ToLocation) -> Result<(), SetupError> {
    let segment = Segment::open(at)?;
    let mut place = setup::Place::in_segment(&segment)?;
    let (ring, lease) = (place.ring, place.lease);
    ring.close(lease, |lease| place.verdict(lease))?;
    Ok(())
}
