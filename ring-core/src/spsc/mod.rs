//! The SPSC ring: variable-length records, committed in band by one store each.
//!
//! A record is a header word and its payload. The producer writes the payload, stores 0 where the *next* header will
//! be, then stores its own header: that one store publishes. The consumer polls the header at its head and needs
//! nothing else, so the flag and a small message travel in one cache line. No lock, no read-modify-write, no fence.
//!
//! The steps with their orderings and what a death after each leaves behind: `docs/protocol.md`.
//!
//! ```
//! use ring_core::{Line, Region, Verdict, spsc};
//!
//! static MEMORY: [Line; 64] = [const { Line::new() }; 64];
//! let ring = spsc::Ring::format(Region::new(&MEMORY), &spsc::Format::new(1024))?;
//! let mut tx = ring.sit_producer(ring.next_lease().unwrap(), |_| Verdict::Alive)?;
//! let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), |_| Verdict::Alive)?;
//!
//! tx.try_send(7, b"hello")?;
//! let mut buf = [0; 16];
//! let got = rx.try_recv_into(&mut buf)?;
//! assert_eq!((got.tag, &buf[..got.len]), (7, &b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod bell;
mod claim;
mod claim_batch;
mod consumer;
mod end;
mod error;
mod find;
mod format;
mod laid;
mod pace;
mod producer;
mod publish;
mod read_batch;
mod received;
mod record;
mod recover;
mod release;
mod ride;
mod ring;
mod room;
#[cfg(not(loom))]
pub mod strict;
#[cfg(not(loom))]
mod synced;

pub use claim::Claim;
pub use claim_batch::ClaimBatch;
pub use consumer::Consumer;
pub use error::{ClaimError, ReadError};
pub use find::NotHere;
pub use format::{Format, MAX_CAPACITY, MIN_CAPACITY};
pub use producer::Producer;
pub use read_batch::{BatchRecord, ReadBatch};
pub use received::Received;
pub use record::Record;
pub use ring::Ring;
#[cfg(not(loom))]
pub use synced::{Cut, SYNC_MARK_LEN, SYNC_MARKS, SyncMark, cut_to_synced};

pub use crate::seat::SeatFacts;
