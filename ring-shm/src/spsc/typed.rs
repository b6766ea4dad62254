//! Handles that send and receive values of one type. Thin: the handles of bytes under them do everything, and refuse
//! nothing that these do not refuse; what is added is the type, compared when the ring is opened.

#[cfg(feature = "async")]
mod asynchronous;
mod consumer;
mod producer;
mod slices;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncTypedConsumer, AsyncTypedProducer};
pub use consumer::TypedConsumer;
pub use producer::TypedProducer;

use super::guards::{Claim, Record};
use super::setup::{self, Place};
use super::{Consumer, Options, Producer};
use crate::payload::Payload;
use crate::setup_error::SetupError;
use crate::trust::{Trusted, Untrusted};
use crate::typed::Typed;

/// Space for one value, or for a slice of them; from a trusting handle it derefs to that itself.
pub type TypedClaim<'a, T, P = Untrusted> = Typed<Claim<'a, P>, T>;

/// One value or one slice, lent in place; from a trusting handle it derefs to that itself.
pub type TypedRecord<'a, T, P = Untrusted> = Typed<Record<'a, P>, T>;

/// A ring of `T`s with a data area of `capacity` bytes on the heap, as [`heap`](super::heap).
///
/// # Errors
/// [`SetupError`] for an impossible capacity, or when the memory cannot be had.
#[expect(clippy::type_complexity, reason = "two handles")]
pub fn typed_heap<T: Payload + ?Sized>(
    capacity: u64,
) -> Result<(TypedProducer<T, Trusted>, TypedConsumer<T, Trusted>), SetupError> {
    let heap = setup::heap(&Options::new().capacity(capacity).payload::<T>())?;
    let producer = Producer::from_place(Place::in_heap(&heap)?)?;
    let consumer = Consumer::from_place(Place::in_heap(&heap)?)?;
    Ok((TypedProducer::new(producer), TypedConsumer::new(consumer)))
}
