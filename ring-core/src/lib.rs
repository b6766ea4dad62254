//! ring-core
#![cfg_attr(not(any(loom, test)), no_std)]
mod epoch;
pub use epoch::Epoch;
