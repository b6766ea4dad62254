//! The tests of handles over System V segments: the same as over POSIX shared memory. (Which backing it is, `support` takes from the
//! name of this program.)
#![allow(clippy::duplicate_mod, reason = "each test file brings what it shares with others")]

#[path = "lease.rs"]
mod lease;
#[path = "lease_fork.rs"]
mod lease_fork;
#[path = "mpmc_api.rs"]
mod mpmc_api;
#[path = "mpmc_death.rs"]
mod mpmc_death;
#[path = "mpmc_two_process.rs"]
mod mpmc_two_process;
#[path = "placement.rs"]
mod placement;
#[path = "spsc_ends.rs"]
mod spsc_ends;
#[path = "spsc_kill_consumer.rs"]
mod spsc_kill_consumer;
#[path = "spsc_kill_either.rs"]
mod spsc_kill_either;
#[path = "spsc_kill_producer.rs"]
mod spsc_kill_producer;
#[path = "spsc_process.rs"]
mod spsc_process;
#[path = "spsc_sessions.rs"]
mod spsc_sessions;
#[path = "spsc_steps.rs"]
mod spsc_steps;
#[path = "spsc_stop.rs"]
mod spsc_stop;
#[path = "spsc_streams.rs"]
mod spsc_streams;
#[path = "spsc_threads.rs"]
mod spsc_threads;
#[path = "typed.rs"]
mod typed;
#[path = "wait_process.rs"]
mod wait_process;

mod support;

#[test]
fn they_are_what_they_are_called() {
    let name = support::unique("what");
    ring_shm::spsc::create(&name, &ring_shm::spsc::Options::new().capacity(64)).unwrap();
    let key = name.as_str().strip_prefix("sysv:").unwrap().parse::<ring_shm::SysvName>().unwrap().key();
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let ours = segments.lines().find(|line| line.trim_start().starts_with(&format!("{key} "))).unwrap();
    assert_eq!(ours.split_ascii_whitespace().nth(3), Some("4160"), "{ours}");
}
