//! The MPMC ring: fixed slots, many producers, many consumers, strict FIFO; survives the death of any participant at
//! any moment.
//!
//! A claim is one compare-and-swap on the tail, or on the head, as in Vyukov's bounded queue; a word per slot says
//! what it holds. What is added is an *intent*: before the swap a participant stores the position it wants into its
//! own line of the participant table. So whoever finds a position claimed and not settled knows whose it can be, and
//! when all of those are proven dead, settles it by one more compare-and-swap: a dead writer's slot becomes a gap, a
//! dead reader's message is delivered again, flagged. The proof is the caller's: every function that needs it takes a
//! `verdict` on a lease. This crate makes no system call.
//!
//! The steps with their orderings and what a death after each leaves behind: `docs/protocol-mpmc.md`.
//!
//! ```
//! use ring_core::{Line, Region, Verdict, mpmc};
//!
//! static MEMORY: [Line; 128] = [const { Line::new() }; 128];
//! let format = mpmc::Format::new(16, 48).participants(8);
//! let ring = mpmc::Ring::format(Region::new(&MEMORY), &format)?;
//! let mut tx = ring.join_producer(ring.next_lease()?, |_| Verdict::Alive)?;
//! let mut rx = ring.join_consumer(ring.next_lease()?, |_| Verdict::Alive)?;
//!
//! tx.try_send(7, b"hello")?;
//! let mut buf = [0; 48];
//! let got = rx.try_recv_into(&mut buf)?;
//! assert_eq!((got.tag, &buf[..got.len]), (7, &b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod claim;
mod close;
mod consumer;
mod empty;
mod ends;
mod error;
mod format;
mod guess;
mod membership;
mod pace;
mod participant;
mod pop;
mod producer;
mod push;
mod record;
mod recv;
mod redelivery;
mod repair;
mod ring;
mod send;
mod single;
mod word;

pub use batch::{BatchRecord, ClaimBatch, ReadBatch};
pub use claim::Claim;
pub use consumer::{Consumer, Received};
pub use error::{Blocked, ClaimError, JoinError, ReadError};
pub use format::{Format, MAX_PARTICIPANTS, MAX_SLOT_SIZE, MAX_SLOTS, Redelivery};
pub use membership::Recovery;
pub use participant::Participant;
pub use producer::Producer;
pub use record::Record;
pub use repair::Repair;
pub use ring::{Ring, Stat};
pub use word::{Intent, MAX_ATTEMPT, MAX_BATCH, MAX_POSITION};

pub use crate::seat::SeatFacts;
