//! The tests of SPSC handles that need no name and no successor, over strict rings: the same as over POSIX shared memory.
//! (Which backing it is, `support` takes from the name of this program. The tests of waiting have strict twins where they
//! are, in `wait.rs`; death, stops and kills: `strict.rs`.)

#[path = "spsc_streams.rs"]
mod spsc_streams;
