//! One producer, one consumer, variable-length records, in a named segment or on the heap.
//!
//! Either side may create the ring, and either may come first. What a reader can rely on:
//!
//! | | |
//! |---|---|
//! | order | records arrive in the order of their commits, each once |
//! | a producer dies | what it committed arrives, then [`PeerDied`](TryRecvError::PeerDied); a successor may go on |
//! | a consumer dies | what it had not released arrives at its successor, flagged `redelivered` where it may have been seen |
//! | a stopped or slow peer | keeps its seat; nobody ever takes it over |
//! | a lying peer | a handle that trusts nobody returns [`Corrupt`](ring_core::Corrupt), and never reads outside the ring |

#[cfg(feature = "async")]
mod asynchronous;
mod consumer;
mod error;
mod guards;
mod inspect;
mod options;
mod producer;
mod setup;
mod strict;
mod typed;
mod wait;
mod wait_error;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncConsumer, AsyncProducer, Message};
pub use consumer::Consumer;
pub use error::{TryRecvError, TrySendError};
pub use guards::{BatchRecord, Claim, ClaimBatch, ReadBatch, Record};
pub use inspect::{Seat, Snapshot, StrictSnapshot, inspect, inspect_strict, recover, recover_synced};
pub use options::Options;
pub use producer::Producer;
pub use ring_core::spsc::{Cut, Received};
#[cfg(feature = "async")]
pub use typed::{AsyncTypedConsumer, AsyncTypedProducer};
pub use typed::{TypedClaim, TypedConsumer, TypedProducer, TypedRecord, typed_heap};
pub use wait_error::{RecvError, SendError};

use ring_core::Position;

use crate::location::ToLocation;
use crate::setup_error::SetupError;
use crate::trust::Trusted;

/// A handle's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The producer's tail or the consumer's head: how many bytes of records and padding have passed this handle's
    /// seat since the ring was created.
    pub position: Position,
    /// Bytes between tail and head: a guess.
    pub len_guess: u64,
    /// The lease this handle sits under, as `ringctl stat` shows it.
    pub lease: u64,
}

/// Creates the ring `name` without sitting down in it.
///
/// # Errors
/// [`SetupError`]; its kind is `Exists` when the name is taken.
///
/// ```
/// # let name = format!("doc-create-{}", std::process::id());
/// use ring_shm::spsc;
/// spsc::create(&name, &spsc::Options::new().capacity(4096))?;
/// let tx = spsc::Producer::open(&name)?;
/// ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(at: impl ToLocation, options: &Options) -> Result<(), SetupError> {
    setup::create(&at.to_location()?, options).map(drop)
}

/// A ring of `capacity` bytes on the heap, for threads and for tests: the same protocol and the same handles, which
/// lend slices safely, since their peers belong to this process.
///
/// # Errors
/// [`SetupError`] for an impossible capacity, or when the memory cannot be had.
///
/// ```
/// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 16)?;
/// std::thread::scope(|s| {
///     s.spawn(move || (0..1000u32).for_each(|i| while tx.try_send(i, b"tick").is_err() {}));
///     s.spawn(move || {
///         for i in 0..1000 {
///             let got = loop {
///                 if let Ok(got) = rx.try_recv_into(&mut [0; 8]) { break got }
///             };
///             assert_eq!(got.tag, i);
///         }
///     });
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn heap(capacity: u64) -> Result<(Producer<Trusted>, Consumer<Trusted>), SetupError> {
    let heap = setup::heap(&Options::new().capacity(capacity))?;
    Ok((Producer::from_place(setup::Place::in_heap(&heap)?)?, Consumer::from_place(setup::Place::in_heap(&heap)?)?))
}
