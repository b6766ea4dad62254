//! SPSC handles and what may happen to a process: fork, exec, closed descriptor tables, zombies, leaders that exit.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
mod support;

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ring::{record_of_len, session_of, until};
use ring_shm::SetupErrorKind;
use ring_shm::spsc::{Consumer, Producer, TryRecvError, TrySendError};
use spsc::{make, quiet_end};
use support::{Child, TestName, child, hear, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "worker" => play_worker(&args[0], args[1].parse().unwrap()),
        other => panic!("no role {other}"),
    });
}

/// A producer (even number) or consumer (odd) that does as it is told.
fn play_worker(name: &str, number: u32) {
    let mut tx = (number % 2 == 0).then(|| Producer::open(name).unwrap());
    let mut rx = (number % 2 == 1).then(|| Consumer::open(name).unwrap());
    say("sits");
    let mut seq = 0;
    while let Some(order) = hear() {
        match order.as_str() {
            "work" => {
                if let Some(tx) = &mut tx {
                    let mut payload = Vec::new();
                    let tag = record_of_len(number, seq, 9, &mut payload);
                    say(&format!("worked {:?}", tx.try_send(tag, &payload).map(drop)));
                }
                if let Some(rx) = &mut rx {
                    let got = rx.try_recv_into(&mut [0; 64]);
                    say(&format!("worked {:?}", got.map(drop)));
                }
                seq += 1;
            }
            "fork" => {
                // SAFETY: the child only sleeps.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    // Should the test never come to end it.
                    // SAFETY: plain numbers.
                    unsafe { libc::alarm(60) };
                    loop {
                        // SAFETY: no arguments.
                        unsafe { libc::pause() };
                    }
                }
                say(&format!("forked {pid}"));
            }
            "exec" => panic!("{}", Command::new("sleep").arg("1000").exec()),
            "close-range" => {
                // All but the standard three, the segment's among them.
                // SAFETY: plain numbers; what belongs to Rust's own files is none of this test's.
                assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0);
                say("closed");
            }
            "leader-exit" => {
                let (tx, rx) = (tx.take(), rx.take());
                std::thread::spawn(move || {
                    say("moved");
                    work_on(tx, rx, number);
                });
                end_leader();
                loop {
                    std::thread::park();
                }
            }
            other => panic!("no order {other}"),
        }
    }
}

/// Ends the main thread of the process, whichever this one is, and leaves the others running.
fn end_leader() {
    extern "C" fn end_thread(_: i32) {
        // SAFETY: ends this thread without unwinding; its stack stays.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let pid = std::process::id();
    // SAFETY: the handler makes one system call.
    unsafe { libc::signal(libc::SIGUSR1, end_thread as extern "C" fn(i32) as libc::sighandler_t) };
    // SAFETY: plain numbers; the leader of this very process.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1) };
}

/// Goes on without the leader, for as long as it is told to.
fn work_on(tx: Option<Producer>, rx: Option<Consumer>, number: u32) {
    let (mut tx, mut rx) = (tx, rx);
    let mut seq = 0;
    while let Some(order) = hear() {
        assert_eq!(order, "work");
        if let Some(tx) = &mut tx {
            let mut payload = Vec::new();
            let tag = record_of_len(number, seq, 9, &mut payload);
            say(&format!("worked {:?}", tx.try_send(tag, &payload).map(drop)));
        }
        if let Some(rx) = &mut rx {
            say(&format!("worked {:?}", rx.try_recv_into(&mut [0; 64]).map(drop)));
        }
        seq += 1;
    }
}

fn worker(name: &TestName, number: u32) -> Child {
    let mut worker = child("worker", &[name.as_str(), &number.to_string()]);
    worker.wait_for("sits");
    worker
}

fn full_end(tx: &mut Producer) -> Option<TrySendError> {
    let (start, mut polls) = (Instant::now(), 0);
    while polls < 256 {
        match tx.try_send(0, b"123456789") {
            Ok(_) => {}
            Err(TrySendError::Full) => polls += u32::from(start.elapsed() > Duration::from_millis(3)),
            Err(e) => return Some(e),
        }
    }
    None
}

fn refused(name: &TestName, number: u32, pid: i32) {
    let error = match number % 2 {
        0 => Producer::open(name.as_str()).map(drop),
        _ => Consumer::open(name.as_str()).map(drop),
    };
    let error = error.expect_err("its owner lives");
    assert_eq!(error.kind(), SetupErrorKind::InUse);
    assert!(error.to_string().contains(&format!("process {pid} ")), "{error}");
}

/// The peer of worker `number` is told of its death, once; and a successor sits and works.
fn succeeded(name: &TestName, number: u32, peer: &mut Peer) {
    assert!(peer.is_disconnected());
    match peer {
        Peer::Rx(rx) => {
            assert_eq!(quiet_end(rx), Some(TryRecvError::PeerDied));
            assert_eq!(quiet_end(rx), None);
        }
        Peer::Tx(tx) => {
            assert_eq!(full_end(tx), Some(TrySendError::PeerDied));
            assert_eq!(full_end(tx), None);
        }
    }
    let mut next = worker(name, number + 2);
    assert_eq!(next.ask("work", "worked"), "Ok(())");
    peer.works(number + 2);
}

/// The side that the test itself has.
enum Peer {
    Tx(Producer),
    Rx(Consumer),
}

impl Peer {
    fn of(name: &TestName, number: u32) -> Self {
        match number % 2 {
            0 => Self::Rx(Consumer::open(name.as_str()).unwrap()),
            _ => Self::Tx(Producer::open(name.as_str()).unwrap()),
        }
    }

    fn is_disconnected(&self) -> bool {
        match self {
            Self::Tx(tx) => tx.is_disconnected(),
            Self::Rx(rx) => rx.is_disconnected(),
        }
    }

    /// One record between it and worker `number`, which has already done, or will now find, its part.
    fn works(&mut self, number: u32) {
        match self {
            Self::Tx(tx) => drop(tx.try_send(0, b"123456789")),
            Self::Rx(rx) => {
                let got = until("a record", || rx.try_recv_into(&mut [0; 64]).ok());
                assert_eq!(session_of(got.tag), number);
            }
        }
    }

    /// No end is told, however often the kernel is asked.
    fn sees_nothing(&mut self) {
        match self {
            Self::Tx(tx) => assert_eq!(full_end(tx), None),
            Self::Rx(rx) => assert_eq!(quiet_end(rx), None),
        }
        assert!(!self.is_disconnected());
    }
}

/// A worker that has done some work, and its peer. Even numbers produce, odd ones consume.
fn pair(name: &TestName, number: u32) -> (Child, Peer) {
    let mut peer = Peer::of(name, number);
    let mut worker = worker(name, number);
    if number % 2 == 1 {
        peer.works(number);
    }
    assert_eq!(worker.ask("work", "worked"), "Ok(())");
    if number % 2 == 0 {
        peer.works(number);
    }
    (worker, peer)
}

#[test]
fn zombie_unreaped_is_dead() {
    for number in [2, 3] {
        let name = make("zombie");
        let (worker, mut peer) = pair(&name, number);
        worker.kill_unreaped();
        succeeded(&name, number, &mut peer);
    }
}

/// A child's child, ended with its test.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: our own grandchild, which nobody else ends.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn fork_child_left_alive_does_not_keep_the_seat() {
    for number in [2, 3] {
        let name = make("orphan");
        let (mut worker, mut peer) = pair(&name, number);
        let orphan = Orphan(worker.ask("fork", "forked").parse().unwrap());
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        worker.kill();
        // SAFETY: plain numbers; signal 0 asks.
        assert_eq!(unsafe { libc::kill(orphan.0, 0) }, 0, "the child lives on");
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn exec_frees_the_seat() {
    for number in [2, 3] {
        let name = make("exec");
        let (mut worker, mut peer) = pair(&name, number);
        worker.tell("exec");
        until("the end by exec", || peer.is_disconnected().then_some(()));
        // SAFETY: plain numbers; signal 0 asks.
        assert_eq!(unsafe { libc::kill(worker.pid(), 0) }, 0, "the process lives on");
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn closed_descriptors_of_the_owner_do_not_matter() {
    for number in [2, 3] {
        let name = make("closed");
        let (mut worker, mut peer) = pair(&name, number);
        worker.ask("close-range", "closed");
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        worker.kill();
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn leader_thread_exit_is_no_death() {
    for number in [2, 3] {
        let name = make("leader");
        let (mut worker, mut peer) = pair(&name, number);
        worker.ask("leader-exit", "moved");
        worker.wait_for_state('Z');
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        worker.signal(libc::SIGKILL);
        until("the death", || peer.is_disconnected().then_some(()));
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn stopped_is_no_death() {
    for number in [2, 3] {
        let name = make("stopped");
        let (mut worker, mut peer) = pair(&name, number);
        worker.signal(libc::SIGSTOP);
        worker.wait_for_state('T');
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        worker.signal(libc::SIGCONT);
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
    }
}

#[test]
fn unlinked_ring_goes_on_through_a_death() {
    if support::skip_over(support::Backing::Memfd, "has no name") {
        return;
    }
    for number in [2, 3] {
        let name = make("unlinked");
        let (mut worker, mut peer) = pair(&name, number);
        ring_shm::unlink(name.as_str(), true).unwrap();
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        peer.sees_nothing();
        worker.kill();
        assert!(peer.is_disconnected());
        match &mut peer {
            Peer::Rx(rx) => assert_eq!(quiet_end(rx), Some(TryRecvError::PeerDied)),
            Peer::Tx(tx) => assert_eq!(full_end(tx), Some(TrySendError::PeerDied)),
        }
        assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::NotFound);
    }
}
