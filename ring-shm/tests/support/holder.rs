//! A process that holds a lease and does what it is told to. Used beside `support`.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ring_shm::{Access, LeasedMapping, Mapping, Segment, SelfTest};

use super::support::{Child, TestName, child, hear, say, unique};

pub const LEN: u64 = 8192;

pub fn make(tag: &str) -> (TestName, Segment) {
    let name = unique(tag);
    // A file is removed only when it begins as a ring.
    let magic = |mapping: &Mapping| {
        // SAFETY: inside the mapping; no other process has it yet.
        unsafe { mapping.as_ptr().cast::<[u8; 8]>().write_volatile(*b"RINGSPSC") };
    };
    let segment = Segment::create(&name, LEN, &Access::default(), magic).unwrap();
    (name, segment)
}

pub fn take(segment: &Segment, number: u64) -> LeasedMapping {
    LeasedMapping::acquire(segment, || number).unwrap()
}

/// A child that holds lease `number` and does what it is told.
pub fn holder(name: &TestName, number: u64) -> Child {
    let mut holder = child("holder", &[name.as_str(), &number.to_string()]);
    holder.wait_for("held");
    holder
}

/// A lock can outlast its mapping while another thread of this process spawns a child that has not reached its exec
/// and so still has a copy of the descriptor. Late, never false; only tests in this process meet it.
pub fn soon(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
}

pub fn play_holder(name: &str, number: u64) {
    let mut segment = Some(Segment::open(name).unwrap());
    let mut lease = Some(take(segment.as_ref().unwrap(), number));
    assert_eq!(lease.as_ref().unwrap().self_test(), SelfTest::Passed);
    say("held");
    while let Some(order) = hear() {
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("close-segment", _) => drop(segment.take()),
            ("close-range", _) => close_all(),
            ("unmap", _) => drop(lease.take()),
            ("fork", _) => {
                // SAFETY: the child only sleeps.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    sleep_for_ever();
                }
                say(&format!("forked {pid}"));
                continue;
            }
            ("exec", _) => panic!("{}", Command::new("sleep").arg("1000").exec()),
            ("leader-exit", _) => leader_exit(),
            ("fill", path) => fill_numbers(path),
            ("verdict", of) => {
                say(&format!("{:?}", lease.as_ref().unwrap().verdict(of.parse().unwrap(), None)));
                continue;
            }
            other => panic!("no order {other:?}"),
        }
        say("done");
    }
}

pub fn close_all() {
    // SAFETY: closes what this process has beyond standard input and output; that is the point.
    assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
}

/// Takes the numbers 3 to 40 for other files.
pub fn fill_numbers(path: &str) {
    while File::options().read(true).write(true).open(path).unwrap().into_raw_fd() < 40 {}
}

pub fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

/// Ends the main thread of the process and leaves the others running.
pub fn leader_exit() {
    extern "C" fn exit_thread(_: i32) {
        // SAFETY: ends this thread without unwinding; its stack stays.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let pid = std::process::id();
    // SAFETY: no arguments.
    let me = unsafe { libc::gettid() };
    if i64::from(me) == i64::from(pid) {
        std::thread::spawn(|| while hear().is_some() {});
        say("done");
        exit_thread(0);
    }
    // SAFETY: the handler makes one system call.
    unsafe { libc::signal(libc::SIGUSR1, exit_thread as extern "C" fn(i32) as libc::sighandler_t) };
    // SAFETY: plain numbers; the leader of this very process.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1) };
}
