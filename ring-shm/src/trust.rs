//! Whether a handle may lend slices of shared memory. A type, so that the answer costs nothing and shows in signatures.

mod sealed {
    pub trait Sealed {}
}

/// How far a handle trusts whoever else can write to the ring's memory: [`Untrusted`] or [`Trusted`].
pub trait Trust: sealed::Sealed + 'static {}

/// Payload is copied in and out through atomic words: sound whatever another process writes at whatever time.
#[derive(Debug, Clone, Copy)]
pub enum Untrusted {}

/// Payload is lent in place as slices: every writer of the memory is known to follow the protocol. Heap rings have
/// this from the start, because their peers are handles of the same process; others through `unsafe trust_peers`.
#[derive(Debug, Clone, Copy)]
pub enum Trusted {}

impl sealed::Sealed for Untrusted {}
impl sealed::Sealed for Trusted {}
impl Trust for Untrusted {}
impl Trust for Trusted {}
