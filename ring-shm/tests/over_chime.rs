//! The tests of handles for tasks, which are woken by a chime: the same as by the process's waiter. (Which it is, `support/chimed.rs`
//! takes from the name of this program.)
#![allow(clippy::duplicate_mod, reason = "each test file brings what it shares with others")]

#[path = "async_api.rs"]
mod async_api;
#[path = "async_process.rs"]
mod async_process;
