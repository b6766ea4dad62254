#![doc = include_str!("../README.md")]

mod channel;
mod lists;
mod litter;
mod rivals;
mod scenario;

pub use channel::plant;
pub use lists::{lists, versions};
pub use litter::Sweeper;
