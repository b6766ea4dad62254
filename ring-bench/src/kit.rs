//! What another crate needs to put candidates of its own beside ours: the seam, the parts made from it, and this
//! crate's lists to pick from. `ring-bench/peers` is such a crate.
//!
//! A transport implements [`Tx`] and [`Rx`]; [`Ping`] and [`Pong`], [`Source`] and [`Drain`] (or the batch forms, or
//! [`crowd`](crate::crowd)) turn those into parts; a [`Candidate`] is the parties' parts and what a slice of them does. A [`Build`]
//! runs before the fork and must start no thread; each [`Maker`] runs where its part will.

pub use crate::arena::Arena;
pub use crate::candidate::{Build, Candidate, Maker, Place, Setup, Unit};
pub use crate::duplex::{Ping, Pong};
pub use crate::inplace::BYTES as PAYLOAD_BYTES;
pub use crate::payload::{PayloadDrain, PayloadRx, PayloadSource, PayloadTx};
pub use crate::registry::{
    BATCH_8, BATCH_64, FEW, ONE_WAY_BYTES, ROUND_TRIP_BYTES, all as own_candidates, crowd as crowded, one_way, payload,
    round_trip,
};
pub use crate::rows::Row;
pub use crate::seam::{BatchRx, BatchTx, Fault, Outcome, Part, Patience, Rx, Tx, Work};
pub use crate::stream::{BatchDrain, BatchSource, Drain, Source};
