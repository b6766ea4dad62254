#![doc = include_str!("../README.md")]

mod arena;
mod candidate;
pub mod cli;
pub mod crowd;
mod duplex;
mod inplace;
mod kernel;
pub mod kit;
mod limits;
mod mailbox;
pub mod message;
mod ours;
mod ours_mpmc;
mod parkable;
mod parked;
mod payload;
mod pool;
mod probe;
pub mod record;
mod registry;
pub mod report;
mod rivals;
pub mod rows;
pub mod run;
mod seam;
mod slotted;
mod stats;
mod stream;
mod sys;
mod vyukov;

pub use probe::Class;
pub use stats::Quartiles;
pub use sys::{pin, two_cpus};
